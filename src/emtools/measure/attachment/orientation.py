"""Lattices against the axes of their chains, and against lattices that are turned at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

MIN_GRAINS = 3  # fewer do not show how much the order parameter varies
_TURNS = 3600  # steps of 0.05 degrees of a lattice turned by 180
_BOOTSTRAPS = 2000


class Setting(NamedTuple):
    """Where a chain's axis lies among the equivalent normals of a grain.

    Parameters
    ----------
    nearest
        Which normal is nearest.
    angle_deg
        How far it is.
    fold_deg
        Angle between the two normals that the axis lies between (180 with a single one).
    """

    nearest: int
    angle_deg: float
    fold_deg: float


def setting(normals_deg: Floats, axis_deg: float) -> Setting:
    """Return where an axis lies among plane normals (directions of lines, in degrees)."""
    off = (normals_deg - axis_deg + 90.0) % 180.0 - 90.0
    nearest = int(np.argmin(np.abs(off)))
    above = float(np.min(off % 180.0))
    below = float(np.min(-off % 180.0))
    fold = above + below if above + below > 0 else _gap_above(off)
    return Setting(nearest, float(abs(off[nearest])), fold)


def _gap_above(off: Floats) -> float:
    """The gap after a normal that is hit exactly."""
    others = off[off > 0] if (off > 0).any() else off[off < 0] + 180.0
    return float(others.min()) if len(others) else 180.0


def order_when_turned(normals_deg: Floats, axis_deg: float) -> Floats:
    """Order parameter of a lattice turned in the plane by 0, 0.05 ... 179.95 degrees.

    cos(2 pi angle / fold): 1 with a normal along the axis, -1 with the axis halfway between two
    normals, 0 in the mean over all turns, whatever the angles between the normals.
    """
    normals = np.sort((normals_deg - axis_deg) % 180.0)
    axis = -np.arange(_TURNS) * (180.0 / _TURNS) % 180.0  # as the turned lattice sees it
    after = np.searchsorted(normals, axis, side="right")
    cyclic = np.concatenate([[normals[-1] - 180.0], normals, [normals[0] + 180.0]])
    below, above = cyclic[after], cyclic[after + 1]
    fold = np.maximum(above - below, 1e-9)
    return np.asarray(np.cos(2.0 * np.pi * (axis - below) / fold))


class Verdict(NamedTuple):
    """The test of a set of lattices on chains against random orientation.

    Parameters
    ----------
    order, low, high
        Order parameter and its 95 % interval.
    order_err
        1 sigma of it.
    p_value
        Probability of an order parameter at least as large if each chain's lattices were turned
        at random in the plane.
    n_grains, n_chains
        What it rests on.
    """

    order: float
    order_err: float
    low: float
    high: float
    p_value: float
    n_grains: int
    n_chains: int


def against_random(
    normals_deg: Sequence[Floats], axis_deg: Sequence[float], err_deg: Sequence[float],
    chain: Sequence[int], n_random: int, rng: np.random.Generator,
) -> Verdict:
    """Test whether plane normals lie along the axes of chains.

    The statistic is the mean order parameter of the chains.  Within a chain, an angle with an
    error sigma shows a order parameter that is smaller by a = exp(-(2 pi sigma / fold)^2 / 2); the
    chain's is the least-squares estimate sum(a o) / sum(a^2).  A chain counts n / (n + 1) with
    n = sum(a^2) grains, which is right where chains differ as much as the grains of one.  Under
    the null hypothesis all lattices of a chain are turned together by one uniform angle: the chain
    is the cluster, however well its grains agree with each other, and the errors lower the turned
    order parameters as they do the measured one.  One chain: all turns; more: `n_random` draws.

    Parameters
    ----------
    normals_deg
        For each grain, the directions of its equivalent normals.
    axis_deg
        Direction of its chain's axis there.
    err_deg
        1 sigma of the angle between them.
    chain
        Its chain.
    n_random
        Number of random turns.
    rng
        For the turns and the bootstrap.

    References
    ----------
    Permutation of whole clusters and p = (1 + k) / (1 + n): Davison & Hinkley, Bootstrap Methods
    and their Application, Cambridge (1997), chapter 4.  Order parameter as the mean cosine of the
    multiplied angle, and its attenuation by errors: Mardia & Jupp, Directional Statistics, Wiley
    (2000), sections 3.4 and 3.5.
    """
    turned = np.array([order_when_turned(normals, axis)
                       for normals, axis in zip(normals_deg, axis_deg, strict=True)])
    folds = np.array([180.0 / len(normals) for normals in normals_deg])
    kept = np.exp(-0.5 * (2.0 * np.pi * np.asarray(err_deg, dtype=float) / folds) ** 2)
    members = [np.flatnonzero(np.asarray(chain) == one) for one in np.unique(chain)]
    of_chain = np.array([kept[m] @ turned[m] / np.sum(kept[m] ** 2) for m in members])
    weights = _weights(np.array([np.sum(kept[m] ** 2) for m in members]))
    # Corrected for errors, an estimate can leave the range of what it estimates.
    order = float(np.clip(weights @ of_chain[:, 0] / weights.sum(), -1.0, 1.0))
    err, low, high = _interval(turned[:, 0], kept, members, rng)
    return Verdict(order, err, low, high, _p_value(of_chain, weights, n_random, rng),
                   len(turned), len(members))


def _weights(grains: Floats) -> Floats:
    return np.asarray(grains / (grains + 1.0))


def _p_value(of_chain: Floats, weights: Floats, n_random: int, rng: np.random.Generator) -> float:
    """Part of the random turns that give at least the measured statistic (turn 0)."""
    measured = float(weights @ of_chain[:, 0])
    tolerance = 1e-9 * float(weights.sum())  # equal ones count, whatever their last bit
    if len(of_chain) == 1:
        return float(np.mean(weights[0] * of_chain[0] >= measured - tolerance))
    total = np.zeros(n_random)
    for row, weight in zip(of_chain, weights, strict=True):
        total += weight * row[rng.integers(0, row.size, n_random)]
    return (1.0 + float(np.sum(total >= measured - tolerance))) / (1.0 + n_random)


def _interval(
    order: Floats, kept: Floats, members: list[Ints], rng: np.random.Generator
) -> tuple[float, float, float]:
    """1 sigma and 95 % interval: chains are drawn with replacement, then the grains of each."""
    sums = np.zeros((2, len(members), _BOOTSTRAPS))
    for number, own in enumerate(members):
        drawn = own[rng.integers(0, len(own), (_BOOTSTRAPS, len(own)))]
        sums[:, number] = (kept[drawn] * order[drawn]).sum(axis=1), (kept[drawn]**2).sum(axis=1)
    chosen = rng.integers(0, len(members), (len(members), _BOOTSTRAPS))
    # A chain that is drawn twice is not drawn with the same grains.
    which = rng.integers(0, _BOOTSTRAPS, (len(members), _BOOTSTRAPS))
    upper, lower = sums[:, chosen, which]
    weights = _weights(lower)
    means = np.sum(weights * upper / lower, axis=0) / weights.sum(axis=0)
    low, high = np.clip(np.quantile(means, (0.025, 0.975)), -1.0, 1.0).tolist()
    return float(means.std()), low, high
