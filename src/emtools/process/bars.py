"""Scale bars that were drawn into a picture: where they are and how long, to a part of a pixel.

A bar is a thin horizontal stroke of one grey level, whatever lies under it: it stands out of its own
column and lasts along its row.  Solid bars, outlined boxes, ladders of black and white pieces, lines
with end marks or with their label in the middle, and rulers of ticks are found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LONGEST = 0.975  # of the picture's width: longer strokes are frames and borders of a banner
_SHORTEST = 0.03  # of the width
_SHORTEST_PX = 16
_THICKEST = 0.05  # of the height
_CONTRAST = 0.1  # of the picture's range
_EVEN = 0.12  # of its contrast: how far the grey level may vary along a bar (compression, blur)
_SLENDER = 3.5  # times as long as thick, at least
_UNLIKE = 64  # grey levels of 256
_FILLED = 0.9  # of the columns
_TICKS = 5  # fewer are letters
_TICK_WIDTH = 6
_TICK_HEIGHT = 4


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
    """

    kind: Literal["bar", "split", "ruler"]
    top: int
    bottom: int
    left: float
    right: float
    contrast: float

    @property
    def length_px(self) -> float:
        """Length in pixels."""
        return self.right - self.left

    @property
    def thickness_px(self) -> int:
        """Height in pixels."""
        return self.bottom - self.top


def find_bars(pixels: NDArray[np.generic]) -> list[Bar]:
    """Find all strokes of a picture that may be scale bars.

    Parameters
    ----------
    pixels
        ``(y, x)``, real.

    Returns
    -------
    list of Bar
        Those with the most contrast first.  Also edges of straight objects are among them: what
        makes a scale bar of a stroke is its label.
    """
    levels = as_levels(pixels)
    if levels is None or min(levels.shape) < _SHORTEST_PX:
        return []
    signs = (levels, 255 - levels)
    strokes = [bar for sign in signs for bar in _strokes(sign)]
    rulers = [bar for sign in signs for bar in _rulers(sign)]
    bars = [*rulers, *_split(strokes), *_boxes(strokes, levels)]
    return sorted(bars, key=lambda bar: -bar.contrast)


def as_levels(pixels: NDArray[np.generic]) -> NDArray[np.uint8] | None:
    """Return 256 grey levels from the lowest to the highest value; None if there is but one."""
    values = np.nan_to_num(np.asarray(pixels, dtype=np.float32))
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return None
    return np.asarray((values - low) * (255.0 / (high - low)) + 0.5, dtype=np.uint8)


def _strokes(levels: NDArray[np.uint8]) -> list[Bar]:
    """Find strokes brighter than what lies above and below them."""
    height, width = levels.shape
    shortest = max(_SHORTEST_PX, round(_SHORTEST * width))
    stands_out = _top_hat(levels, 2 * max(8, round(_THICKEST * height)), axis=0)
    lasting = _opened(stands_out, (1, shortest))
    labels, _ = ndimage.label(lasting > 255 * _CONTRAST)
    bars = []
    for rows, columns in ndimage.find_objects(labels):
        if columns.stop - columns.start >= _SLENDER * (rows.stop - rows.start):
            bar = _stroke(levels, stands_out, rows, columns)
            if bar is not None and bar.length_px <= _LONGEST * width:
                bars.append(bar)
    return bars


def _opened(levels: NDArray[np.uint8], window: tuple[int, int]) -> NDArray[np.uint8]:
    """Grey opening: what is narrower than the window goes, be it the border that it meets."""
    import cv2  # here it is about ten times as fast as scipy.ndimage

    # An even window would have no middle, and what is opened would move by half a pixel.
    kernel = np.ones((window[0] | 1, window[1] | 1), np.uint8)
    return np.asarray(cv2.morphologyEx(levels, cv2.MORPH_OPEN, kernel))


def _top_hat(levels: NDArray[np.uint8], size: int, axis: int) -> NDArray[np.uint8]:
    """Take off what is broader than `size` along one axis."""
    padding = [(size, size) if index == axis else (0, 0) for index in range(2)]
    # Beyond the border lies the darkest: a bar in the last rows stands out as well.
    padded = np.pad(levels, padding, constant_values=0)
    opened = _opened(padded, (size, 1) if axis == 0 else (1, size))
    inner = tuple(slice(before, n - after) for (before, after), n in
                  zip(padding, padded.shape, strict=True))
    return np.asarray(levels - opened[inner])


def _stroke(
    levels: NDArray[np.uint8], stands_out: NDArray[np.uint8], rows: slice, columns: slice
) -> Bar | None:
    """Judge one stroke, and measure where it ends: at half its height over what is beside it."""
    core = stands_out[rows, columns]
    of_row = np.median(core, axis=1)
    level = float(of_row.max())
    firm = np.flatnonzero(of_row > 0.5 * level)
    rows = slice(rows.start + int(firm[0]), rows.start + int(firm[-1]) + 1)
    if _uneven(levels[rows, columns], level) or not _filled(levels[rows, columns]):
        return None
    profile = np.median(stands_out[rows], axis=0)
    left = _edge(profile[::-1], profile.size - 1 - columns.start, level)
    right = _edge(profile, columns.stop - 1, level)
    return Bar("bar", rows.start, rows.stop, profile.size - left, right, level / 255)


