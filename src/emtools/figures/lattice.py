"""Figure of a lattice result: the image with its grains beside the transform with its spots."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import patheffects
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy import ndimage

from emtools.figures.display import picture
from emtools.figures.images import panel_size, shortened, show
from emtools.figures.labels import LabelPlaces, barred
from emtools.figures.scale_bar import add_scale_bar, unit_label
from emtools.figures.style import (
    COLUMN_IN,
    POINTS,
    SERIES,
    TEXT_PT,
    note,
    panel,
    sheet,
    size_pt,
    style,
    text_width_pt,
)
from emtools.figures.transforms import power_spectrum
from emtools.tables import in_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emtools.figures.transforms import PowerSpectrum
    from emtools.model import Image, Result

    Floats = NDArray[np.float64]

# Inches: around the panels, between them, below and beside them for numbers, a line of text.
_EDGE, _BETWEEN, _TICKS, _LINE = 0.01, 0.05, 0.34, 0.135
_RIGHT, _RIGHT_DECIMALS = 0.36, 0.5
_TALLEST = 2.4
_CIRCLE_PT = 6.0
_NAMED = 8  # so many spots are labelled in full; of more, the others are numbered
_KEYED = 3  # grains in the key
_LETTERS, _MOST_LINES = 62, 4
_CASING = [patheffects.withStroke(linewidth=1.4, foreground="black")]


def lattice_figure(image: Image, result: Result) -> Figure:
    """Return the image with grain outlines beside its transform with the spots marked.

    Spots (both Friedel mates) are circled in the colour of their grain and labelled with hkl where
    indexed, else with their spacing; of many spots the strongest are labelled and the others bear
    their number in the table.

    Parameters
    ----------
    image
        The image that was measured.
    result
        Of the ``lattice`` measurement.

    Raises
    ------
    ImageError
        If the image is no picture.
    """
    reflections = result.tables["reflections"]
    largest = float(reflections[_named(reflections, "k_per_nm")].max()) if len(reflections) else 0.0
    spectrum = None
    if not result.outcome.startswith("not measurable"):
        spectrum = power_spectrum(image, largest)
    with style():
        if spectrum is None:
            return _without_spectrum(image, result)
        return _side_by_side(image, result, spectrum)


def _side_by_side(image: Image, result: Result, spectrum: PowerSpectrum) -> Figure:
    shown = picture(image)
    numbers = _RIGHT if spectrum.extent[1] > 1.0 else _RIGHT_DECIMALS
    room = COLUMN_IN - 2 * _EDGE - _BETWEEN - numbers
    # Both panels are equally high; the transform is nearly square.
    high = min(room / (1.0 / max(shown.aspect, 0.3) + 1.0 / _aspect(spectrum)), _TALLEST)
    wide, _ = panel_size(shown, high / max(shown.aspect, 0.3), high)
    key = _grain_key(result)
    lines = [] if key else _wrapped(result.outcome, int(wide * POINTS / (0.57 * TEXT_PT)))
    bottom = max(_TICKS, _LINE * max(len(key), len(lines)) + 0.03)
    figure = sheet(high + bottom + _EDGE, wide + high / _aspect(spectrum) + 2 * _EDGE + _BETWEEN
                   + numbers)
    left = panel(figure, (_EDGE, bottom, wide, high))
    show(left, shown)
    _grains(left, result, shown.shape)
    right = panel(figure, (_EDGE + wide + _BETWEEN, bottom, high / _aspect(spectrum), high))
    _show_spectrum(right, spectrum)
    _spots(right, result.tables["reflections"], spectrum)
    if key:
        left.legend(handles=key, loc="upper left", bbox_to_anchor=(0.0, 0.0), frameon=False,
                    borderpad=0.1, borderaxespad=0.1, handlelength=1.0, handletextpad=0.4,
                    labelspacing=0.25)
    for i, line in enumerate(lines):
        note(figure, line, bottom - 0.03 - _LINE * i)
    return figure


def _without_spectrum(image: Image, result: Result) -> Figure:
    shown = picture(image)
    wide, high = panel_size(shown, COLUMN_IN - 2 * _EDGE)
    lines = _wrapped(result.outcome, _LETTERS)
    bottom = _LINE * len(lines) + 0.03
    figure = sheet(high + _EDGE + bottom, COLUMN_IN)
    show(panel(figure, (_EDGE, bottom, wide, high)), shown)
    for i, line in enumerate(lines):
        note(figure, line, bottom - 0.03 - _LINE * i)
    return figure


def _aspect(spectrum: PowerSpectrum) -> float:
    left, right, bottom, top = spectrum.extent
    return max(abs((bottom - top) / (right - left)), 0.5)


def _named(table: pd.DataFrame, name: str) -> str:
    """Return a column's name as the table has it: ``_nm``, or ``_px`` without calibration."""
    return name if name in table.columns else in_unit(name, "px")


def _show_spectrum(axes: Axes, spectrum: PowerSpectrum) -> None:
    axes.imshow(spectrum.values, cmap="gray", vmin=spectrum.limits[0], vmax=spectrum.limits[1],
                extent=spectrum.extent, aspect="equal")
    axes.set_autoscale_on(False)
    unit = unit_label(spectrum.unit)
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_xlabel(f"$k_x$ ({unit})", labelpad=1.5)
    axes.set_ylabel(f"$k_y$ ({unit})", labelpad=1.0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=4, symmetric=True, prune="both"))


