"""Whether chains and dots lie closer to each other than chance would have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import norm

from emtools.errors import ParameterError
from emtools.population.frames import as_frames, pool
from emtools.population.pattern import dot_places, end_places, inside, margin
from emtools.population.spread import (
    PART,
    POSITIVE,
    Quantity,
    draws,
    not_measurable,
    ratio,
)
from emtools.population.tables import PAIRS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from emtools.population.ends import Course
    from emtools.population.frames import Frame, Pooled

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

Points = Literal["dots", "chains"]
_CHOICES = 20  # of one end of each chain
_FEWEST = 8  # points of an image: below, Donnelly's approximation is not given
_BINS = 25


def chain_points(
    pooled: Pooled, rng: np.random.Generator
) -> Iterator[tuple[Floats, Ints, Ints]]:
    """Points that stand for chains, one each: places, images, units; several random choices.

    One of a chain's two ends is chosen at random; the chain has a point in the frame if that end
    lies in it (Miles's associated point).  Centres of what is seen would crowd in the middle.
    """
    places, rows = end_places(pooled)
    images, units = pooled.images("chains")[rows], pooled.units("chains")[rows]
    # The two ends of a chain follow each other; of a single one it is not known which it is.
    second = np.diff(rows, prepend=-1) == 0
    clear = inside(pooled, places, images, margin(pooled))
    for _ in range(_CHOICES):
        first = rng.random(len(pooled.courses)) < 0.5
        chosen = clear & (second != first[rows])
        yield places[chosen], images[chosen], units[chosen]


def clark_evans(pooled: Pooled, rng: np.random.Generator) -> Quantity:
    """Return the Clark-Evans index of the chains.

    The mean distance from a point to the next one, over that of points at random (Clark & Evans,
    Ecology 35 (1954) 445), whose mean and variance in a frame with a border are Donnelly's (in
    Hodder, Simulation studies in archaeology (1978) 91): below 1 aggregated, above 1 spaced out.
    """
    n = pooled.n_units
    off = 2.0 * margin(pooled)
    measured, expected = np.zeros(n), np.zeros(n)
    z: list[float] = []
    points, seen = 0, np.zeros(n, dtype=bool)
    enough = _enough_ends(pooled)
    for places, images, units in chain_points(pooled, rng):
        excess = variance = 0.0
        for image in enough:
            own = images == image
            count = int(own.sum())
            if count < 2:
                continue
            nearest = np.asarray(cKDTree(places[own]).query(places[own], k=2)[0])[:, 1]
            mean, err = _donnelly(count, [side - off for side in pooled.frames[image].shape_nm])
            np.add.at(measured, units[own], nearest)
            np.add.at(expected, units[own], mean)
            seen[units[own]] = True
            excess += float(nearest.sum()) - count * mean
            variance += (count * err) ** 2
            points += count
        if variance > 0:
            z.append(excess / np.sqrt(variance))
    if not seen.any():
        return not_measurable("Clark-Evans index", "",
                              f"no image shows {2 * _FEWEST} ends of chains")
    # Each choice has a z of variance 1; their mean lacks what the choices differ by.
    variance = 1.0 - float(np.var(z)) if len(z) > 1 else 1.0
    p_value = 2.0 * float(norm.sf(abs(np.mean(z)) / np.sqrt(max(variance, 0.2))))
    return Quantity("Clark-Evans index", "", round(points / _CHOICES), np.flatnonzero(seen),
                    ratio(measured, expected), power=0, bounds=POSITIVE, p_value=p_value,
                    note="1: chains at random, below: aggregated; p of random places")


def _enough_ends(pooled: Pooled) -> Ints:
    """Images that show enough ends of chains, whichever of them are chosen."""
    places, rows = end_places(pooled)
    images = pooled.images("chains")[rows]
    clear = inside(pooled, places, images, margin(pooled))
    return np.flatnonzero(np.bincount(images[clear], minlength=len(pooled.frames)) >= 2 * _FEWEST)


def _donnelly(n: int, sides: list[float]) -> tuple[float, float]:
    """Mean and 1 sigma of the mean distance between next neighbours of n points in a rectangle."""
    area, border = sides[0] * sides[1], 2.0 * (sides[0] + sides[1])
    mean = 0.5 * np.sqrt(area / n) + (0.0514 + 0.0412 / np.sqrt(n)) * border / n
    variance = 0.0703 * area / n**2 + 0.037 * border * np.sqrt(area / n**5)
    return float(mean), float(np.sqrt(variance))


def side_by_side(pooled: Pooled) -> list[Quantity]:
    """Return the part of the chains' length that runs beside another chain, against chance.

    Beside: less than two mean widths from centreline to centreline, a gap of one width.  Places
    nearer than that to the border do not count (reduced sample: Ripley, J. R. Stat. Soc. B 39
    (1977) 172).  Chance: chains of the same length and number placed independently of each other,
    of which a point meets none within r with the probability exp(-(2 r L + pi r² N)), L the length
    and N the number of the other chains in a unit area (a Poisson process of curves, each dilated
    by r; Steiner's formula).
    """
    names = ("chains beside chains", "aggregation")
    if len(pooled.courses) < 2:
        return [not_measurable(name, "", "fewer than two chains") for name in names]
    r = 2.0 * float(np.nanmedian(pooled.column("chains", "width_nm")))
    n = pooled.n_units
    beside, length, chance = np.zeros(n), np.zeros(n), np.zeros(n)
    for image, frame in enumerate(pooled.frames):
        rows = np.flatnonzero(pooled.images("chains") == image)
        if len(rows):
            _add_image(pooled, rows, frame, r, (beside, length, chance))
    if not length.sum() > 0:
        return [not_measurable(name, "", "all chains lie along the border") for name in names]
    units = np.flatnonzero(length)
    note = f"within {r:.3g} nm, centre to centre"
    part = Quantity(names[0], "", len(pooled.courses), units, ratio(beside, length), power=0,
                    bounds=PART, note=f"part of the length {note}")
    if not chance.sum() > 0:
        return [part, not_measurable(names[1], "", "no image shows two chains")]
    return [part, Quantity(names[1], "", len(pooled.courses), units, ratio(beside, chance), power=0,
                           bounds=POSITIVE,
                           note="times as much length beside other chains as by chance: 1")]


def _add_image(
    pooled: Pooled, rows: Ints, frame: Frame, r: float, sums: tuple[Floats, Floats, Floats]
) -> None:
    """Add an image's length beside other chains, its length, and what chance gives."""
    step = 0.25 * r
    samples = [_samples(pooled.courses[row], step) for row in rows]
    owner = np.repeat(np.arange(len(rows)), [len(sample) for sample in samples])
    places = np.concatenate(samples) if len(owner) else np.zeros((0, 2))
    near = np.zeros(len(places), dtype=bool)
    pairs = cKDTree(places).query_pairs(r, output_type="ndarray") if len(places) else \
        np.zeros((0, 2), dtype=np.int64)
    pairs = pairs[owner[pairs[:, 0]] != owner[pairs[:, 1]]]
    near[pairs.ravel()] = True
    # What lies beyond the border is not seen: nearer to it, a neighbour may be missed.
    clear = ((places >= r) & (places <= np.array(frame.shape_nm) - r)).all(axis=1)
    lengths = np.array([np.ptp(pooled.courses[row].s) if len(pooled.courses[row].s) else 0.0
                        for row in rows])
    # Seen from one of its chains, an image of chains at random holds the other ones at random.
    others = (lengths.sum() - lengths) / frame.area_nm2
    number = max(float(pooled.weight[rows].sum()) - 1.0, 0.0) / frame.area_nm2
    expected = 1.0 - np.exp(-(2.0 * r * others + np.pi * r**2 * number))
    units = pooled.units("chains")[rows][owner]
    for total, values in zip(sums, (near & clear, clear, clear * expected[owner]), strict=True):
        np.add.at(total, units, step * values)


def _samples(course: Course, step: float) -> Floats:
    if len(course.s) < 2:
        return np.zeros((0, 2))
    return course.at(np.arange(course.s[0] + 0.5 * step, course.s[-1], step))


def pair_correlation(
    frames: Iterable[Frame] | Frame, *, of: Points = "dots", r_max_nm: float | None = None,
    step_nm: float | None = None, rng: int | np.random.Generator | None = 0,
) -> pd.DataFrame:
    """Pair correlation g(r) of dots or of chains, corrected for the border.

    Each pair counts by the inverse of the area in which the frame would show it (translation
    correction: Ohser, Math. Operationsforsch. Statist. 14 (1983) 63; Ripley, J. Appl. Prob. 13
    (1976) 255); the density is each image's own, so that images with more and fewer points do not
    look aggregated.  Chains are represented by one of their ends, chosen at random.

    Parameters
    ----------
    frames
        The images.
    of
        ``dots`` or ``chains``.
    r_max_nm
        Largest distance; a quarter of the shortest side of a frame by default.
    step_nm
        Width of the ranges of distance; a 25th of the largest by default.
    rng
        For the bootstrap over images and the choice of ends.

    Returns
    -------
    pandas.DataFrame
        ``r_nm, g, g_err, n_pairs``; of a single image `g_err` is that of counting.

    Raises
    ------
    ParameterError
        If a parameter is out of range.
    """
    pooled = pool(as_frames(frames))
    side = min(min(frame.shape_nm) for frame in pooled.frames)
    largest = 0.25 * side if r_max_nm is None else r_max_nm
    step = largest / _BINS if step_nm is None else step_nm
    if not 0 < largest < side:
        raise ParameterError("r_max_nm", f"must lie in 0 ... {side:g}, not {largest}")
    if not 0 < step <= largest:
        raise ParameterError("step_nm", f"must lie in 0 ... {largest:g}, not {step}")
    if of not in ("dots", "chains"):
        raise ParameterError("of", f"must be 'dots' or 'chains', not {of!r}")
    generator = np.random.default_rng(rng)
    edges = np.asarray(step * np.arange(int(largest / step + 1e-9) + 1), dtype=np.float64)
    counted, chance, pairs = _pair_sums(pooled, of, edges, generator)
    return _pair_table(pooled, edges, (counted, chance, pairs), generator)


def _pair_sums(
    pooled: Pooled, of: Points, edges: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Weighted pairs in each range for each image, what chance gives, and the pairs' number."""
    if of == "dots":
        places, seen = dot_places(pooled)
        sets = [(places[seen], pooled.images("dots")[seen])]
        off = 0.0
    else:
        sets = [(places, images) for places, images, _ in chain_points(pooled, rng)]
        off = 2.0 * margin(pooled)
    shells = np.pi * np.diff(edges**2)
    shape = (len(pooled.frames), len(shells))
    counted, chance, pairs = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for places, images in sets:
        for image, frame in enumerate(pooled.frames):
            own = places[images == image]
            sides = np.array(frame.shape_nm) - off
            # n (n - 1), not n²: no point makes a pair with itself.
            chance[image] += shells * len(own) * (len(own) - 1) / sides.prod() ** 2
            if len(own) > 1:
                weighted, plain = _histograms(own, sides, edges)
                counted[image] += weighted
                pairs[image] += plain
    return counted, chance, pairs / len(sets)


def _histograms(places: Floats, sides: Floats, edges: Floats) -> tuple[Floats, Floats]:
    found = cKDTree(places).query_pairs(float(edges[-1]), output_type="ndarray")
    apart = np.abs(places[found[:, 0]] - places[found[:, 1]])
    # Where the border lets both points be seen: the frame moved by their difference.
    weights = 2.0 / np.prod(sides - apart, axis=1)
    r = np.hypot(*apart.T)
    return np.histogram(r, edges, weights=weights)[0], np.histogram(r, edges)[0].astype(float)


def _pair_table(
    pooled: Pooled, edges: Floats, sums: tuple[Floats, Floats, Floats], rng: np.random.Generator
) -> pd.DataFrame:
    counted, chance, pairs = sums
    n = len(pooled.frames)
    with np.errstate(divide="ignore", invalid="ignore"):
        g = counted.sum(axis=0) / chance.sum(axis=0)
        counting = np.maximum(g, 1.0) / np.sqrt(np.maximum(pairs.sum(axis=0), 1.0))
        if n > 1:
            weights = draws(pooled, rng)
            drawn = (weights @ counted) / (weights @ chance)
            # Draws of images without points say nothing; where no image has any, nothing does.
            none = ~np.isfinite(drawn).any(axis=0)
            drawn[:, none] = 0.0
            err = np.where(none, np.nan, np.nanstd(drawn, axis=0) * np.sqrt(n / (n - 1.0)))
        else:
            err = counting
    rows = [{"r_nm": r, "g": value, "g_err": of, "n_pairs": round(number)}
            for r, value, of, number in zip(
                0.5 * (edges[:-1] + edges[1:]), g, err, pairs.sum(axis=0), strict=True)]
    return PAIRS.frame(rows)
