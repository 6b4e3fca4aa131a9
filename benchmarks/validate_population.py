"""How well populations of chains are known: bias and coverage on made-up tables, rates of verdicts.

Geometry only: chains of known length and stiffness lie at random in the plane, frames show what
they show of them (long chains are met more often, and cut by the border), and the tables are what
`emtools.chains` would have measured.  A line of it: the truth, what was estimated in so many
made-up populations, and how often the 95 % interval held the truth (with the binomial 95 % range
of that rate for a right interval).  Takes about twenty minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers share two cores

import numpy as np
import pandas as pd
from scipy import stats

from emtools.population import Frame, compare, pair_correlation
from emtools.population.clustering import clark_evans, side_by_side
from emtools.population.frames import pool
from emtools.population.gaps import gap_quantity
from emtools.population.lengths import length_quantities
from emtools.population.order import order_quantities
from emtools.population.pattern import area_fraction, number_density
from emtools.population.persistence import persistence_quantity
from emtools.population.spread import at_full, draws, estimate

SIDE, WIDTH, GAP = 500.0, 5.0, 1.0
PITCH = WIDTH + GAP
FEWEST = 3  # dots of a chain, and widths of a line
Lengths = Callable[[np.random.Generator, int], np.ndarray]


def exponential(median: float) -> Lengths:
    return lambda rng, n: rng.exponential(median / np.log(2.0), n)


def lognormal(median: float) -> Lengths:
    return lambda rng, n: median * np.exp(rng.normal(0.0, 0.6, n))


def fixed(length: float) -> Lengths:
    return lambda rng, n: length + rng.normal(0.0, 1.0, n)


@dataclass
class Kind:
    """Chains of a kind: shapes, each with its place relative to its own corner."""

    length: Lengths
    persistence: float = np.inf
    dots: bool = False
    noise: float = 0.0
    aligned: float = 0.0  # 1 sigma of the direction in degrees; 0: at random
    shapes: list[np.ndarray] = field(default_factory=list)
    lengths: np.ndarray = field(default_factory=lambda: np.zeros(0))
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))

    def filled(self, rng: np.random.Generator, n: int = 3000) -> Kind:
        """The same with `n` shapes: these, as often as each other, are the true population."""
        drawn = np.minimum(self.length(rng, n), 30.0 * SIDE)
        step = PITCH if self.dots else WIDTH
        for length in drawn[drawn >= FEWEST * step]:
            count = max(round(length / step), FEWEST)
            self._add(rng, count if self.dots else count + 1, length if not self.dots else None)
        self.lengths = np.array([self._length(shape) for shape in self.shapes])
        self.boxes = np.array([np.ptp(shape, axis=0) for shape in self.shapes])
        return self

    def _add(self, rng: np.random.Generator, n_points: int, length: float | None) -> None:
        step = PITCH if length is None else length / (n_points - 1)
        # The arc is followed in finer steps than the points: a chord is shorter than its arc.
        fine = 4
        start = rng.uniform(0, 2 * np.pi) if not self.aligned else \
            np.radians(rng.normal(30.0, self.aligned)) + np.pi * rng.integers(2)
        bends = rng.normal(0.0, np.sqrt(step / fine / self.persistence), fine * (n_points - 1))
        angle = start + np.cumsum(bends)
        path = np.cumsum(step / fine * np.stack([-np.sin(angle), np.cos(angle)], axis=-1), axis=0)
        points = np.concatenate([[[0.0, 0.0]], path[fine - 1::fine]])
        self.shapes.append(points - points.min(axis=0))

    def _length(self, shape: np.ndarray) -> float:
        arc = float(np.hypot(*np.diff(shape, axis=0).T).sum())
        return arc + WIDTH if self.dots else arc

    def density(self, chains_seen: float, side: float = SIDE) -> float:
        """Chains in a unit area such that a frame shows about so many."""
        return chains_seen / (side**2 + 4 / np.pi * side * float(self.lengths.mean()))

    def frame(
        self, rng: np.random.Generator, density: float, shape: tuple[float, float] = (SIDE, SIDE),
        **labels: str,
    ) -> Frame:
        """What a frame shows of chains at random in the plane."""
        room = np.prod(np.array(shape) + 2 * WIDTH + self.boxes, axis=1)
        count = rng.poisson(density * room.mean())
        chosen = rng.choice(len(self.shapes), count, p=room / room.sum())
        tables = Tables()
        for number in chosen:
            corner = rng.uniform(-WIDTH - self.boxes[number], np.array(shape) + WIDTH)
            # Turned over as often as not, so that a shape that is used twice is not the same.
            points = self.shapes[number][:: rng.choice([-1, 1])] + corner
            add = tables.add_dots if self.dots else tables.add_lines
            add(points, shape, rng, self.noise)
        return Frame(tables.frames(), shape, **labels)


class Tables:
    """The tables of one image, under way."""

    def __init__(self) -> None:
        self.chains: list[dict] = []
        self.axes: list[np.ndarray] = []
        self.dots: list[np.ndarray] = []

    def add_lines(self, points, shape, rng, noise) -> None:
        """What the frame shows of a line: pieces that end at the border, or where the line ends."""
        for piece in _clipped(points, np.array(shape)):
            length = float(np.hypot(*np.diff(piece, axis=0).T).sum())
            if length < FEWEST * WIDTH:
                continue
            room = np.minimum(piece[[0, -1]], np.array(shape) - piece[[0, -1]]).min(axis=1)
            s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(piece, axis=0).T))])
            noisy = piece + rng.normal(0.0, noise, piece.shape)
            self._add(noisy, s, length, 0, bool((room <= 0.5 * WIDTH).any()))

    def add_dots(self, points, shape, rng, noise) -> None:
        """What the frame shows of a row of dots: those of which 0.4 lie in it, at least three."""
        seen = ((points >= -0.1 * WIDTH) & (points <= np.array(shape) + 0.1 * WIDTH)).all(axis=1)
        breaks = np.flatnonzero(np.diff(np.concatenate([[False], seen, [False]]).astype(int)))
        for start, stop in zip(breaks[::2], breaks[1::2], strict=True):
            if stop - start < FEWEST:
                continue
            piece = points[start:stop]
            half = 0.5 * WIDTH
            room = [_room(piece[0], piece[0] - piece[1], shape),
                    _room(piece[-1], piece[-1] - piece[-2], shape)]
            cut = np.array(room) < half + GAP + 0.4 * WIDTH
            caps = np.clip(room, -half, half)
            beside = np.minimum(piece, np.array(shape) - piece).min() < half
            noisy = piece + rng.normal(0.0, noise, piece.shape)
            s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(piece, axis=0).T))])
            self._add(noisy, s + caps[0], float(s[-1] + caps.sum()), len(piece),
                      bool(cut.any() or beside))
            self.dots.append(np.column_stack([np.full(len(noisy), len(self.chains)), noisy]))

    def _add(self, points, s, length, n_dots, touches) -> None:
        number = len(self.chains) + 1
        self.chains.append({
            "chain": number, "length_nm": length, "width_nm": WIDTH, "width_err_nm": 0.1,
            "aspect_ratio": length / WIDTH, "n_dots": n_dots, "touches_edge": touches,
            "gap_nm": GAP if n_dots else np.nan, "pitch_nm": PITCH if n_dots else np.nan,
            "pitch_err_nm": 0.05 if n_dots else np.nan})
        self.axes.append(np.column_stack([np.full(len(s), number), s, points]))

    def frames(self) -> dict[str, pd.DataFrame]:
        """The four tables."""
        chains = pd.DataFrame(self.chains, columns=[
            "chain", "length_nm", "width_nm", "width_err_nm", "aspect_ratio", "n_dots",
            "touches_edge", "gap_nm", "pitch_nm", "pitch_err_nm"])
        axes = np.concatenate(self.axes) if self.axes else np.zeros((0, 4))
        dots = np.concatenate(self.dots) if self.dots else np.zeros((0, 3))
        return {"chains": chains, "gaps": gaps_table(np.zeros(0), np.zeros(0)),
                "axes": pd.DataFrame(axes, columns=["chain", "s_nm", "y_nm", "x_nm"]).assign(
                    width_nm=WIDTH),
                "dots": dots_table(dots[:, 1:], dots[:, 0])}


def dots_table(places: np.ndarray, chain: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({
        "chain": np.broadcast_to(np.asarray(chain, dtype=int), len(places)),
        "y_nm": places[:, 0], "x_nm": places[:, 1],
        "diameter_nm": WIDTH, "diameter_err_nm": 0.2, "length_nm": WIDTH, "width_nm": WIDTH,
        "touches_edge": False})


def gaps_table(values: np.ndarray, errors: np.ndarray) -> pd.DataFrame:
    """Measured gaps: resolved where they are three of their errors wide."""
    resolved = values > 3.0 * errors
    return pd.DataFrame({
        "chain": np.zeros(len(values), dtype=int), "gap_nm": values, "gap_err_nm": errors,
        "gap_limit_nm": np.where(resolved, np.nan, np.maximum(values, 0.0) + 1.645 * errors),
        "resolved": resolved})


def _room(place, along, shape) -> float:
    along = along / np.hypot(*along)
    far = np.where(along > 0, np.array(shape), 0.0) - place
    return float((far / np.where(along == 0, 1e-12, along)).min())


def _clipped(points: np.ndarray, shape: np.ndarray) -> Iterator[np.ndarray]:
    """Pieces of a path in the frame, with their ends on the border."""
    inside = ((points >= 0) & (points <= shape)).all(axis=1)
    breaks = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
    for start, stop in zip(breaks[::2], breaks[1::2], strict=True):
        piece = [points[start:stop]]
        if start > 0:
            piece.insert(0, _crossing(points[start], points[start - 1], shape)[None])
        if stop < len(points):
            piece.append(_crossing(points[stop - 1], points[stop], shape)[None])
        yield np.concatenate(piece)


def _crossing(inner, outer, shape) -> np.ndarray:
    along = outer - inner
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(along > 0, (shape - inner) / along, np.where(along < 0, -inner / along, 2))
    return inner + min(float(part.min()), 1.0) * along


_trial: Callable[[int], tuple[float, ...]]


def _run(seed: int) -> tuple[float, ...]:
    return _trial(seed)


def repeated(trial: Callable[[int], tuple[float, ...]], repeats: int) -> np.ndarray:
    """What a trial gives for so many seeds, on two cores."""
    global _trial  # noqa: PLW0603  the workers inherit it: a kind of chains is too much to send
    _trial = trial
    with get_context("fork").Pool(2) as workers:
        return np.array(workers.map(_run, range(repeats), chunksize=5), dtype=float)


# Lengths -----------------------------------------------------------------------------------------

LENGTHS: dict[str, tuple[Kind, int]] = {}
for _name, _kind in {"exponential": exponential, "lognormal": lognormal}.items():
    for _part in (0.2, 0.5, 1.0, 3.0):
        LENGTHS[f"{_name}, median {_part:.1f} sides, straight"] = (Kind(_kind(_part * SIDE)), 12)
LENGTHS |= {
    "exponential, median 1.0 sides, P 300": (Kind(exponential(SIDE), 300.0), 12),
    "lognormal, median 1.0 sides, P 100": (Kind(lognormal(SIDE), 100.0), 12),
    "lognormal, median 0.5 sides, dots, P 1000": (Kind(lognormal(0.5 * SIDE), 1000.0, True), 12),
    "fixed 400 nm, straight": (Kind(fixed(400.0)), 12),
    "fixed 400 nm, dots, P 500": (Kind(fixed(400.0), 500.0, True), 12),
    "lognormal, median 0.5 sides, 4 images": (Kind(lognormal(0.5 * SIDE)), 4),
    "lognormal, median 0.5 sides, 1 image": (Kind(lognormal(0.5 * SIDE)), 1),
    "lognormal, median 0.5 sides, 40 images": (Kind(lognormal(0.5 * SIDE)), 40),
}


def length_trial(kind: Kind, images: int, seed: int) -> tuple[float, ...]:
    """Median and restricted mean with their intervals, the naive medians, and the reach's truth."""
    rng = np.random.default_rng(seed)
    density = kind.density(80.0 if images == 1 else 25.0)
    frames = tuple(kind.frame(rng, density) for _ in range(images))
    pooled = pool(frames)
    quantity = length_quantities(pooled)[0]
    lengths = pooled.column("chains", "length_nm")
    cut = pooled.chains["touches_edge"].to_numpy(dtype=bool)
    naive = (_plain_median(lengths, ~cut), float(np.median(lengths[~cut])) if (~cut).any()
             else np.nan)
    if quantity.statistic is None or quantity.median_interval is None:
        return (np.nan,) * 7 + naive + (np.nan,)
    weights = draws(pooled, rng, 400)
    middle = quantity.median_interval(weights, 0.95)
    mean = estimate(quantity, weights, 0.95)
    reach = quantity.statistic.__self__.reach  # of the survival that it belongs to
    return (middle.value, middle.low, middle.high, mean.value, mean.low, mean.high, reach, *naive,
            float(np.minimum(kind.lengths, reach).mean()))


