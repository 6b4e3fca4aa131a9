"""Scale bars of rendered pictures: how many are read, and how many of those rightly.

Fonts, sizes of letters, layouts, grounds, scaling and compression by chance.  *Wrong* is a pixel
size off by more than 5 %; it is *warned* of where the reading states a doubt.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from emtools.io.scale_bar import ScaleReading, read_scale_bar
from exported_pictures import LAYOUTS, Exported, exported, fonts

_CLASSES = ("right", "off 2-5 %", "wrong, warned", "wrong", "no answer")


def judged(picture: Exported) -> tuple[str, object, float]:
    """Return how a picture was read, the reading, and by how many sigma its pixel size is off."""
    reading = read_scale_bar(picture.pixels)
    if not isinstance(reading, ScaleReading):
        return "no answer", reading, np.nan
    off = reading.pixel_size / picture.pixel_size - 1.0 if reading.unit == picture.unit else np.inf
    pulls = off / reading.relative_err
    if abs(off) <= max(0.02, 3 * reading.relative_err) and abs(off) < 0.05:
        return "right", reading, pulls
    if abs(off) <= 0.05:
        return "off 2-5 %", reading, pulls
    return ("wrong, warned" if reading.doubts else "wrong"), reading, pulls


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=40, help="of each layout")
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--save", type=Path, help="folder for pictures that are not read rightly")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    found: dict[str, Counter[str]] = defaultdict(Counter)
    doubted: Counter[str] = Counter()
    pulls = []
    rng = np.random.default_rng(arguments.seed)
    for number in range(arguments.pictures):
        for layout in LAYOUTS:
            picture = exported(layout, rng)
            kind, reading, pull = judged(picture)
            found[layout][kind] += 1
            letters = "letters < 16 px" if picture.letters_px < 16 else "letters >= 16 px"
            found[letters][kind] += 1
            found["JPEG" if picture.quality else "no compression"][kind] += 1
            found["all"][kind] += 1
            pulls += [pull] if kind == "right" else []
            doubted[kind] += isinstance(reading, ScaleReading) and bool(reading.doubts)
            if kind != "right":
                _tell(arguments, f"{number:03d}_{layout.replace(' ', '_')}", picture, kind, reading)
    print(f"{arguments.pictures * len(LAYOUTS)} pictures, seed {arguments.seed}")
    _print(found, doubted, np.array(pulls))


def _tell(
    arguments: argparse.Namespace, name: str, picture: Exported, kind: str, reading: object
) -> None:
    if arguments.verbose:
        read = f"{reading.label.text!r}, bar {reading.bar.length_px:.1f} px {reading.doubts}" \
            if isinstance(reading, ScaleReading) else str(reading)
        print(f"  {name}: {kind}; {picture.text!r} in {picture.font}, "
              f"{picture.letters_px:.0f} px, quality {picture.quality}, {picture.pixels.shape}; "
              f"read {read}", flush=True)
    if arguments.save is not None:
        arguments.save.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(picture.pixels).save(arguments.save / f"{name}.png")


def _print(found: dict[str, Counter[str]], doubted: Counter[str], pulls: np.ndarray) -> None:
    print(f"{'':22s}{'pictures':>9s}{'answered':>10s}{'right of those':>16s}"
          + "".join(f"{name:>15s}" for name in _CLASSES[1:]))
    for name, counts in sorted(found.items(), key=lambda item: item[0] == "all"):
        total = sum(counts.values())
        answered = total - counts["no answer"]
        print(f"{name:22s}{total:9d}{100 * answered / total:9.1f}%"
              f"{100 * counts['right'] / max(1, answered):15.1f}%"
              + "".join(f"{counts[kind]:15d}" for kind in _CLASSES[1:]))
    print(f"right, but with a doubt: {doubted['right']}")
    covered = 100 * np.mean(abs(pulls) < 1.96)
    print(f"pixel size within 1.96 sigma of the bar's ends: {covered:.1f} %;"
          f" pulls {pulls.mean():+.2f} ± {pulls.std():.2f}")
    print(f"fonts: {', '.join(fonts())}")


if __name__ == "__main__":
    main()
