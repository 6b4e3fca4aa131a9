"""Widths of lines: their mean profiles fitted, shape and blur judged by all lines together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emtools.measure.chains.line_body import EXPONENTS, Fits, body, fit_profiles
from emtools.measure.chains.ridge import ACROSS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_MOST_EVIDENCE = 9.0  # of one line for a shape: what it counts for the others, in chi square
_PRIOR = (0.48, 0.48, 0.04)  # cylinder, row of spheres, slab
_BLUR_SHAPE = 0.06  # 3 % of the blur's square, over the second moment's slope by the half width
# 1 sigma of the blur over the half width: from there on the feet of the profile alone tell a broad
# body from a blurred one.
_PLAIN_BLUR = 0.2
_UNLIKELY = 14.0  # chi square of what else rules a shape out
_FARTHEST = 1.6  # widths: beyond the profile's end
_BESIDE = 0.7  # what a step just beside the line counts: shadows make one too
_SEEN_PX = 4.5  # lines wider than that show the dots that they consist of
_HIDDEN = 0.25  # of the pitch: blur beyond which dots are not seen even so
_WITHIN = 1.4  # widths to either side that are fitted
_LEAST_VARIANCE = 1e-7  # of a profile of unit height: what tables and interpolation leave
_SHARPEST_PX = 0.29  # 1 sigma of a pixel's own width


class Widths(NamedTuple):
    """What the profiles of ``n`` lines say, in pixels.

    Parameters
    ----------
    width, err
        Full extent across the axis and its 1 sigma, blur and shape included.
    centre
        How far the middle lies beside the axis.
    unexplained
        Part of the profile's variance that the body leaves.
    height, ground
        Of the body, and below it.
    step
        How much one side is higher than the other, over how much the line rises above the
        higher one; infinite where it does not.
    exponent, own
        Number of the likeliest shape, and the parameters of its fit in widths.
    """

    width: Floats
    err: Floats
    centre: Floats
    unexplained: Floats
    height: Floats
    ground: Floats
    step: Floats
    exponent: NDArray[np.intp]
    own: Floats


def fit_widths(profiles: Floats, sizes: Floats, noise: Floats) -> Widths:
    """Fit the mean profiles of all lines of a picture.

    Parameters
    ----------
    profiles
        ``(n, samples)`` at `ACROSS` widths.
    sizes
        ``(n,)`` the width in pixels that `ACROSS` counts in.
    noise
        ``(n,)`` 1 sigma of each profile's samples.
    """
    within = np.abs(ACROSS) <= _WITHIN
    u = ACROSS[within]
    floor = np.minimum(profiles[:, within][:, :6].mean(axis=1),
                       profiles[:, within][:, -6:].mean(axis=1))
    scale = np.maximum(profiles[:, np.abs(ACROSS) < 0.3].mean(axis=1) - floor, 1e-30)
    unit = profiles[:, within] / scale[:, None]
    # Samples closer than a pixel are not independent.
    dense = np.maximum(1.0, (len(ACROSS) - 1) / (ACROSS[-1] - ACROSS[0]) / sizes)
    first = [_from_start(u, unit, exponent, floor / scale) for exponent in EXPONENTS]
    best = np.min([fit.cost for fit in first], axis=0)
    variance = np.maximum(best / (len(u) - 6), np.maximum((noise / scale) ** 2, _LEAST_VARIANCE))
    variance = variance * dense
    chi = np.array([fit.cost for fit in first]) / variance
    ratio = first[1].parameters[:, 2] / (2.0 * first[1].parameters[:, 1])
    weights = _weights(chi, (sizes > _SEEN_PX) & (ratio < _HIDDEN))
    fits = [_with_common_blur(u, unit, exponent, fit, variance, sizes)
            for exponent, fit in zip(EXPONENTS, first, strict=True)]
    return _averaged(fits, weights, profiles, sizes, scale)


def _from_start(u: Floats, unit: Floats, exponent: float, ground: Floats) -> Fits:
    """Fit from a narrow blurred body and from a broad sharp one: the two are much alike."""
    both = []
    for half, blur in ((0.45, 0.1), (0.3, 0.3)):
        start = np.tile([0.0, half, blur, 1.0, 0.0, 0.0], (len(unit), 1))
        start[:, 4] = ground
        both.append(fit_profiles(u, unit, exponent, start))
    better = both[1].cost < both[0].cost
    return Fits(*(np.where(better.reshape(-1, *[1] * (a.ndim - 1)), b, a)
                  for a, b in zip(*both, strict=True)))


def _weights(chi: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Probability of each shape for each line, ``(shapes, n)``.

    The lines of one picture are likely of one kind: what the others say counts too.  A row of
    spheres is none where its dots would have been `seen`.
    """
    chi = chi - 2.0 * np.log(np.array(_PRIOR))[:, None]
    chi[1] += np.where(seen, _UNLIKELY, 0.0)
    worse = chi - chi.min(axis=0)
    common = np.minimum(worse, _MOST_EVIDENCE).sum(axis=1, keepdims=True)
    others = common - np.minimum(worse, _MOST_EVIDENCE)
    total = worse + others
    likely = np.exp(-0.5 * np.minimum(total - total.min(axis=0), 200.0))
    return np.asarray(likely / likely.sum(axis=0))


class _Fitted(NamedTuple):
    """One shape's fits with the blur that is common to all lines, as far as it is."""

    parameters: Floats
    cost: Floats
    err: Floats


