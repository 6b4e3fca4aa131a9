"""Composition from spectra: simulated truth, honest uncertainties, what is not there, bad input."""

from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest

import emtools
from emtools import Axis, Image, simulate, xrays
from emtools.errors import CalibrationError, ImageError, ParameterError
from emtools.measure.eds.areas import Shapes
from emtools.measure.eds.fit import fit_spectrum
from emtools.measure.eds.identify import Setting
from emtools.measure.eds.response import Response
from emtools.model import Acquisition

K = {"Pb_Ma": 2.4, "S_Ka": 1.02}
CHANNELS, WIDTH = 1024, 0.02


def spectrum(counts, beam=200.0, **axis) -> Image:
    energy = Axis("energy", len(counts), WIDTH, "keV", source="user")
    return Image(np.asarray(counts), (replace(energy, **axis),),
                 acquisition=Acquisition(modality="EDS", beam_energy_keV=beam))


def means(composition: dict[str, float], **physics):
    """Expected counts of lines with given areas, over bremsstrahlung."""
    image, _ = simulate.spectrum(composition, channels=CHANNELS, channel_keV=WIDTH, ideal=True,
                                 **physics)
    return np.array(image.load())


PBS = {"Pb_Ma": 2600.0, "Pb_La": 1500.0, "S_Ka": 2000.0, "C_Ka": 3000.0, "Cu_Ka": 1500.0,
       "Cu_La": 1200.0}


def row(result, element: str, region: str = "all"):
    table = result.tables["composition"]
    return table[(table.element == element) & (table.region == region)].iloc[0]


# ---- sulfur and lead ----------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.2, 3.0, 50.0])
def test_sulfur_and_lead_are_told_apart_without_bias_and_errors_cover(scale):
    random = np.random.default_rng(1)
    mean = scale * means(PBS)
    pulls = {"Pb": [], "S": []}
    for _ in range(10):
        result = emtools.eds(spectrum(random.poisson(mean)), elements=("Pb", "S", "C", "Cu"),
                             k_factors=K | {"C_Ka": 2.8, "Cu_Ka": 1.6})
        for element, line in (("Pb", "Pb_Ma"), ("S", "S_Ka")):
            found = row(result, element)
            assert found.line == line[-2:]
            pulls[element].append((found.counts - scale * PBS[line]) / found.counts_err)
    for element, values in pulls.items():
        # 3 sigma of mean and spread of 10; docs/validation/eds.txt has hundreds.
        assert abs(np.mean(values)) < 0.95, element
        assert 0.4 < np.std(values) < 1.65, element


@pytest.mark.parametrize("physics", [
    {"shallow_nm": 80.0}, {"doublets": False}, {"shift_eV": -25.0, "mn_ka_fwhm_eV": 145.0},
], ids=["charge lost near the entrance", "doublets as one line", "axis and resolution"])
def test_sulfur_beside_lead_whatever_the_detector_does(physics):
    scale = 20.0
    found = row(emtools.eds(spectrum(scale * means(PBS, **physics)), elements=("Pb", "S"),
                            k_factors=K), "S")
    # Expected counts: no noise, so that only the model is off.
    assert abs(found.counts - scale * PBS["S_Ka"]) < 0.35 * found.counts_err


def test_tails_of_strong_peaks_are_no_elements():
    mean = means({"Ag_La": 6e4, "S_Ka": 6e4, "C_Ka": 2e4}, shallow_nm=60.0)
    found = emtools.eds(spectrum(np.random.default_rng(3).poisson(mean)))
    assert set(found.tables["composition"].element) == {"Ag", "S", "C"}


def test_lead_without_sulfur_shows_none_and_the_other_way_round():
    random = np.random.default_rng(2)
    for there, missing in (("Pb", "S"), ("S", "Pb")):
        lines = {name: area for name, area in PBS.items() if not name.startswith(missing + "_")}
        found = 0
        for _ in range(4):
            result = emtools.eds(spectrum(random.poisson(means(lines))), elements=("Pb", "S"))
            assert row(result, there).detected
            absent = row(result, missing)
            found += bool(absent.detected)
            assert np.isnan(absent.atomic_percent)
            assert absent.limit_atomic_percent > 0
            assert row(result, there).atomic_percent == pytest.approx(100.0)
        assert found == 0


