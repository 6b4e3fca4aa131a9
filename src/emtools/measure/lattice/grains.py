"""Reflections that live in the same domain form a grain; its free lattice explains them all."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from emtools.measure.lattice.refine import GRID, Fringes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.model import Calibration

_SHARED = 0.5  # of the smaller domain must lie in the larger one
_COLLINEAR_DEG = 8.0
_SIDELOBES = 6.0  # how many times 1/D from a spot its side lobes are looked for
_ENVELOPE_MARGIN = 1.5
_OFF_LATTICE = 4.0  # sigmas off its grain's lattice beyond which a spot's own error is not enough
_EXPLAINED = 0.85  # of the strength of a grain's spots has to be on its lattice
_INTEGER = 0.06  # how far from integers the indices of a spot may be (distortion, tilt)


@dataclass(frozen=True)
class Spot:
    """A reflection in physical units.

    Parameters
    ----------
    k
        ``(y, x)`` wave vector in cycles per unit.
    covariance
        ``(2, 2)`` of `k`.
    fringes
        What it was made of.
    area
        Of its domain, in unit squared.
    """

    k: NDArray[np.float64]
    covariance: NDArray[np.float64]
    fringes: Fringes
    area: float

    @property
    def length(self) -> float:
        """|k|."""
        return float(np.hypot(*self.k))

    @property
    def length_err(self) -> float:
        """1 sigma of |k|."""
        along = self.k / self.length
        return float(np.sqrt(along @ self.covariance @ along))

    @property
    def angle_err_deg(self) -> float:
        """1 sigma of the direction."""
        across = np.array([-self.k[1], self.k[0]]) / self.length
        return float(np.degrees(np.sqrt(across @ self.covariance @ across) / self.length))


@dataclass(frozen=True)
class FreeLattice:
    """Reduced lattice that explains a grain's spots without naming a phase.

    Parameters
    ----------
    u, v
        Real-space vectors ``(y, x)``, u the shorter one.
    reciprocal
        Rows: the two vectors ``(y, x)`` of a basis of its reciprocal lattice.
    u_err, v_err, angle_err_deg
        1 sigma of their lengths and of the angle between them.
    """

    u: NDArray[np.float64]
    v: NDArray[np.float64]
    reciprocal: NDArray[np.float64]
    u_err: float
    v_err: float
    angle_err_deg: float

    @property
    def angle_deg(self) -> float:
        """Angle between u and v."""
        cosine = self.u @ self.v / (np.hypot(*self.u) * np.hypot(*self.v))
        return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


@dataclass
class Grain:
    """A crystal domain: its spots and its free lattice (None if all spots are in one row)."""

    spots: list[Spot]
    lattice: FreeLattice | None = None
    domain: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((GRID, GRID), dtype=bool))


def spot(fringes: Fringes, calibration: Calibration) -> Spot:
    """Convert fringes to physical units."""
    inverse = np.linalg.inv(calibration.matrix)
    return Spot(calibration.wave_vectors(fringes.frequency),
                inverse.T @ fringes.covariance @ inverse, fringes,
               fringes.area_px * calibration.area_per_pixel)


def group(spots: list[Spot]) -> list[Grain]:
    """Group spots whose domains coincide, the strongest spots first."""
    grains: list[Grain] = []
    kept: list[Spot] = []
    for new in sorted(spots, key=lambda s: -s.fringes.snr):
        if any(_is_sidelobe(new, spot) for spot in kept):
            continue
        kept.append(new)
        home = next((grain for grain in grains if _same_domain(grain, new)), None)
        if home is None:
            grains.append(Grain([new], domain=new.fringes.domain))
        else:
            home.spots.append(new)
    for grain in grains:
        grain.spots.sort(key=lambda s: s.length)
        grain.lattice = free_lattice(grain.spots)
        if grain.lattice is not None and len(grain.spots) > 3:
            grain.spots = [_admitted(s, grain.lattice) for s in grain.spots]
            grain.lattice = free_lattice(grain.spots)
    return grains


def _admitted(spot: Spot, lattice: FreeLattice) -> Spot:
    """Widen the uncertainty of a spot that lies off the lattice of its own grain.

    Its fringes then run through more than this crystal, which noise alone does not tell.
    """
    indices = spot.k @ np.linalg.inv(lattice.reciprocal)
    if not _integers(indices):
        return spot  # no reflection of this lattice at all
    off = spot.k - np.rint(indices) @ lattice.reciprocal
    if off @ np.linalg.inv(spot.covariance) @ off < _OFF_LATTICE**2:
        return spot
    # Which way it is off is an accident: the same in all directions.
    return replace(spot, covariance=spot.covariance + np.eye(2) * float(off @ off))


def _is_sidelobe(new: Spot, strong: Spot) -> bool:
    """Whether a weaker spot is what the outline of a small crystal draws beside a strong one.

    A crystal of diameter D with straight sides spreads each of its spots as sin(pi x) / (pi x),
    x = D |dk|; nothing below that envelope is evidence of another spot.
    """
    distance = min(float(np.hypot(*(new.k - sign * strong.k))) for sign in (1, -1))
    x = distance * 2.0 * np.sqrt(strong.area / np.pi)
    ratio = new.fringes.snr / strong.fringes.snr
    return bool(x < _SIDELOBES and ratio < _ENVELOPE_MARGIN / (np.pi * max(x, 0.3)))


def _same_domain(grain: Grain, new: Spot) -> bool:
    shared = float((grain.domain & new.fringes.domain).sum())
    smaller, larger = sorted((float(grain.domain.sum()), float(new.fringes.domain.sum())))
    return shared > _SHARED * smaller and smaller > 0.15 * larger


def collinear(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """Whether two vectors are along the same line within 8 degrees."""
    sine = abs(a[0] * b[1] - a[1] * b[0]) / (np.hypot(*a) * np.hypot(*b))
    return bool(sine < np.sin(np.radians(_COLLINEAR_DEG)))


def free_lattice(spots: list[Spot]) -> FreeLattice | None:
    """Find the coarsest reciprocal lattice that holds the spots, fit and reduce it.

    Candidate bases are pairs of spots and of their sums and differences; the pair with the largest
    cell that gives every spot integer indices wins, then all spots are fitted together, weighted by
    their covariances.  Where no lattice holds all of them, the faintest, which may be artefacts of
    the scan, are left aside.  None where the spots span a single row.
    """
    basis = _basis(spots) if len(spots) > 1 else None
    if basis is None:
        spots = _strongest(spots)
        basis = _basis(spots)
    if basis is None:
        return None
    held = _integers(np.array([s.k for s in spots]) @ np.linalg.inv(basis))
    return _fit([s for s, one in zip(spots, held.tolist(), strict=True) if one], basis)


def _strongest(spots: list[Spot]) -> list[Spot]:
    """The strongest spots, which hold most of the strength together."""
    order = sorted(spots, key=lambda s: -s.fringes.snr)
    share = np.cumsum([s.fringes.snr for s in order])
    enough = int(np.searchsorted(share, _EXPLAINED * share[-1])) + 1
    return sorted(order[:enough], key=lambda s: s.length)


def _integers(indices: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(indices - np.rint(indices)).max(axis=-1) < _INTEGER)


def _basis(spots: list[Spot]) -> NDArray[np.float64] | None:
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


def _fit(spots: list[Spot], basis: NDArray[np.float64]) -> FreeLattice:
    k = np.array([s.k for s in spots])
    indices = np.rint(k @ np.linalg.inv(basis))
    # Unknowns: the four components of the basis, b1y b1x b2y b2x.
    design = np.concatenate([np.kron(row, np.eye(2)) for row in indices])
    weights = np.zeros((len(design), len(design)))
    for i, s in enumerate(spots):
        weights[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = np.linalg.inv(s.covariance)
    covariance = np.linalg.inv(design.T @ weights @ design)
    fitted = covariance @ (design.T @ (weights @ k.ravel()))
    degrees = len(design) - 4
    if degrees > 0:
        misfit = k.ravel() - design @ fitted
        covariance = covariance * max(1.0, float(misfit @ weights @ misfit) / degrees)
    return _real_space(fitted, covariance)


def _real_space(fitted: NDArray[np.float64], covariance: NDArray[np.float64]) -> FreeLattice:
    reduction = _reduction(np.asarray(np.linalg.inv(fitted.reshape(2, 2)).T, dtype=np.float64))

    def quantities(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        u, v = reduction @ np.linalg.inv(parameters.reshape(2, 2)).T
        return np.array([np.hypot(*u), np.hypot(*v),
                         np.degrees(np.arctan2(u[0] * v[1] - u[1] * v[0], u @ v))])

    jacobian = np.zeros((3, 4))
    for i in range(4):
        step = np.zeros(4)
        step[i] = 1e-6 * float(np.abs(fitted).max())
        jacobian[:, i] = (quantities(fitted + step) - quantities(fitted - step)) / (2 * step[i])
    u, v = reduction @ np.linalg.inv(fitted.reshape(2, 2)).T
    u_err, v_err, angle_err = np.sqrt(np.diag(jacobian @ covariance @ jacobian.T)).tolist()
    return FreeLattice(u, v, fitted.reshape(2, 2), u_err, v_err, angle_err)


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
