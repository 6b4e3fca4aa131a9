"""EDX spectrum images of a chain of dots, with the HAADF image of the same scan."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools import xrays
from emtools.crystal.scattering import HAADF_EXPONENT
from emtools.errors import ParameterError
from emtools.model import Acquisition, Axis, Image, Source
from emtools.model.image import plane_image
from emtools.simulate._bodies import bodies_of, draw_bodies
from emtools.simulate._chain_truth import Truth
from emtools.simulate._detector import (
    FWHM_PER_SIGMA,
    Detector,
    blurred,
    checked,
    generator,
    texture,
)
from emtools.simulate._truth import COMPOSITION
from emtools.simulate._walk import Layout, Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from emtools.simulate._truth import SimulatedPair

    Floats = NDArray[np.float64]

BEAM_KEV = 200.0
# Weight-fraction k-factors that the simulation uses where none are given: numbers of the usual
# size at 200 kV with Si Ka = 1.  They define the simulated truth; they are no reference values.
K_FACTORS: Mapping[str, float] = {
    "C_Ka": 2.8, "N_Ka": 3.5, "O_Ka": 1.95, "Al_Ka": 1.05, "Si_Ka": 1.0, "S_Ka": 1.02,
    "Cl_Ka": 1.05, "Ti_Ka": 1.2, "Fe_Ka": 1.35, "Ni_Ka": 1.5, "Ni_La": 1.45, "Cu_Ka": 1.6,
    "Cu_La": 1.4, "Zn_Ka": 1.7, "Zn_La": 1.35, "Ga_Ka": 1.85, "As_Ka": 2.05, "Se_Ka": 2.2,
    "Se_La": 1.6, "Mo_La": 1.9, "Ag_La": 2.3, "Cd_La": 2.4, "In_La": 2.5, "Te_La": 2.7,
    "Pt_La": 4.1, "Pt_Ma": 2.2, "Au_La": 4.2, "Au_Ma": 2.25, "Pb_La": 4.7, "Pb_Ma": 2.4,
}
FILM = {"C": 0.97, "O": 0.03}


@dataclass(frozen=True)
class _Spectrometer:
    """Energy axis, resolution and k-factors."""

    channels: int
    channel_keV: float
    mn_ka_fwhm_eV: float
    k_factors: Mapping[str, float] = field(default_factory=dict)

    @property
    def energies(self) -> Floats:
        return np.asarray(self.channel_keV * np.arange(self.channels), dtype=np.float64)

    def peak(self, energy_keV: float) -> Floats:
        """Spectrum of one line of area 1: a Gaussian integrated over each channel."""
        from scipy.special import erf

        fwhm = xrays.detector_fwhm_keV(energy_keV, self.mn_ka_fwhm_eV)
        edges = self.channel_keV * (np.arange(self.channels + 1) - 0.5)
        scaled = (edges - energy_keV) * FWHM_PER_SIGMA / (fwhm * math.sqrt(2.0))
        return np.asarray(0.5 * np.diff(erf(scaled)))

    def bremsstrahlung(self) -> Floats:
        """Kramers' law behind a window that absorbs soft X-rays, of area 1."""
        energies = np.maximum(self.energies, self.channel_keV)
        spectrum = (BEAM_KEV - energies) / energies * np.exp(-((0.45 / energies) ** 3))
        return np.asarray(spectrum / spectrum.sum())

    def alphas(self, fractions: Mapping[str, float]) -> dict[tuple[str, str], float]:
        """Intensity of the alpha line of each shell of each element, of unknown common scale.

        Cliff & Lorimer: w_A / w_B = k_A I_A / (k_B I_B), so I is weight fraction over k.
        """
        grams = {e: x * xrays.atomic_weight(e) for e, x in fractions.items()}
        found = {}
        for element, weight in grams.items():
            names = [name for name in ("Ka", "La", "Ma") if f"{element}_{name}" in self.k_factors]
            if not names:
                raise ParameterError(f"k_factors[{element}]", "is missing",
                                     f"give one, such as {{'{element}_Ka': 1.5}}")
            for name in names:
                if xrays.line(element, name).energy_keV < self.energies[-1]:
                    found[element, name] = weight / self.k_factors[f"{element}_{name}"]
        return found

    def spectrum(self, alphas: Mapping[tuple[str, str], float]) -> Floats:
        """All lines of the shells whose alpha lines are given."""
        total = np.zeros(self.channels)
        for (element, name), intensity in alphas.items():
            for line in xrays.family(element, name[0]):
                total += intensity * line.weight * self.peak(line.energy_keV)
        return total


