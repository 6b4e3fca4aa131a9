"""Contrast, ground and noise: what stands out of the film, and how significantly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import log_ndtr, ndtri_exp, stdtrit

from emtools.measure.chains.cells import CELL, smoothed
from emtools.measure.chains.film import TOO_WIDE, Film
from emtools.measure.chains.rejected import broad_regions
from emtools.process.levels import SAMPLE
from emtools.process.plane import flatten

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains.rejected import Rejected
    from emtools.process.plane import Plane

Contrast = Literal["bright", "dark"]

_DARK_MODALITIES = ("TEM", "BF")
_BRIGHT_MODALITIES = ("HAADF", "ADF", "DF", "STEM")
_GROUND_WIDTHS = 4.0  # side of a background block in largest widths
_ROUNDS = 3
_MEDIAN_EFFICIENCY = 0.37  # of a median deviation against a standard deviation


@dataclass(frozen=True)
class Ground:
    """The image with its ground taken off, and what stands out of it.

    Parameters
    ----------
    signal
        ``(y, x)``, bodies positive whatever the contrast, brought to about 1.
    outline
        Pixels of significant bodies, to about half their height.
    runs
        The same as runs of pixels, see `_segment_kernels`.
    noise
        1 sigma of a pixel of the ground.
    correlation
        By how much noise over the size of a body exceeds that of independent pixels.
    contrast
        ``bright`` or ``dark`` bodies.
    mask
        True = use; None = all.
    threshold
        Height of the smoothed signal that noise reaches at the false-alarm rate; the median, where
        the noise varies.
    level_err
        1 sigma of the ground's level, for blocks of a few pixels.
    broad
        Cells of what is broader than any body.
    counts
        What a signal of 1 is in the image's own numbers.
    """

    signal: NDArray[np.float32]
    outline: NDArray[np.bool_]
    runs: NDArray[np.int32]
    noise: float
    correlation: float
    contrast: Contrast
    mask: NDArray[np.bool_] | None
    threshold: float
    level_err: NDArray[np.float32]
    broad: NDArray[np.bool_]
    counts: float

    @property
    def rejected(self) -> list[Rejected]:
        """What is broader than any body, and was taken off with the ground."""
        return broad_regions(self.broad, CELL)

    def level_err_at(self, centres: NDArray[np.float64]) -> NDArray[np.float64]:
        """1 sigma of the ground's level at places, ``(n, 2)`` in pixels."""
        size = np.array(self.signal.shape) / np.array(self.level_err.shape)
        cells = np.clip((centres / size).astype(int), 0, np.array(self.level_err.shape) - 1)
        return np.asarray(self.level_err[cells[:, 0], cells[:, 1]], dtype=float)


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
    smooth = smoothed(flat, max(1.0, scale_px / 6))
    used = smooth if plane.mask is None else smooth[plane.mask]
    step = max(1, used.size // SAMPLE)
    low, middle, high = np.percentile(used.ravel()[::step], [0.5, 50.0, 99.5])
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
    film = Film(plane, 1.0 if contrast == "bright" else -1.0, widths_px)
    significant = _deviate(false_alarm_rate, film.signal.size / film.independent_px)
    for _ in range(_ROUNDS):
        # Bodies pull the ground up; it is estimated again without them.
        if not film.exclude_bodies(significant * film.noise().smooth):
            break
    film.level()
    film.level_broad(TOO_WIDE * widths_px[1])
    noise = film.noise()
    height = significant * film.local_noise(noise.smooth) + film.steep
    outline, runs = film.outline(height, widths_px)
    # White noise smoothed by a Gaussian has the variance noise^2 / (4 pi sigma^2).
    white = noise.pixel**2 / film.independent_px
    correlation = max(1.0, noise.smooth**2 / max(white, 1e-300))
    return Ground(film.signal, outline, runs, noise.pixel, correlation, contrast, plane.mask,
                  significant * noise.smooth, film.level_err(widths_px[1]), film.broad, film.counts)


def _deviate(false_alarm_rate: float, independent: float) -> float:
    """Standard deviations that noise exceeds once in `independent` tries at that rate.

    The deviation itself is known from those few tries only (Student's t), and a median deviation
    is worth about a third of them.
    """
    tail = np.log(false_alarm_rate) - np.log(max(independent, 1.0))
    normal = float(-ndtri_exp(min(tail, float(log_ndtr(-3.0)))))
    degrees = max(_MEDIAN_EFFICIENCY * independent, 1.0)
    return max(normal, float(-stdtrit(degrees, np.exp(max(tail, -200.0)))))
