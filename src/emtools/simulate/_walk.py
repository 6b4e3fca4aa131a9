"""Where bodies lie: chains as persistent random walks, placed clear of each other in a frame."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from emtools.errors import ParameterError
from emtools.simulate._detector import checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Edge to edge, what does not belong together stays farther apart than a gap of a chain can be.
CLEARANCE_NM = 4.0
ATTEMPTS = 3000


@dataclass(frozen=True)
class Coil:
    """The double helix that a strand belongs to.

    Parameters
    ----------
    number
        Of the helix, from 1.
    pitch_nm
        Along the helix's axis, one full turn.
    radius_nm
        From the helix's axis to the centres of the bodies.
    """

    number: int
    pitch_nm: float
    radius_nm: float


@dataclass(frozen=True)
class Strand:
    """A row of bodies, from one body up.

    Parameters
    ----------
    centres
        ``(n, 2)`` positions (y, x) in nm.
    headings
        ``(n,)`` direction of each body in radians, from +x towards +y (down the screen).
    lengths, widths
        ``(n,)`` extents in nm along and across the heading.
    gaps
        ``(n - 1,)`` edge to edge in nm.
    coil
        The double helix that it is one strand of.
    """

    centres: Floats
    headings: Floats
    lengths: Floats
    widths: Floats
    gaps: Floats
    coil: Coil | None = None

    def path(self) -> Floats:
        """The axis from outer edge to outer edge: ``(n + 2, 2)`` points (y, x) in nm."""
        ends = []
        for index, sign in ((0, -0.5), (-1, 0.5)):
            heading = self.headings[index]
            step = sign * self.lengths[index] * np.array([math.sin(heading), math.cos(heading)])
            ends.append(self.centres[index] + step)
        return np.vstack([ends[0], self.centres, ends[1]])

    def moved(self, offset: Floats) -> Strand:
        """Return the strand shifted by ``(y, x)``."""
        return replace(self, centres=self.centres + offset)


@dataclass(frozen=True)
class Recipe:
    """How strands are made.

    Parameters
    ----------
    diameter_nm, diameter_std_nm
        Width of the bodies.
    elongation
        Length over width.
    gap_nm, gap_std_nm
        Edge to edge.
    persistence_length_nm
        Of the worm-like chain; infinite for straight ones.
    curvature_per_nm
        Mean curvature.
    """

    diameter_nm: float
    diameter_std_nm: float
    elongation: float
    gap_nm: float
    gap_std_nm: float
    persistence_length_nm: float
    curvature_per_nm: float

    def __post_init__(self) -> None:
        for name in ("diameter_nm", "elongation", "persistence_length_nm"):
            if not getattr(self, name) > 0:
                raise ParameterError(name, f"must be positive, not {getattr(self, name)}")
        for name in ("diameter_std_nm", "gap_nm", "gap_std_nm"):
            checked(name, getattr(self, name))

    def strand(self, n: int, rng: np.random.Generator) -> Strand:
        """Return a strand of `n` bodies with its middle body at the origin."""
        widths, lengths, gaps = self.sizes(n, rng)
        bonds = 0.5 * (lengths[1:] + lengths[:-1]) + gaps
        # In two dimensions <cos> falls as exp(-s / 2P), so each bond turns by sqrt(bond / P).
        turns = np.sqrt(bonds / self.persistence_length_nm) * rng.standard_normal(n - 1)
        angles = rng.uniform(0, 2 * np.pi) + np.cumsum(turns + self.curvature_per_nm * bonds)
        steps = bonds[:, None] * np.stack([np.sin(angles), np.cos(angles)], axis=1)
        centres = np.vstack([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
        if n == 1:
            headings = rng.uniform(0, 2 * np.pi, 1)
        else:
            around = np.concatenate([angles[:1], angles, angles[-1:]])
            headings = 0.5 * (around[1:] + around[:-1])
        return Strand(centres - centres[n // 2], headings, lengths, widths, gaps)

    def sizes(self, n: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        """Return widths and lengths of `n` bodies and the gaps between them, in nm."""
        spread = np.clip(rng.standard_normal(n), -3, 3)
        widths = np.maximum(self.diameter_nm + self.diameter_std_nm * spread,
                            0.3 * self.diameter_nm)
        gaps = np.maximum(self.gap_nm + self.gap_std_nm * rng.standard_normal(n - 1), 0.0)
        return widths, self.elongation * widths, gaps


def crossing_points(first: Floats, second: Floats) -> Floats:
    """Where two polylines cross: ``(n, 3)`` rows of y, x and the angle between them in radians."""
    a, da = first[:-1, None], np.diff(first, axis=0)[:, None]
    b, db = second[None, :-1], np.diff(second, axis=0)[None]
    cross = da[..., 0] * db[..., 1] - da[..., 1] * db[..., 0]
    safe = np.where(cross == 0, np.inf, cross)
    apart = b - a
    s = (apart[..., 0] * db[..., 1] - apart[..., 1] * db[..., 0]) / safe
    t = (apart[..., 0] * da[..., 1] - apart[..., 1] * da[..., 0]) / safe
    hit = (s >= 0) & (s < 1) & (t >= 0) & (t < 1) & (cross != 0)
    rows, columns = np.nonzero(hit)
    points = first[rows] + s[hit][:, None] * np.diff(first, axis=0)[rows]
    lengths = np.linalg.norm(da, axis=-1) * np.linalg.norm(db, axis=-1)
    sines = np.clip(np.abs(cross) / np.where(lengths == 0, np.inf, lengths), 0, 1)[rows, columns]
    return np.column_stack([points, np.arcsin(sines)])


class Layout:
    """Strands placed so far in a frame, and the rules for the next one.

    Parameters
    ----------
    shape, pixel_size_nm
        The frame; its border runs half a pixel around the outermost pixels' centres.
    border_cuts
        Whether strands may leave the frame.
    rng
        Generator.
    clearance_nm
        Least distance, edge to edge, of strands from each other and from themselves.
    """

    def __init__(
        self, shape: tuple[int, int], pixel_size_nm: float, border_cuts: bool,
        rng: np.random.Generator, clearance_nm: float = CLEARANCE_NM,
    ) -> None:
        self.clearance_nm = clearance_nm
        self.low: Floats = np.full(2, -0.5 * pixel_size_nm)
        self.high: Floats = pixel_size_nm * (np.array(shape) - 0.5)
        self.border_cuts = border_cuts
        self.rng = rng
        self.strands: list[Strand] = []

    def place(self, recipe: Recipe, n: int, crosses: bool = False) -> None:
        """Add a strand of `n` bodies; with `crosses` it crosses one strand placed before, once.

        Raises
        ------
        ParameterError
            If no free place is found.
        """
        for _ in range(ATTEMPTS):
            strand = recipe.strand(n, self.rng)
            target = self._target(n) if crosses else self.rng.uniform(self.low, self.high)
            strand = strand.moved(target - strand.centres[n // 2])
            if self._fits(strand) and self._clear(strand, int(crosses)):
                self.strands.append(strand)
                return
        raise ParameterError(
            "chains", f"no free place for number {len(self.strands) + 1} ({n} dots)",
            "give a larger shape, fewer or shorter chains, or allow border cuts",
        )

    def _target(self, n: int) -> Floats:
        """A body in the middle part of an earlier strand of more than one body."""
        long = [strand for strand in self.strands if len(strand.centres) >= min(n, 5)]
        if not long:
            return self.rng.uniform(self.low, self.high)
        centres = long[int(self.rng.integers(len(long)))].centres
        inner = centres[len(centres) // 4: 3 * len(centres) // 4 + 1]
        return np.asarray(inner[int(self.rng.integers(len(inner)))])

    def _fits(self, strand: Strand) -> bool:
        if self.border_cuts:
            return True
        margin = 0.5 * np.maximum(strand.lengths, strand.widths)[:, None] + 0.5
        inside = (strand.centres - margin > self.low) & (strand.centres + margin < self.high)
        return bool(inside.all())

    def _clear(self, strand: Strand, crossings: int) -> bool:
        """Whether the strand keeps off itself and the others, but for so many clean crossings."""
        if not _keeps_off_itself(strand, self.clearance_nm):
            return False
        found = 0
        for other in self._near(strand):
            points = crossing_points(strand.path(), other.path())
            found += len(points)
            if found > crossings or not _clean(points, (strand, other), self.clearance_nm):
                return False
        return found == crossings

    def free(self, sheath: Strand, strands: list[Strand]) -> bool:
        """Whether strands that cross each other fit in, and their sheath keeps off the others."""
        return all(self._fits(strand) for strand in strands) and self._clear(sheath, 0)

    def _near(self, strand: Strand) -> list[Strand]:
        """Strands whose surroundings this one's touch; looking at all would be slow."""
        if not self.strands:
            return []
        bounds = np.array([_bounds(other, self.clearance_nm) for other in self.strands])
        low, high = _bounds(strand, self.clearance_nm)
        apart = (bounds[:, 0] > high) | (bounds[:, 1] < low)
        return [self.strands[index] for index in np.flatnonzero(~apart.any(axis=1)).tolist()]


