"""Essentials of the lattice measurement's validation, in small: benchmarks/validate_lattice.py."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from emtools import lattice
from emtools.model.image import plane_image
from emtools.simulate import blank

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def studies():
    """The studies, which are no part of the package."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from lattice_validation import coverage, physics, scoring
        from lattice_validation.model import Setting
        yield coverage, physics, scoring, Setting
    finally:
        sys.path.remove(str(BENCHMARKS))


def test_false_alarms_on_small_frames_of_noise():
    hits = 0
    for seed in range(200):
        data = np.random.default_rng(seed).standard_normal((80, 80)).astype(np.float32)
        found = lattice(plane_image(data, 0.05), false_alarm_rate=0.05)
        hits += len(found.tables["reflections"]) > 0
    # 200 trials at 0.05: 19 or more have a probability of 0.5 %.
    assert hits < 19


def test_intervals_hold_the_truth_and_errors_are_near_the_bound(studies):
    coverage, _, _, setting = studies
    rows = []
    for trial in range(30):
        made = setting(snr=(12.0, 20.0, 40.0, 100.0)[trial % 4], pixel_nm=(0.02, 0.05)[trial % 2],
                       domain_nm=(5.0, 8.0, 12.0)[trial % 3],
                       outline=("ball", "disc", "frame")[trial % 3], coloured=trial % 4 == 1,
                       phase=("PbS", "Au", "Si", "CuInS2")[trial % 4], turn_deg=11.0 * trial)
        rows += coverage.trial((made, np.random.SeedSequence([77, trial])))
    seen = [row for row in rows if row["seen"]]
    error = np.array([row["error_nm"] for row in seen])
    sigma = np.array([row["sigma_nm"] for row in seen])
    bound = np.array([row["bound_nm"] for row in seen])
    assert len(seen) > 0.8 * len(rows)
    assert np.mean(np.abs(error / sigma) < 1.96) >= 0.9
    assert np.sqrt(np.mean((error / bound) ** 2)) < 1.4
    assert abs(np.mean(error / sigma)) < 1 / 3
    assert sum(row["false"] for row in rows) == 0


@pytest.mark.parametrize("kind", ["amorphous", "stripes", "step", "blobs"])
@pytest.mark.parametrize("modality", ["HAADF", "TEM"])
def test_no_reflections_where_there_is_no_lattice(kind, modality):
    image, _ = blank(kind, shape=(256, 256), pixel_size_nm=0.04, modality=modality, rng=3)
    assert len(lattice(image).tables["reflections"]) == 0


@pytest.mark.parametrize("turn", [10.0, 20.0, 45.0])
def test_crystals_on_top_of_each_other_stay_two(studies, turn):
    _, physics, scoring, _ = studies
    image, true, _ = physics._moire(turn)(np.random.default_rng(1))
    tables = lattice(image).tables
    found = tables["reflections"]
    apart = scoring.apart(scoring.wave_vectors(found), scoring.wave_vectors(true))
    assert (apart.min(axis=0) < 0.02).all()
    assert len(found) == 4
    assert len(tables["grains"]) == 2
