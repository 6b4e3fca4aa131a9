"""Mean gap where narrow gaps are only known to be narrow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_ndtr

from emtools.measure.chains.assemble import RESOLVED_SIGMAS
from emtools.population.spread import Quantity, Statistic, median_of, not_measurable, summed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.population.frames import Pooled

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_MIN_RESOLVED, _MIN_PART = 5, 0.1
_NEAR = 0.5  # scatters: how far one Newton step is trusted
_STEP = 1e-3  # of the numerical derivatives, in units of the scatter
_LEAST = 0.2  # of the variance of the errors: what is left of it where they look too large


@dataclass(frozen=True)
class Gaps:
    """Gaps of a normal population, some of them only known to lie below a threshold.

    Parameters
    ----------
    values, errors
        What was measured, with its 1 sigma.
    resolved
        Whether the value counts; otherwise only that it was below the threshold.
    thresholds
        Below which a gap is not resolved.
    """

    values: Floats
    errors: Floats
    resolved: NDArray[np.bool_]
    thresholds: Floats

    def only(self, own: NDArray[np.bool_]) -> Gaps:
        """Some of them."""
        return Gaps(self.values[own], self.errors[own], self.resolved[own], self.thresholds[own])

    def log_likelihood(self, centre: float, variance: float) -> Floats:
        """Of each gap: the measured ones by their density, the others by the part below."""
        total = np.sqrt(np.maximum(variance + self.errors**2, _LEAST * self.errors**2 + 1e-18))
        measured = np.where(self.resolved, self.values, self.thresholds)
        off = (measured - centre) / total
        density = -0.5 * off**2 - np.log(total)
        return np.asarray(np.where(self.resolved, density, log_ndtr(off)))

    def fit(self, scale: float, weights: Floats | float = 1.0) -> tuple[float, float]:
        """Maximum-likelihood mean and variance of the population, where each gap counts so often.

        The variance may come out below zero by as much as chance makes the errors of measurement
        look too large: cut off at zero, it would pull the mean with it.
        """
        known = self.values[self.resolved]
        least = (_LEAST - 1.0) * float(self.errors.min()) ** 2 / scale**2
        start = np.array([float(known.mean()) / scale, 1.0])

        def cost(parameters: Floats) -> float:
            each = self.log_likelihood(parameters[0] * scale, parameters[1] * scale**2)
            return -float((weights * each).sum())

        found = minimize(cost, start, method="L-BFGS-B", bounds=[(None, None), (least, 100.0)])
        return float(found.x[0]) * scale, float(found.x[1]) * scale**2

    def replicated(self, units: Ints, n_units: int) -> tuple[Statistic, Statistic]:
        """Mean and spread as statistics of the units: one Newton step from the fit of all gaps.

        Where that leads far from it, as of units that hardly resolve a gap, they are fitted anew.
        """
        scale = max(float(self.values[self.resolved].std()), float(np.median(self.errors)), 1e-6)
        centre, variance = self.fit(scale)
        step = _STEP * np.array([scale, scale**2])
        slopes, curves = self._derivatives(np.array([centre, variance]), step)
        slope = np.stack([summed(column, units, n_units) for column in slopes], axis=-1)
        curve = np.stack([summed(column, units, n_units) for column in curves], axis=-1)

        def moved(weights: Floats) -> Floats:
            first, second = (weights - 1.0) @ slope, (weights @ curve).reshape(-1, 2, 2)
            regular = (np.linalg.det(second) > 0) & (np.trace(second, axis1=1, axis2=2) < 0)
            found = np.full_like(first, np.nan)
            found[regular] = np.array([centre, variance]) - np.linalg.solve(
                second[regular], first[regular][..., None])[..., 0]
            near = (np.abs(found[:, 0] - centre) < _NEAR * scale) & \
                (np.abs(found[:, 1] - variance) < _NEAR * scale**2)
            for i in np.flatnonzero(~near):
                own = weights[i][units]
                # Too few that are resolved have no maximum: such a replicate does not count.
                found[i] = self.fit(scale, own) if _enough(self.resolved, own) else np.nan
            return found

        return (lambda weights: moved(weights)[:, 0],
                lambda weights: np.sqrt(np.maximum(moved(weights)[:, 1], 0.0)))

    def _derivatives(self, at: Floats, step: Floats) -> tuple[Floats, Floats]:
        """First and second derivatives of the log-likelihood of each gap, by differences."""
        def value(i: float, j: float) -> Floats:
            return self.log_likelihood(at[0] + i * step[0], at[1] + j * step[1])

        here, up, down, right, left = (value(0, 0), value(1, 0), value(-1, 0), value(0, 1),
                                       value(0, -1))
        mixed = 0.25 * (value(1, 1) - value(1, -1) - value(-1, 1) + value(-1, -1))
        mixed = mixed / (step[0] * step[1])
        slopes = np.stack([(up - down) / (2 * step[0]), (right - left) / (2 * step[1])])
        curves = np.stack([(up - 2 * here + down) / step[0] ** 2, mixed, mixed,
                           (right - 2 * here + left) / step[1] ** 2])
        return slopes, curves


def gap_quantity(pooled: Pooled) -> Quantity:
    """Return the mean gap, with gaps that are not resolved as left-censored.

    A gap is resolved if it is larger than three of its errors; the others are known to have been
    measured below that, which is what the likelihood of a normal population takes of them (Cohen,
    Technometrics 1 (1959) 217), each with its own error of measurement.
    """
    table = pooled.gaps
    errors = pooled.column("gaps", "gap_err_nm")
    values = pooled.column("gaps", "gap_nm")
    resolved = table["resolved"].to_numpy(dtype=bool) & np.isfinite(values)
    thresholds = np.where(np.isfinite(errors), RESOLVED_SIGMAS * errors,
                          pooled.column("gaps", "gap_limit_nm"))
    known = resolved | np.isfinite(thresholds)
    errors = np.where(np.isfinite(errors), errors, 0.0)
    if not _enough(resolved[known]):
        return not_measurable("gap", "nm", f"too few gaps are resolved, {int(resolved.sum())} "
                              f"of {int(known.sum())}", int(known.sum()))
    units = pooled.units("gaps")[known]
    gaps = Gaps(values[known], errors[known], resolved[known], thresholds[known])
    mean, spread = gaps.replicated(units, pooled.n_units)

    def of_group(mask: NDArray[np.bool_]) -> Statistic:
        own = mask[units]
        some = gaps.only(own)
        if not _enough(some.resolved):
            return lambda weights: np.full(len(weights), np.nan)
        return some.replicated(units[own], pooled.n_units)[0]

    missing = int((~gaps.resolved).sum())
    note = f"{missing} of {len(units)} not resolved, taken as upper limits" if missing else ""
    return Quantity("gap", "nm", len(units), np.unique(units), mean, median=_median(gaps, units),
                    spread=spread, image_means=False, of_group=of_group, note=note)


def _enough(resolved: NDArray[np.bool_], weights: Floats | None = None) -> bool:
    """Whether so many gaps are resolved that the fit does not rest on the tail of the errors."""
    counted = np.ones(len(resolved)) if weights is None else weights
    return bool(counted[resolved].sum() >= max(_MIN_RESOLVED, _MIN_PART * counted.sum()))


def _median(gaps: Gaps, units: Ints) -> Statistic | None:
    """Median, where it lies above all thresholds: the unresolved gaps are below it, wherever."""
    values = np.where(gaps.resolved, gaps.values, -np.inf)
    median = float(np.median(values))
    if not gaps.resolved.all() and median < float(gaps.thresholds[~gaps.resolved].max()):
        return None
    return median_of(values, np.ones(len(values)), units)
