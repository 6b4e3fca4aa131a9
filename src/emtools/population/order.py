"""How far chains lie side by side in one direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtools.population.spread import Quantity, not_measurable, ratio, summed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.population.frames import Pooled
    from emtools.population.spread import Statistic

    Floats = NDArray[np.float64]
    Complex = NDArray[np.complex128]
    Ints = NDArray[np.int64]

_TURNS = 999
_DIRECTED_DEG = 20.0  # 1 sigma of a direction that may be called one
_MIN_CHAINS = 3


def order_quantities(pooled: Pooled, rng: np.random.Generator) -> list[Quantity]:
    """Return the orientation order parameter and the director.

    S is the two-dimensional nematic order parameter, <cos 2(angle to the director)>, of the
    directions that chains have along their length: each nanometre of chain counts the same, which
    no border biases (Miles in Harding & Kendall, Stochastic Geometry, Wiley (1974) 228).  S² is the
    mean of cos 2(a - b) over pairs of different chains of one image, so that few chains do not look
    ordered and the images may be turned against each other (a U-statistic; Frenkel & Eppenga, Phys.
    Rev. A 31 (1985) 1776 on the bias of the plain estimate).  Null hypothesis: each chain as a
    whole is turned at random.
    """
    doubled, length = _moments(pooled)
    units, images = pooled.units("chains"), pooled.images("chains")
    several = np.bincount(images, weights=length > 0) if len(images) else np.zeros(0)
    kept = (length > 0) & (several[images] > 1)
    if kept.sum() < _MIN_CHAINS:
        why = "too few images show two chains"
        return [not_measurable("orientation order", "", why),
                not_measurable("director", "deg", why)]
    doubled, length, units, images = doubled[kept], length[kept], units[kept], images[kept]
    squared = _pair_mean(pooled, doubled, length, units)
    p_value = _against_turns(doubled, images, rng)
    order = Quantity(
        "orientation order", "", int(kept.sum()), np.unique(units), squared, shown=_root,
        power=0, compared="orientation order squared", p_value=p_value,
        note="1: all parallel within an image, 0: random; p of chains turned at random")
    return [order, _director(pooled, doubled, units)]


def _root(squared: Floats) -> Floats:
    return np.asarray(np.sqrt(np.clip(squared, 0.0, 1.0)))


def _moments(pooled: Pooled) -> tuple[Complex, Floats]:
    """Sum of exp(2i angle) ds along each chain, counter-clockwise from +x, and its length."""
    doubled = np.zeros(len(pooled.courses), dtype=complex)
    length = np.zeros(len(pooled.courses))
    for n, course in enumerate(pooled.courses):
        if len(course.s) < 2:
            continue
        # Steps of a width: closer samples show the roughness of the centreline.
        stride = np.arange(course.s[0], course.s[-1], max(course.width_nm, 1e-6))
        at = np.unique(np.append(stride, course.s[-1]))
        y, x = course.at(at).T
        step = np.diff(x) - 1j * np.diff(y)
        size = np.abs(step)
        doubled[n] = np.sum(step[size > 0] ** 2 / size[size > 0])
        length[n] = size.sum()
    return doubled, length


def _pair_mean(pooled: Pooled, doubled: Complex, length: Floats, units: Ints) -> Statistic:
    """Mean of cos 2(a - b) over pairs of chains, weighted by both lengths."""
    n = pooled.n_units
    sums = [summed(column, units, n) for column in (doubled.real, doubled.imag, length)]
    squares = [summed(column**2, units, n) for column in (np.abs(doubled), length)]
    if pooled.by_image:
        upper = sums[0] ** 2 + sums[1] ** 2 - squares[0]
        return ratio(upper, sums[2] ** 2 - squares[1])

    def statistic(weights: Floats) -> Floats:
        real, imaginary, total = (weights @ column for column in sums)
        # A chain that is drawn twice makes no pair with itself.
        own, own_length = (weights**2 @ column for column in squares)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((real**2 + imaginary**2 - own) / (total**2 - own_length))

    return statistic


def _against_turns(
    doubled: Complex, images: Ints, rng: np.random.Generator
) -> float:
    """Part of the random turns of whole chains that give as much order."""
    measured, turned = 0.0, np.zeros(_TURNS)
    for image in np.unique(images):
        own = np.abs(doubled[images == image])
        measured += abs(doubled[images == image].sum()) ** 2
        # The whole chain turns: how well its parts agree with each other is no evidence.
        phases = rng.uniform(0.0, 2.0 * np.pi, (_TURNS, len(own)))
        turned += np.hypot(np.cos(phases) @ own, np.sin(phases) @ own) ** 2
    return (1.0 + float((turned >= measured * (1.0 - 1e-12)).sum())) / (1.0 + _TURNS)


def _director(pooled: Pooled, doubled: Complex, units: Ints) -> Quantity:
    """Direction that most chains of all images lie along."""
    real = summed(doubled.real, units, pooled.n_units)
    imaginary = summed(doubled.imag, units, pooled.n_units)
    centre = float(np.angle(real.sum() + 1j * imaginary.sum()))

    def off(weights: Floats) -> Floats:
        turned = (weights @ real + 1j * (weights @ imaginary)) * np.exp(-1j * centre)
        return np.asarray(np.degrees(np.angle(turned)) / 2.0)

    rows = np.ones((pooled.n_units, pooled.n_units)) - np.eye(pooled.n_units)
    scatter = float(off(rows).std()) * np.sqrt(max(pooled.n_units - 1, 1))
    if not scatter < _DIRECTED_DEG:
        return not_measurable("director", "deg", "the images have no direction in common",
                              len(units))
    at = np.degrees(centre) / 2.0 % 180.0
    return Quantity("director", "deg", len(units), np.unique(units), off, power=0,
                    shown=lambda value: at + value, compared="",
                    note="counter-clockwise from +x; if the images were not turned")
