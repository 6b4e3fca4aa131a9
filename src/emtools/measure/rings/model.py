"""Rings on their ground: all of them fitted together to the azimuthal mean.

Model: a ground (the tail of the central beam and what is diffuse: the largest function below the
mean whose logarithm is convex, times a stiff cubic spline), a pseudo-Voigt profile for each ring
and a Gaussian for each broad maximum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.interpolate import BSpline
from scipy.optimize import nnls

from emtools.measure.rings.curve import Model, Peak, Prior, area_of_profile, descend
from emtools.measure.rings.ground import convex_ground
from emtools.measure.rings.profile import jackknife_err

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.rings.profile import AzimuthalMean

    Floats = NDArray[np.float64]

_LN2 = math.log(2.0)
_CLEAR = 5.5  # sigma of a matched filter: 36 blocks have heavy tails, and there are many radii
_CLEAR_HEIGHT = 4.0  # sigma of the height
_LEAST_CONTRAST = 0.008  # of the ground: less may be its model
_WIDTHS = (0.12, 0.2, 0.35, 0.6, 1.0, 1.7, 2.6)  # of the broadest ring, that are looked for
_NARROWEST_PX = 1.6
_BOXES_FROM = 3.0  # px of sigma
_MOST = 40
_FEWEST_WIDTHS = 3  # rings that tell the usual width
_SPLIT_GAIN = 6.0  # by which chi squared must fall besides
_NEARLY_BROAD = 0.4  # of the broadest ring
_ROUNDS = 4
_ROUGHLY, _SETTLED = 0.3, 1e-3  # of chi squared, where fits end in the search, and in the end
_MEDIAN_CHI2 = 0.4549  # of one number
_BROADER = 0.1  # of the usual width, and
_CLEARLY_BROADER = 2.0  # sigma, by which a ring is broader that may be several
_SKEW = 1.6  # rms of (1 - 2 p) / sqrt(p (1 - p)) for parts p of two rings from 1/20 to 1/2
_KNOTS = 0.9  # widths of the broadest ring between two knots of the ground
_APART = 0.45  # widths between two rings that can be told apart
_WIDTH_MODEL = 1.4  # times larger are errors of widths
_LEAST_WIDTH_ERR = 0.01  # relative
_GRID_PX = 0.01  # by which the grid of pixels may shift a narrow ring, 1 sigma
_GROUND_MODEL = 2e-3  # relative, what the ground's model may be off by
# Linear sharing between two radii and the pixels' own size broaden what is drawn, in px^2 of FWHM.
SAMPLING_FWHM2 = 8.0 * _LN2 * (1.0 / 6.0 + 1.0 / 12.0)


@dataclass(frozen=True)
class Fitted:
    """What the azimuthal mean consists of.

    Parameters
    ----------
    profile
        What was fitted.
    peaks
        Rings and broad maxima, by radius.
    covariance
        ``(3 n, 3 n)``: radius, log of the FWHM and height of each.
    lorentzian
        Part of the profiles that is Lorentzian.
    ground, total
        ``(n,)``: the model without the rings (broad maxima included), and with them.
    chi2
        Reduced.
    changed
        ``(blocks, n)``: how what the model leaves changes when parts of the azimuth are left out.
    """

    profile: AzimuthalMean
    peaks: tuple[Peak, ...]
    covariance: Floats
    lorentzian: float
    ground: Floats
    total: Floats
    chi2: float
    changed: Floats

    @property
    def scatter(self) -> Floats:
        """``(n,)``: 1 sigma of what the model cannot follow.

        How bright the rings are around the azimuth (arcs, spots) is not in it: it changes heights,
        and says nothing on shapes.  What the model leaves beyond it counts as noise too.
        """
        own = np.maximum(jackknife_err(self.changed), self.profile.noise)
        rest = (self.profile.mean - self.total) / own
        return own * math.sqrt(max(_chi2(rest), 1.0))

    @property
    def usual_fwhm(self) -> float:
        """Width of most rings, NaN where few tell it."""
        rings = [i for i, peak in enumerate(self.peaks) if not peak.broad]
        if len(rings) < _FEWEST_WIDTHS:
            return math.nan
        widths = np.array([self.peaks[i].fwhm for i in rings])
        # The clear ones tell it: weights by variance, floored so that one does not rule.
        weight = 1.0 / (self.covariance[1::3, 1::3].diagonal()[rings] + _LEAST_WIDTH_ERR)
        order = np.argsort(widths)
        half = np.searchsorted(np.cumsum(weight[order]), 0.5 * weight.sum())
        return float(widths[order[half]])

    def resolved(self, number: int) -> bool:
        """Whether a ring is no broader than most: others may be several that lie together."""
        _, err, _ = self.err(number)
        least = max(_CLEARLY_BROADER * err, _BROADER * self.usual_fwhm)
        return not self.peaks[number].fwhm - self.usual_fwhm > least

    def _blend_err(self, number: int) -> float:
        """1 sigma of the place of a ring as the mean of several that cannot be told apart.

        Two rings of widths W and parts p and 1 - p of the intensity, s apart, have the excess
        variance v = p (1 - p) s^2 and the skew (1 - 2 p) s v.  A symmetric profile fitted to them
        is off their mean by skew / 4 sigma^2.  p is not known: even from 1/20 to 1/2, the rms of
        (1 - 2 p) / sqrt(p (1 - p)) is 1.6, and the rest follows from the excess of the width.
        """
        usual, fwhm = self.usual_fwhm, self.peaks[number].fwhm
        if not usual > 0:
            return 0.0
        err = 2.0 * fwhm**2 * math.sqrt(float(self.covariance[3 * number + 1, 3 * number + 1]))
        excess = math.hypot(max(fwhm**2 - usual**2, 0.0), err)
        return float(_SKEW * excess**1.5 / (4.0 * math.sqrt(8.0 * _LN2) * usual**2))

    def err(self, number: int) -> tuple[float, float, float]:
        """1 sigma of radius, FWHM and height of a peak.

        The scatter around the azimuth does not know that the shapes of the rings and of the ground
        are models.  What these add was measured on simulated patterns
        (``benchmarks/validate_rings.py``).
        """
        radius, log_fwhm, height = np.sqrt(np.diagonal(self.covariance)
                                           [3 * number:3 * number + 3]).tolist()
        peak = self.peaks[number]
        log_fwhm = math.hypot(_WIDTH_MODEL * log_fwhm, _LEAST_WIDTH_ERR)
        return math.hypot(radius, self._blend_err(number)), log_fwhm * peak.fwhm, height

    def area(self, number: int) -> tuple[float, float]:
        """Area under a peak (height times px) and its 1 sigma."""
        peak = self.peaks[number]
        part = 3 * number
        gradient = np.array([peak.height, 1.0]) * peak.fwhm * area_of_profile(self.lorentzian)
        own = self.covariance[part + 1:part + 3, part + 1:part + 3]
        return (peak.height * peak.fwhm * area_of_profile(self.lorentzian),
                float(np.sqrt(gradient @ own @ gradient)))


def fit_rings(profile: AzimuthalMean, broadest_px: Floats) -> Fitted | None:
    """Find and fit all rings of an azimuthal mean.

    Parameters
    ----------
    profile
        Azimuthal mean.
    broadest_px
        ``(n,)``: FWHM at each radius above which a maximum is no ring of crystals.

    Returns
    -------
    Fitted or None
        None where the mean has no scatter: nothing can then be told from noise.
    """
    if not (profile.err > 0).any() or np.ptp(profile.mean) == 0:
        return None
    profile, floor = _positive(profile)
    broadest = np.asarray(broadest_px, dtype=float)[: len(profile.radius)]
    ground = convex_ground(ndimage.gaussian_filter1d(profile.mean, 3.0, mode="nearest"))
    basis = ground[:, None] * _splines(profile.radius, broadest)
    fitted = _rounds(profile, basis, ground, broadest, 1.0)
    if _any_nearly_broad(fitted, broadest):
        # It may be the top of a broad maximum whose foot the ground took.
        other = _rounds(profile, basis, ground, broadest, _NEARLY_BROAD)
        scatter = fitted.scatter
        fitted = min(fitted, other, key=lambda one: _misfit(one, scatter))
    scatter = fitted.scatter
    fitted = _fit(profile, basis, list(fitted.peaks), broadest, scatter)
    fitted = _completed(fitted, profile, basis, broadest, scatter)
    fitted = _split(fitted, profile, basis, broadest, scatter)
    fitted = _fit(profile, basis, list(fitted.peaks), broadest, scatter, _SETTLED)
    raised = replace(profile, mean=profile.mean + floor, without=profile.without + floor)
    return replace(fitted, profile=raised, ground=fitted.ground + floor, total=fitted.total + floor)


def _rounds(
    profile: AzimuthalMean, basis: Floats, ground: Floats, broadest: Floats, nearly: float
) -> Fitted:
    """Maxima found and fitted until nothing is left; broad ones from `nearly` the broadest ring."""
    peaks = _found(profile.radius, profile.mean - ground, profile.without - profile.mean, broadest,
                   ground, (), nearly)
    fitted = _fit(profile, basis, peaks, broadest, profile.err)
    return _completed(fitted, profile, basis, broadest, profile.err)


def _completed(
    fitted: Fitted, profile: AzimuthalMean, basis: Floats, broadest: Floats, scatter: Floats
) -> Fitted:
    """The fit with what is found in its rest, and without what does not stand clear."""
    known = -1
    for _ in range(_ROUNDS):
        fitted = _without_unclear(fitted, profile, basis, broadest, scatter)
        if len(fitted.peaks) <= known:  # what was found did not stand clear
            break
        known = len(fitted.peaks)
        new = _found(profile.radius, profile.mean - fitted.total, fitted.changed, broadest,
                     fitted.ground, fitted.peaks)
        if not new:
            break
        fitted = _fit(profile, basis, [*fitted.peaks, *new], broadest, scatter)
    return _without_unclear(fitted, profile, basis, broadest, scatter)


def _split(
    fitted: Fitted, profile: AzimuthalMean, basis: Floats, broadest: Floats, scatter: Floats
) -> Fitted:
    """The fit with clearly broader rings than the others split in two where that is better.

    Two rings closer than their width leave no second maximum.
    """
    usual = fitted.usual_fwhm
    for number, peak in enumerate(fitted.peaks):
        if peak.broad or fitted.resolved(number):
            continue
        half = 0.5 * math.sqrt(peak.fwhm**2 - usual**2)
        both = [Peak(peak.radius + side * half, usual, 0.6 * peak.height) for side in (-1, 1)]
        others = [one for i, one in enumerate(fitted.peaks) if i != number]
        tried = _fit(profile, basis, [*others, *both], broadest, scatter)
        pair = np.argsort([abs(one.radius - peak.radius) for one in tried.peaks])[:2]
        if all(_clearness(tried, int(i)) >= 1 for i in pair) and _better(tried, fitted):
            return _split(tried, profile, basis, broadest, scatter)
    return fitted


def _better(tried: Fitted, fitted: Fitted) -> bool:
    """Whether one more ring is worth its numbers, by the scatter of the fit without it."""
    sigma = fitted.scatter
    return _misfit(tried, sigma) < _misfit(fitted, sigma) - _SPLIT_GAIN


def _any_nearly_broad(fitted: Fitted, broadest: Floats) -> bool:
    return any(not peak.broad and peak.fwhm > _NEARLY_BROAD * float(
        np.interp(peak.radius, fitted.profile.radius, broadest)) for peak in fitted.peaks)


def _misfit(fitted: Fitted, scatter: Floats) -> float:
    """Chi squared and two for each number fitted (Akaike)."""
    sigma = _weights(fitted.ground, scatter)
    return float((((fitted.profile.mean - fitted.total) / sigma) ** 2).sum()) \
        + 6.0 * len(fitted.peaks)


def _weights(ground: Floats, scatter: Floats) -> Floats:
    """1 sigma at each radius: the scatter, and what the ground's model may be off by."""
    smooth = ndimage.gaussian_filter1d(scatter**2, 3.0, mode="nearest")
    return np.asarray(np.sqrt(smooth + (_GROUND_MODEL * ground) ** 2))


