"""The results folder: one SQLite file that is the truth, and what is written out of it.

Everything that a file gave goes in with one transaction.  A result is kept under the key of all
that could have made it another one (`emtools.batch.keys`), whatever the file is called; a run says
which files it saw and which results are theirs.  Older runs stay.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import platform
import sqlite3
from typing import IO, TYPE_CHECKING, Any

from emtools._version import __version__
from emtools.batch import contents
from emtools.batch.effective import effective
from emtools.batch.keys import KeyBook
from emtools.batch.stored import Stored, as_text, corrections_of
from emtools.errors import ParameterError
from emtools.results import schema
from emtools.results.schema import DATABASE, check_format, name_of, stored_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from emtools.batch.keys import ByHand
    from emtools.batch.plan import Recipe
    from emtools.corrections import Correction
    from emtools.results.records import Record

_LOCK = ".writing"
_BUSY_S = 30.0  # that a reader may hold a writer up


class Store:
    """Results of batches in a folder.

    Parameters
    ----------
    folder
        Made if it does not exist.

    Raises
    ------
    ParameterError
        If the folder is a file, is not writable, holds something that is not a batch's results, or
        another batch is writing to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if folder.exists() and not folder.is_dir():
            raise ParameterError(str(folder), "is not a folder", "give another one with -o")
        if folder.exists() and any(folder.iterdir()) and not (folder / DATABASE).exists():
            raise ParameterError(str(folder), "is not empty and holds no results of a batch",
                                 "give a new folder with -o")
        with _said(folder):
            for part in (folder, folder / "tables", folder / "pictures"):
                part.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(folder / _LOCK)
        try:
            with _said(folder):
                self.connection = opened(folder / DATABASE)
                self._prepare()
        except ParameterError:
            self.close()
            raise

    def _prepare(self) -> None:
        there = self.connection.execute(
            "SELECT name FROM sqlite_master WHERE name = 'meta'").fetchone()
        with transaction(self.connection):
            if there is None:
                schema.create(self.connection)
            self.connection.execute(contents.TABLE)
        check_format(self.connection, self.folder)
        with transaction(self.connection):
            schema.bring_up(self.connection)

    def close(self) -> None:
        """Let others write."""
        if hasattr(self, "connection"):
            with contextlib.suppress(sqlite3.Error):  # somebody reads it now: it stays as it is
                # Read-only folders can be read without the files that a write-ahead log needs.
                self.connection.execute("PRAGMA journal_mode = DELETE")
            self.connection.close()
        self._lock.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def again(self, number: int, recipe: Recipe) -> RunOfFiles:
        """Return a run, whose recipe is given, to correct what it found.

        Raises
        ------
        ParameterError
            If it is not the last one any more.
        """
        found = self.connection.execute("SELECT max(id) FROM run").fetchone()[0]
        if found != number:
            raise ParameterError(str(self.folder), "was written to by another batch since it was "
                                 "opened", "open the results again")
        return RunOfFiles(self, number, KeyBook(recipe))

    def begin(self, folder: Path, recipe: Recipe) -> RunOfFiles:
        """Begin a run."""
        versions = {"emtools": __version__, "python": platform.python_version()}
        with _said(self.folder), transaction(self.connection):
            number = self.connection.execute(
                "INSERT INTO run (started, folder, recipe, versions) VALUES (?, ?, ?, ?)",
                (_now(), stored_name(str(folder.resolve())),
                 json.dumps(effective(recipe)), json.dumps(versions))).lastrowid
        assert number is not None
        return RunOfFiles(self, number, KeyBook(recipe))


def forget(folder: Path, run: int) -> None:
    """Take a run out of a store that a later one has made superfluous; its results stay.

    Raises
    ------
    ParameterError
        If the store cannot be written to.
    """
    with Store(folder) as store, _said(folder), transaction(store.connection):
        for table, column in (("run", "id"), ("file", "run"), ("seen", "run"), ("found", "run")):
            store.connection.execute(f"DELETE FROM {table} WHERE {column} = ?",  # noqa: S608
                                     (run,))


