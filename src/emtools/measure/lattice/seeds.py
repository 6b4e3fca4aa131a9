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

from emtools.measure.lattice.cells import lay_out
from emtools.measure.lattice.noise import noise_floor
from emtools.measure.lattice.peaks import Peaks, find_peaks, hann_weight, transform
from emtools.process.fourier import hann
from emtools.process.threads import in_threads
from emtools.stages import stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.lattice.cells import Cells
    from emtools.measure.lattice.noise import NoiseFloor
    from emtools.measure.lattice.peaks import Peak
    from emtools.model import Calibration

_SMALLEST_PX = 48
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


@dataclass(frozen=True)
class Seeds:
    """Peaks of many windows, the clearest first.

    Parameters
    ----------
    peaks
        The peaks; their `transform` is the row of their window.
    centre, side
        ``(n, 2)`` for each peak, see `Seed`.
    """

    peaks: Peaks
    centre: NDArray[np.float64]
    side: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.centre)

    def __getitem__(self, n: int) -> Seed:
        return Seed(self.peaks.one(n), self.centre[n], self.side[n], float(self.peaks.apart[n]))

    def only(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Seeds:
        """Return some of them."""
        return Seeds(self.peaks.only(chosen), self.centre[chosen], self.side[chosen])

    @classmethod
    def none(cls) -> Seeds:
        """Return no seeds."""
        return cls(Peaks.none(), np.zeros((0, 2)), np.zeros((0, 2)))

    @classmethod
    def of(cls, parts: list[Seeds]) -> Seeds:
        """Return the seeds of all parts, the clearest first.

        Of two windows that see a crystal about as well the larger one tells its neighbours apart.
        """
        peaks = Peaks.all([part.peaks for part in parts])
        centre, side = (np.concatenate([getattr(part, name) for part in parts])
                        for name in ("centre", "side"))
        order = np.argsort(-peaks.excess * side.min(axis=1), kind="stable")
        return cls(peaks, centre, side).only(order)


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

    @cached_property
    def frame_cells(self) -> Cells:
        """Cells of the transform of the whole frame."""
        return lay_out(self.frame, self.calibration, self.d_range, self.floor)

    def window_cells(self, shape: tuple[int, int]) -> Cells:
        """Lay out the cells of the transform of a window of this shape."""
        return lay_out(shape, self.calibration, self.d_range, self.floor, whole=False)

    @cached_property
    def clear_snr(self) -> float:
        """Amplitude over noise that none of all the cells searched reaches by chance.

        Noise beside the fringes, in the crystal itself, can be stronger than that of a window.
        """
        # Windows that overlap by half have four times the cells of the frame together.
        trials = self.frame_cells.searched * (1 + 4 * len(self.sides))
        return float(np.sqrt(2.0 * np.log(max(trials, 1) / self.rate)))

    def seeds(
        self, values: NDArray[np.float32], half: NDArray[np.complex64] | None = None,
        again: Seeds | None = None,
    ) -> Seeds:
        """Return the peaks of the frame and of its windows.

        Parameters
        ----------
        values
            ``(y, x)``.
        half
            Transform of the frame, if it is known.
        again
            Only windows are searched in which these seeds have been seen.
        """
        share = self.rate / (1 + len(self.sides))
        frame = np.array(self.frame, dtype=float)
        found = []
        if again is None or (again.side == frame).all(axis=1).any():
            half = transform(values) if half is None else half
            peaks = find_peaks(half[None], self.frame_cells, hann_weight(self.frame), share)
            found.append(_seeds(peaks, (frame[None] - 1) / 2, frame))
        for n, side in enumerate(self.sides):
            stage(f"searching windows of {side} px", 0.4 * n / len(self.sides))
            rows = _rows_of_windows(self.frame, side)
            n_windows = sum(len(lefts) for lefts in rows.values())
            if again is not None:
                rows = _those_of(rows, side, again.centre[(again.side == side).all(axis=1)])
            found += _in_windows(values, self, side, share, (rows, n_windows))
        return Seeds.of(found) if found else Seeds.none()


def _seeds(
    peaks: Peaks, centres: NDArray[np.float64], side: NDArray[np.float64]
) -> Seeds:
    """Seeds of windows of the same size."""
    return Seeds(peaks, centres[peaks.transform], np.tile(side, (len(peaks.excess), 1)))


def find_seeds(
    values: NDArray[np.float32], calibration: Calibration, d_range: tuple[float, float],
    rate: float, smallest: float | None, everywhere: bool = True,
) -> tuple[Seeds, Search]:
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
    Seeds
        The clearest first.
    Search
        The same search, for windows inside domains and for what is left.
    """
    shape = (values.shape[0], values.shape[1])
    half = transform(values)
    floor = noise_floor(half, shape, hann_weight(shape))
    sides = () if smallest is None else _window_sides(shape, smallest / calibration.pixel_size)
    search = Search(calibration, d_range, rate, floor, shape, sides)
    return search.seeds(values, half) if everywhere else Seeds.none(), search


def _window_sides(shape: tuple[int, int], smallest: float) -> tuple[int, ...]:
    side = max(smallest, _SMALLEST_PX)
    sides = []
    while side * _FEWEST < max(shape) and side <= min(shape):
        sides.append(fft.next_fast_len(round(side), real=True))
        side *= _RATIO
    return tuple(side for side in sides if side <= min(shape))


def _rows_of_windows(frame: tuple[int, int], side: int) -> dict[int, list[int]]:
    """First columns of the windows of each row of them, by their first row."""
    tops, lefts = (_starts(n, side) for n in frame)
    return dict.fromkeys(tops, lefts)


def _those_of(
    rows: dict[int, list[int]], side: int, centres: NDArray[np.float64]
) -> dict[int, list[int]]:
    """Windows with these centres."""
    wanted = {tuple(first) for first in np.rint(centres - (side - 1) / 2).astype(int).tolist()}
    those = {top: [left for left in lefts if (top, left) in wanted] for top, lefts in rows.items()}
    return {top: lefts for top, lefts in those.items() if lefts}


def _in_windows(
    values: NDArray[np.float32], search: Search, side: int, rate: float,
    windows: tuple[dict[int, list[int]], int],
) -> list[Seeds]:
    """Peaks of Hann windows; `windows`: which, and how many there are in all."""
    rows, n_windows = windows
    cells = search.window_cells((side, side))
    if cells.searched == 0:
        return []
    along = hann(side)
    tapered = np.outer(along, along)
    weight = hann_weight((side, side))

    def row_of_windows(row: tuple[int, list[int]]) -> Seeds:
        top, lefts = row
        tiles = np.stack([values[top:top + side, left:left + side] for left in lefts])
        tiles *= tapered
        peaks = find_peaks(fft.rfft2(tiles, overwrite_x=True), cells, weight, rate, n_windows)
        centres = np.array([(top, left) for left in lefts]) + (side - 1) / 2
        return _seeds(peaks, centres, np.full(2, float(side)))

    return in_threads(row_of_windows, rows.items())


def _starts(n: int, side: int) -> list[int]:
    """First pixels of windows that overlap by about half and fill the frame evenly."""
    count = max(1, int(np.ceil((n - side) / (side / 2)))) + 1 if n > side else 1
    return [round(start) for start in np.linspace(0, n - side, count).tolist()]
