"""Figures of one image: grey with a scale bar, or in false colours with a labelled bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.ticker import MaxNLocator

from emtools.figures.display import picture
from emtools.figures.scale_bar import add_scale_bar
from emtools.figures.style import COLUMN_IN, LINE_PT, TALLEST_IN, TEXT_PT, panel, sheet, style

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from numpy.typing import NDArray

    from emtools.figures.display import Picture
    from emtools.model import Image

_EDGE = 0.01  # inches around a panel, so that its frame is not cut
_TITLE = 0.17
BAR, BAR_GAP, BAR_TEXT = 0.09, 0.05, 0.46  # colour bar: width, distance, room for its numbers
_FLATTEST = 0.06  # height over width of the flattest panel; a line scan is stretched to it
_TITLE_LETTERS = 54
_TICKS_INSIDE = 0.04  # of a colour bar: how far from its ends numbers stay


def image_figure(
    image: Image, *, colour_map: str = "gray", colour_bar: bool = False, scale_bar: bool = True,
    title: str = "",
) -> Figure:
    """Return the picture of an image, one column wide.

    Contrast is set by robust percentiles of the pixels above a burnt-in banner; diffraction
    patterns and transforms are shown as logarithms; a spectrum image is summed over energy; of a
    stack the middle is shown.  Pixels that are not square are drawn in their proportions.

    Parameters
    ----------
    image
        Any image with axes y and x.
    colour_map
        Name of a matplotlib colour map.
    colour_bar
        Whether to draw a colour bar, labelled with what the values are.
    scale_bar
        Whether to draw a scale bar: a round length in µm, nm, Å, nm⁻¹, or px without calibration.
    title
        One line over the picture, shown as it is.

    Raises
    ------
    ImageError
        If the image is no picture.
    """
    with style():
        shown = picture(image)
        side = BAR_GAP + BAR + BAR_TEXT if colour_bar else 0.0
        wide, high = panel_size(shown, COLUMN_IN - 2 * _EDGE - side)
        top = _TITLE if title else 0.0
        figure = sheet(high + 2 * _EDGE + top, wide + 2 * _EDGE + side)
        axes = panel(figure, (_EDGE, _EDGE, wide, high))
        drawn = show(axes, shown, colour_map, scale_bar=scale_bar)
        if title:
            axes.set_title(shortened(title), pad=3.0, parse_math=False)
        if colour_bar:
            bar = panel(figure, (_EDGE + wide + BAR_GAP, _EDGE, BAR, high))
            draw_colour_bar(bar, drawn, shown.quantity)
        return figure


def false_colour(
    image: Image, *, colour_map: str = "viridis", scale_bar: bool = True, title: str = "",
) -> Figure:
    """Return the picture of an image in false colours, with a labelled colour bar.

    Parameters
    ----------
    image, scale_bar, title
        As for `image_figure`.
    colour_map
        Name of a matplotlib colour map; the default one is even to the eye and to the colour-blind.
    """
    return image_figure(image, colour_map=colour_map, colour_bar=True, scale_bar=scale_bar,
                        title=title)


def panel_size(shown: Picture, width: float, tallest: float = TALLEST_IN) -> tuple[float, float]:
    """Return width and height in inches of the panel that a picture fills."""
    aspect = max(shown.aspect, _FLATTEST)
    return (width, width * aspect) if width * aspect <= tallest else (tallest / aspect, tallest)


def show(
    axes: Axes, shown: Picture, colour_map: str = "gray", *, scale_bar: bool = True,
    avoid: NDArray[np.float64] | None = None,
) -> AxesImage:
    """Draw a picture in axes whose data units are the image's pixels.

    Parameters
    ----------
    axes
        Made for this picture.
    shown
        The picture.
    colour_map
        Name of a matplotlib colour map.
    scale_bar
        Whether to draw a scale bar.
    avoid
        ``(n, 2)`` marks (x, y) that the scale bar should not cover.
    """
    colours = mpl.colormaps[colour_map].with_extremes(bad="0.5")
    drawn = axes.imshow(
        shown.values, cmap=colours, vmin=shown.limits[0], vmax=shown.limits[1],
        extent=shown.extent, aspect=shown.pixel_aspect if shown.aspect > _FLATTEST else "auto",
    )
    axes.set_autoscale_on(False)
    axes.set_xticks([])
    axes.set_yticks([])
    if scale_bar:
        banner = shown.open_rows < shown.shape[0]
        add_scale_bar(axes, shown.pixel_size[1], shown.unit,
                      shown.open_rows - 0.5 if banner else None, avoid)
    return drawn


def shortened(text: str, letters: int = _TITLE_LETTERS) -> str:
    """Return one line of at most so many letters, its middle left out if need be."""
    line = " ".join(text.split())
    if len(line) <= letters:
        return line
    return f"{line[: letters // 2 - 1]}…{line[-(letters // 2):]}"


def draw_colour_bar(axes: Axes, drawn: ScalarMappable, quantity: str) -> None:
    """Draw a colour bar that fills axes, labelled with what the values are."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    bar = figure.colorbar(drawn, cax=axes)
    bar.outline.set_linewidth(LINE_PT)
    low, high = drawn.get_clim()
    assert low is not None
    assert high is not None
    # A number at the end of the bar would reach beyond it.
    aside = _TICKS_INSIDE * (high - low)
    bar.set_ticks([tick for tick in MaxNLocator(nbins=5).tick_values(low, high)
                   if low + aside <= tick <= high - aside])
    bar.set_label(quantity, size=TEXT_PT)
    bar.ax.tick_params(labelsize=TEXT_PT, width=LINE_PT, length=2.5, pad=2.0)
    largest = max(abs(low), abs(high))
    if largest >= 1e4 or largest < 1e-2:  # the numbers must fit beside the bar
        bar.formatter.set_powerlimits((-2, 3))  # type: ignore[attr-defined]
        bar.ax.yaxis.get_offset_text().set_fontsize(TEXT_PT)
