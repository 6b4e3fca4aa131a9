"""Amplitude contrast: how much there is beneath each pixel, against the film and the thickness."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage

from emtools.errors import ImageError, ParameterError
from emtools.model import Step
from emtools.process.film import averaged, find_film, objects_are_bright
from emtools.process.plane import as_plane
from emtools.units import LENGTH, PIXEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.model import Image
    from emtools.process.film import Film
    from emtools.process.plane import Plane

    Floats = NDArray[np.float64]

Objects = Literal["auto", "bright", "dark"]
_BRIGHT, _DARK = ("HAADF", "ADF", "DF"), ("TEM", "BF")
_PART = 0.25  # of the shorter side: scale of film and thickness if none is given
_LEAST_FILM = 0.125  # of the picture, to tell its level
_NOISE = 0.05  # of the film: more, and the logarithm of the counts is no longer straight
_WIDEST_PX = 4.0  # sigma of the averaging before the logarithm
_STANDS_OUT = 3.0  # sigma of the contrast: an object, which tells the mean thickness
_LIMITS_UNDER = 6.0  # sigma of the usual object's contrast, so that half of it still stands out
_LEAST = 0.25  # of the usual object's contrast: less is the film's own
_SMALLEST_PX = 0.3  # sigma below which a Gaussian on pixels averages nothing
_FWHM = float(np.sqrt(8.0 * np.log(2.0)))  # of a Gaussian, in its sigma
_PRIOR = 5e-3  # weight of the whole picture's mean thickness, where no object is near


def amplitude_contrast(
    image: Image, *, objects: Objects = "auto", background_nm: float | None = None,
    thickness_nm: float | None = None, resolution_nm: float | None = None,
    dark_level: float = 0.0,
) -> Image:
    """Return the amplitude contrast of a picture, corrected for background and thickness.

    **Background.**  Where objects are dark (TEM, BF) the intensity falls with the mass thickness
    x = rho t that is added to the film, I = I0 exp(-x / x_k), x_k the contrast thickness of the
    aperture: C = -ln((I - D) / (I0 - D)), D the detector's dark level, is x / x_k.  Where they are
    bright (ADF, HAADF, DF) the intensity itself grows with it, as t Z^n with n about 1.7:
    C = I - I0, in the image's own numbers.  I0 is the film beside the objects at the scale
    `background_nm`, so illumination, slope and thickness of the film drop out.

    **Thickness.**  C is divided by its own mean over the objects around, a Gaussian of FWHM
    `thickness_nm`: 1 is as much as the objects there have, whatever the slowly varying thickness,
    and the detector's gain drops out; the film is 0.

    Parameters
    ----------
    image
        A single real-valued picture in real space.
    objects
        Whether objects are ``bright`` or ``dark``; ``auto``: as the modality has them, or, where
        it is not known, on the side that the values are skewed to (objects cover less than half).
    background_nm
        FWHM of the averaging of the film, in px without a calibration.  Much larger than the
        objects; a quarter of the shorter side if not given.
    thickness_nm
        FWHM of the averaging of the thickness, in the same unit: larger than several objects, which
        else are compared with themselves, smaller than what the thickness varies over; a quarter of
        the shorter side if not given.  0 leaves the thickness in: the image is C.
    resolution_nm
        FWHM of the averaging of the intensity, which comes first and takes out phase contrast that
        is finer.  If not given, none, but before a logarithm as much as brings the noise of the
        film to 5 % (at most 9 pixels): the logarithm of noisier counts is biased by half their
        relative variance.
    dark_level
        The detector's reading without electrons; it matters where objects are dark.

    Returns
    -------
    Image
        ``(y, x)`` float32, NaN where the image is masked, without unit or, for bright objects
        without correction of the thickness, in the image's own numbers.

    Raises
    ------
    ImageError
        If the image is a stack, complex or not in real space, or its film is not above the dark
        level.
    ParameterError
        If a length is negative or not finite.

    Notes
    -----
    Holds for thin, incoherently scattering objects: diffraction contrast, channelling and the
    Fresnel fringes of defocus count as mass, multiple scattering bends both laws in thick objects,
    and a picture whose grey values are not proportional to electrons (gamma, an 8-bit export with
    an unknown black) has no scale.  At least an eighth of the picture must be film.  Objects below
    three sigma of the noise, averaged over at most 9 pixels, do not count for the thickness.  Where
    there are few electrons, small objects are blurred and, where they are crowded, not told from
    the film: `benchmarks/validate_contrast.py` prints from which doses and sizes on C holds.

    References
    ----------
    Reimer & Kohl, Transmission Electron Microscopy, 5th ed., Springer 2008, chapter 6 (scattering
    contrast, contrast thickness).  Pennycook & Nellist (eds.), Scanning Transmission Electron
    Microscopy, Springer 2011 (Z contrast).
    """
    lengths = _checked(background_nm, thickness_nm, resolution_nm)
    if not np.isfinite(dark_level):
        raise ParameterError("dark_level", f"must be finite, not {dark_level}")
    plane = as_plane(image)
    if plane.unit not in (LENGTH, PIXEL):
        raise ImageError(image.name, f"has axes in {plane.unit}",
                         "amplitude contrast is of pictures in real space")
    bright = _bright(image, plane, objects)
    pixel = plane.calibration.pixel_size
    side = min(plane.values.shape) * pixel
    chosen = {name: _PART * side if length is None else float(length)
              for name, length in lengths.items()}
    sign = np.float32(1.0 if bright else -1.0)
    film = find_film(sign * plane.values, plane.mask, chosen["background_nm"] / pixel)
    level = (sign * film.level).astype(float) + plane.offset - dark_level
    if resolution_nm is None:
        chosen["resolution_nm"] = 0.0 if bright else pixel * _needed_fwhm(film, level)
    signal = _smoothed(plane, chosen["resolution_nm"] / pixel) + (plane.offset - dark_level)
    contrast, noise = _contrast(image, signal, level, film, bright)
    noise *= _left_of_noise(chosen["resolution_nm"] / pixel)
    said = {"objects": "bright" if bright else "dark", **chosen, "dark_level": float(dark_level),
            "film_share": film.share}
    quantity = "intensity above the film" if bright else "amplitude contrast −ln(I/I₀)"
    if chosen["thickness_nm"] > 0:
        mean = _mean_thickness(contrast, plane.mask, noise, chosen["thickness_nm"] / pixel)
        if mean is not None:
            contrast, quantity = contrast / mean[0], "amplitude contrast / mean"
            said["mean_contrast"] = mean[1]
    return _as_image(image, plane, contrast, Step("amplitude_contrast", said, quantity))


def _checked(
    background: float | None, thickness: float | None, resolution: float | None
) -> dict[str, float | None]:
    lengths = {"background_nm": background, "thickness_nm": thickness, "resolution_nm": resolution}
    for name, length in lengths.items():
        if length is not None and not 0 <= length < np.inf:
            raise ParameterError(name, f"must be finite and not negative, not {length}")
    if background == 0:
        raise ParameterError("background_nm", "must be positive, not 0")
    return lengths


def _as_image(image: Image, plane: Plane, contrast: Floats, step: Step) -> Image:
    if plane.mask is not None:
        contrast = np.where(plane.mask, contrast, np.nan)
    notes = [note for note in plane.notes if note not in image.audit]
    if step.parameters["thickness_nm"] > 0 and "mean_contrast" not in step.parameters:
        notes.append("nothing stands out of the film: the thickness is not corrected")
    if step.parameters["film_share"] < _LEAST_FILM:
        notes.append("hardly any film is in sight: its level is uncertain")
    return replace(image, data=contrast.astype(np.float32), mask=plane.mask,
                   audit=(*image.audit, *notes), steps=(*image.steps, step))


def _bright(image: Image, plane: Plane, objects: Objects) -> bool:
    if objects not in ("auto", "bright", "dark"):
        raise ParameterError("objects", f"{objects!r} is not known",
                             "give one of auto, bright, dark")
    modality = image.acquisition.modality
    if objects == "auto" and modality not in (*_BRIGHT, *_DARK):
        return objects_are_bright(plane.values, plane.mask)
    return objects == "bright" or (objects == "auto" and modality in _BRIGHT)


def _needed_fwhm(film: Film, level: Floats) -> float:
    """FWHM in pixels of the averaging that brings white noise to 5 % of the film."""
    typical = float(np.median(level))
    relative = film.noise / typical if typical > 0 else 0.0
    if relative <= _NOISE:
        return 0.0
    # A Gaussian of that sigma leaves 1 / (2 sqrt(pi) sigma) of white noise.
    sigma = min(relative / (_NOISE * 2.0 * np.sqrt(np.pi)), _WIDEST_PX)
    return float(_FWHM * sigma)


def _left_of_noise(fwhm_px: float) -> float:
    sigma = fwhm_px / _FWHM
    return float(min(1.0, 1.0 / (2.0 * np.sqrt(np.pi) * sigma))) if sigma > 0 else 1.0


def _smoothed(plane: Plane, fwhm_px: float) -> Floats:
    values = plane.values.astype(float)
    if fwhm_px <= 0:
        return values
    sigma = fwhm_px / _FWHM
    if plane.mask is None:
        return np.asarray(ndimage.gaussian_filter(values, sigma, mode="nearest"))
    return averaged(values, plane.mask.astype(float), fwhm_px, 1e-6)


def _contrast(
    image: Image, signal: Floats, level: Floats, film: Film, bright: bool
) -> tuple[Floats, float]:
    """Contrast against the film, and the noise of a pixel of it that is not averaged."""
    if bright:
        return signal - level, film.noise
    lowest = float(level.min())
    if not lowest > 0:
        raise ImageError(image.name, "its film is not above the detector's dark level",
                         "give dark_level, what the detector reads without electrons")
    # Darker than this no pixel can be told from one without electrons.
    floor = max(film.noise, 1e-3 * lowest) if film.noise < lowest else 1e-3 * lowest
    return -np.log(np.maximum(signal, floor) / level), film.noise / float(np.median(level))


def _mean_thickness(
    contrast: Floats, mask: NDArray[np.bool_] | None, noise: float, fwhm_px: float
) -> tuple[Floats, float] | None:
    """Mean contrast of the objects around each pixel, and of all; None where there are none."""
    stands_out = _stands_out(contrast if mask is None else np.where(mask, contrast, 0.0), noise)
    if mask is not None:
        stands_out &= mask
    if not stands_out.any():
        return None
    overall = float(contrast[stands_out].mean())
    return averaged(np.where(stands_out, contrast, 0.0), stands_out.astype(float), fwhm_px,
                    _PRIOR), overall


def _stands_out(contrast: Floats, noise: float) -> NDArray[np.bool_]:
    """Which pixels are objects: seen in a picture just smooth enough for their usual contrast."""
    def seen(sigma: float) -> tuple[Floats, float]:
        smooth = ndimage.gaussian_filter(contrast, sigma) if sigma > 0 else contrast
        return smooth, max(_STANDS_OUT * noise * _left_of_noise(_FWHM * sigma), 1e-12)

    smooth, limit = seen(_WIDEST_PX)
    if not (smooth > limit).any():
        return np.asarray(smooth > limit)
    seen_at_all = smooth[smooth > limit]
    # Weighted by itself: the film's own unevenness, of which there may be much, hardly counts.
    typical = float((seen_at_all**2).sum() / seen_at_all.sum())
    needed = noise * _LIMITS_UNDER / typical / (2.0 * np.sqrt(np.pi))
    smooth, limit = seen(min(needed, _WIDEST_PX) if needed > _SMALLEST_PX else 0.0)
    return np.asarray(smooth > max(limit, _LEAST * typical))