def _with_common_blur(
    u: Floats, unit: Floats, exponent: float, fit: Fits, variance: Floats, sizes: Floats
) -> _Fitted:
    ridge = 1e-9 * np.eye(6)
    covariance = np.linalg.inv(fit.normal + ridge) * variance[:, None, None]
    blur_px, err_px = fit.parameters[:, 2] * sizes, np.sqrt(covariance[:, 2, 2]) * sizes
    err_px = np.minimum(np.maximum(err_px, 1e-3), 1e3)
    mean, spread, mean_err = _common(blur_px, err_px)
    if len(sizes) > 1:
        weight = variance * (sizes / np.hypot(spread, 1e-3)) ** 2
        expected = np.full(len(sizes), mean) / sizes
        # Too sharp a prior and the fit cannot move from it.
        weight = np.minimum(weight, 1e4)
        fit = fit_profiles(u, unit, exponent, fit.parameters, (expected, weight))
        normal = fit.normal.copy()
        normal[:, 2, 2] += weight
        covariance = np.linalg.inv(normal + ridge) * variance[:, None, None]
        # How the half width follows the blur, which is off by the same for all.
        free = np.linalg.inv(fit.normal + ridge)
        follows = free[:, 1, 2] / free[:, 2, 2]
        pull = weight / (weight + 1.0 / free[:, 2, 2])
        common = follows * pull * mean_err / sizes
        err = np.sqrt(covariance[:, 1, 1] + common**2)
    else:
        err = np.sqrt(covariance[:, 1, 1])
    return _Fitted(fit.parameters, fit.cost, err)


def _common(values: Floats, errs: Floats) -> tuple[float, float, float]:
    """Mean of values that may differ more than their errors, their spread, error of the mean."""
    spread = 0.0
    for _ in range(30):
        weight = 1.0 / (errs**2 + spread**2)
        mean = float((weight * values).sum() / weight.sum())
        # The spread that makes chi square what it should be (Paule & Mandel 1982).
        excess = float((weight * (values - mean) ** 2).sum()) - (len(values) - 1)
        if excess <= 0:
            break
        slope = float((weight**2 * (values - mean) ** 2).sum())
        spread = float(np.sqrt(spread**2 + excess / max(slope, 1e-300)))
    return mean, spread, float(1.0 / np.sqrt(weight.sum()))


def _averaged(
    fits: list[_Fitted], weights: Floats, profiles: Floats, sizes: Floats, scale: Floats
) -> Widths:
    """Mean over the shapes, by their probability; what they differ by is in the error."""
    halves = np.array([fit.parameters[:, 1] for fit in fits])
    half = (weights * halves).sum(axis=0)
    err = np.sqrt((weights * (np.array([fit.err for fit in fits]) ** 2
                              + (halves - half) ** 2)).sum(axis=0))
    likeliest = weights.argmax(axis=0)
    # Far from its middle no blur is a Gaussian: what it adds to the profile's second moment is
    # known to a few per cent at best.
    blur = (weights * np.array([fit.parameters[:, 2] for fit in fits])).sum(axis=0)
    worse = 1.0 + (blur / (_PLAIN_BLUR * half)) ** 2
    err = np.hypot(err, _BLUR_SHAPE * worse * blur**2 / half)
    rows = np.arange(len(sizes))
    own = np.array([fit.parameters for fit in fits])[likeliest, rows]
    cost = np.array([fit.cost for fit in fits])[likeliest, rows]
    unit = profiles[:, np.abs(ACROSS) <= _WITHIN] / scale[:, None]
    total = ((unit - np.median(unit, axis=1, keepdims=True)) ** 2).sum(axis=1)
    return Widths(2.0 * half * sizes, 2.0 * err * sizes, own[:, 0] * sizes,
                  cost / np.maximum(total, 1e-300), own[:, 3] * scale, own[:, 4] * scale,
                  _step(profiles), likeliest, own)


def _step(profiles: Floats) -> Floats:
    """How much one side is higher than the other, over the rise above the higher one.

    Far from the line, or just beside it: a ground that follows an edge leaves a ditch along it.
    """
    top = profiles[:, np.abs(ACROSS) < 0.25].mean(axis=1)
    steps = []
    for near, far, weight in ((1.0, _FARTHEST, 1.0), (0.7, 1.05, _BESIDE)):
        left, right = (profiles[:, (side > near) & (side < far)].mean(axis=1)
                       for side in (-ACROSS, ACROSS))
        rise = top - np.maximum(left, right)
        steps.append(np.where(rise > 0, weight * np.abs(left - right) / np.maximum(rise, 1e-30),
                              np.inf))
    return np.asarray(np.maximum(*steps))


def local_widths(widths: Widths, line: int, sections: Floats, size: float) -> Floats:
    """Width of each section of a line, shape and blur as of the whole: one step of its fit."""
    exponent, own = EXPONENTS[widths.exponent[line]], widths.own[line]
    within = np.abs(ACROSS) <= _WITHIN
    u = ACROSS[within]

    def shape(centre: float, half: float) -> Floats:
        return np.asarray(body((u - centre)[None] / half, np.array([own[2] / half]), exponent)[0])

    near = shape(own[0], own[1])
    design = np.stack([np.ones_like(u), u, near,
                       (shape(own[0] + 0.01, own[1]) - shape(own[0] - 0.01, own[1])) / 0.02,
                       (shape(own[0], own[1] + 0.01) - shape(own[0], own[1] - 0.01)) / 0.02],
                      axis=-1)
    found = sections[:, within] @ np.linalg.pinv(design).T
    high = found[:, 2] > 0.2 * widths.height[line]
    change = np.where(high, found[:, 4] / np.where(high, found[:, 2], 1.0), 0.0)
    change = np.clip(change, -0.5 * own[1], own[1])
    return np.asarray(widths.width[line] + 2.0 * size * change)

