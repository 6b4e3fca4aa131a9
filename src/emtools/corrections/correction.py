"""A correction of one measurement of one image, and the result with it."""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.corrections.drawing import Drawing
from emtools.corrections.marks import Mark, Marks
from emtools.errors import ParameterError
from emtools.measure import as_image, load
from emtools.model import Result
from emtools.tables import MARKED

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from emtools.measure import Measurement
    from emtools.model import Image
    from emtools.model.result import Layer

AS_LABELS = "drawn as labels"  # what is said of painted ones
_LABELS = ("labels", "regions")  # parameters that take what was painted


@dataclass(frozen=True, eq=False)
class Correction:
    """What a person changed in one measurement of one image.

    Parameters
    ----------
    drawing
        Chains and dots as they were corrected; None, or one without changes, leaves them as found.
    labels
        ``(y, x)`` what was painted on the image, 0 = none, in place of a drawing.
    marks
        What was accepted or rejected by hand, by the numbers of the corrected result.
    comment
        In the person's own words.
    plane
        2x2, from pixels to the unit of drawing and marks, of the image that these were made on: on
        an image with another calibration they follow the pixels.
    """

    drawing: Drawing | None = None
    labels: NDArray[np.integer[Any]] | None = None
    marks: Marks = field(default_factory=Marks)
    comment: str = ""
    plane: tuple[tuple[float, float], tuple[float, float]] | None = None

    def __post_init__(self) -> None:
        if self.labels is None:
            return
        if self.drawing is not None and self.drawing.changes:
            raise ParameterError("correction", "has both a drawing and labels", "give one of them")
        labels = np.asarray(self.labels)
        if labels.ndim != 2 or labels.dtype.kind not in "biu":
            raise ParameterError("correction: labels", f"are {labels.dtype} of shape "
                                 f"{labels.shape}, not whole numbers with axes y, x")
        labels = labels.copy()
        labels.flags.writeable = False
        object.__setattr__(self, "labels", labels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Correction) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.drawing, self.marks, self.comment))

    def __bool__(self) -> bool:
        return bool(self.given or self.marks or self.comment)

    @property
    def given(self) -> dict[str, Any]:
        """What the measurement is given beside its parameters; ``labels`` by that name."""
        if self.labels is not None:
            return {"labels": self.labels}
        if self.drawing is None or not self.drawing.changes:
            return {}
        return {"centrelines": self.drawing.centrelines, "dots": self.drawing.dots}

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was done, one thing each."""
        drawn = self.drawing.changes if self.drawing is not None else ()
        painted = (AS_LABELS,) if self.labels is not None else ()
        marks = Counter((mark, table) for table, own in self.marks.objects.items()
                        for mark in own.values())
        said = [f"{n} {table[:-1] if n == 1 else table} {mark}"
                for (mark, table), n in sorted(marks.items())]
        if self.marks.image is not None:
            said.append(f"image {self.marks.image}")
        return (*drawn, *painted, *said, *([self.comment] if self.comment else []))

    def on(self, image: Image) -> Correction:
        """Return it in the unit of an image, at the same pixels, if it says where it was made."""
        if self.plane is None:
            return self
        calibration = image.calibration()
        turn = calibration.matrix @ np.linalg.inv(np.asarray(self.plane))
        if np.allclose(turn, np.eye(2), rtol=0, atol=1e-9):
            return self
        drawing = None if self.drawing is None else self.drawing.moved_to(turn, calibration.unit)
        return replace(self, drawing=drawing, marks=self.marks.moved(turn),
                       plane=plane_of(image))

    def measure(
        self, image: Image, measurement: str, parameters: Mapping[str, Any] | None = None
    ) -> Result:
        """Measure an image with it, see `corrected`."""
        return corrected(image, measurement, parameters, self)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values that JSON can hold; what is empty is left out."""
        said: dict[str, Any] = {}
        if self.drawing is not None:
            said["drawing"] = self.drawing.to_dict()
        if self.labels is not None:
            content = zlib.compress(np.ascontiguousarray(self.labels).tobytes(), 9)
            said["labels"] = {"shape": list(self.labels.shape), "dtype": self.labels.dtype.str,
                              "zlib": base64.b64encode(content).decode("ascii")}
        if self.marks:
            said["marks"] = self.marks.to_dict()
        if self.plane is not None and said:
            said["plane"] = [list(row) for row in self.plane]
        return {**said, "comment": self.comment} if self.comment else said

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Correction:
        """Return the correction of `to_dict`.

        Raises
        ------
        ParameterError
            If it is none.
        """
        unknown = sorted(set(given) - {"drawing", "labels", "marks", "comment", "plane"})
        if unknown:
            raise ParameterError("correction", f"holds {', '.join(unknown)}",
                                 "known are drawing, labels, marks, comment")
        drawing, labels = given.get("drawing"), given.get("labels")
        return cls(None if drawing is None else Drawing.from_dict(drawing),
                   None if labels is None else _labels(labels),
                   Marks.from_dict(given.get("marks", {})), str(given.get("comment", "")),
                   None if given.get("plane") is None else _plane(given["plane"]))


