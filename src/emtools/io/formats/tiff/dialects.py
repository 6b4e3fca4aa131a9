"""What the programs that write TIFF say about the pixel size, each in its own tags.

Every dialect is a function of the file and a page that returns `Stated`, or None if the page is
not written in it.  They are asked in order, the most specific first.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emtools.io.formats.tiff import vendors
from emtools.model import Acquisition

if TYPE_CHECKING:
    from emtools.io.report import Report

# A plain resolution tag is meant for printers.  Only what no printer has is a microscope's.
_RESOLUTION_NM = (1e-3, 1e3)
_NM_PER_UNIT = {2: 25.4e6, 3: 1e7}
_PRINT_UNITS = {"inch": 2, "in": 2, "inches": 2, "cm": 3, "centimeter": 3, "centimetre": 3}


@dataclass(frozen=True)
class Stated:
    """What a dialect states.

    Parameters
    ----------
    dialect
        Its name.
    sizes
        Pixel size along y and x in `unit`; None where none is stated.
    unit
        As the file spells it.
    spacing
        Step and unit of the stack axis, or None.
    acquisition
        What the microscope said.
    title
        Name of the signal.
    notes
        Sentences for the audit.
    """

    dialect: str = ""
    sizes: tuple[float | None, float | None] = (None, None)
    unit: str = ""
    spacing: tuple[float, str] | None = None
    acquisition: Acquisition = field(default_factory=Acquisition)
    title: str = ""
    notes: tuple[str, ...] = ()


def stated(tiff: Any, page: Any, index: int, report: Report) -> Stated:
    """Return what the first dialect that fits says; a damaged one is reported and passed over."""
    for name, dialect in _DIALECTS.items():
        found = None
        with report.attempt(f"the {name} tags"):
            found = dialect(tiff, page, index)
        if found is not None:
            return found
    return Stated()


def _of_vendor(tiff: Any, page: Any, index: int) -> Stated | None:  # noqa: ARG001
    for name, vendor in vendors.VENDORS.items():
        said = vendor(page)
        if said is not None:
            sizes, unit, acquisition = said
            notes = () if sizes[0] is not None else (
                f"the {name} metadata hold no pixel size of the specimen",)
            return Stated(name, sizes, "" if notes else unit, acquisition=acquisition, notes=notes)
    return None


def _digital_micrograph(tiff: Any, page: Any, index: int) -> Stated | None:  # noqa: ARG001
    tags = {code: page.tags[code].value for code in (65003, 65004, 65005, 65009, 65010, 65011)
            if code in page.tags}
    if not {65009, 65010} <= tags.keys():
        return None
    unit_x, unit_y = (str(tags.get(code, "")).strip("\0 ") for code in (65003, 65004))
    sizes = (float(tags[65010]), float(tags[65009]))
    notes: tuple[str, ...] = ()
    if unit_x != unit_y:
        sizes, notes = (1.0, 1.0), (f"y is stated in {unit_y!r}, x in {unit_x!r}; neither is used",)
        unit_x = ""
    spacing = (float(tags[65011]), str(tags.get(65005, ""))) if 65011 in tags else None
    return Stated("DigitalMicrograph", sizes, unit_x, spacing, notes=notes)


def _ome(tiff: Any, page: Any, index: int) -> Stated | None:  # noqa: ARG001
    if not tiff.is_ome:
        return None
    pixels = re.findall(r"<(?:\w+:)?Pixels\b([^>]*)>", tiff.ome_metadata or "")
    text = pixels[min(index, len(pixels) - 1)] if pixels else ""
    attributes = {key: html.unescape(value)
                  for key, value in re.findall(r"""([\w:]+)\s*=\s*["']([^"']*)["']""", text)}
    if "PhysicalSizeX" not in attributes:
        return Stated("OME")
    x = float(attributes["PhysicalSizeX"])
    unit_x = attributes.get("PhysicalSizeXUnit", "µm")
    y = float(attributes.get("PhysicalSizeY", x))
    unit_y = attributes.get("PhysicalSizeYUnit", unit_x)
    if unit_x != unit_y:
        return Stated("OME", notes=(
            f"y is stated in {unit_y!r}, x in {unit_x!r}; neither is used",))
    z = attributes.get("PhysicalSizeZ")
    spacing = None if z is None else (float(z), attributes.get("PhysicalSizeZUnit", "µm"))
    return Stated("OME", (y, x), unit_x, spacing)


def _imagej(tiff: Any, page: Any, index: int) -> Stated | None:  # noqa: ARG001
    description = _imagej_description(page)
    if description is None:
        return None
    unit = _unescaped(description.get("unit", ""))
    y, x = _per_unit(page)
    if unit.lower() in _PRINT_UNITS:
        return _from_resolution(y, x, _PRINT_UNITS[unit.lower()])
    if unit.lower() in ("", "pixel", "pixels", "px") or x is None:
        return Stated("ImageJ")
    step = description.get("spacing")
    return Stated("ImageJ", (y, x), unit, None if step is None else (float(step), unit))


def _imagej_description(page: Any) -> dict[str, str] | None:
    for tag in page.tags:
        text = str(tag.value) if tag.code == 270 else ""
        if text.startswith("ImageJ="):
            return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return None


def _unescaped(unit: str) -> str:
    """Undo ImageJ's escapes (a backslash, u and four digits) for µ and Å."""
    return re.sub(r"\\u([0-9A-Fa-f]{4})", lambda found: chr(int(found[1], 16)), unit).strip()


