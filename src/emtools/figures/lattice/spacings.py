"""Spacings of many grains: a histogram for each family of planes, on its reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from emtools.figures.labels import barred
from emtools.figures.lattice.common import families, named, upright
from emtools.figures.style import BLUE, GREY, SKY, TEXT_PT, VERMILLION, panel
from emtools.model import Measured

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emtools.model import Result

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

_ROWS = 4  # histograms below each other
_TICKS_IN, _LABEL_IN, _KEY_IN = 0.17, 0.16, 0.16
_LEFT_IN, _RIGHT_IN = 0.3, 0.12
_SPAN = (0.004, 0.08)  # half the width of a histogram, relative to the reference
_BINS = (12, 36)
_BINS_FREE = 40
_HEADROOM, _HEADROOM_FREE = 1.75, 1.35


@dataclass(frozen=True)
class Plane:
    """The spacings of one family of planes, or all that are not indexed.

    Parameters
    ----------
    name
        As matplotlib writes it.
    d
        The spacings in Å, or px.
    doubtful
        Which are ambiguous or of few fringes.
    reference
        Spacing of the phase; NaN if not indexed.
    strength
        Sum of the amplitudes over noise.
    """

    name: str
    d: Floats
    doubtful: Bools
    reference: float
    strength: float

    @property
    def indexed(self) -> bool:
        """Whether it is one family."""
        return bool(np.isfinite(self.reference))


def planes(reflections: pd.DataFrame) -> tuple[list[Plane], int]:
    """Return the strongest families, longest spacing first, and how many more there are.

    What is not indexed comes last, all spacings together.
    """
    column = named(reflections, "d_spacing_nm")
    d = reflections[column].to_numpy(dtype=float) * (10.0 if column.endswith("_nm") else 1.0)
    snr = reflections["snr"].to_numpy(dtype=float)
    doubtful = (reflections["ambiguous"] | reflections["few_fringes"]).to_numpy(dtype=bool)
    family = families(reflections)
    several = len({of[0] for of in family if of is not None}) > 1
    found = []
    for of in dict.fromkeys(one for one in family if one is not None):
        rows = np.array([one == of for one in family])
        name = _name(of[0] if several else "", str(reflections["hkl"].to_numpy()[rows][0]))
        reference = of[1] * (10.0 if column.endswith("_nm") else 1.0)
        found.append(Plane(name, d[rows], doubtful[rows], reference,
                           float(snr[rows].sum())))
    free = np.array([one is None for one in family], dtype=bool)
    found.sort(key=lambda plane: -plane.strength)
    kept = found[: _ROWS - bool(free.any())]
    kept.sort(key=lambda plane: -plane.reference)
    if free.any():
        name = "not indexed" if found else "all planes, not indexed"
        kept.append(Plane(name, d[free], doubtful[free], float("nan"), float(snr[free].sum())))
    return kept, len(found) - sum(plane.indexed for plane in kept)


def _name(phase: str, hkl: str) -> str:
    before = f"{phase.replace('$', '')} " if phase else ""
    return rf"{before}$\{{{barred(upright(hkl))}\}}$"


def show_spacings(
    figure: Figure, result: Result, box_in: tuple[float, float, float, float]
) -> None:
    """Draw histograms below each other in ``(left, bottom, width, height)``, inches.

    All families have an axis of the same relative width about their reference, so that their
    spreads can be compared.
    """
    left, bottom, wide, high = box_in
    wide -= _RIGHT_IN
    reflections = result.tables["reflections"]
    found, more = planes(reflections)
    unit = "Å" if "d_spacing_nm" in reflections.columns else "px"
    each = (high - _LABEL_IN - _KEY_IN) / max(len(found), 1)
    span = _span([plane for plane in found if plane.indexed])
    for i, plane in enumerate(found):
        low = bottom + _LABEL_IN + each * (len(found) - 1 - i) + _TICKS_IN
        axes = panel(figure, (left + _LEFT_IN, low, wide - _LEFT_IN, each - _TICKS_IN - 0.02))
        _draw(axes, plane, span, unit)
    width, height = figure.get_size_inches()
    beyond = f"; {more} more in the table" if more else ""
    scale = float(result.summary.get("scale_err_percent", 0.0))
    if unit == "Å" and scale > 0 and any(plane.indexed for plane in found):
        beyond += f"; ± without {scale:.2g} % of scale"
    figure.text((left + _LEFT_IN + 0.5 * (wide - _LEFT_IN)) / width, (bottom + 0.01) / height,
                f"$d$ ({unit}){beyond}", size=TEXT_PT, ha="center", va="bottom")
    figure.text((left + 0.02) / width,
                (bottom + _LABEL_IN + 0.5 * (high - _LABEL_IN - _KEY_IN)) / height,
                "number of reflections", size=TEXT_PT, rotation=90, ha="left", va="center")
    _key(figure, found, (left + _LEFT_IN, bottom + high - 0.5 * _KEY_IN + 0.02))


def _key(figure: Figure, found: list[Plane], start_in: tuple[float, float]) -> None:
    width, height = figure.get_size_inches()
    entries = []
    if any(plane.indexed for plane in found):
        entries.append(("– –  reference", VERMILLION))
    doubtful = any(plane.doubtful.any() for plane in found)
    if doubtful:
        entries.append(("■  ambiguous or few fringes", SKY))
    if any(plane.indexed for plane in found):
        entries.append(("●  mean of the others" if doubtful else "●  mean", "black"))
    x = start_in[0] + 0.2  # beside the panel's letter
    for text, colour in entries:
        figure.text(x / width, start_in[1] / height, text, size=TEXT_PT, color=colour, ha="left",
                    va="center")
        x += 0.059 * len(text) + 0.08


def _span(found: list[Plane]) -> float:
    """Return half the relative width that holds all spacings that are not doubtful."""
    off = []
    for plane in found:
        kept = ~plane.doubtful if not plane.doubtful.all() else plane.doubtful
        off.append(float(np.abs(plane.d[kept] / plane.reference - 1.0).max()))
    return float(np.clip(1.15 * max(off, default=0.0), *_SPAN))


def _draw(axes: Axes, plane: Plane, span: float, unit: str) -> None:
    outside = 0
    if plane.indexed:
        relative = plane.d / plane.reference - 1.0
        relative = relative[np.abs(relative) <= span]
        outside = len(plane.d) - len(relative)
        edges = plane.reference * (1.0 + _edges(relative, span))
    else:
        low, high = float(plane.d.min()), float(plane.d.max())
        apart = max(high - low, 0.05 * high)
        edges = np.linspace(low - 0.05 * apart, low + 1.05 * apart, _BINS_FREE + 1)
    sure = plane.d[~plane.doubtful]
    counts, _, _ = axes.hist([sure, plane.d[plane.doubtful]], bins=edges.tolist(), stacked=True,
                             color=[BLUE, SKY], edgecolor="white", linewidth=0.4)
    tallest = max(float(np.max(counts)), 1.0)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, (_HEADROOM if plane.indexed else _HEADROOM_FREE) * tallest)
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.ticklabel_format(axis="x", useOffset=False)
    mean, error, said = _statement(plane)
    if outside:
        said += f", {outside} outside"
    if plane.indexed:
        axes.plot([plane.reference] * 2, [0, 1.15 * tallest], "--", color=VERMILLION, linewidth=0.8)
        axes.errorbar([mean], [1.15 * tallest], xerr=None if np.isnan(error) else [error],
                      fmt="o", color="black", markersize=2.4, elinewidth=0.8, capsize=1.5)
        said += f";  {Measured(mean, error)} {unit}"
    left = axes.text(0.01, 0.98, plane.name, transform=axes.transAxes, ha="left", va="top",
                     size=TEXT_PT)
    left.set_gid("plane")
    axes.text(0.99, 0.98, said, transform=axes.transAxes, ha="right", va="top", size=TEXT_PT,
              parse_math=False, gid="plane-numbers")
    if plane.indexed:
        axes.text(0.01, 0.98, f"\nref. {plane.reference:.4g}", transform=axes.transAxes, ha="left",
                  va="top", size=TEXT_PT, color=VERMILLION, parse_math=False, linespacing=1.15)
    else:
        axes.text(0.99, 0.98, "\ndifferent planes: no mean", transform=axes.transAxes, ha="right",
                  va="top", size=TEXT_PT, color=GREY, parse_math=False, linespacing=1.15)


def _statement(plane: Plane) -> tuple[float, float, str]:
    """Return mean, standard error and number of the spacings that are not doubtful.

    Where there are fewer than two of those, of all.
    """
    d = plane.d[~plane.doubtful]
    doubtful = len(plane.d) - len(d)
    said = f"n = {len(d)} + {doubtful}" if doubtful else f"n = {len(d)}"
    if len(d) < min(2, len(plane.d)):
        d, said = plane.d, f"n = {len(plane.d)} (doubtful)"
    error = float(d.std(ddof=1) / np.sqrt(len(d))) if len(d) > 1 else np.nan
    return float(d.mean()), error, said


def _edges(relative: Floats, span: float) -> Floats:
    if len(relative) == 0:
        return np.linspace(-span, span, _BINS[0] + 1)
    quartiles = np.percentile(relative, (25, 75))
    width = 2.0 * float(quartiles[1] - quartiles[0]) / np.cbrt(len(relative))
    n = round(2.0 * span / width) if width > 0 else _BINS[1]
    return np.linspace(-span, span, int(np.clip(n, *_BINS)) + 1)
