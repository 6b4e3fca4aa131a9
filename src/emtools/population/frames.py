"""What a population is made of: the tables of each image, and all of them pooled."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from emtools.errors import ParameterError
from emtools.model.image import used_part
from emtools.population.ends import Course, follow
from emtools.tables import MARKED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from emtools.model import Image, Result

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

# What is read of each table; the measurement declares more.
_NEEDED = {
    "chains": ("chain", "length_nm", "width_nm", "width_err_nm", "aspect_ratio", "n_dots",
               "gap_nm", "pitch_nm", "pitch_err_nm", "touches_edge"),
    "gaps": ("chain", "gap_nm", "gap_err_nm", "gap_limit_nm", "resolved"),
    "dots": ("chain", "y_nm", "x_nm", "diameter_nm", "diameter_err_nm", "length_nm", "width_nm",
             "touches_edge"),
    "axes": ("chain", "s_nm", "y_nm", "x_nm", "width_nm"),
}


@dataclass(frozen=True)
class Frame:
    """One image's chains, and the size of what was seen.

    Parameters
    ----------
    tables
        ``chains``, ``gaps``, ``dots`` and ``axes`` of `emtools.chains`, in nm.  What is marked as
        rejected by hand is left out here.
    shape_nm
        Height and width of the frame.
    group
        What is compared: before, after ...
    sample
        The specimen that the image shows a part of; empty if it is not stated.
    name
        Of the image.
    scale_err
        Relative 1 sigma of the image's pixel size.  It is common to all rows, and taken to be
        common to all images.
    origin_nm
        Where the frame's corner lies in the places of the tables.
    left_out
        How many chains and dots were rejected by hand.
    """

    tables: Mapping[str, pd.DataFrame]
    shape_nm: tuple[float, float]
    group: str = ""
    sample: str = ""
    name: str = ""
    scale_err: float = 0.0
    origin_nm: tuple[float, float] = (0.0, 0.0)
    left_out: Mapping[str, int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        subject = self.name or "frame"
        sides = tuple(float(side) for side in self.shape_nm)
        if len(sides) != 2 or not all(np.isfinite(side) and side > 0 for side in sides):
            raise ParameterError(subject, f"shape_nm must be two positive numbers, not {sides}")
        if not (np.isfinite(self.scale_err) and self.scale_err >= 0):
            raise ParameterError(subject, f"scale_err must be 0 or positive, not {self.scale_err}")
        for table, columns in _NEEDED.items():
            if table not in self.tables:
                raise ParameterError(subject, f"has no table {table!r}",
                                     "give the tables of emtools.chains")
            missing = sorted(set(columns) - set(self.tables[table].columns))
            if missing:
                raise ParameterError(subject, f"table {table!r} lacks {', '.join(missing)}",
                                     "measure an image that is calibrated in nm")
        tables, left_out = counted(self.tables)
        object.__setattr__(self, "tables", tables)
        object.__setattr__(self, "left_out", left_out)

    @classmethod
    def of(
        cls, image: Image, result: Result, *, group: str = "", sample: str = "",
    ) -> Frame:
        """Return the frame of an image and of its result of `emtools.chains`.

        Parameters
        ----------
        image
            The image that was measured, calibrated in nm.
        result
            Its chains.
        group, sample
            What the image belongs to.

        Raises
        ------
        CalibrationError
            If the image has no pixel size in nm.
        ParameterError
            If the result is not one of chains.
        """
        if result.measurement != "chains":
            raise ParameterError("result", f"is of {result.measurement}, not of chains")
        sizes = np.array(image.pixel_size("nm"))
        # A banner is no part of the frame: what lies around all that may be used.
        first, stop = ((0, 0), image.shape[-2:]) if image.mask is None else used_part(image.mask)
        if stop[0] <= first[0]:
            raise ParameterError(image.name, "is masked everywhere")
        sides, corner = area_of(sizes, first, stop)
        return cls(result.tables, sides, group, sample, image.name,
                   image.calibration("nm").scale_err, corner)

    @property
    def area_nm2(self) -> float:
        """Of what was seen."""
        return float(self.shape_nm[0] * self.shape_nm[1])


def counted(
    tables: Mapping[str, pd.DataFrame], *beside: str
) -> tuple[dict[str, pd.DataFrame], dict[str, int]]:
    """Leave out what was rejected by hand, with all that belongs to it.

    Parameters
    ----------
    tables
        Of a measurement, by name.
    *beside
        Columns that tell images apart, where the tables hold several.

    Returns
    -------
    tuple
        The tables, and how many objects were left out of each that has any.
    """
    found, left_out = dict(tables), {}
    for name, number in MARKED.items():
        table = found.get(name)
        if table is None or "mark" not in table:
            continue
        keys = [*beside, number]
        rejected = table[(table["mark"] == "rejected").to_numpy()][keys]
        if not len(rejected):
            continue
        left_out[name] = len(rejected)
        gone = set(rejected.itertuples(index=False, name=None))
        for other, rows in found.items():
            if set(keys) <= set(rows.columns):
                own = rows[keys].itertuples(index=False, name=None)
                found[other] = rows[[key not in gone for key in own]].reset_index(drop=True)
    return found, left_out


def area_of(
    pixel_sizes: Sequence[float] | Floats, first: Sequence[int], stop: Sequence[int]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Sides of a part of an image, from its first row and column up to, and its corner.

    The integer is the centre of a pixel: the corner lies half a pixel before it.
    """
    (height, width), (top, left) = pixel_sizes, first
    return ((float(height * (stop[0] - top)), float(width * (stop[1] - left))),
            (float(height * (top - 0.5)), float(width * (left - 0.5))))


