"""Polylines that a person edits: places on them, pieces of them, dots along them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtools.process.straighten import arc_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def nearest_on(line: Floats, places: Floats) -> tuple[Floats, Floats]:
    """Arc length of the nearest place on a polyline, and the distance from it, of ``(n, 2)``."""
    start, along = line[:-1], np.diff(line, axis=0)
    square = np.maximum(np.sum(along**2, axis=1), 1e-300)
    away = places[:, None] - start[None]
    part = np.clip(np.sum(away * along, axis=-1) / square, 0.0, 1.0)
    distance = np.hypot(*np.moveaxis(away - part[..., None] * along, -1, 0))
    best = np.argmin(distance, axis=1)
    each = np.arange(len(places))
    arc = arc_lengths(line)
    return (np.asarray(arc[best] + part[each, best] * np.diff(arc)[best]),
            np.asarray(distance[each, best]))


def at(line: Floats, arc: Floats | float) -> Floats:
    """Points of a polyline at arc lengths, straight on beyond its ends."""
    lengths = arc_lengths(line)
    inside = np.clip(arc, 0.0, lengths[-1])
    points = np.stack([np.interp(inside, lengths, column) for column in line.T], axis=-1)
    for end, beyond in ((0, np.minimum(arc, 0.0)), (-1, np.maximum(arc - lengths[-1], 0.0))):
        step = line[1] - line[0] if end == 0 else line[-1] - line[-2]
        unit = step / max(float(np.hypot(*step)), 1e-300)
        points = points + np.asarray(beyond)[..., None] * unit
    return np.asarray(points)


def between(line: Floats, first: float, last: float) -> Floats:
    """The piece of a polyline from one arc length to another."""
    lengths = arc_lengths(line)
    inner = line[(lengths > first) & (lengths < last)]
    return np.vstack([at(line, first)[None], inner, at(line, last)[None]])


def end_to_end(first: Floats, second: Floats) -> Floats:
    """Two polylines as one, joined where their ends are nearest to each other."""
    ways = [(a, b) for a in (first, first[::-1]) for b in (second, second[::-1])]
    a, b = min(ways, key=lambda way: float(np.hypot(*(way[0][-1] - way[1][0]))))
    # As it ran before, where it can.
    whole = np.vstack([a, b])
    forwards = a is first or np.array_equal(b, second)
    return whole if forwards else whole[::-1]


def led_through(line: Floats, place: Floats, fixed: Floats, reach: float) -> Floats:
    """Lead a polyline through a place, straight to it from points further off than `reach`.

    Points that are among the `fixed` ones stay.
    """
    (arc,), _ = nearest_on(line, place[None])
    lengths = arc_lengths(line)
    step_in, step_out = line[0] - line[1], line[-1] - line[-2]
    stays = np.abs(lengths - arc) > reach
    if len(fixed):
        stays |= (line[:, None] == fixed[None]).all(axis=-1).any(axis=1)
    before, after = line[stays & (lengths <= arc)], line[stays & (lengths > arc)]
    # Beyond an end the line becomes longer.
    if arc <= 0.0 and np.dot(place - line[0], step_in) > 0:
        before, after = line[:0], line[stays]
    elif arc >= lengths[-1] and np.dot(place - line[-1], step_out) > 0:
        before, after = line[stays], line[:0]
    return np.vstack([before, place[None], after])
