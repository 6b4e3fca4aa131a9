"""Chains as a person drew or corrected them: labels and centrelines."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from emtools import chains, simulate
from emtools.errors import ParameterError
from emtools.measure.chains.given import _stepped
from emtools.measure.chains.strokes import joined, label_course
from emtools.model.image import plane_image
from examples import pulls

SHAPE = (256, 256)


def courses(truth, numbers=(1, 2), off=(0.0, 0.0)):
    """True courses of chains, in nm."""
    axes = truth["axes"]
    return [axes.loc[axes["chain"] == number, ["y_nm", "x_nm"]].to_numpy() + off
            for number in numbers]


def painted(image, lines, half, numbers=None):
    """Labels, as broad brushes along lines draw them."""
    pixel = image.calibration().pixel_size
    labels = np.zeros(image.shape, dtype=int)
    for number, line in zip(numbers or range(1, len(lines) + 1), lines, strict=True):
        places = np.rint(_stepped(np.asarray(line) / pixel, 0.5)).astype(int)
        mask = np.ones(image.shape, dtype=bool)
        mask[tuple(np.clip(places, 0, np.array(image.shape) - 1).T)] = False
        labels[ndimage.distance_transform_edt(mask) * pixel < half] = number
    return labels


def wire(ends, width=10.0, noise=0.05, height=1.0):
    """A straight cylinder with flat ends, in pixels, without a calibration."""
    first, last = np.asarray(ends, dtype=float)
    at = np.stack(np.indices(SHAPE), axis=-1) - first
    along = (last - first) / np.hypot(*(last - first))
    part, away = at @ along, at @ np.array([-along[1], along[0]])
    inside = (part >= 0) & (part <= np.hypot(*(last - first)))
    plane = height * np.sqrt(np.clip(1 - (away / (width / 2)) ** 2, 0, None)) * inside
    plane = ndimage.gaussian_filter(plane, 1.0)
    return plane + noise * np.random.default_rng(0).standard_normal(SHAPE)


@pytest.fixture(scope="module")
def scene():
    return simulate.chains(shape=(320, 320), n_chains=2, n_dots=(5, 6), isolated_dots=1, rng=3)


def close(a, b, columns, sigmas=1.0):
    for column in columns:
        err = b[column.replace("_nm", "_err_nm")]
        assert (np.abs(a[column].to_numpy() - b[column].to_numpy()) < sigmas * err).all(), column


COLUMNS = ("width_nm", "length_nm", "gap_nm", "pitch_nm")


def test_labels_of_the_truth_give_what_is_found_by_itself(scene):
    image, truth = scene
    auto = chains(image)
    labels = painted(image, courses(truth), 2.8, numbers=(7, 3))
    drawn = chains(image, labels=labels)
    assert drawn.tables["chains"]["chain"].tolist() == [3, 7]
    assert set(drawn.tables["dots"]["chain"]) == {3, 7}  # the isolated dot was not drawn
    assert set(drawn.tables["axes"]["chain"]) == set(drawn.tables["gaps"]["chain"]) == {3, 7}
    found = auto.tables["chains"].sort_values("length_nm")
    close(drawn.tables["chains"].sort_values("length_nm"), found, COLUMNS, 0.2)
    assert drawn.summary["outcome"].startswith("2 chains as drawn")
    assert drawn.parameters["labels"].startswith("320 x 320, 2 labels, sha256 ")
    assert chains(image, labels=np.where(labels == 3, 9, labels)).parameters != drawn.parameters


def test_centrelines_beside_the_chains_give_their_widths_and_lengths(scene):
    image, truth = scene
    drawn = chains(image, centrelines=courses(truth, off=(0.7, -0.7)))
    off = pulls(drawn.tables, truth, "chains")
    assert len(off) == 2
    assert off[["width_nm", "length_nm", "gap_nm"]].abs().to_numpy().max() < 4
    assert drawn.tables["chains"]["chain"].tolist() == [1, 2]
    one = chains(image, centrelines={5: courses(truth)[1]})
    assert one.tables["chains"]["chain"].tolist() == [5]
    assert set(one.tables["dots"]["chain"]) == {5}


def test_a_chain_split_by_a_wide_gap_is_joined_and_one_is_cut_in_two():
    image, truth = simulate.chains(shape=(256, 320), n_chains=1, n_dots=(8, 8), gap_nm=2.6, rng=1)
    assert len(chains(image).tables["chains"]) != 1
    (course,) = courses(truth, (1,))
    joined_up = chains(image, labels=painted(image, [course], 2.8))
    assert pulls(joined_up.tables, truth, "chains")["length_nm"].abs().max() < 4
    assert joined_up.tables["chains"]["n_dots"].tolist() == [8]
    assert len(joined_up.tables["gaps"]) == 7
    # Dots in a row, though two of them were painted as one chain and five as another.
    dots = truth["dots"].sort_values("x_nm")[["y_nm", "x_nm"]].to_numpy()
    cut = chains(image, labels=painted(image, [dots[:2], dots[2:7]], 2.8))
    assert cut.tables["chains"]["chain"].tolist() == [2]
    assert cut.tables["chains"]["n_dots"].tolist() == [5]
    assert (cut.tables["dots"]["chain"] == 0).sum() == 2


def test_dots_that_were_painted_one_by_one_are_a_chain(scene):
    image, truth = scene
    dots = truth["dots"][truth["dots"]["chain"] == 1][["y_nm", "x_nm"]].to_numpy()
    labels = np.max([painted(image, [np.array([dot, dot])], 1.5) for dot in dots], axis=0)
    assert ndimage.label(labels)[1] == len(dots)
    table = chains(image, labels=labels).tables["chains"]
    auto = chains(image).tables["chains"]
    same = auto.iloc[[np.abs(auto["length_nm"] - table["length_nm"][0]).argmin()]]
    close(table, same, COLUMNS, 0.2)


def test_a_wire_drawn_beside_and_beyond_itself():
    image = plane_image(wire([(60.0, 50.0), (180.0, 200.0)]).astype(np.float32))
    (found,) = chains(image, contrast="bright", centrelines=[
        np.array([(55.0, 40.0), (186.0, 204.0)])]).tables["chains"].to_dict("records")
    length = float(np.hypot(120, 150))
    assert abs(found["width_px"] - 10.0) < 4 * found["width_err_px"]
    assert abs(found["length_px"] - length) < 4 * found["length_err_px"]
    assert found["n_dots"] == 0


def test_a_wire_cut_where_it_is_drawn_to_end_and_faint_ones():
    image = plane_image(wire([(128.0, 30.0), (128.0, 220.0)]).astype(np.float32))
    labels = np.zeros(SHAPE, dtype=int)
    labels[118:139, 15:100], labels[118:139, 100:240] = 1, 2
    first, second = chains(image, contrast="bright", labels=labels).tables["chains"]["length_px"]
    assert abs(first - 69.5) < 1.5
    assert abs(second - 120.5) < 1.5
    faint = plane_image(wire([(128.0, 30.0), (128.0, 220.0)], height=0.04).astype(np.float32))
    assert not len(chains(faint, contrast="bright").tables["chains"])
    drawn = chains(faint, contrast="bright", centrelines=[[(128, 30), (128, 220)]])
    (row,) = drawn.tables["chains"].to_dict("records")
    assert abs(row["width_px"] - 10.0) < 4 * row["width_err_px"]
    assert abs(row["length_px"] - 190.0) < 4 * row["length_err_px"]


def test_wires_that_cross_are_one_each():
    plane = wire([(40.0, 40.0), (210.0, 210.0)]) + wire([(50.0, 200.0), (200.0, 60.0)], noise=0.0)
    image = plane_image(plane.astype(np.float32))
    labels = painted(image, [[(40.0, 40.0), (210.0, 210.0)], [(50.0, 200.0), (200.0, 60.0)]], 8.0)
    table = chains(image, contrast="bright", labels=labels).tables["chains"]
    assert table["n_crossings"].tolist() == [1, 1]
    assert np.abs(table["width_px"] - 10.0).max() < 1.0
    assert np.abs(table["length_px"] - [240.4, 205.2]).max() < 3.0


def test_what_was_drawn_follows_averaged_pixels():
    """A fine image is averaged; labels and lines with it, also where a label is one pixel wide."""
    image, truth = simulate.chains(shape=(700, 700), pixel_size_nm=0.06, n_chains=1, n_dots=(4, 4),
                                   rng=2)
    auto = chains(image)
    assert auto.summary["averaged_pixels"] > 1
    lines = courses(truth, (1,))
    for given in ({"labels": painted(image, lines, 2.5)}, {"labels": painted(image, lines, 0.05)},
                  {"centrelines": lines}):
        close(chains(image, **given).tables["chains"], auto.tables["chains"], COLUMNS, 0.5)


def test_nothing_where_something_was_drawn_is_rejected_with_the_reason():
    image, _ = simulate.blank("noise", shape=SHAPE, rng=1)
    labels = np.zeros(SHAPE, dtype=int)
    labels[20:60, 20:70], labels[100:130, 30:220] = 4, 2
    result = chains(image, labels=labels)
    assert result.summary["outcome"] == "no chains as drawn"
    assert not len(result.tables["dots"])
    assert len(result.details["rejected"]) == 2
    assert result.details["rejected"]["reason"].str.len().min() > 0


def test_bodies_that_are_not_significant_by_themselves_are_measured():
    image, truth = simulate.chains(shape=(320, 320), n_chains=1, n_dots=(6, 6), counts=2.0, rng=5)
    drawn = chains(image, centrelines=courses(truth, (1,)))
    (row,) = drawn.tables["chains"].to_dict("records")
    (true,) = truth["chains"].to_dict("records")
    for column in ("width_nm", "length_nm"):
        off = row[column] - true[column]
        assert abs(off) < 4 * row[column.replace("_nm", "_err_nm")], column


@pytest.mark.parametrize(("given", "said"), [
    ({"labels": np.zeros((3, 3), int)}, "of shape"),
    ({"labels": np.zeros(SHAPE)}, "float64"),
    ({"labels": np.zeros(SHAPE, int)}, "no label"),
    ({"labels": np.full(SHAPE, -1)}, "label -1"),
    ({"labels": "a.tif"}, "of shape"),
    ({"labels": np.ones(SHAPE, int), "centrelines": [[(1, 1), (2, 2)]]}, "both given"),
    ({"centrelines": []}, "no line"),
    ({"centrelines": {}}, "no line"),
    ({"centrelines": "a.csv"}, "is a str"),
    ({"centrelines": np.zeros((3, 2))}, "is a ndarray"),
    ({"centrelines": [np.zeros((3, 3))]}, r"shape \(3, 3\)"),
    ({"centrelines": [[(1, 1)]]}, r"shape \(1, 2\)"),
    ({"centrelines": [[("a", "b"), ("c", "d")]]}, "no numbers"),
    ({"centrelines": [[(1, np.nan), (2, 2)]]}, "finite"),
    ({"centrelines": [[(1, 1), (2, 2)], [(900, 900), (950, 950)]]}, "2: lies outside"),
    ({"centrelines": {0: [(1, 1), (2, 2)]}}, "chain 0"),
    ({"centrelines": {"a": [(1, 1), (2, 2)]}}, "chain 'a'"),
])
def test_what_cannot_be_drawn_is_refused(given, said):
    image, _ = simulate.blank("noise", shape=SHAPE, rng=0)
    with pytest.raises(ParameterError, match=said):
        chains(image, **given)


def test_pieces_are_joined_end_to_end():
    pieces = [np.array([[0.0, 10], [0, 15]]), np.array([[0.0, 5], [0, 0]]), np.array([[0.0, 20]])]
    order = joined(pieces)
    assert [i for i, _ in order] in ([1, 0, 2], [2, 0, 1])
    mask = np.zeros((40, 90), dtype=bool)
    mask[15:22, 5:40] = mask[15:22, 50:85] = True
    path, width = label_course(mask)
    assert abs(width - 7) < 1
    assert np.ptp(path.points[:, 1]) == pytest.approx(79, abs=1)
    assert np.abs(path.points[:, 0] - 18).max() < 2


@pytest.mark.parametrize("labels", [
    np.random.default_rng(0).integers(0, 3, SHAPE), np.eye(256, dtype=int) * 3,
    np.arange(256 * 256).reshape(SHAPE) == 7, np.ones(SHAPE, dtype=np.uint64) * 2**62])
def test_labels_of_any_shape_are_borne(labels):
    image, _ = simulate.chains(shape=SHAPE, n_chains=1, n_dots=(4, 4), rng=3)
    result = chains(image, labels=labels)
    assert set(result.tables["chains"]["chain"]) <= set(np.unique(labels).astype(int).tolist())
