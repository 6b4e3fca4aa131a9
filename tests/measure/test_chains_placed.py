"""Dots that a person placed: what was found comes back as it was, what was changed is fitted."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree
from test_chains_given import wire

from emtools import chains, simulate
from emtools.cli.options import from_text
from emtools.errors import ParameterError
from emtools.measure import load
from emtools.measure.chains.links import hidden_gaps
from emtools.model.image import plane_image

# A result given back is the same to this part of its errors; mostly it is so to the last digit.
SMALL = 1e-6
YX = ["y_nm", "x_nm"]


def scene(**changed):
    return simulate.chains(**{"shape": (400, 400), "n_chains": 3, "n_dots": (6, 10),
                              "isolated_dots": 5, "crossings": 1, "rng": 1, **changed})


def wires():
    """Two wires that cross, a third one, and two dots."""
    plane = wire([(40.0, 40.0), (210.0, 210.0)]) + wire([(50.0, 200.0), (200.0, 60.0)], noise=0.0)
    plane += wire([(20.0, 120.0), (20.0, 230.0)], noise=0.0)
    y, x = np.indices(plane.shape)
    for row, col in ((230, 30), (120, 240)):
        plane += np.sqrt(np.clip(1 - ((y - row) ** 2 + (x - col) ** 2) / 25, 0, None))
    return plane_image(plane.astype(np.float32))


SCENES = {
    "plain": lambda: scene()[0],
    "noisy": lambda: scene(counts=10.0, rng=2)[0],
    "fine": lambda: scene(shape=(600, 600), pixel_size_nm=0.15, n_chains=2, n_dots=(5, 6),
                          crossings=0, rng=3)[0],
    "coarse": lambda: scene(pixel_size_nm=0.9, crossings=2, rng=4)[0],
    "TEM": lambda: scene(modality="TEM", rng=5)[0],
    "cut": lambda: scene(border_cuts=True, crossings=0, rng=6)[0],
    "touching": lambda: scene(gap_nm=0.2, rng=7)[0],
    "wide gaps": lambda: scene(gap_nm=1.9, gap_std_nm=0.15, crossings=2, rng=14)[0],
    "cubes": lambda: scene(dot_shape="cube", crossings=0, rng=13)[0],
    "helix": lambda: scene(shape=(700, 700), helices=1, n_chains=2, crossings=0, rng=8)[0],
    "noisy helix": lambda: scene(shape=(700, 700), helices=1, n_chains=1, crossings=0, counts=20.0,
                                 rng=10)[0],
    "lines": lambda: simulate.chains(pixel_size_nm=1.5, shape=(500, 500), n_chains=5, crossings=3,
                                     isolated_dots=5, rng=0)[0],
    "wires": wires,
}


def given_back(result):
    """What was found, as a person would give it back."""
    axes, dots = result.tables["axes"], result.tables["dots"]
    places = [name for name in dots.columns if name.startswith(("y_", "x_"))]
    lines = {int(number): rows[places].to_numpy() for number, rows in axes.groupby("chain")}
    return lines, dots[places].to_numpy()


def assert_same(found, expected, *, but=()):
    """All tables, each column within a small part of its error."""
    for name in ("chains", "gaps", "dots", "axes"):
        one, other = (result.tables[name] for result in (found, expected))
        one, other = (table[~table["chain"].isin(but)].reset_index(drop=True)
                      for table in (one, other))
        assert len(one) == len(other), name
        for column in one.columns:
            if column in ("gap", "dot", "n_crossings") and but:
                continue
            if one[column].dtype.kind != "f":
                assert (one[column] == other[column]).all(), f"{name}.{column}"
                continue
            unit = "px" if column.endswith("_px") else "nm"
            err = f"{column.removesuffix(f'_{unit}')}_err_{unit}"
            measured = err in other and "_err" not in column
            room = other[err] if measured else other[column].abs().clip(lower=1.0)
            assert (one[column].isna() == other[column].isna()).all(), f"{name}.{column}"
            off = (one[column] - other[column]).abs() > SMALL * room.fillna(1.0)
            assert not off.any(), f"{name}.{column}"


@pytest.mark.parametrize("name", SCENES)
def test_a_result_given_back_is_the_same(name):
    image = SCENES[name]()
    options = {"contrast": "bright"} if name == "wires" else {}
    auto = chains(image, **options)
    lines, dots = given_back(auto)
    assert lines
    if "helix" in name:
        assert (auto.tables["chains"]["helix"] > 0).sum() == 2
    if name in ("lines", "wires"):
        assert (auto.tables["chains"]["n_dots"] == 0).any()
    assert_same(chains(image, centrelines=lines, dots=dots, **options), auto)
    assert_same(chains(image, dots=dots, **options), auto)


def test_a_change_in_one_chain_leaves_the_others_as_they_are():
    image, _ = scene()
    auto = chains(image)
    lines, dots = given_back(auto)
    number = auto.tables["dots"]["chain"].to_numpy()
    crossed = int(auto.tables["chains"].query("n_crossings > 0")["chain"].max())
    # Its dots lie on top of those of the chain that it crosses, which stay as they are.
    without = {n: line for n, line in lines.items() if n != crossed}
    assert_same(chains(image, centrelines=without, dots=dots[number != crossed]), auto,
                but=(crossed,))
    own = np.flatnonzero(number == 1)
    moved = dots.copy()
    moved[own[3]] += 0.7
    found = chains(image, centrelines=lines, dots=moved)
    assert_same(found, auto, but=(1,))
    row, before = (result.tables["chains"].iloc[0] for result in (found, auto))
    for column in ("length_nm", "width_nm", "gap_nm"):  # it is fitted where it was
        assert abs(row[column] - before[column]) < 0.05 * before[column.replace("_nm", "_err_nm")]
    removed = chains(image, centrelines=lines, dots=np.delete(dots, own[3], axis=0))
    assert_same(removed, auto, but=(1,))
    assert removed.tables["chains"]["n_dots"][0] == auto.tables["chains"]["n_dots"][0] - 1


def test_strands_that_are_drawn_in_one_piece_are_a_helix_and_rows_beside_it_are_none():
    image = SCENES["helix"]()
    auto = chains(image)
    lines, _ = given_back(auto)
    table = auto.tables["chains"]
    strands = table.loc[table["helix"] > 0, "chain"].tolist()
    # Without the dots, which are then sought along the lines: the same helix, about.
    (row, *_), (same, *_) = (
        result.tables["chains"].query("helix > 0").to_dict("records")
        for result in (chains(image, centrelines=lines), auto))
    for column in ("helix_pitch_nm", "helix_radius_nm"):
        assert abs(row[column] - same[column]) < 2 * same[column.replace("_nm", "_err_nm")]
    one = chains(image, centrelines={strands[0]: lines[strands[0]]}).tables["chains"]
    assert (one["helix"] == 0).all()


def test_two_dots_taken_for_one_are_two_where_both_are_placed():
    image, truth = simulate.chains(shape=(400, 400), n_chains=2, n_dots=(6, 8), gap_nm=0.3,
                                   gap_std_nm=0.1, blur_nm=1.2, diameter_std_nm=0.6, counts=30.0,
                                   rng=3)
    auto = chains(image)
    assert len(auto.tables["dots"]) < len(truth["dots"])
    dots = chains(image, dots=truth["dots"][YX].to_numpy())
    assert len(dots.tables["dots"]) == len(truth["dots"])
    apart, which = cKDTree(truth["gaps"][YX]).query(dots.tables["gaps"][YX])
    assert apart.max() < 1.0
    off = dots.tables["gaps"]["gap_nm"] - truth["gaps"]["gap_nm"].to_numpy()[which]
    assert (off / dots.tables["gaps"]["gap_err_nm"]).abs().max() < 4
    assert len(off) > len(auto.tables["gaps"])


def test_faint_dots_that_were_placed_are_dots_and_one_on_nothing_is_rejected():
    image, truth = simulate.chains(shape=(256, 256), n_chains=1, n_dots=(8, 8), isolated_dots=2,
                                   counts=2.0, rng=1)
    true = truth["dots"][YX].to_numpy()
    assert len(chains(image).tables["dots"]) < len(true)
    nowhere = next(place for place in np.random.default_rng(0).uniform(10, 110, (100, 2))
                   if cKDTree(true).query(place)[0] > 12)
    course = truth["axes"][YX].to_numpy()
    result = chains(image, centrelines={4: course}, dots=[*true, nowhere])
    assert len(result.tables["dots"]) == len(true)
    assert result.tables["chains"]["n_dots"].tolist() == [8]
    said = result.details["rejected"]
    near = np.hypot(*(said[YX].to_numpy() - nowhere).T) < 0.1
    assert said.loc[near, "reason"].tolist() == ["nothing stands out where it was drawn"]


def test_nothing_is_left_where_nothing_was_placed():
    image, _ = scene()
    _, dots = given_back(chains(image))
    none = chains(image, centrelines={}, dots=np.zeros((0, 2)))
    assert none.outcome == "no chains as drawn"
    assert not any(len(table) for table in none.tables.values())
    single = chains(image, centrelines={}, dots=dots[-3:])
    assert single.outcome == "no chains as drawn, 3 isolated dots"
    assert chains(image, dots=np.zeros((0, 2))).outcome == "no chains"
    blank, _ = simulate.blank("noise", shape=(256, 256), rng=1)
    assert not len(chains(blank, dots=[[5.0, 5.0], [8.0, 9.0]]).tables["dots"])


def test_dots_placed_on_a_line_are_dots_and_lines_without_any_stay():
    image, truth = simulate.chains(pixel_size_nm=1.0, shape=(300, 300), n_chains=2, n_dots=(9, 9),
                                   blur_nm=2.0, gap_nm=0.0, gap_std_nm=0.05, rng=0)
    auto = chains(image)
    lines, _ = given_back(auto)
    assert (auto.tables["chains"]["n_dots"] == 0).any()
    dots = truth["dots"]
    seen = dots.loc[dots["chain"] == 1, YX].to_numpy()
    found = chains(image, dots=seen).tables["chains"]
    assert (found["n_dots"] == 0).sum() == len(lines) - 1
    assert found["n_dots"].max() >= 7
    drawn = chains(image, centrelines=lines, dots=seen).tables["chains"]
    assert (drawn["n_dots"] == 0).sum() == len(lines) - 1


def test_a_gap_under_another_chain_is_none():
    class Row:
        centre = np.array([[0.0, 0], [0, 5], [0, 15], [0, 20], [-5, 10], [0, 10], [5, 10], [0, 40]])

    hidden = hidden_gaps([[0, 1, 2, 3], [4, 5, 6]], [7], Row())
    assert hidden == [[False, True, False], [False, False]]
    assert hidden_gaps([], [0], Row()) == []


@pytest.mark.parametrize(("given", "said"), [
    ({"dots": np.zeros((3, 3))}, r"shape \(3, 3\)"),
    ({"dots": [1.0, 2.0]}, r"shape \(2,\)"),
    ({"dots": [["a", "b"]]}, "no numbers"),
    ({"dots": [[1.0, np.nan]]}, "finite"),
    ({"dots": [[900.0, 900.0], [-50.0, 3.0]]}, "lie outside of the image"),
    ({"dots": [[1.0, 2.0]], "labels": np.ones((256, 256), int)}, "labels, dots: are both given"),
    ({"dots": [[1.0, 2.0]], "centrelines": [[(1, 1)]]}, r"shape \(1, 2\)"),
])
def test_what_cannot_be_placed_is_refused(given, said):
    image, _ = simulate.blank("noise", shape=(256, 256), rng=0)
    with pytest.raises(ParameterError, match=said):
        chains(image, **given)


def test_a_dot_outside_of_the_image_is_rejected_with_the_reason():
    image, _ = scene()
    _, dots = given_back(chains(image))
    result = chains(image, dots=[*dots, [-30.0, 50.0]])
    assert "outside of the image" in result.details["rejected"]["reason"].tolist()
    assert len(result.tables["dots"]) == len(dots)


def test_placed_dots_follow_averaged_pixels():
    image, _ = simulate.chains(shape=(700, 700), pixel_size_nm=0.06, n_chains=1, n_dots=(4, 4),
                               rng=2)
    auto = chains(image)
    assert auto.summary["averaged_pixels"] > 1
    lines, dots = given_back(auto)
    assert_same(chains(image, centrelines=lines, dots=dots), auto)


def test_places_of_dots_are_read_from_a_file(tmp_path):
    (option,) = [one for one in load("chains").options if one.name == "dots"]
    assert (option.type, option.item, option.default) == ("array", "float", None)
    image, _ = scene()
    _, dots = given_back(chains(image))
    np.save(tmp_path / "dots.npy", dots)
    given = from_text(option, str(tmp_path / "dots.npy"))
    assert np.array_equal(given.values, dots)
    said = chains(image, dots=given).parameters["dots"]
    assert said.startswith(f"{tmp_path / 'dots.npy'}: {len(dots)} x 2, float64, sha256 ")
    np.save(tmp_path / "flat.npy", dots[0])
    with pytest.raises(ParameterError, match=r"give an \(n, 2\) array"):
        from_text(option, str(tmp_path / "flat.npy"))
