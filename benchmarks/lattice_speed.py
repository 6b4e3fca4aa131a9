"""Time and memory of `lattice` on 4096 x 4096 float32, against one transform and a naive script.

Each figure is the best of several runs, times in the same process one after another; peak memory
is that of a process of its own, above one that only makes the image.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable

SIDE = 4096
REPEATS = 3
FRAMES = 64
STACK_SIDE = 512
GLOBAL_AIM, LOCAL_AIM, MEMORY_AIM = 5, 20, 6


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def picture(side: int, seed: int = 0):
    import numpy as np

    y = np.arange(side, dtype=np.float32)
    fringes = np.cos(2 * np.pi * y / 14.84)
    data = fringes[:, None] + fringes[None, :]
    data += np.random.default_rng(seed).standard_normal((side, side), dtype=np.float32)
    return data


def measure(data, local: bool):
    from emtools.measure.lattice import lattice
    from emtools.model.image import plane_image

    return lattice(plane_image(data, 0.02), local_map=local)


def best(action: Callable[[], object], repeats: int = REPEATS) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def times() -> None:
    from scipy import fft

    from lattice_validation import naive

    data = picture(SIDE)
    measure(picture(256), True)  # imports and compiled loops
    transform = best(lambda: fft.rfft2(data, workers=2), 5)
    print(f"one scipy.fft.rfft2(workers=2) of {SIDE} x {SIDE} float32: {transform:.2f} s")
    cases: dict[str, tuple[Callable[[], object], str]] = {
        "global lattice (local_map=False)": (lambda: measure(data, False), f"aim {GLOBAL_AIM}"),
        "local map": (lambda: measure(data, True), f"aim {LOCAL_AIM}"),
        "naive: Hann, FFT, local maxima": (lambda: naive.find(data, 0.02), "no uncertainty"),
    }
    for name, (action, aim) in cases.items():
        seconds = best(action)
        print(f"  {name:34s} {seconds:6.2f} s = {seconds / transform:5.1f} x the transform ({aim})",
              flush=True)


def alone(what: str) -> int:
    """Peak memory of this process after one task."""
    measure(picture(256), True)
    if what == "frame":
        measure(picture(STACK_SIDE), True)
        return peak_bytes()
    if what == "stack":
        for frame in range(FRAMES):
            measure(picture(STACK_SIDE, frame), True)
        return peak_bytes()
    data = picture(SIDE)
    if what != "image":
        measure(data, what == "local")
    return peak_bytes()


def peak(what: str) -> int:
    runs = [subprocess.run([sys.executable, __file__, what], check=True, capture_output=True,
                           text=True).stdout for _ in range(REPEATS if what == "image" else 2)]
    return min(int(out) for out in runs)


def main() -> None:
    # A process of its own: what this one has used would count as its children's peak.
    subprocess.run([sys.executable, __file__, "times"], check=True)
    image = SIDE * SIDE * 4
    without = peak("image")
    for what, name in (("global", "global lattice"), ("local", "local map")):
        print(f"  peak memory, {name:14s} {(peak(what) - without) / image:5.2f} x the image above "
              f"the image (aim {MEMORY_AIM})", flush=True)
    one, all_frames = peak("frame"), peak("stack")
    print(f"  {FRAMES} frames of {STACK_SIDE} x {STACK_SIDE}, one after another: "
          f"{(all_frames - one) / 2**20:+.0f} MiB over one frame "
          f"({(all_frames - one) / (FRAMES * STACK_SIDE**2 * 4):.2f} of the stack)")


if __name__ == "__main__":
    if sys.argv[1:] == ["times"]:
        times()
    elif len(sys.argv) > 1:
        print(alone(sys.argv[1]))
    else:
        main()
