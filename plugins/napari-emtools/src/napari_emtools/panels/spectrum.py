"""Spectra: of a drawn region with its fit and composition; the map of a window of energy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from qtpy.QtWidgets import QComboBox, QLineEdit, QTextBrowser

import emtools
from emtools.figures.eds import draw_spectrum
from emtools.figures.style import style
from emtools.model import Measured
from emtools.process.spectra import region_spectrum, window_map
from napari_emtools.desk import beneath_lines, replaced, shown_as
from napari_emtools.panels.base import ImageChoice, Panel, button, form, names_in, row, table_text
from napari_emtools.panels.plots import canvas_of
from napari_emtools.shown import (
    ORIGIN,
    Origin,
    image_layer,
    key_of,
    region_of,
    title_of,
    tool_layer,
)
from napari_emtools.work import Work

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from emtools.model import Image, Result

REGION, MAP = "spectrum region", "energy window"
_TOOLS = {"Rectangle": "add_rectangle", "Ellipse": "add_ellipse", "Polygon": "add_polygon"}
_NARROWEST_CHANNELS = 2.0
_DPI, _AXES = 120.0, (0.22, 0.14, 0.76, 0.83)  # left, bottom, width, height of the plot
_END = 0.08  # of the width, where half a label does not fit
_DRAWN_AGAIN_MS, _MAPPED_AGAIN_MS = 60, 60


class SpectrumPanel(Panel):
    """Shows the spectrum of a region of the chosen image, and where a window of it comes from.

    Parameters
    ----------
    napari_viewer
        The viewer.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        from matplotlib.figure import Figure

        self.images = ImageChoice(self, _why_not)
        self.shape = QComboBox()
        self.shape.addItems(list(_TOOLS))
        self.elements = QLineEdit()
        self.elements.setPlaceholderText("found from the spectrum")
        self.elements.setToolTip("What is reported and normalised to 100 %, separated by commas")
        self.figure = Figure(dpi=_DPI)
        self.canvas = canvas_of(self.figure)
        self.canvas.setMinimumHeight(230)
        self.text = QTextBrowser()
        self.spectrum: Image | None = None
        self.result: Result | None = None
        self.energies: tuple[float, float] | None = None
        self.work, self.mapping = Work(self), Work(self)
        self._layer: Any = None
        self._span: Any = None
        self._later = self.later(_DRAWN_AGAIN_MS, self.renew)
        self._map_later = self.later(_MAPPED_AGAIN_MS, self._map)
        self._lay_out()
        self.images.chosen.connect(self._image_chosen)
        self.elements.editingFinished.connect(self.renew)
        self.listen(self.viewer.layers.events.removed, self._removed)
        self._image_chosen()

    def _lay_out(self) -> None:
        self.box.addWidget(self.images)
        self.box.addLayout(row(
            self.shape,
            button("Draw", "Draw a region on the image; the last one counts", self.draw_region),
            button("Whole", "The spectrum of the whole image", self.whole)))
        lines = form()
        lines.addRow("elements", self.elements)
        self.box.addLayout(lines)
        self.box.addWidget(self.canvas, 3)
        self.box.addWidget(self.said)
        self.box.addWidget(self.text, 2)

    def draw_region(self) -> None:
        """Let a region be drawn, moved and resized."""
        image = self.images.image
        if image is None or not image.has_axis("x"):
            self.said.setText("There is no spectrum image to draw on.")
            return
        if self._layer is None:
            self._layer = replaced(self.viewer.layers, None, tool_layer(image, REGION, []))
            self._layer.events.set_data.connect(self._drawn)
        self.viewer.layers.selection.active = self._layer
        self._layer.mode = _TOOLS[self.shape.currentText()]

    def whole(self) -> None:
        """Forget the region."""
        if self._layer is not None:
            self.viewer.layers.remove(self._layer)
        self.renew()

    def renew(self) -> None:
        """Sum the spectra of the region, and fit their sum."""
        image = self.images.image
        if image is None:
            return
        region = None if self._layer is None else region_of(self._layer, image)
        elements = names_in(self.elements.text())

        def summed() -> tuple[Image, Result]:
            spectrum = region_spectrum(image, region)
            return spectrum, emtools.eds(spectrum, elements=elements)

        self.said.setText("summing and fitting")
        self.work.start(summed, lambda both: self._fitted(*both), self.wrong)

    def show_window(self, low_keV: float, high_keV: float) -> None:
        """Show where the counts between two energies come from, as a layer on the image."""
        if self.spectrum is None:
            return
        least = _NARROWEST_CHANNELS * self.spectrum.axis("energy").pixel_size
        self.energies = low_keV, max(high_keV, low_keV + least)
        if not self._map_later.isActive():
            self._map_later.start()

    def _map(self) -> None:
        image, window = self.images.image, self.energies
        if image is None or window is None or not image.has_axis("x"):
            return
        if self.mapping.running:  # the last window of a drag is what counts
            self._map_later.start()
            return
        self.mapping.start(lambda: window_map(image, *window),
                           lambda found: self._mapped(image, found), self.wrong)

    def _mapped(self, image: Image, found: Image) -> None:
        """Put the map in the place of the one before."""
        assert self.energies is not None
        data, shown, kind = image_layer(
            found, name=f"{MAP} · {title_of(image)}", colormap="magma",
            metadata={ORIGIN: Origin(image, "tool"), "layer": MAP})
        old = shown_as(self.viewer.layers, image, MAP)
        if old is None:
            layer = replaced(self.viewer.layers, None, (data, shown, kind))
            beneath_lines(self.viewer.layers, layer)
            if self._layer is not None:
                self.viewer.layers.selection.active = self._layer
            layer.visible = True
        else:
            old.data = data
            old.contrast_limits_range = (0.0, float(np.nanmax(data)) + 1.0)
            old.contrast_limits = shown["contrast_limits"]
        low, high = self.energies
        self.said.setText(f"map of {low:.3f} … {high:.3f} keV: {np.nansum(data):.0f} counts, "
                          "continuum and overlaps with them")

    def _fitted(self, spectrum: Image, result: Result) -> None:
        self.spectrum, self.result = spectrum, result
        self.said.setText(result.outcome)
        self.text.setHtml(composition_text(result))
        self._draw()

    def _draw(self) -> None:
        from matplotlib.widgets import SpanSelector

        assert self.spectrum is not None
        assert self.result is not None
        self.figure.clear()
        details = self.result.details
        with style():
            axes = self.figure.add_axes(_AXES)
            draw_spectrum(axes, details.get("spectrum", _only_counts(self.spectrum)),
                          details.get("lines", pd.DataFrame()))
            axes.set_xlabel("energy (keV): drag a window")
            _keep_inside(axes)
        self._span = SpanSelector(
            axes, self.show_window, "horizontal", interactive=True, drag_from_anywhere=True,
            onmove_callback=self.show_window, props={"alpha": 0.3, "facecolor": "#0072b2"})
        if self.energies is not None:
            self._span.extents = self.energies
        self.canvas.draw_idle()

    def _image_chosen(self) -> None:
        image = self.images.image
        if self._layer is not None and (
                image is None or key_of(image) != self._layer.metadata[ORIGIN].key):
            self._layer.events.set_data.disconnect(self._drawn)
            self._layer = None
        if image is None:
            self.said.setText("Open a spectrum image, or a spectrum, first.")
            return
        self.renew()

    def _drawn(self, event: Any = None) -> None:
        self._later.start()

    def _removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer.events.set_data.disconnect(self._drawn)
            self._layer = None


