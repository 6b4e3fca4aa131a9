"""Compiled inner loops of the body model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray


@njit(nogil=True, inline="always")
def _at(
    table: NDArray[np.float64], rho: float, blur: float, per_rho: float, per_blur: float
) -> float:
    """Bilinear interpolation; 0 beyond the table's reach, its last row beyond its blurs."""
    column = rho * per_rho
    j = int(column)
    if j >= table.shape[1] - 1:
        return 0.0
    row = min(blur * per_blur, table.shape[0] - 1.001)
    i = int(row)
    u, v = row - i, column - j
    low = (1 - v) * table[i, j] + v * table[i, j + 1]
    high = (1 - v) * table[i + 1, j] + v * table[i + 1, j + 1]
    return float((1 - u) * low + u * high)


@njit(cache=True, nogil=True)
def interpolate(
    table: NDArray[np.float64], rho: NDArray[np.float64], blur: NDArray[np.float64],
    per_rho: float, per_blur: float,
) -> NDArray[np.float64]:
    """Return the table's value at each ``(rho, blur)``."""
    values = np.empty(rho.size)
    for k in range(rho.size):
        values[k] = _at(table, rho[k], blur[k], per_rho, per_blur)
    return values


@njit(cache=True, nogil=True)
def ellipsoids(
    table: NDArray[np.float64], parameters: NDArray[np.float64], blur: float,
    rows: NDArray[np.int64], cols: NDArray[np.int64], subpixels: NDArray[np.float64],
    per: tuple[float, float],
) -> NDArray[np.float64]:
    """Return each ellipsoid on its own pixels, averaged over the places inside a pixel."""
    per_rho, per_blur = per
    values = np.zeros(rows.shape)
    for n in range(rows.shape[0]):
        y, x, c_yy, c_yx, c_xx, height = parameters[n]
        determinant = max(c_yy * c_xx - c_yx * c_yx, 1e-3 * c_yy * c_xx)
        relative_blur = blur / determinant**0.25
        for k in range(rows.shape[1]):
            total = 0.0
            for s in range(subpixels.shape[0]):
                dy = rows[n, k] + subpixels[s, 0] - y
                dx = cols[n, k] + subpixels[s, 1] - x
                rho2 = c_xx * dy * dy - 2 * c_yx * dy * dx + c_yy * dx * dx
                rho = np.sqrt(max(rho2, 0.0) / determinant)
                total += _at(table, rho, relative_blur, per_rho, per_blur)
            values[n, k] = height * total / subpixels.shape[0]
    return values
