"""What a silicon detector does to energies, and what is known of that beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emtools import xrays
from emtools.units import FWHM_PER_SIGMA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_SHARPEST_EV = 20.0
_SOFT_KEV = 1.0  # above, no charge is lost near the surface
_LOSSES = np.array([0.0, 0.03, 0.08, 0.16, 0.28, 0.45, 0.7, 1.0])  # of the largest loss: groups
_NO_DEPTH = 1e-9


class Response(NamedTuple):
    """What the detector does to energies.

    Parameters
    ----------
    shift_eV, stretch, bend_eV
        A line of energy E is recorded at ``E (1 + stretch) + shift + bend exp(-E / 1 keV)`` on the
        stated axis: of soft X-rays some charge is lost near the surface.
    fwhm_eV, noise_eV
        Full widths at half maximum at Mn Ka, and of the electronics alone.
    escape
        Silicon escape peaks, 1 being as computed.
    efficiency
        Power of the computed efficiency by which lines of a family differ: 1 as computed, 0 where
        all lines are seen alike.
    shallow_nm, lost
        Of the charge that a photon sets free at depth z below the entrance, the part
        ``lost exp(-z / shallow)`` is not collected.
    partial
        Share of all photons, wherever they are stopped, of whose charge some is lost.
    split
        How far the two lines of doublets lie apart: 1 as in nature, 0 for spectra that were
        simulated without.
    """

    shift_eV: float = 0.0
    stretch: float = 0.0
    bend_eV: float = 0.0
    fwhm_eV: float = 130.0
    noise_eV: float = 45.0
    escape: float = 1.0
    efficiency: float = 1.0
    shallow_nm: float = 0.0
    lost: float = 0.2
    partial: float = 0.0
    split: float = 1.0

    def recorded(self, energies: Floats) -> Floats:
        """Where lines of some energies (keV) stand on the stated axis, in keV."""
        lost = self.bend_eV * np.exp(-np.maximum(energies, 0.0) / _SOFT_KEV)
        return np.asarray(energies * (1.0 + self.stretch) + 1e-3 * (self.shift_eV + lost))

    def sigma(self, energies: Floats) -> Floats:
        """1 sigma in keV of the peaks of some energies (keV)."""
        counted = (self.fwhm_eV**2 - self.noise_eV**2) * energies / xrays.MN_KA_KEV
        squared = np.maximum(self.noise_eV**2 + counted, _SHARPEST_EV**2)
        return np.asarray(1e-3 * np.sqrt(squared) / FWHM_PER_SIGMA)

    def losses(self, absorbed: Floats) -> tuple[Floats, Floats, Floats]:
        """How much of their charge photons lose, as a few groups ``(groups, p)`` of them.

        With depths spread exponentially, the lost part u has the density ``x u^(x - 1)``, x being
        the absorption over the shallow depth.

        Parameters
        ----------
        absorbed
            ``(p,)`` absorption of peaks in silicon, for each nm.

        Returns
        -------
        tuple of array
            Shares of the photons, mean and spread of what they lose, as a part of their energy.

        References
        ----------
        Scholze & Procop, X-Ray Spectrom. 38 (2009) 312.
        """
        x = absorbed * self.shallow_nm
        share, first, second = (
            x / (x + n) * np.diff(_LOSSES[:, None] ** (x + n), axis=0) if n else
            np.diff(_LOSSES[:, None] ** np.maximum(x, _NO_DEPTH), axis=0) for n in (0, 1, 2))
        mean = first / np.maximum(share, 1e-300)
        spread = np.sqrt(np.maximum(second / np.maximum(share, 1e-300) - mean**2, 0.0))
        return share, self.lost * mean, self.lost * spread


class Known(NamedTuple):
    """What is known of a parameter of a response beforehand.

    Parameters
    ----------
    err
        1 sigma about what `Response` has by default.
    step
        For derivatives.
    low, high
        Limits.
    """

    err: float
    step: float
    low: float
    high: float


KNOWN: dict[str, Known] = {
    "shift_eV": Known(15.0, 0.5, -100.0, 100.0),
    "stretch": Known(2e-3, 1e-5, -0.02, 0.02),
    "bend_eV": Known(10.0, 0.5, -40.0, 40.0),
    "fwhm_eV": Known(15.0, 0.5, 60.0, 300.0),
    "noise_eV": Known(15.0, 0.5, 10.0, 200.0),
    "escape": Known(0.3, 0.05, 0.0, 3.0),
    "efficiency": Known(0.7, 0.05, -1.0, 4.0),
    "shallow_nm": Known(30.0, 0.5, 0.0, 200.0),
    "lost": Known(0.08, 0.01, 0.05, 0.6),
    "partial": Known(0.03, 0.002, 0.0, 0.2),
    "split": Known(1.0, 0.05, -0.5, 2.0),
}
