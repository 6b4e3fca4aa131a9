"""Banners and scale bars that a microscope's software burnt into the pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BANNER_FLAT = 0.4  # of a banner's row has exactly one value; no micrograph with noise does
_BANNER_EDGE = 0.8  # and of one of its last rows towards the picture
_EDGE_ROWS = 4
_BANNER_MAX = 0.25  # of the picture's height
_BAR_MIN = 0.04  # of the picture's width
_MARGIN = 3  # pixels around an annotation that compression and smoothing may have touched


@dataclass(frozen=True)
class Annotations:
    """Where the burnt-in pixels are (True), and what they are in words."""

    mask: NDArray[np.bool_]
    description: str


def find_annotations(pixels: NDArray[np.generic]) -> Annotations | None:
    """Find a burnt-in banner and scale bars.

    A banner is a band of rows along the lower or upper edge, most of which has exactly the same
    value.  A scale bar is a solid rectangle of exactly the lowest or highest value of the picture.

    Parameters
    ----------
    pixels
        ``(y, x)`` as stored: the test for exactly equal values needs the untouched integers.

    Returns
    -------
    Annotations or None
        None if nothing was found, or if the pixels are not integers.
    """
    if pixels.dtype.kind not in "iu" or pixels.min() == pixels.max():
        return None
    mask = np.zeros(pixels.shape, dtype=bool)
    found = []
    rows = _banner_rows(pixels)
    if rows is not None:
        mask[rows] = True
        found.append(f"banner of {rows.stop - rows.start} rows")
    bars = _bars(pixels, mask)
    if bars:
        for bar in bars:
            mask[tuple(_grown(part, n) for part, n in zip(bar, pixels.shape, strict=True))] = True
        found.append(f"{len(bars)} burnt-in bar{'s' if len(bars) > 1 else ''}")
    return Annotations(mask, " and ".join(found) + " masked") if found else None


def _grown(part: slice, n: int) -> slice:
    return slice(max(0, part.start - _MARGIN), min(n, part.stop + _MARGIN))


def _banner_rows(pixels: NDArray[np.generic]) -> slice | None:
    height = pixels.shape[0]
    share = _largest_share(pixels)
    flat = share >= _BANNER_FLAT
    # A picture that is flat nearly everywhere (a mask, a drawing) has no banner.
    if flat.mean() > 2 * _BANNER_MAX:
        return None
    lower = _run_from_edge(flat[::-1])
    upper = _run_from_edge(flat)
    limit = int(_BANNER_MAX * height)
    # A dark corner that is clipped ends gradually; a banner with a row of its own.
    if 4 <= lower <= limit and _ends_sharply(share[::-1], lower):
        return slice(height - lower, height)
    if 4 <= upper <= limit and _ends_sharply(share, upper):
        return slice(0, upper)
    return None


def _ends_sharply(share: NDArray[np.float64], rows: int) -> bool:
    return bool(share[max(0, rows - _EDGE_ROWS):rows].max() >= _BANNER_EDGE)


def _largest_share(pixels: NDArray[np.generic]) -> NDArray[np.float64]:
    """Part of each row that the most frequent of its values holds, where that is large.

    A value that holds 40 % of a sorted row is found at one of three fixed quantiles, so it is
    enough to count those.
    """
    width = pixels.shape[1]
    ordered = np.sort(pixels, axis=1)
    best = np.zeros(pixels.shape[0])
    for quantile in (0.3, 0.5, 0.7):
        value = ordered[:, int(quantile * (width - 1))][:, None]
        best = np.maximum(best, (pixels == value).mean(axis=1))
    return best


def _run_from_edge(flat: NDArray[np.bool_]) -> int:
    """Length of the run of flat rows at the start, bridging the lines of text inside it."""
    limit = int(_BANNER_MAX * flat.size) + 1
    last, gap = -1, 0
    for row, is_flat in enumerate(flat[:limit]):
        if is_flat:
            last, gap = row, 0
        else:
            gap += 1
            if gap > max(3, limit // 4):
                break
    return last + 1


def _bars(pixels: NDArray[np.generic], mask: NDArray[np.bool_]) -> list[tuple[slice, ...]]:
    open_pixels = pixels if not mask.any() else pixels[~mask]
    bars: list[tuple[slice, ...]] = []
    for value in (open_pixels.min(), open_pixels.max()):
        extreme = (pixels == value) & ~mask
        # An image clipped at this value (saturated, empty background) shows no bar.
        if not 0 < extreme.mean() < 0.05:
            continue
        labels, _ = ndimage.label(extreme)
        bars += [box for label, box in enumerate(ndimage.find_objects(labels), start=1)
                 if _is_bar(labels[box] == label, pixels.shape[1])]
    return bars


def _is_bar(shape: NDArray[np.bool_], image_width: int) -> bool:
    height, width = shape.shape
    return bool(width >= _BAR_MIN * image_width and height >= 2 and width >= 4 * height
                and shape.mean() > 0.95)
