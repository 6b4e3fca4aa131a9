"""Figure of a chains result: dots outlined, centrelines drawn, chains numbered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import patheffects
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.lines import Line2D

from emtools.figures.display import picture
from emtools.figures.images import panel_size, show
from emtools.figures.style import (
    COLUMN_IN,
    ORANGE,
    SKY,
    TEXT_PT,
    YELLOW,
    note,
    panel,
    sheet,
    size_pt,
    style,
)
from emtools.tables import in_unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emtools.model import Calibration, Image, Result

    Floats = NDArray[np.float64]

_EDGE, _KEY = 0.01, 0.17
_OUTLINE_PT, _AXIS_PT, _THINNEST_PT = 0.5, 0.9, 0.5
_NUMBER_OFFSET_PT = 7.0  # from the edge of the dots
_AROUND = np.linspace(0.0, 2.0 * np.pi, 36, endpoint=False)
_CLEARANCE_PT = 20.0  # farther than that from everything else is no better
_INSIDE_PT = 6.0


class _Drawn(NamedTuple):
    """The tables of a result in pixels of the image, (y, x)."""

    centrelines: dict[int, Floats]
    chained: list[Floats]
    single: list[Floats]

    def marks(self) -> Floats:
        """Return all points (x, y) that are drawn."""
        parts = [*self.centrelines.values(), *self.chained, *self.single, np.empty((0, 2))]
        return np.vstack(parts)[:, ::-1]

    def dot_radius(self) -> float:
        """Return the median half width of the dots, 0 where there are none."""
        radii = [0.5 * float(np.ptp(outline[:, 0])) for outline in self.chained + self.single]
        return float(np.nanmedian(radii)) if radii else 0.0


def chains_figure(image: Image, result: Result) -> Figure:
    """Return the image with dots outlined, centrelines drawn and chains numbered.

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
        shown = picture(image)
        wide, high = panel_size(shown, COLUMN_IN - 2 * _EDGE)
        figure = sheet(high + 2 * _EDGE + _KEY, max(wide + 2 * _EDGE, 0.6 * COLUMN_IN))
        axes = panel(figure, (_EDGE, _EDGE + _KEY, wide, high))
        drawn = _drawn(result.tables, image.calibration())
        show(axes, shown, avoid=drawn.marks())
        _outlines(axes, drawn)
        _centrelines(axes, drawn)
        _numbers(axes, drawn)
        key = _key(drawn)
        if key:
            figure.legend(handles=key, loc="lower left", bbox_to_anchor=(0.0, 0.0),
                          ncols=len(key), frameon=False, borderpad=0.1, borderaxespad=0.1,
                          handlelength=1.3, handletextpad=0.4, columnspacing=1.2)
        else:
            note(figure, result.outcome, _KEY - 0.02)
        return figure


def _drawn(tables: Mapping[str, pd.DataFrame], calibration: Calibration) -> _Drawn:
    unit = "px" if calibration.unit == "px" else "nm"
    y, x = in_unit("y_nm", unit), in_unit("x_nm", unit)
    centrelines = {
        int(str(number)): calibration.pixels(rows[[y, x]].to_numpy(dtype=float))
        for number, rows in tables["axes"].groupby("chain")
    }
    chained: list[Floats] = []
    single: list[Floats] = []
    lines = {number: calibration.vectors(line) for number, line in centrelines.items()}
    for dot in tables["dots"].to_dict("records"):
        outline = _ellipse(dot, unit, lines.get(int(dot["chain"])))
        (chained if dot["chain"] else single).append(calibration.pixels(outline))
    return _Drawn(centrelines, chained, single)


def _ellipse(dot: Mapping[Any, Any], unit: str, centreline: Floats | None) -> Floats:
    """Outline of a dot in physical units, lying along its chain; round where it has none."""
    centre = np.array([dot[in_unit("y_nm", unit)], dot[in_unit("x_nm", unit)]], dtype=float)
    along_size, across_size = dot[in_unit("length_nm", unit)], dot[in_unit("width_nm", unit)]
    along = np.array([0.0, 1.0])
    if centreline is not None and len(centreline) > 1:
        along = _tangent(centreline, centre)
    else:  # the table does not say which way the longer axis points
        along_size = across_size = dot[in_unit("diameter_nm", unit)]
    across = np.array([-along[1], along[0]])
    return np.asarray(centre + 0.5 * (np.outer(along_size * np.cos(_AROUND), along)
                                      + np.outer(across_size * np.sin(_AROUND), across)))


