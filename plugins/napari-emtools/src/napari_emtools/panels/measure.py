"""A panel for each measurement: a form derived from its signature, a run beside the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QCompleter,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from emtools.crystal import known_phases
from emtools.errors import EmtoolsError
from emtools.measure import load
from emtools.model import Measured
from napari_emtools.desk import measured
from napari_emtools.fields import fields_of, labels_on, lines_of, numbers_in
from napari_emtools.found import map_names
from napari_emtools.panels.base import (
    ImageChoice,
    Panel,
    button,
    form,
    note,
    row,
    scrolling,
    table_text,
)
from napari_emtools.panels.editors import add_line, choice_of, editor_of, value_of
from napari_emtools.shown import frame_of, key_of, title_of
from napari_emtools.work import Work

if TYPE_CHECKING:
    from emtools.model import Image, Result
    from napari_emtools.fields import Field

_NONE = "none"
_NARROWEST = 60  # field of a form
_BAR, _LOWEST = 6, 100  # heights: bar of the progress, what is found
_LAYERS = {"labels": "Labels", "lines": "Shapes"}


class MeasurePanel(Panel):
    """Measures the chosen image with the parameters of a form.

    Parameters
    ----------
    napari_viewer
        The viewer.
    """

    NAME = ""  # of the measurement

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        viewer = self.viewer
        self.measurement = load(self.NAME)
        self.fields = fields_of(self.measurement.options)
        self.editors: dict[str, QWidget] = {}
        self.work = Work(self)
        self.desk.works.add(self.work)
        self.images = ImageChoice(self, self.measurement.why_not)
        self.run_button = button("Measure", self.measurement.summary, self.run)
        self.stop_button = button("Stop", "Stop measuring; nothing is changed", self.stop)
        self.progress = QProgressBar()
        self.outcome = self.said
        self.summary = note()
        self._lay_out()
        self.work.reached.connect(self._reached)
        self.work.ended.connect(self._ended)
        self.images.chosen.connect(self._show)
        self.listen(self.desk.changed, self._changed)
        self.listen(viewer.layers.events.inserted, self._renew_layers)
        self.listen(viewer.layers.events.removed, self._renew_layers)
        self._renew_layers()
        self._ended()
        self._show()

    def _lay_out(self) -> None:
        self.box.addWidget(note(self.measurement.summary))
        self.box.addWidget(self.images)
        inside = QWidget()
        lines = form()
        inside.setLayout(lines)
        for field in self.fields:
            self.editors[field.name] = editor = self._editor(field)
            editor.setMinimumWidth(_NARROWEST)
            add_line(lines, field, editor)
        self.box.addWidget(scrolling(inside), 3)
        self.box.addLayout(row(self.run_button, self.stop_button))
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(_BAR)
        keeps = self.progress.sizePolicy()
        keeps.setRetainSizeWhenHidden(True)
        self.progress.setSizePolicy(keeps)
        self.box.addWidget(self.progress)
        self.box.addWidget(self._found(), 2)
        self.box.addLayout(row(
            button("Table", "Show the tables of the result", self._open_table),
            button("Pictures", "Show the pictures of the result", self._open_pictures)))

    def _found(self) -> QWidget:
        """What is found: it scrolls in a place of its own, and moves no button as it grows."""
        inside = QWidget()
        lines = QVBoxLayout(inside)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.addWidget(self.outcome)
        lines.addWidget(self.summary)
        lines.addStretch(1)
        made = scrolling(inside)
        made.setMinimumHeight(_LOWEST)
        made.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored)
        return made

    def _editor(self, field: Field) -> QWidget:
        if field.kind == "result":
            box = QCheckBox("use it")
            box.setChecked(True)
            return box
        if field.kind in _LAYERS:
            return choice_of([_NONE])
        if field.kind == "file":
            return _FileField()
        editor = editor_of(field)
        if field.name == "phases" and isinstance(editor, QLineEdit):
            editor.setPlaceholderText("PbS, CuInS2, or CIF files")
            editor.setCompleter(QCompleter(known_phases(), editor))
        return editor

    def parameters(self) -> dict[str, Any]:
        """Return what the form says.

        Raises
        ------
        ParameterError
            If a field holds no value of its kind.
        """
        image = self.images.image
        return {field.name: self._value(field, image) for field in self.fields
                if field.kind != "result"}

    def _value(self, field: Field, image: Image | None) -> Any:
        editor = self.editors[field.name]
        if isinstance(editor, _FileField):
            text = editor.text().strip()
            return numbers_in(field.name, text) if text else None
        if field.kind in _LAYERS and isinstance(editor, QComboBox):
            name = editor.currentText()
            if name == _NONE or name not in self.viewer.layers or image is None:
                return None
            layer = self.viewer.layers[name]
            return lines_of(layer) if field.kind == "lines" else labels_on(layer, image, field.name)
        return value_of(field, editor)

    def run(self) -> None:
        """Measure the chosen image; what it found before is replaced, corrections are kept."""
        image = self.images.image
        if image is None:
            self.outcome.setText(self._why_none())
            return
        name = self.measurement.name
        try:
            parameters = self.parameters()
        except EmtoolsError as error:
            self.wrong(error)
            return
        self.work.stop()
        if self.desk.under_way(image, name):
            self.outcome.setText("It is being corrected: measure again when that is done.")
            return
        before = self.desk.of(image, name)
        correction = before.correction if before else None
        supplied = {field.name: found.result for field in self.fields if field.kind == "result"
                    and self.editors[field.name].isChecked()  # type: ignore[attr-defined]
                    and (found := self.desk.of_scan(image, field.name)) is not None}
        sisters = self.desk.sisters(image)
        self._begun()

        def done(results: tuple[Result, Result]) -> None:
            automatic, result = results
            if not self.desk.is_as_shown(image):
                self.outcome.setText("It was closed or calibrated meanwhile: measure again.")
                return
            self.desk.put(image, result, parameters, correction, automatic, supplied)

        self.work.on = key_of(image), name
        self.work.start(
            lambda: measured(image, name, parameters, supplied, sisters, correction), done,
            self.wrong)

    def stop(self) -> None:
        """Stop measuring, and show what was found before."""
        self.work.stop()
        self._show()

    def _why_none(self) -> str:
        """Why no image can be measured, of each that is open."""
        step = self.viewer.dims.current_step
        reasons = [f"{title_of(one)}: {self.measurement.why_not(frame_of(one, step))}"
                   for one in self.desk.images()]
        return "\n".join(reasons) or "Open an image first."

    def _begun(self) -> None:
        self.run_button.setEnabled(False)
        self.stop_button.setEnabled(True)
        self.progress.setRange(0, 0)
        self.outcome.setText("measuring")
        self.progress.show()

    def _ended(self) -> None:
        self.run_button.setEnabled(True)
        self.stop_button.setEnabled(False)
        self.progress.setRange(0, 100)
        self.progress.reset()
        self.progress.hide()

    def _reached(self, words: str, done: float | None) -> None:
        if not self.work.running:
            return
        self.progress.setRange(0, 0 if done is None else 100)
        self.progress.setValue(0 if done is None else round(100 * done))
        self.outcome.setText(words)

    def _changed(self, key: str, measurement: str) -> None:
        image = self.images.image
        rests_on = (one.name for one in self.measurement.rests_on)
        own = measurement == self.measurement.name and image is not None and key_of(image) == key
        if own or measurement in rests_on:
            self._show()

    def _show(self) -> None:
        image = self.images.image
        found = None if image is None else self.desk.of(image, self.measurement.name)
        if found is None:
            self.outcome.setText("" if image is not None else self._why_none())
            self.summary.clear()
            return
        outdated = self.desk.outdated(found)
        self.outcome.setText(found.result.outcome + (
            f" (rests on {' and '.join(outdated)} as found before: measure again)"
            if outdated else ""))
        self.summary.setText(summary_text(found.result))

    def _renew_layers(self, event: Any = None) -> None:
        for field in self.fields:
            editor = self.editors[field.name]
            if field.kind not in _LAYERS or not isinstance(editor, QComboBox):
                continue
            wanted = [layer.name for layer in self.viewer.layers
                      if type(layer).__name__ == _LAYERS[field.kind]]
            chosen = editor.currentText()
            editor.clear()
            editor.addItems([_NONE, *wanted])
            editor.setCurrentText(chosen if chosen in wanted else _NONE)

    def _open_table(self) -> None:
        from napari_emtools.panels import opened

        image = self.images.image
        if image is not None:
            opened(self.viewer, "Table").take(image, self.measurement.name)

    def _open_pictures(self) -> None:
        from napari_emtools.panels.pictures import PicturesWindow

        image = self.images.image
        found = None if image is None else self.desk.of(image, self.measurement.name)
        if found is not None:
            self.pictures = PicturesWindow(found, self)
            self.pictures.show()


class LatticePanel(MeasurePanel):
    """Measures lattices."""

    NAME = "lattice"


class ChainsPanel(MeasurePanel):
    """Measures chains."""

    NAME = "chains"


class EdsPanel(MeasurePanel):
    """Measures composition."""

    NAME = "eds"

    def _lay_out(self) -> None:
        super()._lay_out()
        self.maps = QComboBox()
        self.maps.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.map_button = button("Show map", "Show this map on the image", self.show_map)
        self.box.addLayout(row(self.maps, self.map_button))

    def show_map(self) -> None:
        """Show the chosen element map as a layer."""
        image = self.images.image
        found = None if image is None else self.desk.of(image, self.NAME)
        if found is not None and self.maps.currentText():
            self.desk.show_map(found, self.maps.currentText())

    def _show(self) -> None:
        super()._show()
        image, before = self.images.image, self.maps.currentText()
        found = None if image is None else self.desk.of(image, self.NAME)
        self.maps.clear()
        self.maps.addItems([] if found is None else map_names(found.result))
        self.maps.setCurrentIndex(max(self.maps.findText(before), 0))
        self.map_button.setEnabled(self.maps.count() > 0)


class RingsPanel(MeasurePanel):
    """Measures rings of diffraction patterns."""

    NAME = "rings"


class AttachmentPanel(MeasurePanel):
    """Compares lattices with the axes of chains."""

    NAME = "attachment"


class _FileField(QWidget):
    """The path of a file, typed or chosen."""

    def __init__(self) -> None:
        super().__init__()
        self._line = QLineEdit()
        choose = QToolButton()
        choose.setText("…")
        choose.clicked.connect(self._choose)
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self._line)
        box.addWidget(choose)

    def text(self) -> str:
        """The path."""
        return self._line.text()

    def _choose(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, filter="TOML or JSON (*.toml *.json)")
        if path:
            self._line.setText(path)


def summary_text(result: Result) -> str:
    """Return the summary of a result as a small table in HTML."""
    rows = []
    for key, value in result.summary.items():
        if key == "outcome" or value in (None, ""):
            continue
        said = ", ".join(map(_said, value)) if isinstance(value, list | tuple) else _said(value)
        rows.append((key.replace("_", " "), said))
    return table_text(rows)


def _said(value: Any) -> str:
    if isinstance(value, Measured):
        return str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_said(item)}" for key, item in value.items())
    return str(value)
