"""What reading a Velox spectrum image costs, beside RosettaSciIO's own lazy reader.

The file is made of a real one (see docs/real_data.md) whose stream of events is replaced by a
larger simulated one.  Each reader runs in a process of its own; ratios are what to read.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from emtools import simulate

REPOSITORY = Path(__file__).resolve().parents[1]
REAL = "rosettasciio/emd/Test SI 16x16 215 kx.emd"
CHANNELS, OFFSET = 4096, 25  # of that file's axis


def write(real: Path, target: Path, side: int, events: float, frames: int) -> None:
    """Write a spectrum image of `side` x `side` pixels with that many events in four streams."""
    import h5py

    rng = np.random.default_rng(0)
    image, _ = simulate.spectrum(channels=CHANNELS, channel_keV=0.01, ideal=True)
    known = np.cumsum(image.load()) / image.load().sum()
    shutil.copy(real, target)
    target.chmod(0o644)
    with h5py.File(target, "r+") as file:
        for group in file["Data/SpectrumStream"].values():
            numbers = rng.poisson(events / 4 / (side * side * frames), side * side * frames)
            drawn = np.searchsorted(known, rng.random(numbers.sum())) + OFFSET
            stream = np.full(len(drawn) + len(numbers), 65535, dtype=np.uint16)
            ends = np.cumsum(numbers) + np.arange(len(numbers))
            stream[~np.isin(np.arange(len(stream)), ends)] = np.minimum(drawn, CHANNELS - 1)
            del group["Data"]
            group.create_dataset("Data", data=stream[:, None], chunks=True)
            said = json.loads(group["AcquisitionSettings"][0])
            said["RasterScanDefinition"] = {"Width": str(side), "Height": str(side)}
            group["AcquisitionSettings"][0] = json.dumps(said)
        for group in file["Data/SpectrumImage"].values():
            said = json.loads(group["SpectrumImageSettings"][0])
            said["endFramePosition"] = str(frames)
            group["SpectrumImageSettings"][0] = json.dumps(said)
        for group in file["Data/Image"].values():
            kind, n = group["Data"].dtype, group["Data"].shape[2]
            del group["Data"]
            picture = rng.integers(0, 999, (side, side, n)).astype(kind)
            group.create_dataset("Data", data=picture, chunks=(side, side, 1))


def once(reader: str, path: str) -> None:
    """Read and sum all spectra, and print seconds, MiB and counts as JSON."""
    start = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if reader == "emtools":
        import emtools

        data: Any = next(image.data for image in emtools.read(path) if len(image.shape) == 3)
    else:
        from rsciio.emd import file_reader

        signals = file_reader(path, lazy=True)
        data = next(signal["data"] for signal in signals if signal["data"].ndim == 3)
    opened = time.perf_counter() - start
    total = float(np.asarray(data.sum(axis=(0, 1)).sum()))
    print(json.dumps({"open": opened, "all": time.perf_counter() - start, "counts": total,
                      "MiB": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}))


def main() -> None:
    """Write a file and read it with both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--events", type=float, default=8e6)
    parser.add_argument("--once", nargs=2)
    given = parser.parse_args()
    if given.once:
        once(*given.once)
        return
    data = Path(os.environ.get("EMTOOLS_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (data / REAL).is_file():
        print(f"{REAL} is not there: nothing measured")
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.emd"
        write(data / REAL, path, given.side, given.events, 4)
        found = {}
        for reader in ("rosettasciio", "emtools", "rosettasciio", "emtools"):
            command = [sys.executable, __file__, "--once", reader, str(path)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[reader] = json.loads(said.splitlines()[-1])
    ours, theirs = found["emtools"], found["rosettasciio"]
    assert ours["counts"] == theirs["counts"], "different counts"
    print(f"Velox, {given.side} x {given.side} x {CHANNELS}, {ours['counts']:,.0f} counts of four "
          "detectors")
    for name, unit in (("open", "s"), ("all", "s"), ("MiB", "MiB")):
        what = {"open": "opening", "all": "opening and summing", "MiB": "memory"}[name]
        print(f"  {what:20s} {ours[name]:8.1f} {unit:3s}  RosettaSciIO's lazy reader "
              f"{theirs[name]:8.1f} {unit:3s} = {theirs[name] / ours[name]:.1f} x ours")


if __name__ == "__main__":
    main()
