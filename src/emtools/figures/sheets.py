"""Pictures for a paper: one image or several with letters, of an exact width."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.patches import Rectangle
from scipy.ndimage import gaussian_filter

from emtools.errors import ParameterError
from emtools.figures.display import block_means, open_rows, picture
from emtools.figures.images import BAR, BAR_GAP, BAR_TEXT, draw_colour_bar, shortened, show
from emtools.figures.overlays import draw_layers
from emtools.figures.scale_bar import add_scale_bar
from emtools.figures.style import (
    POINTS,
    TEXT_PT,
    panel,
    sheet,
    size_pt,
    style,
    text_width_pt,
)
from emtools.process.colours import false_colour, table
from emtools.process.fourier import cropped
from emtools.process.steps import processed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emtools.figures.display import Picture
    from emtools.model import Image, Result

ColourBar = Literal["auto", "always", "never"]
_MM = 25.4  # in an inch
_WIDTHS_MM, _DPIS = (20.0, 400.0), (72, 2400)
_TALLEST_IN = 235 / _MM  # a page, less its caption
_GAP, _EDGE, _TITLE = 0.05, 0.01, 0.17  # inches: between panels, around them, over them
_LINE = 0.11  # inches of a second line beside a colour bar
_FLATTEST = 0.06  # height over width of the flattest panel
_LETTER_PT, _PAD_PT, _MARGIN_PT = 8.5, 2.6, 3.5
_LOOKED_AT, _BUSY = 64, 85.0  # places along a side; percentile that stands out
_NOISE = 4.0  # medians of the differences from the surrounding, which noise does not reach
_FEWEST_LETTERS = 12  # of a name over a panel


@dataclass(frozen=True)
class Layout:
    """How a sheet of pictures looks.

    Parameters
    ----------
    width_mm
        Of the sheet: 85 for one column of a journal, 180 for two.
    dpi
        Pixels in an inch: 300 for pictures, 600 where there are lines and letters.
    columns
        How many panels stand side by side; as many as make a sheet about as high as wide if not
        given.
    letters
        Whether several panels have letters: a, b, c ...
    scale_bar
        Whether there are scale bars.
    scale_bar_nm
        Length of the scale bars (1/nm in patterns), the same in all panels; of round lengths about
        a quarter of each panel if not given, or where it is longer than the panel.
    colour_bar
        Whether there are colour bars: ``auto``, where colours or contrast are numbers to be read
        off (false colour, amplitude contrast), ``always`` or ``never``.
    limits
        Values shown black and white in all panels, so that they can be compared; by default each
        panel has its own.
    names
        Whether the name of its file stands over each panel.
    banner
        Whether a burnt-in banner is shown.
    """

    width_mm: float = 85.0
    dpi: int = 300
    columns: int | None = None
    letters: bool = True
    scale_bar: bool = True
    scale_bar_nm: float | None = None
    colour_bar: ColourBar = "auto"
    limits: tuple[float, ...] = ()
    names: bool = False
    banner: bool = False

    def check(self) -> None:
        """Check the numbers.

        Raises
        ------
        ParameterError
            If one is out of range.
        """
        ranges = {"width_mm": (self.width_mm, *_WIDTHS_MM), "dpi": (self.dpi, *_DPIS)}
        for name, (value, low, high) in ranges.items():
            if not low <= value <= high:
                raise ParameterError(name, f"must be {low:g} to {high:g}, not {value:g}")
        if self.columns is not None and self.columns < 1:
            raise ParameterError("columns", f"must be at least 1, not {self.columns}")
        if self.scale_bar_nm is not None and not 0 < self.scale_bar_nm < math.inf:
            raise ParameterError("scale_bar_nm", f"must be positive, not {self.scale_bar_nm}")
        if self.limits and not (len(self.limits) == 2 and self.limits[0] < self.limits[1]):
            raise ParameterError("limits", f"must be two numbers in order, not {self.limits}")
        if self.colour_bar not in ("auto", "always", "never"):
            raise ParameterError("colour_bar", f"{self.colour_bar!r} is not known",
                                 "give one of auto, always, never")


class Panel(NamedTuple):
    """A picture of a sheet.

    Parameters
    ----------
    image
        What is shown: after all steps.
    name
        That may stand over it.
    results
        That are drawn on it.
    bars
        Whether it has a colour bar.
    """

    image: Image
    name: str = ""
    results: tuple[Result, ...] = ()
    bar: bool = False

    @property
    def coloured(self) -> bool:
        """Whether it is in false colours."""
        return bool(self.image.steps) and self.image.steps[-1].name == false_colour.__name__


def make_panel(
    image: Image, show: Sequence[str], parameters: Mapping[str, Mapping[str, object]],
    results: Mapping[str, Result], layout: Layout, drawn: Sequence[str] = (), name: str = "",
) -> Panel:
    """Return a panel of an image after steps.

    Parameters
    ----------
    image
        As it was read.
    show
        Names of steps, see `emtools.process.steps`.
    parameters
        Of the steps.
    results
        Of measurements of the image by their names; steps may be made of them.
    layout
        Of the sheet.
    drawn
        Names of the results that are drawn on it, where it still has its axes.
    name
        That may stand over it.

    Raises
    ------
    ImageError
        If the image is no picture, or a step cannot work on it.
    ParameterError
        If a step, a parameter or the layout is out of range.
    """
    layout.check()
    rows = image.axis("y").size if layout.banner else open_rows(image)
    shown = processed(image, show, parameters, results.get("lattice"))
    same = shown.axes[-2:] == image.axes[-2:]
    if same and rows < image.axis("y").size:
        shown = cropped(shown, (0, 0, rows, shown.axis("x").size))
    read_off = any(step.name in ("false_colour", "amplitude_contrast") for step in shown.steps)
    bar = layout.colour_bar == "always" or (layout.colour_bar == "auto" and read_off)
    return Panel(shown, name, tuple(results[one] for one in drawn) if same else (), bar)


def sheet_figure(panels: Sequence[Panel], layout: Layout) -> Figure:
    """Return a sheet of pictures, in rows of one height that fill its width.

    Parameters
    ----------
    panels
        In the order of their letters.
    layout
        How it looks.

    Raises
    ------
    ImageError
        If an image is no picture.
    ParameterError
        If there is nothing to show, or the sheet is higher than a page.
    """
    layout.check()
    if not panels:
        raise ParameterError("sheet", "has no picture", "give at least one image")
    with style():
        width = layout.width_mm / _MM
        columns = layout.columns or math.ceil(math.sqrt(len(panels)))
        most = math.ceil(layout.dpi * width / min(columns, len(panels)))
        pictures = [picture(one.image, max(most, 64)) for one in panels]
        labels = [shown.quantity if one.bar else "" for one, shown in zip(panels, pictures,
                                                                           strict=True)]
        boxes, height = _boxes(labels, pictures, layout, columns)
        # What is longer than its panel is high takes two lines, and their room.
        labels = [_in_lines(label, box[3] * POINTS)
                  for label, box in zip(labels, boxes, strict=True)]
        boxes, height = _boxes(labels, pictures, layout, columns)
        if height > _TALLEST_IN:
            raise ParameterError("columns", f"{columns} make a sheet {height * _MM:.0f} mm high",
                                 f"give more, or fewer images: a page has {_TALLEST_IN * _MM:.0f}")
        figure = sheet(height, width)
        drawn = zip(panels, pictures, boxes, labels, strict=True)
        for i, (one, shown, box, label) in enumerate(drawn):
            axes = panel(figure, (box[0], height - box[1] - box[3], box[2], box[3]))
            letter = _letters(i) if layout.letters and len(panels) > 1 else ""
            _draw(axes, one, replace(shown, quantity=label), layout, letter)
        return figure


def _in_lines(label: str, high_pt: float) -> str:
    """A colour bar's label, in two lines where it is longer than the bar."""
    if text_width_pt(label) <= high_pt:
        return label
    words = label.split()
    cut = min(range(1, len(words)), default=1,
              key=lambda i: max(len(" ".join(words[:i])), len(" ".join(words[i:]))))
    return "\n".join([" ".join(words[:cut]), " ".join(words[cut:])]).strip()


