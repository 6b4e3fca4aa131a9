"""What the text beside a scale bar may say: a number and a unit, and nothing else."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from emtools.units import RECIPROCAL, parse_unit

# How the reader of text spells units: what it mistakes for a letter of a unit, and can only be it.
_UNITS = {
    "nm": "nm", "rm": "nm", "nrn": "nm", "hm": "nm", "n m": "nm", "nn": "nm", "ńm": "nm",
    "ηm": "nm",
    "um": "um", "µm": "um", "μm": "um", "jm": "um", "ym": "um", "lm": "um", "pum": "um", "µ": "um",
    "μ": "um", "micron": "um", "microns": "um", "urn": "um", "μn": "um", "um.": "um", "µμm": "um",
    "μμm": "um",
    "å": "angstrom", "a": "angstrom", "à": "angstrom", "â": "angstrom", "á": "angstrom",
    "pm": "pm", "mm": "mm", "cm": "cm",
}
_RECIPROCAL = re.compile(
    r"^(?P<number>\d+(?:[.,]\d+)?)\s*(?:1/\s*(?P<under>nm|um|µm|μm|å|a)"
    r"|/\s*(?P<slashed>nm|um|µm|μm|å|a)|(?P<power>nm|um|µm|μm|å|a)\s*(?:\^?-1|⁻¹))$")
_LENGTH = re.compile(r"^(?P<number>[0-9oOlI|]*[.,·]?[0-9oOlI|]+)\s*(?P<unit>[^\d.,]{1,7})$")
_DIGITS = str.maketrans({"o": "0", "O": "0", "l": "1", "I": "1", "|": "1", ",": ".", "·": "."})


class Length(NamedTuple):
    """A length, or a reciprocal length, as a label states it.

    Parameters
    ----------
    value
        In `unit`.
    unit
        ``nm`` or ``1/nm``.
    repaired
        Whether letters had to be taken for digits or for other letters.
    unit_read
        The unit as written: ``nm``, ``um``, ``pm``, ``mm``, ``angstrom`` ...
    """

    value: float
    unit: str
    repaired: bool
    unit_read: str


def parse_length(text: str) -> Length | None:
    """Read ``number unit`` and refuse all else: ``11m`` may have been ``1 µm`` or ``11 nm``."""
    plain = without_marks(text)
    reciprocal = _reciprocal(plain)
    if reciprocal is not None:
        return reciprocal
    match = _LENGTH.match(plain)
    if match is None:
        return None
    unit = match["unit"].strip()
    known = _UNITS.get(unit.lower())
    if known is None or unit in ("M", "MM", "Mm"):
        return None
    number = _number(match["number"])
    if number is None:
        return None
    repaired = bool(re.search(r"[oOlI|]", match["number"])) or unit.lower() not in (
        "nm", "um", "µm", "μm", "å", "pm", "mm", "cm")
    return Length(number * parse_unit(known).factor, "nm", repaired, known)


def without_marks(text: str) -> str:
    """Return a label without the ends of the bar beside it that were read as dashes or arrows."""
    return re.sub(r"\s+", " ", text.strip().strip("-–—−|_[]()<>:=·•←→↔ ")).strip()


def _reciprocal(plain: str) -> Length | None:
    match = _RECIPROCAL.match(plain.lower().replace("l/", "1/"))
    if match is None:
        return None
    number = match["number"]
    if match["slashed"] is not None:
        # `5 1/nm` is often read without its blank: the last 1 belongs to the unit.
        if not number.endswith("1") or len(number) < 2:
            return None
        number = number[:-1].rstrip(".,")
    under = match["under"] or match["slashed"] or match["power"]
    value = _number(number)
    if value is None:
        return None
    unit = f"1/{_UNITS[under]}"
    return Length(value * parse_unit(unit).factor, RECIPROCAL, False, unit)


def _number(text: str) -> float | None:
    plain = text.translate(_DIGITS)
    # A zero in front is always followed by a point, read or not.
    if re.fullmatch(r"0\d+", plain):
        plain = f"0.{plain[1:]}"
    value = float(plain)
    return value if value > 0 and math.isfinite(value) else None


def is_round(value: float) -> bool:
    """Whether a number has one digit, or two of which the second is a five (1, 2, 2.5, 15, 300)."""
    mantissa = value / 10.0 ** math.floor(math.log10(value) + 1e-9)
    return any(math.isclose(mantissa, step, rel_tol=1e-6) for step in (
        1, 1.2, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 7.5, 8, 9))


_OF_ELSE = re.compile(r"(?:WD|HFW|HFOV|FOV|field|working|distance|z|x|y|def\w*)\W*$", re.IGNORECASE)


def is_of_else(text: str, lines: list[str]) -> bool:
    """Whether a banner says what a length is, and it is not that of a bar (`WD 4.0 mm`)."""
    return any(line.endswith(text) and _OF_ELSE.search(line[:-len(text)]) for line in lines)


class Field(NamedTuple):
    """What else a banner states about the magnification.

    Parameters
    ----------
    width_nm
        Width of the field of view, or None.
    magnification
        Or None.
    """

    width_nm: float | None = None
    magnification: float | None = None


_MAGNIFICATION = re.compile(
    r"(?:^|[\s:=])(?:mag\w*\.?\s*[:=]?\s*)?(?:[x×]\s*(?P<after>\d[\d.,]*)\s*(?P<after_k>k)?"
    r"|(?P<before>\d[\d.,]*)\s*(?P<before_k>k)?\s*[x×])(?=$|[\s;,])", re.IGNORECASE)
_FIELD = re.compile(r"(?:HFW|HFOV|FOV|field of view|view field)\W*(\d+(?:[.,]\d+)?)\s*(\S{1,2}m)\b",
                    re.IGNORECASE)


def parse_field(lines: list[str]) -> Field:
    """Find magnification and field of view in the texts of a banner."""
    joined = "  ".join(lines)
    width = _FIELD.search(joined)
    width_nm = None
    if width is not None:
        length = parse_length(f"{width[1]} {width[2]}")
        width_nm = None if length is None else length.value
    found = _MAGNIFICATION.search(joined)
    magnification = None
    if found is not None:
        digits = (found["after"] or found["before"]).strip(".,")
        thousand = found["after_k"] or found["before_k"]
        # A comma before three digits sets off thousands.
        digits = re.sub(r",(?=\d{3}\b)", "", digits).replace(",", ".")
        if re.fullmatch(r"\d+(\.\d+)?", digits):
            magnification = float(digits) * (1000.0 if thousand else 1.0)
    return Field(width_nm, magnification)