def test_limits_hold_what_is_there_but_not_seen():
    """A trace below detection lies under its 95 % limit as often as that says."""
    random = np.random.default_rng(3)
    trace = {"Pb_Ma": 2600.0, "Pb_La": 1500.0, "S_Ka": 60.0}
    true = 100 * (60 * 1.02 / 32.06) / (60 * 1.02 / 32.06 + 2600 * 2.4 / 207.2)
    under = [row(emtools.eds(spectrum(random.poisson(means(trace))), elements=("Pb", "S"),
                             k_factors=K, false_alarm_rate=1e-6), "S").limit_atomic_percent > true
             for _ in range(12)]
    assert np.mean(under) >= 0.75


def test_copper_indium_sulfide_on_a_copper_grid():
    (image, _), truth = simulate.spectrum_image("CuInS2", shape=(40, 60), counts=120.0,
                                                grid="Cu", grid_counts=0.2, rng=4)
    k = {"Cu_Ka": 1.6, "In_La": 2.5, "S_Ka": 1.02}
    result = emtools.eds(image, elements=("Cu", "In", "S"), k_factors=k)
    true = truth["composition"]
    for element, line in (("Cu", "Ka"), ("In", "La"), ("S", "Ka")):
        found = row(result, element)
        counts = true[(true.element == element) & (true.line == line)].counts.sum()
        assert abs(found.counts - counts) < 4 * found.counts_err, element


def test_k_factors_go_by_name_not_by_order():
    image = spectrum(means(PBS).round())
    for given in (K, dict(reversed(K.items()))):
        result = emtools.eds(image, elements=("S", "Pb"), k_factors=given)
        assert row(result, "S").k_factor == 1.02
        assert row(result, "Pb").k_factor == 2.4
        assert row(result, "Pb").k_source == "given"


def test_an_error_of_a_given_k_factor_is_kept_apart_from_counting():
    image = spectrum(means(PBS).round())
    plain = row(emtools.eds(image, elements=("Pb", "S"), k_factors=K), "S")
    wide = row(emtools.eds(image, elements=("Pb", "S"), k_factors=K | {"S_Ka_err": 0.1}), "S")
    assert wide.atomic_percent_err == pytest.approx(plain.atomic_percent_err)
    share = plain.atomic_percent / 100
    added = np.sqrt(wide.atomic_percent_k_err**2 - plain.atomic_percent_k_err**2)
    assert added == pytest.approx(100 * share * (1 - share) * 0.1, rel=0.02)


def test_zeta_factors_give_the_mass_thickness_too():
    image = spectrum(means(PBS).round())
    zeta = {name: 250.0 * value for name, value in K.items()}
    result = emtools.eds(image, elements=("Pb", "S"), zeta_factors=zeta, electrons=1e12)
    by_k = emtools.eds(image, elements=("Pb", "S"), k_factors=K)
    assert row(result, "S").atomic_percent == pytest.approx(row(by_k, "S").atomic_percent)
    true = 250.0 * (2.4 * 2600 + 1.02 * 2000) / 1e12
    found = result.summary["mass_thickness"]
    assert found.unit == "kg/m2"
    assert abs(found.value - true) < 3 * found.err
    assert found.err < 0.05 * true


# ---- the detector -------------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [-0.03, 0.03])
def test_a_shifted_axis_is_found(shift):
    counts = np.random.default_rng(5).poisson(10 * means(PBS))
    result = emtools.eds(spectrum(counts, offset=shift), elements=("Pb", "S"))
    assert result.summary["energy_shift_eV"] == pytest.approx(1e3 * shift, abs=3.0)
    assert abs(row(result, "S").counts - 20000) < 4 * row(result, "S").counts_err


def test_elements_are_found_without_being_named():
    counts = np.random.default_rng(6).poisson(5 * means(PBS))
    assert set(emtools.eds(spectrum(counts)).tables["composition"].element) == \
        {"Pb", "S", "C", "Cu"}


