"""Pitch of a chain from the spectrum of its brightness along the axis.

Independent of the fit of single dots: the two must agree, and where dots are too blurred to be
fitted one by one their common period may still be seen.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import zoom_fft

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_FINER = 8  # frequencies looked at for each independent one
_FALSE_ALARM = 1e-4
_LEAST_PERIODS = 4.0
_PIECES = 4  # of a chain, whose pitches tell how even it is
_HANN = 2.0  # independent frequencies from the middle of a Hann window's peak to its foot
_NEAR = 2.0  # ratio of frequencies among which the noise is looked at


def axial_pitch(s: Floats, signal: Floats, pitches: tuple[float, float]) -> tuple[float, float]:
    """Return the period of a brightness along an axis, and its 1 sigma.

    The highest peak of the periodogram (Hann window) counts where noise with the median power of
    the frequencies looked at has such a peak less often than once in ten thousand; the floor is
    that of the spectrum itself, so that slow changes of brightness do not matter.  The error is
    that of the mean of the pitches of four pieces, from the phase along the chain.

    Parameters
    ----------
    s
        ``(n,)`` arc lengths, increasing.
    signal
        ``(n,)`` brightness there.
    pitches
        Smallest and largest period sought, in the unit of `s`.

    Returns
    -------
    tuple of float
        NaN, NaN where no period is significant.

    References
    ----------
    Periodogram and its false alarms: Scargle, Astrophys. J. 263 (1982) 835.
    """
    nothing = (float("nan"), float("nan"))
    length = float(s[-1] - s[0]) if len(s) > 1 else 0.0
    if length < _LEAST_PERIODS * pitches[0] or not np.isfinite(signal).all():
        return nothing
    n = max(len(s), 16)
    even = np.linspace(s[0], s[-1], n)
    window = np.hanning(n)
    values = np.interp(even, s, signal)
    values = (values - np.average(values, weights=window)) * window
    lowest = max(1.0 / pitches[1], _LEAST_PERIODS / length)
    highest = min(1.0 / pitches[0], 0.45 * n / length)
    if highest <= lowest:
        return nothing
    frequencies = np.linspace(lowest, highest, max(8, int(_FINER * (highest - lowest) * length)))
    power = np.abs(zoom_fft(values, (lowest, highest), len(frequencies), endpoint=True,
                            fs=(n - 1) / length)) ** 2
    peak = int(np.argmax(power))
    independent = max(1.0, (highest - lowest) * length)
    # Of exponentially distributed powers the median is ln 2 of the mean.
    floor = float(np.median(_beside(power, peak, frequencies, _HANN / length))) / np.log(2.0)
    if not 0 < peak < len(power) - 1 \
            or independent * np.exp(-power[peak] / max(floor, 1e-300)) > _FALSE_ALARM:
        return nothing
    pitch = 1.0 / _vertex(frequencies, power, peak)
    return pitch, _pitch_err(even, np.interp(even, s, signal), pitch)


def _beside(power: Floats, peak: int, frequencies: Floats, width: float) -> Floats:
    """Powers near the peak's frequency but beside it: noise along a chain is not white."""
    ratio = frequencies / frequencies[peak]
    near = (ratio > 1.0 / _NEAR) & (ratio < _NEAR)
    beside = near & (np.abs(frequencies - frequencies[peak]) > width)
    return power[beside] if beside.any() else power


def _vertex(frequencies: Floats, power: Floats, peak: int) -> float:
    left, middle, right = power[peak - 1:peak + 2].tolist()
    bend = left - 2.0 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    return float(frequencies[peak] + shift * (frequencies[1] - frequencies[0]))


def _pitch_err(even: Floats, values: Floats, pitch: float) -> float:
    """From the phase of pieces of the chain against an even period: its slopes' scatter."""
    edges = np.linspace(even[0], even[-1], _PIECES + 1)
    wave = (values - values.mean()) * np.exp(-2j * np.pi * even / pitch)
    phase = np.unwrap([float(np.angle(np.sum(wave[(even >= a) & (even <= b)])))
                       for a, b in pairwise(edges)])
    # Each step of the phase is the relative deviation of the pitch over one piece.
    steps = np.diff(phase) / (2 * np.pi) * pitch / (edges[1] - edges[0])
    return float(pitch * np.sqrt(np.mean(steps**2) / len(steps)))
