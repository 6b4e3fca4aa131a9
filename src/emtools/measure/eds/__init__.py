"""Composition of a spectrum image: element maps, regions, profiles along chains and lines."""

from __future__ import annotations

# The command line reads the annotations.
from collections.abc import Mapping, Sequence  # noqa: TC003
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray  # noqa: TC002

from emtools import xrays
from emtools.errors import ParameterError
from emtools.measure._discovery import measurement
from emtools.measure.eds.areas import Shapes
from emtools.measure.eds.families import SOFTEST_KEV
from emtools.measure.eds.field import Field
from emtools.measure.eds.identify import Setting
from emtools.measure.eds.quantify import KFactors, Specimen
from emtools.measure.eds.report import details, layers, summary
from emtools.measure.eds.response import Response
from emtools.measure.eds.rows import (
    Rules,
    composition_rows,
    gaps_against_dots,
)
from emtools.measure.eds.tables import TABLES
from emtools.measure.eds.total import quantified, ties_of
from emtools.model import Image, Result
from emtools.process.spectra import Spectra, as_spectra

MODALITIES = ("EDS",)
_USUAL_BEAM_KEV = 200.0  # for the shape of the continuum where the file says nothing
_FEWEST_COUNTS = 20.0
_COMPONENTS = {"pca": "principal", "nmf": "non-negative"}


