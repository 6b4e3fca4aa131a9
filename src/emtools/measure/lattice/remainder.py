"""What is left of a plane when known fringes are taken off."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from emtools.process.threads import in_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.lattice.domain import Domain
    from emtools.measure.lattice.refine import Fringes


class Remainder:
    """A plane without the fringes that are known so far.

    Fringes are taken off when somebody looks: where the first crystal explains all, never.

    Parameters
    ----------
    values
        ``(y, x)``, flat; not changed.
    """

    def __init__(self, values: NDArray[np.float32]) -> None:
        self._values = values
        self._is_copy = False
        self._pending: list[tuple[Domain, list[Fringes]]] = []

    @property
    def frame(self) -> tuple[int, int]:
        """Shape of the plane."""
        return self._values.shape[0], self._values.shape[1]

    def take_off(self, domain: Domain, fringes: list[Fringes]) -> None:
        """Take fringes off."""
        self._pending.append((domain, fringes))

    def put_back(self, domain: Domain, fringes: list[Fringes]) -> None:
        """Put fringes back that were taken off."""
        self.take_off(domain, [replace(one, amplitude=-one.amplitude) for one in fringes])

    @property
    def values(self) -> NDArray[np.float32]:
        """All pixels, ``(y, x)``."""
        if self._pending and not self._is_copy:
            self._values, self._is_copy = self._values.copy(), True
        for domain, fringes in self._pending:
            take_off(self._values, (0, 0), domain, fringes)
        self._pending.clear()
        return self._values

    def part(self, origin: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return a part of the plane, as a copy."""
        top, left = origin
        pixels = self._values[top:top + shape[0], left:left + shape[1]].copy()
        for domain, fringes in self._pending:
            take_off(pixels, origin, domain, fringes)
        return pixels


def take_off(
    pixels: NDArray[np.float32], origin: tuple[int, int], domain: Domain, fringes: list[Fringes]
) -> None:
    """Subtract fringes from the pixels under their domain, in place.

    Parameters
    ----------
    pixels
        A part of the plane.
    origin
        ``(y, x)`` of its first pixel.
    domain
        Where the fringes are.
    fringes
        As they were refined.
    """
    from emtools.measure.lattice._kernels import subtract_fringes

    # Rows and columns of the plane that lie in both.
    low = np.maximum(origin, domain.origin)
    high = np.minimum(np.add(origin, pixels.shape), np.add(domain.origin, domain.shape))
    if (low >= high).any():
        return
    top, left = (low - origin).tolist()
    bottom, right = (high - origin).tolist()
    shared = pixels[top:bottom, left:right]
    y, x = (np.arange(first, end) for first, end in zip(low, high, strict=True))
    f = np.array([one.frequency for one in fringes])
    start = np.array([one.amplitude * np.exp(1j * one.phase) for one in fringes])[:, None]
    turn_y = (start * np.exp(2j * np.pi * np.outer(f[:, 0], y))).astype(np.complex64)
    turn_x = np.exp(2j * np.pi * np.outer(f[:, 1], x)).astype(np.complex64)
    begin = (int(low[0] - domain.origin[0]), int(low[1] - domain.origin[1]))

    def subtract(rows: tuple[int, int]) -> None:
        subtract_fringes(rows, shared, begin, domain.envelope, domain.block, turn_y, turn_x)

    in_spans(subtract, (0, len(y)), shared.size * len(fringes))
