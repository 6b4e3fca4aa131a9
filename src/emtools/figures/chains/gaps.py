"""Each gap marked across its chain and numbered as in the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from scipy.spatial import cKDTree

from emtools.figures.chains.common import (
    CASING,
    THIN_CASING,
    Drawn,
    Points,
    cut,
    draw_outlines,
    plates,
    tangent,
    unit_of,
)
from emtools.figures.display import picture
from emtools.figures.images import panel_size, show
from emtools.figures.labels import LabelPlaces
from emtools.figures.scale_bar import length_label
from emtools.figures.style import (
    COLUMN_IN,
    GREY,
    ORANGE,
    POINTS,
    TEXT_PT,
    YELLOW,
    panel,
    sheet,
    style,
    text_width_pt,
)
from emtools.tables import in_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emtools.model import Calibration, Image, Result

    Floats = NDArray[np.float64]

_EDGE, _KEY = 0.01, 0.17
_APART_PT = 15.0  # from gap to gap in the detail: room for a number of three digits
_NUMBER_PT = 5.0
_WHOLE = 1.25  # a frame that is hardly larger than the detail is shown whole
_ACROSS = 1.3  # length of a mark in local widths
_LINE_PT = 0.7
RESOLVED_COLOUR, LIMIT_COLOUR = YELLOW, ORANGE


class _Marks(NamedTuple):
    """The gaps of the picture in pixels of the picture, (y, x).

    Parameters
    ----------
    numbers
        As in the table.
    resolved
        Whether each is.
    centres, edges
        ``(n, 2)`` place, and from there to the gap's edge along the chain.
    across
        ``(n, 2)`` from the place to the end of its mark.
    """

    numbers: NDArray[np.int64]
    resolved: NDArray[np.bool_]
    centres: Floats
    edges: Floats
    across: Floats


def gaps_figure(image: Image, result: Result) -> Figure:
    """Return a detail of the image with each gap marked across its chain and numbered.

    A resolved gap has two lines, at its edges; one that is not resolved has a dashed line at its
    place.  The detail is the square with the most resolved gaps that is small enough for single
    gaps to be seen, or the whole frame if that is hardly larger.

    Parameters
    ----------
    image
        The image that was measured.
    result
        Of the ``chains`` measurement, with rows in its table ``gaps``.

    Raises
    ------
    ImageError
        If the image is no picture.
    """
    with style():
        calibration = image.calibration()
        table = result.tables["gaps"]
        drawn = Drawn.of(result.tables, calibration)
        rows = _rows(table, drawn, calibration)
        corner, shape = _detail(image, rows)
        shown = picture(cut(image, corner, shape))
        wide, high = panel_size(shown, COLUMN_IN - 2 * _EDGE)
        figure = sheet(high + 2 * _EDGE + 2 * _KEY, COLUMN_IN)
        axes = panel(figure, (_EDGE, _EDGE + 2 * _KEY, wide, high))
        drawn = _moved(drawn, corner)
        inside = ((rows.centres >= corner - 0.5) & (rows.centres <= corner + shape - 0.5)).all(1)
        marks = _Marks(rows.numbers[inside], rows.resolved[inside],
                       rows.centres[inside] - corner, rows.edges[inside], rows.across[inside])
        show(axes, shown, avoid=_within(drawn.marks(), shape))
        draw_outlines(axes, drawn)
        _draw(axes, marks)
        _write_numbers(axes, marks, drawn)
        _key(figure, rows.resolved, marks.resolved)
        _say_where(figure, image, corner, shape)
        return figure


def _rows(table: pd.DataFrame, drawn: Drawn, calibration: Calibration) -> _Marks:
    """All gaps that have a place, with their direction from the centreline of their chain."""
    unit = unit_of(calibration)
    table = table[np.isfinite(table[in_unit("y_nm", unit)]) & np.isfinite(
        table[in_unit("x_nm", unit)])]
    places = table[[in_unit("y_nm", unit), in_unit("x_nm", unit)]].to_numpy(dtype=float)
    gaps = np.maximum(np.nan_to_num(table[in_unit("gap_nm", unit)].to_numpy(dtype=float)), 0.0)
    lines = {number: calibration.vectors(line) for number, line in drawn.centrelines.items()}
    along, width = np.tile([0.0, 1.0], (len(places), 1)), np.zeros(len(places))
    for i, (chain, place) in enumerate(zip(table["chain"].astype(int), places, strict=True)):
        if chain in lines and len(lines[chain]) > 1:
            along[i] = tangent(lines[chain], place)
            nearest = np.argmin(np.sum((lines[chain] - place) ** 2, axis=1))
            width[i] = np.nan_to_num(drawn.widths[chain][nearest])
    across = np.stack([along[:, 1], -along[:, 0]], axis=-1) * 0.5 * _ACROSS * width[:, None]
    return _Marks(table["gap"].to_numpy(dtype=np.int64), table["resolved"].to_numpy(dtype=bool),
                  calibration.pixels(places), calibration.pixels(0.5 * gaps[:, None] * along),
                  calibration.pixels(across))


def _detail(image: Image, rows: _Marks) -> tuple[Floats, Floats]:
    """Upper left corner and rows and columns of what is shown, in pixels."""
    sizes = np.array([axis.size for axis in image.plane_axes], dtype=float)
    whole = np.zeros(2), sizes
    if not image.is_plane or len(rows.centres) < 2:
        return whole
    apart = np.asarray(cKDTree(rows.centres).query(rows.centres, k=2)[0])[:, 1]
    side = float(np.median(apart)) * (COLUMN_IN - 2 * _EDGE) * POINTS / _APART_PT
    if max(sizes) <= _WHOLE * side:
        return whole
    shape = np.ceil(np.minimum(sizes, side))
    chosen = rows.centres[rows.resolved] if rows.resolved.any() else rows.centres
    # Around each gap in turn: how many lie in the square with it in its middle.
    corners = np.clip(np.round(chosen - 0.5 * shape), 0.0, sizes - shape)
    margin = 0.04 * shape
    counts = [((chosen > corner + margin) & (chosen < corner + shape - margin)).all(axis=1).sum()
              for corner in corners]
    return corners[int(np.argmax(counts))], shape


def _moved(drawn: Drawn, corner: Floats) -> Drawn:
    return Drawn({number: line - corner for number, line in drawn.centrelines.items()},
                 drawn.widths, [outline - corner for outline in drawn.chained],
                 [outline - corner for outline in drawn.single])


def _within(points: Floats, shape: Floats) -> Floats:
    """Those (x, y) that the picture shows."""
    return np.asarray(points[((points > -0.5) & (points < shape[::-1] - 0.5)).all(axis=1)])


def _draw(axes: Axes, marks: _Marks) -> None:
    resolved = marks.resolved
    ends = np.stack([marks.centres - marks.across, marks.centres + marks.across], axis=1)
    edges = marks.edges[:, None]
    both = np.concatenate([(ends - edges)[resolved], (ends + edges)[resolved]])
    for lines, colour, dashes, name in (
            (both, RESOLVED_COLOUR, "solid", "resolved"),
            (ends[~resolved], LIMIT_COLOUR, (0.0, (1.6, 1.2)), "not resolved")):
        for width, shade, alpha, gid in ((2.4 * _LINE_PT, "black", 0.55, None),
                                         (_LINE_PT, colour, 1.0, name)):
            axes.add_collection(LineCollection(
                [line[:, ::-1] for line in lines], colors=shade, linewidths=width, alpha=alpha,
                linestyles="solid" if gid is None else dashes, zorder=5, gid=gid))


def _write_numbers(axes: Axes, marks: _Marks, drawn: Drawn) -> None:
    """Write each number at an end of its mark, where it covers nothing."""
    to_points = Points(axes)
    high, wide = to_points.size
    shape = np.array(axes.get_ylim()[:1] + axes.get_xlim()[1:]) + 0.5
    objects = to_points.up(_within(drawn.marks(), shape)[:, ::-1])
    at, ends = to_points.up(marks.centres), to_points.up(marks.centres + marks.across)
    places = LabelPlaces((float(wide), float(high)), objects, 0.8, plates(axes))
    for number, resolved, centre, end in zip(marks.numbers, marks.resolved, at, ends, strict=True):
        size = (text_width_pt(str(number), _NUMBER_PT), _NUMBER_PT)
        out = end - centre
        length = float(np.hypot(*out))
        out = out / length if length > 0 else np.array([0.0, 1.0])
        place = _free(places, (centre, out), length, size)
        if place is None:
            continue
        y, x = to_points.back_from_up(place)
        axes.text(float(x), float(y), str(number), size=_NUMBER_PT, ha="center", va="center",
                  color=RESOLVED_COLOUR if resolved else LIMIT_COLOUR, path_effects=THIN_CASING,
                  zorder=6, gid="gap-number")


def _free(
    places: LabelPlaces, line: tuple[Floats, Floats], length: float, size: tuple[float, float]
) -> Floats | None:
    """A free place beyond either end of a mark, the nearest first, straight or askew."""
    centre, out = line
    beside = np.array([-out[1], out[0]])
    for more in (0.8, 3.0, 6.0):
        for askew in (0.0, 0.3, -0.3, 0.6, -0.6):
            for side in (1.0, -1.0):
                way = side * out + askew * beside
                way /= float(np.hypot(*way))
                # From the end of the mark to the middle of a box of that size.
                reach = length + more + 0.5 * float(np.abs(way) @ np.array(size))
                place = centre + reach * way
                if places.take(place, size):
                    return np.asarray(place)
    return None


def _key(figure: Figure, resolved: NDArray[np.bool_], here: NDArray[np.bool_]) -> None:
    line: dict[str, Any] = {"linewidth": 1.0, "path_effects": CASING}

    def said(known: NDArray[np.bool_], seen: NDArray[np.bool_]) -> str:
        total, part = int(known.sum()), int(seen.sum())
        return f"{total}" if total == part else f"{part} of {total}"

    handles = []
    if resolved.any():
        # Upright and double, as in the picture.
        handles.append(Line2D([], [], color=RESOLVED_COLOUR, marker="|", markersize=5.5,
                              linestyle="none", markeredgewidth=1.0, path_effects=CASING,
                              label=f"{said(resolved, here)} resolved gaps (edges)"))
    if not resolved.all():
        handles.append(Line2D([], [], color=LIMIT_COLOUR, linestyle=(0.0, (1.6, 1.2)), **line,
                              label=f"{said(~resolved, ~here)} not resolved"))
    figure.legend(handles=handles, loc="lower left",
                  bbox_to_anchor=(0.0, _KEY / figure.get_size_inches()[1]), ncols=len(handles),
                  frameon=False, borderpad=0.1, borderaxespad=0.1, handlelength=1.3,
                  handletextpad=0.4, columnspacing=1.0)


def _say_where(figure: Figure, image: Image, corner: Floats, shape: Floats) -> None:
    """Write below the key what part of the frame is shown."""
    sizes = [axis.size for axis in image.plane_axes]
    text = "the whole frame"
    if tuple(shape.astype(int)) != tuple(sizes):
        calibration = image.calibration()
        step = np.array([axis.pixel_size for axis in image.plane_axes])
        if calibration.unit == "px":
            step = np.ones(2)
        high, wide = (float(f"{value:.3g}") for value in shape * step)
        y, x = (float(f"{value:.4g}") for value in corner * step)
        text = (f"detail, {wide:g} × {length_label(high, calibration.unit)}, from x = {x:g}, "
                f"y = {y:g} {calibration.unit}")
    width, height = figure.get_size_inches()
    figure.text(0.02 / width, (_KEY - 0.03) / height, text, va="top", ha="left", color=GREY,
                size=TEXT_PT)
