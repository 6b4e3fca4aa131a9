"""Maps of an `eds` result: each element's counts, their shares, and all in one in false colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_rgb

from emtools.figures.images import shortened
from emtools.figures.scale_bar import add_scale_bar
from emtools.figures.style import (
    BLUE,
    GREEN,
    LINE_PT,
    ORANGE,
    PURPLE,
    SKY,
    TEXT_PT,
    TWO_COLUMNS_IN,
    VERMILLION,
    note,
    panel,
    sheet,
    style,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emtools.model import Image, Result

    Floats = NDArray[np.float64]

# Each element's colour of the composite; light ones add up to white where all are.
_COLOURS = (ORANGE, SKY, PURPLE, GREEN, VERMILLION, BLUE)
_MOST_IN_COMPOSITE = 3
_COLUMNS, _EDGE, _GAP = 3, 0.02, 0.05
_TITLE, _BAR, _BAR_TEXT, _NOTE = 0.17, 0.07, 0.2, 0.2
_SURE = 3.0  # sigma that a square's counts are binned to, in the median
_MOST_BINNED = 16
_TOP = 95.0  # percentile: squares that have more of the element decide


class _Map(NamedTuple):
    """One element's map, binned so that its counts can be told from noise."""

    element: str
    line: str
    counts: Floats
    err: Floats
    side: int

    @property
    def structure(self) -> float:
        """How much it varies over the picture, over what noise makes it vary."""
        noise = float(np.mean(self.err**2))
        return float(np.sqrt(max(float(np.var(self.counts)) - noise, 0.0) / noise))


