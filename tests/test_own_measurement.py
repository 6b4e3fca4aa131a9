"""A measurement of the user's own: one file in a folder, and everything knows it."""

import json
import os
import subprocess
import sys

import pytest

import emtools
from emtools import measure, simulate
from emtools.batch import Effort, Recipe, run
from emtools.batch.keys import code_version
from emtools.errors import ParameterError

MODULE = '''"""Brightness: the mean of a picture."""

from emtools.measure import measurement
from emtools.model import Image, Result
from emtools.tables import Column, Table

TABLES = {"brightness": Table("One picture.", (Column("mean_counts", "float", "mean"),))}


@measurement(TABLES, modalities=("HAADF",))
def brightness(image: Image, *, factor: float = 1.0) -> Result:
    """Brightness: the mean of a picture.

    Parameters
    ----------
    image : Image
        A picture.
    factor : float
        What the mean is multiplied with.
    """
    mean = factor * float(image.load().mean())
    return Result("brightness", {"brightness": TABLES["brightness"].frame([{"mean_counts": mean}])},
                  {"outcome": f"mean {mean:.1f}"})
'''


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder with a measurement, forgotten afterwards."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "brightness.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.setenv("EMTOOLS_MEASUREMENTS", "")
    monkeypatch.setattr(measure, "__path__", list(measure.__path__))
    yield folder
    measure.load.cache_clear()
    sys.modules.pop("emtools.measure.brightness", None)
    if hasattr(measure, "brightness"):
        delattr(measure, "brightness")


@pytest.fixture
def picture(tmp_path):
    image, _ = simulate.chains(shape=(128, 128), n_chains=1, n_dots=(5, 5), rng=1)
    target = tmp_path / "images" / "a.hspy"
    target.parent.mkdir()
    image.to_hyperspy().save(target)
    return target


def test_it_is_a_measurement_like_the_others(own):
    measure.look_in(own)
    image, _ = simulate.blank(shape=(64, 64), rng=1)
    result = emtools.brightness(image, factor=2.0)
    assert result.parameters == {"factor": 2.0}
    found = result.tables["brightness"]["mean_counts"].iloc[0]
    assert found == pytest.approx(2 * image.load().mean())
    assert "brightness" in measure.names()
    assert [option.name for option in measure.load("brightness").options] == ["factor"]


def test_workers_of_a_batch_know_it_and_results_are_of_its_code(own, picture, tmp_path):
    measure.look_in(own)
    output, recipe = tmp_path / "results", Recipe(measurements=("brightness",), pictures="none")
    assert run(picture.parent, output, recipe, Effort(workers=1)).measured == 1
    assert run(picture.parent, output, recipe, Effort(workers=1)).reused == 1
    with emtools.open_results(output) as results:
        assert len(results.table("brightness.brightness")) == 1
    before = code_version()
    (own / "brightness.py").write_text(MODULE + "\n# changed\n", encoding="utf-8")
    assert code_version() != before


def test_the_command_line_finds_it_by_the_environment(own, picture):
    done = subprocess.run([sys.executable, "-m", "emtools", "brightness", str(picture), "--json",
                           "--factor", "0"], capture_output=True, text=True, check=True,
                          encoding="utf-8", env=os.environ | {"EMTOOLS_MEASUREMENTS": str(own)})
    assert json.loads(done.stdout)["summary"]["outcome"] == "mean 0.0"


def test_a_module_that_declares_nothing_is_said_to(own):
    (own / "brightness.py").write_text('"""Nothing."""\n', encoding="utf-8")
    measure.look_in(own)
    with pytest.raises(ParameterError, match=r"not declared in .*brightness.py"):
        measure.load("brightness")


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="is no folder"):
        measure.look_in(tmp_path / "nowhere")
