"""What a few lines of scikit-image find: Otsu's threshold, connected components, a watershed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.measure import label, regionprops
from skimage.morphology import skeletonize
from skimage.segmentation import watershed

from chains_report.bodies import Body

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = NDArray[np.float64]

_TOLERANCE = 1.3  # by which sizes may lie outside the widths sought, as in `chains`


def foreground(picture: Picture, least: float) -> NDArray[np.bool_]:
    """Return the smaller of the two classes of Otsu's threshold on a slightly smoothed picture."""
    smooth = ndimage.gaussian_filter(picture, 0.1 * least)
    above = smooth > threshold_otsu(smooth)
    return np.asarray(above if above.mean() <= 0.5 else ~above)


def components(picture: Picture, widths: tuple[float, float]) -> list[Body]:
    """Return the connected components whose shorter axis is as wide as what is sought."""
    return _regions(label(foreground(picture, widths[0])), widths, picture.shape)


def split(picture: Picture, widths: tuple[float, float]) -> list[Body]:
    """Return the same, touching bodies parted by a watershed of the distance from the edge."""
    mask = foreground(picture, widths[0])
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 0.1 * widths[0])
    tops = peak_local_max(depth, min_distance=max(1, round(0.4 * widths[0])), labels=label(mask))
    markers = np.zeros(mask.shape, dtype=np.int32)
    markers[tuple(tops.T)] = np.arange(1, len(tops) + 1)
    return _regions(watershed(-depth, markers, mask=mask), widths, picture.shape)


def _regions(
    labels: NDArray[np.int32], widths: tuple[float, float], shape: tuple[int, ...]
) -> list[Body]:
    found = []
    for region in regionprops(labels):
        if widths[0] / _TOLERANCE < region.axis_minor_length < _TOLERANCE * widths[1]:
            pixels = np.ravel_multi_index(tuple(region.coords.T), shape)
            found.append(Body(region.centroid, region.equivalent_diameter_area,
                              region.axis_major_length, region.axis_minor_length,
                              np.sort(pixels), np.empty((0, 2))))
    return found


def skeletons(picture: Picture, widths: tuple[float, float]) -> list[Body]:
    """Return components at least three widths long with their skeleton as their centreline."""
    labels = label(foreground(picture, widths[0]))
    bones = skeletonize(labels > 0)
    found = []
    for region in regionprops(labels):
        top, left, _, _ = region.bbox
        part = bones[region.slice] & region.image
        axis = np.argwhere(part) + np.array([top, left])
        width = region.area / max(len(axis), 1)
        fits = widths[0] / _TOLERANCE < width < _TOLERANCE * widths[1]
        if fits and len(axis) > 3 * width:
            pixels = np.ravel_multi_index(tuple(region.coords.T), picture.shape)
            found.append(Body(region.centroid, width, float(len(axis)), width, np.sort(pixels),
                              axis.astype(float)))
    return found
