"""What a short script does: Otsu, closed gaps, pruned skeleton, skan, distance transform.

The width is the mean over a branch, as is usual; along chains of resolved dots that takes in the
necks between them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from skan import Skeleton, summarize
from skimage.filters import gaussian, threshold_otsu
from skimage.morphology import skeletonize

from emtools.model import Image

LEAST_WIDTHS = 2.5  # a branch is a chain from this length on
CLOSED_NM = 2.0  # radius of the disc that closes gaps: one of half of it leaves chains in pieces
PRUNED = 3  # rounds in which spurs shorter than the body is wide are cut off
SMOOTHED_PX = 1.0  # 1 sigma; without it the threshold's outline is noise


def find(image: Image) -> dict[str, pd.DataFrame]:
    """Tables ``chains`` and ``axes``: each branch of the skeleton that is long enough."""
    pixel = image.axes[-1].pixel_size
    data = np.asarray(image.data, dtype=np.float32)
    smooth = gaussian(-data if image.acquisition.modality == "TEM" else data, SMOOTHED_PX)
    return branches(_closed(smooth > threshold_otsu(smooth), max(1.0, CLOSED_NM / pixel)), pixel)


def _closed(mask: NDArray[np.bool_], radius: float) -> NDArray[np.bool_]:
    """Close gaps with a disc; by distances, which is fast for large ones."""
    wide = distance_transform_edt(~mask) <= radius
    return np.asarray(mask | (distance_transform_edt(wide) > radius))


def branches(mask: NDArray[np.bool_], pixel: float) -> dict[str, pd.DataFrame]:
    """Width, twice the mean distance on the skeleton, and length of each branch of a mask."""
    chains, axes = [], []
    distance = distance_transform_edt(mask)
    skeleton = _skeleton(mask, distance, pixel)
    if skeleton is not None:
        lengths = summarize(skeleton, separator="-")["branch-distance"]
        for path, length in enumerate(lengths):
            points = skeleton.path_coordinates(path).astype(int)
            width = 2 * pixel * float(distance[points[:, 0], points[:, 1]].mean())
            if length < LEAST_WIDTHS * width:
                continue
            number = len(chains) + 1
            chains.append({"chain": number, "width_nm": width, "length_nm": float(length)})
            axes += [(number, y, x) for y, x in (pixel * points).tolist()]
    return {"chains": pd.DataFrame(chains, columns=["chain", "width_nm", "length_nm"]),
            "axes": pd.DataFrame(axes, columns=["chain", "y_nm", "x_nm"])}


def _skeleton(
    mask: NDArray[np.bool_], distance: NDArray[np.float64], pixel: float
) -> Skeleton | None:
    """Return the skeleton without spurs."""
    try:
        skeleton = Skeleton(skeletonize(mask), spacing=pixel)
        for _ in range(PRUNED):
            table = summarize(skeleton, separator="-")
            widest = [2 * pixel * distance[tuple(skeleton.path_coordinates(i).astype(int).T)].max()
                      for i in range(skeleton.n_paths)]
            spurs = (table["branch-type"] == 1) & (table["branch-distance"] < widest)
            if not spurs.any():
                break
            skeleton = skeleton.prune_paths(np.flatnonzero(spurs).tolist())
    except ValueError:  # no branch of two pixels
        return None
    return skeleton