def _plain_median(lengths: np.ndarray, whole: np.ndarray) -> float:
    """Median of Kaplan-Meier over all chains that are seen."""
    order = np.lexsort((~whole, lengths))
    at_risk = len(lengths) - np.arange(len(lengths))
    curve = np.cumprod(np.where(whole[order], 1.0 - 1.0 / at_risk, 1.0))
    below = np.flatnonzero(curve <= 0.5)
    return float(lengths[order][below[0]]) if len(below) else np.inf


def lengths(repeats: int) -> None:
    print(f"lengths: {repeats} populations each; frames of {SIDE:.0f} nm that show about 25 chains "
          f"(80 where there is one); {_range(repeats)} is right")
    print(f"  {'':44s} {'true':>6s} {'median':>7s} {'held':>5s} {'seen':>5s} {'mean':>12s} "
          f"{'held':>5s} {'reach':>6s} {'plain KM':>9s} {'drop cut':>9s}")
    for name, (empty, images) in LENGTHS.items():
        kind = empty.filled(np.random.default_rng(1))
        found = repeated(partial(length_trial, kind, images), repeats)
        median, low, high, mean, mean_low, mean_high, reach, plain, dropped, expected = found.T
        true = float(np.median(kind.lengths))
        known = np.isfinite(median)
        held = np.mean((low[np.isfinite(low)] <= true) & (true <= high[np.isfinite(low)])) \
            if np.isfinite(low).any() else np.nan
        mean_held = np.nanmean((mean_low <= expected) & (expected <= mean_high))
        # Where not all populations show a median, the mean of those that do is biased by choice.
        said = f"{np.median(np.where(known, median, np.inf)):7.0f}"
        print(f"  {name:44s} {true:6.0f} {said} {held:5.3f} {known.mean():5.2f} "
              f"{100 * np.nanmean(mean / expected - 1):+5.1f} ±{_err(mean / expected):3.1f} % "
              f"{mean_held:5.3f} {np.nanmedian(reach):6.0f} {np.median(plain):9.0f} "
              f"{np.nanmedian(dropped):9.0f}", flush=True)


