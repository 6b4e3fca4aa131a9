"""Periodic fringes along a line: whether there are any, and their spacing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from emtools.errors import ParameterError
from emtools.model import Measured

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_FEWEST = 4.0  # periods on the line
_NYQUIST = 0.5 / 1.025  # cycles per sample
_OVERSAMPLED = 4  # frequencies tried to each cell of the transform
_BESIDE = (2.5, 10.0)  # cells: where the noise beside a peak is looked for
_LOWEST = 1.5  # cells from zero, where the ground is left
_FEWEST_BESIDE = 3.0  # independent cells that tell a level
_WIDER = 0.5  # of its frequency, where that is more
_CORRELATED = 1.6  # cells of a Hann window's noise that are worth one
_OVERTONES = (3, 2)  # a stronger one of them does not hide the period itself
_PERIOD_POWER = 0.05  # of the strongest peak's, that the period itself must have
_CELLS_OFF = 1.0
_SMOOTH_PERIODS = 2.0  # over which the fringes' amplitude is followed
_SMOOTH_SHARE = 1 / 16  # of the line, if that is more
_INSIDE = 0.5  # of the highest amplitude
_NEARLY_ALL = 0.8  # of the line: fringes run through all of it
_STEPS = 12
_TAPER = 1.5  # periods at both ends of the weights
_TAPER_SHARE = 1 / 6
_NOISE_CELLS = (1.2, 8.0)  # beside the refined frequency
_LOWEST_NOISE = 0.6  # of the frequency
# The part with fringes is found in the same noise, and faint fringes are found where noise helps:
# what that adds to the error, as in `lattice`, times and in quadrature over the SNR.
_DRAWN = (1.05, 5.0)
_LEAST_SAMPLES = 16
_ROUNDING = 1e-6  # of the values: what interpolation leaves of a constant


@dataclass(frozen=True)
class FringesAlong:
    """Periodic fringes along a line, or why there are none; true in conditions if there are.

    Parameters
    ----------
    reason
        Why none were found; empty if there are some.
    spacing
        Their period along the line, with its statistical error: no plane spacing unless the line
        runs along the planes' normal.
    n_fringes
        Periods within the part of the line where they are.
    start, end
        That part.
    snr
        Amplitude over that of the noise at this frequency.
    p_value
        Probability that noise shows such a period anywhere in the spectrum.
    """

    reason: str
    spacing: Measured
    n_fringes: float = 0.0
    start: float = float("nan")
    end: float = float("nan")
    snr: float = float("nan")
    p_value: float = float("nan")

    def __bool__(self) -> bool:
        return not self.reason


def find_fringes(
    s: Floats, intensity: Floats, unit: str, false_alarm_rate: float = 1e-3
) -> FringesAlong:
    """Measure the spacing of the strongest periodic fringes of a profile.

    A peak of the windowed spectrum that stands out of the frequencies beside it is refined by least
    squares over the part of the line where the fringes are strong, with weights that rise from its
    ends; the error comes from the noise beside that frequency.

    Parameters
    ----------
    s
        ``(n,)`` even steps.
    intensity
        ``(n,)``; NaN where nothing is seen.
    unit
        Of `s`.
    false_alarm_rate
        Accepted probability that noise passes for fringes.

    References
    ----------
    Scargle, Astrophys. J. 263 (1982) 835; Rife & Boorstyn, IEEE Trans. Inf. Theory 20 (1974) 591.
    """
    if not 0 < false_alarm_rate < 1:
        raise ParameterError("false_alarm_rate", f"must lie in 0 ... 1, not {false_alarm_rate}")
    none = Measured(float("nan"), unit=unit)
    used = np.isfinite(intensity)
    if used.sum() < _LEAST_SAMPLES:
        return FringesAlong(f"the line has {used.sum()} samples, {_LEAST_SAMPLES} are needed", none)
    if not float(np.ptp(intensity[used])) > _ROUNDING * float(np.abs(intensity[used]).max()):
        return FringesAlong("the profile is constant", none)
    values = _level(intensity, used)
    found = _peak(values, used, false_alarm_rate)
    if isinstance(found, str):
        return FringesAlong(found, none)
    frequency, p_value = found
    fitted = _Fit.of(values, used, frequency)
    if fitted is None:
        return FringesAlong("not significant: the fringes are not in step along the line", none)
    step = float(s[1] - s[0])
    spacing = Measured(step / fitted.frequency, step * fitted.err / fitted.frequency**2, unit)
    first, last = fitted.part
    return FringesAlong("", spacing, fitted.frequency * (last - first), float(s[first]),
                        float(s[last - 1]), fitted.snr, p_value)


def _level(intensity: Floats, used: NDArray[np.bool_]) -> Floats:
    """Values without mean and slope; 0 where nothing is seen."""
    place = np.linspace(-1.0, 1.0, len(intensity))
    ground = np.polynomial.Polynomial.fit(place[used], intensity[used], 1)
    return np.where(used, intensity - ground(place), 0.0) / float(np.ptp(intensity[used]))


def _peak(
    values: Floats, used: NDArray[np.bool_], rate: float
) -> tuple[float, float] | str:
    """Frequency (cycles per sample) of the clearest period and its chance, or why there is none."""
    n = len(values)
    window = np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2 * used
    padded = _OVERSAMPLED * n
    power = np.abs(np.fft.rfft(window * values, padded)) ** 2
    frequency = np.arange(len(power)) / padded
    sought = np.flatnonzero((frequency >= _FEWEST / n) & (frequency <= _NYQUIST))
    tops = [i for i in sought.tolist()
            if power[i] >= max(power[i - 1], power[min(i + 1, len(power) - 1)])]
    if not tops:
        return f"no period of which the line holds {_FEWEST:.0f}"
    chances = np.array([_chance(power, frequency, i, n) for i in tops])
    trials = max(len(sought) / _OVERSAMPLED, 1.0)
    p_values = -np.expm1(trials * np.log1p(-np.minimum(chances, 1 - 1e-12)))
    clear = [(power[i], i, p) for i, p in zip(tops, p_values.tolist(), strict=True) if p < rate]
    if not clear:
        return ("not significant: noise shows such a period with a probability of "
                f"{p_values.min():.2g}")
    strongest = max(clear)
    for order in _OVERTONES:
        for one in clear:
            off = abs(one[1] * order - strongest[1]) / _OVERSAMPLED
            if off < _CELLS_OFF * order and one[0] > _PERIOD_POWER * strongest[0]:
                return float(frequency[one[1]]), one[2]
    return float(frequency[strongest[1]]), strongest[2]


def _chance(power: Floats, frequency: Floats, i: int, n: int) -> float:
    """Probability that noise is as strong in one cell, judged by the cells on either side."""
    reach = max(_BESIDE[1] / n, _WIDER * frequency[i])
    off = frequency - frequency[i]
    beside = (np.abs(off) > _BESIDE[0] / n) & (np.abs(off) < reach) & (frequency > _LOWEST / n)
    independent = beside.sum() / _OVERSAMPLED / _CORRELATED
    if independent < _FEWEST_BESIDE:
        return 1.0
    # Where the spectrum falls steeply, the side that is lower tells nothing.
    sides = [power[side] for side in (beside & (off < 0), beside & (off > 0), beside)]
    level = max(float(np.median(one)) for one in sides if one.size > 2 * _OVERSAMPLED)
    excess = float(power[i]) / max(level / np.log(2.0), 1e-300)
    return float(np.exp(-independent * np.log1p(excess / independent)))


@dataclass(frozen=True)
class _Fit:
    """Refined fringes: cycles per sample, 1 sigma of it, and the samples where they are."""

    frequency: float
    err: float
    snr: float
    part: tuple[int, int]

    @classmethod
    def of(cls, values: Floats, used: NDArray[np.bool_], frequency: float) -> _Fit | None:
        first, last = _part(values, used, frequency)
        values, used = values[first:last], used[first:last]
        n = len(values)
        values = _without_ground(values, used, frequency)
        place = np.arange(n, dtype=np.float64) - 0.5 * (n - 1)
        ramp = np.minimum(place - place[0], place[-1] - place) + 0.5
        taper = min(_TAPER / frequency, _TAPER_SHARE * n)
        weight: Floats = np.sin(0.5 * np.pi * np.clip(ramp / taper, 0.0, 1.0)) ** 2 * used
        start = frequency
        for _ in range(_STEPS):
            wave = np.exp(2j * np.pi * frequency * place)
            design = np.column_stack([wave.real, wave.imag, np.ones(n), place / n])
            fit = np.linalg.lstsq(design * np.sqrt(weight)[:, None], values * np.sqrt(weight),
                                  rcond=None)[0]
            rest = values - design @ fit
            amplitude = complex(fit[0], -fit[1])
            moved = np.imag(np.conj(amplitude) * np.conj(wave) * weight * rest * 2.0)
            centre = float((weight * place).sum() / weight.sum())
            second = float((weight * (place - centre) ** 2).sum())
            change = float((moved * (place - centre)).sum())
            frequency += change / (2 * np.pi * abs(amplitude) ** 2 * second)
            if abs(frequency - start) * n > 1.5:
                return None
        return cls._with_error(frequency, (rest, weight, place), amplitude, (first, last))

    @classmethod
    def _with_error(
        cls, frequency: float, fitted: tuple[Floats, Floats, Floats], amplitude: complex,
        part: tuple[int, int],
    ) -> _Fit:
        rest, weight, place = fitted
        n = len(rest)
        cells = frequency + np.concatenate([sign * np.linspace(*_NOISE_CELLS, 24)
                                            for sign in (1, -1)]) / n
        cells = cells[cells > _LOWEST_NOISE * frequency]
        waves = np.exp(-2j * np.pi * cells[:, None] * place)
        power = np.abs(waves @ (weight * rest)) ** 2 / (weight**2).sum()
        # Means over whole periods have taken a part of the noise away.
        density = float(np.mean(power / (1.0 - np.sinc(cells / frequency) ** 2) ** 2))
        centre = float((weight * place).sum() / weight.sum())
        from_centre = (place - centre) ** 2
        size = abs(amplitude)
        variance = 2.0 * density * float((weight**2 * from_centre).sum())
        variance /= (2 * np.pi * size * float((weight * from_centre).sum())) ** 2
        spread = np.sqrt(0.5 * density * float((weight**2).sum()))
        snr = 0.5 * size * float(weight.sum()) / max(float(spread), 1e-300)
        drawn = np.hypot(_DRAWN[0], _DRAWN[1] / max(snr, 1.0))
        return cls(frequency, float(drawn * np.sqrt(variance)), snr, part)


def _part(values: Floats, used: NDArray[np.bool_], frequency: float) -> tuple[int, int]:
    """First sample of the run where the fringes are strong, and one past its last."""
    n = len(values)
    turned = values * np.exp(-2j * np.pi * frequency * np.arange(n))
    sigma = max(_SMOOTH_PERIODS / frequency, _SMOOTH_SHARE * n)
    seen = ndimage.gaussian_filter1d(used.astype(float), sigma, mode="constant")
    sums = (ndimage.gaussian_filter1d(turned.real, sigma, mode="constant")
            + 1j * ndimage.gaussian_filter1d(turned.imag, sigma, mode="constant"))
    amplitude = np.abs(sums) / np.maximum(seen, 0.05)
    labels, _ = ndimage.label(amplitude > _INSIDE * amplitude.max())
    inside = np.flatnonzero(labels == labels[int(np.argmax(amplitude))])
    first, last = int(inside[0]), int(inside[-1]) + 1
    enough = last - first >= max(_FEWEST / frequency, _LEAST_SAMPLES)
    return (first, last) if enough and last - first < _NEARLY_ALL * n else (0, n)


def _without_ground(values: Floats, used: NDArray[np.bool_], frequency: float) -> Floats:
    """Values without what varies over more than a period: means over whole periods taken off."""
    period = 1.0 / frequency
    reach = int(np.ceil(period))
    hat = np.maximum(0.0, 1.0 - np.abs(np.arange(-reach, reach + 1)) / period)
    if len(hat) >= len(values):
        return values
    seen = np.convolve(used.astype(float), hat, mode="same")
    ground = np.convolve(np.where(used, values, 0.0), hat, mode="same") / np.maximum(seen, 1e-9)
    # Beside ends a mean is not one over whole periods: there it is carried on as it is.
    whole = np.flatnonzero(seen > 0.999 * hat.sum())
    if len(whole) < 2:
        return values
    ground = np.interp(np.arange(len(values)), whole, ground[whole])
    return np.where(used, values - ground, 0.0)
