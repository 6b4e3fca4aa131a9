"""What a silicon detector makes of X-ray lines, written down apart from the fit of spectra."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emtools import xrays
from emtools.units import FWHM_PER_SIGMA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BEAM_KEV = 200.0
_PARTS = np.concatenate([[0.0], np.geomspace(1e-4, 1.0, 60)])  # of the largest loss of charge


@dataclass(frozen=True)
class Spectrometer:
    """An energy axis and a silicon detector.

    Parameters
    ----------
    channels, channel_keV
        Energy axis; channel 0 is centred at 0 keV.
    mn_ka_fwhm_eV
        Resolution at Mn Ka.
    shift_eV, stretch
        A line of energy E is recorded at ``E (1 + stretch) + shift``.
    shallow_nm, lost
        Of the charge set free at depth z below the entrance the part ``lost exp(-z / shallow)`` is
        not collected.
    doublets
        Whether Ka1 and Ka2, La1 and La2 are two lines; otherwise each pair is one, at the energy of
        the first.
    soft_keV
        Below about that the window absorbs the continuum.
    """

    channels: int
    channel_keV: float
    mn_ka_fwhm_eV: float = 130.0
    shift_eV: float = 0.0
    stretch: float = 0.0
    shallow_nm: float = 0.0
    lost: float = 0.2
    doublets: bool = True
    soft_keV: float = 0.45

    @property
    def energies(self) -> Floats:
        """Centres of the channels in keV."""
        return np.asarray(self.channel_keV * np.arange(self.channels), dtype=np.float64)

    def line(self, line: xrays.Line) -> Floats:
        """Spectrum of one line of area 1, or of the two that it is."""
        if not self.doublets or not line.partner_share:
            return self.peak(line.energy_keV)
        return ((1.0 - line.partner_share) * self.peak(line.energy_keV)
                + line.partner_share * self.peak(line.energy_keV - line.partner_keV))

    def peak(self, energy_keV: float) -> Floats:
        """Spectrum of photons of one energy, area 1: Gaussians integrated over each channel.

        Depths of absorption are spread exponentially, so that the lost part has a power law.
        """
        absorbed = xrays.absorbed_per_nm(energy_keV) * self.shallow_nm
        if absorbed <= 0:
            return self._gaussian(energy_keV, energy_keV)
        shares = np.diff(_PARTS**absorbed)
        lost = self.lost * 0.5 * (_PARTS[1:] + _PARTS[:-1])
        return np.asarray(sum(share * self._gaussian(energy_keV, energy_keV * (1.0 - part))
                              for share, part in zip(shares, lost, strict=True)))

    def _gaussian(self, energy_keV: float, collected_keV: float) -> Floats:
        from scipy.special import erf

        fwhm = xrays.detector_fwhm_keV(energy_keV, self.mn_ka_fwhm_eV)
        edges = self.channel_keV * (np.arange(self.channels + 1) - 0.5)
        centre = collected_keV * (1.0 + self.stretch) + 1e-3 * self.shift_eV
        scaled = (edges - centre) * FWHM_PER_SIGMA / (fwhm * math.sqrt(2.0))
        return np.asarray(0.5 * np.diff(erf(scaled)))

    def bremsstrahlung(self) -> Floats:
        """Kramers' law behind a window that absorbs soft X-rays, of area 1."""
        energies = np.maximum(self.energies, self.channel_keV)
        spectrum = (BEAM_KEV - energies) / energies * np.exp(-((self.soft_keV / energies) ** 3))
        return np.asarray(spectrum / spectrum.sum())

    def lines(
        self, alphas: Mapping[tuple[str, str], float], ratio_err: float = 0.0,
        random: np.random.Generator | None = None,
    ) -> Floats:
        """All lines of the shells whose alpha lines are given.

        `ratio_err`: 1 sigma by which lines are off the tables' ratios to these.
        """
        total = np.zeros(self.channels)
        for (element, name), intensity in alphas.items():
            for line in xrays.family(element, name[0]):
                off = 1.0
                if random is not None and line.name != name:
                    off = max(1.0 + ratio_err * float(random.standard_normal()), 0.0)
                total += intensity * off * line.weight * self.line(line)
        return total
