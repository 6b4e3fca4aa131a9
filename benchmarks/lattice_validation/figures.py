"""Figures of the studies."""

from __future__ import annotations

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from lattice_validation.scoring import FOLDER, interval

OURS, NAIVE, GREY = "#0b5394", "#c8661d", "#777777"


def _bars(rows: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """SNR, share in per cent and lengths of the error bars."""
    snr, middle, bars = [], [], []
    for value, part in rows.groupby("snr"):
        hits, n = int(part[column].sum()), len(part)
        low, high = interval(hits, n)
        snr.append(value)
        middle.append(100 * hits / n)
        bars.append((100 * (hits / n - low), 100 * (high - hits / n)))
    return np.array(snr), np.array(middle), np.array(bars).T


def recall(rows: pd.DataFrame) -> None:
    """Recall against SNR, ours beside the naive method."""
    cases = list(dict.fromkeys(rows["case"]))
    figure, axes = plt.subplots(1, len(cases), figsize=(9, 3.6), sharey=True, layout="constrained")
    for axis, case in zip(axes, cases, strict=True):
        part = rows[rows["case"] == case]
        for column, name, colour, sign in (("seen", "emtools", OURS, "o"),
                                           ("naive_seen", "Hann, FFT, local maxima", NAIVE, "s")):
            snr, middle, bars = _bars(part, column)
            axis.errorbar(snr, middle, bars, color=colour, marker=sign, ms=4, capsize=2, label=name)
        axis.set_xscale("log")
        axis.set_xticks([3, 5, 7, 10, 20], ["3", "5", "7", "10", "20"])
        axis.minorticks_off()
        axis.set_xlabel("amplitude SNR")
        axis.set_title(case, fontsize=9)
        axis.axvline(7, color=GREY, lw=0.8, ls=":")
    axes[0].set_ylabel("fringes found (%)")
    axes[0].set_ylim(-3, 103)
    axes[0].legend(frameon=False, fontsize=8, loc="upper left")
    _save(figure, "lattice_recall.png")


def coverage(rows: pd.DataFrame) -> None:
    """Coverage with binomial bars, pulls, and error over bound."""
    seen = rows[rows["seen"]].copy()
    seen["pull"] = seen["error_nm"] / seen["sigma_nm"]
    seen["inside"] = seen["pull"].abs() < 1.96
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    snr, middle, bars = _bars(seen, "inside")
    axes[0].axhspan(93, 97, color="#dddddd", lw=0)
    axes[0].errorbar(snr, middle, bars, color=OURS, marker="o", ms=4, capsize=2, ls="none")
    axes[0].axhline(95, color=GREY, lw=0.8)
    axes[0].set_xscale("log")
    axes[0].set_xticks([7, 10, 20, 50, 100], ["7", "10", "20", "50", "100"])
    axes[0].minorticks_off()
    axes[0].set_ylim(80, 100.5)
    axes[0].set_xlabel("amplitude SNR")
    axes[0].set_ylabel("truth within ±1.96 σ (%)")
    bins = np.linspace(-5, 5, 41)
    axes[1].hist(np.clip(seen["pull"], -4.99, 4.99), bins, density=True, color=OURS, alpha=0.6)
    t = np.linspace(-5, 5, 201)
    axes[1].plot(t, np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi), color="black", lw=1,
                 label="normal distribution")
    axes[1].set_xlabel("error / stated σ (beyond ±5 in the last bins)")
    axes[1].set_yticks([])
    axes[1].set_title(f"{len(seen)} spacings", fontsize=9)
    axes[1].legend(frameon=False, fontsize=8)
    _save(figure, "lattice_coverage.png")
    _bound(seen, rows[rows["naive_seen"]])


def _bound(seen: pd.DataFrame, plain: pd.DataFrame) -> None:
    figure, axis = plt.subplots(figsize=(5, 3.6), layout="constrained")
    for rows, column, name, colour, sign in (
            (seen, "error_nm", "emtools", OURS, "o"),
            (plain, "naive_error_nm", "Hann, FFT, parabola", NAIVE, "s")):
        ratio = (rows[column] / rows["bound_nm"]) ** 2
        grouped = ratio.groupby(rows["snr"])
        axis.plot(grouped.mean().index, np.sqrt(grouped.mean()), color=colour, marker=sign, ms=4,
                  label=name)
    axis.axhline(1.0, color=GREY, lw=0.8)
    axis.axhline(1.3, color=GREY, lw=0.8, ls=":")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xticks([7, 10, 20, 50, 100], ["7", "10", "20", "50", "100"])
    axis.set_yticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
    axis.minorticks_off()
    axis.set_xlabel("amplitude SNR")
    axis.set_ylabel("rms error of d / Cramér-Rao bound")
    axis.legend(frameon=False, fontsize=8)
    _save(figure, "lattice_bound.png")


def _save(figure: plt.Figure, name: str) -> None:
    figure.savefig(FOLDER / name, dpi=130, metadata={"Software": None})
    plt.close(figure)
