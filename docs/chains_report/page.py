"""The page: one table of all images, one section for each, one table of those without chains."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chains_report import naive
from chains_report.beliefs import WITHOUT
from chains_report.bodies import Body, chains_as_lines, dots_and_lines
from chains_report.score import Score, same_centre, score
from chains_report.truth import Truth, load
from emtools import EmtoolsError, Image, Result, chains, read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chains_report.known import Known

    Keep = Callable[[str, Image, Result], None]

HEAD = """# Chains in real images

Written by `docs/make_chains_report.py` from the files of [real_data.md](../real_data.md), labels
included where they have any.  P, R and F1 are precision, recall and their harmonic mean; beside
ours stand Otsu's threshold with connected components (for wires: with their skeletons) and the same
parted by a watershed, which know the widths sought but nothing of ground, noise or banners.

- **boxes** (made by hand; not every particle has one, so that precision is a lower limit): a dot is
  right where its centre lies in a box, one to one;
- **bodies**: where its outline and the labelled one have half of their union in common;
- **rods**: where its centre lies in the labelled outline, one to one;
- **wires**: where 70 % of a chain's centreline lies on a wire and it is 60 % as long or longer;
- **points**: where it lies within 2 % of the picture's height;
- **mask**: by pixels.  A **count** alone has no P and R: found / stated.

The ratios are the medians of found over labelled among what is right.  Boxes and outlines of others
are drawn by hand, most a little outside the edge.  The verdicts at the end of each section are
written by hand for the measurement as it was at commit 5d372ff.

