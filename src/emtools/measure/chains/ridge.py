"""The middle of a line to a fraction of a pixel, and the signal across it.

The skeleton of an outline is worth about a pixel.  Each short stretch of the line is then shifted
across the axis until it fits the line's own mean profile, made symmetric, best: the least squares
estimate, and with it its error.  A smoothing spline within these errors is the new axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy import ndimage

from emtools.measure.chains.centreline import Centreline, smoothed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_REACH = 1.5  # widths to either side that profiles reach
_PER_WIDTH = 16  # samples of a profile
_ROUNDS = 4
_SETTLED = 0.005  # widths
_STRETCH = 0.6  # widths averaged along the axis for one place of it
_WITHIN = 0.9  # widths to either side that tell the middle
_FARTHEST = 0.3  # widths that one round may shift
_LEAST_ERR_PX = 0.02
CORE = 0.3  # widths to either side of the axis that tell whether a line is there
_USUAL = 75.0  # percentile of its height along a course that may be longer than it is
_CUBIC_PX = 8.0  # lines narrower than that: linear interpolation would blur them
ACROSS = np.arange(-_REACH * _PER_WIDTH, _REACH * _PER_WIDTH + 1) / _PER_WIDTH


class Picture:
    """The signal, to be read between pixels."""

    def __init__(self, signal: NDArray[np.float32], width: float) -> None:
        self.order: Literal[1, 3] = 3 if width < _CUBIC_PX else 1
        self.values = ndimage.spline_filter(signal, output=np.float32, mode="nearest") \
            if self.order == 3 else signal

    def at(self, places: Floats) -> Floats:
        """Signal at ``(..., 2)`` places; beyond the border that of the border."""
        return ndimage.map_coordinates(
            self.values, np.moveaxis(places, -1, 0), order=self.order, mode="nearest",
            prefilter=False).astype(np.float64)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the picture."""
        return self.values.shape


class Strip(NamedTuple):
    """A line straightened.

    Parameters
    ----------
    axis
        Its middle.
    profiles
        ``(points, samples)`` signal across, at `ACROSS` widths from the axis.
    clear
        ``(points,)`` where no other line meets it.
    err
        1 sigma of the axis' place, across.
    """

    axis: Centreline
    profiles: Floats
    clear: NDArray[np.bool_]
    err: float

    @property
    def core(self) -> Floats:
        """Signal at each point of the axis, ``(points,)``: of the middle of the line."""
        return np.asarray(self.profiles[:, np.abs(ACROSS) < CORE].mean(axis=1))


