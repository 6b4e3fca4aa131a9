"""From a spectrum image of any pixel type and size to counts that can be summed and projected.

What does not fit in memory is read block by block, once for the sums and once for the maps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.errors import CalibrationError, ImageError, ParameterError
from emtools.model import Axis, Image
from emtools.process.frames import drift_of, summed_in_place
from emtools.stages import stage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_BLOCK = 32_000_000  # numbers that are in memory at a time
_WIDEST_CHANNEL_KEV = 0.2  # a wider one cannot show a peak: electronvolts taken for keV


@dataclass(frozen=True)
class Spectra:
    """Counts of a spectrum image, a line of spectra, or one spectrum.

    Parameters
    ----------
    counts
        ``(y, x, channel)``, NumPy or dask array.
    energy_keV
        ``(channel,)`` energies of the channels' centres, increasing.
    mask
        ``(y, x)`` boolean, True = use; None = all.
    name
        Of the image, for messages.
    drift
        Of frames that were moved onto each other, the farthest, in pixels; None if none were.
    """

    counts: Any
    energy_keV: Floats
    mask: NDArray[np.bool_] | None
    name: str
    drift: float | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.counts.shape[0]), int(self.counts.shape[1])

    @property
    def pixels(self) -> int:
        """How many count."""
        return int(np.prod(self.shape) if self.mask is None else self.mask.sum())

    @property
    def channel_keV(self) -> float:  # noqa: N802
        """Width of a channel."""
        return float(self.energy_keV[1] - self.energy_keV[0])

    def sums(self, labels: NDArray[np.integer[Any]], n: int) -> Floats:
        """Summed spectra ``(n + 1, channel)`` of the pixels of each label, 0 ... n.

        Raises
        ------
        ImageError
            If there are negative counts or such that are no numbers.
        """
        total = np.zeros((n + 1, len(self.energy_keV)))
        for rows, block in self.blocks():
            which = labels[rows].ravel()
            there = np.unique(which)
            for label in there:
                part = block if len(there) == 1 else block[which == label]
                total[label] += np.ones(len(part), dtype=np.float32) @ part
        if not np.isfinite(total).all() or (total < 0).any():
            raise ImageError(self.name, "has channels with negative counts or none at all",
                             "give the spectra as they were recorded, without background taken off")
        return total

    def projected(self, vectors: Floats) -> NDArray[np.float32]:
        """Sum of each pixel's spectrum times each vector: ``(y, x, k)`` of ``(channel, k)``.

        NaN in masked pixels.
        """
        found = np.empty((*self.shape, vectors.shape[1]), dtype=np.float32)
        single = np.ascontiguousarray(vectors, dtype=np.float32)
        for rows, block in self.blocks():
            found[rows] = (block @ single).reshape(-1, self.shape[1], vectors.shape[1])
        if self.mask is not None:
            found[~self.mask] = np.nan
        return found

    def blocks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Blocks of rows, ``(pixels, channel)``; masked pixels hold no counts."""
        rows, columns, channels = self.counts.shape
        step = max(1, _BLOCK // (columns * channels))
        chunks = getattr(self.counts, "chunks", None)
        if chunks is not None and chunks[0][0] < rows:  # whole chunks: each is read once
            step = max(1, step // chunks[0][0]) * chunks[0][0]
        for start in range(0, rows, step):
            stage("reading spectra", start / rows)
            part = slice(start, min(start + step, rows))
            block = np.asarray(self.counts[part]).reshape(-1, channels).astype(np.float32)
            if self.mask is not None:
                block[~self.mask[part].ravel()] = 0.0
            yield part, block


def as_spectra(image: Image, *, align: bool = False) -> Spectra:
    """Prepare a spectrum image for a measurement.

    Frames are summed, `align`: moved onto each other before.  A single spectrum is an image of one
    pixel, a line of spectra one of a row.

    Raises
    ------
    ImageError
        If it has no energy axis, or nothing that can be counts.
    CalibrationError
        If the energy axis has no unit, or one that cannot be meant.
    """
    names = [axis.name for axis in image.axes]
    if "energy" not in names:
        raise ImageError(image.name, f"has no energy axis: its axes are {', '.join(names)}",
                         "give a spectrum image, see `emtools info`")
    other = [name for name in names if name not in ("y", "x", "energy", "frame")]
    if other:
        raise ImageError(image.name, f"has the axis {other[0]} beside y, x and energy",
                         f"select one place on it, for example image.select({other[0]}=0)")
    data = image.data
    if np.dtype(data.dtype).kind not in "biuf":
        raise ImageError(image.name, f"holds {data.dtype}, no counts", "give recorded spectra")
    drift = None
    if "frame" in names:
        if align and {"y", "x"} <= set(names):
            data = data.transpose([names.index(n) for n in ("frame", "y", "x", "energy")])
            names = ["frame", "y", "x", "energy"]
            shifts = drift_of(np.asarray(data.sum(axis=3), dtype=np.float64))
            data, drift = summed_in_place(data, shifts), float(np.hypot(*shifts.T).max())
        else:
            data = data.sum(axis=names.index("frame"))
        names = [n for n in names if n != "frame"]
    order = [names.index(name) for name in ("y", "x", "energy") if name in names]
    data = data.transpose(order)
    for axis, name in enumerate(("y", "x")):
        if name not in names:
            shape = list(data.shape)
            shape.insert(axis, 1)
            data = data.reshape(shape)
    mask = image.mask if {"y", "x"} <= set(names) else None
    return Spectra(data, _energies(image), mask, image.name, drift)


def region_spectrum(image: Image, region: NDArray[np.bool_] | None = None) -> Image:
    """Sum the spectra of a region.

    Parameters
    ----------
    image
        Spectrum image, line of spectra, or one spectrum.
    region
        ``(y, x)``, True = sum; by default all that may be used.

    Returns
    -------
    Image
        One spectrum, with counts as float64 on the same energy axis.

    Raises
    ------
    ImageError, CalibrationError
        If the image holds no spectra of counts in keV.
    ParameterError
        If the region has other pixels than the image, or none.
    """
    spectra = as_spectra(image)
    used = np.ones(spectra.shape, dtype=bool) if spectra.mask is None else spectra.mask
    if region is not None:
        if region.shape != spectra.shape:
            raise ParameterError("region", f"has {region.shape} pixels, the image {spectra.shape}")
        used = used & region
    if not used.any():
        raise ParameterError("region", "has no pixel of the image", "draw it on the image")
    counts = spectra.sums(used.astype(np.int64), 1)[1]
    return replace(image, data=counts, axes=(image.axis("energy"),), mask=None)


def window_map(image: Image, low_keV: float, high_keV: float) -> Image:
    """Map the counts that were recorded between two energies, continuum and overlaps with them.

    Parameters
    ----------
    image
        Spectrum image, or line of spectra.
    low_keV, high_keV
        Edges of the window; channels whose middle lies in it are summed.

    Returns
    -------
    Image
        ``(y, x)``, float32 counts; NaN in masked pixels.

    Raises
    ------
    ImageError, CalibrationError
        If the image holds no spectra of counts in keV.
    ParameterError
        If no channel lies in the window.
    """
    spectra = as_spectra(image)
    first, end = np.searchsorted(spectra.energy_keV, [low_keV, high_keV])
    if end <= first:
        raise ParameterError("low_keV, high_keV", f"no channel lies in {low_keV:g} ... "
                             f"{high_keV:g} keV", f"a channel is {spectra.channel_keV:g} keV wide")
    part = replace(spectra, counts=spectra.counts[..., first:end],
                   energy_keV=spectra.energy_keV[first:end])
    axes = tuple(image.axis(name) if image.has_axis(name) else Axis(name, 1) for name in "yx")
    counts = part.projected(np.ones((int(end - first), 1)))[..., 0]
    return replace(image, data=counts, axes=axes, audit=(
        *image.audit, f"counts of {low_keV:.4g} ... {high_keV:.4g} keV"))


def _energies(image: Image) -> Floats:
    axis = image.axis("energy")
    advice = "give the axis its unit, for example with HyperSpy, or read the vendor's own file"
    if axis.unit != "keV":
        raise CalibrationError(image.name, f"has an energy axis in {axis.unit}, not in keV", advice)
    if axis.size < 2 or not 0 < axis.pixel_size < _WIDEST_CHANNEL_KEV:
        raise CalibrationError(
            image.name, f"has {axis.size} channels of {axis.pixel_size:.4g} keV: no EDX spectrum "
            "(electronvolts taken for keV?)", advice)
    return np.asarray(axis.offset + axis.pixel_size * np.arange(axis.size), dtype=np.float64)
