"""Rings of diffraction patterns: centre, spacings, sizes, phases, and what is no ring."""

from __future__ import annotations

import numpy as np
import pytest

from emtools import read_one, simulate
from emtools.crystal import phase
from emtools.errors import ParameterError
from emtools.figures import pictures
from emtools.measure import load
from emtools.measure.rings import rings
from emtools.measure.rings.azimuth import spread_of
from emtools.measure.rings.ground import convex_ground, peaks_clipped
from emtools.measure.rings.identify import expected_rings
from emtools.measure.rings.masks import sound_pixels
from emtools.measure.rings.polar import Geometry, cells, mean_of_sectors
from emtools.measure.rings.report import crystallite
from emtools.model import Acquisition, Measured
from emtools.model.image import plane_image

SQUARE = np.eye(2)


def off_centre(result, truth) -> float:
    pattern = truth["pattern"].iloc[0]
    return float(np.hypot(result.summary["centre_y"].value - pattern.centre_y_px,
                          result.summary["centre_x"].value - pattern.centre_x_px))


def nearest(result, k) -> dict:
    table = result.tables["rings"]
    return table.iloc[(table["k_per_nm"] - k).abs().argmin()].to_dict()


# ---- parts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ellipse", [(0.0, 0.0), (0.03, 40.0), (0.02, 130.0)])
def test_polar_cells_around_the_true_ellipse_are_alike_in_all_directions(ellipse):
    """A wrong sign of the ellipse, or of y, would smear every ring over pixels."""
    e, turn = ellipse[0], np.radians(2 * ellipse[1])
    image, _ = simulate.rings(shape=(200, 240), pixel_size_per_nm=0.08, centre_px=(90.0, 130.0),
                              ellipticity=e, ellipse_deg=ellipse[1], counts=None)
    geometry = Geometry(90.0, 130.0, e * np.cos(turn), e * np.sin(turn), SQUARE)
    assert geometry.ellipticity == pytest.approx(e)
    polar = cells(np.ascontiguousarray(image.data), np.ones(image.shape, bool), geometry)
    inside = slice(30, 85)
    scatter = np.nanstd(polar.means[:, inside], axis=0) / mean_of_sectors(polar.means)[inside]
    assert scatter.max() < 0.03


def test_geometry_in_a_binned_picture_and_back():
    geometry = Geometry(40.3, 77.9, 0.01, 0.02, SQUARE)
    again = geometry.binned(3).unbinned(3)
    assert (again.y, again.x) == pytest.approx((geometry.y, geometry.x))


def test_convex_ground_lies_under_everything_and_on_a_tail():
    x = np.arange(300.0)
    tail = 100 * np.exp(-x / 40) + 3
    bump = 5 * np.exp(-0.5 * ((x - 150) / 20) ** 2)
    ground = convex_ground(tail + bump)
    assert (ground <= tail + bump + 1e-9).all()
    np.testing.assert_allclose(ground[:80], tail[:80], rtol=0.02)
    assert ground[150] < tail[150] + 0.4 * bump[150]


def test_clipped_peaks_are_gone():
    x = np.arange(200.0)
    flat = peaks_clipped(10 + 4 * np.exp(-0.5 * ((x - 100) / 3) ** 2), np.full(200, 20.0))
    np.testing.assert_allclose(flat, 10, atol=0.2)


def test_saturated_hot_and_dead_pixels_are_left_out_and_noise_is_not():
    image, _ = simulate.rings(shape=(200, 200), pixel_size_per_nm=0.08, n_hot=20, n_dead=20,
                              counts=100.0, rng=3)
    clean, _ = simulate.rings(shape=(200, 200), pixel_size_per_nm=0.08, counts=100.0, rng=3)
    spoiled = np.asarray(image.data) != np.asarray(clean.data)
    use = sound_pixels(np.array(image.data), None)
    clear = spoiled & (np.abs(image.data - clean.data) > 0.7 * clean.data.max())
    assert (~use & clear).sum() > 0.8 * clear.sum()
    assert (~use & ~spoiled).sum() < 20
    cut, _ = simulate.rings(shape=(200, 200), pixel_size_per_nm=0.08, saturation=400.0, rng=3)
    values = np.array(cut.data)
    assert not sound_pixels(values, None)[values >= 400.0].any()


