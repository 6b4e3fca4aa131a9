"""How well what was found agrees with what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from chains_report.bodies import Body
    from chains_report.truth import Target, Truth

_OVERLAP = 0.5  # intersection over union of two outlines that are the same body
_INSIDE = 0.7  # of a centreline, to be that of a wire
_LONG = 0.6  # of a wire's length, to be that wire


class Score(NamedTuple):
    """Counts, and the medians of found over true among the hits.

    Parameters
    ----------
    n_true, n_found
        Objects, or pixels where only a mask is known.
    hits
        One to one.
    size, length, width
        Ratios; NaN where the labels hold none.
    """

    n_true: int
    n_found: int
    hits: int
    size: float = np.nan
    length: float = np.nan
    width: float = np.nan

    @property
    def precision(self) -> float:
        """Hits over found."""
        return self.hits / self.n_found if self.n_found else np.nan

    @property
    def recall(self) -> float:
        """Hits over true."""
        return self.hits / self.n_true if self.n_true else np.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of the two, 0 where nothing was found."""
        return 2 * self.hits / max(self.n_true + self.n_found, 1)


def score(truth: Truth, bodies: Sequence[Body]) -> Score:
    """Return how well bodies agree with what is known."""
    counted = [body for body in bodies if not _ignored(truth, body)]
    if truth.mask is not None:
        return _of_pixels(truth.mask, counted)
    if not truth.targets:
        return Score(truth.count or 0, len(counted), 0)
    pairs = _greedy(_pairs(truth, counted))
    found = [(counted[i], truth.targets[j]) for i, j in pairs]
    return Score(len(truth.targets), len(counted), len(pairs),
                 _median([body.size / target.size for body, target in found]),
                 _median([body.length / target.length for body, target in found]),
                 _median([body.width / target.width for body, target in found]))


def same_centre(truth: Truth, bodies: Sequence[Body]) -> int:
    """Return how many labelled outlines hold the centre of a body, one to one."""
    pairs = [(0.0, i, j) for i, body in enumerate(bodies) for j, target in enumerate(truth.targets)
             if _holds(target, body, truth.shape)]
    return len(_greedy(pairs))


def _pairs(truth: Truth, bodies: Sequence[Body]) -> list[tuple[float, int, int]]:
    """Cost, body and target of all that may be the same."""
    pairs = []
    for i, body in enumerate(bodies):
        for j, target in enumerate(truth.targets):
            cost = _cost(truth, body, target)
            if cost is not None:
                pairs.append((cost, i, j))
    return pairs


def _cost(truth: Truth, body: Body, target: Target) -> float | None:
    """How badly a body agrees with a target; None where they are not the same."""
    away = np.subtract(body.centre, target.centre)
    distance = float(np.hypot(*away))
    if truth.kind == "boxes":
        inside = abs(away[0]) < 0.5 * target.length and abs(away[1]) < 0.5 * target.width
        return distance if inside else None
    if truth.kind == "points":
        return distance if distance < truth.reach else None
    if truth.kind == "rods":
        return distance if _holds(target, body, truth.shape) else None
    if truth.kind == "wires":
        inside = float(np.isin(_flat(body.axis, truth.shape), target.pixels).mean())
        alike = inside > _INSIDE and body.length > _LONG * target.length
        return 1.0 - inside if alike else None
    both = len(np.intersect1d(body.pixels, target.pixels, assume_unique=True))
    overlap = both / max(len(body.pixels) + len(target.pixels) - both, 1)
    return 1.0 - overlap if overlap >= _OVERLAP else None


def _holds(target: Target, body: Body, shape: tuple[int, int]) -> bool:
    centre = _flat(np.array([body.centre]), shape)
    return bool(np.isin(centre, target.pixels).all())


def _flat(points: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.int64]:
    nearest = np.clip(np.rint(points).astype(int), 0, np.array(shape) - 1)
    return np.asarray(np.ravel_multi_index(tuple(nearest.T), shape), dtype=np.int64)


def _greedy(pairs: list[tuple[float, int, int]]) -> list[tuple[int, int]]:
    bodies: set[int] = set()
    targets: set[int] = set()
    chosen = []
    for _, i, j in sorted(pairs):
        if i not in bodies and j not in targets:
            bodies.add(i)
            targets.add(j)
            chosen.append((i, j))
    return chosen


def _ignored(truth: Truth, body: Body) -> bool:
    points = body.axis if len(body.axis) else np.array([body.centre])
    for left, top, right, bottom in truth.ignored:
        inside = ((points[:, 0] > top) & (points[:, 0] < bottom)
                  & (points[:, 1] > left) & (points[:, 1] < right))
        if inside.mean() > _INSIDE:
            return True
    return False


def _of_pixels(mask: NDArray[np.bool_], bodies: Sequence[Body]) -> Score:
    drawn = np.zeros(mask.size, dtype=bool)
    for body in bodies:
        drawn[body.pixels] = True
    return Score(int(mask.sum()), int(drawn.sum()), int((drawn & mask.ravel()).sum()))


def _median(values: list[float]) -> float:
    return float(np.median(values)) if values else float("nan")
