"""The power spectrum of a plane, its noise floor, and the peaks that stand out of it."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft, ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.model import Calibration

_AXIS_RUN = 41  # cells along them: runs of a few cells have medians that vary tenfold
_AXIS_CELLS = 3  # half width in cells of the cross that edges and scan lines draw
_SECTORS = 6  # in half a turn: Thon rings may be astigmatic
_RING_CELLS = 8  # with the sectors: enough cells for a median that no spot can lift
_ASTIGMATIC = 4.0  # how far a film may rise in one sector above the others of its ring
_QUANTILE = 0.4  # of the cells of a sector: what spots do not reach
_INNER_RINGS = 4  # too short to be cut into sectors
_SCAN_CELLS = 12  # beside an axis: where scan lines leave their noise
_STREAK_CELLS = np.arange(6, 18)  # beside a peak, beyond its own main lobe
_STREAK_FAR = 0.047  # of the shorter side: where arcs of spots have ended and streaks go on
_MERGE_CELLS = 4  # peaks closer than this belong to the same spot (Hann main lobe, and one cell)


@dataclass(frozen=True)
class Spectrum:
    """Windowed Fourier transform of a plane with its noise floor.

    Parameters
    ----------
    transform
        ``(ny, nx // 2 + 1)`` complex64, as `scipy.fft.rfft2` orders it.
    floor
        Same shape, float32: expected power of the noise in each cell.
    shape
        Shape of the plane.
    """

    transform: NDArray[np.complex64]
    floor: NDArray[np.float32]
    shape: tuple[int, int]

    def frequency(self, row: int, col: int) -> NDArray[np.float64]:
        """Return the frequency ``(y, x)`` of a cell in cycles per pixel."""
        ny, nx = self.shape
        return np.array([(row if row <= ny // 2 else row - ny) / ny, col / nx])


@dataclass(frozen=True)
class Peak:
    """A cell whose power is more than the noise can explain.

    Parameters
    ----------
    row, col
        Cell of the half transform.
    excess
        Power over the noise floor.
    p_value
        Probability of such a peak anywhere in an image of noise.
    """

    row: int
    col: int
    excess: float
    p_value: float


def window(n: int) -> NDArray[np.float32]:
    """Hann window over `n` pixels, centred on the middle of the frame."""
    position = (np.arange(n) + 0.5) / n
    return (np.sin(np.pi * position) ** 2).astype(np.float32)


def transform(values: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Return the half transform of a Hann-windowed plane of about unit height."""
    ny, nx = values.shape
    # A power of two takes no bits; powers of very large or small values would leave float32.
    exponent = int(np.frexp(max(values.max(), -values.min()))[1])
    windowed = np.ldexp(values, -exponent)
    windowed *= window(ny)[:, None]
    windowed *= window(nx)
    # A worker of a batch has one core to itself; whoever measures a single image has them all.
    threads = 1 if multiprocessing.parent_process() else -1
    return np.asarray(fft.rfft2(windowed, workers=threads, overwrite_x=True))


def spectrum(values: NDArray[np.float32]) -> Spectrum:
    """Return the transform of a flat plane with its local noise floor.

    The periodogram of noise is exponentially distributed about the noise spectrum, so the median of
    a neighbourhood is ln 2 times it.  The neighbourhoods are sectors of rings (film, detector,
    Thon rings); next to the two axes, where scan lines and edges leave a cross, they are runs along
    the axis.
    """
    half = transform(values)
    power = half.real**2
    power += half.imag**2
    shape = (values.shape[0], values.shape[1])
    floor = _polar_floor(power, shape)
    np.maximum(floor, _tile_floor(power, shape), out=floor)
    _raise_on_axes(floor, power, shape)
    return Spectrum(half, floor, shape)


def _polar_floor(power: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    ny, nx = shape
    fy = fft.fftfreq(ny).astype(np.float32)[:, None]
    fx = fft.rfftfreq(nx).astype(np.float32)
    n_rings = int(np.clip(min(ny, nx) // (2 * _RING_CELLS), 8, 256))
    radius = np.minimum(np.hypot(fy, fx) * np.float32(n_rings / 0.5), np.float32(n_rings * 1.42))
    sector = ((np.arctan2(fy, fx) + np.float32(np.pi / 2)) * np.float32(_SECTORS / np.pi)
              ).astype(np.int16)
    sector = np.minimum(sector, _SECTORS - 1)
    ring = radius.astype(np.int16)
    label = ring * _SECTORS + np.where(ring < _INNER_RINGS, 0, sector).astype(np.int16)
    del ring
    # Streaks lie on the axes, read-out patterns at the Nyquist frequency.
    for row in (0, ny // 2):
        label[row] = -1
    for col in (0, nx // 2):
        label[:, col] = -1
    floors = _floors(power, label).reshape(-1, _SECTORS)
    floors[:_INNER_RINGS] = floors[:_INNER_RINGS, :1]
    # Crystals that are turned a little against each other fill a sector, never the whole ring.
    np.minimum(floors, _ASTIGMATIC * np.median(floors, axis=1, keepdims=True), out=floors,
               where=(floors > 0).all(axis=1, keepdims=True))
    del label
    for ring_in, ring_out in pairwise(floors):
        ring_out[ring_out == 0] = ring_in[ring_out == 0]  # the corners have not all sectors
    return _between_rings(np.log(np.maximum(floors, 1e-30)), radius, sector)


def _between_rings(
    levels: NDArray[np.float32], radius: NDArray[np.float32], sector: NDArray[np.int16]
) -> NDArray[np.float32]:
    """Interpolate the logarithm of the floor between the middles of the rings.

    Where a film's spectrum falls by decades over a few cells, a step from ring to ring would leave
    the inner cells of each ring far above their floor.
    """
    last = len(levels) - 1
    inner = np.clip(radius - np.float32(0.5), 0, last).astype(np.int16)
    fraction = np.clip(radius - np.float32(0.5) - inner, 0, 1)
    floor = levels[inner, sector]
    inner += 1
    floor += fraction * (levels[np.minimum(inner, last), sector] - floor)
    return np.asarray(np.exp(floor, out=floor), dtype=np.float32)


def _floors(power: NDArray[np.float32], label: NDArray[np.int16]) -> NDArray[np.float32]:
    """Noise floor of each label, from a low quantile of at most a few hundred of its cells.

    Small crystals, each turned a little, can fill half a sector with one reflection.
    """
    stride = max(1, power.size // 2_000_000)
    values, labels = power.ravel()[::stride], label.ravel()[::stride]
    order = np.argsort(labels, kind="stable")
    n_labels = -(-(int(label.max()) + 1) // _SECTORS) * _SECTORS
    counts = np.bincount(labels + 1, minlength=n_labels + 1)
    ends = np.cumsum(counts)[1:]
    counts = counts[1:]
    ordered = values[order]
    levels = [np.quantile(ordered[end - count:end], _QUANTILE) if count else 0.0
              for end, count in zip(ends, counts, strict=True)]
    return np.array(levels, dtype=np.float32) / np.float32(-np.log1p(-_QUANTILE))


def _tile_floor(power: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Floor from square tiles, which follow what is neither round nor along an axis.

    The tiles are laid from the centre outwards: an image and its transpose have the same.
    """
    side = int(np.clip(min(shape) // 16, 12, 64)) | 1
    rows, cols = (-(-(n // 2 - side // 2) // side) for n in shape)
    row = np.arange(-rows * side - side // 2, rows * side + side // 2 + 1)
    col = np.arange(-(side // 2), cols * side + side // 2 + 1)
    tiles = _cells(power, shape, row[:, None], col).reshape(2 * rows + 1, side, cols + 1, side)
    floor = (np.median(tiles, axis=(1, 3)) / np.log(2.0)).astype(np.float32)
    tile_of_row = np.rint(fft.fftfreq(shape[0], 1 / shape[0]) / side).astype(int) + rows
    return np.asarray(floor[tile_of_row][:, np.rint(np.arange(power.shape[1]) / side).astype(int)])


def _cells(
    half: NDArray[np.float32], shape: tuple[int, int], row: NDArray[np.int64],
    col: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Cells of a power spectrum at any signed rows and columns, of which half are stored."""
    row, col = np.broadcast_arrays(row, col % shape[1])
    mate = col >= half.shape[1]
    return np.asarray(half[np.where(mate, -row, row) % shape[0], np.where(mate, -col, col)
                           % shape[1]])


def _raise_on_axes(
    floor: NDArray[np.float32], power: NDArray[np.float32], shape: tuple[int, int]
) -> None:
    ny, cells = shape[0], _AXIS_CELLS
    length = max(_AXIS_RUN, min(shape) // 16) | 1
    columns = ndimage.median_filter(power[:, : cells + 1], size=(length, 1), mode="wrap")
    np.maximum(floor[:, : cells + 1], columns / np.float32(np.log(2.0)),
               out=floor[:, : cells + 1])
    near = np.arange(-cells, cells + 1)
    whole = _cells(power, shape, near[:, None], np.arange(shape[1]))
    rows = ndimage.median_filter(whole, size=(1, length), mode="wrap")[:, : power.shape[1]]
    floor[near % ny] = np.maximum(floor[near % ny], rows / np.float32(np.log(2.0)))


def find_peaks(
    spectrum: Spectrum, calibration: Calibration, d_range: tuple[float, float],
    false_alarm_rate: float, limit: int,
) -> list[Peak]:
    """Find the cells that noise explains with less than the false-alarm rate per image.

    Parameters
    ----------
    spectrum
        The transform and its floor.
    calibration
        Of the plane.
    d_range
        Smallest and largest spacing sought, in the calibration's unit.
    false_alarm_rate
        Accepted probability that an image of pure noise shows any peak.
    limit
        Largest number of peaks returned, the strongest first.

    Returns
    -------
    list of Peak
        One for each spot of the half plane.
    """
    excess = np.abs(spectrum.transform)
    excess *= excess
    excess /= np.maximum(spectrum.floor, np.finfo(np.float32).tiny)
    searched = _searched(spectrum.shape, calibration, d_range)
    # Neighbouring cells of a windowed transform are correlated: fewer independent ones.
    n_cells = max(1.0, float(searched.sum()))
    threshold = np.log(n_cells / false_alarm_rate)
    power = excess.copy()
    excess[~searched] = 0.0
    rows, cols = np.nonzero(excess > threshold)
    order = np.argsort(-excess[rows, cols], kind="stable")
    peaks: list[Peak] = []
    taken: list[NDArray[np.int64]] = []
    for row, col in zip(rows[order].tolist(), cols[order].tolist(), strict=True):
        if len(peaks) == limit:
            break
        cell = _signed(row, col, spectrum.shape)
        if _near(cell, taken):
            continue
        taken += [cell, -cell]
        value = float(excess[row, col]) / _streak(power, spectrum.shape, row, col)
        if value < threshold:
            continue
        peaks.append(Peak(row, col, value, -float(np.expm1(n_cells * np.log1p(-np.exp(-value))))))
    return peaks


def _streak(
    excess: NDArray[np.float32], shape: tuple[int, int], row: int, col: int
) -> float:
    """How far the neighbourhood of a peak along a streak through it lies above the floor.

    Steps and edges draw streaks through the centre, jitter of scan lines draws them along y: a
    maximum on a streak is judged by the streak, not by the floor beside it.
    """
    signed = np.array([row if row <= shape[0] // 2 else row - shape[0], col], dtype=float)
    start = max(18, round(_STREAK_FAR * min(shape)))
    far = np.arange(start, 2 * start)
    highest = 1.0
    for direction in (signed / np.hypot(*signed), np.array([1.0, 0.0]), np.array([0.0, 1.0])):
        levels = []
        # A streak is long: what ends after a few cells are spots of neighbouring crystals.  Scan
        # lines draw theirs next to the axes, and unevenly.
        off_axis = float(np.abs(signed[direction == 0]).min(initial=np.inf))
        for distance in (_STREAK_CELLS, far) if off_axis > _SCAN_CELLS else (_STREAK_CELLS,):
            both = np.concatenate([-distance, distance])
            cells = np.rint(signed + both[:, None] * direction).astype(int)
            along = _cells(excess, shape, cells[:, 0], cells[:, 1])
            levels.append(float(np.median(along)) / np.log(2.0))
        highest = max(highest, min(levels))
    return highest


def _searched(
    shape: tuple[int, int], calibration: Calibration, d_range: tuple[float, float]
) -> NDArray[np.bool_]:
    ny, nx = shape
    fy = fft.fftfreq(ny).astype(np.float32)[:, None]
    fx = fft.rfftfreq(nx).astype(np.float32)
    inverse = np.linalg.inv(calibration.matrix).astype(np.float32)
    k2 = (fy * inverse[0, 0] + fx * inverse[1, 0]) ** 2
    k2 += (fy * inverse[0, 1] + fx * inverse[1, 1]) ** 2
    searched = (k2 > 1.0 / d_range[1] ** 2) & (k2 < 1.0 / d_range[0] ** 2)
    # Detector read-out patterns and aliasing live at the Nyquist frequency.
    searched &= (np.abs(fy) < 0.49) & (fx < 0.49)
    # Column 0 holds both Friedel mates; keep the half with fy > 0.
    searched[ny // 2 :, 0] = False
    return np.asarray(searched)


def _signed(row: int, col: int, shape: tuple[int, int]) -> NDArray[np.int64]:
    return np.array([row if row <= shape[0] // 2 else row - shape[0], col])


def _near(cell: NDArray[np.int64], taken: list[NDArray[np.int64]]) -> bool:
    return any(bool(np.abs(cell - other).max() <= _MERGE_CELLS) for other in taken)
