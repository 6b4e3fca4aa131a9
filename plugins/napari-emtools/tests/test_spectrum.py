"""Spectra in the window: of a drawn region, maps of windows and elements, along a chain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from conftest import SAMPLES


@pytest.fixture
def panel(window: Any) -> Any:
    window.open(SAMPLES / "pbs_eds.hspy")
    panel = window.panel("Spectrum")
    window.until(lambda: not panel.work.running)
    return panel


def _drawn(window: Any, panel: Any, corners: Any) -> None:
    panel.draw_region()
    panel._layer.add_rectangles(np.array(corners))
    window.settle(0.2)
    window.until(lambda: not panel.work.running)


def test_spectrum_is_of_the_region_that_is_drawn(window: Any, panel: Any) -> None:
    whole = panel.spectrum.load().sum()
    image = panel.images.image
    assert whole == np.asarray(image.data).sum()
    _drawn(window, panel, [[9.5, 4.5], [9.5, 39.5], [29.5, 39.5], [29.5, 4.5]])
    inside = np.asarray(image.data)[10:30, 5:40].sum()
    assert panel.spectrum.load().sum() == pytest.approx(inside, rel=0.05)
    assert len(panel.figure.axes[0].lines)
    assert "at.%" in panel.text.toPlainText()
    panel.whole()
    window.until(lambda: not panel.work.running)
    assert panel.spectrum.load().sum() == whole
    assert window.units() == {"nanometer"}


def test_map_follows_the_window_in_the_spectrum(window: Any, panel: Any) -> None:
    from napari_emtools.panels.spectrum import MAP

    axes = panel.figure.axes[0]
    window.settle(0.1)
    for low, high in ((2.2, 2.5), (9.0, 11.0)):  # as a mouse drags it
        (x0, y), (x1, _) = (axes.transData.transform((one, 10.0)) for one in (low, high))
        for name, x in (("button_press_event", x0), ("motion_notify_event", x1),
                        ("button_release_event", x1)):
            _mouse(panel.canvas, name, x, y)
        window.settle(0.2)
        window.until(lambda: not panel.mapping.running and not panel._map_later.isActive())
    layers = [one for one in window.viewer.layers if one.metadata.get("layer") == MAP]
    assert len(layers) == 1
    energy = panel.images.image.axis("energy")
    at = energy.offset + energy.pixel_size * np.arange(energy.size)
    inside = (at >= panel.energies[0]) & (at < panel.energies[1])
    np.testing.assert_allclose(layers[0].data,
                               np.asarray(panel.images.image.data)[..., inside].sum(-1))
    assert panel.energies == pytest.approx((9.0, 11.0), abs=0.2)


def _mouse(canvas: Any, name: str, x: float, y: float) -> None:
    from matplotlib.backend_bases import MouseButton, MouseEvent

    event = MouseEvent(name, canvas, x, y, MouseButton.LEFT,
                       buttons={MouseButton.LEFT} if "motion" in name else None)
    canvas.callbacks.process(name, event)


def test_elements_are_normalised_as_asked(window: Any, panel: Any) -> None:
    panel.elements.setText("Pb, S")
    panel.renew()
    window.until(lambda: not panel.work.running)
    table = panel.result.tables["composition"]
    assert table["atomic_percent"].sum() == pytest.approx(100)


def test_wrong_element_is_told(window: Any, panel: Any, told: list[str]) -> None:
    panel.elements.setText("Xx")
    panel.renew()
    window.until(lambda: not panel.work.running)
    assert any("Xx" in text for text in told)


def test_single_spectrum_opens_in_the_panel(window: Any, told: list[str], tmp_path: Any) -> None:
    import emtools
    from emtools.process.spectra import region_spectrum

    image = next(one for one in emtools.read(SAMPLES / "pbs_eds.hspy") if one.has_axis("energy"))
    region_spectrum(image).to_hyperspy().save(tmp_path / "one.hspy")
    window.viewer.open(str(tmp_path / "one.hspy"), plugin="napari-emtools")
    window.settle()
    assert any("Spectrum" in text for text in told)
    panel = window.panel("Spectrum")
    window.until(lambda: not panel.work.running)
    assert panel.spectrum.load().sum() == pytest.approx(np.asarray(image.data).sum())
    eds = window.panel("EDX")
    assert eds.images.image is not None
    eds.run()
    window.until(lambda: not eds.work.running)
    assert "Pb" in eds.outcome.text()


def test_element_maps_on_demand_stay_when_measured_again(window: Any) -> None:
    from napari_emtools.desk import desk_of

    window.open(SAMPLES / "pbs_eds.hspy")
    panel = window.panel("EDX")
    panel.editors["elements"].setText("Pb, S")
    panel.run()
    window.until(lambda: not panel.work.running)
    before = len(window.viewer.layers)
    panel.maps.setCurrentText("S Ka")
    panel.map_button.click()
    panel.map_button.click()
    assert len(window.viewer.layers) == before + 1
    panel.editors["elements"].setText("Pb, S, Cu")
    panel.run()
    window.until(lambda: not panel.work.running)
    found = desk_of(window.viewer).of(panel.images.image, "eds").result
    layer = next(one for one in window.viewer.layers if one.name.startswith("S Ka"))
    np.testing.assert_array_equal(layer.data, next(
        data for data, core, _ in found.layers if core["name"] == "S Ka"))
    assert window.units() == {"nanometer"}


def test_composition_stands_beneath_the_straightened_chain(window: Any) -> None:
    window.found("pbs_eds.hspy")
    eds = window.panel("EDX")
    eds.run()
    window.until(lambda: not eds.work.running)
    profile = window.panel("Profile")
    profile.images.choose(next(one for one in profile.desk.images()
                               if one.source.signal == "HAADF"))
    profile.along.setCurrentIndex(1)
    profile.renew()
    window.settle()
    assert profile.composition.isVisible()
    assert profile.composition.pixmap().height() > profile.strip.pixmap().height()
    assert profile.composition.width() <= profile.strip_area.viewport().width()


def test_panels_are_tabs_in_a_small_window(window: Any) -> None:
    for title in ("Lattice", "Chains", "EDX", "Spectrum", "Fourier transform", "Correct", "Table"):
        panel = window.panel(title)
        assert panel.isVisible()
    main = window.viewer.window._qt_window
    assert (main.width(), main.height()) == (1280, 800)
