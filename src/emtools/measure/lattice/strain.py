"""Strain of grains against a reference, and how it varies inside them.

Geometric phase analysis: the phase of the fringes of two reflections, brought down to frequency
zero, slopes where the local wave vectors differ from the reference (Hytch, Snoeck & Kilaas,
Ultramicroscopy 74 (1998) 131).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.measure.lattice.demodulate import demodulate, smoothed
from emtools.measure.lattice.derivatives import jacobian
from emtools.measure.lattice.free import collinear

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.lattice.domain import Domain
    from emtools.measure.lattice.free import FreeLattice
    from emtools.measure.lattice.grain import Grain
    from emtools.measure.lattice.spots import Spot
    from emtools.model import Calibration

    Floats = NDArray[np.float64]

_SPACINGS = 3.0  # FWHM of the averaging: finer, single fringes would show
_ALIKE = 0.15  # strain beyond which two grains are not the same lattice
_SEEN = 4.0  # amplitude over noise where a local wave vector means something
_FWHM = 2.3548
COMPONENTS = ("exx", "eyy", "exy", "rotation_deg")


@dataclass(frozen=True)
class StrainMap:
    """Strain inside one grain.

    Parameters
    ----------
    domain
        The grain's place; the fields are on its nodes.
    fields
        ``(4, nodes along y, nodes along x)``: exx, eyy, exy and rotation in degrees; NaN outside.
    errors
        Same shape, 1 sigma.
    """

    domain: Domain
    fields: Floats
    errors: Floats


def components(deformation: Floats) -> Floats:
    """Split deformation gradients into strain and rotation.

    Parameters
    ----------
    deformation
        ``(..., 2, 2)``, rows and columns in ``(y, x)`` order: local vector = deformation @
        reference vector.

    Returns
    -------
    ndarray
        ``(..., 4)``: exx, eyy, exy (small strains) and the rotation in degrees, counter-clockwise
        as seen on the screen.
    """
    (yy, yx), (xy, xx) = np.moveaxis(deformation, (-2, -1), (0, 1))
    # The rotation of the polar decomposition; y runs downwards.
    angle = np.arctan2(xy - yx, xx + yy)
    cos, sin = np.cos(angle), np.sin(angle)
    # Stretch = transposed rotation times deformation, rotation = [[cos, -sin], [sin, cos]] in yx.
    stretch_yy, stretch_yx = cos * yy + sin * xy, cos * yx + sin * xx
    stretch_xx = -sin * yx + cos * xx
    return np.stack([stretch_xx - 1, stretch_yy - 1, stretch_yx, np.degrees(angle)], axis=-1)


def strain_rows(grains: list[Grain], reference: FreeLattice | None) -> list[dict[str, Any]]:
    """Return the rows of the ``strain`` table.

    Parameters
    ----------
    grains
        All grains; those with another lattice than the reference have no row.
    reference
        What they are compared with; None: the largest grain.
    """
    known = [(n, grain) for n, grain in enumerate(grains, start=1) if grain.lattice is not None]
    if reference is None and known:
        reference = max(known, key=lambda one: one[1].domain.area_px)[1].lattice
    if reference is None:
        return []
    found = []
    for number, grain in known:
        assert grain.lattice is not None
        row = _row(grain.lattice, reference)
        if row is not None:
            found.append({"grain": number, **row})
    return found


def _row(lattice: FreeLattice, reference: FreeLattice) -> dict[str, float] | None:
    """Strain of one lattice: of all ways to name its vectors the one that deforms least."""
    basis, target = (np.array([one.u, one.v]) for one in (lattice, reference))
    # Whole numbers that make these reduced vectors out of those of the fitted basis.
    reductions = [np.rint(np.array([one.u, one.v]) @ one.reciprocal.T)
                  for one in (lattice, reference)]

    def deformation(own: Floats, turn: Floats, other: Floats) -> Floats:
        return np.asarray((turn @ own).T @ np.linalg.inv(other.T))

    # A lattice has many bases; one of the other hand would be seen in a mirror.
    hand = np.sign(np.linalg.det(basis) * np.linalg.det(target))
    choices = [np.array(numbers, dtype=float).reshape(2, 2)
               for numbers in product((-2, -1, 0, 1, 2), repeat=4)
               if numbers[0] * numbers[3] - numbers[1] * numbers[2] == hand]
    values = components(np.array([deformation(basis, turn, target) for turn in choices]))
    # Of equal strains the smallest turn.
    cost = np.abs(values[:, :3]).max(axis=1) + 1e-4 * np.abs(values[:, 3])
    best = int(np.argmin(cost))
    if np.abs(values[best, :3]).max() > _ALIKE:
        return None
    turn = choices[best]

    def from_reciprocal(parameters: Floats) -> Floats:
        own, other = (reduction @ _real_space(half.reshape(2, 2)) for reduction, half in
                      zip(reductions, np.split(parameters, 2), strict=True))
        return components(deformation(own, turn, other))

    parameters = np.concatenate([lattice.reciprocal.ravel(), reference.reciprocal.ravel()])
    slopes = jacobian(from_reciprocal, parameters, 1e-6 * float(np.abs(parameters).max()))
    covariance = np.zeros((8, 8))
    if lattice is not reference:
        covariance[:4, :4], covariance[4:, 4:] = lattice.covariance, reference.covariance
    errors = np.sqrt(np.einsum("ij,jk,ik->i", slopes, covariance, slopes))
    row = dict(zip(COMPONENTS, values[best].tolist(), strict=True))
    names = ("exx_err", "eyy_err", "exy_err", "rotation_err_deg")
    return row | dict(zip(names, errors.tolist(), strict=True))


def _real_space(reciprocal: Floats) -> Floats:
    """Rows: the real-space vectors of a reciprocal basis."""
    return np.asarray(np.linalg.inv(reciprocal).T, dtype=np.float64)


def strain_map(
    values: NDArray[np.float32], grain: Grain, calibration: Calibration,
    reference: FreeLattice | None, resolution: float | None,
) -> StrainMap | None:
    """Map the strain inside a grain.

    Parameters
    ----------
    values
        ``(y, x)``, flat.
    grain
        With at least two reflections that are not in a row; else None is returned.
    calibration
        Of the plane.
    reference
        Lattice that is free of strain; None: the grain's own mean.
    resolution
        FWHM of the averaging in the calibration's unit; None: three spacings.
    """
    pair = _pair(grain.spots)
    if pair is None:
        return None
    domain = grain.domain
    f = np.array([one.fringes.frequency for one in pair])
    blur = _SPACINGS / np.hypot(*f.T).min()
    if resolution is not None:
        blur = resolution / calibration.pixel_size
    sigma = max(blur / _FWHM, 1.0)
    local, errors, clear = _local_frequencies(values, domain, pair, sigma)
    target = _reference_frequencies(pair, calibration, reference)
    fields, spread = _deformations(local, errors, target, calibration)
    outside = ~(domain.inside & clear)
    fields[:, outside], spread[:, outside] = np.nan, np.nan
    return StrainMap(domain, fields, spread)


def _pair(spots: list[Spot]) -> tuple[Spot, Spot] | None:
    """The strongest two reflections that are not in a row."""
    order = sorted(spots, key=lambda s: -s.fringes.snr)
    second = next((s for s in order[1:] if not collinear(order[0].k, s.k)), None)
    return None if second is None else (order[0], second)


def _local_frequencies(
    values: NDArray[np.float32], domain: Domain, pair: tuple[Spot, Spot], sigma: float,
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Local frequencies ``(2, y, x, 2)``, their 1 sigma ``(2, y, x)``, and where they are clear."""
    f = np.array([one.fringes.frequency for one in pair])
    local = np.empty((2, *domain.envelope.shape, 2))
    errors = np.empty((2, *domain.envelope.shape))
    clear = np.ones(domain.envelope.shape, dtype=bool)
    for i, amplitude in enumerate(demodulate(domain.crop(values), f, domain.block)):
        mean, effective = smoothed(amplitude, domain.pixels, sigma / domain.block)
        # The slope of the mean is the least squares slope under the same Gaussian.
        slopes = np.stack([np.gradient(mean, domain.block, axis=axis) for axis in (0, 1)], axis=-1)
        power = np.maximum(np.abs(mean) ** 2, 1e-300)
        turning = np.imag(np.conj(mean)[..., None] * slopes) / power[..., None]
        local[i] = f[i] + turning / (2 * np.pi)
        noise = pair[i].fringes.noise
        errors[i] = np.sqrt(noise / (16 * np.pi * sigma**4 * power)) / (2 * np.pi)
        clear &= power > _SEEN**2 * noise / effective
    return local, errors, clear


