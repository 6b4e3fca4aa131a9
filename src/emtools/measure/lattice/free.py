"""The reduced lattice that explains spots without naming a phase, and which spots it explains."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from emtools.measure.lattice.derivatives import jacobian

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.lattice.spots import Spot

_COLLINEAR_DEG = 8.0
_EXPLAINED = 0.85  # of the strength of a grain's spots has to be on its lattice
_SECOND = 0.3  # of the strongest spot: a crystal on top of the other
_PAIRED = 16  # strongest spots that a lattice is spanned by
_HIGHEST = 6.5  # index
_INTEGER = 0.06  # how far from integers the indices of a spot may be (distortion, tilt)


@dataclass(frozen=True)
class FreeLattice:
    """Reduced lattice that explains a grain's spots without naming a phase.

    Parameters
    ----------
    u, v
        Real-space vectors ``(y, x)``, u the shorter one.
    reciprocal
        Rows: the two vectors ``(y, x)`` of a basis of its reciprocal lattice.
    covariance
        ``(4, 4)`` of the components of `reciprocal`, row by row.
    u_err, v_err, angle_err_deg
        1 sigma of their lengths and of the angle between them.
    """

    u: NDArray[np.float64]
    v: NDArray[np.float64]
    reciprocal: NDArray[np.float64]
    covariance: NDArray[np.float64]
    u_err: float
    v_err: float
    angle_err_deg: float

    @property
    def angle_deg(self) -> float:
        """Angle between u and v."""
        cosine = self.u @ self.v / (np.hypot(*self.u) * np.hypot(*self.v))
        return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def collinear(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Whether two vectors are along the same line within 8 degrees."""
    sine = abs(a[0] * b[1] - a[1] * b[0]) / (np.hypot(*a) * np.hypot(*b))
    return bool(sine < np.sin(np.radians(_COLLINEAR_DEG)))


def free_lattice(
    spots: list[Spot], correlation: NDArray[np.float64] | None = None
) -> FreeLattice | None:
    """Find the coarsest reciprocal lattice that holds the spots, fit and reduce it.

    Candidate bases are pairs of spots and of their sums and differences; the pair with the largest
    cell that gives every spot integer indices wins, then all spots are fitted together, weighted by
    their covariances; their errors may be correlated (see `refine.shared_noise`).  Where no lattice
    holds all of them, the faintest, which may be artefacts of the scan, are left aside.  None where
    the spots span a single row.
    """
    basis = _basis(spots)
    if basis is None:
        basis = _basis(_strongest(spots))
    if basis is None:
        most = _held_by_best_pair(spots)
        basis = _basis([s for s, one in zip(spots, most.tolist(), strict=True) if one])
    if basis is None:
        return None
    held = _integers(np.array([s.k for s in spots]) @ np.linalg.inv(basis))
    if correlation is None:
        correlation = np.eye(len(spots))
    return _fit([s for s, one in zip(spots, held.tolist(), strict=True) if one], basis,
                correlation[np.ix_(held, held)])


def on_lattice(spot: Spot, lattice: FreeLattice) -> bool:
    """Whether a spot has nearly integer indices in a lattice."""
    return bool(_integers(spot.k @ np.linalg.inv(lattice.reciprocal)))


def split_lattices(spots: list[Spot]) -> list[list[Spot]]:
    """Split spots into those of lattices on top of each other.

    Each time the pair of strong spots whose lattice holds most of the strength takes its spots.
    What is left is another crystal if its strongest spot is nearly as strong as the first one's;
    else it stays with the first.
    """
    groups: list[list[Spot]] = []
    left = sorted(spots, key=lambda s: -s.fringes.snr)
    while left:
        held = (np.ones(len(left), dtype=bool) if _basis(left) is not None
                else _held_by_best_pair(left))
        rest = [s for s, one in zip(left, held.tolist(), strict=True) if not one]
        if not rest or not held.any() or rest[0].fringes.snr < _SECOND * left[0].fringes.snr:
            groups.append(left)
            break
        groups.append([s for s, one in zip(left, held.tolist(), strict=True) if one])
        left = rest
    return groups


def _held_by_best_pair(spots: list[Spot]) -> NDArray[np.bool_]:
    """Which spots the lattice of that pair holds that explains most of their strength.

    None if all are in a row.
    """
    k, strength = np.array([s.k for s in spots]), np.array([s.fringes.snr for s in spots])
    best, share = np.zeros(len(spots), dtype=bool), 0.0
    for a, b in combinations(k[:_PAIRED], 2):
        if collinear(a, b):
            continue
        indices = k @ np.linalg.inv(np.array([a, b]))
        # Spots midway between those of a pair are of its lattice too (a centred cell).
        held = _integers(2 * indices) & (np.abs(indices).max(axis=1) < _HIGHEST)
        score = float(strength[held].sum()) + float(strength[_integers(indices) & held].sum())
        # Of equals the simplest: the largest reciprocal cell.
        score *= 1.0 + 1e-6 * float(abs(_cross(a, b)) / (np.hypot(*a) * np.hypot(*b)))
        if score > share:
            best, share = held, score
    return best


