"""Scale bars that were drawn into a picture: where they are and how long, to a part of a pixel.

A bar is a thin horizontal stroke of one grey level, whatever lies under it: it stands out of its
own column and lasts along its row (`strokes`).  Solid bars, outlined boxes, ladders of black and
white pieces, lines with end marks or with their label in the middle (`composed`), and rulers of
ticks (`rulers`) are found.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.process.bars.composed import boxes, ladders, split_lines
from emtools.process.bars.rulers import find_rulers
from emtools.process.bars.strokes import SHORTEST_PX, Bar, find_strokes, stands_apart

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from emtools.model import Image

__all__ = ["Bar", "as_levels", "bars_among", "find_bars", "scale_bar_of", "with_record"]

_KEY = "scale_bar"  # in an image's raw metadata


def find_bars(pixels: NDArray[np.generic]) -> list[Bar]:
    """Find all strokes of a picture that may be scale bars.

    Parameters
    ----------
    pixels
        ``(y, x)``, real.

    Returns
    -------
    list of Bar
        Those with the most contrast first.  Also edges of straight objects are among them: what
        makes a scale bar of a stroke is its label.
    """
    levels = as_levels(pixels)
    return [] if levels is None else bars_among(levels)


def bars_among(levels: NDArray[np.uint8]) -> list[Bar]:
    """Find the same in a picture that is 256 grey levels already, see `as_levels`."""
    if min(levels.shape) < SHORTEST_PX:
        return []
    strokes = [*find_strokes(levels),
               *(replace(bar, dark=True) for bar in find_strokes(255 - levels))]
    rulers = [bar for sign in (levels, 255 - levels) for bar in find_rulers(sign)]
    whole = [bar for bar in boxes(strokes, levels) if stands_apart(bar, levels)]
    bars = [*rulers, *ladders(strokes, levels), *split_lines(strokes), *whole]
    return sorted(bars, key=lambda bar: -bar.contrast)


def as_levels(pixels: NDArray[np.generic]) -> NDArray[np.uint8] | None:
    """Return 256 grey levels from the lowest to the highest value; None if there is but one."""
    values = np.nan_to_num(np.asarray(pixels, dtype=np.float32))
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return None
    return np.asarray((values - low) * (255.0 / (high - low)) + 0.5, dtype=np.uint8)


def scale_bar_of(image: Image) -> dict[str, Any] | None:
    """Return what was read from the bar that is drawn into a picture, or None.

    Returns
    -------
    dict or None
        ``text, length, unit, length_px, pixel_size, pixel_size_err, used, doubts, confirmed_by,
        kind``, and ``bar`` and ``label``: top, bottom, left and right in pixel edges.
    """
    found = image.raw_metadata.get(_KEY)
    return None if found is None else dict(found)


def with_record(image: Image, record: Mapping[str, Any]) -> Image:
    """Return the image with what was read from its bar."""
    return replace(image, raw_metadata={**image.raw_metadata, _KEY: dict(record)})
