"""Knots: where chains cross, meet or touch, and which arm goes on as which.

Where chains cross, their dots overlap, are fitted as one, or hide each other, so that the single
dot does not tell what it belongs to.  The arms that lead there do.  All ways that arms and the
dots between them may go together are compared: the set of paths of the lowest total cost is
taken (set partition, solved exactly).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csc_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from emtools.measure.chains.dots import Dots

    Floats = NDArray[np.float64]

LARGEST_TURN_DEG = 65.0  # between two links of a dot
TURN_SCALE_DEG = 25.0
BRIDGE_DEG = 40.0  # the same where a link leads beneath another chain
_REACH = 1.7  # pitches from a knot's dots to arms that lead there without touching one
_HOPS = 2  # from a contested dot: how far around it dots with several neighbours are doubted
_HIDDEN = 2  # most dots of a chain hidden one after the other
_HIDES = 0.75  # pitches: a dot that near hides another
_UNEVEN = 0.3  # pitches: 1 sigma of a link's length where dots overlap
_UNLIKE = (0.3, 0.6)  # 1 sigma of the logarithms of width and height of two arms of one chain
_LONGEST = 6  # dots of a knot in one path
_KEPT = 1000  # cheapest paths from an arm
_LARGEST_KNOT = 24  # dots; in larger heaps there are no chains to tell
# Costs, in chi squared.
_END = 3.0  # of a chain that ends in a knot
_LONELY = 2.5  # of a dot that is left without a chain
_MISSING = 1.0  # of a dot that is hidden
_SLACK = 3.0  # beside 1 for each link: what a path may cost to be followed

Links = set[tuple[int, int]]  # both ways


def gap_between(dots: Dots, i: int, j: int) -> float:
    """Gap in pixels edge to edge along the line through two centres."""
    away = dots.centre[j] - dots.centre[i]
    distance = float(np.hypot(*away))
    along = away / max(distance, 1e-9)
    return distance - dots.half_extent(i, along) - dots.half_extent(j, along)


class _Arm(NamedTuple):
    """What leads to a knot: its last dot, its direction (a unit vector), pitch, width, height."""

    dot: int
    outward: Floats
    pitch: float
    likeness: Floats  # logarithms of width and height


class _Path(NamedTuple):
    """Dots in order, the arms' last ones included, and what it costs to take them for a chain."""

    dots: tuple[int, ...]
    cost: float


def angle_deg(a: Floats, b: Floats) -> float:
    """Angle between two vectors."""
    cosine = float(a @ b / max(np.hypot(*a) * np.hypot(*b), 1e-12))
    return float(np.degrees(np.arccos(min(max(cosine, -1.0), 1.0))))


def rows_of(links: Links) -> list[list[int]]:
    """Follow the links from end to end; a closed ring starts at its lowest number."""
    neighbours: dict[int, list[int]] = {}
    for i, j in sorted(links):
        neighbours.setdefault(i, []).append(j)
    seen: set[int] = set()
    rows = []
    for start in [i for i, found in neighbours.items() if len(found) == 1] + list(neighbours):
        if start in seen:
            continue
        row, onward = [], [start]
        while onward:
            row.append(onward[0])
            seen.add(onward[0])
            onward = [j for j in neighbours[row[-1]] if j not in seen]
        rows.append(row)
    return rows


def untangled(
    dots: Dots, neighbours: list[dict[int, float]], picks: list[list[int]], max_gap_px: float
) -> Links:
    """Return the links of dots that pick each other, those at knots decided together.

    Parameters
    ----------
    dots
        All dots.
    neighbours
        Of each dot: those within reach and the gaps to them.
    picks
        The one or two neighbours that each dot would be linked to.
    max_gap_px
        Largest gap between neighbours.
    """
    links = {(i, j) for i, picked in enumerate(picks) for j in picked if i in picks[j]}
    doubted = _doubted(neighbours, picks) | _faced(dots, _arms(dots, links))
    if not doubted:
        return links
    picked = links
    links = {(i, j) for i, j in links if i not in doubted and j not in doubted}
    linked = {i for i, _ in links}
    free = doubted | {j for i in doubted for j in neighbours[i] if j not in linked}
    for knot in _knots(dots, neighbours, links, sorted(free), max_gap_px):
        if knot.arms and len(knot.free) <= _LARGEST_KNOT:
            taken = [link for path in knot.untied(picked) for link in pairwise(path)]
        else:
            taken = [(i, j) for i, j in picked if i in knot.free]
        links |= {link for i, j in taken for link in ((i, j), (j, i))}
    return links


