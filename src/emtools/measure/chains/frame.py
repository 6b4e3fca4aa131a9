"""The frame that chains lie in: from pixels to the image's unit, its border, its signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import map_coordinates

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ACROSS = 7  # places across a chain at which its signal is read


@dataclass(frozen=True)
class Frame:
    """What is common to the picture: pixel size and shape.

    Parameters
    ----------
    pixel
        Size of a pixel of the fitted plane in the image's unit.
    origin
        Position of its pixel 0 in the image's unit.
    shape
        Of the fitted plane.
    signal, fitted
        The image without its ground, and what is fitted to it; None where no dots are.
    counts
        What a signal of 1 is in the image's own numbers.
    """

    pixel: float
    origin: float
    shape: tuple[int, int]
    signal: NDArray[np.float32]
    fitted: NDArray[np.float32] | None
    counts: float

    def along(
        self, plane: NDArray[np.float32] | None, points: NDArray[np.float64],
        width: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Mean of a plane over the middle half of the width at points of a curve, in counts."""
        if plane is None:
            return np.full(len(points), np.nan)
        course = np.gradient(points, axis=0)
        normals = np.stack([-course[:, 1], course[:, 0]], axis=-1)
        normals /= np.maximum(np.hypot(*course.T), 1e-12)[:, None]
        across = width[:, None] * np.linspace(-0.25, 0.25, _ACROSS)
        places = points[:, None] + across[..., None] * normals[:, None]
        values = map_coordinates(plane, np.moveaxis(places, -1, 0), order=1, mode="nearest")
        return np.asarray(self.counts * values.mean(axis=1))

    def place(self, yx: NDArray[np.float64]) -> NDArray[np.float64]:
        """Position in the image's unit of pixel coordinates."""
        return np.asarray(self.origin + self.pixel * yx)

    def leaves(self, centre: NDArray[np.float64], half: tuple[float, float]) -> bool:
        """Whether a body reaches the border."""
        return any(bool(c - h < -0.5 or c + h > n - 0.5)
                   for c, h, n in zip(centre, half, self.shape, strict=True))

    def room(self, place: NDArray[np.float64], along: NDArray[np.float64]) -> float:
        """Distance in pixels from a place to the border, in the direction of a unit vector."""
        far = np.where(along > 0, np.array(self.shape) - 0.5, -0.5) - place
        return float((far / np.where(along == 0, 1e-12, along)).min())
