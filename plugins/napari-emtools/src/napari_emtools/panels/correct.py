"""Correct chains by hand: what is changed in the layers is measured again, and can be undone."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QGridLayout, QLabel, QTextBrowser

from emtools.errors import EmtoolsError
from napari_emtools.chosen import row_at
from napari_emtools.desk import as_corrected, replaced, shown_as
from napari_emtools.editing import Editing, labels_of
from napari_emtools.panels.base import ImageChoice, Panel, button, note, row
from napari_emtools.shown import key_of, labels_layer
from napari_emtools.viewers import near
from napari_emtools.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from emtools.corrections import Mark
    from emtools.model import Image, Result
    from napari_emtools.desk import Finding

MEASUREMENT, PAINTED = "chains", "painted"
_TABLES = ("chains", "dots", "gaps")


class CorrectPanel(Panel):
    """Turns changes of the layers of a chains result into corrections.

    Parameters
    ----------
    napari_viewer
        The viewer.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.images = ImageChoice(self, self._no_chains)
        self.work = Work(self)
        self.desk.works.add(self.work)
        self.changes = QTextBrowser()
        self._editing: Editing | None = None
        self._layers: dict[str, Any] = {}
        self._shown: dict[str, int] = {}  # how many objects each layer shows
        self._redrawn: int | None = None  # place of the chain that is drawn anew
        self._done_by_hand: list[Callable[[], None]] = []
        self._soon = self.later(0, self._take_over)
        self._nearly = 0  # place of the chain that was clicked, if not exactly
        self._nearly_on = self.later(0, self._choose_nearest)
        self._armed: Callable[[np.ndarray[Any, Any]], None] | None = None
        self.undo_button = button("Undo", "Take the last correction back", lambda: self.step(True))
        self.redo_button = button("Redo", "Make it again", lambda: self.step(False))
        self._lay_out()
        self.images.chosen.connect(self._renew)
        self.listen(self.desk.changed, self._changed)
        self.on_click(self._clicked)
        self._renew()

    def _lay_out(self) -> None:
        self.box.addWidget(self.images)
        self.box.addWidget(note("Choose objects in the layers chains, dots and gaps, move or "
                                "delete them there, or draw new ones; all is measured again."))
        grid = QGridLayout()
        lines: tuple[tuple[str, tuple[tuple[str, str, Callable[[], Any]], ...]], ...] = (
            ("chains", (
                ("Draw", "Draw a new centreline: click its places, a double click ends it",
                 self.draw),
                ("Redraw", "Draw the chosen chain anew; it keeps its number", self.redraw),
                ("Choose", "Choose chains", lambda: self._tool("chains", "select")),
                ("Vertices", "Move single places of a centreline",
                 lambda: self._tool("chains", "direct")),
                ("Delete", "Delete the chosen chains", lambda: self.delete("chains")),
                ("Join", "Join the two chosen chains at their nearest ends", self.join),
                ("Split", "Then click where a chain is to be split", self.arm_split))),
            ("dots", (
                ("Add", "Click where dots are", lambda: self._tool("dots", "add")),
                ("Choose", "Choose dots, and move them", lambda: self._tool("dots", "select")),
                ("Delete", "Delete the chosen dots", lambda: self.delete("dots")),
                ("Merge", "Make one of the two chosen dots", self.merge),
                ("In two", "Make two of each chosen dot", self.split_dots))),
            ("painted", (
                ("Paint", "Paint chains as labels, beginning with those that are found",
                 self.paint),
                ("Measure", "Measure what is painted in place of all chains",
                 self.measure_painted))),
            ("gaps", (
                ("Add", "Click where a dot is to be divided", lambda: self._tool("gaps", "add")),
                ("Choose", "Choose gaps, and move them", lambda: self._tool("gaps", "select")),
                ("Close", "Close the chosen gaps: the dots beside are one",
                 lambda: self.delete("gaps")))),
        )
        place = 0
        for name, buttons in lines:
            grid.addWidget(QLabel(name), place, 0)
            for i, (text, tip, clicked) in enumerate(buttons):
                grid.addWidget(button(text, tip, clicked), place + i // 3, 1 + i % 3)
            place += 1 + (len(buttons) - 1) // 3
        self.box.addLayout(grid)
        self.box.addLayout(row(
            button("Accept", "Say that the chosen objects are right",
                   lambda: self.mark("accepted")),
            button("Reject", "Say that the chosen objects are wrong: they stay in the table, "
                   "marked, and count for nothing", lambda: self.mark("rejected")),
            button("Unmark", "Say nothing of them", lambda: self.mark(None))))
        self.box.addLayout(row(self.undo_button, self.redo_button))
        self.box.addWidget(self.said)
        self.box.addWidget(self.changes, 1)

    @property
    def finding(self) -> Finding | None:
        """The chains of the chosen image."""
        image = self.images.image
        return None if image is None else self.desk.of(image, MEASUREMENT)

    def delete(self, table: str) -> None:
        """Delete the chosen objects of a layer."""
        if chosen := self._chosen_or_say(table):
            self._edit(lambda editing: editing.removed(table, chosen))

    def join(self) -> None:
        """Join the two chosen chains."""
        self._edit(lambda editing: editing.joined(self._chosen("chains")))

    def draw(self) -> None:
        """Let a new centreline be drawn."""
        self._redrawn = None
        if self._free_to_draw():
            self.said.setText("Click the places of the chain; a double click ends it.")

    def redraw(self) -> None:
        """Let the chosen chain be drawn anew."""
        chosen = self._chosen("chains")
        if len(chosen) != 1:
            self.said.setText("Choose one chain, then draw it anew.")
            return
        if self._free_to_draw():
            self._redrawn = chosen[0]
            self.said.setText("Click the places of the chain; a double click ends it.")

    def _free_to_draw(self) -> bool:
        """Take the tool that draws lines, unless what was drawn before is being measured."""
        finding = self.finding
        if finding is not None and self.desk.under_way(finding.image, MEASUREMENT):
            self.said.setText("The change before is being measured: draw when it is done.")
            return False
        return self._tool("chains", "add_path")

    def paint(self) -> None:
        """Show the chains as labels that can be painted."""
        finding = self.finding
        if finding is None:
            self.said.setText("Measure chains first.")
            return
        layer = shown_as(self.viewer.layers, finding.image, PAINTED)
        if layer is None:
            layer = replaced(self.viewer.layers, None, labels_layer(
                finding.image, PAINTED, labels_of(finding.image, finding.result)))
        self.viewer.layers.selection.active = layer
        layer.mode = "paint"
        self.said.setText("Paint with the brush; a new number is a new chain. Then 'Measure'.")

    def measure_painted(self) -> None:
        """Measure what is painted in place of all chains."""
        finding = self.finding
        layers = self.viewer.layers
        layer = None if finding is None else shown_as(layers, finding.image, PAINTED)
        if layer is None:
            self.said.setText("Paint chains first.")
            return
        labels = np.array(layer.data)
        self._edit(lambda editing: editing.painted(labels),
                   lambda: layer in layers and layers.remove(layer))

    def arm_split(self) -> None:
        """Split the chain that is clicked next."""
        self.said.setText("Click where a chain is to be split.")
        self._armed = lambda at: self._edit(lambda editing: editing.split(at))

    def merge(self) -> None:
        """Merge the two chosen dots."""
        self._edit(lambda editing: editing.merged(self._chosen("dots")))

    def split_dots(self) -> None:
        """Make two of each chosen dot."""
        if chosen := self._chosen_or_say("dots"):
            self._edit(lambda editing: editing.dots_split(chosen))

    def mark(self, mark: Mark | None) -> None:
        """Accept or reject the chosen chains and dots."""
        chosen = {table: self._chosen(table) for table in ("chains", "dots")}
        if not any(chosen.values()):
            self.said.setText("Nothing is chosen: choose chains or dots on the image.")
            return

        def change(editing: Editing) -> None:
            for table, places in chosen.items():
                editing.marked(table, places, mark)

        self._edit(change)

    def step(self, back: bool) -> None:
        """Undo or redo a correction."""
        finding = self.finding
        self.work.stop()
        if finding is not None and not self.desk.step(finding, back=back):
            self.said.setText("There is nothing to undo." if back else "There is nothing to redo.")

    def _edit(
        self, change: Callable[[Editing], None], then: Callable[[], Any] = lambda: None, *,
        added: str = "",
    ) -> None:
        """Make a change, and measure again; what is wrong with it is said, and nothing changes.

        `added` names the table that must have more objects afterwards: where nothing is found,
        nothing was added.
        """
        editing = self._editing
        if editing is None:
            self.said.setText("Measure chains first.")
            return
        if self.desk.under_way(editing.finding.image, MEASUREMENT):
            self.desk.show(editing.finding)  # as it was before this change
            self.said.setText("The change before is being measured: make this one again.")
            return
        try:
            change(editing)
        except EmtoolsError as error:
            self._failed(error)
            return
        finding, correction = editing.finding, editing.correction
        if correction == finding.correction:
            return
        self.said.setText("measuring again")
        image, automatic, parameters = finding.image, finding.automatic, finding.parameters

        def done(result: Result) -> None:
            if added and len(result.tables[added]) <= len(finding.result.tables[added]):
                self.desk.show(finding)
                self.said.setText("Nothing can be measured there: nothing is added.")
                return
            self.desk.correct(finding, correction, result)
            then()

        self.work.on = key_of(image), MEASUREMENT
        self.work.start(lambda: as_corrected(image, automatic, parameters, correction), done,
                        self._failed)

    def _failed(self, error: Exception) -> None:
        """Show the layers as they were, and say what was wrong."""
        finding = self.finding
        if finding is not None:
            self.desk.show(finding)
        self.wrong(error)

    def _tool(self, table: str, mode: str) -> bool:
        layer = self._layers.get(table)
        if layer is None:
            self.said.setText(f"There is no layer of {table}: measure chains first.")
            return False
        self.viewer.layers.selection.active = layer
        layer.visible = True
        layer.mode = mode
        return True

    def _chosen(self, table: str) -> list[int]:
        layer = self._layers.get(table)
        return [] if layer is None else sorted(int(i) for i in layer.selected_data)

    def _chosen_or_say(self, table: str) -> list[int]:
        chosen = self._chosen(table)
        if not chosen:
            self.said.setText(f"Nothing is chosen: choose {table} on the image.")
        return chosen

    def _no_chains(self, image: Image) -> str | None:
        return None if self.desk.of(image, MEASUREMENT) else "no chains measured"

    def _changed(self, key: str, measurement: str) -> None:
        if measurement == MEASUREMENT:
            self.images.renew()
            self._renew()

    def _renew(self) -> None:
        """Follow the layers of the result that is shown."""
        for table, layer in self._layers.items():
            layer.events.data.disconnect(getattr(self, f"_{table}_edited"))
        self._layers, self._shown = {}, {}
        finding = self.finding
        self._editing = None if finding is None else Editing(finding)
        self.undo_button.setEnabled(bool(finding and finding.history))
        self.redo_button.setEnabled(bool(finding and finding.undone))
        if finding is None:
            self.changes.clear()
            self.said.setText("Measure chains first.")
            return
        for layer in self.desk.layers_of(finding.image, MEASUREMENT):
            table = layer.metadata["layer"]
            if table in _TABLES:
                self._layers[table] = layer
                self._shown[table] = len(layer.data)
                layer.events.data.connect(getattr(self, f"_{table}_edited"))
        self.said.setText(finding.result.outcome)
        said = finding.correction.sentences
        self.changes.setHtml("<ol>" + "".join(f"<li>{html.escape(one)}</li>" for one in said)
                             + "</ol>" if said else "Nothing is corrected.")

    def _chains_edited(self, event: Any) -> None:
        self._edited("chains", event)

    def _dots_edited(self, event: Any) -> None:
        self._edited("dots", event)

    def _gaps_edited(self, event: Any) -> None:
        self._edited("gaps", event)

    def _edited(self, table: str, event: Any) -> None:
        """Take over what was done to a layer with napari's own tools."""
        action = str(getattr(event, "action", "")).rsplit(".", 1)[-1].lower()
        layer = self._layers.get(table)
        if layer is None or self.desk.showing or action not in ("added", "removed", "changed"):
            return
        data = layer.data
        if action == "added" and len(data) <= self._shown.get(table, 0):
            return  # a line that was given up: napari has taken it back
        places = [int(i) % max(len(data) + (action == "removed"), 1) if int(i) < 0 else int(i)
                  for i in np.atleast_1d(np.asarray(event.data_indices)).ravel()]
        # napari is in the midst of its own tool: the layer is not filled anew before it is done.
        self._done_by_hand.append(self._as_edit(table, action, places, data))
        self._soon.start()

    def _as_edit(
        self, table: str, action: str, places: list[int], data: Any
    ) -> Callable[[], None]:
        """What was done to a layer, as an edit to be made."""
        if action == "removed":
            return lambda: self._edit(lambda editing: editing.removed(table, places))
        if action == "changed":
            return lambda: self._edit(lambda editing: editing.changed(table, places, data))
        if table == "chains" and self._redrawn is not None:
            old, self._redrawn = self._redrawn, None
            return lambda: self._edit(
                lambda editing: editing.changed(table, [old], {old: data[places[-1]]}))
        return lambda: self._edit(lambda editing: editing.added(table, places, data), added=table)

    def _take_over(self) -> None:
        """Make the edits that were done with napari's own tools."""
        line = self._layers.get("chains")
        if line is not None and str(line.mode) == "add_path":
            line.mode = "select"  # the next line is drawn when this one is measured
        edits, self._done_by_hand = self._done_by_hand, []
        for edit in edits:
            edit()

    def _clicked(self, position: Any) -> None:
        """Do what waits for a click; let one that is nearly on a chain choose it."""
        if self._armed is not None:
            armed, self._armed = self._armed, None
            armed(np.asarray(position[-2:], dtype=float))
            return
        line = self._layers.get("chains")
        place = None if line is None else row_at(line, position, near(self.viewer))
        if place is not None and self.viewer.layers.selection.active is line \
                and str(line.mode) == "select":
            self._nearly = place
            self._nearly_on.start()  # once napari's tool has found nothing exactly there

    def _choose_nearest(self) -> None:
        line = self._layers.get("chains")
        if line is not None and not line.selected_data and self._nearly < len(line.data):
            line.selected_data = {self._nearly}
