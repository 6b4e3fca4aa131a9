"""Contrast, ground and noise: what stands out of the film, and how significantly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage
from scipy.special import log_ndtr, ndtri_exp, stdtrit

from emtools.process.plane import flatten

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.process.plane import Plane

Contrast = Literal["bright", "dark"]

_DARK_MODALITIES = ("TEM", "BF")
_BRIGHT_MODALITIES = ("HAADF", "ADF", "DF", "STEM")
_GROUND_WIDTHS = 4.0  # side of a background block in largest widths
_MEDIAN_EFFICIENCY = 0.37  # of a median deviation against a standard deviation
_ROUNDING = 3e-4  # of the range: no micrograph is better than that
_LOCAL_HALF = 0.4  # of the local height: where a body's edge is drawn for a first guess


@dataclass(frozen=True)
class Ground:
    """The image with its ground taken off, and what stands out of it.

    Parameters
    ----------
    signal
        ``(y, x)``, bodies positive whatever the contrast.
    foreground
        Pixels of significant bodies, to about half their height.
    noise
        1 sigma of a pixel of the ground.
    correlation
        By how much noise over the size of a body exceeds that of independent pixels.
    contrast
        ``bright`` or ``dark`` bodies.
    mask
        True = use; None = all.
    threshold
        Height of the smoothed signal that noise reaches at the false-alarm rate.
    """

    signal: NDArray[np.float32]
    foreground: NDArray[np.bool_]
    noise: float
    correlation: float
    contrast: Contrast
    mask: NDArray[np.bool_] | None
    threshold: float


def find_contrast(plane: Plane, modality: str | None, scale_px: float) -> Contrast:
    """Decide from the modality, else from the image, whether bodies are bright or dark.

    Bodies cover less than half of the image, so the flattened and smoothed image is skewed towards
    them.
    """
    if modality in _BRIGHT_MODALITIES:
        return "bright"
    if modality in _DARK_MODALITIES:
        return "dark"
    flat = flatten(plane.values, plane.mask, _GROUND_WIDTHS * scale_px)
    smooth = ndimage.gaussian_filter(flat, max(1.0, scale_px / 6))
    used = smooth if plane.mask is None else smooth[plane.mask]
    low, middle, high = np.percentile(used, [0.5, 50.0, 99.5])
    return "bright" if high - middle >= middle - low else "dark"


def find_ground(
    plane: Plane, contrast: Contrast, widths_px: tuple[float, float], false_alarm_rate: float
) -> Ground:
    """Take off the ground and find what is significant.

    Parameters
    ----------
    plane
        The picture.
    contrast
        Of the bodies.
    widths_px
        Smallest and largest width sought.
    false_alarm_rate
        Accepted probability that an image of noise shows any body.
    """
    values = plane.values if contrast == "bright" else -plane.values
    sigma = max(0.7, 0.2 * widths_px[0])
    block = _GROUND_WIDTHS * widths_px[1]
    usable = plane.mask
    signal = flatten(values, usable, block)
    noise, smooth_noise, smooth = _noise(signal, usable, sigma)
    height = smooth_noise * _deviate(false_alarm_rate, signal.size / (4 * np.pi * sigma**2))
    foreground = np.zeros(signal.shape, dtype=bool)
    for _ in range(4):
        # Bodies pull the ground up; it is estimated again without them.
        bodies = _holding(smooth > 0.5 * height, smooth > height)
        if not bodies.any():
            break
        ground_only = ~ndimage.binary_dilation(bodies, iterations=2 + round(0.5 * widths_px[0]))
        ground_only = ground_only if usable is None else ground_only & usable
        if ground_only.mean() < 0.05:
            break
        signal = _off_ground(values, usable, ground_only, block)
        noise, smooth_noise, smooth = _noise(signal, ground_only, sigma)
        height = smooth_noise * _deviate(false_alarm_rate, signal.size / (4 * np.pi * sigma**2))
    foreground = _foreground(smooth, height, widths_px)
    # White noise smoothed by a Gaussian has the variance noise^2 / (4 pi sigma^2).
    white = noise**2 / (4 * np.pi * max(sigma, 0.7) ** 2)
    return Ground(signal, foreground, noise, max(1.0, smooth_noise**2 / max(white, 1e-300)),
                  contrast, usable, height)


def _deviate(false_alarm_rate: float, independent: float) -> float:
    """Standard deviations that noise exceeds once in `independent` tries at that rate.

    The deviation itself is known from those few tries only (Student's t), and a median deviation
    is worth about a third of them.
    """
    tail = np.log(false_alarm_rate) - np.log(max(independent, 1.0))
    normal = float(-ndtri_exp(min(tail, float(log_ndtr(-3.0)))))
    degrees = max(_MEDIAN_EFFICIENCY * independent, 1.0)
    return max(normal, float(-stdtrit(degrees, np.exp(max(tail, -200.0)))))


def _off_ground(
    values: NDArray[np.float32], usable: NDArray[np.bool_] | None,
    ground_only: NDArray[np.bool_], block: float,
) -> NDArray[np.float32]:
    filled = values.copy()
    median = np.float32(np.median(values[ground_only]))
    filled -= median
    flat = flatten(filled, ground_only, block)
    # `flatten` leaves 0 where it was masked; the bodies want the same ground taken off.
    ground = _spread(filled - flat, ground_only, block)
    signal: NDArray[np.float32] = filled - ground
    if usable is not None:
        signal[~usable] = 0.0
    return signal


def _spread(
    ground: NDArray[np.float32], known: NDArray[np.bool_], block: float
) -> NDArray[np.float32]:
    """Carry the ground smoothly under the bodies: normalised convolution."""
    sigma = max(2.0, 0.25 * block)
    step = max(1, int(sigma // 3))
    small_known = known[::step, ::step].astype(np.float32)
    small = np.where(known, ground, 0.0).astype(np.float32)[::step, ::step]
    weight = ndimage.gaussian_filter(small_known, sigma / step, mode="nearest")
    spread = ndimage.gaussian_filter(small, sigma / step, mode="nearest")
    spread /= np.maximum(weight, 1e-6)
    if step > 1:
        y, x = (np.arange(n) / step for n in ground.shape)
        spread = ndimage.map_coordinates(spread, np.meshgrid(y, x, indexing="ij"), order=1,
                                         mode="nearest", output=np.float32)
    return np.where(known, ground, spread)


def _noise(
    signal: NDArray[np.float32], used: NDArray[np.bool_] | None, sigma: float
) -> tuple[float, float, NDArray[np.float32]]:
    """Noise of a pixel and of the smoothed signal (median deviations), and the smoothed signal."""
    smooth = ndimage.gaussian_filter(signal, sigma)
    pixels, smoothed = (a if used is None else a[used] for a in (signal, smooth))
    # An image without noise still has rounding, which is no evidence of anything.
    least = _ROUNDING * float(np.ptp(smooth))
    return max(_deviation(pixels), least), max(_deviation(smoothed), least), smooth


def _deviation(sample: NDArray[np.float32]) -> float:
    """Standard deviation of the lower half, which bodies do not reach."""
    middle = float(np.median(sample))
    below = sample[sample <= middle]
    return float(1.4826 * np.median(middle - below)) if below.size else 0.0


def _foreground(
    smooth: NDArray[np.float32], height: float, widths_px: tuple[float, float]
) -> NDArray[np.bool_]:
    local = ndimage.maximum_filter(smooth, size=max(3, round(1.5 * widths_px[0])))
    return _holding((smooth > _LOCAL_HALF * local) & (smooth > 0.5 * height), smooth > height)


def _holding(grown: NDArray[np.bool_], seeds: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The objects of `grown` that hold a seed."""
    labels, n = ndimage.label(grown)
    keep = np.zeros(n + 1, dtype=bool)
    keep[np.unique(labels[seeds])] = True
    keep[0] = False
    return np.asarray(keep[labels])
