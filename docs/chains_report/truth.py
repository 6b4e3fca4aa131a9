"""What is known of an image: boxes, outlines, points, wires, a mask, a number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage
from skimage.draw import line
from skimage.io import imread
from skimage.measure import regionprops

from chains_report.wires import ENDS, NOT_COUNTED

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Kind = Literal["boxes", "bodies", "rods", "wires", "points", "mask", "count", "none"]
_REACH = 0.02  # of the picture's height: from a marked point to a dot that is the same
_EITHER_SIDE = 2  # pixels by which the outline of a wire may be off


@dataclass(frozen=True)
class Target:
    """One labelled object, in pixels.

    Parameters
    ----------
    centre
        Row and column.
    size, length, width
        Of a box: the mean of its sides.  Of an outline: diameter of the circle of the same area;
        largest distance of two points; area over that length.
    pixels
        Sorted flat indices: inside it; of wires also `_EITHER_SIDE` beside it.
    """

    centre: tuple[float, float]
    size: float
    length: float = np.nan
    width: float = np.nan
    pixels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))


@dataclass(frozen=True)
class Truth:
    """What an image should give.

    Parameters
    ----------
    kind
        How it is scored.
    targets
        The objects.
    shape
        Of the picture.
    count
        Where only a number is known.
    mask
        The foreground, where only that is known.
    ignored
        Where objects are neither right nor wrong: bundles that cannot be told apart by eye.
    """

    kind: Kind
    targets: tuple[Target, ...]
    shape: tuple[int, int]
    count: int | None = None
    mask: NDArray[np.bool_] | None = None
    ignored: tuple[tuple[int, int, int, int], ...] = ()

    @property
    def reach(self) -> float:
        """Largest distance of a dot from the point that it is."""
        return _REACH * self.shape[0]


def load(folder: Path, file: str, kind: Kind, count: int | None, picture: NDArray[np.float64]
         ) -> Truth:
    """Return what is known of a file."""
    shape = (picture.shape[0], picture.shape[1])
    if kind == "boxes":
        labels = folder / file.replace("images/", "labels/").replace(".jpg", ".txt")
        return Truth(kind, _boxes(labels, shape), shape)
    if kind == "points":
        return Truth(kind, _points(folder, file), shape)
    if kind in ("bodies", "rods", "wires") and file in ENDS:
        return Truth(kind, _between(ENDS[file], shape), shape, ignored=NOT_COUNTED[file])
    if kind in ("bodies", "rods", "wires"):
        labels = imread(folder / file.replace("images/", "segmaps/"))
        return Truth(kind, _outlines(labels, kind == "wires"), shape)
    if kind == "mask":
        inside = picture > picture.mean()
        return Truth(kind, (), shape, mask=inside if inside.mean() < 0.5 else ~inside)
    return Truth(kind, (), shape, count)


def _boxes(file: Path, shape: tuple[int, int]) -> tuple[Target, ...]:
    """YOLO: class, centre x, centre y, width, height, as fractions of the picture."""
    high, wide = shape
    return tuple(Target((cy * high, cx * wide), 0.5 * (w * wide + h * high), h * high, w * wide)
                 for _, cx, cy, w, h in np.loadtxt(file, ndmin=2).tolist())


def _points(folder: Path, file: str) -> tuple[Target, ...]:
    """Rows of x and y, after a number in some of the files."""
    path = (folder / file).with_suffix(".csv")
    if not path.exists():
        path = path.with_name(path.name.split("_")[0] + "_Results.csv")
    rows = np.genfromtxt(path, delimiter=",", skip_header=1)[:, -2:]
    return tuple(Target((y, x), np.nan) for x, y in rows.tolist())


def _outlines(labels: NDArray[np.int64], widened: bool) -> tuple[Target, ...]:
    targets = []
    for region in regionprops(labels):
        inside = labels == region.label
        if widened:
            inside = ndimage.binary_dilation(inside, iterations=_EITHER_SIDE)
        length = float(region.feret_diameter_max)
        targets.append(Target(region.centroid, region.equivalent_diameter_area, length,
                              region.area / length, np.flatnonzero(inside)))
    return tuple(targets)


def _between(
    ends: tuple[tuple[int, int, int, int], ...], shape: tuple[int, int]
) -> tuple[Target, ...]:
    """Straight wires from end to end, with room for their width and their bending."""
    targets = []
    for x0, y0, x1, y1 in ends:
        drawn = np.zeros(shape, dtype=bool)
        rows, cols = line(y0, x0, y1, x1)
        drawn[np.clip(rows, 0, shape[0] - 1), np.clip(cols, 0, shape[1] - 1)] = True
        room = ndimage.binary_dilation(drawn, iterations=2 + 2 * _EITHER_SIDE)
        length = float(np.hypot(x1 - x0, y1 - y0))
        targets.append(Target((0.5 * (y0 + y1), 0.5 * (x0 + x1)), np.nan, length, np.nan,
                              np.flatnonzero(room)))
    return tuple(targets)
