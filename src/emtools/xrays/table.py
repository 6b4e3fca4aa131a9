"""X-ray lines: energies and weights out of eXSpy's table, and the width of a detector's peaks.

The table is read when first asked.  Importing exspy takes seconds (it loads HyperSpy), so its
table of literals is parsed from the installed file; the import is the fallback.
"""

from __future__ import annotations

import ast
import math
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from emtools.errors import ParameterError

MN_KA_KEV = 5.8987
# Fano factor times the energy of an electron-hole pair in silicon (3.65 eV), times 8 ln 2, in eV
# of squared width per eV: Fiori & Newbury, Scanning Electron Microscopy 1 (1978) 401.
STATISTICAL_EV = 2.5


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
    """

    element: str
    name: str
    energy_keV: float
    weight: float

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
    table = _element(element).get("Atomic_properties", {}).get("Xray_lines", {})
    found = [
        Line(element, name, float(entry["energy (keV)"]), float(entry["weight"]))
        for name, entry in table.items()
    ]
    kept = (line for line in found if line.energy_keV <= max_energy_keV)
    return tuple(sorted(kept, key=lambda line: line.energy_keV))


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
