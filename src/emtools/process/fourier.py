"""Parts of a picture, their Fourier transforms, and what single spots of these show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import fft

from emtools.errors import ImageError, ParameterError
from emtools.model import Step
from emtools.model.calibration import Axis, Distortion
from emtools.process.plane import as_plane, flatten
from emtools.process.threads import in_spans, threads
from emtools.units import LENGTH, PIXEL, RECIPROCAL

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from emtools.model import Image
    from emtools.process.plane import Plane

    Floats = NDArray[np.float32]

_SMALLEST_BOX = 8  # pixels along a side
_RECIPROCAL_OF = {LENGTH: RECIPROCAL, PIXEL: "1/px"}
_DARKEST = 1e-7  # of the largest amplitude: what single precision can tell from zero
_SHARES = (0.35, 0.9997)  # of the cells: shown black, not yet white
_LEAST_RANGE = 0.5  # decades between black and white
_CENTRE = 3  # cells about the zero frequency, where the ground is left
_LEAST_KNOWN = 0.05  # part of a filter's kernel that has to lie on used pixels


def cropped(image: Image, box: tuple[int, int, int, int]) -> Image:
    """Return a rectangle of the image.

    Parameters
    ----------
    image
        With axes y and x; further axes are kept whole.
    box
        ``(top, left, bottom, right)`` in whole pixels, half-open, clipped to the image.

    Returns
    -------
    Image
        With the same pixel sizes and the positions that these pixels had (``axis.coordinates()``);
        what is lazy stays lazy.

    Raises
    ------
    ParameterError
        If less than 8 pixels along a side are left.
    """
    if len(box) != 4:
        raise ParameterError("box", f"has {len(box)} numbers", "give top, left, bottom, right")
    spans = {}
    for axis, first, last in zip(image.plane_axes, box[:2], box[2:], strict=True):
        start, stop = max(0, int(first)), min(axis.size, int(last))
        if stop - start < _SMALLEST_BOX:
            raise ParameterError("box", f"leaves {max(0, stop - start)} pixels along {axis.name}",
                                 f"give at least {_SMALLEST_BOX}")
        spans[axis.name] = slice(start, stop)
    index = tuple(spans.get(axis.name, slice(None)) for axis in image.axes)
    axes = tuple(_part(axis, spans[axis.name]) if axis.name in spans else axis
                 for axis in image.axes)
    mask = None if image.mask is None else image.mask[spans["y"], spans["x"]]
    return replace(image, data=image.data[index], axes=axes, mask=mask)


def _part(axis: Axis, span: slice) -> Axis:
    step = -axis.pixel_size if axis.flipped else axis.pixel_size
    return replace(axis, size=span.stop - span.start, offset=axis.offset + step * span.start,
                   positions=None if axis.positions is None else axis.positions[span])


def prepared(image: Image) -> Image:
    """Return the picture as floats with all that cannot be used masked, its median taken off.

    Transforms of many boxes of one image are faster on it: burnt-in annotations are looked for
    once, and in the whole picture, where they can be told best.

    Parameters
    ----------
    image
        A single real-valued picture; a lazy one is read.

    Raises
    ------
    ImageError
        If it is none, or smaller than 16 pixels along a side.
    """
    plane = as_plane(image, copy=False)
    return replace(image, data=plane.values, mask=plane.mask, audit=(*image.audit, *plane.notes))


def fourier(image: Image, box: tuple[int, int, int, int] | None = None) -> Image:
    """Return the amplitude of the Fourier transform of a picture, or of a box of it.

    Its ground (the mean and the slope along rows and columns) is taken off, masked pixels count as
    ground, and a Hann window brings it to zero at its borders.

    Parameters
    ----------
    image
        A single real-valued picture in nm or px.
    box
        ``(top, left, bottom, right)`` in whole pixels, half-open; the whole picture if not given.

    Returns
    -------
    Image
        ``(y, x)`` float32 of the shape of the picture, axes in 1/nm (1/px without calibration):
        wave vectors k = 1/d, 0 in the middle, k_y growing downwards as y does.  A wave that fills
        the picture shows half its amplitude.  Where the plane of the image is distorted, that of
        the transform is its inverse transpose, so that ``calibration().vectors`` of pixels counted
        from the middle are the true wave vectors.

    Raises
    ------
    ImageError
        If the image is not a single real-valued picture in real space, or smaller than 16 pixels
        along a side.
    ParameterError
        If the box leaves too little.
    """
    part, plane = _plane(image, box)
    flat = _flat(plane)
    windows = (hann(n) for n in flat.shape)
    half = half_transform(flat, *(one / one.sum() for one in windows))
    values = _whole(np.abs(half), flat.shape[1])
    acquisition = replace(image.acquisition, modality="FFT", fast_axis="x")
    return replace(part, data=values, axes=_transformed(part, plane.calibration.unit), mask=None,
                   distortion=_inverse(part, plane.calibration.unit), acquisition=acquisition,
                   steps=(*image.steps, Step("fourier", _said(box), "amplitude")))


def log_display(transform: Image) -> tuple[Floats, tuple[float, float]]:
    """Return the decimal logarithm of a transform and the values to show black and white.

    Parameters
    ----------
    transform
        As `fourier` returns it.

    Returns
    -------
    values
        ``(y, x)`` float32.
    limits
        ``(low, high)``: a third of the cells is black, three in ten thousand are white.  What is
        left of the ground about the zero frequency does not count.
    """
    amplitude = transform.load()
    highest = float(amplitude.max())
    if not highest > 0:
        return np.zeros(amplitude.shape, dtype=np.float32), (0.0, 1.0)
    values = np.log10(np.maximum(amplitude, np.float32(_DARKEST * highest)), dtype=np.float32)
    rows, middle = values.shape[0] // 2 + 1, values.shape[1] // 2
    # The upper half shows all there is, the lower one its mates.
    half = values[:rows].copy()
    half[-1 - _CENTRE:, middle - _CENTRE:middle + _CENTRE + 1] = half[0, 0]
    places = [int(share * (half.size - 1)) for share in _SHARES]
    flat = half.ravel()
    flat.partition(places)
    low, high = (float(flat[place]) for place in places)
    return values, (low, max(high, low + _LEAST_RANGE))


def bragg_filtered(
    image: Image, k_yx: ArrayLike, radius: float, box: tuple[int, int, int, int] | None = None
) -> Image:
    """Return the picture that only some spots of the transform make, and their Friedel mates.

    Each spot passes through a disc: whole out to half its radius, falling from there as a raised
    cosine to nothing at its radius.  The picture goes on as ground beyond its borders, and what
    that takes from the fringes beside borders and masked pixels is given back (normalised
    convolution).

    Parameters
    ----------
    image
        A single real-valued picture.
    k_yx
        ``(n, 2)`` wave vectors (y, x) in cycles per unit of `image.calibration`.
    radius
        Of the discs, in cycles per unit.
    box
        Only this part, see `cropped`.

    Returns
    -------
    Image
        float32, in real space, with the axes and size of the image, or of the box.

    Raises
    ------
    ImageError
        If the image is not a single real-valued picture in real space.
    ParameterError
        If the radius is not positive, or no wave vectors are given.

    References
    ----------
    Knutsson & Westin, Proc. IEEE Conf. Computer Vision and Pattern Recognition (1993) 515.
    """
    if not (np.isfinite(radius) and radius > 0):
        raise ParameterError("radius", f"must be positive, not {radius}")
    k = np.atleast_2d(np.asarray(k_yx, dtype=float))
    if k.ndim != 2 or k.shape[1] != 2 or not len(k) or not np.isfinite(k).all():
        raise ParameterError("k_yx", f"of shape {k.shape} is no list of wave vectors",
                             "give (n, 2) numbers, y and x")
    part, plane = _plane(image, box)
    flat = _flat(plane)
    # How far a disc's kernel reaches over the border; more than the picture itself is no use.
    margin = np.minimum(1.0 / (radius * np.hypot(*plane.calibration.matrix)), flat.shape)
    shape = [fft.next_fast_len(int(np.ceil(n + m)), real=True)
             for n, m in zip(flat.shape, margin, strict=True)]
    passes = np.zeros((shape[0], shape[1] // 2 + 1), dtype=np.float32)
    for one in np.concatenate([k, -k]):
        np.maximum(passes, _disc(passes.shape, shape, plane, one, radius), out=passes)
    values = _filtered(flat, passes, shape)
    used = np.ones(flat.shape, np.float32) if plane.mask is None else plane.mask.astype(np.float32)
    known = _filtered(used, _disc(passes.shape, shape, plane, np.zeros(2), radius), shape)
    values = np.where(known > _LEAST_KNOWN, values / np.maximum(known, _LEAST_KNOWN), 0.0)
    said = {"k_yx": k.tolist(), "radius": float(radius), **_said(box)}
    return replace(part, data=values.astype(np.float32),
                   steps=(*image.steps, Step("bragg_filtered", said, "filtered intensity")))


def _said(box: tuple[int, int, int, int] | None) -> dict[str, Any]:
    return {} if box is None else {"box": [int(edge) for edge in box]}


def _plane(image: Image, box: tuple[int, int, int, int] | None) -> tuple[Image, Plane]:
    part = image if box is None else cropped(image, box)
    plane = as_plane(part, copy=False)
    if plane.calibration.unit not in _RECIPROCAL_OF:
        raise ImageError(image.name, f"has axes in {plane.calibration.unit}",
                         "give a picture in real space, in nm or without calibration")
    return part, plane


def _flat(plane: Plane) -> Floats:
    """Pixels without mean and slope; masked ones are 0."""
    return flatten(plane.values, plane.mask, float(max(plane.values.shape)))


def hann(n: int) -> Floats:
    """Hann window over `n` pixels, centred on the middle of the frame."""
    position = (np.arange(n) + 0.5) / n
    return (np.sin(np.pi * position) ** 2).astype(np.float32)


def half_transform(flat: Floats, along_y: Floats, along_x: Floats) -> NDArray[np.complex64]:
    """Half transform of a plane under a window along y and one along x, as `rfft2` orders it."""
    from emtools.process._kernels import windowed_rows

    windowed = np.empty(flat.shape, dtype=np.float32)
    in_spans(lambda rows: windowed_rows(rows, flat, along_y, along_x, windowed),
             (0, len(flat)), flat.size)
    return np.asarray(fft.rfft2(windowed, workers=threads(), overwrite_x=True))


def _whole(half: Floats, n_x: int) -> Floats:
    """Both halves of an amplitude, the zero frequency in the middle."""
    n_y, middle = len(half), n_x // 2
    rows = fft.fftshift(half, axes=0)
    whole = np.empty((n_y, n_x), dtype=np.float32)
    # Of an even side the Nyquist frequency is the first cell, not the last.
    whole[:, middle:] = rows[:, :n_x - middle]
    mates = rows[::-1, middle:0:-1]
    whole[:, :middle] = mates if n_y % 2 else np.roll(mates, 1, axis=0)
    return whole


def _transformed(part: Image, unit: str) -> tuple[Axis, Axis]:
    y, x = (_reciprocal(axis, unit) for axis in part.plane_axes)
    return y, x


def _reciprocal(axis: Axis, unit: str) -> Axis:
    size = axis.pixel_size if unit != PIXEL else 1.0
    step = 1.0 / (axis.size * size)
    err = None if axis.pixel_size_err is None else step * axis.relative_err
    return Axis(axis.name, axis.size, step, _RECIPROCAL_OF[unit], -(axis.size // 2) * step,
                pixel_size_err=err, source=axis.source)


def _inverse(part: Image, unit: str) -> Distortion:
    """Distortion of the plane of wave vectors: k . r must stay the same."""
    (yy, yx), (xy, xx) = np.linalg.inv(np.asarray(part.distortion.matrix, dtype=float)).T.tolist()
    matrix = ((yy, yx), (xy, xx))
    return Distortion(matrix, 0.0, 0.0) if unit == PIXEL else replace(part.distortion,
                                                                      matrix=matrix)


def _disc(
    cells: tuple[int, ...], shape: list[int], plane: Plane, k: NDArray[np.float64], radius: float
) -> Floats:
    """What a disc about a wave vector lets through, on the cells of a half transform."""
    f_y, f_x = fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])
    inverse = np.linalg.inv(plane.calibration.matrix) / radius
    off_y = (f_y * inverse[0, 0] + f_x * inverse[1, 0] - k[0] / radius).astype(np.float32)
    off_x = (f_y * inverse[0, 1] + f_x * inverse[1, 1] - k[1] / radius).astype(np.float32)
    fall = np.clip(2.0 * np.hypot(off_y, off_x) - 1.0, 0.0, 1.0)
    return np.asarray(np.cos(0.5 * np.pi * fall) ** 2, dtype=np.float32).reshape(cells)


def _filtered(values: Floats, passes: Floats, shape: list[int]) -> Floats:
    spectrum = fft.rfft2(values, s=shape, workers=threads())
    spectrum *= passes
    whole = fft.irfft2(spectrum, s=shape, workers=threads(), overwrite_x=True)
    return np.asarray(whole[:values.shape[0], :values.shape[1]], dtype=np.float32)
