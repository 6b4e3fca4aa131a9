"""What is known of the images in a viewer: results, and their corrections with the way back.

Qt-free: panels look here, and are told of what changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np
from psygnal import Signal

from emtools.corrections import Correction, corrected, without_rejected
from emtools.measure import Run, load
from emtools.model.image import same_scan
from napari_emtools.chosen import stand_out
from napari_emtools.found import result_layers
from napari_emtools.shown import geometry, is_of, key_of, origin_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from emtools.model import Image, Result


# What a result's layer has beside its data, in the order in which it is set.
_FILLED = ("features", "size", "border_width", "border_color", "edge_width", "edge_color",
           "face_color", "edge_color", "symbol", "length", "contrast_limits")


@dataclass
class Finding:
    """The result of a measurement of an image, with its corrections.

    Parameters
    ----------
    image
        That was measured.
    parameters
        That the user gave.
    automatic
        What the measurement found by itself.
    result
        As it stands, corrected.
    history
        The corrections, one after another; the last counts, none before the first.
    undone
        Those that were taken back, the nearest last.
    used
        Results of other measurements that it rests on.
    """

    image: Image
    parameters: dict[str, Any]
    automatic: Result
    result: Result
    history: list[tuple[Correction, Result]] = field(default_factory=list)
    undone: list[tuple[Correction, Result]] = field(default_factory=list)
    used: Mapping[str, Result] = field(default_factory=dict)

    @property
    def correction(self) -> Correction:
        """The correction that counts."""
        return self.history[-1][0] if self.history else Correction()

    def correct(self, correction: Correction, result: Result) -> None:
        """Take a correction with what it gave."""
        self.history.append((correction, result))
        self.undone.clear()
        self.result = result

    def undo(self) -> bool:
        """Go one correction back; False if there is none."""
        if not self.history:
            return False
        self.undone.append(self.history.pop())
        self.result = self.history[-1][1] if self.history else self.automatic
        return True

    def redo(self) -> bool:
        """Make the correction again that was taken back last; False if there is none."""
        if not self.undone:
            return False
        self.history.append(self.undone.pop())
        self.result = self.history[-1][1]
        return True


class Desk:
    """Results of the images in one viewer.

    Parameters
    ----------
    viewer
        Its layers are replaced when a result changes.

    Attributes
    ----------
    changed
        Signal: a measurement of an image has another result, or none; its key and the measurement.
    chosen
        Signal: an object was chosen; key, measurement, table, row.
    recalibrated
        Signal: an image has another calibration; its key.
    opened
        Signal: there are other spectra that no layer shows.
    """

    changed = Signal(str, str)
    chosen = Signal(str, str, str, int)
    recalibrated = Signal(str)
    opened = Signal()

    def __init__(self, viewer: Any) -> None:
        self._layers = viewer.layers
        self.findings: dict[tuple[str, str], Finding] = {}
        self.works: WeakSet[Any] = WeakSet()  # that may be under way, see `Work`
        self.showing = False  # layers change now because a result is shown, not by hand
        self.spectra: list[Image] = []  # single ones: no layer shows them

    def of(self, image: Image, measurement: str) -> Finding | None:
        """Return what a measurement found in an image, if it was made."""
        return self.findings.get((key_of(image), measurement))

    def under_way(self, image: Image, measurement: str = "") -> bool:
        """Whether an image is measured or corrected now."""
        return any(work.running and work.on is not None and work.on[0] == key_of(image)
                   and measurement in ("", work.on[1]) for work in list(self.works))

    def is_as_shown(self, image: Image) -> bool:
        """Whether an image, or the stack that it is a frame of, is open with this calibration."""
        return any(is_of(image, one) and one.plane_axes == image.plane_axes
                   and one.distortion == image.distortion
                   for one in self.images() if one.has_axis("y")) or not image.has_axis("y")

    def images(self) -> list[Image]:
        """Return the images that are open, each once, in the order of the layers."""
        found: dict[str, Image] = {}
        for layer in self._layers:
            origin = origin_of(layer)
            if origin is not None and origin.role in ("image", "sum"):
                found.setdefault(origin.key, origin.image)
        return [*found.values(), *self.spectra]

    def take_spectra(self, images: Sequence[Image]) -> None:
        """Take single spectra, each in the place of the same opened before."""
        new = {key_of(image) for image in images}
        self.spectra = [one for one in self.spectra if key_of(one) not in new] + list(images)
        self.opened.emit()

    def of_scan(self, image: Image, measurement: str) -> Finding | None:
        """Return what a measurement found in an image, or in another of the same scan."""
        found = self.of(image, measurement)
        if found is None:
            found = next((own for one in self.sisters(image) if same_scan(image, one)
                          and (own := self.of(one, measurement)) is not None), None)
        return found

    def sisters(self, image: Image) -> tuple[Image, ...]:
        """Return the other images of the same file."""
        return tuple(one for one in self.images()
                     if one.source.file == image.source.file and key_of(one) != key_of(image))

    def put(
        self, image: Image, result: Result, parameters: Mapping[str, Any],
        correction: Correction | None = None, automatic: Result | None = None,
        used: Mapping[str, Result] | None = None,
    ) -> Finding:
        """Take the result of a measurement in place of the one before, and show it."""
        finding = Finding(image, dict(parameters), automatic or result, result, used=used or {})
        if correction:
            finding.history.append((correction, result))
        self.take(finding)
        return finding

    def outdated(self, finding: Finding) -> list[str]:
        """Return the measurements that a result rests on and that have another one by now."""
        return [name for name, used in finding.used.items()
                if (now := self.of_scan(finding.image, name)) is not None
                and now.result is not used]

    def take(self, finding: Finding) -> None:
        """Take what was found and corrected at another time."""
        self.findings[key_of(finding.image), finding.result.measurement] = finding
        self.show(finding)

    def correct(self, finding: Finding, correction: Correction, result: Result) -> None:
        """Take a correction, and show what it gave; none of what is on the desk no more."""
        if self.of(finding.image, result.measurement) is not finding:
            return
        finding.correct(correction, result)
        self.show(finding)

    def step(self, finding: Finding, *, back: bool) -> bool:
        """Undo or redo a correction; False if there is none."""
        moved = finding.undo() if back else finding.redo()
        if moved:
            self.show(finding)
        return moved

    def show(self, finding: Finding) -> None:
        """Put a result's layers in the place of those that it had."""
        result, active = finding.result, self._layers.selection.active
        before = {layer.metadata["layer"]: layer
                  for layer in self.layers_of(finding.image, result.measurement)}
        self.showing = True
        try:
            for new in result_layers(finding.image, result, before):
                old = before.pop(new[1]["metadata"]["layer"], None)
                if old is None or not filled(old, new):
                    old = replaced(self._layers, old, new)
                stand_out(old)
            for layer in before.values():
                self._layers.remove(layer)
        finally:
            self.showing = False
        if active in self._layers:
            self._layers.selection.active = active
        self.changed.emit(key_of(finding.image), result.measurement)

    def show_map(self, finding: Finding, name: str) -> None:
        """Show one of a result's element maps."""
        for data, shown, kind in result_layers(finding.image, finding.result, (name,)):
            if shown["metadata"]["layer"] == name:
                old = shown_as(self._layers, finding.image, name)
                made = replaced(self._layers, old, (data, shown, kind))
                if old is None:
                    beneath_lines(self._layers, made)

    def forget(self, image: Image) -> None:
        """Take away all results of an image, whose calibration has changed."""
        for (key, measurement), finding in list(self.findings.items()):
            if is_of(finding.image, image):  # frames of a stack too
                for layer in self.layers_of(finding.image, measurement):
                    self._layers.remove(layer)
                del self.findings[key, measurement]
                self.changed.emit(key, measurement)

    def recalibrate(self, image: Image) -> None:
        """Show an image with its new calibration; results with the old one go."""
        self.forget(image)
        for layer in self._layers:
            origin = origin_of(layer)
            if origin is not None and origin.key == key_of(image) and origin.role != "result":
                layer.metadata["emtools"] = replace(origin, image=image)
                set_geometry(layer, image)
        self.recalibrated.emit(key_of(image))

    def layers_of(self, image: Image, measurement: str) -> list[Any]:
        """Return the layers that show a result."""
        found = []
        for layer in self._layers:
            origin = origin_of(layer)
            if origin is not None and origin.key == key_of(image) \
                    and origin.measurement == measurement and origin.role == "result":
                found.append(layer)
        return found


