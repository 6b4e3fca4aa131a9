"""The foreground sorted: single dots and rows of dots, line-like objects, and blobs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from emtools.measure.chains.cells import smoothed
from emtools.measure.chains.film import TOO_WIDE
from emtools.measure.chains.rejected import NARROWER, WIDER, Rejected

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains.ground import Ground
    from emtools.measure.chains.strokes import Stroke

_OUTLINE = 0.92  # the foreground's outline lies at about this fraction of a body's radius
_DIP = 0.06  # of a top's height: the least dip between two dots that are told apart
_LINE_WIDTHS = 3.0  # a line-like object is at least this many widths long
FITTABLE_PX = 3.6  # width below which a dot cannot be told from the blur
_DOT_PITCH = 1.8  # widths; fewer maxima per length: not a row of dots
_BUNDLE_WIDTHS = 12.0  # widths: the lines of a bundle are together at least so long
_COVERED = 0.45  # of a row's outline: least area of the dots fitted to it
_ROUND = 6.0  # widths of a disc in its mean depth; of a line 4
# Touching spheres under a blur of 0.28 of their pitch dip by a fifth of their height, and what
# is more blurred has no width to be fitted: shallower dips are a wire's texture.
_LEAST_DIP = 0.22
_NOISE_DIP = 1.5  # of its deviation: what noise adds to a dip
_LEAST_NECK = 0.25  # of the breadth at the tops: balls that touch in a saturated picture have necks
_BESIDE = 2.5  # widths: neighbours of which the dip between is looked at
_NEIGHBOURS = 1.7  # widths: tops further apart are not two of one hill


class Shape(NamedTuple):
    """One object of the foreground.

    Parameters
    ----------
    origin
        Row and column of its mask's pixel 0, 0.
    mask
        ``(y, x)``.
    stroke
        As it was drawn, where it was.
    """

    origin: tuple[int, int]
    mask: NDArray[np.bool_]
    stroke: Stroke | None = None

    def holds(self, places: NDArray[np.float64]) -> NDArray[np.intp]:
        """Which of ``(n, 2)`` places in the picture lie on it."""
        place = np.rint(places).astype(int) - self.origin
        near = np.flatnonzero(((place >= 0) & (place < self.mask.shape)).all(axis=1))
        return np.asarray(near[self.mask[tuple(place[near].T)]])


@dataclass(frozen=True)
class Outline:
    """What the foreground holds.

    Parameters
    ----------
    maxima
        ``(n, 2)`` centres of dots to be fitted.
    lines
        Line-like objects without resolved dots.
    width_px
        Typical width of the bodies.
    rejected
        Objects wider or narrower than anything sought.
    rows
        Line-like objects whose maxima are among those to be fitted.
    sought_px
        Smallest and largest width sought.
    """

    maxima: NDArray[np.float64]
    lines: list[Shape]
    width_px: float
    rejected: list[Rejected]
    rows: list[Shape]
    sought_px: tuple[float, float]


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
    objects = Objects(ground.runs, ground.outline.shape, widths_px)
    if not objects.usable.any():
        return Outline(np.zeros((0, 2)), [], widths_px[0], objects.rejected(), [], widths_px)
    if objects.width < FITTABLE_PX:
        return only_lines(ground, widths_px, max_gap_px)
    maxima, owner = find_maxima(ground, objects)
    line = line_like(ground, objects, maxima, owner, objects.long)
    kept = np.concatenate([[False], objects.usable & ~line])
    return Outline(maxima[kept[owner]], objects.only(line), objects.width,
                   objects.rejected(), objects.only(objects.long & ~line), widths_px)


def line_like(
    ground: Ground, objects: Objects, maxima: NDArray[np.float64], owner: NDArray[np.int64],
    long: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """Which of the `long` objects show no row of dots, given their maxima."""
    n_maxima = np.bincount(owner, minlength=len(objects.widest) + 1)[1:]
    too_few = n_maxima * _DOT_PITCH * objects.typical < objects.length
    shallow = _shallow(ground, objects, maxima, owner)
    return np.asarray(long & (too_few | shallow | objects.bundle))


def without_fit(
    outline: Outline, centres: NDArray[np.float64], areas: NDArray[np.float64]
) -> tuple[Outline, NDArray[np.bool_]]:
    """Take rows for lines where the dots that could be fitted cover too little of them.

    Parameters
    ----------
    outline
        What the foreground holds.
    centres, areas
        Of the fitted dots, in pixels.

    Returns
    -------
    tuple
        The outline with these among its lines, and which dots lie on none of them.
    """
    keep = np.ones(len(centres), dtype=bool)
    lines = []
    for shape in outline.rows:
        on = shape.holds(centres)
        if areas[on].sum() < _COVERED * shape.mask.sum():
            lines.append(shape)
            keep[on] = False
    return replace(outline, lines=[*outline.lines, *lines], rows=[]), keep


def _shallow(
    ground: Ground, objects: Objects, maxima: NDArray[np.float64], owner: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which objects are as bright, and as broad, between their tops as at them: no row of bodies.

    By the median over each top and the one that it is best joined to; none where an object has not
    two tops beside each other.
    """
    from emtools.measure.chains import _segment_kernels as kernels

    shallow = np.zeros(len(objects.widest), dtype=bool)
    pairs = cKDTree(maxima).query_pairs(_BESIDE * objects.width, output_type="ndarray") \
        if len(maxima) else np.zeros((0, 2), dtype=np.int64)
    pairs = pairs[owner[pairs[:, 0]] == owner[pairs[:, 1]]]
    if len(pairs) == 0:
        return shallow
    sigma = max(0.7, 0.1 * objects.width)
    smooth = smoothed(ground.signal, sigma)
    noise = ground.noise * np.sqrt(ground.correlation / (4.0 * np.pi * sigma**2))
    tops = maxima.astype(np.int32)
    saddles = kernels.lowest_between(smooth, tops, pairs)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    rank = np.lexsort((-np.tile(saddles, 2), both[:, 0]))
    joined, first = np.unique(both[rank, 0], return_index=True)
    best = both[rank[first]]
    height = smooth[tops[joined, 0], tops[joined, 1]]
    dips = 1.0 - np.tile(saddles, 2)[rank[first]] / np.maximum(height, 1e-30)
    narrower = 1.0 - _necks(ground.outline, maxima, best, objects.width)
    # The highest and the lowest places of noise differ too.
    least_dip = _LEAST_DIP + _NOISE_DIP * noise / np.maximum(height, 1e-30)
    beaded = np.hypot(dips / least_dip, np.maximum(narrower, 0.0) / _LEAST_NECK)
    order = np.lexsort((beaded, owner[joined]))
    numbers, starts, counts = np.unique(owner[joined][order], return_index=True,
                                        return_counts=True)
    shallow[numbers - 1] = beaded[order][starts + counts // 2] < 1.0
    return shallow


def _necks(
    outline: NDArray[np.bool_], maxima: NDArray[np.float64], pairs: NDArray[np.int64], width: float
) -> NDArray[np.float64]:
    """How broad the outline is midway between two tops, over its breadth at the narrower one."""
    ends = maxima[pairs]
    along = ends[:, 1] - ends[:, 0]
    across = np.stack([-along[:, 1], along[:, 0]], axis=-1)
    across /= np.maximum(np.hypot(*along.T), 1e-9)[:, None]
    steps = np.arange(0.0, 0.75 * width, 0.5)
    places = np.stack([ends[:, 0], ends.mean(axis=1), ends[:, 1]])
    breadth = np.zeros(places.shape[:2])
    for side in (-1.0, 1.0):
        at = np.rint(places[..., None, :] + side * steps[:, None] * across[:, None, :]).astype(int)
        inside = ((at >= 0) & (at < outline.shape)).all(axis=-1)
        at = np.clip(at, 0, np.array(outline.shape) - 1)
        breadth += np.cumprod(outline[at[..., 0], at[..., 1]] & inside, axis=-1).sum(axis=-1)
    return np.asarray(breadth[1] / np.maximum(np.minimum(breadth[0], breadth[2]), 1.0))


class Objects:
    """Connected objects of a foreground, as runs of pixels, with their size.

    Other than connected ones are `labelled`: the number of each run's object, and how many there
    are.
    """

    def __init__(
        self, runs: NDArray[np.int32], shape: tuple[int, ...], widths_px: tuple[float, float],
        labelled: tuple[NDArray[np.int32], int] | None = None,
    ) -> None:
        from emtools.measure.chains import _segment_kernels as kernels

        self.runs = runs
        self.labels: NDArray[np.int32]
        self.labels, n = kernels.label_runs(runs) if labelled is None else labelled
        deepest, mean = kernels.depths(shape, runs, self.labels, n).T
        self.widest = 2.0 * deepest / _OUTLINE
        # Depth grows evenly from a line's edge to its middle, and a disc's mean depth is a third
        # of its radius: with 4 the first comes out right, with 6 the second.  Where lines cross
        # only the deepest point is broader.
        self.typical = np.minimum(self.widest, _ROUND * np.maximum(mean - 0.5, 0.25) / _OUTLINE)
        area = np.bincount(self.labels, self.runs[:, 2] - self.runs[:, 1], minlength=n + 1)[1:]
        broad = self.widest > TOO_WIDE * widths_px[1]
        # Lines that cross or lie beside each other are broader there, not everywhere.
        narrow = np.maximum(4.0 * (mean - 0.5), 1.0) / _OUTLINE
        self.bundle = (broad & (narrow < TOO_WIDE * widths_px[1])
                       & (area > _BUNDLE_WIDTHS * narrow**2))
        self.blob = broad & ~self.bundle
        self.usable = ~self.blob & (self.widest >= 0.5 * widths_px[0])
        self.length = area / np.maximum(0.85 * self.typical, 1.0)
        self.least_length = _LINE_WIDTHS * self.typical
        self.long = self.usable & (self.length > self.least_length)
        usual = self._usual(area.astype(np.int64)) if self.usable.any() else widths_px[0]
        self.width = float(np.clip(usual, *widths_px))

    def _usual(self, area: NDArray[np.int64]) -> float:
        """Width of what most of the usable foreground belongs to: specks count for little."""
        order = np.argsort(self.typical[self.usable], kind="stable")
        share = np.cumsum(area[self.usable][order])
        middle = int(np.searchsorted(share, 0.5 * share[-1]))
        return float(self.typical[self.usable][order][middle])

    def rejected(self) -> list[Rejected]:
        """Return what is wider or narrower than anything sought."""
        out = np.flatnonzero(~self.usable)
        if not len(out):
            return []
        area = (self.runs[:, 2] - self.runs[:, 1]).astype(float)
        n = len(self.usable) + 1
        total = np.bincount(self.labels, area, n)[1:]
        y = np.bincount(self.labels, area * self.runs[:, 0], n)[1:] / total
        x = np.bincount(self.labels, area * (self.runs[:, 1] + self.runs[:, 2] - 1) / 2, n)[1:]
        length = np.maximum(total / np.maximum(self.widest, 1.0), self.widest)
        return [Rejected(float(y[i]), float(x[i] / total[i]), float(length[i]),
                         float(self.widest[i]), WIDER if self.blob[i] else NARROWER)
                for i in out.tolist()]

    def only(self, chosen: NDArray[np.bool_]) -> list[Shape]:
        """Return the chosen objects."""
        order = np.argsort(self.labels, kind="stable")
        starts = np.searchsorted(self.labels[order], np.arange(1, len(chosen) + 2))
        return [_shape(self.runs[order[starts[i]:starts[i + 1]]])
                for i in np.flatnonzero(chosen).tolist()]


def _shape(runs: NDArray[np.int32]) -> Shape:
    from emtools.measure.chains._segment_kernels import draw_runs

    top, left, right = int(runs[0, 0]), int(runs[:, 1].min()), int(runs[:, 2].max())
    mask = np.zeros((int(runs[-1, 0]) - top + 1, right - left), dtype=bool)
    draw_runs(runs - np.array([top, left, left], dtype=np.int32), np.ones(len(runs), dtype=bool),
              mask)
    return Shape((top, left), mask)


def only_lines(
    ground: Ground, widths_px: tuple[float, float], max_gap_px: float
) -> Outline:
    """Sort a foreground of bodies so small that no dot can be fitted: rows of them are lines."""
    from emtools.measure.chains._segment_kernels import find_runs

    reach = max(1, round(0.5 * max_gap_px))
    margin = reach + 1
    closed = ndimage.binary_closing(np.pad(ground.outline, margin), np.ones((3, 3), dtype=bool),
                                    iterations=reach)[margin:-margin, margin:-margin]
    objects = Objects(find_runs(np.ascontiguousarray(closed)), closed.shape, widths_px)
    return Outline(np.zeros((0, 2)), objects.only(objects.long), objects.width,
                   objects.rejected(), [], widths_px)


def find_maxima(
    ground: Ground, objects: Objects
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Maxima that rise above the saddles around them by more than noise and texture do.

    Returns their places and the numbers of their objects.  Saddles are sought on the straight way
    between neighbours: dots are round, and what is further away is another dot's.
    """
    from emtools.measure.chains import _segment_kernels as kernels

    smooth = smoothed(ground.signal, max(0.7, 0.15 * objects.width))
    tops = kernels.find_tops(smooth, objects.runs)
    if len(tops) == 0:
        return np.zeros((0, 2)), np.zeros(0, dtype=np.int64)
    heights = smooth[tops[:, 0], tops[:, 1]]
    rise = max(_DIP * float(np.median(heights)), 0.7 * ground.threshold)
    owner = objects.labels[tops[:, 2]]
    pairs = cKDTree(tops[:, :2]).query_pairs(_NEIGHBOURS * objects.width, output_type="ndarray")
    pairs = pairs[owner[pairs[:, 0]] == owner[pairs[:, 1]]]
    saddles = kernels.lowest_between(smooth, tops, pairs)
    keep = kernels.prominent(heights, pairs, saddles, np.argsort(-saddles, kind="stable"), rise)
    return tops[keep, :2].astype(float), owner[keep].astype(np.int64)
