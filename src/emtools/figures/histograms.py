"""Histograms that say how many values, their mean and their spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from emtools.figures.scale_bar import unit_label
from emtools.figures.style import (
    BLUE,
    COLUMN_IN,
    GREY,
    TEXT_PT,
    VERMILLION,
    panel,
    sheet,
    style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

FEWEST_VALUES = 5  # fewer are better read in the table
_HEIGHT = 1.9
_BINS = (5, 80)
_HEADROOM = 1.3  # of the tallest bin: the line of numbers stands above the bins


def histogram(values: ArrayLike, *, label: str, unit: str = "") -> Figure:
    """Return a histogram with the number of values, their mean and standard deviation.

    Parameters
    ----------
    values
        The values; those that are not finite are left out.  Values that are only limits (cut by
        the frame, not resolved) do not belong here: the caller leaves them out.
    label
        What they are: ``dot diameter``.
    unit
        Their unit.
    """
    finite = np.asarray(values, dtype=float).ravel()
    finite = finite[np.isfinite(finite)]
    with style():
        figure = sheet(_HEIGHT)
        axes = panel(figure, (0.42, 0.36, COLUMN_IN - 0.57, _HEIGHT - 0.42))
        axes.set_xlabel(f"{label} ({unit_label(unit)})" if unit else label, labelpad=2.0,
                        parse_math=False)
        axes.set_ylabel("number", labelpad=2.0)
        axes.spines[["top", "right"]].set_visible(False)
        if finite.size == 0:
            axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", va="center",
                      color=GREY, size=TEXT_PT)
            axes.set_xticks([])
            axes.set_yticks([])
            return figure
        _draw(axes, finite, unit_label(unit))
        return figure


def _draw(axes: Axes, values: NDArray[np.float64], unit: str) -> None:
    counts, _, _ = axes.hist(values, bins=bin_edges(values).tolist(), color=BLUE, alpha=0.75,
                             edgecolor="white", linewidth=0.5)
    tallest = float(np.max(counts))
    axes.set_ylim(0, _HEADROOM * tallest)
    mean = float(values.mean())
    axes.plot([mean, mean], [0, 1.06 * tallest], color=VERMILLION, linewidth=1.0)
    axes.text(0.99, 0.99, _statement(values, unit), transform=axes.transAxes, ha="right", va="top",
              size=TEXT_PT, parse_math=False)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    axes.ticklabel_format(axis="x", useOffset=False)


def bin_edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the edges of Freedman-Diaconis bins, their number kept within reason."""
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-30):
        half = 0.05 * abs(low) or 0.5
        return np.linspace(low - half, low + half, _BINS[0] + 1)
    quartiles = np.percentile(values, (25, 75))
    width = 2.0 * float(quartiles[1] - quartiles[0]) / np.cbrt(values.size)
    n = round((high - low) / width) if width > 0 else _BINS[0]
    return np.linspace(low, high, int(np.clip(n, *_BINS)) + 1)


def _statement(values: NDArray[np.float64], unit: str) -> str:
    mean = float(values.mean())
    tail = f" {unit}" if unit else ""
    if values.size < 2:
        return f"n = 1, value {mean:.4g}{tail}"
    spread = float(values.std(ddof=1))
    digits = 3
    if spread > 0:
        # As many digits as the spread with two.
        digits = int(np.clip(1 - np.floor(np.log10(spread)), 0, 6))
    return f"n = {values.size}   mean {mean:.{digits}f}{tail}   std {spread:.{digits}f}{tail}"
