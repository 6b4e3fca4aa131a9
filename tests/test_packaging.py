"""Both distributions: what is in their wheels, what they say, and that they work without the repo.

They are built of a copy of the sources, and installed into an environment that has the libraries of
this one, but nothing of this repository.
"""

from __future__ import annotations

import ast
import email
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

import emtools
from conftest import REPOSITORY
from emtools import read_one

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

PLUGIN = Path("plugins", "napari-emtools")
SAMPLES = REPOSITORY / "sample_images"
NAMES = {"emtools": Path(), "napari_emtools": PLUGIN}
WHERE = {"nt": "Scripts"}.get(os.name, "bin")

each = pytest.mark.parametrize("name", NAMES)


class Built(NamedTuple):
    """What was built of a distribution: its sdist, the wheel of that, the wheel of the sources."""

    sdist: Path
    wheel: Path
    direct: Path


def tracked() -> list[str]:
    """What git has, or would have if it were added."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("sources not built: this is no checkout of the repository")
    listed = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=REPOSITORY,
                            capture_output=True, check=True).stdout
    return [name for name in os.fsdecode(listed).split("\0") if name]


def build(source: Path, target: Path, *options: str) -> Path:
    subprocess.run([sys.executable, "-m", "build", "--no-isolation", *options,
                    "--outdir", str(target), str(source)], check=True, capture_output=True)
    return target


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> dict[str, Built]:
    """Both distributions."""
    folder = tmp_path_factory.mktemp("packaging")
    for name in tracked():
        if (REPOSITORY / name).is_file():
            (folder / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, folder / "tree" / name)
    found = {}
    for name, place in NAMES.items():
        both = build(folder / "tree" / place, folder / name)
        direct = build(folder / "tree" / place, folder / name / "direct", "--wheel")
        found[name] = Built(next(both.glob("*.tar.gz")), next(both.glob("*.whl")),
                            next(direct.glob("*.whl")))
    return found


def files_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def said_by(wheel: Path) -> Message:
    """The metadata of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


# ---- wheels and sdists --------------------------------------------------------------------------


@each
def test_a_wheel_holds_every_tracked_file_of_its_package_and_nothing_else(built, name):
    source = f"{(NAMES[name] / 'src').as_posix()}/"
    wanted = {one.removeprefix(source) for one in tracked() if one.startswith(source)}
    found = {one for one in files_in(built[name].wheel) if ".dist-info/" not in one}
    assert found - {one for one in found if one.startswith("napari_emtools/samples/")} == wanted


def test_the_page_its_scripts_and_the_marker_of_types_are_in_the_wheel(built):
    endings = {Path(one).suffix for one in files_in(built["emtools"].wheel)
               if one.startswith("emtools/report/")}
    assert endings == {".py", ".css", ".jinja", ".js"}
    assert "emtools/py.typed" in files_in(built["emtools"].wheel)


def test_manifest_and_samples_are_in_the_wheel_of_the_plugin(built):
    found = files_in(built["napari_emtools"].wheel)
    assert {"napari_emtools/napari.yaml", "napari_emtools/py.typed"} <= found
    images = {path.name for path in SAMPLES.iterdir()
              if path.suffix in (".tif", ".hspy", ".emd", ".mrc", ".png")}
    assert {f"napari_emtools/samples/{image}" for image in images} <= found


@each
def test_a_wheel_brings_the_licence(built, name):
    text = (REPOSITORY / "LICENSE").read_bytes()
    with zipfile.ZipFile(built[name].wheel) as archive:
        inside = next(one for one in archive.namelist() if one.endswith("licenses/LICENSE"))
        assert archive.read(inside) == text


@each
def test_a_wheel_of_the_sdist_is_that_of_the_sources(built, name):
    assert files_in(built[name].wheel) == files_in(built[name].direct)


@each
def test_an_sdist_holds_no_part_of_tests_that_cannot_run_there(built, name):
    with tarfile.open(built[name].sdist) as archive:
        tops = {one.split("/")[1] for one in archive.getnames() if "/" in one}
    assert tops.isdisjoint({"tests", "docs", "benchmarks", "build"})
    assert {"LICENSE", "README.md", "pyproject.toml", "src"} <= tops


