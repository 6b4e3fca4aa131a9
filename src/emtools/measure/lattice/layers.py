"""Layers of a lattice result: grains on the image, spots in reciprocal space, strain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtools.measure.lattice.strain import COMPONENTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from emtools.measure.lattice.grain import Grain
    from emtools.measure.lattice.report import Found
    from emtools.model import Layer
    from emtools.process.plane import Plane

_LABELS = 512  # places of the map of grains along the longer side


def layers(plane: Plane, found: Found, reflections: pd.DataFrame) -> tuple[Layer, ...]:
    """Return the grains on the image, the spots in reciprocal space, and the strain if mapped."""
    grains = found.grains
    if not grains:
        return ()
    unit = plane.unit
    labels, block = _labels(plane, grains)
    step = plane.calibration.vectors(np.diag([block, block])).diagonal()
    k = np.array([s.k for grain in grains for s in grain.spots])
    reciprocal = f"1/{unit}"
    return (
        (labels, {"name": "grains", "scale": tuple(step), "units": (unit, unit), "opacity": 0.3,
                  "metadata": {"space": "image"}}, "labels"),
        (np.vstack([k, -k]),
         {"name": "reflections", "scale": (1.0, 1.0), "units": (reciprocal, reciprocal),
          "features": {name: np.tile(reflections[name].to_numpy(), 2)
                       for name in reflections.columns},
          "face_color": "transparent", "metadata": {"space": "reciprocal"}}, "points"),
        *_strain_layers(plane, found),
    )


def _strain_layers(plane: Plane, found: Found) -> Iterator[Layer]:
    """Return images of the strain and of its uncertainty, on a coarse grid over the frame."""
    mapped = [one for one in found.maps if one is not None]
    if not mapped:
        return
    y, x, block = _places(plane)
    places = np.stack(np.broadcast_arrays(y[:, None], x), axis=-1)
    step = plane.calibration.vectors(np.diag([block, block])).diagonal()
    total = np.full((2, len(COMPONENTS), *places.shape[:2]), np.nan, dtype=np.float32)
    for one in mapped:
        index = np.rint((places - one.domain.origin) / one.domain.block).astype(int)
        there = ((index >= 0) & (index < one.domain.envelope.shape)).all(axis=-1)
        rows, cols = index[there].T
        for kind, values in enumerate((one.fields, one.errors)):
            seen = values[:, rows, cols]
            total[kind][:, there] = np.where(np.isnan(seen), total[kind][:, there], seen)
    for name, fields, errors in zip(COMPONENTS, *total, strict=True):
        shown = {"scale": tuple(step), "units": (plane.unit, plane.unit), "visible": False,
                 "colormap": "twilight_shifted" if "rotation" in name else "PiYG",
                 "metadata": {"space": "image"}}
        yield fields, {"name": f"strain {name}", **shown}, "image"
        yield errors, {"name": f"strain {name} err", **shown}, "image"


def _labels(plane: Plane, grains: list[Grain]) -> tuple[NDArray[np.uint16], float]:
    """Number of the grain at each place of a coarse grid, and the grid's step in pixels.

    Where crystals lie on top of each other the smaller one is shown.
    """
    y, x, block = _places(plane)
    labels = np.zeros((len(y), len(x)), dtype=np.uint16)
    by_size = sorted(range(len(grains)), key=lambda n: -grains[n].domain.area_px)
    for n in by_size:
        labels[grains[n].domain.holds(y[:, None], x)] = n + 1
    return labels, float(block)


def _places(plane: Plane) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Rows and columns of a coarse grid in pixels, and its step."""
    block = max(1, -(-max(plane.values.shape) // _LABELS))
    y, x = (np.arange(-(-n // block)) * block + 0.5 * (block - 1) for n in plane.values.shape)
    return y, x, block
