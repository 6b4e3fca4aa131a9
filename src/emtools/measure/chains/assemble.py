"""Linked dots -> widths, gaps, pitch and lengths of each chain, in the image's unit."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.measure.chains.censored import censored_mean
from emtools.measure.chains.centreline import Centreline, persistence_length, through
from emtools.model.calibration import line_angle_deg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emtools.measure.chains.dots import Dots
    from emtools.measure.chains.frame import Frame
    from emtools.measure.chains.helix import Helix
    from emtools.measure.chains.lines import Line
    from emtools.measure.chains.rejected import Rejected

Rows = list[dict[str, Any]]
RESOLVED_SIGMAS = 3.0  # of its errors: what a resolved gap is wide
_UPPER_95 = 1.645
_COURSE = 0.4  # of a cut cap: what its length is uncertain by, as a full range
SEEN = 0.4  # of a dot has to lie in the frame for it to be found


_CAUSES = ("blur", "shape", "level")  # in the order of `Dots.common`


@dataclass
class Tables:
    """Rows of the tables, under way."""

    chains: Rows = field(default_factory=list)
    gaps: Rows = field(default_factory=list)
    dots: Rows = field(default_factory=list)
    axes: Rows = field(default_factory=list)
    profiles: Rows = field(default_factory=list)
    steps: Rows = field(default_factory=list)
    shared: Rows = field(default_factory=list)
    rejected: Rows = field(default_factory=list)


def add_chain(
    tables: Tables, dots: Dots, chain: list[int], frame: Frame, widest: Sequence[float],
    drawn: int | None = None,
) -> None:
    """Add the rows of one chain of resolved dots; its number is the next one unless `drawn`.

    Of each two neighbours, what is wider than the `widest` is no gap.
    """
    number = len(tables.chains) + 1 if drawn is None else drawn
    axis = through(dots.centre[chain])
    widths = [_Extent(dots, i, normal) for i, normal in zip(chain, axis.normals, strict=True)]
    lengths = [_Extent(dots, i, along) for i, along in zip(chain, axis.tangents, strict=True)]
    cut = [_cut(dots, i, frame) for i in chain]
    gaps = [_Gap(dots, pair, axis, n, (lengths[n], lengths[n + 1]))
            for n, pair in enumerate(pairwise(chain))]
    # Beneath a chain that crosses it a dot is hidden, and what looks like a gap is none; nor is one
    # where bodies lie over each other.
    gaps = [gap for gap, limit in zip(gaps, widest, strict=True)
            if -RESOLVED_SIGMAS * gap.err < gap.value <= limit] or gaps
    ends = _ends(axis, lengths, gaps, frame)
    tables.steps += [{"chain": number, "distance_nm": frame.pixel * gap.distance,
                      "distance_err_nm": frame.pixel * gap.distance_variance**0.5} for gap in gaps]
    tables.shared += _shared(number, _whole(widths, cut), gaps, frame)
    for gap in gaps:
        tables.gaps.append(gap.row(len(tables.gaps) + 1, number, axis, ends[0].cap, frame))
    for n, i in enumerate(chain):
        tables.dots.append({
            "dot": len(tables.dots) + 1, "chain": number, **_centre(dots, i, frame),
            "diameter_nm": frame.pixel * 2 * widths[n].half,
            "diameter_err_nm": frame.pixel * 2 * widths[n].err,
            "length_nm": frame.pixel * 2 * lengths[n].half,
            "width_nm": frame.pixel * 2 * widths[n].half, "touches_edge": cut[n],
        })
    row = {"chain": number, "n_dots": len(chain),
           "touches_edge": any(cut) or any(end.cut for end in ends),
           **_width_columns(widths, cut, frame), **_gap_columns(gaps, frame),
           **_length_columns(axis, ends, lengths, dots, chain, frame)}
    _add_ratio(row)
    step = float(np.mean(np.diff(axis.knots)))
    bend, bend_err = persistence_length(axis.tangents, step)
    row |= {"persistence_length_nm": frame.pixel * bend,
            "persistence_length_err_nm": frame.pixel * bend_err}
    tables.chains.append(row)
    local = np.interp(axis.arc, axis.knots, [2 * w.half for w in widths])
    _add_axis(tables, number, axis, local, frame, ends[0].cap, frame.fitted)


def helix_columns(number: int, helix: Helix, frame: Frame) -> dict[str, float]:
    """Return what both strands of a double helix have in common."""
    return {"helix": number,
            "helix_pitch_nm": frame.pixel * helix.pitch,
            "helix_pitch_err_nm": frame.pixel * helix.pitch_err,
            "helix_radius_nm": frame.pixel * helix.radius,
            "helix_radius_err_nm": frame.pixel * helix.radius_err}


class _Extent:
    """Half extent of a dot along a direction, with its own error and the common ones."""

    def __init__(self, dots: Dots, dot: int, along: NDArray[np.float64]) -> None:
        slope = dots.slope(dot, along)
        self.half = dots.half_extent(dot, along)
        self.variance = float(slope @ dots.covariance[dot] @ slope)
        self.common = dots.common[:, dot] @ slope
        self.err = float(np.sqrt(self.variance + np.sum(self.common**2)))


class _Gap:
    """Gap between two neighbours along the axis."""

    def __init__(
        self, dots: Dots, pair: tuple[int, int], axis: Centreline, n: int,
        extents: tuple[_Extent, _Extent],
    ) -> None:
        self.middle = 0.5 * float(axis.knots[n] + axis.knots[n + 1])
        self.distance = float(axis.knots[n + 1] - axis.knots[n])
        self.value = self.distance - extents[0].half - extents[1].half
        along = axis.tangents[n]
        places = [float(along @ dots.covariance[i, :2, :2] @ along) for i in pair]
        self.distance_variance = sum(places)
        common = extents[0].common + extents[1].common
        self.common = common
        self.own_err = float(np.sqrt(_edge_variance(dots, pair[0], along)
                                     + _edge_variance(dots, pair[1], -axis.tangents[n + 1])))
        self.err = float(np.sqrt(self.own_err**2 + np.sum(common**2)))
        self.resolved = self.value > RESOLVED_SIGMAS * self.err
        self.limit = max(self.value, 0.0) + _UPPER_95 * self.err

    def row(
        self, gap: int, chain: int, axis: Centreline, cap: float, frame: Frame
    ) -> dict[str, Any]:
        """Return the gap's row."""
        y, x = frame.place(axis.at(np.array([self.middle]))[0])
        return {"gap": gap, "chain": chain, "s_nm": frame.pixel * (self.middle + cap),
                "y_nm": y, "x_nm": x, "gap_nm": frame.pixel * self.value,
                "gap_err_nm": frame.pixel * self.err,
                "gap_limit_nm": float("nan") if self.resolved else frame.pixel * self.limit,
                "resolved": self.resolved}


