"""Plane normals against chain axes: angles, folds, the test's level and power, whole images."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from emtools import Image, ParameterError, Result, attachment, simulate
from emtools.crystal import phase
from emtools.measure import Run, load
from emtools.measure.attachment.courses import courses
from emtools.measure.attachment.orientation import against_random, order_when_turned, setting
from emtools.model.image import plane_image

FLAT = plane_image(np.zeros((64, 64)), 1.0)
CUBIC_001 = np.array([0.0, 90.0])


def chains_result(*lines, width=4.5, pitch=5.5, err=0.05) -> Result:
    """Chains along given polylines ``(y, x)`` in nm."""
    tables = {name: [] for name in ("chains", "gaps", "dots", "axes")}
    for number, line in enumerate(lines, start=1):
        points = np.array(line, dtype=float)
        arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
        fine = np.arange(0.0, arc[-1] + 1e-9, 0.5)
        tables["chains"].append({"chain": number, "pitch_nm": pitch, "width_nm": width,
                                 "width_err_nm": err, "length_nm": arc[-1]})
        tables["axes"] += [{"chain": number, "s_nm": s, "width_nm": width,
                            "y_nm": np.interp(s, arc, points[:, 0]),
                            "x_nm": np.interp(s, arc, points[:, 1])} for s in fine]
    # Rows may come in any order.
    tables["axes"] = tables["axes"][::-1]
    declared = load("chains").tables
    return Result("chains", {name: declared[name].frame(rows) for name, rows in tables.items()},
                  {"outcome": f"{len(lines)} chains", "unit": "nm"})


def lattice_result(grains, name="PbS", keep=None) -> Result:
    """Crystals at ``(y, x, zone axis, turn)``; `keep` limits which reflections are seen."""
    crystal = phase(name)
    tables = {"reflections": [], "grains": []}
    for number, (y, x, zone, turn) in enumerate(grains, start=1):
        known = zone if isinstance(zone, tuple) else ()
        tables["grains"].append({"grain": number, "y_nm": y, "x_nm": x, "phase": name,
                                 "zone_axis": " ".join(map(str, known))})
        seen = crystal.in_zone(known or (0, 0, 1), 0.18)
        for hkl, (down, right), d in zip(seen.hkl, seen.g_yx_per_nm, seen.d_nm, strict=True):
            text = " ".join(map(str, hkl))
            angle = (np.degrees(np.arctan2(-down, right)) + turn) % 180.0
            if next(i for i in hkl if i) > 0 and (keep is None or text in keep):
                tables["reflections"].append({
                    "reflection": len(tables["reflections"]) + 1, "grain": number, "hkl": text,
                    "angle_deg": angle, "angle_err_deg": 0.1, "d_spacing_nm": d, "phase": name})
    declared = load("lattice").tables
    return Result("lattice", {name: declared[name].frame(rows) for name, rows in tables.items()},
                  {"outcome": "lattice found", "unit": "nm"}, parameters={"phases": (name,)})


ALONG_X = [(32, 4), (32, 60)]


def angles(grains, *lines, keep=None, **options) -> pd.DataFrame:
    result = attachment(FLAT, lattice=lattice_result(grains, keep=keep),
                        chains=chains_result(*(lines or [ALONG_X])), **options)
    return result.tables["angles"]


# ---- angles -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("zone", "turn", "angle", "fold"), [
    ((0, 0, 1), 0.0, 0.0, 90.0), ((0, 0, 1), 30.0, 30.0, 90.0), ((0, 0, 1), 80.0, 10.0, 90.0),
    ((0, 1, 1), 0.0, None, 180.0), ((0, 1, 2), 70.0, None, 180.0),
])
def test_the_zone_axis_decides_how_far_normals_can_be(zone, turn, angle, fold):
    found = angles([(32, 30, zone, turn)]).iloc[0]
    assert found.fold_deg == pytest.approx(fold, abs=1e-6)
    g = phase("PbS").in_zone(zone, 0.29)
    mine = g.hkl @ g.hkl.T == 4
    family = g.g_yx_per_nm[(np.abs(g.hkl).sum(axis=1) == 2) & (np.abs(g.hkl).max(axis=1) == 2)]
    direct = (np.degrees(np.arctan2(-family[:, 0], family[:, 1])) + turn) % 180.0
    assert mine.any()
    assert found.angle_deg == pytest.approx(np.minimum(direct, 180.0 - direct).min(), abs=1e-6)
    assert angle is None or found.angle_deg == pytest.approx(angle, abs=1e-6)
    assert found.angle_deg <= fold / 2


@pytest.mark.parametrize("keep", [{"2 2 0", "2 -2 0"}, {"2 2 0", "0 2 0"}, {"2 0 0", "2 -2 0"}])
def test_normals_that_are_not_seen_follow_from_those_that_are(keep):
    for turn in (0.0, 17.0, 52.0, 88.0, 139.0):
        expected = angles([(32, 30, (0, 0, 1), turn)]).iloc[0]
        found = angles([(32, 30, (0, 0, 1), turn)], keep=keep).iloc[0]
        assert found.angle_deg == pytest.approx(expected.angle_deg, abs=1e-6)
        assert found.fold_deg == pytest.approx(90.0, abs=1e-6)


def test_other_planes_and_zones_without_them():
    assert angles([(32, 30, (0, 0, 1), 45.0)], hkl="2 2 0").angle_deg.tolist() == [
        pytest.approx(0.0, abs=1e-6)]
    result = attachment(FLAT, lattice=lattice_result([(32, 30, (1, 1, 1), 0.0)]),
                        chains=chains_result(ALONG_X))
    assert len(result.tables["angles"]) == 0
    assert result.outcome == "not measurable: 1 grain without such planes in view"


def test_a_single_row_of_spots_counts_only_on_request():
    grain, seen = [(32, 30, None, 80.0)], {"2 0 0"}
    assert len(angles(grain, keep=seen)) == 0
    assert angles(grain, keep=seen, single_rows=True).angle_deg.tolist() == [pytest.approx(80.0)]


def test_grains_belong_to_the_chain_they_lie_on():
    grains = [(32, 20, (0, 0, 1), 0.0), (34, 40, (0, 0, 1), 0.0), (39, 30, (0, 0, 1), 0.0),
              (10, 30, (0, 0, 1), 0.0)]
    found = angles(grains, ALONG_X, [(10, 10), (10, 50)])
    assert found[["grain", "chain"]].to_numpy().tolist() == [[1, 1], [2, 1], [4, 2]]


def test_tangents_follow_a_curve_and_know_what_they_do_not_know():
    turn = np.radians(np.linspace(0, 90, 200))
    circle = np.stack([60 - 50 * np.sin(turn), 5 + 50 * (1 - np.cos(turn))], axis=-1)
    (course,) = courses(chains_result(circle), "nm")
    for part, slack in ((0.3, 0.05), (0.5, 0.05), (0.7, 0.05), (0.0, None), (1.0, None)):
        tangent = course.tangent(part * course.arc[-1])
        off = abs((tangent.angle_deg - (90.0 - 90.0 * part) + 90.0) % 180.0 - 90.0)
        assert off < (slack or 1.1 * tangent.err_deg)
    wild = courses(chains_result(circle, err=1.0), "nm")[0].tangent(40.0).err_deg
    assert wild == pytest.approx(np.degrees(np.sqrt(2) * 0.5 / 11.0), rel=0.01)


def test_distortion_is_stated_apart():
    grains = lattice_result([(32, x, (0, 0, 1), 5.0) for x in (15, 30, 45)])
    known = attachment(FLAT, lattice=grains, chains=chains_result(ALONG_X))
    assert known.summary["distortion_err_deg"] == pytest.approx(1.0, rel=0.05)
    assert (known.tables["angles"].angle_err_deg < 0.5).all()


# ---- results that cannot be used ----------------------------------------------------------------


def test_wrong_results_and_parameters_are_refused():
    lattice, chains = lattice_result([(32, 30, (0, 0, 1), 0.0)]), chains_result(ALONG_X)
    for options in ({"hkl": "2 0"}, {"hkl": "0 0 0"}, {"d_nm": -1.0}, {"n_random": 3},
                    {"max_offset": 0.0}, {"rng": -1}, {"rng": "x"},
                    {"false_alarm_rate": 1.0}, {"d_tolerance": 0.0},
                    {"lattice": chains}, {"chains": None}, {"lattice": "PbS"}):
        with pytest.raises(ParameterError):
            attachment(FLAT, **{"lattice": lattice, "chains": chains} | options)
    with pytest.raises(ParameterError, match="in nm, the image in px"):
        attachment(plane_image(np.zeros((64, 64)), None), lattice=lattice, chains=chains)


def test_what_is_missing_is_named():
    none = Result("lattice", {name: table.frame() for name, table in
                              load("lattice").tables.items()}, {"outcome": "no lattice"})
    result = attachment(FLAT, lattice=none, chains=chains_result(ALONG_X))
    assert result.outcome == "not measurable: no lattice"
    few = attachment(FLAT, lattice=lattice_result([(32, 30, (0, 0, 1), 0.0)]),
                     chains=chains_result(ALONG_X))
    assert "needs 3 grains" in few.outcome
    assert "p_value" not in few.summary
    assert len(few.tables["angles"]) == 1


# ---- the test -----------------------------------------------------------------------------------


@pytest.mark.parametrize("normals", [[0.0], [0.0, 90.0], [0.0, 70.5], [10.0, 64.7, 100.0]])
def test_a_turned_lattice_has_no_order_on_average(normals):
    turned = order_when_turned(np.array(normals), 33.0)
    assert turned.mean() == pytest.approx(0.0, abs=2e-3)
    place = setting(np.array(normals), 33.0)
    assert turned[0] == pytest.approx(np.cos(2 * np.pi * place.angle_deg / place.fold_deg))
    assert order_when_turned(np.array(normals), normals[0])[0] == pytest.approx(1.0)


def verdicts(turns, sizes, repeats, seed, error=1.0):
    """The test's verdicts on chains whose lattices lie at `turns` to their axes."""
    rng = np.random.default_rng(seed)
    for _ in range(repeats):
        chain = np.repeat(np.arange(len(sizes)), sizes)
        axes = rng.uniform(0, 180, len(chain))
        turn = np.concatenate([turns(n, rng) for n in sizes]) + rng.normal(0, error, len(chain))
        yield against_random([CUBIC_001 + axis + one for axis, one in zip(axes, turn, strict=True)],
                             axes.tolist(), [error] * len(chain), chain.tolist(), 499, rng)


