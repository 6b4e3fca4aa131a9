"""What was found, linked into chains or in the order that was drawn, as rows of the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtools.measure.chains.as_drawn import owners, rejected_as_drawn, rows_as_drawn
from emtools.measure.chains.assemble import (
    Frame,
    Tables,
    add_chain,
    add_line,
    add_rejected,
    add_single_dots,
    count_crossings,
    helix_columns,
)
from emtools.measure.chains.lines import measure_lines
from emtools.measure.chains.links import link_dots
from emtools.measure.chains.unwind import unwound_rows

if TYPE_CHECKING:
    from emtools.measure.chains.dots import Dots
    from emtools.measure.chains.report import Found, Traced
    from emtools.process.resample import Square


def assemble(view: Square, found: Found, max_gap_px: float, min_dots: int) -> Tables:
    """Return the rows of all tables.

    Parameters
    ----------
    view
        The picture.
    found
        Its dots and lines.
    max_gap_px, min_dots
        Largest gap and fewest dots of a chain.
    """
    tables = Tables()
    rows, cols = view.plane.values.shape
    dots = found.dots
    frame = Frame(view.pixel, view.origin, (rows, cols), found.ground.signal,
                  None if dots is None else dots.model, found.ground.counts)
    lines, refused = measure_lines(found.ground, found.outline)
    rejected = [*found.rejected, *refused]
    if found.traced is None:
        if dots is not None:
            linked = _add_rows(tables, dots, frame, max_gap_px, min_dots)
            in_chains = {i for chain in linked for i in chain}
            add_single_dots(tables, dots, [i for i in range(len(dots)) if i not in in_chains],
                            frame)
        for line in lines:
            add_line(tables, line, frame)
    else:
        drawn_lines = {line.number for line in lines}
        shown = drawn_lines
        if dots is not None:
            shown = shown | _add_drawn(tables, dots, found, frame, min_dots)
        for line in lines:
            add_line(tables, line, frame)
        _in_order(tables)
        rejected = rejected_as_drawn(*found.traced, rejected, shown, drawn_lines)
    count_crossings(tables)
    add_rejected(tables, rejected, frame)
    return tables


def _add_rows(
    tables: Tables, dots: Dots, frame: Frame, max_gap_px: float, min_dots: int
) -> list[list[int]]:
    """Add the chains of dots, in order of where they lie, and say which are strands of helices."""
    traced = link_dots(dots, max_gap_px, min_dots)
    rows, coiled = unwound_rows(dots.centre, dots.centre_err, traced, min_dots)
    corners = [tuple(np.min(dots.centre[row], axis=0).tolist()) for row in rows]
    order = sorted(range(len(rows)), key=corners.__getitem__)
    for row in order:
        add_chain(tables, dots, rows[row], frame, max_gap_px)
    place = {row: number for number, row in enumerate(order)}
    coiled.sort(key=lambda one: min(place[row] for row in one.rows))
    for number, one in enumerate(coiled, start=1):
        for row in one.rows:
            tables.chains[place[row]] |= helix_columns(number, one.helix, frame)
    return rows


def _add_drawn(
    tables: Tables, dots: Dots, found: Found, frame: Frame, min_dots: int
) -> set[int]:
    """Add the dots of what was drawn; the numbers that have any."""
    assert found.traced is not None
    lines = {shape.stroke.number for shape in found.outline.lines if shape.stroke}
    rows, few = rows_as_drawn(dots, *found.traced, found.outline.width_px, min_dots, lines)
    for number, row in rows.items():
        # A gap that was drawn is one, however wide.
        add_chain(tables, dots, row, frame, np.inf, number)
    add_single_dots(tables, dots, few, frame)
    return set(rows) | _numbers(found.traced, dots.only(_chosen(dots, few)))


def _chosen(dots: Dots, few: list[int]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    chosen = np.zeros(len(dots), dtype=bool)
    chosen[few] = True
    return chosen


def _numbers(traced: Traced, dots: Dots) -> set[int]:
    return {traced.drawn.numbers[owner - 1] for owner in owners(dots, traced.zone).tolist()}


def _in_order(tables: Tables) -> None:
    """Sort the chains by the numbers that they were drawn with."""
    for rows in (tables.chains, tables.axes, tables.profiles):
        rows.sort(key=lambda row: row["chain"])
    for row in tables.chains:
        # Where the courses of all that was drawn cross, not the outline's branches.
        row.pop("n_crossings", None)
