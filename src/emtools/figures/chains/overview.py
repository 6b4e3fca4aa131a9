"""Dots outlined, centrelines coloured by the local width, chains numbered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy.spatial import cKDTree

from emtools.figures.chains.common import (
    CASING,
    Drawn,
    Points,
    counted,
    draw_casing,
    draw_outlines,
    plates,
    tangent,
    unit_of,
)
from emtools.figures.display import picture
from emtools.figures.images import panel_size, show
from emtools.figures.style import (
    COLUMN_IN,
    DPI,
    LINE_PT,
    ORANGE,
    POINTS,
    SKY,
    TALLEST_IN,
    TEXT_PT,
    note,
    panel,
    sheet,
    style,
    text_width_pt,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emtools.model import Image, Result

    Floats = NDArray[np.float64]

_EDGE, _KEY = 0.01, 0.17
_BAR, _BAR_HIGH, _BAR_WIDE, _BAR_DOWN = 0.25, 0.06, 1.3, 0.06  # in inches, of the colour bar
_NUMBER_OFFSET_PT = 7.0  # from the edge of the dots
_CLEARANCE_PT = 20.0  # farther than that from everything else is no better
_INSIDE_PT, _APART_PT = 6.0, 8.0
# More chains are drawn one and a half columns wide, with smaller numbers.
_MANY, _WIDE_IN, _SMALL_PT = 60, 140 / 25.4, 5.5
# The dark end of plasma is lost on the black of a micrograph, the rest is as even to the eye.
_DARKEST = 0.3
_ROBUST = (5.0, 95.0)
_ALIKE = 1e-3  # relative range of widths that is no range


def width_colours() -> ListedColormap:
    """Return the colour map of widths: even to the eye, bright on black, all of it unlike grey."""
    return ListedColormap(mpl.colormaps["plasma"](np.linspace(_DARKEST, 1.0, 256)), "widths")


def chains_figure(image: Image, result: Result) -> Figure:
    """Return the image with dots outlined, centrelines coloured by width and chains numbered.

    The strands of a double helix have its number behind theirs: ``3 H1``.  The colours span the
    middle 90 % of the local widths, and the bar has arrows where some lie beyond.

    Parameters
    ----------
    image
        The image that was measured.
    result
        Of the ``chains`` measurement, with tables ``dots`` and ``axes``.

    Raises
    ------
    ImageError
        If the image is no picture.
    """
    with style():
        drawn = Drawn.of(result.tables, image.calibration())
        many = len(drawn.centrelines) > _MANY
        column, tallest = (_WIDE_IN, _WIDE_IN) if many else (COLUMN_IN, TALLEST_IN)
        shown = picture(image, round(column * DPI)) if many else picture(image)
        wide, high = panel_size(shown, column - 2 * _EDGE, tallest)
        shades = _shades(drawn)
        below = _KEY + (_BAR if shades is not None else 0.0)
        figure = sheet(high + 2 * _EDGE + below, max(wide + 2 * _EDGE, 0.6 * COLUMN_IN))
        axes = panel(figure, (_EDGE, _EDGE + below, wide, high))
        show(axes, shown, avoid=drawn.marks())
        draw_outlines(axes, drawn)
        lines = _centrelines(axes, drawn, shades)
        _numbers(axes, drawn, _labels(drawn, result.tables.get("chains")),
                 _SMALL_PT if many else TEXT_PT)
        unit = unit_of(image.calibration())
        if shades is not None:
            _colour_bar(figure, lines, drawn, unit)
        key = _key(drawn, shades, unit)
        if key:
            figure.legend(handles=key, loc="lower left",
                          bbox_to_anchor=(0.0, (below - _KEY) / figure.get_size_inches()[1]),
                          ncols=len(key), frameon=False, borderpad=0.1, borderaxespad=0.1,
                          handlelength=1.3, handletextpad=0.4, columnspacing=1.2)
        else:
            note(figure, result.outcome, below - 0.02)
        return figure


def _shades(drawn: Drawn) -> Normalize | None:
    """What widths the colours span; None where all are alike, or none is known."""
    widths = np.concatenate([*drawn.widths.values(), np.empty(0)])
    widths = widths[np.isfinite(widths)]
    if widths.size == 0:
        return None
    low, high = (float(value) for value in np.percentile(widths, _ROBUST))
    if high - low <= _ALIKE * abs(high):
        low, high = float(widths.min()), float(widths.max())
    return Normalize(low, high) if high - low > _ALIKE * abs(high) else None


def _centrelines(axes: Axes, drawn: Drawn, shades: Normalize | None) -> LineCollection:
    thin = draw_casing(axes, drawn)
    pieces = [np.empty((0, 2, 2))]
    widths = [np.empty(0)]
    for number, line in drawn.centrelines.items():
        pieces.append(np.stack([line[:-1, ::-1], line[1:, ::-1]], axis=1))
        widths.append(0.5 * (drawn.widths[number][:-1] + drawn.widths[number][1:]))
    colours = width_colours().with_extremes(bad="white")
    lines = LineCollection(list(np.concatenate(pieces)), cmap=colours, norm=shades, zorder=4.1,
                           linewidths=thin, capstyle="round", gid="centrelines")
    if shades is None:
        lines.set_color(_middle())
    else:
        lines.set_array(np.concatenate(widths))
    axes.add_collection(lines)
    return lines


def _middle() -> tuple[float, float, float, float]:
    return width_colours()(0.75)


def _colour_bar(figure: Figure, lines: LineCollection, drawn: Drawn, unit: str) -> None:
    """Draw the colours of the widths below the key, what they are at the left."""
    said = f"width along the chains ({unit})"
    left = 0.03 + text_width_pt(said, 0.9 * TEXT_PT) / POINTS
    axes = panel(figure, (left, _BAR - _BAR_DOWN - _BAR_HIGH, _BAR_WIDE, _BAR_HIGH))
    widths = np.concatenate(list(drawn.widths.values()))
    low, high = lines.get_clim()
    beyond = bool(np.nanmin(widths) < low), bool(np.nanmax(widths) > high)
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}.get(beyond,
                                                                                   "neither")
    bar = figure.colorbar(lines, cax=axes, orientation="horizontal", extend=extend,
                          extendfrac=0.06)
    bar.outline.set_linewidth(LINE_PT)
    bar.ax.xaxis.set_major_locator(MaxNLocator(nbins=4))
    bar.ax.tick_params(labelsize=TEXT_PT, width=LINE_PT, length=2.0, pad=1.0)
    figure.text(0.03 / figure.get_size_inches()[0],
                (_BAR - _BAR_DOWN - 0.5 * _BAR_HIGH) / figure.get_size_inches()[1], said,
                va="center", ha="left", size=TEXT_PT)


def _labels(drawn: Drawn, chains: pd.DataFrame | None) -> dict[int, str]:
    """Number of each chain, that of its double helix behind it."""
    helices: dict[int, int] = {}
    if chains is not None and "helix" in chains:
        helices = dict(zip(chains["chain"].astype(int), chains["helix"].astype(int), strict=True))
    return {number: f"{number} H{helices[number]}" if helices.get(number) else str(number)
            for number in drawn.centrelines}


def _numbers(axes: Axes, drawn: Drawn, labels: dict[int, str], size: float) -> None:
    """Write each chain's number beside it, where the most room is."""
    to_points = Points(axes)
    lines = {number: to_points(line) for number, line in drawn.centrelines.items()}
    offset = _NUMBER_OFFSET_PT * size / TEXT_PT + drawn.dot_radius() * to_points.scale
    marks = [to_points(drawn.marks()[:, ::-1])]
    for left, bottom, right, top in plates(axes):  # a number under the scale bar is not read
        x, y = np.meshgrid(np.arange(left, right, 4.0), np.arange(bottom, top, 4.0))
        marks.append(np.stack([to_points.size[0] - y.ravel(), x.ravel()], axis=-1))
    taken = cKDTree(np.vstack(marks))
    written = np.empty((0, 2))
    for number, line in lines.items():
        # A number of several letters needs its room to both sides.
        half = max(text_width_pt(labels[number], size) / 2 - 0.5 * size, 0.0)
        place = _roomiest(line, (taken, written), to_points.size, (offset, half))
        written = np.vstack([written, place])
        y, x = to_points.back(place)
        axes.text(x, y, labels[number], color="white", size=size, ha="center", va="center",
                  path_effects=CASING, zorder=6, clip_on=True)


