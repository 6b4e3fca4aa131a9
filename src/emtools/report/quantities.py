"""Tables of images -> what is summed up of them: frames of chains, and numbers nested in images."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.measure import load
from emtools.population import Nested
from emtools.report.held import measurements_of
from emtools.report.wording import split_unit
from emtools.results.frames import frame_of, scale_err
from emtools.tables import error_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from emtools.population import Frame
    from emtools.report.held import Held
    from emtools.results.records import Record

_POSITIVE = (0.0, math.inf)
# Text columns that say of what a number is: rows with different ones are not averaged together.
_KINDS = ("region", "element", "line", "phase", "hkl")


def frames(held: Held, places: Sequence[int]) -> list[Frame]:
    """Return the frames of the images whose chains were measured in nm."""
    declared = load("chains").tables
    # Where only images without calibration had rows, there are no columns in nm.
    needed = {name: held.table(f"chains.{name}", counted=True).reindex(
        columns=["at", *table.names()]) for name, table in declared.items()}
    by_image = {name: dict(iter(table.groupby("at"))) for name, table in needed.items()}
    found = []
    for at in places:
        record = held.records[at]
        if at in held.rejected or "chains" not in measurements_of([record]):
            continue
        frame = frame_of(record, {name: of.get(at, needed[name].iloc[:0])
                                  for name, of in by_image.items()})
        if frame is not None:
            found.append(frame)
    return found


def nested(held: Held, places: Sequence[int], measurement: str) -> list[Nested]:
    """Return the numbers of a measurement that are averaged over images.

    Parameters
    ----------
    held
        The images.
    places
        Which of them.
    measurement
        Its name.
    """
    own = _OWN.get(measurement, _any_measurement)
    return [kind for kind in own(_Some(held, places, measurement)) if len(kind.values)]


class _Some:
    """Tables of one measurement of some images.

    Parameters
    ----------
    held
        All images.
    places
        Which of them.
    measurement
        Its name.
    """

    def __init__(self, held: Held, places: Sequence[int], measurement: str) -> None:
        self.held, self.places, self.measurement = held, set(places), measurement

    def table(self, name: str) -> pd.DataFrame:
        """Rows of these images."""
        table = self.held.table(f"{self.measurement}.{name}", counted=True)
        return table[table["at"].isin(self.places)]

    def nested(
        self, name: str, table: pd.DataFrame, column: str, *, unit: str = "", common: float = 0.0,
        note: str = "", bounds: tuple[float, float] = (-math.inf, math.inf),
    ) -> Nested:
        """Return the values of a column with their errors, those that are there."""
        values = table[column].to_numpy(dtype=float)
        known = np.isfinite(values)
        errors = table[error_of(column)].to_numpy(dtype=float) if error_of(column) in table \
            else np.full(len(values), np.nan)
        images = table["at"].to_numpy(dtype=np.int64)[known]
        samples = tuple(str(self.held.records[at]["sample"]) for at in images)
        return Nested(name, unit, values[known], errors[known], images, samples, common, note,
                      bounds)

    def scaled(self, table: pd.DataFrame, column: str) -> float:
        """1 sigma by the scale of a length, common to all images."""
        if not len(table):
            return 0.0
        errors = [scale_err(self.held.records[at]) for at in table["at"].unique()]
        mean = abs(float(np.nanmean(table[column].to_numpy(dtype=float))))
        return math.sqrt(float(np.mean(np.square(errors)))) * mean


def _lattice(some: _Some) -> Iterator[Nested]:
    """Spacings of each family of planes of each phase, and the lattice parameter."""
    rows = some.table("reflections")
    if "d_spacing_nm" not in rows:
        return
    rows = rows[np.isfinite(rows["d_spacing_nm"])]
    indexed = rows[(rows["hkl"] != "") & np.isfinite(rows["d_reference_nm"])]
    # Planes of one phase with the same reference spacing are one family.
    named = _families(some.held.table("lattice.reflections"))
    families = indexed.groupby(["phase", indexed["d_reference_nm"].round(6)])
    for (phase, reference), own in sorted(families, key=lambda item: (item[0][0], -item[0][1])):
        planes = " ".join(map(str, named[phase, reference]))
        yield some.nested(f"d of {phase} {{{planes}}}", own, "d_spacing_nm", unit="nm",
                          common=some.scaled(own, "d_spacing_nm"), bounds=_POSITIVE,
                          note=_doubts(own, f"reference {reference:.4f} nm"))
    grains = some.table("grains")
    for phase, own in grains[grains["phase"] != ""].groupby("phase"):
        yield some.nested(f"a of {phase!s}", own, "a_nm", unit="nm",
                          common=some.scaled(own, "a_nm"), bounds=_POSITIVE)


def _doubts(rows: pd.DataFrame, said: str) -> str:
    doubtful = int((rows["ambiguous"] | rows["few_fringes"]).sum())
    return f"{said}; {doubtful} of them ambiguous or of few fringes" if doubtful else said


def _families(rows: pd.DataFrame) -> dict[tuple[str, float], list[int]]:
    """Indices that stand for each family: the same in all groups, whichever zones these show."""
    found: dict[tuple[str, float], list[int]] = {}
    for phase, hkl, reference in zip(rows["phase"], rows["hkl"], rows["d_reference_nm"].round(6),
                                     strict=True):
        if hkl:
            family = (phase, reference)
            found[family] = max(found.get(family, []), _upright(hkl))
    return found


def _upright(hkl: str) -> list[int]:
    """Return the indices or their opposite, whichever starts with a positive one."""
    indices = [int(part) for part in hkl.split() if part.lstrip("-").isdigit()]
    return max(indices, [-index for index in indices])


def _eds(some: _Some) -> Iterator[Nested]:
    """Composition of the whole images and of each kind of region."""
    rows = some.table("composition")
    if not len(rows):
        return
    # Chains are numbered anew in each image, and drawn regions too.
    kinds = rows["region"].str.replace(r"^(chain)? ?\d+$", r"\1s", regex=True).replace(
        {"all": "whole image", "s": "drawn regions"})
    for (kind, element), every in rows.groupby([kinds, "element"], sort=False):
        own = every[every["detected"].astype(bool)]
        missing = len(every) - len(own)
        common = math.sqrt(float(np.nanmean(np.square(
            own["atomic_percent_k_err"].to_numpy(dtype=float))))) if len(own) else 0.0
        yield some.nested(f"{element}, {kind}", own, "atomic_percent", unit="at.%",
                          common=common if math.isfinite(common) else 0.0, bounds=(0.0, 100.0),
                          note=f"not detected in {missing} of {len(every)}, which are not in it"
                          if missing else "")


def _attachment(some: _Some) -> Iterator[Nested]:
    """Order of plane normals along the axes of their chains."""
    rows = some.table("angles")
    if not len(rows):
        return
    turn = 2.0 * np.pi / rows["fold_deg"].to_numpy(dtype=float)
    order = rows.assign(order=np.cos(turn * rows["angle_deg"]),
                        order_err=np.abs(turn * np.sin(turn * rows["angle_deg"])
                                         * rows["angle_err_deg"]))
    planes = [_planes(some.held.records[at], some.measurement) for at in rows["at"]]
    for plane, own in order.groupby(np.array(planes)):
        yield some.nested(f"order of {{{plane!s}}} along the axis", own, "order",
                          bounds=(-1.0, 1.0),
                          note="mean of cos(2π angle / fold): 1 along it, 0 at random")
        yield some.nested(f"angle of {{{plane!s}}} to the axis", own, "angle_deg", unit="°",
                          bounds=(0.0, 90.0),
                          note="at random a quarter of the angle between equivalent normals")


def _planes(record: Record, measurement: str) -> str:
    said = next(entry for entry in record["measurements"] if entry["measurement"] == measurement)
    return str(said["parameters"].get("hkl", ""))


def _chains(some: _Some) -> Iterator[Nested]:
    """What is not of the population of chains: helices, each counted once."""
    rows = some.table("chains")
    if "helix_pitch_nm" not in rows:
        return
    helices = rows[rows["helix"] > 0].drop_duplicates(["at", "helix"])
    for column in ("helix_pitch_nm", "helix_radius_nm"):
        yield some.nested(column.removesuffix("_nm").replace("_", " "), helices, column, unit="nm",
                          common=some.scaled(helices, column), bounds=_POSITIVE)


def _any_measurement(some: _Some) -> Iterator[Nested]:
    """Columns with an uncertainty, for each kind of row: for measurements not named above."""
    for name in load(some.measurement).tables:
        rows = some.table(name)
        if "touches_edge" in rows:
            rows = rows[~rows["touches_edge"].astype(bool)]
        keys = [key for key in _KINDS if key in rows]
        parts: dict[str, Any] = defaultdict(list)
        for at, row in zip(rows.index, rows[keys].astype(str).to_numpy(), strict=True):
            parts[" ".join(part for part in row if part)].append(at)
        for column in rows.columns:
            if error_of(column) not in rows:
                continue
            words, unit = split_unit(column)
            for kind, own in parts.items():
                yield some.nested(f"{words} {kind}".strip(), rows.loc[own], column, unit=unit)


_OWN = {"lattice": _lattice, "eds": _eds, "attachment": _attachment, "chains": _chains}
