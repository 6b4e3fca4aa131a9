"""What was found, linked into chains or in the order that was drawn, as rows of the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtools.measure.chains.as_drawn import owners, rejected_as_drawn, rows_as_drawn
from emtools.measure.chains.assemble import (
    Tables,
    add_chain,
    add_line,
    add_rejected,
    add_single_dots,
    count_crossings,
    helix_columns,
)
from emtools.measure.chains.body import SHAPES
from emtools.measure.chains.found import Linked
from emtools.measure.chains.frame import Frame
from emtools.measure.chains.lines import measure_lines
from emtools.measure.chains.links import link_dots
from emtools.measure.chains.mean_body import outlined
from emtools.measure.chains.unwind import unwound_rows

if TYPE_CHECKING:
    from emtools.measure.chains.dots import Dots
    from emtools.measure.chains.found import Found
    from emtools.measure.chains.unwind import Coiled
    from emtools.process.resample import Square


def linked(found: Found, max_gap_px: float, min_dots: int) -> Found:
    """Link dots into chains, find helices, and with the chains' directions the bodies' outline.

    Parameters
    ----------
    found
        Dots and lines.
    max_gap_px, min_dots
        Largest gap and fewest dots of a chain.
    """
    dots = found.dots
    if dots is None:
        return found
    numbers: list[int] | None = None
    coiled: list[Coiled] = []
    if found.traced is None:
        traced = link_dots(dots, max_gap_px, min_dots)
        rows, coiled = unwound_rows(dots.centre, dots.centre_err, traced, min_dots)
        chained = {dot for row in rows for dot in row}
        single = [dot for dot in range(len(dots)) if dot not in chained]
    else:
        lines = {shape.stroke.number for shape in found.outline.lines if shape.stroke}
        drawn, single = rows_as_drawn(dots, *found.traced, found.outline.width_px, min_dots, lines)
        numbers, rows = list(drawn), list(drawn.values())
    family = None
    # Round bodies with a round top show no corners; in TEM fringes would be taken for them.
    if dots.shape > SHAPES[0] and found.ground.contrast == "bright":
        dots, family = outlined(dots, rows, found.ground.signal)
    return found._replace(dots=dots, linked=Linked(rows, numbers, single, coiled, family))


def assemble(view: Square, found: Found, max_gap_px: float) -> Tables:
    """Return the rows of all tables.

    Parameters
    ----------
    view
        The picture.
    found
        Its linked dots, and lines.
    max_gap_px
        Largest gap of a chain.
    """
    tables = Tables()
    rows, cols = view.plane.values.shape
    dots, links = found.dots, found.linked
    frame = Frame(view.pixel, view.origin, (rows, cols), found.ground.signal,
                  None if dots is None else dots.model, found.ground.counts)
    lines, refused = measure_lines(found.ground, found.outline)
    rejected = [*found.rejected, *refused]
    if dots is not None and links is not None:
        if links.numbers is None:
            _add_rows(tables, dots, links, frame, max_gap_px)
        else:
            for number, row in zip(links.numbers, links.rows, strict=True):
                # A gap that was drawn is one, however wide.
                add_chain(tables, dots, row, frame, np.inf, number)
        add_single_dots(tables, dots, links.single, frame)
    for line in lines:
        add_line(tables, line, frame)
    if found.traced is not None:
        _in_order(tables)
        drawn_lines = {line.number for line in lines}
        rejected = rejected_as_drawn(*found.traced, rejected, drawn_lines | _shown(found),
                                     drawn_lines)
    count_crossings(tables)
    add_rejected(tables, rejected, frame)
    return tables


def _add_rows(
    tables: Tables, dots: Dots, links: Linked, frame: Frame, max_gap_px: float
) -> None:
    """Add the chains of dots, in order of where they lie, and say which are strands of helices."""
    corners = [tuple(np.min(dots.centre[row], axis=0).tolist()) for row in links.rows]
    order = sorted(range(len(corners)), key=corners.__getitem__)
    for row in order:
        add_chain(tables, dots, links.rows[row], frame, max_gap_px)
    place = {row: number for number, row in enumerate(order)}
    coiled = sorted(links.coiled, key=lambda one: min(place[row] for row in one.rows))
    for number, one in enumerate(coiled, start=1):
        for row in one.rows:
            tables.chains[place[row]] |= helix_columns(number, one.helix, frame)


def _shown(found: Found) -> set[int]:
    """Numbers of what was drawn that has dots."""
    links, dots, traced = found.linked, found.dots, found.traced
    if links is None or dots is None or traced is None:
        return set()
    chosen = np.zeros(len(dots), dtype=bool)
    chosen[links.single] = True
    single = owners(dots.only(chosen), traced.zone).tolist()
    return set(links.numbers or ()) | {traced.drawn.numbers[owner - 1] for owner in single}


def _in_order(tables: Tables) -> None:
    """Sort the chains by the numbers that they were drawn with."""
    for rows in (tables.chains, tables.axes, tables.profiles):
        rows.sort(key=lambda row: row["chain"])
    for row in tables.chains:
        # Where the courses of all that was drawn cross, not the outline's branches.
        row.pop("n_crossings", None)
