"""Chains whose dots are not resolved, wires and rods: width and length along a centreline.

Each object's skeleton is cut into branches and joined through crossings, the middle is sought to a
fraction of a pixel, and the mean profile across it is fitted with a blurred projected body.  Which
body and which blur is judged by all lines of the picture together; what that leaves open enters
the uncertainty of the width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emtools.measure.chains.crossings import joined_paths
from emtools.measure.chains.film import TOO_WIDE
from emtools.measure.chains.line_ends import Course, straight_px, with_caps
from emtools.measure.chains.line_widths import Widths, fit_widths, local_widths
from emtools.measure.chains.rejected import NARROWER, NOTHING, WIDER, Rejected
from emtools.measure.chains.ridge import (
    Picture,
    Strip,
    full_width,
    standing_out,
    straighten,
    within_ends,
)
from emtools.measure.chains.skeleton import find_skeleton
from emtools.measure.chains.strokes import meetings as where_they_meet
from emtools.process.straighten import arc_lengths
from emtools.stages import stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains.centreline import Centreline
    from emtools.measure.chains.crossings import Path
    from emtools.measure.chains.ground import Ground
    from emtools.measure.chains.outline import Outline, Shape
    from emtools.measure.chains.strokes import Stroke

    Floats = NDArray[np.float64]

_SECTIONS = 12  # at most so many pieces of a line are fitted for the spread of its width
_LEAST_WIDTHS = 3.0  # a line is at least so many widths long
_LEAST_DRAWN = 1.5  # one that was drawn
_LEAST_PX = 4  # points of an axis
_UNEXPLAINED = 0.15  # largest part of a profile's variance that the body may leave
_UNEXPLAINED_DRAWN = 0.5  # of one that was drawn, which may be faint
_CLEAR = 5.0  # sigma: what its height is at least
_LEAST_SOUGHT = 0.82  # of the smallest width sought
_EDGE = 0.35  # of what a line rises above its higher side: the most that its sides may differ by
_OFF_AXIS = 0.3  # widths: where the body may lie beside the axis
_MODEL_ERR = 0.005  # of the width: kinks and texture that the profile knows nothing of
_FRESNEL = 0.05  # of the width: where in the fringes of a TEM image the edges lie
# Of the width: what the shape of an end leaves open, 1 sigma: a wire's, a sphere's, a slab's.
_END_SHAPE = (0.06, 0.1, 0.06)
_MEETING = 0.3  # of the width: where a line ends that meets another, 1 sigma
_RAGGED, _RESIZED = 1.25, 3  # ratio of widths from which on a line is straightened anew; how often
_CORNER = 0.9  # widths before a free end of the skeleton that may run into a corner
_AGAIN = 0.5  # of that: how far the line runs on inside of the object at least


@dataclass(frozen=True)
class Line:
    """A line-like object, in pixels.

    Parameters
    ----------
    axis
        Its centreline, end caps included.
    width, width_err
        Full extent across the axis.
    width_std
        Spread of the width along the axis.
    local_width
        Width at each point of the axis.
    length_err
        1 sigma of the axis' length.
    n_crossings
        How many crossings it passes.
    number
        Of one that was drawn, 0 = found.
    """

    axis: Centreline
    width: float
    width_err: float
    width_std: float
    local_width: NDArray[np.float64]
    length_err: float
    n_crossings: int
    number: int = 0


class _Traced(NamedTuple):
    """A line straightened: where it runs, and its signal."""

    path: Path
    strip: Strip
    size: float  # first guess of its width
    number: int = 0  # of one that was drawn


def measure_lines(ground: Ground, outline: Outline) -> tuple[list[Line], list[Rejected]]:
    """Measure every line-like object, and say which were refused and why.

    Parameters
    ----------
    ground
        The image without its ground.
    outline
        The objects.
    """
    if not outline.lines:
        return [], []
    picture = Picture(ground.signal, outline.width_px)
    traced: list[_Traced] = []
    rejected: list[Rejected] = []
    crossed = where_they_meet([shape.stroke.path.points for shape in outline.lines if shape.stroke])
    for n, shape in enumerate(outline.lines):
        stage("tracing lines", 0.8 + 0.1 * n / len(outline.lines))
        found, refused = _follow(picture, shape.stroke, crossed) if shape.stroke \
            else _trace(ground, picture, shape)
        traced += found
        rejected += refused
    if not traced:
        return [], rejected
    sizes = np.array([one.size for one in traced])
    rows = [_body_rows(one) for one in traced]
    means = np.array([one.strip.profiles[which].mean(axis=0)
                      for one, which in zip(traced, rows, strict=True)])
    count = np.array([which.size for which in rows]) / ground.correlation
    noise = ground.noise / np.sqrt(np.maximum(count, 1.0))
    widths = fit_widths(means, sizes, noise)
    clear = widths.height * np.sqrt(sizes) > _CLEAR * noise
    lines: list[Line] = []
    for number, one in enumerate(traced):
        stage("fitting lines", 0.9 + 0.1 * number / len(traced))
        reason = _refusal(one, widths, number, outline.sought_px) if clear[number] else NOTHING
        made = _refused(one.strip.axis.points, float(widths.width[number]), reason) if reason \
            else _line(picture, one, widths, (number, rows[number], ground.contrast == "dark"))
        if isinstance(made, Rejected):
            rejected.append(made)
        else:
            lines.append(made)
    return lines, rejected


def _trace(
    ground: Ground, picture: Picture, shape: Shape
) -> tuple[list[_Traced], list[Rejected]]:
    origin = np.array(shape.origin, dtype=float)
    bones = find_skeleton(shape.mask)
    if bones is None:
        return [], []
    widths = np.array([bones.width_along(branch) for branch in bones.branches])
    bones = bones._replace(branches=[branch + origin for branch in bones.branches],
                           junctions=bones.junctions + origin)
    bright = [float(np.median(ground.signal[tuple(branch.astype(int).T)]))
              for branch in bones.branches]
    paths, meetings = joined_paths(bones, widths, np.array(bright))
    traced, refused = [], []
    for path in paths:
        size = max(bones.width_along(path.points - origin), 2.0)
        points = _without_ends(path, size)
        if len(points) < max(_LEAST_PX, (_LEAST_WIDTHS - 2.0) * size):
            refused.append(_refused(path.points, size, _too_short(_LEAST_WIDTHS)))
            continue
        near = _near(meetings, points, 2.0 * size)
        traced.append(_Traced(path, *_straightened(picture, path, points, size, near)))
    return traced, refused


def _straightened(
    picture: Picture, path: Path, points: Floats, size: float, near: Floats
) -> tuple[Strip, float]:
    """Straighten a line, and again where it turns out wider than guessed."""
    strip = straighten(picture, points, size, near, closed=path.closed)
    for _ in range(_RESIZED):
        # A ragged outline is narrower than what it outlines.
        full = size * full_width(strip)
        if full < _RAGGED * size:
            break
        size = full
        strip = straighten(picture, points, size, near, closed=path.closed)
    return strip, size


def _follow(
    picture: Picture, stroke: Stroke, crossed: Floats
) -> tuple[list[_Traced], list[Rejected]]:
    """Follow one line as it was drawn, as far as it stands out."""
    path, size, number = stroke.path, stroke.size, stroke.number
    if len(path.points) < _LEAST_PX:
        return [], [_refused(path.points, size, _too_short(_LEAST_DRAWN))]
    near = _near(crossed, path.points, 2.0 * size)
    strip, size = _straightened(picture, path, path.points, size, near)
    first, end = (0, len(strip.profiles)) if path.closed else standing_out(strip, size)
    if end - first < max(_LEAST_PX, (_LEAST_DRAWN - 1.0) * size):
        return [], [_refused(strip.axis.points, size, _too_short(_LEAST_DRAWN))]
    if end - first < len(strip.profiles):
        points = strip.axis.points[first:end]
        strip = straighten(picture, points, size, near, closed=False)
    return [_Traced(path, strip if path.closed else within_ends(strip, path.points, size), size,
                    number)], []


def _too_short(widths: float) -> str:
    return f"shorter than {widths:g} widths"


def _without_ends(path: Path, size: float) -> Floats:
    """Carry the course on straight at free ends, where the skeleton turns into corners."""
    points = path.points
    if path.closed:
        return points
    third = len(points) // 3
    cut = min(round(_CORNER * size), third)
    kept = points[cut if path.free[0] else 0:len(points) - (cut if path.free[1] else 0)]
    again = round(_AGAIN * cut)
    pieces = [kept]
    for end in (0, -1):
        if path.free[end] and again:
            back = kept[min(straight_px(size), len(kept) - 1) * (1 if end == 0 else -1) + end]
            away = (kept[end] - back) / max(float(np.hypot(*(kept[end] - back))), 1e-9)
            more = kept[end] + np.arange(1, again + 1)[:, None] * away
            pieces = [more[::-1], *pieces] if end == 0 else [*pieces, more]
    return np.vstack(pieces)


def _near(meetings: Floats, points: Floats, reach: float) -> Floats:
    low, high = points.min(axis=0) - reach, points.max(axis=0) + reach
    return np.asarray(meetings[((meetings > low) & (meetings < high)).all(axis=1)])


def _refused(points: Floats, width: float, reason: str) -> Rejected:
    y, x = points[len(points) // 2]
    return Rejected(float(y), float(x), float(arc_lengths(points)[-1]), width, reason)


def _body_rows(one: _Traced) -> NDArray[np.intp]:
    """Points of the axis where the profile is the line's alone."""
    clear = np.flatnonzero(one.strip.clear)
    n, end = len(one.strip.profiles), round(0.4 * one.size)
    inner = clear[(clear >= end) & (clear < n - end)]
    if len(inner) >= max(3, n // 8):
        return inner
    return clear if len(clear) >= 3 else np.arange(n)


def _refusal(
    one: _Traced, widths: Widths, number: int, sought: tuple[float, float]
) -> str | None:
    """Why an object is no line, if it is none."""
    width = widths.width[number]
    # Blur hides how narrow it is.
    if not one.number and width + widths.err[number] < _LEAST_SOUGHT * sought[0]:
        return NARROWER
    if not one.number and width > TOO_WIDE * sought[1]:
        return WIDER
    if widths.step[number] > _EDGE:
        return "an edge, not a line: one side is brighter"
    if (widths.unexplained[number] > (_UNEXPLAINED_DRAWN if one.number else _UNEXPLAINED)
            or abs(widths.centre[number]) > _OFF_AXIS * one.size):
        return "its profile is not that of one body"
    return None


def _line(
    picture: Picture, one: _Traced, widths: Widths,
    which: tuple[int, NDArray[np.intp], bool],
) -> Line | Rejected:
    """Measure one line, given its number, the clear points of its axis and whether it is dark."""
    number, rows, dark = which
    width = float(widths.width[number])
    shape = int(widths.exponent[number])
    course = Course(one.strip, one.size, one.path.free, one.path.closed, one.number > 0)
    whole, before, end_err = with_caps(picture, course, float(widths.ground[number]),
                                       (_END_SHAPE[shape] * width, _MEETING * width))
    least = _LEAST_DRAWN if one.number else _LEAST_WIDTHS
    if whole.length < least * width:
        return _refused(whole.points, width, _too_short(least))
    pieces = int(np.clip(one.strip.axis.length / (2.0 * one.size), 1, _SECTIONS))
    parts = np.array_split(rows, min(pieces, len(rows)))
    sections = np.array([one.strip.profiles[part].mean(axis=0) for part in parts])
    local = local_widths(widths, number, sections, one.size)
    spread = float(local.std(ddof=1)) if len(local) > 1 else float("nan")
    middles = np.array([one.strip.axis.arc[part].mean() for part in parts])
    shown = np.interp(whole.arc - before, middles, local)
    err = float(np.hypot(widths.err[number], (_FRESNEL if dark else _MODEL_ERR) * width))
    # As chains of dots, lines start at the end nearer to the corner of pixel 0, 0.
    if np.hypot(*whole.points[0]) > np.hypot(*whole.points[-1]):
        whole, shown = whole.reversed(), shown[::-1]
    return Line(whole, width, err, spread, shown, end_err, len(one.path.crossings),
                one.number)
