"""Windowed transforms, their noise, and the peaks that stand out of it.

The periodogram of noise is exponentially distributed about the noise spectrum.  That spectrum is
estimated twice: smoothly over the whole plane (`NoiseFloor`: sectors of rings, which follow films,
Thon rings, astigmatic or not, and the detector), and then, in each single transform, by the cells
around each cell (`Cells`: pieces of rings; runs along the two axes, where edges and scan lines
leave a cross).  A peak is judged by its neighbours, whose number is known: with n of them an
exponential exceeds u times their mean with the probability (1 + u / n)^-n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft, ndimage

from emtools.process.threads import in_spans, threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.model import Calibration

_SECTORS = 6  # in half a turn: Thon rings may be astigmatic
_RING_CELLS = 8  # with the sectors: enough cells for a quantile that no spot can lift
_ASTIGMATIC = 4.0  # how far a film may rise in one sector above the others of its ring
_QUANTILE = 0.4  # of the cells of a sector: what spots do not reach
_INNER_RINGS = 4  # too short to be cut into sectors
_RADIUS = 0.7072  # cycles per pixel in the corners
_FINER = 4  # rings inside a ring
_RINGS_TOGETHER = 25  # over which it is judged whether narrow rings differ by more than chance
_HANN = 2.25  # neighbouring cells of a Hann window that are worth one
_BINS = 16  # for each e-fold of power
_SAMPLED = 400_000  # cells that are enough for a floor

_CLASS_CELLS = (200, 2000)  # neighbours that a cell is judged by, in small and large transforms
_RING_WIDTH = (3, 16)
_AXIS_LINES = 3  # beside an axis, each judged by itself
_AXIS_RUN = 64
_MOST_SECTORS = 64
# Cells of a Hann window's noise that are worth one: found from the false alarms of white noise in
# transforms of 64 ... 400 cells along a side (with more classes, the scatter of the
# smooth floor inside of them counts more).
_CORRELATED = (2.4, 3.6, 4.4)
_CORRELATED_SIDES = (100, 250, 450)
_INDEPENDENT = 0.9  # of the maxima of correlated cells
_NEAREST = 4.0  # cells from the centre, where the ground ends
_STREAK = (4, 18)  # cells on both sides of a peak, beyond its own main lobe
_SMALL = 40_000  # cells: a small transform
_RING_NEAR = 1.6  # cells
_STEEP = 1.5  # times its class: more than chance
_UNSURE = 1.25  # a narrow ring tells its level less well
_MERGED = 3  # cells: peaks closer than this belong to the same spot (Hann main lobe, and one)


def window(n: int) -> NDArray[np.float32]:
    """Hann window over `n` pixels, centred on the middle of the frame."""
    position = (np.arange(n) + 0.5) / n
    return (np.sin(np.pi * position) ** 2).astype(np.float32)


def transform(values: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Return the half transform of a Hann-windowed plane, as `scipy.fft.rfft2` orders it."""
    from emtools.process._kernels import windowed_rows

    along_y, along_x = (window(n) for n in values.shape)
    windowed = np.empty(values.shape, dtype=np.float32)
    in_spans(lambda rows: windowed_rows(rows, values, along_y, along_x, windowed),
             (0, len(values)), values.size)
    return np.asarray(fft.rfft2(windowed, workers=threads(), overwrite_x=True))


def hann_weight(shape: tuple[int, int]) -> float:
    """Sum of the squares of the window."""
    return float(np.sum(window(shape[0]) ** 2) * np.sum(window(shape[1]) ** 2))


@dataclass(frozen=True)
class NoiseFloor:
    """Smooth spectral density of a plane's noise.

    Parameters
    ----------
    table
        ``(rings, sectors)`` float32: logarithm of the density (variance per pixel of white noise
        of that power); rings from 0 to 0.7072 cycles per pixel, sectors over half a turn.
    """

    table: NDArray[np.float32]


