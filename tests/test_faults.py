"""What goes wrong on a disk overnight: each costs its file, is said once, and loses nothing."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest

from emtools import ParameterError
from emtools.batch import Effort, Monitor, run, store
from emtools.batch.plan import Recipe
from emtools.io import find_files
from emtools.io.writing import write_image
from emtools.results import Results, export
from emtools.simulate import chains

RECIPE = Recipe(("chains",), pictures="none")


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("one") / "good.tif"
    image, _ = chains(shape=(128, 128), pixel_size_nm=0.5, n_chains=1, n_dots=(5, 6), rng=0)
    write_image(image, path)
    return path


def many(folder, picture, number):
    """So many files of different content."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(number):
        (folder / f"{n}.tif").write_bytes(picture.read_bytes() + bytes([n]))
    return folder


def outcome_of(folder, output):
    outcome = run(folder, output, RECIPE, Effort(2))
    return outcome, dict(outcome.failed)


def tiff_header(side):
    """A little-endian TIFF of one strip that claims side x side 16-bit pixels and holds none."""
    entries = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 16), (259, 3, 1, 1),
               (262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, side),
               (279, 4, 1, 0xFFFFFFFF)]
    return struct.pack("<4sIH", b"II*\0", 8, len(entries)) + b"".join(
        struct.pack("<HHII", *entry) for entry in entries) + bytes(4)


def mrc_header(side):
    """An MRC header that claims side x side x 1 float pixels and holds none."""
    header = np.zeros(256, "<i4")
    header[:4] = side, side, 1, 2
    header[52] = int.from_bytes(b"MAP ", "little")
    return header.tobytes()


