"""Compiled inner loops of the segmentation: planes smoothed, outlines, objects as runs of pixels.

A run is a stretch of foreground in one row: row, first column, one past the last.  Runs come in
the order of rows and columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STRAIGHT, _DIAGONAL, _KNIGHT = 1.0, 1.4, 2.2  # weights of a chamfer distance, within 2 %


@njit(nogil=True, inline="always")
def _reflected(i: int, n: int) -> int:
    """Index inside 0 ... n - 1 of a position beyond the border, the border pixel repeated."""
    i = i % (2 * n)
    return i if i < n else 2 * n - 1 - i


@njit(cache=True, nogil=True)
def smooth_rows(
    span: tuple[int, int], values: NDArray[np.float32], weights: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Rows of a plane under a separable even filter, given from its middle outwards."""
    n_y, n_x = values.shape
    reach = weights.size - 1
    line = np.empty(n_x + 2 * reach, dtype=np.float32)
    for y in range(span[0], span[1]):
        for x in range(n_x):
            line[reach + x] = weights[0] * values[y, x]
        for k in range(1, reach + 1):
            above, below = values[_reflected(y - k, n_y)], values[_reflected(y + k, n_y)]
            for x in range(n_x):
                line[reach + x] += weights[k] * (above[x] + below[x])
        for k in range(1, reach + 1):
            line[reach - k] = line[reach + _reflected(-k, n_x)]
            line[reach + n_x - 1 + k] = line[reach + _reflected(n_x - 1 + k, n_x)]
        for x in range(n_x):
            out[y, x] = weights[0] * line[reach + x]
        for k in range(1, reach + 1):
            for x in range(n_x):
                out[y, x] += weights[k] * (line[reach + x - k] + line[reach + x + k])


@njit(cache=True, nogil=True)
def cell_means(
    span: tuple[int, int], values: NDArray[np.float32], mask: NDArray[np.bool_], side: int,
    means: NDArray[np.float32], used: NDArray[np.float32],
) -> None:
    """Means of square cells over the pixels in use, and the part of each cell that is in use.

    An empty `mask` uses all.
    """
    whole = mask.size == 0
    for i in range(span[0], span[1]):
        for j in range(means.shape[1]):
            total, n, most = 0.0, 0, 0
            for y in range(i * side, min((i + 1) * side, values.shape[0])):
                for x in range(j * side, min((j + 1) * side, values.shape[1])):
                    most += 1
                    if whole or mask[y, x]:
                        total += values[y, x]
                        n += 1
            means[i, j] = total / n if n else 0.0
            used[i, j] = n / most


@njit(cache=True, nogil=True)
def cell_maxima(
    span: tuple[int, int], values: NDArray[np.float32], side: int, maxima: NDArray[np.float32]
) -> None:
    """Largest value in each square cell."""
    for i in range(span[0], span[1]):
        maxima[i] = -np.inf
        for y in range(i * side, min((i + 1) * side, values.shape[0])):
            for j in range(maxima.shape[1]):
                highest = maxima[i, j]
                for x in range(j * side, min((j + 1) * side, values.shape[1])):
                    highest = max(highest, values[y, x])
                maxima[i, j] = highest


@njit(cache=True, nogil=True)
def outline_rows(
    rows_of_cells: tuple[int, int], smooth: NDArray[np.float32], lowest: NDArray[np.float32],
    maxima: NDArray[np.float32], around: NDArray[np.float32], how: tuple[int, int, float],
    outline: NDArray[np.bool_],
) -> None:
    """Mark pixels above their cell's `lowest` and above a part of what is highest around them.

    `maxima` and `around`: highest pixel of each cell, and of all cells within reach of it; `how`:
    side of a cell, reach in pixels, and the part.
    """
    side, reach, part = how
    n_y, n_x = smooth.shape
    for i in range(rows_of_cells[0], rows_of_cells[1]):
        for j in range(lowest.shape[1]):
            least = lowest[i, j]
            if maxima[i, j] <= least:
                continue
            top, left = i * side, j * side
            bottom, right = min(top + side, n_y), min(left + side, n_x)
            for y in range(top, bottom):
                for x in range(left, right):
                    here = smooth[y, x]
                    if here > least:
                        limit = here / np.float32(part)
                        outline[y, x] = (around[i, j] <= limit
                                         or _high_enough(smooth, y, x, reach, limit))


