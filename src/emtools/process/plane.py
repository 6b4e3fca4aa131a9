"""From an image of any pixel type to a plane of finite float32 values that can be measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.errors import ImageError
from emtools.process.annotations import find_annotations
from emtools.process.threads import in_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.model import Calibration, Image

SMALLEST_SIDE = 16  # below this neither a spectrum nor a background can be estimated
_SAMPLED = 250_000  # pixels that are enough for a median
_ROWS = 32  # converted at a time


@dataclass(frozen=True)
class Plane:
    """A picture ready to be measured.

    Parameters
    ----------
    values
        ``(y, x)`` float32, native byte order, finite, with `offset` taken off; read-only where they
        are the image's own.
    mask
        ``(y, x)`` boolean, True = use; None = all.  Masked pixels hold 0 in `values`.
    offset
        The number subtracted from the stored pixels (their median, or 0).
    calibration
        Conversion to physical units.
    notes
        What was done to the pixels, in words.
    """

    values: NDArray[np.float32]
    mask: NDArray[np.bool_] | None
    offset: float
    calibration: Calibration
    notes: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """``nm`` or ``px``."""
        return self.calibration.unit

    @property
    def constant(self) -> bool:
        """Whether all used pixels have the same value."""
        few = _sampled(self.values, self.mask)
        if few.size and few.min() < few.max():
            return False
        used = self.values if self.mask is None else self.values[self.mask]
        return bool(used.size == 0 or used.min() == used.max())


def as_plane(image: Image, *, copy: bool = True) -> Plane:
    """Prepare one picture for a measurement.

    Integers are converted before anything is subtracted (so nothing wraps around), non-finite
    pixels and burnt-in annotations are masked, and the median is taken off in double precision, so
    that a small contrast on a large offset survives float32.

    Parameters
    ----------
    image
        A single real-valued picture with axes y and x.
    copy
        False: an image whose pixels can be used as they are is not copied.

    Returns
    -------
    Plane

    Raises
    ------
    ImageError
        If the image is a stack or spectrum image, complex, too small, or has no finite pixel.
    """
    pixels = _checked(image)
    usable = _usable(pixels, image)
    annotations = find_annotations(pixels)
    notes: tuple[str, ...] = ()
    if annotations is not None:
        usable = ~annotations.mask if usable is None else usable & ~annotations.mask
        notes = (annotations.description,)
    if usable is not None and usable.all():
        usable = None
    if not copy and usable is None and pixels.dtype == np.float32 and pixels.dtype.isnative:
        shared = pixels.astype(np.float32, copy=False).view()
        shared.flags.writeable = False
        return Plane(shared, None, 0.0, image.calibration(), notes)
    # The offset only keeps numbers small: the median of one pixel in so many does as well.
    sample = _sampled(pixels, usable)
    if sample.size == 0:
        raise ImageError(image.name, "has no finite, unmasked pixel", "check the file and its mask")
    offset = _median(sample)
    values = _to_float32(pixels, offset)
    if usable is not None:
        values[~usable] = 0.0
    return Plane(values, usable, offset, image.calibration(), notes)


def _checked(image: Image) -> NDArray[np.generic]:
    if not image.is_plane:
        names = ", ".join(f"{axis.name} {axis.size}" for axis in image.axes)
        raise ImageError(
            image.name, f"is not a single picture: its axes are {names}",
            "select one frame, for example image.select(frame=0) or --frame 0",
        )
    pixels = image.load()
    if pixels.dtype.kind == "c":
        raise ImageError(image.name, "has complex pixels", "measure its amplitude, abs(data)")
    if pixels.dtype.kind not in "biuf":
        raise ImageError(image.name, f"has pixels of type {pixels.dtype}",
                         "give one number a pixel")
    if min(pixels.shape) < SMALLEST_SIDE:
        raise ImageError(
            image.name, f"is {pixels.shape[0]} x {pixels.shape[1]} pixels",
            f"a measurement needs at least {SMALLEST_SIDE} pixels along each side",
        )
    return pixels


def _usable(pixels: NDArray[np.generic], image: Image) -> NDArray[np.bool_] | None:
    if pixels.dtype.kind != "f" or _all_finite(pixels):
        return None if image.mask is None else image.mask.copy()
    finite = np.isfinite(pixels)
    return np.asarray(finite if image.mask is None else finite & image.mask)


def _all_finite(pixels: NDArray[np.generic]) -> bool:
    """Whether all are, or False where their sum alone does not tell."""

    def finite(rows: tuple[int, int]) -> bool:
        with np.errstate(over="ignore", invalid="ignore"):
            return bool(np.isfinite(np.add.reduce(pixels[slice(*rows)], axis=None)))

    return all(in_spans(finite, (0, len(pixels)), pixels.size))


def _sampled(pixels: NDArray[Any], usable: NDArray[np.bool_] | None) -> NDArray[Any]:
    step = max(1, round((pixels.size / _SAMPLED) ** 0.5))
    if usable is None:
        return pixels[::step, ::step]
    few = pixels[::step, ::step][usable[::step, ::step]]
    return few if few.size else pixels[usable]


def _median(sample: NDArray[Any]) -> float:
    # float16 would overflow in the mean of the middle two, bool has no mean.
    return float(np.median(sample.astype(np.float32) if sample.dtype.itemsize < 4 else sample))


def _to_float32(pixels: NDArray[np.generic], offset: float) -> NDArray[np.float32]:
    values = np.empty(pixels.shape, dtype=np.float32)
    exact = pixels.dtype == np.float32
    taken = np.float32(offset) if exact else np.float64(offset)

    def convert(rows: tuple[int, int]) -> None:
        # A few rows at a time, so that no second full-size float64 copy is made.
        for start in range(*rows, _ROWS):
            part = slice(start, min(start + _ROWS, rows[1]))
            np.subtract(pixels[part], taken, out=values[part], casting="same_kind")

    in_spans(convert, (0, len(pixels)), pixels.size)
    return values


def flatten(
    values: NDArray[np.float32], mask: NDArray[np.bool_] | None, scale_px: float, *,
    normal: bool = False, out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Subtract what varies more slowly than `scale_px`; masked pixels become 0.

    Parameters
    ----------
    values
        ``(y, x)``.
    mask
        True = use; None = all.
    scale_px
        Side of the blocks whose means are interpolated to form the background.
    normal
        Whether to bring the values to about 1, by a power of two that takes no bits: powers of very
        large or small ones would leave float32.
    out
        Where to put the result (`values` itself is allowed).

    Returns
    -------
    ndarray
        ``(y, x)`` float32.
    """
    blocks = [max(2, round(n / max(scale_px, 2.0))) for n in values.shape]
    means, largest = _block_means(values, mask, (blocks[0], blocks[1]))
    scale = float(np.ldexp(1.0, -int(np.frexp(largest)[1])) if normal else 1.0)
    flat = off_ground(values, means, scale=scale, out=out)
    if mask is not None:
        flat[~mask] = 0.0
    return flat


