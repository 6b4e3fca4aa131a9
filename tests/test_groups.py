"""What files belong to: by folders, by names, by a sheet; in recipes, stores and reports."""

from __future__ import annotations

import pandas as pd
import pytest

from emtools import ParameterError
from emtools.batch import Effort, run
from emtools.batch.plan import Recipe
from emtools.cli.recipes import read_recipe
from emtools.io.writing import write_image
from emtools.results import Groups, Results
from emtools.results.groups import read_sheet
from emtools.simulate import chains


@pytest.mark.parametrize(("folders", "name", "found"), [
    ("group", "before/a.tif", ("before", "")),
    ("group", "before/s1/a.tif", ("before", "")),
    ("group", "a.tif", ("", "")),
    ("group/sample", "before/s1/a.tif", ("before", "s1")),
    ("group/sample", "before/a.tif", ("before", "")),
    ("*/group", "2026/after/a.tif", ("after", "")),
    ("sample/group", "s1/after/deep/a.tif", ("after", "s1")),
    ("", "before/a.tif", ("", "")),
])
def test_levels_of_folders_say_what_files_belong_to(folders, name, found):
    assert Groups(folders).of(name) == found


@pytest.mark.parametrize("folders", ["groups", "group/group", "group//sample", "before"])
def test_levels_that_are_none_are_refused(folders):
    with pytest.raises(ParameterError, match="does not name levels"):
        Groups(folders)


def test_a_sheet_goes_before_patterns_and_patterns_before_folders():
    groups = Groups("group/sample", files={"late": ("*_2h*",), "early": ("*_1h*", "*_2h*")},
                    samples={"s9": ("*_s9_*",)}, sheet={"x_2h.tif": ("given", ""),
                                                        "before/y.tif": ("", "s3")})
    assert groups.of("before/s1/a_2h.tif") == ("late", "s1")
    assert groups.of("before/s1/a_1h_s9_.tif") == ("early", "s9")
    assert groups.of("before/s1/x_2h.tif") == ("given", "s1")
    assert groups.of("before/y.tif") == ("before", "s3")
    assert not Groups()
    assert groups.plain()["folders"] == "group/sample"


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_sheet_is_read(tmp_path, kind):
    table = pd.DataFrame({"File": ["a.tif", "./sub/b.tif", "sub\\c.tif"],
                          " group ": ["before", "after", "007"], "note": ["", "x", ""]})
    path = tmp_path / f"groups.{kind}"
    table.to_csv(path, index=False) if kind == "csv" else table.to_excel(path, index=False)
    assert read_sheet(path) == {"a.tif": ("before", ""), "sub/b.tif": ("after", ""),
                                "sub/c.tif": ("007", "")}
    assert Groups.given(str(path)).of("elsewhere/a.tif") == ("before", "")


@pytest.mark.parametrize(("text", "said"), [
    ("file,kind\na,b\n", "no column group"), ("file,group\na,b\na,c\n", "two things of a.*row 3"),
    ("", "cannot be read"),
])
def test_a_sheet_that_is_none_is_one_clear_error(tmp_path, text, said):
    path = tmp_path / "groups.csv"
    path.write_text(text)
    with pytest.raises(ParameterError, match=said):
        read_sheet(path)
    with pytest.raises(ParameterError, match="cannot be read"):
        read_sheet(tmp_path / "none.xlsx")


def test_a_recipe_holds_groups_and_a_changed_one_measures_nothing_again(tmp_path):
    folder = tmp_path / "images"
    for n, group in enumerate(("one", "two")):
        (folder / group).mkdir(parents=True)
        image, _ = chains(shape=(128, 128), pixel_size_nm=0.5, n_chains=1, n_dots=(5, 6), rng=n)
        write_image(image, folder / group / "a.tif")
    (tmp_path / "groups.csv").write_text("file,group,sample\none/a.tif,before,s1\n")
    (tmp_path / "run.toml").write_text(
        'measurements = ["chains"]\n[groups]\nfolders = "group"\nsheet = "groups.csv"\n'
        '[groups.samples]\ns2 = "two/*"\n')
    recipe = read_recipe(tmp_path / "run.toml")
    run(folder, tmp_path / "out", recipe, effort=Effort(1))
    with Results(tmp_path / "out") as results:
        found = results.files[["file", "group", "sample"]].to_numpy().tolist()
        assert found == [["one/a.tif", "before", "s1"], ["two/a.tif", "two", "s2"]]
        assert results.images["group"].tolist() == ["before", "two"]
        assert results.recipe["groups"]["folders"] == "group"
    page = (tmp_path / "out" / "index.html").read_bytes()
    other = Recipe(("chains",), groups=Groups("group"))
    assert run(folder, tmp_path / "out", other, effort=Effort(1)).reused == 2
    assert (tmp_path / "out" / "index.html").read_bytes() != page
    with Results(tmp_path / "out") as results:
        assert results.files["group"].tolist() == ["one", "two"]


@pytest.mark.parametrize(("text", "said"), [
    ('[groups]\nfolder = "group"', "groups.folder.*is not known.*folders, sheet, files, samples"),
    ("[groups]\nfolders = 1", "is no text"), ("groups = 3", "is no dict"),
    ("[groups]\nfiles = 3", "is no table"), ("[groups.files]\nbefore = 3", "is no pattern"),
    ('[groups]\nsheet = "none.csv"', "cannot be read"), ('[groups]\nfolders = "a"', "levels"),
])
def test_mistakes_in_groups_are_found_before_anything_runs(tmp_path, text, said):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=said):
        read_recipe(path)
