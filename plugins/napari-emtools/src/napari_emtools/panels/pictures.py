"""The pictures of a result, as they go into a paper, to look at and to save."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QFileDialog, QScrollArea, QTabWidget, QVBoxLayout

from napari_emtools.panels.base import button, row
from napari_emtools.panels.plots import FigureView

if TYPE_CHECKING:
    from napari_emtools.desk import Finding


class PicturesWindow(QDialog):
    """A window with a tab for each picture of a result.

    Parameters
    ----------
    finding
        Whose pictures are shown.
    parent
        Panel that it belongs to.
    """

    def __init__(self, finding: Finding, parent: Any) -> None:
        from emtools import figures

        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(f"{finding.result.measurement}: {finding.image.name}")
        self.resize(900, 700)
        self.figures = figures.pictures(finding.image, finding.result)
        self.tabs = QTabWidget()
        for kind, figure in self.figures.items():
            scroll = QScrollArea()
            scroll.setWidget(FigureView(figure))
            scroll.setAlignment(Qt.AlignmentFlag.AlignCenter)
            self.tabs.addTab(scroll, kind.replace("_", " "))
        box = QVBoxLayout(self)
        box.addWidget(self.tabs)
        box.addLayout(row(button("Save …", "Save this picture: PNG, SVG, PDF or TIFF", self.save)))

    def save(self, path: str = "") -> None:
        """Save the picture that is shown."""
        from emtools import figures

        if not path:
            path, _ = QFileDialog.getSaveFileName(
                self, "Save the picture", filter="PNG (*.png);;SVG (*.svg);;PDF (*.pdf);;"
                                                 "TIFF (*.tif)")
        if path:
            kind = list(self.figures)[self.tabs.currentIndex()]
            figures.save(self.figures[kind], Path(path))
