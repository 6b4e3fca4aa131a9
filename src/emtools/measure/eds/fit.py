"""One spectrum fitted by Poisson likelihood: lines, continuum, and what the detector does.

Fisher scoring: weights come from the model, never from the counts (Cash, Astrophys. J. 228 (1979)
939; McCullagh & Nelder, Generalized Linear Models).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.optimize import lsq_linear

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.eds.model import Model, State

    Floats = NDArray[np.float64]

_ROUNDS = 60
Free = Literal["areas", "axis", "all"]
_AXIS = 2  # the first parameters of the response: those of the energy axis
# Of the log likelihood: smaller gains end a fit, and one that only chooses between models.
_SETTLED, ROUGHLY = 1e-3, 0.1
_SUM_PEAKS_FROM = 20_000  # counts of a spectrum from which pairs of photons can be seen


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
    at = state.places
    fixed = _fixed(state, counts)
    if free != "all":
        fixed[at.continuum.stop:] = True
        fixed[at.response][:_AXIS] = free == "areas"
    only_areas = fixed.copy()  # first: far from them nothing is known of shifts and widths
    only_areas[at.continuum.stop:] = True
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
    fixed[state.places.pairs] = counts.sum() < _SUM_PEAKS_FROM
    if not len(state.counts):
        fixed[state.places.response] = True
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
    step = np.zeros(len(now))
    step[~fixed] = bounded_step(design[:, ~fixed], target, (state.lowest - now)[~fixed])
    for shrink in (1.0, 0.5, 0.25, 0.1, 0.02, 0.003):
        trial = state.moved(now + shrink * step)
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
    free[state.places.continuum] &= state.continuum > 0
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
    start = model.taken_over(fit.model, fit.state)
    without = fit_spectrum(model, counts, start, settled=ROUGHLY, free=free)
    return 2.0 * (fit.log_likelihood - without.log_likelihood)
