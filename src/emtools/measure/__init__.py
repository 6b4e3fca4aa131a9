"""Image -> Result.  One module, or folder of stages, is one measurement, found by its name.

Folders that the environment variable ``EMTOOLS_MEASUREMENTS`` names hold the user's own.
"""

from emtools.measure._discovery import (
    Measurement,
    Option,
    as_image,
    check_names,
    load,
    measurement,
    names,
    options_of,
)
from emtools.measure._given import Given, said_of
from emtools.measure._own import look_in, own_folders
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
    "look_in",
    "measurement",
    "names",
    "needed_by",
    "options_of",
    "own_folders",
    "said_of",
]

__path__ += own_folders()
