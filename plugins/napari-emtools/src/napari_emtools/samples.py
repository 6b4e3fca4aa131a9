"""Sample images: simulated, with known true values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_emtools.shown import LayerData

_HERE = Path(__file__).resolve().parent


def folder() -> Path:
    """Return where the sample images lie: in the package, or in the source tree that it is of.

    Raises
    ------
    FileNotFoundError
        If they are in neither.
    """
    for place in (_HERE / "samples", *(up / "sample_images" for up in _HERE.parents)):
        if (place / "pbs_chains_overview.tif").is_file():
            return place
    raise FileNotFoundError("the sample images are not installed; open your own files instead")


def _read(name: str) -> list[LayerData]:
    from napari_emtools.reader import read

    return read(str(folder() / name))


def chains_overview() -> list[LayerData]:
    """Chains of PbS dots, HAADF overview."""
    return _read("pbs_chains_overview.tif")


def chains_detail() -> list[LayerData]:
    """Chains of PbS dots, HAADF detail with resolved gaps."""
    return _read("pbs_chains_detail.hspy")


def chains_tem() -> list[LayerData]:
    """Chains of PbS dots, TEM."""
    return _read("pbs_chains_tem.emd")


def chain_lattice() -> list[LayerData]:
    """One chain with the lattices of its dots, HAADF."""
    return _read("pbs_chain_lattice.hspy")


def dots() -> list[LayerData]:
    """PbS dots without chains, HAADF."""
    return _read("pbs_dots.emd")


def hrtem() -> list[LayerData]:
    """PbS along [001], HRTEM."""
    return _read("pbs_hrtem_001.mrc")


def cuins2_eds() -> list[LayerData]:
    """A chain of CuInS2, EDX spectrum image with its HAADF image."""
    return _read("cuins2_eds.hspy")


def pbs_eds() -> list[LayerData]:
    """A chain of PbS, EDX spectrum image with its HAADF image."""
    return _read("pbs_eds.hspy")


def banner() -> list[LayerData]:
    """Chains exported with a burnt-in scale bar, which is the only calibration."""
    return _read("pbs_chains_banner.tif")


def uncalibrated() -> list[LayerData]:
    """Chains exported without any scale."""
    return _read("pbs_chains_uncalibrated.png")
