"""Line-like objects: the skeleton of their outline cut into branches, which crossings join."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EIGHT = np.ones((3, 3), dtype=bool)
_SPUR = 1.0  # widths: shorter branches with a free end are the outline's roughness
_HOLE = 0.6  # squared widths: smaller holes are texture, larger ones are inside of loops
_BRIDGE = 4.0  # widths: longest stretch of skeleton inside one crossing at a small angle
_BROAD = 1.12  # of the width: how broad the object is at least where two lines share it
_THINNEST_PX = 3.0  # on thinner lines directions are told over as many pixels as on these
_SHORT_BRIDGE = 1.5  # widths: two junctions nearer to each other than that are one


class Skeleton(NamedTuple):
    """Branches of an object and the junctions that they end at.

    Parameters
    ----------
    branches
        Each ``(n, 2)`` pixel coordinates in order.
    ends
        ``(n, 2)`` for each branch the junctions at its first and last point, 0 = a free end.
    junctions
        ``(m, 2)`` their centres, of number 1 first.
    width
        The object's typical width in pixels.
    depth
        ``(y, x)`` of the object, distance of each pixel from the next one outside.
    """

    branches: list[NDArray[np.float64]]
    ends: NDArray[np.int64]
    junctions: NDArray[np.float64]
    width: float
    depth: NDArray[np.float64]

    def width_along(self, points: NDArray[np.float64]) -> float:
        """Width of the object along pixels of its skeleton, ``(n, 2)`` in its own coordinates."""
        # The next pixel outside is half a pixel beyond the outline.
        return 2.0 * float(np.median(self.depth[tuple(points.astype(int).T)])) - 1.0


def find_skeleton(mask: NDArray[np.bool_]) -> Skeleton | None:
    """Find the branches of one object, without spurs; None where nothing is left.

    Parameters
    ----------
    mask
        The object.
    """
    from emtools.measure.chains._line_kernels import walk

    mask = _without_pinholes(np.pad(mask, 2))
    depth = ndimage.distance_transform_edt(mask)
    bones = skeletonize(mask)
    if not bones.any():
        return None
    # The next pixel outside is half a pixel beyond the outline.
    width = max(2.0 * float(np.median(depth[bones])) - 1.0, 1.0)
    while True:
        neighbours = ndimage.convolve(bones.view(np.uint8), _EIGHT.view(np.uint8), mode="constant")
        near = ndimage.binary_dilation(bones & (neighbours >= 4), _EIGHT)
        nodes, n_nodes = ndimage.label(near & bones, structure=_EIGHT)
        free = bones & ~near
        path, starts = walk(free.copy(), np.argwhere(free))
        ends = _nodes_at(nodes.astype(np.int64), path, starts)
        spurs = _spurs(path, starts, ends, np.maximum(2.0 * depth, width))
        if not spurs.any():
            break
        # The shortest first where several meet: the other may be a line's end.
        _erase(bones, path, starts, spurs)
        bones = skeletonize(bones)
    if not len(ends):  # a knot without arms
        return None
    # Rests of spurs inside of a junction are no branches.
    pieces = [part for part, (a, b) in zip(np.split(path, starts[1:-1]), ends, strict=True)
              if a == 0 or a != b or len(part) >= width]
    ends = ends[(ends[:, 0] == 0) | (ends[:, 0] != ends[:, 1]) | (np.diff(starts) >= width)]
    if not pieces:
        return None
    # A junction that only one branch is left at is its free end.
    ends[np.bincount(ends.ravel(), minlength=n_nodes + 1)[ends] == 1] = 0
    centres = np.array(ndimage.center_of_mass(nodes > 0, nodes, np.arange(1, n_nodes + 1))
                       ).reshape(-1, 2) - 2.0
    depths = np.array([np.median(depth[tuple(part.T)]) for part in pieces])
    branches = [part.astype(float) - 2.0 for part in pieces]
    return _merged(Skeleton(branches, ends, centres, max(width, _THINNEST_PX),
                            depth[2:-2, 2:-2]), (2.0 * depths - 1.0) / width)


def _without_pinholes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, n = ndimage.label(~mask)
    if n < 2:
        return mask
    outline = mask & ~ndimage.binary_erosion(mask)
    # Area over half of the outline: no depths are known before the holes are gone.
    width = 2.0 * mask.sum() / max(1, outline.sum())
    sizes = np.bincount(labels.ravel())
    small = sizes < _HOLE * width**2
    small[0] = False
    return np.asarray(mask | small[labels])


def _nodes_at(
    nodes: NDArray[np.int64], path: NDArray[np.int64], starts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Junctions beside the first and the last pixel of each branch, 0 = none."""
    beside = ndimage.maximum_filter(nodes, 3)
    none = int(nodes.max()) + 1
    lowest = ndimage.minimum_filter(np.where(nodes > 0, nodes, none), 3)
    first, last = (tuple(path[at].T) for at in (starts[:-1], starts[1:] - 1))
    # The last pixel of a short branch may touch the junction at its first one too.
    other = np.where((np.diff(starts) < 4) & (lowest[last] < none), lowest[last], beside[last])
    return np.stack([beside[first], other], axis=-1).astype(np.int64)


def _spurs(
    path: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64],
    broad: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Branches with one free end that hardly leave the body they are on; the shortest at each."""
    length = np.diff(starts)
    one_free = (ends > 0).sum(axis=1) == 1
    node_end = np.where(ends[:, 0] > 0, starts[:-1], starts[1:] - 1)
    reach = _SPUR * broad[tuple(path[node_end].T)]
    spur = one_free & (length < reach)
    node = ends.max(axis=1)
    # Where one branch goes on as another, nothing is left to prune.
    spur &= np.bincount(ends.ravel(), minlength=int(node.max(initial=0)) + 1)[node] > 2
    shortest = np.full(int(node.max(initial=0)) + 1, np.iinfo(np.int64).max)
    np.minimum.at(shortest, node[spur], length[spur])
    return np.asarray(spur & (length == shortest[node]))


def _erase(
    bones: NDArray[np.bool_], path: NDArray[np.int64], starts: NDArray[np.int64],
    spurs: NDArray[np.bool_],
) -> None:
    for i in np.flatnonzero(spurs):
        bones[tuple(path[starts[i]:starts[i + 1]].T)] = False


def _merged(bones: Skeleton, broad: NDArray[np.float64]) -> Skeleton:
    """Junctions that belong to one crossing made one, and the stretches between them left out.

    Two lines that cross at a small angle share a stretch, which is `broad`, in widths.
    """
    n = len(bones.junctions)
    length = np.array([len(branch) for branch in bones.branches])
    within = (bones.ends > 0).all(axis=1) & (bones.ends[:, 0] != bones.ends[:, 1])
    bridge = within & ((length < _SHORT_BRIDGE * bones.width)
                       | ((length < _BRIDGE * bones.width) & (broad > _BROAD)))
    group = np.arange(n + 1)
    for a, b in bones.ends[bridge]:
        group[group == group[b]] = group[a]
    _, numbers = np.unique(group, return_inverse=True)
    centres = np.zeros((int(numbers.max(initial=0)), 2))
    counts = np.bincount(numbers, minlength=len(centres) + 1)[1:]
    for axis in (0, 1):
        sums = np.bincount(numbers[1:], bones.junctions[:, axis], minlength=len(centres) + 1)
        centres[:, axis] = sums[1:] / counts
    kept = np.flatnonzero(~bridge)
    return Skeleton([bones.branches[i] for i in kept], numbers[bones.ends[kept]], centres,
                    bones.width, bones.depth)
