"""The door: a file goes in, images or one plain error come out."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emtools.errors import ReadError
from emtools.io.fingerprint import sha256_of_file
from emtools.io.lazy import guarded
from emtools.io.registry import extension_of, loader_for
from emtools.io.report import Report, failures_as_read_errors, quiet
from emtools.model import Image, Source
from emtools.model.as_acquired import lookup
from emtools.model.exchange import image_from_dictionary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emtools.io.scale_bar import ScaleBars

# Which picture of a file is meant when none is named: the first of these that it has.
_PREFERRED = ("HAADF", "ADF", "BF", "TEM", "STEM", "DF", "SEM", None, "SAED", "EDS", "FFT")
_FOLDERS = {"zspy"}


def read(path: str | Path, *, scale_bars: ScaleBars = "missing") -> list[Image]:
    """Read every signal of a file.

    Parameters
    ----------
    path
        A file of any format in `EXTENSIONS`, or a zspy folder.  The pixels of large formats are
        read when they are used.
    scale_bars
        What is done with a bar that is drawn into an exported picture (TIFF, PNG, JPEG): its label
        is read and gives the pixel size where the file states none (``missing``), in any case
        (``prefer``), or never (``ignore``).

    Returns
    -------
    list of Image
        One image per signal, each with a name that is unique in the file.  What could not be read
        is said in the audit of the others.

    Raises
    ------
    ReadError
        If nothing can be read, with the reason and what to do.
    """
    file = Path(path)
    report = Report()
    with failures_as_read_errors(file):
        _refuse_what_is_no_file(file)
        loader = loader_for(file)
        with quiet(report):
            signals = loader.load(file, report)
        images = _images(file, signals, report)
    if not images:
        raise ReadError(str(path), "; ".join(report.problems) or "it holds no image",
                        "open it in the program that wrote it")
    images = [_with_problems(image, report.problems) for image in images]
    from emtools.io.scale_bar import with_scale_bar

    # Reading pixels may fail where the headers did not.
    with failures_as_read_errors(file):
        return [with_scale_bar(image, scale_bars) for image in images]


def read_one(
    path: str | Path, signal: str | int | None = None, *, scale_bars: ScaleBars = "missing"
) -> Image:
    """Read one signal of a file.

    Parameters
    ----------
    path
        As in `read`.
    signal
        Name or position of the signal.  None: the picture that is most likely meant (a calibrated
        micrograph rather than a preview, a transform or an element map).
    scale_bars
        As in `read`.

    Raises
    ------
    ReadError
        If the file cannot be read or has no such signal; the message names those it has.
    """
    return one_of(read(path, scale_bars=scale_bars), signal)


def one_of(images: Sequence[Image], signal: str | int | None = None) -> Image:
    """Return one signal of a file that was read, as `read_one` chooses it.

    Raises
    ------
    ReadError
        If the file has no such signal.
    """
    if signal is None:
        return min(images, key=_least_wanted)
    wanted = str(signal)
    for matches in (
        [image for image in images if image.source.signal == wanted],
        [image for image in images if image.source.signal.lower() == wanted.lower()],
        [image for image in images if str(image.source.index) == wanted],
    ):
        if matches:
            return matches[0]
    have = ", ".join(f"{image.source.index}: {image.source.signal or 'unnamed'}"
                     for image in images)
    raise ReadError(str(images[0].source.file), f"has no signal {wanted!r}",
                    f"its signals are {have}")


def _least_wanted(image: Image) -> tuple[Any, ...]:
    modality = image.acquisition.modality
    rank = _PREFERRED.index(modality) if modality in _PREFERRED else len(_PREFERRED)
    minor = modality in ("EDS", "FFT") or image.data.dtype.kind == "c"
    coloured = any("colour" in note for note in image.audit)
    calibrated = image.has_axis("y") and image.plane_axes[0].calibrated
    return (not image.is_plane, minor, coloured, not calibrated, rank, image.source.index)


def _refuse_what_is_no_file(file: Path) -> None:
    if not file.exists():
        raise ReadError(str(file), "there is no such file", "check the path")
    if file.is_dir() and extension_of(file) not in _FOLDERS:
        raise ReadError(str(file), "is a folder", "give a file in it, or use emtools batch")
    if not file.is_dir() and not file.is_file():
        raise ReadError(str(file), "is no ordinary file", "give a file of a known image format")
    if file.is_file() and file.stat().st_size == 0:
        raise ReadError(str(file), "is empty", "copy it again from the microscope")


def _images(file: Path, signals: Sequence[dict[str, Any]], report: Report) -> list[Image]:
    names = _unique_names(signals)
    images = []
    for index, (name, signal) in enumerate(zip(names, signals, strict=True)):
        # The pixels of a colour picture are looked at here, hence a reader may still fail.
        with report.attempt(f"signal {name or index + 1}"), quiet(report):
            source = Source(str(file), name, index, str(signal["reader"]),
                            partial(sha256_of_file, file))
            data = guarded(file, signal["data"])
            if 0 in data.shape or not data.shape:
                raise ReadError(str(file), f"has no pixels (shape {data.shape})")
            images.append(image_from_dictionary(
                {**signal, "data": data}, source, signal.get("notes", ()),
                signal.get("acquisition")))
    return images


def _unique_names(signals: Sequence[dict[str, Any]]) -> list[str]:
    """Name signals by their titles, numbered where several are called the same."""
    titles = [_title(signal) for signal in signals]
    if len(titles) == 1:
        return titles
    titles = [title or _what_it_is(signal) for title, signal in zip(titles, signals, strict=True)]
    names: list[str] = []
    for title in titles:
        name, number = title, 1
        while name in names:
            number += 1
            name = f"{title} {number}"
        names.append(name)
    return names


def _title(signal: dict[str, Any]) -> str:
    title = str(lookup(signal.get("metadata", {}), "General.title") or "").strip()
    return "" if title == "__unnamed__" else title


def _what_it_is(signal: dict[str, Any]) -> str:
    if str(signal["axes"][-1].get("units")) in ("eV", "keV"):
        return "spectra"
    return {1: "profile", 2: "image"}.get(signal["data"].ndim, "stack")


def _with_problems(image: Image, problems: Sequence[str]) -> Image:
    return replace(image, audit=(*image.audit, *problems)) if problems else image
