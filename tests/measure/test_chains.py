"""Widths, lengths, gaps and dots of simulated chains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from emtools import chains, simulate
from examples import matched, pulls


def measured(**options):
    """Result and truth of simulated chains; `measure` holds the measurement's parameters."""
    parameters = options.pop("measure", {})
    image, truth = simulate.chains(**{"shape": (384, 384), "n_chains": 2, "n_dots": (6, 8),
                                      **options})
    return chains(image, **parameters), truth


def assert_true(result, truth, columns, sigmas=4.0):
    """Every chain is found, and its columns lie within so many of their errors of the truth."""
    assert len(result.tables["chains"]) == len(truth["chains"])
    off = pulls(result.tables, truth, "chains")
    assert len(off) == len(truth["chains"])
    for column in columns:
        assert off[column].abs().max() < sigmas, (column, off[column].tolist())


# ---- coverage -----------------------------------------------------------------------------------


def test_errors_cover_the_truth():
    """Pulls of widths, lengths, gaps and diameters over twelve pictures."""
    collected = {}
    for seed in range(12):
        result, truth = measured(counts=[20.0, 50.0, 200.0][seed % 3], rng=seed,
                                 gap_nm=[0.8, 1.2][seed % 2], diameter_nm=4.0 + 0.1 * seed)
        assert len(result.tables["chains"]) == 2
        for table in ("chains", "gaps", "dots"):
            for column, values in pulls(result.tables, truth, table).items():
                collected.setdefault(f"{table}.{column}", []).extend(values.dropna())
    for name in ("chains.width_nm", "chains.length_nm", "chains.gap_nm", "chains.aspect_ratio",
                 "gaps.gap_nm", "dots.diameter_nm"):
        values = np.abs(collected[name])
        inside = float((values < 1.96).mean())
        assert len(values) >= 20
        assert values.max() < 4.5, (name, values.max())
        assert inside >= 0.8, f"{name}: {inside:.0%} of {len(values)} within 1.96 sigma"


def test_widths_are_not_biased():
    """The mean relative error over pictures is below half a percent."""
    relative = []
    for seed in range(8):
        result, truth = measured(rng=40 + seed)
        mine, theirs = matched(result.tables, truth, "dots")
        relative += (mine.diameter_nm / theirs.diameter_nm - 1).tolist()
    assert abs(np.mean(relative)) < 0.005


@pytest.mark.parametrize("options", [
    {"pixel_size_nm": 0.25, "shape": (512, 512)},
    {"pixel_size_nm": 0.15, "shape": (700, 700), "n_chains": 1},
    {"pixel_size_nm": 0.8},
    {"diameter_nm": 12.0, "n_dots": (4, 5), "shape": (420, 420)},
    {"diameter_nm": 2.5, "diameter_std_nm": 0.1, "pixel_size_nm": 0.25},
    {"elongation": 1.6},
    {"background_gradient": 0.7},
    {"line_noise": 0.05},
    {"film": 0.15},
    {"brightness_std": 0.25},
    {"curvature_per_nm": 0.02, "shape": (420, 400)},
    {"blur_nm": 0.8},
], ids=lambda options: next(iter(options)))
def test_chains_of_many_kinds(options):
    result, truth = measured(rng=8, **options)
    assert_true(result, truth, ["width_nm", "length_nm", "gap_nm"])
    assert result.summary["regime"] == "dots resolved"
    mine, theirs = matched(result.tables, truth, "chains")
    assert mine.n_dots.tolist() == theirs.n_dots.tolist()
    turn = (mine.orientation_deg - theirs.orientation_deg + 90) % 180 - 90
    assert turn.abs().max() < 5.0
    assert mine.tortuosity.to_numpy() == pytest.approx(theirs.tortuosity.to_numpy(), rel=0.05)


@pytest.mark.parametrize("defocus_nm", [0.0, 200.0])
def test_tem_contrast(defocus_nm):
    result, truth = measured(modality="TEM", pixel_size_nm=0.3, shape=(512, 512), rng=3,
                             defocus_nm=defocus_nm)
    assert result.summary["contrast"] == "dark"
    assert_true(result, truth, ["width_nm", "length_nm", "gap_nm"], sigmas=3.0)
    # The edge lies somewhere in the fringe: that is said.
    assert (result.tables["chains"].width_err_nm > 0.03 * 4.5).all()


