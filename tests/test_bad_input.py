"""Whatever a measurement is given, it answers rightly or with one typed error.

Warnings are errors here (pyproject.toml), so nothing is computed out of NaN by accident either.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from emtools import Axis, CalibrationError, Image, ImageError, ParameterError, ReadError
from emtools.measure import load, names
from emtools.model.image import plane_image
from emtools.tables import in_unit
from examples import EXAMPLES

# What is wrong with spectra is tested with them.
PLANES = [name for name in names() if not load(name).axes]
every = pytest.mark.parametrize("name", PLANES)


@cache
def example(name: str) -> Image:
    return EXAMPLES[name].make(0)[0]


@cache
def wanted(name: str):
    """What the measurement finds in the sound image."""
    return load(name)(example(name))


def pixels(name: str):
    return np.array(example(name).data, dtype=np.float64)


def with_pixels(name: str, data, **changes) -> Image:
    return replace(example(name), data=data, **changes)


def assert_alike(result, name: str, rtol: float = 1e-6) -> None:
    """Same rows and the same numbers, to rounding."""
    for table, expected in wanted(name).tables.items():
        frame = result.tables[table]
        assert len(frame) == len(expected), (table, len(frame), len(expected))
        for column in expected:
            if expected[column].dtype == float and column != "p_value":
                np.testing.assert_allclose(frame[column], expected[column], rtol=rtol, atol=1e-9,
                                           err_msg=column)


def assert_no_rows(result) -> None:
    assert all(len(frame) == 0 for frame in result.tables.values())
    assert result.outcome


# ---- pixels that cannot be measured -------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@every
def test_no_finite_pixel(name, value):
    with pytest.raises(ImageError, match="no finite"):
        load(name)(with_pixels(name, np.full(example(name).shape, value)))


@every
def test_empty_mask(name):
    nothing = np.zeros(example(name).shape, dtype=bool)
    with pytest.raises(ImageError, match="unmasked"):
        load(name)(with_pixels(name, pixels(name), mask=nothing))


@every
def test_almost_empty_mask(name):
    mask = np.zeros(example(name).shape, dtype=bool)
    mask[5:9, 5:9] = True
    assert_no_rows(load(name)(with_pixels(name, pixels(name), mask=mask)))


@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (1, 1), (0, 5), (15, 300)])
@every
def test_too_small(name, shape):
    with pytest.raises(ImageError, match=f"{shape[0]} x {shape[1]}"):
        load(name)(plane_image(np.ones(shape), 0.1))


@pytest.mark.parametrize("shape", [(16, 16), (16, 400), (17, 33), (400, 19)])
@every
def test_just_large_enough(name, shape):
    noise = np.random.default_rng(0).normal(size=shape)
    for pixel_size in (0.02, 0.1, 1.0, None):
        assert_no_rows(load(name)(plane_image(noise, pixel_size)))


@every
def test_complex(name):
    with pytest.raises(ImageError, match="complex"):
        load(name)(with_pixels(name, pixels(name) + 0j))


@pytest.mark.parametrize("third", ["frame", "colour", "energy"])
@every
def test_stack_colour_picture_and_spectra(name, third):
    y, x = example(name).axes
    data = np.repeat(pixels(name)[None], 3, axis=0)
    axes = (Axis(third, 3), y, x)
    if third != "frame":
        data, axes = np.moveaxis(data, 0, -1), (y, x, Axis(third, 3))
    with pytest.raises(ImageError, match="not a single picture"):
        load(name)(Image(data, axes))


@every
def test_a_frame_of_a_stack(name):
    image = example(name)
    stack = Image(np.stack([np.zeros(image.shape), pixels(name)]), (Axis("frame", 2), *image.axes),
                  acquisition=image.acquisition)
    assert_alike(load(name)(stack.select(frame=1)), name)


@pytest.mark.parametrize("dtype", [np.dtype("O"), np.dtype("U3"), np.dtype("M8[s]"),
                                   np.dtype([("r", "u1"), ("g", "u1"), ("b", "u1")])])
@every
def test_pixels_that_are_no_numbers(name, dtype):
    with pytest.raises(ImageError, match="pixels of type"):
        load(name)(plane_image(np.zeros((64, 64), dtype=dtype), 0.1))


# ---- pixels that can ----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -5, 1e6, 65535])
@every
def test_constant(name, value):
    for dtype in (np.float32, np.float64, np.int32):
        assert_no_rows(load(name)(plane_image(np.full((128, 128), value, dtype=dtype), 0.05)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@every
def test_some_pixels_are_not_finite(name, value):
    data = pixels(name)
    data[10:14, 10:14] = value
    data[200, 30] = value
    result = load(name)(with_pixels(name, data))
    found = EXAMPLES[name].found
    assert len(result.tables[found]) >= 0.8 * len(wanted(name).tables[found])
    for frame in result.tables.values():
        assert not np.isinf(frame.select_dtypes("float")).to_numpy().any()


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8", ">i2", "<i4", ">u2", ">i8", "u8"])
@every
def test_byte_order_and_width_do_not_matter(name, dtype):
    assert_alike(load(name)(with_pixels(name, pixels(name).astype(dtype))), name)


@every
def test_float16(name):
    assert_alike(load(name)(with_pixels(name, pixels(name).astype(np.float16))), name)
    large = pixels(name) / pixels(name).max() * 60000.0  # sums of these overflow float16
    result = load(name)(with_pixels(name, large.astype(np.float16)))
    found = EXAMPLES[name].found
    assert len(result.tables[found]) == len(wanted(name).tables[found])


@pytest.mark.parametrize(("dtype", "top"), [
    ("u2", 65535), ("i2", 32767), ("u4", 2**32 - 1), ("i4", 2**31 - 1)])
@every
def test_nothing_overflows_near_the_largest_integer(name, dtype, top):
    """Counts right up to the type's maximum: differences in that type would wrap around."""
    data = pixels(name)
    raised = (data - data.max() + top).astype(dtype)
    assert np.array_equal(raised.astype(np.float64), data - data.max() + top)
    assert_alike(load(name)(with_pixels(name, raised)), name)


