"""Recipes and previews: what is measured with what, said and checked before anything runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from emtools import EmtoolsError, ParameterError, calibrate, simulate
from emtools.batch import Effort, preview, run
from emtools.batch.effective import effective, recipe_of
from emtools.batch.keys import KeyBook
from emtools.batch.plan import Recipe, Rule
from emtools.cli.planning import recipe_text
from emtools.cli.recipes import read_recipe
from emtools.results import Results
from emtools.results import records as records_of

SAMPLES = Path(__file__).parent.parent / "sample_images"

TEXT = """
measurements = ["chains", "lattice", "eds"]
with = ["chains"]
pixel_size_nm = 1

[lattice]
phases = ["PbS", "Au"]
local_map = false

[eds]
elements = ["Pb", "S"]
k_factors = {S_Ka = 1.02, Pb_Ma = 2}

[[for]]
files = "before/*"
measurements = ["chains"]
[for.chains]
min_dots = 4

[[for]]
modality = "TEM"
[for.chains]
contrast = "dark"
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "run.toml"

    def written(text: str) -> Path:
        path.write_text(text, encoding="utf-8")
        return path

    return written


def test_a_recipe_gives_parameters_of_their_types_by_file_and_modality(recipe):
    found = read_recipe(recipe(TEXT))
    assert found.pixel_size_nm == 1.0
    assert found.parameters["lattice"] == {"phases": ("PbS", "Au"), "local_map": False}
    assert found.parameters["eds"]["k_factors"] == {"S_Ka": 1.02, "Pb_Ma": 2.0}
    after = found.of("after/a.tif", "HAADF")
    assert (after.measurements, after.rules) == (("chains", "lattice", "eds"), ())
    before = found.of("before/a.tif", "TEM")
    assert before.measurements == ("chains",)
    assert before.parameters["chains"] == {"min_dots": 4, "contrast": "dark"}
    assert before.parameters["lattice"] == after.parameters["lattice"]
    same = recipe(TEXT).with_suffix(".json")
    same.write_text(json.dumps({"measurements": ["chains"], "for": [{"files": "x"}]}))
    assert read_recipe(same).rules == (Rule("x"),)


@pytest.mark.parametrize(("text", "said"), [
    ("measurments = []", "known are measurements"),
    ("[chain]\nmin_dots = 3", r"\[chains\]"),
    ("[chains]\nmin_width = 3", "min_width_nm"),
    ('[chains]\nmin_dots = "three"', "no int"),
    ("[chains]\nmin_dots = true", "no int"),
    ('[chains]\ncontrast = "grey"', "bright"),
    ('[eds]\nhaadf = "a.tif"', "supplied by the batch"),
    ('[lattice]\nregions = "nowhere.npy"', "nowhere.npy"),
    ('measurements = "chains"', "no list of names"),
    ('measurements = ["latice"]', "latice"),
    ('[[for]]\nfile = "x"', r"\[\[for\]\] 1: file.*known are files"),
    ("[for]\nfiles = 3", r"write \[\[for\]\]"),
    ('pixel_size_nm = "small"', "no float"),
    ("pixel_size_nm = -1", "positive"),
    ("= 3", "cannot be read"),
    ("[eds]\nk_factors = {S_Ka = true}", "no number"),
])
def test_a_mistake_is_named_before_anything_runs(recipe, text, said):
    with pytest.raises(EmtoolsError, match=said):
        read_recipe(recipe(text))


def test_options_of_the_command_go_before_the_recipe(recipe):
    given = Recipe(measurements=("lattice",), parameters={"lattice": {"local_map": True}})
    both = read_recipe(recipe(TEXT)).with_(given)
    assert both.measurements == ("lattice",)
    assert both.parameters["lattice"] == {"phases": ("PbS", "Au"), "local_map": True}
    assert both.pixel_size_nm == 1.0
    assert both.wanted == ("chains",)


