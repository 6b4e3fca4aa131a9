"""Pictures of every panel of the napari plugin, in a real window under Xvfb."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "plugins" / "napari-emtools" / "tests"))

_EXACT = 96  # colours of a picture that are kept as they are


class Tour:
    """Opens what a person would, and takes a picture of the window after each step.

    Parameters
    ----------
    folder
        For the pictures.
    size
        Of the window.
    theme
        ``dark`` or ``light``.
    """

    def __init__(self, folder: Path, size: tuple[int, int], theme: str) -> None:
        self.folder, self.size, self.theme = folder, size, theme
        folder.mkdir(parents=True, exist_ok=True)
        self.window: Any = None

    def begin(self, *samples: str) -> None:
        """Open a window with sample images."""
        import napari

        from conftest import SAMPLES, Window, close_all

        self.window = None
        close_all()
        viewer = napari.Viewer(show=True)
        viewer.theme = self.theme
        viewer.window._qt_window.resize(*self.size)
        self.window = Window(viewer)
        self.window.settle(0.3)
        for sample in samples:  # a short path: it is in the pictures
            self.window.open(SAMPLES.relative_to(REPOSITORY) / sample)
        viewer.reset_view()

    def panel(self, title: str) -> Any:
        """Open a panel."""
        return self.window.panel(title)

    def run(self, title: str, **texts: str) -> Any:
        """Measure with a panel."""
        panel = self.panel(title)
        for name, text in texts.items():
            panel.editors[name].setText(text)
        panel.run()
        self.wait(panel)
        return panel

    def wait(self, panel: Any) -> None:
        """Wait until the work of a panel is done."""
        self.window.settle(0.2)
        self.window.until(lambda: not panel.work.running)

    def take(self, name: str) -> None:
        """Take a picture of the window, in few colours: it is small, and looks the same."""
        import imageio.v3 as imageio
        self.window.settle(0.6)
        pixels = self.window.viewer.window.screenshot(canvas_only=False, flash=False)
        path = self.folder / f"napari_{name}.png"
        in_few_colours(np.asarray(pixels)[..., :3]).save(path, optimize=True)
        assert imageio.improps(path).shape[:2] == self.size[::-1], "the window has grown"
        print(path)


def in_few_colours(pixels: np.ndarray[Any, Any]) -> Any:
    """Return a picture of 256 colours: those of the window as they are, the image's nearly so."""
    from PIL import Image

    picture = Image.fromarray(pixels)
    colours, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    often = colours[np.argsort(counts)[::-1][:_EXACT]]
    left = 256 - len(often)
    rest = picture.quantize(left, method=Image.Quantize.MAXCOVERAGE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*often.ravel().tolist(), *rest[:3 * left]])
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


def chains(tour: Tour) -> None:
    """Chains, their table, and a correction."""
    from napari_emtools.panels.table import show_object

    tour.begin("pbs_chains_detail.hspy")
    panel = tour.run("Chains")
    tour.window.viewer.reset_view()
    tour.take("chains")
    table = tour.panel("Table")
    finding = panel.desk.of(panel.images.image, "chains")
    table.take(panel.images.image, "chains")
    table.choose_row(1)
    show_object(tour.window.viewer, finding, "chains", 1)
    tour.take("table")
    tour.window.viewer.reset_view()
    correct = tour.panel("Correct")
    correct._layers["chains"].selected_data = {2}
    correct.mark("rejected")
    tour.wait(correct)
    correct._layers["chains"].selected_data = {1}
    correct.delete("chains")
    tour.wait(correct)
    tour.take("correct")


def lattice(tour: Tour) -> None:
    """Lattices, and how they lie to the axis of their chain."""
    tour.begin("pbs_chain_lattice.hspy")
    tour.run("Lattice", phases="PbS")
    tour.window.viewer.reset_view()
    tour.take("lattice")
    tour.run("Chains")
    tour.run("Attachment")
    tour.take("attachment")
    profile = tour.panel("Profile")
    profile.along.setCurrentIndex(1)
    profile.renew()
    tour.take("profile_chain")


def fourier(tour: Tour) -> None:
    """The live transform, and a profile along a line."""
    tour.begin("pbs_hrtem_001.mrc")
    panel = tour.panel("Fourier transform")
    panel.phases.setText("PbS")
    panel.draw_area()
    for angle in (31.0, 121.0):
        k = 1 / 0.2965 * np.array([np.sin(np.radians(angle)), np.cos(np.radians(angle))])
        for turn in range(0, 180, 2):  # wherever the crystal of the sample lies
            c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
            panel.pick(np.array([[c, s], [-s, c]]) @ k)
            tour.wait(panel)
            if len(panel.spots) > (angle > 90):
                break
    panel.draw_rings()
    panel.transform.nearer(6.0)
    panel._say()
    tour.take("fourier")
    panel.filter()
    tour.wait(panel)
    profile = tour.panel("Profile")
    profile.draw_line()
    size = profile.images.image.plane_axes[0].size
    profile._layer.add_lines(np.array([[0.3 * size, 0.2 * size], [0.6 * size, 0.8 * size]]))
    tour.take("profile_line")


