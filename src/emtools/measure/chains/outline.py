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

TOO_WIDE = 1.3  # of the largest width sought: contamination, and edges of the film
_OUTLINE = 0.92  # the foreground's outline lies at about this fraction of a body's radius
_DIP = 0.08  # of the height: the least dip between two dots that are told apart
_LINE_WIDTHS = 3.0  # a line-like object is at least this many widths long
_FITTABLE_PX = 3.6  # width below which a dot cannot be told from the blur
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


def sort_foreground(
    ground: Ground, widths_px: tuple[float, float], max_gap_px: float
) -> Outline:
    """Sort the objects of the foreground by their width, length and maxima.

    Parameters
    ----------
    ground
        The image without its ground.
    widths_px
        Smallest and largest width sought.
    max_gap_px
        Largest gap in a chain: bridged where dots are too small to be told apart.
    """
    objects = _Objects(ground.foreground, widths_px)
    if not objects.usable.any():
        return Outline(np.zeros((0, 2)), np.zeros_like(objects.labels), widths_px[0],
                       int(objects.blob.sum()))
    if objects.width < _FITTABLE_PX:
        return only_lines(ground, widths_px, max_gap_px)
    maxima = _maxima(ground, objects.width)
    owner = objects.labels[tuple(np.rint(maxima).astype(int).T)]
    n_maxima = np.bincount(owner, minlength=len(objects.widest) + 1)[1:]
    line = objects.long & (n_maxima * _DOT_PITCH * objects.widest < objects.length)
    kept = np.concatenate([[False], objects.usable & ~line])
    return Outline(maxima[kept[owner]], objects.only(line), objects.width,
                   int(objects.blob.sum()))


class _Objects:
    """Connected objects of a foreground, with their size."""

    def __init__(self, foreground: NDArray[np.bool_], widths_px: tuple[float, float]) -> None:
        self.labels, n = ndimage.label(foreground, structure=np.ones((3, 3)))
        depth = ndimage.distance_transform_edt(np.pad(foreground, 1))[1:-1, 1:-1]
        deepest = np.asarray(ndimage.maximum(depth, self.labels, np.arange(1, n + 1)))
        self.widest = 2.0 * deepest.reshape(n) / _OUTLINE
        self.blob = self.widest > TOO_WIDE * widths_px[1]
        self.usable = ~self.blob & (self.widest >= 0.5 * widths_px[0])
        area = np.bincount(self.labels.ravel(), minlength=n + 1)[1:]
        self.length = area / np.maximum(0.85 * self.widest, 1.0)
        self.long = self.usable & (self.length > _LINE_WIDTHS * self.widest)
        typical = float(np.median(self.widest[self.usable])) if self.usable.any() else widths_px[0]
        self.width = float(np.clip(typical, *widths_px))

    def only(self, chosen: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Return labels of the chosen objects, numbered anew."""
        labels, _ = ndimage.label(np.concatenate([[False], chosen])[self.labels],
                                  structure=np.ones((3, 3)))
        return np.asarray(labels, dtype=np.int32)


def only_lines(
    ground: Ground, widths_px: tuple[float, float], max_gap_px: float
) -> Outline:
    """Sort a foreground of bodies so small that no dot can be fitted: rows of them are lines."""
    reach = max(1, round(0.5 * max_gap_px))
    margin = reach + 1
    closed = ndimage.binary_closing(np.pad(ground.foreground, margin), np.ones((3, 3), dtype=bool),
                                    iterations=reach)[margin:-margin, margin:-margin]
    objects = _Objects(closed, widths_px)
    return Outline(np.zeros((0, 2)), objects.only(objects.long), objects.width,
                   int(objects.blob.sum()))


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
