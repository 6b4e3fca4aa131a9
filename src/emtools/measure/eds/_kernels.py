"""Compiled inner loop of the spectra: peaks with their tails, averaged over channels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from numba import njit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_REACH = 6.0  # sigma: beyond, nothing of a Gaussian is left
_FAR = 6.0  # lengths of a tail: beyond, nothing of it is left
_LEAST = 1e-5  # of a peak: a smaller tail is none
_ROOT2 = math.sqrt(2.0)


@njit(cache=True, nogil=True, inline="always")
def _below(z: float, ratio: float) -> float:
    """Share of a Gaussian's tail below ``z`` sigma from its peak; ``ratio``: sigma over its length.

    A normal number less an exponential one.
    """
    if z > _REACH:
        return 1.0
    gaussian = 0.5 * math.erfc(-z / _ROOT2)
    return gaussian + 0.5 * math.exp(ratio * (z + 0.5 * ratio)) * math.erfc((z + ratio) / _ROOT2)


@njit(cache=True, nogil=True)
def add_peaks(
    rows: NDArray[np.intp], centre: NDArray[np.float64], sigma: NDArray[np.float64],
    area: NDArray[np.float64], tails: tuple[NDArray[np.float64], NDArray[np.float64]],
    axis: tuple[float, float], shapes: NDArray[np.float64],
) -> None:
    """Add peaks to rows of ``(n, c)``, averaged over each channel.

    Parameters
    ----------
    rows
        ``(p,)`` that each is added to.
    centre, sigma, area
        ``(p,)``.
    tails
        Share of the area that is in an exponential tail below the peak, ``(p,)``, and its length.
    axis
        Lower edge of the first channel, and the width of a channel.
    shapes
        ``(n, c)``.
    """
    start, step = axis
    channels = shapes.shape[1]
    for i in range(len(centre)):
        if area[i] == 0.0:
            continue
        row, tail = rows[i], tails[0][i]
        # A loss smaller than the peak is wide is no tail.
        length = max(tails[1][i], 0.5 * sigma[i])
        reach = _REACH * sigma[i] + (_FAR * length if tail > _LEAST else 0.0)
        low = int((centre[i] - reach - start) / step)
        high = int((centre[i] + _REACH * sigma[i] - start) / step) + 1
        low, high = min(max(low, 0), channels), min(max(high, 0), channels)
        scale, ratio = 1.0 / sigma[i], sigma[i] / length
        z = (start + low * step - centre[i]) * scale
        below = math.erf(z / _ROOT2)
        lost = _below(z, ratio)
        for c in range(low, high):
            z = (start + (c + 1) * step - centre[i]) * scale
            above = math.erf(z / _ROOT2)
            shapes[row, c] += 0.5 * (1.0 - tail) * area[i] * (above - below)
            below = above
            if tail > _LEAST:
                gone = _below(z, ratio)
                shapes[row, c] += tail * area[i] * (gone - lost)
                lost = gone
