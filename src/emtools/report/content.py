"""What the page's script shows on demand: images with their objects, as compact as may be."""

from __future__ import annotations

import base64
import gzip
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.measure import load
from emtools.report.wording import items, link, split_unit, text
from emtools.results.records import image_name
from emtools.tables import error_of, in_unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from emtools.report.held import Held
    from emtools.results.records import Record

MOST_ROWS = 300  # of each table of an image
_STRENGTH = "snr"  # of a long table with this column the strongest rows are held
_COURSES = "chains.axes"  # points of drawn lines: nothing to read in them
_NOT_LISTED = (_COURSES, "eds.profile")


def encoded(content: Mapping[str, Any]) -> str:
    """Return a mapping as text that the page's script unpacks: JSON, gzip, base64."""
    packed = gzip.compress(json.dumps(content, ensure_ascii=True, allow_nan=False,
                                      separators=(",", ":")).encode(), mtime=0)
    return base64.b64encode(packed).decode("ascii")


def content(held: Held, most_rows: int = MOST_ROWS, points: int = 24) -> dict[str, Any]:
    """Return images and tables as plain values.

    Parameters
    ----------
    held
        The images.
    most_rows
        Rows of each table of an image; further ones are only counted.
    points
        Of each drawn centreline.
    """
    tables = {name: table_of(name, held.table(name), most_rows)
              for name in held.tables if name not in _NOT_LISTED and len(held.table(name))}
    return {"images": [_image(record) for record in held.records], "tables": tables,
            "courses": _courses(held.table(_COURSES), most_rows, points)}


def table_of(name: str, rows: pd.DataFrame, most_rows: int) -> dict[str, Any]:
    """Return a table as columns of plain values, values and their uncertainties side by side."""
    measurement, table = name.split(".", 1)
    declared = load(measurement).tables[table]
    meanings = {spelled: column.meaning for column in declared.columns
                for spelled in (column.name, in_unit(column.name, "px"))}
    n_rows = len(rows)
    rows = _kept(rows, most_rows)
    names = [column for column in rows.columns if column != "at"]
    errors = {error_of(column) for column in names if error_of(column) in names}
    columns = []
    for column in names:
        values = _values(rows[column])
        if column in errors or all(value is None or value == "" for value in values):
            continue
        words, unit = split_unit(column)
        err = error_of(column)
        columns.append({"name": column, "words": words, "unit": unit,
                        "meaning": meanings.get(column, ""), "values": values,
                        "errors": _values(rows[err]) if err in errors else None})
    return {"meaning": declared.meaning, "rows": n_rows, "at": rows["at"].tolist(),
            "columns": columns}


def _kept(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """The first rows of each image, or the strongest if the table says which these are."""
    ranked = rows.sort_values(_STRENGTH, ascending=False, kind="stable") \
        if _STRENGTH in rows else rows
    return ranked.groupby("at", sort=False).head(most).sort_index(kind="stable").sort_values(
        "at", kind="stable")


def _values(column: pd.Series[Any]) -> list[Any]:
    """Plain values, numbers with five digits."""
    if column.dtype.kind == "b":
        return [bool(value) for value in column]
    if column.dtype.kind != "f":
        return [value if isinstance(value, str) else int(value) for value in column.tolist()]
    return [value if math.isfinite(value) else None
            for value in _rounded(column.to_numpy(dtype=float)).tolist()]


def _rounded(values: NDArray[np.float64], digits: int = 5) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        power = 10.0 ** (digits - 1 - np.floor(np.log10(np.abs(values))))
        rounded = np.round(values * power) / power
    return np.where(np.isfinite(rounded), rounded, values)


def _courses(points: pd.DataFrame, most: int, n_points: int) -> dict[str, Any]:
    """Centrelines of few points, so many of an image: for each y, x, y, x ..."""
    found: dict[str, Any] = {"at": [], "chain": [], "points": []}
    for unit in ("nm", "px"):
        columns = [f"s_{unit}", f"y_{unit}", f"x_{unit}"]
        if not set(columns) <= set(points.columns):
            continue
        known = points[np.isfinite(points[columns[1]])].sort_values(
            ["at", "chain", columns[0]], kind="stable")
        places = known[columns[1:]].to_numpy(dtype=float)
        keys = known[["at", "chain"]].to_numpy(dtype=np.int64)
        new = np.flatnonzero((np.diff(keys, axis=0) != 0).any(axis=1)) + 1
        for first, stop in zip([0, *new], [*new, len(keys)], strict=True):
            if first == stop or found["at"][-most:] == [keys[first, 0]] * most:
                continue
            pick = np.unique(np.linspace(first, stop - 1, n_points).round().astype(int))
            found["at"].append(int(keys[first, 0]))
            found["chain"].append(int(keys[first, 1]))
            found["points"].append(_rounded(places[pick].ravel()).tolist())
    return found


def outcome(record: Record) -> str:
    """Return what was found, in words; what was not measurable comes last."""
    said = [str(entry["summary"].get("outcome", "")) for entry in record["measurements"]]
    return "; ".join(sorted((one for one in said if one), key=lambda one: one.startswith("no")))


def _image(record: Record) -> dict[str, Any]:
    description = {key: value for key, value in record["description"].items()
                   if key not in ("audit", "file", "signal", "index", "used")}
    facts = items(description)
    if record["source_sha256"]:
        facts.append(("SHA-256 of the file", str(record["source_sha256"])))
    return {
        "name": image_name(record["file"], record["image"]), "group": record["group"],
        "sample": record["sample"],
        **_extent(record), "audit": [str(sentence) for sentence in record["audit"]],
        "facts": facts, "seconds": record["seconds"],
        "measurements": [_measurement(entry) for entry in record["measurements"]],
        "skipped": [(str(one["measurement"]), str(one["reason"])) for one in record["skipped"]],
    }


def _extent(record: Record) -> dict[str, Any]:
    """Unit, height and width of the picture, and of its pixels."""
    axes = {axis["name"]: axis for axis in record["description"].get("axes", ())}
    if not {"y", "x"} <= set(axes):
        return {"unit": "", "extent": None}
    unit = axes["y"]["unit"]
    steps = [1.0 if unit == "px" else float(axes[name]["pixel_size"]) for name in "yx"]
    sides = [step * axes[name]["size"] for step, name in zip(steps, "yx", strict=True)]
    return {"unit": unit, "extent": _rounded(np.array([*sides, *steps])).tolist()}


def _measurement(entry: Mapping[str, Any]) -> dict[str, Any]:
    summary = {key: value for key, value in entry["summary"].items() if key != "outcome"}
    pictures = [(str(kind).replace("_", " "), link(path))
                for kind, path in entry["pictures"].items()]
    return {"name": str(entry["measurement"]), "why": str(entry["why"]),
            "outcome": text(entry["summary"].get("outcome", "")), "facts": items(summary),
            "parameters": items(entry["parameters"]),
            "pictures": [(kind, address) for kind, address in pictures if address]}