def _err(ratio: np.ndarray) -> float:
    return 100.0 * float(np.nanstd(ratio) / np.sqrt(np.isfinite(ratio).sum()))


def _range(repeats: int, rate: float = 0.95) -> str:
    low, high = stats.binom.interval(0.95, repeats, rate)
    return f"{low / repeats:.3f} to {high / repeats:.3f}"


# Persistence -------------------------------------------------------------------------------------

def persistence_trial(kind: Kind, seed: int) -> tuple[float, ...]:
    rng = np.random.default_rng(seed)
    # Shapes of its own: how stiff so many shapes happen to be is part of the error.
    kind = Kind(kind.length, kind.persistence, kind.dots, kind.noise).filled(rng, 2000)
    density = kind.density(25.0)
    pooled = pool(tuple(kind.frame(rng, density) for _ in range(8)))
    quantity = persistence_quantity(pooled)
    if quantity.statistic is None:
        return (np.nan,) * 4
    found = estimate(quantity, draws(pooled, rng, 400), 0.95)
    return found.value, found.low, found.high, quantity.n


def persistence(repeats: int) -> None:
    print(f"persistence length: {repeats} populations of 8 images with about 25 chains each; "
          f"{_range(repeats)} is right")
    print(f"  {'':58s} {'true':>6s} {'median':>8s} {'bias of 1/P':>14s} {'held':>6s} "
          f"{'high inf':>9s}")
    for true in (50.0, 150.0, 500.0, 2000.0):
        for length in (100.0, 400.0):
            for noise in (0.0, 1.0):
                kind = Kind(lognormal(length), true, dots=True, noise=noise)
                value, low, high, _ = repeated(partial(persistence_trial, kind), repeats).T
                known = np.isfinite(low)
                held = np.mean((low[known] <= true) & (true <= high[known]))
                bend = true / value[known] - 1.0
                print(f"  median length {length:4.0f} nm, noise of the places {noise:.1f} nm, "
                      f"{known.sum():3d} measured {true:6.0f} {np.median(value[known]):8.0f} "
                      f"{100 * bend.mean():+6.1f} ±{100 * bend.std() / known.sum()**0.5:4.1f} % "
                      f"{held:6.3f} {np.mean(np.isinf(high[known])):9.2f}", flush=True)