@pytest.mark.parametrize("size", [2.0, 5.0, 20.0])
def test_scherrer_size_with_the_instruments_width_removed(size):
    fwhm = np.hypot(0.9 / size, 0.05)
    found, err = crystallite(fwhm, 0.001, (0.05, 0.002))
    assert found == pytest.approx(size)
    # By finite differences of both widths.
    moved = [crystallite(fwhm + 1e-6, 0.001, (0.05, 0.002))[0],
             crystallite(fwhm, 0.001, (0.05 + 1e-6, 0.002))[0]]
    slopes = (np.array(moved) - size) / 1e-6
    assert err == pytest.approx(float(np.hypot(*(slopes * [0.001, 0.002]))), rel=1e-3)
    assert np.isnan(crystallite(0.05, 0.001, (0.05, 0.002))[0])


def test_expected_rings_are_those_of_the_powder():
    """Au: 111 is the strongest; intensities are m |F|^2 d^2 of one family."""
    gold = phase("Au")
    found = expected_rings(gold, 9.0, 1.0, 0.0)
    assert found.hkl[:4] == ("1 1 1", "2 0 0", "2 2 0", "3 1 1")
    f = np.abs(gold.structure_factors([(1, 1, 1), (2, 0, 0)], "SAED"))
    ratio = 6 * f[1] ** 2 * 0.2039**2 / (8 * f[0] ** 2 * 0.23544**2)
    assert found.intensity[1] / found.intensity[0] == pytest.approx(ratio, rel=1e-3)
    assert " + " in expected_rings(gold, 9.0, 1.0, 1.2).hkl[0]  # not to be told apart


# ---- the measurement ----------------------------------------------------------------------------

KINDS = {
    "plain": {},
    "elliptic, stop, off centre": {"ellipticity": 0.03, "stop_px": 18.0, "centre_px": (130.2, 290)},
    "centre at a corner": {"centre_px": (20.0, 30.0), "ellipticity": 0.02, "stop_px": 12.0,
                           "stop_deg": -40.0},
    "spotty": {"crystals_per_ring": 150},
    "arcs": {"texture": 0.8, "ellipticity": 0.02},
    "low dose": {"counts": 3.0},
    "on carbon": {"halo": 0.4},
    "spoiled": {"n_hot": 60, "n_dead": 60, "saturation": 300.0},
}


@pytest.mark.parametrize("kind", KINDS, ids=list(KINDS))
def test_centre_spacings_and_phase(kind):
    image, truth = simulate.rings(
        "Au", **{"shape": (400, 420), "pixel_size_per_nm": 0.04, "rng": 2} | KINDS[kind])
    result = rings(image, phases=("PbS", "Au", "CeO2"), instrument_fwhm_per_nm=0.05)
    assert off_centre(result, truth) < 0.3
    ellipticity = result.summary["ellipticity"]
    assert abs(ellipticity.value / 100 - KINDS[kind].get("ellipticity", 0.0)) < 0.004
    for row in truth["rings"].head(2).to_dict("records"):
        found = nearest(result, row["k_per_nm"])
        # A quarter of the rings around a centre in the corner says less.
        least = max(0.001, 2 * found["d_spacing_err_nm"] / row["d_spacing_nm"])
        assert abs(found["d_spacing_nm"] / row["d_spacing_nm"] - 1) < least
        assert abs(found["k_per_nm"] - row["k_per_nm"]) < 4 * found["k_err_per_nm"]
        assert abs(found["crystallite_nm"] - 6.0) < 4 * found["crystallite_err_nm"]
        assert (found["phase"], found["hkl"]) == ("Au", row["hkl"])
    fraction = result.tables["fractions"].iloc[0]
    assert (fraction["phase"], bool(fraction["ambiguous"])) == ("Au", False)
    assert abs(fraction["a_nm"] - 0.4078) < 0.001


def test_texture_is_told():
    for settings, texture in (({}, "even"), ({"texture": 0.8, "texture_deg": 70.0}, "arcs"),
                              ({"crystals_per_ring": 40, "crystallite_nm": 15.0}, "spots")):
        image, _ = simulate.rings("Au", shape=(400, 400), pixel_size_per_nm=0.04, rng=1, **settings)
        table = rings(image).tables["rings"]
        assert table["texture"].head(2).tolist() == [texture, texture]
        if texture == "arcs":
            assert table["texture_deg"].head(2).to_numpy() == pytest.approx([70, 70], abs=4)


