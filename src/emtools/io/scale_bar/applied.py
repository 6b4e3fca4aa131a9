"""What a picture says about its own scale, brought to its image: pixel size, mask and audit."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import ndimage

from emtools.io.scale_bar.reading import NoReading, ScaleReading, read_scale_bar
from emtools.io.sidecar import stated_beside
from emtools.model.calibration import DEFAULT_SCALE_ERR
from emtools.process.annotations import find_annotations
from emtools.process.bars import with_record
from emtools.units import LENGTH

if TYPE_CHECKING:
    from emtools.model import Image

ScaleBars = Literal["missing", "prefer", "ignore"]

_READERS = ("pictures", "tiff")  # of files that a program exports for people to look at
_LARGEST_PX = 64_000_000
_AGREE = 0.05
_MARGIN = 3  # pixels around what is drawn that compression may have touched
_LIKE, _PLAIN = 0.02, 0.75  # of the range; of what surrounds bar and label: it is one grey level
_LARGEST_PLATE = 0.25  # of the picture
_STRIP = 0.25  # of the height: where programs draw bars


def with_scale_bar(image: Image, use: ScaleBars = "missing") -> Image:
    """Read the bar that is drawn into an exported picture, and mask it.

    Parameters
    ----------
    image
        As read; what no program draws a bar into is returned as it is.
    use
        ``missing``: the bar gives the pixel size where the file states none, and is compared with
        it where it does; ``prefer``: the bar's is used in any case; ``ignore``: nothing is read.

    Returns
    -------
    Image
        A pixel size from the bar has the source ``picture``; its uncertainty is that of both ends
        of the bar and, as for a file's, 2.5 % of the microscope that drew it.  What was read is
        kept, see `scale_bar_of`.
    """
    if not _may_have_one(image):
        return image
    image = _with_sidecar(image)
    if use == "ignore":
        return image
    stated = image.plane_axes[1].calibrated
    pixels = image.load()
    if stated and use != "prefer" and not _drawn_into(pixels):
        return image
    reading = read_scale_bar(pixels)
    if isinstance(reading, NoReading):
        return image if stated or not reading.bar_found else replace(
            image, audit=(*image.audit, f"no pixel size: {reading.reason}"))
    used = not stated or use == "prefer"
    note = _compared(image, reading, used=used) if stated else _said(reading)
    if used:
        image = _scaled(image, reading)
    image = replace(image, mask=_masked(image, reading), audit=(*image.audit, note))
    return with_record(image, _record(reading, used=used))


def _with_sidecar(image: Image) -> Image:
    """Take the pixel size from the text file beside a picture that states none itself."""
    beside = None if image.plane_axes[1].calibrated or image.source.file is None else \
        stated_beside(Path(image.source.file), image.shape)
    if beside is None:
        return image
    axes = tuple(replace(axis, pixel_size=beside.pixel_size_nm, unit=LENGTH, source="file")
                 if axis.name in ("y", "x") else axis for axis in image.axes)
    return replace(image, axes=axes, audit=(*image.audit, (
        f"pixel size {beside.pixel_size_nm:.6g} nm from {beside.name} beside it")))


def _may_have_one(image: Image) -> bool:
    return (image.is_plane and image.data.dtype.kind in "uib" and math.prod(image.shape) <=
            _LARGEST_PX and image.source.reader.startswith(_READERS))


def _drawn_into(pixels: np.ndarray[Any, Any]) -> bool:
    """Whether something may be drawn in the extreme value of the upper or lower part, quickly."""
    rows = max(16, round(_STRIP * pixels.shape[0]))
    for strip in (pixels[-rows:], pixels[:rows]):
        for value in (strip.min(), strip.max()):
            if (strip == value).sum() > 0.08 * pixels.shape[1]:
                return find_annotations(pixels) is not None
    return False


def _scaled(image: Image, reading: ScaleReading) -> Image:
    err = math.hypot(reading.relative_err, DEFAULT_SCALE_ERR)
    axes = tuple(
        replace(axis, pixel_size=reading.pixel_size, unit=reading.unit, offset=0.0,
                pixel_size_err=err * reading.pixel_size, source="picture")
        if axis.name in ("y", "x") else axis for axis in image.axes)
    audit = tuple(line.removesuffix("; the image is in px") for line in image.audit)
    return replace(image, axes=axes, audit=audit)


def _said(reading: ScaleReading) -> str:
    doubts = f"; doubtful: {'; '.join(reading.doubts)}" if reading.doubts else ""
    checked = f", as the {reading.confirmed_by} in it says" if reading.confirmed_by else ""
    return (f"pixel size {reading.pixel_size:.4g} {reading.unit} read from the picture: its bar of "
            f"{reading.bar.length_px:.1f} px (± {100 * reading.relative_err:.1g} %) is labelled "
            f"{reading.label.text!r}{checked}{doubts}")


def _compared(image: Image, reading: ScaleReading, *, used: bool) -> str:
    axis = image.plane_axes[1]
    bar = (f"{reading.pixel_size:.4g} {reading.unit} ({reading.label.text!r} over "
           f"{reading.bar.length_px:.1f} px)")
    alike = axis.unit == reading.unit \
        and abs(reading.pixel_size / axis.pixel_size - 1.0) < max(_AGREE, 3 * reading.relative_err)
    taken = "the bar's is used" if used else "the file's is used (--trust-bar for the bar's)"
    if alike:
        return f"the bar in the picture says {bar}, as the file does; {taken}"
    return (f"conflict: the file states a pixel size of {axis.pixel_size:.4g} {axis.unit}, the bar "
            f"in the picture {bar}; {taken}")


def _masked(image: Image, reading: ScaleReading) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """The image's mask without bar, label, the box they stand in, and banner."""
    pixels = image.load()
    mask = np.ones(pixels.shape, dtype=bool) if image.mask is None else image.mask.copy()
    if reading.drawn is not None:
        mask &= ~reading.drawn.mask
    boxes = (reading.bar, reading.label)
    rows, columns = (
        slice(max(0, math.floor(min(ends[0])) - _MARGIN), math.ceil(max(ends[1])) + _MARGIN)
        for ends in (([box.top for box in boxes], [box.bottom for box in boxes]),
                     ([box.left for box in boxes], [box.right for box in boxes])))
    mask[rows, columns] = False
    mask[_plate(pixels, rows, columns)] = False
    return mask


