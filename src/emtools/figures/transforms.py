"""The power spectrum as it is shown beside a lattice: cut to the spots, in 1/nm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emtools.errors import ImageError
from emtools.measure.lattice.peaks import transform
from emtools.process.plane import as_plane, flatten

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.model import Calibration, Image

    Floats = NDArray[np.float64]

_MOST_CELLS = 900  # along a side; of more, the strongest of a block is shown
_FLAT_PART = 0.25  # of the side: slower variations are the ground, not fringes
_MARGIN = 1.22  # beyond the largest wave vector
_LOW_PERCENTILE, _HIGH_PERCENTILE = 35.0, 99.97


@dataclass(frozen=True)
class PowerSpectrum:
    """The middle of a power spectrum.

    Parameters
    ----------
    values
        ``(ky, kx)`` logarithm of the power, rows running down (the first has the largest ky).
    limits
        Values shown black and white.
    extent
        Edges (left, right, bottom, top) in cycles per unit.
    unit
        ``1/nm`` or ``1/px``.
    calibration
        Of the image.
    sizes
        Pixel size of the image along y and x.
    """

    values: NDArray[np.float32]
    limits: tuple[float, float]
    extent: tuple[float, float, float, float]
    unit: str
    calibration: Calibration
    sizes: Floats

    def places(self, k: Floats) -> Floats:
        """Return where wave vectors ``(n, 2)`` (y, x) lie on the picture, as (kx, ky), ky upwards.

        The picture's axes are those of the pixels, which a distorted scan has turned a little.
        """
        return self.calibration.cycles_per_pixel(k)[:, ::-1] / self.sizes[::-1] * [1.0, -1.0]


def power_spectrum(image: Image, largest_k: float) -> PowerSpectrum | None:
    """Return the power spectrum of an image, as far as the spots reach.

    Parameters
    ----------
    image
        A picture in real space.
    largest_k
        Length of the longest wave vector that is marked, in cycles per unit; 0 if there is none.

    Returns
    -------
    PowerSpectrum or None
        None of an image without contrast, or one that is not a picture in real space.
    """
    try:
        plane = as_plane(image)
    except ImageError:
        return None
    if plane.constant or plane.unit == "1/nm":
        return None
    sizes = np.hypot(*plane.calibration.matrix)
    shape = np.array(plane.values.shape)
    # Without spots three tenths of a cycle per pixel, beyond which micrographs hold little.
    reach = _MARGIN * largest_k * sizes if largest_k > 0 else np.array([0.3, 0.3])
    cells = np.minimum(np.ceil(reach * shape).astype(int) + 2, (shape - 1) // 2)
    flat = flatten(plane.values, plane.mask, _FLAT_PART * float(shape.min()))
    half = _half_power(flat, (int(cells[0]), int(cells[1])))
    whole = np.hstack([half[::-1, :0:-1], half])
    block = max(1, -(-max(whole.shape) // _MOST_CELLS))
    step = block / shape / sizes
    values = np.log10(_strongest(whole, block) + np.finfo(np.float32).tiny)
    ky, kx = 0.5 * (np.array(values.shape)) * step
    return PowerSpectrum(values, _limits(values), (-kx, kx, -ky, ky), f"1/{plane.unit}",
                         plane.calibration, sizes)


def _half_power(flat: NDArray[np.float32], cells: tuple[int, int]) -> NDArray[np.float32]:
    """Power of the rows -n ... n and columns 0 ... m about the zero frequency."""
    rows, cols = cells
    half = transform(flat)
    middle = np.vstack([half[-rows:, : cols + 1], half[: rows + 1, : cols + 1]])
    return np.asarray(np.abs(middle) ** 2, dtype=np.float32)


def _strongest(power: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """Largest value of each block: means would wash out spots of one cell."""
    if n == 1:
        return power
    # The same number of cells goes at each side, so that zero stays in the middle.
    spare = [size % n for size in power.shape]
    inner = tuple(slice(s // 2, size - (s - s // 2))
                  for s, size in zip(spare, power.shape, strict=True))
    cut = power[inner]
    rows, cols = (size // n for size in cut.shape)
    return np.asarray(cut.reshape(rows, n, cols, n).max(axis=(1, 3)))


def _limits(values: NDArray[np.float32]) -> tuple[float, float]:
    low, high = np.percentile(values, (_LOW_PERCENTILE, _HIGH_PERCENTILE))
    return float(low), float(max(high, low + 1.0))
