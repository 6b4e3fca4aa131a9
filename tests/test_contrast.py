"""Contrast images: amplitude contrast, false colour, compressed range, Bragg filter; on truth."""

import warnings
from contextlib import suppress
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from scipy import ndimage

import emtools
from emtools import simulate
from emtools.errors import EmtoolsError, ImageError, ParameterError
from emtools.io import read_one
from emtools.model import Acquisition, Axis, Image, Step
from emtools.model.image import plane_image
from emtools.process.amplitude import amplitude_contrast
from emtools.process.bragg import bragg_filter
from emtools.process.colours import false_colour, table
from emtools.process.fourier import fourier
from emtools.process.steps import STEPS, processed, step
from emtools.process.tones import compress_range

SIDE, PIXEL_NM = 384, 0.1


def particles(radius=14, number=30, seed=0):
    """Composition 1 or 1.3 in discs, 0 in the film, and a thickness that rises to the right."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    composition = np.zeros((SIDE, SIDE))
    for i in range(number):
        at = rng.uniform(radius, SIDE - radius, 2)
        here = (np.hypot(y - at[0], x - at[1]) < radius) & (composition == 0)
        composition[here] = 1.3 if i % 2 else 1.0
    return composition, 1.0 + 0.6 * (x / SIDE - 0.5)


def micrograph(modality, dose, seed=0, **kwargs):
    """An uneven film with particles, and the contrast of each pixel."""
    composition, thickness = particles(seed=seed, **kwargs)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    film = dose * (1.0 + 0.3 * x - 0.2 * y + 0.15 * x**2)
    contrast = 0.4 * composition * thickness
    mean = film * np.exp(-contrast) if modality == "TEM" else film * (1.0 + contrast)
    counts = np.random.default_rng(seed + 1).poisson(mean).astype(np.float32)
    truth = contrast if modality == "TEM" else film * contrast
    image = plane_image(counts, PIXEL_NM, acquisition=Acquisition(modality=modality))
    return image, truth, composition


def slope(found, truth, where):
    """Found over true contrast."""
    return float((found * truth)[where].sum() / (truth[where]**2).sum())


@pytest.mark.parametrize("modality", ["TEM", "HAADF"])
@pytest.mark.parametrize(("dose", "within"), [(20, 0.03), (100, 0.02), (1000, 0.01)])
@pytest.mark.parametrize(("radius", "number"), [(6, 120), (14, 30), (30, 8)])
def test_contrast_is_found_on_an_uneven_film(modality, dose, within, radius, number):
    image, truth, composition = micrograph(modality, dose, radius=radius, number=number)
    found = amplitude_contrast(image, thickness_nm=0)
    inside = ndimage.binary_erosion(composition > 0, iterations=4)
    film = ndimage.binary_erosion(composition == 0, iterations=6)
    assert slope(found.data, truth, inside) == pytest.approx(1.0, abs=within)
    assert abs(found.data[film].mean()) < 0.01 * truth[composition > 0].mean() + 0.002 * (
        1.0 if modality == "TEM" else dose)


def test_film_is_found_where_objects_cover_most_of_it():
    image, truth, composition = micrograph("TEM", 200, number=400)
    assert (composition > 0).mean() > 0.65
    found = amplitude_contrast(image, thickness_nm=0)
    inside = ndimage.binary_erosion(composition > 0, iterations=4)
    assert slope(found.data, truth, inside) == pytest.approx(1.0, abs=0.03)
    assert found.steps[-1].parameters["film_share"] < 0.4


@pytest.mark.parametrize("modality", ["TEM", "HAADF"])
def test_thickness_is_corrected_and_composition_stays(modality):
    image, truth, composition = micrograph(modality, 500, radius=6, number=200)
    x = np.arange(SIDE) / SIDE
    one = ndimage.binary_erosion(composition == 1.0, iterations=3)
    left, right = one & (x < 0.3), one & (x > 0.7)
    raw = truth[left].mean() / truth[right].mean()
    found = amplitude_contrast(image, thickness_nm=10.0)
    left_over = found.data[left].mean() / found.data[right].mean()
    assert raw < 0.72
    assert 1.0 - left_over < 0.3 * (1.0 - raw)
    other = ndimage.binary_erosion(composition == 1.3, iterations=3)
    middle = (x > 0.3) & (x < 0.7)
    ratio = found.data[other & middle].mean() / found.data[one & middle].mean()
    assert ratio == pytest.approx(1.3, abs=0.08)


def test_gain_and_offset_of_the_detector_drop_out_of_corrected_bright_contrast():
    image, _, _ = micrograph("HAADF", 500)
    changed = image.with_data(3.0 * image.data + 700.0)
    first, second = (amplitude_contrast(one).data for one in (image, changed))
    assert np.abs(first - second).max() < 2e-3


def test_dark_level_of_the_detector_is_taken_off():
    image, _, _ = micrograph("TEM", 500)
    raised = image.with_data(image.data + 200.0)
    right = amplitude_contrast(raised, dark_level=200.0, thickness_nm=0)
    assert np.allclose(right.data, amplitude_contrast(image, thickness_nm=0).data, atol=1e-3)
    with pytest.raises(ImageError, match="dark level"):
        amplitude_contrast(image, dark_level=1e4)


def test_side_of_the_objects_is_seen_where_no_modality_says_it():
    for modality, objects in (("TEM", "dark"), ("HAADF", "bright")):
        image = replace(micrograph(modality, 500)[0], acquisition=Acquisition())
        assert amplitude_contrast(image).steps[-1].parameters["objects"] == objects


def test_masks_blank_images_and_wrong_images():
    image, truth, composition = micrograph("TEM", 200)
    mask = np.ones(image.shape, dtype=bool)
    mask[-80:] = False
    spoilt = np.array(image.data)
    spoilt[-80:], spoilt[10, 10] = 1e6, np.nan
    found = amplitude_contrast(replace(image, data=spoilt, mask=mask), thickness_nm=0)
    assert np.isnan(found.data[-80:]).all()
    assert np.isnan(found.data[10, 10])
    inside = ndimage.binary_erosion(composition > 0, iterations=4) & mask
    assert slope(found.data, truth, inside) == pytest.approx(1.0, abs=0.03)
    blank = plane_image(np.full((64, 64), 7.0), 0.1, acquisition=Acquisition(modality="BF"))
    assert not amplitude_contrast(blank).data.any()
    assert "not corrected" in amplitude_contrast(blank).audit[-1]
    pattern = plane_image(np.ones((64, 64))).calibrated(0.1, "1/nm")
    stack = Image(np.ones((3, 64, 64)), (Axis("frame", 3), Axis("y", 64), Axis("x", 64)))
    for bad in (pattern, stack, plane_image(np.ones((64, 64), dtype=complex))):
        with pytest.raises(ImageError):
            amplitude_contrast(bad)
    for wrong in ({"background_nm": -1.0}, {"background_nm": 0.0}, {"thickness_nm": np.nan},
                  {"objects": "grey"}, {"dark_level": np.inf}):
        with pytest.raises(ParameterError):
            amplitude_contrast(image, **wrong)


# False colour -----------------------------------------------------------------------------------
@pytest.mark.parametrize("colours", ["viridis", "cividis", "magma", "inferno"])
def test_colours_are_those_of_their_names_and_even_to_the_eye(colours):
    ours = table(colours).astype(float)
    theirs = 255.0 * mpl.colormaps[colours](np.linspace(0.0, 1.0, 256))[:, :3]
    assert np.abs(ours - theirs).max() < 6.0
    from skimage.color import rgb2lab

    light = rgb2lab(ours / 255.0)[:, 0]
    steps = np.diff(ndimage.uniform_filter1d(light, 17))[8:-8]
    assert (steps > 0).all()  # lightness only rises: the order of values is seen in grey print
    assert steps.std() < 0.35 * steps.mean()


def test_false_colour_records_limits_and_keeps_the_axes():
    image = plane_image(np.arange(64.0 * 64).reshape(64, 64), 0.1)
    found = false_colour(image, colours="magma", low=0.0, high=4095.0)
    assert found.axes == image.axes
    assert found.data.dtype.names == ("R", "G", "B")
    first, last = (tuple(found.data[at]) for at in ((0, 0), (-1, -1)))
    assert (first, last) == (tuple(table("magma")[0]), tuple(table("magma")[-1]))
    assert found.steps[-1].parameters == {"colours": "magma", "low": 0.0, "high": 4095.0}
    constant = false_colour(plane_image(np.full((32, 32), 3.0)))
    assert len(np.unique(constant.data)) == 1
    with pytest.raises(ParameterError, match="order"):
        false_colour(image, low=3.0, high=3.0)
    with pytest.raises(ParameterError, match="viridis"):
        false_colour(image, colours="jet")


# Compressed range -------------------------------------------------------------------------------
def pattern(faint=60.0):
    """Spots of a pattern beside a saturated centre, on counted ground."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:256, :256] - 128.0
    mean = 20.0 + 3e5 * np.exp(-(y**2 + x**2) / 50.0)
    for place in ((60, 0), (0, 60), (-60, -60)):
        mean += faint * np.exp(-((y - place[0])**2 + (x - place[1])**2) / 8.0)
    return plane_image(np.minimum(rng.poisson(mean), 60_000).astype(np.uint16)
                       ).calibrated(0.05, "1/nm")


