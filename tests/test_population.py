"""Populations of chains against truth that is made up: geometry only, no images but one."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

import emtools
from emtools import chains, simulate
from emtools.errors import ParameterError
from emtools.population import (
    Frame,
    Nested,
    compare,
    compare_nested,
    length_distribution,
    nested_means,
    pair_correlation,
    population,
)
from emtools.population.differences import (
    hedges,
    holm,
    pseudo_values,
    two_estimates,
    two_samples,
)
from emtools.population.frames import pool
from emtools.population.spread import Interval, interval, ratio, spread_of
from emtools.population.tables import COMPARISON, PAIRS, POPULATION, SURVIVAL

SAMPLES = Path(__file__).resolve().parents[1] / "sample_images"
_PATH = Path(__file__).resolve().parents[1] / "benchmarks" / "validate_population.py"
_SPEC = importlib.util.spec_from_file_location("validate_population", _PATH)
assert _SPEC is not None
assert _SPEC.loader is not None
made_up = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = made_up  # its dataclasses look themselves up there
_SPEC.loader.exec_module(made_up)

SIDE, WIDTH = made_up.SIDE, made_up.WIDTH


def frames_of(kind, images, seed=0, seen=25.0, shapes=1000, **labels):
    rng = np.random.default_rng(seed)
    full = kind.filled(rng, shapes)
    density = full.density(seen)
    return full, density, [full.frame(rng, density, **labels) for _ in range(images)]


def by_name(table):
    return table.set_index("quantity")


def lines(*paths, shape=(100.0, 100.0)):
    """A frame with lines along given places."""
    tables = made_up.Tables()
    for path in paths:
        tables.add_lines(np.array(path, dtype=float), shape, np.random.default_rng(0), 0.0)
    return Frame(tables.frames(), shape)


@pytest.fixture(scope="module")
def many():
    """Rows of dots of lognormal lengths, many of them longer than the frame."""
    kind = made_up.Kind(made_up.lognormal(250.0), 400.0, dots=True, noise=0.5)
    return frames_of(kind, 12, seed=5)


@pytest.fixture(scope="module")
def summed_up(many):
    return by_name(population(many[2]))


class TestEnds:
    @pytest.mark.parametrize(("path", "ends"), [
        ([(50, 20), (50, 80)], 2),
        ([(50, 20), (50, 140)], 1),
        ([(50, -30), (50, 140)], 0),
        ([(1.0, 20), (1.0, 80)], 0),  # along the border: neither end is known
    ])
    def test_true_ends_are_those_away_from_the_border(self, path, ends):
        fine = np.linspace(*np.array(path, dtype=float), 60)
        assert pool((lines(fine),)).chains["ends"].tolist() == [ends]

    def test_a_cut_chain_is_followed_to_where_an_end_would_not_be_known(self):
        frame = lines(np.linspace((50.0, 20.0), (50.0, 140.0), 121))
        followed = pool((frame,)).chains["followed_nm"].iloc[0]
        assert followed == pytest.approx(80.0 - 0.55 * WIDTH, abs=0.01)

    def test_a_chain_that_comes_back_is_two_pieces_with_one_end_each(self):
        there = np.linspace((20.0, 60.0), (40.0, 130.0), 80)
        back = np.linspace((40.0, 130.0), (60.0, 60.0), 80)
        assert pool((lines(np.concatenate([there, back[1:]])),)).chains["ends"].tolist() == [1, 1]


class TestLengths:
    def test_median_and_mean_are_those_of_all_chains_and_naive_ones_are_not(self, many, summed_up):
        kind, _, frames = many
        true = float(np.median(kind.lengths))
        row = summed_up.loc["length"]
        assert row["median_low"] <= true <= row["median_high"]
        assert row["median"] == pytest.approx(true, rel=0.12)
        curve = length_distribution(frames)
        expected = np.minimum(kind.lengths, pool_reach(frames)).mean()
        assert row["low"] <= expected <= row["high"]
        seen = pd.concat([frame.tables["chains"] for frame in frames])
        assert seen.loc[~seen["touches_edge"], "length_nm"].median() < 0.9 * true
        assert curve["survival"].is_monotonic_decreasing
        assert (curve["low"] <= curve["survival"]).all()
        assert (curve["survival"] <= curve["high"] + 1e-12).all()

    def test_without_cut_chains_the_curve_is_the_empirical_one(self):
        frames = [lines(*(np.linspace((y, 10.0), (y, 10.0 + length), 40)
                          for y, length in zip(range(10, 95, 8), lengths, strict=False)))
                  for lengths in (range(20, 75, 5), range(22, 77, 5))]
        curve = length_distribution(frames)
        lengths = np.sort(np.concatenate([f.tables["chains"]["length_nm"] for f in frames]))
        assert curve["survival"].iloc[-1] == pytest.approx(0.0)
        np.testing.assert_allclose(curve["length_nm"].iloc[1:], np.unique(lengths))
        row = by_name(population(frames)).loc["length"]
        assert row["mean"] == pytest.approx(lengths.mean())
        assert row["spread"] == pytest.approx(lengths.std(), rel=1e-6)
        assert row["note"] == ""

    def test_chains_longer_than_the_frames_are_not_measurable_beyond(self):
        _, _, frames = frames_of(made_up.Kind(made_up.lognormal(5 * SIDE)), 6, shapes=300)
        row = by_name(population(frames)).loc["length"]
        assert np.isnan(row["median"])
        assert row["median_high"] == np.inf
        assert "not measurable beyond" in row["note"]
        assert row["mean"] < 1.5 * SIDE

    def test_chains_without_any_end_give_no_length(self):
        through = lines(np.linspace((50.0, -50.0), (50.0, 150.0), 100))
        row = by_name(population(through)).loc["length"]
        assert np.isnan(row["mean"])
        assert row["note"].startswith("not measurable: too few ends")


def pool_reach(frames):
    from emtools.population.lengths import reaches

    return reaches(pool(tuple(frames)))["length"]


class TestPopulation:
    def test_columns_are_as_declared_and_every_missing_number_has_a_reason(self, summed_up):
        assert [summed_up.index.name, *summed_up.columns] == POPULATION.names()
        missing = summed_up.loc[summed_up["mean"].isna(), "note"]
        assert missing.str.startswith("not measurable").all()

    def test_amounts_are_those_of_the_plane(self, many, summed_up):
        kind, density, _ = many
        dots = (kind.lengths.mean() - WIDTH) / made_up.PITCH + 1
        for name, true in (("number of chains", 1e6 * density),
                           ("area fraction", density * dots * np.pi / 4 * WIDTH**2)):
            row = summed_up.loc[name]
            assert row["low"] <= true <= row["high"], name

    def test_persistence_length_does_not_see_the_noise_of_the_places(self, summed_up):
        row = summed_up.loc["persistence length"]
        assert row["low"] <= 400.0 <= row["high"]
        assert row["mean"] == pytest.approx(400.0, rel=0.35)

    def test_chains_at_random_look_random(self, summed_up):
        for name in ("Clark-Evans index", "aggregation"):
            assert summed_up.loc[name, "low"] <= 1.0 <= summed_up.loc[name, "high"], name
        assert summed_up.loc["orientation order", "p_value"] > 0.01
        assert summed_up.loc["dots in chains", "mean"] == 1.0

    def test_spread_is_without_the_errors_of_measurement(self):
        rng = np.random.default_rng(2)
        values = rng.normal(5.0, 0.3, 20000) + rng.normal(0.0, 0.4, 20000)
        units = np.arange(20000) % 10
        spread = spread_of(values, np.full(20000, 0.4), np.ones(20000), units, 10)
        assert spread(np.ones((1, 10)))[0] == pytest.approx(0.3, abs=0.01)
        assert spread_of(np.full(10, 5.0), np.full(10, 0.4), np.ones(10), np.arange(10), 10)(
            np.ones((1, 10)))[0] == 0.0

    def test_the_scale_enters_once_and_by_its_power(self, many):
        _, _, frames = many
        scaled = [Frame(f.tables, f.shape_nm, scale_err=0.02) for f in frames]
        table = by_name(population(scaled))
        width, number = table.loc["width"], table.loc["number of chains"]
        assert width["mean_err_with_scale"] == pytest.approx(
            np.hypot(width["mean_err"], 0.02 * width["mean"]))
        assert number["mean_err_with_scale"] == pytest.approx(
            np.hypot(number["mean_err"], 0.04 * number["mean"]))
        ratio = table.loc["aspect ratio"]
        assert ratio["mean_err_with_scale"] == ratio["mean_err"]

    def test_of_a_single_image_the_error_is_over_its_chains_and_says_so(self, many):
        table = by_name(population(many[2][0]))
        assert (table["n_images"] <= 1).all()
        known = table["mean"].notna()
        assert table.loc[known, "note"].str.contains("one image").all()
        assert table.loc["number of chains", "mean_err"] > 0

    def test_same_input_same_output_and_tables_untouched(self, many):
        frame = many[2][0]
        before = {name: table.copy() for name, table in frame.tables.items()}
        first, second = population(many[2][:3], rng=4), population(many[2][:3], rng=4)
        pd.testing.assert_frame_equal(first, second)
        for name, table in before.items():
            pd.testing.assert_frame_equal(frame.tables[name], table)

    def test_empty_images_are_reasons_not_errors(self):
        empty = Frame(made_up.Tables().frames(), (SIDE, SIDE))
        for frames in (empty, [empty, empty]):
            table = by_name(population(frames))
            assert table.loc["number of chains", "mean"] == 0.0
            rest = table.drop(index="number of chains")
            assert rest["note"].str.startswith("not measurable").all()
            assert len(length_distribution(frames)) == 0
            assert list(length_distribution(frames)) == SURVIVAL.names()
            assert pair_correlation(frames)["g"].isna().all()

    def test_images_measured_by_the_package_are_taken(self):
        image, _ = simulate.chains(shape=(256, 256), n_chains=3, n_dots=(5, 8), rng=3)
        frame = Frame.of(image, chains(image), group="before", sample="A")
        assert frame.shape_nm == pytest.approx((128.0, 128.0))
        table = by_name(population(frame))
        assert table.loc["width", "mean"] == pytest.approx(4.5, abs=0.3)
        assert table.loc["dots in chains", "mean"] > 0.8


    def test_a_banner_is_no_part_of_the_frame(self):
        image, _ = simulate.chains(shape=(256, 256), n_chains=3, n_dots=(5, 8), rng=3)
        mask = np.ones(image.shape, dtype=bool)
        mask[:56] = False
        frame = Frame.of(replace(image, mask=mask), chains(image))
        assert frame.shape_nm == pytest.approx((100.0, 128.0))
        assert frame.origin_nm == pytest.approx((27.75, -0.25))

    def test_places_count_from_the_corner_of_the_frame(self, many):
        frame = many[2][0]
        moved = {name: table.assign(**{column: table[column] + 100.0 for column in table
                                       if column in ("y_nm", "x_nm")})
                 for name, table in frame.tables.items()}
        pd.testing.assert_frame_equal(
            population(Frame(moved, frame.shape_nm, origin_nm=(100.0, 100.0))), population(frame))


SETTINGS = settings(max_examples=4, deadline=None, derandomize=True,
                    suppress_health_check=[HealthCheck.function_scoped_fixture])
PURE = ("aspect ratio", "dots per chain", "orientation order", "area fraction", "dots in chains",
        "aggregation")


class TestSymmetries:
    @SETTINGS
    @given(st.sampled_from([0.25, 0.5, 2.0, 8.0]))
    def test_a_larger_pixel_size_scales_lengths_and_nothing_else(self, many, factor):
        frames = many[2][:4]
        one, other = by_name(population(frames)), by_name(population(
            [scaled(frame, factor) for frame in frames]))
        for name in PURE:
            assert other.loc[name, "mean"] == pytest.approx(one.loc[name, "mean"], rel=1e-6), name
        for name in ("length", "width", "pitch", "persistence length"):
            assert other.loc[name, "mean"] == pytest.approx(factor * one.loc[name, "mean"],
                                                            rel=1e-6), name
        assert other.loc["number of chains", "mean"] == pytest.approx(
            one.loc["number of chains", "mean"] / factor**2)

    @SETTINGS
    @given(st.permutations(range(4)))
    def test_the_order_of_the_images_does_not_matter(self, many, order):
        frames = many[2][:4]
        one, other = (by_name(population(of)) for of in (frames, [frames[i] for i in order]))
        for name in (*PURE, "length", "persistence length"):
            assert other.loc[name, "mean"] == pytest.approx(one.loc[name, "mean"], rel=1e-9), name

    def test_transposed_images_turn_the_director(self):
        _, _, frames = frames_of(made_up.Kind(made_up.lognormal(150.0), dots=True, aligned=15.0), 4)
        one = by_name(population(frames))
        other = by_name(population([turned(frame) for frame in frames]))
        assert one.loc["director", "low"] <= 30.0 <= one.loc["director", "high"]
        # Rows run downwards: y and x exchanged, 30 degrees become -60.
        assert other.loc["director", "mean"] == pytest.approx(
            (270.0 - one.loc["director", "mean"]) % 180.0, abs=1e-6)
        assert other.loc["length", "mean"] == pytest.approx(one.loc["length", "mean"])
        assert one.loc["orientation order", "p_value"] < 0.01
        assert one.loc["orientation order", "mean"] == pytest.approx(
            np.exp(-2 * np.radians(15.0) ** 2), abs=0.05)

    @SETTINGS
    @given(st.lists(st.floats(0.1, 50.0), min_size=2, max_size=12), st.floats(0.5, 0.99))
    def test_an_interval_holds_its_value(self, values, confidence):
        found = interval(float(np.mean(values)), np.array(values), len(values), confidence, True)
        assert isinstance(found, Interval)
        assert found.low <= found.value <= found.high


def scaled(frame, factor):
    tables = {name: table.assign(**{column: table[column] * factor for column in table
                                    if column.endswith("_nm")})
              for name, table in frame.tables.items()}
    height, width = frame.shape_nm
    return Frame(tables, (height * factor, width * factor))


def turned(frame):
    swap = {"y_nm": "x_nm", "x_nm": "y_nm"}
    tables = {name: table.rename(columns=swap) for name, table in frame.tables.items()}
    return Frame(tables, frame.shape_nm[::-1])


class TestGaps:
    def frames(self, seed, error):
        rng = np.random.default_rng(seed)
        frames = []
        for _ in range(8):
            true = rng.normal(1.0, 0.3, 60)
            gaps = made_up.gaps_table(true + rng.normal(0.0, error, 60), np.full(60, error))
            frames.append(Frame(made_up.Tables().frames() | {"gaps": gaps}, (SIDE, SIDE)))
        return frames

    def test_resolved_gaps_give_their_mean(self):
        frames = self.frames(1, 0.01)
        row = by_name(population(frames)).loc["gap"]
        values = np.concatenate([frame.tables["gaps"]["gap_nm"] for frame in frames])
        assert row["mean"] == pytest.approx(values.mean(), abs=0.005)
        assert row["spread"] == pytest.approx(0.3, abs=0.03)

    def test_gaps_that_are_not_resolved_do_not_bias_the_mean(self):
        frames = self.frames(2, 0.3)
        row = by_name(population(frames)).loc["gap"]
        assert "not resolved" in row["note"]
        assert row["low"] <= 1.0 <= row["high"]
        assert row["mean"] == pytest.approx(1.0, abs=0.06)
        resolved = pd.concat([frame.tables["gaps"] for frame in frames]).query("resolved")
        assert resolved["gap_nm"].mean() > 1.2

    def test_with_none_resolved_there_is_no_mean(self):
        row = by_name(population(self.frames(3, 2.0))).loc["gap"]
        assert np.isnan(row["mean"])
        assert "too few gaps are resolved" in row["note"]


class TestPlaces:
    def dotted(self, places, shape=(400.0, 300.0)):
        return Frame(made_up.Tables().frames()
                     | {"dots": made_up.dots_table(places, np.zeros(1))}, shape)

    def test_dots_at_random_have_no_correlation(self):
        rng = np.random.default_rng(1)
        frames = [self.dotted(rng.uniform(0, (400.0, 300.0), (rng.integers(50, 400), 2)))
                  for _ in range(12)]
        table = pair_correlation(frames, r_max_nm=100.0, step_nm=20.0)
        assert list(table) == PAIRS.names()
        assert (np.abs(table["g"] - 1.0) < 3.5 * table["g_err"]).all()
        assert table["g_err"].max() < 0.05

    def test_pairs_of_dots_are_seen_as_such(self):
        rng = np.random.default_rng(1)
        centres = rng.uniform(0.0, 297.0, (100, 2))
        dotted = self.dotted(np.concatenate([centres, centres + 3.0]), (300.0, 300.0))
        table = pair_correlation(dotted, r_max_nm=50.0, step_nm=5.0)
        assert table["g"].iloc[0] > 3.0
        assert abs(table["g"].iloc[5:].mean() - 1.0) < 0.2

    @pytest.mark.parametrize(("scatter", "larger"), [(3.0, True), (150.0, False)])
    def test_bundled_chains_are_aggregated(self, scatter, larger):
        rng = np.random.default_rng(4)
        frames = []
        for _ in range(6):
            tables = made_up.Tables()
            for y, x in rng.uniform(30.0, 370.0, (12, 2)):
                for dy, dx in rng.uniform(-scatter, scatter, (3, 2)):
                    path = np.linspace((y + dy, x + dx), (y + dy, x + dx + 60.0), 60)
                    tables.add_lines(path, (400.0, 400.0), rng, 0.0)
            frames.append(Frame(tables.frames(), (400.0, 400.0)))
        table = by_name(population(frames))
        index = table.loc["Clark-Evans index"]
        assert bool(table.loc["aggregation", "low"] > 1.5) is larger
        assert bool(index["high"] < 0.8) is larger
        assert bool(index["p_value"] < 0.001) is larger


class TestCompare:
    def test_groups_of_one_kind_do_not_differ_and_longer_ones_do(self):
        kinds = [made_up.Kind(made_up.lognormal(median), dots=True)
                 for median in (150.0, 150.0, 350.0)]
        a, b, c = (frames_of(kind, 8, seed=seed, sample=str(seed))[2]
                   for seed, kind in enumerate(kinds))
        table = compare({"a": a, "b": b, "c": c}, ["length", "dots per chain"])
        assert list(table) == COMPARISON.names()
        same = table[(table["group_a"] == "a") & (table["group_b"] == "b")]
        assert same["verdict"].str.startswith("no difference shown").all()
        other = table[(table["group_a"] == "a") & (table["group_b"] == "c")].iloc[0]
        assert other["verdict"].startswith("larger in c than in a")
        assert "single sample" in other["verdict"]
        assert other["low"] > 0
        assert other["effect_low"] > 0
        assert other["p_value"] <= other["p_holm"] < 0.05
        assert "mean up to" in other["method"]
        assert (other["images_a"], other["dots_a"]) == (8, sum(len(f.tables["dots"]) for f in a))

    def test_several_samples_are_the_units(self, many):
        groups = {name: [Frame(f.tables, f.shape_nm, sample=f"{name}{i % 3}")
                         for i, f in enumerate(of)]
                  for name, of in (("a", many[2][:6]), ("b", many[2][6:]))}
        row = compare(groups, "area fraction").iloc[0]
        assert row["method"].startswith("Welch's t")
        assert row["images_a"] == 6

    def test_single_images_say_nothing_of_the_treatment(self):
        a, b = (frames_of(made_up.Kind(made_up.lognormal(150.0)), 1, seen=80.0, seed=seed)[2]
                for seed in (0, 1))
        wider = b[0].tables["chains"].assign(
            width_nm=lambda t: t["width_nm"] + np.random.default_rng(0).normal(2.0, 0.1, len(t)))
        b = [Frame({**b[0].tables, "chains": wider}, b[0].shape_nm)]
        table = by_name(compare({"a": a, "b": b}))
        assert "single image" in table.loc["width", "verdict"]
        assert table.loc["number of chains", "verdict"].startswith("not comparable")

    @pytest.mark.parametrize("images", [3, 6, 12])
    def test_no_difference_is_called_one_at_the_stated_rate(self, images):
        rng = np.random.default_rng(images)
        rejected = 0
        for _ in range(400):
            means = [rng.normal(5.0, 0.3) + rng.normal(0.0, 0.5 / np.sqrt(rng.integers(2, 60)))
                     for _ in range(2 * images)]
            test = two_samples(np.array(means[:images]), np.array(means[images:]), 0.95, rng)
            assert (test.p_value <= 0.05) == (not test.low <= 0.0 <= test.high)
            rejected += test.p_value <= 0.05
        assert 0.03 <= rejected / 400 <= 0.07

    def test_few_images_give_the_textbook_test(self):
        a, b = np.array([1.0, 2.0, 4.0]), np.array([3.0, 5.0, 9.0, 6.0])
        test = two_samples(a, b, 0.95, np.random.default_rng(0))
        expected = stats.ttest_ind(b, a, equal_var=False)
        low, high = expected.confidence_interval()
        assert (test.p_value, test.low, test.high) == pytest.approx(
            (expected.pvalue, low, high), rel=1e-6)

    def test_effect_size_is_the_corrected_difference_in_spreads(self):
        a, b = np.array([1.0, 2.0, 3.0]), np.array([3.0, 4.0, 5.0])
        effect, low, high = hedges(a, b, 0.95)
        assert effect == pytest.approx(2.0 * (1 - 3 / 15))
        assert low < effect < high
        equal, below, above = hedges(a, a, 0.95)
        assert equal == 0.0
        assert below == pytest.approx(-above, rel=1e-2)

    def test_an_estimate_that_is_a_mean_is_compared_like_one(self):
        rng = np.random.default_rng(3)
        values = np.concatenate([rng.normal(1.0, 0.2, 6), rng.normal(1.3, 0.3, 6)])
        in_a = np.arange(12) < 6
        mean = ratio(values, np.ones(12))
        own = tuple(pseudo_values(mean, mask) for mask in (in_a, ~in_a))
        np.testing.assert_allclose(own[0], values[in_a])
        found = two_estimates(mean, (in_a, ~in_a), own, 0.95, rng)
        expected = two_samples(values[in_a], values[~in_a], 0.95, rng)
        assert found[:4] == pytest.approx(expected[:4], rel=1e-9)

    def test_gaps_of_each_group_are_its_own(self):
        rng = np.random.default_rng(5)
        groups = {}
        for name, mean in (("a", 1.0), ("b", 0.6)):
            gaps = [made_up.gaps_table(rng.normal(mean, 0.3, 150) + rng.normal(0.0, 0.2, 150),
                                       np.full(150, 0.2)) for _ in range(7)]
            groups[name] = [Frame(made_up.Tables().frames() | {"gaps": of}, (SIDE, SIDE))
                            for of in gaps]
        row = compare(groups, "gap").iloc[0]
        assert (row["value_a"], row["value_b"]) == pytest.approx((1.0, 0.6), abs=0.05)
        assert row["difference"] == pytest.approx(-0.4, abs=0.07)
        assert row["low"] < row["difference"] < row["high"] < 0
        assert 0 < row["p_value"] < 0.01

    def test_holm(self):
        np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, np.nan])),
                                   [0.03, 0.06, 0.06, np.nan])

    def test_no_scatter_is_no_evidence(self):
        test = two_samples(np.ones(4), np.full(4, 2.0), 0.95, np.random.default_rng(0))
        assert np.isnan(test.p_value)
        assert test.difference == 1.0


class TestBadInput:
    def test_frames(self, many):
        frame = many[2][0]
        tables = dict(frame.tables)
        with pytest.raises(ParameterError, match="shape_nm"):
            Frame(tables, (0.0, 5.0))
        with pytest.raises(ParameterError, match="scale_err"):
            Frame(tables, (5.0, 5.0), scale_err=-1.0)
        with pytest.raises(ParameterError, match="no table 'gaps'"):
            Frame({name: table for name, table in tables.items() if name != "gaps"}, (5.0, 5.0))
        pixels = tables | {"chains": tables["chains"].rename(columns={"length_nm": "length_px"})}
        with pytest.raises(ParameterError, match="lacks length_nm"):
            Frame(pixels, (5.0, 5.0))

    def test_parameters(self, many):
        frames = many[2][:2]
        with pytest.raises(ParameterError, match="no frame"):
            population([])
        with pytest.raises(ParameterError, match="not a Frame"):
            population([3])
        with pytest.raises(ParameterError, match="confidence"):
            population(frames, confidence=95)
        with pytest.raises(ParameterError, match="confidence"):
            length_distribution(frames, confidence=0.0)
        with pytest.raises(ParameterError, match="two groups"):
            compare({"a": frames})
        with pytest.raises(ParameterError, match="unknown: 'colour'"):
            compare({"a": frames, "b": frames}, "colour")
        with pytest.raises(ParameterError, match="r_max_nm"):
            pair_correlation(frames, r_max_nm=1e6)
        with pytest.raises(ParameterError, match="step_nm"):
            pair_correlation(frames, step_nm=0.0)
        with pytest.raises(ParameterError, match="of"):
            pair_correlation(frames, of="grains")


# --- numbers of any kind, nested in images


def nested_of(rng, n_images=12, n_each=30, between=0.5, within=1.0, mean=10.0, samples=""):
    """Rows that share the offset of their image."""
    offsets = rng.normal(0.0, between, n_images)
    values = mean + np.repeat(offsets, n_each) + rng.normal(0.0, within, n_images * n_each)
    images = np.repeat(np.arange(n_images), n_each)
    named = tuple(f"{samples}{image // 3}" for image in images) if samples else ()
    return Nested("d", "nm", values, np.full(len(values), 0.3), images, named)


def test_means_of_nested_numbers_cover_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(5)
    inside = [row.low <= 10.0 <= row.high for row in (
        nested_means([nested_of(rng, n_images=8)], rng=0).iloc[0] for _ in range(300))]
    assert 0.92 <= np.mean(inside) <= 0.98


def test_common_errors_enter_once_and_bounds_hold():
    kind = nested_of(np.random.default_rng(1), n_images=2, between=30.0)
    kind = replace(kind, common_err=0.7, bounds=(0.0, 15.0))
    row = nested_means([kind]).iloc[0]
    assert row.mean_err_with_scale == pytest.approx(np.hypot(row.mean_err, 0.7), rel=1e-6)
    assert (row.low, row.high) == (0.0, 15.0)
    assert row.spread > 1.0


def test_one_image_says_that_nothing_is_known_between_images():
    row = nested_means([nested_of(np.random.default_rng(1), n_images=1)]).iloc[0]
    assert "one image: error over its rows" in row.note
    assert row.n_images == 1
    assert row.mean_err == pytest.approx(1.0 / np.sqrt(30), rel=0.3)


def test_equal_groups_of_nested_numbers_differ_as_often_as_they_say():
    rng = np.random.default_rng(2)
    found = [compare_nested({"a": [nested_of(rng, 7, 10)], "b": [nested_of(rng, 7, 10)]},
                            rng=0).p_value[0] < 0.05 for _ in range(200)]
    assert np.mean(found) < 0.09


def test_nested_groups_are_compared_by_images_or_by_samples():
    rng = np.random.default_rng(3)
    a, b = nested_of(rng), nested_of(rng, mean=12.0)
    row = compare_nested({"a": [a], "b": [b]}).iloc[0]
    assert row.difference == pytest.approx(2.0, abs=0.6)
    assert row.low < 2.0 < row.high
    assert "larger in b" in row.verdict
    assert "samples are not stated" in row.verdict
    of_samples = [nested_of(rng, samples="s"), nested_of(rng, mean=12.0, samples="t")]
    row = compare_nested({"a": [of_samples[0]], "b": [of_samples[1]]}).iloc[0]
    assert row.method.startswith("Welch's t")
    single = nested_of(rng, n_images=1)
    assert "single image" in compare_nested({"a": [single], "b": [b]}).iloc[0].verdict or \
        "no difference" in compare_nested({"a": [single], "b": [b]}).iloc[0].verdict
    assert len(compare_nested({"a": [a], "b": []})) == 0
    with pytest.raises(ParameterError, match="two groups"):
        compare_nested({"a": [a]})
    with pytest.raises(ParameterError, match="finite"):
        replace(a, values=np.full(len(a.values), np.nan))
    with pytest.raises(ParameterError, match="differ in length"):
        replace(a, errors=np.zeros(3))


def test_a_single_number_keeps_its_own_error():
    one = Nested("d", "nm", np.array([5.0]), np.array([0.2]), np.array([3]), common_err=0.1,
                 note="reference 5.1")
    row = nested_means([one]).iloc[0]
    assert (row["mean"], row.mean_err) == (5.0, pytest.approx(0.2))
    assert row.low == pytest.approx(5.0 - 1.96 * 0.2, abs=1e-3)
    assert row.mean_err_with_scale == pytest.approx(np.hypot(0.2, 0.1))
    assert row.note.startswith("reference 5.1; error of the measurement alone")
    unknown = replace(one, errors=np.array([np.nan]))
    assert np.isnan(nested_means([unknown]).iloc[0].mean_err)


def test_images_that_hardly_resolve_gaps_do_not_blow_up_the_error_of_the_mean():
    frames = []
    for name in ("pbs_chains_tem.emd", "pbs_chain_lattice.hspy", "pbs_eds.hspy",
                 "cuins2_eds.hspy", "pbs_chains_banner.tif"):
        image = next(one for one in emtools.read(SAMPLES / name) if one.is_plane)
        frames.append(Frame.of(image, emtools.chains(image)))
    gap = population(frames).set_index("quantity").loc["gap"]
    assert abs(gap["mean"] - 1.0) < 3 * gap["mean_err"]
    assert gap["mean_err"] < 0.02
