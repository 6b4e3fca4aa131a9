"""Where small labels go: beside their marks, off the other marks and off each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_DIRECTIONS = 16
_INSIDE_PT = 1.0
_APART_PT = 1.2  # on both sides of a label, so that two numbers are not read as one


@dataclass
class LabelPlaces:
    """Finds free places for labels in a panel, in points from its lower left corner.

    Parameters
    ----------
    size
        Width and height of the panel.
    marks
        ``(n, 2)``: places (x, y) that no label may cover.
    clear
        Half side of the square around each mark that is kept clear.
    boxes
        ``(left, bottom, right, top)`` already taken.
    """

    size: tuple[float, float]
    marks: Floats
    clear: float
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)

    def place(
        self, at: Floats, size: tuple[float, float], preferred: Floats
    ) -> tuple[float, float] | None:
        """Return the centre of a free place for a label of `size` next to `at`, and take it.

        Parameters
        ----------
        at
            The label's own mark.
        size
            Width and height of the label.
        preferred
            Direction in which it is looked for first.

        Returns
        -------
        tuple of float or None
            None if every place next to the mark is taken.
        """
        start = float(np.arctan2(preferred[1], preferred[0]))
        for turn in _turns():
            across = np.array([np.cos(start + turn), np.sin(start + turn)])
            # From the mark's edge to the label's centre along that direction.
            reach = self.clear + 0.5 * float(np.abs(across) @ np.array(size))
            centre = at + reach * across
            if self.take(centre, size):
                return float(centre[0]), float(centre[1])
        return None

    def take(self, centre: Floats, size: tuple[float, float]) -> bool:
        """Take the place around `centre` for a label of `size`, if it is free; return whether."""
        half = 0.5 * np.array(size) + [_APART_PT, 0.0]
        low, high = (centre - half).tolist(), (centre + half).tolist()
        box = (low[0], low[1], high[0], high[1])
        free = self._free(box)
        if free:
            self.boxes.append(box)
        return free

    def _free(self, box: tuple[float, float, float, float]) -> bool:
        left, bottom, right, top = box
        if left < _INSIDE_PT or bottom < _INSIDE_PT:
            return False
        if right > self.size[0] - _INSIDE_PT or top > self.size[1] - _INSIDE_PT:
            return False
        if any(left < other[2] and other[0] < right and bottom < other[3] and other[1] < top
               for other in self.boxes):
            return False
        x, y = self.marks[:, 0], self.marks[:, 1]
        clear = 0.7 * self.clear
        beside = (x < left - clear) | (x > right + clear)
        return bool((beside | (y < bottom - clear) | (y > top + clear)).all())


def _turns() -> Iterable[float]:
    """Angles from 0 outwards to both sides."""
    yield 0.0
    for step in range(1, _DIRECTIONS // 2 + 1):
        yield step * 2 * np.pi / _DIRECTIONS
        yield -step * 2 * np.pi / _DIRECTIONS


def barred(indices: str) -> str:
    """Return indices as crystallographers write them: ``1 -1 0`` as 1, 1 with a bar, 0."""
    parts = indices.split()
    apart = r"\," if any(len(part.lstrip("-")) > 1 for part in parts) else ""
    return apart.join(rf"\bar{{{part[1:]}}}" if part.startswith("-") else part for part in parts)