@every
def test_negative_values(name):
    assert_alike(load(name)(with_pixels(name, pixels(name) - 500.0)), name)
    lowest = (pixels(name) - pixels(name).max() // 2 - 1).clip(-32768, 32767).astype(np.int16)
    assert_alike(load(name)(with_pixels(name, lowest)), name)


@every
def test_int8(name):
    small = np.rint(pixels(name) / np.ptp(pixels(name)) * 250).astype(np.int16)
    shifted = (small - small.min() - 128).astype(np.int8)
    found = EXAMPLES[name].found
    byte = load(name)(with_pixels(name, shifted))
    assert len(byte.tables[found]) >= 0.8 * len(wanted(name).tables[found])
    same = load(name)(with_pixels(name, shifted.astype(np.float64)))
    if not byte.summary.get("masked"):
        for table in same.tables:
            pd.testing.assert_frame_equal(byte.tables[table], same.tables[table])


@every
def test_bool(name):
    # Smooth, or every speck of the noise is an object.
    smooth = ndimage.uniform_filter(pixels(name).astype(float), 5)
    bright = smooth > np.percentile(smooth, 80)
    load(name)(with_pixels(name, bright))
    assert_no_rows(load(name)(with_pixels(name, np.ones_like(bright))))


@pytest.mark.parametrize("factor", [1e-30, 1e-12, 1e12, 1e25])
@every
def test_any_gain(name, factor):
    """Intensities have no unit: whatever they are multiplied with, lengths stay."""
    result = load(name)(with_pixels(name, (pixels(name) * factor).astype(np.float64)))
    found = EXAMPLES[name].found
    assert len(result.tables[found]) == len(wanted(name).tables[found])


@every
def test_small_contrast_on_a_large_offset(name):
    assert_alike(load(name)(with_pixels(name, pixels(name) + 1e9)), name, rtol=1e-4)


@every
def test_read_only_and_strided_views(name):
    wide = np.zeros((example(name).shape[0], 2 * example(name).shape[1]))
    wide[:, ::2] = pixels(name)
    assert_alike(load(name)(with_pixels(name, wide[:, ::2])), name)
    assert_alike(load(name)(with_pixels(name, np.asfortranarray(pixels(name)))), name)


# ---- calibration --------------------------------------------------------------------------------


@every
def test_no_calibration(name):
    """Everything comes out in pixels, is named so, and is what the calibrated image gives."""
    image = example(name)
    bare = replace(image, axes=tuple(axis.in_pixels() for axis in image.axes))
    result = load(name)(bare)
    assert result.summary["unit"] == "px"
    assert "pixels" in result.summary["calibration"]
    for table, declared in load(name).tables.items():
        frame = result.tables[table]
        assert list(frame.columns) == declared.names("px")
        assert not [column for column in frame if "_nm" in column]
    for _, kwargs, _ in result.layers:
        assert set(kwargs["units"]) <= {"px", "1/px"}
    found = EXAMPLES[name].found
    here, there = result.tables[found], wanted(name).tables[found]
    assert len(here) >= 0.8 * len(there)
    if load(name).reciprocal:
        assert here["radius_px"].median() == pytest.approx(there["radius_px"].median(), rel=1e-3)
        return
    pixel_size = image.pixel_size("nm")[0]
    first = next(c for c in there if c.endswith("_nm") and not there[c].isna().any())
    assert here[in_unit(first, "px")].median() == pytest.approx(
        there[first].median() / pixel_size, rel=0.15)


@pytest.mark.parametrize("unit", ["1/nm", "mrad", "s", "keV"])
@every
def test_image_that_is_not_in_real_space(name, unit):
    if load(name).reciprocal and unit == "1/nm":
        unit = "nm"  # a pattern is what it measures, an image what it does not
    y, x = example(name).axes
    image = Image(pixels(name), (replace(y, unit=unit), replace(x, unit=unit)))
    assert unit in str(load(name).why_not(image))
    told = ""
    try:
        result = load(name)(image)
    except CalibrationError as error:
        told = str(error)
    else:
        assert_no_rows(result)
        told = result.outcome
    assert unit in told or "diffraction" in told


@every
def test_one_axis_calibrated_is_no_calibration(name):
    y, x = example(name).axes
    result = load(name)(Image(pixels(name), (y, x.in_pixels()),
                              acquisition=example(name).acquisition))
    assert result.summary["unit"] == "px"


@every
def test_pixels_that_are_not_square(name):
    """Every second row only: the same lengths, measured less well."""
    image = example(name)
    y, x = image.axes
    rows = pixels(name)[: 2 * (y.size // 2)].reshape(-1, 2, x.size).mean(axis=1)
    tall = replace(image, data=rows, axes=(
        Axis("y", len(rows), 2 * y.pixel_size, y.unit, source="user"), x))
    result = load(name)(tall)
    found = EXAMPLES[name].found
    here, there = result.tables[found], wanted(name).tables[found]
    assert 0.5 * len(there) <= len(here) <= len(there) + 1
    lengths = [c for c in there if c.endswith("_nm") and c.replace("_nm", "_err_nm") in there]
    column = lengths[0] if lengths else "y_nm"
    nearest = [np.abs(there[column] - value).min() for value in here[column]]
    assert np.median(nearest) < 0.05 * there[column].median()


@pytest.mark.parametrize("pixel_size", [1e-4, 50.0, 1e6])
@every
def test_absurd_pixel_sizes_are_answered(name, pixel_size):
    result = load(name)(example(name).calibrated(pixel_size, "nm"))
    assert_no_rows(result)


# ---- parameters ---------------------------------------------------------------------------------


def impossible(option):
    """Values that no parameter of this type can have."""
    if option.choices:
        return ["nonsense", ""]
    if option.type == "tuple":
        return [("no such phase",), ("",), ("/nowhere/none.cif",)]
    if option.name == "rng":
        return [-1]  # 0 is a seed as good as others
    if option.type in ("float", "int"):
        return [-1, 0, float("nan")] if option.type == "float" else [-1, 0]
    return []


@every
def test_impossible_values_are_refused_by_name(name):
    image = example(name)
    for option in load(name).options:
        for value in impossible(option):
            with pytest.raises((ParameterError, ReadError)) as caught:
                load(name)(image, **{option.name: value})
            named = option.name, *(value if isinstance(value, tuple) else ())
            assert any(part in str(caught.value) for part in named), (option.name, value)


@every
def test_infinite_values_are_refused_or_harmless(name):
    for option in load(name).options:
        if option.type == "float":
            with contextlib.suppress(ParameterError):
                load(name)(example(name), **{option.name: float("inf")})


@every
def test_least_above_most_is_refused(name):
    options = {option.name for option in load(name).options}
    for least in options:
        most = least.replace("min_", "max_")
        if least.startswith("min_") and most in options:
            with pytest.raises(ParameterError, match=least):
                load(name)(example(name), **{least: 5.0, most: 4.0})


@every
def test_unknown_parameter_is_refused_with_the_known_ones(name):
    with pytest.raises(ParameterError, match=r"no_such_thing.*known are"):
        load(name)(example(name), no_such_thing=1)


def test_unknown_measurement():
    with pytest.raises(ParameterError, match=r"known are .*chains, eds, lattice"):
        load("no_such_measurement")
