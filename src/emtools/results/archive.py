"""Whole results as one file and back, with layers and details, so that nothing is measured again.

The file is a ZIP: ``content.json`` names what it holds, arrays lie beside it as ``.npy`` and tables
as Parquet.  Nothing in it is a program: whoever opens one runs nothing of it.
"""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from emtools.errors import ParameterError
from emtools.model import Measured, Result

if TYPE_CHECKING:
    import os

_TAG = "~"  # in place of a mapping: what kind of value it stands for
_CONTENT = "content.json"


def write_archive(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write values, arrays, tables and results into a file, which is whole or not there.

    Parameters
    ----------
    path
        Of the file; one that is there is replaced.
    content
        Of numbers, texts, lists, tuples, mappings, arrays, DataFrames, `Measured` and `Result`.

    Raises
    ------
    ParameterError
        If it cannot be written, or holds anything else.
    """
    path = Path(path)
    parts: dict[str, bytes] = {}
    plain = _put(content, parts)
    beside = path.with_name(f"{path.name}.part")
    try:
        with zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_CONTENT, json.dumps(plain))
            for name, data in parts.items():
                archive.writestr(name, data)
        beside.replace(path)
    except OSError as error:
        raise ParameterError(str(path), f"cannot be written ({error})", "give another place") \
            from error


def read_archive(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what `write_archive` wrote.

    Raises
    ------
    ParameterError
        If it is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = _taken(json.loads(archive.read(_CONTENT)), archive)
    except (OSError, KeyError, IndexError, TypeError, ValueError, zipfile.BadZipFile) as error:
        raise ParameterError(str(path), f"is no file of emtools ({error})") from error
    if not isinstance(found, dict):
        raise ParameterError(str(path), "is no file of emtools")
    return found


def _put(value: Any, parts: dict[str, bytes]) -> Any:
    """A value as JSON can hold it; arrays and tables go to `parts`."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return _put(value.item(), parts)
    if isinstance(value, Measured | Result):
        fields = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        return {_TAG: type(value).__name__, "of": _put(fields, parts)}
    if isinstance(value, pd.DataFrame):
        return {_TAG: "table", "of": _part(parts, "parquet", value.to_parquet())}
    if isinstance(value, pd.Series):
        return _put(value.to_numpy(), parts)
    if isinstance(value, Mapping):
        items = [[_put(key, parts), _put(one, parts)] for key, one in value.items()]
        if all(isinstance(key, str) and key != _TAG for key in value):
            return dict(items)
        return {_TAG: "mapping", "of": items}
    if isinstance(value, tuple):
        return {_TAG: "tuple", "of": [_put(one, parts) for one in value]}
    if isinstance(value, list):
        return [_put(one, parts) for one in value]
    if hasattr(value, "__array__"):
        return _put_array(np.asarray(value), parts)
    raise ParameterError("archive", f"cannot hold {type(value).__name__}")


def _put_array(value: np.ndarray[Any, Any], parts: dict[str, bytes]) -> Any:
    if value.dtype.kind == "O":
        return {_TAG: "objects", "of": [_put(one, parts) for one in value.ravel().tolist()],
                "shape": list(value.shape)}
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=False)
    return {_TAG: "array", "of": _part(parts, "npy", stream.getvalue())}


def _part(parts: dict[str, bytes], kind: str, data: bytes) -> str:
    name = f"{len(parts)}.{kind}"
    parts[name] = data
    return name


def _taken(value: Any, archive: zipfile.ZipFile) -> Any:
    """Back from `_put`."""
    if isinstance(value, list):
        return [_taken(one, archive) for one in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(_TAG)
    if kind is None:
        return {key: _taken(one, archive) for key, one in value.items()}
    if kind == "array":
        return np.load(io.BytesIO(archive.read(value["of"])), allow_pickle=False)
    if kind == "table":
        return pd.read_parquet(io.BytesIO(archive.read(value["of"])))
    of = _taken(value["of"], archive)
    if kind == "objects":
        found = np.empty(len(of), dtype=object)
        found[:] = of
        return found.reshape(value["shape"])
    if kind == "mapping":
        return dict(of)
    if kind == "tuple":
        return tuple(of)
    if kind in ("Measured", "Result"):
        return (Measured if kind == "Measured" else Result)(**of)
    raise ValueError(f"unknown kind {kind!r}")
