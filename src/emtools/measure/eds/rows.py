"""Rows of the tables: compositions of regions, and profiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from emtools.measure.eds.quantify import Amounts, composition
from emtools.model import Measured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emtools.measure.eds.areas import Areas, Shapes
    from emtools.measure.eds.places import Regions, Steps, Values
    from emtools.measure.eds.quantify import Part, Specimen
    from emtools.measure.eds.total import Total

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Quantified:
    """Counts of the reported elements in one region, and what they make up.

    Parameters
    ----------
    region
        Its name.
    counts, covariance
        ``(elements,)`` of the quantified lines, and ``(elements, elements)`` by counting.
    p_values
        Of each element.
    detected
        Of each element.
    parts
        Composition.
    """

    region: str
    counts: Floats
    covariance: Floats
    p_values: Floats
    detected: NDArray[np.bool_]
    parts: list[Part]

    @property
    def err(self) -> Floats:
        """1 sigma of the counts."""
        return np.where(np.isfinite(self.counts),
                        np.sqrt(np.maximum(np.diag(self.covariance), 0.0)), np.nan)


@dataclass(frozen=True)
class Rules:
    """How counts become compositions.

    Parameters
    ----------
    total
        The summed spectrum.
    left_out
        Elements that take no part in the normalisation.
    rate
        Accepted probability that an element is found that is not there.
    specimen
        For the correction of absorption.
    """

    total: Total
    left_out: tuple[str, ...]
    rate: float
    specimen: Specimen | None

    def whole(self) -> Quantified:
        """Composition of the whole spectrum."""
        fit = self.total.fit
        return self._of("all", fit.counts, fit.covariance, fit.systematic,
                        p_values=self.total.p_values)

    def region(
        self, name: str, areas: Areas, share: float, film: tuple[Areas, float] | None = None
    ) -> Quantified:
        """Composition of a region.

        Parameters
        ----------
        name
            Of the region.
        areas
            Its counts.
        share
            Of all counts that it holds: where the model is off, it is so in proportion.
        film
            Counts of the film, and how many times as large the region is.
        """
        counts, covariance = areas.counts, areas.covariance
        if film is not None:
            counts = counts - film[1] * film[0].counts
            covariance = covariance + film[1] ** 2 * film[0].covariance
        strong = np.maximum(self.total.fit.counts, 1.0)
        relative = self.total.fit.systematic / np.outer(strong, strong)
        return self._of(name, counts, covariance, relative * np.outer(counts, counts),
                        min(share, 1.0))

    def mass_thickness(self, whole: Quantified, electrons: float) -> Measured:
        """Mass-thickness in kg/m2 of what is normalised, by zeta-factors.

        Parameters
        ----------
        whole
            The whole spectrum.
        electrons
            How many fell on the field.

        References
        ----------
        Watanabe & Williams, J. Microsc. 221 (2006) 89.
        """
        zeta = np.array([np.nan if one is None else one.value for one in self.total.factors])
        zeta_err = np.array([0.0 if one is None else one.relative_err
                             for one in self.total.factors])
        taken = np.array([np.isfinite(part.atomic) for part in whole.parts], dtype=bool)
        slope = np.where(taken, np.nan_to_num(zeta), 0.0) / electrons
        masses = slope * np.nan_to_num(whole.counts)
        variance = slope @ whole.covariance @ slope + float(((masses * zeta_err) ** 2).sum())
        return Measured(float(masses.sum()), float(np.sqrt(variance)), "kg/m2")

    def _of(
        self, name: str, counts: Floats, covariance: Floats, systematic: Floats,
        share: float = 1.0, p_values: Floats | None = None,
    ) -> Quantified:
        total = self.total
        inflate = np.sqrt(1.0 + (total.misfit - 1.0) * share)
        covariance = covariance * np.outer(inflate, inflate)
        there = np.array([i >= 0 for i in total.chosen], dtype=bool)
        # An element without a line has no counts.
        own = np.array([i if i >= 0 else len(counts) for i in total.chosen], dtype=np.intp)
        amounts = Amounts(np.append(counts, 0.0)[own], *(
            np.pad(matrix, (0, 1))[np.ix_(own, own)] for matrix in (covariance, systematic)))
        if p_values is None:
            spread = np.sqrt(np.maximum(np.diag(amounts.covariance), 1e-12))
            p_values = np.where(there, stats.norm.sf(amounts.counts / spread), 1.0)
        detected = there & (p_values < self.rate) & (amounts.counts > 0)
        seen = there & (total.p_values < self.rate) & (total.counts > 0)
        # What only this region shows is part of it too.
        taken = (seen | detected) & np.array([e not in self.left_out for e in total.elements],
                                             dtype=bool)
        parts = composition(total.lines, amounts, taken, detected, self.specimen)
        return Quantified(name, np.where(there, amounts.counts, np.nan), amounts.covariance,
                          p_values, detected, parts)


def composition_rows(found: Sequence[Quantified], total: Total) -> list[dict[str, Any]]:
    """Rows of the table ``composition``."""
    rows = []
    for one in found:
        for i, element in enumerate(total.elements):
            number, factor, part = total.chosen[i], total.factors[i], one.parts[i]
            rows.append({
                "region": one.region, "element": element,
                "line": total.families[number].alpha.name if number >= 0 else "",
                "counts": one.counts[i], "counts_err": one.err[i],
                "atomic_percent": part.atomic, "atomic_percent_err": part.atomic_err,
                "atomic_percent_k_err": part.atomic_k_err, "weight_percent": part.weight,
                "detected": bool(one.detected[i]), "limit_atomic_percent": part.limit,
                "p_value": float(one.p_values[i]),
                "k_factor": np.nan if factor is None else factor.value,
                "k_source": "" if factor is None else factor.source,
            })
    return rows


def quantified_regions(
    rules: Rules, shapes: Shapes, maps: Sequence[Regions],
    sums: Sequence[tuple[Floats, NDArray[np.int64]]], film: tuple[Areas, int] | None,
) -> list[Quantified]:
    """Compositions of all regions.

    Parameters
    ----------
    rules
        How counts become compositions.
    shapes
        What the spectra are made of.
    maps
        Regions.
    sums
        For each map the summed spectra of its labels ``(n + 1, c)``, and their numbers of pixels.
    film
        Its counts and number of pixels, to be taken off chains, dots and gaps.
    """
    whole = float(shapes.mean.sum())
    found = []
    for one, (spectra, sizes) in zip(maps, sums, strict=True):
        for label, name in enumerate(one.names, start=1):
            counts = spectra[label]
            beside = (film[0], int(sizes[label]) / film[1]) if film and one.on_film else None
            found.append(rules.region(name, shapes.fit(counts), float(counts.sum()) / whole,
                                      beside))
    return found


def profile_rows(
    rules: Rules, shapes: Shapes, steps: Steps, spectra: Floats, sizes: NDArray[np.int64],
    film: tuple[Areas, int] | None, haadf: Values,
) -> list[dict[str, Any]]:
    """Rows of the table ``profile``; steps without a pixel have none."""
    rows = []
    whole = float(shapes.mean.sum())
    for label, (course, kind, s) in enumerate(steps.rows, start=1):
        if not sizes[label]:
            continue
        counts = spectra[label]
        # The elements are those of the whole: a step has too few counts to decide.
        one = rules.region(kind, shapes.fit(counts), float(counts.sum()) / whole,
                           None if film is None else (film[0], int(sizes[label]) / film[1]))
        for i, element in enumerate(rules.total.elements):
            rows.append({"chain": course, "region": kind, "s_nm": s, "element": element,
                         "counts": one.counts[i], "counts_err": one.err[i],
                         "atomic_percent": one.parts[i].share,
                         "atomic_percent_err": one.parts[i].share_err,
                         "haadf": haadf.mean[label], "haadf_err": haadf.err[label]})
    return rows


def gaps_against_dots(found: Sequence[Quantified], total: Total) -> dict[str, Any]:
    """By how much each element's share is larger in gaps than in dots, with its probability.

    The probability is that of the atoms in the gaps which the dots' composition leaves over: linear
    in the counts, it holds where gaps have too few of them for a share.
    """
    by_name = {one.region: one for one in found}
    if not {"dots", "gaps"} <= set(by_name):
        return {}
    gaps, dots = by_name["gaps"], by_name["dots"]
    shares = np.array([part.share for part in dots.parts]) / 100.0
    share_err = np.array([part.share_err for part in dots.parts]) / 100.0
    taken = np.isfinite(shares)
    per_count = np.array([part.atoms_per_count for part in dots.parts])
    atoms = per_count * np.nan_to_num(gaps.counts)
    said: dict[str, Any] = {}
    for i in np.flatnonzero(taken).tolist():
        slope = per_count * ((np.arange(len(shares)) == i) - shares[i])
        over = float(slope @ np.nan_to_num(gaps.counts))
        variance = slope @ gaps.covariance @ slope + (atoms.sum() * share_err[i]) ** 2
        if variance > 0:
            name = f"{total.elements[i]}_gaps_minus_dots"
            said[name] = Measured(
                gaps.parts[i].share - dots.parts[i].share,
                float(np.hypot(gaps.parts[i].share_err, dots.parts[i].share_err)), "at.%")
            said[f"{name}_p_value"] = float(2 * stats.norm.sf(abs(over) / np.sqrt(variance)))
    return said
