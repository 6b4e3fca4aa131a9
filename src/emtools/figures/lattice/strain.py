"""Maps of the strain inside grains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import MaxNLocator

from emtools.errors import ParameterError
from emtools.figures.display import picture
from emtools.figures.images import panel_size, show
from emtools.figures.lattice.common import grid, letter, occupied
from emtools.figures.lattice.grains import outline_grains
from emtools.figures.style import LINE_PT, TEXT_PT, TWO_COLUMNS_IN, panel, sheet, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from emtools.figures.lattice.common import Grid
    from emtools.model import Image, Result

# Layer, what stands beside its colour bar, factor to that unit.
_MAPS = (("exx", r"$\varepsilon_{xx}$ (%)", 100.0), ("eyy", r"$\varepsilon_{yy}$ (%)", 100.0),
         ("exy", r"$\varepsilon_{xy}$ (%)", 100.0), ("rotation_deg", "rotation (°)", 1.0))
_EDGE, _BETWEEN = 0.01, 0.08
_BAR, _BAR_GAP, _BAR_TEXT = 0.09, 0.05, 0.54
_TALLEST = 3.6
_PERCENTILE = 95.0  # of the magnitudes: the rims of grains are noisy
_LEAST = {"%": 0.05, "°": 0.02}


def has_strain(result: Result) -> bool:
    """Whether a lattice result holds maps of the strain."""
    return any(options.get("name") == "strain exx" and np.isfinite(data).any()
               for data, options, _ in result.layers)


def strain_figure(image: Image, result: Result) -> Figure:
    """Return maps of the strain and the rotation inside the grains, two columns wide.

    The three strains have the same limits, symmetric about zero; the image shows through where
    nothing could be mapped.

    Parameters
    ----------
    image
        The image that was measured.
    result
        Of the ``lattice`` measurement with ``strain=True``.

    Raises
    ------
    ImageError
        If the image is no picture.
    ParameterError
        If the result holds no maps.
    """
    if not has_strain(result):
        raise ParameterError("result", "holds no maps of strain", "measure with strain=True")
    with style():
        shown = picture(image)
        side = _BAR_GAP + _BAR + _BAR_TEXT
        wide, high = panel_size(shown, 0.5 * (TWO_COLUMNS_IN - 2 * _EDGE - _BETWEEN) - side,
                                _TALLEST)
        figure = sheet(2 * high + 2 * _EDGE + _BETWEEN, 2 * (wide + side + _EDGE) + _BETWEEN)
        size = (image.axis("y").size, image.axis("x").size)
        maps = [grid(result, f"strain {name}", size) for name, _, _ in _MAPS]
        taken = occupied(result, size)
        strains = _limit([one for one in maps[:3] if one is not None], 100.0, _LEAST["%"])
        for i, (layer, (_, label, factor)) in enumerate(zip(maps, _MAPS, strict=True)):
            if layer is None:
                continue
            left = _EDGE + (i % 2) * (wide + side + _BETWEEN)
            low = _EDGE + (1 - i // 2) * (high + _BETWEEN)
            axes = panel(figure, (left, low, wide, high))
            show(axes, shown, scale_bar=i == 0, avoid=taken)
            limit = strains if i < 3 else _limit([layer], factor, _LEAST["°"])
            drawn = _draw(axes, layer, factor, limit)
            outline_grains(axes, result, size, "white")
            bar = panel(figure, (left + wide + _BAR_GAP, low, _BAR, high))
            _colour_bar(figure, drawn, bar, label)
            letter(figure, (left, low + high), "abcd"[i])
        return figure


def _limit(layers: list[Grid], factor: float, least: float) -> float:
    values = np.concatenate([np.abs(layer.values[np.isfinite(layer.values)]) for layer in layers])
    return max(factor * float(np.percentile(values, _PERCENTILE)), least) if len(values) else least


def _draw(axes: Axes, layer: Grid, factor: float, limit: float) -> AxesImage:
    # Diverging, and grey means nothing here: what is left grey is the image.
    colours = mpl.colormaps["RdBu_r"].with_extremes(bad=(0.0, 0.0, 0.0, 0.0))
    drawn = axes.imshow(factor * layer.values, cmap=colours, vmin=-limit, vmax=limit,
                        extent=layer.extent, interpolation="nearest", aspect=axes.get_aspect(),
                        zorder=1)
    axes.set_autoscale_on(False)
    return drawn


def _colour_bar(figure: Figure, drawn: AxesImage, axes: Axes, label: str) -> None:
    bar = figure.colorbar(drawn, cax=axes, extend="both", extendfrac=0.03)
    bar.outline.set_linewidth(LINE_PT)
    bar.ax.yaxis.set_major_locator(MaxNLocator(nbins=5, symmetric=True))
    bar.set_label(label, size=TEXT_PT, labelpad=1.0)
    bar.ax.tick_params(labelsize=TEXT_PT, width=LINE_PT, length=2.5, pad=2.0)
