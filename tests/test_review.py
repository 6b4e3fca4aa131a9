"""A person corrects what a batch found: kept in the store, measured as the batch measures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import emtools
from emtools import batch
from emtools.batch.plan import Recipe
from emtools.corrections import Correction, Drawing, Marks, corrected
from emtools.errors import ParameterError
from emtools.results import open_results
from emtools.results.records import pictures, records

SAMPLES = Path(__file__).parent.parent / "sample_images"
DETAIL, EDS, COPY = "pbs_chains_detail.hspy", "pbs_eds.hspy", "again/copy.hspy"


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder with two images of which one is there twice, and what a batch found in it."""
    folder = tmp_path_factory.mktemp("images")
    for name in (DETAIL, EDS):
        shutil.copy(SAMPLES / name, folder / name)
    (folder / "again").mkdir()
    shutil.copy(SAMPLES / DETAIL, folder / COPY)
    output = folder.parent / "results"
    batch.run(folder, output, Recipe(("chains", "eds"), wanted=("chains",), pictures="main"),
              batch.Effort(workers=1))
    return folder, output


@pytest.fixture
def results(measured, tmp_path):
    """The same, to write to."""
    shutil.copytree(measured[1], tmp_path / "results")
    return tmp_path / "results"


def table(output, name, file=None):
    with open_results(output) as found:
        rows = found.table(name)
    return rows if file is None else rows[rows["file"] == file].reset_index(drop=True)


def without_chain(opened, number=2):
    found = emtools.chains(opened.image)
    return Correction(Drawing.of(found).deleted(number))


def test_correction_is_measured_and_kept_as_the_function_itself_does(results):
    review = batch.Review(results)
    opened = review.open(DETAIL, 0)
    correction = without_chain(opened)
    review.keep(DETAIL, 0, {"chains": correction})
    expected = corrected(emtools.read_one(SAMPLES / DETAIL), "chains", {}, correction)
    found = table(results, "chains.chains", DETAIL)
    pd.testing.assert_frame_equal(
        found[expected.tables["chains"].columns], expected.tables["chains"], check_dtype=False)
    assert table(results, "chains.chains", COPY)["chain"].tolist() == found["chain"].tolist()
    with open_results(results) as read:
        own = read.corrections
        assert set(own["file"]) == {DETAIL, COPY}
    again = batch.Review(results)
    assert again.open(DETAIL, 0).corrections["chains"] == correction
    assert set(again.images[again.images["corrected"]]["file"]) == {DETAIL, COPY}


def test_a_later_batch_keeps_it_and_measures_nothing(measured, results):
    review = batch.Review(results)
    review.keep(DETAIL, 0, {"chains": without_chain(review.open(DETAIL, 0))})
    before = table(results, "chains.chains")
    recipe = Recipe(("chains", "eds"), wanted=("chains",))
    outcome = batch.run(measured[0], results, recipe, batch.Effort(workers=1))
    assert outcome.reused == 3
    pd.testing.assert_frame_equal(table(results, "chains.chains"), before)
    written = pd.read_csv(results / "tables" / "chains.chains.csv")
    assert len(written) == len(before)


def test_another_recipe_measures_the_corrected_image(measured, results):
    review = batch.Review(results)
    review.keep(DETAIL, 0, {"chains": without_chain(review.open(DETAIL, 0))})
    batch.run(measured[0], results, Recipe(("chains",), parameters={"chains": {"max_gap_nm": 1.7}}),
              batch.Effort(workers=1))
    assert table(results, "chains.chains", DETAIL)["chain"].tolist() == [1, 3]
    assert table(results, "chains.chains", COPY)["chain"].tolist() == [1, 3]


def test_what_rests_on_it_is_measured_again(results):
    """The composition of chains follows when the chain is taken away from the sister image."""
    review = batch.Review(results)
    with open_results(results) as found:
        images = found.images.set_index("image")
    number = int(images["number"]["HAADF"])
    assert "chain 1" in set(table(results, "eds.composition", EDS)["region"])
    review.keep(EDS, number, {"chains": without_chain(review.open(EDS, number), 1)})
    assert "chain 1" not in set(table(results, "eds.composition", EDS)["region"])
    review.keep(EDS, number, {"chains": Correction()})  # taken back
    assert "chain 1" in set(table(results, "eds.composition", EDS)["region"])


def test_rejected_image_is_in_no_mean(results):
    review = batch.Review(results)
    review.keep(EDS, 1, {"chains": Correction(marks=Marks(image="rejected"))})
    with open_results(results) as found:
        every, counted = found.table("chains.gaps"), found.table("chains.gaps", counted=True)
        assert found.rejected == {(EDS, 1)}
    assert set(every["file"]) - set(counted["file"]) == {EDS}
    marks = table(results, "chains.chains", EDS)["mark"]
    assert set(marks) == {"rejected"}
    page = review.write().read_text(encoding="utf-8")
    assert "1 image rejected by hand is left out" in page
    assert set(review.images["mark"]) == {""}  # as it was when it was opened
    assert batch.Review(results).images["mark"].tolist() == ["", "", "", "rejected"]


