"""Simulated images on the command line: which simulators there are, and writing what they make."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from emtools import simulate
from emtools.errors import ParameterError
from emtools.io.writing import write_image
from emtools.measure import options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from emtools.measure import Option
    from emtools.model import Image

# Items of tuples that can be written on a command line; grains and matrices cannot.
_PLAIN_ITEMS = ("str", "int", "float")


def simulators() -> dict[str, Callable[..., Any]]:
    """Return the public simulators by name."""
    found = {name: getattr(simulate, name) for name in simulate.__all__}
    return {name: value for name, value in found.items() if inspect.isfunction(value)}


def options(function: Callable[..., Any]) -> list[Option]:
    """Return the parameters of a simulator that a command line can give."""
    found = options_of(function, Simulated=object, SimulatedPair=object)
    return [option for option in found if option.type not in ("array", "lines")
            and (option.type != "tuple" or option.item in _PLAIN_ITEMS)]


def write(
    function: Callable[..., Any], parameters: Mapping[str, Any], target: Path
) -> list[Path]:
    """Simulate, write the image or images and a CSV for each table of the truth.

    Returns
    -------
    list of Path
        What was written.
    """
    if target.suffix.lower() not in (".tif", ".tiff", ".hspy"):
        raise ParameterError(str(target), "cannot be written",
                             "give a name ending in .tif or .hspy")
    made, truth = function(**parameters)
    images: list[Image] = list(made) if isinstance(made, tuple) else [made]
    target.parent.mkdir(parents=True, exist_ok=True)
    written = []
    for image in images:
        suffix = f".{image.source.signal}" if len(images) > 1 else ""
        path = target.with_name(f"{target.stem}{suffix}{target.suffix}")
        write_image(image, path)
        written.append(path)
    for name, table in truth.items():
        path = target.with_name(f"{target.stem}.truth.{name}.csv")
        table.to_csv(path, index=False, encoding="utf-8", lineterminator="\n")
        written.append(path)
    return written
