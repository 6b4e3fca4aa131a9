"""Figures: scale bars that tell the truth, marks on their objects, files that repeat."""

import base64
import io
import subprocess
import sys
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from PIL import Image as Pillow

from emtools import figures, simulate
from emtools.crystal import phase
from emtools.errors import ImageError, ParameterError
from emtools.figures.display import picture
from emtools.figures.labels import LabelPlaces
from emtools.figures.lattice.grains import folds, hues
from emtools.figures.lattice.spacings import planes
from emtools.figures.scale_bar import length_label, round_length
from emtools.figures.transforms import power_spectrum
from emtools.measure.attachment.tables import TABLES as ATTACHMENT_TABLES
from emtools.measure.chains import chains
from emtools.measure.chains.tables import TABLES as CHAIN_TABLES
from emtools.measure.lattice import lattice
from emtools.model import Acquisition, Axis, Image, Measured, Result
from emtools.model.image import plane_image


def noise(shape=(64, 96), pixel=0.5):
    return plane_image(np.random.default_rng(1).normal(size=shape), pixel)


def rendered(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


def marked(figure, gid):
    return figure.findobj(lambda artist: artist.get_gid() == gid)


@pytest.fixture(scope="module")
def simulated_chains():
    """An image of chains and a result with its true tables."""
    image, truth = simulate.chains(shape=(256, 256), n_chains=2, n_dots=(6, 9), isolated_dots=3,
                                   pixel_size_nm=0.5, rng=3)
    tables = {name: CHAIN_TABLES[name].frame(truth[name].to_dict("records"))
              for name in ("chains", "gaps", "dots", "axes")}
    tables["gaps"]["resolved"] = True
    return image, Result("chains", tables, {"outcome": "2 chains"})


@pytest.fixture(scope="module")
def simulated_grains():
    """Four crystals of two phases, their strain mapped."""
    places = [("PbS", (0, 0, 1), 10.0, -3.5, -3.5), ("Au", (0, 1, 1), 50.0, 3.5, -3.5),
              ("PbS", (0, 1, 1), 70.0, -3.5, 3.5), ("Au", (0, 0, 1), 33.0, 3.5, 3.5)]
    image, _ = simulate.crystal(shape=(700, 700), rng=3, grains=tuple(
        simulate.Grain(name, zone, turn, x_nm=x, y_nm=y) for name, zone, turn, x, y in places))
    return image, lattice(image, phases=("PbS", "Au"), min_d_nm=0.1, strain=True)


@pytest.fixture(scope="module")
def simulated_lattice():
    image, _ = simulate.crystal("PbS", pixel_size_nm=0.02, shape=(256, 256), modality="TEM",
                                rotation_deg=20.0)
    return image, lattice(image, phases=("PbS",))


@pytest.mark.parametrize("width", [0.37, 1.0, 7.3, 51.2, 512.0, 99999.0])
def test_scale_bar_is_a_round_number_about_a_quarter_of_the_width(width):
    length = round_length(width)
    assert 0.15 * width < length < 0.42 * width
    assert f"{length:e}"[0] in "125"
    assert float(f"{length:e}"[:8].rstrip("0").rstrip(".")) in (1.0, 2.0, 5.0)


@pytest.mark.parametrize(("length", "unit", "label"), [
    (0.5, "nm", "5 Å"), (20.0, "nm", "20 nm"), (2000.0, "nm", "2 µm"), (5e6, "nm", "5 mm"),
    (2.0, "1/nm", "2 nm⁻¹"), (100.0, "px", "100 px"), (1000.0, "nm", "1 µm"),
])
def test_lengths_are_written_as_people_write_them(length, unit, label):
    assert length_label(length, unit) == label


def test_scale_bar_has_its_stated_length():
    figure = figures.image_figure(noise((100, 400), 0.25))
    bar, = marked(figure, "scale-bar")
    label, = marked(figure, "scale-bar-label")
    assert label.get_text() == "20 nm"  # of 100 nm
    assert bar.get_width() == pytest.approx(80.0)


def test_scale_bar_reads_on_dark_and_on_light_ground():
    for level in (0.0, 1.0):
        pixels = np.full((200, 200), level)
        pixels[0, 0] = 1.0 - level
        drawn = rendered(figures.image_figure(plane_image(pixels, 0.5)))[..., :3].mean(axis=2)
        corner = drawn[-160:-5, 5:300]
        assert (corner > 250).sum() > 500  # the bar and its label ...
        assert (corner < 130).mean() > 0.2  # ... on a dark plate


def test_pixels_that_are_not_square_are_drawn_in_proportion():
    image = Image(np.random.default_rng(0).normal(size=(100, 100)),
                  (Axis("y", 100, 1.0, "nm"), Axis("x", 100, 0.5, "nm")))
    width, height = figures.image_figure(image).get_size_inches()
    assert height / width == pytest.approx(2.0, rel=0.02)
    bar, = marked(figures.image_figure(image), "scale-bar")
    assert bar.get_width() == pytest.approx(20.0)  # 10 nm of 50


def test_column_width_text_size_and_lines():
    figure = figures.false_colour(noise())
    assert figure.get_size_inches()[0] == pytest.approx(85 / 25.4, abs=0.02)
    texts = [t for t in figure.findobj(mpl.text.Text) if t.get_text()]
    assert texts
    assert {t.get_fontsize() for t in texts} <= {7.0, 8.0}
    assert any("intensity" in t.get_text() for t in texts)


def test_users_settings_are_neither_used_nor_changed():
    plain = rendered(figures.image_figure(noise(), title="a"))
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "red", "font.family": "serif"}):
        before = dict(mpl.rcParams)
        other = rendered(figures.image_figure(noise(), title="a"))
        assert dict(mpl.rcParams) == before
    assert np.array_equal(plain, other)