def _edge_variance(dots: Dots, dot: int, outward: NDArray[np.float64]) -> float:
    """Variance of the place of a dot's edge: of centre and half extent together.

    The edge decides both where it has no neighbour, so they are not independent.
    """
    gradient = dots.slope(dot, outward)
    gradient[:2] += outward
    return float(gradient @ dots.covariance[dot] @ gradient)


def _cut(dots: Dots, dot: int, frame: Frame) -> bool:
    down, right = np.eye(2)
    half = (dots.half_extent(dot, down), dots.half_extent(dot, right))
    return frame.leaves(dots.centre[dot], half)


@dataclass(frozen=True)
class _End:
    """One end of a chain, in pixels.

    Parameters
    ----------
    cap
        From the last centre to the outer edge or the border, whichever comes first.
    hidden
        How much longer it may be: a next dot lies too far outside of the frame to be found, or the
        course of the last link does not tell where exactly the border is met.
    cut
        Whether it reaches the border, or may.
    """

    cap: float
    hidden: float
    cut: bool


def _ends(
    axis: Centreline, extents: list[_Extent], gaps: list[_Gap], frame: Frame
) -> tuple[_End, _End]:
    gap = max(float(np.median([g.value for g in gaps])), 0.0)
    ends = []
    for end, sign in ((0, -1.0), (-1, 1.0)):
        half = extents[end].half
        room = frame.room(axis.points[end], sign * axis.tangents[end])
        cut = room < half + gap + SEEN * 2 * half
        hidden = max(room - half, 0.0) if cut else 0.0
        if room < half:
            hidden = _COURSE * half
        ends.append(_End(float(np.clip(room, -half, half)), hidden, cut))
    return ends[0], ends[1]


def _centre(dots: Dots, dot: int, frame: Frame) -> dict[str, float]:
    y, x = frame.place(dots.centre[dot])
    return {"y_nm": float(y), "x_nm": float(x)}


def _whole(widths: list[_Extent], cut: list[bool]) -> list[_Extent]:
    """Those that show a width: none that are cut by the border, unless there are no others."""
    return [w for w, is_cut in zip(widths, cut, strict=True) if not is_cut] or widths


