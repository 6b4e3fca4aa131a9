"""Measurements of the user's own: folders that the environment names."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from emtools.errors import ParameterError

OWN = "EMTOOLS_MEASUREMENTS"  # environment variable, which workers of a batch inherit


def own_folders() -> list[str]:
    """Return the folders of the user's own measurements, as the environment names them."""
    return [folder for folder in os.environ.get(OWN, "").split(os.pathsep) if folder]


def look_in(folder: str | os.PathLike[str]) -> None:
    """Find measurements in a folder of one's own too, here and in every worker of a batch.

    One module is one measurement, named like its function, which is declared by `measurement`.  For
    command line and napari, name the folder in the environment variable ``EMTOOLS_MEASUREMENTS``.

    Parameters
    ----------
    folder
        Where the modules lie.

    Raises
    ------
    ParameterError
        If there is no such folder.
    """
    import emtools.measure as room

    place = str(Path(folder).resolve())
    if not Path(place).is_dir():
        raise ParameterError(str(folder), "is no folder", "give the one that holds the modules")
    if place not in room.__path__:
        room.__path__.append(place)
        os.environ[OWN] = os.pathsep.join([*own_folders(), place])
    importlib.invalidate_caches()
