"""The scale that is only in the picture: its bar, read."""

from emtools.io.scale_bar.reading import NoReading, ScaleReading, read_scale_bar

__all__ = ["NoReading", "ScaleReading", "read_scale_bar"]
