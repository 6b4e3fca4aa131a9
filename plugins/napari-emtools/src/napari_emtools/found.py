"""What a measurement found, as layers of napari: one for each kind of object, in one style.

The core gives the layers' data, unit and table; here they get colours, a name that says which image
they are of, and the `Origin` by which panels find them again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.tables import in_unit
from napari_emtools.shown import ORIGIN, Origin, geometry, title_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from emtools.model import Image, Layer, Result
    from napari_emtools.shown import LayerData

# Colours that the colour-blind tell apart (Okabe & Ito), as in the figures.
BLUE, ORANGE, GREEN, RED, GREY = "#56b4e9", "#e69f00", "#009e73", "#d55e00", "#999999"
REJECTED = "#cc79a7"
_ELEMENTS = (ORANGE, BLUE, REJECTED, GREEN, RED)
_BRIGHTEST = 99.5  # percentile of a map that is shown brightest
_STYLES: dict[str, dict[str, Any]] = {
    "chains": {"edge_color": BLUE, "face_color": "transparent", "opacity": 0.9},
    "dots": {"face_color": "transparent", "border_color": ORANGE, "border_width": 0.06,
             "opacity": 0.9},
    "gaps": {"face_color": RED, "border_width": 0.0, "opacity": 0.9},
    "rings": {"edge_color": "#f0e442", "face_color": "transparent", "opacity": 0.9},
    "centre": {"face_color": RED, "border_width": 0.0},
    "normals": {"edge_color": GREEN, "vector_style": "line"},
    "tangents": {"edge_color": "#f0e442", "vector_style": "line"},
}
_TABLES = {"chains": "chains", "dots": "dots", "gaps": "gaps", "grains": "grains",
           "reflections": "reflections", "rings": "rings"}
_LINE, _CROSS = 0.08, 0.22  # of a usual width: thickness of centrelines, size of marks of gaps


def result_layers(
    image: Image, result: Result, maps: Collection[str] = ()
) -> list[LayerData]:
    """Return the layers of a result that belong on the image.

    Parameters
    ----------
    image
        That was measured.
    result
        What was found.
    maps
        Names of those element maps that are wanted.

    Returns
    -------
    list of tuple
        Layer data, each with unit, scale and `Origin`.  Spots in reciprocal space are not among
        them.
    """
    names = map_names(result)
    return [_dressed(image, result, layer) for layer in result.layers if _space(layer) == "image"
            and (layer[1]["name"] in maps or layer[1]["name"] not in names)]


def reciprocal_places(result: Result) -> np.ndarray[Any, Any]:
    """Return the wave vectors (y, x) that a result found, in 1/unit; none for most."""
    found = [np.asarray(layer[0], dtype=float) for layer in result.layers
             if _space(layer) == "reciprocal" and layer[2] == "points"]
    return np.concatenate(found) if found else np.zeros((0, 2))


def map_names(result: Result) -> list[str]:
    """Return the names of a result's element maps."""
    return [str(core["name"]) for _, core, _ in result.layers
            if "quantity" in core.get("metadata", {})]


def _space(layer: Layer) -> str:
    return str(layer[1].get("metadata", {}).get("space", "image"))


def _dressed(image: Image, result: Result, layer: Layer) -> LayerData:
    data, core, kind = layer
    if kind == "labels":  # napari 0.6 has no texture for long ones that are hidden
        data = np.asarray(data).astype(np.min_scalar_type(int(np.max(data, initial=1))))
    name = core["name"]
    shown = {key: value for key, value in core.items() if key not in ("edge_width",)}
    table = _TABLES.get(name, "")
    shown |= _map_style(layer, result) if name in map_names(result) \
        else _styled(name, kind, result, shown)
    shown |= {"name": f"{name} · {title_of(image)}", **_units(image, core),
              "metadata": {ORIGIN: Origin(image, "result", result.measurement, table),
                           "layer": name}}
    return data, shown, kind


def _units(image: Image, core: dict[str, Any]) -> dict[str, Any]:
    """Unit of the layer as napari spells it, its scale, and the turn of a distorted plane's own.

    What was measured lies in physical places already: only maps of pixels follow the pixels.
    """
    own = geometry(image)
    found = {"scale": core["scale"], "units": own["units"]}
    if "affine" in own and tuple(core["scale"]) != (1.0, 1.0):
        found["affine"] = own["affine"]
    return found


