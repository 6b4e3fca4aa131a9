"""Contrast images: what `emtools.process` makes of a picture, as a layer beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QComboBox, QStackedWidget, QWidget

from emtools.errors import EmtoolsError
from emtools.measure import options_of
from emtools.model import Image
from emtools.process.steps import needs_lattice, processed, step, steps_in_place
from napari_emtools.desk import beneath_lines, replaced, shown_as
from napari_emtools.fields import fields_of
from napari_emtools.panels.base import ImageChoice, Panel, button, form, note, row
from napari_emtools.panels.editors import add_line, editor_of, value_of
from napari_emtools.shown import ORIGIN, Origin, geometry, image_layer, title_of
from napari_emtools.work import Work

if TYPE_CHECKING:
    from napari_emtools.fields import Field
    from napari_emtools.shown import LayerData


class ContrastPanel(Panel):
    """Shows what a step of processing makes of the chosen image.

    Parameters
    ----------
    napari_viewer
        The viewer.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.images = ImageChoice(self, _why_not)
        self.steps = QComboBox()
        self.forms = QStackedWidget()
        self.about = note()
        self.editors: dict[str, dict[str, tuple[Field, QWidget]]] = {}
        self.work = Work(self)
        for name in steps_in_place():
            self.steps.addItem(name.replace("_", " "), name)
            self.forms.addWidget(self._form(name))
        self.steps.currentIndexChanged.connect(self._chosen)
        self.box.addWidget(self.images)
        self.box.addWidget(self.steps)
        self.box.addWidget(self.about)
        self.box.addWidget(self.forms)
        self.box.addLayout(row(button("Show", "Put the picture beside the image", self.run)))
        self.box.addWidget(self.said)
        self.box.addStretch(1)
        self._chosen()

    @property
    def name(self) -> str:
        """Name of the step that is chosen."""
        return str(self.steps.currentData())

    def _form(self, name: str) -> QWidget:
        inside = QWidget()
        lines = form()
        inside.setLayout(lines)
        own = self.editors[name] = {}
        for field in fields_of(options_of(step(name), Image=Image)):
            if field.kind == "result":
                continue
            editor = editor_of(field)
            add_line(lines, field, editor)
            own[field.name] = field, editor
        return inside

    def _chosen(self, index: int = 0) -> None:
        self.forms.setCurrentIndex(self.steps.currentIndex())
        self.about.setText((step(self.name).__doc__ or "").partition("\n")[0])

    def run(self) -> None:
        """Make the picture; one that was made before with this step is replaced."""
        image, name = self.images.image, self.name
        if image is None:
            self.said.setText("Open an image first.")
            return
        found = self.desk.of(image, "lattice") if needs_lattice([name]) else None
        if needs_lattice([name]) and found is None:
            self.said.setText("Measure the lattice of the image first.")
            return
        lattice = None if found is None else found.result
        try:
            given = {key: value_of(field, editor)
                     for key, (field, editor) in self.editors[name].items()}
        except EmtoolsError as error:
            self.wrong(error)
            return
        self.said.setText("working")
        self.work.start(lambda: processed(image, [name], {name: given}, lattice),
                        lambda made: self._show(image, name, made), self.wrong)

    def _show(self, image: Image, name: str, made: Image) -> None:
        words = name.replace("_", " ")
        data, shown, kind = _layer(made)
        shown["name"] = f"{words} · {title_of(image)}"
        shown["metadata"] = {ORIGIN: Origin(image, "tool"), "layer": words}
        old = shown_as(self.viewer.layers, image, words)
        beneath_lines(self.viewer.layers, replaced(
            self.viewer.layers, old, (data, shown, kind)))
        notes = [note for note in made.audit if note not in image.audit]
        self.said.setText("\n".join([str(made.steps[-1]), *notes]))


def _why_not(image: Image) -> str | None:
    return None if image.is_plane else "is no single picture"


def _layer(made: Image) -> LayerData:
    """A picture as layer data; one in colours keeps them."""
    if made.data.dtype.names is None:
        return image_layer(made)
    colours = np.stack([made.data[name] for name in made.data.dtype.names], axis=-1)
    return colours, {"rgb": True, **geometry(made)}, "image"
