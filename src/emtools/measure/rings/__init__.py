"""Rings of diffraction patterns: centre, ellipse, spacings, crystallite sizes and phases."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.crystal import phase as find_phase
from emtools.errors import ParameterError
from emtools.measure._discovery import measurement
from emtools.measure.rings._kernels import add_blocks
from emtools.measure.rings.azimuth import spread_of
from emtools.measure.rings.centre import Centred, meeting_point, refined
from emtools.measure.rings.identify import Verdict, identify
from emtools.measure.rings.masks import shadow, sound_pixels
from emtools.measure.rings.model import fit_rings
from emtools.measure.rings.polar import Geometry, cells
from emtools.measure.rings.profile import azimuthal_mean
from emtools.measure.rings.report import (
    SCHERRER,
    Found,
    Scale,
    details,
    fraction_rows,
    layers,
    net_summary,
    ring_rows,
    spot_rows,
    summary,
)
from emtools.measure.rings.spots import find_net, index_net
from emtools.measure.rings.tables import TABLES
from emtools.model import Image, Result
from emtools.process.plane import Plane, as_plane
from emtools.process.threads import in_spans
from emtools.units import LENGTH, PIXEL, RECIPROCAL

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pandas import DataFrame

    from emtools.crystal import Phase
    from emtools.measure.rings.azimuth import Spread
    from emtools.measure.rings.model import Fitted
    from emtools.measure.rings.profile import AzimuthalMean

MODALITIES = ("SAED", "FFT")
_SMALL_PX = 320  # side of the picture in which the centre is looked for
_FINE_PX = 1024  # side of the picture in which it is refined
_POINTED = 0.2  # of the gradients, by which a centre outside the picture is believed
_MOST_ELLIPTIC = 0.15
_BROADEST_UNSCALED = 0.2  # of a ring's radius, where no scale is known
_LEAST_SEEN = 0.25  # of the azimuth, for a ring to be measured
_FEWEST_SPOTS = 6.0  # equal spots that a ring must at least be spread over
_SINGLE_CRYSTAL = 0.15  # of the azimuth, that the rings are spread over in the mean

NOTHING = Verdict(None, None, 0.0, 0.0)


@measurement(TABLES, MODALITIES, reciprocal=True)
def rings(
    image: Image,
    *,
    phases: tuple[str, ...] = (),
    instrument_fwhm_per_nm: float | None = None,
    instrument_fwhm_err_per_nm: float | None = None,
    min_crystallite_nm: float = 1.5,
    centre_y_px: float | None = None,
    centre_x_px: float | None = None,
) -> Result:
    """Measure the rings of a diffraction pattern of many small crystals.

    The centre and the ellipse are fitted to the rings themselves; beam stop, saturated, dead and
    hot pixels are left out; all rings are fitted together to the azimuthal mean, on the tail of the
    central beam and what is amorphous.

    Parameters
    ----------
    image : Image
        A diffraction pattern, in 1/nm or without a scale.
    phases : tuple of str
        Candidate phases, alone or mixed: built-in names or CIF files.
    instrument_fwhm_per_nm : float
        Width that the instrument adds to each ring, in quadrature, such as that of a ring of large
        crystals; without it, sizes are lower limits.
    instrument_fwhm_err_per_nm : float
        Its 1 sigma; a width that is known exactly if not given.
    min_crystallite_nm : float
        Rings as broad as those of crystals smaller than this are taken for amorphous.
    centre_y_px : float
        Row of the centre where it is known; found from the rings if not given.
    centre_x_px : float
        Column of the centre where it is known; found from the rings if not given.

    Returns
    -------
    Result
        Tables ``rings`` and ``fractions``, or ``spots`` of a single crystal, indexed as those of an
        image's transform are; the azimuthal mean is among the details.

    Raises
    ------
    ImageError
        If the image is not one real-valued picture.
    ParameterError
        If a parameter is out of range, or a phase is not known.

    Notes
    -----
    Uncertainties are those of the scatter around the azimuth (a jackknife over 36 parts of it), so
    that spots and arcs count; that of the scale is common to all rings, and in the summary.  With a
    stated beam energy, radii on the flat detector are turned into wave numbers exactly.

    References
    ----------
    Sizes: Scherrer's equation with K = 0.9.  Intensities: Vainshtein, Structure Analysis by
    Electron Diffraction (Pergamon, 1964).  Pseudo-Voigt profiles: Wertheim et al., Rev. Sci.
    Instrum. 45 (1974) 1369.
    """
    _check(instrument_fwhm_per_nm, instrument_fwhm_err_per_nm, min_crystallite_nm,
           centre_y_px, centre_x_px)
    candidates = [find_phase(name) for name in phases]
    instrument = None if instrument_fwhm_per_nm is None \
        else (instrument_fwhm_per_nm, instrument_fwhm_err_per_nm or 0.0)
    given = None if centre_y_px is None or centre_x_px is None else (centre_y_px, centre_x_px)
    plane, gain = _of_unit_range(as_plane(image))
    found: Found | None = None
    if plane.unit not in (RECIPROCAL, PIXEL):
        outcome = f"not measurable: axes in {plane.unit}, in real space or of no diffraction " \
                  "pattern; of an image, measure the transform"
    elif plane.constant:
        outcome = "not measurable: all pixels have the same value"
    else:
        use = sound_pixels(plane.values, plane.mask)
        found, outcome = _find(plane, use, Scale.of(image, plane), SCHERRER / min_crystallite_nm,
                               given)
    measured = found is not None and bool(found.numbers)
    verdict = identify(found.seen(), candidates) if found and measured else NOTHING
    if measured and candidates:
        outcome += _phase_said(verdict)
    said = summary(found, verdict, outcome, plane, instrument)
    unit = str(said["unit"])
    tables = {name: table.frame((), unit) for name, table in TABLES.items()}
    if found is None or not measured:
        if plane.unit in (RECIPROCAL, PIXEL) and not plane.constant:
            tables["spots"], crystal = _single_crystal(plane, use, candidates)
            said |= crystal
        return Result("rings", tables, said, details=details(found, NOTHING, gain) if found else {})
    table = TABLES["rings"].frame(ring_rows(found, verdict, instrument), unit)
    tables |= {"rings": table,
               "fractions": TABLES["fractions"].frame(fraction_rows(found, verdict), unit)}
    return Result("rings", tables, said, layers(found, table),
                  details=details(found, verdict, gain))


def _single_crystal(
    plane: Plane, use: NDArray[np.bool_], phases: list[Phase]
) -> tuple[DataFrame, dict[str, Any]]:
    """The spots of a single-crystal pattern and what is said of it; neither where it is none."""
    net = find_net(plane, use)
    unit = PIXEL if plane.unit == PIXEL else LENGTH
    if net is None:
        return TABLES["spots"].frame((), unit), {}
    spots, verdict = index_net(net, plane, phases)
    said = {"outcome": f"not measurable as rings: {len(net.places)} spots of a single crystal",
            **net_summary(net, verdict)}
    if phases:
        said["outcome"] += f"; {verdict.best.label}" if verdict.best else \
            "; phase unknown: none of the candidates fits"
    return TABLES["spots"].frame(spot_rows(spots, verdict, plane), unit), said


def _of_unit_range(plane: Plane) -> tuple[Plane, float]:
    """The plane with values of about 1, and what they were multiplied with, a power of two.

    Intensities have no unit of their own.
    """
    span = float(np.ptp(plane.values))
    if not span > 0:
        return plane, 1.0
    gain = np.ldexp(1.0, -int(np.frexp(span)[1]))
    values = (plane.values * gain).astype(np.float32)
    return replace(plane, values=values, offset=plane.offset * gain), float(gain)


def _check(
    fwhm: float | None, fwhm_err: float | None, smallest: float, y: float | None, x: float | None
) -> None:
    for name, value in (("instrument_fwhm_per_nm", fwhm), ("instrument_fwhm_err_per_nm", fwhm_err),
                        ("min_crystallite_nm", smallest)):
        if value is not None and not 0 < value < math.inf:
            raise ParameterError(name, f"must be positive and finite, not {value}")
    if (y is None) != (x is None):
        raise ParameterError("centre_y_px", "and centre_x_px go together", "give both or none")
    if y is not None and x is not None and not (math.isfinite(y) and math.isfinite(x)):
        raise ParameterError("centre_y_px", f"and centre_x_px must be finite, not {y} and {x}")


def _find(
    plane: Plane, use: NDArray[np.bool_], scale: Scale, broadest_per_nm: float,
    given: tuple[float, float] | None,
) -> tuple[Found | None, str]:
    """Return what was found, and the outcome in words."""
    first, use = _first(plane, use, given)
    outside = _outside(first, plane.values.shape)
    if outside:
        return None, outside
    centred = _centred(plane.values, use, first.geometry, given)
    if centred is None:
        return None, "no rings"
    polar = cells(plane.values, use, centred.geometry)
    profile = azimuthal_mean(polar)
    fitted = None if profile is None else fit_rings(
        profile, _broadest(profile, scale, broadest_per_nm))
    if fitted is None:
        return None, "no rings"
    found = Found(plane, scale, centred, fitted, (), (), polar)
    maxima = _maxima(found)
    if maxima and _of_one_crystal(found, maxima):
        return found, "not measurable as rings: spots of one or few crystals"
    rings_ = {i: spread for i, spread in maxima.items() if spread.spots >= _FEWEST_SPOTS}
    found = replace(found, numbers=tuple(rings_), spreads=tuple(rings_.values()))
    if not rings_:
        return found, _why_none(fitted)
    n = len(found.numbers)
    return found, f"{n} ring{'s' if n > 1 else ''}"


@dataclass(frozen=True)
class _First:
    """A first idea of the centre, and which part of the picture's gradients points there."""

    geometry: Geometry
    share: float


