"""CIF files: the one place of the numeric core that opens a file, by path, through gemmi."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from emtools.crystal.phase import Phase, Site
from emtools.errors import ReadError

if TYPE_CHECKING:
    from os import PathLike

A_TO_NM = 0.1
ADVICE = "give a CIF file with a cell, a space group and atom sites"


def read_cif(path: str | PathLike[str]) -> Phase:
    """Read the first structure of a CIF file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Phase
        Named after the file.

    Raises
    ------
    ReadError
        If the file cannot be read or lacks cell, space group or atoms.
    """
    import gemmi

    file = Path(path)
    try:
        structure = gemmi.read_small_structure(str(file))
    except (OSError, ValueError, RuntimeError, IndexError, UnicodeError) as error:
        raise ReadError(str(file), f"is not a readable CIF file ({error})", ADVICE) from error
    group = structure.spacegroup
    if group is None:
        raise ReadError(str(file), "has no space group that is known", ADVICE)
    if not structure.cell.is_crystal():
        raise ReadError(str(file), "has no unit cell", ADVICE)
    sites = tuple(_site(site) for site in structure.sites if site.element.atomic_number > 0)
    if not sites:
        raise ReadError(str(file), "has no atoms", ADVICE)
    cell = structure.cell
    lengths = (cell.a * A_TO_NM, cell.b * A_TO_NM, cell.c * A_TO_NM)
    return Phase(
        name=file.stem, cell=(*lengths, cell.alpha, cell.beta, cell.gamma),
        space_group=group.xhm(), sites=sites, source=f"CIF file {file.name}",
    )


def _site(site: Any) -> Site:
    x, y, z = site.fract.tolist()
    # Negative or NaN displacements stand for 'not given' in some files.
    u_nm2 = max(0.0, float(site.u_iso)) * A_TO_NM**2 if site.u_iso == site.u_iso else 0.0
    return Site(site.element.name, x, y, z, float(site.occ), u_nm2)


def cif_text(phase: Phase) -> str:
    """Return `phase` as a CIF text that `read_cif` reads back."""
    a, b, c, alpha, beta, gamma = phase.cell
    lengths = zip("abc", (a, b, c), strict=True)
    angles = zip(("alpha", "beta", "gamma"), (alpha, beta, gamma), strict=True)
    lines = [
        f"data_{phase.name}",
        *(f"_cell_length_{name} {value / A_TO_NM:.10g}" for name, value in lengths),
        *(f"_cell_angle_{name} {value:.10g}" for name, value in angles),
        f"_symmetry_space_group_name_H-M '{phase.space_group}'",
        "loop_", "_atom_site_label", "_atom_site_type_symbol", "_atom_site_fract_x",
        "_atom_site_fract_y", "_atom_site_fract_z", "_atom_site_occupancy",
        "_atom_site_U_iso_or_equiv",
    ]
    for number, site in enumerate(phase.sites, start=1):
        numbers = (site.x, site.y, site.z, site.occupancy, site.u_iso_nm2 / A_TO_NM**2)
        values = " ".join(f"{value:.10g}" for value in numbers)
        lines.append(f"{site.element}{number} {site.element} {values}")
    return "\n".join(lines) + "\n"
