"""Image -> what of it is shown: one picture, few enough pixels, limits that suit the eye."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.errors import ImageError
from emtools.model.colour import grey
from emtools.process.annotations import find_annotations
from emtools.process.tones import compress_range
from emtools.units import PIXEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.model import Image

MOST_PIXELS = 1600  # along a side: more than a printed column can show
_LOGARITHMIC = ("SAED", "FFT")
_PERCENTILES = (0.3, 99.7)
_PERCENTILES_LOG = (2.0, 99.97)  # a diffraction pattern is mostly ground, its spots are few
_PERCENTILES_TONES = (35.0, 99.97)  # compressed, its ground is most of what is there
_SUMMED = ("energy",)  # axes that are summed; of others the middle is shown


@dataclass(frozen=True)
class Picture:
    """What is shown of an image.

    Parameters
    ----------
    values
        ``(y, x)`` float32, block means of the image's pixels; NaN where there is none.
    limits
        Values shown black and white.
    shape
        Rows and columns of the image itself that are shown.
    pixel_size
        Along y and x in `unit`.
    unit
        ``nm``, ``1/nm``, ``px`` ...
    quantity
        What the values are, for a colour bar.
    notes
        What was done to get one picture, in words.
    open_rows
        Rows above a burnt-in banner.
    """

    values: NDArray[np.float32]
    limits: tuple[float, float]
    shape: tuple[int, int]
    pixel_size: tuple[float, float]
    unit: str
    quantity: str
    notes: tuple[str, ...]
    open_rows: int

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Edges (left, right, bottom, top) in pixels of the image, whose centres are integers."""
        rows, cols = self.shape
        return -0.5, cols - 0.5, rows - 0.5, -0.5

    @property
    def pixel_aspect(self) -> float:
        """Height over width of a pixel."""
        return self.pixel_size[0] / self.pixel_size[1]

    @property
    def aspect(self) -> float:
        """Height over width of the picture."""
        return self.pixel_aspect * self.shape[0] / self.shape[1]


