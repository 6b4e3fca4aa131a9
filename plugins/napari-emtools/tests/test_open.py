"""Files of all kinds in a real window: one layer for each signal, one unit for the whole viewer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import SAMPLES, real_data_folder

_SAMPLES = sorted(path for path in SAMPLES.iterdir()
                  if path.suffix in (".tif", ".hspy", ".emd", ".mrc", ".png"))


def _real_files() -> list[Path]:
    folder = real_data_folder()
    if folder is None:
        return []
    from emtools.io import find_files

    return find_files(folder).files


@pytest.mark.parametrize("path", _SAMPLES, ids=lambda path: path.name)
def test_each_sample_opens_as_it_is_calibrated(looking: Any, path: Path) -> None:
    import emtools
    from napari_emtools.shown import origin_of

    layers = looking.open(path)
    images = {image.source.signal: image for image in emtools.read(path)}
    assert len(layers) == len(images)
    assert len(looking.units()) == 1
    for layer in layers:
        image = images[origin_of(layer).image.source.signal]
        assert path.name in layer.name
        if image.calibration().unit == "nm":
            assert looking.units() == {"nanometer"}
            np.testing.assert_allclose(layer.scale, image.pixel_size("nm"))
        else:
            assert looking.units() == {"pixel"}
        low, high = layer.contrast_limits
        assert low < high
        values = np.asarray(layer.data)
        inside = (values > low) & (values < high)
        assert inside.mean() > 0.5 or image.has_axis("energy")


@pytest.mark.real
@pytest.mark.parametrize("path", _real_files() or [pytest.param(None, marks=pytest.mark.skip(
    reason="real microscope files not tested: set EMTOOLS_REAL_DATA"))],
    ids=lambda path: f"{path.parent.name}/{path.name}" if path else "absent")
def test_each_real_file_opens_or_says_why_not(
    looking: Any, told: list[str], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import emtools
    from emtools.errors import ReadError
    from napari_emtools.viewers import is_open, viewer_of

    try:
        images = emtools.read(path)
    except ReadError as error:
        with pytest.raises(ReadError, match=str(error)[:20].replace("(", ".").replace("[", ".")):
            looking.open(path)
        return
    monkeypatch.setattr(emtools, "read", lambda _: images)  # read once: some take seconds
    looking.open(path)
    assert len(looking.units()) <= 1
    pictures = [one for one in images if one.has_axis("x")]
    units = list(dict.fromkeys(one.calibration().unit if one.has_axis("y") else one.axis("x").unit
                               for one in pictures))
    here = [one for one in pictures
            if (one.calibration().unit if one.has_axis("y") else one.axis("x").unit) == units[0]]
    assert len(looking.viewer.layers) == len(here)
    for unit in units[1:]:
        other = viewer_of(unit)
        assert is_open(other)
        assert len(other.layers)
    if len(units) > 1 or len(pictures) < len(images):
        assert told  # what is not here is said


def test_read_error_is_told_with_the_readers_words(window: Any, tmp_path: Path) -> None:
    from emtools.errors import ReadError

    broken = tmp_path / "broken.dm4"
    broken.write_bytes(b"\0" * 100)
    with pytest.raises(ReadError, match=r"broken\.dm4"):
        window.open(broken)


def test_diffraction_goes_into_a_window_of_its_own(
    window: Any, told: list[str], real_data: Path
) -> None:
    from napari_emtools.viewers import viewer_of

    window.open(SAMPLES / "pbs_chains_overview.tif")
    window.open(real_data / "openncem" / "Camera Ceta Diffraction Micro.emd")
    assert window.units() == {"nanometer"}
    other = viewer_of("1/nm")
    assert {str(unit) for unit in other.layers[0].units} == {"1 / nanometer"}
    assert any("window of its own" in text for text in told)


def test_diffraction_stays_in_an_empty_window(looking: Any, real_data: Path) -> None:
    layer, = looking.open(real_data / "openncem" / "Camera Ceta Diffraction Micro.emd")
    assert looking.units() == {"1 / nanometer"}
    assert layer.gamma < 1


def test_stack_is_a_slider_and_stays_lazy(looking: Any, real_data: Path) -> None:
    layer, = looking.open(real_data / "rosettasciio/tia/old/03_Scanning Preview.emi")
    assert layer.ndim == 3
    assert not isinstance(layer.data, np.ndarray)
    assert looking.viewer.dims.nsteps[0] == 5
    assert tuple(layer.axis_labels) == ("frame", "y", "x")
    looking.viewer.dims.set_current_step(0, 3)
    panel = looking.panel("Chains")
    assert "frame 3" in panel.images.image.source.signal


def test_manifest_names_what_the_reader_opens_and_every_measurement() -> None:
    from npe2 import PluginManifest

    from emtools import measure
    from emtools.io import EXTENSIONS

    contributed = PluginManifest.from_distribution("napari-emtools").contributions
    patterns = set(contributed.readers[0].filename_patterns)
    opened = {f"*.{one}" for ending in EXTENSIONS for one in (ending, ending.upper())}
    assert patterns == opened | {"*.emtools"}
    commands = {widget.command.removeprefix("napari-emtools.") for widget in contributed.widgets}
    assert set(measure.names()) <= commands


@pytest.mark.parametrize("ending", ["tif", "hspy"])
def test_a_picture_is_saved_with_its_calibration(
    looking: Any, tmp_path: Path, ending: str
) -> None:
    import emtools

    layer, = looking.open(SAMPLES / "pbs_hrtem_001.mrc")
    written = layer.save(str(tmp_path / f"saved.{ending}"), plugin="napari-emtools")
    again = emtools.read_one(written[0])
    np.testing.assert_allclose(again.pixel_size("nm"), layer.scale, rtol=1e-6)
    np.testing.assert_array_equal(again.load(), np.asarray(layer.data))


def test_settings_of_sample_data(looking: Any) -> None:
    from npe2 import PluginManifest

    contributed = PluginManifest.from_distribution("napari-emtools").contributions
    for sample in contributed.sample_data:
        looking.viewer.layers.clear()
        looking.viewer.open_sample("napari-emtools", sample.key)
        looking.settle()
        assert len(looking.viewer.layers), sample.key


def test_read_error_of_a_dropped_file_is_a_notification(
    window: Any, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is dropped: whatever its slot raises is notified, as napari does once it runs."""
    import sys

    from napari.utils.notifications import notification_manager
    from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
    from qtpy.QtGui import QDropEvent

    broken = tmp_path / "broken.dm4"
    broken.write_bytes(b"\0" * 100)
    monkeypatch.setattr(sys, "excepthook", notification_manager.receive_error)
    files = QMimeData()
    files.setUrls([QUrl.fromLocalFile(str(broken))])
    event = QDropEvent(QPointF(50, 50), Qt.DropAction.CopyAction, files,
                       Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    try:
        window.viewer.window._qt_viewer.dropEvent(event)
    except Exception:
        sys.excepthook(*sys.exc_info())
    window.settle()
    assert any("broken.dm4" in text and "damaged" in text for text in told)
    assert not len(window.viewer.layers)


def test_large_spectrum_image_is_summed_beside_the_window(
    window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layer is there at once, and its pixels come from a thread."""
    import threading

    from napari_emtools import shown
    from napari_emtools.shown import origin_of, sum_of

    seen = threading.Event()

    def slowly(image: Any) -> np.ndarray[Any, Any]:
        assert seen.wait(60.0)
        return sum_of(image)

    monkeypatch.setattr(shown, "_SUMMED_AT_ONCE", 1.0)
    monkeypatch.setattr(shown, "sum_of", slowly)
    layers = window.viewer.open(str(SAMPLES / "pbs_eds.hspy"), plugin="napari-emtools")
    layer = next(one for one in layers if origin_of(one).image.has_axis("energy"))
    assert origin_of(layer).waits
    assert not np.asarray(layer.data).any()
    seen.set()
    window.until(lambda: not origin_of(layer).waits)
    np.testing.assert_array_equal(layer.data, sum_of(origin_of(layer).image))
