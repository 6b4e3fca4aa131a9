"""Fit of a double helix in projection to dots whose strands are not known.

About a common axis the dots of the two strands lie at +R cos(phase(s)) and -R cos(phase(s)), s the
arc length along the axis.  Which of the two a dot belongs to is left open: each dot is a mixture of
both, and the fit weighs them by their likelihood (expectation maximisation), so that a tracing that
swaps the strands at a crossing, or bounces there, changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import legendre
from scipy.spatial import cKDTree

from emtools.process.straighten import arc_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_STEPS = 40
_CONVERGED = 1e-5  # relative change of the log likelihood
_OUTLIER = 4.0  # sigma beyond which a dot is not the helix's: two dots taken for one at a crossing
_MOST_OUTLIERS = 0.25
_ROUNDS = 3  # of fitting, each about the axis of the one before
_MAD = 1.4826  # median of absolute deviations -> 1 sigma


@dataclass(frozen=True)
class Course:
    """A curve in the plane, finely sampled.

    Parameters
    ----------
    points
        ``(m, 2)`` positions (y, x).
    arc
        ``(m,)`` arc length from the first.
    """

    points: Floats
    arc: Floats

    @classmethod
    def through(cls, points: Floats) -> Course:
        """Return the curve of a polyline."""
        return cls(points, arc_lengths(points, 1e-12))

    @property
    def normals(self) -> Floats:
        """``(m, 2)`` unit vectors, left of the direction of the curve on the screen."""
        along = np.gradient(self.points, self.arc, axis=0)
        along /= np.maximum(np.hypot(*along.T), 1e-12)[:, None]
        return np.stack([-along[:, 1], along[:, 0]], axis=-1)

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Arc length of the nearest place on the curve and the offset along its normal.

        Beyond its ends the curve goes on straight.
        """
        nearest = cKDTree(self.points).query(points)[1]
        normal = self.normals[nearest]
        away = points - self.points[nearest]
        along = away[:, 1] * -normal[:, 0] + away[:, 0] * normal[:, 1]
        return self.arc[nearest] + along, np.sum(away * normal, axis=1)

    def smooth(self, n: int) -> Course:
        """Return the curve with `n` Legendre coefficients along its arc."""
        x = 2 * self.arc / self.arc[-1] - 1
        vander = legendre.legvander(x, n - 1)
        return Course.through(vander @ np.linalg.lstsq(vander, self.points, rcond=None)[0])

    def within(self, low: float, high: float, n: int) -> Course:
        """Return `n` even samples from one arc length to another, straight on beyond the ends."""
        arc = np.linspace(low, high, n)
        inside = np.clip(arc, self.arc[0], self.arc[-1])
        points = np.stack([np.interp(inside, self.arc, c) for c in self.points.T], axis=-1)
        for beyond, end in ((arc < self.arc[0], 0), (arc > self.arc[-1], -1)):
            normal = self.normals[end]
            along = np.array([normal[1], -normal[0]])
            points[beyond] += (arc - inside)[beyond, None] * along
        return Course.through(points)