def _tangent(centreline: Floats, at: Floats) -> Floats:
    nearest = int(np.argmin(np.sum((centreline - at) ** 2, axis=1)))
    step = centreline[min(nearest + 1, len(centreline) - 1)] - centreline[max(nearest - 1, 0)]
    length = float(np.hypot(*step))
    return np.asarray(step / length) if length > 0 else np.array([0.0, 1.0])


def _outlines(axes: Axes, drawn: _Drawn) -> None:
    for outlines, colour in ((drawn.chained, SKY), (drawn.single, ORANGE)):
        finite = [outline[:, ::-1] for outline in outlines if np.isfinite(outline).all()]
        # A wider, darker line below lets the outline read on a bright ground too.
        for width, shade, alpha in ((2.0 * _OUTLINE_PT, "black", 0.45), (_OUTLINE_PT, colour, 1.0)):
            axes.add_collection(PolyCollection(finite, facecolors="none", edgecolors=shade,
                                               linewidths=width, alpha=alpha, zorder=3))


def _centrelines(axes: Axes, drawn: _Drawn) -> None:
    lines = [line[:, ::-1] for line in drawn.centrelines.values()]
    # Small dots would vanish under a broad line; without dots nothing does.
    radius = drawn.dot_radius() * _Points(axes).scale
    thin = np.clip(0.25 * radius, _THINNEST_PT, _AXIS_PT) if radius else _AXIS_PT
    for width, colour in ((2.1 * thin, "black"), (thin, YELLOW)):
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, zorder=4,
                                           capstyle="round"))


def _numbers(axes: Axes, drawn: _Drawn) -> None:
    """Write each chain's number beside it, where the most room is."""
    to_points = _Points(axes)
    lines = {number: to_points(line) for number, line in drawn.centrelines.items()}
    offset = _NUMBER_OFFSET_PT + drawn.dot_radius() * to_points.scale
    taken = to_points(drawn.marks()[:, ::-1])
    casing = [patheffects.withStroke(linewidth=1.6, foreground="black")]
    for number, line in lines.items():
        place = _roomiest(line, taken, to_points.size, offset)
        taken = np.vstack([taken, place])
        y, x = to_points.back(place)
        axes.text(x, y, str(number), color="white", size=TEXT_PT, ha="center", va="center",
                  path_effects=casing, zorder=6, clip_on=True)


class _Points:
    """From pixels of the image (y, x) to points in the panel and back."""

    def __init__(self, axes: Axes) -> None:
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        wide, high = size_pt(axes)
        self.size = np.array([high, wide])
        self._origin = np.array([top, left])
        self._scale = np.array([high / (bottom - top), wide / (right - left)])
        self.scale = float(self._scale[1])

    def __call__(self, yx: Floats) -> Floats:
        return np.asarray((yx - self._origin) * self._scale)

    def back(self, place: Floats) -> Floats:
        return np.asarray(place / self._scale + self._origin)


def _roomiest(line: Floats, taken: Floats, size: Floats, offset: float) -> Floats:
    """Place beside a line, preferably its middle, that is farthest from all that is drawn."""
    best: Floats = line[len(line) // 2]
    best_room = -np.inf
    for part in (0.5, 0.35, 0.65, 0.2, 0.8, 0.05, 0.95):
        at = line[min(int(part * len(line)), len(line) - 1)]
        along = _tangent(line, at)
        for side in (1.0, -1.0):
            place = at + side * offset * np.array([-along[1], along[0]])
            if (place < _INSIDE_PT).any() or (place > size - _INSIDE_PT).any():
                continue
            nearest = float(np.sqrt(np.sum((taken - place) ** 2, axis=1).min()))
            room = min(nearest, _CLEARANCE_PT) - 2.0 * abs(part - 0.5)
            if room > best_room:
                best, best_room = place, room
    return best


def _key(drawn: _Drawn) -> list[Line2D]:
    ring: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 4.5,
                            "markerfacecolor": "none", "markeredgewidth": 1.0}
    key = []
    if drawn.centrelines:
        casing = [patheffects.withStroke(linewidth=2.0, foreground="black")]
        key.append(Line2D([], [], color=YELLOW, linewidth=1.0, path_effects=casing,
                          label=_counted(len(drawn.centrelines), "chain")))
    if drawn.chained:
        key.append(Line2D([], [], markeredgecolor=SKY,
                          label=f"{_counted(len(drawn.chained), 'dot')} in chains", **ring))
    if drawn.single:
        key.append(Line2D([], [], markeredgecolor=ORANGE,
                          label=_counted(len(drawn.single), "isolated dot"), **ring))
    return key


def _counted(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
