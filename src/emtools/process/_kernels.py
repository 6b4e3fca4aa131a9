"""Compiled inner loops over the pixels of a plane.

Here and in the other modules of kernels, helpers whose sums the compiler may reorder are inlined
for good.  Else a helper compiled alone and the same helper read from the cache with its caller may
round differently, and results depend on what the cache held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def block_sums(
    span: tuple[int, int], values: NDArray[np.float32], rows: NDArray[np.int64],
    cols: NDArray[np.int64], sums: NDArray[np.float64],
) -> None:
    """Sums of blocks; `rows` and `cols` hold the edges, `span` the rows of blocks."""
    for i in range(span[0], span[1]):
        for y in range(rows[i], rows[i + 1]):
            for j in range(cols.size - 1):
                total = 0.0
                for x in range(cols[j], cols[j + 1]):
                    total += values[y, x]
                sums[i, j] += total


@njit(cache=True, nogil=True)
def subtract_ground(
    span: tuple[int, int], values: NDArray[np.float32], means: NDArray[np.float64],
    rows: tuple[NDArray[np.int64], NDArray[np.float64]],
    cols: tuple[NDArray[np.int64], NDArray[np.float64]], scale: float, flat: NDArray[np.float32],
) -> None:
    """Take a ground, bilinear between the centres of blocks, off the rows of a span, and scale.

    `rows` and `cols`: first pixel between each two centres, place of each pixel between them.  In
    double precision, so that a small contrast on a large offset is kept.
    """
    first, u = cols
    line = np.empty(means.shape[1])
    for y in range(span[0], span[1]):
        i = np.searchsorted(rows[0], y, side="right") - 1
        v = rows[1][y]
        for j in range(line.size):
            line[j] = means[i, j] + v * (means[i + 1, j] - means[i, j])
        for j in range(line.size - 1):
            begin, rise = line[j], line[j + 1] - line[j]
            for x in range(first[j], first[j + 1]):
                flat[y, x] = (values[y, x] - (begin + u[x] * rise)) * scale


@njit(cache=True, nogil=True)
def windowed_rows(
    span: tuple[int, int], values: NDArray[np.float32], along_y: NDArray[np.float32],
    along_x: NDArray[np.float32], out: NDArray[np.float32],
) -> None:
    """Rows of a plane under a separable window."""
    for y in range(span[0], span[1]):
        for x in range(values.shape[1]):
            out[y, x] = values[y, x] * (along_y[y] * along_x[x])
