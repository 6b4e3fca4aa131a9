"""The panels of the window, imported when they are first opened."""

from __future__ import annotations

from typing import Any

PLUGIN = "napari-emtools"


def opened(viewer: Any, title: str) -> Any:
    """Return a panel of a viewer, opened now if it is not there.

    It has the name that napari's menu gives it, so that the menu knows it again.
    """
    from npe2 import PluginManager
    from qtpy.QtWidgets import QDockWidget

    manifest = PluginManager.instance().get_manifest(PLUGIN)
    name = f"{title} ({manifest.display_name})"
    viewer = getattr(viewer, "__wrapped__", viewer)
    docks = viewer.window._qt_window.findChildren(QDockWidget, name)
    dock = next((one for one in docks if one.widget() is not None), None)  # others are closing
    if dock is None:
        made = next(one for one in manifest.contributions.widgets or ()
                    if one.display_name == title).get_callable()
        dock = viewer.window.add_dock_widget(made(viewer), name=name)
    dock.show()
    dock.raise_()
    return dock.widget()
