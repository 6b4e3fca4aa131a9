"""Write docs/validation/scale.md: the scale bars of real pictures, and how rendered ones are read.

Reads the catalogue of the folder with real files (EMTOOLS_REAL_DATA, or shared/data beside the
repository).  Every picture of it that a program may have drawn into is looked at.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from emtools import read
from emtools.errors import EmtoolsError
from emtools.process.bars import scale_bar_of

REPOSITORY = Path(__file__).resolve().parents[1]
TARGET = REPOSITORY / "docs" / "validation" / "scale.md"
STUDY = REPOSITORY / "docs" / "validation" / "scale.txt"
ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
# Px per nm or nm per px that stand in names, metadata or beside the files; see the catalogue.
TRUTH_NM = {
    "superlattice/scalebars/Scale_0p532px_nm.tif": 1 / 0.532,
    "superlattice/scalebars/Scale_2px_nm.tif": 0.5,
    "superlattice/scalebars/Scale_5p14px_nm.tif": 1 / 5.14,
    "superlattice/scalebars/Scale_9p4px_nm.tif": 1 / 9.4,
    "superlattice/hexagonal_example.Tif": 0.7016, "hrtem-soot/ExampleImage.tif": 1 / 18.02,
    "rosettasciio/tiff/TVIPS_bin4.tif": 1.42,
    "rosettasciio/tiff/test_tiff_Zeiss_SEM_512pix.tif": 11.65, "sem-nanowires/13.tif": 24.8,
    "rosettasciio/tiff/FEI-Helios-Ebeam-16bits.tif": 3370.0,
}

HEAD = """# The scale that is only in the picture

Made by `docs/make_scale_report.py`; the study of rendered pictures by
`benchmarks/validate_scale.py`.

## Real pictures

Every PNG, JPEG and TIFF of the catalogue, read with `scale_bars="prefer"`. *Truth* is what the
file's name, its metadata or a file beside it says; where nothing does, the label stands for itself.

| file | read | bar | pixel size (nm) | truth (nm) | off | seconds |
|---|---|--:|--:|--:|--:|--:|
"""

TAIL = """
Not measurable: `emps/images/76dde347fc.png` has a label whose letters are six pixels high and cut
off at the top (read as 50, 90, 20 and 30 nm by different ways of looking: no answer is given);
`8fde53b05f.png` has no bar. The line of the Thermo banner ends in arrow heads that stand 1.5 px
over each end of the length that the field of view in the same banner gives.

What is not found: vertical bars, bars that cross the border, bars without a unit, and lengths in
words. Bars in colours are judged by their grey level.
"""


def main() -> None:
    """Read every picture of the catalogue."""
    folder = Path(os.environ.get("EMTOOLS_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "catalog.json").is_file():
        sys.exit("no catalogue of real files: set EMTOOLS_REAL_DATA")
    catalogue = json.loads((folder / "catalog.json").read_text(encoding="utf-8"))
    rows, silent = [], []
    for entry in catalogue:
        if not entry["file"].lower().endswith(ENDINGS):
            continue
        row = _row(folder, entry["file"])
        if row is None:
            silent.append(entry["file"])
        else:
            rows.append(row)
    lines = [HEAD + "\n".join(rows), "", f"{len(silent)} other pictures: no bar is read in them, "
             "and none is drawn into them but in those named below.", TAIL]
    if STUDY.is_file():
        lines += ["## Rendered pictures\n", "```", STUDY.read_text(encoding="utf-8").rstrip(),
                  "```"]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(folder: Path, name: str) -> str | None:
    start = time.perf_counter()
    try:
        images = read(folder / name, scale_bars="prefer")
    except EmtoolsError:
        return None
    seconds = time.perf_counter() - start
    found: list[dict[str, Any]] = [said for said in map(scale_bar_of, images) if said is not None]
    if not found:
        return None
    said, truth = found[0], TRUTH_NM.get(name)
    known = ("", "") if truth is None else (
        f"{truth:.5g}", f"{100 * (said['pixel_size'] / truth - 1):+.2f} %")
    size = f"{said['pixel_size']:.5g} ± {100 * said['pixel_size_err'] / said['pixel_size']:.2g} %"
    doubts = f" ({'; '.join(said['doubts'])})" if said["doubts"] else ""
    return (f"| {name} | {said['text']}{doubts} | {said['length_px']:.1f} px, {said['kind']} | "
            f"{size} | {known[0]} | {known[1]} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
