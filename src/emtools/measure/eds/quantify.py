"""From counts of lines to atomic per cent: k-factors by name, absorption, limits, uncertainties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from emtools import xrays
from emtools.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from emtools.measure.eds.families import Family

    Floats = NDArray[np.float64]

_TIE_ERR = 0.2  # of the ratio of two shells, beside what is open in their k-factors
_ROUNDS = 12
_CM = 1e-7  # in a nanometre
_LIMIT = 0.95
_NO_COUNT = 3.0  # counts expected of which none at all is seen once in twenty times
_SURE = 2.0  # sigma of all atoms together: of fewer no shares are known


class KFactor(NamedTuple):
    """A weight-fraction k-factor of one line.

    Parameters
    ----------
    value
        Relative to another line, the same for all.
    relative_err
        1 sigma; 0 for given ones without it.
    source
        ``given`` or ``computed``.
    """

    value: float
    relative_err: float
    source: str


@dataclass(frozen=True)
class KFactors:
    """k-factors by name of element and line.

    Parameters
    ----------
    given
        ``{"S_Ka": 1.02}``; ``S_Ka_err`` is the relative 1 sigma of that one.
    beam_keV
        Energy of the electrons, None if unknown.
    detector
        For computed ones.
    name
        Of the parameter that they come from.
    """

    given: Mapping[str, float]
    beam_keV: float | None
    detector: xrays.Detector
    name: str = "k_factors"

    def __post_init__(self) -> None:
        for name, value in self.given.items():
            element, _, rest = name.partition("_")
            line = rest.removesuffix("_err")
            if line not in ("Ka", "La", "Ma"):
                raise ParameterError(f"{self.name}: {name}", "is no element and line",
                                     "give names such as S_Ka, Pb_Ma, In_La")
            xrays.line(element, line)
            low = 0.0 if rest.endswith("_err") else 1e-12
            if not low <= value < np.inf:
                raise ParameterError(f"{self.name}: {name}", f"must be positive, not {value}")

    def of(self, family: Family) -> KFactor | None:
        """k-factor of a family's alpha line; None if it is neither given nor can be computed."""
        name = f"{family.element}_{family.alpha.name}"
        if name in self.given:
            return KFactor(self.given[name], self.given.get(f"{name}_err", 0.0), "given")
        if self.beam_keV is None:
            return None
        try:
            value = xrays.k_factor(family.element, family.alpha.name, self.beam_keV, self.detector)
        except ParameterError:
            return None
        # Given ones are relative to whatever their maker took for 1.
        return KFactor(value * self._scale, xrays.K_ERR[family.shell], "computed")

    @property
    def _scale(self) -> float:
        """What brings computed k-factors to the given ones: their mean ratio where both are."""
        if self.beam_keV is None:
            return 1.0
        ratios = []
        for name, value in self.given.items():
            element, _, line = name.partition("_")
            if not line.endswith("_err"):
                try:
                    computed = xrays.k_factor(element, line, self.beam_keV, self.detector)
                except ParameterError:
                    continue
                ratios.append(np.log(value / computed))
        return float(np.exp(np.mean(ratios))) if ratios else 1.0

    def tie(self, weak: Family, strong: Family) -> tuple[float, float] | None:
        """Expected ratio of two families' counts, and its relative 1 sigma."""
        a, b = self.of(weak), self.of(strong)
        if a is None or b is None:
            return None
        both_given = a.source == b.source == "given"
        own = np.hypot(a.relative_err, b.relative_err)
        return b.value / a.value, float(max(own, 0.02) if both_given else np.hypot(own, _TIE_ERR))


class Specimen(NamedTuple):
    """What absorbs X-rays on their way out.

    Parameters
    ----------
    thickness_nm, density_g_cm3
        Of the specimen, along the beam.
    take_off_deg
        Of the detector above the plane of the specimen.
    """

    thickness_nm: float
    density_g_cm3: float
    take_off_deg: float

    def corrections(self, weights: Mapping[str, float], energies: Floats) -> Floats:
        """Factors by which lines were more intense inside.

        References
        ----------
        Goldstein, Costley, Lorimer & Reed, Scanning Electron Microscopy 1 (1977) 315.
        """
        path = self.thickness_nm * _CM / np.sin(np.radians(self.take_off_deg))
        depth = xrays.absorption(weights, energies) * self.density_g_cm3 * path
        return np.asarray(np.where(depth > 1e-9, depth / -np.expm1(-np.maximum(depth, 1e-9)), 1.0))


class Part(NamedTuple):
    """One element of a composition.

    Parameters
    ----------
    atomic, atomic_err, atomic_k_err, weight
        In per cent; NaN where it does not take part.
    limit
        95 % upper limit in atomic per cent; NaN where it is detected.
    share, share_err
        Signed estimate of the share, detected or not, to be compared and averaged.
    atoms_per_count
        What a count of its line stands for, absorption corrected; 0 where it is not normalised.
    """

    atomic: float
    atomic_err: float
    atomic_k_err: float
    weight: float
    limit: float
    share: float
    share_err: float
    atoms_per_count: float