def test_bremsstrahlung_alone_shows_no_element():
    energy = np.maximum(WIDTH * np.arange(CHANNELS), WIDTH)
    brems = (200 - energy) / energy * np.exp(-((0.45 / energy) ** 3))
    random = np.random.default_rng(7)
    found = 0
    for _ in range(6):
        result = emtools.eds(spectrum(random.poisson(2e4 * brems / brems.sum())))
        found += len(result.tables["composition"])
    assert found == 0


def test_what_is_in_the_spectrum_but_not_asked_for_is_named_and_does_not_disturb():
    counts = np.random.default_rng(8).poisson(5 * means(PBS))
    result = emtools.eds(spectrum(counts), elements=("Pb", "S"), k_factors=K)
    assert set(result.summary["also_in_the_spectrum"].split(", ")) == {"C", "Cu"}
    assert abs(row(result, "Pb").counts - 13000) < 4 * row(result, "Pb").counts_err
    assert "Pb Ma and S Ka" in result.summary["overlaps"]


# ---- maps, regions, profiles --------------------------------------------------------------------


@pytest.fixture(scope="module")
def scan():
    return simulate.spectrum_image("PbS", shape=(36, 72), counts=60.0, rng=9)


def test_maps_are_unbiased_at_very_few_counts():
    """At 0.05 counts a channel and pixel sums of signed maps are the fit of the sum."""
    mean = means(PBS)
    mean *= 0.05 * CHANNELS / mean.sum()
    cube = np.random.default_rng(10).poisson(mean, (40, 50, CHANNELS)).astype(np.uint16)
    axes = (Axis("y", 40, 1.0, "nm"), Axis("x", 50, 1.0, "nm"),
            Axis("energy", CHANNELS, WIDTH, "keV"))
    image = Image(cube, axes, acquisition=Acquisition(modality="EDS", beam_energy_keV=200.0))
    result = emtools.eds(image, elements=("Pb", "S"), k_factors=K)
    share = 0.05 * CHANNELS / means(PBS).sum()
    maps = {options["name"]: data for data, options, kind in result.layers if kind == "image"}
    for name, line in (("Pb Ma", "Pb_Ma"), ("S Ka", "S_Ka")):
        values, err = maps[name], maps[f"{name} 1 sigma"]
        # Its own noise, and what the shapes, which are fitted to the sum, have of the sum's.
        of_mean = values.std() / np.sqrt(values.size)
        of_sum = row(result, name[:2].strip()).counts_err / values.size
        assert values.mean() == pytest.approx(row(result, name[:2].strip()).counts / values.size,
                                              abs=2 * of_mean)
        assert abs(values.mean() - share * PBS[line]) < 3 * np.hypot(of_mean, of_sum)
        assert values.min() < 0
        assert np.sqrt(np.mean(err**2)) == pytest.approx(values.std(), rel=0.06)


def test_windows_hold_what_was_recorded_overlaps_and_all(scan):
    (image, _), _ = scan
    maps = {options["name"]: data for data, options, _ in
            emtools.eds(image, elements=("Pb", "S"), k_factors=K).layers}
    cube, energy = np.array(image.data), image.axis("energy").coordinates()
    near = np.abs(energy - 2.307) <= xrays.detector_fwhm_keV(2.307)
    np.testing.assert_array_equal(maps["S Ka window"], cube[..., near].sum(axis=2))
    # A window of sulfur is a map of lead: that is what the fit is for.
    assert maps["S Ka window"].sum() > 2.5 * maps["S Ka"].sum()


