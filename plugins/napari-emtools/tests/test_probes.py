"""The transform that follows a rectangle, spots that are clicked, profiles, calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from conftest import SAMPLES


def _k(d_nm: float, angle_deg: float) -> np.ndarray[Any, Any]:
    angle = np.radians(angle_deg)
    return np.array([-np.sin(angle), np.cos(angle)]) / d_nm


def _click(window: Any, panel: Any, k: np.ndarray[Any, Any]) -> None:
    """Press and release the mouse on the canvas where a wave vector lies."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    x, y = panel.transform.pos_of(k)
    QTest.mouseClick(panel.transform.native, Qt.MouseButton.LeftButton,
                     Qt.KeyboardModifier.NoModifier, QPoint(round(x), round(y)))
    window.until(lambda: not panel.work.running)


def test_transform_follows_the_rectangle(window: Any) -> None:
    layer, = window.open(SAMPLES / "pbs_hrtem_001.mrc")
    panel = window.panel("Fourier transform")
    panel.draw_area()
    window.settle(0.1)
    first = panel.area
    area = panel._layer
    area.data = [np.asarray(area.data[0]) + np.array([40.0, -30.0])]
    window.settle(0.1)
    assert panel.area == (first[0] + 40, first[1] - 30, first[2] + 40, first[3] - 30)
    step = panel.transform.transform.plane_axes[0].pixel_size
    np.testing.assert_allclose(step, 1 / ((first[2] - first[0]) * layer.scale[0]))
    assert panel.transform.transform.plane_axes[0].unit == "1/nm"
    assert window.units() == {"nanometer"}  # the transform is on a canvas of its own


def test_clicked_spots_give_planes_and_zone_axis(window: Any) -> None:
    window.open(SAMPLES / "pbs_hrtem_001.mrc")
    panel = window.panel("Fourier transform")
    panel.phases.setText("PbS, CuInS2")
    panel.draw_area()
    window.settle(0.2)
    panel.transform.nearer(7.0)
    window.settle(0.2)
    _click(window, panel, _k(0.2968, 12.5))
    _click(window, panel, _k(0.2099, 57.5))
    first, second = panel.spots
    assert abs(first.d_spacing.value - 0.2968) < 4 * first.d_spacing.err
    assert abs(second.angle.value - 57.5) < 4 * second.angle.err
    said = panel.text.toPlainText()
    assert "PbS" in said
    assert "2 0 0" in said
    assert "1 0 0" in said  # the zone axis, one of <100>
    panel.filter()
    window.until(lambda: not panel.work.running)
    filtered = next(one for one in window.viewer.layers if one.name.startswith("Bragg"))
    assert np.asarray(filtered.data).std() > 0
    count = len(window.viewer.layers)
    panel.filter()
    window.until(lambda: not panel.work.running)
    assert len(window.viewer.layers) == count
    assert window.units() == {"nanometer"}


def test_click_on_nothing_is_no_spot(window: Any) -> None:
    window.open(SAMPLES / "pbs_hrtem_001.mrc")
    panel = window.panel("Fourier transform")
    panel.pick(np.array([9.3, 7.1]))
    window.until(lambda: not panel.work.running)
    assert not panel.spots
    assert panel.said.text().startswith("no spot")


def test_rings_of_phases(window: Any) -> None:
    window.open(SAMPLES / "pbs_hrtem_001.mrc")
    panel = window.panel("Fourier transform")
    panel.phases.setText("PbS")
    panel.draw_rings()
    assert panel.transform._rings.visible
    panel.phases.setText("")
    panel.draw_rings()
    assert not panel.transform._rings.visible


def test_profile_along_a_drawn_line_and_along_a_chain(window: Any) -> None:
    axes = window.found("pbs_chains_detail.hspy").result.tables
    layer = window.viewer.layers[0]
    panel = window.panel("Profile")
    dots = axes["dots"][axes["dots"]["chain"] == 1]
    ends = dots[["y_nm", "x_nm"]].to_numpy()[[1, 3]]
    panel.draw_line()
    panel._layer.add_lines([ends / layer.scale])
    window.settle(0.2)
    length = float(np.hypot(*np.diff(ends, axis=0)[0]))
    assert abs(panel.profile.length - length) < 2 * layer.scale[0]
    assert panel.bodies or panel.bodies.reason
    panel.along.setCurrentIndex(panel.along.findText("chain 1"))
    panel.renew()
    window.settle()
    assert panel.strip.pixmap().width() > 100
    assert window.units() == {"nanometer"}


def test_known_distance_calibrates_and_is_saved(window: Any, tmp_path: Path) -> None:
    from emtools.cli.recipes import read_recipe

    window.found("pbs_chains_uncalibrated.png")
    chains = window.panel("Chains")
    panel = window.panel("Calibrate")
    panel.draw_line()
    panel._layer.add_lines([np.array([[100.0, 100.0], [100.0, 300.0]])])
    panel.length.setValue(100.0)
    panel.with_distance()
    window.settle()
    assert window.units() == {"nanometer"}
    image = panel.images.image
    np.testing.assert_allclose(image.pixel_size("nm"), 0.5)
    assert image.calibration().scale_err > 0
    assert chains.desk.of(image, "chains") is None  # in pixels: it goes
    panel.save(str(tmp_path / "recipe.toml"))
    assert read_recipe(tmp_path / "recipe.toml").pixel_size_nm == 0.5
    chains.run()
    window.until(lambda: not chains.work.running)
    assert chains.desk.of(image, "chains").result.summary["unit"] == "nm"


