"""Measured numbers and the Result that every consumer sees."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

Space = Literal["image", "reciprocal"]
# (data, keyword arguments, kind): what napari calls layer data, made without napari.
Layer = tuple[Any, dict[str, Any], str]


@dataclass(frozen=True)
class Measured:
    """A number with its 1 sigma uncertainty and unit.

    Examples
    --------
    >>> print(Measured(4.6231, 0.05, "nm"))
    4.62 ± 0.05 nm
    """

    value: float
    err: float = math.nan
    unit: str = ""

    def _repr_html_(self) -> str:
        from emtools.cards import measured_card

        return measured_card(self)

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if not math.isfinite(self.value):
            return "not measurable"
        if not (math.isfinite(self.err) and self.err > 0):
            return f"{self.value:.4g}{unit}"
        digits = _decimals(self.err)
        return f"{round(self.value, digits):.{max(digits, 0)}f} ± " \
               f"{round(self.err, digits):.{max(digits, 0)}f}{unit}"


def _decimals(err: float) -> int:
    """Decimals that show an uncertainty with one digit, or two if it starts with a 1."""
    exponent = math.floor(math.log10(err))
    leading = round(err / 10.0**exponent, 1)
    return -exponent + (1 if leading < 2 else 0)


@dataclass(frozen=True)
class Result:
    """What a measurement found in one image.

    Parameters
    ----------
    measurement
        Name of the measurement.
    tables
        Tidy DataFrames by name; zero rows where nothing was found.
    summary
        The outcome in a few plain values, strings and `Measured` numbers; ``"outcome"`` is always
        there and says what was found, or why nothing could be measured.
    layers
        ``(data, kwargs, kind)`` in napari's layer-data form; ``kwargs["metadata"]["space"]`` is
        ``image`` or ``reciprocal``, ``units`` and ``scale`` are always given.
    parameters
        The complete effective parameters.
    source
        File, SHA-256, signal, and the versions used.
    details
        DataFrames that show how the result came about (profiles, rejected candidates): for figures
        and windows, not stored with the tables.
    """

    measurement: str
    tables: Mapping[str, pd.DataFrame]
    summary: Mapping[str, Any]
    layers: tuple[Layer, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        """What was found, or why nothing could be measured."""
        return str(self.summary.get("outcome", ""))

    def __repr__(self) -> str:
        rows = ", ".join(f"{name}: {len(table)} rows" for name, table in self.tables.items())
        return f"<Result {self.measurement}: {self.outcome} ({rows})>"

    def _repr_html_(self) -> str:
        from emtools.cards import result_card

        return result_card(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain values that JSON can hold, NaN as None, without layers."""
        return {
            "measurement": self.measurement,
            "source": plain(self.source),
            "parameters": plain(self.parameters),
            "summary": plain(self.summary),
            "tables": {name: plain(table.to_dict("records"))
                       for name, table in self.tables.items()},
        }

    def to_json(self) -> str:
        """Return `to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)


def plain(value: Any) -> Any:
    """Turn tables' and summaries' values into what JSON can hold; NaN and infinities as None."""
    if isinstance(value, Measured):
        return {"value": plain(value.value), "err": plain(value.err), "unit": value.unit}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, without importing NumPy's types
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    return str(value)
