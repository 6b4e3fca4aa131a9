"""Chains of dots, isolated dots and contamination, HAADF-like and TEM-like."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from emtools.crystal import Phase
from emtools.crystal import phase as phase_of
from emtools.errors import ParameterError
from emtools.model import Acquisition, Source
from emtools.model.image import plane_image
from emtools.simulate._banner import banner_rows, draw_banner
from emtools.simulate._bodies import Body, BodyShape, bodies_of, draw_bodies
from emtools.simulate._chain_truth import Truth
from emtools.simulate._detector import (
    Detector,
    blurred,
    checked,
    generator,
    row_shifts,
    scanned,
    texture,
    uneven_ground,
)
from emtools.simulate._dot_lattices import DotLattices
from emtools.simulate._helix import HelixRecipe, place_helix
from emtools.simulate._optics import Optics, amorphous_film, exit_wave_image
from emtools.simulate._walk import Layout, Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.model import Image
    from emtools.simulate._truth import Simulated

    Floats = NDArray[np.float64]

BEAM_KEV = 200.0


class Blob(NamedTuple):
    """One blob of contamination: a Gaussian of that position, 1 sigma and height."""

    y_nm: float
    x_nm: float
    radius_nm: float
    height_nm: float


def chains(
    *,
    shape: tuple[int, int] = (1024, 1024),
    pixel_size_nm: float = 0.5,
    n_chains: int = 6,
    n_dots: tuple[int, ...] = (15, 40),
    isolated_dots: int = 0,
    diameter_nm: float = 4.5,
    diameter_std_nm: float = 0.2,
    elongation: float = 1.0,
    dot_shape: BodyShape = "sphere",
    gap_nm: float = 1.0,
    gap_std_nm: float = 0.1,
    persistence_length_nm: float = 400.0,
    curvature_per_nm: float = 0.0,
    crossings: int = 0,
    border_cuts: bool = False,
    clearance_nm: float = 4.0,
    helices: int = 0,
    helix_pitch_nm: float = 60.0,
    helix_radius_nm: float = 4.0,
    helix_turns: float = 3.0,
    blobs: int = 0,
    lattice: str | Phase | None = None,
    zone_axis: tuple[int, int, int] = (0, 0, 1),
    lattice_tilt_deg: float = 5.0,
    lattice_orientation: Literal["attached", "chain", "random"] = "attached",
    modality: Literal["HAADF", "TEM"] = "HAADF",
    contrast: float | None = None,
    brightness_std: float = 0.05,
    blur_nm: float = 0.3,
    defocus_nm: float = 200.0,
    background: float = 0.3,
    background_gradient: float = 0.0,
    film: float = 0.05,
    counts: float | None = 100.0,
    read_noise: float = 0.0,
    line_noise: float = 0.0,
    scan_noise_nm: float = 0.0,
    banner: Literal["none", "masked", "unmasked"] = "none",
    rng: int | np.random.Generator | None = 0,
) -> Simulated:
    """Simulate an image of chains of dots.

    Bodies are drawn as projected thickness, averaged over each pixel, then blurred.  A chain is a
    two-dimensional worm-like chain of bodies; its axis is the line through their centres.  A double
    helix is two chains in space around a common axis in the plane, seen in projection: where one
    hides the other their thickness adds, and the gaps of the truth are those of the projection.

    Parameters
    ----------
    shape
        Rows and columns, the banner's rows included.
    pixel_size_nm
        Size of the pixels.
    n_chains
        Number of chains placed.
    n_dots
        Fewest and most dots of a chain; with as many numbers as `n_chains` (and not two), the dots
        of each.
    isolated_dots
        Dots without a chain.
    diameter_nm, diameter_std_nm
        Width of the dots, mean and 1 sigma.
    elongation
        Length (along the chain) over width.
    dot_shape
        ``sphere``, ``superellipsoid`` (exponent 4), ``cylinder`` (rods along the chain) or
        ``cube`` (blocks lying flat).
    gap_nm, gap_std_nm
        Gap edge to edge along the axis, mean and 1 sigma (never below 0).
    persistence_length_nm
        Of the worm-like chain; ``inf`` for straight chains.
    curvature_per_nm
        Mean curvature of the chains.
    crossings
        So many chains cross an earlier one, once each; the others keep clear.
    border_cuts
        Whether chains and dots may leave the frame.
    clearance_nm
        Least distance, edge to edge, of chains and isolated dots that do not cross, and of dots of
        one chain that are not neighbours.
    helices
        Double helices, placed beside the chains; their axes bend as chains do.
    helix_pitch_nm
        One full turn of a strand along the helix's axis (two crossings).
    helix_radius_nm
        From the helix's axis to the centres of the dots.
    helix_turns
        Full turns of each helix.
    blobs
        Blobs of contamination.
    lattice
        Phase whose lattice is drawn in each dot.
    zone_axis
        Zone axis of the dots' crystals.
    lattice_tilt_deg
        1 sigma of each dot's in-plane angle about the direction of `lattice_orientation`.
    lattice_orientation
        ``attached``: the first in-plane axis of `zone_axis` (<200> for cubic crystals along [001])
        lies along the chain.  ``chain``: at one random angle to it for all dots of a chain.
        ``random``: at a random angle for each dot.
    modality
        ``HAADF`` (bright on dark, brightness proportional to thickness) or ``TEM`` (dark on
        bright, absorption and phase, with Fresnel fringes).
    contrast
        HAADF: brightness of a body as thick as `diameter_nm` (1 by default).  TEM: part of the beam
        that it takes away (0.3 by default).
    brightness_std
        1 sigma of the dots' relative brightness (orientation contrast).
    blur_nm
        FWHM of the probe or the detector's spread.
    defocus_nm
        Underfocus positive (TEM, at 200 kV).
    background
        HAADF: brightness of the film.
    background_gradient
        Difference of ground across the frame, in units of an ideal image of 1.
    film
        RMS contrast of the film's texture.
    counts
        Mean counts in a pixel where the ideal image is 1, Poisson distributed.  None: the ideal
        image.
    read_noise
        1 sigma in counts.
    line_noise
        1 sigma of each row's own brightness, relative to an ideal image of 1.
    scan_noise_nm
        1 sigma of each scan row's jump along y and x.
    banner
        Burn a banner with scale bar into the lowest rows; ``masked``: the image's mask leaves it
        out.
    rng
        Seed or generator (SPEC 7).

    Returns
    -------
    Image
        float32, in counts.
    dict of DataFrame
        ``chains``, ``gaps``, ``dots``, ``axes``: what lies in the frame (above the banner).  With
        `lattice` also ``reflections``, ``grains`` (grain = dot) and ``angles``; with `helices` the
        chains have the columns ``helix``, ``helix_pitch_nm`` and ``helix_radius_nm``.

    Raises
    ------
    ParameterError
        If a value is impossible or the chains do not fit into the frame.

    Examples
    --------
    >>> image, truth = chains(n_chains=2, n_dots=(5, 5), shape=(256, 256))
    >>> truth["chains"].n_dots.tolist()
    [5, 5]
    """
    random = generator(rng)
    pixel = checked("pixel_size_nm", pixel_size_nm, strict=True)
    strip = 0 if banner == "none" else banner_rows(shape[0])
    layout = Layout((shape[0] - strip, shape[1]), pixel, border_cuts, random,
                    checked("clearance_nm", clearance_nm))
    recipe = Recipe(diameter_nm, diameter_std_nm, elongation, gap_nm, gap_std_nm,
                    persistence_length_nm, curvature_per_nm)
    _place(layout, recipe, _numbers(n_chains, n_dots, random), crossings, isolated_dots)
    for number in range(1, helices + 1):
        place_helix(layout, recipe, HelixRecipe(helix_pitch_nm, helix_radius_nm, helix_turns),
                    number)
    bodies = bodies_of(layout.strands, dot_shape, brightness_std, random)
    crystals = None
    if lattice is not None:
        crystals = DotLattices(phase_of(lattice), zone_axis, pixel, lattice_tilt_deg,
                               lattice_orientation)
        bodies = crystals.fill(layout.strands, bodies, random)
    truth = Truth.of(layout, bodies)
    view = _View(modality, contrast, diameter_nm, background, film, blur_nm, defocus_nm)
    thickness = _thickness(bodies, _blobs(blobs, layout, diameter_nm), shape, pixel)
    ideal = view.ideal(thickness, pixel, random)
    ideal = ideal + uneven_ground(shape, background_gradient, random)
    shifts = row_shifts(shape[0], scan_noise_nm, (0.0, 0.0), random) / pixel
    data = Detector(counts, read_noise, line_noise).expose(scanned(ideal, shifts), random)
    tables = truth.tables()
    if crystals is not None:
        tables |= crystals.tables(bodies, truth, view.lattice_gain(counts), blur_nm)
    mask = _burn(data, strip, pixel, f"{modality} 200 kV") if strip else None
    return view.image(data, pixel, mask if banner == "masked" else None), tables


def _numbers(
    n_chains: int, n_dots: tuple[int, ...], rng: np.random.Generator
) -> list[int]:
    """Dots of each chain."""
    if np.ndim(n_dots) != 1:
        raise ParameterError("n_dots", f"{n_dots!r} is not a range",
                             "give the fewest and the most, for example (15, 40)")
    if len(n_dots) == n_chains and len(n_dots) != 2:
        return [int(n) for n in n_dots]
    if len(n_dots) != 2 or not 1 <= n_dots[0] <= n_dots[1]:
        raise ParameterError("n_dots", f"{tuple(n_dots)} is not a range",
                             "give fewest and most dots, or one number per chain")
    return [int(n) for n in rng.integers(n_dots[0], n_dots[1] + 1, n_chains)]


def _place(
    layout: Layout, recipe: Recipe, numbers: list[int], crossings: int, isolated: int
) -> None:
    if crossings > max(0, len(numbers) - 1):
        raise ParameterError("crossings", f"{crossings} among {len(numbers)} chains",
                             "give fewer crossings or more chains")
    for index, n in enumerate(numbers):
        layout.place(recipe, n, crosses=1 <= index <= crossings)
    for _ in range(isolated):
        layout.place(recipe, 1)


def _thickness(
    bodies: list[list[Body]], blobs: list[Blob], shape: tuple[int, int], pixel_size_nm: float
) -> Floats:
    """Projected thickness in nm of all bodies and blobs."""
    total = draw_bodies([body for row in bodies for body in row], shape, pixel_size_nm)
    y, x = (pixel_size_nm * np.arange(n) for n in shape)
    for blob in blobs:
        across = np.exp(-0.5 * ((x - blob.x_nm) / blob.radius_nm) ** 2)
        down = np.exp(-0.5 * ((y[:, None] - blob.y_nm) / blob.radius_nm) ** 2)
        total += blob.height_nm * down * across
    return total


def _blobs(count: int, layout: Layout, diameter_nm: float) -> list[Blob]:
    """Contamination: soft round blobs, several dots wide."""
    random = layout.rng
    found: list[Blob] = []
    for _ in range(count):
        y, x = random.uniform(layout.low, layout.high).tolist()
        found.append(Blob(y, x, random.uniform(3, 8) * diameter_nm,
                          random.uniform(0.3, 0.8) * diameter_nm))
    return found


@dataclass(frozen=True)
class _View:
    """How thickness becomes the ideal image."""

    modality: str
    contrast: float | None
    diameter_nm: float
    background: float
    film: float
    blur_nm: float
    defocus_nm: float

    @property
    def strength(self) -> float:
        default = 0.3 if self.modality == "TEM" else 1.0
        return default if self.contrast is None else self.contrast

    def image(
        self, data: NDArray[np.float32], pixel_size_nm: float, mask: NDArray[np.bool_] | None
    ) -> Image:
        seen = Acquisition(modality=self.modality, beam_energy_keV=BEAM_KEV)
        return plane_image(data, pixel_size_nm, mask=mask, acquisition=seen,
                           source=Source(signal="simulated chains"))

    def lattice_gain(self, counts: float | None) -> float:
        """Image units per nm of thickness; NaN where the lens decides (TEM)."""
        gain = 1.0 if counts is None else counts
        return gain * self.strength / self.diameter_nm if self.modality == "HAADF" else math.nan

    def ideal(self, thickness: Floats, pixel_size_nm: float, rng: np.random.Generator) -> Floats:
        checked("blur_nm", self.blur_nm)
        if self.modality == "HAADF":
            film = texture(thickness.shape, 1.0, pixel_size_nm, rng)
            bodies = blurred(thickness, self.blur_nm, pixel_size_nm)
            ground = self.background * (1.0 + self.film * film)
            return np.asarray(ground + self.strength * bodies / self.diameter_nm)
        if self.modality != "TEM":
            raise ParameterError("modality", f"{self.modality!r} is not known", "give HAADF or TEM")
        if not 0 < self.strength < 1:
            raise ParameterError("contrast", f"{self.strength} is not between 0 and 1")
        optics = Optics(BEAM_KEV, self.defocus_nm)
        absorption = -math.log(1.0 - self.strength) / self.diameter_nm
        image = exit_wave_image(thickness, absorption, pixel_size_nm, optics)
        grains = amorphous_film(thickness.shape, pixel_size_nm, optics, rng)
        return blurred(image * (1.0 + self.film * grains), self.blur_nm, pixel_size_nm)


def _burn(
    data: NDArray[np.float32], strip: int, pixel_size_nm: float, note: str
) -> NDArray[np.bool_]:
    """Burn the banner into the lowest rows and return the mask that leaves it out."""
    top = data.shape[0] - strip
    low, high = float(data[:top].min()), float(data[:top].max())
    data[top:] = low + (high - low) * draw_banner(strip, data.shape[1], pixel_size_nm, note)
    mask = np.ones(data.shape, dtype=bool)
    mask[top:] = False
    return mask
