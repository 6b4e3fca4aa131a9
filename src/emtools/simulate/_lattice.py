"""Lattices in an image: projected reflections, drawn as exact waves at sub-pixel positions."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from emtools.crystal import Phase, hkl_text
from emtools.model.calibration import line_angle_deg
from emtools.simulate._detector import probe_transfer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emtools.simulate._optics import Optics

    Floats = NDArray[np.float64]

# Waves weaker than this, relative to the strongest, are left out of image and truth.
WEAKEST = 1e-3


@dataclass(frozen=True)
class Waves:
    """Half of the reflections of a zone (one of each Friedel pair) as waves on the screen.

    The drawn lattice is ``sum(Re(amplitude * exp(2 pi i g.r)))``, with mean 0.

    Parameters
    ----------
    hkl
        ``(n, 3)``.
    g_yx_per_nm
        ``(n, 2)``, rows running down; the member that points to the upper half of the screen.
    amplitude
        ``(n,)`` complex.
    """

    hkl: NDArray[np.int64]
    g_yx_per_nm: Floats
    amplitude: NDArray[np.complex128]

    def draw(self, y_nm: Floats, x_nm: Floats) -> Floats:
        """Return the lattice on the grid ``y_nm`` (rows) by ``x_nm`` (columns)."""
        along_y = np.exp(2j * np.pi * np.outer(y_nm, self.g_yx_per_nm[:, 0]))
        return self._compose(along_y, x_nm)

    def draw_scanned(self, y_nm: Floats, x_nm: Floats, shifts_nm: Floats) -> Floats:
        """As `draw`, each row looking ``shifts_nm[row]`` (y, x) away from its place."""
        rows = np.stack([y_nm + shifts_nm[:, 0], shifts_nm[:, 1]], axis=1)
        return self._compose(np.exp(2j * np.pi * rows @ self.g_yx_per_nm.T), x_nm)

    def _compose(self, along_y: NDArray[np.complex128], x_nm: Floats) -> Floats:
        # exp(2 pi i (gy y + gx x)) separates, so the sum over waves is one matrix product.
        along_x = np.exp(2j * np.pi * np.outer(self.g_yx_per_nm[:, 1], x_nm))
        return np.asarray(((along_y * self.amplitude) @ along_x).real)

    def transformed(self, matrix: Floats) -> Waves:
        """Return the waves with g replaced by matrix.T @ g (positions drawn are matrix @ r)."""
        return Waves(self.hkl, self.g_yx_per_nm @ matrix, self.amplitude)


@dataclass(frozen=True)
class Visible:
    """What of a lattice an image can show.

    Parameters
    ----------
    modality
        ``HAADF``: columns of Z^1.7 seen by a probe.  ``TEM``: phase contrast.
    max_k_per_nm
        Highest frequency drawn (the pixels' Nyquist limit).
    blur_nm
        FWHM of the probe.
    optics
        Objective lens, for TEM.
    contrast
        HAADF: 1 is the full projection.  TEM: amplitude of the strongest fringes.
    tilt_yx_deg, thickness_nm
        Tilt off the zone axis and the thickness that it is felt over.
    """

    modality: Literal["HAADF", "TEM"]
    max_k_per_nm: float
    blur_nm: float
    optics: Optics
    contrast: float
    tilt_yx_deg: tuple[float, float] = (0.0, 0.0)
    thickness_nm: float = 5.0

    def waves(
        self, phase: Phase, zone_axis: Sequence[int], rotation_deg: float
    ) -> Waves:
        """Return the waves of a crystal turned counter-clockwise by `rotation_deg`."""
        zone = phase.in_zone(zone_axis, 1.0 / self.max_k_per_nm, self.modality)
        g = zone.g_yx_per_nm @ turn(rotation_deg).T
        # Exactly one of g and -g has an up-screen part (or, along the row, points right).
        upper = (g[:, 0] < -1e-9) | ((np.abs(g[:, 0]) <= 1e-9) & (g[:, 1] > 0))
        hkl, g, factor = zone.hkl[upper], g[upper], 2.0 * zone.structure_factor[upper]
        amplitude = factor * self._transfer(g)
        strongest = np.abs(amplitude).max(initial=0.0)
        if self.modality == "TEM" and strongest:
            amplitude = amplitude / strongest
        amplitude = self.contrast * amplitude
        keep = np.abs(amplitude) > WEAKEST * np.abs(amplitude).max(initial=0.0)
        return Waves(hkl[keep], g[keep], amplitude[keep])

    def _transfer(self, g: Floats) -> Floats:
        k2 = np.sum(g**2, axis=1)
        # Excitation error to first order, felt as sin(x) / x over the thickness.
        excitation = g @ np.radians(np.asarray(self.tilt_yx_deg, dtype=float))
        rocking = np.sinc(excitation * self.thickness_nm)
        lens = probe_transfer(k2, self.blur_nm)
        if self.modality == "TEM":
            # Scherzer focus shows atoms dark: sin(chi) is negative there.
            lens = lens * self.optics.transfer(k2)
        return np.asarray(rocking * lens)


def turn(degrees: float) -> Floats:
    """Matrix that turns (y, x) vectors counter-clockwise as seen on the screen."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s], [s, c]])


def reflection_rows(
    waves: Waves, phase: Phase, grain: int, first: int, gain: float
) -> list[dict[str, Any]]:
    """Rows of the truth table `reflections`, longest spacing first."""
    angles = line_angle_deg(waves.g_yx_per_nm)
    return [
        {"reflection": first + row, "grain": grain, "d_spacing_nm": 1.0 / k, "k_per_nm": k,
         "angle_deg": float(angles[row]), "phase": phase.name, "hkl": hkl_text(waves.hkl[row]),
         "amplitude": gain * float(np.abs(waves.amplitude[row]))}
        for row, k in enumerate(np.hypot(*waves.g_yx_per_nm.T).tolist())
    ]


def projected_cell(g: Floats) -> tuple[float, float, float]:
    """Reduced real-space cell of the lattice whose reciprocal vectors are `g`.

    Parameters
    ----------
    g
        ``(n, 2)``, 1/nm.

    Returns
    -------
    tuple of float
        u and v in nm (u <= v) and the angle between them, 60 to 90 degrees; NaN where the vectors
        are all along one line.
    """
    shortest = g[np.argsort(np.hypot(*g.T), kind="stable")][:16]
    best: Floats | None = None
    for pair in itertools.combinations(shortest, 2):
        basis = np.array(pair)
        if abs(np.linalg.det(basis)) < 1e-6:
            continue
        coordinates = shortest @ np.linalg.inv(basis)
        if np.abs(coordinates - np.round(coordinates)).max() < 1e-3:
            best = basis
            break
    if best is None:
        return math.nan, math.nan, math.nan
    u, v = _reduced(np.asarray(np.linalg.inv(best).T, dtype=np.float64))
    cosine = abs(float(u @ v)) / float(np.linalg.norm(u) * np.linalg.norm(v))
    angle = math.degrees(math.acos(min(1.0, cosine)))
    return float(np.linalg.norm(u)), float(np.linalg.norm(v)), angle


def _reduced(basis: Floats) -> tuple[Floats, Floats]:
    """Lagrange reduction: the two shortest vectors of a plane lattice."""
    u, v = sorted(basis, key=lambda vector: float(vector @ vector))
    while True:
        v = v - np.round((u @ v) / (u @ u)) * u
        if v @ v >= u @ u * (1 - 1e-9):
            return u, v
        u, v = v, u
