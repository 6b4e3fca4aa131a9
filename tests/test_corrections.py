"""Corrections by hand: drawings, marks, and the results that are measured with them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import emtools
from emtools import Correction, Drawing, ParameterError, chains, corrected, simulate
from emtools.corrections import Marks
from emtools.corrections.courses import at, between, end_to_end, led_through, nearest_on
from emtools.model.image import plane_image
from emtools.population import Frame, counted, population

YX = ["y_nm", "x_nm"]
WIDE = 9  # seed of a chain whose widest gap lies in its middle
NUMBERS = ("length_nm", "width_nm", "gap_nm", "pitch_nm")


@pytest.fixture(scope="module")
def scene():
    image, truth = simulate.chains(shape=(400, 400), n_chains=3, n_dots=(8, 10), isolated_dots=3,
                                   rng=1)
    return image, truth, chains(image)


@pytest.fixture
def drawing(scene):
    return Drawing.of(scene[2])


def measured(drawing, image, **parameters):
    return Correction(drawing).measure(image, "chains", parameters)


def off(result, auto, but=()):
    """Largest change of the chains' numbers, in their errors."""
    one, other = (each.tables["chains"].set_index("chain") for each in (result, auto))
    same = [chain for chain in one.index if chain in other.index and chain not in but]
    return max(float(((one.loc[same, name] - other.loc[same, name]).abs()
                      / other.loc[same, name.replace("_nm", "_err_nm")]).max())
               for name in NUMBERS)


def numbers(result):
    table = result.tables["chains"]
    return dict(zip(table["chain"].tolist(), table["n_dots"].tolist(), strict=True))


def along(drawing, chain):
    return [dot for _, dot in drawing.along(chain)]


# ---- drawings -----------------------------------------------------------------------------------


def test_a_drawing_of_a_result_has_its_rows(scene, drawing):
    _, _, auto = scene
    assert drawing.unit == "nm"
    assert np.array_equal(drawing.dots, auto.tables["dots"][YX].to_numpy())
    assert drawing.chains.tolist() == auto.tables["dots"]["chain"].tolist()
    assert list(drawing.centrelines) == auto.tables["chains"]["chain"].tolist()
    assert drawing.changes == ()
    with pytest.raises(ValueError, match="read-only"):
        drawing.dots[0] = 0.0


def test_a_chain_deleted_takes_its_dots_along(scene, drawing):
    image, _, auto = scene
    changed = drawing.deleted(2)
    assert changed.changes == ("chain 2 deleted",)
    assert drawing.changes == ()  # to undo is to go back
    result = measured(changed, image)
    assert set(numbers(result)) == {1, 3}
    assert 2 not in set(result.tables["dots"]["chain"])
    assert off(result, auto) < 1e-6
    assert result.summary["edited_by_hand"] == "chain 2 deleted"


def test_a_chain_that_was_split_by_a_wide_gap_is_joined_and_as_long_as_it_is():
    image, truth = simulate.chains(shape=(256, 320), n_chains=1, n_dots=(9, 9), gap_nm=1.2,
                                   gap_std_nm=0.4, rng=WIDE)
    widest = float(np.sort(truth["gaps"]["gap_nm"])[-2:].mean())
    auto = chains(image, max_gap_nm=widest)
    assert len(auto.tables["chains"]) == 2
    assert (auto.tables["dots"]["chain"] > 0).all()
    drawing = Drawing.of(auto).joined(1, 2)
    assert drawing.changes == ("chains 1 and 2 joined as chain 1",)
    result = measured(drawing, image, max_gap_nm=widest)
    (row,), (true,) = (table.to_dict("records")
                       for table in (result.tables["chains"], truth["chains"]))
    assert row["n_dots"] == 9
    assert len(result.tables["gaps"]) == 8
    assert abs(row["length_nm"] - true["length_nm"]) < 4 * row["length_err_nm"]
    assert abs(row["gap_nm"] - truth["gaps"]["gap_nm"].mean()) < 4 * row["gap_err_nm"]


