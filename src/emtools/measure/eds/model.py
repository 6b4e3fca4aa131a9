"""Expected counts of a spectrum: families of lines, continuum, sum peaks, and their derivatives.

The energy axis, the resolution, where families stand and the ratios of lines inside them are
parameters too, each with the width to which it is known beforehand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emtools.measure.eds.families import Peaks
from emtools.measure.eds.response import KNOWN, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emtools.measure.eds.families import Family

    Floats = NDArray[np.float64]

_OFFSET_STEP = 0.5  # eV, for derivatives
_EMPTY = 1e-9  # counts expected at least in a channel
_MOST_OFF = 0.9  # of a line's intensity: it stays positive
_RESPONSE_ERR, _STEPS, _LOWEST, _HIGHEST = np.array([KNOWN[name] for name in Response._fields]).T


class Places(NamedTuple):
    """Where the parameters of each kind stand in a vector of all."""

    counts: slice
    continuum: slice
    pairs: slice
    ratios: slice
    offsets: slice
    response: slice


class Tie(NamedTuple):
    """Prior knowledge of two families of one element: counts = ratio x counts of the other.

    Parameters
    ----------
    family, other
        Their numbers.
    ratio
        Expected.
    relative_err
        1 sigma of it.
    """

    family: int
    other: int
    ratio: float
    relative_err: float


@dataclass(frozen=True)
class State:
    """Parameters of the model.

    Parameters
    ----------
    counts
        ``(families,)`` of each family's alpha line.
    continuum
        ``(k,)`` factors of its shapes.
    pairs
        Counts of two photons at once.
    ratios
        By how much the open ratios of lines are off, relatively.
    offsets
        By how much families stand higher than in the tables, in eV.
    response
        Of the detector.
    """

    counts: Floats
    continuum: Floats
    pairs: float
    ratios: Floats
    offsets: Floats
    response: Response

    @property
    def vector(self) -> Floats:
        """All parameters."""
        return np.concatenate([self.counts, self.continuum, [self.pairs], self.ratios,
                               self.offsets, self.response])

    @property
    def places(self) -> Places:
        """Where they stand in the vector."""
        ends = np.cumsum([len(self.counts), len(self.continuum), 1, len(self.ratios),
                          len(self.offsets), len(self.response)]).tolist()
        return Places(*(slice(low, high) for low, high in zip([0, *ends], ends, strict=False)))

    @property
    def lowest(self) -> Floats:
        """``(parameters,)`` least values."""
        at = self.places
        low = np.full(at.response.stop, -np.inf)
        low[:at.pairs.stop] = 0.0
        low[at.ratios] = -_MOST_OFF
        low[at.response] = _LOWEST
        return low

    def moved(self, vector: Floats) -> State:
        """Return the state with other parameters, the response within its limits."""
        counts, continuum, pairs, ratios, offsets, response = (vector[at] for at in self.places)
        response = np.clip(response, _LOWEST, _HIGHEST)
        return State(counts, continuum, float(pairs[0]), ratios, offsets,
                     Response(*response.tolist()))


class Model:
    """Expected counts of a spectrum and their derivatives.

    Parameters
    ----------
    families
        Of lines.
    energy_keV
        ``(c,)`` channels in use.
    continuum
        ``(k, c)`` its shapes.
    ties
        Between families of one element.
    expected
        What the detector is said to do.
    """

    def __init__(
        self, families: Sequence[Family], energy_keV: Floats, continuum: Floats,
        ties: Sequence[Tie] = (), expected: Response | None = None,
    ) -> None:
        self.families = tuple(families)
        self.energy_keV = energy_keV
        self.continuum = continuum
        self.ties = tuple(ties)
        self.expected = Response() if expected is None else expected
        self.peaks = Peaks(self.families, energy_keV)

    def start(self, counts: Floats) -> State:
        """Return a state to begin with."""
        total = max(float(counts.sum()), 1.0)
        n = len(self.continuum)
        return State(np.full(len(self.families), 0.5 * total / max(len(self.families), 1)),
                     np.full(n, 0.5 * total / n), 0.0, np.zeros(len(self.peaks.open)),
                     np.zeros(len(self.families)), self.expected)

    def taken_over(self, other: Model, state: State) -> State:
        """Return the state of another model as far as it has the same families; others have 0."""
        old = {(f.element, f.shell): i for i, f in enumerate(other.families)}
        known = {(other.peaks.lines[i].element, other.peaks.lines[i].name): float(ratio)
                 for i, ratio in zip(other.peaks.open, state.ratios, strict=True)}
        places = [old.get((f.element, f.shell), -1) for f in self.families]
        own = [self.peaks.lines[i] for i in self.peaks.open]
        return replace(
            state, counts=np.append(state.counts, 0.0)[places],
            offsets=np.append(state.offsets, 0.0)[places],
            ratios=np.array([known.get((line.element, line.name), 0.0) for line in own]))

    def parts(self, state: State) -> tuple[Floats, Floats]:
        """Shapes of the families ``(families, c)``, and the expected counts ``(c,)``."""
        shapes = self.peaks.summed(self.peaks.shapes(state.response, state.offsets), state.ratios)
        lines = state.counts @ shapes + state.continuum @ self.continuum
        pairs = state.pairs * self.sum_peaks(lines) if state.pairs > 0 else 0.0
        return shapes, np.maximum(lines + pairs, _EMPTY)

    def sum_peaks(self, counts: Floats) -> Floats:
        """Shape of what two photons at once give, area 1 where it lies on the axis."""
        positive = np.maximum(counts, 0.0)
        n = len(positive)
        step = self.energy_keV[1] - self.energy_keV[0]
        both = np.convolve(positive, positive) if n < 512 else _convolved(positive)
        first = round(self.energy_keV[0] / step)  # two channels add their energies
        shape = np.zeros(n)
        if first < n:
            shape[first:] = both[:n - first]
        return shape / max(float(shape.sum()), 1e-30)

    def jacobian(
        self, state: State, fixed: NDArray[np.bool_] | None = None
    ) -> tuple[Floats, Floats]:
        """Expected counts ``(c,)`` and their derivatives ``(c, parameters)``; 0 by fixed ones."""
        at = state.places
        held = np.zeros(at.response.stop, dtype=bool) if fixed is None else fixed
        shapes, mean = self.parts(state)
        lines = state.counts @ shapes + state.continuum @ self.continuum
        each = self.peaks.shapes(state.response, state.offsets)
        strength = state.counts[self.peaks.owner] * self.peaks.weights
        open_ = self.peaks.open
        by_response = [np.zeros_like(mean) if there else self._by_response(state, i)
                       for i, there in enumerate(held[at.response])]
        pairs = np.zeros_like(mean) if held[at.pairs].all() else self.sum_peaks(lines)
        by_offset = np.zeros_like(shapes) if held[at.offsets].all() else self._by_offset(state)
        return mean, np.vstack([shapes, self.continuum, pairs,
                                strength[open_, None] * each[open_], by_offset, *by_response]).T

    def _by_offset(self, state: State) -> Floats:
        low, high = (self.peaks.summed(self.peaks.moved(state.response, state.offsets + step),
                                       state.ratios) for step in (-_OFFSET_STEP, _OFFSET_STEP))
        return np.asarray(state.counts[:, None] * (high - low) / (2.0 * _OFFSET_STEP))

    def _by_response(self, state: State, number: int) -> Floats:
        ends, places = [], []
        for sign in (-1.0, 1.0):
            moved = list(state.response)
            moved[number] = max(moved[number] + sign * _STEPS[number], _LOWEST[number])
            each = self.peaks.moved(Response(*moved), state.offsets)
            ends.append(state.counts @ self.peaks.summed(each, state.ratios))
            places.append(moved[number])
        return np.asarray((ends[1] - ends[0]) / (places[1] - places[0]))

    def prior(self, state: State) -> tuple[Floats, Floats]:
        """Rows ``(rows, parameters)`` and residuals of what is known beforehand, in 1 sigma."""
        at = state.places
        width = np.concatenate([self.peaks.open_err, self.peaks.offset_err, _RESPONSE_ERR])
        rows = np.zeros((len(width) + len(self.ties), at.response.stop))
        rows[np.arange(len(width)), np.arange(at.ratios.start, at.response.stop)] = 1.0 / width
        known = np.concatenate([np.zeros(len(width) - len(_RESPONSE_ERR)), self.expected])
        residual = np.concatenate([(known - state.vector[at.ratios.start:]) / width,
                                   np.zeros(len(self.ties))])
        for i, tie in enumerate(self.ties, start=len(width)):
            size = tie.relative_err * tie.ratio * max(float(state.counts[tie.other]), 1.0)
            rows[i, tie.family], rows[i, tie.other] = 1.0 / size, -tie.ratio / size
            residual[i] = -float(rows[i] @ state.vector)
        return rows, residual

    def families_of(self, element: str) -> list[int]:
        """Numbers of an element's families."""
        return [i for i, family in enumerate(self.families) if family.element == element]

    def without(self, element: str) -> Model:
        """Return the model of a spectrum in which an element is not."""
        own = self.families_of(element)
        keep = [i for i in range(len(self.families)) if i not in own]
        ties = [tie._replace(family=keep.index(tie.family), other=keep.index(tie.other))
                for tie in self.ties if {tie.family, tie.other} <= set(keep)]
        return Model([self.families[i] for i in keep], self.energy_keV, self.continuum, ties,
                     self.expected)


def _convolved(values: Floats) -> Floats:
    from scipy.signal import fftconvolve

    return np.asarray(np.maximum(fftconvolve(values, values), 0.0))
