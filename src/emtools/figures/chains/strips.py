"""Straightened chains stacked over each other, below each its profile along the axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from emtools.figures.chains.common import cut, unit_of
from emtools.figures.scale_bar import length_label, round_length
from emtools.figures.style import (
    COLUMN_IN,
    GREY,
    LINE_PT,
    ORANGE,
    SKY,
    TEXT_PT,
    TWO_COLUMNS_IN,
    VERMILLION,
    panel,
    sheet,
    size_pt,
    style,
    text_width_pt,
)
from emtools.process.straighten import straighten
from emtools.tables import in_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emtools.model import Image, Result

    Floats = NDArray[np.float64]

MOST_CHAINS = 6
# Inches: beside and above the panels, profile, between profile and strip, between chains, s axis.
_LEFT, _RIGHT, _TOP, _PROFILE, _BELOW_STRIP, _BETWEEN, _S_AXIS = (
    0.46, 0.13, 0.22, 0.42, 0.02, 0.1, 0.32)
_TALLEST_STRIP = 0.5
# In widths: half the height of a strip, what is shown beyond a chain's ends, the longest part
# shown (a longer strip would be too low to see), and up to where one column is enough.
_HALF, _BEYOND, _MOST_WIDTHS, _SHORT = 0.85, 0.35, 120.0, 15.0
_PERCENTILES = (0.3, 99.8)
_FEWEST, _FINEST = 12.0, 200.0  # samples across a width
_ROOM_ABOVE = 1.32  # for the numbers of the gaps
_NUMBER_PT = 5.0
_DENSE_PT = 1.6  # points nearer than that are drawn as a line


@dataclass(frozen=True)
class _Strip:
    """One chain.

    Parameters
    ----------
    number, length, width
        Of its row.
    end
        Up to where it is shown.
    pixels, extent
        The straightened image, and its edges (left, right, bottom, top).
    s, signal, fitted
        Profile along the axis, NaN where there is none.
    gaps
        Its rows of the table.
    """

    number: int
    length: float
    width: float
    end: float
    pixels: NDArray[np.float32]
    extent: tuple[float, float, float, float]
    s: Floats
    signal: Floats
    fitted: Floats
    gaps: pd.DataFrame


def strips_figure(image: Image, result: Result) -> Figure | None:
    """Return the longest chains, straightened and stacked, with their profiles below.

    Measured and fitted profile are those of the result's details ``profiles``: the height of the
    image above its ground along the centreline.  Gaps are shaded: resolved ones from edge to edge,
    others as wide as their upper limit.

    Parameters
    ----------
    image
        The image that was measured.
    result
        Of the ``chains`` measurement.

    Returns
    -------
    Figure or None
        None where no chain has a centreline.

    Raises
    ------
    ImageError
        If the image is no single picture.
    """
    with style():
        strips = _strips(image, result)
        if not strips:
            return None
        unit = unit_of(image.calibration())
        band = 2.0 * _HALF * float(np.median([strip.width for strip in strips]))
        longest = max(_shown(strip) for strip in strips)
        wide = COLUMN_IN if longest < _SHORT * band / (2.0 * _HALF) else TWO_COLUMNS_IN
        scale = min((wide - _LEFT - _RIGHT) / longest, _TALLEST_STRIP / band)
        wide = max(_LEFT + longest * scale + _RIGHT, COLUMN_IN)
        profiles = any(np.isfinite(strip.signal).any() for strip in strips)
        profile = _BELOW_STRIP + _PROFILE if profiles else 0.0
        high = band * scale
        tall = _TOP + len(strips) * (high + profile + _BETWEEN) + _S_AXIS
        figure = sheet(tall, wide)
        limits = _limits(strips)
        highest = max((float(np.nanmax(strip.signal)) for strip in strips
                       if np.isfinite(strip.signal).any()), default=1.0)
        for i, strip in enumerate(strips):
            top = tall - _TOP - i * (high + profile + _BETWEEN)
            box = (_LEFT, top - high, _shown(strip) * scale, high)
            _picture(panel(figure, box), strip, limits, 0.5 * band)
            figure.text((_LEFT - 0.06) / wide, (top - 0.5 * high) / tall, str(strip.number),
                        ha="right", va="center", size=TEXT_PT + 1, weight="bold", gid="chain")
            if profiles:
                below = panel(figure, (_LEFT, top - high - profile, box[2], _PROFILE))
                _profile(below, strip, unit, highest)
        _s_axis(panel(figure, (_LEFT, _S_AXIS, longest * scale, 0.001)), strips, unit, longest)
        _head(figure, image, strips, (scale, profiles))
        return figure


def _strips(image: Image, result: Result) -> list[_Strip]:
    unit = unit_of(image.calibration())
    chains, gaps = (result.tables[name] for name in ("chains", "gaps"))
    axes = _with_profiles(result)
    length, width = in_unit("length_nm", unit), in_unit("width_nm", unit)
    known = chains[np.isfinite(chains[length]) & (chains[width] > 0)]
    ranked = known.sort_values(length, ascending=False, kind="stable")
    places = axes[[in_unit("s_nm", unit), in_unit("y_nm", unit), in_unit("x_nm", unit)]]
    axes = axes.loc[np.isfinite(places.to_numpy(dtype=float)).all(axis=1)]
    chosen: list[tuple[dict[Any, Any], pd.DataFrame]] = []
    for row in ranked.to_dict("records"):
        course = axes[axes["chain"] == row["chain"]]
        # Two places apart from each other are a course.
        if len(course) > 1 and np.ptp(course[in_unit("s_nm", unit)]) > 0:
            chosen.append((row, course))
        if len(chosen) == MOST_CHAINS:
            break
    # All strips are as high as each other.
    half = 1.05 * _HALF * float(np.median([row[width] for row, _ in chosen] or [1.0]))
    return [_strip(image, (int(row["chain"]), float(row[length]), float(row[width]), half), course,
                   gaps[gaps["chain"] == row["chain"]]) for row, course in chosen]


def _with_profiles(result: Result) -> pd.DataFrame:
    """The samples of the centrelines, with their brightness where the result has it."""
    axes, profiles = result.tables["axes"], result.details.get("profiles")
    if profiles is None or len(profiles) != len(axes):
        return axes
    # Row by row the same samples.
    return axes.assign(**{name: profiles[name].to_numpy() for name in ("signal", "fitted")})


def _strip(
    image: Image, row: tuple[int, float, float, float], course: pd.DataFrame, gaps: pd.DataFrame
) -> _Strip:
    number, length, width, half = row
    calibration = image.calibration()
    unit = unit_of(calibration)
    s = course[in_unit("s_nm", unit)].to_numpy(dtype=float)
    places = course[[in_unit("y_nm", unit), in_unit("x_nm", unit)]].to_numpy(dtype=float)
    end = min(length, _MOST_WIDTHS * width)
    kept = s <= end
    kept[:2] = True
    # Lines lie closer together than bodies and their centreline may start at the very end.
    beyond = max(float(s[0]), 0.0) + _BEYOND * width
    beyond = max(beyond, end - float(s[kept][-1]) + _BEYOND * width)
    around = (1.5 * half + beyond) / calibration.pixel_size + 20.0
    pixels = calibration.pixels(places[kept])
    corner = np.maximum(np.floor(pixels.min(axis=0) - around), 0.0)
    most = np.array([axis.size for axis in image.plane_axes])
    shape = np.minimum(np.ceil(pixels.max(axis=0) + around), most) - corner
    # Only the part around the chain: the picture may be a thousand times larger.
    part = cut(image, corner, shape)
    finest = max(width, half) / _FINEST
    step = max(min(calibration.pixel_size, width / _FEWEST), finest)
    straight = straighten(part, places[kept] - calibration.vectors(corner), half, step=step,
                          beyond=beyond)
    across, along = (axis.coordinates() for axis in straight.axes)
    extent = (float(along[0] + s[0] - 0.5 * step), float(along[-1] + s[0] + 0.5 * step),
              float(across[-1] + 0.5 * step), float(across[0] - 0.5 * step))
    signal, fitted = (
        course[name].to_numpy(dtype=float) if name in course else np.full(len(s), np.nan)
        for name in ("signal", "fitted"))
    return _Strip(number, length, width, end, straight.data, extent, s, signal, fitted, gaps)


def _shown(strip: _Strip) -> float:
    return strip.end + 2.0 * _BEYOND * strip.width


def _limits(strips: list[_Strip]) -> tuple[float, float]:
    values = np.concatenate([strip.pixels[np.isfinite(strip.pixels)] for strip in strips])
    low, high = (float(value) for value in np.percentile(values, _PERCENTILES))
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _reach(strip: _Strip) -> tuple[float, float]:
    return -_BEYOND * strip.width, strip.end + _BEYOND * strip.width


def _picture(axes: Axes, strip: _Strip, limits: tuple[float, float], half: float) -> None:
    axes.set_facecolor("0.5")
    axes.imshow(strip.pixels, cmap="gray", vmin=limits[0], vmax=limits[1], extent=strip.extent,
                aspect="auto")
    axes.set_xlim(*_reach(strip))
    axes.set_ylim(half, -half)
    axes.set_xticks([])
    axes.set_yticks([])


def _profile(axes: Axes, strip: _Strip, unit: str, highest: float) -> None:
    axes.set_xlim(*_reach(strip))
    axes.set_ylim(min(-0.08 * highest, 1.1 * float(np.nanmin(np.append(strip.signal, 0.0)))),
                  _ROOM_ABOVE * highest)
    per_unit = size_pt(axes)[0] / _shown(strip)  # points
    _shade_gaps(axes, strip, unit, per_unit)
    axes.axhline(0.0, color="0.75", linewidth=0.4, zorder=1)
    shown = strip.s <= strip.end
    dense = per_unit * float(np.median(np.diff(strip.s))) < _DENSE_PT
    look: dict[str, Any] = {"linewidth": 0.5} if dense else {
        "linestyle": "none", "marker": ".", "markersize": 2.4, "markeredgewidth": 0.0}
    axes.plot(strip.s[shown], strip.signal[shown], color="0.25", zorder=3, gid="signal", **look)
    axes.plot(strip.s[shown], strip.fitted[shown], color=VERMILLION, zorder=4, gid="fitted",
              linewidth=0.5 if dense else 0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=2))
    axes.tick_params(labelsize=TEXT_PT - 1)
    axes.set_xticks([])
    if strip.end < strip.length:
        axes.text(1.0, 1.0, f"goes on to {strip.length:.4g} {unit}", transform=axes.transAxes,
                  ha="right", va="top", size=TEXT_PT - 1, color=GREY,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5})


def _shade_gaps(axes: Axes, strip: _Strip, unit: str, per_unit: float) -> None:
    """Shade the gaps, and number them if all numbers find room."""
    gaps = strip.gaps[strip.gaps[in_unit("s_nm", unit)] <= strip.end]
    at = gaps[in_unit("s_nm", unit)].to_numpy(dtype=float)
    widest = max((text_width_pt(str(gap), _NUMBER_PT) for gap in gaps["gap"]), default=0.0)
    apart = per_unit * np.diff(np.sort(at))
    room = len(at) > 0 and float(np.min(apart, initial=np.inf)) > widest + 1.0
    for row in gaps.to_dict("records"):
        resolved = bool(row["resolved"])
        size = float(row[in_unit("gap_nm" if resolved else "gap_limit_nm", unit)])
        s = float(row[in_unit("s_nm", unit)])
        if size > 0 and np.isfinite(size):
            colour = SKY if resolved else ORANGE
            axes.axvspan(s - 0.5 * size, s + 0.5 * size, facecolor=colour, alpha=0.4,
                         edgecolor="none", zorder=0.5, gid="gap")
        if room:
            axes.text(s, 0.99, str(row["gap"]), transform=axes.get_xaxis_transform(), ha="center",
                      va="top", size=_NUMBER_PT, color=GREY, gid="gap-number")


def _s_axis(axes: Axes, strips: list[_Strip], unit: str, longest: float) -> None:
    """One axis for all: they are drawn at the same scale and start at the same place."""
    strip = max(strips, key=_shown)
    low, _ = _reach(strip)
    axes.set_xlim(low, low + longest)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8))
    axes.set_xlabel(f"s along the chain ({unit})", labelpad=1.5)


def _head(
    figure: Figure, image: Image, strips: list[_Strip], layout: tuple[float, bool]
) -> None:
    """Scale bar and key above the strips, and what the profiles are at the left."""
    scale, profiles = layout
    unit = unit_of(image.calibration())
    wide, tall = figure.get_size_inches()
    longest = max(_shown(strip) for strip in strips)
    length = round_length(min(longest, 2.4 / scale))
    left, bottom = _LEFT / wide, (tall - 0.12) / tall
    figure.add_artist(Rectangle((left, bottom), length * scale / wide, 0.025 / tall,
                                transform=figure.transFigure, facecolor="black", gid="scale-bar"))
    figure.text(left + (length * scale + 0.05) / wide, bottom + 0.0125 / tall,
                length_label(length, unit), va="center", ha="left", size=TEXT_PT,
                gid="scale-bar-label")
    if not profiles:
        return
    handles: list[Any] = [Line2D([], [], color="0.25", linestyle="none", marker=".", markersize=4,
                                 markeredgewidth=0.0, label="measured")]
    if any(np.isfinite(strip.fitted).any() for strip in strips):
        handles.append(Line2D([], [], color=VERMILLION, linewidth=1.0, label="fitted"))
    resolved = np.concatenate([strip.gaps["resolved"].to_numpy(dtype=bool) for strip in strips])
    if resolved.any():
        handles.append(Patch(facecolor=SKY, alpha=0.4, label="gap"))
    if not resolved.all():
        handles.append(Patch(facecolor=ORANGE, alpha=0.4, label="upper limit"))
    figure.legend(handles=handles, loc="upper right", bbox_to_anchor=(1.0, 1.0),
                  ncols=len(handles), frameon=False, borderpad=0.2, borderaxespad=0.1,
                  handlelength=1.0, handletextpad=0.4, columnspacing=0.9)
    kind = "counts" if image.data.dtype.kind in "ui" else "arb. units"
    figure.text(0.02 / wide, 0.5 * (_S_AXIS + tall - _TOP) / tall, f"signal ({kind})",
                rotation=90, va="center", ha="left", size=TEXT_PT)
    figure.axes[-1].spines["bottom"].set_linewidth(LINE_PT)
