"""How measurements are declared, found and described.

The signature of a measurement's function is the only place where its parameters are written; the
command line, the batch recipe and the napari forms are derived from `Measurement.options`.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ParamSpec

from emtools._version import __version__
from emtools.errors import ParameterError
from emtools.measure._given import Given, said_of
from emtools.model import Image, Result
from emtools.units import LENGTH, PIXEL, RECIPROCAL

if TYPE_CHECKING:
    from emtools.tables import Table

P = ParamSpec("P")
_SCALARS: dict[str, Callable[[str], Any]] = {"float": float, "int": int, "str": str}
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Option:
    """One parameter of a measurement.

    Parameters
    ----------
    name
        With its unit as the last part.
    type
        ``float``, ``int``, ``bool``, ``str``, ``tuple`` (of strings), ``Result``, ``Image``,
        ``array``, ``lines`` (arrays of points) or ``numbers`` (by their names).
    default
        None where the measurement decides from the image, `inspect.Parameter.empty` where there is
        none.
    meaning
        Its text in the docstring.
    choices
        The values that a ``str`` can have, where they are limited.
    item
        Type of the items of a ``tuple``, and ``float`` of an ``array`` of other than whole numbers.
    """

    name: str
    type: str
    default: Any
    meaning: str
    choices: tuple[str, ...] = ()
    item: str = "str"

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is inspect.Parameter.empty

    def from_text(self, text: str) -> Any:
        """Return the value that a text says, of a number, a word or a list with commas.

        Raises
        ------
        ParameterError
            If it says none of this type, or one that is not among the choices.
        """
        try:
            if self.type == "tuple":
                parts = [part.strip() for part in text.split(",") if part.strip()]
                return tuple(_SCALARS[self.item](part) for part in parts)
            value = _TRUTH[text.strip().lower()] if self.type == "bool" \
                else _SCALARS[self.type](text)
        except (KeyError, ValueError) as error:
            raise ParameterError(self.name, f"{text!r} is not a {self.type}") from error
        if self.choices and value not in self.choices:
            raise ParameterError(self.name, f"{text!r} is not known",
                                 f"give one of {', '.join(self.choices)}")
        return value


@dataclass(frozen=True)
class Measurement:
    """A measurement: its function and what is declared about it.

    Parameters
    ----------
    name
        Name of the module, the function, the command and the recipe's section.
    function
        ``function(image, **options) -> Result``.
    tables
        Declared tables by name.
    modalities
        Kinds of image that it is meant for.
    options
        Its parameters.
    summary
        First line of its docstring.
    axes
        What it needs beside, or in place of, y and x; none for single pictures.
    reciprocal
        Whether it measures diffraction patterns and transforms, not images in real space.
    """

    name: str
    function: Callable[..., Result]
    tables: Mapping[str, Table]
    modalities: tuple[str, ...]
    options: tuple[Option, ...]
    summary: str
    axes: tuple[str, ...] = ()
    reciprocal: bool = False

    @property
    def rests_on(self) -> tuple[Option, ...]:
        """The parameters that are results of other measurements, named after them."""
        return tuple(option for option in self.options if option.type == "Result")

    def why_not(self, image: Image) -> str | None:
        """Return why the measurement does not fit the image, or None if it does."""
        reason = self._why_not_its_axes(image)
        modality = image.acquisition.modality
        if reason is None and modality is not None and modality not in self.modalities:
            return f"{modality} is not among {', '.join(self.modalities)}"
        return reason

    def _why_not_its_axes(self, image: Image) -> str | None:
        axes = " x ".join(f"{axis.name} {axis.size}" for axis in image.axes)
        if self.axes:
            there = all(image.has_axis(name) for name in self.axes)
            return None if there else f"has no axis {' and '.join(self.axes)} ({axes})"
        if not image.is_plane:
            return f"not a single picture ({axes})"
        units = {axis.unit for axis in image.plane_axes}
        if self.reciprocal:
            return self._why_no_pattern(image, units)
        if RECIPROCAL in units:
            return "a diffraction pattern or transform (axes in 1/nm)"
        if not units <= {LENGTH, PIXEL}:
            return f"not an image in real space (axes in {' and '.join(sorted(units))})"
        return None

    def _why_no_pattern(self, image: Image, units: set[str]) -> str | None:
        if units == {RECIPROCAL} or (units == {PIXEL} and image.acquisition.modality):
            return None
        if units == {PIXEL}:
            return "not known to be a diffraction pattern (axes in px)"
        return f"not a diffraction pattern (axes in {' and '.join(sorted(units))})"

    def why(self, image: Image) -> str:
        """Return why the measurement fits the image, in words."""
        modality = image.acquisition.modality
        if self.reciprocal:
            return f"{modality} pattern" if modality else "picture in 1/nm"
        return f"{modality} image" if modality else "picture of unknown modality"

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Check the names of parameters.

        Raises
        ------
        ParameterError
            If one is unknown; the message lists the known ones.
        """
        check_names(self.name, self.options, parameters)

    @property
    def takes_pictures(self) -> tuple[Option, ...]:
        """The parameters that are pictures of the same scan, named after their modality."""
        return tuple(option for option in self.options if option.type == "Image")

    def __call__(self, image: Image, **parameters: Any) -> Result:
        """Measure one image; required results of other measurements are supplied by `Run`."""
        from emtools.measure._run import Run

        return Run(image, {self.name: parameters}).result(self.name)


