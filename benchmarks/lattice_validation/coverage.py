"""Recall against SNR, errors against the bound, and how often the intervals hold the truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from emtools import lattice
from lattice_validation import naive
from lattice_validation.model import Setting, Truth, picture, random_setting
from lattice_validation.scoring import (
    Report,
    each,
    match,
    pull_line,
    seeds,
    share,
    table,
    wave_vectors,
)

REACH = 1.5  # of 1 / domain: what still counts as the same spot
SNRS = (7.0, 8.5, 10.0, 12.0, 15.0, 20.0, 30.0, 50.0, 100.0)
FAINT = (3.0, 4.0, 5.0, 5.5, 6.0, 6.5, 7.0, 8.0, 10.0, 13.0, 20.0)
Job = tuple[Setting, np.random.SeedSequence]


def trial(job: Job) -> list[dict[str, Any]]:
    """Measure one picture: a row for each of its two waves, and the number of false spots."""
    setting, seed = job
    image, truth = picture(setting, np.random.default_rng(seed))
    result = lattice(image).tables
    found = result["reflections"]
    where = wave_vectors(found)
    reach = REACH / truth.extent_nm
    hits = match(where, truth.k_per_nm, reach)
    plain = naive.spots(image)
    plain_hits = match(plain, truth.k_per_nm, reach)
    false = [len(spots) - len({h for h in of if h >= 0})
             for spots, of in ((found, hits), (plain, plain_hits))]
    return [_row(setting, truth, found, plain, i, (hits[i], plain_hits[i]))
            | {"false": false[0], "naive_false": false[1], "grains": len(result["grains"])}
            for i in range(len(hits))]


def _row(
    setting: Setting, truth: Truth, found: pd.DataFrame, plain: Any, i: int,
    hits: tuple[int, int],
) -> dict[str, Any]:
    d = float(truth.d_nm[i])
    row = {**vars(setting), "d_nm": d, "bound_nm": float(truth.d_bound_nm[i]), "wave": i,
           "seen": hits[0] >= 0, "naive_seen": hits[1] >= 0,
           "error_nm": np.nan, "sigma_nm": np.nan, "naive_error_nm": np.nan,
           "stated_snr": np.nan, "found_nm": np.nan}
    if hits[0] >= 0:
        one = found.iloc[hits[0]]
        row |= {"error_nm": one["d_spacing_nm"] - d, "sigma_nm": one["d_spacing_err_nm"],
                "stated_snr": one["snr"], "found_nm": one["domain_nm"]}
    if hits[1] >= 0:
        row["naive_error_nm"] = 1 / float(np.hypot(*plain[hits[1]])) - d
    return row


def measured(jobs: list[Job]) -> pd.DataFrame:
    """Rows of many pictures."""
    return table([row for rows in each(trial, jobs) for row in rows])


def recall(n: int) -> pd.DataFrame:
    """Recall of waves against their SNR, ours and the naive one's."""
    report = Report("recall", f"Recall of fringes against their amplitude SNR, {2 * n} waves each")
    report.add("SNR = sqrt(sum A(r)^2 / 2 / S) over the crystal.  Naive: Hann window, FFT, local "
               f"maxima over {naive.THRESHOLD:g} x the median modulus.")
    report.add()
    frames = []
    cases: dict[str, dict[str, Any]] = {
        "crystal fills 512 x 512 px, white": {
            "outline": "frame", "pixel_nm": 0.02, "domain_nm": 10.24, "coloured": False,
            "stretch": 1.0},
        "disc of 5 nm in 8 nm, white": {
            "outline": "disc", "pixel_nm": 0.03, "domain_nm": 5.0, "coloured": False,
            "stretch": 1.0},
    }
    for number, (name, fixed) in enumerate(cases.items()):
        report.add(name)
        jobs = []
        for level, snr in enumerate(FAINT):
            for seed in seeds(n, 100 * number + level):
                rng = np.random.default_rng(seed.spawn(1)[0])
                jobs.append((random_setting(snr, rng, **fixed), seed))
        rows = measured(jobs).assign(case=name)
        frames.append(rows)
        for snr, part in rows.groupby("snr"):
            report.add(f"  SNR {snr:5.1f}   ours {share(int(part['seen'].sum()), len(part)):24s} "
                       f"naive {share(int(part['naive_seen'].sum()), len(part)):24s} "
                       f"false spots: ours {part['false'].sum() // 2}, naive "
                       f"{part['naive_false'].sum() // 2}")
        report.add()
    report.save()
    return pd.concat(frames)


