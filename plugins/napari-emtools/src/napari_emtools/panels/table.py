"""The tables of results: a row leads to its object in the picture, an object to its row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHeaderView,
    QLineEdit,
    QTableView,
)

from emtools.errors import EmtoolsError
from emtools.measure import load
from emtools.model import Measured
from emtools.tables import error_of, in_unit
from napari_emtools.chosen import row_at
from napari_emtools.desk import desk_of
from napari_emtools.found import objects_of, place_of, usual_width
from napari_emtools.panels.base import ImageChoice, Panel, button, row
from napari_emtools.shown import key_of, origin_of
from napari_emtools.viewers import camera, near

if TYPE_CHECKING:
    import pandas as pd

    from emtools.model import Image, Result
    from emtools.results.export import Format
    from napari_emtools.desk import Finding

Index = QModelIndex | QPersistentModelIndex

_ROOT = QModelIndex()
_NAMES = {"csv": "CSV", "xlsx": "Excel"}
_NO_TOOL = "pan_zoom"  # mode of a layer
_ROOM, _LEAST = 1.5, 12.0  # that is seen about an object: of its size, of usual widths


class TablePanel(Panel):
    """Shows the tables of the chosen image's results.

    Parameters
    ----------
    napari_viewer
        The viewer.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.images = ImageChoice(self, self._no_result)
        self.tables = QComboBox()
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("show rows that contain …")
        self.filter.setClearButtonEnabled(True)
        self.rows = RowsModel(self)
        self.sorted = QSortFilterProxyModel(self)
        self.sorted.setSourceModel(self.rows)
        self.sorted.setSortRole(Qt.ItemDataRole.UserRole)
        self.sorted.setFilterKeyColumn(-1)
        self.view = QTableView()
        self.view.setModel(self.sorted)
        self.view.setSortingEnabled(True)
        self.view.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.verticalHeader().hide()
        self.view.horizontalHeader().setSectionResizeMode(
            QHeaderView.ResizeMode.ResizeToContents)
        self.box.addWidget(self.images)
        self.box.addWidget(self.tables)
        self.box.addWidget(self.filter)
        self.box.addWidget(self.view, 1)
        self.box.addWidget(self.said)
        self.box.addLayout(row(
            button("CSV …", "Save this table as a CSV file", lambda: self.save("csv")),
            button("Excel …", "Save this table as an Excel file", lambda: self.save("xlsx")),
            button("All …", "Write all tables, as CSV, and pictures of this result into a folder",
                   lambda: self.write("csv", pictures=True))))
        self._finding: Finding | None = None
        self._quiet = False
        self.images.chosen.connect(self._renew)
        self.tables.currentIndexChanged.connect(self._show)
        self.filter.textChanged.connect(self.sorted.setFilterFixedString)
        self.view.selectionModel().selectionChanged.connect(self._row_chosen)
        self.listen(self.desk.changed, self._changed)
        self.listen(self.desk.chosen, self._object_chosen)
        self.on_click(self._clicked)
        self._renew()

    def take(self, image: Image, measurement: str) -> None:
        """Show the first table of a result."""
        self.images.renew()
        self.images.choose(image)
        self._renew()
        for place in range(self.tables.count()):
            if self.tables.itemData(place)[0] == measurement:
                self.tables.setCurrentIndex(place)
                break

    @property
    def shown(self) -> tuple[str, str] | None:
        """Measurement and table that are shown."""
        found = self.tables.currentData()
        return None if found is None else (found[0], found[1])

    def save(self, to: Format, path: str = "") -> None:
        """Save the table that is shown."""
        from napari.utils.notifications import show_info

        from emtools.results import write_table
        from emtools.results.single import led_by_image

        if self._finding is None or self.shown is None:
            return
        if not path:
            path, _ = QFileDialog.getSaveFileName(
                self, "Save the table", self._usual_name(to), f"{_NAMES[to]} (*.{to})")
        if not path:
            return
        path = path if path.lower().endswith(f".{to}") else f"{path}.{to}"
        frame = self._finding.result.tables[self.shown[1]]
        try:
            write_table(led_by_image(self._finding.image, frame), Path(path), to)
        except (EmtoolsError, OSError) as error:
            self.wrong(error)
            return
        show_info(f"written: {path}")

    def _usual_name(self, to: str) -> str:
        """Beside the image, and named after it and the table."""
        assert self._finding is not None
        assert self.shown is not None
        file = Path(self._finding.image.source.file or "image")
        return str(file.with_name(".".join((file.stem, *self.shown, to))))

    def write(self, to: Any, folder: Path | None = None, *, pictures: bool = False) -> None:
        """Write the tables of the result that is shown, and its pictures."""
        from napari.utils.notifications import show_info

        from emtools.results import write_result

        if self._finding is None:
            return
        if folder is None:
            chosen = QFileDialog.getExistingDirectory(self, "Folder for the tables")
            if not chosen:
                return
            folder = Path(chosen)
        try:
            files = write_result(self._finding.image, self._finding.result, folder, to,
                                 pictures=pictures)
        except EmtoolsError as error:
            self.wrong(error)
            return
        show_info(f"{len(files)} files written to {folder}")

    def choose_row(self, place: int) -> None:
        """Choose a row of the table by its place in the result."""
        index = self.sorted.mapFromSource(self.rows.index(place, 0))
        if index.isValid():
            self._quiet = True
            self.view.selectRow(index.row())
            self.view.scrollTo(index)
            self._quiet = False

    def _no_result(self, image: Image) -> str | None:
        key = key_of(image)
        return None if any(one == key for one, _ in self.desk.findings) else "not measured yet"

    def _changed(self, key: str, measurement: str) -> None:
        self.images.renew()
        image = self.images.image
        if image is not None and key_of(image) == key:
            self._renew()

    def _renew(self) -> None:
        image, before = self.images.image, self.shown
        self.tables.blockSignals(True)
        self.tables.clear()
        for (key, name), finding in self.desk.findings.items():
            if image is not None and key == key_of(image):
                for table, frame in finding.result.tables.items():
                    self.tables.addItem(f"{name}: {table} ({len(frame)})", (name, table))
        places = [self.tables.itemData(i) for i in range(self.tables.count())]
        if before is not None and tuple(before) in [tuple(one) for one in places]:
            self.tables.setCurrentIndex([tuple(one) for one in places].index(tuple(before)))
        self.tables.blockSignals(False)
        self._show()

    def _show(self) -> None:
        image, shown = self.images.image, self.shown
        self._finding = None if image is None or shown is None else self.desk.of(image, shown[0])
        if self._finding is None or shown is None:
            self.rows.take(None, {})
            self.said.setText("Measure an image to see its tables.")
            return
        name, table = shown
        unit = str(self._finding.result.summary.get("unit", "nm"))
        meanings = {in_unit(column.name, unit): column.meaning
                    for column in load(name).tables[table].columns}
        self.rows.take(self._finding.result.tables[table], meanings)
        self.said.setText(self._finding.result.outcome)

    def _row_chosen(self, *_: Any) -> None:
        indexes = self.view.selectionModel().selectedRows()
        if self._quiet or not indexes or self._finding is None or self.shown is None:
            return
        place = self.sorted.mapToSource(indexes[0]).row()
        show_object(self.viewer, self._finding, self.shown[1], place)

    def _object_chosen(self, key: str, measurement: str, table: str, place: int) -> None:
        image = self.images.image
        if image is None or key_of(image) != key:
            return
        if self.shown != (measurement, table):
            for i in range(self.tables.count()):
                if tuple(self.tables.itemData(i)) == (measurement, table):
                    self.tables.setCurrentIndex(i)
        self.choose_row(place)

    def _clicked(self, position: Any) -> None:
        """Find the row of what was clicked, and mark it, unless a tool chooses there itself."""
        found = object_at(self.viewer, position, self.shown)
        if found is None:
            return
        key, measurement, table, place = found
        finding = self.desk.findings.get((key, measurement))
        active = self.viewer.layers.selection.active
        if finding is not None and str(getattr(active, "mode", _NO_TOOL)) == _NO_TOOL:
            mark_all(self.viewer, finding, table, place)
        self.desk.chosen.emit(*found)


