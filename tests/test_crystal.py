"""Crystals against handbook values."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from emtools.crystal import cif_text, hkl_text, known_phases, phase, zone_axis
from emtools.errors import ParameterError, ReadError

# Handbook spacings in nm (docs of the project's reference values, and powder diffraction files).
HANDBOOK = [
    ("PbS", (1, 1, 1), 0.3427), ("PbS", (2, 0, 0), 0.2968), ("PbS", (2, 2, 0), 0.2099),
    ("CuInS2", (1, 1, 2), 0.3197), ("CuInS2", (2, 0, 4), 0.1960), ("CuInS2", (2, 2, 0), 0.1953),
    ("Au", (1, 1, 1), 0.2355), ("Au", (2, 0, 0), 0.2039),
    ("Si", (1, 1, 1), 0.3136), ("Si", (2, 2, 0), 0.1920), ("SrTiO3", (1, 1, 0), 0.2761),
    ("graphite", (0, 0, 2), 0.3356), ("MgO", (2, 0, 0), 0.2106), ("NaCl", (2, 0, 0), 0.2820),
    ("CdSe", (1, 0, 0), 0.3723), ("CdSe", (0, 0, 2), 0.3505), ("CdSe", (1, 0, 1), 0.3288),
    ("CdS", (1, 0, 0), 0.3583), ("CdS", (0, 0, 2), 0.3357),
    ("TiO2", (1, 0, 1), 0.3516), ("TiO2-rutile", (1, 1, 0), 0.3248), ("CeO2", (1, 1, 1), 0.3124),
    ("LaB6", (1, 0, 0), 0.41569), ("TlCl", (1, 0, 0), 0.3834), ("GaAs", (1, 1, 1), 0.3264),
]

ALLOWED_AND_ABSENT = [
    ("PbS", [(1, 1, 1), (2, 0, 0)], [(1, 0, 0), (1, 1, 0), (2, 1, 0), (2, 1, 1)]),
    ("Si", [(1, 1, 1), (2, 2, 0), (3, 1, 1)], [(2, 0, 0), (1, 0, 0), (2, 2, 2)]),
    ("GaAs", [(2, 0, 0)], [(1, 1, 0)]),
    ("CdSe", [(1, 0, 0), (0, 0, 2), (1, 0, 1)], [(0, 0, 1), (1, 1, 1), (0, 0, 3)]),
    ("graphite", [(0, 0, 2), (1, 0, 0), (1, 0, 1)], [(0, 0, 1), (0, 0, 3)]),
    ("CuInS2", [(1, 0, 1), (1, 1, 2), (0, 0, 4)], [(1, 0, 0), (0, 0, 2), (1, 1, 0)]),
    ("TiO2", [(1, 0, 1), (0, 0, 4)], [(0, 0, 2), (1, 1, 0)]),
    ("TiO2-rutile", [(1, 1, 0), (1, 0, 1)], [(1, 0, 0), (0, 0, 1)]),
    ("TlCl", [(1, 0, 0), (1, 1, 0)], []),
]


@pytest.mark.parametrize(("name", "hkl", "d_nm"), HANDBOOK)
def test_spacings_are_the_handbooks(name, hkl, d_nm):
    assert phase(name).d_spacing_nm(hkl) == pytest.approx(d_nm, abs=6e-5)


@pytest.mark.parametrize(("name", "allowed", "absent"), ALLOWED_AND_ABSENT)
@pytest.mark.parametrize("modality", ["TEM", "HAADF"])
def test_absences_follow_from_the_structure(name, allowed, absent, modality):
    listed = {tuple(hkl) for hkl in phase(name).reflections(0.08, modality).hkl.tolist()}
    assert listed.issuperset(allowed)
    assert not listed & set(absent)


@pytest.mark.parametrize(("modality", "ratio"), [("TEM", 0.46), ("SAED", 0.46), ("HAADF", 0.89)])
def test_pbs_111_is_weaker_than_200_as_the_modality_says(modality, ratio):
    families = {family.hkl: family.amplitude for family in phase("PbS").families(0.2, modality)}
    assert families[1, 1, 1] / families[2, 0, 0] == pytest.approx(ratio, abs=0.015)


def test_atoms_fill_the_cell():
    from emtools.crystal.scattering import unit_cell_atoms

    atoms = {"PbS": 8, "Si": 8, "CuInS2": 16, "CdS": 4, "graphite": 4, "TiO2": 12,
             "TiO2-rutile": 6, "SrTiO3": 5, "LaB6": 7, "CeO2": 12, "TlCl": 2, "Au": 4}
    for name, number in atoms.items():
        assert sum(len(positions) for _, positions in unit_cell_atoms(phase(name))) == number


def test_multiplicities_and_friedel_pairs():
    families = {family.hkl: family.multiplicity for family in phase("PbS").families(0.13)}
    assert families == {(1, 1, 1): 8, (2, 0, 0): 6, (2, 2, 0): 12, (3, 1, 1): 24, (2, 2, 2): 8,
                        (4, 0, 0): 6, (3, 3, 1): 24, (4, 2, 0): 24}
    everything = phase("CuInS2").reflections(0.1)
    mates = {tuple(hkl) for hkl in (-everything.hkl).tolist()}
    assert mates == {tuple(hkl) for hkl in everything.hkl.tolist()}


def test_zone_axis_is_the_reduced_cross_product():
    assert zone_axis((2, 0, 0), (0, 2, 0)) == (0, 0, 1)
    assert zone_axis((0, 2, 0), (2, 0, 0)) == (0, 0, 1)
    assert zone_axis((1, -1, 1), (0, 0, 2)) == (1, 1, 0)
    with pytest.raises(ParameterError):
        zone_axis((1, 1, 1), (2, 2, 2))


def test_zone_axes_are_one_of_each_kind():
    cubic = [(1, 0, 0), (1, 1, 0), (1, 1, 1), (2, 1, 0), (2, 1, 1), (2, 2, 1)]
    assert phase("PbS").zone_axes(2) == cubic
    assert (0, 0, 1) in phase("CdSe").zone_axes(1)
    assert (1, 0, 0) in phase("CdSe").zone_axes(1)
    assert len(phase("CuInS2").zone_axes(1)) == 5


@pytest.mark.parametrize("name", known_phases())
@pytest.mark.parametrize("axis", [(0, 0, 1), (1, 1, 0), (1, 1, 1), (2, 1, 0)])
def test_zone_vectors_lie_in_the_zone_and_keep_lengths_and_angles(name, axis):
    crystal = phase(name)
    zone = crystal.in_zone(axis, 0.1)
    assert np.all(zone.hkl @ np.array(axis) == 0)
    np.testing.assert_allclose(np.hypot(*zone.g_yx_per_nm.T), 1 / zone.d_nm, rtol=1e-12)
    g = crystal.g_vector(zone.hkl)
    np.testing.assert_allclose(zone.g_yx_per_nm @ zone.g_yx_per_nm.T, g @ g.T, atol=1e-9)


def test_screen_frame_is_right_handed_seen_from_the_viewer():
    # [001] towards the viewer, +x along a: +y up the screen is b, so 0 2 0 has a negative row.
    zone = phase("PbS").in_zone((0, 0, 1), 0.25)
    vectors = {hkl_text(hkl): g for hkl, g in zip(zone.hkl, zone.g_yx_per_nm, strict=True)}
    k = 1 / 0.2968
    np.testing.assert_allclose(vectors["2 0 0"], (0, k), atol=1e-12)
    np.testing.assert_allclose(vectors["0 2 0"], (-k, 0), atol=1e-12)


def test_screen_x_is_along_the_shortest_vector_of_the_zone():
    # Si [110]: 0 0 1 (absent, but shortest) points right, so {111} lie 54.7 degrees from it.
    zone = phase("Si").in_zone((1, 1, 0), 0.3)
    angles = np.degrees(np.arctan2(-zone.g_yx_per_nm[:, 0], zone.g_yx_per_nm[:, 1])) % 180
    np.testing.assert_allclose(sorted(set(angles.round(2))), [54.74, 125.26])


def test_projection_is_never_negative_in_haadf():
    zone = phase("CuInS2").in_zone((1, 1, 0), 0.03, "HAADF")
    rows = np.random.default_rng(0).uniform(0, 1, (50, 2))
    damped = zone.structure_factor * np.exp(-2 * np.pi**2 * 0.02**2 / zone.d_nm**2)
    image = 1 + (damped * np.exp(2j * np.pi * rows @ zone.g_yx_per_nm.T)).sum(axis=1)
    assert abs(image.imag).max() < 1e-9
    assert image.real.min() > -1e-3


@pytest.mark.parametrize("name", known_phases())
def test_every_phase_survives_a_cif_file(name, tmp_path):
    file = tmp_path / f"{name}.cif"
    file.write_text(cif_text(phase(name)), encoding="utf-8")
    again = phase(file)
    assert again.name == name
    assert again.cell == pytest.approx(phase(name).cell)
    first, second = phase(name).reflections(0.15), again.reflections(0.15)
    assert first.hkl.tolist() == second.hkl.tolist()
    np.testing.assert_allclose(first.amplitude, second.amplitude, atol=1e-6)


def test_displacements_weaken_high_orders(tmp_path):
    file = tmp_path / "hot.cif"
    text = cif_text(phase("Au")).replace(" 1 0\n", " 1 0.01\n")
    file.write_text(text, encoding="utf-8")
    hot, cold = phase(file), phase("Au")
    indices = [(4, 0, 0)]
    k2 = (4 / 0.4078) ** 2
    expected = np.exp(-2 * np.pi**2 * 1e-4 * k2)
    ratio = hot.structure_factors(indices, "TEM") / cold.structure_factors(indices, "TEM")
    assert ratio[0].real == pytest.approx(expected)


def test_unknown_names_and_bad_files_are_typed_errors(tmp_path):
    with pytest.raises(ParameterError, match="CuInS2"):
        phase("unobtainium")
    bad = tmp_path / "bad.cif"
    with pytest.raises(ReadError):
        phase(bad)  # not there
    for text in ("", "not a cif at all", "data_x\n_cell_length_a 5\n", "\x00\xff" * 40):
        bad.write_text(text, encoding="latin-1")
        with pytest.raises(ReadError, match=r"bad\.cif"):
            phase(bad)


def test_names_do_not_mind_case_and_phases_pass_through():
    assert phase("pbs") == phase("PbS")
    assert phase(phase("Au")) is phase("Au")
    assert all(phase(name).source for name in known_phases())
    required = {"PbS", "PbSe", "PbTe", "CuInS2", "CuInSe2", "CdS", "CdSe", "CdS-zb", "CdSe-zb",
                "ZnS", "Au", "Ag", "Pt", "Pd", "Cu", "Al", "Si", "Ge", "GaAs", "graphite", "MgO",
                "TiO2", "TiO2-rutile", "CeO2", "SrTiO3", "LaB6", "NaCl", "TlCl"}
    assert required <= set(known_phases())


def test_modality_and_spacing_are_checked():
    with pytest.raises(ParameterError):
        phase("Au").reflections(0.1, "XRD")
    with pytest.raises(ParameterError):
        phase("Au").reflections(0.0)
    with pytest.raises(ParameterError):
        phase("Au").in_zone((0, 0, 0), 0.1)


def test_import_does_not_load_gemmi():
    code = "import sys, emtools.crystal; sys.exit('gemmi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