def _first(
    plane: Plane, use: NDArray[np.bool_], given: tuple[float, float] | None
) -> tuple[_First, NDArray[np.bool_]]:
    """Return where the centre is about, and the pixels to use without the beam stop's shadow."""
    matrix = plane.calibration.matrix
    square = matrix / math.sqrt(abs(float(np.linalg.det(matrix))))
    factor = max(1, math.ceil(max(plane.values.shape) / _SMALL_PX))
    small, small_use = _binned(plane.values, use, factor)

    def look() -> _First:
        if given is not None:
            return _First(Geometry(*given, 0.0, 0.0, square), 1.0)
        point = meeting_point(small, small_use, square)
        return _First(Geometry(point.y, point.x, 0.0, 0.0, square).unbinned(factor), point.share)

    first = look()
    shaded = shadow(small, small_use, first.geometry.binned(factor))
    if shaded.any():
        small_use &= ~shaded
        use = use & ~_unbinned(shaded, factor, (use.shape[0], use.shape[1]))
        first = look()
    return first, use


def _outside(first: _First, shape: tuple[int, ...]) -> str:
    """Say that the centre is not in the picture, if it is not."""
    geometry = first.geometry
    if 0 <= geometry.y < shape[0] and 0 <= geometry.x < shape[1]:
        return ""
    if first.share < _POINTED:
        return "no rings"
    return ("not measurable: what is bright lies around a centre outside the picture (about row "
            f"{geometry.y:.0f}, column {geometry.x:.0f})")


