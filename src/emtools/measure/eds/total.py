"""The summed spectrum: which elements it shows, and with which line each is quantified."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from emtools.measure.eds.fit import Fit, refitted
from emtools.measure.eds.identify import with_all_seen
from emtools.measure.eds.model import Tie
from emtools.measure.eds.quantify import Lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emtools.measure.eds.families import Family
    from emtools.measure.eds.identify import Setting
    from emtools.measure.eds.quantify import KFactor, KFactors

    Floats = NDArray[np.float64]

_CLEAR_MISFIT = 3.0  # sigma of chi square by which a model is off, not noise
_OVERLAP = 0.3  # correlation from which two elements cannot be told apart well


@dataclass(frozen=True)
class Total:
    """What the summed spectrum says.

    Parameters
    ----------
    fit
        Of all that is in it.
    elements
        Those that are reported.
    also
        Others that it shows.
    chosen
        Number of each reported element's quantified family, -1 where none is in range.
    factors
        k-factor of that line.
    p_values
        Probability of such a signal without the element.
    misfit
        ``(families,)`` mean squared residual under each, over that of counting; 1 if not clearly
        more.
    """

    fit: Fit
    elements: tuple[str, ...]
    also: tuple[str, ...]
    chosen: tuple[int, ...]
    factors: tuple[KFactor | None, ...]
    p_values: Floats
    misfit: Floats

    @property
    def families(self) -> tuple[Family, ...]:
        """All families of the fit."""
        return self.fit.model.families

    @property
    def counts(self) -> Floats:
        """Counts of the reported elements' lines; 0 where there is none."""
        return np.array([self.fit.counts[i] if i >= 0 else 0.0 for i in self.chosen])

    @property
    def lines(self) -> Lines:
        """Lines of the reported elements."""
        energies = [self.families[i].alpha.energy_keV if i >= 0 else 1.0 for i in self.chosen]
        return Lines(self.elements, np.array(energies), self.factors)

    def overlaps(self) -> list[str]:
        """Pairs of lines of different elements that the fit hardly tells apart, in words."""
        err = np.maximum(self.fit.err, 1e-30)
        correlation = self.fit.covariance / np.outer(err, err)
        found = []
        for i, one in enumerate(self.families):
            for j, other in enumerate(self.families[:i]):
                if one.element != other.element and abs(correlation[i, j]) > _OVERLAP:
                    found.append(f"{other.element} {other.alpha.name} and {one.element} "
                                 f"{one.alpha.name} ({correlation[i, j]:+.2f})")
        return found


def quantified(
    setting: Setting, counts: Floats, asked: Sequence[str], factors: KFactors, rate: float
) -> Total:
    """Fit a summed spectrum and choose the lines that are quantified.

    Parameters
    ----------
    setting
        Of the spectra.
    counts
        ``(c,)`` of the channels in use.
    asked
        Elements to be reported; if none, those that are found.
    factors
        k-factors.
    rate
        Accepted probability that an element is found that is not there.
    """
    fit, also = with_all_seen(setting, counts, asked, rate)
    softest = {family.element: family.alpha.energy_keV for family in fit.model.families[::-1]}
    elements = tuple(asked) or tuple(sorted(also, key=lambda element: softest[element]))
    misfit = _misfit(fit, counts)
    chosen = tuple(_line_of(element, fit, factors) for element in elements)
    p_values = np.array([_p_value(fit, counts, element, misfit) for element in elements])
    own = tuple(None if i < 0 else factors.of(fit.model.families[i]) for i in chosen)
    return Total(fit, elements, tuple(also) if asked else (), chosen, own, p_values, misfit)


def _line_of(element: str, fit: Fit, factors: KFactors) -> int:
    """Number of the family that gives an element best: of those with a given k-factor, if any."""
    own = fit.model.families_of(element)
    given = [i for i in own if getattr(factors.of(fit.model.families[i]), "source", "") == "given"]
    best, least = -1, np.inf
    for i in given or own:
        factor = factors.of(fit.model.families[i])
        counts = max(float(fit.counts[i]), 1e-9)
        spread = np.sqrt(fit.covariance[i, i] + max(fit.systematic[i, i], 0.0)) / counts
        relative = float(np.hypot(spread, 1.0 if factor is None else factor.relative_err))
        if relative < least:
            best, least = i, relative
    return best


def _misfit(fit: Fit, counts: Floats) -> Floats:
    shapes, mean = fit.model.parts(fit.state)
    weights = shapes**2 / mean
    share = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    squared = share @ ((counts - mean) ** 2 / mean)
    spread = np.sqrt((share**2 * (2.0 + 1.0 / mean)).sum(axis=1))
    return np.where(squared > 1.0 + _CLEAR_MISFIT * spread, squared, 1.0)


def _p_value(fit: Fit, counts: Floats, element: str, misfit: Floats) -> float:
    """Probability that the likelihood gains so much by an element that is not there.

    Counts cannot be negative, so that half of the time nothing is gained by a family (Chernoff,
    Ann. Math. Stat. 25 (1954) 573).
    """
    own = fit.model.families_of(element)
    if not own:
        return 1.0
    clearest = max(own, key=lambda i: float(fit.counts[i]) / max(float(fit.err[i]), 1e-9))
    gain = max(refitted(fit, counts, element), 0.0) / float(misfit[clearest])
    n = len(own)
    if gain <= 0:
        return 1.0
    return float(sum(comb(n, k) * 0.5**n * stats.chi2.sf(gain, k) for k in range(1, n + 1)))


def ties_of(families: Sequence[Family], factors: KFactors) -> list[Tie]:
    """What k-factors say of the shells of one element: the harder line stands for the softer."""
    found = []
    for i, soft in enumerate(families):
        for j, hard in enumerate(families):
            if soft.element == hard.element and soft.shell > hard.shell:
                tie = factors.tie(soft, hard)
                if tie is not None:
                    found.append(Tie(i, j, *tie))
    return found
