"""A band along a curved course, resampled so that the course is straight."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.interpolate import CubicSpline

from emtools.errors import ParameterError
from emtools.model.calibration import Axis, Distortion
from emtools.process.plane import as_plane

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from emtools.model import Image

    Floats = NDArray[np.float64]

_MARGIN_PX = 16  # around what is cut out: a cubic spline forgets its border within that
_FINE = 8  # points of the curve to each sample, for its arc length
_MOST_SAMPLES = 50_000_000


def straighten(
    image: Image, course_yx: ArrayLike, half_width: float, *, step: float | None = None,
    beyond: float = 0.0,
) -> Image:
    """Resample a band along a course, so that the course becomes a straight line.

    A cubic spline is laid through the course and the image is interpolated (cubic) at even steps
    of its arc length and of the distance from it.  Lengths along the course and across it are kept;
    away from the course, lengths along it are stretched or squeezed where it bends.

    Parameters
    ----------
    image
        A single real-valued picture.
    course_yx
        ``(n, 2)`` places (y, x) in order, in the unit of `image.calibration`: nm, or px without a
        calibration.  Places that follow each other and are the same count once.
    half_width
        How far the band reaches to both sides, in the same unit.
    step
        Between samples, along and across; the pixel size by default.
    beyond
        How far the band goes on straight at both ends, in the same unit.

    Returns
    -------
    Image
        Axis ``y`` is the distance across (0 on the course, growing to the right of who walks along
        it as the screen shows it), axis ``x`` is the arc length s (0 at the first place), both with
        the unit and relative uncertainty of the image's pixel size: ``axis.coordinates()`` gives
        them.  Where the image is masked or ends, the mask is False and the pixels are NaN.

    Raises
    ------
    ImageError
        If the image cannot be measured: a stack, complex, without a finite pixel.
    ParameterError
        If the course has fewer than two places, or a length is not positive.

    References
    ----------
    Kocsis, Trus, Steer, Bisher & Steven, J. Struct. Biol. 107 (1991) 6: filaments straightened
    along splines.
    """
    plane = as_plane(image)
    step = plane.calibration.pixel_size if step is None else step
    course = _checked(course_yx, half_width, step, beyond)
    reach = int(np.floor(half_width / step + 1e-9))
    n = (2.0 * reach + 1.0) * (np.hypot(*np.diff(course, axis=0).T).sum() + 2.0 * beyond) / step
    if n > _MOST_SAMPLES:
        raise ParameterError("step", f"of {step:g} makes {n:.3g} samples",
                             "give a larger step or a shorter course")
    spine, along, arc = _even(course, step, beyond)
    across = step * np.arange(-reach, reach + 1)
    # The turn that takes the picture's x axis to the course takes its y axis to this normal.
    normal = np.stack([along[:, 1], -along[:, 0]], axis=-1)
    places = plane.calibration.pixels(spine + across[:, None, None] * normal)
    sampled, seen = _sampled(plane.values, plane.mask, places)
    values = np.where(seen, sampled + plane.offset, np.nan).astype(np.float32)
    return _strip(image, values, seen, (float(across[0]), float(arc[0]), step))


def arc_lengths(points: NDArray[np.float64], least: float = 0.0) -> NDArray[np.float64]:
    """Arc length at each point of a polyline from its first; no step counts less than `least`."""
    steps = np.hypot(*np.diff(points, axis=0).T)
    return np.concatenate([[0.0], np.cumsum(np.maximum(steps, least))])


def as_places(given: ArrayLike, name: str) -> Floats:
    """Return ``(n, 2)`` places (y, x) as numbers.

    Raises
    ------
    ParameterError
        If they are none, or not finite.
    """
    places = np.asarray(given, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] != 2 or not np.isfinite(places).all():
        raise ParameterError(name, f"of shape {places.shape} is no list of finite places",
                             "give (n, 2) numbers, y and x")
    return places


def _checked(course_yx: ArrayLike, half_width: float, step: float, beyond: float) -> Floats:
    for name, value in (("half_width", half_width), ("step", step)):
        if not (np.isfinite(value) and value > 0):
            raise ParameterError(name, f"must be a positive length, not {value}")
    if not (np.isfinite(beyond) and beyond >= 0):
        raise ParameterError("beyond", f"must be 0 or a positive length, not {beyond}")
    course = as_places(course_yx, "course_yx")
    moved = np.ones(len(course), dtype=bool)
    moved[1:] = np.hypot(*np.diff(course, axis=0).T) > 1e-9 * max(step, half_width)
    course = course[moved]
    if len(course) < 2:
        raise ParameterError("course_yx", "has fewer than two different places")
    return course


def _even(course: Floats, step: float, beyond: float) -> tuple[Floats, Floats, Floats]:
    """Places at even steps of arc length, unit vectors along the course, and the arc lengths."""
    knots = arc_lengths(course)
    # Two or three places do not fix a curve: a line, or a parabola's spline.
    curve = CubicSpline(knots, course, bc_type="natural")
    n = max(_FINE * int(np.ceil(knots[-1] / step)), _FINE * len(course))
    fine = np.linspace(0.0, knots[-1], n + 1)
    lengths = arc_lengths(np.asarray(curve(fine)))
    arc = step * np.arange(-np.floor(beyond / step + 1e-9),
                           np.floor((lengths[-1] + beyond) / step + 1e-9) + 1)
    inside = np.interp(arc, lengths, fine)
    along = np.asarray(curve(inside, 1), dtype=np.float64)
    along /= np.hypot(*along.T)[:, None]
    outside = arc - np.clip(arc, 0.0, lengths[-1])
    spine = np.asarray(curve(inside), dtype=np.float64) + outside[:, None] * along
    return spine, along, np.asarray(arc, dtype=np.float64)


def _sampled(
    values: NDArray[np.float32], mask: NDArray[np.bool_] | None, places: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """Values at places (y, x) in pixels, and where all that they rest on is seen."""
    shape = np.array(values.shape)
    # Half a pixel around the outermost centres still belongs to the frame.
    seen = np.all((places >= -0.5) & (places <= shape - 0.5), axis=-1)
    flat = places.reshape(-1, 2)
    low = np.clip(np.floor(flat.min(axis=0)).astype(int) - _MARGIN_PX, 0, shape - 1)
    high = np.clip(np.ceil(flat.max(axis=0)).astype(int) + _MARGIN_PX + 1, low + 1, shape)
    part = tuple(slice(*edges) for edges in zip(low, high, strict=True))
    at = np.moveaxis(places - low, -1, 0)
    sampled = ndimage.map_coordinates(values[part].astype(np.float64), at, order=3, mode="mirror")
    if mask is not None:
        used = ndimage.map_coordinates(mask[part].astype(np.float64), at, order=1, mode="nearest")
        seen = seen & (used > 1.0 - 1e-6)
    return np.asarray(sampled, dtype=np.float64), np.asarray(seen, dtype=np.bool_)


def _strip(
    image: Image, values: NDArray[np.float32], seen: NDArray[np.bool_],
    grid: tuple[float, float, float],
) -> Image:
    """The samples with their axes; `grid` is the first place across and along, and the step."""
    unit = image.calibration().unit
    sources = {axis.name: axis for axis in image.plane_axes}
    err = max(axis.relative_err for axis in image.plane_axes)
    axes = tuple(
        Axis(name, size, grid[2], unit, offset, pixel_size_err=err * grid[2],
             source=sources[name].source)
        for name, size, offset in zip("yx", values.shape, grid[:2], strict=True))
    note = f"straightened along a course of {grid[2] * (values.shape[1] - 1):.4g} {unit}"
    # The course was laid in the undistorted plane, so what is left is square.
    plain = replace(image.distortion, matrix=Distortion().matrix)
    return replace(image, data=values, axes=axes, mask=None if seen.all() else seen,
                   distortion=plain, audit=(*image.audit, note))
