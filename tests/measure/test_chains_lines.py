"""Wires, rods and chains whose dots are not resolved, drawn by hand where the truth is a curve."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

import emtools
from emtools import simulate
from emtools.measure.chains.ground import find_ground
from emtools.measure.chains.lines import measure_lines
from emtools.measure.chains.outline import sort_foreground
from emtools.model.image import plane_image
from emtools.process.plane import as_plane

SHAPE = (320, 320)


def distances(curve):
    """Distance of each pixel from a polyline, infinite beyond its flat ends."""
    at = np.stack(np.indices(SHAPE), axis=-1).astype(float)
    nearest = np.full(SHAPE, np.inf)
    for a, b in pairwise(np.asarray(curve, dtype=float)):
        along = (b - a) / np.hypot(*(b - a))
        t = (at - a) @ along
        inside = (t >= 0) & (t <= np.hypot(*(b - a)))
        across = np.abs((at - a) @ np.array([-along[1], along[0]]))
        nearest = np.where(inside, np.minimum(nearest, across), nearest)
    return nearest


def scene(*curves, width=10.0, blur=1.0, noise=0.05, height=1.0, ground=None, rng=0):
    """An image of cylinders along curves, bright on dark."""
    plane = np.zeros(SHAPE) if ground is None else ground.copy()
    for curve in curves:
        plane += height * np.sqrt(np.clip(1 - (distances(curve) / (width / 2)) ** 2, 0, None))
    plane = ndimage.gaussian_filter(plane, blur)
    plane += noise * np.random.default_rng(rng).standard_normal(SHAPE)
    return plane_image(plane.astype(np.float32))


def wires(image):
    """What the measurement finds, in pixels."""
    return emtools.chains(image, contrast="bright").tables["chains"]


def direct(image, widths=(6.0, 20.0)):
    """Lines and refused objects."""
    ground = find_ground(as_plane(image), "bright", widths, 1e-3)
    return measure_lines(ground, sort_foreground(ground, widths, 2.0))


def ray(centre, angle_deg, half):
    """A straight line through a centre."""
    along = np.array([np.sin(np.radians(angle_deg)), np.cos(np.radians(angle_deg))])
    return [np.asarray(centre) - half * along, np.asarray(centre) + half * along]


def arc(centre, radius, first_deg, last_deg):
    angle = np.radians(np.linspace(first_deg, last_deg, 181))
    return np.asarray(centre) + radius * np.stack([np.sin(angle), np.cos(angle)], axis=-1)


@pytest.mark.parametrize("changed", [
    {}, {"blur": 2.0}, {"height": 0.5}, {"noise": 0.15}, {"width": 16.0}, {"width": 7.0}])
def test_width_and_length_of_a_wire(changed):
    """No threshold: neither blur nor contrast nor noise moves the width."""
    table = wires(scene(ray((160, 160), 25.0, 110.0), **changed))
    true = changed.get("width", 10.0)
    assert len(table) == 1
    assert table.n_dots[0] == 0
    assert abs(table.width_px[0] / true - 1) < 0.02
    assert abs(table.length_px[0] / 220.0 - 1) < 0.005
    assert abs(table.width_px[0] - true) < 3 * table.width_err_px[0]
    assert abs(table.length_px[0] - 220.0) < 3 * table.length_err_px[0]


def test_axis_to_a_fraction_of_a_pixel():
    curve = arc((330.0, 160.0), 200.0, -120.0, -60.0)
    axes = emtools.chains(scene(curve), contrast="bright").tables["axes"]
    off = np.hypot(axes.y_px - 330.0, axes.x_px - 160.0) - 200.0
    inner = (axes.s_px > 10) & (axes.s_px < axes.s_px.max() - 10)
    assert np.abs(off[inner]).max() < 0.3
    assert np.sqrt(np.mean(off[inner] ** 2)) < 0.12


@pytest.mark.parametrize("angle", [32.0, 45.0, 90.0])
def test_wires_that_cross(angle):
    table = wires(scene(ray((160, 160), 20.0, 120.0), ray((160, 160), 20.0 + angle, 120.0)))
    assert len(table) == 2
    assert (table.n_crossings == 1).all()
    assert np.abs(table.length_px / 240.0 - 1).max() < 0.01
    assert np.abs(table.width_px / 10.0 - 1).max() < 0.02
    turn = abs(np.diff(table.orientation_deg)[0]) % 180
    assert min(turn, 180 - turn) == pytest.approx(angle, abs=1.0)


def test_a_fork_is_one_line_and_another_that_ends_there():
    table = wires(scene([(40, 160), (280, 160)], ray((160, 220), 0.0, 57.0)))
    assert len(table) == 2
    assert table.length_px.max() == pytest.approx(240.0, rel=0.01)
    assert table.length_px.min() == pytest.approx(115.0, rel=0.08)
    assert (table.n_crossings == 0).all()


def test_a_ring_is_one_line():
    table = wires(scene(arc((160.0, 160.0), 80.0, 0.0, 360.0)))
    assert len(table) == 1
    assert table.length_px[0] == pytest.approx(2 * np.pi * 80.0, rel=0.02)
    assert table.width_px[0] == pytest.approx(10.0, rel=0.02)


def test_a_textured_wire_is_no_row_of_dots():
    rng = np.random.default_rng(3)
    bright = ndimage.gaussian_filter(rng.standard_normal(SHAPE), 4.0)
    shape = np.sqrt(np.clip(1 - (distances(ray((160, 160), 25.0, 120.0)) / 6.0) ** 2, 0, None))
    plane = ndimage.gaussian_filter(shape * (1 + 0.12 * bright / bright.std()), 1.0)
    table = wires(plane_image((plane + 0.02 * rng.standard_normal(SHAPE)).astype(np.float32)))
    assert table.n_dots.tolist() == [0]
    assert table.width_px[0] == pytest.approx(12.0, rel=0.03)


def test_unresolved_chains_that_cross():
    """Dots so small that none can be fitted."""
    image, truth = simulate.chains(pixel_size_nm=1.5, shape=(500, 500), n_chains=5, crossings=3,
                                   n_dots=(25, 40), gap_nm=0.0, gap_std_nm=0.0, blur_nm=2.5,
                                   counts=400.0, rng=4)
    table = emtools.chains(image).tables["chains"]
    assert len(table) == len(truth["chains"])
    assert table.n_crossings.sum() == truth["chains"].n_crossings.sum()


def test_what_is_refused_has_a_reason():
    _, refused = direct(scene([(100, 160), (124, 160)], [(200, 60), (200, 260)]))
    lines, _ = direct(scene([(200, 60), (200, 260)]))
    assert len(lines) == 1
    assert all(one.reason for one in refused)


def test_an_edge_is_no_line():
    """A bright rim where a film begins."""
    step = np.zeros(SHAPE)
    step[:, 160:] = 0.7
    rim = 0.35 * (distances([(0, 162), (320, 162)]) < 4.0)
    lines, refused = direct(scene(ground=step + rim))
    assert not lines
    assert any("edge" in one.reason for one in refused)
