"""Image -> Result.  One module, or folder of stages, is one measurement, found by its name."""

from emtools.measure._discovery import (
    Measurement,
    Option,
    as_image,
    check_names,
    load,
    names,
    options_of,
)
from emtools.measure._given import Given, said_of
from emtools.measure._run import Measure, Run, needed_by

__all__ = [
    "Given",
    "Measure",
    "Measurement",
    "Option",
    "Run",
    "as_image",
    "check_names",
    "load",
    "names",
    "needed_by",
    "options_of",
    "said_of",
]
