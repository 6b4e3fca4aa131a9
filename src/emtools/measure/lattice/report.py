"""Grains and their verdicts -> rows of the tables, summary and layers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.measure.lattice.strain import COMPONENTS
from emtools.model import Layer, Measured
from emtools.model.calibration import line_angle_deg

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from emtools.measure.lattice.grains import Grain
    from emtools.measure.lattice.index import Candidate, Verdict
    from emtools.measure.lattice.spots import Spot
    from emtools.measure.lattice.strain import StrainMap
    from emtools.process.plane import Plane

FEW_FRINGES = 6.0
_LABELS = 512  # places of the map of grains along the longer side
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
        for i, spot in enumerate(grain.spots):
            reflections.append({
                "reflection": len(reflections) + 1, "grain": number,
                **_spot_row(spot), **_indexed(verdict, i, plane.unit),
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
    a = best.phase.cell[0]
    return {
        "phase": best.phase.name, "zone_axis": best.zone_axis, "score": min(best.score, 1.0),
        "runner_up": verdict.runner_up.label if verdict.runner_up else "",
        "ambiguous": verdict.ambiguous,
        "a_nm": a * float(np.average(ratios[known], weights=weights)),
        "a_err_nm": a * float(weights.sum() ** -0.5),
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
    result["unit"] = unit
    result["scale_err_percent"] = 100.0 * plane.calibration.scale_err
    if unit == "px":
        result["calibration"] = "none: spacings are in pixels"
    if plane.notes:
        result["masked"] = "; ".join(plane.notes)
    return result


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


def layers(plane: Plane, found: Found, reflections: pd.DataFrame) -> tuple[Layer, ...]:
    """Return the grains on the image, the spots in reciprocal space, and the strain if mapped."""
    grains = found.grains
    if not grains:
        return ()
    unit = plane.unit
    labels, block = _labels(plane, grains)
    step = plane.calibration.vectors(np.diag([block, block])).diagonal()
    k = np.array([s.k for grain in grains for s in grain.spots])
    reciprocal = f"1/{unit}"
    return (
        (labels, {"name": "grains", "scale": tuple(step), "units": (unit, unit), "opacity": 0.3,
                  "metadata": {"space": "image"}}, "labels"),
        (np.vstack([k, -k]),
         {"name": "reflections", "scale": (1.0, 1.0), "units": (reciprocal, reciprocal),
          "features": {name: np.tile(reflections[name].to_numpy(), 2)
                       for name in reflections.columns},
          "face_color": "transparent", "metadata": {"space": "reciprocal"}}, "points"),
        *_strain_layers(plane, found),
    )


def _strain_layers(plane: Plane, found: Found) -> Iterator[Layer]:
    """Return images of the strain and of its uncertainty, on a coarse grid over the frame."""
    mapped = [one for one in found.maps if one is not None]
    if not mapped:
        return
    places, block = _places(plane)
    step = plane.calibration.vectors(np.diag([block, block])).diagonal()
    total = np.full((2, len(COMPONENTS), *places.shape[:2]), np.nan, dtype=np.float32)
    for one in mapped:
        index = np.rint((places - one.domain.origin) / one.domain.block).astype(int)
        there = ((index >= 0) & (index < one.domain.envelope.shape)).all(axis=-1)
        rows, cols = index[there].T
        for kind, values in enumerate((one.fields, one.errors)):
            seen = values[:, rows, cols]
            total[kind][:, there] = np.where(np.isnan(seen), total[kind][:, there], seen)
    for name, fields, errors in zip(COMPONENTS, *total, strict=True):
        shown = {"scale": tuple(step), "units": (plane.unit, plane.unit), "visible": False,
                 "colormap": "twilight_shifted" if "rotation" in name else "PiYG",
                 "metadata": {"space": "image"}}
        yield fields, {"name": f"strain {name}", **shown}, "image"
        yield errors, {"name": f"strain {name} err", **shown}, "image"


def _labels(plane: Plane, grains: list[Grain]) -> tuple[NDArray[np.uint16], float]:
    """Number of the grain at each place of a coarse grid, and the grid's step in pixels.

    Where crystals lie on top of each other the smaller one is shown.
    """
    places, block = _places(plane)
    labels = np.zeros(places.shape[:2], dtype=np.uint16)
    by_size = sorted(range(len(grains)), key=lambda n: -grains[n].domain.area_px)
    for n in by_size:
        held = grains[n].domain.holds(places.reshape(-1, 2)).reshape(labels.shape)
        labels[held] = n + 1
    return labels, float(block)


def _places(plane: Plane) -> tuple[NDArray[np.float64], int]:
    """Places ``(y, x, 2)`` of a coarse grid in pixels, and its step."""
    block = max(1, -(-max(plane.values.shape) // _LABELS))
    y, x = (np.arange(-(-n // block)) * block + 0.5 * (block - 1) for n in plane.values.shape)
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1), block
