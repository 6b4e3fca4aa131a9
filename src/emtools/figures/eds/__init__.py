"""Figures of `eds` results: spectrum, maps, profiles, compositions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtools.figures.eds.composition import composition_figure
from emtools.figures.eds.maps import maps_figure, shares_figure
from emtools.figures.eds.profile import profile_figure
from emtools.figures.eds.spectrum import draw_spectrum, spectrum_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from emtools.model import Image, Result

__all__ = ["composition_figure", "draw_spectrum", "eds_pictures", "maps_figure",
           "profile_figure", "shares_figure", "spectrum_figure"]


def eds_pictures(image: Image, result: Result, *, shares: bool = True) -> dict[str, Figure]:
    """Return every figure of a result of ``eds``; none where nothing could be measured.

    Parameters
    ----------
    image, result
        The image and its result.
    shares
        Whether maps of at.% are drawn beside those of counts.
    """
    if "spectrum" not in result.details:
        return {}
    figures = {"spectrum": spectrum_figure(result)}
    table = result.tables["composition"]
    if len(table):
        figures["composition"] = composition_figure(result)
    mapped = (table["region"] == "all") & table["detected"]
    if any(kind == "image" for _, _, kind in result.layers) and mapped.any():
        figures["maps"] = maps_figure(image, result)
        if shares and any(options["name"].endswith(" at.%") and np.isfinite(data).any()
               for data, options, _ in result.layers):
            figures["atomic_percent"] = shares_figure(image, result)
    if len(result.tables["profile"]):
        figures["profile"] = profile_figure(result)
    return figures
