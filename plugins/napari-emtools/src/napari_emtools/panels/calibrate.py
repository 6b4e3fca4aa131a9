"""Calibrate with a known distance, or with a crystal; kept for other images and for a batch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QComboBox, QCompleter, QDoubleSpinBox, QFileDialog, QLineEdit

import emtools
from emtools.crystal import known_phases
from emtools.errors import CalibrationError, EmtoolsError
from emtools.instrument import DEFAULT_REPRODUCIBILITY, InstrumentCalibration
from emtools.instrument.from_distance import scaled
from napari_emtools.desk import replaced
from napari_emtools.panels.base import ImageChoice, Panel, button, form, note, row
from napari_emtools.shown import key_of, title_of, tool_layer, unit_of
from napari_emtools.work import Work

if TYPE_CHECKING:
    from emtools.model import Image

LINE = "known distance"
_UNITS = ("nm", "Å", "µm", "1/nm")


class CalibratePanel(Panel):
    """Calibrates the chosen image, and the others of the same file that show the same field.

    Parameters
    ----------
    napari_viewer
        The viewer.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.images = ImageChoice(self, _why_not)
        self.length = QDoubleSpinBox()
        self.length.setDecimals(4)
        self.length.setRange(1e-4, 1e9)
        self.length.setValue(20.0)
        self.unit = QComboBox()
        self.unit.addItems(_UNITS)
        self.end_err = QDoubleSpinBox()
        self.end_err.setRange(0.01, 100.0)
        self.end_err.setValue(0.5)
        self.end_err.setSuffix(" px")
        self.phase = QLineEdit()
        self.phase.setPlaceholderText("PbS, Au, SrTiO3 … or a CIF file")
        self.phase.setCompleter(QCompleter(known_phases(), self.phase))
        self.repeats = QDoubleSpinBox()
        self.repeats.setRange(0.0, 50.0)
        self.repeats.setValue(100 * DEFAULT_REPRODUCIBILITY)
        self.repeats.setSuffix(" %")
        self.work = Work(self)
        self.calibration: InstrumentCalibration | None = None
        self._layer: Any = None
        self._lay_out()
        self.images.chosen.connect(self._say)
        self.listen(self.viewer.layers.events.removed, self._removed)
        self._say()

    def _lay_out(self) -> None:
        self.box.addWidget(self.images)
        self.box.addWidget(note("With a known distance: draw a line along it, a scale bar for "
                                "example, and say how long it is."))
        lines = form()
        lines.addRow("length", self.length)
        lines.addRow("unit", self.unit)
        lines.addRow("ends ±", self.end_err)
        self.box.addLayout(lines)
        self.box.addLayout(row(
            button("Draw line", "Draw a line along the distance", self.draw_line),
            button("Apply", "Calibrate with this distance", self.with_distance)))
        self.box.addWidget(note("With a crystal: its lattice tells scale and squareness of the "
                                "plane to parts in a thousand."))
        lines = form()
        lines.addRow("phase", self.phase)
        lines.addRow("repeats to", self.repeats)
        self.box.addLayout(lines)
        self.box.addLayout(row(
            button("Calibrate", "Measure the lattice, and calibrate with it", self.with_crystal)))
        self.box.addWidget(note("For other images:"))
        self.box.addLayout(row(
            button("Save …", "Save the calibration for a batch", self.save),
            button("Load …", "Apply a saved calibration", self.load)))
        self.box.addWidget(self.said)
        self.box.addStretch(1)

    def draw_line(self) -> None:
        """Let a line be drawn; the last one counts."""
        image = self.images.whole
        if image is None:
            return
        self._layer = replaced(self.viewer.layers, self._layer, tool_layer(image, LINE, []))
        self.viewer.layers.selection.active = self._layer
        self._layer.mode = "add_line"

    @property
    def ends(self) -> np.ndarray[Any, Any] | None:
        """Both ends of the drawn line (y, x), in pixels."""
        if self._layer is None or not len(self._layer.data):
            return None
        return np.asarray(self._layer.data[-1], dtype=float)[[0, -1], -2:]

    def with_distance(self) -> None:
        """Give the image the pixel size that makes the line as long as it is said to be."""
        image, ends = self.images.whole, self.ends
        if image is None or ends is None:
            self.said.setText("Draw a line along the known distance first.")
            return
        length, unit, err = self.length.value(), self.unit.currentText(), self.end_err.value()
        try:
            calibrated = emtools.calibrate_distance(image, ends, length, unit, end_err_px=err)
        except EmtoolsError as error:
            self.wrong(error)
            return
        try:
            self.calibration = scaled(image, ends, length, unit, end_err_px=err,
                                      reproducibility=0.01 * self.repeats.value())
        except EmtoolsError:  # it states no pixel size: a recipe gives the batch one
            self.calibration = None
        others = [one for one in self._of_same_file(image) if key_of(one) != key_of(image)]
        self._apply([calibrated, *(_as_large(one, image, calibrated) for one in others)])

    def with_crystal(self) -> None:
        """Measure the lattice of the image, and calibrate with it."""
        image = self.images.image
        phase = self.phase.text().strip()
        if image is None or not phase:
            self.said.setText("Say which crystal it is.")
            return
        self.said.setText("measuring the lattice")
        repeats = 0.01 * self.repeats.value()
        self.work.start(lambda: emtools.calibrate(image, phase, reproducibility=repeats),
                        self._calibrated, self.wrong)

    def save(self, path: str = "") -> None:
        """Save the calibration, or a recipe with the pixel size of an image that stated none."""
        from napari.utils.notifications import show_info

        image = self.images.whole
        if not path:
            path, _ = QFileDialog.getSaveFileName(self, "Save for the batch", "calibration.toml",
                                                  "TOML (*.toml)")
        if not path or image is None:
            return
        try:
            if self.calibration is not None:
                self.calibration.write(path)
                show_info(f"{path}: for emtools batch --calibration")
                return
            size = image.pixel_size("nm")[1]
            Path(path).write_text("# For images that have no pixel size of their own.\n"
                                  f"pixel_size_nm = {size!r}\n", encoding="utf-8")
            show_info(f"{path}: a recipe for emtools batch --recipe")
        except (EmtoolsError, OSError) as error:
            self.wrong(error)

    def load(self, path: str = "") -> None:
        """Apply a saved calibration to the images of this file."""
        if not path:
            path, _ = QFileDialog.getOpenFileName(self, "A calibration", filter="TOML (*.toml)")
        if path:
            try:
                self._calibrated(InstrumentCalibration.read(path))
            except EmtoolsError as error:
                self.wrong(error)

    def _calibrated(self, calibration: InstrumentCalibration) -> None:
        image = self.images.whole
        if image is None:
            return
        try:
            own = calibration.apply(image)
        except EmtoolsError as error:
            self.wrong(error)
            return
        self.calibration = calibration
        others = [_or_as_it_is(calibration, one) for one in self._of_same_file(image)
                  if key_of(one) != key_of(image)]
        self._apply([own, *others])

    def _of_same_file(self, image: Image) -> list[Image]:
        return [one for one in self.desk.images()
                if image.source.file is not None and one.source.file == image.source.file]

    def _apply(self, images: list[Image]) -> None:
        """Show the images as they are calibrated now; a viewer keeps a single unit."""
        unit = unit_of(images[0])
        for one in self.desk.images():
            new = next((own for own in images if key_of(own) == key_of(one)), None)
            if unit_of(new or one) != unit:
                self.said.setText(f"{title_of(one)} is in {unit_of(new or one)}: open it in a "
                                  "window of its own first, for a viewer has one unit")
                return
        for one in images:
            self.desk.recalibrate(one)
        self.viewer.reset_view()  # what was in pixels may be a speck in nm
        self.images.renew()
        self._say()

    def _say(self) -> None:
        image = self.images.whole
        if image is None:
            self.said.setText("Open an image first.")
            return
        calibration = image.calibration()
        if calibration.unit == "px":
            self.said.setText("No pixel size is known.")
            return
        y, x = image.pixel_size(calibration.unit)
        self.said.setText(f"pixel size {y:.6g} × {x:.6g} {calibration.unit} ± "
                          f"{100 * calibration.scale_err:.2g} % ({image.axis('x').source})")

    def _removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer = None


def _why_not(image: Image) -> str | None:
    return None if image.has_axis("y") and image.has_axis("x") else "no picture"


def _as_large(image: Image, like: Image, calibrated: Image) -> Image:
    """Return another picture of the same scan with the pixel size that goes with it."""
    from emtools.model.image import same_scan

    if not same_scan(image, like):
        return image
    old, new = like.calibration(), calibrated.calibration()
    factor = new.pixel_size / old.pixel_size
    sizes = tuple(axis.pixel_size * factor for axis in image.plane_axes)
    return image.calibrated((sizes[0], sizes[1]), new.unit, err=new.scale_err)


def _or_as_it_is(calibration: InstrumentCalibration, image: Image) -> Image:
    try:
        return calibration.apply(image)
    except CalibrationError:  # another setting: its own pixel size is not touched
        return image
