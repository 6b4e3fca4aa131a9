"""Lengths of chains of which many leave the frame.

A frame shows a long chain more often than a short one, and rarely all of it.  But each chain has
two ends, and a true end is seen with the same probability whatever the length.  So each true end is
one observation of weight 1/2: followed to the other end, or to the border, where it is censored
(Laslett, Biometrika 69 (1982) 153; Miles in Harding & Kendall, Stochastic Geometry, Wiley (1974)
228; Gill, Lectures on survival analysis, Lecture Notes in Mathematics 1581 (1994) 115).  The border
that a chain meets on its way from its end does not depend on how long it is, so the product-limit
estimate holds (Kaplan & Meier, J. Am. Stat. Assoc. 53 (1958) 457).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from emtools.population.frames import as_frames, pool
from emtools.population.spread import (
    Interval,
    Quantity,
    Statistic,
    draws,
    interval,
    not_measurable,
)
from emtools.population.tables import SURVIVAL, checked_confidence

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray

    from emtools.population.frames import Frame, Pooled

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

MIN_AT_RISK = 5.0  # chains still followed: with fewer the curve is not shown
_MIN_OBSERVED = 5.0
_FEW_ENDED = 10


@dataclass(frozen=True)
class Survival:
    """The product-limit estimate as a function of the weights of units.

    Parameters
    ----------
    times
        Where chains ended, rising.
    ended, followed
        ``(units, times)``: how many ended there, and how many were followed up to there.
    reach
        Up to where enough chains are followed.
    units
        Those with any observation.
    n, n_ended
        Number of chains observed from a true end, and of those that ended within the reach.
    """

    times: Floats
    ended: Floats
    followed: Floats
    reach: float
    units: Ints
    n: int
    n_ended: int

    @classmethod
    def of(
        cls, times: Floats, whole: NDArray[np.bool_], counts: Floats, units: Ints,
        n_units: int, reach: float | None = None,
    ) -> Survival:
        """Return the estimate from observed times, whether they are the end, and their weight."""
        known = np.isfinite(times) & (counts > 0)
        times, whole, counts, units = times[known], whole[known], counts[known], units[known]
        # Fixed by the sample itself, so that all replicates go equally far.
        if reach is None:
            reach = _reach(times, whole, counts)
        over = whole & (times <= reach)
        at = np.unique(times[over])
        ended, followed = np.zeros((n_units, len(at))), np.zeros((n_units, len(at)))
        np.add.at(ended, (units[over], np.searchsorted(at, times[over])), counts[over])
        # Followed up to the k-th time: all that were not over before it.
        beyond = np.searchsorted(at, times, side="right")
        for unit in np.unique(units):
            own = units == unit
            passed = np.bincount(beyond[own], weights=counts[own], minlength=len(at) + 1)
            followed[unit] = passed.sum() - np.cumsum(passed)[:len(at)]
        return cls(at, ended, followed, reach, np.unique(units), int(known.sum()),
                   int(over.sum()))

    def curve(self, weights: Floats) -> Floats:
        """Part of the chains that are longer than each of the times, ``(replicates, times)``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            # A replicate in which nobody is followed any more shows no ends either.
            hazard = np.nan_to_num((weights @ self.ended) / (weights @ self.followed))
        return np.asarray(np.cumprod(1.0 - hazard, axis=1), dtype=np.float64)

    def restricted_mean(self, weights: Floats) -> Floats:
        """Mean of the length up to the reach: the area under the curve."""
        steps = np.diff(np.concatenate([[0.0], self.times, [self.reach]]))
        curve = np.hstack([np.ones((len(weights), 1)), self.curve(weights)])
        return np.asarray(curve @ steps)

    def spread(self, weights: Floats) -> Floats:
        """Standard deviation of the lengths; only where all chains end within the reach."""
        edges = np.concatenate([[0.0], self.times, [self.reach]])
        curve = np.hstack([np.ones((len(weights), 1)), self.curve(weights)])
        second = curve @ np.diff(edges**2)
        return np.asarray(np.sqrt(np.maximum(second - self.restricted_mean(weights) ** 2, 0.0)))

    def band(self, weights: Floats, confidence: float) -> tuple[Floats, Floats, Floats]:
        """Return the curve and its pointwise interval, of log(-log S) with Student's t."""
        curve = self.curve(np.ones((1, weights.shape[1])))[0]
        n = max(len(self.units), 2)
        err = self.curve(weights).std(axis=0) * np.sqrt(n / (n - 1.0))
        times = float(stats.t.ppf(0.5 + 0.5 * confidence, n - 1))
        inner = np.clip(curve, 1e-12, 1.0 - 1e-12)
        factor = np.exp(np.minimum(times * err / (inner * -np.log(inner)), 50.0))
        low, high = inner**factor, inner ** (1.0 / factor)
        # All have ended: as many as could still be missing by chance.
        few = 1.0 - (0.5 - 0.5 * confidence) ** (1.0 / np.maximum(self.followed.sum(axis=0), 1.0))
        return (curve, np.where(curve < 1e-9, 0.0, low),
                np.where(curve < 1e-9, np.maximum(high, few), high))

    def mean_interval(self, weights: Floats, confidence: float) -> Interval:
        """Return the restricted mean; where few chains end, by the Poisson limits of their number.

        The images that are drawn again do not show how many more could have ended (Garwood,
        Biometrika 28 (1936) 437).
        """
        value = float(self.restricted_mean(np.ones((1, weights.shape[1])))[0])
        found = interval(value, self.restricted_mean(weights), len(self.units), confidence, True)
        if self.n_ended >= _FEW_ENDED:
            return found
        tail = 0.5 - 0.5 * confidence
        least = float(stats.chi2.ppf(tail, 2 * self.n_ended)) / 2.0 if self.n_ended else 0.0
        most = float(stats.chi2.ppf(1.0 - tail, 2 * self.n_ended + 2)) / 2.0
        # What one chain that ends takes off the mean; if none does, one halfway to the reach.
        each = (self.reach - value) / self.n_ended if self.n_ended else 0.5 * self.reach / self.n
        err = each * np.sqrt(max(self.n_ended, 1))
        return Interval(value, max(err, found.err) if np.isfinite(found.err) else err,
                        max(self.reach - each * most, 0.0), self.reach - each * least)

    def median_interval(self, weights: Floats, confidence: float) -> Interval:
        """Median and the lengths at which its band passes one half (Brookmeyer & Crowley 1982)."""
        value, low, high = (self._passes_half(curve) for curve in self.band(weights, confidence))
        replicates = np.array([self._passes_half(curve) for curve in self.curve(weights)])
        known = np.isfinite(replicates)
        err = float(replicates.std()) if known.all() else float("nan")
        return Interval(value, err, low, np.inf if np.isnan(high) else high)

    def _passes_half(self, curve: Floats) -> float:
        below = np.flatnonzero(curve <= 0.5 + 1e-12)
        return float(self.times[below[0]]) if len(below) else float("nan")


