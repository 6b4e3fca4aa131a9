"""Straightening: what was straight stays as it is, lengths along a course are kept."""

import numpy as np
import pytest

from emtools import simulate
from emtools.errors import ImageError, ParameterError
from emtools.model import Axis, Image
from emtools.model.image import plane_image
from emtools.process.straighten import straighten


def spots(shape, places, sigma=2.0):
    """Round spots of height 1 at places (y, x) in pixels."""
    y, x = np.indices(shape)
    return sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * sigma**2)) for a, b in places)


def test_along_a_row_the_image_is_returned_as_it_is():
    pixels = np.random.default_rng(0).normal(100.0, 5.0, size=(60, 90))
    image = plane_image(pixels, 0.5)
    strip = straighten(image, [(15.0, 5.0), (15.0, 20.0), (15.0, 40.0)], 5.0)
    assert strip.shape == (21, 71)
    assert np.allclose(strip.data, pixels[20:41, 10:81], atol=1e-4)
    assert strip.mask is None
    across, s = (axis.coordinates() for axis in strip.axes)
    assert (across[0], across[-1]) == pytest.approx((-5.0, 5.0))
    assert (s[0], s[-1]) == pytest.approx((0.0, 35.0))
    assert {axis.unit for axis in strip.axes} == {"nm"}
    assert strip.axes[0].relative_err == pytest.approx(0.025)


def test_between_pixels_the_interpolation_is_cubic():
    x = np.arange(90)
    image = plane_image(np.ones((40, 1)) * np.sin(2 * np.pi * x / 12.0))
    strip = straighten(image, [(20.5, 20.5), (20.5, 60.5)], 2.0)
    true = np.sin(2 * np.pi * (20.5 + strip.axes[1].coordinates()) / 12.0)
    assert np.abs(strip.data - true).max() < 3e-3  # linear: 0.03


def test_down_a_column_is_a_turn_and_no_mirror_image():
    pixels = np.random.default_rng(0).normal(size=(60, 90))
    strip = straighten(plane_image(pixels), [(10.0, 30.0), (50.0, 30.0)], 4.0)
    assert np.allclose(strip.data, np.rot90(pixels[10:51, 26:35]), atol=1e-5)


def test_known_dots_on_an_arc_come_to_lie_on_a_line_at_their_arc_lengths():
    radius, pixel = 80.0, 0.4  # px, nm
    turns = np.radians([10.0, 40.0, 75.0])
    places = np.stack([20.0 + radius * np.sin(turns), 20.0 + radius * np.cos(turns)], axis=-1)
    image = plane_image(spots((120, 120), places), pixel)
    course = np.radians(np.linspace(0.0, 90.0, 40))
    course = pixel * (20.0 + radius * np.stack([np.sin(course), np.cos(course)], axis=-1))
    strip = straighten(image, course, 4.0, step=0.2)
    across, s = (axis.coordinates() for axis in strip.axes)
    assert s[-1] == pytest.approx(pixel * radius * np.pi / 2, abs=0.2)
    for turn in turns:
        true = pixel * radius * turn
        near = np.abs(s - true) < 2.5
        weight = np.clip(strip.data[:, near], 0.05, None) - 0.05
        assert (weight.sum(axis=0) @ s[near]) / weight.sum() == pytest.approx(true, abs=0.03)
        assert (across @ weight.sum(axis=1)) / weight.sum() == pytest.approx(0.0, abs=0.03)


