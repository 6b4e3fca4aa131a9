"""Rings against simulated truth: centre, ellipse, spacings, widths, sizes, and what is no ring.

Patterns are drawn at random over shape, pixel size, centre (to half the frame off the middle),
ellipticity, crystallite size, dose, background, beam stop, spottiness and texture; the scale is the
true one, as after a calibration.

Each true ring belongs to the found ring that is nearest.  What is found of several that lie
together (`blend`) is their mean by intensity; `overlap`: two found rings closer than two widths.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from typing import Any

import numpy as np

from emtools import simulate
from emtools.measure.rings import rings
from emtools.model import Measured

OVERLAP = 2.0  # widths within which two found rings overlap
ALONE = 0.97  # of the intensity, above which a ring is one family
PHASES = ("Au", "PbS", "CeO2", "MgO")
Numbers = dict[str, list[float]]


def drawn(rng: np.random.Generator, kind: str) -> dict[str, Any]:
    """Settings of a random pattern."""
    side = int(rng.choice([384, 512, 768]))
    shape = (side, int(side * rng.uniform(0.8, 1.2)))
    k_max = rng.uniform(8.0, 12.0)
    settings: dict[str, Any] = {
        "shape": shape, "pixel_size_per_nm": 2 * k_max / side, "counts": 10 ** rng.uniform(1, 3.5),
        "centre_px": tuple(n * rng.uniform(0.4, 0.6) for n in shape),
        "ellipticity": rng.uniform(0, 0.03), "ellipse_deg": rng.uniform(0, 180),
        "crystallite_nm": rng.uniform(3, 12), "lorentzian": rng.uniform(0, 0.6),
        "background": 10 ** rng.uniform(-0.7, 0.7), "stop_px": side * rng.choice([0, 0.03, 0.05]),
        "stop_deg": rng.uniform(0, 360), "instrument_fwhm_per_nm": 0.05,
        "phases": str(rng.choice(PHASES))}
    if kind == "off centre":
        settings["centre_px"] = tuple(n * rng.uniform(0.0, 1.0) for n in shape)
    if kind == "spotty":
        settings["crystals_per_ring"] = rng.uniform(40, 300)
    if kind == "textured":
        settings["texture"] = rng.uniform(0.3, 0.9)
        settings["texture_deg"] = rng.uniform(0, 180)
    if kind == "low dose":
        settings["counts"] = 10 ** rng.uniform(0, 1)
    if kind == "carbon":
        settings["halo"] = rng.uniform(0.2, 0.6)
    if kind == "halo alone":
        settings |= {"phases": {}, "halo": 1.0, "counts": 10 ** rng.uniform(1, 4)}
    if kind == "noise alone":
        settings |= {"phases": {}, "counts": 10 ** rng.uniform(1, 5)}
    return settings


def study(kind: str, number: int, seed: int, verbose: bool) -> Numbers:
    """Errors and pulls of many patterns of one kind."""
    found: Numbers = defaultdict(list)
    for i in range(number):
        rng = np.random.default_rng([seed, i])
        settings = drawn(rng, kind)
        image, truth = simulate.rings(rng=rng, **settings)
        start = time.perf_counter()
        result = rings(image, instrument_fwhm_per_nm=0.05)
        found["seconds"].append(time.perf_counter() - start)
        found["measured"].append(float(len(result.tables["rings"]) > 0))
        if settings["phases"] == {}:
            found["false"].append(float(len(result.tables["rings"])))
        elif len(result.tables["rings"]):
            compare(found, result, settings, truth)
        if verbose:
            print(kind, i, result.summary["outcome"], {k: v[-1] for k, v in found.items()})
    return found


def compare(found: Numbers, result: Any, settings: dict[str, Any], truth: Any) -> None:
    """Add the errors and pulls of one pattern."""
    pattern = truth["pattern"].iloc[0]
    centre = np.array([_value(result, f"centre_{axis}") for axis in "yx"])
    off = centre[:, 0] - [pattern.centre_y_px, pattern.centre_x_px]
    found["centre off"].append(float(np.hypot(*off)))
    found["centre pull"] += (off / centre[:, 1]).tolist()
    e, e_err = _value(result, "ellipticity") / 100
    found["ellipticity off"].append(e - settings["ellipticity"])
    if settings["ellipticity"] > 4 * e_err:
        found["ellipticity pull"].append((e - settings["ellipticity"]) / e_err)
    table = result.tables["rings"]
    true = truth["rings"]
    width = float(true.fwhm_per_nm.iloc[0])
    nearest = np.abs(true.k_per_nm.to_numpy()[:, None] - table.k_per_nm.to_numpy()).argmin(axis=1)
    for n, row in enumerate(table.itertuples()):
        reach = max(width, 0.6 * row.fwhm_per_nm)
        own = true[(nearest == n) & (np.abs(true.k_per_nm - row.k_per_nm) < reach)]
        if not len(own):
            found["stray"].append(float(row.snr))
            continue
        k = float(np.average(own.k_per_nm, weights=own.intensity))
        others = np.abs(np.delete(table.k_per_nm.to_numpy(), n) - row.k_per_nm)
        kind = "blend" if own.intensity.max() < ALONE * own.intensity.sum() else \
            "overlap" if (others < OVERLAP * width).any() else "apart"
        found["matched"].append(1.0)
        found["d off percent"].append(100 * abs(row.k_per_nm / k - 1))
        found[f"k pull {kind}"].append((row.k_per_nm - k) / row.k_err_per_nm)
        if kind == "blend":
            found["blend told"].append(float(not row.resolved))
        if kind == "apart" and not (np.abs(true.k_per_nm - k).between(1e-3, 2 * width)).any():
            found["width pull"].append((row.fwhm_per_nm - width) / row.fwhm_err_per_nm)
            if np.isfinite(row.crystallite_nm):
                found["size pull"].append((row.crystallite_nm - settings["crystallite_nm"])
                                          / row.crystallite_err_nm)


def _value(result: Any, name: str) -> np.ndarray[Any, Any]:
    one = result.summary[name]
    assert isinstance(one, Measured)
    return np.array([one.value, one.err])


def told(kind: str, found: Numbers) -> None:
    """Print one line for the kind, and one for each pull."""
    def of(name: str, function: Any) -> str:
        return f"{function(np.array(found[name])):8.3g}" if found[name] else "       -"

    print(f"{kind}: {len(found['seconds'])} patterns, measured "
          f"{100 * np.mean(found['measured']):.0f} %, rings matched {len(found['matched'])}, stray "
          f"{len(found['stray'])}, false {int(sum(found['false']))}")
    print(f"    centre off by, px: median{of('centre off', np.median)}, 95 %"
          f"{of('centre off', lambda v: np.percentile(v, 95))}, most {of('centre off', np.max)}")
    print(f"    d off by, %: median{of('d off percent', np.median)}, 95 %"
          f"{of('d off percent', lambda v: np.percentile(v, 95))}")
    print(f"    ellipticity off by: rms{of('ellipticity off', lambda v: np.sqrt(np.mean(v**2)))}")
    for name in ("centre pull", "ellipticity pull", "k pull apart", "k pull overlap",
                 "k pull blend", "width pull", "size pull"):
        within = of(name, lambda v: 100 * np.mean(np.abs(v) < 1.96))
        print(f"    {name:17s} n {len(found[name]):5d}  within 1.96 sigma {within} %  "
              f"mean {of(name, np.mean)}  beyond 4 {of(name, lambda v: np.sum(np.abs(v) > 4))}")


def main() -> None:
    """Study all kinds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patterns", type=int, default=40, help="of each kind")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--only", help="one kind")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    print(f"{options.patterns} patterns of each kind, seed {options.seed}; 95 % within 1.96 sigma "
          "is right", flush=True)
    for kind in ("dense", "off centre", "spotty", "textured", "low dose", "carbon", "halo alone",
                 "noise alone"):
        if options.only in (None, kind):
            told(kind, study(kind, options.patterns, options.seed, options.verbose))


if __name__ == "__main__":
    main()
