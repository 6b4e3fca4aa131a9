"""Image -> Result.  One module, or folder of stages, is one measurement, found by its name."""

from emtools.measure._discovery import Measurement, Option, Run, load, names, needed_by, options_of

__all__ = ["Measurement", "Option", "Run", "load", "names", "needed_by", "options_of"]
