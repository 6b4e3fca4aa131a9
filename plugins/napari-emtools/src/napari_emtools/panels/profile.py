"""Profiles: along a drawn line, or along a chain that is shown straightened."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QScrollArea,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from emtools import probe
from emtools.errors import EmtoolsError
from emtools.figures.style import style
from emtools.model import Measured
from emtools.tables import in_unit
from napari_emtools.desk import replaced
from napari_emtools.panels.base import ImageChoice, Panel, button, form, row, table_text
from napari_emtools.panels.plots import FigureView, canvas_of
from napari_emtools.shown import ORIGIN, key_of, tool_layer

if TYPE_CHECKING:
    from emtools.model import Image
    from emtools.probe import Bodies, FringesAlong, Profile

LINE = "profile line"
_FIRST_WIDTH_PX = 5.0
_NO_CHAIN = "drawn line"
_INVITATION = "Press 'Draw line' and draw a line on the image,\nor choose a chain above."
_DPI = 120.0
_BESIDE_PX = 42  # margins, and a bar to scroll


class ProfilePanel(Panel):
    """Shows the profile along a line on the chosen image, or along one of its chains.

    Parameters
    ----------
    napari_viewer
        The viewer.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        from matplotlib.figure import Figure

        viewer = self.viewer
        self.images = ImageChoice(self, _why_not)
        self.across = QDoubleSpinBox()
        self.across.setDecimals(3)
        self.across.setRange(1e-3, 1e6)
        self.along = QComboBox()
        self.figure = Figure(layout="constrained", dpi=_DPI)
        self.canvas = canvas_of(self.figure)
        self.canvas.setMinimumHeight(200)
        self.strip, self.composition = FigureView(), FigureView()
        both = QWidget()
        beneath = QVBoxLayout(both)
        for view in (self.strip, self.composition):
            beneath.addWidget(view, 0, Qt.AlignmentFlag.AlignHCenter)
        beneath.addStretch(1)
        self.strip_area = QScrollArea()
        self.strip_area.setWidget(both)
        self.strip_area.setWidgetResizable(True)
        self.strip_area.hide()
        self.text = QTextBrowser()
        self.profile: Profile | None = None
        self.bodies: Bodies | None = None
        self.fringes: FringesAlong | None = None
        self._layer: Any = None
        self._later = self.later(30, self.renew)
        self._lay_out()
        self.images.chosen.connect(self._image_chosen)
        self.across.valueChanged.connect(lambda _: self._later.start())
        self.along.activated.connect(lambda _: self.renew())
        self.listen(viewer.layers.events.removed, self._removed)
        self.listen(self.desk.changed, lambda *_: self._renew_chains())
        self._image_chosen()

    def _lay_out(self) -> None:
        self.box.addWidget(self.images)
        lines = form()
        lines.addRow("along", self.along)
        lines.addRow("width", self.across)
        self.box.addLayout(lines)
        self.box.addLayout(row(button("Draw line", "Draw a line on the image", self.draw_line)))
        self.box.addWidget(self.canvas, 3)
        self.box.addWidget(self.strip_area, 3)
        self.box.addWidget(self.said)
        self.box.addWidget(self.text, 2)

    def draw_line(self) -> None:
        """Let a line be drawn; the last one that was drawn counts."""
        image = self.images.image
        if image is None:
            return
        if self._layer is None:
            self._layer = replaced(self.viewer.layers, None, tool_layer(image, LINE, []))
            self._layer.events.set_data.connect(self._drawn)
        self.along.setCurrentText(_NO_CHAIN)
        self.viewer.layers.selection.active = self._layer
        self._layer.mode = "add_line"

    def renew(self) -> None:
        """Show the profile of what is chosen now."""
        if self.along.currentData() is not None:
            self._show_chain(int(self.along.currentData()))
        else:
            self._show_line()

    @property
    def places(self) -> np.ndarray[Any, Any] | None:
        """Places (y, x) of the line, in the image's unit."""
        image = self.images.image
        if self._layer is None or image is None or not len(self._layer.data):
            return None
        points = np.asarray(self._layer.data[-1], dtype=float)[:, -2:]
        return np.asarray(image.calibration().vectors(points))

    def _show_line(self) -> None:
        self.strip_area.hide()
        self.canvas.show()
        self.text.show()
        image, places = self.images.image, self.places
        if image is None or places is None or np.hypot(*np.diff(places, axis=0).T).sum() == 0:
            self._invite()
            return
        try:
            self.profile = probe.profile(image, places, self.across.value())
            self.fringes, self.bodies = self.profile.fringes(), self.profile.bodies()
        except EmtoolsError as error:
            self.said.setText(str(error))
            return
        self._draw(self.profile, self.bodies)
        self.said.setText(f"length {self.profile.length:.4g} {self.profile.unit} (scale ± "
                          f"{100 * self.profile.scale_err:.2g} %)")
        fringes = self.fringes
        said = f"fringes: {fringes.spacing} along the line, {fringes.n_fringes:.1f} of them" \
            if fringes else f"no fringes: {fringes.reason}"
        self.text.setHtml(f"{said}<br>{_distances(self.bodies, self.profile.unit)}")

    def _invite(self) -> None:
        """Say what to do where there is no profile yet."""
        self.profile = self.bodies = self.fringes = None
        self.figure.clear()
        self.figure.text(0.5, 0.5, _INVITATION, ha="center", va="center", color="0.35", fontsize=8)
        self.canvas.draw_idle()
        self.said.clear()
        self.text.clear()

    def _draw(self, profile: Profile, bodies: Bodies) -> None:
        self.figure.clear()
        with style():
            axes = self.figure.add_subplot()
        axes.plot(profile.s, profile.intensity, color="0.2", lw=0.8)
        if np.isfinite(profile.intensity_err).any():
            axes.fill_between(profile.s, profile.intensity - profile.intensity_err,
                              profile.intensity + profile.intensity_err, color="0.8", lw=0)
        if bodies and bodies.model is not None:
            axes.plot(profile.s, bodies.model, color="#d55e00", lw=1.0)
        if bodies:
            gaps = bodies.distances[bodies.distances["kind"] == "gap"]
            for start, end in zip(*(gaps[in_unit(name, profile.unit)]
                                    for name in ("start_nm", "end_nm")), strict=True):
                axes.axvspan(start, end, color="#56b4e9", alpha=0.3, lw=0)
        axes.set_xlabel(f"distance ({profile.unit})")
        axes.set_ylabel("intensity")
        axes.margins(x=0)
        self.canvas.draw_idle()

    def _show_chain(self, chain: int) -> None:
        """Show a chain straightened, with its gaps."""
        from emtools import figures

        image = self.images.image
        found = None if image is None else self.desk.of(image, "chains")
        if image is None or found is None:
            return
        only = {name: frame[frame["chain"] == chain] for name, frame in found.result.tables.items()}
        details = {name: frame[frame["chain"] == chain] if "chain" in frame else frame
                   for name, frame in found.result.details.items()}
        figure = figures.strips_figure(image, replace(found.result, tables=only, details=details))
        self.canvas.hide()
        self.text.hide()
        self.strip_area.show()
        if figure is None:
            self.said.setText(f"chain {chain} cannot be straightened")
            return
        self.strip.show_figure(figure, self._room)
        self._show_composition(image, chain)
        own = only["chains"].iloc[0]
        self.said.setText(f"chain {chain}, straightened: {int(own['n_dots'])} dots, "
                          f"{len(only['gaps'])} gaps")

    def _show_composition(self, image: Image, chain: int) -> None:
        """Show the composition along the chain beneath it, if spectra of the scan were measured."""
        from emtools.figures.eds import profile_figure

        found = self.desk.of_scan(image, "eds")
        profile = None if found is None else found.result.tables["profile"]
        own = None if profile is None else profile[profile["chain"] == chain]
        self.composition.setVisible(own is not None and len(own) > 0)
        if found is not None and own is not None and len(own):
            self.composition.show_figure(profile_figure(
                replace(found.result, tables={**found.result.tables, "profile": own})), self._room)

    @property
    def _room(self) -> int:
        """Width of the figures, in pixels of the screen."""
        return self.strip_area.viewport().width() - _BESIDE_PX

    def resizeEvent(self, event: Any) -> None:  # noqa: N802
        """Draw the figures of a chain anew."""
        super().resizeEvent(event)
        if self.along.currentData() is not None:
            self._later.start()

    def _image_chosen(self) -> None:
        image = self.images.image
        if self._layer is not None and (
                image is None or key_of(image) != self._layer.metadata[ORIGIN].key):
            self._layer = None
        if image is not None:
            calibration = image.calibration()
            self.across.setSuffix(f" {calibration.unit}")
            self.across.setValue(_FIRST_WIDTH_PX * calibration.pixel_size)
            self.across.setSingleStep(calibration.pixel_size)
        self._renew_chains()

    def _renew_chains(self) -> None:
        image, before = self.images.image, self.along.currentText()
        found = None if image is None else self.desk.of(image, "chains")
        self.along.clear()
        self.along.addItem(_NO_CHAIN, None)
        for number in [] if found is None else found.result.tables["chains"]["chain"].tolist():
            self.along.addItem(f"chain {number}", number)
        self.along.setCurrentIndex(max(self.along.findText(before), 0))
        if self.along.currentData() is not None or self.places is None:
            self.renew()

    def _drawn(self, event: Any = None) -> None:
        if not self._later.isActive():
            self._later.start()

    def _removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer.events.set_data.disconnect(self._drawn)
            self._layer = None
            self.renew()


def _distances(bodies: Bodies, unit: str) -> str:
    """Bodies and gaps with their extents, as HTML."""
    if not bodies:
        return bodies.reason
    columns = [in_unit(name, unit) for name in ("distance_nm", "distance_err_nm")]
    rows = ((kind, Measured(value, err, unit)) for kind, value, err in zip(
        bodies.distances["kind"], *(bodies.distances[name].tolist() for name in columns),
        strict=True))
    return table_text(rows) + bodies.note


def _why_not(image: Image) -> str | None:
    return None if image.is_plane else "no single picture"
