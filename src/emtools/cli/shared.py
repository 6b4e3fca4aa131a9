"""Options that commands have in common, and how a command ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emtools.errors import ParameterError

if TYPE_CHECKING:
    from emtools.instrument import InstrumentCalibration
    from emtools.io.scale_bar import ScaleBars

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
NoOcr = Annotated[bool, typer.Option(
    "--no-ocr", help="Do not read scale bars that are drawn into pictures.")]
TrustBar = Annotated[bool, typer.Option(
    "--trust-bar", help="Use a bar's scale even where the file states another.")]
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


RecipeFile = Annotated[Path | None, typer.Option(
    "--recipe", help="A recipe, see `emtools recipe`, or a results folder, for the recipe of its "
    "last run; other options go before it.", show_default=False)]
PicturesOf = Annotated[str, typer.Option(
    "--pictures", help="Pictures of each image: main, all (with histograms and details) or none.")]
Workers = Annotated[int | None, typer.Option(
    "--workers", help="Worker processes; by default one for each core.", show_default=False)]
Timeout = Annotated[float | None, typer.Option(
    "--timeout-s", help="Longest that a file may take, in seconds; one that hangs is given up.",
    show_default=False)]
Rehash = Annotated[bool, typer.Option(
    "--rehash", help="Read all files to see whether they changed; by default one of the same size, "
    "time of change and inode did not.")]
Scheduler = Annotated[str, typer.Option(
    "--scheduler", help="Address of a dask scheduler whose workers measure: tcp://host:8786.",
    show_default=False)]
Watch = Annotated[bool, typer.Option(
    "--watch", help="Go on with whatever is new in the folder, until Ctrl-C.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no bar.")]
JsonLines = Annotated[bool, typer.Option(
    "--json", help="One JSON object a file on the standard output, and no bar.")]
LogFile = Annotated[Path | None, typer.Option(
    "--log", help="File that a line for each file is appended to.", show_default=False)]


def scale_bars(*, no_ocr: bool, trust_bar: bool) -> ScaleBars:
    """What the two options say about bars in pictures."""
    if no_ocr and trust_bar:
        raise ParameterError("--trust-bar", "cannot go with --no-ocr", "give one of them")
    return "ignore" if no_ocr else "prefer" if trust_bar else "missing"


def listed(text: str | None) -> tuple[str, ...]:
    """Names that are given with commas."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


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
