"""The tables of `eds`, declared."""

from __future__ import annotations

from emtools.tables import Column, Table

TABLES = {
    "composition": Table(
        "One element in one region.",
        (
            Column("region", "str", "'all', 'chain 1', 'dots', 'gaps', 'film', or the label's "
                   "number."),
            Column("element", "str", "Symbol."),
            Column("line", "str", "Line that is quantified: Ka, La or Ma; empty if none is in "
                   "range."),
            Column("counts", "float", "Counts of that line alone, overlaps, continuum and (where "
                   "asked) the film taken off; may be negative."),
            Column("counts_err", "float", "1 sigma by counting."),
            Column("atomic_percent", "float", "Share of the atoms of the elements detected; NaN if "
                   "not detected or left out."),
            Column("atomic_percent_err", "float", "1 sigma by counting."),
            Column("atomic_percent_k_err", "float", "1 sigma by the k-factors, the ratios of lines "
                   "and the detector: common to all regions."),
            Column("weight_percent", "float", "Share of the weight."),
            Column("detected", "bool", "Whether it is in the spectrum, by the likelihood ratio."),
            Column("limit_atomic_percent", "float", "95 % upper limit where it is not detected."),
            Column("p_value", "float", "Probability of such a signal without the element."),
            Column("k_factor", "float", "Weight-fraction k-factor that was used."),
            Column("k_source", "str", "Where it is from: given or computed."),
        ),
    ),
    "profile": Table(
        "One element in one step along a chain or a drawn line.",
        (
            Column("chain", "int", "The chain, or the number of the drawn line."),
            Column("region", "str", "'dot', 'gap' or 'line'."),
            Column("s_nm", "float", "Middle of the step, along the axis from its start."),
            Column("element", "str", "Symbol."),
            Column("counts", "float", "Counts of its line in the step; may be negative."),
            Column("counts_err", "float", "1 sigma by counting."),
            Column("atomic_percent", "float", "Share of the atoms of the elements detected in the "
                   "whole."),
            Column("atomic_percent_err", "float", "1 sigma by counting."),
            Column("haadf", "float", "Mean intensity of the HAADF image in the step, in its units; "
                   "NaN without one."),
            Column("haadf_err", "float", "1 sigma of that mean, by the scatter of its pixels."),
        ),
    ),
}

DETAILS = {
    "spectrum": Table(
        "One channel of a summed spectrum.",
        (
            Column("region", "str", "As in the composition."),
            Column("energy_keV", "float", "Middle of the channel, on the file's axis."),
            Column("counts", "float", "Recorded."),
            Column("fitted", "float", "Expected by the fit."),
            Column("continuum", "float", "Of these, the continuum."),
        ),
    ),
    "lines": Table(
        "One line of the fitted whole spectrum.",
        (
            Column("element", "str", "Symbol."),
            Column("line", "str", "Name."),
            Column("energy_keV", "float", "Where it stands on the file's axis."),
            Column("counts", "float", "Fitted."),
        ),
    ),
}
