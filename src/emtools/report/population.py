"""Tables of all images -> one summary: how many, mean, spread; limits counted apart."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from emtools.report.wording import error_of, label, split_unit

Row = Mapping[str, Any]
Record = Mapping[str, Any]


class _Quantity(NamedTuple):
    """A column that is summed up over all images.

    Parameters
    ----------
    table, column
        Where it stands, by its name for calibrated images.
    name
        What it is called.
    limit
        Flag of rows whose value is only a limit: counted, not averaged.
    limit_said
        What those rows are, in words.
    needs
        Flag that a row must have (a leading ``!``: must not have) to belong here at all.
    """

    table: str
    column: str
    name: str
    limit: str = ""
    limit_said: str = ""
    needs: str = ""


_CUT = ("touches_edge", "cut by the frame")
_QUANTITIES = {
    "chains": (
        _Quantity("chains", "width_nm", "chain width"),
        _Quantity("chains", "length_nm", "chain length", *_CUT),
        _Quantity("chains", "aspect_ratio", "aspect ratio", *_CUT),
        _Quantity("chains", "gap_nm", "mean gap of a chain (unresolved gaps as limits)"),
        _Quantity("chains", "pitch_nm", "pitch of a chain"),
        _Quantity("gaps", "gap_nm", "gap, edge to edge", "!resolved", "not resolved"),
        _Quantity("dots", "diameter_nm", "diameter, dots in chains", *_CUT, "chain"),
        _Quantity("dots", "diameter_nm", "diameter, isolated dots", *_CUT, "!chain"),
    ),
}
# Text columns that say of what a number is: rows with different ones are not averaged together.
_KINDS = ("region", "element", "line", "phase", "hkl")


@dataclass
class _Sample:
    values: list[float] = field(default_factory=list)
    images: set[int] = field(default_factory=set)
    limits: int = 0
    doubtful: int = 0


@dataclass(frozen=True)
class Line:
    """One quantity of one measurement over all images.

    Parameters
    ----------
    measurement, quantity, unit
        What was measured.
    n
        Number of values that are averaged.
    images
        Number of images that they come from.
    mean, spread
        Mean and standard deviation (NaN of fewer than two); NaN where a mean says nothing.
    smallest, largest
        Their range.
    apart
        What was counted and not averaged, in words.
    """

    measurement: str
    quantity: str
    unit: str
    n: int
    images: int
    mean: float
    spread: float
    smallest: float
    largest: float
    apart: str


def population(records: Iterable[Record]) -> list[Line]:
    """Sum up the tables of all images.

    Spacings are averaged for each family of planes of each phase, and not at all where they are
    not indexed; values that are only limits (lengths cut by the frame, gaps that are not resolved)
    are counted apart; images with and without calibration are kept apart.

    Parameters
    ----------
    records
        As the batch writes them.

    Returns
    -------
    list of Line
        In the order in which the measurements appear.
    """
    found: dict[str, list[tuple[int, Mapping[str, Sequence[Row]]]]] = defaultdict(list)
    for i, record in enumerate(records):
        for entry in record.get("measurements") or ():
            found[str(entry["measurement"])].append((i, entry.get("tables") or {}))
    lines: list[Line] = []
    for measurement, tables in found.items():
        if measurement == "lattice":
            lines += _spacings(tables)
        elif measurement in _QUANTITIES:
            for quantity in _QUANTITIES[measurement]:
                lines += _summed(measurement, quantity, tables)
        else:
            lines += _any_measurement(measurement, tables)
    return lines


Tables = Sequence[tuple[int, Mapping[str, Sequence[Row]]]]


def _summed(measurement: str, quantity: _Quantity, tables: Tables) -> Iterator[Line]:
    for column in dict.fromkeys((quantity.column, quantity.column.replace("_nm", "_px"))):
        sample = _Sample()
        for image, row in _rows(tables, quantity.table):
            value = _finite(row.get(column))
            if value is None or not (quantity.needs == "" or _has(row, quantity.needs)):
                continue
            if quantity.limit and _has(row, quantity.limit):
                sample.limits += 1
                continue
            sample.values.append(value)
            sample.images.add(image)
        if sample.values or sample.limits:
            apart = f"{sample.limits} {quantity.limit_said}" if sample.limits else ""
            yield _line((measurement, quantity.name, split_unit(column)[1]), sample, apart)


def _spacings(tables: Tables) -> Iterator[Line]:
    for unit in ("nm", "px"):
        families: dict[tuple[str, float], _Sample] = defaultdict(_Sample)
        members: dict[tuple[str, float], set[str]] = defaultdict(set)
        free = _Sample()
        for image, row in _rows(tables, "reflections"):
            value = _finite(row.get(f"d_spacing_{unit}"))
            reference = _finite(row.get(f"d_reference_{unit}"))
            if value is None:
                continue
            sample = free
            if row.get("hkl") and reference is not None:
                # Planes of one phase with the same reference spacing are one family.
                family = (str(row.get("phase")), round(reference, 6))
                sample = families[family]
                members[family].add(_upright(str(row["hkl"])))
            sample.values.append(value)
            sample.images.add(image)
            sample.doubtful += bool(row.get("ambiguous") or row.get("few_fringes"))
        for family in sorted(families, key=lambda key: (key[0], -key[1])):
            phase, reference = family
            name = f"d {phase} {{{max(members[family])}}}, reference {reference:.4f} {unit}"
            yield _line(("lattice", name, unit), families[family], _doubt(families[family]))
        if free.values:
            yield _line(("lattice", "d, not indexed", unit), free, _doubt(free), mean=False)


def _doubt(sample: _Sample) -> str:
    return f"{sample.doubtful} of them ambiguous or of few fringes" if sample.doubtful else ""


def _upright(hkl: str) -> str:
    """Return the indices or their opposite, whichever starts with a positive one."""
    indices = [int(part) for part in hkl.split() if part.lstrip("-").isdigit()]
    opposite = [-index for index in indices]
    return " ".join(str(index) for index in max(indices, opposite))


def _any_measurement(measurement: str, tables: Tables) -> Iterator[Line]:
    """Columns with an uncertainty, for each kind of row: for measurements not named above."""
    samples: dict[tuple[str, str, str], _Sample] = defaultdict(_Sample)
    for name in dict.fromkeys(name for _, of in tables for name in of):
        for image, row in _rows(tables, name):
            kind = " ".join(str(row[key]) for key in _KINDS if row.get(key))
            for column in row:
                value = _finite(row[column])
                if error_of(column) not in row or value is None:
                    continue
                sample = samples[name, column, kind]
                if row.get("touches_edge"):
                    sample.limits += 1
                else:
                    sample.values.append(value)
                    sample.images.add(image)
    for (_, column, kind), sample in samples.items():
        words, unit = split_unit(column)
        apart = f"{sample.limits} cut by the frame" if sample.limits else ""
        yield _line((measurement, f"{words} {kind}".strip(), unit), sample, apart)


def _rows(tables: Tables, name: str) -> Iterator[tuple[int, Row]]:
    for image, of_image in tables:
        for row in of_image.get(name) or ():
            yield image, row


def _has(row: Row, flag: str) -> bool:
    return not row.get(flag[1:]) if flag.startswith("!") else bool(row.get(flag))


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def _line(what: tuple[str, str, str], sample: _Sample, apart: str, mean: bool = True) -> Line:
    values = np.array(sample.values)
    n = len(values)
    return Line(
        *what, n=n, images=len(sample.images),
        mean=float(values.mean()) if n and mean else math.nan,
        spread=float(values.std(ddof=1)) if n > 1 and mean else math.nan,
        smallest=float(values.min()) if n else math.nan,
        largest=float(values.max()) if n else math.nan, apart=apart,
    )


def common_parameters(records: Iterable[Record]) -> dict[str, dict[str, Any]]:
    """Return each measurement's parameters; those that differ between images say so."""
    common: dict[str, dict[str, Any]] = {}
    for record in records:
        for entry in record.get("measurements") or ():
            known = common.setdefault(str(entry["measurement"]), {})
            for name, value in (entry.get("parameters") or {}).items():
                same = known.get(name, value) == value
                known[name] = value if same else "differs: see the images"
    return {measurement: {label(name): value for name, value in values.items()}
            for measurement, values in common.items()}
