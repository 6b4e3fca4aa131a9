"""Peak memory and time of `lattice` on a 4096 x 4096 float32 image, against the image itself."""

from __future__ import annotations

import resource
import subprocess
import sys
import time

SIDE = 4096
REPEATS = 3


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def one(measured: bool) -> tuple[int, float, float]:
    """Peak memory of making the image and (if `measured`) measuring it; times in seconds."""
    import numpy as np
    from scipy import fft

    from emtools.measure.lattice import lattice
    from emtools.model.image import plane_image

    lattice(plane_image(np.random.default_rng(0).normal(size=(128, 128)), 0.02))  # imports
    y = np.arange(SIDE, dtype=np.float32)
    data = np.cos(2 * np.pi * y / 14.84)[:, None] + np.cos(2 * np.pi * y / 14.84)[None, :]
    data += np.random.default_rng(0).standard_normal((SIDE, SIDE), dtype=np.float32)
    if not measured:
        start = time.perf_counter()
        if len(sys.argv) > 2 and sys.argv[2] == "transform":
            fft.rfft2(data, workers=2)
        return peak_bytes(), 0.0, time.perf_counter() - start
    start = time.perf_counter()
    lattice(plane_image(data, 0.02))
    return peak_bytes(), time.perf_counter() - start, 0.0


def run(*arguments: str) -> list[float]:
    out = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True,
                         text=True).stdout
    return [float(part) for part in out.split()]


def main() -> None:
    image = SIDE * SIDE * 4
    without = min(run("without")[0] for _ in range(REPEATS))
    measured = [run("measured") for _ in range(REPEATS)]
    peak = max(row[0] for row in measured)
    transform = min(run("without", "transform")[2] for _ in range(REPEATS))
    seconds = min(row[1] for row in measured)
    print(f"lattice, {SIDE} x {SIDE} float32: peak {(peak - without) / image:.1f} x the image "
          "above the image (aim: at most 8)")
    print(f"time {seconds:.2f} s = {seconds / transform:.1f} x one scipy.fft.rfft2(workers=2) "
          f"({transform:.2f} s)")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(*one(sys.argv[1] == "measured"))
    else:
        main()
