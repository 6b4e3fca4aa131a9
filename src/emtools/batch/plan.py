"""Which measurements fit which image, and why."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, get_args

from emtools.errors import ParameterError
from emtools.io.scale_bar import ScaleBars
from emtools.measure import load, names
from emtools.results.groups import Groups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emtools.instrument import InstrumentCalibration
    from emtools.measure import Measurement
    from emtools.model import Image


Pictures = Literal["main", "all", "none"]


@dataclass(frozen=True)
class Rule:
    """What is different for some images of a batch.

    Parameters
    ----------
    files
        Pattern of names relative to the batch's folder: ``before/*``, ``*_hr.dm4``.
    modality
        Of the images (``HAADF``); empty for any.
    measurements, parameters, wanted
        In place of the recipe's; parameters are added to its.
    """

    files: str = "*"
    modality: str = ""
    measurements: tuple[str, ...] | None = None
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    wanted: tuple[str, ...] | None = None

    def fits(self, name: str, modality: str | None) -> bool:
        """Whether it is for an image of a file."""
        return fnmatchcase(name, self.files) and self.modality in ("", modality)


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
    calibrations
        Of the instrument, the one that fits applied to every image that is measured; one that was
        taken differently from all fails with the reason, and is not measured without it.
    force_calibration
        Apply a single one to images that were taken differently, too.
    wanted
        Measurements whose results are supplied to those that can take them but need not.
    rules
        What is different for some images; of several that fit, later ones count.
    groups
        What files belong to; no number that is measured depends on it.
    pictures
        ``main`` (overlays, spectra, maps), ``all`` (with histograms and details), or ``none``.
    scale_bars
        What is done with bars that are drawn into pictures, see `io.read`.
    """

    measurements: tuple[str, ...] | None = None
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pixel_size_nm: float | None = None
    calibrations: tuple[InstrumentCalibration, ...] = ()
    force_calibration: bool = False
    wanted: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()
    groups: Groups = field(default_factory=Groups)
    pictures: Pictures = "main"
    scale_bars: ScaleBars = "missing"

    def of(self, name: str, modality: str | None) -> Recipe:
        """Return the recipe of an image of a file, without rules."""
        found = replace(self, rules=())
        for rule in self.rules:
            if rule.fits(name, modality):
                found = found._changed(rule)
        return found

    def rules_of(self, name: str) -> tuple[int, ...]:
        """Numbers of the rules that some image of a file may fall under."""
        return tuple(i for i, rule in enumerate(self.rules) if fnmatchcase(name, rule.files))

    def with_(self, given: Recipe) -> Recipe:
        """Return the recipe with what is given beside it, which goes before."""
        changed = self._changed(Rule(measurements=given.measurements, parameters=given.parameters,
                                     wanted=given.wanted or None))
        return replace(
            changed,
            pixel_size_nm=self.pixel_size_nm if given.pixel_size_nm is None
            else given.pixel_size_nm,
            calibrations=given.calibrations or self.calibrations,
            force_calibration=given.force_calibration or self.force_calibration,
            groups=given.groups or self.groups,
            pictures=given.pictures if given.pictures != "main" else self.pictures,
            scale_bars=given.scale_bars if given.scale_bars != "missing" else self.scale_bars)

    def _changed(self, rule: Rule) -> Recipe:
        every = {**self.parameters, **rule.parameters}
        merged = {one: {**self.parameters.get(one, {}), **rule.parameters.get(one, {})}
                  for one in every}
        return replace(
            self, parameters=merged,
            measurements=self.measurements if rule.measurements is None else rule.measurements,
            wanted=self.wanted if rule.wanted is None else rule.wanted)

    def check(self) -> None:
        """Check all names before anything runs.

        Raises
        ------
        ParameterError
            If a measurement or a parameter is unknown.
        """
        parts: tuple[Recipe | Rule, ...] = (self, *self.rules)
        for part in parts:
            for name in (*(part.measurements or ()), *part.parameters, *(part.wanted or ())):
                load(name)
            for name, values in part.parameters.items():
                load(name).check(values)
        if self.pictures not in get_args(Pictures):
            raise ParameterError("pictures", f"{self.pictures!r} is not known",
                                 f"give one of {', '.join(get_args(Pictures))}")
        if self.scale_bars not in get_args(ScaleBars):
            raise ParameterError("scale_bars", f"{self.scale_bars!r} is not known",
                                 f"give one of {', '.join(get_args(ScaleBars))}")
        if self.pixel_size_nm is not None and not 0 < self.pixel_size_nm < math.inf:
            raise ParameterError("pixel_size_nm",
                                 f"must be positive and finite, not {self.pixel_size_nm}")

    def chosen(self) -> list[Measurement]:
        """Return the measurements that are asked for."""
        return [load(name) for name in (self.measurements or names())]


def frame_of(image: Image, number: int | None) -> Image:
    """Return a frame of a stack by its number; what is no stack as it is.

    Raises
    ------
    ParameterError
        If the stack has no such frame.
    """
    if number is None or not image.has_axis("frame"):
        return image
    size = image.axis("frame").size
    if not -size <= number < size:
        raise ParameterError("--frame", f"{number} is not among {size} frames")
    return image.select(frame=number)


def calibrated(image: Image, pixel_size_nm: float | None) -> Image:
    """Return the image with a pixel size where its file states none; a bar that was read yields."""
    if pixel_size_nm is None or not (image.has_axis("y") and image.has_axis("x")):
        return image
    if any(axis.calibrated and axis.source != "picture" for axis in image.plane_axes):
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
