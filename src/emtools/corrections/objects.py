"""Where the objects of a result lie, and which of them lies at a place.

Numbers change when an image is measured anew; where a chain, dot or grain lies does not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from emtools.population import counted
from emtools.tables import MARKED, in_unit

if TYPE_CHECKING:
    import pandas as pd

    from emtools.model import Result

Place = tuple[float, float]


def place_of(result: Result, table: str, number: int) -> Place | None:
    """Return a place (y, x) that is on an object, in the image's unit; None if it is not there."""
    rows = _samples(result, table)
    if rows is None:
        return None
    own = rows[rows[MARKED[table]] == number]
    if not len(own):
        return None
    middle = own.iloc[len(own) // 2]
    y, x = _columns(result)
    return float(middle[y]), float(middle[x])


def number_at(result: Result, table: str, place: Place) -> int | None:
    """Return the number of the object that a place is on; None if there is none."""
    rows = _samples(result, table)
    if rows is None or not len(rows):
        return None
    away = np.hypot(*(rows[column].to_numpy(dtype=float) - at
                      for column, at in zip(_columns(result), place, strict=True)))
    nearest = int(np.nanargmin(away)) if np.isfinite(away).any() else 0
    on_it = away[nearest] <= 0.5 * _size(rows.iloc[nearest], result)
    return int(rows[MARKED[table]].iloc[nearest]) if on_it else None


def without_rejected(result: Result) -> Result:
    """Return a result as others may rest on it: without what was rejected by hand.

    Dots of a rejected chain, and rejected dots, stay as bodies that belong to no chain: what lies
    there is no film.
    """
    tables, left_out = counted(result.tables)
    if not left_out:
        return result
    if "dots" in tables:
        every = result.tables["dots"]
        kept = every["dot"].isin(tables["dots"]["dot"])
        tables["dots"] = every.assign(chain=every["chain"].where(kept, 0))
    return replace(result, tables=tables)


def _columns(result: Result) -> tuple[str, str]:
    unit = str(result.summary.get("unit", "nm"))
    return in_unit("y_nm", unit), in_unit("x_nm", unit)


def _samples(result: Result, table: str) -> pd.DataFrame | None:
    """Rows that say where the objects of a table lie: of chains the samples of their axes."""
    rows = result.tables.get("axes" if table == "chains" else table)
    if rows is None or not set(_columns(result)) <= set(rows.columns):
        return None
    return rows


def _size(row: pd.Series, result: Result) -> float:
    """About how wide an object is."""
    unit = str(result.summary.get("unit", "nm"))
    for column in ("diameter_nm", "width_nm"):
        name = in_unit(column, unit)
        if name in row and np.isfinite(row[name]):
            return float(row[name])
    area = in_unit("area_nm2", unit)
    return float(np.sqrt(row[area])) if area in row else 0.0
