"""Which elements a spectrum shows: one after another, each judged against all that overlap it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from emtools import xrays
from emtools.errors import ParameterError
from emtools.measure.eds.continuum import continuum_basis
from emtools.measure.eds.families import Response, families_of
from emtools.measure.eds.fit import Fit, Model, fit_spectrum, refitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from emtools.measure.eds.families import Family
    from emtools.measure.eds.fit import Tie

    Floats = NDArray[np.float64]

# Gases and what is not met outside reactors: no candidates unless asked for.
_UNLIKELY = {"H", "He", "Li", "Be", "Ne", "Ar", "Kr", "Xe", "Rn", "Tc", "Pm", "Po", "At", "Fr",
             "Ra", "Ac", "Pa", "Np", "Pu", "Am", "Cm", "Bk", "Cf"}
_MOST = 30  # elements
_SHIFTS_EV = np.arange(-60.0, 61.0, 10.0)  # of the axis, tried for the first element
_OPEN_RATIO = 0.6  # by how much computed ratios of shells may be off, relatively


class Setting(NamedTuple):
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

    def model(self, elements: Iterable[str], response: Response | None = None) -> Model:
        """Model of a spectrum with these elements."""
        families = self.families(elements)
        continuum = continuum_basis(self.energy_keV, self.beam_keV, self.detector)
        return Model(families, self.energy_keV, continuum, self.ties(families),
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
    found: list[str] = []
    fit = _first(setting, counts, asked)
    while len(found) < _MOST:
        scores = _scores(fit, counts, [c for c in candidates if c not in found], columns)
        if not scores or max(scores.values()) < threshold * _overdispersion(fit, counts):
            break
        best = max(scores, key=lambda one: scores[one])
        if not found and not asked:
            fit = _at_best_shift(setting, counts, columns, candidates, fit) or fit
            best = fit.model.families[0].element if fit.model.families else best
        found.append(best)
        fit = fit_spectrum(setting.model([*asked, *found], fit.state.response), counts)
    return _only_needed(setting, counts, asked, found, fit, threshold)


def _first(setting: Setting, counts: Floats, asked: Sequence[str]) -> Fit:
    """Fit with what was asked for, from the shift that explains most."""
    if not asked:
        return fit_spectrum(setting.model([]), counts)
    fits = [fit_spectrum(setting.model(asked, setting.response._replace(shift_eV=shift)), counts)
            for shift in (0.0, -40.0, 40.0)]
    return _with_own_prior(setting, counts, max(fits, key=lambda fit: fit.log_likelihood), asked)


def _with_own_prior(
    setting: Setting, counts: Floats, fit: Fit, elements: Sequence[str]
) -> Fit:
    return fit_spectrum(setting.model(elements), counts) \
        if abs(fit.state.response.shift_eV) < 1.0 else fit


def _tied(setting: Setting, element: str) -> Callable[[Response], Floats]:
    """Shape of all lines of an element, its shells in the computed ratio."""
    families = setting.families([element])
    strength = np.array([1.0 / _computed_k(element, f.alpha.name, setting.beam_keV,
                                           setting.detector) for f in families])
    model = Model(families, setting.energy_keV, np.zeros((0, len(setting.energy_keV))))

    def shape(response: Response) -> Floats:
        shapes = model.peaks.summed(model.peaks.shapes(response), np.zeros(len(model.peaks.open)))
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
    columns: dict[str, Callable[[Response], Floats]], response: Response | None = None,
) -> dict[str, float]:
    """By how much twice the log likelihood would rise with each candidate, about (score test)."""
    mean, slopes = fit.model.jacobian(fit.state)
    root = np.sqrt(mean)
    usable = np.abs(slopes).sum(axis=0) > 0
    basis, _ = np.linalg.qr(slopes[:, usable] / root[:, None])
    residual = (counts - mean) / root
    residual = residual - basis @ (basis.T @ residual)
    shapes = np.array([columns[one](response or fit.state.response) for one in candidates]) / root
    across = shapes - (shapes @ basis) @ basis.T
    size = np.maximum((across**2).sum(axis=1), 1e-12 * (shapes**2).sum(axis=1))
    along = across @ residual
    return {one: float(a * a / n) if a > 0 else 0.0
            for one, a, n in zip(candidates, along, size, strict=True)}


def _overdispersion(fit: Fit, counts: Floats) -> float:
    """By how much the squared residuals are larger than counting alone makes them."""
    return max(1.0, float(((counts - fit.mean) ** 2 / fit.mean).mean()))


def _at_best_shift(
    setting: Setting, counts: Floats, columns: dict[str, Callable[[Response], Floats]],
    candidates: Sequence[str], fit: Fit,
) -> Fit | None:
    """Fit of the element and the shift of the axis that together explain most."""
    best, response = 0.0, None
    element = ""
    for shift in _SHIFTS_EV:
        moved = setting.response._replace(shift_eV=float(shift))
        scores = _scores(fit, counts, candidates, columns, moved)
        top = max(scores, key=lambda one: scores[one])
        if scores[top] > best:
            best, element, response = scores[top], top, moved
    return fit_spectrum(setting.model([element], response), counts) if response else None


def _only_needed(
    setting: Setting, counts: Floats, asked: Sequence[str], found: list[str], fit: Fit,
    threshold: float,
) -> tuple[Fit, list[str]]:
    """Leave out again what is not significant beside what was found after it."""
    while found:
        gains = {one: refitted(fit, counts, one) for one in found}
        least = min(gains, key=lambda one: gains[one])
        if gains[least] > threshold * _overdispersion(fit, counts):
            break
        found = [one for one in found if one != least]
        fit = fit_spectrum(setting.model([*asked, *found], fit.state.response), counts)
    return fit, found
