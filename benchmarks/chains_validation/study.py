"""Accuracy of chains over pixel size, crowding, noise, blur, contrast and kinds of bodies."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chains_validation import figures, naive, steady
from chains_validation.cases import CASES, pictures
from chains_validation.matching import Tally, f1
from emtools import chains
from lattice_validation.scoring import share

Errors = list[tuple[float, float, float]]


@dataclass
class Outcome:
    """What came out of one case.

    Parameters
    ----------
    name
        Of the case.
    ours, plain
        Of `chains` and of the naive method.
    seconds
        That `chains` took, in all.
    made, unplaced
        Pictures, and seeds whose chains the simulator could not place.
    """

    name: str
    ours: Tally = field(default_factory=Tally)
    plain: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    made: int = 0
    unplaced: int = 0


def run(n: int, only: str = "", drawn: bool = True) -> None:
    """Print the study over `n` pictures a case, and draw it."""
    print(f"chains against simulated truth, {n} pictures a case; beside them Otsu, skeleton, skan "
          "and distance transform\nwithin 1.96 sigma: 95 % is right; in brackets the 95 % interval "
          "of the share")
    outcomes = []
    for name, options in CASES.items():
        if only in name:
            outcomes.append(case(name, options, n))
            report(outcomes[-1])
    steady.run(n, only)
    if drawn:
        figures.errors(outcomes)


def case(name: str, options: dict[str, Any], n: int) -> Outcome:
    """Measure the pictures of one case."""
    outcome = Outcome(name)
    for made in pictures(options, n):
        if made is None:
            outcome.unplaced += 1
            continue
        image, truth = made
        outcome.made += 1
        start = time.perf_counter()
        tables = chains(image).tables
        outcome.seconds += time.perf_counter() - start
        outcome.ours.add(tables, truth)
        outcome.plain.add_lines(naive.find(image), truth)
    return outcome


def line(name: str, values: Errors) -> str:
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


def report(outcome: Outcome) -> None:
    """Print what came out of one case."""
    tally, name = outcome.ours, outcome.name
    if outcome.unplaced:
        name += f" ({outcome.made} pictures; {outcome.unplaced} seeds not placed)"
    if not outcome.made:
        print(f"  {name}", flush=True)
        return
    print(f"  {name:26s} F1 of chains {f1(tally.chains):.3f} (found {tally.chains[0]}, true "
          f"{tally.chains[1]}, right {tally.chains[2]})  of dots {f1(tally.dots):.3f}"
          + _crossed(tally)
          + (f"  gaps resolved {100 * np.mean(tally.resolved):.0f} %" if tally.resolved else "")
          + f"  {outcome.seconds / outcome.made:.2f} s", flush=True)
    for quantity, values in tally.errors.items():
        print(line(quantity, values), flush=True)
    plain = outcome.plain
    print(f"    naive              F1 of chains {f1(plain.chains):.3f}{_crossed(plain)}  "
          f"median |error| of width {_median(plain, 'width')} (ours {_median(tally, 'width')}), "
          f"of length {_median(plain, 'length')} (ours {_median(tally, 'length')})", flush=True)


def _crossed(tally: Tally) -> str:
    crossing, whole = tally.crossed.tolist()
    return f"  crossing chains whole {whole} of {crossing}" if crossing else ""


def _median(tally: Tally, quantity: str) -> str:
    """Return the median relative error of a quantity of the chains."""
    value = figures.median_percent(tally, f"chains.{quantity}_nm")
    return "-" if np.isnan(value) else f"{value:.2f} %"
