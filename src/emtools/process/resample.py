"""A plane on square pixels, averaged where they are finer than a measurement needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.process.plane import Plane

_SQUARE = 1e-6  # relative departure from square pixels that is not worth an interpolation


@dataclass(frozen=True)
class Square:
    """A plane on square pixels.

    Parameters
    ----------
    plane
        Its values and mask are resampled; its calibration is still that of the image.
    pixel
        Side of the new pixels in the calibration's unit.
    origin
        Position of the centre of the new pixel 0, 0, along both axes.
    averaged
        How many of the image's pixels one of the new ones averages along each axis.
    """

    plane: Plane
    pixel: float
    origin: float
    averaged: int


def square(plane: Plane, coarsest: float) -> Square:
    """Resample a plane to square pixels of at most `coarsest`, averaging whole blocks.

    Parameters
    ----------
    plane
        The picture.
    coarsest
        Largest side of a pixel that the measurement can work with, in the calibration's unit.
    """
    plane, pixel = _undistorted(plane)
    n = max(1, int(coarsest / pixel))
    n = min(n, max(1, min(plane.values.shape) // 32))
    if n == 1:
        return Square(plane, pixel, 0.0, 1)
    rows, cols = (size // n for size in plane.values.shape)
    values = _blocks(plane.values, rows, cols, n).mean(axis=(1, 3), dtype=np.float64)
    mask = plane.mask
    if mask is not None:
        used = _blocks(mask, rows, cols, n).mean(axis=(1, 3))
        # Masked pixels hold 0; a block counts where most of it is used.
        values = np.where(used > 0.5, values / np.maximum(used, 1e-9), 0.0)
        mask = used > 0.5
    resampled = replace(plane, values=values.astype(np.float32), mask=mask)
    return Square(resampled, n * pixel, 0.5 * (n - 1) * pixel, n)


def labels_on(view: Square, labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Bring labels on the image's pixels to those of a plane that was made of it.

    Parameters
    ----------
    view
        The resampled plane.
    labels
        ``(y, x)`` of the image, 0 = none.  What covers a part of a new pixel has all of it, of two
        labels the higher one.
    """
    back = _back(view.plane, labels.shape)
    if back is not None:
        labels = ndimage.affine_transform(labels, back[0], output_shape=back[1], order=0,
                                          mode="constant", output=np.int32)
    if view.averaged == 1:
        return labels
    rows, cols = view.plane.values.shape
    return np.asarray(_blocks(labels, rows, cols, view.averaged).max(axis=(1, 3)))


def _blocks(array: NDArray[Any], rows: int, cols: int, n: int) -> NDArray[Any]:
    return array[: rows * n, : cols * n].reshape(rows, n, cols, n)


def _undistorted(plane: Plane) -> tuple[Plane, float]:
    """Undo different pixel sizes and shear, so that one pixel size holds for all directions."""
    pixel = plane.calibration.pixel_size
    undo = _back(plane, plane.values.shape)
    if undo is None:
        return plane, pixel
    back, shape = undo
    values = ndimage.affine_transform(plane.values, back, output_shape=shape, order=3,
                                      mode="nearest", output=np.float32)
    mask = plane.mask
    if mask is not None:
        mask = ndimage.affine_transform(mask.astype(np.float32), back, output_shape=shape, order=1,
                                        mode="nearest") > 0.99
        values[~mask] = 0.0
    return replace(plane, values=values, mask=mask), pixel


def _back(
    plane: Plane, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64], tuple[int, ...]] | None:
    """Matrix from square pixels to the image's, and the new shape; None where they are square."""
    matrix, pixel = plane.calibration.matrix, plane.calibration.pixel_size
    if np.abs(matrix - pixel * np.eye(2)).max() < _SQUARE * pixel:
        return None
    # From new pixels to old ones; position 0, 0 stays where it is.
    back = np.asarray(np.linalg.inv(matrix) * pixel, dtype=np.float64)
    return back, tuple(int(np.floor((n - 1) * matrix[i, i] / pixel)) + 1
                       for i, n in enumerate(shape))
