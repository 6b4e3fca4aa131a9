"""Figure of the study: errors and coverage of the width by case, beside the naive method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from lattice_validation.figures import GREY, NAIVE, OURS
from lattice_validation.scoring import FOLDER, interval

if TYPE_CHECKING:
    from chains_validation.matching import Tally
    from chains_validation.study import Outcome

WIDTH = "chains.width_nm"


def median_percent(tally: Tally, quantity: str) -> float:
    """Median relative error in per cent; NaN where nothing was measured."""
    values = [100 * abs(error / true) for error, _, true in tally.errors.get(quantity, [])
              if np.isfinite(error)]
    return float(np.median(values)) if values else float("nan")


def errors(outcomes: list[Outcome]) -> None:
    """Draw the median error of the width and its coverage, one row a case."""
    outcomes = [outcome for outcome in outcomes if outcome.made]
    rows = np.arange(len(outcomes))[::-1]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(7.5, 1.2 + 0.15 * len(outcomes)), sharey=True, layout="constrained",
        width_ratios=(3, 2))
    for name, colour, sign, tallies in (
            ("emtools", OURS, "o", [o.ours for o in outcomes]),
            ("Otsu, skeleton, skan, distance transform", NAIVE, "s", [o.plain for o in outcomes])):
        values = [median_percent(tally, WIDTH) for tally in tallies]
        left.plot(values, rows, color=colour, marker=sign, ms=3.5, ls="none", label=name)
    left.axvline(2.0, color=GREY, lw=0.8, ls=":")
    left.set_xscale("log")
    left.set_xticks([0.1, 0.3, 1, 3, 10, 30, 100], ["0.1", "0.3", "1", "3", "10", "30", "100"])
    left.minorticks_off()
    left.set_xlabel("median error of a chain's width (%)")
    left.set_yticks(rows, [outcome.name for outcome in outcomes], fontsize=6)
    left.set_ylim(-1, len(outcomes))
    left.grid(axis="y", color="#eeeeee", lw=0.6)
    figure.legend(*left.get_legend_handles_labels(), frameon=False, fontsize=7, ncols=2,
                  loc="outside upper center")
    _coverage(right, outcomes, rows)
    figure.savefig(FOLDER / "chains.png", dpi=110, metadata={"Software": None})
    plt.close(figure)


def _coverage(axis: plt.Axes, outcomes: list[Outcome], rows: np.ndarray) -> None:
    """Draw how often 1.96 sigma hold the true width, with intervals."""
    axis.axvspan(93, 97, color="#dddddd", lw=0)
    axis.grid(axis="y", color="#eeeeee", lw=0.6)
    for row, outcome in zip(rows, outcomes, strict=True):
        pulls = [abs(error / sigma) for error, sigma, _ in outcome.ours.errors.get(WIDTH, [])
                 if np.isfinite(error) and sigma > 0]
        if not pulls:
            continue
        hits, n = sum(pull < 1.96 for pull in pulls), len(pulls)
        low, high = interval(hits, n)
        axis.errorbar(100 * hits / n, row, xerr=[[100 * (hits / n - low)],
                      [100 * (high - hits / n)]], color=OURS, marker="o", ms=3.5, capsize=1.5,
                      lw=0.8)
    axis.set_xlim(0, 102)
    axis.set_xlabel("width within ±1.96 σ (%)\n(the naive method states no σ)")
