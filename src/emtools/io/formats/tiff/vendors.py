"""Private TIFF tags of microscope makers.

Each function returns ``(pixel sizes along y and x, unit, acquisition)``, sizes None where the page
states none, or None if the page is not that maker's.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from emtools import electrons
from emtools.model import Acquisition
from emtools.model.as_acquired import iso_date, lookup

Sizes = tuple[float | None, float | None]
Said = tuple[Sizes, str, Acquisition]
_NONE: Sizes = (None, None)
_DIFFRACTION = 3  # TVIPS: TemMode of a diffraction pattern


def _number(value: Any) -> float | None:
    """Return a finite number, or None: damaged files hold texts where numbers belong."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _positive(value: Any, factor: float = 1.0) -> float | None:
    number = _number(value)
    return number * factor if number is not None and number > 0 else None


def _text(value: Any) -> str | None:
    return str(value).strip("\0 ") or None if isinstance(value, str) else None


def _thermo(page: Any) -> Said | None:
    """Thermo Fisher and FEI scanning microscopes."""
    tree = next((page.tags[code].value for code in (34682, 34680) if code in page.tags), None)
    if not isinstance(tree, Mapping):
        return None
    width, height = (_positive(lookup(tree, f"Scan.Pixel{side}")) for side in ("Width", "Height"))
    if width is None or height is None:
        field_of_view = [_positive(lookup(tree, f"IRBeam.{side}")) for side in ("VFW", "HFW")]
        pixels = [_positive(lookup(tree, f"Image.Resolution{side}")) for side in "YX"]
        height, width = (a / b if a and b else None
                         for a, b in zip(field_of_view, pixels, strict=True))
    tilt = _number(lookup(tree, "Stage.StageT"))
    rotation = _number(lookup(tree, "Beam.ScanRotation"))
    acquisition = Acquisition(
        modality="SEM" if lookup(tree, "Beam.Beam") == "EBeam" else None,
        beam_energy_keV=_positive(lookup(tree, "Beam.HV"), 1e-3),
        detector=_text(lookup(tree, "Detectors.Name")),
        dwell_time_s=_positive(lookup(tree, "Scan.Dwelltime")),
        date=_american_date(lookup(tree, "User.Date")),
        instrument=_text(lookup(tree, "System.SystemType")),
        tilt_deg=None if tilt is None else math.degrees(tilt),
        scan_rotation_deg=None if rotation is None else math.degrees(rotation),
    )
    return (height, width), "m", acquisition


def _american_date(value: Any) -> str | None:
    """Month first, unless that cannot be told from day first (the computer's language decides)."""
    found = re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", str(value or "").strip())
    if not found:
        return None
    first, second, year = (int(part) for part in found.groups())
    if (first > 12) == (second > 12):
        return None
    month, day = (second, first) if first > 12 else (first, second)
    return iso_date(f"{year}-{month:02d}-{day:02d}")


def _zeiss(page: Any) -> Said | None:
    """Zeiss SmartSEM: tuples of label, value, unit."""
    tree = page.tags[34118].value if 34118 in page.tags else None
    if not isinstance(tree, Mapping):
        return None
    size, unit = _zeiss_size(tree, page.imagewidth)
    dwell = _zeiss_entry(tree, "dp_dwell_time")
    factor = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}.get(dwell[1])
    when = re.fullmatch(r"(\d{1,2}) (\w{3}) (\d{4})", str(_zeiss_entry(tree, "ap_date")[0]).strip())
    acquisition = Acquisition(
        modality="SEM",
        beam_energy_keV=_positive(_zeiss_entry(tree, "ap_actualkv")[0]),
        detector=_text(_zeiss_entry(tree, "dp_detector_type")[0]),
        dwell_time_s=None if factor is None else _positive(dwell[0], factor),
        date=_month_name_date(when) if when else None,
        instrument=_text(_zeiss_entry(tree, "sv_serial_number")[0]),
        tilt_deg=_number(_zeiss_entry(tree, "ap_stage_at_t")[0]),
        magnification=_zeiss_magnification(_zeiss_entry(tree, "ap_mag")[0]),
    )
    return (size, size), unit, acquisition


def _zeiss_entry(tree: Mapping[str, Any], key: str) -> tuple[Any, str]:
    entry = tree.get(key)
    if not isinstance(entry, (tuple, list)) or len(entry) < 2:
        return None, ""
    return entry[1], str(entry[2]) if len(entry) > 2 else ""


def _zeiss_size(tree: Mapping[str, Any], width: int) -> tuple[float | None, str]:
    # The nameless first entry holds, at index 3, the pixel size in metres of a 1024-pixel display.
    nameless = tree.get("")
    if isinstance(nameless, (tuple, list)) and len(nameless) > 3:
        return _positive(nameless[3], 1024 / width), "m"
    value, unit = _zeiss_entry(tree, "ap_image_pixel_size")
    return _positive(value), unit


def _zeiss_magnification(value: Any) -> float | None:
    found = re.match(r"\s*([\d.]+)\s*(K?)\s*X", str(value or ""), re.I)
    return float(found[1]) * (1000 if found[2] else 1) if found else None


def _month_name_date(found: re.Match[str]) -> str | None:
    months = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
    name = found[2].lower()
    if name not in months:
        return None
    return iso_date(f"{found[3]}-{months.index(name) + 1:02d}-{int(found[1]):02d}")


