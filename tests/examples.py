"""One simulated example of each measurement, and how its rows are matched with their truth.

`EXAMPLES` is the one place that a new measurement has to be added to: the tests that run over all
measurements take their images from here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from emtools import simulate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from emtools.model import Image

    Tables = Mapping[str, pd.DataFrame]

UNITS = ("per_nm", "nm2", "nm", "deg", "px2", "px", "percent", "keV", "mrad", "s")


@dataclass(frozen=True)
class Example:
    """A simulated image of each seed with its truth.

    Parameters
    ----------
    make
        Seed -> image and truth.
    found
        The table that must have rows.
    parameters
        What the measurement is told about the sample.
    """

    make: Callable[[int], tuple[Image, dict[str, pd.DataFrame]]]
    found: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


def _crystal(seed: int) -> tuple[Image, dict[str, pd.DataFrame]]:
    """A crystal whose cell is oblique, so that no symmetry folds its measured angles and lengths.

    It fills a frame that is not square, turned by an angle of no symmetry.
    """
    return simulate.crystal("CuInS2", (2, 1, 1), shape=(288, 320), pixel_size_nm=0.03,
                            rotation_deg=17.0 + 7.0 * seed, contrast=0.3, counts=60.0, rng=seed)


def _chains(seed: int) -> tuple[Image, dict[str, pd.DataFrame]]:
    return simulate.chains(shape=(352, 320), n_chains=2, n_dots=(6, 9), isolated_dots=2,
                           counts=60.0, rng=seed)


def _attached(seed: int) -> tuple[Image, dict[str, pd.DataFrame]]:
    """A chain of crystals; of their {200} normals, the truth keeps each grain's nearest one."""
    image, truth = simulate.chains(shape=(288, 336), pixel_size_nm=0.06, n_chains=1, n_dots=(4, 4),
                                   diameter_nm=3.4, gap_nm=0.5, lattice="PbS", blur_nm=0.1,
                                   counts=200.0, background=0.15, rng=seed + 1)
    family = truth["angles"][truth["angles"]["hkl"].str.fullmatch("-?2 0 0|0 -?2 0")]
    nearest = family.loc[family.groupby("grain")["angle_deg"].idxmin()]
    places = truth["grains"][["grain", "y_nm", "x_nm"]]
    return image, {"angles": nearest.drop(columns="hkl").merge(places)}


def _spectra(seed: int) -> tuple[Image, dict[str, pd.DataFrame]]:
    (spectra, _), truth = simulate.spectrum_image("PbS", shape=(24, 48), rng=seed)
    return spectra, {"composition": truth["composition"].drop(columns="k_factor")}


def _rings(seed: int) -> tuple[Image, dict[str, pd.DataFrame]]:
    return simulate.rings("Au", shape=(260, 280), pixel_size_per_nm=0.06, centre_px=(120.3, 150.8),
                          ellipticity=0.015, ellipse_deg=20.0 + 7.0 * seed, crystallite_nm=4.0,
                          stop_px=9.0, stop_deg=70.0 + 40.0 * seed, background=0.5, counts=40.0,
                          rng=seed)


EXAMPLES: dict[str, Example] = {
    "attachment": Example(_attached, found="angles", parameters={"d_nm": 0.297}),
    "chains": Example(_chains, found="dots"),
    "eds": Example(_spectra, found="composition", parameters={
        "elements": ("Pb", "S"), "k_factors": {"Pb_Ma": 2.4, "S_Ka": 1.02}}),
    "rings": Example(_rings, found="rings", parameters={
        "phases": ("Au",), "instrument_fwhm_per_nm": 0.05}),
    "lattice": Example(_crystal, found="reflections", parameters={"phases": ("CuInS2",)}),
}


def error_of(column: str) -> str:
    """Name of the column that holds the 1 sigma of another: d_nm -> d_err_nm."""
    if column.endswith("_percent"):
        return f"{column}_err"
    for unit in UNITS:
        if column.endswith(f"_{unit}"):
            return f"{column.removesuffix(f'_{unit}')}_err_{unit}"
    return f"{column}_err"


def difference(column: str, a: Any, b: Any) -> Any:
    """a - b; of the directions of lines within -90 ... 90 degrees."""
    apart = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    turns = re.fullmatch(r"(angle|orientation|rotation)_deg", column)
    return (apart + 90.0) % 180.0 - 90.0 if turns else apart


def places(tables: Tables, name: str) -> NDArray[np.float64]:
    """Where each row of a table is, ``(n, 2)``: what it is matched by.

    Wave vectors (their sign does not count), wave numbers, positions, or for a table without either
    the mean position of the rows of another table that name what its rows are about.
    """
    table = tables[name]
    if {"k_per_nm", "angle_deg"} <= set(table):
        turn = np.radians(2.0 * table["angle_deg"])
        return np.stack([table["k_per_nm"] * np.sin(turn), table["k_per_nm"] * np.cos(turn)], -1)
    if "k_per_nm" in table:
        return table[["k_per_nm"]].to_numpy()
    if {"y_nm", "x_nm"} <= set(table):
        return table[["y_nm", "x_nm"]].to_numpy()
    one = table.columns[0]
    parts = max((other for other in tables.values() if {one, "y_nm", "x_nm"} <= set(other)),
                key=len)
    return parts.groupby(one)[["y_nm", "x_nm"]].mean().reindex(table[one]).to_numpy()


def matched(found: Tables, true: Tables, name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of both tables that are each other's nearest, in the same order.

    Rows of a composition are those of the same line in the same region.
    """
    key = ["region", "element", "line"]
    if set(key) <= set(found[name]):
        both = found[name][key].merge(true[name][key])
        return tuple(both.merge(one[name]) for one in (found, true))
    if not len(found[name]) or not len(true[name]):
        return found[name].iloc[:0], true[name].iloc[:0]
    here, there = places(found, name), places(true, name)
    apart = np.linalg.norm(here[:, None] - there[None], axis=-1)
    pairs = [(i, j) for i, j in enumerate(apart.argmin(axis=1)) if apart[:, j].argmin() == i]
    rows, columns = (list(numbers) for numbers in zip(*pairs, strict=True))
    return (found[name].iloc[rows].reset_index(drop=True),
            true[name].iloc[columns].reset_index(drop=True))


def pulls(found: Tables, true: Tables, name: str) -> pd.DataFrame:
    """(measured - true) / stated error of every column that both tables and the errors know."""
    mine, theirs = matched(found, true, name)
    return pd.DataFrame({
        column: difference(column, mine[column], theirs[column]) / mine[error_of(column)]
        for column in mine if column in theirs and error_of(column) in mine
    })