def _reference_frequencies(
    pair: tuple[Spot, Spot], calibration: Calibration, reference: FreeLattice | None
) -> Floats:
    if reference is None:
        return np.array([one.fringes.frequency for one in pair])
    k = np.array([one.k for one in pair])
    nearest = np.rint(k @ np.linalg.inv(reference.reciprocal)) @ reference.reciprocal
    return calibration.cycles_per_pixel(nearest)


def _deformations(
    local: Floats, errors: Floats, target: Floats, calibration: Calibration
) -> tuple[Floats, Floats]:
    """Strain components ``(4, y, x)`` and their errors from local frequencies."""
    inverse = np.linalg.inv(calibration.matrix)
    k = np.moveaxis(local, 0, -2) @ inverse  # (y, x, 2 reflections, 2)
    target = target @ inverse
    # Rows of k transform with the inverse of the deformation from the right.
    deformation = np.linalg.solve(k, np.broadcast_to(target, k.shape))
    fields = np.moveaxis(components(deformation), -1, 0)
    # A wave vector's error turns into strain through the real-space basis of the pair.
    real = np.abs(np.linalg.inv(target))
    sigma = np.moveaxis(errors, 0, -1) / calibration.pixel_size
    along_y, along_x = (np.sqrt((sigma**2) @ (real[axis] ** 2)) for axis in (0, 1))
    mixed = 0.5 * np.hypot(along_y, along_x)
    return fields, np.stack([along_x, along_y, mixed, np.degrees(mixed)])
