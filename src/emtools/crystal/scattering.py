"""Atoms of the unit cell and how strongly they scatter, through gemmi (loaded when asked)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.errors import ParameterError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.crystal.phase import Modality, Phase, Site

NM2_TO_A2 = 100.0
# Between Rutherford's Z^2 and the screened Z^1.6-1.7 of usual inner angles: Hartel, Rose & Dinges,
# Ultramicroscopy 63 (1996) 93.
HAADF_EXPONENT = 1.7


@lru_cache(maxsize=128)
def unit_cell_atoms(phase: Phase) -> tuple[tuple[Site, NDArray[np.float64]], ...]:
    """Each site with the ``(n, 3)`` fractional coordinates of its atoms in the unit cell."""
    operations = _operations(phase)
    atoms = []
    for site in phase.sites:
        images = np.array([op.apply_to_xyz([site.x, site.y, site.z]) for op in operations]) % 1.0
        atoms.append((site, _distinct(images)))
    return tuple(atoms)


def _distinct(images: NDArray[np.float64]) -> NDArray[np.float64]:
    """Drop images of a special position that fall on each other, modulo the cell."""
    kept: list[NDArray[np.float64]] = []
    for image in images:
        apart = [image - other - np.round(image - other) for other in kept]
        if all(np.abs(difference).max() > 1e-3 for difference in apart):
            kept.append(image)
    return np.array(kept)


@lru_cache(maxsize=128)
def symmetry_rotations(phase: Phase) -> NDArray[np.int64]:
    """Rotations ``(n, 3, 3)`` of the Laue group: the point group with the inversion added.

    A row of indices times a rotation is an equal reflection (Friedel's law included).
    """
    import gemmi

    rotations = {tuple(np.array(op.rot).ravel() // gemmi.Op.DEN) for op in _operations(phase)}
    rotations |= {tuple(-i for i in rotation) for rotation in rotations}
    return np.array(sorted(rotations), dtype=np.int64).reshape(-1, 3, 3)


def _operations(phase: Phase) -> list[Any]:
    import gemmi

    group = gemmi.find_spacegroup_by_name(phase.space_group)
    if group is None:
        raise ParameterError(phase.name, f"unknown space group {phase.space_group!r}",
                             "give a Hermann-Mauguin symbol such as 'F m -3 m'")
    return list(group.operations())


def weights(
    element: str, k2_per_nm2: NDArray[np.float64], modality: Modality
) -> NDArray[np.float64]:
    """Scattering power of an atom at the squared spatial frequencies `k2_per_nm2`."""
    import gemmi

    atom = gemmi.Element(element)
    if atom.atomic_number == 0:
        raise ParameterError(element, "is not an element", "give a symbol such as Pb")
    if modality == "HAADF":
        return np.full(k2_per_nm2.shape, float(atom.atomic_number) ** HAADF_EXPONENT)
    if modality not in ("TEM", "SAED"):
        raise ParameterError("modality", f"{modality!r} is not known", "give HAADF, TEM or SAED")
    table = atom.c4322
    if table is None:
        raise ParameterError(element, "has no electron scattering factor in the tables")
    # The tables run over (sin theta / lambda)^2 = (k / 2)^2 in 1/Å2.
    return np.array([table.calculate_sf(k2 / NM2_TO_A2 / 4.0) for k2 in k2_per_nm2])
