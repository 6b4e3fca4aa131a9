"""Which files of a folder are images, and which are parts of others."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from emtools.io.registry import extension_of, loaders

if TYPE_CHECKING:
    from collections.abc import Iterator

# Extensions that other programs use for other things: tried only if the content fits.
_FOLDER_FORMATS = {"zspy"}


def is_candidate(path: str | Path) -> bool:
    """Whether a file's name says that it may be an image (its content is not looked at)."""
    return extension_of(Path(path)) in loaders()


class Found(NamedTuple):
    """The files of a folder.

    Parameters
    ----------
    files
        Those to read, sorted.
    left_out
        Every other file with the reason.
    parts
        Of files to read, the others that are read with them.
    """

    files: list[Path]
    left_out: dict[Path, str]
    parts: dict[Path, list[Path]]


def find_files(folder: str | Path) -> Found:
    """Find the image files in a folder and its subfolders.

    Parameters
    ----------
    folder
        Where to look.  Hidden files and folders are passed over, links that lead back to a folder
        already seen are not followed.

    Returns
    -------
    Found
    """
    found = sorted(_walk(Path(folder), set()))
    names = {str(path).lower(): path for path in found}
    everything = Found([], {}, {})
    projects = {path.parent: path for path in found if extension_of(path) == "asw"}
    for path in found:
        reason, whole = _reason_to_leave(path, names, projects)
        if not reason:
            everything.files.append(path)
            continue
        everything.left_out[path] = reason
        if whole is not None:
            everything.parts.setdefault(whole, []).append(path)
    return everything


def _walk(folder: Path, seen: set[Path]) -> Iterator[Path]:
    real = folder.resolve()
    if real in seen:
        return
    seen.add(real)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith("."):
            continue
        if _is_folder(entry) and extension_of(path) not in _FOLDER_FORMATS:
            yield from _walk(path, seen)
        else:
            yield path


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _no_file(path: Path) -> str:
    """Why something is neither a file nor a folder that is read as one; nothing if it is."""
    try:
        mode = path.stat().st_mode
    except OSError:
        # What is wrong with anything else its reader says.
        return "a link that leads nowhere" if path.is_symlink() else ""
    return "" if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "no file, but a pipe or a device"


def _reason_to_leave(
    path: Path, names: dict[str, Path], projects: dict[Path, Path]
) -> tuple[str, Path | None]:
    """Why a file is not to be read by itself, or nothing; and the file that it is a part of."""
    no_file = _no_file(path)
    if no_file:
        return no_file, None
    extension = extension_of(path)
    whole = _whole_of(path, extension, names)
    if whole is not None:
        return f"part of {whole.name}", whole
    if extension in ("img", "map", "pts", "eds"):
        project = next((place for place in sorted(projects) if path.is_relative_to(place)), None)
        if project is not None:
            return f"part of the JEOL project in {project.name}", projects[project]
    if extension not in loaders():
        return (f"the ending .{extension} is not one of an image format" if extension
                else "a file without an ending"), None
    return "", None


def _whole_of(path: Path, extension: str, names: dict[str, Path]) -> Path | None:
    """Return the file that a sister file belongs to: a .ser to its .emi, a .raw to its .rpl."""
    stem = str(path.with_suffix("")).lower()
    if extension == "ser":
        base, _, number = stem.rpartition("_")
        return names.get(f"{base}.emi") if number.isdigit() else None
    if extension in ("raw", "bin"):
        return names.get(f"{stem}.rpl")
    if extension == "hdr":
        return names.get(f"{stem}.mib")
    if extension in ("spc", "ipr"):
        return names.get(f"{stem}.spd")
    return None