class _Panels(NamedTuple):
    """Panels of maps in rows, each with room for its title above and a colour bar below."""

    figure: Figure
    columns: int
    rows: int
    wide: float
    high: float

    @classmethod
    def of(cls, image: Image, wide: float, n: int, columns: int) -> _Panels:
        """Return a sheet for ``n`` maps of an image, each so wide in inches."""
        high, rows = wide * _aspect(image), -(-n // columns)
        step = high + _TITLE + _BAR + _BAR_TEXT
        figure = sheet(rows * step + _NOTE + 2 * _EDGE,
                       columns * wide + (columns - 1) * _GAP + 2 * _EDGE)
        return cls(figure, columns, rows, wide, high)

    def _corner(self, i: int) -> tuple[float, float]:
        row, column = divmod(i, self.columns)
        step = self.high + _TITLE + _BAR + _BAR_TEXT
        return (_EDGE + column * (self.wide + _GAP),
                _EDGE + _NOTE + (self.rows - 1 - row) * step + _BAR + _BAR_TEXT)

    def axes(self, i: int) -> Axes:
        """Return the axes of a map."""
        return panel(self.figure, (*self._corner(i), self.wide, self.high))

    def map(self, i: int) -> tuple[Axes, Axes]:
        """Return the axes of a map and of its colour bar."""
        left, bottom = self._corner(i)
        return self.axes(i), panel(self.figure, (left, bottom - _BAR - 0.03, self.wide, _BAR))


def maps_figure(image: Image, result: Result) -> Figure:
    """Return maps of all elements and their composite, two columns wide.

    Each map is binned to squares that hold the element with three sigma, in the median of those
    that have most of it; how many pixels that took is said over it.  Counts are signed
    estimates, so that zero is shown as zero and noise on both sides of it.

    Parameters
    ----------
    image
        The spectrum image that was measured.
    result
        Of ``eds``, with maps.
    """
    maps = element_maps(result)
    with style():
        n = len(maps) + (len(maps) > 1)
        columns = min(_COLUMNS, n)
        wide = (TWO_COLUMNS_IN - 2 * _EDGE - (columns - 1) * _GAP) / columns
        table = _Panels.of(image, wide, n, columns)
        for i, one in enumerate(maps):
            _draw(*table.map(i), one, image)
        if n > len(maps):
            _composite(table.axes(len(maps)), maps, image)
        figure = table.figure
        smoothed = f"  Spectra {result.summary['maps']}." if "maps" in result.summary else ""
        note(figure, "signed estimates, overlaps and continuum taken off: noise lies on both "
             f"sides of zero.{smoothed}", _NOTE - 0.03)
        return figure


def shares_figure(image: Image, result: Result) -> Figure:
    """Return maps of atomic per cent, and of their 1 sigma beside them.

    Squares are as small as the counts allow; where they say nothing the map is grey.

    Parameters
    ----------
    image
        The spectrum image that was measured.
    result
        Of ``eds``, with maps.
    """
    layers = {options["name"]: np.asarray(data, dtype=float)
              for data, options, kind in result.layers if kind == "image"}
    elements = [name.removesuffix(" at.%") for name in layers if name.endswith(" at.%")]
    with style():
        wide = (TWO_COLUMNS_IN - 2 * _EDGE - (_COLUMNS - 1) * _GAP) / _COLUMNS
        table = _Panels.of(image, wide, 2 * len(elements), 2)
        titles = {name: title for element in elements for name, title in (
            (f"{element} at.%", element), (f"{element} at.% 1 sigma", f"{element}, 1 σ"))}
        for i, (name, title) in enumerate(titles.items()):
            axes, bar = table.map(i)
            _draw_values(axes, bar, layers[name], 1, "at.%")
            _frame(axes, image, title, bar=True)
        figure = table.figure
        smoothed = f"; spectra {result.summary['maps']}" if "maps" in result.summary else ""
        note(figure, f"squares of pixels as the counts allow; grey: too few{smoothed}",
             _NOTE - 0.03)
        return figure


def element_maps(result: Result) -> list[_Map]:
    """Maps of the elements that were found, binned as their counts need."""
    layers = {options["name"]: data for data, options, kind in result.layers if kind == "image"}
    table = result.tables["composition"]
    found = table[(table["region"] == "all") & table["detected"]]
    maps = []
    for element, line in zip(found["element"], found["line"], strict=True):
        counts = np.asarray(layers[f"{element} {line}"], dtype=float)
        variance = np.asarray(layers[f"{element} {line} 1 sigma"], dtype=float) ** 2
        maps.append(_binned(str(element), str(line), counts, variance))
    return maps


def _binned(element: str, line: str, counts: Floats, variance: Floats) -> _Map:
    from emtools.measure.eds.areas import binned

    side = 1
    most = min(_MOST_BINNED, min(counts.shape) // 4)
    while True:
        sums, err = binned(counts, side), np.sqrt(np.maximum(binned(variance, side), 1e-12))
        strong = sums >= np.percentile(sums, _TOP)
        if np.median((sums / err)[strong]) >= _SURE or 2 * side > most:
            return _Map(element, line, sums, err, side)
        side *= 2


def _aspect(image: Image) -> float:
    y, x = image.plane_axes
    return y.size * y.pixel_size / (x.size * x.pixel_size)


def _extent(side: int, shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    return (-0.5, shape[1] * side - 0.5, shape[0] * side - 0.5, -0.5)


def _frame(axes: Axes, image: Image, title: str, *, bar: bool) -> None:
    y, x = image.plane_axes
    axes.set_xlim(-0.5, x.size - 0.5)
    axes.set_ylim(y.size - 0.5, -0.5)
    axes.set_aspect("auto")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(shortened(title), pad=2.5, fontsize=TEXT_PT)
    if bar:
        add_scale_bar(axes, x.pixel_size, x.unit)


def _draw(axes: Axes, bar: Axes, one: _Map, image: Image) -> None:
    _draw_values(axes, bar, one.counts, one.side, "counts")
    binned = f", {one.side} × {one.side} pixels summed" if one.side > 1 else ""
    line = one.line.replace("a", "α")
    _frame(axes, image, f"{one.element} {line}{binned}", bar=True)


def _draw_values(axes: Axes, bar: Axes, values: Floats, side: int, quantity: str) -> None:
    colours = colormaps["viridis"].with_extremes(bad="0.75")
    known = values[np.isfinite(values)]
    high = max(float(np.percentile(known, 99.5)), 1.0) if known.size else 1.0
    drawn = axes.imshow(values, cmap=colours, vmin=0.0, vmax=high,
                        extent=_extent(side, values.shape), interpolation="nearest")
    figure = axes.get_figure(root=True)
    assert figure is not None
    scale = figure.colorbar(drawn, cax=bar, orientation="horizontal")
    scale.outline.set_linewidth(LINE_PT)
    scale.set_ticks([0.0, high], labels=["0", f"{high:.3g}"])
    bar.tick_params(labelsize=TEXT_PT, length=2.0, pad=1.5)
    first, last = bar.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    bar.text(0.5, -0.5, quantity, transform=bar.transAxes, ha="center", va="top",
             fontsize=TEXT_PT)


def _composite(axes: Axes, maps: list[_Map], image: Image) -> None:
    """The elements that vary most, together, each in a colour of its own."""
    chosen = sorted(maps, key=lambda one: -one.structure)[:_MOST_IN_COMPOSITE]
    y, x = image.plane_axes
    picture = np.zeros((y.size, x.size, 3))
    for one, colour in zip(chosen, _COLOURS, strict=False):
        high = max(float(np.percentile(one.counts, 99.5)), 1e-9)
        fine = np.kron(np.clip(one.counts / high, 0.0, 1.0), np.ones((one.side, one.side)))
        part = np.zeros((y.size, x.size))
        part[:fine.shape[0], :fine.shape[1]] = fine[:y.size, :x.size]
        picture += part[..., None] * np.array(to_rgb(colour))
    axes.imshow(np.clip(picture, 0.0, 1.0), extent=_extent(1, picture.shape),
                interpolation="nearest")
    _frame(axes, image, "together", bar=True)
    from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea

    names: list[Artist] = [
        TextArea(one.element, textprops={"color": colour, "fontsize": TEXT_PT + 1,
                                         "fontweight": "bold"})
        for one, colour in zip(chosen, _COLOURS, strict=False)]
    plate = AnchoredOffsetbox("upper left", child=HPacker(children=names, sep=4, pad=0), pad=0.25,
                              borderpad=0.3, frameon=True)
    plate.patch.set(facecolor="black", alpha=0.7, linewidth=0)
    axes.add_artist(plate)