@measurement(TABLES, MODALITIES, axes=("energy",))
def eds(
    image: Image,
    *,
    elements: tuple[str, ...] = (),
    left_out: tuple[str, ...] = (),
    k_factors: Mapping[str, float] | None = None,
    zeta_factors: Mapping[str, float] | None = None,
    electrons: float | None = None,
    chains: Result | None = None,
    haadf: Image | None = None,
    frames: Literal["summed", "aligned"] = "summed",
    regions: NDArray[np.integer[Any]] | None = None,
    lines: (Sequence[NDArray[np.floating[Any]]]
            | Mapping[int, NDArray[np.floating[Any]]] | None) = None,
    line_width_nm: float | None = None,
    step_nm: float | None = None,
    film: Literal["kept", "subtracted"] = "kept",
    components: int = 0,
    decomposition: Literal["pca", "nmf"] = "pca",
    thickness_nm: float | None = None,
    density_g_cm3: float | None = None,
    take_off_deg: float = 20.0,
    window: Literal["none", "polymer", "beryllium"] = "none",
    beam_energy_keV: float | None = None,
    false_alarm_rate: float = 1e-3,
) -> Result:
    """Measure the composition of a spectrum image: elements, maps, regions and profiles.

    The summed spectrum is fitted by Poisson likelihood: families of X-ray lines whose inner ratios
    are known only about, bremsstrahlung, escape and sum peaks, and what the detector does to
    energies.  Every pixel, region and step of a profile is then fitted with these shapes.

    Parameters
    ----------
    image : Image
        Spectrum image, line of spectra or one spectrum, with an energy axis in keV.
    elements : tuple of str
        What is reported, and normalised to 100 %; by default what is found.  Others that the
        spectrum shows are fitted too, and named in the summary.
    left_out : tuple of str
        Elements that are measured but not normalised with the others (of film, grid, holder).
    k_factors : Mapping
        Weight-fraction k-factors by element and line, ``{"S_Ka": 1.02, "Pb_Ma": 2.4}``, with
        ``"S_Ka_err"`` the relative 1 sigma of one; those not given are computed.
    zeta_factors : Mapping
        Factors zeta in kg/m2 in place of k-factors, named as these; with `electrons` they give the
        mass-thickness too.
    electrons : float
        How many electrons fell on the whole field during the acquisition.
    chains : Result
        Of ``chains``, on the image of the same scan: compositions of chains, dots, gaps and the
        film beside them, and profiles along the chains.
    haadf : Image
        HAADF image of the same scan, for its profile beside those of the elements; the command line
        and the batch take the one in the same file.
    frames : {'summed', 'aligned'}
        Whether frames of a scan, where the image has them one by one, are moved by whole pixels
        onto each other before they are summed.
    regions : array
        Map ``(y, x)`` of whole numbers, 0 = none: a composition of each.
    lines : sequence of array
        Lines drawn for profiles, points ``(n, 2)`` (y, x) in nm, in px without a calibration.
    line_width_nm : float
        Width of the strip along drawn lines; by default 5 pixels.
    step_nm : float
        Length of the steps of profiles; by default as the counts allow.
    film : {'kept', 'subtracted'}
        Whether the film's spectrum, measured beside the chains, is taken off theirs.
    components : int
        Number of components of which spectra are rebuilt for the maps, which smooths them, as
        summary and pictures say; 0 for maps of what was recorded.  Tables do not depend on it.
        What is rare among the pixels may be lost, and the maps' 1 sigma tells nothing of that.
    decomposition : {'pca', 'nmf'}
        Whether these are principal components, or non-negative ones among them.
    thickness_nm : float
        Of the specimen, with `density_g_cm3`: absorption in it is corrected for.
    density_g_cm3 : float
        Of the specimen.
    take_off_deg : float
        Angle of the detector above the specimen's plane, for that correction.
    window : {'none', 'polymer', 'beryllium'}
        Of the detector, for computed k-factors and the continuum.
    beam_energy_keV : float
        Of the electrons, where the file does not say it or says it wrong.
    false_alarm_rate : float
        Accepted probability that an element is said to be there that is not.

    Returns
    -------
    Result
        Tables ``composition`` and ``profile``; layers with the elements' maps (signed estimates of
        counts, and atomic per cent in squares as small as the counts allow), each with its 1 sigma,
        and what was recorded in windows about their lines;
        in its details ``spectrum`` (sum and fit) and ``lines``.

    Raises
    ------
    ImageError
        If the image has no energy axis or holds no counts.
    CalibrationError
        If the energy axis has no unit or cannot be one of X-rays.
    ParameterError
        If a parameter is out of range or does not fit the image, or a HAADF image is of another
        field.

    Notes
    -----
    Maps are unconstrained: where an element is not, they scatter about zero.  Errors in the tables
    are by counting; what k-factors, ratios of lines and the detector leave open is apart, and
    common to all regions.

    References
    ----------
    Cliff & Lorimer, J. Microsc. 103 (1975) 203.  zeta-factors: Watanabe & Williams, J. Microsc. 221
    (2006) 89.  Likelihood of counts: Cash, Astrophys. J. 228 (1979) 939.
    """
    _check((*elements, *left_out), take_off_deg, false_alarm_rate, {
        "step_nm": step_nm, "line_width_nm": line_width_nm, "thickness_nm": thickness_nm,
        "density_g_cm3": density_g_cm3, "beam_energy_keV": beam_energy_keV,
        "electrons": electrons})
    elements, left_out = tuple(dict.fromkeys(elements)), tuple(dict.fromkeys(left_out))
    if elements:  # what is left out is measured too
        elements = tuple(dict.fromkeys(elements + left_out))
    spectra = as_spectra(image, align=frames == "aligned")
    if not 0 <= components < min(64, len(spectra.energy_keV)):
        raise ParameterError("components", f"must be a small number from 0, not {components}")
    beam = beam_energy_keV or image.acquisition.beam_energy_keV
    factors = _factors(k_factors, zeta_factors, beam, xrays.Detector(window))
    field = Field(image, spectra, chains, haadf, subtract=film == "subtracted")
    field.draw(regions, lines, line_width_nm)
    channels = _channels(spectra, beam)
    counts = field.total()[channels]
    if counts.sum() < _FEWEST_COUNTS:
        reason = f"not measurable: {counts.sum():.0f} counts above {SOFTEST_KEV:g} keV"
        return _empty(reason, field.grid.unit)
    setting = Setting(spectra.energy_keV[channels], beam or _USUAL_BEAM_KEV, xrays.Detector(window),
                      Response(), lambda families: ties_of(families, factors))
    total = quantified(setting, counts, elements, factors, false_alarm_rate)
    specimen = None if thickness_nm is None or density_g_cm3 is None else Specimen(
        thickness_nm, density_g_cm3, take_off_deg)
    rules = Rules(total, left_out, false_alarm_rate, specimen)
    shapes, whole = Shapes(total.fit), rules.whole()
    found = [whole, *field.regions(rules, shapes, channels)]
    profile = field.profiles(rules, shapes, channels, step_nm)
    mapped = [i for i in total.chosen if i >= 0]
    maps = shapes.maps(spectra, channels, mapped, components, decomposition) \
        if min(spectra.shape) > 1 and mapped else None
    unit = field.grid.unit
    said: dict[str, Any] = {"beam_energy_keV": "not known" if beam is None else beam, "unit": unit}
    if chains is not None:
        said |= {"chains": chains.outcome, "film": field.film, **gaps_against_dots(found, total)}
    elif field.subtract:
        said["film"] = field.film
    if spectra.drift is not None:
        said["drift"] = f"up to {spectra.drift:.0f} px, taken off by whole pixels"
    if components and maps is not None:
        said["maps"] = f"smoothed: rebuilt of {components} {_COMPONENTS[decomposition]} components"
    if zeta_factors is not None and electrons is not None:
        said["mass_thickness"] = rules.mass_thickness(whole, electrons)
    return Result(
        "eds", {"composition": TABLES["composition"].frame(composition_rows(found, total)),
                "profile": TABLES["profile"].frame(profile, unit)},
        summary(total, whole, float(counts.sum()), said),
        layers(total, whole, maps, field.maps, (field.grid.pixel, unit)),
        details=details(total, setting.energy_keV, counts))


