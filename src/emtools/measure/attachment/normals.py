"""The equivalent plane normals of a grain, seen ones and those that follow from its lattice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from emtools.crystal import Phase, hkl_text
from emtools.errors import ParameterError
from emtools.tables import in_unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Row = Mapping[Any, Any]

_PARALLEL_DEG = 5.0  # a seen reflection so near to a predicted one is that one
_ORDERS = 4  # of the free lattice that are looked through for planes of a spacing


class UnseenError(Exception):
    """Why a grain's normals are not known, in words: ``<n> grains <reason>``."""


class Normals(NamedTuple):
    """Directions of equivalent plane normals in degrees in [0, 180), with names and 1 sigma."""

    hkl: tuple[str, ...]
    angle_deg: Floats
    err_deg: Floats


class Sight(NamedTuple):
    """What is seen of one grain: its row and its reflections."""

    grain: Row
    angle_deg: Floats
    err_deg: Floats
    hkl: tuple[str, ...]
    spacing: Floats
    unit: str

    @classmethod
    def of(cls, grain: Row, reflections: pd.DataFrame, unit: str) -> Sight:
        """Gather the reflections of a grain."""
        own = reflections[reflections["grain"] == grain["grain"]]
        numbers = (own[name].to_numpy(dtype=float) for name in (
            "angle_deg", "angle_err_deg", in_unit("d_spacing_nm", unit)))
        angle, err, spacing = numbers
        return cls(grain, angle, err, tuple(str(one) for one in own["hkl"]), spacing, unit)

    def indexed(self) -> Sight:
        """Return it with the reflections that have indices."""
        known = np.array([len(one.split()) == 3 for one in self.hkl], dtype=bool)
        return self._replace(angle_deg=self.angle_deg[known], err_deg=self.err_deg[known],
                             hkl=tuple(one for one in self.hkl if len(one.split()) == 3),
                             spacing=self.spacing[known])


def parse_hkl(text: str) -> tuple[int, int, int]:
    """Read three integers with blanks, ``1 -1 0``.

    Raises
    ------
    ParameterError
        If it is anything else, or 0 0 0.
    """
    try:
        h, k, m = (int(part) for part in text.replace(",", " ").split())
    except ValueError as error:
        raise ParameterError("hkl", f"{text!r} is not three integers with blanks",
                             "give one such as '2 0 0'") from error
    if not (h or k or m):
        raise ParameterError("hkl", "0 0 0 is no plane", "give one such as '2 0 0'")
    return h, k, m


@dataclass(frozen=True)
class IndexedPlanes:
    """Normals of a family of planes in grains that are indexed.

    Parameters
    ----------
    hkl
        One of the planes.
    phases
        By name.
    single_rows
        Whether a grain whose zone axis is not known counts with the normals that it shows.
    """

    hkl: tuple[int, int, int]
    phases: Mapping[str, Phase]
    single_rows: bool

    @property
    def label(self) -> str:
        """What the planes are called."""
        return f"{{{hkl_text(self.hkl)}}}"

    def of(self, sight: Sight) -> Normals:
        """Return the normals that the grain's zone axis allows.

        Raises
        ------
        UnseenError
            If there are none, or they are not known.
        """
        phase = self.phases.get(str(sight.grain["phase"]))
        if phase is None:
            raise UnseenError("not indexed")
        family = _upper_half(phase.equal_planes(self.hkl))
        zone = [int(part) for part in str(sight.grain["zone_axis"]).split()]
        if not (zone or self.single_rows):
            raise UnseenError("of unknown zone axis")
        sight = sight.indexed()
        hkl = np.array([one.split() for one in sight.hkl], dtype=np.int64).reshape(-1, 3)
        predicted = None
        if zone:
            family = family[family @ zone == 0]
            predicted = _placed(phase, zone, hkl, sight, family) if len(hkl) else None
        found = [_seen_or(plane, hkl, sight, None if predicted is None else
                          (float(predicted[0][i]), predicted[1]))
                 for i, plane in enumerate(family)]
        return _normals([(hkl_text(plane), *one) for plane, one in
                         zip(family, found, strict=True) if one is not None])


def _normals(found: list[tuple[str, float, float]]) -> Normals:
    """The normals without those that are another one's double, the surest first."""
    kept: list[tuple[str, float, float]] = []
    for one in sorted(found, key=lambda normal: normal[2]):
        if not kept or _apart(np.array([other[1] for other in kept]), one[1]).min() > _PARALLEL_DEG:
            kept.append(one)
    if not kept:
        raise UnseenError("without such planes in view")
    names, angles, errors = zip(*kept, strict=True)
    return Normals(names, np.array(angles) % 180.0, np.array(errors))


def _upper_half(hkl: NDArray[np.int64]) -> NDArray[np.int64]:
    """One of each plane and its opposite: the first index that is not zero is positive."""
    first = np.array([next(i for i in row if i) for row in hkl.tolist()])
    return hkl[first > 0]


