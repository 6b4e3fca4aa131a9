"""Axes as a file states them -> axes in canonical units, with a sentence for all that is odd.

Whatever a file says about an axis is judged here and nowhere else: what is a calibration, what is
none, and why.  Nothing is guessed: an axis that cannot be trusted is in pixels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.errors import UnitError
from emtools.model.calibration import PLAUSIBLE_PIXEL, Axis
from emtools.units import LENGTH, PIXEL, RECIPROCAL, Unit, parse_unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENERGY = "keV"
SPECTRAL = ("energy", "channel")

# A camera's pixels are measured in cm and inches, a specimen never is: such a number is the size
# of the detector or of the print, not of what is seen.
_NOT_ON_THE_SPECIMEN = {"cm", "centimeter", "centimetre", "inch", "in", "inches"}
_SPATIAL = {"", "x", "y", "width", "height", "r_x", "r_y"}
# Pixel sizes along y and x that differ by less are the same number written twice.
_SQUARE = 1e-3


def plain_axis(axis: Mapping[str, Any]) -> dict[str, Any]:
    """Return an axis as read with plain values only (no NumPy scalars, no 'undefined' objects)."""
    plain: dict[str, Any] = {}
    for key, value in axis.items():
        if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value) == 1:
            plain[key] = [float(item) for item in value]
        elif isinstance(value, (np.generic, np.ndarray)):
            plain[key] = value.item()
        elif isinstance(value, bytes):
            plain[key] = value.decode("utf-8", "replace")
        elif value is None or isinstance(value, (str, int, float, bool)):
            plain[key] = value
        else:
            plain[key] = str(value)
    return plain


def read_axes(
    raw_axes: Sequence[Mapping[str, Any]], shape: Sequence[int], signal_dimension: int | None = None
) -> tuple[tuple[Axis, ...], list[str]]:
    """Return the axes of an image in canonical units, and what was odd about them.

    Parameters
    ----------
    raw_axes
        One mapping per dimension: ``name, size, scale, offset, units, navigate`` (as RosettaSciIO
        and HyperSpy write them), or ``axis`` with the positions of an uneven one.
    shape
        The shape of the data.
    signal_dimension
        Number of trailing dimensions that belong to one signal; None: all that do not navigate.

    Returns
    -------
    tuple of (tuple of Axis, list of str)
        The axes in the order of the dimensions, and plain sentences for the audit.
    """
    raws = [plain_axis(axis) for axis in raw_axes]
    raws = raws if len(raws) == len(shape) else [{} for _ in shape]
    if signal_dimension is None:
        signal_dimension = sum(1 for axis in raws if not axis.get("navigate"))
    names = _names(raws, signal_dimension)
    axes, notes = [], []
    for name, size, raw in zip(names, shape, raws, strict=True):
        axis, found = _read_axis(name, int(size), raw)
        axes.append(axis)
        notes.extend(found)
    return tuple(axes), _one_plane(axes, raws, notes)


def _names(raws: Sequence[Mapping[str, Any]], signal_dimension: int) -> list[str]:
    """Name the dimensions: the last two are y, x unless one of them holds a spectrum."""
    spectral = _spectral_index(raws, signal_dimension)
    rest = [index for index in range(len(raws)) if index != spectral]
    names = dict(zip(rest, _spatial_names(len(rest)), strict=True))
    if spectral is not None:
        names[spectral] = "energy" if _kind(raws[spectral]) == ENERGY else "channel"
    return [names[index] for index in range(len(raws))]


def _spatial_names(count: int) -> list[str]:
    if count <= 2:
        return ["y", "x"][2 - count:]
    if count == 3:
        return ["frame", "y", "x"]
    if count == 4:
        return ["scan_y", "scan_x", "y", "x"]
    return [f"stack_{index}" for index in range(count - 4)] + ["scan_y", "scan_x", "y", "x"]


def _spectral_index(raws: Sequence[Mapping[str, Any]], signal_dimension: int) -> int | None:
    """Position of the spectrum's axis: the one in eV, or the signal axis of 1-D signals."""
    energies = [index for index, raw in enumerate(raws) if _kind(raw) == ENERGY]
    if energies:
        return energies[-1]
    last = len(raws) - 1
    if last < 0 or signal_dimension != 1:
        return None
    # A row of a picture handled as a 1-D signal is still a row of a picture.
    named = str(raws[last].get("name") or "").lower()
    spatial = _kind(raws[last]) != PIXEL and (last == 0 or named in _SPATIAL)
    return None if spatial else last


def _kind(raw: Mapping[str, Any]) -> str:
    """Canonical unit of an axis as read; '?' for one that is not known."""
    try:
        return parse_unit(raw.get("units")).name
    except UnitError:
        return "?"


def _read_axis(name: str, size: int, raw: Mapping[str, Any]) -> tuple[Axis, list[str]]:
    stated = str(raw.get("units") or "").strip()
    try:
        unit = parse_unit(raw.get("units"))
    except UnitError:
        return Axis(name, size), [
            f"{name}: the file's unit {stated!r} is no unit of length, 1/length or energy; "
            "the axis is in px"
        ]
    if name not in SPECTRAL and stated.lower() in _NOT_ON_THE_SPECIMEN:
        return Axis(name, size), [
            f"{name}: the file states a size in {stated!r}, which is a length on the detector, "
            "not on the specimen; the axis is in px"
        ]
    if raw.get("axis") is not None:
        return _uneven_axis(name, size, raw["axis"], unit)
    return _even_axis(name, size, raw, unit)


