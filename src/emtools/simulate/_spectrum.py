"""EDX: single spectra, and spectrum images of a chain of dots with the HAADF image of the scan."""

from __future__ import annotations

import math
import re
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
    Detector,
    blurred,
    checked,
    generator,
    texture,
)
from emtools.simulate._spectrometer import BEAM_KEV, Spectrometer
from emtools.simulate._truth import COMPOSITION
from emtools.simulate._walk import Layout, Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from emtools.simulate._truth import Simulated, SimulatedPair

    Floats = NDArray[np.float64]

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
_PBS_ON_FILM = {"Pb_Ma": 2600.0, "Pb_La": 1500.0, "S_Ka": 2000.0, "C_Ka": 3000.0, "Cu_Ka": 1500.0,
                "Cu_La": 1200.0}


def spectrum(
    counts: dict[str, float] | None = None,
    *,
    channels: int = 2048,
    channel_keV: float = 0.01,
    bremsstrahlung: float = 0.25,
    mn_ka_fwhm_eV: float = 130.0,
    shift_eV: float = 0.0,
    stretch: float = 0.0,
    shallow_nm: float = 0.0,
    lost: float = 0.2,
    doublets: bool = True,
    ratio_err: float = 0.0,
    soft_keV: float = 0.45,
    ideal: bool = False,
    rng: int | np.random.Generator | None = 0,
) -> Simulated:
    """Simulate one EDX spectrum of lines with given counts.

    Parameters
    ----------
    counts
        Of the alpha lines of shells, ``{"S_Ka": 2000.0}``; the other lines of a shell follow from
        the tables.  By default those of PbS on a carbon film and a copper grid.
    channels, channel_keV
        Energy axis; channel 0 is centred at 0 keV.
    bremsstrahlung
        Counts of the continuum per count in lines.
    mn_ka_fwhm_eV
        Resolution of the detector at Mn Ka.
    shift_eV, stretch
        A line of energy E is recorded at ``E (1 + stretch) + shift``.
    shallow_nm, lost
        Of the charge set free at depth z below the entrance the part ``lost exp(-z / shallow)`` is
        not collected, which gives peaks a tail.
    doublets
        Whether Ka1 and Ka2, La1 and La2 are two lines.
    ratio_err
        1 sigma by which ratios of lines inside a shell are off, relatively.
    soft_keV
        Below about that the window absorbs the continuum.
    ideal
        Expected counts instead of Poisson distributed ones.
    rng
        Seed or generator (SPEC 7).

    Returns
    -------
    Image
        Of one axis, energy.
    dict of DataFrame
        ``composition`` with the expected counts.

    Raises
    ------
    ParameterError
        If a line is not known.

    Examples
    --------
    >>> image, truth = spectrum({"S_Ka": 2000.0, "Pb_Ma": 2600.0})
    >>> image.shape
    (2048,)
    """
    random = generator(rng)
    device = Spectrometer(channels, checked("channel_keV", channel_keV, strict=True),
                          mn_ka_fwhm_eV, shift_eV, stretch, checked("shallow_nm", shallow_nm),
                          lost, doublets, soft_keV)
    alphas: dict[tuple[str, str], float] = {}
    for key, number in (counts or _PBS_ON_FILM).items():
        element, _, name = key.partition("_")
        if xrays.line(element, name).name[1:] != "a":
            raise ParameterError(f"counts[{key}]", "is no alpha line", "give Ka, La or Ma")
        alphas[element, name] = checked(f"counts[{key}]", number)
    lines = device.lines(alphas, ratio_err, random)
    expected = lines + bremsstrahlung * lines.sum() * device.bremsstrahlung()
    axis = Axis("energy", channels, channel_keV, "keV", source="user")
    image = Image(expected if ideal else random.poisson(expected), (axis,),
                  source=Source(signal="simulated EDS"),
                  acquisition=Acquisition(modality="EDS", beam_energy_keV=BEAM_KEV))
    rows = [{"region": "all", "element": element, "line": name, "counts": number}
            for (element, name), number in alphas.items()]
    return image, {"composition": COMPOSITION.frame(rows)}


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
    device = Spectrometer(channels, channel_keV, mn_ka_fwhm_eV)
    factors = {**K_FACTORS, **(k_factors or {})}
    layout = Layout(shape, pixel, border_cuts=False, rng=random)
    layout.place(Recipe(diameter_nm, 0.04 * diameter_nm, 1.0, gap_nm, 0.1 * gap_nm, 400.0, 0.0),
                 n_dots)
    bodies = bodies_of(layout.strands, "sphere", 0.0, random)
    chain = Truth.of(layout, bodies)
    thickness = blurred(draw_bodies([b for row in bodies for b in row], shape, pixel), blur_nm,
                        pixel) / diameter_nm
    atoms = _fractions(composition)
    parts = [_Part(atoms, counts * thickness, device, factors)]
    parts += [_Part(what, np.full(shape, number), device, factors)
              for what, number in ((FILM, film_counts), ({grid: 1.0}, grid_counts))
              if number > 0 and all(what)]
    expected = sum(part.expected(bremsstrahlung) for part in parts)
    data = random.poisson(expected).astype(np.uint16)
    mean_z = sum(x * xrays.atomic_number(e) ** HAADF_EXPONENT for e, x in atoms.items())
    ground = 6.0**HAADF_EXPONENT / mean_z * 8.0 * (1 + 0.05 * texture(shape, 1.0, pixel, random))
    haadf = Detector(haadf_counts).expose(ground + thickness, random)
    truth = {"composition": COMPOSITION.frame(_rows(parts, atoms, factors)), **chain.tables()}
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


def _alphas(
    fractions: Mapping[str, float], k_factors: Mapping[str, float], highest_keV: float
) -> dict[tuple[str, str], float]:
    """Intensity of the alpha line of each shell of each element, of unknown common scale.

    Cliff & Lorimer: w_A / w_B = k_A I_A / (k_B I_B), so I is weight fraction over k.
    """
    grams = {e: x * xrays.atomic_weight(e) for e, x in fractions.items()}
    found = {}
    for element, weight in grams.items():
        names = [name for name in ("Ka", "La", "Ma") if f"{element}_{name}" in k_factors]
        if not names:
            raise ParameterError(f"k_factors[{element}]", "is missing",
                                 f"give one, such as {{'{element}_Ka': 1.5}}")
        for name in names:
            if xrays.line(element, name).energy_keV < highest_keV:
                found[element, name] = weight / k_factors[f"{element}_{name}"]
    return found


class _Part:
    """Particles, film or grid: where they are and what they radiate."""

    def __init__(
        self, atoms: Mapping[str, float], where: Floats, device: Spectrometer,
        k_factors: Mapping[str, float],
    ) -> None:
        alphas = _alphas(atoms, k_factors, float(device.energies[-1]))
        spectrum = device.lines(alphas)
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
    parts: list[_Part], atoms: Mapping[str, float], k_factors: Mapping[str, float]
) -> list[dict[str, Any]]:
    counts: dict[tuple[str, str], float] = {}
    for part in parts:
        for key, share in part.alphas.items():
            counts[key] = counts.get(key, 0.0) + share * float(part.where.sum())
    return [
        {"region": "all", "element": element, "line": name, "counts": number,
         "atomic_percent": 100.0 * atoms[element] if element in atoms else math.nan,
         "k_factor": k_factors[f"{element}_{name}"]}
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
