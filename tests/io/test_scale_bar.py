"""The scale that is only in the picture: rendered pictures of known truth, and real ones."""

import importlib.util
import itertools
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

import emtools
from emtools import figures, io, simulate
from emtools.batch.plan import calibrated
from emtools.errors import ParameterError
from emtools.io.scale_bar import NoReading, ScaleReading, grammar, reading
from emtools.io.scale_bar.grammar import parse_field, parse_length
from emtools.io.scale_bar.labels import Label
from emtools.process.bars import Bar, find_bars, scale_bar_of

_PATH = Path(__file__).resolve().parents[2] / "benchmarks" / "exported_pictures.py"


def _renderer():
    spec = importlib.util.spec_from_file_location("exported_pictures", _PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["exported_pictures"] = module
    spec.loader.exec_module(module)
    return module


rendered = _renderer()


@pytest.mark.parametrize(("text", "value", "unit"), [
    ("100 nm", 100, "nm"), ("100nm", 100, "nm"), ("2 µm", 2000, "nm"), ("2 μm", 2000, "nm"),
    ("10.0um", 10000, "nm"), ("0.5 µm", 500, "nm"), ("0,5 µm", 500, "nm"), ("05 µm", 500, "nm"),
    ("1 mm", 1e6, "nm"), ("5 Å", 0.5, "nm"), ("20 A", 2, "nm"), ("50 rm", 50, "nm"),
    ("5O nm", 50, "nm"), ("lum", 1000, "nm"), ("- 10 nm -", 10, "nm"), ("500 pm", 0.5, "nm"),
    ("5 1/nm", 5, "1/nm"), ("51/nm", 5, "1/nm"), ("101/nm", 10, "1/nm"), ("2 nm-1", 2, "1/nm"),
    ("2 nm⁻¹", 2, "1/nm"), ("1 1/Å", 10, "1/nm"),
])
def test_labels_that_state_a_length(text, value, unit):
    length = parse_length(text)
    assert length is not None
    assert length.value == pytest.approx(value)
    assert length.unit == unit


@pytest.mark.parametrize("text", [
    "11m", "1 m", "nm", "50", "", "1/nm", "WD 4.0 mm", "x50k", "200 kV", "5.00 kV", "3/31/2025",
    "100 nm 5 kV", "0 nm", "1 Mm", "10 km", "7 days",
])
def test_what_is_no_length_is_refused(text):
    assert parse_length(text) is None


@pytest.mark.parametrize(("lines", "magnification", "width_nm"), [
    (["10.0kV 11.2mm x4.00k SE(UL)"], 4000, None), (["mag 120 x"], 120, None),
    (["Mag = 50.00 K X"], 50000, None), (["x1,200"], 1200, None),
    (["HFW 1.73 mm"], None, 1.73e6), (["HFW: 8.94 µm"], None, 8940), (["100 nm"], None, None),
])
def test_a_banner_states_magnification_or_field(lines, magnification, width_nm):
    field = parse_field(lines)
    assert field.magnification == (None if magnification is None else pytest.approx(magnification))
    assert field.width_nm == (None if width_nm is None else pytest.approx(width_nm))


@pytest.mark.parametrize("value", [1, 2, 5, 10, 200, 0.5, 2.5, 1.5, 3])
def test_round_numbers(value):
    assert grammar.is_round(value)


@pytest.mark.parametrize("value", [1.73, 11, 47, 101, 0.37])
def test_numbers_that_are_not_round(value):
    assert not grammar.is_round(value)


@pytest.mark.parametrize(("layout", "ending"), list(zip(
    rendered.LAYOUTS, itertools.cycle(["png", "jpg", "tif"]), strict=False)))
def test_each_layout_is_read_from_each_kind_of_file(tmp_path, layout, ending):
    picture = rendered.exported(layout, np.random.default_rng([7, len(layout), len(ending)]))
    path = tmp_path / f"export.{ending}"
    picture.save(path)
    image = emtools.read_one(path)
    axis = image.axis("x")
    assert axis.source == "picture", image.audit
    assert axis.unit == picture.unit
    assert axis.pixel_size == pytest.approx(picture.pixel_size, rel=0.025)
    # Both ends of the bar, and what a microscope's own scale is worth.
    ends = math.sqrt(2 / 3) / scale_bar_of(image)["length_px"]
    assert axis.relative_err == pytest.approx(math.hypot(ends, 0.025), rel=1e-3)
    assert any("read from the picture" in line for line in image.audit)


def test_a_picture_of_few_atoms_may_have_lost_the_exponent_of_its_unit():
    bar = Bar("bar", 10, 14, 20.0, 76.0, 1.0)
    for text, doubts in (("0.2 nm", 1), ("2 nm", 0), ("0.2 nm-1", 0)):
        judged = reading._plausible(bar, parse_length(text), 397, [])
        assert judged is not None
        assert sum("may be 1/nm" in doubt for doubt in judged[1]) == doubts


def test_a_stroke_of_another_length_close_by_is_a_doubt():
    label = Label("2 µm", 1.0, 359.0, 380.0, 327.0, 369.0)
    taken = ScaleReading(Bar("bar", 350, 353, 309.0, 386.6, 0.9), label, parse_length("2 µm"))
    for other, doubts in ((Bar("bar", 353, 354, 315.3, 380.9, 0.57), 1),
                          (Bar("bar", 353, 354, 310.0, 386.0, 0.57), 0),  # its outline
                          (Bar("bar", 353, 354, 315.3, 380.9, 0.2), 0),  # no drawing
                          (Bar("bar", 340, 341, 250.0, 500.0, 1.0, corners_px=60), 0),  # a frame
                          (Bar("bar", 250, 260, 315.3, 380.9, 1.0), 0)):  # elsewhere
        found = reading._beside_others(taken, [taken.bar, other])
        assert len(found.doubts) == doubts


def _bar(length_px=120, thick=4, shape=(400, 500), level=255, left=30.0, top=350):
    """A picture of noise with a bar whose ends may lie within a pixel."""
    rng = np.random.default_rng(5)
    values = rng.normal(110, 12, shape)
    for column in range(shape[1]):
        covered = np.clip(min(column + 1, left + length_px) - max(column, left), 0, 1)
        values[top:top + thick, column] += covered * (level - values[top:top + thick, column])
    return np.clip(values, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize(("left", "length"), [(30.0, 120.0), (30.3, 119.6), (17.75, 201.5)])
def test_ends_of_a_bar_are_found_within_a_fifth_of_a_pixel(level, left, length):
    bar = find_bars(_bar(length, level=level, left=left))[0]
    assert bar.left == pytest.approx(left, abs=0.2)
    assert bar.right == pytest.approx(left + length, abs=0.2)
    assert (bar.top, bar.bottom) == (350, 354)


@pytest.mark.parametrize("kind", ["blank", "film", "lattice", "chains"])
def test_a_picture_without_a_bar_has_no_reading(kind, monkeypatch):
    def never(*_):
        raise AssertionError("text was looked for where there is no bar")

    monkeypatch.setattr(reading, "find_labels", never)
    if kind == "blank":
        pixels = np.full((256, 256), 7, np.uint8)
    elif kind == "film":
        pixels = np.random.default_rng(1).normal(size=(512, 512)).astype(np.float32)
    else:
        make = simulate.crystal if kind == "lattice" else simulate.chains
        pixels = make(rng=1)[0].load()
    said = io.read_scale_bar(pixels)
    assert isinstance(said, NoReading)
    assert not said.bar_found


def test_a_bar_whose_label_cannot_be_read_gives_no_scale(tmp_path):
    path = tmp_path / "unlabelled.png"
    Picture.fromarray(_bar()).save(path)
    image = emtools.read_one(path)
    assert not image.axis("x").calibrated
    assert any("no length beside it could be read" in line for line in image.audit)


@pytest.fixture(scope="module")
def labelled():
    """A picture with a bar in a banner, and its truth."""
    return rendered.exported("banner, end marks", np.random.default_rng(11))


def _with_metadata(path, picture, factor):
    """Write a TIFF whose tags state the bar's pixel size times a factor."""
    per_nm = 1 / (factor * picture.pixel_size)
    tifffile.imwrite(path, picture.pixels, imagej=True, resolution=(per_nm, per_nm),
                     metadata={"unit": "nm"})


def test_metadata_beat_a_bar_that_says_something_else_and_both_are_said(tmp_path, labelled):
    path = tmp_path / "conflict.tif"
    _with_metadata(path, labelled, 1.3)
    image = emtools.read_one(path)
    assert image.axis("x").source == "file"
    assert image.axis("x").pixel_size == pytest.approx(1.3 * labelled.pixel_size, rel=1e-4)
    conflict = next(line for line in image.audit if line.startswith("conflict"))
    assert f"{1.3 * labelled.pixel_size:.4g}" in conflict
    trusted = emtools.read_one(path, scale_bars="prefer")
    assert trusted.axis("x").source == "picture"
    assert trusted.axis("x").pixel_size == pytest.approx(labelled.pixel_size, rel=0.02)


def test_metadata_that_agree_with_the_bar_are_said_to(tmp_path, labelled):
    path = tmp_path / "agrees.tif"
    _with_metadata(path, labelled, 1.0)
    image = emtools.read_one(path)
    assert image.axis("x").source == "file"
    assert any("as the file does" in line for line in image.audit)


def test_the_sample_whose_only_calibration_is_its_bar():
    image = emtools.read_one(_PATH.parents[1] / "sample_images" / "pbs_chains_banner.tif")
    assert image.axis("x").pixel_size == pytest.approx(0.5, rel=0.01)
    assert scale_bar_of(image)["text"] == "50 nm"
    assert not any("in px" in line for line in image.audit)


def test_nothing_is_read_where_it_is_not_wanted(tmp_path, labelled):
    path = tmp_path / "picture.png"
    labelled.save(path)
    image = emtools.read_one(path, scale_bars="ignore")
    assert not image.axis("x").calibrated
    assert scale_bar_of(image) is None


def test_bar_label_and_banner_are_masked(tmp_path, labelled):
    path = tmp_path / "picture.png"
    labelled.save(path)
    image = emtools.read_one(path)
    said = scale_bar_of(image)
    for part in ("bar", "label"):
        top, bottom, left, right = (int(edge) for edge in said[part])
        assert not image.mask[top:bottom, left:right].any()
    rows = labelled.pixels.shape[0]
    assert not image.mask[rows - 3:].any()
    assert image.mask[: rows // 2].all()


def test_the_plate_behind_a_bar_is_masked_too(tmp_path):
    picture = rendered.exported("box in a corner", np.random.default_rng(21))
    path = tmp_path / "picture.png"
    picture.save(path)
    image = emtools.read_one(path)
    masked = ~image.mask
    rows, columns = np.flatnonzero(masked.any(axis=1)), np.flatnonzero(masked.any(axis=0))
    said = scale_bar_of(image)
    assert rows[-1] - rows[0] > 1.4 * (max(said["bar"][1], said["label"][1])
                                      - min(said["bar"][0], said["label"][0])) - 12
    assert masked.mean() < 0.2
    assert columns[-1] - columns[0] >= said["length_px"]


def test_the_same_picture_twice_as_large_has_half_the_pixel_size(labelled):
    larger = np.kron(labelled.pixels, np.ones((2, 2), np.uint8))
    one, two = io.read_scale_bar(labelled.pixels), io.read_scale_bar(larger)
    assert isinstance(one, ScaleReading)
    assert isinstance(two, ScaleReading)
    assert two.pixel_size == pytest.approx(one.pixel_size / 2, rel=0.01)
    inverted = io.read_scale_bar(255 - labelled.pixels)
    assert isinstance(inverted, ScaleReading)
    assert inverted.pixel_size == pytest.approx(one.pixel_size, rel=0.01)


def test_a_text_beside_the_picture_states_its_pixel_size(tmp_path, labelled):
    path = tmp_path / "sem.png"
    labelled.save(path)
    columns, rows = labelled.pixels.shape[::-1]
    beside = path.with_suffix(".txt")
    beside.write_text(f"[SemImageFile]\nDataSize={columns}x{rows}\nPixelSize=24.8\n")
    image = emtools.read_one(path, scale_bars="ignore")
    assert image.axis("x").pixel_size == pytest.approx(24.8)
    assert image.axis("x").source == "file"
    beside.write_text(
        f"$CM_FULL_SIZE {columns} {rows}\n$CM_MAG 20000\n$$SM_MICRON_BAR 120\n"
        "$$SM_MICRON_MARKER 1um\n")
    assert emtools.read_one(path, scale_bars="ignore").axis("x").pixel_size == pytest.approx(
        1000 / 120)
    beside.write_text("[SemImageFile]\nPixelSize=24.8\n")
    assert not emtools.read_one(path, scale_bars="ignore").axis("x").calibrated
    beside.write_text("[SemImageFile]\nDataSize=64x48\nPixelSize=24.8\n")
    assert not emtools.read_one(path, scale_bars="ignore").axis("x").calibrated


def _reading_with(texts):
    bar = find_bars(_bar())[0]
    length = parse_length("1 µm")
    return reading._plausible(bar, length, 500, texts)


@pytest.mark.parametrize(("row", "belongs"), [(110, True), (127, False)])
def test_dashes_beside_a_label_are_its_bar_and_feet_of_its_letters_are_not(row, belongs):
    label = Label("- 20 nm -", 0.9, 92.0, 128.0, 383.0, 508.0)
    split = Bar("split", row - 1, row + 1, 390.0, 502.0, 1.0)
    assert (reading._distance(split, label) is not None) == belongs


def test_what_else_the_banner_says_confirms_or_contradicts():
    field_um = 500 / 120
    assert _reading_with([f"HFW {field_um:.2f} µm"]) == ("field of view", [])
    _, doubts = _reading_with(["HFW 41.7 µm"])
    assert "field of view" in doubts[0]
    _, doubts = _reading_with(["x30"])
    assert "magnification" in doubts[0]
    assert _reading_with(["x30.0k"]) == ("", [])


def test_a_user_s_pixel_size_beats_a_bar_in_a_batch(tmp_path, labelled):
    labelled.save(tmp_path / "a.png")
    image = calibrated(emtools.read_one(tmp_path / "a.png"), 0.5)
    assert image.axis("x").pixel_size == 0.5
    assert image.axis("x").source == "user"


def test_a_recipe_says_what_is_done_with_bars(tmp_path):
    from emtools.cli.recipes import read_recipe

    path = tmp_path / "recipe.toml"
    path.write_text('scale_bars = "ignore"\n')
    assert read_recipe(path).scale_bars == "ignore"
    path.write_text('scale_bars = "guess"\n')
    with pytest.raises(ParameterError, match="scale_bars"):
        read_recipe(path)


def _emtools(*arguments, folder):
    return subprocess.run([str(Path(sys.executable).with_name("emtools")), *map(str, arguments)],
                          cwd=folder,
                          capture_output=True, text=True, check=False)


def test_the_command_line_reads_shows_and_leaves_alone(tmp_path, labelled):
    labelled.save(tmp_path / "a.png")
    said = json.loads(_emtools("info", "a.png", "--json", folder=tmp_path).stdout)
    assert said["axes"][1]["source"] == "picture"
    ignored = json.loads(_emtools("info", "a.png", "--json", "--no-ocr", folder=tmp_path).stdout)
    assert ignored["axes"][1]["source"] == "none"
    shown = _emtools("calibrate", "a.png", "--bar", folder=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "read from the picture" in shown.stdout
    with Picture.open(tmp_path / "a_bar.png") as drawn:
        assert drawn.width == 1004  # 85 mm at 300 dpi
    both = _emtools("info", "a.png", "--no-ocr", "--trust-bar", folder=tmp_path)
    assert both.returncode == 2
    Picture.fromarray(np.full((300, 300), 9, np.uint8)).save(tmp_path / "b.png")
    none = _emtools("calibrate", "b.png", "--bar", folder=tmp_path)
    assert none.returncode == 1
    assert "no scale bar" in none.stderr
    assert _emtools("calibrate", "a.png", folder=tmp_path).returncode == 2


def test_a_thumbnail_shows_what_was_taken(tmp_path, labelled):
    labelled.save(tmp_path / "a.png")
    import io as streams

    read, ignored = (emtools.read_one(tmp_path / "a.png", scale_bars=use)
                     for use in ("missing", "ignore"))
    with Picture.open(streams.BytesIO(figures.thumbnail(read))) as small:
        colours = np.asarray(small.convert("RGB")).astype(int)
    assert (np.ptp(colours, axis=-1) > 60).sum() > 40  # coloured frames
    with Picture.open(streams.BytesIO(figures.thumbnail(ignored))) as small:
        assert small.mode == "L"


# px per nm, by the names of files, the fringes' own file, the magnification; see the catalogue.
_REAL = {
    "superlattice/scalebars/Scale_0p532px_nm.tif": 0.532,
    "superlattice/scalebars/Scale_2px_nm.tif": 2.0,
    "superlattice/scalebars/Scale_5p14px_nm.tif": 5.14,
    "superlattice/scalebars/Scale_9p4px_nm.tif": 9.4,
    "superlattice/hexagonal_example.Tif": 1 / 0.7016,
    "hrtem-soot/ExampleImage.tif": 18.02,
    "sem-nanowires/13.tif": 1 / 24.8,
    "rosettasciio/tiff/FEI-Helios-Ebeam-16bits.tif": 1 / 3370,
}


@pytest.mark.parametrize("name", list(_REAL))
def test_real_pictures_with_a_known_scale(real_data, name):
    image = emtools.read_one(real_data / name, scale_bars="prefer")
    assert image.axis("x").source == "picture", image.audit
    assert 1 / image.axis("x").pixel_size == pytest.approx(_REAL[name], rel=0.025)


@pytest.mark.parametrize(("name", "text"), [
    ("257e44104b", "50"), ("30da4fa249", "100"), ("34f4fb273d", "1 μm"), ("3f97a9e821", "50"),
    ("97e645b56e", "50"), ("de1d3f1409", "50"), ("f98c5fb82a", "20"),
])
def test_real_labels_are_read_as_they_stand_there(real_data, name, text):
    image = emtools.read_one(real_data / "emps/images" / f"{name}.png")
    assert scale_bar_of(image)["text"].startswith(text)


@pytest.mark.parametrize("name", ["76dde347fc", "8fde53b05f"])
def test_a_label_that_no_eye_can_read_is_not_guessed(real_data, name):
    image = emtools.read_one(real_data / "emps/images" / f"{name}.png")
    assert not image.axis("x").calibrated
