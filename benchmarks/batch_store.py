"""Cost of the batch's store: going on with a finished run, and reading a hundred thousand images.

The results are made up; sizes are those of `chains`.  Times are single ones of this machine; what
matters is how they grow.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from emtools.batch import Effort, FileDone, Monitor, Store, run
from emtools.batch.contents import Contents
from emtools.batch.plan import Recipe
from emtools.measure import load
from emtools.report import write_report
from emtools.results import Results, export
from emtools.results.records import without_images

RECIPE = Recipe(measurements=("chains",))


CHAINS, POINTS, GAPS = 4, 6, 5  # of each image; centreline points and gaps of each chain


def record(rows: int, random: np.random.Generator) -> dict[str, Any]:
    """Return what a worker returns for an image, with made-up chains: so many rows in all."""
    axis = {"size": 1024, "pixel_size": 0.5, "pixel_size_err": 0.0125, "unit": "nm",
            "source": "file"}
    start = random.uniform(50.0, 300.0, (CHAINS, 2))
    lengths = random.uniform(30.0, 120.0, CHAINS)
    chains = [{"chain": n + 1, "length_nm": length, "length_err_nm": 0.3, "width_nm": 4.5,
               "width_err_nm": 0.02, "aspect_ratio": length / 4.5, "aspect_ratio_err": 0.1,
               "n_dots": int(length / 5.5), "gap_nm": 1.0, "gap_err_nm": 0.1, "pitch_nm": 5.5,
               "pitch_err_nm": 0.02} for n, length in enumerate(lengths.tolist())]
    axes = [{"chain": n + 1, "s_nm": s, "y_nm": start[n, 0], "x_nm": start[n, 1] + s,
             "width_nm": 4.5} for n in range(CHAINS)
            for s in np.linspace(2.25, lengths[n] - 2.25, POINTS).tolist()]
    gaps = [{"gap": n + 1, "chain": n % CHAINS + 1, "gap_nm": gap, "gap_err_nm": 0.1,
             "resolved": True} for n, gap in enumerate(
                 random.normal(1.0, 0.1, CHAINS * GAPS).tolist())]
    n_dots = max(rows - len(chains) - len(axes) - len(gaps), 0)
    dots = [{"dot": n + 1, "chain": n % (CHAINS + 1), "y_nm": y, "x_nm": x, "diameter_nm": diameter,
             "diameter_err_nm": 0.03} for n, (y, x, diameter) in enumerate(
                 random.normal((250, 250, 4.5), (50, 50, 0.4), (n_dots, 3)).tolist())]
    tables = {"chains": chains, "axes": axes, "gaps": gaps, "dots": dots}
    return without_images("", "measured", "") | {
        "image": "HAADF", "index": 0, "source_sha256": "0" * 64, "seconds": 1.0,
        "description": {"shape": [1024, 1024], "axes": [{"name": "y", **axis},
                                                        {"name": "x", **axis}]},
        "measurements": [{
            "measurement": "chains", "why": "HAADF image", "summary": {"outcome": f"{rows} rows"},
            "parameters": {}, "pictures": {}, "tables": {
                name: load("chains").tables[name].frame(of).to_dict("records")
                for name, of in tables.items()}}]}


def resume(files: int) -> None:
    """Print how long a run takes whose files are all known."""
    with tempfile.TemporaryDirectory() as place:
        folder, output = Path(place) / "images", Path(place) / "results"
        folder.mkdir()
        random = np.random.default_rng(0)
        with Store(output) as store:
            store.connection.execute("PRAGMA synchronous = OFF")
            under_way = store.begin(folder, RECIPE)
            contents, small = Contents(store.connection), record(50, random)
            for n in range(files):
                path = folder / f"{n:06d}.tif"
                path.write_bytes(n.to_bytes(8, "big") * 500)
                under_way.add(path.name, contents.digest(path), [small])
            under_way.finish()
        run(folder, output, RECIPE, effort=Effort(2))  # writes tables and page
        start = time.perf_counter()
        reused: list[float] = []
        outcome = run(folder, output, RECIPE, Effort(2), Timing(start, reused))
        whole = time.perf_counter() - start
        print(f"a finished run of {outcome.reused:,} files again: known after {reused[0]:.1f} s, "
              f"all done after {whole:.1f} s; files are asked for size, time of change and inode, "
              "not read")


class Timing(Monitor):
    """Notes when the last file is done."""

    def __init__(self, start: float, done: list[float]) -> None:
        self.start, self.times = start, done

    def done(self, file: FileDone) -> None:
        """Note the time."""
        if file.done == file.total:
            self.times.append(time.perf_counter() - self.start)


def large(images: int, rows: int) -> None:
    """Print what a large store costs to open, filter and export, in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        random = np.random.default_rng(0)
        some = [record(rows, random) for _ in range(20)]
        start = time.perf_counter()
        with Store(Path(place)) as store:
            store.connection.execute("PRAGMA synchronous = OFF")
            under_way = store.begin(Path(place), RECIPE)
            for n in range(images):
                under_way.add(f"{n:06d}.tif", str(n), [some[n % len(some)]])
        took = time.perf_counter() - start
        size = (Path(place) / "results.sqlite").stat().st_size / 1e9
        print(f"{images:,} images with {rows} rows each: written in {took:.0f} s "
              f"({1e3 * took / images:.1f} ms an image), {size:.1f} GB", flush=True)
        subprocess.run([sys.executable, __file__, "--read", place], check=True)


def read(place: str) -> None:
    """Print times and memory of reading."""
    def memory() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    import pandas as pd  # noqa: F401 - its memory is not the store's

    before = memory()
    start = time.perf_counter()
    with Results(place) as results:
        opened = time.perf_counter() - start
        found = results.table("chains.dots", "diameter_nm > ?", [5.4])
        filtered = time.perf_counter() - start - opened
        print(f"  opened in {1e3 * opened:.0f} ms; {len(found):,} rows that fulfil a condition in "
              f"{filtered:.1f} s, {memory() - before:.0f} MiB")
        start = time.perf_counter()
        page = write_report(results)
        print(f"  report in {time.perf_counter() - start:.0f} s, {memory() - before:.0f} MiB, "
              f"{page.stat().st_size / 1e6:.1f} MB", flush=True)
        start = time.perf_counter()
        export(results, Path(place) / "tables")
        print(f"  all tables as CSV in {time.perf_counter() - start:.0f} s, "
              f"{memory() - before:.0f} MiB")


def main() -> None:
    """Measure all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--read")
    given = parser.parse_args()
    if given.read:
        read(given.read)
        return
    resume(given.files)
    large(given.images, given.rows)


if __name__ == "__main__":
    main()