def test_a_chain_in_two_is_as_long_as_its_parts_and_one_again_when_joined(scene, drawing):
    image, _, auto = scene
    own = along(drawing, 1)
    place = drawing.dots[[own[3], own[4]]].mean(axis=0)
    in_two = drawing.split(1, place)
    assert in_two.changes == ("chain 1 split into chains 1 and 4",)
    result = measured(in_two, image)
    n = len(own)
    assert {1: 4, 4: n - 4}.items() <= numbers(result).items()
    assert off(result, auto, but=(1,)) < 1e-6
    lengths = result.tables["chains"].set_index("chain")["length_nm"]
    whole = auto.tables["chains"].set_index("chain").loc[1]
    gap = auto.tables["gaps"].query("chain == 1")["gap_nm"].iloc[3]
    assert abs(lengths[1] + lengths[4] + gap - whole["length_nm"]) < whole["length_err_nm"]
    again = measured(in_two.joined(1, 4), image)
    assert off(again, auto) < 1e-6
    assert numbers(again) == numbers(auto)
    one_off = drawing.split(1, drawing.dots[own[0]])
    assert one_off.changes == ("end of chain 1 split off",)
    assert numbers(measured(one_off, image))[1] == n - 1


def test_joined_chains_keep_the_first_number_and_run_end_to_end(drawing):
    joined = drawing.joined(3, 1)
    assert joined.changes == ("chains 3 and 1 joined as chain 3",)
    assert set(joined.centrelines) == {2, 3}
    ends = {tuple(drawing.centrelines[n][i]) for n in (1, 3) for i in (0, -1)}
    assert {tuple(joined.centrelines[3][0]), tuple(joined.centrelines[3][-1])} <= ends
    assert set(joined.chains.tolist()) == {0, 2, 3}


def test_a_chain_drawn_anew_and_one_more(scene, drawing):
    image, *_ = scene
    own = along(drawing, 1)
    part = drawing.redrawn(1, drawing.dots[own[2:]])
    assert numbers(measured(part, image))[1] == len(own) - 2
    assert (part.chains == 0).sum() == (drawing.chains == 0).sum() + 2
    more = part.split(1, drawing.dots[own[5]]).added(drawing.dots[own[:2]])
    assert more.changes[-1] == "chain 5 added"
    assert set(more.chains[own[:2]]) == {5}
    whole = drawing.deleted(1)
    whole = Drawing(whole.centrelines, np.vstack([whole.dots, drawing.dots[own]]), "nm",
                    whole.changes, np.append(whole.chains, np.zeros(len(own), int)),
                    np.append(whole.lengths, drawing.lengths[own])).added(drawing.centrelines[1])
    result = measured(whole, image)
    assert numbers(result)[4] == len(own)


def test_dots_added_removed_and_moved(scene, drawing):
    image, _, auto = scene
    own = along(drawing, 1)
    gone = drawing.dot_removed(own[3])
    assert gone.changes == (f"dot {own[3] + 1} removed from chain 1",)
    without = measured(gone, image)
    assert numbers(without)[1] == len(own) - 1
    assert off(without, auto, but=(1,)) < 1e-6
    back = gone.dot_added(drawing.dots[own[3]] + 0.3)
    assert back.changes[-1].startswith(f"dot {len(drawing.dots)} added to chain 1 at y ")
    again = measured(back, image)
    assert numbers(again) == numbers(auto)
    assert off(again, auto) < 0.02
    moved = measured(drawing.dot_moved(own[3], drawing.dots[own[3]] + 0.9), image)
    assert numbers(moved) == numbers(auto)
    assert off(moved, auto) < 0.02
    at_end = drawing.dot_removed(own[0]).dot_removed(along(drawing.dot_removed(own[0]), 1)[-1])
    shorter = measured(at_end, image)
    assert numbers(shorter)[1] == len(own) - 2
    alone = drawing.dot_added((3.0, 3.0))
    assert alone.chains[-1] == 0
    assert alone.changes[-1] == f"dot {len(alone.dots)} added at y 3, x 3 nm"