def _uneven(core: NDArray[np.uint8], level: float) -> bool:
    """Whether the grey level changes along the stroke more than what a program draws."""
    inner = core[:, 2:-2] if core.shape[1] > 8 else core
    of_row = np.ptp(np.percentile(inner, (10, 90), axis=1), axis=0)
    return bool(of_row.min() > _EVEN * level)


def _edge(profile: NDArray[np.floating], inside: int, level: float) -> float:
    """Go right from a pixel inside to where the profile passes half of `level`, as pixel edge."""
    half = 0.5 * level
    below = np.flatnonzero(profile[inside:] < half)
    if below.size == 0:
        return float(profile.size)
    if below[0] == 0:  # the opening's box reaches a pixel past the half
        above = np.flatnonzero(profile[: inside + 1] >= half)
        inside = int(above[-1]) if above.size else inside
        below = np.flatnonzero(profile[inside:] < half)
    outer = inside + int(below[0])
    # The last pixel above and the first below share the edge: linear between their centres.
    high, low = float(profile[outer - 1]), float(profile[outer])
    high, low = min(high, level), max(low, 0.0)
    covered = low / level + min(high / level, 1.0) - 1.0 if high > low else 0.0
    return outer + float(np.clip(covered, -1.0, 1.0))


def _boxes(strokes: list[Bar], levels: NDArray[np.uint8]) -> list[Bar]:
    """Join the two long sides of outlined boxes and ladders, and a bar with its outline."""
    used: set[int] = set()
    joined = []
    for (i, one), (j, other) in combinations(enumerate(strokes), 2):
        if i in used or j in used or not _same_extent(one, other) \
                or not _filled(_between(one, other, levels)):
            continue
        used |= {i, j}
        joined.append(_joined(one, other))
    return joined + [bar for index, bar in enumerate(strokes) if index not in used]


def _between(one: Bar, other: Bar, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows = slice(min(one.bottom, other.bottom), max(one.top, other.top))
    return levels[rows, int(one.left) + 2:int(one.right) - 2]


def _filled(inside: NDArray[np.uint8]) -> bool:
    """Whether each column has one value, as in a bar or a ladder; a frame around text has not."""
    inside = inside[1:-1] if inside.shape[0] > 3 else inside
    if inside.shape[0] < 2 or inside.shape[1] == 0:
        return True
    return bool((np.ptp(inside, axis=0) < _UNLIKE).mean() > _FILLED)


def _same_extent(one: Bar, other: Bar) -> bool:
    """Whether two strokes lie on each other, as outlines and the bar within them do."""
    apart = max(one.top, other.top) - min(one.bottom, other.bottom)
    tolerance = 1.5 + 0.01 * max(one.length_px, other.length_px)
    return (abs(one.left - other.left) <= tolerance and abs(one.right - other.right) <= tolerance
            and apart <= max(3.0, 0.12 * one.length_px))


def _joined(one: Bar, other: Bar) -> Bar:
    # Where one is much thicker it is the bar, and the other the outline drawn around it.
    thick, thin = sorted((one, other), key=lambda bar: -bar.thickness_px)
    top, bottom = min(one.top, other.top), max(one.bottom, other.bottom)
    if thick.thickness_px >= thin.thickness_px + 2:
        return replace(thick, top=top, bottom=bottom)
    return Bar("bar", top, bottom, min(one.left, other.left), max(one.right, other.right),
               max(one.contrast, other.contrast))


def _split(strokes: list[Bar]) -> list[Bar]:
    """Join two equal strokes in one line: the label stands between them."""
    found = []
    for one, other in combinations(sorted(strokes, key=lambda bar: bar.left), 2):
        gap = other.left - one.right
        alike = abs(one.length_px - other.length_px) <= 2 + 0.1 * one.length_px
        level = abs(one.top - other.top) <= 1 and abs(one.bottom - other.bottom) <= 1
        # Pieces of a ladder lie closer than any label is wide.
        if alike and level and max(10.0, 2 * one.thickness_px) < gap < 6 * one.length_px:
            found.append(Bar("split", min(one.top, other.top), max(one.bottom, other.bottom),
                             one.left, other.right, min(one.contrast, other.contrast)))
    return found


def _rulers(levels: NDArray[np.uint8]) -> list[Bar]:
    """Find rows of equally spaced ticks brighter than their ground."""
    stands_out = _top_hat(levels, 2 * _TICK_WIDTH, axis=1)
    lasting = _opened(stands_out, (_TICK_HEIGHT, 1))
    labels, _ = ndimage.label(lasting > 3 * 255 * _CONTRAST)
    ticks = [(rows, columns) for rows, columns in ndimage.find_objects(labels)
             if columns.stop - columns.start <= _TICK_WIDTH < _SLENDER * (rows.stop - rows.start)]
    ends: dict[tuple[str, int], list[tuple[slice, slice]]] = {}
    for rows, columns in ticks:
        ends.setdefault(("top", rows.start), []).append((rows, columns))
        ends.setdefault(("bottom", rows.stop), []).append((rows, columns))
    found = [_ruler(row, stands_out) for row in ends.values() if len(row) >= _TICKS]
    return [bar for bar in found if bar is not None]


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
    return Bar("ruler", min(r.start for r, _ in ticks), max(r.stop for r, _ in ticks),
               float(middles[0]), float(middles[-1]), float(profile.max()) / 255)
