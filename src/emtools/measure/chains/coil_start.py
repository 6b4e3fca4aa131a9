"""The likeliest double helix through dots: first guesses of its axis and pitch, then the fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra, minimum_spanning_tree
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from emtools.measure.chains.coil import Coil, Course, fit_coil
from emtools.measure.chains.coil_checks import SHORTEST_PITCH, is_hopeful

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEWEST_DOTS = 10
LEAST_TURNS = 1.0
_LINK = 1.6  # spacings between neighbours along a row
_REACH = 3.0  # spacings between the pieces of a region, as a rule
_DENSEST = 3.2  # dots for each spacing along a region; a helix has about two, crowds many
_LEAST_POWER = 0.4  # of the offsets' wave, 1 for a helix without noise
_MOST_MISFIT = 0.6  # of the radius, before the axis is refined
_COURSES = (2, 3, 5, 8, 12, 18, 26)  # coefficients of a first guess of the axis
_TRIALS = 4  # fits from the best first guesses


def likeliest_coil(dots: tuple[Floats, Floats], spacing: float) -> Coil | None:
    """Return the likeliest double helix through dots, or None where nothing looks like one.

    Parameters
    ----------
    dots
        ``(n, 2)`` positions (y, x) and ``(n,)`` 1 sigma of each.
    spacing
        Distance between neighbours along a strand.
    """
    points, _ = dots
    if len(points) < FEWEST_DOTS:
        return None
    along = _order(points, spacing)
    if len(points) * spacing > _DENSEST * along.max():
        return None
    starts = []
    for n in _COURSES:
        if n > 2 and n * 3 * spacing > along.max():
            break
        course = _smooth_course(points, along, n)
        starts += [(power, course, start) for power, start in _pitches(course, points, spacing)
                   if power > _LEAST_POWER and n < 2 * start[1][1] / np.pi + 3]
    starts.sort(key=lambda one: -one[0])
    best = None
    for _, course, start in starts[:_TRIALS]:
        turns = float(start[1][1]) / np.pi
        coil = fit_coil(course, dots, start, max(2, min(round(turns) + 1, 12)), rounds=1)
        if coil.turns >= 0.9 * LEAST_TURNS and (best is None or coil.bic < best.bic):
            best = coil
    if best is None or best.misfit > _MOST_MISFIT * best.radius or not is_hopeful(best, spacing):
        return None
    # The axis bends over a pitch or more: what winds faster is the helix.
    return _best_bends(best, dots, round(2 * best.turns) + 1)


def _order(points: Floats, spacing: float) -> Floats:
    """Coordinate of each dot along the whole region: shortest way from one end, dot to dot."""
    tree = cKDTree(points)
    apart = csr_array(tree.sparse_distance_matrix(tree, _REACH * spacing, output_type="coo_matrix"))
    spanning = minimum_spanning_tree(apart)
    if spanning.nnz < len(points) - 1:  # pieces farther apart
        apart = csr_array(cdist(points, points))
        spanning = minimum_spanning_tree(apart)
    apart.data[apart.data >= _LINK * spacing] = 0.0
    apart.eliminate_zeros()
    graph = csr_array(apart.maximum(spanning).maximum(spanning.T))
    end = int(np.argmax(dijkstra(graph, indices=np.array(0))))
    return np.asarray(dijkstra(graph, indices=np.array(end)))


def _smooth_course(points: Floats, along: Floats, n: int) -> Course:
    """The curve of `n` coefficients through the middle of the dots."""
    x = 2 * along / along.max() - 1
    fine = np.linspace(-1, 1, max(64, 4 * len(points)))
    columns = [legendre.legval(fine, legendre.legfit(x, c, n - 1))
               for c in points.T]
    return Course.through(np.stack(columns, axis=-1))


def _pitches(
    course: Course, points: Floats, spacing: float
) -> Iterator[tuple[float, tuple[float, Floats]]]:
    """The likeliest pitches about a course: their power and the start of a fit.

    The square of the offsets does not know the strands: R^2 / 2 (1 + cos(2 phase)).
    """
    arc, offset = course.project(points)
    arc = arc - arc.min()
    length = float(arc.max())
    most = length / (SHORTEST_PITCH * spacing)
    turns = np.arange(0.8, max(most, 1.0), 0.1)
    square = offset**2 - np.mean(offset**2)
    middle = 0.5 * length
    waves = np.exp(-4j * np.pi * turns[:, None] * (arc - middle) / length)
    sums = waves @ square / len(arc)
    # How far the offsets follow the wave: 1 for a helix, its square's mean and amplitude the same.
    power = 2 * np.abs(sums) / np.mean(offset**2)
    peaks = np.flatnonzero((power >= np.roll(power, 1)) & (power >= np.roll(power, -1)))
    for peak in peaks[np.argsort(-power[peaks])][:2]:
        phases = np.array([0.5 * np.angle(sums[peak]), np.pi * turns[peak]])
        radius = float(np.sqrt(2 * np.mean(offset**2)))
        yield float(power[peak]), (radius, phases)


def _best_bends(coil: Coil, dots: tuple[Floats, Floats], most: int) -> Coil:
    """Refit with as many bends of the axis, and as much change of the pitch, as the dots ask for.

    Judged by the Bayesian information criterion.
    """
    best = coil
    for n in sorted({2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48} - {len(coil.bends)}):
        if n > most:
            break
        best = min(best, fit_coil(coil.axis(), dots, (best.radius, best.phases), n),
                   key=lambda one: one.bic)
    for extra in (1, 2):
        if best.turns < 1.5 + 0.5 * extra:
            break
        phases = np.concatenate([best.phases[:2], np.zeros(extra)])
        best = min(best, fit_coil(best.axis(), dots, (best.radius, phases), len(best.bends)),
                   key=lambda one: one.bic)
    return best
