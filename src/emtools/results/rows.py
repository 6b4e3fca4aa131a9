"""Rows of one table of all images of a run, or of some, in parts that fit into memory."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from emtools.errors import ParameterError
from emtools.measure import load
from emtools.results import schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

LEAD = ("file", "number", "image", "source_sha256")
_CHUNK = 200_000  # rows that are in memory at a time
ImageId = tuple[str, int]  # file and number of an image in it


def parts(
    connection: sqlite3.Connection, run: int, name: str, condition: tuple[str, Sequence[Any]],
    images: Sequence[ImageId] | None = None,
) -> Iterator[pd.DataFrame]:
    """Yield a table in parts, at least one, by file and image; led by `LEAD`.

    Parameters
    ----------
    connection
        To the database.
    run
        Number of the run.
    name
        ``chains.chains``.
    condition
        In SQL on the table's columns, and the values of its question marks; may be empty.
    images
        Only of these.

    Raises
    ------
    ParameterError
        If there is no such table, or the condition is none.
    """
    import pandas as pd

    if name not in schema.table_names():
        raise ParameterError(f"table {name!r}", "is not known",
                             f"known are {', '.join(schema.table_names())}")
    columns = [column for column in schema.columns_in(connection, name)
               if column not in ("result", "row")]
    if not columns:
        yield _empty(name)
        return
    where, values = condition
    if images is not None:
        _choose(connection, images)
    empty = True
    try:
        for part in pd.read_sql_query(_query(name, columns, where, images is not None), connection,
                                      params=[run, *values], chunksize=_CHUNK):
            empty = False
            # A name may hold bytes that are no text: no column of text could.
            part["file"] = pd.Series([schema.name_of(value) for value in part["file"]],
                                     dtype=object)
            yield schema.typed(name, part)
    except (pd.errors.DatabaseError, sqlite3.Error) as error:
        raise ParameterError("where", f"is no condition on {name} ({error})",
                             f"its columns are {', '.join(columns)}") from error
    if empty:
        yield _empty(name)


def _query(name: str, columns: Sequence[str], where: str, some: bool) -> str:
    quoted = ", ".join(f't."{column}"' for column in columns)
    # Names are of declared tables; the condition is the caller's own, on a read-only file.
    return ("SELECT found.name AS file, found.number AS number, seen.signal AS image, "  # noqa: S608
            f"image.source_sha256, {quoted} FROM found "
            + ("JOIN temp.chosen USING (name, number) " if some else "")
            + "JOIN seen USING (run, name, number) JOIN image ON image.key = seen.image "
            f'JOIN "{name}" AS t ON t.result = found.result '
            f"WHERE found.run = ?{f' AND ({where})' if where else ''} "
            "ORDER BY found.name, found.number, found.place, t.row")


def _choose(connection: sqlite3.Connection, images: Sequence[ImageId]) -> None:
    """Name the images that are wanted; the file itself is not written to."""
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS chosen (name TEXT, number INTEGER, "
                       "PRIMARY KEY (name, number)) WITHOUT ROWID")
    connection.execute("DELETE FROM temp.chosen")
    connection.executemany("INSERT INTO temp.chosen VALUES (?, ?)",
                           [(schema.stored_name(file), number) for file, number in images])


def _empty(name: str) -> pd.DataFrame:
    import pandas as pd

    measurement, table = name.split(".", 1)
    kinds: dict[str, Any] = {"file": object, "number": "int64"}
    lead = pd.DataFrame({column: pd.Series([], dtype=kinds.get(column, "str"))
                         for column in LEAD})
    return pd.concat([lead, load(measurement).tables[table].frame()], axis=1)
