"""`emtools figure`: exact sizes, letters, bars, metadata, failures, what is never written over."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from typer.testing import CliRunner

from emtools import figures
from emtools.batch.drawing import Shown, draw, is_drawn
from emtools.cli import build
from emtools.errors import ParameterError
from emtools.figures import Layout, make_panel, sheet_figure
from emtools.io.writing import write_image
from emtools.model import Acquisition
from emtools.model.image import plane_image

SAMPLES = Path(__file__).parent.parent / "sample_images"
HRTEM = SAMPLES / "pbs_hrtem_001.mrc"


def micrograph(shape=(96, 128), seed=0, unit="nm"):
    """Bright discs on noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    data = rng.poisson(100.0, shape).astype(np.float32)
    for at in ((30, 40), (70, 90)):
        data += 80.0 * (np.hypot(y - at[0], x - at[1]) < 9)
    return plane_image(data, acquisition=Acquisition(modality="HAADF")).calibrated(0.5, unit)


@pytest.fixture
def folder(tmp_path):
    """A folder with two images, one in a subfolder, a broken one and a text."""
    images = tmp_path / "images"
    (images / "sub").mkdir(parents=True)
    write_image(micrograph(), images / "one.tif")
    write_image(micrograph(seed=1), images / "sub" / "two.tif")
    (images / "broken.tif").write_bytes(b"II*\0no image")
    (images / "notes.txt").write_text("x")
    return images


def run(*arguments):
    """Run the command in this process; what it prints and its exit code."""
    given = ["figure", *map(str, arguments)]
    return CliRunner().invoke(build(given), given)


def about(path):
    """What a file says about itself."""
    if path.suffix == ".svg":
        text = re.search(r"<dc:description>(.*?)</dc:description>", path.read_text())[1]
    elif path.suffix == ".pdf":
        raw = re.search(rb"/Subject \((.*?)\)\s*>>|/Subject \((.*)\)", path.read_bytes(), re.DOTALL)
        text = (raw[1] or raw[2]).decode("latin-1").replace("\\(", "(").replace("\\)", ")")
    else:
        with Pillow.open(path) as saved:
            text = saved.info["Description"] if path.suffix == ".png" else saved.tag_v2[270]
    return json.loads(text)


@pytest.mark.parametrize("kind", ["png", "tif"])
@pytest.mark.parametrize(("width_mm", "dpi"), [(85, 300), (180, 300), (85, 600), (120.5, 450)])
def test_pixels_and_dpi_make_the_width_that_was_asked_for(tmp_path, kind, width_mm, dpi):
    figure = sheet_figure([make_panel(micrograph(), (), {}, {}, Layout())],
                          Layout(width_mm=width_mm, dpi=dpi))
    path = figures.save(figure, tmp_path / f"a.{kind}", dpi=dpi)
    with Pillow.open(path) as saved:
        said = [float(one) for one in saved.info["dpi"]]
        assert said == pytest.approx([dpi, dpi], abs=0.02)
        assert saved.size[0] == round(width_mm / 25.4 * dpi)
        half_a_pixel = 0.5 * 25.4 / dpi
        assert saved.size[0] / said[0] * 25.4 == pytest.approx(width_mm, abs=half_a_pixel + 0.01)
        assert saved.size[1] / saved.size[0] == pytest.approx(0.75, abs=0.01)
        if kind == "tif":
            assert saved.mode == "RGB"


def test_svg_has_its_width_in_points_and_text_as_text(tmp_path):
    panels = [make_panel(micrograph(seed=i), (), {}, {}, Layout()) for i in range(2)]
    path = figures.save(sheet_figure(panels, Layout(width_mm=180)), tmp_path / "a.svg")
    text = path.read_text()
    assert float(re.search(r'<svg[^>]* width="([\d.]+)pt"', text)[1]) == \
        pytest.approx(180 / 25.4 * 72, abs=0.01)
    written = re.findall(r"<text[^>]*>([^<]*)</text>", text)
    assert {"a", "b", "20 nm"} <= set(written)
    sizes = [float(size) for size in re.findall(r"<text[^>]*font-size: ([\d.]+)px", text)]
    assert len(sizes) == len(written)
    assert min(sizes) >= 6.0
    assert set(re.findall(r"font-family: '([^']*)'", text)) == {"DejaVu Sans"}


def test_scale_bars_have_the_length_that_is_written_beside_them():
    layout = Layout(width_mm=180, scale_bar_nm=12.0, columns=2)
    images = [micrograph(), micrograph((128, 64), seed=1)]
    figure = sheet_figure([make_panel(one, (), {}, {}, layout) for one in images], layout)
    panels = [axes for axes in figure.axes if axes.images]
    for axes in panels:
        bar = next(patch for patch in axes.patches if patch.get_gid() == "scale-bar")
        label = next(text for text in axes.texts if text.get_gid() == "scale-bar-label")
        assert bar.get_width() * 0.5 == pytest.approx(12.0)
        assert bar.get_linewidth() == 0 or bar.get_edgecolor()[3] == 0  # an edge would lengthen it
        assert label.get_text() == "12 nm"
    heights = [axes.get_position().height for axes in panels]
    assert heights[0] == pytest.approx(heights[1])
    assert panels[1].get_position().x1 == pytest.approx(1.0, abs=0.003)


