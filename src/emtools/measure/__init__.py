"""Image -> Result.  One module, or folder of stages, is one measurement, found by its name."""

from emtools.measure._discovery import Measurement, Option, load, names

__all__ = ["Measurement", "Option", "load", "names"]