def test_rejected_chain_takes_its_gaps_with_it(results):
    review = batch.Review(results)
    review.keep(DETAIL, 0, {"chains": Correction(marks=Marks().marked("chains", 1, "rejected"))})
    with open_results(results) as found:
        gaps = found.table("chains.gaps", counted=True)
    assert 1 not in set(gaps[gaps["file"] == DETAIL]["chain"])
    assert 2 in set(gaps[gaps["file"] == DETAIL]["chain"])


def test_pictures_and_page_follow(results):
    review = batch.Review(results)
    review.keep(DETAIL, 0, {"chains": without_chain(review.open(DETAIL, 0))})
    review.write()
    with open_results(results) as found:
        assert found.runs["finished"].notna().all()
        assert all((results / one).is_file() for one in pictures(found))
        said = next(records(found))["measurements"][0]["summary"]
    assert said["edited_by_hand"] == "chain 2 deleted"


def test_what_cannot_be_measured_is_not_kept(results):
    review = batch.Review(results)
    before = table(results, "chains.chains")
    drawing = Drawing.of(emtools.chains(emtools.read_one(SAMPLES / "pbs_chains_uncalibrated.png")))
    with pytest.raises(ParameterError, match="in px"):
        review.keep(DETAIL, 0, {"chains": Correction(drawing.deleted(1))})
    pd.testing.assert_frame_equal(table(results, "chains.chains"), before)
    with open_results(results) as found:
        assert not len(found.corrections)


