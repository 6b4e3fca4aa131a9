"""Parameters of a function -> options of a command, and their text -> values."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emtools.errors import ParameterError
from emtools.measure import check_names, load, options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from emtools.measure import Option

_SCALARS: dict[str, type] = {"float": float, "int": int, "bool": bool, "str": str}
_FILES = {"array": "A file: .npy, .npz, or a picture such as .tif or .png.",
          "lines": "A file: .csv with chain, y_nm, x_nm, as of the table axes, or .json.",
         "numbers": "A file: .toml or .json with a table of that name."}


def settings(
    texts: list[str], steps: Mapping[str, Callable[..., Any]] | None = None
) -> dict[str, dict[str, Any]]:
    """Read ``name.parameter=value`` into parameters of measurements, or of steps if given."""
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        name, dot, parameter = key.strip().partition(".")
        if not (equals and dot):
            raise ParameterError(f"--set {text}", "is not of the form measurement.parameter=value")
        options = step_options(steps[name]) if steps and name in steps else load(name).options
        check_names(name, options, (parameter,))
        option = next(o for o in options if o.name == parameter)
        found.setdefault(name, {})[parameter] = from_text(option, value)
    return found


def step_options(step: Callable[..., Any]) -> tuple[Option, ...]:
    """Parameters of a step of processing that a text can say."""
    return tuple(option for option in options_of(step, Image=object)
                 if option.type in (*_SCALARS, "tuple"))


def from_text(option: Option, value: Any) -> Any:
    """Turn an option's text into the type of its parameter; arrays and lines come from files."""
    if option.type == "array" and value is not None:
        from emtools.cli.arrays import read_array

        return read_array(option.name, Path(value), whole=option.item != "float")
    if option.type == "lines" and value is not None:
        from emtools.cli.lines import read_lines

        return read_lines(option.name, Path(value))
    if option.type == "numbers" and value is not None:
        from emtools.cli.numbers import read_numbers

        return read_numbers(option.name, Path(value))
    return option.from_text(value) if isinstance(value, str) else value


def with_signature(
    command: Callable[..., None], fixed: dict[str, tuple[Any, Any]], options: Sequence[Option],
    doc: str,
) -> Callable[..., None]:
    """Give a function the signature that the command-line library reads its options from."""
    parameters, annotations = [], {}
    described = {option.name: (_annotation(option), _default(option)) for option in options}
    for name, (annotation, default) in (fixed | described).items():
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default,
                                            annotation=annotation))
        annotations[name] = annotation
    command.__dict__["__signature__"] = inspect.Signature(parameters)
    command.__annotations__ = annotations
    command.__doc__ = doc
    return command


def _annotation(option: Option) -> Any:
    meaning = option.meaning
    if option.type == "tuple":
        return Annotated[str, typer.Option(help=f"{meaning} With commas.")]
    if option.type in _FILES:
        return Annotated[Path | None, typer.Option(help=f"{meaning} {_FILES[option.type]}",
                                                   show_default=False)]
    if option.choices:
        meaning = f"{meaning} One of {', '.join(option.choices)}."
    kind: Any = _SCALARS[option.type]
    if option.default is None:
        return Annotated[kind | None, typer.Option(help=meaning, show_default=False)]
    return Annotated[kind, typer.Option(help=meaning)]


def _default(option: Option) -> Any:
    if option.type == "tuple":
        return ",".join(str(part) for part in option.default or ())
    return option.default