@pytest.mark.parametrize("counts", [60.0, 300.0, 1000.0])
def test_dots_whose_lattice_is_seen_are_found_however_clear_the_picture(counts):
    image, truth = simulate.chains(
        shape=(768, 768), pixel_size_nm=0.05, n_chains=4, n_dots=(3, 4), lattice="PbS",
        clearance_nm=1.5, blur_nm=0.1, counts=counts, background=0.3, rng=1)
    result = chains(image)
    assert len(result.tables["chains"]) == 4
    assert len(result.tables["dots"]) == len(truth["dots"])


def test_contrast_is_found_without_a_modality():
    for modality, contrast in (("HAADF", "bright"), ("TEM", "dark")):
        image, truth = simulate.chains(shape=(384, 384), pixel_size_nm=0.4, n_chains=2,
                                       n_dots=(5, 6), modality=modality, rng=3)
        unknown = replace(image, acquisition=replace(image.acquisition, modality=None))
        result = chains(unknown)
        assert result.summary["contrast"] == contrast
        assert len(result.tables["chains"]) == len(truth["chains"])


# ---- gaps ---------------------------------------------------------------------------------------


def test_gaps_that_are_not_resolved_have_a_limit():
    result, truth = measured(gap_nm=0.15, gap_std_nm=0.05, n_dots=(8, 10), blur_nm=0.8, rng=8)
    gaps = result.tables["gaps"]
    open_ = gaps[~gaps.resolved]
    assert len(open_)
    assert (open_.gap_limit_nm > 0).all()
    assert gaps[gaps.resolved].gap_limit_nm.isna().all()
    mine, theirs = matched(result.tables, truth, "gaps")
    unresolved = ~mine.resolved
    covered = theirs.gap_nm[unresolved] < mine.gap_limit_nm[unresolved]
    assert covered.mean() > 0.85  # 95 % limits
    # What is called resolved is no noise: three of its errors above zero.
    resolved = gaps[gaps.resolved]
    assert (resolved.gap_nm > 3 * resolved.gap_err_nm).all()


def test_gap_mean_of_a_censored_chain_is_not_biased_upwards():
    """Unresolved gaps count: the mean of the resolved ones alone would be too large."""
    off = []
    for seed in range(5):
        result, truth = measured(gap_nm=0.3, gap_std_nm=0.15, n_dots=(9, 10), blur_nm=0.6,
                                 rng=60 + seed)
        off += pulls(result.tables, truth, "chains").gap_nm.dropna().tolist()
    assert len(off) >= 5
    assert np.abs(off).max() < 4.0


def test_gap_positions_count_from_the_corner():
    result, truth = measured(rng=5, n_chains=1, persistence_length_nm=np.inf)
    gaps, dots = result.tables["gaps"], result.tables["dots"]
    assert gaps.s_nm.is_monotonic_increasing
    assert dots.chain.eq(1).all()
    first, last = dots[["y_nm", "x_nm"]].to_numpy()[[0, -1]]
    assert np.hypot(*first) <= np.hypot(*last)
    assert gaps.s_nm.iloc[0] == pytest.approx(dots.length_nm.iloc[0] + 0.5 * gaps.gap_nm.iloc[0],
                                              abs=0.3)
    assert gaps.s_nm.iloc[-1] < truth["chains"].length_nm[0]
    axis = result.tables["axes"]
    assert axis.s_nm.is_monotonic_increasing


def test_wide_gaps_end_a_chain():
    result, truth = measured(gap_nm=3.0, gap_std_nm=0.1, rng=8)
    assert len(result.tables["chains"]) == 0
    assert len(result.tables["dots"]) == len(truth["dots"])
    assert result.tables["dots"].chain.eq(0).all()
    result, truth = measured(gap_nm=3.0, gap_std_nm=0.1, rng=8, measure={"max_gap_nm": 4.0})
    assert_true(result, truth, ["width_nm", "gap_nm"])


# ---- dots, wires, overviews ---------------------------------------------------------------------


