"""Options that commands have in common, and how a command ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from emtools.instrument import InstrumentCalibration

EXIT_SOME_FAILED = 1
EXIT_USAGE = 2
EXIT_STOPPED = 130  # as shells have it for Ctrl-C

Files = Annotated[list[Path], typer.Argument(help="Micrographs.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="One JSON object per image and line.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write CSV and PNG there.")]
PixelSize = Annotated[float | None, typer.Option(
    help="Pixel size in nm; beats what the file says.", show_default=False)]
PixelSizeReciprocal = Annotated[float | None, typer.Option(
    "--pixel-size-per-nm", help="Pixel size of a diffraction pattern in 1/nm.",
    show_default=False)]
Signal = Annotated[str | None, typer.Option(help="Name or number of the signal in the file.")]
Settings = Annotated[list[str] | None, typer.Option(
    "--set", help="A parameter of a measurement: --set lattice.phases=PbS,CuInS2",
    show_default=False)]
With = Annotated[str | None, typer.Option(
    "--with", help="Measurements, with commas, whose results are used where they need not be.",
    show_default=False)]
Frame = Annotated[int | None, typer.Option(help="Number of the frame of a stack, from 0.")]
Calibrated = Annotated[Path | None, typer.Option(
    "--calibration", help="Calibration of the instrument, made by `emtools calibrate`.",
    show_default=False)]
GroupsOf = Annotated[str | None, typer.Option(
    "--groups", help="What files belong to: a sheet (.csv, .xlsx) with the columns file, group and "
    "sample, or what the folders are (group, group/sample).", show_default=False)]
Force = Annotated[bool, typer.Option(
    "--force-calibration", help="Apply it to images that were taken differently, too.")]


def calibration_of(path: Path | None) -> InstrumentCalibration | None:
    """Read the calibration that an option names, if any."""
    if path is None:
        return None
    from emtools.instrument import InstrumentCalibration

    return InstrumentCalibration.read(path)


def finish(failed: list[str]) -> None:
    """End with exit code 1, the failures listed, if there are any."""
    if not failed:
        return
    typer.echo(f"{len(failed)} failed:", err=True)
    for reason in failed:
        typer.echo(f"  {reason}", err=True)
    raise typer.Exit(EXIT_SOME_FAILED)
