"""The intensity along a line that a person draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emtools.errors import ParameterError
from emtools.probe.bodies import Bodies, find_bodies
from emtools.probe.fringes import FringesAlong, find_fringes
from emtools.process.fourier import cropped
from emtools.process.straighten import as_places, straighten
from emtools.tables import Column, Table

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from emtools.model import Image
    from emtools.probe.bodies import Shape

    Floats = NDArray[np.float64]

_MARGIN_PX = 24.0  # around the line: a cubic interpolation forgets its border within that
_BULGE = 0.25  # of the line's extent: how far a spline may leave the box of its places
_SEEN = 0.5  # of the width has to be seen

PROFILE = Table("one step along the line", (
    Column("s_nm", "float", "distance along the line from its first end"),
    Column("intensity", "float", "mean across the width; NaN where less than half of it is seen"),
    Column("intensity_err", "float", "1 sigma of that mean, from the scatter across the width"),
))


@dataclass(frozen=True, eq=False)
class Profile:
    """The intensity along a line.

    Parameters
    ----------
    s
        Distance from the first end, in `unit`, at even steps of a pixel.
    intensity
        Mean across the width; NaN where less than half of it is seen.
    intensity_err
        1 sigma of the mean, from the scatter across the width; NaN for a width of one pixel.
    unit
        ``nm`` or ``px``.
    width
        That was averaged over, in `unit`.
    scale_err
        Relative 1 sigma of the pixel size, common to all lengths.
    dark
        Whether bodies are expected to be darker than their surroundings (TEM, BF).
    """

    s: Floats
    intensity: Floats
    intensity_err: Floats
    unit: str
    width: float
    scale_err: float
    dark: bool

    @property
    def table(self) -> pd.DataFrame:
        """``s_nm`` (``s_px``), ``intensity`` and ``intensity_err``."""
        rows = [{"s_nm": s, "intensity": i, "intensity_err": e} for s, i, e in
                zip(self.s, self.intensity, self.intensity_err, strict=True)]
        return PROFILE.frame(rows, self.unit)

    @property
    def length(self) -> float:
        """Of the line, in `unit`."""
        return float(self.s[-1] - self.s[0])

    def fringes(self, false_alarm_rate: float = 1e-3) -> FringesAlong:
        """Measure the spacing of periodic fringes along the line, see `find_fringes`."""
        return find_fringes(self.s, self.intensity, self.unit, false_alarm_rate)

    def bodies(
        self, *, shape: Shape | None = None, dark: bool | None = None,
        smallest: float | None = None,
    ) -> Bodies:
        """Find bodies on the line, their edges and the gaps between them, see `find_bodies`."""
        return find_bodies(self, shape=shape, dark=dark, smallest=smallest)


def profile(image: Image, places_yx: ArrayLike, width: float) -> Profile:
    """Return the intensity along a line across a picture.

    Parameters
    ----------
    image
        A single real-valued picture.
    places_yx
        ``(n, 2)`` places (y, x) in the unit of `image.calibration`, counted from the first pixel:
        two ends of a straight line, or more places that a smooth curve is laid through.
    width
        Across the line that is averaged over, in the same unit; a pixel at least.

    Raises
    ------
    ImageError
        If the image cannot be measured: a stack, complex, without a finite pixel.
    ParameterError
        If there are fewer than two different places, the width is not positive, or the line lies
        outside of the image.

    See Also
    --------
    emtools.process.straighten.straighten : the band along the line, as an image.
    """
    if not (np.isfinite(width) and width > 0):
        raise ParameterError("width", f"must be a positive length, not {width}")
    places = as_places(places_yx, "places_yx")
    calibration = image.calibration()
    part, first = _around(image, calibration.pixels(places), width / calibration.pixel_size)
    step = calibration.pixel_size
    half = 0.5 * (width - step) + 1e-6 * step
    strip = straighten(part, places - calibration.vectors(first), max(half, 1e-6 * step))
    mean, err = _across(strip.load().astype(np.float64))
    if not np.isfinite(mean).any():
        raise ParameterError("places_yx", "lie outside of the image or in a masked part")
    modality = image.acquisition.modality
    return Profile(strip.axis("x").coordinates(), mean, err, calibration.unit,
                   strip.shape[0] * step, calibration.scale_err, modality in ("TEM", "BF"))


def _around(image: Image, places_px: Floats, width_px: float) -> tuple[Image, Floats]:
    """The part of the image around places, and its first pixel."""
    low, high = places_px.min(axis=0), places_px.max(axis=0)
    margin = _MARGIN_PX + width_px + _BULGE * float((high - low).max()) * (len(places_px) > 2)
    shape = [axis.size for axis in image.plane_axes]
    top, left = (int(np.clip(np.floor(edge - margin), 0, n - 1))
                 for edge, n in zip(low, shape, strict=True))
    bottom, right = (int(np.clip(np.ceil(edge + margin), 0, n))
                     for edge, n in zip(high, shape, strict=True))
    part = cropped(image, (top, left, bottom, right))
    return part, np.array([top, left], dtype=float)


def _across(values: Floats) -> tuple[Floats, Floats]:
    """Mean across a strip, and its error."""
    seen = np.isfinite(values)
    n = seen.sum(axis=0)
    kept = np.where(seen, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = kept.sum(axis=0) / n
        square = (np.where(seen, values - mean, 0.0) ** 2).sum(axis=0) / (n - 1)
        err = np.sqrt(square / n)
    enough = n >= _SEEN * len(values)
    return np.where(enough & (n > 0), mean, np.nan), np.where(enough & (n > 1), err, np.nan)


