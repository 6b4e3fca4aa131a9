"""The panels of the window, imported when they are first opened."""

from __future__ import annotations

from typing import Any

PLUGIN = "napari-emtools"


def opened(viewer: Any, title: str) -> Any:
    """Return a panel of a viewer, opened now if it is not there."""
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, title)
    return panel
