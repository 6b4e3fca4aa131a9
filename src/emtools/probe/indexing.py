"""Which planes of which phases a picked spot, or two of them, can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.crystal import hkl_text
from emtools.crystal import phase as find_phase
from emtools.errors import CalibrationError, ParameterError
from emtools.measure.lattice.free import collinear
from emtools.measure.lattice.index import (
    CLOSE,
    MAX_ZONE_INDEX,
    SMALLEST_UNSCALED_NM,
    Tolerance,
)
from emtools.model import Measured
from emtools.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    import pandas as pd
    from numpy.typing import NDArray

    from emtools.crystal import Modality, Phase
    from emtools.model import Calibration
    from emtools.probe.picked import PickedSpot

    Floats = NDArray[np.float64]
    Row = dict[str, Any]
    Phases = str | PathLike[str] | Phase | Sequence[str | PathLike[str] | Phase]

_WITHIN_SIGMAS = 3.0  # what still counts as the same spacing
# What spacings and angles of small crystals are off by besides, where the calibration and the
# statistics claim to be better, 1 sigma.
_LEAST_SLACK = 0.002
_LEAST_SLACK_DEG = 0.15
_ACCEPTED = 0.05  # score below which a pair is not named
_UNKNOWN_SCALE = 10.0  # relative error of the scale there
_SAME_ANGLE_DEG = 0.01

_PHASE = Column("phase", "str", "name of the phase")
_HKL = Column("hkl", "str", "Miller indices of one plane of the family")
_D = Column("d_reference_nm", "float", "spacing in the phase")
PLANES = Table("one family of planes that a spot can be", (
    _PHASE,
    _HKL,
    _D,
    Column("difference_percent", "float", "measured minus reference spacing"),
    Column("sigmas", "float", "that difference over its error, with the pixel size's"),
    Column("amplitude", "float", "|F| over that of the phase's strongest family down to there"),
    Column("score", "float", "0 to 1: closeness times the root of the amplitude"),
))
PAIRS = Table("one way to index two spots", (
    _PHASE,
    Column("hkl1", "str", "Miller indices of the first spot"),
    Column("hkl2", "str", "Miller indices of the second spot"),
    Column("zone_axis", "str", "direction both are normal to; empty for two orders of one plane"),
    Column("score", "float", "0 to 1: closeness times the root of the amplitudes"),
    Column("misfit", "float", "chi squared of both spacings and the angle with one scale"),
    Column("angle_reference_deg", "float", "angle between the planes' normals in the phase"),
    Column("d_reference_1_nm", "float", "spacing of the first in the phase"),
    Column("d_reference_2_nm", "float", "spacing of the second in the phase"),
    Column("scale", "float", "measured over reference spacings"),
))
RINGS = Table("one family of planes that is not absent", (
    _PHASE,
    _HKL,
    _D,
    Column("k_per_nm", "float", "1 / d: radius of the ring"),
    Column("multiplicity", "int", "planes of the family, Friedel mates included"),
    Column("relative_intensity", "float", "multiplicity times |F| squared, of the strongest ring"),
))


@dataclass(frozen=True)
class PairOfSpots:
    """What two picked spots tell together.

    Parameters
    ----------
    angle
        Between them as seen from the zero frequency, 0 to 180 degrees, with the statistical error.
    angle_plane_err_deg
        What the plane's departure from square adds to it, 1 sigma.
    ratio
        First over second spacing.
    candidates
        Ways to index them, best first.
    ambiguous
        Whether other planes or another zone explain them about as well.
    reason
        Why there is no candidate, or what the best one leaves open; empty else.
    """

    angle: Measured
    angle_plane_err_deg: float
    ratio: Measured
    candidates: pd.DataFrame
    ambiguous: bool
    reason: str


def planes(
    spot: PickedSpot, phases: Phases, modality: Modality | None = None
) -> pd.DataFrame:
    """Return all planes that a picked spot can be by its spacing.

    Parameters
    ----------
    spot
        As `probe.spot` found it, in an image calibrated in nm.
    phases
        Built-in names, CIF files or phases; one or several.
    modality
        Whose structure factors count; those of the image if not given.

    Returns
    -------
    DataFrame
        One row for each family whose spacing is within three sigmas (the pixel size's uncertainty
        included, two parts in a thousand at least), best first; no rows if none fits.  One spacing
        alone seldom decides: two spots do, see `pair`.

    Raises
    ------
    CalibrationError
        If the spacing is in pixels.
    ParameterError
        If a phase is not known.
    """
    known = _phases(phases)
    if not spot:
        return PLANES.frame()
    if spot.unit != "nm":
        raise CalibrationError("the spot", "has its spacing in pixels",
                               "give a pixel size: one length without a scale says nothing")
    d = spot.d_spacing_with_scale
    slack = _WITHIN_SIGMAS * max(d.err / d.value, _LEAST_SLACK)
    rows = []
    for one in known:
        for family in one.families(d.value / (1 + 2 * slack), modality or spot.modality):
            off = d.value / family.d_nm - 1
            if abs(off) > slack:
                continue
            sigmas = off * _WITHIN_SIGMAS / slack
            rows.append({"phase": one.name, "hkl": hkl_text(family.hkl),
                         "d_reference_nm": family.d_nm, "difference_percent": 100 * off,
                         "sigmas": sigmas, "amplitude": family.amplitude,
                         "score": np.exp(-0.5 * sigmas**2) * np.sqrt(family.amplitude)})
    return PLANES.frame(sorted(rows, key=lambda row: -row["score"]))


def rings(phases: Phases, largest_k: float, modality: Modality = "TEM") -> pd.DataFrame:
    """Return the rings of a powder of these phases, out to a wave number.

    Parameters
    ----------
    phases
        Built-in names, CIF files or phases; one or several.
    largest_k
        In 1/nm.
    modality
        Whose structure factors count.

    Returns
    -------
    DataFrame
        Families that are not absent, each phase's longest spacing first, with kinematic
        intensities.

    Raises
    ------
    ParameterError
        If a phase is not known, or the wave number not positive.
    """
    if not (np.isfinite(largest_k) and largest_k > 0):
        raise ParameterError("largest_k", f"must be positive, not {largest_k}")
    rows = []
    for one in _phases(phases):
        families = one.families(1.0 / largest_k, modality)
        strengths = [family.multiplicity * family.amplitude**2 for family in families]
        rows += [{"phase": one.name, "hkl": hkl_text(family.hkl), "d_reference_nm": family.d_nm,
                  "k_per_nm": 1.0 / family.d_nm, "multiplicity": family.multiplicity,
                  "relative_intensity": strength / max(strengths)}
                 for family, strength in zip(families, strengths, strict=True)]
    return RINGS.frame(rows)


def pair(
    first: PickedSpot, second: PickedSpot, phases: Phases = (), modality: Modality | None = None
) -> PairOfSpots:
    """Index two picked spots of one crystal by their spacings, their ratio and their angle.

    Both spacings are off by the same factor, as far as the pixel size is; the ratio and the angle
    are known much better, to the statistics and the squareness of the plane.  Zone axes with
    indices up to 3 are tried.

    Parameters
    ----------
    first, second
        As `probe.spot` found them, in one image.  Without a calibration ratio and angle decide.
    phases
        Built-in names, CIF files or phases; one or several.
    modality
        Whose structure factors count; those of the image if not given.

    Raises
    ------
    ParameterError
        If one of the two is no spot, both are the same spot, their units differ, or a phase is not
        known.
    """
    for name, one in (("first", first), ("second", second)):
        if not one:
            raise ParameterError(name, f"is no spot: {one.reason}")
    if first.unit != second.unit:
        raise ParameterError("second", f"is in {second.unit}, the first in {first.unit}",
                             "pick both in one image")
    seen = _Seen.of(first, second)
    parallel = collinear(first.k_yx, second.k_yx)
    if parallel and abs(seen.logs[0] - seen.logs[1]) < 1e-9:
        raise ParameterError("second", "is the first spot again", "pick another one")
    rows: list[Row] = []
    known = _phases(phases)
    for phase in known:
        rows += _of_phase(phase, seen, modality or first.modality, parallel)
    rows.sort(key=lambda row: -row["score"])
    ambiguous, reason = _judged(rows, parallel, bool(known))
    ratio = float(np.exp(seen.logs[0] - seen.logs[1]))
    err = ratio * float(np.sqrt(seen.statistics[0, 0] + seen.statistics[1, 1]))
    degrees = np.degrees(np.sqrt([seen.statistics[2, 2], seen.plane[2, 2]])).tolist()
    return PairOfSpots(Measured(float(np.degrees(seen.angle)), degrees[0], "deg"), degrees[1],
                       Measured(ratio, err), PAIRS.frame(rows), ambiguous, reason)


@dataclass(frozen=True)
class _Seen:
    """Two spots: logarithms of their spacings, the angle between them, and their covariances.

    Parameters
    ----------
    logs
        Of the spacings in the unit of the image.
    angle
        Radians, 0 to pi.
    statistics
        ``(3, 3)`` of logs and angle.
    plane
        ``(3, 3)``: what the scale and the squareness of the plane add.
    scaled
        Whether the spacings are in nm.
    """

    logs: tuple[float, float]
    angle: float
    statistics: Floats
    plane: Floats
    scaled: bool

    @classmethod
    def of(cls, first: PickedSpot, second: PickedSpot) -> _Seen:
        a, b = first.k_yx, second.k_yx
        lengths = np.array([np.hypot(*a), np.hypot(*b)])
        sine, cosine = a[0] * b[1] - a[1] * b[0], a @ b
        errors = [first.k.err / lengths[0], second.k.err / lengths[1],
                  np.radians(np.hypot(first.angle.err, second.angle.err))]
        logs = -np.log(lengths)
        return cls((float(logs[0]), float(logs[1])), float(np.arctan2(abs(sine), cosine)),
                   np.diag(np.square(errors)), _plane(first.calibration, a, b),
                   first.unit == "nm")

    def misfit(self, d_1: Floats, d_2: Floats, angle: Floats) -> Floats:
        """Chi squared of reference spacings and angles (radians)."""
        off = np.stack(np.broadcast_arrays(
            self.logs[0] - np.log(d_1), self.logs[1] - np.log(d_2), self.angle - angle), axis=-1)
        least = np.diag(np.square([_LEAST_SLACK, _LEAST_SLACK, np.radians(_LEAST_SLACK_DEG)]))
        inverse = np.linalg.inv(self.statistics + self.plane + least)
        return np.asarray(np.einsum("...i,ij,...j->...", off, inverse, off))


def _plane(calibration: Calibration, a: Floats, b: Floats) -> Floats:
    """Covariance that scale, anisotropy and shear give two log spacings and their angle."""
    known = Tolerance.of(calibration)
    scale = known.scale if np.isfinite(known.scale) else _UNKNOWN_SCALE
    # Directions counted from x to y (down), twice: a plane stretched along y by e and sheared by g
    # turns and stretches by the cosine and sine of these.
    twice = 2.0 * np.arctan2([a[0], b[0]], [a[1], b[1]])
    cos, sin = np.cos(twice), np.sin(twice)
    sense = 0.5 * np.sign(a[0] * b[1] - a[1] * b[0])
    columns = np.array([
        [1.0, 1.0, 0.0],
        [-0.5 * cos[0], -0.5 * cos[1], sense * (sin[1] - sin[0])],
        [0.5 * sin[0], 0.5 * sin[1], sense * (cos[1] - cos[0])],
    ])
    sigma = np.array([scale, known.anisotropy, np.radians(known.shear_deg)])
    return np.asarray((columns * sigma[:, None] ** 2).T @ columns)


def _phases(phases: Phases) -> list[Phase]:
    from os import PathLike

    from emtools.crystal import Phase

    if isinstance(phases, (str, PathLike, Phase)):
        return [find_phase(phases)]
    return [find_phase(one) for one in phases]


def _of_phase(
    phase: Phase, seen: _Seen, modality: Modality, parallel: bool
) -> list[Row]:
    """Ways to index the spots with one phase."""
    smallest = SMALLEST_UNSCALED_NM
    if seen.scaled:
        smallest = float(np.exp(min(seen.logs)) / (1 + 4 * np.sqrt(seen.plane[0, 0])))
    rows: dict[tuple[Any, ...], Row] = {}
    for zone_axis in phase.zone_axes(MAX_ZONE_INDEX):
        zone = phase.in_zone(zone_axis, smallest, modality)
        if not len(zone.hkl):
            continue
        g, logs = zone.g_yx_per_nm, np.log(zone.d_nm)
        sine = np.abs(g[:, None, 0] * g[None, :, 1] - g[:, None, 1] * g[None, :, 0])
        angle = np.arctan2(sine, g @ g.T)
        misfit = seen.misfit(zone.d_nm[:, None], zone.d_nm[None, :], angle)
        amplitude = np.sqrt(0.5 * (zone.amplitude[:, None] + zone.amplitude[None, :]))
        score = np.exp(-0.5 * misfit) * amplitude
        for i, j in np.argwhere(score > _ACCEPTED).tolist():
            degrees = float(np.degrees(angle[i, j]))
            key = (round(float(logs[i]), 6), round(float(logs[j]), 6),
                   round(degrees / _SAME_ANGLE_DEG), "" if parallel else zone_axis)
            scale = float(np.exp(0.5 * (sum(seen.logs) - logs[i] - logs[j])))
            rows.setdefault(key, {
                "phase": phase.name, "hkl1": hkl_text(zone.hkl[i]), "hkl2": hkl_text(zone.hkl[j]),
                "zone_axis": "" if parallel else hkl_text(zone_axis),
                "score": float(score[i, j]), "misfit": float(misfit[i, j]),
                "angle_reference_deg": degrees, "d_reference_1_nm": float(zone.d_nm[i]),
                "d_reference_2_nm": float(zone.d_nm[j]), "scale": scale})
    return list(rows.values())


def _judged(
    rows: list[Row], parallel: bool, asked: bool
) -> tuple[bool, str]:
    """Whether the best of sorted candidates has a rival, and what there is to say."""
    if not rows:
        return False, "no plane of these phases fits" if asked else ""
    if parallel:
        return True, "both spots lie in one row, which tells no zone axis"
    rivals = [row for row in rows[1:] if row["score"] > CLOSE * rows[0]["score"]]
    if not rivals:
        return False, ""
    one = rivals[0]
    return True, (f"{one['phase']} [{one['zone_axis']}] with {one['hkl1']} and {one['hkl2']} fits "
                  "about as well")
