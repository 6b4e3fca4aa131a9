"""Branches joined through crossings: by direction, course, width and brightness.

All arms that meet are matched at once.  Three arms are a fork: the two that continue each other
go on, the third ends there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains.skeleton import Skeleton

_STRAIGHT_DEG = 45.0  # two arms that meet are one line if they turn by less
# 1 sigma of what one line's arms differ by: turn, sideways offset in widths, logarithms.
_TURN_DEG, _OFFSET, _LOG_WIDTH, _LOG_HEIGHT = 12.0, 0.35, 0.25, 0.4
_UNMATCHED = 20.0  # in the same squared units: what two arms cost that end at a crossing
_NEAR, _FAR = 0.6, 4.0  # widths from the crossing: the stretch that tells an arm's direction
_EXHAUSTIVE = 6  # arms up to which all ways to match them are compared
_MOST_TURN_DEG = 75.0  # where only two arms meet, a bend up to this is one line's


class Path(NamedTuple):
    """One line through its crossings.

    Parameters
    ----------
    points
        ``(n, 2)`` in order.
    free
        Whether its first and its last point are ends of the object, not places where it meets
        another line.
    closed
        Whether the last point is beside the first: a ring.
    crossings
        ``(m, 2)`` centres of the crossings where it goes on across another line.
    """

    points: NDArray[np.float64]
    free: tuple[bool, bool]
    closed: bool
    crossings: NDArray[np.float64]


class _Arm(NamedTuple):
    """The part of a branch that arrives at a crossing."""

    end: int  # 2 i the first point of branch i, 2 i + 1 the last
    place: NDArray[np.float64]
    heading: NDArray[np.float64]  # towards the crossing
    tip: NDArray[np.float64]
    log_width: float
    log_height: float


def joined_paths(
    bones: Skeleton, widths: NDArray[np.float64], heights: NDArray[np.float64]
) -> tuple[list[Path], NDArray[np.float64]]:
    """Join branches into lines.

    Parameters
    ----------
    bones
        The branches and the junctions they end at.
    widths, heights
        Width in pixels and brightness of each branch.

    Returns
    -------
    tuple
        Lines, and ``(n, 2)`` centres of all places where branches meet.
    """
    partner: dict[int, int] = {}
    crossing: dict[int, int] = {}
    for node in range(1, len(bones.junctions) + 1):
        arms = [_arm(bones, 2 * int(i) + int(side), widths[i], heights[i])
                for i, side in np.argwhere(bones.ends == node)]
        pairs = _matched(arms, bones.width)
        for a, b in pairs:
            partner[a], partner[b] = b, a
            if len(pairs) > 1:
                crossing[a] = node
    return _walked(bones, partner, crossing), bones.junctions


def _arm(bones: Skeleton, end: int, width: float, height: float) -> _Arm:
    branch = bones.branches[end // 2]
    from_end = branch if end % 2 == 0 else branch[::-1]
    first = min(round(_NEAR * bones.width), max(len(branch) // 3, 0))
    stretch = from_end[first:max(round(_FAR * bones.width), first + 3)]
    centre = stretch.mean(axis=0)
    _, _, axes = np.linalg.svd(stretch - centre, full_matrices=False)
    heading = axes[0] if len(stretch) > 1 else np.array([1.0, 0.0])
    if heading @ (stretch[0] - stretch[-1]) < 0:
        heading = -heading
    return _Arm(end, centre, heading, from_end[0], float(np.log(max(width, 0.5))),
                float(np.log(max(height, 1e-12))))


def _cost(a: _Arm, b: _Arm, width: float, most_deg: float) -> float:
    """How unlike one line two arms are; infinite where they turn too much."""
    if a.end // 2 == b.end // 2:
        return np.inf
    turn = np.degrees(np.arccos(np.clip(-float(a.heading @ b.heading), -1.0, 1.0)))
    if turn > most_deg:
        return np.inf
    # Both carried on to the middle between them: half of the turn is an even bend, no offset.
    between = b.place - a.place
    course = a.heading - b.heading
    course = course / max(float(np.hypot(*course)), 1e-9)
    offset = abs(float(course[0] * between[1] - course[1] * between[0]))
    if float(course @ (b.tip - a.tip)) < -width:
        return np.inf
    return float((turn / _TURN_DEG) ** 2 + (offset / (_OFFSET * width)) ** 2
                 + ((a.log_width - b.log_width) / _LOG_WIDTH) ** 2
                 + ((a.log_height - b.log_height) / _LOG_HEIGHT) ** 2)


def _matched(arms: list[_Arm], width: float) -> list[tuple[int, int]]:
    """Pairs of arms that go on as each other, cheapest in all."""
    if len(arms) < 2:
        return []
    most = _MOST_TURN_DEG if len(arms) == 2 else _STRAIGHT_DEG
    costs = {(i, j): _cost(arms[i], arms[j], width, most)
             for i in range(len(arms)) for j in range(i + 1, len(arms))}
    if len(arms) == 2:
        pairs = [(0, 1)] if np.isfinite(costs[0, 1]) else []
    elif len(arms) <= _EXHAUSTIVE:
        pairs = _cheapest(tuple(range(len(arms))), costs)[1]
    else:
        pairs = _greedy(costs)
    return [(arms[i].end, arms[j].end) for i, j in pairs]


def _cheapest(
    left: tuple[int, ...], costs: dict[tuple[int, int], float]
) -> tuple[float, list[tuple[int, int]]]:
    if len(left) < 2:
        return 0.5 * _UNMATCHED * len(left), []
    first, rest = left[0], left[1:]
    total, pairs = _cheapest(rest, costs)
    best = (total + 0.5 * _UNMATCHED, pairs)
    for other in rest:
        if costs[first, other] < _UNMATCHED:
            total, pairs = _cheapest(tuple(i for i in rest if i != other), costs)
            best = min(best, (total + costs[first, other], [(first, other), *pairs]))
    return best


def _greedy(costs: dict[tuple[int, int], float]) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    taken: set[int] = set()
    for pair, cost in sorted(costs.items(), key=lambda item: item[1]):
        if cost < _UNMATCHED and not taken & set(pair):
            pairs.append(pair)
            taken |= set(pair)
    return pairs


def _walked(bones: Skeleton, partner: dict[int, int], crossing: dict[int, int]) -> list[Path]:
    """Lines: from ends that go no further first, then the rings."""
    paths: list[Path] = []
    seen: set[int] = set()
    starts = [end for end in range(2 * len(bones.branches)) if end not in partner]
    for start in [*starts, *range(0, 2 * len(bones.branches), 2)]:
        if start // 2 in seen:
            continue
        pieces, passed, end = [], [], start
        while end // 2 not in seen:
            seen.add(end // 2)
            branch = bones.branches[end // 2]
            pieces.append(branch if end % 2 == 0 else branch[::-1])
            onward = partner.get(end ^ 1)
            if onward is None:
                break
            node = crossing.get(end ^ 1, crossing.get(onward, 0))
            passed += [node] if node else []
            end = onward
        paths.append(_path(bones, pieces, passed, (start, end ^ 1)))
    return paths


def _path(
    bones: Skeleton, pieces: list[NDArray[np.float64]], passed: list[int], ends: tuple[int, int]
) -> Path:
    points = np.vstack(pieces)
    at = [bones.ends[end // 2, end % 2] for end in ends]
    # A branch without any junction whose ends touch is a ring; so is a walk that came back.
    near = bool(np.hypot(*(points[0] - points[-1])) < max(3.0, bones.width))
    alone = not any(at) and len(points) > 6.0 * bones.width
    closed = near and (alone or (len(pieces) > 1 and ends[1] == ends[0] ^ 1))
    return Path(points, (bool(at[0] == 0), bool(at[1] == 0)), closed,
                bones.junctions[[n - 1 for n in passed]].reshape(-1, 2))