def test_pyplot_is_never_loaded_and_import_emtools_loads_no_matplotlib():
    code = ("import sys, emtools; assert 'matplotlib' not in sys.modules; import emtools.figures;"
            "assert 'matplotlib.pyplot' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_contrast_ignores_outliers_masked_banner_and_nan():
    pixels = np.random.default_rng(2).normal(10.0, 1.0, size=(120, 100)).astype(np.float32)
    pixels[:2, :2], pixels[5, 5] = 1e6, np.nan
    mask = np.ones(pixels.shape, dtype=bool)
    mask[100:] = False
    pixels[100:] = -500.0
    shown = picture(replace(plane_image(pixels, 1.0), mask=mask))
    assert 5.0 < shown.limits[0] < 9.0
    assert 11.0 < shown.limits[1] < 15.0
    assert shown.open_rows == 100
    assert rendered(figures.image_figure(plane_image(pixels, 1.0))).size


def test_a_title_is_never_read_as_formula_and_unknown_letters_do_no_harm(tmp_path):
    figure = figures.image_figure(noise(), title=r"$\frac{1}$ 日本 <b>_^ " + "long " * 40)
    assert figures.save(figure, tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.parametrize("dtype", [">u2", "f2", "bool", "i8", "c8"])
def test_every_kind_of_pixel_is_drawn(dtype):
    pixels = (np.random.default_rng(0).random((40, 50)) * 200).astype(dtype)
    assert rendered(figures.image_figure(plane_image(pixels))).size


@pytest.mark.parametrize("shape", [(1, 300), (300, 1), (1, 1), (3000, 40)])
def test_extreme_shapes_are_drawn(shape):
    figure = figures.image_figure(noise(shape))
    assert rendered(figure).size
    assert max(figure.get_size_inches()) < 6


def test_constant_and_empty_images_are_drawn():
    for pixels in (np.zeros((40, 40)), np.full((40, 40), np.nan)):
        assert rendered(figures.image_figure(plane_image(pixels, 1.0))).size


def test_spectrum_images_are_summed_stacks_show_their_middle_patterns_their_logarithm():
    cube = np.ones((20, 30, 7), dtype=np.uint8)
    axes = (Axis("y", 20, 1.0, "nm"), Axis("x", 30, 1.0, "nm"), Axis("energy", 7, 0.01, "keV"))
    shown = picture(Image(cube, axes, acquisition=Acquisition(modality="EDS")))
    assert np.all(shown.values == 7)
    assert shown.quantity == "X-ray counts"
    stack = np.arange(5)[:, None, None] * np.ones((1, 20, 30))
    shown = picture(Image(stack, (Axis("frame", 5), Axis("y", 20), Axis("x", 30))))
    assert np.all(shown.values == 2)
    assert "frame 2 of 5" in shown.notes
    pattern = plane_image(np.random.default_rng(0).random((64, 64)) ** 20).calibrated(0.1, "1/nm")
    assert picture(pattern).quantity.startswith("log.")
    label, = marked(figures.image_figure(pattern), "scale-bar-label")
    assert label.get_text() == "2 nm⁻¹"


def test_a_spectrum_is_no_picture():
    spectrum = Image(np.ones(10), (Axis("energy", 10, 0.1, "keV"),))
    with pytest.raises(ImageError, match="no picture"):
        figures.image_figure(spectrum)


def test_large_images_are_averaged_before_they_are_drawn():
    pixels = np.arange(4096, dtype=np.uint16)[:, None] + np.zeros((1, 4096), dtype=np.uint16)
    shown = picture(plane_image(pixels, 0.1))
    assert max(shown.values.shape) <= 1600
    assert shown.extent == (-0.5, shown.shape[1] - 0.5, shown.shape[0] - 0.5, -0.5)
    assert shown.values[0, 0] == pytest.approx(1.0)  # mean of rows 0, 1, 2


def test_chain_marks_lie_on_the_chains(simulated_chains):
    image, result = simulated_chains
    figure = figures.chains_figure(image, result)
    axes = figure.axes[0]
    outlines = [c for c in axes.collections if isinstance(c, mpl.collections.PolyCollection)]
    paths = [path for collection in outlines for path in collection.get_paths()]
    centres = np.array([path.vertices[:-1].mean(axis=0) for path in paths])
    true = result.tables["dots"][["x_nm", "y_nm"]].to_numpy() / 0.5
    nearest = np.linalg.norm(centres[:, None] - true[None], axis=-1).min(axis=0)
    assert nearest.max() < 0.1
    numbers = {t.get_text() for t in axes.texts if t.get_gid() is None}
    assert numbers == {str(n) for n in result.tables["chains"]["chain"]}


def test_chain_marks_follow_pixels_that_are_not_square(simulated_chains):
    image, result = simulated_chains
    squeezed = replace(image, data=image.data[:, ::2],
                       axes=(image.axes[0], replace(image.axes[1], size=128, pixel_size=1.0)),
                       mask=None)
    axes = figures.chains_figure(squeezed, result).axes[0]
    lines = next(c for c in axes.collections if isinstance(c, mpl.collections.LineCollection))
    first = result.tables["axes"].query("chain == 1").iloc[0]
    assert lines.get_segments()[0][0] == pytest.approx([first.x_nm / 1.0, first.y_nm / 0.5])


def test_blank_images_say_so_quietly():
    image, _ = simulate.blank(shape=(64, 64), pixel_size_nm=0.1)
    for measurement, draw in ((chains, figures.chains_figure), (lattice, figures.lattice_figure)):
        result = measurement(image)
        figure = draw(image, result)
        assert rendered(figure).size
        assert any("no " in t.get_text() or "not measurable" in t.get_text() for t in figure.texts)


def test_uncalibrated_results_are_drawn_in_pixels(simulated_lattice):
    image = plane_image(simulated_lattice[0].load())
    figure = figures.lattice_figure(image, lattice(image))
    texts = [t.get_text() for t in figure.axes[1].texts]
    assert any(text.endswith(" px") for text in texts)
    assert rendered(figure).size


def test_spots_are_circled_on_both_mates_and_indexed(simulated_lattice):
    image, result = simulated_lattice
    reflections = result.tables["reflections"]
    figure = figures.lattice_figure(image, result)
    axes = figure.axes[1]
    circles = np.vstack([line.get_xydata() for line in axes.lines])
    assert len(circles) == 2 * len(reflections)
    assert np.allclose(circles.sum(axis=0), 0.0)
    labels = [t.get_text() for t in axes.texts if t.get_gid() is None]
    assert len(labels) == len(reflections)
    assert all(label.startswith("$") for label in labels)
    # ky runs up: a plane normal at 20 degrees points right and up.
    k = reflections["k_per_nm"].iloc[0] * np.array(
        [np.cos(np.radians(reflections["angle_deg"].iloc[0])),
         np.sin(np.radians(reflections["angle_deg"].iloc[0]))])
    assert np.abs(circles - k).max(axis=1).min() < 1e-9


def test_the_spectrum_is_bright_where_the_spots_are_marked(simulated_lattice):
    image, result = simulated_lattice
    reflections = result.tables["reflections"]
    spectrum = power_spectrum(image, float(reflections["k_per_nm"].max()))
    angle = np.radians(reflections["angle_deg"].to_numpy())
    k = reflections["k_per_nm"].to_numpy()[:, None] * np.stack([-np.sin(angle), np.cos(angle)], 1)
    left, right, bottom, top = spectrum.extent
    rows, cols = spectrum.values.shape
    for x, y in spectrum.places(k):
        row, col = (top - y) / (top - bottom) * rows - 0.5, (x - left) / (right - left) * cols - 0.5
        around = spectrum.values[round(row) - 6 : round(row) + 7, round(col) - 6 : round(col) + 7]
        at = np.unravel_index(np.argmax(around), around.shape)
        assert max(abs(at[0] - 6), abs(at[1] - 6)) <= 1


def ring_radii(axes):
    rings = [c for c in axes.collections if c.get_gid() == "rings"]
    return [np.hypot(*path.vertices.T) for rings_of in rings for path in rings_of.get_paths()]


def test_rings_lie_at_the_spacings_of_the_candidate_phase(simulated_lattice):
    image, result = simulated_lattice
    radii = ring_radii(figures.lattice_figure(image, result).axes[1])
    assert radii
    known = np.array([f.d_nm for f in phase("PbS").families(0.05)])
    for radius in radii:
        assert np.ptp(radius) < 1e-9
        assert np.abs(1.0 / known - radius[0]).min() < 1e-6
    assert np.abs(1.0 / 0.2968 - np.array([r[0] for r in radii])).min() < 0.01
    assert not ring_radii(figures.lattice_figure(image, lattice(image)).axes[1])


def test_rings_of_an_image_without_calibration_are_at_the_fitted_scale(simulated_lattice):
    image = plane_image(simulated_lattice[0].load())  # 0.02 nm
    axes = figures.lattice_figure(image, lattice(image, phases=("PbS",))).axes[1]
    radii = np.array([radius[0] for radius in ring_radii(axes)])
    assert np.abs(radii / (0.02 / 0.2968) - 1.0).min() < 0.005


def test_many_grains_have_four_panels_two_columns_wide(simulated_grains):
    image, result = simulated_grains
    figure = figures.lattice_figure(image, result)
    assert rendered(figure).size
    assert figure.get_size_inches()[0] == pytest.approx(180 / 25.4, abs=0.03)
    assert {"a", "b", "c", "d"} <= {text.get_text() for text in figure.texts}
    numbers = {t.get_text() for t in marked(figure, "grain-number")}
    assert {"1", "2", "3", "4"} <= numbers
    labels = [t for t in figure.axes[1].texts if t.get_gid() != "scale-bar-label"]
    assert 3 <= len(labels) <= 18  # however many spots there are
    one = lattice(image, regions=np.ones((700, 700), int))
    assert len(one.tables["grains"]) <= 2
    assert figures.lattice_figure(image, one).get_size_inches()[0] < 3.5


def test_each_plane_has_its_number_mean_error_and_reference(simulated_grains):
    image, result = simulated_grains
    rows = result.tables["reflections"]
    found, _ = planes(rows)
    assert [plane.reference for plane in found] == sorted((p.reference for p in found),
                                                          reverse=True)
    figure = figures.lattice_figure(image, result)
    names = [t.get_text() for t in marked(figure, "plane")]
    said = [t.get_text() for t in marked(figure, "plane-numbers")]
    assert names == [plane.name for plane in found]
    at = names.index(r"PbS $\{200\}$")
    of = rows[(rows.phase == "PbS") & (rows.d_reference_nm.round(3) == 0.297)
              & ~rows.ambiguous & ~rows.few_fringes]
    values = 10 * of.d_spacing_nm
    assert said[at].startswith(f"n = {len(of)}")
    assert said[at].endswith(f"{Measured(values.mean(), values.std() / len(of) ** 0.5)} Å")


def test_spacings_that_are_not_indexed_have_no_mean(simulated_grains):
    image, result = simulated_grains
    rows = result.tables["reflections"].assign(phase="", hkl="", d_reference_nm=np.nan)
    tables = {**result.tables, "reflections": rows}
    figure = figures.lattice_figure(image, replace(result, tables=tables, parameters={}))
    (said,) = [t.get_text() for t in marked(figure, "plane-numbers")]
    assert said == f"n = {len(rows)}"


def test_lattices_are_alike_after_a_quarter_a_sixth_or_half_a_turn():
    grains = pd.DataFrame({"u_nm": [0.3, 0.3, 0.3, 0.3, np.nan], "v_nm": [0.301, 0.3, 0.3, 0.4, 1],
                           "uv_angle_deg": [90.3, 60.0, 119.0, 90.0, 90]})
    assert folds(grains).tolist() == [90, 60, 60, 180, 0]
    assert folds(grains.rename(columns={"u_nm": "u_px", "v_nm": "v_px"})).tolist()[0] == 90
    circle = hues()(np.linspace(0, 1, 256, endpoint=False))[:, :3]
    assert np.abs(circle[0] - circle[-1]).max() < 0.03  # no seam
    assert np.ptp(circle @ [0.2126, 0.7152, 0.0722]) < 0.15  # equally light


def test_strain_is_mapped_with_limits_about_zero(simulated_grains):
    image, result = simulated_grains
    drawn = figures.pictures(image, result)
    assert rendered(drawn["strain"]).size
    maps = [axes.images[-1] for axes in drawn["strain"].axes if len(axes.images) == 2]
    assert len(maps) == 4
    limits = [one.get_clim() for one in maps]
    assert all(low == -high for low, high in limits)
    assert limits[0] == limits[1] == limits[2]
    assert len(marked(drawn["strain"], "scale-bar")) == 1
    layer = next(data for data, options, _ in result.layers if options["name"] == "strain exx")
    assert np.nanmax(np.abs(maps[0].get_array() - 100 * layer)) < 1e-5


def test_strain_that_was_not_asked_for_is_not_drawn(simulated_lattice):
    assert "strain" not in figures.pictures(*simulated_lattice)
    with pytest.raises(ParameterError, match="strain=True"):
        figures.strain_figure(*simulated_lattice)


def test_hundreds_of_reflections_make_few_pictures(simulated_grains):
    image, result = simulated_grains
    rows = result.tables["reflections"]
    many = pd.concat([rows.assign(d_reference_nm=rows.d_reference_nm + 0.001 * i)
                      for i in range(12) for _ in range(3)], ignore_index=True)
    drawn = figures.pictures(image, replace(result, tables={**result.tables, "reflections": many}))
    assert len([name for name in drawn if name.startswith("histogram")]) <= 6
    labels = [t for t in drawn["overlay"].axes[1].texts if t.get_gid() != "scale-bar-label"]
    assert len(labels) <= 18


def test_labels_never_overlap():
    marks = np.random.default_rng(0).uniform(10, 90, size=(15, 2))
    places = LabelPlaces((100.0, 100.0), marks, 3.0)
    for mark in marks:
        places.place(mark, (14.0, 7.0), mark - 50.0)
    assert len(places.boxes) > 3
    for i, (l1, b1, r1, t1) in enumerate(places.boxes):
        assert l1 > 0 and b1 > 0 and r1 < 100 and t1 < 100  # noqa: PT018
        for l2, b2, r2, t2 in places.boxes[:i]:
            assert not (l1 < r2 and l2 < r1 and b1 < t2 and b2 < t1)


@pytest.mark.parametrize(("folds", "top"), [((90.0, 90.2, 89.0), 45.0), ((90.0, 180.0, 179), 90.0)])
def test_rose_of_attachment_shows_each_grain_and_what_chance_would(folds, top):
    image = noise((100, 100), pixel=0.2)
    angles = np.array([1.0, 7.0, 30.0])
    table = ATTACHMENT_TABLES["angles"].frame([
        {"grain": i, "chain": 1, "hkl": "2 0 0", "angle_deg": angle, "fold_deg": fold, "y_nm": 10.0,
         "x_nm": 5.0 * i} for i, (angle, fold) in enumerate(zip(angles, folds, strict=True), 1)])
    along = np.array([[[10.0, 5.0 * i], [0.0, 2.0]] for i in (1, 2, 3)])
    layers = tuple((along, {"name": name, "metadata": {"space": "image"}}, "vectors")
                   for name in ("tangents", "normals"))
    said = {"outcome": "attached", "planes": "{2 0 0}", "n_grains": 3, "n_chains": 1,
            "order_parameter": Measured(-0.5, 0.1), "order_parameter_low": -0.7,
            "order_parameter_high": 0.2, "p_value": 0.012}
    result = Result("attachment", {"angles": table}, said, layers)
    figure = figures.pictures(image, result)["overlay"]
    rendered(figure)
    left, rose = figure.axes
    assert len(left.texts) >= 3  # an arrow for each grain
    wedges = [patch for patch in rose.patches if isinstance(patch, mpl.patches.Wedge)]
    area = sum(0.5 * w.r**2 * np.radians(w.theta2 - w.theta1) for w in wedges)
    (dashed,) = [line for line in rose.lines if line.get_linestyle() == "--"]
    x, y = dashed.get_data()
    swept = 0.5 * np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])
    assert swept == pytest.approx(area, rel=0.02)  # the same number of grains
    assert np.degrees(np.arctan2(y[-1], x[-1])) == pytest.approx(top)
    written = " ".join(text.get_text() for text in figure.texts)
    assert "3 grains, 1 chain" in written
    assert "−0.70 to 0.20" in written
    assert "p = 0.012" in written


