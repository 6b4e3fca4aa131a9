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
from scipy.optimize import least_squares, nnls

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
_DOUBLE = 1.3  # usual widths of a ring that may be two
_FEWEST_WIDTHS = 3  # rings that tell the usual width
_SPLIT_GAIN = 6.0  # by which chi squared must fall besides
_NEARLY_BROAD = 0.4  # of the broadest ring
_ROUNDS = 4
_KNOTS = 0.9  # widths of the broadest ring between two knots of the ground
_STIFF = 0.15  # by which the spline over the clipped profile bends from knot to knot, 1 sigma
_ALIKE = 0.25  # log of the widths of two rings, 1 sigma
_ALIKE_BROAD = 0.5  # log of the width of a broad maximum in two rounds of the fit
_WANDERS = 0.5  # widths by which a ring may be off the place where it was found, 1 sigma
_APART = 0.45  # widths between two rings that can be told apart
_OVERLAP = 2.0  # widths within which two rings overlap
_OVERLAP_MODEL = 1.6  # times larger are errors of rings that overlap
_WIDTH_MODEL = 1.4  # times larger are errors of widths
_LEAST_WIDTH_ERR = 0.01  # relative
_GRID_PX = 0.01  # by which the grid of pixels may shift a narrow ring, 1 sigma
_GROUND_MODEL = 2e-3  # relative, what the ground's model may be off by
# Linear sharing between two radii and the pixels' own size broaden what is drawn, in px^2 of FWHM.
SAMPLING_FWHM2 = 8.0 * _LN2 * (1.0 / 6.0 + 1.0 / 12.0)


