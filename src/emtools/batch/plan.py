"""Which measurements fit which image, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emtools.errors import ParameterError
from emtools.measure import load, names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emtools.instrument import InstrumentCalibration
    from emtools.measure import Measurement
    from emtools.model import Image


@dataclass(frozen=True)
class Recipe:
    """What a batch measures, and with what.

    Parameters
    ----------
    measurements
        Names; None = every measurement that fits.
    parameters
        Parameters of each measurement.
    pixel_size_nm
        For images that have no pixel size of their own.
    calibration
        Of the instrument, applied to every image that is measured; one that was taken differently
        fails with the reason, and is not measured without it.
    force_calibration
        Apply it to images that were taken differently, too.
    wanted
        Measurements whose results are supplied to those that can take them but need not.
    """

    measurements: tuple[str, ...] | None = None
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pixel_size_nm: float | None = None
    calibration: InstrumentCalibration | None = None
    force_calibration: bool = False
    wanted: tuple[str, ...] = ()

    def check(self) -> None:
        """Check all names before anything runs.

        Raises
        ------
        ParameterError
            If a measurement or a parameter is unknown.
        """
        for name in (*(self.measurements or ()), *self.parameters, *self.wanted):
            load(name)
        for name, values in self.parameters.items():
            load(name).check(values)
        if self.pixel_size_nm is not None and not 0 < self.pixel_size_nm < math.inf:
            raise ParameterError("pixel_size_nm",
                                 f"must be positive and finite, not {self.pixel_size_nm}")

    def chosen(self) -> list[Measurement]:
        """Return the measurements that are asked for."""
        return [load(name) for name in (self.measurements or names())]


def calibrated(image: Image, pixel_size_nm: float | None) -> Image:
    """Return the image with a pixel size where it has none."""
    if pixel_size_nm is None or not (image.has_axis("y") and image.has_axis("x")):
        return image
    if any(axis.calibrated for axis in image.plane_axes):
        return image
    return image.calibrated(pixel_size_nm, "nm")


def split(
    image: Image, measurements: list[Measurement]
) -> tuple[list[tuple[Measurement, str]], list[tuple[str, str]]]:
    """Return the measurements that fit an image with the reason, and those that do not."""
    fitting: list[tuple[Measurement, str]] = []
    skipped: list[tuple[str, str]] = []
    for measurement in measurements:
        reason = measurement.why_not(image)
        if reason is None:
            fitting.append((measurement, measurement.why(image)))
        else:
            skipped.append((measurement.name, reason))
    return fitting, skipped
