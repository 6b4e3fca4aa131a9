"""From an image of a known crystal to the calibration of the instrument that took it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.crystal import phase as find_phase
from emtools.errors import CalibrationError, ParameterError
from emtools.instrument.calibration import InstrumentCalibration
from emtools.instrument.setting import Setting, check_stated
from emtools.model.calibration import Distortion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.crystal import Phase
    from emtools.measure.lattice.affine import IndexedGrain
    from emtools.model import Image, Result

# By how much lengths in two images taken with the same settings differ, relative, 1 sigma, where
# the user does not know better: calibrated microscopes reach 1.6 % (95 %).
DEFAULT_REPRODUCIBILITY = 0.008
_SCALE_ERR = 0.1  # of an image that is about to be calibrated: its scale is what is not known
_ANISOTROPY_ERR = 0.03
_SHEAR_ERR_DEG = 3.0
_CREDIBLE = 0.45  # score of a phase that may be relied on; strong reflections are missing below
_FEWEST = 3  # reflections of a crystal: two would always fit
_CONSISTENT = 0.7  # of the strength of a crystal's reflections has to agree on one distortion


def calibrate(
    image: Image, phase: str | Phase, *, reproducibility: float = DEFAULT_REPRODUCIBILITY
) -> InstrumentCalibration:
    """Calibrate the image plane of an instrument with an image of a known crystal.

    The lattice is measured with a wide tolerance of scale, anisotropy and shear (they are what is
    sought), and the symmetric matrix that turns the known reflections of all crystals that are
    indexed without ambiguity into the measured ones is fitted.  That the crystal is of this phase
    is the user's word: one of the same structure with a cell a few per cent larger looks the same.

    The uncertainty of the fit, parts in 10^4, is that of this image.  What the next image has in
    common with it depends on how well the instrument repeats itself, which one image does not tell:
    `reproducibility` says it.

    Parameters
    ----------
    image
        One picture in real space with the pixel size that the microscope states.
    phase
        The crystal: a built-in name, a CIF file or a `Phase`.
    reproducibility
        By how much lengths differ between images taken with the same settings, relative, 1 sigma.
        The default, 0.8 %, is what calibrated microscopes commonly reach; measure your own by
        calibrating on several days, and give 0 only for images of the same series.

    Raises
    ------
    CalibrationError
        If the image has no pixel size in nm, or the crystal is not seen well enough or does not
        fit.
    """
    if not 0 <= reproducibility < 1:
        raise ParameterError("reproducibility", f"must lie in 0 ... 1, not {reproducibility}")
    from emtools.measure.lattice import lattice
    from emtools.measure.lattice.affine import SHARED_NOISE, fit_affine

    known = find_phase(phase)
    check_stated(image)
    upright = image.transposed() if image.acquisition.fast_axis == "y" else image
    axes = tuple(replace(axis, pixel_size_err=_SCALE_ERR * axis.pixel_size)
                 if axis.name in ("y", "x") else axis for axis in upright.axes)
    loose = Distortion(anisotropy_err=_ANISOTROPY_ERR, shear_err_deg=_SHEAR_ERR_DEG)
    # A phase travels through the measurement's parameters as it is.
    measured = lattice(replace(upright, axes=axes, distortion=loose),
                       phases=(known,))  # type: ignore[arg-type]
    grains, zones = _crystals(measured, known, image.name)
    try:
        fitted = fit_affine(grains).widened(SHARED_NOISE)
    except CalibrationError as error:
        raise CalibrationError(image.name, f"its reflections of {known.name} {error.reason}",
                               error.advice) from error
    (yy, yx), (xy, xx) = fitted.matrix.tolist()
    source = image.source.describe()
    return InstrumentCalibration(
        ((yy, yx), (xy, xx)), *fitted.errors, reproducibility, known.name, ", ".join(zones),
        fitted.n_reflections, Setting.of(image),
        image.acquisition.date, Path(source["file"]).name if source["file"] else None,
        source["sha256"],
    )


def _crystals(
    measured: Result, known: Phase, name: str
) -> tuple[list[IndexedGrain], list[str]]:
    """Return the reflections of each crystal that can be trusted, and the zone axes."""
    if "found" not in measured.outcome:
        raise CalibrationError(name, f"shows no lattice to calibrate with ({measured.outcome})",
                               "give an image of the crystal along a zone axis")
    tables = measured.to_dict()["tables"]
    reflections, rows = tables["reflections"], tables["grains"]
    reasons, grains, zones = [], [], []
    for row in rows:
        of_grain = [r for r in reflections if r["grain"] == row["grain"]]
        crystal = _crystal(of_grain, row, known)
        if isinstance(crystal, str):
            reasons.append(f"grain {row['grain']}: {crystal}")
            continue
        grains.append(crystal)
        if row["zone_axis"] not in zones:
            zones.append(row["zone_axis"])
    if not grains:
        raise CalibrationError(name, f"cannot be calibrated with {known.name}: "
                               f"{'; '.join(reasons)}",
                               "check the phase and the stated pixel size, or give an image of the "
                               "crystal along a zone axis")
    return grains, zones


def _crystal(
    reflections: list[dict[str, Any]], row: dict[str, Any], known: Phase
) -> IndexedGrain | str:
    """Return the reflections of a grain that agree on one distortion, or why there are none."""
    from emtools.measure.lattice.affine import IndexedGrain, consistent, reference_vectors

    if not row["phase"]:
        return f"its {len(reflections)} reflections do not fit {known.name}"
    if not row["zone_axis"]:
        return "its reflections are in one row, which tells neither anisotropy nor shear"
    if row["score"] < _CREDIBLE:
        return (f"{known.name} [{row['zone_axis']}] fits poorly (score {row['score']:.2f}): strong "
                "reflections are missing, or unexplained ones are there")
    usable = [r for r in reflections if r["hkl"] and not r["few_fringes"]]
    if len(usable) < _FEWEST:
        return f"{len(usable)} usable reflections, {_FEWEST} are needed"
    if row["ambiguous"]:
        rival = f"{row['runner_up']} fits as well" if row["runner_up"] else "one family is seen"
        return f"{known.name} [{row['zone_axis']}] is ambiguous, {rival}"
    hkl = [[int(i) for i in r["hkl"].split()] for r in usable]
    zone = [int(i) for i in row["zone_axis"].split()]
    grain = IndexedGrain(*_wave_vectors(usable), reference_vectors(known, zone, hkl))
    agree = consistent(grain)
    strength = np.array([r["snr"] for r in usable])
    if agree.sum() < _FEWEST or strength[agree].sum() < _CONSISTENT * strength.sum():
        return f"only {agree.sum()} of its {len(usable)} reflections fit {known.name} together"
    return grain.only(agree)


def _wave_vectors(
    reflections: list[dict[str, Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return wave vectors ``(y, x)`` in 1/nm, up to their signs, and covariances from a table."""
    d = np.array([r["d_spacing_nm"] for r in reflections])
    angle = np.radians([r["angle_deg"] for r in reflections])
    along = np.stack([-np.sin(angle), np.cos(angle)], axis=-1)
    across = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    radial = np.array([r["d_spacing_err_nm"] for r in reflections]) / d**2
    sideways = np.radians([r["angle_err_deg"] for r in reflections]) / d
    covariance = (np.einsum("n,ni,nj->nij", radial**2, along, along)
                  + np.einsum("n,ni,nj->nij", sideways**2, across, across))
    return along / d[:, None], covariance
