"""The calibration of an instrument's image plane: applied to images, written to a file and read."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.errors import CalibrationError, EmtoolsError, ParameterError, ReadError
from emtools.instrument.setting import Setting, check_stated
from emtools.model.calibration import Distortion, SquareDeparture, square_departure
from emtools.units import LENGTH, PIXEL, RECIPROCAL

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from emtools.model import Image

_FORMAT = 1
_AGAIN = "make it again with `emtools calibrate`"
_FORCE = "calibrate with an image taken like this one, or force it (--force-calibration)"
# What is written in which table, with its meaning.
_MEANINGS = {
    "plane": {
        "matrix": "true (y, x) = matrix @ stated (y, x)",
        "scale_err": "of the fit: 1 sigma, relative",
        "anisotropy_err": "of the fit: 1 sigma of the ratio of the pixel sizes",
        "shear_err_deg": "of the fit: 1 sigma, degrees",
        "reproducibility": "between images: 1 sigma, relative, of lengths along any direction; "
                           "yours to set",
    },
    "crystal": {"phase": "", "zone_axis": "", "n_reflections": ""},
    "setting": {
        "instrument": "", "scanned": "whether the beam was scanned", "beam_energy_keV": "",
        "magnification": "", "scan_rotation_deg": "degrees",
        "pixel_size_y": "as stated, in unit", "pixel_size_x": "as stated, in unit",
        "pixel_size_source": "", "unit": "nm, 1/nm, or px: then the matrix is in 1/nm per px",
        "camera_length_mm": "",
    },
    "source": {"date": "", "source_file": "", "source_sha256": ""},
}
_NUMBERS = ("scale_err", "anisotropy_err", "shear_err_deg", "reproducibility", "n_reflections",
            "beam_energy_keV", "magnification", "scan_rotation_deg", "pixel_size_y",
            "pixel_size_x", "camera_length_mm")
_UNSTATED = ("instrument", "scanned", "beam_energy_keV", "magnification", "scan_rotation_deg")
Matrix = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class InstrumentCalibration:
    """The image plane of an instrument at one setting.

    Parameters
    ----------
    matrix
        2x2, rows and columns in ``(y, x)`` order, symmetric: true position = matrix @ (position
        from the stated pixel size).  A rotation of the picture cannot be known from a crystal whose
        own orientation is not, and is left out.
    scale_err, anisotropy_err, shear_err_deg
        1 sigma of the fit: relative, of the ratio of the pixel sizes, of the angle of the axes.
    reproducibility
        By how much lengths along any direction differ between two images taken with these settings
        (lens hysteresis, height of the specimen, drift), relative, 1 sigma.  One image does not
        tell it, so it is a number that the user gives; it is added in quadrature to the errors of
        the fit when the calibration is applied.
    phase, zone_axis
        The crystal, and the directions in which it was seen; empty where a distance was known.
    n_reflections
        How many reflections were fitted.
    setting
        How the image was taken.
    date
        When the image was taken, if its file says so.
    source_file, source_sha256
        Name and digest of the image's file.
    """

    matrix: Matrix
    scale_err: float
    anisotropy_err: float
    shear_err_deg: float
    reproducibility: float
    phase: str
    zone_axis: str
    n_reflections: int
    setting: Setting
    date: str | None = None
    source_file: str | None = None
    source_sha256: str | None = None

    def __post_init__(self) -> None:
        matrix = np.asarray(self.matrix, dtype=float)
        errors = (self.scale_err, self.anisotropy_err, self.shear_err_deg, self.reproducibility)
        sound = matrix.shape == (2, 2) and bool(np.isfinite(matrix).all()) \
            and np.linalg.det(matrix) > 0 and all(0 <= err < math.inf for err in errors)
        if not sound:
            raise CalibrationError("calibration", "its matrix or uncertainties are impossible",
                                   "make it again with `emtools calibrate`")

    @property
    def square(self) -> SquareDeparture:
        """Scale, anisotropy and shear of the matrix."""
        return square_departure(self.matrix)

    @property
    def quantity(self) -> str:
        """What the matrix turns from stated to true: ``lengths``, or ``wave numbers``."""
        return "lengths" if self.setting.unit == LENGTH else "wave numbers"

    @property
    def known(self) -> str:
        """What was known in the image: the phase, or ``a known distance``."""
        return self.phase or "a known distance"

    def apply(self, image: Image, *, force: bool = False) -> Image:
        """Return the image with its plane calibrated.

        Pixel sizes along y and x are multiplied, and what is left (the angle between the axes)
        becomes the image's `Distortion`; both get the uncertainty of the fit and the
        reproducibility in quadrature.

        Parameters
        ----------
        image
            Taken with the same instrument and setting.
        force
            Apply it in spite of differences; the uncertainties are then those of an image that
            states none.

        Raises
        ------
        CalibrationError
            If the image was taken differently, has no pixel size that could be corrected, or is
            calibrated already.
        """
        check_stated(image, (self.setting.unit,))
        different, unknown = self.setting.compared(Setting.of(image))
        if different and not force:
            raise CalibrationError(image.name, "was taken differently from the image of the "
                                   f"calibration: {'; '.join(different)}", _FORCE)
        matrix = np.asarray(self.matrix, dtype=float)
        if image.acquisition.fast_axis == "y":
            matrix = matrix[::-1, ::-1]
        factors = dict(zip(("y", "x"), np.linalg.norm(matrix, axis=0).tolist(), strict=True))
        err = None if different else math.hypot(self.scale_err, self.reproducibility)
        axes = tuple(
            replace(axis, pixel_size=axis.pixel_size * factors[axis.name],
                    unit=RECIPROCAL if axis.unit == PIXEL else axis.unit,
                    offset=axis.offset * factors[axis.name], source="calibration",
                    pixel_size_err=None if err is None
                    else err * axis.pixel_size * factors[axis.name])
            if axis.name in factors else axis
            for axis in image.axes
        )
        rest = matrix / np.array([factors["y"], factors["x"]])
        return replace(image, axes=axes, distortion=self._distortion(rest, bool(different)),
                       audit=(*image.audit, *self._notes(different, unknown)))

    def _distortion(self, rest: NDArray[np.float64], forced: bool) -> Distortion:
        (yy, yx), (xy, xx) = rest.tolist()
        matrix = ((yy, yx), (xy, xx))
        if forced:
            return Distortion(matrix)
        return Distortion(matrix, math.hypot(self.anisotropy_err, self.reproducibility),
                          math.hypot(self.shear_err_deg, math.degrees(self.reproducibility)))

    def _notes(self, different: list[str], unknown: list[str]) -> list[str]:
        plane = self.square
        notes = [f"plane calibrated with {self.known} in {self.source_file or 'an image'}: "
                 f"{self.quantity} times {plane.scale:.5f}, ratio of y to x times "
                 f"{1 + plane.anisotropy:.5f}, angle of the axes {90 - plane.shear_deg:.2f} deg"]
        if unknown:
            notes.append("not compared with the calibration, as not stated by both: "
                         f"{', '.join(unknown)}")
        if different:
            notes.append("the calibration was forced on an image taken differently: "
                         f"{'; '.join(different)}; its uncertainty does not count")
        return notes

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the calibration as TOML.

        Raises
        ------
        ParameterError
            If the file cannot be written.
        """
        try:
            Path(path).write_text(_toml(self), encoding="utf-8")
        except OSError as error:
            raise ParameterError(str(path), f"cannot be written ({error})",
                                 "give another file with -o") from error

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> InstrumentCalibration:
        """Read a calibration.

        Raises
        ------
        ReadError
            If the file cannot be read or is not a calibration.
        """
        try:
            tree = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ReadError(str(path), f"cannot be read as a calibration ({error})",
                            _AGAIN) from error
        if tree.get("format") != _FORMAT:
            raise ReadError(str(path), f"is not a calibration of format {_FORMAT}", _AGAIN)
        try:
            return _from_tree(tree)
        except (AttributeError, KeyError, TypeError, ValueError, EmtoolsError) as error:
            raise ReadError(str(path), f"is damaged or not a calibration ({error})",
                            _AGAIN) from error


