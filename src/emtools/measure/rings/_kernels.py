"""Compiled loops over the pixels of a pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_ISOLATED = 3.0  # ranges of its neighbours by which a dead or hot pixel is off
_LN2 = np.log(2.0)
_GAUSS_ENDS = 7.0  # half widths, where a Gaussian is 2^-49


@njit(nogil=True, cache=True)
def add_to_cells(
    rows: tuple[int, int], values: NDArray[np.float32], use: NDArray[np.bool_],
    centre: tuple[float, float], matrix: Floats, sector_of: NDArray[np.int64], sums: Floats,
) -> None:
    """Add the pixels of some rows to polar cells, each shared between the two nearest radii.

    `sums` holds the sums of values and those of weights.  `sector_of` is the
    sector at even steps of a pseudo-angle that runs from 0 to 4 (see
    `polar.sectors_of_pseudo_angles`).
    """
    n_bins = sums.shape[2]
    steps = len(sector_of) / 4.0
    for i in range(rows[0], rows[1]):
        dy = i - centre[0]
        for j in range(values.shape[1]):
            if not use[i, j]:
                continue
            dx = j - centre[1]
            y = matrix[0, 0] * dy + matrix[0, 1] * dx
            x = matrix[1, 0] * dy + matrix[1, 1] * dx
            radius = np.sqrt(y * y + x * x)
            low = int(radius)
            if low + 1 >= n_bins:
                continue
            around = abs(x) + abs(y)
            place = abs(y) / around if around > 0 else 0.0
            if x < 0:
                place = 2.0 - place
            if y > 0:  # rows run down
                place = 4.0 - place
            sector = sector_of[min(int(place * steps), len(sector_of) - 1)]
            part = radius - low
            value = values[i, j]
            sums[0, sector, low] += (1.0 - part) * value
            sums[0, sector, low + 1] += part * value
            sums[1, sector, low] += 1.0 - part
            sums[1, sector, low + 1] += part


@njit(nogil=True, cache=True)
def mark_isolated(
    rows: tuple[int, int], values: NDArray[np.float32], use: NDArray[np.bool_]
) -> None:
    """Take out of `use` the pixels of some rows that are far off all of their eight neighbours."""
    height, width = values.shape
    for i in range(max(rows[0], 1), min(rows[1], height - 1)):
        for j in range(1, width - 1):
            value = values[i, j]
            low = high = values[i, j - 1]
            for di in range(-1, 2):
                for dj in range(-1, 2):
                    if di != 0 or dj != 0:
                        other = values[i + di, j + dj]
                        low, high = min(low, other), max(high, other)
            reach = _ISOLATED * (high - low)
            if value > high + reach or value < low - reach:
                use[i, j] = False


@njit(nogil=True, cache=True)
def add_blocks(
    rows: tuple[int, int], values: NDArray[np.float32], use: NDArray[np.bool_], factor: int,
    means: NDArray[np.float32], used: NDArray[np.bool_],
) -> None:
    """Mean of the used pixels of each block in some rows of blocks, and whether most are used."""
    for i in range(rows[0], rows[1]):
        for j in range(means.shape[1]):
            total, number = 0.0, 0
            for y in range(i * factor, (i + 1) * factor):
                for x in range(j * factor, (j + 1) * factor):
                    if use[y, x]:
                        total += values[y, x]
                        number += 1
            means[i, j] = total / max(number, 1)
            used[i, j] = 2 * number > factor * factor


@njit(nogil=True, cache=True)
def votes_for_centres(
    candidates: Floats, places: Floats, directions: Floats, weights: Floats, sigma: float
) -> Floats:
    """How well the gradients point to, or from, each candidate.

    Parameters
    ----------
    candidates
        ``(n, 2)``.
    places, directions
        ``(m, 2)``: of the gradients; directions of length 1.
    weights
        ``(m,)``.
    sigma
        Sine of the angle by which a gradient may be off.
    """
    votes = np.zeros(len(candidates))
    for c in range(len(candidates)):
        total = 0.0
        for g in range(len(places)):
            dy = candidates[c, 0] - places[g, 0]
            dx = candidates[c, 1] - places[g, 1]
            square = dy * dy + dx * dx
            across = dy * directions[g, 1] - dx * directions[g, 0]
            # Near by, a direction says nothing: half a pixel would turn it.
            off = across * across / (square * sigma * sigma + 1.0)
            if off < 12.0:
                total += weights[g] * np.exp(-0.5 * off)
        votes[c] = total
    return votes


@njit(nogil=True, cache=True)
def clipped(level: Floats, widths: Floats) -> Floats:
    """A profile with maxima narrower than `widths` clipped off (see `ground.peaks_clipped`)."""
    n = len(level)
    ground = level.copy()
    longest = int(widths.max())
    for step in range(longest, 0, -1):
        before = ground.copy()
        for i in range(n):
            reach = min(step, int(widths[i]), i, n - 1 - i)
            if reach == 0:
                continue
            between = 0.5 * (before[i - reach] + before[i + reach])
            if between < before[i]:
                ground[i] = between
    return ground


@njit(nogil=True, cache=True)
def add_profiles(radius: Floats, peaks: Floats, part: Floats, total: Floats) -> None:
    """Add pseudo-Voigt profiles, rows of `peaks`: radius, log FWHM, height; `part` Lorentzian."""
    for peak in range(len(peaks)):
        place, height = peaks[peak, 0], peaks[peak, 2]
        per_half = 2.0 / np.exp(peaks[peak, 1])
        for i in range(len(radius)):
            off = per_half * (radius[i] - place)
            if abs(off) < _GAUSS_ENDS:
                total[i] += height * (1.0 - part[peak]) * np.exp(-_LN2 * off * off)
            if part[peak] > 0.0:
                total[i] += height * part[peak] / (1.0 + off * off)


@njit(nogil=True, cache=True)
def profile_slopes(
    radius: Floats, peaks: Floats, part: Floats, by_part: Floats, by_peak: Floats
) -> None:
    """Derivatives of the sum of profiles.

    `by_part` ``(n,)`` is that of the Lorentzian part of those that have one, `by_peak`
    ``(n, 3 peaks)`` those of each radius, log FWHM and height.
    """
    for peak in range(len(peaks)):
        place, height, own = peaks[peak, 0], peaks[peak, 2], part[peak]
        per_half = 2.0 / np.exp(peaks[peak, 1])
        for i in range(len(radius)):
            off = per_half * (radius[i] - place)
            gauss = np.exp(-_LN2 * off * off) if abs(off) < _GAUSS_ENDS else 0.0
            lorentz = 1.0 / (1.0 + off * off)
            turn = -2.0 * off * ((1.0 - own) * _LN2 * gauss + own * lorentz * lorentz)
            if own > 0.0:
                by_part[i] += height * (lorentz - gauss)
            by_peak[i, 3 * peak] = -turn * per_half * height
            by_peak[i, 3 * peak + 1] = -turn * off * height
            by_peak[i, 3 * peak + 2] = own * lorentz + (1.0 - own) * gauss
