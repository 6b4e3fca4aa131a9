"""The nouns: Axis, Image, Measured, Result, and what they are made of."""

from emtools.model.calibration import Axis, Calibration, Distortion
from emtools.model.image import Acquisition, Image, Source, Step
from emtools.model.result import Layer, Measured, Result, Space

__all__ = [
    "Acquisition",
    "Axis",
    "Calibration",
    "Distortion",
    "Image",
    "Layer",
    "Measured",
    "Result",
    "Source",
    "Space",
    "Step",
]
