"""What the microscope said: vendor metadata -> `Acquisition`, with nothing invented.

The metadata are those of RosettaSciIO and HyperSpy (``Acquisition_instrument.TEM.beam_energy``
...), plus a few places of the vendor's own tree that their mapping leaves out.  A field whose unit
or meaning is not certain stays None.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from emtools.model.as_read import in_reciprocal_lengths
from emtools.model.image import Acquisition

if TYPE_CHECKING:
    from emtools.model.calibration import Axis

# Names that vendors give to the signals of their scan detectors.  A title counts only if it is
# such a name and nothing else: 'HAADF' does, 'my best HAADF of sample 3' does not.
_DETECTORS = (
    (re.compile(r"^HAADF(?: image| detector)?(?: \d+)?$", re.I), "HAADF"),
    (re.compile(r"^(?:ADF|LAADF|MAADF)(?: image| detector)?(?: \d+)?$", re.I), "ADF"),
    (re.compile(r"^(?:BF|ABF|BF-S|BFS)(?: image| detector)?(?: \d+)?$", re.I), "BF"),
    (re.compile(r"^DF(?:-?[SIO]|\d)?(?:-[A-D])?(?: image| detector)?(?: \d+)?$", re.I), "DF"),
    (re.compile(r"^(?:SE|BSE|SEI|BEI|ETD|TLD|InLens|CBS|ICD|SEM)$", re.I), "SEM"),
    (re.compile(r"^(?:Half )?FFT(?: of .*)?$", re.I), "FFT"),
)
# 'Ca', 'Fe K', 'Pb M': a map of one element, made from a spectrum image.
_ELEMENT_MAP = re.compile(r"^[A-Z][a-z]?(?: [KLM](?:[ab]\d?)?)?$")
_ENERGY_KEV = (0.01, 3000.0)
_MM = 1000.0
# Readers that hand on the camera length in metres; the others convert to mm themselves.
_CAMERA_LENGTH_FACTOR = {"blockfile": _MM, "pantarhei": None}
# Readers whose files hold maps of single elements, titled with the element.
_WITH_ELEMENT_MAPS = {"jeol", "emd"}
_VELOX_MODES = {"1": "TEM", "2": "STEM"}
_DM_TAGS = "ImageList.TagGroup0.ImageTags"
_TIA = "ObjectInfo.ExperimentalDescription"
# Where vendors state the rotation of the scan, and how many degrees their unit is.
_SCAN_ROTATIONS = (
    ("Scan.ScanRotation", math.degrees(1.0)),  # Velox, in radians
    (f"{_DM_TAGS}.DigiScan.Rotation", 1.0),
    (f"{_TIA}.Stem rotation_deg", 1.0),
    ("blockfile_header.Scan_rotation", 0.01),
)


def lookup(tree: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path of nested mappings, or None."""
    node: Any = tree
    for key in path.split("."):
        if not isinstance(node, Mapping) or key not in node:
            return None
        node = node[key]
    return node


def read_acquisition(
    metadata: Mapping[str, Any], original: Mapping[str, Any], axes: Sequence[Axis],
    reader: str = "", complex_data: bool = False,
) -> Acquisition:
    """Return what the metadata say about the acquisition.

    Parameters
    ----------
    metadata
        The mapped metadata.
    original
        The vendor's own tree.
    axes
        The image's axes, already in canonical units.
    reader
        Name of the RosettaSciIO reader; some hand on quantities in other units.
    complex_data
        Whether the pixels are complex.
    """
    instrument = _instrument(metadata)
    mode = str(instrument.get("acquisition_mode") or "").upper()
    return Acquisition(
        modality=_modality(metadata, original, axes, reader, complex_data),
        beam_energy_keV=_beam_energy(instrument, original),
        camera_length_mm=_camera_length(instrument, reader),
        detector=_detector(metadata, instrument, original),
        dwell_time_s=_dwell_time(instrument, original, mode),
        date=iso_date(lookup(metadata, "General.date"), lookup(metadata, "General.time"),
                      lookup(metadata, "General.time_zone")),
        instrument=_instrument_name(instrument, original),
        tilt_deg=_finite(lookup(instrument, "Stage.tilt_alpha")),
        magnification=_magnification(instrument, original),
        scan_rotation_deg=_scan_rotation(original),
    )