def _strongest(spots: list[Spot]) -> list[Spot]:
    """The strongest spots, which hold most of the strength together."""
    order = sorted(spots, key=lambda s: -s.fringes.snr)
    share = np.cumsum([s.fringes.snr for s in order])
    enough = int(np.searchsorted(share, _EXPLAINED * share[-1])) + 1
    return sorted(order[:enough], key=lambda s: s.length)


def _integers(indices: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(indices - np.rint(indices)).max(axis=-1) < _INTEGER)


def _basis(spots: list[Spot]) -> NDArray[np.float64] | None:
    if len(spots) < 2:
        return None
    spots = sorted(spots, key=lambda s: s.length)
    k = np.array([s.k for s in spots])
    candidates = list(k) + [a + sign * b for a, b in combinations(k, 2) for sign in (1, -1)]
    short = 0.2 * np.hypot(*k[0])
    return _coarsest_basis(k, np.array([c for c in candidates if np.hypot(*c) > short]))


def _coarsest_basis(
    k: NDArray[np.float64], candidates: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Pair of candidates with the largest cell that gives all of `k` integer indices."""
    first, second = np.triu_indices(len(candidates), 1)
    a, b = candidates[first], candidates[second]
    area = _cross(a, b)
    sine = np.abs(area) / (np.hypot(*a.T) * np.hypot(*b.T))
    left = np.flatnonzero(sine >= np.sin(np.radians(_COLLINEAR_DEG)))
    for vector in k:
        # Spot by spot: a few are enough to discard nearly all of a million pairs.
        index = np.stack([_cross(vector, b[left]), _cross(a[left], vector)]) / area[left]
        left = left[(np.abs(index - np.rint(index)) < _INTEGER).all(axis=0)]
    if not len(left):
        return None
    best = left[np.argmax(np.abs(area[left]))]
    return np.array([a[best], b[best]])


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def _fit(
    spots: list[Spot], basis: NDArray[np.float64], correlation: NDArray[np.float64]
) -> FreeLattice:
    k = np.array([s.k for s in spots])
    indices = np.rint(k @ np.linalg.inv(basis))
    # Unknowns: the four components of the basis, b1y b1x b2y b2x.
    design = np.concatenate([np.kron(row, np.eye(2)) for row in indices])
    weights = np.zeros((len(design), len(design)))
    for i, s in enumerate(spots):
        weights[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = np.linalg.inv(s.covariance)
    estimator = np.linalg.solve(design.T @ weights @ design, design.T @ weights)
    fitted = estimator @ k.ravel()
    covariance = estimator @ _together(spots, correlation) @ estimator.T
    degrees = len(design) - 4
    if degrees > 0:
        misfit = k.ravel() - design @ fitted
        covariance = covariance * max(1.0, float(misfit @ weights @ misfit) / degrees)
    return _real_space(fitted, covariance)


def _together(spots: list[Spot], correlation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Covariance of all wave vectors, ``(2 n, 2 n)``."""
    n = len(spots)
    roots = np.zeros((2 * n, 2 * n))
    for i, s in enumerate(spots):
        roots[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = np.linalg.cholesky(s.covariance)
    return np.asarray(roots @ np.kron(correlation, np.eye(2)) @ roots.T)


def _real_space(fitted: NDArray[np.float64], covariance: NDArray[np.float64]) -> FreeLattice:
    reduction = _reduction(np.asarray(np.linalg.inv(fitted.reshape(2, 2)).T, dtype=np.float64))

    def quantities(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        u, v = reduction @ np.linalg.inv(parameters.reshape(2, 2)).T
        return np.array([np.hypot(*u), np.hypot(*v),
                         np.degrees(np.arctan2(u[0] * v[1] - u[1] * v[0], u @ v))])

    slopes = jacobian(quantities, fitted, 1e-6 * float(np.abs(fitted).max()))
    u, v = reduction @ np.linalg.inv(fitted.reshape(2, 2)).T
    u_err, v_err, angle_err = np.sqrt(np.diag(slopes @ covariance @ slopes.T)).tolist()
    return FreeLattice(u, v, fitted.reshape(2, 2), covariance, u_err, v_err, angle_err)


def _reduction(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integer matrix that turns a basis into its Gauss-reduced one (angle 60 to 90 degrees)."""
    matrix = np.eye(2)
    for _ in range(100):
        u, v = matrix @ vectors
        if np.hypot(*u) > np.hypot(*v) * (1 + 1e-9):
            matrix = np.flipud(matrix)
            continue
        shift = np.rint(u @ v / (u @ u))
        if shift == 0:
            break
        matrix[1] -= shift * matrix[0]
    u, v = matrix @ vectors
    if u @ v < 0:
        matrix[1] *= -1
    return matrix
