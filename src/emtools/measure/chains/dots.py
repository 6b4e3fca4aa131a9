"""Dots: fitted together as blurred projected ellipsoids.

All dots are fitted at once by damped Gauss-Newton steps; the residual that each sees is that of the
whole image, so neighbours that overlap are told apart.  One blur is common to all dots, and the
shape of the bodies is the likeliest of a few.  What blur and shape leave open is common to all
dots too, and does not average out over a chain: it is kept apart from each dot's own covariance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from emtools.measure.chains.body import SHAPES
from emtools.measure.chains.fit import (
    BRIGHT,
    EXTENT,
    PIXEL,
    SURELY,
    Demand,
    Fit,
    Fitter,
    Known,
    tensors,
)
from emtools.measure.chains.rejected import FAINT, NOTHING, Rejected, bodies

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains.fit import Equations
    from emtools.measure.chains.ground import Ground

_STEPS = 40
_SUBSET = 40  # dots that decide the shape
_LARGEST_BLUR = 0.75  # of the radius: beyond it extent and blur cannot be told apart
_COLOURED = 1.6  # times more height, at most, where noise goes together over several pixels
_SMALLEST_PX = 1.5  # radius
_OVERLAP = 0.6  # of the sum of the radii: closer centres are one dot fitted twice
_SAME = 0.25  # the same of two dots that a person placed
_CLEAR_EVIDENCE = 60.0  # in chi squared, against the sphere: no real body is a model exactly
_OVERDISPERSED = 8.0  # by how much differences of chi squared overstate what is known of the shape
_FRESNEL = 0.05  # of the radius: where in the fringes of a TEM image the edge lies


@dataclass(frozen=True)
class Dots:
    """Fitted dots.

    Parameters
    ----------
    parameters
        ``(n, 6)``, as of `fit.Fit`.
    covariance
        ``(n, 6, 6)`` at given blur and shape.
    common
        ``(3, n, 6)``: change of the parameters with 1 sigma of the blur, of the shape, and of the
        ground's level.
    blur, blur_err
        1 sigma of the Gaussian in pixels, without the pixel's own width, and its uncertainty.
    shape
        Exponent of the body.
    model
        ``(y, x)``, all dots drawn.
    starts
        ``(n,)``, which of the first guesses each comes from.
    known
        What is common to all of them.
    """

    parameters: NDArray[np.float64]
    covariance: NDArray[np.float64]
    common: NDArray[np.float64]
    blur: float
    blur_err: float
    shape: float
    model: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    starts: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    known: Known | None = None

    def __len__(self) -> int:
        return len(self.parameters)

    @property
    def centre(self) -> NDArray[np.float64]:
        """``(n, 2)`` pixel coordinates ``(y, x)``."""
        return self.parameters[:, :2]

    @property
    def centre_err(self) -> NDArray[np.float64]:
        """1 sigma of each centre along either direction."""
        return np.asarray(np.sqrt(0.5 * np.trace(self.covariance[:, :2, :2], axis1=1, axis2=2)))

    @property
    def snr(self) -> NDArray[np.float64]:
        """Height over its 1 sigma."""
        return np.asarray(self.parameters[:, 5] / np.sqrt(self.covariance[:, 5, 5]))

    @property
    def told_from_blur(self) -> bool:
        """Whether bodies are larger than blur and pixel, so that their extents mean something."""
        radius = float(np.median(_radii(self.parameters)))
        return self.blur < _LARGEST_BLUR * radius and radius > _SMALLEST_PX

    @property
    def widths(self) -> NDArray[np.float64]:
        """Full extents in pixels along the shorter axes."""
        return np.asarray(2.0 * np.sqrt(np.linalg.eigvalsh(tensors(self.parameters))[:, 0]))

    @property
    def areas(self) -> NDArray[np.float64]:
        """Areas of the outlines in square pixels."""
        return np.asarray(np.pi * _radii(self.parameters) ** 2)

    def tensor(self, dot: int) -> NDArray[np.float64]:
        """Matrix C of one dot."""
        return np.asarray(self._tensors[dot])

    @cached_property
    def _tensors(self) -> NDArray[np.float64]:
        return tensors(self.parameters)

    def half_extent(self, dot: int, along: NDArray[np.float64]) -> float:
        """Half extent of a dot in pixels along a unit vector ``(y, x)``."""
        return math.sqrt(along @ self.tensor(dot) @ along)

    def slope(self, dot: int, along: NDArray[np.float64]) -> NDArray[np.float64]:
        """Derivative of `half_extent` by the six parameters."""
        y, x = along
        return np.array([0.0, 0.0, y * y, 2 * y * x, x * x, 0.0]) / (
            2.0 * self.half_extent(dot, along))

    def axes(self, dot: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Unit vectors along the longer and the shorter axis."""
        vectors = np.linalg.eigh(self.tensor(dot))[1]
        return vectors[:, 1], vectors[:, 0]

    def only(self, keep: NDArray[np.bool_] | NDArray[np.intp]) -> Dots:
        """Return some of the dots, in another order where their numbers are given."""
        return replace(self, parameters=self.parameters[keep], covariance=self.covariance[keep],
                       common=self.common[:, keep],
                       starts=self.starts[keep] if len(self.starts) else self.starts)


