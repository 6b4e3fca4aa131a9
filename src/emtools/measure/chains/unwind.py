"""The dots of a double helix told apart: which belongs to which strand, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emtools.measure.chains.helix import Helix, find_helices
from emtools.measure.chains.regions import Strand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_BEYOND = 0.5  # spacings beyond the ends of the helix's axis
_FARTHEST = 5.0  # sigma from either strand
_ROOM = 0.1  # of the radius, beside the dots' errors: no helix is one exactly
_UNEVEN = 0.15  # 1 sigma of the spacing of dots along a strand, relative
_MISSED = 4.0  # chi squared of a dot that was not found
_AS_DRAWN = 0.75  # of the dots of two rows that lie on the strands that they are
_KEPT = 64  # ways of telling the strands apart that are followed


class Coiled(NamedTuple):
    """A helix and the two rows, by their indices, that are its strands."""

    helix: Helix
    rows: tuple[int, int]


def unwound_rows(
    centres: Floats, err: Floats, rows: Sequence[list[int]], min_dots: int
) -> tuple[list[list[int]], list[Coiled]]:
    """Find double helices among rows of dots and trace their strands anew.

    Parameters
    ----------
    centres
        ``(n, 2)`` of all dots (y, x), also of those in no row.
    err
        ``(n,)`` 1 sigma of each, along either direction.
    rows
        Dots of each traced row, in order.
    min_dots
        Fewest dots of a row.

    Returns
    -------
    list of list of int
        The rows, with the two strands of each helix instead of the rows that it was traced as.
        What is left of these stays a row where it has `min_dots` dots one after the other.
    list of Coiled
        The helices, in the unit of the centres.
    """
    taken = {dot for row in rows for dot in row}
    pieces = [*rows, *([dot] for dot in range(len(centres)) if dot not in taken)]
    helices = find_helices([Strand(centres[piece], err[piece]) for piece in pieces])
    left = [list(row) for row in rows]
    strands: list[list[int]] = []
    coiled = []
    for helix in helices:
        dots = np.array([dot for member in helix.members for dot in pieces[member]])
        first, second, _ = unwind(helix, centres[dots], err[dots])
        if min(len(first), len(second)) < min_dots:
            continue
        coiled.append((helix, len(strands)))
        strands += [dots[first].tolist(), dots[second].tolist()]
        used = set(dots[first].tolist()) | set(dots[second].tolist())
        left = [run for row in left for run in _runs(row, used, min_dots)]
    return left + strands, [Coiled(helix, (len(left) + n, len(left) + n + 1))
                            for helix, n in coiled]


def coiled_rows(
    centres: Floats, err: Floats, rows: Sequence[list[int]], min_dots: int
) -> list[Coiled]:
    """Say which of given rows are the two strands of a double helix, without changing the rows.

    A helix whose dots are shared otherwise between the rows than between its strands is none.

    Parameters
    ----------
    centres, err, rows, min_dots
        As of `unwound_rows`.
    """
    taken = {dot for row in rows for dot in row}
    pieces = [*rows, *([dot] for dot in range(len(centres)) if dot not in taken)]
    found = []
    for helix in find_helices([Strand(centres[piece], err[piece]) for piece in pieces]):
        members = [member for member in helix.members if len(pieces[member]) >= min_dots]
        if len(members) != 2:
            continue
        dots = np.array([dot for member in members for dot in pieces[member]])
        first, second, _ = unwind(helix, centres[dots], err[dots])
        n = len(pieces[members[0]])
        # Where the strands cross, either may be right.
        as_found = sum(dot < n for dot in first) + sum(dot >= n for dot in second)
        if max(as_found, len(first) + len(second) - as_found) >= _AS_DRAWN * len(dots):
            found.append(Coiled(helix, (members[0], members[1])))
    return found


def _runs(row: list[int], used: set[int], min_dots: int) -> list[list[int]]:
    """What is left of a row; the row itself where nothing of it was used."""
    if not used & set(row):
        return [row]
    runs: list[list[int]] = [[]]
    for dot in row:
        if dot in used:
            runs.append([])
        else:
            runs[-1].append(dot)
    return [run for run in runs if len(run) >= min_dots]


class _Way(NamedTuple):
    """One way of sharing the dots so far between the strands: cost, last dot of each, and all."""

    cost: float
    last: tuple[int, int]
    sides: tuple[int, ...]


def unwind(helix: Helix, points: Floats, err: Floats) -> tuple[list[int], list[int], list[int]]:
    """Share dots between the two strands of a helix.

    Where the strands are apart a dot belongs to the nearer one.  At crossings it is the spacing
    that tells: dots evenly spaced along a strand in space are so along the helix's axis too, seen
    from any side.  The likeliest way to share all dots is followed from one end to the other.

    Parameters
    ----------
    helix
        A double helix found among the dots.
    points
        ``(n, 2)`` centres (y, x), of the helix's rows and of single dots in its region.
    err
        ``(n,)`` 1 sigma of each.

    Returns
    -------
    tuple of list of int
        Indices of one strand's dots and of the other's, each in order along the axis, and of the
        dots that lie on neither.
    """
    arc, costs = _costs(helix, points, err)
    on = np.flatnonzero(costs.min(axis=1) < _FARTHEST**2)
    order = on[np.argsort(arc[on], kind="stable")]
    sides = _shared(arc[order], costs[order])
    off = sorted(set(range(len(points))) - set(order.tolist()))
    return (order[sides == 0].tolist(), order[sides == 1].tolist(), off)


def _costs(helix: Helix, points: Floats, err: Floats) -> tuple[Floats, Floats]:
    """Place of each dot along the axis, and its chi squared as a dot of either strand."""
    coil = helix.coil
    axis = coil.axis()
    arc, offset = axis.project(points)
    phase = coil.phase(arc * coil.length / axis.arc[-1])
    slope = coil.radius * np.sin(phase) * 2 * np.pi / coil.pitch
    variance = (err**2 + coil.scatter**2) * (1 + slope**2) + (_ROOM * coil.radius) ** 2
    strand = coil.radius * np.cos(phase)
    costs = np.stack([offset - strand, offset + strand], axis=-1) ** 2 / variance[:, None]
    room = _BEYOND * float(np.median(np.diff(np.sort(arc)))) * 2
    beyond = (arc < -room) | (arc > axis.arc[-1] + room)
    return arc, np.where(beyond[:, None], np.inf, costs)


def _shared(arc: Floats, costs: Floats) -> NDArray[np.int64]:
    """Strand of each dot, 0 or 1, for dots in order along the axis."""
    if len(arc) == 0:
        return np.zeros(0, dtype=np.int64)
    nearer = costs.argmin(axis=1)
    clear = np.abs(costs[:, 0] - costs[:, 1]) > _FARTHEST**2
    steps = [np.diff(arc[clear & (nearer == side)]) for side in (0, 1)]
    spacing = float(np.median(np.concatenate(steps))) if clear.sum() > 3 \
        else 2 * float(np.median(np.diff(arc)))
    ways = [_Way(0.0, (-1, -1), ())]
    for dot, cost in enumerate(costs.tolist()):
        onward: dict[tuple[int, int], _Way] = {}
        for way in ways:
            for side in (0, 1):
                before = way.last[side]
                step = 0.0 if before < 0 else _uneven((arc[dot] - arc[before]) / spacing)
                last = (dot, way.last[1]) if side == 0 else (way.last[0], dot)
                new = _Way(way.cost + cost[side] + step, last, (*way.sides, side))
                if last not in onward or new.cost < onward[last].cost:
                    onward[last] = new
        ways = sorted(onward.values(), key=lambda way: way.cost)[:_KEPT]
    return np.array(ways[0].sides)


def _uneven(steps: float) -> float:
    """Chi squared of a distance in spacings; whole multiples leave dots out that were not found."""
    whole = max(1, round(steps))
    return ((steps - whole) / _UNEVEN) ** 2 + _MISSED * (whole - 1)
