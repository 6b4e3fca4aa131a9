"""Files with drawn lines -> lines that are a parameter of a measurement."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.cli.reading import reading
from emtools.errors import ParameterError
from emtools.measure import Given

if TYPE_CHECKING:
    from pathlib import Path

_PLACES = (("y_nm", "x_nm"), ("y_px", "x_px"))
_ADVICE = ("give CSV with the columns chain, y_nm, x_nm, as of the table `axes`, or JSON: a list "
           "of lines of points [y, x], or an object of them by their numbers")


def read_lines(name: str, path: Path) -> Given:
    """Read the lines that a parameter needs, together with where they are from.

    Parameters
    ----------
    name
        Of the parameter.
    path
        ``.csv`` with the columns chain, y_nm and x_nm (or y_px and x_px; others do not matter), or
        ``.json``.

    Returns
    -------
    Given
        Points ``(n, 2)`` of each line by its number.

    Raises
    ------
    ReadError
        If the file is missing or broken.
    ParameterError
        If it does not hold lines.
    """
    readers = {".csv": _from_csv, ".json": _from_json}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ParameterError(name, f"{path} is no .csv or .json", _ADVICE)
    with reading(path, _ADVICE):
        return Given(reader(name, path), str(path))


def _from_csv(name: str, path: Path) -> dict[int, Any]:
    import pandas as pd

    table = pd.read_csv(path)
    places = next((list(pair) for pair in _PLACES if {"chain", *pair} <= set(table)), None)
    if places is None:
        raise ParameterError(name, f"{path} has the columns {', '.join(map(str, table))}", _ADVICE)
    images = set(table["file"]) if "file" in table else set()
    if len(images) > 1:
        raise ParameterError(name, f"{path} holds the lines of {len(images)} images",
                             "give those of one")
    used = table[["chain", *places]]
    if not all(used[column].dtype.kind in "iuf" for column in used) \
            or not np.isfinite(used.to_numpy(dtype=float)).all() \
            or (used["chain"] % 1 != 0).any():
        raise ParameterError(name, f"{path} holds places or chains that are no numbers", _ADVICE)
    chains, points = used["chain"].to_numpy(dtype=int), used[places].to_numpy(dtype=float)
    return {int(chain): points[chains == chain] for chain in np.unique(chains)}


def _from_json(name: str, path: Path) -> dict[int, Any]:
    held = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(held, list):
        held = {str(number): line for number, line in enumerate(held, start=1)}
    if not isinstance(held, dict) or not all(key.isdecimal() for key in held):
        raise ParameterError(name, f"{path} holds no list of lines", _ADVICE)
    return {int(key): line for key, line in held.items()}
