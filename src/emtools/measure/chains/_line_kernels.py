"""Compiled inner loops of lines: skeletons walked, curves smoothed, blurred profiles read."""

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


@njit(cache=True, nogil=True)
def least_bent(
    points: NDArray[np.float64], weight: NDArray[np.float64], stiffness: float
) -> tuple[NDArray[np.float64], float]:
    """Points, ``(n, 2)`` with n >= 4, of least squared second differences and weighted squares.

    The normal equations have five bands; they are solved by their triangular factors.

    Parameters
    ----------
    points
        ``(n, 2)`` given ones.
    weight
        ``(n,)`` of their squared deviations.
    stiffness
        What squared second differences count.

    Returns
    -------
    tuple
        The points, and the weighted sum of squared deviations.
    """
    n = len(points)
    first, second, pivot = np.zeros(n), np.zeros(n), np.empty(n)  # factors below the diagonal
    smooth = np.empty_like(points)
    for i in range(n):
        edge = min(i, n - 1 - i)
        middle = stiffness * (1.0 if edge == 0 else 5.0 if edge == 1 else 6.0) + weight[i]
        if i >= 2:
            second[i] = stiffness / pivot[i - 2]
            middle -= second[i] * second[i] * pivot[i - 2]
        if i >= 1:
            beside = stiffness * (-2.0 if i in (1, n - 1) else -4.0)
            if i >= 2:
                beside -= second[i] * first[i - 1] * pivot[i - 2]
            first[i] = beside / pivot[i - 1]
            middle -= first[i] * first[i] * pivot[i - 1]
        pivot[i] = middle
        for k in range(2):
            value = weight[i] * points[i, k]
            if i >= 1:
                value -= first[i] * smooth[i - 1, k]
            if i >= 2:
                value -= second[i] * smooth[i - 2, k]
            smooth[i, k] = value
    misfit = 0.0
    for i in range(n - 1, -1, -1):
        for k in range(2):
            value = smooth[i, k] / pivot[i]
            if i + 1 < n:
                value -= first[i + 1] * smooth[i + 1, k]
            if i + 2 < n:
                value -= second[i + 2] * smooth[i + 2, k]
            smooth[i, k] = value
            misfit += weight[i] * (value - points[i, k]) ** 2
    return smooth, misfit


@njit(cache=True, nogil=True)
def read_table(
    table: NDArray[np.float64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Read a table between its points, linearly.

    Parameters
    ----------
    table
        ``(p, q)``.
    rows
        ``(n,)`` places along p; beyond the table its border counts.
    columns
        ``(n, m)`` places along q.
    """
    values = np.empty(columns.shape)
    for n in range(columns.shape[0]):
        row = min(max(rows[n], 0.0), table.shape[0] - 1.001)
        i = int(row)
        v = row - i
        for m in range(columns.shape[1]):
            column = min(columns[n, m], table.shape[1] - 1.001)
            j = int(column)
            w = column - j
            values[n, m] = (1 - v) * ((1 - w) * table[i, j] + w * table[i, j + 1]) + v * (
                (1 - w) * table[i + 1, j] + w * table[i + 1, j + 1])
    return values