def test_the_last_dot_takes_its_chain_along(drawing):
    while (drawing.chains == 1).any():
        drawing = drawing.dot_removed(along(drawing, 1)[-1])
    assert 1 not in drawing.centrelines


def test_a_gap_between_two_dots_that_were_taken_for_one_is_the_true_one():
    image, truth = simulate.chains(shape=(400, 400), n_chains=2, n_dots=(6, 8), gap_nm=0.3,
                                   gap_std_nm=0.1, blur_nm=1.2, diameter_std_nm=0.6, counts=30.0,
                                   rng=3)
    auto, true = chains(image), truth["dots"][YX].to_numpy()
    drawing = Drawing.of(auto)
    nearest = np.argmin(np.hypot(*(true[:, None] - drawing.dots[None]).T), axis=0)
    doubled = np.flatnonzero(np.bincount(nearest, minlength=len(drawing.dots)) == 2)
    assert len(doubled) == 2
    by_length = drawing.dot_split(int(doubled[1])).dot_split(int(doubled[0]))
    first = true[nearest == doubled[0]].mean(axis=0)
    by_place = drawing.gap_added(int(drawing.chains[doubled[0]]), first)
    assert by_place.changes[0].startswith("gap added in chain ")
    assert len(by_place.dots) == len(drawing.dots) + 1
    for changed, n in ((by_length, 2), (by_place, 1)):
        gaps = measured(changed, image).tables["gaps"]
        assert len(gaps) == len(auto.tables["gaps"]) + n
        which = np.argmin(np.hypot(*(gaps[YX].to_numpy()[:, None]
                                     - truth["gaps"][YX].to_numpy()[None]).T), axis=0)
        pull = (gaps["gap_nm"] - truth["gaps"]["gap_nm"].to_numpy()[which]) / gaps["gap_err_nm"]
        assert pull.abs().max() < 4


def test_gaps_closed_opened_and_moved(scene, drawing):
    image, _, auto = scene
    gap = auto.tables["gaps"].query("chain == 1").iloc[2]
    place = gap[YX].to_numpy(dtype=float)
    closed = drawing.gap_closed(place)
    assert closed.changes[0].startswith("gap closed in chain 1 at ")
    assert len(closed.dots) == len(drawing.dots) - 1
    merged = measured(closed, image)
    assert len(merged.tables["gaps"]) == len(auto.tables["gaps"]) - 1
    assert off(merged, auto, but=(1,)) < 1e-6
    opened = closed.gap_added(1, place)
    again = measured(opened, image)
    assert numbers(again) == numbers(auto)
    assert off(again, auto) < 0.02
    own = along(drawing, 1)
    onward = drawing.dots[own[3]]
    moved = drawing.gap_moved(place, place + 0.2 * (onward - place))
    arcs = [{dot: arc for arc, dot in one.along(1)} for one in (drawing, moved)]
    for dot in own[2:4]:
        assert arcs[1][dot] - arcs[0][dot] == pytest.approx(0.1 * np.hypot(*(onward - place)),
                                                            rel=0.2)
    assert off(measured(moved, image), auto) < 0.02
    with pytest.raises(ParameterError, match="has other dots"):
        drawing.gap_moved(place, drawing.dots[own[-1]])


