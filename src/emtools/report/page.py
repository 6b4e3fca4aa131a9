"""Records -> what the page's template shows, every number already in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emtools.report.wording import (
    common_decimals,
    error_of,
    items,
    link,
    number,
    split_unit,
    text,
    thumbnail,
)

if TYPE_CHECKING:
    from emtools.report.population import Line

Record = Mapping[str, Any]

MOST_ROWS = 50
_ROWS_OF_ALL_IMAGES = 5000  # a page of a thousand images must still open
_FEWEST_ROWS = 5
_STRENGTH = "snr"  # of a long table with this column the strongest rows are shown
_GEOMETRY = ("axes",)  # points of drawn lines: nothing to read in them
_OUTCOMES = {"measured": "measured", "left out": "left out", "failed": "failed",
             "other file": "other file"}


@dataclass(frozen=True)
class Cell:
    """One cell: what is read, and what it is sorted by."""

    text: str
    key: str
    numeric: bool


@dataclass(frozen=True)
class TableView:
    """A table as it is shown.

    Parameters
    ----------
    name
        Its name.
    columns
        ``(words, unit, numeric)`` of each.
    rows
        The first rows.
    note
        What is not shown.
    """

    name: str
    columns: tuple[tuple[str, str, bool], ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str


def rows_shown(n_images: int) -> int:
    """Return how many rows of each table a page of so many images shows."""
    return max(_FEWEST_ROWS, min(MOST_ROWS, _ROWS_OF_ALL_IMAGES // max(1, n_images)))


def table_view(name: str, rows: Sequence[Mapping[str, Any]], most_rows: int) -> TableView:
    """Return a table with values and uncertainties together, and without empty columns."""
    if not rows or name in _GEOMETRY:
        note = f"{len(rows)} rows, in the data files" if rows else "none found"
        return TableView(name, (), (), note)
    ranked = len(rows) > most_rows and all(
        isinstance(row.get(_STRENGTH), float) for row in rows)
    if ranked:
        rows = sorted(rows, key=lambda row: -row[_STRENGTH])
    names = list(dict.fromkeys(column for row in rows for column in row))
    errors = {error_of(column) for column in names if error_of(column) in names}
    shown = [column for column in names if column not in errors
             and any(text(row.get(column)) for row in rows)]
    empty = len([column for column in names if column not in errors]) - len(shown)
    decimals = [common_decimals([row.get(column) for row in rows]) for column in shown]
    views = tuple(tuple(_cell(row.get(column), row.get(error_of(column)), places)
                        for column, places in zip(shown, decimals, strict=True))
                  for row in rows[:most_rows])
    columns = tuple((*split_unit(column), all(row[i].numeric for row in views))
                    for i, column in enumerate(shown))
    notes = []
    if len(rows) > most_rows:
        which = "strongest" if ranked else "first"
        notes.append(f"{which} {most_rows} of {len(rows)} rows, all are in the data files")
    if empty:
        notes.append(f"{empty} column{'s' if empty > 1 else ''} without any value not shown")
    return TableView(name, columns, views, "; ".join(notes))


def _cell(value: Any, err: Any, places: int | None) -> Cell:
    if isinstance(value, bool):
        return Cell("yes" if value else "", "1" if value else "0", False)
    if isinstance(value, (int, float)):
        return Cell(number(value, err, places), repr(value) if math.isfinite(value) else "", True)
    return Cell(text(value), text(value), value is None)


def line_view(line: Line) -> dict[str, Any]:
    """Return a line of the population summary in words."""
    # The spread is shown with two digits, mean and range with as many decimals.
    known = math.isfinite(line.spread) and line.spread > 0
    decimals = max(0, 1 - math.floor(math.log10(line.spread))) if known else None

    def said(value: float) -> Cell:
        if not math.isfinite(value):
            return Cell("", "", True)
        shown = number(value) if decimals is None else f"{value:.{decimals}f}"
        return Cell(shown, repr(value), True)

    return {
        "measurement": line.measurement, "quantity": line.quantity, "unit": line.unit, "n": line.n,
        "images": line.images, "mean": said(line.mean), "spread": said(line.spread),
        "range": f"{said(line.smallest).text} – {said(line.largest).text}" if line.n else "",
        "apart": line.apart,
    }


def image_view(record: Record, position: int, most_rows: int) -> dict[str, Any]:
    """Return one image as the gallery and its own section show it."""
    status = _OUTCOMES.get(str(record.get("status")), "failed")
    measurements = [_measurement_view(entry, most_rows)
                    for entry in record.get("measurements") or ()]
    reason = str(record.get("reason") or "")
    outcome = "; ".join(m["outcome"] for m in measurements if m["outcome"]) or reason or status
    seconds = record.get("seconds")
    return {
        "id": f"image-{position}", "name": image_name(record), "status": status, "reason": reason,
        "advice": str(record.get("advice") or ""), "outcome": outcome,
        "thumbnail": thumbnail(record.get("thumbnail") or ""),
        "audit": [str(sentence) for sentence in record.get("audit") or ()],
        "description": _description(record), "measurements": measurements,
        "skipped": [(str(s.get("measurement", "")), str(s.get("reason", "")))
                    for s in record.get("skipped") or ()],
        "seconds": f"{seconds:.1f} s" if isinstance(seconds, (int, float)) else "",
    }


def image_name(record: Record) -> str:
    """Return file and image: what an image is called on the page."""
    file, image = str(record.get("file") or "?"), str(record.get("image") or "")
    return f"{file} [{image}]" if image else file


def _description(record: Record) -> list[tuple[str, str]]:
    description = {key: value for key, value in (record.get("description") or {}).items()
                   if key not in ("audit", "file", "signal", "index")}
    found = items(description)
    if record.get("source_sha256"):
        found.append(("SHA-256 of the file", str(record["source_sha256"])))
    return found


def _measurement_view(entry: Mapping[str, Any], most_rows: int) -> dict[str, Any]:
    summary = dict(entry.get("summary") or {})
    name = str(entry["measurement"])
    outcome = str(summary.pop("outcome", ""))
    pictures = [(str(kind), link(path)) for kind, path in (entry.get("pictures") or {}).items()]
    return {
        "name": name, "why": str(entry.get("why") or ""), "outcome": outcome,
        "summary": items(summary), "parameters": items(entry.get("parameters") or {}),
        "pictures": [(kind.replace("_", " "), address) for kind, address in pictures if address],
        "tables": [table_view(str(table), rows, most_rows)
                   for table, rows in (entry.get("tables") or {}).items()],
    }