def _spots(axes: Axes, reflections: pd.DataFrame, spectrum: PowerSpectrum) -> None:
    angle = np.radians(reflections["angle_deg"].to_numpy(dtype=float))
    length = reflections[_named(reflections, "k_per_nm")].to_numpy(dtype=float)
    k = spectrum.places(length[:, None] * np.stack([-np.sin(angle), np.cos(angle)], axis=1))
    colours = [SERIES[(grain - 1) % len(SERIES)] for grain in reflections["grain"]]
    circle = _CIRCLE_PT if len(k) <= 2 * _NAMED else 0.75 * _CIRCLE_PT
    bar = add_scale_bar(axes, 1.0, spectrum.unit, avoid=np.vstack([k, -k]))
    for mates in (k, -k):
        for (x, y), colour in zip(mates, colours, strict=True):
            axes.plot(x, y, "o", markersize=circle, markerfacecolor="none",
                      markeredgecolor=colour, markeredgewidth=0.7, zorder=4)
    if len(k) == 0:
        return
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    wide, high = size_pt(axes)
    scale = np.array([wide / (right - left), high / (top - bottom)])
    points, mates = ((at - [left, bottom]) * scale for at in (k, -k))
    places = LabelPlaces((wide, high), np.vstack([points, mates]), 0.5 * circle + 1.0, [bar])
    labels = _placed_labels(reflections, points, mates, places)
    for (place, text), colour in zip(labels, colours, strict=True):
        if place is not None:
            x, y = place / scale + [left, bottom]
            axes.text(x, y, text, color=colour, size=TEXT_PT, ha="center", va="center",
                      path_effects=_CASING, zorder=6)


def _placed_labels(
    reflections: pd.DataFrame, points: Floats, mates: Floats, places: LabelPlaces
) -> list[tuple[Floats | None, str]]:
    """Return where each spot's label goes (None if there is no room) and what it says."""
    strongest = np.argsort(-reflections["snr"].to_numpy(dtype=float), kind="stable").tolist()
    in_full = set(strongest[:_NAMED])
    middle = np.array(places.size) / 2
    found: list[tuple[Floats | None, str]] = [(None, "")] * len(points)
    for i in strongest:
        row = reflections.iloc[i]
        text, letters = _label(row) if i in in_full else (str(row["reflection"]),) * 2
        size = (text_width_pt(letters), 1.05 * TEXT_PT)
        for at in (points[i], mates[i]):  # the mate where the spot itself has no room
            place = places.place(at, size, at - middle)
            if place is not None:
                found[i] = (np.array(place), text)
                break
    return found


def _label(row: Any) -> tuple[str, str]:
    """Return what a spot is called, as matplotlib writes it and as letters to be counted."""
    hkl = str(row["hkl"])
    if hkl:
        return f"${barred(hkl)}$", re.sub(r"[- ]", "", hkl)
    name = "d_spacing_nm"
    if name in row.index:
        text = f"{10.0 * float(row[name]):.2f} Å"
    else:
        text = f"{float(row[in_unit(name, 'px')]):.1f} px"
    return text, text


def _grains(axes: Axes, result: Result, shape: tuple[int, int]) -> None:
    """Outline the grains, whose domains are a coarse grid over the image."""
    layer = next((layer for layer in result.layers
                  if layer[2] == "labels" and layer[1].get("name") == "grains"), None)
    if layer is None:
        return
    labels = np.asarray(layer[0])
    rows, cols = ((np.arange(n) + 0.5) * size / n - 0.5
                  for n, size in zip(labels.shape, shape, strict=True))
    for number in range(1, int(labels.max(initial=0)) + 1):
        # Smoothed, the grid's steps do not look like facets of the crystal.
        inside = ndimage.gaussian_filter((labels == number).astype(float), 0.8, mode="nearest")
        if inside.min() < 0.5 < inside.max():
            axes.contour(cols, rows, inside, levels=[0.5], colors="black", linewidths=1.7)
            axes.contour(cols, rows, inside, levels=[0.5], linewidths=0.8,
                         colors=SERIES[(number - 1) % len(SERIES)])


def _grain_key(result: Result) -> list[Line2D]:
    """Return one entry for each of the first grains: its colour, phase and zone axis."""
    key = []
    grains = result.tables["grains"].to_dict("records")
    for row in grains[:_KEYED]:
        name = str(row["phase"]).replace("$", "") or f"grain {row['grain']}, not indexed"
        zone = f" [${barred(row['zone_axis'])}$]" if row["phase"] and row["zone_axis"] else ""
        doubt = ", ambiguous" if row["phase"] and row["ambiguous"] else ""
        colour = SERIES[(row["grain"] - 1) % len(SERIES)]
        key.append(Line2D([], [], linestyle="none", marker="o", markersize=4.0,
                          markerfacecolor="none", markeredgecolor=colour, markeredgewidth=1.0,
                          label=f"{name}{zone}{doubt}"))
    if len(grains) > _KEYED:
        key.append(Line2D([], [], linestyle="none",
                          label=f"and {len(grains) - _KEYED} more grains"))
    return key


def _wrapped(text: str, letters: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) + 1 > letters:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [shortened(line, letters + 4) for line in lines if line][:_MOST_LINES]