@pytest.mark.parametrize("method", ["asinh", "log", "clahe"])
def test_faint_spots_are_seen_beside_a_saturated_centre(method):
    image = pattern()
    found = compress_range(image, method=method)
    assert 0.0 <= found.data.min() < found.data.max() <= 1.0
    spot, around = found.data[186:191, 126:131].mean(), found.data[200:220, 150:170].mean()
    straight = (image.data - image.data.min()) / np.ptp(image.data)
    assert spot - around > 0.08
    assert spot - around > 40 * (straight[186:191, 126:131].mean()
                                 - straight[200:220, 150:170].mean())


@pytest.mark.parametrize("method", ["asinh", "log"])
def test_order_of_values_is_kept_for_publications(method):
    image = pattern()
    tones = compress_range(image, method=method).data.ravel()
    ordered = tones[np.argsort(image.data.ravel(), kind="stable")]
    assert (np.diff(ordered) >= 0).all()


def test_compression_of_masked_blank_and_wrong_images():
    image = pattern()
    mask = np.ones(image.shape, dtype=bool)
    mask[:20] = False
    for method in ("asinh", "clahe"):
        found = compress_range(replace(image, mask=mask), method=method)
        assert np.isnan(found.data[:20]).all()
        assert np.isfinite(found.data[20:]).all()
    assert not compress_range(plane_image(np.full((32, 32), 5.0))).data.any()
    for wrong in ({"method": "root"}, {"softening": 0.0}, {"clip_limit": 2.0}):
        with pytest.raises(ParameterError):
            compress_range(image, **wrong)


