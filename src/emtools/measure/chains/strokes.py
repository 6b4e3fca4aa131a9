"""The courses of what a person drew: through a label, however it is painted, or along a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from emtools.measure.chains.centreline import smoothed
from emtools.measure.chains.crossings import Path, joined_paths
from emtools.measure.chains.line_ends import straight_px
from emtools.measure.chains.skeleton import find_skeleton

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_EIGHT = np.ones((3, 3), dtype=bool)
_CORNER = 0.5  # widths of a label before its ends, where its skeleton may run into a corner
_BEYOND = 4.0  # widths beyond a course's ends that dots are ordered along it
_ROUGH = 0.2  # widths: how far a skeleton is from a smooth course
_PIECES = 200  # of a label: smaller ones of more are specks
_MEET_PX = 1.5  # courses nearer to each other than that cross
_END_PX = 4  # places so near to a course's end are its end


class Stroke(NamedTuple):
    """One chain as it was drawn.

    Parameters
    ----------
    number
        Of the chain.
    path
        Its course.
    size
        First guess of its width in pixels.
    """

    number: int
    path: Path
    size: float


def label_course(mask: NDArray[np.bool_]) -> tuple[Path, float]:
    """Return the course through a label from end to end, and how wide the label is.

    Parameters
    ----------
    mask
        The label; in pieces where bodies were painted one by one.
    """
    parts, n = ndimage.label(mask, _EIGHT)
    largest = 1 + np.argsort(-np.bincount(parts.ravel())[1:], kind="stable")[:_PIECES]
    places = ndimage.find_objects(parts)
    found = [_through(parts[places[number - 1]] == number, places[number - 1])
             for number in np.sort(largest).tolist()]
    pieces, widths, closed = zip(*found, strict=True)
    width = float(np.median(widths))
    if n == 1 and closed[0]:
        return _path(pieces[0], closed=True), width
    course = np.vstack([pieces[i] if forwards else pieces[i][::-1]
                        for i, forwards in joined(pieces)])
    return _path(_to_the_edges(course, mask, width)), width


def _path(points: Floats, *, closed: bool = False) -> Path:
    return Path(points, (True, True), closed, np.zeros((0, 2)))


def line_path(course: Floats) -> Path:
    """Return a drawn line as a path."""
    closed = len(course) > 10 and bool(np.hypot(*(course[0] - course[-1])) < _MEET_PX)
    return _path(course, closed=closed)


def _through(mask: NDArray[np.bool_], place: tuple[slice, ...]) -> tuple[Floats, float, bool]:
    """Longest course through one piece, its width, and whether it is a ring."""
    origin = np.array([part.start for part in place], dtype=float)
    bones = find_skeleton(mask)
    middle = np.argwhere(mask).mean(axis=0)[None] + origin
    round_px = 2.0 * float(np.sqrt(mask.sum() / np.pi))
    if bones is None:
        return middle, round_px, False
    widths = [bones.width_along(branch) for branch in bones.branches]
    paths, _ = joined_paths(bones, np.array(widths), np.ones(len(widths)))
    if not paths:
        return middle, round_px, False
    longest = max(paths, key=lambda path: len(path.points))
    width = max(bones.width_along(longest.points), 1.0)
    if len(longest.points) < max(3.0, 0.5 * width):
        return middle, round_px, False
    cut = 0 if longest.closed else min(round(_CORNER * width), len(longest.points) // 3)
    return longest.points[cut:len(longest.points) - cut] + origin, width, longest.closed


def _to_the_edges(course: Floats, mask: NDArray[np.bool_], width: float) -> Floats:
    """Carry a course on straight at both ends, as far as the label reaches."""
    if len(course) < 2:
        return course
    first, last = _onward(course[::-1], width), _onward(course, width)
    return np.vstack([_within(first, mask)[::-1], course, _within(last, mask)])


def _onward(course: Floats, width: float) -> Floats:
    """Points at steps of one pixel straight on beyond the last one."""
    back = course[max(len(course) - 1 - straight_px(width), 0)]
    away = course[-1] - back
    away = away / max(float(np.hypot(*away)), 1e-9)
    n = int(np.ceil(_BEYOND * width))
    return np.asarray(course[-1] + np.arange(1, n + 1)[:, None] * away)


def _within(points: Floats, mask: NDArray[np.bool_]) -> Floats:
    """Points up to the first that is no longer on the mask."""
    places = np.rint(points).astype(int)
    inside = ((places >= 0) & (places < mask.shape)).all(axis=1)
    on = np.zeros(len(points), dtype=bool)
    on[inside] = mask[tuple(places[inside].T)]
    return points[:len(points) if on.all() else int(np.argmin(on))]


def joined(pieces: Sequence[Floats]) -> list[tuple[int, bool]]:
    """Order pieces end to end, the nearest ends joined first.

    Parameters
    ----------
    pieces
        Each ``(n, 2)`` points in order; one point alone has two ends too.

    Returns
    -------
    list of (int, bool)
        Their numbers in order, and whether each is followed forwards.
    """
    ends = np.array([[piece[0], piece[-1]] for piece in pieces]).reshape(-1, 2)
    group = np.arange(len(pieces))
    partner: dict[int, int] = {}
    first, second = np.triu_indices(len(ends), 1)
    for k in np.argsort(cdist(ends, ends)[first, second], kind="stable").tolist():
        a, b = int(first[k]), int(second[k])
        if group[a // 2] == group[b // 2] or a in partner or b in partner:
            continue
        partner[a], partner[b] = b, a
        group[group == group[b // 2]] = group[a // 2]
        if len(partner) == len(ends) - 2:
            break
    end = min(end for end in range(len(ends)) if end not in partner)
    order = [(end // 2, end % 2 == 0)]
    while (end ^ 1) in partner:
        end = partner[end ^ 1]
        order.append((end // 2, end % 2 == 0))
    return order


def order_along(points: Floats, path: Path, width: float) -> NDArray[np.intp]:
    """Order of points along a course, also a little beyond its ends."""
    course = path.points
    if len(course) > 1:
        course = smoothed(course, max(0.5, _ROUGH * width)).points
        if not path.closed:
            course = np.vstack([_onward(course[::-1], width)[::-1], course,
                                _onward(course, width)])
    return np.argsort(cKDTree(course).query(points)[1], kind="stable")


def meetings(courses: Sequence[Floats]) -> Floats:
    """Return the places ``(n, 2)`` where courses cross each other, not where two of them end."""
    found = [np.zeros((0, 2))]
    for number, one in enumerate(courses):
        for other in courses[:number]:
            far = (one.min(axis=0) > other.max(axis=0)) | (one.max(axis=0) < other.min(axis=0))
            if far.any():
                continue
            away, nearest = cKDTree(other).query(one)
            near = np.flatnonzero(away < _MEET_PX)
            there = np.asarray(nearest)[near]
            at_ends = [np.minimum(at, len(course) - 1 - at) < _END_PX
                       for at, course in ((near, one), (there, other))]
            found.append(one[near[~(at_ends[0] & at_ends[1])]])
    return np.vstack(found)
