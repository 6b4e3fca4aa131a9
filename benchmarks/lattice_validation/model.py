"""Fringes under a known outline in known noise: their truth and their Cramer-Rao bound are exact.

Written apart from `emtools.simulate`, so that the two do not share their mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emtools.crystal import phase as find_phase
from emtools.model import Image
from emtools.model.image import plane_image

Floats = NDArray[np.float64]
PHASES = ("PbS", "CuInS2", "Au", "Si")
ZONES = ((0, 0, 1), (0, 1, 1), (1, 1, 1), (1, 1, 2))
SHAPES = ("disc", "ball", "frame")


@dataclass(frozen=True)
class Setting:
    """One simulated picture: a crystal of two waves.

    Parameters
    ----------
    snr
        ``sqrt(sum A(r)^2 / 2 / S)`` of each wave, S the density of the noise at its frequency.
    pixel_nm, domain_nm
        Pixel size; diameter of the crystal.
    outline
        ``disc``: the same amplitude inside; ``ball``: it follows the thickness of a ball;
        ``frame``: the crystal fills the (square) frame.
    coloured
        Whether the noise falls with frequency, else it is white.
    phase, zone, turn_deg
        Of the crystal.
    stretch
        Of the frame along x.
    step
        By how many standard deviations of the noise the crystal is brighter than the ground.  A
        sharp outline has a spectrum that reaches to the fringes: the bound knows nothing of it.
    """

    snr: float
    pixel_nm: float
    domain_nm: float
    outline: str = "disc"
    coloured: bool = False
    phase: str = "PbS"
    zone: tuple[int, int, int] = (0, 0, 1)
    turn_deg: float = 0.0
    stretch: float = 1.0
    step: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the frame."""
        across = self.domain_nm / self.pixel_nm
        side = across if self.outline == "frame" else max(1.6 * across, 224)
        side = int(2 * np.ceil(side / 2))
        return side, int(2 * np.ceil(self.stretch * side / 2))


@dataclass(frozen=True)
class Truth:
    """What is in a picture.

    Parameters
    ----------
    k_per_nm
        ``(n, 2)`` wave vectors ``(y, x)``.
    bound
        ``(n, 2, 2)`` Cramer-Rao bound on their covariance.
    extent_nm
        Diameter of the crystal.
    """

    k_per_nm: Floats
    bound: Floats
    extent_nm: float

    @property
    def d_nm(self) -> Floats:
        """Spacings."""
        return np.asarray(1 / np.hypot(*self.k_per_nm.T))

    @property
    def d_bound_nm(self) -> Floats:
        """Bound on the 1 sigma of the spacings."""
        along = self.k_per_nm * self.d_nm[:, None]
        var = np.einsum("ni,nij,nj->n", along, self.bound, along)
        return np.asarray(self.d_nm**2 * np.sqrt(var))


