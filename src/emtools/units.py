"""The one place where units are parsed and converted.

Microscope files spell the same unit in a dozen ways.  `parse_unit` knows those spellings, turns
each into one canonical unit (nm, 1/nm, keV, mrad, degrees, s, px) with the factor that converts
to it, and refuses everything else by name.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from emtools.errors import UnitError

if TYPE_CHECKING:
    import pint

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))  # of a Gaussian
PIXEL = "px"
LENGTH = "nm"
RECIPROCAL = "1/nm"

# Canonical unit of each physical dimension that an axis of a micrograph can have.
CANONICAL = (LENGTH, RECIPROCAL, "keV", "mrad", "s")

# Spellings that mean 'no unit was stored'.
_NO_UNIT = {"", "px", "pix", "pixel", "pixels", "<undefined>", "undefined", "none", "[]", "()", "1",
            "a.u.", "traits.api.undefined"}

# Names that pint does not know, or reads as something else (to pint, 'A' is the ampere).
_SPELLINGS = {
    "n_m": "nm", "u_m": "um", "p_m": "pm", "k_ev": "keV",
    "a": "angstrom", "å": "angstrom", "ang": "angstrom", "angstroem": "angstrom",
    "angstroms": "angstrom",
    "µ": "um", "micron": "um", "microns": "um", "micrometers": "um", "micrometer": "um",
    "micrometre": "um", "micrometres": "um", "nanometers": "nm", "nanometres": "nm",
    "ev": "eV", "kev": "keV", "mev": "meV", "mrads": "mrad", "mr": "mrad", "rads": "rad",
    "sec": "s", "seconds": "s", "m": "m", "s": "s", "inch": "inch", "in": "inch",
    "inches": "inch", "cm": "cm", "mm": "mm", "nm": "nm", "um": "um", "pm": "pm", "fm": "fm",
    "angstrom": "angstrom", "rad": "rad", "mrad": "mrad", "µrad": "urad", "urad": "urad",
    "deg": "degree", "degree": "degree", "degrees": "degree", "°": "degree",
    "ms": "ms", "us": "us", "ns": "ns", "nanometer": "nm", "nanometre": "nm",
    "meter": "m", "metre": "m", "meters": "m", "metres": "m",
    "picometer": "pm", "picometers": "pm", "picometre": "pm",
}
# A capital M in front is mega, not milli: only these may be folded to lower case.
_CASE_MATTERS = {"MeV", "Mm", "PM", "MS", "MRAD"}

_RECIPROCAL = (
    re.compile(r"^1/\(?(?P<unit>[^()]+)\)?$"),
    re.compile(r"^(?P<unit>.+?)(\^|\*\*)\(?-1\)?$"),
    re.compile(r"^(?P<unit>.+?)(-1|⁻¹)$"),
)


class Unit(NamedTuple):
    """A canonical unit and the factor that converts a number to it."""

    name: str
    factor: float


@lru_cache(maxsize=1)
def _registry() -> pint.UnitRegistry[Any]:
    import pint

    return pint.UnitRegistry(cache_folder=None)


def parse_unit(text: object) -> Unit:
    """Return the canonical unit of a unit as a microscope file spells it.

    Parameters
    ----------
    text
        The unit as stored: ``"nm"``, ``"n_m"``, ``"µm"`` (either code point), ``"A"`` (ångström),
        ``"1 / nm"``, ``"nm^-1"``, ``"eV"``, ``""``, ``"<undefined>"``, None ...

    Returns
    -------
    Unit
        ``(name, factor)``: a number in `text` times `factor` is a number in `name`, which is one of
        ``nm``, ``1/nm``, ``keV``, ``mrad``, ``s`` or ``px`` (no unit stored).

    Raises
    ------
    UnitError
        If the unit is not known.

    Examples
    --------
    >>> parse_unit("n_m")
    Unit(name='nm', factor=1.0)
    >>> parse_unit("1/Å").name
    '1/nm'
    """
    spelled = "" if text is None else str(text)
    return _parse(spelled)


@lru_cache(maxsize=256)
def _parse(spelled: str) -> Unit:
    # Java programs (ImageJ) write other letters than ASCII as a backslash, u and four digits.
    spelled = re.sub(r"\\u([0-9A-Fa-f]{4})", lambda found: chr(int(found[1], 16)), spelled)
    # U+03BC (Greek mu) and U+212B (Ångström sign) are folded onto U+00B5 and U+00C5.
    compact = re.sub(r"\s+", "", spelled).replace("\u03bc", "\u00b5").replace("\u212b", "\u00c5")
    if compact.lower() in _NO_UNIT:
        return Unit(PIXEL, 1.0)
    # NCEM's EMD files write [n_m], some tables (nm).
    compact = re.sub(r"^[\[(](.+)[\])]$", r"\1", compact)
    for pattern in _RECIPROCAL:
        match = pattern.match(compact)
        if match:
            unit = _canonical(_base(match["unit"], spelled), spelled)
            if unit.name != LENGTH:
                raise _unknown(spelled)
            return Unit(RECIPROCAL, 1.0 / unit.factor)
    return _canonical(_base(compact, spelled), spelled)


def _base(compact: str, spelled: str) -> str:
    folded = compact.replace("\u00b5", "u") if len(compact) > 1 else compact
    if compact in _CASE_MATTERS:
        raise _unknown(spelled)
    for candidate in (compact, folded, compact.lower(), folded.lower()):
        if candidate in _SPELLINGS:
            return _SPELLINGS[candidate]
    raise _unknown(spelled)


@lru_cache(maxsize=64)
def _canonical(base: str, spelled: str) -> Unit:
    quantity = _registry().Quantity(1.0, base)
    for name in CANONICAL:
        if quantity.check(_registry().Quantity(1.0, name).dimensionality):
            return Unit(name, _rounded(float(quantity.to(name).magnitude)))
    raise _unknown(spelled)


def _rounded(factor: float) -> float:
    """Undo the last-digit noise of pint's chained factors (1 m = 999999999.9999999 nm)."""
    return float(f"{factor:.14g}")


def _unknown(spelled: str) -> UnitError:
    return UnitError(
        f"unit {spelled!r}",
        "is not a unit that a microscope image axis can have",
        "known are lengths (nm, Å, µm, m …), their reciprocals, eV/keV, mrad, degrees, s and px",
    )


def convert(value: float, unit: str, to: str) -> float:
    """Convert a number between two units of the same kind.

    Parameters
    ----------
    value
        The number in `unit`.
    unit, to
        Units in any spelling that `parse_unit` knows.

    Returns
    -------
    float
        The number in `to`.

    Raises
    ------
    UnitError
        If either unit is unknown or the two are of different kinds.
    """
    source, target = parse_unit(unit), parse_unit(to)
    if source.name != target.name:
        raise UnitError(f"unit {unit!r}", f"cannot be converted to {to!r}",
                        "give a unit of the same kind")
    return value * source.factor / target.factor
