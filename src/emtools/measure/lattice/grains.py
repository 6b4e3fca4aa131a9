"""From seeds to grains: domains, all the reflections of each, and the lattices that they form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import fft, ndimage

from emtools.measure.lattice.demodulate import demodulate, smoothed
from emtools.measure.lattice.domain import Domain, grow, soft_window
from emtools.measure.lattice.free import FreeLattice, free_lattice, on_lattice, split_lattices
from emtools.measure.lattice.refine import Fringes, refine, shared_noise, take_off
from emtools.measure.lattice.spectrum import find_peaks
from emtools.measure.lattice.spots import Spot, spot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from emtools.measure.lattice.seeds import Search, Seed
    from emtools.measure.lattice.spectrum import Peak

_WHOLE = 0.7  # of the frame: the transform of the frame is that of the domain
_ROUNDS = 4  # of search, each without the fringes that are known
_CLEAR_SHARE = 1e-3  # of the strongest seed's power
_APART_CELLS = 2.0  # of 1 / extent: two spots of one domain
_SAME_CELLS = 1.2  # of 1 / extent: one spot, seen twice
_LOBE_CELLS = 1.5  # of 1 / side of a window: how far its peak may be off
_FAINTEST = 5.5  # amplitude over noise that is left of a spot when the others are taken off
_GONE = 3.0  # what is left of a seed that is explained by stronger spots beside it
_MARGIN_OF_NOISE = 0.65  # a noise that is read from a few cells is no sharp limit
_MARGIN = 0.35  # of the extent: how far around a domain its fringes are compared
_OUTSIDE = 2.0  # times the power inside: fringes of a neighbour
_SCATTERED = 0.3  # of the domain takes part: less are fringes of a small crystal in it
_SHARED = 0.5  # of a domain inside another one: crystals on top of each other
_FEWEST_FRINGES = 6.0  # of a single spacing
_ALONG_SCAN_DEG = 20.0  # from the slow axis of a scan
_FAINT_ROW = 12.0  # amplitude over noise below which a single row there proves nothing
_FEWEST_OF_TWO = 4.0  # where a second one crosses them
_SHAKEN = 0.3  # of the clearest spot around it
_SPECK = 0.03  # of the crystal's area
_COINCIDE = 0.6  # of each of two domains inside the other: one crystal
_OFF_LATTICE = 4.0  # sigmas off its grain's lattice beyond which a spot's own error is not enough
_SIDELOBES = 6.0  # of 1 / extent: how far from a spot its side lobes are looked for
_ENVELOPE_MARGIN = 1.5


@dataclass
class Grain:
    """A crystal: its spots, where it is, and its free lattice (None if its spots are in a row)."""

    spots: list[Spot]
    domain: Domain
    lattice: FreeLattice | None = None
    correlation: NDArray[np.float64] | None = None  # of the spots' errors


def find_grains(
    values: NDArray[np.float32], seeds: list[Seed], search: Search, limit: int
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
    left = values.copy() if seeds else values
    for _ in range(_ROUNDS):
        faint = _explain(left, seeds, search, grains, limit)
        if not faint or sum(len(grain.spots) for grain in grains) >= limit:
            break
        # What strong fringes draw into the transforms beside themselves is judged without them.
        seeds = [seed for seed in search.seeds(left)
                 if not any(_explains(grain, seed) for grain in grains)]
    return _strongest(_polished(left, grains, search), limit)


def _explain(
    left: NDArray[np.float32], seeds: list[Seed], search: Search, grains: list[Grain], limit: int,
) -> list[Seed]:
    """Add the grains of the clear seeds, and take their fringes off the plane that is left.

    Returns the seeds that are too faint beside them to be judged yet.
    """
    frame = np.array(left.shape)
    whole = [seed.peak for seed in seeds if (seed.side == frame).all()]
    faint = []
    for seed in seeds:
        if sum(len(grain.spots) for grain in grains) >= limit:
            break
        if any(_explains(grain, seed) for grain in grains):
            continue
        if seed.peak.excess < _CLEAR_SHARE * seeds[0].peak.excess:
            faint.append(seed)
            continue
        domain = grow(left, seed)
        if domain is None or any(_repeats(grain, domain, seed.peak) for grain in grains):
            continue
        new = [grain for grain in grains_in(left, domain, search, [seed.peak], whole)
               if not any(_shakes(known, grain) for known in grains)]
        for grain in new:
            take_off(domain.crop(left), domain, [one.fringes for one in grain.spots])
        _add(grains, new)
    return faint


def _polished(
    left: NDArray[np.float32], grains: list[Grain], search: Search
) -> list[Grain]:
    """Refine each place once more, without the fringes of all the others, and fit its lattices."""
    result: list[Grain] = []
    for here in _same_places(grains):
        domain = here[0].domain
        known = [s for grain in here for s in grain.spots]
        if len(grains) > 1:
            for grain in here:
                put_back = [replace(s.fringes, amplitude=-s.fringes.amplitude)
                            for s in grain.spots]
                take_off(grain.domain.crop(left), grain.domain, put_back)
            fringes = refine(left, domain, np.array([old.fringes.frequency for old in known]))
            take_off(domain.crop(left), domain, fringes)
            known = [spot(one, domain.area_px, old.p_value, search.calibration)
                     for one, old in zip(fringes, known, strict=True) if one.snr > _FAINTEST]
        result += [grain for members in split_lattices(known)
                   if _is_lattice(grain := _grain(members, domain, left))]
    return [one for one in result if not any(_shakes(other, one) for other in result)]


def _same_places(grains: list[Grain]) -> list[list[Grain]]:
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


def grains_in(
    values: NDArray[np.float32], domain: Domain, search: Search, known: list[Peak],
    whole: list[Peak],
) -> Iterator[Grain]:
    """Find the lattices of one domain.

    Parameters
    ----------
    values
        ``(y, x)``, flat.
    domain
        Where.
    search
        What is sought.
    known
        Peaks that are certain to be there.
    whole
        Peaks of the transform of the frame, which is searched already.
    """
    fills = domain.area_px > _WHOLE * values.size
    peaks = list(known)
    fringes: list[Fringes] = []
    left = domain.crop(values)
    for _ in range(_ROUNDS):
        new = whole if fills else _peaks(left, domain, search)
        new = _own(values, domain, _distinct(new, peaks, domain), fills)
        if not new and fringes:
            break
        peaks, fringes = _refined(values, domain, peaks + new, len(known))
        if fills or not peaks:
            break
        left = domain.crop(values).copy()
        take_off(left, domain, fringes)
    if not peaks or (known and not _clear(known[0], fringes[0], search)):
        return
    spots = [spot(one, domain.area_px, peak.p_value, search.calibration)
             for one, peak in zip(fringes, peaks, strict=True)]
    low, high = 1.0 / search.d_range[1], 1.0 / search.d_range[0]
    # The wings of a spot just outside of the range are no reflection inside of it.
    spots = _without_sidelobes([one for one in spots if low <= one.length <= high], domain)
    for members in split_lattices(spots):
        grain = _grain(members, domain)
        if _is_lattice(grain):
            yield grain


def _is_lattice(grain: Grain) -> bool:
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


def _peaks(crop: NDArray[np.float32], domain: Domain, search: Search) -> list[Peak]:
    """Peaks of the transform of the domain, under a window of its shape."""
    where = search.cells(domain.shape, whole=False)
    if not where.searched:
        return []
    window = domain.per_pixel(soft_window(domain))
    weight = float(np.sum(window.astype(float) ** 2))
    return find_peaks(fft.rfft2(crop * window), where, weight, search.rate)


def _refined(
    values: NDArray[np.float32], domain: Domain, peaks: list[Peak], n_known: int
) -> tuple[list[Peak], list[Fringes]]:
    """Refine all peaks together, without those of which nothing is left beside the others."""
    while peaks:
        fringes = refine(values, domain, np.array([peak.frequency for peak in peaks]))
        kept = [n for n, one in enumerate(fringes)
                if one.snr >= (_FAINTEST if n >= n_known else _GONE)]
        if len(kept) == len(peaks):
            return peaks, fringes
        if n_known and 0 not in kept:
            break
        peaks = [peaks[n] for n in kept]
    return [], []


def _clear(peak: Peak, fringes: Fringes, search: Search) -> bool:
    """Whether a seed is one also by the noise beside its fringes in the crystal itself.

    A film, or the dots themselves, can be noisier there than on the window's average.
    """
    clear = search.clear_snr
    excess = peak.excess * peak.noise / fringes.noise
    return excess > _MARGIN_OF_NOISE * 0.5 * clear**2 and fringes.snr > _MARGIN_OF_NOISE * clear


def _distinct(new: list[Peak], known: list[Peak], domain: Domain) -> list[Peak]:
    """New peaks that the domain can tell from those before them."""
    kept: list[Peak] = []
    for peak in new:
        if not any(_close(peak.frequency, other.frequency, _APART_CELLS / domain.extent_px)
                   for other in known + kept):
            kept.append(peak)
    return kept


def _close(a: NDArray[np.float64], b: NDArray[np.float64], reach: NDArray[np.float64]) -> bool:
    """Whether two frequencies, or their mates, are within an ellipse."""
    return bool(min(np.hypot(*((a - b) / reach)), np.hypot(*((a + b) / reach))) < 1.0)


def _own(
    values: NDArray[np.float32], domain: Domain, peaks: list[Peak], fills: bool
) -> list[Peak]:
    """Peaks whose fringes are the domain's and not those of a neighbour, or of a dot in it."""
    if not peaks:
        return []
    around = _around(domain, (values.shape[0], values.shape[1]))
    amplitudes = demodulate(around.crop(values), np.array([peak.frequency for peak in peaks]),
                            domain.block)
    crystal = around.inside
    outside = ~ndimage.binary_dilation(crystal, iterations=2)
    kept = []
    for peak, amplitude in zip(peaks, amplitudes, strict=True):
        mean, effective = smoothed(amplitude, around.pixels, 2.5)
        noise = peak.noise / effective
        power = np.abs(mean) ** 2 - noise
        inside = float(power[crystal].max())
        highest = float(np.max(power, where=outside, initial=0.0))
        clear = highest > 12.0 * float(noise.mean())
        if clear and highest > _OUTSIDE * max(inside, 0.0):
            continue
        modulus = np.abs(mean[crystal])
        if fills and modulus.mean() ** 2 < _SCATTERED * float(np.mean(modulus**2)):
            continue
        kept.append(peak)
    return kept


