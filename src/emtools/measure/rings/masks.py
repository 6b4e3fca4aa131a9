"""Pixels of a pattern that say nothing: saturated, dead, hot, and the beam stop's shadow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from emtools.measure.rings._kernels import mark_isolated
from emtools.measure.rings.polar import cells, percentile_of_sectors
from emtools.process.threads import in_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.rings.polar import Geometry

    Floats = NDArray[np.float64]

_PLATEAU = 12  # pixels that share the largest value, above which this is the detector's end
_BLOOM_PX = 2
_SHADE = 0.5  # of what is beside at the same radius
_BESIDE = 30.0  # percentile of the sectors that tells what is beside: spots do not count
_LEAST_SHADOW = 5e-4  # of the picture
_PENUMBRA_PX = 3
_CLEAR = 4.0  # sigma


def sound_pixels(values: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """Return where pixels are neither masked, saturated (with what surrounds these), dead or hot.

    Parameters
    ----------
    values
        ``(y, x)``.
    mask
        True = use; None = all.
    """
    use = np.ones(values.shape, dtype=bool) if mask is None else mask.copy()
    top = values.max(where=use, initial=-np.inf)
    saturated = (values >= top) & use
    if np.count_nonzero(saturated) >= _PLATEAU and values.min() < top:
        use &= ~_grown(saturated, _BLOOM_PX)
    in_spans(lambda rows: mark_isolated(rows, values, use), (0, len(values)), values.size)
    return use


def shadow(
    values: NDArray[np.float32], use: NDArray[np.bool_], geometry: Geometry
) -> NDArray[np.bool_]:
    """Return where a beam stop shades the pattern, with its half-shadow.

    The stop is dark against what lies beside it at the same radius, in one piece, over a part of
    the picture that no gap between spots has.

    Parameters
    ----------
    values
        ``(y, x)``; a picture of some hundred pixels along a side.
    use
        True = use.
    geometry
        A first idea of the centre.
    """
    smooth = _smoothed(values, use)
    seen = smooth[use]
    dark = float(np.percentile(seen, 0.2))
    beside = np.nan_to_num(_beside(smooth, use, geometry), nan=dark)
    radius = np.minimum(geometry.radii((values.shape[0], values.shape[1])), len(beside) - 1)
    expected = np.interp(radius, np.arange(len(beside)), beside) - dark
    noise = _noise(values - smooth, use) / 3.0
    dim = (smooth - dark < _SHADE * expected) & (expected > _CLEAR * noise) & use
    labels, _ = ndimage.label(ndimage.binary_opening(dim, iterations=1))
    sizes = np.bincount(labels.ravel())
    large = np.flatnonzero(sizes >= max(_LEAST_SHADOW * values.size, 16))
    return _grown(np.isin(labels, large[large > 0]), _PENUMBRA_PX)


def _beside(smooth: NDArray[np.float32], use: NDArray[np.bool_], geometry: Geometry) -> Floats:
    """What lies beside at each radius."""
    return percentile_of_sectors(cells(smooth, use, geometry).means, _BESIDE)


def _smoothed(values: NDArray[np.float32], use: NDArray[np.bool_]) -> NDArray[np.float32]:
    weight = ndimage.uniform_filter(use.astype(np.float32), 3)
    total = ndimage.uniform_filter(np.where(use, values, np.float32(0)), 3)
    return np.where(weight > 0, total / np.maximum(weight, 1e-6), np.float32(0))


def _noise(rest: NDArray[np.float32], use: NDArray[np.bool_]) -> float:
    return float(1.4826 * np.median(np.abs(rest[use])))


def _grown(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    if not mask.any():
        return mask
    return np.asarray(ndimage.binary_dilation(mask, iterations=by))