def _shared(number: int, widths: list[_Extent], gaps: list[_Gap], frame: Frame) -> Rows:
    """What blur, shape and ground, common to all chains, change of the chain's width and gap."""
    width = 2 * frame.pixel * np.mean([w.common for w in widths], axis=0)
    gap = -frame.pixel * np.mean([g.common for g in gaps] or [np.zeros(3)], axis=0)
    return [{"chain": number, "cause": cause, "width_nm": float(by_width), "gap_nm": float(by_gap)}
            for cause, by_width, by_gap in zip(_CAUSES, width, gap, strict=True)]


def _width_columns(widths: list[_Extent], cut: list[bool], frame: Frame) -> dict[str, float]:
    whole = _whole(widths, cut)
    values = 2 * np.array([w.half for w in whole])
    own = 2 * np.sqrt(sum(w.variance for w in whole)) / len(whole)
    common = 2 * np.mean([w.common for w in whole], axis=0)
    spread = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return {"width_nm": frame.pixel * float(values.mean()),
            "width_err_nm": frame.pixel * float(np.sqrt(own**2 + np.sum(common**2))),
            "width_std_nm": frame.pixel * spread}


def _gap_columns(gaps: list[_Gap], frame: Frame) -> dict[str, float]:
    value = np.array([g.value if g.resolved else np.nan for g in gaps])
    err = np.array([g.own_err for g in gaps])
    mean, mean_err = censored_mean(value, err, np.array([g.limit for g in gaps]))
    # Blur and shape move all gaps together: that part does not average out.
    mean_err = float(np.hypot(mean_err, np.linalg.norm(np.mean([g.common for g in gaps], axis=0))))
    pitch = np.array([g.distance for g in gaps])
    pitch_err = np.sqrt(sum(g.distance_variance for g in gaps)) / len(gaps)
    if len(pitch) > 1:
        pitch_err = max(pitch_err, float(pitch.std(ddof=1) / np.sqrt(len(pitch))))
    return {"gap_nm": frame.pixel * mean, "gap_err_nm": frame.pixel * mean_err,
            "pitch_nm": frame.pixel * float(pitch.mean()),
            "pitch_err_nm": frame.pixel * float(pitch_err)}


def _length_columns(
    axis: Centreline, ends: tuple[_End, _End], lengths: list[_Extent], dots: Dots,
    chain: list[int], frame: Frame,
) -> dict[str, float]:
    caps = (lengths[0], lengths[-1])
    length = axis.length + ends[0].cap + ends[1].cap
    variance = sum(_edge_variance(dots, chain[n], sign * axis.tangents[n])
                   for n, sign in ((0, -1.0), (-1, 1.0)))
    variance += sum((0.5 * end.hidden) ** 2 for end in ends)
    # Scatter of the centres across the axis lengthens the line through all of them.
    across = float(np.mean([np.trace(dots.covariance[i, :2, :2]) / 2 for i in chain]))
    excess = across * (len(chain) - 1) / max(axis.length / (len(chain) - 1), 1e-9)
    variance += excess**2
    variance += float(np.sum((caps[0].common + caps[1].common) ** 2))
    return {"length_nm": frame.pixel * length, "length_err_nm": frame.pixel * float(variance**0.5),
            **_course(axis)}


def _course(axis: Centreline) -> dict[str, float]:
    chord = float(np.hypot(*axis.chord))
    return {"orientation_deg": float(line_angle_deg(axis.chord)),
            "tortuosity": axis.length / chord if chord > 0 else float("nan")}


def _add_ratio(row: dict[str, Any]) -> None:
    ratio = row["length_nm"] / row["width_nm"]
    relative = np.hypot(row["length_err_nm"] / row["length_nm"],
                        row["width_err_nm"] / row["width_nm"])
    row |= {"aspect_ratio": ratio, "aspect_ratio_err": float(ratio * relative)}


def _add_axis(
    tables: Tables, number: int, axis: Centreline, width: NDArray[np.float64], frame: Frame,
    cap: float, fitted: NDArray[np.float32] | None,
) -> None:
    s = frame.pixel * (axis.arc + cap)
    y, x = frame.place(axis.points).T
    _add_columns(tables.axes, number, s_nm=s, y_nm=y, x_nm=x, width_nm=frame.pixel * width)
    _add_columns(tables.profiles, number, s_nm=s,
                 signal=frame.along(frame.signal, axis.points, width),
                 fitted=frame.along(fitted, axis.points, width))


def _add_columns(rows: Rows, number: int, **columns: NDArray[np.float64]) -> None:
    rows += [{"chain": number, **dict(zip(columns, values, strict=True))}
             for values in zip(*(column.tolist() for column in columns.values()), strict=True)]