def plane_of(image: Image) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return what turns pixels of an image into its unit; None if it has no plane."""
    if not (image.has_axis("y") and image.has_axis("x")):
        return None
    return _plane(image.calibration().matrix.tolist())


def _plane(given: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    try:
        (yy, yx), (xy, xx) = given
        plane = (float(yy), float(yx)), (float(xy), float(xx))
    except (TypeError, ValueError) as error:
        raise ParameterError("correction: plane", f"is no 2x2 matrix ({error!r})") from error
    if not np.linalg.det(np.asarray(plane)):
        raise ParameterError("correction: plane", "has no inverse")
    return plane


def _labels(given: Mapping[str, Any]) -> NDArray[np.integer[Any]]:
    try:
        content = zlib.decompress(base64.b64decode(given["zlib"], validate=True))
        return np.frombuffer(content, np.dtype(given["dtype"])).reshape(given["shape"])
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise ParameterError("correction: labels", f"cannot be read ({error!r})") from error


def corrected(
    image: Image | Result, measurement: str, parameters: Mapping[str, Any] | None,
    correction: Correction,
) -> Result:
    """Measure an image as a person corrected it, by the very same measurement.

    Parameters
    ----------
    image
        The image; or what it was measured to be, where nothing was drawn and only marks are set.
    measurement
        Name of the measurement.
    parameters
        Its parameters, as without the correction.
    correction
        What was drawn, painted and marked.

    Returns
    -------
    Result
        With the column ``mark`` in its tables, and ``edited_by_hand`` in its summary: what was
        done, in sentences.  Where nothing was done it is the measurement's own.

    Raises
    ------
    ParameterError
        If the measurement takes no such correction, or the result is of another one.
    """
    if isinstance(image, Result):
        if image.measurement != measurement:
            raise ParameterError("result", f"is of {image.measurement}, not of {measurement}")
        if correction.given:
            raise ParameterError("result", "is measured already, without what was drawn",
                                 "give the image")
        result = image
    else:
        found = load(measurement)
        correction = correction.on(as_image(image))
        result = found(image, **{**(parameters or {}), **_given(found, image, correction)})
    if not correction:
        return result
    return _marked(result, correction)


def _given(measurement: Measurement, image: Image, correction: Correction) -> dict[str, Any]:
    """What is given to the measurement, by the names of its parameters."""
    known = [option.name for option in measurement.options]
    given = correction.given
    if "labels" in given:
        name = next((name for name in _LABELS if name in known), None)
        if name is None:
            raise ParameterError(measurement.name, "takes no labels")
        return {name: given["labels"]}
    missing = [name for name in given if name not in known]
    if missing:
        raise ParameterError(measurement.name, f"takes no {' or '.join(missing)}")
    if given and correction.drawing is not None:
        unit = as_image(image).calibration().unit
        if unit != correction.drawing.unit:
            raise ParameterError("drawing", f"is in {correction.drawing.unit}, the image in {unit}",
                                 "calibrate the image as it was when it was drawn on")
    return given


def _marked(result: Result, correction: Correction) -> Result:
    """Write marks into the tables and layers, and what was done into the summary."""
    tables = dict(result.tables)
    own, gone = correction.marks.followed(result)
    said = list(replace(correction, marks=own).sentences)
    said += [f"marked, and not there: {MARKED[name]} {', '.join(map(str, numbers))}"
             for name, numbers in gone.items() if name in tables]
    columns = {}
    for name in correction.marks.objects:
        if name not in tables or "mark" not in tables[name]:
            raise ParameterError(f"marks: {name}", f"{result.measurement} has no such table")
    for name, marks in _every_mark(own, tables).items():
        number = MARKED[name]
        tables[name] = tables[name].assign(
            mark=tables[name][number].map(marks).fillna("").astype(tables[name]["mark"].dtype))
        columns[number] = tables[name]["mark"].to_numpy()
    layers = tuple(_with_marks(layer, columns) for layer in result.layers)
    summary = {**result.summary, "edited_by_hand": "; ".join(said)}
    if correction.marks.image is not None:
        summary["mark"] = correction.marks.image
    return replace(result, tables=tables, layers=layers, summary=summary)


def _every_mark(
    marks: Marks, tables: Mapping[str, pd.DataFrame]
) -> Mapping[str, Mapping[int, Mark]]:
    """Marks by table and number; with an image all is rejected that was not accepted by itself."""
    if marks.image != "rejected":
        return marks.objects
    return {**marks.objects, **{
        name: {**dict.fromkeys(tables[name][number].tolist(), marks.image),
               **marks.objects.get(name, {})}
        for name, number in MARKED.items() if name in tables and "mark" in tables[name]}}


def _with_marks(layer: Layer, columns: Mapping[str, NDArray[Any]]) -> Layer:
    data, kwargs, kind = layer
    features = kwargs.get("features", {})
    number = next(iter(features), "")
    if "mark" not in features or number not in columns:
        return layer
    return data, {**kwargs, "features": {**features, "mark": columns[number]}}, kind
