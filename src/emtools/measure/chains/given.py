"""What a person drew or corrected: labels, centrelines, dots; checked, and on the pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from emtools.errors import ParameterError
from emtools.process.resample import labels_on
from emtools.process.straighten import arc_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.process.plane import Plane
    from emtools.process.resample import Square

    Floats = NDArray[np.float64]

_PAINTED_PX = 0.25  # step at which a line's pixels are found


class Drawn(NamedTuple):
    """What was drawn, on the pixels that are measured.

    Parameters
    ----------
    numbers
        Of the chains, as they were drawn.
    seeds
        ``(y, x)``: place in `numbers` + 1 of what was drawn there, 0 = nothing.
    courses
        Of drawn lines, ``(n, 2)`` pixels at steps of one; none where labels were drawn.
    lines
        The same with the points that were drawn, also those outside of the picture.
    """

    numbers: tuple[int, ...]
    seeds: NDArray[np.int32]
    courses: tuple[Floats, ...]
    lines: tuple[Floats, ...] = ()


class Drawing(NamedTuple):
    """What was drawn, as it was given.

    Parameters
    ----------
    numbers
        Of the chains.
    labels
        ``(y, x)`` on the image's pixels, as `Drawn.seeds`; None where none were drawn.
    lines
        Each ``(n, 2)`` in the image's unit; None where none were drawn, not even an empty set.
    dots
        ``(n, 2)`` in the image's unit; None where dots are sought.
    """

    numbers: tuple[int, ...]
    labels: NDArray[np.int32] | None
    lines: tuple[Floats, ...] | None
    dots: Floats | None = None

    def dots_on(self, view: Square) -> Floats | None:
        """Bring the dots to the pixels that are measured."""
        return None if self.dots is None else np.asarray((self.dots - view.origin) / view.pixel)

    def on(self, view: Square) -> Drawn | None:
        """Bring labels or lines to the pixels that are measured; None where none were drawn."""
        if self.labels is not None:
            return Drawn(self.numbers, labels_on(view, self.labels), ())
        if self.lines is None:
            return None
        shape = view.plane.values.shape
        seeds = np.zeros(shape, dtype=np.int32)
        courses = []
        lines = tuple((line - view.origin) / view.pixel for line in self.lines)
        for number, points in enumerate(lines, start=1):
            courses.append(_inside(_stepped(points, 1.0), shape))
            places = np.rint(_inside(_stepped(points, _PAINTED_PX), shape)).astype(int)
            seeds[tuple(places.T)] = number
        return Drawn(self.numbers, seeds, tuple(courses), lines)


def drawing(labels: Any, centrelines: Any, dots: Any, plane: Plane) -> Drawing | None:
    """Check what was drawn; None if nothing was.

    Raises
    ------
    ParameterError
        If it is no map of labels of the image's shape, or no lines or dots in the image.
    """
    if labels is not None:
        if centrelines is not None or dots is not None:
            other = "centrelines" if centrelines is not None else "dots"
            raise ParameterError(f"labels, {other}", "are both given", "give one of them")
        return _from_labels(labels, plane)
    places = None if dots is None else _from_dots(dots, plane)
    if centrelines is None:
        return None if places is None else Drawing((), None, None, places)
    return _from_lines(centrelines, plane, may_be_empty=places is not None)._replace(dots=places)


def _from_labels(given: Any, plane: Plane) -> Drawing:
    labels = np.asarray(given)
    if labels.shape != plane.values.shape or labels.dtype.kind not in "biu":
        raise ParameterError("labels", f"must be whole numbers of shape {plane.values.shape}, not "
                             f"{labels.dtype} of shape {labels.shape}")
    numbers, places = np.unique(labels, return_inverse=True)
    if numbers[0] < 0:
        raise ParameterError("labels", f"has the label {numbers[0]}",
                             "number the chains from 1, 0 = none")
    if numbers[-1] == 0:
        raise ParameterError("labels", "holds no label, all are 0", "draw a chain")
    first = int(numbers[0] == 0)
    return Drawing(tuple(numbers[first:].tolist()),
                   (places.reshape(labels.shape) + 1 - first).astype(np.int32), None)


def places_of(given: Any, name: str, fewest: int, advice: str) -> Floats:
    """Return what was drawn as ``(n, 2)`` places, at least so many.

    Raises
    ------
    ParameterError
        If it is none.
    """
    try:
        places = np.asarray(given, dtype=float)
    except (TypeError, ValueError) as error:
        raise ParameterError(name, "holds no numbers", advice) from error
    if places.ndim != 2 or places.shape[1] != 2 or len(places) < fewest:
        raise ParameterError(name, f"has the shape {places.shape}", advice)
    if not np.isfinite(places).all():
        raise ParameterError(name, "has places that are no finite numbers", advice)
    return places


def _from_dots(given: Any, plane: Plane) -> Floats:
    advice = "give an (n, 2) array of places y, x in the image's unit"
    places = places_of(given, "dots", 0, advice)
    if len(places) and not _in_frame(places, plane).any():
        raise ParameterError("dots", f"lie outside of the image ({_range(places, plane)})", advice)
    return places


def _from_lines(given: Any, plane: Plane, *, may_be_empty: bool) -> Drawing:
    advice = "give (n, 2) arrays of points y, x in the image's unit"
    if isinstance(given, Mapping):
        numbers, lines = list(given), list(given.values())
    elif isinstance(given, Sequence) and not isinstance(given, str):
        numbers, lines = list(range(1, len(given) + 1)), list(given)
    else:
        raise ParameterError("centrelines", f"is a {type(given).__name__}", advice)
    if not lines and not may_be_empty:
        raise ParameterError("centrelines", "holds no line", advice)
    for number in numbers:
        if not isinstance(number, int | np.integer) or number < 1:
            raise ParameterError("centrelines", f"has a chain {number!r}",
                                 "number the chains from 1")
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    return Drawing(tuple(int(numbers[i]) for i in order), None,
                   tuple(_line(lines[i], int(numbers[i]), plane, advice) for i in order))


def _line(given: Any, number: int, plane: Plane, advice: str) -> Floats:
    points = places_of(given, f"centrelines: {number}", 2, advice)
    if not _in_frame(_stepped(points, float(plane.calibration.pixel_size)), plane).any():
        raise ParameterError(f"centrelines: {number}",
                             f"lies outside of the image ({_range(points, plane)})", advice)
    return points


def _in_frame(points: Floats, plane: Plane) -> NDArray[np.bool_]:
    reach = plane.calibration.matrix @ np.array(plane.values.shape, dtype=float)
    return np.asarray(((points >= 0) & (points < reach)).all(axis=1))


def _range(points: Floats, plane: Plane) -> str:
    low, high = points.min(axis=0).round(3).tolist(), points.max(axis=0).round(3).tolist()
    return f"{low} ... {high} {plane.unit}"


def _stepped(points: Floats, step: float) -> Floats:
    """Points of a polyline at even steps, about."""
    arc = arc_lengths(points)
    at = np.linspace(0.0, arc[-1], max(2, int(np.ceil(arc[-1] / step)) + 1))
    return np.stack([np.interp(at, arc, column) for column in points.T], axis=-1)


def _inside(points: Floats, shape: tuple[int, ...]) -> Floats:
    inside = ((points >= -0.5) & (points < np.array(shape) - 0.5)).all(axis=1)
    return points[inside]