def _doubted(neighbours: list[dict[int, float]], picks: list[list[int]]) -> set[int]:
    """Dots with several neighbours near one that is picked and does not pick back."""
    several = {i for i, found in enumerate(neighbours) if len(found) > 2}
    edge = {end for i, picked in enumerate(picks) for j in picked if i not in picks[j]
            for end in (i, j)}
    doubted = edge & several
    for _ in range(_HOPS):
        edge = {j for i in edge for j in neighbours[i] if j in several} - doubted
        doubted |= edge
    return doubted


def _faced(dots: Dots, arms: list[_Arm]) -> set[int]:
    """Dots that ends of chains look at: beneath them the chains may go on."""
    tree = cKDTree(dots.centre)
    faced = set()
    for arm in arms:
        place = dots.centre[arm.dot]
        for dot in tree.query_ball_point(place, _REACH * arm.pitch):
            if dot != arm.dot and angle_deg(arm.outward, dots.centre[dot] - place) < BRIDGE_DEG:
                faced.add(dot)
    return faced


def _arms(dots: Dots, links: Links) -> list[_Arm]:
    """Ends of what is certain; single dots are none, for they have no direction."""
    linked: dict[int, list[int]] = {}
    for i, j in sorted(links):
        linked.setdefault(i, []).append(j)
    widths = dots.widths
    arms = []
    for end, found in linked.items():
        if len(found) == 1:
            row = [end, found[0]]
            row += [j for j in linked[row[1]] if j != end]
            away = dots.centre[row[0]] - dots.centre[row[-1]]
            length = max(float(np.hypot(*away)), 1e-9)
            height = np.maximum(dots.parameters[row, 5], 1e-9)
            likeness = np.log([np.mean(widths[row]), np.mean(height)])
            arms.append(_Arm(end, away / length, length / (len(row) - 1), likeness))
    return arms


def _knots(
    dots: Dots, neighbours: list[dict[int, float]], links: Links, free: list[int],
    max_gap_px: float,
) -> Iterator[_Knot]:
    """Doubted dots that hang together, each with the arms that lead there."""
    place = {dot: n for n, dot in enumerate(free)}
    pairs = np.array([(place[i], place[j]) for i in free for j in neighbours[i] if j in place]
                     or np.zeros((0, 2), dtype=int))
    graph = csr_array((np.ones(len(pairs)), tuple(pairs.T)), (len(free),) * 2)
    n_knots, label = connected_components(graph, directed=False)
    everywhere = cKDTree(dots.centre)
    arms: list[list[_Arm]] = [[] for _ in range(n_knots)]
    tree = cKDTree(dots.centre[free])
    for arm in _arms(dots, links):
        distance, nearest = tree.query(dots.centre[arm.dot])
        towards = dots.centre[free[nearest]] - dots.centre[arm.dot]
        touches = any(j in place for j in neighbours[arm.dot])
        if touches or (distance < _REACH * arm.pitch
                       and angle_deg(arm.outward, towards) < LARGEST_TURN_DEG):
            arms[label[nearest]].append(arm)
    for number in range(n_knots):
        inside = [dot for dot, one in zip(free, label, strict=True) if one == number]
        yield _Knot(dots, everywhere, inside, arms[number], max_gap_px)


