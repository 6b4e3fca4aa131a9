"""`emtools figure`: options and recipes -> pictures for a paper."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from emtools.batch import drawing
from emtools.batch.drawing import KINDS, Shown
from emtools.batch.plan import Recipe
from emtools.cli.options import from_text, settings, with_signature
from emtools.cli.recipes import FigureTable, read_figure_table, read_recipe
from emtools.cli.shared import (
    Calibrated,
    Force,
    Frame,
    NoOcr,
    PixelSize,
    RecipeFile,
    Signal,
    TrustBar,
    calibration_of,
    finish,
    listed,
    scale_bars,
)
from emtools.figures import Layout
from emtools.measure import options_of
from emtools.process.steps import STEPS

if TYPE_CHECKING:
    from collections.abc import Callable

_NEEDED = inspect.Parameter.empty
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "paths": (Annotated[list[Path], typer.Argument(
        help="Images, or folders of them.", show_default=False)], _NEEDED),
    "output": (Annotated[Path, typer.Option(
        "--output", "-o", help="Folder for a picture of each image, or a file "
        f"({', '.join('.' + kind for kind in KINDS)}) for one sheet with all of them.")], _NEEDED),
    "recipe": (RecipeFile, None),
    "show": (Annotated[str | None, typer.Option(
        help=f"Steps with commas, one after the other: {', '.join(STEPS)}.",
        show_default=False)], None),
    "measure": (Annotated[str | None, typer.Option(
        help="Measurements with commas that are drawn on the pictures.",
        show_default=False)], None),
    "set_": (Annotated[list[str] | None, typer.Option(
        "--set", help="A parameter of a step or measurement: "
        "--set amplitude_contrast.background_nm=40", show_default=False)], None),
    "kind": (Annotated[str | None, typer.Option(
        "--format", help=f"Of the pictures in a folder: {', '.join(KINDS)}; png if not given.",
        show_default=False)], None),
    "force": (Annotated[bool, typer.Option(
        "--force", help="Replace files that were not made by this command.")], False),
    "signal": (Signal, None), "frame": (Frame, None), "pixel_size_nm": (PixelSize, None),
    "no_ocr": (NoOcr, False), "trust_bar": (TrustBar, False),
    "calibration": (Calibrated, None), "force_calibration": (Force, False),
}


def figure_command() -> Callable[..., None]:
    """Return the command; the options of the layout come from its signature."""
    looks = options_of(Layout)

    def command(**values: Any) -> None:
        """Make pictures for a paper of images or folders, with one recipe."""
        layout = {option.name: from_text(option, values.pop(option.name)) for option in looks}
        # What is not what it is by default was given, and goes before the recipe.
        given = {option.name: layout[option.name] for option in looks
                 if layout[option.name] != option.default}
        table = FigureTable() if values["recipe"] is None else read_figure_table(values["recipe"])
        parameters = settings(values["set_"] or [], STEPS)
        steps = {name: {**table.steps.get(name, {}), **parameters.pop(name, {})}
                 for name in STEPS if name in table.steps or name in parameters}
        shown = drawing.with_kind(Shown(
            show=listed(values["show"]) or table.show, steps=steps,
            measure=listed(values["measure"]) or table.measure,
            kind=values["kind"] or table.kind, layout=Layout(**{**table.layout, **given}),
            signal=values["signal"], frame=values["frame"]), values["output"])
        finish(drawing.draw(values["paths"], values["output"], shown,
                            _recipe(values, parameters), force=values["force"],
                            tell=lambda path: typer.echo(str(path))))

    return with_signature(command, _OPTIONS, looks, command.__doc__ or "")


def _recipe(values: dict[str, Any], parameters: dict[str, dict[str, Any]]) -> Recipe:
    """What measurements are made with: the recipe's, and what is given beside it."""
    known = calibration_of(values["calibration"])
    given = Recipe(parameters=parameters, pixel_size_nm=values["pixel_size_nm"],
                   calibrations=() if known is None else (known,),
                   force_calibration=values["force_calibration"],
                   scale_bars=scale_bars(no_ocr=values["no_ocr"], trust_bar=values["trust_bar"]))
    return given if values["recipe"] is None else read_recipe(values["recipe"]).with_(given)
