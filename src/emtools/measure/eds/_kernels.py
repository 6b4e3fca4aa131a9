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
_LEAST = 1e-7  # of a line: a smaller peak is none
_ROOT2 = math.sqrt(2.0)


@njit(cache=True, nogil=True, inline="always")
def _below(z: float, sigma: float, length: float) -> float:
    """Share of a peak below ``z`` sigma: a normal number, less an exponential one of a length."""
    gaussian = 0.5 * math.erfc(-z / _ROOT2)
    if length == 0.0 or z > _REACH:
        return gaussian
    ratio = sigma / length
    return gaussian + 0.5 * math.exp(ratio * (z + 0.5 * ratio)) * math.erfc((z + ratio) / _ROOT2)


@njit(cache=True, nogil=True)
def add_peaks(
    rows: NDArray[np.intp], centre: NDArray[np.float64], sigma: NDArray[np.float64],
    area: NDArray[np.float64], tail: NDArray[np.float64],
    axis: tuple[float, float], shapes: NDArray[np.float64],
) -> None:
    """Add peaks to rows of ``(n, c)``, averaged over each channel.

    Parameters
    ----------
    rows
        ``(p,)`` that each is added to.
    centre, sigma, area
        ``(p,)``.
    tail
        ``(p,)`` mean of what is lost exponentially; 0: nothing.
    axis
        Lower edge of the first channel, and the width of a channel.
    shapes
        ``(n, c)``.
    """
    start, step = axis
    channels = shapes.shape[1]
    for i in range(len(centre)):
        if area[i] < _LEAST:
            continue
        # A loss smaller than the peak is wide is no tail.
        length = max(tail[i], 0.5 * sigma[i]) if tail[i] > 0.0 else 0.0
        low = int((centre[i] - _REACH * sigma[i] - _FAR * length - start) / step)
        high = int((centre[i] + _REACH * sigma[i] - start) / step) + 1
        low, high = min(max(low, 0), channels), min(max(high, 0), channels)
        scale = 1.0 / sigma[i]
        below = _below((start + low * step - centre[i]) * scale, sigma[i], length)
        for c in range(low, high):
            above = _below((start + (c + 1) * step - centre[i]) * scale, sigma[i], length)
            shapes[rows[i], c] += area[i] * (above - below)
            below = above
