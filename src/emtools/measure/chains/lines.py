"""Chains whose dots are not resolved, wires and rods: width and length along a centreline.

The profiles across the axis are averaged along it and fitted with a blurred projected body.  A
cylinder has the profile sqrt(1 - x^2), a row of touching spheres averaged along its axis 1 - x^2;
where the image cannot tell the two, their difference enters the uncertainty of the width.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from scipy.optimize import least_squares

from emtools.measure.chains.centreline import Centreline, arc_lengths, smoothed
from emtools.measure.chains.skeleton import trace_lines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains.ground import Ground
    from emtools.measure.chains.outline import Shape

_EXPONENTS = (0.5, 1.0)  # (1 - x^2)^p: cylinder, row of touching spheres
_FINE = 400  # points across the profile at which the model is blurred
_SECTIONS = 12  # at most so many pieces of a line are fitted for the spread of its width
_UNEXPLAINED = 0.1  # largest part of a profile's variance that the body may leave
_SKELETON_ERR_PX = 0.5
_END_ERR = 0.3  # of the width: where both ends of a line are, 1 sigma


@dataclass(frozen=True)
class Line:
    """A line-like object, in pixels.

    Parameters
    ----------
    axis
        Its centreline, end caps included.
    width, width_err
        Full extent across the axis.
    width_std
        Spread of the width along the axis.
    local_width
        Width at each point of the axis.
    length_err
        1 sigma of the axis' length.
    n_crossings
        How many crossings it passes.
    """

    axis: Centreline
    width: float
    width_err: float
    width_std: float
    local_width: NDArray[np.float64]
    length_err: float
    n_crossings: int


def measure_lines(ground: Ground, shapes: list[Shape], width_px: float) -> list[Line]:
    """Measure every line-like object."""
    lines = []
    for shape in shapes:
        origin = np.array(shape.origin, dtype=float) - 1.0
        paths, crossings = trace_lines(np.pad(shape.mask, 1), width_px)
        for path in paths:
            here = path + origin
            # As chains of dots, lines start at the end nearer to the corner of pixel 0, 0.
            here = here if np.hypot(*here[0]) <= np.hypot(*here[-1]) else here[::-1]
            line = _measure(ground, here, width_px, [c + origin for c in crossings])
            if line is not None:
                lines.append(line)
    return lines


def _measure(
    ground: Ground, path: NDArray[np.float64], width_px: float,
    crossings: list[NDArray[np.float64]],
) -> Line | None:
    if len(path) < 2.0 * width_px:
        return None
    axis = smoothed(path, _SKELETON_ERR_PX)
    profiles, across = _profiles(ground, axis, width_px)
    fit = _fit_width(profiles.mean(axis=0), across, width_px)
    if fit is None:
        return None
    sections = np.array_split(np.arange(len(profiles)),
                              int(np.clip(axis.length / (2 * width_px), 1, _SECTIONS)))
    local = [_fit_width(profiles[rows].mean(axis=0), across, width_px) for rows in sections]
    widths = np.array([fit[0] if one is None else one[0] for one in local])
    spread = float(widths.std(ddof=1)) if len(widths) > 1 else float("nan")
    of_mean = spread / np.sqrt(len(widths)) if len(widths) > 1 else 0.0
    whole = _with_caps(ground, axis, 0.5 * fit[0])
    if whole.length < 3.0 * fit[0]:
        return None
    passed = sum(bool(np.linalg.norm(path - c, axis=1).min() < width_px) for c in crossings)
    at = np.minimum((whole.arc / max(whole.length, 1e-9) * len(widths)).astype(int),
                    len(widths) - 1)
    return Line(whole, fit[0], float(np.hypot(fit[1], of_mean)), spread, widths[at],
                float(np.hypot(_END_ERR * fit[0], 0.5)), passed)


def _profiles(
    ground: Ground, axis: Centreline, width_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Signal across the axis, ``(points, samples)``, and the distances of the samples."""
    across = np.arange(-1.5 * width_px, 1.5 * width_px + 0.25, 0.5)
    normal = np.stack([-axis.tangents[:, 1], axis.tangents[:, 0]], axis=-1)
    at = axis.points[:, None, :] + across[None, :, None] * normal[:, None, :]
    return ndimage.map_coordinates(ground.signal, at.transpose(2, 0, 1), order=1,
                                   mode="nearest"), across


