"""Accuracy of chains over pixel size, crowding, noise, blur, contrast and kinds of bodies."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from chains_validation.matching import Tally, f1
from emtools import chains, simulate
from lattice_validation.scoring import share

# name -> options of the simulation, over those of `BASE`.
CASES: dict[str, dict[str, Any]] = {
    "detail 0.05 nm/px": {"pixel_size_nm": 0.05, "shape": (1024, 1024), "n_chains": 2,
                          "n_dots": (4, 7), "border_cuts": True},
    "detail 0.1 nm/px": {"pixel_size_nm": 0.1, "shape": (1024, 1024), "n_chains": 3,
                         "n_dots": (6, 12)},
    "detail 0.2 nm/px": {"pixel_size_nm": 0.2, "shape": (1024, 1024), "n_chains": 6,
                         "n_dots": (8, 20)},
    "overview 0.3 nm/px": {"pixel_size_nm": 0.3},
    "overview 0.5 nm/px": {"pixel_size_nm": 0.5, "n_chains": 12},
    "overview 0.7 nm/px": {"pixel_size_nm": 0.7, "n_chains": 20},
    "overview 1 nm/px": {"pixel_size_nm": 1.0, "n_chains": 30},
    "gap 0.3 nm": {"gap_nm": 0.3, "gap_std_nm": 0.05},
    "gap 0.5 nm": {"gap_nm": 0.5},
    "gap 1.7 nm": {"gap_nm": 1.6},
    "counts 400 (SNR 20)": {"counts": 400.0},
    "counts 20 (SNR 4)": {"counts": 20.0},
    "counts 6 (SNR 2)": {"counts": 6.0},
    "counts 3": {"counts": 3.0},
    "blur 0.6 nm": {"blur_nm": 0.6},
    "blur 1.2 nm": {"blur_nm": 1.2},
    "contrast 0.5": {"contrast": 0.5},
    "contrast 0.25": {"contrast": 0.25},
    "film 0.2": {"film": 0.2},
    "ground, slope 1": {"background_gradient": 1.0},
    "line noise 0.05": {"line_noise": 0.05},
    "contamination": {"blobs": 4},
    "border cuts": {"border_cuts": True, "n_chains": 10},
    "crossings": {"n_chains": 10, "crossings": 5},
    "crowded, 10 %": {"n_chains": 170, "border_cuts": True, "n_dots": (5, 15)},
    "crowded, 16 %": {"shape": (640, 640), "n_chains": 115, "border_cuts": True,
                      "n_dots": (4, 12), "clearance_nm": 2.5},
    "many crossings": {"shape": (1536, 1536), "n_chains": 50, "crossings": 20,
                       "n_dots": (12, 25), "border_cuts": True},
    "bent, 100 nm": {"persistence_length_nm": 100.0},
    "TEM 0.3 nm/px": {"modality": "TEM", "pixel_size_nm": 0.3},
    "TEM 0.5 nm/px, film 0.1": {"modality": "TEM", "film": 0.1},
    "TEM, defocus 400 nm": {"modality": "TEM", "pixel_size_nm": 0.3, "defocus_nm": 400.0},
    "superellipsoids": {"dot_shape": "superellipsoid"},
    "rods, 1.5": {"dot_shape": "cylinder", "elongation": 1.5},
    "cubes": {"dot_shape": "cube"},
    "dots 8 nm, spread 1 nm": {"diameter_nm": 8.0, "diameter_std_nm": 1.0},
    "not resolved, 2 nm/px": {"pixel_size_nm": 2.0, "n_dots": (20, 60), "counts": 400.0},
    "not resolved, blur 4 nm": {"pixel_size_nm": 1.0, "blur_nm": 5.0, "n_dots": (20, 60),
                                "n_chains": 10},
    "not resolved, crossings": {"pixel_size_nm": 2.0, "n_dots": (25, 45), "counts": 400.0,
                                "n_chains": 8, "crossings": 4, "isolated_dots": 0},
    **{f"not resolved, wires {name}": {
        "dot_shape": "cylinder", "gap_nm": 0.0, "gap_std_nm": 0.0, "diameter_std_nm": 0.0,
        "n_dots": (20, 40), "n_chains": 6, "isolated_dots": 0, **options}
       for name, options in {
           "0.5 nm/px": {},
           "0.25 nm/px": {"pixel_size_nm": 0.25, "n_dots": (10, 20), "n_chains": 4},
           "1 nm/px": {"pixel_size_nm": 1.0},
           "8 nm": {"diameter_nm": 8.0, "n_dots": (10, 20)},
           "blur 0.6 nm": {"blur_nm": 0.6},
           "blur 1.2 nm": {"blur_nm": 1.2},
           "contrast 0.5": {"contrast": 0.5},
           "counts 11 (noise x 3)": {"counts": 11.0},
           "bent, 100 nm": {"persistence_length_nm": 100.0, "border_cuts": True},
           "crossings": {"n_chains": 8, "crossings": 4, "shape": (2000, 2000)},
           "TEM": {"modality": "TEM"},
       }.items()},
}
BASE: dict[str, Any] = {"shape": (1024, 1024), "n_chains": 8, "n_dots": (12, 35),
                        "isolated_dots": 10, "pixel_size_nm": 0.5}


def line(name: str, values: list[tuple[float, float, float]]) -> str:
    """Return a line about the errors of one quantity."""
    error, sigma, true = np.array(values).T
    known = np.isfinite(error) & np.isfinite(sigma) & (sigma > 0)
    error, sigma, true = error[known], sigma[known], true[known]
    if not len(error):
        return f"    {name:18s} not measured"
    pull = error / sigma
    inside = share(int((np.abs(pull) < 1.96).sum()), len(pull))
    return (f"    {name:18s} n {len(pull):5d}  median |error| {np.median(np.abs(error)):.3f} nm = "
            f"{100 * np.median(np.abs(error / true)):.2f} %  bias {np.mean(error):+.3f} nm  "
            f"within 1.96 sigma {inside:22s} largest pull {np.abs(pull).max():.1f}")


def run(n: int, only: str = "") -> None:
    """Print the study over `n` pictures a case."""
    for name, options in CASES.items():
        if only and only not in name:
            continue
        tally, seconds = Tally(), 0.0
        for seed in range(n):
            image, truth = simulate.chains(**BASE | options | {"rng": 1000 + seed})
            start = time.perf_counter()
            tables = chains(image).tables
            seconds += time.perf_counter() - start
            tally.add(tables, truth)
        report(name, tally, seconds / n)


def report(name: str, tally: Tally, seconds: float) -> None:
    """Print what came out of one case."""
    crossed = tally.crossed
    print(f"  {name:26s} F1 of chains {f1(tally.chains):.3f} (found {tally.chains[0]}, true "
          f"{tally.chains[1]}, right {tally.chains[2]})  of dots {f1(tally.dots):.3f}"
          + (f"  crossing chains whole {crossed[1]} of {crossed[0]}" if crossed[0] else "")
          + (f"  gaps resolved {100 * np.mean(tally.resolved):.0f} %" if tally.resolved else "")
          + f"  {seconds:.2f} s", flush=True)
    for quantity, values in tally.errors.items():
        print(line(quantity, values), flush=True)
