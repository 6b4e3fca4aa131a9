"""Pictures of `eds`: all there, drawn, and showing what the result says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import emtools
from emtools import figures, simulate


@pytest.fixture(scope="module")
def measured():
    (image, haadf), _ = simulate.spectrum_image("PbS", shape=(32, 56), counts=60.0, rng=1)
    result = emtools.eds(image, elements=("Pb", "S"), chains=emtools.chains(haadf))
    return image, result


def test_every_figure_is_there_and_drawn(measured):
    image, result = measured
    drawn = figures.pictures(image, result)
    assert set(drawn) == {"spectrum", "composition", "maps", "atomic_percent", "profile"}
    for figure in drawn.values():
        figure.canvas.draw()
        assert np.ptp(np.asarray(figure.canvas.buffer_rgba())[..., :3]) > 100


def test_every_family_is_labelled_at_its_line(measured):
    _, result = measured
    axes = figures.spectrum_figure(result).axes[0]
    labels = {text.get_text(): text.get_position()[0] for text in axes.texts}
    assert {"Pb Mα", "Pb Lα", "S Kα", "C Kα"} <= set(labels)
    assert labels["Pb Lα"] == pytest.approx(10.55, abs=0.03)


def test_maps_are_summed_until_what_is_there_can_be_seen(measured):
    from emtools.figures.eds.maps import element_maps

    _, result = measured
    maps = {one.element: one for one in element_maps(result)}
    assert maps["Pb"].side <= maps["S"].side
    layers = {options["name"]: data for data, options, _ in result.layers}
    rows, columns = maps["S"].counts.shape
    side = maps["S"].side
    assert maps["S"].counts.sum() == pytest.approx(
        layers["S Ka"][:rows * side, :columns * side].sum(), rel=1e-3)


def test_limits_are_arrows_not_points():
    (image, _), _ = simulate.spectrum_image("Pb1", shape=(32, 56), counts=60.0, rng=2)
    result = emtools.eds(image, elements=("Pb", "S"))
    axes = figures.composition_figure(result).axes[0]
    assert any(text.get_text().startswith(" < ") for text in axes.texts)


def test_nothing_measurable_has_no_pictures():
    (image, _), _ = simulate.spectrum_image("PbS", shape=(24, 40), counts=0.0, film_counts=0.0,
                                            grid="", n_dots=1)
    result = emtools.eds(image)
    assert result.outcome.startswith("not measurable")
    assert figures.pictures(image, result) == {}


def test_panels_of_a_profile_have_one_axis_along_the_chain(measured):
    _, result = measured
    profile = result.tables["profile"].copy()
    # Where nothing is detected there is no per cent.
    profile.loc[profile["s_nm"] < 8.0, ["atomic_percent", "atomic_percent_err"]] = np.nan
    drawn = figures.profile_figure(replace(result, tables={**result.tables, "profile": profile}))
    assert len({axes.get_xlim() for axes in drawn.axes}) == 1
