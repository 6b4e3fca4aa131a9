"""What the figures of chains share: the tables in pixels of the image, outlines, and points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import patheffects
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.patches import Rectangle

from emtools.figures.style import ORANGE, SKY, size_pt
from emtools.tables import in_unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from emtools.model import Calibration, Image

    Floats = NDArray[np.float64]

_OUTLINE_PT, _AXIS_PT, _THINNEST_PT = 0.5, 0.9, 0.5
_AROUND = np.linspace(0.0, 2.0 * np.pi, 36, endpoint=False)
CASING = [patheffects.withStroke(linewidth=1.6, foreground="black")]
THIN_CASING = [patheffects.withStroke(linewidth=1.1, foreground="black")]


@dataclass(frozen=True)
class Drawn:
    """The tables of a result in pixels of the image, (y, x).

    Parameters
    ----------
    centrelines
        Of each chain.
    widths
        Local widths along them, in the unit of the tables.
    chained, single
        Outlines of the dots in chains and of the others.
    """

    centrelines: dict[int, Floats]
    widths: dict[int, Floats]
    chained: list[Floats]
    single: list[Floats]

    @classmethod
    def of(cls, tables: Mapping[str, pd.DataFrame], calibration: Calibration) -> Drawn:
        """Return what is drawn of the tables ``axes`` and ``dots``."""
        unit = unit_of(calibration)
        places = [in_unit("y_nm", unit), in_unit("x_nm", unit)]
        courses = {int(str(number)): rows for number, rows in tables["axes"].groupby("chain")}
        lines = {number: rows[places].to_numpy(dtype=float) for number, rows in courses.items()}
        chained: list[Floats] = []
        single: list[Floats] = []
        for dot in tables["dots"].to_dict("records"):
            outline = _ellipse(dot, unit, lines.get(int(dot["chain"])))
            (chained if dot["chain"] else single).append(calibration.pixels(outline))
        return cls(
            {number: calibration.pixels(line) for number, line in lines.items()},
            {number: rows[in_unit("width_nm", unit)].to_numpy(dtype=float)
             for number, rows in courses.items()}, chained, single)

    def marks(self) -> Floats:
        """Return all points (x, y) that are drawn."""
        parts = [*self.centrelines.values(), *self.chained, *self.single, np.empty((0, 2))]
        points = np.vstack(parts)[:, ::-1]
        return np.asarray(points[np.isfinite(points).all(axis=1)])

    def dot_radius(self) -> float:
        """Return the median half width of the dots, 0 where there are none."""
        radii = [0.5 * float(np.ptp(outline[:, 0])) for outline in self.chained + self.single]
        return float(np.nanmedian(radii)) if radii else 0.0


class Points:
    """From pixels of the image (y, x) to points in the panel, from its upper left, and back."""

    def __init__(self, axes: Axes) -> None:
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        wide, high = size_pt(axes)
        self.size = np.array([high, wide])
        self._origin = np.array([top, left])
        self._scale = np.array([high / (bottom - top), wide / (right - left)])
        self.scale = float(self._scale[1])

    def __call__(self, yx: Floats) -> Floats:
        """Return points in the panel, (down, right)."""
        return np.asarray((yx - self._origin) * self._scale)

    def back(self, place: Floats) -> Floats:
        """Return pixels of the image."""
        return np.asarray(place / self._scale + self._origin)

    def up(self, yx: Floats) -> Floats:
        """Return points from the lower left, (right, up): as `LabelPlaces` counts them."""
        return np.asarray(self(yx)[:, ::-1] * [1.0, -1.0] + [0.0, self.size[0]])

    def back_from_up(self, place: Floats) -> Floats:
        """Return pixels of the image."""
        return self.back(np.array([self.size[0] - place[1], place[0]]))


def cut(image: Image, corner: Floats, shape: Floats) -> Image:
    """Return a part of a picture, so many rows and columns from a pixel (y, x) on.

    Other images than single pictures are returned as they are.
    """
    if not image.is_plane:
        return image
    part = tuple(slice(int(start), int(start + n)) for start, n in zip(corner, shape, strict=True))
    axes = tuple(replace(axis, size=piece.stop - piece.start)
                 for axis, piece in zip(image.axes, part, strict=True))
    return replace(image, data=image.data[part], axes=axes,
                   mask=None if image.mask is None else image.mask[part])


def unit_of(calibration: Calibration) -> str:
    """Return the unit of the tables' columns: ``nm`` or ``px``."""
    return "px" if calibration.unit == "px" else "nm"