def _keep_inside(axes: Axes) -> None:
    """Let labels near the ends begin or end at their line: centred they lie over the axis."""
    left, right = axes.get_xlim()
    for text in axes.texts:
        place = (text.get_position()[0] - left) / (right - left)
        if place < _END:
            text.set_horizontalalignment("left")
        elif place > 1 - _END:
            text.set_horizontalalignment("right")


def composition_text(result: Result) -> str:
    """Return the composition of a whole spectrum as a small table in HTML."""
    table = result.tables["composition"]
    table = table[table["region"] == "all"]
    rows = []
    for one in table.to_dict("records"):
        err = float(np.hypot(one["atomic_percent_err"], one["atomic_percent_k_err"]))
        said = str(Measured(one["atomic_percent"], err, "at.%")) if one["detected"] else \
            f"not detected, below {one['limit_atomic_percent']:.2g} at.%"
        rows.append((one["element"], one["line"], Measured(one["counts"], one["counts_err"]), said))
    return table_text(rows, ("", "line", "counts", "share")) if rows else ""


def _only_counts(spectrum: Image) -> pd.DataFrame:
    """A spectrum that could not be fitted, as `draw_spectrum` takes it."""
    energy = spectrum.axis("energy")
    return pd.DataFrame({"energy_keV": energy.offset + energy.pixel_size * np.arange(energy.size),
                         "counts": spectrum.load(), "fitted": np.nan, "continuum": np.nan})


def _why_not(image: Image) -> str | None:
    if not image.has_axis("energy"):
        return "no spectra"
    return None if image.axis("energy").unit == "keV" else "energies without a unit"
