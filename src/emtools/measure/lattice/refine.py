"""From a peak of the spectrum to the frequency of the fringes in their own domain.

The cells around a peak are transformed back on a coarse grid.  That gives the complex amplitude of
these fringes over the image: its modulus shows where the crystal is (the domain), its phase is a
plane whose slope is the distance between the cell and the true frequency (Hytch, Snoeck & Kilaas,
Ultramicroscopy 74 (1998) 131).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import fft, ndimage

from emtools.measure.lattice.spectrum import window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.lattice.spectrum import Peak, Spectrum

GRID = 64  # points of the coarse grid along each side of the image
_HALF_BLOCK = (3, 30)  # cells around a peak: enough for a full-frame crystal ... a small domain
_VISIBLE = 0.15  # where the window is lower, fringes cannot be seen
_INSIDE = 0.5  # of its highest amplitude: what counts as the domain
_FAMILY = 0.15  # of |k|: peaks this close are one reflection of several crystals
_FAMILY_CELLS = 10.0  # and at least so many cells: the side lobes of a small crystal
_FAINTEST = 0.3  # of the strongest crystal's amplitude: another crystal of the same reflection
_SMALLEST_DOMAIN = 12  # points of the grid
_STEP_POINTS = 2.0  # over which fringes have to be in step to be the peak's own
_IN_STEP = 1.3  # radians
_CLEAR = 7.0  # amplitude over noise at which the outline of a domain can be trusted
_RECENTRED = 3  # times that the taper is moved onto the refined frequency
_NEWTON_STEPS = 25
_FINEST_CELLS = 1e-4  # interpolation error of the coarse grid, in cells of the transform


@dataclass(frozen=True)
class Fringes:
    """One set of fringes: frequency with covariance, and where it lives.

    Parameters
    ----------
    frequency
        ``(y, x)`` in cycles per pixel.
    covariance
        ``(2, 2)`` of the frequency.
    snr
        Amplitude over its 1 sigma noise.
    domain
        ``(GRID, GRID)`` boolean over the image.
    area_px
        Area of the domain in pixels.
    p_value
        Of the peak.
    amplitude
        Mean amplitude in the domain.
    """

    frequency: NDArray[np.float64]
    covariance: NDArray[np.float64]
    snr: float
    domain: NDArray[np.bool_]
    area_px: float
    p_value: float
    amplitude: float


def refine(spectrum: Spectrum, peaks: list[Peak]) -> list[Fringes]:
    """Refine peaks below the cell of the transform.

    Peaks that lie close together are one reflection of crystals turned a little against each
    other: their cells are transformed back together, and each crystal is found where its fringes
    run in step.

    Within a domain the slope of the phase is found by Newton steps on
    ``|sum(a exp(-2 pi i f r))|``.  Its covariance is the noise propagated through that estimator,
    ``2 S_n / (2 pi)^2 H^-1 G H^-1`` with ``H = sum(w A (r - r0)(r - r0)')`` and
    ``G = sum(w^2 (r - r0)(r - r0)')`` (the Cramer-Rao bound for w = 1), times the excess of the
    phase residuals where the fringes are not straight.
    """
    families = _families(peaks, spectrum.shape)
    heads = [family[0] for family in families]
    found: list[Fringes] = []
    for family in families:
        half = _largest_block(family[0], heads, spectrum.shape)
        # What a crystal blurs over its own edge is no other crystal.
        edge = int(np.ceil(GRID / (2 * half + 1)))
        taken = np.zeros((GRID, GRID), dtype=bool)
        strongest = 0.0
        for peak in family:
            fringes = _domain_fringes(spectrum, peak, half, taken)
            if fringes is None or fringes.amplitude < _FAINTEST * strongest:
                continue
            found.append(fringes)
            taken |= ndimage.binary_dilation(fringes.domain, iterations=edge)
            strongest = max(strongest, fringes.amplitude)
    return found


def _families(peaks: list[Peak], shape: tuple[int, int]) -> list[list[Peak]]:
    """Gather peaks around the strongest ones; `peaks` come strongest first."""
    families: list[list[Peak]] = []
    for peak in peaks:
        here = _cell(peak, shape)
        for family in families:
            head = _cell(family[0], shape)
            length = float(np.hypot(*head))
            reach = max(_FAMILY * length, min(_FAMILY_CELLS, 2 * _FAMILY * length))
            if min(np.hypot(*(here - head)), np.hypot(*(here + head))) < reach:
                family.append(peak)
                break
        else:
            families.append([peak])
    return families


def _domain_fringes(
    spectrum: Spectrum, peak: Peak, half: int, taken: NDArray[np.bool_]
) -> Fringes | None:
    """Fringes of one peak in its domain, outside of what others have taken; None if too small."""
    hann = np.outer(_window_on_grid(spectrum.shape[0]), _window_on_grid(spectrum.shape[1]))
    free = (hann > _VISIBLE) & ~taken
    slope = np.zeros(2)
    amplitude, noise = _amplitude_map(spectrum, peak, half, slope)
    while half > _HALF_BLOCK[0] and _clarity(amplitude, noise, free) < _CLEAR:
        # Fewer cells: a coarser map of the domain, with less noise.
        half = max(_HALF_BLOCK[0], half * 2 // 3)
        amplitude, noise = _amplitude_map(spectrum, peak, half, slope)
    everywhere = _positions(spectrum.shape)
    residual = np.zeros(0)
    domain = None
    for _ in range(_RECENTRED):
        domain = _domain(amplitude, hann, noise, free, everywhere @ slope)
        if domain.sum() < _SMALLEST_DOMAIN:
            return None
        slope, residual = _phase_slope(amplitude[domain], everywhere[domain])
        amplitude, noise = _amplitude_map(spectrum, peak, half, slope)
    assert domain is not None
    slope, residual = _phase_slope(amplitude[domain], everywhere[domain])
    return _fringes(spectrum, peak, _Fitted(slope, residual, amplitude[domain], noise[domain],
                                            hann, domain, half))


@dataclass(frozen=True)
class _Fitted:
    slope: NDArray[np.float64]
    residual: NDArray[np.float64]
    samples: NDArray[np.complex128]
    noise: NDArray[np.float64]
    hann: NDArray[np.float64]
    domain: NDArray[np.bool_]
    half: int


def _fringes(spectrum: Spectrum, peak: Peak, fit: _Fitted) -> Fringes:
    """Frequency, covariance and signal-to-noise ratio of a fitted domain."""
    positions, size = _positions(spectrum.shape)[fit.domain], np.abs(fit.samples)
    relative = positions - np.average(positions, axis=0, weights=size)
    points = spectrum.shape[0] * spectrum.shape[1] / GRID**2  # pixels for each grid point
    weights = fit.hann[fit.domain]
    hessian = 2.0 * points * (relative.T * size) @ relative
    gram = points * (relative.T * weights**2) @ relative
    power = _noise_per_pixel(spectrum, peak)
    inverse = np.linalg.inv(hessian)
    covariance = 2.0 * power / (2 * np.pi) ** 2 * inverse @ gram @ inverse
    covariance *= _excess(fit.samples, fit.residual, fit.noise, fit.half)
    covariance += np.diag((_FINEST_CELLS / np.array(spectrum.shape)) ** 2)
    signal = 2.0 * points * abs(np.sum(size * np.exp(1j * fit.residual)))
    snr = signal / np.sqrt(2.0 * power * points * np.sum(weights**2))
    return Fringes(spectrum.frequency(peak.row, peak.col) + fit.slope, covariance, float(snr),
                   fit.domain, _area(fit.domain, fit.hann, spectrum.shape), peak.p_value,
                   2.0 * float(np.mean(size / weights)))


def _largest_block(peak: Peak, heads: list[Peak], shape: tuple[int, int]) -> int:
    """Half the distance to the next family (or mate, or the centre), within sensible limits."""
    here = _cell(peak, shape)
    others = [_cell(other, shape) for other in heads if other is not peak]
    others += [-other for other in others] + [-here, np.zeros(2)]
    nearest = min(float(np.abs(here - other).max()) for other in others)
    return int(np.clip((nearest - 1) // 2, *_HALF_BLOCK))


def _cell(peak: Peak, shape: tuple[int, int]) -> NDArray[np.float64]:
    row = peak.row if peak.row <= shape[0] // 2 else peak.row - shape[0]
    return np.array([row, peak.col], dtype=float)


def _amplitude_map(
    spectrum: Spectrum, peak: Peak, half: int, slope: NDArray[np.float64]
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Complex amplitude of the fringes on the coarse grid, and the variance of its noise.

    The taper is centred on the frequency known so far: off centre it would tilt the phase.
    """
    ny, nx = spectrum.shape
    offsets = np.arange(-half, half + 1)
    rows, cols = peak.row + offsets[:, None], peak.col + offsets[None, :]
    # The half transform holds columns 0 .. nx/2; the others are conjugates of their mates.
    mirrored = (cols < 0) | (cols > nx // 2)
    folded_rows = np.where(mirrored, -rows, rows) % ny
    folded_cols = np.where(mirrored, -cols, cols) % nx
    cells = spectrum.transform[folded_rows, folded_cols].astype(np.complex128)
    cells = np.where(mirrored, cells.conj(), cells)
    centre = slope * np.array(spectrum.shape)
    taper = np.outer(*(np.exp(-0.5 * ((offsets - c) / (0.5 * half + 0.5)) ** 2) for c in centre))
    tapered = cells * taper
    padded = np.zeros((GRID, GRID), dtype=np.complex128)
    padded[np.ix_(offsets % GRID, offsets % GRID)] = tapered
    amplitude = fft.ifft2(padded) * (GRID**2 / (ny * nx))
    floor = float(spectrum.floor[peak.row, peak.col])
    noise = floor * float(np.sum(taper**2)) / (ny * nx) ** 2
    # The window shapes the noise as it shapes the fringes; (3/8)^2 is the mean of its square.
    hann = np.outer(_window_on_grid(ny), _window_on_grid(nx))
    return amplitude, noise * hann**2 / 0.140625 + 1e-300


def _clarity(
    amplitude: NDArray[np.complex128], noise: NDArray[np.float64], free: NDArray[np.bool_]
) -> float:
    """Amplitude of the strongest fringes over its noise."""
    strongest = int(np.argmax(np.abs(amplitude) * free))
    return float(np.abs(amplitude).flat[strongest] / np.sqrt(noise.flat[strongest]))


def _window_on_grid(n: int) -> NDArray[np.float64]:
    position = (np.arange(GRID) / GRID * n + 0.5) / n
    return np.asarray(np.sin(np.pi * position) ** 2)


def _positions(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Pixel coordinates ``(GRID, GRID, 2)`` of the coarse grid."""
    y, x = (np.arange(GRID) / GRID * n for n in shape)
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)


def _domain(
    amplitude: NDArray[np.complex128], hann: NDArray[np.float64], noise: NDArray[np.float64],
    free: NDArray[np.bool_], cycles: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Connected region around the strongest fringes where they stay strong and in step."""
    modulus = np.abs(amplitude)
    # The peak's own frequency decides whose fringes these are, where several crystals overlap.
    turned = amplitude * np.exp(-2j * np.pi * cycles)
    local = np.abs(ndimage.gaussian_filter(turned.real, _STEP_POINTS, mode="wrap")
                   + 1j * ndimage.gaussian_filter(turned.imag, _STEP_POINTS, mode="wrap"))
    strongest = np.unravel_index(int(np.argmax(local * free)), modulus.shape)
    highest = modulus[strongest] / hann[strongest]
    inside = (modulus > _INSIDE * highest * hann) & free & (modulus**2 > 3.0 * noise)
    phase = np.angle(turned * np.conj(_mean_around(turned, strongest)))
    inside &= np.abs(phase) < _IN_STEP
    inside[strongest] = True
    labels, _ = ndimage.label(inside)
    domain = labels == labels[strongest]
    if domain.sum() < _SMALLEST_DOMAIN:
        # A slope needs an extent: at the very least the surroundings of the strongest point.
        domain = ndimage.binary_dilation(domain, iterations=3) & free
    return np.asarray(domain)


def _mean_around(turned: NDArray[np.complex128], at: tuple[np.intp, ...]) -> complex:
    rows, cols = (slice(max(0, int(i) - 2), int(i) + 3) for i in at)
    return complex(turned[rows, cols].mean())


def _phase_slope(
    samples: NDArray[np.complex128], positions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slope of the phase in cycles per pixel, and the residual phases."""
    weights = np.abs(samples)
    relative = positions - np.average(positions, axis=0, weights=weights)
    hessian = 2 * np.pi * (relative.T * weights) @ relative
    slope = np.zeros(2)
    residual = np.zeros(len(samples))
    for _ in range(_NEWTON_STEPS):
        turned = samples * np.exp(-2j * np.pi * relative @ slope)
        residual = np.angle(turned * np.conj(turned.sum()))
        step = np.linalg.solve(hessian, relative.T @ (weights * np.sin(residual)))
        slope += step
        if np.abs(step).max() < 1e-12:
            break
    return slope, residual


def _noise_per_pixel(spectrum: Spectrum, peak: Peak) -> float:
    """Spectral density of the noise at the peak: the variance of white noise of that power."""
    weight = float(np.sum(window(spectrum.shape[0]) ** 2) * np.sum(window(spectrum.shape[1]) ** 2))
    return float(spectrum.floor[peak.row, peak.col]) / weight


def _excess(
    samples: NDArray[np.complex128], residual: NDArray[np.float64],
    noise: NDArray[np.float64], half: int,
) -> float:
    """Mean square phase residual over what noise explains; 1 unless fringes clearly bend."""
    weights = np.abs(samples) ** 2
    excess = float(np.sum(weights * residual**2) / np.sum(0.5 * noise))
    independent = max(1.0, len(samples) * ((2 * half + 1) / GRID) ** 2)
    return excess if excess > 1.0 + 3.0 * np.sqrt(2.0 / independent) else 1.0


def _area(domain: NDArray[np.bool_], hann: NDArray[np.float64], shape: tuple[int, int]) -> float:
    """Pixels of the domain; the whole image if it fills all that the window lets be seen."""
    visible = hann > _VISIBLE
    filled = float(domain.sum() / visible.sum())
    fraction = 1.0 if filled > 0.85 else float(domain.sum() / GRID**2)
    return fraction * shape[0] * shape[1]
