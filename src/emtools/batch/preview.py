"""What a batch would do: which images with what, what is left out and why, how long it may take."""

from __future__ import annotations

import json
import math
import statistics
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from emtools import io
from emtools.batch.contents import Contents
from emtools.batch.keys import KeyBook
from emtools.batch.plan import Recipe, calibrated, split
from emtools.batch.run import files_of, name_of_file
from emtools.batch.store import Store
from emtools.batch.stored import Stored
from emtools.errors import ReadError
from emtools.results.schema import DATABASE

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from emtools.model import Image

_FEWEST_IMAGES = 3  # measured before, for an estimate


class Planned(NamedTuple):
    """One image.

    Parameters
    ----------
    file, image, modality
        Which, and of what kind.
    pixels
        How many numbers it holds.
    measurements, skipped
        Names with the reason.
    """

    file: str
    image: str
    modality: str
    pixels: int
    measurements: tuple[tuple[str, str], ...]
    skipped: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Preview:
    """What a batch would do.

    Parameters
    ----------
    planned
        Images that would be measured, or left out.
    known
        Files whose results are there already.
    failed, left_out
        Files with the reason.
    seconds
        Of one worker for what would be measured, by what images took before; None if too few were.
    """

    planned: tuple[Planned, ...]
    known: tuple[str, ...]
    failed: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...]
    seconds: float | None


def preview(folder: Path, output: Path, recipe: Recipe | None = None) -> Preview:
    """Say what `run` would do, from the files' headers; nothing is measured or made.

    A store that is there already remembers the digests of the files that were looked at.

    Parameters
    ----------
    folder, output, recipe
        As of `run`.

    Raises
    ------
    ParameterError
        As `run` does.
    """
    recipe = recipe or Recipe()
    recipe.check()
    files = files_of(folder, output)
    left_out = [(name_of_file(path, folder), why) for path, why in files.left_out.items()]
    planned: list[Planned] = []
    known: list[str] = []
    failed: list[tuple[str, str]] = []
    with ExitStack() as stack:
        store = stack.enter_context(Store(output)) if (output / DATABASE).is_file() else None
        known_by = None if store is None else (
            Contents(store.connection), Stored(store.connection, KeyBook(recipe), output))
        for path in files.files:
            name = name_of_file(path, folder)
            try:
                if known_by is not None:
                    contents, stored = known_by
                    if stored.whole(name, contents.digest(path, files.parts.get(path, ()))):
                        known.append(name)
                        continue
                planned += [_planned(name, image, recipe) for image in
                            io.read(path, scale_bars=recipe.scale_bars)]
            except (OSError, ReadError) as error:
                failed.append((name, getattr(error, "reason", str(error))))
        seconds = None if store is None else _seconds(planned, store.connection)
    return Preview(tuple(planned), tuple(known), tuple(failed), tuple(left_out), seconds)


def _planned(name: str, image: Image, recipe: Recipe) -> Planned:
    modality = image.acquisition.modality
    own = recipe.of(name, modality)
    fitting, skipped = split(calibrated(image, own.pixel_size_nm), own.chosen())
    return Planned(name, image.source.signal, modality or "", math.prod(image.shape),
                   tuple((one.name, why) for one, why in fitting), tuple(skipped))


def _seconds(planned: list[Planned], connection: sqlite3.Connection) -> float | None:
    """Seconds of one worker, by the median of what images of the same kind took for each pixel."""
    rates: dict[str, list[float]] = {}
    for modality, description, seconds in connection.execute(
            "SELECT modality, description, seconds FROM image WHERE seconds > 0"):
        shape = json.loads(description).get("shape") or [1]
        rates.setdefault(modality or "", []).append(seconds / math.prod(shape))
    every = [rate for own in rates.values() for rate in own]
    if len(every) < _FEWEST_IMAGES:
        return None
    return sum(one.pixels * statistics.median(rates.get(one.modality) or every)
               for one in planned if one.measurements)
