"""The population that many images show: distributions, order, aggregation, differences of groups.

>>> from emtools.population import Frame, compare, population
>>> frames = [Frame.of(image, emtools.chains(image)) for image in images]  # doctest: +SKIP
>>> population(frames)                                                    # doctest: +SKIP
>>> compare({"before": before, "after": after}, "width")                  # doctest: +SKIP
"""

from __future__ import annotations

from emtools.population.clustering import pair_correlation
from emtools.population.compare import compare
from emtools.population.frames import Frame, counted
from emtools.population.lengths import length_distribution
from emtools.population.nested import Nested, compare_nested, nested_means
from emtools.population.summary import population

__all__ = ["Frame", "Nested", "compare", "compare_nested", "counted", "length_distribution",
           "nested_means", "pair_correlation", "population"]