def _instrument(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    for kind in ("TEM", "SEM"):
        found = lookup(metadata, f"Acquisition_instrument.{kind}")
        if isinstance(found, Mapping):
            return found
    return {}


def _instrument_name(
    instrument: Mapping[str, Any], original: Mapping[str, Any]
) -> str | None:
    """Name of the microscope; Velox gives many the same, and a number that tells them apart."""
    name = next((_text(place) for place in (
        instrument.get("microscope"), lookup(original, f"{_DM_TAGS}.Session Info.Microscope"),
        lookup(original, f"{_DM_TAGS}.Microscope Info.Microscope")) if _text(place)), None)
    number = _text(lookup(original, "Instrument.InstrumentId"))
    return f"{name} {number}" if name and number else name


def _magnification(
    instrument: Mapping[str, Any], original: Mapping[str, Any]
) -> float | None:
    # Velox states that of the scan or, apart from it, that of the lenses; NCEM has its own place.
    places = (instrument.get("magnification"), lookup(original, "Optics.NominalMagnification"),
              lookup(original, "microscope.magnification"))
    return next((value for value in map(_positive, places) if value is not None), None)


def _scan_rotation(original: Mapping[str, Any]) -> float | None:
    for place, factor in _SCAN_ROTATIONS:
        value = _finite(lookup(original, place))
        if value is not None:
            return value * factor
    return None


def _modality(
    metadata: Mapping[str, Any], original: Mapping[str, Any], axes: Sequence[Axis], reader: str,
    complex_data: bool,
) -> str | None:
    signal_type = str(lookup(metadata, "Signal.signal_type") or "")
    names = {axis.name for axis in axes}
    if signal_type.startswith("EDS"):
        return "EDS"
    if "EELS" in signal_type:
        return "EELS"
    if "diffraction" in signal_type.lower() and "scan_y" in names:
        return "4D-STEM"
    title = str(lookup(metadata, "General.title") or "").strip()
    named = _named_modality(title)
    if named:
        return named
    if complex_data and in_reciprocal_lengths(axes):
        return "FFT"
    if {"y", "x"} == names and _ELEMENT_MAP.match(title) and reader in _WITH_ELEMENT_MAPS:
        return "EDS"
    if "energy" in names or "y" not in names:
        return None
    return _modality_by_mode(metadata, original, axes)


def _named_modality(name: str) -> str | None:
    return next((modality for pattern, modality in _DETECTORS if pattern.match(name)), None)


def _modality_by_mode(
    metadata: Mapping[str, Any], original: Mapping[str, Any], axes: Sequence[Axis]
) -> str | None:
    mode = str(_instrument(metadata).get("acquisition_mode") or "").upper()
    mode = mode or _VELOX_MODES.get(str(lookup(original, "Optics.OperatingMode")), "")
    dm_mode = str(lookup(original, f"{_DM_TAGS}.Microscope Info.Operation Mode") or "").upper()
    diffraction = dm_mode == "DIFFRACTION" or in_reciprocal_lengths(axes)
    if diffraction:
        # A pattern recorded while the beam is scanned is not a selected-area pattern.
        return None if "STEM" in mode else "SAED"
    if "STEM" in mode:
        return "STEM"
    if mode == "TEM":
        return "TEM"
    has_tem = isinstance(lookup(metadata, "Acquisition_instrument.TEM"), Mapping)
    has_sem = isinstance(lookup(metadata, "Acquisition_instrument.SEM"), Mapping)
    return "SEM" if has_sem and not has_tem else None


def _beam_energy(instrument: Mapping[str, Any], original: Mapping[str, Any]) -> float | None:
    tia = f"{_TIA}.High tension_kV"
    for candidate in (instrument.get("beam_energy"), lookup(original, tia)):
        value = _positive(candidate)
        if value is not None and _ENERGY_KEV[0] <= value <= _ENERGY_KEV[1]:
            return value
    return None


def _camera_length(instrument: Mapping[str, Any], reader: str) -> float | None:
    value = _positive(instrument.get("camera_length"))
    factor = _CAMERA_LENGTH_FACTOR.get(reader, 1.0)
    return None if value is None or factor is None else value * factor


def _detector(
    metadata: Mapping[str, Any], instrument: Mapping[str, Any], original: Mapping[str, Any]
) -> str | None:
    places = (
        lookup(original, "BinaryResult.Detector"),
        lookup(instrument, "Detector.EDS.detector_type"),
        lookup(instrument, "Detector.EDS.detector"),
        lookup(instrument, "Detector.Camera.Name"),
        lookup(instrument, "Detector.Camera.name"),
        lookup(instrument, "Detector.detector_type"),
        lookup(original, f"{_DM_TAGS}.Acquisition.Device.Name"),
    )
    named = next((_text(place) for place in places if _text(place)), None)
    title = str(lookup(metadata, "General.title") or "").strip()
    if named is None and title != "SEM" and _named_modality(title) not in (None, "FFT"):
        return re.sub(r" (image|detector)$", "", title, flags=re.I)
    return named


def _dwell_time(
    instrument: Mapping[str, Any], original: Mapping[str, Any], mode: str
) -> float | None:
    candidates = [instrument.get("dwell_time"), lookup(original, "Scan.DwellTime")]
    if "STEM" in mode:  # TIA files its dwell time, in seconds, under the camera's exposure
        candidates.append(lookup(original, "ObjectInfo.AcquireInfo.DwellTimePath"))
    return next((value for value in map(_positive, candidates) if value is not None), None)


def iso_date(date: Any, time: Any = None, zone: Any = None) -> str | None:
    """Return date, time and time zone as ISO 8601, or None where the date is ambiguous.

    Examples
    --------
    >>> iso_date("2011-10-18", "18:18:46")
    '2011-10-18T18:18:46'
    >>> iso_date("14.10.2014")
    '2014-10-14'
    """
    text = str(date or "").strip()
    dotted = re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", text)
    if dotted:
        text = f"{dotted[3]}-{int(dotted[2]):02d}-{int(dotted[1]):02d}"
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        return None
    try:
        clock = dt.time.fromisoformat(str(time).strip()[:15])
    except ValueError:
        return day.isoformat()
    suffix = {"UTC": "+00:00"}.get(str(zone), str(zone))
    valid = re.fullmatch(r"[+-]\d{2}:\d{2}", suffix) is not None
    return f"{day.isoformat()}T{clock.isoformat(timespec='auto')}{suffix if valid else ''}"


def flat_items(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf of nested mappings with its dotted path."""
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flat_items(value, f"{path}.")
        else:
            yield path, value


def _text(value: Any) -> str | None:
    text = str(value).strip() if isinstance(value, str) else ""
    return text or None


def _finite(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _positive(value: Any) -> float | None:
    number = _finite(value)
    return number if number is not None and number > 0 else None
