"""A session as a file: which images are open, what was measured, edited and with what.

Images are named, not copied: their files stay where they are, and are known again by their digest.
What was never in a file is held with its pixels.  Knows no window.
"""

from __future__ import annotations

import dataclasses
import glob
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import emtools
from emtools import batch
from emtools.batch.plan import Recipe, Rule
from emtools.corrections import Correction
from emtools.errors import EmtoolsError, ParameterError
from emtools.model import Axis, Distortion, Image, Source
from emtools.results.archive import read_archive, write_archive
from napari_emtools.desk import Finding
from napari_emtools.shown import frame_named, is_of, key_of, title_of, with_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from napari_emtools.desk import Desk

_FORMAT = 1


@dataclass(frozen=True)
class Session:
    """What a session's file holds, as far as its images are still there.

    Parameters
    ----------
    images
        Calibrated as they were in the window.
    findings
        Results with their corrections and the way back.
    missing
        What could not be opened again, a sentence each.
    """

    images: tuple[Image, ...]
    findings: tuple[Finding, ...]
    missing: tuple[str, ...]


class Contents(NamedTuple):
    """What is on a desk now; it may be written while the desk goes on changing.

    Parameters
    ----------
    images
        That are open, and those of which a result is kept whose layer is closed.
    findings
        Each with the place of its image among them.
    """

    images: tuple[Image, ...]
    findings: tuple[tuple[int, Finding], ...]

    @classmethod
    def of(cls, desk: Desk) -> Contents:
        """Return the contents of a desk."""
        images, findings = desk.images(), []
        for one in desk.findings.values():
            place = next((i for i, image in enumerate(images) if is_of(one.image, image)), None)
            if place is None:
                place = len(images)
                images.append(one.image)
            copied = replace(one, history=list(one.history), undone=list(one.undone))
            findings.append((place, copied))
        return cls(tuple(images), tuple(findings))


def save(contents: Contents, path: str | Path) -> None:
    """Write images and results into a file.

    Raises
    ------
    ParameterError
        If it cannot be written.
    """
    path = Path(path)
    write_archive(path, {
        "format": _FORMAT, "emtools": emtools.__version__,
        "images": [_image(one, path.absolute().parent) for one in contents.images],
        "findings": [_finding(place, one, contents.images[place])
                     for place, one in contents.findings]})


def load(path: str | Path) -> Session:
    """Read a session, and the images that it names.

    Raises
    ------
    ParameterError
        If it is none, or of a later version.
    """
    path = Path(path)
    content = read_archive(path)
    if content.get("format") != _FORMAT:
        raise ParameterError(str(path), f"is a session in format {content.get('format')}, not "
                             f"{_FORMAT}", "open it with the emtools that wrote it")
    missing: list[str] = []
    images: list[Image | None] = []
    for said in content["images"]:
        try:
            images.append(_opened(said, path.absolute().parent))
        except (EmtoolsError, OSError) as error:
            images.append(None)
            missing.append(str(error))
    findings = []
    for said in content["findings"]:
        image = images[said["image"]]
        if image is None:
            continue
        try:
            findings.append(_found(said, frame_named(image, said["frame"])))
        except (EmtoolsError, KeyError, IndexError, ValueError) as error:
            missing.append(f"{said['measurement']} of {title_of(image)} cannot be read ({error})")
    for said, finding in zip(content["findings"], findings, strict=False):
        finding.used = {name: one.result for name in said["used"] for one in findings
                        if one.result.measurement == name
                        and one.image.source.file == finding.image.source.file}
    return Session(tuple(one for one in images if one is not None), tuple(findings),
                   tuple(missing))


def store(contents: Contents, output: str | Path) -> list[str]:
    """Measure what was measured in a window once more as a batch, into its results folder.

    Parameters
    ----------
    contents
        Of the viewer's desk.
    output
        Results folder, new or written by this before.

    Returns
    -------
    list of str
        What could not be stored, a sentence each.

    Raises
    ------
    ParameterError
        If there is nothing to store, or the folder holds a batch of other images.
    """
    left_out: list[str] = []
    found: dict[Path, list[Finding]] = {}
    for _, finding in contents.findings:
        reason = _why_no_batch(finding.image)
        if reason:
            left_out.append(f"{title_of(finding.image)}: {reason}")
        else:
            found.setdefault(Path(str(finding.image.source.file)).absolute(), []).append(finding)
    if not found:
        raise ParameterError("results", "; ".join(left_out) or "nothing is measured yet",
                             "measure images of files first")
    folder = _folder_of(found)
    names = {path: path.relative_to(folder).as_posix() for path in found}
    _refuse_others(Path(output), set(names.values()))
    batch.run(folder, Path(output), _recipe({names[path]: own for path, own in found.items()}),
              only=list(found), corrections={
                  path: {(one.image.source.index, one.result.measurement): one.correction
                         for one in own} for path, own in found.items()})
    return left_out


def _folder_of(files: Collection[Path]) -> Path:
    """The folder that holds all files."""
    try:
        return Path(os.path.commonpath([path.parent for path in files]))
    except ValueError as error:
        raise ParameterError("results", f"of files on several drives are no batch ({error})",
                             "store those of one drive at a time") from error


def _why_no_batch(image: Image) -> str:
    """Why a batch would not measure the image as it is in the window."""
    if image.source.file is None:
        return "is in no file"
    for own in map(with_rows, emtools.read(Path(image.source.file))):
        if own.source.index == image.source.index:
            if own.shape != image.shape:
                return "is a part of a stack"
            same = own.axes == image.axes and own.distortion == image.distortion
            return "" if same else ("was calibrated by hand: save the calibration and give it to "
                                    "emtools batch")
    return "is in its file no more"


