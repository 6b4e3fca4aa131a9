"""Many decades in one picture: faint spots beside a saturated centre."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from emtools.errors import ParameterError
from emtools.model import Step
from emtools.process.plane import as_plane

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.model import Image
    from emtools.process.plane import Plane

Method = Literal["asinh", "log", "clahe"]
_GROUND_PERCENTILE = 1.0
_DARK_PART = 0.25  # of the pixels: the darkest, whose differences tell the noise
_SAMPLED = 1_000_000
_TILE = 8  # parts of each side within which contrast is evened


def compress_range(
    image: Image, *, method: Method = "asinh", softening: float = 3.0, clip_limit: float = 0.01,
) -> Image:
    """Return a picture whose range is compressed, for diffraction patterns and transforms.

    The ground is the first percentile of the pixels, the floor is `softening` times the noise of
    the darkest quarter of them (median difference of neighbours).

    Parameters
    ----------
    image
        A single real-valued picture.
    method
        ``asinh``: straight below the floor and logarithmic above, so that noise is not blown up and
        the brightest spots do not hide the faint ones.  ``log``: logarithmic from the floor on,
        darker pixels are black.  Both keep the order of all values: what is brighter is drawn
        brighter, as a journal will ask.  ``clahe``: asinh, then contrast evened in eighths of the
        sides with a limit.  It shows the most and does NOT keep the order of values between places:
        to see where spots are, not to compare them.
    softening
        The floor in units of the noise.
    clip_limit
        Of ``clahe``, 0 ... 1: largest part of a tile's pixels in one grey level; more is stronger.

    Returns
    -------
    Image
        ``(y, x)`` float32 from 0 to 1, NaN where the image is masked.  The step has ground and
        floor.

    Raises
    ------
    ImageError
        If the image is a stack, complex, or has no finite pixel.
    ParameterError
        If the method is unknown or a number out of range.

    References
    ----------
    asinh: Lupton, Gunn & Szalay, Astron. J. 118 (1999) 1406.  Contrast-limited adaptive histogram
    equalisation: Zuiderveld in Graphics Gems IV, Academic Press 1994, p. 474.
    """
    if method not in ("asinh", "log", "clahe"):
        raise ParameterError("method", f"{method!r} is not known", "give one of asinh, log, clahe")
    if not 0 < softening < np.inf:
        raise ParameterError("softening", f"must be positive and finite, not {softening}")
    if not 0 < clip_limit <= 1:
        raise ParameterError("clip_limit", f"must lie in 0 ... 1, not {clip_limit}")
    plane = as_plane(image)
    ground, floor = _ground_and_floor(plane, softening)
    above = (plane.values - np.float32(ground)) / np.float32(floor)
    tones = np.log10(np.maximum(above, 1.0)) if method == "log" else \
        np.arcsinh(np.maximum(above, 0.0))
    used = tones if plane.mask is None else tones[plane.mask]
    highest = float(used.max())
    tones = tones / highest if highest > 0 else np.zeros_like(tones)
    said = {"method": method, "softening": float(softening), "ground": ground + plane.offset,
            "floor": floor, "highest": highest}
    if method == "clahe":
        tones = _evened(tones, plane.mask, clip_limit)
        said["clip_limit"] = float(clip_limit)
    if plane.mask is not None:
        tones = np.where(plane.mask, tones, np.nan)
    step = Step("compress_range", said, f"intensity, {method}")
    return replace(image, data=tones.astype(np.float32), mask=plane.mask,
                   steps=(*image.steps, step))


def _ground_and_floor(plane: Plane, softening: float) -> tuple[float, float]:
    used = plane.values if plane.mask is None else plane.values[plane.mask]
    few = used.ravel()[:: max(1, used.size // _SAMPLED)]
    ground, dark = (float(v) for v in np.percentile(few, (_GROUND_PERCENTILE, 100 * _DARK_PART)))
    inside = plane.values <= dark
    if plane.mask is not None:
        inside &= plane.mask
    steps = np.abs(np.diff(plane.values, axis=1)[inside[:, 1:] & inside[:, :-1]])
    noise = 1.4826 * float(np.median(steps)) / np.sqrt(2.0) if steps.size else 0.0
    # Of counts most differences may be zero: then their mean tells, and then one step of values.
    noise = noise or float(steps.mean() if steps.size else 0.0) or float(np.ptp(few)) / 1e4 or 1.0
    return ground, float(softening * noise)


def _evened(
    tones: NDArray[np.float32], mask: NDArray[np.bool_] | None, clip_limit: float
) -> NDArray[np.float32]:
    from skimage.exposure import equalize_adapthist

    tiles = [max(1, n // _TILE) for n in tones.shape]
    filled = tones if mask is None else np.where(mask, tones, 0.0)
    return np.asarray(equalize_adapthist(np.clip(filled, 0.0, 1.0), kernel_size=tiles,
                                         clip_limit=clip_limit), dtype=np.float32)
