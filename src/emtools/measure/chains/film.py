"""The film that bodies lie on: its level and noise, beside what stands out of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from emtools.measure.chains.broad import find_broad, local_mean, pooled
from emtools.measure.chains.cells import CELL, cell_maxima, cell_means, smoothed
from emtools.process.levels import (
    deviation,
    filled,
    lowest_ground,
    robust_level,
    some,
    trimmed_deviation,
)
from emtools.process.plane import off_ground
from emtools.process.threads import in_spans

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from emtools.process.plane import Plane

TOO_WIDE = 1.3  # of the largest width sought: contamination, and edges of the film
_GROUND_WIDTHS = 4.0  # side of a background block in largest widths
_BESIDE = 0.3  # of the largest width: 1 sigma of the surrounding that tells a body's ground
_STEEP = 0.5  # of the rise across three cells: what may stand out of a steep ground by mistake
_LEAST_GROUND = 0.05  # of a block: with less of it in sight its level is its neighbours'
_QUIETEST = 0.3  # of the plane's noise: rounding may look quieter
_NOTHING = 1e-30  # variance of a plane without noise and without contrast
_ENOUGH = 200  # independent values that tell the noise of one block
_CROWDED = 3.0  # sigma: points that are higher are bodies', where no cell is free of them
_CONTRAST = 0.01  # of the range: what is less is no body's
_ROUNDING = 3e-4  # of the range: no micrograph is better than that
_LOCAL_HALF = 0.4  # of the local height: where a body's edge is drawn for a first guess


@dataclass(frozen=True)
class Noise:
    """1 sigma of a pixel and of the smoothed signal."""

    pixel: float
    smooth: float


class Film:
    """Signal and smoothed signal of a plane; the cells in which ground and bodies are told apart.

    While the ground is sought only the cells are kept level: their mean, their highest smoothed
    pixel, and one pixel of each that tells the noise.
    """

    def __init__(self, plane: Plane, sign: float, widths_px: tuple[float, float]) -> None:
        self.mask = plane.mask
        self.sigma = max(0.7, 0.2 * widths_px[0])
        self.margin = int(np.ceil((2.0 + 0.5 * widths_px[0]) / CELL))
        means, used = cell_means(plane.values, plane.mask)
        self.used = used > 0.5 if (used > 0.5).any() else used > 0
        self.ground = self.used
        self.crowded = False
        self.broad = np.zeros_like(self.used)
        self.steep = np.zeros_like(means)
        self.blocks = tuple(
            np.linspace(0, n, max(2, round(n * CELL / (_GROUND_WIDTHS * widths_px[1]))) + 1
                        ).astype(int) for n in means.shape)
        # About 1, by a power of two that takes no bits: squares of others may leave float32.
        largest = float(np.abs(means[self.used]).max(initial=0.0))
        scale = float(np.ldexp(1.0, -int(np.frexp(largest)[1])))
        flat = np.full(self._n_blocks, float(np.median(means[self.used])))
        self.signal = off_ground(plane.values, flat, scale=sign * scale)
        if self.mask is not None:
            self.signal[~self.mask] = 0.0
        self.smooth = smoothed(self.signal, self.sigma)
        # Points, not means: where bodies are dense no cell is free of them, but some points are.
        points = self.smooth[::CELL, ::CELL]
        self.range = float(np.ptp(points[self.used]))
        self._take_off(filled(self._of_blocks(points, lambda v: robust_level(v, self.least))))
        self.levels = np.zeros(self._n_blocks)
        self.means, _ = cell_means(self.signal, self.mask)
        self.raw = np.float32(sign * scale) * means
        self.counts = 1.0 / scale
        self.maxima = cell_maxima(self.smooth)
        self.pixels = (self.signal[::CELL, ::CELL], self.smooth[::CELL, ::CELL].copy())

    @property
    def independent_px(self) -> float:
        """Pixels of the smoothed signal that count as one."""
        return float(4.0 * np.pi * self.sigma**2)

    @property
    def least(self) -> float:
        """What no body's contrast is less than."""
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

    def noise(self) -> Noise:
        """Noise of the ground, from what lies below its middle: bodies do not reach there."""
        quietest = _ROUNDING * self.range
        raw, even = (np.sort(some(points[self.ground])) for points in self.pixels)
        n = lowest_ground(even, self.least)
        smooth = max(deviation(even, n), quietest)
        # Counts of few electrons come in steps: their quartiles say little.
        pixel = max(trimmed_deviation(raw) if n == len(raw) else deviation(raw, n), quietest)
        return Noise(pixel, smooth)

    def _deviation(self, sample: NDArray[np.float32]) -> float:
        ordered = np.sort(some(sample))
        return deviation(ordered, lowest_ground(ordered, self.least))

    def local_noise(self, smooth: float) -> NDArray[np.float32]:
        """Noise of the smoothed signal at each cell; the plane's where a block tells too little."""
        independent = min(1.0, CELL**2 / self.independent_px)
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
        least = _LEAST_GROUND * float(self.used.sum())
        while ground.sum() < least and 0 < height < highest:
            # The ground may still be so uneven that all of it is above that height.
            height *= 2.0
            ground = self._beside_bodies(height)
        self.crowded = bool(ground.sum() < least or not self._free_of_bodies(ground))
        if self.crowded:
            ground = self.used & (self.pixels[1] < _CROWDED * self.noise().smooth)
        if (ground == self.ground).all() or not ground.any():
            return False
        self.ground = ground
        levels = filled(self._of_blocks(self._level_cells, lambda ground: float(ground.mean())))
        self.levels += levels
        for cells in (self.means, self.maxima, self.pixels[1]):
            off_ground(cells, levels, out=cells)
        return True

    @property
    def _level_cells(self) -> NDArray[np.float32]:
        """What tells the level of the ground: where bodies are dense, no cell is free of them."""
        return self.pixels[1] if self.crowded else self.means

    def _free_of_bodies(self, cells: NDArray[np.bool_]) -> bool:
        ordered = np.sort(some(self.pixels[1][cells]))
        return lowest_ground(ordered, self.least) == len(ordered)

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
        self._take_off(self.levels)

    def _take_off(self, levels: NDArray[np.float64]) -> None:
        for values in (self.signal, self.smooth):
            off_ground(values, levels, out=values)
            if self.mask is not None:
                values[~self.mask] = 0.0

    def level_broad(self, widest_px: float) -> None:
        """Take off what is broader than any body, which else would hide those on it."""
        side = 2 * int(np.ceil(0.5 * widest_px / CELL)) + 1
        broad = find_broad(self.means, self.raw, self.used, (side, self.margin + 2),
                           self._deviation(self.means[self.ground]))
        if broad is None:
            return
        self.broad = broad.found
        # Finer than cells the course of a steep edge is not known.
        surface = self.raw - self.means + broad.levels
        self.steep = np.float32(_STEEP) * (ndimage.maximum_filter(surface, 3)
                                           - ndimage.minimum_filter(surface, 3))
        self.means -= broad.levels
        self._take_off(broad.levels.astype(float))
        self.pixels = (self.signal[::CELL, ::CELL], self.smooth[::CELL, ::CELL].copy())
        bodies = ndimage.binary_dilation(broad.bodies, np.ones((3, 3), dtype=bool), self.margin)
        ground = self.ground | ndimage.maximum_filter(broad.found, side)
        self.ground = ground & ~bodies & self.used

    def level_err(self, widest_px: float) -> NDArray[np.float32]:
        """How far the ground is from its level beside the bodies, 1 sigma, for pairs of cells."""
        sigma = 0.5 * _BESIDE * widest_px / CELL  # pairs of cells are fine enough
        left = local_mean(*pooled(self._level_cells, self.ground), sigma)
        around = ndimage.gaussian_filter(left**2, 2 * sigma, mode="nearest")
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
        maxima = cell_maxima(self.smooth)
        around = ndimage.maximum_filter(maxima, 2 * int(np.ceil(reach / CELL)) + 1)
        how = (CELL, reach, _LOCAL_HALF)
        in_spans(lambda rows: kernels.outline_rows(rows, self.smooth, 0.5 * height, maxima,
                                                   around, how, outline),
                 (0, len(maxima)), self.smooth.size)
        runs = kernels.find_runs(outline)
        labels, n = kernels.label_runs(runs)
        over = kernels.highest_over(self.smooth, height, CELL, runs, labels, n)
        kept = over[labels - 1] > 1.0
        kernels.draw_runs(runs, kept, outline)
        return outline, runs[kept]