def measurement(
    tables: Mapping[str, Table], modalities: tuple[str, ...], axes: tuple[str, ...] = (),
    reciprocal: bool = False,
) -> Callable[[Callable[P, Result]], Callable[P, Result]]:
    """Declare a function as a measurement of pictures, or of what has the `axes` beside them.

    `reciprocal` says that the pictures are diffraction patterns.

    The wrapped function also accepts a HyperSpy signal, and its result carries the complete
    effective parameters and the source with versions.
    """

    def declare(function: Callable[P, Result]) -> Callable[P, Result]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def measure(*args: P.args, **kwargs: P.kwargs) -> Result:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            values = dict(bound.arguments)
            image = as_image(values.pop("image"))
            _check_values(function, values)
            bare = {name: value.values if isinstance(value, Given) else value
                    for name, value in values.items()}
            result = function(image, **bare)  # type: ignore[arg-type]
            source = {**image.source.describe(), "emtools": __version__}
            said = {name: said_of(value) for name, value in values.items()}
            return replace(result, parameters={**said, **result.parameters}, source=source)

        measure.__dict__.update(tables=dict(tables), modalities=modalities, axes=axes,
                                reciprocal=reciprocal)
        return measure

    return declare


def _check_values(function: Callable[..., Any], values: Mapping[str, Any]) -> None:
    for option in options_of(function):
        if option.type == "Result":
            _check_result(option, values[option.name])
        if option.choices and values[option.name] not in option.choices:
            raise ParameterError(option.name, f"{values[option.name]!r} is not known",
                                 f"give one of {', '.join(option.choices)}")


def _check_result(option: Option, value: Any) -> None:
    if isinstance(value, Result):
        if value.measurement == option.name:
            return
        what = f"is a result of {value.measurement!r}"
    elif value is None and not option.required:
        return
    else:
        what = f"is a {type(value).__name__}"
    raise ParameterError(option.name, what, f"give a Result of the measurement {option.name}")


def as_image(image: Any) -> Image:
    """Return an image, or the one of a HyperSpy signal.

    Raises
    ------
    ParameterError
        If it is something else.
    """
    if isinstance(image, Image):
        return image
    if hasattr(image, "axes_manager"):
        return Image.from_hyperspy(image)
    raise ParameterError("image", f"is a {type(image).__name__}",
                         "give an emtools Image or a HyperSpy signal")


