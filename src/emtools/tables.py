"""Declared tables: each column's name, type and meaning, written once.

A measurement declares its tables with `Table` and `Column`; the same declaration makes the empty
table of a blank image, the table of a measured one, and the data dictionary of the documentation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from emtools.units import PIXEL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

Kind = Literal["float", "int", "bool", "str"]
DTYPES: dict[str, Any] = {"float": "float64", "int": "int64", "bool": "bool", "str": "str"}
MISSING: dict[str, Any] = {"float": float("nan"), "int": 0, "bool": False, "str": ""}


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Parameters
    ----------
    name
        Name with the unit as its last part: ``d_spacing_nm``.
    kind
        ``float``, ``int``, ``bool`` or ``str``.
    meaning
        One sentence.
    """

    name: str
    kind: Kind
    meaning: str


# Of objects that a person may judge, and their numbers' column; measurements leave it empty.
MARK = Column("mark", "str", "accepted or rejected by hand, empty if nobody said")
MARKED = {"chains": "chain", "dots": "dot", "grains": "grain"}


@dataclass(frozen=True)
class Table:
    """The declaration of a table.

    Parameters
    ----------
    meaning
        What one row is.
    columns
        The columns, in their order.
    """

    meaning: str
    columns: tuple[Column, ...]

    def names(self, unit: str = "nm") -> list[str]:
        """Return the column names for results in nm, or in px for an image without calibration."""
        return [in_unit(column.name, unit) for column in self.columns]

    def frame(self, rows: Sequence[Mapping[str, Any]] = (), unit: str = "nm") -> pd.DataFrame:
        """Return a DataFrame of `rows` with the declared columns, order and types.

        Parameters
        ----------
        rows
            One mapping per object, keyed by the declared names; a missing value becomes NaN, 0,
            False or an empty string.
        unit
            ``nm``, or ``px`` to name the columns of an image without calibration.

        Raises
        ------
        KeyError
            If a row has a column that is not declared.
        """
        import pandas as pd

        declared = {column.name for column in self.columns}
        for row in rows:
            if not declared.issuperset(row):
                raise KeyError(f"columns not declared: {sorted(set(row) - declared)}")
        data = {
            in_unit(column.name, unit): pd.Series(
                [row.get(column.name, MISSING[column.kind]) for row in rows],
                dtype=DTYPES[column.kind],
            )
            for column in self.columns
        }
        return pd.DataFrame(data)


def in_unit(name: str, unit: str) -> str:
    """Return a column or parameter name for another unit: ``d_spacing_nm`` -> ``d_spacing_px``."""
    if unit != PIXEL:
        return name
    return re.sub(r"_nm(2?)(?=_|$)", r"_px\1", name)


def error_of(name: str) -> str:
    """Return the name that the column with the uncertainty of another one has, if there is one."""
    for tail in ("_per_nm", "_per_px", "_nm2", "_px2", "_nm", "_px", "_deg"):
        if name.endswith(tail):
            return f"{name.removesuffix(tail)}_err{tail}"
    return f"{name}_err"