def test_mixture_of_two_phases():
    image, _ = simulate.rings({"Au": 0.3, "PbS": 0.7}, rng=4)
    result = rings(image, phases=("Au", "PbS", "CuInS2", "MgO"))
    table = result.tables["fractions"].set_index("phase")
    assert set(table.index) == {"Au", "PbS"}
    off = abs(table.loc["Au", "volume_percent"] - 30.0)
    assert off < 3 * table.loc["Au", "volume_percent_err"] < 30.0


def test_phases_that_differ_by_less_than_the_scale_are_ambiguous():
    image, _ = simulate.rings("Au", rng=4)
    result = rings(image, phases=("Au", "Ag"))
    assert bool(result.tables["fractions"]["ambiguous"].iloc[0])
    assert "ambiguous" in result.outcome


def test_a_phase_that_is_not_there_is_not_named():
    image, _ = simulate.rings("PbS", rng=4)
    result = rings(image, phases=("Au", "MgO", "Cu"))
    assert "unknown" in result.outcome
    assert not len(result.tables["fractions"])
    assert set(result.tables["rings"]["phase"]) == {""}


@pytest.mark.parametrize("counts", [10.0, 300.0, 1e4])
@pytest.mark.parametrize("settings", [
    {"halo": 1.0}, {"halo": 1.0, "centre_px": (120.0, 300.0), "stop_px": 15.0}, {"halo": 0.0}])
def test_no_ring_on_halos_or_on_nothing(settings, counts):
    image, _ = simulate.rings({}, counts=counts, rng=6, **settings)
    result = rings(image)
    assert not len(result.tables["rings"])
    if settings["halo"] and counts > 100:
        assert "broad maxima" in result.outcome


def test_spots_of_few_crystals_are_not_rings():
    image, _ = simulate.rings("Au", crystals_per_ring=2, crystallite_nm=30.0, rng=2)
    assert not len(rings(image).tables["rings"])


def test_a_centre_outside_the_picture_is_told():
    image, _ = simulate.rings("Au", centre_px=(250.0, -180.0), crystallite_nm=3.0, rng=1)
    result = rings(image)
    assert not len(result.tables["rings"])
    assert "outside the picture" in result.outcome


def test_without_a_scale_radii_and_ratios_are_measured_and_a_phase_gives_the_scale():
    image, _ = simulate.rings("Au", pixel_size_per_nm=0.04, shape=(400, 400), rng=1)
    bare = plane_image(np.array(image.data), acquisition=Acquisition(modality="SAED"))
    result = rings(bare, phases=("Au",))
    table = result.tables["rings"]
    assert result.summary["unit"] == "px"
    assert table["d_spacing_px"].isna().all()
    assert table["radius_px"].iloc[1] / table["radius_px"].iloc[0] == pytest.approx(
        2 / np.sqrt(3), rel=1e-3)
    size = result.summary["pixel_size_by_phase"]
    assert isinstance(size, Measured)
    assert size.value == pytest.approx(0.04, rel=1e-3)


def test_radii_on_a_flat_detector_become_wave_numbers_by_the_beam_energy():
    """At 60 keV and 12 1/nm the small-angle rule is off by 0.1 %."""
    image, _ = simulate.rings("Au", pixel_size_per_nm=0.06, shape=(420, 420), rng=1,
                              beam_energy_keV=60.0)
    table = rings(image).tables["rings"]
    k = table["radius_px"] * 0.06
    wavelength = 0.00486610
    exact = 2 * np.sin(np.arctan(wavelength * k) / 2) / wavelength
    np.testing.assert_allclose(table["k_per_nm"], exact, rtol=1e-6)


def test_the_centre_can_be_given():
    image, _ = simulate.rings("Au", centre_px=(200.0, 260.0), rng=1)
    result = rings(image, centre_y_px=200.0, centre_x_px=260.0)
    assert result.summary["centre_y"].value == 200.0
    assert len(result.tables["rings"]) >= 4
    with pytest.raises(ParameterError, match="go together"):
        rings(image, centre_y_px=200.0)


def test_an_image_in_real_space_is_refused():
    image, _ = simulate.blank("noise", shape=(96, 96))
    assert "real space" in rings(image).outcome
    assert "not a diffraction pattern" in load("rings").why_not(image)