_desks: WeakKeyDictionary[Any, Desk] = WeakKeyDictionary()


def desk_of(viewer: Any) -> Desk:
    """Return the desk of a viewer."""
    if viewer not in _desks:
        _desks[viewer] = Desk(viewer)
    return _desks[viewer]


def set_geometry(layer: Any, image: Image) -> None:
    """Give a layer scale, unit and distortion of an image."""
    _lay(layer, geometry(image, layer.ndim))


def _lay(layer: Any, own: Mapping[str, Any]) -> None:
    layer.scale, layer.units = own["scale"], own["units"]
    layer.affine = own.get("affine", np.eye(layer.ndim + 1))


def filled(layer: Any, new: tuple[Any, dict[str, Any], str]) -> bool:
    """Give a layer what another one would hold; False if it is of another kind.

    A layer that is taken out of a viewer costs napari a search of all memory.
    """
    data, shown, kind = new
    if type(layer).__name__.lower() != kind or layer.ndim != len(shown["scale"]):
        return False
    if getattr(layer, "_is_creating", False):  # a line is being drawn: it would be lost half done
        layer._finish_drawing()
    if hasattr(layer, "selected_data"):
        layer.selected_data = set()
    if kind == "shapes" and len(data):
        layer.data = list(zip(data, _each(shown.get("shape_type", "path"), len(data)),
                              strict=True))
    else:
        layer.data = data
    if tuple(layer.scale) != tuple(shown["scale"]) or "affine" in shown:
        _lay(layer, shown)
    layer.name, layer.metadata = shown["name"], shown["metadata"]
    for name in _FILLED:
        if name in shown and hasattr(layer, name) and (len(data) or name == "features"):
            setattr(layer, name, shown[name])
    return True