def _reach(times: Floats, whole: NDArray[np.bool_], counts: Floats) -> float:
    """The longest time up to which enough chains are followed, or at which the last one ended."""
    order = np.argsort(times)
    at_risk = np.cumsum(counts[order][::-1])[::-1]
    enough = np.flatnonzero(at_risk >= MIN_AT_RISK)
    if len(enough) == 0:
        return 0.0
    # If nothing but whole chains is left, the rest of the curve is known.
    censored = np.flatnonzero(~whole[order])
    if len(censored) == 0 or censored[-1] <= enough[-1]:
        return float(times[order][-1])
    return float(times[order][enough[-1]])


def survival(pooled: Pooled, column: str = "followed_nm", reach: float | None = None) -> Survival:
    """Return the survival of the chains' lengths (or of another column that grows with them)."""
    chains = pooled.chains
    times = pooled.column("chains", column)
    whole = chains["ends"].to_numpy() == 2
    return Survival.of(times, whole, pooled.weight, pooled.units("chains"), pooled.n_units, reach)


_CENSORED = {  # name: column, unit, power of nm
    "length": ("followed_nm", "nm", 1),
    "aspect ratio": ("followed_ratio", "", 0),
    "dots per chain": ("followed_dots", "", 0),
}


def length_quantities(pooled: Pooled, reach: dict[str, float] | None = None) -> list[Quantity]:
    """Return length, aspect ratio and number of dots of the chains."""
    return [_censored(pooled, name, (reach or {}).get(name)) for name in _CENSORED]


