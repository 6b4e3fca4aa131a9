"""What is known of an image: how it was taken, its calibration, what was doubted, all metadata."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLineEdit, QTextBrowser, QTreeWidget, QTreeWidgetItem

from napari_emtools.panels.base import ImageChoice, Panel, table_text

if TYPE_CHECKING:
    from emtools.model import Image

_LONGEST = 20  # items of a list that are shown one by one


class AboutPanel(Panel):
    """Says what is known of the chosen image.

    Parameters
    ----------
    napari_viewer
        The viewer.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.images = ImageChoice(self)
        self.text = QTextBrowser()
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("find in the file's metadata …")
        self.filter.setClearButtonEnabled(True)
        self.tree = QTreeWidget()
        self.tree.setHeaderLabels(["key", "value"])
        self.tree.setColumnWidth(0, 150)
        self.box.addWidget(self.images)
        self.box.addWidget(self.text, 2)
        self.box.addWidget(self.filter)
        self.box.addWidget(self.tree, 3)
        self.images.chosen.connect(self._show)
        self.filter.textChanged.connect(self._find)
        self.listen(self.desk.changed, lambda *_: self._show())
        self._show()

    def _show(self) -> None:
        image = self.images.whole
        self.tree.clear()
        self.text.setHtml("" if image is None else described(image))
        if image is not None:
            for key, value in image.raw_metadata.items():
                self.tree.addTopLevelItem(_item(str(key), value))

    def _find(self, words: str) -> None:
        for place in range(self.tree.topLevelItemCount()):
            item = self.tree.topLevelItem(place)
            if item is not None:
                _shown(item, words.lower())


def described(image: Image) -> str:
    """Return what is known of an image without touching its pixels, as HTML."""
    from emtools.io import describe

    said = describe(image)
    lines = [("file", said["file"]), ("signal", said["signal"]),
             ("pixels", f"{' x '.join(map(str, said['shape']))}, {said['dtype']}"
              f"{', read when needed' if said['lazy'] else ''}")]
    lines += [(f"axis {axis['name']}", _axis(axis)) for axis in said["axes"]]
    lines += [(key.replace("_", " "), value) for key, value in said["acquisition"].items()]
    known = table_text(line for line in lines if line[1] not in (None, ""))
    audit = "".join(f"<li>{html.escape(one)}</li>" for one in said["audit"])
    return known + (f"<p>Calibration:</p><ul>{audit}</ul>" if audit else "")


def _axis(axis: Mapping[str, Any]) -> str:
    if axis["unit"] == "px":
        return f"{axis['size']} without calibration"
    err = axis["pixel_size_err"]
    sure = f" ± {100 * err / axis['pixel_size']:.2g} %" if err else ""
    return f"{axis['size']} of {axis['pixel_size']:.6g} {axis['unit']}{sure} ({axis['source']})"


def _item(key: str, value: Any) -> QTreeWidgetItem:
    if isinstance(value, Mapping):
        item = QTreeWidgetItem([key, ""])
        item.addChildren([_item(str(name), one) for name, one in value.items()])
        return item
    several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if several and len(value) <= _LONGEST and any(isinstance(one, Mapping) for one in value):
        item = QTreeWidgetItem([key, ""])
        item.addChildren([_item(str(i), one) for i, one in enumerate(value)])
        return item
    text = " ".join(str(value).split())
    made = QTreeWidgetItem([key, text[:500]])
    made.setToolTip(1, text[:2000])
    return made


def _shown(item: QTreeWidgetItem, words: str) -> bool:
    """Hide what does not contain the words, and show the way to what does."""
    own = words in item.text(0).lower() or words in item.text(1).lower()
    below = [_shown(item.child(i), "" if own else words) for i in range(item.childCount())]
    found = own or any(below)
    item.setHidden(not found)
    item.setExpanded(bool(words) and any(below) and not own)
    if item.childCount() == 0:
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsSelectable)
    return found
