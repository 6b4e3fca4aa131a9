"""What a person points at: spots, pairs of them, and lines, on images whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

import emtools
from emtools import io, probe, simulate
from emtools.errors import CalibrationError, ImageError, ParameterError
from emtools.model.image import Acquisition, plane_image
from emtools.probe.fringes import find_fringes

TURN = 12.0
PIXEL = 0.03
BESIDE = np.array([0.05, -0.04])  # 1/nm: a click that is a little off


def towards(angle_deg, length=1.0):
    """Vector (y, x) of a direction as the tables state it."""
    angle = np.radians(angle_deg)
    return length * np.array([-np.sin(angle), np.cos(angle)])


@pytest.fixture(scope="module")
def crystal():
    return simulate.crystal("PbS", (0, 0, 1), shape=(400, 400), pixel_size_nm=PIXEL, counts=10.0,
                            rotation_deg=TURN, rng=2)


@pytest.fixture(scope="module")
def spots(crystal):
    """Spots 200, 020 and 220, clicked a little beside them."""
    image, truth = crystal
    rows = truth["reflections"].head(3)
    return [probe.spot(image, towards(row.angle_deg, row.k_per_nm) + BESIDE)
            for row in rows.itertuples()]


# ---- spots --------------------------------------------------------------------------------------


def test_spots_are_measured_within_their_errors(crystal, spots):
    for row, one in zip(crystal[1]["reflections"].head(3).itertuples(), spots, strict=True):
        assert one
        assert abs(one.d_spacing.value - row.d_spacing_nm) < 4 * one.d_spacing.err
        off = (one.angle.value - row.angle_deg + 90) % 180 - 90
        assert abs(off) < 4 * one.angle.err
        assert one.d_spacing.err < 1e-4 * one.d_spacing.value
        assert one.scale_err == pytest.approx(0.025)
        assert one.d_spacing_with_scale.err == pytest.approx(0.025 * one.d_spacing.value, rel=1e-3)
        assert one.p_value < 1e-6
        assert one.snr > 50
        assert one.n_fringes > 30
        assert "scale ± 2.5 %" in str(one)


def test_the_sign_of_the_click_is_kept(crystal, spots):
    mate = probe.spot(crystal[0], -spots[0].k_yx)
    assert np.allclose(mate.k_yx, -spots[0].k_yx, atol=1e-4)
    assert mate.angle.value == pytest.approx(spots[0].angle.value, abs=0.01)


@pytest.mark.parametrize("seed", range(6))
def test_a_box_that_a_small_crystal_fills_only_partly(seed):
    image, truth = simulate.crystal("PbS", (0, 0, 1), shape=(300, 300), pixel_size_nm=0.04,
                                    particle_nm=5.0, counts=20.0, rotation_deg=30.0, rng=seed)
    row = truth["reflections"].iloc[0]
    one = probe.spot(image, towards(row.angle_deg, row.k_per_nm), (60, 60, 260, 230))
    assert abs(one.d_spacing.value - row.d_spacing_nm) < 3.5 * one.d_spacing.err
    assert one.d_spacing.err < 0.01 * row.d_spacing_nm
    assert 8.0 < one.area < 24.0  # of 19.6 nm2


def test_what_is_no_spot_says_why(crystal):
    image = crystal[0]
    for k, reason in (((0.1, 0.1), "near the zero frequency"), ((16.6, 1.0), "Nyquist"),
                      ((5.1, 0.5), "not above the noise")):
        one = probe.spot(image, k)
        assert not one
        assert reason in one.reason
        assert np.isnan(one.d_spacing.value)
        assert tuple(one.k_yx) == k
        assert one.reason in str(one)
        assert probe.planes(one, "PbS").empty
    assert "same value" in probe.spot(plane_image(np.zeros((64, 64)), 0.1), (2.0, 2.0)).reason


def test_noise_and_films_show_no_spots():
    rng = np.random.default_rng(0)
    images = [simulate.blank(kind, shape=(128, 128), rng=seed)[0]
              for kind in ("noise", "amorphous") for seed in range(25)]
    taken = [bool(probe.spot(image, rng.uniform(-0.4, 0.4, 2) / image.calibration().pixel_size))
             for image in images]
    assert sum(taken) <= 1


def test_the_transposed_image_has_the_transposed_spot(crystal, spots):
    turned = probe.spot(crystal[0].transposed(), spots[0].k_yx[::-1])
    assert turned.d_spacing.value == pytest.approx(spots[0].d_spacing.value, rel=1e-5)
    off = (turned.angle.value - (90.0 - spots[0].angle.value) + 90) % 180 - 90
    assert abs(off) < 1e-3


def test_twice_the_pixel_is_twice_the_spacing(crystal, spots):
    double = probe.spot(crystal[0].calibrated(2 * PIXEL, "nm"), 0.5 * spots[0].k_yx)
    assert double.d_spacing.value == pytest.approx(2 * spots[0].d_spacing.value, rel=1e-6)
    assert double.d_spacing.err == pytest.approx(2 * spots[0].d_spacing.err, rel=1e-3)
    pixels = plane_image(crystal[0].data)
    without = probe.spot(pixels, PIXEL * spots[0].k_yx)
    assert without.unit == "px"
    assert without.d_spacing.value == pytest.approx(spots[0].d_spacing.value / PIXEL, rel=1e-5)
    with pytest.raises(CalibrationError, match="pixel size"):
        probe.planes(without, "PbS")


def test_a_distorted_plane_is_measured_in_true_lengths():
    distortion = ((0.97, 0.02), (0.02, 1.03))
    image, truth = simulate.crystal("PbS", (0, 0, 1), shape=(300, 300), pixel_size_nm=PIXEL,
                                    rotation_deg=TURN, distortion=distortion, rng=1)
    image = replace(image, distortion=replace(image.distortion, matrix=distortion))
    for row in truth["reflections"].head(2).itertuples():
        one = probe.spot(image, towards(row.angle_deg, row.k_per_nm))
        assert one.d_spacing.value == pytest.approx(row.d_spacing_nm, rel=3e-4)


def test_impossible_clicks_are_refused(crystal):
    image = crystal[0]
    for k, options in (((1.0,), {}), ((np.nan, 1.0), {}), ((1.0, 2.0), {"reach": -1.0}),
                       ((1.0, 2.0), {"false_alarm_rate": 2.0})):
        with pytest.raises(ParameterError):
            probe.spot(image, k, **options)
    with pytest.raises(ImageError):
        probe.spot(image.calibrated(0.1, "1/nm"), (1.0, 2.0))


# ---- planes -------------------------------------------------------------------------------------


def test_the_plane_is_named_first_and_others_that_fit_are_there(spots):
    table = probe.planes(spots[0], ("Au", "PbS", "CuInS2"))
    first = table.iloc[0]
    assert (first.phase, first.hkl) == ("PbS", "2 0 0")
    assert abs(first.difference_percent) < 0.1
    assert first.amplitude == pytest.approx(1.0)
    assert (np.abs(table.sigmas) <= 3.0).all()
    assert set(table.phase) == {"PbS", "CuInS2"}
    none = probe.planes(spots[0], "Au")
    assert none.empty
    assert (none.dtypes == table.dtypes).all()


def test_rings_are_those_of_the_allowed_families():
    table = probe.rings(("PbS", "Au"), 5.0)
    assert table[table.phase == "PbS"].hkl.tolist() == ["1 1 1", "2 0 0", "2 2 0"]
    assert np.allclose(table.k_per_nm * table.d_reference_nm, 1.0)
    assert (table.groupby("phase").relative_intensity.max() == 1.0).all()
    assert probe.rings("PbS", 1.0).empty
    with pytest.raises(ParameterError):
        probe.rings("PbS", 0.0)


# ---- pairs --------------------------------------------------------------------------------------


def test_two_spots_tell_phase_and_zone_axis(spots):
    found = probe.pair(spots[0], spots[2], ("PbS", "Au", "CdSe"))
    assert found.angle.value == pytest.approx(45.0, abs=0.01)
    assert found.ratio.value == pytest.approx(np.sqrt(2), abs=1e-4)
    assert 0.3 < found.angle_plane_err_deg < 1.2
    best = found.candidates.iloc[0]
    assert (best.phase, best.zone_axis) == ("PbS", "1 0 0")
    assert best.angle_reference_deg == pytest.approx(45.0)
    assert best.scale == pytest.approx(1.0, abs=1e-3)
    assert not found.ambiguous


def test_the_other_side_of_a_spot_makes_the_other_angle(crystal, spots):
    mate = probe.spot(crystal[0], -spots[2].k_yx)
    found = probe.pair(spots[0], mate, "PbS")
    assert found.angle.value == pytest.approx(135.0, abs=0.01)
    assert found.candidates.iloc[0].angle_reference_deg == pytest.approx(135.0)


def test_without_a_scale_ratio_and_angle_decide(crystal, spots):
    pixels = plane_image(crystal[0].data)
    a, b = (probe.spot(pixels, PIXEL * one.k_yx) for one in (spots[0], spots[2]))
    found = probe.pair(a, b, ("PbS",))
    assert not found.candidates.empty
    assert found.ambiguous  # 200 and 220 as well as 400 and 440
    assert np.allclose(found.candidates.angle_reference_deg, 45.0, atol=5.0)


def test_what_a_pair_cannot_tell_is_said(crystal, spots):
    second = probe.spot(crystal[0], 2 * spots[0].k_yx)
    found = probe.pair(spots[0], second, "PbS")
    assert found.ambiguous
    assert "one row" in found.reason
    assert (found.candidates.zone_axis == "").all()
    nothing = probe.pair(spots[0], spots[2], "graphite")
    assert nothing.candidates.empty
    assert "no plane" in nothing.reason
    assert probe.pair(spots[0], spots[2]).reason == ""
    with pytest.raises(ParameterError, match="again"):
        probe.pair(spots[0], spots[0], "PbS")
    with pytest.raises(ParameterError, match="no spot"):
        probe.pair(spots[0], probe.spot(crystal[0], (5.1, 0.5)), "PbS")


# ---- lines --------------------------------------------------------------------------------------


def test_a_profile_averages_across_its_width_and_leaves_out_what_is_masked():
    pixels = np.random.default_rng(0).normal(100.0, 5.0, size=(80, 200))
    mask = np.ones(pixels.shape, dtype=bool)
    mask[:, 90:100] = False
    image = replace(plane_image(pixels, 0.5), mask=mask)
    line = probe.profile(image, [(20.0, 10.0), (20.0, 90.0)], 4.5)
    assert line.width == pytest.approx(4.5)
    assert list(line.table.columns) == ["s_nm", "intensity", "intensity_err"]
    assert line.s[0] == 0.0
    assert line.length == pytest.approx(80.0)
    there = np.isfinite(line.intensity)
    assert np.array_equal(np.flatnonzero(~there), np.arange(70, 80))
    wanted = pixels[36:45, 20:181].mean(axis=0)
    assert np.allclose(line.intensity[there], wanted[there], atol=1e-3)
    assert np.median(line.intensity_err[there]) == pytest.approx(5.0 / 3.0, rel=0.15)
    thin = probe.profile(plane_image(pixels), [(20.0, 10.0), (20.0, 90.0)], 1.0)
    assert list(thin.table.columns) == ["s_px", "intensity", "intensity_err"]
    assert np.isnan(thin.intensity_err).all()


def test_a_line_in_a_large_image_is_that_of_the_whole_image():
    pixels = np.random.default_rng(1).normal(size=(300, 300))
    course = [(100.0, 100.0), (120.0, 140.0), (110.0, 180.0)]
    line = probe.profile(plane_image(pixels), course, 5.0)
    from emtools.process.straighten import straighten
    strip = straighten(plane_image(pixels), course, 2.0)
    assert np.allclose(line.intensity, strip.data.mean(axis=0), atol=1e-5)


def test_impossible_lines_are_refused():
    image = plane_image(np.random.default_rng(0).normal(size=(50, 50)))
    for places, width in (([(1, 1), (30, 30)], 0.0), ([(1, 1)], 2.0), ([(1, 1, 1)], 2.0),
                          ([(500, 500), (600, 600)], 2.0)):
        with pytest.raises(ParameterError):
            probe.profile(image, places, width)
    line = probe.profile(image, [(5, 5), (40, 40)], 2.0)
    for options in ({"shape": "pyramid"}, {"smallest": -1.0}):
        with pytest.raises(ParameterError):
            line.bodies(**options)
    with pytest.raises(ParameterError):
        line.fringes(0.0)


def test_fringes_along_a_line_in_a_crystal(crystal):
    middle = np.array([6.0, 6.0])
    along = towards(TURN)
    line = probe.profile(crystal[0], [middle - 4 * along, middle + 4 * along], 0.8)
    found = line.fringes()
    assert found
    assert abs(found.spacing.value - 0.2968) < 3.5 * found.spacing.err
    assert found.spacing.err < 2e-4
    assert found.n_fringes == pytest.approx(8 / 0.2968, rel=0.03)
    backwards = probe.profile(crystal[0], [middle + 4 * along, middle - 4 * along], 0.8).fringes()
    assert backwards.spacing.value == pytest.approx(found.spacing.value, abs=1e-5)
    double = probe.profile(crystal[0].calibrated(2 * PIXEL, "nm"),
                           [2 * (middle - 4 * along), 2 * (middle + 4 * along)], 1.6).fringes()
    assert double.spacing.value == pytest.approx(2 * found.spacing.value, rel=1e-6)


def test_errors_of_fringes_are_as_large_as_stated():
    pulls = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        s, period = 0.1 * np.arange(200), rng.uniform(0.7, 1.1)
        values = np.cos(2 * np.pi * s / period + seed) + 0.02 * s + rng.normal(size=200)
        found = find_fringes(s, values, "nm")
        if found:
            pulls.append((found.spacing.value - period) / found.spacing.err)
    assert len(pulls) > 100
    assert 0.55 < np.mean(np.abs(pulls) < 1) < 0.85
    assert abs(np.mean(pulls)) < 0.3


def test_fringes_in_a_part_of_the_line_only():
    rng = np.random.default_rng(0)
    s = 0.1 * np.arange(400)
    values = np.where((s > 12) & (s < 26), np.cos(2 * np.pi * s / 0.8), 0.0) \
        + rng.normal(0, 0.2, 400)
    found = find_fringes(s, values, "nm")
    assert found.spacing.value == pytest.approx(0.8, abs=4 * found.spacing.err)
    assert found.start == pytest.approx(12.0, abs=2.5)
    assert found.end == pytest.approx(26.0, abs=2.5)


def test_the_period_itself_is_found_where_its_overtone_is_stronger():
    s = 0.1 * np.arange(300)
    values = 0.6 * np.cos(2 * np.pi * s / 2.0) + np.cos(2 * np.pi * s / 1.0) \
        + np.random.default_rng(0).normal(0, 0.2, 300)
    assert find_fringes(s, values, "nm").spacing.value == pytest.approx(2.0, abs=0.01)


def test_no_fringes_in_noise_in_constants_and_in_a_few_samples():
    rng = np.random.default_rng(0)
    s = np.arange(300.0)
    taken = sum(bool(find_fringes(s, rng.normal(size=300), "nm")) for _ in range(300))
    assert taken <= 2
    assert "constant" in find_fringes(s, np.full(300, 5.0), "nm").reason
    assert "samples" in find_fringes(s[:10], s[:10], "nm").reason
    assert str(find_fringes(s, np.full(300, 5.0), "nm").spacing) == "not measurable"


def chain(seed, **options):
    """A straight chain, its truth, and a line along it."""
    image, truth = simulate.chains(shape=(500, 500), pixel_size_nm=0.2, n_chains=1, n_dots=(6, 6),
                                   persistence_length_nm=1e6, rng=seed, **options)
    places = truth["dots"][["y_nm", "x_nm"]].to_numpy()
    along = (places[-1] - places[0]) / np.hypot(*(places[-1] - places[0]))
    return image, truth, np.array([places[0] - 5 * along, places[-1] + 5 * along])


@pytest.mark.parametrize("shape", ["sphere", "cube", "superellipsoid"])
def test_bodies_and_gaps_of_a_chain(shape):
    image, truth, ends = chain(4, dot_shape=shape)
    found = probe.profile(image, ends, 1.0).bodies()
    table = found.distances
    assert table["kind"].tolist() == ["body", "gap"] * 5 + ["body"]
    for kind, true in (("body", truth["dots"]["length_nm"]), ("gap", truth["gaps"]["gap_nm"])):
        rows = table[table["kind"] == kind]
        off = rows["distance_nm"].to_numpy() - true.to_numpy()
        assert np.abs(off).max() < 0.2
        assert abs(off.mean()) < 0.06
        assert (np.abs(off) < 3.5 * rows["distance_err_nm"].to_numpy()).all()
    assert np.allclose(table["end_nm"] - table["start_nm"], table["distance_nm"])
    assert found.edges["kind"].tolist() == ["in", "out"] * 6
    assert found.model.shape == (len(probe.profile(image, ends, 1.0).s),)


def test_dark_bodies_are_the_negative_of_bright_ones():
    image, _, ends = chain(4)
    bright = probe.profile(image, ends, 1.0).bodies(shape="sphere").distances
    negative = replace(image.with_data(500.0 - image.data), acquisition=Acquisition("TEM"))
    dark = probe.profile(negative, ends, 1.0).bodies(shape="sphere").distances
    assert np.allclose(bright["distance_nm"], dark["distance_nm"], atol=1e-3)
    assert "defocus" in probe.profile(negative, ends, 1.0).bodies(shape="sphere").note
    other = probe.profile(negative, ends, 1.0).bodies(shape="step", dark=False)
    assert "gap" in other.distances["kind"].tolist()


def test_a_body_that_goes_on_beyond_the_line_has_one_edge():
    s = np.zeros((40, 300))
    s[:, 100:180] = 1.0
    s[:, 250:] = 1.0
    image = plane_image(s + np.random.default_rng(0).normal(0, 0.02, s.shape), 0.1)
    found = probe.profile(image, [(2.0, 0.0), (2.0, 29.9)], 1.0).bodies()
    assert found.shape == "step"
    assert found.edges["kind"].tolist() == ["in", "out", "in"]
    assert np.allclose(found.edges["s_nm"], [9.95, 17.95, 24.95], atol=0.02)
    assert found.distances["kind"].tolist() == ["body", "gap"]
    assert np.allclose(found.distances["distance_nm"], [8.0, 7.0], atol=0.02)


def test_no_bodies_where_there_are_none():
    image = plane_image(np.random.default_rng(0).normal(100.0, 5.0, size=(60, 200)), 0.1)
    found = probe.profile(image, [(3.0, 1.0), (3.0, 18.0)], 1.0).bodies()
    assert not found
    assert "noise" in found.reason
    assert found.edges.empty
    assert found.distances.empty


def test_probe_is_public_and_loaded_only_when_used():
    assert emtools.probe is probe
    assert "probe" in dir(emtools)


# ---- a real image -------------------------------------------------------------------------------


@pytest.mark.real
def test_spots_of_strontium_titanate(real_data):
    file = real_data / "openncem" / "16_STOimage_1.ser"
    if not file.is_file():
        pytest.skip("not there")
    image = io.read_one(file)
    whole = emtools.lattice(image, phases=("SrTiO3",)).tables["reflections"]
    rows = whole[whole["hkl"] != ""].nlargest(4, "snr")
    picked = [probe.spot(image, towards(row.angle_deg, 1 / row.d_spacing_nm) + 0.05)
              for row in rows.itertuples()]
    for row, one in zip(rows.itertuples(), picked, strict=True):
        assert one.d_spacing.value == pytest.approx(row.d_spacing_nm, rel=2e-3)
        assert "SrTiO3" in set(probe.planes(one, "SrTiO3")["phase"])
    first = picked[0]
    second = next(one for one in picked[1:] if abs(np.linalg.det([first.k_yx, one.k_yx])) > 1.0)
    found = probe.pair(first, second, ("SrTiO3", "PbS", "Au"))
    assert found.candidates.iloc[0]["phase"] == "SrTiO3"
