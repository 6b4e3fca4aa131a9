"""A grain, and what tells whether it is one: a crystal of its own, not texture or the scan's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from emtools.measure.lattice.free import FreeLattice, free_lattice, on_lattice
from emtools.measure.lattice.refine import shared_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.lattice.domain import Domain
    from emtools.measure.lattice.peaks import Peak
    from emtools.measure.lattice.remainder import Remainder
    from emtools.measure.lattice.seeds import Seeds
    from emtools.measure.lattice.spots import Spot

SAME_CELLS = 1.2  # of 1 / extent: one spot, seen twice
_LOBE_CELLS = 1.5  # of 1 / side of a window: how far its peak may be off
SHARED = 0.5  # of a domain inside another one: crystals on top of each other
_FEWEST_FRINGES = 6.0  # of a single spacing
_ALONG_SCAN_DEG = 20.0  # from the slow axis of a scan
_FAINT_ROW = 12.0  # amplitude over noise below which a single row there proves nothing
_FEWEST_OF_TWO = 4.0  # where a second one crosses them
_SHAKEN = 0.3  # of the clearest spot around it
_SPECK = 0.03  # of the crystal's area
_COINCIDE = 0.6  # of each of two domains inside the other: one crystal
_OFF_LATTICE = 4.0  # sigmas off its grain's lattice beyond which a spot's own error is not enough


@dataclass
class Grain:
    """A crystal: its spots, where it is, and its free lattice (None if its spots are in a row)."""

    spots: list[Spot]
    domain: Domain
    lattice: FreeLattice | None = None
    correlation: NDArray[np.float64] | None = None  # of the spots' errors


def make_grain(
    spots: list[Spot], domain: Domain, left: Remainder | None = None
) -> Grain:
    """Grain of these spots; with the plane without its fringes, their errors' correlation."""
    spots = sorted(spots, key=lambda s: -s.fringes.snr)
    correlation = np.eye(len(spots))
    if left is not None and len(spots) > 1:
        correlation = shared_noise(left, domain, [s.fringes for s in spots])
    order = sorted(range(len(spots)), key=lambda n: spots[n].length)
    spots, correlation = [spots[n] for n in order], correlation[np.ix_(order, order)]
    lattice = free_lattice(spots, correlation)
    if lattice is not None and len(spots) > 3:
        spots = [_admitted(s, lattice) for s in spots]
        lattice = free_lattice(spots, correlation)
    return Grain(spots, domain, lattice, correlation)


def _admitted(spot: Spot, lattice: FreeLattice) -> Spot:
    """Widen the uncertainty of a spot that lies off the lattice of its own grain.

    Its fringes then run through more than this crystal, which noise alone does not tell.
    """
    if not on_lattice(spot, lattice):
        return spot  # no reflection of this lattice at all
    indices = spot.k @ np.linalg.inv(lattice.reciprocal)
    off = spot.k - np.rint(indices) @ lattice.reciprocal
    if off @ np.linalg.inv(spot.covariance) @ off < _OFF_LATTICE**2:
        return spot
    # Which way it is off is an accident: the same in all directions.
    return replace(spot, covariance=spot.covariance + np.eye(2) * float(off @ off))


def is_lattice(grain: Grain) -> bool:
    """Whether it is one: a few fringes of one spacing are texture, or the work of the scan."""
    if not grain.spots:
        return False
    clearest = max(grain.spots, key=lambda s: s.fringes.snr)
    along_y = abs(clearest.k[0]) > np.cos(np.radians(_ALONG_SCAN_DEG)) * clearest.length
    if grain.lattice is None and along_y and clearest.fringes.snr < _FAINT_ROW:
        return False  # lines that jump spread along y whatever else the image holds
    diameter = 2.0 * np.sqrt(grain.spots[0].area / np.pi)
    fringes = diameter * grain.spots[-1].length
    return bool(fringes >= (_FEWEST_FRINGES if grain.lattice is None else _FEWEST_OF_TWO))


def close(a: NDArray[np.float64], b: NDArray[np.float64], reach: NDArray[np.float64]) -> bool:
    """Whether two frequencies, or their mates, are within an ellipse."""
    return bool(min(np.hypot(*((a - b) / reach)), np.hypot(*((a + b) / reach))) < 1.0)


def explained(grain: Grain, seeds: Seeds) -> NDArray[np.bool_]:
    """Return which seeds are what this grain shows in their windows."""
    reach = _LOBE_CELLS / seeds.side + SAME_CELLS / grain.domain.extent_px
    result = np.zeros(len(seeds), dtype=bool)
    for one in grain.spots:
        for sign in (1, -1):
            off = (seeds.peaks.frequency - sign * one.fringes.frequency) / reach
            result |= np.einsum("ni,ni->n", off, off) < 1.0
    near = np.flatnonzero(result)
    away = grain.domain.distances_px(seeds.centre[near])
    result[near] = away < 0.5 * seeds.side[near].max(axis=1)
    return result


def shakes(crystal: Grain, new: Grain) -> bool:
    """Whether a faint row of spots inside a clear crystal is what its unsteady scan makes of it.

    Jumps of the beam spread fringes over the transform as no noise beside them shows.
    """
    if crystal.lattice is None or new.lattice is not None:
        return False
    faint = new.spots[0].fringes.snr < _SHAKEN * max(s.fringes.snr for s in crystal.spots)
    if not faint:
        return False
    small = new.domain.area_px < _SPECK * crystal.domain.area_px
    return new.domain.shared_with(crystal.domain) > SHARED or (
        small and crystal.domain.frames(new.domain.centre_px))


def repeats(grain: Grain, domain: Domain, peak: Peak) -> bool:
    """Whether a new domain with this peak is a grain that is known already."""
    reach = SAME_CELLS / domain.extent_px + SAME_CELLS / grain.domain.extent_px
    return (domain.shared_with(grain.domain) > SHARED
            and any(close(peak.frequency, one.fringes.frequency, reach) for one in grain.spots))


def same_places(grains: list[Grain]) -> list[list[Grain]]:
    """Gather what was found in one place, one after another."""
    groups: list[list[Grain]] = []
    for new in grains:
        for group in groups:
            first = group[0].domain
            if min(new.domain.shared_with(first), first.shared_with(new.domain)) > _COINCIDE:
                group.append(new)
                break
        else:
            groups.append([new])
    return groups