def _refuse_others(output: Path, names: set[str]) -> None:
    from emtools.results import open_results
    from emtools.results.schema import DATABASE

    if not (output / DATABASE).is_file():
        return
    with open_results(output) as results:
        others = set(results.files["file"]) - names
    if others:
        raise ParameterError(str(output), f"holds a batch of other files ({sorted(others)[0]} …)",
                             "correct it with the panel Batch, or give another folder")


def _recipe(found: Mapping[str, Sequence[Finding]]) -> Recipe:
    """What was measured in each file, and with what."""
    rules = []
    for name, findings in found.items():
        by_image: dict[str, list[Finding]] = {}
        for one in findings:
            by_image.setdefault(one.image.acquisition.modality or "", []).append(one)
        rules += [_rule(name, modality, own, findings) for modality, own in by_image.items()]
    every = {one.result.measurement for own in found.values() for one in own}
    return Recipe(tuple(sorted(every)), rules=tuple(rules))


def _rule(
    name: str, modality: str, own: Sequence[Finding], every: Sequence[Finding]
) -> Rule:
    """What images of a kind in a file are measured with, and what that rests on."""
    used = {one for finding in own for one in finding.used}
    parameters: dict[str, dict[str, Any]] = {}
    for finding in (*(one for one in every if one.result.measurement in used), *own):
        measurement, given = finding.result.measurement, _known(finding.parameters)
        if finding in own and measurement in parameters and parameters[measurement] != given:
            raise ParameterError(name, f"has {modality or 'several'} images whose {measurement} "
                                 "were measured with other parameters",
                                 "measure them with the same, a batch has one set for them")
        parameters[measurement] = given
    return Rule(glob.escape(name), modality, tuple(dict.fromkeys(
        one.result.measurement for one in own)), parameters, tuple(sorted(used)))


def _image(image: Image, folder: Path) -> dict[str, Any]:
    """What an image is known again by, and how it was calibrated."""
    source = image.source
    said = {"signal": source.signal, "index": source.index, "reader": source.reader,
            "axes": [dataclasses.asdict(axis) for axis in image.axes],
            "distortion": dataclasses.asdict(image.distortion), "audit": list(image.audit)}
    if source.file is None:
        return {**said, "pixels": np.asarray(image.data), "mask": image.mask,
                "acquisition": dataclasses.asdict(image.acquisition)}
    file = Path(source.file).absolute()
    try:
        beside = os.path.relpath(file, folder)
    except ValueError:  # on another drive
        beside = str(file)
    return {**said, "file": str(file), "beside": Path(beside).as_posix(),
            "sha256": source.describe()["sha256"] or ""}


def _opened(said: Mapping[str, Any], folder: Path) -> Image:
    axes = tuple(Axis(**axis) for axis in said["axes"])
    changed: dict[str, Any] = {"axes": axes, "distortion": Distortion(**said["distortion"]),
                               "audit": tuple(said["audit"])}
    if "pixels" in said:
        from emtools.model import Acquisition

        return Image(said["pixels"], mask=said["mask"],
                     acquisition=Acquisition(**said["acquisition"]), **changed,
                     source=Source(None, said["signal"], said["index"], said["reader"]))
    beside = folder / said["beside"]  # whoever moves a folder moves both
    path = beside if beside.exists() else Path(said["file"])
    image = next((with_rows(one) for one in emtools.read(path)
                  if one.source.index == said["index"]), None)
    if image is None or tuple(axis.size for axis in axes) != image.shape:
        raise ParameterError(str(path), f"holds no image {said['signal']!r} any more")
    if said["sha256"] and image.source.describe()["sha256"] != said["sha256"]:
        raise ParameterError(str(path), "has changed since the session was saved",
                             "measure it again; what it was then stays in the session's file")
    return replace(image, **changed)


def _finding(place: int, finding: Finding, image: Image) -> dict[str, Any]:
    """A result with its corrections; of a stack, which frame it is of."""
    frame = finding.image.source.signal if key_of(image) != key_of(finding.image) else ""
    return {"image": place, "frame": frame, "used": sorted(finding.used),
            "measurement": finding.result.measurement,
            "parameters": _known(finding.parameters), "automatic": finding.automatic,
            "history": _steps(finding.history), "undone": _steps(finding.undone)}


def _known(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without results of other measurements, which are findings of their own."""
    from emtools.model import Result

    return {name: value for name, value in parameters.items() if not isinstance(value, Result)}


def _steps(steps: Sequence[tuple[Correction, Any]]) -> list[Any]:
    return [[correction.to_dict(), result] for correction, result in steps]


def _found(said: Mapping[str, Any], image: Image) -> Finding:
    history, undone = ([(Correction.from_dict(correction), result)
                        for correction, result in said[name]] for name in ("history", "undone"))
    automatic = said["automatic"]
    return Finding(image, dict(said["parameters"]), automatic,
                   history[-1][1] if history else automatic, history, undone)


def told(session: Session) -> str:
    """What a session brought back, in a sentence."""
    names = ", ".join(dict.fromkeys(title_of(one) for one in session.images)) or "no image"
    lost = "".join(f"\nnot opened: {one}" for one in session.missing)
    return f"{names}; {len(session.findings)} results{lost}"