def test_isolated_dots_alone():
    result, truth = measured(n_chains=0, isolated_dots=10, rng=2)
    dots = result.tables["dots"]
    assert result.outcome == "no chains, 10 isolated dots"
    for name in ("chains", "gaps", "axes"):
        assert len(result.tables[name]) == 0
    assert dots.chain.eq(0).all()
    off = pulls(result.tables, truth, "dots")
    assert len(off) == 10
    assert off.diameter_nm.abs().max() < 4.0
    assert (dots.length_nm >= dots.width_nm).all()


def test_pairs_are_no_chain_unless_asked():
    result, _ = measured(n_dots=(2, 2), rng=2)
    assert len(result.tables["chains"]) == 0
    assert len(result.tables["dots"]) == 4
    result, _ = measured(n_dots=(2, 2), rng=2, measure={"min_dots": 2})
    assert result.tables["chains"].n_dots.tolist() == [2, 2]
    result, _ = measured(rng=2, measure={"min_dots": 20})
    assert len(result.tables["chains"]) == 0


def test_unresolved_dots_in_an_overview():
    result, truth = measured(pixel_size_nm=2.0, shape=(400, 400), n_chains=3, n_dots=(15, 30),
                             rng=1)
    assert result.summary["regime"] == "dots not resolved"
    assert_true(result, truth, ["width_nm", "length_nm", "aspect_ratio"])
    table = result.tables["chains"]
    assert table.n_dots.eq(0).all()
    assert table.gap_nm.isna().all()
    for name in ("gaps", "dots"):
        assert len(result.tables[name]) == 0
    # Two pixels across: what is not seen stands in the error.
    assert (table.width_err_nm > 0.2).all()


def test_the_pitch_by_the_spectrum_agrees_with_that_of_the_dots():
    result, truth = measured(shape=(512, 512), n_dots=(20, 25), rng=2)
    by_spectrum, by_dots = (result.summary[name] for name in ("pitch_by_spectrum", "mean_pitch"))
    assert abs(by_spectrum.value - by_dots.value) < 4 * by_spectrum.err < 0.3
    true = np.concatenate([np.diff(rows.s_nm) for _, rows in truth["gaps"].groupby("chain")])
    assert result.summary["pitch_variation_percent"] == pytest.approx(
        100 * true.std() / true.mean(), rel=0.3)


def test_the_pitch_of_dots_that_are_not_resolved_is_seen_in_the_spectrum():
    result, truth = measured(shape=(512, 512), pixel_size_nm=2.0, n_chains=3, n_dots=(30, 40),
                             counts=400.0, rng=4)
    assert result.summary["regime"] == "dots not resolved"
    pitch = result.summary["pitch_by_spectrum"]
    assert abs(pitch.value - truth["chains"].pitch_nm.mean()) < 4 * pitch.err < 0.4


def test_wires():
    result, truth = measured(n_dots=(25, 30), gap_nm=0.0, gap_std_nm=0.0, diameter_std_nm=0.0,
                             dot_shape="cylinder", shape=(512, 512), rng=1)
    assert_true(result, truth, ["width_nm", "length_nm"])
    assert result.tables["chains"].n_dots.eq(0).all()
    assert (result.tables["chains"].width_err_nm < 0.5).all()
    assert "pitch_by_spectrum" not in result.summary


def test_chains_on_contamination_are_measured_above_it():
    for seed in (0, 1):
        result, truth = measured(shape=(768, 768), n_chains=6, n_dots=(10, 20), blobs=5, rng=seed)
        assert_true(result, truth, ["width_nm", "length_nm"], sigmas=4.5)


def test_contamination_is_left_out():
    for seed in (3, 5, 7):  # chains clear of the blobs
        result, truth = measured(shape=(512, 512), blobs=2, rng=seed)
        found, true = result.tables["chains"], truth["chains"]
        assert len(found) == len(true)
        mine, theirs = matched(result.tables, truth, "chains")
        assert mine.width_nm.to_numpy() == pytest.approx(theirs.width_nm.to_numpy(), rel=0.1)
        assert result.summary["left_out_as_too_wide"] >= 1
        assert result.tables["dots"].diameter_nm.max() < 1.3 * 15.0


