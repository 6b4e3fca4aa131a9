"""Reflections in physical units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.lattice.refine import Fringes
    from emtools.model import Calibration


@dataclass(frozen=True)
class Spot:
    """A reflection in physical units.

    Parameters
    ----------
    k
        ``(y, x)`` wave vector in cycles per unit.
    covariance
        ``(2, 2)`` of `k`.
    fringes
        What it was made of.
    area
        Of its domain, in unit squared.
    p_value
        Probability of such a peak anywhere in an image of noise.
    """

    k: NDArray[np.float64]
    covariance: NDArray[np.float64]
    fringes: Fringes
    area: float
    p_value: float

    @property
    def length(self) -> float:
        """|k|."""
        return float(np.hypot(*self.k))

    @property
    def length_err(self) -> float:
        """1 sigma of |k|."""
        along = self.k / self.length
        return float(np.sqrt(along @ self.covariance @ along))

    @property
    def angle_err_deg(self) -> float:
        """1 sigma of the direction."""
        across = np.array([-self.k[1], self.k[0]]) / self.length
        return float(np.degrees(np.sqrt(across @ self.covariance @ across) / self.length))


def spot(fringes: Fringes, area_px: float, p_value: float, calibration: Calibration) -> Spot:
    """Convert fringes to physical units."""
    inverse = np.linalg.inv(calibration.matrix)
    return Spot(calibration.wave_vectors(fringes.frequency),
                inverse.T @ fringes.covariance @ inverse, fringes,
                area_px * calibration.area_per_pixel, p_value)
