"""Which elements a spectrum shows: one after another, each judged against all that overlap it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats
from scipy.ndimage import gaussian_filter1d

from emtools import xrays
from emtools.errors import ParameterError
from emtools.measure.eds.continuum import continuum_basis
from emtools.measure.eds.families import families_of
from emtools.measure.eds.fit import (
    ROUGHLY,
    Fit,
    Free,
    fit_spectrum,
    inverse_of,
    refitted,
)
from emtools.measure.eds.model import Model
from emtools.stages import stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from emtools.measure.eds.families import Family
    from emtools.measure.eds.model import Tie
    from emtools.measure.eds.response import Response

    Floats = NDArray[np.float64]

# Gases and what is not met outside reactors: no candidates unless asked for.
_UNLIKELY = {"H", "He", "Li", "Be", "Ne", "Kr", "Xe", "Rn", "Tc", "Pm", "Po", "At", "Fr",
             "Ra", "Ac", "Pa", "Np", "Pu", "Am", "Cm", "Bk", "Cf"}
_MOST, _PASSES = 30, 3  # elements; forth and back
_SHIFTS_EV = np.arange(-60.0, 61.0, 10.0)  # of the axis, tried for the first element
_ALIKE, _RIVALS = 0.7, 2  # of the shapes of two elements, as a cosine; how many are tried
_MISFIT = 1.25  # mean squared residual from which an element may be taken for another
_WEAKEST = 3  # elements that are tried whether they can be left out
_AXIS_GAIN = 0.1  # of the log likelihood by moving the axis, for each count of an element
_LOOSELY = 2.0  # gain of the log likelihood that ends a fit which only compares
_MODEL_ERR, _TOGETHER_KEV = 0.01, 0.13  # of peaks' heights, and over what energy it is the same
_FILLED, _ENOUGH, _MEDIAN = 5.0, 50, 0.455  # counts; channels; median of a squared normal number


@dataclass(frozen=True)
class Setting:
    """What the spectra of an image have in common.

    Parameters
    ----------
    energy_keV
        ``(c,)`` channels in use.
    beam_keV
        Energy of the electrons.
    detector
        That recorded them.
    response
        Expected of it.
    ties
        Function of the families: what is known of their ratios.
    """

    energy_keV: NDArray[np.float64]
    beam_keV: float
    detector: xrays.Detector
    response: Response
    ties: Callable[[Sequence[Family]], list[Tie]]

    def families(self, elements: Iterable[str]) -> list[Family]:
        """Families of some elements that are on the axis."""
        low, high = float(self.energy_keV[0]), float(self.energy_keV[-1])
        return [family for element in elements
                for family in families_of(element, (low, high), self.beam_keV, self.detector)]

    @cached_property
    def continuum(self) -> NDArray[np.float64]:
        """Shapes of the continuum, ``(k, c)``."""
        return continuum_basis(self.energy_keV, self.beam_keV, self.detector)

    def model(self, elements: Iterable[str], response: Response | None = None) -> Model:
        """Model of a spectrum with these elements."""
        families = self.families(elements)
        return Model(families, self.energy_keV, self.continuum, self.ties(families),
                     response or self.response)


def with_all_seen(
    setting: Setting, counts: Floats, asked: Sequence[str], rate: float
) -> tuple[Fit, list[str]]:
    """Fit a spectrum with what was asked for, and with what else is in it.

    Parameters
    ----------
    setting
        Of the spectra.
    counts
        ``(c,)`` summed.
    asked
        Elements that are in the model in any case.
    rate
        Accepted probability that any element is found that is not there.

    Returns
    -------
    tuple
        The fit, and the elements found beside those asked for.
    """
    candidates = [e for e in xrays.elements() if e not in _UNLIKELY and e not in asked]
    candidates = [e for e in candidates if setting.families([e])]
    columns = {e: _tied(setting, e) for e in candidates}
    threshold = float(stats.chi2.isf(2.0 * rate / max(len(candidates), 1), 1))
    search = _Search(setting, counts, tuple(asked), columns, threshold)
    fit = search.onwards(search.first(), "axis")
    for number in range(_PASSES):
        # With the detector as the strong lines show it, weak ones are seen, or were none.
        before = search.elements(fit)
        fit = fit_spectrum(setting.model(before), counts, fit.state, settled=ROUGHLY)
        if number == 0 and search.misfit(fit) > _MISFIT:
            fit = search.exchanged(fit)
        more = search.onwards(fit, "areas")
        if number and search.elements(more) == before:
            break
        fit = search.back(more)
    fit = search.exchanged(fit_spectrum(setting.model(search.elements(fit)), counts, fit.state,
                                        settled=ROUGHLY))
    elements = search.elements(fit)
    return (fit_spectrum(setting.model(elements), counts, fit.state),
            [element for element in elements if element not in asked])


def _tied(setting: Setting, element: str) -> Callable[[Response], Floats]:
    """Shape of all lines of an element, its shells in the computed ratio."""
    families = setting.families([element])
    strength = np.array([1.0 / _computed_k(element, f.alpha.name, setting.beam_keV,
                                           setting.detector) for f in families])
    model = Model(families, setting.energy_keV, np.zeros((0, len(setting.energy_keV))))

    def shape(response: Response) -> Floats:
        each = model.peaks.shapes(response, np.zeros(len(families)))
        shapes = model.peaks.summed(each, np.zeros(len(model.peaks.open)))
        return np.asarray(strength @ shapes / strength.sum())

    return shape


@lru_cache(maxsize=1024)
def _computed_k(element: str, line: str, beam_keV: float, detector: xrays.Detector) -> float:
    try:
        return xrays.k_factor(element, line, beam_keV, detector)
    except ParameterError:  # hardly excited
        return 1e3


def _scores(
    fit: Fit, counts: Floats, candidates: Sequence[str],
    columns: dict[str, Callable[[Response], Floats]], response: Response,
) -> dict[str, float]:
    """By how much twice the log likelihood would rise with each candidate, about (score test)."""
    mean, slopes = fit.model.jacobian(fit.state)
    rows, _ = fit.model.prior(fit.state)
    root = np.sqrt(mean)
    usable = np.abs(slopes).sum(axis=0) > 0
    design, rows = slopes[:, usable] / root[:, None], rows[:, usable]
    inverse = inverse_of(design.T @ design + rows.T @ rows)
    residual = (counts - mean) / root
    shapes = np.array([columns[one](response) for one in candidates]) / root
    # What the fit could take over of each, as far as what is known beforehand lets it.
    across = shapes - (shapes @ design) @ inverse @ design.T
    size = np.maximum((across * shapes) @ _doubt(fit), 1e-12 * (shapes**2).sum(axis=1))
    along = across @ residual
    return {one: float(a * a / n) if a > 0 else 0.0
            for one, a, n in zip(candidates, along, size, strict=True)}


def _doubt(fit: Fit) -> Floats:
    """Variance of each channel over that of counting: no peak is as modelled to a per cent.

    Least of all at its feet, where some of what was recorded is missing charge; and such an error
    is the same over the width of a peak.
    """
    energy = fit.model.energy_keV
    together = _TOGETHER_KEV / float(energy[1] - energy[0])
    around = np.maximum(fit.mean, gaussian_filter1d(fit.mean, together, mode="nearest"))
    return np.asarray(1.0 + _MODEL_ERR**2 * together * around**2 / fit.mean)


def _doubt_of(fit: Fit, element: str) -> float:
    """By how much the doubt of the model lowers what speaks for an element."""
    shapes, mean = fit.model.parts(fit.state)
    own = fit.model.families_of(element)
    weight = (fit.state.counts[own] @ shapes[own]) ** 2 / mean
    whole = float(weight.sum())
    return float((weight * _doubt(fit)).sum()) / whole if whole > 0 else 1.0


def _clearness(fit: Fit, element: str) -> float:
    """About twice the log likelihood that an element adds, by its counts and their errors."""
    own = fit.model.families_of(element)
    return float(((fit.state.counts[own] / np.maximum(fit.err[own], 1e-9)) ** 2).sum()) \
        / _doubt_of(fit, element)


def _overdispersion(fit: Fit, counts: Floats) -> float:
    """By how much squared residuals are larger than counting makes them, whatever few peaks do."""
    squared = (counts - fit.mean) ** 2 / fit.mean
    filled = squared[fit.mean > _FILLED]
    return max(1.0, float(np.median(filled)) / _MEDIAN) if len(filled) > _ENOUGH else 1.0


class _Search:
    """Elements looked for one after another.

    Parameters
    ----------
    setting, counts
        Of the spectrum.
    asked
        Elements that stay.
    columns
        Shapes of the candidates.
    threshold
        Twice the log likelihood that an element has to add.
    """

    def __init__(
        self, setting: Setting, counts: Floats, asked: tuple[str, ...],
        columns: dict[str, Callable[[Response], Floats]], threshold: float,
    ) -> None:
        self.setting, self.counts, self.asked = setting, counts, asked
        self.columns, self.threshold = columns, threshold

    def elements(self, fit: Fit) -> list[str]:
        """Elements of a fit: those asked for, and what was found."""
        own = dict.fromkeys(family.element for family in fit.model.families)
        return [*self.asked, *(element for element in own if element not in self.asked)]

    def _fit(
        self, elements: list[str], response: Response, free: Free, like: Fit | None = None
    ) -> Fit:
        """Fit with some elements, beginning where a fit with nearly the same ones ended."""
        model = self.setting.model(elements, response)
        start = None if like is None else replace(
            model.taken_over(like.model, like.state), response=response)
        return fit_spectrum(model, self.counts, start, settled=ROUGHLY, free=free)

    def first(self) -> Fit:
        """Fit with what was asked for, from the shift of the axis that explains most."""
        if not self.asked:
            return self._fit([], self.setting.response, "areas")
        fits = [self._fit(list(self.asked), self.setting.response._replace(shift_eV=shift),
                          "areas") for shift in (0.0, -40.0, -20.0, 20.0, 40.0)]
        best = max(fits, key=lambda fit: fit.log_likelihood)
        return fit_spectrum(best.model, self.counts, best.state, settled=ROUGHLY, free="axis")

    def onwards(self, fit: Fit, free: Free) -> Fit:
        """Add the element that explains most, as long as one is significant."""
        while len(self.elements(fit)) < _MOST:
            own = self.elements(fit)
            stage(f"looking for elements, {len(own)} found", 0.2)
            left = [one for one in self.columns if one not in own]
            best, score = self._best(fit, left, fit.state.response)
            if score < self.threshold * _overdispersion(fit, self.counts):
                break
            response = fit.state.response
            if not own:
                best, response = self._with_its_shift(fit, left)
            fit = self._fit([*own, best], response, free, fit)
        return fit

    def _best(self, fit: Fit, candidates: list[str], response: Response) -> tuple[str, float]:
        if not candidates:
            return "", 0.0
        scores = _scores(fit, self.counts, candidates, self.columns, response)
        best = max(scores, key=lambda one: scores[one])
        return best, scores[best]

    def _with_its_shift(self, fit: Fit, candidates: list[str]) -> tuple[str, Response]:
        """The element and the shift of the axis that together explain most."""
        responses = [self.setting.response._replace(shift_eV=float(shift))
                     for shift in _SHIFTS_EV]
        found = [self._best(fit, candidates, response) for response in responses]
        best = max(range(len(found)), key=lambda i: found[i][1])
        return found[best][0], responses[best]

    def misfit(self, fit: Fit) -> float:
        """Mean squared residual, over that of counting."""
        return float(((self.counts - fit.mean) ** 2 / fit.mean).mean())

    def exchanged(self, fit: Fit) -> Fit:
        """Take for each element found the one of nearly the same lines that explains most."""
        for one in [one for one in self.elements(fit) if one not in self.asked]:
            own = self.elements(fit)
            others = [other for other in self._rivals(fit, one) if other not in own]
            # With the axis as it is first: what is far worse then is no better with another.
            rough = [self._fit([other if e == one else e for e in own], fit.state.response,
                               "areas", fit) for other in others]
            least = fit.log_likelihood - _AXIS_GAIN * self._counts_of(fit, one)
            fits = [fit_spectrum(self.setting.model(self.elements(each)), self.counts, each.state,
                                 settled=_LOOSELY)
                    for each in rough if each.log_likelihood > least]
            fit = max([fit, *fits], key=lambda each: each.log_likelihood)
        return fit

    def _counts_of(self, fit: Fit, element: str) -> float:
        shapes, _ = fit.model.parts(fit.state)
        own = fit.model.families_of(element)
        return float((fit.state.counts[own] @ shapes[own]).sum())

    def _rivals(self, fit: Fit, element: str) -> list[str]:
        """Candidates whose lines lie where an element's lines do."""
        response = fit.state.response
        own = self.columns[element](response)
        found = []
        for other, column in self.columns.items():
            shape = column(response)
            alike = float(own @ shape) / max(float(np.sqrt((own @ own) * (shape @ shape))), 1e-300)
            if other != element and alike > _ALIKE:
                found.append((alike, other))
        return [other for _, other in sorted(found, reverse=True)[:_RIVALS]]

    def back(self, fit: Fit) -> Fit:
        """Leave out again what is not significant beside what was found after it."""
        while True:
            found = [one for one in self.elements(fit) if one not in self.asked]
            if not found:
                return fit
            weakest = sorted(found, key=lambda one: _clearness(fit, one))[:_WEAKEST]
            gains = {one: refitted(fit, self.counts, one, "areas") / _doubt_of(fit, one)
                     for one in weakest}
            least = min(gains, key=lambda one: gains[one])
            if gains[least] > self.threshold * _overdispersion(fit, self.counts):
                return fit
            fit = self._fit([one for one in self.elements(fit) if one != least],
                            fit.state.response, "areas", fit)
