"""Maps of atomic per cent, as finely as the counts allow: small squares where there are many."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.eds.areas import Maps

    Floats = NDArray[np.float64]

_COARSEST = 64  # pixels
_SURE = 7.0  # all atoms together over their 1 sigma: squares are divided into such
_KEPT = 0.75  # of a square's atoms, that its sure quarters have to hold
_BARE = 0.15  # atoms in a pixel over those where there are many: less is hardly any of them
_LEAST = 4.0  # below, nothing is said of a square


class Shares(NamedTuple):
    """Shares of the atoms in each pixel: all pixels of a square have the square's.

    Parameters
    ----------
    values, err
        ``(y, x, n)``, NaN where the counts say nothing; 1 sigma by counting.
    side
        ``(y, x)`` side of the square in pixels.
    """

    values: Floats
    err: Floats
    side: NDArray[np.int64]


def share_maps(maps: Maps, per_count: Floats) -> Shares:
    """Share of each element's atoms, on squares that are divided as long as counts allow.

    Parameters
    ----------
    maps
        Signed counts and their covariance.
    per_count
        ``(n,)`` atoms that a count stands for; elements for which it is 0 are left out.
    """
    taken = np.flatnonzero(per_count)
    maps, per_count = maps.only(taken), per_count[taken]
    rows, columns, n = maps.counts.shape
    values, err = (np.full((rows, columns, n), np.nan) for _ in range(2))
    sides, density = np.zeros((rows, columns), dtype=np.int64), np.zeros((rows, columns))
    divided = np.ones((rows, columns), dtype=bool)  # the square around each pixel so far
    side = 2 ** int(np.log2(min(rows, columns, _COARSEST)))
    while side >= 1:
        squares = _of_squares(maps.summed(side), per_count)
        shares, own, sure, atoms = (_spread(one, side, (rows, columns)) for one in squares)
        values[divided], err[divided], sides[divided] = np.nan, np.nan, 0
        known = divided & (sure >= _LEAST)
        values[known], err[known], sides[known] = shares[known], own[known], side
        density[known] = atoms[known] / side**2
        if side > 1:
            parts = _of_squares(maps.summed(side // 2), per_count)
            kept = _in_quarters(np.where(parts.sure >= _SURE, parts.atoms, 0.0), squares.atoms)
            divided &= _spread(kept, side, (rows, columns), beyond=1.0) >= _KEPT
        side //= 2
    if (sides > 0).any():
        # What is left of a divided square beside its bodies is mostly film.
        bare = density < _BARE * float(np.percentile(density[sides > 0], 90.0))
        values[bare], err[bare], sides[bare] = np.nan, np.nan, 0
    return Shares(values, err, sides)


def _spread(squares: Floats, side: int, shape: tuple[int, int], beyond: float = 0.0) -> Floats:
    """Give each pixel its square's value, and those beyond the last whole square another."""
    fine = np.repeat(np.repeat(squares, side, axis=0), side, axis=1)
    missing = [(0, n - m) for n, m in zip(shape, fine.shape, strict=False)]
    missing += [(0, 0)] * (fine.ndim - 2)
    return np.pad(fine, missing, constant_values=beyond)


def _in_quarters(parts: Floats, whole: Floats) -> Floats:
    """What part of each square's atoms its four quarters hold."""
    rows, columns = whole.shape
    quarters = parts[:2 * rows, :2 * columns].reshape(rows, 2, columns, 2)
    return np.asarray(quarters.sum(axis=(1, 3)) / np.maximum(whole, 1e-30))


class _Squares(NamedTuple):
    """Shares of squares, their 1 sigma, how sure all atoms together are, and how many they are."""

    shares: Floats
    err: Floats
    sure: Floats
    atoms: Floats


def _of_squares(maps: Maps, per_count: Floats) -> _Squares:
    atoms = maps.counts * per_count
    covariance = maps.covariance * per_count[:, None] * per_count
    total = atoms.sum(axis=-1)
    sure = total / np.sqrt(np.maximum(covariance.sum(axis=(-1, -2)), 1e-30))
    safe = np.where(total > 0, total, np.nan)
    shares = atoms / safe[..., None]
    slopes = (np.eye(len(per_count)) - shares[..., :, None]) / safe[..., None, None]
    variance = np.einsum("yxij,yxjk,yxik->yxi", slopes, covariance, slopes)
    return _Squares(shares, np.sqrt(np.maximum(variance, 0.0)), np.nan_to_num(sure), total)
