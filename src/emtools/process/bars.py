"""Scale bars that were drawn into a picture: where they are and how long, to a part of a pixel.

A bar is a thin horizontal stroke of one grey level, whatever lies under it: it stands out of its
own column and lasts along its row.  Solid bars, outlined boxes, ladders of black and white pieces,
lines with end marks or with their label in the middle, and rulers of ticks are found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from emtools.model import Image

_KEY = "scale_bar"  # in an image's raw metadata
_LONGEST = 0.975  # of the picture's width: longer strokes are frames and borders of a banner
_SHORTEST = 0.03  # of the width
_SHORTEST_PX = 16
_THICKEST = 0.05  # of the height
_CONTRASTS = (0.1, 0.25, 0.5)  # of the picture's range
_EVEN = 0.6  # of its contrast: how far the grey level may vary along a bar (half if it is faint)
_SHARP = 0.3  # of its contrast: what is no longer the bar
_FADES = 0.4  # of its contrast: less is lost within a few pixels where something only fades
_SLENDER = 3.5  # times as long as thick, at least
_UNLIKE = 64  # grey levels of 256
_FILLED = 0.9  # of the columns
_TICKS = 7  # fewer are letters
_TICK_WIDTH = 6
_MOST_RULERS = 3  # its ticks may have two heights
_DRAWN = 0.25  # of the height of ticks: how far they and their ground may vary
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


def scale_bar_of(image: Image) -> dict[str, Any] | None:
    """Return what was read from the bar that is drawn into a picture, or None.

    Returns
    -------
    dict or None
        ``text, length, unit, length_px, pixel_size, pixel_size_err, used, doubts, confirmed_by,
        kind``, and ``bar`` and ``label``: top, bottom, left and right in pixel edges.
    """
    found = image.raw_metadata.get(_KEY)
    return None if found is None else dict(found)


def with_record(image: Image, record: Mapping[str, Any]) -> Image:
    """Return the image with what was read from its bar."""
    return replace(image, raw_metadata={**image.raw_metadata, _KEY: dict(record)})


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
    strokes = [*_strokes(levels), *(replace(bar, dark=True) for bar in _strokes(255 - levels))]
    rulers = [bar for sign in (levels, 255 - levels) for bar in _rulers(sign)]
    boxes = [bar for bar in _boxes(strokes, levels) if _apart(bar, levels)]
    bars = [*rulers, *_split(strokes), *boxes]
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
    # Where a low threshold takes in the noise around a bar, a higher one does not.
    boxes = {box for contrast in _CONTRASTS for box in _boxes_over(lasting, 255 * contrast)}
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
            if columns.stop - columns.start >= _SLENDER * (rows.stop - rows.start)]


def _same(one: Bar, other: Bar) -> bool:
    return all(abs(a - b) <= 1.0 for a, b in (
        (one.top, other.top), (one.bottom, other.bottom), (one.left, other.left),
        (one.right, other.right)))


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
    """Judge one stroke: even, with sharp ends, and apart from what lies above and below."""
    of_row = np.median(stands_out[rows, columns], axis=1)
    level = float(of_row.max())
    firm = np.flatnonzero(of_row > 0.5 * level)
    rows = slice(rows.start + int(firm[0]), rows.start + int(firm[-1]) + 1)
    core = levels[rows, columns]
    even = _spread(core) <= (_EVEN if level > 255 * _CONTRASTS[-1] else 0.5 * _EVEN) * level
    # Without first and last rows that are partly ground.
    full = np.flatnonzero(of_row[firm[0]:firm[-1] + 1] > 0.85 * level)
    if not even.any() or not _filled(core[full[0]:full[-1] + 1]):
        return None
    # Of a ladder these are the outlines.
    profile = np.median(levels[rows][even], axis=0)
    ink = float(np.median(profile[columns]))
    right = _end(profile, columns, ink, level)
    left = _end(profile[::-1], slice(profile.size - columns.stop, profile.size - columns.start),
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


def _end(
    profile: NDArray[np.floating], columns: slice, ink: float, level: float
) -> float | None:
    """Pixel edge where a stroke ends on its right, or None if it fades.

    What of the last pixels is ink, against what lies just beyond, adds up to where the edge is,
    however it was smoothed.
    """
    middle = (columns.start + columns.stop) // 2
    off = np.flatnonzero(ink - profile[middle:] > _SHARP * level)
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


def _apart(bar: Bar, levels: NDArray[np.uint8]) -> bool:
    """Whether there is ground above and below near both ends (a letter may touch one of the four).

    A few pixels are left free for marks at the ends.
    """
    level = 255.0 * bar.contrast
    if bar.length_px < _SHORTEST_PX:
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


def _boxes(strokes: list[Bar], levels: NDArray[np.uint8]) -> list[Bar]:
    """Join the two long sides of outlined boxes and ladders, and a bar with its outline."""
    used: set[int] = set()
    joined = []
    # A bar with its outline first, before the two sides of that outline.
    pairs = sorted(combinations(enumerate(strokes), 2), key=lambda pair: -max(
        pair[0][1].thickness_px, pair[1][1].thickness_px))
    for (i, one), (j, other) in pairs:
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
    # An outline touches its bar; sides of a box are thinner than what they enclose.
    thick = max(one.thickness_px, other.thickness_px)
    fits = apart <= 1 if one.dark != other.dark else \
        thick <= max(3, apart) and apart <= 0.12 * one.length_px
    return (fits and abs(one.left - other.left) <= tolerance
            and abs(one.right - other.right) <= tolerance)


def _joined(one: Bar, other: Bar) -> Bar:
    # Where one is much thicker it is the bar, and the other the outline drawn around it.
    thick, thin = sorted((one, other), key=lambda bar: -bar.thickness_px)
    top, bottom = min(one.top, other.top), max(one.bottom, other.bottom)
    if thick.thickness_px >= thin.thickness_px + 2:
        # Programs do not agree on whether the outline counts: the truth lies between.
        return replace(thick, top=top, bottom=bottom, left=0.5 * (thick.left + thin.left),
                       right=0.5 * (thick.right + thin.right))
    return replace(one, top=top, bottom=bottom, left=min(one.left, other.left),
                   right=max(one.right, other.right), corners_px=0,
                   contrast=max(one.contrast, other.contrast))


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
    labels, _ = ndimage.label(lasting > 255 * _CONTRASTS[1])
    ticks = [(rows, columns) for rows, columns in ndimage.find_objects(labels)
             if columns.stop - columns.start <= _TICK_WIDTH < _SLENDER * (rows.stop - rows.start)]
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
