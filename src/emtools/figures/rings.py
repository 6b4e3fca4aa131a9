"""Figure of a rings result: the pattern with its rings, and its azimuthal mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import patheffects

from emtools.figures.display import picture
from emtools.figures.images import panel_size, shortened, show
from emtools.figures.style import (
    BLUE,
    COLUMN_IN,
    GREY,
    LINE_PT,
    TEXT_PT,
    VERMILLION,
    YELLOW,
    note,
    panel,
    sheet,
    size_pt,
    style,
)
from emtools.process.plane import as_plane

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emtools.model import Image, Result

    Floats = NDArray[np.float64]

# Inches: around the panels, left of and below the curves, between panels, heights.
_EDGE, _LEFT, _BELOW, _GAP, _KEY = 0.01, 0.42, 0.32, 0.08, 0.19
_PICTURE_TALL, _TAIL, _SIGNAL, _REST = 2.6, 0.75, 1.25, 0.42
_TURNED_PT = 4.2  # half the width of a turned label, plus a little air
_HEADROOM = 1.9  # of the highest ring, for the labels
_MOST_LABEL = 14
_CASING = [patheffects.withStroke(linewidth=1.4, foreground="black")]


def rings_figure(image: Image, result: Result) -> Figure:
    """Return the pattern with its rings, and the azimuthal mean with its model.

    One half of the pattern is as it was measured, the other is its azimuthal mean along the fitted
    ellipses.  Below: the mean with its ground (logarithmic), the rings above the ground with their
    planes, and what the model leaves, in units of its error.

    Parameters
    ----------
    image
        The pattern that was measured.
    result
        Of the ``rings`` measurement.

    Raises
    ------
    ImageError
        If the image is no picture.
    """
    with style():
        profile = result.details.get("profile")
        curves = profile is not None and len(profile) > 0
        shown = picture(image.with_data(_half_and_half(image, result)) if curves else image)
        wide, high = panel_size(shown, COLUMN_IN - 2 * _EDGE, _PICTURE_TALL)
        below = (_TAIL + _SIGNAL + _REST + 2 * _GAP + _BELOW) if curves else 0.0
        figure = sheet(high + 2 * _EDGE + _KEY + below)
        bottom = _EDGE + _KEY + below
        axes = panel(figure, ((COLUMN_IN - wide) / 2, bottom, wide, high))
        show(axes, shown)
        _draw_rings(axes, result)
        note(figure, shortened(result.outcome, 64), bottom - 0.02)
        if curves:
            _draw_curves(figure, result)
        return figure


def _half_and_half(image: Image, result: Result) -> NDArray[np.float32]:
    """The pattern, with its azimuthal mean on the side of the centre that is larger."""
    plane = as_plane(image)
    values = plane.values + np.float32(plane.offset)
    place, profile = result.details["geometry"].iloc[0], result.details["profile"]
    y = np.arange(values.shape[0], dtype=float)[:, None] - place["centre_y_px"]
    x = np.arange(values.shape[1], dtype=float)[None, :] - place["centre_x_px"]
    radius = np.hypot(place["yy"] * y + place["yx"] * x, place["xy"] * y + place["xx"] * x)
    mean = np.interp(radius, profile["radius_px"], profile["mean"], left=np.nan, right=np.nan)
    right = place["centre_x_px"] < (values.shape[1] - 1) / 2
    taken = np.isfinite(mean) & ((x > 0) if right else (x < 0))
    return np.where(taken, mean, values).astype(np.float32)


def _draw_rings(axes: Axes, result: Result) -> None:
    for data, options, _ in result.layers:
        for i, corners in enumerate(data if options["name"] == "rings" else ()):
            indexed = bool(options["features"]["hkl"][i])
            closed = np.vstack([corners, corners[:1]])
            axes.plot(closed[:, 1], closed[:, 0], color=YELLOW if indexed else "white",
                      linewidth=LINE_PT, alpha=0.8, dashes=(4, 4))
        if options["name"] == "centre":
            axes.plot(data[0, 1], data[0, 0], "+", color=VERMILLION, markersize=6,
                      path_effects=_CASING)


def _draw_curves(figure: Figure, result: Result) -> None:
    profile = result.details["profile"]
    calibrated = bool(np.isfinite(profile["k_per_nm"]).all())
    along = profile["k_per_nm" if calibrated else "radius_px"].to_numpy(dtype=float)
    width = COLUMN_IN - _LEFT - 0.04
    bottom = _BELOW
    rest = panel(figure, (_LEFT, bottom, width, _REST))
    signal = panel(figure, (_LEFT, bottom + _REST + _GAP, width, _SIGNAL))
    tail = panel(figure, (_LEFT, bottom + _REST + _SIGNAL + 2 * _GAP, width, _TAIL))
    _draw_tail(tail, along, profile)
    _draw_signal(signal, along, result, calibrated)
    mean, model, err = (profile[name].to_numpy(dtype=float)
                        for name in ("mean", "model", "mean_err"))
    off = (mean - model) / np.maximum(err, 1e-300)
    rest.axhline(0.0, color=GREY, linewidth=LINE_PT)
    rest.plot(along, np.clip(off, -6, 6), ".", color="black", markersize=1.2)
    rest.set_ylim(-6, 6)
    rest.set_yticks([-4, 0, 4])
    rest.set_ylabel("rest / σ")
    rest.set_xlabel("wave number 1/d (nm⁻¹)" if calibrated else "radius (px)", labelpad=1.0)
    for axes in (tail, signal, rest):
        axes.set_xlim(0.0, along[-1])
        axes.yaxis.set_label_coords(-0.115, 0.5)
    for axes in (tail, signal):
        axes.set_xticklabels([])


def _draw_tail(axes: Axes, along: Floats, profile: pd.DataFrame) -> None:
    low = float(min(profile["mean"].min(), profile["ground"].min()))
    lift = max(0.0, -low) + 0.02 * float(profile["mean"].median() - low) if low <= 0 else 0.0
    axes.semilogy(along, profile["mean"] + lift, color="black", linewidth=LINE_PT)
    axes.semilogy(along, profile["ground"] + lift, color=BLUE, linewidth=LINE_PT, dashes=(4, 2))
    axes.set_ylabel("mean")
    axes.tick_params(which="minor", length=0)


def _draw_signal(axes: Axes, along: Floats, result: Result, calibrated: bool) -> None:
    profile, rings = result.details["profile"], result.tables["rings"]
    above = (profile["mean"] - profile["ground"]).to_numpy(dtype=float)
    model = (profile["model"] - profile["ground"]).to_numpy(dtype=float)
    axes.plot(along, above, color="black", linewidth=LINE_PT)
    axes.plot(along, model, color=VERMILLION, linewidth=LINE_PT)
    top = float(max(model.max(), np.percentile(above, 99.0), 1e-300))
    axes.set_ylim(-0.08 * top, _HEADROOM * top)
    axes.set_ylabel("above ground")
    axes.set_yticks([])
    if len(rings):
        places = rings["k_per_nm" if calibrated else "radius_px"].to_numpy(dtype=float)
        heights = np.interp(places, along, np.maximum(model, 0.0))
        _label(axes, places, heights, [_name(row) for row in rings.to_dict("records")], top,
               float(along[-1]))


def _name(row: dict[Any, Any]) -> str:
    """The planes of a ring, or its spacing where they are not known."""
    if row["hkl"]:
        first = str(row["hkl"]).split(" + ", maxsplit=1)[0].replace(" ", "")
        more = "+" if "+" in str(row["hkl"]) else ""
        return f"{row['phase']} {first}{more}"[:_MOST_LABEL]
    if np.isfinite(row.get("d_spacing_nm", np.nan)):
        return f"{10 * row['d_spacing_nm']:.3f} Å"
    return f"{row['radius_px']:.1f} px"


def _label(
    axes: Axes, places: Floats, heights: Floats, names: list[str], top: float, right: float
) -> None:
    """Write turned labels over the rings, moved aside where they would overlap."""
    left = 0.0
    step = 2 * _TURNED_PT * (right - left) / size_pt(axes)[0]
    at = places.copy()
    for _ in range(50):
        gaps = np.diff(at)
        tight = gaps < step
        if not tight.any():
            break
        push = np.where(tight, (step - gaps) / 2, 0.0)
        at[:-1] -= push
        at[1:] += push
    at = np.clip(at, left + step / 2, right - step / 2)
    low = 1.18 * top
    for place, to, height, name in zip(places, at, heights, names, strict=True):
        axes.plot([place, place, to], [height + 0.03 * top, 1.06 * top, low - 0.02 * top],
                  color=GREY, linewidth=0.4)
        axes.text(to, low, name, rotation=90, ha="center", va="bottom", size=TEXT_PT - 1)
