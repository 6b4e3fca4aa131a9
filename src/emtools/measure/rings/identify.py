"""Which phases, alone or mixed, the rings of a pattern belong to.

Each candidate, and the answer that it is none of them, has a likelihood: of the places of the
measured rings, of strong rings that should be there and are not, and, with little weight (texture
and dynamical diffraction change them), of the intensities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls
from scipy.special import logsumexp

from emtools.crystal import hkl_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emtools.crystal import Phase

    Floats = NDArray[np.float64]

AMBIGUOUS = 0.05  # of the probability
_PLACE_MODEL = 0.0015  # relative, what rings of small crystals are off by besides, 1 sigma
_MATCH = 4.0  # sigma
_STRAY = 0.05  # of measured rings may belong to nothing
_MISSED = 0.1  # probability that a strong ring is missing all the same
_STRONG = 0.15  # of the strongest ring of the phase: should be seen
_WEAK = 0.004  # of the strongest ring of the phase: not looked for
_INTENSITY_LOG = 0.7  # 1 sigma of a ring's intensity, logarithmic
_JOINED = 0.7  # of a ring's width, within which families are one ring
_FRACTION_MODEL = 0.3  # relative, of kinematic intensities
_SECOND = 6.0  # by which a second phase must raise the logarithm of the likelihood
_FREE_SCALE = math.log(40.0)  # of the likelihood, that a scale that is free costs
_NEEDED = 1.5  # sigma of its part of the volume, for a phase of a mixture
_FEWEST_FREE = 3  # rings that identify a phase without a scale


@dataclass(frozen=True)
class Seen:
    """The rings that are to be explained.

    Parameters
    ----------
    k, k_err
        ``(n,)`` in 1/nm, or in px where no scale is known.
    fwhm
        ``(n,)`` in the same unit.
    area, area_err
        ``(n,)`` under the azimuthal mean.
    scale_err
        Relative, of the scale; infinite where none is known.
    k_range
        From where to where rings would have been seen.
    """

    k: Floats
    k_err: Floats
    fwhm: Floats
    area: Floats
    area_err: Floats
    scale_err: float
    k_range: tuple[float, float]


@dataclass(frozen=True)
class Expected:
    """Rings of a phase, families that cannot be told apart joined.

    Parameters
    ----------
    k, intensity
        ``(n,)``: wave numbers, intensities of the azimuthal mean for a unit volume.
    hkl
        Families, joined with `` + ``.
    """

    k: Floats
    intensity: Floats
    hkl: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """One or two phases as an explanation.

    Parameters
    ----------
    phases
        The phases.
    log_likelihood
        Relative to rings anywhere.
    scale
        Reference over measured wave number.
    scale_err
        1 sigma, statistical.
    owner, line
        ``(n,)``: which of the phases, and which of its rings, each measured ring is; -1: none.
    volumes, volumes_err
        Parts of the volume.
    """

    phases: tuple[Phase, ...]
    expected: tuple[Expected, ...]
    log_likelihood: float
    scale: float
    scale_err: float
    owner: NDArray[np.int64]
    line: NDArray[np.int64]
    volumes: Floats
    volumes_err: Floats

    @property
    def label(self) -> str:
        """Names of the phases."""
        return " + ".join(phase.name for phase in self.phases)


@dataclass(frozen=True)
class Verdict:
    """The best explanation, if any is better than none, and the next one.

    Parameters
    ----------
    best, runner_up
        None where nothing is better than rings anywhere, or there is no other.
    score, runner_up_score
        Their probabilities.
    """

    best: Candidate | None
    runner_up: Candidate | None
    score: float
    runner_up_score: float

    @property
    def ambiguous(self) -> bool:
        """Whether the runner-up is nearly as likely."""
        return self.best is not None and self.runner_up_score > AMBIGUOUS


def identify(seen: Seen, phases: Sequence[Phase]) -> Verdict:
    """Compare the rings with candidate phases and with mixtures of two of them.

    Parameters
    ----------
    seen
        Rings.
    phases
        Candidates.

    References
    ----------
    Intensities m |F|^2 d^2 of the azimuthal mean: Vainshtein, Structure Analysis by Electron
    Diffraction (Pergamon, 1964).
    """
    if not len(seen.k) or not phases:
        return Verdict(None, None, 0.0, 0.0)
    singles = [one for phase in phases if (one := _best_scale(seen, (phase,))) is not None]
    singles.sort(key=lambda one: -one.log_likelihood)
    pairs = [pair for a, b in combinations([one.phases[0] for one in singles[:4]], 2)
             if (pair := _mixture(seen, a, b, singles)) is not None]
    ranked = sorted([*singles, *pairs], key=lambda one: -one.log_likelihood)
    if not math.isfinite(seen.scale_err) and len(seen.k) < _FEWEST_FREE:
        return Verdict(None, ranked[0] if ranked else None, 0.0, 0.0)
    # Unknown is as likely as rings anywhere.
    weights = np.array([one.log_likelihood for one in ranked] + [0.0])
    scores = np.exp(weights - logsumexp(weights))
    good = [(one, float(score)) for one, score in zip(ranked, scores[:-1], strict=True)]
    if not good or good[0][0].log_likelihood < math.log(1 / AMBIGUOUS):
        first = good[0] if good else (None, 0.0)
        return Verdict(None, first[0], float(scores[-1]), first[1])
    best, score = good[0]
    # A mixture that holds the best phase is no rival of it, nor one of its parts of a mixture.
    rivals = [(one, s) for one, s in good[1:]
              if not {p.name for p in one.phases} & {p.name for p in best.phases}]
    rivals += [(one, s) for one, s in good[1:] if len(one.phases) == len(best.phases)
               and one not in [r for r, _ in rivals]]
    rival = max(rivals, key=lambda pair: pair[1], default=(None, 0.0))
    return Verdict(best, rival[0], score, rival[1])


def expected_rings(phase: Phase, k_max: float, k_min: float, width: float) -> Expected:
    """Return the rings of a powder, those closer than part of their width joined.

    Parameters
    ----------
    phase
        Phase.
    k_max, k_min
        Range of wave numbers in 1/nm.
    width
        FWHM of the rings in 1/nm.
    """
    families, intensity = phase.powder_rings(k_max)
    k = np.array([1.0 / family.d_nm for family in families])
    inside = k > k_min
    families = [family for family, one in zip(families, inside, strict=True) if one]
    k, intensity = k[inside], intensity[inside]
    if not families:
        return Expected(np.empty(0), np.empty(0), ())
    order = np.argsort(k)
    groups: list[list[int]] = []
    for i in order[intensity[order] > _WEAK * intensity.max()].tolist():
        if groups and k[i] - k[groups[-1][-1]] < max(_JOINED * width, 1e-6 * k[i]):
            groups[-1].append(i)
        else:
            groups.append([i])
    return Expected(
        np.array([np.average(k[group], weights=intensity[group]) for group in groups]),
        np.array([intensity[group].sum() for group in groups]),
        tuple(" + ".join(hkl_text(families[i].hkl) for i in sorted(
            group, key=lambda i: -intensity[i])[:3]) for group in groups))


def _best_scale(seen: Seen, phases: tuple[Phase, ...]) -> Candidate | None:
    """The candidate at the scale that fits it best."""
    free = not math.isfinite(seen.scale_err)
    width = float(np.median(seen.fwhm))
    if free:
        # Only ratios are known: the strongest lines of the phase are tried on the strongest rings.
        first = expected_rings(phases[0], 12.0, 0.3, 0.0)
        strong = first.k[np.argsort(-first.intensity)[:6]]
        starts = {float(a / b) for a in strong for b in seen.k[np.argsort(-seen.area)[:4]]}
    else:
        reach = min(3.0 * seen.scale_err, 0.3)
        wide = tuple(expected_rings(phase, seen.k_range[1] * 1.1, seen.k_range[0] * 0.9, width)
                     for phase in phases)
        starts = {1.0} | {float(a / b) for one in wide for a in one.k for b in seen.k
                          if abs(a / b - 1.0) < reach}
    scored = [one for start in starts
              if (one := _at_scale(seen, phases, start, width)) is not None]
    return max(scored, key=lambda one: one.log_likelihood, default=None)


def _at_scale(
    seen: Seen, phases: tuple[Phase, ...], start: float, width: float
) -> Candidate | None:
    expected = tuple(expected_rings(phase, seen.k_range[1] * start, seen.k_range[0] * start,
                                    width * start) for phase in phases)
    if not all(len(one.k) for one in expected):
        return None
    scale, err = start, math.inf
    for _ in range(3):
        owner, line = _matched(seen, expected, scale)
        known = owner >= 0
        if not known.any():
            return None
        reference = np.array([expected[o].k[i] for o, i in zip(owner[known], line[known],
                                                               strict=True)])
        sigma = _sigma(seen)[known] / seen.k[known]
        weight = sigma**-2
        prior = 0.0 if not math.isfinite(seen.scale_err) else seen.scale_err**-2
        log_scale = float(weight @ np.log(reference / seen.k[known])) / (weight.sum() + prior)
        scale, err = math.exp(log_scale), float((weight.sum() + prior) ** -0.5)
    owner, line = _matched(seen, expected, scale)
    volumes, volumes_err, predicted = _volumes(seen, expected, owner, line)
    likelihood = _log_likelihood(seen, expected, scale, owner, line, predicted)
    return Candidate(phases, expected, likelihood, scale, err, owner, line, volumes, volumes_err)


def _mixture(seen: Seen, a: Phase, b: Phase, singles: list[Candidate]) -> Candidate | None:
    """Both phases together, if that is clearly better than each alone and both are needed."""
    pair = _best_scale(seen, (a, b))
    alone = max(one.log_likelihood for one in singles)
    if pair is None or pair.log_likelihood < alone + _SECOND:
        return None
    needed = (pair.volumes > _NEEDED * pair.volumes_err).all() \
        and all((pair.owner == i).any() for i in (0, 1))
    return pair if needed else None


def _sigma(seen: Seen) -> Floats:
    return np.hypot(seen.k_err, _PLACE_MODEL * seen.k)


def _matched(
    seen: Seen, expected: tuple[Expected, ...], scale: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Owner and line of each ring: the most likely of those within reach."""
    owner = np.full(len(seen.k), -1)
    line = np.full(len(seen.k), -1)
    sigma = _sigma(seen)
    best = np.full(len(seen.k), -np.inf)
    for o, one in enumerate(expected):
        off = (scale * seen.k[:, None] - one.k) / (scale * sigma[:, None])
        weight = np.log(one.intensity / one.intensity.max()) / 4.0
        likely = np.where(np.abs(off) < _MATCH, -0.5 * off**2 + weight, -np.inf)
        i = likely.argmax(axis=1)
        value = likely.max(axis=1)
        better = value > best
        owner[better], line[better], best[better] = o, i[better], value[better]
    return owner, line