# Bragg filter -----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def two_grains():
    """Two crystals with different fringes, and their result."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:384, :384] * 0.03
    waves = ((3.37, 0.3), (3.37, 1.2))
    data = rng.normal(0.0, 0.6, (384, 384))
    for (k, turn), half in zip(waves, (x < 5.2, x > 6.3), strict=True):
        for more in (0.0, np.pi / 2):
            data += half * np.cos(2 * np.pi * k * (y * np.sin(turn + more)
                                                   + x * np.cos(turn + more)))
    image = plane_image((data + 50.0).astype(np.float32), 0.03)
    return image, emtools.lattice(image, phases=("PbS",))


def strength(values, part):
    return float(values[:, part].std())


def test_filter_shows_all_or_the_chosen_grain(two_grains):
    image, lattice = two_grains
    assert len(lattice.tables["grains"]) == 2
    left = 1 if lattice.tables["grains"]["x_nm"].iloc[0] < 5.7 else 2
    both = bragg_filter(image, lattice).data
    one = bragg_filter(image, lattice, grain=left).data
    near, far = slice(20, 160), slice(230, 370)
    assert min(strength(both, near), strength(both, far)) > 0.7
    assert strength(one, near) > 0.7
    assert strength(one, far) < 0.3
    assert abs(float(one.mean())) < 0.05
    kept = bragg_filter(image, lattice, grain=left, mean=True)
    assert float(kept.data.mean()) == pytest.approx(50.0, abs=0.1)
    said = kept.steps[-1].parameters
    assert said["radius_per_nm"] == pytest.approx(0.2 * 3.37, rel=0.01)
    assert said["reflections"] == lattice.tables["reflections"].query(
        "grain == @left")["reflection"].to_list()


def test_filter_within_domains_shows_nothing_elsewhere(two_grains):
    image, lattice = two_grains
    left = 1 if lattice.tables["grains"]["x_nm"].iloc[0] < 5.7 else 2
    inside = bragg_filter(image, lattice, grain=left, domains=True).data
    assert not inside[:, 230:].any()
    assert strength(inside, slice(30, 150)) > 0.6
    stored = replace(lattice, layers=())
    with pytest.raises(ParameterError, match="domains"):
        bragg_filter(image, stored, domains=True)


def test_filter_of_planes_and_families(two_grains):
    image, lattice = two_grains
    rows = lattice.tables["reflections"]
    family = bragg_filter(image, lattice, hkl="{200}").steps[-1].parameters["reflections"]
    of_family = [sorted(abs(int(index)) for index in one.split()) == [0, 0, 2]
                 for one in rows["hkl"]]
    assert family == rows[of_family]["reflection"].to_list() != []
    name = rows["hkl"].iloc[0]
    plane = bragg_filter(image, lattice, hkl=name).steps[-1].parameters["reflections"]
    assert plane == rows[rows["hkl"] == name]["reflection"].to_list()
    for wrong, kind in (({"hkl": "{531}"}, ImageError), ({"hkl": "2 0"}, ParameterError),
                        ({"grain": 9}, ImageError), ({"radius_per_nm": -1.0}, ParameterError)):
        with pytest.raises(kind):
            bragg_filter(image, lattice, **wrong)
    with pytest.raises(ParameterError, match="lattice"):
        bragg_filter(image, replace(lattice, measurement="chains"))


def test_noise_has_no_reflections_to_filter_to():
    noise = plane_image(np.random.default_rng(0).normal(size=(128, 128)), 0.05)
    with pytest.raises(ImageError, match="no reflections"):
        bragg_filter(noise, emtools.lattice(noise))


# What was done ----------------------------------------------------------------------------------
def test_steps_are_recorded_in_order_and_survive_hyperspy(two_grains):
    image = two_grains[0]
    given = {"compress_range": {"method": "log"}, "false_colour": {"colours": "cividis"}}
    found = processed(image, ["fourier", "compress_range"], given)
    assert [one.name for one in found.steps] == ["fourier", "compress_range"]
    assert found.steps[1].parameters["method"] == "log"
    back = Image.from_hyperspy(found.to_hyperspy())
    assert back.steps == found.steps
    from emtools.io import describe

    assert describe(found)["steps"][1]["name"] == "compress_range"
    assert "method = log" in str(found.steps[1])
    with pytest.raises(ParameterError, match="lattice"):
        processed(image, ["bragg_filter"], {})
    with pytest.raises(ParameterError, match="known are"):
        step("sharpen")


@pytest.mark.parametrize("name", sorted(STEPS))
def test_a_step_changes_no_pixel_of_its_image_and_is_the_same_twice(name, two_grains):
    image, lattice = two_grains
    before = image.data.copy()
    first, second = (processed(image, [name], {}, lattice) for _ in range(2))
    assert (image.data == before).all()
    assert (first.data == second.data).all()
    assert not first.data.flags.writeable
    assert isinstance(first.steps[-1], Step)
    assert first.shape == image.shape


@pytest.mark.parametrize("kind", ["uint8", "int16", "float16", ">f4", "bool", "huge", "tiny",
                                  "half", "narrow", "sparse", "negative", "lazy"])
def test_pixels_of_any_type_and_range(kind):
    rng = np.random.default_rng(0)
    data = rng.poisson(50.0, (64, 80)).astype(float)
    data[20:30, 20:40] += 60.0
    made = {"huge": data * 1e30, "tiny": data * 1e-30, "negative": -data, "lazy": data,
            "half": np.where(np.arange(80) < 40, np.nan, data), "bool": data > 60,
            "narrow": np.tile(data[:16], (1, 40)), "sparse": (rng.random((64, 80)) < 0.01) * 1.0}
    pixels = made[kind] if kind in made else data.astype(kind)
    image = plane_image(pixels, 0.1, acquisition=Acquisition(modality="HAADF"))
    if kind == "lazy":
        import dask.array as da

        image = replace(image, data=da.from_array(pixels))
    for one in (amplitude_contrast, false_colour, compress_range, fourier):
        found = one(image).data
        assert found.shape == pixels.shape
        assert found.dtype.names or np.isfinite(found).any()


@pytest.mark.real
@pytest.mark.parametrize("name", ["emps/images/f98c5fb82a.png", "particlespy/JEOL HAADF Image.dm4",
                                  "superlattice/hexagonal_example.Tif",
                                  "emps/images/34f4fb273d.png"])
def test_film_of_real_images_is_level_and_objects_stand_out(real_data, name):
    image = read_one(real_data / name)
    found = amplitude_contrast(image)
    values = found.data[np.isfinite(found.data)]
    film = values[np.abs(values) < 0.25]
    assert abs(float(np.median(film))) < 0.06
    assert 0.6 < float(values[values > 0.5].mean()) < 1.6


@pytest.mark.real
@pytest.mark.parametrize("name", ["scikit-ued/bismuth.dm3", "scikit-ued/ewald_walkoff.tif",
                                  "openncem/16_STOimage_1.ser"])
def test_every_step_works_or_says_why_not_on_real_images(real_data, name):
    image = read_one(real_data / name)
    for one in (amplitude_contrast, false_colour, compress_range, fourier):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with suppress(EmtoolsError):
                assert one(image).shape == image.shape


def test_simulated_chains_keep_their_contrast_in_both_modalities():
    for modality in ("HAADF", "TEM"):
        image, _ = simulate.chains(modality=modality, shape=(512, 512), n_chains=3, rng=1)
        found = amplitude_contrast(image)
        assert found.steps[-1].parameters["objects"] == ("bright" if modality == "HAADF"
                                                         else "dark")
        assert float(np.nanpercentile(found.data, 99.5)) > 1.0
