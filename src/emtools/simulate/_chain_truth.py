"""The truth tables of placed strands: what of them lies in the frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.model.calibration import line_angle_deg
from emtools.simulate._truth import AXES, CHAINS, COILED_CHAINS, DOTS, GAPS, LATTICE_TABLES
from emtools.simulate._walk import Layout, Strand, arc_lengths, clipped, crossing_points

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from emtools.simulate._bodies import Body

    Floats = NDArray[np.float64]

MIN_DOTS = 3
# A body counts as in the frame where at least this part of its extent shows.
VISIBLE_PART = 0.25
ROUNDING = 1e-9
AXIS_STEP_NM = 1.0

Row = dict[str, Any]


@dataclass
class Truth:
    """The tables under construction, and which body became which dot of which chain.

    Parameters
    ----------
    low, high
        Corners of the frame (y, x) in nm.
    """

    low: Floats
    high: Floats
    chains: list[Row] = field(default_factory=list)
    gaps: list[Row] = field(default_factory=list)
    dots: list[Row] = field(default_factory=list)
    axes: list[Row] = field(default_factory=list)
    # (strand, body) -> (dot, chain)
    numbers: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, layout: Layout, bodies: list[list[Body]]) -> Truth:
        """Return the truth of all strands of a layout with their bodies."""
        truth = cls(layout.low, layout.high)
        truth._enter(layout.strands, bodies)
        return truth

    def _enter(self, strands: list[Strand], bodies: list[list[Body]]) -> None:
        paths = [strand.path() for strand in strands]
        for index, (strand, row) in enumerate(zip(strands, bodies, strict=True)):
            others = [path for other, path in enumerate(paths)
                      if other != index and len(strands[other].centres) >= MIN_DOTS]
            for first, last in self._runs(row):
                chain = self._chain(strand, first, last, row, others)
                self._dots(index, first, last, row, chain)

    def _runs(self, row: list[Body]) -> list[tuple[int, int]]:
        """First and last body of each run of neighbours that show in the frame."""
        runs: list[tuple[int, int]] = []
        for index, body in enumerate(row):
            if self._visible(body) < VISIBLE_PART:
                continue
            if runs and runs[-1][1] == index - 1:
                runs[-1] = (runs[-1][0], index)
            else:
                runs.append((index, index))
        return runs

    def _visible(self, body: Body) -> float:
        """Smaller part of the body's extents along y and x that lies in the frame."""
        parts = []
        for axis, (at, reach) in enumerate(
            zip((body.y_nm, body.x_nm), body.reach_nm(), strict=True)
        ):
            low, high = max(at - reach, self.low[axis]), min(at + reach, self.high[axis])
            parts.append((high - low) / (2 * reach))
        return float(min(parts))

    def _dots(self, strand: int, first: int, last: int, row: list[Body], chain: int) -> None:
        for index in range(first, last + 1):
            body = row[index]
            across = body.width_nm if chain else 0.5 * (body.width_nm + body.length_nm)
            number = len(self.dots) + 1
            self.numbers[strand, index] = (number, chain)
            self.dots.append({
                "dot": number, "chain": chain, "y_nm": body.y_nm, "x_nm": body.x_nm,
                "diameter_nm": across, "length_nm": body.length_nm, "width_nm": body.width_nm,
                "touches_edge": self._cut(body),
            })

    def _chain(
        self, strand: Strand, first: int, last: int, row: list[Body], others: list[Floats]
    ) -> int:
        """Enter a run as a chain and return its number, 0 if it is too short or shows no axis."""
        if last - first + 1 < MIN_DOTS:
            return 0
        whole = strand.path()
        # The path's point 0 is the outer edge; body i is point i + 1; neighbours out of the frame
        # are kept so that the axis reaches the border.
        path, entered = clipped(whole[first: last + 3], self.low, self.high)
        if not len(path):  # it runs along the border, its axis outside
            return 0
        arcs = arc_lengths(path)
        number = len(self.chains) + 1
        cut = first > 0 or last < len(row) - 1 or self._cut(row[first]) or self._cut(row[last])
        cut = cut or any(self._cut(body) for body in row[first: last + 1])
        whole_bodies = [b for b in row[first: last + 1] if not self._cut(b)] or row[first: last + 1]
        widths = np.array([body.width_nm for body in whole_bodies])
        gaps = strand.gaps[first: last]
        chord = path[-1] - path[0]
        self.chains.append({
            "chain": number, "length_nm": float(arcs[-1]), "width_nm": float(widths.mean()),
            "width_std_nm": float(widths.std(ddof=1)) if len(widths) > 1 else math.nan,
            "aspect_ratio": float(arcs[-1] / widths.mean()), "n_dots": last - first + 1,
            "gap_nm": float(gaps.mean()),
            "pitch_nm": float(arc_lengths(strand.centres[first: last + 1])[-1] / len(gaps)),
            "orientation_deg": float(line_angle_deg(chord)),
            "tortuosity": float(arcs[-1] / np.hypot(*chord)),
            "n_crossings": sum(_inside(crossing_points(path, other), self) for other in others),
            "touches_edge": cut, **_coil_columns(strand),
        })
        offset = float(arc_lengths(whole[: first + 1])[-1]) + entered
        self._gaps(number, strand, first, last, offset)
        self._axis(number, path, arcs, row[first: last + 1])
        return number

    def _cut(self, body: Body) -> bool:
        return self._visible(body) < 1.0 - ROUNDING

    def _gaps(self, chain: int, strand: Strand, first: int, last: int, offset: float) -> None:
        arcs = arc_lengths(strand.path())
        for index in range(first, last):
            towards = strand.centres[index + 1] - strand.centres[index]
            along = 0.5 * (strand.lengths[index] + strand.gaps[index])
            middle = strand.centres[index] + along * towards / np.hypot(*towards)
            if ((middle < self.low) | (middle > self.high)).any():
                continue
            self.gaps.append({
                "gap": len(self.gaps) + 1, "chain": chain,
                "s_nm": float(arcs[index + 1] + along - offset), "y_nm": float(middle[0]),
                "x_nm": float(middle[1]), "gap_nm": float(strand.gaps[index]),
            })

    def _axis(self, chain: int, path: Floats, arcs: Floats, row: list[Body]) -> None:
        n = max(2, math.ceil(arcs[-1] / AXIS_STEP_NM) + 1)
        s = np.linspace(0.0, arcs[-1], n)
        points = np.stack([np.interp(s, arcs, path[:, axis]) for axis in (0, 1)], axis=1)
        centres = np.array([(body.y_nm, body.x_nm) for body in row])
        nearest = np.linalg.norm(points[:, None] - centres[None], axis=-1).argmin(axis=1)
        self.axes += [
            {"chain": chain, "s_nm": float(at), "y_nm": float(y), "x_nm": float(x),
             "width_nm": row[index].width_nm}
            for at, (y, x), index in zip(s, points, nearest.tolist(), strict=True)
        ]

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return the finished tables, the lattice tables with zero rows."""
        return {
            "chains": (COILED_CHAINS if any("helix" in row for row in self.chains) else CHAINS
                       ).frame(self.chains), "gaps": GAPS.frame(self.gaps),
            "dots": DOTS.frame(self.dots), "axes": AXES.frame(self.axes),
            **{name: table.frame() for name, table in LATTICE_TABLES.items()},
        }


def _coil_columns(strand: Strand) -> Row:
    """Columns of a strand of a double helix; none of other chains."""
    coil = strand.coil
    return {} if coil is None else {"helix": coil.number, "helix_pitch_nm": coil.pitch_nm,
                                    "helix_radius_nm": coil.radius_nm}


def _inside(points: Floats, frame: Truth) -> int:
    """Number of points ``(y, x, ...)`` in the frame."""
    within = (points[:, :2] > frame.low) & (points[:, :2] < frame.high)
    return int(within.all(axis=1).sum())
