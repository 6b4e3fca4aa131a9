"""Parameters of a measurement -> fields of a form, and what is typed into them -> values.

Derived from the measurement's signature alone, as the options of the command line are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from emtools.errors import ParameterError

if TYPE_CHECKING:
    from emtools.measure import Option
    from emtools.model import Image

Kind = Literal["text", "choice", "switch", "labels", "lines", "file", "result"]
_KINDS: dict[str, Kind] = {"bool": "switch", "lines": "lines", "array": "labels",
                           "numbers": "file", "Result": "result"}
_UNITS = {"nm": "nm", "px": "px", "keV": "keV", "deg": "°", "percent": "%", "s": "s",
          "per_nm": "1/nm", "g_cm3": "g/cm³", "nm2": "nm²"}
_NO_FIELD = ("Image",)  # pictures of the same scan are found by themselves
_DRAWN = ("labels", "centrelines", "dots")  # of `chains`: the panel Correct gives them
_NOT_ASKED = ("rng",)


@dataclass(frozen=True)
class Field:
    """One line of a form.

    Parameters
    ----------
    option
        The parameter.
    kind
        How it is asked for.
    """

    option: Option
    kind: Kind

    @property
    def name(self) -> str:
        """Name of the parameter."""
        return self.option.name

    @property
    def label(self) -> str:
        """Name in words, with its unit: ``min width (nm)``."""
        for unit, sign in sorted(_UNITS.items(), key=lambda one: -len(one[0])):
            if self.name.endswith(f"_{unit}"):
                return f"{self.name.removesuffix(f'_{unit}').replace('_', ' ')} ({sign})"
        return self.name.replace("_", " ")

    @property
    def tip(self) -> str:
        """The parameter's text in the docstring, and what it is by default."""
        default = self.option.default
        said = "found from the image" if default in (None, ()) else \
            str(default).lower() if isinstance(default, bool) else f"{default}"
        shown = f" (default: {said})" if self.kind in ("text", "choice", "switch") else ""
        return re.sub(r"`+", "", self.option.meaning) + shown

    @property
    def initial(self) -> str:
        """What the field holds at first, as text."""
        default = self.option.default
        if default is None or self.option.required:
            return ""
        return ", ".join(map(str, default)) if isinstance(default, tuple) else f"{default}"

    @property
    def hint(self) -> str:
        """What an empty field means."""
        if self.option.type == "tuple":
            return "separated by commas"
        return "automatic" if self.option.default is None else ""

    def value(self, text: str) -> Any:
        """Return what was typed as the parameter's value; its default where nothing was.

        Raises
        ------
        ParameterError
            If it is no value of this kind.
        """
        if not text.strip() and self.option.type != "str":
            return self.option.default
        return self.option.from_text(text.strip())


def fields_of(options: tuple[Option, ...]) -> list[Field]:
    """Return the fields of a form, in the order of the signature."""
    return [Field(one, _kind(one)) for one in options
            if one.type not in _NO_FIELD and one.name not in (*_DRAWN, *_NOT_ASKED)]


def _kind(option: Option) -> Kind:
    if option.choices:
        return "choice"
    return _KINDS.get(option.type, "text")


def labels_on(layer: Any, image: Image, name: str) -> np.ndarray[Any, Any]:
    """Return a labels layer as whole numbers on the pixels of an image.

    Raises
    ------
    ParameterError
        If it has other pixels.
    """
    labels = np.asarray(layer.data)
    shape = tuple(axis.size for axis in image.plane_axes)
    if labels.shape != shape:
        raise ParameterError(name, f"{layer.name!r} has {labels.shape} pixels, the image {shape}",
                             "make labels of this image with 'New labels'")
    return labels


def lines_of(layer: Any) -> dict[int, np.ndarray[Any, Any]]:
    """Return the lines of a shapes layer, ``(n, 2)`` places (y, x) in its unit, by number."""
    scale = np.asarray(layer.scale[-2:], dtype=float)
    return {number: np.asarray(points, dtype=float)[:, -2:] * scale
            for number, (points, kind) in enumerate(zip(layer.data, layer.shape_type, strict=True),
                                                    start=1)
            if kind in ("line", "path")}


def numbers_in(name: str, path: str) -> dict[str, float]:
    """Return numbers by their names out of a TOML or JSON file.

    Raises
    ------
    ParameterError
        If the file holds none.
    """
    from emtools.cli.numbers import read_numbers

    return dict(read_numbers(name, Path(path)))
