"""Open a microscope's file: every format that `emtools.read` opens.

napari asks at start what files are read; nothing of emtools is imported before a file is opened.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_emtools.shown import LayerData

SESSION = ".emtools"  # ending of a saved session
NOTHING: list[tuple[None]] = [(None,)]  # how a reader says that it adds no layer


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Return the reader if the files' names say that they are images."""
    from emtools.io import is_candidate

    paths = [path] if isinstance(path, str) else path
    if paths and all(one.endswith(SESSION) for one in paths):
        return open_sessions
    return read if paths and all(map(is_candidate, paths)) else None


def open_sessions(path: str | list[str]) -> list[LayerData]:
    """Show the images and results of saved sessions in the current viewer.

    Raises
    ------
    ParameterError
        If a file is no session.
    """
    import napari
    from napari.utils.notifications import show_info

    from napari_emtools.session import load, told
    from napari_emtools.viewers import placed, show_session

    viewer = napari.current_viewer()
    layers: list[LayerData] = []
    for one in [path] if isinstance(path, str) else path:
        found = load(one)
        if viewer is None:  # read by a program without a window: the images alone
            layers += placed(found.images)
            continue
        kept = show_session(viewer, found)
        show_info("\n".join([told(found), *kept]))
    return layers or NOTHING  # type: ignore[return-value]


def read(path: str | list[str]) -> list[LayerData]:
    """Return a layer for each signal of the files.

    What has another unit than the viewer goes into a second viewer, single spectra into a panel.

    Raises
    ------
    ReadError
        If a file cannot be read.
    """
    import emtools
    from napari_emtools.viewers import placed

    images = [image for one in ([path] if isinstance(path, str) else path)
              for image in emtools.read(Path(one))]
    return placed(images) or NOTHING  # type: ignore[return-value]