@dataclass(frozen=True)
class Pooled:
    """The tables of all images, with what a row belongs to.

    Every statistic is a function of weights of *units*: the images, or, where there is only one
    image, its chains (a dot outside of any chain is a unit of its own).  Whole units are drawn
    again in the bootstrap and left out in the jackknife, never single dots.

    Parameters
    ----------
    frames
        The images.
    chains, gaps, dots
        All rows; ``image`` and ``unit`` are added, and to the chains ``ends`` (how many of the two
        true ends are seen), ``followed_nm``, ``followed_dots`` and ``followed_ratio`` (how far it
        is seen from them, in widths the last).
    courses
        The centreline of each chain, in the order of `chains`.
    n_units
        Number of units.
    """

    frames: tuple[Frame, ...]
    chains: pd.DataFrame
    gaps: pd.DataFrame
    dots: pd.DataFrame
    courses: tuple[Course, ...]
    n_units: int
    parts = "chains"

    @property
    def by_image(self) -> bool:
        """Whether the units are the images."""
        return len(self.frames) > 1

    @property
    def left_out(self) -> str:
        """What was rejected by hand, in words; empty if nothing was."""
        number = {name: sum(frame.left_out.get(name, 0) for frame in self.frames)
                  for name in MARKED}
        said = [f"{n} {name[:-1] if n == 1 else name}" for name, n in number.items() if n]
        return f"{' and '.join(said)} left out by hand" if said else ""

    @cached_property
    def areas(self) -> Floats:
        """Area of each image in nm²."""
        return np.array([frame.area_nm2 for frame in self.frames])

    @property
    def scale_err(self) -> float:
        """Relative 1 sigma of the scale, taken to be common to all images."""
        return float(np.sqrt(np.mean([frame.scale_err**2 for frame in self.frames])))

    def area_of(self, weights: Floats, areas: Floats | None = None) -> Floats:
        """Area that the weighted units were seen in, for each row of `weights`."""
        areas = self.areas if areas is None else areas
        if self.by_image:
            return np.asarray(weights @ areas)
        return np.full(len(weights), float(areas.sum()))

    @cached_property
    def weight(self) -> Floats:
        """How much each chain counts: 1/2 for each true end that is seen.

        A long chain meets more frames, but each chain has two ends.
        """
        return np.asarray(0.5 * self.chains["ends"].to_numpy(dtype=float))

    def column(self, table: str, name: str) -> Floats:
        """Return a column as numbers."""
        return np.asarray(getattr(self, table)[name].to_numpy(dtype=float))

    def units(self, table: str) -> Ints:
        """Return the unit of each row."""
        return np.asarray(getattr(self, table)["unit"].to_numpy(dtype=np.int64))

    def images(self, table: str) -> Ints:
        """Return the image of each row."""
        return np.asarray(getattr(self, table)["image"].to_numpy(dtype=np.int64))