@pytest.mark.parametrize("settings", [{}, {"phases": {}, "halo": 1.0}])
def test_figure_shows_pattern_mean_and_rest(settings, tmp_path):
    image, _ = simulate.rings(**{"phases": "Au", "rng": 1} | settings)
    result = rings(image, phases=("Au",))
    figure = pictures(image, result)["overlay"]
    labels = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert ("Au 111" in labels) == bool(len(result.tables["rings"]))
    assert [axes.get_ylabel() for axes in figure.axes][-1] == "rest / σ" or len(figure.axes) == 4
    figure.savefig(tmp_path / "rings.png")


def test_spread_of_an_even_ring_is_the_whole_azimuth():
    from emtools.measure.rings.model import fit_rings
    from emtools.measure.rings.profile import azimuthal_mean

    image, _ = simulate.rings("Au", shape=(300, 300), pixel_size_per_nm=0.05, rng=1)
    geometry = Geometry(149.5, 149.5, 0.0, 0.0, SQUARE)
    polar = cells(np.ascontiguousarray(image.data), np.ones(image.shape, bool), geometry)
    profile = azimuthal_mean(polar)
    fitted = fit_rings(profile, np.full(len(profile.radius), 12.0))
    assert spread_of(polar, fitted, 0).share > 0.98


# ---- real patterns ------------------------------------------------------------------------------


@pytest.mark.real
def test_bismuth_rings_have_the_ratios_of_a_hexagonal_net(real_data):
    """1 : sqrt 3 : 2 : sqrt 7, with a beam stop and all pixels negative."""
    image = read_one(real_data / "scikit-ued" / "bismuth.dm3")
    result = rings(image)
    assert result.summary["centre_y"].value == pytest.approx(141.7, abs=0.3)
    assert result.summary["centre_x"].value == pytest.approx(99.3, abs=0.3)
    table = result.tables["rings"]
    first = table["radius_px"][(table["radius_px"] - 38.8).abs().argmin()]
    for ratio in (np.sqrt(3), 2.0, np.sqrt(7)):
        row = table.iloc[(table["radius_px"] / first - ratio).abs().argmin()]
        off = row["radius_px"] / first - ratio
        assert abs(off) < 3 * np.hypot(row["radius_err_px"], 0.03) / first


@pytest.mark.real
@pytest.mark.parametrize(("name", "said"), [
    ("rosettasciio/tia/old/64x64_diffraction_acquire.emi", "outside the picture"),
    ("rosettasciio/digitalmicrograph/2D/test_diffraction_pattern.dm3", "outside the picture"),
    ("rosettasciio/tiff/JEOL-SightX-SAED-dummy.tif", "same value"),
    ("openncem/Camera Ceta Diffraction Micro.emd", ""),
    ("scikit-ued/hotspots.tif", ""),
    ("scikit-ued/ewald_walkoff.tif", ""),
])
def test_what_is_not_measurable_as_rings_says_so(real_data, name, said):
    result = rings(read_one(real_data / name))
    assert not len(result.tables["rings"])
    assert said in result.outcome


# ---- calibration --------------------------------------------------------------------------------


@pytest.mark.parametrize("stated", [0.0408, None])
def test_a_standard_calibrates_other_patterns(stated, tmp_path):
    """Stated 2 % wrong, or not at all; the rings of another sample then come out right."""
    from emtools.instrument import InstrumentCalibration, calibrate_rings

    def pattern(sample, seed):
        image, truth = simulate.rings(sample, shape=(400, 400), pixel_size_per_nm=0.04, rng=seed,
                                      ellipticity=0.02, stated_pixel_size_per_nm=stated,
                                      camera_length_mm=255.8)
        if stated is None:
            image = plane_image(np.array(image.data), acquisition=image.acquisition)
        return image, truth

    calibration = calibrate_rings(pattern("Au", 1)[0], "Au", reproducibility=0.0)
    file = tmp_path / "saed.toml"
    calibration.write(file)
    again = InstrumentCalibration.read(file)
    assert again == calibration
    image, truth = pattern("PbS", 2)
    right = again.apply(image)
    assert right.calibration().unit == "1/nm"
    assert right.pixel_size("1/nm") == pytest.approx((0.04, 0.04), rel=0.02)
    result = rings(right, phases=("PbS",))
    assert result.summary["ellipticity"].value < 0.1  # it was the lens's
    for row in truth["rings"].head(3).to_dict("records"):
        assert nearest(result, row["k_per_nm"])["d_spacing_nm"] == pytest.approx(
            row["d_spacing_nm"], rel=1e-3)
    assert result.summary["scale_err_percent"] < 0.1


