"""Which group and which sample a file belongs to: by its folders, its name, or a sheet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from emtools.errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd

Patterns = Mapping[str, tuple[str, ...]]
_LEVELS = ("group", "sample", "*")
_SHEETS = (".csv", ".xlsx")
_COLUMNS = ("file", "group", "sample")


@dataclass(frozen=True)
class Groups:
    """What files belong to; groups are compared, and samples are what they are made of.

    A sheet goes before patterns, and patterns before folders.

    Parameters
    ----------
    folders
        What the levels of folders are, from the batch's folder on: ``group``, ``group/sample``,
        ``*/group``; empty if they say nothing.
    files, samples
        Patterns of the names of files (relative to the batch's folder) of each group and sample;
        the first that fits counts.
    sheet
        Group and sample of each file.
    """

    folders: str = ""
    files: Patterns = field(default_factory=dict)
    samples: Patterns = field(default_factory=dict)
    sheet: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        levels = self.folders.split("/") if self.folders else []
        named = [level for level in levels if level != "*"]
        if not set(levels) <= set(_LEVELS) or len(named) > len(set(named)):
            raise ParameterError("groups: folders", f"{self.folders!r} does not name levels",
                                 'give "group", "group/sample", "*/group" ...')

    def __bool__(self) -> bool:
        return bool(self.folders or self.files or self.samples or self.sheet)

    def of(self, name: str) -> tuple[str, str]:
        """Return group and sample of a file, each empty if it is not known."""
        said = self.sheet.get(name) or self.sheet.get(PurePosixPath(name).name) or ("", "")
        parents = PurePosixPath(name).parts[:-1]
        levels = dict(zip(self.folders.split("/"), parents, strict=False))
        return (said[0] or _fitting(self.files, name) or levels.get("group", ""),
                said[1] or _fitting(self.samples, name) or levels.get("sample", ""))

    @classmethod
    def given(cls, text: str) -> Groups:
        """Return the groups that an option names: a sheet, or the levels of folders."""
        path = Path(text)
        if path.suffix.lower() in _SHEETS:
            return cls(sheet=read_sheet(path))
        return cls(folders=text)

    def plain(self) -> dict[str, Any]:
        """Return what is given, as JSON can hold it."""
        return {key: value for key, value in asdict(self).items() if value}


def _fitting(patterns: Patterns, name: str) -> str:
    return next((one for one, of in patterns.items()
                 if any(fnmatchcase(name, pattern) for pattern in of)), "")


def read_sheet(path: Path) -> dict[str, tuple[str, str]]:
    """Read a sheet with a row for each file: ``file, group`` and, if known, ``sample``.

    Parameters
    ----------
    path
        ``.csv`` or ``.xlsx``.  Files are named from the batch's folder on, or by their last names.

    Returns
    -------
    dict
        Group and sample of each file.

    Raises
    ------
    ParameterError
        If it cannot be read, lacks a column, or says two things of one file.
    """
    table = _table(path)
    lacking = [column for column in _COLUMNS[:2] if column not in table.columns]
    if lacking:
        raise ParameterError(str(path), f"has no column {', '.join(lacking)}",
                             "name the columns file, group and, if it is known, sample")
    found: dict[str, tuple[str, str]] = {}
    rows = table.reindex(columns=list(_COLUMNS), fill_value="").itertuples(index=False)
    for number, (file, group, sample) in enumerate(rows, start=2):
        name = str(file).strip().replace("\\", "/").removeprefix("./")
        said = (str(group).strip(), str(sample).strip())
        if name and found.setdefault(name, said) != said:
            raise ParameterError(str(path), f"says two things of {name} (row {number})",
                                 "give one row for each file")
    return found


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        read = pd.read_excel if path.suffix.lower() == ".xlsx" else pd.read_csv
        table: pd.DataFrame = read(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise ParameterError(str(path), f"cannot be read as a sheet ({error})",
                             "give a .csv or .xlsx with the columns file, group, sample") from error
    return table.rename(columns={column: str(column).strip().lower() for column in table.columns})
