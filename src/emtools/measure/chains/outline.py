"""The foreground sorted: single dots and rows of dots, line-like objects, and blobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.morphology import reconstruction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains.ground import Ground

_OUTLINE = 0.92  # the foreground's outline lies at about this fraction of a body's radius
_DIP = 0.08  # of the height: the least dip between two dots that are told apart
_LINE_WIDTHS = 3.0  # a line-like object is at least this many widths long
_DOT_PITCH = 1.8  # widths; fewer maxima per length: not a row of dots


@dataclass(frozen=True)
class Outline:
    """What the foreground holds.

    Parameters
    ----------
    maxima
        ``(n, 2)`` centres of dots to be fitted.
    lines
        Labels of line-like objects without resolved dots.
    width_px
        Typical width of the bodies.
    n_blobs
        Objects wider than anything sought, left out.
    """

    maxima: NDArray[np.float64]
    lines: NDArray[np.int32]
    width_px: float
    n_blobs: int


def sort_foreground(ground: Ground, widths_px: tuple[float, float]) -> Outline:
    """Sort the objects of the foreground by their width, length and maxima."""
    labels, n = ndimage.label(ground.foreground, structure=np.ones((3, 3)))
    if n == 0:
        return Outline(np.zeros((0, 2)), labels, widths_px[0], 0)
    depth = ndimage.distance_transform_edt(np.pad(ground.foreground, 1))[1:-1, 1:-1]
    index = np.arange(1, n + 1)
    widest = 2.0 * np.asarray(ndimage.maximum(depth, labels, index)) / _OUTLINE
    blob = widest > 1.3 * widths_px[1]
    thin = widest < 0.5 * widths_px[0]
    usable = ~(blob | thin)
    if not usable.any():
        return Outline(np.zeros((0, 2)), np.zeros_like(labels), widths_px[0], int(blob.sum()))
    width = float(np.clip(np.median(widest[usable]), *widths_px))
    maxima = _maxima(ground, width)
    owner = labels[tuple(np.rint(maxima).astype(int).T)]
    area = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    n_maxima = np.bincount(owner, minlength=n + 1)[1:]
    length = area / np.maximum(0.85 * widest, 1.0)
    line = usable & (length > _LINE_WIDTHS * widest) & (n_maxima * _DOT_PITCH * widest < length)
    kept = np.concatenate([[False], usable & ~line])
    is_line = np.concatenate([[False], line])
    lines, _ = ndimage.label(is_line[labels], structure=np.ones((3, 3)))
    return Outline(maxima[kept[owner]], lines, width, int(blob.sum()))


def _maxima(ground: Ground, width_px: float) -> NDArray[np.float64]:
    """Maxima that rise above the saddles around them by more than noise and texture do."""
    smooth = ndimage.gaussian_filter(ground.signal, max(0.7, 0.15 * width_px))
    typical = float(np.median(smooth[ground.foreground]))
    rise = np.float32(max(_DIP * typical, 0.7 * ground.threshold))
    domed = reconstruction(smooth - rise, smooth, method="dilation")
    tops = (smooth - domed >= 0.999 * rise) & ground.foreground
    labels, n = ndimage.label(tops, structure=np.ones((3, 3)))
    if n == 0:
        return np.zeros((0, 2))
    highest = ndimage.maximum_position(smooth, labels, np.arange(1, n + 1))
    return np.array(highest, dtype=float)
