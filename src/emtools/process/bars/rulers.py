"""Rulers: rows of equally spaced ticks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from emtools.process.bars.strokes import CONTRASTS, SLENDER, Bar, opened_by, top_hat

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TICKS = 7  # fewer are letters
_TICK_WIDTH = 6
_TICK_HEIGHT = 4
_MOST_RULERS = 3  # its ticks may have two heights
_DRAWN = 0.25  # of the height of ticks: how far they and their ground may vary


def find_rulers(levels: NDArray[np.uint8]) -> list[Bar]:
    """Find rows of equally spaced ticks brighter than their ground."""
    stands_out = top_hat(levels, 2 * _TICK_WIDTH, axis=1)
    lasting = opened_by(stands_out, (_TICK_HEIGHT, 1))
    labels, _ = ndimage.label(lasting > 255 * CONTRASTS[1])
    ticks = [(rows, columns) for rows, columns in ndimage.find_objects(labels)
             if columns.stop - columns.start <= _TICK_WIDTH < SLENDER * (rows.stop - rows.start)]
    ends: dict[tuple[str, int], list[tuple[slice, slice]]] = {}
    for rows, columns in ticks:
        ends.setdefault(("top", rows.start), []).append((rows, columns))
        ends.setdefault(("bottom", rows.stop), []).append((rows, columns))
    found = [_ruler(row, stands_out) for row in ends.values() if len(row) >= _TICKS]
    rulers = [bar for bar in found if bar is not None]
    # A picture has one ruler; where there are many, they are the rows of a lattice.
    return rulers if len({bar.top // _TICK_WIDTH for bar in rulers}) <= _MOST_RULERS else []


def _ruler(
    ticks: list[tuple[slice, slice]], stands_out: NDArray[np.uint8]
) -> Bar | None:
    rows = slice(max(r.start for r, _ in ticks), min(r.stop for r, _ in ticks))
    if rows.stop <= rows.start:
        return None
    profile = stands_out[rows].mean(axis=0)
    middles = np.sort([float(np.average(np.arange(c.start, c.stop) + 0.5,
                                        weights=profile[c] + 1e-6)) for _, c in ticks])
    steps = np.diff(middles)
    step = float(np.median(steps))
    if step < 2 * _TICK_WIDTH or np.abs(steps - step).max() > max(1.2, 0.03 * step):
        return None
    # Ticks are drawn on an even ground, in one colour; fringes and their noise are not.
    heights = profile[np.round(middles - 0.5).astype(int)]
    between = profile[np.round(middles[:-1] + 0.5 * steps - 0.5).astype(int)]
    if max(np.ptp(heights), np.ptp(between)) > _DRAWN * heights.max():
        return None
    return Bar("ruler", min(r.start for r, _ in ticks), max(r.stop for r, _ in ticks),
               float(middles[0]), float(middles[-1]), float(profile.max()) / 255)