def _placed(
    phase: Phase, zone: list[int], hkl: NDArray[np.int64], sight: Sight, family: NDArray[np.int64]
) -> tuple[Floats, float]:
    """Directions of the family by the turn that carries the zone onto the seen reflections.

    A crystal seen from behind is the mirror image of its zone: the better one of the two is taken.
    """
    right, up = phase.screen_axes(zone)

    def drawn(planes: NDArray[np.int64]) -> Floats:
        g = phase.g_vector(planes)
        return np.degrees(np.arctan2(g @ up, g @ right))

    best: tuple[float, Floats, float] | None = None
    angle, weights = sight.angle_deg, 1.0 / np.maximum(sight.err_deg, 1e-6) ** 2
    for sign in (1.0, -1.0):
        # Directions of lines: doubled, they turn once around.
        turns = np.exp(2j * np.radians(angle - sign * drawn(hkl)))
        mean = np.degrees(np.angle(np.average(turns, weights=weights))) / 2.0
        off = (angle - sign * drawn(hkl) - mean + 90.0) % 180.0 - 90.0
        misfit = float(np.average(off**2, weights=weights))
        if best is None or misfit < best[0] - 1e-9:
            own = float(np.hypot(weights.sum() ** -0.5, misfit**0.5))
            best = misfit, mean + sign * drawn(family), own
    assert best is not None
    return best[1], best[2]


def _seen_or(
    plane: NDArray[np.int64], hkl: NDArray[np.int64], sight: Sight,
    predicted: tuple[float, float] | None,
) -> tuple[float, float] | None:
    """Direction and 1 sigma of a plane: the best reflection of any order, or the predicted one."""
    parallel = np.flatnonzero((np.cross(hkl, plane) == 0).all(axis=1)).tolist()
    found = [(float(sight.angle_deg[i]), float(sight.err_deg[i])) for i in parallel]
    # A faint or disturbed reflection is worse than what the others say about it.
    found += [predicted] if predicted is not None else []
    return min(found, key=lambda one: one[1]) if found else None


@dataclass(frozen=True)
class SpacedPlanes:
    """Normals of the planes of one spacing, in grains that are not indexed.

    Parameters
    ----------
    spacing
        In `unit`.
    tolerance
        Relative.
    unit
        Of the image.
    single_rows
        Whether a grain whose spots are in a single row counts with the normal that it shows.
    """

    spacing: float
    tolerance: float
    unit: str
    single_rows: bool

    @property
    def label(self) -> str:
        """What the planes are called."""
        return f"{self.spacing:.3g} {self.unit} planes"

    def of(self, sight: Sight) -> Normals:
        """Return the normals of that spacing, seen or following from the free lattice.

        Raises
        ------
        UnseenError
            If there are none, or they are not known.
        """
        if not (np.isfinite(sight.grain[in_unit("v_nm", self.unit)]) or self.single_rows):
            raise UnseenError("with a single row of spots")
        seen = np.abs(sight.spacing / self.spacing - 1.0) <= self.tolerance
        angle, err = sight.angle_deg[seen], sight.err_deg[seen]
        found = [("", float(a), float(e)) for a, e in zip(angle, err, strict=True)]
        for direction in self._of_lattice(sight):
            if not len(angle) or _apart(angle, direction).min() > _PARALLEL_DEG:
                own = float(np.hypot(np.median(sight.err_deg),
                                     sight.grain["uv_angle_err_deg"]))
                found.append(("", direction, own))
        return _normals(found)

    def _of_lattice(self, sight: Sight) -> list[float]:
        """Directions of the free lattice's planes of that spacing."""
        u, v, turn, between = (float(sight.grain[in_unit(name, self.unit)]) for name in (
            "u_nm", "v_nm", "rotation_deg", "uv_angle_deg"))
        if not np.isfinite([u, v, turn, between]).all():
            return []
        # The table does not say on which side of u the vector v lies: the reflections do.
        bases = [_reciprocal(u, v, turn, sign * between) for sign in (1.0, -1.0)]
        basis = min(bases, key=lambda one: _misfit(one, sight))
        orders = np.arange(-_ORDERS, _ORDERS + 1)
        grid = np.stack(np.meshgrid(orders, orders, indexing="ij"), axis=-1).reshape(-1, 2)
        grid = grid[(grid[:, 0] > 0) | ((grid[:, 0] == 0) & (grid[:, 1] > 0))]
        g = grid @ basis
        near = np.abs(1.0 / np.hypot(*g.T) / self.spacing - 1.0) <= self.tolerance
        return [float(a) for a in np.degrees(np.arctan2(g[near, 1], g[near, 0])) % 180.0]


def _apart(angle: Floats, direction: float) -> Floats:
    return np.abs((angle - direction + 90.0) % 180.0 - 90.0)


def _reciprocal(u: float, v: float, turn: float, between: float) -> Floats:
    """Rows: reciprocal basis (x, y upwards) of u at `turn` and v at `turn + between` degrees."""
    angles = np.radians([turn, turn + between])
    real = np.array([[u], [v]]) * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return np.asarray(np.linalg.inv(real).T, dtype=np.float64)


def _misfit(basis: Floats, sight: Sight) -> float:
    """How far the reflections of a grain are from the points of a reciprocal lattice."""
    angles = np.radians(sight.angle_deg)
    g = np.stack([np.cos(angles), np.sin(angles)], axis=-1) / sight.spacing[:, None]
    indices = g @ np.linalg.inv(basis)
    return float(np.abs(indices - np.rint(indices)).sum())


def widest_spacing(reflections: pd.DataFrame, unit: str, tolerance: float) -> float | None:
    """Return the largest spacing that many grains show; None if none shows any.

    Many are half of those that show the most common one.  It is chosen without looking at any
    direction, so that the test of the directions stays fair.
    """
    spacing = reflections[in_unit("d_spacing_nm", unit)].to_numpy(dtype=float)
    grain = reflections["grain"].to_numpy(dtype=int)
    if not len(spacing):
        return None
    near = np.abs(spacing / spacing[:, None] - 1.0) <= tolerance
    seen = np.array([len(np.unique(grain[row])) for row in near])
    widest = int(np.argmax(np.where(2 * seen >= seen.max(), spacing, 0.0)))
    return float(np.median(spacing[near[widest]]))