def test_merged_dots_are_one_in_their_middle(drawing):
    own = along(drawing, 1)
    merged = drawing.dots_merged(own[3], own[2])
    assert merged.changes == (f"dots {own[2] + 1} and {own[3] + 1} merged as dot {own[2] + 1}",)
    assert np.allclose(merged.dots[own[2]], drawing.dots[[own[2], own[3]]].mean(axis=0))
    assert len(merged.lengths) == len(merged.chains) == len(merged.dots) == len(drawing.dots) - 1
    assert merged.lengths[own[2]] > 1.5 * drawing.lengths[own[2]]
    split = drawing.dot_split(own[2], along=(3.0, 0.0))
    assert np.allclose(split.dots[own[2] + 1] - split.dots[own[2]],
                       [0.5 * drawing.lengths[own[2]], 0.0])


@pytest.mark.parametrize(("wrong", "said"), [
    (lambda d: d.deleted(9), "chain 9: does not exist; known are 1, 2, 3"),
    (lambda d: d.joined(1, 1), "cannot be joined with itself"),
    (lambda d: d.joined(1, 9), "chain 9"),
    (lambda d: d.split(9, (0, 0)), "chain 9"),
    (lambda d: d.redrawn(1, [(1, 1)]), r"shape \(1, 2\)"),
    (lambda d: d.added([(1, np.nan), (2, 2)]), "finite"),
    (lambda d: d.dot_added((1, 2, 3)), "shape"),
    (lambda d: d.dot_added("ab"), "numbers"),
    (lambda d: d.dot_removed(900), "dot 901: does not exist"),
    (lambda d: d.dot_removed(-1), "dot 0: does not exist"),
    (lambda d: d.dot_moved(0, (np.inf, 1)), "finite"),
    (lambda d: d.dots_merged(0, 0), "merged with itself"),
    (lambda d: d.dots_merged(along(d, 1)[0], along(d, 2)[0]), "join the chains first"),
    (lambda d: d.gap_added(1, (500.0, 500.0)), "has no dot at"),
    (lambda d: Drawing({}, np.zeros((0, 2))).gap_closed((1, 1)), "no chain has two dots"),
    (lambda d: Drawing({1: [(0, 0), (9, 9)]}, np.zeros((0, 2))).split(1, (0, 0)), "ends where"),
    (lambda d: Drawing({1: [(0, 0), (9, 9)]}, np.zeros((0, 2))).gap_added(1, (0, 0)), "no dots"),
    (lambda d: Drawing({}, [(1.0, 1.0)]).dot_split(0), "has no length"),
    (lambda d: Drawing({1: [(0, 0)]}, []), "shape"),
    (lambda d: Drawing.of(emtools.lattice(plane_image(np.zeros((64, 64), np.float32)))),
     "not of chains"),
    (lambda d: Drawing.from_dict({"unit": "nm"}), "cannot be read"),
    (lambda d: Drawing.from_dict([]), "cannot be read"),
])
def test_what_makes_no_sense_is_refused(drawing, wrong, said):
    with pytest.raises(ParameterError, match=said):
        wrong(drawing)


OPERATIONS = (
    lambda d, r: d.deleted(int(r.choice(list(d.centrelines)))),
    lambda d, r: d.joined(*map(int, r.choice(list(d.centrelines), 2))),
    lambda d, r: d.split(int(r.choice(list(d.centrelines))), r.uniform(0, 200, 2)),
    lambda d, r: d.redrawn(int(r.choice(list(d.centrelines))), r.uniform(0, 200, (5, 2))),
    lambda d, r: d.added(r.uniform(0, 200, (3, 2))),
    lambda d, r: d.dot_added(r.uniform(0, 200, 2)),
    lambda d, r: d.dot_removed(int(r.integers(len(d.dots)))),
    lambda d, r: d.dot_moved(int(r.integers(len(d.dots))), r.uniform(0, 200, 2)),
    lambda d, r: d.dots_merged(*map(int, r.choice(len(d.dots), 2))),
    lambda d, r: d.dot_split(int(r.integers(len(d.dots)))),
    lambda d, r: d.gap_added(int(r.choice(list(d.centrelines))), r.choice(d.dots)),
    lambda d, r: d.gap_closed(r.uniform(0, 200, 2)),
    lambda d, r: d.gap_moved(r.choice(d.dots), r.choice(d.dots)),
)


