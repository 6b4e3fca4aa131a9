"""What a batch would do, on the terminal, and a recipe to begin with."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import typer

from emtools.measure import load, names
from emtools.results.records import image_name

if TYPE_CHECKING:
    from emtools.batch import Preview
    from emtools.measure import Option

_MOST = 12  # names of one kind that are shown


def print_preview(preview: Preview, workers: int) -> None:
    """Print what would be measured with what, what would not and why, and how long it may take."""
    by_plan: dict[tuple[str, ...], list[str]] = defaultdict(list)
    why_not: Counter[str] = Counter()
    for one in preview.planned:
        by_plan[tuple(name for name, _ in one.measurements)].append(
            image_name(one.file, one.image))
        why_not.update(f"{name}: {why}" for name, why in one.skipped if not one.measurements)
    for chosen, images in sorted(by_plan.items(), reverse=True):
        what = ", ".join(chosen) if chosen else "nothing"
        typer.echo(f"{len(images)} image{'s' if len(images) > 1 else ''}: {what}")
        _some(images)
    for reason, number in why_not.most_common(_MOST):
        typer.echo(f"  not measured, {number}: {reason}")
    if preview.known:
        typer.echo(f"{len(preview.known)} files are measured already")
    for title, files in (("cannot be read", preview.failed), ("other files", preview.left_out)):
        if files:
            typer.echo(f"{len(files)} {title}")
            _some([f"{file}: {reason}" for file, reason in files])
    if any(one.measurements for one in preview.planned):
        typer.echo(_time(preview.seconds, workers))


def _time(seconds: float | None, workers: int) -> str:
    if seconds is None:
        return "time: not known, fewer than three images were measured in this folder of results"
    return (f"time: about {_duration(seconds / workers)} with {workers} workers, by what images of "
            "these kinds took before")


def _some(lines: list[str]) -> None:
    for line in lines[:_MOST]:
        typer.echo(f"  {line}")
    if len(lines) > _MOST:
        typer.echo(f"  and {len(lines) - _MOST} more")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def recipe_text(preview: Preview) -> str:
    """Return a commented recipe for what a folder holds.

    Parameters
    ----------
    preview
        Of the folder.
    """
    fitting = [name for name in names()
               if any(name == one for image in preview.planned for one, _ in image.measurements)]
    kinds = Counter(image.modality or "unknown" for image in preview.planned)
    held = ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())
    quoted = ", ".join(f'"{name}"' for name in fitting)
    lines = [
        f"# Images in the folder: {held or 'none'}.  Lines with # are what holds without them.", "",
        "# What is measured; without this line all that fits an image.",
        f"measurements = [{quoted}]",
        "# Results that are supplied to measurements that can use them.",
        '# with = ["chains"]',
        "# For images that have no pixel size of their own.",
        "# pixel_size_nm = 0.1",
        "# Bars drawn into pictures: read where the file has no pixel size, prefer, or ignore.",
        '# scale_bars = "missing"',
        "# Of the instrument, as `emtools calibrate` writes it; a path from this file on.",
        "# Of several, ['a.toml', 'b.toml'], the one is applied that an image was taken like.",
        '# calibration = "titan.toml"', "# force_calibration = false",
        "# Pictures of each image: main, all (with histograms and details) or none.",
        '# pictures = "main"', ""]
    for name in fitting:
        lines += [f"[{name}]  # {load(name).summary}", *_parameters(load(name).options), ""]
    lines += [
        "[groups]  # that the report compares, and samples that they are made of",
        '# folders = "group/sample"  # what the levels of folders are',
        '# sheet = "groups.csv"', "# ... or .xlsx; its columns are file, group and sample",
        '# files = { before = "*_before*", after = ["*_1h*", "*_2h*"] }', "",
        "[figure]  # pictures for a paper: emtools figure FOLDER -o figures --recipe ...",
        '# show = ["amplitude_contrast", "false_colour"]  # steps, one after the other',
        "# width_mm = 85", "# dpi = 300", "# scale_bar_nm = 50", "",
        "# What is different for some files or kinds of image; of several that fit, later ones "
        "count.",
        "# [[for]]", '# files = "before/*"', '# modality = "HAADF"',
        f"# measurements = [{quoted}]", *(f"# [for.{name}]" for name in fitting[:1]), ""]
    return "\n".join(lines)


def _parameters(options: tuple[Option, ...]) -> list[str]:
    lines = []
    for option in options:
        if option.type in ("Result", "Image") or option.required:
            continue
        meaning = option.meaning.split(". ", 1)[0].rstrip(".;")
        choices = f" ({', '.join(option.choices)})" if option.choices else ""
        lines.append(f"# {option.name} = {_value(option)}  # {meaning}{choices}")
    return lines


def _value(option: Option) -> str:
    if option.type == "tuple":
        return "[" + ", ".join(f'"{one}"' if isinstance(one, str) else str(one)
                               for one in option.default or ()) + "]"
    if option.type in ("array", "lines", "numbers"):
        return '"FILE"'
    if option.default is None:
        return "..."
    if isinstance(option.default, bool):
        return str(option.default).lower()
    return f'"{option.default}"' if isinstance(option.default, str) else str(option.default)
