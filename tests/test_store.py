"""The store: one transaction for a file, nothing half-written, nothing double, read in parts."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import emtools
from emtools import ParameterError, simulate
from emtools.batch import Effort, Store, run
from emtools.batch.contents import TABLE, Contents
from emtools.batch.plan import Recipe
from emtools.batch.store import transaction
from emtools.io.writing import write_image
from emtools.measure import load
from emtools.results import Results, export
from emtools.results import records as records_of
from emtools.results.records import pictures

RECIPE = Recipe(measurements=("chains",))
NAN = float("nan")


def rows(n: int, table: str = "dots", **values) -> list[dict]:
    frame = load("chains").tables[table].frame([{"dot": i + 1, **values} for i in range(n)])
    plain = frame.astype(object).where(frame.notna(), None)
    return plain.to_dict("records")


def record(n: int = 2, *, index: int = 1, image: str = "HAADF", **values) -> dict:
    return {
        "file": "", "image": image, "index": index, "source_sha256": "0" * 64, "reason": "",
        "status": "measured", "description": {}, "audit": [], "thumbnail": "data:", "skipped": [],
        "seconds": 0.1, "measurements": [{
            "measurement": "chains", "why": "HAADF image", "summary": {"outcome": "dots"},
            "parameters": {}, "pictures": {}, "tables": {"dots": rows(n, **values)}}]}


@pytest.fixture
def stored(tmp_path):
    """A store with three files of two dots each."""
    with Store(tmp_path / "results") as store:
        under_way = store.begin(tmp_path, RECIPE)
        for name, diameter in (("b.tif", 4.0), ("a.tif", 5.0), ("=c.tif", NAN)):
            under_way.add(name, f"content of {name}", [record(diameter_nm=diameter)])
        with under_way.together():
            under_way.leave_out("notes.txt", "other file", "no image")
        under_way.finish()
    return tmp_path / "results"


def test_tables_come_back_typed_sorted_and_led_by_file_image_and_digest(stored):
    with emtools.open_results(stored) as results:
        table = results.table("chains.dots")
        assert list(table.columns[:3]) == ["file", "image", "source_sha256"]
        assert table.file.tolist() == ["=c.tif"] * 2 + ["a.tif"] * 2 + ["b.tif"] * 2
        declared = load("chains").tables["dots"].frame().dtypes
        assert (table[declared.index].dtypes == declared).all()
        assert table.diameter_nm.isna().sum() == 2
        assert results.files.status.tolist() == ["read", "read", "read", "other file"]
        assert results.recipe["measurements"] == ["chains"]
        empty = results.table("lattice.grains")
        assert len(empty) == 0
        assert list(empty.columns[:3]) == ["file", "image", "source_sha256"]


def test_a_condition_is_applied_before_anything_is_loaded(stored):
    with emtools.open_results(stored) as results:
        assert set(results.table("chains.dots", "diameter_nm > ?", [4.5]).file) == {"a.tif"}
        assert len(results.table("chains.dots", "diameter_nm > 100")) == 0
        with pytest.raises(ParameterError, match="diameter_nm"):
            results.table("chains.dots", "diametre > 3")
        with pytest.raises(ParameterError, match=r"chains\.dots"):
            results.table("chains.points")
        with pytest.raises(ParameterError, match="where"):  # it is read only
            results.table("chains.dots", "1); DELETE FROM found; --")
        assert len(results.table("chains.dots")) == 6


@pytest.mark.parametrize("to", ["csv", "parquet", "xlsx"])
def test_exports_are_the_same_bytes_and_harmless(stored, tmp_path, to):
    with emtools.open_results(stored) as results:
        one, other = (export(results, tmp_path / name, to) for name in ("one", "other"))
        assert [path.read_bytes() for path in one] == [path.read_bytes() for path in other]
        assert {path.stem for path in one} == set(results.names)
        read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "xlsx": pd.read_excel}[to]
        table = read(tmp_path / "one" / f"chains.dots.{to}")
    first = "=c.tif" if to == "parquet" else "'=c.tif"
    assert table.file.tolist() == [first] * 2 + ["a.tif"] * 2 + ["b.tif"] * 2
    assert table.diameter_nm.dropna().tolist() == [5.0, 5.0, 4.0, 4.0]


def test_names_that_are_no_text_come_back_as_they_were(tmp_path):
    name = os.fsdecode(b"caf\xe9.tif")
    with Store(tmp_path / "results") as store:
        under_way = store.begin(tmp_path, RECIPE)
        under_way.add(name, "content", [record()])
        with under_way.together():
            under_way.leave_out(os.fsdecode(b"\xff.txt"), "other file", "no image")
            assert under_way.taken_over("other.tif", "content")
    with emtools.open_results(tmp_path / "results") as results:
        assert set(results.table("chains.dots").file) == {name, "other.tif"}
        export(results, tmp_path / "out")
    assert b"caf\xe9.tif" in (tmp_path / "out" / "chains.dots.csv").read_bytes()


def test_an_image_in_pixels_has_its_columns_beside_those_in_nm(tmp_path):
    in_px = record()
    frame = load("chains").tables["dots"].frame([{"dot": 1, "diameter_nm": 30.0}], unit="px")
    in_px["measurements"][0]["tables"]["dots"] = frame.astype(object).where(
        frame.notna(), None).to_dict("records")
    with Store(tmp_path / "results") as store:
        under_way = store.begin(tmp_path, RECIPE)
        under_way.add("a.tif", "a", [record(1, diameter_nm=4.0)])
        under_way.add("b.tif", "b", [in_px])
    with emtools.open_results(tmp_path / "results") as results:
        table = results.table("chains.dots").set_index("file")
        assert table.loc["a.tif", "diameter_nm"] == 4.0
        assert table.loc["b.tif", "diameter_px"] == 30.0
        assert np.isnan(table.loc["b.tif", "diameter_nm"])
        said = {one["file"]: one["measurements"][0]["tables"]["dots"][0]
                for one in records_of(results)}
        assert "diameter_nm" in said["a.tif"]
        assert "diameter_px" not in said["a.tif"]
        assert "diameter_nm" not in said["b.tif"]


def test_a_failure_in_the_middle_of_a_file_leaves_nothing_of_it(tmp_path):
    broken = record(index=2)
    broken["measurements"][0]["tables"]["dots"][1]["dot"] = object()  # no database holds that
    with Store(tmp_path / "results") as store:
        under_way = store.begin(tmp_path, RECIPE)
        under_way.add("good.tif", "good", [record()])
        with pytest.raises((sqlite3.Error, ParameterError)):
            under_way.add("bad.tif", "bad", [record(), broken])
        assert not under_way.taken_over("other.tif", "bad")
    with emtools.open_results(tmp_path / "results") as results:
        assert results.files.file.tolist() == ["good.tif"]
        assert len(results.table("chains.dots")) == 2


def test_a_failed_image_is_tried_again_and_the_others_are_not(tmp_path):
    failed = {**record(index=2), "status": "failed", "reason": "out of memory", "measurements": []}
    with Store(tmp_path / "results") as store:
        under_way = store.begin(tmp_path, RECIPE)
        under_way.add("a.tif", "a", [record(), failed])
        assert not under_way.taken_over("again.tif", "a")
        assert len(under_way.known("a.tif", "a")) == 1
        under_way.add("again.tif", "a", [{**record(), "measurements": []}, record(index=2)])
        assert under_way.taken_over("third.tif", "a")
    with emtools.open_results(tmp_path / "results") as results:
        assert results.table("chains.dots").file.value_counts().to_dict() == {
            "a.tif": 2, "again.tif": 4, "third.tif": 4}
        assert [one["reason"] for one in records_of(results) if one["status"] == "failed"] == [
            "out of memory"]


def test_two_batches_at_once_are_refused_clearly(stored):
    with Store(stored), pytest.raises(ParameterError, match="another batch"):
        Store(stored)
    Store(stored).close()


def test_a_full_disk_is_one_clear_error_and_nothing_is_lost(stored):
    with Store(stored) as store:
        under_way = store.begin(stored, RECIPE)
        pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
        store.connection.execute(f"PRAGMA max_page_count = {pages}")
        many = [record(5000, diameter_nm=4.0)]
        with pytest.raises(ParameterError, match=r"full.*start the same command again"):
            under_way.add("a.tif", "many", many)
    with emtools.open_results(stored, run=1) as results:
        assert len(results.table("chains.dots")) == 6
    with closing(sqlite3.connect(stored / "results.sqlite")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_store_of_another_format_is_refused(stored):
    with closing(sqlite3.connect(stored / "results.sqlite", isolation_level=None)) as connection:
        connection.execute("UPDATE meta SET value = '99'")
    for opening in (Store, emtools.open_results):
        with pytest.raises(ParameterError, match="format 99"):
            opening(stored)
    with pytest.raises(ParameterError, match="holds no results"):
        emtools.open_results(stored.parent)
    for content in (b"", b"no database, whatever its name says" * 100):
        (stored / "results.sqlite").write_bytes(content)
        with pytest.raises(ParameterError, match="holds no results"):
            emtools.open_results(stored)


def test_digests_are_remembered_until_a_file_changes(tmp_path, monkeypatch):
    path, part = tmp_path / "a.emi", tmp_path / "a_1.ser"
    path.write_bytes(b"one")
    part.write_bytes(b"part")
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(TABLE)
    first = Contents(connection).digest(path, [part])
    read = []
    module = sys.modules["emtools.batch.contents"]
    true = module.sha256_of_file
    monkeypatch.setattr(module, "sha256_of_file", lambda p: read.append(p) or true(p))
    assert Contents(connection).digest(path, [part]) == first
    assert read == []
    assert Contents(connection, rehash=True).digest(path, [part]) == first
    assert read == [path, part]
    part.write_bytes(b"PART")
    os.utime(part, ns=(1, 1))
    assert Contents(connection).digest(path, [part]) != first
    assert Contents(connection).digest(path) == true(path)


KILLS = int(os.environ.get("EMTOOLS_KILLS", "3"))


@pytest.fixture(scope="module")
def micrographs(tmp_path_factory):
    """Small images, quickly measured: six, or forty in a campaign."""
    folder = tmp_path_factory.mktemp("many")
    for n in range(40 if KILLS >= 50 else 6):
        image, _ = simulate.chains(shape=(160, 160), pixel_size_nm=0.5, n_chains=1,
                                   n_dots=(5, 8), rng=n)
        write_image(image, folder / f"{n}.tif")
    return folder


def tables_of(output: Path, target: Path) -> dict[str, bytes]:
    with Results(output) as results:
        return {path.name: path.read_bytes() for path in export(results, target)}


def files_stored(output: Path) -> int:
    """How many files a killed run had stored; 0 before it had begun."""
    try:
        with Results(output) as results:
            return len(results.files)
    except ParameterError:
        return 0


@pytest.mark.timeout(600 if KILLS < 50 else 7200)
def test_killed_at_any_moment_the_next_run_goes_on(micrographs, tmp_path):
    """SIGKILL at random moments; the tables are those of an undisturbed run, bit for bit."""
    if not hasattr(signal, "SIGKILL"):
        pytest.skip("no SIGKILL on this system")
    start = time.perf_counter()
    run(micrographs, tmp_path / "calm", RECIPE, effort=Effort(2))
    whole = time.perf_counter() - start
    output = tmp_path / "results"
    moments = random.Random(1)
    command = [sys.executable, "-c", "from emtools.cli import main; main()", "batch",
               str(micrographs), "-o", str(output), "--measure", "chains", "--workers", "2"]
    stored = []
    for _ in range(KILLS):
        batch = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 start_new_session=True)
        time.sleep(moments.uniform(0.0, 1.2 * whole))
        os.killpg(batch.pid, signal.SIGKILL)
        batch.wait()
        stored.append(files_stored(output))
        if (output / "results.sqlite").exists() and moments.random() < 0.5:
            shutil.rmtree(output)  # from the beginning now and then
    run(micrographs, output, RECIPE, effort=Effort(2))
    print(f"{KILLS} runs of {len(list(micrographs.iterdir()))} files killed; files of the run "
          f"stored by then: {stored}")
    assert tables_of(output, tmp_path / "a") == tables_of(tmp_path / "calm", tmp_path / "b")
    with Results(output) as results:
        assert not results.connection.execute(
            "SELECT key FROM result GROUP BY key HAVING count(*) > 1").fetchall()
        kept = {Path(picture).name for picture in pictures(results)}
    assert {path.name for path in (output / "pictures").iterdir()} == kept


def test_transactions_are_all_or_nothing(tmp_path):
    connection = sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)
    connection.execute("CREATE TABLE t (x)")

    def interrupted() -> None:
        with transaction(connection):
            connection.execute("INSERT INTO t VALUES (1)")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
