"""The declared tables of the rings measurement."""

from __future__ import annotations

from emtools.tables import Column, Table

_RINGS = Table("One ring of a diffraction pattern.", (
    Column("ring", "int", "number of the ring, from 1, outwards"),
    Column("d_spacing_nm", "float", "lattice spacing; NaN where the pattern has no scale"),
    Column("d_spacing_err_nm", "float", "1 sigma, statistical (the scale's own is in the summary)"),
    Column("k_per_nm", "float", "wave number 1/d; NaN where the pattern has no scale"),
    Column("k_err_per_nm", "float", "1 sigma, statistical"),
    Column("radius_px", "float", "radius, the ellipse corrected (geometric mean of its axes)"),
    Column("radius_err_px", "float", "1 sigma, statistical"),
    Column("fwhm_per_nm", "float", "full width at half maximum, sampling by pixels taken off"),
    Column("fwhm_err_per_nm", "float", "1 sigma, statistical"),
    Column("fwhm_px", "float", "the same in pixels"),
    Column("fwhm_err_px", "float", "1 sigma, statistical"),
    Column("crystallite_nm", "float", "Scherrer size 0.9 / width, the instrument's taken off; "
           "NaN where the ring is not broader than the instrument's"),
    Column("crystallite_err_nm", "float", "1 sigma, with the instrument width's own"),
    Column("intensity", "float", "area under the azimuthal mean, of the strongest ring"),
    Column("snr", "float", "height over its 1 sigma"),
    Column("azimuth_percent", "float", "part of the azimuth that the ring's brightness is spread "
           "over: 100 for an even ring"),
    Column("texture", "str", "even, arcs or spots"),
    Column("texture_deg", "float", "direction in which arcs are brightest, NaN for other rings"),
    Column("resolved", "bool", "no broader than most; else it may be several rings that cannot be "
           "told apart: the spacing is their mean by intensity, the size a lower limit"),
    Column("phase", "str", "best candidate phase, empty if none fits"),
    Column("hkl", "str", "family of planes in that phase (several joined with + are one ring)"),
    Column("d_reference_nm", "float", "the reference's spacing, weighted over joined families"),
    Column("ambiguous", "bool", "another phase fits about as well"),
))

_FRACTIONS = Table("One phase of the pattern.", (
    Column("phase", "str", "name of the phase"),
    Column("score", "float", "probability against the other candidates and unknown"),
    Column("rings", "int", "rings that it explains"),
    Column("volume_percent", "float", "of the crystals, from kinematic intensities"),
    Column("volume_percent_err", "float", "1 sigma, with 30 % for the intensities' model"),
    Column("a_nm", "float", "lattice parameter a, scaled to the measured rings; NaN without a "
           "scale"),
    Column("a_err_nm", "float", "1 sigma, statistical"),
    Column("runner_up", "str", "next best candidate, with its score"),
    Column("ambiguous", "bool", "the runner-up fits about as well"),
))

_SPOTS = Table("One spot of a single-crystal pattern, both of a Friedel pair merged.", (
    Column("spot", "int", "number of the spot, from 1, outwards"),
    Column("d_spacing_nm", "float", "lattice spacing; NaN where the pattern has no scale"),
    Column("d_spacing_err_nm", "float", "1 sigma, statistical"),
    Column("k_per_nm", "float", "wave number 1/d; NaN where the pattern has no scale"),
    Column("k_err_per_nm", "float", "1 sigma, statistical"),
    Column("radius_px", "float", "distance from the central beam"),
    Column("angle_deg", "float", "direction of the plane normal, counter-clockwise from +x"),
    Column("snr", "float", "brightness over its surroundings' scatter"),
    Column("hkl", "str", "plane in the best candidate phase, empty if none fits"),
    Column("ambiguous", "bool", "another phase or zone axis fits about as well"),
))

TABLES = {"rings": _RINGS, "fractions": _FRACTIONS, "spots": _SPOTS}