class RowsModel(QAbstractTableModel):
    """A DataFrame as a table of the window; numbers with as many digits as their error allows."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self._frame: pd.DataFrame | None = None
        self._columns: list[str] = []
        self._meanings: dict[str, str] = {}

    def take(self, frame: pd.DataFrame | None, meanings: dict[str, str]) -> None:
        """Show another table."""
        self.beginResetModel()
        self._frame, self._meanings = frame, meanings
        names = [] if frame is None else [str(name) for name in frame.columns]
        errors = {error_of(name) for name in names}
        self._columns = [name for name in names if name not in errors]
        self.endResetModel()

    def rowCount(self, parent: Index = _ROOT) -> int:  # noqa: N802
        """Return how many rows there are."""
        return 0 if self._frame is None or parent.isValid() else len(self._frame)

    def columnCount(self, parent: Index = _ROOT) -> int:  # noqa: N802
        """Return how many columns there are: an error stands with its value."""
        return 0 if parent.isValid() else len(self._columns)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the text of a cell, or its value for sorting."""
        if self._frame is None or not index.isValid():
            return None
        column = self._columns[index.column()]
        value = self._frame[column].iloc[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return _cell(self._frame, column, index.row())
        if role == Qt.ItemDataRole.UserRole:
            plain = value.item() if hasattr(value, "item") else value
            return plain if isinstance(plain, int | float | bool) else str(plain)
        if role == Qt.ItemDataRole.TextAlignmentRole and not isinstance(value, str):
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(  # noqa: N802
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """Return the name of a column, or what it means."""
        if orientation != Qt.Orientation.Horizontal or section >= len(self._columns):
            return None
        name = self._columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return name
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._meanings.get(name, "")
        return None


def _cell(frame: pd.DataFrame, column: str, place: int) -> str:
    value = frame[column].iloc[place]
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "yes" if value else ""
    if isinstance(value, int | np.integer):
        return str(value)
    if not np.isfinite(value):
        return "–"
    err = float(frame[error_of(column)].iloc[place]) if error_of(column) in frame else float("nan")
    return str(Measured(float(value), err))


def show_object(viewer: Any, finding: Finding, table: str, place: int) -> None:
    """Bring an object into the middle of the view, and mark it in its layer."""
    found = place_of(finding.result, table, place)
    if found is not None:
        y, x, size = found
        view = camera(viewer)
        view.center = (*view.center[:-2], y, x)
        shorter = min(viewer.window._qt_viewer.canvas.size) if hasattr(viewer, "window") else 500
        zoom = shorter / max(_ROOM * size, _LEAST * usual_width(finding.result))
        # Nearer if need be; whoever has zoomed in stays there while the object still fits.
        if not zoom <= view.zoom <= shorter / max(_ROOM * size, 1e-9):
            view.zoom = zoom
    mark_all(viewer, finding, table, place)


def mark_all(viewer: Any, finding: Finding, table: str, place: int) -> None:
    """Mark an object in the layers of its result, and nothing else there."""
    for layer in desk_of(viewer).layers_of(finding.image, finding.result.measurement):
        mark(viewer, layer, finding.result, table, place)


def mark(viewer: Any, layer: Any, result: Result, table: str, place: int) -> None:
    """Select in a layer what belongs to a row of a table."""
    origin = origin_of(layer)
    assert origin is not None
    number = dict(objects_of(result)).get(table)
    if type(layer).__name__ == "Labels":
        if number is not None and origin.table == table:
            layer.selected_label = int(result.tables[table][number].iloc[place])
            layer.show_selected_label = False
        return
    if not hasattr(layer, "selected_data"):
        return
    layer.selected_data = {place} if origin.table == table else set()
    if origin.table == table:
        viewer.layers.selection.active = layer  # only then napari shows what is chosen
    if hasattr(layer, "refresh"):
        layer.refresh()


def object_at(
    viewer: Any, position: Any, first: tuple[str, str] | None = None
) -> tuple[str, str, str, int] | None:
    """Return key, measurement, table and row of the object at a place.

    Parameters
    ----------
    viewer
        The viewer.
    position
        In its unit.
    first
        Measurement and table whose objects are meant where several lie on each other; then the
        uppermost.
    """
    found = [(origin, layer) for layer in reversed(viewer.layers) if layer.visible
             and (origin := origin_of(layer)) is not None and origin.role == "result"
             and origin.table]
    found.sort(key=lambda one: (one[0].measurement, one[0].table) != first)
    for origin, layer in found:
        place = row_at(layer, position, near(viewer))
        if place is not None:
            return origin.key, origin.measurement, origin.table, place
    return None
