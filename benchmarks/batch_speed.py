"""What a batch costs beside the measuring itself, and what a second worker brings.

    python benchmarks/batch_speed.py [--images 200] [--side 1024] [--measure chains,lattice]

Prints ratios of whole runs on the same images, one after the other on the same machine: the bare
calls (read, measure, draw the pictures) in one process, a batch with one worker, with two.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emtools import figures, read, simulate
from emtools.batch import Effort, run
from emtools.batch.plan import Recipe
from emtools.io.writing import write_image
from emtools.measure import load

if TYPE_CHECKING:
    from collections.abc import Sequence

WARM_UP = 2  # images that are measured before the clock starts: compiled kernels are loaded


def make(folder: Path, images: int, side: int) -> None:
    """Write images with known chains, their lattice resolved or not, each its own noise."""
    rng = np.random.default_rng(0)
    for n in range(images):
        resolved = n % 2 == 1
        image, _ = simulate.chains(
            shape=(side, side), pixel_size_nm=0.05 if resolved else 0.5,
            n_chains=2 if resolved else 8, n_dots=(3, 6) if resolved else (10, 30),
            lattice="PbS" if resolved else None, rng=rng)
        write_image(image, folder / f"{n:04d}.tif")


def bare(folder: Path, output: Path, names: Sequence[str], pictures: bool) -> float:
    """Seconds of the measuring calls alone."""
    paths = sorted(folder.glob("*.tif"))
    start = 0.0
    for n, path in enumerate([*paths[:WARM_UP], *paths]):
        if n == WARM_UP:
            start = time.perf_counter()
        (image,) = read(path)
        if pictures:
            figures.thumbnail_uri(image)
        for name in names:
            result = load(name).function(image)
            if pictures and not result.outcome.startswith("not measurable"):
                for kind, figure in figures.pictures(image, result, "main").items():
                    figures.save(figure, output / f"{path.stem}.{name}.{kind}.png")
    return time.perf_counter() - start


def batch(folder: Path, output: Path, recipe: Recipe, workers: int) -> float:
    """Seconds of a whole batch, its start and its report included."""
    start = time.perf_counter()
    run(folder, output, recipe, Effort(workers))
    return time.perf_counter() - start


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--measure", default="chains,lattice")
    parser.add_argument("--bare", choices=("measured", "drawn"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = tuple(given.measure.split(","))
    if given.bare:
        with tempfile.TemporaryDirectory() as pictures:
            print(bare(given.folder, Path(pictures), names, given.bare == "drawn"))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "images"
        folder.mkdir()
        make(folder, given.images, given.side)
        alone = {}
        for kind in ("measured", "drawn"):
            # One thread for linear algebra, as each worker of a batch has.
            environment = os.environ | dict.fromkeys(
                ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
            said = subprocess.run(
                [sys.executable, __file__, "--bare", kind, "--folder", str(folder),
                 "--measure", given.measure],
                check=True, capture_output=True, text=True, env=environment)
            alone[kind] = float(said.stdout)
        plain = batch(folder, Path(place) / "plain", Recipe(names, pictures="none"), 1)
        one = batch(folder, Path(place) / "one", Recipe(names), 1)
        two = batch(folder, Path(place) / "two", Recipe(names), 2)
    print(f"{given.images} images of {given.side} x {given.side}, {given.measure}, "
          f"{alone['measured'] / given.images:.2f} s an image")
    print(f"pictures beside measuring: {alone['drawn'] / alone['measured']:.2f} x")
    print(f"batch of one worker over the bare calls (read, measure, draw): "
          f"{one / alone['drawn']:.3f} x")
    print(f"batch of one worker without pictures over reading and measuring: "
          f"{plain / alone['measured']:.3f} x")
    print(f"two workers: {one / two:.2f} times as fast as one")


if __name__ == "__main__":
    main()
