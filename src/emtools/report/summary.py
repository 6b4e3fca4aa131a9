"""Held images -> the population of each measurement, of all images or of each group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from emtools.population import (
    compare,
    compare_nested,
    length_distribution,
    nested_means,
    population,
)
from emtools.report.held import UNGROUPED, measurements_of
from emtools.report.quantities import frames, nested

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emtools.population import Frame
    from emtools.report.held import Held

MOST_CHAINS = 20_000  # of more, whole images are drawn at random: the bootstrap would not fit


@dataclass(frozen=True)
class Summary:
    """One measurement over all images.

    Parameters
    ----------
    measurement
        Its name.
    population
        The columns of `emtools.population.population`, led by ``group``; empty if nothing was
        found that could be summed up.
    compared
        The columns of `emtools.population.compare`; empty without groups.
    survival
        The columns of `emtools.population.length_distribution`, led by ``group``.
    note
        Which images it is of, if not of all.
    """

    measurement: str
    population: pd.DataFrame
    compared: pd.DataFrame
    survival: pd.DataFrame
    note: str = ""


def summaries(held: Held) -> list[Summary]:
    """Return the population of each measurement that has any."""
    found = [_summary(held, name) for name in measurements_of(held.records)]
    told = [one for one in found if len(one.population) or one.note]
    return sorted(told, key=lambda one: -int(one.population["n_images"].max())
                  if len(one.population) else 0)


def _summary(held: Held, measurement: str) -> Summary:
    groups = {name: held.of_group(name) for name in held.groups} or \
        {"": list(range(len(held.records)))}
    kinds = {name: nested(held, places, measurement) for name, places in groups.items()}
    parts = [_led(nested_means(of), name) for name, of in kinds.items() if of]
    named = {name: of for name, of in kinds.items() if of and name != UNGROUPED}
    compared = [compare_nested(named)] if len(named) > 1 else []
    survival: list[pd.DataFrame] = []
    note = ""
    if measurement == "lattice":
        note = _not_indexed(held)
    if measurement == "chains":
        of_groups, note = _frames(held, groups)
        parts = [_led(population(of), name) for name, of in of_groups.items()] + parts
        survival = [_led(length_distribution(of), name) for name, of in of_groups.items()]
        told = {name: of for name, of in of_groups.items() if name != UNGROUPED}
        if len(told) > 1:
            compared = [compare(told), *compared]
    notes = (note, held.left_out(measurement))
    return Summary(measurement, _side_by_side(_joined(parts)), _joined(compared),
                   _joined(survival), "; ".join(one for one in notes if one))


def _not_indexed(held: Held) -> str:
    """Spacings of unknown planes: a mean over different planes says nothing."""
    rows = held.table("lattice.reflections", counted=True)
    free = rows[rows["hkl"] == ""] if "hkl" in rows else rows
    return "" if not len(free) else (
        f"{len(free)} of {len(rows)} spacings are of no phase that was given, and not averaged")


def _led(table: pd.DataFrame, group: str) -> pd.DataFrame:
    table.insert(0, "group", group)
    return table


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame()


def _side_by_side(table: pd.DataFrame) -> pd.DataFrame:
    """Each quantity with its groups beneath each other."""
    if not len(table):
        return table
    first = {name: at for at, name in reversed(list(enumerate(table["quantity"])))}
    return table.sort_values("quantity", key=lambda names: names.map(first), kind="stable",
                             ignore_index=True)


def _frames(
    held: Held, groups: dict[str, list[int]]
) -> tuple[dict[str, list[Frame]], str]:
    """Frames of each group that has any, and which images are not among them."""
    measured = [record for at, record in enumerate(held.records)
                if at not in held.rejected and "chains" in measurements_of([record])]
    of_groups = {name: frames(held, places) for name, places in groups.items()}
    n_frames = sum(map(len, of_groups.values()))
    notes = []
    if n_frames < len(measured):
        notes.append(f"{len(measured) - n_frames} of {len(measured)} images have no calibration in "
                     "nm and are not in it")
    n_chains = sum(len(frame.tables["chains"]) for of in of_groups.values() for frame in of)
    if n_chains > MOST_CHAINS:
        rng = np.random.default_rng(0)
        of_groups = {name: _drawn(of, MOST_CHAINS / n_chains, rng)
                     for name, of in of_groups.items()}
        kept = sum(map(len, of_groups.values()))
        notes.append(f"of {kept} images drawn at random from {n_frames}")
    return {name: of for name, of in of_groups.items() if of}, "; ".join(notes)


def _drawn(frames: list[Frame], part: float, rng: np.random.Generator) -> list[Frame]:
    keep = max(1, int(part * len(frames))) if frames else 0
    return [frames[i] for i in np.sort(rng.choice(len(frames), keep, replace=False))] \
        if keep else []