# ---- metadata -----------------------------------------------------------------------------------


@each
def test_a_wheel_says_version_licence_and_what_it_is(built, name):
    said = said_by(built[name].wheel)
    assert said["Version"] == emtools.__version__
    assert said["License-Expression"] == "GPL-3.0-or-later"
    assert said["Requires-Python"] == ">=3.11"
    assert said["Summary"]
    # What an index refuses: no description, or one in a markup that it does not know.
    assert said["Description-Content-Type"] == "text/markdown"
    assert len(said.get_payload()) > 1000


def test_the_extras_are_those_that_the_documentation_names(built):
    assert set(said_by(built["emtools"].wheel).get_all("Provides-Extra")) == {
        "test", "bench", "docs", "notebooks", "cluster"}


def test_entry_points_are_the_command_and_the_manifest(built):
    texts = []
    for name in NAMES:
        with zipfile.ZipFile(built[name].wheel) as archive:
            place = next(one for one in archive.namelist() if one.endswith("entry_points.txt"))
            texts.append(archive.read(place).decode())
    assert "emtools = emtools.cli:main" in texts[0]
    assert "napari-emtools = napari_emtools:napari.yaml" in texts[1]


def version_in(path: Path) -> str:
    """The constant `__version__` of a module that is not imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return next(node.value.value for node in tree.body if isinstance(node, ast.Assign)
                and node.targets[0].id == "__version__")


def test_whatever_states_the_version_agrees_with_the_package():
    version = version_in(REPOSITORY / "src" / "emtools" / "_version.py")
    assert version_in(REPOSITORY / PLUGIN / "src" / "napari_emtools" / "__init__.py") == version
    plugin = tomllib.loads((REPOSITORY / PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))
    assert f"emtools>={version}" in plugin["project"]["dependencies"]
    cited = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"(?m)^version: (.*)$", cited)[1] == version
    log = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"(?m)^## (\S+)", log)[1] == version


# What is imported under another name than it is installed by.
IMPORTED_AS = {"PIL": "pillow", "cv2": "opencv-python-headless", "rsciio": "rosettasciio",
               "skimage": "scikit-image", "vl_convert": "vl-convert-python"}
OF_NAPARI = {"npe2", "psygnal", "vispy"}  # napari is built of these


@each
def test_whatever_is_imported_is_declared(built, name):
    """And is not there only because something else happens to need it now."""
    declared = {plain(re.match(r"[\w.-]+", one)[0])
                for wheel in {built["emtools"].wheel, built[name].wheel}
                for one in said_by(wheel).get_all("Requires-Dist")
                if not re.search("extra == .(test|bench)", one)}
    known = {*sys.stdlib_module_names, *NAMES, *(OF_NAPARI if name == "napari_emtools" else ())}
    tops = {module.partition(".")[0] for path in (REPOSITORY / NAMES[name] / "src").rglob("*.py")
            for module in modules_in(path)} - known
    assert {plain(IMPORTED_AS.get(top, top)) for top in tops} <= declared


def modules_in(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module


def test_what_the_extras_name_is_pinned_for_make():
    """But for the extras that make does not install."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8")
    pinned = {plain(line.partition("==")[0]) for line in pins.splitlines() if "==" in line}
    assert "://" not in pins  # which index they come from is nobody else's business
    wanted = [*project["dependencies"],
              *(one for extra in ("test", "docs") for one in
                project["optional-dependencies"][extra])]
    assert {plain(re.match(r"[\w.-]+", one)[0]) for one in wanted} <= pinned


