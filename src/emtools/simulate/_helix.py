"""Double helices: two strands of bodies that coil around a common axis, seen in projection."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d

from emtools.errors import ParameterError
from emtools.simulate._detector import checked
from emtools.simulate._walk import ATTEMPTS, Coil, Strand, arc_lengths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.simulate._walk import Layout, Recipe

    Floats = NDArray[np.float64]

STEP_NM = 0.1


@dataclass(frozen=True)
class HelixRecipe:
    """How double helices are made.

    Parameters
    ----------
    pitch_nm
        Along the common axis, one full turn of a strand (two crossings).
    radius_nm
        From the common axis to the centres of the bodies.
    turns
        Number of full turns.
    """

    pitch_nm: float
    radius_nm: float
    turns: float

    def __post_init__(self) -> None:
        for name in ("pitch_nm", "radius_nm", "turns"):
            checked(f"helix_{name}", getattr(self, name), strict=True)

    def strands(self, recipe: Recipe, coil: Coil, rng: np.random.Generator) -> list[Strand]:
        """Return two strands with the middle of their axis at the origin, and their sheath.

        The sheath is a row of discs along the axis, wide enough to hold both strands: what keeps
        off it keeps off the helix.
        """
        length = self.pitch_nm * self.turns
        axis, heading = self._axis(recipe, length, rng)
        phase = rng.uniform(0, 2 * np.pi)
        hand = 1.0 if rng.uniform() < 0.5 else -1.0
        pair = []
        for start in (phase, phase + np.pi):
            angle = start + 2 * np.pi * STEP_NM * np.arange(len(axis)) / self.pitch_nm
            offset = self.radius_nm * np.cos(angle)
            height = hand * self.radius_nm * np.sin(angle)
            normal = np.stack([np.cos(heading), -np.sin(heading)], axis=1)
            curve = np.column_stack([axis + offset[:, None] * normal, height])
            pair.append(replace(_beaded(curve, recipe, rng), coil=coil))
        return [*pair, self._sheath(axis, heading, recipe.diameter_nm)]

    def _axis(
        self, recipe: Recipe, length_nm: float, rng: np.random.Generator
    ) -> tuple[Floats, Floats]:
        """Points (y, x) of the axis at steps of `STEP_NM`, and its direction there."""
        n = max(2, math.ceil(length_nm / STEP_NM) + 1)
        turns = rng.standard_normal(n) * math.sqrt(STEP_NM / recipe.persistence_length_nm)
        # Two strands as thick as the helix cannot bend more sharply than over their own radius.
        smooth = gaussian_filter1d(turns, self.radius_nm / STEP_NM, mode="reflect")
        bends = smooth + recipe.curvature_per_nm * STEP_NM
        heading = rng.uniform(0, 2 * np.pi) + np.cumsum(bends)
        steps = STEP_NM * np.stack([np.sin(heading), np.cos(heading)], axis=1)
        axis = np.cumsum(steps, axis=0)
        return axis - axis[n // 2], heading

    def _sheath(self, axis: Floats, heading: Floats, diameter_nm: float) -> Strand:
        size = 2 * self.radius_nm + diameter_nm
        n = max(1, round(len(axis) * STEP_NM / size))
        chosen = np.linspace(0, len(axis) - 1, n).astype(int)
        sizes = np.full(n, size)
        return Strand(axis[chosen], heading[chosen], sizes, sizes, np.zeros(n - 1))


def place_helix(layout: Layout, recipe: Recipe, helix: HelixRecipe, number: int) -> None:
    """Add one double helix, its strands clear of everything placed before.

    Raises
    ------
    ParameterError
        If no free place is found.
    """
    coil = Coil(number, helix.pitch_nm, helix.radius_nm)
    for _ in range(ATTEMPTS):
        *pair, sheath = helix.strands(recipe, coil, layout.rng)
        offset = layout.rng.uniform(layout.low, layout.high)
        pair = [strand.moved(offset) for strand in pair]
        if layout.free(sheath.moved(offset), pair):
            layout.strands += pair
            return
    raise ParameterError("helices", f"no free place for number {number}",
                         "give a larger shape, fewer turns, or allow border cuts")


def _beaded(curve: Floats, recipe: Recipe, rng: np.random.Generator) -> Strand:
    """A row of bodies along a curve in space ``(n, 3)``, as it is seen along z.

    Bodies are spaced along the curve; the gaps of the strand are those seen in projection, shorter
    where the curve rises and less than nothing where a body hides part of the next.
    """
    arc = arc_lengths(curve)
    widths, lengths, gaps = recipe.sizes(max(2, math.ceil(arc[-1] / recipe.diameter_nm)), rng)
    bonds = 0.5 * (lengths[1:] + lengths[:-1]) + gaps
    at = rng.uniform(0, bonds[0]) + np.concatenate([[0.0], np.cumsum(bonds)])
    n = int(np.searchsorted(at, arc[-1]))
    at = at[:n]
    if n < 2:
        raise ParameterError("helix_turns", "a helix of less than two dots a strand",
                             "give more turns or a longer pitch")
    centres = np.column_stack([np.interp(at, arc, curve[:, axis]) for axis in (0, 1)])
    near = np.clip(np.searchsorted(arc, at), 1, len(arc) - 2)
    along = curve[near + 1, :2] - curve[near - 1, :2]
    headings = np.arctan2(along[:, 0], along[:, 1])
    seen = np.array([float(np.hypot(*(b - a))) for a, b in itertools.pairwise(centres)])
    apart = seen - 0.5 * (lengths[1:n] + lengths[: n - 1])
    return Strand(centres, headings, lengths[:n], widths[:n], apart)
