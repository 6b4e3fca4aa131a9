"""A folder measured as a whole: what is measured, left out, failed, and what stays safe."""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from emtools import simulate
from emtools.batch import Effort, Monitor, Store, crews, run, watch
from emtools.batch.keys import KeyBook
from emtools.batch.plan import Recipe, Rule
from emtools.batch.work import Job, Task, measure_file
from emtools.errors import ParameterError, ReadError
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


class Seeing(Monitor):
    """Keeps what it is told."""

    def __init__(self, seen):
        self.seen = seen

    def done(self, file):
        self.seen.append(file)


@pytest.fixture(scope="module")
def measured(folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("out") / "results"
    seen = []
    outcome = run(folder, output, Recipe(parameters={"lattice": {"phases": ("PbS",)}}), Effort(2),
                  Seeing(seen))
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
    assert [one.done for one in seen] == [1, 2, 3, 4, 5]
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
    outcome = run(few, output, effort=Effort(1))
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
    outcome = run(moved, output, recipe, effort=Effort(1))
    assert (outcome.reused, outcome.measured) == (4, 5)
    page = (output / "index.html").stat().st_mtime_ns
    again = run(moved, output, recipe, effort=Effort(1))
    assert replace(again, run=outcome.run) == outcome
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
    run(few, output, Recipe(measurements=("chains", "lattice")), effort=Effort(1))
    changed = Recipe(measurements=("chains", "lattice"), parameters={"chains": {"min_dots": 99}})
    assert run(few, output, changed, effort=Effort(1)).reused == 0
    with Results(output) as now, Results(output, run=1) as before:
        assert (len(now.table("chains.chains")), len(before.table("chains.chains"))) == (0, 3)
        assert now.recipe["parameters"]["chains"]["min_dots"] == 99
        numbers = [[row[0] for row in one.connection.execute(
            "SELECT result.id FROM found JOIN result ON result.id = found.result "
            "WHERE run = ? AND measurement = 'lattice'", (one.run,))] for one in (now, before)]
        assert numbers[0] == numbers[1]  # measured once
    assert run(few, output, Recipe(("chains", "lattice")), Effort(1)).reused == 1


def test_results_inside_the_folder_are_not_measured(tmp_path):
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", tmp_path)
    for _ in range(2):
        outcome = run(tmp_path, tmp_path / "results", effort=Effort(1))
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


def strange(job, *_):
    """Stand in for the measuring of a file, in a worker process."""
    if job.name == "dies":
        os._exit(11)
    if job.name == "hangs":
        time.sleep(600)
    return [{"file": job.name}]


def test_a_worker_that_dies_or_hangs_costs_its_file_only(tmp_path, monkeypatch):
    jobs = [Job(tmp_path / name, name, name) for name in ("a", "dies", "b", "hangs", "c", "d")]
    monkeypatch.setattr(crews, "measure_file", strange)
    start = time.monotonic()
    task = Task(Recipe(), KeyBook(Recipe()), tmp_path)
    with contextlib.closing(crews.Processes(task, 2, 5.0)) as crew:
        results = {job.name: records for job, records in crews.measured(
            jobs, crew, 5.0, lambda: False)}
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
    true = crews.measured

    def growing(*given):
        for job, records in true(*given):
            if job.name == "b.mrc":
                with (images / "b.mrc").open("ab") as file:
                    file.write(b"more")
            yield job, records

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["emtools.batch.run"], "measured", growing)
        outcome = run(images, output, Recipe(("lattice",)), Effort(1))
    assert [(file, "changed" in reason) for file, reason in outcome.failed] == [("b.mrc", True)]
    outcome = run(images, output, Recipe(("lattice",)), effort=Effort(1))
    assert (outcome.failed, outcome.reused, outcome.measured) == ((), 1, 2)


def test_a_page_that_could_not_be_written_is_written_by_the_next_run(tmp_path, monkeypatch):
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", tmp_path)
    output, recipe = tmp_path / "results", Recipe(("lattice",))
    run(tmp_path, output, recipe, effort=Effort(1))
    page = (output / "index.html").read_bytes()
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", tmp_path / "copy.mrc")

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["emtools.batch.run"], "write_report", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, output, recipe, effort=Effort(1))
    assert (output / "index.html").read_bytes() == page
    run(tmp_path, output, recipe, effort=Effort(1))
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
    assert time.monotonic() - start < 2
    assert batch.returncode == 130
    assert "the same command goes on" in said
    assert "Traceback" not in said
    outcome = run(images, output, effort=Effort(1))
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


class OneByOne:
    """A crew that measures at once, in this process, and says how many files it held."""

    size = 4

    def __init__(self, big):
        self.big, self.given, self.alone = big, [], []

    def submit(self, job, *, alone):
        future = Future()
        self.given.append(job.name)
        if alone:
            self.alone.append(job.name)
        future.set_result(crews.TooBig(9e9) if job.name in self.big and not alone
                          else [{"file": job.name}])
        return future

    def overdue(self, future):
        raise AssertionError(future)