@dataclass(frozen=True)
class Cells:
    """Where in a transform reflections are sought, and by which neighbours each cell is judged.

    Parameters
    ----------
    shape
        Of the transformed plane.
    classes
        ``(ny, nx // 2 + 1)`` int32: cells that are judged together; -1 = not searched.
    floor
        Same shape, float32: density of the noise that the floor expects.
    independent
        For each class, how many independent cells tell its level.
    limits
        Highest row searched on both sides of row 0, columns searched, and how many cells there are
        to each that is looked at for the levels.
    searched
        Number of cells searched.
    """

    shape: tuple[int, int]
    classes: NDArray[np.int32]
    floor: NDArray[np.float32]
    independent: NDArray[np.float64]
    limits: tuple[int, int, int]
    searched: int

    @property
    def filled(self) -> tuple[int, int]:
        """Highest row and columns that streaks beside the searched cells are looked for in."""
        reach, n_cols, _ = self.limits
        return (min(reach + _STREAK[1], (self.shape[0] - 1) // 2),
                min(n_cols + _STREAK[1], self.classes.shape[1]))

    def thresholds(self, probability: float) -> NDArray[np.float64]:
        """Return how far above its level noise rises in one cell with this probability."""
        n = self.independent
        return np.asarray(n * np.expm1(-np.log(probability) / n))

    def single(self, rate: float, n_transforms: int) -> float:
        """Return the probability for one cell that makes `rate` for so many transforms."""
        return float(-np.expm1(np.log1p(-rate)
                               / max(_INDEPENDENT * self.searched * n_transforms, 1.0)))

    def p_value(self, excess: float, kind: int, n_transforms: int) -> float:
        """Return the probability of such a peak anywhere in so many transforms of noise."""
        n = self.independent[kind]
        single = np.exp(-n * np.log1p(excess / n))
        return float(-np.expm1(_INDEPENDENT * self.searched * n_transforms * np.log1p(-single)))


@dataclass(frozen=True)
class Peak:
    """A cell whose power is more than noise can explain.

    Parameters
    ----------
    frequency
        ``(y, x)`` in cycles per pixel, interpolated between cells.
    excess
        Power over the noise.
    noise
        Density of the noise there (variance per pixel).
    p_value
        Probability of such a peak anywhere in an image of noise.
    """

    frequency: NDArray[np.float64]
    excess: float
    noise: float
    p_value: float


def noise_floor(
    half: NDArray[np.complex64], shape: tuple[int, int], weight: float
) -> NoiseFloor:
    """Estimate the smooth floor of a transformed plane.

    Parameters
    ----------
    half
        Half transform of the windowed plane.
    shape
        Of the plane.
    weight
        Sum of the squares of the window.
    """
    n_rings = int(np.clip(min(shape) // (2 * _RING_CELLS) * (2 * _RADIUS), 8, 360))
    stride = max(1, round(np.sqrt(half.size / _SAMPLED)))
    rows, cols = np.arange(1, shape[0], stride), np.arange(1, half.shape[1], stride)
    # Streaks lie on the axes, read-out patterns at the Nyquist frequency.
    rows, cols = rows[rows != shape[0] // 2], cols[cols != shape[1] / 2]
    sample = half[np.ix_(rows, cols)]
    power = sample.real**2 + sample.imag**2
    fy = (fft.fftfreq(shape[0])[rows])[:, None].astype(np.float32)
    fx = (cols / shape[1]).astype(np.float32)
    ring = np.minimum(np.hypot(fy, fx) * np.float32(n_rings / _RADIUS), n_rings - 1).astype(int)
    sector = ((np.arctan2(fy, fx) / np.float32(np.pi) + np.float32(0.5)) * _SECTORS).astype(int)
    sector = np.where(ring < _INNER_RINGS, 0, np.minimum(sector, _SECTORS - 1))
    levels = _quantiles(power.ravel(), (ring * _SECTORS + sector).ravel(), n_rings * _SECTORS)
    floors = levels.reshape(n_rings, _SECTORS)
    floors[:_INNER_RINGS] = floors[:_INNER_RINGS, :1]
    # Crystals that are turned a little against each other fill a sector, never the whole ring.
    np.minimum(floors, _ASTIGMATIC * np.median(floors, axis=1, keepdims=True), out=floors,
               where=(floors > 0).all(axis=1, keepdims=True))
    _fill_empty(floors)
    fine = (np.hypot(fy, fx) * np.float32(n_rings * _FINER / _RADIUS)).astype(int)
    fine = np.minimum(fine, n_rings * _FINER - 1)
    table = _with_rings(np.log(floors / weight), power.ravel() / weight, fine.ravel())
    return NoiseFloor(table.astype(np.float32))


def _with_rings(
    table: NDArray[np.float64], power: NDArray[np.float32], fine: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Refine a floor by what rings narrower than its own show (Thon rings), as far as they do.

    The departure of each narrow ring is taken over to the part that its noise cannot explain.
    """
    n_fine = len(table) * _FINER
    levels, counts = _quantiles(power, fine, n_fine), np.bincount(fine, minlength=n_fine)
    place = (np.arange(n_fine) + 0.5) / _FINER - 0.5
    smooth = np.stack([np.interp(place, np.arange(len(table)), column) for column in table.T], 1)
    known = (levels > 0) & (counts > _FINER)
    departure = np.where(known, np.log(np.maximum(levels, 1e-300)) - smooth.mean(axis=1), 0.0)
    chance = _QUANTILE / (1 - _QUANTILE) / np.log1p(-_QUANTILE) ** 2 * _HANN / np.maximum(counts, 1)
    chance, square = (ndimage.uniform_filter1d(np.where(known, values, 0.0), _RINGS_TOGETHER)
                      for values in (2 * chance, departure**2))
    real = np.clip(1.0 - chance / np.maximum(square, 1e-12), 0.0, 1.0)
    return np.asarray(smooth + (real * departure)[:, None], dtype=np.float64)


def _quantiles(
    power: NDArray[np.float32], label: NDArray[np.int64], n: int
) -> NDArray[np.float64]:
    """Noise of each of `n` labels, 0 where there is no cell."""
    logs = np.log(np.maximum(power, np.finfo(np.float32).tiny))
    lowest = float(logs.min())
    place = ((logs - lowest) * _BINS).astype(np.int64)
    n_bins = int(place.max()) + 1
    histogram = np.bincount(label * n_bins + place, minlength=n * n_bins).reshape(n, n_bins)
    below = np.cumsum(histogram, axis=1)
    wanted = _QUANTILE * below[:, -1]
    found = (below < wanted[:, None]).sum(axis=1).clip(0, n_bins - 1)
    rows = np.arange(n)
    within = below[rows, found] - wanted
    part = 1.0 - within / np.maximum(histogram[rows, found], 1)
    # The quantile of an exponential distribution of mean 1.
    levels = np.exp(lowest + (found + part) / _BINS) / -np.log1p(-_QUANTILE)
    return np.where(below[:, -1] > 0, levels, 0.0)


def _fill_empty(floors: NDArray[np.float64]) -> None:
    """Fill sectors without cells (the corners, the centre) from the ring inside or outside."""
    for rings in (range(1, len(floors)), range(len(floors) - 2, -1, -1)):
        step = rings.step
        for ring in rings:
            empty = floors[ring] == 0
            floors[ring, empty] = floors[ring - step, empty]
    positive = floors[floors > 0]
    floors[floors == 0] = positive.min() if positive.size else 1.0


def cells(
    shape: tuple[int, int], calibration: Calibration, d_range: tuple[float, float],
    floor: NoiseFloor, whole: bool = True,
) -> Cells:
    """Lay out the cells of a transform.

    Parameters
    ----------
    shape
        Of the transformed plane.
    calibration
        Of its pixels.
    d_range
        Smallest and largest spacing sought, in the calibration's unit.
    floor
        The plane's smooth noise.
    whole
        Whether the transform is that of a whole frame.  In a window noise may be uneven: film that
        jumps with the scan lines has heavier tails there.
    """
    from emtools.measure.lattice._kernels import fill_cells

    half = (shape[0], shape[1] // 2 + 1)
    size = half[0] * half[1]
    share = float(np.clip(size / 330, *_CLASS_CELLS))
    width = float(np.clip(round(np.sqrt(share / 8)), *_RING_WIDTH))
    run = float(np.clip(min(shape) // 4, 12, _AXIS_RUN))
    lines = _AXIS_LINES if min(shape) > 64 else 2
    n_runs = int(max(shape) / run) + 2
    first_ring = 2 * n_runs * (lines + 1)
    layout = np.array([width, share, lines, run, first_ring, _MOST_SECTORS])
    nearest = _NEAREST / (min(shape) * calibration.pixel_size)
    highest = 1.0 / d_range[0]
    where = (np.linalg.inv(calibration.matrix), max(1.0 / d_range[1], nearest), highest)
    # f = k @ matrix: how far a circle of wave vectors reaches along rows and columns.
    spans = highest * np.hypot(*calibration.matrix) * np.array(shape)
    reach = min(int(spans[0]) + 1, (shape[0] - 1) // 2)
    n_cols = min(int(spans[1]) + 2, half[1])
    classes = np.full(half, -1, dtype=np.int32)
    expected = np.full(half, np.inf, dtype=np.float32)
    n_classes = first_ring + (int(max(shape) / width) + int(share) + 4) * _MOST_SECTORS

    def fill(rows: tuple[int, int]) -> NDArray[np.int64]:
        counts = np.zeros(n_classes, dtype=np.int64)
        fill_cells(rows, shape, min(n_cols + _STREAK[1], half[1]), where, layout, floor.table,
                   (classes, expected, counts))
        return counts

    beyond = min(reach + _STREAK[1], (shape[0] - 1) // 2)
    counts = np.sum(in_spans(fill, (-beyond, beyond + 1), size), axis=0)
    every = max(1, size // _SAMPLED)
    counts = counts[: int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else 1]
    side = min(shape) if whole else _CORRELATED_SIDES[-1]
    correlated = float(np.interp(side, _CORRELATED_SIDES, _CORRELATED))
    independent = np.maximum(np.minimum(counts / correlated, 0.85 * counts / every), 1.0)
    return Cells(shape, classes, expected, independent, (reach, n_cols, every), int(counts.sum()))


def find_peaks(
    half: NDArray[np.complex64], where: Cells, weight: float, rate: float, n_transforms: int = 1,
) -> list[Peak]:
    """Find the cells that noise explains with less than the false-alarm rate.

    Parameters
    ----------
    half
        Half transform of a windowed plane.
    where
        Its cells.
    weight
        Sum of the squares of the window.
    rate
        Accepted probability that `n_transforms` transforms of pure noise show any peak.
    n_transforms
        How many transforms are searched.

    Returns
    -------
    list of Peak
        One for each spot of the half plane, strongest first.
    """
    from emtools.measure.lattice._kernels import class_levels, over_floor, stand_out

    ratio = np.zeros(half.shape, dtype=np.float32)
    beyond, n_filled = where.filled
    in_spans(lambda rows: over_floor(rows, half, where.floor, n_filled, weight, ratio),
             (-beyond, beyond + 1), half.size)
    levels = np.empty(len(where.independent))
    class_levels(ratio, where.classes, where.limits, levels)
    single = where.single(rate, n_transforms)
    found = stand_out(ratio, where.classes, where.limits, levels, where.thresholds(single),
                      where.shape[1], _STREAK)
    return _peaks(ratio, found, where, single, n_transforms)


def find_peaks_in_windows(
    halves: NDArray[np.complex64], where: Cells, weight: float, rate: float, n_windows: int
) -> list[list[Peak]]:
    """Find the peaks of each of a row of windows; see `find_peaks`."""
    from emtools.measure.lattice._kernels import search_windows

    single = where.single(rate, n_windows)
    ratios, found = search_windows(halves, (where.classes, where.floor),
                                   (where.limits, where.filled), where.thresholds(single), weight,
                                   where.shape[1], _STREAK)
    return [_peaks(ratio, cells, where, single, n_windows) if cells else []
            for ratio, cells in zip(ratios, found, strict=True)]


def _peaks(
    ratio: NDArray[np.float32], found: list[tuple[int, int, float]], where: Cells, single: float,
    n_transforms: int,
) -> list[Peak]:
    """Turn cells that stand out into peaks, the strongest first, one for each spot."""
    if ratio.size < _SMALL:
        found = [(row, col, judged) for row, col, excess in found
                 if (judged := _on_its_ring(ratio, where, row, col, excess)) > -np.log(single)]
    peaks: list[Peak] = []
    taken: list[NDArray[np.int64]] = []
    for row, col, excess in sorted(found, key=lambda one: -one[2]):
        cell = np.array([row if row <= where.shape[0] // 2 else row - where.shape[0], col])
        if any(bool(np.abs(cell - other).max() <= _MERGED) for other in taken):
            continue
        taken += [cell, -cell]
        kind = int(where.classes[row, col])
        frequency = (cell + _between(ratio, where.shape, row, col)) / np.array(where.shape)
        noise = float(where.floor[row, col]) * float(ratio[row, col]) / excess
        peaks.append(Peak(frequency, float(excess), noise,
                          where.p_value(excess, kind, n_transforms)))
    return peaks


def _on_its_ring(
    ratio: NDArray[np.float32], where: Cells, row: int, col: int, excess: float
) -> float:
    """Excess of a peak over cells equally far from the centre, where those are above its class.

    In a small transform a class is wide: where the noise falls steeply, its inner cells stand out.
    """
    radius = np.hypot(fft.fftfreq(where.shape[0], 1 / where.shape[0])[:, None],
                      np.arange(ratio.shape[1]))
    near = (np.abs(radius - radius[row, col]) < _RING_NEAR) & (where.classes >= 0)
    level = float(np.quantile(ratio[near], 0.5)) / np.log(2.0)
    own = float(ratio[row, col]) / excess
    return excess if level < _STEEP * own else float(ratio[row, col]) / (_UNSURE * level)


def _between(
    ratio: NDArray[np.float32], shape: tuple[int, int], row: int, col: int
) -> NDArray[np.float64]:
    """How far from the middle of its cell a peak is: a parabola through the logarithms."""
    from emtools.measure.lattice._kernels import power_at

    offset = np.zeros(2)
    for axis, (dy, dx) in enumerate(((1, 0), (0, 1))):
        low, here, high = (
            float(np.log(max(power_at(ratio, shape[1], row + n * dy, col + n * dx), 1e-30)))
            for n in (-1, 0, 1))
        curvature = low - 2 * here + high
        if curvature < 0:
            offset[axis] = np.clip(0.5 * (low - high) / curvature, -0.5, 0.5)
    return offset
