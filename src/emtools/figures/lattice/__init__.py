"""Figures of a lattice result: image, transform, orientations, spacings; maps of the strain."""

from emtools.figures.lattice.figure import lattice_figure
from emtools.figures.lattice.strain import has_strain, strain_figure

__all__ = ["has_strain", "lattice_figure", "strain_figure"]
