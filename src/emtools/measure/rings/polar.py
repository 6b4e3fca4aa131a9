"""A pattern in polar cells around its centre: sectors along, radii across."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from emtools.measure.rings._kernels import add_to_cells
from emtools.process.threads import in_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SECTORS = 72
_TABLE = 1 << 14  # steps of the pseudo-angle
_LEAST_FILLED = 0.3  # of a cell's whole area, below which its mean is left out
_CLIPPED = (5.0, 95.0)  # percentiles of the sectors beyond which a cell counts no more


@dataclass(frozen=True)
class Geometry:
    """Where the centre of a pattern is, and how its rings are stretched.

    Parameters
    ----------
    y, x
        Centre in pixels.
    e_cos, e_sin
        Ellipticity (long minus short axis over their mean) times cosine and sine of twice the
        direction of the long axis, counter-clockwise from +x.
    plane
        ``(2, 2)``: from pixels ``(y, x)`` to a plane of square pixels of the same area.
    """

    y: float
    x: float
    e_cos: float
    e_sin: float
    plane: NDArray[np.float64]

    @property
    def ellipticity(self) -> float:
        """Long minus short axis over their mean."""
        return math.hypot(self.e_cos, self.e_sin)

    @property
    def axis_deg(self) -> float:
        """Direction of the long axis, 0 ... 180 degrees counter-clockwise from +x."""
        return math.degrees(0.5 * math.atan2(self.e_sin, self.e_cos)) % 180.0

    @property
    def matrix(self) -> Floats:
        """``(2, 2)``: from pixels ``(y, x)`` off the centre to where the rings are circles."""
        # In (y, x) with y down, a counter-clockwise direction a is (-sin a, cos a).
        turn = math.radians(self.axis_deg)
        long = np.array([-math.sin(turn), math.cos(turn)])
        across = np.array([long[1], -long[0]])
        half = self.ellipticity / 2
        round_ = np.outer(long, long) / (1 + half) + np.outer(across, across) / (1 - half)
        return np.asarray(round_ @ self.plane)

    def moved(self, step: Floats) -> Geometry:
        """Return the geometry with `step` added to y, x, e_cos and e_sin."""
        y, x, e_cos, e_sin = np.array([self.y, self.x, self.e_cos, self.e_sin]) + step
        return Geometry(float(y), float(x), float(e_cos), float(e_sin), self.plane)

    def binned(self, factor: int) -> Geometry:
        """Return the geometry in the pixels of a picture binned by a factor."""
        shift = (factor - 1) / 2
        return Geometry((self.y - shift) / factor, (self.x - shift) / factor, self.e_cos,
                        self.e_sin, self.plane)

    def unbinned(self, factor: int) -> Geometry:
        """Return the geometry in the pixels of the picture that was binned by a factor."""
        shift = (factor - 1) / 2
        return Geometry(self.y * factor + shift, self.x * factor + shift, self.e_cos, self.e_sin,
                        self.plane)

    def radii(self, shape: tuple[int, int]) -> Floats:
        """Radius of each pixel in px."""
        matrix = self.matrix
        y = np.arange(shape[0], dtype=float)[:, None] - self.y
        x = np.arange(shape[1], dtype=float)[None, :] - self.x
        return np.asarray(np.hypot(matrix[0, 0] * y + matrix[0, 1] * x,
                                   matrix[1, 0] * y + matrix[1, 1] * x))

    def farthest(self, shape: tuple[int, int]) -> float:
        """Radius of the corner that is farthest from the centre."""
        corners = np.array([[y, x] for y in (0, shape[0] - 1) for x in (0, shape[1] - 1)],
                           dtype=float)
        return float(np.linalg.norm((corners - [self.y, self.x]) @ self.matrix.T, axis=1).max())


@dataclass(frozen=True)
class Cells:
    """Means in polar cells.

    Parameters
    ----------
    means
        ``(SECTORS, radii)``, NaN where a cell is masked or cut off; radius in px is the index.
    filled
        ``(SECTORS, radii)``: part of the cell that was seen.
    """

    means: Floats
    filled: Floats

    @property
    def azimuths(self) -> Floats:
        """Middles of the sectors, counter-clockwise from +x, in radians."""
        return np.asarray((np.arange(SECTORS) + 0.5) * (2 * np.pi / SECTORS), dtype=np.float64)

    @property
    def coverage(self) -> Floats:
        """Part of the azimuth that is seen at each radius."""
        return np.asarray(np.isfinite(self.means).mean(axis=0))

    def clipped(self) -> Floats:
        """The means, with those beyond the outer percentiles of all sectors set to these.

        One bright spot of another crystal, or what is left of the beam stop, then counts no more
        than the sectors beside it.
        """
        low, high = (percentile_of_sectors(self.means, one) for one in _CLIPPED)
        return np.asarray(np.clip(self.means, low, high))


def cells(values: NDArray[np.float32], use: NDArray[np.bool_], geometry: Geometry) -> Cells:
    """Return the means of a picture in polar cells one pixel deep.

    Parameters
    ----------
    values
        ``(y, x)``.
    use
        True: use the pixel.
    geometry
        Centre and ellipse.
    """
    n_bins = int(geometry.farthest((values.shape[0], values.shape[1]))) + 2
    matrix, centre = geometry.matrix, (geometry.y, geometry.x)
    table = sectors_of_pseudo_angles()

    def add(rows: tuple[int, int]) -> Floats:
        sums = np.zeros((2, SECTORS, n_bins))
        add_to_cells(rows, values, use, centre, matrix, table, sums)
        return sums

    sums, counts = np.sum(in_spans(add, (0, len(values)), values.size), axis=0)
    whole = np.maximum(2 * np.pi * np.arange(n_bins) / SECTORS, 0.5)
    filled = counts / whole
    seen = filled >= _LEAST_FILLED
    return Cells(np.where(seen, sums / np.where(seen, counts, 1.0), np.nan), filled)


@cache
def sectors_of_pseudo_angles() -> NDArray[np.int64]:
    """The sector of each step of ``|y| / (|x| + |y|)``, carried on through the quadrants.

    This grows with the azimuth, and costs no arc tangent.
    """
    place = (np.arange(_TABLE) + 0.5) * (4.0 / _TABLE)
    quadrant, part = np.divmod(place, 1.0)
    # |y| grows in quadrants 0 and 2, falls in 1 and 3.
    along = np.where(quadrant % 2 == 0, part, 1.0 - part)
    acute = np.arctan2(along, 1.0 - along)
    azimuth = np.choose(quadrant.astype(int), [acute, np.pi - acute, np.pi + acute,
                                               2 * np.pi - acute])
    return np.minimum((azimuth * (SECTORS / (2 * np.pi))).astype(np.int64), SECTORS - 1)


def percentile_of_sectors(values: Floats, percent: float) -> Floats:
    """Percentile over the sectors that are seen at each radius, NaN where there is none."""
    ordered = np.sort(values, axis=0)  # NaN last
    number = np.isfinite(values).sum(axis=0)
    place = np.maximum(number - 1, 0) * (percent / 100.0)
    low = place.astype(np.int64)
    high = np.minimum(low + 1, np.maximum(number - 1, 0))
    columns = np.arange(values.shape[1])
    part = place - low
    return np.asarray((1 - part) * ordered[low, columns] + part * ordered[high, columns])


def mean_of_sectors(values: Floats) -> Floats:
    """Mean over the sectors at each radius, NaN where there is none."""
    seen = np.isfinite(values)
    number = seen.sum(axis=0)
    total = np.where(seen, values, 0.0).sum(axis=0)
    return np.asarray(np.where(number > 0, total / np.maximum(number, 1), np.nan))
