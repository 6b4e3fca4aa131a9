"""Draw the pictures of the README out of the sample images: lattice, paper figure, report page.

The window's pictures are drawn by ``make_napari_pictures.py``.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import emtools
from emtools.batch import Recipe, run
from emtools.figures import Layout, make_panel, save, sheet_figure

REPOSITORY = Path(__file__).resolve().parents[1]
SAMPLES = REPOSITORY / "sample_images"
TARGET = REPOSITORY / "docs" / "pictures"
DPI = 200


def lattice() -> None:
    """An HRTEM image of PbS, indexed."""
    image = emtools.read_one(SAMPLES / "pbs_hrtem_001.mrc")
    result = emtools.lattice(image, phases=("PbS",))
    save(emtools.plot(image, result), TARGET / "lattice_hrtem.png", dpi=DPI)


def paper_figure() -> None:
    """Four panels over two columns."""
    layout = Layout(width_mm=180, dpi=DPI, columns=4)
    overview, detail, close, field = (emtools.read_one(SAMPLES / name) for name in (
        "pbs_chains_overview.tif", "pbs_chains_detail.hspy", "pbs_chain_lattice.hspy",
        "pbs_chains_tem.emd"))
    chains = emtools.chains(detail)
    panels = [
        make_panel(overview, ["false_colour"], {}, {}, layout),
        make_panel(field, ["amplitude_contrast"], {}, {}, layout),
        make_panel(detail, [], {}, {"chains": chains}, layout, drawn=["chains"]),
        make_panel(close, ["bragg_filter"], {}, {"lattice": emtools.lattice(close)}, layout)]
    save(sheet_figure(panels, layout), TARGET / "paper_figure.png", dpi=DPI)


def report() -> None:
    """The page of a batch, as a browser shows it."""
    with tempfile.TemporaryDirectory() as folder:
        done = run(SAMPLES, Path(folder), Recipe())
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--window-size=1500,1100", "--virtual-time-budget=8000",
             f"--screenshot={TARGET / 'report.png'}", done.report.as_uri()],
            check=True, capture_output=True)


if __name__ == "__main__":
    lattice()
    paper_figure()
    report()
