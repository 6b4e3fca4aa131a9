"""Composition of a spectrum image: element maps, regions, profiles along chains and lines."""

from __future__ import annotations

# The command line reads the annotations.
from collections.abc import Mapping, Sequence  # noqa: TC003
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray  # noqa: TC002

from emtools import xrays
from emtools.errors import ParameterError
from emtools.measure._discovery import measurement
from emtools.measure.eds.areas import Shapes
from emtools.measure.eds.families import SOFTEST_KEV, Response
from emtools.measure.eds.identify import Setting
from emtools.measure.eds.places import (
    FILM,
    Regions,
    Strips,
    combined,
    courses_of_chains,
    courses_of_lines,
    labelled,
    regions_of_chains,
)
from emtools.measure.eds.quantify import KFactors, Specimen
from emtools.measure.eds.report import details, layers, summary
from emtools.measure.eds.rows import (
    Rules,
    composition_rows,
    gaps_against_dots,
    profile_rows,
    quantified_regions,
)
from emtools.measure.eds.tables import TABLES
from emtools.measure.eds.total import quantified, ties_of
from emtools.model import Image, Result
from emtools.process.spectra import Spectra, as_spectra
from emtools.units import PIXEL

if TYPE_CHECKING:
    from emtools.measure.eds.places import Steps
    from emtools.measure.eds.rows import Quantified
    from emtools.measure.eds.total import Total

    Floats = NDArray[np.float64]

