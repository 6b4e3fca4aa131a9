"""Walk through what a batch found, image by image, and correct it where it is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QFileDialog,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from emtools.batch import Review
from emtools.corrections import Correction
from emtools.stages import stage
from napari_emtools.panels.base import Panel, button, note, row, wrapped
from napari_emtools.shown import origin_of, title_of, unit_of
from napari_emtools.viewers import show_images, unit_in
from napari_emtools.work import Work

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from emtools.batch import ReviewedImage
    from emtools.corrections import Mark
    from emtools.model import Result

    Found = tuple[ReviewedImage, dict[str, tuple[Result, Result]]]

_COLUMNS = ("image", "", "to look at")
_SIGNS = {"accepted": "✓", "rejected": "✗"}


class BatchPanel(Panel):
    """Shows the images of a batch one after another, those that need a look first.

    Parameters
    ----------
    napari_viewer
        The viewer.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__(napari_viewer)
        self.work = Work(self)
        self.review: Review | None = None
        self.shown: ReviewedImage | None = None
        self.list = QTreeWidget()
        self.list.setHeaderLabels(list(_COLUMNS))
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.list.setColumnWidth(0, 150)
        self.list.setMinimumHeight(120)
        self.comment = QLineEdit()
        self.comment.setPlaceholderText("comment, kept with the corrections")
        self._place: int | None = None
        self._before: dict[str, Correction] = {}  # as they are kept
        self._results: dict[str, Result] = {}  # as found with the batch's parameters
        self._lay_out()
        self._buttons: list[QWidget] = [self.list, *self.findChildren(QPushButton)]
        self.work.ended.connect(self._ended)
        self.work.reached.connect(lambda words, _: self.said.setText(words))
        self.list.itemActivated.connect(lambda item: self.show_image(self._place_of(item)))
        self.list.itemClicked.connect(lambda item: self.show_image(self._place_of(item)))
        self._say_what_to_do()

    def _lay_out(self) -> None:
        self.box.addWidget(note("What `emtools batch` found, image by image: correct it with the "
                                "panel Correct, and it is kept in the batch's results."))
        self.box.addLayout(row(
            button("Open …", "Open the results folder of a batch", self.open),
            button("Write report", "Write tables and page of the batch anew", self.write)))
        self.box.addWidget(self.list, 1)
        self.box.addLayout(row(
            button("Previous", "Keep what was corrected, and show the image before",
                   lambda: self.step(-1)),
            button("Next", "Keep what was corrected, and show the next image",
                   lambda: self.step(1))))
        self.box.addLayout(row(
            button("Accept", "Mark the image as looked at and right, and go on",
                   lambda: self.judge("accepted")),
            button("Reject", "Leave the image out of all means and histograms, and go on",
                   lambda: self.judge("rejected")),
            button("Unmark", "Say nothing of the image", lambda: self.judge(None))))
        self.box.addWidget(self.comment)
        self.box.addWidget(self.said)

    def open(self, folder: str = "") -> None:
        """Open the results folder of a batch, and show the first of its images."""
        if not folder:
            folder = QFileDialog.getExistingDirectory(self, "Results folder of a batch")
        if folder:
            self.said.setText("reading what the batch found")
            self.work.start(lambda: Review(folder), self._opened, self.wrong)

    def step(self, by: int) -> None:
        """Keep what was corrected, and show the next image, or the one before."""
        if self.review is None or not len(self.review.images):
            self._say_what_to_do()
            return
        place = by - 1 if self._place is None else self._place + by
        self.show_image(place % len(self.review.images))

    def show_image(self, place: int) -> None:
        """Keep what was corrected of the image that is shown, and show another one."""
        review = self.review
        if review is None or self._waits():
            return
        one = review.images.iloc[place]
        keep = self._keeping()
        self._begun(f"opening {one['file']}")

        def work() -> Found:
            keep()
            opened = review.open(str(one["file"]), int(one["number"]))
            stage(f"measuring {one['file']}")
            return opened, opened.results()

        self.work.start(work, lambda found: self._show(place, *found), self.wrong)

    def judge(self, mark: Mark | None) -> None:
        """Accept or reject the image that is shown, and show the next; or say nothing of it."""
        if self.shown is None:
            self._say_what_to_do()
            return
        if self._waits():
            return
        keep = self._keeping({name: replace(one, marks=replace(one.marks, image=mark))
                              for name, one in self._corrections().items()})
        self._begun("keeping")
        self.work.start(keep, lambda _: self._kept(go_on=mark is not None), self.wrong)

    def write(self) -> None:
        """Write tables and page of the batch with all that was corrected."""
        review = self.review
        if review is None:
            self._say_what_to_do()
            return
        if self._waits():
            return
        keep = self._keeping()

        def work() -> Path:
            keep()
            return review.write()

        def done(page: Path) -> None:
            self._kept(go_on=False)
            self.said.setText(f"written: {page}")

        self._begun("writing tables and page")
        self.work.start(work, done, self.wrong)

    def _waits(self) -> bool:
        """Say so if something is under way that is not to be lost."""
        if self.work.running:
            return True
        if self.shown is not None and self.desk.under_way(self.shown.image):
            self.said.setText("This image is being measured or corrected: wait for it.")
            return True
        return False

    def _begun(self, words: str) -> None:
        self.said.setText(words)
        for widget in self._buttons:
            widget.setEnabled(False)

    def _ended(self) -> None:
        for widget in self._buttons:
            widget.setEnabled(True)

    def _keeping(self, corrections: Mapping[str, Correction] | None = None) -> Any:
        """Return what keeps the corrections of the image that is shown, if they are others."""
        from napari.utils.notifications import show_info

        review, shown = self.review, self.shown
        if review is None or shown is None or self._place is None:
            return lambda: None
        now = self._corrections() if corrections is None else dict(corrections)
        changed = {name: one for name, one in now.items()
                   if one != self._before.get(name, Correction())}
        one = review.images.iloc[self._place]
        for name, automatic in self._results.items():
            finding = self.desk.of(shown.image, name)
            if finding is not None and finding.automatic is not automatic and finding.history:
                show_info(f"{title_of(shown.image)}: {name} was measured here with other "
                          "parameters than the batch's, its corrections are not kept")

        def keep() -> None:
            if changed:
                review.keep(str(one["file"]), int(one["number"]), changed)
                self._before = now

        return keep

    def _corrections(self) -> dict[str, Correction]:
        """What holds of each measurement now: the window's corrections, the panel's comment."""
        assert self.shown is not None
        found = {}
        for i, name in enumerate(self.shown.measurements):
            finding = self.desk.of(self.shown.image, name)
            own = self._before.get(name, Correction())
            # What was measured here with other parameters has objects of its own.
            if finding is not None and finding.automatic is self._results.get(name):
                now = finding.correction  # the window says nothing of the whole image
                own = replace(now, marks=replace(now.marks, image=own.marks.image))
            found[name] = replace(own, comment=self.comment.text().strip()) if i == 0 else own
        return found

    def _opened(self, review: Review) -> None:
        self._take_away()
        self.review, self._place = review, None
        self.list.clear()
        for one in review.images.to_dict("records"):
            name = f"{one['file']} [{one['image']}]" if one["image"] else str(one["file"])
            item = QTreeWidgetItem([name, _sign(str(one["mark"]), bool(one["corrected"])),
                                    str(one["doubts"])])
            for column, text in ((0, name), (2, str(one["doubts"]))):
                item.setToolTip(column, wrapped(text))
            self.list.addTopLevelItem(item)
        doubtful = int((review.images["doubts"] != "").sum())
        self.said.setText(f"{len(review.images)} images, {doubtful} to look at first")
        if len(review.images):
            self.show_image(0)

    def _show(
        self, place: int, opened: ReviewedImage, results: Mapping[str, tuple[Result, Result]]
    ) -> None:
        """Put an image with its results in the place of the one before."""
        assert self.review is not None
        self._sign_shown()
        self._take_away()
        self._close_others()
        self._place = place
        self.list.setCurrentItem(self.list.topLevelItem(place))
        there, own = unit_in(self.viewer), unit_of(opened.image)
        if there not in (None, own):
            self.said.setText(f"{title_of(opened.image)} is in {own}, this window in {there}: "
                              "close the other layers first")
            return
        self.shown, self._before = opened, opened.corrections
        self._results = {name: automatic for name, (automatic, _) in results.items()}
        show_images(self.viewer, [opened.image])
        for name, (automatic, result) in results.items():
            self.desk.put(opened.image, result, opened.recipe.parameters.get(name, {}),
                          opened.corrections.get(name), automatic)
        self.viewer.reset_view()
        self.comment.setText(next((one.comment for one in self._before.values() if one.comment),
                                  ""))
        doubts = str(self.review.images["doubts"].iloc[place])
        self.said.setText(f"{place + 1} of {len(self.review.images)}"
                          + (f": {doubts}" if doubts else ""))

    def _take_away(self) -> None:
        """Forget the image that was shown, with its results: the batch has kept them."""
        if self.shown is not None:
            self.desk.forget(self.shown.image)
        self.shown, self._before = None, {}

    def _close_others(self) -> None:
        """Close what would lie beneath the next image; what was found there stays on the desk."""
        from napari.utils.notifications import show_info

        closed = set()
        for layer in list(self.viewer.layers):
            origin = origin_of(layer)
            if origin is None or origin.image.source.file is None:
                layer.visible = False  # no file could bring it back
            else:
                closed.add(origin.key)
                self.viewer.layers.remove(layer)
        corrected = dict.fromkeys(title_of(finding.image) for (key, _), finding
                                  in self.desk.findings.items() if key in closed
                                  and finding.history)
        if corrected:
            show_info(f"closed: {', '.join(corrected)}; what was corrected there is kept until "
                      "this window closes: the panel Session saves it")

    def _kept(self, go_on: bool) -> None:
        self._sign_shown()
        self.said.setText("kept")
        if go_on:
            self.step(1)

    def _sign_shown(self) -> None:
        """Show in the list what is kept of the image that is shown."""
        item = None if self._place is None else self.list.topLevelItem(self._place)
        if item is not None and self.shown is not None:
            marks = [one.marks.image for one in self._before.values() if one.marks.image]
            item.setText(1, _sign(marks[0] if marks else "", any(self._before.values())))

    def _place_of(self, item: QTreeWidgetItem) -> int:
        return self.list.indexOfTopLevelItem(item)

    def _say_what_to_do(self) -> None:
        self.said.setText("Open the results folder of a batch first.")


def _sign(mark: str, corrected: bool) -> str:
    return _SIGNS.get(mark, "") + ("✎" if corrected and not mark else "")
