"""Measure one file: what runs in a worker process."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from emtools import figures, io
from emtools.batch.plan import Recipe, calibrated, split
from emtools.batch.stored import from_text
from emtools.corrections import corrected, without_rejected
from emtools.errors import EmtoolsError, ReadError
from emtools.instrument import apply_fitting
from emtools.measure import Run
from emtools.model import Result
from emtools.model.result import plain
from emtools.results.records import without_images
from emtools.results.single import picture_stem
from emtools.stages import StoppedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from emtools.batch.keys import ByHand, KeyBook
    from emtools.measure import Measure, Measurement
    from emtools.model import Image
    from emtools.results.records import Record


# Of a process that has measured 1024 x 1024 and 4096 x 4096 pixels (chains, lattice, pictures).
_FIXED_BYTES, _BYTES_PER_PIXEL = 450e6, 40.0


@dataclass(frozen=True)
class Job:
    """A file that is to be measured.

    Parameters
    ----------
    path
        The file.
    name
        How it is called in the results.
    content
        Digest of what it holds.
    known
        Keys of results that need not be measured again.
    by_hand
        What a person corrected in it.
    """

    path: Path
    name: str
    content: str
    known: frozenset[str] = frozenset()
    by_hand: ByHand = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What all files of a batch have in common.

    Parameters
    ----------
    recipe
        What is measured.
    keys
        Its digests.
    output
        Results folder; pictures are written into it.
    """

    recipe: Recipe
    keys: KeyBook
    output: Path


class TooBig(NamedTuple):
    """A file of which an image needs more memory than its share."""

    bytes: float


def measure_file(
    job: Job, task: Task, room: float | None = None, alone: bool = True
) -> list[Record] | TooBig:
    """Read a file and measure each of its images.

    Parameters
    ----------
    job, task
        What is measured, and with what.
    room
        Bytes that it may take; None for as many as there are.
    alone
        Whether there is no more to be had.

    Returns
    -------
    list of dict, or TooBig
        One record for each image; one that says why, for a file that cannot be read.  No
        exception but `StoppedError` leaves this function: a file must never stop a batch.
    """
    start = time.perf_counter()
    try:
        images = io.read(job.path, scale_bars=task.recipe.scale_bars)
    except ReadError as error:
        return [_failed(job.name, reason_of(error), start)]
    need = max(map(_need, images), default=0.0)
    if room is not None and need > room:
        return TooBig(need) if not alone else [_failed(
            job.name, f"needs about {need / 1e9:.1f} GB of memory, and {room / 1e9:.1f} GB are "
            "free; measure it on a larger machine, or a part of it", start)]
    records = []
    for image in images:
        start = time.perf_counter()
        try:
            records.append(_measure_image(image, images, job, task))
        except StoppedError:
            raise
        except Exception as error:  # the door of the batch: recorded, never raised
            records.append(_failed(job.name, reason_of(error), start, image))
        records[-1]["seconds"] = round(time.perf_counter() - start, 3)
    return records


def _need(image: Image) -> float:
    """About how many bytes measuring an image takes, from its header."""
    plane = math.prod(axis.size for axis in image.plane_axes) if image.has_axis("y") else 0
    # Lazy data are read in parts; what is loaded is held once more where it is turned into counts.
    held = 0 if image.lazy else 2 * math.prod(image.shape) * image.data.dtype.itemsize
    return _FIXED_BYTES + _BYTES_PER_PIXEL * plane + held


def reason_of(error: Exception) -> str:
    """What went wrong, without the name of the file."""
    if isinstance(error, EmtoolsError):
        return f"{error.reason}; {error.advice}" if error.advice else error.reason
    return f"{type(error).__name__}: {error}"


def _failed(name: str, reason: str, start: float, image: Image | None = None) -> Record:
    record = without_images(name, "failed", reason)
    record["seconds"] = round(time.perf_counter() - start, 3)
    if image is not None:
        record |= {"image": image.source.signal, "index": image.source.index,
                   "audit": list(image.audit)}
    return record


def _measure_image(
    image: Image, images: list[Image], job: Job, task: Task
) -> Record:
    recipe = task.recipe.of(job.name, image.acquisition.modality)
    keys = task.keys.of(job.name, image.acquisition.modality)
    taken, image = image, calibrated(image, recipe.pixel_size_nm)
    fitting, skipped = split(image, recipe.chosen())
    record = without_images(job.name, "left out", "") | {
        "image": image.source.signal, "index": image.source.index,
        "source_sha256": image.source.describe()["sha256"] or "",
        "description": plain(io.describe(image)), "audit": list(image.audit),
        "skipped": [{"measurement": m, "reason": why} for m, why in skipped]}
    if not fitting:
        return record
    if recipe.calibrations:
        image = as_in_batch(taken, recipe)
        record |= {"description": plain(io.describe(image)), "audit": list(image.audit)}
    # Whatever rests on another measurement shares its result: each is made once for an image.
    sisters = tuple(calibrated(one, recipe.pixel_size_nm) for one in images)
    run = Run(image, recipe.parameters, recipe.wanted, sisters, as_corrected(job.by_hand))
    for measurement, why in fitting:
        key = keys.of_result(job.content, image.source.index, measurement.name, job.by_hand)
        if key not in job.known:
            _add(record, (measurement, why), run, task, key)
    record |= {"status": "measured", "thumbnail": _thumbnail(image)}
    return record


def _thumbnail(image: Image) -> str:
    """A small picture; none of a single spectrum."""
    return figures.thumbnail_uri(image) if image.has_axis("y") and image.has_axis("x") else ""


def as_corrected(by_hand: ByHand) -> Measure:
    """Return how images of a file are measured with what a person corrected in it."""
    def measure(image: Image, measurement: Measurement, given: Mapping[str, Any]) -> Result:
        # What was rejected counts for nothing, in what rests on it neither.
        given = {name: without_rejected(value) if isinstance(value, Result) else value
                 for name, value in given.items()}
        text = by_hand.get((image.source.index, measurement.name))
        if text is None:
            return measurement.function(image, **given)
        return corrected(image, measurement.name, given, from_text(text))

    return measure


def as_in_batch(image: Image, recipe: Recipe) -> Image:
    """Return an image with the pixel size and calibration that a batch gives it."""
    image = calibrated(image, recipe.pixel_size_nm)
    if not recipe.calibrations:
        return image
    return apply_fitting(recipe.calibrations, image, force=recipe.force_calibration)


def _add(
    record: Record, fitting: tuple[Measurement, str], run: Run, task: Task, key: str
) -> None:
    """Add one measurement; an image that it cannot work on is skipped with the reason."""
    measurement, why = fitting
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            result = run.result(measurement.name)
    except ReadError:  # a drive may come back: the file fails, and is tried again
        raise
    except EmtoolsError as error:
        record["skipped"].append({"measurement": measurement.name, "reason": reason_of(error)})
        return
    found = result.to_dict()
    record["measurements"].append({
        "measurement": measurement.name, "why": why, "summary": found["summary"],
        "parameters": found["parameters"], "tables": found["tables"],
        "pictures": _draw(run.image, result, task, picture_stem(record["file"], key)),
    })


def _draw(image: Image, result: Result, task: Task, stem: str) -> dict[str, str]:
    which = task.recipe.pictures
    if which == "none" or result.outcome.startswith("not measurable"):
        return {}
    paths = {}
    for kind, figure in figures.pictures(image, result, which).items():
        relative = f"pictures/{stem}.{result.measurement}.{kind}.png"
        figures.save(figure, task.output / relative)
        paths[kind] = relative
    return paths
