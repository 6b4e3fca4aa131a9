"""How often the test of attachment rejects: its level under three kinds of chance, and its power.

The level and the power are of the test alone, on made-up directions of normals and axes (no
images): so many chains with so many grains, cubic crystals seen along [001] (two {200} normals),
along [011] (one) or both.  A line of it: how the lattices lie to the chains, what part of so many
repetitions has p <= 0.05, with the 95 % binomial interval around 0.05 where it should be that;
how often the 95 % interval of the order parameter holds the true one.  Then whole images.
Takes about five minutes on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

from emtools import simulate
from emtools.measure import Run
from emtools.measure.attachment.orientation import against_random

CHAINS = {"1 chain of 10": (10,), "3 chains of 4": (4,) * 3, "6 of 2 to 20": (2, 3, 5, 8, 12, 20),
          "15 chains of 5": (5,) * 15}
ZONES = {"[001]": (0.0, 90.0), "[011]": (0.0,), "both": None}
RATE = 0.05


class Grains(NamedTuple):
    """Made-up directions, as the measurement would find them."""

    normals: list[np.ndarray]
    axes: list[float]
    errors: list[float]
    chain: list[int]


def made_up(
    sizes: tuple[int, ...], zone: tuple[float, ...] | None, turns: Callable[[int], np.ndarray],
    rng: np.random.Generator, error: float = 1.0,
) -> Grains:
    """Chains that bend, with lattices turned against their axes, measured with an error."""
    found = Grains([], [], [], [])
    for number, size in enumerate(sizes):
        axes = rng.uniform(0, 180) + np.cumsum(rng.normal(0, 8.0, size))
        for axis, turn in zip(axes, turns(size), strict=True):
            own = zone or [(0.0, 90.0), (0.0,)][rng.integers(2)]
            normals = axis + turn + np.array(own) + rng.normal(0, error)
            found.normals.append(normals % 180.0)
            found.axes.append(float(axis % 180.0))
            found.errors.append(error)
            found.chain.append(number)
    return found


def chance(kind: str, rng: np.random.Generator) -> Callable[[int], np.ndarray]:
    """Turns of a chain's lattices that have nothing to do with its axis."""
    if kind == "each grain at random":
        return lambda n: rng.uniform(0, 180, n)
    spread = {"chains at random, grains agree within 5": 5.0,
              "chains at random, grains agree within 20": 20.0}[kind]
    return lambda n: rng.uniform(0, 180) + rng.normal(0, spread, n)


KINDS = ("each grain at random", "chains at random, grains agree within 5",
         "chains at random, grains agree within 20")


def rejected(
    sizes: tuple[int, ...], zone: tuple[float, ...] | None,
    turns: Callable[[int], np.ndarray], repeats: int, rng: np.random.Generator,
    error: float = 1.0,
) -> tuple[int, np.ndarray]:
    """How often the test rejects, and order parameters with their intervals."""
    verdicts = [against_random(*made_up(sizes, zone, turns, rng, error), 999, rng)
                for _ in range(repeats)]
    return (sum(v.p_value <= RATE for v in verdicts),
            np.array([(v.order, v.low, v.high) for v in verdicts]))


def level(repeats: int, rng: np.random.Generator) -> None:
    low, high = stats.binom.interval(0.95, repeats, RATE)
    print(f"level: rejected at {RATE} in {repeats} repetitions; {low / repeats:.3f} to "
          f"{high / repeats:.3f} is right")
    for kind in KINDS:
        for said, sizes in CHAINS.items():
            rates = []
            for zone, normals in ZONES.items():
                hits, _ = rejected(sizes, normals, chance(kind, rng), repeats, rng)
                mark = " " if low <= hits <= high else "!"
                rates.append(f"{zone} {hits / repeats:.3f}{mark}")
            print(f"  {kind:42s}{said:18s}{'   '.join(rates)}", flush=True)
    hits, _ = rejected((4,) * 3, (0.0, 90.0), chance(KINDS[0], rng), repeats, rng, error=15.0)
    print(f"  {KINDS[0]:42s}{'3 chains of 4':18s}[001] {hits / repeats:.3f}    angles known to 15 "
          "degrees")


def power(repeats: int, rng: np.random.Generator) -> None:
    print(f"power, <200> along the axis within a spread, {repeats} repetitions; order parameter: "
          "true, mean, how often in its 95 % interval")
    for spread in (5.0, 10.0, 20.0):
        for said, sizes in CHAINS.items():
            cells = []
            for zone, normals in ZONES.items():
                if normals is None:
                    continue
                hits, found = rejected(sizes, normals, lambda n: rng.normal(0, spread, n),  # noqa: B023
                                       repeats, rng)
                fold = 180.0 / len(normals)
                true = np.exp(-0.5 * (2 * np.pi * spread / fold) ** 2)
                held = np.mean((found[:, 1] <= true) & (true <= found[:, 2]))
                cells.append(f"{zone} {hits / repeats:.3f} (order {true:.2f}, "
                             f"{found[:, 0].mean():.2f}, {held:.2f})")
            print(f"  spread {spread:2.0f} degrees  {said:18s}{'   '.join(cells)}", flush=True)


def images(seeds: int) -> None:
    print(f"whole images, {seeds} each: two chains of 5 or 6 dots, PbS along [001], 0.04 nm "
          "pixels, tilts of 4 degrees")
    for orientation in ("attached", "chain", "random"):
        hits, grains, measured = 0, 0, []
        for seed in range(seeds):
            image, _ = simulate.chains(
                shape=(900, 1200), pixel_size_nm=0.04, n_chains=2, n_dots=(5, 6), lattice="PbS",
                lattice_tilt_deg=4.0, lattice_orientation=orientation, blur_nm=0.1, counts=60,
                background=0.15, rng=seed)
            result = Run(image, {"lattice": {"phases": ("PbS",)}}).result("attachment")
            grains += len(result.tables["angles"])
            if "p_value" in result.summary:
                hits += result.summary["p_value"] <= RATE
                measured.append(result.summary["order_parameter"].value)
        mean = f"mean order parameter {np.mean(measured):+.2f}" if measured else ""
        print(f"  {orientation:10s}p <= {RATE} in {hits} of {len(measured)} tested images, "
              f"{grains} grains in all, {mean}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=12)
    arguments = parser.parse_args()
    rng = np.random.default_rng(20)
    level(arguments.repeats, rng)
    power(arguments.repeats, rng)
    images(arguments.seeds)


if __name__ == "__main__":
    main()
