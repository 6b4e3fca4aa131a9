"""Which pixels of a spectrum image belong to which region, and to which step of a profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from emtools.errors import ParameterError
from emtools.model.image import same_scan
from emtools.process.straighten import arc_lengths
from emtools.tables import in_unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from emtools.model import Image, Result
    from emtools.process.spectra import Spectra

    Floats = NDArray[np.float64]
    Labels = NDArray[np.int64]

FILM = "film"
_AWAY = 1.0  # widths beyond a body's edge from which a pixel is film
_FEWEST_FILM = 20  # pixels
_USUAL_WIDTH_PX = 5.0  # of the strip along a drawn line


class Grid(NamedTuple):
    """The pixels of a spectrum image.

    Parameters
    ----------
    used
        ``(y, x)`` boolean: those that count.
    pixel
        Their size along y and x.
    unit
        Of the size.
    """

    used: NDArray[np.bool_]
    pixel: tuple[float, float]
    unit: str

    @property
    def mean_pixel(self) -> float:
        """Side of a square as large as a pixel."""
        return float(np.sqrt(self.pixel[0] * self.pixel[1]))

    def places(self, chosen: NDArray[np.bool_]) -> Floats:
        """Positions ``(n, 2)`` of some pixels, in the unit."""
        return np.asarray(np.argwhere(chosen) * np.array(self.pixel))


class Regions(NamedTuple):
    """Regions that do not overlap.

    Parameters
    ----------
    names
        Of the labels 1, 2, ...
    labels
        ``(y, x)``, 0 = none.
    on_film
        Whether they are of chains, from which the film beside them can be taken off.
    """

    names: list[str]
    labels: Labels
    on_film: bool = False


class Course(NamedTuple):
    """A line on which a profile is taken.

    Parameters
    ----------
    number
        Of the chain or the drawn line.
    points
        ``(n, 2)`` y, x.
    s
        ``(n,)`` arc length at the points, counted as the tables do.
    width
        Of the strip.
    gaps
        ``(m, 2)`` first and last arc length of each gap.
    drawn
        Whether a person drew it.
    """

    number: int
    points: Floats
    s: Floats
    width: float
    gaps: Floats
    drawn: bool


class Steps(NamedTuple):
    """Steps of profiles.

    Parameters
    ----------
    labels
        ``(y, x)`` number of the step, 0 = none.
    rows
        Of each step: number of its course, where it is (dot, gap, line), arc length.
    """

    labels: Labels
    rows: list[tuple[int, str, float]]


class Values(NamedTuple):
    """Means over steps ``(steps + 1,)``, 0 = none of them, and their 1 sigma."""

    mean: Floats
    err: Floats

    @classmethod
    def none(cls, steps: int) -> Values:
        """Nothing was recorded."""
        return cls(*np.full((2, steps + 1), np.nan))


class Intensity(NamedTuple):
    """Intensity of a picture, and which pixel of the spectra each of its pixels lies in.

    Parameters
    ----------
    values
        ``(p,)`` of its pixels.
    pixel
        ``(p,)`` numbers of those of the spectra, row by row.
    """

    values: Floats
    pixel: NDArray[np.intp]

    def means(self, steps: Steps) -> Values:
        """Means over steps; their errors are from the scatter of the pixels."""
        step = steps.labels.ravel()[self.pixel]
        n = np.bincount(step, minlength=len(steps.rows) + 1).astype(float)
        n[n == 0] = np.nan
        mean, square = (np.bincount(step, power, minlength=len(n)) / n
                        for power in (self.values, self.values**2))
        spread = np.maximum(square - mean**2, 0.0) / np.maximum(n - 1.0, 1.0)
        return Values(mean, np.where(n > 1, np.sqrt(spread), np.nan))


def on_grid(picture: Image, spectra: Image, grid: Grid) -> Intensity:
    """Lay a picture of the same scan, of any sampling, over the spectra.

    Raises
    ------
    ParameterError
        If it is no picture, or one of another field.
    """
    if not picture.is_plane or not same_scan(spectra, picture):
        raise ParameterError("haadf", f"{picture.name} does not show the field of the spectra",
                             "give the picture that was recorded with them")
    values = np.asarray(picture.load(), dtype=np.float64)
    # A picture of fewer pixels than there are spectra is used more than once.
    finer = np.maximum(values.shape, grid.used.shape).tolist()
    down, right = map(_pixels_of, grid.used.shape, finer)
    pixel = (down[:, None] * grid.used.shape[1] + right).ravel()
    values = values[np.ix_(*map(_pixels_of, values.shape, finer))].ravel()
    usable = np.isfinite(values) & grid.used.ravel()[pixel]
    return Intensity(values[usable], pixel[usable])


def _pixels_of(n: int, finer: int) -> NDArray[np.intp]:
    """Which of ``n`` pixels holds the middle of each of ``finer`` along the same length."""
    return np.minimum(((np.arange(finer) + 0.5) * n / finer).astype(np.intp), n - 1)


def labelled(regions: NDArray[np.integer[Any]], shape: tuple[int, int]) -> Regions:
    """Regions that were drawn.

    Raises
    ------
    ParameterError
        If the map does not fit.
    """
    labels = np.asarray(regions)
    if labels.shape != shape or labels.dtype.kind not in "biu" or (labels < 0).any():
        raise ParameterError("regions", f"are {labels.dtype} of shape {labels.shape}",
                             f"give whole numbers from 0 of shape {shape}")
    numbers = np.unique(labels[labels > 0])
    return Regions([str(int(number)) for number in numbers],
                   np.searchsorted(numbers, labels) * (labels > 0) + (labels > 0))


def half_pixels_apart(picture: Image, spectra: Image) -> Floats:
    """By how much places (y, x) of a picture stand lower than those of spectra of the same field.

    Both count from the middle of their first pixel, which is another place if their pixels differ.
    """
    sizes = np.array([[axis.pixel_size for axis in one.plane_axes] for one in (picture, spectra)])
    return np.asarray(0.5 * (sizes[0] - sizes[1]))


def courses_of_chains(chains: Result, grid: Grid, apart: Floats) -> list[Course]:
    """Centrelines of measured chains.

    `apart`: by how much their places stand lower than those of the spectra.

    Raises
    ------
    ParameterError
        If they are in another unit than the spectra.
    """
    tables, unit = chains.tables, grid.unit
    rows = tables["chains"]
    if not len(rows):
        return []
    if chains.summary.get("unit", unit) != unit:
        raise ParameterError("chains", f"are in {chains.summary['unit']}, the spectra in {unit}",
                             "give the result of the image of the same scan")
    y, x, s = (in_unit(name, unit) for name in ("y_nm", "x_nm", "s_nm"))
    found = []
    for number, width in zip(rows["chain"].tolist(), rows[in_unit("width_nm", unit)].tolist(),
                             strict=True):
        axis, gaps = (tables[name][tables[name]["chain"] == number] for name in ("axes", "gaps"))
        half = 0.5 * np.maximum(gaps[in_unit("gap_nm", unit)].to_numpy(), grid.mean_pixel)
        middle = gaps[s].to_numpy()
        points, arc = _to_the_tips(axis[[y, x]].to_numpy() + apart, axis[s].to_numpy(),
                                   grid.mean_pixel)
        found.append(Course(number, points, arc, width,
                            np.stack([middle - half, middle + half], axis=-1), False))
    return found


def courses_of_lines(
    lines: Sequence[Any] | Mapping[int, Any], width: float | None, grid: Grid, first: int
) -> list[Course]:
    """Drawn lines, numbered on from `first`.

    Raises
    ------
    ParameterError
        If one is no line.
    """
    given = dict(lines) if hasattr(lines, "items") else dict(enumerate(lines, start=1))
    found = []
    for number, line in given.items():
        points = np.asarray(line, dtype=float)
        if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2 \
                or not np.isfinite(points).all():
            raise ParameterError("lines", f"line {number} has the shape {points.shape}",
                                 "give at least two points [y, x] each")
        dense = _dense(points, 0.5 * grid.mean_pixel)
        across = _USUAL_WIDTH_PX * grid.mean_pixel if width is None else width
        found.append(Course(first + int(number), dense, arc_lengths(dense), across,
                            np.zeros((0, 2)), True))
    return found


def _to_the_tips(points: Floats, s: Floats, step: float) -> tuple[Floats, Floats]:
    """Go straight on from the middles of the end dots to their outer edges, where s begins."""
    cap, last = float(s[0]), len(points) - 1
    if cap <= 0 or last < 1:
        return points, s
    steps = np.linspace(0.0, cap, max(2, round(2 * cap / step)))[1:]
    ends = []
    for end, other in ((0, 1), (last, last - 1)):
        along = points[end] - points[other]
        along = along / max(float(np.hypot(*along)), 1e-9)
        ends.append(points[end] + steps[:, None] * along)
    return (np.vstack([ends[0][::-1], points, ends[1]]),
            np.concatenate([(s[0] - steps)[::-1], s, s[-1] + steps]))


def _dense(points: Floats, step: float) -> Floats:
    arc = arc_lengths(points)
    fine = np.linspace(0.0, arc[-1], max(2, int(arc[-1] / step) + 1))
    return np.stack([np.interp(fine, arc, column) for column in points.T], axis=-1)


class Strips:
    """All pixels, each with the course that it lies on and how far along.

    Parameters
    ----------
    courses
        The lines: where several are near, a pixel belongs to the nearest.
    grid
        The pixels.
    """

    def __init__(self, courses: Sequence[Course], grid: Grid) -> None:
        shape = grid.used.shape
        self.courses = list(courses)
        self.owner = np.full(shape, -1, dtype=np.int64)
        self.s = np.zeros(shape)
        self.distance = np.full(shape, np.inf)
        if not courses:
            return
        points = np.concatenate([course.points for course in courses])
        of = np.concatenate([np.full(len(c.points), i) for i, c in enumerate(courses)])
        arc = np.concatenate([course.s for course in courses])
        every = np.ones(shape, dtype=bool)
        found = cKDTree(points).query(grid.places(every))
        distance, nearest = np.asarray(found[0]), np.asarray(found[1], dtype=np.intp)
        widths = np.array([course.width for course in courses])
        inside = distance <= np.maximum(0.5 * widths[of[nearest]], 0.5 * grid.mean_pixel)
        self.owner = np.where(inside, of[nearest], -1).reshape(shape)
        self.owner[~grid.used] = -1
        self.s = arc[nearest].reshape(shape)
        self.distance = distance.reshape(shape)

    def in_gap(self) -> NDArray[np.bool_]:
        """Pixels in a gap of the chain that they lie on."""
        found = np.zeros(self.owner.shape, dtype=bool)
        for i, course in enumerate(self.courses):
            on = self.owner == i
            for low, high in course.gaps.tolist():
                found |= on & (self.s >= low) & (self.s <= high)
        return found

    def steps(self, length: float) -> Steps:
        """Cut the courses into steps of about one length."""
        labels = np.zeros(self.owner.shape, dtype=np.int64)
        rows: list[tuple[int, str, float]] = []
        gap = self.in_gap()
        for i, course in enumerate(self.courses):
            on = self.owner == i
            start, end = float(course.s[0]), float(course.s[-1])
            n = max(1, round((end - start) / length))
            edges = np.linspace(start, end, n + 1)
            which = np.clip(np.searchsorted(edges, self.s, side="right") - 1, 0, n - 1)
            labels[on] = len(rows) + 1 + which[on]
            for k in range(n):
                here = on & (which == k)
                kind = "line" if course.drawn else \
                    "gap" if here.any() and gap[here].mean() > 0.5 else "dot"
                rows.append((course.number, kind, float(0.5 * (edges[k] + edges[k + 1]))))
        return Steps(labels, rows)


def regions_of_chains(
    strips: Strips, chains: Result, grid: Grid, apart: Floats
) -> list[Regions]:
    """Each chain; all dots and all gaps; and the film beside them."""
    if not strips.courses:
        return []
    labels = strips.owner + 1
    parts = np.where(labels > 0, np.where(strips.in_gap(), 2, 1), 0)
    film = _film(strips, chains.tables["dots"], grid, apart) & (labels == 0)
    found = [Regions([f"chain {course.number}" for course in strips.courses], labels, True),
             Regions(["dots", "gaps"], parts, True)]
    return [*found, Regions([FILM], film.astype(np.int64))] if film.sum() >= _FEWEST_FILM else found


def _film(
    strips: Strips, dots: pd.DataFrame, grid: Grid, apart: Floats
) -> NDArray[np.bool_]:
    away = (0.5 + _AWAY) * max(course.width for course in strips.courses)
    film = grid.used & (strips.distance > away)
    centres = dots[[in_unit("y_nm", grid.unit), in_unit("x_nm", grid.unit)]].to_numpy() + apart
    if len(centres) and film.any():
        distance, _ = cKDTree(centres).query(grid.places(film))
        film[film] = np.asarray(distance) > away
    return film


def summed(
    spectra: Spectra, maps: Sequence[tuple[Labels, int]], used: NDArray[np.bool_]
) -> list[tuple[Floats, NDArray[np.int64]]]:
    """Summed spectra ``(n + 1, c)`` of the labels 0 ... n of each map, and their numbers of pixels.

    The spectra are read once, however many maps there are.
    """
    stack = np.stack([np.where(used, labels, 0).ravel() for labels, _ in maps])
    kinds, which = np.unique(stack, axis=1, return_inverse=True)
    which = which.reshape(used.shape).astype(np.int64)
    n = kinds.shape[1]
    sums = spectra.sums(which, n - 1)
    sizes = np.bincount(which[used], minlength=n)
    found = []
    for (_, last), own in zip(maps, kinds, strict=True):
        members = own == np.arange(last + 1)[:, None]
        found.append((members.astype(float) @ sums, members.astype(np.int64) @ sizes))
    return found