def test_bar_and_letter_do_not_cover_each_other_or_the_objects():
    layout = Layout(width_mm=60)
    image = micrograph((128, 128))
    busy = np.array(image.data)
    busy[70:, :60] += 300.0
    figure = sheet_figure([make_panel(image.with_data(busy), (), {}, {}, layout)] * 2, layout)
    for axes in figure.axes:
        plates = {patch.get_gid(): patch.get_bbox() for patch in axes.patches}
        assert plates["scale-bar-plate"].x0 > 60
        assert not plates["scale-bar-plate"].overlaps(plates["letter-plate"])


@pytest.mark.parametrize("shape", [(16, 640), (640, 16), (5, 5)])
def test_flat_high_and_small_pictures_are_drawn(shape):
    image = plane_image(np.random.default_rng(0).normal(size=shape))
    for pixels in (image.data, np.full(shape, np.nan), np.zeros(shape)):
        panel = make_panel(image.with_data(pixels), (), {}, {}, Layout())
        sheet_figure([panel, panel], Layout()).canvas.draw()


def test_letters_go_on_after_z():
    layout = Layout(columns=7, width_mm=180)
    figure = sheet_figure([make_panel(micrograph(), (), {}, {}, layout)] * 28, layout)
    letters = [text.get_text() for axes in figure.axes for text in axes.texts
               if text.get_gid() == "letter"]
    assert letters[:2] + letters[25:] == ["a", "b", "z", "aa", "ab"]
    with pytest.raises(ParameterError, match="mm high"):
        sheet_figure([make_panel(micrograph(), (), {}, {}, layout)] * 9, Layout(columns=1))


def test_colour_bar_is_that_of_the_colours_and_their_limits():
    layout = Layout()
    given = {"false_colour": {"low": 60.0, "high": 200.0, "colours": "magma"}}
    figure = sheet_figure([make_panel(micrograph(), ("false_colour",), given, {}, layout)], layout)
    picture, bar = figure.axes
    assert bar.get_ylim() == (60.0, 200.0)
    assert bar.get_ylabel() == "HAADF intensity (arb. units)"
    assert picture.images[0].get_array().shape == (96, 128, 3)
    contrast = make_panel(micrograph(), ("amplitude_contrast",), {}, {}, layout)
    assert sheet_figure([contrast], layout).axes[1].get_ylabel() == "amplitude contrast / mean"
    assert len(sheet_figure([contrast._replace(bar=False)], layout).axes) == 1


@pytest.mark.parametrize("wrong", [
    {"width_mm": 5.0}, {"dpi": 10}, {"columns": 0}, {"limits": (3.0,)}, {"limits": (3.0, 1.0)},
    {"colour_bar": "yes"}, {"scale_bar_nm": -1.0}])
def test_wrong_layouts_are_refused(wrong):
    with pytest.raises(ParameterError):
        Layout(**wrong).check()


def test_a_folder_goes_on_when_a_file_fails_and_names_it(folder, tmp_path):
    output = tmp_path / "out"
    done = run(folder, "-o", output)
    assert done.exit_code == 1
    assert "broken.tif" in done.stderr
    written = sorted(path.relative_to(output).as_posix() for path in output.rglob("*")
                     if path.is_file())
    assert written == ["one.tif.png", "sub/two.tif.png"]
    assert done.stdout.splitlines() == [str(output / name) for name in written]
    before = {name: (output / name).read_bytes() for name in written}
    assert run(folder, "-o", output).exit_code == 1  # its own files are replaced
    assert before == {name: (output / name).read_bytes() for name in written}


def test_what_a_picture_says_about_itself(folder, tmp_path):
    source = folder / "one.tif"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    for kind in ("png", "tif", "svg", "pdf"):
        target = tmp_path / f"figure.{kind}"
        assert run(source, "-o", target, "--show", "amplitude_contrast,false_colour", "--set",
                   "amplitude_contrast.objects=bright").exit_code == 0
        said = about(target)
        assert said["made_by"].startswith("emtools figure ")
        assert (said["images"][0]["file"], said["images"][0]["sha256"]) == ("one.tif", digest)
        assert [step.split("(")[0] for step in said["images"][0]["steps"]] == [
            "amplitude_contrast", "false_colour"]
        assert said["recipe"]["steps"] == {"amplitude_contrast": {"objects": "bright"}}
        assert said["recipe"]["layout"]["width_mm"] == 85.0
        assert str(tmp_path) not in target.read_bytes().decode("latin-1")