def spectrum_image(
    composition: str | dict[str, float] = "PbS",
    *,
    shape: tuple[int, int] = (48, 48),
    pixel_size_nm: float = 0.8,
    channels: int = 1024,
    channel_keV: float = 0.02,
    n_dots: int = 6,
    diameter_nm: float = 4.5,
    gap_nm: float = 1.0,
    blur_nm: float = 0.5,
    counts: float = 40.0,
    film_counts: float = 4.0,
    bremsstrahlung: float = 0.25,
    grid: str = "Cu",
    grid_counts: float = 0.5,
    mn_ka_fwhm_eV: float = 130.0,
    k_factors: dict[str, float] | None = None,
    haadf_counts: float | None = 200.0,
    rng: int | np.random.Generator | None = 0,
) -> SimulatedPair:
    """Simulate an EDX spectrum image of a chain of dots, and its HAADF image.

    Thin-film physics: every line is proportional to thickness and to weight fraction over
    k-factor; inside a shell the weights are eXSpy's.  Each channel of each pixel is Poisson
    distributed.

    Parameters
    ----------
    composition
        Formula of the dots (``PbS``, ``CuInS2``, ``Pb1S1.2``) or atomic fractions by element.
    shape
        Rows and columns of the scan.
    pixel_size_nm
        Step of the scan.
    channels, channel_keV
        Energy axis; channel 0 is centred at 0 keV.
    n_dots, diameter_nm, gap_nm
        The chain.
    blur_nm
        FWHM of the probe.
    counts
        Mean counts of all particle lines in a pixel where the particles are `diameter_nm` thick.
    film_counts
        Mean counts of C and O lines of the film in a pixel.
    bremsstrahlung
        Counts of the continuum per count in lines.
    grid
        Element of the grid whose lines are everywhere; empty for none.
    grid_counts
        Mean counts of the grid's lines in a pixel.
    mn_ka_fwhm_eV
        Resolution of the detector at Mn Ka.
    k_factors
        Weight-fraction k-factors ``{"S_Ka": 1.02}`` in place of the simulation's own.
    haadf_counts
        Mean HAADF counts where particles are `diameter_nm` thick; None: ideal.
    rng
        Seed or generator (SPEC 7).

    Returns
    -------
    tuple of Image
        Spectrum image ``(y, x, energy)`` of uint16, and HAADF image of the same scan.
    dict of DataFrame
        ``composition`` (region ``all``, expected counts, extra column `k_factor`) and the chain
        tables.

    Examples
    --------
    >>> (spectra, haadf), truth = spectrum_image("PbS", shape=(16, 48), n_dots=3)
    >>> spectra.shape, haadf.shape
    ((16, 48, 1024), (16, 48))
    """
    random = generator(rng)
    pixel = checked("pixel_size_nm", pixel_size_nm, strict=True)
    device = _Spectrometer(channels, channel_keV, mn_ka_fwhm_eV,
                           {**K_FACTORS, **(k_factors or {})})
    layout = Layout(shape, pixel, border_cuts=False, rng=random)
    layout.place(Recipe(diameter_nm, 0.04 * diameter_nm, 1.0, gap_nm, 0.1 * gap_nm, 400.0, 0.0),
                 n_dots)
    bodies = bodies_of(layout.strands, "sphere", 0.0, random)
    chain = Truth.of(layout, bodies)
    thickness = blurred(draw_bodies([b for row in bodies for b in row], shape, pixel), blur_nm,
                        pixel) / diameter_nm
    atoms = _fractions(composition)
    parts = [_Part(atoms, counts * thickness, device)]
    parts += [_Part(what, np.full(shape, number), device)
              for what, number in ((FILM, film_counts), ({grid: 1.0}, grid_counts))
              if number > 0 and all(what)]
    expected = sum(part.expected(bremsstrahlung) for part in parts)
    data = random.poisson(expected).astype(np.uint16)
    mean_z = sum(x * xrays.atomic_number(e) ** HAADF_EXPONENT for e, x in atoms.items())
    ground = 6.0**HAADF_EXPONENT / mean_z * 8.0 * (1 + 0.05 * texture(shape, 1.0, pixel, random))
    haadf = Detector(haadf_counts).expose(ground + thickness, random)
    truth = {"composition": COMPOSITION.frame(_rows(parts, atoms, device)), **chain.tables()}
    return _images(data, haadf, pixel, channel_keV), truth


