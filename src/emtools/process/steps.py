"""What a picture can be shown as: functions of this room by their names, one after the other."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from emtools.errors import ParameterError
from emtools.process.amplitude import amplitude_contrast
from emtools.process.bragg import bragg_filter
from emtools.process.colours import false_colour
from emtools.process.fourier import fourier
from emtools.process.tones import compress_range

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from emtools.model import Image, Result

# A step added here is known to the command line, to recipes and to figures; one with a parameter
# `lattice` is handed the result of that measurement of the image.
STEPS: dict[str, Callable[..., Image]] = {
    function.__name__: function
    for function in (amplitude_contrast, bragg_filter, compress_range, fourier, false_colour)
}


def step(name: str) -> Callable[..., Image]:
    """Return the step of that name.

    Raises
    ------
    ParameterError
        If there is none; the message names those there are.
    """
    if name not in STEPS:
        raise ParameterError(f"step {name!r}", "does not exist", f"known are {', '.join(STEPS)}")
    return STEPS[name]


def steps_in_place() -> tuple[str, ...]:
    """Names of the steps whose picture has the pixels and the unit of the image."""
    return tuple(name for name in STEPS if name != fourier.__name__)


def needs_lattice(names: Sequence[str]) -> bool:
    """Whether one of the steps is made of the result of the lattice measurement."""
    return any("lattice" in inspect.signature(step(name)).parameters for name in names)


def processed(
    image: Image, names: Sequence[str], parameters: Mapping[str, Mapping[str, Any]],
    lattice: Result | None = None,
) -> Image:
    """Return an image after steps, in the order of their names.

    Parameters
    ----------
    image
        A single picture.
    names
        Of the steps.
    parameters
        Of each step.
    lattice
        Result of that measurement of the image, for the steps that are made of it.

    Raises
    ------
    ImageError
        If a step cannot work on the image.
    ParameterError
        If a step or a parameter is unknown or out of range.
    """
    for name in names:
        function = step(name)
        given = dict(parameters.get(name, {}))
        if needs_lattice([name]):
            if lattice is None:
                raise ParameterError(name, "needs the lattice of the image", "measure it first")
            given["lattice"] = lattice
        image = function(image, **given)
    return image
