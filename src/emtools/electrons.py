"""The electron beam: wavelength, interaction constant, and angles against spatial frequencies."""

from __future__ import annotations

import math

# CODATA 2018.
PLANCK_J_S = 6.62607015e-34
ELECTRON_MASS_KG = 9.1093837015e-31
ELEMENTARY_CHARGE_C = 1.602176634e-19
LIGHT_SPEED_M_PER_S = 299792458.0


def wavelength_nm(beam_energy_keV: float) -> float:
    """Relativistic wavelength of an electron.

    Parameters
    ----------
    beam_energy_keV
        Kinetic energy in keV (the acceleration voltage in kV).

    Returns
    -------
    float
        Wavelength in nm.

    Raises
    ------
    ValueError
        If the energy is not positive.

    References
    ----------
    Kirkland, Advanced Computing in Electron Microscopy, 3rd ed. (2020), eq. 2.5.

    Examples
    --------
    >>> round(wavelength_nm(300.0) * 1000, 4)
    1.9687
    """
    if not beam_energy_keV > 0:
        raise ValueError(f"beam energy must be positive, not {beam_energy_keV} keV")
    energy_j = beam_energy_keV * 1e3 * ELEMENTARY_CHARGE_C
    rest_j = ELECTRON_MASS_KG * LIGHT_SPEED_M_PER_S**2
    momentum = math.sqrt(energy_j * (energy_j + 2 * rest_j)) / LIGHT_SPEED_M_PER_S
    return PLANCK_J_S / momentum * 1e9


def angle_mrad(k_per_nm: float, beam_energy_keV: float) -> float:
    """Scattering angle (2 theta) in mrad of the spatial frequency k = 1/d in 1/nm."""
    return 2e3 * math.asin(0.5 * k_per_nm * wavelength_nm(beam_energy_keV))


def k_per_nm(angle_mrad: float, beam_energy_keV: float) -> float:
    """Spatial frequency k = 1/d in 1/nm of the scattering angle (2 theta) in mrad."""
    return 2.0 * math.sin(0.5e-3 * angle_mrad) / wavelength_nm(beam_energy_keV)


def d_spacing_from_radius_nm(
    radius_mm: float, camera_length_mm: float, beam_energy_keV: float
) -> float:
    """Lattice spacing in nm of a ring of `radius_mm` at `camera_length_mm`.

    Uses the exact geometry tan(2 theta) = R / L; for small angles this is d = lambda L / R.
    """
    angle = 1e3 * math.atan2(radius_mm, camera_length_mm)
    return 1.0 / k_per_nm(angle, beam_energy_keV)
