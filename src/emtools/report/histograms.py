"""Counts of all rows of a run, in ranges that a part of them has set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from emtools.measure import load
from emtools.report.held import UNGROUPED
from emtools.report.wording import split_unit
from emtools.tables import error_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from emtools.report.held import Held
    from emtools.results.reading import Results

_BINS = (8, 60)
_TAILS = (0.002, 0.998)  # beyond, values are counted in the outermost ranges
_FEWEST = 5
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
# Of what a point belongs to: a profile is no population, and a direction in the frame no quantity.
_NOT_COUNTED = ("eds.profile", "chains.axes")
_NO_QUANTITY = ("angle_deg", "counts", "rotation_deg")


@dataclass(frozen=True)
class Histogram:
    """How many values of a column lie in each range.

    Parameters
    ----------
    table, column, words, unit
        What is counted.
    edges
        ``(n + 1,)``.
    counts
        ``(n,)`` of each group (``""`` without groups).
    beyond
        How many of them lie beyond the outermost edges.
    left_out
        How many values are limits only, of objects that the frame cuts.
    """

    table: str
    column: str
    words: str
    unit: str
    edges: NDArray[np.float64]
    counts: Mapping[str, NDArray[np.int64]]
    beyond: int
    left_out: int


def histograms(results: Results, held: Held) -> list[Histogram]:
    """Count the measured columns of all tables, one part of the rows at a time.

    Parameters
    ----------
    results
        Of a batch: all rows are counted.
    held
        Images that the ranges are taken from.
    """
    group_of = dict(zip(held.outcomes["file"], held.outcomes["group"], strict=True)) \
        if held.groups else {}
    found = []
    for name in held.tables:
        ranges = {column: edges for column in _columns(name, held.table(name, counted=True))
                  if (edges := _edges(held.table(name, counted=True), column)) is not None}
        if ranges:
            found += _counted(results, name, ranges, group_of, held.groups)
    return found


def _columns(name: str, rows: pd.DataFrame) -> list[str]:
    """Columns that are measured: those with an uncertainty."""
    if name in _NOT_COUNTED:
        return []
    measured = [column for column in rows.columns if error_of(column) in rows
                and (column not in _NO_QUANTITY or name.startswith("attachment"))]
    declared = [column.name for column in load(name.split(".", 1)[0])
                .tables[name.split(".", 1)[1]].columns]
    return sorted(measured, key=lambda column: declared.index(column)
                  if column in declared else len(declared))


def _whole(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[~rows["touches_edge"].astype(bool)] if "touches_edge" in rows else rows


def _edges(rows: pd.DataFrame, column: str) -> NDArray[np.float64] | None:
    """Ranges of a round width, after Freedman and Diaconis; None for too few values."""
    values = _whole(rows)[column].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    if len(values) < _FEWEST:
        return None
    low, high = (float(one) for one in np.quantile(values, _TAILS))
    quarter = float(np.subtract(*np.quantile(values, (0.75, 0.25))))
    extent = high - low
    if not extent > 0:
        extent = abs(high) if high else 1.0
        low, high = low - 0.5 * extent, high + 0.5 * extent
    width = 2.0 * quarter / len(values) ** (1 / 3) if quarter > 0 else extent / _BINS[0]
    width = _round(min(max(width, extent / _BINS[1]), extent / _BINS[0]))
    first, last = np.floor(low / width), np.ceil(high / width)
    return np.asarray(width * np.arange(first, last + 1.0), dtype=np.float64)


def _round(width: float) -> float:
    power = 10.0 ** np.floor(np.log10(width))
    return float(power * min(nice for nice in _NICE if nice * power >= width * (1.0 - 1e-9)))


def _counted(
    results: Results, name: str, ranges: Mapping[str, NDArray[np.float64]],
    group_of: Mapping[str, str], groups_in_order: Sequence[str],
) -> list[Histogram]:
    held_groups = groups_in_order or [""]
    counts = {column: {group: np.zeros(len(edges) - 1, dtype=np.int64) for group in held_groups}
              for column, edges in ranges.items()}
    beyond = dict.fromkeys(ranges, 0)
    cut = 0
    for part in results.chunks(name, counted=True):
        whole = _whole(part)
        cut += len(part) - len(whole)
        groups = np.array([(group_of[file] or UNGROUPED) if group_of else ""
                           for file in whole["file"]], dtype=object)
        for column, edges in ranges.items():
            if column not in whole:
                continue
            values = whole[column].to_numpy(dtype=float)
            known = np.isfinite(values)
            beyond[column] += int(((values[known] < edges[0]) | (values[known] > edges[-1])).sum())
            for group in held_groups:
                own = np.clip(values[known & (groups == group)], edges[0], edges[-1])
                counts[column][group] += np.histogram(own, edges)[0]
    # In the order of the groups, as everywhere on the page.
    filled = {column: {group: of for group, of in by_group.items() if of.any()}
              for column, by_group in counts.items()}
    return [Histogram(name, column, *split_unit(column), edges, filled[column], beyond[column], cut)
            for column, edges in ranges.items() if filled[column]]