def apply_fitting(
    calibrations: Sequence[InstrumentCalibration], image: Image, *, force: bool = False
) -> Image:
    """Return the image calibrated by the one calibration that was taken like it.

    Parameters
    ----------
    calibrations
        Of several settings: magnifications, instruments.
    image
        Taken with one of these.
    force
        Apply a single calibration in spite of differences.

    Raises
    ------
    CalibrationError
        If none of them fits, or several do: what a file does not state is not compared.
    """
    if len(calibrations) == 1:
        return calibrations[0].apply(image, force=force)
    check_stated(image, {one.setting.unit for one in calibrations})
    setting = Setting.of(image)
    compared = [one.setting.compared(setting) for one in calibrations]
    fitting = sorted((len(unknown), i) for i, (different, unknown) in enumerate(compared)
                     if not different)
    if not fitting:
        raise CalibrationError(image.name, "was taken differently from the images of all "
                               f"{len(calibrations)} calibrations", "make one with these settings, "
                               "or leave the image out")
    if len(fitting) > 1 and fitting[0][0] == fitting[1][0]:
        raise CalibrationError(image.name, f"fits {len(fitting)} of {len(calibrations)} "
                               "calibrations, as the file states too few of its settings",
                               "give the one that it was taken with")
    return calibrations[fitting[0][1]].apply(image)


