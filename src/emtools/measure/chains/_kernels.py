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


class Planes(NamedTuple):
    """What a fit compares, pixel by pixel.

    Parameters
    ----------
    signal
        What was recorded.
    model
        All bodies together.
    widening
        How the model changes with the square of the blur.
    cover
        How many boxes hold a pixel; 0 where it is not used.
    """

    signal: NDArray[np.float32]
    model: NDArray[np.float32]
    widening: NDArray[np.float32]
    cover: NDArray[np.uint8]


class Sums(NamedTuple):
    """Normal equations of each body and the common blur, ``n`` bodies.

    Parameters
    ----------
    products
        ``(n, 7, 8)``: weighted sums of the body's six slopes, and in the last row of 1, times the
        six slopes, the residual, and the slope of the whole by the square of the blur.
    blur
        ``(n, 2)``: share in curvature and slope by the square of the blur.
    misfit
        ``(n, 4)``: sum of squared residuals, how many pixels they are of, the sum in which
        pixels that several bodies see count once, and the squared slopes by the height, unweighted.
    """

    products: NDArray[np.float64]
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
def draw_bodies(
    rows: tuple[int, int], profile: Profile, bodies: tuple[NDArray[np.float64], float],
    boxes: NDArray[np.int64], planes: Planes,
) -> None:
    """Draw on a span of rows bodies at a common blur, each inside its box.

    A box: first row, end, first column, end.
    """
    parameters, blur = bodies
    model, widening = planes.model, planes.widening
    for n in range(len(parameters)):
        for v in range(max(boxes[n, 0], rows[0]), min(boxes[n, 1], rows[1])):
            model[v, boxes[n, 2] : boxes[n, 3]] = 0.0
            widening[v, boxes[n, 2] : boxes[n, 3]] = 0.0
    for n in range(len(parameters)):
        first, end = max(boxes[n, 0], rows[0]), min(boxes[n, 1], rows[1])
        if first >= end:
            continue
        y, x, c_yy, c_yx, c_xx, height = parameters[n]
        inverse, relative, reach = _outline(parameters[n], blur)
        scale = 0.5 * height * relative / (blur * blur)
        for v in range(first, end):
            for u in range(boxes[n, 2], boxes[n, 3]):
                dy, dx = v - y, u - x
                square = (c_xx * dy * dy - 2 * c_yx * dy * dx + c_yy * dx * dx) * inverse
                if square < reach:
                    rho = np.sqrt(max(square, 0.0))
                    value, _, by_relative = _read(profile, rho, relative)
                    model[v, u] += np.float32(height * value)
                    widening[v, u] += np.float32(scale * by_relative)


@njit(cache=True, nogil=True)
def roughness(
    rows: tuple[int, int], planes: Planes, levels: tuple[float, float]
) -> NDArray[np.float64]:
    """Squared second differences of what the model leaves, on bodies and on the ground.

    Parameters
    ----------
    rows
        First and one past the last row; none on the border.
    planes
        Only pixels that a box holds count.
    levels
        The ground is below the first one, bodies above the second.

    Returns
    -------
    ndarray
        ``(2, 3)``: of ground and bodies, sum of squares, sum of the model, number of pixels.
    """
    signal, model, _, cover = planes
    sums = np.zeros((2, 3))
    for v in range(rows[0], rows[1]):
        for u in range(1, signal.shape[1] - 1):
            level = model[v, u]
            if cover[v, u] == 0 or levels[0] <= level <= levels[1]:
                continue
            rough = 0.0
            for i in range(-1, 2):
                for j in range(-1, 2):
                    weight = (1 - 3 * (i == 0)) * (1 - 3 * (j == 0))
                    rough += weight * (signal[v + i, u + j] - model[v + i, u + j])
            kind = 1 if level > levels[1] else 0
            sums[kind, 0] += rough * rough
            sums[kind, 1] += level
            sums[kind, 2] += 1.0
    return sums


@njit(cache=True, nogil=True)
def count_boxes(
    boxes: NDArray[np.int64], mask: NDArray[np.bool_], cover: NDArray[np.uint8]
) -> None:
    """Count how many boxes hold each pixel in use (all, if `mask` is empty)."""
    for n in range(len(boxes)):
        for v in range(boxes[n, 0], boxes[n, 1]):
            for u in range(boxes[n, 2], boxes[n, 3]):
                if (mask.size == 0 or mask[v, u]) and cover[v, u] < 255:
                    cover[v, u] += 1


@njit(nogil=True, inline="always")
def _outline(body: NDArray[np.float64], blur: float) -> tuple[float, float, float]:
    """One over the determinant of a body's extent, its relative blur, and its reach squared."""
    det = max(body[2] * body[4] - body[3] * body[3], _FLATTEST * body[2] * body[4])
    relative = blur / np.sqrt(np.sqrt(det))
    return 1.0 / det, relative, (1.0 + _REACH * relative) ** 2


