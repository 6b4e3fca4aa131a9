"""Images without lattice and without chains: what every measurement must answer with zero rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from emtools.errors import ParameterError
from emtools.model import Acquisition, Source
from emtools.model.image import plane_image
from emtools.simulate._detector import (
    Detector,
    checked,
    generator,
    row_shifts,
    scanned,
    texture,
    uneven_ground,
)
from emtools.simulate._optics import Optics, amorphous_film
from emtools.simulate._truth import empty_tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from emtools.simulate._truth import Simulated

    Floats = NDArray[np.float64]
    Picture = Callable[[tuple[int, int], float, float, np.random.Generator], Floats]

BlankKind = Literal[
    "constant", "noise", "amorphous", "stripes", "scan_noise", "step", "hum", "blobs"
]


def blank(
    kind: BlankKind = "noise",
    *,
    shape: tuple[int, int] = (512, 512),
    pixel_size_nm: float = 0.05,
    amplitude: float = 0.2,
    modality: Literal["HAADF", "TEM"] = "HAADF",
    background_gradient: float = 0.0,
    counts: float | None = 100.0,
    rng: int | np.random.Generator | None = 0,
) -> Simulated:
    """Simulate an image that shows neither lattice nor chains.

    Parameters
    ----------
    kind
        ``constant``: one value, without noise.  ``noise``: counting noise alone.  ``amorphous``: a
        film with Thon rings (TEM) or grainy contrast (HAADF).  ``stripes``: rows that differ in
        brightness.  ``scan_noise``: a grainy film whose rows jump.  ``step``: the straight edge of
        a film.  ``hum``: brightness that follows the mains while the beam scans.  ``blobs``: large
        soft blobs of contamination.
    shape
        Rows and columns.
    pixel_size_nm
        Size of the pixels.
    amplitude
        Strength of what `kind` shows, relative to the ground's brightness.
    modality
        ``HAADF`` or ``TEM``.
    background_gradient
        Difference of ground across the frame, relative to its brightness.
    counts
        Mean counts in a pixel, Poisson distributed; None: the ideal image.
    rng
        Seed or generator (SPEC 7).

    Returns
    -------
    Image
        float32, in counts.
    dict of DataFrame
        All lattice and chain tables, with zero rows.

    Examples
    --------
    >>> image, truth = blank("step", shape=(64, 64))
    >>> len(truth["reflections"]), len(truth["chains"])
    (0, 0)
    """
    if kind not in _PICTURES:
        raise ParameterError("kind", f"{kind!r} is not known",
                             f"give one of {', '.join(_PICTURES)}")
    random = generator(rng)
    pixel = checked("pixel_size_nm", pixel_size_nm, strict=True)
    if kind == "amorphous" and modality == "TEM":
        picture = amplitude * amorphous_film(shape, pixel, Optics(), random)
    else:
        picture = _PICTURES[kind](shape, pixel, amplitude, random)
    ideal = 1.0 + picture + uneven_ground(shape, background_gradient, random)
    detector = Detector(counts)
    data = detector.expose(ideal, random)
    if kind == "constant":
        data = np.full(shape, detector.gain, dtype=np.float32)
    image = plane_image(data, pixel, acquisition=Acquisition(modality=modality),
                        source=Source(signal=f"simulated {kind}"))
    return image, empty_tables()


def _nothing(
    shape: tuple[int, int], _pixel: float, _amplitude: float, _rng: np.random.Generator
) -> Floats:
    return np.zeros(shape)


def _grainy(
    shape: tuple[int, int], pixel: float, amplitude: float, rng: np.random.Generator
) -> Floats:
    return amplitude * texture(shape, 0.3, pixel, rng)


def _stripes(
    shape: tuple[int, int], _pixel: float, amplitude: float, rng: np.random.Generator
) -> Floats:
    return amplitude * np.repeat(rng.standard_normal((shape[0], 1)), shape[1], axis=1)


def _jumping(
    shape: tuple[int, int], pixel: float, amplitude: float, rng: np.random.Generator
) -> Floats:
    film = texture(shape, max(0.5, 4 * pixel), pixel, rng)
    shifts = row_shifts(shape[0], amplitude * 10 * pixel, (0.0, 0.0), rng)
    return amplitude * scanned(film, shifts / pixel)


def _step(
    shape: tuple[int, int], _pixel: float, amplitude: float, rng: np.random.Generator
) -> Floats:
    angle = rng.uniform(0, 2 * np.pi)
    y, x = (np.linspace(-1.0, 1.0, n) for n in shape)
    along = math.sin(angle) * y[:, None] + math.cos(angle) * x
    # Averaged over the pixel that the edge crosses.
    return amplitude * np.clip(along * max(shape) / 2 + 0.5, 0.0, 1.0)


def _hum(
    shape: tuple[int, int], _pixel: float, amplitude: float, rng: np.random.Generator
) -> Floats:
    # The beam needs a few mains periods for a row; from row to row the phase moves on.
    periods_per_row = rng.uniform(8.0, 0.2 * shape[1]) if shape[1] > 64 else 0.1 * shape[1]
    time = np.arange(shape[0])[:, None] + np.arange(shape[1]) / shape[1]
    return np.asarray(amplitude * np.sin(2 * np.pi * periods_per_row * time))


def _blobs(
    shape: tuple[int, int], _pixel: float, amplitude: float, rng: np.random.Generator
) -> Floats:
    total = np.zeros(shape)
    for _ in range(4):
        radius = rng.uniform(0.08, 0.2) * min(shape)
        y, x = (np.arange(n) - rng.uniform(0, n) for n in shape)
        total += np.exp(-0.5 * (y[:, None] / radius) ** 2) * np.exp(-0.5 * (x / radius) ** 2)
    return amplitude * total


_PICTURES: dict[str, Picture] = {
    "constant": _nothing, "noise": _nothing, "amorphous": _grainy, "stripes": _stripes,
    "scan_noise": _jumping, "step": _step, "hum": _hum, "blobs": _blobs,
}
