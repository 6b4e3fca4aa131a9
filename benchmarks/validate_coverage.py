"""How often the stated uncertainties hold the truth, on simulated images varied in their physics.

Prints, for each condition: how many values, the median error, the part within 1.96 sigma (95 % is
right), and the largest pull.  Takes a few minutes on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from emtools import chains, lattice, simulate

LATTICE: dict[str, dict[str, Any]] = {
    "HAADF, 0.02 nm/px": {},
    "HAADF, 0.04 nm/px, few counts": {"pixel_size_nm": 0.04, "counts": 10.0},
    "HAADF, particle of 5 nm": {"particle_nm": 5.0},
    "HAADF, particle of 3 nm": {"particle_nm": 3.0},
    "TEM, film": {"modality": "TEM", "film": 0.1},
    "Au [011]": {"phase": "Au", "zone_axis": (0, 1, 1)},
    "CuInS2 [001]": {"phase": "CuInS2", "zone_axis": (0, 0, 1)},
}
CHAINS: dict[str, dict[str, Any]] = {
    "HAADF, 0.5 nm/px": {},
    "gap 0.5 nm": {"gap_nm": 0.5},
    "0.25 nm/px": {"pixel_size_nm": 0.25, "n_chains": 3},
    "1 nm/px": {"pixel_size_nm": 1.0},
    "2 nm/px, dots not resolved": {"pixel_size_nm": 2.0, "n_dots": (20, 40), "counts": 400.0},
    "blur 0.8 nm": {"blur_nm": 0.8},
    "few counts": {"counts": 20.0},
    "uneven ground": {"background_gradient": 0.5},
    "TEM with Fresnel fringes": {"modality": "TEM", "pixel_size_nm": 0.3},
    "superellipsoids (exponent 4)": {"dot_shape": "superellipsoid"},
}


def statement(error: np.ndarray, sigma: np.ndarray) -> str:
    known = np.isfinite(error) & np.isfinite(sigma) & (sigma > 0)
    if not known.any():
        return "not measured"
    pull = error[known] / sigma[known]
    return (f"n {known.sum():5d}   median |error| {np.median(np.abs(error[known])):.2g}   "
            f"bias/sigma {np.median(pull):+5.2f}   within 1.96 sigma "
            f"{100 * np.mean(np.abs(pull) < 1.96):5.1f} %   largest pull {np.abs(pull).max():.1f}")


def nearest(found: pd.DataFrame, truth: pd.DataFrame, columns: list[str]) -> np.ndarray:
    distance = np.linalg.norm(found[columns].to_numpy()[:, None]
                              - truth[columns].to_numpy()[None], axis=-1)
    return distance.argmin(axis=1)


def lattice_errors(options: dict[str, Any], seeds: int) -> Iterator[tuple[float, float]]:
    for seed in range(seeds):
        image, truth = simulate.crystal(**{"rotation_deg": 7.3 * seed, "rng": seed} | options)
        rows = lattice(image).tables["reflections"]
        true = truth["reflections"]
        for _, row in rows.iterrows():
            turn = np.abs(true["angle_deg"] - row["angle_deg"])
            off = np.abs(true["d_spacing_nm"] / row["d_spacing_nm"] - 1)
            off += np.radians(np.minimum(turn, 180 - turn))
            match = true.loc[off.idxmin()]
            yield row["d_spacing_nm"] - match["d_spacing_nm"], row["d_spacing_err_nm"]


def chain_errors(
    options: dict[str, Any], seeds: int
) -> dict[str, list[tuple[float, float]]]:
    errors: dict[str, list[tuple[float, float]]] = {}
    base = {"shape": (512, 512), "n_chains": 4, "n_dots": (8, 15)}
    for seed in range(seeds):
        image, truth = simulate.chains(**base | options | {"rng": seed})
        found = chains(image).tables
        pairs = {"dots": [("diameter_nm", "diameter_err_nm")], "gaps": [("gap_nm", "gap_err_nm")]}
        for table, columns in pairs.items():
            if len(found[table]):
                add(errors, found[table], truth[table], columns)
        if len(found["chains"]):
            middle = [t["axes"].groupby("chain")[["y_nm", "x_nm"]].mean() for t in (found, truth)]
            joined = [t["chains"].set_index("chain").join(m).reset_index()
                      for t, m in zip((found, truth), middle, strict=True)]
            add(errors, joined[0], joined[1],
                [("width_nm", "width_err_nm"), ("length_nm", "length_err_nm")])
    return errors


def add(
    errors: dict[str, list[tuple[float, float]]], found: pd.DataFrame, truth: pd.DataFrame,
    columns: list[tuple[str, str]],
) -> None:
    match = nearest(found, truth, ["y_nm", "x_nm"])
    for value, err in columns:
        off = found[value].to_numpy() - truth[value].to_numpy()[match]
        errors.setdefault(value, []).extend(zip(off, found[err], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=16)
    seeds = parser.parse_args().seeds
    print(f"lattice: d-spacings, {seeds} images each")
    for name, options in LATTICE.items():
        pairs = np.array(list(lattice_errors(options, seeds))).reshape(-1, 2)
        print(f"  {name:32s} {statement(pairs[:, 0], pairs[:, 1])}", flush=True)
    print(f"chains, {seeds // 4} images each")
    for name, options in CHAINS.items():
        print(f"  {name}")
        for value, pairs in chain_errors(options, seeds // 4).items():
            both = np.array(pairs)
            print(f"    {value:14s} {statement(both[:, 0], both[:, 1])}", flush=True)


if __name__ == "__main__":
    main()
