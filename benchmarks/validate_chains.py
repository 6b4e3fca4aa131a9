"""Accuracy of the chains measurement on simulated truth: detection, widths, lengths, gaps.

Beside it a naive method on the same pictures, and how far widths move with blur, contrast and
noise.  Draws docs/validation/chains.png.  Takes about ten minutes on two cores.
"""

from __future__ import annotations

import argparse

from chains_validation import study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=6, help="of each case")
    parser.add_argument("--only", default="",
                        help="cases whose name holds this; the picture is not drawn then")
    given = parser.parse_args()
    study.run(given.pictures, given.only, drawn=not given.only)


if __name__ == "__main__":
    main()
