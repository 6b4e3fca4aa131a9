"""X-ray lines: energies and weights, and the width of a detector's peaks.

They are out of eXSpy's table, which is read when first asked: importing exspy takes seconds (it
loads HyperSpy), so its table of literals is parsed from the installed file; the import is the
fallback.  What that table has as one line though two stand there, and lines that it lacks, are
added out of XrayDB's (Elam, Ravel & Sieber, Radiat. Phys. Chem. 63 (2002) 121).
"""

from __future__ import annotations

import ast
import math
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from emtools.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

MN_KA_KEV = 5.8987
# Fano factor times the energy of an electron-hole pair in silicon (3.65 eV), times 8 ln 2, in eV
# of squared width per eV: Fiori & Newbury, Scanning Electron Microscopy 1 (1978) 401.
STATISTICAL_EV = 2.5
# Two lines that eXSpy has as one, at the energy of the first.
_DOUBLETS = {"Ka": ("Ka1", "Ka2"), "Kb": ("Kb1", "Kb3"), "La": ("La1", "La2")}
_SPLIT_KEV = 0.005  # less is nothing to a detector, and eXSpy's energy is then the mean's
# Lines that eXSpy lacks, and the one whose electron fills the same subshell.
_LACKING = {"Lb6": "La", "Lb5": "La", "Lg6": "Lb1", "Lg2": "Lb3"}
_SAME_KB_FROM = 38  # eXSpy's weight of Kb is the same for all elements from strontium on


class Line(NamedTuple):
    """One X-ray line.

    Parameters
    ----------
    element
        Symbol.
    name
        As in the tables: ``Ka``, ``Lb1``, ``Mz``.
    energy_keV
        Energy.
    weight
        Intensity relative to the strongest line of its shell (``Ka``, ``La``, ``Ma``), which is 1.
    partner_keV, partner_share
        By how much lower a second line lies that is counted with it, and its share of the counts.
    """

    element: str
    name: str
    energy_keV: float
    weight: float
    partner_keV: float = 0.0
    partner_share: float = 0.0

    @property
    def shell(self) -> str:
        """``K``, ``L`` or ``M``."""
        return self.name[0]


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    """Elements by symbol, as in eXSpy."""
    spec = find_spec("exspy")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder) / "_misc" / "elements.py"
        if file.is_file():
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "elements":
                    table: dict[str, Any] = ast.literal_eval(node.value)
                    return table
    import exspy

    return dict(exspy.material.elements.as_dictionary())


@lru_cache(maxsize=1)
def database() -> Any:
    """XrayDB's tables, opened when first asked."""
    import xraydb

    return xraydb.get_xraydb()


def _element(symbol: str) -> dict[str, Any]:
    entry = _table().get(symbol)
    if entry is None:
        raise ParameterError(f"element {symbol!r}", "is not known", "give a symbol such as Pb")
    return dict(entry)


def lines(element: str, max_energy_keV: float = math.inf) -> tuple[Line, ...]:
    """X-ray lines of an element, lowest energy first.

    Parameters
    ----------
    element
        Symbol.
    max_energy_keV
        Highest energy.

    Raises
    ------
    ParameterError
        If the element is not in the table.

    Examples
    --------
    >>> [line.name for line in lines("S")]
    ['Ka', 'Kb']
    """
    return tuple(line for line in _lines(element) if line.energy_keV <= max_energy_keV)


@lru_cache(maxsize=128)
def _lines(element: str) -> tuple[Line, ...]:
    table = _element(element).get("Atomic_properties", {}).get("Xray_lines", {})
    found = {name: Line(element, name, float(entry["energy (keV)"]), float(entry["weight"]))
             for name, entry in table.items()}
    if found:
        others = database().xray_lines(element)
        found = {name: _split(line, others) for name, line in found.items()}
        found |= _lacking(found, others)
    return tuple(sorted(found.values(), key=lambda line: line.energy_keV))


def _split(line: Line, others: Mapping[str, Any]) -> Line:
    """Return the line as the two that it is, if they lie apart."""
    first, second = (others.get(name) for name in _DOUBLETS.get(line.name, ("", "")))
    if first is None or second is None:
        return line
    apart = 1e-3 * (first.energy - second.energy)
    if apart < _SPLIT_KEV:
        return line
    share = second.intensity / (first.intensity + second.intensity)
    return line._replace(partner_keV=apart, partner_share=share)


def _lacking(found: Mapping[str, Line], others: Mapping[str, Any]) -> dict[str, Line]:
    """Lines that are not in eXSpy's table, and K beta lines where that has no weights of them."""
    def weight(name: str, by: str) -> float:
        both = sum(others[one].intensity for one in _DOUBLETS.get(by, (by,)) if one in others)
        return float(found[by].weight * others[name].intensity / both)

    more = {name: Line(found[by].element, name, 1e-3 * others[name].energy, weight(name, by))
            for name, by in _LACKING.items()
            if name not in found and name in others and by in found}
    if "Kb" in found and atomic_number(found["Kb"].element) >= _SAME_KB_FROM:
        more["Kb"] = found["Kb"]._replace(weight=weight("Kb1", "Ka") + weight("Kb3", "Ka"))
        more["Kb2"] = Line(found["Kb"].element, "Kb2", 1e-3 * others["Kb2"].energy,
                           weight("Kb2", "Ka"))
    return more


def family(element: str, shell: str) -> tuple[Line, ...]:
    """Lines of one shell (``K``, ``L``, ``M``) of an element, lowest energy first."""
    return tuple(line for line in lines(element) if line.shell == shell)


def line(element: str, name: str) -> Line:
    """One line by name: ``line("Pb", "Ma")``.

    Raises
    ------
    ParameterError
        If the element has no such line.
    """
    for found in lines(element):
        if found.name == name:
            return found
    known = ", ".join(found.name for found in lines(element))
    raise ParameterError(f"line {element}_{name}", "is not known", f"{element} has {known}")


@lru_cache(maxsize=1)
def elements() -> tuple[str, ...]:
    """Symbols of the elements that have X-ray lines, by atomic number."""
    known = [symbol for symbol in _table() if lines(symbol)]
    return tuple(sorted(known, key=atomic_number))


def atomic_weight(element: str) -> float:
    """Atomic weight in g/mol."""
    return float(_element(element)["General_properties"]["atomic_weight"])


def atomic_number(element: str) -> int:
    """Number of protons."""
    return int(_element(element)["General_properties"]["Z"])


def detector_fwhm_keV(  # noqa: N802  (the unit is keV)
    energy_keV: float, mn_ka_fwhm_eV: float = 130.0
) -> float:
    """Full width at half maximum of a peak of a silicon detector.

    Parameters
    ----------
    energy_keV
        Energy of the line.
    mn_ka_fwhm_eV
        Width at Mn Ka, as the makers state it.

    Returns
    -------
    float
        Width in keV: the electronics' part stays, the counting of electron-hole pairs grows with
        the energy.

    Examples
    --------
    >>> round(detector_fwhm_keV(2.307), 3)
    0.089
    """
    squared = mn_ka_fwhm_eV**2 + STATISTICAL_EV * 1e3 * (energy_keV - MN_KA_KEV)
    return 1e-3 * math.sqrt(max(squared, 0.0))
