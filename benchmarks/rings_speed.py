"""`rings` beside pyFAI and pyxem on one pattern: time, and how far the spacings are off.

The peers integrate about a centre that they are given and fit nothing; a peak of their profile is
the vertex of a parabola through three bins.  `rings` is given nothing.  Times are medians of
repeats that alternate in one process: ratios are what to read.  pyxem takes minutes for 512 x 512
and more memory than most machines have for 2048 x 2048, so it runs once, on the small pattern.
pyFAI and pyxem come with `pip install .[bench]`.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.signal import find_peaks

from emtools import Image, simulate
from emtools.measure.rings import rings

Action = Callable[[], NDArray]
Make = Callable[[NDArray, tuple[float, float]], Action]

LARGE, SMALL, REPEATS, AIM = 2048, 512, 5, 20
WIDTH_PER_NM = 15.36  # of the patterns


def pattern(side: int, ellipticity: float) -> tuple[Image, NDArray, tuple[float, float]]:
    """Gold with a beam stop, its centre far off the middle: image, true spacings, centre."""
    centre = (0.44 * side, 0.552 * side)
    image, truth = simulate.rings(
        "Au", shape=(side, side), pixel_size_per_nm=WIDTH_PER_NM / side, centre_px=centre,
        ellipticity=ellipticity, stop_px=0.02 * side, counts=200.0, rng=3)
    spacings = truth["rings"]["d_spacing_nm"].to_numpy()
    return image, np.sort(spacings)[::-1], centre


def with_pyfai(data: NDArray, centre: tuple[float, float]) -> Action:
    """Azimuthal integration about a known centre; k of the bins and their means."""
    from pyFAI.azimuthalIntegrator import AzimuthalIntegrator

    # Far away and with small pixels the radius on the detector is the scattering vector.
    pixel_m = 1e-5
    detector = AzimuthalIntegrator(dist=1.0, poni1=(centre[0] + 0.5) * pixel_m,
                                   poni2=(centre[1] + 0.5) * pixel_m, pixel1=pixel_m,
                                   pixel2=pixel_m, wavelength=1e-12)

    def run() -> NDArray:
        found = detector.integrate1d(data, round(0.7 * len(data)), unit="r_mm",
                                     method=("bbox", "csr", "cython"), correctSolidAngle=False)
        step = WIDTH_PER_NM / len(data)
        return np.array([np.asarray(found.radial) / (1000 * pixel_m) * step, found.intensity])

    return run


def with_pyxem(data: NDArray, centre: tuple[float, float]) -> Action:
    """The same with pyxem, its calibration set beforehand."""
    from pyxem.signals import Diffraction2D

    signal = Diffraction2D(data)
    signal.calibration(scale=WIDTH_PER_NM / len(data), units="nm^-1", center=centre[::-1])

    def run() -> NDArray:
        found = signal.get_azimuthal_integral1d(npt=round(0.7 * len(data)), inplace=False,
                                                show_progressbar=False)
        return np.array([found.axes_manager[-1].axis, found.data])

    return run


def peaks(profile: NDArray) -> NDArray:
    """1/k of the maxima of a profile: vertices of parabolas through three bins."""
    k, mean = profile
    at, _ = find_peaks(mean, prominence=0.02 * float(np.nanmax(mean[k > 3])), width=3)
    at = at[k[at] > 3]
    left, middle, right = mean[at - 1], mean[at], mean[at + 1]
    vertex = k[at] + 0.5 * (left - right) / (left - 2 * middle + right) * (k[1] - k[0])
    return 1.0 / vertex


def off(spacings: NDArray, truth: NDArray) -> str:
    """How far the four first true spacings are met, in per cent."""
    errors = []
    for true in truth[:4]:
        nearest = spacings[np.argmin(abs(spacings / true - 1))] if spacings.size else np.nan
        errors.append(100 * (nearest / true - 1))
    return " ".join(f"{error:+7.3f}" for error in errors)


def timed(actions: dict[str, Action], repeats: int) -> dict[str, float]:
    """Median seconds of each, taken in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def compare(side: int, ellipticity: float, peers: dict[str, Make], repeats: int) -> None:
    """Print seconds, ratios and errors of all on one pattern."""
    image, true, centre = pattern(side, ellipticity)
    data = np.asarray(image.load(), dtype=np.float64)
    actions: dict[str, Action] = {
        "rfft2": lambda: fft.rfft2(data, workers=2), "rings": lambda: rings(image),
        **{name: make(data, centre) for name, make in peers.items()}}
    found = {"rings": rings(image).tables["rings"]["d_spacing_nm"].to_numpy()}
    seconds = timed(actions, repeats)
    found |= {name: peaks(actions[name]()) for name in peers}
    print(f"{side} x {side}, gold, beam stop, ellipticity {ellipticity:g}; d off (%) for "
          f"{', '.join(f'{1000 * d:.1f}' for d in true[:4])} pm")
    for name, value in seconds.items():
        print(f"  {name:6s} {1000 * value:9.0f} ms {value / seconds['rfft2']:9.1f} x rfft2  "
              f"{off(found[name], true) if name in found else ''}", flush=True)


def main() -> None:
    warnings.simplefilter("ignore")
    rings(pattern(SMALL, 0.0)[0])  # what is compiled once is no part of it
    for ellipticity in (0.0, 0.02):
        compare(LARGE, ellipticity, {"pyFAI": with_pyfai}, REPEATS)
    print(f"  aim for rings: {AIM} x rfft2; the peers are told the centre and fit no ellipse")
    compare(SMALL, 0.0, {"pyFAI": with_pyfai, "pyxem": with_pyxem}, 1)


if __name__ == "__main__":
    main()