def test_attachment_without_angles_says_why():
    image = noise()
    result = Result("attachment", {"angles": ATTACHMENT_TABLES["angles"].frame()},
                    {"outcome": "not measurable: no chains"})
    figure = figures.attachment_figure(image, result)
    rendered(figure)
    assert "no chains" in " ".join(text.get_text() for text in figure.texts)


def test_histogram_states_n_mean_and_spread():
    values = np.array([4.0, 4.5, 5.0, 4.4, 4.6, np.nan])
    figure = figures.histogram(values, label="width", unit="nm")
    text = figure.axes[0].texts[0].get_text()
    assert text == "n = 5   mean 4.50 nm   std 0.36 nm"
    assert figure.axes[0].get_xlabel() == "width (nm)"
    for few in ([], [3.0], [3.0, 3.0]):
        assert rendered(figures.histogram(few, label="width", unit="nm")).size


def test_histograms_leave_limits_out(simulated_chains):
    image, result = simulated_chains
    cut = result.tables["dots"].copy()
    cut["touches_edge"] = [True] + [False] * (len(cut) - 1)
    drawn = figures.pictures(image, replace(result, tables={**result.tables, "dots": cut}))
    assert {"overlay", "histogram_diameter", "histogram_gap"} <= set(drawn)
    assert "histogram_width" not in drawn  # two chains are better read in the table
    text = drawn["histogram_diameter"].axes[0].texts[0].get_text()
    assert text.startswith(f"n = {len(cut) - 1} ")