def _positive(profile: AzimuthalMean) -> tuple[AzimuthalMean, float]:
    """The profile above a floor below all of it: what a detector's offset adds is no ground."""
    low = float(profile.mean.min())
    floor = low - 3.0 * float(np.median(profile.err)) \
        - 0.02 * float(np.median(profile.mean) - low)
    return replace(profile, mean=profile.mean - floor, without=profile.without - floor), floor


def _splines(radius: Floats, broadest: Floats) -> Floats:
    """``(n, m)``: cubic B-splines whose knots lie farther apart than a ring is broad."""
    knots = [float(radius[0])]
    while knots[-1] < radius[-1]:
        at = knots[-1]
        widest = float(np.interp(at, radius, broadest))
        knots.append(at + min(max(0.3 * at, 8.0), max(_KNOTS * widest, 8.0)))
    inner = np.array(knots)
    inner = radius[0] + (inner - inner[0]) * (radius[-1] - radius[0]) / (inner[-1] - inner[0])
    inner[[0, -1]] = radius[[0, -1]]
    full = np.concatenate([[inner[0]] * 3, inner, [inner[-1]] * 3])
    return np.asarray(BSpline.design_matrix(radius, full, 3).toarray())


def _found(
    radius_px: Floats, rest: Floats, changed: Floats, broadest: Floats, ground: Floats,
    known: tuple[Peak, ...], nearly: float = 1.0,
) -> list[Peak]:
    """Maxima of what is left that are clear in a matched filter, the clearest first.

    `changed`, ``(blocks, n)``, is how the rest changes when parts of the azimuth are left out.
    """
    best = np.zeros(len(rest))
    width = np.zeros(len(rest))
    height = np.zeros(len(rest))
    for part in _WIDTHS:
        sigma = np.maximum(part * broadest, _NARROWEST_PX) / math.sqrt(8 * _LN2)
        middle = float(np.median(sigma))
        filtered = _matched(rest, middle)
        err = np.hypot(_err_of_matched(changed, middle), _GROUND_MODEL * ground)
        clear = filtered / np.maximum(err, 1e-300)
        # Where the filter is broader than the ring, its height is less.
        better = (clear > best) & (filtered > _LEAST_CONTRAST * ground)
        best = np.where(better, clear, best)
        width = np.where(better, middle * math.sqrt(8 * _LN2), width)
        height = np.where(better, filtered * math.sqrt(2.0), height)
    inner = np.flatnonzero((best[1:-1] >= best[:-2]) & (best[1:-1] > best[2:])
                           & (best[1:-1] > _CLEAR)) + 1
    found: list[Peak] = []
    for at in inner[np.argsort(-best[inner])]:
        radius, fwhm = float(radius_px[at]), float(width[at])
        broad = bool(fwhm > nearly * broadest[at])
        fwhm = max(fwhm, 2.0 * float(broadest[at])) if broad else fwhm
        # A ring may stand on a broad maximum.  What is left beside a maximum that is much broader
        # than itself may be its other half.
        near = [one for one in (*known, *found) if one.broad == broad]
        if all(abs(radius - one.radius) > _APART * max(min(one.fwhm, 2.0 * fwhm), fwhm)
               for one in near) and len(known) + len(found) < _MOST:
            found.append(Peak(radius, fwhm, float(height[at]), broad))
    return found