@pytest.mark.parametrize("sizes", [(8,), (4, 4, 4), (2, 3, 5, 12)])
@pytest.mark.parametrize("turns", [
    lambda n, rng: rng.uniform(0, 180, n),
    lambda n, rng: rng.uniform(0, 180) + rng.normal(0, 5.0, n),
], ids=["grains at random", "chains at random, grains agree"])
def test_random_lattices_are_rejected_at_the_stated_rate(turns, sizes):
    n = 400
    hits = sum(v.p_value <= 0.05 for v in verdicts(turns, sizes, n, 3))
    low, high = stats.binom.interval(0.999, n, 0.05)
    assert low <= hits <= high


@pytest.mark.parametrize("spread", [5.0, 10.0])
def test_attached_lattices_are_found(spread):
    found = list(verdicts(lambda n, rng: rng.normal(0, spread, n), (4, 4, 4), 60, 4))
    assert sum(v.p_value <= 0.05 for v in found) >= 58
    true = np.exp(-0.5 * (2 * np.pi * spread / 90.0) ** 2)
    assert np.mean([v.order for v in found]) == pytest.approx(true, abs=0.04)
    assert np.mean([v.low <= true <= v.high for v in found]) > 0.8


def test_one_chain_is_one_observation_however_long():
    """Lattices that agree within a chain prove no more than their common angle."""
    (long,) = verdicts(lambda n, _: np.full(n, 9.0), (200,), 1, 5, error=0.1)
    assert long.p_value == pytest.approx(2 * 9.0 / 90.0, abs=0.01)