def _around(domain: Domain, frame: tuple[int, int]) -> Domain:
    """The domain with a margin, as far as the frame goes."""
    block = domain.block
    pads = []
    for axis in (0, 1):
        margin = max(4, int(_MARGIN * domain.envelope.shape[axis]))
        before = min(margin, domain.origin[axis] // block)
        end = domain.origin[axis] + domain.shape[axis]
        pads.append((before, min(margin, (frame[axis] - end) // block)))
    shape = [(n + before + after - 1) * block + 1
             for n, (before, after) in zip(domain.envelope.shape, pads, strict=True)]
    origin = [o - before * block for o, (before, _) in zip(domain.origin, pads, strict=True)]
    shape = [min(n, whole - o) for n, whole, o in zip(shape, frame, origin, strict=True)]
    envelope = np.pad(domain.envelope, pads)
    return Domain((origin[0], origin[1]), (shape[0], shape[1]), block, envelope)


def _explains(grain: Grain, seed: Seed) -> bool:
    """Whether a seed is what this grain shows in that window."""
    domain = grain.domain
    reach = _LOBE_CELLS / seed.side + _SAME_CELLS / domain.extent_px
    if not any(_close(seed.peak.frequency, one.fringes.frequency, reach) for one in grain.spots):
        return False
    return domain.distance_px(seed.centre) < 0.5 * float(seed.side.max())


def _shakes(crystal: Grain, new: Grain) -> bool:
    """Whether a faint row of spots inside a clear crystal is what its unsteady scan makes of it.

    Jumps of the beam spread fringes over the transform as no noise beside them shows.
    """
    if crystal.lattice is None or new.lattice is not None:
        return False
    faint = new.spots[0].fringes.snr < _SHAKEN * max(s.fringes.snr for s in crystal.spots)
    if not faint:
        return False
    small = new.domain.area_px < _SPECK * crystal.domain.area_px
    return new.domain.shared_with(crystal.domain) > _SHARED or (
        small and crystal.domain.frames(new.domain.centre_px))


def _repeats(grain: Grain, domain: Domain, peak: Peak) -> bool:
    """Whether a new domain with this peak is a grain that is known already."""
    reach = _SAME_CELLS / domain.extent_px + _SAME_CELLS / grain.domain.extent_px
    return (domain.shared_with(grain.domain) > _SHARED
            and any(_close(peak.frequency, one.fringes.frequency, reach) for one in grain.spots))


def _add(grains: list[Grain], new: list[Grain]) -> None:
    """Add grains, without the spots that a grain around them has already."""
    for one in new:
        for grain in grains:
            if one.domain.shared_with(grain.domain) < _SHARED:
                continue
            reach = _SAME_CELLS / one.domain.extent_px
            one.spots = [s for s in one.spots
                         if not any(_close(s.fringes.frequency, other.fringes.frequency, reach)
                                    for other in grain.spots)]
        if one.spots:
            grains.append(_grain(one.spots, one.domain))


def _strongest(grains: list[Grain], limit: int) -> list[Grain]:
    """Keep so many reflections, the strongest."""
    strengths = sorted((one.fringes.snr for grain in grains for one in grain.spots), reverse=True)
    if len(strengths) <= limit:
        return grains
    faintest = strengths[limit - 1]
    kept = [(grain, [one for one in grain.spots if one.fringes.snr >= faintest])
            for grain in grains]
    return [grain if len(spots) == len(grain.spots) else _grain(spots, grain.domain)
            for grain, spots in kept if spots]


def _without_sidelobes(spots: list[Spot], domain: Domain) -> list[Spot]:
    """Leave out what the outline of a crystal draws beside a strong spot.

    A crystal of diameter D with straight sides spreads each of its spots as sin(pi x) / (pi x),
    x = D |dk|; nothing below that envelope is evidence of another spot.
    """
    kept: list[Spot] = []
    extent = domain.extent_px
    for new in sorted(spots, key=lambda s: -s.fringes.snr):
        for strong in kept:
            off = min((new.fringes.frequency - sign * strong.fringes.frequency
                       for sign in (1, -1)), key=lambda d: float(np.hypot(*d)))
            x = float(np.hypot(*(off * extent)))
            ratio = new.fringes.snr / strong.fringes.snr
            if x < _SIDELOBES and ratio < _ENVELOPE_MARGIN / (np.pi * max(x, 0.3)):
                break
        else:
            kept.append(new)
    return kept


def _grain(
    spots: list[Spot], domain: Domain, left: NDArray[np.float32] | None = None
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
