"""What was looked at and rejected, with the reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Ellipse

from emtools.figures.chains.common import (
    CASING,
    THIN_CASING,
    Drawn,
    Points,
    counted,
    plates,
    unit_of,
)
from emtools.figures.display import picture
from emtools.figures.images import panel_size, shortened, show
from emtools.figures.labels import LabelPlaces
from emtools.figures.style import COLUMN_IN, SERIES, panel, sheet, style, text_width_pt
from emtools.tables import in_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emtools.model import Calibration, Image, Result

    Floats = NDArray[np.float64]

_EDGE, _LINE = 0.01, 0.13
_MARKERS = ("o", "s", "^", "D", "v", "P")
OTHER = "other reasons"
_SMALLEST_PT = 2.2  # radius: smaller rings would be specks
_NUMBER_PT = 5.5
_MARKER_PT = 3.0
_LETTERS = 58


def why_not_figure(image: Image, result: Result) -> Figure:
    """Return the image with the rejected candidates ringed, numbered, coloured by the reason.

    The table does not say which way a candidate points: its ring is as wide as it is long, so that
    it lies inside.  Chains that were found are thin white lines.

    Parameters
    ----------
    image
        The image that was measured.
    result
        Of the ``chains`` measurement, with rows in its details ``rejected``.

    Raises
    ------
    ImageError
        If the image is no picture.
    """
    with style():
        calibration = image.calibration()
        table = result.details["rejected"]
        reasons, groups = _reasons(table)
        drawn = Drawn.of(result.tables, calibration)
        shown = picture(image)
        wide, high = panel_size(shown, COLUMN_IN - 2 * _EDGE)
        lines = len(reasons) + bool(drawn.centrelines)
        figure = sheet(high + 2 * _EDGE + _LINE * lines + 0.03, COLUMN_IN)
        axes = panel(figure, (_EDGE, _EDGE + _LINE * lines + 0.03, wide, high))
        centres, radii = _rings(table, calibration)
        show(axes, shown, avoid=centres[:, ::-1])
        axes.add_collection(LineCollection(
            [line[:, ::-1] for line in drawn.centrelines.values()], colors="white",
            linewidths=0.5, alpha=0.8, zorder=3, gid="found"))
        radii = np.maximum(radii, _SMALLEST_PT / Points(axes).scale)
        _draw(axes, (centres, radii), groups, shown.pixel_aspect)
        _write_numbers(axes, table["candidate"].to_numpy(dtype=int), (centres, radii), groups)
        _key(figure, reasons, np.bincount(groups, minlength=len(reasons)), len(drawn.centrelines))
        return figure


def _reasons(table: pd.DataFrame) -> tuple[list[str], NDArray[np.int64]]:
    """Reasons, the most frequent first, and which of them each row has.

    There are as many colours as are told apart; rarer reasons share the last one.
    """
    counts = table["reason"].astype(str).value_counts(sort=False)
    ranked = sorted(counts.items(), key=lambda item: (-int(item[1]), str(item[0])))
    reasons = [str(reason) for reason, _ in ranked]
    if len(reasons) > len(SERIES):
        reasons = [*reasons[: len(SERIES) - 1], OTHER]
    place = {reason: i for i, reason in enumerate(reasons)}
    return reasons, np.array([place.get(str(reason), len(reasons) - 1)
                              for reason in table["reason"]], dtype=np.int64)


def _rings(table: pd.DataFrame, calibration: Calibration) -> tuple[Floats, Floats]:
    """Centres (y, x) and radii in pixels of the image; radii along x."""
    unit = unit_of(calibration)
    places = table[[in_unit("y_nm", unit), in_unit("x_nm", unit)]].to_numpy(dtype=float)
    sizes = np.nan_to_num(table[[in_unit("length_nm", unit), in_unit("width_nm", unit)]]
                          .to_numpy(dtype=float))
    across = float(np.hypot(*calibration.vectors([0.0, 1.0])))
    return calibration.pixels(places), 0.5 * sizes.max(axis=1, initial=0.0) / across


def _draw(
    axes: Axes, rings: tuple[Floats, Floats], groups: NDArray[np.int64], aspect: float
) -> None:
    for (y, x), radius, group in zip(*rings, groups, strict=True):
        if not np.isfinite(y + x):
            continue
        for width, colour, alpha, dashes in ((1.5, "black", 0.5, "solid"),
                                             (0.75, SERIES[group], 1.0, (0.0, (3.0, 1.5)))):
            axes.add_patch(Ellipse(
                (x, y), 2 * radius, 2 * radius / aspect, facecolor="none", edgecolor=colour,
                alpha=alpha, linewidth=width, linestyle=dashes, zorder=5,
                gid="rejected" if alpha == 1.0 else None))
    for group in np.unique(groups):
        y, x = rings[0][groups == group].T
        axes.plot(x, y, _MARKERS[group], color=SERIES[group], markersize=0.7 * _MARKER_PT,
                  markeredgewidth=0.4, markeredgecolor="black", zorder=5.5)


def _write_numbers(
    axes: Axes, numbers: NDArray[np.int64], rings: tuple[Floats, Floats],
    groups: NDArray[np.int64],
) -> None:
    """Write numbers beside the rings, as long as there is room: large candidates come first."""
    to_points = Points(axes)
    high, wide = to_points.size
    at = to_points.up(rings[0])
    at = np.where(np.isfinite(at), at, -1e6)
    places = LabelPlaces((float(wide), float(high)), at, 0.5 * _MARKER_PT, plates(axes))
    for i in np.argsort(-rings[1], kind="stable"):
        size = (text_width_pt(str(numbers[i]), _NUMBER_PT), _NUMBER_PT)
        place = _beside(places, at[i], rings[1][i] * to_points.scale, size)
        if place is None:
            continue
        y, x = to_points.back_from_up(place)
        axes.text(float(x), float(y), str(numbers[i]), size=_NUMBER_PT, ha="center", va="center",
                  color=SERIES[groups[i]], path_effects=THIN_CASING, zorder=6, gid="number")


def _beside(
    places: LabelPlaces, at: Floats, radius: float, size: tuple[float, float]
) -> Floats | None:
    for turn in np.radians([45, -45, 135, -135, 0, 180, 90, -90, 22, -22, 158, -158]):
        way = np.array([np.cos(turn), np.sin(turn)])
        place = at + (radius + 1.0 + 0.5 * float(np.abs(way) @ np.array(size))) * way
        if places.take(place, size):
            return np.asarray(place)
    return None


def _key(figure: Figure, reasons: list[str], counts: NDArray[np.int64], found: int) -> None:
    handles = [Line2D([], [], color=SERIES[i], linestyle=(0.0, (3.0, 1.5)), linewidth=1.0,
                      marker=_MARKERS[i], markersize=_MARKER_PT, path_effects=CASING,
                      label=f"{counts[i]} {shortened(reason, _LETTERS)}")
               for i, reason in enumerate(reasons)]
    if found:
        handles.append(Line2D([], [], color="white", linewidth=0.8, path_effects=CASING,
                              label=f"{counted(found, 'chain')} found"))
    legend = figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.0, 0.0), ncols=1,
                           frameon=False, borderpad=0.1, borderaxespad=0.1, handlelength=2.2,
                           handletextpad=0.5, labelspacing=0.32)
    for text in legend.get_texts():
        text.set_parse_math(False)