def _ellipse(dot: Mapping[Any, Any], unit: str, centreline: Floats | None) -> Floats:
    """Outline of a dot in physical units, lying along its chain; round where it has none."""
    centre = np.array([dot[in_unit("y_nm", unit)], dot[in_unit("x_nm", unit)]], dtype=float)
    along_size, across_size = dot[in_unit("length_nm", unit)], dot[in_unit("width_nm", unit)]
    along = np.array([0.0, 1.0])
    if centreline is not None and len(centreline) > 1:
        along = tangent(centreline, centre)
    else:  # the table does not say which way the longer axis points
        along_size = across_size = dot[in_unit("diameter_nm", unit)]
    across = np.array([-along[1], along[0]])
    return np.asarray(centre + 0.5 * (np.outer(along_size * np.cos(_AROUND), along)
                                      + np.outer(across_size * np.sin(_AROUND), across)))


def tangent(centreline: Floats, at: Floats) -> Floats:
    """Return the unit vector along a centreline where it is nearest to a place."""
    nearest = int(np.argmin(np.sum((centreline - at) ** 2, axis=1)))
    step = centreline[min(nearest + 1, len(centreline) - 1)] - centreline[max(nearest - 1, 0)]
    length = float(np.hypot(*step))
    return np.asarray(step / length) if length > 0 else np.array([0.0, 1.0])


def draw_outlines(axes: Axes, drawn: Drawn) -> None:
    """Draw the outlines of the dots, in chains and single."""
    for outlines, colour in ((drawn.chained, SKY), (drawn.single, ORANGE)):
        finite = [outline[:, ::-1] for outline in outlines if np.isfinite(outline).all()]
        # A wider, darker line below lets the outline read on a bright ground too.
        for width, shade, alpha in ((2.0 * _OUTLINE_PT, "black", 0.45), (_OUTLINE_PT, colour, 1.0)):
            axes.add_collection(PolyCollection(finite, facecolors="none", edgecolors=shade,
                                               linewidths=width, alpha=alpha, zorder=3))


def draw_casing(axes: Axes, drawn: Drawn) -> float:
    """Draw a black line under the centrelines; return how wide the line on it is, in points."""
    radius = drawn.dot_radius() * Points(axes).scale
    # Small dots would vanish under a broad line; without dots nothing does.
    thin = float(np.clip(0.25 * radius, _THINNEST_PT, _AXIS_PT)) if radius else _AXIS_PT
    axes.add_collection(LineCollection(
        [line[:, ::-1] for line in drawn.centrelines.values()], colors="black",
        linewidths=2.1 * thin, zorder=4, capstyle="round"))
    return thin


def plates(axes: Axes) -> list[tuple[float, float, float, float]]:
    """Return the ground of the scale bar (left, bottom, right, top), in points from lower left."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    wide, high = size_pt(axes)
    found = []
    for patch in axes.findobj(Rectangle):
        assert isinstance(patch, Rectangle)
        if patch.get_gid() == "scale-bar-plate":
            x = np.array([patch.get_x(), patch.get_x() + patch.get_width()])
            y = np.array([patch.get_y(), patch.get_y() + patch.get_height()])
            x, y = wide * (x - left) / (right - left), high * (y - bottom) / (top - bottom)
            found.append((float(x[0]), float(y[0]), float(x[1]), float(y[1])))
    return found


def counted(n: int, word: str) -> str:
    """Return ``1 chain``, ``2 chains``."""
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
