"""The foreground as a person drew it: which chain each dot and each line belongs to.

What was drawn says where to look and what belongs together.  Bodies outside are still fitted, so
that neighbours do not disturb, and left out of the results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.special import ndtri_exp

from emtools.measure.chains.cells import smoothed
from emtools.measure.chains.links import from_corner
from emtools.measure.chains.outline import (
    FITTABLE_PX,
    Objects,
    Outline,
    Shape,
    find_maxima,
    line_like,
)
from emtools.measure.chains.rejected import FAINT, NOTHING, Rejected
from emtools.measure.chains.strokes import Stroke, joined, label_course, line_path, order_along

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains.crossings import Path
    from emtools.measure.chains.dots import Dots
    from emtools.measure.chains.given import Drawn
    from emtools.measure.chains.ground import Ground

_BESIDE_LABEL = 0.25  # widths beside a label: hands are not steady
BESIDE_LINE = 0.6  # widths to either side of a line
_LARGE = 6.0  # squared widths: of something larger that nothing stands out of, one body is no part
_ONE_DOT = 0.5  # widths: an undrawn body nearer to a drawn one is the same
_LOOSE = 2.0  # widths: a broader label says nothing of the course inside of it
_EIGHT = np.ones((3, 3), dtype=bool)
FEWEST = 3  # dots of a chain


def zones(drawn: Drawn, width_px: float) -> NDArray[np.int32]:
    """Return what belongs to each chain, ``(y, x)``: its place in the numbers + 1, 0 = nothing."""
    reach = (BESIDE_LINE if drawn.courses else _BESIDE_LABEL) * width_px
    zone = np.zeros_like(drawn.seeds)
    margin = int(np.ceil(reach)) + 1
    (place,) = ndimage.find_objects((drawn.seeds > 0).astype(np.uint8)) or (None,)
    if place is None:
        return zone
    part = tuple(slice(max(one.start - margin, 0), one.stop + margin) for one in place)
    seeds = drawn.seeds[part]
    far, nearest = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
    zone[part] = np.where(far <= reach, seeds[tuple(nearest)], 0)
    return zone


def outline_as_drawn(
    ground: Ground, auto: Outline, drawn: Drawn, zone: NDArray[np.int32], rate: float
) -> Outline:
    """Sort what was drawn into dots and lines.

    Parameters
    ----------
    ground
        The image without its ground.
    auto
        What the foreground holds by itself.
    drawn, zone
        What was drawn, and what belongs to it.
    rate
        Accepted probability that noise shows any body where something was drawn.
    """
    region, objects, hidden = _regions(ground, auto, drawn, zone, rate)
    maxima, line = np.zeros((0, 2)), np.ones(len(drawn.numbers), dtype=bool)
    if objects.width >= FITTABLE_PX:
        maxima, owner = find_maxima(ground, objects)
        line = line_like(ground, objects, maxima, owner, objects.length > objects.least_length)
        # Along what was drawn even a line that shows nowhere may do so as a whole.
        line |= hidden
        maxima = maxima[~line[owner - 1]]
    others = auto.maxima[zone[tuple(auto.maxima.astype(int).T)] == 0]
    if len(maxima) and len(others):
        others = others[cKDTree(maxima).query(others)[0] > _ONE_DOT * objects.width]
    rows = ~line & (objects.length > objects.least_length)
    return Outline(np.vstack([maxima, others]),
                   _shapes(drawn, region, objects, line), objects.width, [],
                   _shapes(drawn, region, objects, rows), auto.sought_px)


def lines_as_drawn(
    ground: Ground, auto: Outline, drawn: Drawn, zone: NDArray[np.int32], rate: float,
    chosen: NDArray[np.bool_],
) -> list[Shape]:
    """Return some of what was drawn as lines, whatever they show; the parameters as above."""
    if not chosen.any():
        return []
    region, objects, _ = _regions(ground, auto, drawn, zone, rate)
    return _shapes(drawn, region, objects, chosen)


def _regions(
    ground: Ground, auto: Outline, drawn: Drawn, zone: NDArray[np.int32], rate: float
) -> tuple[NDArray[np.int32], Objects, NDArray[np.bool_]]:
    """What is seen of each that was drawn, as objects; and which of them show nothing.

    Of these it is all that was drawn.
    """
    from emtools.measure.chains._segment_kernels import find_runs

    area = np.bincount(zone.ravel(), minlength=len(drawn.numbers) + 1)[1:]
    large = area > _LARGE * auto.width_px**2
    seen, hidden = _seen(ground, zone, rate, auto.sought_px[0], ~large)
    region = _parted(seen)
    runs = find_runs(region > 0)
    objects = Objects(runs, region.shape, auto.sought_px,
                      (region[runs[:, 0], runs[:, 1]], len(drawn.numbers)))
    if not objects.usable.any():
        objects.width = auto.width_px
    return np.where(np.concatenate([[False], hidden])[zone], zone, region), objects, hidden


def all_lines(
    ground: Ground, outline: Outline, drawn: Drawn, zone: NDArray[np.int32]
) -> Outline:
    """Take everything that was drawn for lines, where no dot can be told from the blur."""
    clear = np.where(ground.outline, zone, 0)
    hidden = ~np.isin(np.arange(len(drawn.numbers) + 1), clear)
    region = np.where(hidden[zone], zone, clear)
    shapes = [_shape(drawn, region, place, outline.width_px)
              for place in range(1, len(drawn.numbers) + 1) if (region == place).any()]
    return Outline(np.zeros((0, 2)), shapes, outline.width_px, [], [], outline.sought_px)


def rows_as_drawn(
    dots: Dots, drawn: Drawn, zone: NDArray[np.int32], width_px: float, min_dots: int,
    lines: set[int],
) -> tuple[dict[int, list[int]], list[int]]:
    """Order the dots of each chain along it.

    Parameters
    ----------
    dots
        The fitted dots, those that belong to nothing drawn among them.
    drawn, zone
        What was drawn, and what belongs to it.
    width_px
        Usual width.
    min_dots
        Fewest dots of a chain; where this is more than three, three were drawn all the same.
    lines
        Numbers of those that are lines.

    Returns
    -------
    tuple
        The rows by their numbers, and the dots of those that have too few.
    """
    owner = owners(dots, zone)
    rows: dict[int, list[int]] = {}
    few: list[int] = []
    for place, number in enumerate(drawn.numbers, start=1):
        if number in lines:
            continue
        own = np.flatnonzero(owner == place)
        if len(own) < min(min_dots, FEWEST):
            few += own.tolist()
            continue
        path, width = _course(drawn, place)
        centres = dots.centre[own]
        if width > _LOOSE * width_px:
            order = np.array([i for i, _ in joined(list(centres[:, None]))])
        else:
            order = order_along(centres, path, width_px)
        rows[number] = from_corner(own[order].tolist(), dots)
    return rows, few


def owners(dots: Dots, zone: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return what each dot belongs to, 0 = nothing drawn."""
    places = np.clip(np.rint(dots.centre).astype(int), 0, np.array(zone.shape) - 1)
    return np.asarray(zone[tuple(places.T)])