@dataclass(frozen=True)
class Coil:
    """A double helix fitted to dots.

    Parameters
    ----------
    course
        The axis that offsets and arc lengths refer to, from the first dot to the last.
    radius
        From the axis to the strands.
    phases
        Legendre coefficients of the phase in radians over the axis, -1 ... 1 from end to end.
    bends
        Legendre coefficients of what the true axis lies beside `course`.
    scatter
        1 sigma of the dots about the strands, in each direction, beside their own errors.
    arc, offset
        ``(n,)`` where each dot lies.
    strand
        ``(n,)`` expectation of the strand's sign, -1 ... 1.
    residual, sigma
        ``(n,)`` of each dot from the likelier strand across the axis, and its 1 sigma.
    kept
        ``(n,)`` whether a dot counts.
    log_likelihood
        Of the dots.
    covariance, robust
        Of radius, phases and bends, in this order: from the likelihood, and from how much the dots
        really pull (dots near crossings may scatter more than others).
    """

    course: Course
    radius: float
    phases: Floats
    bends: Floats
    scatter: float
    arc: Floats
    offset: Floats
    strand: Floats
    residual: Floats
    sigma: Floats
    kept: NDArray[np.bool_]
    log_likelihood: float
    covariance: Floats
    robust: Floats

    @property
    def length(self) -> float:
        """Of the axis."""
        return float(self.course.arc[-1])

    @property
    def turns(self) -> float:
        """Full turns from end to end."""
        return float(np.sum(self.phases[1::2])) / np.pi

    @property
    def pitch(self) -> float:
        """Mean over the axis, of one full turn."""
        return self.length / self.turns

    @property
    def pitch_err(self) -> float:
        """1 sigma of `pitch`."""
        odd = np.ix_(*2 * [1 + np.arange(1, len(self.phases), 2)])
        variance = max(float(np.sum(matrix[odd])) for matrix in (self.covariance, self.robust))
        return self.pitch * float(np.sqrt(variance)) / (np.pi * abs(self.turns))

    @property
    def radius_err(self) -> float:
        """1 sigma of `radius`."""
        return float(np.sqrt(max(self.covariance[0, 0], self.robust[0, 0])))

    @property
    def n_parameters(self) -> int:
        """Radius, phases and bends."""
        return 1 + len(self.phases) + len(self.bends)

    @property
    def misfit(self) -> float:
        """Root mean square residual of the dots that count."""
        return float(np.sqrt(np.mean(self.residual[self.kept] ** 2)))

    @property
    def bic(self) -> float:
        """Bayesian information criterion: the smaller the better (Schwarz 1978)."""
        return -2 * self.log_likelihood + (1 + self.n_parameters) * float(np.log(len(self.arc)))

    def phase(self, arc: Floats) -> Floats:
        """Phase in radians at arc lengths."""
        return np.asarray(legendre.legval(2 * arc / self.length - 1, self.phases))

    def crossings(self) -> Floats:
        """Arc lengths at which the strands cross."""
        arc = np.linspace(0.0, self.length, 2000)
        halves = self.phase(arc) / np.pi - 0.5
        wanted = np.arange(np.ceil(halves[0]), np.floor(halves[-1]) + 1)
        return np.asarray(np.interp(wanted, halves, arc))

    def local_pitch(self) -> Floats:
        """Pitch along the axis, at even steps."""
        slope = legendre.legval(np.linspace(-1, 1, 101), legendre.legder(self.phases))
        return np.asarray(np.pi * self.length / slope)

    def swing(self) -> float:
        """Amplitude with which the axis itself swings at the pitch, across its smooth course."""
        fine = self.axis()
        smooth = fine.smooth(max(2, round(self.turns)) + 1)
        beside = smooth.project(fine.points)[1]
        phase = self.phase(self.course.arc)
        wave = np.stack([np.cos(phase), np.sin(phase)], axis=-1)
        return float(np.hypot(*np.linalg.lstsq(wave, beside, rcond=None)[0]))

    def axis(self) -> Course:
        """The fitted axis."""
        x = 2 * self.course.arc / self.length - 1
        beside = legendre.legval(x, self.bends)
        return Course.through(self.course.points + beside[:, None] * self.course.normals)


