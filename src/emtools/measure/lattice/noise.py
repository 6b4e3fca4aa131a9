"""The smooth noise of a plane: its spectral density by rings and sectors.

The periodogram of noise is exponentially distributed about the noise spectrum, so that quantiles of
the power in a sector of a ring tell its level, and spots do not reach them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from emtools.process.threads import in_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

RADIUS = 0.7072  # cycles per pixel in the corners
_SECTORS = 6  # in half a turn: Thon rings may be astigmatic
_RING_CELLS = 8  # with the sectors: enough cells for a quantile that no spot can lift
_ASTIGMATIC = 4.0  # how far a film may rise in one sector above the others of its ring
_QUANTILE = 0.4  # of the cells of a sector: what spots do not reach
_INNER_RINGS = 4  # too short to be cut into sectors
_FINER = 4  # rings inside a ring
_RINGS_TOGETHER = 25  # over which it is judged whether narrow rings differ by more than chance
_HANN = 2.25  # neighbouring cells of a Hann window that are worth one
_SAMPLED = 250_000  # cells that are enough for a floor


@dataclass(frozen=True)
class NoiseFloor:
    """Smooth spectral density of a plane's noise.

    Parameters
    ----------
    table
        ``(rings, sectors)`` float32: logarithm of the density (variance per pixel of white noise
        of that power); rings from 0 to 0.7072 cycles per pixel, sectors over half a turn.
    """

    table: NDArray[np.float32]


def noise_floor(
    half: NDArray[np.complex64], shape: tuple[int, int], weight: float
) -> NoiseFloor:
    """Estimate the smooth floor of a transformed plane.

    Parameters
    ----------
    half
        Half transform of the windowed plane.
    shape
        Of the plane.
    weight
        Sum of the squares of the window.
    """
    from emtools.measure.lattice._search_kernels import sample_power

    n_rings = int(np.clip(min(shape) // (2 * _RING_CELLS) * (2 * RADIUS), 8, 360))
    stride = max(1, round(np.sqrt(half.size / _SAMPLED)))
    rows, cols = np.arange(1, shape[0], stride), np.arange(1, half.shape[1], stride)
    # Streaks lie on the axes, read-out patterns at the Nyquist frequency.
    rows, cols = rows[rows != shape[0] // 2], cols[cols != shape[1] / 2]
    power, radius, direction = np.empty((3, len(rows) * len(cols)), dtype=np.float32)

    def sample(span: tuple[int, int]) -> None:
        part = slice(span[0] * len(cols), span[1] * len(cols))
        sample_power(rows[slice(*span)], cols, half, shape[1], power[part], radius[part],
                     direction[part])

    in_spans(sample, (0, len(rows)), power.size)
    ring = np.minimum(radius * np.float32(n_rings / RADIUS), n_rings - 1).astype(np.int64)
    sector = np.where(ring < _INNER_RINGS, 0,
                      np.minimum(direction * np.float32(_SECTORS), _SECTORS - 1).astype(np.int64))
    levels = _quantiles(power, ring * _SECTORS + sector, n_rings * _SECTORS)
    floors = levels.reshape(n_rings, _SECTORS)
    floors[:_INNER_RINGS] = floors[:_INNER_RINGS, :1]
    # Crystals that are turned a little against each other fill a sector, never the whole ring.
    np.minimum(floors, _ASTIGMATIC * np.median(floors, axis=1, keepdims=True), out=floors,
               where=(floors > 0).all(axis=1, keepdims=True))
    _fill_empty(floors)
    fine = (radius * np.float32(n_rings * _FINER / RADIUS)).astype(np.int64)
    fine = np.minimum(fine, n_rings * _FINER - 1)
    table = _with_rings(np.log(floors / weight), power / np.float32(weight), fine)
    return NoiseFloor(table.astype(np.float32))


def _with_rings(
    table: NDArray[np.float64], power: NDArray[np.float32], fine: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Refine a floor by what rings narrower than its own show (Thon rings), as far as they do.

    The departure of each narrow ring is taken over to the part that its noise cannot explain.
    """
    n_fine = len(table) * _FINER
    levels, counts = _quantiles(power, fine, n_fine), np.bincount(fine, minlength=n_fine)
    place = (np.arange(n_fine) + 0.5) / _FINER - 0.5
    smooth = np.stack([np.interp(place, np.arange(len(table)), column) for column in table.T], 1)
    known = (levels > 0) & (counts > _FINER)
    departure = np.where(known, np.log(np.maximum(levels, 1e-300)) - smooth.mean(axis=1), 0.0)
    chance = _QUANTILE / (1 - _QUANTILE) / np.log1p(-_QUANTILE) ** 2 * _HANN / np.maximum(counts, 1)
    chance, square = (ndimage.uniform_filter1d(np.where(known, values, 0.0), _RINGS_TOGETHER)
                      for values in (2 * chance, departure**2))
    real = np.clip(1.0 - chance / np.maximum(square, 1e-12), 0.0, 1.0)
    return np.asarray(smooth + (real * departure)[:, None], dtype=np.float64)


def _quantiles(
    power: NDArray[np.float32], label: NDArray[np.int64], n: int
) -> NDArray[np.float64]:
    """Noise of each of `n` labels, 0 where there is no cell."""
    from emtools.measure.lattice._search_kernels import quantile_of_each

    # The quantile of an exponential distribution of mean 1.
    return np.asarray(quantile_of_each(power, label, n, _QUANTILE) / -np.log1p(-_QUANTILE))


def _fill_empty(floors: NDArray[np.float64]) -> None:
    """Fill sectors without cells (the corners, the centre) from the ring inside or outside."""
    for rings in (range(1, len(floors)), range(len(floors) - 2, -1, -1)):
        step = rings.step
        for ring in rings:
            empty = floors[ring] == 0
            floors[ring, empty] = floors[ring - step, empty]
    positive = floors[floors > 0]
    floors[floors == 0] = positive.min() if positive.size else 1.0
