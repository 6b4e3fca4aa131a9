"""Dots where a person placed them: on which line each lies, and what is a line without dots."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from emtools.measure.chains.as_drawn import BESIDE_LINE, FEWEST, lines_as_drawn
from emtools.measure.chains.refit import OWN
from emtools.measure.chains.rejected import OUTSIDE, Rejected
from emtools.process.straighten import arc_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains.dots import Dots
    from emtools.measure.chains.found import Traced
    from emtools.measure.chains.given import Drawn
    from emtools.measure.chains.ground import Ground
    from emtools.measure.chains.outline import Outline, Shape

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

_SAME_LINE = 0.1  # widths
_THROUGH = 1e-3  # widths: no hand draws a line so well, a line of a result leads there
_OUTSIDE = 0.5  # widths beyond the border: a dot's middle may lie there
_PITCH = 0.85  # width over the distance of neighbours, where nothing else tells the width
_STEP_PX = 0.25  # along a line


class Placed(NamedTuple):
    """Dots that a person placed.

    Parameters
    ----------
    dots
        ``(n, 2)`` pixels.
    owner
        ``(n,)``, of the line that each lies on: its place in the numbers + 1, 0 = none.
    along
        ``(n,)``, arc length along that line.
    through
        ``(n,)``, whether that line leads through its very middle.
    untouched
        ``(n,)``, whether it was found there by itself.
    rejected
        Dots that lie outside of the picture.
    lines
        Drawn lines without dots; None where chains are linked by themselves.
    by_themselves
        Lines that were found.
    """

    dots: Floats
    owner: NDArray[np.int32]
    along: Floats
    through: Bools
    untouched: Bools
    rejected: list[Rejected]
    lines: list[Shape] | None = None
    by_themselves: tuple[Shape, ...] = ()

    def beside(self, one: Rejected, width_px: float) -> bool:
        """Whether what was rejected is one of the dots after all."""
        return bool(np.any(np.hypot(*(self.dots - (one.y, one.x)).T) < OWN * width_px))


def placed_dots(
    dots: Floats, auto: Outline, drawn: Drawn | None, shape: tuple[int, ...]
) -> Placed:
    """Say which line each dot lies on, the nearest of those within half a width or so.

    Parameters
    ----------
    dots
        ``(n, 2)`` pixels.
    auto
        What the foreground holds by itself.
    drawn
        The lines, None where chains are linked by themselves.
    shape
        Of the picture.
    """
    width = auto.width_px
    beyond = np.maximum(-0.5 - dots, dots - (np.array(shape) - 0.5)).max(axis=1, initial=-np.inf)
    out = beyond > _OUTSIDE * width
    rejected = [Rejected(y, x, width, width, OUTSIDE) for y, x in dots[out].tolist()]
    dots = dots[~out]
    owner, along = np.zeros(len(dots), dtype=np.int32), np.zeros(len(dots))
    reach = BESIDE_LINE * width
    nearest = np.full(len(dots), reach)
    for place, line in enumerate(drawn.lines if drawn is not None else (), start=1):
        around = (dots > line.min(axis=0) - reach) & (dots < line.max(axis=0) + reach)
        some = np.flatnonzero(around.all(axis=1))
        away, arc = _beside(line, dots[some])
        near = away < nearest[some]
        owner[some[near]], along[some[near]], nearest[some[near]] = place, arc[near], away[near]
    through = nearest < _THROUGH * width
    return Placed(dots, owner, along, through, np.zeros(len(dots), dtype=bool), rejected)


def _beside(line: Floats, dots: Floats) -> tuple[Floats, Floats]:
    """Distance of dots from a line, and how far along it they lie, beyond its ends too."""
    arc = arc_lengths(line)
    fine = np.unique(np.concatenate([arc, np.arange(0.0, arc[-1], _STEP_PX)]))
    points = np.stack([np.interp(fine, arc, column) for column in line.T], axis=-1)
    away, nearest = cKDTree(points).query(dots)
    tangents = np.gradient(points, axis=0) if len(points) > 1 else np.zeros_like(points)
    tangents /= np.maximum(np.hypot(*tangents.T), 1e-12)[:, None]
    onward = np.sum((dots - points[nearest]) * tangents[nearest], axis=-1)
    return np.asarray(away), np.asarray(fine[nearest] + onward)


def with_width(auto: Outline, dots: Floats) -> Outline:
    """Take the width from the dots' distances where nothing was found that tells it."""
    if len(auto.maxima) or auto.lines or len(dots) == 0:
        return auto
    narrow, wide = auto.sought_px
    width = float(np.sqrt(narrow * wide))
    if len(dots) > 1:
        away = np.asarray(cKDTree(dots).query(dots, 2)[0])[:, 1]
        width = min(width, _PITCH * float(np.median(away)))
    return replace(auto, width_px=float(np.clip(width, narrow, wide)))


def bare_lines(
    ground: Ground, auto: Outline, placed: Placed, traced: Traced, rate: float
) -> list[Shape]:
    """Return the drawn lines without dots.

    Parameters
    ----------
    ground
        The image without its ground.
    auto
        What the foreground holds by itself.
    placed, traced
        The dots and the lines.
    rate
        Accepted probability that noise shows any body where a line was drawn.
    """
    bare = ~np.isin(np.arange(1, len(traced.drawn.numbers) + 1), placed.owner)
    return lines_as_drawn(ground, auto, *traced, rate, bare)


def without_dots(shapes: list[Shape], placed: Placed) -> list[Shape]:
    """Those of found lines or rows on which nobody saw enough dots for a chain."""
    return [shape for shape in shapes if len(shape.holds(placed.dots)) < FEWEST]


def same_course(found: Floats, drawn: Floats, width_px: float) -> bool:
    """Whether a line was drawn where one was found by itself, from end to end."""
    return all(bool((np.asarray(cKDTree(one).query(other)[0]) < _SAME_LINE * width_px).all())
               for one, other in ((found, drawn), (drawn, found)))


def rows_as_placed(
    dots: Dots, placed: Placed, numbers: tuple[int, ...], min_dots: int
) -> tuple[dict[int, list[int]], list[int]]:
    """Order the dots of each line along it; those of lines with too few are single.

    A line of a result leads through the dots that it was linked of, and leaves out others that were
    found beside it; a line that was drawn by hand has whatever lies on it.

    Parameters
    ----------
    dots
        The fitted dots, all of them placed.
    placed
        What was placed.
    numbers
        Of the lines.
    min_dots
        Fewest dots of a chain; where this is more than three, three were drawn all the same.
    """
    owner, along = placed.owner[dots.starts], placed.along[dots.starts]
    rows: dict[int, list[int]] = {}
    single = owner == 0
    for place, number in enumerate(numbers, start=1):
        own = np.flatnonzero(owner == place)
        linked = placed.through[dots.starts[own]]
        if linked.sum() >= max(FEWEST, 0.5 * len(own)):
            other = ~linked & placed.untouched[dots.starts[own]]
            single[own[other]] = True
            own = own[~other]
        if len(own) < min(min_dots, FEWEST):
            single[own] = True
        else:
            rows[number] = own[np.argsort(along[own], kind="stable")].tolist()
    return rows, np.flatnonzero(single).tolist()