MODALITIES = ("EDS",)
_USUAL_BEAM_KEV = 200.0  # for the shape of the continuum where the file says nothing
_FEWEST_COUNTS = 20.0
_COUNTS_IN_A_STEP = 60.0  # of reported lines: steps of profiles are as long as that takes


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
    regions: NDArray[np.integer[Any]] | None = None,
    lines: (Sequence[NDArray[np.floating[Any]]]
            | Mapping[int, NDArray[np.floating[Any]]] | None) = None,
    line_width_nm: float | None = None,
    step_nm: float | None = None,
    film: Literal["kept", "subtracted"] = "kept",
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
        counts, and atomic per cent in squares as small as the counts allow), each with its 1 sigma;
        in its details ``spectrum`` (sum and fit) and ``lines``.

    Raises
    ------
    ImageError
        If the image has no energy axis or holds no counts.
    CalibrationError
        If the energy axis has no unit or cannot be one of X-rays.
    ParameterError
        If a parameter is out of range or does not fit the image.

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
    _check(elements + left_out, take_off_deg, false_alarm_rate, {
        "step_nm": step_nm, "line_width_nm": line_width_nm, "thickness_nm": thickness_nm,
        "density_g_cm3": density_g_cm3, "beam_energy_keV": beam_energy_keV,
        "electrons": electrons})
    spectra = as_spectra(image)
    beam = beam_energy_keV or image.acquisition.beam_energy_keV
    factors = _factors(k_factors, zeta_factors, beam, xrays.Detector(window))
    where = _Where.of(image, spectra, regions, chains, lines, line_width_nm)
    channels = _channels(spectra, beam)
    sums, sizes = where.sums(spectra)
    counts = sums.sum(axis=0)[channels]
    if counts.sum() < _FEWEST_COUNTS:
        reason = f"not measurable: {counts.sum():.0f} counts above {SOFTEST_KEV:g} keV"
        return _empty(reason, where)
    setting = Setting(spectra.energy_keV[channels], beam or _USUAL_BEAM_KEV, xrays.Detector(window),
                      Response(), lambda families: ties_of(families, factors))
    total = quantified(setting, counts, elements, factors, false_alarm_rate)
    specimen = None if thickness_nm is None or density_g_cm3 is None else Specimen(
        thickness_nm, density_g_cm3, take_off_deg)
    rules = Rules(total, left_out, false_alarm_rate, specimen)
    shapes, whole = Shapes(total.fit), rules.whole()
    found = [whole, *where.regions_of(rules, shapes, sums[:, channels], sizes,
                                      subtract=film == "subtracted")]
    profile = where.profiles(rules, shapes, spectra, channels, step_nm,
                             subtract=film == "subtracted")
    mapped = [i for i in total.chosen if i >= 0]
    maps = shapes.maps(spectra, channels, mapped) if min(spectra.shape) > 1 and mapped else None
    said = _said(beam, chains, gaps_against_dots(found, total), where.unit)
    if zeta_factors is not None and electrons is not None:
        said["mass_thickness"] = rules.mass_thickness(whole, electrons)
    return Result(
        "eds", {"composition": TABLES["composition"].frame(composition_rows(found, total)),
                "profile": TABLES["profile"].frame(profile, where.unit)},
        summary(total, whole, float(counts.sum()), said),
        layers(total, whole, maps, where.maps, (where.pixel, where.unit)),
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


class _Where(NamedTuple):
    """Regions and lines of an image."""

    maps: list[Regions]
    strips: Strips
    pixel: tuple[float, float]
    unit: str
    shape: tuple[int, int]

    @classmethod
    def of(
        cls, image: Image, spectra: Spectra, regions: NDArray[np.integer[Any]] | None,
        chains: Result | None, lines: Any, width: float | None,
    ) -> _Where:
        pixel, unit = _pixel(image)
        courses = [] if chains is None else courses_of_chains(chains, pixel, unit)
        if lines is not None:
            last = max((course.number for course in courses), default=0)
            courses += courses_of_lines(lines, width, pixel, last)
        strips = Strips(courses, spectra.shape)
        maps = [] if regions is None else [labelled(regions, spectra.shape)]
        if chains is not None:
            maps += regions_of_chains(strips, chains, pixel, unit)
        return cls(maps, strips, pixel, unit, spectra.shape)

    def sums(self, spectra: Spectra) -> tuple[Floats, NDArray[np.int64]]:
        """Summed spectra of all combinations of regions, and their sizes."""
        labels, _ = self._combined()
        n = int(labels.max(initial=0))
        sizes = np.bincount(labels.ravel(), minlength=n + 1)
        return spectra.sums(labels, n), sizes

    def _combined(self) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
        if not self.maps:
            return np.zeros(self.shape, dtype=np.int64), []
        return combined([one.labels for one in self.maps])

    def regions_of(
        self, rules: Rules, shapes: Shapes, sums: Floats, sizes: NDArray[np.int64], *,
        subtract: bool,
    ) -> list[Quantified]:
        """Compositions of all regions."""
        _, kinds = self._combined()
        spectra, pixels = [], []
        for one, labels in zip(self.maps, kinds, strict=True):
            n = len(one.names)
            members = (labels == np.arange(n + 1)[:, None]).astype(float)
            spectra.append(members @ sums)
            pixels.append((members @ sizes).astype(np.int64))
        return quantified_regions(rules, shapes, self.maps, spectra, pixels,
                                  subtract_film=subtract)

    def profiles(
        self, rules: Rules, shapes: Shapes, spectra: Spectra, channels: slice,
        step: float | None, *, subtract: bool,
    ) -> list[dict[str, Any]]:
        """Rows of the profiles along chains and drawn lines."""
        if not self.strips.courses:
            return []
        mean = float(np.sqrt(self.pixel[0] * self.pixel[1]))
        steps = self._steps(rules.total, spectra, None if step is None else step / mean)
        film = next((one.labels for one in self.maps if one.names == [FILM]), None)
        labels, n = steps.labels, len(steps.rows)
        if subtract and film is not None:
            labels, n = np.where(film > 0, n + 1, labels), n + 1
        sums = spectra.sums(labels, n)[:, channels]
        sizes = np.bincount(labels.ravel(), minlength=n + 1)
        beside = (shapes.fit(sums[n]), int(sizes[n])) if n > len(steps.rows) else None
        return profile_rows(rules, shapes, steps, sums, sizes, mean, beside)

    def _steps(self, total: Total, spectra: Spectra, length: float | None) -> Steps:
        """Steps of profiles: by default as long as some counts of the reported lines take."""
        if length is None:
            # Of the whole image: chains are no poorer than that.
            own = [i for i in total.chosen if i >= 0]
            density = max(float(total.fit.counts[own].sum()), 1.0) / spectra.counts[..., 0].size
            width = float(np.median([course.width for course in self.strips.courses]))
            length = max(1.0, _COUNTS_IN_A_STEP / (density * max(width, 1.0)))
            length = min(length, 0.25 * max(float(c.s[-1] - c.s[0]) for c in self.strips.courses))
        return self.strips.steps(max(length, 1.0))


def _pixel(image: Image) -> tuple[tuple[float, float], str]:
    if image.has_axis("y") and image.has_axis("x"):
        y, x = image.plane_axes
        if y.unit == x.unit and y.unit != PIXEL:
            return (y.pixel_size, x.pixel_size), y.unit
    return (1.0, 1.0), PIXEL


def _said(
    beam: float | None, chains: Result | None, gaps: dict[str, Any], unit: str
) -> dict[str, Any]:
    said: dict[str, Any] = {"beam_energy_keV": "not known" if beam is None else beam, "unit": unit}
    if chains is not None:
        said["chains"] = chains.outcome
    return said | gaps


def _empty(reason: str, where: _Where) -> Result:
    tables = {name: table.frame((), where.unit) for name, table in TABLES.items()}
    return Result("eds", tables, {"outcome": reason, "unit": where.unit})
