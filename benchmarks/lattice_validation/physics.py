"""Crystals under physics that the measurement does not model: where it holds, where it breaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from emtools import lattice
from emtools.model import Image
from emtools.model.image import plane_image
from emtools.simulate import Grain, crystal
from lattice_validation.model import Setting, noise, outline, waves
from lattice_validation.scoring import (
    Floats,
    Report,
    apart,
    each,
    pull_line,
    seeds,
    table,
    wave_vectors,
)

STRONG = 0.3  # of the strongest wave: what should be seen
Job = tuple[str, np.random.SeedSequence]


def _random_turn(rng: np.random.Generator) -> float:
    return float(rng.uniform(0, 180))


def _crystal(**fixed: Any) -> Callable[[np.random.Generator], tuple[Image, pd.DataFrame, int]]:
    def make(rng: np.random.Generator) -> tuple[Image, pd.DataFrame, int]:
        made = {key: value(rng) if callable(value) else value for key, value in fixed.items()}
        image, truth = crystal(**{"rotation_deg": _random_turn(rng), "rng": rng} | made)
        true = truth["reflections"]
        # What is seen is the distorted lattice: drift shears it (the probe looks at -drift).
        matrix = np.array(made.get("distortion", np.eye(2)))
        drift = np.array(made.get("drift_nm", (0.0, 0.0)))
        matrix[:, 0] -= drift / ((image.data.shape[0] - 1) * image.axes[0].pixel_size)
        if not np.array_equal(matrix, np.eye(2)):
            true = _truth(wave_vectors(true) @ matrix).assign(amplitude=true["amplitude"])
        return image, true, len(truth["grains"])
    return make


def _side_by_side(turn: float, phase: str = "PbS") -> Callable[[np.random.Generator], Any]:
    """Grains of a bicrystal, `turn` degrees against each other."""
    def grains(rng: np.random.Generator) -> tuple[Grain, ...]:
        first = _random_turn(rng)
        return (Grain("PbS", (0, 0, 1), first, 0.0, -2.0),
                Grain(phase, (0, 0, 1) if phase == "PbS" else (0, 1, 1), first + turn, 0.0, 2.0))
    return grains


def _overlapping(turn: float, apart_nm: float) -> Callable[[np.random.Generator], Any]:
    """Balls of 6 nm over each other."""
    def grains(rng: np.random.Generator) -> tuple[Grain, ...]:
        first = _random_turn(rng)
        half = apart_nm / 2
        return (Grain("PbS", (0, 0, 1), first, 0.0, -half, 6.0),
                Grain("PbS", (0, 0, 1), first + turn, 0.0, half, 6.0))
    return grains


def _many(rng: np.random.Generator) -> tuple[Grain, ...]:
    """Nine balls of 3 to 4 nm that touch."""
    return tuple(Grain("PbS", (0, 0, 1), _random_turn(rng), 4.0 * i, 4.0 * j,
                       float(rng.uniform(3.0, 4.0))) for i in (-1, 0, 1) for j in (-1, 0, 1))


def _bent(strain: float) -> Callable[[np.random.Generator], tuple[Image, pd.DataFrame, int]]:
    """Fringes that turn by `strain` radians from border to border, fanning out by as much."""
    def make(rng: np.random.Generator) -> tuple[Image, pd.DataFrame, int]:
        setting = Setting(100.0, 0.02, 10.24, "frame", turn_deg=_random_turn(rng))
        k = waves("PbS", (0, 0, 1), setting.turn_deg, 0.02)
        n = setting.shape[0]
        y, x = (0.02 * (np.indices((n, n)) - (n - 1) / 2))
        radius = n * 0.02 / strain
        moved_y, moved_x = y + x**2 / (2 * radius), x - x * y / radius
        amplitude = setting.snr * np.sqrt(2 / n**2)
        data = noise((n, n), False, rng) + 40
        for one in k:
            data += amplitude * np.cos(2 * np.pi * (one[0] * moved_y + one[1] * moved_x))
        return plane_image(data.astype(np.float32), 0.02), _truth(k), 1
    return make


def _moire(turn: float, ratio: float = 1.0
           ) -> Callable[[np.random.Generator], tuple[Image, pd.DataFrame, int]]:
    """Two crystals of the same outline on top of each other, of SNR 60 and 60 * `ratio`."""
    def make(rng: np.random.Generator) -> tuple[Image, pd.DataFrame, int]:
        first = _random_turn(rng)
        setting = Setting(60.0, 0.02, 6.0, "disc")
        inside = outline(setting, rng)
        data = noise(setting.shape, False, rng) + 40
        amplitude = setting.snr * np.sqrt(2 / inside.sum())
        y, x = (0.02 * axis for axis in np.indices(setting.shape))
        both = []
        for angle, size in ((first, 1.0), (first + turn, ratio)):
            k = waves("PbS", (0, 0, 1), angle, 0.02)
            both.append(k)
            for one in k:
                phase = rng.uniform(0, 2 * np.pi)
                data += size * amplitude * inside * np.cos(
                    2 * np.pi * (one[0] * y + one[1] * x) + phase)
        return plane_image(data.astype(np.float32), 0.02), _truth(np.vstack(both)), 2
    return make


def _truth(k: Floats) -> pd.DataFrame:
    length = np.hypot(*k.T)
    return pd.DataFrame({"k_per_nm": length, "d_spacing_nm": 1 / length, "amplitude": 1.0,
                         "angle_deg": np.degrees(np.arctan2(-k[:, 0], k[:, 1])) % 180})


def _tilted(rng: np.random.Generator) -> tuple[float, float]:
    angle = rng.uniform(0, 2 * np.pi)
    return 3.0 * np.sin(angle), 3.0 * np.cos(angle)


CASES: dict[str, Callable[[np.random.Generator], tuple[Image, pd.DataFrame, int]]] = {
    "HAADF, 10 nm": _crystal(),
    "HAADF, 5 counts": _crystal(counts=5.0),
    "HRTEM, film 0.1": _crystal(modality="TEM", film=0.1),
    "HRTEM, film 0.3": _crystal(modality="TEM", film=0.3),
    "HRTEM, defocus 20 nm": _crystal(modality="TEM", defocus_nm=20.0),
    "HRTEM ball 4 nm": _crystal(modality="TEM", particle_nm=4.0, film=0.05),
    "ball 2 nm": _crystal(particle_nm=2.0),
    "ball 2.5 nm, 0.05 nm/px": _crystal(particle_nm=2.5, pixel_size_nm=0.05),
    "ball 3 nm, 10 counts": _crystal(particle_nm=3.0, counts=10.0),
    "ball 4 nm, grainy film": _crystal(particle_nm=4.0, film=0.3),
    "rotation 0": _crystal(rotation_deg=0.0),
    "rotation 0, line noise 0.1": _crystal(rotation_deg=0.0, line_noise=0.1),
    "rotation 45": _crystal(rotation_deg=45.0),
    "frame 256 x 1024": _crystal(shape=(256, 1024)),
    "frame 1024 x 200": _crystal(shape=(1024, 200)),
    "thickness ramp 100 %": _crystal(thickness_ramp=1.0),
    "thickness ramp 190 %": _crystal(thickness_ramp=1.9),
    "ground 3x": _crystal(background_gradient=3.0),
    "tilt 3 deg": _crystal(tilt_deg=_tilted),
    "tilt 3 deg, 15 nm thick": _crystal(tilt_deg=_tilted, thickness_nm=15.0),
    "tilt 3 deg, HRTEM": _crystal(tilt_deg=_tilted, modality="TEM"),
    "drift 0.3 nm": _crystal(drift_nm=(0.2, 0.22)),
    "scan jumps 0.01 nm": _crystal(scan_noise_nm=0.01),
    "scan jumps 0.03 nm": _crystal(scan_noise_nm=0.03),
    "scan jumps 0.06 nm": _crystal(scan_noise_nm=0.06),
    "line noise 0.3": _crystal(line_noise=0.3),
    "affine 2 %": _crystal(distortion=((1.01, 0.01), (-0.01, 0.99))),
    "bent by 0.2 deg": _bent(np.radians(0.2)),
    "bent by 1 deg": _bent(np.radians(1.0)),
    "bent by 5 deg": _bent(np.radians(5.0)),
    "bicrystal, 3 deg": _crystal(grains=_side_by_side(3.0)),
    "bicrystal, 10 deg": _crystal(grains=_side_by_side(10.0)),
    "bicrystal, 30 deg": _crystal(grains=_side_by_side(30.0)),
    "two phases, PbS | Au": _crystal(grains=_side_by_side(20.0, "Au")),
    "touching balls, 15 deg": _crystal(grains=_overlapping(15.0, 6.0), shape=(640, 640)),
    "half overlapping balls, 15 deg": _crystal(grains=_overlapping(15.0, 3.0), shape=(640, 640)),
    "concentric balls, 15 deg": _crystal(grains=_overlapping(15.0, 0.0), shape=(640, 640)),
    "moire 5 deg": _moire(5.0),
    "moire 10 deg": _moire(10.0),
    "moire 20 deg": _moire(20.0),
    "moire 30 deg": _moire(30.0),
    "moire 45 deg": _moire(45.0),
    "moire 20 deg, second 1/5": _moire(20.0, 0.2),
    "nine touching balls": _crystal(grains=_many, shape=(700, 700)),
}


def trial(job: Job) -> list[dict[str, Any]]:
    """Measure one picture: a row for each true wave that should be seen, and one for the others."""
    name, seed = job
    image, true, n_grains = CASES[name](np.random.default_rng(seed))
    tables = lattice(image).tables
    found = tables["reflections"]
    strong = true[true["amplitude"] > STRONG * true["amplitude"].max()]
    k, waves_true, waves_strong = (wave_vectors(t) for t in (found, true, strong))
    side = min(image.data.shape) * image.axes[-1].pixel_size
    reach = 1.0 / np.minimum(found["domain_nm"].to_numpy(dtype=float), side) if len(found) else 0
    rows: list[dict[str, Any]] = []
    distance = apart(k, waves_strong) if len(found) else np.full((0, len(strong)), np.inf)
    for i, d in enumerate(strong["d_spacing_nm"]):
        row = {"case": name, "seen": False, "error": np.nan, "sigma": np.nan}
        close = np.flatnonzero(distance[:, i] < reach)
        if len(close):
            one = found.iloc[close[np.argmin(distance[close, i])]]
            row |= {"seen": True, "error": one["d_spacing_nm"] / d - 1,
                    "sigma": one["d_spacing_err_nm"] / d}
        rows.append(row)
    false = 0
    if len(found):
        false = int((apart(k, waves_true).min(axis=1) > 1.5 * reach).sum())
    rows[0] |= {"false": false, "grains": len(tables["grains"]), "true_grains": n_grains}
    return rows


def physics(n: int, only: str = "") -> pd.DataFrame:
    """All cases whose name holds `only`, `n` pictures each."""
    jobs = [(name, seed) for number, name in enumerate(CASES) if only in name
            for seed in seeds(n, 30000 + number)]
    rows = table([row for one in each(trial, jobs) for row in one])
    report = Report("physics", f"Crystals under other physics, {n} pictures each")
    report.add("recall: of waves of at least 0.3 of the strongest.  |dd|/d: median.  stated: median"
               " 1 sigma.  false: reflections a picture that are none of the crystal's.  grains: "
               "pictures with as many as there are.")
    report.add()
    for name, part in rows.groupby("case", sort=False):
        seen = part[part["seen"]]
        first = part[part["false"].notna()]
        right = int((first["grains"] == first["true_grains"]).sum())
        report.add(f"  {name:32s} recall {100 * part['seen'].mean():5.1f} %  |dd|/d "
                   f"{np.median(np.abs(seen['error'])) if len(seen) else np.nan:7.1e}  stated "
                   f"{np.median(seen['sigma']) if len(seen) else np.nan:7.1e}  false "
                   f"{first['false'].mean():5.2f}  grains {right:2d}/{len(first)} (mean "
                   f"{first['grains'].mean():4.1f})  "
                   f"{pull_line(seen['error'], seen['sigma'], np.full(len(seen), np.nan))}")
    report.save()
    return rows
