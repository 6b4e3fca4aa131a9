"""Write docs/validation/rings.md: what the rings measurement finds in real diffraction patterns.

Reads the catalogue of the folder with real files (EMTOOLS_REAL_DATA, or shared/data beside the
repository), and the truths that stand there.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from emtools import read
from emtools.errors import EmtoolsError
from emtools.measure.rings import rings

REPOSITORY = Path(__file__).resolve().parents[1]
TARGET = REPOSITORY / "docs" / "validation" / "rings.md"
STUDY = REPOSITORY / "docs" / "validation" / "rings.txt"
SEEN = ("saed", "rings", "4d-stem")

HEAD = """# Rings: real patterns and simulated truth

Made by `docs/make_rings_report.py`; the study of simulated patterns by
`benchmarks/validate_rings.py`.

## Real diffraction patterns

"""


def main() -> None:
    """Measure every diffraction pattern of the catalogue."""
    folder = Path(os.environ.get("EMTOOLS_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "catalog.json").is_file():
        sys.exit("no catalogue of real files: set EMTOOLS_REAL_DATA")
    catalogue = json.loads((folder / "catalog.json").read_text(encoding="utf-8"))
    lines = [HEAD]
    for entry in catalogue:
        if any(word in entry["kind"].lower() for word in SEEN):
            lines += _entry(folder, entry)
    if STUDY.is_file():
        lines += ["## Simulated patterns\n", "```", STUDY.read_text(encoding="utf-8").rstrip(),
                  "```"]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _entry(folder: Path, entry: dict[str, Any]) -> list[str]:
    lines = [f"### {entry['file']}\n", f"{entry['kind']}; {entry['good_for'] or 'no remark'}."]
    if entry.get("known_truth"):
        lines.append(f"\nCatalogue: {_said(entry['known_truth'])}")
    try:
        images = [image for image in read(folder / entry["file"])
                  if image.has_axis("y") and image.has_axis("x")]
    except EmtoolsError as error:
        return [*lines, f"\nNot read: {error.reason}.\n"]
    for image in images:
        extra = {axis.name: 0 for axis in image.axes if axis.name not in ("y", "x")}
        try:
            result = rings(image.select(**extra) if extra else image)
        except EmtoolsError as error:
            lines.append(f"\n**not measured: {error.reason}**")
            continue
        lines.append(f"\n**{result.outcome}**" + (" (first frame)" if extra else ""))
        lines += [f"- {name.replace('_', ' ')}: {result.summary[name]}"
                  for name in ("centre_y", "centre_x", "ellipticity", "broad_maxima",
                               "calibration") if name in result.summary]
        table = result.tables["rings"]
        if len(table):
            lines += ["", "| ring | radius (px) | to the strongest | FWHM (px) | azimuth (%) |",
                      "|---|---|---|---|---|"]
            first = table.loc[table["intensity"].idxmax(), "radius_px"]
            lines += [f"| {row.ring} | {row.radius_px:.2f} ± {row.radius_err_px:.2f} | "
                      f"{row.radius_px / first:.4f} | {row.fwhm_px:.2f} ± {row.fwhm_err_px:.2f} | "
                      f"{row.azimuth_percent:.0f} |" for row in table.itertuples()]
    return [*lines, ""]


def _said(truth: Any) -> str:
    if isinstance(truth, dict):
        return "; ".join(f"{key.replace('_', ' ')}: {value}" for key, value in truth.items()) + "."
    return f"{truth}."


if __name__ == "__main__":
    main()
