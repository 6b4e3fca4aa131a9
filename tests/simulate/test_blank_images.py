"""Blank frames show what they say and have truths of zero rows."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from emtools.errors import ParameterError
from emtools.simulate import blank, chains
from emtools.simulate._blank import BlankKind

KINDS = get_args(BlankKind)


@pytest.mark.parametrize("kind", KINDS)
def test_truth_has_zero_rows_with_the_dtypes_of_found_objects(kind):
    image, truth = blank(kind, shape=(128, 96))
    assert image.shape == (128, 96)
    assert np.isfinite(image.load()).all()
    _, found = chains(shape=(256, 256), n_chains=1, n_dots=(4, 4))
    for name in ("chains", "gaps", "dots", "axes"):
        assert len(truth[name]) == 0
        assert (truth[name].dtypes == found[name].dtypes).all()
    assert {"reflections", "grains"} <= set(truth)


def test_kinds_differ_and_repeat():
    seen = [blank(kind, shape=(64, 64))[0].load().tobytes() for kind in KINDS]
    assert len(set(seen)) == len(KINDS)
    assert blank("hum", rng=3)[0].load().tobytes() == blank("hum", rng=3)[0].load().tobytes()


def test_constant_is_constant_and_noise_is_poisson():
    assert np.ptp(blank("constant")[0].load()) == 0
    noise = blank("noise", counts=70.0)[0].load()
    assert noise.mean() == pytest.approx(70, rel=0.01)
    assert noise.var() == pytest.approx(70, rel=0.02)


def test_stripes_are_rows_and_hum_is_one_pair_of_spots():
    stripes = blank("stripes", counts=None)[0].load()
    assert np.ptp(stripes, axis=1).max() == 0
    power = np.abs(np.fft.fft2(blank("hum", counts=None)[0].load() - 1)) ** 2
    strongest = np.argsort(power.ravel())[::-1]
    assert power.ravel()[strongest[:40]].sum() > 0.5 * power.sum()


def test_amorphous_tem_film_is_coloured():
    image = blank("amorphous", modality="TEM", pixel_size_nm=0.03, counts=None)[0]
    power = np.abs(np.fft.fft2(image.load() - 1)) ** 2
    k = np.hypot(*np.meshgrid(*[np.fft.fftfreq(512, 0.03)] * 2))
    assert power[(k > 2) & (k < 4)].mean() > 100 * power[k > 12].mean()


@pytest.mark.parametrize("options", [
    {"amplitude": 0.4}, {"counts": 50.0}, {"background_gradient": 0.5}, {"rng": 2},
    {"pixel_size_nm": 0.2}, {"modality": "TEM"},
])
def test_every_option_has_an_effect(options):
    plain, changed = blank("amorphous")[0], blank("amorphous", **options)[0]
    assert not np.array_equal(plain.load(), changed.load())


def test_unknown_kind_is_a_typed_error():
    with pytest.raises(ParameterError, match="hum"):
        blank("snow")
