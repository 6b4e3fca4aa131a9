"""From a seed to its domain: where these fringes are strong and run in step.

Fringes brought down to frequency zero leave their complex amplitude: its modulus shows where the
crystal is, its phase is a plane as long as the lattice is the same (Hytch, Snoeck & Kilaas,
Ultramicroscopy 74 (1998) 131).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from emtools.measure.lattice.demodulate import demodulate, nodes, smoothed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.lattice.seeds import Seed

EVERY = slice(None)
_CLEAR = 7.0  # amplitude over noise at which the outline of a domain can be trusted
_SEEN = 4.5  # amplitude over noise below which there is nothing (left) of a seed
_STILL_THERE = 0.5  # of the seed's power, when stronger fringes have been taken off
_SEEN_WELL = 0.25  # of a window's height
_BLUR = (1 / 40, 1 / 5)  # of the window's side: finest and coarsest blur of the amplitude
_BEATS = 0.35  # of a beat with the nearest other peak: finer, a beat would pass for a domain
_BLUR_STEP = 1.35
_CHANCE = 1.5  # times the variance of the noise: variation of the amplitude that means nothing
_FRINGES_BLURRED = 0.8  # of a spacing: finer, the fringes themselves would show
_INSIDE = 0.5  # of its highest amplitude: what counts as the domain
_NOISE = 6.0  # power of the amplitude over that of its noise
_IN_STEP = 1.3  # radians
_STEP_NODES = 2.0  # over which fringes have to be in step to be the seed's own
_ROUNDS = 8  # at most, times that the phases are straightened and the outline is drawn again
_SMALLEST = 9  # nodes
_SOFT = 0.7  # of the depth of a domain: how far its window rises
_TAPER_FRINGES = 1.5  # at the border of the frame, so that the cut draws no side lobes
_TAPER_SHARE = 1 / 8  # of the domain at most


@dataclass(frozen=True)
class Domain:
    """Where a crystal is: its envelope on nodes over a part of the plane.

    Parameters
    ----------
    origin
        ``(y, x)`` of the first pixel of that part.
    shape
        Its pixels along y and x.
    block
        Distance of the nodes in pixels.
    envelope
        ``(nodes along y, nodes along x)``: amplitude relative to its highest, 0 outside.
    """

    origin: tuple[int, int]
    shape: tuple[int, int]
    block: int
    envelope: NDArray[np.float64]

    @property
    def positions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows and columns of the nodes, in pixels of the plane."""
        return (nodes(self.shape[0], self.block) + self.origin[0],
                nodes(self.shape[1], self.block) + self.origin[1])

    @cached_property
    def pixels(self) -> NDArray[np.float64]:
        """Pixels under the hat of each node."""
        return np.outer(*(_hat_sums(n, self.block) for n in self.shape))

    @property
    def area_px(self) -> float:
        """Pixels inside."""
        return float(self.pixels[self.inside].sum())

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Nodes that lie in the crystal."""
        return np.asarray(self.envelope > 0)

    @cached_property
    def extent_px(self) -> NDArray[np.float64]:
        """Height and width in pixels."""
        spans = [np.flatnonzero(self.inside.any(axis=axis)) for axis in (1, 0)]
        return np.array([(span[-1] - span[0] + 1) * self.block for span in spans], dtype=float)

    @cached_property
    def centre_px(self) -> NDArray[np.float64]:
        """Centre of the inside, ``(y, x)``."""
        weights = self.pixels * self.inside
        y, x = self.positions
        sums = np.array([weights.sum(axis=1) @ y, weights.sum(axis=0) @ x], dtype=float)
        return sums / float(weights.sum())

    def crop(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Pixels of a plane under the domain."""
        (top, left), (height, width) = self.origin, self.shape
        return values[top:top + height, left:left + width]

    def per_pixel(
        self, on_nodes: NDArray[np.float64], rows_of: slice = EVERY, cols_of: slice = EVERY
    ) -> NDArray[np.float32]:
        """Interpolate values on the nodes linearly to the pixels, or to some of them."""
        rows = _hats(np.arange(self.shape[0])[rows_of], self.envelope.shape[0], self.block)
        cols = _hats(np.arange(self.shape[1])[cols_of], self.envelope.shape[1], self.block)
        return np.asarray(rows @ on_nodes.astype(np.float32) @ cols.T)

    def holds(self, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether points of the plane (arrays of one shape, or that broadcast) lie inside."""
        rows, cols = (np.rint((place - first) / self.block).astype(int)
                      for place, first in zip((y, x), self.origin, strict=True))
        n_rows, n_cols = self.envelope.shape
        there = (rows >= 0) & (rows < n_rows) & (cols >= 0) & (cols < n_cols)
        return np.asarray(there & self.inside[rows.clip(0, n_rows - 1), cols.clip(0, n_cols - 1)])

    def frames(self, point: NDArray[np.float64]) -> bool:
        """Whether a point lies in the rectangle around the domain."""
        inside = (point >= self.origin) & (point < np.add(self.origin, self.shape))
        return bool(inside.all())

    def distances_px(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distances of ``(n, 2)`` points from the nearest node inside."""
        y, x = self.positions
        rows, cols = np.nonzero(self.inside)
        distances, _ = KDTree(np.column_stack([y[rows], x[cols]])).query(points)
        return np.asarray(distances)

    def shared_with(self, other: Domain) -> float:
        """Part of this domain that lies inside another one."""
        rows, cols = np.nonzero(self.inside)
        y, x = self.positions
        return float(other.holds(y[rows], x[cols]).mean())


def _hat_sums(n: int, block: int) -> NDArray[np.float64]:
    place = np.arange(n)
    left = place // block
    share = (place % block) / block
    size = len(nodes(n, block)) + 1
    sums = np.bincount(left, 1 - share, size) + np.bincount(left + 1, share, size)
    return np.asarray(sums[:-1])


def _hats(pixels: NDArray[np.int64], n_nodes: int, block: int) -> NDArray[np.float32]:
    apart = np.abs(pixels[:, None] / block - np.arange(n_nodes))
    return np.maximum(0.0, 1.0 - apart).astype(np.float32)


def grow(values: NDArray[np.float32], seed: Seed) -> Domain | None:
    """Find the domain of a seed's fringes; None where they are not there (any more).

    Parameters
    ----------
    values
        ``(y, x)``, flat.
    seed
        Where fringes of this frequency have been seen.
    """
    reach = 0.75 * seed.side
    frequency = seed.peak.frequency
    while True:
        grown = _grown(values, seed, frequency, reach)
        if grown is None:
            return _as_seen(values, seed)
        if not grown.touches:
            return grown.domain
        # The larger the domain, the better its frequency has to be known.
        reach, frequency = 2 * reach, grown.frequency


def _as_seen(values: NDArray[np.float32], seed: Seed) -> Domain | None:
    """The seed's own window, for fringes that are too faint for an outline; None if not there."""
    low = np.rint(seed.centre - (seed.side - 1) / 2).astype(int)
    shape = (int(seed.side[0]), int(seed.side[1]))
    block = max(1, min(shape) // 24)
    domain = Domain((int(low[0]), int(low[1])), shape, block, np.zeros((1, 1)))
    hann = np.outer(*(np.sin(np.pi * np.clip((nodes(n, block) + 0.5) / n, 0, 1)) ** 2
                      for n in shape))
    amplitude = demodulate(domain.crop(values), seed.peak.frequency[None], block)[0]
    noise = seed.peak.noise * float((hann**2 * domain.pixels).sum())
    if abs((amplitude * hann).sum()) ** 2 < _STILL_THERE * seed.peak.excess * noise:
        return None
    if shape == values.shape:
        return replace(domain, envelope=np.ones_like(hann))
    return replace(domain, envelope=np.where(hann > _SEEN_WELL, hann, 0.0))


@dataclass(frozen=True)
class _Grown:
    """A domain, whether it goes on beyond its reach, and the frequency that it shows."""

    domain: Domain
    touches: bool
    frequency: NDArray[np.float64]


def _grown(
    values: NDArray[np.float32], seed: Seed, frequency: NDArray[np.float64],
    reach: NDArray[np.float64],
) -> _Grown | None:
    """Domain within `reach` of the seed; None if its fringes are nowhere clear."""
    sigmas = _blurs(seed)
    block = max(1, int(sigmas[0] / 2))
    low = np.maximum(0, np.floor(seed.centre - reach)).astype(int)
    high = np.minimum(values.shape, np.ceil(seed.centre + reach).astype(int) + 1)
    part = Domain((int(low[0]), int(low[1])), (int(high[0] - low[0]), int(high[1] - low[1])),
                  block, np.zeros((1, 1)))
    amplitude = demodulate(part.crop(values), frequency[None], block)[0]
    y, x = part.positions
    window = (np.abs(y - seed.centre[0]) <= seed.side[0] / 2)[:, None]
    window = window & (np.abs(x - seed.centre[1]) <= seed.side[1] / 2)
    mean, noise = _clear_map(amplitude, part, sigmas, seed.peak.noise, window)
    if float(np.max(np.abs(mean) ** 2 / noise * window)) < _SEEN**2:
        return None
    inside, slope = _in_step(mean, noise, window)
    if inside.sum() < _SMALLEST:
        return None
    open_sides = np.zeros_like(inside)
    for axis, (first, last) in enumerate(zip(low, high, strict=True)):
        ends = np.moveaxis(open_sides, axis, 0)
        ends[0], ends[-1] = first > 0, last < values.shape[axis]
    domain = Domain(part.origin, part.shape, block, _envelope(mean, noise, inside))
    return _Grown(_tightened(domain), bool((inside & open_sides).any()),
                  frequency + slope / (2 * np.pi * block))


def _blurs(seed: Seed) -> NDArray[np.float64]:
    """Blurs in pixels that an outline is tried with, finest first."""
    side = float(np.sqrt(np.prod(seed.side)))
    finest = max(_FRINGES_BLURRED / np.hypot(*seed.peak.frequency), _BLUR[0] * side,
                 _BEATS / seed.apart)
    steps = int(np.ceil(np.log(max(_BLUR[1] * side / finest, 1.0)) / np.log(_BLUR_STEP)))
    return np.asarray(finest * _BLUR_STEP ** np.arange(steps + 1), dtype=np.float64)


def _clear_map(
    amplitude: NDArray[np.complex128], part: Domain, sigmas: NDArray[np.float64], noise: float,
    window: NDArray[np.bool_],
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Amplitude with the finest blur at which it is clear, or the one that shows it best."""
    best: tuple[float, NDArray[np.complex128], NDArray[np.float64]] | None = None
    for sigma in sigmas:
        mean, effective = smoothed(amplitude, part.pixels, sigma / part.block)
        clarity = float(np.max(np.abs(mean) * np.sqrt(effective / noise) * window))
        if best is None or clarity > best[0]:
            best = clarity, mean, noise / effective
        if clarity > _CLEAR:
            break
    assert best is not None
    return best[1], best[2]


def _in_step(
    mean: NDArray[np.complex128], noise: NDArray[np.float64], window: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Connected nodes around the strongest fringes where they stay strong and in step.

    Returns with them the slope of their phase in radians per node.
    """
    y, x = np.meshgrid(*(np.arange(n) for n in mean.shape), indexing="ij")
    modulus = np.abs(mean)
    slope, size = np.zeros(2), 0
    inside = np.zeros(mean.shape, dtype=bool)
    labels = np.zeros(mean.shape, dtype=np.int32)
    for _ in range(_ROUNDS):
        turned = mean * np.exp(-1j * (slope[0] * y + slope[1] * x))
        steady = np.abs(ndimage.gaussian_filter(turned.real, _STEP_NODES)
                        + 1j * ndimage.gaussian_filter(turned.imag, _STEP_NODES))
        row, col = divmod(int(np.argmax(steady * window)), mean.shape[1])
        highest = modulus[row, col]
        inside = (modulus > _INSIDE * highest) & (modulus**2 > _NOISE * noise)
        phase = np.angle(turned * np.conj(_mean_around(turned, row, col)))
        inside &= np.abs(phase) < _IN_STEP
        inside[row, col] = True
        ndimage.label(inside, output=labels)
        inside = labels == labels[row, col]
        if inside.sum() < max(_SMALLEST, 1.02 * size):
            break
        size = int(inside.sum())
        slope += _slope(turned[inside], y[inside], x[inside])
    return np.asarray(ndimage.binary_fill_holes(inside)), slope


def _mean_around(turned: NDArray[np.complex128], row: int, col: int) -> complex:
    rows, cols = (slice(max(0, i - 2), i + 3) for i in (row, col))
    return complex(turned[rows, cols].mean())


def _slope(
    samples: NDArray[np.complex128], y: NDArray[np.int64], x: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Slope of the phase of samples that are in step, in radians per node."""
    phase = np.angle(samples * np.conj(samples.sum()))
    root = np.sqrt(np.abs(samples))
    design = np.column_stack([y, x, np.ones(len(samples))]) * root[:, None]
    return np.asarray(np.linalg.lstsq(design, phase * root, rcond=None)[0][:2])


def _envelope(
    mean: NDArray[np.complex128], noise: NDArray[np.float64], inside: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Amplitude relative to its highest, without the variation that noise alone makes."""
    modulus = np.abs(mean)[inside]
    middle = float(modulus.mean())
    varies = float(modulus.var())
    real = max(0.0, 1.0 - _CHANCE * float(np.mean(0.5 * noise[inside])) / max(varies, 1e-300))
    envelope = np.zeros(mean.shape)
    envelope[inside] = np.maximum(middle + real * (modulus - middle), 0.1 * middle)
    return np.minimum(envelope / np.quantile(envelope[inside], 0.95), 1.0)


def _tightened(domain: Domain) -> Domain:
    """Cut to the domain and one node around it."""
    spans = []
    for axis in (1, 0):
        used = np.flatnonzero(domain.inside.any(axis=axis))
        spans.append((max(used[0] - 1, 0), used[-1] + 2))
    (top, bottom), (left, right) = spans
    envelope = domain.envelope[top:bottom, left:right]
    block = domain.block
    shape = [min((n - 1) * block + 1, whole - first * block) for n, whole, first in
             zip(envelope.shape, domain.shape, (top, left), strict=True)]
    origin = (domain.origin[0] + int(top) * block, domain.origin[1] + int(left) * block)
    size = [len(nodes(n, block)) for n in shape]
    return Domain(origin, (int(shape[0]), int(shape[1])), block, envelope[: size[0], : size[1]])


def soft_window(domain: Domain) -> NDArray[np.float64]:
    """Window for a transform of the domain: rises from its outline inwards as a Hann window does.

    The envelope itself is cut off too sharply: strong fringes would draw side lobes.
    """
    padded = np.pad(domain.inside, 1)
    depth = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
    return np.asarray(np.sin(0.5 * np.pi * np.minimum(depth / (_SOFT * depth.max()), 1.0)) ** 2)


def weights(domain: Domain, frequency: float, frame: tuple[int, int]) -> NDArray[np.float64]:
    """Weights of the nodes in a fit: the envelope, tapered where the frame cuts it.

    Parameters
    ----------
    domain
        The domain.
    frequency
        Lowest frequency of its fringes, in cycles per pixel.
    frame
        Shape of the plane.
    """
    result = ndimage.gaussian_filter(domain.envelope, 0.7, mode="nearest")
    result *= ndimage.binary_dilation(domain.inside)
    for axis in (0, 1):
        n, first = domain.shape[axis], domain.origin[axis]
        width = min(_TAPER_FRINGES / frequency, _TAPER_SHARE * n)
        place = nodes(n, domain.block)
        # Distances from the outer edges of the plane; where it goes on there is nothing to taper.
        before = place + (0.0 if first == 0 else np.inf)
        after = (n - 1 - place) + (0.0 if first + n >= frame[axis] else np.inf)
        ramp = np.clip(np.minimum(before, after) / max(width, domain.block), 0.0, 1.0)
        result *= np.expand_dims(np.sin(0.5 * np.pi * ramp) ** 2, 1 - axis)
    return np.asarray(result)
