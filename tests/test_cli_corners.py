"""Command line and batch where it gets odd: file names, wrong usage, one name twice, blanks."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image as Pillow
from PIL import ImageFilter

from emtools import batch, cli, read_one, simulate
from emtools.io.writing import write_image
from emtools.measure import Given, load, names
from emtools.measure._given import said_of
from emtools.results import Results
from emtools.results import records as records_of

EXECUTABLE = [sys.executable, "-c", "from emtools.cli import main; main()"]
CONTENT = hashlib.sha256(np.repeat([1, 2], 128).astype("<i8").tobytes() * 256).hexdigest()[:12]
ODD_NAMES = [b"it's \"quoted\".tif", "µm–Å.tif".encode(), b"not \xff\xfe text.tif",
             b"[bold]markup[bold].tif", b"new\nline.tif", b"-dash.tif", b"semi;colon,comma.tif",
             b"=1+1.tif", b"%s{0}.tif"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A crystal, an image without calibration, a stack, a broken file."""
    where = tmp_path_factory.mktemp("images")
    write_image(simulate.crystal(shape=(256, 256), rotation_deg=10.0)[0], where / "crystal.tif")
    noise = np.random.default_rng(0).poisson(50, (96, 96)).astype(np.float32)
    tifffile.imwrite(where / "bare.tif", noise)
    frames = np.stack([noise, simulate.crystal(shape=(96, 96))[0].load()])
    tifffile.imwrite(where / "stack.tif", frames, imagej=True, metadata={"axes": "TYX"})
    (where / "broken.dm4").write_bytes(b"this is no dm4 file at all" * 10)
    return where