def _per_unit(page: Any) -> tuple[float | None, float | None]:
    """Pixel size along y and x in the unit that the resolution tags count in."""
    sizes: list[float | None] = []
    for code in (283, 282):
        numerator, denominator = page.tags[code].value if code in page.tags else (0, 0)
        sizes.append(denominator / numerator if numerator and denominator else None)
    y, x = sizes
    return (y if y is not None else x), (x if x is not None else y)


def _hitachi(tiff: Any, page: Any, index: int) -> Stated | None:  # noqa: ARG001
    text = str(page.tags[270].value) if 270 in page.tags else ""
    text = text.replace("\r", "")
    said = vendors.hitachi_pixel_size(text)
    if said is None or not re.search("SemImageFile|Hitachi", text):
        return None
    size, unit = said
    entries = dict(re.findall(r"^(\w+)[ \t]*=[ \t]*(.*?)[ \t]*$", text, re.M))
    return Stated("Hitachi", (size, size), unit,
                  acquisition=vendors.hitachi_acquisition(entries))


def _resolution(tiff: Any, page: Any, index: int) -> Stated | None:  # noqa: ARG001
    unit = int(page.tags[296].value) if 296 in page.tags else 2
    y, x = _per_unit(page)
    return _from_resolution(y, x, unit)


def _from_resolution(y: float | None, x: float | None, unit: int) -> Stated:
    """Take a resolution per inch or cm for a pixel size only where no printer could mean it."""
    if x is None or y is None or unit not in _NM_PER_UNIT:
        return Stated()
    sizes = (y * _NM_PER_UNIT[unit], x * _NM_PER_UNIT[unit])
    low, high = _RESOLUTION_NM
    if all(low <= size <= high for size in sizes):
        return Stated("resolution tag", sizes, "nm", notes=(
            "resolution tag only: the pixel size comes from a tag that is meant for printers",))
    dots = 25.4e6 / sizes[1]
    return Stated(notes=(f"the resolution tag ({dots:.4g} dpi) is a printer's, no calibration",))


_DIALECTS = {
    "DigitalMicrograph": _digital_micrograph,
    "microscope's": _of_vendor,
    "OME": _ome,
    "ImageJ": _imagej,
    "Hitachi": _hitachi,
    "resolution": _resolution,
}
