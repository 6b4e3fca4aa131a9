"""Many bodies fitted together: damped Gauss-Newton steps of all of them and their common blur.

The residual that each body sees is that of the whole image, and bodies that overlap step together,
so that neighbours are told apart.  The equations are sparse: a block for each body, one for each
two that overlap, and a border for the blur (Levenberg, Quart. Appl. Math. 2 (1944) 164; Marquardt,
SIAM J. 11 (1963) 431; solved by conjugate gradients, Hestenes & Stiefel 1952).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import bsr_array
from scipy.sparse.linalg import LinearOperator, cg
from scipy.spatial import cKDTree

from emtools.measure.chains.body import table_of
from emtools.process.threads import in_spans
from emtools.stages import stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from emtools.measure.chains._kernels import Planes
    from emtools.measure.chains.ground import Ground

# Variance of a pixel's own width.  A Gaussian of it in place of the square moves radii of two
# pixels and more by less than 0.1 %.
PIXEL = 1.0 / 12.0
EXTENT = slice(2, 5)  # c_yy, c_yx, c_xx among the parameters y, x, c_yy, c_yx, c_xx, height
_PIXELS = 1000  # in the box of a body
_DAMPING = (1e-3, 1e-7, 1e4)  # at first, least and most
_RESTING = 1e-2  # squared step over squared error: a body that has arrived
_ARRIVED = 0.98  # of the bodies
_RISE = 1e-3  # of the sum of squares: its weights follow the model, and it may rise with them
_SOLVED = 1e-3  # relative residual of a step
SIGNIFICANT = 6.0  # height over its error: what a fitted dot has to have,
SEEN_SNR = 4.0  # and one that a person has seen too
_SEEN = 1e-6  # pixels of the body, squared heights added up: one that lies under a mask has less
SURELY = 1e-9  # damping of what is no step but an answer
_COVERED = 0.65  # of the width: how far from its centre a body is seen


class Known(NamedTuple):
    """What is common to all dots, for those that are fitted beside them.

    Parameters
    ----------
    blur
        1 sigma in pixels, the pixel's own width included.
    square_err
        1 sigma of its square.
    gain
        Variance of the noise for each unit of signal.
    open_shape
        Relative change of the radius that the choice of the shape leaves open, 1 sigma.
    """

    blur: float
    square_err: float
    gain: float
    open_shape: float


class Demand(NamedTuple):
    """What a dot has to show.

    Parameters
    ----------
    least_snr
        Height over its error.
    placed
        How many of the first guesses, the first ones, a person placed.
    placed_snr
        Height over its error of these.
    """

    least_snr: float = SIGNIFICANT
    placed: int = 0
    placed_snr: float = SIGNIFICANT


BRIGHT = Demand()


@dataclass(eq=False)
class Fit:
    """A fit under way.

    Parameters
    ----------
    parameters
        ``(n, 6)``: y, x in pixels; c_yy, c_yx, c_xx with the half extent along a unit vector t
        sqrt(t' C t); height.
    blur
        1 sigma in pixels, the pixel's own width included.
    shape
        Exponent of the bodies.
    gain
        Variance of the noise for each unit of signal (counting statistics).
    blur_known
        Whether the blur is not fitted.
    chi2
        Sum of squared residuals, relative to the noise of the ground.
    starts
        ``(n,)``, which of the first guesses each body comes from.
    faint, faint_starts
        ``(m, 6)``, bodies that were given up, and their first guesses.
    """

    parameters: NDArray[np.float64]
    blur: float
    shape: float
    gain: float = 0.0
    blur_known: bool = False
    chi2: float = np.inf
    starts: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    faint: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 6)))
    faint_starts: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp))

    def __post_init__(self) -> None:
        if len(self.starts) != len(self.parameters):
            self.starts = np.arange(len(self.parameters))

    def give_up(self, out: NDArray[np.bool_]) -> None:
        """Fit on without some of the bodies."""
        self.faint = np.vstack([self.faint, self.parameters[out]])
        self.faint_starts = np.concatenate([self.faint_starts, self.starts[out]])
        self.parameters, self.starts = self.parameters[~out], self.starts[~out]


def tensors(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrices C of bodies, ``(n, 2, 2)``, from their parameters."""
    return parameters[:, [2, 3, 3, 4]].reshape(-1, 2, 2)


@dataclass(frozen=True)
class Equations:
    """Normal equations of all bodies and the blur.

    Parameters
    ----------
    hessian, gradient, mixed, level
        ``(n, 6, 6)``, ``(n, 6)``, ``(n, 6)``, ``(n, 6)``; the last ones with the square of the
        blur and with the level of the ground.
    pairs, couplings
        ``(m, 2)`` bodies that overlap and ``(m, 6, 6)`` their blocks.
    blur_hessian, blur_gradient
        By the square of the blur.
    residual
        ``(n,)`` mean square residual in each box, weighted.
    height
        ``(n,)`` squared slopes by the height, added up without weights.
    """

    hessian: NDArray[np.float64]
    gradient: NDArray[np.float64]
    mixed: NDArray[np.float64]
    level: NDArray[np.float64]
    pairs: NDArray[np.int64]
    couplings: NDArray[np.float64]
    blur_hessian: float
    blur_gradient: float
    residual: NDArray[np.float64]
    height: NDArray[np.float64]

    def height_err(self, ground: Ground) -> NDArray[np.float64]:
        """1 sigma of the heights alone, ``(n,)``; infinite of what is not seen.

        The film's noise over a body's size does not grow with the signal: where pixels have less
        weight, it has too.
        """
        known = self.hessian[:, 5, 5]
        seen = known > _SEEN
        weight = np.divide(known, self.height, out=np.ones_like(known), where=seen)
        err = np.full(len(known), np.inf)
        err[seen] = np.sqrt(self.variance(ground, weight)[seen] / known[seen])
        return err

    def variance(
        self, ground: Ground, weight: NDArray[np.float64] | float = 1.0
    ) -> NDArray[np.float64]:
        """Variance that counts, ``(n,)``: noise over a body's size, and what the model leaves.

        `weight` is the mean one of the pixels that count.
        """
        noise = ground.noise**2
        return np.asarray((ground.correlation - 1.0) * noise * weight
                          + np.maximum(self.residual, noise))

    def damped(self, damping: float) -> NDArray[np.float64]:
        """Blocks of the bodies with their diagonals raised."""
        diagonal = np.einsum("nii->ni", self.hessian)
        ridge = damping * diagonal + 1e-12 * diagonal.max() + 1e-300
        return np.asarray(self.hessian + np.einsum("ni,ij->nij", ridge, np.eye(6)))

    def solve(
        self, rights: Iterable[NDArray[np.float64]], damping: float, accuracy: float = _SOLVED
    ) -> list[NDArray[np.float64]]:
        """Solve for all bodies at a given blur, ``(n, 6)`` for each right-hand side."""
        blocks = self.damped(damping)
        n = len(blocks)
        i, j = self.pairs.T
        rows = np.concatenate([np.arange(n), i, j])
        cols = np.concatenate([np.arange(n), j, i])
        data = np.concatenate([blocks, self.couplings, np.swapaxes(self.couplings, 1, 2)])
        order = np.lexsort((cols, rows))
        starts = np.searchsorted(rows[order], np.arange(n + 1))
        matrix = bsr_array((data[order], cols[order], starts), shape=(6 * n, 6 * n))
        inverse = np.linalg.inv(blocks)
        nearly = LinearOperator((6 * n, 6 * n), dtype=float, matvec=lambda v: np.einsum(
            "nij,nj->ni", inverse, v.reshape(n, 6)).ravel())
        return [cg(matrix, right.ravel(), rtol=accuracy, maxiter=60, M=nearly)[0].reshape(n, 6)
                for right in rights]

    def raised(self) -> NDArray[np.float64]:
        """Change of the parameters, ``(n, 6)``, at a given blur with a signal higher by 1."""
        return self.solve((self.level,), SURELY)[0]

    def step(self, damping: float, *, blur_known: bool) -> tuple[NDArray[np.float64], float]:
        """Step of the bodies, and of the square of the blur."""
        if blur_known:
            return self.solve((self.gradient,), damping)[0], 0.0
        towards, response = self.solve((self.gradient, self.mixed), damping)
        curvature = self.blur_hessian * (1 + damping) - float(np.sum(self.mixed * response))
        pull = self.blur_gradient - float(np.sum(self.mixed * towards))
        blur = pull / max(curvature, 1e-3 * self.blur_hessian, 1e-300)
        return towards - response * blur, blur

    @cached_property
    def covariance(self) -> NDArray[np.float64]:
        """Of each body at a given blur, for noise of variance 1; overlapping neighbours are free.

        Neighbours of neighbours are taken to be known.
        """
        free = self.damped(SURELY)
        inverse = np.linalg.inv(free)
        for (i, j), block in ((self.pairs.T, self.couplings),
                              (self.pairs.T[::-1], np.swapaxes(self.couplings, 1, 2))):
            np.subtract.at(free, i, block @ inverse[j] @ np.swapaxes(block, 1, 2))
        # Where two bodies cannot be told apart, their errors are large but not infinite.
        sound = np.linalg.eigvalsh(free)[:, 0] > 1e-3 * np.linalg.eigvalsh(self.hessian)[:, 0]
        covariance = 10.0 * inverse
        covariance[sound] = np.linalg.inv(free[sound])
        return np.asarray(covariance)


class Fitter:
    """The image, and the boxes around the bodies in it.

    Parameters
    ----------
    ground
        The image without its ground.
    start
        ``(n, 6)`` parameters near which the bodies are kept.
    width_px
        Their usual width.
    left_out
        ``(m, 2)`` centres of bodies that are not fitted: what they cover is not used.
    """

    def __init__(
        self, ground: Ground, start: NDArray[np.float64], width_px: float,
        left_out: NDArray[np.float64] | None = None,
    ) -> None:
        from emtools.measure.chains._kernels import Planes, count_boxes

        self.ground = ground
        self.start = start
        self.width_px = width_px
        half = int(np.ceil(0.8 * width_px + 2))
        centre = np.rint(start[:, :2]).astype(np.int64)
        shape = np.array(ground.signal.shape)
        low, high = np.clip(centre - half, 0, shape), np.clip(centre + half + 1, 0, shape)
        self.boxes = np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=-1)
        mask = np.zeros((0, 0), dtype=bool) if ground.mask is None else ground.mask
        cover = np.zeros(ground.signal.shape, dtype=np.uint8)
        count_boxes(self.boxes, mask, cover)
        if left_out is not None:
            _clear_discs(cover, left_out, _COVERED * width_px + 1.5)
        model, widening = (np.zeros(ground.signal.shape, dtype=np.float32) for _ in range(2))
        self.planes: Planes = Planes(ground.signal, model, widening, cover)
        self.pairs = cKDTree(start[:, :2]).query_pairs(1.4 * width_px + 3.0, output_type="ndarray")

    def gain(self, fit: Fit) -> float:
        """Estimate how the variance of the noise grows with the signal.

        From second differences, which see the noise from pixel to pixel but neither bodies nor
        what their model leaves of them.
        """
        from emtools.measure.chains._kernels import roughness

        self._draw(fit)
        rows = (1, len(self.planes.signal) - 1)
        levels = (1e-3 * float(self.planes.model.max()),
                  0.5 * float(np.median(fit.parameters[:, 5])))
        (noise, _, beside), (rough, signal, on) = np.sum(in_spans(
            lambda span: roughness(span, self.planes, levels), rows, self.planes.signal.size),
            axis=0).tolist()
        if not on or not beside:
            return 0.0
        ratio = (rough / on) / max(noise / beside, 1e-300)
        return float(max(0.0, self.ground.noise**2 * (ratio - 1.0) * on / signal))

    def drawn(self, fit: Fit) -> NDArray[np.float32]:
        """Return all bodies, ``(y, x)``."""
        self._draw(fit)
        return self.planes.model

    def _draw(self, fit: Fit) -> None:
        from emtools.measure.chains._kernels import draw_bodies

        in_spans(lambda rows: draw_bodies(rows, table_of(fit.shape), (fit.parameters, fit.blur),
                                          self.boxes, self.planes),
                 (0, len(self.planes.model)), len(fit.parameters) * _PIXELS)

    def equations(self, fit: Fit) -> Equations:
        """Linearise about the fit's parameters, and note their sum of squares."""
        from emtools.measure.chains import _kernels as kernels

        self._draw(fit)
        n, table = len(fit.parameters), table_of(fit.shape)
        sums = kernels.Sums(np.zeros((n, 7, 8)), np.zeros((n, 2)), np.zeros((n, 4)))
        couplings = np.zeros((len(self.pairs), 6, 6))
        variance = max(self.ground.noise**2, 1e-300)
        bodies = (fit.parameters, fit.blur)
        in_spans(lambda span: kernels.add_equations(
            span, table, bodies, self.boxes, self.planes, (variance, fit.gain), sums),
            (0, n), n * _PIXELS)
        in_spans(lambda span: kernels.add_couplings(
            span, self.pairs, table, bodies, self.boxes, (self.planes, variance, fit.gain),
            couplings), (0, len(couplings)), len(couplings) * _PIXELS)
        lower = np.tril(sums.products[:, :6, :6])
        hessian = lower + np.swapaxes(np.tril(lower, -1), 1, 2)
        fit.chi2 = float(sums.misfit[:, 2].sum())
        curvature, slope = sums.blur.sum(axis=0).tolist()
        return Equations(hessian, sums.products[:, :6, 6], sums.products[:, :6, 7],
                         sums.products[:, 6, :6], self.pairs, couplings, curvature, slope,
                         sums.misfit[:, 0] / np.maximum(sums.misfit[:, 1], 1),
                         sums.misfit[:, 3])

    def run(self, fit: Fit, steps: int) -> Equations:
        """Take steps until almost all bodies rest."""
        equations = self.equations(fit)
        damping, least, most = _DAMPING
        for _ in range(steps):
            stage("fitting bodies", 0.4)
            step, blur = equations.step(damping, blur_known=fit.blur_known)
            trial = self._stepped(fit, step, blur)
            renewed = self.equations(trial)
            if trial.chi2 > fit.chi2 * (1 + _RISE):
                damping *= 8.0
                if damping > most:
                    break
                continue
            moved = np.einsum("ni,nij,nj->n", step, equations.hessian, step)
            moved /= max(float(np.median(equations.residual)), 1e-300)
            fit.parameters, fit.blur, fit.chi2 = trial.parameters, trial.blur, trial.chi2
            equations, damping = renewed, max(0.2 * damping, least)
            if np.quantile(moved, _ARRIVED) < _RESTING:
                break
        return equations

    def _stepped(self, fit: Fit, step: NDArray[np.float64], blur: float) -> Fit:
        limit = 0.5 * fit.blur**2 + 0.02
        square = fit.blur**2 + float(np.clip(blur, -limit, limit))
        square = float(np.clip(square, PIXEL, (0.5 * self.width_px) ** 2))
        return replace(fit, parameters=self._bounded(fit.parameters + step),
                       blur=float(np.sqrt(square)))

    def _bounded(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Keep bodies near where they were found, of a sensible size, and positive."""
        reach = 0.6 * self.width_px
        bounded = parameters.copy()
        bounded[:, :2] = np.clip(bounded[:, :2], self.start[:, :2] - reach,
                                 self.start[:, :2] + reach)
        sizes, vectors = np.linalg.eigh(tensors(bounded))
        radius = 0.5 * self.width_px
        sizes = np.clip(sizes, (0.25 * radius) ** 2, (3.0 * radius) ** 2)
        kept = np.einsum("nij,nj,nkj->nik", vectors, sizes, vectors)
        bounded[:, EXTENT] = kept.reshape(-1, 4)[:, [0, 1, 3]]
        bounded[:, 5] = np.maximum(bounded[:, 5], 1e-3 * self.start[:, 5])
        return bounded


def _clear_discs(
    cover: NDArray[np.uint8], centres: NDArray[np.float64], radius: float
) -> None:
    reach = int(np.ceil(radius))
    for y, x in np.rint(centres).astype(int).tolist():
        rows = np.arange(max(y - reach, 0), min(y + reach + 1, cover.shape[0]))
        cols = np.arange(max(x - reach, 0), min(x + reach + 1, cover.shape[1]))
        inside = (rows[:, None] - y) ** 2 + (cols - x) ** 2 < radius**2
        cover[rows[0]:rows[-1] + 1, cols[0]:cols[-1] + 1][inside] = 0
