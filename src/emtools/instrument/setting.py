"""How an image was taken, as far as its scale depends on it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emtools.errors import CalibrationError
from emtools.units import LENGTH, PIXEL

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

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
    pixel_size_y, pixel_size_x
        As stated, before the calibration, in `unit`.
    pixel_size_source
        Who stated it.
    unit
        ``nm``, ``1/nm`` for diffraction patterns, ``px`` for patterns without a scale.
    camera_length_mm
        As the file states it; of diffraction patterns alone.
    """

    instrument: str | None
    scanned: bool | None
    beam_energy_keV: float | None
    magnification: float | None
    scan_rotation_deg: float | None
    pixel_size_y: float
    pixel_size_x: float
    pixel_size_source: str
    unit: str = LENGTH
    camera_length_mm: float | None = None

    @classmethod
    def of(cls, image: Image) -> Setting:
        """Return the setting of an image that has a pixel size, or of a pattern without one."""
        said = image.acquisition
        slow, fast = _slow_and_fast(image)
        scanned = None if said.modality not in (*_SCANNED, "TEM") else said.modality in _SCANNED
        return cls(said.instrument, scanned, said.beam_energy_keV, said.magnification,
                   said.scan_rotation_deg, image.axis(slow).pixel_size,
                   image.axis(fast).pixel_size, image.axis(fast).source, image.axis(fast).unit,
                   None if image.axis(fast).unit == LENGTH else said.camera_length_mm)

    @classmethod
    def stored(cls, known: Mapping[str, Any]) -> Setting:
        """Return a setting as it was stored (the first ones named their pixel sizes with nm)."""
        return cls(**{re.sub("^(pixel_size_[yx])_nm$", r"\1", name): value
                      for name, value in known.items()})

    def compared(self, other: Setting) -> tuple[list[str], list[str]]:
        """Return what another image has different, and what cannot be compared, in words."""
        if self.unit != other.unit:
            return [f"axes in {other.unit} (the calibration's are in {self.unit})"], []
        different, unknown = [], []
        for name, label, same in _COMPARED:
            mine, its = getattr(self, name), getattr(other, name)
            if mine is None and its is None and name == "camera_length_mm":
                continue
            if mine is None or its is None:
                unknown.append(label)
            elif not same(mine, its):
                different.append(f"{label} {_said(its)} (the calibration's is {_said(mine)})")
        # The stated pixel size stands for the magnification where that is not known or not used.
        sources = {self.pixel_size_source, other.pixel_size_source}
        if "magnification" in unknown or sources != {"file"}:
            mine, its = ((s.pixel_size_y, s.pixel_size_x) for s in (self, other))
            if not all(map(_close, mine, its)):
                different.append(
                    f"stated pixel size {its[0]:.6g} x {its[1]:.6g} {self.unit} (the "
                    f"calibration's is {mine[0]:.6g} x {mine[1]:.6g} {self.unit})")
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
    ("camera_length_mm", "camera length in mm", _close),
)


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def _slow_and_fast(image: Image) -> tuple[str, str]:
    """Names of the image's axes that are y and x of the scan."""
    return ("x", "y") if image.acquisition.fast_axis == "y" else ("y", "x")


def check_stated(image: Image, units: Collection[str] = (LENGTH,)) -> None:
    """Check that the image has a stated pixel size in one of the units, not a calibrated one.

    ``px`` among the units: a diffraction pattern without a scale is meant too.
    """
    axes = [image.axis(name) for name in ("y", "x")]
    found = {axis.unit for axis in axes}
    if found == {PIXEL} and PIXEL not in units:
        raise CalibrationError(image.name, "has no pixel size that a calibration could correct",
                               "give the microscope's stated one with --pixel-size-nm")
    if len(found) > 1 or not found <= set(units):
        meant = "of an image plane is for images in real space" if LENGTH in units \
            else "is for diffraction patterns"
        raise CalibrationError(image.name, f"has axes in {' and '.join(sorted(found))}",
                               f"the calibration {meant}")
    if any(axis.source == "calibration" for axis in axes):
        raise CalibrationError(image.name, "is calibrated already", "read its file again")
