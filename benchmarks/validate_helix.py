"""Double helices found among rows of dots: recall, bias, coverage, and false finds.

First the finder alone, on rows of dots whose strands were swapped, bounced off each other or broken
at crossings; then on what looks like a helix and is none; then the whole way from simulated images.
Takes about ten minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter1d

from emtools import chains, simulate
from emtools.measure.chains.helix import Helix, Strand, find_helices

STEP = 0.1
SPACING = 5.5
Rows = list[Strand]

POSITIVES: dict[str, dict[str, Any]] = {
    "pitch 30, radius 2.5, 4 turns": {"pitch": 30.0, "radius": 2.5, "turns": 4.0},
    "pitch 30, radius 8, 4 turns": {"pitch": 30.0, "radius": 8.0, "turns": 4.0},
    "pitch 60, radius 2.5": {"radius": 2.5},
    "pitch 60, radius 4": {},
    "pitch 60, radius 8": {"radius": 8.0},
    "pitch 100, radius 4": {"pitch": 100.0},
    "pitch 150, radius 2.5, 2 turns": {"pitch": 150.0, "radius": 2.5, "turns": 2.0},
    "pitch 150, radius 8, 2 turns": {"pitch": 150.0, "radius": 8.0, "turns": 2.0},
    "1.2 turns": {"turns": 1.2},
    "1.5 turns": {"turns": 1.5},
    "2 turns": {"turns": 2.0},
    "5 turns": {"turns": 5.0},
    "8 turns": {"turns": 8.0},
    "error of a dot 0.05 nm": {"noise": 0.05},
    "error of a dot 0.3 nm": {"noise": 0.3},
    "error of a dot 1 nm": {"noise": 1.0},
    "error of a dot stated half as large": {"noise": 0.2, "stated": 0.5},
    "axis on a circle of 100 nm": {"curvature": 0.01},
    "axis persistence length 400 nm": {"persistence": 400.0},
    "the same, 8 turns": {"persistence": 400.0, "turns": 8.0},
    "strands never swapped or broken": {"swap": 0.0, "cut": 0.0},
    "strands bounced at each crossing": {"swap": 1.0, "cut": 0.0},
    "strands broken at each crossing": {"swap": 0.5, "cut": 1.0},
    "half of the dots at crossings missing": {"missing": 0.5},
    "all dots at crossings missing": {"missing": 1.0},
    "dots at crossings seen as one": {"merged": 1.0},
    "pitch varies by 3 % (1 sigma)": {"variation": 0.03},
    "pitch varies by 10 % (1 sigma)": {"variation": 0.10},
    "a third chain crosses": {"crossed": True},
}
IMAGES: dict[str, dict[str, Any]] = {
    "pitch 60, radius 4": {},
    "pitch 60, radius 2.5": {"helix_radius_nm": 2.5},
    "pitch 60, radius 8": {"helix_radius_nm": 8.0},
    "pitch 40, radius 5": {"helix_pitch_nm": 40.0, "helix_radius_nm": 5.0, "helix_turns": 4.0},
    "pitch 100, radius 4, 2 turns": {"helix_pitch_nm": 100.0, "helix_turns": 2.0},
    "1.5 turns": {"helix_turns": 1.5},
    "0.25 nm a pixel": {"pixel_size_nm": 0.25, "shape": (1400, 1400)},
    "1 nm a pixel": {"pixel_size_nm": 1.0, "shape": (350, 350)},
    "20 counts": {"counts": 20.0},
    "no helix: 6 chains, 2 crossings": {"helices": 0, "n_chains": 6, "crossings": 2,
                                        "shape": (900, 900)},
}


def course(length: float, curvature: float, persistence: float, smooth: float,
           rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Axis and normals at even steps."""
    n = int(length / STEP) + 1
    turns = rng.standard_normal(n) * np.sqrt(STEP / persistence)
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(gaussian_filter1d(turns, smooth / STEP)
                                                  + curvature * STEP)
    axis = np.cumsum(STEP * np.stack([np.sin(angle), np.cos(angle)], axis=1), axis=0)
    return axis, np.stack([np.cos(angle), -np.sin(angle)], axis=1)


