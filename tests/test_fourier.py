"""Boxes, transforms and Bragg filters: positions and wave vectors stay true."""

from dataclasses import replace

import numpy as np
import pytest

from emtools.errors import ImageError, ParameterError
from emtools.model import Axis, Image
from emtools.model.calibration import Distortion
from emtools.model.image import Acquisition, plane_image
from emtools.process.fourier import bragg_filtered, cropped, fourier, log_display, prepared

K = np.array([1.5, -2.0])  # 1/nm, y down
SQUARE = Distortion()


def waves(shape=(160, 200), pixel=0.05, k=(K,), amplitude=3.0, distortion=SQUARE):
    """Waves of these wave vectors on a large offset, in the true plane of a distorted image."""
    y, x = np.indices(shape) * pixel
    true = np.asarray(distortion.matrix) @ np.stack([y.ravel(), x.ravel()])
    values = sum(amplitude * np.cos(2 * np.pi * (one @ true)) for one in np.asarray(k))
    image = plane_image(1000.0 + values.reshape(shape), pixel)
    return replace(image, distortion=distortion)


def strongest(transform):
    """Place of the highest cell in the half with positive k_y, in the axes' own units."""
    y, x = (axis.coordinates() for axis in transform.axes)
    kept = np.where((y > 0)[:, None], transform.data, 0.0)
    row, col = np.unravel_index(np.argmax(kept), kept.shape)
    return np.array([y[row], x[col]]), float(kept[row, col])


# ---- boxes --------------------------------------------------------------------------------------


def test_a_box_keeps_the_positions_and_the_mask():
    image = waves()
    mask = np.random.default_rng(0).random(image.shape) > 0.1
    image = replace(image, mask=mask)
    part = cropped(image, (20, -5, 70, 90))
    assert part.shape == (50, 90)
    assert np.array_equal(part.data, image.data[20:70, :90])
    assert np.array_equal(part.mask, mask[20:70, :90])
    for one, whole, start in zip(part.axes, image.axes, (20, 0), strict=True):
        assert np.allclose(one.coordinates(), whole.coordinates()[start:start + one.size])
    again = cropped(part, (10, 10, 40, 40))
    assert np.allclose(again.axes[0].coordinates(), image.axes[0].coordinates()[30:60])


def test_flipped_axes_and_uneven_ones_keep_their_positions():
    pixels = np.zeros((30, 40))
    axes = (Axis("y", 30, 0.5, "nm", offset=2.0, flipped=True),
            Axis("x", 40, 0.5, "nm", positions=tuple(np.arange(40.0) ** 2)))
    image = Image(pixels, axes)
    part = cropped(image, (5, 6, 25, 26))
    assert np.allclose(part.axes[0].coordinates(), axes[0].coordinates()[5:25])
    assert np.allclose(part.axes[1].coordinates(), axes[1].coordinates()[6:26])


def test_lazy_stays_lazy_and_stacks_are_cropped_in_their_plane():
    da = pytest.importorskip("dask.array")
    axes = (Axis("frame", 3), Axis("y", 40), Axis("x", 50))
    image = Image(da.zeros((3, 40, 50)), axes)
    part = cropped(image, (0, 10, 30, 30))
    assert part.lazy
    assert part.shape == (3, 30, 20)


@pytest.mark.parametrize("box", [(0, 0, 7, 50), (150, 0, 170, 3), (300, 300, 400, 400), (1, 2, 3)])
def test_boxes_that_leave_nothing_are_refused(box):
    with pytest.raises(ParameterError, match="box"):
        cropped(waves(), box)


