"""Crystals in projection, HAADF-like and HRTEM-like."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from emtools.crystal import Phase, hkl_text
from emtools.crystal import phase as phase_of
from emtools.errors import ParameterError
from emtools.model import Acquisition, Source
from emtools.model.image import plane_image
from emtools.simulate._detector import (
    Detector,
    checked,
    generator,
    row_shifts,
    texture,
    uneven_ground,
)
from emtools.simulate._lattice import Visible, Waves, projected_cell, reflection_rows
from emtools.simulate._optics import Optics, amorphous_film
from emtools.simulate._truth import CHAIN_TABLES, GRAINS, REFLECTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emtools.simulate._truth import Simulated

    Floats = NDArray[np.float64]
    Row = dict[str, Any]

SUPERSAMPLING = 4
EVERY = slice(None)
BEAM_KEV = {"HAADF": 200.0, "TEM": 300.0}
CONTRAST = {"HAADF": 1.0, "TEM": 0.15}


class Grain(NamedTuple):
    """One crystal of a picture of several.

    Parameters
    ----------
    phase
        Name of a built-in phase, path of a CIF file, or a `Phase`.
    zone_axis
        Direction towards the viewer.
    rotation_deg
        Turn, counter-clockwise, from the frame of `Phase.in_zone`.
    y_nm, x_nm
        Centre, measured from the middle of the frame (y down).
    diameter_nm
        Diameter of a ball; None: the grain fills what is nearer to it than to other such grains.
    """

    phase: str | Phase
    zone_axis: tuple[int, int, int] = (0, 0, 1)
    rotation_deg: float = 0.0
    y_nm: float = 0.0
    x_nm: float = 0.0
    diameter_nm: float | None = None


@dataclass(frozen=True)
class _Frame:
    """Where the pixels of a picture lie on the sample."""

    shape: tuple[int, int]
    pixel_size_nm: float
    distortion: Floats
    shifts_nm: Floats

    @property
    def middle_px(self) -> tuple[float, float]:
        return (self.shape[0] - 1) / 2, (self.shape[1] - 1) / 2

    def offsets_nm(self, factor: int = 1) -> tuple[Floats, Floats]:
        """Nominal positions of rows and of columns from the middle, `factor` to a pixel."""
        fine = ((np.arange(n * factor) + 0.5) / factor - 0.5 for n in self.shape)
        y, x = (self.pixel_size_nm * (p - m) for p, m in zip(fine, self.middle_px, strict=True))
        return y, x

    def sample_positions(
        self, factor: int = 1, rows: slice = EVERY, columns: slice = EVERY
    ) -> tuple[Floats, Floats]:
        """True positions (y, x) of pixels from the middle, with distortion and row shifts."""
        fine_rows, fine_columns = _finer(rows, factor), _finer(columns, factor)
        y, x = self.offsets_nm(factor)
        y, x = y[fine_rows], x[fine_columns]
        shifts = np.repeat(self.shifts_nm, factor, axis=0)[fine_rows]
        (yy, yx), (xy, xx) = self.distortion
        true_y = yy * y[:, None] + yx * x + shifts[:, :1]
        true_x = xy * y[:, None] + xx * x + shifts[:, 1:]
        return true_y, true_x

    def lattice(self, waves: Waves, grain: Grain) -> Floats:
        """The grain's lattice over the whole frame."""
        y, x = self.offsets_nm()
        # The grain's centre, and each row's error, is seen through the distortion.
        origin = np.array([grain.y_nm, grain.x_nm])
        inverse = np.linalg.inv(self.distortion)
        shifts = (self.shifts_nm - origin) @ inverse.T
        return waves.transformed(self.distortion).draw_scanned(y, x, shifts)