def test_width_limits():
    result, _ = measured(rng=8, measure={"min_width_nm": 7.0, "max_width_nm": 15.0})
    assert len(result.tables["chains"]) == 0
    result, _ = measured(rng=8, measure={"min_width_nm": 1.0, "max_width_nm": 2.0})
    assert len(result.tables["chains"]) == 0


def test_pixels_too_coarse_to_see_anything():
    result, _ = measured(rng=8)
    image, _ = simulate.chains(shape=(256, 256), n_chains=1, n_dots=(5, 5), rng=8)
    result = chains(image.calibrated(20.0, "nm"))
    assert "not measurable" in result.outcome
    assert "20" in result.outcome


# ---- frame, crossings, mask ---------------------------------------------------------------------


def test_chains_that_leave_the_frame():
    """They are flagged, and their length is that of what lies in the frame."""
    flagged, off = 0, []
    for seed in range(5):
        result, truth = measured(shape=(300, 300), n_chains=3, n_dots=(20, 25), border_cuts=True,
                                 rng=seed)
        mine, theirs = matched(result.tables, truth, "chains")
        assert not (theirs.touches_edge & ~mine.touches_edge).any()
        flagged += int(theirs.touches_edge.sum())
        off += (pulls(result.tables, truth, "chains").length_nm).tolist()
        dots = result.tables["dots"]
        inside = dots[["y_nm", "x_nm"]].to_numpy()
        margin = np.minimum(inside, 149.5 - inside).min(axis=1)
        assert dots[margin < 0.35 * 4.5].touches_edge.all()
        assert not dots[margin > 0.75 * 4.5].touches_edge.any()
    assert flagged > 5
    assert (np.abs(off) < 4.0).mean() >= 0.85


def test_crossings_are_counted_and_do_not_break_chains():
    result, truth = measured(shape=(512, 512), n_chains=3, n_dots=(20, 25), crossings=2, rng=8)
    assert_true(result, truth, ["width_nm", "length_nm"])
    mine, theirs = matched(result.tables, truth, "chains")
    assert mine.n_crossings.tolist() == theirs.n_crossings.tolist()


def test_mask_is_respected():
    image, truth = simulate.chains(shape=(384, 384), n_chains=2, n_dots=(6, 8), isolated_dots=4,
                                   rng=4)
    mask = np.ones(image.shape, dtype=bool)
    mask[:, 192:] = False
    left = chains(replace(image, mask=mask)).tables["dots"]
    assert (left.x_nm < 192 * 0.5 + 1).all()
    wanted = truth["dots"].x_nm < 192 * 0.5 - 3
    assert len(left) >= wanted.sum()
    # What is beneath the mask has no influence at all.
    hidden = image.load().copy()
    hidden[:, 192:] = 1e6
    again = chains(replace(image, data=hidden, mask=mask)).tables["dots"]
    pd.testing.assert_frame_equal(left, again, rtol=1e-6)


def test_banner_is_masked():
    image, truth = simulate.chains(shape=(384, 384), n_chains=2, n_dots=(6, 8), banner="unmasked",
                                   rng=8)
    exported = np.rint(255 * image.load() / image.load().max()).astype(np.uint8)
    result = chains(replace(image, data=exported))
    assert "banner" in result.summary["masked"]
    assert_true(result, truth, ["width_nm", "length_nm"])


def test_without_calibration_in_pixels():
    image, truth = simulate.chains(shape=(384, 384), pixel_size_nm=0.4, n_chains=2, n_dots=(6, 8),
                                   rng=8)
    result = chains(replace(image, axes=tuple(axis.in_pixels() for axis in image.axes)))
    table = result.tables["chains"]
    assert {"width_px", "length_px", "gap_px", "persistence_length_px"} <= set(table)
    assert sorted(table.width_px * 0.4) == pytest.approx(sorted(truth["chains"].width_nm), rel=0.02)
    assert sorted(table.length_px * 0.4) == pytest.approx(sorted(truth["chains"].length_nm),
                                                          rel=0.01)
    assert result.summary["mean_width"].unit == "px"


