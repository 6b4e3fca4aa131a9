"""The declared tables of the chains measurement."""

from __future__ import annotations

from emtools.tables import MARK, Column, Table

_CHAINS = Table("One chain of at least three bodies, or one line-like object.", (
    Column("chain", "int", "number of the chain, from 1"),
    Column("length_nm", "float", "arc from outer edge to outer edge, of what lies in the frame"),
    Column("length_err_nm", "float", "1 sigma, statistical"),
    Column("width_nm", "float", "mean over its dots of the full extent across the axis"),
    Column("width_err_nm", "float", "1 sigma of that mean, with what blur and shape leave open"),
    Column("width_std_nm", "float", "spread of the width over its dots"),
    Column("aspect_ratio", "float", "length over width"),
    Column("aspect_ratio_err", "float", "1 sigma, statistical"),
    Column("n_dots", "int", "number of dots; 0 where dots are not resolved"),
    Column("gap_nm", "float", "mean gap edge to edge, unresolved gaps as left-censored"),
    Column("gap_err_nm", "float", "1 sigma of that mean"),
    Column("pitch_nm", "float", "mean distance between neighbouring centres along the axis"),
    Column("pitch_err_nm", "float", "1 sigma of that mean"),
    Column("orientation_deg", "float", "direction of the chord, counter-clockwise from +x"),
    Column("tortuosity", "float", "arc over chord between the end points of the centreline"),
    Column("persistence_length_nm", "float", "of a worm-like chain in two dimensions"),
    Column("persistence_length_err_nm", "float", "1 sigma"),
    Column("n_crossings", "int", "how often it crosses other chains"),
    Column("touches_edge", "bool", "leaves the frame: its length is a lower limit"),
    Column("helix", "int", "number of the double helix that it is a strand of, 0 = none"),
    Column("helix_pitch_nm", "float", "one full turn"),
    Column("helix_pitch_err_nm", "float", "1 sigma"),
    Column("helix_radius_nm", "float", "from the helix's axis to the strand's centre"),
    Column("helix_radius_err_nm", "float", "1 sigma"),
    MARK,
))

_GAPS = Table("One gap between neighbouring dots of a chain.", (
    Column("gap", "int", "number of the gap, from 1"),
    Column("chain", "int", "the chain"),
    Column("s_nm", "float", "position along the chain, from its end nearer to the top left corner"),
    Column("y_nm", "float", "position"),
    Column("x_nm", "float", "position"),
    Column("gap_nm", "float", "edge to edge along the axis; negative within its error"),
    Column("gap_err_nm", "float", "1 sigma, statistical"),
    Column("gap_limit_nm", "float", "95 % upper limit where the gap is not resolved"),
    Column("resolved", "bool", "the gap is significantly larger than zero"),
))

_DOTS = Table("One dot.", (
    Column("dot", "int", "number of the dot, from 1"),
    Column("chain", "int", "its chain, 0 = none"),
    Column("y_nm", "float", "centre"),
    Column("x_nm", "float", "centre"),
    Column("diameter_nm", "float", "full extent across the axis; chain 0: mean of the axes"),
    Column("diameter_err_nm", "float", "1 sigma, statistical"),
    Column("length_nm", "float", "extent along the chain's axis; chain 0: the longer axis"),
    Column("width_nm", "float", "extent across the chain's axis; chain 0: the shorter axis"),
    Column("touches_edge", "bool", "cut by the border of the frame"),
    MARK,
))

_AXES = Table("One sample of a chain's centreline.", (
    Column("chain", "int", "the chain"),
    Column("s_nm", "float", "arc length from its end nearer to the top left corner"),
    Column("y_nm", "float", "position"),
    Column("x_nm", "float", "position"),
    Column("width_nm", "float", "local width"),
))

_PROFILES = Table("The brightness along a chain, at the samples of its centreline.", (
    Column("chain", "int", "the chain"),
    Column("s_nm", "float", "arc length, as in `axes`"),
    Column("signal", "float", "height above the ground over the middle half of the width"),
    Column("fitted", "float", "the same of the fitted dots; empty where they are not resolved"),
))

_REJECTED = Table("Something that stands out and is neither a dot nor part of a chain.", (
    Column("candidate", "int", "number, from 1"),
    Column("y_nm", "float", "middle"),
    Column("x_nm", "float", "middle"),
    Column("length_nm", "float", "its larger extent"),
    Column("width_nm", "float", "its smaller extent"),
    Column("reason", "str", "why it was left out"),
))

TABLES = {"chains": _CHAINS, "gaps": _GAPS, "dots": _DOTS, "axes": _AXES}
_STEPS = Table("Two neighbouring dots of a chain.", (
    Column("chain", "int", "the chain"),
    Column("distance_nm", "float", "from centre to centre along the axis"),
    Column("distance_err_nm", "float", "1 sigma"),
))

_SHARED = Table("What one cause, common to all chains of the picture, may change of a chain.", (
    Column("chain", "int", "the chain"),
    Column("cause", "str", "blur, shape (of the bodies) or level (of the ground)"),
    Column("width_nm", "float", "change of its width with 1 sigma of the cause"),
    Column("gap_nm", "float", "change of its mean gap"),
))

# What explains a result; not among its tables.
DETAILS = {"profiles": _PROFILES, "steps": _STEPS, "shared": _SHARED, "rejected": _REJECTED}
