"""Lattice spacings, angles, grains and indices of simulated crystals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from emtools import ParameterError, lattice
from emtools.simulate import Grain, chains, crystal
from examples import matched, pulls


def strong(truth, n=4):
    return truth["reflections"].nlargest(n, "amplitude")


def found_near(result, row):
    """The measured reflection nearest to a true one."""
    table = result.tables["reflections"]
    turn = np.radians(2 * (table.angle_deg - row.angle_deg))
    apart = np.hypot(table.k_per_nm / row.k_per_nm * np.cos(turn) - 1,
                     table.k_per_nm / row.k_per_nm * np.sin(turn))
    return table.loc[apart.idxmin()]


# ---- spacings and angles ------------------------------------------------------------------------


@pytest.mark.parametrize(("pixel_size", "shape"), [
    (0.01, (256, 256)), (0.02, (512, 400)), (0.03, (256, 1024)), (0.05, (300, 301)),
    (0.09, (512, 512))])
@pytest.mark.parametrize("rotation", [0.0, 12.3, 45.0, 101.0])
def test_spacing_and_angle_within_their_errors(pixel_size, shape, rotation):
    image, truth = crystal("PbS", (0, 1, 1), shape=shape, pixel_size_nm=pixel_size,
                           rotation_deg=rotation, contrast=0.3, rng=int(rotation))
    result = lattice(image)
    resolved = truth["reflections"].query(f"d_spacing_nm > {2.3 * pixel_size}")
    for row in resolved.nlargest(3, "amplitude").itertuples():
        seen = found_near(result, row)
        assert abs(seen.d_spacing_nm - row.d_spacing_nm) < 4 * seen.d_spacing_err_nm
        off = (seen.angle_deg - row.angle_deg + 90) % 180 - 90
        assert abs(off) < 4 * seen.angle_err_deg
        # Some hundredths of a fringe, over all the fringes across the frame.
        assert seen.d_spacing_err_nm < 0.03 * row.d_spacing_nm**2 / (min(shape) * pixel_size)
        assert seen.k_per_nm == pytest.approx(1 / seen.d_spacing_nm)


@pytest.mark.parametrize("counts", [2.0, 10.0, 1000.0])
def test_noise_widens_the_errors_and_not_the_pulls(counts):
    collected = []
    for seed in range(6):
        image, truth = crystal(shape=(256, 256), rotation_deg=7.0 * seed, counts=counts, rng=seed)
        result = lattice(image, max_reflections=8)
        collected.append(pulls(result.tables, truth, "reflections"))
    for column in ("d_spacing_nm", "angle_deg"):
        values = np.concatenate([table[column] for table in collected])
        assert len(values) >= 12
        assert np.abs(values).max() < 4.0
        assert (np.abs(values) < 1.96).mean() >= 0.85


def test_errors_fall_with_the_dose():
    """Amplitude noise falls with the square root of the counts, and the errors with it."""
    errors = [lattice(crystal(shape=(384, 384), rotation_deg=20.0, counts=counts, film=0.0,
                              contrast=0.2, rng=3)[0]
                      ).tables["reflections"].query("d_spacing_nm > 0.2").d_spacing_err_nm.mean()
              for counts in (25.0, 400.0)]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.25)


@pytest.mark.parametrize("modality", ["HAADF", "TEM"])
def test_hrtem_and_hrstem(modality):
    image, truth = crystal("Au", (0, 1, 1), modality=modality, rotation_deg=33.0,
                           shape=(512, 512), pixel_size_nm=0.025)
    result = lattice(image, phases=("Au",))
    for row in strong(truth, 3).itertuples():
        seen = found_near(result, row)
        assert abs(seen.d_spacing_nm - row.d_spacing_nm) < 4 * seen.d_spacing_err_nm
        assert seen.d_reference_nm == pytest.approx(row.d_spacing_nm, rel=1e-4)


def test_distorted_scan_shows_what_it_shows():
    """A pixel size that is off by 3 % gives spacings that are off by 3 %: nothing is corrected."""
    image, truth = crystal(shape=(384, 384), stated_pixel_size_nm=0.0206, rng=1)
    result = lattice(image, phases=("PbS",))
    for row in strong(truth, 2).itertuples():
        seen = found_near(result, row)
        assert seen.d_spacing_nm == pytest.approx(1.03 * row.d_spacing_nm, rel=2e-4)
    assert result.summary["scale_measured_over_reference"] == pytest.approx(1.03, rel=2e-4)
    assert result.tables["grains"].zone_axis[0] == "1 0 0"


def test_scale_error_enters_the_summary_once():
    image, _ = crystal(shape=(256, 256))
    image = image.calibrated(0.02, "nm", err=0.01)
    result = lattice(image)
    rows, summary = result.tables["reflections"], result.summary
    assert (rows.d_spacing_err_nm < 1e-3 * rows.d_spacing_nm).all()
    whole = summary["strongest_d_spacing_with_scale"]
    assert whole.err == pytest.approx(0.01 * whole.value, rel=0.01)
    assert summary["scale_err_percent"] == pytest.approx(1.0)


def test_small_crystal_in_a_large_frame():
    image, truth = crystal(shape=(512, 512), particle_nm=3.0, film=0.05, rng=5)
    result = lattice(image, phases=("PbS",))
    rows = result.tables["reflections"]
    for row in strong(truth, 2).itertuples():
        seen = found_near(result, row)
        assert abs(seen.d_spacing_nm - row.d_spacing_nm) < 4 * seen.d_spacing_err_nm
        assert 1.5 < seen.domain_nm < 4.0
    assert len(rows) >= 2
    assert not rows.few_fringes[rows.d_spacing_nm.idxmin()]
    grain = result.tables["grains"].iloc[0]
    centre = 0.5 * 511 * 0.02
    assert (grain.y_nm, grain.x_nm) == pytest.approx((centre, centre), abs=0.5)


def test_few_fringes_are_flagged():
    image, _ = crystal(shape=(512, 512), particle_nm=1.5, contrast=1.0, film=0.0, rng=5)
    rows = lattice(image).tables["reflections"]
    assert len(rows)
    assert rows[rows.d_spacing_nm > 0.28].few_fringes.all()


def test_harmonics_are_marked():
    image, _ = crystal(shape=(384, 384), pixel_size_nm=0.015, rng=2)
    rows = lattice(image, phases=("PbS",)).tables["reflections"]
    assert rows[rows.hkl.isin(["0 4 0", "0 0 4", "0 -4 0", "0 0 -4"])].harmonic.all()
    assert not rows[rows.d_spacing_nm > 0.28].harmonic.any()
    assert rows.harmonic.any()


def test_limits_of_the_search():
    image, _ = crystal(shape=(384, 384), rng=2)
    rows = lattice(image, min_d_nm=0.15, max_d_nm=0.25).tables["reflections"]
    assert len(rows)
    assert rows.d_spacing_nm.between(0.15, 0.25).all()
    assert len(lattice(image, max_reflections=3).tables["reflections"]) <= 3
    nothing = lattice(image, min_d_nm=0.001, max_d_nm=0.02)
    assert "not measurable" in nothing.outcome
    assert len(nothing.tables["reflections"]) == 0


def test_false_alarms_are_as_rare_as_asked():
    """At a rate of a half, images of noise show something now and then; at 1e-3 none of 20 do."""
    from emtools.simulate import blank

    seen = {0.5: 0, 1e-3: 0}
    for seed in range(20):
        image, _ = blank("noise", shape=(192, 192), rng=100 + seed)
        for rate in seen:
            seen[rate] += len(lattice(image, false_alarm_rate=rate).tables["reflections"]) > 0
    assert seen[1e-3] == 0
    assert seen[0.5] <= 14


def test_gradient_and_scan_errors_change_no_spacing():
    image, truth = crystal(shape=(512, 512), rotation_deg=20.0, background_gradient=3.0,
                           line_noise=0.05, scan_noise_nm=0.01, contrast=0.5, rng=4)
    result = lattice(image)
    for row in strong(truth, 2).itertuples():
        seen = found_near(result, row)
        assert seen.d_spacing_nm == pytest.approx(row.d_spacing_nm, rel=2e-3)


def test_without_calibration_in_pixels():
    image, truth = crystal(shape=(384, 384), rotation_deg=10.0, rng=4)
    bare = replace(image, axes=tuple(axis.in_pixels() for axis in image.axes))
    result = lattice(bare, phases=("PbS",))
    table = result.tables["reflections"]
    assert "d_spacing_px" in table
    assert "domain_px" in table
    assert "k_per_px" in table
    assert result.tables["grains"].columns.str.contains("_nm").sum() == 0
    first = table.loc[table.snr.idxmax()]
    wanted = truth["reflections"].d_spacing_nm / 0.02
    assert np.abs(first.d_spacing_px / wanted - 1).min() < 1e-3


def test_mask_is_respected():
    """A second crystal beneath the mask is not seen."""
    image, _ = crystal(shape=(384, 384), grains=(
        Grain("PbS", (0, 0, 1), 10.0, x_nm=-2.0), Grain("Au", (0, 0, 1), 30.0, x_nm=2.0)), rng=1)
    mask = np.ones(image.shape, dtype=bool)
    mask[:, 180:] = False
    both = lattice(image).tables["reflections"]
    one = lattice(replace(image, mask=mask)).tables["reflections"]
    assert ((both.d_spacing_nm - 0.2039).abs() < 0.002).any()
    assert not ((one.d_spacing_nm - 0.2039).abs() < 0.002).any()
    assert ((one.d_spacing_nm - 0.2968).abs() < 0.002).any()


# ---- grains -------------------------------------------------------------------------------------


def test_two_crystals_side_by_side():
    image, truth = crystal(shape=(512, 512), grains=(
        Grain("PbS", (0, 0, 1), 10.0, x_nm=-2.5), Grain("PbS", (0, 0, 1), 38.0, x_nm=2.5)), rng=2)
    result = lattice(image, phases=("PbS",))
    grains = result.tables["grains"]
    assert len(grains) == 2
    left, right = (grains.loc[i] for i in np.argsort(grains.x_nm))
    assert left.x_nm < 5.1 < right.x_nm
    assert (left.rotation_deg - 10.0) % 90 == pytest.approx(0, abs=0.3) or \
        (left.rotation_deg - 10.0) % 90 == pytest.approx(90, abs=0.3)
    assert (right.rotation_deg - 38.0) % 90 == pytest.approx(0, abs=0.3) or \
        (right.rotation_deg - 38.0) % 90 == pytest.approx(90, abs=0.3)
    for row in truth["reflections"].query("d_spacing_nm > 0.2").itertuples():
        seen = found_near(result, row)
        assert seen.d_spacing_nm == pytest.approx(row.d_spacing_nm, rel=3e-3)
    assert (grains.area_nm2 < 0.75 * (512 * 0.02) ** 2).all()


def test_two_phases_side_by_side():
    image, _ = crystal(shape=(512, 512), grains=(
        Grain("Au", (0, 1, 1), 10.0, x_nm=-2.5), Grain("PbS", (0, 0, 1), 25.0, x_nm=2.5)), rng=2)
    grains = lattice(image, phases=("Au", "PbS")).tables["grains"]
    named = grains.sort_values("area_nm2", ascending=False).head(2).sort_values("x_nm")
    assert named.phase.tolist() == ["Au", "PbS"]
    assert not named.ambiguous.any()


def test_lattice_resolved_chain():
    """Five dots, each its own crystal: fringes are found, none with a spacing that PbS lacks."""
    image, _ = chains(shape=(700, 700), pixel_size_nm=0.045, n_chains=1, n_dots=(5, 5),
                      lattice="PbS", blur_nm=0.1, counts=300.0, rng=6)
    result = lattice(image, phases=("PbS",))
    rows = result.tables["reflections"]
    assert len(rows) >= 3
    near = rows.d_spacing_nm.to_numpy()[:, None] / np.array(
        [0.2968, 0.2099, 0.1484, 0.1327, 0.1049, 0.0989, 0.0939])
    assert (np.abs(near - 1).min(axis=1) < 0.03).mean() >= 0.8


# ---- indexing -----------------------------------------------------------------------------------


def family(text, tetragonal=False):
    """Indices without order and sign; the third apart for a tetragonal crystal."""
    numbers = [abs(int(part)) for part in text.split()]
    return (*sorted(numbers[:2]), numbers[2]) if tetragonal else tuple(sorted(numbers))


@pytest.mark.parametrize(("phase", "zone"), [
    ("PbS", (0, 0, 1)), ("PbS", (0, 1, 1)), ("PbS", (1, 1, 2)), ("Au", (0, 1, 1)),
    ("Si", (0, 1, 1)), ("Si", (1, 1, 2)), ("CuInS2", (0, 0, 1)), ("CuInS2", (1, 1, 0)),
    ("CuInS2", (2, 2, 1))])
def test_zone_axis_and_indices(phase, zone):
    image, truth = crystal(phase, zone, shape=(512, 512), pixel_size_nm=0.025, rotation_deg=19.0,
                           contrast=0.4, rng=7)
    result = lattice(image, phases=(phase,))
    grain = result.tables["grains"].iloc[0]
    tetragonal = phase == "CuInS2"
    assert len(result.tables["grains"]) == 1
    assert grain.phase == phase
    wanted = family(" ".join(map(str, zone)), tetragonal)
    if grain.ambiguous:  # then the rival that is named is the right one, or the best is
        rival = grain.runner_up.partition("[")[2].partition("]")[0]
        assert wanted in (family(grain.zone_axis, tetragonal), family(rival, tetragonal))
    else:
        assert family(grain.zone_axis, tetragonal) == wanted
        mine, theirs = matched(result.tables, truth, "reflections")
        named = mine.hkl != ""
        assert named.mean() > 0.9
        for here, there in zip(mine.hkl[named], theirs.hkl[named], strict=True):
            assert family(here, tetragonal) == family(there, tetragonal)
        assert grain.a_nm == pytest.approx(truth["grains"].a_nm[0], rel=1e-3)


def test_the_right_phase_among_several():
    for phase in ("PbS", "Au", "Si", "CuInS2"):
        image, _ = crystal(phase, (0, 1, 1) if phase != "CuInS2" else (1, 1, 0),
                           shape=(400, 400), pixel_size_nm=0.025, contrast=0.4, rng=8)
        grains = lattice(image, phases=("PbS", "Au", "Si", "CuInS2", "MgO")).tables["grains"]
        assert grains.phase[0] == phase


def test_wrong_phase_leaves_it_unindexed():
    image, _ = crystal("PbS", (0, 1, 1), shape=(400, 400), contrast=0.4, rng=8)
    result = lattice(image, phases=("MgO",))
    assert (result.tables["reflections"].hkl == "").all()
    assert (result.tables["reflections"].phase == "").all()
    assert (result.tables["grains"].zone_axis == "").all()
    assert result.tables["reflections"].d_reference_nm.isna().all()
    assert not result.tables["grains"].ambiguous.any()
    assert result.tables["grains"].a_nm.isna().all()


def test_one_family_alone_is_ambiguous():
    """Of one row of spots the phase may fit, the zone stays unknown."""
    image, _ = crystal("PbS", (0, 1, 1), shape=(400, 400), rotation_deg=30.0, contrast=0.4, rng=8)
    result = lattice(image, phases=("PbS",), min_d_nm=0.25, max_d_nm=0.31)
    rows, grains = result.tables["reflections"], result.tables["grains"]
    assert len(rows) == 1
    assert rows.ambiguous.all()
    assert family(rows.hkl[0]) == (0, 0, 2)
    assert grains.ambiguous.all()
    assert (grains.zone_axis == "").all()
    assert grains.u_nm.isna().all()


def test_free_lattice_without_phases():
    image, truth = crystal("Au", (0, 1, 1), shape=(400, 400), rotation_deg=19.0, contrast=0.4,
                           rng=8)
    grain, true = lattice(image).tables["grains"].iloc[0], truth["grains"].iloc[0]
    assert (grain.u_nm, grain.v_nm) == pytest.approx((true.u_nm, true.v_nm), rel=1e-3)
    assert grain.uv_angle_deg == pytest.approx(true.uv_angle_deg, abs=0.2)
    assert grain.phase == ""


def test_unknown_phase_names_the_known():
    image, _ = crystal(shape=(64, 64))
    with pytest.raises(ParameterError, match="PbS"):
        lattice(image, phases=("Unobtainium",))


def test_phase_of_a_cif_file(tmp_path):
    cif = tmp_path / "my.cif"
    cif.write_text("""data_PbS
_cell_length_a 5.936
_cell_length_b 5.936
_cell_length_c 5.936
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Pb1 Pb 0 0 0
S1 S 0.5 0.5 0.5
""")
    image, _ = crystal("PbS", shape=(300, 300), rng=8)
    rows = lattice(image, phases=(str(cif),)).tables["reflections"]
    assert (rows.hkl != "").mean() > 0.9
    assert set(map(family, rows.hkl[rows.d_spacing_nm > 0.28])) == {(0, 0, 2)}
