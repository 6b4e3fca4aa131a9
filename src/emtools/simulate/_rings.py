"""Diffraction patterns of many small crystals, with all that spoils them."""

from __future__ import annotations

import math
from collections.abc import Mapping  # noqa: TC003 - the command line reads the annotations
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.crystal import Phase, hkl_text
from emtools.crystal import phase as phase_of
from emtools.errors import ParameterError
from emtools.model import Acquisition, Source
from emtools.model.image import plane_image
from emtools.simulate._detector import Detector, checked, generator
from emtools.simulate._truth import PATTERNS, POWDERS, RINGS
from emtools.units import FWHM_PER_SIGMA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.simulate._truth import Simulated

    Floats = NDArray[np.float64]

SCHERRER = 0.9
_CARBON = ((4.8, 1.0), (8.4, 0.45))  # 1/nm: broad maxima of amorphous carbon, relative heights
_HALO_FWHM_PER_NM = 1.4
_REACH = 12.0  # widths to which a ring is drawn: the tails of a Lorentzian are long
_FINE = 7200  # azimuths at which the brightness along a ring is drawn


@dataclass(frozen=True)
class _Ring:
    """One family of planes of one phase."""

    phase: Phase
    hkl: tuple[int, int, int]
    k: float
    fwhm: float
    height: float
    size: float


def rings(
    phases: str | Phase | Mapping[str, float] = "Au",
    *,
    shape: tuple[int, int] = (512, 512),
    pixel_size_per_nm: float = 0.03,
    centre_px: tuple[float, float] | None = None,
    ellipticity: float = 0.0,
    ellipse_deg: float = 30.0,
    crystallite_nm: float = 6.0,
    instrument_fwhm_per_nm: float = 0.05,
    lorentzian: float = 0.3,
    crystals_per_ring: float | None = None,
    texture: float = 0.0,
    texture_deg: float = 60.0,
    background: float = 1.0,
    halo: float = 0.0,
    stop_px: float = 0.0,
    stop_deg: float = 100.0,
    counts: float | None = 100.0,
    read_noise: float = 0.0,
    saturation: float | None = None,
    n_dead: int = 0,
    n_hot: int = 0,
    beam_energy_keV: float | None = None,
    camera_length_mm: float | None = None,
    stated_pixel_size_per_nm: float | None = None,
    rng: int | np.random.Generator | None = 0,
) -> Simulated:
    """Simulate the diffraction pattern of many small crystals.

    Kinematic ring intensities of randomly oriented crystals, with widths by Scherrer's equation,
    on the tail of the central beam.

    Parameters
    ----------
    phases
        A phase, or names of phases with their parts of the volume.
    shape
        Rows and columns.
    pixel_size_per_nm
        True size of the pixels.
    centre_px
        Where the central beam is ``(y, x)``; the middle of the frame if None.
    ellipticity
        Long minus short axis of the rings' ellipses, over their mean.
    ellipse_deg
        Direction of the long axis, counter-clockwise from +x.
    crystallite_nm
        Size D: the rings' own width is 0.9 / D.
    instrument_fwhm_per_nm
        Width that the instrument adds, in quadrature.
    lorentzian
        Part of the pseudo-Voigt profile that is Lorentzian.
    crystals_per_ring
        Mean number of spots in each ring; None: continuous rings.
    texture
        0: none; 1: the rings vanish at right angles to `texture_deg`.
    texture_deg
        Direction in which textured rings are brightest.
    background
        Brightness beside the innermost ring, relative to the strongest ring.
    halo
        Brightness of the maxima of amorphous carbon, relative to the strongest ring.  With phases
        of no volume (``{}``) they are all there is.
    stop_px
        Width of a beam stop from the centre to the border; 0 for none.
    stop_deg
        Direction of the beam stop from the centre.
    counts
        Mean counts at the top of the strongest ring; None: the ideal image.
    read_noise
        1 sigma in counts.
    saturation
        Counts above which the detector shows no more.
    n_dead, n_hot
        Numbers of pixels that show nothing, or far too much.
    beam_energy_keV, camera_length_mm
        What the image says about them.
    stated_pixel_size_per_nm
        What the image claims its pixel size to be; None for the truth.
    rng
        Seed or generator (SPEC 7).

    Returns
    -------
    Image
        float32, in counts, calibrated in 1/nm.
    dict of DataFrame
        ``rings`` (all of the phases within the frame), ``powders`` (the phases) and ``pattern``
        (centre and ellipse).

    References
    ----------
    Vainshtein, Structure Analysis by Electron Diffraction (Pergamon, 1964): the azimuthal mean of a
    ring is in proportion to ``m |F|^2 d^2``.

    Examples
    --------
    >>> image, truth = rings("Au", shape=(128, 128), pixel_size_per_nm=0.12)
    >>> truth["rings"].d_spacing_nm.round(4).tolist()[:2]
    [0.2354, 0.2039]
    """
    random = generator(rng)
    pixel = checked("pixel_size_per_nm", pixel_size_per_nm, strict=True)
    middle = ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
    centre = centre_px or middle
    k, azimuth = _polar(shape, centre, pixel, ellipticity, ellipse_deg)
    fractions = _fractions(phases)
    width = math.hypot(SCHERRER / checked("crystallite_nm", crystallite_nm, strict=True),
                       checked("instrument_fwhm_per_nm", instrument_fwhm_per_nm))
    found = _rings(fractions, float(k.max()), width, crystallite_nm)
    ideal = _ground(k, background, found[0].k if found else 3.0)
    ideal += halo * sum(height * np.exp(-0.5 * ((k - at) * FWHM_PER_SIGMA / _HALO_FWHM_PER_NM) ** 2)
                        for at, height in _CARBON)
    drawn = math.hypot(width, pixel * math.sqrt(1 / 12) * FWHM_PER_SIGMA)  # by square pixels
    for ring in found:
        _draw(ideal, ring, drawn, k, azimuth, lorentzian,
              _along(ring, crystals_per_ring, texture, texture_deg, random))
    if stop_px:
        ideal *= _stop(shape, centre, stop_px, stop_deg)
    pixels = Detector(counts, read_noise).expose(ideal, random)
    _spoil(pixels, saturation, n_dead, n_hot, random)
    seen = Acquisition(modality="SAED", beam_energy_keV=beam_energy_keV,
                       camera_length_mm=camera_length_mm)
    image = plane_image(pixels, acquisition=seen, source=Source(signal="simulated rings"))
    pattern = {"centre_y_px": centre[0], "centre_x_px": centre[1], "ellipticity": ellipticity,
               "ellipse_deg": ellipse_deg % 180.0}
    return image.calibrated(stated_pixel_size_per_nm or pixel, "1/nm"), {
        "rings": RINGS.frame(_rows(found)),
        "powders": POWDERS.frame([{"phase": one.name, "volume_percent": 100.0 * part}
                                  for one, part in fractions]),
        "pattern": PATTERNS.frame([pattern]),
    }


