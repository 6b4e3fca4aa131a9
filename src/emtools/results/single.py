"""One result as files: its tables and its pictures."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from emtools.errors import ParameterError
from emtools.results.export import Format, write_table

if TYPE_CHECKING:
    import pandas as pd

    from emtools.model import Image, Result

# What Windows takes for a device, whatever comes after the first dot.
_DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{kind}{n}" for kind in ("COM", "LPT")
                                          for n in range(10))}


def write_result(
    image: Image, result: Result, folder: Path, to: Format = "csv", *, pictures: bool = True
) -> list[Path]:
    """Write the tables of a result, each row led by its file and image, and its pictures.

    Parameters
    ----------
    image
        That was measured.
    result
        What was found.
    folder
        Made if it does not exist.
    to
        ``csv``, ``parquet`` or ``xlsx``.
    pictures
        Whether pictures are written as well, as PNG.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    ParameterError
        If the folder cannot be written to.
    """
    from emtools import figures

    source = image.source
    # A file name may hold bytes that are no text.
    named = f"{source.file}\0{source.signal}\0{source.index}".encode("utf-8", "surrogateescape")
    stem = picture_stem(source.file or "image", hashlib.sha256(named).hexdigest())
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in result.tables.items():
            written.append(folder / f"{stem}.{result.measurement}.{name}.{to}")
            write_table(led_by_image(image, frame), written[-1], to)
        for kind, figure in figures.pictures(image, result).items() if pictures else ():
            written.append(folder / f"{stem}.{result.measurement}.{kind}.png")
            figures.save(figure, written[-1])
    except OSError as error:
        raise ParameterError(str(folder), f"cannot be written to ({error})",
                             "give another folder") from error
    return written


def led_by_image(image: Image, rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of an image with its file and name before their columns."""
    import pandas as pd

    # A column of text could not hold a name of bytes that are none.
    file = pd.Series([image.source.file or ""] * len(rows), index=rows.index, dtype=object)
    led = rows.assign(file=file, image=image.source.signal)
    return led[["file", "image", *rows.columns]]


def picture_stem(file: str, key: str) -> str:
    """Return a name that is safe on every file system and unique for a result."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(file).stem)[:60].strip("._-") or "image"
    if readable.partition(".")[0].upper() in _DEVICES:
        readable = f"_{readable}"
    return f"{readable}-{key[:10]}"
