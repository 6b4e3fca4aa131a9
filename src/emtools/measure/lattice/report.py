"""Grains and their verdicts -> rows of the tables, summary and layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.errors import CalibrationError
from emtools.measure.lattice.affine import (
    SHARED_NOISE,
    IndexedGrain,
    consistent,
    fit_affine,
    reference_vectors,
)
from emtools.model import Measured
from emtools.model.calibration import (
    DEFAULT_ANISOTROPY_ERR,
    DEFAULT_SHEAR_ERR_DEG,
    line_angle_deg,
)

if TYPE_CHECKING:
    from emtools.measure.lattice.affine import Affine
    from emtools.measure.lattice.grain import Grain
    from emtools.measure.lattice.index import Candidate, Verdict
    from emtools.measure.lattice.spots import Spot
    from emtools.measure.lattice.strain import StrainMap
    from emtools.process.plane import Plane

FEW_FRINGES = 6.0
_WHOLE = 0.7  # of the frame
_NOTICED = 3.0  # sigmas by which a lattice has to be off what its phase fixes
_NEGLIGIBLE = 1e-3  # a stretch or a shear (radians) below this concerns no spacing
_FEWEST = 3  # reflections that tell a distortion and whether they agree on it
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Found:
    """What was found in one image.

    Parameters
    ----------
    grains
        The crystals.
    verdicts
        How each is indexed.
    strain
        Rows of the strain table.
    maps
        Strain inside each grain, None where it cannot be mapped; empty if not asked for.
    """

    grains: list[Grain]
    verdicts: list[Verdict]
    strain: Rows = field(default_factory=list)
    maps: list[StrainMap | None] = field(default_factory=list)


def rows(plane: Plane, found: Found) -> tuple[Rows, Rows]:
    """Return the rows of ``reflections`` and ``grains``."""
    reflections: Rows = []
    of_grains: Rows = []
    pairs = zip(found.grains, found.verdicts, strict=True)
    for number, (grain, verdict) in enumerate(pairs, start=1):
        of_grains.append({"grain": number, **_grain_row(plane, grain, verdict)})
        finest = max(s.length for s in grain.spots)
        for i, spot in enumerate(grain.spots):
            reflections.append({
                "reflection": len(reflections) + 1, "grain": number,
                **_spot_row(spot), "d_size_effect_nm": _size_effect(spot, finest, plane),
                **_indexed(verdict, i, plane.unit),
                "harmonic": _is_harmonic(spot, grain.spots),
            })
    return reflections, of_grains


def _spot_row(spot: Spot) -> dict[str, Any]:
    d = 1.0 / spot.length
    domain = 2.0 * np.sqrt(spot.area / np.pi)
    return {
        "d_spacing_nm": d, "d_spacing_err_nm": d**2 * spot.length_err,
        "angle_deg": float(line_angle_deg(spot.k)), "angle_err_deg": spot.angle_err_deg,
        "k_per_nm": spot.length, "snr": spot.fringes.snr, "p_value": spot.p_value,
        "domain_nm": domain, "few_fringes": bool(domain < FEW_FRINGES * d),
    }


def _size_effect(spot: Spot, finest: float, plane: Plane) -> float:
    """Shift of fringes against their planes that the size of the crystal allows, 1 sigma.

    A crystal of diameter D spreads each reflection over about 0.4 / D^2 (variance); a transfer
    function that changes over that width moves the fringes by the variance times the slope of its
    logarithm.  How fast it can change is told by the finest fringes that come through.  (The shifts
    that Malm & O'Keefe, Ultramicroscopy 68 (1997) 13, found by simulation are of that size.)
    """
    if spot.area > _WHOLE * plane.values.size * plane.calibration.area_per_pixel:
        return 0.0  # the frame cuts it: its own edges are not seen
    fringes = 2.0 * np.sqrt(spot.area / np.pi) * finest
    return float((1.1 / fringes) ** 2 / spot.length)


def _indexed(verdict: Verdict, i: int, unit: str) -> dict[str, Any]:
    best = verdict.best
    if best is None or not best.hkl[i]:
        return {"d_reference_nm": float("nan")}
    # In an image without calibration the reference is given in its pixels, by the fitted scale.
    to_unit = best.scale if unit == "px" else 1.0
    return {"phase": best.phase.name, "hkl": best.hkl[i],
            "d_reference_nm": best.d_reference[i] * to_unit,
            "ambiguous": verdict.ambiguous}


def _is_harmonic(spot: Spot, others: list[Spot]) -> bool:
    """Whether the wave vector is a whole multiple (2 and up) of another one of the grain."""
    for other in others:
        order = round(spot.length / other.length)
        if order >= 2:
            off = min(np.hypot(*(spot.k - sign * order * other.k)) for sign in (1, -1))
            if off < 0.02 * spot.length:
                return True
    return False


def _grain_row(plane: Plane, grain: Grain, verdict: Verdict) -> dict[str, Any]:
    y, x = plane.calibration.vectors(grain.domain.centre_px)
    row: dict[str, Any] = {"y_nm": y, "x_nm": x, "area_nm2": max(s.area for s in grain.spots)}
    if grain.lattice is not None:
        free = grain.lattice
        row |= {
            "rotation_deg": float(line_angle_deg(free.u)),
            "u_nm": float(np.hypot(*free.u)), "u_err_nm": free.u_err,
            "v_nm": float(np.hypot(*free.v)), "v_err_nm": free.v_err,
            "uv_angle_deg": free.angle_deg, "uv_angle_err_deg": free.angle_err_deg,
        }
    if verdict.best is not None:
        row |= _phase_columns(grain, verdict, verdict.best)
    return row


def _phase_columns(grain: Grain, verdict: Verdict, best: Candidate) -> dict[str, Any]:
    # One scale for all spots: the weighted mean of measured over reference spacing.
    lengths = np.array([s.length for s in grain.spots])
    ratios = 1.0 / (lengths * np.array(best.d_reference))
    errors = np.array([s.length_err for s in grain.spots]) / lengths * ratios
    known = np.isfinite(ratios)
    weights = 1 / errors[known] ** 2
    weights /= weights.sum()
    # Their noise is shared, as far as their directions are.
    along = np.array([s.k for s in grain.spots])[known] / lengths[known, None]
    shared = np.eye(len(lengths)) if grain.correlation is None else grain.correlation
    shared = shared[np.ix_(known, known)] * (along @ along.T)
    each = weights * errors[known]
    a = best.phase.cell[0]
    return {
        "phase": best.phase.name, "zone_axis": best.zone_axis, "score": min(best.score, 1.0),
        "runner_up": verdict.runner_up.label if verdict.runner_up else "",
        "ambiguous": verdict.ambiguous,
        "a_nm": a * float(np.average(ratios[known], weights=weights)),
        "a_err_nm": a * float(np.sqrt(max(each @ shared @ each, 0.0))),
    }


def summary(plane: Plane, found: Found, reason: str | None) -> dict[str, Any]:
    """Return the outcome, the scale's uncertainty and the strongest spacing with both errors."""
    unit = plane.unit
    result: dict[str, Any] = {"outcome": reason or "no lattice"}
    grains = found.grains
    spots = [s for grain in grains for s in grain.spots]
    if spots:
        result["outcome"] = f"lattice found: {_plural(len(spots), 'reflection')} in " \
                            f"{_plural(len(grains), 'grain')}"
        result |= _strongest(plane, spots)
    best = next((v.best for v in found.verdicts if v.best is not None), None)
    if best is not None:
        result["phase"] = best.label
        result["scale_measured_over_reference"] = best.scale
        doubt = _distortion(plane, grains, found.verdicts)
        if doubt:
            result["distortion"] = doubt
    result["unit"] = unit
    result["scale_err_percent"] = 100.0 * plane.calibration.scale_err
    if unit == "px":
        result["calibration"] = "none: spacings are in pixels"
    if plane.notes:
        result["masked"] = "; ".join(plane.notes)
    return result


def _distortion(plane: Plane, grains: list[Grain], verdicts: list[Verdict]) -> str:
    """Say by how much the best crystal's lattice is not what its phase fixes; empty if it is.

    The ratios and angles of a phase's reflections in a zone are known, whatever the scale.
    """
    sure = [(len(grain.spots) * v.best.score, grain, v.best) for grain, v in
            zip(grains, verdicts, strict=True)
            if v.best is not None and v.best.zone_axis and not v.ambiguous]
    if not sure:
        return ""
    _, grain, best = max(sure, key=lambda entry: entry[0])
    fitted = _fitted(grain, best)
    if fitted is None:
        return ""
    off, errors = fitted.square, fitted.errors
    # What a calibration has stated of the plane counts too; the default is that of not knowing.
    said = plane.calibration
    ratio_err = float(np.hypot(errors.anisotropy, said.anisotropy_err * (
        said.anisotropy_err < DEFAULT_ANISOTROPY_ERR)))
    shear_err = float(np.hypot(errors.shear_deg, said.shear_err_deg * (
        said.shear_err_deg < DEFAULT_SHEAR_ERR_DEG)))
    if (abs(off.anisotropy) < max(_NOTICED * ratio_err, _NEGLIGIBLE)
            and abs(off.shear_deg) < max(_NOTICED * shear_err, np.degrees(_NEGLIGIBLE))):
        return ""
    a, b, c, *angles = best.phase.cell
    cubic = a == b == c and angles == [90, 90, 90]
    should = "cubic" if cubic else f"that of {best.phase.name} [{best.zone_axis}]"
    along = "y" if off.anisotropy < 0 else "x"
    stretch = Measured(100 * abs(off.anisotropy), 100 * ratio_err, "%")
    shear = Measured(abs(off.shear_deg), shear_err, "deg")
    return (f"the lattice should be {should}: the image is stretched by {stretch} along {along} "
            f"and sheared by {shear}; see `emtools calibrate`")


def _fitted(grain: Grain, best: Candidate) -> Affine | None:
    """Distortion fitted to the reflections that agree on one; None if they do not determine it."""
    spots = [(s, hkl) for s, hkl in zip(grain.spots, best.hkl, strict=True)
             if hkl and 2.0 * np.sqrt(s.area / np.pi) * s.length >= FEW_FRINGES]
    if len(spots) < _FEWEST:
        return None
    zone_axis = [int(i) for i in best.zone_axis.split()]
    hkl = [[int(i) for i in text.split()] for _, text in spots]
    indexed = IndexedGrain(np.array([s.k for s, _ in spots]),
                           np.array([s.covariance for s, _ in spots]),
                           reference_vectors(best.phase, zone_axis, hkl))
    indexed = indexed.only(consistent(indexed))
    try:
        fitted = fit_affine([indexed]) if len(indexed.k) >= _FEWEST else None
    except CalibrationError:
        return None
    return None if fitted is None else fitted.widened(SHARED_NOISE)


def _strongest(plane: Plane, spots: list[Spot]) -> dict[str, Any]:
    spot = max(spots, key=lambda s: s.fringes.snr)
    d = 1.0 / spot.length
    statistical = d**2 * spot.length_err
    return {
        "strongest_d_spacing": Measured(d, statistical, plane.unit),
        # The scale is common to all rows: it enters here, once.
        "strongest_d_spacing_with_scale": Measured(
            d, float(np.hypot(statistical, d * plane.calibration.scale_err)), plane.unit),
    }


def _plural(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
