"""Bodies drawn as projected thickness, averaged over each pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from emtools.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.simulate._lattice import Waves
    from emtools.simulate._walk import Strand

    Floats = NDArray[np.float64]

BodyShape = Literal["sphere", "superellipsoid", "cylinder", "cube"]
SHAPES = ("sphere", "superellipsoid", "cylinder", "cube")
SUPERELLIPSOID_EXPONENT = 4.0


@dataclass(frozen=True)
class Body:
    """One body: position in nm, heading (radians, +x towards +y), extents in nm.

    Parameters
    ----------
    y_nm, x_nm
        Centre.
    heading
        Direction of its length.
    length_nm, width_nm
        Extents along and across; the extent along the beam is the width.
    shape
        ``sphere`` (ellipsoid), ``superellipsoid`` (exponent 4), ``cylinder`` (a rod along the
        heading) or ``cube`` (a block lying flat).
    brightness
        Factor on the thickness.
    lattice
        Waves of its crystal, with their phase counted from its centre, or None.
    """

    y_nm: float
    x_nm: float
    heading: float
    length_nm: float
    width_nm: float
    shape: BodyShape = "sphere"
    brightness: float = 1.0
    lattice: Waves | None = None

    def reach_nm(self) -> tuple[float, float]:
        """Half extents along y and x."""
        along, across = 0.5 * self.length_nm, 0.5 * self.width_nm
        s, c = abs(math.sin(self.heading)), abs(math.cos(self.heading))
        if self.shape == "sphere":
            return math.hypot(along * s, across * c), math.hypot(along * c, across * s)
        if self.shape == "superellipsoid":
            # Support function of |u|^4 + |v|^4 = 1: the dual norm, exponent 4/3.
            p = SUPERELLIPSOID_EXPONENT / (SUPERELLIPSOID_EXPONENT - 1)
            return (math.pow((along * s) ** p + (across * c) ** p, 1 / p),
                    math.pow((along * c) ** p + (across * s) ** p, 1 / p))
        return along * s + across * c, along * c + across * s

    def thickness(self, y_nm: Floats, x_nm: Floats) -> Floats:
        """Projected thickness in nm at positions relative to the centre."""
        s, c = math.sin(self.heading), math.cos(self.heading)
        u = (x_nm * c + y_nm * s) / (0.5 * self.length_nm)
        v = (y_nm * c - x_nm * s) / (0.5 * self.width_nm)
        if self.shape == "sphere":
            relative = np.sqrt(np.maximum(0.0, 1.0 - u**2 - v**2))
        elif self.shape == "superellipsoid":
            n = SUPERELLIPSOID_EXPONENT
            relative = np.maximum(0.0, 1.0 - np.abs(u) ** n - np.abs(v) ** n) ** (1.0 / n)
        elif self.shape == "cylinder":
            relative = (np.abs(u) <= 1) * np.sqrt(np.maximum(0.0, 1.0 - v**2))
        elif self.shape == "cube":
            relative = (np.maximum(np.abs(u), np.abs(v)) <= 1).astype(float)
        else:
            raise ParameterError("dot_shape", f"{self.shape!r} is not known",
                                 f"give one of {', '.join(SHAPES)}")
        return np.asarray(self.brightness * self.width_nm * relative)


def bodies_of(
    strands: list[Strand], shape: BodyShape, brightness_std: float, rng: np.random.Generator
) -> list[list[Body]]:
    """Return a body for each place of each strand, with its own brightness."""
    if shape not in SHAPES:
        raise ParameterError("dot_shape", f"{shape!r} is not known",
                             f"give one of {', '.join(SHAPES)}")
    rows = []
    for strand in strands:
        bright = np.maximum(0.1, 1 + brightness_std * rng.standard_normal(len(strand.centres)))
        fields = zip(*strand.centres.T.tolist(), strand.headings.tolist(), strand.lengths.tolist(),
                     strand.widths.tolist(), bright.tolist(), strict=True)
        rows.append([Body(y, x, heading, length, width, shape, factor)
                     for y, x, heading, length, width, factor in fields])
    return rows


def draw_bodies(
    bodies: list[Body], shape: tuple[int, int], pixel_size_nm: float
) -> Floats:
    """Return the projected thickness in nm of all bodies, each pixel the mean over its square."""
    canvas = np.zeros(shape)
    for body in bodies:
        rows, columns = _window(body, shape, pixel_size_nm)
        if rows.size and columns.size:
            canvas[rows[0]: rows[-1] + 1, columns[0]: columns[-1] + 1] += _patch(
                body, rows, columns, pixel_size_nm
            )
    return canvas


def _window(
    body: Body, shape: tuple[int, int], pixel_size_nm: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the pixels that the body can reach, inside the frame."""
    spans = []
    for centre, reach, size in zip((body.y_nm, body.x_nm), body.reach_nm(), shape, strict=True):
        low = max(0, math.floor((centre - reach) / pixel_size_nm))
        high = min(size - 1, math.ceil((centre + reach) / pixel_size_nm))
        spans.append(np.arange(low, high + 1))
    return spans[0], spans[1]


def _patch(
    body: Body, rows: NDArray[np.int64], columns: NDArray[np.int64], pixel_size_nm: float
) -> Floats:
    # About 48 samples across a body place its edge to a fiftieth of its width or better.
    factor = int(np.clip(math.ceil(48 * pixel_size_nm / body.width_nm), 3, 16))
    inside = (np.arange(factor) + 0.5) / factor - 0.5
    y = (rows[:, None] + inside).ravel() * pixel_size_nm - body.y_nm
    x = (columns[:, None] + inside).ravel() * pixel_size_nm - body.x_nm
    fine = body.thickness(y[:, None], x[None, :])
    if body.lattice is not None:
        fine = fine * (1.0 + body.lattice.draw(y, x))
    return np.asarray(fine.reshape(len(rows), factor, len(columns), factor).mean(axis=(1, 3)))