def reaches(pooled: Pooled) -> dict[str, float]:
    """How far each of these can be followed in a population."""
    return {name: survival(pooled, column).reach for name, (column, _, _) in _CENSORED.items()}


def _censored(pooled: Pooled, name: str, reach: float | None) -> Quantity:
    column, unit, power = _CENSORED[name]
    curve = survival(pooled, column, reach)
    if curve.n < _MIN_OBSERVED or not curve.reach > 0:
        reason = "too few ends of chains lie in the frames"
        if name == "dots per chain" and not (pooled.column("chains", "n_dots") > 0).any():
            reason = "dots are not resolved"
        return not_measurable(name, unit, reason, curve.n)
    left = float(np.min(curve.curve(np.ones((1, pooled.n_units))), initial=1.0))
    said = f"{curve.reach:.4g}{' ' if unit else ''}{unit}"
    complete = left < 1e-9
    note = "" if complete else \
        f"mean up to {said}; {100 * left:.0f} % are longer, not measurable beyond"
    if not complete and left > 0.5:
        note += "; median beyond"
    spread: Statistic | None = curve.spread if complete else None
    return Quantity(name, unit, curve.n, curve.units, curve.restricted_mean, logarithmic=True,
                    spread=spread, median_interval=curve.median_interval,
                    mean_interval=curve.mean_interval, power=power,
                    image_means=False, note=note)


def length_distribution(
    frames: Iterable[Frame] | Frame, *, confidence: float = 0.95,
    rng: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Distribution of the lengths of chains, those that leave the frame as censored.

    Parameters
    ----------
    frames
        The images.
    confidence
        Of the interval.
    rng
        For the bootstrap over images.

    Returns
    -------
    pandas.DataFrame
        ``length_nm, survival, low, high, at_risk``: the part of the chains that are longer, with
        its pointwise interval, and how many chains were followed that far (each of two ends counts
        one half).  It stops where fewer than five are: beyond, nothing is known.

    Raises
    ------
    ParameterError
        If there are no frames, or `confidence` is not in 0 ... 1.

    References
    ----------
    Laslett, Biometrika 69 (1982) 153; Gill, Lecture Notes in Mathematics 1581 (1994) 115;
    Miles in Harding & Kendall, Stochastic Geometry, Wiley (1974) 228; Kaplan & Meier, J. Am. Stat.
    Assoc. 53 (1958) 457.
    """
    checked_confidence(confidence)
    pooled = pool(as_frames(frames))
    curve = survival(pooled)
    if len(curve.times) == 0:
        return SURVIVAL.frame()
    weights = draws(pooled, np.random.default_rng(rng))
    part, low, high = curve.band(weights, confidence)
    at_risk = curve.followed.sum(axis=0)
    rows = [{"length_nm": 0.0, "survival": 1.0, "low": 1.0, "high": 1.0,
             "at_risk": float(pooled.weight.sum())}]
    rows += [dict(zip(("length_nm", "survival", "low", "high", "at_risk"), row, strict=True))
             for row in zip(*(column.tolist() for column in
                              (curve.times, part, low, high, at_risk)), strict=True)]
    return SURVIVAL.frame(rows)