def _polar(
    shape: tuple[int, int], centre: tuple[float, float], pixel: float, ellipticity: float,
    ellipse_deg: float,
) -> tuple[Floats, Floats]:
    """True wave number and azimuth (counter-clockwise from +x) of each pixel."""
    if not 0 <= ellipticity < 1:
        raise ParameterError("ellipticity", f"must lie in 0 ... 1, not {ellipticity}")
    up = centre[0] - np.arange(shape[0], dtype=float)[:, None]
    right = np.arange(shape[1], dtype=float)[None, :] - centre[1]
    turn = math.radians(ellipse_deg)
    along = (right * math.cos(turn) + up * math.sin(turn)) / (1 + ellipticity / 2)
    across = (up * math.cos(turn) - right * math.sin(turn)) / (1 - ellipticity / 2)
    return pixel * np.hypot(along, across), np.arctan2(up, right)


def _fractions(phases: str | Phase | Mapping[str, float]) -> list[tuple[Phase, float]]:
    if isinstance(phases, (str, Phase)):
        return [(phase_of(phases), 1.0)]
    total = sum(phases.values())
    return [(phase_of(name), part / total) for name, part in phases.items()]


def _rings(
    fractions: list[tuple[Phase, float]], k_max: float, width: float, size: float
) -> list[_Ring]:
    """All rings, the strongest of height 1."""
    found = []
    for phase, part in fractions:
        families, intensity = phase.powder_rings(k_max)
        found += [_Ring(phase, family.hkl, 1 / family.d_nm, width, part * one, size)
                  for family, one in zip(families, intensity.tolist(), strict=True)]
    top = max((ring.height for ring in found), default=1.0)
    return sorted((replace(ring, height=ring.height / top) for ring in found),
                  key=lambda ring: ring.k)


