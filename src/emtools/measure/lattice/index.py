"""Which phase and zone axis explain a grain's spots.

A candidate must explain lengths and angles with one scale for all spots of the grain (the scale of
an image is uncertain by per cents, ratios and angles are not), and must not predict strong
reflections that are absent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from emtools.crystal import hkl_text
from emtools.measure.lattice.free import collinear
from emtools.stages import stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.crystal import Modality, Phase, ZoneReflections
    from emtools.measure.lattice.grain import Grain
    from emtools.measure.lattice.spots import Spot
    from emtools.model import Calibration

MAX_ZONE_INDEX = 3
CLOSE = 0.5  # runner-up with this fraction of the best score: ambiguous
_ACCEPTED = 0.15  # below this a candidate explains too little to be named
_SCALE_SIGMAS = 3.0
_LOCAL_SCALE = 0.01  # by how much spacings of two grains may differ besides, 1 sigma
_MATCH_SIGMAS = 4.0
_CLEAR = 0.2  # of the strongest spot's signal-to-noise ratio
_STRONG = 0.5  # of the strongest structure factor: should be seen
SMALLEST_UNSCALED_NM = 0.1  # spacings tried where the image has no scale


@dataclass(frozen=True)
class Candidate:
    """One way to index a grain.

    Parameters
    ----------
    phase
        The phase.
    zone_axis
        Three integers with blanks; empty where only one row of spots is known.
    hkl
        Indices of each spot, empty where it is not explained.
    d_reference
        Reference spacing of each spot, NaN where it is not explained.
    score
        0 to 1.
    scale
        Measured over reference spacings.
    """

    phase: Phase
    zone_axis: str
    hkl: tuple[str, ...]
    d_reference: tuple[float, ...]
    score: float
    scale: float

    @property
    def one_family(self) -> bool:
        """Whether all spots are planes of one spacing, or orders of it: no ratio is known."""
        known = np.array([d for d in self.d_reference if np.isfinite(d)])
        orders = known.max(initial=0.0) / known
        return bool((np.abs(orders - np.rint(orders)) < 0.01).all())

    @property
    def label(self) -> str:
        """Phase, zone axis and score, in words."""
        zone = f" [{self.zone_axis}]" if self.zone_axis else ""
        return f"{self.phase.name}{zone} {self.score:.2f}"


@dataclass(frozen=True)
class Tolerance:
    """What spacings and angles may be off by besides their statistics, 1 sigma.

    `expected` is the most likely scale, reference over measured spacing times.
    """

    scale: float
    anisotropy: float
    shear_deg: float
    expected: float = 1.0

    def known(self, scale: float) -> Tolerance:
        """Return the tolerance once a grain of the image has shown its scale."""
        return replace(self, scale=_LOCAL_SCALE, expected=scale)

    @classmethod
    def of(cls, calibration: Calibration) -> Tolerance:
        """Return the tolerance of an image; without a scale, any scale is accepted."""
        if calibration.unit == "px":
            return cls(np.inf, 0.01, 1.0)
        return cls(calibration.scale_err, max(calibration.anisotropy_err, 1e-4),
                   max(calibration.shear_err_deg, 0.01))


@dataclass(frozen=True)
class Verdict:
    """The best candidate of a grain, if any fits, and its rival."""

    best: Candidate | None
    runner_up: Candidate | None

    @property
    def ambiguous(self) -> bool:
        """Whether the rival is close, the zone axis unknown, or one family all that is seen."""
        if self.best is None:
            return False
        close = self.runner_up is not None and self.runner_up.score > CLOSE * self.best.score
        return close or not self.best.zone_axis or self.best.one_family


def index_grains(
    grains: list[Grain], phases: list[Phase], tolerance: Tolerance, modality: Modality
) -> list[Verdict]:
    """Index all grains of an image, which have one scale in common.

    The grain that is explained best, with most spots, shows the scale; the others are indexed
    again with it.
    """
    stage("indexing grains", 0.9)
    verdicts = [index_grain(grain, phases, tolerance, modality) for grain in grains]
    sure = [(v.best.score * len(grain.spots), n) for n, (v, grain) in
            enumerate(zip(verdicts, grains, strict=True))
            if v.best is not None and v.best.zone_axis and not v.ambiguous]
    if not sure or len(grains) == 1:
        return verdicts
    leader = max(sure)[1]
    best = verdicts[leader].best
    assert best is not None
    narrow = tolerance.known(best.scale)
    return [verdict if n == leader else index_grain(grain, phases, narrow, modality)
            for n, (verdict, grain) in enumerate(zip(verdicts, grains, strict=True))]


def index_grain(
    grain: Grain, phases: list[Phase], tolerance: Tolerance, modality: Modality
) -> Verdict:
    """Index the spots of one grain against candidate phases."""
    if all(collinear(grain.spots[0].k, s.k) for s in grain.spots):
        candidates = [c for phase in phases
                      for c in _index_row(grain.spots, phase, tolerance, modality)]
    else:
        candidates = [c for phase in phases
                      for c in _index_plane(grain.spots, phase, tolerance, modality)]
    candidates = [c for c in candidates if c.score > _ACCEPTED]
    candidates.sort(key=lambda c: -c.score)
    if not candidates:
        return Verdict(None, None)
    best = candidates[0]
    rivals = [c for c in candidates[1:] if _differs(c, best)]
    return Verdict(best, rivals[0] if rivals else None)


def _differs(a: Candidate, b: Candidate) -> bool:
    return (a.phase.name, a.zone_axis, a.zone_axis or a.hkl) != (
        b.phase.name, b.zone_axis, b.zone_axis or b.hkl)


def _smallest_d(spots: list[Spot], tolerance: Tolerance) -> float:
    """Smallest reference spacing that a spot may have, whatever the scale."""
    if not np.isfinite(tolerance.scale):
        return SMALLEST_UNSCALED_NM
    smallest = (1 - _SCALE_SIGMAS * tolerance.scale) / max(s.length for s in spots)
    return smallest / (1.05 * tolerance.expected)


def _index_row(
    spots: list[Spot], phase: Phase, tolerance: Tolerance, modality: Modality
) -> list[Candidate]:
    """Candidates for spots in one row: the spacing alone decides, so it stays ambiguous."""
    if not np.isfinite(tolerance.scale):
        return []  # one length without a scale says nothing
    first = spots[0]
    orders = np.rint([s.length / first.length for s in spots])
    fits = [abs(s.length / first.length - n) < 0.03 * n for s, n in zip(spots, orders, strict=True)]
    sigma = np.hypot(tolerance.scale, first.length_err / first.length)
    found = []
    for family in phase.families(_smallest_d(spots, tolerance), modality):
        misfit = 1 / first.length / family.d_nm - tolerance.expected
        score = float(np.exp(-0.5 * (misfit / sigma) ** 2) * np.sqrt(family.amplitude))
        hkl = tuple(hkl_text([int(n) * i for i in family.hkl]) if fit else ""
                    for n, fit in zip(orders, fits, strict=True))
        d = tuple(family.d_nm / float(n) if fit else np.nan
                  for n, fit in zip(orders, fits, strict=True))
        found.append(Candidate(phase, "", hkl, d, score, tolerance.expected + misfit))
    return found


def _index_plane(
    spots: list[Spot], phase: Phase, tolerance: Tolerance, modality: Modality
) -> list[Candidate]:
    """The best candidate of each zone axis."""
    measured = np.array([s.k for s in spots])
    second = next(i for i, k in enumerate(measured) if i and not collinear(measured[0], k))
    found = []
    for zone_axis in phase.zone_axes(MAX_ZONE_INDEX):
        zone = phase.in_zone(zone_axis, _smallest_d(spots, tolerance), modality)
        fits = [_fit(spots, zone, turn, tolerance)
                for turn in _turns(measured[[0, second]], zone.g_yx_per_nm, tolerance)]
        if fits:
            best = max(fits, key=lambda fit: fit.score)
            found.append(_candidate(phase, hkl_text(zone_axis), zone, best))
    return found


def _turns(
    pair: NDArray[np.float64], g: NDArray[np.float64], tolerance: Tolerance
) -> list[NDArray[np.float64]]:
    """Similarity transforms (2x2) that carry two reflections of the zone onto two spots."""
    spot_1, spot_2 = _complex(pair)
    # A crystal seen from behind is the mirror image of its zone.
    turns = []
    for mirror in (False, True):
        z = _complex(g)
        z = z.conj() if mirror else z
        ratio = spot_1 / z
        misfit = spot_2 / (ratio[:, None] * z[None, :])
        slack = _MATCH_SIGMAS * np.array([tolerance.anisotropy, np.radians(tolerance.shear_deg)])
        close = (np.abs(np.log(np.abs(misfit))) < slack[0] + 0.01)
        close &= np.abs(np.angle(misfit)) < slack[1] + 0.01
        if np.isfinite(tolerance.scale):
            # |ratio| is measured over reference wave number, the inverse of the scale.
            off = np.abs(np.log(np.abs(ratio) * tolerance.expected))[:, None]
            close &= off < _SCALE_SIGMAS * tolerance.scale + slack[0]
        turns += [_matrix(ratio[i], mirror) for i in np.unique(np.nonzero(close)[0])]
    return turns


def _complex(yx: NDArray[np.float64]) -> NDArray[np.complex128]:
    return yx[:, 1] + 1j * yx[:, 0]


def _matrix(ratio: complex, mirror: bool) -> NDArray[np.float64]:
    """Matrix on ``(y, x)`` of z -> ratio * z, or of z -> ratio * conj(z)."""
    a, b = ratio.real, ratio.imag
    turn = np.array([[a, b], [-b, a]])
    return turn @ np.diag([-1.0, 1.0]) if mirror else turn


@dataclass(frozen=True)
class _Fit:
    score: float
    scale: float
    matched: tuple[int, ...]  # row of the zone for each spot, -1 for none


def _fit(
    spots: list[Spot], zone: ZoneReflections, turn: NDArray[np.float64], tolerance: Tolerance
) -> _Fit:
    measured = np.array([s.k for s in spots])
    nearest, chi2 = _nearest(spots, zone.g_yx_per_nm @ turn.T, tolerance)
    if not (chi2 < _MATCH_SIGMAS**2).any():
        return _Fit(0.0, 1.0, tuple(-1 for _ in spots))
    strength = np.array([s.fringes.snr for s in spots]) * (chi2 < _MATCH_SIGMAS**2)
    turn = _fitted_turn(turn, zone.g_yx_per_nm[nearest], measured, strength)
    predicted = zone.g_yx_per_nm @ turn.T
    nearest, chi2 = _nearest(spots, predicted, tolerance)
    matched = chi2 < _MATCH_SIGMAS**2
    if not matched.any():
        return _Fit(0.0, 1.0, tuple(-1 for _ in spots))
    lengths, strength = np.hypot(*measured.T), np.array([s.fringes.snr for s in spots])
    scale = 1.0 / float(np.sqrt(abs(np.linalg.det(turn))))
    # Faint spots may be artefacts of the scan; what is strong has to be explained.
    explained = float(np.average(matched, weights=strength))
    score = explained**2 * float(np.exp(-0.25 * np.average(chi2[matched],
                                                           weights=strength[matched])))
    # How far spots can be seen depends on probe and thickness: as far as strong ones are.
    clear = matched & (strength >= _CLEAR * strength[matched].max())
    score *= _seen_fraction(predicted, zone.amplitude, np.vstack([measured, -measured]),
                            lengths[clear].max())
    score *= float(np.sqrt(zone.amplitude[nearest[matched]].mean()))
    if np.isfinite(tolerance.scale):
        score *= float(np.exp(-0.5 * ((scale - tolerance.expected) / tolerance.scale) ** 2))
    rows = np.where(matched, nearest, -1)
    return _Fit(score, scale, tuple(rows.tolist()))


def _fitted_turn(
    turn: NDArray[np.float64], g: NDArray[np.float64], measured: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Turn and scale once more so that all matched spots are met on average."""
    # Ratios, not differences: far out a chance match would else outweigh the strong spots.
    ratio = np.average(_complex(measured) / _complex(g @ turn.T), weights=weights)
    return _matrix(complex(ratio), False) @ turn