def _bounds(strand: Strand, clearance: float) -> tuple[Floats, Floats]:
    """Corners of the box around a strand and half the clearance it needs."""
    margin = 0.5 * (_sizes(strand).max() + clearance)
    return strand.centres.min(axis=0) - margin, strand.centres.max(axis=0) + margin


def _sizes(strand: Strand) -> Floats:
    return np.asarray(np.maximum(strand.lengths, strand.widths))


def _keeps_off_itself(strand: Strand, clearance: float) -> bool:
    n = len(strand.centres)
    distance = np.linalg.norm(strand.centres[:, None] - strand.centres[None], axis=-1)
    steps = np.abs(np.arange(n)[:, None] - np.arange(n)[None])
    size = 0.5 * (_sizes(strand)[:, None] + _sizes(strand)[None])
    near = np.where(steps == 2, distance < 1.5 * size, distance < size + clearance)
    return not bool(near[steps >= 2 if n < 4 else (steps == 2) | (steps > 3)].any())


def _clean(points: Floats, strands: tuple[Strand, Strand], clearance: float) -> bool:
    """Whether two strands are clear of each other except right at crossings worth the name."""
    strand, other = strands
    gap = np.linalg.norm(strand.centres[:, None] - other.centres[None], axis=-1)
    gap = gap - 0.5 * (_sizes(strand)[:, None] + _sizes(other)[None])
    close = gap < clearance
    size = float(max(_sizes(strand).max(), _sizes(other).max()))
    for y, x, angle in points:
        if angle < math.radians(35.0):
            return False
        reach = (size + clearance) / math.sin(angle)
        for one in strands:
            ends = np.linalg.norm(one.path()[[0, -1]] - (y, x), axis=1)
            if ends.min() < 1.5 * reach:  # a T or an L, not a crossing
                return False
        around = np.linalg.norm(strand.centres - (y, x), axis=1) < reach
        close[around] = False
    return not bool(close.any())


def clipped(path: Floats, low: Floats, high: Floats) -> tuple[Floats, float]:
    """Return the part of a polyline inside a box, and the arc length at which it enters.

    Parts of a path that leaves and comes back are joined; an empty array where none is inside.
    """
    points: list[Floats] = []
    entered, arc = math.nan, 0.0
    for start, end in itertools.pairwise(path):
        step = end - start
        first, last = 0.0, 1.0
        for axis in (0, 1):  # Liang-Barsky
            if step[axis] == 0:
                if not low[axis] <= start[axis] <= high[axis]:
                    last = -1.0
                continue
            bounds = sorted(((low[axis] - start[axis]) / step[axis],
                             (high[axis] - start[axis]) / step[axis]))
            first, last = max(first, bounds[0]), min(last, bounds[1])
        length = float(np.hypot(*step))
        if first < last:
            if not points:
                entered = arc + first * length
                points.append(start + first * step)
            points.append(start + last * step)
        arc += length
    return np.array(points).reshape(-1, 2), entered


def arc_lengths(path: Sequence[Sequence[float]] | Floats) -> Floats:
    """Arc position of each point of a polyline from its first."""
    steps = np.linalg.norm(np.diff(np.asarray(path, dtype=float), axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])