def test_calibration_of_patterns_is_not_for_images_and_says_what_is_wrong():
    from emtools.errors import CalibrationError
    from emtools.instrument import calibrate_rings

    standard, _ = simulate.rings("Au", rng=1)
    calibration = calibrate_rings(standard, "Au")
    with pytest.raises(CalibrationError, match="for diffraction patterns"):
        calibration.apply(simulate.blank("noise", shape=(96, 96))[0])
    with pytest.raises(CalibrationError, match="rings of PbS"):
        calibrate_rings(standard, "PbS")
    with pytest.raises(CalibrationError, match="has axes in nm"):
        calibrate_rings(simulate.blank("noise", shape=(96, 96))[0], "Au")


def test_a_pattern_written_as_tiff_keeps_its_scale(tmp_path):
    from emtools.io.writing import write_image

    image, _ = simulate.rings("Au", shape=(200, 220), pixel_size_per_nm=0.07, rng=1)
    write_image(image, tmp_path / "au.tif")
    again = read_one(tmp_path / "au.tif")
    assert again.pixel_size("1/nm") == pytest.approx((0.07, 0.07), rel=1e-5)
    assert load("rings").why_not(again) is None


@pytest.mark.real
def test_a_single_crystal_is_told_from_rings_and_its_net_is_found(real_data):
    """Spots on a regular net, the centre behind the beam stop (its catalogue)."""
    result = rings(read_one(real_data / "scikit-ued" / "ewald_walkoff.tif"))
    assert "spots of a single crystal" in result.outcome
    assert result.summary["spots_on_net"] > 40
    assert result.summary["net_share_percent"] > 90
    assert len(result.tables["spots"]) > 20


@pytest.mark.parametrize("zone_axis", [(0, 0, 1), (1, 1, 0)])
def test_spots_of_a_crystal_are_indexed_with_their_zone_axis(zone_axis):
    """A pattern drawn spot by spot: silicon would not have these absences."""
    pixel, centre = 0.04, np.array([150.0, 165.0])
    zone = phase("PbS").in_zone(zone_axis, 0.09, "SAED")
    y, x = np.indices((300, 320), dtype=float)
    turn = np.radians(17.0)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    ideal = 20 + 400 * np.exp(-np.hypot(y - centre[0], x - centre[1]) / 25)
    for g, factor in zip([*zone.g_yx_per_nm, np.zeros(2)], [*zone.structure_factor, 1.0],
                         strict=True):
        at = centre + rotation @ g / pixel
        ideal += 3000 * abs(factor) * np.exp(-0.5 * ((y - at[0])**2 + (x - at[1])**2) / 1.6**2)
    noisy = np.random.default_rng(1).poisson(ideal).astype(np.float32)
    image = plane_image(noisy, acquisition=Acquisition(modality="SAED")).calibrated(pixel, "1/nm")
    result = rings(image, phases=("PbS",))
    assert "spots of a single crystal; PbS" in result.outcome
    # The engine names the one of equal axes with the lowest, then largest, indices.
    named = sorted(int(i) for i in str(result.summary["zone_axis"]).split())
    assert named == sorted(zone_axis)
    spots = result.tables["spots"]
    d = phase("PbS").d_spacing_nm([[int(i) for i in hkl.split()] for hkl in spots["hkl"] if hkl])
    known = spots[spots["hkl"] != ""]
    assert len(known) > 0.8 * len(spots) > 4
    np.testing.assert_allclose(known["d_spacing_nm"], d, rtol=5e-3)


def test_no_net_of_spots_on_rings_or_halos():
    from emtools.measure.rings.spots import find_net
    from emtools.process.plane import as_plane

    for settings in ({"phases": {}, "halo": 1.0}, {}, {"crystals_per_ring": 60}):
        for seed in range(3):
            image, _ = simulate.rings(**{"phases": "Au", "rng": seed} | settings)
            plane = as_plane(image)
            assert find_net(plane, sound_pixels(plane.values, plane.mask)) is None