def _ground(k: Floats, background: float, first: float) -> Floats:
    """The tail of the central beam: steep near the beam, `background` at the first ring."""
    def tail(at: Any) -> Any:
        return np.exp(-at / 2.5) + 20.0 * np.exp(-at / 0.4) + 0.05

    return np.asarray(background * tail(k) / tail(first))


def _along(
    ring: _Ring, crystals: float | None, texture: float, texture_deg: float,
    random: np.random.Generator,
) -> Floats:
    """Brightness along a ring, its mean 1 but for chance, at `_FINE` azimuths from 0."""
    turn = 2.0 * np.pi * np.arange(_FINE) / _FINE
    spread = (1.0 - texture) + texture * np.cos(turn - math.radians(texture_deg)) ** 8 / 0.2734
    if crystals is None:
        return np.asarray(spread)
    # A crystal shows by how far it is off the Bragg condition.
    shown = np.zeros(_FINE)
    places = random.integers(0, _FINE, random.poisson(crystals))
    np.add.at(shown, places, random.exponential(1.0, len(places)) * spread[places])
    sigma = max(ring.fwhm / ring.k / FWHM_PER_SIGMA * _FINE / (2 * np.pi), 1.0)
    wave = np.fft.rfftfreq(_FINE)
    blurred = np.fft.irfft(np.fft.rfft(shown) * np.exp(-2 * (np.pi * wave * sigma) ** 2), _FINE)
    return np.asarray(np.maximum(blurred, 0.0) * _FINE / crystals)


def _draw(
    ideal: Floats, ring: _Ring, fwhm: float, k: Floats, azimuth: Floats, lorentzian: float,
    along: Floats,
) -> None:
    near = np.abs(k - ring.k) < _REACH * fwhm
    off = 2.0 * (k[near] - ring.k) / fwhm
    shape = lorentzian / (1.0 + off**2) + (1.0 - lorentzian) * np.exp(-math.log(2) * off**2)
    place = (azimuth[near] % (2.0 * np.pi)) * (_FINE / (2.0 * np.pi))
    bright = np.interp(place, np.arange(_FINE + 1), np.append(along, along[0]))
    ideal[near] += ring.height * shape * bright


def _stop(
    shape: tuple[int, int], centre: tuple[float, float], width: float, direction_deg: float
) -> Floats:
    """What a needle with a round tip lets through."""
    up = centre[0] - np.arange(shape[0], dtype=float)[:, None]
    right = np.arange(shape[1], dtype=float)[None, :] - centre[1]
    turn = math.radians(direction_deg)
    along = np.maximum(right * math.cos(turn) + up * math.sin(turn), 0.0)
    from_axis = np.hypot(up - along * math.sin(turn), right - along * math.cos(turn))
    # Half-shadow of one pixel: the stop lies above the detector.
    return np.asarray(0.02 + 0.98 / (1.0 + np.exp(-2.0 * (from_axis - width / 2))))


def _spoil(
    pixels: NDArray[np.float32], saturation: float | None, n_dead: int, n_hot: int,
    random: np.random.Generator,
) -> None:
    places = random.choice(pixels.size, n_dead + n_hot, replace=False)
    top = float(pixels.max())
    pixels.flat[places[:n_dead]] = 0.0
    pixels.flat[places[n_dead:]] = random.uniform(0.5, 3.0, n_hot) * top
    if saturation is not None:
        np.minimum(pixels, checked("saturation", saturation, strict=True), out=pixels)


def _rows(found: list[_Ring]) -> list[dict[str, Any]]:
    return [{"ring": number, "d_spacing_nm": 1 / ring.k, "k_per_nm": ring.k,
             "fwhm_per_nm": ring.fwhm, "intensity": ring.height, "crystallite_nm": ring.size,
             "phase": ring.phase.name, "hkl": hkl_text(ring.hkl)}
            for number, ring in enumerate(found, start=1)]
