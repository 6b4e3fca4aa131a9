"""Phase contrast: the transfer function of a TEM and the amorphous film that shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emtools.electrons import wavelength_nm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Optics:
    """The objective lens of a TEM.

    Parameters
    ----------
    beam_energy_keV
        Beam energy.
    defocus_nm
        Underfocus positive.
    cs_mm
        Spherical aberration.
    focal_spread_nm
        1 sigma of the focus (temporal coherence).
    convergence_mrad
        Half angle of illumination (spatial coherence).
    """

    beam_energy_keV: float = 300.0
    defocus_nm: float = 60.0
    cs_mm: float = 1.2
    focal_spread_nm: float = 4.0
    convergence_mrad: float = 0.15

    def aberration(self, k2: Floats) -> Floats:
        """Phase chi in radians at squared spatial frequency `k2` (1/nm2).

        References
        ----------
        Williams & Carter, Transmission Electron Microscopy, 2nd ed. (2009), eq. 28.9, with their
        overfocus-positive defocus written as -defocus_nm.
        """
        wavelength = wavelength_nm(self.beam_energy_keV)
        cs_nm = self.cs_mm * 1e6
        focus = -np.pi * wavelength * self.defocus_nm * k2
        return np.asarray(focus + 0.5 * np.pi * cs_nm * wavelength**3 * k2**2)

    def envelope(self, k2: Floats) -> Floats:
        """Damping by the spread of focus and by the convergence of the beam."""
        wavelength = wavelength_nm(self.beam_energy_keV)
        temporal = np.exp(-0.5 * (np.pi * wavelength * self.focal_spread_nm * k2) ** 2)
        slope = self.cs_mm * 1e6 * wavelength**2 * k2 - self.defocus_nm
        spatial = np.exp(-(np.pi * 1e-3 * self.convergence_mrad * slope) ** 2 * k2)
        return np.asarray(temporal * spatial)

    def transfer(self, k2: Floats) -> Floats:
        """Phase-contrast transfer: image contrast per radian of object phase."""
        return np.asarray(2.0 * np.sin(self.aberration(k2)) * self.envelope(k2))


def squared_frequencies(shape: tuple[int, int], pixel_size_nm: float) -> Floats:
    """|k|^2 in 1/nm2 of the coefficients of a real 2-D FFT."""
    ky = np.fft.fftfreq(shape[0], pixel_size_nm)
    kx = np.fft.rfftfreq(shape[1], pixel_size_nm)
    return np.asarray(ky[:, None] ** 2 + kx**2)


def amorphous_film(
    shape: tuple[int, int], pixel_size_nm: float, optics: Optics, rng: np.random.Generator
) -> Floats:
    """Image of a thin amorphous film (Thon rings in its spectrum): mean 0, rms 1."""
    # A few more rows and columns are made and cut off, so that opposite borders do not match.
    padded = (shape[0] + 16, shape[1] + 16)
    k2 = squared_frequencies(padded, pixel_size_nm)
    # Carbon's projected potential falls off with the size of its atoms, about 0.05 nm.
    scattering = np.exp(-2.0 * np.pi**2 * 0.03**2 * k2)
    noise = np.fft.rfft2(rng.standard_normal(padded)) * scattering * optics.transfer(k2)
    noise[0, 0] = 0.0
    film = np.fft.irfft2(noise, s=padded)[: shape[0], : shape[1]]
    return np.asarray(film / max(float(film.std()), 1e-30))


# Mean inner potential of a dense semiconductor, about 16 V, times the interaction constant at
# 200 kV, 7.3e-3 rad / (V nm).
PHASE_RAD_PER_NM = 0.12


def exit_wave_image(
    thickness_nm: Floats, absorption_per_nm: float, pixel_size_nm: float, optics: Optics
) -> Floats:
    """Image of a thin object by absorption and phase, with Fresnel fringes; 1 = empty beam."""
    margin = 32
    padded = np.pad(thickness_nm, margin, mode="edge")
    wave = np.exp((1j * PHASE_RAD_PER_NM - 0.5 * absorption_per_nm) * padded)
    k2 = (np.fft.fftfreq(padded.shape[0], pixel_size_nm)[:, None] ** 2
          + np.fft.fftfreq(padded.shape[1], pixel_size_nm) ** 2)
    lens = np.exp(-1j * optics.aberration(k2)) * optics.envelope(k2)
    image = np.abs(np.fft.ifft2(np.fft.fft2(wave) * lens)) ** 2
    return np.asarray(image[margin:-margin, margin:-margin])
