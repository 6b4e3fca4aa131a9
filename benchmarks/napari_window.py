"""How fast the plugin's window is, and whether it leaves anything behind; needs Xvfb.

Start-up with and without the plugin, the live transform, the wait of the window while something is
measured, and rounds of opening and closing everything beside those of bare napari.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
TESTS = REPOSITORY / "plugins" / "napari-emtools" / "tests"
PANELS = ("Lattice", "Chains", "EDX", "Attachment", "Spectrum", "Fourier transform", "Profile",
          "Correct", "Calibrate", "Table", "Batch", "Session", "Image")
_START = """
import importlib.metadata as metadata, sys, time
if sys.argv[1] == "without":
    every = metadata.distributions
    metadata.distributions = lambda **given: (
        one for one in every(**given) if one.metadata["Name"] != "napari-emtools")
start = time.perf_counter()
import napari
viewer = napari.Viewer(show=True)
from qtpy.QtWidgets import QApplication
QApplication.processEvents()
print(time.perf_counter() - start)
print(sorted({name.partition(".")[0] for name in sys.modules} & {
    "emtools", "napari_emtools", "hyperspy", "skimage"}), file=sys.stderr)
"""


def start_up(rounds: int) -> None:
    """Time until the window is there, in pairs of fresh processes."""
    took: dict[str, list[float]] = {"with": [], "without": []}
    loaded = ""
    for _ in range(rounds):
        for how, times in took.items():
            found = subprocess.run([sys.executable, "-c", _START, how], capture_output=True,
                                   text=True, check=True)
            times.append(float(found.stdout.split()[-1]))
            if how == "with":
                loaded = found.stderr.strip().splitlines()[-1]
    pairs = [a - b for a, b in zip(took["with"], took["without"], strict=True)]
    print(f"start-up of napari: {statistics.median(took['without']):.2f} s without the plugin, "
          f"{statistics.median(took['with']):.2f} s with it; median of {rounds} pairs: "
          f"{1e3 * statistics.median(pairs):+.0f} ms")
    print(f"of emtools, napari_emtools, hyperspy and skimage loaded by then: {loaded}")


def transform(window: object, sides: tuple[int, ...]) -> None:
    """From a rectangle that has moved to its transform on the screen."""
    import emtools

    rng = np.random.default_rng(0)
    y, x = np.indices((2048, 2048))
    values = np.cos(0.9 * y + 0.4 * x) + rng.normal(size=y.shape)
    image = emtools.model.image.plane_image(values.astype(np.float32), 0.02)
    from napari_emtools.shown import image_layer

    data, shown, _ = image_layer(image)
    window.viewer.add_image(data, **shown)
    panel = window.panel("Fourier transform")
    panel.draw_area()
    painted: list[float] = []
    panel.transform.canvas.events.draw.connect(lambda _: painted.append(time.perf_counter()))
    from qtpy.QtWidgets import QApplication

    for side in sides:
        times = []
        for i in range(25):
            corner = np.array([100.0 + 7 * i, 200.0 + 5 * i])
            window.settle(0.05)
            painted.clear()
            start = time.perf_counter()
            box = np.array([[0, 0], [0, side], [side, side], [side, 0]]) + corner
            panel._layer.data = [box]
            while not painted:
                QApplication.processEvents()
            times.append(painted[0] - start)
        own = []
        for _ in range(25):
            window.settle(0.05)
            painted.clear()
            start = time.perf_counter()
            panel.renew()
            while not painted:
                QApplication.processEvents()
            own.append(time.perf_counter() - start)
        print(f"live transform of {side} x {side} px: computed and painted in "
              f"{1e3 * statistics.median(own[3:]):.0f} ms (slowest {1e3 * max(own[3:]):.0f}); from "
              "the drag to the picture, with napari's own drawing of the rectangle, "
              f"{1e3 * statistics.median(times[3:]):.0f} ms")
    window.viewer.layers.clear()


def answers(window: object, sample: str, title: str) -> None:
    """Longest time that the window does not answer while something is measured."""
    from qtpy.QtWidgets import QApplication

    window.viewer.layers.clear()
    window.open(REPOSITORY / "sample_images" / sample)
    panel = window.panel(title)
    waits: list[float] = []
    for i in range(4):
        window.settle(1.0)  # whatever is new is painted
        panel.run()
        before = start = time.perf_counter()
        gaps = []
        while panel.work.running:
            QApplication.processEvents()
            now = time.perf_counter()
            gaps.append(now - before)
            before = now
            time.sleep(0.002)
        took = time.perf_counter() - start
        if i:  # kernels are compiled in the first
            waits += gaps[:-1]  # the last one makes the layers
            shown = gaps[-1]
    waits.sort()
    print(f"{title} of {sample} ({took:.1f} s): the window answers within "
          f"{1e3 * waits[-1]:.0f} ms (99 % within {1e3 * waits[int(0.99 * len(waits))]:.0f} ms); "
          f"its layers take {1e3 * shown:.0f} ms")


def rounds(n: int) -> None:
    """Open and close everything, and the same layers in napari alone."""
    import napari
    import psutil
    from napari.utils import _dask_utils
    from qtpy.QtWidgets import QApplication

    from conftest import SAMPLES, Window, close_all

    def read_blocks() -> Any:
        return _dask_utils._DASK_CACHE.cache

    process = psutil.Process()

    def ours() -> list[weakref.ref[object]]:
        viewer = napari.Viewer(show=True)
        window = Window(viewer)
        window.open(SAMPLES / "pbs_chains_detail.hspy")
        panels = [window.panel(title) for title in PANELS]
        panels[1].run()
        window.until(lambda: not panels[1].work.running)
        return [weakref.ref(one) for one in (viewer, *viewer.layers, *panels)]

    def bare() -> list[weakref.ref[object]]:
        viewer = napari.Viewer(show=True)
        window = Window(viewer)
        viewer.add_image(np.zeros((512, 512), np.float32))
        viewer.add_shapes([np.zeros((20, 2))] * 3, shape_type="path")
        viewer.add_points(np.zeros((30, 2)))
        viewer.add_points(np.zeros((30, 2)))
        window.settle()
        return [weakref.ref(one) for one in (viewer, *viewer.layers)]

    for name, work in (("all panels, a file, a measurement", ours), ("napari alone", bare)):
        kept, sizes, objects = 0, [], []
        for _ in range(n):
            refs = work()
            close_all()
            read_blocks().clear()  # napari keeps blocks of lazy images, up to a tenth of all memory
            gc.collect()
            kept += sum(one() is not None for one in refs)
            sizes.append(process.memory_info().rss / 1e6)
            objects.append(len(gc.get_objects()))
        half = n // 2
        print(f"{n} rounds of {name}: {kept} viewers, layers or panels left, "
              f"{len(QApplication.allWidgets())} widgets left; per round in the second half "
              f"{(sizes[-1] - sizes[half]) / (n - 1 - half):+.1f} MB, "
              f"{(objects[-1] - objects[half]) / (n - 1 - half):+.0f} objects")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--starts", type=int, default=7)
    given = parser.parse_args()
    if "DISPLAY" not in os.environ or not os.environ.get("EMTOOLS_DISPLAY"):
        raise SystemExit(subprocess.run(
            ["xvfb-run", "-a", "-s", "-screen 0 1920x1080x24", sys.executable, *sys.argv],
            env={**os.environ, "EMTOOLS_DISPLAY": "1", "NAPARI_CONFIG": "", "MPLBACKEND": "agg",
                 "QT_QPA_PLATFORM": "xcb"}, check=False).returncode)
    sys.path.insert(0, str(TESTS))
    start_up(given.starts)
    import napari

    from conftest import Window, close_all

    print(f"napari {napari.__version__}, {os.cpu_count()} cores, software OpenGL")
    window = Window(napari.Viewer(show=True))
    window.viewer.window._qt_window.resize(1280, 800)
    window.settle()
    transform(window, (256, 512, 1024))
    for sample, title in (("pbs_chains_overview.tif", "Chains"),
                          ("pbs_chain_lattice.hspy", "Lattice"), ("pbs_eds.hspy", "EDX")):
        answers(window, sample, title)
    del window
    close_all()
    rounds(given.rounds)


if __name__ == "__main__":
    main()
