"""Write docs/validation/chains.md: what `chains` finds in real images, against their labels.

Run it in the repository: ``python docs/make_chains_report.py [FOLDER] [--pictures FOLDER]``;
without a folder it takes ``EMTOOLS_REAL_DATA`` or ``../shared/data`` beside the repository (see
docs/real_data.md).  Pictures to look at go to the folder named for them: they are other people's
images and no part of the repository.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from chains_report.known import KNOWN, NEGATIVES
from chains_report.page import page

from emtools.figures import chains_figure

if TYPE_CHECKING:
    from emtools import Image, Result

REPOSITORY = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write the page."""
    default = os.environ.get("EMTOOLS_REAL_DATA") or REPOSITORY.parent / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(default))
    parser.add_argument("--pictures", type=Path, help="folder for the images with what was found")
    asked = parser.parse_args()

    def keep(name: str, image: Image, result: Result) -> None:
        if asked.pictures is not None:
            draw(asked.pictures / (re.sub(r"[^\w.-]+", "_", name) + ".png"), image, result)

    target = REPOSITORY / "docs" / "validation" / "chains.md"
    target.write_text(page(asked.folder, KNOWN, NEGATIVES, keep), encoding="utf-8")


def draw(path: Path, image: Image, result: Result) -> None:
    """Write an image with its dots outlined and its chains numbered."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = chains_figure(image, result)
    figure.savefig(path, dpi=300)
    plt.close(figure)


if __name__ == "__main__":
    main()