class Amounts(NamedTuple):
    """Counts of the lines that are quantified.

    Parameters
    ----------
    counts
        ``(n,)``.
    covariance, systematic
        ``(n, n)`` by counting, and by all else.
    """

    counts: Floats
    covariance: Floats
    systematic: Floats


class Lines(NamedTuple):
    """Lines that are quantified, one of each element.

    Parameters
    ----------
    elements
        Symbols.
    energies
        ``(n,)`` in keV.
    factors
        k-factors.
    """

    elements: tuple[str, ...]
    energies: Floats
    factors: tuple[KFactor | None, ...]

    @property
    def atoms_per_count(self) -> Floats:
        """What a count stands for, on a common scale; NaN without a k-factor."""
        grams = np.array([xrays.atomic_weight(element) for element in self.elements])
        k = np.array([np.nan if one is None else one.value for one in self.factors])
        return np.asarray(k / grams)


def composition(
    lines: Lines, amounts: Amounts, taken: NDArray[np.bool_], detected: NDArray[np.bool_],
    specimen: Specimen | None,
) -> list[Part]:
    """Composition by Cliff and Lorimer's ratios.

    Parameters
    ----------
    lines
        Of each element the one that is quantified.
    amounts
        Their counts.
    taken
        Which elements are normalised to 100 %: signed counts of those that the whole shows.
    detected
        Which are in this spectrum: the others have a limit.
    specimen
        For the correction of absorption, if asked for.

    References
    ----------
    Cliff & Lorimer, J. Microsc. 103 (1975) 203.
    """
    counts, covariance, systematic = amounts
    grams = np.array([xrays.atomic_weight(element) for element in lines.elements])
    k = grams * lines.atoms_per_count
    k_err = np.array([np.nan if one is None else one.relative_err for one in lines.factors])
    known = np.isfinite(k)
    taken = taken & known
    inside = _absorbed(lines, counts, k, taken, specimen)
    per_count = np.where(known, k * inside / grams, 0.0)
    atoms = per_count * counts
    total = float(atoms[taken].sum())
    own = np.where(taken, per_count, 0.0)
    if not taken.any() or total <= _SURE * float(np.sqrt(own @ covariance @ own)):
        nothing = np.nan
        return [Part(nothing, nothing, nothing, nothing, nothing, nothing, nothing, 0.0)] * len(k)
    shares = np.where(taken, atoms / total, 0.0)
    slopes = np.where(taken[:, None] & taken[None, :],
                      (np.eye(len(k)) - shares[:, None]) * per_count / total, 0.0)
    by_counting = np.einsum("ij,jk,ik->i", slopes, covariance, slopes)
    by_k = ((slopes * np.where(taken, counts * np.nan_to_num(k_err), 0.0)) ** 2).sum(axis=1)
    by_k += np.einsum("ij,jk,ik->i", slopes, systematic, slopes)
    weights = np.where(taken, grams * atoms, 0.0)
    weights = weights / weights.sum()
    limits = _limits(counts, np.sqrt(np.maximum(np.diag(covariance), 0.0)), per_count, total)
    errs = np.sqrt(np.maximum([by_counting, by_k], 0.0))
    table = 100.0 * np.array([shares, *errs, weights])
    shown = np.where(taken & detected, table, np.nan)
    limit = np.where(known & ~detected, 100.0 * limits, np.nan)
    return [Part(*row) for row in np.vstack(
        [shown, limit, np.where(taken, table[:2], np.nan), own]).T.tolist()]


def _limits(counts: Floats, err: Floats, per_count: Floats, total: float) -> Floats:
    """Upper limits of the shares of elements that are not detected.

    Of counts that cannot be negative, by what a normal estimate leaves of them (Bayes with an even
    prior: Feldman & Cousins, Phys. Rev. D 57 (1998) 3873, discuss it); never below what no count at
    all leaves open.
    """
    safe = np.maximum(err, 1e-9)
    most = counts + safe * stats.norm.isf((1 - _LIMIT) * stats.norm.cdf(counts / safe))
    most = np.maximum(most, np.maximum(counts, 0.0) + _NO_COUNT)
    atoms = per_count * np.maximum(most, 0.0)
    return np.asarray(atoms / (total + atoms))


def _absorbed(
    lines: Lines, counts: Floats, k: Floats, taken: NDArray[np.bool_], specimen: Specimen | None
) -> Floats:
    """Factors by which absorption is to be corrected: they depend on what they lead to."""
    inside = np.ones(len(k))
    if specimen is None or not taken.any():
        return inside
    for _ in range(_ROUNDS):
        weights = np.where(taken, k * inside * counts, 0.0)
        fractions = dict(zip(lines.elements, (weights / weights.sum()).tolist(), strict=True))
        renewed = specimen.corrections({e: w for e, w in fractions.items() if w > 0},
                                       lines.energies)
        if np.allclose(renewed, inside, rtol=1e-6):
            break
        inside = renewed
    return inside


def described(factors: Mapping[str, KFactor | None]) -> str:
    """Return each element's k-factor and its source in words."""
    return ", ".join(f"{element} none: not given, and the beam energy is not known" if one is None
                     else f"{element} {one.value:.3g} ({one.source})"
                     for element, one in factors.items())