def plain(name: str) -> str:
    """The name of a distribution as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


# ---- installed ----------------------------------------------------------------------------------


class Fresh(NamedTuple):
    """An environment with both wheels, and a folder that holds an image and nothing else."""

    environment: Path
    folder: Path

    def run(self, *arguments: object) -> str:
        """Run a program of the environment in the folder, without anything of this process."""
        program, *rest = map(str, arguments)
        left = {key: value for key, value in os.environ.items()
                if not key.startswith(("PYTHON", "VIRTUAL_ENV", "COVERAGE"))}
        done = subprocess.run(
            [str(self.environment / WHERE / program), *rest], cwd=self.folder, check=False,
            env={**left, "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1"}, capture_output=True,
            encoding="utf-8")
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def fresh(built, tmp_path_factory) -> Fresh:
    """The wheels in an environment of their own."""
    folder = tmp_path_factory.mktemp("fresh")
    environment = folder / "environment"
    venv.create(environment)
    subprocess.run([
        sys.executable, "-m", "pip", "--python", str(environment), "install", "--quiet",
        "--no-deps", "--no-index", "--disable-pip-version-check",
        *(str(one.wheel) for one in built.values())], check=True, capture_output=True)
    # The libraries: a folder that is named here is searched last, and what makes an editable
    # install of it, its own .pth files, is not looked at.
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    inside = next(environment.rglob("emtools")).parent
    (inside / "libraries.pth").write_text("\n".join(libraries) + "\n", encoding="utf-8")
    (folder / "empty" / "images").mkdir(parents=True)
    small = read_one(SAMPLES / "pbs_chains_overview.tif")
    write_part(small, folder / "empty" / "images" / "chains.tif")
    return Fresh(environment, folder / "empty")


def write_part(image: emtools.Image, path: Path) -> None:
    from dataclasses import replace

    from emtools.io.writing import write_image

    axes = tuple(replace(axis, size=320) for axis in image.axes)
    write_image(replace(image, data=np.ascontiguousarray(image.data[:320, :320]), axes=axes), path)


def test_what_is_imported_there_is_the_wheels(fresh):
    shown = fresh.run("python", "-c", "import emtools, napari_emtools as plugin; "
                      "print(emtools.__file__); print(plugin.__file__)")
    assert all(Path(line).is_relative_to(fresh.environment) for line in shown.split("\n") if line)
    assert str(REPOSITORY / "src") not in fresh.run("python", "-c", "import sys; print(sys.path)")


def test_the_command_says_its_version_there(fresh):
    assert fresh.run("emtools", "--version").strip() == emtools.__version__


def test_the_command_tells_what_is_in_a_file_there(fresh):
    said = fresh.run("emtools", "info", "images/chains.tif")
    assert "320 x 320" in said
    assert "nm" in said


def test_chains_are_measured_there_as_here(fresh):
    found = json.loads(fresh.run("emtools", "chains", "images/chains.tif", "--json"))
    here = emtools.chains(read_one(fresh.folder / "images" / "chains.tif"))
    assert len(found["tables"]["dots"]) == len(here.tables["dots"]) > 10


def test_a_folder_becomes_a_page_there(fresh):
    said = fresh.run("emtools", "batch", "images", "-o", "results", "--measure", "chains",
                     "--workers", "1", "--quiet")
    assert "1 images measured" in said
    page = (fresh.folder / "results" / "index.html").read_text(encoding="utf-8")
    assert "vegaEmbed" in page
    assert "emtoolsTables" in page
    assert (fresh.folder / "results" / "tables" / "chains.dots.csv").stat().st_size > 1000


def test_napari_finds_the_plugin_there_and_its_samples(fresh):
    script = """
import json
from npe2 import PluginManager
manager = PluginManager()
manager.discover()
manifest = manager.get_manifest("napari-emtools")
from napari_emtools import samples
for one in manifest.contributions.sample_data:
    command = next(c for c in manifest.contributions.commands if c.id == one.command)
    assert command.python_name.startswith("napari_emtools.samples:"), command
print(json.dumps([manifest.package_version, str(samples.folder()),
                  len(manifest.contributions.sample_data)]))
"""
    version, folder, number = json.loads(fresh.run("python", "-c", script).splitlines()[-1])
    assert version == emtools.__version__
    assert Path(folder).is_relative_to(fresh.environment)
    assert number == len(list(Path(folder).iterdir()))
