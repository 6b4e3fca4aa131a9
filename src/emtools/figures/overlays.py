"""Everything that is drawn for one result."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from emtools.errors import ParameterError
from emtools.figures.attachment import attachment_figure
from emtools.figures.chains import chains_figure, chains_pictures
from emtools.figures.display import picture
from emtools.figures.eds import eds_pictures, spectrum_figure
from emtools.figures.histograms import FEWEST_VALUES, histogram
from emtools.figures.images import image_figure, panel_size, shortened, show
from emtools.figures.lattice import has_strain, lattice_figure, strain_figure
from emtools.figures.rings import rings_figure
from emtools.figures.style import COLUMN_IN, SERIES, note, panel, sheet, style
from emtools.tables import in_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from emtools.model import Image, Result

Which = Literal["all", "main"]
MOST_PLANES = 6  # families of planes with a histogram of their own, the strongest
_LONGEST_NAME = 60  # of a picture, whatever a phase is called
_EDGE, _KEY = 0.01, 0.17


class _Distribution(NamedTuple):
    """A column whose distribution is worth a histogram."""

    name: str
    table: str
    column: str
    label: str
    left_out: str = ""  # flag of rows whose value is only a limit


_FIGURES: dict[str, Callable[[Image, Result], Figure]] = {
    "attachment": attachment_figure, "chains": chains_figure, "lattice": lattice_figure,
    "rings": rings_figure,
}


def plot(image: Image, result: Result | None = None, name: str = "") -> Figure:
    """Return the picture of an image, or the main one of what was measured in it.

    Parameters
    ----------
    image
        The image.
    result
        Of any measurement of it.
    name
        Of another of its `pictures`.

    Raises
    ------
    ImageError
        If the image is no picture.
    ParameterError
        If the result has no picture of that name; the message names those it has.
    """
    if not name:
        return image_figure(image) if result is None else _main_figure(image, result)
    drawn = {} if result is None else pictures(image, result)
    if name not in drawn:
        what = "the image" if result is None else result.measurement
        raise ParameterError("name", f"{name!r} is not among the pictures of {what}",
                             f"they are {', '.join(drawn)}" if drawn else "there are none")
    return drawn[name]


def _main_figure(image: Image, result: Result) -> Figure:
    """The first of a result's pictures, the others not drawn; the image where there is none."""
    if result.measurement == "eds":
        return spectrum_figure(result) if "spectrum" in result.details else image_figure(image)
    return _FIGURES.get(result.measurement, overlay)(image, result)


def pictures(image: Image, result: Result, which: Which = "all") -> dict[str, Figure]:
    """Return every figure of a result.

    Parameters
    ----------
    image
        The image that was measured.
    result
        Of any measurement.
    which
        ``all``, or ``main``: without histograms and details, for folders of many images.

    Returns
    -------
    dict of str to Figure
        ``overlay`` always, or for spectra ``spectrum``, ``composition``, ``maps``,
        ``atomic_percent`` and ``profile`` as far as there are any; ``strain`` where it was mapped;
        ``gaps``, ``strips`` and ``why_not`` where chains, gaps or rejected candidates were found;
        ``histogram_<quantity>`` where there are at least five values.  Values that are only limits
        (cut by the frame, not resolved) are left out of them or shown apart.

    Raises
    ------
    ImageError
        If the image is no picture.
    """
    if result.measurement == "eds":
        return eds_pictures(image, result, shares=which == "all")
    figures = {"overlay": _main_figure(image, result)}
    if result.measurement == "lattice" and has_strain(result):
        figures["strain"] = strain_figure(image, result)
    return figures if which == "main" else figures | _details(image, result)


def _details(image: Image, result: Result) -> dict[str, Figure]:
    """Histograms, and what shows how the result came about."""
    if result.measurement == "chains":
        return chains_pictures(image, result)
    if result.measurement == "rings":
        return {}  # each ring is of other planes: there is nothing to be gathered
    if result.measurement == "lattice":
        return _same_planes(result.tables["reflections"])
    figures = {}
    # A mean over different planes says nothing: see `_same_planes`.
    for distribution in _with_errors(result):
        values, unit = _values(result, distribution)
        if values.size >= FEWEST_VALUES:
            figures[f"histogram_{distribution.name}"] = histogram(
                values, label=distribution.label, unit=unit)
    return figures


