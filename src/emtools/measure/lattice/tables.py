"""The declared tables of the lattice measurement."""

from __future__ import annotations

from emtools.tables import MARK, Column, Table

_REFLECTIONS = Table("One set of lattice fringes, the two Friedel mates merged.", (
    Column("reflection", "int", "number of the reflection, from 1"),
    Column("grain", "int", "grain that carries it"),
    Column("d_spacing_nm", "float", "spacing of the fringes"),
    Column("d_spacing_err_nm", "float", "1 sigma, statistical (the scale's own is in the summary)"),
    Column("angle_deg", "float", "direction of the plane normal, counter-clockwise from +x"),
    Column("angle_err_deg", "float", "1 sigma, statistical"),
    Column("k_per_nm", "float", "spatial frequency 1/d"),
    Column("snr", "float", "amplitude of the fringes over the noise of that amplitude"),
    Column("p_value", "float", "probability of such a peak anywhere in an image of noise"),
    Column("domain_nm", "float", "diameter of the circle with the area of the fringes' domain"),
    Column("d_size_effect_nm", "float", "1 sigma of what the crystal's size may shift the fringes "
           "from the planes by, not in d_spacing_err_nm"),
    Column("phase", "str", "best candidate phase, empty if none fits"),
    Column("hkl", "str", "plane in that phase, empty if none fits"),
    Column("d_reference_nm", "float", "the reference's spacing (in px: at the fitted scale)"),
    Column("ambiguous", "bool", "another phase, zone or plane fits about as well"),
    Column("few_fringes", "bool", "fewer than 6 fringes: their spacing may not be the planes'"),
    Column("harmonic", "bool", "a multiple of another reflection's frequency"),
))

_GRAINS = Table("One crystal domain.", (
    Column("grain", "int", "number of the grain, from 1"),
    Column("y_nm", "float", "centre of the domain"),
    Column("x_nm", "float", "centre of the domain"),
    Column("area_nm2", "float", "area of the domain"),
    Column("phase", "str", "best candidate phase, empty if none fits"),
    Column("zone_axis", "str", "direction along the beam in that phase"),
    Column("score", "float", "how well it fits, 0 to 1"),
    Column("runner_up", "str", "next best phase and zone axis, with its score"),
    Column("ambiguous", "bool", "the runner-up fits about as well, or one family is seen"),
    Column("rotation_deg", "float", "direction of the shortest lattice vector u"),
    Column("a_nm", "float", "lattice parameter a of the phase, scaled to the measured spacings"),
    Column("a_err_nm", "float", "1 sigma, statistical"),
    Column("u_nm", "float", "shorter vector of the reduced free lattice in real space"),
    Column("u_err_nm", "float", "1 sigma, statistical"),
    Column("v_nm", "float", "longer vector of the reduced free lattice in real space"),
    Column("v_err_nm", "float", "1 sigma, statistical"),
    Column("uv_angle_deg", "float", "angle between u and v"),
    Column("uv_angle_err_deg", "float", "1 sigma, statistical"),
    MARK,
))

_STRAIN = Table("Strain of a grain against the reference lattice (on request).", (
    Column("grain", "int", "number of the grain"),
    Column("exx", "float", "strain along x"),
    Column("exx_err", "float", "1 sigma, statistical"),
    Column("eyy", "float", "strain along y"),
    Column("eyy_err", "float", "1 sigma, statistical"),
    Column("exy", "float", "shear strain"),
    Column("exy_err", "float", "1 sigma, statistical"),
    Column("rotation_deg", "float", "turn against the reference, counter-clockwise"),
    Column("rotation_err_deg", "float", "1 sigma, statistical"),
))

TABLES = {"reflections": _REFLECTIONS, "grains": _GRAINS, "strain": _STRAIN}