def _matched(rest: Floats, sigma: float) -> Floats:
    """The rest filtered with a Gaussian less a broader one, which sees no slope."""
    return _blurred(rest, sigma) - _blurred(rest, 3.0 * sigma)


def _blurred(values: Floats, sigma: float) -> Floats:
    """Nearly a Gaussian filter: a broad one is three boxes, which cost the same at any width."""
    if sigma < _BOXES_FROM:
        return np.asarray(ndimage.gaussian_filter1d(values, sigma, axis=-1, mode="nearest"))
    width = 2 * round((math.sqrt(4 * sigma**2 + 1) - 1) / 2) + 1
    for _ in range(3):
        values = ndimage.uniform_filter1d(values, width, axis=-1, mode="nearest")
    return values


def _err_of_matched(changed: Floats, sigma: float) -> Floats:
    err = jackknife_err(_matched(changed, sigma))
    # The scatter of 36 blocks is itself uncertain: neighbours are alike.
    return np.asarray(np.sqrt(_blurred(err**2, 4.0 * sigma)))


def _fit(
    profile: AzimuthalMean, basis: Floats, peaks: list[Peak], broadest: Floats, scatter: Floats,
    settled: float = _ROUGHLY,
) -> Fitted:
    """The best fit of some peaks, weighted by the `scatter`, 1 sigma, at each radius."""
    peaks = sorted(peaks, key=lambda peak: peak.radius)
    limit = np.array([np.interp(peak.radius, profile.radius, broadest) for peak in peaks])
    broad = np.array([peak.broad for peak in peaks], dtype=bool)
    model = Model(profile.radius, basis, broad)
    sigma = _weights(basis.sum(axis=1), scatter)
    narrow = [math.log(peak.fwhm) for peak in peaks if not peak.broad]
    own = np.array([(p.radius, math.log(p.fwhm), p.height) for p in peaks]).reshape(-1, 3)
    start = np.concatenate([np.ones(model.n_ground),
                            [-1.0, float(np.median(narrow)) if narrow else 0.0], own.ravel()])
    prior = Prior.of(model, start, broad)
    start = _linear(model, start, profile.mean, sigma)

    def misfit(numbers: Floats) -> Floats:
        return np.concatenate([(model.total(numbers) - profile.mean) / sigma,
                               prior.matrix @ numbers - prior.value])

    def slopes(numbers: Floats) -> Floats:
        return np.vstack([model.slopes(numbers) / sigma[:, None], prior.matrix])

    best = descend(misfit, slopes, start, settled)
    return _as_fitted(profile, model, best, sigma, slopes(best), limit)


