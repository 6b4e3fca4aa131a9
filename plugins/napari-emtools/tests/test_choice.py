"""What a person points at and chooses: panels, chains near a click, objects that stand out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import SAMPLES

DETAIL = "pbs_chains_detail.hspy"


def _layer(window: Any, name: str) -> Any:
    return next(one for one in window.viewer.layers if one.metadata.get("layer") == name)


def _click(window: Any, place: Any) -> None:
    """Press and release the mouse on the image."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    from napari_emtools.viewers import camera

    view = camera(window.viewer)
    canvas = window.viewer.window._qt_viewer.canvas.native
    y, x = np.array([canvas.height(), canvas.width()]) / 2 \
        + (np.asarray(place) - np.array(view.center[-2:])) * view.zoom
    at = QPoint(round(x), round(y))
    QTest.mouseMove(canvas, at)
    window.settle(0.05)
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)
    window.settle(0.05)


def _beside(window: Any, chain: int, px: float) -> Any:
    """A place in a gap of a chain, so many pixels of the screen beside its line."""
    from napari_emtools.viewers import camera

    line = np.asarray(_layer(window, "chains").data[chain], dtype=float)
    along = line[6] - line[5]
    normal = np.array([along[1], -along[0]]) / np.hypot(*along)
    return (line[5] + line[6]) / 2 + px / camera(window.viewer).zoom * normal


def _row(panel: Any) -> int:
    row, = panel.view.selectionModel().selectedRows()
    return int(panel.sorted.mapToSource(row).row())


def _show_table(panel: Any, table: str) -> None:
    panel.tables.setCurrentIndex(next(i for i in range(panel.tables.count())
                                      if panel.tables.itemData(i)[1] == table))


def _press_in_the_menu(window: Any) -> None:
    """What *Plugins > emtools > Table* does."""
    from napari._app_model import get_app_model

    commands = get_app_model().commands
    name, = {"napari-emtools.table", "napari-emtools:Table"} & {one for one, _ in commands}
    commands.execute_command(name).result()  # napari 0.6 names it after the panel
    window.settle()


def test_menu_and_buttons_open_the_same_panel(window: Any) -> None:
    from qtpy.QtWidgets import QDockWidget

    from napari_emtools.panels.table import TablePanel

    window.found(DETAIL)
    chains = window.panel("Chains")
    chains._open_table()
    window.settle()
    main = window.viewer.window._qt_window
    assert len(main.findChildren(TablePanel)) == 1
    _press_in_the_menu(window)  # hides what is there
    table, = main.findChildren(TablePanel)
    assert table.isHidden() or not table.isVisible()
    chains._open_table()
    window.settle()
    assert main.findChildren(TablePanel) == [table]
    assert table.isVisible()
    docks = [one.objectName() for one in main.findChildren(QDockWidget)
             if one.findChild(TablePanel) is not None]
    assert docks == ["Table (emtools)"]


def test_panel_that_the_menu_opened_is_the_buttons_too(window: Any) -> None:
    from napari_emtools.panels.table import TablePanel

    window.found(DETAIL)
    _press_in_the_menu(window)
    window.panel("Chains")._open_table()
    window.settle()
    assert len(window.viewer.window._qt_window.findChildren(TablePanel)) == 1


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_click_beside_the_line_of_a_chain_chooses_it(window: Any, theme: str) -> None:
    from napari_emtools.chosen import CHOSEN

    window.viewer.theme = theme
    window.found(DETAIL)
    window.viewer.reset_view()
    table = window.panel("Table")
    chains = _layer(window, "chains")
    plain = np.array(chains.edge_color), list(chains.edge_width)
    for chain, px in ((1, 4.0), (2, 4.0), (0, 9.0)):  # the last: inside its width
        _click(window, _beside(window, chain, px))
        assert _row(table) == chain
        assert set(chains.selected_data) == {chain}
        window.viewer.reset_view()
        window.settle(0.05)
    drawn = np.array(chains.edge_color), list(chains.edge_width)
    np.testing.assert_array_equal(drawn[0][1:], plain[0][1:])
    assert "#{:02x}{:02x}{:02x}".format(*np.rint(255 * drawn[0][0, :3]).astype(int)) == CHOSEN
    assert drawn[1][0] > 2 * plain[1][0]
    assert drawn[1][1:] == plain[1][1:]
    _click(window, (1.0, 1.0))  # nothing is there: what was chosen stays so
    assert _row(table) == 0


