"""Strokes: thin, even, with sharp ends, apart from what lies above and below them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONTRASTS = (0.1, 0.25, 0.5)  # of the picture's range
SHORTEST_PX = 16
SHARP = 0.3  # of its contrast: what is no longer the bar
SLENDER = 3.5  # times as long as thick, at least
_LONGEST = 0.975  # of the picture's width: longer strokes are frames and borders of a banner
_SHORTEST = 0.03  # of the width
_THICKEST = 0.05  # of the height
_EVEN = 0.6  # of its contrast: how far the grey level may vary along a bar (half if it is faint)
_FADES = 0.4  # of its contrast: less is lost within a few pixels where something only fades
_UNLIKE = 64  # grey levels of 256
_FILLED = 0.9  # of the columns


@dataclass(frozen=True)
class Bar:
    """A scale bar in a picture; rows and columns are pixel edges (the first pixel is 0 to 1).

    Parameters
    ----------
    kind
        ``bar`` (a stroke or box), ``split`` (a line with its label in the middle), ``ruler``.
    top, bottom, left, right
        Its box.  `right` - `left` is the length that the label states.
    contrast
        Against what lies above and below, as part of the picture's range.
    corners_px
        How far the stroke goes on upwards or downwards from both its ends, on one side only: it may
        be a side of a frame.
    dark
        Whether it is darker than what lies around.
    """

    kind: Literal["bar", "split", "ruler"]
    top: int
    bottom: int
    left: float
    right: float
    contrast: float
    corners_px: int = 0
    dark: bool = False

    @property
    def length_px(self) -> float:
        """Length in pixels."""
        return self.right - self.left

    @property
    def thickness_px(self) -> int:
        """Height in pixels."""
        return self.bottom - self.top


def find_strokes(levels: NDArray[np.uint8]) -> list[Bar]:
    """Find strokes brighter than what lies above and below them."""
    height, width = levels.shape
    shortest = max(SHORTEST_PX, round(_SHORTEST * width))
    stands_out = top_hat(levels, 2 * max(8, round(_THICKEST * height)), axis=0)
    lasting = opened_by(stands_out, (1, shortest))
    # Where a low threshold takes in the noise around a bar, a higher one does not.
    boxes = {box for contrast in CONTRASTS for box in _boxes_over(lasting, 255 * contrast)}
    found = [_stroke(levels, stands_out, slice(*rows), slice(*columns))
             for rows, columns in sorted(boxes)]
    bars: list[Bar] = []
    for bar in found:
        # What the border cuts has no length.
        if bar is not None and bar.length_px <= _LONGEST * width and bar.left > 0.5 \
                and bar.right < width - 0.5 and not any(_same(bar, other) for other in bars):
            bars.append(bar)
    return bars


def _boxes_over(
    lasting: NDArray[np.uint8], threshold: float
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Rows and columns of all slender parts above a threshold."""
    labels, _ = ndimage.label(lasting > threshold)
    return [((rows.start, rows.stop), (columns.start, columns.stop))
            for rows, columns in ndimage.find_objects(labels)
            if columns.stop - columns.start >= SLENDER * (rows.stop - rows.start)]


def _same(one: Bar, other: Bar) -> bool:
    return all(abs(a - b) <= 1.0 for a, b in (
        (one.top, other.top), (one.bottom, other.bottom), (one.left, other.left),
        (one.right, other.right)))


def opened_by(levels: NDArray[np.uint8], window: tuple[int, int]) -> NDArray[np.uint8]:
    """Grey opening: what is narrower than the window goes, be it the border that it meets."""
    import cv2  # here it is about ten times as fast as scipy.ndimage

    # An even window would have no middle, and what is opened would move by half a pixel.
    kernel = np.ones((window[0] | 1, window[1] | 1), np.uint8)
    return np.asarray(cv2.morphologyEx(levels, cv2.MORPH_OPEN, kernel))


def top_hat(levels: NDArray[np.uint8], size: int, axis: int) -> NDArray[np.uint8]:
    """Take off what is broader than `size` along one axis."""
    padding = [(size, size) if index == axis else (0, 0) for index in range(2)]
    # Beyond the border lies the darkest: a bar in the last rows stands out as well.
    padded = np.pad(levels, padding, constant_values=0)
    opened = opened_by(padded, (size, 1) if axis == 0 else (1, size))
    inner = tuple(slice(before, n - after) for (before, after), n in
                  zip(padding, padded.shape, strict=True))
    return np.asarray(levels - opened[inner])


