"""Simulated chains: bodies and gaps are where the truth says."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from emtools.errors import ParameterError
from emtools.simulate import chains
from emtools.simulate._walk import Recipe

CLEAN = {"counts": None, "film": 0.0, "background": 0.0, "blur_nm": 0.0, "brightness_std": 0.0}


def straight(**options):
    """One straight chain without noise or blur."""
    defaults = {"shape": (500, 500), "pixel_size_nm": 0.1, "n_chains": 1, "n_dots": (5, 5),
                "persistence_length_nm": math.inf, "rng": 4}
    return chains(**{**defaults, **CLEAN, **options})


@pytest.mark.parametrize("shape", ["sphere", "superellipsoid", "cylinder", "cube"])
def test_every_body_has_its_extent_and_place(shape):
    image, truth = straight(dot_shape=shape, elongation=1.3)
    labels, number = ndimage.label(image.load() > 0)
    assert number == 5
    for row in truth["dots"].itertuples():
        inside = labels[round(row.y_nm / 0.1), round(row.x_nm / 0.1)]
        y, x = (0.1 * values for values in np.nonzero(labels == inside))
        assert (y.mean(), x.mean()) == pytest.approx((row.y_nm, row.x_nm), abs=0.02)
        angle = np.radians(truth["chains"].orientation_deg[0])
        along = x * np.cos(angle) - y * np.sin(angle)
        across = x * np.sin(angle) + y * np.cos(angle)
        assert np.ptp(along) == pytest.approx(row.length_nm, abs=0.2)
        assert np.ptp(across) == pytest.approx(row.width_nm, abs=0.2)


def test_volume_is_that_of_the_bodies():
    image, truth = straight()
    volume = image.load().sum() * 0.1**2 * 4.5  # the ideal image is 1 at 4.5 nm
    expected = (np.pi / 6 * truth["dots"].diameter_nm**3).sum()
    assert volume == pytest.approx(expected, rel=1e-3)


def test_gaps_and_length_along_a_straight_chain():
    image, truth = straight(gap_nm=1.5, gap_std_nm=0.3)
    chain = truth["chains"].iloc[0]
    angle = np.radians(chain.orientation_deg)
    y, x = (0.1 * values for values in np.nonzero(image.load() > 0))
    along = x * np.cos(angle) - y * np.sin(angle)
    assert np.ptp(along) == pytest.approx(chain.length_nm, abs=0.2)
    dots, gaps = truth["dots"], truth["gaps"]
    assert chain.length_nm == pytest.approx(dots.length_nm.sum() + gaps.gap_nm.sum())
    assert chain.tortuosity == pytest.approx(1.0)
    assert chain.gap_nm == pytest.approx(gaps.gap_nm.mean())
    assert chain.width_nm == pytest.approx(dots.width_nm.mean())
    assert chain.width_std_nm == pytest.approx(dots.width_nm.std())
    steps = np.diff(dots[["y_nm", "x_nm"]], axis=0)
    assert chain.pitch_nm == pytest.approx(np.linalg.norm(steps, axis=1).mean())
    assert chain.aspect_ratio == pytest.approx(chain.length_nm / chain.width_nm)
    # The middle of each gap is dark, and its arc position counts from the outer edge.
    ideal = image.load()
    for row in gaps.itertuples():
        assert ideal[round(row.y_nm / 0.1), round(row.x_nm / 0.1)] == 0.0
    first = dots.length_nm[0] + gaps.gap_nm[0] / 2
    assert gaps.s_nm[0] == pytest.approx(first)


def test_axis_table_runs_from_edge_to_edge():
    _, truth = chains(rng=3)
    for row in truth["chains"].itertuples():
        axis = truth["axes"].query(f"chain == {row.chain}")
        assert axis.s_nm.iloc[0] == 0.0
        assert axis.s_nm.iloc[-1] == pytest.approx(row.length_nm)
        steps = np.hypot(np.diff(axis.y_nm), np.diff(axis.x_nm))
        assert steps.sum() == pytest.approx(row.length_nm, rel=0.01)
        assert steps.max() <= 1.0 + 1e-9


def test_orientation_is_counter_clockwise_from_the_right():
    for seed in range(5):
        image, truth = straight(rng=seed)
        y, x = np.nonzero(image.load() > 0)
        longest = np.linalg.eigh(np.cov(-y, x))[1][:, 1]
        slope = np.degrees(np.arctan2(*longest)) % 180
        difference = abs(slope - truth["chains"].orientation_deg[0])
        assert min(difference, 180 - difference) < 1.0


def test_persistence_length():
    # <cos> of the angle between bonds n apart falls as exp(-s / 2P).
    recipe = Recipe(4.5, 0.0, 1.0, 1.0, 0.0, 200.0, 0.0)
    rng = np.random.default_rng(0)
    cosines = []
    for _ in range(40):
        bonds = np.diff(recipe.strand(60, rng).centres, axis=0)
        bonds /= np.linalg.norm(bonds, axis=1)[:, None]
        cosines += (bonds[10:] * bonds[:-10]).sum(axis=1).tolist()
    assert -math.log(np.mean(cosines)) == pytest.approx(10 * 5.5 / 400, rel=0.25)


def test_border_cuts_are_clipped_and_flagged():
    seen = 0
    for seed in range(6):
        _, truth = chains(shape=(300, 300), n_chains=3, n_dots=(30, 40), border_cuts=True,
                          rng=seed)
        high = 0.5 * (300 - 0.5)
        axes, table = truth["axes"], truth["chains"]
        assert axes[["y_nm", "x_nm"]].to_numpy().min() >= -0.25 - 1e-9
        assert axes[["y_nm", "x_nm"]].to_numpy().max() <= high + 1e-9
        for row in table[table.touches_edge].itertuples():
            seen += 1
            mine = axes.query(f"chain == {row.chain}")
            ends = mine[["y_nm", "x_nm"]].to_numpy()[[0, -1]]
            margin = min(np.abs(ends + 0.25).min(), np.abs(ends - high).min())
            assert margin < 5.0
        dots = truth["dots"]
        assert dots.groupby("chain").size().drop(0, errors="ignore").min() >= 3
    assert seen > 3


def test_a_chain_of_two_is_two_dots():
    _, truth = chains(shape=(256, 256), n_chains=1, n_dots=(2, 2))
    assert len(truth["chains"]) == len(truth["gaps"]) == len(truth["axes"]) == 0
    assert truth["dots"].chain.tolist() == [0, 0]


def test_crossings_are_as_many_as_asked():
    _, truth = chains(crossings=2, n_chains=5, rng=8)
    assert truth["chains"].n_crossings.sum() == 4  # each crossing belongs to two chains
    _, truth = chains(n_chains=5, rng=8)
    assert truth["chains"].n_crossings.sum() == 0


def test_isolated_dots_keep_clear():
    _, truth = chains(isolated_dots=10, rng=2)
    dots = truth["dots"]
    assert (dots.chain == 0).sum() == 10
    places = dots[["y_nm", "x_nm"]].to_numpy()
    for index in np.flatnonzero(dots.chain == 0):
        apart = np.linalg.norm(places - places[index], axis=1)
        apart[index] = np.inf
        assert (apart - dots.diameter_nm.max()).min() > 2.0


def test_one_number_of_dots_is_no_range():
    with pytest.raises(ParameterError, match="n_dots: 5 is not a range"):
        chains(n_dots=5)


def test_numbers_of_dots_per_chain():
    _, truth = chains(n_chains=3, n_dots=(5, 9, 14), shape=(512, 512))
    assert truth["chains"].n_dots.tolist() == [5, 9, 14]


def test_sizes_have_the_spread_asked_for():
    _, truth = chains(n_chains=0, isolated_dots=300, diameter_nm=5.0, diameter_std_nm=0.4, rng=1)
    assert truth["dots"].diameter_nm.mean() == pytest.approx(5.0, abs=0.08)
    assert truth["dots"].diameter_nm.std() == pytest.approx(0.4, rel=0.15)


def test_poisson_statistics_of_the_ground():
    image, _ = chains(n_chains=0, film=0.0, background=0.5, counts=80.0, shape=(400, 400))
    data = image.load()
    assert data.mean() == pytest.approx(40, rel=0.01)
    assert data.var() == pytest.approx(40, rel=0.02)


def test_tem_is_dark_on_bright_with_fresnel_fringes():
    image, truth = straight(modality="TEM", defocus_nm=300.0, background=0.3)
    data = image.load()
    row = truth["dots"].iloc[2]
    assert data[round(row.y_nm / 0.1), round(row.x_nm / 0.1)] < 0.85
    assert np.median(data) == pytest.approx(1.0, abs=0.03)
    in_focus, _ = straight(modality="TEM", defocus_nm=0.0, background=0.3)
    assert data.max() > in_focus.load().max() + 0.02  # bright fringe of underfocus


def test_lattice_is_attached_along_the_chain():
    image, truth = chains(shape=(512, 512), pixel_size_nm=0.04, n_chains=1, n_dots=(3, 3),
                          lattice="PbS", lattice_tilt_deg=0.0, rng=4,
                          persistence_length_nm=math.inf, **{**CLEAN, "blur_nm": 0.1})
    angles = truth["angles"][truth["angles"].hkl.isin(["2 0 0", "-2 0 0"])]
    assert len(angles) == 3
    assert angles.angle_deg.to_numpy() == pytest.approx(0.0, abs=1e-6)
    dot = truth["dots"].iloc[1]
    y, x = (np.arange(n) * 0.04 for n in image.shape)
    inside = np.hypot(y[:, None] - dot.y_nm, x - dot.x_nm) < dot.diameter_nm / 2
    data = np.where(inside, image.load(), 0.0)

    def amplitude(k, degrees):
        ky, kx = -k * np.sin(np.radians(degrees)), k * np.cos(np.radians(degrees))
        left, right = np.exp(-2j * np.pi * ky * y), np.exp(-2j * np.pi * kx * x)
        return 2 * abs(left @ data @ right) / inside.sum()

    rows = truth["reflections"].query(f"grain == {dot['dot']:.0f}").nlargest(2, "amplitude")
    for row in rows.itertuples():
        right = amplitude(row.k_per_nm, row.angle_deg)
        # A ball's mean thickness is two thirds of its greatest.
        assert right == pytest.approx(2 / 3 * row.amplitude, rel=0.05)
        assert amplitude(row.k_per_nm, row.angle_deg + 15) < 0.2 * right


def test_grain_numbers_are_dot_numbers():
    _, truth = chains(shape=(400, 400), pixel_size_nm=0.08, n_chains=1, n_dots=(4, 4),
                      lattice="PbS", isolated_dots=1)
    assert truth["grains"].grain.tolist() == truth["dots"]["dot"].tolist()
    assert set(truth["angles"].grain) == set(truth["dots"].query("chain > 0")["dot"])


def test_banner_is_burnt_in_and_can_be_masked():
    plain, _ = chains(shape=(400, 400), n_chains=2, rng=6)
    bare, truth = chains(shape=(400, 400), n_chains=2, banner="unmasked", rng=6)
    masked, _ = chains(shape=(400, 400), n_chains=2, banner="masked", rng=6)
    assert plain.mask is None
    assert bare.mask is None
    assert masked.mask is not None
    assert np.array_equal(bare.load(), masked.load())
    strip = ~masked.mask[:, 0]
    assert 20 <= strip.sum() <= 40
    assert truth["dots"].y_nm.max() < 0.5 * (400 - strip.sum())
    banner = bare.load()[strip]
    bar = (banner == banner.max()).sum(axis=1).max()
    assert bar * 0.5 >= 20.0  # nm; the bar's rows are its longest white runs
    runs = np.diff(np.flatnonzero(np.diff(np.r_[0, (banner[len(banner) // 2] == banner.max()), 0])))
    assert 40 in runs  # 20 nm at 0.5 nm a pixel


OPTIONS = {
    "shape": (600, 500), "pixel_size_nm": 0.4, "n_chains": 2, "n_dots": (6, 7),
    "isolated_dots": 3, "diameter_nm": 6.0, "diameter_std_nm": 0.5, "elongation": 1.5,
    "dot_shape": "cube", "gap_nm": 1.5, "gap_std_nm": 0.3, "persistence_length_nm": 80.0,
    "curvature_per_nm": 0.005, "crossings": 1, "border_cuts": True, "blobs": 2, "lattice": "PbS",
    "modality": "TEM", "contrast": 0.5, "brightness_std": 0.3, "blur_nm": 1.0,
    "background": 0.6, "background_gradient": 0.3, "film": 0.2, "counts": 40.0, "read_noise": 4.0,
    "line_noise": 0.1, "scan_noise_nm": 0.3, "banner": "masked", "rng": 1, "helices": 1,
}
DEPENDENT = {
    "defocus_nm": ({"modality": "TEM"}, 50.0),
    "zone_axis": ({"lattice": "PbS"}, (1, 1, 0)),
    "lattice_tilt_deg": ({"lattice": "PbS"}, 20.0),
    "lattice_orientation": ({"lattice": "PbS"}, "random"),
    "helix_pitch_nm": ({"helices": 1}, 40.0),
    "helix_radius_nm": ({"helices": 1}, 6.0),
    "helix_turns": ({"helices": 1}, 2.0),
    "clearance_nm": ({"n_chains": 20, "border_cuts": True, "pixel_size_nm": 0.5}, 12.0),
}


@pytest.mark.parametrize("name", [*OPTIONS, *DEPENDENT])
def test_every_option_has_an_effect(name):
    basis = {"shape": (512, 512), "n_chains": 3, "n_dots": (5, 6)}
    more, value = DEPENDENT.get(name, ({}, OPTIONS.get(name)))
    if name in ("lattice", "zone_axis", "lattice_tilt_deg", "lattice_orientation"):
        more = {**more, "pixel_size_nm": 0.08, "n_chains": 1}
    if name in ("crossings", "border_cuts"):
        more = {"n_dots": (35, 40)}
    plain, _ = chains(**{**basis, **more})
    changed, _ = chains(**{**basis, **more, name: value})
    assert plain.shape != changed.shape or not np.array_equal(plain.load(), changed.load())


def test_no_option_was_forgotten():
    assert set(inspect.signature(chains).parameters) == set(OPTIONS) | set(DEPENDENT)


def test_same_seed_same_bits():
    first, truth = chains(shape=(256, 256), n_chains=2, n_dots=(4, 6), rng=11)
    second, again = chains(shape=(256, 256), n_chains=2, n_dots=(4, 6), rng=11)
    assert first.load().tobytes() == second.load().tobytes()
    assert all(truth[name].equals(again[name]) for name in truth)


def test_what_is_impossible_is_a_typed_error():
    for options in ({"diameter_nm": 0.0}, {"gap_nm": -1.0}, {"dot_shape": "star"},
                    {"modality": "SEM"}, {"n_dots": (5, 3)}, {"crossings": 6},
                    {"shape": (64, 64), "n_dots": (50, 50)}, {"modality": "TEM", "contrast": 1.0},
                    {"blur_nm": -1.0}, {"pixel_size_nm": 0.0}):
        with pytest.raises(ParameterError):
            chains(**options)


@pytest.mark.parametrize("blur_nm", [0.1, 0.3, 1.0])
def test_blur_has_the_width_asked_for_also_below_a_pixel(blur_nm):
    options = {**CLEAN, "n_chains": 0, "isolated_dots": 1, "shape": (96, 96)}
    variances = []
    for blur in (0.0, blur_nm):
        data = chains(**{**options, "blur_nm": blur})[0].load().astype(float)
        assert data.min() >= 0.0
        x = 0.5 * np.arange(96)
        profile = data.sum(axis=0) / data.sum()
        variances.append((profile * x**2).sum() - (profile * x).sum() ** 2)
    assert variances[1] - variances[0] == pytest.approx((blur_nm / 2.3548) ** 2, rel=0.02)


@pytest.mark.parametrize("orientation", ["chain", "random"])
def test_lattices_that_are_not_attached(orientation):
    options = {"shape": (600, 900), "pixel_size_nm": 0.1, "n_chains": 2, "n_dots": (6, 6),
               "lattice": "PbS", "lattice_tilt_deg": 3.0, "rng": 2}
    image, truth = chains(lattice_orientation=orientation, **options)
    _, attached = chains(**options)
    pd.testing.assert_frame_equal(truth["dots"], attached["dots"])  # the same bodies
    angles = truth["angles"][truth["angles"].hkl.str.fullmatch("-?2 0 0|0 -?2 0")]
    spread = angles.groupby(["chain", "grain"]).angle_deg.min().groupby("chain").std()
    assert (spread < 6.0).all() == (orientation == "chain")
    assert angles.groupby(["chain", "grain"]).angle_deg.min().max() > 20.0
    assert image.shape == (600, 900)


def test_an_unknown_orientation_is_refused():
    with pytest.raises(ParameterError, match="lattice_orientation"):
        chains(lattice="PbS", lattice_orientation="sideways")
