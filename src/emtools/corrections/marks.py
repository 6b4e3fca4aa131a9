"""What a person took or left out, object by object."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from emtools.corrections.objects import Place, number_at
from emtools.errors import ParameterError
from emtools.tables import MARKED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from emtools.model import Result

Mark = Literal["accepted", "rejected"]
IMAGE, _PLACES = "image", "places"


@dataclass(frozen=True)
class Marks:
    """Objects, and the image as a whole, as accepted or rejected by hand.

    Parameters
    ----------
    objects
        By table (``chains``, ``dots``, ``grains``) and number: accepted or rejected.
    image
        The same of the image, None if nobody said.
    places
        Where the objects lie (y, x), by table and number: a marked object is known again by its
        place, if it has one, else by its number.
    """

    objects: Mapping[str, Mapping[int, Mark]] = field(default_factory=dict)
    image: Mark | None = None
    places: Mapping[str, Mapping[int, Place]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        objects = {table: {int(number): mark for number, mark in sorted(marks.items())}
                   for table, marks in sorted(self.objects.items()) if marks}
        for table, marks in objects.items():
            for number, mark in marks.items():
                _check(table, number, mark)
        if self.image is not None:
            _check(IMAGE, None, self.image)
        object.__setattr__(self, "objects", objects)
        places = {table: {number: (float(own[number][0]), float(own[number][1]))
                          for number in marks if number in own}
                  for table, marks in objects.items()
                  if (own := {int(n): at for n, at in self.places.get(table, {}).items()})}
        object.__setattr__(self, "places", {table: own for table, own in places.items() if own})

    def __bool__(self) -> bool:
        return bool(self.objects) or self.image is not None

    def __hash__(self) -> int:
        return hash(repr(self.to_dict()))

    def marked(
        self, table: str, number: int | None, mark: Mark, place: Place | None = None
    ) -> Marks:
        """Return them with an object of a table marked, that lies at a place; or the image."""
        _check(table, number, mark)
        if table == IMAGE or number is None:
            return replace(self, image=mark)
        places = {one: at for one, at in self.places.get(table, {}).items() if one != number}
        if place is not None:
            places[number] = place
        return replace(
            self, places={**self.places, table: places},
            objects={**self.objects, table: {**self.objects.get(table, {}), number: mark}})

    def followed(self, result: Result) -> tuple[Marks, dict[str, list[int]]]:
        """Return them with the numbers that the same objects have in a result.

        Returns
        -------
        tuple
            The marks of what is there, and by table the numbers of what is there no more.
        """
        objects: dict[str, dict[int, Mark]] = {}
        places: dict[str, dict[int, Place]] = {}
        gone: dict[str, list[int]] = {}
        for table, marks in self.objects.items():
            known = result.tables.get(table)
            numbers = set() if known is None else set(known[MARKED[table]].tolist())
            for number, mark in marks.items():
                place = self.places.get(table, {}).get(number)
                now = number if place is None else number_at(result, table, place)
                if now is None or now not in numbers:
                    gone.setdefault(table, []).append(number)
                    continue
                objects.setdefault(table, {})[now] = mark
                if place is not None:
                    places.setdefault(table, {})[now] = place
        return Marks(objects, self.image, places), gone

    def moved(self, turn: NDArray[np.float64]) -> Marks:
        """Return them with their places multiplied by a 2x2 matrix."""
        return replace(self, places={
            table: {number: _times(turn, at) for number, at in own.items()}
            for table, own in self.places.items()})

    def cleared(self, table: str, number: int | None = None) -> Marks:
        """Return them without the mark of an object, or of the image."""
        _check(table, number, "accepted")
        if table == IMAGE:
            return replace(self, image=None)
        left = {one: mark for one, mark in self.objects.get(table, {}).items() if one != number}
        return replace(self, objects={**self.objects, table: left})

    def to_dict(self) -> dict[str, Any]:
        """Return them as plain values that JSON can hold."""
        said: dict[str, Any] = {table: {str(number): mark for number, mark in marks.items()}
                                for table, marks in self.objects.items()}
        if self.places:
            said[_PLACES] = {table: {str(number): list(at) for number, at in own.items()}
                             for table, own in self.places.items()}
        return said if self.image is None else {**said, IMAGE: self.image}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Marks:
        """Return the marks of `to_dict`.

        Raises
        ------
        ParameterError
            If it is none.
        """
        try:
            return cls({table: {int(number): mark for number, mark in marks.items()}
                        for table, marks in given.items() if table not in (IMAGE, _PLACES)},
                       given.get(IMAGE),
                       {table: {int(number): (float(at[0]), float(at[1]))
                                for number, at in own.items()}
                        for table, own in given.get(_PLACES, {}).items()})
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            if isinstance(error, ParameterError):
                raise
            raise ParameterError("marks", f"cannot be read ({error!r})") from error


def _times(turn: NDArray[np.float64], place: Place) -> Place:
    y, x = (turn @ np.asarray(place)).tolist()
    return float(y), float(x)


def _check(table: str, number: int | None, mark: str) -> None:
    if table != IMAGE and table not in MARKED:
        raise ParameterError(f"marks: {table}", "cannot be marked",
                             f"known are {', '.join([*MARKED, IMAGE])}")
    if table == IMAGE and number is not None:
        raise ParameterError("marks: image", f"has no number {number}")
    if table != IMAGE and (number is None or number < 1):
        raise ParameterError(f"marks: {table}", f"has no object {number}", "they count from 1")
    if mark not in get_args(Mark):
        raise ParameterError(f"marks: {table}", f"{mark!r} is not known",
                             f"give one of {', '.join(get_args(Mark))}")