def _fractions(composition: str | Mapping[str, float]) -> dict[str, float]:
    """Atomic fractions of a formula, adding up to 1."""
    if isinstance(composition, str):
        parts = re.findall(r"([A-Z][a-z]?)(\d*\.?\d*)", composition)
        if "".join(symbol + number for symbol, number in parts) != composition or not parts:
            raise ParameterError("composition", f"{composition!r} is not a formula",
                                 "give one such as CuInS2")
        amounts: dict[str, float] = {}
        for symbol, number in parts:
            amounts[symbol] = amounts.get(symbol, 0.0) + float(number or 1)
    else:
        amounts = dict(composition)
    total = sum(amounts.values())
    if not total > 0 or min(amounts.values()) < 0:
        raise ParameterError("composition", "has no positive amounts", "give one such as CuInS2")
    return {element: amount / total for element, amount in amounts.items()}


class _Part:
    """Particles, film or grid: where they are and what they radiate."""

    def __init__(
        self, atoms: Mapping[str, float], where: Floats, device: _Spectrometer
    ) -> None:
        alphas = device.alphas(atoms)
        spectrum = device.spectrum(alphas)
        # `where` counts all lines together.
        self.alphas = {key: value / spectrum.sum() for key, value in alphas.items()}
        self.spectrum = spectrum / spectrum.sum()
        self.continuum = device.bremsstrahlung()
        self.where = where

    def expected(self, bremsstrahlung: float) -> Floats:
        """Mean counts ``(y, x, channel)``."""
        shape = self.spectrum + bremsstrahlung * self.continuum
        return np.asarray(self.where[..., None] * shape)


def _rows(
    parts: list[_Part], atoms: Mapping[str, float], device: _Spectrometer
) -> list[dict[str, Any]]:
    counts: dict[tuple[str, str], float] = {}
    for part in parts:
        for key, share in part.alphas.items():
            counts[key] = counts.get(key, 0.0) + share * float(part.where.sum())
    return [
        {"region": "all", "element": element, "line": name, "counts": number,
         "atomic_percent": 100.0 * atoms[element] if element in atoms else math.nan,
         "k_factor": device.k_factors[f"{element}_{name}"]}
        for (element, name), number in counts.items()
    ]


def _images(
    data: NDArray[np.uint16], haadf: NDArray[np.float32], pixel: float, channel_keV: float
) -> tuple[Image, Image]:
    picture = plane_image(
        haadf, pixel, acquisition=Acquisition(modality="HAADF", beam_energy_keV=BEAM_KEV),
        source=Source(signal="simulated HAADF", index=1),
    )
    energy = Axis("energy", data.shape[2], channel_keV, "keV", source="user")
    spectra = Image(
        data, (*picture.axes, energy), source=Source(signal="simulated EDS"),
        acquisition=Acquisition(modality="EDS", beam_energy_keV=BEAM_KEV), audit=picture.audit,
    )
    return spectra, picture