@njit(nogil=True, inline="always")
def _high_enough(
    smooth: NDArray[np.float32], y: int, x: int, reach: int, limit: float
) -> bool:
    """Whether nothing around a pixel is higher than a limit."""
    n_y, n_x = smooth.shape
    enough = True
    for v in range(max(y - reach, 0), min(y + reach + 1, n_y)):
        for u in range(max(x - reach, 0), min(x + reach + 1, n_x)):
            if smooth[v, u] > limit:
                enough = False
        if not enough:
            break
    return enough


@njit(cache=True, nogil=True)
def find_runs(outline: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Runs of a mask, ``(n, 3)``."""
    n_y, n_x = outline.shape
    n = 0
    for y in range(n_y):
        inside = False
        for x in range(n_x):
            here = outline[y, x]
            n += here and not inside
            inside = here
    runs = np.empty((n, 3), dtype=np.int32)
    n = 0
    for y in range(n_y):
        inside = False
        for x in range(n_x):
            here = outline[y, x]
            if here and not inside:
                runs[n, 0], runs[n, 1], runs[n, 2] = y, x, n_x
            if inside and not here:
                runs[n, 2] = x
                n += 1
            inside = here
        n += inside
    return runs


@njit(nogil=True)
def _root(parents: NDArray[np.int32], i: int) -> int:
    while parents[i] != i:
        parents[i] = parents[parents[i]]
        i = parents[i]
    return i


@njit(cache=True, nogil=True)
def label_runs(runs: NDArray[np.int32]) -> tuple[NDArray[np.int32], int]:
    """Number of the object (from 1) of each run; runs that touch, corners too, are one object."""
    n = len(runs)
    parents = np.arange(n).astype(np.int32)
    above = 0
    for i in range(n):
        y, first, end = runs[i]
        while above < i and (runs[above, 0] < y - 1
                             or (runs[above, 0] == y - 1 and runs[above, 2] < first)):
            above += 1
        j = above
        while j < i and runs[j, 0] == y - 1 and runs[j, 1] <= end:
            a, b = _root(parents, i), _root(parents, j)
            if a != b:
                parents[max(a, b)] = min(a, b)
            j += 1
    labels = np.zeros(n, dtype=np.int32)
    count = 0
    for i in range(n):
        root = _root(parents, i)
        if root == i:
            count += 1
            labels[i] = count
        else:
            labels[i] = labels[root]
    return labels, count


@njit(cache=True, nogil=True)
def highest_over(
    values: NDArray[np.float32], height: NDArray[np.float32], side: int, runs: NDArray[np.int32],
    labels: NDArray[np.int32], count: int,
) -> NDArray[np.float32]:
    """Largest value in each object over the height that its cell asks for, ``(count,)``."""
    highest = np.full(count, -np.inf, dtype=np.float32)
    for i in range(len(runs)):
        y, first, end = runs[i]
        for x in range(first, end):
            over = values[y, x] / height[y // side, x // side]
            highest[labels[i] - 1] = max(highest[labels[i] - 1], over)
    return highest


@njit(cache=True, nogil=True)
def depths(
    shape: tuple[int, int], runs: NDArray[np.int32], labels: NDArray[np.int32], count: int
) -> NDArray[np.float64]:
    """Return the largest and the mean distance of a pixel from the outline in each object.

    ``(count, 2)``.
    """
    n_y, n_x = shape
    depth = np.zeros((n_y + 4, n_x + 4), dtype=np.float32)
    for i in range(len(runs)):
        y, first, end = runs[i, 0] + 2, runs[i, 1] + 2, runs[i, 2] + 2
        for x in range(first, end):
            near = min(depth[y, x - 1], depth[y - 1, x]) + _STRAIGHT
            near = min(near, min(depth[y - 1, x - 1], depth[y - 1, x + 1]) + _DIAGONAL)
            up = min(depth[y - 1, x - 2], depth[y - 1, x + 2])
            side = min(depth[y - 2, x - 1], depth[y - 2, x + 1])
            depth[y, x] = min(near, min(up, side) + _KNIGHT)
    found = np.zeros((count, 2))
    area = np.zeros(count)
    for i in range(len(runs) - 1, -1, -1):
        y, first, end = runs[i, 0] + 2, runs[i, 1] + 2, runs[i, 2] + 2
        for x in range(end - 1, first - 1, -1):
            near = min(depth[y, x + 1], depth[y + 1, x]) + _STRAIGHT
            near = min(near, min(depth[y + 1, x - 1], depth[y + 1, x + 1]) + _DIAGONAL)
            up = min(depth[y + 1, x - 2], depth[y + 1, x + 2])
            side = min(depth[y + 2, x - 1], depth[y + 2, x + 1])
            near = min(near, min(up, side) + _KNIGHT)
            depth[y, x] = min(depth[y, x], near)
            one = labels[i] - 1
            found[one, 0] = max(found[one, 0], depth[y, x])
            found[one, 1] += depth[y, x]
            area[one] += 1.0
    found[:, 1] /= np.maximum(area, 1.0)
    return found


@njit(cache=True, nogil=True)
def draw_runs(runs: NDArray[np.int32], kept: NDArray[np.bool_], mask: NDArray[np.bool_]) -> None:
    """Set the pixels of the kept runs, and clear those of the others."""
    for i in range(len(runs)):
        mask[runs[i, 0], runs[i, 1] : runs[i, 2]] = kept[i]


@njit(cache=True, nogil=True)
def find_tops(
    values: NDArray[np.float32], runs: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Local maxima inside runs, ``(n, 3)``: row, column, run; of a plateau its first pixel."""
    n_y, n_x = values.shape
    tops = np.empty((64, 3), dtype=np.int32)
    n = 0
    for i in range(len(runs)):
        y, first, end = runs[i]
        for x in range(first, end):
            here = values[y, x]
            top = True
            for v in range(max(y - 1, 0), min(y + 2, n_y)):
                for u in range(max(x - 1, 0), min(x + 2, n_x)):
                    before = v < y or (v == y and u < x)
                    if values[v, u] > here or (before and values[v, u] == here):
                        top = False
            if top:
                if n == len(tops):
                    more = np.empty((2 * n, 3), dtype=np.int32)
                    more[:n] = tops
                    tops = more
                tops[n, 0], tops[n, 1], tops[n, 2] = y, x, i
                n += 1
    return tops[:n]


@njit(cache=True, nogil=True)
def lowest_between(
    values: NDArray[np.float32], tops: NDArray[np.int32], pairs: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Lowest value on the straight way between the two tops of each pair."""
    lowest = np.empty(len(pairs), dtype=np.float32)
    for p in range(len(pairs)):
        y, x = tops[pairs[p, 0], 0], tops[pairs[p, 0], 1]
        dy, dx = tops[pairs[p, 1], 0] - y, tops[pairs[p, 1], 1] - x
        steps = max(abs(dy), abs(dx), 1)
        least = np.float32(np.inf)
        for k in range(steps + 1):
            least = min(least, values[y + round(dy * k / steps), x + round(dx * k / steps)])
        lowest[p] = least
    return lowest


@njit(cache=True, nogil=True)
def prominent(
    heights: NDArray[np.float32], pairs: NDArray[np.int64], saddles: NDArray[np.float32],
    order: NDArray[np.int64], rise: float,
) -> NDArray[np.bool_]:
    """Which tops rise by `rise` above the highest saddle to a higher one.

    Tops are joined over their saddles, the highest saddle first; of two hills that meet, the lower
    one ends there.
    """
    parents = np.arange(len(heights)).astype(np.int32)
    keep = np.ones(len(heights), dtype=np.bool_)
    for p in order:
        a, b = _root(parents, pairs[p, 0]), _root(parents, pairs[p, 1])
        if a == b:
            continue
        high, low = (a, b) if (heights[a], -a) > (heights[b], -b) else (b, a)
        if heights[low] - saddles[p] < rise:
            keep[low] = False
        parents[low] = high
    return keep
