"""Files with named numbers -> tables that are parameters of a measurement."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from emtools.cli.reading import reading
from emtools.errors import ParameterError

if TYPE_CHECKING:
    from pathlib import Path

_ADVICE = "give TOML or JSON such as: [{table}] S_Ka = 1.02"


def read_numbers(name: str, path: Path) -> dict[str, float]:
    """Read the named numbers that a parameter needs.

    Parameters
    ----------
    name
        Of the parameter; the file's table has it without underscores (``k_factors`` is
        ``kfactors``).
    path
        ``.toml`` or ``.json``; other tables and keys in it do not matter.

    Raises
    ------
    ReadError
        If the file is missing or broken.
    ParameterError
        If it has no such table, or one that holds other than numbers.
    """
    table = name.replace("_", "")
    advice = _ADVICE.format(table=table)
    with reading(path, advice):
        text = path.read_text(encoding="utf-8")
        held: Any = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    numbers = held.get(table) if isinstance(held, dict) else None
    if not isinstance(numbers, dict):
        raise ParameterError(name, f"{path} holds no table {table}", advice)
    for key, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ParameterError(name, f"{path}: {key} is {value!r}, no number", advice)
    return {key: float(value) for key, value in numbers.items()}