A few limits of the measurement (for example the dip and the edge limits that tell wires from rows
of dots and from edges, and the edge of the banner) were set with these images in sight, so that the
scores are not an independent check.
"""
LEGEND = ("\n| image | scored by | labels | ours P | R | F1 | Otsu P | R | F1 | "
          "watershed P | R | F1 | our size or width / labelled |\n" + "|---" * 13 + "|")


@dataclass(frozen=True)
class Outcome:
    """What came out for one image, ours first."""

    known: Known
    image: Image
    result: Result
    truth: Truth
    bodies: list[Body]
    scores: tuple[Score, ...]


def pictures(path: Path) -> list[Image]:
    """Return the pictures of a file, of stacks the first frame; none where there is no file."""
    images = read(path) if path.exists() else ()
    return [image if image.is_plane else image.select(frame=0) for image in images
            if image.is_plane or any(axis.name == "frame" for axis in image.axes)]


def measured(folder: Path, known: Known) -> Outcome:
    """Measure an image and score what was found, and what a few lines of scikit-image find."""
    image = pictures(folder / known.file)[0]
    if known.pixel_nm is not None:
        image = image.calibrated(known.pixel_nm, "nm")
    result = chains(image, min_width_nm=known.widths[0], max_width_nm=known.widths[1],
                    max_gap_nm=known.gap, contrast=known.contrast)
    picture = np.asarray(image.load(), dtype=float)
    truth = load(folder, known.file, known.kind, known.count, picture)
    pixel = image.calibration().pixel_size
    widths = known.widths[0] / pixel, known.widths[1] / pixel
    if known.kind == "wires":
        found = [chains_as_lines(image, result), naive.skeletons(picture, widths)]
    else:
        found = [dots_and_lines(image, result), naive.components(picture, widths),
                 naive.split(picture, widths)]
    return Outcome(known, image, result, truth, found[0],
                   tuple(score(truth, bodies) for bodies in found))


def page(folder: Path, images: tuple[Known, ...], negatives: tuple[tuple[str, str], ...],
         keep: Keep) -> str:
    """Return the whole page; pictures are handed over to be kept elsewhere."""
    outcomes = []
    for known in images:
        if (folder / known.file).exists():
            outcomes.append(measured(folder, known))
            keep(known.name, outcomes[-1].image, outcomes[-1].result)
    table = "\n".join([LEGEND, *(_row(outcome) for outcome in outcomes)])
    return (HEAD + table + "\n" + "".join(_section(outcome) for outcome in outcomes)
            + _without(folder, negatives, keep))


def _row(outcome: Outcome) -> str:
    scores = [*outcome.scores, None][:3]
    ours = outcome.scores[0]
    ratio = ours.width if outcome.known.kind in ("rods", "wires") else ours.size
    n = len(outcome.truth.targets) or outcome.truth.count or "mask"
    cells = " | ".join(_cells(one, outcome.known.kind) for one in scores)
    return f"| `{outcome.known.name}` | {outcome.known.kind} | {n} | {cells} | {_ratio(ratio)} |"


def _cells(one: Score | None, kind: str) -> str:
    if one is None:
        return " | | "
    if kind == "count":
        return f"{one.n_found} / {one.n_true} | | "
    return f"{_ratio(one.precision)} | {_ratio(one.recall)} | {one.f1:.2f}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else ""


def _section(outcome: Outcome) -> str:
    known, result = outcome.known, outcome.result
    high, wide = outcome.truth.shape
    nominal = " (nobody states it: all nm are pixels)" if known.pixel_nm == 1.0 else ""
    stated = "" if known.pixel_nm is None else ", stated by the user"
    lines = [f"\n## `{known.name}`\n",
             f"{known.what[0].upper()}{known.what[1:]}.  {high} x {wide} px of "
             f"{outcome.image.calibration().pixel_size:.4g} nm{stated}{nominal}; widths "
             f"{known.widths[0]:g} to {known.widths[1]:g} nm, gaps up to {known.gap:g} nm, "
             f"contrast {known.contrast}.  **{result.summary['outcome']}.**\n", *_numbers(outcome)]
    if known.belief:
        lines += ["", f"What to believe: {known.belief}"]
    return "\n".join(lines) + "\n"


def _numbers(outcome: Outcome) -> list[str]:
    summary, tables = outcome.result.summary, outcome.result.tables
    keys = ("contrast", "regime", "body", "blur_sigma", "left_out_as_too_wide", "masked")
    lines = ["- " + "; ".join(f"{key.replace('_', ' ')}: {summary[key]}" for key in keys
                              if key in summary)]
    dots, rows = tables["dots"], tables["chains"]
    if len(dots):
        sizes = np.percentile(dots["diameter_nm"], [10, 50, 90])
        lines.append(f"- {len(dots)} dots, {int((dots['chain'] > 0).sum())} of them in chains; "
                     f"diameters {sizes[1]:.3g} nm, 10 to 90 %: {sizes[0]:.3g} to {sizes[2]:.3g}")
    if len(rows):
        lines.append(f"- {len(rows)} chains, {int((rows['n_dots'] == 0).sum())} of them without "
                     f"resolved dots; widths {rows['width_nm'].median():.3g} nm, lengths "
                     f"{rows['length_nm'].median():.3g} nm (medians)")
    return lines + _scored(outcome)


def _scored(outcome: Outcome) -> list[str]:
    if not outcome.truth.targets:
        return []
    names = ("ours", "Otsu", "watershed")
    parts = [f"{name} {one.hits} of {one.n_true} right, {one.n_found - one.hits} others"
             for name, one in zip(names, outcome.scores, strict=False)]
    lines = ["- " + "; ".join(parts)]
    ours = outcome.scores[0]
    if outcome.known.kind == "bodies":
        lines.append(f"- {same_centre(outcome.truth, outcome.bodies)} of {ours.n_true} outlines "
                     "hold the centre of one of ours")
    if outcome.known.kind in ("rods", "wires") and ours.hits:
        lines.append(f"- lengths {_ratio(ours.length)} of the labelled ones, widths "
                     f"{_ratio(ours.width) or 'not labelled'}; Otsu "
                     f"{_ratio(outcome.scores[1].length) or 'none'} and "
                     f"{_ratio(outcome.scores[1].width) or 'none'}")
    return lines


def _without(folder: Path, negatives: tuple[tuple[str, str], ...], keep: Keep) -> str:
    lines = ["\n## Images without chains, measured with the parameters as they come\n",
             *textwrap.wrap(WITHOUT, 100), "",
             "| file | what it is | outcome |", "|---|---|---|"]
    for file, what in negatives:
        for number, image in enumerate(pictures(folder / file)):
            try:
                result = chains(image)
            except EmtoolsError as error:
                outcome = f"refused: {error.reason}"
            else:
                outcome = str(result.summary["outcome"])
                if len(result.tables["chains"]):
                    keep(f"{file} {number}", image, result)
            lines.append(f"| `{file}` | {what} | {outcome.replace('|', '/')} |")
    return "\n".join(lines) + "\n"
