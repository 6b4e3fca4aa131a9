"""Frames of one scan moved onto each other: what drifted while they were recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Shifts = NDArray[np.int64]

_SMOOTH_PX = 1.5  # frames have few counts
_PASSES = 3
_FARTHEST = 0.5  # of the side of a frame


def drift_of(frames: Floats) -> Shifts:
    """Shifts that bring frames onto the first, by cross-correlation with the sum of the others.

    Parameters
    ----------
    frames
        ``(frame, y, x)`` counts.

    Returns
    -------
    array
        ``(frame, 2)`` whole pixels along y and x.
    """
    smooth = gaussian_filter(frames.astype(np.float64), (0.0, _SMOOTH_PX, _SMOOTH_PX))
    smooth -= smooth.mean(axis=(1, 2), keepdims=True)
    spectra = fft.rfft2(smooth, [2 * n for n in smooth.shape[1:]], workers=-1)
    shifts = np.zeros((len(frames), 2), dtype=np.int64)
    reference = spectra[0].copy()
    for n in range(1, len(frames)):  # one after another: what came before is the better reference
        shifts[n] = _shift(spectra[n], reference, smooth.shape[1:])
        reference += _moved(spectra[n], shifts[n], smooth.shape[1:])
    for _ in range(_PASSES):
        for n in range(len(frames)):
            others = reference - _moved(spectra[n], shifts[n], smooth.shape[1:])
            new = _shift(spectra[n], others, smooth.shape[1:])
            reference = others + _moved(spectra[n], new, smooth.shape[1:])
            shifts[n] = new
    return np.asarray(shifts - shifts[0])


def summed_in_place(frames: Any, shifts: Shifts) -> Any:
    """Sum frames ``(frame, y, x, ...)``, NumPy or dask, each moved; what moves out is lost."""
    total = None
    for frame, (down, right) in zip(frames, shifts.tolist(), strict=True):
        height, width = frame.shape[:2]
        cut = frame[max(-down, 0):height - max(down, 0), max(-right, 0):width - max(right, 0)]
        padding = [(max(down, 0), max(-down, 0)), (max(right, 0), max(-right, 0))]
        moved = np.pad(cut, padding + [(0, 0)] * (frame.ndim - 2))
        total = moved if total is None else total + moved
    return total


def _shift(frame: Any, reference: Any, shape: tuple[int, ...]) -> Shifts:
    """Where the frame's correlation with the reference is largest."""
    padded = [2 * n for n in shape]
    correlation = fft.irfft2(reference * np.conj(frame), padded, workers=-1)
    near = np.ones(padded, dtype=bool)
    for axis, n in enumerate(shape):
        away = np.abs(fft.fftfreq(2 * n, 1.0 / (2 * n))) > _FARTHEST * n
        near[(slice(None),) * axis + (away,)] = False
    place = np.unravel_index(np.argmax(np.where(near, correlation, -np.inf)), correlation.shape)
    return np.array([i - 2 * n if i >= n else i for i, n in zip(place, shape, strict=True)],
                    dtype=np.int64)


def _moved(frame: Any, shift: Shifts, shape: tuple[int, ...]) -> Any:
    """Transform of a frame moved by whole pixels."""
    down, right = (fft.fftfreq(2 * shape[0]), fft.rfftfreq(2 * shape[1]))
    return frame * np.exp(-2j * np.pi * (shift[0] * down[:, None] + shift[1] * right))
