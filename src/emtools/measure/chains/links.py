"""Dots linked into chains by their gaps and by straightness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains.dots import Dots

_LARGEST_TURN_DEG = 65.0  # between two links of a dot
_TURN_SCALE_DEG = 25.0
_BRIDGE = 2.2  # pitches over which a chain is followed beneath one that crosses it
_BRIDGE_DEG = 25.0

Chain = list[int]


def gap_between(dots: Dots, i: int, j: int) -> float:
    """Gap in pixels edge to edge along the line through two centres."""
    away = dots.centre[j] - dots.centre[i]
    distance = float(np.hypot(*away))
    along = away / max(distance, 1e-9)
    return distance - dots.half_extent(i, along) - dots.half_extent(j, along)


def link_dots(dots: Dots, max_gap_px: float, min_dots: int) -> list[Chain]:
    """Return chains as rows of dot numbers, each from the end nearer to the corner of pixel 0, 0.

    Each dot picks the pair of neighbours within reach that lie straightest on its two sides, at
    equal gaps; a link holds where both dots pick each other.  Chains that are interrupted by one
    that crosses them are joined again where their ends face each other.
    """
    neighbours = _neighbours(dots, max_gap_px)
    picks = [_pick(dots, i, found, max_gap_px) for i, found in enumerate(neighbours)]
    links = {(i, j) for i, picked in enumerate(picks) for j in picked if i in picks[j]}
    chains = _paths(len(dots), links)
    chains = _bridge([chain for chain in chains if len(chain) >= 2], dots)
    return [_from_corner(chain, dots) for chain in chains if len(chain) >= min_dots]


def _from_corner(chain: Chain, dots: Dots) -> Chain:
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


def _pick(dots: Dots, i: int, gaps: dict[int, float], max_gap_px: float) -> list[int]:
    """The one or two neighbours that the dot would be linked to."""
    if len(gaps) < 2:
        return list(gaps)
    directions = {j: dots.centre[j] - dots.centre[i] for j in gaps}
    best, lowest = [min(gaps, key=lambda j: gaps[j])], np.inf
    names = sorted(gaps)
    for n, a in enumerate(names):
        for b in names[n + 1 :]:
            turn = 180.0 - _angle_deg(directions[a], directions[b])
            if turn > _LARGEST_TURN_DEG:
                continue
            uneven = (max(gaps[a], 0.0) + max(gaps[b], 0.0)) / max_gap_px
            cost = (turn / _TURN_SCALE_DEG) ** 2 + uneven
            if cost < lowest:
                best, lowest = [a, b], cost
    return best


def _angle_deg(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    cosine = float(a @ b / max(np.hypot(*a) * np.hypot(*b), 1e-12))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _paths(n: int, links: set[tuple[int, int]]) -> list[Chain]:
    """Follow the links from end to end; a closed ring starts at its lowest number."""
    neighbours: list[list[int]] = [[] for _ in range(n)]
    for i, j in sorted(links):
        neighbours[i].append(j)
    seen: set[int] = set()
    paths = []
    ends = [i for i in range(n) if len(neighbours[i]) == 1]
    for start in ends + list(range(n)):
        if start in seen:
            continue
        path = [start]
        seen.add(start)
        while True:
            onward = [j for j in neighbours[path[-1]] if j not in seen]
            if not onward:
                break
            path.append(onward[0])
            seen.add(onward[0])
        paths.append(path)
    return paths


def _bridge(chains: list[Chain], dots: Dots) -> list[Chain]:
    """Join chains whose ends face each other across another chain."""
    chains = [list(chain) for chain in chains]
    joined = True
    while joined:
        joined = False
        for i, a in enumerate(chains):
            for j in range(i + 1, len(chains)):
                both = _joined(a, chains[j], chains, dots)
                if both is not None:
                    chains[i] = both
                    del chains[j]
                    joined = True
                    break
            if joined:
                break
    return chains


def _joined(a: Chain, b: Chain, chains: list[Chain], dots: Dots) -> Chain | None:
    for first in (a, a[::-1]):
        for second in (b, b[::-1]):
            if _faces(first, second, chains, dots):
                return first + second
    return None


def _faces(first: Chain, second: Chain, chains: list[Chain], dots: Dots) -> bool:
    """Whether the end of `first` looks at the start of `second` across another chain."""
    c = dots.centre
    across = c[second[0]] - c[first[-1]]
    pitch = np.median([np.hypot(*(c[chain[1]] - c[chain[0]])) for chain in (first, second)])
    if not 0.5 * pitch < np.hypot(*across) < _BRIDGE * pitch:
        return False
    straight = (_angle_deg(c[first[-1]] - c[first[-2]], across) < _BRIDGE_DEG
                and _angle_deg(c[second[1]] - c[second[0]], across) < _BRIDGE_DEG)
    middle = 0.5 * (c[second[0]] + c[first[-1]])
    others = [i for chain in chains if chain is not first and chain is not second
              for i in chain if i not in first and i not in second]
    return bool(straight and others
                and np.linalg.norm(c[others] - middle, axis=1).min() < 0.75 * pitch)
