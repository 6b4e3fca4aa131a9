"""Simulated crystals: the spots are where the truth says, as strong as it says."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from emtools.errors import ParameterError
from emtools.model.calibration import line_angle_deg
from emtools.simulate import Grain, crystal


def wave(row):
    """(y, x) wave vector in 1/nm of a row of `reflections`."""
    angle = np.radians(row.angle_deg)
    return np.array([-row.k_per_nm * np.sin(angle), row.k_per_nm * np.cos(angle)])


def amplitude(image, k_yx, window=True):
    """Amplitude of the wave `k_yx` (1/nm) in the image."""
    data = image.load().astype(float)
    data = data - data.mean()
    size = image.pixel_size("nm")[0]
    tapers = [np.hanning(n) if window else np.ones(n) for n in data.shape]
    y, x = (size * np.arange(n) for n in data.shape)
    left = tapers[0] * np.exp(-2j * np.pi * k_yx[0] * y)
    right = tapers[1] * np.exp(-2j * np.pi * k_yx[1] * x)
    return 2 * abs(left @ data @ right) / (tapers[0].sum() * tapers[1].sum())


def refined(image, k_yx):
    """The wave vector near `k_yx` where the windowed transform is largest."""
    step = 1 / (image.shape[0] * image.pixel_size("nm")[0])
    found = minimize(lambda offset: -amplitude(image, k_yx + step * offset), [0.1, -0.1],
                     method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-9})
    return k_yx + step * found.x, step


@pytest.mark.parametrize(("phase", "axis", "rotation", "modality"), [
    ("PbS", (0, 0, 1), 0.0, "HAADF"), ("PbS", (1, 1, 0), 33.3, "HAADF"),
    ("CuInS2", (1, 1, 0), 71.0, "HAADF"), ("CdSe", (1, 0, 0), 140.0, "HAADF"),
    ("Si", (1, 1, 0), 5.5, "TEM"), ("PbS", (0, 0, 1), 17.0, "TEM"),
])
def test_spots_lie_where_the_truth_says(phase, axis, rotation, modality):
    image, truth = crystal(phase, axis, shape=(384, 512), rotation_deg=rotation,
                           modality=modality, counts=None, film=0.0)
    table = truth["reflections"]
    for row in table.nlargest(4, "amplitude").itertuples():
        found, step = refined(image, wave(row))
        assert np.abs(found - wave(row)).max() < 0.02 * step
        assert amplitude(image, wave(row)) == pytest.approx(row.amplitude, rel=0.03)


def test_angles_run_counter_clockwise_on_the_screen():
    image, truth = crystal("PbS", rotation_deg=20.0, counts=None, film=0.0)
    first = truth["reflections"].query("hkl == '2 0 0'").iloc[0]
    assert first.angle_deg == pytest.approx(20.0)
    upwards = wave(first)
    assert upwards[0] < 0 < upwards[1]  # rows run down: up and to the right
    mirrored = upwards * (-1, 1)
    assert amplitude(image, upwards) > 50 * amplitude(image, mirrored)


def test_friedel_pairs_are_one_row_and_tables_have_their_columns():
    _, truth = crystal("PbS", (1, 1, 0), rotation_deg=12.0)
    table = truth["reflections"]
    assert table.angle_deg.between(0, 180, inclusive="left").all()
    assert not table.hkl.duplicated().any()
    np.testing.assert_allclose(table.k_per_nm * table.d_spacing_nm, 1.0)
    grain = truth["grains"].iloc[0]
    assert (grain.phase, grain.zone_axis) == ("PbS", "1 1 0")
    assert grain.a_nm == pytest.approx(0.5936)
    assert grain.area_nm2 == pytest.approx((512 * 0.02) ** 2)
    assert all(len(truth[name]) == 0 for name in ("chains", "gaps", "dots", "axes"))


def test_projected_cells():
    _, truth = crystal("PbS", (0, 0, 1))
    row = truth["grains"].iloc[0]
    assert (row.u_nm, row.v_nm, row.uv_angle_deg) == pytest.approx((0.2968, 0.2968, 90.0))
    _, truth = crystal("Si", (1, 1, 0))
    row = truth["grains"].iloc[0]
    cell = (row.u_nm, row.v_nm, row.uv_angle_deg)
    assert cell == pytest.approx((0.3326, 0.3326, 70.53), rel=1e-3)


def test_poisson_statistics():
    image, _ = crystal("Au", counts=50.0, contrast=0.0, film=0.0, background=0.0)
    data = image.load()
    assert data.mean() == pytest.approx(50, rel=0.01)
    assert data.var() == pytest.approx(50, rel=0.02)
    assert np.array_equal(data, np.rint(data))


def test_ball_has_its_diameter_and_place():
    image, truth = crystal("PbS", particle_nm=4.0, counts=None, contrast=0.0, background=0.0,
                           film=0.0, shape=(301, 301))
    data = image.load()
    rows, columns = np.nonzero(data)
    size = 0.02
    assert (rows.max() - rows.min() + 1) * size == pytest.approx(4.0, abs=2 * size)
    assert (columns.max() - columns.min() + 1) * size == pytest.approx(4.0, abs=2 * size)
    volume = data.sum() * size**2
    assert volume == pytest.approx(2 / 3 * np.pi * 2.0**2, rel=2e-3)  # ball of unit thickness
    row = truth["grains"].iloc[0]
    assert (row.y_nm, row.x_nm) == pytest.approx((3.0, 3.0))
    assert row.area_nm2 == pytest.approx(np.pi * 4)


def test_several_grains_are_numbered_and_lie_where_they_should():
    grains = (Grain("PbS", (0, 0, 1), 10.0, -1.5, -1.5, 2.5), Grain("Au", (1, 1, 0), 0.0, 1, 2, 2))
    image, truth = crystal(grains=grains, counts=None, film=0.0, background=0.0,
                           shape=(400, 400))
    assert truth["grains"].phase.tolist() == ["PbS", "Au"]
    assert set(truth["reflections"].grain) == {1, 2}
    assert truth["reflections"].reflection.is_unique
    data = image.load()
    assert data[100:150, 100:150].mean() > 0.5
    assert data[100:150, 250:300].max() == 0.0


def test_grains_that_fill_the_frame_share_it():
    grains = (Grain("PbS", x_nm=-3.0), Grain("PbS", rotation_deg=30.0, x_nm=3.0))
    _, truth = crystal(grains=grains)
    areas = truth["grains"].area_nm2
    assert areas.sum() == pytest.approx((512 * 0.02) ** 2, rel=0.01)
    assert areas[0] == pytest.approx(areas[1], rel=0.01)


def test_distortion_moves_the_spots_by_its_inverse_transpose_and_not_the_truth():
    matrix = np.array([[1.02, 0.03], [0.0, 0.98]])
    image, truth = crystal("PbS", rotation_deg=10.0, counts=None, film=0.0,
                           distortion=tuple(map(tuple, matrix.tolist())))
    assert truth["reflections"].d_spacing_nm.iloc[0] == pytest.approx(0.2968)
    k = wave(truth["reflections"].iloc[0])
    found, step = refined(image, k @ matrix)
    assert np.abs(found - k @ matrix).max() < 0.02 * step


def test_stated_pixel_size_is_what_the_image_claims():
    image, truth = crystal("SrTiO3", stated_pixel_size_nm=0.0206)
    assert image.pixel_size("nm") == pytest.approx((0.0206, 0.0206))
    assert truth["reflections"].d_spacing_nm.max() == pytest.approx(0.3905)


def test_drift_shears_the_lattice():
    # The sample drifts to +x by 1 nm: lower rows see what was further left.
    image, truth = crystal("PbS", counts=None, film=0.0, drift_nm=(0.0, 1.0), shape=(512, 512))
    height = 511 * 0.02
    k = wave(truth["reflections"].query("hkl == '2 0 0'").iloc[0])
    sheared = np.array([k[0] - k[1] * 1.0 / height, k[1]])
    found, step = refined(image, sheared)
    assert np.abs(found - sheared).max() < 0.02 * step


def test_hrtem_film_shows_thon_rings_and_defocus_moves_them():
    def radial(defocus):
        image, _ = crystal("Au", shape=(512, 512), pixel_size_nm=0.04, modality="TEM", contrast=0.0,
                           film=0.2, counts=None, defocus_nm=defocus)
        power = np.abs(np.fft.fft2(image.load() - 1.0)) ** 2
        k = np.hypot(*np.meshgrid(*[np.fft.fftfreq(512, 0.04)] * 2))
        bins = np.digitize(k.ravel(), np.linspace(0, 6, 61))
        sums = np.bincount(bins, power.ravel())[1:61]
        return sums / np.bincount(bins)[1:61]

    near, far = radial(60.0), radial(200.0)
    # First zero of sin chi, Cs neglected: k = 1 / sqrt(lambda defocus) = 1.59 / nm at 200 nm.
    zero = int(1.59 / 0.1)
    assert far[zero - 1: zero + 2].min() < 0.1 * far[8:12].max()
    assert near[zero] > 0.3 * near.max()


OPTIONS = {
    "zone_axis": (1, 1, 1), "shape": (100, 120), "pixel_size_nm": 0.03, "rotation_deg": 5.0,
    "modality": "TEM", "particle_nm": 2.0, "grains": (Grain("Au"),), "contrast": 0.5,
    "blur_nm": 0.12, "thickness_ramp": 0.5, "background": 0.6,
    "background_gradient": 0.3, "film": 0.2, "counts": 30.0, "read_noise": 3.0,
    "line_noise": 0.1, "scan_noise_nm": 0.02, "drift_nm": (0.3, 0.0),
    "distortion": ((1.01, 0.0), (0.0, 1.0)), "rng": 1, "phase": "Au", "tilt_deg": (2.0, 1.0),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_has_an_effect(name):
    basis = {"shape": (128, 128)}
    plain, _ = crystal(**basis)
    changed, _ = crystal(**{**basis, name: OPTIONS[name]})
    assert plain.shape != changed.shape or not np.array_equal(plain.load(), changed.load())


@pytest.mark.parametrize("option", [
    {"defocus_nm": 100.0}, {"cs_mm": 0.5}, {"beam_energy_keV": 80.0},
    {"tilt_deg": (2.0, 0.0), "thickness_nm": 20.0},
])
def test_every_tem_option_has_an_effect(option):
    basis = {"shape": (128, 128), "modality": "TEM", "tilt_deg": (2.0, 0.0), "rng": 3}
    assert not np.array_equal(crystal(**basis)[0].load(), crystal(**{**basis, **option})[0].load())


def test_tilt_weakens_the_reflections_along_it():
    upright = crystal("PbS")[1]["reflections"].set_index("hkl").amplitude
    tilted = crystal("PbS", tilt_deg=(0.0, 1.0), thickness_nm=10.0)[1]["reflections"]
    tilted = tilted.set_index("hkl").amplitude
    assert tilted["2 0 0"] < 0.98 * upright["2 0 0"]
    assert tilted["0 2 0"] == pytest.approx(upright["0 2 0"])


def test_same_seed_same_bits_and_global_seed_untouched():
    np.random.seed(5)  # noqa: NPY002 - the global state is what must not matter
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first, truth = crystal("PbS", shape=(64, 64), rng=7)
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002
    second, again = crystal("PbS", shape=(64, 64), rng=np.random.default_rng(7))
    assert first.load().tobytes() == second.load().tobytes()
    assert truth["reflections"].equals(again["reflections"])


def test_what_is_impossible_is_a_typed_error():
    for options in ({"phase": "x"}, {"modality": "SAED"}, {"pixel_size_nm": 0.0},
                    {"counts": -1.0}, {"blur_nm": -0.1}, {"particle_nm": 0.0},
                    {"scan_noise_nm": float("nan")}):
        with pytest.raises(ParameterError):
            crystal(**options, shape=(32, 32))


def test_angles_agree_with_the_models_convention():
    _, truth = crystal("Au", (1, 1, 0), rotation_deg=77.0)
    for row in truth["reflections"].itertuples():
        assert line_angle_deg(wave(row)) == pytest.approx(row.angle_deg, abs=1e-6)
