"""Simulated double helices: two strands a radius beside a common axis, seen in projection."""

from __future__ import annotations

import math

import numpy as np
import pytest

from emtools.errors import ParameterError
from emtools.simulate import chains

STRAIGHT = {"shape": (512, 512), "n_chains": 0, "helices": 1, "persistence_length_nm": math.inf,
            "gap_std_nm": 0.0, "diameter_std_nm": 0.0}


def strands(truth):
    dots = truth["dots"]
    return [dots[dots.chain == chain][["y_nm", "x_nm"]].to_numpy() for chain in (1, 2)]


def about_the_axis(truth):
    """Place along the straight axis and offset from it, of the dots of both strands."""
    both = strands(truth)
    points = np.vstack(both)
    # The axis is that of the truth's mean direction: both strands about it cancel.
    direction = np.linalg.svd(points - points.mean(axis=0))[2][0]
    normal = np.array([-direction[1], direction[0]])
    return [((one - points.mean(axis=0)) @ direction, (one - points.mean(axis=0)) @ normal)
            for one in both]


def test_strands_swing_about_the_axis_with_pitch_and_radius():
    _, truth = chains(**STRAIGHT, helix_pitch_nm=50.0, helix_radius_nm=6.0, helix_turns=4.0, rng=2)
    both = about_the_axis(truth)
    phases = []
    for s, offset in both:
        waves = np.column_stack([np.cos(2 * np.pi * s / 50), np.sin(2 * np.pi * s / 50),
                                 np.ones_like(s), s])
        fit, residual, *_ = np.linalg.lstsq(waves, offset, rcond=None)
        assert np.hypot(*fit[:2]) == pytest.approx(6.0, abs=0.1)
        assert np.sqrt(residual[0] / len(s)) < 0.1
        phases.append(np.arctan2(fit[1], fit[0]))
    assert np.cos(phases[0] - phases[1]) == pytest.approx(-1.0, abs=0.01)
    # Evenly spaced along the curve in space: 5.5 nm a dot, seen shorter along the axis.
    expected = 5.5 / np.hypot(1, 2 * np.pi * 6 / 50)
    for s, _ in both:
        assert np.abs(np.diff(s)) == pytest.approx(expected, abs=0.02)


def test_truth_names_the_helix():
    _, truth = chains(shape=(700, 700), n_chains=2, n_dots=(5, 8), helices=2, rng=1)
    table = truth["chains"]
    assert table.helix.tolist() == [0, 0, 1, 1, 2, 2]
    assert table.helix_pitch_nm.tolist()[2:] == [60.0] * 4
    assert table.helix_radius_nm.tolist()[2:] == [4.0] * 4
    assert table.helix_pitch_nm[:2].isna().all()
    assert (table.n_crossings[2:].between(5, 7)).all()
    for chain in table.chain:  # gaps, as seen, add up with the dots to the length
        dots, gaps = (truth[name].query(f"chain == {chain}") for name in ("dots", "gaps"))
        whole = dots.length_nm.sum() + gaps.gap_nm.sum()
        assert table.length_nm[chain - 1] == pytest.approx(whole, rel=1e-6)


def test_overlapping_dots_add_their_thickness():
    image, truth = chains(**STRAIGHT, counts=None, film=0.0, background=0.0, blur_nm=0.0,
                          brightness_std=0.0, helix_turns=1.5, rng=3)
    volume = image.load().sum() * 0.5**2 * 4.5  # the ideal image is 1 at 4.5 nm
    assert volume == pytest.approx((np.pi / 6 * truth["dots"].diameter_nm**3).sum(), rel=2e-3)
    assert image.load().max() > 1.5


def test_no_helix_leaves_everything_as_it_was():
    options = {"shape": (300, 300), "n_chains": 2, "n_dots": (5, 8), "isolated_dots": 2, "rng": 5}
    plain, truth = chains(**options)
    other, same = chains(**options, helices=0, helix_pitch_nm=20.0, helix_radius_nm=9.0,
                         helix_turns=9.0)
    assert plain.load().tobytes() == other.load().tobytes()
    assert all(truth[name].equals(same[name]) for name in truth)
    assert "helix" not in truth["chains"]


def test_chains_stay_where_they_were_beside_a_helix():
    options = {"shape": (600, 600), "n_chains": 2, "n_dots": (5, 8), "rng": 5}
    alone, beside = (chains(**options, helices=n)[1]["dots"] for n in (0, 1))
    assert beside[["y_nm", "x_nm"]].iloc[: len(alone)].equals(alone[["y_nm", "x_nm"]])
    helix, rest = beside[beside.chain > 2], beside[beside.chain <= 2]
    apart = np.linalg.norm(helix[["y_nm", "x_nm"]].to_numpy()[:, None]
                           - rest[["y_nm", "x_nm"]].to_numpy()[None], axis=-1)
    assert apart.min() > 4.5 + 2.0


@pytest.mark.parametrize("options", [
    {"helix_pitch_nm": 0.0}, {"helix_radius_nm": -1.0}, {"helix_turns": 0.0},
    {"shape": (64, 64)}, {"helix_turns": 0.01},
])
def test_impossible_helices(options):
    with pytest.raises(ParameterError):
        chains(**{"n_chains": 0, "helices": 1, **options})
