"""Strain of grains and its maps; regions given by the user; crystals on top of each other."""

from __future__ import annotations

import numpy as np
import pytest

from emtools import ParameterError, lattice
from emtools.model.image import plane_image
from emtools.simulate import Grain, crystal

PIXEL = 0.02


def layer(result, name):
    return next(data for data, options, _ in result.layers if options["name"] == name)


def fringes(displacement_y, displacement_x, turn=0.3, noise=0.5, seed=0):
    """Two crossing sets of fringes whose atoms are displaced by these fields, in nm."""
    n = displacement_x.shape[0]
    y, x = np.mgrid[:n, :n] * PIXEL
    y, x = y - displacement_y, x - displacement_x
    k = 1 / 0.2968
    image = np.random.default_rng(seed).normal(0.0, noise, (n, n))
    for angle in (turn, turn + np.pi / 2):
        image += np.cos(2 * np.pi * k * (np.cos(angle) * x - np.sin(angle) * y))
    return plane_image(image.astype(np.float32), PIXEL)


def test_two_phases_have_the_strain_of_their_cells():
    image, truth = crystal(shape=(512, 512), grains=(
        Grain("PbS", (0, 0, 1), 12.0, x_nm=-2.5), Grain("PbSe", (0, 0, 1), 15.0, x_nm=2.5)),
        contrast=0.4, rng=3)
    result = lattice(image, strain=True)
    rows, grains = result.tables["strain"], result.tables["grains"]
    assert len(rows) == len(grains) == 2
    cells = np.sort(truth["grains"].a_nm.to_numpy())
    other = rows.loc[rows.exx.abs().idxmax()]
    larger = grains.x_nm[grains.grain == other.grain].item() > 5.0
    wanted = cells[1] / cells[0] - 1 if larger else cells[0] / cells[1] - 1
    for name in ("exx", "eyy"):
        assert other[name] == pytest.approx(wanted, abs=max(4 * other[f"{name}_err"], 2e-4))
    assert other.exy == pytest.approx(0.0, abs=max(4 * other.exy_err, 2e-4))
    assert abs(other.rotation_deg) == pytest.approx(3.0, abs=0.05)
    assert (other.rotation_deg > 0) == larger
    reference = rows.loc[rows.exx.abs().idxmin()]
    assert (reference.exx, reference.exx_err) == pytest.approx((0.0, 0.0), abs=1e-9)


def test_strain_is_not_computed_unless_asked_for():
    image, _ = crystal(shape=(256, 256))
    result = lattice(image)
    assert len(result.tables["strain"]) == 0
    assert not any("strain" in options["name"] for _, options, _ in result.layers)


def test_map_of_a_strain_that_grows_along_x():
    """Displacement quadratic in x: the strain is linear, by 1 % from border to border."""
    n = 512
    x = np.arange(n) * PIXEL
    slope = 0.01 / x[-1]
    wanted = slope * (x - x.mean())
    displacement = np.tile(0.5 * slope * (x - x.mean()) ** 2, (n, 1))
    result = lattice(fringes(np.zeros((n, n)), displacement), strain=True)
    exx, err = layer(result, "strain exx"), layer(result, "strain exx err")
    step = n // exx.shape[1]
    middle = slice(exx.shape[0] // 4, 3 * exx.shape[0] // 4)
    seen, sigma = exx[middle, middle], err[middle, middle]
    truth = np.tile(wanted[::step], (len(seen), 1))[:, middle]
    known = np.isfinite(seen)
    assert known.mean() > 0.9
    pulls = ((seen - truth) / sigma)[known]
    assert np.abs(np.mean(seen[known] - truth[known])) < 3e-4
    assert 0.5 < np.std(pulls) < 1.6
    assert np.nanmax(np.abs(layer(result, "strain eyy")[middle, middle])) < 8 * np.nanmax(sigma)


def test_map_of_a_turn():
    """One half is turned by 0.6 degrees against the other: the map shows the sign and the size."""
    n = 512
    y, x = (np.mgrid[:n, :n] - n / 2) * PIXEL
    turn = np.where(x > 0, np.radians(0.6), 0.0)
    # Counter-clockwise on the screen, y downwards: x' = x + t y, y' = y - t x.
    result = lattice(fringes(-turn * x, turn * y, noise=0.3), strain=True,
                     strain_reference=x < -0.5)
    seen = layer(result, "strain rotation_deg")
    left = np.nanmedian(seen[:, : seen.shape[1] // 3])
    right = np.nanmedian(seen[:, 2 * seen.shape[1] // 3:])
    assert left == pytest.approx(0.0, abs=0.05)
    assert right == pytest.approx(0.6, abs=0.05)


def test_only_the_given_regions_are_measured():
    image, _ = crystal(shape=(512, 512), grains=(
        Grain("PbS", (0, 0, 1), 10.0, x_nm=-2.5), Grain("Au", (0, 0, 1), 38.0, x_nm=2.5)),
        contrast=0.4, rng=2)
    labels = np.zeros((512, 512), dtype=np.uint8)
    labels[100:400, 290:480] = 1
    only = lattice(image, regions=labels, phases=("PbS", "Au"))
    assert only.tables["grains"].phase.tolist() == ["Au"]
    assert only.tables["grains"].area_nm2[0] == pytest.approx(300 * 190 * PIXEL**2, rel=0.1)
    labels[100:400, 30:220] = 2
    both = lattice(image, regions=labels, phases=("PbS", "Au")).tables["grains"]
    assert both.phase.tolist() == ["Au", "PbS"]
    assert len(lattice(image, regions=np.zeros((512, 512), int)).tables["grains"]) == 0


@pytest.mark.parametrize("regions", [np.zeros((3, 3), int), np.zeros((256, 256))])
def test_regions_of_another_kind_are_refused(regions):
    image, _ = crystal(shape=(256, 256))
    with pytest.raises(ParameterError, match="regions"):
        lattice(image, regions=regions)


@pytest.mark.parametrize(("turn", "diameter"), [(12.0, None), (30.0, 6.0)])
def test_crystals_on_top_of_each_other_stay_two(turn, diameter):
    ideal = sum(np.asarray(crystal("PbS", rotation_deg=angle, particle_nm=diameter, counts=None,
                                   contrast=0.2, film=0.0)[0].data)
                for angle in (7.0, 7.0 + turn))
    noisy = np.random.default_rng(1).poisson(ideal / ideal.mean() * 60).astype(np.float32)
    grains = lattice(plane_image(noisy, PIXEL), phases=("PbS",)).tables["grains"]
    assert len(grains) == 2
    assert (grains.zone_axis == "1 0 0").all()
    apart = np.sort(grains.rotation_deg % 90.0)
    assert apart == pytest.approx(np.sort([7.0, (7.0 + turn) % 90.0]), abs=0.1)
