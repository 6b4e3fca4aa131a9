"""Contrast, ground and noise: what stands out of the film, and how significantly."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage
from scipy.special import log_ndtr, ndtri_exp, stdtrit

from emtools.measure.chains.broad import find_broad, local_mean
from emtools.process.plane import flatten, off_ground
from emtools.process.threads import in_spans

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from emtools.process.plane import Plane

Contrast = Literal["bright", "dark"]

_DARK_MODALITIES = ("TEM", "BF")
_BRIGHT_MODALITIES = ("HAADF", "ADF", "DF", "STEM")
TOO_WIDE = 1.3  # of the largest width sought: contamination, and edges of the film
_GROUND_WIDTHS = 4.0  # side of a background block in largest widths
_CELL = 4  # pixels along a side of the cells in which ground and bodies are told apart
_BESIDE = 0.3  # of the largest width: 1 sigma of the surrounding that tells a body's ground
_STEEP = 0.5  # of the rise across three cells: what may stand out of a steep ground by mistake
_CLIP = 2.0  # sigma above the ground: what rough levels leave out
_LEAST_GROUND = 0.05  # of a block: with less of it in sight its level is its neighbours'
_ROUNDS = 3
_MEDIAN_EFFICIENCY = 0.37  # of a median deviation against a standard deviation
_QUIETEST = 0.3  # of the plane's noise: rounding may look quieter
_NOTHING = 1e-30  # variance of a plane without noise and without contrast
_ENOUGH = 200  # independent values that tell the noise of one block
_CROWDED = 3.0  # sigma: points that are higher are bodies', where no cell is free of them
_UNLIKE_NOISE = 2.5  # ratio of two quarters, 1.4 for noise: bodies among them
_CONTRAST = 0.01  # of the range: what is less is no body's
_FEWEST = 64  # values whose quarters are compared
_DENSEST = 8  # of all values one is ground, at least
_TRIMMED = 0.934  # standard deviation of a Gaussian's middle 98 %
_SAMPLE = 400_000  # pixels that tell the noise of a pixel
_ROUNDING = 3e-4  # of the range: no micrograph is better than that
_LOCAL_HALF = 0.4  # of the local height: where a body's edge is drawn for a first guess
_TRUNCATED = 4.0  # sigma: reach of a Gaussian


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
        1 sigma of the ground's level around each cell of a few pixels.
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

    def level_err_at(self, centres: NDArray[np.float64]) -> NDArray[np.float64]:
        """1 sigma of the ground's level at places, ``(n, 2)`` in pixels."""
        cells = np.clip(np.rint(centres / _CELL).astype(int), 0,
                        np.array(self.level_err.shape) - 1)
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
    step = max(1, used.size // _SAMPLE)
    low, middle, high = np.percentile(used.ravel()[::step], [0.5, 50.0, 99.5])
    return "bright" if high - middle >= middle - low else "dark"


def smoothed(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Return a plane under a Gaussian of 1 sigma in pixels, its border repeated outwards."""
    from emtools.measure.chains._segment_kernels import smooth_rows

    along = np.arange(int(_TRUNCATED * sigma + 0.5) + 1)
    weights = np.exp(-0.5 * (along / sigma) ** 2)
    weights /= weights[0] + 2 * weights[1:].sum()
    out = np.empty_like(values)
    in_spans(lambda rows: smooth_rows(rows, values, weights.astype(np.float32), out),
             (0, len(values)), values.size)
    return out


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
    film = _Film(plane, contrast, widths_px)
    significant = _deviate(false_alarm_rate, film.signal.size / film.independent_px)
    for _ in range(_ROUNDS):
        # Bodies pull the ground up; it is estimated again without them.
        if not film.exclude_bodies(significant * film.noise().smooth):
            break
    film.level()
    film.level_broad(TOO_WIDE * widths_px[1])
    noise = film.noise()
    outline, runs = film.outline(significant * film.local_noise(noise.smooth) + film.steep, widths_px)
    # White noise smoothed by a Gaussian has the variance noise^2 / (4 pi sigma^2).
    white = noise.pixel**2 / film.independent_px
    correlation = max(1.0, noise.smooth**2 / max(white, 1e-300))
    return Ground(film.signal, outline, runs, noise.pixel, correlation, contrast, plane.mask,
                  significant * noise.smooth, film.level_err(widths_px[1]))


def _deviate(false_alarm_rate: float, independent: float) -> float:
    """Standard deviations that noise exceeds once in `independent` tries at that rate.

    The deviation itself is known from those few tries only (Student's t), and a median deviation
    is worth about a third of them.
    """
    tail = np.log(false_alarm_rate) - np.log(max(independent, 1.0))
    normal = float(-ndtri_exp(min(tail, float(log_ndtr(-3.0)))))
    degrees = max(_MEDIAN_EFFICIENCY * independent, 1.0)
    return max(normal, float(-stdtrit(degrees, np.exp(max(tail, -200.0)))))


@dataclass(frozen=True)
class _Noise:
    """1 sigma of a pixel and of the smoothed signal."""

    pixel: float
    smooth: float


class _Film:
    """Signal and smoothed signal of a plane; the cells in which ground and bodies are told apart.

    While the ground is sought only the cells are kept level: their mean, their highest smoothed
    pixel, and one pixel of each that tells the noise.
    """

    def __init__(self, plane: Plane, contrast: Contrast, widths_px: tuple[float, float]) -> None:
        self.mask = plane.mask
        self.sigma = max(0.7, 0.2 * widths_px[0])
        self.margin = int(np.ceil((2.0 + 0.5 * widths_px[0]) / _CELL))
        means, used = _cell_means(plane.values, plane.mask)
        self.used = used > 0.5 if (used > 0.5).any() else used > 0
        self.ground = self.used
        self.crowded = False
        self.broad = np.zeros_like(self.used)
        self.steep: NDArray[np.float32] | float = 0.0
        self.blocks = tuple(
            np.linspace(0, n, max(2, round(n * _CELL / (_GROUND_WIDTHS * widths_px[1]))) + 1
                        ).astype(int) for n in means.shape)
        sign = 1.0 if contrast == "bright" else -1.0
        # About 1, by a power of two that takes no bits: squares of others may leave float32.
        largest = float(np.abs(means[self.used]).max(initial=0.0))
        scale = float(np.ldexp(1.0, -int(np.frexp(largest)[1])))
        flat = np.full(self._n_blocks, float(np.median(means[self.used])))
        self.signal = off_ground(plane.values, flat, scale=sign * scale)
        if self.mask is not None:
            self.signal[~self.mask] = 0.0
        self.smooth = smoothed(self.signal, self.sigma)
        # Points, not means: where bodies are dense no cell is free of them, but some points are.
        points = self.smooth[::_CELL, ::_CELL]
        self.range = float(np.ptp(points[self.used]))
        rough = _filled(self._of_blocks(points, lambda v: _robust_level(v, self.least)))
        for values in (self.signal, self.smooth):
            off_ground(values, rough, out=values)
            if self.mask is not None:
                values[~self.mask] = 0.0
        self.levels = np.zeros(self._n_blocks)
        self.means, _ = _cell_means(self.signal, self.mask)
        self.raw = np.float32(sign * scale) * means
        self.maxima = _cell_maxima(self.smooth)
        self.pixels = (self.signal[::_CELL, ::_CELL], self.smooth[::_CELL, ::_CELL].copy())

    @property
    def independent_px(self) -> float:
        """Pixels of the smoothed signal that count as one."""
        return float(4.0 * np.pi * self.sigma**2)

    @property
    def least(self) -> float:
        """What no body's contrast is less than, where bodies are so dense that they might be noise."""
        return _CONTRAST * self.range

    @property
    def _n_blocks(self) -> tuple[int, int]:
        return len(self.blocks[0]) - 1, len(self.blocks[1]) - 1

    def _of_blocks(
        self, cells: NDArray[np.float32], level: Callable[[NDArray[np.float32]], float]
    ) -> NDArray[np.float64]:
        """A level of the ground's cells in each block; NaN where hardly any ground is in sight."""
        levels = np.full(self._n_blocks, np.nan)
        for i, rows in enumerate(pairwise(self.blocks[0])):
            for j, cols in enumerate(pairwise(self.blocks[1])):
                part = slice(*rows), slice(*cols)
                ground = cells[part][self.ground[part]]
                if ground.size > _LEAST_GROUND * self.used[part].size:
                    levels[i, j] = level(ground)
        return levels

    def noise(self) -> _Noise:
        """Noise of the ground, from what lies below its middle: bodies do not reach there."""
        quietest = _ROUNDING * self.range
        raw, even = (np.sort(_some(points[self.ground])) for points in self.pixels)
        n = _of_ground(even, self.least)
        smooth = max(_deviation(even, n), quietest)
        # Counts of few electrons come in steps: their quartiles say little.
        pixel = max(_trimmed_deviation(raw) if n == len(raw) else _deviation(raw, n), quietest)
        return _Noise(pixel, smooth)

    def _deviation(self, sample: NDArray[np.float32]) -> float:
        ordered = np.sort(_some(sample))
        return _deviation(ordered, _of_ground(ordered, self.least))

    def local_noise(self, smooth: float) -> NDArray[np.float32]:
        """Noise of the smoothed signal at each cell; the plane's where a block tells too little."""
        independent = min(1.0, _CELL**2 / self.independent_px)
        local = self._of_blocks(self.pixels[1], lambda ground: (
            self._deviation(ground) ** 2 if ground.size * independent > _ENOUGH else np.nan))
        local = np.where(np.isfinite(local), local, smooth**2)
        local = ndimage.uniform_filter(local, 3, mode="nearest")
        squares = -off_ground(np.zeros_like(self.means), local)
        return np.sqrt(np.maximum(squares, max((_QUIETEST * smooth) ** 2, _NOTHING)))

    def exclude_bodies(self, height: float) -> bool:
        """Level the cells by the ground beside bodies; False where nothing more is to be had."""
        ground = self._beside_bodies(height)
        highest = 0.5 * float(self.maxima[self.used].max())
        while ground.mean() < _LEAST_GROUND and height < highest:
            # The ground may still be so uneven that all of it is above that height.
            height *= 2.0
            ground = self._beside_bodies(height)
        self.crowded = ground.mean() < _LEAST_GROUND or not self._free_of_bodies(ground)
        if self.crowded:
            ground = self.used & (self.pixels[1] < _CROWDED * self.noise().smooth)
        if (ground == self.ground).all() or not ground.any():
            return False
        self.ground = ground
        levels = _filled(self._of_blocks(self._level_cells, lambda ground: float(ground.mean())))
        self.levels += levels
        for cells in (self.means, self.maxima, self.pixels[1]):
            off_ground(cells, levels, out=cells)
        return True

    @property
    def _level_cells(self) -> NDArray[np.float32]:
        """What tells the level of the ground: where bodies are dense, no cell is free of them."""
        return self.pixels[1] if self.crowded else self.means

    def _free_of_bodies(self, cells: NDArray[np.bool_]) -> bool:
        ordered = np.sort(_some(self.pixels[1][cells]))
        return _of_ground(ordered, self.least) == len(ordered)

    def _beside_bodies(self, height: float) -> NDArray[np.bool_]:
        """Cells that are no part of what is higher, nor close beside it."""
        labels, n = ndimage.label(self.maxima > 0.5 * height)
        held = np.zeros(n + 1, dtype=bool)
        held[np.unique(labels[self.maxima > height])] = True
        held[0] = False
        bodies = ndimage.binary_dilation(held[labels], np.ones((3, 3), dtype=bool), self.margin)
        return np.asarray(self.used & ~bodies)

    def level(self) -> None:
        """Take what was found to be left of the ground off the pixels."""
        for values in (self.signal, self.smooth):
            off_ground(values, self.levels, out=values)
            if self.mask is not None:
                values[~self.mask] = 0.0
        self.maxima = _cell_maxima(self.smooth)

    def level_broad(self, widest_px: float) -> None:
        """Take off what is broader than any body, which else would hide those on it."""
        side = 2 * int(np.ceil(0.5 * widest_px / _CELL)) + 1
        broad = find_broad(self.means, self.raw, self.used, (side, self.margin + 2),
                           self._deviation(self.means[self.ground]))
        if broad is None:
            return
        self.broad = broad.found
        # Finer than cells the course of a steep edge is not known.
        ground = self.raw - self.means + broad.levels
        self.steep = _STEEP * (ndimage.maximum_filter(ground, 3)
                               - ndimage.minimum_filter(ground, 3))
        self.means -= broad.levels
        levels = broad.levels.astype(float)
        for values in (self.signal, self.smooth):
            off_ground(values, levels, out=values)
            if self.mask is not None:
                values[~self.mask] = 0.0
        self.maxima = _cell_maxima(self.smooth)
        self.pixels = (self.signal[::_CELL, ::_CELL], self.smooth[::_CELL, ::_CELL].copy())
        bodies = ndimage.binary_dilation(broad.bodies, np.ones((3, 3), dtype=bool), self.margin)
        self.ground = (self.ground | ndimage.maximum_filter(broad.found, side)) & ~bodies & self.used

    def level_err(self, widest_px: float) -> NDArray[np.float32]:
        """How far the ground is from its level beside the bodies around each cell, 1 sigma."""
        left = local_mean(self._level_cells, self.ground, _BESIDE * widest_px / _CELL)
        around = ndimage.gaussian_filter(left**2, 2 * _BESIDE * widest_px / _CELL, mode="nearest")
        return np.asarray(np.sqrt(around), dtype=np.float32)

    def outline(
        self, height: NDArray[np.float32], widths_px: tuple[float, float]
    ) -> tuple[NDArray[np.bool_], NDArray[np.int32]]:
        """Pixels above half the height, and part of what is highest around, of one that has it.

        As a mask and as runs.
        """
        from emtools.measure.chains import _segment_kernels as kernels

        outline = np.zeros(self.signal.shape, dtype=bool)
        reach = max(1, round(0.75 * widths_px[0]))
        around = ndimage.maximum_filter(self.maxima, 2 * int(np.ceil(reach / _CELL)) + 1)
        how = (_CELL, reach, _LOCAL_HALF)
        in_spans(lambda rows: kernels.outline_rows(rows, self.smooth, 0.5 * height, self.maxima,
                                                   around, how, outline),
                 (0, len(self.maxima)), self.smooth.size)
        runs = kernels.find_runs(outline)
        labels, n = kernels.label_runs(runs)
        over = kernels.highest_over(self.smooth, height, _CELL, runs, labels, n)
        kept = over[labels - 1] > 1.0
        kernels.draw_runs(runs, kept, outline)
        return outline, runs[kept]


def _cell_means(
    values: NDArray[np.float32], mask: NDArray[np.bool_] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Means of cells over the pixels in use, and the part of each that is."""
    from emtools.measure.chains._segment_kernels import cell_means

    shape = tuple(-(-n // _CELL) for n in values.shape)
    means, used = (np.empty(shape, dtype=np.float32) for _ in range(2))
    pixels = np.zeros((0, 0), dtype=bool) if mask is None else mask
    in_spans(lambda rows: cell_means(rows, values, pixels, _CELL, means, used),
             (0, shape[0]), values.size)
    return means, used


def _cell_maxima(values: NDArray[np.float32]) -> NDArray[np.float32]:
    from emtools.measure.chains._segment_kernels import cell_maxima

    maxima = np.empty(tuple(-(-n // _CELL) for n in values.shape), dtype=np.float32)
    in_spans(lambda rows: cell_maxima(rows, values, _CELL, maxima), (0, len(maxima)), values.size)
    return maxima


def _filled(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Levels where unknown ones are those of their neighbourhood."""
    known = np.isfinite(levels)
    if known.all():
        return levels
    if not known.any():
        return np.zeros_like(levels)
    reach = 0.5
    filled = levels.copy()
    while not np.isfinite(filled).all():
        weight = ndimage.gaussian_filter(known.astype(float), reach, mode="nearest")
        spread = ndimage.gaussian_filter(np.where(known, levels, 0.0), reach, mode="nearest")
        near = ~np.isfinite(filled) & (weight > 1e-6)
        filled[near] = spread[near] / weight[near]
        reach *= 2.0
    return filled


def _robust_level(values: NDArray[np.float32], least: float) -> float:
    """Level of the ground among values of which some are bodies, all higher.

    Its spread is that of what lies below it, where no bodies are; what is further above than
    `_CLIP` times that is left out of the next level.
    """
    ordered = np.sort(values)
    level = float(ordered[_of_ground(ordered, least) // 2])
    for _ in range(20):
        below = int(np.searchsorted(ordered, level))
        if below < 2:
            break
        spread = 1.4826 * (level - float(ordered[below // 2]))
        end = int(np.searchsorted(ordered, level + _CLIP * spread, side="right"))
        renewed = float(ordered[end // 2])
        if renewed >= level:
            break
        level = renewed
    return level


def _of_ground(ordered: NDArray[np.float32], least: float) -> int:
    """How many of the lowest values are ground, where bodies may be more than half of all.

    Of noise the quarter below the middle is 1.4 times as wide as that below the quarter, and so on
    less; where it is much wider it reaches into bodies, and only what is lower is ground.  What is
    narrower than `least` does not count.
    """
    n = found = len(ordered)
    fewest = max(_FEWEST, len(ordered) // _DENSEST)
    while n >= fewest:
        wide, narrow = (float(ordered[m // 2] - ordered[m // 4]) for m in (n, n // 2))
        n //= 2
        if wide > max(least, _UNLIKE_NOISE * narrow):
            found = n
    return found


def _some(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """As many of the values as tell their noise."""
    return sample[:: max(1, sample.size // _SAMPLE)]


def _deviation(ordered: NDArray[np.float32], n: int) -> float:
    """Standard deviation of the lowest `n`: from the quartiles of the half where no bodies are."""
    return float(1.4826 * (ordered[n // 2] - ordered[n // 4])) if n > 1 else 0.0


def _trimmed_deviation(ordered: NDArray[np.float32]) -> float:
    """Standard deviation, from all but a hundredth at either end."""
    cut = len(ordered) // 100
    return float(np.std(ordered[cut:len(ordered) - cut], dtype=float)) / (_TRIMMED if cut else 1.0)
