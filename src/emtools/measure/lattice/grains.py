"""From seeds to grains: the clearest crystal first, its fringes taken off before the next."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from emtools.measure.lattice.demodulate import demodulate
from emtools.measure.lattice.domain import Domain, grow
from emtools.measure.lattice.free import split_lattices
from emtools.measure.lattice.grain import (
    SAME_CELLS,
    SHARED,
    Grain,
    close,
    explained,
    is_lattice,
    make_grain,
    repeats,
    same_places,
    shakes,
)
from emtools.measure.lattice.refine import refine
from emtools.measure.lattice.reflections import FAINTEST, grains_in
from emtools.measure.lattice.remainder import Remainder
from emtools.measure.lattice.spots import spot
from emtools.stages import stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.lattice.seeds import Search, Seeds

_ROUNDS = 4  # of search, each without the fringes that are known
_CLEAR_SHARE = 1e-3  # of the strongest seed's power


def find_grains(
    values: NDArray[np.float32], seeds: Seeds, search: Search, limit: int
) -> list[Grain]:
    """Explain the seeds by grains, the clearest first.

    Parameters
    ----------
    values
        ``(y, x)``, flat.
    seeds
        The most significant first.
    search
        What is sought in domains.
    limit
        Largest number of reflections.
    """
    grains: list[Grain] = []
    left = Remainder(values)
    for _ in range(_ROUNDS):
        faint = _explain(left, seeds, search, grains, limit)
        if not len(faint) or sum(len(grain.spots) for grain in grains) >= limit:
            break
        # What strong fringes draw into the transforms beside themselves is judged without them.
        seeds = search.seeds(left.values, again=faint)
        known = np.zeros(len(seeds), dtype=bool)
        for grain in grains:
            known |= explained(grain, seeds)
        seeds = seeds.only(~known)
    return _strongest(_polished(left, grains, search), limit)


def _explain(
    left: Remainder, seeds: Seeds, search: Search, grains: list[Grain], limit: int
) -> Seeds:
    """Add the grains of the clear seeds, and take their fringes off the plane that is left.

    Returns the seeds that are too faint beside them to be judged yet.
    """
    if not len(seeds):
        return seeds
    whole = seeds.only((seeds.side == left.frame).all(axis=1)).peaks.each()
    clear = seeds.peaks.excess >= _CLEAR_SHARE * seeds.peaks.excess[0]
    known = np.zeros(len(seeds), dtype=bool)
    for n in np.flatnonzero(clear).tolist():
        if sum(len(grain.spots) for grain in grains) >= limit:
            break
        if known[n]:
            continue
        stage(f"measuring grain {len(grains) + 1}", 0.4 + 0.5 * n / len(seeds))
        seed = seeds[n]
        domain = grow(left.values, seed)
        if domain is None or any(repeats(grain, domain, seed.peak) for grain in grains):
            continue
        new = [grain for grain in grains_in(left.values, domain, search, [seed.peak], whole)
               if not any(shakes(one, grain) for one in grains)]
        for grain in new:
            left.take_off(domain, [one.fringes for one in grain.spots])
        for grain in _added(grains, new):
            known |= explained(grain, seeds)
    return seeds.only(~clear & ~known)


def _added(grains: list[Grain], new: list[Grain]) -> list[Grain]:
    """Add grains, without the spots that a grain around them has already; return the new ones."""
    first = len(grains)
    for one in new:
        for grain in grains:
            if one.domain.shared_with(grain.domain) < SHARED:
                continue
            reach = SAME_CELLS / one.domain.extent_px
            one.spots = [s for s in one.spots
                         if not any(close(s.fringes.frequency, other.fringes.frequency, reach)
                                    for other in grain.spots)]
        if one.spots:
            grains.append(make_grain(one.spots, one.domain))
    return grains[first:]


def _polished(left: Remainder, grains: list[Grain], search: Search) -> list[Grain]:
    """Refine each place once more, without the fringes of all the others, and fit its lattices."""
    result: list[Grain] = []
    for here in same_places(grains):
        domain = here[0].domain
        known = [s for grain in here for s in grain.spots]
        if len(grains) > 1:
            for grain in here:
                left.put_back(grain.domain, [s.fringes for s in grain.spots])
            fringes = refine(left.values, domain, np.array([s.fringes.frequency for s in known]))
            left.take_off(domain, fringes)
            known = [spot(one, domain.area_px, old.p_value, search.calibration)
                     for one, old in zip(fringes, known, strict=True) if one.snr > FAINTEST]
        result += [grain for members in split_lattices(known)
                   if is_lattice(grain := make_grain(members, domain, left))]
    return [one for one in result if not any(shakes(other, one) for other in result)]


def _strongest(grains: list[Grain], limit: int) -> list[Grain]:
    """Keep so many reflections, the strongest."""
    strengths = sorted((one.fringes.snr for grain in grains for one in grain.spots), reverse=True)
    if len(strengths) <= limit:
        return grains
    faintest = strengths[limit - 1]
    kept = [(grain, [one for one in grain.spots if one.fringes.snr >= faintest])
            for grain in grains]
    return [grain if len(spots) == len(grain.spots) else make_grain(spots, grain.domain)
            for grain, spots in kept if spots]


def find_grains_in(
    values: NDArray[np.float32], regions: NDArray[np.integer[Any]], search: Search, limit: int
) -> list[Grain]:
    """Measure given regions: the lattices of each, in the order of their labels."""
    found: list[Grain] = []
    for label, place in enumerate(ndimage.find_objects(regions), start=1):
        if place is not None:
            domain = _region(regions, label, place)
            share = replace(search, rate=search.rate / max(int(regions.max()), 1))
            found += grains_in(values, domain, share, [], [])
    return _strongest(found, limit)


def _region(
    regions: NDArray[np.integer[Any]], label: int, place: tuple[slice, ...]
) -> Domain:
    """Domain of a label: 1 inside, on nodes that follow its outline."""
    shape = tuple(span.stop - span.start for span in place)
    block = max(1, min(shape) // 24)
    low = [max(span.start - block, 0) for span in place]
    high = [min(span.stop + block, n) for span, n in zip(place, regions.shape, strict=True)]
    inside = (regions[low[0]:high[0], low[1]:high[1]] == label).astype(np.float32)
    domain = Domain((low[0], low[1]), (inside.shape[0], inside.shape[1]), block, np.zeros((1, 1)))
    covered = demodulate(inside, np.zeros((1, 2)), block)[0].real / domain.pixels
    return replace(domain, envelope=np.where(covered > 0.5, 1.0, 0.0))