def crystal(
    phase: str | Phase = "PbS",
    zone_axis: tuple[int, int, int] = (0, 0, 1),
    *,
    shape: tuple[int, int] = (512, 512),
    pixel_size_nm: float = 0.02,
    rotation_deg: float = 0.0,
    modality: Literal["HAADF", "TEM"] = "HAADF",
    particle_nm: float | None = None,
    grains: tuple[Grain, ...] | None = None,
    contrast: float | None = None,
    blur_nm: float = 0.08,
    thickness_nm: float = 5.0,
    thickness_ramp: float = 0.0,
    tilt_deg: tuple[float, float] = (0.0, 0.0),
    background: float = 0.3,
    background_gradient: float = 0.0,
    film: float = 0.03,
    defocus_nm: float = 60.0,
    cs_mm: float = 1.2,
    beam_energy_keV: float | None = None,
    counts: float | None = 100.0,
    read_noise: float = 0.0,
    line_noise: float = 0.0,
    scan_noise_nm: float = 0.0,
    drift_nm: tuple[float, float] = (0.0, 0.0),
    distortion: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 0.0), (0.0, 1.0)),
    stated_pixel_size_nm: float | None = None,
    rng: int | np.random.Generator | None = 0,
) -> Simulated:
    """Simulate an image of a crystal seen along a zone axis.

    The projected atom columns are drawn as the exact waves of the zero-order Laue zone, so that
    spacings and angles are right to the last bit at any pixel size.  HAADF: columns of Z^1.7 seen
    by a Gaussian probe on a bright ground.  TEM: the same plane lattice through the phase-contrast
    transfer of a lens (amplitudes and signs change, positions do not), with an amorphous film that
    shows Thon rings; linear imaging, no dynamical diffraction.

    Parameters
    ----------
    phase
        Name of a built-in phase, path of a CIF file, or a `Phase`.
    zone_axis
        Direction towards the viewer.
    shape
        Rows and columns.
    pixel_size_nm
        True size of the pixels.
    rotation_deg
        Turn of the crystal, counter-clockwise, from the frame of `Phase.in_zone`.
    modality
        ``HAADF`` or ``TEM``.
    particle_nm
        Diameter of a ball-shaped crystal in the middle; None for one that fills the frame.
    grains
        Several crystals, in place of phase, zone axis, rotation and particle.
    contrast
        HAADF: 1 (the default) is the full projection.  TEM: amplitude of the strongest fringes,
        0.15 by default.
    blur_nm
        FWHM of the probe (HAADF) or of the detector's spread (TEM).
    thickness_nm
        Thickness over which a tilt damps reflections.
    thickness_ramp
        Relative change of thickness from the left to the right border.
    tilt_deg
        Tilt ``(y, x)`` off the zone axis; weakens the reflections along it.
    background
        HAADF: brightness of the ground, relative to the mean crystal.
    background_gradient
        Difference of ground across the frame, relative to the mean crystal.
    film
        RMS contrast of the amorphous film.
    defocus_nm
        Underfocus positive (TEM).
    cs_mm
        Spherical aberration (TEM).
    beam_energy_keV
        200 (HAADF) or 300 (TEM) if None.
    counts
        Mean counts in a pixel where the ideal image is 1 (the mean crystal in HAADF, the empty beam
        in TEM), Poisson distributed.  None: the ideal image.
    read_noise
        1 sigma in counts.
    line_noise
        1 sigma of each row's own brightness, relative to an ideal image of 1.
    scan_noise_nm
        1 sigma of each scan row's jump along y and x.
    drift_nm
        Drift ``(y, x)`` of the crystal from the first to the last row.
    distortion
        2x2, ``(y, x)``: true position = distortion @ position from the pixel size.  The image says
        nothing of it (its own `distortion` stays the identity).
    stated_pixel_size_nm
        What the image claims its pixel size to be; None for the truth.
    rng
        Seed or generator (SPEC 7).

    Returns
    -------
    Image
        float32, in counts.
    dict of DataFrame
        ``reflections`` (with the extra column `amplitude`) and ``grains``, of the true crystal; the
        chain tables with zero rows.

    Examples
    --------
    >>> image, truth = crystal("PbS", (0, 0, 1), shape=(128, 128))
    >>> truth["reflections"].d_spacing_nm.round(4).tolist()[:2]
    [0.2968, 0.2968]
    """
    if modality not in ("HAADF", "TEM"):
        raise ParameterError("modality", f"{modality!r} is not known", "give HAADF or TEM")
    random = generator(rng)
    shifts = row_shifts(shape[0], scan_noise_nm, drift_nm, random)
    pixel = checked("pixel_size_nm", pixel_size_nm, strict=True)
    frame = _Frame(shape, pixel, np.asarray(distortion, dtype=float), shifts)
    energy = beam_energy_keV or BEAM_KEV[modality]
    optics = Optics(energy, defocus_nm, cs_mm)
    visible = Visible(modality, 0.5 / pixel, checked("blur_nm", blur_nm), optics,
                      CONTRAST[modality] if contrast is None else contrast, tilt_deg, thickness_nm)
    if grains is None:
        grains = (Grain(phase, zone_axis, rotation_deg, diameter_nm=particle_nm),)
    detector = Detector(counts, read_noise, line_noise)
    lattice, truth = _draw(grains, frame, visible, detector.gain)
    ideal = lattice * (1.0 + thickness_ramp * np.linspace(-0.5, 0.5, shape[1]))
    if modality == "HAADF":
        ideal += background * (1.0 + film * texture(shape, 0.3, pixel, random))
    else:
        ideal += 1.0 + film * amorphous_film(shape, pixel, optics, random)
    ideal += uneven_ground(shape, background_gradient, random)
    seen = Acquisition(modality=modality, beam_energy_keV=energy)
    return plane_image(detector.expose(ideal, random), stated_pixel_size_nm or pixel,
                       acquisition=seen, source=Source(signal="simulated crystal")), truth


