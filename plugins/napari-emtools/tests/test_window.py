"""The window as a whole: one unit, nothing left behind, nothing loaded before it is needed."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import SAMPLES, close_all

ROUNDS = int(os.environ.get("EMTOOLS_ROUNDS", "3"))  # the benchmark opens and closes 50 times
_STARTED = """
import sys
import napari
viewer = napari.Viewer(show=True)
print(sorted({name.partition(".")[0] for name in sys.modules}
             & {"emtools", "napari_emtools", "hyperspy", "matplotlib"}))
"""


def _titles() -> list[str]:
    from npe2 import PluginManifest

    contributed = PluginManifest.from_distribution("napari-emtools").contributions
    return [widget.display_name for widget in contributed.widgets]


@pytest.mark.parametrize("sample", ["pbs_chains_detail.hspy", "pbs_chains_uncalibrated.png",
                                    "pbs_eds.hspy"])
def test_every_panel_keeps_the_one_unit_of_the_viewer(window: Any, sample: str) -> None:
    window.open(SAMPLES / sample)
    unit = window.units()
    assert len(unit) == 1
    for title in _titles():
        panel = window.panel(title)
        for name in ("draw_line", "draw_area", "draw_region"):  # layers for the person to draw on
            if hasattr(panel, name) and getattr(panel.images, "image", None) is not None:
                getattr(panel, name)()
        window.settle()
        assert window.units() == unit, title


@pytest.mark.real
def test_diffraction_keeps_its_unit_with_every_panel(window: Any, real_data: Path) -> None:
    window.open(real_data / "openncem" / "Camera Ceta Diffraction Micro.emd")
    for title in _titles():
        window.panel(title)
        assert window.units() == {"1 / nanometer"}, title


def test_panels_say_what_to_do_in_an_empty_window(window: Any) -> None:
    for title in _titles():
        panel = window.panel(title)
        window.settle()
        assert panel.isVisible()


def test_a_window_frees_its_textures_in_its_own_context(window: Any) -> None:
    """Two windows share no textures: freed in the other's context, they crash its drawing."""
    from qtpy.QtGui import QOpenGLContext

    from napari_emtools.viewers import viewer_of

    def context(viewer: Any) -> QOpenGLContext:
        return viewer.window._qt_viewer.canvas.native.context()

    window.open(SAMPLES / "pbs_chains_detail.hspy")
    other = viewer_of("1/nm")
    window.settle()
    assert context(other) != context(window.viewer)
    other.window._qt_viewer.canvas.native.makeCurrent()
    assert QOpenGLContext.currentContext() == context(other)
    window.viewer.layers.clear()
    assert QOpenGLContext.currentContext() == context(window.viewer)


def test_nothing_is_left_of_a_closed_window() -> None:
    import napari
    from qtpy.QtWidgets import QApplication

    from conftest import Window

    counts: list[int] = []
    for _ in range(ROUNDS):
        viewer = napari.Viewer(show=True)
        window = Window(viewer)
        window.open(SAMPLES / "pbs_chains_detail.hspy")
        panels = [window.panel(title) for title in _titles()]
        chains = window.panel("Chains")
        chains.run()
        window.until(lambda panel=chains: not panel.work.running)
        left = [weakref.ref(one) for one in (viewer, *viewer.layers, *panels)]
        del viewer, window, panels, chains
        close_all()
        gc.collect()
        assert [one() for one in left if one() is not None] == []
        counts.append(len(QApplication.allWidgets()))
    assert counts[-1] <= counts[0]


def test_panel_that_is_closed_while_it_measures_is_gone(window: Any) -> None:
    window.open(SAMPLES / "pbs_chains_overview.tif")
    panel = window.panel("Chains")
    panel.run()
    left = weakref.ref(panel)
    window.viewer.window.remove_dock_widget(panel)
    del panel
    window.settle(1.5)
    gc.collect()
    assert left() is None
    assert len(window.viewer.layers) == 1


def test_opening_napari_loads_nothing_of_ours() -> None:
    said = subprocess.run([sys.executable, "-c", _STARTED], capture_output=True, text=True,
                          check=True).stdout
    assert said.strip().splitlines()[-1] == "[]"


def test_layers_of_other_programs_are_images_too(window: Any) -> None:
    window.viewer.add_image(np.random.default_rng(0).normal(size=(64, 64)), name="theirs")
    panel = window.panel("Lattice")
    assert panel.images.image.source.signal == "theirs"
    panel.run()
    window.until(lambda: not panel.work.running)
    assert "no" in panel.outcome.text()


def test_windows_close_and_open_while_threads_work() -> None:
    """Panels and whole viewers go while their threads report: nothing of them is touched then."""
    import napari

    from conftest import Window

    for _ in range(ROUNDS):
        viewer = napari.Viewer(show=True)
        window = Window(viewer)
        window.open(SAMPLES / "pbs_eds.hspy")
        for title in ("Spectrum", "Chains", "EDX"):  # the first begins by itself
            panel = window.panel(title)
            if title != "Spectrum":
                panel.run()
        window.settle(0.1)
        viewer.window.remove_dock_widget(panel)
        del panel, viewer, window
        close_all()
    Window(None).until(gc.isenabled)  # all threads have ended
