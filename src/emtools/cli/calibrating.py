"""`emtools calibrate`: from the image of a known crystal to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from emtools import instrument
from emtools.cli.showing import print_calibration
from emtools.errors import EmtoolsError, ImageError, ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from emtools.model import Image


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