@dataclass(frozen=True)
class Peak:
    """A ring, or a broad maximum.

    Parameters
    ----------
    radius, fwhm, height
        In px and in the picture's values.
    broad
        Broader than any ring of crystals.
    """

    radius: float
    fwhm: float
    height: float
    broad: bool = False


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
    """

    profile: AzimuthalMean
    peaks: tuple[Peak, ...]
    covariance: Floats
    lorentzian: float
    ground: Floats
    total: Floats
    chi2: float

    def err(self, number: int) -> tuple[float, float, float]:
        """1 sigma of radius, FWHM and height of a peak.

        The scatter around the azimuth does not know that the shapes of the rings and of the ground
        are models.  What these add was measured on simulated patterns
        (``benchmarks/validate_rings.py``): to widths, and to rings that overlap.
        """
        radius, log_fwhm, height = np.sqrt(np.diagonal(self.covariance)
                                           [3 * number:3 * number + 3]).tolist()
        peak = self.peaks[number]
        overlapping = any(
            i != number and abs(one.radius - peak.radius) < _OVERLAP * peak.fwhm
            and one.height > 0.03 * peak.height and not one.broad
            for i, one in enumerate(self.peaks))
        factor = _OVERLAP_MODEL if overlapping else 1.0
        log_fwhm = math.hypot(_WIDTH_MODEL * factor * log_fwhm, _LEAST_WIDTH_ERR)
        return factor * radius, log_fwhm * peak.fwhm, factor * height

    def area(self, number: int) -> tuple[float, float]:
        """Area under a peak (height times px) and its 1 sigma."""
        peak = self.peaks[number]
        part = 3 * number
        gradient = np.array([peak.height, 1.0]) * peak.fwhm * area_of_profile(self.lorentzian)
        own = self.covariance[part + 1:part + 3, part + 1:part + 3]
        return (peak.height * peak.fwhm * area_of_profile(self.lorentzian),
                float(np.sqrt(gradient @ own @ gradient)))


@dataclass(frozen=True)
class _Model:
    """Ground and peaks as functions of the parameters.

    Parameters: coefficients of the ground, logit of the Lorentzian part, log of the common FWHM,
    then radius, log FWHM and height of each peak.
    """

    radius: Floats
    basis: Floats
    broad: NDArray[np.bool_]

    @property
    def n_ground(self) -> int:
        """How many coefficients the ground has."""
        return int(self.basis.shape[1])

    def split(self, numbers: Floats) -> tuple[Floats, float, Floats]:
        """Ground, Lorentzian part, and ``(peaks, 3)``."""
        n = self.n_ground
        part = 1.0 / (1.0 + math.exp(-min(max(float(numbers[n]), -30.0), 30.0)))
        own = numbers[n + 2:].reshape(-1, 3).copy()
        own[:, 1] = np.clip(own[:, 1], math.log(0.3), math.log(1e4))
        return self.basis @ numbers[:n], part, own

    def total(self, numbers: Floats) -> Floats:
        """Return the whole model."""
        ground, part, own = self.split(numbers)
        return np.asarray(ground + self.shapes(part, own) @ own[:, 2])

    def shapes(self, part: float, own: Floats) -> Floats:
        """``(n, peaks)``: profiles of height 1."""
        off, _, _ = self._parts(own)
        return pseudo_voigt(off, np.where(self.broad, 0.0, part))

    def _parts(self, own: Floats) -> tuple[Floats, Floats, Floats]:
        off = 2.0 * (self.radius[:, None] - own[:, 0]) / np.exp(own[:, 1])
        gauss = np.exp(-_LN2 * off**2)
        return off, gauss, np.where(self.broad, gauss, 1.0 / (1.0 + off**2))

    def slopes(self, numbers: Floats) -> Floats:
        """``(n, parameters)``: derivatives of the total."""
        _, part, own = self.split(numbers)
        off, gauss, lorentz = self._parts(own)
        along = -2.0 * _LN2 * off * gauss
        turn = part * np.where(self.broad, along, -2.0 * off * lorentz**2) + (1 - part) * along
        height, n = own[:, 2], self.n_ground
        slopes = np.zeros((len(self.radius), len(numbers)))
        slopes[:, :n] = self.basis
        slopes[:, n] = part * (1 - part) * ((lorentz - gauss) @ height)
        slopes[:, n + 2::3] = -turn * 2.0 / np.exp(own[:, 1]) * height
        slopes[:, n + 3::3] = -turn * off * height
        slopes[:, n + 4::3] = part * lorentz + (1 - part) * gauss
        return slopes


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
        fitted = min(fitted, other, key=_misfit)
    fitted = _split(fitted, profile, basis, broadest)
    raised = replace(profile, mean=profile.mean + floor, without=profile.without + floor)
    return replace(fitted, profile=raised, ground=fitted.ground + floor, total=fitted.total + floor)


def pseudo_voigt(off: Floats, lorentzian: float | Floats) -> Floats:
    """Profile of height 1 at distances from its middle in half widths at half maximum."""
    return np.asarray(lorentzian / (1.0 + off**2) + (1.0 - lorentzian) * np.exp(-_LN2 * off**2))


def area_of_profile(lorentzian: float) -> float:
    """Area of a pseudo-Voigt profile of height and FWHM 1."""
    return lorentzian * math.pi / 2 + (1 - lorentzian) * math.sqrt(math.pi / _LN2) / 2


def _rounds(
    profile: AzimuthalMean, basis: Floats, ground: Floats, broadest: Floats, nearly: float
) -> Fitted:
    """Maxima found and fitted until nothing is left; broad ones from `nearly` the broadest ring."""
    peaks = _found(profile, profile.mean - ground, broadest, ground, [], nearly)
    fitted = _fit(profile, basis, peaks, broadest)
    for _ in range(_ROUNDS):
        fitted = _without_unclear(fitted, profile, basis, broadest)
        new = _found(profile, profile.mean - fitted.total, broadest, fitted.ground,
                     list(fitted.peaks))
        if not new:
            break
        fitted = _fit(profile, basis, [*fitted.peaks, *new], broadest)
    return _without_unclear(fitted, profile, basis, broadest)


def _split(fitted: Fitted, profile: AzimuthalMean, basis: Floats, broadest: Floats) -> Fitted:
    """The fit with clearly broader rings than the others split in two where that is better.

    Two rings closer than their width leave no second maximum.
    """
    for number, peak in enumerate(fitted.peaks):
        widths = [one.fwhm for one in fitted.peaks if not one.broad]
        if peak.broad or len(widths) < _FEWEST_WIDTHS or peak.fwhm < _DOUBLE * np.median(widths):
            continue
        usual = float(np.median(widths))
        half = 0.5 * math.sqrt(max(peak.fwhm**2 - usual**2, 1.0))
        both = [Peak(peak.radius + side * half, usual, 0.6 * peak.height) for side in (-1, 1)]
        others = [one for i, one in enumerate(fitted.peaks) if i != number]
        tried = _fit(profile, basis, [*others, *both], broadest)
        clear = all(_clearness(tried, i) >= 1 for i in range(len(tried.peaks)))
        if clear and _misfit(tried) < _misfit(fitted) - _SPLIT_GAIN:
            return _split(tried, profile, basis, broadest)
    return fitted


def _any_nearly_broad(fitted: Fitted, broadest: Floats) -> bool:
    return any(not peak.broad and peak.fwhm > _NEARLY_BROAD * float(
        np.interp(peak.radius, fitted.profile.radius, broadest)) for peak in fitted.peaks)


def _misfit(fitted: Fitted) -> float:
    """Chi squared and two for each number fitted (Akaike)."""
    return fitted.chi2 * len(fitted.profile.radius) + 6.0 * len(fitted.peaks)


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
    profile: AzimuthalMean, rest: Floats, broadest: Floats, ground: Floats, known: list[Peak],
    nearly: float = 1.0,
) -> list[Peak]:
    """Maxima of what is left that are clear in a matched filter, the clearest first."""
    best = np.zeros(len(rest))
    width = np.zeros(len(rest))
    height = np.zeros(len(rest))
    for part in _WIDTHS:
        sigma = np.maximum(part * broadest, _NARROWEST_PX) / math.sqrt(8 * _LN2)
        middle = float(np.median(sigma))
        filtered = _matched(rest, middle)
        err = np.hypot(_err_of_matched(profile, middle), _GROUND_MODEL * ground)
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
        radius, fwhm = float(profile.radius[at]), float(width[at])
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


def _err_of_matched(profile: AzimuthalMean, sigma: float) -> Floats:
    changed = _matched(profile.without - profile.mean, sigma)
    err = jackknife_err(changed)
    # The scatter of 36 blocks is itself uncertain: neighbours are alike.
    return np.asarray(np.sqrt(_blurred(err**2, 4.0 * sigma)))


def _fit(
    profile: AzimuthalMean, basis: Floats, peaks: list[Peak], broadest: Floats
) -> Fitted:
    peaks = sorted(peaks, key=lambda peak: peak.radius)
    limit = np.array([np.interp(peak.radius, profile.radius, broadest) for peak in peaks])
    broad = np.array([peak.broad for peak in peaks], dtype=bool)
    model = _Model(profile.radius, basis, broad)
    smooth = ndimage.gaussian_filter1d(profile.err**2, 3.0, mode="nearest")
    sigma = np.sqrt(smooth + (_GROUND_MODEL * basis.sum(axis=1)) ** 2)
    narrow = [math.log(peak.fwhm) for peak in peaks if not peak.broad]
    own = np.array([(p.radius, math.log(p.fwhm), p.height) for p in peaks]).reshape(-1, 3)
    start = np.concatenate([np.ones(model.n_ground),
                            [-1.0, float(np.median(narrow)) if narrow else 0.0], own.ravel()])
    prior = _Prior.of(model, start, broad)
    start = _linear(model, start, profile.mean, sigma)

    def misfit(numbers: Floats) -> Floats:
        return np.concatenate([(model.total(numbers) - profile.mean) / sigma,
                               prior.matrix @ numbers - prior.value])

    def slopes(numbers: Floats) -> Floats:
        return np.vstack([model.slopes(numbers) / sigma[:, None], prior.matrix])

    found = least_squares(misfit, start, slopes, method="lm", x_scale="jac", max_nfev=100)
    return _as_fitted(profile, model, found.x, sigma, slopes(found.x), limit)


def _linear(model: _Model, numbers: Floats, mean: Floats, sigma: Floats) -> Floats:
    """The numbers with the best ground and heights for their places and widths, none negative."""
    _, part, own = model.split(numbers)
    columns = np.column_stack([model.basis, model.shapes(part, own)]) / sigma[:, None]
    size = np.linalg.norm(columns, axis=0)
    best = nnls(columns / size, mean / sigma)[0] / size
    changed, n = numbers.copy(), model.n_ground
    changed[:n] = best[:n]
    changed[n + 4::3] = np.maximum(best[n:], 0.05 * own[:, 2])
    return changed


@dataclass(frozen=True)
class _Prior:
    """What is expected of the parameters, as rows beside the data: ``matrix @ numbers = value``."""

    matrix: Floats
    value: Floats

    @classmethod
    def of(cls, model: _Model, start: Floats, broad: NDArray[np.bool_]) -> _Prior:
        """Return that rings are about equally broad, and about where they were found."""
        n, peaks = model.n_ground, len(broad)
        matrix = np.zeros((2 * peaks + n, len(start)))
        value = np.zeros(len(matrix))
        for i in range(peaks):
            at = n + 2 + 3 * i
            matrix[2 * i, at] = 1.0 / max(_WANDERS * math.exp(start[at + 1]), 1.5)
            value[2 * i] = matrix[2 * i, at] * start[at]
            matrix[2 * i + 1, at + 1] = 1.0 / (_ALIKE_BROAD if broad[i] else _ALIKE)
            if broad[i]:
                value[2 * i + 1] = start[at + 1] / _ALIKE_BROAD
            else:
                matrix[2 * i + 1, n + 1] = -1.0 / _ALIKE
        for i in range(n - 2):
            matrix[2 * peaks + i, i:i + 3] = np.array([1.0, -2.0, 1.0]) / _STIFF
        matrix[-2, n], value[-2] = 0.7, -0.7
        matrix[-1, n + 1], value[-1] = 1e-2, 1e-2 * start[n + 1]
        return cls(matrix, value)


def _as_fitted(
    profile: AzimuthalMean, model: _Model, numbers: Floats, sigma: Floats, slopes: Floats,
    limit: Floats,
) -> Fitted:
    ground, part, own = model.split(numbers)
    shapes = model.shapes(part, own)
    broad = np.exp(own[:, 1]) > limit
    # How the parameters follow the profile, for the jackknife.
    n_data = len(profile.radius)
    normal = slopes.T @ slopes
    follow = np.linalg.pinv(normal, rcond=1e-14, hermitian=True) \
        @ (slopes[:n_data] / sigma[:, None]).T
    rows = model.n_ground + 2
    rest = (profile.mean - ground - shapes @ own[:, 2]) / sigma
    chi2 = float((rest**2).mean())
    covariance = max(chi2, 1.0) * profile.covariance_of(follow[rows:]) if len(own) \
        else np.zeros((0, 0))
    places = np.arange(0, len(covariance), 3)
    covariance[places, places] += _GRID_PX**2
    covariance[places + 1, places + 1] += (2.0 * _GRID_PX / np.exp(own[:, 1])) ** 2
    peaks = tuple(Peak(float(r), float(np.exp(w)), float(h), bool(b))
                  for (r, w, h), b in zip(own, broad, strict=True))
    return Fitted(profile, peaks, covariance, part, ground + shapes @ (own[:, 2] * broad),
                  ground + shapes @ own[:, 2], chi2)


def _without_unclear(
    fitted: Fitted, profile: AzimuthalMean, basis: Floats, broadest: Floats
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
        fitted = _fit(profile, basis, kept, broadest)
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