def _linear(model: Model, numbers: Floats, mean: Floats, sigma: Floats) -> Floats:
    """The numbers with the best ground and heights for their places and widths, none negative."""
    _, part, own = model.split(numbers)
    columns = np.column_stack([model.basis, model.shapes(part, own)]) / sigma[:, None]
    size = np.linalg.norm(columns, axis=0)
    best = nnls(columns / size, mean / sigma)[0] / size
    changed, n = numbers.copy(), model.n_ground
    changed[:n] = best[:n]
    changed[n + 4::3] = np.maximum(best[n:], 0.05 * own[:, 2])
    return changed


def _as_fitted(
    profile: AzimuthalMean, model: Model, numbers: Floats, sigma: Floats, slopes: Floats,
    limit: Floats,
) -> Fitted:
    ground, part, own = model.split(numbers)
    shapes = model.shapes(part, own)
    broad = np.exp(own[:, 1]) > limit
    # How the parameters follow the profile, for the jackknife.
    n_data, rows = len(profile.radius), model.n_ground + 2
    inverse = np.linalg.pinv(slopes.T @ slopes, rcond=1e-14, hermitian=True)
    data = slopes[:n_data]
    follow = inverse @ (data / sigma[:, None]).T
    changed = profile.without - profile.mean
    changed = changed - (changed @ follow.T) @ data.T * sigma
    rest = (profile.mean - ground - shapes @ own[:, 2]) / sigma
    chi2 = _chi2(rest)
    # What the model misses beyond the scatter counts as so much more noise.  What is expected may
    # be off by its own sigma: it moves rings that overlap, where the profile says little.
    expected = inverse[rows:] @ slopes[n_data:].T
    covariance = profile.covariance_of(follow[rows:]) + expected @ expected.T \
        + max(chi2 - 1.0, 0.0) * inverse[rows:, rows:] if len(own) else np.zeros((0, 0))
    places = np.arange(0, len(covariance), 3)
    covariance[places, places] += _GRID_PX**2
    covariance[places + 1, places + 1] += (2.0 * _GRID_PX / np.exp(own[:, 1])) ** 2
    peaks = tuple(Peak(float(r), float(np.exp(w)), float(h), bool(b))
                  for (r, w, h), b in zip(own, broad, strict=True))
    return Fitted(profile, peaks, covariance, part, ground + shapes @ (own[:, 2] * broad),
                  ground + shapes @ own[:, 2], chi2, changed)


