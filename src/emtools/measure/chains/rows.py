"""What was found, linked into chains or in the order that was drawn, as rows of the tables."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from emtools.measure.chains.as_drawn import missing, owners, rejected_as_drawn, rows_as_drawn
from emtools.measure.chains.as_placed import rows_as_placed, same_course
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
from emtools.measure.chains.links import from_corner, hidden_gaps, link_dots
from emtools.measure.chains.mean_body import outlined
from emtools.measure.chains.unwind import coiled_rows, unwound_rows
from emtools.stages import stage

if TYPE_CHECKING:
    from emtools.measure.chains.dots import Dots
    from emtools.measure.chains.found import Found, Traced
    from emtools.measure.chains.lines import Line
    from emtools.measure.chains.rejected import Rejected
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
    stage("linking bodies into chains", 0.7)
    numbers: list[int] | None = None
    coiled: list[Coiled] = []
    if found.traced is None:
        traced = link_dots(dots, max_gap_px, min_dots)
        rows, coiled = unwound_rows(dots.centre, dots.centre_err, traced, min_dots)
        chained = {dot for row in rows for dot in row}
        single = [dot for dot in range(len(dots)) if dot not in chained]
    else:
        drawn, single = _as_drawn(dots, found, found.traced, min_dots)
        numbers, rows = list(drawn), list(drawn.values())
        coiled = coiled_rows(dots.centre, dots.centre_err, rows, min_dots)
    rows = [from_corner(row, dots) for row in rows]
    family = None
    # Round bodies with a round top show no corners; in TEM fringes would be taken for them.
    if dots.shape > SHAPES[0] and found.ground.contrast == "bright":
        dots, family = outlined(dots, rows, found.ground.signal)
    return found._replace(dots=dots, linked=Linked(rows, numbers, single, coiled, family))


def _as_drawn(
    dots: Dots, found: Found, traced: Traced, min_dots: int
) -> tuple[dict[int, list[int]], list[int]]:
    """Rows of what was drawn, by their numbers, and the dots in none."""
    if found.placed is not None:
        return rows_as_placed(dots, found.placed, traced.drawn.numbers, min_dots)
    lines = {shape.stroke.number for shape in found.outline.lines if shape.stroke}
    return rows_as_drawn(dots, *traced, found.outline.width_px, min_dots, lines)


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
    stage("measuring chains", 0.8)
    tables = Tables()
    rows, cols = view.plane.values.shape
    dots, links = found.dots, found.linked
    frame = Frame(view.pixel, view.origin, (rows, cols), found.ground.signal,
                  None if dots is None else dots.model, found.ground.counts)
    lines, refused = _lines(found)
    rejected = [*found.rejected, *refused]
    if dots is not None and links is not None:
        _add_rows(tables, dots, links, frame, max_gap_px)
        add_single_dots(tables, dots, links.single, frame)
    for line in lines:
        add_line(tables, line, frame)
    if found.traced is not None:
        _in_order(tables)
        drawn_lines = {line.number for line in lines}
        shown = drawn_lines | _shown(found)
        rejected = rejected_as_drawn(*found.traced, rejected, shown, drawn_lines) \
            if found.placed is None else rejected + missing(*found.traced, shown)
    count_crossings(tables)
    add_rejected(tables, rejected, frame)
    return tables


def _lines(found: Found) -> tuple[list[Line], list[Rejected]]:
    """Measure the lines; one that was found and given back as it was has its own numbers."""
    outline, placed, traced = found.outline, found.placed, found.traced
    if placed is None or traced is None or not placed.lines:
        return measure_lines(found.ground, outline)
    by_themselves, _ = measure_lines(
        found.ground, replace(outline, lines=list(placed.by_themselves)))
    kept, drawn = [], []
    for shape in outline.lines:
        number = shape.stroke.number if shape.stroke else 0
        course = traced.drawn.lines[traced.drawn.numbers.index(number)]
        same = [line for line in by_themselves
                if same_course(line.axis.points, course, outline.width_px)]
        if same:
            kept.append(replace(same[0], number=number))
        else:
            drawn.append(shape)
    lines, refused = measure_lines(found.ground, replace(outline, lines=drawn))
    return kept + lines, refused


def _add_rows(
    tables: Tables, dots: Dots, links: Linked, frame: Frame, max_gap_px: float
) -> None:
    """Add the chains of dots, and say which are strands of helices.

    In order of where they lie, or of their numbers if they were drawn.
    """
    corners = [tuple(np.min(dots.centre[row], axis=0).tolist()) for row in links.rows]
    order = list(range(len(corners))) if links.numbers is not None \
        else sorted(range(len(corners)), key=corners.__getitem__)
    strands = {row for one in links.coiled for row in one.rows}
    hidden = hidden_gaps(links.rows, links.single, dots)
    for row in order:
        # A gap that was drawn is one, however wide, unless something lies in it.
        widest = [max_gap_px if over or row in strands else np.inf for over in hidden[row]]
        add_chain(tables, dots, links.rows[row], frame, widest,
                  None if links.numbers is None else links.numbers[row])
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
    alone = dots.only(chosen)
    single = (owners(alone, traced.zone) if found.placed is None
              else found.placed.owner[alone.starts]).tolist()
    return set(links.numbers or ()) | {traced.drawn.numbers[owner - 1] for owner in single
                                         if owner}


def _in_order(tables: Tables) -> None:
    """Sort the chains by the numbers that they were drawn with."""
    for rows in (tables.chains, tables.axes, tables.profiles):
        rows.sort(key=lambda row: row["chain"])
    for row in tables.chains:
        # Where the courses of all that was drawn cross, not the outline's branches.
        row.pop("n_crossings", None)