def test_files_too_big_for_company_are_measured_alone_and_last(tmp_path):
    jobs = [Job(tmp_path / name, name, name) for name in "aBcD"]
    crew = OneByOne("BD")
    done = [job.name for job, _ in crews.measured(jobs, crew, None, lambda: False)]
    assert set(done[:2]) == {"a", "c"}
    assert done[2:] == crew.alone
    assert set(crew.alone) == {"B", "D"}


def test_what_needs_more_memory_than_there_is_fails_with_the_reason(tmp_path):
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", tmp_path)
    job = Job(tmp_path / "pbs_hrtem_001.mrc", "pbs_hrtem_001.mrc", "x")
    task = Task(Recipe(("lattice",)), KeyBook(Recipe(("lattice",))), tmp_path)
    assert measure_file(job, task, room=1e6, alone=False).bytes > 4e8
    (record,) = measure_file(job, task, room=1e6, alone=True)
    assert record["status"] == "failed"
    assert re.search(r"needs about 0\.\d GB of memory, and 0\.0 GB are free", record["reason"])


def test_a_stop_ends_a_batch_where_it_is(tmp_path):
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", tmp_path)

    class Stopping(Monitor):
        def stopped(self):
            return True

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, tmp_path / "out", Recipe(("lattice",)), Effort(1), Stopping())
    assert run(tmp_path, tmp_path / "out", Recipe(("lattice",)), Effort(1)).measured == 1


def test_copies_under_different_rules_are_measured_each_by_its_own(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "images" / name).mkdir(parents=True)
        shutil.copy(SAMPLES / "pbs_chains_detail.hspy", tmp_path / "images" / name / "x.hspy")
    recipe = Recipe(("chains",), pictures="none", rules=(
        Rule("b/*", parameters={"chains": {"min_dots": 99}}),))
    outcome = run(tmp_path / "images", tmp_path / "out", recipe, Effort(1))
    assert outcome.measured == 2
    with Results(tmp_path / "out") as results:
        assert set(results.table("chains.chains")["file"]) == {"a/x.hspy"}
    assert run(tmp_path / "images", tmp_path / "out", recipe, Effort(1)).reused == 2


def test_pixels_that_cannot_be_read_fail_and_are_tried_again(tmp_path, monkeypatch):
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", tmp_path)
    job = Job(tmp_path / "pbs_hrtem_001.mrc", "pbs_hrtem_001.mrc", "x")
    task = Task(Recipe(("lattice",)), KeyBook(Recipe(("lattice",))), tmp_path)

    def gone(*_):
        raise ReadError("pbs_hrtem_001.mrc", "the drive is gone", "")

    monkeypatch.setattr(sys.modules["emtools.batch.work"].Run, "result", gone)
    (record,) = measure_file(job, task)
    assert (record["status"], record["reason"]) == ("failed", "the drive is gone")


def test_results_in_a_folder_that_may_not_be_written_to_can_be_read(measured, tmp_path):
    output = tmp_path / "results"
    shutil.copytree(measured[1], output)
    assert not list(output.glob("results.sqlite-*"))
    with sqlite3.connect(output / "results.sqlite") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    connection.close()


def test_pictures_that_were_thrown_away_are_drawn_anew(tmp_path):
    images, output = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", images / "a.mrc")
    run(images, output, Recipe(("lattice",)), Effort(1))
    (picture,) = (output / "pictures").iterdir()
    content = picture.read_bytes()
    picture.unlink()
    (images / "a.mrc").rename(images / "b.mrc")
    assert run(images, output, Recipe(("lattice",)), Effort(1)).reused == 0
    (again,) = (output / "pictures").iterdir()
    assert again.read_bytes()[:8] == content[:8]
    with Results(output) as results:
        assert pictures(results) == {f"pictures/{again.name}"}
        assert len(results.table("lattice.reflections")) > 0
    assert run(images, output, Recipe(("lattice",)), Effort(1)).reused == 1


def test_a_signal_stops_in_order_and_the_second_at_once():
    from emtools.cli.monitoring import monitoring

    with monitoring(bar=False, lines=False, log=None) as monitor:
        assert not monitor.stopped()
        signal.raise_signal(signal.SIGTERM)
        assert monitor.stopped()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with monitoring(bar=False, lines=False, log=None) as monitor:
        monitor.writing(True)  # tables and page: nothing is asked there
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_watching_measures_what_is_complete_and_nothing_twice(tmp_path):
    images, seen = tmp_path / "images", []
    images.mkdir()
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", images / "a.mrc")
    old = time.time() - 60
    os.utime(images / "a.mrc", (old, old))
    (images / "growing.mrc").write_bytes(b"half")

    class Growing(Seeing):
        """Sees time pass: the second file is completed after a while, then it is enough."""

        looks = 0

        def stopped(self):
            self.looks += 1
            if self.looks == 40:
                shutil.copy(SAMPLES / "pbs_eds.hspy", images / "b.hspy")
                shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", images / "growing.mrc")
                (images / "growing.mrc").write_bytes(
                    (images / "growing.mrc").read_bytes() + b"x")
                for name in ("b.hspy", "growing.mrc"):
                    os.utime(images / name, (old, old))
            return False

    rounds = watch(images, tmp_path / "out", Recipe(("lattice",)), Effort(1), Growing(seen),
                   every_s=0.5, settled_s=30.0)
    first = next(rounds)
    assert (first.measured, len(first.failed)) == (1, 0)  # what grows is not looked at
    second = next(rounds)
    with Results(tmp_path / "out") as results:
        assert results.runs["run"].tolist() == [2]  # the first round has become superfluous
    assert (second.measured, second.reused) == (3, 1)  # of one file there are two images
    assert sorted((one.file, one.status) for one in seen) == [
        ("a.mrc", "known"), ("a.mrc", "measured"), ("b.hspy", "measured"),
        ("growing.mrc", "measured")]
    with pytest.raises(ParameterError, match="every_s"):
        next(watch(images, tmp_path / "out", every_s=-1.0))