def test_maps_of_shares_cover_the_truth_and_are_as_fine_as_counts_allow():
    mean = means({name: area for name, area in PBS.items() if name[:2] in ("Pb", "S_")})
    sides = []
    for density in (0.05, 0.8):
        scaled = mean * density * CHANNELS / mean.sum()
        cube = np.random.default_rng(12).poisson(scaled, (48, 72, CHANNELS)).astype(np.uint16)
        axes = (Axis("y", 48, 1.0, "nm"), Axis("x", 72, 1.0, "nm"),
                Axis("energy", CHANNELS, WIDTH, "keV"))
        image = Image(cube, axes, acquisition=Acquisition(modality="EDS", beam_energy_keV=200.0))
        result = emtools.eds(image, elements=("Pb", "S"), k_factors=K)
        maps = {options["name"]: data for data, options, kind in result.layers if kind == "image"}
        values, err = (maps[name] for name in ("S at.%", "S at.% 1 sigma"))
        assert np.isfinite(values).mean() > 0.95
        np.testing.assert_allclose(maps["Pb at.%"] + values, 100.0, atol=1e-6, equal_nan=True)
        sulfur, lead = 2000 * 1.02 / 32.06, 2600 * 2.4 / 207.2
        once = np.unique(np.stack([values.ravel(), err.ravel()]), axis=1)
        pulls = (once[0] - 100 * sulfur / (sulfur + lead)) / once[1]
        assert np.mean(np.abs(pulls) < 1.96) > 0.88
        assert abs(pulls.mean()) < 0.5
        sides.append(values.size / once.shape[1])
    assert sides[1] < 0.5 * sides[0]


@pytest.mark.parametrize(("kind", "words"), [("pca", "principal"), ("nmf", "non-negative")])
def test_components_smooth_maps_keep_sums_and_say_so(kind, words):
    (image, haadf), _ = simulate.spectrum_image("PbS", shape=(40, 64), counts=30.0, rng=15)
    plain = emtools.eds(image, elements=("Pb", "S"))
    smooth = emtools.eds(image, elements=("Pb", "S"), components=3, decomposition=kind)
    assert plain.tables["composition"].equals(smooth.tables["composition"])
    assert f"3 {words} components" in smooth.summary["maps"]
    one, other = ({options["name"]: data for data, options, _ in result.layers}["S Ka"]
                  for result in (plain, smooth))
    film = np.array(haadf.data) < np.percentile(haadf.data, 60)
    assert other[film].std() < 0.5 * one[film].std()
    assert other[~film].mean() > 2 * abs(other[film].mean())
    err = {options["name"]: data for data, options, _ in plain.layers}["S Ka 1 sigma"]
    assert other.sum() == pytest.approx(one.sum(), abs=float(np.sqrt((err**2).sum())))


def test_principal_components_keep_a_chain_on_few_of_the_pixels():
    (image, haadf), _ = simulate.spectrum_image("PbS", shape=(80, 120), counts=20.0, rng=15)
    chain = np.array(haadf.data) > np.percentile(haadf.data, 98)
    raw, smooth = (
        next(data for data, options, _ in emtools.eds(
            image, elements=("Pb", "S"), k_factors=K, components=n).layers
             if options["name"] == "Pb Ma") for n in (0, 3))
    assert smooth[chain].mean() == pytest.approx(raw[chain].mean(), rel=0.05)
    assert smooth[~chain].std() < 0.9 * raw[~chain].std()


def test_lazy_spectra_give_the_same(scan):
    (image, _), _ = scan
    lazy = replace(image, data=da.from_array(np.array(image.data), chunks=(7, 30, 400)))
    a, b = (emtools.eds(one, elements=("Pb", "S")) for one in (image, lazy))
    np.testing.assert_allclose(a.tables["composition"].counts, b.tables["composition"].counts)
    np.testing.assert_allclose(a.layers[0][0], b.layers[0][0], atol=1e-4)


def test_drawn_regions_have_their_own_composition(scan):
    (image, haadf), _ = scan
    labels = np.zeros(image.shape[:2], dtype=int)
    labels[np.array(haadf.data) > np.percentile(haadf.data, 80)] = 7
    labels[:4] = 3
    result = emtools.eds(image, elements=("Pb", "S"), k_factors=K, regions=labels)
    assert list(dict.fromkeys(result.tables["composition"].region)) == ["all", "3", "7"]
    assert row(result, "Pb", "7").detected
    assert not row(result, "Pb", "3").detected
    assert abs(row(result, "Pb", "7").atomic_percent - 50) < 4 * row(result, "Pb",
                                                                    "7").atomic_percent_err