def waves(phase: str, zone: tuple[int, int, int], turn_deg: float, pixel_nm: float) -> Floats:
    """Two waves of a crystal that are not in a row: its longest spacings, ``(2, 2)`` in 1/nm."""
    found = find_phase(phase).in_zone(zone, 2.3 * pixel_nm, "HAADF")
    angle = np.radians(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    g = found.g_yx_per_nm[found.amplitude > 0.2]
    g = g[np.argsort(np.hypot(*g.T), kind="stable")]
    first = g[0]
    sine = np.abs(first[0] * g[:, 1] - first[1] * g[:, 0]) / np.hypot(*first) / np.hypot(*g.T)
    return np.array([first, g[np.argmax(sine > 0.3)]]) @ turn.T


def density(f: Floats, coloured: bool) -> Floats:
    """Spectral density of the noise at frequencies ``(..., 2)`` in cycles per pixel."""
    if not coloured:
        return np.ones(f.shape[:-1])
    square = np.sum(f**2, axis=-1)
    return np.asarray(0.2 + 1.8 * np.exp(-square / (2 * 0.15**2)))


def noise(shape: tuple[int, int], coloured: bool, rng: np.random.Generator) -> Floats:
    """Noise of that density."""
    white = rng.standard_normal(shape)
    if not coloured:
        return white
    f = np.stack(np.meshgrid(np.fft.fftfreq(shape[0]), np.fft.rfftfreq(shape[1]), indexing="ij"),
                 axis=-1)
    return np.asarray(np.fft.irfft2(np.fft.rfft2(white) * np.sqrt(density(f, True)), s=shape))


def outline(setting: Setting, rng: np.random.Generator) -> Floats:
    """Relative amplitude of the fringes in each pixel."""
    shape = setting.shape
    if setting.outline == "frame":
        return np.ones(shape)
    radius = 0.5 * setting.domain_nm / setting.pixel_nm
    free = np.array(shape) / 2 - 1.05 * radius
    centre = np.array(shape) / 2 + rng.uniform(-1, 1, 2) * free
    y, x = np.indices(shape, dtype=np.float32)
    square = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / radius**2
    if setting.outline == "ball":
        return np.sqrt(np.maximum(0.0, 1.0 - square)).astype(float)
    return (square < 1.0).astype(float)


def picture(setting: Setting, rng: np.random.Generator) -> tuple[Image, Truth]:
    """Draw a picture on an uneven ground."""
    return draw(setting, waves(setting.phase, setting.zone, setting.turn_deg, setting.pixel_nm),
                rng)


def draw(setting: Setting, k: Floats, rng: np.random.Generator) -> tuple[Image, Truth]:
    """Draw these waves (1/nm)."""
    inside = outline(setting, rng)
    rows, cols = np.nonzero(inside)
    area = len(rows)
    weight = inside[rows, cols] ** 2
    mass = weight.sum()
    y = (rows - np.average(rows, weights=weight))
    x = (cols - np.average(cols, weights=weight))
    moments = np.array([[weight @ y**2, weight @ (y * x)], [weight @ (y * x), weight @ x**2]])
    data = noise(setting.shape, setting.coloured, rng)
    bounds = []
    for f in k * setting.pixel_nm:
        level = float(density(f, setting.coloured))
        amplitude = setting.snr * np.sqrt(2 * level / mass)
        data += amplitude * inside * wave(setting.shape, f, rng.uniform(0, 2 * np.pi))
        bounds.append(2 * level / (2 * np.pi * amplitude) ** 2 * np.linalg.inv(moments))
    ramp = np.linspace(-1, 1, setting.shape[1])
    data += 40.0 + rng.uniform(-5, 5) * ramp + setting.step * inside
    extent = 2 * np.sqrt(area / np.pi) * setting.pixel_nm
    image = plane_image(data.astype(np.float32), setting.pixel_nm)
    return image, Truth(k, np.array(bounds) / setting.pixel_nm**2, extent)


def wave(shape: tuple[int, int], f: Floats, phase: float) -> Floats:
    """Return ``cos(2 pi f r + phase)``."""
    along_y = np.exp(2j * np.pi * f[0] * np.arange(shape[0]) + 1j * phase)
    return np.asarray(np.outer(along_y, np.exp(2j * np.pi * f[1] * np.arange(shape[1]))).real)


def random_setting(snr: float, rng: np.random.Generator, **fixed: Any) -> Setting:
    """Draw pixel size, domain, outline, noise and crystal at random; a frame of 160 to 1600 px."""
    pixel = float(rng.choice([0.01, 0.02, 0.03, 0.05]))
    # At least 2 nm and six fringes of 0.35 nm; at most a frame that takes a second.
    domain = float(np.exp(rng.uniform(np.log(2.2), np.log(min(200.0, 1000 * pixel)))))
    made = {"pixel_nm": pixel, "domain_nm": domain, "outline": str(rng.choice(SHAPES)),
            "coloured": bool(rng.integers(2)), "phase": str(rng.choice(PHASES)),
            "zone": ZONES[rng.integers(len(ZONES))], "turn_deg": float(rng.uniform(0, 180)),
            "stretch": float(rng.choice([1.0, 1.0, 1.4]))}
    if made["outline"] == "frame":
        made["domain_nm"] = max(domain, 96 * pixel)
    return Setting(snr, **made | fixed)
