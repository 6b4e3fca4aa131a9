"""From the rings of a known powder to the calibration of diffraction patterns."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emtools.crystal import phase as find_phase
from emtools.errors import CalibrationError, ParameterError
from emtools.instrument.calibration import InstrumentCalibration
from emtools.instrument.from_crystal import DEFAULT_REPRODUCIBILITY
from emtools.instrument.setting import Setting, check_stated
from emtools.model.calibration import Distortion
from emtools.units import PIXEL, RECIPROCAL

if TYPE_CHECKING:
    from emtools.crystal import Phase
    from emtools.model import Image, Result

_SCALE_ERR = 0.1  # of a pattern that is about to be calibrated: its scale is what is not known
_FEWEST = 3  # rings: two could be those of any cubic crystal


def calibrate_rings(
    image: Image, phase: str | Phase, *, reproducibility: float = DEFAULT_REPRODUCIBILITY
) -> InstrumentCalibration:
    """Calibrate diffraction patterns with the rings of a known powder.

    Tells the true wave number of a pixel (with it camera constant and camera length) and the
    ellipticity that the lenses give to the rings.

    Parameters
    ----------
    image
        Ring pattern with the scale that the microscope states in 1/nm, or without a scale.
    phase
        The standard: a built-in name (``Au``, ``TlCl``, ``Al``), a CIF file or a `Phase`.
    reproducibility
        By how much wave numbers differ between patterns taken with the same settings, relative, 1
        sigma (height of the specimen, hysteresis of the lenses).

    Raises
    ------
    CalibrationError
        If the image is no pattern, or its rings are not seen well enough or do not fit the phase.
    """
    if not 0 <= reproducibility < 1:
        raise ParameterError("reproducibility", f"must lie in 0 ... 1, not {reproducibility}")
    from emtools.measure.rings import rings

    known = find_phase(phase)
    check_stated(image, (RECIPROCAL, PIXEL))
    axes = tuple(replace(axis, pixel_size_err=_SCALE_ERR * axis.pixel_size)
                 if axis.unit == RECIPROCAL else axis for axis in image.axes)
    # A phase travels through the measurement's parameters as it is.
    measured = rings(replace(image, axes=axes, distortion=Distortion()),
                     phases=(known,))  # type: ignore[arg-type]
    scale, scale_err, n_rings = _scale(measured, known, image.name)
    place = measured.details["geometry"].iloc[0]
    round_ = np.array([[place["yy"], place["yx"]], [place["xy"], place["xx"]]])
    sizes = np.array([axis.pixel_size for axis in image.plane_axes])
    # `round_` turns pixels into pixels of the mean size; the calibration starts at stated sizes.
    (yy, yx), (xy, xx) = (scale * math.sqrt(sizes.prod()) * round_ / sizes).tolist()
    ellipticity_err = measured.summary["ellipticity"].err / 100
    source = image.source.describe()
    return InstrumentCalibration(
        ((yy, yx), (xy, xx)), scale_err, ellipticity_err, math.degrees(ellipticity_err),
        reproducibility, known.name, "", n_rings, Setting.of(image), image.acquisition.date,
        Path(source["file"]).name if source["file"] else None, source["sha256"])


def _scale(measured: Result, known: Phase, name: str) -> tuple[float, float, int]:
    """Return true over stated wave number (1/nm per px without a scale), its error, and rings."""
    table = measured.tables["fractions"]
    if not len(table):
        raise CalibrationError(name, f"cannot be calibrated with rings of {known.name}: "
                               f"{measured.outcome}", "give the phase that it shows, or a pattern "
                               "with more rings")
    row = table.iloc[0]
    if row["rings"] < _FEWEST:
        raise CalibrationError(name, f"shows {row['rings']} rings of {known.name}",
                               f"{_FEWEST} are needed")
    if "pixel_size_by_phase" in measured.summary:
        size = measured.summary["pixel_size_by_phase"]
        return size.value, size.err / size.value, int(row["rings"])
    scale = row["a_nm"] / known.cell[0]
    return float(scale), float(row["a_err_nm"] / row["a_nm"]), int(row["rings"])
