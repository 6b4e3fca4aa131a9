"""Maps of few counts made smooth: spectra rebuilt from few components of what is fitted to them.

Components are sought among sums of the fitted shapes, not among all spectra: a fit sees nothing
else, and of a thousand channels the noise would be larger than what few pixels show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.process.spectra import Spectra

    Floats = NDArray[np.float64]

_ROUNDS, _EMPTY = 100, 1e-12  # of the search for non-negative components; never divided by less


def through_principal_components(
    spectra: Spectra, n: int, vectors: Floats, mean: Floats
) -> Floats:
    """Vectors that give estimates as rebuilt from their ``n`` first principal components.

    The estimates are divided by their noise first, so that it is the same in all directions
    (Keenan & Kotula, Surf. Interface Anal. 36 (2004) 203).

    Parameters
    ----------
    spectra
        All of them.
    n
        How many components.
    vectors
        ``(channel, m)``: a spectrum times these is the estimate of its ``m`` parts.
    mean
        ``(channel,)`` expected counts of a pixel.
    """
    back, components = _principal(spectra, n, vectors, mean)
    return np.asarray(vectors @ back @ components @ components.T @ np.linalg.inv(back))


def through_non_negative_components(
    spectra: Spectra, n: int, vectors: Floats, mean: Floats
) -> NDArray[np.float32]:
    """Estimates as rebuilt from ``n`` non-negative components with non-negative weights.

    The components are sought among the principal ones, by turns for each (Cichocki & Phan, IEICE
    Trans. Fundam. E92-A (2009) 708); of all spectra they would follow the noise of the many pixels
    that show nothing.  The same at each run.

    Parameters
    ----------
    spectra, n, vectors, mean
        As in `through_principal_components`.

    Returns
    -------
    array
        ``(y, x, m)``, NaN in masked pixels.
    """
    rebuilt = through_principal_components(spectra, n, vectors, mean)
    counts = (mean > 0)[:, None].astype(float)
    both = spectra.projected(np.hstack([rebuilt, counts])).reshape(-1, rebuilt.shape[1] + 1)
    both = np.nan_to_num(both)
    noise = np.sqrt(np.maximum(both[:, -1:], 1.0))
    scale = np.sqrt(np.diag(vectors.T @ (mean[:, None] * vectors))).astype(np.float32)
    weights, parts = _factors(np.asarray(both[:, :-1] / noise / scale, dtype=np.float32), n)
    found = ((weights * noise) @ (parts * scale)).reshape(*spectra.shape, -1)
    if spectra.mask is not None:
        found[~spectra.mask] = np.nan
    return np.asarray(found)


def _factors(
    values: NDArray[np.float32], n: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Non-negative factors ``(p, n)`` and ``(n, m)`` of values ``(p, m)``, which need not be so."""
    parts = _corners(values, n)
    weights = np.zeros((len(values), n), dtype=np.float32)
    for _ in range(_ROUNDS):
        for factor, other, target in ((weights, parts, values), (parts.T, weights.T, values.T)):
            along, square = target @ other.T, other @ other.T
            for j in range(n):
                step = (along[:, j] - factor @ square[:, j]) / max(float(square[j, j]), _EMPTY)
                factor[:, j] = np.maximum(factor[:, j] + step, 0.0)
    return weights, parts


def _corners(values: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """Values ``(n, m)`` of the pixels that differ most, one after another (Araujo et al. 2001)."""
    left, found = values.copy(), []
    for _ in range(n):
        found.append(int(np.argmax((left**2).sum(axis=1))))
        direction = left[found[-1]] / max(float(np.linalg.norm(left[found[-1]])), _EMPTY)
        left -= np.outer(left @ direction, direction)
    return np.maximum(values[found], _EMPTY)


def _principal(
    spectra: Spectra, n: int, vectors: Floats, mean: Floats
) -> tuple[Floats, Floats]:
    """What turns estimates (rows) into such of noise 1, ``(m, m)``, and components of these."""
    noise = vectors.T @ (mean[:, None] * vectors)
    back = np.linalg.inv(np.linalg.cholesky(noise)).T
    squared = np.zeros_like(noise)
    single = (vectors @ back).astype(np.float32)
    for _, block in spectra.blocks():
        # Pixels of many counts have more noise: each counts for what it tells.
        counts = np.maximum(block.sum(axis=1, keepdims=True), 1.0)
        estimates = ((block @ single) / np.sqrt(counts)).astype(np.float64)
        squared += estimates.T @ estimates
    return back, np.linalg.eigh(squared)[1][:, ::-1][:, :n]
