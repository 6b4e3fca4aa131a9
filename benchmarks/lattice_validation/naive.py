"""What a short script does: Hann window, transform, local maxima over a threshold, a parabola."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from skimage.feature import peak_local_max

from emtools.model import Image

Floats = NDArray[np.float64]
THRESHOLD = 5.2  # times the median modulus: one false frame of 512 x 512 white noise in 1000
RANGE_NM = (0.08, 1.0)


def spots(image: Image, threshold: float = THRESHOLD) -> Floats:
    """Wave vectors ``(n, 2)`` in 1/nm, one of each Friedel pair, strongest first."""
    pixel = image.axes[-1].pixel_size
    return find(np.asarray(image.data, dtype=np.float32), pixel, threshold)


def find(data: NDArray[np.float32], pixel: float, threshold: float = THRESHOLD) -> Floats:
    """Do the same with an array."""
    window = np.outer(np.hanning(data.shape[0]), np.hanning(data.shape[1])).astype(np.float32)
    modulus = np.abs(fft.rfft2((data - data.mean()) * window, workers=2))
    modulus = np.fft.fftshift(modulus, axes=0)
    top = modulus.shape[0] // 2
    peaks = peak_local_max(modulus, min_distance=3, exclude_border=2,
                           threshold_abs=threshold * float(np.median(modulus)), num_peaks=200)
    found = []
    for row, col in peaks:
        f = np.array([(row - top + _parabola(modulus[row - 1:row + 2, col])) / data.shape[0],
                      (col + _parabola(modulus[row, col - 1:col + 2])) / data.shape[1]])
        if 1 / RANGE_NM[1] < np.hypot(*f) / pixel < 1 / RANGE_NM[0]:
            found.append(f / pixel)
    return np.array(found).reshape(-1, 2)


def _parabola(three: NDArray[np.float32]) -> float:
    low, here, high = (float(v) for v in three)
    curvature = low - 2 * here + high
    return 0.5 * (low - high) / curvature if curvature < 0 else 0.0