@dataclass
class _Model:
    """Dots about a course, with what the fit makes of them."""

    arc: Floats
    offset: Floats
    err: Floats
    length: float
    radius: float
    phases: Floats
    bends: Floats
    scatter: float = 0.0

    def __post_init__(self) -> None:
        x = 2 * self.arc / self.length - 1
        n = len(self.phases)
        self.along = legendre.legvander(x, n - 1)
        # Columns: derivatives of the polynomials by the arc length.
        change = np.stack([legendre.legval(x, legendre.legder(one)) for one in np.eye(n)], axis=-1)
        self.change = change * 2 / self.length
        self.across = legendre.legvander(x, len(self.bends) - 1)
        self.kept = np.ones(len(self.arc), dtype=bool)
        self.evaluate()

    def evaluate(self) -> None:
        """Work out what follows from the parameters."""
        phase, slope = self.along @ self.phases, self.change @ self.phases
        variance = self.err**2 + self.scatter**2
        # Scatter along the axis smears the strand: cos averaged over it is smaller.
        smear = np.exp(-0.5 * variance * slope**2)
        self.cosine, self.sine = smear * np.cos(phase), smear * np.sin(phase)
        self.stretch = 1 + (self.radius * slope * self.sine) ** 2
        self.variance = variance * self.stretch
        self.strand_offset = self.radius * self.cosine
        self.beside = self.offset - self.across @ self.bends
        odds = self.beside * self.strand_offset / self.variance
        self.sign = np.tanh(odds)
        # From the likelier strand.
        self.residual = self.beside - np.where(odds >= 0, 1.0, -1.0) * self.strand_offset
        # Dots that do not count are as unlikely as the last that does.
        square = np.minimum(self.residual**2 / self.variance, _OUTLIER**2)
        self.log_likelihood = float(np.sum(
            -0.5 * square - 0.5 * np.log(self.variance) + np.log1p(np.exp(-2 * np.abs(odds)))))

    def slopes(self) -> tuple[Floats, Floats]:
        """Derivatives of the axis and of the strand's offset by all parameters, ``(n, p)``."""
        n_phase, n_bend = len(self.phases), len(self.bends)
        by_axis = np.zeros((len(self.arc), 1 + n_phase + n_bend))
        by_strand = np.zeros_like(by_axis)
        by_axis[:, 1 + n_phase:] = self.across
        by_strand[:, 0] = self.cosine
        turn = -self.radius * self.sine
        by_strand[:, 1: 1 + n_phase] = turn[:, None] * self.along
        return by_axis, by_strand

    def step(self, damping: float) -> Floats:
        """One Gauss-Newton step of all parameters for the expected strands."""
        by_axis, by_strand = self.slopes()
        weight = np.where(self.kept, 1 / self.variance, 0.0)
        gradient = by_axis.T @ (weight * (self.beside - self.sign * self.strand_offset))
        gradient += by_strand.T @ (weight * (self.sign * self.beside - self.strand_offset))
        hessian = self._complete(by_axis, by_strand, weight)
        ridge = (damping + 1e-9) * np.diag(hessian) + 1e-12 * np.trace(hessian)
        return np.linalg.solve(hessian + np.diag(ridge), gradient)

    def _complete(self, by_axis: Floats, by_strand: Floats, weight: Floats) -> Floats:
        mixed = (by_axis.T * (weight * self.sign)) @ by_strand
        return np.asarray((by_axis.T * weight) @ by_axis + (by_strand.T * weight) @ by_strand
                          + mixed + mixed.T)

    def covariance(self) -> Floats:
        """Inverse of the observed information (Louis, J. R. Stat. Soc. B 44 (1982) 226)."""
        by_axis, by_strand = self.slopes()
        weight = np.where(self.kept, 1 / self.variance, 0.0)
        missing = by_strand * self.beside[:, None] - by_axis * self.strand_offset[:, None]
        missing *= (weight * np.sqrt(np.maximum(1 - self.sign**2, 0.0)))[:, None]
        complete = self._complete(by_axis, by_strand, weight)
        information = complete - missing.T @ missing
        # Near a crossing the missing part can outweigh a poorly determined parameter's own.
        if np.linalg.eigvalsh(information)[0] <= 1e-9 * np.trace(complete) / len(complete):
            information = complete
        return np.asarray(np.linalg.pinv(information, hermitian=True))

    def robust(self, covariance: Floats) -> Floats:
        """Covariance from the pull of each dot (White, Econometrica 48 (1980) 817)."""
        by_axis, by_strand = self.slopes()
        pull = by_axis * (self.beside - self.sign * self.strand_offset)[:, None]
        pull += by_strand * (self.sign * self.beside - self.strand_offset)[:, None]
        pull *= np.where(self.kept, 1 / self.variance, 0.0)[:, None]
        n = int(self.kept.sum())
        few = n / max(n - len(covariance), 1)
        return np.asarray(few * covariance @ (pull.T @ pull) @ covariance)

    def moved(self, step: Floats) -> tuple[float, Floats, Floats]:
        """Radius, phases and bends after a step."""
        split = 1 + len(self.phases)
        return (max(self.radius + float(step[0]), 1e-3), self.phases + step[1:split],
                self.bends + step[split:])

    def weigh(self, robust: bool) -> None:
        """Estimate the scatter beside the dots' own errors, and leave out what lies far off."""
        relative = self.residual / np.sqrt(self.stretch)
        if robust:
            wide = (_MAD * float(np.median(np.abs(relative)))) ** 2
            self.scatter = float(np.sqrt(max(wide - float(np.median(self.err)) ** 2, 0.0)))
        else:
            expected = self.beside**2 + self.strand_offset**2
            expected = (expected - 2 * self.sign * self.beside * self.strand_offset) / self.stretch
            n_free = max(self.kept.sum() - 1 - len(self.phases) - len(self.bends), 1)
            self.scatter = _excess(expected[self.kept], self.err[self.kept], float(n_free))
        self.evaluate()
        off = np.abs(self.residual) / np.sqrt(self.variance)
        most = int((1 - _MOST_OUTLIERS) * len(off))
        limit = max(_OUTLIER, float(np.partition(off, most)[most]))
        self.kept = np.asarray(off <= limit)


