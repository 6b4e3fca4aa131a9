"""Tests of two sets of images, and the size of what they differ by."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats
from scipy.optimize import brentq

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.population.spread import Statistic

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

_PERMUTED_FROM = 6  # units a group: with fewer there are too few permutations
_PERMUTATIONS = 4999
_PERMUTED_ESTIMATES = 999  # each takes as many estimates as there are images
# From so many units a group on, means of pseudo-values are normal, and exchanges take minutes.
_EXCHANGED_UP_TO = 60
_ROWS = 4000  # of weights at a time


class Difference(NamedTuple):
    """Two sets of numbers against each other."""

    difference: float
    low: float
    high: float
    p_value: float
    method: str


def two_samples(
    a: Floats, b: Floats, confidence: float, rng: np.random.Generator | None
) -> Difference:
    """Test whether two sets of independent numbers have the same mean.

    Welch's t (Biometrika 34 (1947) 28); from six a group on with the distribution of t over
    exchanges between the groups in place of Student's.
    """
    if min(len(a), len(b)) < 2:
        nan = float("nan")
        difference = float(b.mean() - a.mean()) if len(a) and len(b) else nan
        return Difference(difference, nan, nan, nan, "no test: too few")
    difference, err, freedom = _welch(a, b)
    if not err > 0:
        same = difference == 0.0
        return Difference(difference, difference, difference, 1.0 if same else float("nan"),
                    "no test: no scatter")
    t = abs(difference) / err
    if rng is None or min(len(a), len(b)) < _PERMUTED_FROM:
        times = float(stats.t.ppf(0.5 + 0.5 * confidence, freedom))
        p_value = 2.0 * float(stats.t.sf(t, freedom))
        return Difference(difference, difference - times * err, difference + times * err, p_value,
                    f"Welch's t, {freedom:.1f} degrees of freedom")
    exchanged = _exchanged(a, b, rng)
    return _against(difference, err, (exchanged, t), confidence)


def two_estimates(
    statistic: Statistic, members: tuple[Bools, Bools], values: tuple[Floats, Floats],
    confidence: float, rng: np.random.Generator,
) -> Difference:
    """Test whether two sets of units have the same value of a statistic that needs many of them.

    As `two_samples`, of jackknife pseudo-values (Tukey, Ann. Math. Stat. 29 (1958) 614; Andersen,
    Klein & Rosthoj, Biometrika 90 (2003) 15).  They depend on the whole group, so each exchange of
    units between the groups has pseudo-values of its own: the level is exact even where they are
    far from normal.  Of more than sixty units in both groups it is Welch's t alone: their means are
    normal then.

    Parameters
    ----------
    statistic
        Of weights of all units.
    members
        Which units belong to each group.
    values
        The pseudo-values of the units of each group.
    confidence
        Of the interval.
    rng
        For the exchanges, if not all are made.
    """
    a, b = values
    test = two_samples(a, b, confidence, None)
    if not _PERMUTED_FROM <= min(len(a), len(b)) <= _EXCHANGED_UP_TO:
        return test
    difference, err, _ = _welch(a, b)
    if not err > 0:
        return test
    either = members[0] | members[1]
    within = _masks(members[0][either], _PERMUTED_ESTIMATES, rng)
    first = np.zeros((len(within), len(either)), dtype=bool)
    first[:, either] = within
    parts = [_jackknifed(statistic, group) for group in (first, either & ~first)]
    with np.errstate(divide="ignore", invalid="ignore"):
        exchanged = np.abs(parts[1][0] - parts[0][0]) / np.sqrt(parts[0][1] + parts[1][1])
    # The given groups are one of the exchanges, and are ranked as all of them are: the values may
    # be of an estimate nearer to each group, which no exchange has had.
    own = int(np.flatnonzero((within == members[0][either]).all(axis=1))[0])
    if not np.isfinite(exchanged[own]):
        exchanged[own] = abs(difference) / err
    return _against(difference, err, (exchanged[np.isfinite(exchanged)], float(exchanged[own])),
                    confidence)


def pseudo_values(statistic: Statistic, mask: Bools) -> Floats:
    """Return the jackknife pseudo-values of the units of a group."""
    own = np.flatnonzero(mask)
    rows = np.vstack([mask.astype(float), np.tile(mask.astype(float), (len(own), 1))])
    rows[np.arange(1, len(own) + 1), own] = 0.0
    values = statistic(rows)
    return np.asarray(len(own) * values[0] - (len(own) - 1) * values[1:])


def _jackknifed(statistic: Statistic, masks: Bools) -> tuple[Floats, Floats]:
    """Mean of the pseudo-values of each group, and the variance of that mean."""
    n, n_units = int(masks[0].sum()), masks.shape[1]
    means, variances = [], []
    for part in np.array_split(masks, max(1, len(masks) * (n + 1) // _ROWS)):
        own = np.nonzero(part)[1].reshape(len(part), n)
        rows = np.repeat(part.astype(float)[:, None], n + 1, axis=1)
        np.put_along_axis(rows[:, 1:], own[:, :, None], 0.0, axis=2)
        values = statistic(rows.reshape(-1, n_units)).reshape(len(part), n + 1)
        found = n * values[:, :1] - (n - 1) * values[:, 1:]
        means.append(found.mean(axis=1))
        variances.append(found.var(axis=1, ddof=1) / n)
    return np.concatenate(means), np.concatenate(variances)


def _against(
    difference: float, err: float, ranked: tuple[Floats, float], confidence: float
) -> Difference:
    """Return the test of a difference by |t| of all exchanges and of the given groups."""
    exchanged, given = ranked
    times = float(np.quantile(exchanged, confidence, method="higher"))
    p_value = float(np.mean(exchanged >= given * (1.0 - 1e-9)))
    return Difference(difference, difference - times * err, difference + times * err, p_value,
                f"{len(exchanged)} exchanges of Welch's t")


def _welch(a: Floats, b: Floats) -> tuple[float, float, float]:
    """Difference of the means, its 1 sigma, and the degrees of freedom (Satterthwaite)."""
    parts = np.array([a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)])
    total = float(parts.sum())
    below = float((parts**2 / (np.array([len(a), len(b)]) - 1)).sum())
    freedom = total**2 / below if below > 0 else float("nan")
    return float(b.mean() - a.mean()), float(np.sqrt(total)), freedom


def _exchanged(a: Floats, b: Floats, rng: np.random.Generator) -> Floats:
    """|t| of all exchanges between the groups, or of many drawn at random; the given one first."""
    values, n = np.concatenate([a, b]), len(a)
    masks = _masks(np.arange(len(values)) < n, _PERMUTATIONS, rng)
    sizes = np.array([n, len(values) - n])
    sums = np.stack([masks @ values, ~masks @ values])
    means = sums / sizes[:, None]
    # About the common mean, so that large values of little scatter lose no digits.
    centred = values - values.mean()
    squares = np.stack([masks @ centred**2, ~masks @ centred**2])
    off = means - values.mean()
    variances = (squares - sizes[:, None] * off**2) / (sizes[:, None] - 1.0)
    err = np.sqrt(np.maximum((variances / sizes[:, None]).sum(axis=0), 1e-300))
    return np.asarray(np.abs(means[1] - means[0]) / err)


def _masks(given: Bools, limit: int, rng: np.random.Generator) -> Bools:
    """Which units are in the first group: all ways, or the given one and `limit` at random."""
    total, n = len(given), int(given.sum())
    if comb(total, n) <= limit:
        chosen = np.array(list(combinations(range(total), n)))
        masks = np.zeros((len(chosen), total), dtype=bool)
        np.put_along_axis(masks, chosen, True, axis=1)
        return masks
    # The given groups are one of the exchanges: p is never 0.
    order = np.argsort(rng.random((limit, total)), axis=1)
    return np.vstack([given, order < n])


def hedges(a: Floats, b: Floats, confidence: float) -> tuple[float, float, float]:
    """Return Hedges' g with its interval.

    The difference over the common standard deviation, with the correction for few numbers (Hedges,
    J. Educ. Stat. 6 (1981) 107); the interval is that of the non-central t distribution.
    """
    nan = float("nan")
    freedom = len(a) + len(b) - 2
    if min(len(a), len(b)) < 2:
        return nan, nan, nan
    pooled = np.sqrt(((len(a) - 1) * a.var(ddof=1) + (len(b) - 1) * b.var(ddof=1)) / freedom)
    if not pooled > 0:
        return nan, nan, nan
    correction = 1.0 - 3.0 / (4.0 * freedom - 1.0)
    d = float((b.mean() - a.mean()) / pooled)
    root = float(np.sqrt(len(a) * len(b) / (len(a) + len(b))))
    tail = 0.5 - 0.5 * confidence
    ends = [_noncentral(d * root, freedom, part) for part in (1.0 - tail, tail)]
    return correction * d, correction * ends[0] / root, correction * ends[1] / root


def _noncentral(t: float, freedom: int, part: float) -> float:
    """Non-centrality for which `part` of the distribution lies below t."""
    width = 10.0 + 3.0 * abs(t)
    try:
        return float(brentq(lambda off: float(stats.nct.cdf(t, freedom, off)) - part,
                            t - width, t + width, xtol=1e-4))
    except ValueError:  # the distribution underflows: far from zero, t is normal about it
        spread = np.sqrt(1.0 + t**2 / (2.0 * freedom))
        return t - float(stats.norm.ppf(part)) * float(spread)


def holm(p_values: Floats) -> Floats:
    """Return p values corrected for their number (Holm, Scand. J. Stat. 6 (1979) 65); NaN stays."""
    known = np.flatnonzero(np.isfinite(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    corrected = np.full(len(p_values), np.nan)
    times = len(order) - np.arange(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(times * p_values[order]), 1.0)
    return corrected
