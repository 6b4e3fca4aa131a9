"""`emtools info` against `hs.load(lazy=True)` on the same files, in processes of their own."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py

ROUNDS = 5
EMTOOLS = str(Path(sys.executable).parent / "emtools")
HYPERSPY = "import sys, hyperspy.api as hs; print(hs.load(sys.argv[1], lazy=True))"
GIB = 1024**3


def large_spectrum_image(path: Path) -> None:
    """Write a 4 GiB spectrum image of which nothing is stored (HDF5 without its chunks)."""
    with h5py.File(path, "w") as file:
        file.attrs["file_format"] = "HyperSpy"
        file.attrs["file_format_version"] = "3.3"
        group = file.create_group("Experiments/EDS")
        shape = (1024, 1024, 2048)
        group.create_dataset("data", shape=shape, dtype="u2", chunks=(16, 16, 2048))
        for number, (size, name, unit) in enumerate(
            zip(shape, ("y", "x", "Energy"), ("nm", "nm", "keV"), strict=True)
        ):
            axis = group.create_group(f"axis-{number}")
            axis.attrs.update(_type="UniformDataAxis", name=name, size=size, scale=0.01,
                              offset=0.0, units=unit, navigate=number < 2, is_binned=False)
        general = group.create_group("metadata/General")
        general.attrs["title"] = "large"
        signal = group.create_group("metadata/Signal")
        signal.attrs["signal_type"] = "EDS_TEM"
        group.create_group("original_metadata")


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    samples = Path(__file__).parent.parent / "sample_images"
    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.hspy"
        large_spectrum_image(large)
        for path in (samples / "pbs_chains_overview.tif", samples / "pbs_eds.hspy", large):
            ours, peer = [EMTOOLS, "info", str(path)], [sys.executable, "-c", HYPERSPY, str(path)]
            seconds(ours), seconds(peer)
            pairs = [(seconds(ours), seconds(peer)) for _ in range(ROUNDS)]
            ratio = statistics.median(a / b for a, b in pairs)
            a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
            print(f"{path.name:26s} emtools info {a:5.2f} s   hs.load(lazy=True) {b:5.2f} s   "
                  f"ratio {ratio:4.2f}")


if __name__ == "__main__":
    main()
