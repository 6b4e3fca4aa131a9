"""Fringes brought down to frequency zero, on a coarse grid of nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtools.process.threads import in_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray


def nodes(n: int, block: int) -> NDArray[np.float64]:
    """Pixel positions of the nodes along a side of `n` pixels."""
    return np.arange(-(-(n - 1) // block) + 1, dtype=float) * block


def demodulate(
    values: NDArray[np.float32], frequencies: NDArray[np.float64], block: int
) -> NDArray[np.complex128]:
    """Sum fringes, brought down to frequency zero, under hats around nodes `block` pixels apart.

    The hats add up to 1 everywhere: the sum over all nodes, weighted, is the transform of the
    pixels under weights that run linearly from node to node, exactly.

    Parameters
    ----------
    values
        ``(y, x)``.
    frequencies
        ``(n, 2)`` of ``(y, x)`` in cycles per pixel.
    block
        Distance of the nodes in pixels.

    Returns
    -------
    ndarray
        ``(n, nodes along y, nodes along x)``: sum of ``values * exp(-2 pi i f r) * hat``.
    """
    from emtools.measure.lattice._kernels import demodulate_rows

    n_y, n_x = values.shape
    table_y = _table(frequencies[:, 0], n_y, block).transpose(0, 2, 1).copy()
    table_x = _table(frequencies[:, 1], n_x, block)
    n_segments = -(-n_y // block)
    shares = np.zeros((2, n_segments, len(frequencies), -(-n_x // block) + 1), dtype=complex)

    def fill(segments: tuple[int, int]) -> None:
        for segment in range(*segments):
            demodulate_rows(values, segment, block, table_y, table_x, shares[0, segment],
                            shares[1, segment])

    in_spans(fill, (0, n_segments), values.size * len(frequencies))
    whole = np.zeros((n_segments + 1, *shares.shape[2:]), dtype=complex)
    whole[:-1] += shares[0]
    whole[1:] += shares[1]
    size = len(nodes(n_y, block)), len(nodes(n_x, block))
    return np.moveaxis(whole, 0, 1)[:, : size[0], : size[1]]


def _table(frequencies: NDArray[np.float64], n: int, block: int) -> NDArray[np.float32]:
    """Cosine, minus sine along a side, both times the place between nodes: ``(n_f, 4, n)``."""
    place = np.arange(n)
    turn = 2 * np.pi * frequencies[:, None] * place
    table = np.empty((len(frequencies), 4, n), dtype=np.float32)
    table[:, 0], table[:, 1] = np.cos(turn), -np.sin(turn)
    table[:, 2:] = table[:, :2] * ((place % block) / block).astype(np.float32)
    return table


def smoothed(
    amplitude: NDArray[np.complex128], pixels: NDArray[np.float64], sigma: float
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """Return the mean amplitude around each node, and the pixels that it is worth.

    Parameters
    ----------
    amplitude
        ``(y, x)`` of one frequency, as `demodulate` returns it.
    pixels
        Pixels under each hat.
    sigma
        Of the Gaussian, in nodes.

    Returns
    -------
    amplitude
        Complex amplitude (half of the fringes'), ``(y, x)``.
    effective
        Number of independent pixels in each mean: the noise of the mean is its density over it.
    """
    from scipy import ndimage

    def blurred(array: NDArray[np.float64], width: float) -> NDArray[np.float64]:
        return np.asarray(ndimage.gaussian_filter(array, width, mode="constant", truncate=3.0))

    weight = blurred(pixels, sigma)
    mean: NDArray[np.complex128] = np.empty(amplitude.shape, dtype=complex)
    mean.real, mean.imag = blurred(amplitude.real, sigma), blurred(amplitude.imag, sigma)
    # The square of a Gaussian is a Gaussian, 1 / sqrt(2) as wide and 1 / (4 pi sigma^2) as high.
    square = blurred(pixels, max(sigma / np.sqrt(2.0), 0.2)) / max(4 * np.pi * sigma**2, 1.0)
    weight = np.maximum(weight, 1e-12)
    return mean / weight, weight**2 / np.maximum(square, 1e-12)
