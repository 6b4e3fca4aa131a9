"""Reading a results folder: tables, images and runs, without loading what is not asked for."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emtools.batch import schema
from emtools.batch.store import DATABASE, check_format, name_of
from emtools.batch.work import without_images
from emtools.errors import ParameterError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from emtools.batch.work import Record

LEAD = ("file", "image", "source_sha256")
_CHUNK = 200_000  # rows that are in memory at a time


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
        database = self.folder / DATABASE
        if not database.is_file():
            raise ParameterError(str(path), "holds no results of a batch",
                                 "give the folder that `emtools batch -o` wrote")
        self._connection = sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)
        try:
            check_format(self._connection, self.folder)
            self.run = self._checked(run)
        except ParameterError:
            self.close()
            raise

    def _checked(self, run: int | None) -> int:
        numbers = [row[0] for row in self._connection.execute("SELECT id FROM run ORDER BY id")]
        if not numbers or run not in (None, *numbers):
            raise ParameterError("run", f"{run} is not among {numbers}")
        return int(numbers[-1] if run is None else run)

    @property
    def names(self) -> list[str]:
        """Tables of all measurements: ``chains.chains``, ``chains.gaps`` ..."""
        return schema.table_names()

    @property
    def runs(self) -> pd.DataFrame:
        """The runs, with when they were and their recipes."""
        import pandas as pd

        return pd.read_sql_query("SELECT id AS run, started, finished, recipe, versions FROM run "
                                 "ORDER BY id", self._connection)

    @property
    def recipe(self) -> dict[str, Any]:
        """The complete effective recipe of the run."""
        found = self._connection.execute("SELECT recipe FROM run WHERE id = ?",
                                         (self.run,)).fetchone()
        recipe: dict[str, Any] = json.loads(found[0])
        return recipe

    @property
    def files(self) -> pd.DataFrame:
        """Every file that the run saw: what became of it, and why."""
        import pandas as pd

        rows = self._connection.execute(
            "SELECT name, status, reason FROM file WHERE run = ?", (self.run,)).fetchall()
        found = [(name_of(name), *rest) for name, *rest in rows]
        return pd.DataFrame(sorted(found), columns=["file", "status", "reason"])

    def table(self, name: str, where: str = "", values: Sequence[Any] = ()) -> pd.DataFrame:
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

        Raises
        ------
        ParameterError
            If there is no such table, or the condition is none.
        """
        import pandas as pd

        parts = list(self.chunks(name, where, values))
        return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]

    def chunks(
        self, name: str, where: str = "", values: Sequence[Any] = ()
    ) -> Iterator[pd.DataFrame]:
        """Yield a table in parts, at least one, by file and image."""
        import pandas as pd

        if name not in self.names:
            raise ParameterError(f"table {name!r}", "is not known",
                                 f"known are {', '.join(self.names)}")
        columns = [column for column in schema.columns_in(self._connection, name)
                   if column not in ("result", "row")]
        if not columns:
            yield self._empty(name)
            return
        quoted = ", ".join(f't."{column}"' for column in columns)
        condition = f" AND ({where})" if where else ""
        # Names are of declared tables; the condition is the caller's own, on a read-only file.
        query = ("SELECT found.name AS file, seen.signal AS image, "  # noqa: S608
                 f"image.source_sha256, {quoted} "
                 "FROM found JOIN seen USING (run, name, number) "
                 "JOIN image ON image.key = seen.image "
                 f'JOIN "{name}" AS t ON t.result = found.result '
                 f"WHERE found.run = ?{condition} "
                 "ORDER BY found.name, found.number, found.place, t.row")
        empty = True
        try:
            for part in pd.read_sql_query(query, self._connection, params=[self.run, *values],
                                          chunksize=_CHUNK):
                empty = False
                # A name may hold bytes that are no text: no column of text could.
                part["file"] = pd.Series([name_of(value) for value in part["file"]],
                                         dtype=object)
                yield schema.typed(name, part)
        except (pd.errors.DatabaseError, sqlite3.Error) as error:
            raise ParameterError("where", f"is no condition on {name} ({error})",
                                 f"its columns are {', '.join(columns)}") from error
        if empty:
            yield self._empty(name)

    def records(self) -> Iterator[Record]:
        """Yield one record for each image, and one for each file without, by file and image."""
        names = self._connection.execute(
            "SELECT name, status, reason, seconds FROM file WHERE run = ?", (self.run,)).fetchall()
        for stored, status, reason, seconds in sorted(names, key=lambda row: name_of(row[0])):
            name = name_of(stored)
            if status != "read":
                yield {**without_images(name, status, reason), "seconds": seconds or 0.0}
                continue
            for number, key, signal, what, why in self._connection.execute(
                "SELECT number, image, signal, status, reason FROM seen "
                "WHERE run = ? AND name = ? ORDER BY number", (self.run, stored)).fetchall():
                yield {**without_images(name, what, why), "image": signal, "index": number} \
                    if key is None else self._record(stored, number, key, signal)

    def _record(self, stored: str | bytes, number: int, key: str, signal: str) -> Record:
        sha256, description, audit, thumbnail, seconds = self._connection.execute(
            "SELECT source_sha256, description, audit, thumbnail, seconds FROM image "
            "WHERE key = ?", (key,)).fetchone()
        record = without_images(name_of(stored), "left out", "")
        # It may have had another name when it was measured.
        said_of_it = json.loads(description) | {"file": record["file"]}
        record |= {"image": signal, "index": number, "source_sha256": sha256,
                   "description": said_of_it, "audit": json.loads(audit), "seconds": seconds}
        for result, measurement, skipped, reason, *said in self._connection.execute(
            "SELECT result.id, measurement, skipped, reason, summary, parameters, pictures "
            "FROM found JOIN result ON result.id = found.result "
            "WHERE run = ? AND name = ? AND number = ? ORDER BY place",
            (self.run, stored, number)).fetchall():
            if skipped:
                record["skipped"].append({"measurement": measurement, "reason": reason})
                continue
            summary, parameters, pictures = (json.loads(text) for text in said)
            tables = {name.split(".", 1)[1]: schema.rows_of(self._connection, name, result)
                      for name in self.names if name.startswith(f"{measurement}.")}
            record["measurements"].append(
                {"measurement": measurement, "why": reason, "summary": summary,
                 "parameters": parameters, "pictures": pictures, "tables": tables})
        if record["measurements"]:
            record |= {"status": "measured", "thumbnail": thumbnail}
        else:
            record["reason"] = "; ".join(f"{one['measurement']}: {one['reason']}"
                                         for one in record["skipped"])
        return record

    def outcomes(self) -> list[tuple[str, str, str, str]]:
        """File, image, status and reason of each image, and of each file without."""
        found = [(name_of(name), 0, "", status, reason) for name, status, reason in
                 self._connection.execute("SELECT name, status, reason FROM file "
                                          "WHERE run = ? AND status <> 'read'", (self.run,))]
        for name, number, signal, status, reason, results, skipped in self._connection.execute(
            "SELECT seen.name, seen.number, seen.signal, seen.status, seen.reason, "
            "count(result.id), sum(result.skipped) FROM seen "
            "LEFT JOIN found USING (run, name, number) "
            "LEFT JOIN result ON result.id = found.result WHERE seen.run = ? "
            "GROUP BY seen.name, seen.number", (self.run,)):
            measured = "measured" if results > (skipped or 0) else "left out"
            found.append((name_of(name), number, signal,
                          measured if status == "read" else status, reason))
        return [(name, *rest) for name, _, *rest in sorted(found)]

    def pictures(self) -> set[str]:
        """Paths of the pictures of all runs, relative to the folder."""
        return {path for (said,) in self._connection.execute("SELECT pictures FROM result")
                for path in json.loads(said).values()}

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _empty(self, name: str) -> pd.DataFrame:
        import pandas as pd

        from emtools.measure import load

        measurement, table = name.split(".", 1)
        frame = load(measurement).tables[table].frame()
        lead = pd.DataFrame({column: pd.Series([], dtype=object if column == "file" else "str")
                             for column in LEAD})
        return pd.concat([lead, frame], axis=1)


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