def _centred(
    values: NDArray[np.float32], use: NDArray[np.bool_], first: Geometry,
    given: tuple[float, float] | None,
) -> Centred | None:
    """Return centre and ellipse, found in a small picture and refined in a larger one."""
    geometry = first
    best: Centred | None = None
    for side in (_SMALL_PX, _FINE_PX):
        factor = max(1, math.ceil(max(values.shape) / side))
        found = refined(*_binned(values, use, factor), geometry.binned(factor))
        if found is not None and _near(found.geometry.unbinned(factor), values.shape):
            turn = np.diag([factor, factor, 1.0, 1.0])
            best = replace(found, geometry=found.geometry.unbinned(factor),
                           covariance=turn @ found.covariance @ turn)
            geometry = best.geometry
    if given is None:
        return best
    if best is None:
        return Centred(first, np.zeros((4, 4)), True)
    kept = replace(best.geometry, y=given[0], x=given[1])
    return Centred(kept, np.diag([0, 0, *np.diagonal(best.covariance)[2:]]), True)


def _near(geometry: Geometry, shape: tuple[int, ...]) -> bool:
    """Whether a fitted centre is in the picture, and the ellipse one that a lens can make."""
    return 0 <= geometry.y < shape[0] and 0 <= geometry.x < shape[1] \
        and geometry.ellipticity < _MOST_ELLIPTIC


def _binned(
    values: NDArray[np.float32], use: NDArray[np.bool_], factor: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Means of blocks of used pixels, and which blocks are used for more than half."""
    if factor == 1:
        return values, use.copy()
    shape = (values.shape[0] // factor, values.shape[1] // factor)
    means, used = np.empty(shape, np.float32), np.empty(shape, np.bool_)
    in_spans(lambda rows: add_blocks(rows, values, use, factor, means, used), (0, shape[0]),
             values.size)
    return means, used


def _unbinned(
    small: NDArray[np.bool_], factor: int, shape: tuple[int, int]
) -> NDArray[np.bool_]:
    large = np.repeat(np.repeat(small, factor, axis=0), factor, axis=1)
    rest = [(0, n - m) for n, m in zip(shape, large.shape, strict=True)]
    return np.pad(large, rest, mode="edge")


def _broadest(profile: AzimuthalMean, scale: Scale, per_nm: float) -> NDArray[np.float64]:
    """FWHM in px above which a maximum is no ring, at each radius."""
    if math.isfinite(scale.per_px):
        return np.full(len(profile.radius), max(per_nm / scale.per_px, 4.0))
    return np.asarray(np.maximum(_BROADEST_UNSCALED * profile.radius, 4.0))


def _maxima(found: Found) -> dict[int, Spread]:
    """The peaks that are no broader than rings, with their brightness along the azimuth."""
    profile = found.fitted.profile
    return {i: spread_of(found.polar, found.fitted, i)
            for i, peak in enumerate(found.fitted.peaks)
            if not peak.broad
            and np.interp(peak.radius, profile.radius, profile.coverage) >= _LEAST_SEEN}


def _of_one_crystal(found: Found, maxima: dict[int, Spread]) -> bool:
    areas = [found.fitted.area(i)[0] for i in maxima]
    shares = [spread.share for spread in maxima.values()]
    return bool(np.average(shares, weights=areas) < _SINGLE_CRYSTAL)


def _why_none(fitted: Fitted) -> str:
    if any(peak.broad for peak in fitted.peaks):
        return "not measurable as rings: only broad maxima (amorphous, or crystals too small)"
    return "no rings"


def _phase_said(verdict: Verdict) -> str:
    if verdict.best is None:
        return "; phase unknown: none of the candidates fits"
    if verdict.ambiguous and verdict.runner_up is not None:
        return f"; {verdict.best.label} or {verdict.runner_up.label} (ambiguous)"
    return f"; {verdict.best.label}"


