"""The ground under the rings: what is left when maxima are clipped off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtools.measure.rings._kernels import clipped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def peaks_clipped(profile: Floats, widths: Floats) -> Floats:
    """Return a profile with all maxima narrower than `widths` clipped off.

    Parameters
    ----------
    profile
        ``(n,)``, without gaps.
    widths
        ``(n,)``, in samples.

    References
    ----------
    Ryan et al., Nucl. Instrum. Methods B34 (1988) 396 (SNIP), with the decreasing window of
    Morhac et al., Nucl. Instrum. Methods A401 (1997) 113, on the square root, which makes counting
    noise even.
    """
    low = float(profile.min())
    level = np.sqrt(profile - low)
    return np.asarray(clipped(level, np.maximum(widths, 2.0)) ** 2 + low)


def convex_ground(profile: Floats) -> Floats:
    """Return the largest function below a positive profile whose logarithm is convex.

    The tail of a central beam falls ever more gently; rings and the broad maxima of amorphous
    material, whatever their width, stand on it.

    Parameters
    ----------
    profile
        ``(n,)``, positive, without gaps; noise is best smoothed off before.
    """
    level = np.log(profile)
    hull = _lower_hull(level)
    return np.asarray(np.exp(np.interp(np.arange(len(level)), hull, level[hull])))


def _lower_hull(level: Floats) -> NDArray[np.int64]:
    """Indices of the corners of the lower convex hull (Andrew's monotone chain)."""
    corners: list[int] = []
    for i in range(len(level)):
        while len(corners) > 1:
            a, b = corners[-2], corners[-1]
            if (level[b] - level[a]) * (i - a) < (level[i] - level[a]) * (b - a):
                break
            corners.pop()
        corners.append(i)
    return np.array(corners)