def beads(curve: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where along the samples of a curve in space its dots lie, and their centres (y, x)."""
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    at = np.arange(rng.uniform(0, SPACING), arc[-1], SPACING)
    at = np.clip(at + 0.2 * rng.standard_normal(len(at)), 0, arc[-1])
    samples = np.interp(at, arc, np.arange(len(arc)))
    return samples, np.stack([np.interp(at, arc, curve[:, i]) for i in (0, 1)], axis=1)


@dataclass(frozen=True)
class Case:
    """A double helix and how it is traced; lengths in nm."""

    pitch: float = 60.0
    radius: float = 4.0
    turns: float = 3.0
    noise: float = 0.1
    stated: float = 1.0
    curvature: float = 0.0
    persistence: float = np.inf
    swap: float = 0.5
    cut: float = 0.3
    missing: float = 0.0
    merged: float = 0.0
    variation: float = 0.0
    crossed: bool = False


def helix_rows(rng: np.random.Generator, case: Case) -> Rows:
    """The rows that a tracing makes of a double helix."""
    axis, normal = course(case.pitch * case.turns, case.curvature, case.persistence, case.radius,
                          rng)
    rate = np.full(len(axis), 2 * np.pi * STEP / case.pitch)
    if case.variation:
        white = rng.standard_normal(len(axis))
        wave = gaussian_filter1d(white, 0.5 * case.pitch / STEP, mode="wrap")
        rate *= 1 + case.variation * wave / wave.std()
        rate *= 2 * np.pi * case.turns / rate.sum()
    phase = rng.uniform(0, 2 * np.pi) + np.cumsum(rate)
    strands = []
    for start in (0.0, np.pi):
        across = case.radius * np.cos(phase + start)[:, None] * normal
        height = case.radius * np.sin(phase + start)
        strands.append(beads(np.column_stack([axis + across, height]), rng))
    crossings = np.flatnonzero(np.diff(np.sign(np.cos(phase))))
    pieces = traced(strands, crossings, case.swap, case.cut, rng)
    if len(crossings) and (case.missing or case.merged):
        pieces = spoilt(pieces, axis[crossings], case.missing, case.merged, rng)
    if case.crossed:
        pieces.append(straight_through(axis[len(axis) // 2], rng))
    return rows_of(pieces, case.noise, case.stated, rng)


def traced(strands: list[tuple[np.ndarray, np.ndarray]], crossings: np.ndarray, swap: float,
           cut: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Strands swapped or cut at crossings at random."""
    edges = np.concatenate([[-1], crossings, [10**9]])
    current: list[list[np.ndarray]] = [[], []]
    done = []
    for low, high in pairwise(edges):
        parts = [points[(at >= low) & (at < high)] for at, points in strands]
        if low >= 0 and rng.uniform() < swap:
            parts.reverse()
            strands = strands[::-1]
        for i in (0, 1):
            if low >= 0 and rng.uniform() < cut:
                done.append(current[i])
                current[i] = []
            current[i].append(parts[i])
    return [np.vstack(piece) for piece in [*done, *current] if sum(map(len, piece))]


def spoilt(pieces: list[np.ndarray], places: np.ndarray, missing: float, merged: float,
           rng: np.random.Generator) -> list[np.ndarray]:
    """Dots near crossings left out, or two that overlap seen as one half-way."""
    everything = np.vstack(pieces)
    left = []
    for piece in pieces:
        near = np.linalg.norm(piece[:, None] - places[None], axis=-1).min(axis=1) < 4.0
        kept = ~(near & (rng.uniform(size=len(piece)) < missing))
        if merged:
            apart = np.linalg.norm(piece[:, None] - everything[None], axis=-1)
            apart[apart == 0] = np.inf
            close = (apart.min(axis=1) < 2.7) & (rng.uniform(size=len(piece)) < merged)
            middle = 0.5 * (piece + everything[apart.argmin(axis=1)])
            left.append(np.where(close[:, None], middle, piece)[kept])
        else:
            left.append(piece[kept])
    return [piece for piece in left if len(piece)]


def rows_of(pieces: list[np.ndarray], noise: float, stated: float,
            rng: np.random.Generator) -> Rows:
    return [Strand(piece + noise * rng.standard_normal(piece.shape),
                   np.full(len(piece), stated * noise)) for piece in pieces]


def straight_through(place: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    along = SPACING * (np.arange(24) - 11.5)[:, None]
    return place + along * np.array([np.sin(angle), np.cos(angle)])


# ---- what is no helix ---------------------------------------------------------------------------


def beside(offsets: list[np.ndarray], persistence: float, rng: np.random.Generator) -> Rows:
    """Rows at offsets, functions of the arc length, beside a common worm-like line."""
    axis, normal = course(STEP * (len(offsets[0]) - 1) + 1e-6, 0.0, persistence, 5.0, rng)
    pieces = [beads(axis + offset[: len(axis), None] * normal, rng)[1] for offset in offsets]
    return rows_of(pieces, 0.2, 1.0, rng)


def samples(rng: np.random.Generator) -> np.ndarray:
    return STEP * np.arange(int(rng.uniform(100, 400) / STEP))


def parallel_pair(rng: np.random.Generator) -> Rows:
    s, apart = samples(rng), rng.uniform(5, 16)
    return beside([0 * s, 0 * s + apart], 300.0, rng)


def parallel_waves(rng: np.random.Generator) -> Rows:
    s, apart = samples(rng), rng.uniform(5, 12)
    wave = rng.uniform(2, 8) * np.sin(2 * np.pi * s / rng.uniform(30, 150))
    return beside([wave, wave + apart], np.inf, rng)


def single_wave(rng: np.random.Generator) -> Rows:
    s = samples(rng)
    return beside([rng.uniform(2, 8) * np.sin(2 * np.pi * s / rng.uniform(30, 150))], 400.0, rng)


def wave_and_line(rng: np.random.Generator) -> Rows:
    s = samples(rng)
    return beside([rng.uniform(2, 8) * np.sin(2 * np.pi * s / rng.uniform(30, 150)), 0 * s],
                  400.0, rng)


def unrelated_waves(rng: np.random.Generator) -> Rows:
    s = samples(rng)
    offsets = []
    for _ in range(2):
        wave = gaussian_filter1d(rng.standard_normal(len(s)), rng.uniform(8, 30) / STEP)
        offsets.append(rng.uniform(2, 8) * wave / wave.std())
    return beside(offsets, 400.0, rng)


def one_crossing(rng: np.random.Generator) -> Rows:
    pieces = []
    for angle in (0.0, np.radians(rng.uniform(5, 90))):
        n = int(rng.integers(12, 50))
        along = SPACING * (np.arange(n) - 0.5 * n)[:, None]
        pieces.append(along * np.array([np.sin(angle), np.cos(angle)]))
    return rows_of(pieces, 0.2, 1.0, rng)


def crowd(rng: np.random.Generator) -> Rows:
    """Thirty worm-like chains strewn over 300 nm."""
    pieces = []
    for _ in range(30):
        line, _ = course(rng.uniform(60, 250), 0.0, rng.choice([30.0, 100.0, 400.0]), 3.0, rng)
        pieces.append(beads(line + rng.uniform(0, 300, 2), rng)[1])
    return rows_of(pieces, 0.2, 1.0, rng)


def two_worms(rng: np.random.Generator) -> Rows:
    """Two flexible chains from nearly the same place in nearly the same direction."""
    pieces = []
    for _ in range(2):
        line, _ = course(200.0, 0.0, rng.uniform(30, 300), 3.0, rng)
        line = line - line[0]
        angle = np.arctan2(*(line[500] - line[0])) + np.radians(10) * rng.standard_normal()
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        pieces.append(beads(line @ turn + rng.uniform(-4, 4, 2), rng)[1])
    return rows_of(pieces, 0.2, 1.0, rng)


NEGATIVES: dict[str, Callable[[np.random.Generator], Rows]] = {
    "parallel pairs": parallel_pair,
    "pairs of waves in step": parallel_waves,
    "single waves": single_wave,
    "a wave about a line": wave_and_line,
    "two unrelated waves": unrelated_waves,
    "single crossings": one_crossing,
    "two flexible chains side by side": two_worms,
    "crowds of 30 chains": crowd,
}


# ---- report -------------------------------------------------------------------------------------


def statement(found: list[Helix], pitch: float, radius: float) -> str:
    """Error, bias and coverage of pitch and radius."""
    words = []
    for name, true in (("pitch", pitch), ("radius", radius)):
        value = np.array([getattr(helix, name) for helix in found])
        err = np.array([getattr(helix, f"{name}_err") for helix in found])
        pull = (value - true) / err
        words.append(f"{name} off {100 * (np.median(value) / true - 1):+6.2f} % "
                     f"rms {100 * np.sqrt(np.mean((value / true - 1) ** 2)):5.2f} % "
                     f"within 1.96 sigma {100 * np.mean(np.abs(pull) < 1.96):5.1f} % "
                     f"largest pull {np.abs(pull).max():4.1f}")
    return "   ".join(words)


def positives(n: int) -> None:
    print(f"helices of pitch 60, radius 4, 3 turns, error of a dot 0.1 nm, strands swapped at half "
          f"of the crossings and cut at 30 %, but for what is said; n = {n} each")
    every: list[tuple[float, float]] = []
    for name, options in POSITIVES.items():
        found: list[Helix] = []
        extra = 0
        case = Case(**options)
        pitch, radius = case.pitch, case.radius
        for seed in range(n):
            helices = find_helices(helix_rows(np.random.default_rng(seed), case))
            found += helices[:1]
            extra += len(helices) > 1
        more = f"   found twice {extra}" if extra else ""
        print(f"  {name:38s} found {100 * len(found) / n:5.1f} %   "
              f"{statement(found, pitch, radius) if found else ''}{more}", flush=True)
        every += [((one.pitch - pitch) / one.pitch_err, (one.radius - radius) / one.radius_err)
                  for one in found]
    inside = 100 * np.mean(np.abs(np.array(every)) < 1.96, axis=0)
    print(f"  all: n {len(every)}   within 1.96 sigma: pitch {inside[0]:.1f} %, "
          f"radius {inside[1]:.1f} %")


def negatives(n: int) -> None:
    print("what is no helix: how many were taken for one, at false-alarm rates")
    for name, make in NEGATIVES.items():
        most = n // 10 if make is crowd else n
        chances = [helix.false_alarm for seed in range(most)
                   for helix in find_helices(make(np.random.default_rng(seed)), 0.01)[:1]]
        words = "   ".join(f"{rate:g}: {sum(p <= rate for p in chances):3d}"
                           for rate in (0.01, 0.001, 1e-4))
        print(f"  {name:38s} n {most:4d}   {words}", flush=True)


def rows_in(result: Any) -> Rows:
    """Rows of dots as a measurement traced them, and the dots left over one by one."""
    dots = result.tables["dots"]
    places = dots[["y_nm", "x_nm"]].to_numpy()
    err = 0.05 * np.ones(len(dots))
    rows = [np.flatnonzero(dots["chain"] == chain) for chain in sorted(set(dots["chain"]) - {0})]
    rows += [np.array([i]) for i in np.flatnonzero(dots["chain"] == 0)]
    return [Strand(places[row], err[row]) for row in rows]


def images(n: int) -> None:
    print(f"from images of one helix and two chains (0.5 nm a pixel, 100 counts, axis persistence "
          f"length 400 nm, gaps 1 nm): rows as traced by the chains measurement; n = {n} each")
    for name, options in IMAGES.items():
        found, extra = [], 0
        basis = {"shape": (700, 700), "n_chains": 2, "n_dots": (12, 20), "helices": 1}
        for seed in range(n):
            image, truth = simulate.chains(**basis | options | {"rng": seed})
            helices = find_helices(rows_in(chains(image)))
            found += helices[:1]
            extra += len(helices) > 1
        true = truth["chains"].iloc[-1]
        words = statement(found, true["helix_pitch_nm"], true["helix_radius_nm"]) \
            if found and "helix" in true else ""
        more = f"   found twice {extra}" if extra else ""
        print(f"  {name:38s} found {100 * len(found) / n:5.1f} %   {words}{more}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--helices", type=int, default=100, help="of each kind")
    parser.add_argument("--others", type=int, default=300, help="of each kind; crowds a tenth")
    parser.add_argument("--images", type=int, default=12, help="of each kind")
    given = parser.parse_args()
    positives(given.helices)
    negatives(given.others)
    images(given.images)


if __name__ == "__main__":
    main()
