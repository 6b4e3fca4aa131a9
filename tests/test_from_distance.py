"""A pixel size from a distance that is known."""

from dataclasses import replace

import numpy as np
import pytest

from emtools import calibrate_distance
from emtools.errors import CalibrationError, ParameterError, UnitError
from emtools.instrument import InstrumentCalibration, scaled
from emtools.model import Axis, Image, Source
from emtools.model.image import Acquisition, plane_image
from emtools.process.fourier import cropped

LINE = [(10.0, 20.0), (40.0, 60.0)]  # 50 px


def stated(**fields):
    image = plane_image(np.zeros((80, 90)), **fields).calibrated(0.2, "nm", source="file")
    return replace(image, acquisition=Acquisition(modality="HAADF", instrument="Titan 1"))


def test_an_image_without_a_pixel_size_gets_one():
    image = calibrate_distance(plane_image(np.zeros((80, 90))), LINE, 20.0, "nm")
    assert image.pixel_size("nm") == pytest.approx((0.4, 0.4))
    assert {axis.source for axis in image.plane_axes} == {"user"}
    assert image.axes[0].relative_err == pytest.approx(np.sqrt(2) * 0.5 / 50)
    assert "from a distance of 20 nm drawn over 50.0 px" in image.audit[-1]
    length = image.calibration("nm").vectors(np.subtract(*LINE))
    assert np.hypot(*length) == pytest.approx(20.0)


def test_other_units_and_the_error_of_the_length():
    image = calibrate_distance(plane_image(np.zeros((80, 90))), LINE, 0.02, "µm", end_err_px=0.0,
                               length_err=0.001)
    assert image.pixel_size("nm")[0] == pytest.approx(0.4)
    assert image.axes[1].relative_err == pytest.approx(0.05)
    assert "0.02 µm" in image.audit[-1]
    pattern = calibrate_distance(plane_image(np.zeros((80, 90))), LINE, 10.0, "1/nm")
    assert pattern.calibration().unit == "1/nm"


def test_pixels_that_are_not_square_stay_so():
    axes = (Axis("y", 80, 0.3, "nm"), Axis("x", 90, 0.2, "nm"))
    image = calibrate_distance(Image(np.zeros((80, 90)), axes), LINE, 24.0, "nm")
    y, x = image.pixel_size("nm")
    assert y / x == pytest.approx(1.5)
    assert np.hypot(30 * y, 40 * x) == pytest.approx(24.0)
    assert " x " in image.audit[-1]


def test_twice_the_length_is_twice_the_pixel_and_a_box_keeps_its_place():
    part = cropped(plane_image(np.zeros((80, 90))), (8, 8, 70, 80))
    one, two = (calibrate_distance(part, LINE, length, "nm") for length in (20.0, 40.0))
    assert two.axes[0].pixel_size == pytest.approx(2 * one.axes[0].pixel_size)
    assert one.axes[0].relative_err == pytest.approx(two.axes[0].relative_err)
    assert one.axes[0].offset == pytest.approx(8 * 0.4)


def test_the_transposed_line_on_the_transposed_image():
    axes = (Axis("y", 80, 0.3, "nm"), Axis("x", 90, 0.2, "nm"))
    image = Image(np.zeros((80, 90)), axes)
    one = calibrate_distance(image, LINE, 24.0, "nm")
    two = calibrate_distance(image.transposed(), np.array(LINE)[:, ::-1], 24.0, "nm")
    assert two.pixel_size("nm")[::-1] == pytest.approx(one.pixel_size("nm"))


def test_ends_scattered_as_stated_give_pixel_sizes_scattered_as_stated():
    rng = np.random.default_rng(0)
    image = plane_image(np.zeros((200, 200)))
    ends = np.array([(20.0, 30.0), (150.0, 140.0)])
    true = np.hypot(*(ends[1] - ends[0])) * 0.1
    pulls = []
    for _ in range(400):
        drawn = calibrate_distance(image, ends + rng.normal(0, 0.5, (2, 2)), true, "nm")
        pulls.append((drawn.axes[0].pixel_size / 0.1 - 1) / drawn.axes[0].relative_err)
    assert abs(np.mean(pulls)) < 0.15
    assert np.std(pulls) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(("ends", "length", "unit", "errors"), [
    ([(1, 1), (1, 2)], 5.0, "nm", {}), ([(1, 1), (1, 50), (2, 2)], 5.0, "nm", {}),
    ([(1, np.nan), (1, 50)], 5.0, "nm", {}), (LINE, 0.0, "nm", {}), (LINE, np.inf, "nm", {}),
    (LINE, 5.0, "px", {}), (LINE, 5.0, "keV", {}), (LINE, 5.0, "nm", {"end_err_px": -1.0}),
    (LINE, 5.0, "nm", {"length_err": np.nan}),
])
def test_impossible_distances_are_refused(ends, length, unit, errors):
    with pytest.raises(ParameterError):
        calibrate_distance(plane_image(np.zeros((80, 90))), ends, length, unit, **errors)


def test_an_unknown_unit_is_refused():
    with pytest.raises(UnitError):
        calibrate_distance(plane_image(np.zeros((80, 90))), LINE, 5.0, "furlong")


# ---- for other images of the same setting -------------------------------------------------------


def test_a_calibration_is_made_written_read_and_applied(tmp_path):
    image = stated(source=Source(file="/data/grid.dm4"))
    made = scaled(image, LINE, 10.5)
    assert made.square.scale == pytest.approx(1.05)
    made.write(tmp_path / "grid.toml")
    assert "of a distance that is known" in (tmp_path / "grid.toml").read_text(encoding="utf-8")
    read = InstrumentCalibration.read(tmp_path / "grid.toml")
    assert read == made
    other = read.apply(stated())
    assert other.pixel_size("nm") == pytest.approx((0.21, 0.21))
    assert other.axes[0].relative_err == pytest.approx(np.hypot(np.sqrt(2) * 0.5 / 50, 0.008))
    assert other.distortion.anisotropy_err == pytest.approx(np.hypot(0.01, 0.008))
    assert "plane calibrated with a known distance in grid.dm4" in other.audit[-2]


def test_it_agrees_with_the_image_calibrated_directly():
    image = stated()
    direct = calibrate_distance(image, LINE, 10.5, "nm")
    assert scaled(image, LINE, 10.5).apply(image).pixel_size("nm") == pytest.approx(
        direct.pixel_size("nm"))


def test_it_needs_a_stated_pixel_size_and_a_length():
    with pytest.raises(CalibrationError):
        scaled(plane_image(np.zeros((80, 90))), LINE, 10.5)
    with pytest.raises(CalibrationError, match="already"):
        scaled(scaled(stated(), LINE, 10.5).apply(stated()), LINE, 10.5)
    with pytest.raises(ParameterError, match="unit"):
        scaled(stated(), LINE, 10.5, "1/nm")
    with pytest.raises(ParameterError, match="reproducibility"):
        scaled(stated(), LINE, 10.5, reproducibility=2.0)
