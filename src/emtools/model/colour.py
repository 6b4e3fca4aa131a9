"""Colour pictures -> grey ones."""

from __future__ import annotations

from typing import Any

import numpy as np

# Rec. 601 luma in thousandths: integers that add up to 1000 leave an equal R = G = B untouched.
_LUMA = (299, 587, 114)
# Whether a picture is grey can only be known by reading it; above this many pixels it is not.
_READ_AT_MOST = 100_000_000


def grey(data: Any) -> tuple[Any, list[str]]:
    """Return the grey levels of pixels with R, G, B fields, and what was done.

    Parameters
    ----------
    data
        NumPy or dask array; any without the fields ``R, G, B`` is handed back as it is.

    Returns
    -------
    tuple of (array, list of str)
        The grey channel of a grey picture; the luminance of a coloured one, with a sentence that
        says so.
    """
    names = data.dtype.names or ()
    if not {"R", "G", "B"} <= set(names):
        return data, []
    if data.size > _READ_AT_MOST and not isinstance(data, np.ndarray):
        luminance = data.map_blocks(_luminance, dtype=data.dtype["R"])
        return luminance, ["a picture in RGB: its luminance is measured"]
    pixels = data if isinstance(data, np.ndarray) else data.compute(scheduler="synchronous")
    if np.array_equal(pixels["R"], pixels["G"]) and np.array_equal(pixels["R"], pixels["B"]):
        return np.ascontiguousarray(pixels["R"]), []
    return _luminance(pixels), ["a colour picture: its luminance is measured, colour is not used"]


def _luminance(pixels: Any) -> Any:
    channels = [pixels[name] for name in ("R", "G", "B")]
    dtype = channels[0].dtype
    if dtype.kind == "f":
        return sum(weight / 1000.0 * channel
                   for weight, channel in zip(_LUMA, channels, strict=True)).astype(dtype)
    total = sum(weight * channel.astype(np.uint64)
                for weight, channel in zip(_LUMA, channels, strict=True))
    return ((total + np.uint64(500)) // np.uint64(1000)).astype(dtype)
