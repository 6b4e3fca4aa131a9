"""The declared truth tables: the columns of the measurements' tables that a truth can have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emtools.tables import Column, Table

if TYPE_CHECKING:
    import pandas as pd

    from emtools.model import Image

    Simulated = tuple[Image, dict[str, pd.DataFrame]]
    SimulatedPair = tuple[tuple[Image, Image], dict[str, pd.DataFrame]]

GRAIN = Column("grain", "int", "number of the grain, from 1")
CHAIN = Column("chain", "int", "number of the chain, 0 = none")
Y = Column("y_nm", "float", "row of the centre times the pixel size")
X = Column("x_nm", "float", "column of the centre times the pixel size")
TOUCHES = Column("touches_edge", "bool", "reaches over the border of the frame")

REFLECTIONS = Table("one pair of Friedel mates of one grain", (
    Column("reflection", "int", "number of the reflection, from 1"),
    GRAIN,
    Column("d_spacing_nm", "float", "lattice spacing"),
    Column("angle_deg", "float", "direction of the plane normal"),
    Column("k_per_nm", "float", "1 / d"),
    Column("phase", "str", "name of the phase"),
    Column("hkl", "str", "Miller indices of the member whose direction is angle_deg"),
    Column("amplitude", "float", "A of A cos(2 pi g.r) where the crystal is thickest, image units"),
))

GRAINS = Table("one grain", (
    GRAIN, Y, X,
    Column("area_nm2", "float", "projected area in the frame"),
    Column("phase", "str", "name of the phase"),
    Column("zone_axis", "str", "direction towards the viewer"),
    Column("rotation_deg", "float", "turn, counter-clockwise, from the frame of Phase.in_zone"),
    Column("a_nm", "float", "lattice parameter a of the phase"),
    Column("u_nm", "float", "shortest vector of the projected lattice"),
    Column("v_nm", "float", "shortest vector of it not along u"),
    Column("uv_angle_deg", "float", "angle between u and v, 60 to 90 degrees"),
))

CHAINS = Table("one run of at least three bodies in the frame", (
    CHAIN,
    Column("length_nm", "float", "arc from outer edge to outer edge of what lies in the frame"),
    Column("width_nm", "float", "mean over the dots of the full extent across the axis"),
    Column("width_std_nm", "float", "spread of that extent over the dots"),
    Column("aspect_ratio", "float", "length over width"),
    Column("n_dots", "int", "bodies in the frame, cut ones included"),
    Column("gap_nm", "float", "mean gap, edge to edge along the axis"),
    Column("pitch_nm", "float", "mean distance between neighbouring centres"),
    Column("orientation_deg", "float", "direction of the line from end to end"),
    Column("tortuosity", "float", "arc over end-to-end distance"),
    Column("n_crossings", "int", "crossings with other chains in the frame"),
    TOUCHES,
))

# With double helices in the image.
COILED_CHAINS = Table(CHAINS.meaning, (
    *CHAINS.columns,
    Column("helix", "int", "number of the double helix that it is a strand of, 0 = none"),
    Column("helix_pitch_nm", "float", "along the helix's axis, one full turn"),
    Column("helix_radius_nm", "float", "from the helix's axis to the strand's centre"),
))

GAPS = Table("one gap between neighbours of a chain", (
    Column("gap", "int", "number of the gap, from 1"),
    CHAIN,
    Column("s_nm", "float", "arc position of the gap's middle from the chain's first outer edge"),
    Y, X,
    Column("gap_nm", "float", "edge to edge along the axis"),
))

DOTS = Table("one body", (
    Column("dot", "int", "number of the body, from 1"),
    CHAIN, Y, X,
    Column("diameter_nm", "float", "extent across the axis; without a chain the mean of both"),
    Column("length_nm", "float", "extent along the axis"),
    Column("width_nm", "float", "extent across the axis"),
    TOUCHES,
))

AXES = Table("one point of a chain's centreline", (
    CHAIN,
    Column("s_nm", "float", "arc position from the chain's first outer edge"),
    Y, X,
    Column("width_nm", "float", "extent of the nearest body across the axis"),
))

ANGLES = Table("one family direction of one grain against its chain's axis", (
    GRAIN, CHAIN,
    Column("hkl", "str", "Miller indices"),
    Column("angle_deg", "float", "angle between plane normal and chain axis, 0 to 90 degrees"),
))

COMPOSITION = Table("one line of one element in one region", (
    Column("region", "str", "all: the whole image"),
    Column("element", "str", "symbol"),
    Column("line", "str", "line, such as Ka"),
    Column("counts", "float", "expected counts of that line alone"),
    Column("atomic_percent", "float", "of the particles' elements; NaN for support and grid"),
    Column("k_factor", "float", "weight-fraction k-factor that the simulation used"),
))

RINGS = Table("one family of planes of one phase", (
    Column("ring", "int", "number of the ring, from 1"),
    Column("d_spacing_nm", "float", "lattice spacing"),
    Column("k_per_nm", "float", "1 / d"),
    Column("fwhm_per_nm", "float", "full width at half maximum, the instrument's included"),
    Column("intensity", "float", "height of the azimuthal mean, of the strongest ring"),
    Column("crystallite_nm", "float", "size of the crystals"),
    Column("phase", "str", "name of the phase"),
    Column("hkl", "str", "Miller indices of one member"),
))

POWDERS = Table("one phase of a ring pattern", (
    Column("phase", "str", "name of the phase"),
    Column("volume_percent", "float", "of the crystals' volume"),
))

PATTERNS = Table("a diffraction pattern", (
    Column("centre_y_px", "float", "row of the central beam"),
    Column("centre_x_px", "float", "column of the central beam"),
    Column("ellipticity", "float", "long minus short axis of the rings, over their mean"),
    Column("ellipse_deg", "float", "direction of the long axis, counter-clockwise from +x"),
))

LATTICE_TABLES = {"reflections": REFLECTIONS, "grains": GRAINS}
CHAIN_TABLES = {"chains": CHAINS, "gaps": GAPS, "dots": DOTS, "axes": AXES}


def empty_tables() -> dict[str, pd.DataFrame]:
    """All lattice and chain tables with zero rows: the truth of an image that shows neither."""
    return {name: table.frame() for name, table in (LATTICE_TABLES | CHAIN_TABLES).items()}