def picture(image: Image, most_pixels: int = MOST_PIXELS) -> Picture:
    """Return what is shown of an image.

    Parameters
    ----------
    image
        With axes y and x; others are summed (energy) or their middle is shown.
    most_pixels
        Largest number of pixels along a side; more are averaged in whole blocks.

    Raises
    ------
    ImageError
        If the image has no axes y and x.
    """
    pixels, notes = _plane_pixels(image)
    n = max(1, -(-max(pixels.shape) // most_pixels))
    n = min(n, *pixels.shape)
    values = block_means(pixels, n)
    unit, sizes = _pixel_sizes(image)
    logarithmic = is_logarithmic(image)
    if logarithmic:
        values = _logarithm(values)
    open_rows = _open_rows(image, pixels)
    shown = values[: max(1, open_rows // n)]
    quantity = image.quantity
    return Picture(
        values=values, limits=limits_of(shown, _shown_between(image)),
        shape=(values.shape[0] * n, values.shape[1] * n), pixel_size=sizes, unit=unit,
        quantity=f"log. {quantity}" if logarithmic else quantity, notes=tuple(notes),
        open_rows=open_rows,
    )


def contrast_limits(image: Image) -> tuple[float, float]:
    """Return the pixel values that are shown black and white, not as a logarithm.

    Raises
    ------
    ImageError
        If the image has no axes y and x.
    """
    pixels, _ = _plane_pixels(image)
    n = max(1, max(pixels.shape) // MOST_PIXELS)
    shown = np.asarray(pixels[: _open_rows(image, pixels) : n, ::n], dtype=np.float32)
    return limits_of(shown, _shown_between(image))


def _shown_between(image: Image) -> tuple[float, float]:
    """Percentiles that are shown black and white."""
    if _compressed(image):
        return _PERCENTILES_TONES
    return _PERCENTILES_LOG if is_logarithmic(image) else _PERCENTILES


def _compressed(image: Image) -> bool:
    return any(step.name == compress_range.__name__ for step in image.steps)


def open_rows(image: Image) -> int:
    """Return how many rows of a picture lie above a burnt-in banner."""
    return _open_rows(image, _plane_pixels(image)[0])


def limits_of(
    values: NDArray[np.float32], percentiles: tuple[float, float] = _PERCENTILES
) -> tuple[float, float]:
    """Return the values that are shown black and white, by their percentiles."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, percentiles))
    if low == high:  # hardly any pixel differs: show those that do
        low, high = float(finite.min()), float(finite.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def is_logarithmic(image: Image) -> bool:
    """Whether an image spans so many decades that it is shown by its logarithm, or with gamma."""
    if _compressed(image):
        return False
    return image.acquisition.modality in _LOGARITHMIC or _pixel_sizes(image)[0] == "1/nm"


def _plane_pixels(image: Image) -> tuple[NDArray[Any], list[str]]:
    names = [axis.name for axis in image.axes]
    if not {"y", "x"} <= set(names):
        raise ImageError(image.name, f"is no picture: its axes are {', '.join(names)}",
                         "only images with axes y and x are drawn")
    data, notes = grey(image.data)
    index: list[Any] = [slice(None)] * len(names)
    for position, axis in enumerate(image.axes):
        if axis.name not in ("y", "x", *_SUMMED):
            index[position] = axis.size // 2
            notes.append(f"{axis.name} {axis.size // 2} of {axis.size}")
    data = data[tuple(index)]
    left = [name for name in names if name in ("y", "x", *_SUMMED)]
    summed = tuple(i for i, name in enumerate(left) if name in _SUMMED)
    if summed:
        data = data.sum(axis=summed)
        notes.append("summed over energy")
    pixels = np.asarray(data.compute() if hasattr(data, "compute") else data)
    if pixels.dtype.kind == "c":
        pixels = np.abs(pixels)
    if pixels.dtype.kind not in "biuf":
        raise ImageError(image.name, f"has pixels of type {pixels.dtype}", "give one number each")
    return (pixels.T if left.index("x") < left.index("y") else pixels), notes


def block_means(pixels: NDArray[Any], n: int) -> NDArray[np.float32]:
    """Return means of ``n x n`` pixels; strip by strip, so that no full-size copy is made."""
    rows, cols = (size // n for size in pixels.shape)
    means = np.empty((rows, cols), dtype=np.float32)
    for row in range(rows):
        strip = pixels[row * n : (row + 1) * n, : cols * n].astype(np.float64)
        # Rows first: along them memory is contiguous.
        sums = strip.sum(axis=0).reshape(cols, n).sum(axis=1)
        counts: Any = n * n
        if not np.isfinite(sums).all():
            finite = np.isfinite(strip)
            counts = finite.sum(axis=0).reshape(cols, n).sum(axis=1)
            sums = np.where(finite, strip, 0.0).sum(axis=0).reshape(cols, n).sum(axis=1)
        means[row] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return means


def _pixel_sizes(image: Image) -> tuple[str, tuple[float, float]]:
    y, x = image.plane_axes
    if y.unit != x.unit or y.unit == PIXEL:
        return PIXEL, (1.0, 1.0)
    return y.unit, (y.pixel_size, x.pixel_size)


def _logarithm(values: NDArray[np.float32]) -> NDArray[np.float32]:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return values
    above = np.maximum(values - np.percentile(finite, 0.5), 0.0)
    ground = float(np.median(above[np.isfinite(above)])) or float(np.nanmax(above)) or 1.0
    return np.asarray(np.log1p(above / ground), dtype=np.float32)


def _open_rows(image: Image, pixels: NDArray[Any]) -> int:
    """Rows above a burnt-in banner, which neither sets the contrast nor is drawn over."""
    rows = int(pixels.shape[0])
    used = None
    if image.mask is not None:
        used = image.mask.any(axis=1)
    elif image.is_plane:
        # Rows of one value are found in every eighth column of a large picture just as well.
        found = find_annotations(pixels[:, :: max(1, pixels.shape[1] // 512)])
        used = None if found is None else ~found.mask.all(axis=1)
    if used is None or not used.any():
        return rows
    last = int(np.flatnonzero(used)[-1]) + 1
    return last if last > rows // 2 else rows
