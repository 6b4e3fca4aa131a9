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

from emtools.measure.chains.body import SHAPES, render

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains.ground import Ground

_STEPS = 40
_CONVERGED = 1e-5  # relative change of the sum of squares
_SUBSET = 40  # dots that decide the shape
_SMALLEST_BLUR_PX = 0.1  # below this no fit can tell
_COARSE_PX = 14.0  # width below which a pixel is sampled at three points along each axis
_LARGEST_BLUR = 0.75  # of the radius: beyond it extent and blur cannot be told apart
_GAUSS_POINT = 0.28867513459481287  # of a pixel: 1 / sqrt(12)
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
        1 sigma of the Gaussian in pixels, and its uncertainty.
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
    """A fit under way."""

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
    """The image, and the windows around the dots in it."""

    def __init__(self, ground: Ground, start: NDArray[np.float64], width_px: float) -> None:
        self.ground = ground
        self.start = start
        self.width_px = width_px
        half = int(np.ceil(0.8 * width_px + 2))
        offset = np.arange(-half, half + 1)
        dy, dx = (a.ravel() for a in np.meshgrid(offset, offset, indexing="ij"))
        ny, nx = ground.signal.shape
        centre = np.rint(start[:, :2]).astype(int)
        rows, cols = centre[:, :1] + dy, centre[:, 1:] + dx
        inside = (rows >= 0) & (rows < ny) & (cols >= 0) & (cols < nx)
        self.rows, self.cols = rows.clip(0, ny - 1), cols.clip(0, nx - 1)
        self.used = inside
        # A pixel averages over itself; the coarser it is, the more the sharp edge matters.
        points = (-1 / 3, 0.0, 1 / 3) if width_px < _COARSE_PX else (-_GAUSS_POINT, _GAUSS_POINT)
        self.subpixels = np.array([(above, left) for above in points for left in points])
        if ground.mask is not None:
            self.used = inside & ground.mask[self.rows, self.cols]

    def model(self, parameters: NDArray[np.float64], blur: float, shape: float
              ) -> NDArray[np.float64]:
        """Return the model of each dot in its own window, ``(n, w)``."""
        return render(parameters, blur, shape, (self.rows, self.cols), self.subpixels)

    def total(self, own: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the model of all dots together, in the window of each."""
        total = np.zeros(self.ground.signal.shape)
        np.add.at(total, (self.rows, self.cols), np.where(self.used, own, 0.0))
        return np.asarray(total[self.rows, self.cols])

    def gain(self, fit: _Fit) -> float:
        """Estimate how the variance of the noise grows with the signal."""
        total = self.total(self.model(fit.parameters, fit.blur, fit.shape))
        residual = np.where(self.used, self.ground.signal[self.rows, self.cols] - total, 0.0)
        excess = np.where(self.used, residual**2 - self.ground.noise**2, 0.0)
        total = np.maximum(total, 0.0)
        return max(0.0, float(np.sum(excess * total) / max(np.sum(total**2), 1e-300)))

    def equations(self, fit: _Fit) -> _Equations:
        """Linearise about the fit's parameters."""
        own = self.model(fit.parameters, fit.blur, fit.shape)
        total = self.total(own)
        # Relative to the noise of the ground, so that sums of squares stay in its unit.
        square = max(self.ground.noise**2, 1e-300)
        weight = np.where(self.used, np.sqrt(
            square / (square + fit.gain * np.maximum(total, 0.0))), 0.0)
        residual = weight * (self.ground.signal[self.rows, self.cols] - total)
        columns = []
        for i, step in enumerate(self._steps(fit.parameters).T):
            moved = fit.parameters.copy()
            moved[:, i] += step
            difference = self.model(moved, fit.blur, fit.shape) - own
            columns.append(weight * difference / step[:, None])
        jacobian = np.stack(columns, axis=-1)
        # The blur enters through its square: there the derivative does not vanish at no blur.
        more = 1.04 * fit.blur**2 + 0.01
        by_blur = self.model(fit.parameters, float(np.sqrt(more)), fit.shape) - own
        by_blur *= weight / (more - fit.blur**2)
        n_used = np.maximum(self.used.sum(axis=1), 1)
        fit.chi2 = float(np.sum(residual**2))
        return _Equations(
            np.einsum("nwi,nwj->nij", jacobian, jacobian),
            np.einsum("nwi,nw->ni", jacobian, residual),
            np.einsum("nwi,nw->ni", jacobian, by_blur),
            float(np.sum(by_blur**2)), float(np.sum(by_blur * residual)),
            np.sum(residual**2, axis=1) / n_used,
        )

    def _steps(self, parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        radius2 = np.sqrt(parameters[:, 2] * parameters[:, 4])
        pixel = np.full(len(parameters), 0.02 * self.width_px)
        return np.stack([pixel, pixel, 0.03 * radius2, 0.03 * radius2, 0.03 * radius2,
                         0.05 * parameters[:, 5]], axis=-1)

    def run(self, fit: _Fit, steps: int) -> _Equations:
        """Take Gauss-Newton steps."""
        equations = self.equations(fit)
        for _ in range(steps):
            before = fit.chi2
            self._advance(fit, equations)
            equations = self.equations(fit)
            if abs(before - fit.chi2) < _CONVERGED * before:
                break
        return equations

    def _advance(self, fit: _Fit, equations: _Equations) -> None:
        damped = equations.hessian + _damping(equations.hessian)
        towards = np.linalg.solve(damped, equations.gradient[..., None])[..., 0]
        response = np.linalg.solve(damped, equations.mixed[..., None])[..., 0]
        curvature = equations.blur_hessian - float(np.sum(equations.mixed * response))
        pull = equations.blur_gradient - float(np.sum(equations.mixed * towards))
        # Early on the blur runs away before the dots have found their size.
        blur_step = pull / max(curvature, 1e-3 * equations.blur_hessian, 1e-300)
        limit = 0.5 * fit.blur**2 + 0.02
        square = fit.blur**2 + float(np.clip(blur_step, -limit, limit))
        square = float(np.clip(square, _SMALLEST_BLUR_PX**2, (0.5 * self.width_px) ** 2))
        step = towards - response * (square - fit.blur**2)
        fit.blur = float(np.sqrt(square))
        fit.parameters = self._bounded(fit.parameters + 0.8 * step)

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
    fit = _Fit(_start(ground, maxima, width_px), 0.1 * width_px, SHAPES[0])
    equations = _settled(fit, ground, width_px)
    if equations is None:
        return None
    subset = _Fitter(ground, _brightest(fit.parameters, width_px), width_px)
    gain = subset.gain(_Fit(subset.start, fit.blur, fit.shape))
    trials = [_Fit(subset.start.copy(), fit.blur, shape, gain) for shape in SHAPES]
    variances = [np.median(subset.run(trial, _STEPS).variance) for trial in trials]
    noise = ground.correlation * max(ground.noise**2, float(min(variances)))
    best = _likeliest(trials, noise)
    fit = _Fit(fit.parameters, best.blur, best.shape, gain)
    equations = _settled(fit, ground, width_px)
    if equations is None:
        return None
    open_shape = float(np.hypot(_open_shape(trials, best, noise), _open_outline(best.shape)))
    if ground.contrast == "dark":
        open_shape = float(np.hypot(open_shape, _FRESNEL))
    return _uncertain(fit, equations, ground, open_shape)


def _settled(fit: _Fit, ground: Ground, width_px: float) -> _Equations | None:
    """Fit until only separate, significant dots are left; None if there are none."""
    while len(fit.parameters):
        equations = _Fitter(ground, fit.parameters, width_px).run(fit, _STEPS)
        keep = _separate(fit.parameters, equations, ground)
        if keep.all():
            return equations
        fit.parameters = fit.parameters[keep]
    return None


def _brightest(parameters: NDArray[np.float64], width_px: float) -> NDArray[np.float64]:
    """Some dots, and their neighbours, whose light would else be taken for blur."""
    chosen = parameters[np.argsort(-parameters[:, 5], kind="stable")[:_SUBSET]]
    distance = np.linalg.norm(parameters[:, None, :2] - chosen[None, :, :2], axis=-1)
    return np.asarray(parameters[distance.min(axis=1) < 2.0 * width_px])


def _separate(
    parameters: NDArray[np.float64], equations: _Equations, ground: Ground
) -> NDArray[np.bool_]:
    """Which dots are significant, and not a second fit of a brighter neighbour."""
    variance = np.maximum(equations.variance, ground.noise**2) * ground.correlation
    inverse = np.linalg.inv(equations.hessian + _damping(equations.hessian))
    height_err = np.sqrt(variance * inverse[:, 5, 5])
    keep = parameters[:, 5] > _SIGNIFICANT * height_err
    distance = np.linalg.norm(parameters[:, None, :2] - parameters[None, :, :2], axis=-1)
    radius = np.sqrt(np.sqrt(np.maximum(
        parameters[:, 2] * parameters[:, 4] - parameters[:, 3] ** 2, 0.0)))
    close = distance < _OVERLAP * (radius[:, None] + radius[None, :])
    for dot in np.argsort(-parameters[:, 5], kind="stable"):
        rivals = close[dot] & (parameters[:, 5] < parameters[dot, 5])
        if keep[dot]:
            keep[rivals] = False
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
    return Dots(fit.parameters, inverse * variance[:, None, None],
                np.stack([response * square_err, by_shape]), fit.blur,
                0.5 * square_err / fit.blur, fit.shape)
