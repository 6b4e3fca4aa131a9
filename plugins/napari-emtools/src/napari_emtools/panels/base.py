"""What the panels have in common: the choice of an image, listening that ends with the panel."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDockWidget,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QTabBar,
    QVBoxLayout,
    QWidget,
)

from napari_emtools.desk import desk_of
from napari_emtools.shown import frame_of, image_of, key_of, origin_of, title_of
from napari_emtools.viewers import prepare
from napari_emtools.work import Work, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from emtools.model import Image

_NARROWEST = 260
_WIDE, _HIGH = 330, 600
_SHORT_CLICK = 3.0  # pixels on the screen that a hand moves in a click


class Panel(QWidget):
    """A widget beside a viewer.

    Parameters
    ----------
    viewer
        The viewer.

    Attributes
    ----------
    taken_out
        Signal: it is in no window any more.
    """

    taken_out = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._has_place = False
        # napari hands out a proxy, another one for each panel; what is private is not used.
        self.viewer = viewer = getattr(viewer, "__wrapped__", viewer)
        self.desk = desk_of(viewer)
        prepare(viewer)
        self._heard: list[tuple[Any, Any]] = []
        inside = _Inside()
        self.box = QVBoxLayout(inside)
        self.box.setContentsMargins(6, 6, 6, 6)
        outside = QVBoxLayout(self)
        outside.setContentsMargins(0, 0, 0, 0)
        outside.addWidget(scrolling(inside))
        self.setMinimumWidth(_NARROWEST)
        self.said = note()
        heard = self._heard  # not the panel: it is gone when this is called
        self.destroyed.connect(lambda: _unheard(heard))

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return a width that leaves most of a small screen to the image."""
        return QSize(_WIDE, _HIGH)

    def showEvent(self, event: Any) -> None:  # noqa: N802
        """Find a place when it is first shown."""
        super().showEvent(event)
        if not self._has_place:
            self._has_place = True
            self._beside_the_others()

    def event(self, event: QEvent) -> bool:
        """Stop, listen no more and go when the panel is taken out of the window."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None and self._has_place:
            works: Any = self.findChildren(Work)
            for work in works:
                work.stop()
            _unheard(self._heard)
            self.taken_out.emit()
            self.deleteLater()  # its buttons hold it, and it holds them
        return bool(super().event(event))

    def _beside_the_others(self) -> None:
        """Become a tab with the panels that are open: below each other they outgrow the screen."""
        dock = self._dock()
        window = None if dock is None else dock.parentWidget()
        if dock is None or not isinstance(window, QMainWindow):
            return
        dock.setWindowTitle(dock.windowTitle().partition(" (")[0])  # a tab is narrow
        area = window.dockWidgetArea(dock)
        docks: Any = window.findChildren(QDockWidget)
        others = [one for one in docks if one is not dock and not one.isFloating()
                  and one.findChild(Panel) is not None and window.dockWidgetArea(one) == area]
        if others and not dock.isFloating():
            window.tabifyDockWidget(others[0], dock)
            bars: Any = window.findChildren(QTabBar)
            for bar in bars:
                bar.setElideMode(Qt.TextElideMode.ElideNone)
                bar.setUsesScrollButtons(True)
            dock.raise_()

    def _dock(self) -> QDockWidget | None:
        above = self.parentWidget()
        while above is not None and not isinstance(above, QDockWidget):
            above = above.parentWidget()
        return above

    def listen(self, emitter: Any, slot: Callable[..., None]) -> None:
        """Connect a signal of the viewer or the desk for as long as the panel lives."""
        emitter.connect(slot)
        self._heard.append((emitter, slot))

    def later(self, after_ms: int, call: Callable[[], None]) -> QTimer:
        """Return a timer that calls a function once, so long after it is started."""
        made = QTimer(self)
        made.setSingleShot(True)
        made.setInterval(after_ms)
        made.timeout.connect(call)
        return made

    def wrong(self, error: Exception) -> None:
        """Notify of an error, and say it in the panel."""
        tell(error)
        self.said.setText(str(error))

    def on_click(self, clicked: Callable[[Any], None]) -> None:
        """Call a function with the place of each click on the image, for as long as it lives."""
        def wait(_: Any, event: Any) -> Iterator[None]:
            start = np.asarray(event.pos, dtype=float)
            yield
            while event.type == "mouse_move":
                yield
            if np.hypot(*(np.asarray(event.pos, dtype=float) - start)) <= _SHORT_CLICK:
                clicked(event.position)

        callbacks = self.viewer.mouse_drag_callbacks
        callbacks.append(wait)
        for gone in (self.destroyed, self.taken_out):
            gone.connect(lambda: wait in callbacks and callbacks.remove(wait))


class _Inside(QWidget):
    """What scrolls in a panel: as low as its parts can be made before it does."""

    def heightForWidth(self, width: int) -> int:  # noqa: N802
        """Return the least height; a scroll area asks for it, and is told the best by default."""
        layout = self.layout()
        return -1 if layout is None else layout.minimumHeightForWidth(width)


def _unheard(heard: list[tuple[Any, Any]]) -> None:
    for emitter, slot in heard:
        try:
            emitter.disconnect(slot)
        except (ValueError, KeyError, TypeError, RuntimeError):  # its viewer is gone
            continue
    heard.clear()


class ImageChoice(QComboBox):
    """The images of a viewer that a panel can work on; follows the layer that is active.

    Parameters
    ----------
    panel
        That it is part of.
    why_not
        Why an image is none for this panel, or None; by default each is one.

    Attributes
    ----------
    chosen
        Signal: another image, or the same with another calibration.
    """

    chosen = Signal()

    def __init__(self, panel: Panel, why_not: Callable[[Image], str | None] | None = None) -> None:
        super().__init__(panel)
        self._viewer, self._desk = panel.viewer, panel.desk
        self._why_not = why_not or (lambda _: None)
        self._images: list[Image] = []
        self.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        layers = panel.viewer.layers
        panel.listen(layers.events.inserted, self.renew)
        panel.listen(layers.events.removed, self.renew)
        panel.listen(layers.selection.events.active, self._follow)
        panel.listen(panel.desk.recalibrated, self.renew)
        panel.listen(panel.desk.opened, self.renew)
        self.activated.connect(lambda: self.chosen.emit())
        self.renew()

    @property
    def image(self) -> Image | None:
        """The image that is chosen; of a stack the frame that is shown."""
        place = self.currentIndex()
        if not 0 <= place < len(self._images):
            return None
        return frame_of(self._images[place], self._viewer.dims.current_step)

    @property
    def whole(self) -> Image | None:
        """The image that is chosen, a stack with all its frames."""
        place = self.currentIndex()
        return self._images[place] if 0 <= place < len(self._images) else None

    def renew(self, event: Any = None) -> None:
        """Look again which images there are."""
        before = self.whole
        for layer in self._viewer.layers:
            image_of(layer)  # layers of other programs become images
        step = self._viewer.dims.current_step
        images = [one for one in self._desk.images()
                  if self._why_not(frame_of(one, step)) is None]
        if [id(one) for one in images] == [id(one) for one in self._images]:
            return
        self._images = images
        self.clear()
        for one in images:
            self.addItem(title_of(one))
            self.setItemData(self.count() - 1, one.name, Qt.ItemDataRole.ToolTipRole)
        keys = [key_of(one) for one in images]
        active = origin_of(self._viewer.layers.selection.active) \
            if self._viewer.layers.selection.active is not None else None
        wanted = [before and key_of(before), active and active.key]
        place = next((keys.index(key) for key in wanted if key in keys), len(keys) - 1)
        self.setCurrentIndex(place)
        self.chosen.emit()

    def choose(self, image: Image) -> None:
        """Choose an image."""
        for place, one in enumerate(self._images):
            if key_of(one) == key_of(image) and place != self.currentIndex():
                self.setCurrentIndex(place)
                self.chosen.emit()

    def _follow(self, event: Any = None) -> None:
        layer = self._viewer.layers.selection.active
        origin = None if layer is None else origin_of(layer)
        if origin is not None:
            self.choose(origin.image)


def button(text: str, tip: str, clicked: Callable[[], Any]) -> QPushButton:
    """Return a button that calls a function."""
    made = QPushButton(text)
    made.setToolTip(tip)
    made.clicked.connect(lambda: clicked())
    return made


def row(*widgets: QWidget) -> QHBoxLayout:
    """Return widgets beside each other."""
    made = QHBoxLayout()
    made.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        made.addWidget(widget)
    return made


def form() -> QFormLayout:
    """Return a layout of labels and fields that wraps where the panel is narrow."""
    made = QFormLayout()
    made.setContentsMargins(0, 0, 0, 0)
    made.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
    made.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return made


def scrolling(inside: QWidget) -> QScrollArea:
    """Return a frameless area that scrolls up and down what is too high for it."""
    made = QScrollArea()
    made.setWidget(inside)
    made.setWidgetResizable(True)
    made.setFrameShape(QFrame.Shape.NoFrame)
    made.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    return made


def table_text(rows: Iterable[Iterable[Any]], heads: Iterable[str] = ()) -> str:
    """Return rows of cells as a small table in HTML; what a cell holds is shown as text."""
    cells = "".join("<tr>" + "".join(
        f"<td style='padding-right:8px'>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows)
    named = "".join(f"<th align='left' style='padding-right:8px'>{html.escape(head)}</th>"
                    for head in heads)
    return f"<table>{f'<tr>{named}</tr>' if named else ''}{cells}</table>"


def wrapped(text: str) -> str:
    """Return a text as rich text, for a tooltip: only such is broken into lines."""
    return f"<qt>{html.escape(text)}</qt>" if text else ""


def names_in(text: str) -> tuple[str, ...]:
    """Return the names that stand in a text, separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def note(text: str = "") -> QLabel:
    """Return a text that wraps and can be copied."""
    made = QLabel(text)
    made.setWordWrap(True)
    made.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return made
