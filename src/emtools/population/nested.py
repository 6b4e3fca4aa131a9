"""Numbers of any kind that are nested in images: their mean, and whether groups differ in it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm

from emtools.errors import ParameterError
from emtools.population.compare import judged, level_of, row_of_two
from emtools.population.differences import hedges, two_samples
from emtools.population.spread import (
    ANY,
    Interval,
    Quantity,
    draws,
    mean_of,
    median_of,
    spread_of,
)
from emtools.population.summary import row_of
from emtools.population.tables import POPULATION, checked_confidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Nested:
    """Numbers of one kind: spacings of one plane, at.% of one element ...

    Parameters
    ----------
    name, unit
        What they are.
    values, errors
        ``(n,)``, finite values, and 1 sigma of each (NaN if it is not known).
    images
        ``(n,)``, which image each is from.
    samples
        ``(n,)``, the specimen that the image shows a part of; empty if it is not stated.
    common_err
        1 sigma that all share (of the pixel size, of k-factors), in the unit.
    note
        What the reader must know.
    bounds
        Within which means must lie.
    """

    name: str
    unit: str
    values: Floats
    errors: Floats
    images: NDArray[np.int64]
    samples: tuple[str, ...] = ()
    common_err: float = 0.0
    note: str = ""
    bounds: tuple[float, float] = ANY

    def __post_init__(self) -> None:
        lengths = {len(self.values), len(self.errors), len(self.images)}
        if len(lengths) > 1 or (self.samples and len(self.samples) != len(self.values)):
            raise ParameterError(self.name, "values, errors, images and samples differ in length")
        if not np.isfinite(self.values).all():
            raise ParameterError(self.name, "holds values that are not finite")

    @property
    def n_units(self) -> int:
        """How many images, or how many numbers of a single one."""
        return len(self._units[0])

    @property
    def by_image(self) -> bool:
        """Whether there are several images."""
        return len(np.unique(self.images)) > 1

    @property
    def parts(self) -> str:
        """What a single image has several of."""
        return "rows"

    @property
    def scale_err(self) -> float:
        """Relative 1 sigma that all share."""
        mean = abs(float(self.values.mean())) if len(self.values) else 0.0
        return self.common_err / mean if mean > 0 else 0.0

    @property
    def _units(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Names of the units, and which one each number belongs to."""
        every = self.images if self.by_image else np.arange(len(self.values))
        names, units = np.unique(every, return_inverse=True)
        return names, units

    def quantity(self) -> Quantity:
        """Return mean, median and spread as functions of the weights of images."""
        names, units = self._units
        counts = np.ones(len(self.values))
        return Quantity(
            self.name, self.unit, len(self.values), np.arange(len(names)),
            mean_of(self.values, counts, units, len(names)),
            median=median_of(self.values, counts, units),
            spread=spread_of(self.values, self.errors, counts, units, len(names)),
            bounds=self.bounds, note=self.note)

    def means(self, level: str) -> Floats:
        """One number for each unit of a test: sample, image, or row of a single image."""
        if level == "chains":
            return self.values if not self.by_image else self._of(self.images)
        of_images = self._of(self.images)
        if level != "samples":
            return of_images
        first = np.unique(self.images, return_index=True)[1]
        samples = np.array(self.samples)[first]
        return np.array([of_images[samples == name].mean() for name in np.unique(samples)])

    def _of(self, units: NDArray[np.int64]) -> Floats:
        return np.array([self.values[units == unit].mean() for unit in np.unique(units)])

    def samples_of_images(self) -> list[str]:
        """Sample of each image."""
        first = np.unique(self.images, return_index=True)[1]
        return [self.samples[i] if self.samples else "" for i in first]


def nested_means(
    kinds: Sequence[Nested], *, confidence: float = 0.95,
    rng: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Mean, median and spread of numbers that are nested in images.

    Each number counts the same; whole images are drawn again for the uncertainty, since numbers of
    one image share its specimen, focus and scale.  Of a single image it is numbers, and the note
    says so; of one or two numbers it is their own errors.

    Parameters
    ----------
    kinds
        The numbers, those of one kind together.
    confidence
        Of the intervals.
    rng
        For the bootstrap.

    Returns
    -------
    pandas.DataFrame
        One row a kind, with the columns of `population`.

    Raises
    ------
    ParameterError
        If `confidence` is not in 0 ... 1.

    References
    ----------
    Bootstrap of clusters: Davison & Hinkley, Bootstrap Methods and their Application, Cambridge
    (1997), section 3.8.
    """
    checked_confidence(confidence)
    generator = np.random.default_rng(rng)
    return POPULATION.frame([
        _with_own_error(row_of(kind, kind.quantity(), draws(kind, generator), confidence), kind,
                        confidence) for kind in kinds if len(kind.values)])


def _with_own_error(row: dict[str, Any], kind: Nested, confidence: float) -> dict[str, Any]:
    """Where too few numbers show how they scatter, the errors of their measurement."""
    if np.isfinite(row["mean_err"]) or not np.isfinite(kind.errors).all():
        return row
    err = float(np.sqrt((kind.errors**2).sum())) / len(kind.errors)
    times = float(norm.ppf(0.5 + 0.5 * confidence))
    mean = row["mean"]
    found = Interval(mean, err, mean - times * err, mean + times * err).within(kind.bounds)
    said = "error of the measurement alone, too few to show how they scatter"
    return row | {"mean_err": err, "low": found.low, "high": found.high,
                  "mean_err_with_scale": float(np.hypot(err, kind.common_err)),
                  "note": "; ".join(part for part in (kind.note, said) if part)}


def compare_nested(
    groups: Mapping[str, Sequence[Nested]], *, confidence: float = 0.95,
    rng: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Compare numbers that are nested in images between groups of images.

    What is compared is the mean of each image (or of each sample, where every group has several),
    as `compare` does it for chains.

    Parameters
    ----------
    groups
        Numbers of each group; kinds are compared that two groups have.
    confidence
        Of the intervals.
    rng
        For permutations.

    Returns
    -------
    pandas.DataFrame
        One row for each kind and pair of groups, with the columns of `compare`.

    Raises
    ------
    ParameterError
        If there are fewer than two groups, or `confidence` is not in 0 ... 1.

    References
    ----------
    As of `compare`.
    """
    checked_confidence(confidence)
    if len(groups) < 2:
        raise ParameterError("groups", "needs at least two groups")
    generator = np.random.default_rng(rng)
    rows = []
    for a, b in combinations(groups, 2):
        others = {kind.name: kind for kind in groups[b] if len(kind.values)}
        rows += [_row((a, b), (kind, others[kind.name]), confidence, generator)
                 for kind in groups[a] if kind.name in others and len(kind.values)]
    return judged(rows, confidence)


def _row(
    names: tuple[str, str], pair: tuple[Nested, Nested], confidence: float,
    rng: np.random.Generator,
) -> dict[str, Any]:
    level = level_of([of.samples_of_images() for of in pair])
    a, b = (of.means(level) for of in pair)
    mixed = pair[0].by_image != pair[1].by_image  # rows of one image against means of several
    test = two_samples(a, b, confidence, None if mixed else rng)
    effect = (np.nan, np.nan, np.nan) if mixed else hedges(a, b, confidence)
    return row_of_two(pair[0].quantity(), test, (a, b), effect) | {
        "group_a": names[0], "group_b": names[1], "_level": level,
        "images_a": len(np.unique(pair[0].images)), "images_b": len(np.unique(pair[1].images))}
