"""Save a layer: a picture with its calibration, or the rows of the objects that it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_emtools.shown import ORIGIN, Origin


def write_image(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a picture as ``.tif`` or ``.hspy`` so that other programs open it with its scale.

    Raises
    ------
    ImageError
        If the format cannot hold it.
    """
    from emtools.io.writing import write_image as write

    write(_image(data, meta), Path(path))
    return [path]


def write_table(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write the table of a layer's objects as ``.csv`` or ``.xlsx``.

    Raises
    ------
    ParameterError
        If the layer has none, or too many.
    """
    import pandas as pd

    from emtools.errors import ParameterError
    from emtools.results import write_table as write
    from emtools.results.single import led_by_image

    del data  # the places are in the table
    frame = pd.DataFrame(meta.get("features", {}))
    if not len(frame.columns):
        raise ParameterError(meta["name"], "has no table", "choose a layer of a result")
    origin = meta["metadata"].get(ORIGIN)
    if isinstance(origin, Origin):
        frame = led_by_image(origin.image, frame)
    write(frame, Path(path), "xlsx" if path.lower().endswith(".xlsx") else "csv")
    return [path]


def _image(data: Any, meta: dict[str, Any]) -> Any:
    """The image of a layer; a map of a result, or what another program made, has its own pixels."""
    from napari_emtools.shown import image_from

    origin = meta["metadata"].get(ORIGIN)
    if isinstance(origin, Origin) and origin.role == "image":
        return origin.image
    units = meta.get("units", ("pixel",) * data.ndim)
    return image_from(data, tuple(map(float, meta["scale"])), tuple(map(str, units)), meta["name"])
