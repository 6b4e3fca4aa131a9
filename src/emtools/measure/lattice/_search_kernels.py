"""Compiled inner loops of the search for peaks in transforms.

Cells of a half transform are named by their signed row and their column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLIP = 3.0  # times the mean of a class: what spots are beyond
_ROUNDS = 12
# Mean of an exponential distribution below three times its own mean.
_KEPT = 1.0 - _CLIP * np.exp(-_CLIP) / (1.0 - np.exp(-_CLIP))
_RIVAL = 0.02  # of a peak's power: what beats with it
_MERGED = 3  # cells: peaks closer than this belong to the same spot (Hann main lobe, and one)
_RING_NEAR = 1.6  # cells
_STEEP = 1.5  # times its class: more than chance
_UNSURE = 1.25  # a narrow ring tells its level less well
# A few cells tell the level of a line badly; chance hardly ever reaches three times the class's.
_STREAKED = 3.0
_BESIDE_STREAK = 4.0
# Columns of found peaks: frequency (y, x), power over noise, density of the noise, class, distance
# to the nearest other clear peak.
FOUND = 6


class Plan(NamedTuple):
    """Where in transforms of one shape reflections are sought, and which cells are judged together.

    Parameters
    ----------
    shape
        Of the transformed plane.
    inverse
        Of the calibration's matrix.
    k_low, k_high
        Lowest and highest wave number.
    layout
        Width of the rings, cells in a class, lines beside an axis, length of a run along it, first
        class of the rings, sectors at most.
    table
        Logarithm of the expected noise: rings (0 ... 0.7072 cycles per pixel) and sectors of half a
        turn.
    """

    shape: tuple[int, int]
    inverse: NDArray[np.float64]
    k_low: float
    k_high: float
    layout: NDArray[np.float64]
    table: NDArray[np.float32]


class Listed(NamedTuple):
    """Cells in the order of their classes.

    Parameters
    ----------
    starts
        First cell of each class, and one past the last.
    place
        Places in the flat half transform.
    floor
        Noise that is expected there.
    """

    starts: NDArray[np.int64]
    place: NDArray[np.int32]
    floor: NDArray[np.float32]


class Spectrum(NamedTuple):
    """Half transform of a windowed plane, its cells, and the sum of the window's squares."""

    half: NDArray[np.complex64]
    plan: Plan
    weight: float


class Limits(NamedTuple):
    """What a peak has to be above.

    Parameters
    ----------
    thresholds
        For each class, how far above its level.
    streak
        Nearest and furthest cells beside it where it may belong to a streak.
    surely
        Excess that a peak of a small transform has to have above cells equally far from the centre
        (there a class is wide, and where the noise falls steeply its inner cells stand out); 0 for
        large transforms.
    """

    thresholds: NDArray[np.float64]
    streak: tuple[int, int]
    surely: float


