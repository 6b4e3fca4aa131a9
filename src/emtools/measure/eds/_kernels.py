"""Compiled inner loop of the spectra: peaks averaged over channels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from numba import njit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_REACH = 6.0  # sigma: beyond, nothing of a Gaussian is left


@njit(cache=True, nogil=True)
def add_gaussians(
    centre: NDArray[np.float64], sigma: NDArray[np.float64], area: NDArray[np.float64],
    axis: tuple[float, float], shapes: NDArray[np.float64],
) -> None:
    """Add to each row of ``(n, c)`` a Gaussian, averaged over each channel.

    Parameters
    ----------
    centre, sigma, area
        ``(n,)``.
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
        low = int((centre[i] - _REACH * sigma[i] - start) / step)
        high = int((centre[i] + _REACH * sigma[i] - start) / step) + 1
        low, high = min(max(low, 0), channels), min(max(high, 0), channels)
        scale = 1.0 / (math.sqrt(2.0) * sigma[i])
        below = math.erf((start + low * step - centre[i]) * scale)
        for c in range(low, high):
            above = math.erf((start + (c + 1) * step - centre[i]) * scale)
            shapes[i, c] += 0.5 * area[i] * (above - below)
            below = above
