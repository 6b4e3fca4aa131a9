"""Bias and coverage of what a person points at: spots, profiles; and the time of a transform.

Prints plain tables; the print is kept as docs/validation/probe.txt.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from emtools import probe, simulate
from emtools.model.image import plane_image
from emtools.probe.fringes import find_fringes
from emtools.process.fourier import bragg_filtered, fourier, log_display, prepared

# What is simulated: shape, pixel in nm, counts, ball's diameter in nm or None, box or None.
SPOTS = {
    "64 px, film of crystal": (64, 0.04, 100.0, None, None),
    "128 px, few electrons": (128, 0.04, 3.0, None, None),
    "256 px, very few": (256, 0.03, 0.5, None, None),
    "512 px": (512, 0.03, 30.0, None, None),
    "512 px, fine pixels, TEM": (512, 0.015, 30.0, None, None),
    "1024 px, coarse pixels": (1024, 0.08, 3.0, None, None),
    "box 128 of 512": (512, 0.04, 10.0, None, (200, 150, 328, 278)),
    "box 200 x 120 of 512": (512, 0.04, 10.0, None, (60, 150, 260, 270)),
    "ball of 5 nm in 512 px of 0.04": (512, 0.04, 100.0, 5.0, None),
    "ball of 5 nm, few electrons": (512, 0.04, 10.0, 5.0, None),
    "ball of 5 nm, box 160": (512, 0.04, 20.0, 5.0, (176, 176, 336, 336)),
    "ball of 8 nm, box off its middle": (512, 0.04, 20.0, 8.0, (256, 250, 456, 450)),
}
FAINT = 0.02  # of the strongest amplitude: spots that nobody clicks


def spots(trials: int) -> None:
    print("Spots: |d - truth| / err and angle, clicked up to 1.5 cells beside them\n")
    print(f"{'':34s}{'n':>5}{'none':>6}{'bias d/s':>9}{'1 s':>6}{'2 s':>6}{'rms':>6}"
          f"{'angle 1 s':>11}{'rms':>6}{'median err/d':>14}{'ms':>6}")
    total, none = [], 0
    for name, case in SPOTS.items():
        found = [one for seed in range(trials) for one in _spots_of(case, "TEM" in name, seed)]
        seen = np.array([one[:4] for one in found if one is not None], dtype=float)
        total.append(seen)
        _spot_row(name, seen, len(found) - len(seen))
        none += len(found) - len(seen)
    _spot_row("all", np.concatenate(total), none)
    print()


def _spot_row(name: str, seen: np.ndarray, none: int) -> None:
    d, angle = np.abs(seen[:, 0]), np.abs(seen[:, 1])
    print(f"{name:34s}{len(seen):5d}{none:6d}{np.mean(seen[:, 0]):9.2f}{np.mean(d < 1):6.2f}"
          f"{np.mean(d < 2):6.2f}{np.sqrt(np.mean(d**2)):6.2f}{np.mean(angle < 1):11.2f}"
          f"{np.sqrt(np.mean(angle**2)):6.2f}{np.median(seen[:, 2]):14.1e}"
          f"{1e3 * np.median(seen[:, 3]):6.0f}")


def _spots_of(case: tuple, tem: bool, seed: int) -> list[tuple | None]:
    size, pixel, counts, ball, box = case
    rng = np.random.default_rng(seed)
    image, truth = simulate.crystal(
        "PbS", [(0, 0, 1), (0, 1, 1)][seed % 2], shape=(size, size), pixel_size_nm=pixel,
        rotation_deg=float(rng.uniform(0, 90)), particle_nm=ball, counts=counts, blur_nm=0.12,
        modality="TEM" if tem else "HAADF", rng=seed)
    rows = truth["reflections"]
    rows = rows[rows["amplitude"] > FAINT * rows["amplitude"].max()].head(4)
    shape = np.array((size, size) if box is None else (box[2] - box[0], box[3] - box[1]))
    found: list[tuple | None] = []
    for row in rows.itertuples():
        angle = np.radians(row.angle_deg)
        k = row.k_per_nm * np.array([-np.sin(angle), np.cos(angle)])
        start = time.perf_counter()
        one = probe.spot(image, k + rng.uniform(-1.5, 1.5, 2) / (shape * pixel), box)
        spent = time.perf_counter() - start
        if not one:
            found.append(None)
            continue
        off = (one.angle.value - row.angle_deg + 90.0) % 180.0 - 90.0
        found.append(((one.d_spacing.value - row.d_spacing_nm) / one.d_spacing.err,
                      off / one.angle.err, one.d_spacing.err / one.d_spacing.value, spent,
                      row.hkl))
    return found


def false_spots(trials: int) -> None:
    print("Spots where there are none: clicks at random on films, and midway between the spots of "
          "a crystal\n")
    kinds = {"noise": lambda seed: simulate.blank("noise", shape=(256, 256), rng=seed)[0],
             "amorphous": lambda seed: simulate.blank("amorphous", shape=(256, 256), rng=seed)[0],
             "crystal": lambda seed: simulate.crystal("PbS", shape=(256, 256), pixel_size_nm=0.03,
                                                      rotation_deg=7.0 * seed, rng=seed)[0]}
    for name, make in kinds.items():
        rng = np.random.default_rng(0)
        found = clicks = 0
        for seed in range(trials):
            image = make(seed)
            nyquist = 0.5 / image.calibration().pixel_size
            k = rng.uniform(-0.9 * nyquist, 0.9 * nyquist, (20, 2))
            for one in _between(7.0 * seed) if name == "crystal" else k:
                answer = probe.spot(image, one)
                clicks += not answer.reason.startswith("near")
                found += bool(answer)
        print(f"{name:34s}{clicks:6d} clicks, {found} taken for spots (1 in 1000 is accepted)")
    print()


def _between(turn_deg: float) -> np.ndarray:
    """Wave vectors midway between the spots of PbS [001]."""
    angle, g = np.radians(turn_deg), 2 / 0.5936
    right = g * np.array([-np.sin(angle), np.cos(angle)])
    up = g * np.array([-np.cos(angle), -np.sin(angle)])
    return np.array([(i + 0.5) * right + (j + 0.5) * up for i in range(3) for j in range(-2, 2)])


# Pixel in nm, counts, length of the line in nm, width, ball's diameter or None.
LINES = {
    "10 nm, many electrons": (0.03, 30.0, 10.0, 1.0, None),
    "4 nm, few electrons": (0.03, 2.0, 4.0, 0.5, None),
    "10 nm, few electrons, narrow": (0.03, 2.0, 10.0, 0.1, None),
    "12 nm, ball of 5 nm in its middle": (0.04, 20.0, 12.0, 1.0, 5.0),
}


def fringes(trials: int) -> None:
    print("Fringes: spacing along lines along the {200} normal of PbS, within a degree\n")
    print(f"{'':38s}{'n':>5}{'none':>6}{'bias d/s':>9}{'1 s':>6}{'2 s':>6}{'rms':>6}"
          f"{'median err/d':>14}")
    for name, (pixel, counts, length, width, ball) in LINES.items():
        found = []
        for seed in range(4 * trials):
            rng = np.random.default_rng(seed)
            turn = float(rng.uniform(0, 90))
            image, _ = simulate.crystal("PbS", (0, 0, 1), shape=(400, 400), pixel_size_nm=pixel,
                                        rotation_deg=turn, particle_nm=ball, counts=counts,
                                        blur_nm=0.12, rng=seed)
            off = float(rng.uniform(-1, 1))
            angle = np.radians(turn + off)
            along = np.array([-np.sin(angle), np.cos(angle)])
            middle = 200 * pixel + rng.uniform(-0.5, 0.5, 2)
            line = probe.profile(image, [middle - 0.5 * length * along,
                                         middle + 0.5 * length * along], width)
            one = line.fringes()
            truth = 0.2968 / np.cos(np.radians(off))
            found.append(None if not one else ((one.spacing.value - truth) / one.spacing.err,
                                               one.spacing.err / one.spacing.value))
        _row(name, found)
    rng = np.random.default_rng(0)
    s = 0.1 * np.arange(300)
    taken = sum(bool(find_fringes(s, rng.normal(size=300), "nm")) for _ in range(40 * trials))
    rows = sum(bool(find_fringes(s, np.cumsum(rng.normal(size=300)), "nm"))
               for _ in range(40 * trials))
    print(f"false alarms in {40 * trials} lines of white noise: {taken}, of a random walk: {rows} "
          "(1 in 1000 is accepted)\n")


def _row(name: str, found: list) -> None:
    seen = np.array([one for one in found if one is not None], dtype=float).reshape(-1, 2)
    pulls = seen[:, 0]
    print(f"{name:38s}{len(seen):5d}{len(found) - len(seen):6d}{np.mean(pulls):9.2f}"
          f"{np.mean(np.abs(pulls) < 1):6.2f}{np.mean(np.abs(pulls) < 2):6.2f}"
          f"{np.sqrt(np.mean(pulls**2)):6.2f}{np.median(seen[:, 1]):14.1e}")


# Shape of the dots, pixel in nm, counts, blur in nm, width of the line, modality.
CHAINS = {
    "spheres, 0.2 nm px": ("sphere", 0.2, 100.0, 0.3, 1.0, "HAADF"),
    "spheres, few electrons": ("sphere", 0.2, 10.0, 0.3, 1.0, "HAADF"),
    "spheres, blur of 0.8 nm": ("sphere", 0.2, 100.0, 0.8, 1.0, "HAADF"),
    "spheres, 0.5 nm px": ("sphere", 0.5, 100.0, 0.4, 1.5, "HAADF"),
    "cubes": ("cube", 0.2, 100.0, 0.3, 1.0, "HAADF"),
    "superellipsoids": ("superellipsoid", 0.2, 100.0, 0.3, 1.0, "HAADF"),
    "spheres, TEM": ("sphere", 0.2, 300.0, 0.3, 1.0, "TEM"),
}


def bodies(trials: int) -> None:
    print("Bodies of 4.5 nm and gaps of 1 nm on a line along a straight chain of 8 dots; bias and "
          "errors in nm\n")
    print(f"{'':26s}{'':6s}{'n':>5}{'lost':>6}{'bias':>8}{'scatter':>9}{'stated':>8}{'1 s':>6}"
          f"{'2 s':>6}   shapes that fitted best")
    for name, case in CHAINS.items():
        found: dict[str, list] = {"body": [], "gap": []}
        shapes: dict[str, int] = {}
        lost = 0
        for seed in range(trials):
            one = _chain(case, seed)
            if one is None:
                lost += 1
                continue
            shapes[one[0]] = shapes.get(one[0], 0) + 1
            found["body"] += one[1]
            found["gap"] += one[2]
        for kind, rows in found.items():
            off, err = np.array(rows, dtype=float).reshape(-1, 2).T
            print(f"{name if kind == 'body' else '':26s}{kind:6s}{len(off):5d}{lost:6d}"
                  f"{np.mean(off):8.3f}{np.std(off):9.3f}{np.median(err):8.3f}"
                  f"{np.mean(np.abs(off) < err):6.2f}{np.mean(np.abs(off) < 2 * err):6.2f}"
                  f"   {shapes if kind == 'body' else ''}")
    print()


def _chain(case: tuple, seed: int) -> tuple | None:
    """Shape, and measured minus true with the error for bodies and gaps; None if not all seen."""
    shape, pixel, counts, blur, width, modality = case
    n = int(110 / pixel)
    image, truth = simulate.chains(
        shape=(n, n), pixel_size_nm=pixel, n_chains=1, n_dots=(8, 8), dot_shape=shape,
        persistence_length_nm=1e6, counts=counts, blur_nm=blur, modality=modality, rng=seed)
    dots, gaps = truth["dots"], truth["gaps"]
    if len(dots) != 8 or dots["touches_edge"].any():
        return None
    places = dots[["y_nm", "x_nm"]].to_numpy()
    along = (places[-1] - places[0]) / np.hypot(*(places[-1] - places[0]))
    ends = np.array([places[0] - 6.0 * along, places[-1] + 6.0 * along])
    if ends.min() < 0 or ends.max() > n * pixel:
        return None
    seen = probe.profile(image, ends, width).bodies(smallest=0.4)
    table = seen.distances
    sizes, between = (table[table["kind"] == kind] for kind in ("body", "gap"))
    if len(sizes) != 8 or len(between) != 7:
        return None
    return seen.shape, *(list(zip(rows["distance_nm"] - true, rows["distance_err_nm"], strict=True))
                         for rows, true in ((sizes, dots["length_nm"].to_numpy()),
                                            (between, gaps["gap_nm"].to_numpy())))


def times(trials: int) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.normal(1000.0, 50.0, (1024, 1024))
    print("Times in ms, median and best: 1024 x 1024 on two cores\n")
    floats, counts = (plane_image(pixels.astype(kind), 0.02) for kind in (np.float32, np.uint16))
    ready = prepared(counts)
    shown = fourier(ready)
    k = [(3.0, 1.0), (-1.0, 3.0)]
    for name, run in (
        ("fourier, float32", lambda: fourier(floats)),
        ("fourier, uint16 (annotations looked for)", lambda: fourier(counts)),
        ("fourier, uint16 prepared", lambda: fourier(ready)),
        ("fourier, box of 512 of uint16 prepared", lambda: fourier(ready, (256, 256, 768, 768))),
        ("log_display", lambda: log_display(shown)),
        ("bragg_filtered, two spots", lambda: bragg_filtered(floats, k, 0.3)),
        ("probe.spot", lambda: probe.spot(floats, (3.0, 1.0))),
    ):
        run()
        spent = []
        for _ in range(15):
            start = time.perf_counter()
            run()
            spent.append(1e3 * (time.perf_counter() - start))
        print(f"{name:42s}{np.median(spent):8.1f}{min(spent):8.1f}")
    print()


PARTS = {"times": times, "spots": spots, "false_spots": false_spots, "fringes": fringes,
         "bodies": bodies}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--trials", type=int, default=30)
    given = parser.parse_args()
    for part in given.parts or list(PARTS):
        PARTS[part](given.trials)


if __name__ == "__main__":
    main()