def straighten(
    picture: Picture, points: Floats, width: float, meetings: Floats, *, closed: bool
) -> Strip:
    """Find the middle of a line from its skeleton.

    Parameters
    ----------
    picture
        The signal.
    points
        ``(n, 2)`` of the skeleton in order.
    width
        In pixels.
    meetings
        ``(m, 2)`` where other lines meet it.
    closed
        Whether it is a ring.
    """
    n = len(points)
    wrap = min(round(3.0 * width), n - 1) if closed else 0
    if wrap:
        points = np.vstack([points[-wrap:], points, points[:wrap]])
    axis = smoothed(points, max(0.5, 0.1 * width))
    err = 0.5
    for _ in range(_ROUNDS):
        profiles, clear = _read(picture, axis, width, meetings)
        shifts = _shifts(profiles, clear, width)
        if shifts is None:
            break
        moved = _moved(axis, shifts, width)
        err = float(np.median(shifts.err) / np.sqrt(max(1.0, 2.0 * width / shifts.length)))
        far = float(np.abs(shifts.by).max()) < _SETTLED * width
        axis = moved
        if far:
            break
    if wrap:
        axis = _unwrapped(axis, wrap // 2)
    profiles, clear = _read(picture, axis, width, meetings)
    return Strip(axis, profiles, clear, err)


def full_width(strip: Strip) -> float:
    """Full width at half maximum of a line's mean profile, in the widths that it was read with."""
    rows = strip.clear if strip.clear.any() else np.ones(len(strip.clear), dtype=bool)
    mean = strip.profiles[rows].mean(axis=0)
    base = min(float(mean[:4].mean()), float(mean[-4:].mean()))
    middle = len(mean) // 2
    high = mean > 0.5 * (float(mean[middle - 3:middle + 4].mean()) + base)
    labels, _ = ndimage.label(high)
    return float((labels == labels[middle]).sum()) / _PER_WIDTH if high[middle] else 0.0


def standing_out(strip: Strip, width: float) -> tuple[int, int]:
    """First and one past the last point of an axis between which the line is half as high or more.

    Of a line that was drawn: it may reach beyond what it is drawn along.
    """
    core = ndimage.gaussian_filter1d(strip.core, _STRETCH * width, mode="nearest")
    high = np.flatnonzero(core > max(0.5 * float(np.percentile(core, _USUAL)), 0.0))
    return (int(high[0]), int(high[-1]) + 1) if len(high) else (0, 0)


def within_ends(strip: Strip, course: Floats, width: float) -> Strip:
    """Cut off what of an axis lies beyond the ends of the course that it was sought along."""
    points, bounds = strip.axis.points, [0, 0]
    for end in (0, 1):
        from_end = course if end == 0 else course[::-1]
        back = from_end[min(max(round(width), 1), len(from_end) - 1)]
        along = points if end == 0 else points[::-1]
        inside = (along - from_end[0]) @ (back - from_end[0]) >= 0
        bounds[end] = int(np.argmax(inside))
    part = slice(bounds[0], len(points) - bounds[1])
    if part.stop - part.start < 2:
        return strip
    arc = strip.axis.arc[part] - strip.axis.arc[part.start]
    axis = Centreline(points[part], arc, arc, strip.axis.tangents[part])
    return strip._replace(axis=axis, profiles=strip.profiles[part], clear=strip.clear[part])


def _read(
    picture: Picture, axis: Centreline, width: float, meetings: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    places = axis.points[:, None, :] + (width * ACROSS)[None, :, None] * axis.normals[:, None, :]
    clear = np.ones(len(axis.points), dtype=bool)
    for meeting in meetings:
        clear &= np.hypot(*(axis.points - meeting).T) > 1.5 * width
    inside = ((axis.points > -0.5) & (axis.points < np.array(picture.shape) - 0.5)).all(axis=1)
    return picture.at(places), clear & inside


class _Shifts(NamedTuple):
    """By how much stretches of an axis lie beside the middle of the line, in pixels."""

    rows: NDArray[np.int64]
    by: Floats
    err: Floats
    length: float


def _shifts(profiles: Floats, clear: NDArray[np.bool_], width: float) -> _Shifts | None:
    rows = np.flatnonzero(clear)
    stretch = max(1, round(_STRETCH * width))
    if len(rows) < 4 * stretch:
        stretch = max(1, len(rows) // 4)
    if len(rows) < 4:
        return None
    starts = np.arange(0, len(rows) - stretch + 1, stretch)
    sizes = np.diff(np.append(starts, len(rows)))
    means = np.add.reduceat(profiles[rows], starts, axis=0) / sizes[:, None]
    middle = np.add.reduceat(rows, starts) // sizes
    within = np.abs(ACROSS) <= _WITHIN
    template = np.median(means, axis=0)
    template = 0.5 * (template + template[::-1])
    slope = np.gradient(template, width / _PER_WIDTH)
    design = np.stack([np.ones(within.sum()), template[within], slope[within]], axis=-1)
    if np.ptp(template) <= 0:
        return None
    inverse = np.linalg.pinv(design)
    found = means[:, within] @ inverse.T
    by = -found[:, 2] / np.where(found[:, 1] > 0.2, found[:, 1], np.inf)
    left = means[:, within] - found @ design.T
    # Samples closer than a pixel are no independent ones.
    dense = max(1.0, _PER_WIDTH / width)
    err = np.sqrt((left**2).mean(axis=1) * dense * (inverse[2] ** 2).sum())
    bends = np.abs(np.diff(by, 2)) if len(by) > 4 else np.zeros(1)
    scatter = 1.4826 * float(np.median(bends)) / np.sqrt(6.0)
    err = np.maximum(np.hypot(err, scatter), _LEAST_ERR_PX)
    return _Shifts(middle, np.clip(by, -_FARTHEST * width, _FARTHEST * width), err,
                   float(stretch))


def _moved(axis: Centreline, shifts: _Shifts, width: float) -> Centreline:
    """Return the smooth curve through the shifted places, as far along as the axis was."""
    normal = axis.normals
    if len(shifts.rows) < 6:
        by = np.interp(np.arange(len(axis.points)), shifts.rows, shifts.by)
        return smoothed(axis.points + by[:, None] * normal, 0.25)
    # The ends move as the places nearest to them; beyond these nothing is known of the course.
    first, last = shifts.rows[0], shifts.rows[-1]
    rows = np.concatenate([[0] if first > 0 else [], shifts.rows,
                           [len(normal) - 1] if last < len(normal) - 1 else []]).astype(int)
    by = np.interp(rows, shifts.rows, shifts.by)
    err = np.interp(rows, shifts.rows, shifts.err)
    for end, row in ((0, first), (-1, last)):
        err[end] = np.hypot(err[end], 0.05 * abs(float(rows[end] - row)) + 0.02 * width)
    return smoothed(axis.points[rows] + by[:, None] * normal[rows], err)


def _unwrapped(axis: Centreline, start: int) -> Centreline:
    """Cut a ring that was followed round more than once where it meets itself again."""
    n = len(axis.points)
    gap = np.hypot(*(axis.points - axis.points[start]).T)
    gap[: n // 2] = np.inf
    end = int(np.argmin(gap)) + 1
    part = slice(start, end)
    arc = axis.arc[part] - axis.arc[start]
    return Centreline(axis.points[part], arc, arc, axis.tangents[part])
