"""Compiled inner loops of the lattice measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray


@njit(cache=True, nogil=True, fastmath=True)
def demodulate_rows(
    values: NDArray[np.float32], segment: int, block: int, table_y: NDArray[np.float32],
    table_x: NDArray[np.float32], upper: NDArray[np.complex128], lower: NDArray[np.complex128],
) -> None:
    """Sums of ``values * exp(-2 pi i f r)`` under hats of half width `block`, of one row segment.

    ``upper`` and ``lower`` receive the shares of the nodes above and below the segment,
    ``(n_frequencies, n_nodes_x)``.  The tables ``(n_frequencies, n, 4)`` and ``(n_frequencies, 4,
    n)`` hold cosine and minus sine, and both times the place between the nodes.
    """
    n_x = values.shape[1]
    first, end = segment * block, min((segment + 1) * block, values.shape[0])
    sums = np.empty((4, n_x), dtype=np.float32)
    for s in range(table_x.shape[0]):
        sums[:] = 0.0
        for y in range(first, end - 3, 4):
            _add_rows(values[y : y + 4], table_y[s, y : y + 4], sums)
        for y in range(end - (end - first) % 4, end):
            a, b, c, d = table_y[s, y]
            for x in range(n_x):
                sums[0, x] += a * values[y, x]
                sums[1, x] += b * values[y, x]
                sums[2, x] += c * values[y, x]
                sums[3, x] += d * values[y, x]
        for j in range(upper.shape[1] - 1):
            part = slice(j * block, min((j + 1) * block, n_x))
            whole, far = _along_x(sums[0, part], sums[1, part], table_x[s, :, part])
            low_whole, low_far = _along_x(sums[2, part], sums[3, part], table_x[s, :, part])
            lower[s, j] += low_whole - low_far
            lower[s, j + 1] += low_far
            upper[s, j] += (whole - low_whole) - (far - low_far)
            upper[s, j + 1] += far - low_far


@njit(nogil=True, fastmath=True, inline="always")
def _add_rows(
    rows: NDArray[np.float32], table: NDArray[np.float32], sums: NDArray[np.float32]
) -> None:
    """Add four rows, each times its four factors."""
    r0, r1, r2, r3 = rows[0], rows[1], rows[2], rows[3]
    a, b, c, d = sums[0], sums[1], sums[2], sums[3]
    t = table
    for x in range(r0.size):
        p, q, r, s = r0[x], r1[x], r2[x], r3[x]
        a[x] += t[0, 0] * p + t[1, 0] * q + t[2, 0] * r + t[3, 0] * s
        b[x] += t[0, 1] * p + t[1, 1] * q + t[2, 1] * r + t[3, 1] * s
        c[x] += t[0, 2] * p + t[1, 2] * q + t[2, 2] * r + t[3, 2] * s
        d[x] += t[0, 3] * p + t[1, 3] * q + t[2, 3] * r + t[3, 3] * s


@njit(nogil=True, fastmath=True, inline="always")
def _along_x(
    real: NDArray[np.float32], imag: NDArray[np.float32], table: NDArray[np.float32]
) -> tuple[complex, complex]:
    """Sums of a row between two nodes, demodulated along x: whole, and the far node's share."""
    a, b = np.float32(0.0), np.float32(0.0)
    c, d = np.float32(0.0), np.float32(0.0)
    for x in range(real.size):
        a += real[x] * table[0, x] - imag[x] * table[1, x]
        b += real[x] * table[1, x] + imag[x] * table[0, x]
        c += real[x] * table[2, x] - imag[x] * table[3, x]
        d += real[x] * table[3, x] + imag[x] * table[2, x]
    return complex(a, b), complex(c, d)


@njit(cache=True, nogil=True, fastmath=True)
def subtract_fringes(
    rows: tuple[int, int], pixels: NDArray[np.float32], begin: tuple[int, int],
    envelope: NDArray[np.float64], block: int, turn_y: NDArray[np.complex64],
    turn_x: NDArray[np.complex64],
) -> None:
    """Take ``envelope * Re(turn_y * turn_x)``, summed over fringes, off the pixels of some rows.

    The envelope is given on nodes, linear between them; the first pixel lies `begin` from the
    first node.
    """
    n_x = pixels.shape[1]
    total = np.empty(n_x, dtype=np.float32)
    for y in range(rows[0], rows[1]):
        total[:] = 0.0
        for s in range(turn_y.shape[0]):
            a, b = turn_y[s, y].real, turn_y[s, y].imag
            for x in range(n_x):
                total[x] += a * turn_x[s, x].real - b * turn_x[s, x].imag
        i = (y + begin[0]) // block
        below = min(i + 1, envelope.shape[0] - 1)
        v = (y + begin[0] - i * block) / block
        for x in range(n_x):
            j = (x + begin[1]) // block
            after = min(j + 1, envelope.shape[1] - 1)
            u = (x + begin[1] - j * block) / block
            height = (1 - v) * ((1 - u) * envelope[i, j] + u * envelope[i, after])
            height += v * ((1 - u) * envelope[below, j] + u * envelope[below, after])
            pixels[y, x] -= np.float32(height) * total[x]