def test_crystal_calibrates_all_and_is_saved(window: Any, tmp_path: Path) -> None:
    from emtools import InstrumentCalibration

    layer, = window.open(SAMPLES / "pbs_hrtem_001.mrc")
    before = tuple(layer.scale)
    panel = window.panel("Calibrate")
    panel.phase.setText("PbS")
    panel.with_crystal()
    window.until(lambda: not panel.work.running)
    assert panel.calibration is not None
    np.testing.assert_allclose(layer.scale, before, rtol=0.01)
    assert tuple(layer.scale) != before
    panel.save(str(tmp_path / "c.toml"))
    assert InstrumentCalibration.read(tmp_path / "c.toml").phase == "PbS"


def test_what_is_known_of_an_image_is_readable(window: Any) -> None:
    window.open(SAMPLES / "pbs_eds.hspy")
    panel = window.panel("Image")
    said = panel.text.toPlainText()
    assert "pbs_eds.hspy" in said
    assert "keV" in said or "nm" in said
    assert panel.tree.topLevelItemCount()
    panel.filter.setText("no such key anywhere")
    assert all(panel.tree.topLevelItem(i).isHidden()
               for i in range(panel.tree.topLevelItemCount()))


def test_found_spots_of_lattices_lie_on_bright_spots(window: Any) -> None:
    window.found("pbs_hrtem_001.mrc", "lattice")
    panel = window.panel("Fourier transform")
    panel.toggle_found()
    from napari_emtools.found import reciprocal_places

    found = reciprocal_places(panel.desk.of(panel.images.image, "lattice").result)
    assert len(found) > 3
    transform = panel.transform.transform
    middle = [axis.size // 2 for axis in transform.plane_axes]
    values = np.asarray(transform.data)
    at = np.rint(transform.calibration().pixels(found)).astype(int) + middle
    near = [values[y - 2:y + 3, x - 2:x + 3].max() for y, x in at]
    assert np.median(near) > 20 * np.median(values)
    assert panel.transform._found.visible
    panel.toggle_found()
    assert not panel.transform._found.visible


def test_rectangle_is_dragged_with_the_mouse_and_its_transform_follows(window: Any) -> None:
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    from napari_emtools.viewers import camera

    layer, = window.open(SAMPLES / "pbs_hrtem_001.mrc")
    panel = window.panel("Fourier transform")
    panel.draw_area()
    window.settle(0.3)
    canvas = window.viewer.window._qt_viewer.canvas.native
    view, first = camera(window.viewer), panel.area
    inside = (np.asarray(panel._layer.data[0]).mean(axis=0) + 10) * layer.scale
    y, x = np.array([canvas.height(), canvas.width()]) / 2 \
        + (inside - np.array(view.center[-2:])) * view.zoom
    button, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    seen = []
    QTest.mousePress(canvas, button, none, QPoint(round(x), round(y)))
    for step in range(1, 6):
        QTest.mouseMove(canvas, QPoint(round(x) + 8 * step, round(y) - 6 * step))
        window.settle(0.1)
        seen.append(panel.transform.transform)
    QTest.mouseRelease(canvas, button, none, QPoint(round(x) + 40, round(y) - 30))
    window.settle(0.1)
    moved = np.array([-30, 40]) / view.zoom / layer.scale  # a pixel of the screen is not one
    np.testing.assert_allclose(np.subtract(panel.area[:2], first[:2]), moved, atol=2)
    assert len({id(one) for one in seen}) >= 4  # while the button is down


def test_contrast_images_are_layers_beside_the_image(window: Any) -> None:
    window.open(SAMPLES / "pbs_chains_detail.hspy")
    panel = window.panel("Contrast")
    before = {layer.name for layer in window.viewer.layers}
    panel.run()
    window.until(lambda: not panel.work.running)
    made = next(one for one in window.viewer.layers if one.name not in before)
    assert made.name.startswith("amplitude contrast")
    assert window.units() == {"nanometer"}
    np.testing.assert_allclose(made.scale, window.viewer.layers[0].scale)
    assert "amplitude_contrast" in panel.said.text()
    panel.run()
    window.until(lambda: not panel.work.running)
    assert len(window.viewer.layers) == len(before) + 1
    panel.steps.setCurrentIndex(panel.steps.findData("false_colour"))
    panel.editors["false_colour"]["colours"][1].setCurrentText("magma")
    panel.run()
    window.until(lambda: not panel.work.running)
    assert window.viewer.layers[-1].rgb or any(one.rgb for one in window.viewer.layers
                                               if hasattr(one, "rgb"))
    panel.steps.setCurrentIndex(panel.steps.findData("bragg_filter"))
    panel.run()
    assert "Measure the lattice" in panel.said.text()


def test_bragg_filter_of_a_measured_lattice(window: Any) -> None:
    finding = window.found("pbs_hrtem_001.mrc", "lattice", phases=("PbS",))
    panel = window.panel("Contrast")
    panel.images.choose(finding.image)
    panel.steps.setCurrentIndex(panel.steps.findData("bragg_filter"))
    panel.editors["bragg_filter"]["radius_per_nm"][1].setText("none")
    panel.run()
    assert "radius" in panel.said.text()
    panel.editors["bragg_filter"]["radius_per_nm"][1].setText("0.5")
    panel.run()
    window.until(lambda: not panel.work.running)
    made = next(one for one in window.viewer.layers if one.name.startswith("bragg filter"))
    assert np.ptp(made.data) > 0
