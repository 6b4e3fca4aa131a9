"""Families of X-ray lines: what one shell of one element gives, as the detector records it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emtools import xrays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emtools.measure.eds.response import Response

    Floats = NDArray[np.float64]

# Relative 1 sigma of a line's intensity against the alpha line of its shell: tables differ by that.
_RATIO_ERR = {"K": 0.06, "L": 0.10, "M": 0.10}
# Where the shell that the K beta electron is from takes part in the bonds, its line varies more.
_BONDING, _BONDING_ERR = 20, 0.10
_WEAK, _WEAK_ERR = 0.1, 0.5  # lines below that weight are known no better than that
_WEAK_M = 0.05  # and of weak M lines hardly anything: of Pt Mz tables have from 0.003 to 0.06
_LEAST_WEIGHT = 0.002  # of lines whose ratio is left open: weaker ones matter to nothing
_SATELLITES_EV, _UNSPLIT_EV = 0.5, 0.1  # the second of a line of 1 keV
_OVERVOLTAGE = 1.2  # of the beam over a line: less excites it hardly
_KEPT = 2  # shapes of all lines, of different responses
_PARTIAL_LOSS = 0.07  # mean part of the energy
SOFTEST_KEV = 0.18  # below are noise, the zero strobe and the discriminator


@dataclass(frozen=True)
class Family:
    """The lines of a shell of an element.

    Parameters
    ----------
    element
        Symbol.
    lines
        Those on the energy axis.
    weights
        ``(n,)`` counts of each relative to the alpha line, as the detector sees them.
    efficiency
        ``(n,)`` of the detector, relative to the alpha line.
    """

    element: str
    lines: tuple[xrays.Line, ...]
    weights: Floats
    efficiency: Floats

    @property
    def shell(self) -> str:
        """``K``, ``L`` or ``M``."""
        return self.lines[0].shell

    @property
    def alpha(self) -> xrays.Line:
        """The line whose counts stand for the family: Ka, La or Ma."""
        return next(line for line in self.lines if line.name == f"{self.shell}a")

    @property
    def open_lines(self) -> list[int]:
        """Numbers of the lines whose ratio to the alpha line is known only about."""
        return [i for i, line in enumerate(self.lines)
                if line is not self.alpha and self.weights[i] >= _LEAST_WEIGHT]

    @property
    def ratio_err(self) -> Floats:
        """Relative 1 sigma of these ratios."""
        usual = _RATIO_ERR[self.shell]
        if self.shell == "K":
            light = xrays.atomic_number(self.element) <= _BONDING
            return np.full(len(self.open_lines), _BONDING_ERR if light else usual)
        weight = self.weights[self.open_lines]
        weakly = _WEAK_M / weight if self.shell == "M" else _WEAK_ERR
        return np.where(weight < _WEAK, weakly, usual)

    @property
    def offset_err_eV(self) -> float:  # noqa: N802  (the unit is eV)
        """1 sigma of where its lines stand: bonds and satellites move what is one line in tables.

        What tables do not split lies apart as the square of the energy.
        """
        return float(np.hypot(_SATELLITES_EV, _UNSPLIT_EV * self.alpha.energy_keV**2))


@lru_cache(maxsize=4096)
def families_of(
    element: str, range_keV: tuple[float, float], beam_keV: float, detector: xrays.Detector
) -> tuple[Family, ...]:
    """Families of an element whose alpha line lies on the axis and is excited.

    Parameters
    ----------
    element
        Symbol.
    range_keV
        Lowest and highest energy in use.
    beam_keV
        Energy of the electrons.
    detector
        Whose efficiency weighs the lines.
    """
    low, high = range_keV
    found = []
    for shell in "KLM":
        lines = xrays.family(element, shell)
        alpha = [line for line in lines if line.name == f"{shell}a"]
        if not alpha or not low < alpha[0].energy_keV < high \
                or alpha[0].energy_keV * _OVERVOLTAGE > beam_keV:
            continue
        seen = tuple(line for line in lines if low < line.energy_keV < high)
        efficiency = detector.efficiency([line.energy_keV for line in seen])
        efficiency = efficiency / max(float(detector.efficiency(alpha[0].energy_keV)), 1e-9)
        weights = np.array([line.weight for line in seen]) * efficiency
        found.append(Family(element, seen, weights, efficiency))
    return tuple(found)


class _AllPeaks(NamedTuple):
    """Peaks ``(p,)`` of lines.

    Parameters
    ----------
    rows
        Line that each belongs to.
    energies, lower
        Of the line in keV, and by how much the peak lies lower.
    shares
        Of the line's counts.
    escapes
        Events in the escape peak for one in the peak.
    absorbed
        Absorption in silicon, for each nm.
    """

    rows: NDArray[np.intp]
    energies: Floats
    lower: Floats
    shares: Floats
    escapes: Floats
    absorbed: Floats


class Peaks:
    """Shapes of all lines of some families on an energy axis.

    Parameters
    ----------
    families
        Their lines are numbered through.
    energy_keV
        ``(c,)`` centres of the channels.
    """

    def __init__(self, families: Sequence[Family], energy_keV: Floats) -> None:
        self.families = tuple(families)
        self.owner = np.array([i for i, family in enumerate(families) for _ in family.lines],
                              dtype=np.intp)
        self.lines = [line for family in families for line in family.lines]
        self.energies = np.array([line.energy_keV for line in self.lines])
        self.weights = np.concatenate([family.weights for family in families] or [np.zeros(0)])
        self._peaks = self._all_peaks()
        self._kept: dict[tuple[Response, bytes], Floats] = {}
        self.open = np.array([first + i for first, family in zip(
            np.cumsum([0, *(len(f.lines) for f in families)]), families, strict=False)
            for i in family.open_lines], dtype=np.intp)
        self.open_err = np.concatenate([family.ratio_err for family in families] or [np.zeros(0)])
        self.efficiency = np.concatenate([family.efficiency for family in families]
                                         or [np.zeros(0)])
        self.offset_err = np.array([family.offset_err_eV for family in families])
        step = float(energy_keV[1] - energy_keV[0])
        self._axis, self._channels = (float(energy_keV[0]) - 0.5 * step, step), len(energy_keV)
        self._members = (self.owner == np.arange(len(families))[:, None]).astype(float)

    def _all_peaks(self) -> _AllPeaks:
        """All peaks of all lines: doublets have two, and each may have an escape peak."""
        found = [(row, line.energy_keV, lower, share, xrays.escape_fraction(line.energy_keV),
                  xrays.absorbed_per_nm(line.energy_keV))
                 for row, line in enumerate(self.lines)
                 for lower, share in ((0.0, 1.0 - line.partner_share),
                                      (line.partner_keV, line.partner_share)) if share > 0]
        rows, *others = np.array(found).reshape(-1, 6).T
        return _AllPeaks(rows.astype(np.intp), *others)

    def shapes(self, response: Response, offsets: Floats) -> Floats:
        """Counts in each channel of a line of area 1, ``(lines, c)``, its escape peak with it.

        `offsets`: in eV, of each family.  Those asked for last are kept: of most steps of a fit
        only the areas change.
        """
        key = (response, offsets.tobytes())
        if key not in self._kept:
            while len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = self.moved(response, offsets)
        return self._kept[key]

    def moved(self, response: Response, offsets: Floats) -> Floats:
        """Shapes of a response that is not asked for again."""
        from emtools.measure.eds._kernels import add_peaks

        shapes = np.zeros((len(self.energies), self._channels))
        rows, energies, lower, shares, escapes, absorbed = self._peaks
        energies = energies - response.split * lower + 1e-3 * offsets[self.owner[rows]]
        there = escapes > 0
        escaped = energies[there] - xrays.SI_KA_KEV
        none = np.zeros(len(rows))
        add_peaks(rows[there], response.recorded(escaped), response.sigma(escaped),
                  (response.escape * shares * escapes)[there], none, self._axis, shapes)
        centre, sigma = response.recorded(energies), response.sigma(energies)
        add_peaks(rows, centre, sigma, response.partial * shares, _PARTIAL_LOSS * energies,
                  self._axis, shapes)
        for share, mean, spread in zip(*response.losses(absorbed), strict=True):
            add_peaks(rows, centre - mean * energies, np.hypot(sigma, spread * energies),
                      (1.0 - response.partial) * share * shares, none, self._axis, shapes)
        return shapes * self.seen(response)[:, None]

    def seen(self, response: Response) -> Floats:
        """Of each line what the response's efficiency makes of its expected counts."""
        return np.asarray(self.efficiency ** (response.efficiency - 1.0))

    def strengths(self, ratios: Floats) -> Floats:
        """Counts of each line for one of its family's alpha line, open ratios off by ``ratios``."""
        weights = self.weights.copy()
        weights[self.open] *= 1.0 + ratios
        return weights

    def summed(self, shapes: Floats, ratios: Floats) -> Floats:
        """Shapes of the families, ``(families, c)``, with open ratios off by ``ratios``."""
        return np.asarray((self._members * self.strengths(ratios)) @ shapes)
