"""Counts of lines in many spectra with the shapes of all parts as fitted to their sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from emtools.measure.eds.fit import bounded_step, inverse_of
from emtools.process.decomposition import (
    through_non_negative_components,
    through_principal_components,
)
from emtools.units import FWHM_PER_SIGMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emtools.measure.eds.fit import Fit
    from emtools.process.spectra import Spectra

    Floats = NDArray[np.float64]

_ROUNDS = 60
_SETTLED = 1e-3  # of the log likelihood
_SEED = 1.0  # count, spread as in the sum: what the variance of an empty spectrum is of
_AS_IN_SUM = 0.3
_EMPTY = 1e-12


class Areas(NamedTuple):
    """Counts of the families in one spectrum.

    Parameters
    ----------
    counts, covariance
        ``(f,)`` unconstrained estimate, and its covariance by counting.
    """

    counts: Floats
    covariance: Floats


class Maps(NamedTuple):
    """Counts of some families in each pixel.

    Parameters
    ----------
    counts
        ``(y, x, n)`` unconstrained estimate: unbiased, negative where noise makes it so.
    products
        ``(y, x, n (n + 1) / 2)`` unbiased estimate of its covariance, the upper triangle by rows.
    windows
        ``(y, x, n)`` all that was recorded within one full width at half maximum of each alpha
        line: overlaps and continuum are in it.
    """

    counts: NDArray[np.float32]
    products: NDArray[np.float32]
    windows: NDArray[np.float32]

    @property
    def covariance(self) -> NDArray[np.float32]:
        """``(y, x, n, n)``."""
        n = self.counts.shape[-1]
        first, second = np.triu_indices(n)
        full = np.zeros((*self.counts.shape, n), dtype=np.float32)
        full[..., first, second] = full[..., second, first] = self.products
        return full

    @property
    def variance(self) -> NDArray[np.float32]:
        """``(y, x, n)``."""
        first, second = np.triu_indices(self.counts.shape[-1])
        return self.products[..., first == second]

    def only(self, chosen: NDArray[np.intp]) -> Maps:
        """Return the maps of some of them."""
        first, second = np.triu_indices(self.counts.shape[-1])
        keep = np.isin(first, chosen) & np.isin(second, chosen)
        return Maps(self.counts[..., chosen], self.products[..., keep], self.windows[..., chosen])

    def summed(self, side: int) -> Maps:
        """Sums over squares of pixels."""
        return Maps(*(binned(one, side) for one in self))


class Shapes:
    """What the spectra of an image are made of, as fitted to their sum.

    Parameters
    ----------
    fit
        Of the sum.
    """

    def __init__(self, fit: Fit) -> None:
        self.families, self.mean = fit.model.parts(fit.state)
        self.total = fit.state.continuum @ fit.model.continuum
        self._model, self._start = fit.model, fit.state
        self._all = np.vstack([self.families, fit.model.continuum])
        self._sizes = np.maximum(self._all.sum(axis=1), _EMPTY)

    def fit(self, counts: Floats) -> Areas:
        """Fit one spectrum ``(c,)`` by Poisson likelihood, without moving any shape."""
        share = max(float(counts.sum()), _SEED) / float(self.mean.sum())
        now = self._likeliest(counts, share)
        n, mean = len(self.families), np.maximum(now @ self._all, _EMPTY)
        # Weights must not follow single counts: part of them is as in the sum.
        weighing = (1.0 - _AS_IN_SUM) * mean + _AS_IN_SUM * share * self.mean
        free = np.concatenate([np.ones(n, dtype=bool), now[n:] > 0])
        design = self._all[free].T
        vectors = (design / weighing[:, None]) @ inverse_of(design.T @ (design / weighing[:, None]))
        estimate = now[free] + (counts - mean) @ vectors
        scatter = vectors.T @ (vectors * (mean + _SEED * self.mean / self.mean.sum())[:, None])
        return Areas(estimate[:n], scatter[:n, :n])

    def _likeliest(self, counts: Floats, share: float) -> Floats:
        """Factors of all shapes, none negative."""
        now = share * np.concatenate([np.maximum(self._start.counts, 0.0), self._start.continuum])
        now += 1e-3 * now.sum() / len(now)
        value = self._log_likelihood(now, counts)
        for _ in range(_ROUNDS):
            mean = np.maximum(now @ self._all, _EMPTY)
            root = np.sqrt(mean)
            step = bounded_step(self._all.T / root[:, None], (counts - mean) / root, -now)
            trials = [np.maximum(now + shrink * step, 0.0) for shrink in (1.0, 0.3, 0.05)]
            # Expectation and maximisation is slow and always upwards (Shepp & Vardi 1982).
            trials.append(now * (self._all @ (counts / mean)) / self._sizes)
            values = [self._log_likelihood(trial, counts) for trial in trials]
            best = int(np.argmax(values))
            gain, now, value = values[best] - value, trials[best], values[best]
            if gain < _SETTLED:
                break
        return now

    def _log_likelihood(self, factors: Floats, counts: Floats) -> float:
        mean = np.maximum(factors @ self._all, _EMPTY)
        return float((counts * np.log(mean) - mean).sum())

    def maps(
        self, spectra: Spectra, channels: slice, chosen: Sequence[int], components: int = 0,
        decomposition: Literal["pca", "nmf"] = "pca",
    ) -> Maps:
        """Fit all pixels at once.

        Weighted least squares with weights from the fitted sum is linear in the counts: a pixel's
        estimate is its spectrum times fixed vectors, and times their squares the estimate's
        variance.

        Parameters
        ----------
        spectra
            All of them.
        channels
            Those that the sum was fitted in.
        chosen
            Numbers of the families that are mapped.
        components, decomposition
            Of so many components the spectra are rebuilt first, and of which kind; 0: of none.
        """
        n = len(chosen)
        bend = self.total * np.linspace(-1.0, 1.0, len(self.total))
        design = np.vstack([self.families, self.total, bend]).T
        weighted = design / self.mean[:, None]
        vectors = np.zeros((len(spectra.energy_keV), design.shape[1]))
        vectors[channels] = weighted @ inverse_of(design.T @ weighted)
        mean = np.zeros(len(vectors))
        mean[channels] = self.mean / spectra.pixels
        own = vectors
        if components and decomposition == "pca":
            own = through_principal_components(spectra, components, vectors, mean)
        own = own[:, list(chosen)]
        first, second = np.triu_indices(n)
        windows = self._windows(spectra.energy_keV, chosen)
        found = spectra.projected(np.hstack([own, own[:, first] * own[:, second], windows]))
        counts, products, recorded = np.split(found, [n, n + len(first)], axis=-1)
        if components and decomposition == "nmf":
            counts = through_non_negative_components(spectra, components, vectors,
                                                     mean)[..., list(chosen)]
        return Maps(counts, products, recorded)

    def _windows(self, energy_keV: Floats, chosen: Sequence[int]) -> Floats:
        """Which channels ``(c, n)`` lie within a full width at half maximum of alpha lines."""
        alphas = np.array([self._model.families[i].alpha.energy_keV for i in chosen])
        response = self._start.response
        width = FWHM_PER_SIGMA * response.sigma(alphas)
        apart = np.abs(energy_keV[:, None] - response.recorded(alphas))
        return np.asarray(apart <= width, dtype=np.float64)


def binned(values: NDArray[Any], side: int) -> NDArray[Any]:
    """Sums over squares of pixels, ``(y, x, ...)``, without incomplete ones at the end.

    Masked pixels (NaN) count nothing.
    """
    rows, columns = (n // side for n in values.shape[:2])
    cut = values[:rows * side, :columns * side]
    squares = cut.reshape(rows, side, columns, side, *values.shape[2:])
    return np.asarray(np.nansum(squares, axis=(1, 3), dtype=values.dtype))