def test_profile_along_a_traced_chain_and_the_film_beside_it(scan):
    (image, haadf), _ = scan
    chains = emtools.chains(haadf)
    assert len(chains.tables["chains"]) == 1
    for film in ("kept", "subtracted"):
        result = emtools.eds(image, elements=("Pb", "S", "C"), k_factors=K, chains=chains,
                             film=film)
        regions = set(result.tables["composition"].region)
        assert regions == {"all", "chain 1", "dots", "gaps", "film"}
        profile = result.tables["profile"]
        lead = profile[profile.element == "Pb"]
        assert lead.s_nm.is_monotonic_increasing
        whole = row(result, "Pb", "chain 1")
        assert lead.counts.sum() == pytest.approx(whole.counts, abs=3 * whole.counts_err)
        carbon = row(result, "C", "chain 1")
        assert bool(carbon.counts > 3 * carbon.counts_err) == (film == "kept")
    assert {"Pb_gaps_minus_dots", "S_gaps_minus_dots_p_value"} <= set(result.summary)


def test_gaps_and_dots_alike_are_not_told_apart():
    """A simulated 'no difference' comes out as none."""
    values = []
    for seed in range(6):
        (image, haadf), _ = simulate.spectrum_image("PbS", shape=(36, 72), counts=60.0, rng=seed)
        result = emtools.eds(image, elements=("Pb", "S"), k_factors=K, film="subtracted",
                             chains=emtools.chains(haadf))
        values += [one for name, one in result.summary.items() if name.endswith("dots_p_value")]
    assert min(values) > 1e-3


def test_profile_along_a_drawn_line(scan):
    (image, _), _ = scan
    result = emtools.eds(image, elements=("Pb", "S"), lines=[np.array([[14.0, 2.0], [14.0, 50.0]])],
                         line_width_nm=8.0, step_nm=4.0)
    profile = result.tables["profile"]
    assert set(profile.region) == {"line"}
    assert np.diff(profile.s_nm.unique()) == pytest.approx(4.0)
    assert (profile.counts_err > 0).all()


def test_transposed_spectra_swap_rows_and_columns(scan):
    (image, _), _ = scan
    turned = Image(np.array(image.data).transpose(1, 0, 2),
                   (replace(image.axes[1], name="y"), replace(image.axes[0], name="x"),
                    image.axes[2]), acquisition=image.acquisition)
    a, b = (emtools.eds(one, elements=("Pb", "S")) for one in (image, turned))
    np.testing.assert_allclose(a.layers[0][0].T, b.layers[0][0], atol=1e-4)
    np.testing.assert_allclose(a.tables["composition"].counts, b.tables["composition"].counts)


def test_absorption_raises_what_is_absorbed_most():
    image = spectrum(means({"O_Ka": 5000.0, "Si_Ka": 6000.0}).round())
    thin = emtools.eds(image, elements=("O", "Si"))
    thick = emtools.eds(image, elements=("O", "Si"), thickness_nm=300.0, density_g_cm3=2.2)
    assert row(thick, "O").atomic_percent > row(thin, "O").atomic_percent + 2.0


# ---- what cannot be answered --------------------------------------------------------------------


def test_elements_without_a_line_in_range_have_a_row_that_says_so():
    result = emtools.eds(spectrum(means(PBS).round()), elements=("Pb", "H"))
    assert row(result, "H").line == ""
    assert not row(result, "H").detected
    assert np.isnan(row(result, "H").counts)


def test_without_a_beam_energy_only_given_k_factors_count():
    image = spectrum(means(PBS).round(), beam=None)
    given = emtools.eds(image, elements=("Pb", "S"), k_factors=K)
    assert row(given, "S").atomic_percent > 0
    computed = emtools.eds(image, elements=("Pb", "S"))
    assert np.isnan(row(computed, "S").atomic_percent)
    assert row(computed, "S").counts > 0
    assert "S none: not given, and the beam energy is not known" in computed.summary["k_factors"]
    told = emtools.eds(image, elements=("Pb", "S"), beam_energy_keV=200.0)
    assert row(told, "S").atomic_percent > 0


def test_no_counts_are_not_measurable():
    result = emtools.eds(spectrum(np.zeros(CHANNELS)))
    assert result.outcome.startswith("not measurable: 0 counts")
    assert len(result.tables["composition"]) == 0