def rejected_as_drawn(
    drawn: Drawn, zone: NDArray[np.int32], rejected: list[Rejected], shown: set[int],
    lines: set[int],
) -> list[Rejected]:
    """Keep of what was rejected what was drawn, and add what was drawn and not found at all.

    Parameters
    ----------
    drawn, zone
        What was drawn, and what belongs to it.
    rejected
        With the reasons.
    shown
        Numbers that have dots or a line.
    lines
        Numbers that have a line: dots that were no dots are part of it.
    """
    shape = np.array(zone.shape) - 1
    kept, named = [], set(shown)
    for one in rejected:
        place = zone[tuple(np.clip(np.rint([one.y, one.x]).astype(int), 0, shape))]
        if place and not (one.reason == FAINT and drawn.numbers[place - 1] in lines):
            kept.append(one)
            named.add(drawn.numbers[place - 1])
    return kept + missing(drawn, zone, named)


def missing(drawn: Drawn, zone: NDArray[np.int32], named: set[int]) -> list[Rejected]:
    """Return what was drawn and shows nothing: all but those that are `named`."""
    found = []
    for place, number in enumerate(drawn.numbers, start=1):
        if number not in named:
            mask = zone == place
            path, width = _course(drawn, place)
            y, x = np.argwhere(mask).mean(axis=0).tolist() if mask.any() else (0.0, 0.0)
            found.append(Rejected(y, x, max(float(len(path.points)), width), width, NOTHING))
    return found


