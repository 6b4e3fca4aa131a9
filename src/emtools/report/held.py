"""Results -> the images that a page holds, with their tables."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from emtools.population import counted
from emtools.results import rows
from emtools.results.records import records as records_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from emtools.results.groups import Groups
    from emtools.results.reading import Results
    from emtools.results.records import Record

MOST_IMAGES = 1000  # of more, these are drawn at random: a page of all would not open
UNGROUPED = "no group"


@dataclass(frozen=True)
class Held:
    """Images that were measured, with their tables.

    Parameters
    ----------
    records
        Of each image, without tables, with ``group`` and ``sample``; by file and image.
    tables
        By name (``chains.chains``): rows of these images; ``at`` is the place among `records`.
    n_measured
        How many images were measured in all.
    outcomes
        Every image of the run, and every file without: the columns of `Results.images`.
    order
        Of the groups, as far as it was given.
    counted
        The tables without what was rejected by hand: what is summed up.
    """

    records: tuple[Record, ...]
    tables: Mapping[str, pd.DataFrame]
    n_measured: int
    outcomes: pd.DataFrame
    order: tuple[str, ...] = ()
    counted: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @cached_property
    def rejected(self) -> frozenset[int]:
        """Places of the images that were rejected by hand, in whatever was measured."""
        return frozenset(at for at, record in enumerate(self.records)
                         if any(entry["summary"].get("mark") == "rejected"
                                for entry in record["measurements"]))

    def left_out(self, measurement: str) -> str:
        """What was rejected by hand, in words; empty if nothing was."""
        counts = [("images", len(self.rejected))]
        for name, table in self.tables.items():
            if "mark" in table and name.startswith(f"{measurement}."):
                n = int(((table["mark"] == "rejected") & ~table["at"].isin(self.rejected)).sum())
                counts.append((name.split(".", 1)[1], n))
        said = [f"{n} {what.removesuffix('s') if n == 1 else what}" for what, n in counts if n]
        are = "is" if sum(n for _, n in counts) == 1 else "are"
        return f"{' and '.join(said)} rejected by hand {are} left out" if said else ""

    @property
    def groups(self) -> list[str]:
        """Groups as they were given, or by name; images without one last; none without groups."""
        found = {str(record["group"]) for record in self.records}
        named = sorted(found - {""}, key=lambda name: (
            self.order.index(name) if name in self.order else len(self.order), name))
        return [*named, *([UNGROUPED] if "" in found else [])] if named else []

    def measured_in(self, group: str) -> int:
        """How many images of a group were measured, whether they are held or not."""
        known = self.outcomes[self.outcomes["status"] == "measured"]
        return int((known["group"] == ("" if group == UNGROUPED else group)).sum())

    def of_group(self, group: str) -> list[int]:
        """Places of the images of a group."""
        return [at for at, record in enumerate(self.records)
                if (record["group"] or UNGROUPED) == group]

    def table(self, name: str, *, counted: bool = False) -> pd.DataFrame:
        """Rows of a table; none if nothing was measured that has it.

        Parameters
        ----------
        name
            ``chains.chains``, for example.
        counted
            Without what was rejected by hand.
        """
        tables = self.counted if counted else self.tables
        return tables.get(name, pd.DataFrame({"at": np.zeros(0, dtype=np.int64)}))


def _counted(held: Held) -> Mapping[str, pd.DataFrame]:
    """The tables without objects and images that were rejected by hand."""
    by_measurement: dict[str, dict[str, pd.DataFrame]] = {}
    for name, table in held.tables.items():
        measurement, own = name.split(".", 1)
        by_measurement.setdefault(measurement, {})[own] = table[~table["at"].isin(held.rejected)]
    return {f"{measurement}.{name}": table for measurement, tables in by_measurement.items()
            for name, table in counted(tables, "at")[0].items()}


def measurements_of(records: Sequence[Record]) -> list[str]:
    """Names of the measurements that any of the images has, as they appear."""
    return list(dict.fromkeys(str(entry["measurement"]) for record in records
                              for entry in record["measurements"]))


def held(results: Results, groups: Groups | None = None) -> Held:
    """Read the images that a page holds.

    Parameters
    ----------
    results
        Of a batch.
    groups
        In place of those that the batch was run with.
    """
    outcomes = results.images
    order = tuple(results.recipe.get("groups", {}).get("files", ()))
    if groups:
        order = tuple(groups.files) or tuple(dict.fromkeys(one for one, _ in groups.sheet.values()))
        said = [groups.of(file) for file in outcomes["file"]]
        outcomes = outcomes.assign(group=[one for one, _ in said], sample=[one for _, one in said])
    measured = outcomes[outcomes["status"] == "measured"]
    chosen = _drawn(measured)
    ids = list(zip(chosen["file"], chosen["number"].astype(int), strict=True))
    found = tuple(records_of(results, chosen, tables=False))
    places = {one: at for at, one in enumerate(ids)}
    names = measurements_of(found)
    tables = {name: _placed(pd.concat(list(rows.parts(
        results.connection, results.run, name, ("", ()), ids))), places)
        for name in results.names if name.split(".", 1)[0] in names}
    every = Held(found, tables, len(measured), outcomes, order)
    return replace(every, counted=_counted(every))


def _drawn(measured: pd.DataFrame) -> pd.DataFrame:
    """At most so many images, of each group alike; of small groups all."""
    if len(measured) <= MOST_IMAGES:
        return measured
    places = [np.flatnonzero(measured["group"] == group) for group in set(measured["group"])]
    rng = np.random.default_rng(0)
    kept: list[int] = []
    for rank, own in enumerate(sorted(places, key=lambda own: (len(own), int(own[0])))):
        share = max(1, (MOST_IMAGES - len(kept)) // (len(places) - rank))
        kept += rng.choice(own, min(share, len(own)), replace=False).tolist()
    return measured.iloc[np.sort(kept)]


def _placed(table: pd.DataFrame, places: dict[tuple[str, int], int]) -> pd.DataFrame:
    at: list[Any] = [places[one] for one in zip(table["file"], table["number"], strict=True)]
    return table.drop(columns=list(rows.LEAD)).assign(at=np.array(at, dtype=np.int64))
