"""File -> list of images; one module in `emtools.io.formats` = one family of formats."""

from typing import Any

from emtools.io.describing import describe
from emtools.io.door import one_of, read, read_one
from emtools.io.finding import find_files, is_candidate

__all__ = ["EXTENSIONS", "describe", "find_files", "is_candidate", "one_of", "read",
           "read_one", "read_scale_bar"]


def __getattr__(name: str) -> Any:
    # Asked for rarely, and only by then are the loaders looked for, and what finds bars imported.
    if name == "read_scale_bar":
        from emtools.io.scale_bar import read_scale_bar

        return read_scale_bar
    if name == "EXTENSIONS":
        from emtools.io.registry import loaders

        return tuple(sorted(loaders()))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
