"""Simulated EDX: lines, counts and compositions are those of the truth."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from emtools import xrays
from emtools.errors import ParameterError
from emtools.simulate import spectrum_image

QUIET = {"film_counts": 0.0, "grid": "", "bremsstrahlung": 0.0}


def window(spectra, energy_kev, half_kev=0.15):
    energies = spectra.axis("energy").coordinates()
    total = spectra.load().sum(axis=(0, 1))
    return total[np.abs(energies - energy_kev) < half_kev].sum()


def test_axes_and_partner():
    (spectra, haadf), truth = spectrum_image("PbS")
    assert [axis.name for axis in spectra.axes] == ["y", "x", "energy"]
    assert spectra.axis("energy").unit == "keV"
    assert spectra.pixel_size("nm") == haadf.pixel_size("nm") == (0.8, 0.8)
    assert spectra.acquisition.modality == "EDS"
    assert haadf.acquisition.modality == "HAADF"
    assert haadf.shape == spectra.shape[:2]
    assert len(truth["chains"]) == 1
    # Where HAADF is bright, lead radiates.
    lead = spectra.load()[..., 112:123].sum(axis=2)  # around Pb Ma
    bright = haadf.load() > np.quantile(haadf.load(), 0.95)
    assert lead[bright].mean() > 10 * lead[~bright].mean()


def test_counts_of_a_free_line_are_the_truths():
    (spectra, _), truth = spectrum_image("PbS", counts=2000.0, **QUIET)
    table = truth["composition"].set_index(["element", "line"])
    expected = table.loc[("Pb", "La"), "counts"]
    near = sum(line.weight for line in xrays.family("Pb", "L")
               if abs(line.energy_keV - 10.551) < 0.2)
    assert window(spectra, 10.551, 0.4) == pytest.approx(expected * near, rel=0.02)


def test_quantification_by_the_stated_k_factors_gives_the_composition():
    for formula in ("PbS", "CuInS2", "Pb1S1.2"):
        _, truth = spectrum_image(formula, **QUIET)
        table = truth["composition"]
        weights = table.k_factor * table.counts
        atoms = weights / table.element.map(xrays.atomic_weight)
        one_line = ~table.element.duplicated()
        percent = 100 * atoms[one_line] / atoms[one_line].sum()
        np.testing.assert_allclose(percent, table.atomic_percent[one_line], rtol=1e-9)
        assert table.atomic_percent[one_line].sum() == pytest.approx(100.0)


def test_sulphur_hides_under_lead():
    (spectra, _), truth = spectrum_image("PbS", counts=2000.0, **QUIET)
    table = truth["composition"].set_index(["element", "line"]).counts
    measured = window(spectra, 2.33, 0.3)
    family = sum(line.weight for line in xrays.family("Pb", "M")
                 if abs(line.energy_keV - 2.33) < 0.2)
    both = table["Pb", "Ma"] * family + 1.065 * table["S", "Ka"]
    assert measured == pytest.approx(both, rel=0.05)


def test_peaks_have_the_detectors_width():
    (spectra, _), _ = spectrum_image("Al", counts=5000.0, channel_keV=0.005, channels=600, **QUIET)
    total = spectra.load().sum(axis=(0, 1))
    energies = spectra.axis("energy").coordinates()
    mean = (total * energies).sum() / total.sum()
    sigma = np.sqrt((total * (energies - mean) ** 2).sum() / total.sum())
    assert 2.355 * sigma == pytest.approx(xrays.detector_fwhm_keV(1.487), rel=0.05)


def test_grid_and_film_are_left_out_of_the_composition():
    _, truth = spectrum_image("CuInS2", grid="Cu")
    table = truth["composition"].set_index(["element", "line"])
    assert np.isnan(table.loc[("C", "Ka"), "atomic_percent"])
    assert table.loc[("Cu", "Ka"), "atomic_percent"] == pytest.approx(25.0)
    without = spectrum_image("CuInS2", grid="")[1]["composition"].set_index(["element", "line"])
    assert table.loc[("Cu", "Ka"), "counts"] > without.loc[("Cu", "Ka"), "counts"]


OPTIONS = {
    "composition": "CuInS2", "shape": (40, 60), "pixel_size_nm": 0.7, "channels": 900,
    "channel_keV": 0.015, "n_dots": 4, "diameter_nm": 5.0, "gap_nm": 2.0, "blur_nm": 2.0,
    "counts": 100.0, "film_counts": 40.0, "bremsstrahlung": 2.0, "grid": "Ni",
    "grid_counts": 20.0, "mn_ka_fwhm_eV": 180.0, "k_factors": {"Pb_Ma": 1.0}, "rng": 5,
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_has_an_effect(name):
    plain, changed = (spectrum_image(**options)[0][0] for options in ({}, {name: OPTIONS[name]}))
    assert plain.shape != changed.shape or not np.array_equal(plain.load(), changed.load())


def test_no_option_was_forgotten():
    assert set(inspect.signature(spectrum_image).parameters) == {*OPTIONS, "haadf_counts"}
    (_, plain), _ = spectrum_image()
    (_, ideal), _ = spectrum_image(haadf_counts=None)
    assert not np.array_equal(plain.load(), ideal.load())


def test_same_seed_same_bits():
    first, second = spectrum_image(rng=3)[0], spectrum_image(rng=3)[0]
    for one, two in zip(first, second, strict=True):
        assert one.load().tobytes() == two.load().tobytes()


def test_what_is_impossible_is_a_typed_error():
    for options in ({"composition": "lead"}, {"composition": ""}, {"composition": "Xx"},
                    {"composition": "Rf"}, {"grid": "Zz"}, {"pixel_size_nm": -1.0}):
        with pytest.raises(ParameterError):
            spectrum_image(**options)