def test_broken_files_of_each_kind_cost_themselves(picture, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    whole = picture.read_bytes()
    broken = {
        "empty.tif": b"", "truncated.tif": whole[:len(whole) // 2],
        "noise.tif": bytes(range(256)) * 9, "empty.dm4": b"", "noise.dm4": bytes(range(256)) * 9,
        "noise.emd": b"\x89HDF\r\n\x1a\n" * 50,
        "huge.tif": tiff_header(1_000_000), "huge.mrc": mrc_header(1_000_000),
        "zero.mrc": mrc_header(0), "negative.mrc": mrc_header(-7),
    }
    for name, content in broken.items():
        (folder / name).write_bytes(content)
    shutil.copy(picture, folder)
    start = time.monotonic()
    outcome, failed = outcome_of(folder, tmp_path / "out")
    assert time.monotonic() - start < 60
    assert set(failed) == set(broken)
    assert all(reason.strip() for reason in failed.values())
    assert outcome.measured == 1
    again, failed_again = outcome_of(folder, tmp_path / "out")
    assert (again.reused, failed_again) == (1, failed)


def test_links_that_lead_in_circles_end(picture, tmp_path):
    folder = many(tmp_path / "images", picture, 2)
    (folder / "sub").mkdir()
    (folder / "sub" / "up").symlink_to(folder, target_is_directory=True)
    (folder / "itself").symlink_to(folder / "itself")
    (folder / "nowhere.tif").symlink_to(folder / "missing.tif")
    os.mkfifo(folder / "pipe.tif")
    outcome, failed = outcome_of(folder, tmp_path / "out")
    assert (outcome.measured, failed) == (2, {})
    found = find_files(folder)
    assert len(found.files) == 2
    assert {path.name: why for path, why in found.left_out.items()} == {
        "itself": "a link that leads nowhere", "nowhere.tif": "a link that leads nowhere",
        "pipe.tif": "no file, but a pipe or a device"}


@pytest.mark.parametrize("name", [
    b"a\xff\xfe.tif", b"x" * 200 + b".tif", b"<script>alert(1)<script>.tif",
    b"it's \"quoted\" & spaced.tif", b"=HYPERLINK(0).tif", "π–ñ 你好.tif".encode(),
    b"new\nline.tif",
], ids=["bytes", "long", "script", "quotes", "formula", "letters", "newline"])
def test_odd_names_are_measured_and_come_back(picture, tmp_path, name):
    folder = tmp_path / "images"
    folder.mkdir()
    path = os.fsencode(folder) + b"/" + name
    shutil.copy(os.fsencode(picture), path)
    outcome, failed = outcome_of(folder, tmp_path / "out")
    assert (outcome.measured, failed) == (1, {})
    with Results(tmp_path / "out") as results:
        assert [os.fsencode(file) for file in results.files["file"]] == [name]
        for to in ("csv", "parquet", "xlsx"):
            export(results, tmp_path / to, to)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page


class Meddling(Monitor):
    """Does something when the first file is done."""

    def __init__(self, meddle):
        self.meddle = meddle

    def done(self, file):
        if self.meddle is not None:
            meddle, self.meddle = self.meddle, None
            meddle(file)


def test_files_that_vanish_while_a_batch_runs_are_said_to_be_gone(picture, tmp_path):
    folder = many(tmp_path / "images", picture, 8)

    def remove(file):
        for n in range(4, 8):
            (folder / f"{n}.tif").unlink(missing_ok=True)
        assert file.status == "measured"

    outcome = run(folder, tmp_path / "out", RECIPE, Effort(1), Meddling(remove))
    assert outcome.measured + len(outcome.failed) == 8
    assert outcome.measured >= 4
    assert len(outcome.failed) >= 2
    assert outcome_of(folder, tmp_path / "out")[0].failed == ()


def test_a_clock_that_is_set_back_confuses_nothing(picture, tmp_path, monkeypatch):
    folder = many(tmp_path / "images", picture, 3)
    outcome_of(folder, tmp_path / "out")
    times = iter(f"20{n:02}-01-01T00:00:00+00:00" for n in range(20, 0, -1))
    monkeypatch.setattr(store, "_now", lambda: next(times))
    (folder / "new.tif").write_bytes(picture.read_bytes() + b"new")
    ahead = time.time() + 1e6
    os.utime(folder / "new.tif", (ahead, ahead))
    outcome = run(folder, tmp_path / "out", RECIPE, Effort(1), settled_s=0.001)
    assert (outcome.measured, outcome.reused) == (4, 3)
    with Results(tmp_path / "out") as results:
        assert results.run == 2
        assert results.runs["finished"].iloc[-1] < results.runs["started"].iloc[0]
        assert len(results.table("chains.dots")) > 0


def without_privilege(folder, output):
    """A batch of somebody whom permissions bind; root is told to forget that they do not."""
    command = [sys.executable, "-c", "from emtools.cli import main; main()", "batch", str(folder),
               "-o", str(output), "--measure", "chains", "--pictures", "none", "--workers", "1"]
    if os.geteuid() == 0:
        bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        if shutil.which("setpriv") is None or subprocess.run(
                [*bound, "true"], check=False, capture_output=True).returncode:
            pytest.skip("root cannot give its privileges up here: setpriv is missing or refused")
        command = [*bound, *command]
    return subprocess.run(command, capture_output=True, text=True, check=False)


posix = pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")


@posix
def test_an_unreadable_file_is_said_to_be_one(picture, tmp_path):
    folder = many(tmp_path / "images", picture, 2)
    (folder / "1.tif").chmod(0)
    done = without_privilege(folder, tmp_path / "out")
    assert done.returncode == 1, done.stderr
    assert "1 images measured" in done.stdout
    assert "1.tif: cannot be read (" in done.stderr
    assert "Permission denied" in done.stderr


@posix
def test_a_read_only_output_is_one_clear_error(picture, tmp_path):
    folder, output = many(tmp_path / "images", picture, 1), tmp_path / "out"
    output.mkdir()
    output.chmod(0o555)
    done = without_privilege(folder, output)
    assert done.returncode == 2
    assert "cannot be written to" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs root, to mount a disk")
def test_a_full_disk_is_one_clear_error_and_the_next_run_goes_on(picture, tmp_path):
    folder, disk = many(tmp_path / "images", picture, 12), tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(disk)],
                             check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        (disk / "ballast").write_bytes(bytes(1_200_000))
        with pytest.raises(ParameterError, match=r"cannot be written to.*start the same command"):
            run(folder, disk / "out", RECIPE, Effort(1))
        (disk / "ballast").unlink()
        with closing(store.opened(disk / "out" / "results.sqlite")) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        outcome = run(folder, disk / "out", RECIPE, Effort(1))
        assert outcome.measured == 12
    finally:
        subprocess.run(["umount", str(disk)], check=True)