def _plate(pixels: np.ndarray[Any, Any], rows: slice, columns: slice) -> tuple[slice, slice]:
    """The plain box that a program draws behind bar and label, or what is given."""
    part = pixels[rows, columns]
    border = np.concatenate([part[0], part[-1], part[:, 0], part[:, -1]]).astype(float)
    level = float(np.median(border))
    near = _LIKE * float(np.ptp(pixels.astype(np.float32)))
    if (np.abs(border - level) <= near).mean() < _PLAIN:
        return rows, columns
    labels, _ = ndimage.label(np.abs(pixels.astype(np.float32) - level) <= near)
    inside = labels[rows, columns]
    plate = int(np.bincount(inside[inside > 0]).argmax()) if inside.any() else 0
    found = tuple(ndimage.find_objects(labels)[plate - 1]) if plate else (rows, columns)
    area = math.prod(side.stop - side.start for side in found)
    if area >= _LARGEST_PLATE * pixels.size:
        return rows, columns
    # With the line that may be drawn around it.
    return (slice(max(0, found[0].start - _MARGIN), found[0].stop + _MARGIN),
            slice(max(0, found[1].start - _MARGIN), found[1].stop + _MARGIN))


def _record(reading: ScaleReading, *, used: bool) -> dict[str, Any]:
    bar, label = reading.bar, reading.label
    return {
        "text": label.text, "length": reading.length.value, "unit": reading.unit,
        "length_px": bar.length_px, "pixel_size": reading.pixel_size,
        "pixel_size_err": reading.relative_err * reading.pixel_size, "used": used,
        "doubts": list(reading.doubts), "confirmed_by": reading.confirmed_by,
        "kind": bar.kind, "bar": [bar.top, bar.bottom, bar.left, bar.right],
        "label": [label.top, label.bottom, label.left, label.right]}