def _excess(square: Floats, err: Floats, n_free: float) -> float:
    """1 sigma that, with the errors, makes the mean square residual what is expected."""
    variance = 0.0
    for _ in range(20):
        terms = square / np.maximum(err**2 + variance, 1e-300)
        surplus = float(np.sum(terms)) - n_free
        if surplus <= 1e-6 * n_free:
            break
        # Newton from below: the surplus falls, ever more slowly, and is never overshot.
        variance += surplus / float(np.sum(terms / np.maximum(err**2 + variance, 1e-300)))
    return float(np.sqrt(variance))


def _converged(model: _Model) -> None:
    """Step until the likelihood stands still; scatter robust at first, then by its mean square."""
    for robust in (True, False):
        damping = 1e-3
        model.weigh(robust)
        for _ in range(_STEPS):
            before = (model.radius, model.phases, model.bends)
            value = model.log_likelihood
            model.radius, model.phases, model.bends = model.moved(model.step(damping))
            model.evaluate()
            if model.log_likelihood < value - 1e-9 * abs(value):
                model.radius, model.phases, model.bends = before
                model.evaluate()
                damping *= 10
                if damping > 1e3:
                    break
                continue
            damping = max(0.3 * damping, 1e-6)
            change = abs(model.log_likelihood - value)
            model.weigh(robust)
            if change < _CONVERGED * abs(value) + 1e-4:
                break


def fit_coil(
    course: Course, dots: tuple[Floats, Floats], start: tuple[float, Floats], n_bends: int,
    rounds: int = _ROUNDS,
) -> Coil:
    """Fit a double helix about a course.

    Parameters
    ----------
    course
        First guess of the axis.
    dots
        ``(n, 2)`` positions (y, x) and ``(n,)`` 1 sigma of each along either direction.
    start
        First guess of the radius and of the phase's Legendre coefficients (at least two).
    n_bends
        Number of Legendre coefficients by which the axis is free to bend.
    rounds
        How often to fit, each time about the axis found before.
    """
    points, err = dots
    radius, phases = start
    for _ in range(rounds):
        arc, offset = course.project(points)
        n = max(64, 4 * len(points))
        # The axis has no more bends than asked for, whatever the first guess had.
        course = course.within(float(arc.min()), float(arc.max()), n).smooth(n_bends + 2)
        arc, offset = course.project(points)
        model = _Model(arc, offset, err, float(course.arc[-1]), radius, phases, np.zeros(n_bends))
        _converged(model)
        covariance = model.covariance()
        coil = Coil(course, model.radius, model.phases, model.bends, model.scatter, model.arc,
                    model.beside, model.sign, model.residual, np.sqrt(model.variance), model.kept,
                    model.log_likelihood, covariance, model.robust(covariance))
        radius, phases, course = model.radius, model.phases, coil.axis()
    return coil
