"""What is broader than any body: contamination, edges of the film, thick supports.

It is ground to the bodies on it.  An opening (the highest of the lowest values around) by a square
wider than any body keeps what is broader, steep edges included, and loses the bodies (Serra, Image
Analysis and Mathematical Morphology, 1982); what it is too low by, because noise has minima and
tops are round, is smooth and made good by the mean of what lies beside the bodies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Mask = NDArray[np.bool_]

_SMOOTHED = 1.0  # cells: 1 sigma, so that the minima of noise lie less deep
_RIMS = 2  # cells by which what is broad is grown into rounded and ragged rims
_SHARP = 0.4  # of the rise across a square, within three cells: an edge
_CLEAR = 6.0  # sigma: what is broad stands out of the noise of its own level by
_RELATIVE = 0.25  # of the usual height of a body: what is lower is ground
_FULL = 0.6  # of a square covered by bodies: an array of bodies, not bodies on something broad
_ROUNDS = 3
_TWICE = 2  # what the mean makes of a curved ground is made good by that of what it leaves


class Broad(NamedTuple):
    """What is broader than any body, in cells.

    Parameters
    ----------
    levels
        ``(y, x)`` to be taken off the level cells.
    found
        ``(y, x)``, where something broad stands out.
    bodies
        ``(y, x)``, where bodies stand out of these levels.
    """

    levels: Floats
    found: Mask
    bodies: Mask


def find_broad(
    level: Floats, raw: Floats, used: Mask, sizes: tuple[int, int], noise: float
) -> Broad | None:
    """Find what is broader than a square, and the level of the ground there.

    Parameters
    ----------
    level
        ``(y, x)`` means of cells, level where nothing is broad.
    raw
        The same as they were before anything was levelled.
    used
        Which of them may be used.
    sizes
        Side of the square, and how far beyond its edge a body still adds to the ground, in cells.
    noise
        1 sigma of the means.

    Returns
    -------
    Broad or None
        None if nothing is broader than the square.
    """
    side = sizes[0]
    least = _CLEAR * max(noise, float(np.finfo(np.float32).tiny))
    coarse, in_use = pooled(level, used)
    opened = _opened(coarse, in_use, 2 * (side // 4) + 1)
    if not (in_use & (np.abs(opened - np.median(opened[in_use])) > 0.5 * least)).any():
        return None
    opened = _opened(local_mean(level, used, _SMOOTHED), used, side)
    found = used & (np.abs(opened - np.median(opened[used])) > least)
    if not found.any():
        return None
    # Blocks that a large patch fills had been levelled with it: its rim would look like a body.
    surface = local_mean(raw, used, _SMOOTHED)
    levels, bodies = _beside_bodies(surface, _opened(surface, used, side), used, sizes, least)
    covered = ndimage.uniform_filter(bodies.astype(np.float32), side)
    found &= covered < _FULL
    if not found.any():
        return None
    # A dense array of bodies is no ground of others.
    apart = ndimage.uniform_filter((covered < _FULL).astype(np.float32), 2 * (side // 4) + 1)
    return Broad((levels - (raw - level)) * apart, found, bodies & (apart > 0))


def _opened(surface: Floats, used: Mask, side: int) -> Floats:
    lowest = ndimage.minimum_filter(np.where(used, surface, np.inf), side, mode="nearest")
    opened = ndimage.maximum_filter(np.where(np.isfinite(lowest), lowest, -np.inf), side,
                                    mode="nearest")
    opened = np.where(np.isfinite(opened), opened, surface)
    return np.asarray(_rims(opened, surface, side), dtype=np.float32)


def _rims(opened: Floats, surface: Floats, side: int) -> Floats:
    """Grow what is broad into its rims where its edge is sharp: rounded, no square fills them."""
    sharp = _rise(opened, 3) > _SHARP * _rise(opened, side)
    grown = opened
    for _ in range(_RIMS):
        grown = np.minimum(ndimage.maximum_filter(grown, 3, mode="nearest"), surface)
    return np.where(ndimage.maximum_filter(sharp, 2 * _RIMS + 1), grown, opened)


def _rise(values: Floats, side: int) -> Floats:
    """Difference between the highest and the lowest value in a square around each cell."""
    return np.asarray(ndimage.maximum_filter(values, side, mode="nearest")
                      - ndimage.minimum_filter(values, side, mode="nearest"))


def _beside_bodies(
    surface: Floats, opened: Floats, used: Mask, sizes: tuple[int, int], least: float
) -> tuple[Floats, Mask]:
    """Levels of the ground beside bodies, and where these stand out of it."""
    side, margin = sizes
    levels = opened
    for _ in range(_ROUNDS):
        above = surface - levels
        high = above > least
        if high.any():
            high = above > max(least, _RELATIVE * float(np.percentile(above[high], 90.0)))
        bodies = ndimage.binary_dilation(high, np.ones((3, 3), dtype=bool), margin)
        levels = opened
        for _ in range(_TWICE):
            levels = levels + local_mean(surface - levels, used & ~bodies, 0.25 * side)
    return levels, high


def pooled(values: Floats, known: Mask) -> tuple[Floats, Mask]:
    """Means of two by two cells over those known, and where there are any."""
    high, wide = (2 * (n // 2) for n in values.shape)
    if not high or not wide:
        return values, known
    blocks = [plane[:high, :wide].reshape(high // 2, 2, wide // 2, 2)
              for plane in (np.where(known, values, np.float32(0.0)), known)]
    count = blocks[1].sum(axis=(1, 3), dtype=np.float32)
    return (np.asarray(blocks[0].sum(axis=(1, 3)) / np.maximum(count, 1.0), dtype=np.float32),
            np.asarray(count > 0))


def local_mean(values: Floats, known: Mask, sigma: float) -> Floats:
    """Mean of what is known around each cell, under a Gaussian; 0 where nothing is."""
    weight = ndimage.gaussian_filter(known.astype(np.float32), sigma, mode="nearest")
    total = ndimage.gaussian_filter(np.where(known, values, np.float32(0.0)), sigma,
                                    mode="nearest")
    return np.asarray(np.where(weight > 1e-3, total / np.maximum(weight, 1e-3), 0.0),
                      dtype=np.float32)
