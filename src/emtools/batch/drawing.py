"""Files or a folder -> pictures for a paper, with one recipe; one bad file never stops the rest."""

from __future__ import annotations

import contextlib
import json
import tempfile
import unicodedata
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emtools import figures, io
from emtools._version import __version__
from emtools.batch.plan import Recipe, frame_of
from emtools.batch.run import files_of, name_of_file
from emtools.batch.work import as_in_batch, reason_of
from emtools.errors import EmtoolsError, ParameterError
from emtools.figures import Layout
from emtools.measure import Run, load
from emtools.model.result import plain
from emtools.process.steps import needs_lattice, step

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from emtools.figures import Panel
    from emtools.model import Image, Result

KINDS = ("png", "tif", "tiff", "svg", "pdf")
_ENDS = 1 << 16  # bytes at either end of a file, where it says what it is
_MADE_BY = "emtools figure"  # in every file that is written: what has it may be replaced


@dataclass(frozen=True)
class Shown:
    """What pictures for a paper show, and how.

    Parameters
    ----------
    show
        Steps of `emtools.process.steps`, one after the other; none: the image as it is.
    steps
        Their parameters.
    measure
        Measurements whose results are drawn on the pictures.
    kind
        Ending of the files: png, tif, tiff, svg or pdf.
    layout
        How they look.
    signal
        Name or number of the signal of each file; the picture that is most likely meant if None.
    frame
        Of stacks; the middle one if None.
    """

    show: tuple[str, ...] = ()
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    measure: tuple[str, ...] = ()
    kind: str = "png"
    layout: Layout = field(default_factory=Layout)
    signal: str | None = None
    frame: int | None = None

    def check(self) -> None:
        """Check all names and numbers before anything is read.

        Raises
        ------
        ParameterError
            If one is unknown or out of range.
        """
        for name in (*self.show, *self.steps):
            step(name)
        for name in self.measure:
            load(name)
        if self.kind not in KINDS:
            raise ParameterError("kind", f"{self.kind!r} is not written",
                                 f"give one of {', '.join(KINDS)}")
        self.layout.check()


@dataclass(frozen=True)
class _Picture:
    """A panel, and what its file says about it."""

    panel: Panel
    about: Mapping[str, Any]


def draw(
    paths: Sequence[Path], output: Path, shown: Shown, recipe: Recipe | None = None, *,
    force: bool = False, tell: Callable[[Path], None] = lambda _: None,
) -> list[str]:
    """Write pictures of files, or of all images in folders.

    Parameters
    ----------
    paths
        Files, or folders, whose files are found as a batch finds them.
    output
        A folder, for a picture of each file under the file's own name; or a file with one of the
        endings `KINDS`, for one sheet with all of them.
    shown
        What they show.
    recipe
        Its parameters, rules, pixel size and calibrations hold as in a batch.
    force
        Whether to replace files that were not made by this; those that are read never are.
    tell
        Is told of each file that was written.

    Returns
    -------
    list of str
        What failed and why: the others are drawn.

    Raises
    ------
    ParameterError
        If a name or number is wrong, or the output cannot be written.
    """
    recipe = recipe or Recipe()
    recipe.check()
    shown.check()
    one_sheet = output.suffix.lower().lstrip(".") in KINDS
    files = _files(paths, output)
    failed: list[str] = []
    pictures: list[_Picture] = []
    targets = {name: output if one_sheet else output / f"{name}.{shown.kind}" for name in files}
    if not one_sheet:
        _refuse_alike(targets, output)
    for target in dict.fromkeys(targets.values()):  # all of them, before anything is drawn
        _refuse_to_lose(target, files.values(), force=force)
    for name, path in files.items():
        try:
            picture = _picture(name, path, shown, recipe)
            if one_sheet:
                pictures.append(picture)
                continue
            _write([picture], targets[name], shown)
        except ParameterError:
            raise  # wrong usage, whatever the file
        except EmtoolsError as error:
            failed.append(f"{name}: {reason_of(error)}")
            continue
        tell(targets[name])
    if pictures:
        _write(pictures, output, shown)
        tell(output)
    return failed


