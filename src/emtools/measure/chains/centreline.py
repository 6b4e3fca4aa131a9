"""Centrelines: smooth curves through a chain, their arc length and directions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import CubicSpline

from emtools.process.straighten import arc_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAMPLES = 12  # of the curve between two points
_STIFFNESS = (-5.0, 19.0)  # logarithm of what bending costs, over what distance does
_HALVINGS = 10
_CHI = 0.8  # chi square of a point: some of its scatter the curve takes up


@dataclass(frozen=True)
class Centreline:
    """A curve in the image plane.

    Parameters
    ----------
    points
        ``(n, 2)`` samples ``(y, x)``.
    arc
        ``(n,)`` arc length from the first end.
    knots
        Arc length at each of the points that the curve was drawn through.
    tangents
        ``(m, 2)`` unit vectors at those points.
    """

    points: NDArray[np.float64]
    arc: NDArray[np.float64]
    knots: NDArray[np.float64]
    tangents: NDArray[np.float64]

    @property
    def length(self) -> float:
        """Arc length between the ends of the curve."""
        return float(self.arc[-1])

    @property
    def chord(self) -> NDArray[np.float64]:
        """Vector from the first to the last point."""
        return np.asarray(self.points[-1] - self.points[0])

    @property
    def normals(self) -> NDArray[np.float64]:
        """``(m, 2)`` unit vectors across the curve, where its tangents are."""
        return np.stack([-self.tangents[:, 1], self.tangents[:, 0]], axis=-1)

    def reversed(self) -> Centreline:
        """Return the curve from its other end."""
        return Centreline(self.points[::-1], self.length - self.arc[::-1],
                          self.length - self.knots[::-1], -self.tangents[::-1])

    def at(self, arc: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points at given arc lengths."""
        return np.stack([np.interp(arc, self.arc, column) for column in self.points.T], axis=-1)


def through(centres: NDArray[np.float64]) -> Centreline:
    """Return the smooth curve through the centres of a row of dots (at least two).

    The arc length between neighbours is their distance: a chain of dots is as long as its links,
    the smooth curve only shows its course between them.
    """
    chord = arc_lengths(centres, 1e-9)
    curve = CubicSpline(chord, centres, bc_type="natural")
    fine = np.unique(np.concatenate([
        np.linspace(a, b, _SAMPLES + 1) for a, b in pairwise(chord)]))
    smooth = _sampled(curve(fine), fine, chord, curve(chord, 1))
    return replace(smooth, arc=np.interp(fine, chord, chord), knots=chord)


def smoothed(
    points: NDArray[np.float64], err: NDArray[np.float64] | float, step: float = 1.0
) -> Centreline:
    """Return the smoothest curve that stays within `err` (1 sigma) of points in order.

    Parameters
    ----------
    points
        ``(n, 2)``.
    err
        Of each, across the curve.
    step
        Between samples of the curve, about.
    """
    chord = arc_lengths(points, 1e-9)
    fine = np.linspace(0.0, chord[-1], max(2, round(chord[-1] / step) + 1))
    if len(points) >= 6:
        points = _smoothest(points, np.broadcast_to(np.asarray(err, dtype=float), chord.shape))
        chord = arc_lengths(points, 1e-9)
        fine = np.linspace(0.0, chord[-1], len(fine))
    curve = CubicSpline(chord, points, bc_type="natural")
    return _sampled(curve(fine), fine, fine, curve(fine, 1))


def _smoothest(points: NDArray[np.float64], err: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of least bending, at even steps about, that lie within their errors of the given ones.

    The discrete form of a cubic smoothing spline (Whittaker 1923; Reinsch 1967): chi square is
    brought to the number of points.
    """
    from emtools.measure.chains._line_kernels import least_bent

    weight = 1.0 / err**2
    low, high = _STIFFNESS
    smooth = points
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        smooth, misfit = least_bent(points, weight, float(weight.mean() * np.exp(middle)))
        # Errors are those across the curve: along it there are none to speak of.
        low, high = (low, middle) if misfit > _CHI * len(points) else (middle, high)
    return np.asarray(smooth)


def _sampled(
    points: NDArray[np.float64], at: NDArray[np.float64], knots: NDArray[np.float64],
    slope: NDArray[np.float64],
) -> Centreline:
    arc = arc_lengths(points)
    tangents = slope / np.maximum(np.hypot(*slope.T), 1e-12)[:, None]
    return Centreline(points, arc, np.interp(knots, at, arc), tangents)


def persistence_length(tangents: NDArray[np.float64], step: float) -> tuple[float, float]:
    """Persistence length of a worm-like chain in two dimensions, with its 1 sigma.

    Uses <cos(theta)> = exp(-s / 2P) at the shortest separation that the tangents give: with n
    independent turns theta of mean square v over a step s, P = s / v, and its relative error is
    sqrt(2 / n) (Rivetti, Guthold & Bustamante, J. Mol. Biol. 264 (1996) 919).

    Parameters
    ----------
    tangents
        ``(m, 2)`` unit vectors at even steps.
    step
        Arc length between them.

    Returns
    -------
    tuple of float
        NaN, NaN for fewer than five turns.
    """
    angle = np.unwrap(np.arctan2(tangents[:, 0], tangents[:, 1]))
    turns = np.diff(angle)
    if len(turns) < 5:
        return float("nan"), float("nan")
    variance = float(np.mean(turns**2))
    if variance <= 0:
        return float("inf"), float("nan")
    length = step / variance
    return length, length * float(np.sqrt(2.0 / len(turns)))