def _seen(
    ground: Ground, zone: NDArray[np.int32], rate: float, narrowest_px: float,
    small: NDArray[np.bool_],
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """What stands out inside of the zones, and which of these show nothing.

    There are fewer places where noise could do so than in the whole image: less height will do.
    In a small zone it is the highest place in any case.
    """
    sigma = max(0.7, 0.2 * narrowest_px)
    smooth = smoothed(ground.signal, sigma)
    usable = zone > 0 if ground.mask is None else (zone > 0) & ground.mask
    trials = np.maximum(np.array([usable.sum(), zone.size]) / (4.0 * np.pi * sigma**2), 1.0)
    drawn, anywhere = ndtri_exp(np.log(rate) - np.log(trials))
    faint = usable & (smooth > drawn / anywhere * ground.threshold)
    clear = usable & ground.outline
    parts, n = ndimage.label(faint & ~clear, _EIGHT)
    rims = np.zeros(n + 1, dtype=bool)
    rims[np.unique(parts[ndimage.binary_dilation(clear, _EIGHT)])] = True
    rims[0] = True
    seen = np.where(clear | ~rims[parts], zone, 0)
    places = np.arange(1, len(small) + 1)
    missing = places[~np.isin(places, seen) & np.isin(places, zone[usable])]
    alone = missing[small[missing - 1]]
    for number, (y, x) in zip(alone, ndimage.maximum_position(
            np.where(usable, smooth, -np.inf), zone, alone), strict=True):
        seen[y, x] = number
    return np.asarray(seen, dtype=np.int32), np.isin(places, missing) & ~small


def _parted(region: NDArray[np.int32]) -> NDArray[np.int32]:
    """Take off the pixels of chains that touch others to the right or below."""
    parted = region.copy()
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        touch = (region[here] != region[there]) & (region[here] > 0) & (region[there] > 0)
        parted[here][touch] = 0
    return parted


def _course(drawn: Drawn, place: int) -> tuple[Path, float]:
    """Course of one chain as it was drawn, and how wide that is."""
    if drawn.courses:
        return line_path(drawn.courses[place - 1]), 1.0
    return _of_label(drawn.seeds == place)


def _of_label(mask: NDArray[np.bool_]) -> tuple[Path, float]:
    (part,) = ndimage.find_objects(mask.astype(np.uint8)) or (None,)
    if part is None:  # it lies in the last, incomplete block of averaged pixels
        return line_path(np.zeros((1, 2))), 1.0
    path, width = label_course(mask[part])
    return path._replace(points=path.points + [one.start for one in part]), width


def _shapes(
    drawn: Drawn, region: NDArray[np.int32], objects: Objects, chosen: NDArray[np.bool_]
) -> list[Shape]:
    return [_shape(drawn, region, place, float(objects.typical[place - 1]) or objects.width)
            for place in (np.flatnonzero(chosen) + 1).tolist() if (region == place).any()]


def _shape(drawn: Drawn, region: NDArray[np.int32], place: int, size: float) -> Shape:
    """One chain with its course: as drawn, or as it is seen where a label is wide."""
    mask = region == place
    path, width = _course(drawn, place)
    if width > _LOOSE * size:
        path, _ = _of_label(mask)
    (part,) = ndimage.find_objects(mask.astype(np.uint8))
    return Shape((part[0].start, part[1].start), mask[part],
                 Stroke(drawn.numbers[place - 1], path, max(size, 2.0)))