def _volumes(
    seen: Seen, expected: tuple[Expected, ...], owner: NDArray[np.int64], line: NDArray[np.int64]
) -> tuple[Floats, Floats, Floats]:
    """Parts of the volume with errors, and the predicted area of each expected ring (joined)."""
    design = np.zeros((len(seen.k), len(expected)))
    for row, (o, i) in enumerate(zip(owner.tolist(), line.tolist(), strict=True)):
        if o >= 0:
            design[row, o] = expected[o].intensity[i]
            for other, one in enumerate(expected):
                near = np.abs(one.k - expected[o].k[i]) < _JOINED * seen.fwhm[row]
                if other != o and near.any():
                    design[row, other] = one.intensity[near].sum()
    known = owner >= 0
    sigma = np.hypot(seen.area_err, _FRACTION_MODEL * np.abs(seen.area))[known] + 1e-300
    weighted = design[known] / sigma[:, None]
    size = np.maximum(np.linalg.norm(weighted, axis=0), 1e-300)
    amounts = nnls(weighted / size, seen.area[known] / sigma)[0] / size
    inverse = np.linalg.pinv(weighted.T @ weighted)
    total = max(amounts.sum(), 1e-300)
    # d(fraction_i) / d(amount_j) = (delta_ij - fraction_i) / total
    turn = (np.eye(len(amounts)) - (amounts / total)[:, None]) / total
    err = np.sqrt(np.maximum(np.diagonal(turn @ inverse @ turn.T), 0.0))
    predicted = np.concatenate([amount * one.intensity
                                for amount, one in zip(amounts, expected, strict=True)])
    return amounts / total, err, predicted


