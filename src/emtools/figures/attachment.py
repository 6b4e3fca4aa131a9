"""Figure of an attachment result: normals and axes on the image beside a rose of their angles."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import patheffects
from matplotlib.lines import Line2D
from matplotlib.patches import Arc, Wedge

from emtools.figures.display import picture
from emtools.figures.images import panel_size, shortened, show
from emtools.figures.labels import barred
from emtools.figures.style import (
    BLUE,
    COLUMN_IN,
    GREY,
    LINE_PT,
    SKY,
    TEXT_PT,
    VERMILLION,
    YELLOW,
    note,
    panel,
    sheet,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emtools.model import Image, Result

    Floats = NDArray[np.float64]

# Inches: around the panels, below the picture for the key, for each line of numbers.
_EDGE, _KEY, _LINE = 0.01, 0.19, 0.125
_ROSE = 1.17  # radius of the rose
_PICTURE_WIDE, _PICTURE_TALL = 1.78, 2.6
_BINS = 9
# In radii: the ticks of single grains, the labels of angles, room below and across.
_TICKS, _LABELS, _BELOW, _ACROSS = (1.015, 1.075), 1.1, 0.13, 1.27
_CASING = [patheffects.withStroke(linewidth=1.7, foreground="black")]


def attachment_figure(image: Image, result: Result) -> Figure:
    """Return the image with axes and normals beside the rose of the angles between them.

    The area of a sector is proportional to its number of grains, and each grain is a tick on the
    rim; the dashed line is what lattices at random angles would show on average.

    Parameters
    ----------
    image
        The image that was measured.
    result
        Of the ``attachment`` measurement.

    Raises
    ------
    ImageError
        If the image is no picture.
    """
    with style():
        shown = picture(image)
        angles = result.tables["angles"]["angle_deg"].to_numpy(dtype=float)
        folds = result.tables["angles"]["fold_deg"].to_numpy(dtype=float)
        if not len(angles):
            return _without_rose(image, result)
        folds = _rounded(folds)
        wide, high = panel_size(shown, _PICTURE_WIDE, _PICTURE_TALL)
        top = 0.5 * float(folds.max())
        rose = _ROSE * (_above(top) + _BELOW)
        text = _numbers(result)
        words = _LINE * len(text)
        # The numbers stand where they make the figure the least tall.
        talls = max(high + _KEY, rose + words), max(high + _KEY + words, rose)
        under_picture, tall = talls[1] < talls[0], min(talls)
        figure = sheet(tall + 2 * _EDGE)
        tall += _EDGE
        axes = panel(figure, (_EDGE, tall - high, wide, high))
        show(axes, shown, avoid=_marks(image, result))
        _arrows(axes, image, result)
        _key(figure, (tall - high) / (tall + _EDGE))
        left = COLUMN_IN - _ROSE * _ACROSS
        _draw_rose(panel(figure, (left, tall - rose, _ROSE * _ACROSS, rose)), angles, folds, top)
        edge, start = (0.03, tall - high - _KEY) if under_picture else (left, tall - rose)
        for i, (line, colour) in enumerate(text):
            figure.text(edge / COLUMN_IN, (start - _LINE * i) / (tall + _EDGE), line, va="top",
                        ha="left", size=TEXT_PT, color=colour)
        return figure


def _without_rose(image: Image, result: Result) -> Figure:
    shown = picture(image)
    wide, high = panel_size(shown, COLUMN_IN - 2 * _EDGE)
    figure = sheet(high + 2 * _EDGE + _KEY)
    show(panel(figure, (_EDGE, _EDGE + _KEY, wide, high)), shown)
    note(figure, shortened(result.outcome, 64), _KEY - 0.02)
    return figure


def _rounded(folds: Floats) -> Floats:
    """Folds of 90, 120 and 180 degrees where measured ones are within 3 degrees of them."""
    known = np.array([90.0, 120.0, 180.0])
    near = known[np.argmin(np.abs(folds[:, None] - known), axis=1)]
    return np.where(np.abs(near - folds) < 3.0, near, folds)


def _above(top: float) -> float:
    """Height of the rose in radii, with its labels."""
    return _LABELS * float(np.sin(np.radians(top))) + 0.06


def _layers(image: Image, result: Result) -> dict[str, tuple[Floats, Floats]]:
    """Starts and ends ``(y, x)`` of the vectors of each layer, in pixels of the image."""
    calibration = image.calibration()
    found = {}
    for data, options, kind in result.layers:
        if kind == "vectors":
            start, along = np.asarray(data, dtype=float).transpose(1, 0, 2)
            found[str(options["name"])] = (calibration.pixels(start),
                                           calibration.pixels(start + along))
    return found


def _marks(image: Image, result: Result) -> Floats:
    parts = [points for vectors in _layers(image, result).values() for points in vectors]
    return np.vstack([*parts, np.empty((0, 2))])[:, ::-1]


def _arrows(axes: Axes, image: Image, result: Result) -> None:
    layers = _layers(image, result)
    if "tangents" in layers:
        start, end = layers["tangents"]
        for one, other in zip(2.0 * start - end, end, strict=True):  # a line has no sense
            axes.plot([one[1], other[1]], [one[0], other[0]], "-", color=YELLOW, linewidth=1.1,
                      path_effects=_CASING, zorder=4, solid_capstyle="round")
    if "normals" in layers:
        for one, other in zip(*layers["normals"], strict=True):
            axes.annotate("", xy=(float(other[1]), float(other[0])),
                          xytext=(float(one[1]), float(one[0])), zorder=5,
                          arrowprops={"arrowstyle": "-|>,head_width=0.13,head_length=0.28",
                                      "color": SKY, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0,
                                      "path_effects": _CASING})


def _key(figure: Figure, top: float) -> None:
    handles = [Line2D([], [], color=YELLOW, linewidth=1.1, path_effects=_CASING, label="axis"),
               Line2D([], [], color=SKY, linewidth=1.1, path_effects=_CASING,
                      label="nearest normal")]
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0.0, top), ncols=2,
                  frameon=False, borderpad=0.2, borderaxespad=0.1, handlelength=1.3,
                  handletextpad=0.4, columnspacing=1.0)


def _draw_rose(axes: Axes, angles: Floats, folds: Floats, top: float) -> None:
    edges = np.linspace(0.0, top, _BINS + 1)
    counts = np.histogram(np.minimum(angles, top), edges)[0].astype(float)
    # A lattice at random angles is evenly spread up to half of its own fold.
    reach = np.minimum(edges[:, None], 0.5 * folds) / (0.5 * folds)
    expected = np.diff(reach.sum(axis=1))
    most = float(max(counts.max(), expected.max()))
    axes.set_axis_off()
    axes.set_xlim(-0.03, _ACROSS - 0.03)
    axes.set_ylim(-_BELOW, _above(top))
    _grid(axes, most, top)
    for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True):
        if n:
            axes.add_patch(Wedge((0, 0), float(np.sqrt(n / most)), float(low), float(high),
                                 facecolor=BLUE, alpha=0.75, edgecolor="white", linewidth=0.5,
                                 zorder=3))
    _outline(axes, edges, np.sqrt(expected / most))
    away = np.stack([np.cos(np.radians(angles)), np.sin(np.radians(angles))], axis=-1)
    for one in away:
        axes.plot(*np.outer(one, _TICKS), "-", color="black", linewidth=0.7, zorder=4)


def _outline(axes: Axes, edges: Floats, radius: Floats) -> None:
    """Draw what random lattices would show: arcs of these radii, joined."""
    turns = [np.radians(np.linspace(a, b, 12)) for a, b in pairwise(edges)]
    turn, far = np.concatenate(turns), np.repeat(radius, 12)
    axes.plot(far * np.cos(turn), far * np.sin(turn), "--", color=VERMILLION, linewidth=1.0,
              zorder=5)


def _grid(axes: Axes, most: float, top: float) -> None:
    thin: dict[str, Any] = {"color": "0.8", "linewidth": 0.5, "zorder": 1}
    for n in _rings(most):
        radius = float(np.sqrt(n / most))
        axes.add_patch(Arc((0, 0), 2 * radius, 2 * radius, theta1=0.0, theta2=top, **thin))
        axes.text(radius, -0.025, f"{n}", size=TEXT_PT - 1, color=GREY, ha="center", va="top")
    axes.add_patch(Arc((0, 0), 2.0, 2.0, theta1=0.0, theta2=top, color="0.15", linewidth=LINE_PT,
                       zorder=2))
    for degrees in np.arange(0.0, top + 1.0, 15.0 if top < 90.0 else 30.0).tolist():
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        edge = degrees in (0.0, top)
        axes.plot([0.0, c], [0.0, s], "-", color="0.15" if edge else "0.8",
                  linewidth=LINE_PT if edge else 0.5, zorder=2)
        axes.text(_LABELS * c, _LABELS * s, f"{degrees:.0f}°", size=TEXT_PT - 1,
                  ha="center" if degrees > 80.0 else "left", va="center")


def _rings(most: float) -> list[int]:
    """Two or three round numbers of grains up to the largest."""
    step = next(digit * 10**power for power in range(9) for digit in (1, 2, 5)
                if most / (digit * 10**power) <= 4.0)
    return [n for n in range(step, int(most) + 1, step) if n == step or n % (2 * step) == 0]


def _numbers(result: Result) -> list[tuple[str, str]]:
    """Lines below the rose, each with its colour."""
    summary = result.summary
    planes = str(summary["planes"])
    name = rf"$\{{{barred(planes[1:-1])}\}}$" if planes.startswith("{") else planes
    grains, chains = summary["n_grains"], summary["n_chains"]
    lines = [(f"{name} normal to axis", "black"),
             (f"{grains} grain{'s' * (grains != 1)}, {chains} chain{'s' * (chains != 1)}", "black")]
    if "p_value" in summary:
        p = summary["p_value"]
        order, low, high = (f"{value:.2f}".replace("-", "−") for value in (
            summary["order_parameter"].value, summary["order_parameter_low"],
            summary["order_parameter_high"]))
        lines += [(f"order parameter {order}", "black"), (f"95 %: {low} to {high}", "black"),
                  (f"p = {p:.1g}" if p < 0.001 else f"p = {p:.2g}", "black")]
    lines.append(("– – random orientation", VERMILLION))
    return lines
