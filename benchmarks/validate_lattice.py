"""Validation of the lattice measurement: recall, false alarms, coverage, indexing, physics.

Prints plain tables, and writes them and the figures to docs/validation/.  The parts can be chosen;
each takes a few minutes on two cores.
"""

from __future__ import annotations

import argparse

from lattice_validation import coverage, figures, indexing, negatives, physics

PARTS = {
    "recall": lambda quick: figures.recall(coverage.recall(8 if quick else 40)),
    "negatives": lambda quick: negatives.negatives(1 if quick else 3),
    "alpha": lambda quick: negatives.alpha(200 if quick else 1200),
    "coverage": lambda quick: figures.coverage(coverage.coverage(15 if quick else 150)),
    "indexing": lambda quick: indexing.indexing(1 if quick else 4),
    "physics": lambda quick: physics.physics(2 if quick else 6),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--quick", action="store_true", help="few trials")
    given = parser.parse_args()
    for part in given.parts or list(PARTS):
        PARTS[part](given.quick)


if __name__ == "__main__":
    main()