# ---- transforms ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(160, 200), (161, 200), (160, 201), (151, 203)])
def test_a_wave_is_where_its_wave_vector_is_and_shows_half_its_amplitude(shape):
    transform = fourier(waves(shape))
    assert transform.shape == shape
    assert transform.data.dtype == np.float32
    assert transform.acquisition.modality == "FFT"
    assert {axis.unit for axis in transform.axes} == {"1/nm"}
    for axis in transform.axes:
        assert axis.coordinates()[axis.size // 2] == pytest.approx(0.0, abs=1e-12)
    place, height = strongest(transform)
    assert np.all(np.abs(place - K) <= 0.5 * np.array([a.pixel_size for a in transform.axes]))
    assert 0.7 < height / 1.5 <= 1.001  # between cells a Hann window loses up to 28 %


@pytest.mark.parametrize("shape", [(64, 64), (65, 64), (64, 65), (33, 47)])
def test_all_cells_are_those_of_the_full_transform(shape):
    image = plane_image(np.random.default_rng(1).normal(size=shape))
    transform = fourier(image).data
    rows, cols = (np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 for n in shape)
    flat = image.data - image.data.mean()
    full = np.abs(np.fft.fftshift(np.fft.fft2(flat * np.outer(rows, cols)))) / rows.sum()
    full /= cols.sum()
    far = np.hypot(*np.meshgrid(*(np.arange(n) - n // 2 for n in shape), indexing="ij")) > 6
    assert np.allclose(transform[far], full[far], atol=0.05 * full[far].max())
    assert np.corrcoef(transform[far], full[far])[0, 1] > 0.995  # but for the slope taken off


def test_a_distorted_plane_gives_true_wave_vectors():
    distortion = Distortion(((1.04, 0.03), (0.01, 0.95)))
    transform = fourier(waves((400, 400), distortion=distortion))
    kept = np.where((transform.axes[0].coordinates() > 0)[:, None], transform.data, 0.0)
    cell = np.array(np.unravel_index(np.argmax(kept), kept.shape))
    middle = np.array([axis.size // 2 for axis in transform.axes])
    k = transform.calibration().vectors(cell - middle)
    assert np.abs(k - K).max() < 0.6 / (400 * 0.05)
    assert np.abs(strongest(transform)[0] - K).max() > 0.04  # the pixels' own axes are not true


def test_without_a_calibration_the_axes_are_per_pixel():
    image = waves()
    transform = fourier(replace(image, axes=tuple(axis.in_pixels() for axis in image.axes)))
    assert {axis.unit for axis in transform.axes} == {"1/px"}
    assert np.abs(strongest(transform)[0] - 0.05 * K).max() < 0.5 / 160
    assert transform.calibration().scale_err == 0.0
    assert transform.calibration().anisotropy_err == 0.0


def test_a_box_of_it_and_the_transposed_image():
    image = waves((256, 300))
    place, _ = strongest(fourier(image, (10, 20, 200, 220)))
    assert np.abs(place - K).max() < 0.5 / (190 * 0.05)
    turned = fourier(image.transposed())
    assert np.allclose(turned.data[1:, 1:], fourier(image).data.T[1:, 1:], atol=1e-5)


def test_the_error_of_the_pixel_size_goes_along():
    image = waves().calibrated(0.05, "nm", err=0.01)
    assert fourier(image).axes[0].relative_err == pytest.approx(0.01)
    assert fourier(waves()).axes[0].relative_err == pytest.approx(0.025)


def test_a_prepared_image_has_the_same_transform_and_its_annotations_masked():
    pixels = np.random.default_rng(0).poisson(500.0, size=(256, 256)).astype(np.uint16)
    image = plane_image(pixels, 0.05)
    assert np.allclose(fourier(prepared(image)).data, fourier(image).data, atol=1e-4)
    pixels[-30:] = 65535
    ready = prepared(plane_image(pixels, 0.05))
    assert not ready.mask[-28:].any()
    assert ready.mask[:220].all()
    assert fourier(ready, (150, 0, 256, 256)).data.max() < 30.0


@pytest.mark.parametrize("image", [
    plane_image(np.zeros((64, 64)), 0.05).calibrated(0.1, "1/nm"),
    plane_image(np.zeros((64, 64), dtype=complex), 0.05),
    Image(np.zeros((3, 64, 64)), (Axis("frame", 3), Axis("y", 64), Axis("x", 64))),
])
def test_what_is_no_picture_in_real_space_has_no_transform(image):
    with pytest.raises(ImageError):
        fourier(image)


def test_the_display_shows_spots_white_and_noise_dark():
    rng = np.random.default_rng(0)
    image = waves((300, 300), k=(K, [4.0, 1.0]), amplitude=1.0)
    noisy = image.with_data(image.data + rng.normal(size=image.shape))
    values, (low, high) = log_display(fourier(noisy))
    assert values.dtype == np.float32
    assert np.mean(values < low) == pytest.approx(0.35, abs=0.02)
    assert 0 < np.sum(values > high) < 60
    values, limits = log_display(fourier(plane_image(np.full((40, 40), 7.0))))
    assert limits == (0.0, 1.0)
    assert not values.any()


# ---- Bragg filter -------------------------------------------------------------------------------


def test_only_the_chosen_waves_pass_up_to_the_borders():
    kept, other = waves(k=(K,)), waves(k=([4.0, 3.0],))
    both = kept.with_data(kept.data + other.data + np.linspace(0, 20, 200))
    passed = bragg_filtered(both, [K], 0.8)
    assert passed.shape == both.shape
    assert passed.axes == both.axes
    wanted = kept.data - 1000.0
    inner = (slice(30, -30), slice(30, -30))
    assert np.abs(passed.data - wanted)[inner].max() < 0.1
    assert np.sqrt(np.mean((passed.data - wanted) ** 2)) < 0.35  # a wave's is 2.1


def test_masked_pixels_do_not_weaken_the_fringes_beside_them():
    image = waves()
    mask = np.ones(image.shape, dtype=bool)
    mask[60:80, 80:90] = False
    spoilt = np.where(mask, image.data, 1e5)
    passed = bragg_filtered(replace(image, data=spoilt, mask=mask), K, 0.8)
    beside = (slice(50, 90), slice(60, 75))
    assert np.sqrt(np.mean((passed.data - (image.data - 1000.0))[beside] ** 2)) < 0.4


def test_a_distorted_plane_is_filtered_at_true_wave_vectors():
    distortion = Distortion(((1.10, 0.0), (0.0, 0.92)))
    image = waves((300, 300), distortion=distortion)
    assert bragg_filtered(image, K, 0.2).data[50:-50, 50:-50].std() > 1.8
    assert bragg_filtered(image, 1.1 * K, 0.1).data[50:-50, 50:-50].std() < 0.5


def test_a_box_is_filtered_as_a_picture_of_its_own():
    image = replace(waves(), acquisition=Acquisition(modality="TEM"))
    passed = bragg_filtered(image, K, 0.8, (30, 40, 130, 150))
    assert passed.axes == cropped(image, (30, 40, 130, 150)).axes
    assert passed.acquisition.modality == "TEM"


@pytest.mark.parametrize(("k", "radius"), [([], 1.0), ([[1, 2, 3]], 1.0), (K, 0.0),
                                           ([np.nan, 1], 1.0)])
def test_impossible_filters_are_refused(k, radius):
    with pytest.raises(ParameterError):
        bragg_filtered(waves(), k, radius)
