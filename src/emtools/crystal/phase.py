"""Phase: a crystal structure and what electrons see of it.

Lengths are in nm and reciprocal lengths in 1/nm with k = 1/d (no 2 pi).  The Cartesian frame of a
crystal has x along a and y in the plane of a and b.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from emtools.crystal.scattering import symmetry_rotations, unit_cell_atoms, weights
from emtools.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

Modality = Literal["HAADF", "TEM", "SAED"]

# Relative to the strongest reflection, below this a structure factor is rounding, not intensity.
ABSENT = 1e-6


class Site(NamedTuple):
    """One atom of the asymmetric unit.

    Parameters
    ----------
    element
        Symbol.
    x, y, z
        Fractional coordinates.
    occupancy
        Between 0 and 1.
    u_iso_nm2
        Mean square displacement in nm2 (Debye-Waller factor exp(-2 pi2 u k2)); 0 for none.
    """

    element: str
    x: float
    y: float
    z: float
    occupancy: float = 1.0
    u_iso_nm2: float = 0.0


class Reflections(NamedTuple):
    """Reflections that are not absent, longest spacing first.

    Parameters
    ----------
    hkl
        ``(n, 3)`` integers.
    d_nm
        Spacings.
    structure_factor
        Complex, relative to the strongest reflection of the list (whose magnitude is 1).
    """

    hkl: NDArray[np.int64]
    d_nm: NDArray[np.float64]
    structure_factor: NDArray[np.complex128]

    @property
    def amplitude(self) -> NDArray[np.float64]:
        """Relative magnitude |F|."""
        return np.abs(self.structure_factor)


class ZoneReflections(NamedTuple):
    """Reflections of the zero-order Laue zone, drawn on the screen, longest spacing first.

    Parameters
    ----------
    hkl
        ``(n, 3)`` integers.
    g_yx_per_nm
        ``(n, 2)`` in-plane vectors ``(y, x)`` in 1/nm, rows running down as in an image.
    d_nm
        Spacings.
    structure_factor
        Complex, relative to the mean of the projected crystal (F of 0 0 0), so that the projection
        is ``1 + sum(structure_factor * exp(2 pi i g.r))``.
    """

    hkl: NDArray[np.int64]
    g_yx_per_nm: NDArray[np.float64]
    d_nm: NDArray[np.float64]
    structure_factor: NDArray[np.complex128]

    @property
    def amplitude(self) -> NDArray[np.float64]:
        """Magnitude |F| relative to the strongest reflection of the list."""
        magnitude = np.abs(self.structure_factor)
        return magnitude / magnitude.max() if magnitude.size else magnitude


class Family(NamedTuple):
    """Reflections that the point group makes equal.

    Parameters
    ----------
    hkl
        Representative: lowest indices, then lexicographically largest, so ``(2, 0, 0)``.
    d_nm
        Spacing.
    multiplicity
        Number of members, Friedel mates included.
    amplitude
        |F| relative to the strongest family.
    """

    hkl: tuple[int, int, int]
    d_nm: float
    multiplicity: int
    amplitude: float


@dataclass(frozen=True)
class Phase:
    """A crystal structure.

    Parameters
    ----------
    name
        Short name: ``PbS``.
    cell
        ``(a, b, c, alpha, beta, gamma)`` in nm and degrees.
    space_group
        Hermann-Mauguin symbol, with the origin choice where there are two (``F d -3 m:1``).
    sites
        Atoms of the asymmetric unit.
    source
        Where the numbers come from.
    """

    name: str
    cell: tuple[float, float, float, float, float, float]
    space_group: str
    sites: tuple[Site, ...]
    source: str = ""

    @cached_property
    def direct_basis(self) -> NDArray[np.float64]:
        """Columns a, b, c in nm in the crystal's Cartesian frame."""
        a, b, c, *degrees = self.cell
        cos_a, cos_b, cos_g = (math.cos(math.radians(angle)) for angle in degrees)
        sin_g = math.sin(math.radians(degrees[2]))
        c_y = (cos_a - cos_b * cos_g) / sin_g
        c_z = math.sqrt(max(0.0, 1.0 - cos_b**2 - c_y**2))
        basis = np.array([[a, b * cos_g, c * cos_b], [0.0, b * sin_g, c * c_y], [0, 0, c * c_z]])
        # cos 90 degrees is 6e-17 in floating point; exact zeros keep cubic crystals exactly cubic.
        return np.where(np.abs(basis) < 1e-15, 0.0, basis)

    @cached_property
    def reciprocal_basis(self) -> NDArray[np.float64]:
        """Columns a*, b*, c* in 1/nm in the same frame."""
        inverse = np.asarray(np.linalg.inv(self.direct_basis), dtype=np.float64)
        return inverse.T

    def g_vector(self, hkl: ArrayLike) -> NDArray[np.float64]:
        """Reciprocal-lattice vectors of ``(..., 3)`` indices, Cartesian, in 1/nm."""
        vectors: NDArray[np.float64] = np.asarray(hkl, dtype=float) @ self.reciprocal_basis.T
        return vectors

    def d_spacing_nm(self, hkl: ArrayLike) -> NDArray[np.float64]:
        """Lattice spacings in nm (1 over the length of g) of ``(..., 3)`` indices."""
        return np.asarray(1.0 / np.linalg.norm(self.g_vector(hkl), axis=-1), dtype=float)

    def structure_factors(self, hkl: ArrayLike, modality: Modality) -> NDArray[np.complex128]:
        """Structure factors of ``(n, 3)`` indices, on the scale of the modality's atom weights.

        Parameters
        ----------
        hkl
            Indices; 0 0 0 included if wanted.
        modality
            ``HAADF``: atoms weigh Z^1.7.  ``TEM``, ``SAED``: electron scattering factors of the
            International Tables for Crystallography vol. C, table 4.3.2.2.
        """
        indices = np.atleast_2d(np.asarray(hkl, dtype=float))
        k2 = np.sum(self.g_vector(indices) ** 2, axis=-1)
        total = np.zeros(len(indices), dtype=complex)
        for site, positions in unit_cell_atoms(self):
            weight = site.occupancy * weights(site.element, k2, modality)
            damping = np.exp(-2.0 * np.pi**2 * site.u_iso_nm2 * k2)
            total += weight * damping * np.exp(2j * np.pi * indices @ positions.T).sum(axis=1)
        return total

    def reflections(self, min_d_nm: float, modality: Modality = "TEM") -> Reflections:
        """All reflections with spacings of at least `min_d_nm`, without the absent ones."""
        hkl = _indices(self, min_d_nm)
        factors = self.structure_factors(hkl, modality)
        keep = np.abs(factors) > ABSENT * np.abs(factors).max(initial=0.0)
        hkl, factors = hkl[keep], factors[keep]
        strongest = np.abs(factors).max(initial=1e-99)
        return Reflections(hkl, self.d_spacing_nm(hkl), factors / strongest)

    def families(self, min_d_nm: float, modality: Modality = "TEM") -> list[Family]:
        """Reflections as in `reflections`, gathered into families of equal ones."""
        found = self.reflections(min_d_nm, modality)
        rotations = symmetry_rotations(self)
        members: dict[tuple[int, int, int], list[int]] = {}
        for index, hkl in enumerate(found.hkl):
            members.setdefault(_representative(hkl @ rotations), []).append(index)
        return [
            Family(hkl, float(found.d_nm[rows[0]]), len(rows), float(found.amplitude[rows[0]]))
            for hkl, rows in members.items()
        ]

    def powder_rings(self, k_max_per_nm: float) -> tuple[list[Family], NDArray[np.float64]]:
        """Families of planes out to a wave number, and their rings' kinematic intensities.

        Returns
        -------
        list of Family
            Longest spacing first.
        ndarray
            ``m |F|^2 d^2 / V^2``: intensity of the azimuthal mean for a unit volume of crystals.

        References
        ----------
        Vainshtein, Structure Analysis by Electron Diffraction (Pergamon, 1964).
        """
        families = self.families(1.0 / k_max_per_nm, "SAED")
        factors = np.abs(self.structure_factors(
            np.reshape([family.hkl for family in families], (-1, 3)), "SAED"))
        multiplicity = np.array([family.multiplicity for family in families])
        d = np.array([family.d_nm for family in families])
        volume = abs(float(np.linalg.det(self.direct_basis)))
        return families, np.asarray(multiplicity * factors**2 * d**2 / volume**2, dtype=np.float64)

    def equal_planes(self, hkl: ArrayLike) -> NDArray[np.int64]:
        """Indices ``(n, 3)`` of all planes that the point group makes equal to one.

        Both of each plane and its opposite are among them.
        """
        return np.unique(np.asarray(hkl, dtype=np.int64) @ symmetry_rotations(self), axis=0)

    def in_zone(
        self, zone_axis: Sequence[int], min_d_nm: float, modality: Modality = "TEM"
    ) -> ZoneReflections:
        """Reflections of the zero-order Laue zone as they lie on the screen.

        The zone axis points at the viewer (the beam runs along its opposite).  The screen's +x is
        along the shortest reciprocal-lattice vector of the zone, absent ones included (of equal
        ones the lexicographically largest hkl), +y on the screen is zone axis x (+x).

        Parameters
        ----------
        zone_axis
            Direct-lattice direction ``(u, v, w)``.
        min_d_nm
            Smallest spacing.
        modality
            As in `structure_factors`.
        """
        uvw = np.asarray(zone_axis, dtype=np.int64)
        if not uvw.any():
            raise ParameterError("zone_axis", "is 0 0 0", "give a direction such as (0, 0, 1)")
        right, up = self.screen_axes(uvw)
        hkl = _indices(self, min_d_nm)
        hkl = hkl[hkl @ uvw == 0]
        factors = self.structure_factors(np.vstack([np.zeros((1, 3)), hkl]), modality)
        relative = factors[1:] / factors[0]
        keep = np.abs(relative) > ABSENT
        g = self.g_vector(hkl[keep])
        on_screen = np.stack([-g @ up, g @ right], axis=-1)
        return ZoneReflections(hkl[keep], on_screen, self.d_spacing_nm(hkl[keep]), relative[keep])

    def screen_axes(
        self, zone_axis: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Unit vectors of the screen's +x and (upward) +y, as defined in `in_zone`."""
        uvw = np.asarray(zone_axis, dtype=np.int64)
        # Two of the vectors (v, -u, 0), (w, 0, -u), (0, w, -v) span the zone, so the shortest
        # vector of the zone is not longer than the second shortest of them.
        u, v, w = uvw.tolist()
        spanning = np.array([[v, -u, 0], [w, 0, -u], [0, w, -v]])
        longest = np.sort(np.linalg.norm(self.g_vector(spanning), axis=1))[1]
        hkl = _indices(self, 1.0 / (1.0001 * longest))
        hkl = hkl[hkl @ uvw == 0]
        g = self.g_vector(hkl)
        length = np.linalg.norm(g, axis=1)
        ties = np.flatnonzero(length < length.min() * (1 + 1e-9))
        first = max(ties.tolist(), key=lambda row: tuple(hkl[row].tolist()))
        right = g[first] / length[first]
        towards = self.direct_basis @ uvw
        return right, np.cross(towards / np.linalg.norm(towards), right)

    def zone_axes(self, max_index: int = 2) -> list[tuple[int, int, int]]:
        """Zone axes with indices up to `max_index` that the point group does not make equal.

        Returns
        -------
        list of tuple
            One of each set (lowest indices, then lexicographically largest), in that order.
        """
        span = np.arange(-max_index, max_index + 1)
        grid = np.stack(np.meshgrid(span, span, span, indexing="ij"), axis=-1).reshape(-1, 3)
        grid = grid[np.gcd.reduce(grid, axis=1) == 1]
        # Directions turn with R, reflections (rows) with R from the right.
        rotations = symmetry_rotations(self).transpose(0, 2, 1)
        unique = {_representative(uvw @ rotations) for uvw in grid}
        return sorted(unique, key=lambda uvw: (sum(i * i for i in uvw), tuple(-i for i in uvw)))


def _indices(phase: Phase, min_d_nm: float) -> NDArray[np.int64]:
    """All hkl but 0 0 0 with spacings of at least `min_d_nm`, longest spacing first."""
    if not min_d_nm > 0:
        raise ParameterError("min_d_nm", f"must be positive, not {min_d_nm}")
    # |h| = |g . a| <= |g| |a|.
    limits = np.floor(np.linalg.norm(phase.direct_basis, axis=0) / min_d_nm + 1e-9).astype(int)
    spans = [np.arange(-limit, limit + 1) for limit in limits.tolist()]
    grid = np.stack(np.meshgrid(*spans, indexing="ij"), axis=-1).reshape(-1, 3)
    k = np.linalg.norm(phase.g_vector(grid), axis=1)
    inside = (k > 0) & (k <= (1 + 1e-9) / min_d_nm)
    hkl, k = grid[inside], k[inside]
    # Rounding makes equal spacings tie, so that the order does not hang on the last bit.
    order = np.lexsort((*(-hkl.T[::-1]), np.round(k, 9)))
    ordered: NDArray[np.int64] = hkl[order].astype(np.int64)
    return ordered


def _representative(equal: NDArray[np.int64]) -> tuple[int, int, int]:
    """Return the member with the lowest indices, of those the lexicographically largest."""
    h, k, m = min(equal.tolist(), key=lambda row: (sum(i * i for i in row), [-i for i in row]))
    return h, k, m


def zone_axis(g1: Sequence[int], g2: Sequence[int]) -> tuple[int, int, int]:
    """Zone axis of two reflections: their cross product in lowest terms.

    Returns
    -------
    tuple of int
        ``(u, v, w)`` with its first index that is not zero positive.

    Raises
    ------
    ParameterError
        If the two are parallel.

    Examples
    --------
    >>> zone_axis((2, 0, 0), (0, 2, 0))
    (0, 0, 1)
    """
    cross = np.cross(np.asarray(g1, dtype=np.int64), np.asarray(g2, dtype=np.int64))
    if not cross.any():
        raise ParameterError("zone_axis", f"{tuple(g1)} and {tuple(g2)} are parallel",
                             "give two different directions")
    u, v, w = (cross // np.gcd.reduce(cross)).tolist()
    sign = -1 if next(i for i in (u, v, w) if i) < 0 else 1
    return sign * u, sign * v, sign * w


def hkl_text(hkl: Sequence[int]) -> str:
    """Three integers with blanks, as in the tables: ``1 -1 0``."""
    return " ".join(str(int(index)) for index in hkl)
