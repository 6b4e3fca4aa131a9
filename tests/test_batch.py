"""A folder measured as a whole: what is measured, left out, failed, and what stays safe."""

import json
import shutil
import sys
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pandas as pd
import pytest

from emtools.batch import Store, run
from emtools.batch.plan import Recipe
from emtools.batch.store import write_atomically
from emtools.errors import ParameterError

SAMPLES = Path(__file__).parent.parent / "sample_images"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("micrographs")
    (folder / "sub").mkdir()
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", folder / "sub" / "a <script>alert(1).mrc")
    shutil.copy(SAMPLES / "pbs_eds.hspy", folder)
    shutil.copy(SAMPLES / "pbs_chains_detail.hspy", folder)
    (folder / "broken.dm4").write_bytes(b"nothing like it")
    (folder / "empty.tif").write_bytes(b"")
    (folder / "notes.txt").write_text("not a micrograph")
    return folder


@pytest.fixture(scope="module")
def measured(folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("out") / "results"
    seen = []
    outcome = run(folder, output, Recipe(parameters={"lattice": {"phases": ("PbS",)}}), workers=2,
                  progress=lambda done, total, name: seen.append((done, total, name)))
    return outcome, output, seen


def records(output):
    return [json.loads(path.read_text()) for path in sorted((output / "records").glob("*.json"))]


def test_every_file_is_accounted_for_with_its_reason(folder, measured):
    outcome, output, seen = measured
    assert {record["file"] for record in records(output)} == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert outcome.measured == 4
    assert [file for file, _ in outcome.failed] == ["broken.dm4", "empty.tif"]
    assert all(reason for _, reason in outcome.failed)
    assert outcome.others == 1
    assert [done for done, _, _ in seen] == [1, 2, 3, 4, 5]
    for record in records(output):
        assert record["status"] == "measured" or record["reason"]


def test_spectrum_images_and_their_haadf_are_measured_each_its_own_way(measured):
    _, output, _ = measured
    of_file = {r["image"]: r for r in records(output) if r["file"] == "pbs_eds.hspy"}
    assert of_file["EDS"]["status"] == "measured"
    assert [one["measurement"] for one in of_file["EDS"]["measurements"]] == ["eds"]
    assert {"spectrum", "maps"} <= set(of_file["EDS"]["measurements"][0]["pictures"])
    assert of_file["HAADF"]["status"] == "measured"
    assert "HAADF" in of_file["HAADF"]["measurements"][0]["why"]


def test_tables_are_led_by_file_image_and_digest(measured):
    _, output, _ = measured
    table = pd.read_csv(output / "tables" / "lattice.reflections.csv")
    assert list(table.columns[:3]) == ["file", "image", "source_sha256"]
    assert set(table["phase"]) == {"PbS"}
    assert table["source_sha256"].str.len().eq(64).all()
    chains = pd.read_csv(output / "tables" / "chains.chains.csv")
    assert len(chains[chains["file"] == "pbs_chains_detail.hspy"]) == 3


def test_pictures_and_page_are_there_and_names_are_harmless(measured):
    outcome, output, _ = measured
    assert outcome.report == output / "index.html"
    page = outcome.report.read_text()
    assert "<script>alert(1)" not in page
    for record in records(output):
        for measurement in record["measurements"]:
            for picture in measurement["pictures"].values():
                assert (output / picture).stat().st_size > 1000


def test_a_second_batch_replaces_the_first(folder, measured, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", few)
    output = tmp_path / "results"
    shutil.copytree(measured[1], output)
    outcome = run(few, output, workers=1)
    assert outcome.measured == 1
    assert len(records(output)) == 1
    assert {p.name.split("-")[0] for p in (output / "pictures").iterdir()} == {"pbs_hrtem_001"}


def test_results_inside_the_folder_are_not_measured(tmp_path):
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", tmp_path)
    for _ in range(2):
        outcome = run(tmp_path, tmp_path / "results", workers=1)
        assert (outcome.measured, outcome.others) == (1, 0)


def test_a_folder_of_something_else_is_refused(tmp_path):
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", tmp_path)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(ParameterError, match="not empty"):
        run(tmp_path, mine)
    assert (mine / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("recipe", [
    Recipe(measurements=("latice",)),
    Recipe(parameters={"chains": {"min_width": 3}}),
    Recipe(pixel_size_nm=-1.0),
])
def test_a_typo_costs_a_second_not_a_night(recipe, tmp_path):
    with pytest.raises(ParameterError):
        run(tmp_path, tmp_path / "results", recipe)


def test_a_worker_that_dies_costs_its_file_only(tmp_path, monkeypatch):
    """The pool breaks when the poisoned file is measured; the others are still measured."""
    measured, jobs = [], [(tmp_path / name, name) for name in "abcde"]

    class Pool:
        def __init__(self):
            self.broken = False

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

    def submit(pool, job, recipe, output):
        future = Future()
        pool.broken = pool.broken or job[1] == "c"
        if pool.broken:
            future.set_exception(BrokenProcessPool("died"))
        else:
            measured.append(job[1])
            future.set_result([{"file": job[1]}])
        return future

    module = sys.modules["emtools.batch.run"]
    monkeypatch.setattr(module, "_pool", lambda workers: Pool())
    monkeypatch.setattr(module, "_submit", submit)
    results = dict(module._measured(jobs, Recipe(), tmp_path, 2))
    assert set(results) == set("abcde")
    assert results["c"][0]["status"] == "failed"
    assert "died" in results["c"][0]["reason"]
    assert sorted(measured) == list("abde")


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_atomically(path, b"first")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fdopen", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"second")
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


def test_an_unwritable_output_is_one_clear_error(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ParameterError, match="not a folder"):
        Store(file)
