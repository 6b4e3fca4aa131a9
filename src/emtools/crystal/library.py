"""The phases that come with emtools, each with the source of its numbers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from emtools.crystal.cif import read_cif
from emtools.crystal.phase import Phase, Site
from emtools.errors import ParameterError

if TYPE_CHECKING:
    from os import PathLike

WYCKOFF = "Wyckoff, Crystal Structures vol. 1, 2nd ed. (Interscience, 1963)"
NBS_1 = "Swanson & Tatge, NBS Circular 539 vol. 1 (1953)"


class _Cubic(NamedTuple):
    """A cubic structure type: space group and sites, with place holders A and B for elements."""

    space_group: str
    sites: tuple[tuple[str, float, float, float], ...]


FCC = _Cubic("F m -3 m", (("A", 0, 0, 0),))
ROCK_SALT = _Cubic("F m -3 m", (("A", 0, 0, 0), ("B", 0.5, 0.5, 0.5)))
FLUORITE = _Cubic("F m -3 m", (("A", 0, 0, 0), ("B", 0.25, 0.25, 0.25)))
ZINC_BLENDE = _Cubic("F -4 3 m", (("A", 0, 0, 0), ("B", 0.25, 0.25, 0.25)))
DIAMOND = _Cubic("F d -3 m:1", (("A", 0, 0, 0),))
CSCL = _Cubic("P m -3 m", (("A", 0, 0, 0), ("B", 0.5, 0.5, 0.5)))

# name: (type, elements, a in nm, source)
_CUBIC: dict[str, tuple[_Cubic, tuple[str, ...], float, str]] = {
    "PbS": (ROCK_SALT, ("Pb", "S"), 0.5936, WYCKOFF),
    "PbSe": (ROCK_SALT, ("Pb", "Se"), 0.6124, WYCKOFF),
    "PbTe": (ROCK_SALT, ("Pb", "Te"), 0.6454, WYCKOFF),
    "MgO": (ROCK_SALT, ("Mg", "O"), 0.4211, "Hazen, Am. Mineral. 61 (1976) 266"),
    "NaCl": (ROCK_SALT, ("Na", "Cl"), 0.56402, WYCKOFF),
    "CdS-zb": (ZINC_BLENDE, ("Cd", "S"), 0.5818, WYCKOFF),
    "CdSe-zb": (ZINC_BLENDE, ("Cd", "Se"), 0.6077, "ICDD PDF 00-019-0191"),
    "ZnS": (ZINC_BLENDE, ("Zn", "S"), 0.54093, "Skinner, Am. Mineral. 46 (1961) 1399"),
    "GaAs": (ZINC_BLENDE, ("Ga", "As"), 0.56533, "Blakemore, J. Appl. Phys. 53 (1982) R123"),
    "Au": (FCC, ("Au",), 0.4078, "CRC Handbook of Chemistry and Physics, 'Crystal structures'"),
    "Ag": (FCC, ("Ag",), 0.40862, NBS_1),
    "Pt": (FCC, ("Pt",), 0.39231, NBS_1),
    "Pd": (FCC, ("Pd",), 0.38898, NBS_1),
    "Cu": (FCC, ("Cu",), 0.36150, NBS_1),
    "Al": (FCC, ("Al",), 0.40494, NBS_1),
    "Si": (DIAMOND, ("Si",), 0.54310, "CODATA 2018 lattice parameter of silicon"),
    "Ge": (DIAMOND, ("Ge",), 0.56579, "Baker & Hart, Acta Cryst. A31 (1975) 364"),
    "CeO2": (FLUORITE, ("Ce", "O"), 0.54113, "ICDD PDF 00-034-0394"),
    "TlCl": (CSCL, ("Tl", "Cl"), 0.38340, WYCKOFF),
}

_OTHER = {
    "CuInS2": Phase(
        "CuInS2", (0.5523, 0.5523, 1.1133, 90, 90, 90), "I -4 2 d",
        (Site("Cu", 0, 0, 0), Site("In", 0, 0, 0.5), Site("S", 0.2295, 0.25, 0.125)),
        "Abrahams & Bernstein, J. Chem. Phys. 59 (1973) 5415",
    ),
    "CuInSe2": Phase(
        "CuInSe2", (0.5782, 0.5782, 1.1620, 90, 90, 90), "I -4 2 d",
        (Site("Cu", 0, 0, 0), Site("In", 0, 0, 0.5), Site("Se", 0.235, 0.25, 0.125)),
        "Parkes, Tomlinson & Hampshire, J. Appl. Cryst. 6 (1973) 414",
    ),
    "CdS": Phase(
        "CdS", (0.4137, 0.4137, 0.67144, 90, 90, 120), "P 63 m c",
        (Site("Cd", 1 / 3, 2 / 3, 0), Site("S", 1 / 3, 2 / 3, 0.3770)),
        "Xu & Ching, Phys. Rev. B 48 (1993) 4335",
    ),
    "CdSe": Phase(
        "CdSe", (0.4299, 0.4299, 0.7010, 90, 90, 120), "P 63 m c",
        (Site("Cd", 1 / 3, 2 / 3, 0), Site("Se", 1 / 3, 2 / 3, 0.376)),
        "ICDD PDF 00-008-0459; z of Se: Freeman, Mair & Barnea, Acta Cryst. A33 (1977) 355",
    ),
    "graphite": Phase(
        "graphite", (0.2464, 0.2464, 0.6711, 90, 90, 120), "P 63/m m c",
        (Site("C", 0, 0, 0.25), Site("C", 1 / 3, 2 / 3, 0.25)),
        "Trucano & Chen, Nature 258 (1975) 136",
    ),
    "TiO2": Phase(
        "TiO2", (0.37842, 0.37842, 0.95146, 90, 90, 90), "I 41/a m d:1",
        (Site("Ti", 0, 0, 0), Site("O", 0, 0, 0.2081)),
        "anatase: Horn, Schwerdtfeger & Meagher, Z. Kristallogr. 136 (1972) 273",
    ),
    "TiO2-rutile": Phase(
        "TiO2-rutile", (0.45937, 0.45937, 0.29587, 90, 90, 90), "P 42/m n m",
        (Site("Ti", 0, 0, 0), Site("O", 0.30479, 0.30479, 0)),
        "Abrahams & Bernstein, J. Chem. Phys. 55 (1971) 3206",
    ),
    "SrTiO3": Phase(
        "SrTiO3", (0.3905, 0.3905, 0.3905, 90, 90, 90), "P m -3 m",
        (Site("Sr", 0, 0, 0), Site("Ti", 0.5, 0.5, 0.5), Site("O", 0.5, 0.5, 0)),
        "ICDD PDF 00-035-0734",
    ),
    "LaB6": Phase(
        "LaB6", (0.41569, 0.41569, 0.41569, 90, 90, 90), "P m -3 m",
        (Site("La", 0, 0, 0), Site("B", 0.1993, 0.5, 0.5)),
        "cell: NIST SRM 660a; B: Eliseev et al., Sov. Phys. Crystallogr. 31 (1986) 478",
    ),
}


@lru_cache(maxsize=1)
def _built_in() -> dict[str, Phase]:
    cubic = {}
    for name, (kind, elements, a, source) in _CUBIC.items():
        symbols = dict(zip("AB", elements, strict=False))
        sites = tuple(Site(symbols[place], x, y, z) for place, x, y, z in kind.sites)
        cubic[name] = Phase(name, (a, a, a, 90, 90, 90), kind.space_group, sites, source)
    return cubic | _OTHER


def known_phases() -> list[str]:
    """Names of the built-in phases, sorted."""
    return sorted(_built_in(), key=str.lower)


def phase(name: str | PathLike[str] | Phase) -> Phase:
    """Return a phase by name or from a CIF file.

    Parameters
    ----------
    name
        A built-in name (``PbS``, case does not matter), or the path of a CIF file (ending in
        ``.cif``).  A `Phase` is returned as it is.

    Raises
    ------
    ParameterError
        If the name is not known.
    ReadError
        If the CIF file cannot be read.

    Examples
    --------
    >>> round(float(phase("PbS").d_spacing_nm((2, 0, 0))), 4)
    0.2968
    """
    if isinstance(name, Phase):
        return name
    text = str(name)
    by_name = {known.lower(): value for known, value in _built_in().items()}
    if text.lower() in by_name:
        return by_name[text.lower()]
    if Path(text).suffix.lower() == ".cif":
        return read_cif(text)
    raise ParameterError(f"phase {text!r}", "is not known",
                         f"give a CIF file or one of {', '.join(known_phases())}")
