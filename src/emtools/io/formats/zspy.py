"""HyperSpy's zarr format: a folder, or a zip of one."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emtools.errors import ReadError
from emtools.io.formats.rosetta import completed, read_with

if TYPE_CHECKING:
    from emtools.io.report import Report

EXTENSIONS = ("zspy",)

_DESCRIPTIONS = {".zarray", ".zmetadata", "zarr.json"}


def load(path: Path, report: Report) -> list[dict[str, Any]]:  # noqa: ARG001 - the loaders' interface
    """Return the signals of a zspy folder or zip file."""
    if path.is_dir():
        _refuse_links(path)
        texts = _descriptions(path)
    else:
        texts = _zipped_descriptions(path)
    # A chunk filter of zarr's may run arbitrary code when it is undone.
    if any("pickle" in text for text in texts):
        raise ReadError(str(path), "it holds pickled objects, which are not read",
                        "save it again with numbers only")
    return [completed(signal, "zspy") for signal in read_with("zspy", path, mode="r")]


def _refuse_links(path: Path) -> None:
    inside = path.resolve()
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            item = Path(folder, name)
            if item.is_symlink() and not item.resolve().is_relative_to(inside):
                raise ReadError(str(path), f"{name!r} in it leads out of the folder",
                                "copy the data into the folder")


def _descriptions(path: Path) -> list[str]:
    return [Path(folder, name).read_text(encoding="utf-8", errors="replace")
            for folder, _, files in os.walk(path) for name in files if name in _DESCRIPTIONS]


def _zipped_descriptions(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name).decode(errors="replace") for name in archive.namelist()
                if name.rpartition("/")[2] in _DESCRIPTIONS]
