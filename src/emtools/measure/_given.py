"""Parameters that are no plain numbers: arrays with their origin, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emtools.model import Result


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
    if isinstance(value, Given):
        return f"{value.origin}: {said_of(value.values)}"
    if not getattr(value, "shape", ()):
        return value
    # Of a map of labels or a mask, not the map: what tells it from another one.
    shape = " x ".join(str(n) for n in value.shape)
    if value.dtype.kind == "b":
        return f"{shape}, {int(value.sum())} true"
    if value.dtype.kind in "iu":
        import numpy as np

        n = int(np.count_nonzero(np.unique(np.asarray(value))))
        return f"{shape}, {n} label{'' if n == 1 else 's'}"
    return f"{shape}, {value.dtype}"
