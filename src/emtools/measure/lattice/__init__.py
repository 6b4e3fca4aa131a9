"""Lattice spacings: spots of the Fourier transform, refined, grouped into grains and indexed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from emtools.crystal import phase as find_phase
from emtools.errors import ParameterError
from emtools.measure._discovery import measurement
from emtools.measure.lattice.grains import group, spot
from emtools.measure.lattice.index import Tolerance, Verdict, index_grains
from emtools.measure.lattice.refine import refine
from emtools.measure.lattice.report import layers, rows, summary
from emtools.measure.lattice.spectrum import find_peaks, spectrum
from emtools.measure.lattice.tables import TABLES
from emtools.model import Image, Result
from emtools.process.plane import Plane, as_plane, flatten

if TYPE_CHECKING:
    from emtools.crystal import Modality
    from emtools.measure.lattice.grains import Grain

MODALITIES = ("HAADF", "ADF", "BF", "DF", "STEM", "TEM")
_LARGEST_PX = 1 / 6  # of the side: fewer than six fringes across the image are no lattice
_FRINGES_UNSCALED = 12.0  # fringes across an image without calibration
_NYQUIST_PX = 2.05  # spacing in pixels below which fringes alias


@measurement(TABLES, MODALITIES)
def lattice(
    image: Image,
    *,
    phases: tuple[str, ...] = (),
    false_alarm_rate: float = 1e-3,
    min_d_nm: float = 0.08,
    max_d_nm: float = 1.0,
    max_reflections: int = 40,
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

    Returns
    -------
    Result
        Tables ``reflections`` and ``grains``.

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
    candidates = [find_phase(name) for name in phases]
    plane = as_plane(image)
    d_range = _searched(plane, min_d_nm, max_d_nm)
    reason = _not_measurable(plane, d_range)
    if reason is not None:
        return _result(plane, [], [], reason)
    transformed = spectrum(flatten(plane.values, plane.mask, 2.0 * d_range[1]
                                   / plane.calibration.pixel_size))
    peaks = find_peaks(transformed, plane.calibration, d_range, false_alarm_rate, max_reflections)
    spots = [spot(fringes, plane.calibration) for fringes in refine(transformed, peaks)]
    # The wings of a spot just outside of the range are no reflection inside of it.
    grains = group([s for s in spots if d_range[0] <= 1.0 / s.length <= d_range[1]])
    modality: Modality = "TEM" if image.acquisition.modality in ("TEM", "BF") else "HAADF"
    tolerance = Tolerance.of(plane.calibration)
    verdicts = index_grains(grains, candidates, tolerance, modality)
    return _result(plane, grains, verdicts, None)


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


def _result(
    plane: Plane, grains: list[Grain], verdicts: list[Verdict], reason: str | None
) -> Result:
    unit = "px" if plane.unit == "px" else "nm"
    reflections, of_grains = rows(plane, grains, verdicts)
    tables: dict[str, Any] = {
        "reflections": TABLES["reflections"].frame(reflections, unit),
        "grains": TABLES["grains"].frame(of_grains, unit),
    }
    return Result("lattice", tables, summary(plane, grains, verdicts, reason),
                  layers(plane, grains, tables["reflections"]))