class _Knot:
    """Doubted dots, and the arms that lead to them."""

    def __init__(
        self, dots: Dots, tree: cKDTree, free: list[int], arms: list[_Arm], max_gap_px: float
    ) -> None:
        self.dots, self.tree, self.free, self.max_gap_px = dots, tree, free, max_gap_px
        self.arms = {arm.dot: arm for arm in arms}
        self.alone = dict.fromkeys(self.arms, _END) | dict.fromkeys(free, _LONELY)
        self.pitch = float(np.median([arm.pitch for arm in arms] or [np.nan]))
        self._onward: dict[tuple[int, ...], dict[int, float]] = {}

    def untied(self, picked: Links) -> list[tuple[int, ...]]:
        """Rows of dots: the cheapest set of paths in which no dot is met twice."""
        paths = [_Path((node,), cost) for node, cost in self.alone.items()]
        for start in self.arms:
            paths += self._paths_from(start)
        inside = {(i, j) for i, j in picked if i in self.alone and j in self.alone
                  and not (i in self.arms and j in self.arms)}
        paths += [path for row in rows_of(inside) for path in self._parts(row)]
        place = {node: n for n, node in enumerate(self.alone)}
        rows = [place[dot] for path in paths for dot in path.dots]
        ends = np.cumsum([0] + [len(path.dots) for path in paths])
        holds = csc_array((np.ones(len(rows)), rows, ends), (len(place), len(paths)))
        best = milp([path.cost for path in paths], integrality=np.ones(len(paths), dtype=int),
                    bounds=Bounds(0, 1), constraints=LinearConstraint(holds, 1, 1))
        if best.x is None:
            return []
        return [path.dots for path, taken in zip(paths, best.x, strict=True) if taken > 0.5]

    def _paths_from(self, start: int) -> list[_Path]:
        """Paths from an arm that are worth their cost; between two arms from one of them."""
        found: dict[frozenset[int], _Path] = {}
        left: list[tuple[tuple[int, ...], float, float]] = [((start,), 0.0, self.alone[start])]
        while left:
            row, cost, alone = left.pop()
            for node, step in self._steps(row).items():
                total = cost + step
                if node in row or total > _SLACK + len(row):
                    continue
                new, saved = (*row, node), alone + self.alone[node]
                ends = node in self.arms
                if not ends and len(row) < _LONGEST:
                    left.append((new, total, saved))
                total += self._unlike(start, node) if ends else _END
                same = frozenset(new)
                if total < saved and (start < node or not ends) \
                        and (same not in found or total < found[same].cost):
                    found[same] = _Path(new, total)
        return sorted(found.values(), key=lambda path: path.cost)[:_KEPT]

    def _parts(self, row: list[int]) -> Iterator[_Path]:
        """What a row that was picked dot by dot, or some of it, costs."""
        for first, start in enumerate(row):
            before = self.arms[start].outward if start in self.arms else None
            cost, alone = 0.0 if start in self.arms else _END, self.alone[start]
            for n in range(first + 1, len(row)):
                cost += self._step(row[n - 1], before, row[n])
                alone += self.alone[row[n]]
                total = cost + (0.0 if row[n] in self.arms else _END)
                if total < alone:
                    yield _Path(tuple(row[first: n + 1]), total)
                before = self.dots.centre[row[n]] - self.dots.centre[row[n - 1]]

    def _unlike(self, one: int, other: int) -> float:
        unlike = self.arms[one].likeness - self.arms[other].likeness
        return float(np.sum((unlike / _UNLIKE) ** 2))

    def _steps(self, row: tuple[int, ...]) -> dict[int, float]:
        """The dots that may come next after a row, and what they cost."""
        last = row[-2:]
        if last not in self._onward:
            centre = self.dots.centre
            before = self.arms[row[0]].outward if len(row) == 1 \
                else centre[last[1]] - centre[last[0]]
            near = self.tree.query_ball_point(centre[row[-1]], (_HIDDEN + 1.5) * self.pitch,
                                              return_sorted=True)
            costs = {node: self._step(row[-1], before, node) for node in near
                     if node in self.alone and node not in last}
            self._onward[last] = {node: cost for node, cost in costs.items() if cost < np.inf}
        return self._onward[last]

    def _step(self, last: int, before: Floats | None, node: int) -> float:
        """What it costs to go on to a dot; infinite where it is too far or too sharp a turn."""
        away = self.dots.centre[node] - self.dots.centre[last]
        turns = [0.0 if before is None else angle_deg(before, away)]
        if node in self.arms:
            turns.append(angle_deg(away, -self.arms[node].outward))
        if max(turns) > LARGEST_TURN_DEG:
            return np.inf
        missing, steps = 0, float(np.hypot(*away)) / self.pitch
        if gap_between(self.dots, last, node) > self.max_gap_px:
            missing = max(1, round(steps) - 1)
            if max(turns) > BRIDGE_DEG or missing > _HIDDEN \
                    or not self._hidden(last, node, missing):
                return np.inf
        return (missing * _MISSING + ((steps - missing - 1) / _UNEVEN) ** 2
                + sum((turn / TURN_SCALE_DEG) ** 2 for turn in turns))

    def _hidden(self, last: int, node: int, missing: int) -> bool:
        """Whether other dots lie where dots are missing."""
        first, away = self.dots.centre[last], self.dots.centre[node] - self.dots.centre[last]
        parts = np.arange(1, missing + 1)[:, None] / (missing + 1)
        near = self.tree.query_ball_point(first + parts * away, _HIDES * self.pitch)
        return all(set(found) - {last, node} for found in near)
