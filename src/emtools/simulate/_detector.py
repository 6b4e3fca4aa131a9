"""What the microscope adds to an ideal image: probe, scan errors, uneven ground, counting noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emtools.errors import ParameterError
from emtools.units import FWHM_PER_SIGMA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Seed = int | np.random.Generator | None
    Floats = NDArray[np.float64]



def generator(rng: Seed) -> np.random.Generator:
    """Return the random generator of a seed (SPEC 7: int, Generator or None)."""
    return np.random.default_rng(rng)


def checked(name: str, value: float, low: float = 0.0, *, strict: bool = False) -> float:
    """Return `value` if it is finite and at least (`strict`: above) `low`.

    Raises
    ------
    ParameterError
        Otherwise.
    """
    if math.isfinite(value) and (value > low if strict else value >= low):
        return value
    raise ParameterError(name, f"must be {'above' if strict else 'at least'} {low:g}, not {value}")


@dataclass(frozen=True)
class Detector:
    """How an ideal image becomes counts.

    Parameters
    ----------
    counts
        Mean counts in a pixel where the ideal image is 1; None for the ideal image itself.
    read_noise
        1 sigma in counts of what the electronics add.
    line_noise
        1 sigma of each scan row's own brightness, relative to an ideal image of 1.
    """

    counts: float | None
    read_noise: float = 0.0
    line_noise: float = 0.0

    @property
    def gain(self) -> float:
        """Image units per unit of the ideal image."""
        return 1.0 if self.counts is None else self.counts

    def expose(self, ideal: Floats, rng: np.random.Generator) -> NDArray[np.float32]:
        """Return the image that the detector delivers."""
        if self.counts is not None:
            checked("counts", self.counts, strict=True)
        if self.line_noise:
            ideal = ideal + self.line_noise * rng.standard_normal((len(ideal), 1))
        if self.counts is not None:
            ideal = rng.poisson(self.counts * np.maximum(ideal, 0.0)).astype(np.float64)
        if self.read_noise:
            ideal = ideal + self.read_noise * rng.standard_normal(ideal.shape)
        return ideal.astype(np.float32)


def probe_transfer(k2: Floats, fwhm_nm: float) -> Floats:
    """Transfer of a Gaussian probe of that full width at half maximum at squared frequency k2."""
    sigma = fwhm_nm / FWHM_PER_SIGMA
    return np.asarray(np.exp(-2.0 * np.pi**2 * sigma**2 * k2), dtype=np.float64)


def blurred(image: Floats, fwhm_nm: float, pixel_size_nm: float) -> Floats:
    """Return `image` seen with a Gaussian probe; what is nowhere negative stays so."""
    from scipy.ndimage import convolve1d

    if not fwhm_nm:
        return image
    kernel = _kernel(fwhm_nm / FWHM_PER_SIGMA / pixel_size_nm)
    for axis in (0, 1):
        image = convolve1d(image, kernel, axis=axis, mode="nearest")
    return np.asarray(image)


def _kernel(sigma_px: float) -> Floats:
    """Gaussian on whole pixels, of area 1, with the right variance however narrow it is."""
    from scipy.special import ive

    # Cutting at 4 sigma would leave 1e-4 steps in images without noise.
    n = np.arange(-math.ceil(6 * sigma_px) - 2, math.ceil(6 * sigma_px) + 3)
    if sigma_px < 0.7:
        # Samples of a narrow Gaussian have too small a variance (none at all below 0.3 pixels).
        # The discrete Gaussian (Lindeberg, IEEE Trans. PAMI 12 (1990) 234) has the right one.
        kernel = ive(n, sigma_px**2)
    else:
        kernel = np.exp(-0.5 * (n / sigma_px) ** 2)
    return np.asarray(kernel / kernel.sum(), dtype=np.float64)


def row_shifts(
    n_rows: int, scan_noise_nm: float, drift_nm: tuple[float, float], rng: np.random.Generator
) -> Floats:
    """Where each scan row really looks, relative to where it should: ``(n_rows, 2)`` (y, x) nm.

    Parameters
    ----------
    n_rows
        Number of rows.
    scan_noise_nm
        1 sigma of the jump of each row (flagging), the same along y and x.
    drift_nm
        Drift ``(y, x)`` of the sample's image from first to last row.
    """
    checked("scan_noise_nm", scan_noise_nm)
    ramp = np.linspace(-0.5, 0.5, n_rows)[:, None] if n_rows > 1 else np.zeros((1, 1))
    # The sample moving by +drift means that the probe looks at -drift on the sample.
    shifts = -ramp * np.asarray(drift_nm, dtype=float)
    if scan_noise_nm:
        shifts = shifts + scan_noise_nm * rng.standard_normal((n_rows, 2))
    return np.asarray(shifts)


def scanned(image: Floats, shifts_px: Floats) -> Floats:
    """Return `image` with each row looking `shifts_px` (y, x) pixels away from its place."""
    from scipy.ndimage import map_coordinates

    if not shifts_px.any():
        return image
    rows, columns = np.indices(image.shape, dtype=float)
    rows += shifts_px[:, :1]
    columns += shifts_px[:, 1:]
    return np.asarray(map_coordinates(image, [rows, columns], order=3, mode="nearest"))


def uneven_ground(shape: tuple[int, int], amount: float, rng: np.random.Generator) -> Floats:
    """Smooth ground with mean 0: a slope and a bow, together from about -amount/2 to amount/2."""
    if not amount:
        return np.zeros(shape)
    y, x = (np.linspace(-1.0, 1.0, n) for n in shape)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    slope = math.sin(angle) * y[:, None] + math.cos(angle) * x
    bow = rng.uniform(-1, 1) * (y[:, None] ** 2 - 1 / 3) + rng.uniform(-1, 1) * (x**2 - 1 / 3)
    ground = slope + 0.5 * bow
    return np.asarray(amount * (ground - ground.mean()) / np.ptp(ground))


def texture(
    shape: tuple[int, int], grain_nm: float, pixel_size_nm: float, rng: np.random.Generator
) -> Floats:
    """Random texture of an amorphous film: mean 0, rms 1, correlated over about `grain_nm`."""
    noise = blurred(rng.standard_normal(shape), grain_nm, pixel_size_nm)
    spread = noise.std()
    return np.asarray((noise - noise.mean()) / (spread if spread else 1.0))
