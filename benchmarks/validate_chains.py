"""Accuracy of the chains measurement on simulated truth: detection, widths, lengths, gaps.

Takes some minutes on two cores.
"""

from __future__ import annotations

import argparse

from chains_validation import study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=6, help="of each case")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    given = parser.parse_args()
    study.run(given.pictures, given.only)


if __name__ == "__main__":
    main()
