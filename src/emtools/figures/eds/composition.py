"""The composition of each region, in atomic per cent with both parts of its uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtools.figures.style import COLUMN_IN, ON_PAPER, TEXT_PT, panel, sheet, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from emtools.model import Result

_LEFT, _RIGHT, _BELOW, _TOP = 0.95, 0.08, 0.36, 0.24
_ROW = 0.17
_MOST = 40  # regions
_LEGEND_COLUMNS, _LEGEND_LINE = 5, 0.16


def composition_figure(result: Result) -> Figure:
    """Return atomic per cent of each element in each region, one column wide.

    Thick bars are 1 sigma by counting, thin ones with the k-factors' part; arrows are 95 % upper
    limits of what is not detected.

    Parameters
    ----------
    result
        Of ``eds``.
    """
    table = result.tables["composition"]
    regions = list(dict.fromkeys(table["region"]))[:_MOST]
    elements = list(dict.fromkeys(table["element"]))
    with style():
        high = _ROW * max(len(regions) * (1 + 0.45 * (len(elements) - 1)), 3)
        top = _TOP + _LEGEND_LINE * ((len(elements) - 1) // _LEGEND_COLUMNS)
        figure = sheet(_BELOW + high + top, COLUMN_IN)
        axes = panel(figure, (_LEFT, _BELOW, COLUMN_IN - _LEFT - _RIGHT, high))
        for i, element in enumerate(elements):
            beside = (i - 0.5 * (len(elements) - 1)) / max(len(elements), 1) * 0.8
            rows = table[(table["element"] == element) & table["region"].isin(regions)]
            _draw(axes, rows, regions, beside, (element, ON_PAPER[i % len(ON_PAPER)]))
        axes.set_yticks(range(len(regions)), regions)
        axes.set_ylim(len(regions) - 0.5, -0.5)
        axes.set_xlim(0, min(axes.get_xlim()[1], 108.0))
        axes.set_xlabel("at.%")
        axes.legend(ncols=_LEGEND_COLUMNS, frameon=False, loc="lower left",
                    bbox_to_anchor=(0.0, 1.0), borderaxespad=0.1, handletextpad=0.3,
                    columnspacing=1.0)
        return figure


def _draw(
    axes: Axes, rows: pd.DataFrame, regions: list[str], beside: float, named: tuple[str, str]
) -> None:
    element, colour = named
    place = np.array([regions.index(region) for region in rows["region"]]) + beside
    share, err, k_err, limit = (rows[name].to_numpy(dtype=float) for name in (
        "atomic_percent", "atomic_percent_err", "atomic_percent_k_err", "limit_atomic_percent"))
    axes.errorbar(share, place, xerr=np.hypot(err, k_err), fmt="none", ecolor=colour,
                  elinewidth=0.5)
    axes.errorbar(share, place, xerr=err, fmt="o", color=colour, markersize=2.6, elinewidth=1.6,
                  label=element)
    for at, most in zip(place[np.isfinite(limit)], limit[np.isfinite(limit)], strict=True):
        axes.annotate("", (0.0, at), (min(most, 100.0), at),
                      arrowprops={"arrowstyle": "->", "color": colour, "linewidth": 0.6})
        axes.text(min(most, 100.0), at, f" < {most:.2g}", fontsize=TEXT_PT - 1, va="center",
                  color=colour)
