"""Matching of what was found to what is there, intervals, and work on all cores."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Item = TypeVar("Item")
Answer = TypeVar("Answer")
FOLDER = Path(__file__).resolve().parents[2] / "docs" / "validation"
WORKERS = 2


class Report:
    """Lines that are printed and kept in ``docs/validation/lattice_<part>.txt``."""

    def __init__(self, part: str, title: str) -> None:
        self.lines: list[str] = []
        self.path = FOLDER / f"lattice_{part}.txt"
        self.add(title)

    def add(self, line: str = "") -> None:
        """Print and keep a line."""
        self.lines.append(line.rstrip())
        print(line, flush=True)

    def save(self) -> None:
        """Write the file."""
        self.path.write_text("\n".join(self.lines) + "\n", encoding="utf-8")


def each(function: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
    """Return the answers in the order of the items, which two processes work on."""
    items = list(items)
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(function, items, chunksize=max(1, min(16, len(items) // 8))))


def wave_vectors(reflections: pd.DataFrame) -> Floats:
    """``(n, 2)`` wave vectors ``(y, x)`` in 1/nm of a table."""
    angle = np.radians(reflections["angle_deg"].to_numpy(dtype=float))
    k = reflections["k_per_nm"].to_numpy(dtype=float)
    return np.stack([-k * np.sin(angle), k * np.cos(angle)], axis=-1)


def apart(found: Floats, true: Floats) -> Floats:
    """Distances ``(found, true)`` between wave vectors or their Friedel mates."""
    return np.minimum(np.linalg.norm(found[:, None] - true[None], axis=-1),
                      np.linalg.norm(found[:, None] + true[None], axis=-1))


def match(found: Floats, true: Floats, reach: float) -> list[int]:
    """For each true wave the nearest found one within `reach`, or -1."""
    if not len(found):
        return [-1] * len(true)
    distance = apart(found, true)
    nearest = distance.argmin(axis=0)
    return [int(n) if distance[n, i] < reach else -1 for i, n in enumerate(nearest)]


def interval(hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson interval of a proportion."""
    tail = (1 - level) / 2
    low = stats.beta.ppf(tail, hits, n - hits + 1) if hits else 0.0
    high = stats.beta.ppf(1 - tail, hits + 1, n - hits) if hits < n else 1.0
    return float(low), float(high)


def share(hits: int, n: int) -> str:
    """Return a proportion in per cent with its interval."""
    if not n:
        return "     -"
    low, high = interval(hits, n)
    return f"{100 * hits / n:5.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def pull_line(errors: Sequence[float], sigmas: Sequence[float], bounds: Sequence[float]) -> str:
    """Coverage, bias and error over bound of many errors."""
    error, sigma, bound = (np.asarray(v, dtype=float) for v in (errors, sigmas, bounds))
    if not len(error):
        return "nothing found"
    pull = error / sigma
    inside = int(np.sum(np.abs(pull) < 1.96))
    text = (f"n {len(pull):5d}  within 1.96 sigma {share(inside, len(pull)):24s} "
            f"bias/sigma {pull.mean():+5.2f}  largest pull {np.abs(pull).max():5.1f}")
    if np.isfinite(bound).all():
        text += (f"  rms error/bound {np.sqrt(np.mean((error / bound) ** 2)):5.2f}"
                 f"  stated/bound {np.median(sigma / bound):5.2f}")
    return text


def seeds(n: int, key: int) -> list[np.random.SeedSequence]:
    """Return independent seeds of a study."""
    return np.random.SeedSequence([20240, key]).spawn(n)


def progress(text: str) -> None:
    """Say on stderr what is going on."""
    print(text, file=sys.stderr, flush=True)


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return rows as a frame."""
    return pd.DataFrame(rows)