# Gaps --------------------------------------------------------------------------------------------

def gap_trial(mean: float, spread: float, error: float, shape: str, seed: int) -> tuple[float, ...]:
    rng = np.random.default_rng(seed)
    frames, naive = [], [[], []]
    for _ in range(8):
        n = int(rng.integers(20, 80))
        true = rng.normal(mean, spread, n) if shape == "normal" else \
            rng.gamma((mean / spread) ** 2, spread**2 / mean, n)
        err = error * rng.uniform(0.7, 1.3, n)
        gaps = gaps_table(true + rng.normal(0.0, err), err)
        naive[0].append(gaps["gap_nm"][gaps["resolved"]])
        naive[1].append(gaps["gap_nm"].where(gaps["resolved"], gaps["gap_limit_nm"]))
        frames.append(Frame(Tables().frames() | {"gaps": gaps}, (SIDE, SIDE)))
    pooled = pool(tuple(frames))
    quantity = gap_quantity(pooled)
    if quantity.statistic is None:
        return (np.nan,) * 7
    weights = draws(pooled, rng, 400)
    found = estimate(quantity, weights, 0.95)
    left = 1.0 - np.concatenate(naive[0]).size / np.concatenate(naive[1]).size
    return (found.value, found.low, found.high, at_full(quantity.spread, weights), left,
            np.concatenate(naive[0]).mean(), np.concatenate(naive[1]).mean())


