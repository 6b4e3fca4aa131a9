"""Ground and rings as one curve, what is expected of its numbers, and the way to the best ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from emtools.measure.rings._kernels import add_profiles, profile_slopes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_LN2 = math.log(2.0)
_STIFF = 0.15  # by which the spline over the clipped profile bends from knot to knot, 1 sigma
_ALIKE = 0.25  # log of the widths of two rings, 1 sigma
_ALIKE_BROAD = 0.5  # log of the width of a broad maximum in two rounds of the fit
_WANDERS = 0.5  # widths by which a ring may be off the place where it was found, 1 sigma
_MOST_STEPS = 100


@dataclass(frozen=True)
class Peak:
    """A ring, or a broad maximum.

    Parameters
    ----------
    radius, fwhm, height
        In px and in the picture's values.
    broad
        Broader than any ring of crystals.
    """

    radius: float
    fwhm: float
    height: float
    broad: bool = False


@dataclass(frozen=True)
class Model:
    """Ground and peaks as functions of the parameters.

    Parameters: coefficients of the ground, logit of the Lorentzian part, log of the common FWHM,
    then radius, log FWHM and height of each peak.
    """

    radius: Floats
    basis: Floats
    broad: NDArray[np.bool_]

    @property
    def n_ground(self) -> int:
        """How many coefficients the ground has."""
        return int(self.basis.shape[1])

    def split(self, numbers: Floats) -> tuple[Floats, float, Floats]:
        """Ground, Lorentzian part, and ``(peaks, 3)``."""
        n = self.n_ground
        part = 1.0 / (1.0 + math.exp(-min(max(float(numbers[n]), -30.0), 30.0)))
        own = numbers[n + 2:].reshape(-1, 3).copy()
        own[:, 1] = np.clip(own[:, 1], math.log(0.3), math.log(1e4))
        return self.basis @ numbers[:n], part, own

    def total(self, numbers: Floats) -> Floats:
        """Return the whole model."""
        ground, part, own = self.split(numbers)
        add_profiles(self.radius, own, self._parts(part), ground)
        return ground

    def shapes(self, part: float, own: Floats) -> Floats:
        """``(n, peaks)``: profiles of height 1."""
        off = 2.0 * (self.radius[:, None] - own[:, 0]) / np.exp(own[:, 1])
        return pseudo_voigt(off, self._parts(part))

    def slopes(self, numbers: Floats) -> Floats:
        """``(n, parameters)``: derivatives of the total."""
        _, part, own = self.split(numbers)
        n = self.n_ground
        slopes = np.zeros((len(self.radius), len(numbers)))
        slopes[:, :n] = self.basis
        profile_slopes(self.radius, own, self._parts(part), slopes[:, n], slopes[:, n + 2:])
        slopes[:, n] *= part * (1.0 - part)
        return slopes

    def _parts(self, part: float) -> Floats:
        """Lorentzian part of each peak."""
        return np.where(self.broad, 0.0, part)


@dataclass(frozen=True)
class Prior:
    """What is expected of the parameters, as rows beside the data: ``matrix @ numbers = value``."""

    matrix: Floats
    value: Floats

    @classmethod
    def of(cls, model: Model, start: Floats, broad: NDArray[np.bool_]) -> Prior:
        """Return that rings are about equally broad, and about where they were found."""
        n, peaks = model.n_ground, len(broad)
        matrix = np.zeros((2 * peaks + n, len(start)))
        value = np.zeros(len(matrix))
        for i in range(peaks):
            at = n + 2 + 3 * i
            matrix[2 * i, at] = 1.0 / max(_WANDERS * math.exp(start[at + 1]), 1.5)
            value[2 * i] = matrix[2 * i, at] * start[at]
            matrix[2 * i + 1, at + 1] = 1.0 / (_ALIKE_BROAD if broad[i] else _ALIKE)
            if broad[i]:
                value[2 * i + 1] = start[at + 1] / _ALIKE_BROAD
            else:
                matrix[2 * i + 1, n + 1] = -1.0 / _ALIKE
        for i in range(n - 2):
            matrix[2 * peaks + i, i:i + 3] = np.array([1.0, -2.0, 1.0]) / _STIFF
        matrix[-2, n], value[-2] = 0.7, -0.7
        matrix[-1, n + 1], value[-1] = 1e-2, 1e-2 * start[n + 1]
        return cls(matrix, value)


def pseudo_voigt(off: Floats, lorentzian: float | Floats) -> Floats:
    """Profile of height 1 at distances from its middle in half widths at half maximum."""
    return np.asarray(lorentzian / (1.0 + off**2) + (1.0 - lorentzian) * np.exp(-_LN2 * off**2))


def area_of_profile(lorentzian: float) -> float:
    """Area of a pseudo-Voigt profile of height and FWHM 1."""
    return lorentzian * math.pi / 2 + (1 - lorentzian) * math.sqrt(math.pi / _LN2) / 2


def descend(
    misfit: Callable[[Floats], Floats], slopes: Callable[[Floats], Floats], start: Floats,
    settled: float,
) -> Floats:
    """Return the numbers with the least sum of squares near `start`.

    It ends where a step gains less than `settled`, where 1 is what one standard deviation of one
    number costs.  The normal equations are well enough posed where every number has a prior, and
    are solved far sooner than the slopes' own orthogonal decomposition.

    References
    ----------
    Marquardt, J. Soc. Ind. Appl. Math. 11 (1963) 431; the damping of Nielsen, Damping Parameter in
    Marquardt's Method, IMM-REP-1999-05 (1999).
    """
    numbers, rest = start, misfit(start)
    damping, growth = 1e-3, 2.0
    for _ in range(_MOST_STEPS):
        turn = slopes(numbers)
        size = np.maximum(np.linalg.norm(turn, axis=0), 1e-300)
        turn /= size
        normal, down = turn.T @ turn, -turn.T @ rest
        while damping < 1e12:
            try:
                step = cho_solve(cho_factor(normal + damping * np.eye(len(down))), down)
            except LinAlgError:
                damping *= 10.0
                continue
            moved = numbers + step / size
            with np.errstate(over="ignore", invalid="ignore"):  # of too long a step, not taken
                left = misfit(moved)
                gain = float(rest @ rest - left @ left)
            if gain >= 0:
                break
            damping, growth = damping * growth, 2.0 * growth
        else:
            return numbers
        numbers, rest = moved, left
        promised = float(step @ (down + damping * step))
        if gain < settled and promised < 2.0 * settled:
            break
        # How much of what the slopes promised came true.
        damping = max(damping * max(1 / 3, 1.0 - (2.0 * gain / promised - 1.0) ** 3), 1e-9)
        growth = 2.0
    return numbers