def test_changed_file_is_not_corrected(results, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    shutil.copy(SAMPLES / DETAIL, images / DETAIL)
    output = tmp_path / "own"
    batch.run(images, output, Recipe(("chains",)), batch.Effort(workers=1))
    shutil.copy(SAMPLES / EDS, images / DETAIL)
    review = batch.Review(output)
    with pytest.raises(ParameterError, match="has changed"):
        review.open(DETAIL, 0)
    with pytest.raises(ParameterError, match="has changed"):
        review.keep(DETAIL, 0, {"chains": Correction(comment="mine")})


def test_store_of_the_format_before_is_brought_up(results):
    import sqlite3

    with sqlite3.connect(results / "results.sqlite") as connection:
        connection.execute("DROP TABLE correction")
        connection.execute("UPDATE meta SET value = '4' WHERE key = 'format'")
    connection.close()
    with open_results(results) as found:
        assert not len(found.corrections)
    review = batch.Review(results)
    review.keep(DETAIL, 0, {"chains": Correction(comment="looked at")})
    with open_results(results) as found:
        assert json.loads(found.corrections["correction"].iloc[0])["comment"] == "looked at"


def test_images_that_need_a_look_come_first(tmp_path):
    """An image whose chains are far wider than the others', and one without calibration."""
    rng = np.random.default_rng(3)
    folder = tmp_path / "images"
    folder.mkdir()
    for i, diameter in enumerate((5.0, 5.0, 5.0, 8.0, 5.0, 5.0, 5.0)):
        image, _ = emtools.simulate.chains(
            shape=(256, 256), pixel_size_nm=0.25, n_chains=2, n_dots=(5, 6),
            diameter_nm=diameter, rng=rng)
        image.to_hyperspy().save(folder / f"{i}.hspy")
    batch.run(folder, tmp_path / "out", Recipe(("chains",), pictures="none"),
              batch.Effort(workers=1))
    images = batch.Review(tmp_path / "out").images
    assert images["file"][0] == "3.hspy"
    assert "width 8" in images["doubts"][0] or "width 7" in images["doubts"][0]
    assert images["file"][1:].tolist() == sorted(images["file"][1:])


def test_what_does_not_apply_to_an_image_is_no_doubt(tmp_path):
    """A lattice cannot be seen in an overview whose chains are measured."""
    folder = tmp_path / "images"
    folder.mkdir()
    image, _ = emtools.simulate.chains(shape=(256, 256), pixel_size_nm=0.5, n_chains=2,
                                       n_dots=(5, 6), rng=3)
    image.to_hyperspy().save(folder / "overview.hspy")
    for i, wanted in enumerate((("chains", "lattice"), ("lattice",))):
        batch.run(folder, tmp_path / str(i), Recipe(wanted, pictures="none"),
                  batch.Effort(workers=1))
    alone, beside = (batch.Review(tmp_path / str(i)).images["doubts"][0] for i in (1, 0))
    assert "lattice: not measurable" in alone
    assert "not measurable" not in beside


def test_file_under_other_rules_has_results_of_its_own(tmp_path):
    """Two files with the same content: a correction gives each what its own rules ask for."""
    from emtools.batch.plan import Rule

    folder = tmp_path / "images"
    (folder / "again").mkdir(parents=True)
    for name in (DETAIL, COPY):
        shutil.copy(SAMPLES / DETAIL, folder / name)
    recipe = Recipe(("chains",), pictures="none", rules=(
        Rule("again/*", parameters={"chains": {"max_gap_nm": 0.3}}),))
    batch.run(folder, tmp_path / "out", recipe, batch.Effort(workers=1))
    before = table(tmp_path / "out", "chains.dots", COPY)
    batch.Review(tmp_path / "out").keep(DETAIL, 0, {"chains": Correction(comment="looked at")})
    pd.testing.assert_frame_equal(table(tmp_path / "out", "chains.dots", COPY), before)
    batch.run(folder, tmp_path / "out", recipe, batch.Effort(workers=1))
    pd.testing.assert_frame_equal(table(tmp_path / "out", "chains.dots", COPY), before)


def test_another_run_in_between_is_noticed(measured, results):
    review = batch.Review(results)
    batch.run(measured[0], results, Recipe(("chains",), parameters={"chains": {"max_gap_nm": 0.3}}),
              batch.Effort(workers=1))
    with pytest.raises(ParameterError, match="another batch"):
        review.keep(DETAIL, 0, {"chains": Correction(comment="looked at")})


def test_drawing_and_marks_follow_the_pixels_to_another_calibration(measured, results):
    """The same image with pixels 5 % larger: the lines lie on the same dots, the mark too."""
    from emtools.corrections import place_of, plane_of

    review = batch.Review(results)
    opened = review.open(DETAIL, 0)
    found = emtools.chains(opened.image)
    marks = Marks().marked("chains", 3, "rejected", place_of(found, "chains", 3))
    review.keep(DETAIL, 0, {"chains": Correction(Drawing.of(found).deleted(1), marks=marks,
                                                 plane=plane_of(opened.image))})
    before = table(results, "chains.chains", DETAIL)
    size = opened.image.pixel_size("nm")[0]
    larger = opened.image.calibrated(1.05 * size, "nm")
    again = corrected(larger, "chains", {}, batch.Review(results).open(
        DETAIL, 0).corrections["chains"]).tables["chains"]
    assert again["n_dots"].tolist() == before["n_dots"].tolist()
    np.testing.assert_allclose(again["length_nm"], 1.05 * before["length_nm"], rtol=0.003)
    assert again["mark"].tolist() == ["", "rejected"]


def test_mark_stays_with_its_object_when_numbers_change():
    from emtools.corrections import place_of

    image = emtools.read_one(SAMPLES / DETAIL)
    found = emtools.chains(image)
    marks = Marks().marked("dots", 21, "rejected", place_of(found, "dots", 21))
    place = found.tables["dots"].set_index("dot").loc[21, ["y_nm", "x_nm"]]
    after = corrected(image, "chains", {},
                      Correction(Drawing.of(found).dot_removed(0), marks=marks)).tables["dots"]
    rejected = after[after["mark"] == "rejected"]
    assert len(rejected) == 1
    np.testing.assert_allclose(rejected[["y_nm", "x_nm"]].iloc[0], place, atol=0.2)
    gone = corrected(image, "chains", {},
                     Correction(Drawing.of(found).dot_removed(20), marks=marks))
    assert not (gone.tables["dots"]["mark"] == "rejected").any()
    assert "not there" in gone.summary["edited_by_hand"]


def test_rejected_chain_is_in_no_composition(results):
    review = batch.Review(results)
    with open_results(results) as found:
        number = int(found.images.set_index("image")["number"]["HAADF"])
    review.keep(EDS, number, {"chains": Correction(
        marks=Marks().marked("chains", 1, "rejected"))})
    regions = set(table(results, "eds.composition", EDS)["region"])
    assert "all" in regions
    assert "chain 1" not in regions
    assert len(table(results, "chains.chains", EDS)) == 1  # it stays in the table, marked


def test_single_spectrum_beside_an_image_is_no_failure(tmp_path):
    from emtools.process.spectra import region_spectrum

    image = next(one for one in emtools.read(SAMPLES / EDS) if one.has_axis("energy"))
    folder = tmp_path / "images"
    folder.mkdir()
    region_spectrum(image).to_hyperspy().save(folder / "one.hspy")
    outcome = batch.run(folder, tmp_path / "out", Recipe(("eds",)), batch.Effort(workers=1))
    assert (outcome.measured, outcome.failed) == (1, ())
    assert len(table(tmp_path / "out", "eds.composition"))
