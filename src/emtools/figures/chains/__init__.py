"""Figures of a chains result: overview, gaps, straightened chains, rejected, distributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emtools.figures.chains.distributions import distributions
from emtools.figures.chains.gaps import gaps_figure
from emtools.figures.chains.overview import chains_figure
from emtools.figures.chains.strips import strips_figure
from emtools.figures.chains.why_not import why_not_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from emtools.model import Image, Result

__all__ = ["chains_figure", "chains_pictures", "gaps_figure", "strips_figure", "why_not_figure"]


def chains_pictures(image: Image, result: Result) -> dict[str, Figure]:
    """Return all figures of a chains result but the overview, by name, where they show anything.

    Parameters
    ----------
    image
        The image that was measured.
    result
        Of the ``chains`` measurement; one without details has the figures that it has the
        numbers for.
    """
    figures = {}
    if len(result.tables["gaps"]):
        figures["gaps"] = gaps_figure(image, result)
    strips = strips_figure(image, result) if image.is_plane else None
    if strips is not None:
        figures["strips"] = strips
    if len(result.details.get("rejected", ())):
        figures["why_not"] = why_not_figure(image, result)
    return figures | {f"histogram_{name}": figure
                      for name, figure in distributions(image, result).items()}
