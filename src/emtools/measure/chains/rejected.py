"""What was seen and is not among the results, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from emtools.measure.chains.fit import tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

BROADER = "broader than max_width_nm: ground of what lies on it"
WIDER = "wider than max_width_nm"
NARROWER = "narrower than min_width_nm"
NOTHING = "nothing stands out where it was drawn"
OUTSIDE = "outside of the image"
FAINT = "not significant beside its neighbours"


class Rejected(NamedTuple):
    """A candidate that was left out, in pixels.

    Parameters
    ----------
    y, x
        Its middle.
    length, width
        Its larger and its smaller extent.
    reason
        Why.
    """

    y: float
    x: float
    length: float
    width: float
    reason: str


def broad_regions(found: NDArray[np.bool_], cell: int) -> list[Rejected]:
    """Return the connected regions of cells taken for ground, each with the box around it."""
    labels, _ = ndimage.label(found)
    regions = []
    for rows, cols in ndimage.find_objects(labels):
        high, wide = (cell * (part.stop - part.start) for part in (rows, cols))
        y, x = (0.5 * cell * (part.stop + part.start) - 0.5 for part in (rows, cols))
        regions.append(Rejected(y, x, max(high, wide), min(high, wide), BROADER))
    return regions


def bodies(parameters: NDArray[np.float64], reason: str) -> list[Rejected]:
    """Return fitted bodies (rows as of `fit.Fit`) that were left out."""
    extents = 2.0 * np.sqrt(np.maximum(np.linalg.eigvalsh(tensors(parameters)), 0.0))
    return [Rejected(y, x, longer, shorter, reason) for (y, x), (shorter, longer)
            in zip(parameters[:, :2].tolist(), extents.tolist(), strict=True)]
