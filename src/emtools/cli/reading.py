"""What goes wrong with a file that is a parameter of a measurement, in one kind of error."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from emtools.errors import ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def reading(path: Path, advice: str) -> Iterator[None]:
    """Name the file in the errors of reading and parsing it.

    Raises
    ------
    ReadError
        If it is missing or broken.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise ReadError(str(path), "does not exist", "check its name") from error
    # What decoders and parsers raise (Unicode, CSV, JSON, TOML) are ValueErrors.
    except (OSError, ValueError) as error:
        raise ReadError(str(path), f"cannot be read ({error})", advice) from error