def gaps(repeats: int) -> None:
    print(f"gaps: {repeats} populations of 8 images with 20 to 80 gaps; {_range(repeats)} is right")
    print(f"  {'':46s} {'mean':>12s} {'held':>6s} {'spread':>7s} {'unresolved':>11s} "
          f"{'dropped':>8s} {'as limit':>9s}")
    for shape in ("normal", "gamma"):
        for mean, spread, error in ((1.0, 0.3, 0.1), (1.0, 0.3, 0.3), (0.6, 0.3, 0.2),
                                    (1.0, 0.1, 0.4)):
            found = repeated(partial(gap_trial, mean, spread, error, shape), repeats)
            value, low, high, width, left, dropped, limit = found[np.isfinite(found[:, 0])].T
            print(f"  {shape:6s} mean {mean:.1f} spread {spread:.1f} error {error:.1f} nm, "
                  f"{len(value):3d} measured {value.mean():6.3f} "
                  f"±{value.std() / len(value)**0.5:.3f} "
                  f"{np.mean((low <= mean) & (mean <= high)):6.3f} {width.mean():7.3f} "
                  f"{left.mean():11.2f} {dropped.mean():8.3f} {limit.mean():9.3f}", flush=True)


# Places and directions ---------------------------------------------------------------------------

def pattern_trial(kind: Kind, density: float, seed: int) -> tuple[float, ...]:
    """Indices of chains at random, each with its interval, and g(r) near and far."""
    rng = np.random.default_rng(seed)
    frames = tuple(kind.frame(rng, density) for _ in range(8))
    pooled = pool(frames)
    weights = draws(pooled, rng, 400)
    rows = [clark_evans(pooled, rng), side_by_side(pooled)[1], number_density(pooled),
            area_fraction(pooled), order_quantities(pooled, rng)[0]]
    values: list[float] = []
    for quantity in rows:
        found = estimate(quantity, weights, 0.95)
        values += [found.value, found.low, found.high, quantity.p_value]
    g = pair_correlation(frames, of="chains", r_max_nm=100.0, step_nm=20.0, rng=rng)
    return (*values, *g["g"], *((g["g"] - 1.0).abs() <= 2.36 * g["g_err"]))  # t of 7 degrees