def _draw(
    grains: Sequence[Grain], frame: _Frame, visible: Visible, gain: float
) -> tuple[Floats, dict[str, Any]]:
    """Return the lattices (with their mean in HAADF) and the truth."""
    total = np.zeros(frame.shape)
    reflections: list[Row] = []
    rows: list[Row] = []
    for number, (grain, thickness) in enumerate(_thicknesses(grains, frame), start=1):
        phase = phase_of(grain.phase)
        waves = visible.waves(phase, grain.zone_axis, grain.rotation_deg)
        mean = 1.0 if visible.modality == "HAADF" else 0.0
        total += thickness * (mean + frame.lattice(waves, grain))
        reflections += reflection_rows(waves, phase, number, len(reflections) + 1, gain)
        shown = int(np.count_nonzero(thickness))
        rows.append({"grain": number, **_grain_row(grain, phase, frame, waves, shown)})
    tables = {name: table.frame() for name, table in CHAIN_TABLES.items()}
    tables |= {"reflections": REFLECTIONS.frame(reflections), "grains": GRAINS.frame(rows)}
    return total, tables


def _thicknesses(grains: Sequence[Grain], frame: _Frame) -> list[tuple[Grain, Floats]]:
    """Each grain with its relative thickness: a ball, or 1 where it is the nearest grain."""
    filling = [grain for grain in grains if grain.diameter_nm is None]
    found = []
    for grain in grains:
        if grain.diameter_nm is not None:
            found.append((grain, _ball(grain, frame)))
        elif len(filling) == 1:
            found.append((grain, np.ones(frame.shape)))
        else:
            found.append((grain, _nearest(grain, filling, frame)))
    return found


def _finer(span: slice, factor: int) -> slice:
    """The same span of pixels with `factor` samples to a pixel."""
    if span == EVERY:
        return span
    return slice(span.start * factor, span.stop * factor)


def _ball(grain: Grain, frame: _Frame) -> Floats:
    radius = checked("particle_nm", grain.diameter_nm or 0.0, strict=True) / 2
    thickness = np.zeros(frame.shape)
    y, x = frame.sample_positions()
    near = np.hypot(y - grain.y_nm, x - grain.x_nm) < radius + 2 * frame.pixel_size_nm
    if not near.any():
        return thickness
    rows, columns = (_span(np.any(near, axis=axis, keepdims=True).ravel()) for axis in (1, 0))
    y, x = frame.sample_positions(SUPERSAMPLING, rows, columns)
    square = ((y - grain.y_nm) ** 2 + (x - grain.x_nm) ** 2) / radius**2
    thickness[rows, columns] = _binned(np.sqrt(np.maximum(0.0, 1.0 - square)), SUPERSAMPLING)
    return thickness


def _span(used: NDArray[np.bool_]) -> slice:
    where = np.flatnonzero(used)
    return slice(int(where[0]), int(where[-1]) + 1)


def _nearest(grain: Grain, filling: Sequence[Grain], frame: _Frame) -> Floats:
    y, x = frame.sample_positions(2)
    distances = [(y - other.y_nm) ** 2 + (x - other.x_nm) ** 2 for other in filling]
    own = next(index for index, other in enumerate(filling) if other is grain)
    return _binned((np.argmin(distances, axis=0) == own).astype(float), 2)


def _binned(fine: Floats, factor: int) -> Floats:
    rows, columns = fine.shape[0] // factor, fine.shape[1] // factor
    return np.asarray(fine.reshape(rows, factor, columns, factor).mean(axis=(1, 3)))


def _grain_row(grain: Grain, phase: Phase, frame: _Frame, waves: Waves, shown: int) -> Row:
    u, v, angle = projected_cell(waves.g_yx_per_nm)
    pixel_area = frame.pixel_size_nm**2 * abs(float(np.linalg.det(frame.distortion)))
    area = shown * pixel_area
    if grain.diameter_nm is not None:
        # The count includes pixels that the rim only touches.
        area = min(area, math.pi * grain.diameter_nm**2 / 4)
    middle_y, middle_x = (frame.pixel_size_nm * p for p in frame.middle_px)
    return {
        "y_nm": middle_y + grain.y_nm, "x_nm": middle_x + grain.x_nm, "area_nm2": area,
        "phase": phase.name, "zone_axis": hkl_text(grain.zone_axis),
        "rotation_deg": grain.rotation_deg, "a_nm": phase.cell[0], "u_nm": u, "v_nm": v,
        "uv_angle_deg": angle,
    }
