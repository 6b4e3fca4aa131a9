"""Tables of all images -> the population, one row a quantity."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.population.clustering import clark_evans, side_by_side
from emtools.population.frames import as_frames, pool
from emtools.population.gaps import gap_quantity
from emtools.population.lengths import length_quantities
from emtools.population.order import order_quantities
from emtools.population.pattern import area_fraction, dots_in_chains, number_density
from emtools.population.persistence import persistence_quantity
from emtools.population.spread import (
    NOTHING,
    POSITIVE,
    Interval,
    Quantity,
    at_full,
    deviation,
    draws,
    estimate,
    interval,
    mean_of,
    median_of,
    not_measurable,
    spread_of,
)
from emtools.population.tables import POPULATION, checked_confidence

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray

    from emtools.population.frames import Frame, Pooled
    from emtools.population.spread import Units

    Floats = NDArray[np.float64]

_MIN_ENDS = 5.0  # chains counted by their ends: with fewer all that are seen count the same


def population(
    frames: Iterable[Frame] | Frame, *, confidence: float = 0.95,
    rng: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Population of chains that images show, each quantity with its uncertainty.

    Parameters
    ----------
    frames
        The images: tables of `emtools.chains` and size of the frame.
    confidence
        Of the intervals.
    rng
        For the bootstrap and the tests against chance.

    Returns
    -------
    pandas.DataFrame
        One row a quantity; what cannot be measured is NaN, with the reason in ``note``.

    Raises
    ------
    ParameterError
        If there are no frames, or `confidence` is not in 0 ... 1.

    Notes
    -----
    Images are what is drawn again for the uncertainties, since chains of one image share its
    specimen, focus and scale; of a single image it is chains, and the note says so: nothing is
    then known of how images differ.  Chains that leave the frame are censored, and each counts by
    the ends that are seen of it, so that long ones are not counted more often.

    References
    ----------
    Lengths: Laslett, Biometrika 69 (1982) 153; Gill, Lecture Notes in Mathematics 1581 (1994) 115;
    Kaplan & Meier, J. Am. Stat. Assoc. 53 (1958) 457.  Counting at the border: Miles in
    Harding & Kendall, Stochastic Geometry, Wiley (1974) 228.  Persistence: Rivetti, Guthold &
    Bustamante, J. Mol. Biol. 264 (1996) 919.
    Aggregation: Clark & Evans, Ecology 35 (1954) 445; Donnelly (1978); Ripley, J. R. Stat. Soc. B
    39 (1977) 172.  Bootstrap of clusters: Davison & Hinkley, Bootstrap Methods and their
    Application, Cambridge (1997), section 3.8.
    """
    checked_confidence(confidence)
    pooled = pool(as_frames(frames))
    generator = np.random.default_rng(rng)
    weights = draws(pooled, generator)
    found = quantities(pooled, generator)
    return POPULATION.frame([row_of(pooled, quantity, weights, confidence) for quantity in found])


def quantities(
    pooled: Pooled, rng: np.random.Generator, reach: dict[str, float] | None = None
) -> list[Quantity]:
    """Return all quantities of a population.

    Parameters
    ----------
    pooled
        Its tables.
    rng
        For the tests against chance.
    reach
        Up to where the means of censored quantities go, if not as far as possible.
    """
    found = [
        _of_chains(pooled, "width", "width_nm", "width_err_nm"),
        *length_quantities(pooled, reach),
        gap_quantity(pooled),
        _of_chains(pooled, "pitch", "pitch_nm", "pitch_err_nm"),
        _diameter(pooled),
        *order_quantities(pooled, rng),
        persistence_quantity(pooled),
        area_fraction(pooled),
        number_density(pooled),
        dots_in_chains(pooled),
        clark_evans(pooled, rng),
        *side_by_side(pooled),
    ]
    said = pooled.left_out
    return [replace(one, note="; ".join(part for part in (one.note, said) if part))
            for one in found] if said else found