def add_line(tables: Tables, line: Line, frame: Frame) -> None:
    """Add the rows of a line-like object without resolved dots."""
    number = line.number or len(tables.chains) + 1
    half = 0.5 * line.width
    cut = any(frame.leaves(line.axis.points[end], (half, half)) for end in (0, -1))
    step = max(2.0 * line.width, 1.0)
    inner = line.axis.at(np.arange(half, max(line.axis.length - half, half + 1e-6), step))
    along = np.diff(inner, axis=0)
    along = along / np.maximum(np.hypot(*along.T), 1e-9)[:, None] if len(along) else along
    bend, bend_err = persistence_length(along, step)
    row: dict[str, Any] = {
        "chain": number, "n_dots": 0, "touches_edge": cut, "n_crossings": line.n_crossings,
        "width_nm": frame.pixel * line.width, "width_err_nm": frame.pixel * line.width_err,
        "width_std_nm": frame.pixel * line.width_std,
        "length_nm": frame.pixel * line.axis.length,
        "length_err_nm": frame.pixel * line.length_err, **_course(line.axis),
        "persistence_length_nm": frame.pixel * bend,
        "persistence_length_err_nm": frame.pixel * bend_err,
    }
    _add_ratio(row)
    tables.chains.append(row)
    _add_axis(tables, number, line.axis, line.local_width, frame, 0.0, None)


def add_single_dots(tables: Tables, dots: Dots, singles: list[int], frame: Frame) -> None:
    """Add the dots that belong to no chain."""
    for i in singles:
        longer, shorter = (_Extent(dots, i, axis) for axis in dots.axes(i))
        mean_err = np.sqrt(longer.variance + shorter.variance
                           + np.sum((longer.common + shorter.common) ** 2))
        tables.dots.append({
            "dot": len(tables.dots) + 1, "chain": 0, **_centre(dots, i, frame),
            "diameter_nm": frame.pixel * (longer.half + shorter.half),
            "diameter_err_nm": frame.pixel * float(mean_err),
            "length_nm": frame.pixel * 2 * longer.half, "width_nm": frame.pixel * 2 * shorter.half,
            "touches_edge": _cut(dots, i, frame),
        })


def add_rejected(tables: Tables, rejected: list[Rejected], frame: Frame) -> None:
    """Add what was left out, in order of place."""
    for number, one in enumerate(sorted(rejected), start=1):
        y, x = frame.place(np.array([one.y, one.x])).tolist()
        tables.rejected.append({
            "candidate": number, "y_nm": y, "x_nm": x, "length_nm": frame.pixel * one.length,
            "width_nm": frame.pixel * one.width, "reason": one.reason})


def count_crossings(tables: Tables) -> None:
    """Count, for chains of dots, where centrelines cross each other."""
    curves: dict[int, list[tuple[float, float]]] = {}
    for row in tables.axes:
        curves.setdefault(row["chain"], []).append((row["y_nm"], row["x_nm"]))
    arrays = [np.array(curves[row["chain"]]) for row in tables.chains]
    if not arrays:
        return
    low, high = (np.array([extreme(points, axis=0) for points in arrays])
                 for extreme in (np.min, np.max))
    counts = np.zeros(len(arrays), dtype=int)
    for number in range(1, len(arrays)):
        apart = (low[:number] > high[number]) | (high[:number] < low[number])
        for other in np.flatnonzero(~apart.any(axis=1)).tolist():
            counts[[number, other]] += _crossings(arrays[number], arrays[other])
    for row, count in zip(tables.chains, counts.tolist(), strict=True):
        row.setdefault("n_crossings", count)


def _segments_in(
    points: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Starts of a polyline's segments that reach into a box, and where their ends lie from them."""
    start, end = points[:-1], points[1:]
    inside = ((np.maximum(start, end) >= low) & (np.minimum(start, end) <= high)).all(axis=1)
    return start[inside], (end - start)[inside]


def _crossings(a: NDArray[np.float64], b: NDArray[np.float64]) -> int:
    """How many segments of one polyline cross segments of the other."""
    low, high = np.maximum(a.min(axis=0), b.min(axis=0)), np.minimum(a.max(axis=0), b.max(axis=0))
    (p, r), (q, s) = (_segments_in(points, low, high) for points in (a, b))
    p, r, q, s = p[:, None], r[:, None], q[None], s[None]
    cross = r[..., 0] * s[..., 1] - r[..., 1] * s[..., 0]
    safe = np.where(cross == 0, np.inf, cross)
    away = q - p
    t = (away[..., 0] * s[..., 1] - away[..., 1] * s[..., 0]) / safe
    u = (away[..., 0] * r[..., 1] - away[..., 1] * r[..., 0]) / safe
    return int(((t >= 0) & (t < 1) & (u >= 0) & (u < 1) & (cross != 0)).sum())
