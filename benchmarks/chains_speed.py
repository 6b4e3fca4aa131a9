"""Time and memory of `chains` on 4096 x 4096, against the usual pipeline and one transform.

Times are medians of repeats that alternate in one process; ratios are what to read, seconds depend
on the machine and on who else uses it.  Peak memory is that of a process of its own, above one that
only loads the image.  Takes a quarter of an hour; one part alone: `chains_speed.py coarse`.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from emtools import Image, chains, simulate
from emtools.measure.chains.find import fit
from emtools.measure.chains.found import Found
from emtools.measure.chains.ground import Ground, find_ground
from emtools.measure.chains.outline import sort_foreground
from emtools.measure.chains.rows import assemble, linked
from emtools.model.image import plane_image
from emtools.process.plane import as_plane
from emtools.process.resample import Square, square

SIDE, REPEATS, PEAKS = 4096, 5, 2
SIDES = (1024, 2048, 4096, 8192)
PIPELINE_AIM, TRANSFORMS_AIM, MEMORY_AIM = 0.1, 15, 6
PIXEL_NM, COARSE_NM = 0.5, 2.0
WIDTHS_NM, GAP_NM = (2.0, 15.0), 2.0  # those of `chains`, unless it is told others
FALSE_ALARMS = 1e-3
TILE, TILES = 1024, 4  # so many different squares make up the picture of wires
BODY_SIGMAS_PX = (2, 3, 4)  # 1 sigma of bodies of 4.5 nm is 2.3 px across: the ridges to look for

Action = Callable[[], object]


def crowd(side: int) -> tuple[Image, float]:
    """Return resolved chains at one density, and how many micrometres of them there are."""
    share = (side / SIDE) ** 2
    image, truth = simulate.chains(
        shape=(side, side), n_chains=round(200 * share), n_dots=(12, 35),
        isolated_dots=round(50 * share), pixel_size_nm=PIXEL_NM, rng=1)
    return image, truth["chains"].length_nm.sum() / 1000


def wires() -> tuple[Image, float]:
    """Return chains that are not resolved, as many as fit, and their length in micrometres."""
    tiles, length = [], 0.0
    for seed in range(TILES):
        image, truth = simulate.chains(shape=(TILE, TILE), n_chains=200, n_dots=(20, 60),
                                       counts=400.0, pixel_size_nm=COARSE_NM, rng=seed)
        tiles.append(image.data)
        length += truth["chains"].length_nm.sum() / 1000
    n = SIDE // TILE
    rows = [np.hstack([tiles[(i + j) % TILES] for j in range(n)]) for i in range(n)]
    return like(np.vstack(rows), COARSE_NM), length * n * n / TILES


def like(data: NDArray[Any], pixel_nm: float) -> Image:
    """Return an image that says what a simulated one says of its modality."""
    template = simulate.chains(shape=(64, 64), n_chains=0)[0]
    return plane_image(data, pixel_nm, acquisition=template.acquisition, source=template.source)


def usual(data: NDArray[Any], pixel_nm: float, sigmas: tuple[int, ...]) -> object:
    """Do what is usual: ridges, hysteresis, skeleton, its branches, its regions."""
    from skan import Skeleton, summarize
    from skimage.filters import apply_hysteresis_threshold, sato, threshold_otsu
    from skimage.measure import label, regionprops_table
    from skimage.morphology import skeletonize

    ridges = sato(data, sigmas=sigmas, black_ridges=False)
    high = threshold_otsu(ridges)
    mask = apply_hysteresis_threshold(ridges, 0.5 * high, high)
    skeleton = Skeleton(skeletonize(mask), spacing=pixel_nm)
    return summarize(skeleton, separator="-"), regionprops_table(
        label(mask), data,
        properties=("area", "axis_major_length", "axis_minor_length", "intensity_mean"))


class Stages:
    """The stages of `chains`, one after another, each on what the one before left."""

    def __init__(self, image: Image) -> None:
        self.plane = as_plane(image)
        self.view: Square = square(self.plane, WIDTHS_NM[0] / 8)
        self.widths_px = (WIDTHS_NM[0] / self.view.pixel, WIDTHS_NM[1] / self.view.pixel)
        self.found: Found
        self.ground: Ground

    def take_off(self) -> None:
        """Ground, noise, outline."""
        self.ground = find_ground(self.view.plane, "bright", self.widths_px, FALSE_ALARMS)

    def sort(self) -> None:
        """Dots, lines and blobs."""
        outline = sort_foreground(self.ground, self.widths_px, GAP_NM / self.view.pixel)
        self.found = Found(self.ground, outline, None, [])

    def fit(self) -> None:
        """All dots together."""
        self.fitted = fit(self.found, self.view, WIDTHS_NM, GAP_NM)

    def link(self) -> None:
        """Link, trace, fit lines, make the rows of the tables."""
        gap_px = GAP_NM / self.view.pixel
        assemble(self.view, linked(self.fitted, gap_px, 3), gap_px)


def medians(actions: dict[str, Action], repeats: int = REPEATS) -> dict[str, float]:
    """Median seconds of each action; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def say(text: str) -> None:
    print(text, flush=True)


def warm() -> None:
    """Imports and compiled loops."""
    chains(crowd(512)[0])
    chains(simulate.chains(shape=(256, 256), pixel_size_nm=COARSE_NM, n_chains=3, counts=400.0)[0])


