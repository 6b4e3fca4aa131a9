"""The profile across a wire or a row of bodies, blurred, fitted to many lines at once.

A body of half width 1 has the profile (1 - x^2)^p: p = 1/2 a cylinder, p = 1 a row of touching
spheres averaged along its axis, small p a slab.  Blurred by a Gaussian it depends on x and on the
ratio of blur to half width only, so it is tabulated once for each p.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EXPONENTS = (0.5, 1.0, 0.15)  # cylinder, row of spheres, slab
_STEP = 1.0 / 32  # of the table along x, in half widths
_FINER = 8  # points averaged for one of the table
_REACH = 14.0  # half widths
_BLURS = np.concatenate([np.linspace(0.0, 1.0, 41), np.geomspace(1.0, 6.0, 41)[1:]])
_LOW = np.array([-0.5, 0.1, 0.02, 0.0, -2.0, -2.0])
_HIGH = np.array([0.5, 1.3, 0.75, 20.0, 2.0, 2.0])
_ROUNDS = 25


class Fits(NamedTuple):
    """Fitted profiles; lengths in widths of each line as it was first taken.

    Parameters
    ----------
    parameters
        ``(n, 6)``: centre, half width, blur, height, ground, slope of the ground.
    cost
        ``(n,)`` sum of squares.
    normal
        ``(n, 6, 6)`` Jacobian times itself, without any prior.
    """

    parameters: Floats
    cost: Floats
    normal: Floats


@lru_cache(maxsize=8)
def _table(exponent: float) -> Floats:
    """Blurred profiles, ``(blur, x)``, x from 0."""
    fine = (np.arange(round(_REACH / _STEP) * _FINER) + 0.5) * _STEP / _FINER
    body = np.clip(1.0 - fine**2, 0.0, None) ** exponent
    # Means around each point of the table, which the mirrored half completes at 0.
    whole = np.concatenate([body[::-1], body])
    means = ndimage.uniform_filter1d(whole, _FINER)[len(body)::_FINER]
    mirrored = np.concatenate([means[:0:-1], means])
    rows = [mirrored if blur == 0 else
            ndimage.gaussian_filter1d(mirrored, blur / _STEP, mode="constant", truncate=6.0)
            for blur in _BLURS]
    return np.array(rows)[:, len(means) - 1:]


def body(x: Floats, blur: Floats, exponent: float) -> Floats:
    """Heights ``(n, m)`` at distances `x`, for 1 sigmas of `blur` ``(n,)``, in half widths."""
    from emtools.measure.chains._line_kernels import read_table

    rows = np.interp(blur, _BLURS, np.arange(len(_BLURS)))
    return np.asarray(read_table(_table(exponent), rows, np.abs(x) / _STEP))


def model(parameters: Floats, u: Floats, exponent: float) -> Floats:
    """Profiles ``(n, len(u))`` of parameters ``(n, 6)``."""
    centre, half, blur, height, ground, slope = parameters.T[:, :, None]
    return np.asarray(ground + slope * u
                      + height * body((u - centre) / half, (blur / half)[:, 0], exponent))


def _jacobian(parameters: Floats, u: Floats, exponent: float) -> Floats:
    """Derivatives ``(n, len(u), 6)``."""
    slopes = []
    for column in range(3):
        step = np.zeros(6)
        step[column] = 0.01
        slopes.append((model(parameters + step, u, exponent)
                       - model(parameters - step, u, exponent)) / 0.02)
    centre, half, blur = parameters.T[:3, :, None]
    ones = np.ones((len(parameters), len(u)))
    return np.stack([*slopes, body((u - centre) / half, (blur / half)[:, 0], exponent),
                     ones, ones * u], axis=-1)


def fit_profiles(
    u: Floats, profiles: Floats, exponent: float, start: Floats,
    prior: tuple[Floats, Floats] | None = None,
) -> Fits:
    """Fit all profiles, each by damped least squares.

    Parameters
    ----------
    u
        Distances from the axis.
    profiles
        ``(n, len(u))``, of about unit height.
    exponent
        Of the body.
    start
        ``(n, 6)`` first parameters.
    prior
        Expected blur of each, and the weight of its squared deviation.
    """
    now = np.clip(start, _LOW, _HIGH)
    expected, weight = (np.zeros((2, len(now))) if prior is None else prior)
    cost = _cost(now, u, profiles, exponent, expected, weight)
    damping = np.full(len(now), 1e-2)
    for _ in range(_ROUNDS):
        slopes = _jacobian(now, u, exponent)
        misfit = profiles - model(now, u, exponent)
        normal = np.einsum("nui,nuj->nij", slopes, slopes)
        towards = np.einsum("nui,nu->ni", slopes, misfit)
        normal[:, 2, 2] += weight
        towards[:, 2] += weight * (expected - now[:, 2])
        diagonal = np.einsum("nii->ni", normal) * damping[:, None] + 1e-9
        step = np.linalg.solve(normal + diagonal[:, :, None] * np.eye(6), towards[:, :, None])
        tried = np.clip(now + step[:, :, 0], _LOW, _HIGH)
        new = _cost(tried, u, profiles, exponent, expected, weight)
        better = new < cost
        gain = float(np.max((cost - new) / np.maximum(cost, 1e-12), initial=0.0))
        now = np.where(better[:, None], tried, now)
        cost = np.where(better, new, cost)
        damping = np.clip(np.where(better, 0.2 * damping, 8.0 * damping), 1e-7, 1e4)
        if gain < 1e-5 and bool((better | (damping > 1.0)).all()):
            break
    slopes = _jacobian(now, u, exponent)
    own = _cost(now, u, profiles, exponent, expected, np.zeros(len(now)))
    return Fits(now, own, np.einsum("nui,nuj->nij", slopes, slopes))


def _cost(
    parameters: Floats, u: Floats, profiles: Floats, exponent: float, expected: Floats,
    weight: Floats,
) -> Floats:
    misfit = profiles - model(parameters, u, exponent)
    return np.asarray((misfit**2).sum(axis=1) + weight * (parameters[:, 2] - expected) ** 2)
