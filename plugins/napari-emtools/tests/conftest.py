"""A real viewer window under a virtual display, and the folders with files."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPOSITORY = Path(__file__).resolve().parents[3]
SAMPLES = REPOSITORY / "sample_images"
_SOON_S, _LATE_S = 0.005, 0.15  # between two looks whether something is done


def real_data_folder() -> Path | None:
    """The folder with real microscope files and their catalogue, or None where it is absent."""
    named = os.environ.get("EMTOOLS_REAL_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    return folder if (folder / "catalog.json").is_file() else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real microscope files."""
    folder = real_data_folder()
    if folder is None:
        pytest.skip("real microscope files not tested: set EMTOOLS_REAL_DATA")
    return folder


@pytest.fixture(scope="session", autouse=True)
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A virtual screen of 1920 x 1080, unless EMTOOLS_SHOW asks for the real one."""
    os.environ["NAPARI_CONFIG"] = ""  # settings of the user are neither read nor written
    os.environ["MPLBACKEND"] = "agg"
    if os.environ.get("EMTOOLS_SHOW"):
        yield
        return
    if shutil.which("Xvfb") is None:
        pytest.skip("no virtual display: install Xvfb (see tests/install_system_packages.sh)")
    read, write = os.pipe()
    screen = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1920x1080x24", "-nolisten", "tcp"],
        pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as answer:
        number = answer.readline().strip()
    assert number, "Xvfb did not start"
    os.environ["DISPLAY"] = f":{number}"
    os.environ["QT_QPA_PLATFORM"] = "xcb"
    yield
    screen.terminate()
    screen.wait()


@cache
def measured_once(sample: str, name: str, parameters: tuple[tuple[str, Any], ...]) -> Any:
    """What a measurement finds in a sample image."""
    import emtools
    from emtools.measure import Run, load

    images = emtools.read(SAMPLES / sample)
    image = next(one for one in images if load(name).why_not(one) is None)
    return Run(image, {name: dict(parameters)}, (), tuple(images)).result(name)


class Window:
    """A viewer with its window, and the patience that tests need."""

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer

    def panel(self, title: str) -> Any:
        """Open a panel from the menu."""
        from napari_emtools.panels import opened

        panel = opened(self.viewer, title)
        self.settle()
        return panel

    def open(self, path: Path | str) -> list[Any]:
        """Open a file as the menu does, with our reader."""
        layers = self.viewer.open(str(path), plugin="napari-emtools")
        self.settle()
        return layers

    def found(self, sample: str, name: str = "chains", **parameters: Any) -> Any:
        """Open a sample with what is found in it; it is measured once for all tests."""
        from emtools.measure import load
        from napari_emtools.desk import desk_of
        from napari_emtools.shown import origin_of

        layers = self.open(SAMPLES / sample)
        image = next(one for layer in layers if (origin := origin_of(layer)) is not None
                     and load(name).why_not(one := origin.image) is None)
        result = measured_once(sample, name, tuple(parameters.items()))
        finding = desk_of(self.viewer).put(image, result, parameters)
        self.settle()
        return finding

    def settle(self, seconds: float = 0.0) -> None:
        """Let the window do what waits to be done."""
        from qtpy.QtWidgets import QApplication

        end = time.monotonic() + seconds
        while True:
            QApplication.processEvents()
            if time.monotonic() >= end:
                break
            time.sleep(0.005)

    def until(self, done: Callable[[], bool], seconds: float = 150.0) -> None:
        """Wait until something is the case; looking all the time would slow down what works."""
        end, pause = time.monotonic() + seconds, _SOON_S
        while not done():
            assert time.monotonic() < end, "waited in vain"
            self.settle()
            time.sleep(pause)
            pause = min(1.5 * pause, _LATE_S)
        self.settle()

    def units(self) -> set[str]:
        """Units of the planes of all layers."""
        return {str(unit) for layer in self.viewer.layers for unit in layer.units[-2:]}


@pytest.fixture
def window() -> Iterator[Window]:
    """A shown viewer, closed after the test."""
    if _for_looking:
        _for_looking.clear()
        close_all()
    yield shown()
    close_all()


_for_looking: list[Window] = []


@pytest.fixture
def looking() -> Iterator[Window]:
    """A viewer that tests share which only open files and look; it is empty again after each."""
    from napari_emtools.viewers import is_open

    if not _for_looking or not is_open(_for_looking[0].viewer):
        _for_looking[:] = [shown()]
    one, = _for_looking
    yield one
    _empty(one)


def _empty(one: Window) -> None:
    from napari._qt.qt_main_window import _QtMainWindow

    from napari_emtools.desk import desk_of
    from napari_emtools.panels.base import Panel

    own = one.viewer.window._qt_window
    for main in list(_QtMainWindow._instances):
        if main is not own:
            main._qt_viewer.viewer.close()
    for panel in own.findChildren(Panel):
        one.viewer.window.remove_dock_widget(panel)
    one.viewer.layers.clear()
    desk_of(one.viewer).spectra.clear()
    one.settle()


def shown() -> Window:
    """Show a viewer as small as a notebook's screen."""
    import napari

    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(1280, 800)
    one = Window(viewer)
    one.settle()
    return one


def close_all() -> None:
    """Close every viewer."""
    from napari._qt.qt_main_window import _QtMainWindow
    from qtpy.QtWidgets import QApplication

    for main in list(_QtMainWindow._instances):
        with contextlib.suppress(RuntimeError):
            main._qt_viewer.viewer.close()
    for _ in range(5):
        QApplication.sendPostedEvents(None, 52)  # deferred deletion
        QApplication.processEvents()
    gc.collect()


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What is notified."""
    from napari.utils.notifications import notification_manager

    messages: list[str] = []

    def take(notification: Any) -> None:
        messages.append(str(notification.message))

    notification_manager.notification_ready.connect(take)
    yield messages
    notification_manager.notification_ready.disconnect(take)