def _boxes(
    labels: Sequence[str], pictures: Sequence[Picture], layout: Layout, columns: int
) -> tuple[list[tuple[float, float, float, float]], float]:
    """Left, top, width and height of each panel in inches, and the height of the sheet.

    `labels` are those of colour bars, empty where there is none.
    """
    width = layout.width_mm / _MM
    title = _TITLE if layout.names else 0.0
    boxes: list[tuple[float, float, float, float]] = []
    top, lowest = _EDGE, math.inf
    for first in range(0, len(labels), columns):
        row = range(first, min(first + columns, len(labels)))
        # A panel's width for its height; those of line scans are stretched.
        widths = [1.0 / max(pictures[i].aspect, _FLATTEST) for i in row]
        sides = [BAR_GAP + BAR + BAR_TEXT + _LINE * labels[i].count("\n") if labels[i] else 0.0
                 for i in row]
        room = width - 2 * _EDGE - _GAP * (len(row) - 1) - sum(sides)
        high = min(room / sum(widths), _TALLEST_IN - 2 * _EDGE - title)
        if len(row) < columns:  # the last, not full row is no larger than the others
            high = min(high, lowest)
        lowest = min(lowest, high)
        left = _EDGE
        if len(labels) == 1:
            left += 0.5 * (room - high * widths[0])
        for one, beside in zip(widths, sides, strict=True):
            boxes.append((left, top + title, high * one, high))
            left += high * one + beside + _GAP
        top += title + high + _GAP
    return boxes, top - _GAP + _EDGE