@pytest.mark.parametrize("seed", range(8))
def test_any_changes_keep_a_drawing_whole_and_its_values_exact(scene, drawing, seed):
    rng = np.random.default_rng(seed)
    done = 0
    for _ in range(40):
        before = drawing.to_dict()
        if not drawing.centrelines:
            break
        try:
            changed = OPERATIONS[rng.integers(len(OPERATIONS))](drawing, rng)
        except ParameterError:
            continue
        assert drawing.to_dict() == before
        assert changed.changes[:-1] == drawing.changes
        assert len(changed.dots) == len(changed.chains) == len(changed.lengths)
        assert set(changed.chains.tolist()) <= {0, *changed.centrelines}
        for chain, line in changed.centrelines.items():
            assert len(line) >= 2
            own = changed.dots[changed.chains == chain]
            if len(own) and not any("drawn anew" in one or "added" in one
                                    for one in changed.changes):
                assert nearest_on(line, own)[1].max() < 3.0
        assert Drawing.from_dict(json.loads(json.dumps(changed.to_dict()))) == changed
        drawing = changed
        done += 1
    assert done > 5
    result = measured(drawing, scene[0])
    assert set(result.tables["chains"]["chain"]) <= set(drawing.centrelines)


def test_nothing_left_is_measured_as_nothing(scene, drawing):
    for chain in list(drawing.centrelines):
        drawing = drawing.deleted(chain)
    while len(drawing.dots):
        drawing = drawing.dot_removed(0)
    assert measured(drawing, scene[0]).outcome == "no chains as drawn"


def test_courses():
    line = np.array([[0.0, 0], [0, 10], [10, 10]])
    assert nearest_on(line, np.array([[1.0, 4], [5, 12]]))[0].tolist() == [4.0, 15.0]
    assert at(line, np.array([-2.0, 5.0, 25.0])).tolist() == [[0, -2], [0, 5], [15, 10]]
    assert between(line, 5.0, 15.0).tolist() == [[0, 5], [0, 10], [5, 10]]
    back = end_to_end(line, np.array([[0.0, -9], [0, -1]]))
    assert back.tolist() == [[0, -9], [0, -1], *line.tolist()]
    led = led_through(line, np.array([-1.0, 5]), np.zeros((0, 2)), 1.0)
    assert led.tolist() == [[0, 0], [-1, 5], [0, 10], [10, 10]]
    longer = led_through(line, np.array([0.0, -4]), np.zeros((0, 2)), 1.0)
    assert longer.tolist()[0] == [0, -4]


# ---- marks --------------------------------------------------------------------------------------


def test_marks_are_set_cleared_and_written():
    marks = Marks().marked("chains", 3, "rejected").marked("grains", 1, "accepted")
    marks = marks.marked("image", None, "accepted").marked("chains", 2, "accepted")
    assert marks.to_dict() == {"chains": {"2": "accepted", "3": "rejected"},
                               "grains": {"1": "accepted"}, "image": "accepted"}
    assert Marks.from_dict(json.loads(json.dumps(marks.to_dict()))) == marks
    less = marks.cleared("chains", 2).cleared("grains", 1).cleared("image")
    assert less.to_dict() == {"chains": {"3": "rejected"}}
    assert not less.cleared("chains", 3)
    assert hash(less) == hash(Marks({"chains": {3: "rejected"}}))
    assert len({marks, less, Marks()}) == 3


