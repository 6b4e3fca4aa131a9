"""The command line: thin, its options derived from the signatures of what it runs.

Only the command that is asked for imports what it needs, so that `emtools --help` starts fast.
"""

from __future__ import annotations

import ast
import importlib.machinery
import inspect
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emtools import measure
from emtools.cli.batches import batch, export, recipe, report
from emtools.cli.options import from_text, settings, with_signature
from emtools.cli.shared import (
    EXIT_USAGE,
    Calibrated,
    Files,
    Force,
    Frame,
    Json,
    NoOcr,
    Output,
    PixelSize,
    PixelSizeReciprocal,
    Settings,
    Signal,
    TrustBar,
    With,
    calibration_of,
    finish,
    listed,
    scale_bars,
)
from emtools.cli.spelling import spell_out
from emtools.errors import EmtoolsError, ParameterError
from emtools.measure import Run, load, names, needed_by

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emtools.model import Image, Result

_COMMON: dict[str, tuple[Any, Any]] = {
    "as_json": (Json, False), "output": (Output, None), "pixel_size_nm": (PixelSize, None),
    "pixel_size_per_nm": (PixelSizeReciprocal, None), "signal": (Signal, None),
    "frame": (Frame, None), "no_ocr": (NoOcr, False), "trust_bar": (TrustBar, False),
    "calibration": (Calibrated, None), "force_calibration": (Force, False),
}


def build(arguments: Sequence[str]) -> typer.Typer:
    """Return the application; only the measurement that `arguments` name is imported."""
    app = typer.Typer(name="emtools", no_args_is_help=True, add_completion=False,
                      pretty_exceptions_enable=False, rich_markup_mode=None,
                      help="Measure electron micrographs, each number with its uncertainty.")
    app.callback()(_version_option)
    app.command("info")(info)
    for name in names():
        if name in arguments:
            app.command(name, help=load(name).summary)(_measurement_command(name))
        else:
            app.command(name, help=_first_line(name), context_settings=_PASS)(_unused)
    app.command("batch")(batch)
    app.command("recipe")(recipe)
    app.command("export")(export)
    app.command("report")(report)
    app.command("calibrate")(calibrate)
    if "figure" in arguments:
        from emtools.cli.figuring import figure_command

        app.command("figure")(figure_command())
    else:
        app.command("figure", help=_FIGURE, context_settings=_PASS)(_unused)
    _add_simulators(app, arguments)
    return app


_FIGURE = "Make pictures for a paper of images or folders, with one recipe."
_PASS = {"ignore_unknown_options": True, "allow_extra_args": True}


def _unused() -> None:
    raise AssertionError("a command that was not named cannot run")


def _show_version(asked: bool) -> None:
    if asked:
        from emtools import __version__

        typer.echo(__version__)
        raise typer.Exit


def _version_option(
    version: Annotated[bool, typer.Option("--version", help="Show the version.", is_eager=True,
                                          callback=_show_version)] = False,
) -> None:
    """Take the options that stand before the command."""


def _first_line(name: str) -> str:
    """First line of a measurement module's docstring, read without importing it."""
    # Of one's own, or of the package: wherever the module would be imported from.
    found = importlib.machinery.PathFinder.find_spec(f"emtools.measure.{name}", measure.__path__)
    source = Path(str(found.origin if found else ""))
    doc = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or name
    return doc.split("\n", 1)[0]


def info(
    files: Files, as_json: Json = False, *, no_ocr: NoOcr = False, trust_bar: TrustBar = False
) -> None:
    """Show what is in a file: signals, axes, calibration and what is doubtful about it."""
    from emtools import io
    from emtools.cli.showing import print_description

    failed = []
    bars = scale_bars(no_ocr=no_ocr, trust_bar=trust_bar)
    for file in files:
        try:
            descriptions = [io.describe(image) for image in io.read(file, scale_bars=bars)]
        except EmtoolsError as error:
            failed.append(str(error))
            continue
        for description in descriptions:
            print_description(description, as_json)
    finish(failed)


def _measurement_command(name: str) -> Callable[..., None]:
    """Make the command of a measurement from its signature."""
    measurement = load(name)
    options = [option for option in measurement.options if option.type not in ("Result", "Image")]
    shared = _COMMON | ({"set_": (Settings, None)} if measurement.rests_on else {})
    if not all(option.required for option in measurement.rests_on):
        shared["with_"] = (With, None)

    def command(**values: Any) -> None:
        common = {key: values.pop(key) for key in shared}
        common["calibration"] = calibration_of(common["calibration"])
        files = values.pop("files")
        own = {option.name: from_text(option, values[option.name]) for option in options}
        common["wanted"] = _listed(common.get("with_"), name)
        parameters = settings(common.get("set_") or [])
        _listed(",".join(parameters), name)
        parameters[name] = own | parameters.get(name, {})
        failed: list[str] = []
        for file in files:
            failed += _measure_file(file, name, parameters, common)
        finish(failed)

    return with_signature(command, {"files": (Files, inspect.Parameter.empty), **shared},
                           options, measurement.summary)


def _listed(text: str | None, name: str) -> tuple[str, ...]:
    """Read names of measurements that a measurement can use."""
    given = listed(text)
    known = needed_by(name)
    for one in given:
        if one not in known:
            raise ParameterError(one, f"is not used by {name}", f"it uses {', '.join(known)}")
    return given


