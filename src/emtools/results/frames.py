"""Stored chains as what the population is made of, without opening an image again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtools.measure import load
from emtools.population import Frame
from emtools.population.frames import area_of
from emtools.results.records import records

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from emtools.results.reading import Results
    from emtools.results.records import Record

Seen = tuple[tuple[float, float], tuple[float, float], float]


def frames(results: Results) -> list[Frame]:
    """Return the frames of all images whose chains a batch measured in nm.

    What was rejected by hand is left out.

    Parameters
    ----------
    results
        Of a batch; groups and samples are those that the batch was told.
    """
    declared = load("chains").tables
    by_image = {name: dict(iter(results.table(f"chains.{name}", counted=True).groupby(
        ["file", "image"]))) for name in declared}
    rejected, found = results.rejected, []
    for record in records(results, tables=False):
        if (record["file"], record["index"]) in rejected or not _has_chains(record):
            continue
        own = (record["file"], record["image"])
        frame = frame_of(record, {
            name: by_image[name].get(own, table.frame()).reindex(columns=table.names())
            for name, table in declared.items()})
        if frame is not None:
            found.append(frame)
    return found


def _has_chains(record: Record) -> bool:
    return any(one["measurement"] == "chains" for one in record["measurements"])


def frame_of(record: Record, tables: Mapping[str, pd.DataFrame]) -> Frame | None:
    """Return the frame of an image with its tables of chains, None without a scale in nm."""
    seen = _seen(record)
    if seen is None:
        return None
    sides, corner, err = seen
    return Frame(tables, sides, record["group"], record["sample"], str(record["file"]), err, corner)


def _seen(record: Record) -> Seen | None:
    """Sides and corner of what was seen in nm and the scale's relative error; None without nm."""
    axes = {axis["name"]: axis for axis in record["description"].get("axes", ())}
    if not {"y", "x"} <= set(axes) or any(axes[name]["unit"] != "nm" for name in "yx"):
        return None
    used = record["description"].get("used", {})
    first, stop = zip(*(used.get(name, (0, axes[name]["size"])) for name in "yx"), strict=True)
    if stop[0] <= first[0]:
        return None
    sides, corner = area_of([axes[name]["pixel_size"] for name in "yx"], first, stop)
    return sides, corner, scale_err(record)


def scale_err(record: Record) -> float:
    """Relative 1 sigma of an image's pixel size, 0 where it is not known."""
    known = [axis["pixel_size_err"] / axis["pixel_size"]
             for axis in record["description"].get("axes", ())
             if axis["name"] in ("y", "x") and axis.get("pixel_size_err")]
    return float(np.mean(known)) if known else 0.0
