"""What a method found in an image, in pixels, whatever the method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from skimage.draw import polygon

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from typing import Any

    import pandas as pd
    from numpy.typing import NDArray

    from emtools import Image, Result

_AROUND = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)


@dataclass(frozen=True)
class Body:
    """One dot, rod or wire.

    Parameters
    ----------
    centre
        Row and column.
    size, length, width
        Diameter; extents of the longer and the shorter axis, or along and across a centreline.
    pixels
        Sorted flat indices of what it covers.
    axis
        ``(n, 2)`` centreline; empty for dots.
    """

    centre: tuple[float, float]
    size: float
    length: float
    width: float
    pixels: NDArray[np.int64]
    axis: NDArray[np.float64]


def dots_and_lines(image: Image, result: Result) -> list[Body]:
    """Return the dots of a result, and its chains whose dots are not resolved."""
    unit = "px" if "y_px" in result.tables["dots"] else "nm"
    courses = centrelines(image, result)
    dots = [_dot(dot, unit, image, courses) for dot in result.tables["dots"].to_dict("records")]
    rows = result.tables["chains"]
    return dots + _lines(image, rows[rows["n_dots"] == 0], unit, courses)


def chains_as_lines(image: Image, result: Result) -> list[Body]:
    """Return the chains of a result as lines, whether their dots are resolved or not."""
    unit = "px" if "y_px" in result.tables["dots"] else "nm"
    return _lines(image, result.tables["chains"], unit, centrelines(image, result))


def centrelines(image: Image, result: Result) -> dict[int, NDArray[np.float64]]:
    """Return the centreline of each chain."""
    table = result.tables["axes"]
    unit = "px" if "y_px" in table else "nm"
    pixels = image.calibration().pixels
    return {int(str(chain)): pixels(rows[[f"y_{unit}", f"x_{unit}"]].to_numpy(dtype=float))
            for chain, rows in table.groupby("chain")}


def _dot(
    dot: Mapping[Hashable, Any], unit: str, image: Image,
    courses: Mapping[int, NDArray[np.float64]],
) -> Body:
    calibration = image.calibration()
    pixel = calibration.pixel_size
    y, x = calibration.pixels([dot[f"y_{unit}"], dot[f"x_{unit}"]]).tolist()
    size, length, width = (dot[f"{name}_{unit}"] / pixel
                           for name in ("diameter", "length", "width"))
    along, sizes = np.array([0.0, 1.0]), (size, size)
    if dot["chain"] in courses:
        along, sizes = _direction(courses[dot["chain"]], np.array([y, x])), (length, width)
    outline = np.array([y, x]) + 0.5 * (
        np.outer(sizes[0] * np.cos(_AROUND), along)
        + np.outer(sizes[1] * np.sin(_AROUND), [-along[1], along[0]]))
    return Body((y, x), size, max(length, width), min(length, width),
                filled(outline, _shape(image)), np.empty((0, 2)))


def _lines(
    image: Image, rows: pd.DataFrame, unit: str, courses: Mapping[int, NDArray[np.float64]]
) -> list[Body]:
    pixel = image.calibration().pixel_size
    found = []
    for row in rows.to_dict("records"):
        axis = courses[row["chain"]]
        width = row[f"width_{unit}"] / pixel
        tangent = np.gradient(axis, axis=0)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        across = 0.5 * width * np.stack([-tangent[:, 1], tangent[:, 0]], axis=-1)
        outline = np.vstack([axis + across, (axis - across)[::-1]])
        middle = axis[len(axis) // 2]
        found.append(Body((float(middle[0]), float(middle[1])), width,
                          row[f"length_{unit}"] / pixel, width,
                          filled(outline, _shape(image)), axis))
    return found


def filled(outline: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Return the sorted flat indices of the pixels inside an outline."""
    rows, cols = polygon(outline[:, 0], outline[:, 1], shape)
    return np.unique(np.ravel_multi_index((rows, cols), shape)).astype(np.int64)


def _shape(image: Image) -> tuple[int, int]:
    return int(image.data.shape[0]), int(image.data.shape[1])


def _direction(axis: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    nearest = int(np.argmin(np.sum((axis - at) ** 2, axis=1)))
    step = axis[min(nearest + 1, len(axis) - 1)] - axis[max(nearest - 1, 0)]
    return np.asarray(step / max(float(np.hypot(*step)), 1e-9))
