"""What the panels of a lattice figure share: columns, colours of grains, the map of grains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.figures.images import shortened
from emtools.figures.style import SERIES, TEXT_PT, panel, size_pt
from emtools.tables import in_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emtools.model import Result

    Floats = NDArray[np.float64]

_MOST_LINES = 4


@dataclass(frozen=True)
class Grid:
    """A layer on a coarse grid over the image.

    Parameters
    ----------
    values
        ``(rows, cols)``.
    step
        Pixels of the image from one place to the next.
    """

    values: NDArray[Any]
    step: int

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Edges (left, right, bottom, top) in pixels of the image, whose centres are integers."""
        rows, cols = self.values.shape
        return -0.5, cols * self.step - 0.5, rows * self.step - 0.5, -0.5

    def places(self) -> tuple[Floats, Floats]:
        """Return the pixels of the grid's rows and columns."""
        rows, cols = (np.arange(n, dtype=np.float64) * self.step + 0.5 * (self.step - 1.0)
                      for n in self.values.shape)
        return rows, cols


def grid(result: Result, name: str, shape: tuple[int, int]) -> Grid | None:
    """Return a layer of the result by its name; `shape` is that of the image."""
    for data, options, _ in result.layers:
        if options.get("name") == name:
            values = np.asarray(data)
            step = max(-(-size // n) for size, n in zip(shape, values.shape, strict=True))
            return Grid(values, step)
    return None


def occupied(result: Result, shape: tuple[int, int]) -> Floats | None:
    """Return points (x, y) all over the grains, for what should not cover them; None if none."""
    layer = grid(result, "grains", shape)
    if layer is None or bool(layer.values.all()):
        return None
    rows, cols = layer.places()
    coarse = max(1, max(layer.values.shape) // 64)
    row, col = np.nonzero(layer.values[::coarse, ::coarse])
    return np.stack([cols[::coarse][col], rows[::coarse][row]], axis=1)


def named(table: pd.DataFrame, name: str) -> str:
    """Return a column's name as the table has it: ``_nm``, or ``_px`` without calibration."""
    return name if name in table.columns else in_unit(name, "px")


def colour_of(grain: int) -> str:
    """Return the colour that marks a grain and its spots."""
    return SERIES[(grain - 1) % len(SERIES)]


def families(reflections: pd.DataFrame) -> list[tuple[str, float] | None]:
    """Return phase and reference spacing of each row: one for each family; None if not indexed."""
    reference = reflections[named(reflections, "d_reference_nm")].to_numpy(dtype=float)
    return [(str(phase), round(float(d), 6)) if hkl and np.isfinite(d) else None
            for phase, hkl, d in zip(reflections["phase"], reflections["hkl"], reference,
                                     strict=True)]


def upright(hkl: str) -> str:
    """Return the name of a plane's family: positive indices, the largest first."""
    return " ".join(str(i) for i in sorted((abs(int(i)) for i in hkl.split()), reverse=True))


def letter(figure: Figure, corner_in: tuple[float, float], text: str) -> None:
    """Write a panel's letter on a white plate whose upper left corner is given in inches."""
    width, height = figure.get_size_inches()
    side = 0.155
    plate = panel(figure, (corner_in[0], corner_in[1] - side, side, side))
    plate.set_axis_off()
    plate.set_zorder(10)
    plate.add_patch(_rectangle(plate))
    figure.text((corner_in[0] + 0.5 * side) / width, (corner_in[1] - 0.5 * side) / height, text,
                ha="center", va="center_baseline", weight="bold", size=TEXT_PT + 1, zorder=11)


def _rectangle(axes: Axes) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((0, 0), 1, 1, transform=axes.transAxes, facecolor="white", edgecolor="none")


def wrapped(text: str, letters: int) -> list[str]:
    """Return a text as a few lines of at most so many letters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) + 1 > letters:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return [shortened(line, letters + 4) for line in lines if line][:_MOST_LINES]


def scale_of(axes: Axes) -> tuple[Floats, Floats]:
    """Return the lower left corner of axes and the points in one unit along x and y."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    wide, high = size_pt(axes)
    return np.array([left, bottom]), np.array([wide / (right - left), high / (top - bottom)])
