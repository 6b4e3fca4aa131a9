"""A projected body, blurred: the model that dots and line-like objects are fitted with.

A body with semi-axis 1 has the projected thickness (1 - rho^m)^(1/m): a sphere for m = 2, a
superellipsoid for m = 4, ever flatter-topped for larger m.  Blurred by a Gaussian it depends on rho
and the ratio of blur to radius only, so it is tabulated once for each m.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft, ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains._kernels import Profile

SHAPES = (2.0, 3.0, 4.0, 8.0)
_RADIUS = 32  # pixels of the table's body
_SUPERSAMPLED = 4
_SIDE = 384
_REACH = 3.5  # largest rho in the table
_BLURS = np.linspace(0.0, 1.2, 49)
_FINER = 4  # points of the fine table for each of the coarse one, along both axes


@lru_cache(maxsize=8)
def _table(shape: float) -> NDArray[np.float64]:
    """Spline coefficients of the blurred profile, ``(blur, rho)``."""
    fine = _SIDE * _SUPERSAMPLED
    position = (np.arange(fine) - (fine - 1) / 2) / (_RADIUS * _SUPERSAMPLED)
    rho = np.hypot(position[:, None], position[None, :])
    thickness = np.clip(1.0 - np.minimum(rho, 1.0) ** shape, 0.0, None) ** (1.0 / shape)
    body = thickness.reshape(_SIDE, _SUPERSAMPLED, _SIDE, _SUPERSAMPLED).mean(axis=(1, 3))
    spectrum = fft.rfft2(body)
    k2 = fft.fftfreq(_SIDE)[:, None] ** 2 + fft.rfftfreq(_SIDE)[None, :] ** 2
    centre = (_SIDE - 1) / 2
    along = centre + np.arange(int(_REACH * _RADIUS))
    ray = np.array([np.full(along.shape, centre), along])
    rows = []
    for blur in _BLURS:
        transfer = np.exp(-2 * (np.pi * blur * _RADIUS) ** 2 * k2)
        blurred = fft.irfft2(spectrum * transfer, s=(_SIDE, _SIDE))
        rows.append(ndimage.map_coordinates(blurred, ray, order=3, mode="nearest"))
    return np.asarray(ndimage.spline_filter(np.array(rows), order=3, mode="nearest"))


@lru_cache(maxsize=8)
def _fine_table(shape: float) -> NDArray[np.float64]:
    """The table on a grid fine enough for linear interpolation (error below 2e-4)."""
    rows = np.arange(0.0, len(_BLURS) - 1 + 1e-9, 1.0 / _FINER)
    columns = np.arange(0.0, (_REACH - 0.1) * _RADIUS, 1.0 / _FINER)
    grid = np.meshgrid(rows, columns, indexing="ij")
    return np.asarray(ndimage.map_coordinates(_table(shape), grid, order=3, mode="nearest",
                                              prefilter=False))


def table_of(shape: float) -> Profile:
    """Return the table of blurred profiles of a body of exponent `shape` (one of `SHAPES`)."""
    from emtools.measure.chains._kernels import Profile

    return Profile(_fine_table(shape), float(_FINER / (_BLURS[1] - _BLURS[0])),
                   float(_FINER * _RADIUS))


def profile(
    rho: NDArray[np.float64], blur: NDArray[np.float64] | float, shape: float
) -> NDArray[np.float64]:
    """Thickness of a blurred body of unit radius and unit height.

    Parameters
    ----------
    rho
        Distance from the centre in radii.
    blur
        1 sigma of the Gaussian in radii (broadcast against `rho`).
    shape
        Exponent m; one of `SHAPES`.

    Returns
    -------
    ndarray
        Same shape as the broadcast arguments.
    """
    from emtools.measure.chains._kernels import interpolate

    rho, blurs = np.broadcast_arrays(np.asarray(rho, dtype=float), blur)
    flat = interpolate(table_of(shape), np.ravel(rho), np.ravel(blurs).astype(float))
    return np.asarray(flat).reshape(rho.shape)
