"""Parameters that are no plain numbers: arrays with their origin, and what is said of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emtools.model import Image, Result


@dataclass(frozen=True)
class Given:
    """An array that is a parameter, with where it is from; the measurement gets the array alone.

    Parameters
    ----------
    values
        The array.
    origin
        Its file.
    """

    values: Any
    origin: str


def said_of(value: Any) -> Any:
    """Return a parameter's value as a result states it, plain enough for JSON."""
    if isinstance(value, Result):  # with the parameters that it was made with
        return dict(value.parameters)
    if isinstance(value, Image):
        return f"{value.name}: {said_of(value.load())}"
    if isinstance(value, Given):
        return f"{value.origin}: {said_of(value.values)}"
    if isinstance(value, Mapping):
        named = all(isinstance(number, (int, float)) for number in value.values())
        return dict(value) if named else _of_lines(value)
    if isinstance(value, list | tuple) and any(hasattr(one, "__len__") and not isinstance(one, str)
                                               for one in value):
        return _of_lines(dict(enumerate(value, start=1)))
    if not getattr(value, "shape", ()):
        return value
    # Of a map of labels or a mask, not the map: what tells it from another one.
    shape = " x ".join(str(n) for n in value.shape)
    if value.dtype.kind == "b":
        return f"{shape}, {int(value.sum())} true, {_content(value.astype('<i8'))}"
    if value.dtype.kind in "iu":
        import numpy as np

        n = int(np.count_nonzero(np.unique(np.asarray(value))))
        # The same for the same labels, whatever type a file keeps them in.
        content = _content(np.asarray(value).astype("<i8"))
        return f"{shape}, {n} label{'' if n == 1 else 's'}, {content}"
    return f"{shape}, {value.dtype}, {_content(value)}"


def _of_lines(lines: Mapping[Any, Any]) -> str:
    import numpy as np

    points = [np.asarray(line, dtype="<f8").reshape(-1) for line in lines.values()]
    text = f"{len(points)} line{'' if len(points) == 1 else 's'}"
    numbers = np.array([int(number) for number in lines], dtype="<i8")
    sizes = np.array([one.size for one in points], dtype="<i8")
    content = _content(numbers, sizes, *points)
    return f"{text}, {int(sizes.sum()) // 2} points, {content}"


def _content(*arrays: Any) -> str:
    """The first digits of a hash of the values."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(array.tobytes())
    return f"sha256 {digest.hexdigest()[:12]}"