def _nearest(
    spots: list[Spot], predicted: NDArray[np.float64], tolerance: Tolerance
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each spot the nearest predicted reflection and its distance, chi squared."""
    nearest, chi2 = [], []
    for spot in spots:
        along = spot.k / spot.length
        across = np.array([-along[1], along[0]])
        radial = np.hypot(spot.length_err, tolerance.anisotropy * spot.length)
        sideways = np.radians(np.hypot(spot.angle_err_deg, tolerance.shear_deg)) * spot.length
        off = predicted - spot.k
        distance = (off @ along / radial) ** 2 + (off @ across / sideways) ** 2
        nearest.append(int(np.argmin(distance)))
        chi2.append(float(distance.min()))
    return np.array(nearest), np.array(chi2)


def _seen_fraction(
    predicted: NDArray[np.float64], amplitude: NDArray[np.float64],
    seen: NDArray[np.float64], reach: float,
) -> float:
    """Fraction of the strong reflections within reach of the spots that are among the spots."""
    expected = (amplitude > _STRONG) & (np.hypot(*predicted.T) < 0.97 * reach)
    if not expected.any():
        return 1.0
    off = np.linalg.norm(predicted[expected][:, None] - seen[None], axis=-1).min(axis=1)
    found = (off < 0.08 * reach).sum()
    return float((found + 1.0) / (expected.sum() + 1.0))


def _candidate(phase: Phase, zone_axis: str, zone: ZoneReflections, fit: _Fit) -> Candidate:
    hkl = tuple("" if row < 0 else hkl_text(zone.hkl[row]) for row in fit.matched)
    d = tuple(np.nan if row < 0 else float(zone.d_nm[row]) for row in fit.matched)
    return Candidate(phase, zone_axis, hkl, d, fit.score, fit.scale)
