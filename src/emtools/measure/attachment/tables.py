"""The declared table of the attachment measurement."""

from __future__ import annotations

from emtools.tables import Column, Table

_ANGLES = Table("One grain on a chain: the nearest of its equivalent plane normals.", (
    Column("grain", "int", "grain of the lattice result"),
    Column("chain", "int", "chain of the chains result that it lies on"),
    Column("hkl", "str", "plane whose normal is nearest to the axis, empty without a phase"),
    Column("angle_deg", "float", "between that normal and the chain's axis, 0 to half of fold_deg"),
    Column("angle_err_deg", "float", "1 sigma, statistical (the distortion's is in the summary)"),
    Column("fold_deg", "float", "angle between the two normals that the axis lies between"),
    Column("y_nm", "float", "centre of the grain"),
    Column("x_nm", "float", "centre of the grain"),
))

TABLES = {"angles": _ANGLES}