def test_means_carry_the_scale_once():
    image, _ = simulate.chains(shape=(384, 384), n_chains=2, n_dots=(6, 8), rng=8)
    sure, doubtful = (chains(image.calibrated(0.5, "nm", err=err)) for err in (0.0, 0.04))
    for table in sure.tables:
        pd.testing.assert_frame_equal(sure.tables[table], doubtful.tables[table])
    own = sure.summary["mean_width"]
    both = doubtful.summary["mean_width_with_scale"]
    assert sure.summary["mean_width_with_scale"].err == pytest.approx(own.err)
    assert both.err == pytest.approx(np.hypot(own.err, 0.04 * own.value))


def test_what_is_common_to_all_chains_does_not_average_out():
    image, truth = simulate.chains(shape=(512, 512), pixel_size_nm=0.25, n_chains=4, n_dots=(8, 12),
                                   modality="TEM", counts=400.0, rng=3)
    result = chains(image)
    rows, mean = result.tables["chains"], result.summary["mean_width"]
    # In TEM contrast the Fresnel fringe leaves 5 % of the width open, in all chains alike.
    assert len(rows) == 4
    assert mean.err > 0.9 * 0.05 * mean.value
    assert mean.err < 1.2 * rows["width_err_nm"].mean()
    assert abs(mean.value - truth["chains"]["width_nm"].mean()) < 2 * mean.err


def test_finer_pixels_give_the_same_chain():
    """Averaging inside is a matter of speed: the same sample at two magnifications."""
    coarse, _ = measured(shape=(300, 300), pixel_size_nm=0.4, rng=11, n_chains=1, counts=400.0)
    fine, _ = measured(shape=(1200, 1200), pixel_size_nm=0.1, rng=11, n_chains=1, counts=400.0)
    assert coarse.tables["chains"].width_nm[0] == pytest.approx(
        fine.tables["chains"].width_nm[0], rel=0.02)
    assert len(coarse.tables["dots"]) == len(fine.tables["dots"])


# ---- bodies that are no spheres -----------------------------------------------------------------


@pytest.mark.parametrize(("kind", "family", "elongation"), [
    ("superellipsoid", "superellipsoid (exponent 4)", 1.0), ("cube", "block", 1.0),
    ("cylinder", "rod along the chain", 1.5)])
def test_bodies_with_corners_have_their_own_widths_and_gaps(kind, family, elongation):
    result, truth = measured(shape=(640, 640), n_chains=4, n_dots=(12, 16), dot_shape=kind,
                             elongation=elongation, pixel_size_nm=0.4, rng=5)
    assert result.summary["body"] == family
    assert_true(result, truth, ["width_nm", "length_nm"])
    mine, theirs = matched(result.tables, truth, "chains")
    assert mine.width_nm.to_numpy() == pytest.approx(theirs.width_nm.to_numpy(), rel=0.02)
    assert mine.gap_nm.to_numpy() == pytest.approx(theirs.gap_nm.to_numpy(), abs=0.3)
    assert result.tables["gaps"].resolved.mean() > 0.8


def test_spheres_are_taken_for_nothing_else():
    for rng in range(3):
        result, _ = measured(rng=rng, counts=400.0)
        assert result.summary["body"] == "round top (sphere)"


# ---- double helices -----------------------------------------------------------------------------


def test_a_double_helix_is_two_rows_with_its_pitch_and_radius():
    result, truth = measured(shape=(640, 640), pixel_size_nm=0.4, n_chains=2, n_dots=(20, 30),
                             helices=1, rng=0)
    chains_found, coiled = result.tables["chains"], truth["chains"].query("helix > 0")
    strands = chains_found.query("helix > 0")
    assert len(strands) == len(coiled) == 2
    assert set(strands.helix) == {1}
    for quantity in ("pitch", "radius"):
        value, err = (strands[f"helix_{quantity}{end}_nm"].iloc[0] for end in ("", "_err"))
        true = coiled[f"helix_{quantity}_nm"].iloc[0]
        assert abs(value - true) < 4 * err < 0.6 * true
    straight = chains_found.query("helix == 0")
    assert straight.helix_pitch_nm.isna().all()
