"""From a distance that is known and drawn to the pixel size, and to a calibration for others."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emtools.errors import ParameterError
from emtools.instrument.calibration import InstrumentCalibration
from emtools.instrument.from_crystal import DEFAULT_REPRODUCIBILITY
from emtools.instrument.setting import Setting, check_stated
from emtools.model.calibration import DEFAULT_ANISOTROPY_ERR, DEFAULT_SHEAR_ERR_DEG
from emtools.units import LENGTH, PIXEL, RECIPROCAL, parse_unit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from emtools.model import Axis, Image

DEFAULT_END_ERR_PX = 0.5
_SHORTEST_PX = 2.0


def calibrate_distance(
    image: Image, ends_yx_px: ArrayLike, length: float, unit: str, *,
    end_err_px: float = DEFAULT_END_ERR_PX, length_err: float = 0.0,
) -> Image:
    """Return the image with the pixel size that makes a drawn line as long as it is known to be.

    One factor for both directions: where pixels are not square or the plane is distorted, they
    stay so, with the uncertainty of an unstated plane.

    Parameters
    ----------
    image
        With axes y and x.
    ends_yx_px
        ``(2, 2)``: both ends of the line (y, x) in pixels.
    length
        Known length of the line in `unit`.
    unit
        A length, or a reciprocal length in a diffraction pattern, in any spelling.
    end_err_px
        By how much each end may be off along the line, 1 sigma, in pixels.
    length_err
        1 sigma of the known length in `unit`.

    Returns
    -------
    Image
        Pixel sizes have the source ``user`` and the error of both ends and of the length.

    Raises
    ------
    ParameterError
        If the line is shorter than two pixels, or a number is impossible.
    UnitError
        If the unit is not known.
    """
    drawn = _drawn(image, ends_yx_px, length, unit, (end_err_px, length_err))
    # Without a calibration pixels count as square.
    scaled_axes = image.calibration().unit != PIXEL

    def calibrated(axis: Axis) -> Axis:
        size = drawn.factor * (axis.pixel_size if scaled_axes else 1.0)
        return replace(axis, pixel_size=size, pixel_size_err=drawn.relative_err * size,
                       offset=axis.offset * size / axis.pixel_size, unit=drawn.unit, source="user")

    axes = tuple(calibrated(axis) if axis.name in ("y", "x") else axis for axis in image.axes)
    y, x = (next(axis for axis in axes if axis.name == name) for name in "yx")
    size = f"{x.pixel_size:.6g}" if math.isclose(y.pixel_size, x.pixel_size, rel_tol=1e-6) \
        else f"{y.pixel_size:.6g} x {x.pixel_size:.6g}"
    note = (f"pixel size {size} {drawn.unit} (± {100 * drawn.relative_err:.2g} %) from a distance "
            f"of {length:g} {unit} drawn over {drawn.length_px:.1f} px")
    return replace(image, axes=axes, audit=(*image.audit, note))


def scaled(
    image: Image, ends_yx_px: ArrayLike, length: float, unit: str = LENGTH, *,
    end_err_px: float = DEFAULT_END_ERR_PX, length_err: float = 0.0,
    reproducibility: float = DEFAULT_REPRODUCIBILITY,
) -> InstrumentCalibration:
    """Return the calibration of an instrument's image plane from one known distance.

    It corrects the stated pixel size of this image and of others taken with the same settings, in
    all directions alike.

    Parameters
    ----------
    image
        With a stated pixel size in nm.
    ends_yx_px, length, unit, end_err_px, length_err
        As in `calibrate_distance`; a length in real space.
    reproducibility
        By how much lengths in two images taken with the same settings differ, relative, 1 sigma.

    Raises
    ------
    CalibrationError
        If the image has no stated pixel size in nm, or is calibrated already.
    ParameterError
        If the line is shorter than two pixels, or a number is impossible.
    UnitError
        If the unit is not known.
    """
    if not 0 <= reproducibility < 1:
        raise ParameterError("reproducibility", f"must lie in 0 ... 1, not {reproducibility}")
    check_stated(image)
    drawn = _drawn(image, ends_yx_px, length, unit, (end_err_px, length_err))
    if drawn.unit != LENGTH:
        raise ParameterError("unit", f"{unit!r} is no length", "give nm, or another length")
    source = image.source.describe()
    return InstrumentCalibration(
        ((drawn.factor, 0.0), (0.0, drawn.factor)), drawn.relative_err, DEFAULT_ANISOTROPY_ERR,
        DEFAULT_SHEAR_ERR_DEG, reproducibility, "", "", 0, Setting.of(image),
        image.acquisition.date, Path(source["file"]).name if source["file"] else None,
        source["sha256"],
    )


class _Drawn(NamedTuple):
    """A line of known length.

    Parameters
    ----------
    factor
        Known length over that by the image's calibration (in `unit` over px if it has none).
    relative_err
        1 sigma of the factor.
    unit
        ``nm`` or ``1/nm``.
    length_px
        Of the line.
    """

    factor: float
    relative_err: float
    unit: str
    length_px: float


def _drawn(
    image: Image, ends_yx_px: ArrayLike, length: float, unit: str, errors: tuple[float, float]
) -> _Drawn:
    known = parse_unit(unit)
    if known.name not in (LENGTH, RECIPROCAL):
        raise ParameterError("unit", f"{unit!r} is no length", "give nm, or 1/nm")
    if not (math.isfinite(length) and length > 0):
        raise ParameterError("length", f"must be positive, not {length}")
    for name, err in zip(("end_err_px", "length_err"), errors, strict=True):
        if not (math.isfinite(err) and err >= 0):
            raise ParameterError(name, f"must be 0 or positive, not {err}")
    ends: NDArray[np.float64] = np.asarray(ends_yx_px, dtype=float)
    if ends.shape != (2, 2) or not np.isfinite(ends).all():
        raise ParameterError("ends_yx_px", f"of shape {ends.shape} are no two places",
                             "give two places (y, x) in pixels")
    line = ends[1] - ends[0]
    length_px = float(np.hypot(*line))
    if length_px < _SHORTEST_PX:
        raise ParameterError("ends_yx_px", f"are {length_px:.2g} px apart",
                             "draw a line as long as the distance that is known")
    stated = float(np.hypot(*image.calibration().vectors(line)))
    err = math.hypot(math.sqrt(2.0) * errors[0] / length_px, errors[1] / length)
    return _Drawn(length * known.factor / stated, err, known.name, length_px)