def _files(paths: Sequence[Path], output: Path) -> dict[str, Path]:
    """Files by the names of their pictures; what was drawn before is left alone."""
    found: dict[str, Path] = {}
    for path in paths:
        for file in files_of(path, output).files:
            if path.is_dir() and file.suffix.lower() in (".png", ".tif", ".tiff") \
                    and is_drawn(file):
                continue
            name = name_of_file(file, path)
            if found.setdefault(name, file) != file:
                raise ParameterError(name, f"is the name of {found[name]} and of {file}",
                                     "draw them into folders of their own")
    if not found:
        raise ParameterError(", ".join(map(str, paths)), "holds no image", "give other files")
    return found


def _refuse_alike(targets: Mapping[str, Path], output: Path) -> None:
    """Names that differ by capitals alone are one file on most disks of Windows and macOS."""
    seen: dict[str, str] = {}
    for name, target in targets.items():
        other = seen.setdefault(unicodedata.normalize("NFC", str(target)).casefold(), name)
        if other != name and _folds_case(output):
            raise ParameterError(name, f"and {other} would be one file in {output}",
                                 "draw them into folders of their own")


def _folds_case(folder: Path) -> bool:
    """Whether a folder, made or not, is on a disk to which `A` and `a` are one name."""
    place = next(one for one in (folder, *folder.absolute().parents) if one.is_dir())
    with contextlib.suppress(OSError), tempfile.NamedTemporaryFile(dir=place, prefix=".") as made:
        path = Path(made.name)
        return path.with_name(path.name.swapcase()).exists()
    return False


def is_drawn(file: Path) -> bool:
    """Whether a file was written by `draw`."""
    try:
        with file.open("rb") as stream:
            looked_at = stream.read(_ENDS)
            stream.seek(max(0, file.stat().st_size - _ENDS))
            looked_at += stream.read(_ENDS)
    except OSError:
        return False
    return _MADE_BY.encode() in looked_at


def _refuse_to_lose(target: Path, inputs: Collection[Path], *, force: bool) -> None:
    if not target.exists():
        return
    if any(target.samefile(file) for file in inputs if file.exists()):
        raise ParameterError(str(target), "is one of the images", "write somewhere else")
    if not (force or is_drawn(target)):
        raise ParameterError(str(target), "exists, and was not made by this command",
                             "give another place with -o, or --force")


def _picture(name: str, path: Path, shown: Shown, recipe: Recipe) -> _Picture:
    images = io.read(path, scale_bars=recipe.scale_bars)
    image = frame_of(io.one_of(images, shown.signal), shown.frame)
    own = recipe.of(name, image.acquisition.modality)
    image = as_in_batch(image, own)
    panel = figures.make_panel(image, shown.show, shown.steps,
                               _results(image, images, shown, own), shown.layout, shown.measure,
                               name)
    source = image.source.describe()
    about = {"file": name, "sha256": source["sha256"], "signal": source["signal"],
             "steps": [str(one) for one in panel.image.steps],
             "measured": {result.measurement: plain(result.parameters)
                          for result in panel.results}}
    return _Picture(panel, about)


def _results(
    image: Image, images: Sequence[Image], shown: Shown, recipe: Recipe
) -> dict[str, Result]:
    names = dict.fromkeys(shown.measure + ("lattice",) * needs_lattice(shown.show))
    if not names:
        return {}
    run = Run(image, recipe.parameters, recipe.wanted, tuple(images))
    return {name: run.result(name) for name in names}


def _write(pictures: Sequence[_Picture], target: Path, shown: Shown) -> None:
    layout = shown.layout
    figure = figures.sheet_figure([one.panel for one in pictures], layout)
    about = {
        "made_by": f"{_MADE_BY} {__version__}", "images": [one.about for one in pictures],
        "recipe": {"show": list(shown.show), "steps": plain(shown.steps),
                   "measure": list(shown.measure), "layout": plain(layout.__dict__)}}
    # Figures of the same content are the same bytes: the text holds no time and no folder.
    try:
        figures.save(figure, target, dpi=layout.dpi, about=json.dumps(about))
    except OSError as error:
        raise ParameterError(str(target), f"cannot be written ({error})",
                             "give another place with -o") from error


def with_kind(shown: Shown, output: Path) -> Shown:
    """Return what is shown with the ending that the output's own name has, if it has one."""
    ending = output.suffix.lower().lstrip(".")
    return replace(shown, kind=ending) if ending in KINDS else shown
