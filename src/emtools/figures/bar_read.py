"""Figure of a scale that was read from a picture: where the bar is, and what was taken from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.patches import Rectangle

from emtools.errors import ImageError
from emtools.figures.display import picture
from emtools.figures.images import panel_size, show
from emtools.figures.style import COLUMN_IN, ORANGE, SKY, note, panel, sheet, style
from emtools.process.bars import scale_bar_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from emtools.model import Image

_EDGE, _GAP, _LINE_IN = 0.01, 0.08, 0.14
_TALLEST, _ZOOM_TALLEST = 3.0, 1.6
_AROUND = 0.35  # of the bar's length, shown around bar and label


def bar_figure(image: Image) -> Figure:
    """Return the picture with the scale bar that was read in it, and bar and label enlarged.

    Parameters
    ----------
    image
        As `emtools.read` returns it.

    Raises
    ------
    ImageError
        If no bar was read in it.
    """
    said = scale_bar_of(image)
    if said is None:
        raise ImageError(image.name, "has no scale bar that was read",
                         "see the audit in `emtools info`")
    with style():
        # Bar, label and banner are masked, but they are what is to be seen.
        shown = picture(image)
        wide, high = panel_size(shown, COLUMN_IN - 2 * _EDGE, _TALLEST)
        box = _around(said, shown.shape)
        zoom_wide = COLUMN_IN - 2 * _EDGE
        zoom_high = min(_ZOOM_TALLEST, zoom_wide * (box[3] - box[2]) / (box[1] - box[0]))
        lines = _lines(said)
        text = _LINE_IN * len(lines) + 0.04
        figure = sheet(high + zoom_high + text + _GAP + 2 * _EDGE)
        axes = panel(figure, ((COLUMN_IN - wide) / 2, text + zoom_high + _GAP, wide, high))
        show(axes, shown, scale_bar=False)
        _outline(axes, said["bar"], ORANGE)
        _outline(axes, said["label"], SKY)
        zoom = panel(figure, (_EDGE, text, zoom_wide, zoom_high))
        show(zoom, shown, scale_bar=False)
        zoom.set_xlim(box[0], box[1])
        zoom.set_ylim(box[3], box[2])
        zoom.set_aspect("auto" if zoom_high == _ZOOM_TALLEST else "equal")
        _outline(zoom, said["label"], SKY)
        top, bottom, left, right = said["bar"]
        for end in (left, right):
            zoom.plot([end - 0.5] * 2, [top - 0.5 * (bottom - top) - 1.5,
                                        bottom + 0.5 * (bottom - top) + 0.5], color=ORANGE, lw=1.0)
        for number, line in enumerate(lines):
            note(figure, line, text - 0.02 - number * _LINE_IN)
        return figure


def _around(said: Mapping[str, Any], shape: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, right, top and bottom of what is enlarged, in pixels of the image."""
    tops, bottoms, lefts, rights = zip(said["bar"], said["label"], strict=True)
    margin = max(8.0, _AROUND * said["length_px"])
    low = 0.25 * margin
    return (max(-0.5, min(lefts) - margin), min(shape[1] - 0.5, max(rights) + margin),
            max(-0.5, min(tops) - low), min(shape[0] - 0.5, max(bottoms) + low))


def _outline(axes: Axes, box: tuple[float, float, float, float], colour: str) -> None:
    top, bottom, left, right = box
    # Boxes are pixel edges from 0; in axes the first pixel's centre is 0.
    axes.add_patch(Rectangle((left - 1.5, top - 1.5), right - left + 2, bottom - top + 2,
                             fill=False, edgecolor=colour, linewidth=1.0))


def _lines(said: Mapping[str, Any]) -> list[str]:
    err = 100 * said["pixel_size_err"] / said["pixel_size"]
    lines = [f"read: {said['text']!r} over {said['length_px']:.1f} px",
             f"pixel size {said['pixel_size']:.4g} {said['unit']} (ends of the bar ± {err:.2g} %)"
             + ("" if said["used"] else "; the file's own is used")]
    if said["confirmed_by"]:
        lines.append(f"the {said['confirmed_by']} in the picture says the same")
    return lines + [f"doubt: {doubt}" for doubt in said["doubts"]]

