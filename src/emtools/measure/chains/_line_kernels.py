"""Compiled inner loop of the line tracing: pixels of a skeleton in the order they are walked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Straight neighbours first: a corner pixel would else be skipped.
_DOWN = np.array([-1, 0, 0, 1, -1, -1, 1, 1])
_RIGHT = np.array([0, -1, 1, 0, -1, 1, -1, 1])


@njit(cache=True, nogil=True)
def walk(
    left: NDArray[np.bool_], pixels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Walk the branches of a skeleton without junctions: from free ends first, then the loops.

    Parameters
    ----------
    left
        The skeleton, with a border of one empty pixel at least; empty afterwards.
    pixels
        ``(n, 2)`` its pixels.

    Returns
    -------
    tuple
        The pixels in order, and where each branch starts (with the end of the last).
    """
    path = np.empty_like(pixels)
    starts = [0]
    n = 0
    for most in (1, 8):
        for i in range(len(pixels)):
            y, x = pixels[i, 0], pixels[i, 1]
            if not left[y, x]:
                continue
            degree = 0
            for k in range(8):
                degree += left[y + _DOWN[k], x + _RIGHT[k]]
            if degree > most:
                continue
            onward = True
            while onward:
                left[y, x] = False
                path[n, 0], path[n, 1] = y, x
                n += 1
                onward = False
                for k in range(8):
                    if left[y + _DOWN[k], x + _RIGHT[k]]:
                        y, x = y + _DOWN[k], x + _RIGHT[k]
                        onward = True
                        break
            starts.append(n)
    return path, np.array(starts)
