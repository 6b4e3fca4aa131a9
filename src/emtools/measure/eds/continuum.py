"""Bremsstrahlung: Kramers' law as the detector sees it, times a smooth function of the energy.

What specimen and window absorb, and how thin the film is, bends the physical shape slowly; splines
whose knots are a factor apart in energy follow that and cannot follow a peak.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.interpolate import BSpline

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.xrays import Detector

    Floats = NDArray[np.float64]

_FACTOR = 1.35  # of the energies of neighbouring knots
_SOFTEST_KEV = 0.05


def continuum_basis(
    energy_keV: Floats, beam_keV: float, detector: Detector
) -> Floats:
    """Shapes ``(k, c)``, each of area 1, whose sum with positive factors is the continuum.

    References
    ----------
    Kramers, Phil. Mag. 46 (1923) 836.
    """
    energy = np.maximum(energy_keV, _SOFTEST_KEV)
    physical = np.maximum(beam_keV - energy, 1e-3 * beam_keV) / energy * detector.efficiency(energy)
    place = np.log(energy)
    n = max(1, round((place[-1] - place[0]) / np.log(_FACTOR)))
    inner = np.linspace(place[0], place[-1], n + 1)
    knots = np.concatenate([[inner[0]] * 3, inner, [inner[-1]] * 3])
    splines = BSpline.design_matrix(place, knots, 3).toarray().T
    shapes = splines * physical
    return np.asarray(shapes / shapes.sum(axis=1, keepdims=True))