def test_pixels_without_counts_and_a_strobe_do_no_harm():
    (image, _), _ = simulate.spectrum_image("PbS", shape=(24, 40), rng=11)
    cube = np.array(image.data)
    cube[:6] = 0
    cube[..., :4] += 5000
    spoiled = emtools.eds(replace(image, data=cube), elements=("Pb", "S"))
    assert row(spoiled, "Pb").detected
    assert np.isfinite(spoiled.layers[0][0]).all()


@pytest.mark.parametrize(("change", "error", "said"), [
    ({"unit": "px"}, CalibrationError, "not in keV"),
    ({"pixel_size": 10.0}, CalibrationError, "electronvolts taken for keV"),
    ({"name": "y"}, ImageError, "no energy axis"),
])
def test_wrong_energy_axes_are_named(change, error, said):
    with pytest.raises(error, match=said):
        emtools.eds(spectrum(means(PBS).round(), **change))


def test_what_are_no_counts_is_refused():
    with pytest.raises(ImageError, match="negative counts"):
        emtools.eds(spectrum(means(PBS) - 50.0))
    with pytest.raises(ImageError, match="no counts"):
        emtools.eds(spectrum(means(PBS).astype(complex)))


@pytest.mark.parametrize("parameters", [
    {"elements": ("Xx",)}, {"k_factors": {"S": 1.0}}, {"k_factors": {"S_Ka": -1.0}},
    {"k_factors": K, "zeta_factors": K}, {"electrons": -1.0}, {"components": -1},
    {"thickness_nm": 50.0}, {"step_nm": 0.0}, {"false_alarm_rate": 0.0}, {"take_off_deg": 0.0},
    {"beam_energy_keV": 0.2}, {"film": "gone"},
    {"regions": np.zeros((3, 3), dtype=int)}, {"lines": [np.zeros((1, 2))]},
])
def test_wrong_parameters_are_named(parameters):
    with pytest.raises(ParameterError):
        emtools.eds(spectrum(means(PBS).round()), **parameters)


# ---- parts --------------------------------------------------------------------------------------


def test_the_fit_of_regions_agrees_with_that_of_the_sum():
    mean = 20 * means(PBS)
    energy = WIDTH * np.arange(CHANNELS)[10:]
    setting = Setting(energy, 200.0, xrays.Detector(), Response(), lambda _: [])
    fit = fit_spectrum(setting.model(["Pb", "S", "C", "Cu"]), mean[10:])
    areas = Shapes(fit).fit(mean[10:])
    np.testing.assert_allclose(areas.counts, fit.counts, rtol=0.02, atol=0.2 * fit.err.max())


@pytest.mark.parametrize(("element", "line", "low", "high"), [
    # k-factors at 200 kV with Si Ka = 1, as makers' tables and measurements have them.
    ("Fe", "Ka", 1.2, 1.6), ("Cu", "Ka", 1.4, 2.0), ("S", "Ka", 0.95, 1.2), ("Pt", "La", 4.0, 6.0),
])
def test_computed_k_factors_are_of_the_usual_size(element, line, low, high):
    assert low < xrays.k_factor(element, line, 200.0, xrays.Detector()) < high


def test_ionisation_needs_the_edge_and_falls_with_energy():
    assert xrays.cross_section("Si", "K", 1.5) == 0.0
    assert xrays.cross_section("Si", "K", 10.0) > xrays.cross_section("Si", "K", 200.0) > 0


def test_escape_needs_the_silicon_edge():
    assert xrays.escape_fraction(1.5) == 0.0
    assert 0.005 < xrays.escape_fraction(2.3) < 0.03
    assert xrays.escape_fraction(8.0) < xrays.escape_fraction(3.0)


# ---- regions, masks, pixels ---------------------------------------------------------------------


def chain_of(haadf):
    chains = emtools.chains(haadf)
    assert len(chains.tables["chains"]) == 1
    return chains


def test_masked_pixels_count_neither_in_sums_nor_in_sizes(scan):
    (image, haadf), _ = scan
    mask = np.ones(image.shape[:2], dtype=bool)
    mask[:8] = False
    result = emtools.eds(replace(image, mask=mask), elements=("Pb", "S", "C"), k_factors=K,
                         chains=chain_of(haadf), film="subtracted")
    carbon = row(result, "C", "chain 1")
    assert abs(carbon.counts) < 4 * carbon.counts_err
    maps = {options["name"]: data for data, options, kind in result.layers if kind == "image"}
    assert np.isnan(maps["Pb Ma"][:8]).all()
    assert np.isfinite(maps["Pb Ma"][8:]).all()