def as_frames(frames: Iterable[Frame] | Frame, subject: str = "frames") -> tuple[Frame, ...]:
    """Return the frames as a tuple.

    Raises
    ------
    ParameterError
        If there are none, or something else is among them.
    """
    given = (frames,) if isinstance(frames, Frame) else tuple(frames)
    if not given:
        raise ParameterError(subject, "has no frame", "give at least one image")
    for frame in given:
        if not isinstance(frame, Frame):
            raise ParameterError(subject, f"holds a {type(frame).__name__}, not a Frame",
                                 "make it with Frame(tables, shape_nm) or Frame.of(image, result)")
    return given


def pool(frames: tuple[Frame, ...]) -> Pooled:
    """Return the tables of all images in one, with the ends of the chains found."""
    tables = {name: _joined(frames, name) for name in ("chains", "gaps", "dots")}
    courses = tuple(_courses(frames, tables["chains"]))
    followed = np.array([follow(course) for course in courses]).reshape(-1, 3)
    chains = tables["chains"].assign(ends=followed[:, 0].astype(int), followed_nm=followed[:, 1],
                                     followed_dots=followed[:, 2])
    tables["chains"] = chains.assign(followed_ratio=chains["followed_nm"] / chains["width_nm"])
    corners = np.array([frame.origin_nm for frame in frames])[tables["dots"]["image"]]
    tables["dots"] = tables["dots"].assign(y_nm=tables["dots"]["y_nm"] - corners[:, 0],
                                           x_nm=tables["dots"]["x_nm"] - corners[:, 1])
    return _with_units(frames, tables, courses)


def _joined(frames: tuple[Frame, ...], name: str) -> pd.DataFrame:
    """Rows of one table of all images, with the image of each."""
    import pandas as pd

    parts = [frame.tables[name] for frame in frames]
    whole = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return whole.assign(image=np.repeat(np.arange(len(parts)), [len(part) for part in parts]))


def _courses(frames: tuple[Frame, ...], chains: pd.DataFrame) -> Iterator[Course]:
    """Course of each row of chains."""
    axes = [_axes(frame.tables["axes"], frame.origin_nm) for frame in frames]
    for row in chains[[*_NEEDED["chains"], "image"]].to_dict("records"):
        image = row["image"]
        yield Course.of(row, axes[image].get(row["chain"]), frames[image].shape_nm)


def _axes(table: pd.DataFrame, origin: tuple[float, float]) -> dict[int, Floats]:
    """Centreline of each chain: columns s, y, x, from the frame's corner."""
    columns = np.stack([table[name].to_numpy(dtype=float)
                        for name in ("chain", "s_nm", "y_nm", "x_nm")], axis=1)
    columns = columns[np.argsort(columns[:, 0], kind="stable")] - np.array([0.0, 0.0, *origin])
    numbers, starts = np.unique(columns[:, 0], return_index=True)
    return {int(number): part[:, 1:]
            for number, part in zip(numbers, np.split(columns, starts[1:]), strict=False)}


def _with_units(
    frames: tuple[Frame, ...], tables: dict[str, pd.DataFrame], courses: tuple[Course, ...]
) -> Pooled:
    if len(frames) > 1:
        named = {name: table.assign(unit=table["image"]) for name, table in tables.items()}
        return Pooled(frames, **named, courses=courses, n_units=len(frames))
    chains, dots = tables["chains"], tables["dots"]
    unit_of = {int(chain): unit for unit, chain in enumerate(chains["chain"])}
    # Dots outside of chains are units of their own, after those of the chains.
    single = (~dots["chain"].isin(list(unit_of))).to_numpy()
    alone = len(unit_of) + np.cumsum(single) - 1
    of_dots = np.where(single, alone, dots["chain"].map(unit_of).fillna(0)).astype(np.int64)
    gaps = tables["gaps"]
    gaps = gaps[gaps["chain"].isin(list(unit_of))]
    return Pooled(
        frames, chains.assign(unit=np.arange(len(chains))),
        gaps.assign(unit=gaps["chain"].map(unit_of).to_numpy(dtype=np.int64)),
        dots.assign(unit=of_dots), courses, max(len(unit_of) + int(single.sum()), 1))
