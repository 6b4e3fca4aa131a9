"""The centre of a ring pattern and the ellipticity of its rings, from the rings themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage, signal

from emtools.measure.rings._kernels import votes_for_centres
from emtools.measure.rings.ground import peaks_clipped
from emtools.measure.rings.polar import SECTORS, cells, mean_of_sectors, percentile_of_sectors
from emtools.process.threads import in_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.rings.polar import Cells, Geometry

    Floats = NDArray[np.float64]

_GRADIENTS = 4000
_GRADIENTS_FIRST = 1500  # in the coarsest search
_CLEAR_GRADIENT = 4.0  # sigma
_ASKED = 0.75  # of the frame's sides, to which centres are looked for beyond it
_OFF = (0.12, 0.06, 0.025)  # sines by which gradients may be off, one search after the other
_STEPS_PX = (12.0, 3.0, 0.5)
_MAX_RINGS = 12
_CLEAR_RING = 6.0  # sigma of the azimuthal mean
_WINDOW = 1.3  # widths of a ring that are compared with its mean
_HUBER = 1.5
_E_PRIOR = 0.03  # 1 sigma of ellipticities met in microscopes
_MOST_ITERATIONS = 20
_LOOKED_AGAIN = 4  # iterations in which the rings are looked for anew
_FAINT = 0.1  # of a ring's mean brightness, below which a sector tells nothing of its place
_SETTLED_PX = 0.0005
_LEAST_LEVEL = 1e-4  # of the picture's range, below which a logarithm shows only noise
_LONGEST_STEP = 0.6  # widths of the rings


@dataclass(frozen=True)
class Centred:
    """A geometry with its uncertainty.

    Parameters
    ----------
    geometry
        Centre and ellipse.
    covariance
        ``(4, 4)`` of y, x, e_cos, e_sin.
    settled
        Whether the iterations came to rest.
    """

    geometry: Geometry
    covariance: Floats
    settled: bool


class MeetingPoint(NamedTuple):
    """Where gradients meet, ``(y, x)`` in px, and which part of them points there."""

    y: float
    x: float
    share: float


def meeting_point(
    values: NDArray[np.float32], use: NDArray[np.bool_], square: Floats
) -> MeetingPoint:
    """Return the point that the gradients of a picture point to, or away from.

    Every place of every ring, and of the tail of the central beam, points there; the straight edges
    of a beam stop, and spots, point anywhere.  The point may lie outside the picture.

    Parameters
    ----------
    values
        ``(y, x)``; a picture of some hundred pixels along a side.
    use
        True = use.
    square
        ``(2, 2)``: from pixels ``(y, x)`` to a plane of square pixels.
    """
    places, directions, weights = _gradients(values, use)
    # A gradient is a covector: it turns with the inverse transpose.
    places, directions = places @ square.T, directions @ np.linalg.inv(square)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    height, width = values.shape
    reach = _ASKED * max(height, width)
    middle = square @ np.array([(height - 1) / 2, (width - 1) / 2])
    span = np.abs(square) @ (np.array([height, width]) / 2)
    best, share = middle, 0.0
    for sine, step in zip(_OFF, _STEPS_PX, strict=True):
        grid = [np.arange(m - s, m + s + step / 2, step) for m, s in
                zip(best, span + (reach if step == _STEPS_PX[0] else 0.0), strict=True)]
        candidates = np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, 2)
        few = slice(None, None, max(1, len(places) // _GRADIENTS_FIRST) if not share else 1)
        given = places[few], directions[few], weights[few]
        votes = _votes(candidates, given, sine)
        best = candidates[int(np.argmax(votes))]
        # Of the coarsest search: elsewhere the place is not searched for but made better.
        share = share or float(votes.max() / max(given[2].sum(), 1e-300))
        span = np.array([1.5 * step, 1.5 * step])
    y, x = np.linalg.solve(square, best).tolist()
    return MeetingPoint(y, x, share)


def _votes(candidates: Floats, given: tuple[Floats, Floats, Floats], sine: float) -> Floats:
    def of(span: tuple[int, int]) -> Floats:
        return np.asarray(votes_for_centres(candidates[slice(*span)], *given, sine))

    return np.concatenate(in_spans(of, (0, len(candidates)), len(candidates) * len(given[0])))


def _gradients(
    values: NDArray[np.float32], use: NDArray[np.bool_]
) -> tuple[Floats, Floats, Floats]:
    """Places, directions and weights of the clear gradients of the picture's logarithm."""
    seen = values[use]
    low, middle = np.percentile(seen, (0.5, 50.0))
    noise = float(np.median(np.abs(np.diff(values, axis=1)))) + 1e-6 * float(np.ptp(seen))
    level = np.log(np.maximum(values - low, 0.0) + 0.2 * (middle - low) + 2.0 * noise
                   + _LEAST_LEVEL)
    level = np.where(use, level, np.float32(np.median(level[use])))
    gradient = np.stack([ndimage.gaussian_filter(level, 1.5, order=order)
                         for order in ((1, 0), (0, 1))], axis=-1)
    size = np.linalg.norm(gradient, axis=-1)
    sound = ndimage.binary_erosion(use, iterations=4, border_value=1)
    spread = float(np.median(size[sound])) if sound.any() else 0.0
    clear = np.argwhere(sound & (size > spread))
    clear = clear[:: max(1, len(clear) // _GRADIENTS)]
    at = tuple(clear.T)
    strength = size[at]
    return (clear.astype(float), np.asarray(gradient[at] / strength[:, None], dtype=float),
            np.asarray(strength / (strength + 2.0 * spread), dtype=float))


def refined(
    values: NDArray[np.float32], use: NDArray[np.bool_], start: Geometry
) -> Centred | None:
    """Move and stretch a geometry until every ring is at the same radius in all directions.

    In each sector each clear ring is compared with its azimuthal mean, its brightness there and a
    sloping ground free (so that arcs and spots do not count but where they are); the offsets along
    the radius are fitted together, robustly (Huber).

    Parameters
    ----------
    values
        ``(y, x)``.
    use
        True = use.
    start
        A centre that is off by no more than about the rings' width.

    Returns
    -------
    Centred or None
        None where there is no ring to go by.  The covariance is that of the sectors' scatter.
    """
    geometry, settled = start, False
    rings: list[tuple[float, float]] = []
    last, relax = np.zeros(4), 1.0
    metric = np.array([1.0, 1.0, 0.0, 0.0]) + max(values.shape) ** 2 / 64.0 * np.array([0, 0, 1, 1])
    for turn in range(_MOST_ITERATIONS):
        polar = cells(values, use, geometry)
        profile = mean_of_sectors(polar.clipped())
        # Rings that come and go would never let it settle.
        if turn < _LOOKED_AGAIN:
            rings = clear_maxima(polar, profile)
        offsets = _offsets(polar, profile, rings)
        if offsets is None:
            return None
        step, covariance = _fit(offsets, geometry)
        longest = _LONGEST_STEP * offsets.width
        # Offsets from a mean that is smeared are too large by up to two: steps that turn back are
        # cut.
        turned = float(step @ (metric * last)) < 0
        relax = max(0.5, 0.7 * relax) if turned else min(1.0, 1.2 * relax)
        last = step
        scale = min(relax, longest / max(math.hypot(step[0], step[1]), 1e-9))
        geometry = geometry.moved(scale * step)
        largest = max(place for place, _ in rings)
        if max(math.hypot(step[0], step[1]), largest / 2 * math.hypot(step[2], step[3])) \
                < _SETTLED_PX:
            settled = True
            break
    return Centred(geometry, covariance, settled)


@dataclass(frozen=True)
class _Offsets:
    """By how much rings are farther out in a sector than in the mean.

    `value`, `weight`, `sector`, `ring` and `radius` have one entry for each ring in each sector
    where it is seen; `width` is that of the narrowest ring.
    """

    value: Floats
    weight: Floats
    sector: NDArray[np.int64]
    ring: NDArray[np.int64]
    radius: Floats
    width: float


def _offsets(
    polar: Cells, profile: Floats, rings: list[tuple[float, float]]
) -> _Offsets | None:
    parts = [part for number, (place, width) in enumerate(rings)
             if (part := _offsets_of(polar, profile, number, place, width)) is not None]
    if not parts:
        return None
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return _Offsets(columns[0], columns[1], columns[2].astype(np.int64),
                    columns[3].astype(np.int64), columns[4], min(width for _, width in rings))


def clear_maxima(polar: Cells, profile: Floats) -> list[tuple[float, float]]:
    """Places and full widths (px) of the clearest maxima of an azimuthal mean over its ground."""
    seen = np.flatnonzero(np.isfinite(profile) & (polar.coverage > 0.25))
    if len(seen) < 16:
        return []
    first, last = seen[0], seen[-1] + 1
    inside = np.nan_to_num(profile[first:last], nan=float(np.nanmean(profile[first:last])))
    above = inside - peaks_clipped(inside, 0.12 * np.arange(first, last) + 8.0)
    # Of the median sectors: a ring of spots is none the less a ring.
    means = polar.means[:, first:last]
    middle = percentile_of_sectors(means, 50.0)
    scatter = 1.4826 * percentile_of_sectors(np.abs(means - middle), 50.0)
    scatter /= np.sqrt(np.maximum(SECTORS * polar.coverage[first:last], 1.0))
    smooth = ndimage.gaussian_filter1d(above, 1.0)
    usual = float(np.median(scatter[scatter > 0])) if (scatter > 0).any() else 1.0
    level = np.maximum(scatter, 0.2 * usual) + 1e-30
    at, _ = signal.find_peaks(smooth, height=_CLEAR_RING * level,
                              prominence=0.5 * _CLEAR_RING * level)
    if not len(at):
        return []
    widths = signal.peak_widths(smooth, at, rel_height=0.5)[0]
    strongest = np.argsort(-(smooth / level)[at] * np.sqrt(widths))[:_MAX_RINGS]
    return [(float(first + at[i]), float(max(widths[i], 2.0))) for i in strongest]


def _offsets_of(
    polar: Cells, profile: Floats, number: int, place: float, width: float
) -> tuple[Floats, ...] | None:
    low, high = int(place - _WINDOW * width), int(place + _WINDOW * width) + 2
    low = max(low, 1)
    around = slice(low, min(high, len(profile)))
    radius = np.arange(around.start, around.stop, dtype=float)
    mean = profile[around]
    if len(mean) < 5 or not np.isfinite(mean).all():
        return None
    smooth = ndimage.gaussian_filter1d(profile[low - 1:around.stop + 1], 0.5 + 0.1 * width)
    slope = np.gradient(smooth)[1:-1]
    if len(slope) != len(mean) or not np.isfinite(slope).all():
        return None
    whole = np.flatnonzero(np.isfinite(polar.means[:, around]).all(axis=1))
    if len(whole) < SECTORS // 6:
        return None
    ground = np.stack([np.ones_like(radius), radius - radius.mean()], axis=1)
    ring = _without(mean[:, None], ground)[:, 0]
    turn = _without(slope[:, None], np.column_stack([ground, ring]))[:, 0]
    if turn @ turn < 1e-12 * (slope @ slope) or ring @ ring <= 0:
        return None
    seen = polar.means[whole][:, around]
    bright = seen @ ring / (ring @ ring)
    moved = -(seen @ turn) / (turn @ turn)
    rest = seen - np.outer(bright, ring) + np.outer(moved, turn)
    rest = _without(rest.T, ground)
    noise = np.sqrt(np.median((rest**2).mean(axis=0)) + 1e-30)
    bright = _shrunk(bright, float(noise**2 / (ring @ ring)))
    clear = bright > _FAINT
    if np.count_nonzero(clear) < 4:
        return None
    bright, moved, whole = bright[clear], moved[clear], whole[clear]
    weight = bright**2 * (turn @ turn) / noise**2
    return (moved / bright, weight, whole.astype(float), np.full(len(whole), float(number)),
            np.full(len(whole), place))


def _shrunk(bright: Floats, variance: float) -> Floats:
    """Brightnesses drawn to their mean by how much of their scatter is noise."""
    real = max(float(np.var(bright)) - variance, 0.0)
    mean = float(bright.mean())
    return np.asarray(mean + real / (real + variance + 1e-30) * (bright - mean))


def _without(columns: Floats, basis: Floats) -> Floats:
    """The columns less their projections on a basis."""
    return np.asarray(columns - basis @ np.linalg.lstsq(basis, columns, rcond=None)[0])


def _fit(offsets: _Offsets, geometry: Geometry) -> tuple[Floats, Floats]:
    """Return the step of y, x, e_cos, e_sin and its covariance."""
    azimuth = (offsets.sector + 0.5) * (2 * np.pi / SECTORS)
    half = offsets.radius / 2
    own = (offsets.ring[:, None] == np.unique(offsets.ring)).astype(float)
    design = np.column_stack([-np.sin(azimuth), np.cos(azimuth), half * np.cos(2 * azimuth),
                              half * np.sin(2 * azimuth), own])
    prior = np.zeros(design.shape[1])
    prior[2:4] = _E_PRIOR**-2
    pull = np.zeros(design.shape[1])
    pull[2:4] = -np.array([geometry.e_cos, geometry.e_sin]) * _E_PRIOR**-2
    # Sectors with bright spots must not rule: what they know best is limited by where they lie.
    weight = offsets.weight / (1.0 + 0.05**2 * offsets.weight)
    robust = np.ones(len(weight))
    fitted = np.zeros(design.shape[1])
    for _ in range(8):
        w = weight * robust
        normal = design.T @ (w[:, None] * design) + np.diag(prior)
        fitted = np.linalg.lstsq(normal, design.T @ (w * offsets.value) + pull, rcond=None)[0]
        pulls = np.abs(offsets.value - design @ fitted) * np.sqrt(weight)
        scale = max(1.4826 * float(np.median(pulls)), 1e-9)
        robust = np.minimum(1.0, _HUBER * scale / np.maximum(pulls, 1e-12))
    rest = (offsets.value - design @ fitted) * weight * robust
    by_sector = np.zeros((SECTORS, design.shape[1]))
    np.add.at(by_sector, offsets.sector, rest[:, None] * design)
    inverse = np.linalg.pinv(normal)
    spread = by_sector.T @ by_sector
    n = int(np.count_nonzero(by_sector.any(axis=1)))
    covariance = inverse @ spread @ inverse * (n / max(n - 4, 1)) \
        + inverse @ np.diag(prior) @ inverse
    return fitted[:4], covariance[:4, :4]