def _model(
    parameters: NDArray[np.float64], across: NDArray[np.float64], exponent: float
) -> NDArray[np.float64]:
    centre, radius, blur, height, ground = parameters
    reach = float(np.abs(across).max()) + 1.0
    fine = np.linspace(-reach, reach, _FINE)
    body = np.clip(1.0 - (fine / radius) ** 2, 0.0, None) ** exponent
    blurred = ndimage.gaussian_filter1d(body, blur / (fine[1] - fine[0]), mode="constant")
    return np.asarray(ground + height * np.interp(across - centre, fine, blurred))


def _misfit(
    parameters: NDArray[np.float64], across: NDArray[np.float64], profile: NDArray[np.float64],
    exponent: float,
) -> NDArray[np.float64]:
    return _model(parameters, across, exponent) - profile


def _fit_width(
    profile: NDArray[np.float64], across: NDArray[np.float64], width_px: float
) -> tuple[float, float] | None:
    """Width and its 1 sigma, what the shape leaves open included; None if nothing fits."""
    height = float(profile.max())
    if height <= 0:
        return None
    start = [0.0, 0.5 * width_px, max(0.5, 0.1 * width_px), height, 0.0]
    low = [-width_px, 0.15 * width_px, 0.3, 0.0, -height]
    high = [width_px, 1.4 * width_px, 0.6 * width_px + 0.5, 3.0 * height, height]
    fits: list[Any] = [
        least_squares(partial(_misfit, across=across, profile=profile, exponent=exponent), start,
                      bounds=(low, high)) for exponent in _EXPONENTS]
    fits.sort(key=lambda fit: float(fit.cost))
    best, other = fits
    if not _is_body(best, profile, width_px):
        return None
    degrees = max(1, len(across) - 5)
    variance = max(2.0 * float(best.cost) / degrees, 1e-12 * height**2)
    covariance = np.linalg.pinv(best.jac.T @ best.jac) * variance
    evidence = 2.0 * float(other.cost - best.cost) / variance
    open_shape = 2.0 * abs(other.x[1] - best.x[1]) * np.exp(-0.5 * min(evidence, 100.0))
    statistical = 2.0 * float(np.sqrt(max(covariance[1, 1], 0.0)))
    return 2.0 * float(best.x[1]), float(np.hypot(statistical, open_shape))


def _is_body(fit: Any, profile: NDArray[np.float64], width_px: float) -> bool:
    """Whether a profile is that of a body, and not of a step or an uneven ground."""
    total = float(np.sum((profile - np.median(profile)) ** 2))
    unexplained = 2.0 * float(fit.cost) / max(total, 1e-300)
    return bool(unexplained < _UNEXPLAINED and abs(fit.x[0]) < 0.4 * width_px)


def _with_caps(ground: Ground, axis: Centreline, radius: float) -> Centreline:
    """Carry the axis on to where the object ends: at half the height of its last part."""
    points = axis.points
    for end in (0, -1):
        outward = axis.tangents[end] * (1.0 if end == -1 else -1.0)
        steps = np.arange(0.0, 3.0 * radius, 0.25)
        along = points[end] + steps[:, None] * outward
        values = ndimage.map_coordinates(ground.signal, along.T, order=1, mode="constant")
        inside = values > 0.5 * float(np.median(values[steps <= 0.5 * radius]))
        beyond = np.argmin(inside) if not inside.all() else len(steps) - 1
        tip = along[max(int(beyond) - 1, 0)]
        points = np.vstack([tip, points]) if end == 0 else np.vstack([points, tip])
    arc = arc_lengths(points)
    tangents = np.vstack([axis.tangents[:1], axis.tangents, axis.tangents[-1:]])
    return Centreline(points, arc, arc, tangents)
