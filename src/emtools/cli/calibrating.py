"""`emtools calibrate`: from the image of a known crystal to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from emtools import instrument
from emtools.cli.showing import print_calibration
from emtools.errors import EmtoolsError, ImageError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from emtools.model import Image


def show_bar(file: Path, output: Path | None) -> list[str]:
    """Say what is read from a picture's scale bar and draw it; return what failed."""
    from emtools import figures, io
    from emtools.process.bars import scale_bar_of

    try:
        image = next((one for one in io.read(file, scale_bars="prefer")
                      if scale_bar_of(one) is not None), None)
        if image is None:
            raise ImageError(str(file), _why_not(file), "draw a line over the bar in napari, or "
                             "give --pixel-size-nm")
    except EmtoolsError as error:
        return [str(error)]
    typer.echo(image.audit[-1])
    written = figures.save(figures.bar_figure(image), output or Path(f"{file.stem}_bar.png"))
    typer.echo(f"written: {written}")
    return []


def _why_not(file: Path) -> str:
    from emtools import io

    image = io.read_one(file, scale_bars="ignore")
    if not image.is_plane or image.data.dtype.kind not in "uifb":
        return "is no single picture"
    said = io.read_scale_bar(image.load())
    return said.reason if isinstance(said, io.scale_bar.NoReading) else "has no bar that is read"


def calibrate_with(
    read: Callable[[], list[Image]], phase: str, output: Path,
    reproducibility: float | None, *, rings: bool = False,
) -> list[str]:
    """Calibrate with the one image that `read` returns and write the file; return what failed."""
    if reproducibility is None:
        reproducibility = instrument.DEFAULT_REPRODUCIBILITY
    try:
        images = read()
        if len(images) > 1:
            raise ImageError(images[0].source.file or "the file", f"holds {len(images)} images",
                             "choose one with --signal")
        make = instrument.calibrate_rings if rings else instrument.calibrate
        calibration = make(images[0], phase, reproducibility=reproducibility)
    except ParameterError:
        raise  # wrong usage, whatever the file
    except EmtoolsError as error:
        return [str(error)]
    calibration.write(output)
    print_calibration(images[0], calibration)
    typer.echo(f"written: {output}")
    return []
