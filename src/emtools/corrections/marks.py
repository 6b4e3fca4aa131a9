"""What a person took or left out, object by object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from emtools.errors import ParameterError
from emtools.tables import MARKED

if TYPE_CHECKING:
    from collections.abc import Mapping

Mark = Literal["accepted", "rejected"]
IMAGE = "image"


@dataclass(frozen=True)
class Marks:
    """Objects, and the image as a whole, as accepted or rejected by hand.

    Parameters
    ----------
    objects
        By table (``chains``, ``dots``, ``grains``) and number: accepted or rejected.
    image
        The same of the image, None if nobody said.
    """

    objects: Mapping[str, Mapping[int, Mark]] = field(default_factory=dict)
    image: Mark | None = None

    def __post_init__(self) -> None:
        objects = {table: {int(number): mark for number, mark in sorted(marks.items())}
                   for table, marks in sorted(self.objects.items()) if marks}
        for table, marks in objects.items():
            for number, mark in marks.items():
                _check(table, number, mark)
        if self.image is not None:
            _check(IMAGE, None, self.image)
        object.__setattr__(self, "objects", objects)

    def __bool__(self) -> bool:
        return bool(self.objects) or self.image is not None

    def __hash__(self) -> int:
        return hash(repr(self.to_dict()))

    def marked(self, table: str, number: int | None, mark: Mark) -> Marks:
        """Return them with an object of a table marked; the image has no number."""
        _check(table, number, mark)
        if table == IMAGE or number is None:
            return Marks(self.objects, mark)
        return Marks({**self.objects, table: {**self.objects.get(table, {}), number: mark}},
                     self.image)

    def cleared(self, table: str, number: int | None = None) -> Marks:
        """Return them without the mark of an object, or of the image."""
        _check(table, number, "accepted")
        if table == IMAGE:
            return Marks(self.objects)
        left = {one: mark for one, mark in self.objects.get(table, {}).items() if one != number}
        return Marks({**self.objects, table: left}, self.image)

    def to_dict(self) -> dict[str, Any]:
        """Return them as plain values that JSON can hold."""
        said: dict[str, Any] = {table: {str(number): mark for number, mark in marks.items()}
                                for table, marks in self.objects.items()}
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
                        for table, marks in given.items() if table != IMAGE}, given.get(IMAGE))
        except (AttributeError, TypeError, ValueError) as error:
            if isinstance(error, ParameterError):
                raise
            raise ParameterError("marks", f"cannot be read ({error!r})") from error


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