def against_others(image: Image, micrometres: float) -> None:
    """Print (a) whole against the usual pipeline, (b) stages against a transform, (c) the fit."""
    stages, data = Stages(image), np.asarray(image.data)
    default = tuple(range(1, 10, 2))
    t = medians({
        "transform": lambda: fft.rfft2(data, workers=2), "ours": lambda: chains(image),
        "ground": stages.take_off, "sort": stages.sort, "fit": stages.fit, "link": stages.link,
        "usual": lambda: usual(data, PIXEL_NM, BODY_SIGMAS_PX)})
    t |= medians({"usual, sigmas by default": lambda: usual(data, PIXEL_NM, default)}, 2)
    say(f"{SIDE} x {SIDE} float32, 200 chains, {micrometres:.1f} micrometres of them; "
        f"one scipy.fft.rfft2(workers=2): {t['transform']:.2f} s")
    say(f"  whole chains                          {t['ours']:6.2f} s = "
        f"{t['ours'] / t['transform']:.0f} x the transform")
    for name in ("usual", "usual, sigmas by default"):
        say(f"  {name:36s}  {t[name]:6.2f} s: ours is {t['ours'] / t[name]:.2f} of it "
            f"(aim {PIPELINE_AIM})")
    segment = t["ground"] + t["sort"]
    say(f"  segmentation (ground, sort)           {segment:6.2f} s = "
        f"{segment / t['transform']:.1f} x the transform (aim {TRANSFORMS_AIM}); ground "
        f"{t['ground'] / t['transform']:.1f}, sort {t['sort'] / t['transform']:.1f}")
    say(f"  fit of the dots                       {t['fit']:6.2f} s = "
        f"{t['fit'] / micrometres:.3f} s per micrometre of chain")
    say(f"  links, widths, gaps, tables           {t['link']:6.2f} s = "
        f"{t['link'] / micrometres:.3f} s per micrometre of chain")


def sizes(images: dict[int, Image]) -> None:
    """Print (e): seconds per megapixel at one density of chains."""
    actions: dict[str, Action] = {
        str(side): (lambda image=image: chains(image)) for side, image in images.items()}
    times = medians(actions, 3)
    first = times[str(SIDES[0])] / (SIDES[0] / 1024) ** 2
    say("cost at one density of chains")
    for side in images:
        each = times[str(side)] / (side / 1024) ** 2
        say(f"  {side} x {side}   {times[str(side)]:6.2f} s = {each:.3f} s per 1024 x 1024 = "
            f"{each / first:.2f} of that at {SIDES[0]}")


def coarse() -> None:
    """Print the same for chains that are not resolved; once only, it takes minutes."""
    warm()
    image, micrometres = wires()
    stages, data = Stages(image), np.asarray(image.data)
    t = medians({"transform": lambda: fft.rfft2(data, workers=2)})
    t |= medians({
        "ours": lambda: chains(image), "ground": stages.take_off, "sort": stages.sort,
        "fit": stages.fit, "link": stages.link,
        "usual": lambda: usual(data, COARSE_NM, (1, 2))}, 1)
    segment = t["ground"] + t["sort"]
    say(f"not resolved, {SIDE} x {SIDE} at {COARSE_NM:g} nm/px, {micrometres:.0f} micrometres")
    say(f"  whole chains                          {t['ours']:6.2f} s; the usual pipeline, sigmas "
        f"of 1 and 2 pixels, {t['usual']:.2f} s: ours is {t['ours'] / t['usual']:.2f} of it")
    say(f"  segmentation (ground, sort)           {segment:6.2f} s = "
        f"{segment / t['transform']:.1f} x the transform; ground "
        f"{t['ground'] / t['transform']:.1f}, sort {t['sort'] / t['transform']:.1f}")
    fitted = t["fit"] + t["link"]
    say(f"  trace, fit of widths, tables          {fitted:6.2f} s = "
        f"{fitted / micrometres:.3f} s per micrometre of chain")


def times() -> None:
    """Print (a), (b), (c) and (e)."""
    warm()
    images = {}
    for side in SIDES:
        images[side], micrometres = crowd(side)
        if side == SIDE:
            against_others(images[side], micrometres)
    sizes(images)


def alone(what: str, path: str, pixel_nm: str) -> int:
    """Peak memory of this process after one task."""
    warm()
    image = like(np.load(path), float(pixel_nm))
    if what == "chains":
        chains(image)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def memory(name: str, image: Image) -> None:
    """Print (d): peak over the image's size."""
    pixel_nm = str(image.axes[-1].pixel_size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.npy"
        np.save(path, image.data)
        size = image.data.nbytes
        peak = {what: min(int(subprocess.run(
            [sys.executable, __file__, what, str(path), pixel_nm], check=True,
            capture_output=True, text=True).stdout) for _ in range(PEAKS))
            for what in ("image", "chains")}
    say(f"  peak memory, {name:14s} {(peak['chains'] - peak['image']) / size:5.2f} x the image "
        f"above the image (aim {MEMORY_AIM})")


def memories() -> None:
    """Print (d) for both pictures."""
    memory("chains", crowd(SIDE)[0])
    memory("not resolved", wires()[0])


PARTS: dict[str, Callable[[], None]] = {"times": times, "coarse": coarse, "memory": memories}


def main() -> None:
    """Run each part in a process of its own: what one has used would count in another's peak."""
    for part in PARTS:
        subprocess.run([sys.executable, __file__, part], check=True)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        PARTS[sys.argv[1]]()
    elif len(sys.argv) > 2:
        print(alone(*sys.argv[1:]))
    else:
        main()
