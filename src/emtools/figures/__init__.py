"""Image + Result -> figures as papers print them, thumbnails, and files of both."""

from emtools.figures.attachment import attachment_figure
from emtools.figures.bar_read import bar_figure
from emtools.figures.chains import (
    chains_figure,
    gaps_figure,
    strips_figure,
    why_not_figure,
)
from emtools.figures.eds import (
    composition_figure,
    maps_figure,
    profile_figure,
    shares_figure,
    spectrum_figure,
)
from emtools.figures.histograms import histogram
from emtools.figures.images import false_colour, image_figure
from emtools.figures.lattice import lattice_figure, strain_figure
from emtools.figures.overlays import overlay, pictures, plot
from emtools.figures.rings import rings_figure
from emtools.figures.saving import png, save, thumbnail, thumbnail_uri
from emtools.figures.sheets import Layout, Panel, make_panel, sheet_figure

__all__ = [
    "Layout",
    "Panel",
    "attachment_figure",
    "bar_figure",
    "chains_figure",
    "composition_figure",
    "false_colour",
    "gaps_figure",
    "histogram",
    "image_figure",
    "lattice_figure",
    "make_panel",
    "maps_figure",
    "overlay",
    "pictures",
    "plot",
    "png",
    "profile_figure",
    "rings_figure",
    "save",
    "shares_figure",
    "sheet_figure",
    "spectrum_figure",
    "strain_figure",
    "strips_figure",
    "thumbnail",
    "thumbnail_uri",
    "why_not_figure",
]