def coverage(n: int) -> pd.DataFrame:
    """Coverage, bias and error over bound, by SNR and by what else varies."""
    report = Report("coverage", "Spacings of crystals of two waves under exact conditions: "
                    f"{n} pictures per SNR, all else drawn at random")
    report.add("Pixels 0.01-0.05 nm, domains 2.2 nm to 1000 px, discs, balls and full frames, "
               "white and coloured noise, any rotation, PbS CuInS2 Au Si in four zones.")
    report.add("error/bound: rms error over the Cramer-Rao bound (known outline).")
    rows = measured([(random_setting(snr, np.random.default_rng(seed.spawn(1)[0])), seed)
                     for level, snr in enumerate(SNRS) for seed in seeds(n, 1000 + level)])
    rows["size"] = pd.cut(rows["domain_nm"], [0, 3, 5, 10, 20, 300],
                          labels=["2.2-3 nm", "3-5 nm", "5-10 nm", "10-20 nm", "> 20 nm"])
    rows["fringes"] = pd.cut(rows["domain_nm"] / rows["d_nm"], [0, 8, 12, 20, 40, 1000])
    for column in ("snr", "pixel_nm", "size", "fringes", "outline", "coloured", "phase", "stretch"):
        report.add()
        report.add(f"by {column}")
        for value, part in rows.groupby(column, observed=True):
            report.add(f"  {value!s:14s} recall {100 * part['seen'].mean():5.1f} %  {line(part)}")
    report.add()
    report.add(f"all            {line(rows)}")
    plain = rows[rows["naive_seen"]]
    ratio = plain["naive_error_nm"] / plain["bound_nm"]
    report.add(f"naive          n {len(plain)}  rms error/bound {np.sqrt(np.mean(ratio**2)):.2f}  "
               f"median |error|/bound {np.median(np.abs(ratio)):.2f} (ours "
               f"{np.median(np.abs(rows['error_nm'] / rows['bound_nm']).dropna()):.2f}; "
               "ideal 0.67)")
    report.add(f"false spots    {rows['false'].sum() // 2} in {len(rows) // 2} pictures (naive "
               f"{rows['naive_false'].sum() // 2}); pictures "
               f"with more than one grain {int((rows['grains'] > 1).sum() // 2)}")
    report.add()
    for step in (1.0, 3.0):
        bright(report, step, max(n // 2, 10))
    large(report)
    report.save()
    return rows


def bright(report: Report, step: float, n: int) -> None:
    """Discs with a sharp outline, brighter than the ground."""
    jobs = []
    for level, snr in enumerate((15.0, 30.0)):
        for seed in seeds(n, 1800 + level):
            rng = np.random.default_rng(seed.spawn(1)[0])
            jobs.append((random_setting(snr, rng, outline="disc", step=step, pixel_nm=0.03), seed))
    rows = measured(jobs)
    report.add(f"sharp disc brighter by {step:g} sigma of a pixel, SNR 15 and 30: recall "
               f"{100 * rows['seen'].mean():5.1f} %  {line(rows)}")


def large(report: Report) -> None:
    """Frames of 200 nm: 4000 pixels of 0.05 nm."""
    jobs = []
    for level, snr in enumerate((10.0, 30.0, 100.0)):
        for seed in seeds(6, 1900 + level):
            rng = np.random.default_rng(seed.spawn(1)[0])
            jobs.append((random_setting(snr, rng, pixel_nm=0.05, domain_nm=200.0,
                                        outline="frame", stretch=1.0), seed))
    rows = measured(jobs)
    report.add(f"200 nm (4000 px) filled  recall {100 * rows['seen'].mean():5.1f} %  {line(rows)}")


def line(rows: pd.DataFrame) -> str:
    """Return coverage and the like of the waves that were seen."""
    seen = rows[rows["seen"]]
    return pull_line(seen["error_nm"], seen["sigma_nm"], seen["bound_nm"])
