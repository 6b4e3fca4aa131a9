"""Reading a results folder: tables, images and runs, without loading what is not asked for."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.errors import ParameterError
from emtools.population import counted as without_rejected
from emtools.results import rows, schema
from emtools.tables import MARKED

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

    import pandas as pd

    from emtools.results.rows import ImageId

NOT_OPENED = -1  # in place of an image's number in its file
_IMAGES = """
    SELECT seen.name, seen.number, seen.signal, image.modality, seen.status, seen.reason,
        count(result.id), coalesce(sum(result.skipped), 0),
        group_concat(CASE WHEN result.skipped THEN result.measurement || ': ' || result.reason END,
                     '; '), file.grp, file.sample
    FROM seen JOIN file USING (run, name) LEFT JOIN image ON image.key = seen.image
    LEFT JOIN found USING (run, name, number) LEFT JOIN result ON result.id = found.result
    WHERE seen.run = ? GROUP BY seen.name, seen.number"""


class Results:
    """What batches found, as the last run saw it.

    Parameters
    ----------
    path
        Results folder of a batch.
    run
        Number of a run; by default the last one.

    Raises
    ------
    ParameterError
        If it holds no results, or no such run.
    """

    def __init__(self, path: str | os.PathLike[str], run: int | None = None) -> None:
        self.folder = Path(path)
        database = self.folder / schema.DATABASE
        if not database.is_file():
            raise ParameterError(str(path), "holds no results of a batch",
                                 "give the folder that `emtools batch -o` wrote")
        self.connection = _opened(database)
        try:
            schema.check_format(self.connection, self.folder)
            self.run = self._checked(run)
        except ParameterError:
            self.close()
            raise

    def _checked(self, run: int | None) -> int:
        numbers = [row[0] for row in self.connection.execute("SELECT id FROM run ORDER BY id")]
        if not numbers or run not in (None, *numbers):
            raise ParameterError("run", f"{run} is not among {numbers}")
        return int(numbers[-1] if run is None else run)

    @property
    def names(self) -> list[str]:
        """Tables of all measurements: ``chains.chains``, ``chains.gaps`` ..."""
        return schema.table_names()

    @property
    def runs(self) -> pd.DataFrame:
        """The runs: ``run, started, finished, folder, recipe, versions``."""
        import pandas as pd

        found = pd.read_sql_query("SELECT id AS run, started, finished, folder, recipe, versions "
                                  "FROM run ORDER BY id", self.connection)
        return found.assign(folder=[schema.name_of(folder) for folder in found["folder"]])

    @property
    def recipe(self) -> dict[str, Any]:
        """The complete effective recipe of the run."""
        found = self.connection.execute("SELECT recipe FROM run WHERE id = ?",
                                        (self.run,)).fetchone()
        recipe: dict[str, Any] = json.loads(found[0])
        return recipe

    @property
    def files(self) -> pd.DataFrame:
        """Every file that the run saw: ``file, status, reason, group, sample``."""
        found = self.connection.execute(
            "SELECT name, status, reason, grp, sample FROM file WHERE run = ?",
            (self.run,)).fetchall()
        return _frame(((schema.name_of(name), *rest) for name, *rest in found),
                      ("file", "status", "reason", "group", "sample"))

    @property
    def images(self) -> pd.DataFrame:
        """Every image that the run saw, and every file of which none was opened (`number` -1).

        Columns ``file, number, image, modality, status, reason, group, sample``; status is
        ``measured``, ``left out``, ``failed`` or ``other file``.
        """
        found = [(schema.name_of(name), NOT_OPENED, "", "", status, reason, group, sample)
                 for name, status, reason, group, sample in self.connection.execute(
                     "SELECT name, status, reason, grp, sample FROM file "
                     "WHERE run = ? AND status <> 'read'", (self.run,))]
        for name, number, signal, modality, status, reason, results, skipped, why_not, *groups in \
                self.connection.execute(_IMAGES, (self.run,)):
            said = (status, reason)
            if status == "read":
                said = ("measured", "") if results > skipped else ("left out", why_not or "")
            found.append((schema.name_of(name), number, signal, modality or "", *said, *groups))
        return _frame(found, ("file", "number", "image", "modality", "status", "reason", "group",
                              "sample")).astype({"number": "int64"})

    def table(
        self, name: str, where: str = "", values: Sequence[Any] = (), *,
        images: Sequence[ImageId] | None = None, counted: bool = False,
    ) -> pd.DataFrame:
        """Return one table: a row for each object, led by file, image and digest.

        Parameters
        ----------
        name
            ``chains.chains``, ``lattice.reflections`` ...
        where
            Condition in SQL on its columns, ``"width_nm > ? AND NOT touches_edge"``: what does not
            fulfil it is not loaded.
        values
            Of the condition's question marks.
        images
            Only of these: file and number.
        counted
            Without what was rejected by hand, and what belongs to it.

        Raises
        ------
        ParameterError
            If there is no such table, or the condition is none.
        """
        import pandas as pd

        parts = list(self.chunks(name, where, values, images=images, counted=counted))
        return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]

    def chunks(
        self, name: str, where: str = "", values: Sequence[Any] = (), *,
        images: Sequence[ImageId] | None = None, counted: bool = False,
    ) -> Iterator[pd.DataFrame]:
        """Yield a table in parts, at least one, by file and image."""
        left_out = self._rejected_rows(name) if counted else {}
        gone = self.rejected if counted else frozenset()
        for part in rows.parts(self.connection, self.run, name, (where, values), images):
            kept = part
            if gone:
                ids = zip(kept["file"], kept["number"], strict=True)
                kept = kept[np.array([one not in gone for one in ids], dtype=bool)]
            if left_out:
                own = name.split(".", 1)[1]
                kept = without_rejected({**left_out, own: kept}, "file", "number")[0][own]
            yield kept.drop(columns="number")

    @property
    def rejected(self) -> frozenset[ImageId]:
        """File and number of the images that were rejected by hand as a whole."""
        found = self.connection.execute(
            "SELECT found.name, found.number, summary FROM found JOIN result "
            "ON result.id = found.result WHERE run = ? AND summary LIKE '%\"mark\"%'", (self.run,))
        return frozenset((schema.name_of(name), int(number)) for name, number, summary in found
                         if json.loads(summary).get("mark") == "rejected")

    @property
    def corrections(self) -> pd.DataFrame:
        """What was corrected by hand: ``file, number, measurement, correction, changed``.

        `correction` is the JSON of `emtools.corrections.Correction.to_dict`.
        """
        there = schema.columns_in(self.connection, "correction")
        found = self.connection.execute(
            "SELECT seen.name, correction.number, measurement, correction, changed FROM seen "
            "JOIN image ON image.key = seen.image JOIN correction "
            "ON correction.content = image.content AND correction.number = image.number "
            "WHERE seen.run = ?", (self.run,)).fetchall() if there else []
        return _frame(((schema.name_of(name), *rest) for name, *rest in found),
                      ("file", "number", "measurement", "correction", "changed"))

    def _rejected_rows(self, name: str) -> dict[str, pd.DataFrame]:
        """Rejected objects of the tables of a table's measurement, by table."""
        measurement = name.split(".", 1)[0]
        found = {}
        for table in MARKED:
            whole = f"{measurement}.{table}"
            if "mark" in schema.columns_in(self.connection, whole):
                found[table] = next(rows.parts(self.connection, self.run, whole,
                                               ("mark = ?", ("rejected",))))
        return {table: own for table, own in found.items() if len(own)}

    def close(self) -> None:
        """Close the database."""
        self.connection.close()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opened(database: Path) -> sqlite3.Connection:
    """Open a database to read it, also in a folder that may not be written to."""
    address = f"{database.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(address, uri=True)
    try:
        connection.execute("SELECT name FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        if not database.with_name(f"{database.name}-wal").exists():  # nobody writes to it
            connection.close()
            return sqlite3.connect(f"{address}&immutable=1", uri=True)
    except sqlite3.DatabaseError:  # no database: said where its format is asked for
        pass
    return connection


def _frame(rows: Iterable[tuple[Any, ...]], columns: Sequence[str]) -> pd.DataFrame:
    """Sorted rows; a name may hold bytes that are no text, which no column of text could."""
    import pandas as pd

    return pd.DataFrame(sorted(rows), columns=list(columns), dtype=object)


def open_results(path: str | os.PathLike[str], run: int | None = None) -> Results:
    """Open the results of a batch: DataFrames of all images.

    Parameters
    ----------
    path
        Results folder.
    run
        Number of a run; by default the last one.

    Returns
    -------
    Results

    Raises
    ------
    ParameterError
        If the folder holds no results.
    """
    return Results(path, run)