def _measure_file(
    file: Path, name: str, parameters: dict[str, dict[str, Any]], common: dict[str, Any]
) -> list[str]:
    """Measure the images of one file; return what failed."""
    from emtools.cli import showing

    try:
        images, sisters = _images(file, name, common)
    except ParameterError:
        raise  # wrong usage, whatever the file
    except EmtoolsError as error:
        return [str(error)]
    failed = []
    for stated in images:
        image = stated
        try:
            if common["calibration"] is not None:
                image = common["calibration"].apply(image, force=common["force_calibration"])
            result = Run(image, parameters, common["wanted"], sisters).result(name)
        except ParameterError:
            raise
        except EmtoolsError as error:
            failed.append(str(error))
            continue
        _show(showing, image, result, common)
    return failed


def _show(showing: Any, image: Image, result: Result, common: dict[str, Any]) -> None:
    if common["as_json"]:
        showing.print_json(result.to_dict())
    else:
        showing.print_result(image, result)
    if common["output"] is not None:
        from emtools.results.single import write_result

        write_result(image, result, common["output"])


def _images(
    file: Path, name: str, common: dict[str, Any]
) -> tuple[list[Image], tuple[Image, ...]]:
    """Return the images of a file that the measurement fits or that is asked for, and all."""
    from emtools import io
    from emtools.errors import ImageError

    asked = common["signal"]
    needs_others = bool(load(name).rests_on or load(name).takes_pictures)
    bars = scale_bars(no_ocr=common["no_ocr"], trust_bar=common["trust_bar"])
    every = io.read(file, scale_bars=bars)
    images = every if asked is None else [io.one_of(every, asked)]
    images = [_prepared(image, common) for image in images]
    sisters = tuple(_prepared(image, common) for image in every) if needs_others else ()
    reasons = [load(name).why_not(image) for image in images]
    fitting = [image for image, reason in zip(images, reasons, strict=True) if reason is None]
    if not fitting and len(images) > 1:
        raise ImageError(str(file), f"holds no image that {name} fits",
                         "see `emtools info`, and choose with --signal or --frame")
    # A single image is measured anyway: the measurement itself says best why it cannot.
    return fitting or images, sisters


def _prepared(image: Image, common: dict[str, Any]) -> Image:
    if common["frame"] is not None:
        from emtools.batch.plan import frame_of

        image = frame_of(image, common["frame"])
    for key, unit in (("pixel_size_nm", "nm"), ("pixel_size_per_nm", "1/nm")):
        value = common[key]
        if value is not None:
            if not 0 < value < math.inf:
                raise ParameterError(key, f"must be positive and finite, not {value}")
            if image.has_axis("y") and image.has_axis("x"):
                image = image.calibrated(value, unit)
    return image


def calibrate(
    file: Annotated[Path, typer.Argument(help="Micrograph of the crystal.", show_default=False)],
    phase: Annotated[str | None, typer.Option(
        help="The crystal: a built-in name or a CIF file.", show_default=False)] = None,
    output: Annotated[Path | None, typer.Option(
        "--output", "-o", help="File to write: .toml, with --bar a picture.",
        show_default=False)] = None,
    reproducibility: Annotated[float | None, typer.Option(
        help="Relative 1 sigma of lengths between images taken alike; by default 0.008.",
        show_default=False)] = None,
    *,
    signal: Signal = None,
    frame: Frame = None,
    pixel_size_nm: PixelSize = None,
    rings: Annotated[bool, typer.Option(
        "--rings", help="The file is a diffraction pattern with rings of the phase.")] = False,
    bar: Annotated[bool, typer.Option(
        "--bar", help="Read the scale bar that is drawn into the file, and show what was read.",
    )] = False,
    no_ocr: NoOcr = False,
    trust_bar: TrustBar = False,
) -> None:
    """Calibrate an instrument with a known crystal, or show what is read from a scale bar."""
    from emtools.cli.calibrating import calibrate_with, show_bar

    if bar:
        finish(show_bar(file, output))
        return
    if phase is None or output is None:
        raise ParameterError("calibrate", "needs a known crystal and a file to write",
                             "give --phase and -o, or --bar to see what a scale bar says")
    common = {"signal": signal, "frame": frame, "pixel_size_nm": pixel_size_nm,
              "pixel_size_per_nm": None, "no_ocr": no_ocr, "trust_bar": trust_bar}
    seen = "rings" if rings else "lattice"
    finish(calibrate_with(lambda: _images(file, seen, common)[0], phase, output, reproducibility,
                          rings=rings))


def _add_simulators(app: typer.Typer, arguments: Sequence[str]) -> None:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None,
                        help="Make images whose truth is known.")
    app.add_typer(group, name="simulate")
    if "simulate" in arguments:
        from emtools.cli.simulating import simulators

        for name, function in simulators().items():
            doc = inspect.getdoc(function) or ""
            group.command(name, help=doc.split("\n", 1)[0])(_simulator_command(function))
    else:
        group.command("crystal")(_unused)


def _simulator_command(function: Callable[..., Any]) -> Callable[..., None]:
    from emtools.cli import simulating

    options = simulating.options(function)

    def command(**values: Any) -> None:
        target = values.pop("target")
        parameters = {option.name: from_text(option, values[option.name]) for option in options}
        for path in simulating.write(function, parameters, target):
            typer.echo(str(path))

    target = Annotated[Path, typer.Option("--output", "-o",
                                          help="File to write: .tif or .hspy.")]
    return with_signature(command, {"target": (target, inspect.Parameter.empty)}, options,
                           inspect.getdoc(function) or "")


def main() -> None:
    """Run the command line."""
    arguments = sys.argv[1:]
    spell_out(sys.stdout, sys.stderr)
    try:
        build(arguments)(arguments, prog_name="emtools")
    except EmtoolsError as error:
        typer.echo(f"emtools: {error}", err=True)
        raise SystemExit(EXIT_USAGE) from error
