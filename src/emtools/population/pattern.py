"""How much lies in the frame: area fraction, number of chains, dots in chains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtools.population.spread import (
    PART,
    POSITIVE,
    Quantity,
    not_measurable,
    ratio,
    summed,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.population.frames import Pooled
    from emtools.population.spread import Statistic

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

_NM2_IN_UM2 = 1e6


def inside(pooled: Pooled, places: Floats, images: NDArray[np.int64], margin: float = 0.0) -> Bools:
    """Whether places lie in their frames, at least `margin` from the border."""
    shapes = np.array([frame.shape_nm for frame in pooled.frames])[images].reshape(-1, 2)
    return np.asarray(((places >= margin) & (places <= shapes - margin)).all(axis=1))


def dot_places(pooled: Pooled) -> tuple[Floats, Bools]:
    """Centres of the dots, and which lie in the frame.

    A dot counts whole where its centre lies in the frame and not at all otherwise, so that those
    cut by the border count by the area of the frame (associated points: Miles in Harding & Kendall,
    Stochastic Geometry, Wiley (1974) 228).
    """
    places = pooled.dots[["y_nm", "x_nm"]].to_numpy(dtype=float)
    return places, inside(pooled, places, pooled.images("dots"))


def _per_area(pooled: Pooled, amounts: Floats, areas: Floats) -> Statistic:
    """Amounts of units over the area that they were seen in."""
    def statistic(weights: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray((weights @ amounts) / pooled.area_of(weights, areas))
    return statistic


def area_fraction(pooled: Pooled) -> Quantity:
    """Return the part of the frame that bodies cover (their projections, added up).

    Dots by the ellipse of their two extents, lines whose dots are not resolved by length times
    width.  Each dot counts by its centre (associated points: Miles in Harding &
    Kendall, Stochastic Geometry, Wiley (1974) 228).
    """
    _, seen = dot_places(pooled)
    bodies = 0.25 * np.pi * pooled.column("dots", "length_nm") * pooled.column("dots", "width_nm")
    lines = pooled.column("chains", "n_dots") == 0
    strips = pooled.column("chains", "length_nm") * pooled.column("chains", "width_nm")
    # Lines end at the border; what is seen of them is their share of the frame.
    covered = summed(np.where(seen & np.isfinite(bodies), bodies, 0.0), pooled.units("dots"),
                     pooled.n_units)
    covered += summed(np.where(lines & np.isfinite(strips), strips, 0.0), pooled.units("chains"),
                      pooled.n_units)
    n = int(seen.sum() + lines.sum())
    if n == 0:
        return not_measurable("area fraction", "", "nothing is in the frames")
    return Quantity("area fraction", "", n, units_seen(pooled),
                    _per_area(pooled, covered, pooled.areas), power=0, of_frame=True, bounds=PART,
                    logarithmic=bool((covered > 0).all()))


def units_seen(pooled: Pooled) -> NDArray[np.int64]:
    """All units: an image in which there is nothing says that there is nothing."""
    return np.arange(pooled.n_units)


def end_places(pooled: Pooled) -> tuple[Floats, NDArray[np.int64]]:
    """True ends of chains, and the row of the chain that each belongs to."""
    rows, places = [], []
    for row, course in enumerate(pooled.courses):
        for end in course.ends:
            if not end.cut:
                rows.append(row)
                places.append((end.y_nm, end.x_nm))
    return np.array(places, dtype=float).reshape(-1, 2), np.array(rows, dtype=np.int64)


def margin(pooled: Pooled) -> float:
    """Distance from the border within which a true end may be missed.

    A chain of which the frame shows less than the shortest chain is not found to be one.
    """
    whole = pooled.chains["ends"].to_numpy() == 2
    lengths = pooled.column("chains", "length_nm")[whole]
    shortest = float(lengths.min()) if len(lengths) else float("nan")
    sides = min(min(frame.shape_nm) for frame in pooled.frames)
    if not np.isfinite(shortest):
        width = pooled.column("chains", "width_nm")
        shortest = 3.0 * float(np.nanmedian(width)) if len(width) else 0.0
    # Something of each frame has to be left.
    return min(shortest, 0.25 * sides)


def number_density(pooled: Pooled) -> Quantity:
    """Return the number of chains in a square micrometre: half the number of their ends.

    Each chain has two ends, wherever the border lies (associated points: Miles in Harding &
    Kendall, Stochastic Geometry, Wiley (1974) 228).  Ends nearer to the border than the shortest
    chain is long are left out, with the area there.
    """
    places, rows = end_places(pooled)
    off = margin(pooled)
    images = pooled.images("chains")[rows]
    counted = inside(pooled, places, images, off)
    ends = summed(np.where(counted, 0.5, 0.0), pooled.units("chains")[rows], pooled.n_units)
    areas = np.array([(frame.shape_nm[0] - 2 * off) * (frame.shape_nm[1] - 2 * off)
                      for frame in pooled.frames])
    return Quantity("number of chains", "1/µm²", int(counted.sum()), units_seen(pooled),
                    _per_area(pooled, ends * _NM2_IN_UM2, areas), power=-2, of_frame=True,
                    bounds=POSITIVE, logarithmic=bool((ends > 0).all()),
                    note="n is the number of ends")


def dots_in_chains(pooled: Pooled) -> Quantity:
    """Return the part of the dots that belong to chains."""
    _, seen = dot_places(pooled)
    if not seen.any():
        return not_measurable("dots in chains", "", "dots are not resolved")
    units = pooled.units("dots")
    bound = seen & (pooled.dots["chain"].to_numpy() > 0)
    upper = summed(bound.astype(float), units, pooled.n_units)
    lower = summed(seen.astype(float), units, pooled.n_units)
    return Quantity("dots in chains", "", int(seen.sum()), np.unique(units[seen]),
                    ratio(upper, lower), power=0, bounds=PART,
                    note="part of all dots")
