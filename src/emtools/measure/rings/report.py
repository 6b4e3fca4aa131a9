"""Rows, summary, layers and details of a rings result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from emtools.electrons import wavelength_nm
from emtools.measure.rings.identify import Seen
from emtools.measure.rings.model import SAMPLING_FWHM2
from emtools.model import Measured
from emtools.model.calibration import line_angle_deg
from emtools.units import PIXEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.lattice.index import Verdict as SpotVerdict
    from emtools.measure.lattice.spots import Spot
    from emtools.measure.rings.azimuth import Spread
    from emtools.measure.rings.centre import Centred
    from emtools.measure.rings.identify import Candidate, Verdict
    from emtools.measure.rings.model import Fitted
    from emtools.measure.rings.polar import Cells, Geometry
    from emtools.measure.rings.spots import Net
    from emtools.model import Image, Layer
    from emtools.process.plane import Plane

    Floats = NDArray[np.float64]
    Row = dict[str, Any]

SCHERRER = 0.9
_CORNERS = 180  # of a drawn ellipse
_BEYOND_INSTRUMENT = 2.0  # sigma by which a ring must be broader than the instrument's width


@dataclass(frozen=True)
class Scale:
    """From radii in px to wave numbers.

    Parameters
    ----------
    per_px
        1/nm per px, NaN where none is known.
    err
        Relative, infinite where none is known.
    wavelength_nm
        Of the electrons where the radius on a flat detector is to be turned into a wave number
        exactly; None: in proportion.
    """

    per_px: float
    err: float
    wavelength_nm: float | None

    @classmethod
    def of(cls, image: Image, plane: Plane) -> Scale:
        """Return the scale of a pattern."""
        if plane.unit == PIXEL:
            return cls(math.nan, math.inf, None)
        energy = image.acquisition.beam_energy_keV
        flat = energy and image.acquisition.modality == "SAED"
        return cls(plane.calibration.pixel_size, plane.calibration.scale_err,
                   wavelength_nm(energy) if flat and energy else None)

    def k(self, radius: Floats) -> Floats:
        """Wave numbers of radii.

        On a flat detector the radius is L tan 2 theta, the wave number 2 sin theta / lambda; the
        stated scale is that of small angles.
        """
        proportional = np.asarray(radius, dtype=float) * self.per_px
        if self.wavelength_nm is None:
            return proportional
        return np.asarray(2 * np.sin(np.arctan(self.wavelength_nm * proportional) / 2)
                          / self.wavelength_nm)


@dataclass(frozen=True)
class Found:
    """All that was found in a pattern.

    Parameters
    ----------
    plane, scale, centred
        What was measured, and where its centre is.
    fitted
        The azimuthal mean; `numbers` says which of its peaks are rings.
    spreads
        Of the rings.
    polar
        The pattern in polar cells.
    """

    plane: Plane
    scale: Scale
    centred: Centred
    fitted: Fitted
    numbers: tuple[int, ...]
    spreads: tuple[Spread, ...]
    polar: Cells

    @property
    def radius(self) -> Floats:
        """Radii in px."""
        return np.array([self.fitted.peaks[i].radius for i in self.numbers])

    @property
    def radius_err(self) -> Floats:
        """1 sigma, with what the centre's and the ellipse's leave where a ring is seen in part."""
        own = np.array([self.fitted.err(i)[0] for i in self.numbers])
        geometry = [self._geometry_err(n) for n in range(len(self.numbers))]
        return np.asarray(np.hypot(own, geometry))

    def _geometry_err(self, n: int) -> float:
        # The mean looks where the ring is bright.
        bright = np.nan_to_num(np.maximum(self.spreads[n].brightness, 0.0))
        half = self.fitted.peaks[self.numbers[n]].radius / 2
        azimuth = self.polar.azimuths
        shift = np.array([-np.sin(azimuth), np.cos(azimuth), half * np.cos(2 * azimuth),
                          half * np.sin(2 * azimuth)]) @ bright / max(bright.sum(), 1e-300)
        return float(np.sqrt(max(shift @ self.centred.covariance @ shift, 0.0)))

    @property
    def fwhm(self) -> tuple[Floats, Floats]:
        """Widths in px without what sampling adds, and their 1 sigma."""
        drawn = np.array([self.fitted.peaks[i].fwhm for i in self.numbers])
        err = np.array([self.fitted.err(i)[1] for i in self.numbers])
        fwhm = np.sqrt(np.maximum(drawn**2 - SAMPLING_FWHM2, 0.25))
        return fwhm, err * np.minimum(drawn / fwhm, 4.0)

    def seen(self) -> Seen:
        """Return the rings as what has to be explained."""
        areas = np.array([self.fitted.area(i) for i in self.numbers]).reshape(-1, 2)
        calibrated = math.isfinite(self.scale.err)
        radius, err = self.radius, self.radius_err
        span = self.fitted.profile.radius[[0, -1]]
        k = self.scale.k(radius) if calibrated else radius
        return Seen(k, err * k / radius, self.fwhm[0] * k / radius, areas[:, 0], areas[:, 1],
                    self.scale.err if calibrated else math.inf,
                    tuple(self.scale.k(span) if calibrated else span))


def ring_rows(found: Found, verdict: Verdict, instrument: tuple[float, float] | None) -> list[Row]:
    """Return the rows of the table of rings."""
    radius, radius_err = found.radius, found.radius_err
    fwhm, fwhm_err = found.fwhm
    k = found.scale.k(radius)
    per_px = np.where(radius > 0, k / radius, math.nan)
    areas = np.array([found.fitted.area(i)[0] for i in found.numbers])
    rows = []
    for n, number in enumerate(found.numbers):
        peak, spread = found.fitted.peaks[number], found.spreads[n]
        size, size_err = crystallite(fwhm[n] * per_px[n], fwhm_err[n] * per_px[n], instrument)
        rows.append({
            "ring": n + 1, "radius_px": radius[n], "radius_err_px": radius_err[n],
            "k_per_nm": k[n], "k_err_per_nm": radius_err[n] * per_px[n],
            "d_spacing_nm": 1 / k[n], "d_spacing_err_nm": radius_err[n] / radius[n] / k[n],
            "fwhm_px": fwhm[n], "fwhm_err_px": fwhm_err[n],
            "fwhm_per_nm": fwhm[n] * per_px[n], "fwhm_err_per_nm": fwhm_err[n] * per_px[n],
            "crystallite_nm": size, "crystallite_err_nm": size_err,
            "intensity": areas[n] / areas.max(), "snr": peak.height / found.fitted.err(number)[2],
            "azimuth_percent": 100 * spread.share, "texture": spread.texture,
            "texture_deg": spread.direction_deg, "resolved": found.fitted.resolved(number),
            **_indexed(verdict, n)})
    return rows


def crystallite(
    fwhm: float, err: float, instrument: tuple[float, float] | None
) -> tuple[float, float]:
    """Scherrer size of a ring's width, all in 1/nm and nm; NaN where the width is not the ring's.

    Parameters
    ----------
    fwhm, err
        Width and 1 sigma.
    instrument
        Width that the instrument adds in quadrature, and 1 sigma; None: not known, and the size is
        a lower limit.

    References
    ----------
    Scherrer, Nachr. Ges. Wiss. Goettingen (1918) 98; K = 0.9 for the full width at half maximum:
    Patterson, Phys. Rev. 56 (1939) 978.
    """
    width, width_err = instrument or (0.0, 0.0)
    square = fwhm**2 - width**2
    square_err = 2 * math.hypot(fwhm * err, width * width_err)
    if not square > _BEYOND_INSTRUMENT * square_err:
        return math.nan, math.nan
    size = SCHERRER / math.sqrt(square)
    return size, size * square_err / (2 * square)


def _indexed(verdict: Verdict, n: int) -> Row:
    best = verdict.best
    if best is None or best.owner[n] < 0:
        return {}
    expected = best.expected[best.owner[n]]
    return {"phase": best.phases[best.owner[n]].name, "hkl": expected.hkl[best.line[n]],
            "d_reference_nm": 1 / expected.k[best.line[n]], "ambiguous": verdict.ambiguous}


def fraction_rows(found: Found, verdict: Verdict) -> list[Row]:
    """Return the rows of the table of phases."""
    best = verdict.best
    if best is None:
        return []
    rival = verdict.runner_up
    runner_up = f"{rival.label} {verdict.runner_up_score:.2f}" if rival else ""
    calibrated = math.isfinite(found.scale.err)
    return [{"phase": phase.name, "score": verdict.score,
             "rings": int(np.count_nonzero(best.owner == i)),
             "volume_percent": 100 * best.volumes[i],
             "volume_percent_err": 100 * best.volumes_err[i] if len(best.phases) > 1 else math.nan,
             "a_nm": phase.cell[0] * best.scale if calibrated else math.nan,
             "a_err_nm": phase.cell[0] * best.scale * _own_err(found, best) if calibrated
             else math.nan,
             "runner_up": runner_up, "ambiguous": verdict.ambiguous}
            for i, phase in enumerate(best.phases)]


def _own_err(found: Found, best: Candidate) -> float:
    """Statistical error of the scale that fits a phase, relative."""
    known = best.owner >= 0
    relative = (found.radius_err / found.radius)[known]
    return float((relative**-2.0).sum() ** -0.5)


def summary(found: Found | None, verdict: Verdict, outcome: str, plane: Plane,
            instrument: tuple[float, float] | None) -> dict[str, Any]:
    """Return the outcome, centre, ellipse, phase, size and scale."""
    said: dict[str, Any] = {"outcome": outcome}
    if found is not None:
        said |= _geometry(found)
        if found.numbers:
            said |= _sizes(found, instrument) | _named(found, verdict)
        broad = [p for p in found.fitted.peaks if p.broad]
        if broad:
            said["broad_maxima"] = "; ".join(_broad(found, p.radius, p.fwhm) for p in broad)
        if found.scale.wavelength_nm is not None:
            said["detector"] = "flat: radii were turned into wave numbers by the beam energy"
    said["unit"] = "px" if plane.unit == PIXEL else "nm"
    said["scale_err_percent"] = 100.0 * plane.calibration.scale_err if plane.unit != PIXEL \
        else math.nan
    if plane.unit == PIXEL:
        said["calibration"] = "none: radii are in pixels, spacings cannot be given"
    if plane.notes:
        said["masked"] = "; ".join(plane.notes)
    return said


def _geometry(found: Found) -> dict[str, Any]:
    geometry, covariance = found.centred.geometry, found.centred.covariance
    y_err, x_err, c_err, s_err = np.sqrt(np.maximum(np.diagonal(covariance), 0.0)).tolist()
    e = geometry.ellipticity
    along = np.array([geometry.e_cos, geometry.e_sin]) / max(e, 1e-12)
    e_err = float(np.hypot(along[0] * c_err, along[1] * s_err))
    said: dict[str, Any] = {
        "centre_y": Measured(geometry.y, y_err, "px"),
        "centre_x": Measured(geometry.x, x_err, "px"),
        "ellipticity": Measured(100 * e, 100 * e_err, "%"),
    }
    if e > 2 * e_err:
        said["ellipse_long_axis"] = Measured(geometry.axis_deg,
                                             math.degrees(0.5 * e_err / e), "deg")
    if not found.centred.settled:
        said["centre_note"] = "the centre did not settle: too little of the rings is seen"
    return said


def _sizes(found: Found, instrument: tuple[float, float] | None) -> dict[str, Any]:
    if not math.isfinite(found.scale.per_px):
        return {}
    fwhm, err = found.fwhm
    per_px = found.scale.k(found.radius) / found.radius
    sizes = np.array([crystallite(f * s, e * s, instrument)
                      for f, e, s in zip(fwhm, err, per_px, strict=True)])
    # Several rings that lie together are broad, the crystals not small.
    single = np.array([found.fitted.resolved(i) for i in found.numbers])
    known = np.isfinite(sizes[:, 0]) & (single | ~single.any())
    if not known.any():
        return {"crystallites": "not measurable: the rings are no broader than the instrument's "
                                "width"}
    weight = sizes[known, 1] ** -2
    mean = float(np.average(sizes[known, 0], weights=weight))
    spread = np.average((sizes[known, 0] - mean) ** 2, weights=weight) / max(known.sum() - 1, 1)
    said: dict[str, Any] = {"crystallite_size": Measured(
        mean, float(np.hypot(weight.sum() ** -0.5, np.sqrt(spread))), "nm"),
        "scherrer_constant": SCHERRER}
    if instrument is None:
        said["crystallites"] = "lower limit: the instrument's width was not given"
    return said


def _named(found: Found, verdict: Verdict) -> dict[str, Any]:
    best = verdict.best
    if best is None:
        return {}
    said: dict[str, Any] = {"phase": best.label, "phase_score": verdict.score}
    if verdict.ambiguous and verdict.runner_up is not None:
        said["ambiguous_with"] = verdict.runner_up.label
    if math.isfinite(found.scale.err):
        said["scale_measured_over_reference"] = 1 / best.scale
    else:
        # One pixel in 1/nm, by the phase.
        said["pixel_size_by_phase"] = Measured(best.scale, best.scale * _own_err(found, best),
                                               "1/nm")
    return said


def _broad(found: Found, radius: float, fwhm: float) -> str:
    if not math.isfinite(found.scale.per_px):
        return f"at {radius:.0f} px, {fwhm:.0f} px wide"
    k, width = found.scale.k(np.array([radius]))[0], fwhm * found.scale.per_px
    return f"at {k:.2f} 1/nm, {width:.2f} 1/nm wide (amorphous, or crystals below " \
           f"{SCHERRER / width:.1f} nm)"


def ellipse(geometry: Geometry, radius: float) -> Floats:
    """``(n, 2)``: points ``(y, x)`` in px of a ring as it lies in the picture."""
    turn = np.linspace(0.0, 2 * np.pi, _CORNERS, endpoint=False)
    round_ = radius * np.column_stack([-np.sin(turn), np.cos(turn)])
    return np.asarray([geometry.y, geometry.x] + round_ @ np.linalg.inv(geometry.matrix).T)


def layers(found: Found, rings: pd.DataFrame) -> tuple[Layer, ...]:
    """Return the rings as polygons and the centre as a point, on the pattern."""
    plane = found.plane
    unit = plane.unit
    scale = tuple(np.hypot(*plane.calibration.matrix.T)) if unit != PIXEL else (1.0, 1.0)
    common = {"scale": scale, "units": (unit, unit), "metadata": {"space": "image"}}
    geometry = found.centred.geometry
    polygons = [ellipse(geometry, radius) for radius in found.radius]
    features = {name: rings[name].to_numpy() for name in rings.columns}
    return (
        (polygons, {"name": "rings", "shape_type": "polygon", "features": features,
                    "face_color": "transparent", "edge_color": "yellow", **common}, "shapes"),
        (np.array([[geometry.y, geometry.x]]), {"name": "centre", "symbol": "cross", **common},
         "points"),
    )


def details(found: Found, verdict: Verdict, gain: float) -> dict[str, pd.DataFrame]:
    """Return the azimuthal mean with its model, the rings along the azimuth, and the geometry.

    `gain` is what the picture's values were multiplied with.  The radius of a pixel is the length
    of ((yy, yx), (xy, xx)) @ ((y, x) - centre).
    """
    profile, offset = found.fitted.profile, found.plane.offset
    known = {"radius_px": profile.radius, "k_per_nm": found.scale.k(profile.radius),
             "mean": (profile.mean + offset) / gain, "mean_err": profile.err / gain,
             "ground": (found.fitted.ground + offset) / gain,
             "model": (found.fitted.total + offset) / gain,
             "coverage": profile.coverage}
    geometry = found.centred.geometry
    (yy, yx), (xy, xx) = geometry.matrix
    place = {"centre_y_px": geometry.y, "centre_x_px": geometry.x,
             "yy": yy, "yx": yx, "xy": xy, "xx": xx}
    azimuth = pd.DataFrame({"azimuth_deg": np.degrees(found.polar.azimuths)} | {
        f"ring_{n + 1}": spread.brightness for n, spread in enumerate(found.spreads)})
    said = {"profile": pd.DataFrame(known), "azimuth": azimuth,
            "geometry": pd.DataFrame([place])}
    if verdict.best is not None:
        said["expected"] = pd.concat([pd.DataFrame({
            "phase": phase.name, "hkl": one.hkl, "k_measured": one.k / verdict.best.scale,
            "intensity": one.intensity * volume})
            for phase, one, volume in zip(verdict.best.phases, verdict.best.expected,
                                          verdict.best.volumes, strict=True)], ignore_index=True)
    return said


def spot_rows(spots: list[Spot], verdict: SpotVerdict, plane: Plane) -> list[Row]:
    """Return the rows of the table of spots."""
    calibrated = plane.unit != PIXEL
    size = plane.calibration.pixel_size
    rows = []
    for number, spot in enumerate(spots, start=1):
        length, err = (spot.length, spot.length_err) if calibrated else (math.nan, math.nan)
        rows.append({
            "spot": number, "k_per_nm": length, "k_err_per_nm": err, "d_spacing_nm": 1 / length,
            "d_spacing_err_nm": err / length**2, "radius_px": spot.length / size,
            "angle_deg": float(line_angle_deg(spot.k)), "snr": spot.fringes.snr,
            "hkl": verdict.best.hkl[number - 1] if verdict.best else "",
            "ambiguous": verdict.ambiguous})
    return rows


def net_summary(net: Net, verdict: SpotVerdict) -> dict[str, Any]:
    """Return what is said of a single-crystal pattern."""
    steps = np.linalg.norm(net.basis, axis=1)
    cosine = float(net.basis[0] @ net.basis[1] / steps.prod())
    said: dict[str, Any] = {
        "spots_on_net": len(net.places), "net_share_percent": 100 * net.share,
        "net_steps_px": f"{min(steps):.2f} and {max(steps):.2f}, "
                        f"{math.degrees(math.acos(abs(cosine))):.2f} degrees apart",
        "central_beam": f"taken at row {net.origin[0]:.1f}, column {net.origin[1]:.1f}, where the "
                        "net is its own image best",
    }
    if verdict.best is not None:
        said["phase"] = verdict.best.label
        said["zone_axis"] = verdict.best.zone_axis
        if verdict.runner_up is not None:
            said["runner_up"] = verdict.runner_up.label
    return said
