"""How the command line shows descriptions, results and progress, and writes them to a folder."""

from __future__ import annotations

import codecs
import json
import math
import sys
from typing import TYPE_CHECKING, Any

from emtools.model import Step
from emtools.model.result import Measured, plain
from emtools.tables import error_of
from emtools.units import LENGTH, PIXEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from emtools.instrument import InstrumentCalibration
    from emtools.model import Image, Result

_ROWS = 40  # of a table on a terminal
# Columns that are left out first where the terminal is narrow; --json and the CSV have them all.
_LEAVE_OUT = ("p_value", "k_source", "weight_percent", "atomic_percent_k", "limit", "k_factor",
              "d_reference", "runner_up", "persistence_length", "helix", "tortuosity",
              "fold", "domain", "area", "harmonic", "few_fringes", "k_per", "uv_angle", "aspect",
              "pitch", "width_std", "n_crossings", "y_", "x_", "rotation", "s_", "u_", "v_",
              "orientation", "length", "score", "snr", "ambiguous")


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, soft_wrap=False)


def print_json(content: Mapping[str, Any]) -> None:
    """Print one line of JSON, which is UTF-8 or, where the stream is not, ASCII."""
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    print(json.dumps(content, ensure_ascii=codecs.lookup(encoding).name != "utf-8",  # noqa: T201
                     allow_nan=False))


def print_description(description: Mapping[str, Any], as_json: bool) -> None:
    """Print what is in an image."""
    if as_json:
        print_json(plain(description))
        return
    from rich.table import Table

    console = _console()
    shape = " x ".join(str(n) for n in description["shape"])
    console.print(f"{description['file']}  [{description['index']}] {description['signal']}",
                  style="bold")
    console.print(f"  {shape} {description['dtype']}, read by {description['reader']}")
    table = Table("axis", "size", "pixel size", "from", box=None, padding=(0, 2))
    for axis in description["axes"]:
        table.add_row(axis["name"], str(axis["size"]), _pixel_size(axis), axis["source"])
    console.print(table)
    said = {k: v for k, v in description["acquisition"].items() if v is not None}
    said.pop("fast_axis", None)
    if said:
        console.print("  " + ", ".join(f"{k} {v}" for k, v in said.items()))
    for step in description["steps"]:
        console.print(f"  {Step(**step)}")
    for line in description["audit"]:
        console.print(f"  ! {line}", style="yellow")
    console.print()


def _pixel_size(axis: Mapping[str, Any]) -> str:
    if axis["unit"] == "px":
        return "not calibrated"
    err = axis.get("pixel_size_err")
    return str(Measured(axis["pixel_size"], err if err else float("nan"), axis["unit"]))


def print_calibration(image: Image, calibration: InstrumentCalibration) -> None:
    """Print a calibration of an instrument in words."""
    plane, console = calibration.square, _console()
    along = "y" if plane.anisotropy < 0 else "x"
    scale = Measured(plane.scale, calibration.scale_err * plane.scale, "")
    stretch = Measured(100 * abs(plane.anisotropy), 100 * calibration.anisotropy_err, "%")
    angle = Measured(90.0 - plane.shear_deg, calibration.shear_err_deg, "deg")
    if calibration.setting.unit != LENGTH:
        _print_pattern(image, calibration)
    else:
        console.print(f"{image.name}  calibrated with {calibration.phase} "
                      f"[{calibration.zone_axis}], {calibration.n_reflections} reflections",
                      style="bold")
        console.print(f"  scale: true lengths are {scale} times the stated ones")
    console.print(f"  anisotropy: the image is stretched by {stretch} along {along}")
    console.print(f"  shear: its rows and columns are {angle} apart")
    console.print("  These errors are of the fit to this image. Other images taken alike: "
                  f"the scale within {100 * calibration.reproducibility:g} % (1 sigma; "
                  "reproducibility, which one image does not tell).")


def _print_pattern(image: Image, calibration: InstrumentCalibration) -> None:
    """Print the scale of diffraction patterns: pixel, camera constant, camera length."""
    plane, setting, console = calibration.square, calibration.setting, _console()
    console.print(f"{image.name}  calibrated with {calibration.n_reflections} rings of "
                  f"{calibration.phase}", style="bold")
    stated = math.sqrt(setting.pixel_size_y * setting.pixel_size_x)
    pixel = plane.scale * (1.0 if setting.unit == PIXEL else stated)
    err = calibration.scale_err
    console.print(f"  one pixel is {Measured(pixel, err * pixel, '1/nm')}; camera constant "
                  f"(radius times d): {Measured(1 / pixel, err / pixel, 'nm px')}")
    if setting.unit != PIXEL:
        console.print("  scale: true wave numbers are "
                      f"{Measured(plane.scale, err * plane.scale, '')} times the stated ones")
    length = setting.camera_length_mm
    if length and setting.unit != PIXEL:
        true = length / plane.scale
        console.print(f"  camera length: {Measured(true, err * true, 'mm')} where {length:g} mm is "
                      "stated")


def print_result(image: Image, result: Result) -> None:
    """Print a result as readable tables."""
    console = _console()
    console.print(f"{image.name}  {result.measurement}", style="bold")
    for key, value in result.summary.items():
        console.print(f"  {key.replace('_', ' ')}: {_readable(value)}")
    for name, frame in result.tables.items():
        if len(frame) and name != "axes":
            console.print(_table(name, frame, console.width))
    console.print()


def _readable(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(name: str, frame: Any, width: int) -> Any:
    from rich.table import Table

    shown = frame.dropna(axis="columns", how="all").head(_ROWS)
    rows = shown.to_dict("records")
    errors = {error_of(column) for column in shown}
    cells = {column: [_cell(row, column) for row in rows] for column in shown
             if column not in errors}
    hidden = _narrowed(cells, width)
    title = name if len(frame) <= _ROWS else f"{name} (first {_ROWS} of {len(frame)})"
    title += f" (without {', '.join(hidden)})" if hidden else ""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1),
                  title_style="italic")
    for column in cells:
        table.add_column(column, no_wrap=True)
    for row in zip(*cells.values(), strict=True):
        table.add_row(*row)
    return table


def _narrowed(cells: dict[str, list[str]], width: int) -> list[str]:
    """Take out columns until the rest fits; return their names."""
    hidden: list[str] = []
    for start in _LEAVE_OUT:
        for column in [c for c in cells if c.startswith(start)]:
            needed = sum(2 + max(len(c), *map(len, texts)) for c, texts in cells.items())
            if needed <= width:
                return hidden
            del cells[column]
            hidden.append(column)
    return hidden


def _cell(row: Mapping[str, Any], column: str) -> str:
    value = row[column]
    if isinstance(value, bool):
        return "yes" if value else ""
    if not isinstance(value, float):
        return str(value)
    if math.isnan(value):
        return "-"
    return str(Measured(value, row.get(error_of(column), math.nan)))
