"""The image that the reflections of a measured lattice make."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.crystal import phase as find_phase
from emtools.errors import ImageError, ParameterError
from emtools.model import Step
from emtools.model.result import plain
from emtools.process.fourier import bragg_filtered
from emtools.process.plane import as_plane
from emtools.tables import in_unit

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from emtools.model import Image, Result

_PART = 0.2  # of the shortest wave vector: radius of the discs if none is given


def bragg_filter(
    image: Image, lattice: Result, *, grain: int | None = None, hkl: str = "",
    radius_per_nm: float | None = None, domains: bool = False, mean: bool = False,
) -> Image:
    """Return the picture that the reflections of a lattice result make.

    Each reflection and its Friedel mate pass through a disc with a soft edge, see
    `fourier.bragg_filtered`.  **Such a picture shows fringes wherever it is bright or dark, also in
    noise**: the discs let noise of these periods through and nothing else, so it is no evidence of
    a crystal.  It shows where the fringes are strong and how they run; that they are there, and
    with what certainty, the result says.

    Parameters
    ----------
    image
        That was measured: a single real-valued picture.
    lattice
        Result of `emtools.lattice`.
    grain
        Only the reflections of this grain; of all grains if not given.
    hkl
        Only this plane (``2 0 0``), or all planes that the crystal makes equal to it
        (``{2 0 0}``); digits may stand together.
    radius_per_nm
        Of the discs, in 1/nm (1/px without a calibration): its inverse is about how fine changes of
        the fringes can be seen.  A fifth of the shortest wave vector if not given.
    domains
        Each grain's fringes only in its own domain, 0 elsewhere.
    mean
        Whether the mean of the picture is added, so that it is in the image's own numbers.

    Returns
    -------
    Image
        ``(y, x)`` float32, about 0 (about the mean), with the axes of the image.

    Raises
    ------
    ImageError
        If the image is not a single real-valued picture in real space, or its lattice has no such
        reflections.
    ParameterError
        If the result is none of a lattice or holds no domains that are asked for, the plane cannot
        be read, or the radius is not positive.
    """
    rows = _chosen(lattice, grain, hkl)
    k, grains = _wave_vectors(rows), rows["grain"].to_numpy(dtype=int)
    radius = float(_PART * np.hypot(*k.T).min() if radius_per_nm is None else radius_per_nm)
    if domains:
        values = _in_domains(image, lattice, (k, grains), radius)
    else:
        values = np.array(bragg_filtered(image, k, radius).data)
    plane = as_plane(image, copy=False)
    if mean:
        used = plane.values if plane.mask is None else plane.values[plane.mask]
        values = values + np.float32(float(used.mean(dtype=float)) + plane.offset)
    said = {"grain": grain, "hkl": hkl, "radius_per_nm": radius, "domains": domains, "mean": mean,
            "reflections": rows["reflection"].to_list(), "k_yx": k.tolist()}
    return replace(image, data=values, mask=plane.mask,
                   steps=(*image.steps, Step("bragg_filter", plain(said), "filtered intensity")))


def _chosen(lattice: Result, grain: int | None, hkl: str) -> pd.DataFrame:
    """Rows of the reflections that are asked for."""
    if lattice.measurement != "lattice":
        raise ParameterError("lattice", f"is a result of {lattice.measurement}",
                             "give a Result of emtools.lattice")
    rows = lattice.tables["reflections"]
    if not len(rows):
        raise ImageError(_name(lattice), f"has no reflections to filter to: {lattice.outcome}")
    if grain is not None:
        known = rows["grain"].unique().tolist()
        rows = rows[rows["grain"] == grain]
        if not len(rows):
            raise ImageError(_name(lattice), f"has no reflections of grain {grain}",
                             f"grains that have are {', '.join(map(str, known))}")
    if not hkl.strip():
        return rows
    wanted = _indices(hkl)
    family = hkl.strip().startswith("{")
    fits = [_same(wanted, row, lattice, family=family) for row in rows.to_dict("records")]
    if not any(fits):
        known = sorted(set(rows["hkl"]) - {""})
        raise ImageError(_name(lattice), f"has no reflections of {hkl}",
                         f"indexed are {', '.join(known) or 'none'}")
    return rows[fits]


def _name(lattice: Result) -> str:
    return str(lattice.source.get("file") or "image")


def _indices(hkl: str) -> tuple[int, ...]:
    """Read ``2 0 0``, ``200``, ``{1 -1 0}``, ``1-10``."""
    text = hkl.strip().strip("{}()")
    parts = text.replace(",", " ").split()
    parts = re.findall(r"-?\d", text) if len(parts) == 1 else parts
    try:
        found = tuple(int(part) for part in parts)
    except ValueError:
        found = ()
    if len(found) != 3 or not any(found):
        raise ParameterError("hkl", f"{hkl!r} is no plane", "give for example 2 0 0 or {200}")
    return found


def _same(
    wanted: tuple[int, ...], row: dict[Any, Any], lattice: Result, *, family: bool
) -> bool:
    if not row["hkl"]:
        return False
    own = tuple(int(index) for index in str(row["hkl"]).split())
    if not family:
        return own in (wanted, tuple(-index for index in wanted))
    phases = {phase.name: phase
              for phase in map(find_phase, lattice.parameters.get("phases") or ())}
    return row["phase"] in phases and \
        list(own) in phases[row["phase"]].equal_planes(wanted).tolist()


def _wave_vectors(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Wave vectors ``(n, 2)`` (y, x) of reflections."""
    column = "k_per_nm" if "k_per_nm" in rows else in_unit("k_per_nm", "px")
    length = rows[column].to_numpy(dtype=float)
    angle = np.radians(rows["angle_deg"].to_numpy(dtype=float))
    # Counter-clockwise on the screen, where y runs down.
    return np.column_stack([-length * np.sin(angle), length * np.cos(angle)])


def _in_domains(
    image: Image, lattice: Result, waves: tuple[NDArray[np.float64], NDArray[np.int64]],
    radius: float,
) -> NDArray[np.float32]:
    """The fringes of each grain in its own domain."""
    k, grains = waves
    labels = _domains(image, lattice)
    values = np.zeros(labels.shape, dtype=np.float32)
    for grain in np.unique(grains):
        inside = labels == grain
        if inside.any():
            values[inside] = bragg_filtered(image, k[grains == grain], radius).data[inside]
    return values


def _domains(image: Image, lattice: Result) -> NDArray[np.int64]:
    """Number of the grain at each pixel, 0 = none."""
    held = [layer for layer in lattice.layers if layer[1].get("name") == "grains"]
    if not held:
        raise ParameterError("domains", "the result holds no domains",
                             "measure the image again: results read from a store have none")
    data, options, _ = held[0]
    labels = np.asarray(data, dtype=np.int64)
    pixels = np.abs(image.calibration().vectors(np.eye(2)).diagonal())
    places = [np.minimum((np.arange(axis.size) * pixel / step).astype(int), n - 1)
              for axis, pixel, step, n in zip(image.plane_axes, pixels, options["scale"],
                                              labels.shape, strict=True)]
    return labels[np.ix_(*places)]