def test_the_haadf_image_of_the_scan_has_its_profile_too(scan):
    from emtools.measure import Run

    (image, haadf), _ = scan
    wanted = {"eds": {"elements": ("Pb", "S"), "step_nm": 1.0}}
    result = Run(image, wanted, ("chains",), (haadf,)).result("eds")
    steps = result.tables["profile"].drop_duplicates("s_nm")
    lead = result.tables["profile"].query("element == 'Pb'").counts.to_numpy()
    assert np.corrcoef(steps.haadf, lead)[0, 1] > 0.8
    assert steps.haadf_err.gt(0).all()
    without = emtools.eds(image, elements=("Pb", "S"), chains=emtools.chains(haadf), step_nm=1.0)
    assert without.tables["profile"].haadf.isna().all()


def test_a_haadf_image_of_finer_pixels_lies_where_the_spectra_lie(scan):
    """Pixels of half the size: places count from the middle of another first pixel."""
    (image, haadf), _ = scan
    fine = replace(haadf, data=np.kron(np.array(haadf.data), np.ones((2, 2))),
                   axes=tuple(replace(axis, size=2 * axis.size, pixel_size=0.5 * axis.pixel_size)
                              for axis in haadf.axes))
    chains = emtools.chains(haadf)
    moved = chains.tables | {
        name: chains.tables[name].assign(**{
            c: chains.tables[name][c] + 0.25 * haadf.pixel_size("nm")[0] for c in ("y_nm", "x_nm")})
        for name in ("axes", "dots")}
    one, other = (emtools.eds(image, elements=("Pb", "S"), chains=replace(chains, tables=tables),
                              haadf=picture).tables for tables, picture in (
                                  (chains.tables, haadf), (moved, fine)))
    assert one["composition"].equals(other["composition"])
    np.testing.assert_allclose(one["profile"].haadf, other["profile"].haadf)


def test_a_picture_of_another_field_is_refused(scan):
    (image, haadf), _ = scan
    with pytest.raises(ParameterError, match="field of the spectra"):
        emtools.eds(image, elements=("Pb",), haadf=haadf.calibrated(2.0, "nm"))


def test_frames_that_drifted_are_moved_onto_each_other():
    (image, _), _ = simulate.spectrum_image("PbS", shape=(40, 60), counts=20.0, rng=5,
                                            film_counts=1.0)
    random = np.random.default_rng(6)
    drift = [(0, 0), (1, 2), (2, 3), (3, 5), (4, 6), (6, 7)]
    cube = np.pad(np.array(image.data), ((8, 8), (8, 8), (0, 0)))
    frames = np.stack([random.binomial(cube[8 - y:48 - y, 8 - x:68 - x], 1 / len(drift))
                       for y, x in drift]).astype(np.uint16)
    stack = replace(image, data=frames, axes=(Axis("frame", len(drift), 1.0, "px"), *image.axes))
    maps = {}
    for how in ("summed", "aligned"):
        result = emtools.eds(stack, elements=("Pb", "S"), k_factors=K, frames=how)
        maps[how] = next(d for d, options, _ in result.layers if options["name"] == "Pb Ma")
    still = next(d for d, options, _ in emtools.eds(
        image, elements=("Pb", "S"), k_factors=K).layers
                 if options["name"] == "Pb Ma")
    assert result.summary["drift"].startswith("up to 9 px")
    same = [np.corrcoef(maps[how].ravel(), still.ravel())[0, 1] for how in maps]
    assert same[1] > 0.75
    assert same[0] < 0.6 * same[1]
    lazy = replace(stack, data=da.from_array(frames, chunks=(1, 20, 60, 400)))
    again = emtools.eds(lazy, elements=("Pb", "S"), k_factors=K, frames="aligned")
    assert again.tables["composition"].equals(result.tables["composition"])