class RunOfFiles:
    """A run that is under way.

    Parameters
    ----------
    store
        That it is written to.
    number
        Of the run.
    keys
        Digests of its recipe.
    """

    def __init__(self, store: Store, number: int, keys: KeyBook) -> None:
        self.store, self.number, self.keys = store, number, keys
        self._connection = store.connection
        self._stored = Stored(store.connection, keys, store.folder)
        self._rows = _Rows(store.connection, number, keys)

    def known(
        self, name: str, content: str, by_hand: ByHand | None = None
    ) -> frozenset[str]:
        """Keys of the results that are stored of a content and that a file is to have.

        `by_hand`: with these corrections; by default with those that are stored.
        """
        return self._stored.keys(name, content, by_hand)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Take over and leave out many files with one transaction: each waits for the disk."""
        with _said(self.store.folder), transaction(self._connection):
            yield

    def corrections(self, content: str) -> ByHand:
        """What a person corrected in a file."""
        return corrections_of(self._connection, content)

    def content(self, name: str) -> tuple[str, list[str]]:
        """Return the digest of what a file held when it was seen, and other files with the same.

        Raises
        ------
        ParameterError
            If the run has no image of it.
        """
        query = ("SELECT DISTINCT content, name FROM seen JOIN image ON image.key = seen.image "
                 "WHERE run = ?")
        found = {name_of(own): content for content, own in
                 self._connection.execute(query, (self.number,))}
        if name not in found:
            raise ParameterError(name, "was not measured by the batch", "run the batch again")
        return found[name], [own for own, content in found.items()
                             if content == found[name] and own != name]

    def taken_over(self, name: str, content: str) -> bool:
        """Take over the results of a file's content, if all that is wanted of it is stored."""
        found = self._stored.whole(name, content)
        if found is None:
            return False
        self._rows.saw(name, "read", "", None)
        for image, results in found:
            self._rows.saw_image(name, image.number, image.key, image.signal)
            for place, result in enumerate(results):
                self._rows.found(name, image.number, place, result)
        return True

    def leave_out(self, name: str, status: str, reason: str) -> None:
        """Say why a file was not measured."""
        self._rows.saw(name, status, reason, None)

    def add(self, name: str, content: str, records: list[Record]) -> None:
        """Store all that a file gave, with one transaction."""
        with _said(self.store.folder), transaction(self._connection):
            self._add(name, content, records)

    def take_corrections(
        self, content: str, corrections: Mapping[tuple[int, str], Correction]
    ) -> None:
        """Store what a person corrected in a file; an empty one takes back what was."""
        with _said(self.store.folder), transaction(self._connection):
            for (number, measurement), one in corrections.items():
                self._connection.execute(
                    "DELETE FROM correction WHERE content = ? AND number = ? AND measurement = ?",
                    (content, number, measurement))
                if one:
                    self._connection.execute("INSERT INTO correction VALUES (?, ?, ?, ?, ?)", (
                        content, number, measurement, as_text(one), _now()))

    def correct(
        self, content: str, by_hand: ByHand, found: Mapping[str, list[Record]]
    ) -> None:
        """Store what a person corrected in a file, and what it gave, with one transaction.

        Parameters
        ----------
        content
            Digest of what it holds.
        by_hand
            All corrections of it, in place of those before.
        found
            What it gave with these, by its name and those of all files that hold the same.
        """
        with _said(self.store.folder), transaction(self._connection):
            self._connection.execute("DELETE FROM correction WHERE content = ?", (content,))
            self._connection.executemany(
                "INSERT INTO correction VALUES (?, ?, ?, ?, ?)",
                [(content, *which, text, _now()) for which, text in by_hand.items()])
            for name, records in found.items():
                for table in ("file", "seen", "found"):
                    self._connection.execute(
                        f"DELETE FROM {table} WHERE run = ? AND name = ?",  # noqa: S608
                        (self.number, stored_name(name)))
                if not self.taken_over(name, content):
                    self._add(name, content, records)
            self._connection.execute("UPDATE run SET finished = NULL WHERE id = ?",
                                     (self.number,))  # tables and page are of before

    def _add(self, name: str, content: str, records: list[Record]) -> None:
        if any(record["index"] < 0 for record in records):  # not even opened
            self._rows.saw(name, "failed", records[0]["reason"], records[0]["seconds"])
            return
        self._rows.saw(name, "read", "", sum(record["seconds"] for record in records))
        for record in records:
            self._rows.add_image(name, content, record)
        if all(record["status"] != "failed" for record in records):
            self._connection.execute("INSERT OR REPLACE INTO reading VALUES (?, ?, ?)",
                                     (content, self.keys.image, len(records)))

    def finish(self) -> None:
        """Say that all files were seen, and that tables and page are of this run."""
        with _said(self.store.folder), transaction(self._connection):
            self._connection.execute("UPDATE run SET finished = ? WHERE id = ?",
                                     (_now(), self.number))

    def as_before(self) -> bool:
        """Whether the run before was finished, and saw and found the same with the same emtools."""
        before = self._connection.execute(
            "SELECT old.id FROM run AS old JOIN run AS new ON old.versions = new.versions "
            "WHERE new.id = ? AND old.id = (SELECT max(id) FROM run WHERE id < new.id) "
            "AND old.finished IS NOT NULL", (self.number,)).fetchone()
        return before is not None and all(
            self._connection.execute(
                f"SELECT {what} FROM {table} WHERE run = ? EXCEPT "  # noqa: S608 - no input
                f"SELECT {what} FROM {table} WHERE run = ?", (one, other)).fetchone() is None
            for table, what in (("file", "name, status, reason, grp, sample"),
                                ("found", "name, number, place, result"))
            for one, other in ((self.number, before[0]), (before[0], self.number)))


