"""Persistence length of all chains together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from emtools.population.spread import Quantity, not_measurable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from emtools.population.ends import Course
    from emtools.population.frames import Pooled

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

# Chords that share no neighbouring dots: the noise of the places is in none of their products.
_FIRST_LAG, _LAST_LAG = 2, 40
_MIN_LAGS = 3
_MIN_PAIRS = 20
_STILL_ALIGNED = 0.25  # <cos>: below, its logarithm is noise
_NAME, _BENDING = "persistence length", "bending rate (1 / persistence length)"


class _Pairs(NamedTuple):
    """Pairs of chords so many steps apart: summed cosines, weights, and their number."""

    cosines: Floats
    weights: Floats
    n: Floats


def persistence_quantity(pooled: Pooled) -> Quantity:
    """Return the persistence length P of worm-like chains lying in a plane.

    <cos theta(s)> = exp(-s / 2P) over all separations that the chains show (Rivetti, Guthold &
    Bustamante, J. Mol. Biol. 264 (1996) 919), theta between chords of the centrelines.  The noise
    of the places of the dots and the length of the chords lower <cos> by one factor at all
    separations of two chords and more, so the line through log <cos> has a free intercept.  A
    straight piece leaves the frame sooner than a bent one: each pair counts by the inverse of the
    probability that a frame of this size shows it (translation correction: Ohser, Math.
    Operationsforsch. Statist. 14 (1983) 63).  What is estimated is 1/P, which has an error that is
    symmetric; chains of which no bend is seen give a lower limit of P.
    """
    step = _step(pooled)
    if step is None:
        return not_measurable(_NAME, "nm", "no chain has a centreline")
    found = _pairs(pooled, step)
    with np.errstate(divide="ignore", invalid="ignore"):
        decay = found.cosines.sum(axis=0) / found.weights.sum(axis=0)
    counts = found.n.sum(axis=0)
    usable = (counts >= _MIN_PAIRS) & (decay > _STILL_ALIGNED)
    n_lags = int(np.argmin(usable)) if not usable.all() else len(usable)
    if n_lags < _MIN_LAGS:
        return not_measurable(_NAME, "nm", "the chains are too short or too bent",
                              len(pooled.chains))
    found = _Pairs(*(column[:, :n_lags] for column in found))
    lags = np.arange(_FIRST_LAG, _FIRST_LAG + n_lags)
    solve = _line(lags, step, decay[:n_lags], counts[:n_lags])

    def bending(weights: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            cosines = (weights @ found.cosines) / (weights @ found.weights)
        return np.asarray(-2.0 * np.log(np.clip(cosines, 0.02, 1.0)) @ solve)

    units = np.flatnonzero(found.n[:, 0])
    seen = int(sum(len(_nodes(course, step)) > _FIRST_LAG + 1 for course in pooled.courses))
    return Quantity(_NAME, "nm", seen, units, bending, shown=_inverse, logarithmic=True,
                    image_means=False,
                    compared=_BENDING, compared_unit="1/nm",
                    note=f"from separations of {lags[0] * step:.3g} to {lags[-1] * step:.3g} nm")


def _inverse(bending: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.asarray(np.where(bending > 0, 1.0 / np.maximum(bending, 1e-300), np.inf))


def _step(pooled: Pooled) -> float | None:
    """Length of a chord: two dots apart, or one where the chains are short."""
    # Between two dots the centreline is only drawn: shorter chords would show the drawing.
    pitch = pooled.column("chains", "pitch_nm")
    width = pooled.column("chains", "width_nm")
    base = np.where(np.isfinite(pitch), pitch, width)
    length = pooled.column("chains", "length_nm")
    known = np.isfinite(base) & (base > 0) & np.isfinite(length)
    if not known.any():
        return None
    own = float(np.median(base[known]))
    return float(np.clip(np.median(length[known]) / 10.0, own, 2.0 * own))


def _nodes(course: Course, step: float) -> Floats:
    """Places along the centreline at even steps of arc."""
    if len(course.s) < 2:
        return np.zeros((0, 2))
    return course.at(np.arange(course.s[0], course.s[-1] + 1e-9, step))


def _pairs(pooled: Pooled, step: float) -> _Pairs:
    shape = (pooled.n_units, _LAST_LAG - _FIRST_LAG + 1)
    found = _Pairs(np.zeros(shape), np.zeros(shape), np.zeros(shape))
    for unit, image, course in zip(pooled.units("chains"), pooled.images("chains"),
                                   pooled.courses, strict=True):
        for lag, cosines, weights in _of_chain(_nodes(course, step), step,
                                               pooled.frames[image].shape_nm):
            found.cosines[unit, lag - _FIRST_LAG] += weights @ cosines
            found.weights[unit, lag - _FIRST_LAG] += weights.sum()
            found.n[unit, lag - _FIRST_LAG] += len(cosines)
    return found


def _of_chain(
    nodes: Floats, step: float, shape_nm: tuple[float, float]
) -> Iterator[tuple[int, Floats, Floats]]:
    """Cosines between chords at each separation, and what each counts."""
    chords = np.diff(nodes, axis=0)
    chords = chords / np.maximum(np.hypot(*chords.T), 1e-12)[:, None]
    # A piece longer than half the frame is too rare to stand for all of its kind.
    longest = int(0.5 * min(shape_nm) / step) - 1
    for lag in range(_FIRST_LAG, min(_LAST_LAG, longest, len(chords) - 1) + 1):
        room = 1.0 - _extents(nodes, lag + 2) / np.array(shape_nm)
        yield lag, np.einsum("ij,ij->i", chords[:-lag], chords[lag:]), 1.0 / room.prod(axis=1)


def _extents(nodes: Floats, n: int) -> Floats:
    """Height and width of each piece of `n` nodes."""
    start = n // 2
    pieces = len(nodes) - n + 1
    high = maximum_filter1d(nodes, n, axis=0)[start:start + pieces]
    return np.asarray(high - minimum_filter1d(nodes, n, axis=0)[start:start + pieces])


def _line(lags: Ints, step: float, decay: Floats, counts: Floats) -> Floats:
    """Return the vector that takes -2 log <cos> at all lags to the slope 1/P.

    Weighted least squares with the variance of a mean over overlapping stretches of a path: the
    bend over a separation and the noise of the chords, squared, over the number of stretches that
    are independent (Qian, Sheetz & Elson, Biophys. J. 60 (1991) 910).
    """
    s = lags * step
    values = -2.0 * np.log(np.clip(decay, 0.02, 1.0))
    weights = counts / lags.astype(float)
    for _ in range(3):  # the weights depend on the line, and the line little on the weights
        slope, at_zero = np.polyfit(s, values, 1, w=np.sqrt(weights))
        variance = (np.maximum(slope, 1e-9) * s + max(at_zero, 0.0)) ** 2 * lags / counts
        weights = 1.0 / np.maximum(variance, 1e-300)
    off = s - weights @ s / weights.sum()
    return np.asarray(weights * off / (weights @ off**2))
