"""Images, results and measured numbers as HTML, for notebooks.

A card shows what is known without being asked: picture and calibration of an image, outcome and
first rows of a result.  All text is escaped: nothing that a file says becomes markup.
"""

from __future__ import annotations

import base64
import math
from functools import cache
from typing import TYPE_CHECKING, Any

from emtools.errors import EmtoolsError
from emtools.model import Measured

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Template

    from emtools.model import Axis, Image, Result

_ROWS, _COLUMNS = 5, 12  # of a table that are shown
_LETTERS = 60  # of a value
_PICTURE_DPI = 110
_MOST_PIXELS = 64_000_000  # of an image whose pixels are still on the disk


def image_card(image: Image) -> str:
    """Return an image as HTML: thumbnail with scale bar, size, calibration, what was doubted.

    Parameters
    ----------
    image
        Any image.  Of one that is not read yet and very large no picture is made.
    """
    facts = {"size": " × ".join(f"{axis.size} {axis.name}" for axis in image.axes)
             + f", {image.data.dtype}" + (", not read yet" if image.lazy else "")}
    facts |= {f"along {axis.name}": _calibration(axis) for axis in image.axes}
    facts |= {"shows": _conditions(image), "masked": _masked(image)}
    return _template("image").render(
        name=image.name, facts={name: fact for name, fact in facts.items() if fact},
        picture=_picture(image), audit=image.audit, steps=[str(step) for step in image.steps])


def result_card(result: Result) -> str:
    """Return a result as HTML: outcome, summary, the first rows of its tables, parameters.

    Parameters
    ----------
    result
        Of any measurement.
    """
    summary = {name: _said(value) for name, value in result.summary.items()
               if name != "outcome" and _known(value)}
    tables = [(name, len(table), _head(table)) for name, table in result.tables.items()]
    return _template("result").render(
        measurement=result.measurement, outcome=result.outcome, summary=summary, tables=tables,
        parameters={name: _said(value) for name, value in result.parameters.items()},
        source={name: _said(value) for name, value in result.source.items() if value is not None})


def measured_card(measured: Measured) -> str:
    """Return a measured number as HTML: value, 1 sigma and unit.

    Parameters
    ----------
    measured
        Any number.
    """
    return _template("measured").render(text=str(measured))


@cache
def _template(name: str) -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(loader=PackageLoader("emtools", "cards"), autoescape=True,
                       undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                       ).get_template(f"{name}.jinja")


def _calibration(axis: Axis) -> str:
    """Pixel size, its uncertainty, where it comes from, and how long the axis is."""
    if not axis.calibrated:
        return "not calibrated: in px"
    step = "channel" if axis.name == "energy" else "pixel"
    err = f" ± {100 * axis.relative_err:.2g} %" if axis.relative_err > 0 else ""
    return (f"{axis.pixel_size:.5g} {axis.unit}{err} a {step} ({axis.source}), "
            f"{axis.size * axis.pixel_size:.4g} {axis.unit} in all")


def _conditions(image: Image) -> str:
    said = image.acquisition
    energy = f"{said.beam_energy_keV:g} keV" if said.beam_energy_keV else ""
    parts = (said.modality, energy, said.instrument, said.detector, said.date)
    return ", ".join(str(part) for part in parts if part)


def _masked(image: Image) -> str:
    if image.mask is None:
        return ""
    return f"{100 * (1.0 - float(image.mask.mean())):.1f} % of the pixels are left out"


def _picture(image: Image) -> str:
    """A data address of the image's picture, empty if there is none to be made at once."""
    from emtools.figures import image_figure, png

    if image.lazy and math.prod(image.shape) > _MOST_PIXELS:
        return ""
    try:
        content = png(image_figure(image), _PICTURE_DPI)
    except EmtoolsError:
        return ""
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def _known(value: Any) -> bool:
    """Whether a summary's value says something."""
    if isinstance(value, Measured):
        return math.isfinite(value.value)
    return value is not None and value != "" and value == value  # noqa: PLR0124 - not NaN


def _said(value: Any) -> str:
    if isinstance(value, float):
        text = f"{value:.5g}"
    elif isinstance(value, (tuple, list)):
        text = ", ".join(map(str, value))
    else:
        text = str(value)
    return text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…"


def _head(table: pd.DataFrame) -> list[list[str]]:
    """Names of the columns that say something, and the first rows."""
    rows = table.head(_ROWS)
    columns = [name for name in rows if not rows[name].isna().all() and (rows[name] != "").any()]
    columns = columns[:_COLUMNS]
    return [[str(name) for name in columns],
            *([_said(value) for value in row]
              for row in rows[columns].itertuples(index=False, name=None))]
