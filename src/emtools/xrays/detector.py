"""What a silicon detector sees of X-rays: its efficiency, and its escape peaks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from emtools.xrays.yields import mass_attenuation

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SI_KA_KEV, _SI_K_EDGE_KEV = 1.740, 1.839
# Fluorescence yield of the K shell of silicon, and the share of photoelectric absorption in it.
_SI_K_YIELD, _SI_K_SHARE = 0.043, 0.92
_SI_DENSITY = 2.33  # g/cm3
_CM = 1e-7  # in a nanometre

Window = Literal["none", "polymer", "beryllium"]
# Layers before the active silicon: formula, density in g/cm3, thickness in nm.
_WINDOWS: dict[str, tuple[tuple[str, float, float], ...]] = {
    "none": (),
    "polymer": (("C10H8O4N", 1.4, 300.0), ("Al", 2.7, 40.0)),
    "beryllium": (("Be", 1.85, 8000.0),),
}
_DEAD_NM = 50.0
_SUPPORT_OPEN = 0.77  # of a polymer window: the rest is a silicon grid


@dataclass(frozen=True)
class Detector:
    """A silicon drift detector.

    Parameters
    ----------
    window
        ``none`` (windowless), ``polymer`` on a silicon grid, or ``beryllium`` (8 um).
    thickness_mm
        Of the active silicon.
    """

    window: Window = "none"
    thickness_mm: float = 0.45

    def efficiency(self, energy_keV: ArrayLike) -> NDArray[np.float64]:
        """Fraction of photons that are counted at their energy.

        Parameters
        ----------
        energy_keV
            Any shape.
        """
        energy = np.maximum(np.asarray(energy_keV, dtype=float), 0.05)
        depth = np.zeros_like(energy)
        for formula, density, thickness in (*_WINDOWS[self.window], ("Si", 2.33, _DEAD_NM)):
            depth += mass_attenuation(formula, energy) * density * thickness * _CM
        silicon = mass_attenuation("Si", energy) * _SI_DENSITY * self.thickness_mm * 0.1
        seen = np.exp(-depth) * -np.expm1(-silicon)
        return np.asarray(seen * (_SUPPORT_OPEN if self.window == "polymer" else 1.0))


@lru_cache(maxsize=8192)
def absorbed_per_nm(energy_keV: float) -> float:
    """Absorption of photons in silicon, for each nm."""
    return float(mass_attenuation("Si", np.array([energy_keV]))[0]) * _SI_DENSITY * _CM


@lru_cache(maxsize=8192)
def escape_fraction(energy_keV: float) -> float:
    """Events in the silicon escape peak (1.74 keV below) for each event in the peak.

    References
    ----------
    Reed & Ware, J. Phys. E 5 (1972) 582.
    """
    if energy_keV <= _SI_K_EDGE_KEV:
        return 0.0
    ratio = float(mass_attenuation("Si", np.array([SI_KA_KEV]))[0]
                  / mass_attenuation("Si", np.array([energy_keV]))[0])
    lost = 0.5 * _SI_K_YIELD * _SI_K_SHARE * (1.0 - ratio * np.log1p(1.0 / ratio))
    return float(lost / (1.0 - lost))