def pattern(repeats: int) -> None:
    print(f"places and directions: {repeats} populations of 8 images, chains at random; "
          f"{_range(repeats)} is right, and {_range(repeats, 0.05)} for p <= 0.05")
    kinds = {"straight, median 100 nm": (Kind(lognormal(100.0), dots=True), 40.0),
             "straight, median 500 nm": (Kind(lognormal(500.0), dots=True), 40.0),
             "P 200, median 500 nm": (Kind(lognormal(500.0), 200.0, dots=True), 40.0),
             "straight, within 25 degrees": (Kind(lognormal(200.0), dots=True, aligned=25.0), 40.0)}
    for name, (empty, seen) in kinds.items():
        kind = empty.filled(np.random.default_rng(1), 2000)
        density = kind.density(seen)
        found = repeated(partial(pattern_trial, kind, density), repeats)
        mean_dots = (kind.lengths.mean() - WIDTH) / PITCH + 1.0
        order = _true_order(kind)
        truth = {"Clark-Evans index": 1.0, "aggregation": 1.0, "number of chains": 1e6 * density,
                 "area fraction": density * mean_dots * np.pi / 4 * WIDTH**2,
                 "orientation order": order}
        print(f"  {name}")
        for n, (label, true) in enumerate(truth.items()):
            value, low, high, p_value = found[:, 4 * n: 4 * n + 4].T
            known = np.isfinite(value) & np.isfinite(low)
            held = np.mean((low[known] <= true + 1e-9) & (true - 1e-9 <= high[known]))
            tested = f", p <= 0.05 in {np.mean(p_value[known] <= 0.05):.3f}" \
                if np.isfinite(p_value).any() else ""
            print(f"    {label:20s} true {true:8.4f}  mean {value[known].mean():8.4f} "
                  f"±{value[known].std() / known.sum()**0.5:.4f}  held {held:.3f}{tested}")
        g, within = found[:, 20:25], found[:, 25:]
        print(f"    g(r) of chains at 10, 30 ... 90 nm: {np.round(np.nanmean(g, axis=0), 3)}, "
              f"1 within its interval in {np.round(within.mean(axis=0), 3)}", flush=True)


def _true_order(kind: Kind) -> float:
    """Order parameter of all lengths of the population."""
    steps = np.concatenate([np.diff(shape, axis=0) for shape in kind.shapes])
    doubled = (steps[:, 1] - 1j * steps[:, 0]) ** 2 / np.hypot(*steps.T)
    return float(abs(doubled.sum()) / np.hypot(*steps.T).sum()) if kind.aligned else 0.0


def poisson_points(repeats: int) -> None:
    """g(r) of dots at random in frames that are not square."""
    def trial(seed: int) -> tuple[float, ...]:
        rng = np.random.default_rng(seed)
        shapes = [(300.0, 500.0), (400.0, 200.0)] * 4
        places = [rng.uniform(0, shape, (rng.poisson(rng.uniform(50, 250)), 2))
                  for shape in shapes]
        frames = [Frame(Tables().frames() | {"dots": dots_table(own, np.zeros(1))}, shape)
                  for own, shape in zip(places, shapes, strict=True)]
        g = pair_correlation(frames, r_max_nm=100.0, step_nm=20.0, rng=rng)
        return (*g["g"], *((g["g"] - 1.0).abs() <= 2.36 * g["g_err"]))

    found = repeated(trial, repeats)
    print(f"g(r) of {repeats} sets of dots at random, 8 images of 50 to 250 on two shapes, at 10, "
          f"30 ... 90 nm: {np.round(found[:, :5].mean(axis=0), 4)} "
          f"±{found[:, :5].std(axis=0).max() / repeats**0.5:.4f}; 1 within its interval in "
          f"{np.round(found[:, 5:].mean(axis=0), 3)}; {_range(repeats)} is right", flush=True)


# Groups ------------------------------------------------------------------------------------------

