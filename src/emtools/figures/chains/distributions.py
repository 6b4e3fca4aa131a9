"""Histograms of a chains result with the population that `emtools.population` finds in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from scipy.stats import norm

from emtools.figures.chains.common import unit_of
from emtools.figures.histograms import FEWEST_VALUES, bin_edges
from emtools.figures.images import shortened
from emtools.figures.scale_bar import unit_label
from emtools.figures.style import (
    BLUE,
    COLUMN_IN,
    GREY,
    ORANGE,
    TEXT_PT,
    VERMILLION,
    panel,
    sheet,
    style,
)
from emtools.model import Measured
from emtools.population import Frame, length_distribution, population
from emtools.tables import in_unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emtools.model import Image, Result

    Floats = NDArray[np.float64]

_PANEL, _BELOW, _LINE = 1.48, 0.36, 0.14  # heights: of the axes, below them, of a line of text
_LETTERS = 70
# Errors of less than that part of the spread do not widen what is measured visibly.
_VISIBLE = 0.35


@dataclass(frozen=True)
class _Kind:
    """A quantity that has a histogram.

    Parameters
    ----------
    name, table, column, label
        Of the figure, of its table and column, of the axis.
    quantity
        As the population calls it.
    limit
        Flag of the rows that are only limits; with ``!`` before it, flag of the others.
    limit_said
        What those are; empty if they are left out.
    """

    name: str
    table: str
    column: str
    label: str
    quantity: str
    limit: str = ""
    limit_said: str = ""


_KINDS = (
    _Kind("diameter", "dots", "diameter_nm", "dot diameter", "dot diameter", "touches_edge"),
    _Kind("width", "chains", "width_nm", "chain width", "width"),
    _Kind("length", "chains", "length_nm", "chain length", "length", "touches_edge",
          "cut by the frame"),
    _Kind("gap", "gaps", "gap_nm", "gap, edge to edge", "gap", "!resolved", "not resolved"),
)


@dataclass(frozen=True)
class _Sample:
    """What a histogram shows: values with their errors, and which of them are only limits."""

    values: Floats
    errors: Floats
    limits: NDArray[np.bool_]


def distributions(image: Image, result: Result) -> dict[str, Figure]:
    """Return histograms with the fitted population: diameter, width, length and gap.

    All numbers are those of `emtools.population` for this image: mean and spread with 1 sigma
    over its chains, errors of measurement taken off the spread, gaps that are not resolved as
    upper limits, lengths by the ends that are seen.  The full line is the normal population as it
    would be measured, each value with its own error; the dashed one is the population itself,
    where that differs visibly.  Over the lengths stands the part of the chains that are longer,
    with its 95 % interval.

    Parameters
    ----------
    image
        The image that was measured.
    result
        Of the ``chains`` measurement.

    Returns
    -------
    dict of str to Figure
        Those with at least five values.
    """
    unit = unit_of(image.calibration())
    samples = {kind.name: _sample(result.tables[kind.table], kind, unit) for kind in _KINDS}
    shown = [kind for kind in _KINDS if len(samples[kind.name].values) >= FEWEST_VALUES]
    if not shown:
        return {}
    frame = _frame(image, result, unit)
    found = population(frame).set_index("quantity")
    figures = {}
    with style():
        for kind in shown:
            row = {str(key): value for key, value in found.loc[kind.quantity].items()}
            curve = length_distribution(frame) if kind.name == "length" else None
            figures[kind.name] = _figure(kind, samples[kind.name], row, unit, curve)
    return figures


def _frame(image: Image, result: Result, unit: str) -> Frame:
    """The image as a population takes it: lengths are lengths, so pixels may stand for nm."""
    if unit == "nm":
        return Frame.of(image, result)
    renamed = {name: table.rename(columns=lambda column: re.sub(r"_px(?=2?(_|$))", "_nm",
                                                                str(column)))
               for name, table in result.tables.items()}
    return Frame.of(image.calibrated(1.0, "nm", err=0.0), replace(result, tables=renamed))


def _sample(table: pd.DataFrame, kind: _Kind, unit: str) -> _Sample:
    values = table[in_unit(kind.column, unit)].to_numpy(dtype=float)
    errors = table[in_unit(kind.column.replace("_nm", "_err_nm"), unit)].to_numpy(dtype=float)
    limits = np.zeros(len(values), dtype=bool)
    if kind.limit:
        flags = table[kind.limit.lstrip("!")].to_numpy(dtype=bool)
        limits = ~flags if kind.limit.startswith("!") else flags
    known = np.isfinite(values)
    if kind.limit and not kind.limit_said:
        known &= ~limits
    return _Sample(values[known], np.nan_to_num(errors[known]), limits[known])


def _figure(
    kind: _Kind, sample: _Sample, row: Mapping[str, Any], unit: str,
    survival: pd.DataFrame | None,
) -> Figure:
    lines = [line for line in _statements(kind, sample, row, unit) if line]
    figure = sheet(_BELOW + _PANEL + _LINE * (len(lines) + 1.2))
    right = 0.4 if survival is not None and len(survival) else 0.08
    axes = panel(figure, (0.42, _BELOW, COLUMN_IN - 0.42 - right, _PANEL))
    axes.set_xlabel(f"{kind.label} ({unit_label(unit)})", labelpad=2.0, parse_math=False)
    axes.set_ylabel("number", labelpad=2.0)
    axes.spines[["top", "right"]].set_visible(False)
    edges = bin_edges(sample.values)
    handles = _bars(axes, sample, edges, kind)
    if survival is not None:
        handles += _survival(figure, axes, survival)
    else:
        handles += _normal(axes, sample, edges, row)
    axes.set_xlim(*_span(edges, kind))
    axes.set_ylim(0.0, 1.06 * axes.dataLim.y1)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.ticklabel_format(axis="x", useOffset=False)
    _say(figure, axes, lines)
    figure.legend(handles=handles, loc="lower left",
                  bbox_to_anchor=(0.0, (_BELOW + _PANEL) / figure.get_size_inches()[1]),
                  ncols=len(handles),
                  frameon=False, borderpad=0.1, borderaxespad=0.15, handlelength=1.2,
                  handletextpad=0.4, columnspacing=0.9)
    return figure


def _span(edges: Floats, kind: _Kind) -> tuple[float, float]:
    """From zero on for a length, with a margin for what is far from it."""
    room = 0.06 * float(edges[-1] - edges[0])
    low = min(0.0, float(edges[0])) if kind.name == "length" else float(edges[0]) - room
    return low, float(edges[-1]) + room


def _bars(axes: Axes, sample: _Sample, edges: Floats, kind: _Kind) -> list[Any]:
    look: dict[str, Any] = {"edgecolor": "white", "linewidth": 0.5, "align": "edge"}
    whole = np.histogram(sample.values[~sample.limits], edges)[0]
    axes.bar(edges[:-1], whole, np.diff(edges), color=BLUE, alpha=0.75, gid="whole", **look)
    handles = [Patch(facecolor=BLUE, alpha=0.75, label="measured")]
    if sample.limits.any():
        limits = np.histogram(sample.values[sample.limits], edges)[0]
        axes.bar(edges[:-1], limits, np.diff(edges), bottom=whole, color=ORANGE, alpha=0.6,
                 gid="limits", **look)
        handles.append(Patch(facecolor=ORANGE, alpha=0.6, label=kind.limit_said))
    return handles


def _normal(axes: Axes, sample: _Sample, edges: Floats, row: Mapping[str, Any]) -> list[Any]:
    """Draw the population as it would be measured, and as it is; without a spread its mean."""
    mean, spread = float(row["mean"]), float(row["spread"])
    if not np.isfinite(mean):
        return []
    if not spread > 0:
        axes.axvline(mean, color=VERMILLION, linewidth=1.0, gid="mean")
        return [Line2D([], [], color=VERMILLION, linewidth=1.0, label="mean")]
    widths = np.hypot(spread, sample.errors)
    area = len(sample.values) * float(edges[1] - edges[0])
    room = 0.06 * float(edges[-1] - edges[0])
    x = np.linspace(edges[0] - room, edges[-1] + room, 300)
    expected = norm.pdf(x[:, None], mean, widths).mean(axis=1)
    axes.plot(x, area * expected, color=VERMILLION, linewidth=1.0, gid="fitted")
    handles = [Line2D([], [], color=VERMILLION, linewidth=1.0, label="fitted")]
    if float(np.sqrt(np.mean(sample.errors**2))) > _VISIBLE * spread:
        own = area * norm.pdf(x, mean, spread)
        axes.plot(x, own, "--", color=VERMILLION, linewidth=0.8, gid="population")
        handles.append(Line2D([], [], color=VERMILLION, linestyle="--", linewidth=0.8,
                              label="without measurement errors"))
    return handles


def _survival(figure: Figure, axes: Axes, table: pd.DataFrame) -> list[Any]:
    """Draw the part of the chains that are longer on an axis of its own, at the right."""
    if len(table) == 0:
        return []
    box = axes.get_position()
    right = figure.add_axes(box.bounds, sharex=axes)
    right.patch.set_visible(False)
    right.spines[["top", "left", "bottom"]].set_visible(False)
    right.tick_params(labelsize=TEXT_PT, width=0.6, length=2.5, pad=2.0, labelbottom=False,
                      bottom=False)
    right.yaxis.set_ticks_position("right")
    right.yaxis.set_label_position("right")
    right.set_ylabel("part longer", labelpad=2.0, color=VERMILLION)
    right.set_ylim(0.0, 1.06)
    columns = [table[name].to_numpy(dtype=float) for name in ("length_nm", "survival", "low",
                                                              "high")]
    right.step(columns[0], columns[1], where="post", color=VERMILLION, linewidth=1.0,
               gid="survival")
    right.fill_between(columns[0], columns[2], columns[3], step="post", color=VERMILLION,
                       alpha=0.15, linewidth=0.0)
    return [Line2D([], [], color=VERMILLION, linewidth=1.0, label="part longer (95 %)")]


def _statements(
    kind: _Kind, sample: _Sample, row: Mapping[str, Any], unit: str
) -> tuple[str, str]:
    """Number, mean and spread; and what limits them."""
    said = [f"n = {len(sample.values)}"]
    if np.isfinite(row["mean"]):
        said.append(f"mean {Measured(float(row['mean']), float(row['mean_err']), unit)}")
        if row["spread"] > 0:
            said.append(f"std {Measured(float(row['spread']), float(row['spread_err']), unit)}")
    else:
        said.append("mean not measurable")
    notes = [part for part in str(row["note"]).replace("not measurable: ", "").split("; ")
             if part and not part.startswith(("one image:", "few ends"))]
    if np.isfinite(row["mean"]) and not np.isfinite(row["mean_err"]):
        notes = ["too few chains for an error",
                 *(note for note in notes if "for an error" not in note)]
    if row["spread"] == 0:
        notes.append("the errors of measurement explain all of the scatter")
    cut = int(sample.limits.sum())
    if cut and not any(kind.limit_said in note for note in notes):
        notes.insert(0, f"{cut} {kind.limit_said}")
    return "   ".join(said) + " ", shortened("; ".join(notes).replace(" nm", f" {unit}"), _LETTERS)


def _say(figure: Figure, axes: Axes, lines: list[str]) -> None:
    """Write above the panel: nothing there is covered by bars or hides them."""
    box, width = axes.get_position(), figure.get_size_inches()[0]
    for i, (line, colour) in enumerate(zip(lines, ("black", GREY), strict=False)):
        above = _LINE * (len(lines) + 1.2 - i) - 0.03
        at = ((0.06 / width - box.x0) / box.width, 1.0 + above / _PANEL)
        axes.text(*at, line, transform=axes.transAxes, ha="left", va="top", size=TEXT_PT,
                  color=colour, parse_math=False)
