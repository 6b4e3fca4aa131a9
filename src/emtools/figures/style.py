"""How every figure looks: one column wide, 7 pt sans, colours that the colour-blind tell apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes

COLUMN_IN = 85 / 25.4  # width of one column of a journal
TWO_COLUMNS_IN = 180 / 25.4
TALLEST_IN = 4.4  # taller pictures are drawn narrower
DPI = 300
ON_SCREEN_DPI = 140  # 7 pt are 14 pixels
TEXT_PT = 7.0
LINE_PT = 0.6
POINTS = 72.0  # in an inch
GREY = "0.35"

# Okabe & Ito, Color Universal Design (2008).
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
# Those that read on a micrograph, for numbered objects such as grains.
SERIES = (ORANGE, SKY, YELLOW, GREEN, PURPLE, VERMILLION)

# The same on white paper, those first that read best there.
ON_PAPER = (VERMILLION, SKY, GREEN, PURPLE, ORANGE, YELLOW)

_STYLE: dict[Any, Any] = {
    # DejaVu ships with matplotlib: the same picture on every machine, with µ, Å and ⁻¹.
    "font.family": "DejaVu Sans", "font.size": TEXT_PT, "mathtext.fontset": "dejavusans",
    "axes.titlesize": TEXT_PT + 1, "axes.labelsize": TEXT_PT, "axes.linewidth": LINE_PT,
    "axes.edgecolor": "0.15", "axes.facecolor": "white", "axes.labelcolor": "black",
    "axes.unicode_minus": True, "axes.titlecolor": "black", "text.color": "black",
    "text.usetex": False, "lines.linewidth": LINE_PT, "patch.linewidth": LINE_PT,
    "svg.fonttype": "none", "pdf.fonttype": 42,  # text stays text, which journals can set anew
    "figure.facecolor": "white", "figure.dpi": DPI, "legend.fontsize": TEXT_PT,
    "image.interpolation": "auto", "image.origin": "upper", "axes.grid": False,
}
_TICKS: dict[str, Any] = {"labelsize": TEXT_PT, "width": LINE_PT, "length": 2.5, "pad": 2.0,
                          "colors": "black"}


class Sheet(Figure):
    """A figure that a notebook shows by itself, in the size that is read well on a screen."""

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, bytes], dict[str, dict[str, int]]]:
        from emtools.figures.saving import png

        width, height = (round(side * ON_SCREEN_DPI) for side in self.get_size_inches())
        return ({"image/png": png(self, 2 * ON_SCREEN_DPI)},  # twice: screens are finer than that
                {"image/png": {"width": width, "height": height}})


def style() -> AbstractContextManager[None]:
    """Return the context that figures are made and saved in; the user's own settings stay."""
    return mpl.rc_context(_STYLE)


def sheet(height_in: float, width_in: float = COLUMN_IN) -> Sheet:
    """Return an empty figure with a canvas that needs no screen."""
    figure = Sheet(figsize=(width_in, height_in), dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def panel(figure: Figure, box_in: tuple[float, float, float, float]) -> Axes:
    """Return axes at ``(left, bottom, width, height)`` in inches."""
    width, height = figure.get_size_inches()
    left, bottom, wide, high = box_in
    axes = figure.add_axes((left / width, bottom / height, wide / width, high / height))
    # Ticks are made when the figure is drawn, outside the style: they carry their own.
    axes.tick_params(**_TICKS)
    return axes


def size_pt(axes: Axes) -> tuple[float, float]:
    """Return width and height of axes in points."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    box, (width, height) = axes.get_position(original=True), figure.get_size_inches()
    return float(box.width * width * POINTS), float(box.height * height * POINTS)


def text_width_pt(text: str, size: float = TEXT_PT) -> float:
    """Return about how wide a text is (a digit of DejaVu Sans is 0.64 em wide)."""
    return 0.62 * size * len(text)


def note(figure: Figure, text: str, top_in: float, left_in: float = 0.02) -> None:
    """Write a grey line of plain text, its upper edge `top_in` above the lower edge."""
    width, height = figure.get_size_inches()
    figure.text(left_in / width, top_in / height, text, va="top", ha="left", color=GREY,
                size=TEXT_PT, parse_math=False)
