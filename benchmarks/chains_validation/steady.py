"""The width must not move: the same chains with more blur, less contrast, more noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from chains_validation import naive
from chains_validation.cases import CASES, pictures
from chains_validation.matching import dots_of, lines_of
from emtools import chains

if TYPE_CHECKING:
    import pandas as pd

    Tables = Mapping[str, pd.DataFrame]

CHANGES: dict[str, dict[str, Any]] = {"blur 0.6 nm for 0.3": {"blur_nm": 0.6},
                                      "contrast halved": {"contrast": 0.5},
                                      "noise tripled": {"counts": 100.0 / 9}}
SCENES: dict[str, tuple[dict[str, Any], Callable[[Tables, Tables], dict[int, float]]]] = {
    "dots, 0.3 nm/px": (CASES["overview 0.3 nm/px"], dots_of),
    "dots, 0.5 nm/px": ({}, dots_of),
    "wires, 0.5 nm/px": (CASES["not resolved, wires 0.5 nm/px"], lines_of),
}
AIM = 2.0  # per cent

Widths = dict[tuple[int, int], float]


def run(n: int, only: str = "") -> None:
    """Print by how much the mean width changes over the same bodies."""
    if only and only not in "steady":
        return
    print(f"the width must not move: change of the mean width over the same bodies (aim: below "
          f"{AIM:g} %), and the largest of one picture")
    for name, (options, pair) in SCENES.items():
        before = _widths(options, n, pair)
        for change, other in CHANGES.items():
            after = _widths(options | other, n, pair)
            ours, plain = (_moved(*both) for both in zip(before, after, strict=True))
            print(f"  {name:17s} {change:20s} ours {ours}   naive {plain}", flush=True)


def _widths(
    options: dict[str, Any], n: int, pair: Callable[[Tables, Tables], dict[int, float]]
) -> tuple[Widths, Widths]:
    """Return the width of each (picture, true body): ours, and the naive method's of chains."""
    ours: Widths = {}
    plain: Widths = {}
    for number, made in enumerate(pictures(options, n)):
        if made is None:
            continue
        image, truth = made
        ours |= {(number, j): w for j, w in pair(chains(image).tables, truth).items()}
        plain |= {(number, j): w for j, w in lines_of(naive.find(image), truth).items()}
    return ours, plain


def _moved(before: Widths, after: Widths) -> str:
    """Return the change over all that is in both, and the largest of one picture."""
    both = sorted(before.keys() & after.keys())
    if not both:
        return f"{'nothing in both':35s}"
    picture = np.array([key[0] for key in both])
    old, new = (np.array([widths[key] for key in both]) for widths in (before, after))
    changes = [100 * (new[picture == p].mean() / old[picture == p].mean() - 1)
               for p in np.unique(picture)]
    largest = max(changes, key=abs)
    return f"{100 * (new.mean() / old.mean() - 1):+6.2f} % ({largest:+6.2f} %; n {len(both):4d})"