def _stroke(
    levels: NDArray[np.uint8], stands_out: NDArray[np.uint8], rows: slice, columns: slice
) -> Bar | None:
    """Judge one stroke: even, with sharp ends, and apart from what lies above and below."""
    of_row = np.median(stands_out[rows, columns], axis=1)
    level = float(of_row.max())
    firm = np.flatnonzero(of_row > 0.5 * level)
    rows = slice(rows.start + int(firm[0]), rows.start + int(firm[-1]) + 1)
    core = levels[rows, columns]
    even = _spread(core) <= (_EVEN if level > 255 * CONTRASTS[-1] else 0.5 * _EVEN) * level
    # Without first and last rows that are partly ground.
    full = np.flatnonzero(of_row[firm[0]:firm[-1] + 1] > 0.85 * level)
    if not even.any() or not is_filled(core[full[0]:full[-1] + 1]):
        return None
    # Of a ladder these are the outlines.
    profile = np.median(levels[rows][even], axis=0)
    ink = float(np.median(profile[columns]))
    right = end_of(profile, columns, ink, level)
    left = end_of(profile[::-1], slice(profile.size - columns.stop, profile.size - columns.start),
                ink, level)
    if right is None or left is None:
        return None
    bar = Bar("bar", rows.start, rows.stop, profile.size - left, right, level / 255)
    return replace(bar, corners_px=_corners(bar, levels, ink - 0.5 * level))


def _corners(bar: Bar, levels: NDArray[np.uint8], ink: float) -> int:
    """How far both ends go on above or below, where they do so on one side only."""
    inked = levels >= ink
    left, right = math.floor(bar.left), math.ceil(bar.right)
    ends = [np.any(inked[:, max(0, at):at + 3], axis=1) for at in (left, right - 3)]
    above = min(_run(np.asarray(end)[:bar.top][::-1]) for end in ends)
    below = min(_run(np.asarray(end)[bar.bottom:]) for end in ends)
    return max(above, below) if min(above, below) <= 2 else 0


def _run(inked: NDArray[np.bool_]) -> int:
    """Number of leading True."""
    return int(inked.size if inked.all() else np.argmin(inked))


def _spread(core: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How much the grey level changes along each row of a stroke."""
    inner = core[:, 2:-2] if core.shape[1] > 8 else core
    low, high = np.percentile(inner, (10, 90), axis=1)
    return np.asarray(high - low)


def end_of(
    profile: NDArray[np.floating], columns: slice, ink: float, level: float
) -> float | None:
    """Pixel edge where a stroke ends on its right, or None if it fades.

    What of the last pixels is ink, against what lies just beyond, adds up to where the edge is,
    however it was smoothed.
    """
    middle = (columns.start + columns.stop) // 2
    off = np.flatnonzero(ink - profile[middle:] > SHARP * level)
    if off.size == 0:
        return float(profile.size)
    outer = middle + int(off[0])
    # The lowest of the next pixels is the ground, or the outline that is drawn around the bar.
    beyond = outer + int(np.argmin(profile[outer:outer + 4]))
    ground = float(profile[beyond])
    if ink - ground < _FADES * level:
        return None
    inner = max(middle, outer - 3)
    covered = np.clip((profile[inner:beyond + 1] - ground) / (ink - ground), 0.0, 1.0)
    return float(inner + covered.sum())


def stands_apart(bar: Bar, levels: NDArray[np.uint8]) -> bool:
    """Whether there is ground above and below near both ends (a letter may touch one of the four).

    A few pixels are left free for marks at the ends.
    """
    level = 255.0 * bar.contrast
    if bar.length_px < SHORTEST_PX:
        return False
    around = levels[max(0, bar.top - 4):bar.bottom + 4]
    around = 255 - around if bar.dark else around
    top = min(4, bar.top)
    bottom = top + bar.thickness_px
    core = around[top:bottom, math.ceil(bar.left):math.floor(bar.right)]
    ink = float(np.median(core, axis=1).max())
    inwards = min(6, round(0.15 * bar.length_px))
    wide = max(2, min(5, round(0.1 * bar.length_px)))
    left, right = math.ceil(bar.left) + inwards, math.floor(bar.right) - inwards
    free = 0
    for columns in (slice(left, left + wide), slice(right - wide, right)):
        for beside in (around[:top, columns], around[bottom:, columns]):
            free += beside.size == 0 or bool(
                ink - np.median(beside, axis=1).min() > 0.4 * level)
    return free >= 3


def is_filled(inside: NDArray[np.uint8]) -> bool:
    """Whether each column has one value, as in a bar or a ladder; a frame around text has not."""
    inside = inside[1:-1] if inside.shape[0] > 3 else inside
    if inside.shape[0] < 2 or inside.shape[1] == 0:
        return True
    return bool((np.ptp(inside, axis=0) < _UNLIKE).mean() > _FILLED)
