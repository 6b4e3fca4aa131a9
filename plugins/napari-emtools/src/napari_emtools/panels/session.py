"""Save a session and open it again."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog, QLabel, QTextBrowser

from emtools.errors import EmtoolsError
from napari_emtools import session
from napari_emtools.panels.base import Panel, button, note, row
from napari_emtools.reader import SESSION
from napari_emtools.shown import key_of, title_of
from napari_emtools.viewers import show_session
from napari_emtools.work import Work

if TYPE_CHECKING:
    from napari_emtools.session import Session

_FILES = f"Session (*{SESSION})"


class SessionPanel(Panel):
    """Keeps images, results, corrections and parameters of the window in a file.

    Parameters
    ----------
    napari_viewer
        The viewer.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.work = Work(self)
        self.list = QTextBrowser()
        self.box.addWidget(note(
            "A session names the images, and holds their results with all corrections, the way "
            "back and the parameters. The images' files are not copied, and never written to."))
        self.box.addLayout(row(
            button("Save …", "Write all that is open here into a file", self.save),
            button("Open …", "Open what was saved, beside what is open", self.open)))
        self.box.addLayout(row(
            button("To a results folder …", "Measure all of it as a batch does, with the same "
                   "parameters and corrections: tables, pictures, report page", self.store)))
        self.box.addWidget(self.said)
        self.box.addWidget(QLabel("Open in this window, with what was found:"))
        self.box.addWidget(self.list, 1)
        self.listen(self.desk.changed, lambda *_: self._show())
        self.listen(self.viewer.layers.events.inserted, lambda *_: self._show())
        self.listen(self.viewer.layers.events.removed, lambda *_: self._show())
        self._show()

    def save(self, path: str = "") -> None:
        """Save the session."""
        if not path:
            path, _ = QFileDialog.getSaveFileName(self, "Save the session", f"work{SESSION}",
                                                  _FILES)
        if not path:
            return
        if not path.endswith(SESSION):
            path += SESSION
        self.said.setText("saving")
        contents = session.Contents.of(self.desk)
        self.work.start(lambda: session.save(contents, path),
                        lambda _: self.said.setText(f"saved: {Path(path).name}"), self.wrong)

    def open(self, path: str = "") -> None:
        """Open a session."""
        if not path:
            path, _ = QFileDialog.getOpenFileName(self, "Open a session", filter=_FILES)
        if path:
            self.said.setText("opening")
            self.work.start(lambda: session.load(path), self._opened, self.wrong)

    def store(self, folder: str = "") -> None:
        """Write what was measured into a results folder of a batch."""
        if not folder:
            folder = QFileDialog.getExistingDirectory(self, "A results folder, new or empty")
        if not folder:
            return
        self.said.setText("measuring as a batch")

        def done(left_out: list[str]) -> None:
            self.said.setText("\n".join([f"written: {folder}", *(
                f"not written: {one}" for one in left_out)]))

        contents = session.Contents.of(self.desk)
        self.work.start(lambda: session.store(contents, folder), done, self.wrong)

    def _opened(self, found: Session) -> None:
        try:
            kept = show_session(self.viewer, found)
        except EmtoolsError as error:
            self.wrong(error)
            return
        self.said.setText("\n".join([session.told(found), *kept]))

    def _show(self) -> None:
        images = {key_of(image): image for image in self.desk.images()}
        lines: dict[str, list[str]] = {key: [] for key in images}
        for (key, name), finding in self.desk.findings.items():
            said = "; ".join(finding.correction.sentences)
            images.setdefault(key, finding.image)  # its layer was closed, or is a whole stack's
            lines.setdefault(key, []).append(
                f"{name}: {finding.result.outcome}" + (f" ({said})" if said else ""))
        self.list.setHtml("".join(
            f"<p><b>{html.escape(title_of(images[key]))}</b>"
            + "".join(f"<br>{html.escape(line)}" for line in found or ["not measured"]) + "</p>"
            for key, found in lines.items()) or "nothing is open")
