"""Where fringes are seen first: peaks of windowed transforms, from a few nanometres to the frame.

A window that fits the crystal sees it best: a single transform of the frame finds large crystals
at the lowest dose, small windows find dots and tell where they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft

from emtools.measure.lattice.spectrum import (
    cells,
    find_peaks,
    find_peaks_in_windows,
    hann_weight,
    noise_floor,
    transform,
    window,
)
from emtools.process.threads import in_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from emtools.measure.lattice.spectrum import Cells, NoiseFloor, Peak
    from emtools.model import Calibration

_SMALLEST_PX = 48
_RIVAL = 0.02  # of a peak's power: what beats with it
_RATIO = 3.0  # from one size of windows to the next
_FEWEST = 2.2  # how many times larger the frame has to be than a window


@dataclass(frozen=True)
class Seed:
    """A peak of one window.

    Parameters
    ----------
    peak
        The peak.
    centre
        ``(y, x)`` of the window in pixels.
    side
        ``(y, x)`` sides of the window in pixels.
    apart
        Distance to the nearest other clear peak of the window, in cycles per pixel.
    """

    peak: Peak
    centre: NDArray[np.float64]
    side: NDArray[np.float64]
    apart: float


def _seeds(
    peaks: list[Peak], centre: NDArray[np.float64], side: NDArray[np.float64]
) -> Iterator[Seed]:
    """Seeds of one window."""
    f = np.array([peak.frequency for peak in peaks]).reshape(-1, 2)
    excess = np.array([peak.excess for peak in peaks])
    for n, peak in enumerate(peaks):
        away = np.minimum(np.hypot(*(f - f[n]).T), np.hypot(*(f + f[n]).T))
        rival = (excess > _RIVAL * peak.excess) & (np.arange(len(peaks)) != n)
        yield Seed(peak, centre, side, float(away[rival].min(initial=np.inf)))


@dataclass(frozen=True)
class Search:
    """What is sought in a plane, and in what noise.

    Parameters
    ----------
    calibration
        Of the plane.
    d_range
        Smallest and largest spacing sought, in the calibration's unit.
    rate
        Accepted probability that an image of noise shows any reflection.
    floor
        Smooth noise of the plane.
    frame
        Shape of the plane.
    sides
        Of the windows, in pixels.
    """

    calibration: Calibration
    d_range: tuple[float, float]
    rate: float
    floor: NoiseFloor
    frame: tuple[int, int]
    sides: tuple[int, ...] = ()

    def cells(self, shape: tuple[int, int], whole: bool = True) -> Cells:
        """Lay out the cells of a transform of this shape."""
        return cells(shape, self.calibration, self.d_range, self.floor, whole)

    @cached_property
    def clear_snr(self) -> float:
        """Amplitude over noise that none of all the cells searched reaches by chance.

        Noise beside the fringes, in the crystal itself, can be stronger than that of a window.
        """
        # Windows that overlap by half have four times the cells of the frame together.
        trials = self.cells(self.frame).searched * (1 + 4 * len(self.sides))
        return float(np.sqrt(2.0 * np.log(max(trials, 1) / self.rate)))

    def seeds(
        self, values: NDArray[np.float32], half: NDArray[np.complex64] | None = None
    ) -> list[Seed]:
        """Return the peaks of the frame (whose transform may be known) and of its windows."""
        share = self.rate / (1 + len(self.sides))
        middle = (np.array(self.frame) - 1) / 2
        peaks = find_peaks(transform(values) if half is None else half, self.cells(self.frame),
                           hann_weight(self.frame), share)
        found = list(_seeds(peaks, middle, np.array(self.frame, dtype=float)))
        for side in self.sides:
            found += _in_windows(values, self, side, share)
        # Of two windows that see a crystal about as well the larger one tells its neighbours apart.
        return sorted(found, key=lambda seed: -seed.peak.excess * float(seed.side.min()))


def find_seeds(
    values: NDArray[np.float32], calibration: Calibration, d_range: tuple[float, float],
    rate: float, smallest: float | None, everywhere: bool = True,
) -> tuple[list[Seed], Search]:
    """Find peaks in the transform of the whole frame and in those of windows.

    Parameters
    ----------
    values
        ``(y, x)``, flat.
    calibration
        Of the plane.
    d_range
        Smallest and largest spacing sought.
    rate
        Accepted probability that an image of noise shows any peak.
    smallest
        Side of the smallest windows in the calibration's unit; None: only the frame.
    everywhere
        Whether to look for peaks at all: given regions need only the noise.

    Returns
    -------
    list of Seed
        The clearest first.
    Search
        The same search, for windows inside domains and for what is left.
    """
    shape = (values.shape[0], values.shape[1])
    half = transform(values)
    floor = noise_floor(half, shape, hann_weight(shape))
    sides = () if smallest is None else _window_sides(shape, smallest / calibration.pixel_size)
    search = Search(calibration, d_range, rate, floor, shape, sides)
    return search.seeds(values, half) if everywhere else [], search


def _window_sides(shape: tuple[int, int], smallest: float) -> tuple[int, ...]:
    side = max(smallest, _SMALLEST_PX)
    sides = []
    while side * _FEWEST < max(shape) and side <= min(shape):
        sides.append(fft.next_fast_len(round(side), real=True))
        side *= _RATIO
    return tuple(side for side in sides if side <= min(shape))


def _in_windows(
    values: NDArray[np.float32], search: Search, side: int, rate: float
) -> list[Seed]:
    """Peaks of Hann windows that overlap by half."""
    tops, lefts = (_starts(n, side) for n in values.shape)
    where = search.cells((side, side), whole=False)
    if where.searched == 0:
        return []
    hann = np.outer(window(side), window(side))
    weight = hann_weight((side, side))
    n_windows = len(tops) * len(lefts)

    def row_of_windows(top: int) -> list[Seed]:
        tiles = np.stack([values[top:top + side, left:left + side] for left in lefts]) * hann
        halves = fft.rfft2(tiles, overwrite_x=True)
        found = find_peaks_in_windows(halves, where, weight, rate, n_windows)
        return [seed for left, peaks in zip(lefts, found, strict=True) for seed in
                _seeds(peaks, np.array([top, left]) + (side - 1) / 2, np.full(2, float(side)))]

    return [seed for row in in_threads(row_of_windows, tops) for seed in row]


def _starts(n: int, side: int) -> list[int]:
    """First pixels of windows that overlap by about half and fill the frame evenly."""
    count = max(1, int(np.ceil((n - side) / (side / 2)))) + 1 if n > side else 1
    return [round(start) for start in np.linspace(0, n - side, count).tolist()]
