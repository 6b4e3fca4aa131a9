"""The pictures of the study: pixel size, crowding, noise, blur, contrast and kinds of bodies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from emtools import simulate
from emtools.errors import ParameterError

if TYPE_CHECKING:
    from emtools.simulate._truth import Simulated

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
    # Long chains first: the others find room on them to cross.
    "many crossings": {"shape": (2048, 2048), "n_chains": 20, "crossings": 12,
                       "n_dots": (110, 90, 70) + 17 * (26,), "clearance_nm": 2.5},
    "bent, 100 nm": {"persistence_length_nm": 100.0},
    "TEM 0.3 nm/px": {"modality": "TEM", "pixel_size_nm": 0.3},
    "TEM 0.5 nm/px, film 0.1": {"modality": "TEM", "film": 0.1},
    "TEM, defocus 400 nm": {"modality": "TEM", "pixel_size_nm": 0.3, "defocus_nm": 400.0},
    "superellipsoids": {"dot_shape": "superellipsoid"},
    "rods, 1.5": {"dot_shape": "cylinder", "elongation": 1.5},
    "cubes": {"dot_shape": "cube"},
    "dots 8 nm, spread 1 nm": {"diameter_nm": 8.0, "diameter_std_nm": 1.0},
    "not resolved, 1.6 nm/px": {"pixel_size_nm": 1.6, "n_dots": (20, 60), "counts": 400.0},
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
FIRST_SEED = 1000


def pictures(options: dict[str, Any], n: int) -> Iterator[Simulated | None]:
    """Yield `n` pictures, and None for each seed whose chains the simulator cannot place.

    Fewer where most seeds cannot be placed: at most twice as many are tried.
    """
    made = 0
    for seed in range(FIRST_SEED, FIRST_SEED + 2 * n):
        if made == n:
            return
        try:
            made_one = simulate.chains(**BASE | options | {"rng": seed})
        except ParameterError:
            yield None
            continue
        made += 1
        yield made_one