@pytest.mark.parametrize(("table", "number", "mark", "said"), [
    ("gaps", 1, "rejected", "cannot be marked"), ("chains", 0, "rejected", "no object 0"),
    ("chains", None, "rejected", "no object None"), ("chains", 1, "good", "'good' is not known"),
    ("image", 1, "accepted", "has no number"),
])
def test_other_marks_are_refused(table, number, mark, said):
    with pytest.raises(ParameterError, match=said):
        Marks().marked(table, number, mark)
    if table != "image" and number is not None:
        with pytest.raises(ParameterError, match=said):
            Marks.from_dict({table: {str(number): mark}})
    with pytest.raises(ParameterError, match="cannot be read"):
        Marks.from_dict({"chains": 3})


def test_marks_alone_change_nothing_but_the_marks(scene):
    image, _, auto = scene
    marks = Marks({"chains": {2: "rejected"}, "dots": {1: "accepted", 4: "rejected"}}, "accepted")
    correction = Correction(marks=marks, comment="the second is dirt")
    for given in (image, auto):
        result = corrected(given, "chains", {}, correction)
        table = result.tables["chains"]
        assert table["mark"].tolist() == ["", "rejected", ""]
        assert result.tables["dots"]["mark"].iloc[[0, 3]].tolist() == ["accepted", "rejected"]
        for name in result.tables:
            same = result.tables[name].drop(columns="mark", errors="ignore")
            assert same.equals(auto.tables[name].drop(columns="mark", errors="ignore"))
            assert (result.tables[name].dtypes == auto.tables[name].dtypes).all()
        assert result.summary["edited_by_hand"] == (
            "1 dot accepted; 1 chain rejected; 1 dot rejected; image accepted; the second is dirt")
        features = next(kwargs["features"] for _, kwargs, kind in result.layers if kind == "shapes")
        assert features["mark"].tolist() == table["mark"].tolist()
        json.loads(result.to_json())
    assert (auto.tables["chains"]["mark"] == "").all()
    gone = corrected(auto, "chains", {}, Correction(marks=Marks({"chains": {9: "accepted"}})))
    assert gone.summary["edited_by_hand"] == "marked, and not there: chain 9"


def test_nothing_done_is_the_measurement_itself(scene, drawing):
    image, _, auto = scene
    for nothing in (Correction(), Correction(drawing)):
        result = corrected(image, "chains", {}, nothing)
        assert "edited_by_hand" not in result.summary
        assert result.parameters == auto.parameters
        assert result.tables["chains"].equals(auto.tables["chains"])


def test_grains_can_be_marked_and_painted():
    image, _ = simulate.crystal("PbS", shape=(192, 192), pixel_size_nm=0.03, rng=0)
    labels = np.zeros(image.shape, dtype=np.int64)
    labels[40:150, 40:150] = 3
    correction = Correction(labels=labels, marks=Marks({"grains": {1: "rejected"}}))
    result = correction.measure(image, "lattice", {"phases": ("PbS",)})
    assert result.tables["grains"]["mark"].iloc[0] == "rejected"
    assert result.summary["edited_by_hand"] == "drawn as labels; 1 grain rejected"
    assert result.parameters["regions"].startswith("192 x 192, 1 label")


# ---- corrections --------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [
    np.arange(12).reshape(3, 4) % 3, np.zeros((5, 7), dtype=np.uint8),
    np.eye(9, dtype=bool), np.full((2, 3), -(2**40)), np.zeros((0, 4), dtype=np.int16)])
def test_a_correction_and_back(drawing, labels):
    for correction in (Correction(labels=labels, comment="çå"),
                       Correction(drawing.deleted(1), marks=Marks({"dots": {3: "rejected"}})),
                       Correction()):
        said = json.loads(json.dumps(correction.to_dict()))
        again = Correction.from_dict(said)
        assert again == correction
        assert again.to_dict() == said
        if correction.labels is not None:
            assert again.labels.dtype == labels.dtype
            assert np.array_equal(again.labels, labels)
    assert Correction().to_dict() == {}


