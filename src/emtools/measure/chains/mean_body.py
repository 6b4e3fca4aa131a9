"""The outline of bodies in chains, from the mean of many of them turned along their chains.

A single body of a few pixels hardly shows whether its outline is round or has corners; a round one
fitted to a block comes out a sixth too wide.  Dots of chains share an orientation, the chain's, so
that their mean, each scaled by its own fitted extents, shows it: bodies of several families are
fitted to that mean, and what their extents are in units of the fitted round ones corrects all.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage
from scipy.optimize import least_squares
from scipy.special import erf

from emtools.measure.chains.body import profile
from emtools.measure.chains.centreline import through
from emtools.measure.chains.fit import EXTENT, PIXEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emtools.measure.chains.dots import Dots

    Floats = NDArray[np.float64]

# Exponents n of |u|^n + |v|^n + |w|^n = 1, then a rod along the chain and a block.
FAMILIES: dict[str, float] = {
    "ellipsoid": 2.0, "superellipsoid (exponent 3)": 3.0, "superellipsoid (exponent 4)": 4.0,
    "superellipsoid (exponent 8)": 8.0, "rod along the chain": 0.0, "block": 0.0,
}
_ROUND = "ellipsoid"
_MOST = 400  # bodies in the mean
_FEWEST = 10
_CELL = 0.1  # of the fitted half extents: size of the mean's cells
_CELLS = (16, 13)  # across and along: beyond it neighbours along the chain come in
_FULL = 20  # pixels that make a cell's mean worth comparing
_FINE, _HALF = 0.05, 2.4  # step and half side of the grid on which bodies are blurred
_CLEARLY = 2.0  # by how much round bodies fit worse than the best ones
_POOR = 3.0  # chi squared of round bodies for each cell from where others are looked at
_INDEPENDENT = 10.0  # cells of the mean that count when families are compared
_SURE = 0.005  # 1 sigma of a corrected extent at best: neighbours were fitted round


class Mean(NamedTuple):
    """Mean of the bodies in one quarter, and the weight of its cells.

    Parameters
    ----------
    values, weights
        ``(across, along)``; weights are one over the standard error.
    """

    values: Floats
    weights: Floats


class Outlined(NamedTuple):
    """A family of bodies fitted to the mean.

    Parameters
    ----------
    family
        One of `FAMILIES`.
    along, across
        Its half extents, in the fitted round ones.
    blur
        1 sigma, in the same unit.
    chi2
        Mean squared deviation in standard errors.
    """

    family: str
    along: float
    across: float
    blur: float
    chi2: float


def outlined(
    dots: Dots, rows: Sequence[list[int]], signal: NDArray[np.float32]
) -> tuple[Dots, str | None]:
    """Return the dots with the extents of the likeliest family of bodies, and its name.

    Parameters
    ----------
    dots
        Fitted as bodies with round outlines.
    rows
        The chains.
    signal
        ``(y, x)``, the image without its ground, bodies positive and linear in their thickness.

    Returns
    -------
    tuple
        The same dots and None where round bodies fit as well, or too few dots are in chains.
    """
    mean = _mean(dots, rows, signal)
    if mean is None:
        return dots, None
    relative = float(np.hypot(dots.blur, np.sqrt(PIXEL)) / np.median(0.5 * dots.widths))
    fits = [_fitted(family, mean, relative) for family in FAMILIES]
    best = min(fits, key=lambda fit: fit.chi2)
    if fits[0].chi2 < max(_POOR, _CLEARLY * best.chi2):
        return dots, None
    return _corrected(dots, rows, best, _open(fits, best)), best.family


def _mean(dots: Dots, rows: Sequence[list[int]], signal: NDArray[np.float32]) -> Mean | None:
    places = [(dot, along) for row in rows
              for dot, along in zip(row, through(dots.centre[row]).tangents, strict=True)]
    step = max(1, len(places) // _MOST)
    sums = np.zeros((3, *_CELLS))
    n = sum(_added(sums, dots, dot, along, signal) for dot, along in places[::step])
    if n < _FEWEST:
        return None
    count = np.maximum(sums[0], 1.0)
    values = sums[1] / count
    variance = np.maximum(sums[2] / count - values**2, 0.0)
    full = sums[0] > _FULL
    if not full.any():
        return None
    error = np.sqrt(max(float(variance[full].mean()), 1e-12) / count)
    return Mean(values, np.where(full, 1.0 / error, 0.0))


def _added(
    sums: Floats, dots: Dots, dot: int, along: Floats, signal: NDArray[np.float32]
) -> bool:
    """Add one body without its neighbours to the mean, unless the border cuts it."""
    across = np.array([-along[1], along[0]])
    extents = np.array([dots.half_extent(dot, across), dots.half_extent(dot, along)])
    reach = 1.7 * float(extents.max())
    low = np.floor(dots.centre[dot] - reach).astype(int)
    high = np.ceil(dots.centre[dot] + reach).astype(int) + 1
    if (low < 0).any() or (high > signal.shape).any():
        return False
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    rows, cols = np.mgrid[box]
    away = np.stack([rows, cols], axis=-1) - dots.centre[dot]
    tensor = dots.tensor(dot)
    rho = np.sqrt(np.einsum("...i,ij,...j->...", away, np.linalg.inv(tensor), away))
    radius = float(np.linalg.det(tensor)) ** 0.25
    height = dots.parameters[dot, 5]
    own = profile(rho, float(np.hypot(dots.blur, np.sqrt(PIXEL))) / radius, dots.shape)
    values = (signal[box] - dots.model[box]) / height + own
    cells = np.stack([np.abs(away @ across) / extents[0], np.abs(away @ along) / extents[1]])
    cells = (cells / _CELL).astype(int)
    inside = (cells < np.array(_CELLS)[:, None, None]).all(axis=0)
    place = tuple(cells[:, inside])
    for total, power in zip(sums, (0, 1, 2), strict=True):
        np.add.at(total, place, values[inside] ** power)
    return True


def _fitted(family: str, mean: Mean, blur: float) -> Outlined:
    used = mean.weights > 0

    def misfit(x: Floats) -> Floats:
        drawn = x[2] * _drawn(family, float(x[0]), float(x[1]), float(x[3]))
        return np.asarray((mean.weights * (drawn - mean.values))[used])

    start = np.clip([0.92, 0.92, 1.0, blur], [0.51, 0.51, 0.31, 0.03], [1.29, 1.29, 1.9, 0.79])
    found = least_squares(misfit, start, bounds=([0.5, 0.5, 0.3, 0.02], [1.3, 1.3, 2.0, 0.8]),
                          diff_step=np.full(4, 1e-3), xtol=1e-5, ftol=1e-5, max_nfev=40)
    along, across, _, sigma = found.x.tolist()
    return Outlined(family, along, across, sigma, 2.0 * float(found.cost) / int(used.sum()))


@lru_cache(maxsize=1)
def _grids() -> tuple[Floats, Floats, Floats]:
    """Points of the fine grid, and of the mean's cells across and along."""
    n = int(2 * _HALF / _FINE)
    fine = np.asarray((np.arange(n) - (n - 1) / 2) * _FINE, dtype=float)
    across, along = (np.asarray((np.arange(m) + 0.5) * _CELL, dtype=float) for m in _CELLS)
    return fine, across, along