def _of_chains(pooled: Pooled, name: str, column: str, err_column: str) -> Quantity:
    """Return a quantity that each chain has, counted by its ends."""
    values, errors = pooled.column("chains", column), pooled.column("chains", err_column)
    counts, note = pooled.weight, ""
    if counts[np.isfinite(values)].sum() < _MIN_ENDS:
        counts = np.ones(len(values))
        note = "few ends of chains are seen: all chains count the same, long ones more often"
    known = np.isfinite(values) & (counts > 0)
    if not known.any():
        reason = "no chains" if len(values) == 0 else "dots are not resolved"
        return not_measurable(name, "nm", reason)
    return _plain(pooled, name, (values[known], errors[known], counts[known]),
                  pooled.units("chains")[known], note)


def _diameter(pooled: Pooled) -> Quantity:
    """Return the diameter of the dots that lie whole in the frames."""
    values = pooled.column("dots", "diameter_nm")
    whole = np.isfinite(values) & ~pooled.dots["touches_edge"].to_numpy(dtype=bool)
    if not whole.any():
        return not_measurable("dot diameter", "nm", "dots are not resolved")
    errors = pooled.column("dots", "diameter_err_nm")[whole]
    return _plain(pooled, "dot diameter", (values[whole], errors, np.ones(int(whole.sum()))),
                  pooled.units("dots")[whole], "")


def _plain(
    pooled: Pooled, name: str, columns: tuple[Floats, Floats, Floats],
    units: NDArray[np.int64], note: str,
) -> Quantity:
    """Return the mean, median and spread of values with errors, each counted so many times."""
    values, errors, counts = columns
    return Quantity(
        name, "nm", len(values), np.unique(units),
        mean_of(values, counts, units, pooled.n_units), bounds=POSITIVE,
        median=median_of(values, counts, units),
        spread=spread_of(values, errors, counts, units, pooled.n_units), note=note)


def row_of(
    pooled: Units, quantity: Quantity, weights: Floats, confidence: float
) -> dict[str, Any]:
    """Return the row of one quantity."""
    found = estimate(quantity, weights, confidence).within(quantity.bounds)
    scale = abs(quantity.power * found.value) * pooled.scale_err if quantity.power else 0.0
    n_units = len(quantity.units)
    row: dict[str, Any] = {
        "quantity": quantity.name, "unit": quantity.unit, "n": quantity.n,
        "n_images": n_units if pooled.by_image else min(n_units, 1),
        "mean": found.value, "mean_err": found.err,
        "mean_err_with_scale": float(np.hypot(found.err, scale)),
        "low": found.low, "high": found.high, "p_value": quantity.p_value,
        "spread": np.nan, "spread_err": np.nan, "note": _note(pooled, quantity, found),
    }
    middle = _median(quantity, weights, confidence).within(quantity.bounds)
    row |= {"median": middle.value, "median_err": middle.err,
            "median_low": middle.low, "median_high": middle.high}
    if quantity.spread is not None:
        row |= {"spread": at_full(quantity.spread, weights),
                "spread_err": deviation(quantity.spread, weights, n_units)}
    return row


def _median(quantity: Quantity, weights: Floats, confidence: float) -> Interval:
    if quantity.median_interval is not None:
        return quantity.median_interval(weights, confidence)
    if quantity.median is None:
        return NOTHING
    return interval(at_full(quantity.median, weights), quantity.median(weights),
                    len(quantity.units), confidence)


def _note(pooled: Units, quantity: Quantity, found: Interval) -> str:
    notes = [quantity.note] if quantity.note else []
    if quantity.statistic is not None and np.isfinite(found.value) and not pooled.by_image:
        notes.append(f"one image: error over its {pooled.parts}, nothing known between images")
    elif np.isfinite(found.value) and not np.isfinite(found.err):
        notes.append("a single image shows it: no error" if len(quantity.units) < 2 else
                     "too few images for an error")
    return "; ".join(notes)
