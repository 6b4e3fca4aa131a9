"""The sample images are what their script makes, and open with their calibration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "sample_images"
SCRIPT = FOLDER / "make_samples.py"


def test_files_are_reproduced_byte_for_byte(tmp_path):
    made = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True,
                          check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    (tmp_path / "README.md").write_text("changed", encoding="utf-8")
    other = subprocess.run([sys.executable, str(SCRIPT), "--check", "--into", str(tmp_path)],
                           capture_output=True, text=True, check=False)
    assert other.returncode == 1
    assert "differs: README.md" in other.stdout


def test_folder_is_small_and_has_at_least_eight_images():
    images = [file for file in FOLDER.iterdir()
              if file.suffix in {".tif", ".hspy", ".emd", ".mrc", ".png"}]
    assert len(images) >= 8
    assert sum(file.stat().st_size for file in FOLDER.rglob("*")) < 8e6


def test_every_image_is_in_the_readme_and_has_its_truth():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    for file in FOLDER.iterdir():
        if file.suffix in {".tif", ".hspy", ".emd", ".mrc", ".png"}:
            assert f"`{file.name}`" in text
            tables = list((FOLDER / "truth").glob(f"{file.stem}.*.csv"))
            assert tables
            assert all(len(pd.read_csv(table)) for table in tables)


@pytest.mark.parametrize(("name", "pixel_size_nm", "shapes"), [
    ("pbs_chains_overview.tif", 0.5, [(1024, 1024)]),
    ("pbs_chains_detail.hspy", 0.1, [(640, 640)]),
    ("pbs_chains_banner.tif", 0.5, [(800, 768)]),  # read from its bar
    ("pbs_chains_tem.emd", 0.25, [(640, 640)]),
    ("pbs_dots.emd", 0.3, [(512, 512)]),
    ("pbs_hrtem_001.mrc", 0.03, [(512, 512)]),
    ("pbs_chain_lattice.hspy", 0.04, [(512, 768)]),
    ("cuins2_eds.hspy", 0.8, [(48, 48, 1024), (48, 48)]),
    ("pbs_eds.hspy", 0.8, [(48, 48, 1024), (48, 48)]),
    ("pbs_chains_uncalibrated.png", None, [(512, 512)]),
])
def test_samples_open_with_their_calibration(name, pixel_size_nm, shapes):
    from emtools.io import read

    images = read(FOLDER / name)
    assert sorted(image.shape for image in images) == sorted(shapes)
    for image in images:
        if pixel_size_nm is None:
            assert image.calibration().unit == "px"
        else:
            assert image.pixel_size("nm") == pytest.approx((pixel_size_nm,) * 2)
