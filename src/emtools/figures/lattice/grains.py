"""Grains on the image: outlined, and coloured by the direction of their lattice."""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from scipy import ndimage

from emtools.figures.labels import barred
from emtools.figures.lattice.common import colour_of, grid, named, scale_of
from emtools.figures.style import LINE_PT, TEXT_PT, panel

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from emtools.figures.lattice.common import Grid
    from emtools.model import Result

    Floats = NDArray[np.float64]

_KEYED = 3  # grains in the key
_MANY = 8  # grains, of more the outlines are thinner
_MARGIN = 3  # places around a grain, so that its outline closes
# Two lengths or angles that differ by less may be equal: about what a scan is off by.
_LENGTHS_EQUAL, _ANGLES_EQUAL_DEG = 0.03, 2.0
_LIGHTNESS, _CHROMA = 70.0, 46.0
_OPACITY = 0.62
_FOLDS = {90: "square", 60: "hexagonal", 180: "other"}
_STRIP_IN, _ROW_IN = 0.09, 0.125
_NUMBER_PT = 9.0  # a grain's number is written where it has so much room


def outline_grains(axes: Axes, result: Result, shape: tuple[int, int], colour: str = "") -> None:
    """Draw the edges of the grains, each in the colour of its spots or all in one."""
    layer = grid(result, "grains", shape)
    if layer is None:
        return
    many = int(layer.values.max(initial=0)) > _MANY
    for number, rows, cols, inside in _grains(layer):
        axes.contour(cols, rows, inside, levels=[0.5], colors="black",
                     linewidths=1.2 if many else 1.7)
        axes.contour(cols, rows, inside, levels=[0.5], linewidths=0.6 if many else 0.8,
                     colors=colour or colour_of(number))


def _grains(layer: Grid) -> Iterator[tuple[int, Floats, Floats, Floats]]:
    """Yield number, rows, columns and a smooth map (0 to 1) of each grain that can be seen."""
    rows, cols = layer.places()
    boxes: Sequence[tuple[slice, ...] | None] = ndimage.find_objects(layer.values.astype(int))
    for number, box in enumerate(boxes, start=1):
        if box is None:
            continue
        around = tuple(slice(max(0, part.start - _MARGIN), part.stop + _MARGIN) for part in box)
        # Smoothed, the grid's steps do not look like facets of the crystal.
        inside = ndimage.gaussian_filter((layer.values[around] == number).astype(float), 0.8,
                                         mode="nearest")
        if inside.min() < 0.5 < inside.max() and min(inside.shape) > 1:
            yield number, rows[around[0]], cols[around[1]], inside


def grain_key(result: Result) -> list[Line2D]:
    """Return one entry for each of the first grains: its colour, phase and zone axis."""
    key = []
    grains = result.tables["grains"].to_dict("records")
    for row in grains[:_KEYED]:
        name = str(row["phase"]).replace("$", "") or f"grain {row['grain']}, not indexed"
        zone = f" [${barred(row['zone_axis'])}$]" if row["phase"] and row["zone_axis"] else ""
        doubt = ", ambiguous" if row["phase"] and row["ambiguous"] else ""
        key.append(Line2D([], [], linestyle="none", marker="o", markersize=4.0,
                          markerfacecolor="none", markeredgecolor=colour_of(row["grain"]),
                          markeredgewidth=1.0, label=f"{name}{zone}{doubt}"))
    if len(grains) > _KEYED:
        key.append(Line2D([], [], linestyle="none",
                          label=f"and {len(grains) - _KEYED} more grains"))
    return key


def grain_count(result: Result) -> str:
    """Say how many grains there are of which phase."""
    grains = result.tables["grains"]
    counts = Counter(str(phase) or "not indexed" for phase in grains["phase"])
    said = ", ".join(f"{n} {phase}" for phase, n in counts.most_common())
    doubtful = int((grains["ambiguous"].astype(bool) & (grains["phase"] != "")).sum())
    doubt = f" ({doubtful} ambiguous)" if doubtful else ""
    spots = len(result.tables["reflections"])
    if set(counts) == {"not indexed"}:
        return f"{len(grains)} grains, {spots} reflections, not indexed"
    return f"{len(grains)} grains, {spots} reflections: {said}{doubt}"


def folds(grains: pd.DataFrame) -> NDArray[np.int64]:
    """Return after how many degrees the lattice of each grain is the same again; 0 without one."""
    u, v, angle = (grains[named(grains, name)].to_numpy(dtype=float)
                   for name in ("u_nm", "v_nm", "uv_angle_deg"))
    with np.errstate(invalid="ignore"):
        equal = np.abs(v / u - 1.0) < _LENGTHS_EQUAL
        square = equal & (np.abs(angle - 90.0) < _ANGLES_EQUAL_DEG)
        hexagonal = equal & (np.minimum(np.abs(angle - 60.0), np.abs(angle - 120.0))
                             < _ANGLES_EQUAL_DEG)
    fold = np.select([square, hexagonal, np.isfinite(u * v * angle)], [90, 60, 180], 0)
    return fold.astype(np.int64)