def test_a_batch_speaks_to_people_logs_and_machines(tmp_path, capsys):
    from emtools.cli import build

    def command_line(arguments):
        return build(arguments)(arguments, standalone_mode=False)

    images, log = tmp_path / "images", tmp_path / "logs" / "batch.log"
    images.mkdir()
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", images / "a.mrc")
    (images / "broken.dm4").write_bytes(b"nothing of it")
    command = ["batch", str(images), "-o", str(tmp_path / "out"), "--measure", "lattice",
               "--workers", "1"]
    assert command_line([*command, "--json", "--log", str(log)]) == 1
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [(one["done"], one["total"]) for one in lines] == [(1, 2), (2, 2)]
    by_file = {one["file"]: one for one in lines}
    assert by_file["a.mrc"]["status"] == "measured"
    assert by_file["a.mrc"]["images"] == 1
    assert by_file["broken.dm4"]["status"] == "failed"
    assert by_file["broken.dm4"]["reason"]
    logged = log.read_text(encoding="utf-8").splitlines()
    assert len(logged) == 2
    assert any(re.search(r"^\d{4}-.* [12]/2  failed  [\d.]+ s  broken.dm4  \S", line)
               for line in logged)
    assert command_line([*command, "--quiet", "--log", str(log)]) == 1
    said = capsys.readouterr()
    assert "1 images measured" in said.out
    assert "━" not in said.err
    assert len(log.read_text(encoding="utf-8").splitlines()) == 4


# --- on a cluster


@pytest.fixture
def cluster():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None,
                                  host="127.0.0.1", scheduler_port=0) as started:
        yield started


class Killing(Monitor):
    """Kills a worker of a cluster once, when the first file is done."""

    def __init__(self, cluster):
        self.cluster, self.killed = cluster, 0

    def done(self, file):
        if not self.killed and file.status == "measured":
            (first, *_) = self.cluster.workers.values()
            self.killed = first.pid
            os.kill(first.pid, signal.SIGKILL)


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_gives_the_same_bytes_also_if_a_worker_dies(cluster, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for n in range(8):
        image, _ = simulate.chains(shape=(192, 192), pixel_size_nm=0.5, n_chains=1, n_dots=(6, 9),
                                   rng=n)
        write_image(image, images / f"{n}.tif")
    recipe = Recipe(("chains",))
    run(images, tmp_path / "here", recipe, Effort(2))
    monitor = Killing(cluster)
    outcome = run(images, tmp_path / "there", recipe, Effort(scheduler=cluster.scheduler_address),
                  monitor)
    assert monitor.killed
    assert (outcome.measured, outcome.failed) == (8, ())
    for name in sorted(path.name for path in (tmp_path / "here" / "tables").iterdir()):
        assert (tmp_path / "here" / "tables" / name).read_bytes() == \
            (tmp_path / "there" / "tables" / name).read_bytes(), name


@pytest.mark.filterwarnings("ignore")
def test_a_file_that_hangs_on_a_cluster_costs_itself_only(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(crews, "measure_file", hanging)
    jobs = [Job(tmp_path / name, name, name) for name in ("a", "hangs", "b", "c")]
    task = Task(Recipe(), KeyBook(Recipe()), tmp_path)
    with contextlib.closing(crews.Cluster(task, cluster.scheduler_address, 3.0)) as crew:
        assert crew.size == 2  # nothing waits while the clock runs
        found = {job.name: records for job, records in crews.measured(
            jobs, crew, 3.0, lambda: False)}
    assert {name for name, (one,) in found.items() if one.get("status") == "failed"} == {"hangs"}
    assert "longer than 3 s" in found["hangs"][0]["reason"]


def hanging(job, *_):
    """Stand in for the measuring of a file, on a cluster."""
    if job.name == "hangs":
        time.sleep(600)
    return [{"file": job.name}]


@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_is_none_is_one_clear_error(tmp_path, monkeypatch):
    shutil.copy(SAMPLES / "pbs_hrtem_001.mrc", tmp_path)
    monkeypatch.setattr(crews, "_ANSWER_S", 0.5)
    for address in ("tcp://127.0.0.1:1", "nonsense://x"):
        with pytest.raises(ParameterError, match="does not answer"):
            run(tmp_path, tmp_path / "out", Recipe(("lattice",)), Effort(scheduler=address))