def spectra(tour: Tour) -> None:
    """Composition, maps and spectra."""
    tour.begin("pbs_eds.hspy")
    tour.run("Chains")
    eds = tour.run("EDX", elements="Pb, S")
    tour.window.viewer.reset_view()
    for name in ("S Ka", "Pb La"):  # the last covers the others
        eds.maps.setCurrentText(name)
        eds.show_map()
    tour.take("edx")
    spectrum = tour.panel("Spectrum")
    tour.wait(spectrum)
    spectrum.draw_region()
    spectrum._layer.add_rectangles(np.array([[12, 8], [12, 42], [32, 42], [32, 8]]))
    tour.wait(spectrum)
    spectrum.show_window(2.2, 2.5)
    tour.wait(spectrum)
    tour.window.until(lambda: not spectrum.mapping.running)
    tour.take("spectrum")
    profile = tour.panel("Profile")
    profile.images.choose(next(one for one in profile.desk.images()
                               if one.source.signal == "HAADF"))
    profile.along.setCurrentIndex(1)
    profile.renew()
    tour.take("profile_composition")


def rings(tour: Tour) -> None:
    """Rings of a diffraction pattern: spotty, textured, behind a beam stop, distorted."""
    from emtools import simulate
    from emtools.io.writing import write_image

    pattern, _ = simulate.rings(
        "Au", shape=(640, 640), pixel_size_per_nm=0.034, centre_px=(305.0, 332.0),
        ellipticity=0.02, crystallite_nm=6.0, crystals_per_ring=250.0, texture=0.5, stop_px=26.0,
        background=0.15, counts=1500.0, rng=4)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gold_rings.hspy"
        write_image(pattern, path)
        tour.begin()
        tour.window.open(path)
        tour.run("Rings", phases="Au")
        tour.window.viewer.reset_view()
        tour.take("rings")


def contrast(tour: Tour) -> None:
    """What processing makes of a picture: its amplitude contrast, in false colours."""
    tour.begin("pbs_chains_tem.emd")
    panel = tour.panel("Contrast")
    panel.run()
    tour.wait(panel)
    tour.window.viewer.reset_view()
    tour.take("contrast")


def others(tour: Tour) -> None:
    """Calibration, what is known of an image, sessions and batches."""
    tour.begin("pbs_chains_banner.tif")
    calibrate = tour.panel("Calibrate")
    calibrate.draw_line()
    pixels = np.asarray(calibrate.images.image.data)
    bright = pixels > 0.9 * pixels.max()
    y, start, end = longest_run(bright)
    calibrate._layer.add_lines(np.array([[y, start - 0.5], [y, end - 0.5]]))
    calibrate.length.setValue(50.0)
    calibrate.with_distance()
    tour.take("calibrate")
    tour.panel("Image")
    tour.take("image")
    tour.panel("Session")
    tour.take("session")
    with tempfile.TemporaryDirectory() as folder:
        from emtools import batch
        from emtools.batch.plan import Recipe

        images = Path(folder) / "images"
        images.mkdir()
        for name in ("pbs_chains_detail.hspy", "pbs_chains_uncalibrated.png", "pbs_dots.emd"):
            shutil.copy(REPOSITORY / "sample_images" / name, images / name)
        batch.run(images, Path(folder) / "results", Recipe(("chains",), pictures="none"),
                  batch.Effort(workers=1))
        tour.begin()
        panel = tour.panel("Batch")
        panel.open(str(Path(folder) / "results"))
        tour.wait(panel)
        tour.wait(panel)
        tour.take("batch")


def longest_run(bright: np.ndarray[Any, Any]) -> tuple[int, int, int]:
    """Return row, first column and the one past the last of the longest bright line: the bar."""
    found = (0, 0, 0)
    for y, line in enumerate(bright):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if end - start > found[2] - found[1]:
                found = (y, start, end)
    return found


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "pictures")
    parser.add_argument("--size", default="1280x800")
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    parser.add_argument("--only", help="one part of the tour: chains, lattice, rings ...")
    given = parser.parse_args()
    if not os.environ.get("EMTOOLS_DISPLAY"):
        raise SystemExit(subprocess.run(
            ["xvfb-run", "-a", "-s", "-screen 0 1920x1200x24", sys.executable, *sys.argv],
            env={**os.environ, "EMTOOLS_DISPLAY": "1", "NAPARI_CONFIG": "", "MPLBACKEND": "agg",
                 "QT_QPA_PLATFORM": "xcb"}, check=False).returncode)
    os.chdir(REPOSITORY)
    wide, high = map(int, given.size.split("x"))
    tour = Tour(given.out, (wide, high), given.theme)
    for step in (chains, lattice, rings, fourier, spectra, contrast, others):
        if given.only in (None, step.__name__):
            step(tour)


if __name__ == "__main__":
    main()
