"""Pictures without a lattice, and the false-alarm rate on many small frames of noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pandas as pd
from scipy import ndimage

from emtools import lattice
from emtools.model import Acquisition, Image
from emtools.model.image import plane_image
from emtools.simulate import blank
from emtools.simulate._blank import BlankKind
from lattice_validation import naive
from lattice_validation.scoring import Floats, Report, each, interval, seeds, share, table

Job = tuple[str, float, tuple[int, int], np.random.SeedSequence]


def power_law(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Noise whose density falls as a power of the frequency, over a white floor."""
    f = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
    slope = (0.02 / np.maximum(f, 0.002)) ** rng.uniform(0.5, 2.0)
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * (0.3 + slope)
    return np.asarray(np.fft.irfft2(spectrum, s=shape))


def thon(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """A film under an astigmatic lens: rings that are ellipses."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    turn, stretch = rng.uniform(0, np.pi), rng.uniform(0.0, 0.15)
    square = (fy**2 + fx**2) * (1 + stretch * np.cos(2 * (np.arctan2(fy, fx) - turn)))
    transfer = np.sin(rng.uniform(40, 160) * square + 0.1) * np.exp(-square / 0.09)
    film = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * transfer, s=shape)
    return np.asarray(film + 0.3 * rng.standard_normal(shape))


def hot_pixels(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """White noise with a few bright pixels."""
    data = rng.standard_normal(shape)
    for _ in range(int(rng.integers(1, 12))):
        data[rng.integers(shape[0]), rng.integers(shape[1])] += rng.uniform(30, 3000)
    return data


def particles(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Discs of about the same size, close to each other: a texture, not a lattice."""
    data = 0.3 * rng.standard_normal(shape)
    radius = rng.uniform(4, 12)
    y, x = np.indices(shape)
    for _ in range(int(0.5 * shape[0] * shape[1] / (4 * radius**2))):
        square = (y - rng.uniform(0, shape[0])) ** 2 + (x - rng.uniform(0, shape[1])) ** 2
        data += np.sqrt(np.maximum(0.0, radius**2 * rng.uniform(0.8, 1.2) - square)) / radius
    return data


def atoms(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """Single bright atoms scattered on a film."""
    data = np.zeros(shape)
    rows, cols = (rng.integers(0, n, 150) for n in shape)
    data[rows, cols] = rng.uniform(20, 60, 150)
    return ndimage.gaussian_filter(data, 1.7) + 0.3 * rng.standard_normal(shape)


def blocks(shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    """White noise kept in blocks of 8 x 8 pixels, coarse as a JPEG keeps it."""
    from scipy import fft

    data = ndimage.gaussian_filter(rng.standard_normal(shape), 1.0) * 20
    tiles = data[: shape[0] // 8 * 8, : shape[1] // 8 * 8].reshape(shape[0] // 8, 8, -1, 8)
    coarse = fft.dctn(tiles, axes=(1, 3), norm="ortho")
    step = 4.0 * (1 + np.add.outer(np.arange(8), np.arange(8)))[None, :, None, :]
    return np.asarray(fft.idctn(np.rint(coarse / step) * step, axes=(1, 3), norm="ortho")
                      ).reshape(shape[0] // 8 * 8, -1)


OWN: dict[str, Callable[[tuple[int, int], np.random.Generator], Floats]] = {
    "power law": power_law, "astigmatic Thon rings": thon, "hot pixels": hot_pixels,
    "particles": particles, "single atoms": atoms, "JPEG blocks": blocks,
}
PIXELS_NM = (0.01, 0.02, 0.05, 0.1)
SHAPES = ((512, 512), (256, 400))


def negative(job: Job) -> dict[str, Any]:
    """Look for a lattice where there is none."""
    kind, pixel, shape, seed = job
    rng = np.random.default_rng(seed)
    image = _picture(kind, pixel, shape, rng)
    found = lattice(image).tables["reflections"]
    return {"kind": kind, "pixel_nm": pixel, "shape": shape, "found": len(found),
            "naive": len(naive.spots(image)), "d_nm": found["d_spacing_nm"].round(4).tolist(),
            "snr": found["snr"].round(1).tolist()}


def _picture(kind: str, pixel: float, shape: tuple[int, int], rng: np.random.Generator) -> Image:
    if kind in OWN:
        data = 50 + OWN[kind](shape, rng)
        return plane_image(data.astype(np.float32), pixel, acquisition=Acquisition("HAADF"))
    name, _, how = kind.partition(", ")
    modality = "TEM" if how == "TEM" else "HAADF"
    # 1: rows that jump by ten pixels, 1 sigma.
    strength = 1.0 if how == "strong" else float(rng.uniform(0.05, 0.3))
    return blank(name, shape=shape, pixel_size_nm=pixel, modality=modality, amplitude=strength,
                 counts=float(rng.choice([10.0, 100.0, 1000.0])), rng=rng)[0]


def negatives(n: int) -> pd.DataFrame:
    """Pictures of blank frames, `n` for each kind, pixel size and shape."""
    kinds = [*get_args(BlankKind), "amorphous, TEM", "scan_noise, strong", *OWN]
    kinds.remove("constant")
    jobs = [(kind, pixel, shape, seed) for number, kind in enumerate(kinds)
            for pixel in PIXELS_NM for shape in SHAPES
            for seed in seeds(n, 5000 + 100 * number + int(1000 * pixel) + shape[0] % 7)]
    rows = table(each(negative, jobs))
    report = Report("negatives", f"Pictures without a lattice, {len(rows)} in all, false-alarm "
                    "rate 0.001 a picture: how many show any reflection")
    report.add("hum: one sine across the whole frame, which nothing but its cause tells from "
               "fringes; it is not in the last lines.  scan_noise, strong: rows jump by 10 px.")
    for name, part in rows.groupby("kind", sort=False):
        report.add(_line(str(name), part))
    report.add()
    others = rows[rows["kind"] != "hum"]
    for pixel, part in others.groupby("pixel_nm"):
        report.add(_line(f"pixels of {pixel:4.2f} nm", part))
    report.add(_line("all but hum", others))
    report.add()
    for row in rows[rows["found"] > 0].itertuples():
        report.add(f"  false: {row.kind}, {row.pixel_nm} nm, {row.shape}: d {row.d_nm[:4]} nm, "
                   f"SNR {row.snr[:4]}")
    report.save()
    return rows


def _line(name: str, part: pd.DataFrame) -> str:
    ours, plain = (share(int((part[column] > 0).sum()), len(part)) for column in ("found", "naive"))
    return f"  {name:24s} n {len(part):4d}   ours {ours:22s}  naive {plain}"


ALPHA = 0.05


def frame(job: tuple[int, bool, bool, np.random.SeedSequence]) -> bool:
    """Whether a small frame of noise shows a reflection."""
    side, local, poisson, seed = job
    rng = np.random.default_rng(seed)
    data = rng.poisson(20.0, (side, side)) if poisson else rng.standard_normal((side, side))
    image = plane_image(data.astype(np.float32), 0.05)
    return len(lattice(image, false_alarm_rate=ALPHA, local_map=local).tables["reflections"]) > 0


def alpha(n: int) -> None:
    """Observed rate of false alarms on small frames of noise where 5 % are asked for."""
    report = Report("alpha", f"Small frames of noise at a false-alarm rate of {ALPHA}: how many "
                    "show a reflection, with the 95 % binomial interval")
    total, hits = 0, 0
    for number, side in enumerate((64, 96, 128, 200)):
        for local in (True, False):
            jobs = [(side, local, i % 2 == 1, seed)
                    for i, seed in enumerate(seeds(n // 4, 9000 + 10 * number + local))]
            found = sum(each(frame, jobs))
            low, high = interval(found, len(jobs))
            report.add(f"  {side:3d} x {side:<3d} px, local map {local!s:5s}   n {len(jobs):5d}   "
                       f"{share(found, len(jobs))}   {_word(low, high)}")
            if local:
                total, hits = total + len(jobs), hits + found
    report.add(f"  all with the local map      n {total:5d}   {share(hits, total)}   "
               f"{_word(*interval(hits, total))}")
    report.save()


def _word(low: float, high: float) -> str:
    if high < ALPHA:
        return "rarer than asked for"
    return "as asked for" if low <= ALPHA else "MORE OFTEN than asked for"