def test_one_sheet_of_all_and_never_over_what_is_not_ours(folder, tmp_path):
    sheet = folder / "sheet.png"
    assert run(folder, "-o", sheet, "--width-mm", 180).exit_code == 1
    assert is_drawn(sheet)
    assert len(about(sheet)["images"]) == 2
    assert run(folder, "-o", sheet).exit_code == 1
    assert len(about(sheet)["images"]) == 2  # the sheet of before is no image of the folder
    raw = (folder / "one.tif").read_bytes()
    for target in ("one.tif", "ONE/../one.tif"):
        (folder / "ONE").mkdir(exist_ok=True)
        with pytest.raises(ParameterError, match="one of the images"):
            draw([folder / "one.tif"], folder / target, Shown(), force=True)
    assert (folder / "one.tif").read_bytes() == raw
    other = tmp_path / "mine.png"
    other.write_bytes(b"a picture of mine")
    with pytest.raises(ParameterError, match="not made by this"):
        draw([folder / "one.tif"], other, Shown())
    draw([folder / "one.tif"], other, Shown(), force=True)
    assert is_drawn(other)


def test_a_recipe_says_it_all_and_the_command_line_goes_before(folder, tmp_path):
    recipe = tmp_path / "run.toml"
    recipe.write_text('''
pixel_size_nm = 0.25
[lattice]
phases = ["PbS"]
[figure]
show = ["amplitude_contrast"]
format = "tif"
width_mm = 120
dpi = 400
limits = [0, 2]
[figure.amplitude_contrast]
objects = "bright"
background_nm = 30
''')
    output = tmp_path / "out"
    assert run(folder, "-o", output, "--recipe", recipe, "--dpi", 600).exit_code == 1
    said = about(output / "one.tif.tif")
    assert said["recipe"]["steps"] == {
        "amplitude_contrast": {"objects": "bright", "background_nm": 30.0}}
    assert "background_nm = 30" in said["images"][0]["steps"][0]
    with Pillow.open(output / "one.tif.tif") as saved:
        assert saved.size[0] == round(120 / 25.4 * 600)
    from emtools.cli.recipes import read_recipe

    assert read_recipe(recipe).parameters == {"lattice": {"phases": ("PbS",)}}
    for wrong, said in (("sharpness = 2", "sharpness"), ('show = ["sharpen"]', "sharpen"),
                        ("[figure.fourier]\nx = 1", "fourier.x"), ("dpi = 'high'", "dpi")):
        recipe.write_text(f"[figure]\n{wrong}\n")
        refused = run(folder, "-o", output, "--recipe", recipe).exception
        assert isinstance(refused, ParameterError)
        assert said in str(refused)


def test_measurements_are_drawn_and_bragg_filters_use_them(tmp_path):
    target = tmp_path / "a.png"
    done = run(HRTEM, "-o", target, "--show", "bragg_filter", "--measure", "lattice", "--set",
               "lattice.phases=PbS", "--set", "bragg_filter.hkl={200}", "--set",
               "bragg_filter.domains=true")
    assert done.exit_code == 0
    said = about(target)["images"][0]
    assert said["measured"]["lattice"]["phases"] == ["PbS"]
    assert "hkl = {200}" in said["steps"][0]
    noise = tmp_path / "noise.tif"
    tifffile.imwrite(noise, np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32))
    done = run(noise, HRTEM, "-o", tmp_path / "out", "--show", "bragg_filter")
    assert done.exit_code == 1
    assert "no reflections" in done.stderr
    assert (tmp_path / "out" / f"{HRTEM.name}.png").is_file()


def test_wrong_usage(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "more")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ParameterError, match="is the name of"):
        draw([folder, tmp_path / "more"], tmp_path / "out", Shown())
    with pytest.raises(ParameterError, match="holds no image"):
        draw([tmp_path / "empty"], tmp_path / "out", Shown())
    for shown in (Shown(show=("sharpen",)), Shown(measure=("sizes",)), Shown(kind="bmp"),
                  Shown(frame=3, signal="0", layout=Layout(dpi=1))):
        with pytest.raises(ParameterError):
            draw([folder], tmp_path / "out", shown)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ParameterError, match="cannot be written"):
        draw([folder / "one.tif"], tmp_path / "file" / "out", Shown())


def test_a_burnt_in_banner_is_left_out_unless_it_is_wanted():
    from emtools.io import read_one

    image = read_one(SAMPLES / "pbs_chains_banner.tif")
    rows = [make_panel(image, (), {}, {}, Layout(banner=banner)).image.shape[0]
            for banner in (False, True)]
    assert rows[1] == image.shape[0] > rows[0]


@pytest.mark.real
@pytest.mark.parametrize("name", ["scikit-ued/bismuth.dm3", "emps/images/f98c5fb82a.png",
                                  "rosettasciio/tia/old/03_Scanning Preview.emi",
                                  "particlespy/SiO2 EDS Spectrum Image.hspy"])
def test_real_files_are_drawn(real_data, name, tmp_path):
    show = ("compress_range",) if "bismuth" in name else ()
    assert draw([real_data / name], tmp_path / "a.png", Shown(show=show)) == []
    with Pillow.open(tmp_path / "a.png") as saved:
        assert np.asarray(saved.convert("L")).std() > 10