def _draw(axes: Axes, one: Panel, shown: Picture, layout: Layout, letter: str) -> None:
    if layout.limits:
        shown = replace(shown, limits=(layout.limits[0], layout.limits[1]))
    drawn: ScalarMappable = show(axes, shown, scale_bar=False)
    if one.coloured:
        drawn = _coloured(axes, one.image, one.image.steps[-1].parameters, shown)
    for result in one.results:
        draw_layers(axes, one.image, result)
    taken = [_letter(axes, letter)] if letter else []
    if layout.scale_bar:
        add_scale_bar(axes, shown.pixel_size[1], shown.unit, avoid=_busy(shown, taken),
                      length=layout.scale_bar_nm if shown.unit in ("nm", "1/nm") else None)
    if layout.names and one.name:
        letters = max(_FEWEST_LETTERS, int(size_pt(axes)[0] / text_width_pt("x")))
        axes.set_title(shortened(one.name, letters), pad=3.0, parse_math=False, size=TEXT_PT)
    if one.bar:
        figure = axes.get_figure(root=True)
        assert figure is not None
        wide, high = figure.get_size_inches()
        box = axes.get_position(original=True)
        bar = panel(figure, (box.x1 * wide + BAR_GAP, box.y0 * high, BAR, box.height * high))
        draw_colour_bar(bar, drawn, shown.quantity)


def _busy(shown: Picture, taken: list[tuple[float, float]]) -> NDArray[np.float64]:
    """Places (x, y) that a scale bar should not cover: what stands out, and what is taken."""
    rows_and_columns = shown.values.shape
    step = max(1, min(max(rows_and_columns) // _LOOKED_AT, *rows_and_columns))
    few = block_means(shown.values, step)
    known = np.isfinite(few)
    few = np.where(known, few, np.median(few[known]) if known.any() else 0.0)
    off = np.abs(few - gaussian_filter(few, max(few.shape) / 6, mode="nearest"))
    # A few of the largest differences of noise are no objects.
    stands_out = max(float(np.percentile(off, _BUSY)), _NOISE * float(np.median(off)), 1e-30)
    rows, cols = np.nonzero(off >= stands_out)
    places = (np.column_stack([cols, rows]) + 0.5) * (step * shown.shape[0] / rows_and_columns[0])
    # What is taken counts more than all that stands out together.
    return np.concatenate([places, *[np.tile(one, (len(places) + 1, 1)) for one in taken]])


def _coloured(
    axes: Axes, image: Image, said: Mapping[str, object], shown: Picture
) -> ScalarMappable:
    """Draw the colours over the grey picture; return what a colour bar is made of."""
    pixels = image.load()[: shown.shape[0], : shown.shape[1]]
    rgb = np.stack([pixels[name] for name in "RGB"], axis=-1)
    axes.images[0].remove()
    axes.imshow(rgb, extent=shown.extent, aspect=shown.pixel_aspect)
    axes.set_autoscale_on(False)
    colours = ListedColormap(table(str(said["colours"])) / 255.0)
    return ScalarMappable(Normalize(float(str(said["low"])), float(str(said["high"]))), colours)


def _letters(i: int) -> str:
    """``a`` ... ``z``, ``aa`` ..."""
    text = ""
    i += 1
    while i:
        i, rest = divmod(i - 1, 26)
        text = chr(ord("a") + rest) + text
    return text


def _letter(axes: Axes, text: str) -> tuple[float, float]:
    """Write a panel's letter in its upper left corner, readable on any ground; return where."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    wide, high = size_pt(axes)
    across, up = (right - left) / wide, (top - bottom) / high  # data units in one point
    plate = text_width_pt(text, _LETTER_PT) + 2 * _PAD_PT, _LETTER_PT + 1.2 * _PAD_PT
    x, y = left + _MARGIN_PT * across, top - (_MARGIN_PT + plate[1]) * up
    axes.add_patch(Rectangle((x, y), plate[0] * across, plate[1] * up, alpha=0.62, zorder=8,
                             facecolor="black", edgecolor="none", gid="letter-plate"))
    place = x + 0.5 * plate[0] * across, y + 0.47 * plate[1] * up
    axes.text(*place, text, color="white", weight="bold", size=_LETTER_PT, ha="center",
              va="center", zorder=9, gid="letter")
    return place
