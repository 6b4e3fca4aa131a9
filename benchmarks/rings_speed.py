"""`rings` beside pyFAI and pyxem on one pattern: time, and how far the spacings are off.

The peers integrate about a centre that they are given and fit nothing; a peak of their profile is the
vertex of a parabola through its highest bins, as in their tutorials.  `rings` is given nothing.  Times
are medians of repeats that alternate in one process: ratios are what to read.  pyFAI and pyxem come with
`pip install .[bench]`.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
from scipy import fft
from scipy.signal import find_peaks

from emtools import simulate
from emtools.measure.rings import rings

SIDE, REPEATS, AIM = 2048, 3, 20
STEP = 0.0075  # 1/nm a pixel
BINS = 1400


def pattern(ellipticity: float) -> tuple[object, dict[str, object]]:
    """Gold with a beam stop, its centre far off the middle."""
    return simulate.rings("Au", shape=(SIDE, SIDE), pixel_size_per_nm=STEP,
                          centre_px=(900.4, 1130.7), ellipticity=ellipticity, stop_px=40.0,
                          counts=200.0, rng=3)


def with_pyfai(data: np.ndarray, centre: tuple[float, float]) -> Callable[[], np.ndarray]:
    """Azimuthal integration about a known centre; k of the bins and their means."""
    from pyFAI.azimuthalIntegrator import AzimuthalIntegrator

    # Far away and with small pixels the radius on the detector is the scattering vector.
    detector = AzimuthalIntegrator(dist=1.0, poni1=centre[0] * 1e-5, poni2=centre[1] * 1e-5,
                                   pixel1=1e-5, pixel2=1e-5, wavelength=1e-12)

    def run() -> np.ndarray:
        found = detector.integrate1d(data, BINS, unit="r_mm", method=("bbox", "csr", "cython"),
                                     correctSolidAngle=False)
        return np.array([np.asarray(found.radial) / 1e-2 * STEP, found.intensity])

    return run


def with_pyxem(data: np.ndarray, centre: tuple[float, float]) -> Callable[[], np.ndarray]:
    """The same with pyxem, its calibration set beforehand."""
    from pyxem.signals import Diffraction2D

    signal = Diffraction2D(data)
    signal.calibration(scale=STEP, units="nm^-1", center=centre[::-1])

    def run() -> np.ndarray:
        found = signal.get_azimuthal_integral1d(npt=BINS, inplace=False, show_progressbar=False)
        return np.array([found.axes_manager[-1].axis, found.data])

    return run


def peaks(profile: np.ndarray) -> np.ndarray:
    """1/k of the maxima of a profile: vertices of parabolas through three bins."""
    k, mean = profile
    at, _ = find_peaks(mean, prominence=0.02 * float(np.nanmax(mean[k > 3])), width=3)
    at = at[k[at] > 3]
    left, middle, right = mean[at - 1], mean[at], mean[at + 1]
    vertex = k[at] + 0.5 * (left - right) / (left - 2 * middle + right) * (k[1] - k[0])
    return 1.0 / vertex


def off(spacings: np.ndarray, truth: np.ndarray) -> str:
    """How far the four first true spacings are met, in per cent."""
    errors = []
    for true in truth[:4]:
        nearest = spacings[np.argmin(abs(spacings / true - 1))] if spacings.size else np.nan
        errors.append(100 * (nearest / true - 1))
    return " ".join(f"{error:+7.3f}" for error in errors)


def timed(actions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each, taken in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for action in actions.values():
        action()
    for _ in range(REPEATS):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    warnings.simplefilter("ignore")
    for ellipticity in (0.0, 0.02):
        image, truth = pattern(ellipticity)
        data = np.asarray(image.load(), dtype=np.float64)
        table = truth["rings"]
        true = np.sort(table["d_spacing_nm"].to_numpy())[::-1]
        # Rings that lie on each other cannot be told from a profile's maxima: those apart.
        centre = (900.4, 1130.7)
        actions: dict[str, Callable[[], object]] = {
            "rfft2": lambda data=data: fft.rfft2(data, workers=2),
            "rings": lambda image=image: rings(image),
            "pyFAI": with_pyfai(data, centre), "pyxem": with_pyxem(data, centre)}
        seconds = timed(actions)
        found = rings(image).tables["rings"]["d_spacing_nm"].to_numpy()
        spacings = {"rings": found, "pyFAI": peaks(actions["pyFAI"]()),
                    "pyxem": peaks(actions["pyxem"]())}
        print(f"{SIDE} x {SIDE}, gold, beam stop, ellipticity {ellipticity:g}; "
              f"d off (%) for {', '.join(f'{1000 * d:.1f}' for d in true[:4])} pm")
        for name, value in seconds.items():
            errors = off(spacings[name], true) if name in spacings else ""
            print(f"  {name:6s} {1000 * value:8.0f} ms  {value / seconds['rfft2']:6.1f} x rfft2  "
                  f"{errors}", flush=True)
        print(f"  aim for rings: {AIM} x rfft2; the peers are told the centre and fit no ellipse")


if __name__ == "__main__":
    main()
