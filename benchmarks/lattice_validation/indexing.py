"""Phase and zone axis of simulated crystals of four phases, the scale off by its uncertainty."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from emtools import lattice
from emtools.crystal import phase as find_phase
from emtools.model import Image
from emtools.simulate import crystal
from lattice_validation import naive
from lattice_validation.model import PHASES, ZONES
from lattice_validation.scoring import Floats, Report, each, seeds, share, table

SCALE_ERR = 0.025
TILT_DEG = 3.0
Job = tuple[str, tuple[int, int, int], str, float, np.random.SeedSequence]


def same_zone(phase: str, found: str, true: tuple[int, int, int]) -> bool:
    """Whether a zone axis is the true one, or equivalent to it by symmetry."""
    if not found:
        return False
    a, b = ([abs(int(i)) for i in axis] for axis in (found.split(), true))
    if phase == "CuInS2":
        return sorted(a[:2]) == sorted(b[:2]) and a[2] == b[2]
    return sorted(a) == sorted(b)


def trial(job: Job) -> dict[str, Any]:
    """Index one crystal against all four phases."""
    phase, zone, modality, tilt, seed = job
    rng = np.random.default_rng(seed)
    pixel = 0.02
    options: dict[str, Any] = {"counts": 100.0} if modality == "HAADF" else {
        "counts": 200.0, "defocus_nm": float(rng.uniform(45, 90)), "film": 0.05}
    direction = rng.uniform(0, 2 * np.pi)
    size = tilt * np.sqrt(rng.uniform())
    stated = pixel * (1 + SCALE_ERR * float(rng.standard_normal()))
    image, _ = crystal(phase, zone, shape=(512, 512), pixel_size_nm=pixel,
                       rotation_deg=float(rng.uniform(0, 180)), modality=modality,
                       tilt_deg=(size * np.sin(direction), size * np.cos(direction)),
                       stated_pixel_size_nm=stated, rng=rng, **options)
    tables = lattice(image, phases=PHASES).tables
    grains = tables["grains"]
    row = {"phase": phase, "zone": str(zone), "modality": modality, "tilt": tilt,
           "naive": naive_phase(image) == phase, "found": len(grains) > 0, "right": False,
           "zone_right": False, "ambiguous": False, "unnamed": True, "said": "",
           "off": stated / pixel - 1}
    if len(grains):
        first = grains.loc[grains["area_nm2"].idxmax()]
        row |= {"right": first["phase"] == phase, "ambiguous": bool(first["ambiguous"]),
                "unnamed": not first["phase"],
                "said": f"{first['phase']} [{first['zone_axis']}] {first['score']:.2f}, then "
                        f"{first['runner_up']}"}
        row["zone_right"] = row["right"] and same_zone(phase, first["zone_axis"], zone)
    return row


def naive_phase(image: Image) -> str:
    """Phase most of whose families lie within 3 % of a naive spot."""
    spots = naive.spots(image)
    if not len(spots):
        return ""
    d = 1 / np.hypot(*spots.T)
    return max(PHASES, key=lambda name: _explained(name, d))


def _explained(name: str, d: Floats) -> float:
    families = np.array([f.d_nm for f in find_phase(name).families(0.8 * d.min(), "HAADF")])
    off = np.abs(d[:, None] / families[None] - 1)
    # Of phases that explain all spots the one with the fewest families.
    return float((off.min(axis=1) < 0.03).mean()) - 0.01 * len(families)


def indexing(n: int) -> pd.DataFrame:
    """Accuracy over phases, zones, modalities and tilts, `n` pictures each."""
    jobs = [(phase, zone, modality, tilt, seed)
            for i, phase in enumerate(PHASES) for j, zone in enumerate(ZONES)
            for m, modality in enumerate(("HAADF", "TEM")) for t, tilt in enumerate((0.0, TILT_DEG))
            for seed in seeds(n, 20000 + 1000 * i + 100 * j + 10 * m + t)]
    rows = table(each(trial, jobs))
    report = Report("indexing", f"Phase and zone axis against {', '.join(PHASES)}: {len(rows)} "
                    f"pictures, stated pixel size off by {100 * SCALE_ERR:g} % (1 sigma)")
    report.add("right: of all pictures.  wrong, sure: another phase or zone, not flagged ambiguous."
               "  naive: most spacings within 3 % of a family, phase only.")
    for columns in (["phase", "zone", "modality", "tilt"], ["phase", "modality"], ["zone"],
                    ["tilt", "modality"]):
        report.add()
        for key, part in rows.groupby(columns, sort=False):
            report.add(f"  {' '.join(str(k) for k in key):28s} {_scores(part)}")
    report.add()
    report.add(f"  {'all':28s} {_scores(rows)}")
    report.add()
    wrong = rows[~rows["zone_right"] & ~rows["ambiguous"] & ~rows["unnamed"]]
    for row in wrong.head(30).itertuples():
        report.add(f"  wrong, sure: {row.phase} {row.zone} {row.modality} tilt {row.tilt:g}, "
                   f"pixel size off by {100 * row.off:+.1f} %: {row.said}")
    report.save()
    return rows


def _scores(rows: pd.DataFrame) -> str:
    n = len(rows)
    wrong = ~rows["zone_right"] & ~rows["ambiguous"] & ~rows["unnamed"]
    return (f"n {n:4d}  phase {share(int(rows['right'].sum()), n):22s} zone "
            f"{share(int(rows['zone_right'].sum()), n):22s} ambiguous "
            f"{100 * rows['ambiguous'].mean():3.0f} %  unnamed "
            f"{100 * rows['unnamed'].mean():3.0f} %  wrong, sure {int(wrong.sum()):3d}  naive "
            f"{100 * rows['naive'].mean():4.0f} %")