@njit(nogil=True, inline="always")
def _derivatives(
    profile: Profile, body: NDArray[np.float64], outline: tuple[float, float, float],
    place: tuple[float, float], slopes: NDArray[np.float64],
) -> bool:
    """Derivatives of a body at a place by its parameters and its relative blur, if it is seen."""
    inverse, relative, reach = outline
    dy, dx = place[0] - body[0], place[1] - body[1]
    c_yy, c_yx, c_xx = body[2], body[3], body[4]
    square = (c_xx * dy * dy - 2 * c_yx * dy * dx + c_yy * dx * dx) * inverse
    if square >= reach:
        return False
    rho = np.sqrt(max(square, 1e-12))
    value, by_rho, by_relative = _read(profile, rho, relative)
    by_square = body[5] * by_rho * inverse / rho
    widening = 0.25 * body[5] * by_relative * relative * inverse
    slopes[0] = by_square * (c_yx * dx - c_xx * dy)
    slopes[1] = by_square * (c_yx * dy - c_yy * dx)
    slopes[2] = 0.5 * by_square * (dx * dx - square * c_xx) - widening * c_xx
    slopes[3] = by_square * (square * c_yx - dy * dx) + 2 * widening * c_yx
    slopes[4] = 0.5 * by_square * (dy * dy - square * c_yy) - widening * c_yy
    slopes[5] = value
    slopes[6] = body[5] * by_relative
    return True


@njit(cache=True, nogil=True)
def add_equations(
    span: tuple[int, int], profile: Profile, bodies: tuple[NDArray[np.float64], float],
    boxes: NDArray[np.int64], planes: Planes, noise: tuple[float, float], sums: Sums,
) -> None:
    """Fill in the normal equations of the bodies of a span.

    `bodies`: their parameters, and the blur.  `noise`: variance of the ground, and by how much it
    grows with the signal; residuals are weighted relative to the ground.
    """
    parameters, blur = bodies
    signal, model, widening, cover = planes
    variance, gain = noise
    slopes, row, products = np.empty(7), np.empty(8), np.empty((7, 8))
    for n in range(span[0], span[1]):
        body, outline = parameters[n], _outline(parameters[n], blur)
        scale = 0.5 * outline[1] / (blur * blur)
        products[:] = 0.0
        misfit, once, pixels, curvature, pull, height = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for v in range(boxes[n, 0], boxes[n, 1]):
            for u in range(boxes[n, 2], boxes[n, 3]):
                if cover[v, u] == 0:
                    continue
                weight = 1.0
                if gain > 0.0:
                    weight = variance / (variance + gain * max(model[v, u], 0.0))
                residual = np.float64(signal[v, u]) - model[v, u]
                square = weight * residual * residual
                misfit += square
                once += square if cover[v, u] == 1 else square / cover[v, u]
                pixels += 1.0
                if not _derivatives(profile, body, outline, (float(v), float(u)), slopes):
                    continue
                for j in range(6):
                    row[j] = slopes[j]
                row[6], row[7] = residual, widening[v, u]
                height += slopes[5] * slopes[5]
                for i in range(6):
                    weighted = weight * slopes[i]
                    for j in range(8):
                        products[i, j] += weighted * row[j]
                for j in range(8):
                    products[6, j] += weight * row[j]
                curvature += weight * scale * slopes[6] * widening[v, u]
                pull += weight * scale * slopes[6] * residual
        sums.products[n] = products
        sums.blur[n, 0], sums.blur[n, 1] = curvature, pull
        sums.misfit[n, 0], sums.misfit[n, 1] = misfit, pixels
        sums.misfit[n, 2], sums.misfit[n, 3] = once, height


@njit(cache=True, nogil=True)
def add_couplings(
    span: tuple[int, int], pairs: NDArray[np.int64], profile: Profile,
    bodies: tuple[NDArray[np.float64], float], boxes: NDArray[np.int64],
    weighing: tuple[Planes, float, float], couplings: NDArray[np.float64],
) -> None:
    """Fill in how the equations of two bodies that overlap are coupled, ``(n_pairs, 6, 6)``.

    `weighing`: the planes, the variance of the ground, and by how much it grows with the signal.
    """
    parameters, blur = bodies
    planes, variance, gain = weighing
    one, other = np.empty(7), np.empty(7)
    row, products = np.zeros(8), np.empty((6, 8))  # 8: what a processor takes at once
    for p in range(span[0], span[1]):
        i, j = pairs[p]
        products[:] = 0.0
        outlines = _outline(parameters[i], blur), _outline(parameters[j], blur)
        for v in range(max(boxes[i, 0], boxes[j, 0]), min(boxes[i, 1], boxes[j, 1])):
            for u in range(max(boxes[i, 2], boxes[j, 2]), min(boxes[i, 3], boxes[j, 3])):
                if planes.cover[v, u] == 0:
                    continue
                place = (float(v), float(u))
                if not _derivatives(profile, parameters[i], outlines[0], place, one):
                    continue
                if not _derivatives(profile, parameters[j], outlines[1], place, other):
                    continue
                weight = 1.0
                if gain > 0.0:
                    weight = variance / (variance + gain * max(planes.model[v, u], 0.0))
                for b in range(6):
                    row[b] = other[b]
                for a in range(6):
                    weighted = weight * one[a]
                    for b in range(8):
                        products[a, b] += weighted * row[b]
        couplings[p] = products[:, :6]
