"""The results folder: one record for each image, tables, pictures, report.

This is the seam behind which a later store can take the place of the JSON records: whoever runs a
batch or reads its results goes through `Store`.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emtools.batch.work import Record, picture_stem
from emtools.errors import ParameterError
from emtools.measure import load, names

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

_MARK = "emtools-results.json"


class Store:
    """Results of a batch in a folder.

    Parameters
    ----------
    folder
        Made if it does not exist.

    Raises
    ------
    ParameterError
        If the folder is a file, is not writable, or holds something that is not a batch's results.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records_folder = folder / "records"
        if folder.exists() and not folder.is_dir():
            raise ParameterError(str(folder), "is not a folder", "give another one with -o")
        if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
            raise ParameterError(str(folder), "is not empty and holds no results of a batch",
                                 "give a new folder with -o")
        try:
            for part in (folder, self.records_folder, folder / "tables", folder / "pictures"):
                part.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / _MARK, json.dumps({"format": 1}).encode())
        except OSError as error:
            raise ParameterError(str(folder), f"cannot be written to ({error})",
                                 "give another folder with -o") from error

    def clear(self) -> None:
        """Remove what an earlier batch wrote here."""
        for part, pattern in (("records", "*.json"), ("pictures", "*.png"), ("tables", "*.csv")):
            for path in (self.folder / part).glob(pattern):
                path.unlink()

    def add(self, records: list[Record]) -> None:
        """Write the records of one file, each whole or not at all."""
        for record in records:
            stem = picture_stem(record["file"], record["image"], record["index"])
            text = json.dumps(record, ensure_ascii=False, allow_nan=False)
            write_atomically(self.records_folder / f"{stem}.json",
                             text.encode("utf-8", "surrogateescape"))

    def records(self) -> Iterator[Record]:
        """Return all records, by file and image."""
        keys = []
        for path in self.records_folder.glob("*.json"):
            record = _load(path)
            keys.append((record["file"], record["index"], record["image"], path))
        for *_, path in sorted(keys):
            yield _load(path)

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return one table for each measurement and kind of row, led by file, image, SHA-256."""
        import pandas as pd

        rows: dict[str, list[dict[str, Any]]] = {
            f"{name}.{table}": [] for name in names() for table in load(name).tables}
        for record in self.records():
            lead = {key: record[key] for key in ("file", "image", "source_sha256")}
            for measured in record["measurements"]:
                for table, found in measured["tables"].items():
                    rows[f"{measured['measurement']}.{table}"] += [lead | row for row in found]
        return {name: pd.DataFrame(found) if found else _empty(name)
                for name, found in rows.items()}

    def write_tables(self) -> None:
        """Write `tables` as CSV."""
        for name, table in self.tables().items():
            write_atomically(self.folder / "tables" / f"{name}.csv",
                             table.to_csv(index=False).encode("utf-8", "surrogateescape"))


def _load(path: Path) -> Record:
    record: Record = json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
    return record


def _empty(name: str) -> pd.DataFrame:
    import pandas as pd

    measurement, table = name.split(".")
    lead = ["file", "image", "source_sha256"]
    return pd.DataFrame(columns=[*lead, *load(measurement).tables[table].names()])


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # Temporary files are private; results are as readable as any other new file.
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
