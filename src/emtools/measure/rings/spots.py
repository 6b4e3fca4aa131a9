"""Spot patterns of single crystals: spots, the net that they lie on, its planes and zone axis."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from emtools.measure.lattice.index import Tolerance, index_grain
from emtools.measure.lattice.spots import Spot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emtools.crystal import Phase
    from emtools.measure.lattice.index import Verdict
    from emtools.process.plane import Plane

    Floats = NDArray[np.float64]

_FINE_PX, _GROUND_PX = 1.2, 6.0  # sigmas of what a spot is and of what lies around it
_CLEAR = 9.0  # noise of the filtered picture
_NEIGHBOURS_PX = 4  # no other spot is nearer
_MOST = 120
_FEWEST = 8  # spots that a net must hold
_HELD = 0.6  # of all spots' brightness that lies on the net
_OFF = 0.12  # of a step of the net, by which a spot on it may be off
_SHORTEST_PX = 6.0  # step of a net
_BASES = 14  # shortest frequent differences that are tried as a basis
_LEAST_ERR_PX = 0.1
_LOST = 0.15  # weight of a spot that has no partner across the centre


@dataclass(frozen=True)
class _Clearness:
    """How clear a spot is, in the form that the engine of lattices asks for it."""

    snr: float


@dataclass(frozen=True)
class Net:
    """A single-crystal pattern.

    Parameters
    ----------
    places
        ``(n, 2)``: rows and columns of the spots on the net, in px.
    err
        ``(n,)``: 1 sigma of a place along each direction, in px.
    snr
        ``(n,)``: brightness over noise.
    origin
        Place of the central beam.
    basis
        ``(2, 2)``: rows are the net's steps in px.
    indices
        ``(n, 2)``: steps from the origin.
    share
        Part of the brightness of all spots that lies on the net.
    """

    places: Floats
    err: Floats
    snr: Floats
    origin: Floats
    basis: Floats
    indices: NDArray[np.int64]
    share: float


def find_net(plane: Plane, use: NDArray[np.bool_]) -> Net | None:
    """Find spots and the plane net that holds most of them; None where there is none.

    Parameters
    ----------
    plane
        The pattern.
    use
        ``(y, x)``: True at its sound pixels.
    """
    places, err, snr = _spots(plane, use)
    if len(places) < _FEWEST:
        return None
    fitted = _best_net(places, snr)
    if fitted is None:
        return None
    start, basis = fitted
    steps = (places - start) @ np.linalg.inv(basis)
    held = np.abs(steps - np.rint(steps)).max(axis=1) < _OFF
    share = float(snr[held].sum() / snr.sum())
    if held.sum() < _FEWEST or share < _HELD:
        return None
    indices = np.rint(steps[held]).astype(np.int64)
    origin = _centre(indices, snr[held])
    return Net(places[held], err[held], snr[held], start + origin @ basis, basis,
               indices - origin, share)


def index_net(net: Net, plane: Plane, phases: Sequence[Phase]) -> tuple[list[Spot], Verdict]:
    """Index a net with the engine that indexes the spots of images' transforms.

    Both spots of a Friedel pair are one reflection.
    """
    tolerance = Tolerance.of(plane.calibration)
    reflections: dict[tuple[int, int], list[int]] = {}
    for number, (i, j) in enumerate(net.indices.tolist()):
        if (i, j) != (0, 0):
            key = (i, j) if (i, j) > (0, 0) else (-i, -j)
            reflections.setdefault(key, []).append(number)
    spots = []
    for key, numbers in reflections.items():
        sign = np.array([1.0 if tuple(net.indices[n]) == key else -1.0 for n in numbers])
        off = ((net.places[numbers] - net.origin) * sign[:, None]).mean(axis=0)
        err = float(np.sqrt((net.err[numbers] ** 2).sum()) / len(numbers))
        k = plane.calibration.vectors(off)
        matrix = plane.calibration.matrix
        fringes = _Clearness(float(np.sqrt((net.snr[numbers] ** 2).sum())))
        spots.append(Spot(k, err**2 * matrix @ matrix.T, fringes, 0.0, 0.0))  # type: ignore[arg-type]
    spots.sort(key=lambda spot: spot.length)
    grain = _Grain(spots)
    return spots, index_grain(grain, list(phases), tolerance, "SAED")  # type: ignore[arg-type]


@dataclass(frozen=True)
class _Grain:
    """What the engine looks at of a grain."""

    spots: list[Spot]


def _spots(plane: Plane, use: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Places, errors and clearness of sharp maxima, the clearest first."""
    values = np.where(use, plane.values, np.float32(np.median(plane.values[use])))
    level = np.log(np.maximum(values - float(np.percentile(values, 0.5)), 0.0)
                   + 0.05 * float(np.ptp(np.percentile(values, (0.5, 99.0)))) + 1e-9)
    fine = ndimage.gaussian_filter(level, _FINE_PX) - ndimage.gaussian_filter(level, _GROUND_PX)
    noise = 1.4826 * ndimage.gaussian_filter(np.abs(fine), 4 * _GROUND_PX) + 1e-12
    clear = fine / noise
    top = ndimage.maximum_filter(clear, 2 * _NEIGHBOURS_PX + 1)
    threshold = _CLEAR * 1.4826 * float(np.median(np.abs(clear)))
    near = ndimage.binary_erosion(use, iterations=3, border_value=0)
    peaks = np.argwhere((clear == top) & (clear > threshold) & near)
    strength = clear[tuple(peaks.T)]
    order = np.argsort(-strength)[:_MOST]
    peaks, strength = peaks[order], strength[order]
    places = np.array([_centroid(fine, y, x) for y, x in peaks.tolist()]).reshape(-1, 2)
    err = np.hypot(_LEAST_ERR_PX, 2.0 / np.maximum(strength, 1e-9))
    return places, err, strength


