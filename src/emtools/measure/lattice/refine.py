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
_HALF_BLOCK = (3, 20)  # cells around a peak: enough for a full-frame crystal ... a small domain
_VISIBLE = 0.15  # where the window is lower, fringes cannot be seen
_INSIDE = 0.5  # of its highest amplitude: what counts as the domain
_CLEAR = 7.0  # amplitude over noise at which the outline of a domain can be trusted
_RECENTRED = 2  # times that the taper is moved onto the refined frequency
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
    """

    frequency: NDArray[np.float64]
    covariance: NDArray[np.float64]
    snr: float
    domain: NDArray[np.bool_]
    area_px: float
    p_value: float


def refine(spectrum: Spectrum, peak: Peak, peaks: list[Peak]) -> Fringes:
    """Refine one peak below the cell of the transform.

    The slope of the phase is found by Newton steps on ``|sum(a exp(-2 pi i f r))|`` over the
    domain.  Its covariance is the noise propagated through that estimator, ``2 S_n / (2 pi)^2
    H^-1 G H^-1`` with ``H = sum(w A (r - r0)(r - r0)')`` and ``G = sum(w^2 (r - r0)(r - r0)')``
    (the Cramer-Rao bound for w = 1), times the excess of the phase residuals where the fringes are
    not straight.
    """
    hann = np.outer(_window_on_grid(spectrum.shape[0]), _window_on_grid(spectrum.shape[1]))
    half = _largest_block(peak, peaks, spectrum.shape)
    slope = np.zeros(2)
    amplitude, noise = _amplitude_map(spectrum, peak, half, slope)
    while half > _HALF_BLOCK[0] and _clarity(amplitude, noise) < _CLEAR:
        # Fewer cells: a coarser map of the domain, with less noise.
        half = max(_HALF_BLOCK[0], half * 2 // 3)
        amplitude, noise = _amplitude_map(spectrum, peak, half, slope)
    for _ in range(_RECENTRED):
        domain = _domain(amplitude, hann, noise)
        positions = _positions(spectrum.shape)[domain]
        slope, residual = _phase_slope(amplitude[domain], positions)
        amplitude, noise = _amplitude_map(spectrum, peak, half, slope)
    samples = amplitude[domain]
    slope, residual = _phase_slope(samples, positions)
    centre = np.average(positions, axis=0, weights=np.abs(samples))
    relative = positions - centre
    points = spectrum.shape[0] * spectrum.shape[1] / GRID**2  # pixels for each grid point
    weights = hann[domain]
    hessian = 2.0 * points * (relative.T * np.abs(samples)) @ relative
    gram = points * (relative.T * weights**2) @ relative
    power = _noise_per_pixel(spectrum, peak)
    inverse = np.linalg.inv(hessian)
    covariance = 2.0 * power / (2 * np.pi) ** 2 * inverse @ gram @ inverse
    covariance *= _excess(samples, residual, noise[domain], half)
    covariance += np.diag((_FINEST_CELLS / np.array(spectrum.shape)) ** 2)
    signal = 2.0 * points * abs(np.sum(samples * np.exp(-1j * np.angle(samples) + 1j * residual)))
    snr = signal / np.sqrt(2.0 * power * points * np.sum(weights**2))
    return Fringes(spectrum.frequency(peak.row, peak.col) + slope, covariance, float(snr), domain,
                   _area(domain, hann, spectrum.shape), peak.p_value)


def _largest_block(peak: Peak, peaks: list[Peak], shape: tuple[int, int]) -> int:
    """Half the distance to the next spot (or mate, or the centre), within sensible limits."""
    here = _cell(peak, shape)
    others = [_cell(other, shape) for other in peaks if other is not peak]
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


def _clarity(amplitude: NDArray[np.complex128], noise: NDArray[np.float64]) -> float:
    """Amplitude of the strongest fringes over its noise."""
    strongest = int(np.argmax(np.abs(amplitude)))
    return float(np.abs(amplitude).flat[strongest] / np.sqrt(noise.flat[strongest]))


def _window_on_grid(n: int) -> NDArray[np.float64]:
    position = (np.arange(GRID) / GRID * n + 0.5) / n
    return np.asarray(np.sin(np.pi * position) ** 2)


def _positions(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Pixel coordinates ``(GRID, GRID, 2)`` of the coarse grid."""
    y, x = (np.arange(GRID) / GRID * n for n in shape)
    return np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1)


def _domain(
    amplitude: NDArray[np.complex128], hann: NDArray[np.float64], noise: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Connected region around the strongest fringes where they keep half their amplitude."""
    modulus = np.abs(amplitude)
    strongest = np.unravel_index(int(np.argmax(modulus)), modulus.shape)
    highest = modulus[strongest] / hann[strongest]
    inside = (modulus > _INSIDE * highest * hann) & (hann > _VISIBLE) & (modulus**2 > 3.0 * noise)
    inside[strongest] = True
    labels, _ = ndimage.label(inside)
    domain = labels == labels[strongest]
    # A slope needs an extent: at the very least the cell itself.
    return np.asarray(domain if domain.sum() >= 12 else ndimage.binary_dilation(domain,
                                                                               iterations=3))


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
