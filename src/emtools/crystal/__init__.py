"""Crystals: phases (built in or from a CIF file), spacings, structure factors, zone axes."""

from emtools.crystal.cif import cif_text, read_cif
from emtools.crystal.library import known_phases, phase
from emtools.crystal.phase import (
    Family,
    Modality,
    Phase,
    Reflections,
    Site,
    ZoneReflections,
    hkl_text,
    zone_axis,
)

__all__ = [
    "Family",
    "Modality",
    "Phase",
    "Reflections",
    "Site",
    "ZoneReflections",
    "cif_text",
    "hkl_text",
    "known_phases",
    "phase",
    "read_cif",
    "zone_axis",
]
