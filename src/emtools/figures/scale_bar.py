"""Scale bars: a round length, about a quarter of the picture, readable on any ground."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle

from emtools.figures.style import TEXT_PT, size_pt, text_width_pt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Box = tuple[float, float, float, float]

_PART_OF_WIDTH = 0.25
_BAR_PT, _PAD_PT, _MARGIN_PT = 1.8, 2.6, 3.5


def round_length(width: float) -> float:
    """Return the 1-2-5 number nearest (as a ratio) to a quarter of `width`."""
    wanted = _PART_OF_WIDTH * width
    decade = math.floor(math.log10(wanted))
    candidates = [digit * 10.0**power for power in (decade, decade + 1) for digit in (1, 2, 5)]
    best = min(candidates, key=lambda length: abs(math.log(length / wanted)))
    return float(f"{best:.1g}")


def length_label(length: float, unit: str) -> str:
    """Return a length as people write it: ``5 Å``, ``20 nm``, ``1 µm``, ``2 nm⁻¹``."""
    if unit == "nm":
        for factor, name in ((1e-6, "mm"), (1e-3, "µm"), (1.0, "nm")):
            if length * factor >= 1.0:
                return f"{length * factor:g} {name}"
        return f"{length * 10:g} Å"
    return f"{length:g} {unit_label(unit)}"


def unit_label(unit: str) -> str:
    """Return a unit in print: ``1/nm`` as ``nm⁻¹``."""
    return f"{unit[2:]}⁻¹" if unit.startswith("1/") else unit


def add_scale_bar(
    axes: Axes, pixel: float, unit: str, floor: float | None = None, avoid: Floats | None = None,
    length: float | None = None,
) -> Box:
    """Draw a scale bar in a lower corner of a picture, or in an upper one if those are busy.

    Parameters
    ----------
    axes
        Showing a picture; its limits are those of the picture.
    pixel
        Length in `unit` of one step of the horizontal axis.
    unit
        ``nm``, ``1/nm``, ``px`` ...
    floor
        Vertical position that the bar stays above; None for the lower edge.
    avoid
        ``(n, 2)`` marks (x, y) in data units; the corner that covers fewest is taken.
    length
        Of the bar in `unit`; a round one by default.

    Returns
    -------
    tuple of float
        Left, bottom, right, top of the plate, in points from the panel's lower left corner.
    """
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    size = size_pt(axes)
    per_pt = (right - left) / size[0], (top - bottom) / size[1]  # data units in one point
    if length is None or not 0 < length < 0.9 * (right - left) * pixel:
        length = round_length((right - left) * pixel)
    label = length_label(length, unit)
    long_pt = length / pixel / per_pt[0]
    plate = (max(long_pt, text_width_pt(label)) + 2 * _PAD_PT, TEXT_PT + _BAR_PT + 2.6 * _PAD_PT)
    lowest = 0.0 if floor is None else (floor - bottom) / per_pt[1]
    marks = None if avoid is None else (avoid - [left, bottom]) / per_pt
    box = _corner(size, plate, lowest, marks)

    def at(x_pt: float, y_pt: float) -> tuple[float, float]:
        return left + x_pt * per_pt[0], bottom + y_pt * per_pt[1]

    middle = 0.5 * (box[0] + box[2])
    axes.add_patch(Rectangle(at(*box[:2]), plate[0] * per_pt[0], plate[1] * per_pt[1], alpha=0.62,
                             facecolor="black", edgecolor="none", zorder=8, gid="scale-bar-plate"))
    axes.add_patch(Rectangle(at(middle - 0.5 * long_pt, box[1] + _PAD_PT), long_pt * per_pt[0],
                             _BAR_PT * per_pt[1], facecolor="white", edgecolor="none", zorder=9,
                             gid="scale-bar"))
    axes.text(*at(middle, box[1] + _BAR_PT + 1.7 * _PAD_PT), label, color="white", ha="center",
              va="baseline", size=TEXT_PT, zorder=9, parse_math=False, gid="scale-bar-label")
    return box


def _corner(
    size: tuple[float, float], plate: tuple[float, float], lowest: float, marks: Floats | None
) -> Box:
    lefts = (_MARGIN_PT, size[0] - _MARGIN_PT - plate[0])
    bottoms = (lowest + _MARGIN_PT, size[1] - _MARGIN_PT - plate[1])
    boxes = [(x, y, x + plate[0], y + plate[1]) for y in bottoms for x in lefts]
    if marks is None or len(marks) == 0:
        return boxes[0]

    def covered(box: Box) -> int:
        inside = (marks > np.array(box[:2]) - _PAD_PT) & (marks < np.array(box[2:]) + _PAD_PT)
        return int(inside.all(axis=1).sum())

    return min(boxes, key=covered)  # the first of equals
