"""How an image was taken, as far as its scale depends on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emtools.errors import CalibrationError
from emtools.units import LENGTH, PIXEL

if TYPE_CHECKING:
    from emtools.model import Image

_SAME = 1e-3  # relative difference of numbers that are stated to be the same
_SAME_ROTATION_DEG = 0.1
_SCANNED = ("HAADF", "ADF", "BF", "DF", "STEM", "EDS", "EELS", "4D-STEM")


@dataclass(frozen=True)
class Setting:
    """How an image was taken, as far as its scale depends on it; None where nothing is said.

    Parameters
    ----------
    instrument
        The microscope's name.
    scanned
        Whether the beam was scanned (True) or a camera took the picture (False).
    beam_energy_keV, magnification, scan_rotation_deg
        As the file states them.
    pixel_size_y_nm, pixel_size_x_nm
        As stated, before the calibration.
    pixel_size_source
        Who stated it.
    """

    instrument: str | None
    scanned: bool | None
    beam_energy_keV: float | None
    magnification: float | None
    scan_rotation_deg: float | None
    pixel_size_y_nm: float
    pixel_size_x_nm: float
    pixel_size_source: str

    @classmethod
    def of(cls, image: Image) -> Setting:
        """Return the setting of an image that has a pixel size in nm."""
        said = image.acquisition
        slow, fast = _slow_and_fast(image)
        scanned = None if said.modality not in (*_SCANNED, "TEM") else said.modality in _SCANNED
        return cls(said.instrument, scanned, said.beam_energy_keV, said.magnification,
                   said.scan_rotation_deg, image.axis(slow).pixel_size,
                   image.axis(fast).pixel_size, image.axis(fast).source)

    def compared(self, other: Setting) -> tuple[list[str], list[str]]:
        """Return what another image has different, and what cannot be compared, in words."""
        different, unknown = [], []
        for name, label, same in _COMPARED:
            mine, its = getattr(self, name), getattr(other, name)
            if mine is None or its is None:
                unknown.append(label)
            elif not same(mine, its):
                different.append(f"{label} {_said(its)} (the calibration's is {_said(mine)})")
        # The stated pixel size stands for the magnification where that is not known or not used.
        sources = {self.pixel_size_source, other.pixel_size_source}
        if "magnification" in unknown or sources != {"file"}:
            mine_nm, its_nm = ((s.pixel_size_y_nm, s.pixel_size_x_nm) for s in (self, other))
            if not all(map(_close, mine_nm, its_nm)):
                different.append(f"stated pixel size {its_nm[0]:.6g} x {its_nm[1]:.6g} nm (the "
                                 f"calibration's is {mine_nm[0]:.6g} x {mine_nm[1]:.6g} nm)")
        return different, unknown


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=_SAME)


def _same_name(a: str, b: str) -> bool:
    return " ".join(a.lower().split()) == " ".join(b.lower().split())


def _same_rotation(a: float, b: float) -> bool:
    return abs((a - b + 180.0) % 360.0 - 180.0) < _SAME_ROTATION_DEG


def _same(a: bool, b: bool) -> bool:
    return a == b


_COMPARED = (
    ("instrument", "microscope", _same_name), ("scanned", "scanned beam", _same),
    ("beam_energy_keV", "beam energy in keV", _close), ("magnification", "magnification", _close),
    ("scan_rotation_deg", "scan rotation in degrees", _same_rotation),
)


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def _slow_and_fast(image: Image) -> tuple[str, str]:
    """Names of the image's axes that are y and x of the scan."""
    return ("x", "y") if image.acquisition.fast_axis == "y" else ("y", "x")


def check_stated(image: Image) -> None:
    """Check that the image has a stated pixel size in nm, not a calibrated one."""
    axes = [image.axis(name) for name in ("y", "x")]
    units = {axis.unit for axis in axes}
    if units == {PIXEL}:
        raise CalibrationError(image.name, "has no pixel size that a calibration could correct",
                               "give the microscope's stated one with --pixel-size-nm")
    if units != {LENGTH}:
        raise CalibrationError(image.name, f"has axes in {' and '.join(sorted(units))}",
                               "the calibration of an image plane is for images in real space")
    if any(axis.source == "calibration" for axis in axes):
        raise CalibrationError(image.name, "is calibrated already", "read its file again")
