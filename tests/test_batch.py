"""A folder measured as a whole: what is measured, left out, failed, and what stays safe."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from emtools import simulate
from emtools.batch import Store, run
from emtools.batch.keys import KeyBook
from emtools.batch.plan import Recipe
from emtools.batch.work import Job, Task
from emtools.errors import ParameterError
from emtools.io.writing import write_image
from emtools.results import Results
from emtools.results import records as records_of
from emtools.results.export import write_whole
from emtools.results.records import pictures

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
    with Results(output) as results:
        return list(records_of(results))


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


def test_a_second_batch_shows_its_own_files_and_keeps_what_the_first_found(measured, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", few)
    output = tmp_path / "results"
    shutil.copytree(measured[1], output)
    outcome = run(few, output, workers=1)
    assert outcome.measured == 1
    assert [record["file"] for record in records(output)] == ["pbs_hrtem_001.mrc"]
    with Results(output, run=1) as first:
        assert len(first.table("chains.chains")) > 3
        assert all((output / picture).is_file() for picture in pictures(first))


def test_what_is_known_by_its_content_is_not_measured_again(folder, measured, tmp_path):
    moved, output = tmp_path / "moved", tmp_path / "results"
    shutil.copytree(folder, moved)
    shutil.copytree(measured[1], output)
    (moved / "pbs_eds.hspy").rename(moved / "another name.hspy")
    shutil.copy(moved / "pbs_chains_detail.hspy", moved / "copy.hspy")
    recipe = Recipe(parameters={"lattice": {"phases": ("PbS",)}})
    outcome = run(moved, output, recipe, workers=1)
    assert (outcome.reused, outcome.measured) == (4, 5)
    page = (output / "index.html").stat().st_mtime_ns
    again = run(moved, output, recipe, workers=1)
    assert again == outcome
    assert (output / "index.html").stat().st_mtime_ns == page  # there was nothing new to write
    with Results(output) as results:
        found = results.images[["file", "image", "status", "reason"]]
        assert list(found.itertuples(index=False, name=None)) == [
            (r["file"], r["image"], r["status"], r["reason"]) for r in records_of(results)]
        assert found.loc[found.status == "left out", "reason"].str.contains(": ").all()
    with Results(output, run=1) as before, Results(output) as after:
        one, other = (results.table("eds.composition").drop(columns="file")
                      for results in (before, after))
        pd.testing.assert_frame_equal(one, other)
        assert set(after.table("eds.composition").file) == {"another name.hspy"}
        assert len(after.table("chains.chains", "file = ?", ["copy.hspy"])) == 3


def test_a_changed_parameter_measures_what_depends_on_it_and_keeps_the_old(tmp_path):
    few, output = tmp_path / "few", tmp_path / "results"
    few.mkdir()
    shutil.copy(SAMPLES / "pbs_chains_detail.hspy", few)
    run(few, output, Recipe(measurements=("chains", "lattice")), workers=1)
    changed = Recipe(measurements=("chains", "lattice"), parameters={"chains": {"min_dots": 99}})
    assert run(few, output, changed, workers=1).reused == 0
    with Results(output) as now, Results(output, run=1) as before:
        assert (len(now.table("chains.chains")), len(before.table("chains.chains"))) == (0, 3)
        assert now.recipe["parameters"]["chains"]["min_dots"] == 99
        numbers = [[row[0] for row in one.connection.execute(
            "SELECT result.id FROM found JOIN result ON result.id = found.result "
            "WHERE run = ? AND measurement = 'lattice'", (one.run,))] for one in (now, before)]
        assert numbers[0] == numbers[1]  # measured once
    assert run(few, output, Recipe(measurements=("chains", "lattice")), workers=1).reused == 1


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


def strange(job, _):
    """Stand in for the measuring of a file, in a worker process."""
    if job.name == "dies":
        os._exit(11)
    if job.name == "hangs":
        time.sleep(600)
    return [{"file": job.name}]


def test_a_worker_that_dies_or_hangs_costs_its_file_only(tmp_path, monkeypatch):
    jobs = [Job(tmp_path / name, name, name) for name in ("a", "dies", "b", "hangs", "c", "d")]
    module = sys.modules["emtools.batch.run"]
    monkeypatch.setattr(module, "measure_file", strange)
    start = time.monotonic()
    results = dict(module._measured(jobs, Task(Recipe(), KeyBook(Recipe()), tmp_path), 2, 5.0))
    assert time.monotonic() - start < 60
    assert set(results) == {job.name for job in jobs}
    assert {name for name, (record,) in results.items() if record.get("status") == "failed"} == {
        "dies", "hangs"}
    assert "died (exit code 11" in results["dies"][0]["reason"]
    assert "longer than 5 s" in results["hangs"][0]["reason"]


def test_a_file_that_grows_while_it_is_measured_is_no_result(tmp_path, monkeypatch):
    """A microscope writes it still: the next run measures it."""
    images, output = tmp_path / "images", tmp_path / "results"
    images.mkdir()
    for name in ("a.mrc", "b.mrc"):
        shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", images / name)
    (images / "b.mrc").write_bytes((images / "b.mrc").read_bytes() + b"x")
    module = sys.modules["emtools.batch.run"]
    true = module.measure_file

    def one_by_one(jobs, task, *_):
        for job in jobs:
            records = true(job, task)
            if job.name == "b.mrc":
                with (images / "b.mrc").open("ab") as file:
                    file.write(b"more")
            yield job.name, records

    with monkeypatch.context() as patch:
        patch.setattr(module, "_measured", one_by_one)
        outcome = run(images, output, Recipe(("lattice",)))
    assert [(file, "changed" in reason) for file, reason in outcome.failed] == [("b.mrc", True)]
    outcome = run(images, output, Recipe(("lattice",)), workers=1)
    assert (outcome.failed, outcome.reused, outcome.measured) == ((), 1, 2)


def test_a_page_that_could_not_be_written_is_written_by_the_next_run(tmp_path, monkeypatch):
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", tmp_path)
    output, recipe = tmp_path / "results", Recipe(("lattice",))
    run(tmp_path, output, recipe, workers=1)
    page = (output / "index.html").read_bytes()
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", tmp_path / "copy.mrc")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["emtools.batch.run"], "write_report", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, output, recipe, workers=1)
    assert (output / "index.html").read_bytes() == page
    run(tmp_path, output, recipe, workers=1)
    assert b"copy.mrc" in (output / "index.html").read_bytes()


def test_ctrl_c_stops_at_once_and_the_same_command_goes_on(tmp_path):
    images, output = tmp_path / "images", tmp_path / "results"
    images.mkdir()
    for n in range(30):
        image, _ = simulate.chains(shape=(256, 256), pixel_size_nm=0.5, n_chains=1, n_dots=(6, 9),
                                   rng=n)
        write_image(image, images / f"{n}.tif")
    command = [sys.executable, "-c", "from emtools.cli import main; main()", "batch", str(images),
               "-o", str(output), "--workers", "1"]
    batch = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    done = 0
    while done < 1 and batch.poll() is None:
        time.sleep(0.05)
        if (output / "results.sqlite").exists():
            with contextlib.suppress(ParameterError), Results(output) as results:
                done = len(results.files)
    os.killpg(batch.pid, signal.SIGINT)
    start = time.monotonic()
    _, said = batch.communicate(timeout=60)
    assert time.monotonic() - start < 5
    assert batch.returncode == 130
    assert "the same command goes on" in said
    assert "Traceback" not in said
    outcome = run(images, output, workers=1)
    assert outcome.measured == 30
    assert 1 <= outcome.reused < 30


def test_writing_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "record.json"
    write_whole(path, lambda target: target.write_bytes(b"first"))

    def full(target):
        target.write_bytes(b"sec")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(path, full)
    assert path.read_bytes() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]


def test_an_unwritable_output_is_one_clear_error(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ParameterError, match="not a folder"):
        Store(file)