def _toml(calibration: InstrumentCalibration) -> str:
    """Return the calibration as TOML, with the meaning of each number beside it."""
    plane = calibration.square
    lines = [
        "# Calibration of an instrument's image plane, made "
        + ("by `emtools calibrate`." if calibration.phase else "of a distance that is known."),
        f"# {calibration.quantity.capitalize()} are {plane.scale:.5f} times the stated ones, "
        "along y "
        f"{1 + plane.anisotropy:.5f} times as much as along x;",
        f"# the axes of the picture are {90 - plane.shear_deg:.3f} degrees apart.",
        f"format = {_FORMAT}",
    ]
    for table, holder in (("plane", calibration), ("crystal", calibration),
                          ("setting", calibration.setting), ("source", calibration)):
        lines += ["", f"[{table}]"]
        for key, meaning in _MEANINGS[table].items():
            value = getattr(holder, key)
            if value is not None:
                lines.append(f"{key} = {_toml_value(value)}{meaning and f'  # {meaning}'}")
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml_value, value))}]"
    if isinstance(value, str):
        # JSON's strings are TOML's, but for the bytes that are no text and for DEL.
        clean = value.encode("utf-8", "replace").decode()
        return json.dumps(clean, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _from_tree(tree: dict[str, Any]) -> InstrumentCalibration:
    parts = {key: _converted(key, value) for table in ("plane", "crystal", "source")
             for key, value in tree[table].items()}
    setting: dict[str, Any] = dict.fromkeys(_UNSTATED)
    setting |= {key: _converted(key.removesuffix("_nm"), value)
                for key, value in tree["setting"].items()}
    return InstrumentCalibration(**parts, setting=Setting.stored(setting))


def _converted(key: str, value: Any) -> Any:
    """Return a value of the file in the type that it has to have."""
    if key == "matrix":
        (yy, yx), (xy, xx) = value
        return ((float(yy), float(yx)), (float(xy), float(xx)))
    if key in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{key} is {value!r}, not a number")
        return value if key == "n_reflections" else float(value)
    if not isinstance(value, bool if key == "scanned" else str):
        raise TypeError(f"{key} is {value!r}")
    return value
