"""Lattice spacings: spots of the Fourier transform, refined, grouped into grains and indexed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray  # noqa: TC002 - the command line reads the annotations

from emtools.crystal import phase as find_phase
from emtools.errors import ParameterError
from emtools.measure._discovery import measurement
from emtools.measure.lattice.grains import find_grains, find_grains_in
from emtools.measure.lattice.index import Tolerance, index_grains
from emtools.measure.lattice.layers import layers
from emtools.measure.lattice.report import Found, rows, summary
from emtools.measure.lattice.seeds import find_seeds
from emtools.measure.lattice.strain import strain_map, strain_rows
from emtools.measure.lattice.tables import TABLES
from emtools.model import Image, Result
from emtools.process.plane import Plane, as_plane, flatten

if TYPE_CHECKING:
    from emtools.crystal import Modality

MODALITIES = ("HAADF", "ADF", "BF", "DF", "STEM", "TEM")
_LARGEST_PX = 1 / 6  # of the side: fewer than six fringes across the image are no lattice
_FRINGES_UNSCALED = 12.0  # fringes across an image without calibration
_WINDOWS_UNSCALED = 6  # windows along the side of an image without calibration
_NYQUIST_PX = 2.05  # spacing in pixels below which fringes alias


@measurement(TABLES, MODALITIES)
def lattice(
    image: Image,
    *,
    phases: tuple[str, ...] = (),
    false_alarm_rate: float = 1e-3,
    min_d_nm: float = 0.08,
    max_d_nm: float = 1.0,
    max_reflections: int = 1000,
    local_map: bool = True,
    window_nm: float = 5.0,
    regions: NDArray[np.integer[Any]] | None = None,
    strain: bool = False,
    strain_resolution_nm: float | None = None,
    strain_reference: NDArray[np.bool_] | None = None,
) -> Result:
    """Measure lattice spacings from the spots of the image's Fourier transform.

    Spots are detected over a local estimate of the noise floor with a controlled false-alarm rate,
    refined far below the cell of the transform, gathered into grains by where their fringes are,
    and indexed against candidate phases by lengths, angles and structure factors with one common
    scale.

    Parameters
    ----------
    image : Image
        One picture in real space, calibrated in nm.  Without a calibration the spacings come out in
        pixels (columns named ``_px``), sought from two pixels to a twelfth of the side.
    phases : tuple of str
        Candidate phases: built-in names (PbS, CuInS2, Au ...) or CIF files.  Without any, nothing
        is indexed and the free lattice is reported.
    false_alarm_rate : float
        Accepted probability that an image of pure noise shows any reflection.
    min_d_nm : float
        Smallest spacing sought.
    max_d_nm : float
        Largest spacing sought.
    max_reflections : int
        At most so many reflections, the strongest.
    local_map
        Whether small crystals are looked for in windows of a few nanometres, besides the transform
        of the whole frame.
    window_nm : float
        Side of the smallest of these windows: about twice the smallest crystal looked for.
    regions
        Labels ``(y, x)`` (0 = none), such as dots of ``chains``: the lattices of these regions are
        measured, and nothing else.
    strain : bool
        Whether to compare the grains' lattices and to map the strain inside each grain.
    strain_resolution_nm : float
        FWHM of the averaging of the strain maps; three spacings if not given.
    strain_reference
        Where the lattice counts as free of strain, ``(y, x)``, True there.  If not given, the
        table compares with the largest grain and the maps with each grain's own mean.

    Returns
    -------
    Result
        Tables ``reflections``, ``grains`` and ``strain``.

    Raises
    ------
    ImageError
        If the image is not one real-valued picture.
    ParameterError
        If a parameter is out of range or a phase unknown.

    References
    ----------
    Noise floor and false-alarm rate: Scargle, Astrophys. J. 263 (1982) 835.  Phase of the
    demodulated fringes: Hytch, Snoeck & Kilaas, Ultramicroscopy 74 (1998) 131.  Bound on the
    uncertainty: Rife & Boorstyn, IEEE Trans. Inf. Theory 20 (1974) 591.
    """
    _check(false_alarm_rate, min_d_nm, max_d_nm, max_reflections)
    for name, length in (("window_nm", window_nm), ("strain_resolution_nm", strain_resolution_nm)):
        if length is not None and not 0 < length < np.inf:
            raise ParameterError(name, f"must be positive and finite, not {length}")
    candidates = [find_phase(name) for name in phases]
    plane = as_plane(image, copy=False)
    d_range = _searched(plane, min_d_nm, max_d_nm)
    reason = _not_measurable(plane, d_range)
    if reason is not None:
        return _result(plane, Found([], []), reason)
    # Where the pixels are ours, in place: only the plane's calibration is needed from here on.
    flat = flatten(plane.values, plane.mask, 2.0 * d_range[1] / plane.calibration.pixel_size,
                   normal=True, out=plane.values if plane.values.flags.writeable else None)
    smallest = (window_nm if plane.unit == "nm" else _window_px(plane)) if local_map else None
    seeds, search = find_seeds(flat, plane.calibration, d_range, false_alarm_rate, smallest,
                               regions is None)
    if regions is None:
        grains = find_grains(flat, seeds, search, max_reflections)
    else:
        grains = find_grains_in(flat, _labels(regions, plane, "regions"), search, max_reflections)
    modality: Modality = "TEM" if image.acquisition.modality in ("TEM", "BF") else "HAADF"
    tolerance = Tolerance.of(plane.calibration)
    found = Found(grains, index_grains(grains, candidates, tolerance, modality))
    if strain:
        reference = None
        if strain_reference is not None:
            inside = find_grains_in(flat, _labels(strain_reference, plane, "strain_reference"),
                                    search, 100)
            reference = next((grain.lattice for grain in inside if grain.lattice), None)
        found = replace(found, strain=strain_rows(grains, reference), maps=[
            strain_map(flat, grain, plane.calibration, reference, strain_resolution_nm)
            for grain in grains])
    return _result(plane, found, None)


def _labels(
    regions: NDArray[np.integer[Any]] | NDArray[np.bool_], plane: Plane, name: str
) -> NDArray[np.integer[Any]]:
    labels = np.asarray(regions)
    if labels.shape != plane.values.shape or labels.dtype.kind not in "biu":
        raise ParameterError(name, f"must be whole numbers of shape {plane.values.shape}, not "
                             f"{labels.dtype} of shape {labels.shape}")
    return labels.astype(np.int64)


def _window_px(plane: Plane) -> float:
    """Side of the smallest windows in an image without calibration."""
    return float(min(plane.values.shape)) / _WINDOWS_UNSCALED


def _check(false_alarm_rate: float, min_d_nm: float, max_d_nm: float, limit: int) -> None:
    if not 0 < false_alarm_rate < 1:
        raise ParameterError("false_alarm_rate", f"must lie in 0 ... 1, not {false_alarm_rate}")
    if not 0 < min_d_nm < max_d_nm:
        raise ParameterError("min_d_nm, max_d_nm", f"must be 0 < min < max, not {min_d_nm}, "
                             f"{max_d_nm}")
    if limit < 1:
        raise ParameterError("max_reflections", f"must be at least 1, not {limit}")


def _searched(plane: Plane, min_d_nm: float, max_d_nm: float) -> tuple[float, float]:
    """Spacings that are asked for and that these pixels can show, in the plane's unit."""
    side = min(plane.values.shape)
    pixel = plane.calibration.pixel_size
    # Without a scale only the number of fringes tells a lattice from the texture of particles.
    asked = (min_d_nm, max_d_nm) if plane.unit == "nm" else (0.0, side / _FRINGES_UNSCALED)
    return max(asked[0], _NYQUIST_PX * pixel), min(asked[1], _LARGEST_PX * side * pixel)


def _not_measurable(plane: Plane, d_range: tuple[float, float]) -> str | None:
    if plane.unit == "1/nm":
        return "not measurable: a diffraction pattern, not an image in real space"
    if plane.unit not in ("nm", "px"):
        return f"not measurable: axes in {plane.unit}, not an image in real space"
    if plane.constant:
        return "no lattice: all pixels have the same value"
    if d_range[0] >= d_range[1]:
        pixel = plane.calibration.pixel_size
        return (f"not measurable: with pixels of {pixel:.3g} {plane.unit} the spacings that can be "
                f"seen ({_NYQUIST_PX * pixel:.3g} {plane.unit} and above, six fringes across the "
                "image) are outside those asked for")
    return None


def _result(plane: Plane, found: Found, reason: str | None) -> Result:
    unit = "px" if plane.unit == "px" else "nm"
    reflections, of_grains = rows(plane, found)
    tables: dict[str, Any] = {
        "reflections": TABLES["reflections"].frame(reflections, unit),
        "grains": TABLES["grains"].frame(of_grains, unit),
        "strain": TABLES["strain"].frame(found.strain, unit),
    }
    return Result("lattice", tables, summary(plane, found, reason),
                  layers(plane, found, tables["reflections"]))
