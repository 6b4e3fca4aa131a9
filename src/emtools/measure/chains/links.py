"""Dots linked into chains by their gaps and by straightness."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from emtools.measure.chains.knots import (
    LARGEST_TURN_DEG,
    TURN_SCALE_DEG,
    angle_deg,
    gap_between,
    rows_of,
    untangled,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains.dots import Dots

_BRIDGE = 2.2  # pitches over which a chain is followed beneath one that crosses it
_BRIDGE_DEG = 25.0
_BESIDE = 0.75  # pitches: another chain's dot so near to the middle of a gap lies in it

Chain = list[int]
Joints = dict[tuple[int, int], tuple[int, int]]  # (chain, side) -> (chain, side)


def link_dots(dots: Dots, max_gap_px: float, min_dots: int) -> list[Chain]:
    """Return chains as rows of dot numbers, each from the end nearer to the corner of pixel 0, 0.

    Each dot picks the pair of neighbours within reach that lie straightest on its two sides, at
    equal gaps, or the only two that it has, however sharp the bend; a link holds where both dots
    pick each other.  Where picks contradict each other (crossings, chains that touch) the links of
    all dots there are decided together, see `knots`.  A dot in which two chains overlap belongs to
    the one that it fits best, and the other chain leads past it.  Of three arms that meet the two
    that go on straightest are one chain, and the third ends there.  A closed ring is a row that
    starts at its lowest number; its last gap, back to the first dot, is left out.  Chains that
    are interrupted by one that crosses them are joined again where their ends face each other.
    """
    neighbours = _neighbours(dots, max_gap_px)
    picks = [_pick(dots, i, neighbours, max_gap_px) for i in range(len(dots))]
    links = untangled(dots, neighbours, picks, max_gap_px)
    chains = _bridge(rows_of(links), dots)
    return [from_corner(chain, dots) for chain in chains if len(chain) >= min_dots]


def from_corner(chain: Chain, dots: Dots) -> Chain:
    """Return a row of dots from its end that is nearer to the corner of pixel 0, 0."""
    first, last = (float(np.hypot(*dots.centre[i])) for i in (chain[0], chain[-1]))
    return chain if first <= last else chain[::-1]


def _neighbours(dots: Dots, max_gap_px: float) -> list[dict[int, float]]:
    largest = max((dots.half_extent(i, dots.axes(i)[0]) for i in range(len(dots))), default=0.0)
    pairs = cKDTree(dots.centre).query_pairs(2 * largest + max_gap_px, output_type="ndarray")
    found: list[dict[int, float]] = [{} for _ in range(len(dots))]
    for i, j in pairs.tolist():
        gap = gap_between(dots, i, j)
        if gap <= max_gap_px:
            found[i][j] = found[j][i] = gap
    return found


def _pick(
    dots: Dots, i: int, neighbours: list[dict[int, float]], max_gap_px: float
) -> list[int]:
    """The one or two neighbours that the dot would be linked to."""
    gaps = neighbours[i]
    if len(gaps) < 2:
        return list(gaps)
    if len(gaps) == 2 and _only_bends(dots, i, neighbours):
        return sorted(gaps)
    directions = {j: dots.centre[j] - dots.centre[i] for j in gaps}
    best, lowest = [min(gaps, key=lambda j: gaps[j])], np.inf
    names = sorted(gaps)
    for n, a in enumerate(names):
        for b in names[n + 1 :]:
            turn = 180.0 - angle_deg(directions[a], directions[b])
            if turn > LARGEST_TURN_DEG:
                continue
            uneven = (max(gaps[a], 0.0) + max(gaps[b], 0.0)) / max_gap_px
            cost = (turn / TURN_SCALE_DEG) ** 2 + uneven
            if cost < lowest:
                best, lowest = [a, b], cost
    return best


class _End(NamedTuple):
    """One end of a chain: where it is, where it looks (a unit vector), and its pitch."""

    chain: int
    side: int  # 0 or -1
    place: NDArray[np.float64]
    outward: NDArray[np.float64]
    pitch: float


def _bridge(chains: list[Chain], dots: Dots) -> list[Chain]:
    """Join chains whose ends face each other across another chain, the straightest first."""
    ends = [_end(chain, number, side, dots) for number, chain in enumerate(chains)
            for side in (0, -1)]
    if not ends:
        return chains
    others = _Others(chains, dots)
    places = cKDTree(np.array([end.place for end in ends]))
    reach = _BRIDGE * max(end.pitch for end in ends)
    facing = [(_turn(ends[i], ends[j]), i, j)
              for i, j in sorted(places.query_pairs(reach)) if _faces(ends[i], ends[j], others)]
    joined: Joints = {}
    for _, i, j in sorted(facing):
        a, b = ends[i][:2], ends[j][:2]
        if a not in joined and b not in joined and not _meets(a, b, joined):
            joined[a], joined[b] = b, a
    return [_followed(start, chains, joined) for start in range(len(chains))
            if _is_first(start, joined)]


def _only_bends(dots: Dots, i: int, neighbours: list[dict[int, float]]) -> bool:
    """Whether a dot's two neighbours are a bend; not a heap, nor the ends of rows side by side."""
    one, other = sorted(neighbours[i])
    if other in neighbours[one]:
        return False
    centre = dots.centre
    return not any(angle_deg(centre[onward] - centre[b], centre[a] - centre[i]) < LARGEST_TURN_DEG
                   for a, b in ((one, other), (other, one))
                   for onward in neighbours[b] if onward != i)


