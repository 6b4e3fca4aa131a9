"""The command line as its users run it: outputs, exit codes, what is imported when."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

EMTOOLS = Path(sys.executable).parent / "emtools"
SAMPLES = Path(__file__).parent.parent / "sample_images"
HRTEM = SAMPLES / "pbs_hrtem_001.mrc"


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
    return subprocess.run([str(EMTOOLS), *map(str, arguments)], capture_output=True, text=True,
                          env=environment, check=False, timeout=300, **options)


def test_help_lists_the_measurements_and_starts_without_the_slow_libraries():
    assert "lattice" in run("--help").stdout
    assert "chains" in run("--help").stdout
    script = ("import sys; from emtools.cli import build; build(['--help']); "
              "print([m for m in ('pandas', 'matplotlib', 'hyperspy', 'pint', 'numba', 'scipy',"
              " 'dask', 'rsciio', 'emtools.measure.chains') if m in sys.modules])")
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                            check=True).stdout
    assert loaded.strip() == "[]"


def test_importing_emtools_loads_no_other_library():
    script = ("import sys, emtools; "
              "print([m for m in ('numpy', 'pandas', 'pint') if m in sys.modules])")
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                           check=True).stdout
    assert shown.strip() == "[]"


def test_version():
    import emtools

    assert run("--version").stdout.strip() == emtools.__version__


def test_info_shows_every_signal_as_table_and_as_json():
    shown = run("info", SAMPLES / "pbs_eds.hspy")
    assert shown.returncode == 0
    assert "HAADF" in shown.stdout
    assert "keV" in shown.stdout
    lines = run("info", SAMPLES / "pbs_eds.hspy", "--json").stdout.splitlines()
    signals = [json.loads(line) for line in lines]
    assert {signal["signal"] for signal in signals} == {"EDS", "HAADF"}


def test_json_is_one_object_for_each_image_and_line():
    done = run("lattice", HRTEM, HRTEM, "--phases", "PbS,CuInS2", "--json")
    assert done.returncode == 0
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(results) == 2
    for result in results:
        assert set(result) == {"measurement", "source", "parameters", "summary", "tables"}
        assert result["parameters"]["phases"] == ["PbS", "CuInS2"]
        assert len(result["source"]["sha256"]) == 64
    rows = results[0]["tables"]["reflections"]
    assert {row["phase"] for row in rows} == {"PbS"}


def test_output_folder_gets_tables_and_pictures(tmp_path):
    assert run("chains", SAMPLES / "pbs_chains_detail.hspy", "-o", tmp_path).returncode == 0
    endings = {".".join(path.name.rsplit(".", 3)[1:]) for path in tmp_path.iterdir()}
    assert {"chains.chains.csv", "chains.gaps.csv", "chains.dots.csv",
            "chains.overlay.png"} <= endings


def test_a_bad_file_among_good_ones_is_listed_at_the_end(tmp_path):
    broken = tmp_path / "broken.dm4"
    broken.write_bytes(b"not a micrograph")
    done = run("lattice", broken, HRTEM, "--json")
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 1
    assert "broken.dm4" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("arguments", [
    ("lattice", HRTEM, "--no-such-option"),
    ("lattice",),
    ("no-such-command",),
    ("lattice", HRTEM, "--phases", "Unobtainium"),
    ("lattice", HRTEM, "--false-alarm-rate", "2"),
    ("chains", HRTEM, "--contrast", "grey"),
    ("lattice", HRTEM, "--pixel-size-nm", "-1"),
    ("batch", "no/such/folder", "-o", "out"),
])
def test_wrong_usage_is_exit_code_2_in_plain_words(arguments, tmp_path):
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


def test_a_pixel_size_of_the_user_counts(tmp_path):
    plain = json.loads(run("chains", SAMPLES / "pbs_chains_uncalibrated.png", "--json").stdout)
    given = json.loads(run("chains", SAMPLES / "pbs_chains_uncalibrated.png", "--json",
                           "--pixel-size-nm", "0.5").stdout)
    assert plain["summary"]["unit"] == "px"
    width = given["tables"]["chains"][0]
    assert abs(width["width_nm"] - 4.5) < 0.2


def test_signal_and_frame_choose_the_picture(tmp_path):
    image = tifffile.imread(SAMPLES / "pbs_chains_banner.tif")[:256, :256]
    stack = tmp_path / "stack.tif"
    tifffile.imwrite(stack, np.stack([np.zeros_like(image), image]), imagej=True,
                     metadata={"axes": "TYX"})
    assert run("chains", stack, "--json").returncode == 1
    second = run("chains", stack, "--frame", "1", "--json")
    assert second.returncode == 0
    assert run("chains", stack, "--frame", "7").returncode == 2
    chosen = run("chains", SAMPLES / "pbs_eds.hspy", "--signal", "HAADF", "--json")
    assert json.loads(chosen.stdout)["source"]["signal"] == "HAADF"


def test_simulated_files_come_with_their_truth(tmp_path):
    target = tmp_path / "test.tif"
    done = run("simulate", "chains", "-o", target, "--shape", "256,256", "--n-chains", "2",
               "--n-dots", "5,8")
    assert done.returncode == 0
    found = json.loads(run("chains", target, "--json").stdout)
    truth = (tmp_path / "test.truth.chains.csv").read_text().splitlines()
    assert len(found["tables"]["chains"]) == len(truth) - 1 == 2
    assert run("simulate", "crystal", "-o", tmp_path / "c.hspy", "--phase", "Au").returncode == 0
    assert run("simulate", "crystal", "-o", tmp_path / "c.docx").returncode == 2


@pytest.mark.parametrize("name", ["with blanks.mrc", "quote'\"s.mrc", "<script>.mrc", "µ-Å.mrc"])
def test_odd_file_names(name, tmp_path):
    odd = tmp_path / name
    shutil.copy(HRTEM, odd)
    done = run("lattice", odd, "-o", tmp_path / "out")
    assert done.returncode == 0
    assert "lattice found" in done.stdout
