"""The objects of a result's layer: which lies where, and how those that are chosen stand out.

Qt-free.  However an object is chosen (a row of a table, a click, a tool of napari), it is drawn
bolder, and in a colour that no result has: napari's own frame is thin, and only there while the
layer is the active one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHOSEN = "#ff00ff"
_BOLDER = 2.5
_BORDER = 0.16  # of a chosen point, in parts of its size
_STYLE = {"Shapes": ("edge_color", "edge_width"), "Points": ("border_color", "border_width")}
_PLAIN = "plain style"


def stand_out(layer: Any) -> None:
    """Let chosen objects of a layer stand out from now on; call again when it is filled anew."""
    if type(layer).__name__ not in _STYLE:
        return
    if _draw_chosen not in layer.events.highlight.callbacks:
        layer.events.highlight.connect(_draw_chosen)
    colour, width = _STYLE[type(layer).__name__]
    layer.metadata[_PLAIN] = (np.array(getattr(layer, colour)), np.array(getattr(layer, width)),
                              frozenset())


def _draw_chosen(event: Any) -> None:
    layer = event.source
    if _PLAIN not in layer.metadata:  # it is being filled
        return
    colours, widths, drawn = layer.metadata[_PLAIN]
    chosen = frozenset(int(i) for i in layer.selected_data)
    if chosen == drawn or len(colours) != len(layer.data):  # an edit: it is filled anew soon
        return
    layer.metadata[_PLAIN] = colours, widths, chosen
    places = sorted(i for i in chosen if i < len(colours))
    colours, widths = colours.copy(), widths.copy()
    colours[places] = _rgba(CHOSEN)
    if type(layer).__name__ == "Points":
        widths[places] = np.maximum(2 * widths[places], _BORDER)
        layer.border_color, layer.border_width = colours, widths
    else:
        widths[places] *= _BOLDER
        layer.edge_color, layer.edge_width = colours, widths.tolist()


def _rgba(colour: str) -> tuple[float, ...]:
    return (*(int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)), 1.0)


def row_at(layer: Any, position: Any, reach: float) -> int | None:
    """Return the row of the object of a layer at a place.

    Parameters
    ----------
    layer
        Of a result.
    position
        In the viewer.
    reach
        How far from a line still counts as on it, in the viewer's unit.
    """
    if type(layer).__name__ == "Shapes":
        return _line_at(layer, position, reach)
    value = layer.get_value(position[-layer.ndim:], world=True)
    if value is None or type(layer).__name__ != "Labels":
        return None if value is None else int(value)
    numbers = layer.features.iloc[1:, 0].to_numpy() if len(layer.features) else np.array([])
    places = np.flatnonzero(numbers == value) if value else np.array([])
    return int(places[0]) if len(places) else None


def _line_at(layer: Any, position: Any, reach: float) -> int | None:
    """Return the line nearest to a place, if that is within reach or inside what the line is of."""
    at = np.asarray(layer.world_to_data(position[-layer.ndim:]))[-2:]
    reach /= float(np.mean(np.abs(layer.scale[-2:])))
    far = np.array([_distance(at, np.asarray(line, dtype=float)[:, -2:]) for line in layer.data])
    features = layer.features
    width = next((features[name].to_numpy(dtype=float) for name in ("width_nm", "width_px")
                  if name in features and len(features) == len(far)), np.zeros(len(far)))
    near = far <= np.fmax(reach, width / 2)
    return int(np.argmin(np.where(near, far, np.inf))) if near.any() else None


def _distance(at: NDArray[np.float64], line: NDArray[np.float64]) -> float:
    """Return the distance of a place from a line of straight pieces."""
    start, along = line[:-1], np.diff(line, axis=0)
    length = np.maximum((along**2).sum(axis=1), 1e-30)
    part = np.clip(((at - start) * along).sum(axis=1) / length, 0.0, 1.0)
    return float(np.hypot(*(at - start - part[:, None] * along).T).min(initial=np.inf))