def test_errors_are_corrected_for():
    found = list(verdicts(lambda n, rng: rng.normal(0, 5.0, n), (10,) * 6, 40, 6, error=12.0))
    true = np.exp(-0.5 * (2 * np.pi * 5.0 / 90.0) ** 2)
    assert np.mean([v.order for v in found]) == pytest.approx(true, abs=0.06)


# ---- whole images -------------------------------------------------------------------------------


def measured(orientation, seed, **parameters) -> Result:
    image, _ = simulate.chains(
        shape=(900, 1200), pixel_size_nm=0.04, n_chains=2, n_dots=(5, 6), lattice="PbS",
        lattice_tilt_deg=4.0, lattice_orientation=orientation, blur_nm=0.1, counts=60,
        background=0.15, rng=seed)
    return Run(image, parameters).result("attachment")


@pytest.mark.parametrize("phases", [("PbS",), ()])
def test_attached_chains_are_found_in_images_and_random_ones_are_not(phases):
    known = {"lattice": {"phases": phases}}
    attached = [measured("attached", seed, **known) for seed in (4, 7)]
    for result in attached:
        assert result.outcome.startswith("attached"), result.outcome
        assert (result.tables["angles"].hkl != "").all() == bool(phases)
    for orientation in ("random", "chain"):
        others = [measured(orientation, seed, **known) for seed in (4, 7)]
        assert not all(one.outcome.startswith("attached") for one in others)
        order = [one.summary["order_parameter"].value for one in others if "p_value" in one.summary]
        assert not order or np.mean(order) < 0.7


def test_layers_are_vectors_on_the_grains():
    result = measured("attached", 4)
    assert [(layer[1]["name"], layer[2]) for layer in result.layers] == [
        ("tangents", "vectors"), ("normals", "vectors")]
    tangents, normals = (layer[0] for layer in result.layers)
    assert tangents.shape == normals.shape == (len(result.tables["angles"]), 2, 2)
    cosine = np.sum(tangents[:, 1] * normals[:, 1], axis=1) / (
        np.hypot(*tangents[:, 1].T) * np.hypot(*normals[:, 1].T))
    np.testing.assert_allclose(np.degrees(np.arccos(np.clip(cosine, -1, 1))),
                               result.tables["angles"].angle_deg, atol=1e-5)


def test_an_image_is_needed():
    with pytest.raises(ParameterError, match="emtools Image"):
        load("attachment")(np.zeros((64, 64)))
    assert isinstance(FLAT, Image)
