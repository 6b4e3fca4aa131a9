"""Tables of a results folder as files; the same results give the same bytes."""

from __future__ import annotations

import datetime as dt
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from emtools.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from emtools.results.reading import Results

Format = Literal["csv", "parquet", "xlsx"]
_ACTIVE = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for a formula
_MOST_ROWS = 1_048_575  # of a sheet, without its heading
_ANY_DAY = dt.datetime(2000, 1, 1)  # Excel knows no time zones


def export(results: Results, folder: Path, to: Format = "csv") -> list[Path]:
    """Write every table of a run to a file of its own.

    Cells of text that a spreadsheet would take for a formula get an apostrophe before them.

    Parameters
    ----------
    results
        Of a batch.
    folder
        Made if it does not exist.
    to
        ``csv``, ``parquet`` or ``xlsx``.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ParameterError
        If the format is unknown, a table is too long for it, or the folder cannot be written to.
    """
    write = _writer(to)
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in results.names:
            path = folder / f"{name}.{to}"
            write_whole(path, partial(write, results.chunks(name)))
            written.append(path)
    except OSError as error:
        raise ParameterError(str(folder), f"cannot be written to ({error})",
                             "give another folder with -o") from error
    return written


def write_table(table: pd.DataFrame, path: Path, to: Format = "csv") -> None:
    """Write one table to a file, whole or not at all; cells as in `export`.

    Raises
    ------
    ParameterError
        If the format is unknown, or the table is too long for it.
    """
    write_whole(path, partial(_writer(to), iter((table,))))


def _writer(to: Format) -> Callable[[Iterator[pd.DataFrame], Path], None]:
    if to not in get_args(Format):
        raise ParameterError("--to", f"{to!r} is not known", f"give one of "
                             f"{', '.join(get_args(Format))}")
    return {"csv": _csv, "parquet": _parquet, "xlsx": _xlsx}[to]


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Have a function write a file, whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        # Temporary files are private; results are as readable as any other new file.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _csv(parts: Iterator[pd.DataFrame], path: Path) -> None:
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        for i, part in enumerate(parts):
            _harmless(part).to_csv(file, index=False, header=i == 0, lineterminator="\n")


def _parquet(parts: Iterator[pd.DataFrame], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = _readable(next(parts))
    schema = pa.Schema.from_pandas(first, preserve_index=False)
    with pq.ParquetWriter(path, schema) as writer:
        writer.write_table(pa.Table.from_pandas(first, schema, preserve_index=False))
        for part in parts:
            writer.write_table(pa.Table.from_pandas(_readable(part), schema,
                                                    preserve_index=False))


def _xlsx(parts: Iterator[pd.DataFrame], path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("rows")
    rows = 0
    for part in parts:
        if rows == 0:
            sheet.append(list(part.columns))
        rows += len(part)
        if rows > _MOST_ROWS:
            raise ParameterError("--to xlsx", f"holds no table of more than {_MOST_ROWS:,} rows",
                                 "give --to csv or --to parquet")
        for row in _readable(_harmless(part)).itertuples(index=False):
            sheet.append([None if value != value else value for value in row])  # noqa: PLR0124
    book.save(path)
    _without_times(path)


def _harmless(part: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    def cells(column: str) -> pd.Series[Any]:
        return pd.Series([f"'{cell}" if str(cell).startswith(_ACTIVE) else cell
                          for cell in part[column]], index=part.index, dtype=object)

    text = part.select_dtypes(include=["object", "str"]).columns
    return part.assign(**{column: cells(column) for column in text})


def _readable(part: pd.DataFrame) -> pd.DataFrame:
    """Names that are no text, as far as they are."""
    if "file" not in part:
        return part
    return part.assign(file=[name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                             for name in part["file"]])


def _without_times(path: Path) -> None:
    """Give a workbook and the members of its archive one time: the same rows, the same bytes."""
    import re
    import zipfile

    said = f"{_ANY_DAY.isoformat()}Z".encode()

    with zipfile.ZipFile(path) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in members:
            timeless = re.sub(rb"(?<=>)[0-9-]+T[0-9:]+Z(?=<)", said, content) \
                if info.filename == "docProps/core.xml" else content
            archive.writestr(zipfile.ZipInfo(info.filename, _ANY_DAY.timetuple()[:6]), timeless,
                             zipfile.ZIP_DEFLATED)