class Outcome:
    """Exit code, standard output and standard error of a command."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def rows(self):
        """One JSON object of each line of the output."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line in this process."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["emtools", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code or 0
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


def records(output):
    with Results(output) as results:
        return list(records_of(results))


@pytest.mark.parametrize("name", names())
def test_help_of_a_measurement_names_all_its_options(run, name):
    outcome = run(name, "--help")
    assert outcome.code == 0
    for option in load(name).options:
        if option.type not in ("Result", "Image"):
            assert f"--{option.name.replace('_', '-')}" in outcome.out
    assert {"--pixel-size-nm", "--json", "--signal", "--frame"} <= set(outcome.out.split())


def test_info_of_good_and_broken_files(run, folder):
    outcome = run("info", "--json", folder / "broken.dm4", folder / "crystal.tif",
                  folder / "stack.tif")
    assert outcome.code == 1
    crystal, stack = outcome.rows
    assert crystal["axes"][0]["unit"] == "nm"
    assert crystal["axes"][0]["pixel_size"] == pytest.approx(0.02, rel=1e-5)
    assert stack["shape"] == [2, 96, 96]
    assert "broken.dm4" in outcome.err
    assert "Traceback" not in outcome.err
    assert "not calibrated" in run("info", folder / "bare.tif").out


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """The left and the right half of the crystal's image, in every kind of file."""
    where = tmp_path_factory.mktemp("labels")
    halves = np.ones((256, 256), dtype=np.uint8)
    halves[:, 128:] = 2
    np.save(where / "a.npy", halves)
    np.savez(where / "a.npz", other=halves[:9], regions=halves)
    tifffile.imwrite(where / "a.tif", halves)
    tifffile.imwrite(where / "float.tif", halves.astype(np.float32))
    Pillow.fromarray(halves).save(where / "a.png")
    # What is no map of labels.
    np.savez(where / "two.npz", a=halves, b=halves)
    np.save(where / "half.npy", halves / 2)
    np.save(where / "cube.npy", halves[None])
    np.save(where / "small.npy", halves[:100])
    colours = np.stack([halves, 9 * halves, 0 * halves], axis=-1)
    Pillow.fromarray(colours).save(where / "colours.png")
    (where / "broken.npz").write_bytes(b"PK no archive")
    return where


@pytest.mark.parametrize("file", ["a.npy", "a.npz", "a.tif", "float.tif", "a.png"])
def test_an_array_parameter_is_read_from_a_file_and_the_result_names_it(run, folder, labels, file):
    outcome = run("lattice", "--json", "--regions", labels / file, folder / "crystal.tif")
    assert outcome.code == 0, outcome.err
    (result,) = outcome.rows
    assert len(result["tables"]["grains"]) == 2
    said = f"{labels / file}: 256 x 256, 2 labels, sha256 "
    # The same labels, whatever keeps them.
    assert result["parameters"]["regions"] == said + CONTENT
    assert result["parameters"]["strain_reference"] is None


@pytest.mark.parametrize(("file", "said"), [
    ("absent.npy", "does not exist"), ("absent.tif", "absent.tif"), ("broken.npz", "NumPy"),
    ("two.npz", "holds 2 arrays"), ("half.npy", "not whole"), ("cube.npy", "1 x 256 x 256"),
    ("small.npy", r"shape (256, 256)"), ("colours.png", "not colours")])
def test_a_file_that_holds_no_map_of_labels_is_wrong_usage(run, folder, labels, file, said):
    outcome = run("lattice", "--json", "--regions", labels / file, folder / "crystal.tif")
    assert outcome.code == 2
    assert said in outcome.err
    assert "Traceback" not in outcome.err


def test_an_array_parameter_of_a_batch_is_a_file(run, folder, labels, tmp_path):
    shutil.copy(folder / "crystal.tif", tmp_path)
    outcome = run("batch", tmp_path, "-o", tmp_path / "out", "--measure", "lattice", "--workers", 1,
                  "--set", f"lattice.regions={labels / 'a.tif'}")
    assert outcome.code == 0, outcome.err
    (record,) = records(tmp_path / "out")
    (measured,) = record["measurements"]
    said = f"a.tif: 256 x 256, 2 labels, sha256 {CONTENT}"
    assert measured["parameters"]["regions"].endswith(said)
    assert len(measured["tables"]["grains"]) == 2


@pytest.mark.parametrize(("array", "said"), [
    (np.array([[0, 3], [3, 7]]), "2 x 2, 2 labels"), (np.eye(2, dtype=bool), "2 x 2, 2 true"),
    (np.array([[0, 1]], dtype=np.uint8), "1 x 2, 1 label"), (np.ones(3), "3, float64"),
    (np.float64(2.0), 2.0), (None, None), ("a", "a")])
def test_a_result_describes_arrays_that_it_was_given(array, said):
    assert str(said_of(array)).split(", sha256 ")[0] == str(said)
    assert said_of(Given(np.eye(2, dtype=bool), "a.npy")).startswith("a.npy: 2 x 2, 2 true, sha256")


def test_a_result_tells_one_array_and_one_line_from_another():
    assert said_of(np.eye(3, dtype=int)) == said_of(np.eye(3, dtype=np.uint8))
    assert said_of(np.eye(3, dtype=int)) != said_of(np.fliplr(np.eye(3, dtype=int)))
    line = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert said_of([line]) == said_of({1: line.tolist()})
    assert said_of([line]).startswith("1 line, 2 points, sha256 ")
    assert len({said_of([line]), said_of({2: line}), said_of([line + 1])}) == 3
    assert said_of(("PbS", "Au")) == ("PbS", "Au")


@pytest.mark.parametrize("name", [name for name in names() if not load(name).axes])
def test_nothing_found_is_no_failure_and_nan_is_null(run, folder, name):
    outcome = run(name, "--json", folder / "bare.tif")
    assert outcome.code == 0
    (result,) = outcome.rows
    assert not any(result["tables"].values())
    assert result["summary"]["unit"] == "px"
    assert "NaN" not in outcome.out


def test_pixel_size_given_beats_the_file(run, folder):
    outcome = run("lattice", "--json", "--pixel-size-nm", "0.021", folder / "crystal.tif")
    rows = outcome.rows[0]["tables"]["reflections"]
    assert min(abs(row["d_spacing_nm"] - 0.2968 * 1.05) for row in rows) < 1e-3
    (pattern,) = run("lattice", "--json", "--pixel-size-per-nm", "0.1", folder / "bare.tif").rows
    assert "not measurable" in pattern["summary"]["outcome"]


def test_two_files_of_one_name_do_not_overwrite_each_other(run, folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(folder / "crystal.tif", other)
    out = tmp_path / "out"
    run("lattice", folder / "crystal.tif", other / "crystal.tif", "-o", out)
    written = list(out.glob("*.reflections.csv"))
    assert len(written) == 2
    assert all(list(pd.read_csv(path).columns)[:2] == ["file", "image"] for path in written)


def test_a_signal_that_is_not_there(run, folder):
    missing = run("lattice", "--json", "--signal", "nothing", folder / "crystal.tif")
    assert missing.code == 1
    assert "nothing" in missing.err
    assert missing.out == ""


@pytest.mark.parametrize("arguments", [
    ["lattice", "--min-d-nm", "many", "crystal.tif"],
    ["lattice", "--min-d-nm", "2", "--max-d-nm", "1", "crystal.tif"],
    ["lattice", "--pixel-size-nm", "nan", "crystal.tif"],
    ["lattice", "--pixel-size-nm", "inf", "crystal.tif"],
    ["lattice", "--frame", "one", "stack.tif"],
    ["chains", "--contrast", "purple", "crystal.tif"],
    ["chains", "--min-dots", "1", "crystal.tif"],
    ["batch", ".", "-o", "x", "--measure", "lattices"],
    ["batch", ".", "-o", "x", "--set", "lattice.phase=PbS"],
    ["batch", ".", "-o", "x", "--set", "phases=PbS"],
    ["batch", ".", "-o", "x", "--set", "chains.min_dots=two"],
    ["batch", ".", "-o", "x", "--workers", "0"],
    ["batch", ".", "-o", "x", "--pixel-size-nm", "inf"],
    ["simulate", "crystal", "--phase", "Unobtainium", "-o", "x.tif"],
    ["simulate", "crystal", "--shape", "many", "-o", "x.tif"],
    ["simulate", "crystal", "-o", "x.xyz"],
    ["simulate", "nothing", "-o", "x.tif"],
], ids=" ".join)
def test_wrong_usage_ends_with_2_and_leaves_nothing_behind(run, folder, monkeypatch, arguments):
    monkeypatch.chdir(folder)
    outcome = run(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err
    assert "Traceback" not in outcome.err
    assert not list(folder.glob("x*"))


@pytest.mark.parametrize("ending", ["tif", "hspy"])
@pytest.mark.parametrize(("kind", "options", "table"), [
    ("crystal", ["--phase", "Au", "--zone-axis", "0,1,1", "--shape", "128,160"], "reflections"),
    ("chains", ["--n-chains", "1", "--n-dots", "4,5", "--shape", "200,200"], "chains"),
    ("blank", ["--kind", "noise", "--shape", "64,80", "--pixel-size-nm", "0.1"], None)])
def test_simulated_files_are_readable(run, tmp_path, kind, options, table, ending):
    target = tmp_path / "deep er" / f"made.{ending}"
    outcome = run("simulate", kind, *options, "-o", target)
    assert outcome.code == 0, outcome.err
    image = read_one(target)
    shape = next(value for name, value in itertools.pairwise(options) if name == "--shape")
    assert image.shape == tuple(int(n) for n in shape.split(","))
    assert image.pixel_size("nm")[0] > 0
    assert {str(path) for path in target.parent.iterdir()} == set(outcome.out.splitlines())
    if table:
        assert len(pd.read_csv(target.with_name(f"made.truth.{table}.csv")))


def test_simulated_spectrum_image_with_its_haadf(run, tmp_path):
    outcome = run("simulate", "spectrum_image", "-o", tmp_path / "made.hspy")
    assert outcome.code == 0, outcome.err
    assert len(list(tmp_path.glob("*.hspy"))) == 2
    assert (tmp_path / "made.truth.composition.csv").exists()


def test_same_seed_same_file(run, tmp_path):
    for name in ("a.tif", "b.tif"):
        assert run("simulate", "blank", "-o", tmp_path / name, "--shape", "32,32").code == 0
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_odd_file_names(tmp_path, folder):
    paths = [os.path.join(os.fsencode(tmp_path), name) for name in ODD_NAMES]  # noqa: PTH118
    for path in paths:
        shutil.copy(os.fsencode(folder / "bare.tif"), path)
    for arguments in (["info"], ["lattice", "--json", "-o", str(tmp_path / "out")]):
        done = subprocess.run([*EXECUTABLE, *arguments, "--", *paths], capture_output=True,
                              env={**os.environ, "COLUMNS": "200"}, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        assert b"Traceback" not in done.stderr
        assert b"[bold]markup[bold]" in done.stdout
    assert len([json.loads(line) for line in done.stdout.splitlines()]) == len(ODD_NAMES)
    assert len(list((tmp_path / "out").glob("*.reflections.csv"))) == len(ODD_NAMES)


def test_odd_file_names_in_a_batch(tmp_path, folder):
    images = tmp_path / "images"
    images.mkdir()
    for name in ODD_NAMES:
        shutil.copy(os.fsencode(folder / "bare.tif"),
                    os.path.join(os.fsencode(images), name))  # noqa: PTH118
    outcome = batch.run(images, tmp_path / "results", effort=batch.Effort(2))
    assert outcome.failed == ()
    assert outcome.measured == len(ODD_NAMES)
    assert {os.fsencode(one["file"]) for one in records(tmp_path / "results")} == set(ODD_NAMES)
    page = outcome.report.read_bytes()
    page.decode("utf-8")
    assert b"it&#39;s &#34;quoted&#34;" in page


# ---- measurements that rest on others -----------------------------------------------------------


@pytest.fixture(scope="module")
def attached(tmp_path_factory):
    """A chain whose lattice is resolved."""
    image, _ = simulate.chains(shape=(288, 336), pixel_size_nm=0.06, n_chains=1, n_dots=(4, 4),
                               diameter_nm=3.4, gap_nm=0.5, lattice="PbS", blur_nm=0.1, counts=200,
                               background=0.15, rng=1)
    path = tmp_path_factory.mktemp("attached") / "chain.tif"
    write_image(image, path)
    return path


def test_what_a_measurement_rests_on_takes_its_parameters_from_set(run, attached, tmp_path):
    given = ("--set", "lattice.phases=PbS", "--set", "chains.contrast=bright")
    (row,) = run("attachment", "--json", *given, attached).rows
    assert row["parameters"]["lattice"]["phases"] == ["PbS"]
    assert row["parameters"]["chains"]["contrast"] == "bright"
    assert {angle["hkl"] for angle in row["tables"]["angles"]} <= {"2 0 0", "0 2 0", "0 0 2"}
    assert row["tables"]["angles"]
    recipe = batch.plan.Recipe(("attachment", "lattice"), {"lattice": {"phases": ("PbS",)},
                                                          "chains": {"contrast": "bright"}})
    batch.run(attached, tmp_path / "out", recipe, effort=batch.Effort(1))
    (record,) = records(tmp_path / "out")
    assert [entry["measurement"] for entry in record["measurements"]] == ["attachment", "lattice"]
    assert record["measurements"][0]["tables"] == row["tables"]


@pytest.mark.parametrize("options", [
    ("--set", "chains.no_such=1"), ("--set", "lattice"), ("--set", "attachment.lattice=x"),
    ("--set", "no_such.thing=1"), ("--hkl", "2 0"), ("--with", "chains"),
])
def test_wrong_usage_of_what_is_rested_on(run, attached, options):
    outcome = run("attachment", attached, *options)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert run("lattice", attached, "--set", "chains.min_dots=4").code == 2


# ---- what a person drew --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """An image of two chains; the second of them drawn, in every kind of file."""
    where = tmp_path_factory.mktemp("drawn")
    image, truth = simulate.chains(shape=(256, 256), n_chains=2, n_dots=(4, 5), rng=2)
    write_image(image, where / "image.tif")
    axes = truth["axes"][truth["axes"]["chain"] == 2]
    pixel = image.calibration().pixel_size
    labels = np.zeros(image.shape, dtype=np.uint8)
    labels[tuple(np.rint(axes[["y_nm", "x_nm"]].to_numpy() / pixel).astype(int).T)] = 2
    labels = np.asarray(Pillow.fromarray(labels).filter(ImageFilter.MaxFilter(15)))
    np.save(where / "labels.npy", labels)
    Pillow.fromarray(labels).save(where / "labels.png")
    axes.to_csv(where / "lines.csv", index=False)
    points = axes[["y_nm", "x_nm"]].to_numpy().tolist()
    (where / "lines.json").write_text(json.dumps({"2": points}))
    # What is no line.
    (where / "columns.csv").write_text("chain,y,x\n1,2,3\n")
    (where / "words.csv").write_text("chain,y_nm,x_nm\n1,2,here\n1,3,4\n")
    (where / "images.csv").write_text("file,chain,y_nm,x_nm\na,1,2,3\nb,1,3,4\n")
    (where / "empty.csv").write_text("")
    (where / "broken.json").write_text("[[[1, 2], ")
    (where / "number.json").write_text("3")
    (where / "names.json").write_text('{"wire": [[1, 2], [3, 4]]}')
    (where / "words.json").write_text('[[["a", 2], [3, 4]]]')
    (where / "far.json").write_text("[[[901, 902], [903, 904]]]")
    return where


@pytest.mark.parametrize(("option", "file"), [
    ("--labels", "labels.npy"), ("--labels", "labels.png"), ("--centrelines", "lines.csv"),
    ("--centrelines", "lines.json")])
def test_what_was_drawn_is_read_from_a_file(run, drawn, option, file):
    outcome = run("chains", "--json", option, drawn / file, drawn / "image.tif")
    assert outcome.code == 0, outcome.err
    (result,) = outcome.rows
    (chain,) = result["tables"]["chains"]
    assert chain["chain"] == 2
    assert chain["n_dots"] in (4, 5)
    assert result["summary"]["outcome"].startswith("1 chain as drawn")
    assert result["parameters"][option[2:]].startswith(f"{drawn / file}: ")


def test_exported_axes_are_centrelines(run, drawn, tmp_path):
    assert run("chains", drawn / "image.tif", "-o", tmp_path).code == 0
    (axes,) = tmp_path.glob("*axes.csv")
    outcome = run("chains", "--json", "--centrelines", axes, drawn / "image.tif")
    assert outcome.code == 0, outcome.err
    assert [row["chain"] for row in outcome.rows[0]["tables"]["chains"]] == [1, 2]


@pytest.mark.parametrize(("option", "file", "said"), [
    ("--centrelines", "absent.csv", "does not exist"), ("--centrelines", "columns.csv", "y, x"),
    ("--centrelines", "words.csv", "no numbers"), ("--centrelines", "images.csv", "2 images"),
    ("--centrelines", "empty.csv", "cannot be read"),
    ("--centrelines", "broken.json", "cannot be read"),
    ("--centrelines", "number.json", "no list of lines"),
    ("--centrelines", "names.json", "no list of lines"),
    ("--centrelines", "words.json", "no numbers"), ("--centrelines", "far.json", "outside"),
    ("--centrelines", "labels.png", "no .csv or .json"), ("--labels", "lines.csv", "lines.csv")])
def test_a_file_that_holds_nothing_drawn_is_wrong_usage(run, drawn, option, file, said):
    outcome = run("chains", "--json", option, drawn / file, drawn / "image.tif")
    assert outcome.code == 2
    assert said in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err


# ---- spectra ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A spectrum image and the HAADF image of the same scan in one file."""
    path = tmp_path_factory.mktemp("scan") / "scan.hspy"
    (spectra, haadf), _ = simulate.spectrum_image("PbS", shape=(32, 56), counts=60.0, rng=1)
    spectra.to_hyperspy().save(path, overwrite=True)
    import h5py

    other = path.with_name("haadf.hspy")
    haadf.to_hyperspy().save(other, overwrite=True)
    with h5py.File(other) as source, h5py.File(path, "a") as target:
        for name in source["Experiments"]:
            source.copy(source["Experiments"][name], target["Experiments"], name=f"HAADF {name}")
    return path


def test_k_factors_come_by_name_from_a_file(run, scan, tmp_path):
    (tmp_path / "k.toml").write_text("title = 'mine'\n[kfactors]\nS_Ka = 1.02\nPb_Ma = 2.4\n")
    (tmp_path / "k.json").write_text('{"kfactors": {"Pb_Ma": 2.4, "S_Ka": 1.02}}')
    tables = []
    for name in ("k.toml", "k.json"):
        outcome = run("eds", "--json", "--elements", "Pb,S", "--k-factors", tmp_path / name, scan)
        assert outcome.code == 0
        tables.append(outcome.rows[0]["tables"]["composition"])
        assert outcome.rows[0]["parameters"]["k_factors"] == {"S_Ka": 1.02, "Pb_Ma": 2.4}
    assert tables[0] == tables[1]
    assert {row["k_factor"] for row in tables[0]} == {1.02, 2.4}


@pytest.mark.parametrize(("text", "said"), [
    ("[other]\nS_Ka = 1.0\n", "holds no table kfactors"), ("[kfactors]\nS_Ka = 'x'\n", "no number"),
    ("[kfactors\n", "cannot be read"), ("[kfactors]\nS = 1.0\n", "no element and line"),
])
def test_wrong_k_factor_files_are_named(run, scan, tmp_path, text, said):
    (tmp_path / "k.toml").write_text(text)
    outcome = run("eds", "--k-factors", tmp_path / "k.toml", scan)
    assert outcome.code != 0
    assert said in " ".join(outcome.err.split())


def test_chains_are_measured_on_the_haadf_image_of_the_same_scan(run, scan):
    outcome = run("eds", "--json", "--elements", "Pb,S", "--with", "chains", scan)
    assert outcome.code == 0
    (result,) = outcome.rows
    regions = {row["region"] for row in result["tables"]["composition"]}
    assert {"all", "chain 1", "dots", "gaps", "film"} <= regions
    assert result["tables"]["profile"]
    assert result["summary"]["chains"].startswith("1 chain")