def test_what_is_no_correction_is_refused(scene, drawing):
    image, _, auto = scene
    changed, labels = drawing.deleted(1), np.ones(image.shape, dtype=int)
    with pytest.raises(ParameterError, match="both a drawing and labels"):
        Correction(changed, labels)
    with pytest.raises(ParameterError, match="not whole numbers"):
        Correction(labels=np.zeros((3, 3)))
    with pytest.raises(ParameterError, match="known are drawing"):
        Correction.from_dict({"labls": 1})
    for broken in ({"shape": [2, 2], "dtype": "|u1", "zlib": "%%"}, {"shape": [2]}):
        with pytest.raises(ParameterError, match="cannot be read"):
            Correction.from_dict({"labels": broken})
    for wrong, name, said in (
            (auto, "lattice", "not of lattice"), (auto, "chains", "is measured already"),
            (image, "lattice", "takes no centrelines or dots"), (image, "nothing", "not exist")):
        with pytest.raises(ParameterError, match=said):
            corrected(wrong, name, {}, Correction(changed))
    with pytest.raises(ParameterError, match="takes no labels"):
        corrected(image, "attachment", {}, Correction(labels=labels))
    with pytest.raises(ParameterError, match="has no such table"):
        corrected(auto, "chains", {}, Correction(marks=Marks({"grains": {1: "accepted"}})))
    in_px = Drawing({}, [(5.0, 5.0)], "px", ("dot added",))
    with pytest.raises(ParameterError, match="is in px, the image in nm"):
        corrected(image, "chains", {}, Correction(in_px))


def test_labels_are_given_to_chains(scene):
    image, truth, _ = scene
    pixel = image.calibration().pixel_size
    labels = np.zeros(image.shape, dtype=int)
    first = truth["dots"].query("chain == 1")[YX].to_numpy()
    y, x = np.indices(image.shape) * pixel
    for place in first:
        labels[np.hypot(y - place[0], x - place[1]) < 2.0] = 6
    result = Correction(labels=labels).measure(image, "chains")
    assert numbers(result) == {6: len(first)}
    assert result.summary["edited_by_hand"] == "drawn as labels"


# ---- population ---------------------------------------------------------------------------------


def test_what_was_rejected_does_not_count_and_that_is_said(scene):
    image, _, auto = scene
    marks = Marks({"chains": {2: "rejected"}, "dots": {len(auto.tables["dots"]): "rejected"}})
    result = corrected(auto, "chains", {}, Correction(marks=marks))
    frame, whole = (Frame.of(image, one) for one in (result, auto))
    assert frame.left_out == {"chains": 1, "dots": 1}
    assert whole.left_out == {}
    assert frame.tables["chains"]["chain"].tolist() == [1, 3]
    for name in ("gaps", "dots", "axes"):
        assert 2 not in set(frame.tables[name]["chain"])
    assert len(frame.tables["dots"]) == (auto.tables["dots"]["chain"] != 2).sum() - 1
    table = population(frame)
    assert table["note"].str.contains("1 chain and 1 dot left out by hand").all()
    assert not population(whole)["note"].str.contains("left out").any()
    width = table.set_index("quantity")["mean"]["width"]
    kept = auto.tables["chains"].query("chain != 2")["width_nm"]
    assert width == pytest.approx(kept.mean(), rel=0.01)


def test_grains_of_several_images_are_left_out_each_by_its_own_number():
    import pandas as pd

    grains = pd.DataFrame({"at": [0, 0, 1], "grain": [1, 2, 1], "mark": ["", "rejected", ""]})
    reflections = pd.DataFrame({"at": [0, 0, 1, 1], "grain": [1, 2, 1, 2]})
    tables, left_out = counted({"grains": grains, "reflections": reflections}, "at")
    assert left_out == {"grains": 1}
    assert tables["grains"][["at", "grain"]].to_numpy().tolist() == [[0, 1], [1, 1]]
    assert tables["reflections"].to_numpy().tolist() == [[0, 1], [1, 1], [1, 2]]