def test_keys_change_with_what_holds_for_the_file_and_with_nothing_else():
    plain = Recipe(parameters={"chains": {"min_dots": 3}})  # the default, said
    ruled = Recipe(rules=(Rule(files="a*", parameters={"chains": {"min_dots": 5}}),))
    one, other = KeyBook(plain), KeyBook(ruled)
    assert one.of("b.tif", None) == other.of("b.tif", "TEM")
    assert one.of("a.tif", None).measurements["chains"] \
        != other.of("a.tif", None).measurements["chains"]
    assert one.of("a.tif", None).measurements["lattice"] \
        == other.of("a.tif", None).measurements["lattice"]
    # What rests on a measurement changes with it.
    assert one.of("a.tif", None).measurements["attachment"] \
        != other.of("a.tif", None).measurements["attachment"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("micrographs")
    (folder / "before").mkdir()
    shutil.copy(SAMPLES / "pbs_chains_detail.hspy", folder / "before" / "a.hspy")
    shutil.copy(SAMPLES / "pbs_eds.hspy", folder)
    (folder / "broken.dm4").write_bytes(b"nothing like it")
    (folder / "notes.txt").write_text("not a micrograph")
    return folder


def test_a_preview_says_what_a_run_then_does_and_writes_nothing(folder, tmp_path):
    recipe = Recipe(("chains", "eds"), rules=(Rule("before/*", measurements=("lattice",)),))
    output = tmp_path / "results"
    planned = preview(folder, output, recipe)
    assert not output.exists()
    assert {(one.file, one.image): [name for name, _ in one.measurements]
            for one in planned.planned} == {
        ("before/a.hspy", "image"): ["lattice"], ("pbs_eds.hspy", "EDS"): ["eds"],
        ("pbs_eds.hspy", "HAADF"): ["chains"]}
    assert [file for file, _ in planned.failed] == ["broken.dm4"]
    assert [file for file, _ in planned.left_out] == ["notes.txt"]
    assert planned.seconds is None
    run(folder, output, recipe, effort=Effort(1))
    with Results(output) as results:
        done = {(one["file"], one["image"]): [m["measurement"] for m in one["measurements"]]
                for one in records_of(results) if one["status"] == "measured"}
        assert done == {(one.file, one.image): [name for name, _ in one.measurements]
                        for one in planned.planned}
        assert results.recipe["rules"][0]["files"] == "before/*"
    again = preview(folder, output, recipe)
    assert set(again.known) == {"before/a.hspy", "pbs_eds.hspy"}
    assert again.planned == ()
    other = preview(folder, output, Recipe(("lattice",), {"lattice": {"max_d_nm": 0.9}}))
    assert other.seconds is not None
    assert 0 < other.seconds < 600


def test_the_recipe_that_is_written_for_a_folder_is_one(folder, tmp_path):
    text = recipe_text(preview(folder, tmp_path / "results"))
    assert "1 EDS" in text
    path = tmp_path / "written.toml"
    path.write_text(text, encoding="utf-8")
    found = read_recipe(path)
    assert set(found.measurements) == {"attachment", "chains", "eds", "lattice"}
    # With every line that has a value in force, it is one too, and the same for all keys.
    in_force = "\n".join(
        line[2:] if line.startswith("# ") and "  # " in line and " = ..." not in line
        and '"FILE"' not in line else line for line in text.splitlines())
    path.write_text(in_force, encoding="utf-8")
    every = read_recipe(path)
    assert KeyBook(every).of("a", None) == KeyBook(found).of("a", None)


def test_a_recipe_is_not_written_over(folder, tmp_path, capsys):
    from emtools.cli import build

    path = tmp_path / "run.toml"
    path.write_text("mine")
    with pytest.raises(ParameterError, match="exists already"):
        build(["recipe"])(["recipe", str(folder), "-o", str(path)], standalone_mode=False)
    assert path.read_text() == "mine"


def test_what_is_stored_with_the_results_is_the_recipe_once_more(folder, tmp_path):
    (tmp_path / "run.toml").write_text(
        'measurements = ["chains", "lattice"]\nwith = ["chains"]\npixel_size_nm = 0.5\n'
        'pictures = "none"\n[groups]\nfolders = "group"\n[groups.files]\na = "*a*"\n'
        '[chains]\nmin_dots = 4\n[lattice]\nphases = ["PbS"]\n[eds]\nelements = ["Pb"]\n'
        '[[for]]\nfiles = "b*"\nmodality = "HAADF"\nmeasurements = ["chains"]\n'
        '[for.chains]\nmin_dots = 5\n', encoding="utf-8")
    recipe = read_recipe(tmp_path / "run.toml")
    plain = json.loads(json.dumps(effective(recipe)))
    again = recipe_of(plain)
    again.check()
    assert effective(again) == plain
    for name, modality in (("a", None), ("b.tif", "HAADF"), ("b.tif", "STEM")):
        assert KeyBook(again).of(name, modality) == KeyBook(recipe).of(name, modality)
        assert again.groups.of(name) == recipe.groups.of(name)


def test_a_results_folder_stands_for_its_recipe_and_nothing_is_measured_again(folder, tmp_path):
    recipe = Recipe(("chains",), {"chains": {"min_dots": 4}}, pictures="none")
    run(folder, tmp_path / "one", recipe, Effort(1))
    again = read_recipe(tmp_path / "one")
    assert effective(again) == effective(recipe)
    outcome = run(folder, tmp_path / "one", again, Effort(1))
    assert outcome.reused == 2  # all but the broken one


def test_a_calibration_comes_back_and_what_was_given_by_a_file_cannot():
    image, _ = simulate.crystal("SrTiO3", shape=(512, 512), pixel_size_nm=0.02, rng=1)
    calibration = calibrate(image, "SrTiO3")
    recipe = Recipe(("lattice",), calibrations=(calibration,))
    assert recipe_of(json.loads(json.dumps(effective(recipe)))).calibrations == (calibration,)
    drawn = Recipe(("lattice",), {"lattice": {"regions": np.ones((4, 4), dtype=int)}})
    with pytest.raises(ParameterError, match=r"lattice\.regions: was given by a file"):
        recipe_of(effective(drawn))


def test_a_crystal_beside_the_recipe_is_found_from_anywhere(tmp_path):
    (tmp_path / "own.cif").write_text("data_x\n")
    (tmp_path / "run.toml").write_text('[lattice]\nphases = ["PbS", "own.cif"]\n')
    found = read_recipe(tmp_path / "run.toml")
    assert found.parameters["lattice"]["phases"] == ("PbS", str(tmp_path / "own.cif"))
