"""Where a line ends: at half of its height along its axis, or at the border of the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from emtools.measure.chains.centreline import Centreline
from emtools.measure.chains.ridge import CORE
from emtools.process.straighten import arc_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains.ridge import Picture, Strip

    Floats = NDArray[np.float64]

_END_PX = 0.1  # 1 sigma of an end, whatever the noise
_BRIDGED, _BRIDGED_PX = 0.7, 3.0  # widths, pixels: a stretch below half the height is no end
_SMOOTH, _SMOOTH_PX = 0.12, 1.0  # 1 sigma along the axis: pixels and unresolved dots beat
_MOST_SMOOTH, _NOISY = 0.6, 0.12  # widths; noise over the height, from which on more is smoothed
_INSIDE_PX = 4.0  # an end is looked for from so far before the axis' last point, or a width,
_FARTHEST, _FARTHEST_PX = 2.5, 6.0  # to so many widths beyond it
_DRAWN = 1.0  # widths beyond a drawn end: where the object goes on further the drawn end counts
_FAINT = 4.0  # squared noise, over what is noisy, from which on noise alone may look like an end
_STRAY = 0.25  # widths: 1 sigma of a drawn end
_STEP_PX = 0.25
_STRAIGHT, _STRAIGHT_PX = 1.2, 6.0  # widths, pixels: the stretch that tells an end's direction


class Course(NamedTuple):
    """A line as it was followed.

    Parameters
    ----------
    strip
        Straightened.
    size
        About its width in pixels.
    free
        Whether its first and its last point are ends, not places where it meets another line.
    closed
        Whether it is a ring.
    drawn
        Whether a person said where it ends.
    """

    strip: Strip
    size: float
    free: tuple[bool, bool]
    closed: bool
    drawn: bool = False


def straight_px(size: float) -> int:
    """Pixels of a line that tell its direction at an end."""
    return round(max(_STRAIGHT * size, _STRAIGHT_PX))


def with_caps(
    picture: Picture, course: Course, ground: float, left_open: tuple[float, float]
) -> tuple[Centreline, float, float]:
    """Carry an axis on to where the object ends.

    Parameters
    ----------
    picture
        The signal.
    course
        The line.
    ground
        Level of the signal beside it.
    left_open
        1 sigma of each end that its shape leaves open, and of one at another line.

    Returns
    -------
    tuple
        The axis, how much of it lies before its former first point, and 1 sigma of its length.
    """
    axis = course.strip.axis
    if course.closed:
        return axis, 0.0, float(np.hypot(_END_PX, course.strip.err))
    variance, points, tangents, before = 0.0, axis.points, axis.tangents, 0.0
    for end in (0, -1):
        if not course.free[end]:
            variance += left_open[1] ** 2
            continue
        reach, err = _to_end(picture, course, end, ground)
        variance += err**2 + left_open[0] ** 2 + _END_PX**2
        # It may end inside of what was taken for its axis.
        kept = len(points) if reach > 0 else max(2, len(points) - round(-reach))
        part = slice(len(points) - kept, None) if end == 0 else slice(0, kept)
        points, tangents = points[part], tangents[part]
        if reach > 0:
            tip = axis.points[end] + reach * _outward(axis, end, course.size)
            at = 0 if end == 0 else len(points)
            points = np.insert(points, at, tip, axis=0)
            tangents = np.insert(tangents, at, tangents[end], axis=0)
        before = reach if end == 0 else before
    arc = arc_lengths(points)
    return Centreline(points, arc, arc, tangents), before, float(np.sqrt(variance))


def _outward(axis: Centreline, end: int, size: float) -> Floats:
    """Unit vector out of an end: of a stretch before it, which noise turns less."""
    n = len(axis.points)
    inner = min(n - 1, straight_px(size))
    away = axis.points[end] - axis.points[inner if end == 0 else n - 1 - inner]
    return np.asarray(away / max(float(np.hypot(*away)), 1e-9))


def _to_end(picture: Picture, course: Course, end: int, ground: float) -> tuple[float, float]:
    """How far beyond the axis' last point the signal falls to half, and the error of that."""
    size, axis = course.size, course.strip.axis
    values = course.strip.core[::1 if end == 0 else -1]
    inner = values[round(0.5 * size):max(round(4.0 * size), 3)]
    level = float(np.median(inner if len(inner) else values))
    farthest = _DRAWN * size if course.drawn else max(_FARTHEST * size, _FARTHEST_PX)
    along = np.arange(-min(max(size, _INSIDE_PX), axis.length / 3), farthest, _STEP_PX)
    signal, border = _beyond(picture, course, end, along, ground)
    sigma = max(_SMOOTH_PX, _SMOOTH * size)
    smooth = ndimage.gaussian_filter1d(signal, sigma / _STEP_PX, mode="nearest")
    half = 0.5 * (level + ground)
    # Noise makes dips too: under more smoothing the half stays where it is.
    noise = float(np.std(values - ndimage.gaussian_filter1d(values, sigma, mode="nearest")))
    worse = (noise / max(_NOISY * abs(level - ground), 1e-30)) ** 2
    if worse > 1.0:
        sigma = min(sigma * worse, max(_MOST_SMOOTH * size, sigma))
        smooth = ndimage.gaussian_filter1d(signal, sigma / _STEP_PX, mode="nearest")
    # Between unresolved dots the signal may fall as low, for less than a gap.
    bridged = max(1, round(max(_BRIDGED * size, _BRIDGED_PX) / _STEP_PX))
    above = ndimage.binary_closing(np.pad(smooth >= half, bridged), np.ones(3, dtype=bool),
                                   iterations=(bridged + 1) // 2)[bridged:-bridged]
    below = np.flatnonzero(~above & np.logical_or.accumulate(above))
    if len(below) == 0 and course.drawn:
        return min(0.0, border), _STRAY * size
    if len(below) == 0:
        return min(float(along[-1]), border), 0.5 * size
    i = max(int(below[0]), 1)
    fall = float(smooth[i - 1] - smooth[i])
    part = float(np.clip((smooth[i - 1] - half) / fall, 0.0, 1.0)) if fall > 0 else 0.5
    rough = float(np.std(signal[:max(i, 2)] - smooth[:max(i, 2)]))
    slope = max(fall / _STEP_PX, abs(level - ground) / (4.0 * size))
    err = rough / float(np.sqrt(max(1.0, 0.5 * size))) / max(slope, 1e-30)
    if course.drawn and worse > _FAINT:
        err = float(np.hypot(err, 0.5 * size))
    return min(float(along[i - 1]) + part * _STEP_PX, border), err


def _beyond(
    picture: Picture, course: Course, end: int, along: Floats, ground: float
) -> tuple[Floats, float]:
    """Signal along the straight way out of an end, and how far it is to the border."""
    axis, size = course.strip.axis, course.size
    outward = _outward(axis, end, size)
    across = np.array([-outward[1], outward[0]])
    core = np.arange(-CORE * size, CORE * size + 0.01, max(0.5, 0.1 * size))
    middle = axis.points[end] + along[:, None] * outward
    signal = picture.at(middle[:, None] + core[None, :, None] * across).mean(axis=1)
    inside = ((middle > -0.5) & (middle < np.array(picture.shape) - 0.5)).all(axis=1)
    if inside.all() or not inside[0]:
        return np.where(inside, signal, ground), np.inf
    # The border of the picture ends a line where it is, sharply.
    return np.where(inside, signal, ground), float(along[np.argmin(inside)]) - 0.5 * _STEP_PX
