"""The scale that is only in the picture: its bar, read."""

from emtools.io.scale_bar.applied import ScaleBars, with_scale_bar
from emtools.io.scale_bar.reading import NoReading, ScaleReading, read_scale_bar

__all__ = ["NoReading", "ScaleBars", "ScaleReading", "read_scale_bar", "with_scale_bar"]