def test_profiles_of_pixels_that_are_not_square_are_in_nm(scan):
    (image, _), _ = scan
    axes = (image.axes[0], replace(image.axes[1], pixel_size=2 * image.axes[1].pixel_size),
            image.axes[2])
    line = np.array([[10.0, 4.0], [10.0, 64.0]])
    result = emtools.eds(replace(image, axes=axes), elements=("Pb", "S"), lines=[line],
                         line_width_nm=6.0, step_nm=5.0)
    steps = result.tables["profile"].s_nm.unique()
    assert steps[0] == pytest.approx(2.5)
    assert steps[-1] == pytest.approx(57.5)


def test_a_drawn_line_takes_nothing_from_a_chain(scan):
    (image, haadf), _ = scan
    chains = chain_of(haadf)
    axis = chains.tables["axes"][["y_nm", "x_nm"]].to_numpy()
    alone = emtools.eds(image, elements=("Pb", "S"), chains=chains)
    both = emtools.eds(image, elements=("Pb", "S"), chains=chains, lines=[axis], line_width_nm=5.0)
    assert row(alone, "Pb", "chain 1").counts == row(both, "Pb", "chain 1").counts
    profile = both.tables["profile"]
    assert set(profile.chain) == {1, 2}
    lead = profile[(profile.element == "Pb") & (profile.chain == 2)].counts.sum()
    assert lead == pytest.approx(row(both, "Pb", "chain 1").counts, rel=0.25)


def test_what_only_a_region_shows_is_in_its_composition():
    (image, _), _ = simulate.spectrum_image("PbS", shape=(24, 40), counts=60.0, rng=13)
    cube = np.array(image.data)
    cube[2, 2] += np.random.default_rng(0).poisson(
        30.0 * means({"Ti_Ka": 1.0}, bremsstrahlung=0.0)).astype(cube.dtype)
    labels = np.zeros(cube.shape[:2], dtype=int)
    labels[1:4, 1:4] = 1
    result = emtools.eds(replace(image, data=cube), elements=("Pb", "Ti"), regions=labels)
    found = row(result, "Ti", "1")
    assert found.detected
    assert found.atomic_percent > 50


def test_absorption_is_in_maps_and_in_the_comparison_of_gaps_too(scan):
    (image, haadf), _ = scan
    plain, thick = (emtools.eds(image, elements=("Pb", "S"), chains=chain_of(haadf), **given)
                    for given in ({}, {"thickness_nm": 800.0, "density_g_cm3": 7.6}))
    medians = []
    for result in (plain, thick):
        maps = {options["name"]: data for data, options, kind in result.layers if kind == "image"}
        medians.append(np.nanmedian(maps["Pb at.%"]))
    change = row(thick, "Pb").atomic_percent - row(plain, "Pb").atomic_percent
    assert abs(change) > 2.0
    assert medians[1] - medians[0] == pytest.approx(change, abs=0.5 * abs(change))
    assert thick.summary["Pb_gaps_minus_dots_p_value"] > 1e-3


def test_chains_that_could_not_be_measured_are_no_failure(scan):
    from emtools.measure import Run

    (image, _), _ = scan
    result = Run(image, {"eds": {"elements": ("Pb", "S")}}, ("chains",), ()).result("eds")
    assert set(result.tables["composition"].region) == {"all"}
    assert result.summary["chains"].startswith("not measurable")


def test_what_is_left_out_is_measured_and_elements_count_once():
    image = spectrum(means(PBS).round())
    result = emtools.eds(image, elements=("Pb", "Pb", "S"), left_out=("Cu",), k_factors=K)
    assert result.tables["composition"].element.tolist() == ["Pb", "S", "Cu"]
    assert np.isnan(row(result, "Cu").atomic_percent)
    assert row(result, "Cu").counts > 0


def test_lines_in_the_details_are_what_was_fitted():
    counts = np.random.default_rng(14).poisson(50 * means(PBS))
    result = emtools.eds(spectrum(counts), elements=("Pb", "S"))
    lines, fitted = result.details["lines"], result.details["spectrum"]
    window = fitted[(fitted.energy_keV > 12.0) & (fitted.energy_keV < 13.4)]
    near = lines[(lines.energy_keV > 12.2) & (lines.energy_keV < 13.2)]
    assert near.counts.sum() == pytest.approx((window.fitted - window.continuum).sum(), rel=0.03)