def names() -> list[str]:
    """Return the names of all measurements, without importing them."""
    import emtools.measure as room

    return sorted({module.name for module in pkgutil.iter_modules(room.__path__)
                   if not module.name.startswith("_")})


@functools.cache
def load(name: str) -> Measurement:
    """Import a measurement.

    Raises
    ------
    ParameterError
        If there is none of that name, or its module does not declare one.
    """
    if name not in names():
        raise ParameterError(f"measurement {name!r}", "does not exist",
                             f"known are {', '.join(names())}")
    module = importlib.import_module(f"emtools.measure.{name}")
    function: Any = getattr(module, name, None)
    if not hasattr(function, "tables"):
        raise ParameterError(f"measurement {name!r}", f"is not declared in {module.__file__}",
                             f"give it a function {name} under @measurement(tables, modalities)")
    doc = inspect.getdoc(function) or ""
    return Measurement(
        name=name, function=function, tables=function.tables, modalities=function.modalities,
        options=options_of(function), summary=doc.split("\n", 1)[0], axes=function.axes,
        reciprocal=function.reciprocal,
    )


def check_names(whose: str, options: Iterable[Option], parameters: Iterable[str]) -> None:
    """Check the names of parameters of a measurement, or of another documented function.

    Raises
    ------
    ParameterError
        If one is unknown; the message lists the known ones.
    """
    known = [option.name for option in options]
    for name in parameters:
        if name not in known:
            raise ParameterError(f"{whose}: {name}", "is not a parameter of it",
                                 f"known are {', '.join(known)}")


def options_of(function: Callable[..., Any], **unknown: Any) -> tuple[Option, ...]:
    """Describe the parameters of a documented function, all but its image.

    Parameters
    ----------
    function
        Its signature gives names, types and defaults, its docstring the meanings.
    **unknown
        Names that its annotations use and its module imports for type checkers only.
    """
    texts = _parameter_texts(inspect.getdoc(function) or "")
    hints = typing.get_type_hints(inspect.unwrap(function), localns={"Result": Result, **unknown})
    return tuple(
        Option(name, _type_name(hints[name]), parameter.default, texts.get(name, ""),
               _choices(hints[name]), _item(hints[name]))
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "image"
    )


def _without_none(hint: Any) -> Any:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        parts = [part for part in typing.get_args(hint) if part is not type(None)]
        # Of several, the one that can be typed on a command line.
        return next((part for part in parts if part in (float, int, bool, str)), parts[0])
    return hint


def _item(hint: Any) -> str:
    import numpy as np

    items = typing.get_args(_without_none(hint))
    if any(np.floating in (typing.get_origin(part), part)
           for one in items for part in typing.get_args(one)):
        return "float"
    plain = bool(items) and isinstance(items[0], type) and not typing.get_args(items[0])
    return str(items[0].__name__) if plain else "other"


def _choices(hint: Any) -> tuple[str, ...]:
    hint = _without_none(hint)
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()


def _type_name(hint: Any) -> str:
    hint = _without_none(hint)
    kind = typing.get_origin(hint) or hint
    if kind is typing.Literal:
        return "str"
    if kind in (float, int, bool, str, tuple):
        return str(kind.__name__)
    if kind is Mapping and typing.get_args(hint) == (str, float):
        return "numbers"
    if kind in (Sequence, Mapping):
        return "lines"
    return {Result: "Result", Image: "Image"}.get(kind, "array")


def _parameter_texts(doc: str) -> dict[str, str]:
    """Return the text of each parameter in a numpydoc docstring."""
    section = r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)"
    match = re.search(section, doc, re.DOTALL | re.MULTILINE)
    texts: dict[str, str] = {}
    if match is None:
        return texts
    for block in re.split(r"\n(?=\S)", match[1].strip()):
        head, _, body = block.partition("\n")
        text = " ".join(line.strip() for line in body.splitlines()).strip()
        for name in head.split(":")[0].split(","):
            texts[name.strip()] = text
    return texts
