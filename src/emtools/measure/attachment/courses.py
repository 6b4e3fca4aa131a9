"""The course of each chain: which grains lie on it, and its direction there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from emtools.model.calibration import line_angle_deg
from emtools.tables import in_unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from emtools.model import Result

    Floats = NDArray[np.float64]

_UNKNOWN_PLACE = 0.05  # of the step: error of a centreline whose widths state none


class Tangent(NamedTuple):
    """Direction of a chain's axis, in degrees in [0, 180), and its 1 sigma."""

    angle_deg: float
    err_deg: float


@dataclass(frozen=True)
class Course:
    """A chain's centreline.

    Parameters
    ----------
    chain
        Its number.
    points
        ``(n, 2)`` samples ``(y, x)``, from end to end.
    arc, widths
        Arc length and local width at the samples.
    step
        Distance between neighbouring dots, or the width where dots are not resolved.
    place_err
        1 sigma of the centreline's place across its direction, independent from step to step.
    """

    chain: int
    points: Floats
    arc: Floats
    widths: Floats
    step: float
    place_err: float

    def nearest(self, place: Floats) -> tuple[float, float]:
        """Return the distance of a place from the centreline, in widths there, and its arc."""
        start, along = self.points[:-1], np.diff(self.points, axis=0)
        length2 = np.maximum(np.sum(along**2, axis=1), 1e-30)
        part = np.clip(np.sum((place - start) * along, axis=1) / length2, 0.0, 1.0)
        apart = np.linalg.norm(start + part[:, None] * along - place, axis=1)
        best = int(np.argmin(apart))
        arc = self.arc[best] + part[best] * (self.arc[best + 1] - self.arc[best])
        width = float(np.interp(arc, self.arc, self.widths))
        return float(apart[best]) / max(width, 1e-30), float(arc)

    def tangent(self, arc: float) -> Tangent:
        """Return the direction of the axis at an arc length.

        It is that of the secant over one step to both sides: the mean of the two bonds of a dot.
        Beyond a chain's last but one dot the secant is one-sided, and what the axis turns between
        its middle and the dot is counted as uncertainty.
        """
        low, high = (float(np.clip(arc + sign * self.step, self.arc[0], self.arc[-1]))
                     for sign in (-1.0, 1.0))
        middle = 0.5 * (low + high)
        first, centre, last = self._at(np.array([low, middle, high]))
        run = max(float(np.hypot(*(last - first))), 1e-30)
        turned = _angle_between(centre - first, last - centre)
        bend = turned / (0.5 * run) * abs(arc - middle)
        err = float(np.hypot(np.sqrt(2.0) * self.place_err / run, bend))
        return Tangent(float(line_angle_deg(last - first)), float(np.degrees(err)))

    def _at(self, arc: Floats) -> Floats:
        return np.stack([np.interp(arc, self.arc, column) for column in self.points.T], axis=-1)


def _angle_between(a: Floats, b: Floats) -> float:
    return float(abs(np.arctan2(a[0] * b[1] - a[1] * b[0], a @ b)))


def courses(chains: Result, unit: str) -> list[Course]:
    """Return the centrelines of a ``chains`` result."""
    columns = [in_unit(name, unit) for name in ("s_nm", "y_nm", "x_nm", "width_nm")]
    found = []
    for row in chains.tables["chains"].to_dict("records"):
        number = int(row["chain"])
        axes = chains.tables["axes"]
        samples = axes.loc[axes["chain"] == number, columns].to_numpy(dtype=float)
        samples = samples[np.isfinite(samples).all(axis=1)]
        samples = samples[np.unique(samples[:, 0], return_index=True)[1]]
        if len(samples) < 2:
            continue
        pitch = float(row[in_unit("pitch_nm", unit)])
        step = pitch if np.isfinite(pitch) else float(row[in_unit("width_nm", unit)])
        found.append(Course(number, samples[:, 1:3], samples[:, 0], samples[:, 3], step,
                            _place_err(chains.tables["dots"], row, step, unit)))
    return found


def _place_err(dots: pd.DataFrame, chain: Mapping[Any, Any], step: float, unit: str) -> float:
    """Error of the centreline across its direction: half of that of the width it was fitted with.

    A body of two edges, each with an error e, has a diameter known to sqrt(2) e and a centre known
    to e / sqrt(2).
    """
    name = in_unit("diameter_err_nm", unit)
    own = dots.loc[dots["chain"] == chain["chain"], name].to_numpy(dtype=float)
    own = own[np.isfinite(own)]
    err = float(np.median(own)) if len(own) else float(chain[in_unit("width_err_nm", unit)])
    return 0.5 * err if np.isfinite(err) else _UNKNOWN_PLACE * step


def nearest_course(
    found: Sequence[Course], place: Floats, max_offset: float
) -> tuple[Course, float] | None:
    """Return the chain that a place lies on and the arc length there, None if on none."""
    best: tuple[Course, float] | None = None
    smallest = max_offset
    for course in found:
        offset, arc = course.nearest(place)
        if offset <= smallest:
            best, smallest = (course, arc), offset
    return best
