"""Dots: fitted together as blurred projected ellipsoids.

All dots are fitted at once by damped Gauss-Newton steps; the residual that each sees is that of the
whole image, so neighbours that overlap are told apart.  One blur is common to all dots, and the
shape of the bodies is the likeliest of a few.  What blur and shape leave open is common to all
dots too, and does not average out over a chain: it is kept apart from each dot's own covariance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from emtools.measure.chains.body import SHAPES, table_of
from emtools.process.threads import in_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains.ground import Ground

_STEPS = 40
_RESTING = 1e-3  # squared step over squared error: a dot that has arrived
_UNSETTLING = 1e-2  # and a step that its neighbours notice
_MOST = 0.3  # of the dots still moving: the blur is settled
_SUBSET = 40  # dots that decide the shape
_PIXELS = 1000  # places in the box of a dot at which its model is worked out
# Variance of a pixel's own width.  A Gaussian of it in place of the square moves radii of two
# pixels and more by less than 0.1 %.
_PIXEL = 1.0 / 12.0
_LARGEST_BLUR = 0.75  # of the radius: beyond it extent and blur cannot be told apart
_SIGNIFICANT = 6.0  # height over its error: what a fitted dot has to have
_OVERLAP = 0.6  # of the sum of the radii: closer centres are one dot fitted twice
_CLEAR_EVIDENCE = 60.0  # in chi squared, against the sphere: no real body is a model exactly
_OVERDISPERSED = 8.0  # by how much differences of chi squared overstate what is known of the shape
_FRESNEL = 0.05  # of the radius: where in the fringes of a TEM image the edge lies
_EXTENT = slice(2, 5)  # c_yy, c_yx, c_xx among the parameters y, x, c_yy, c_yx, c_xx, height


@dataclass(frozen=True)
class Dots:
    """Fitted dots.

    Parameters
    ----------
    parameters
        ``(n, 6)``: y, x in pixels; c_yy, c_yx, c_xx with the half extent along a unit vector t
        sqrt(t' C t); height.
    covariance
        ``(n, 6, 6)`` at given blur and shape.
    common
        ``(2, n, 6)``: change of the parameters with 1 sigma of the blur, and of the shape.
    blur, blur_err
        1 sigma of the Gaussian in pixels, without the pixel's own width, and its uncertainty.
    shape
        Exponent of the body.
    """

    parameters: NDArray[np.float64]
    covariance: NDArray[np.float64]
    common: NDArray[np.float64]
    blur: float
    blur_err: float
    shape: float

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def centre(self) -> NDArray[np.float64]:
        """``(n, 2)`` pixel coordinates ``(y, x)``."""
        return self.parameters[:, :2]

    @property
    def snr(self) -> NDArray[np.float64]:
        """Height over its 1 sigma."""
        return np.asarray(self.parameters[:, 5] / np.sqrt(self.covariance[:, 5, 5]))

    @property
    def told_from_blur(self) -> bool:
        """Whether the bodies are larger than their blur, so that their extents mean something."""
        radius = np.sqrt(np.sqrt(np.maximum(
            self.parameters[:, 2] * self.parameters[:, 4] - self.parameters[:, 3] ** 2, 0.0)))
        return bool(self.blur < _LARGEST_BLUR * float(np.median(radius)))

    @property
    def widths(self) -> NDArray[np.float64]:
        """Full extents in pixels along the shorter axes."""
        tensors = self.parameters[:, [2, 3, 3, 4]].reshape(-1, 2, 2)
        return np.asarray(2.0 * np.sqrt(np.linalg.eigvalsh(tensors)[:, 0]))

    def tensor(self, dot: int) -> NDArray[np.float64]:
        """Matrix C of one dot."""
        c_yy, c_yx, c_xx = self.parameters[dot, _EXTENT]
        return np.array([[c_yy, c_yx], [c_yx, c_xx]])

    def half_extent(self, dot: int, along: NDArray[np.float64]) -> float:
        """Half extent of a dot in pixels along a unit vector ``(y, x)``."""
        return float(np.sqrt(along @ self.tensor(dot) @ along))

    def slope(self, dot: int, along: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative of `half_extent` by the six parameters."""
        y, x = along
        return np.array([0.0, 0.0, y * y, 2 * y * x, x * x, 0.0]) / (
            2.0 * self.half_extent(dot, along))

    def axes(self, dot: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Unit vectors along the longer and the shorter axis."""
        vectors = np.linalg.eigh(self.tensor(dot))[1]
        return vectors[:, 1], vectors[:, 0]

    def only(self, keep: NDArray[np.bool_]) -> Dots:
        """Return some of the dots."""
        return replace(self, parameters=self.parameters[keep], covariance=self.covariance[keep],
                       common=self.common[:, keep])


@dataclass(eq=False)
class _Fit:
    """A fit under way; the blur holds the pixel's own width."""

    parameters: NDArray[np.float64]
    blur: float
    shape: float
    gain: float = 0.0  # variance of the noise for each unit of signal (counting statistics)
    chi2: float = np.inf


@dataclass(frozen=True)
class _Equations:
    """Normal equations of all dots and the blur: an arrow-shaped matrix."""

    hessian: NDArray[np.float64]  # (n, 6, 6)
    gradient: NDArray[np.float64]  # (n, 6)
    mixed: NDArray[np.float64]  # (n, 6)
    blur_hessian: float  # by the square of the blur
    blur_gradient: float
    variance: NDArray[np.float64]  # (n,) mean square residual in each window


class _Fitter:
    """The image, and the boxes around the dots in it."""

    def __init__(self, ground: Ground, start: NDArray[np.float64], width_px: float) -> None:
        from emtools.measure.chains._kernels import Sums

        self.ground = ground
        self.start = start
        self.width_px = width_px
        half = int(np.ceil(0.8 * width_px + 2))
        centre = np.rint(start[:, :2]).astype(np.int64)
        shape = np.array(ground.signal.shape)
        low, high = np.clip(centre - half, 0, shape), np.clip(centre + half + 1, 0, shape)
        self.boxes = np.stack([low[:, 0], high[:, 0], low[:, 1], high[:, 1]], axis=-1)
        self.mask = np.zeros((0, 0), dtype=bool) if ground.mask is None else ground.mask
        self.model = np.zeros(ground.signal.shape, dtype=np.float32)
        self.neighbours = cKDTree(start[:, :2]).query_pairs(1.5 * width_px, output_type="ndarray")
        n = len(start)
        self.sums = Sums(np.zeros((n, 6, 6)), np.zeros((n, 6)), np.zeros((n, 6)),
                         np.zeros((n, 2)), np.zeros((n, 2)))

    def gain(self, fit: _Fit) -> float:
        """Estimate how the variance of the noise grows with the signal."""
        self._draw(fit)
        excess, squares = 0.0, 0.0
        for top, bottom, left, right in self.boxes.tolist():
            box = slice(top, bottom), slice(left, right)
            used = slice(None) if self.ground.mask is None else self.ground.mask[box]
            total = self.model[box][used].astype(float)
            residual = self.ground.signal[box][used] - total
            total = np.maximum(total, 0.0)
            excess += float(np.sum((residual**2 - self.ground.noise**2) * total))
            squares += float(np.sum(total**2))
        return max(0.0, excess / max(squares, 1e-300))

    def _draw(self, fit: _Fit) -> None:
        """Draw all dots together."""
        from emtools.measure.chains._kernels import add_bodies, clear_boxes

        clear_boxes(self.boxes, self.model)
        add_bodies(table_of(fit.shape), fit.parameters, fit.blur, self.boxes, self.model)

    def _redraw(self, fit: _Fit, before: NDArray[np.float64]) -> None:
        """Draw the dots that moved anew."""
        from emtools.measure.chains._kernels import add_bodies

        changed = np.flatnonzero((fit.parameters != before).any(axis=1))
        for bodies, sign in ((before[changed], -1.0), (fit.parameters[changed], 1.0)):
            bodies[:, 5] *= sign
            add_bodies(table_of(fit.shape), bodies, fit.blur, self.boxes[changed], self.model)

    def equations(self, fit: _Fit, moving: NDArray[np.bool_] | None = None) -> _Equations:
        """Linearise about the fit's parameters; anew only for those that move, if given."""
        from emtools.measure.chains._kernels import add_equations

        if moving is None:
            self._draw(fit)
        chosen = np.arange(len(fit.parameters)) if moving is None else np.flatnonzero(moving)
        planes = (self.ground.signal, self.model, self.mask)
        noise = (max(self.ground.noise**2, 1e-300), fit.gain)
        in_spans(lambda span: add_equations(
            chosen[slice(*span)], table_of(fit.shape), (fit.parameters, fit.blur), self.boxes,
            planes, noise, self.sums), (0, len(chosen)), len(chosen) * _PIXELS)
        sums = self.sums
        hessian = sums.hessian + np.swapaxes(np.tril(sums.hessian, -1), 1, 2)
        curvature, slope = sums.blur.sum(axis=0).tolist()
        fit.chi2 = float(sums.misfit[:, 0].sum())
        return _Equations(hessian, sums.gradient, sums.mixed, curvature, slope,
                          sums.misfit[:, 0] / np.maximum(sums.misfit[:, 1], 1))

    def run(self, fit: _Fit, steps: int) -> _Equations:
        """Take Gauss-Newton steps; once most dots rest, the blur does, and they are left alone."""
        equations = self.equations(fit)
        moving = np.ones(len(fit.parameters), dtype=bool)
        for _ in range(steps):
            step, blur_square = self._step(fit, equations)
            settling = moving.mean() < _MOST
            if not settling:
                fit.blur = float(np.sqrt(blur_square))
            before = fit.parameters
            fit.parameters = np.where(moving[:, None], self._bounded(before + step), before)
            moved = np.einsum("ni,nij,nj->n", step, equations.hessian, step)
            moving &= self._still_moving(moved / max(float(np.median(equations.variance)), 1e-300))
            if not moving.any():
                break
            if settling:
                self._redraw(fit, before)
            equations = self.equations(fit, moving if settling else None)
        return self.equations(fit)

    def _still_moving(self, moved: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which dots moved by a notable part of their errors, or have a neighbour that did."""
        moving = moved > _RESTING
        unsettled = moved[self.neighbours] > _UNSETTLING
        moving[self.neighbours[unsettled[:, 0], 1]] = True
        moving[self.neighbours[unsettled[:, 1], 0]] = True
        return np.asarray(moving)

    def _step(self, fit: _Fit, equations: _Equations) -> tuple[NDArray[np.float64], float]:
        """Return a step of all parameters, and the new square of the blur."""
        damped = equations.hessian + _damping(equations.hessian)
        both = np.stack([equations.gradient, equations.mixed], axis=-1)
        towards, response = np.moveaxis(np.linalg.solve(damped, both), -1, 0)
        curvature = equations.blur_hessian - float(np.sum(equations.mixed * response))
        pull = equations.blur_gradient - float(np.sum(equations.mixed * towards))
        # Early on the blur runs away before the dots have found their size.
        blur_step = pull / max(curvature, 1e-3 * equations.blur_hessian, 1e-300)
        limit = 0.5 * fit.blur**2 + 0.02
        square = fit.blur**2 + float(np.clip(blur_step, -limit, limit))
        square = float(np.clip(square, _PIXEL, (0.5 * self.width_px) ** 2))
        return 0.8 * (towards - response * (square - fit.blur**2)), square

    def _bounded(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        """Keep dots near where they were found, of a sensible size, and positive."""
        reach = 0.6 * self.width_px
        bounded = parameters.copy()
        bounded[:, :2] = np.clip(bounded[:, :2], self.start[:, :2] - reach,
                                 self.start[:, :2] + reach)
        tensors = bounded[:, [2, 3, 3, 4]].reshape(-1, 2, 2)
        sizes, vectors = np.linalg.eigh(tensors)
        radius = 0.5 * self.width_px
        sizes = np.clip(sizes, (0.25 * radius) ** 2, (3.0 * radius) ** 2)
        tensors = np.einsum("nij,nj,nkj->nik", vectors, sizes, vectors)
        bounded[:, _EXTENT] = tensors.reshape(-1, 4)[:, [0, 1, 3]]
        bounded[:, 5] = np.maximum(bounded[:, 5], 1e-3 * self.start[:, 5])
        return bounded


def _damping(hessian: NDArray[np.float64]) -> NDArray[np.float64]:
    diagonal = np.einsum("nii->ni", hessian)
    ridge = 1e-3 * diagonal + 1e-12 * diagonal.max() + 1e-300
    return np.asarray(np.einsum("ni,ij->nij", ridge, np.eye(6)))


def fit_dots(ground: Ground, maxima: NDArray[np.float64], width_px: float) -> Dots | None:
    """Fit a dot at each of the maxima.

    Parameters
    ----------
    ground
        The image without its ground.
    maxima
        ``(n, 2)`` first guesses of the centres.
    width_px
        First guess of the width.

    Returns
    -------
    Dots or None
        None if there is none.
    """
    if len(maxima) == 0:
        return None
    start = _start(ground, maxima, width_px)
    few = _Fit(_typical(start, width_px), _first_blur(width_px), SHAPES[0])
    if _settled(few, ground, width_px) is None:
        few = _Fit(start.copy(), _first_blur(width_px), SHAPES[0])
        if _settled(few, ground, width_px) is None:
            return None
    subset = _Fitter(ground, few.parameters, width_px)
    gain = subset.gain(few)
    trials = [_Fit(few.parameters.copy(), few.blur, shape, gain) for shape in SHAPES]
    variances = [np.median(subset.run(trial, _STEPS).variance) for trial in trials]
    noise = ground.correlation * max(ground.noise**2, float(min(variances)))
    best = _likeliest(trials, noise)
    size = np.median(best.parameters[:, _EXTENT], axis=0)
    start[:, 2] = start[:, 4] = np.sqrt(max(size[0] * size[2] - size[1] ** 2, 1e-6))
    fit = _Fit(start, best.blur, best.shape, gain)
    equations = _settled(fit, ground, width_px)
    if equations is None:
        return None
    open_shape = float(np.hypot(_open_shape(trials, best, noise), _open_outline(best.shape)))
    if ground.contrast == "dark":
        open_shape = float(np.hypot(open_shape, _FRESNEL))
    return _uncertain(fit, equations, ground, open_shape)


def _first_blur(width_px: float) -> float:
    return float(np.hypot(0.1 * width_px, np.sqrt(_PIXEL)))


def _settled(fit: _Fit, ground: Ground, width_px: float) -> _Equations | None:
    """Fit until only separate, significant dots are left; None if there are none."""
    while len(fit.parameters):
        equations = _Fitter(ground, fit.parameters, width_px).run(fit, _STEPS)
        keep = _separate(fit.parameters, equations, ground)
        if keep.all():
            return equations
        fit.parameters = fit.parameters[keep]
    return None


def _typical(start: NDArray[np.float64], width_px: float) -> NDArray[np.float64]:
    """Some dots of clear but usual height, and their neighbours, whose light else looks like blur.

    The very brightest may be contamination, or two on top of each other.
    """
    order = np.argsort(start[:, 5], kind="stable")
    clear = order[int(0.5 * len(order)):int(np.ceil(0.97 * len(order)))]
    if len(order) <= _SUBSET:
        clear = order
    chosen = clear[np.linspace(0, len(clear) - 1, min(_SUBSET, len(clear))).astype(int)]
    tree = cKDTree(start[:, :2])
    near = tree.query_ball_point(start[chosen, :2], 2.0 * width_px, return_sorted=True)
    return np.asarray(start[np.unique(np.concatenate(list(near)).astype(int))])


def _separate(
    parameters: NDArray[np.float64], equations: _Equations, ground: Ground
) -> NDArray[np.bool_]:
    """Which dots are significant, and not a second fit of a brighter neighbour."""
    variance = np.maximum(equations.variance, ground.noise**2) * ground.correlation
    inverse = np.linalg.inv(equations.hessian + _damping(equations.hessian))
    height_err = np.sqrt(variance * inverse[:, 5, 5])
    keep = parameters[:, 5] > _SIGNIFICANT * height_err
    radius = np.sqrt(np.sqrt(np.maximum(
        parameters[:, 2] * parameters[:, 4] - parameters[:, 3] ** 2, 0.0)))
    pairs = cKDTree(parameters[:, :2]).query_pairs(2 * _OVERLAP * float(radius.max()),
                                                   output_type="ndarray")
    distance = np.linalg.norm(parameters[pairs[:, 0], :2] - parameters[pairs[:, 1], :2], axis=-1)
    pairs = pairs[distance < _OVERLAP * radius[pairs].sum(axis=1)]
    # The brighter of two stays, the brightest of all first.
    brighter = np.where(parameters[pairs[:, 0], 5] >= parameters[pairs[:, 1], 5], 0, 1)
    each = np.arange(len(pairs))
    pairs = np.stack([pairs[each, brighter], pairs[each, 1 - brighter]], axis=-1)
    for bright, faint in pairs[np.argsort(-parameters[pairs[:, 0], 5], kind="stable")].tolist():
        keep[faint] &= not keep[bright]
    return np.asarray(keep)


def _start(
    ground: Ground, maxima: NDArray[np.float64], width_px: float
) -> NDArray[np.float64]:
    rows, cols = np.rint(maxima).astype(int).T
    height = np.maximum(ground.signal[rows, cols], ground.threshold)
    c = np.full(len(maxima), (0.5 * width_px) ** 2)
    return np.column_stack([maxima, c, np.zeros_like(c), c, height]).astype(float)


def _likeliest(trials: list[_Fit], noise: float) -> _Fit:
    """The likeliest shape; the sphere unless the image clearly speaks against it."""
    best = min(trials, key=lambda trial: trial.chi2)
    return trials[0] if trials[0].chi2 - best.chi2 < _CLEAR_EVIDENCE * noise else best


def _open_shape(trials: list[_Fit], chosen: _Fit, noise: float) -> float:
    """Relative change of the radius that the choice of the shape leaves open, 1 sigma."""
    radius = [float(np.mean(np.sqrt(np.sqrt(t.parameters[:, 2] * t.parameters[:, 4]))))
              for t in trials]
    own = radius[trials.index(chosen)]
    against = [max(0.0, min((t.chi2 - chosen.chi2) / noise, 1e3)) for t in trials]
    likelihood = [math.exp(-0.5 * chi2 / _OVERDISPERSED) for chi2 in against]
    return max(p * abs(r / own - 1.0) for p, r in zip(likelihood, radius, strict=True))


def _open_outline(shape: float) -> float:
    """Relative change of the radius that an outline with corners leaves open, 1 sigma.

    A body whose top is flatter than a sphere's may be as flat along its sides: a superellipse
    |u|^m + |v|^m = 1, which a round outline of the same area makes too wide.
    """
    area = 4.0 * math.gamma(1 + 1 / shape) ** 2 / math.gamma(1 + 2 / shape)
    return math.sqrt(area / math.pi) - 1.0


def _uncertain(fit: _Fit, equations: _Equations, ground: Ground, open_shape: float) -> Dots:
    inverse = np.linalg.inv(equations.hessian + 1e-6 * _damping(equations.hessian))
    variance = np.maximum(equations.variance, ground.noise**2) * ground.correlation
    response = -np.einsum("nij,nj->ni", inverse, equations.mixed)
    curvature = equations.blur_hessian + float(np.sum(equations.mixed * response))
    square_err = float(np.sqrt(np.median(variance)
                               / max(curvature, 1e-9 * equations.blur_hessian, 1e-300)))
    by_shape = np.zeros_like(fit.parameters)
    by_shape[:, _EXTENT] = 2.0 * open_shape * fit.parameters[:, _EXTENT]
    blur = float(np.sqrt(max(fit.blur**2 - _PIXEL, 0.0)))
    blur_err = 0.5 * square_err / max(blur, float(np.sqrt(square_err)))
    return Dots(fit.parameters, inverse * variance[:, None, None],
                np.stack([response * square_err, by_shape]), blur, blur_err, fit.shape)