def _chi2(rest: Floats) -> float:
    """Reduced chi squared by the median: rings that are not yet found are no noise."""
    return float(np.median(rest**2)) / _MEDIAN_CHI2


def _without_unclear(
    fitted: Fitted, profile: AzimuthalMean, basis: Floats, broadest: Floats, scatter: Floats
) -> Fitted:
    """The fit without the peaks that do not stand clear, the least clear one taken out first.

    Peaks that share what one of them could explain alone are all unclear until one is gone.
    """
    while fitted.peaks:
        clearness = [_clearness(fitted, i) for i in range(len(fitted.peaks))]
        worst = int(np.argmin(clearness))
        if clearness[worst] >= 1.0:
            break
        kept = [peak for i, peak in enumerate(fitted.peaks) if i != worst]
        fitted = _fit(profile, basis, kept, broadest, scatter)
    return fitted


def _clearness(fitted: Fitted, number: int) -> float:
    """How clear of noise and of the ground's model a peak stands; below 1 it does not."""
    peak = fitted.peaks[number]
    radius_err, fwhm_err, height_err = fitted.err(number)
    ground = float(np.interp(peak.radius, fitted.profile.radius, fitted.ground))
    first, last = fitted.profile.radius[[0, -1]]
    if not first + 0.5 * peak.fwhm < peak.radius < last - 0.8 * peak.fwhm:
        return 0.0
    own_ground = abs(ground - peak.height if peak.broad else ground)
    return min(peak.height / (_CLEAR_HEIGHT * height_err), 0.5 * peak.fwhm / radius_err,
               peak.fwhm / fwhm_err, peak.height / (_LEAST_CONTRAST * own_ground))
