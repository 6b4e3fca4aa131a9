"""An edit in the window, and the number follows: measured again by the same functions, undoable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


@pytest.fixture
def chains(window: Any) -> Any:
    """The window with measured chains, and the panel that corrects them."""
    window.found("pbs_chains_detail.hspy")
    return window.panel("Correct")


def _wait(window: Any, panel: Any) -> None:
    window.settle()  # what napari's own tools did is taken over when they are done
    window.until(lambda: not panel.work.running)


def _layer(window: Any, table: str) -> Any:
    from napari_emtools.shown import origin_of

    return next(layer for layer in window.viewer.layers
                if origin_of(layer) is not None and origin_of(layer).table == table)


def test_deleted_chain_leaves_the_others_as_they_were(window: Any, chains: Any) -> None:
    before = chains.finding.result.tables["chains"]
    layer = _layer(window, "chains")
    layer.selected_data = {1}
    layer.remove_selected()  # what the Delete key does
    _wait(window, chains)
    after = chains.finding.result.tables["chains"]
    assert after["chain"].tolist() == [1, 3]
    kept = before[before["chain"] != 2]
    errors = np.abs(after["width_nm"].to_numpy() - kept["width_nm"].to_numpy())
    assert (errors < 0.2 * kept["width_err_nm"].to_numpy()).all()
    assert "chain 2 deleted" in chains.finding.result.summary["edited_by_hand"]
    assert len(_layer(window, "chains").data) == 2
    assert window.units() == {"nanometer"}


def test_undo_and_redo(window: Any, chains: Any) -> None:
    before = chains.finding.result
    chains._layers["chains"].selected_data = {0}
    chains.delete("chains")
    _wait(window, chains)
    after = chains.finding.result
    chains.undo_button.click()
    window.settle()
    assert chains.finding.result is before
    assert len(_layer(window, "chains").data) == 3
    chains.redo_button.click()
    window.settle()
    assert chains.finding.result is after
    assert len(_layer(window, "chains").data) == 2


def test_moved_gap_is_measured_at_its_own_place(window: Any, chains: Any) -> None:
    """The gap is where the picture shows it, wherever it is dragged within reach."""
    result = chains.finding.result
    gap = result.tables["gaps"].iloc[2]
    layer = _layer(window, "gaps")
    moved = np.array(layer.data)
    moved[2] += 0.4
    layer.data = moved  # all at once, as a program does
    layer.events.data(value=layer.data, action="changed", data_indices=(2,), vertex_indices=((),))
    _wait(window, chains)
    after = chains.finding.result.tables["gaps"]
    near = after.iloc[np.argmin(np.hypot(after["y_nm"] - gap["y_nm"], after["x_nm"] - gap["x_nm"]))]
    assert abs(near["gap_nm"] - gap["gap_nm"]) < 2 * gap["gap_err_nm"]
    assert "moved" in chains.finding.result.summary["edited_by_hand"]


def test_merged_dots_close_the_gap_and_split_opens_it(window: Any, chains: Any) -> None:
    before = chains.finding.result.tables
    dots = before["dots"]
    places = np.flatnonzero(dots["chain"] == 1)[2:4].tolist()
    chains._layers["dots"].selected_data = set(places)
    chains.merge()
    _wait(window, chains)
    merged = chains.finding.result.tables
    assert len(merged["gaps"]) == len(before["gaps"]) - 1
    one = int(np.argmax(merged["dots"]["length_nm"]))
    chains._layers["dots"].selected_data = {one}
    chains.split_dots()
    _wait(window, chains)
    again = chains.finding.result.tables
    assert len(again["gaps"]) == len(before["gaps"])
    np.testing.assert_allclose(again["chains"]["gap_nm"], before["chains"]["gap_nm"],
                               atol=0.3 * float(before["chains"]["gap_err_nm"].max()))


def test_split_and_joined_chain(window: Any, chains: Any) -> None:
    before = chains.finding.result.tables["chains"]
    gaps = chains.finding.result.tables["gaps"]
    middle = gaps[gaps["chain"] == 1].iloc[len(gaps[gaps["chain"] == 1]) // 2]
    chains._edit(lambda editing: editing.split(middle[["y_nm", "x_nm"]].to_numpy(dtype=float)))
    _wait(window, chains)
    parts = chains.finding.result.tables["chains"]
    assert len(parts) == len(before) + 1
    chains._layers["chains"].selected_data = {0, len(parts) - 1}
    chains.join()
    _wait(window, chains)
    again = chains.finding.result.tables["chains"]
    assert len(again) == len(before)
    row, old = again.iloc[0], before.iloc[0]
    assert abs(row["length_nm"] - old["length_nm"]) < old["length_err_nm"]


def test_rejected_chain_is_marked_and_stays(window: Any, chains: Any) -> None:
    chains._layers["chains"].selected_data = {2}
    chains.mark("rejected")
    _wait(window, chains)
    table = chains.finding.result.tables["chains"]
    assert table["mark"].tolist() == ["", "", "rejected"]
    assert "1 chain rejected" in chains.finding.result.summary["edited_by_hand"]


def test_measuring_again_keeps_what_was_corrected(window: Any, chains: Any) -> None:
    chains._layers["chains"].selected_data = {0}
    chains.delete("chains")
    _wait(window, chains)
    panel = window.panel("Chains")
    panel.editors["max_gap_nm"].setText("1.8")
    panel.run()
    window.until(lambda: not panel.work.running)
    assert len(chains.finding.result.tables["chains"]) == 2
    assert len(chains.finding.automatic.tables["chains"]) == 3


def test_a_line_that_is_given_up_adds_nothing(window: Any, chains: Any) -> None:
    before = chains.finding.result
    layer = chains._layers["chains"]
    chains.draw()
    # As napari does where a path of one place is ended: the shape is gone, and said to be added.
    layer.events.data(value=layer.data, action="added", data_indices=(-1,), vertex_indices=((),))
    _wait(window, chains)
    assert chains.finding.result is before
    assert not chains.finding.history


def test_nothing_is_added_where_nothing_is_found(window: Any, chains: Any) -> None:
    before = chains.finding.result
    chains.draw()
    chains._layers["chains"].add_paths(np.array([[1.0, 1.0], [2.0, 4.0], [2.5, 8.0]]))
    _wait(window, chains)
    assert chains.finding.result is before
    assert not chains.finding.history
    assert len(chains._layers["chains"].data) == len(before.tables["chains"])
    assert "nothing is added" in chains.said.text()


def test_no_line_is_begun_while_the_last_one_is_measured(window: Any, chains: Any) -> None:
    layer = chains._layers["chains"]
    chains.draw()
    layer.add_paths(np.asarray(layer.data[0])[::4] + 3.0)
    window.settle()
    if chains.work.running:
        assert str(layer.mode) == "select"
        chains.draw()
        assert str(layer.mode) == "select"
        assert "being measured" in chains.said.text()
    _wait(window, chains)
    assert len(layer.data) == len(chains.finding.result.tables["chains"])


@pytest.mark.parametrize("press", ["delete", "split_dots", "accept"])
def test_nothing_chosen_is_no_step(window: Any, chains: Any, press: str) -> None:
    chains._layers["chains"].selected_data = {0}
    chains.delete("chains")
    _wait(window, chains)
    chains.undo_button.click()
    window.settle()
    for layer in chains._layers.values():
        layer.selected_data = set()
    {"delete": lambda: chains.delete("chains"), "split_dots": chains.split_dots,
     "accept": lambda: chains.mark("accepted")}[press]()
    _wait(window, chains)
    assert "Nothing is chosen" in chains.said.text()
    assert not chains.finding.history
    assert chains.redo_button.isEnabled()


def test_wrong_edit_is_told_and_nothing_changes(
    window: Any, chains: Any, told: list[str]
) -> None:
    before = chains.finding.result
    chains._layers["chains"].selected_data = {0}
    chains.join()
    window.settle()
    assert chains.finding.result is before
    assert any("choose two" in text for text in told)


def test_painted_labels_are_measured_in_place_of_the_chains(window: Any, chains: Any) -> None:
    from napari_emtools.desk import shown_as
    from napari_emtools.panels.correct import PAINTED

    before = chains.finding.result.tables["chains"]
    chains.paint()
    layer = shown_as(window.viewer.layers, chains.finding.image, PAINTED)
    assert set(np.unique(layer.data)) == {0, 1, 2, 3}
    layer.data = np.where(layer.data == 2, 0, layer.data)
    chains.measure_painted()
    _wait(window, chains)
    after = chains.finding.result.tables["chains"]
    assert after["chain"].tolist() == [1, 3]
    kept = before[before["chain"] != 2]
    off = np.abs(after["width_nm"].to_numpy() - kept["width_nm"].to_numpy())
    assert (off < kept["width_err_nm"].to_numpy()).all()
    assert "drawn as labels" in chains.finding.result.summary["edited_by_hand"]
    chains._layers["chains"].selected_data = {1}
    chains.delete("chains")
    _wait(window, chains)
    assert chains.finding.result.tables["chains"]["chain"].tolist() == [1]
    said = chains.finding.result.summary["edited_by_hand"]
    assert "drawn as labels" in said
    assert "chain 3 deleted" in said
    chains.step(back=True)
    chains.step(back=True)
    assert chains.finding.result.tables["chains"] is before
    assert window.units() == {"nanometer"}


def test_nothing_painted_is_said(window: Any, chains: Any, told: list[str]) -> None:
    from napari_emtools.desk import shown_as
    from napari_emtools.panels.correct import PAINTED

    chains.paint()
    layer = shown_as(window.viewer.layers, chains.finding.image, PAINTED)
    layer.data = np.zeros_like(layer.data)
    chains.measure_painted()
    window.settle()
    assert any("nothing is painted" in text for text in told)
    assert not chains.finding.history


def test_redrawn_chain_keeps_its_number(window: Any, chains: Any) -> None:
    before = chains.finding.result.tables["chains"].set_index("chain")
    layer = chains._layers["chains"]
    line = np.asarray(layer.data[1])
    layer.selected_data = {1}
    chains.redraw()
    layer.add_paths(line[:: len(line) // 8] + 0.3)
    _wait(window, chains)
    after = chains.finding.result.tables["chains"].set_index("chain")
    assert after.index.tolist() == [1, 2, 3]
    off = abs(after["width_nm"][2] - before["width_nm"][2])
    assert off < 2 * before["width_err_nm"][2]
    assert "chain 2 drawn anew" in chains.finding.result.summary["edited_by_hand"]


def test_results_that_rest_on_what_was_corrected_say_so(window: Any) -> None:
    window.found("pbs_eds.hspy")
    eds = window.panel("EDX")
    eds.run()
    window.until(lambda: not eds.work.running)
    assert "measure again" not in eds.outcome.text()
    correct = window.panel("Correct")
    correct._layers["chains"].selected_data = {0}
    correct.delete("chains")
    _wait(window, correct)
    assert "rests on chains" in eds.outcome.text()
    eds.run()
    window.until(lambda: not eds.work.running)
    assert "measure again" not in eds.outcome.text()