def off_ground(
    values: NDArray[np.float32], levels: NDArray[np.float64], *, scale: float = 1.0,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Subtract a ground that is bilinear between the centres of even blocks.

    Parameters
    ----------
    values
        ``(y, x)``.
    levels
        Of the blocks, at least two along each side.
    scale
        What the difference is multiplied by.
    out
        Where to put the result (`values` itself is allowed).

    Returns
    -------
    ndarray
        ``(y, x)`` float32.
    """
    from emtools.process._kernels import subtract_ground

    rows, cols = (_between_blocks(n, b)
                  for n, b in zip(values.shape, levels.shape, strict=True))
    flat = np.empty_like(values) if out is None else out

    def subtract(span: tuple[int, int]) -> None:
        subtract_ground(span, values, levels, rows, cols, scale, flat)

    in_spans(subtract, (0, len(values)), values.size)
    return flat


def _block_means(
    values: NDArray[np.float32], mask: NDArray[np.bool_] | None, blocks: tuple[int, int]
) -> tuple[NDArray[np.float64], float]:
    """Means of blocks, and the largest modulus of all values."""
    from emtools.process._kernels import block_sums

    edges = [np.linspace(0, n, b + 1).astype(int) for n, b in zip(values.shape, blocks,
                                                                  strict=True)]
    used = values if mask is None else values * mask
    sums = np.zeros(blocks)

    def add(span: tuple[int, int]) -> float:
        block_sums(span, used, edges[0], edges[1], sums)
        part = used[edges[0][span[0]]:edges[0][span[1]]]
        return max(float(part.max()), -float(part.min()))

    largest = max(in_spans(add, (0, blocks[0]), values.size))
    rows, cols = edges[0][:-1], edges[1][:-1]
    if mask is None:
        heights, widths = (np.diff(np.append(edges, n))
                           for edges, n in zip((rows, cols), values.shape, strict=True))
        return np.asarray(sums / np.outer(heights, widths), dtype=np.float64), largest
    counts = np.add.reduceat(np.add.reduceat(mask, rows, axis=0, dtype=np.int64), cols, axis=1)
    overall = float(sums.sum() / max(counts.sum(), 1))
    means = np.where(counts > 0, sums / np.maximum(counts, 1), overall)
    return np.asarray(means, dtype=np.float64), largest


def _between_blocks(n: int, blocks: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """First pixel between each two block centres (and one past the last), and places there.

    The place of a pixel is how far it is from one centre to the next; beyond the outermost centres
    it leaves 0 ... 1: the ground goes on linearly.
    """
    edges = np.linspace(0, n, blocks + 1).astype(int)
    centres = 0.5 * (edges[:-1] + edges[1:] - 1)
    pixel = np.arange(n)
    left = np.clip(np.searchsorted(centres, pixel) - 1, 0, blocks - 2)
    fraction = (pixel - centres[left]) / (centres[left + 1] - centres[left])
    return np.searchsorted(left, np.arange(blocks)), fraction
