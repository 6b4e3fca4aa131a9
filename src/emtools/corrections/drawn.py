"""Chains and dots as a person drew them: the data, checked, and as plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from emtools.corrections import courses
from emtools.errors import ParameterError
from emtools.measure.chains.as_drawn import BESIDE_LINE
from emtools.measure.chains.given import places_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

FEWEST = 2  # dots, or places, of a line


@dataclass(frozen=True, eq=False)
class Drawn:
    """Chains and dots as a person drew or corrected them: the data, and what follows from them.

    Parameters
    ----------
    centrelines
        By the number of the chain, ``(n, 2)`` places y, x in `unit`.
    dots
        ``(n, 2)`` middles y, x in `unit`.  Their numbers here count from 0, in the order of the
        table ``dots`` of the result: ``dot - 1``.
    unit
        ``nm``, or ``px`` of an image without a calibration.
    changes
        What was changed, in plain sentences.
    chains
        ``(n,)``, of each dot: the chain that it belongs to, 0 = none.
    lengths
        ``(n,)``, of each dot: about how long it is along its chain.
    """

    centrelines: Mapping[int, Floats]
    dots: Floats
    unit: str = "nm"
    changes: tuple[str, ...] = ()
    chains: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    lengths: Floats = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        lines = {int(number): as_points(line, f"centrelines: {number}")
                 for number, line in sorted(self.centrelines.items())}
        dots = np.asarray(self.dots, dtype=float).reshape(-1, 2) if np.size(self.dots) == 0 \
            else as_points(self.dots, "dots", 1)
        n = len(dots)
        chains, lengths = np.asarray(self.chains, dtype=np.int64), np.asarray(self.lengths, float)
        if len(lengths) != n:
            lengths = np.full(n, np.nan)
        for name, value in (("centrelines", lines), ("dots", _frozen(dots)),
                            ("lengths", _frozen(lengths)), ("changes", tuple(self.changes))):
            object.__setattr__(self, name, value)
        if len(chains) != n:
            chains = self.nearest(np.arange(n))
        # A chain without a line is none.
        chains = np.where(np.isin(chains, list(lines)), chains, 0)
        object.__setattr__(self, "chains", _frozen(chains))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Drawn) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.unit, self.changes, self.dots.tobytes()))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values that JSON can hold."""
        return {"unit": self.unit, "changes": list(self.changes),
                "centrelines": {str(number): line.tolist()
                                for number, line in self.centrelines.items()},
                "dots": self.dots.tolist(), "chains": self.chains.tolist(),
                "lengths": [None if np.isnan(one) else one for one in self.lengths.tolist()]}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        """Return the drawing of `to_dict`.

        Raises
        ------
        ParameterError
            If it is not one.
        """
        try:
            lines = {int(number): np.array(line, dtype=float)
                     for number, line in given["centrelines"].items()}
            return cls(lines, np.array(given["dots"], dtype=float).reshape(-1, 2),
                       str(given["unit"]), tuple(given["changes"]),
                       np.array(given["chains"], dtype=np.int64),
                       np.array([np.nan if one is None else one for one in given["lengths"]],
                                dtype=float))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ParameterError("drawing", f"cannot be read ({error!r})") from error

    @property
    def usual(self) -> float:
        """Usual length of a dot; NaN where none is known."""
        known = self.lengths[np.isfinite(self.lengths)]
        return float(np.median(known)) if len(known) else float("nan")

    def length_of(self, dot: int) -> float:
        """Length of a dot, the usual one where its own is not known."""
        length = float(self.lengths[dot]) if np.isfinite(self.lengths[dot]) else self.usual
        if not np.isfinite(length):
            raise ParameterError(f"dot {dot + 1}", "has no length", "place its two halves instead")
        return length

    def line(self, chain: int) -> Floats:
        """Centreline of a chain, which has to be there."""
        if chain not in self.centrelines:
            known = ", ".join(map(str, self.centrelines)) or "none"
            raise ParameterError(f"chain {chain}", "does not exist", f"known are {known}")
        return self.centrelines[chain]

    def chain_of(self, dot: int) -> int:
        """Chain of a dot, which has to be there; 0 = none."""
        if not 0 <= dot < len(self.dots):
            raise ParameterError(f"dot {dot + 1}", f"does not exist, there are {len(self.dots)}")
        return int(self.chains[dot])

    def along(self, chain: int) -> list[tuple[float, int]]:
        """Arc length and number of each dot of a chain, in order."""
        own = np.flatnonzero(self.chains == chain)
        if len(own) == 0:
            return []
        arcs, _ = courses.nearest_on(self.centrelines[chain], self.dots[own])
        return sorted(zip(arcs.tolist(), own.tolist(), strict=True))

    def gap_at(self, place: Floats) -> tuple[int, float, int, int]:
        """Chain of the gap nearest to a place, its middle along it, and the dots beside it."""
        found = []
        for chain, line in self.centrelines.items():
            own = self.along(chain)
            for (arc, first), (onward, second) in pairwise(own):
                middle = 0.5 * (arc + onward)
                away = float(np.hypot(*(courses.at(line, middle) - place)))
                found.append((away, chain, middle, first, second))
        if not found:
            raise ParameterError("gap", "there is none: no chain has two dots")
        return min(found)[1:]

    def nearest(self, which: NDArray[np.intp]) -> Ints:
        """Chain whose line each of some dots lies on, 0 = none."""
        reach = BESIDE_LINE * self.usual  # in lengths of a dot here
        best, chains = np.full(len(which), reach), np.zeros(len(which), dtype=np.int64)
        for number, line in self.centrelines.items():
            if len(which):
                _, away = courses.nearest_on(line, self.dots[which])
                chains = np.where(away < best, number, chains)
                best = np.minimum(best, away)
        return chains


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def as_points(given: ArrayLike, name: str, fewest: int = FEWEST) -> Floats:
    """Return ``(n, 2)`` places, checked."""
    return _frozen(places_of(given, name, fewest, "give (n, 2) places y, x"))


def as_place(given: ArrayLike, name: str = "place") -> Floats:
    """Return one place, checked."""
    return np.asarray(as_points(np.atleast_2d(np.asarray(given)), name, 1)[0])
