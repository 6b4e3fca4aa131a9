"""The reflection that a person points at in the transform of an image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from emtools.errors import ImageError, ParameterError
from emtools.measure.lattice.cells import lay_out
from emtools.measure.lattice.demodulate import nodes
from emtools.measure.lattice.domain import Domain, grow
from emtools.measure.lattice.grain import close
from emtools.measure.lattice.noise import noise_floor
from emtools.measure.lattice.peaks import Peaks, find_peaks, hann_weight, transform
from emtools.measure.lattice.refine import refine
from emtools.measure.lattice.seeds import Seed
from emtools.measure.lattice.spots import Spot
from emtools.measure.lattice.spots import spot as in_units
from emtools.model import Measured
from emtools.model.calibration import line_angle_deg
from emtools.process.fourier import cropped
from emtools.process.plane import as_plane, flatten

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from emtools.measure.lattice.noise import NoiseFloor
    from emtools.model import Calibration, Image
    from emtools.process.plane import Plane

    Floats = NDArray[np.float64]

FALSE_ALARM_RATE = 1e-3  # that noise within reach passes for a spot
_NEAREST_CELLS = 4.0  # from the zero frequency, where the ground ends
_REACH_CELLS = 3.0  # how far a click may be off, in cells of the transform
_REACH_CYCLES = 0.01  # or in cycles per pixel: three dots of a screen that shows 600 of them
_REACH_SHARE = 0.5  # of the wave vector, at most
_BESIDE = 4.0  # reaches away from the click a spot is beside it
_CLICKED = 0.4  # of the reach: how far a click is off as a rule
_RING_CELLS = 8.0  # around the reach: the neighbours that tell the noise
_FLAT_PERIODS = 4.0  # of the fringes: what varies more slowly is ground
_CORRELATED = 2.25  # cells of a Hann window's noise that are worth one
_NYQUIST = 0.5 / 1.025  # cycles per pixel beyond which fringes alias
_MOST_OTHERS = 24  # spots that may leak into this one, the strongest
_APART_CELLS = 2.0  # of 1 / extent: two spots of one crystal
_FAINTEST = 4.0  # amplitude over the noise beside the fringes, in the crystal itself
_FAINTEST_OTHER = 5.5
_FEWEST_FRINGES = 5.0  # across an outline that can be trusted
_MOVED = 1.5  # of 1 / extent: a peak is interpolated far better than that
_VAGUE = 0.1  # of the wave number
_OTHERS_RATE = 1e-3  # that noise passes for one of them
_LIKELY = 0.5


@dataclass(frozen=True, eq=False)
class PickedSpot:
    """A reflection that was pointed at, or why there is none; true in conditions if there is one.

    Parameters
    ----------
    reason
        Why this is no spot; empty if it is one.
    k_yx
        Refined wave vector (y, x), in cycles per unit; the one pointed at if this is no spot.
    covariance
        ``(2, 2)`` of the wave vector.
    d_spacing
        Spacing with its statistical error.
    k
        1 / d with its statistical error.
    angle
        Direction of the plane normal, 0 to 180 degrees, with its statistical error.
    snr
        Amplitude over that of the noise beside the spot.
    p_value
        Probability that noise shows such a spot within reach of the click.
    area
        Area of the crystal that shows these fringes, as far as the box holds it.
    n_fringes
        Fringes across a disc of that area; fewer than about six are easily distorted.
    calibration
        Of the image.
    modality
        The structure factors that go with the image.
    """

    reason: str
    k_yx: Floats
    covariance: Floats
    d_spacing: Measured
    k: Measured
    angle: Measured
    snr: float
    p_value: float
    area: float
    n_fringes: float
    calibration: Calibration
    modality: Literal["HAADF", "TEM"]

    def __bool__(self) -> bool:
        return not self.reason

    @property
    def unit(self) -> str:
        """Unit of the spacing, ``nm`` or ``px``."""
        return self.calibration.unit

    @property
    def scale_err(self) -> float:
        """Relative 1 sigma of the pixel size, common to all spots of the image."""
        return self.calibration.scale_err

    @property
    def d_spacing_with_scale(self) -> Measured:
        """Spacing, with the uncertainty of the pixel size in it."""
        d = self.d_spacing
        return Measured(d.value, float(np.hypot(d.err, self.scale_err * d.value)), d.unit)

    def __str__(self) -> str:
        if self.reason:
            return f"no spot: {self.reason}"
        return (f"d = {self.d_spacing} (scale ± {100 * self.scale_err:.2g} %), angle {self.angle}, "
                f"{self.n_fringes:.0f} fringes")


def spot(
    image: Image, k_yx: ArrayLike, box: tuple[int, int, int, int] | None = None, *,
    reach: float | None = None, false_alarm_rate: float = FALSE_ALARM_RATE,
) -> PickedSpot:
    """Measure the reflection that a person points at in the transform of an image.

    Of the peaks that stand out of the noise around them, the strongest near the click is taken;
    where its fringes are strong and in step is found, and there its frequency is refined together
    with those of the other clear spots of the box, all by the methods of `lattice`.

    Parameters
    ----------
    image
        A single real-valued picture in nm or px.
    k_yx
        Wave vector (y, x; y down) in cycles per unit of `image.calibration`, as `process.fourier`
        counts them.
    box
        ``(top, left, bottom, right)`` of the part whose transform it is, in whole pixels.
    reach
        How far the spot may be from the click, in cycles per unit; three cells of the transform
        and a hundredth of a cycle per pixel, the larger of the two, if not given.
    false_alarm_rate
        Accepted probability that noise within reach passes for a spot.

    Raises
    ------
    ImageError
        If the image is not a single real-valued picture in real space.
    ParameterError
        If the wave vector is not two numbers, or the reach not positive.

    References
    ----------
    See `emtools.lattice`: Scargle, Astrophys. J. 263 (1982) 835; Hytch, Snoeck & Kilaas,
    Ultramicroscopy 74 (1998) 131; Rife & Boorstyn, IEEE Trans. Inf. Theory 20 (1974) 591.
    """
    k = np.asarray(k_yx, dtype=float)
    if k.shape != (2,) or not np.isfinite(k).all():
        raise ParameterError("k_yx", f"is no wave vector: {k_yx!r}", "give two numbers, y and x")
    if reach is not None and not (np.isfinite(reach) and reach > 0):
        raise ParameterError("reach", f"must be positive, not {reach}")
    if not 0 < false_alarm_rate < 1:
        raise ParameterError("false_alarm_rate", f"must lie in 0 ... 1, not {false_alarm_rate}")
    plane = as_plane(image if box is None else cropped(image, box), copy=False)
    if plane.unit not in ("nm", "px"):
        raise ImageError(image.name, f"has axes in {plane.unit}", "give a picture in real space")
    found = _found(plane, k, reach, false_alarm_rate)
    modality: Literal["HAADF", "TEM"] = (
        "TEM" if image.acquisition.modality in ("TEM", "BF") else "HAADF")
    if isinstance(found, str):
        return _no_spot(found, k, plane.calibration, modality)
    return _picked(found, plane.calibration, modality)


def _picked(
    one: Spot, calibration: Calibration, modality: Literal["HAADF", "TEM"]
) -> PickedSpot:
    unit, length = calibration.unit, one.length
    return PickedSpot(
        "", one.k, one.covariance, Measured(1.0 / length, one.length_err / length**2, unit),
        Measured(length, one.length_err, f"1/{unit}"),
        Measured(float(line_angle_deg(one.k)), one.angle_err_deg, "deg"), one.fringes.snr,
        one.p_value, one.area, float(2.0 * np.sqrt(one.area / np.pi) * length), calibration,
        modality)


def _no_spot(
    reason: str, k: Floats, calibration: Calibration, modality: Literal["HAADF", "TEM"]
) -> PickedSpot:
    nan, unit = float("nan"), calibration.unit
    return PickedSpot(reason, k, np.full((2, 2), nan), Measured(nan, unit=unit),
                      Measured(nan, unit=f"1/{unit}"), Measured(nan, unit="deg"), nan, nan, nan,
                      nan, calibration, modality)


def _found(plane: Plane, k: Floats, reach: float | None, rate: float) -> Spot | str:
    """The reflection, or why there is none."""
    clicked = plane.calibration.cycles_per_pixel(k)
    shape = np.array(plane.values.shape)
    if np.abs(clicked).max() > _NYQUIST:
        return "beyond the Nyquist frequency: these pixels cannot show such fringes"
    if np.hypot(*(clicked * shape)) < _NEAREST_CELLS:
        return (f"near the zero frequency: fewer than {_NEAREST_CELLS:.0f} fringes across the box "
                "cannot be told from its ground")
    if plane.constant:
        return "all pixels have the same value"
    own = np.maximum(_REACH_CELLS / shape, _REACH_CYCLES)
    within = own if reach is None else np.full(2, reach * plane.calibration.pixel_size)
    within = np.minimum(within, _REACH_SHARE * np.hypot(*clicked))
    scale = min(_FLAT_PERIODS / np.hypot(*clicked), 0.5 * shape.min())
    flat = flatten(plane.values, plane.mask, float(scale), normal=True)
    seen = _Transform.of(flat, plane.calibration)
    seed = _seed(seen, clicked, within, rate)
    return seed if isinstance(seed, str) else _refined(flat, seen, seed)


@dataclass(frozen=True)
class _Transform:
    """Half transform of the box, and its smooth noise."""

    half: NDArray[np.complex64]
    shape: tuple[int, int]
    calibration: Calibration
    floor: NoiseFloor

    @classmethod
    def of(cls, flat: NDArray[np.float32], calibration: Calibration) -> _Transform:
        shape = (flat.shape[0], flat.shape[1])
        half = transform(flat)
        return cls(half, shape, calibration, noise_floor(half, shape, hann_weight(shape)))

    def peaks(self, d_range: tuple[float, float], rate: float, trials: float | None) -> Peaks:
        """Peaks at such spacings, judged by so many independent cells (None: by all)."""
        cells = lay_out(self.shape, self.calibration, d_range, self.floor)
        if not cells.searched:
            return Peaks.none()
        # Chances are small: that of some cells is their share of the chance of all.
        share = 1.0 if trials is None else trials * cells.single(rate, 1) / rate
        found = find_peaks(self.half[None], cells, hann_weight(self.shape),
                           min(rate / share, _LIKELY))
        return replace(found, p_value=np.minimum(found.p_value * share, 1.0))

    def strongest(self, clicked: Floats, within: Floats) -> float:
        """Power of the strongest cell within reach over that of the cells around."""
        f_y = np.fft.fftfreq(self.shape[0])[:, None] - clicked[0] * np.sign(clicked[1] or 1)
        f_x = np.fft.rfftfreq(self.shape[1]) - abs(clicked[1])
        away = np.hypot(f_y / within[0], f_x / within[1])
        power = np.abs(self.half) ** 2
        around = power[(away > 1.0) & (away < 3.0)]
        level = float(np.median(around)) / np.log(2.0) if around.size else 1.0
        return float(power[away <= 1.0].max(initial=0.0)) / max(level, 1e-30)


def _seed(seen: _Transform, clicked: Floats, within: Floats, rate: float) -> Seed | str:
    """The peak of the transform that was meant, or why there is none."""
    shape = np.array(seen.shape)
    k = float(np.hypot(*seen.calibration.wave_vectors(clicked)))
    width = float(np.max(2.0 * within + _RING_CELLS / shape)) / seen.calibration.pixel_size
    trials = max(np.pi * float(np.prod(within * shape)) / _CORRELATED, 1.0)
    peaks = seen.peaks((1.0 / (k + width), 1.0 / max(k - width, 0.1 * k)), rate, trials)
    sign = np.where(peaks.frequency @ clicked < 0, -1.0, 1.0)
    away = np.hypot(*((peaks.frequency * sign[:, None] - clicked) / within).T)
    if not (away <= 1.0).any():
        if away.size and away.min() < _BESIDE:
            return "no maximum within reach: click nearer to the middle of the spot"
        return ("not above the noise: the strongest cell within reach has "
                f"{seen.strongest(clicked, within):.1f} times the power of those around it")
    meant = np.where(away <= 1.0, np.log(peaks.excess) - (away / _CLICKED) ** 2, -np.inf)
    n = int(np.argmax(meant))
    peak = replace(peaks.one(n), frequency=peaks.frequency[n] * sign[n])
    return Seed(peak, 0.5 * (shape - 1.0), shape.astype(float), float(peaks.apart[n]))


def _refined(
    flat: NDArray[np.float32], seen: _Transform, seed: Seed
) -> Spot | str:
    """The frequency of a seed's fringes where they are, without what other spots leak into it."""
    peak = seed.peak
    domain = grow(flat, seed)
    wave_number = float(np.hypot(*peak.frequency))
    if domain is None or 2.0 * np.sqrt(domain.area_px / np.pi) * wave_number < _FEWEST_FRINGES:
        domain = _everywhere(seen.shape)
    longest = 1.0 / (_NEAREST_CELLS / min(seen.shape) / seen.calibration.pixel_size)
    shortest = seen.calibration.pixel_size / _NYQUIST
    every = seen.peaks((shortest, longest), _OTHERS_RATE, None)
    strongest = np.argsort(-every.excess, kind="stable")[:_MOST_OTHERS]
    apart = _APART_CELLS / domain.extent_px
    frequencies = [peak.frequency]
    for other in every.frequency[strongest]:
        if not any(close(other, one, apart) for one in frequencies):
            frequencies.append(other)
    fringes = refine(flat, domain, np.array(frequencies))
    clear = [one.frequency for one in fringes[1:] if one.snr > _FAINTEST_OTHER]
    if len(clear) < len(fringes) - 1:
        fringes = refine(flat, domain, np.array([peak.frequency, *clear]))
    if fringes[0].snr < _FAINTEST:
        return (f"not above the noise: {fringes[0].snr:.1f} times that beside the fringes where "
                "they are strongest")
    # Fringes that bend or jump (a scan that shakes) have no frequency to tell.
    moved = np.abs(fringes[0].frequency - peak.frequency) * domain.extent_px
    if moved.max() > _MOVED or np.trace(fringes[0].covariance) > (_VAGUE * wave_number) ** 2:
        return "the fringes there are not in step: no single frequency describes them"
    return in_units(fringes[0], domain.area_px, peak.p_value, seen.calibration)


def _everywhere(shape: tuple[int, int]) -> Domain:
    """The whole box, for fringes that are too faint for an outline."""
    block = max(1, min(shape) // 24)
    size = [len(nodes(n, block)) for n in shape]
    return Domain((0, 0), shape, block, np.ones((size[0], size[1])))
