"""The summed spectrum of an `eds` result with its fit, residuals, and every family labelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtools.figures.style import (
    BLUE,
    GREY,
    LINE_PT,
    ORANGE,
    SERIES,
    TEXT_PT,
    TWO_COLUMNS_IN,
    panel,
    sheet,
    size_pt,
    style,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emtools.model import Result

_LEFT, _RIGHT, _BELOW, _TOP = 0.58, 0.06, 0.34, 0.3
_SPECTRUM, _RESIDUALS, _BETWEEN = 2.6, 0.75, 0.06
_LEAST_SHOWN = 0.004  # of the highest line of the spectrum: weaker ones are not labelled
_BEYOND = 1.12  # of the highest line's energy: what is shown
_LABEL_PT = 20.0  # labels closer than that stand above each other
_STEPS = 6  # of labels above each other
_MOST_RESIDUAL = 6.0
_HIGHEST, _LABEL = 0.66, 0.055  # of the panel's height: the highest peak, one label


def spectrum_figure(result: Result) -> Figure:
    """Return the summed spectrum with its fit, two columns wide.

    Counts are drawn as the square root, which makes their noise the same everywhere; the residuals
    below are in units of it.

    Parameters
    ----------
    result
        Of ``eds``.
    """
    spectrum, lines = result.details["spectrum"], result.details["lines"]
    with style():
        figure = sheet(_BELOW + _RESIDUALS + _BETWEEN + _SPECTRUM + _TOP, TWO_COLUMNS_IN)
        wide = TWO_COLUMNS_IN - _LEFT - _RIGHT
        above = panel(figure, (_LEFT, _BELOW + _RESIDUALS + _BETWEEN, wide, _SPECTRUM))
        below = panel(figure, (_LEFT, _BELOW, wide, _RESIDUALS))
        draw_spectrum(above, spectrum, lines)
        above.tick_params(labelbottom=False)
        above.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, frameon=False,
                     borderaxespad=0.2, handlelength=1.4)
        below.set_xlim(above.get_xlim())
        _draw_residuals(below, spectrum)
        return figure


def draw_spectrum(axes: Axes, spectrum: pd.DataFrame, lines: pd.DataFrame) -> None:
    """Draw a spectrum with its fit, and name the families of lines in it.

    Parameters
    ----------
    axes
        To draw on.
    spectrum, lines
        Details of a result of ``eds``.
    """
    energy = spectrum["energy_keV"].to_numpy()
    high = _highest_energy(lines, energy)
    axes.set_xlim(max(float(energy[0]) - 0.05, 0.0), high)
    _draw_spectrum(axes, spectrum, high)
    _label(axes, lines)


def _highest_energy(lines: pd.DataFrame, energy: NDArray[np.float64]) -> float:
    shown = lines[lines["counts"] > _LEAST_SHOWN * lines["counts"].max()] if len(lines) else lines
    last = float(shown["energy_keV"].max()) if len(shown) else float(energy[-1])
    return min(_BEYOND * last + 0.3, float(energy[-1]))


def _draw_spectrum(axes: Axes, spectrum: pd.DataFrame, high: float) -> None:
    energy, counts = spectrum["energy_keV"].to_numpy(), spectrum["counts"].to_numpy()
    axes.set_yscale("function", functions=(lambda y: np.sqrt(np.maximum(y, 0)), np.square))
    axes.fill_between(energy, 0, counts, step="mid", color="0.82", linewidth=0, label="recorded")
    axes.plot(energy, spectrum["fitted"], color=BLUE, linewidth=0.8, label="fit")
    axes.plot(energy, spectrum["continuum"], color=ORANGE, linewidth=0.8, label="continuum")
    top = float(counts[energy < high].max(initial=1.0))
    axes.set_ylim(0, top / _HIGHEST**2)
    axes.set_yticks(_round_ticks(top))
    axes.set_ylabel("counts")


def _round_ticks(top: float) -> list[float]:
    """About five round numbers, evenly spaced as square roots."""
    found = []
    for part in (0.0, 0.05, 0.2, 0.5, 1.0):
        value = part * top
        digit = 10.0 ** np.floor(np.log10(value)) if value > 0 else 1.0
        rounded = float(np.round(value / digit) * digit)
        if rounded not in found:
            found.append(rounded)
    return found


def _label(axes: Axes, lines: pd.DataFrame) -> None:
    """Name each family at its alpha line, and mark its other lines."""
    if not len(lines):
        return
    strong = lines[lines["counts"] > _LEAST_SHOWN * lines["counts"].max()]
    colours = {element: SERIES[i % len(SERIES)]
               for i, element in enumerate(dict.fromkeys(lines["element"]))}
    top = axes.get_ylim()[1]
    for row in strong.itertuples():
        axes.axvline(row.energy_keV, ymax=_HIGHEST, color=colours[row.element], linewidth=LINE_PT,
                     alpha=0.9, zorder=0.5)
    alphas = strong[strong["line"].isin(["Ka", "La", "Ma"])].sort_values("energy_keV")
    close = _LABEL_PT / size_pt(axes)[0] * (axes.get_xlim()[1] - axes.get_xlim()[0])
    taken: list[tuple[float, int]] = []
    for row in alphas.itertuples():
        near = {step for at, step in taken if abs(at - row.energy_keV) < close}
        step = next((one for one in range(_STEPS) if one not in near), _STEPS - 1)
        taken.append((row.energy_keV, step))
        height = (_HIGHEST + 0.03 + _LABEL * step) ** 2 * top
        axes.plot([row.energy_keV] * 2, [_HIGHEST**2 * top, height],
                  color=colours[row.element], linewidth=LINE_PT)
        axes.text(row.energy_keV, height, f"{row.element} {_greek(row.line)}", fontsize=TEXT_PT,
                  ha="center", va="bottom", color="black")


def _greek(line: str) -> str:
    return line.replace("a", "α").replace("b", "β").replace("g", "γ")


def _draw_residuals(axes: Axes, spectrum: pd.DataFrame) -> None:
    energy, counts, fitted = (spectrum[name].to_numpy(dtype=float)
                              for name in ("energy_keV", "counts", "fitted"))
    off = (counts - fitted) / np.sqrt(np.maximum(fitted, 1.0))
    axes.fill_between(energy, 0, np.clip(off, -_MOST_RESIDUAL, _MOST_RESIDUAL),
                      step="mid", color=GREY, linewidth=0)
    axes.axhline(0, color="black", linewidth=LINE_PT)
    axes.set_ylim(-_MOST_RESIDUAL, _MOST_RESIDUAL)
    axes.set_yticks([-3, 0, 3])
    axes.set_ylabel("residual / σ")
    axes.set_xlabel("energy (keV)")
