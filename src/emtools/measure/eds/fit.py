"""One spectrum fitted by Poisson likelihood: lines, continuum, and what the detector does.

Every channel's expected counts are a sum of families of lines, the continuum, and sum peaks; the
energy axis, the resolution and the ratios of lines inside families are parameters too, each with
the width to which it is known beforehand.  Fisher scoring: weights come from the model, never from
the counts (Cash, Astrophys. J. 228 (1979) 939; McCullagh & Nelder, Generalized Linear Models).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.optimize import lsq_linear

from emtools.measure.eds.families import Peaks, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emtools.measure.eds.families import Family

    Floats = NDArray[np.float64]

# What is known of a detector beforehand, 1 sigma: shift in eV, stretch, bend in eV, widths in eV,
# escape peaks, efficiency; depth in nm where charge is lost, how much; share that loses some;
# doublets.
_RESPONSE_ERR = np.array([15.0, 2e-3, 10.0, 15.0, 15.0, 0.3, 0.7, 30.0, 0.08, 0.03, 1.0])
_STEPS = np.array([0.5, 1e-5, 0.5, 0.5, 0.5, 0.05, 0.05, 0.5, 0.01, 0.002, 0.05])  # for derivatives
_LOWEST = np.array([-100.0, -0.02, -40.0, 60.0, 10.0, 0.0, -1.0, 0.0, 0.05, 0.0, -0.5])
_HIGHEST = np.array([100.0, 0.02, 40.0, 300.0, 200.0, 3.0, 4.0, 200.0, 0.6, 0.2, 2.0])
_OFFSET_STEP = 0.5  # eV
_ROUNDS = 60
Free = Literal["areas", "axis", "all"]
_AXIS = 2  # the first parameters of the response: those of the energy axis
# Of the log likelihood: smaller gains end a fit, and one that only chooses between models.
_SETTLED, ROUGHLY = 1e-3, 0.1
_MOST_OFF = 0.9  # of a line's intensity: it stays positive
_EMPTY = 1e-9  # counts expected at least in a channel
_SUM_PEAKS_FROM = 20_000  # counts of a spectrum from which pairs of photons can be seen


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

    def moved(self, vector: Floats) -> State:
        """Return the state with other parameters."""
        cuts = np.cumsum([len(self.counts), len(self.continuum), 1, len(self.ratios),
                          len(self.offsets)])
        counts, continuum, pairs, ratios, offsets, response = np.split(vector, cuts)
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

    def taken_over(self, fit: Fit) -> State:
        """Return the state of another fit as far as it has the same families; others have 0."""
        other, state = fit.model, fit.state
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
        shapes, mean = self.parts(state)
        lines = state.counts @ shapes + state.continuum @ self.continuum
        each = self.peaks.shapes(state.response, state.offsets)
        strength = state.counts[self.peaks.owner] * self.peaks.weights
        open_ = self.peaks.open
        n = len(_STEPS)
        held = np.zeros(n, dtype=bool) if fixed is None else fixed[-n:]
        by_response = [np.zeros_like(mean) if held[i] else self._by_response(state, i)
                       for i in range(n)]
        single = len(state.counts) + len(state.continuum)
        pairs = np.zeros_like(mean) if fixed is not None and fixed[single] \
            else self.sum_peaks(lines)
        still = fixed is not None and bool(fixed[-n - len(state.offsets):-n].all())
        by_offset = np.zeros_like(shapes) if still else self._by_offset(state)
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
        n, offset = len(state.vector), len(state.counts) + len(state.continuum) + 1
        width = np.concatenate([self.peaks.open_err, self.peaks.offset_err, _RESPONSE_ERR])
        rows = np.zeros((len(width) + len(self.ties), n))
        places = np.arange(offset, n)
        rows[np.arange(len(width)), places] = 1.0 / width
        known = np.concatenate([np.zeros(len(width) - len(_RESPONSE_ERR)), self.expected])
        residual = np.concatenate([(known - state.vector[offset:]) / width,
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


@dataclass(frozen=True)
class Fit:
    """A fitted spectrum.

    Parameters
    ----------
    model
        That was fitted.
    state
        Likeliest parameters; counts are not negative.
    counts
        ``(families,)`` unconstrained estimate: may be negative, and is unbiased.
    covariance
        ``(families, families)`` of these by counting alone.
    systematic
        ``(families, families)`` by what the ratios of lines and the detector leave open.
    mean
        ``(c,)`` expected counts.
    log_likelihood
        Of the likeliest parameters, what is known beforehand included.
    """

    model: Model
    state: State
    counts: Floats
    covariance: Floats
    systematic: Floats
    mean: Floats
    log_likelihood: float

    @property
    def err(self) -> Floats:
        """1 sigma of `counts` by counting."""
        return np.asarray(np.sqrt(np.maximum(np.diag(self.covariance), 0.0)))


def fit_spectrum(
    model: Model, counts: Floats, start: State | None = None, *, settled: float = _SETTLED,
    free: Free = "all",
) -> Fit:
    """Fit a spectrum.

    Parameters
    ----------
    model
        Of its expected counts.
    counts
        ``(c,)`` of the channels in use.
    start
        Parameters near the likeliest; by default the model's own.
    settled
        Gain of the log likelihood below which a step is the last one.
    free
        What may change: while elements are missing, all but the areas, or these and the energy
        axis, would be bent to make up for them.
    """
    state = model.start(counts) if start is None else start
    fixed = _fixed(state, counts)
    if free != "all":
        fixed[len(state.counts) + len(state.continuum):] = True
        fixed[-len(_RESPONSE_ERR):][:_AXIS] = free == "areas"
    only_areas = fixed.copy()  # first: far from them nothing is known of shifts and widths
    only_areas[len(state.counts) + len(state.continuum):] = True
    state, _ = _climbed(model, state, counts, only_areas, max(settled, ROUGHLY))
    return _estimated(model, *_climbed(model, state, counts, fixed, settled), counts, fixed)


def _climbed(
    model: Model, state: State, counts: Floats, fixed: NDArray[np.bool_], settled: float
) -> tuple[State, float]:
    """The likeliest state, and its log likelihood."""
    value = _log_likelihood(model, state, counts)
    for _ in range(_ROUNDS):
        trial, gain = _stepped(model, state, counts, fixed, value)
        if trial is None:
            break
        state, value = trial, value + gain
        if gain < settled:
            break
    return state, value


def _fixed(state: State, counts: Floats) -> NDArray[np.bool_]:
    """Parameters that this spectrum says nothing of."""
    fixed = np.zeros(len(state.vector), dtype=bool)
    fixed[len(state.counts) + len(state.continuum)] = counts.sum() < _SUM_PEAKS_FROM
    if not len(state.counts):
        fixed[-len(_RESPONSE_ERR):] = True
    return fixed


def _stepped(
    model: Model, state: State, counts: Floats, fixed: NDArray[np.bool_], value: float
) -> tuple[State | None, float]:
    """The next state and by how much it is likelier; None if there is no likelier one."""
    mean, slopes = model.jacobian(state, fixed)
    rows, known = model.prior(state)
    root = np.sqrt(mean)
    design = np.vstack([slopes / root[:, None], rows])
    target = np.concatenate([(counts - mean) / root, known])
    now = state.vector
    low = np.full(len(now), -np.inf)
    positive = len(state.counts) + len(state.continuum) + 1
    low[:positive] = -now[:positive]
    ratios = slice(positive, positive + len(state.ratios))
    low[ratios] = -_MOST_OFF - now[ratios]
    low[-len(_LOWEST):] = _LOWEST - now[-len(_LOWEST):]
    step = np.zeros(len(now))
    step[~fixed] = bounded_step(design[:, ~fixed], target, low[~fixed])
    for shrink in (1.0, 0.5, 0.25, 0.1, 0.02, 0.003):
        moved = now + shrink * step
        moved[-len(_LOWEST):] = np.clip(moved[-len(_LOWEST):], _LOWEST, _HIGHEST)
        trial = state.moved(moved)
        gain = _log_likelihood(model, trial, counts) - value
        if gain > 0:
            return trial, gain
    return None, 0.0


def bounded_step(design: Floats, target: Floats, low: Floats) -> Floats:
    """Least squares solution of ``design @ step = target`` that goes no lower than ``low``."""
    normal = design.T @ design
    scale = 1.0 / np.sqrt(np.maximum(np.diag(normal), 1e-30))
    normal = normal * np.outer(scale, scale)
    normal[np.diag_indices_from(normal)] += 1e-10
    upper = cholesky(normal)
    reduced = solve_triangular(upper, scale * (design.T @ target), trans="T")
    solved = solve_triangular(upper, reduced)
    if (solved < low / scale).any():
        solved = lsq_linear(upper, reduced, (np.minimum(low / scale, 0.0) - 1e-12, np.inf),
                            method="bvls").x
    return np.asarray(np.maximum(scale * solved, low))


def _log_likelihood(model: Model, state: State, counts: Floats) -> float:
    _, mean = model.parts(state)
    _, known = model.prior(state)
    return float((counts * np.log(mean) - mean).sum() - 0.5 * (known**2).sum())


def _estimated(
    model: Model, state: State, value: float, counts: Floats, fixed: NDArray[np.bool_]
) -> Fit:
    """One more step in which counts may become negative, and what it says of their errors."""
    mean, slopes = model.jacobian(state, fixed)
    rows, known = model.prior(state)
    n = len(state.counts)
    free = ~fixed
    free[n:n + len(state.continuum)] &= state.continuum > 0
    slopes, rows = slopes[:, free], rows[:, free]
    data = slopes.T @ (slopes / mean[:, None])
    whole = data + rows.T @ rows
    inverse = inverse_of(whole)
    step = inverse @ (slopes.T @ ((counts - mean) / mean) + rows.T @ known)
    # How the estimate scatters with the counts, and what is open in what is known beforehand.
    scatter = inverse @ data @ inverse
    own = np.flatnonzero(free[:n])
    estimate = state.counts.copy()
    estimate[own] += step[:len(own)]
    return Fit(model, state, estimate, scatter[:n, :n], (inverse - scatter)[:n, :n], mean, value)


def inverse_of(matrix: Floats) -> Floats:
    """Inverse of normal equations, whatever the sizes of their parameters."""
    scale = 1.0 / np.sqrt(np.maximum(np.diag(matrix), 1e-30))
    matrix = matrix * np.outer(scale, scale) + 1e-10 * np.eye(len(matrix))
    try:
        half = np.asarray(solve_triangular(cholesky(matrix), np.eye(len(matrix))))
    except LinAlgError:
        return np.asarray(np.outer(scale, scale) * np.linalg.pinv(matrix))
    return np.asarray(np.outer(scale, scale) * (half @ half.T))


def refitted(fit: Fit, counts: Floats, element: str, free: Free = "all") -> float:
    """Twice the log likelihood that an element adds to a fitted spectrum."""
    model = fit.model.without(element)
    start = model.taken_over(fit)
    without = fit_spectrum(model, counts, start, settled=ROUGHLY, free=free)
    return 2.0 * (fit.log_likelihood - without.log_likelihood)