def test_a_measurement_that_nobody_drew_yet_shows_its_layers():
    image = noise()
    space = {"metadata": {"space": "image"}}
    points = (np.array([[4.0, 6.0]]), {"scale": (1.0, 1.0), **space}, "points")
    paths = ([np.array([[0.0, 0.0], [5.0, 9.0]])], space, "shapes")
    labels = (np.eye(8, dtype=int), {"scale": (4.0, 6.0), **space}, "labels")
    table = pd.DataFrame({"radius_nm": np.arange(6.0), "radius_err_nm": np.ones(6)})
    result = Result("rods", {"rods": table}, {"outcome": "6 rods"}, (points, paths, labels))
    drawn = figures.pictures(image, result)
    assert set(drawn) == {"overlay", "histogram_radius_nm"}
    assert drawn["overlay"].axes[0].lines[0].get_xydata()[0] == pytest.approx([12.0, 8.0])


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_saved_figures_repeat_byte_for_byte(tmp_path, simulated_chains, ending):
    paths = [figures.save(figures.chains_figure(*simulated_chains), tmp_path / f"{n}/a.{ending}")
             for n in (1, 2)]
    content = [path.read_bytes() for path in paths]
    assert content[0] == content[1]
    assert b"matplotlib" not in content[0].lower() or ending != "png"
    assert [path.name for path in paths[0].parent.iterdir()] == [f"a.{ending}"]


