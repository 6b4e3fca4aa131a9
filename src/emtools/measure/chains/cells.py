"""A plane smoothed, and cells of a few pixels, in which ground and bodies are told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtools.process.threads import in_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL = 4  # pixels along a side
_TRUNCATED = 4.0  # sigma: reach of a Gaussian


def smoothed(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Return a plane under a Gaussian of 1 sigma in pixels, its border repeated outwards."""
    from emtools.measure.chains._segment_kernels import smooth_rows

    along = np.arange(int(_TRUNCATED * sigma + 0.5) + 1)
    weights = np.exp(-0.5 * (along / sigma) ** 2)
    weights /= weights[0] + 2 * weights[1:].sum()
    out = np.empty_like(values)
    in_spans(lambda rows: smooth_rows(rows, values, weights.astype(np.float32), out),
             (0, len(values)), values.size)
    return out


def cell_means(
    values: NDArray[np.float32], mask: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means of cells over the pixels in use, and the part of each that is."""
    from emtools.measure.chains import _segment_kernels as kernels

    shape = tuple(-(-n // CELL) for n in values.shape)
    means, used = (np.empty(shape, dtype=np.float32) for _ in range(2))
    pixels = np.zeros((0, 0), dtype=bool) if mask is None else mask
    in_spans(lambda rows: kernels.cell_means(rows, values, pixels, CELL, means, used),
             (0, shape[0]), values.size)
    return means, used


def cell_maxima(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Highest value of each cell."""
    from emtools.measure.chains import _segment_kernels as kernels

    maxima = np.empty(tuple(-(-n // CELL) for n in values.shape), dtype=np.float32)
    in_spans(lambda rows: kernels.cell_maxima(rows, values, CELL, maxima),
             (0, len(maxima)), values.size)
    return maxima
