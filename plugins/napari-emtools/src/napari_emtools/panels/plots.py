"""Figures of matplotlib inside the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QLabel, QSizePolicy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI, _LEAST_DPI = 110.0, 60.0


def canvas_of(figure: Figure) -> Any:
    """Return a canvas that shows a figure and grows with its panel."""
    from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg

    canvas = FigureCanvasQTAgg(figure)
    canvas.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
    return canvas


class FigureView(QLabel):
    """A figure in the size that it has on paper, drawn once; it does not change with the window.

    Parameters
    ----------
    figure
        Made for print: its layout is in inches.
    """

    def __init__(self, figure: Figure | None = None, dpi: float = _DPI) -> None:
        super().__init__()
        self._dpi = dpi
        self._size = QSize(0, 0)
        if figure is not None:
            self.show_figure(figure)

    def show_figure(self, figure: Figure, width_px: int | None = None) -> None:
        """Show another figure, in the width that there is if one is given."""
        import numpy as np
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from qtpy.QtGui import QImage, QPixmap

        ratio = self.devicePixelRatioF()
        before = figure.dpi
        dpi = self._dpi if width_px is None else max(width_px / figure.get_figwidth(), _LEAST_DPI)
        figure.set_dpi(dpi * ratio)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.ascontiguousarray(canvas.buffer_rgba())
        figure.set_dpi(before)
        rows, columns = pixels.shape[:2]
        drawn = QImage(pixels.data, columns, rows, 4 * columns, QImage.Format.Format_RGBA8888)
        drawn.setDevicePixelRatio(ratio)
        self.setPixmap(QPixmap.fromImage(drawn.copy()))
        self._size = QSize(round(columns / ratio), round(rows / ratio))
        self.setFixedSize(self._size)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the size of the figure."""
        return self._size
