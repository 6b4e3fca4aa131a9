"""Compiled inner loops of the lattice measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray


@njit(cache=True, nogil=True, fastmath=True)
def demodulate_rows(
    values: NDArray[np.float32], segment: int, block: int, phases_y: NDArray[np.complex128],
    table_x: NDArray[np.float32], upper: NDArray[np.complex128], lower: NDArray[np.complex128],
) -> None:
    """Sums of ``values * exp(-2 pi i f r)`` under hats of half width `block`, of one row segment.

    ``upper`` and ``lower`` receive the shares of the nodes above and below the segment,
    ``(n_frequencies, n_nodes_x)``; ``table_x`` holds cosine, sine and both times the place between
    the nodes, ``(n_frequencies, 4, n_columns)``.
    """
    n_x = values.shape[1]
    for y in range(segment * block, min((segment + 1) * block, values.shape[0])):
        share = (y - segment * block) / block
        row = values[y]
        for s in range(table_x.shape[0]):
            cos, sin = table_x[s, 0], table_x[s, 1]
            cos_t, sin_t = table_x[s, 2], table_x[s, 3]
            low = phases_y[s, y] * share
            high = phases_y[s, y] - low
            for j in range(upper.shape[1] - 1):
                a, b = np.float32(0.0), np.float32(0.0)
                c, d = np.float32(0.0), np.float32(0.0)
                for x in range(j * block, min((j + 1) * block, n_x)):
                    a += row[x] * cos[x]
                    b += row[x] * sin[x]
                    c += row[x] * cos_t[x]
                    d += row[x] * sin_t[x]
                near, far = complex(a - c, b - d), complex(c, d)
                upper[s, j] += high * near
                upper[s, j + 1] += high * far
                lower[s, j] += low * near
                lower[s, j + 1] += low * far


@njit(cache=True, nogil=True, inline="always")
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
def fill_cells(
    rows: tuple[int, int], shape: tuple[int, int], n_cols: int,
    where: tuple[NDArray[np.float64], float, float], layout: NDArray[np.float64],
    table: NDArray[np.float32],
    cells: tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int64]],
) -> None:
    """Class of neighbours and noise density of the cells that are searched; class -1 elsewhere.

    ``where``: inverse of the calibration's matrix, lowest and highest wave number.  ``layout``:
    width of the rings, cells in a class, lines beside an axis, length of a run along it, first
    class of the rings, sectors at most.  ``table`` spans the radius 0 ... 0.7072 cycles per pixel
    and half a turn.
    """
    n_y, n_x = shape
    inverse, k_low, k_high = where
    width, share, lines, run, first_ring, most = layout
    classes, floor, counts = cells
    for cell_y in range(rows[0], rows[1]):
        i = cell_y % n_y
        f_y = cell_y / n_y
        for j in range(n_cols):
            f_x = j / n_x
            k_y = f_y * inverse[0, 0] + f_x * inverse[1, 0]
            k_x = f_y * inverse[0, 1] + f_x * inverse[1, 1]
            k2 = k_y * k_y + k_x * k_x
            # Beyond the range only what streaks are looked for in.
            floor[i, j] = np.inf
            if not (0.3 * k_low * k_low < k2 < 1.5 * k_high * k_high):
                continue
            radius = np.sqrt(f_y * f_y + f_x * f_x)
            direction = np.arctan2(f_y, f_x) / np.pi + 0.5
            floor[i, j] = _floor_at(table, radius / 0.7072, direction)
            if not (k_low * k_low < k2 < k_high * k_high):
                continue
            # Detector read-out patterns and aliasing live at the Nyquist frequency; column 0 holds
            # both Friedel mates.
            if abs(f_y) >= 0.49 or f_x >= 0.49 or (j == 0 and cell_y <= 0):
                continue
            distance = radius * min(n_y, n_x)
            if j <= lines or abs(cell_y) <= lines:
                line, place = (j, abs(cell_y)) if j <= abs(cell_y) else (abs(cell_y), j)
                side = 0 if j <= abs(cell_y) else 1
                kind = int(2 * (int(place / run) * (lines + 1) + line) + side)
            else:
                # Near the centre rings of equal area, further out of equal width.
                even = share / (np.pi * width)
                ring = int(0.5 * np.pi * distance * distance / share)
                sectors = 1
                if distance > even:
                    ring = int(0.5 * even / width) + 1 + int((distance - even) / width)
                    # An even number: a transposed image has the same sectors.
                    sectors = max(2 * int(0.5 * np.pi * distance * width / share), 1)
                    sectors = min(sectors, int(most))
                sector = min(int(direction * sectors), sectors - 1)
                kind = int(first_ring + ring * most + sector)
            classes[i, j] = kind
            counts[kind] += 1


@njit(cache=True, nogil=True)
def over_floor(
    span: tuple[int, int], half: NDArray[np.complex64], floor: NDArray[np.float32], n_cols: int,
    weight: float, ratio: NDArray[np.float32],
) -> None:
    """Power over the noise that the floor expects under a window of this ``weight``.

    ``span`` counts rows from row 0 to both sides.
    """
    scale = np.float32(1.0 / weight)
    for signed in range(span[0], span[1]):
        i = signed % half.shape[0]
        for j in range(n_cols):
            value = half[i, j]
            ratio[i, j] = (value.real**2 + value.imag**2) * scale / floor[i, j]


@njit(cache=True, nogil=True)
def class_levels(
    ratio: NDArray[np.float32], classes: NDArray[np.int32], limits: tuple[int, int, int],
    levels: NDArray[np.float64],
) -> None:
    """Mean of each class of cells without its spots: clipped at three times itself, corrected.

    ``limits``: highest row on both sides of row 0, columns, and how many cells there are to each
    that is looked at.
    """
    reach, n_cols, every = limits
    n_y = ratio.shape[0]
    clip, rounds = 3.0, 12
    # Mean of an exponential distribution below three times its own mean.
    kept = 1.0 - clip * np.exp(-clip) / (1.0 - np.exp(-clip))
    n = levels.size
    levels[:] = np.inf
    sums, counts = np.empty(n), np.empty(n)
    for step in range(rounds):
        sums[:] = 0.0
        counts[:] = 0.0
        for signed in range(-reach, reach + 1):
            i = signed % n_y
            for j in range((every - i) % every, n_cols, every):
                c = classes[i, j]
                if c >= 0 and ratio[i, j] < clip * levels[c]:
                    sums[c] += ratio[i, j]
                    counts[c] += 1.0
        changed = False
        for c in range(n):
            if counts[c] > 0:
                level = sums[c] / counts[c]
                if step > 0:
                    level /= kept
                changed = changed or abs(level - levels[c]) > 0.01 * level
                levels[c] = level
        if not changed:
            break


@njit(cache=True, nogil=True, inline="always")
def power_at(power: NDArray[np.float32], n_x: int, row: int, col: int) -> float:
    """Power of any signed cell of a half transform."""
    col = col % n_x
    if col >= power.shape[1]:
        row, col = -row, n_x - col
    return float(power[row % power.shape[0], col])


@njit(cache=True, nogil=True)
def highest_around(
    power: NDArray[np.float32], n_x: int, row: int, col: int, reach: int
) -> bool:
    """Whether a cell is the highest of its neighbourhood."""
    here = power_at(power, n_x, row, col)
    for i in range(-reach, reach + 1):
        for j in range(-reach, reach + 1):
            if power_at(power, n_x, row + i, col + j) > here:
                return False
    return True


@njit(cache=True, nogil=True)
def streak_level(
    power: NDArray[np.float32], n_x: int, row: int, col: int, near: int, far: int
) -> float:
    """Power on both sides of a cell along a line through it: the strongest of three lines.

    Edges draw streaks through the centre, jumps of scan lines along y, of columns along x.
    """
    n_y = power.shape[0]
    signed = row if row <= n_y // 2 else row - n_y
    length = np.hypot(signed, col)
    strongest = 0.0
    for direction in range(3):
        step_y = signed / length if direction == 0 else (1.0 if direction == 1 else 0.0)
        step_x = col / length if direction == 0 else (0.0 if direction == 1 else 1.0)
        # Towards and away from the centre, the ground and the harmonic are no streak.
        last = max(near, min(far, int(0.6 * length))) if direction == 0 else far
        n = last - near + 1
        along = np.empty(2 * n)
        for i in range(2 * n):
            distance = near + i // 2 if i % 2 else -near - i // 2
            along[i] = power_at(power, n_x, int(np.rint(signed + distance * step_y)),
                                 int(np.rint(col + distance * step_x)))
        # A quarter of the cells: the lattice's other spots may lie on the line.
        along.sort()
        strongest = max(strongest, along[n // 2] / -np.log(0.75))
    return strongest


@njit(cache=True, nogil=True)
def stand_out(
    ratio: NDArray[np.float32], classes: NDArray[np.int32], limits: tuple[int, int, int],
    levels: NDArray[np.float64], thresholds: NDArray[np.float64], n_x: int,
    streak: tuple[int, int],
) -> list[tuple[int, int, float]]:
    """Cells that are the highest around and above their class's threshold: row, column, excess."""
    found = []
    for signed in range(-limits[0], limits[0] + 1):
        i = signed % ratio.shape[0]
        for j in range(limits[1]):
            c = classes[i, j]
            if c < 0 or not ratio[i, j] > thresholds[c] * levels[c]:
                continue
            if not highest_around(ratio, n_x, i, j, 2):
                continue
            level = levels[c]
            line = streak_level(ratio, n_x, i, j, streak[0], streak[1])
            # A few cells tell the level of a line badly; chance hardly ever reaches 3.
            if line > 3.0 * level:
                level = 4.0 * line
            if ratio[i, j] > thresholds[c] * level:
                found.append((i, j, ratio[i, j] / level))
    return found


