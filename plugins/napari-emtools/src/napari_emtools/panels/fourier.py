"""The live Fourier transform: of a rectangle while it is dragged, with spots to be clicked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QCompleter, QDoubleSpinBox, QLineEdit, QTextBrowser

from emtools import probe
from emtools.crystal import known_phases
from emtools.errors import EmtoolsError
from emtools.process.fourier import bragg_filtered, fourier, log_display, prepared
from napari_emtools.desk import replaced, shown_as
from napari_emtools.found import reciprocal_places
from napari_emtools.panels.base import ImageChoice, Panel, button, form, names_in, row, table_text
from napari_emtools.panels.transform_view import TransformView
from napari_emtools.shown import (
    ORIGIN,
    Origin,
    image_layer,
    key_of,
    title_of,
    tool_layer,
)
from napari_emtools.work import Work

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from emtools.model import Image
    from emtools.probe import PairOfSpots, PickedSpot

    Box = tuple[int, int, int, int]

AREA, FILTERED = "FFT area", "Bragg filtered"
_FIRST_PX = 512  # side of the first rectangle, at most
_SMALLEST_PX = 16
_MOST_CANDIDATES = 5


class FourierPanel(Panel):
    """Shows the transform of a rectangle on the chosen image.

    Parameters
    ----------
    napari_viewer
        The viewer.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        viewer = self.viewer
        self.images = ImageChoice(self, _why_not)
        self.transform = TransformView(self.pick)
        self.phases = QLineEdit()
        self.phases.setPlaceholderText("PbS, CuInS2, or CIF files")
        self.phases.setCompleter(QCompleter(known_phases(), self.phases))
        self.radius = QDoubleSpinBox()
        self.radius.setDecimals(3)
        self.radius.setRange(0.001, 1e3)
        self.radius.setValue(0.3)
        self.text = QTextBrowser()
        self.spots: list[PickedSpot] = []
        self.work = Work(self)
        self._layer: Any = None
        self._with_found = False
        self._ready: tuple[str, Image] | None = None
        self._later = self.later(0, self.renew)
        self._lay_out()
        self.images.chosen.connect(self._image_chosen)
        self.phases.editingFinished.connect(self._say)
        self.listen(viewer.layers.events.removed, self._removed)
        self.listen(self.desk.changed, lambda *_: self._draw_found())
        self._image_chosen()

    def _lay_out(self) -> None:
        self.box.addWidget(self.images)
        self.box.addLayout(row(
            button("Area", "Show a rectangle on the image that can be dragged", self.draw_area),
            button("Whole", "See the whole transform", self.transform.whole),
            button("Clear", "Forget the spots that were clicked, and the rings",
                   self.clear)))
        self.transform.native.setMinimumHeight(220)
        self.box.addWidget(self.transform.native, 3)
        self.box.addWidget(self.said)
        lines = form()
        lines.addRow("phases", self.phases)
        lines.addRow("filter radius (1/nm)", self.radius)
        self.box.addLayout(lines)
        self.box.addLayout(row(
            button("Rings", "Draw the rings of the phases", self.draw_rings),
            button("Found", "Draw the spots that the measurement of lattices found, or hide them",
                   self.toggle_found),
            button("Filter", "Show the image that only the clicked spots make", self.filter)))
        self.box.addWidget(self.text, 2)

    @property
    def area(self) -> Box | None:
        """The rectangle in whole pixels: top, left, bottom, right."""
        image = self.images.image
        if self._layer is None or image is None or not len(self._layer.data):
            return None
        corners = np.asarray(self._layer.data[-1])[:, -2:]
        low, high = corners.min(axis=0), corners.max(axis=0)
        size = np.array([axis.size for axis in image.plane_axes])
        first = np.clip(np.rint(low).astype(int), 0, size - _SMALLEST_PX)
        last = np.clip(np.rint(high).astype(int), first + _SMALLEST_PX, size)
        return int(first[0]), int(first[1]), int(last[0]), int(last[1])

    def draw_area(self) -> None:
        """Put a rectangle on the middle of the image, to be dragged and resized."""
        image = self.images.image
        if image is None:
            self.wrong(EmtoolsError("Fourier transform", "there is no picture in real space",
                                    "open one"))
            return
        if self._layer is None:
            size = np.array([axis.size for axis in image.plane_axes])
            half = np.minimum(size, _FIRST_PX) / 2
            low, high = size / 2 - half, size / 2 + half
            if (half * 2 >= size).all():
                low, high = size / 4, 3 * size / 4
            box = np.array([low, [low[0], high[1]], high, [high[0], low[1]]])
            self._layer = replaced(self.viewer.layers, None, tool_layer(
                image, AREA, [box], shape_type="rectangle"))
            self._layer.events.set_data.connect(self._moved)
        self._layer.mode = "select"
        self._layer.selected_data = {0}
        self.viewer.layers.selection.active = self._layer
        self.renew()

    def renew(self) -> None:
        """Transform what lies in the rectangle now."""
        image, box = self._prepared(), self.area
        if image is None:
            return
        try:
            transformed = fourier(image, box)
        except EmtoolsError as error:
            self.said.setText(str(error))
            return
        self.transform.show(transformed, *log_display(transformed))
        if self.spots:
            self._mark()
        whole = box or (0, 0, *image.shape)
        sides = [f"{n * size:.4g}" for n, size in zip(
            (whole[2] - whole[0], whole[3] - whole[1]), _sizes(image), strict=True)]
        self.said.setText(f"{whole[2] - whole[0]} × {whole[3] - whole[1]} px, "
                          f"{' × '.join(sides)} {image.calibration().unit}; click a spot")

    def pick(self, k_yx: NDArray[np.float64]) -> None:
        """Measure the spot at a wave vector."""
        image, box = self._prepared(), self.area
        if image is not None:
            self.said.setText("measuring the spot")
            self.work.start(lambda: probe.spot(image, k_yx, box), self._picked)

    def clear(self) -> None:
        """Forget the spots."""
        self.spots = []
        self.transform.draw_rings([])
        self._mark()
        self._say()

    def draw_rings(self) -> None:
        """Draw the rings of the phases out to the edge of the transform."""
        names = self.phase_names()
        seen = self.transform.transform
        if not names or seen is None:
            self.transform.draw_rings([])
            self.said.setText("Name phases first: their rings are drawn.")
            return
        if seen.plane_axes[0].unit != "1/nm":
            self.said.setText("rings need a pixel size in nm: calibrate the image")
            return
        try:
            found = probe.rings(names, -min(axis.offset for axis in seen.plane_axes))
        except EmtoolsError as error:
            self.wrong(error)
            return
        self.transform.draw_rings(found["k_per_nm"].tolist())

    def toggle_found(self) -> None:
        """Draw the spots of the lattices that were measured in this image, or hide them."""
        self._with_found = not self._with_found
        self._draw_found()

    def _draw_found(self) -> None:
        image = self.images.image
        found = None if image is None else self.desk.of(image, "lattice")
        if found is None:
            self.transform.draw_found(np.zeros((0, 2)))
            if self._with_found:
                self.said.setText("no lattice is measured in this image: use the panel Lattice")
            return
        self.transform.draw_found(reciprocal_places(found.result) if self._with_found
                                  else np.zeros((0, 2)))

    def filter(self) -> None:
        """Show the image that only the clicked spots make, as a layer on it."""
        image = self.images.image
        found = [one.k_yx for one in self.spots if one]
        if image is None or not found:
            self.said.setText("click spots first: the image that they make is shown")
            return
        radius = self.radius.value()
        self.work.start(lambda: bragg_filtered(image, np.array(found), radius), self._filtered)

    def phase_names(self) -> tuple[str, ...]:
        """The phases that were named."""
        return names_in(self.phases.text())

    def _filtered(self, filtered: Image) -> None:
        image = self.images.image
        if image is None:
            return
        data, shown, kind = image_layer(filtered, name=f"{FILTERED} · {title_of(image)}")
        shown["metadata"] = {ORIGIN: Origin(image, "tool"), "layer": FILTERED}
        old = shown_as(self.viewer.layers, image, FILTERED)
        replaced(self.viewer.layers, old, (data, shown, kind))

    def _prepared(self) -> Image | None:
        """The image with what its transforms share made once."""
        image = self.images.image
        if image is None:
            return None
        key = f"{key_of(image)} {image.calibration().matrix.tolist()}"
        if self._ready is None or self._ready[0] != key:
            try:
                self._ready = key, prepared(image)
            except EmtoolsError as error:
                self.said.setText(str(error))
                return None
        return self._ready[1]

    def _image_chosen(self) -> None:
        image = self.images.image
        if self._layer is not None and (
                image is None or key_of(image) != self._layer.metadata[ORIGIN].key):
            self._layer = next((layer for layer in self.viewer.layers if image is not None
                                and layer.name == f"{AREA} · {title_of(image)}"), None)
        self.clear()
        self.renew()
        self._draw_found()

    def _moved(self, event: Any = None) -> None:
        if not self._later.isActive():
            self._later.start()

    def _removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer.events.set_data.disconnect(self._moved)
            self._layer = None
            self.renew()

    def _picked(self, spot: PickedSpot) -> None:
        self.said.setText(str(spot))
        if not spot:
            return
        self.spots.append(spot)
        self._mark()
        self._say()

    def _mark(self) -> None:
        self.transform.mark([one.k_yx for one in self.spots],
                            [str(i) for i in range(1, len(self.spots) + 1)])

    def _say(self) -> None:
        """Say what the spots are, and what the last two are together."""
        names = self.phase_names()
        parts = []
        try:
            for i, one in enumerate(self.spots, start=1):
                parts.append(f"<b>{i}</b>: {one}")
                if names and one.unit == "nm":
                    parts.append(_table(probe.planes(one, names),
                                        ("phase", "hkl", "d_reference_nm", "sigmas")))
            if len(self.spots) > 1:
                pair = probe.pair(self.spots[-2], self.spots[-1], names)
                parts.append(_together(len(self.spots), pair))
        except EmtoolsError as error:
            parts.append(str(error))
        self.text.setHtml("<br>".join(parts))


def _together(last: int, pair: PairOfSpots) -> str:
    said = (f"<b>{last - 1} and {last}</b>: angle {pair.angle} (plane ± "
            f"{pair.angle_plane_err_deg:.2g}°), ratio of spacings {pair.ratio}")
    shown = _table(pair.candidates, ("phase", "zone_axis", "hkl1", "hkl2", "score"))
    return "<br>".join(part for part in (said, pair.reason, shown) if part)


def _table(frame: pd.DataFrame, columns: tuple[str, ...]) -> str:
    if not len(frame):
        return "none of the phases fits"
    first = frame[list(columns)].head(_MOST_CANDIDATES).itertuples(index=False)
    return table_text(([f"{value:.3g}" if isinstance(value, float) else value for value in values]
                       for values in first), [name.replace("_", " ") for name in columns])


def _sizes(image: Image) -> tuple[float, float]:
    unit = image.calibration().unit
    return (1.0, 1.0) if unit == "px" else image.pixel_size(unit)


def _why_not(image: Image) -> str | None:
    if not image.is_plane:
        return "no single picture"
    return None if image.calibration().unit in ("nm", "px") else "not in real space"
