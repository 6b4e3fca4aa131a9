"""What a person drew of chains and dots, changed step by step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from emtools.corrections import courses
from emtools.corrections.drawn import FEWEST, Drawn, as_place, as_points
from emtools.errors import ParameterError
from emtools.process.straighten import arc_lengths
from emtools.tables import in_unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from emtools.model import Result

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

_QUARTER = 0.25  # of its length: how far from a dot's middle its two halves' middles lie


@dataclass(frozen=True, eq=False)
class Drawing(Drawn):
    """Chains and dots as a person drew or corrected them.

    It never changes: every operation returns a new one with one more sentence in `changes`, and to
    undo a step is to go back to the former one.  The parameters are those of `Drawn`.
    """

    @classmethod
    def of(cls, result: Result) -> Drawing:
        """Return the chains, lines and dots of a result of `emtools.chains`.

        Raises
        ------
        ParameterError
            If the result is not one of chains.
        """
        if result.measurement != "chains":
            raise ParameterError("result", f"is of {result.measurement}, not of chains")
        axes, dots = result.tables["axes"], result.tables["dots"]
        unit = "nm" if "y_nm" in dots else "px"
        places = [in_unit("y_nm", unit), in_unit("x_nm", unit)]
        lines = {number: axes.loc[axes["chain"] == number, places].to_numpy(dtype=float)
                 for number in axes["chain"].unique().tolist()}
        return cls(lines, dots[places].to_numpy(dtype=float), unit, (),
                   dots["chain"].to_numpy(dtype=np.int64),
                   dots[in_unit("length_nm", unit)].to_numpy(dtype=float))

    def moved_to(self, turn: Floats, unit: str) -> Drawing:
        """Return it with all places multiplied by a 2x2 matrix, in another unit."""
        scale = float(np.sqrt(abs(np.linalg.det(turn))))
        return Drawing({number: line @ turn.T for number, line in self.centrelines.items()},
                       self.dots @ turn.T, unit, self.changes, self.chains, scale * self.lengths)

    # ---- chains ----

    def deleted(self, chain: int) -> Drawing:
        """Return it without a chain, its line and its dots."""
        self.line(chain)
        return self._with(f"chain {chain} deleted", self._without(chain),
                          *self._only(self.chains != chain))

    def joined(self, first: int, second: int) -> Drawing:
        """Return it with two chains as one of the first's number, the nearest ends connected."""
        if first == second:
            raise ParameterError(f"chain {first}", "cannot be joined with itself")
        whole = courses.end_to_end(self.line(first), self.line(second))
        chains = np.where(self.chains == second, first, self.chains)
        return self._with(f"chains {first} and {second} joined as chain {first}",
                          {**self._without(second), first: whole}, self.dots, chains, self.lengths)

    def split(self, chain: int, at_yx: ArrayLike) -> Drawing:
        """Return it with a chain as two, between the dots nearest to a place; the second is new.

        What is left of it with a single dot is no chain any more.
        """
        line, own, new = self.line(chain), self.along(chain), self._next()
        (cut,), _ = courses.nearest_on(line, as_place(at_yx)[None])
        length = float(arc_lengths(line)[-1])
        ends = [cut, cut]
        if len(own) >= FEWEST:
            ends = min(([a, b] for (a, _), (b, _) in pairwise(own)),
                       key=lambda two: abs(0.5 * (two[0] + two[1]) - cut))
        elif not 0.0 < cut < length:
            raise ParameterError(f"chain {chain}", "ends where it was to be split")
        parts = [(0.0, ends[0]), (ends[1], length)]
        dots = [[dot for arc, dot in own if low <= arc <= high] for low, high in parts]
        if len(own) >= FEWEST and len(dots[0]) < FEWEST:
            parts, dots = parts[::-1], dots[::-1]
        lines, chains = self._without(chain), self.chains.copy()
        for number, part, those in zip((chain, new), parts, dots, strict=True):
            chains[those] = number
            if len(own) < FEWEST or len(those) >= FEWEST:
                lines[number] = courses.between(line, *part)
        return self._with(f"chain {chain} split into chains {chain} and {new}"
                          if {chain, new} <= set(lines) else f"end of chain {chain} split off",
                          lines, self.dots, chains, self.lengths)

    def redrawn(self, chain: int, points: ArrayLike) -> Drawing:
        """Return it with another line for a chain: the dots on that are its dots."""
        self.line(chain)
        return self._drawn(chain, points, f"chain {chain} drawn anew")

    def added(self, points: ArrayLike) -> Drawing:
        """Return it with one chain more: the dots on its line that belong to none are its dots."""
        new = self._next()
        return self._drawn(new, points, f"chain {new} added")

    # ---- dots ----

    def dot_added(self, at_yx: ArrayLike) -> Drawing:
        """Return it with one dot more, the last one; of the chain whose line it lies on, if any."""
        place = as_place(at_yx)
        grown = replace(self, dots=np.vstack([self.dots, place]),
                        chains=np.append(self.chains, 0),
                        lengths=np.append(self.lengths, self.usual))
        new = len(grown.dots) - 1
        chain = int(grown.nearest(np.array([new]))[0])
        where = f" to chain {chain}" if chain else ""
        return grown._led(new, chain)._said(f"dot {new + 1} added{where} at {self._at(place)}")

    def dot_removed(self, dot: int) -> Drawing:
        """Return it without a dot; the numbers of those after it are one less.

        A chain whose last dot it was is no more.
        """
        chain = self.chain_of(dot)
        lines = dict(self.centrelines)
        own = self.along(chain) if chain else []
        if len(own) == 1:
            lines.pop(chain, None)
        elif len(own) > FEWEST and dot in (own[0][1], own[-1][1]):
            inner = own[1:] if dot == own[0][1] else own[:-1]
            lines[chain] = courses.between(lines[chain], inner[0][0], inner[-1][0])
        keep = np.arange(len(self.dots)) != dot
        where = f" from chain {chain}" if chain else ""
        return self._with(f"dot {dot + 1} removed{where}", lines, *self._only(keep))

    def dot_moved(self, dot: int, to_yx: ArrayLike) -> Drawing:
        """Return it with a dot at another place; of its chain still, which is led there."""
        place, chain = as_place(to_yx), self.chain_of(dot)
        moved = self._moved(dot, place, chain)
        return moved._said(f"dot {dot + 1} moved to {self._at(place)}")

    def dots_merged(self, first: int, second: int) -> Drawing:
        """Return it with two dots as one in their middle, numbered as the lower one."""
        chains = {self.chain_of(first), self.chain_of(second)} - {0}
        if first == second:
            raise ParameterError(f"dot {first + 1}", "cannot be merged with itself")
        if len(chains) == 2:
            raise ParameterError(f"dots {first + 1} and {second + 1}",
                                 f"belong to chains {min(chains)} and {max(chains)}",
                                 "join the chains first")
        kept, gone = min(first, second), max(first, second)
        apart = float(np.hypot(*(self.dots[first] - self.dots[second])))
        length = apart + 0.5 * float(self.lengths[first] + self.lengths[second])
        chain = max(chains, default=0)
        merged = self._moved(kept, self.dots[[first, second]].mean(axis=0), chain, without=gone)
        keep = np.arange(len(self.dots)) != gone
        sizes = merged.lengths.copy()
        sizes[kept] = length
        return replace(merged, dots=merged.dots[keep], chains=merged.chains[keep],
                       lengths=sizes[keep])._said(
                           f"dots {kept + 1} and {gone + 1} merged as dot {kept + 1}")

    def dot_split(self, dot: int, along: ArrayLike | None = None) -> Drawing:
        """Return it with a dot as two, a quarter of its length to each side of its middle.

        Parameters
        ----------
        dot
            Its number; the second of the two comes right after it.
        along
            Direction y, x; along its chain where none is given, and along x outside of chains.
        """
        chain, length = self.chain_of(dot), self.length_of(dot)
        step = _QUARTER * length
        if along is not None:
            unit = as_place(along, "along")
            unit = unit / max(float(np.hypot(*unit)), 1e-300)
            places = self.dots[dot] + np.array([[-step], [step]]) * unit
        elif chain:
            arc = {number: arc for arc, number in self.along(chain)}[dot]
            places = courses.at(self.line(chain), np.array([arc - step, arc + step]))
        else:
            places = self.dots[dot] + np.array([[0.0, -step], [0.0, step]])
        return self._in_two(dot, places, 0.5 * length)._said(f"dot {dot + 1} split in two")

    # ---- gaps ----

    def gap_added(self, chain: int, at_yx: ArrayLike) -> Drawing:
        """Return it with a gap in a chain: the dot there is two, with their border at the place.

        Raises
        ------
        ParameterError
            If no dot of the chain lies there.
        """
        line = self.line(chain)
        (border,), (beside,) = courses.nearest_on(line, as_place(at_yx)[None])
        own = self.along(chain)
        if not own:
            raise ParameterError(f"chain {chain}", "has no dots that a gap could lie between")
        arc, dot = min(own, key=lambda one: abs(one[0] - border))
        first, last = arc - 0.5 * self.length_of(dot), arc + 0.5 * self.length_of(dot)
        if not first < border < last or beside > last - first:
            raise ParameterError(f"chain {chain}", f"has no dot at {border:.4g} {self.unit}",
                                 "point at the dot that is two")
        places = courses.at(line, np.array([0.5 * (first + border), 0.5 * (border + last)]))
        parts = self._in_two(dot, places, np.array([border - first, last - border]))
        return parts._said(f"gap added in chain {chain} at {border:.4g} {self.unit}")

    def gap_closed(self, at_yx: ArrayLike) -> Drawing:
        """Return it without the gap nearest to a place: the dots beside it are one."""
        chain, middle, first, second = self.gap_at(as_place(at_yx))
        return replace(self.dots_merged(first, second), changes=self.changes)._said(
            f"gap closed in chain {chain} at {middle:.4g} {self.unit}")

    def gap_moved(self, from_yx: ArrayLike, to_yx: ArrayLike) -> Drawing:
        """Return it with the gap nearest to a place moved along its chain.

        The border of two bodies moves twice as far as their middles do.
        """
        chain, middle, first, second = self.gap_at(as_place(from_yx))
        line = self.line(chain)
        (target,), _ = courses.nearest_on(line, as_place(to_yx)[None])
        arcs = {dot: arc for arc, dot in self.along(chain)}
        shift = 0.5 * (target - middle)
        low = min((arc for arc in arcs.values() if arc > arcs[second]), default=np.inf)
        high = max((arc for arc in arcs.values() if arc < arcs[first]), default=-np.inf)
        if not (high < arcs[first] + shift and arcs[second] + shift < low):
            raise ParameterError(f"chain {chain}", "has other dots where the gap was to be moved")
        moved = self._moved(first, courses.at(line, arcs[first] + shift), chain)
        moved = moved._moved(second, courses.at(line, arcs[second] + shift), chain)
        return moved._said(f"gap in chain {chain} moved from {middle:.4g} to {target:.4g} "
                           f"{self.unit}")

    def _next(self) -> int:
        return max(self.centrelines, default=0) + 1

    def _without(self, chain: int) -> dict[int, Floats]:
        return {number: line for number, line in self.centrelines.items() if number != chain}

    def _only(self, keep: NDArray[np.bool_]) -> tuple[Floats, Ints, Floats]:
        return self.dots[keep], self.chains[keep], self.lengths[keep]

    def _drawn(self, chain: int, points: ArrayLike, sentence: str) -> Drawing:
        lines = {**self.centrelines, chain: as_points(points, f"chain {chain}")}
        drawn = replace(self, centrelines=lines)
        free = np.flatnonzero((self.chains == chain) | (self.chains == 0))
        chains = self.chains.copy()
        chains[free] = np.where(drawn.nearest(free) == chain, chain, 0)
        return replace(drawn, chains=chains)._said(sentence)

    def _led(self, dot: int, chain: int, *, reach: float | None = None) -> Drawing:
        """With a dot of a chain whose line leads through it."""
        if not chain:
            return self
        chains = self.chains.copy()
        chains[dot] = chain
        others = self.dots[(chains == chain) & (np.arange(len(chains)) != dot)]
        reach = 0.5 * self.usual if reach is None else reach
        line = courses.led_through(self.line(chain), self.dots[dot], others,
                                   reach if np.isfinite(reach) else 0.0)
        return replace(self, centrelines={**self.centrelines, chain: line}, chains=chains)

    def _moved(
        self, dot: int, place: Floats, chain: int, without: int | None = None
    ) -> Drawing:
        """With a dot of a chain elsewhere; another one may be none of the chain any more."""
        dots, chains = self.dots.copy(), self.chains.copy()
        gone = [dots[dot].copy()] if without is None else [dots[dot].copy(), dots[without].copy()]
        dots[dot], chains[dot] = place, chain
        if without is not None:
            chains[without] = 0
        lines = dict(self.centrelines)
        if chain:
            line = lines[chain]
            stays = ~(line[:, None] == np.array(gone)[None]).all(axis=-1).any(axis=1)
            if stays.sum() >= FEWEST:
                lines[chain] = line[stays]
        return replace(self, centrelines=lines, dots=dots, chains=chains)._led(dot, chain)

    def _in_two(self, dot: int, places: Floats, lengths: Floats | float) -> Drawing:
        """With two dots in place of one, the second right after the first."""
        chain = self.chain_of(dot)
        halves = np.broadcast_to(np.asarray(lengths, dtype=float), 2)
        n = dot + 1
        split = replace(
            self, dots=np.vstack([self.dots[:dot], places, self.dots[n:]]),
            chains=np.insert(self.chains, n, self.chains[dot]),
            lengths=np.concatenate([self.lengths[:dot], halves, self.lengths[n:]]))
        return split._led(dot, chain, reach=0.0)._led(n, chain, reach=0.0)

    def _with(
        self, sentence: str, lines: Mapping[int, Floats], dots: Floats, chains: Ints,
        lengths: Floats,
    ) -> Drawing:
        return Drawing(lines, dots, self.unit, (*self.changes, sentence), chains, lengths)

    def _said(self, sentence: str) -> Drawing:
        return replace(self, changes=(*self.changes, sentence))

    def _at(self, place: Floats) -> str:
        return f"y {place[0]:.4g}, x {place[1]:.4g} {self.unit}"