def test_a_simulated_chain_is_straight_and_as_long_as_its_truth():
    image, truth = simulate.chains(shape=(300, 300), n_chains=1, n_dots=(14,), pixel_size_nm=0.5,
                                   persistence_length_nm=60.0, rng=5)
    axis = truth["axes"]
    strip = straighten(image, axis[["y_nm", "x_nm"]].to_numpy(), 5.0)
    across, s = (of.coordinates() for of in strip.axes)
    assert s[-1] == pytest.approx(np.ptp(axis["s_nm"]), abs=0.6)
    signal = np.nan_to_num(strip.data - np.nanmedian(strip.data[np.abs(across) > 4.0]))
    middle = (across @ signal) / signal.sum(axis=0)
    assert np.abs(middle[signal.sum(axis=0) > 0.5 * signal.sum(axis=0).max()]).max() < 0.5
    # Each dot is where its place along the course is.
    on = signal[np.abs(across) < 1.2].mean(axis=0)
    for row in truth["dots"].query("chain == 1").itertuples():
        nearest = np.argmin((axis.y_nm - row.y_nm) ** 2 + (axis.x_nm - row.x_nm) ** 2)
        at = axis.s_nm.iloc[nearest] - axis.s_nm.iloc[0]
        assert on[np.argmin(np.abs(s - at))] > 0.7 * np.median(np.sort(on)[-len(on) // 3:])


def test_pixels_that_are_not_square_are_sampled_in_their_unit():
    pixels = spots((100, 100), [(50.0, 20.0), (50.0, 60.0)])
    image = Image(pixels, (Axis("y", 100, 1.0, "nm"), Axis("x", 100, 0.5, "nm")))
    strip = straighten(image, [(50.0, 5.0), (50.0, 40.0)], 6.0, step=0.5)
    on = strip.data[strip.shape[0] // 2]
    s = strip.axes[1].coordinates()
    found = s[1:-1][(on[1:-1] > on[:-2]) & (on[1:-1] >= on[2:]) & (on[1:-1] > 0.5)]
    assert found == pytest.approx([5.0, 25.0])


def test_beyond_its_ends_the_course_goes_on_straight_with_negative_arc():
    pixels = np.random.default_rng(0).normal(size=(40, 80))
    strip = straighten(plane_image(pixels), [(20.0, 30.0), (20.0, 50.0)], 3.0, beyond=5.0)
    assert strip.axes[1].coordinates()[0] == -5.0
    assert np.allclose(strip.data, pixels[17:24, 25:56], atol=1e-5)


def test_what_is_masked_or_outside_of_the_frame_is_not_seen():
    pixels = np.random.default_rng(0).normal(size=(40, 80))
    mask = np.ones(pixels.shape, dtype=bool)
    mask[18:22, 40] = False
    image = Image(pixels, plane_image(pixels).axes, mask=mask)
    strip = straighten(image, [(20.0, 10.0), (20.0, 90.0)], 3.0)
    assert not strip.mask[1:5, 30].any()
    assert strip.mask[:, 20].all()
    assert not strip.mask[:, 70:].any()
    assert np.array_equal(np.isfinite(strip.data), strip.mask)


@pytest.mark.parametrize(("course", "options", "named"), [
    ([(1.0, 1.0)], {}, "course_yx"), ([(1.0, 1.0), (1.0, 1.0)], {}, "course_yx"),
    ([(1.0, np.nan), (1.0, 2.0)], {}, "course_yx"), ([1.0, 2.0], {}, "course_yx"),
    ([(1.0, 1.0), (5.0, 5.0)], {"half_width": 0.0}, "half_width"),
    ([(1.0, 1.0), (5.0, 5.0)], {"step": -1.0}, "step"),
    ([(1.0, 1.0), (5.0, 5.0)], {"beyond": np.nan}, "beyond"),
    ([(1.0, 1.0), (5.0, 1e9)], {}, "step"),
])
def test_impossible_courses_are_refused(course, options, named):
    image = plane_image(np.random.default_rng(0).normal(size=(40, 40)))
    with pytest.raises(ParameterError, match=named):
        straighten(image, course, **{"half_width": 3.0, **options})


def test_a_stack_is_refused():
    stack = Image(np.zeros((3, 40, 40)), (Axis("frame", 3), Axis("y", 40), Axis("x", 40)))
    with pytest.raises(ImageError, match="not a single picture"):
        straighten(stack, [(1.0, 1.0), (5.0, 5.0)], 3.0)