def _end(chain: Chain, number: int, side: int, dots: Dots) -> _End:
    inner = chain[min(2, len(chain) - 1)] if side == 0 else chain[max(-3, -len(chain))]
    away = dots.centre[chain[side]] - dots.centre[inner]
    steps = min(2, len(chain) - 1)
    length = max(float(np.hypot(*away)), 1e-9)
    return _End(number, side, dots.centre[chain[side]], away / length, length / steps)


def hidden_gaps(chains: list[Chain], single: Chain, dots: Dots) -> list[list[bool]]:
    """Whether a dot of another chain, or of none, lies between neighbours, for each chain."""
    if not chains:
        return []
    others = _Others([*chains, *([dot] for dot in single)], dots)
    found = []
    for number, chain in enumerate(chains):
        places = dots.centre[chain]
        pitch = float(np.median(np.hypot(*np.diff(places, axis=0).T)))
        middles = 0.5 * (places[1:] + places[:-1])
        near = others.tree.query_ball_point(middles, _BESIDE * pitch)
        found.append([bool(np.any(others.chain[one] != number)) for one in near])
    return found


class _Others:
    """The dots of all chains, to ask whose lie where."""

    def __init__(self, chains: list[Chain], dots: Dots) -> None:
        self.chain = np.array([number for number, chain in enumerate(chains) for _ in chain])
        self.tree = cKDTree(dots.centre[[i for chain in chains for i in chain]])

    def near(self, place: NDArray[np.float64], reach: float, own: tuple[int, int]) -> bool:
        """Whether a dot of a chain other than these two lies near a place."""
        found = self.chain[self.tree.query_ball_point(place, reach)]
        return bool(np.any((found != own[0]) & (found != own[1])))


def _turn(a: _End, b: _End) -> float:
    across = b.place - a.place
    return max(angle_deg(a.outward, across), angle_deg(-b.outward, across))


def _faces(a: _End, b: _End, others: _Others) -> bool:
    """Whether two ends look at each other across another chain."""
    if a.chain == b.chain:
        return False
    distance, pitch = float(np.hypot(*(b.place - a.place))), 0.5 * (a.pitch + b.pitch)
    if not 0.5 * pitch < distance < _BRIDGE * pitch or _turn(a, b) > _BRIDGE_DEG:
        return False
    return others.near(0.5 * (a.place + b.place), _BESIDE * pitch, (a.chain, b.chain))


def _far(side: int) -> int:
    """The other side of a chain: 0 and -1."""
    return -1 - side


def _walk(start: int, side: int, joined: Joints) -> list[tuple[int, int]]:
    """Chains met from one on, leaving it by one side, each with the side it is left by."""
    met = [(start, side)]
    while met[-1] in joined:
        chain, entered = joined[met[-1]]
        met.append((chain, _far(entered)))
    return met


def _meets(a: tuple[int, int], b: tuple[int, int], joined: Joints) -> bool:
    """Whether joining two ends would close a ring."""
    return any(chain == b[0] for chain, _ in _walk(a[0], _far(a[1]), joined))


def _is_first(chain: int, joined: Joints) -> bool:
    """Whether a chain is the end of a row of joined ones that the row is followed from."""
    ends = [_walk(chain, side, joined)[-1][0] for side in (0, -1)]
    return chain in ends and chain == min(ends)


def _followed(start: int, chains: list[Chain], joined: Joints) -> Chain:
    side = 0 if (start, 0) in joined else -1
    row: Chain = []
    for chain, left_by in _walk(start, side, joined):
        row += chains[chain] if left_by == -1 else chains[chain][::-1]
    return row
