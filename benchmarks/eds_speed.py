"""Time of `eds` on all pixels of a spectrum image, beside HyperSpy's fits of the same model.

Times are medians of repeats that alternate in one process; ratios are what to read.  The non-linear
fit of HyperSpy is timed on a part of the pixels and extrapolated.  Takes some minutes.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np

import emtools
from emtools import Axis, Image, simulate, xrays
from emtools.measure.eds.areas import Shapes
from emtools.measure.eds.fit import fit_spectrum
from emtools.measure.eds.identify import Setting
from emtools.measure.eds.response import Response
from emtools.model import Acquisition
from emtools.process.spectra import as_spectra

TILE, TILES, CHANNELS, CHANNEL_KEV = 64, 4, 2048, 0.01
ELEMENTS = ("C", "O", "S", "Cu", "Pb")
REPEATS, PART = 5, 6  # side of the square that the non-linear fit is timed on
NONLINEAR_AIM, LINEAR_AIM, READ_AIM = 100, 3, 3
SOFTEST = 18


def cube() -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Return counts ``(256, 256, 2048)``: one simulated scan repeated, Poisson noise and all."""
    (image, _), _ = simulate.spectrum_image("PbS", shape=(TILE, TILE), channels=CHANNELS,
                                            channel_keV=CHANNEL_KEV, counts=80.0, rng=0)
    return np.tile(np.asarray(image.data), (TILES, TILES, 1))


def as_image(data: Any) -> Image:
    """Return the spectrum image."""
    axes = (Axis("y", data.shape[0], 0.8, "nm"), Axis("x", data.shape[1], 0.8, "nm"),
            Axis("energy", CHANNELS, CHANNEL_KEV, "keV", source="user"))
    return Image(data, axes, acquisition=Acquisition(modality="EDS", beam_energy_keV=200.0))


def hyperspy_model(data: Any) -> Any:
    """Return eXSpy's model of the same elements."""
    import exspy

    signal = exspy.signals.EDSTEMSpectrum(np.ascontiguousarray(data[..., SOFTEST:]))
    axis = signal.axes_manager.signal_axes[0]
    axis.scale, axis.offset, axis.units = CHANNEL_KEV, SOFTEST * CHANNEL_KEV, "keV"
    signal.set_microscope_parameters(beam_energy=200.0, energy_resolution_MnKa=130.0)
    signal.set_elements(list(ELEMENTS))
    signal.add_lines()
    return signal.create_model()


def seconds(action: Any, repeats: int) -> float:
    """Return the median of the seconds that an action takes."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def say(text: str) -> None:
    print(text, flush=True)


def against_hyperspy(data: Any) -> None:
    """Print all pixels against HyperSpy's linear and non-linear fits, and against one reading."""
    image = as_image(data)
    spectra = as_spectra(image)
    setting = Setting(spectra.energy_keV[SOFTEST:], 200.0, xrays.Detector(), Response(),
                      lambda _: [])
    fit = fit_spectrum(setting.model(ELEMENTS), data.sum(axis=(0, 1))[SOFTEST:].astype(float))
    shapes, channels = Shapes(fit), slice(SOFTEST, CHANNELS)
    every = range(len(fit.model.families))
    ours = seconds(lambda: shapes.maps(spectra, channels, every), REPEATS)
    read = seconds(lambda: data.astype(np.float32).sum(), REPEATS)
    whole = seconds(lambda: emtools.eds(image, elements=ELEMENTS), 3)
    model = hyperspy_model(data)
    linear = seconds(lambda: model.multifit(optimizer="lstsq", show_progressbar=False), 1)
    part = hyperspy_model(data[:PART, :PART])
    nonlinear = seconds(lambda: part.multifit(show_progressbar=False), 1)
    nonlinear *= data.shape[0] * data.shape[1] / PART**2
    say(f"{data.shape[0]} x {data.shape[1]} x {CHANNELS}, mean {data.mean():.3f} counts a channel")
    say(f"  all pixels, signed counts, covariances   {ours:8.2f} s")
    say(f"  whole `eds`, sum fitted and identified   {whole:8.2f} s")
    say(f"  reading it once (to float32, summed)     {read:8.2f} s: all pixels take "
        f"{ours / read:.1f} x that (aim {READ_AIM})")
    say(f"  HyperSpy, linear, all pixels             {linear:8.2f} s: {linear / ours:.0f} x ours "
        f"(aim {LINEAR_AIM}), {linear / whole:.1f} x the whole")
    say(f"  HyperSpy, non-linear, from {PART**2} pixels     {nonlinear:8.0f} s: "
        f"{nonlinear / ours:.0f} x ours (aim {NONLINEAR_AIM})")


def lazily(data: Any) -> None:
    """Print time and memory of spectra that are read block by block from a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cube.zarr"
        da.from_array(np.tile(data, (2, 2, 1)), chunks=(64, 64, CHANNELS)).to_zarr(str(path))
        done = subprocess.run([sys.executable, __file__, "lazy", str(path)], check=True,
                              capture_output=True, text=True)
        say(done.stdout.strip())


def one_lazy(path: str) -> None:
    lazy = da.from_zarr(path)
    size = lazy.nbytes / 2**20
    emtools.eds(as_image(lazy[:64, :64]), elements=ELEMENTS)  # imports and compiled loops
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    start = time.perf_counter()
    emtools.eds(as_image(lazy), elements=ELEMENTS)
    took = time.perf_counter() - start
    start = time.perf_counter()
    lazy.sum(axis=(0, 1)).compute(scheduler="synchronous")
    read = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    say(f"lazy, {' x '.join(map(str, lazy.shape))} from a file, {size:.0f} MiB: whole `eds` "
        f"{took:.1f} s, {took / read:.1f} x reading it once; {peak - before:.0f} MiB above "
        f"the rest = {(peak - before) / size:.2f} of the data")


def main() -> None:
    if sys.argv[1:2] == ["lazy"]:
        one_lazy(sys.argv[2])
        return
    warnings.simplefilter("ignore")
    data = cube()
    emtools.eds(as_image(data[:16, :16]), elements=ELEMENTS)
    against_hyperspy(data)
    lazily(data)


if __name__ == "__main__":
    main()