@cache
def hues() -> ListedColormap:
    """Return a circle of hues of the same lightness, even to the eye: grey shows through it."""
    from skimage.color import lab2rgb

    turn = np.linspace(0.0, 2.0 * np.pi, 256, endpoint=False)
    lab = np.stack([np.full(256, _LIGHTNESS), _CHROMA * np.cos(turn), _CHROMA * np.sin(turn)], 1)
    return ListedColormap(np.clip(lab2rgb(lab[None])[0], 0.0, 1.0).tolist(), name="hues")


def colour_grains(axes: Axes, result: Result, shape: tuple[int, int]) -> None:
    """Fill the grains with the colour of their direction; hatched where there is no lattice."""
    layer = grid(result, "grains", shape)
    if layer is None:
        return
    grains = result.tables["grains"]
    fold = folds(grains)
    turned = grains["rotation_deg"].to_numpy(dtype=float)
    phase = np.where(fold > 0, np.mod(turned, np.maximum(fold, 1)) / np.maximum(fold, 1), 0.0)
    colours = hues()(phase)
    colours[:, 3] = np.where(fold > 0, _OPACITY, 0.0)
    table = np.vstack([np.zeros((1, 4)), colours])
    axes.imshow(table[np.minimum(layer.values, len(grains))], extent=layer.extent,
                interpolation="nearest", aspect=axes.get_aspect(), zorder=1)
    outline_grains(axes, result, shape, "white")
    for number, rows, cols, inside in _grains(layer):
        if not fold[number - 1]:
            axes.contourf(cols, rows, inside, levels=[0.5, 2.0], colors=[(0.5, 0.5, 0.5, 0.45)],
                          hatches=["//////"])
    _write_numbers(axes, layer, fold)


def _write_numbers(axes: Axes, layer: Grid, fold: NDArray[np.int64]) -> None:
    """Write the number of each coloured grain that is large enough, at its innermost place."""
    scale = np.abs(scale_of(axes)[1])
    for number, rows, cols, inside in _grains(layer):
        deep = ndimage.distance_transform_edt(np.pad(inside > 0.5, 1))[1:-1, 1:-1]
        row, col = np.unravel_index(int(np.argmax(deep)), deep.shape)
        if fold[number - 1] and 2.0 * deep[row, col] * layer.step * scale.min() >= _NUMBER_PT:
            axes.text(cols[col], rows[row], str(number), size=TEXT_PT, ha="center",
                      va="center_baseline", color="black", zorder=5, gid="grain-number")


def direction_key(
    figure: Figure, result: Result, box_in: tuple[float, float, float]
) -> None:
    """Draw the circle of colours as a strip at ``(left, top, width)``, degrees below it.

    Each kind of lattice that was found has its own degrees: its directions are alike after a
    quarter of a turn, a sixth, or a half.
    """
    left, top, width = box_in
    found = folds(result.tables["grains"])
    kinds = [fold for fold in _FOLDS if (found == fold).any()]
    side = 1.05 if kinds else 0.0
    if kinds:
        strip = panel(figure, (left + side, top - _STRIP_IN, width - side - 0.12, _STRIP_IN))
        colours = hues()(np.linspace(0.0, 1.0, 256, endpoint=False))
        # As light as over the grey of the image.
        colours[:, :3] = _OPACITY * colours[:, :3] + (1.0 - _OPACITY) * 0.6
        strip.imshow(colours[None], extent=(0.0, 1.0, 0.0, 1.0), aspect="auto")
        strip.set_xticks([0.0, 0.25, 0.5, 0.75, 1.0], [""] * 5)
        strip.tick_params(length=2.0)
        strip.set_yticks([])
        for spine in strip.spines.values():
            spine.set_linewidth(LINE_PT)
    high = figure.get_size_inches()

    def write(x: float, y: float, text: str, where: str) -> None:
        figure.text(x / high[0], y / high[1], text, size=TEXT_PT, ha=where, va="center")

    for i, fold in enumerate(kinds):
        y = top - _STRIP_IN - 0.09 - _ROW_IN * i
        n = int((found == fold).sum())
        write(left, y, f"{_FOLDS[fold]} lattice ({n})", "left")
        for part in (0.0, 0.25, 0.5, 0.75, 1.0):
            write(left + side + part * (width - side - 0.12), y, f"{part * fold:g}°", "center")
    if kinds:
        write(left, top - 0.5 * _STRIP_IN, "direction of u", "left")
    without = int((found == 0).sum())
    if without:
        y = top - (_STRIP_IN + 0.09 + _ROW_IN * len(kinds) if kinds else 0.06)
        write(left, y, f"hatched ({without}): fringes of one direction only, no lattice", "left")


def key_height(result: Result) -> float:
    """Return the inches that `direction_key` needs."""
    found = folds(result.tables["grains"])
    rows = sum(bool((found == fold).any()) for fold in (*_FOLDS, 0))
    return _STRIP_IN + 0.06 + _ROW_IN * rows