def _same_planes(reflections: pd.DataFrame) -> dict[str, Figure]:
    """Histograms of the spacings of the strongest families of planes, from many grains."""
    column = "d_spacing_nm" if "d_spacing_nm" in reflections else "d_spacing_px"
    reference = reflections[in_unit("d_reference_nm", column[-2:])].round(6)
    figures: dict[str, Figure] = {}
    groups = [group for group in reflections.groupby([reflections["phase"], reference])
              if len(group[1]) >= FEWEST_VALUES]
    groups.sort(key=lambda group: -float(group[1]["snr"].sum()))
    for (phase, spacing), rows in groups[:MOST_PLANES]:
        hkl = str(rows["hkl"].iloc[0])
        name = "_".join(["histogram_d_spacing", str(phase), hkl.replace(" ", "")])
        figures[_unlike(re.sub(r"[^\w-]", "", name), figures)] = histogram(
            rows[column].to_numpy(dtype=float), unit=column[-2:],
            label=f"spacing of {phase} {{{hkl}}}, reference {spacing:.4g}")
    return figures


def _unlike(name: str, others: Collection[str]) -> str:
    """A name of a file that is no other's on a disk that does not tell Co from CO."""
    short = name[:_LONGEST_NAME]
    taken = {other.casefold() for other in others}
    names = (short, *(f"{short}_{n}" for n in range(2, len(taken) + 2)))
    return next(one for one in names if one.casefold() not in taken)


def overlay(image: Image, result: Result) -> Figure:
    """Return the image with the layers of any result drawn on it.

    Parameters
    ----------
    image
        The image that was measured.
    result
        Its layers in the space of the image are drawn: points, paths and label outlines.

    Raises
    ------
    ImageError
        If the image is no picture.
    """
    with style():
        shown = picture(image)
        wide, high = panel_size(shown, COLUMN_IN - 2 * _EDGE)
        figure = sheet(high + 2 * _EDGE + _KEY)
        axes = panel(figure, (_EDGE, _EDGE + _KEY, wide, high))
        show(axes, shown)
        draw_layers(axes, image, result)
        note(figure, shortened(result.outcome, 64), _KEY - 0.02)
        return figure


def draw_layers(axes: Axes, image: Image, result: Result) -> None:
    """Draw a result's points, paths and outlines on the image that was measured."""
    drawn = [layer for layer in result.layers
             if layer[1].get("metadata", {}).get("space") == "image"]
    for i, layer in enumerate(drawn):
        _draw_layer(axes, image, layer, SERIES[i % len(SERIES)])


def _draw_layer(
    axes: Axes, image: Image, layer: tuple[Any, dict[str, Any], str], colour: str
) -> None:
    data, options, kind = layer
    calibration = image.calibration()
    scale = np.asarray(options.get("scale", (1.0, 1.0)), dtype=float)
    if kind == "labels":
        labels = np.asarray(data)
        rows, cols = (calibration.pixels(np.outer(np.arange(n) * step, unit))[:, i]
                      for i, (n, step, unit) in enumerate(
                          zip(labels.shape, scale, np.eye(2), strict=True)))
        if labels.any() and not labels.all():
            axes.contour(cols, rows, labels > 0, levels=[0.5], colors=colour, linewidths=0.8)
        return
    if kind not in ("points", "shapes"):
        return
    lines = [data] if kind == "points" else data
    for line in lines:
        places = np.atleast_2d(np.asarray(line, dtype=float)) * scale
        if options.get("shape_type") in ("polygon", "ellipse", "rectangle"):
            places = np.vstack([places, places[:1]])
        y, x = calibration.pixels(places).T
        axes.plot(x, y, "o" if kind == "points" else "-", color=colour, markersize=4.0,
                  markerfacecolor="none", linewidth=0.9, markeredgewidth=0.7)


def _with_errors(result: Result) -> list[_Distribution]:
    """Columns with an uncertainty beside them: what a measurement is about."""
    return [
        _Distribution(name, table_name, name, name.rsplit("_", 1)[0].replace("_", " "),
                      "touches_edge" if "touches_edge" in table.columns else "")
        for table_name, table in result.tables.items() for name in table.columns
        if name.endswith(("_nm", "_px"))
        and f"{name[:-3]}_err{name[-3:]}" in table.columns
    ]


def _values(result: Result, of: _Distribution) -> tuple[Any, str]:
    table: pd.DataFrame = result.tables[of.table]
    column = of.column if of.column in table.columns else in_unit(of.column, "px")
    if of.left_out:
        table = table[~table[of.left_out].astype(bool)]
    values = table[column].to_numpy(dtype=float)
    return values[np.isfinite(values)], column[-2:]
