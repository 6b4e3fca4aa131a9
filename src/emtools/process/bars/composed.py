"""Bars that are made of several strokes: boxes, ladders, lines with their label in the middle."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from emtools.process.bars.strokes import SHARP, Bar, end_of, is_filled

if TYPE_CHECKING:
    from numpy.typing import NDArray


def boxes(strokes: list[Bar], levels: NDArray[np.uint8]) -> list[Bar]:
    """Join the two long sides of outlined boxes and ladders, and a bar with its outline."""
    used: set[int] = set()
    joined = []
    # A bar with its outline first, before the two sides of that outline.
    pairs = sorted(combinations(enumerate(strokes), 2), key=lambda pair: -max(
        pair[0][1].thickness_px, pair[1][1].thickness_px))
    for (i, one), (j, other) in pairs:
        if i in used or j in used or not _same_extent(one, other) \
                or not is_filled(_between(one, other, levels)):
            continue
        used |= {i, j}
        joined.append(_joined(one, other))
    return joined + [bar for index, bar in enumerate(strokes) if index not in used]


def _between(one: Bar, other: Bar, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows = slice(min(one.bottom, other.bottom), max(one.top, other.top))
    return levels[rows, int(one.left) + 2:int(one.right) - 2]


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


def ladders(strokes: list[Bar], levels: NDArray[np.uint8]) -> list[Bar]:
    """Join bright pieces that lie as far from each other as they are long, with dark ones between.

    A ladder begins and ends with a dark piece, which is measured where it is dark.
    """
    found = []
    bright = sorted((bar for bar in strokes if not bar.dark), key=lambda bar: bar.left)
    for one, other in combinations(bright, 2):
        piece = 0.5 * (one.length_px + other.length_px)
        off = max(abs(one.length_px - other.length_px), abs(other.left - one.right - piece))
        if off > 2.0 + 0.03 * piece or abs(one.top - other.top) > 1 \
                or abs(one.bottom - other.bottom) > 1:
            continue
        dark = 255.0 - np.median(levels[one.top:one.bottom], axis=0)
        ink = float(np.median(dark[math.ceil(one.right) + 1:math.floor(other.left) - 1]))
        level = 255.0 * min(one.contrast, other.contrast)
        size = dark.size
        left = _dark_end(dark[::-1], (size - one.left, piece), ink, level)
        right = _dark_end(dark, (other.right, piece), ink, level)
        if left is not None and right is not None:
            found.append(replace(one, left=size - left, right=right, top=one.top - 1,
                                 bottom=one.bottom + 1, corners_px=0, dark=True))
    return found


def _dark_end(
    dark: NDArray[np.floating], piece: tuple[float, float], ink: float, level: float
) -> float | None:
    """Where a dark piece that begins at a place ends, if it is as long as the others."""
    begin, length = piece
    columns = slice(math.ceil(begin) + 1, math.floor(begin + length) - 1)
    if columns.stop > dark.size or columns.stop <= columns.start \
            or (dark[columns] < ink - SHARP * level).any():
        return None
    end = end_of(dark, columns, ink, level)
    return end if end is not None and abs(end - begin - length) <= 2.0 + 0.03 * length else None


def split_lines(strokes: list[Bar]) -> list[Bar]:
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
