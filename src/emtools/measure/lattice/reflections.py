"""All the reflections of one domain, refined together, and the lattices that they form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import fft, ndimage

from emtools.measure.lattice.demodulate import demodulate, smoothed
from emtools.measure.lattice.domain import Domain, soft_window
from emtools.measure.lattice.free import split_lattices
from emtools.measure.lattice.grain import close, is_lattice, make_grain
from emtools.measure.lattice.peaks import find_peaks
from emtools.measure.lattice.refine import Fringes, refine
from emtools.measure.lattice.remainder import take_off
from emtools.measure.lattice.spots import Spot, spot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from emtools.measure.lattice.grain import Grain
    from emtools.measure.lattice.peaks import Peak
    from emtools.measure.lattice.seeds import Search

_WHOLE = 0.7  # of the frame: the transform of the frame is that of the domain
_ROUNDS = 4  # of search, each without the fringes that are known
_APART_CELLS = 2.0  # of 1 / extent: two spots of one domain
FAINTEST = 5.5  # amplitude over noise that is left of a spot when the others are taken off
_GONE = 3.0  # what is left of a seed that is explained by stronger spots beside it
_MARGIN_OF_NOISE = 0.65  # a noise that is read from a few cells is no sharp limit
_MARGIN = 0.35  # of the extent: how far around a domain its fringes are compared
_OUTSIDE = 2.0  # times the power inside: fringes of a neighbour
_SCATTERED = 0.3  # of the domain takes part: less are fringes of a small crystal in it
_SIDELOBES = 6.0  # of 1 / extent: how far from a spot its side lobes are looked for
_ENVELOPE_MARGIN = 1.5


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
        take_off(left, domain.origin, domain, fringes)
    if not peaks or (known and not _clear(known[0], fringes[0], search)):
        return
    spots = [spot(one, domain.area_px, peak.p_value, search.calibration)
             for one, peak in zip(fringes, peaks, strict=True)]
    low, high = 1.0 / search.d_range[1], 1.0 / search.d_range[0]
    # The wings of a spot just outside of the range are no reflection inside of it.
    spots = _without_sidelobes([one for one in spots if low <= one.length <= high], domain)
    for members in split_lattices(spots):
        grain = make_grain(members, domain)
        if is_lattice(grain):
            yield grain


def _peaks(crop: NDArray[np.float32], domain: Domain, search: Search) -> list[Peak]:
    """Peaks of the transform of the domain, under a window of its shape."""
    cells = search.window_cells(domain.shape)
    if not cells.searched:
        return []
    window = domain.per_pixel(soft_window(domain))
    weight = float(np.sum(window.astype(float) ** 2))
    return find_peaks(fft.rfft2(crop * window)[None], cells, weight, search.rate).each()


def _refined(
    values: NDArray[np.float32], domain: Domain, peaks: list[Peak], n_known: int
) -> tuple[list[Peak], list[Fringes]]:
    """Refine all peaks together, without those of which nothing is left beside the others."""
    while peaks:
        fringes = refine(values, domain, np.array([peak.frequency for peak in peaks]))
        kept = [n for n, one in enumerate(fringes)
                if one.snr >= (FAINTEST if n >= n_known else _GONE)]
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
        if not any(close(peak.frequency, other.frequency, _APART_CELLS / domain.extent_px)
                   for other in known + kept):
            kept.append(peak)
    return kept


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
