"""Means, medians and spreads, and what they are uncertain by when whole images are drawn again."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

REPLICATES = 1000
ANY = (-np.inf, np.inf)
POSITIVE = (0.0, np.inf)
PART = (0.0, 1.0)


class Units(Protocol):
    """What is drawn again: images, or the parts of a single one."""

    @property
    def n_units(self) -> int:
        """How many."""

    @property
    def by_image(self) -> bool:
        """Whether they are images."""

    @property
    def parts(self) -> str:
        """What those of a single image are."""

    @property
    def scale_err(self) -> float:
        """Relative 1 sigma that all share."""


_TOO_FEW = 0.9  # part of the replicates that must have a value
# (replicates, units) weights -> one value for each replicate
Statistic = Callable[["Floats"], "Floats"]


class Interval(NamedTuple):
    """A value, its 1 sigma and its confidence interval."""

    value: float
    err: float
    low: float
    high: float


    def within(self, bounds: tuple[float, float]) -> Interval:
        """Return it with its ends where the quantity can lie: they still cover as often."""
        low, high = (min(max(end, bounds[0]), bounds[1]) for end in (self.low, self.high))
        return self._replace(low=low, high=high)


NOTHING = Interval(float("nan"), float("nan"), float("nan"), float("nan"))


def same(value: Floats) -> Floats:
    """Return the value: what is shown is what is estimated."""
    return value


@dataclass(frozen=True)
class Quantity:
    """One number of a population, as a function of the weights of its units.

    Parameters
    ----------
    name, unit
        As shown.
    n
        Number of objects that it rests on.
    units
        The units that hold any of them.
    statistic
        What is estimated and compared.
    shown
        Monotone function from what is estimated to what is shown.
    logarithmic
        Whether the interval is one of the logarithm (of a mean of positive numbers).
    median, spread
        Further statistics of the same objects.
    median_interval, mean_interval
        From weights and confidence, where median or mean have an interval of their own kind.
    power
        The power of nm in the unit: what the scale's uncertainty does to it.
    image_means
        Whether one image alone has a value.
    of_frame
        Whether it is an amount of the whole frame, to which each chain only adds.
    of_group
        For a statistic that holds near the estimate of all units: the same near that of some.
    compared, compared_unit
        Name and unit of `statistic`, where it is not what is shown.
    bounds
        Within which it must lie, whatever the interval says.
    p_value
        Of the null hypothesis that the note names.
    note
        What the reader must know.
    """

    name: str
    unit: str
    n: int
    units: Ints
    statistic: Statistic | None
    shown: Statistic = same
    logarithmic: bool = False
    median: Statistic | None = None
    spread: Statistic | None = None
    median_interval: Callable[[Floats, float], Interval] | None = None
    mean_interval: Callable[[Floats, float], Interval] | None = None
    power: int = 1
    image_means: bool = True
    of_frame: bool = False
    of_group: Callable[[NDArray[np.bool_]], Statistic] | None = None
    compared: str = ""
    compared_unit: str = ""
    bounds: tuple[float, float] = ANY
    p_value: float = float("nan")
    note: str = ""


def not_measurable(name: str, unit: str, reason: str, n: int = 0) -> Quantity:
    """Return a quantity without a value, with the reason."""
    return Quantity(name, unit, n, np.zeros(0, dtype=np.int64), None,
                    note=f"not measurable: {reason}")


def draws(pooled: Units, rng: np.random.Generator, replicates: int = REPLICATES) -> Floats:
    """Return bootstrap weights of the units, ``(replicates, units)``.

    Whole images are drawn with replacement (Davison & Hinkley 1997, section 3.8); within a single
    image the number of its chains is random too, so each counts a Poisson number of times.
    """
    if not pooled.by_image:
        return rng.poisson(1.0, (replicates, pooled.n_units)).astype(float)
    equal = np.full(pooled.n_units, 1.0 / pooled.n_units)
    return rng.multinomial(pooled.n_units, equal, replicates).astype(float)


def interval(
    value: float, replicates: Floats, n_units: int, confidence: float, logarithmic: bool = False
) -> Interval:
    """Return the interval of a statistic from its bootstrap replicates.

    Student's t on the standard deviation of the replicates, enlarged by sqrt(n / (n - 1)): the
    percentiles of a bootstrap of few images are too narrow (Hesterberg, Am. Stat. 69 (2015) 371).

    Parameters
    ----------
    value
        Of the sample itself.
    replicates
        Bootstrap values.
    n_units
        Number of units that they were drawn from.
    confidence
        Of the interval.
    logarithmic
        Whether the logarithm is taken to be the more normal one.
    """
    known = replicates[np.isfinite(replicates)]
    if not np.isfinite(value) or n_units < 2 or len(known) < _TOO_FEW * len(replicates):
        return Interval(value, *NOTHING[1:])
    # The bootstrap divides by n where the variance of a sample divides by n - 1.
    enlarged = np.sqrt(n_units / (n_units - 1.0))
    err = float(known.std()) * enlarged
    times = float(stats.t.ppf(0.5 + 0.5 * confidence, n_units - 1))
    if logarithmic and value > 0 and (known > 0).all():
        factor = float(np.exp(times * np.log(known).std() * enlarged))
        return Interval(value, err, value / factor, value * factor)
    return Interval(value, err, value - times * err, value + times * err)


def estimate(quantity: Quantity, weights: Floats, confidence: float) -> Interval:
    """Return the quantity as shown, with its interval."""
    if quantity.statistic is None:
        return NOTHING
    if quantity.mean_interval is not None:
        return quantity.mean_interval(weights, confidence)
    n_units = len(quantity.units)
    raw = interval(at_full(quantity.statistic, weights), quantity.statistic(weights), n_units,
                   confidence, quantity.logarithmic)
    if quantity.shown is same:
        return raw
    value, low, high, below, above = quantity.shown(np.array(
        [raw.value, raw.low, raw.high, raw.value - raw.err, raw.value + raw.err]))
    # 1 sigma is carried through the curve that is shown, not through its slope at one point.
    known = np.isfinite(above) and np.isfinite(below)
    err = 0.5 * abs(float(above - below)) if known else float("nan")
    low, high = (low, high) if not low > high else (high, low)
    return Interval(float(value), err, float(low), float(high))


def at_full(statistic: Statistic, weights: Floats) -> float:
    """Value of the sample itself: each unit once."""
    return float(statistic(np.ones((1, weights.shape[1])))[0])


def summed(values: Floats, units: Ints, n_units: int) -> Floats:
    """Sum of the values of each unit."""
    return np.bincount(units, weights=values, minlength=n_units).astype(float)


def ratio(upper: Floats, lower: Floats) -> Statistic:
    """Return the statistic sum(upper) / sum(lower) over units."""
    def statistic(weights: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((weights @ upper) / (weights @ lower))
    return statistic


def mean_of(values: Floats, counts: Floats, units: Ints, n_units: int) -> Statistic:
    """Return the weighted mean as a statistic of the units."""
    return ratio(summed(counts * values, units, n_units), summed(counts, units, n_units))


def median_of(values: Floats, counts: Floats, units: Ints) -> Statistic:
    """Return the weighted median as a statistic of the units."""
    order = np.argsort(values, kind="stable")
    values, counts, units = values[order], counts[order], units[order]

    def one(weights: Floats) -> float:
        cumulated = np.cumsum(counts * weights[units])
        if len(values) == 0 or not cumulated[-1] > 0:
            return float("nan")
        # The mean of the two middle values where the half falls between them.
        half = 0.5 * cumulated[-1]
        low = int(np.searchsorted(cumulated, half * (1.0 - 1e-12)))
        high = int(np.searchsorted(cumulated, half * (1.0 + 1e-12), side="right"))
        return 0.5 * float(values[low] + values[min(high, len(values) - 1)])

    return lambda weights: np.array([one(row) for row in weights])


def spread_of(
    values: Floats, errors: Floats, counts: Floats, units: Ints, n_units: int
) -> Statistic:
    """Return the spread of the population, 1 sigma, with the errors of measurement taken off.

    The scatter of what is measured is that of the population and that of the measurement, in
    quadrature; where the errors alone explain the scatter, the spread is 0.
    """
    errors = np.where(np.isfinite(errors), errors, 0.0)
    of_unit = [summed(counts * power, units, n_units)
               for power in (np.ones_like(values), values, values**2, errors**2)]
    square = summed(counts**2, units, n_units)

    def statistic(weights: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            total, first, second, noise = (weights @ sums for sums in of_unit)
            effective = total**2 / (weights @ square)
            variance = (second / total - (first / total) ** 2) * effective / (effective - 1.0)
            return np.asarray(np.sqrt(np.maximum(variance - noise / total, 0.0)))

    return statistic


def deviation(statistic: Statistic, weights: Floats, n_units: int) -> float:
    """1 sigma of a statistic from its bootstrap replicates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        value = float(np.nanstd(statistic(weights)))
    return value * float(np.sqrt(n_units / (n_units - 1.0))) if n_units > 1 else float("nan")
