"""HDF5 files: Velox and NCEM EMD, HyperSpy's hspy, NeXus; told apart by what they hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from emtools.errors import ReadError
from emtools.io.formats.rosetta import completed, read_with
from emtools.io.report import Report

if TYPE_CHECKING:
    from pathlib import Path

EXTENSIONS = ("emd", "de5", "h5", "hdf5", "hspy", "nxs")


def load(path: Path, report: Report) -> list[dict[str, Any]]:
    """Return the signals of an HDF5 file."""
    plugin, version = _look_inside(path)
    if plugin == "emd" and version:
        found = _velox(path, version, report)
    else:
        found = read_with(plugin, path)
    return [completed(signal, plugin) for signal in found]


def _look_inside(path: Path) -> tuple[str, str]:
    """Return the reader's name, and the version of a Velox file in words."""
    import h5py

    with h5py.File(path, "r") as file:
        _refuse_other_files(file, path)
        if "Experiments" in file:
            return "hspy", ""
        if "Version" in file and isinstance(file["Version"], h5py.Dataset):
            found = re.search(r'"version"[^"]*"([^"]*)"', str(file["Version"][0]))
            return "emd", f"version {found[1]}" if found else "version unknown"
        if path.suffix.lower() == ".nxs" or "NX_class" in file.attrs or "default" in file.attrs:
            return "nexus", ""
        return "emd", ""


def _refuse_other_files(file: Any, path: Path) -> None:
    """Refuse links that lead out of the file's folder.

    Raises
    ------
    ReadError
        If a link, an external data set or a virtual one does.
    """
    import h5py

    folder = path.parent.resolve()
    targets: list[str] = []

    def look(name: str, link: Any) -> None:
        if isinstance(link, h5py.ExternalLink):
            targets.append(link.filename)
        elif isinstance(link, h5py.HardLink) and isinstance(file.get(name), h5py.Dataset):
            data = file[name]
            targets.extend(entry[0] for entry in data.external or ())
            if data.is_virtual:
                targets.extend(entry.file_name for entry in data.virtual_sources())

    file.visititems_links(look)
    for target in targets:
        if target != "." and not (folder / target).resolve().is_relative_to(folder):
            raise ReadError(str(path), f"it takes its data from {target!r}, outside its folder",
                            "put the file it names beside it")


def _velox(path: Path, version: str, report: Report) -> list[dict[str, Any]]:
    """Read a Velox file; where its spectra fail, the images are read all the same."""
    from emtools.io.events import kept_as_events

    found: list[dict[str, Any]] = []
    with kept_as_events():
        with Report().attempt("everything together"):
            found = read_with("emd", path)
        if found:
            return found
        for kind, name in (("images", "the images"), ("single_spectrum", "the spectra"),
                           ("spectrum_image", "the spectrum image")):
            with report.attempt(f"{name} (Velox file, {version})"):
                found += read_with("emd", path, select_type=kind)
    if not found:
        raise ReadError(str(path), f"nothing in this Velox file could be read "
                        f"({'; '.join(report.problems)})",
                        "export the images as TIFF from Velox")
    return found