class _Rows:
    """Rows of one run, as they are written.

    Parameters
    ----------
    connection
        To the database.
    run
        Number of the run.
    keys
        Digests of its recipe.
    """

    def __init__(self, connection: sqlite3.Connection, run: int, keys: KeyBook) -> None:
        self._connection, self._run, self._keys = connection, run, keys
        self._known = Stored(connection, keys)

    def add_image(self, name: str, content: str, record: Record) -> None:
        """Write an image with its results."""
        number, signal = record["index"], record["image"]
        if record["status"] == "failed":
            self._connection.execute(
                "INSERT INTO seen VALUES (?, ?, ?, NULL, ?, 'failed', ?)",
                (self._run, stored_name(name), number, signal, record["reason"]))
            return
        modality = record["description"].get("acquisition", {}).get("modality")
        keys = self._keys.of(name, modality)
        key = keys.of_image(content, number)
        self._connection.execute(
            "INSERT OR REPLACE INTO image VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (key, content, keys.image, number, signal, modality, record["source_sha256"],
             json.dumps(record["description"]), json.dumps(record["audit"]),
             record["thumbnail"], record["seconds"]))
        self.saw_image(name, number, key, signal)
        results = {one["measurement"]: one for one in record["measurements"]}
        skipped = {one["measurement"]: one["reason"] for one in record["skipped"]}
        by_hand = corrections_of(self._connection, content)
        for place, measurement in enumerate(keys.asked):
            result = self._stored(keys.of_result(content, number, measurement, by_hand),
                                  measurement, results.get(measurement),
                                  skipped.get(measurement, ""))
            self.found(name, number, place, result)

    def _stored(
        self, key: str, measurement: str, found: dict[str, Any] | None, reason: str
    ) -> int:
        there = self._known.result(key)
        if there is not None:
            if found is not None:  # its pictures were gone, and are drawn anew
                self._connection.execute("UPDATE result SET pictures = ? WHERE id = ?",
                                         (json.dumps(found["pictures"]), there))
            return there
        said = found or {"why": reason, "summary": {}, "parameters": {}, "pictures": {},
                         "tables": {}}
        result = self._connection.execute(
            "INSERT INTO result (key, measurement, skipped, reason, summary, parameters, pictures) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (key, measurement, found is None, said["why"], json.dumps(said["summary"]),
             json.dumps(said["parameters"]), json.dumps(said["pictures"]))).lastrowid
        assert result is not None
        for table, rows in said["tables"].items():
            schema.insert_rows(self._connection, f"{measurement}.{table}", result, rows)
        return result

    def saw(self, name: str, status: str, reason: str, seconds: float | None) -> None:
        """Write what became of a file."""
        self._connection.execute(
            "INSERT INTO file VALUES (?, ?, ?, ?, ?, ?, ?)",
            (self._run, stored_name(name), status, reason, seconds,
             *self._keys.recipe.groups.of(name)))

    def saw_image(self, name: str, number: int, key: str, signal: str) -> None:
        """Write that a file has an image."""
        self._connection.execute("INSERT INTO seen VALUES (?, ?, ?, ?, ?, 'read', '')",
                                 (self._run, stored_name(name), number, key, signal))

    def found(self, name: str, number: int, place: int, result: int | None) -> None:
        """Write that an image has a result."""
        self._connection.execute("INSERT INTO found VALUES (?, ?, ?, ?, ?)",
                                 (self._run, stored_name(name), number, place, result))


def opened(path: Path) -> sqlite3.Connection:
    """Open a database: what is committed survives a power cut."""
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back by itself
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextlib.contextmanager
def _said(folder: Path) -> Iterator[None]:
    """What the disk refuses, in one kind of error."""
    try:
        yield
    except BrokenPipeError:
        raise  # of whoever is told of the files, not of the disk
    except (OSError, sqlite3.DatabaseError) as error:
        raise ParameterError(
            str(folder), f"cannot be written to ({error})",
            "what was measured before is safe; make room or give another folder, and start the "
            "same command again") from error


def _locked(path: Path) -> IO[bytes]:
    """Hold a file that only one process can hold; it is free when the process ends, however."""
    file = path.open("a+b")
    try:
        _lock(file)
    except (BlockingIOError, PermissionError) as error:  # of POSIX, of Windows
        file.close()
        raise ParameterError(str(path.parent), "is being written to by another batch",
                             "wait until it is done, or give another folder with -o") from error
    except (OSError, ImportError) as error:  # some drives of clusters lock nothing
        file.close()
        raise ParameterError(str(path.parent), f"cannot be kept from other batches ({error})",
                             "give a folder on another drive with -o") from error
    return file


def _lock(file: IO[bytes]) -> None:
    """Lock a file by what the system has for it."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
