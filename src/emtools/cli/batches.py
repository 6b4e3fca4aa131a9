"""Commands of batches: measure a folder, write a recipe, export its tables, write its report."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer

from emtools.cli.options import settings
from emtools.cli.shared import (
    EXIT_STOPPED,
    Calibrated,
    Force,
    GroupsOf,
    JsonLines,
    LogFile,
    NoOcr,
    PicturesOf,
    PixelSize,
    Quiet,
    RecipeFile,
    Rehash,
    Scheduler,
    Settings,
    Timeout,
    TrustBar,
    Watch,
    With,
    Workers,
    calibration_of,
    finish,
    listed,
    scale_bars,
)
from emtools.errors import ParameterError

if TYPE_CHECKING:
    from emtools.batch import Outcome


def batch(
    folder: Annotated[Path, typer.Argument(help="Folder of micrographs.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Results folder.")],
    *,
    recipe: RecipeFile = None,
    dry_run: Annotated[bool, typer.Option(
        "--dry-run", help="Say what would be measured, and measure nothing.")] = False,
    measure: Annotated[str | None, typer.Option(
        help="Measurements with commas; by default all that fit.", show_default=False)] = None,
    set_: Settings = None,
    with_: With = None,
    pixel_size_nm: PixelSize = None,
    no_ocr: NoOcr = False,
    trust_bar: TrustBar = False,
    calibration: Calibrated = None,
    force_calibration: Force = False,
    groups: GroupsOf = None,
    pictures: PicturesOf = "main",
    workers: Workers = None,
    timeout_s: Timeout = None,
    rehash: Rehash = False,
    scheduler: Scheduler = "",
    watch: Watch = False,
    quiet: Quiet = False,
    as_json: JsonLines = False,
    log: LogFile = None,
) -> None:
    """Measure a whole folder: tables, pictures and one page.

    A file that was measured before in the same way is not measured again; after a stop, the same
    command goes on.
    """
    from emtools import batch as room
    from emtools.batch.plan import Recipe
    from emtools.cli.monitoring import monitoring
    from emtools.results import Groups

    known = calibration_of(calibration)
    given = Recipe(listed(measure) or None, settings(set_ or []), pixel_size_nm,
                   () if known is None else (known,), force_calibration, listed(with_), (),
                   Groups.given(groups or ""), pictures,  # type: ignore[arg-type]
                   scale_bars(no_ocr=no_ocr, trust_bar=trust_bar))
    if recipe is not None:
        from emtools.cli.recipes import read_recipe

        given = read_recipe(recipe).with_(given)
    effort = room.Effort(workers, scheduler, timeout_s, rehash)
    if dry_run:
        from emtools.cli.planning import print_preview

        print_preview(room.preview(folder, output, given), effort.processes)
        return
    failed: tuple[tuple[str, str], ...] = ()
    try:
        with monitoring(bar=not (quiet or as_json), lines=as_json, log=log) as monitor:
            rounds = room.watch(folder, output, given, effort, monitor) if watch else \
                [room.run(folder, output, given, effort, monitor)]
            for outcome in rounds:
                _say(outcome, to_error=as_json)
                failed = outcome.failed
    except KeyboardInterrupt:
        typer.echo(f"stopped; what was measured is kept in {output}, and the same command goes on",
                   err=True)
        raise typer.Exit(EXIT_STOPPED) from None
    finish([f"{file}: {reason}" for file, reason in failed])


def _say(outcome: Outcome, *, to_error: bool) -> None:
    typer.echo(f"{outcome.measured} images measured, {outcome.left_out} left out, "
               f"{len(outcome.failed)} failed; {outcome.others} other files"
               + (f"; {outcome.reused} known before" if outcome.reused else ""), err=to_error)
    typer.echo(f"report: {outcome.report}", err=to_error)


def recipe(
    folder: Annotated[Path, typer.Argument(help="Folder of micrographs.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: .toml.")],
) -> None:
    """Write a commented recipe for what a folder holds."""
    from emtools import batch as room
    from emtools.cli.planning import recipe_text

    if output.exists():
        raise ParameterError(str(output), "exists already", "give another name with -o")
    output.write_text(recipe_text(room.preview(folder, output)), encoding="utf-8")
    typer.echo(str(output))


def export(
    results: Annotated[Path, typer.Argument(help="Results folder of a batch.",
                                            show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")],
    *,
    to: Annotated[str, typer.Option(help="csv, parquet or xlsx.")] = "csv",
) -> None:
    """Write the tables of a batch's last run, one file for each kind of row."""
    from emtools import results as room

    with room.open_results(results) as opened:
        for path in room.export(opened, output, to):  # type: ignore[arg-type]
            typer.echo(str(path))


def report(
    results: Annotated[Path, typer.Argument(help="Results folder of a batch.",
                                            show_default=False)],
    *,
    output: Annotated[Path | None, typer.Option(
        "--output", "-o", help="File to write; by default index.html in the results folder.",
        show_default=False)] = None,
    groups: GroupsOf = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "",
    run: Annotated[int | None, typer.Option(
        help="Number of a run; by default the last one.", show_default=False)] = None,
) -> None:
    """Write the report of a batch: one page with populations, objects, images and methods."""
    from emtools.report import write_report
    from emtools.results import Groups, open_results

    with open_results(results, run) as opened:
        typer.echo(str(write_report(opened, output, groups=Groups.given(groups or ""),
                                    title=title)))
