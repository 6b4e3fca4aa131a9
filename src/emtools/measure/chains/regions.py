"""Rows of dots that may coil around each other: cheap conditions, before anything is fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from emtools.measure.chains.coil_checks import SHORTEST_PITCH
from emtools.measure.chains.coil_start import FEWEST_DOTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_REACH = 2.8  # spacings: rows whose dots come closer belong to one region
_DOUBLED = 0.15  # of a region's dots: a helix has its other strand that near at its crossings
_TOUCH = 1.25  # spacings: where strands cross, dots come that near, even if some were not found
_LEAST_TOUCHING = 2  # crossings
_SIDE_BY_SIDE = 0.4  # of the dots of rows that are tried: of a helix thrice as wide as dots, 0.75
_PAIRS = 24  # of rows, tried where a region as a whole is no helix


@dataclass(frozen=True)
class Strand:
    """A row of dots, or a single one.

    Parameters
    ----------
    points
        ``(n, 2)`` centres (y, x) in order; of a centreline, samples about a width apart, so that
        their errors are independent.
    err
        ``(n,)`` 1 sigma of each, along either direction, in the same unit.
    """

    points: NDArray[np.float64]
    err: NDArray[np.float64]


class Places:
    """The dots of all rows, and where rows touch.

    Parameters
    ----------
    strands
        Traced rows and single dots, in one unit.
    """

    def __init__(self, strands: Sequence[Strand]) -> None:
        lengths = [len(strand.points) for strand in strands]
        self.lengths = lengths
        self.spacing = spacing_of(strands)
        self.owner = np.repeat(np.arange(len(strands)), lengths)
        place = np.concatenate([np.arange(n) for n in lengths])
        points = np.vstack([strand.points for strand in strands])
        self.pairs = cKDTree(points).query_pairs(_REACH * self.spacing, output_type="ndarray")
        owners = self.owner[self.pairs]
        # Not next to each other along the same row.
        beside = (owners[:, 0] != owners[:, 1]) | (
            np.abs(np.diff(place[self.pairs], axis=1)[:, 0]) > _REACH + 1)
        self.beside = self.pairs[beside]
        distance = np.linalg.norm(points[self.beside[:, 0]] - points[self.beside[:, 1]], axis=1)
        touching = self.beside[distance < _TOUCH * self.spacing]
        self.touching = self.owner[touching]
        self.touched = points[touching].mean(axis=1)

    def regions(self) -> list[list[int]]:
        """Rows that touch, taken together, where they go side by side at least here and there."""
        n_rows = len(self.lengths)
        i, j = self.owner[self.pairs].T
        touch = csr_array((np.ones(len(i)), (i, j)), (n_rows, n_rows))
        n, label = connected_components(touch, directed=False)
        doubled = np.zeros(len(self.owner))
        doubled[self.beside] = 1.0
        region = label[self.owner]
        share = np.bincount(region, doubled, n) / np.bincount(region, minlength=n)
        return [np.flatnonzero(label == one).tolist() for one in np.flatnonzero(share >= _DOUBLED)]

    def may_coil(self, chosen: Sequence[int]) -> bool:
        """Whether rows go side by side, and touch at two places at least half a turn apart."""
        is_chosen = np.zeros(len(self.lengths), dtype=bool)
        is_chosen[list(chosen)] = True
        where = self.touched[is_chosen[self.touching].all(axis=1)]
        if len(where) < _LEAST_TOUCHING or np.hypot(*np.ptp(where, axis=0)) \
                < 0.5 * SHORTEST_PITCH * self.spacing:
            return False
        inside = is_chosen[self.owner]
        doubled = np.unique(self.beside[inside[self.beside].all(axis=1)])
        return bool(len(doubled) >= _SIDE_BY_SIDE * inside.sum())

    def choices(self, region: list[int]) -> Iterator[list[int]]:
        """The whole region; without one of its rows; each two rows that touch, the longest first.

        Only of rows that may coil around each other.
        """
        if not self.may_coil(region):
            return
        yield region
        rows = sorted((i for i in region if self.lengths[i] > 2), key=lambda i: -self.lengths[i])
        if len(rows) < 3:
            return
        for out in rows[:6]:
            rest = [i for i in region if i != out]
            if self.may_coil(rest):
                yield rest
        touching = {(min(i, j), max(i, j)) for i, j in self.touching.tolist()}
        pairs = [[j, i] for n, i in enumerate(rows) for j in rows[:n]
                 if (min(i, j), max(i, j)) in touching
                 and self.lengths[i] + self.lengths[j] >= FEWEST_DOTS and self.may_coil([i, j])]
        yield from pairs[:_PAIRS]


def spacing_of(strands: Sequence[Strand]) -> float:
    """Median distance of neighbours along the rows; 0 where there are none."""
    steps = [np.hypot(*np.diff(strand.points, axis=0).T) for strand in strands
             if len(strand.points) > 1]
    return float(np.median(np.concatenate(steps))) if steps else 0.0
