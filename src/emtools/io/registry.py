"""Which loader reads which file."""

from __future__ import annotations

import importlib
import pkgutil
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, cast

from emtools.errors import ReadError
from emtools.io import formats

if TYPE_CHECKING:
    from pathlib import Path

    from emtools.io.report import Report


class Loader(Protocol):
    """What a module of `emtools.io.formats` provides."""

    EXTENSIONS: tuple[str, ...]

    def load(self, path: Path, report: Report) -> list[dict[str, Any]]:
        """Return one dictionary per signal."""


@lru_cache(maxsize=1)
def loaders() -> dict[str, Loader]:
    """Return the loader of each extension.

    Raises
    ------
    ValueError
        If two modules claim the same extension.
    """
    found: dict[str, Loader] = {}
    for info in pkgutil.iter_modules(formats.__path__):
        module = importlib.import_module(f"{formats.__name__}.{info.name}")
        loader = cast("Loader", module)
        for extension in loader.EXTENSIONS:
            if extension in found:
                raise ValueError(f"{module.__name__} claims .{extension}, which is taken")
            found[extension] = loader
    return found


def extension_of(path: Path) -> str:
    """Return the ending of a file name in lower case and without the dot."""
    return path.suffix[1:].lower()


def loader_for(path: Path) -> Loader:
    """Return the loader of a file.

    Raises
    ------
    ReadError
        If no loader reads files with this ending.
    """
    loader = loaders().get(extension_of(path))
    if loader is None:
        ending = f"ending .{extension_of(path)}" if path.suffix else "missing ending"
        raise ReadError(str(path), f"the {ending} is not one of a known image format",
                        "known are " + ", ".join(sorted(loaders())))
    return loader