def _olympus(page: Any) -> Said | None:
    """Olympus Soft Imaging Solutions; the preview page of a file has no such tag."""
    tree = next((page.tags[code].value for code in (33560, 33471) if code in page.tags), None)
    if not isinstance(tree, Mapping):
        return None
    sizes = (_positive(tree.get("pixelsizey")), _positive(tree.get("pixelsizex")))
    when = tree.get("datetime")
    return sizes, "m", Acquisition(
        detector=_text(tree.get("cameraname")),
        magnification=_positive(tree.get("magnification")),
        date=when.isoformat() if isinstance(when, dt.datetime) else None,
    )


def _tvips(page: Any) -> Said | None:
    """TVIPS cameras."""
    tree = page.tags[37706].value if 37706 in page.tags else None
    if not isinstance(tree, Mapping):
        return None
    pattern = tree.get("TemMode") == _DIFFRACTION
    sizes: Sizes = (_positive(tree.get("PixelSizeY")), _positive(tree.get("PixelSizeX")))
    unit = "nm"
    if not all(sizes):
        sizes, unit = _resolution_in_metres(page), "m"
    stage: list[Any] = list(tree.get("TemStagePosition") or ())
    value = _positive(tree.get("TemMagnification"))
    acquisition = Acquisition(
        modality="SAED" if pattern else None,
        beam_energy_keV=_positive(tree.get("TemHighTension"), 1e-3),
        camera_length_mm=value if pattern else None,
        magnification=None if pattern else value,
        detector=_text(tree.get("CameraType")),
        tilt_deg=_number(stage[3]) if len(stage) > 3 else None,
    )
    # The tags name no unit of a pattern's pixels: 1/nm is likely, but not said.
    return (_NONE if pattern else sizes), unit, acquisition


def _resolution_in_metres(page: Any) -> Sizes:
    sizes = []
    for code in (283, 282):
        count, per = page.tags[code].value if code in page.tags else (0, 0)
        sizes.append(per / count * 1e-2 if count and per else None)
    return sizes[0], sizes[1]


def _jeol(page: Any) -> Said | None:
    """JEOL SightX: XML in the description; the pixel size follows from the magnification."""
    if 271 not in page.tags or "JEOL" not in str(page.tags[271].value):
        return None
    text = str(page.tags[270].value) if 270 in page.tags else ""
    if "<TemReporter" not in text:
        return None
    tem = _between(text, "EosMode") == "eosTEM"
    mode = _between(text, "ModeString")
    selector = _positive(_between(text, "SelectorValue"))
    length_mm = _length_mm(selector, _between(text, "SelectorUnitString"))
    voltage = _positive(_between(text, "AccelerationVoltage"), 1e-3)
    pattern = tem and mode == "DIFF"
    sizes, unit = _NONE, ""
    if tem and mode == "MAG" and selector:
        sizes, unit = _times(_jeol_film(page), 1e9 / selector), "nm"
    elif pattern and length_mm and voltage:
        camera_constant = length_mm * 1e-3 * electrons.wavelength_nm(voltage)
        sizes, unit = _times(_jeol_film(page), 1.0 / camera_constant), "1/nm"
    date = re.match(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)", _between(text, "DateTime"))
    return sizes, unit, Acquisition(
        modality="SAED" if pattern else ("TEM" if tem else "STEM"),
        beam_energy_keV=voltage, camera_length_mm=length_mm if pattern else None,
        magnification=selector if mode == "MAG" else None,
        date=iso_date(date[1], date[2]) if date else None,
        instrument=_text(str(page.tags[272].value)) if 272 in page.tags else None,
        tilt_deg=_number(_between(text, "TX")),
    )


def _jeol_film(page: Any) -> Sizes:
    """Size in metres of a pixel on the plane where the pattern or the magnified image lies."""
    inch = 296 not in page.tags or int(page.tags[296].value) == 2
    return _times(_resolution_in_metres(page), 2.54 if inch else 1.0)


def _times(sizes: Sizes, factor: float) -> Sizes:
    y, x = sizes
    return (None, None) if y is None or x is None else (y * factor, x * factor)


def _length_mm(value: float | None, unit: str) -> float | None:
    factor = {"mm": 1.0, "cm": 10.0, "m": 1000.0}.get(unit)
    return None if value is None or factor is None else value * factor


def _between(text: str, tag: str) -> str:
    found = re.search(rf"<{tag}>([^<]*)</{tag}>", text)
    return found[1].strip() if found else ""


def hitachi_pixel_size(text: str) -> tuple[float, str] | None:
    """Pixel size and its unit in the text that a Hitachi SEM writes into or beside a picture."""
    found = re.search(r"^PixelSize[ \t]*=[ \t]*([0-9.eE+-]+)[ \t]*(\S*)[ \t]*$", text, re.M)
    return None if found is None else (float(found[1]), found[2] or "nm")


def hitachi_acquisition(entries: Mapping[str, str]) -> Acquisition:
    """Return the acquisition of Hitachi's ``key=value`` lines."""
    voltage = re.match(r"([\d.]+)\s*(k?)", entries.get("AcceleratingVoltage", ""), re.I)
    energy = _positive(voltage[1], 1.0 if voltage[2] else 1e-3) if voltage else None
    return Acquisition(
        modality="SEM", beam_energy_keV=energy,
        magnification=_positive(entries.get("Magnification")),
        detector=_text(entries.get("SignalName", "")),
        instrument=_text(entries.get("InstructName", "")),
    )


VENDORS: dict[str, Callable[[Any], Said | None]] = {
    "Thermo/FEI": _thermo,
    "Zeiss": _zeiss,
    "Olympus SIS": _olympus,
    "TVIPS": _tvips,
    "JEOL": _jeol,
}
