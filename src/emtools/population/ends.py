"""Which ends of a chain are true ends, and how far the chain is seen from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from emtools.measure.chains.assemble import SEEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_SLACK = 0.05  # of the width: rounding, and half a pixel of origin


class End(NamedTuple):
    """One end of what is seen of a chain.

    Parameters
    ----------
    y_nm, x_nm
        Its outer edge.
    cut
        Whether the chain goes on, or may go on, beyond the border.
    back_nm
        By how much what is seen ends beyond the place up to which a true end would have been
        recognised as one.
    """

    y_nm: float
    x_nm: float
    cut: bool
    back_nm: float


@dataclass(frozen=True)
class Course:
    """What is seen of one chain.

    Parameters
    ----------
    length_nm, width_nm, gap_nm
        Of its row.
    n_dots
        0 where dots are not resolved.
    s, yx
        ``(n,)`` arc and ``(n, 2)`` places of the sampled centreline.
    ends
        Its first and last end; none if it has no centreline.
    """

    length_nm: float
    width_nm: float
    n_dots: int
    s: Floats
    yx: Floats
    ends: tuple[End, ...]

    @classmethod
    def of(
        cls, row: Mapping[Any, Any], axis: Floats | None, shape_nm: tuple[float, float]
    ) -> Course:
        """Return the course of a row of ``chains``; `axis` has the columns s, y, x."""
        size = (float(row["length_nm"]), float(row["width_nm"]), int(row["n_dots"]))
        if axis is None or len(axis) < 2:
            return cls(*size, np.zeros(0), np.zeros((0, 2)), ())
        s, yx = axis[:, 0], axis[:, 1:]
        depth = np.minimum(yx, np.array(shape_nm) - yx).min(axis=1)
        half, reach = _zone(row)
        ends = _ends(size[0], half, reach, (s, yx, depth))
        # It leaves the frame somewhere, and does not only pass along the border: by its nearer end.
        beside = len(depth) > 2 and depth[1:-1].min() <= (0.5 + _SLACK) * size[1]
        if row["touches_edge"] and not beside and not any(end.cut for end in ends):
            nearest = 0 if depth[0] <= depth[-1] else 1
            ends = tuple(end._replace(cut=n == nearest) for n, end in enumerate(ends))
        return cls(*size, s, yx, ends)


    def at(self, arc: Floats) -> Floats:
        """Places at given arcs, ``(n, 2)``."""
        return np.stack([np.interp(arc, self.s, column) for column in self.yx.T], axis=-1)


def follow(course: Course) -> tuple[int, float, float]:
    """Return how many true ends are seen, and how far the chain is followed from them.

    Returns
    -------
    tuple
        Number of true ends (2: the whole chain is seen); its length, or how far it was certainly
        not at its end; the same in dots.  NaN without a true end.
    """
    whole = sum(not end.cut for end in course.ends)
    if whole == 0:
        return 0, float("nan"), float("nan")
    dots = float(course.n_dots) if course.n_dots else float("nan")
    if whole == 2:
        return 2, course.length_nm, dots
    back = sum(end.back_nm for end in course.ends if end.cut)
    # A chain that ended with its last visible dot would not have been known to end there.
    return 1, max(course.length_nm - back, 1e-6), dots - 0.5


def _zone(row: Mapping[Any, Any]) -> tuple[float, float]:
    """Half a body, and the distance from the border within which an end is not known to be one.

    A row of dots ends where there is room for a next dot and none is there; a line, where its edge
    does not touch the border.  The zone depends on the place alone, not on the direction: in which
    direction a chain would have gone on is not known.
    """
    width = float(row["width_nm"])
    if not row["n_dots"]:
        return 0.0, (0.5 + _SLACK) * width
    gap, pitch = float(row["gap_nm"]), float(row["pitch_nm"])
    gap = max(gap, 0.0) if np.isfinite(gap) else 0.0
    body = pitch - gap if np.isfinite(pitch) and pitch > gap else width
    return 0.5 * body, gap + (0.5 + SEEN + _SLACK) * body


def _ends(
    length: float, half: float, reach: float, curve: tuple[Floats, Floats, Floats]
) -> tuple[End, ...]:
    s, yx, depth = curve
    caps = (float(s[0]), length - float(s[-1]))
    found = []
    for end, cap in zip((0, -1), caps, strict=True):
        inner = yx[1] if end == 0 else yx[-2]
        along = (yx[end] - inner) / max(float(np.hypot(*(yx[end] - inner))), 1e-12)
        y, x = yx[end] + max(cap, 0.0) * along
        # From the end inwards.
        order = slice(None) if end == 0 else slice(None, None, -1)
        back = cap - half + _within(np.abs(s - s[end])[order], depth[order], reach)
        found.append(End(float(y), float(x), bool(depth[end] <= reach), back))
    return tuple(found)


def _within(arc: Floats, depth: Floats, reach: float) -> float:
    """Arc from an end up to where the centreline leaves the zone along the border."""
    outside = np.flatnonzero(depth > reach)
    if len(outside) == 0:
        return float(arc[-1])
    first = int(outside[0])
    if first == 0:
        return 0.0
    part = (reach - depth[first - 1]) / (depth[first] - depth[first - 1])
    return float(arc[first - 1] + part * (arc[first] - arc[first - 1]))
