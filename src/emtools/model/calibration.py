"""Axes and the calibration of the image plane: where pixels become nanometres."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from emtools.errors import CalibrationError
from emtools.units import LENGTH, PIXEL, RECIPROCAL

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

CalibrationSource = Literal["file", "user", "calibration", "picture", "none"]

# What a pixel size that states no uncertainty is worth, 1 sigma.  Microscopes are delivered within
# 5-10 % in magnification and reach 1.6 % (95 %) after calibration on graphitised carbon; a scan
# that is not square by 1 % or 1 degree is common.
DEFAULT_SCALE_ERR = 0.025
DEFAULT_ANISOTROPY_ERR = 0.01
DEFAULT_SHEAR_ERR_DEG = 1.0

# Outside this range a pixel size is a mistake of the file, not a microscope's magnification.
PLAUSIBLE_PIXEL = {LENGTH: (1e-4, 1e6), RECIPROCAL: (1e-6, 1e3)}


@dataclass(frozen=True)
class Axis:
    """One axis of an image.

    Parameters
    ----------
    name
        ``"y"``, ``"x"``, ``"energy"``, ``"frame"`` ...
    size
        Number of pixels (or channels, frames).
    pixel_size
        Step between pixel centres in `unit`, always positive.
    unit
        Canonical unit: ``nm``, ``1/nm``, ``keV``, ``mrad``, ``s`` or ``px`` (not calibrated).
    offset
        Position of the centre of pixel 0 in `unit`.
    flipped
        True where the file's step was negative: positions run against the pixel index.
    pixel_size_err
        1 sigma of `pixel_size` in `unit`.  None: the default for an unstated one (2.5 %).
    source
        Where the pixel size comes from: ``file``, ``user``, ``calibration``, ``picture`` or
        ``none``.
    positions
        Positions in `unit` of an axis that is not evenly spaced, else None.
    """

    name: str
    size: int
    pixel_size: float = 1.0
    unit: str = PIXEL
    offset: float = 0.0
    flipped: bool = False
    pixel_size_err: float | None = None
    source: CalibrationSource = "none"
    positions: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.pixel_size) and self.pixel_size > 0):
            raise CalibrationError(
                f"axis {self.name!r}",
                f"a pixel size must be finite and positive, not {self.pixel_size}",
                "leave it out for an axis without calibration",
            )

    @property
    def calibrated(self) -> bool:
        """Whether the axis has a physical unit."""
        return self.unit != PIXEL

    @property
    def relative_err(self) -> float:
        """Relative 1 sigma of the pixel size; lengths that state none get the default."""
        if self.pixel_size_err is not None:
            return self.pixel_size_err / self.pixel_size
        return DEFAULT_SCALE_ERR if self.unit in PLAUSIBLE_PIXEL else 0.0

    def coordinates(self) -> NDArray[np.float64]:
        """Positions of the pixel centres in `unit`, shape ``(size,)``."""
        if self.positions is not None:
            return np.asarray(self.positions, dtype=float)
        step = -self.pixel_size if self.flipped else self.pixel_size
        return np.asarray(self.offset + step * np.arange(self.size), dtype=np.float64)

    def in_pixels(self) -> Axis:
        """Return the same axis without its calibration."""
        return Axis(self.name, self.size)


@dataclass(frozen=True)
class Distortion:
    """How far the image plane is from a square grid of known pixel size.

    Parameters
    ----------
    matrix
        2x2, rows and columns in ``(y, x)`` order, without unit: true position = matrix @ (position
        from the pixel size of each axis).  The identity where nothing is known.
    anisotropy_err
        1 sigma of the ratio of the two pixel sizes.
    shear_err_deg
        1 sigma of the angle between the axes.
    """

    matrix: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 0.0), (0.0, 1.0))
    anisotropy_err: float = DEFAULT_ANISOTROPY_ERR
    shear_err_deg: float = DEFAULT_SHEAR_ERR_DEG

    def transposed(self) -> Distortion:
        """Return the distortion of the transposed image."""
        (yy, yx), (xy, xx) = self.matrix
        return replace(self, matrix=((xx, xy), (yx, yy)))


class SquareDeparture(NamedTuple):
    """What a 2x2 matrix does to the plane, its rotation left aside.

    Parameters
    ----------
    scale
        True over nominal length, the mean of all directions (the square root of the areas').
    anisotropy
        True over nominal length along y, over the same along x, minus 1.
    shear_deg
        By how much the true angle between the axes +y and +x of the picture is below 90 degrees.
    """

    scale: float
    anisotropy: float
    shear_deg: float


def square_departure(matrix: ArrayLike) -> SquareDeparture:
    """Return scale, anisotropy and shear of a matrix ``true = matrix @ nominal``, ``(y, x)``."""
    array = np.asarray(matrix, dtype=float)
    along_y, along_x = array.T
    lengths = np.linalg.norm(array, axis=0)
    sine = along_y @ along_x / lengths.prod()
    return SquareDeparture(float(np.sqrt(np.linalg.det(array))),
                           float(lengths[0] / lengths[1] - 1.0), float(np.degrees(np.arcsin(sine))))


@dataclass(frozen=True)
class Calibration:
    """From pixels of the image plane to physical vectors and back.

    Made by `Image.calibration`; measurements use nothing else to convert.

    Parameters
    ----------
    matrix
        ``(2, 2)``, in `unit` per pixel, ``(y, x)`` order: vector = matrix @ (rows, columns).
    unit
        ``nm``, ``1/nm`` or ``px``.
    scale_err
        Relative 1 sigma of the scale, common to everything measured in the image.
    anisotropy_err, shear_err_deg
        1 sigma of the plane's departure from square.
    """

    matrix: NDArray[np.float64]
    unit: str
    scale_err: float
    anisotropy_err: float
    shear_err_deg: float

    @property
    def pixel_size(self) -> float:
        """Side in `unit` of the square with a pixel's area."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    def vectors(self, yx_px: ArrayLike) -> NDArray[np.float64]:
        """Convert ``(..., 2)`` vectors ``(y, x)`` from pixels to `unit`."""
        return np.asarray(yx_px, dtype=float) @ self.matrix.T

    def pixels(self, yx: ArrayLike) -> NDArray[np.float64]:
        """Convert ``(..., 2)`` vectors ``(y, x)`` from `unit` to pixels."""
        pixels: NDArray[np.float64] = np.asarray(yx, dtype=float) @ np.linalg.inv(self.matrix).T
        return pixels

    def wave_vectors(self, yx_per_px: ArrayLike) -> NDArray[np.float64]:
        """Convert ``(..., 2)`` wave vectors from cycles per pixel to cycles per `unit`."""
        # k . r must not change, so wave vectors transform with the inverse transpose.
        k: NDArray[np.float64] = np.asarray(yx_per_px, dtype=float) @ np.linalg.inv(self.matrix)
        return k

    def cycles_per_pixel(self, k: ArrayLike) -> NDArray[np.float64]:
        """Convert ``(..., 2)`` wave vectors from cycles per `unit` to cycles per pixel."""
        cycles: NDArray[np.float64] = np.asarray(k, dtype=float) @ self.matrix
        return cycles

    @property
    def area_per_pixel(self) -> float:
        """Area of one pixel in `unit` squared."""
        return float(abs(np.linalg.det(self.matrix)))


def line_angle_deg(yx: ArrayLike) -> NDArray[np.float64]:
    """Angle of lines along ``(..., 2)`` vectors ``(y, x)``.

    Returns
    -------
    ndarray
        Degrees in [0, 180) from the image's +x axis, counter-clockwise as seen on the screen
        (rows run downwards, so y enters with a minus sign).
    """
    vectors = np.asarray(yx, dtype=float)
    angle = np.degrees(np.arctan2(-vectors[..., 0], vectors[..., 1])) % 180.0
    # -0.0 % 180 and the last bit below a full turn both belong at 0.
    return np.where(angle >= 180.0, 0.0, angle)