def test_chosen_dot_stands_out_until_another_is(window: Any) -> None:
    window.found(DETAIL)
    table = window.panel("Table")
    _show_table(table, "dots")
    dots = _layer(window, "dots")
    plain = np.array(dots.border_color)
    for row in (4, 9):
        table.view.selectRow(row)
        window.settle()
        changed = np.flatnonzero((np.array(dots.border_color) != plain).any(axis=1))
        assert changed.tolist() == [row]
        assert int(np.argmax(dots.border_width)) == row


def test_click_chooses_from_the_table_that_is_shown(window: Any) -> None:
    """Dots fill their chain: which of them is meant, the table says."""
    window.found(DETAIL)
    window.viewer.reset_view()
    table = window.panel("Table")
    dot = _layer(window, "dots").data[3]
    _click(window, dot)
    assert table.shown == ("chains", "chains")
    window.viewer.reset_view()
    _show_table(table, "dots")
    _click(window, dot)
    assert table.shown == ("chains", "dots")
    assert _row(table) == 3


def test_tool_that_chooses_chains_needs_no_exact_hit(window: Any) -> None:
    window.found(DETAIL)
    window.viewer.reset_view()
    correct = window.panel("Correct")
    correct._tool("chains", "select")
    _click(window, _beside(window, 1, 5.0))
    assert set(_layer(window, "chains").selected_data) == {1}


def test_measure_button_stays_where_it_is(window: Any) -> None:
    window.open(SAMPLES / DETAIL)
    panel = window.panel("Chains")
    panel.outcome.setText("")
    window.settle()
    at = panel.run_button.mapTo(panel, panel.run_button.rect().topLeft())
    for words in ("3 chains", "a long outcome " * 20):
        panel.outcome.setText(words)
        panel.progress.setVisible(not panel.progress.isVisible())
        window.settle(0.05)
        assert panel.run_button.mapTo(panel, panel.run_button.rect().topLeft()) == at


def test_table_is_saved_under_the_name_that_is_chosen(
    window: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pandas as pd
    from qtpy.QtWidgets import QFileDialog

    asked: list[tuple[str, str]] = []

    def ask(parent: Any, title: str, name: str, kinds: str) -> tuple[str, str]:
        asked.append((name, kinds))
        return str(tmp_path / "mine"), kinds  # without an ending

    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    finding = window.found(DETAIL)
    table = window.panel("Table")
    table.save("csv")
    assert Path(asked[0][0]).name == "pbs_chains_detail.chains.chains.csv"
    assert asked[0][1] == "CSV (*.csv)"
    assert len(pd.read_csv(tmp_path / "mine.csv")) == len(finding.result.tables["chains"])


def test_profile_says_what_to_do_before_there_is_a_line(window: Any) -> None:
    window.open(SAMPLES / DETAIL)
    panel = window.panel("Profile")

    def invites() -> bool:
        return any("Draw line" in one.get_text() for one in panel.figure.texts)

    assert invites()
    panel.draw_line()
    panel._layer.add_lines([np.array([[50.0, 50.0], [200.0, 150.0]])])
    window.settle(0.1)
    assert panel.profile is not None
    assert not invites()
    window.viewer.layers.remove(panel._layer)
    assert invites()


def test_session_lists_results_under_their_image(window: Any) -> None:
    window.found(DETAIL)
    window.open(SAMPLES / "pbs_dots.emd")
    lines = window.panel("Session").list.toPlainText().split("\n")
    place = next(i for i, line in enumerate(lines) if line.startswith(DETAIL))
    assert lines[place + 1].startswith("chains: 3 chains")
    place = next(i for i, line in enumerate(lines) if line.startswith("pbs_dots.emd"))
    assert lines[place + 1] == "not measured"
