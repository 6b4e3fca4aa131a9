"""Where in a transform reflections are sought, and by which neighbours each cell is judged.

In each single transform a cell is judged by the cells around it: pieces of rings; runs along the
two axes, where edges and scan lines leave a cross.  With n of them an exponential exceeds u times
their mean with the probability (1 + u / n)^-n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emtools.process.threads import in_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.lattice._search_kernels import Listed, Plan
    from emtools.measure.lattice.noise import NoiseFloor
    from emtools.model import Calibration

STREAK = (4, 18)  # cells on both sides of a peak, beyond its own main lobe
_CLASS_CELLS = (200, 2000)  # neighbours that a cell is judged by, in small and large transforms
_RING_WIDTH = (3, 16)
_AXIS_LINES = 3  # beside an axis, each judged by itself
_AXIS_RUN = 64
_MOST_SECTORS = 64
# Cells of a Hann window's noise that are worth one: found from the false alarms of white noise in
# transforms of 64 ... 400 cells along a side (with more classes, the scatter of the
# smooth floor inside of them counts more).
_CORRELATED = (2.4, 3.6, 4.4)
_CORRELATED_SIDES = (100, 250, 450)
_INDEPENDENT = 0.9  # of the maxima of correlated cells
_NEAREST = 4.0  # cells from the centre, where the ground ends
_LISTED = 400_000  # cells that are enough to tell the levels of all classes


@dataclass(frozen=True)
class Cells:
    """The cells of a transform that are searched.

    Parameters
    ----------
    plan
        Where they are.
    extent
        Highest row searched on both sides of row 0, and columns searched.
    every
        One cell in so many is listed.
    listed
        These cells.
    independent
        For each class, how many independent cells tell its level.
    searched
        Number of cells searched.
    """

    plan: Plan
    extent: tuple[int, int]
    every: int
    listed: Listed
    independent: NDArray[np.float64]
    searched: int

    def thresholds(self, probability: float) -> NDArray[np.float64]:
        """Return how far above its level noise rises in one cell with this probability."""
        n = self.independent
        return np.asarray(n * np.expm1(-np.log(probability) / n))

    def single(self, rate: float, n_transforms: int) -> float:
        """Return the probability for one cell that makes `rate` for so many transforms."""
        return float(-np.expm1(np.log1p(-rate)
                               / max(_INDEPENDENT * self.searched * n_transforms, 1.0)))

    def p_values(
        self, excess: NDArray[np.float64], kinds: NDArray[np.int64], n_transforms: int
    ) -> NDArray[np.float64]:
        """Return the probabilities of such peaks anywhere in so many transforms of noise."""
        n = self.independent[kinds]
        single = np.exp(-n * np.log1p(excess / n))
        trials = _INDEPENDENT * self.searched * n_transforms
        return np.asarray(-np.expm1(trials * np.log1p(-single)))


def lay_out(
    shape: tuple[int, int], calibration: Calibration, d_range: tuple[float, float],
    floor: NoiseFloor, whole: bool = True,
) -> Cells:
    """Lay out the cells of a transform.

    Parameters
    ----------
    shape
        Of the transformed plane.
    calibration
        Of its pixels.
    d_range
        Smallest and largest spacing sought, in the calibration's unit.
    floor
        The plane's smooth noise.
    whole
        Whether the transform is that of a whole frame.  In a window noise may be uneven: film that
        jumps with the scan lines has heavier tails there.
    """
    from emtools.measure.lattice._search_kernels import Plan, in_order_of_class, list_cells

    size = shape[0] * (shape[1] // 2 + 1)
    share = float(np.clip(size / 330, *_CLASS_CELLS))
    width = float(np.clip(round(np.sqrt(share / 8)), *_RING_WIDTH))
    run = float(np.clip(min(shape) // 4, 12, _AXIS_RUN))
    lines = _AXIS_LINES if min(shape) > 64 else 2
    first_ring = 2 * (int(max(shape) / run) + 2) * (lines + 1)
    layout = np.array([width, share, lines, run, first_ring, _MOST_SECTORS])
    nearest = _NEAREST / (min(shape) * calibration.pixel_size)
    highest = 1.0 / d_range[0]
    inverse = np.asarray(np.linalg.inv(calibration.matrix), dtype=np.float64)
    plan = Plan(shape, inverse, max(1.0 / d_range[1], nearest), highest,
                layout, floor.table)
    # f = k @ matrix: how far a circle of wave vectors reaches along rows and columns.
    spans = highest * np.hypot(*calibration.matrix) * np.array(shape)
    reach = min(int(spans[0]) + 1, (shape[0] - 1) // 2)
    n_cols = min(int(spans[1]) + 2, shape[1] // 2 + 1)
    every = max(1, size // _LISTED)
    parts = in_spans(lambda rows: list_cells(rows, n_cols, every, plan),
                      (-reach, reach + 1), size // every)
    kinds, index, expected = (np.concatenate(part) for part in zip(*parts, strict=True))
    listed = in_order_of_class(kinds, index, expected, int(kinds.max()) + 1 if kinds.size else 1)
    counts = np.diff(listed.starts).astype(float)
    side = min(shape) if whole else _CORRELATED_SIDES[-1]
    correlated = float(np.interp(side, _CORRELATED_SIDES, _CORRELATED))
    independent = np.maximum(np.minimum(counts * every / correlated, 0.85 * counts), 1.0)
    return Cells(plan, (reach, n_cols), every, listed, independent, int(counts.sum()) * every)
