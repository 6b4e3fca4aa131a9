"""Spectra of regions, and maps of windows of energy: what a person draws on a spectrum image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import emtools
from emtools.errors import ImageError, ParameterError
from emtools.process.spectra import region_spectrum, window_map

SAMPLES = Path(__file__).parent.parent / "sample_images"


@pytest.fixture(scope="module")
def image():
    return next(one for one in emtools.read(SAMPLES / "pbs_eds.hspy")
                if one.has_axis("energy"))


def test_spectrum_of_a_region_is_the_sum_of_its_pixels(image):
    region = np.zeros(image.shape[:2], dtype=bool)
    region[10:20, 5:40] = True
    spectrum = region_spectrum(image, region)
    assert [axis.name for axis in spectrum.axes] == ["energy"]
    np.testing.assert_allclose(spectrum.data, np.asarray(image.data)[10:20, 5:40].sum((0, 1)))
    assert spectrum.axis("energy") == image.axis("energy")


def test_masked_pixels_are_in_no_spectrum_and_no_map(image):
    mask = np.ones(image.shape[:2], dtype=bool)
    mask[:16] = False
    masked = replace(image, mask=mask)
    whole = region_spectrum(image).data
    np.testing.assert_allclose(region_spectrum(masked).data,
                               whole - np.asarray(image.data)[:16].sum((0, 1)))
    assert np.isnan(window_map(masked, 2.0, 3.0).data[:16]).all()


def test_region_is_quantified_as_in_the_whole(image):
    """The spectrum of a region alone says what its composition among the others says."""
    labels = np.zeros(image.shape[:2], dtype=int)
    middle = image.shape[0] // 2
    labels[middle - 16:middle + 16] = 1
    among = emtools.eds(image, elements=("Pb", "S"), regions=labels).tables["composition"]
    among = among[among["region"] == "1"].set_index("element")
    alone = emtools.eds(region_spectrum(image, labels == 1), elements=("Pb", "S"))
    alone = alone.tables["composition"].set_index("element")
    for element in ("Pb", "S"):
        apart = alone["atomic_percent"][element] - among["atomic_percent"][element]
        assert abs(apart) < 2 * np.hypot(alone["atomic_percent_err"][element],
                                         alone["atomic_percent_k_err"][element])


def test_window_map_holds_the_counts_of_its_channels(image):
    energy = image.axis("energy")
    channels = energy.offset + energy.pixel_size * np.arange(energy.size)
    inside = (channels >= 2.2) & (channels < 2.5)
    found = window_map(image, 2.2, 2.5)
    assert [axis.name for axis in found.axes] == ["y", "x"]
    assert found.pixel_size("nm") == image.pixel_size("nm")
    np.testing.assert_allclose(found.data, np.asarray(image.data)[..., inside].sum(-1))


def test_what_was_drawn_beside_it_is_said(image):
    with pytest.raises(ParameterError, match="no pixel"):
        region_spectrum(image, np.zeros(image.shape[:2], dtype=bool))
    with pytest.raises(ParameterError, match="no channel"):
        window_map(image, 90.0, 95.0)
    with pytest.raises(ImageError, match="energy"):
        region_spectrum(emtools.Image(np.zeros((4, 4)), tuple(
            emtools.Axis(name, 4) for name in "yx")))