class Specimen:
    """Images that differ from each other: in width, gap, length, stiffness and crowding."""

    def __init__(self, longer: float = 1.0) -> None:
        rng = np.random.default_rng(1)
        self.kinds = [Kind(lognormal(longer * 200.0 * factor), 600.0 / factor, dots=True).filled(
            rng, 400) for factor in (0.75, 0.9, 1.0, 1.1, 1.35)]

    def image(self, rng: np.random.Generator, wider: float = 0.0) -> Frame:
        """One image of it."""
        kind = self.kinds[rng.integers(len(self.kinds))]
        crowd = 20.0 * np.exp(rng.normal(0.0, 0.5))
        tables = dict(kind.frame(rng, kind.density(crowd)).tables)
        chains, dots = tables["chains"], tables["dots"]
        width = WIDTH + wider + rng.normal(0.0, 0.3) + rng.normal(0.0, 0.4, len(chains))
        pitch = PITCH + rng.normal(0.0, 0.2) + rng.normal(0.0, 0.2, len(chains))
        gap_of = GAP + rng.normal(0.0, 0.1) + rng.normal(0.0, 0.1, len(chains))
        owner = np.repeat(np.arange(len(chains)), np.maximum(chains["n_dots"] - 1, 0))
        err = np.full(len(owner), 0.2)
        gap = gaps_table(gap_of[owner] + rng.normal(0.0, 0.25, len(owner)), err)
        number = dots["chain"].to_numpy() - 1
        tables |= {
            "chains": chains.assign(width_nm=width, aspect_ratio=chains["length_nm"] / width,
                                    pitch_nm=pitch),
            "gaps": gap.assign(chain=owner + 1),
            "dots": dots.assign(diameter_nm=width[number] + rng.normal(0.0, 0.3, len(dots)))}
        return Frame(tables, (SIDE, SIDE))


def group_trial(
    a: Specimen, b: Specimen, wider: float, images: tuple[int, int], seed: int
) -> np.ndarray:
    """Return p of all quantities, the least of them after Holm, and p of all chains pooled."""
    rng = np.random.default_rng(seed)
    groups = {"a": [a.image(rng) for _ in range(images[0])],
              "b": [b.image(rng, wider) for _ in range(images[1])]}
    rows = compare(groups, rng=rng)
    pooled = [np.concatenate([frame.tables["chains"]["width_nm"] for frame in of])
              for of in groups.values()]
    naive = stats.ttest_ind(*pooled, equal_var=False).pvalue
    return np.array([*rows["p_value"], rows["p_holm"].min(), naive])


def groups(repeats: int) -> None:
    same, longer = Specimen(), Specimen(1.5)
    names = compare({"a": [same.image(np.random.default_rng(n)) for n in range(6)],
                     "b": [same.image(np.random.default_rng(n)) for n in range(6, 12)]})["quantity"]
    names = [*names, "any of them (Holm)", "width, all chains pooled"]
    sizes = ((3, 3), (3, 6), (6, 6), (12, 12), (1, 1))
    print(f"groups: part with p <= 0.05 in {repeats} pairs of groups of 3 and 3, 3 and 6, 6 and 6, "
          f"12 and 12, 1 and 1 images; {_range(repeats, 0.05)} is right for equal groups")
    cases = {"equal groups": (same, 0.0, sizes),
             "0.5 nm wider, lengths 1.5 times": (longer, 0.5, sizes[:1] + sizes[2:4])}
    for name, (other, wider, asked) in cases.items():
        parts = []
        times = repeats if other is same else repeats // 4
        for images in asked:
            found = repeated(partial(group_trial, same, other, wider, images), times)
            known = np.isfinite(found)
            parts.append(np.where(known.sum(axis=0) > times / 2,
                                  (known & (np.nan_to_num(found, nan=1.0) <= 0.05)).sum(axis=0)
                                  / np.maximum(known.sum(axis=0), 1), np.nan))
        print(f"  {name}, {times} pairs, images {' '.join(f'{a}+{b}' for a, b in asked)}")
        for n, label in enumerate(names):
            print(f"    {label:40s} " + "  ".join(f"{part[n]:.3f}" for part in parts), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=[])
    parser.add_argument("--quick", action="store_true", help="few trials")
    given = parser.parse_args()
    for part in given.parts or list(PARTS):
        PARTS[part](30 if given.quick else REPEATS[part])


PARTS = {"lengths": lengths, "persistence": persistence, "gaps": gaps, "points": poisson_points,
         "pattern": pattern, "groups": groups}
REPEATS = {"lengths": 200, "persistence": 100, "gaps": 200, "points": 400, "pattern": 100,
           "groups": 400}

if __name__ == "__main__":
    main()