def _roomiest(
    line: Floats, taken: tuple[cKDTree, Floats], size: Floats, room: tuple[float, float]
) -> Floats:
    """Place beside a line, preferably its middle, that is farthest from all that is drawn.

    `room` is the distance from the line, and how much farther the text reaches to the sides.
    """
    offset, half = room
    best: Floats = line[len(line) // 2]
    best_room = -np.inf
    for part in (0.5, 0.35, 0.65, 0.2, 0.8, 0.05, 0.95):
        at = line[min(int(part * len(line)), len(line) - 1)]
        along = tangent(line, at)
        across = np.array([-along[1], along[0]])
        for side in (1.0, -1.0):
            place = at + side * (offset + half * abs(across[1])) * across
            reach = np.array([_INSIDE_PT, _INSIDE_PT + half])
            if (place < reach).any() or (place > size - reach).any():
                continue
            nearest = _nearest(taken, place + np.outer((-half, 0.0, half), (0.0, 1.0)))
            free = min(nearest, _CLEARANCE_PT) - 2.0 * abs(part - 0.5)
            if free > best_room:
                best, best_room = place, free
    return best


def _nearest(taken: tuple[cKDTree, Floats], places: Floats) -> float:
    tree, written = taken
    found = float(np.min(tree.query(places)[0]))
    if len(written):
        # Two numbers side by side would be read as one.
        apart = np.hypot(*(written[:, None] - places[None]).T) - _APART_PT
        found = min(found, float(apart.min()))
    return found


def _key(drawn: Drawn, shades: Normalize | None, unit: str) -> list[Line2D]:
    ring: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 4.5,
                            "markerfacecolor": "none", "markeredgewidth": 1.0}
    key = []
    if drawn.centrelines:
        said = counted(len(drawn.centrelines), "chain")
        widths = np.concatenate(list(drawn.widths.values()))
        if shades is None and np.isfinite(widths).any():
            said += f", {np.nanmedian(widths):.3g} {unit} wide"
        key.append(Line2D([], [], color=_middle(), linewidth=1.0, path_effects=CASING,
                          label=said))
    if drawn.chained:
        key.append(Line2D([], [], markeredgecolor=SKY,
                          label=f"{counted(len(drawn.chained), 'dot')} in chains", **ring))
    if drawn.single:
        key.append(Line2D([], [], markeredgecolor=ORANGE,
                          label=counted(len(drawn.single), "isolated dot"), **ring))
    return key