class _Common(NamedTuple):
    """What is common to all dots, from a few: the fits of all shapes, the likeliest, the noise."""

    trials: list[Fit]
    best: Fit
    noise: float

    def first(self, start: NDArray[np.float64]) -> Fit:
        """Return a fit that starts with it."""
        size = np.median(self.best.parameters[:, EXTENT], axis=0)
        start[:, 2] = start[:, 4] = np.sqrt(max(size[0] * size[2] - size[1] ** 2, 1e-6))
        return Fit(start, self.best.blur, self.best.shape, self.best.gain)


def _radii(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Radii of the circles as large as the bodies' outlines."""
    _, _, c_yy, c_yx, c_xx, _ = parameters.T
    return np.asarray(np.sqrt(np.sqrt(np.maximum(c_yy * c_xx - c_yx**2, 0.0))))


def fit_dots(
    ground: Ground, maxima: NDArray[np.float64], width_px: float, demand: Demand = BRIGHT
) -> tuple[Dots | None, list[Rejected]]:
    """Fit a dot at each of the maxima.

    Parameters
    ----------
    ground
        The image without its ground.
    maxima
        ``(n, 2)`` first guesses of the centres.
    width_px
        First guess of the width.
    demand
        What a dot has to show.

    Returns
    -------
    tuple
        The dots, None if there is none; and what turned out not to be significant.
    """
    if len(maxima) == 0:
        return None, []
    start = start_of(ground, maxima, width_px)
    least_snr = min(demand.least_snr, demand.placed_snr)
    common, faintest = _in_common(ground, start, width_px, least_snr)
    if common is None:
        return None, given_up(faintest, maxima, width_px, demand)
    fit = common.first(start)
    settled = settle(fit, ground, width_px, demand)
    faint = given_up(fit, maxima, width_px, demand)
    if settled is None:
        return None, faint
    open_shape = float(np.hypot(_open_shape(*common), _open_outline(fit.shape)))
    if ground.contrast == "dark":
        open_shape = float(np.hypot(open_shape, _FRESNEL))
    return uncertain(fit, settled, ground, open_shape), faint


def _in_common(
    ground: Ground, start: NDArray[np.float64], width_px: float, least_snr: float
) -> tuple[_Common | None, Fit]:
    """What is common to all dots, from a few of them; None, with the fit, if none is significant.

    Only a fit of all dots is certain that there are none.
    """
    demand = Demand(least_snr)
    left_out: NDArray[np.float64] | None
    few, left_out = _typical(start, width_px)
    sphere = Fit(few, _first_blur(width_px), SHAPES[0])
    if settle(sphere, ground, width_px, demand, left_out) is None:
        sphere, left_out = Fit(start.copy(), _first_blur(width_px), SHAPES[0]), None
        if settle(sphere, ground, width_px, demand) is None:
            return None, sphere
    subset = Fitter(ground, sphere.parameters, width_px, left_out)
    gain = subset.gain(sphere)
    trials = [Fit(sphere.parameters.copy(), sphere.blur, shape, gain) for shape in SHAPES]
    variances = [np.median(subset.run(trial, _STEPS).residual) for trial in trials]
    noise = ground.correlation * max(ground.noise**2, float(min(variances)))
    return _Common(trials, _likeliest(trials, noise), noise), sphere


def given_up(
    fit: Fit, maxima: NDArray[np.float64], width_px: float, demand: Demand
) -> list[Rejected]:
    """Return what turned out to be no dot; where dots were placed, of these alone."""
    if not demand.placed:
        return bodies(fit.faint, FAINT)
    out = np.sort(fit.faint_starts[fit.faint_starts < demand.placed])
    near = np.zeros(len(out), dtype=bool)
    if len(fit.parameters):
        near[:] = cKDTree(fit.parameters[:, :2]).query(maxima[out])[0] < width_px
    return [Rejected(y, x, width_px, width_px, FAINT if beside else NOTHING)
            for (y, x), beside in zip(maxima[out].tolist(), near.tolist(), strict=True)]


def _first_blur(width_px: float) -> float:
    return float(np.hypot(0.1 * width_px, np.sqrt(PIXEL)))


def settle(
    fit: Fit, ground: Ground, width_px: float, demand: Demand,
    left_out: NDArray[np.float64] | None = None,
) -> tuple[Fitter, Equations] | None:
    """Fit until only separate, significant dots are left; None if there are none."""
    while len(fit.parameters):
        fitter = Fitter(ground, fit.parameters, width_px, left_out)
        equations = fitter.run(fit, _STEPS)
        keep = _separate(fit, equations, ground, demand)
        if keep.all():
            return fitter, equations
        fit.give_up(~keep)
    return None


def _typical(
    start: NDArray[np.float64], width_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Some dots of clear but usual height with their neighbours, and where the next ones are.

    The very brightest may be contamination, or two on top of each other.
    """
    order = np.argsort(start[:, 5], kind="stable")
    clear = order[int(0.5 * len(order)):int(np.ceil(0.97 * len(order)))]
    if len(order) <= _SUBSET:
        clear = order
    chosen = clear[np.linspace(0, len(clear) - 1, min(_SUBSET, len(clear))).astype(int)]
    tree = cKDTree(start[:, :2])
    near = tree.query_ball_point(start[chosen, :2], 1.5 * width_px, return_sorted=True)
    few = np.unique(np.concatenate(list(near)).astype(int))
    around = tree.query_ball_point(start[few, :2], 3.0 * width_px, return_sorted=True)
    left_out = np.setdiff1d(np.concatenate(list(around)).astype(int), few)
    return start[few], start[left_out, :2]


def _separate(
    fit: Fit, equations: Equations, ground: Ground, demand: Demand
) -> NDArray[np.bool_]:
    """Which dots are significant, and not a second fit of a brighter neighbour."""
    parameters, placed = fit.parameters, fit.starts < demand.placed
    # Of the height alone: how well it is told from the size does not matter here.
    height_err = np.hypot(equations.height_err(ground), ground.level_err_at(parameters[:, :2]))
    coloured = min(float(np.sqrt(ground.correlation)), _COLOURED)
    least_snr = np.where(placed, demand.placed_snr, demand.least_snr)
    keep = parameters[:, 5] > least_snr * coloured * height_err
    radius = _radii(parameters)
    pairs = cKDTree(parameters[:, :2]).query_pairs(2 * _OVERLAP * float(radius.max()),
                                                   output_type="ndarray")
    distance = np.linalg.norm(parameters[pairs[:, 0], :2] - parameters[pairs[:, 1], :2], axis=-1)
    overlap = np.where(placed[pairs].all(axis=1), _SAME, _OVERLAP)
    pairs = pairs[distance < overlap * radius[pairs].sum(axis=1)]
    # The brighter of two stays, the brightest of all first; but one that a person placed always.
    rank = parameters[:, 5] + np.where(placed, 2.0 * np.abs(parameters[:, 5]).max(), 0.0)
    brighter = np.where(rank[pairs[:, 0]] >= rank[pairs[:, 1]], 0, 1)
    each = np.arange(len(pairs))
    pairs = np.stack([pairs[each, brighter], pairs[each, 1 - brighter]], axis=-1)
    for bright, faint in pairs[np.argsort(-rank[pairs[:, 0]], kind="stable")].tolist():
        keep[faint] &= not keep[bright]
    return np.asarray(keep)


def start_of(
    ground: Ground, maxima: NDArray[np.float64], width_px: float
) -> NDArray[np.float64]:
    """Return the parameters that dots at the maxima start from."""
    # What a person placed may lie just outside, as a dot that the border cuts does.
    last = np.array(ground.signal.shape) - 1
    rows, cols = np.clip(np.rint(maxima).astype(int), 0, last).T
    height = np.maximum(ground.signal[rows, cols], ground.threshold)
    c = np.full(len(maxima), (0.5 * width_px) ** 2)
    return np.column_stack([maxima, c, np.zeros_like(c), c, height]).astype(float)


def _likeliest(trials: list[Fit], noise: float) -> Fit:
    """The likeliest shape; the sphere unless the image clearly speaks against it."""
    best = min(trials, key=lambda trial: trial.chi2)
    return trials[0] if trials[0].chi2 - best.chi2 < _CLEAR_EVIDENCE * noise else best


def _open_shape(trials: list[Fit], chosen: Fit, noise: float) -> float:
    """Relative change of the radius that the choice of the shape leaves open, 1 sigma."""
    radius = [float(np.median(np.sqrt(np.sqrt(t.parameters[:, 2] * t.parameters[:, 4]))))
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


def uncertain(
    fit: Fit, settled: tuple[Fitter, Equations], ground: Ground, open_shape: float,
    square_err: float | None = None,
) -> Dots:
    """Return fitted dots with their errors, at a blur whose error is known already or not."""
    fitter, equations = settled
    variance = equations.variance(ground)
    response = -equations.solve((equations.mixed,), SURELY, 1e-6)[0]
    curvature = equations.blur_hessian + float(np.sum(equations.mixed * response))
    if square_err is None:
        square_err = float(np.sqrt(np.median(variance)
                                   / max(curvature, 1e-9 * equations.blur_hessian, 1e-300)))
    by_shape = np.zeros_like(fit.parameters)
    by_shape[:, EXTENT] = 2.0 * open_shape * fit.parameters[:, EXTENT]
    by_level = equations.raised() * ground.level_err_at(fit.parameters[:, :2])[:, None]
    blur = float(np.sqrt(max(fit.blur**2 - PIXEL, 0.0)))
    blur_err = 0.5 * square_err / max(blur, float(np.sqrt(square_err)))
    return Dots(fit.parameters, equations.covariance * variance[:, None, None],
                np.stack([response * square_err, by_shape, by_level]), blur, blur_err, fit.shape,
                fitter.drawn(fit), fit.starts,
                Known(fit.blur, square_err, fit.gain, open_shape))
