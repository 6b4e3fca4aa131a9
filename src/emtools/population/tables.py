"""The declared tables of a population."""

from __future__ import annotations

from emtools.errors import ParameterError
from emtools.tables import Column, Table

POPULATION = Table("One quantity of the population that the images show.", (
    Column("quantity", "str", "what it is"),
    Column("unit", "str", "of all its numbers; empty for a pure number"),
    Column("n", "int", "number of objects that it rests on"),
    Column("n_images", "int", "number of images that show any of them"),
    Column("mean", "float", "mean of the population, or its value"),
    Column("mean_err", "float", "1 sigma, statistical"),
    Column("mean_err_with_scale", "float", "1 sigma, with what all images share in quadrature: "
           "that of the pixel size, or of k-factors"),
    Column("low", "float", "lower end of the confidence interval of the mean, statistical"),
    Column("high", "float", "upper end"),
    Column("median", "float", "median of the population"),
    Column("median_err", "float", "1 sigma"),
    Column("median_low", "float", "lower end of the confidence interval of the median"),
    Column("median_high", "float", "upper end; infinite where it lies beyond what can be followed"),
    Column("spread", "float", "1 sigma of the population, errors of measurement taken off"),
    Column("spread_err", "float", "1 sigma of that"),
    Column("p_value", "float", "of the null hypothesis that the note names"),
    Column("note", "str", "what limits it, or why it is not measurable"),
))

SURVIVAL = Table("One length at which chains end.", (
    Column("length_nm", "float", "length"),
    Column("survival", "float", "part of the chains that are longer"),
    Column("low", "float", "lower end of its pointwise confidence interval"),
    Column("high", "float", "upper end"),
    Column("at_risk", "float", "chains followed that far, each of two ends counting one half"),
))

PAIRS = Table("One distance between points.", (
    Column("r_nm", "float", "middle of a range of distances"),
    Column("g", "float", "pair correlation: 1 for points that know nothing of each other"),
    Column("g_err", "float", "1 sigma"),
    Column("n_pairs", "int", "pairs of points that it rests on"),
))

COMPARISON = Table("One quantity of two groups.", (
    Column("quantity", "str", "what is compared"),
    Column("unit", "str", "of the difference"),
    Column("group_a", "str", "one group"),
    Column("group_b", "str", "the other"),
    Column("value_a", "float", "of group a, each unit of the test counting the same"),
    Column("value_b", "float", "of group b"),
    Column("difference", "float", "value_b - value_a"),
    Column("low", "float", "lower end of its confidence interval"),
    Column("high", "float", "upper end"),
    Column("effect_size", "float", "Hedges' g: difference over the spread between units"),
    Column("effect_low", "float", "lower end of its confidence interval"),
    Column("effect_high", "float", "upper end"),
    Column("p_value", "float", "of no difference"),
    Column("p_holm", "float", "the same, corrected for all rows of the table (Holm)"),
    Column("method", "str", "which test, over which units"),
    Column("images_a", "int", "images of group a"),
    Column("images_b", "int", "images of group b"),
    Column("chains_a", "int", "chains of group a"),
    Column("chains_b", "int", "chains of group b"),
    Column("dots_a", "int", "dots of group a"),
    Column("dots_b", "int", "dots of group b"),
    Column("verdict", "str", "what may be said"),
))


def checked_confidence(confidence: float) -> float:
    """Return the confidence.

    Raises
    ------
    ParameterError
        If it does not lie in 0 ... 1.
    """
    if not 0.0 < confidence < 1.0:
        raise ParameterError("confidence", f"must lie in 0 ... 1, not {confidence}")
    return confidence
