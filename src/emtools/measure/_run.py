"""Measurements of one image together: each made once, with what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from emtools.errors import EmtoolsError, ParameterError
from emtools.measure._discovery import Measurement, as_image, load
from emtools.model import Image, Result
from emtools.model.image import same_scan
from emtools.units import LENGTH, PIXEL

Measure = Callable[[Image, Measurement, Mapping[str, Any]], Result]


def _as_found(image: Image, measurement: Measurement, given: Mapping[str, Any]) -> Result:
    return measurement.function(image, **given)


@dataclass
class Run:
    """Measurements of one image, each made once: the results they rest on are supplied.

    A parameter that is named after another measurement and typed ``Result`` is that measurement's
    result on the same image; one typed ``Result | None`` is supplied only if `wanted` names it.
    One typed ``Image | None`` is the picture of the same scan of which it is the modality.

    Parameters
    ----------
    image
        The image, or a HyperSpy signal.
    parameters
        Parameters of each measurement, those that others rest on included.
    wanted
        Optional results that are supplied.
    sisters
        Images of the same file: what the image itself does not fit is measured on the one of the
        same scan that does.
    measure
        Makes a measurement of an image with what it is given; for one that a person corrected.
    """

    image: Any
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    wanted: tuple[str, ...] = ()
    sisters: tuple[Image, ...] = ()
    measure: Measure = _as_found
    _done: dict[str, Result | EmtoolsError] = field(default_factory=dict)
    _under_way: list[str] = field(default_factory=list)

    def result(self, name: str) -> Result:
        """Return a measurement's result, measured now if it is not there yet.

        Raises
        ------
        EmtoolsError
            What the measurement raised; also at every later call.
        ParameterError
            If measurements rest on each other in a circle.
        """
        if name in self._under_way:
            circle = " -> ".join([*self._under_way, name])
            raise ParameterError(f"measurement {name!r}", f"rests on itself: {circle}")
        if name not in self._done:
            self._under_way.append(name)
            try:
                self._done[name] = self._measured(load(name))
            except EmtoolsError as error:
                self._done[name] = error
            finally:
                self._under_way.pop()
        found = self._done[name]
        if isinstance(found, EmtoolsError):
            raise found
        return found

    def _measured(self, measurement: Measurement) -> Result:
        given = dict(self.parameters.get(measurement.name, {}))
        measurement.check(given)
        self.image = as_image(self.image)
        for option in measurement.rests_on:
            if option.name not in given and (option.required or option.name in self.wanted):
                given[option.name] = self._supplied(option.name)
        for option in measurement.takes_pictures:
            if option.name not in given:
                given[option.name] = self._picture(option.name)
        return self.measure(self._fitting(measurement), measurement, given)

    def _picture(self, name: str) -> Image | None:
        """The picture of the same scan whose modality is the name of the parameter, if any."""
        modality = name.upper()
        return next((one for one in self.sisters if one.acquisition.modality == modality
                     and one.is_plane and same_scan(self.image, one)), None)

    def _fitting(self, measurement: Measurement) -> Image:
        """The image, or where it does not fit the picture of the same scan that does."""
        image: Image = self.image
        if len(self._under_way) > 1 and measurement.why_not(image) is not None:
            for sister in self.sisters:
                if measurement.why_not(sister) is None and same_scan(image, sister):
                    return sister
        return image

    def _supplied(self, name: str) -> Result:
        """The result, or an empty one that says why there is none: its user has to name that."""
        try:
            return self.result(name)
        except ParameterError:
            raise  # wrong usage, whatever the image
        except EmtoolsError as error:
            calibrated = all(self.image.has_axis(name) for name in ("y", "x")) \
                and self.image.calibration().unit != PIXEL
            unit = LENGTH if calibrated else PIXEL
            tables = {key: table.frame((), unit) for key, table in load(name).tables.items()}
            outcome = f"not measurable: {error.reason}"
            return Result(name, tables, {"outcome": outcome, "unit": unit})


def needed_by(name: str) -> list[str]:
    """Return a measurement and all those whose results it can take, directly or not."""
    found = [name]
    for one in found:  # grows as it is walked
        found += [option.name for option in load(one).rests_on if option.name not in found]
    return found