def _centroid(fine: NDArray[np.float32], y: int, x: int) -> tuple[float, float]:
    part = np.maximum(fine[y - 2:y + 3, x - 2:x + 3], 0.0)
    if part.shape != (5, 5) or part.sum() <= 0:
        return float(y), float(x)
    steps = np.arange(-2, 3)
    return (y + float((part.sum(axis=1) * steps).sum() / part.sum()),
            x + float((part.sum(axis=0) * steps).sum() / part.sum()))


def _best_net(places: Floats, snr: Floats) -> tuple[Floats, Floats] | None:
    """A place on the net and its basis, fitted to the spots that it holds."""
    best: tuple[float, Floats, Floats] | None = None
    start = places[0]
    for a, b in combinations(_frequent(places), 2):
        basis = np.array([a, b])
        area = abs(float(np.linalg.det(basis)))
        if area < 0.25 * float(np.linalg.norm(a) * np.linalg.norm(b)):
            continue
        steps = (places - start) @ np.linalg.inv(basis)
        off = np.abs(steps - np.rint(steps)).max(axis=1) < 2 * _OFF
        # A finer net holds more by chance.
        score = float(snr[off].sum() / snr.sum()) - (4 * _OFF) ** 2 + 0.02 * np.log(area)
        if best is None or score > best[0]:
            best = score, start, basis
    if best is None:
        return None
    _, start, basis = best
    for _ in range(5):
        steps = (places - start) @ np.linalg.inv(basis)
        whole = np.rint(steps)
        held = np.abs(steps - whole).max(axis=1) < 1.5 * _OFF
        if held.sum() < _FEWEST:
            return None
        design = np.column_stack([np.ones(held.sum()), whole[held]])
        fitted = np.linalg.lstsq(design, places[held], rcond=None)[0]
        start, basis = fitted[0], fitted[1:]
        if abs(np.linalg.det(basis)) < _SHORTEST_PX:
            return None
    return start, basis


def _frequent(places: Floats) -> list[Floats]:
    """Short differences of places that recur, those that recur most first."""
    every = (places[:, None] - places[None]).reshape(-1, 2)
    length = np.hypot(*every.T)
    half = (every[:, 0] > 0) | ((every[:, 0] == 0) & (every[:, 1] > 0))
    every, length = every[half & (length > _SHORTEST_PX)], length[half & (length > _SHORTEST_PX)]
    if not len(every):
        return []
    tree = cKDTree(every)
    reach = max(1.5, 0.04 * float(np.percentile(length, 10)))
    number = np.array([len(found) for found in tree.query_ball_point(every, reach)])
    kept: list[Floats] = []
    # Of those that recur about as often, the shortest: they make the smallest cell.
    for i in np.lexsort((length, -np.round(np.log2(number)))):
        if len(kept) == _BASES:
            break
        if all(np.hypot(*(every[i] - one)) > 3 * reach for one in kept):
            kept.append(every[tree.query_ball_point(every[i], reach)].mean(axis=0))
    return kept


def _centre(indices: NDArray[np.int64], snr: Floats) -> NDArray[np.int64]:
    """The point of the net through which the pattern is its own image, as Friedel's law has it."""
    strength = {tuple(index): float(value) for index, value in zip(indices.tolist(), snr,
                                                                   strict=True)}
    low, high = indices.min(axis=0), indices.max(axis=0)
    best, score = indices[int(np.argmax(snr))], -np.inf
    for i in range(int(low[0]), int(high[0]) + 1):
        for j in range(int(low[1]), int(high[1]) + 1):
            total = 0.0
            for (a, b), value in strength.items():
                other = strength.get((2 * i - a, 2 * j - b))
                total += -_LOST * value if other is None else min(value, other)
            total += strength.get((i, j), 0.0)
            if total > score:
                best, score = np.array([i, j]), total
    return np.asarray(best, dtype=np.int64)
