"""How many X-rays of a line an element gives: ionisation, fluorescence, and k-factors out of them.

Yields, Coster-Kronig rates, edges and attenuation are XrayDB's (Elam, Ravel & Sieber, Radiat. Phys.
Chem. 63 (2002) 121).
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.errors import ParameterError
from emtools.xrays.table import atomic_weight, database, family

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from emtools.xrays.detector import Detector

_REST_KEV, _RYDBERG_KEV, _BOHR2_BARN = 510.999, 0.0136057, 2.80028e7
_ELECTRONS = {"K": 2, "L1": 2, "L2": 2, "L3": 4, "M1": 2, "M2": 2, "M3": 4, "M4": 4, "M5": 6}
_VACANCY = {"K": "K", "L": "L3", "M": "M5"}  # that the alpha line comes from
_ALPHA = {"K": ("Ka1", "Ka2", "Ka3"), "L": ("La1", "La2"), "M": ("Ma",)}
# Relative 1 sigma of a computed k-factor: of cross-sections and yields about 10 % for K lines
# (Williams & Carter, Transmission Electron Microscopy, ch. 35), more for the shells above.
K_ERR: Mapping[str, float] = {"K": 0.10, "L": 0.15, "M": 0.30}


@lru_cache(maxsize=256)
def _edges(element: str) -> dict[str, Any]:
    return dict(database().xray_edges(element))


@lru_cache(maxsize=64)
def _formula(formula: str) -> tuple[tuple[str, float], ...]:
    """Weight fractions of a formula such as C10H8O4N."""
    parts = re.findall(r"([A-Z][a-z]?)(\d*\.?\d*)", formula)
    grams = {symbol: float(number or 1) * atomic_weight(symbol) for symbol, number in parts}
    total = sum(grams.values())
    return tuple((symbol, weight / total) for symbol, weight in grams.items())


def mass_attenuation(
    formula: str, energy_keV: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mass attenuation coefficient in cm2/g of an element or a formula."""
    return absorption(dict(_formula(formula)), energy_keV)


def absorption(
    weight_fractions: Mapping[str, float], energy_keV: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mass attenuation coefficient in cm2/g of a mixture.

    Parameters
    ----------
    weight_fractions
        By element.
    energy_keV
        Photon energies.
    """
    energy = np.asarray(energy_keV, dtype=float)
    flat = np.maximum(1e3 * energy.ravel(), 100.0)
    total = sum(fraction * database().mu_elam(element, flat)
                for element, fraction in weight_fractions.items())
    return np.asarray(total, dtype=float).reshape(energy.shape)


def cross_section(
    element: str, subshell: str, beam_energy_keV: float
) -> float:
    """Cross-section in barn for ionising a subshell (``K``, ``L3``, ``M5``) by an electron.

    Returns
    -------
    float
        0 where the beam does not reach the edge.

    References
    ----------
    Casnati, Tartari & Baraldi, J. Phys. B 15 (1982) 155; for L and M subshells by their edges and
    numbers of electrons.
    """
    edge = _edges(element).get(subshell)
    if edge is None or edge.energy <= 0 or beam_energy_keV <= 1e-3 * edge.energy:
        return 0.0
    bound = 1e-3 * edge.energy
    over, rest = beam_energy_keV / bound, _REST_KEV / bound
    power = -0.0318 + 0.3160 / over - 0.1135 / over**2
    scale = 10.57 * math.exp(-1.736 / over + 0.317 / over**2) * (bound / _RYDBERG_KEV) ** power
    relativistic = ((1 + 2 * rest) / (over + 2 * rest) * ((over + rest) / (1 + rest)) ** 2
                    * ((1 + over) * (over + 2 * rest) * (1 + rest) ** 2
                       / (rest**2 * (1 + 2 * rest) + over * (over + 2 * rest) * (1 + rest) ** 2)
                       ) ** 1.5)
    return float(_ELECTRONS[subshell] * _BOHR2_BARN * (_RYDBERG_KEV / bound) ** 2
                 * scale * relativistic * math.log(over) / over)


def _vacancies(element: str, shell: str, beam_energy_keV: float) -> float:
    """Vacancies in the subshell of the alpha line in barn, those that moved there included."""
    final = _VACANCY[shell]
    inner = [name for name in _ELECTRONS if name[0] == shell and name <= final]
    total = 0.0
    for name in inner:
        moved = 1.0
        if name != final:
            moved = float(database().ck_probability(element, name, final, total=True) or 0.0)
        total += moved * cross_section(element, name, beam_energy_keV)
    return total


@lru_cache(maxsize=1024)
def _photons(element: str, name: str, beam_energy_keV: float) -> float:
    """Photons of an alpha line for each atom and each electron in a barn; 0 for none."""
    shell = name[0]
    edge = _edges(element).get(_VACANCY[shell])
    if edge is None:
        return 0.0
    if shell == "K":
        share = 1.0 / sum(line.weight for line in family(element, "K"))
    else:
        lines = database().xray_lines(element, _VACANCY[shell])
        share = sum(lines[one].intensity for one in _ALPHA[shell] if one in lines)
    return float(_vacancies(element, shell, beam_energy_keV) * edge.fyield * share)


@lru_cache(maxsize=1024)
def k_factor(
    element: str, name: str, beam_energy_keV: float, detector: Detector
) -> float:
    """Computed Cliff-Lorimer k-factor of an alpha line, Si Ka being 1.

    w_A / w_B = k_A I_A / (k_B I_B), with weight fractions w and areas I of the alpha lines alone.

    Parameters
    ----------
    element, name
        ``"Pb"``, ``"Ma"``.
    beam_energy_keV
        Of the electrons.
    detector
        Whose efficiency counts.

    Returns
    -------
    float
        Its relative 1 sigma is `K_ERR` of the shell.

    Raises
    ------
    ParameterError
        If the beam does not excite the line.

    References
    ----------
    Cliff & Lorimer, J. Microsc. 103 (1975) 203.
    """
    def sensitivity(symbol: str, line: str) -> float:
        energy = next(one.energy_keV for one in family(symbol, line[0]) if one.name == line)
        return (_photons(symbol, line, beam_energy_keV) / atomic_weight(symbol)
                * float(detector.efficiency(energy)))

    own = sensitivity(element, name)
    if own <= 0:
        raise ParameterError(f"k-factor of {element}_{name}",
                             f"cannot be computed at {beam_energy_keV:g} keV", "give one")
    return sensitivity("Si", "Ka") / own
