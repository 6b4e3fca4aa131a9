"""Line-like objects: the skeleton of their outline cut into branches and paired at crossings."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STRAIGHT_DEG = 40.0  # two branches that meet are one line if they turn by less
_EIGHT = np.ones((3, 3), dtype=bool)


def trace_lines(
    mask: NDArray[np.bool_], width_px: float
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Trace the lines of one object.

    Parameters
    ----------
    mask
        The object.
    width_px
        Its width: shorter branches are spurs.

    Returns
    -------
    tuple
        Paths, each ``(n, 2)`` pixel coordinates in order, and the centres of the crossings.
    """
    bones = skeletonize(mask)
    neighbours = ndimage.convolve(bones.astype(np.uint8), _EIGHT.astype(np.uint8),
                                  mode="constant") - 1
    junctions = ndimage.binary_dilation(bones & (neighbours >= 3), _EIGHT)
    labels, n = ndimage.label(bones & ~junctions, structure=_EIGHT)
    branches = [_ordered(np.argwhere(labels == label)) for label in range(1, n + 1)]
    nodes, n_nodes = ndimage.label(junctions & bones, structure=_EIGHT)
    centres = np.array(ndimage.center_of_mass(nodes > 0, nodes, np.arange(1, n_nodes + 1))
                       ).reshape(-1, 2)
    reach = 3.0
    # A branch with a free end that is shorter than the object is wide is the outline's roughness.
    kept = [b for b in branches if len(b) >= width_px or _n_ends_at(b, centres, reach) == 2]
    return _paired(kept, centres, reach, width_px), list(centres)


def _ordered(pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Pixels of a branch in the order in which they are walked from one end."""
    left = {tuple(p) for p in pixels.tolist()}
    start = min(left, key=lambda p: (_degree(p, left), p))
    path = [start]
    left.discard(start)
    while left:
        y, x = path[-1]
        onward = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)
                  if (y + dy, x + dx) in left]
        if not onward:
            break
        # Straight neighbours first: a corner pixel would else be skipped.
        path.append(min(onward, key=lambda p: (abs(p[0] - y) + abs(p[1] - x), p)))
        left.discard(path[-1])
    return np.array(path, dtype=float)


def _degree(pixel: tuple[int, ...], pixels: set[tuple[int, ...]]) -> int:
    y, x = pixel
    return sum((y + dy, x + dx) in pixels for dy in (-1, 0, 1) for dx in (-1, 0, 1)) - 1


def _n_ends_at(
    branch: NDArray[np.float64], centres: NDArray[np.float64], reach: float
) -> int:
    if len(centres) == 0:
        return 0
    return sum(bool(np.linalg.norm(centres - end, axis=1).min() < reach)
               for end in (branch[0], branch[-1]))


def _paired(
    branches: list[NDArray[np.float64]], centres: NDArray[np.float64], reach: float, width: float
) -> list[NDArray[np.float64]]:
    """Join branches through the crossings where they continue each other most nearly straight."""
    paths: list[NDArray[np.float64] | None] = list(branches)
    for centre in centres:
        while True:
            best = _straightest(paths, centre, reach + width, width)
            if best is None:
                break
            i, j, joined = best
            paths[i], paths[j] = joined, None
    return [path for path in paths if path is not None]


def _straightest(
    paths: list[NDArray[np.float64] | None], centre: NDArray[np.float64], reach: float,
    width: float,
) -> tuple[int, int, NDArray[np.float64]] | None:
    arriving = []
    for number, path in enumerate(paths):
        if path is None or len(path) < 2:
            continue
        arriving += [(number, directed, _heading(directed, width))
                     for directed in (path, path[::-1])
                     if np.hypot(*(directed[-1] - centre)) < reach]
    best, lowest = None, _STRAIGHT_DEG
    for (i, a, heading_a), (j, b, heading_b) in combinations(arriving, 2):
        if i == j:
            continue
        turn = np.degrees(np.arccos(np.clip(-float(heading_a @ heading_b), -1.0, 1.0)))
        if turn < lowest:
            best, lowest = (i, j, np.vstack([a, b[::-1]])), float(turn)
    return best


def _heading(path: NDArray[np.float64], width: float) -> NDArray[np.float64]:
    """Unit vector along the last part of a path, away from the crossing's own distortion."""
    n = len(path)
    last = max(1, n - 1 - round(0.5 * width))
    first = max(0, last - max(3, round(2.0 * width)))
    away = path[last] - path[first]
    return np.asarray(away / max(float(np.hypot(*away)), 1e-9))