def _each(value: Any, n: int) -> list[Any]:
    return [value] * n if isinstance(value, str) else list(value)


def replaced(layers: Any, old: Any, new: tuple[Any, dict[str, Any], str]) -> Any:
    """Put a layer in the place of an old one, as visible as that was; or on top of all."""
    from napari.layers import Layer

    data, shown, kind = new
    if old is None:
        layer = Layer.create(data, shown, kind)
        layers.append(layer)
        return layer
    layer = Layer.create(data, {**shown, "visible": old.visible, "opacity": old.opacity}, kind)
    place, was_active = layers.index(old), layers.selection.active is old
    mode = str(old.mode) if hasattr(old, "mode") else ""
    layers.remove(old)
    layers.insert(place, layer)
    if was_active:
        layers.selection.active = layer
        if mode:
            layer.mode = mode
    return layer


def beneath_lines(layers: Any, picture: Any) -> None:
    """Put a new picture below all lines and points, which it would cover."""
    lines = [place for place, one in enumerate(layers)
             if type(one).__name__ in ("Shapes", "Points", "Vectors")]
    if lines and lines[0] < layers.index(picture):
        layers.move(layers.index(picture), lines[0])


def shown_as(layers: Any, image: Image, name: str) -> Any:
    """Return the layer of an image that a panel has made under a name, if it is there."""
    return next((layer for layer in layers if layer.metadata.get("layer") == name
                 and (own := origin_of(layer)) is not None and own.key == key_of(image)), None)


def measured(
    image: Image, name: str, parameters: Mapping[str, Any], supplied: Mapping[str, Result],
    sisters: tuple[Image, ...] = (), correction: Correction | None = None,
) -> tuple[Result, Result]:
    """Measure an image, and again as it was corrected.

    Parameters
    ----------
    image
        The image.
    name
        Of the measurement.
    parameters
        Given by the user.
    supplied
        Results of other measurements of the same image, as they stand.
    sisters
        Images of the same file.
    correction
        That is kept.

    Returns
    -------
    tuple of Result
        What the measurement finds by itself, and with the correction.
    """
    rests_on = {option.name for option in load(name).rests_on}
    given = {**parameters, **{key: without_rejected(result) for key, result in supplied.items()
                              if key in rests_on}}
    automatic = Run(image, {name: given}, (), sisters).result(name)
    if not correction:
        return automatic, automatic
    return automatic, as_corrected(image, automatic, given, correction)


def as_corrected(
    image: Image, automatic: Result, parameters: Mapping[str, Any], correction: Correction
) -> Result:
    """Return a result as it is corrected; marks alone need no new measurement."""
    return corrected(image if correction.given else automatic, automatic.measurement, parameters,
                     correction)
