"""The film that objects lie on: its level at every pixel, told beside what stands out of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from emtools.process.levels import deviation, lowest_ground, robust_level, some

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_CELLS = 192  # along the longer side at most: a film has no finer features
_LOW = 0.02  # weight of what lies above the first surface; objects may cover most of a picture
_ROUNDS = 12  # by which the first surface has settled
_CLEAR = 3.0  # sigma above the film: an object
_SMOOTH = 1.5  # sigma in cells of means that tell faint objects from noise
_BESIDE = 1  # cells around an object that its blur may have reached
_PRIOR = 0.02  # weight of the smooth surface where no film is in sight
_PER_FWHM = 1.0 / np.sqrt(8.0 * np.log(2.0))  # sigma of a Gaussian


class Film(NamedTuple):
    """A film beneath objects, all of which are higher.

    Parameters
    ----------
    level
        ``(y, x)``.
    noise
        1 sigma of a pixel of the film.
    share
        Part of the used pixels that is film.
    """

    level: NDArray[np.float32]
    noise: float
    share: float


def find_film(
    values: NDArray[np.float32], mask: NDArray[np.bool_] | None, scale_px: float
) -> Film:
    """Find the film's level; what stands out of it does not pull it.

    A surface of second degree is laid beneath the picture (asymmetric least squares), then lifted
    to where values are densest.  What is clearly above it is object; beside the objects the film is
    followed at the given scale, beneath them it goes on as its neighbourhood does.

    Parameters
    ----------
    values
        ``(y, x)`` finite, objects higher than the film.
    mask
        True = use; None = all.
    scale_px
        FWHM of the averaging: much larger than the objects.

    References
    ----------
    Asymmetric least squares: Newey & Powell, Econometrica 55 (1987) 819; for baselines, Eilers,
    Analytical Chemistry 75 (2003) 3631.
    """
    block = max(1, -(-max(values.shape) // _CELLS))
    means, used = _cells(values, mask, block)
    surface = _lowest_surface(means, used)
    rest = means - surface
    film, level = _beside_objects(rest, used)
    followed = surface + _of_film(rest - level, film, scale_px / block) + level
    # Once more, against what was followed: an uneven film is told from objects by its scale.
    rest = means - followed
    film, _ = _beside_objects(rest, used)
    followed += _of_film(rest, film, scale_px / block)
    return Film(_on_pixels(followed, values.shape, block), _pixel_noise(values, mask, film, block),
                float(film.sum() / max(used.sum(), 1)))


def objects_are_bright(values: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> bool:
    """Whether objects are brighter than the film: they cover less than half of the picture.

    What varies slowly is taken off first; then the values are skewed towards the objects.

    Parameters
    ----------
    values
        ``(y, x)`` finite.
    mask
        True = use; None = all.
    """
    block = max(1, -(-max(values.shape) // _CELLS))
    means, used = _cells(values, mask, block)
    rest = means - averaged(means, used.astype(float), 0.5 * max(means.shape), _PRIOR)
    low, middle, high = np.percentile(rest[used], [0.5, 50.0, 99.5])
    return bool(high - middle >= middle - low)


def averaged(
    values: Floats, weights: Floats, fwhm_px: float, prior: float, far: float | None = None
) -> Floats:
    """Weighted mean around each pixel; where there is no weight, what is expected far away.

    Parameters
    ----------
    values, weights
        ``(y, x)``.
    fwhm_px
        Of the Gaussian.
    prior
        Weight of what is expected far away, against 1 where all around counts.
    far
        That value; the mean of the whole picture if not given.
    """
    sigma = _PER_FWHM * fwhm_px
    if far is None:
        total = float(weights.sum())
        far = float((values * weights).sum() / total) if total > 0 else 0.0
    near = ndimage.gaussian_filter(values * weights, sigma, mode="constant")
    weight = ndimage.gaussian_filter(weights, sigma, mode="constant")
    return np.asarray((near + prior * far) / (weight + prior))


def _of_film(rest: Floats, film: NDArray[np.bool_], fwhm: float) -> Floats:
    """What is left of the film, at its scale; without film in sight, nothing."""
    return averaged(rest, film.astype(float), fwhm, _PRIOR, far=0.0)


def _cells(
    values: NDArray[np.float32], mask: NDArray[np.bool_] | None, block: int
) -> tuple[Floats, NDArray[np.bool_]]:
    """Means of blocks, and which of them are used."""
    edges = [np.arange(0, n, block) for n in values.shape]
    used = np.ones(values.shape, dtype=bool) if mask is None else mask
    sums = _summed(np.where(used, values, 0.0).astype(float), edges)
    counts = _summed(used.astype(float), edges)
    largest = _summed(np.ones(values.shape), edges)
    return sums / np.maximum(counts, 1.0), counts > 0.5 * largest


def _summed(values: Floats, edges: list[NDArray[np.int64]]) -> Floats:
    return np.asarray(np.add.reduceat(np.add.reduceat(values, edges[0], axis=0), edges[1], axis=1))


def _lowest_surface(means: Floats, used: NDArray[np.bool_]) -> Floats:
    """Surface of second degree beneath most of the cells."""
    y, x = (np.linspace(-1.0, 1.0, n) for n in means.shape)
    y, x = np.broadcast_arrays(y[:, None], x)
    terms = np.stack([np.ones(means.shape), y, x, y * x, y**2, x**2], axis=-1)
    known, target = terms[used], means[used]
    weights = np.ones(len(target))
    factors = np.zeros(terms.shape[-1])
    for _ in range(_ROUNDS):
        weighted = known * weights[:, None]
        factors = np.linalg.lstsq(weighted.T @ known, weighted.T @ target, rcond=None)[0]
        weights = np.where(target > known @ factors, _LOW, 1.0 - _LOW)
    return np.asarray(terms @ factors)


def _beside_objects(rest: Floats, used: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], float]:
    """Cells that are film, and its level: small objects are seen in cells, faint ones in means."""
    level, spread = _densest(rest[used])
    objects = rest > level + _CLEAR * spread
    smooth = averaged(rest, used.astype(float), _SMOOTH / _PER_FWHM, 1e-6)
    middle, spread = _densest(smooth[used])
    film = used & ~_grown(objects | (smooth > middle + _CLEAR * spread))
    return (film if film.any() else used & (rest <= level)), level


def _densest(rest: Floats) -> tuple[float, float]:
    """Level where values are densest from below, and their spread."""
    ordered = np.sort(some(rest.astype(np.float32)))
    least = 1e-3 * float(np.ptp(ordered))
    return robust_level(ordered, least), max(deviation(ordered, lowest_ground(ordered, least)),
                                             least)


def _grown(objects: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.asarray(ndimage.binary_dilation(objects, np.ones((3, 3), dtype=bool), _BESIDE))


def _on_pixels(cells: Floats, shape: tuple[int, ...], block: int) -> NDArray[np.float32]:
    """Cells interpolated to pixels."""
    places = [np.clip((np.arange(n) - 0.5 * (block - 1)) / block, 0, cells.shape[i] - 1)
              for i, n in enumerate(shape)]
    rows = _between(cells, places[0])
    return _between(rows.T, places[1]).T.astype(np.float32)


def _between(values: Floats, places: Floats) -> Floats:
    first = np.minimum(places.astype(int), max(len(values) - 2, 0))
    fraction = (places - first)[:, None]
    after = values[np.minimum(first + 1, len(values) - 1)]
    return np.asarray(values[first] * (1.0 - fraction) + after * fraction)


def _pixel_noise(
    values: NDArray[np.float32], mask: NDArray[np.bool_] | None, film: NDArray[np.bool_],
    block: int,
) -> float:
    """Noise of a pixel of the film, from differences of neighbours."""
    inside = np.repeat(np.repeat(film, block, axis=0), block, axis=1)
    inside = inside[:values.shape[0], :values.shape[1]]
    if mask is not None:
        inside = inside & mask
    steps = np.diff(values, axis=1)[inside[:, 1:] & inside[:, :-1]]
    return float(1.4826 * np.median(np.abs(some(steps))) / np.sqrt(2.0)) if steps.size else 0.0
