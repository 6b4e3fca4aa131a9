"""Compiled inner loops of the body model and of the fit of many bodies at once.

A body is a row of parameters: y, x, c_yy, c_yx, c_xx, height.  The table of blurred profiles is
read linearly between its points, and what it rises by between them is its slope.  The blur is a
Gaussian that holds the pixel's own width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REACH = 4.0  # sigma of the blur beyond a body's edge that it is drawn to
_FLATTEST = 1e-3  # of the determinant of a round body: thinner ones are no bodies


class Profile(NamedTuple):
    """A table of blurred profiles, ``(blur, rho)``, and how many of its points make up a unit."""

    table: NDArray[np.float64]
    per_blur: float
    per_rho: float


class Sums(NamedTuple):
    """Normal equations of each body and the common blur, ``n`` bodies.

    Parameters
    ----------
    hessian, gradient, mixed
        ``(n, 6, 6)``, ``(n, 6)`` and ``(n, 6)``: the last one couples to the square of the blur.
    blur
        ``(n, 2)``: curvature and slope by the square of the blur.
    misfit
        ``(n, 2)``: sum of squared residuals, and how many pixels they are of.
    """

    hessian: NDArray[np.float64]
    gradient: NDArray[np.float64]
    mixed: NDArray[np.float64]
    blur: NDArray[np.float64]
    misfit: NDArray[np.float64]


@njit(nogil=True, inline="always")
def _read(
    profile: Profile, rho: float, blur: float
) -> tuple[float, float, float]:
    """Value, slope by rho and slope by blur; 0 beyond the reach, its last row beyond its blurs."""
    table, per_blur, per_rho = profile
    column = rho * per_rho
    j = int(column)
    if j >= table.shape[1] - 1:
        return 0.0, 0.0, 0.0
    row = min(blur * per_blur, table.shape[0] - 1.001)
    i = int(row)
    u, v = row - i, column - j
    a, b, c, d = table[i, j], table[i, j + 1], table[i + 1, j], table[i + 1, j + 1]
    low, high = a + v * (b - a), c + v * (d - c)
    return low + u * (high - low), ((1 - u) * (b - a) + u * (d - c)) * per_rho, (
        high - low) * per_blur


@njit(cache=True, nogil=True)
def interpolate(
    profile: Profile, rho: NDArray[np.float64], blur: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the table's value at each ``(rho, blur)``."""
    values = np.empty(rho.size)
    for k in range(rho.size):
        values[k] = _read(profile, rho[k], blur[k])[0]
    return values


@njit(cache=True, nogil=True)
def add_bodies(
    profile: Profile, bodies: NDArray[np.float64], blur: float, boxes: NDArray[np.int64],
    plane: NDArray[np.float32],
) -> None:
    """Add bodies to a plane, each inside its box (first row, end, first column, end)."""
    for n in range(len(bodies)):
        y, x, c_yy, c_yx, c_xx, height = bodies[n]
        det = max(c_yy * c_xx - c_yx * c_yx, _FLATTEST * c_yy * c_xx)
        relative = blur / det**0.25
        reach = (1.0 + _REACH * relative) ** 2
        for v in range(boxes[n, 0], boxes[n, 1]):
            for u in range(boxes[n, 2], boxes[n, 3]):
                dy, dx = v - y, u - x
                square = (c_xx * dy * dy - 2 * c_yx * dy * dx + c_yy * dx * dx) / det
                if square < reach:
                    value = _read(profile, np.sqrt(max(square, 0.0)), relative)[0]
                    plane[v, u] += np.float32(height * value)


@njit(cache=True, nogil=True)
def clear_boxes(boxes: NDArray[np.int64], plane: NDArray[np.float32]) -> None:
    """Set the boxes of a plane to 0."""
    for n in range(len(boxes)):
        plane[boxes[n, 0] : boxes[n, 1], boxes[n, 2] : boxes[n, 3]] = 0.0


@njit(nogil=True, inline="always")
def _derivatives(
    profile: Profile, body: NDArray[np.float64], blur: float, place: tuple[float, float],
    slopes: NDArray[np.float64],
) -> None:
    """Derivatives of a body at a place by its parameters and the square of the blur."""
    y, x, c_yy, c_yx, c_xx, height = body
    det = max(c_yy * c_xx - c_yx * c_yx, _FLATTEST * c_yy * c_xx)
    relative = blur / det**0.25
    dy, dx = place[0] - y, place[1] - x
    square = max(c_xx * dy * dy - 2 * c_yx * dy * dx + c_yy * dx * dx, 0.0) / det
    if square >= (1.0 + _REACH * relative) ** 2:
        slopes[:] = 0.0
        return
    rho = max(np.sqrt(square), 1e-6)
    value, by_rho, by_relative = _read(profile, rho, relative)
    by_square = height * by_rho / (2 * rho * det)
    widening = height * by_relative * relative / det
    slopes[0] = by_square * 2 * (c_yx * dx - c_xx * dy)
    slopes[1] = by_square * 2 * (c_yx * dy - c_yy * dx)
    slopes[2] = by_square * (dx * dx - square * c_xx) - 0.25 * widening * c_xx
    slopes[3] = by_square * 2 * (square * c_yx - dy * dx) + 0.5 * widening * c_yx
    slopes[4] = by_square * (dy * dy - square * c_yy) - 0.25 * widening * c_yy
    slopes[5] = value
    slopes[6] = 0.5 * height * by_relative * relative / (blur * blur)


@njit(cache=True, nogil=True)
def add_equations(
    chosen: NDArray[np.int64], profile: Profile, bodies: tuple[NDArray[np.float64], float],
    boxes: NDArray[np.int64],
    planes: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]],
    noise: tuple[float, float], sums: Sums,
) -> None:
    """Renew the normal equations of some of the bodies.

    `bodies`: their parameters, and the blur.  `planes`: signal, model of all bodies, pixels in use
    (empty for all).  `noise`: variance of the ground, and by how much it grows with the signal;
    residuals are weighted relative to the ground.
    """
    parameters, blur = bodies
    signal, model, mask = planes
    variance, gain = noise
    slopes = np.empty(7)
    for n in chosen:
        sums.hessian[n], sums.gradient[n], sums.mixed[n] = 0.0, 0.0, 0.0
        sums.blur[n], sums.misfit[n] = 0.0, 0.0
        for v in range(boxes[n, 0], boxes[n, 1]):
            for u in range(boxes[n, 2], boxes[n, 3]):
                if mask.size and not mask[v, u]:
                    continue
                weight = variance / (variance + gain * max(model[v, u], 0.0))
                residual = signal[v, u] - model[v, u]
                sums.misfit[n, 0] += weight * residual * residual
                sums.misfit[n, 1] += 1.0
                _derivatives(profile, parameters[n], blur, (float(v), float(u)), slopes)
                if slopes[5] != 0.0:
                    _add_pixel(n, slopes, residual, weight, sums)


@njit(nogil=True, inline="always")
def _add_pixel(
    n: int, slopes: NDArray[np.float64], residual: float, weight: float, sums: Sums
) -> None:
    for i in range(6):
        weighted = weight * slopes[i]
        for j in range(i + 1):
            sums.hessian[n, i, j] += weighted * slopes[j]
        sums.gradient[n, i] += weighted * residual
        sums.mixed[n, i] += weighted * slopes[6]
    sums.blur[n, 0] += weight * slopes[6] * slopes[6]
    sums.blur[n, 1] += weight * slopes[6] * residual
