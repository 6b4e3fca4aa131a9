"""Which measured dots and chains are which true ones, and how far off their numbers are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    Tables = Mapping[str, pd.DataFrame]

_SAME = 0.7  # of the union of their dots: a chain found as it is


@dataclass
class Tally:
    """Counts and errors over many pictures.

    Parameters
    ----------
    chains, dots
        How many were measured, how many are there, and how many were measured as they are.
    crossed
        True chains that cross others: how many, and how many came out whole.
    errors
        Column -> list of (error, 1 sigma stated, true value).
    resolved
        Whether each gap that was measured came out resolved.
    """

    chains: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, dtype=np.int64))
    dots: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, dtype=np.int64))
    crossed: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2, dtype=np.int64))
    errors: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)
    resolved: list[bool] = field(default_factory=list)

    def add(self, found: Tables, true: Tables) -> None:
        """Compare one picture with its truth."""
        pairs = _dot_pairs(found["dots"], true["dots"]) if len(found["dots"]) else []
        self.dots += (len(found["dots"]), len(true["dots"]), len(pairs))
        chains = _chain_pairs(found, true, pairs)
        self.chains += (len(found["chains"]), len(true["chains"]), len(chains))
        crossing = true["chains"].loc[true["chains"].n_crossings > 0, "chain"]
        self.crossed += (len(crossing), len(set(crossing) & set(chains.values())))
        for i, j in pairs:
            self._note("diameter_nm", found["dots"].iloc[i], true["dots"].iloc[j])
        mine, theirs = (t["chains"].set_index("chain") for t in (found, true))
        for i, j in chains.items():
            for column in ("width_nm", "length_nm", "gap_nm", "pitch_nm"):
                if column == "length_nm" or not theirs.loc[j].touches_edge:
                    self._note(f"chains.{column}", mine.loc[i], theirs.loc[j])
        self._gaps(found, true, chains)

    def add_lines(self, found: Tables, true: Tables) -> None:
        """Compare centrelines, widths and lengths alone, as of a method that knows no dots."""
        chains = _line_pairs(found, true)
        self.chains += (len(found["chains"]), len(true["chains"]), len(chains))
        crossing = true["chains"].loc[true["chains"].n_crossings > 0, "chain"]
        self.crossed += (len(crossing), len(set(crossing) & set(chains.values())))
        mine, theirs = (t["chains"].set_index("chain") for t in (found, true))
        for i, j in chains.items():
            for column in ("width_nm", "length_nm"):
                if column == "length_nm" or not theirs.loc[j].touches_edge:
                    self._note(f"chains.{column}", mine.loc[i], theirs.loc[j])

    def _note(self, name: str, mine: pd.Series, theirs: pd.Series) -> None:
        column = name.rsplit(".", maxsplit=1)[-1]
        err = mine.get(column.replace("_nm", "_err_nm"), np.nan)
        self.errors.setdefault(name, []).append(
            (mine[column] - theirs[column], err, theirs[column]))

    def _gaps(self, found: Tables, true: Tables, chains: dict[int, int]) -> None:
        mine, theirs = found["gaps"], true["gaps"]
        if not len(mine) or not len(theirs):
            return
        tree = cKDTree(theirs[["y_nm", "x_nm"]].to_numpy())
        distance, nearest = tree.query(mine[["y_nm", "x_nm"]].to_numpy())
        for row, (near, j) in enumerate(zip(distance, nearest, strict=True)):
            if near < 1.5 and mine.iloc[row].chain in chains:
                self.resolved.append(bool(mine.iloc[row].resolved))
                self._note("gap_nm", mine.iloc[row], theirs.iloc[j])


def _dot_pairs(found: pd.DataFrame, true: pd.DataFrame) -> list[tuple[int, int]]:
    """Found and true dots that are each other's nearest, within half a diameter."""
    places = [table[["y_nm", "x_nm"]].to_numpy() for table in (found, true)]
    if not len(places[1]):
        return []
    distance, nearest = cKDTree(places[1]).query(places[0])
    _, back = cKDTree(places[0]).query(places[1])
    reach = 0.5 * true.diameter_nm.to_numpy()
    return [(i, int(j)) for i, j in enumerate(nearest) if back[j] == i and distance[i] < reach[j]]


def _chain_pairs(
    found: Tables, true: Tables, pairs: list[tuple[int, int]]
) -> dict[int, int]:
    """Found chain -> true chain where both hold the same dots, or lie on each other."""
    lines = found["chains"].chain[found["chains"].n_dots == 0]
    axes = found["axes"]
    result = _line_pairs({"axes": axes[axes.chain.isin(lines)]}, true)
    mine, theirs = found["dots"].chain.to_numpy(), true["dots"].chain.to_numpy()
    shared: dict[tuple[int, int], int] = {}
    for i, j in pairs:
        if mine[i] and theirs[j]:
            shared[mine[i], theirs[j]] = shared.get((mine[i], theirs[j]), 0) + 1
    for (i, j), n in shared.items():
        union = (mine == i).sum() + (theirs == j).sum() - n
        if n > _SAME * union:
            result[int(i)] = int(j)
    return result


def _line_pairs(found: Tables, true: Tables) -> dict[int, int]:
    """Chains whose centrelines lie on each other over most of both."""
    result: dict[int, int] = {}
    mine = {n: rows[["y_nm", "x_nm"]].to_numpy() for n, rows in found["axes"].groupby("chain")}
    theirs = {n: rows[["y_nm", "x_nm"]].to_numpy() for n, rows in true["axes"].groupby("chain")}
    widths = true["chains"].set_index("chain").width_nm
    if not mine:
        return result
    trees = {n: cKDTree(points) for n, points in mine.items()}
    all_points = cKDTree(np.vstack(list(mine.values())))
    owners = np.repeat(list(mine), [len(points) for points in mine.values()])
    for j, line in theirs.items():
        tree = cKDTree(line)
        for i in np.unique(owners[all_points.query(line)[1]]).tolist():
            other = mine[i]
            near = trees[i].query(line)[0] < 0.5 * widths[j] + 1.0
            if near.mean() > _SAME and (tree.query(other)[0] < widths[j]).mean() > _SAME:
                result[int(i)] = int(j)
    return result


def dots_of(found: Tables, true: Tables) -> dict[int, float]:
    """Return the diameter measured of each true dot that was found."""
    if not len(found["dots"]):
        return {}
    return {j: float(found["dots"].diameter_nm.iloc[i])
            for i, j in _dot_pairs(found["dots"], true["dots"])}


def lines_of(found: Tables, true: Tables) -> dict[int, float]:
    """Return the width measured of each true chain that was found, by its centreline."""
    widths = found["chains"].set_index("chain").width_nm
    return {j: float(widths[i]) for i, j in _line_pairs(found, true).items()}


def f1(counts: NDArray[np.int64]) -> float:
    """F1 of found, true, right."""
    found, true, right = counts.tolist()
    return 2 * right / max(found + true, 1)
