"""An image in plain values, as `emtools info` shows it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from emtools.model.image import used_part

if TYPE_CHECKING:
    from emtools.model import Axis, Image


def describe(image: Image) -> dict[str, Any]:
    """Return what is known of an image without touching its pixels.

    Parameters
    ----------
    image
        The image.

    Returns
    -------
    dict
        ``file, signal, index, reader, shape, dtype, lazy, axes, acquisition, audit, steps``, and
        of an image with a mask ``used``, the rows and columns that hold all that may be used:
        plain values that JSON can hold.
    """
    source = image.source
    return {
        "file": source.file, "signal": source.signal, "index": source.index,
        "reader": source.reader, "shape": list(image.shape), "dtype": str(image.data.dtype),
        "lazy": image.lazy, "axes": [_describe_axis(axis) for axis in image.axes],
        "acquisition": {key: value for key, value in asdict(image.acquisition).items()
                        if value is not None},
        "audit": list(image.audit), "steps": [asdict(step) for step in image.steps],
    } | ({} if image.mask is None else {
        "used": {axis: list(ends) for axis, ends in zip(
            "yx", zip(*used_part(image.mask), strict=True), strict=True)}})


def _describe_axis(axis: Axis) -> dict[str, Any]:
    return {
        "name": axis.name, "size": axis.size, "pixel_size": axis.pixel_size, "unit": axis.unit,
        "pixel_size_err": axis.relative_err * axis.pixel_size if axis.calibrated else None,
        "offset": axis.offset, "flipped": axis.flipped, "source": axis.source,
        "even": axis.positions is None,
    }