def _styled(name: str, kind: str, result: Result, core: dict[str, Any]) -> dict[str, Any]:
    if kind == "image":
        return {"visible": False}
    style = dict(_STYLES.get(name, {}))
    width = usual_width(result)
    if kind in ("shapes", "vectors"):
        style["edge_width"] = _LINE * width
    if name == "centre":
        style["size"] = width
    if name == "gaps":
        style["size"] = _CROSS * width
        resolved = np.asarray(core["features"]["resolved"], dtype=bool)
        style["face_color"] = [RED if one else GREY for one in resolved]
    marks = core.get("features", {}).get("mark")
    if marks is not None and kind in ("shapes", "points"):
        colour = "edge_color" if kind == "shapes" else "border_color"
        style[colour] = [REJECTED if mark == "rejected" else style[colour] for mark in marks]
    if kind == "labels":
        style["visible"] = name in _TABLES  # regions of spectra lie on all of the picture
        style["features"] = _label_features(name, result)
    return {key: value for key, value in style.items() if value is not None}


def _map_style(layer: Layer, result: Result) -> dict[str, Any]:
    """Colours of an element map: elements add up where they lie on each other."""
    from napari.utils import Colormap

    data, core, _ = layer
    elements = list(dict.fromkeys(one["metadata"]["element"] for _, one, _ in result.layers
                                  if "quantity" in one.get("metadata", {})))
    colour = _ELEMENTS[elements.index(core["metadata"]["element"]) % len(_ELEMENTS)]
    if core["name"].endswith("1 sigma"):
        colour = "#ffffff"
    known = data[np.isfinite(data)]
    top = float(np.percentile(known, _BRIGHTEST)) if known.size else 1.0
    return {"visible": True, "blending": "translucent", "contrast_limits": (0.0, max(top, 1e-6)),
            "colormap": Colormap(["#000000", colour], name=f"to {colour}")}


def _label_features(name: str, result: Result) -> Any:
    """Rows of a table for labels, whose first row is that of the background."""
    import pandas as pd

    table = result.tables.get(_TABLES.get(name, ""))
    if table is None or not len(table):
        return None
    number = table.columns[0]
    return pd.concat([pd.DataFrame({number: [0]}), table], ignore_index=True).assign(
        index=lambda frame: frame[number])


def usual_width(result: Result) -> float:
    """Return how wide the objects of a result are, for the thickness of lines and marks."""
    unit = str(result.summary.get("unit", "nm"))
    for table, column in (("chains", "width_nm"), ("dots", "diameter_nm")):
        values = result.tables.get(table)
        if values is not None and len(values):
            width = float(values[in_unit(column, unit)].median())
            if np.isfinite(width) and width > 0:
                return width
    if result.measurement == "rings" and len(result.tables["rings"]):
        return float(result.tables["rings"]["radius_px"].median()) / 10.0
    return 4.0


def objects_of(result: Result) -> Iterator[tuple[str, str]]:
    """Yield the tables whose rows are objects with a number, and the column of that number."""
    for name, frame in result.tables.items():
        if len(frame.columns) and str(frame.columns[0]) == name.removesuffix("s"):
            yield name, str(frame.columns[0])


def place_of(result: Result, table: str, row: int) -> tuple[float, float, float] | None:
    """Return where an object lies, ``(y, x)``, and how large it is, in the image's unit."""
    frame = result.tables[table]
    unit = str(result.summary.get("unit", "nm"))
    y, x, size = (in_unit(name, unit) for name in ("y_nm", "x_nm", "length_nm"))
    one = frame.iloc[row]
    if y in frame and x in frame:
        extent = float(one[size]) if size in frame else 2.0 * usual_width(result)
        return float(one[y]), float(one[x]), extent
    axes = result.tables.get("axes")
    if axes is not None and "chain" in frame and len(axes):
        own = axes[axes["chain"] == one["chain"]]
        if len(own):
            ends = own[[y, x]].to_numpy()
            low, high = ends.min(axis=0), ends.max(axis=0)
            return (*map(float, (low + high) / 2), float((high - low).max()))  # type: ignore[return-value]
    if "grain" in frame and "grains" in result.tables and table != "grains":
        grains = result.tables["grains"]
        own_rows = np.flatnonzero(grains["grain"] == one["grain"])
        return place_of(result, "grains", int(own_rows[0])) if len(own_rows) else None
    return None