def _even_axis(name: str, size: int, raw: Mapping[str, Any], unit: Unit) -> tuple[Axis, list[str]]:
    stated, offset = _number(raw.get("scale", 1.0)), _number(raw.get("offset", 0.0))
    step = stated * unit.factor
    if unit.name == PIXEL:
        return _without_unit(name, size, stated, offset)
    problem = _implausible(abs(step), unit.name)
    if problem:
        return Axis(name, size), [
            f"{name}: the file says {stated:.6g} {raw.get('units')} per pixel, which is {problem}; "
            "the axis is in px"
        ]
    notes = []
    position = offset * unit.factor
    if not np.isfinite(position):
        position = 0.0
        notes.append(f"{name}: the file's offset {offset} is no number; 0 is used")
    # + 0.0 turns the -0.0 of a file whose origin is 0 into 0.0.
    return Axis(name, size, pixel_size=abs(step), unit=unit.name, offset=position + 0.0,
                flipped=bool(step < 0), source="file"), notes


def _without_unit(name: str, size: int, stated: float, offset: float) -> tuple[Axis, list[str]]:
    if stated in (1.0, 0.0) or not np.isfinite(stated):
        # An index axis may count from another number than 0 (frame 5 of a longer stack).
        start = offset if stated == 1.0 and np.isfinite(offset) else 0.0
        return Axis(name, size, offset=start + 0.0), []
    return Axis(name, size), [
        f"{name}: the file says {stated:.6g} per pixel without a unit, which is no calibration; "
        "the axis is in px"
    ]


def _uneven_axis(
    name: str, size: int, stated: Sequence[float], unit: Unit
) -> tuple[Axis, list[str]]:
    positions = np.asarray(stated, dtype=float) * unit.factor
    steps = np.diff(positions)
    mean = float(np.abs(np.mean(steps))) if steps.size else 1.0
    bad = positions.size != size or not (np.all(steps > 0) or np.all(steps < 0))
    if bad or (unit.name != PIXEL and _implausible(mean, unit.name)):
        return Axis(name, size), [
            f"{name}: the file's list of positions does not run in one direction with plausible "
            "steps; the axis is in px"
        ]
    return Axis(name, size, pixel_size=mean, unit=unit.name, offset=float(positions[0]),
                flipped=bool(steps.size and steps[0] < 0), positions=tuple(positions.tolist()),
                source="none" if unit.name == PIXEL else "file"), []


def _implausible(size: float, unit: str) -> str:
    """Why a pixel size cannot be true, or an empty string."""
    if not np.isfinite(size):
        return "not a number"
    if size == 0:
        return "zero"
    if unit in PLAUSIBLE_PIXEL:
        low, high = PLAUSIBLE_PIXEL[unit]
        if not low <= size <= high:
            return f"absurd (a microscope's pixel has {low:g} to {high:g} {unit})"
    return ""


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _one_plane(axes: list[Axis], raws: list[dict[str, Any]], notes: list[str]) -> list[str]:
    """Say where y and x do not fit each other; merge the same sentence said of both."""
    merged = _merge(notes)
    by_name = {axis.name: (axis, raw) for axis, raw in zip(axes, raws, strict=True)}
    if not {"y", "x"} <= by_name.keys():
        return merged
    (y, raw_y), (x, raw_x) = by_name["y"], by_name["x"]
    if y.unit != x.unit:
        merged.append(f"y is in {y.unit} but x in {x.unit}: lengths across both are not measurable")
    elif y.calibrated and abs(y.pixel_size / x.pixel_size - 1.0) > _SQUARE:
        merged.append(f"the pixels are not square: y {y.pixel_size:.6g} {y.unit}, "
                      f"x {x.pixel_size:.6g} {x.unit}")
    if y.calibrated and x.calibrated and raw_y.get("units") != raw_x.get("units"):
        merged.append(f"y is stated in {raw_y.get('units')!r}, x in {raw_x.get('units')!r}; "
                      "both were converted")
    if not (y.calibrated or x.calibrated) and not any(note[:2] in ("y:", "x:", "y,")
                                                      for note in merged):
        merged.append("y, x: the file states no pixel size; the image is in px")
    return merged


def _merge(notes: Sequence[str]) -> list[str]:
    """Join sentences that differ only in the axis they speak of: 'y, x: ...'."""
    subjects: dict[str, list[str]] = {}
    for note in notes:
        subject, _, statement = note.partition(": ")
        subjects.setdefault(statement, []).append(subject)
    return [f"{', '.join(names)}: {statement}" for statement, names in subjects.items()]


def in_lengths(axes: Sequence[Axis]) -> bool:
    """Whether the image plane is calibrated in nm."""
    return {axis.unit for axis in axes if axis.name in ("y", "x")} == {LENGTH}


def in_reciprocal_lengths(axes: Sequence[Axis]) -> bool:
    """Whether the image plane is calibrated in 1/nm."""
    return {axis.unit for axis in axes if axis.name in ("y", "x")} == {RECIPROCAL}


def with_statements(axes: Sequence[Axis], stated: Sequence[Axis]) -> list[Axis] | None:
    """Give axes back the uncertainty and source they had, if they are still the same axes.

    Parameters
    ----------
    axes
        The axes now.
    stated
        The axes as they were.

    Returns
    -------
    list of Axis or None
        None if any axis was changed meanwhile.
    """
    if len(axes) != len(stated):
        return None
    now = [replace(axis, pixel_size_err=old.pixel_size_err, source=old.source, name=old.name)
           for axis, old in zip(axes, stated, strict=True)]
    return list(stated) if now == list(stated) else None