def _drawn(family: str, along: float, across: float, blur: float) -> Floats:
    """A blurred body of unit height at the mean's cells."""
    fine, v, u = _grids()
    if family == "block":
        return np.outer(_bar(v, across, blur), _bar(u, along, blur))
    if family == "rod along the chain":
        round_side = np.sqrt(np.clip(1.0 - (_sub(fine) / across) ** 2, 0.0, None)).mean(axis=1)
        side = ndimage.gaussian_filter1d(round_side, blur / _FINE)
        return np.outer(np.interp(v, fine, side), _bar(u, along, blur))
    n = FAMILIES[family]
    parts = [np.abs(_sub(fine) / size) ** n for size in (across, along)]
    total = parts[0][:, :, None, None] + parts[1][None, None]
    thickness = (np.clip(1.0 - total, 0.0, None) ** (1.0 / n)).mean(axis=(1, 3))
    blurred = ndimage.gaussian_filter(thickness, blur / _FINE)
    places = [(at - fine[0]) / _FINE for at in (v, u)]
    return np.asarray(ndimage.map_coordinates(
        blurred, np.meshgrid(*places, indexing="ij"), order=1))


def _sub(fine: Floats) -> Floats:
    """Points inside each step of the fine grid, ``(n, 2)``."""
    return np.asarray(fine[:, None] + np.array([-0.25, 0.25]) * _FINE)


def _bar(at: Floats, half: float, blur: float) -> Floats:
    """A bar of height 1 under a Gaussian."""
    scale = np.sqrt(2.0) * blur
    return np.asarray(0.5 * (erf((at + half) / scale) - erf((at - half) / scale)))


def _open(fits: list[Outlined], best: Outlined) -> float:
    """Relative 1 sigma of the width that the choice of the family leaves open."""
    spread = [np.exp(-0.5 * _INDEPENDENT * (fit.chi2 / best.chi2 - 1.0))
              * max(abs(fit.across / best.across - 1.0), abs(fit.along / best.along - 1.0))
              for fit in fits]
    return float(np.hypot(_SURE, max(spread)))


def _corrected(
    dots: Dots, rows: Sequence[list[int]], best: Outlined, left_open: float
) -> Dots:
    """Scale all extents along and across their chains; of single dots by the mean of both."""
    maps = np.tile(np.eye(6), (len(dots), 1, 1))
    maps[:, EXTENT, EXTENT] *= best.along * best.across
    for row in rows:
        for dot, along in zip(row, through(dots.centre[row]).tangents, strict=True):
            across = np.array([-along[1], along[0]])
            scale = best.along * np.outer(along, along) + best.across * np.outer(across, across)
            maps[dot, EXTENT, EXTENT] = _on_extents(scale)
    parameters = np.einsum("nij,nj->ni", maps, dots.parameters)
    common = np.einsum("nij,cnj->cni", maps, dots.common)
    common[1] = 0.0
    common[1][:, EXTENT] = 2.0 * left_open * parameters[:, EXTENT]
    blur = best.blur * float(np.median(0.5 * dots.widths))
    return replace(dots, parameters=parameters, common=common,
                   covariance=maps @ dots.covariance @ np.swapaxes(maps, 1, 2),
                   blur=float(np.sqrt(max(blur**2 - PIXEL, 0.0))))


def _on_extents(scale: Floats) -> Floats:
    """How ``F C F`` acts on ``c_yy, c_yx, c_xx`` of a symmetric matrix C."""
    (a, b), (_, d) = scale
    return np.array([[a * a, 2 * a * b, b * b], [a * b, a * d + b * b, b * d],
                     [b * b, 2 * b * d, d * d]])
