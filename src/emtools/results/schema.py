"""The tables of the database, and rows of measurements to and from them."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from emtools.errors import ParameterError
from emtools.measure import load, names
from emtools.tables import DTYPES, MISSING, in_unit
from emtools.units import PIXEL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

DATABASE = "results.sqlite"
FORMAT = 5
_WITHOUT_CORRECTIONS = 4  # formats that are read too, and brought to the present one
_CORRECTION = """CREATE TABLE IF NOT EXISTS correction (content TEXT, number INTEGER,
    measurement TEXT, correction TEXT, changed TEXT,
    PRIMARY KEY (content, number, measurement)) WITHOUT ROWID"""
_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
    """CREATE TABLE run (id INTEGER PRIMARY KEY, started TEXT, finished TEXT, folder TEXT,
        recipe TEXT, versions TEXT)""",
    # Images of all files of a content, under one recipe's pixel size and calibration.
    """CREATE TABLE reading (content TEXT, settings TEXT, images INTEGER,
        PRIMARY KEY (content, settings)) WITHOUT ROWID""",
    """CREATE TABLE image (key TEXT PRIMARY KEY, content TEXT, settings TEXT, number INTEGER,
        signal TEXT, modality TEXT, source_sha256 TEXT, description TEXT, audit TEXT,
        thumbnail TEXT, seconds REAL)""",
    "CREATE INDEX image_of_content ON image (content, settings)",
    """CREATE TABLE result (id INTEGER PRIMARY KEY, key TEXT UNIQUE, measurement TEXT,
        skipped INTEGER, reason TEXT, summary TEXT, parameters TEXT, pictures TEXT)""",
    # What a run saw: files, their images, and the results of these.
    """CREATE TABLE file (run INTEGER, name TEXT, status TEXT, reason TEXT, seconds REAL,
        grp TEXT, sample TEXT, PRIMARY KEY (run, name)) WITHOUT ROWID""",
    """CREATE TABLE seen (run INTEGER, name TEXT, number INTEGER, image TEXT, signal TEXT,
        status TEXT, reason TEXT, PRIMARY KEY (run, name, number)) WITHOUT ROWID""",
    """CREATE TABLE found (run INTEGER, name TEXT, number INTEGER, place INTEGER, result INTEGER,
        PRIMARY KEY (run, name, number, place)) WITHOUT ROWID""",
    "CREATE INDEX found_result ON found (result)",
    # What a person corrected, whatever the file is called and whichever run saw it.
    _CORRECTION,
    # Columns of each table of a result: an image without calibration has them in pixels.
    """CREATE TABLE extent (result INTEGER, name TEXT, columns TEXT,
        PRIMARY KEY (result, name)) WITHOUT ROWID""",
)
_SQL_TYPES = {"float": "REAL", "int": "INTEGER", "bool": "INTEGER", "str": "TEXT"}


def create(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty store."""
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('format', ?)", (str(FORMAT),))


def bring_up(connection: sqlite3.Connection) -> None:
    """Give a store of an older format what it lacks."""
    connection.execute(_CORRECTION)
    connection.execute("UPDATE meta SET value = ? WHERE key = 'format' AND value = ?",
                       (str(FORMAT), str(_WITHOUT_CORRECTIONS)))


def kinds_of(name: str) -> dict[str, str]:
    """Columns of a table ``measurement.table`` and their kinds, those of images in pixels too."""
    measurement, table = name.split(".", 1)
    declared = load(measurement).tables[table].columns
    kinds = {column.name: str(column.kind) for column in declared}
    return kinds | {in_unit(column.name, PIXEL): str(column.kind) for column in declared}


def table_names() -> list[str]:
    """All tables of all measurements: ``chains.chains``, ``chains.gaps`` ..."""
    return [f"{one}.{table}" for one in names() for table in load(one).tables]


def insert_rows(
    connection: sqlite3.Connection, name: str, result: int, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Add the rows of one table of one result."""
    columns = list(rows[0]) if rows else []
    connection.execute("INSERT INTO extent VALUES (?, ?, ?)",
                       (result, name, json.dumps(columns)))
    if not rows:
        return
    _make_room(connection, name, columns)
    quoted = ", ".join(f'"{column}"' for column in ("result", "row", *columns))
    marks = ", ".join("?" * (len(columns) + 2))
    connection.executemany(
        f'INSERT INTO "{name}" ({quoted}) VALUES ({marks})',  # noqa: S608 - declared names
        [(result, i, *(row[column] for column in columns)) for i, row in enumerate(rows)])


def _make_room(connection: sqlite3.Connection, name: str, columns: Sequence[str]) -> None:
    kinds = kinds_of(name)
    there = columns_in(connection, name)
    if not there:
        connection.execute(f'CREATE TABLE "{name}" (result INTEGER, row INTEGER, '
                           "PRIMARY KEY (result, row)) WITHOUT ROWID")
        there = ["result", "row"]
    for column in columns:
        if column not in there:
            kind = _SQL_TYPES[kinds.get(column, "str")]
            connection.execute(f'ALTER TABLE "{name}" ADD COLUMN "{column}" {kind}')


def columns_in(connection: sqlite3.Connection, name: str) -> list[str]:
    """Columns that a table of rows has; none if nothing was stored in it."""
    return [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')]


def rows_of(connection: sqlite3.Connection, name: str, result: int) -> list[dict[str, Any]]:
    """Rows of one table of one result, as plain values."""
    found = connection.execute("SELECT columns FROM extent WHERE result = ? AND name = ?",
                               (result, name)).fetchone()
    columns = json.loads(found[0]) if found else []
    if not columns:
        return []
    kinds = kinds_of(name)
    quoted = ", ".join(f'"{column}"' for column in columns)
    rows = connection.execute(
        f'SELECT {quoted} FROM "{name}" WHERE result = ? ORDER BY row',  # noqa: S608 - as above
        (result,))
    return [{column: bool(value) if kinds.get(column) == "bool" else value
             for column, value in zip(columns, row, strict=True)} for row in rows]


def typed(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Give the columns of rows the types that the measurement declares."""
    kinds = kinds_of(name)
    for column in frame.columns:
        kind = kinds.get(column)
        if kind is None:
            continue
        values = frame[column]
        if kind != "float":
            values = values.astype(object).where(values.notna(), MISSING[kind])
        frame[column] = values.astype(DTYPES[kind])
    return frame


def check_format(connection: sqlite3.Connection, folder: Path) -> None:
    """Refuse a store of another version.

    Raises
    ------
    ParameterError
        If it is one.
    """
    try:
        found = connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    except sqlite3.DatabaseError as error:  # a batch that has just begun, or another file
        raise ParameterError(str(folder), f"holds no results of a batch ({error})",
                             "wait until the batch has begun, or give another folder") from error
    if found is None or found[0] not in (str(FORMAT), str(_WITHOUT_CORRECTIONS)):
        said = "none" if found is None else found[0]
        raise ParameterError(str(folder), f"holds results in format {said}, not {FORMAT}",
                             "give a new folder with -o, or use the emtools that wrote it")


def stored_name(name: str) -> str | bytes:
    """A file name as the database holds it: bytes that are no text stay bytes."""
    raw = name.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


def name_of(stored: str | bytes) -> str:
    """Back from `stored_name`."""
    return stored if isinstance(stored, str) else stored.decode("utf-8", "surrogateescape")