@njit(cache=True, nogil=True)
def search_windows(
    halves: NDArray[np.complex64], cells: tuple[NDArray[np.int32], NDArray[np.float32]],
    extent: tuple[tuple[int, int, int], tuple[int, int]], thresholds: NDArray[np.float64],
    weight: float, n_x: int, streak: tuple[int, int],
) -> tuple[NDArray[np.float32], list[list[tuple[int, int, float]]]]:
    """Search a row of windows of the same size; the last cells' ratios, and what stands out."""
    classes, floor = cells
    ratios = np.zeros((halves.shape[0], *classes.shape), dtype=np.float32)
    levels = np.empty(thresholds.size)
    found = []
    limits, (reach, n_cols) = extent
    for n in range(halves.shape[0]):
        over_floor((-reach, reach + 1), halves[n], floor, n_cols, weight, ratios[n])
        class_levels(ratios[n], classes, limits, levels)
        found.append(stand_out(ratios[n], classes, limits, levels, thresholds, n_x, streak))
    return ratios, found


@njit(cache=True, nogil=True, fastmath=True)
def subtract_fringes(
    rows: tuple[int, int], crop: NDArray[np.float32], envelope: NDArray[np.float64], block: int,
    turn_y: NDArray[np.complex64], turn_x: NDArray[np.complex64],
) -> None:
    """Take ``envelope * Re(turn_y * turn_x)``, summed over fringes, off the pixels of some rows.

    The envelope is given on nodes, linear between them.
    """
    n_x = crop.shape[1]
    total = np.empty(n_x, dtype=np.float32)
    for y in range(rows[0], rows[1]):
        total[:] = 0.0
        for s in range(turn_y.shape[0]):
            a, b = turn_y[s, y].real, turn_y[s, y].imag
            for x in range(n_x):
                total[x] += a * turn_x[s, x].real - b * turn_x[s, x].imag
        i = y // block
        below = min(i + 1, envelope.shape[0] - 1)
        v = (y - i * block) / block
        for x in range(n_x):
            j = x // block
            after = min(j + 1, envelope.shape[1] - 1)
            u = (x - j * block) / block
            height = (1 - v) * ((1 - u) * envelope[i, j] + u * envelope[i, after])
            height += v * ((1 - u) * envelope[below, j] + u * envelope[below, after])
            crop[y, x] -= np.float32(height) * total[x]