def _log_likelihood(
    seen: Seen, expected: tuple[Expected, ...], scale: float, owner: NDArray[np.int64],
    line: NDArray[np.int64], predicted: Floats,
) -> float:
    """Logarithm of the likelihood, less that of rings anywhere."""
    low, high = seen.k_range
    span = high - low
    sigma = _sigma(seen)
    k = np.concatenate([one.k for one in expected]) / scale
    first = np.cumsum([0] + [len(one.k) for one in expected])
    # The chance that a ring that is seen is this one grows with its intensity, but slowly.
    share = np.sqrt(predicted / max(predicted.max(), 1e-300)) + 1e-3
    inside = (k > low) & (k < high)
    share = np.where(inside, share, 0.0) / max(share[inside].sum(), 1e-300)
    off = (seen.k[:, None] - k) / sigma[:, None]
    density = (share * np.exp(-0.5 * off**2) / (math.sqrt(2 * math.pi) * sigma[:, None])).sum(1)
    places = np.log((1 - _STRAY) * density * span + _STRAY)
    total = float((places * _weights(seen)).sum())
    found = np.zeros(len(k), dtype=bool)
    for i in range(len(k)):
        found[i] = bool((np.abs(seen.k - k[i]) < np.maximum(_MATCH * sigma, seen.fwhm)).any())
    limit = max(_STRONG * predicted.max(), 5.0 * float(np.median(seen.area_err)))
    total += math.log(_MISSED) * float(np.count_nonzero(inside & ~found & (predicted > limit)))
    known = owner >= 0
    at = first[owner[known]] + line[known]
    ratio = np.log(np.maximum(seen.area[known], 1e-300) / np.maximum(predicted[at], 1e-300))
    wide = 2.0
    gain = 0.5 * (ratio / wide) ** 2 - 0.5 * (ratio / _INTENSITY_LOG) ** 2 \
        + math.log(wide / _INTENSITY_LOG)
    total += float(np.clip(gain, -3.0, None).sum())
    if math.isfinite(seen.scale_err):
        total -= 0.5 * (math.log(scale) / seen.scale_err) ** 2
    else:
        # One ring fixes the scale: its place tells nothing.
        total -= float(places.max()) + _FREE_SCALE
    return total


def _weights(seen: Seen) -> Floats:
    """Faint rings may be anything: they count less."""
    strength = seen.area / max(seen.area.max(), 1e-300)
    return np.asarray(np.clip(strength / 0.05, 0.2, 1.0))