@njit(cache=True, nogil=True)
def sample_power(
    rows: NDArray[np.int64], cols: NDArray[np.int64], half: NDArray[np.complex64], n_x: int,
    power: NDArray[np.float32], radius: NDArray[np.float32], direction: NDArray[np.float32],
) -> None:
    """Power and place of some cells of a half transform: cycles per pixel, part of half a turn."""
    n_y = half.shape[0]
    n = 0
    for i in rows:
        f_y = np.float32((i if i <= n_y // 2 else i - n_y) / n_y)
        for j in cols:
            f_x = np.float32(j / n_x)
            value = half[i, j]
            power[n] = value.real**2 + value.imag**2
            radius[n] = np.sqrt(f_y * f_y + f_x * f_x)
            direction[n] = np.arctan2(f_y, f_x) / np.float32(np.pi) + np.float32(0.5)
            n += 1


@njit(cache=True, nogil=True)
def quantile_of_each(
    values: NDArray[np.float32], labels: NDArray[np.int64], n: int, quantile: float
) -> NDArray[np.float64]:
    """Quantile of the values of each label, 0 where there are none."""
    starts = np.zeros(n + 1, dtype=np.int64)
    for label in labels:
        starts[label + 1] += 1
    starts = np.cumsum(starts)
    place = starts[:-1].copy()
    ordered = np.empty_like(values)
    for m in range(values.size):
        ordered[place[labels[m]]] = values[m]
        place[labels[m]] += 1
    result = np.zeros(n)
    for c in range(n):
        part = ordered[starts[c]:starts[c + 1]]
        if part.size:
            at = max(quantile * part.size - 0.5, 0.0)
            low = min(int(at), part.size - 1)
            part = np.partition(part, low)
            above = part[low + 1:].min() if low + 1 < part.size else part[low]
            result[c] = part[low] + (at - low) * (above - part[low])
    return result


@njit(nogil=True)
def _floor_at(table: NDArray[np.float32], radius: float, direction: float) -> float:
    """Noise density from a polar table of logarithms, interpolated between rings."""
    n_rings, n_sectors = table.shape
    sector = min(int(direction * n_sectors), n_sectors - 1)
    place = max(radius * n_rings - 0.5, 0.0)
    ring = min(int(place), n_rings - 1)
    after = min(ring + 1, n_rings - 1)
    part = min(place - ring, 1.0)
    return float(np.exp(table[ring, sector]
                        + part * (table[after, sector] - table[ring, sector])))


@njit(cache=True, nogil=True)
def judged_by(cell_y: int, j: int, plan: Plan) -> tuple[int, float]:
    """Class of a cell, -1 where nothing is sought, and the noise that the floor expects there.

    Far beyond the range the noise is infinite: nothing stands out of it.
    """
    n_y, n_x = plan.shape
    inverse, k_low, k_high = plan.inverse, plan.k_low, plan.k_high
    width, share, lines, run, first_ring, most = plan.layout
    f_y, f_x = cell_y / n_y, j / n_x
    k_y = f_y * inverse[0, 0] + f_x * inverse[1, 0]
    k_x = f_y * inverse[0, 1] + f_x * inverse[1, 1]
    k2 = k_y * k_y + k_x * k_x
    if not (0.3 * k_low * k_low < k2 < 1.5 * k_high * k_high):
        return -1, np.inf
    radius = np.sqrt(f_y * f_y + f_x * f_x)
    direction = np.arctan2(f_y, f_x) / np.pi + 0.5
    expected = _floor_at(plan.table, radius / 0.7072, direction)
    if not (k_low * k_low < k2 < k_high * k_high):
        return -1, expected
    # Detector read-out patterns and aliasing live at the Nyquist frequency; column 0 holds both
    # Friedel mates.
    if abs(f_y) >= 0.49 or f_x >= 0.49 or (j == 0 and cell_y <= 0):
        return -1, expected
    if j <= lines or abs(cell_y) <= lines:
        line, place = (j, abs(cell_y)) if j <= abs(cell_y) else (abs(cell_y), j)
        side = 0 if j <= abs(cell_y) else 1
        return int(2 * (int(place / run) * (lines + 1) + line) + side), expected
    # Near the centre rings of equal area, further out of equal width.
    distance = radius * min(n_y, n_x)
    even = share / (np.pi * width)
    ring = int(0.5 * np.pi * distance * distance / share)
    sectors = 1
    if distance > even:
        ring = int(0.5 * even / width) + 1 + int((distance - even) / width)
        # An even number: a transposed image has the same sectors.
        sectors = min(max(2 * int(0.5 * np.pi * distance * width / share), 1), int(most))
    sector = min(int(direction * sectors), sectors - 1)
    return int(first_ring + ring * most + sector), expected


@njit(cache=True, nogil=True)
def list_cells(
    span: tuple[int, int], n_cols: int, every: int, plan: Plan
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Class, place in the flat half transform and expected noise of the cells that are searched.

    Of some rows, and only one cell in `every`, spread evenly.
    """
    half_cols = plan.shape[1] // 2 + 1
    most = (span[1] - span[0]) * (n_cols // every + 1)
    kinds = np.empty(most, dtype=np.int32)
    index = np.empty(most, dtype=np.int32)
    floor = np.empty(most, dtype=np.float32)
    n = 0
    for cell_y in range(span[0], span[1]):
        i = cell_y % plan.shape[0]
        for j in range((every - i) % every, n_cols, every):
            kind, expected = judged_by(cell_y, j, plan)
            if kind >= 0:
                kinds[n], index[n], floor[n] = kind, i * half_cols + j, expected
                n += 1
    return kinds[:n], index[:n], floor[:n]


@njit(cache=True, nogil=True)
def in_order_of_class(
    kinds: NDArray[np.int32], index: NDArray[np.int32], floor: NDArray[np.float32], n_classes: int
) -> Listed:
    """Put listed cells in the order of their classes."""
    starts = np.zeros(n_classes + 1, dtype=np.int64)
    for kind in kinds:
        starts[kind + 1] += 1
    starts = np.cumsum(starts)
    place = starts[:-1].copy()
    ordered_index, ordered_floor = np.empty_like(index), np.empty_like(floor)
    for n in range(kinds.size):
        m = place[kinds[n]]
        place[kinds[n]] = m + 1
        ordered_index[m], ordered_floor[m] = index[n], floor[n]
    return Listed(starts, ordered_index, ordered_floor)


@njit(nogil=True, fastmath={"reassoc", "nsz", "contract"}, inline="always")
def _clipped_mean(values: NDArray[np.float32]) -> float:
    """Mean of a class without its spots: clipped at three times itself, corrected."""
    level = 0.0
    for value in values:
        level += value
    level /= values.size
    for _ in range(_ROUNDS - 1):
        limit = np.float32(_CLIP * level)
        total, count = np.float32(0.0), np.float32(0.0)
        for value in values:
            below = value < limit
            total += value if below else np.float32(0.0)
            count += np.float32(1.0) if below else np.float32(0.0)
        if count == 0:
            break
        before, level = level, total / count / _KEPT
        if abs(level - before) <= 0.01 * level:
            break
    return level


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def class_levels(
    half: NDArray[np.complex64], cells: Listed, weight: float, ratio: NDArray[np.float32],
    levels: NDArray[np.float64],
) -> None:
    """Power over the expected noise of listed cells, and the level of each class of them."""
    starts, index, floor = cells
    flat = half.ravel()
    scale = np.float32(1.0 / weight)
    for m in range(index.size):
        value = flat[index[m]]
        ratio[m] = (value.real * value.real + value.imag * value.imag) * scale / floor[m]
    for c in range(levels.size):
        part = ratio[starts[c]:starts[c + 1]]
        levels[c] = _clipped_mean(part) if part.size else np.inf


@njit(cache=True, nogil=True)
def lowest_limits(
    cells: Listed, limits: NDArray[np.float64], shape: tuple[int, int], n_bins: int
) -> NDArray[np.float32]:
    """Power that every peak of a ring is above, by the square of its radius (0 ... 0.5).

    `limits`: power over the expected noise that a cell of each class has to reach.
    """
    starts, index, floor = cells
    half_cols = shape[1] // 2 + 1
    lowest = np.full(n_bins, np.inf)
    last = 0
    for c in range(limits.size):
        for m in range(starts[c], starts[c + 1]):
            i, j = index[m] // half_cols, index[m] % half_cols
            f_y, f_x = min(i, shape[0] - i) / shape[0], j / shape[1]
            place = min(int((f_y * f_y + f_x * f_x) * 2 * n_bins), n_bins - 1)
            lowest[place] = min(lowest[place], limits[c] * floor[m])
            last = max(last, place)
    bounds = np.full(n_bins, np.inf, dtype=np.float32)  # beyond the range
    for b in range(min(last + 2, n_bins)):
        low = np.inf
        for near in range(max(b - 1, 0), min(b + 2, n_bins)):
            low = min(low, lowest[near])
        # Only one cell in so many is listed, and the noise changes inside of a ring.
        bounds[b] = 0.7 * low if low < np.inf else 0.0
    return bounds


@njit(nogil=True)
def _above_in_row(
    row: NDArray[np.complex64], bounds: NDArray[np.float32], first: float, step: float,
    hits: NDArray[np.int64],
) -> int:
    """Collect the columns of a row that are above the bound of their ring; how many there are."""
    last = bounds.size - 1
    n = 0
    for j in range(row.size):
        value = row[j]
        power = value.real * value.real + value.imag * value.imag
        place = min(int(first + step * np.float32(j) * np.float32(j)), last)
        hits[n] = j
        n += power > bounds[place]
    return n


@njit(cache=True, nogil=True)
def above(
    span: tuple[int, int], n_cols: int, half: NDArray[np.complex64], n_x: int,
    bounds: NDArray[np.float32],
) -> NDArray[np.int64]:
    """Cells of some rows whose power is above the bound of their ring, ``(n, 2)``."""
    n_y, n_bins = half.shape[0], bounds.size
    found = np.empty((64, 2), dtype=np.int64)
    n = 0
    step = np.float32(2 * n_bins / n_x / n_x)
    hits = np.empty(n_cols, dtype=np.int64)
    for cell_y in range(span[0], span[1]):
        n_hits = _above_in_row(half[cell_y % n_y, :n_cols], bounds,
                               np.float32(2 * n_bins * (cell_y / n_y) ** 2), step, hits)
        if n + n_hits > found.shape[0]:
            longer = np.empty((2 * (n + n_hits), 2), dtype=np.int64)
            longer[:n] = found[:n]
            found = longer
        for m in range(n_hits):
            found[n, 0], found[n, 1] = cell_y, hits[m]
            n += 1
    return found[:n]


@njit(nogil=True)
def _ratio_at(
    spectrum: Spectrum, cell_y: int, j: int,
) -> float:
    """Power over the expected noise of any signed cell of a half transform."""
    half, plan = spectrum.half, spectrum.plan
    n_y, n_x = plan.shape
    j = j % n_x
    if j >= half.shape[1]:
        cell_y, j = -cell_y, n_x - j
    i = cell_y % n_y
    signed = i if i <= n_y // 2 else i - n_y
    value = half[i, j]
    _, expected = judged_by(signed, j, plan)
    return float((value.real**2 + value.imag**2) / spectrum.weight / expected)


@njit(nogil=True)
def _highest_around(
    spectrum: Spectrum, cell_y: int, j: int,
) -> bool:
    """Whether a cell is the highest of its neighbourhood."""
    here = _ratio_at(spectrum, cell_y, j)
    for ring in (1, 2):
        for dy in range(-ring, ring + 1):
            for dx in range(-ring, ring + 1):
                if max(abs(dy), abs(dx)) == ring and _ratio_at(
                        spectrum, cell_y + dy, j + dx) > here:
                    return False
    return True


@njit(nogil=True)
def _streak_level(
    spectrum: Spectrum, cell_y: int, j: int, streak: tuple[int, int]
) -> float:
    """Power on both sides of a cell along a line through it: the strongest of three lines.

    Edges draw streaks through the centre, jumps of scan lines along y, of columns along x.
    """
    near, far = streak
    length = np.hypot(cell_y, j)
    strongest = 0.0
    for direction in range(3):
        step_y = cell_y / length if direction == 0 else (1.0 if direction == 1 else 0.0)
        step_x = j / length if direction == 0 else (0.0 if direction == 1 else 1.0)
        # Towards and away from the centre, the ground and the harmonic are no streak.
        last = max(near, min(far, int(0.6 * length))) if direction == 0 else far
        n = last - near + 1
        along = np.empty(2 * n)
        for i in range(2 * n):
            distance = near + i // 2 if i % 2 else -near - i // 2
            along[i] = _ratio_at(spectrum,
                                 int(np.rint(cell_y + distance * step_y)),
                                 int(np.rint(j + distance * step_x)))
        # A quarter of the cells: the lattice's other spots may lie on the line.
        along.sort()
        strongest = max(strongest, along[n // 2] / -np.log(0.75))
    return strongest


@njit(nogil=True)
def _ring_level(
    spectrum: Spectrum, cell_y: int, j: int,
) -> float:
    """Level of the searched cells that are as far from the centre as a cell."""
    half, plan = spectrum.half, spectrum.plan
    radius = np.hypot(cell_y, j)
    outer = radius + _RING_NEAR
    reach = min(int(outer), (half.shape[0] - 1) // 2)
    values = np.empty(int(8 * (outer + 1)) + 64)
    n = 0
    for y in range(-reach, reach + 1):
        inner = max(radius - _RING_NEAR, 0.0) ** 2 - y * y
        first = int(np.sqrt(inner)) if inner > 0 else 0
        last = min(int(np.sqrt(max(outer * outer - y * y, 0.0))), half.shape[1] - 1)
        for x in range(first, last + 1):
            if abs(np.hypot(y, x) - radius) >= _RING_NEAR or n == values.size:
                continue
            kind, expected = judged_by(y, x, plan)
            if kind >= 0:
                value = half[y % half.shape[0], x]
                values[n] = (value.real**2 + value.imag**2) / spectrum.weight / expected
                n += 1
    return float(np.median(values[:n]) / np.log(2.0))


@njit(nogil=True)
def _between(
    spectrum: Spectrum, cell_y: int, j: int, axis: int,
) -> float:
    """How far from the middle of its cell a peak is: a parabola through the logarithms."""
    logs = np.empty(3)
    for n in range(3):
        dy, dx = (n - 1, 0) if axis == 0 else (0, n - 1)
        logs[n] = np.log(max(_ratio_at(spectrum, cell_y + dy, j + dx),
                             1e-30))
    curvature = logs[0] - 2 * logs[1] + logs[2]
    if curvature >= 0:
        return 0.0
    return float(min(max(0.5 * (logs[0] - logs[2]) / curvature, -0.5), 0.5))


@njit(cache=True, nogil=True)
def stand_out(
    candidates: NDArray[np.int64], spectrum: Spectrum, levels: NDArray[np.float64], limits: Limits
) -> NDArray[np.float64]:
    """Candidates that are the highest around and above their class's threshold; see `FOUND`."""
    shape, thresholds = spectrum.plan.shape, limits.thresholds
    found = np.empty((candidates.shape[0], FOUND + 2))
    n = 0
    for m in range(candidates.shape[0]):
        cell_y, j = candidates[m]
        c, expected = judged_by(cell_y, j, spectrum.plan)
        if c < 0:
            continue
        ratio = _ratio_at(spectrum, cell_y, j)
        if not ratio > thresholds[c] * levels[c]:
            continue
        if not _highest_around(spectrum, cell_y, j):
            continue
        level = levels[c]
        line = _streak_level(spectrum, cell_y, j, limits.streak)
        if line > _STREAKED * level:
            level = _BESIDE_STREAK * line
        if not ratio > thresholds[c] * level:
            continue
        excess = ratio / level
        if limits.surely > 0:
            ring = _ring_level(spectrum, cell_y, j)
            if ring >= _STEEP * level:
                excess = ratio / (_UNSURE * ring)
            if not excess > limits.surely:
                continue
        row = found[n]
        row[0] = (cell_y + _between(spectrum, cell_y, j, 0)) / shape[0]
        row[1] = (j + _between(spectrum, cell_y, j, 1)) / shape[1]
        row[2], row[3], row[4] = excess, expected * ratio / excess, c
        row[6], row[7] = cell_y, j
        n += 1
    return _one_for_each_spot(found[:n])


@njit(nogil=True)
def _one_for_each_spot(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Found peaks, strongest first, without those beside a stronger one; see `FOUND`."""
    order = np.argsort(-found[:, 2], kind="mergesort")
    kept = np.empty((found.shape[0], FOUND + 2))
    n = 0
    for m in order:
        one = found[m]
        new = True
        for k in range(n):
            y, x = kept[k, 6], kept[k, 7]
            if (max(abs(one[6] - y), abs(one[7] - x)) <= _MERGED
                    or max(abs(one[6] + y), abs(one[7] + x)) <= _MERGED):
                new = False
                break
        if new:
            kept[n] = one
            n += 1
    for m in range(n):
        apart = np.inf
        for k in range(n):
            if k != m and kept[k, 2] > _RIVAL * kept[m, 2]:
                apart = min(apart, np.hypot(kept[k, 0] - kept[m, 0], kept[k, 1] - kept[m, 1]),
                            np.hypot(kept[k, 0] + kept[m, 0], kept[k, 1] + kept[m, 1]))
        kept[m, 5] = apart
    return kept[:n, :FOUND].copy()


@njit(cache=True, nogil=True)
def search_windows(
    halves: NDArray[np.complex64], plan: Plan, cells: Listed, weight: float, limits: Limits
) -> list[NDArray[np.float64]]:
    """Search windows of the same size all of whose cells are listed; the peaks of each."""
    ratio = np.empty(cells.place.size, dtype=np.float32)
    levels = np.empty(limits.thresholds.size)
    result = []
    for n in range(halves.shape[0]):
        class_levels(halves[n], cells, weight, ratio, levels)
        candidates = _above_their_class(ratio, cells, levels * limits.thresholds, halves.shape[1:])
        result.append(stand_out(candidates, Spectrum(halves[n], plan, weight), levels, limits))
    return result


@njit(nogil=True)
def _above_their_class(
    ratio: NDArray[np.float32], cells: Listed, limits: NDArray[np.float64],
    half_shape: tuple[int, int],
) -> NDArray[np.int64]:
    """Listed cells above the limit of their class, ``(n, 2)``."""
    starts, index, _ = cells
    found = np.empty((ratio.size, 2), dtype=np.int64)
    n = 0
    for c in range(limits.size):
        # A float32 of the same value as the limit must not differ from it by rounding.
        limit = np.float32(limits[c] * 0.999) if limits[c] < np.inf else np.float32(np.inf)
        for m in range(starts[c], starts[c + 1]):
            if ratio[m] > limit:
                i = index[m] // half_shape[1]
                found[n, 0] = i if i <= half_shape[0] // 2 else i - half_shape[0]
                found[n, 1] = index[m] % half_shape[1]
                n += 1
    return found[:n].copy()
