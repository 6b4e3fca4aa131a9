"""What is kept: sessions that are opened again, and corrections in a batch's results."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conftest import SAMPLES

DETAIL, EDS = "pbs_chains_detail.hspy", "pbs_eds.hspy"


def _run(window: Any, title: str, **texts: str) -> Any:
    panel = window.panel(title)
    for name, text in texts.items():
        panel.editors[name].setText(text)
    panel.run()
    window.until(lambda: not panel.work.running)
    return panel


def _wait(window: Any, panel: Any) -> None:
    window.settle()
    window.until(lambda: not panel.work.running)


def _reopened(window: Any, tmp_path: Any) -> Any:
    """The panel Session after its session was saved, everything closed, and opened again."""
    session = window.panel("Session")
    session.save(str(tmp_path / "one.emtools"))
    _wait(window, session)
    window.viewer.layers.clear()
    session.desk.findings.clear()
    session.open(str(tmp_path / "one.emtools"))
    _wait(window, session)
    return session


def _edited(window: Any) -> Any:
    """Chains of which one was deleted by hand."""
    window.found(DETAIL, max_gap_nm=1.9)
    correct = window.panel("Correct")
    correct._layers["chains"].selected_data = {1}
    correct.delete("chains")
    _wait(window, correct)
    return correct


def test_session_comes_back_with_results_edits_and_parameters(window: Any, tmp_path: Any) -> None:
    from conftest import close_all

    correct = _edited(window)
    before = correct.finding
    session = window.panel("Session")
    session.save(str(tmp_path / "work"))
    _wait(window, session)
    assert (tmp_path / "work.emtools").is_file()
    close_all()

    import napari

    window.viewer = napari.Viewer(show=True)
    session = window.panel("Session")
    session.open(str(tmp_path / "work.emtools"))
    _wait(window, session)
    correct = window.panel("Correct")
    after = correct.finding
    assert after.parameters["max_gap_nm"] == 1.9
    for name, table in before.result.tables.items():
        pd.testing.assert_frame_equal(after.result.tables[name], table)
    assert after.correction == before.correction
    assert window.units() == {"nanometer"}
    assert len(window.viewer.layers) == 4
    correct.undo_button.click()  # the way back is kept too
    window.settle()
    assert len(correct.finding.result.tables["chains"]) == 3


def test_session_is_dropped_on_the_window(window: Any, tmp_path: Any, told: list[str]) -> None:
    window.found(EDS)
    session = window.panel("Session")
    session.save(str(tmp_path / "one.emtools"))
    _wait(window, session)
    names = [layer.name for layer in window.viewer.layers]
    window.viewer.layers.clear()
    window.open(tmp_path / "one.emtools")
    assert [layer.name for layer in window.viewer.layers] == names
    assert any("1 results" in text for text in told)


def test_calibration_by_hand_is_in_the_session(window: Any, tmp_path: Any) -> None:
    window.open(SAMPLES / "pbs_chains_uncalibrated.png")
    calibrate = window.panel("Calibrate")
    calibrate.draw_line()
    calibrate._layer.add_lines(np.array([[100.0, 100.0], [100.0, 300.0]]))
    calibrate.length.setValue(50.0)
    calibrate.with_distance()
    window.settle()
    scale = window.viewer.layers[0].scale
    session = window.panel("Session")
    session.save(str(tmp_path / "one.emtools"))
    _wait(window, session)
    window.viewer.layers.clear()
    session.open(str(tmp_path / "one.emtools"))
    _wait(window, session)
    np.testing.assert_allclose(window.viewer.layers[0].scale, scale)
    assert window.units() == {"nanometer"}


def test_frame_of_a_stack_and_image_without_a_file_come_back(
    window: Any, tmp_path: Any
) -> None:
    rng = np.random.default_rng(0)
    window.viewer.add_image(rng.normal(size=(3, 64, 64)), scale=(1, 0.2, 0.2),
                            units=("pixel", "nm", "nm"), name="made")
    window.viewer.dims.set_current_step(0, 2)
    panel = _run(window, "Chains")
    found = list(panel.desk.findings.values())
    assert "frame 2" in found[0].image.source.signal
    _reopened(window, tmp_path)
    again = list(panel.desk.findings.values())
    assert again[0].image.source.signal == found[0].image.source.signal
    np.testing.assert_array_equal(again[0].image.load(), found[0].image.load())


def test_changed_and_missing_files_are_told(window: Any, tmp_path: Any) -> None:
    shutil.copy(SAMPLES / DETAIL, tmp_path / DETAIL)
    shutil.copy(SAMPLES / "pbs_dots.emd", tmp_path / "pbs_dots.emd")
    for name in (DETAIL, "pbs_dots.emd"):
        window.open(tmp_path / name)
    session = window.panel("Session")
    session.save(str(tmp_path / "one.emtools"))
    _wait(window, session)
    window.viewer.layers.clear()
    (tmp_path / "pbs_dots.emd").unlink()
    shutil.copy(SAMPLES / "pbs_chain_lattice.hspy", tmp_path / DETAIL)
    session.open(str(tmp_path / "one.emtools"))
    _wait(window, session)
    assert session.said.text().count("not opened") == 2
    assert not len(window.viewer.layers)


def test_moved_folder_is_found(window: Any, tmp_path: Any) -> None:
    (tmp_path / "one").mkdir()
    shutil.copy(SAMPLES / DETAIL, tmp_path / "one" / DETAIL)
    window.open(tmp_path / "one" / DETAIL)
    session = window.panel("Session")
    session.save(str(tmp_path / "one" / "work.emtools"))
    _wait(window, session)
    window.viewer.layers.clear()
    (tmp_path / "one").rename(tmp_path / "two")
    session.open(str(tmp_path / "two" / "work.emtools"))
    _wait(window, session)
    assert len(window.viewer.layers) == 1


# ---- batch ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def batch_of(tmp_path_factory: Any) -> Any:
    from emtools import batch
    from emtools.batch.plan import Recipe

    folder = tmp_path_factory.mktemp("images")
    for name in (DETAIL, EDS, "pbs_dots.emd"):
        shutil.copy(SAMPLES / name, folder / name)
    batch.run(folder, folder.parent / "results", Recipe(("chains",), pictures="none"),
              batch.Effort(workers=1))
    return folder.parent / "results"


@pytest.fixture
def results(batch_of: Any, tmp_path: Any) -> Any:
    shutil.copytree(batch_of, tmp_path / "results")
    return tmp_path / "results"


def _chains(results: Any, file: str) -> pd.DataFrame:
    from emtools.results import open_results

    with open_results(results) as found:
        rows = found.table("chains.chains")
    return rows[rows["file"] == file]


def _opened(window: Any, results: Any) -> Any:
    panel = window.panel("Batch")
    panel.open(str(results))
    _wait(window, panel)
    _wait(window, panel)
    return panel


def test_walk_through_a_batch_corrects_what_it_keeps(window: Any, results: Any) -> None:
    panel = _opened(window, results)
    assert panel.list.topLevelItemCount() == 3
    files = panel.review.images["file"].tolist()
    panel.show_image(files.index(DETAIL))
    _wait(window, panel)
    assert [layer.name.split(" · ")[0] for layer in window.viewer.layers][1:] == [
        "chains", "dots", "gaps"]
    before = _chains(results, DETAIL)
    correct = window.panel("Correct")
    shown = correct.finding.result.tables["chains"]
    np.testing.assert_array_equal(shown["width_nm"], before["width_nm"])
    correct._layers["chains"].selected_data = {0}
    correct.delete("chains")
    _wait(window, correct)
    number = correct.finding.result.tables["chains"]
    panel.comment.setText("an impurity")
    panel.step(1)
    _wait(window, panel)
    after = _chains(results, DETAIL)
    np.testing.assert_array_equal(after["width_nm"], number["width_nm"])
    assert len(after) == len(before) - 1
    assert panel.list.topLevelItem(files.index(DETAIL)).text(1) == "✎"
    panel.step(-1)
    _wait(window, panel)
    assert panel.comment.text() == "an impurity"
    assert window.panel("Correct").finding.correction.sentences[0] == "chain 1 deleted"
    assert window.units() == {"nanometer"}


def test_rejected_image_is_left_out_and_the_next_is_shown(window: Any, results: Any) -> None:
    from emtools.results import open_results

    panel = _opened(window, results)
    first = str(panel.review.images["file"][0])
    panel.judge("rejected")
    _wait(window, panel)
    _wait(window, panel)
    assert panel._place == 1
    with open_results(results) as found:
        assert {file for file, _ in found.rejected} == {first}
    panel.write()
    _wait(window, panel)
    assert (results / "index.html").read_text(encoding="utf-8").count("rejected by hand") >= 1
    assert panel.list.topLevelItem(0).text(1) == "✗"


def test_image_of_a_batch_takes_the_place_of_what_is_open(
    window: Any, results: Any, told: list[str]
) -> None:
    """Never a pile: what was open is closed, its corrections are kept, foreign pixels hidden."""
    window.found("pbs_eds.hspy")
    correct = window.panel("Correct")
    correct._layers["chains"].selected_data = {0}
    correct.mark("accepted")
    _wait(window, correct)
    theirs = window.viewer.add_image(np.zeros((8, 8)), name="theirs", units=("nm", "nm"))
    panel = _opened(window, results)
    files = panel.review.images["file"].tolist()
    for place in (files.index(DETAIL), files.index("pbs_dots.emd")):
        panel.show_image(place)
        _wait(window, panel)
        shown = {layer.name.rpartition(" · ")[2] for layer in window.viewer.layers
                 if layer.visible}
        assert all(files[place] in name for name in shown), shown
    assert theirs in window.viewer.layers
    assert sum("is kept until" in text for text in told) == 1
    assert any(one.history for one in panel.desk.findings.values())


def test_status_and_reasons_of_a_batch_are_whole(window: Any, results: Any) -> None:
    panel = _opened(window, results)
    panel.step(1)
    said = [panel.said.text()]
    panel.work.reached.connect(lambda *_: said.append(panel.said.text()))
    _wait(window, panel)
    assert said[0].startswith("opening")
    assert any(words.startswith("measuring") for words in said[1:])
    for place, one in enumerate(panel.review.images.to_dict("records")):
        tip = panel.list.topLevelItem(place).toolTip(2)
        assert (one["doubts"] == "") == (tip == "")
        assert not tip or tip.startswith("<qt>")  # Qt breaks only such into lines


def test_results_that_are_none_are_told(window: Any, tmp_path: Any, told: list[str]) -> None:
    panel = _opened(window, tmp_path)
    assert any("no results of a batch" in text for text in told)
    panel.step(1)
    assert "Open" in panel.said.text()


# ---- a window's results as a batch ---------------------------------------------------------------


def test_results_of_the_window_go_into_a_results_folder(window: Any, tmp_path: Any) -> None:
    from emtools.results import open_results

    shown = _edited(window).finding.result.tables["chains"]
    window.open(SAMPLES / EDS)
    for title in ("Chains", "EDX"):
        panel = window.panel(title)
        panel.images.choose(next(one for one in panel.desk.images() if EDS in one.source.file
                                 and (one.source.signal == "HAADF") == (title == "Chains")))
        _run(window, title)
    session = window.panel("Session")
    session.store(str(tmp_path / "results"))
    window.until(lambda: not session.work.running, 240)
    assert "not written" not in session.said.text()
    stored = _chains(tmp_path / "results", DETAIL)
    np.testing.assert_array_equal(stored["width_nm"], shown["width_nm"])
    with open_results(tmp_path / "results") as found:
        assert set(found.corrections["file"]) == {DETAIL}
        composition = found.table("eds.composition")
    assert "chain 1" in set(composition["region"])  # as it was measured in the window
    assert (tmp_path / "results" / "index.html").is_file()
    panel = _opened(window, tmp_path / "results")
    assert panel.list.topLevelItemCount() == 3
    assert panel.review.images.set_index("file")["corrected"][DETAIL]


def test_what_cannot_be_stored_is_said(window: Any, tmp_path: Any, told: list[str]) -> None:
    session = window.panel("Session")
    session.store(str(tmp_path / "results"))
    _wait(window, session)
    assert any("nothing is measured" in text for text in told)
    window.viewer.add_image(np.random.default_rng(0).normal(size=(64, 64)))
    _run(window, "Lattice")
    session.store(str(tmp_path / "results"))
    _wait(window, session)
    assert any("is in no file" in text for text in told)
    assert not (tmp_path / "results").exists()


def test_files_on_two_drives_are_no_batch_and_that_is_said(monkeypatch: Any) -> None:
    import ntpath
    from pathlib import PureWindowsPath

    from emtools.errors import ParameterError
    from napari_emtools import session

    monkeypatch.setattr("os.path.commonpath", ntpath.commonpath)
    with pytest.raises(ParameterError, match="several drives"):
        session._folder_of([PureWindowsPath("C:\\a\\one.tif"), PureWindowsPath("D:\\two.tif")])


def test_batch_of_other_files_is_not_overwritten(
    window: Any, results: Any, told: list[str]
) -> None:
    window.found(DETAIL, min_dots=4)
    session = window.panel("Session")
    session.store(str(results))
    _wait(window, session)
    assert any("batch of other files" in text for text in told)


# ---- what a hand does in the wrong moment --------------------------------------------------------


def test_session_keeps_results_whose_layer_was_closed(window: Any, tmp_path: Any) -> None:
    window.found(DETAIL)
    window.viewer.layers.remove(next(one for one in window.viewer.layers
                                     if one.name.startswith(DETAIL)))
    session = _reopened(window, tmp_path)
    assert len(session.desk.findings) == 1
    assert len(window.viewer.layers) == 4


def test_images_without_files_are_told_apart(window: Any, tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    for _ in range(2):
        window.viewer.add_image(rng.normal(size=(64, 64)))
    panel = window.panel("Lattice")
    for i in range(2):
        panel.images.setCurrentIndex(i)
        _run(window, "Lattice")
    assert len(panel.desk.findings) == 2
    session = _reopened(window, tmp_path)
    assert len(session.desk.findings) == 2
    assert "not opened" not in session.said.text()


def test_line_of_spectra_comes_back(window: Any, tmp_path: Any) -> None:
    import emtools

    image = next(one for one in emtools.read(SAMPLES / EDS) if one.has_axis("energy"))
    line = image.select(y=24)
    line.to_hyperspy().save(tmp_path / "line.hspy")
    window.open(tmp_path / "line.hspy")
    _run(window, "EDX")
    session = _reopened(window, tmp_path)
    assert len(session.desk.findings) == 1


def test_correction_under_way_is_not_lost(window: Any, results: Any) -> None:
    """Next is pressed while a deletion is still measured, and Delete a second time."""
    panel = _opened(window, results)
    files = panel.review.images["file"].tolist()
    panel.show_image(files.index(DETAIL))
    _wait(window, panel)
    correct = window.panel("Correct")
    correct._layers["chains"].selected_data = {0}
    correct.delete("chains")
    correct.delete("chains")  # an impatient hand
    panel.step(1)
    assert "wait" in panel.said.text()
    _wait(window, correct)
    assert correct.finding.result.tables["chains"]["chain"].tolist() == [2, 3]
    panel.step(1)
    _wait(window, panel)
    assert _chains(results, DETAIL)["chain"].tolist() == [2, 3]


def test_mark_stays_with_its_dot_when_another_is_deleted(window: Any) -> None:
    window.found(DETAIL)
    correct = window.panel("Correct")
    dots = correct.finding.result.tables["dots"]
    correct._layers["dots"].selected_data = {20}
    correct.mark("rejected")
    _wait(window, correct)
    correct._layers["dots"].selected_data = {0}
    correct.delete("dots")
    _wait(window, correct)
    after = correct.finding.result.tables["dots"]
    own = after[after["mark"] == "rejected"]
    np.testing.assert_allclose(own[["y_nm", "x_nm"]], dots[["y_nm", "x_nm"]].iloc[[20]], atol=0.2)


def test_calibrating_while_measuring_keeps_no_old_sizes(window: Any) -> None:
    window.open(SAMPLES / "pbs_chains_overview.tif")
    panel = window.panel("Chains")
    panel.run()
    image = panel.images.image
    panel.desk.recalibrate(image.calibrated(1.1 * image.pixel_size("nm")[0], "nm"))
    _wait(window, panel)
    assert not panel.desk.findings
    assert "measure again" in panel.outcome.text()


def test_place_of_a_mark_is_kept_in_the_batch(window: Any, results: Any) -> None:
    from emtools.batch import Review

    panel = _opened(window, results)
    panel.show_image(panel.review.images["file"].tolist().index(DETAIL))
    _wait(window, panel)
    correct = window.panel("Correct")
    correct._layers["chains"].selected_data = {2}
    correct.mark("rejected")
    _wait(window, correct)
    panel.judge("accepted")
    _wait(window, panel)
    marks = Review(results).open(DETAIL, 0).corrections["chains"].marks
    assert marks.image == "accepted"
    assert set(marks.places["chains"]) == {3}


def test_rejected_chain_counts_for_nothing_in_the_window_either(window: Any) -> None:
    from napari_emtools.desk import desk_of

    window.found(EDS)
    correct = window.panel("Correct")
    correct._layers["chains"].selected_data = {0}
    correct.mark("rejected")
    _wait(window, correct)
    panel = _run(window, "EDX", elements="Pb, S")
    found = desk_of(window.viewer).of(panel.images.image, "eds").result
    assert "chain 1" not in set(found.tables["composition"]["region"])