def _check(
    elements: tuple[str, ...], take_off: float, rate: float, positive: dict[str, float | None]
) -> None:
    for element in elements:
        xrays.lines(element)
    for name, value in positive.items():
        if value is not None and not 0 < value < np.inf:
            raise ParameterError(name, f"must be positive and finite, not {value}")
    if (positive["thickness_nm"] is None) != (positive["density_g_cm3"] is None):
        raise ParameterError("thickness_nm, density_g_cm3", "are only of use together", "give both")
    if not 0 < take_off <= 90:
        raise ParameterError("take_off_deg", f"must lie in 0 ... 90, not {take_off}")
    if not 0 < rate < 1:
        raise ParameterError("false_alarm_rate", f"must lie in 0 ... 1, not {rate}")


def _factors(
    k_factors: Mapping[str, float] | None, zeta_factors: Mapping[str, float] | None,
    beam: float | None, detector: xrays.Detector,
) -> KFactors:
    """Factors by which counts become weights: zeta-factors are k-factors on an absolute scale."""
    if k_factors is not None and zeta_factors is not None:
        raise ParameterError("k_factors, zeta_factors", "exclude each other", "give one of them")
    if zeta_factors is None:
        return KFactors(k_factors or {}, beam, detector)
    return KFactors(zeta_factors, beam, detector, "zeta_factors")


def _channels(spectra: Spectra, beam: float | None) -> slice:
    """Channels that hold X-rays of lines: above the noise, not above the beam's energy."""
    energy = spectra.energy_keV
    first = int(np.searchsorted(energy, SOFTEST_KEV))
    end = len(energy) if beam is None else int(np.searchsorted(energy, beam))
    if end - first < 16:
        raise ParameterError("beam_energy_keV", f"{beam} leaves {max(end - first, 0)} channels",
                             "check the energy axis and the beam's energy")
    return slice(first, end)


def _empty(reason: str, unit: str) -> Result:
    tables = {name: table.frame((), unit) for name, table in TABLES.items()}
    return Result("eds", tables, {"outcome": reason, "unit": unit})