def test_png_has_300_dpi_and_other_endings_are_refused(tmp_path):
    path = figures.save(figures.image_figure(noise()), tmp_path / "a.png")
    with Pillow.open(path) as saved:
        assert saved.info["dpi"][0] == pytest.approx(300, abs=0.1)
        assert saved.size[0] == pytest.approx(1004, abs=6)
    with pytest.raises(ParameterError, match="png"):
        figures.save(figures.image_figure(noise()), tmp_path / "a.doc")


def test_thumbnails_are_small_and_in_proportion():
    image = noise((300, 600))
    with Pillow.open(io.BytesIO(figures.thumbnail(image))) as small:
        assert small.format == "PNG"
        assert small.size == (320, 160)
    address = figures.thumbnail_uri(image)
    assert address.startswith("data:image/jpeg;base64,")
    assert len(base64.b64decode(address.split(",")[1])) <= 12_000
    assert figures.thumbnail(image) == figures.thumbnail(image)


@pytest.mark.real
@pytest.mark.parametrize("name", ["openncem/16_STOimage_1.ser", "emps/images/30da4fa249.png",
                                  "particlespy/JEOL HAADF Image.dm4"])
def test_real_images_are_drawn(real_data, name, tmp_path):
    from emtools.io import read

    image = read(real_data / name)[0]
    for measurement in (lattice, chains):
        for kind, figure in figures.pictures(image, measurement(image)).items():
            assert figures.save(figure, tmp_path / f"{kind}.png").stat().st_size > 5000
