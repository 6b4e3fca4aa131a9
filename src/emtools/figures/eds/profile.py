"""Profiles of an `eds` result along chains and drawn lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtools.figures.scale_bar import unit_label
from emtools.figures.style import COLUMN_IN, GREY, ON_PAPER, TEXT_PT, panel, sheet, style
from emtools.tables import in_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from emtools.model import Result

_LEFT, _RIGHT, _BELOW, _TOP = 0.48, 0.06, 0.36, 0.22
_PANEL, _BETWEEN, _HAADF = 1.15, 0.06, 0.6
_MOST = 4  # courses in one figure, the longest


def profile_figure(result: Result) -> Figure:
    """Return counts and atomic per cent along the longest chains or lines, one column wide.

    Where the HAADF image of the scan was given, its intensity stands above them.

    Parameters
    ----------
    result
        Of ``eds``, with a profile.
    """
    profile = result.tables["profile"]
    unit = "nm" if "s_nm" in profile else "px"
    s = in_unit("s_nm", unit)
    longest = profile.groupby("chain")[s].max().sort_values(ascending=False).index[:_MOST]
    with_haadf = bool(np.isfinite(profile["haadf"]).any())
    with style():
        higher = _HAADF + _BETWEEN if with_haadf else 0.0
        height = _BELOW + 2 * _PANEL + _BETWEEN + higher + _TOP
        figure = sheet(height * len(longest), COLUMN_IN)
        wide = COLUMN_IN - _LEFT - _RIGHT
        for i, number in enumerate(longest):
            base = height * (len(longest) - 1 - i)
            above = panel(figure, (_LEFT, base + _BELOW + _PANEL + _BETWEEN, wide, _PANEL))
            below = panel(figure, (_LEFT, base + _BELOW, wide, _PANEL))
            one = profile[profile["chain"] == number]
            _draw(above, one, s, "counts", "counts")
            _draw(below, one, s, "atomic_percent", "at.%")
            above.tick_params(labelbottom=False)
            below.set_xlim(above.get_xlim())  # where nothing is detected there is no per cent
            kind = "line" if set(one["region"]) == {"line"} else "chain"
            top = above
            if with_haadf:
                top = panel(figure, (_LEFT, base + _BELOW + 2 * (_PANEL + _BETWEEN), wide, _HAADF))
                _draw_haadf(top, one, s, above.get_xlim())
            top.set_title(f"{kind} {number}", pad=3.0, fontsize=TEXT_PT)
            above.legend(ncols=4, frameon=False, loc="upper left", borderaxespad=0.1,
                         handlelength=1.2, columnspacing=1.0)
            below.set_xlabel(f"along the {kind} ({unit_label(unit)})")
        return figure


def _draw_haadf(
    axes: Axes, profile: pd.DataFrame, s: str, limits: tuple[float, float]
) -> None:
    one = profile.drop_duplicates(s)
    _shade_gaps(axes, profile, s)
    axes.errorbar(one[s], one["haadf"], yerr=one["haadf_err"], color=GREY, marker="o",
                  markersize=2.2, linewidth=0.7, elinewidth=0.6, capsize=0)
    axes.set_xlim(limits)
    axes.tick_params(labelbottom=False)
    axes.set_ylabel("HAADF")


def _shade_gaps(axes: Axes, profile: pd.DataFrame, s: str) -> None:
    places = np.unique(profile[s])
    half = 0.5 * float(np.median(np.diff(places))) if len(places) > 1 else 0.5
    for place in np.unique(profile.loc[profile["region"] == "gap", s]):
        axes.axvspan(place - half, place + half, color="0.92", linewidth=0)


def _draw(axes: Axes, profile: pd.DataFrame, s: str, column: str, label: str) -> None:
    _shade_gaps(axes, profile, s)
    for i, element in enumerate(dict.fromkeys(profile["element"])):
        one = profile[profile["element"] == element]
        axes.errorbar(one[s], one[column], yerr=one[f"{column}_err"], label=element,
                      color=ON_PAPER[i % len(ON_PAPER)], marker="o", markersize=2.2,
                      linewidth=0.7, elinewidth=0.6, capsize=0)
    axes.axhline(0, color=GREY, linewidth=0.4)
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.0), high + 0.22 * (high - min(low, 0.0)))
    axes.set_ylabel(label)
