"""Which strokes of a picture are worth looking for a label beside them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emtools.process.bars import Bar

_TRIED = 24  # bars
_BESIDE_BORDER_PX = 2  # between a bar and what is left of the picture beyond it


def worth_trying(bars: list[Bar], shape: tuple[int, ...]) -> list[Bar]:
    """Leave out what lies within another bar, frames, and all but the few most likely."""
    width = shape[1]
    outer = [bar for bar in bars if bar.length_px > 0.02 * width
             and not any(_beyond(bar, other, shape[0]) for other in bars)
             and not any(_within(bar, other) for other in bars if other is not bar)]
    ranked = sorted(outer, key=lambda bar: -bar.contrast * math.log(bar.length_px)
                    * (1.3 if bar.kind == "ruler" else 1.0))
    return ranked[:_TRIED]


def _beyond(bar: Bar, other: Bar, height: int) -> bool:
    """Whether a stroke is what is left between another one and the border."""
    beside = (bar.bottom >= height and abs(other.bottom - bar.top) <= _BESIDE_BORDER_PX) or \
        (bar.top <= 0 and abs(bar.bottom - other.top) <= _BESIDE_BORDER_PX)
    return beside and shared_px(bar, other) > 0.5 * bar.length_px


def _within(bar: Bar, other: Bar) -> bool:
    """Whether a stroke is part of another one: its filling or a step of it, no plate beneath."""
    return (bar.kind != "ruler" and other.length_px > bar.length_px + 1
            and other.left - 2 <= bar.left and bar.right <= other.right + 2
            and other.top <= bar.top and bar.bottom <= other.bottom
            and other.thickness_px < min(0.12 * other.length_px, 3.0 * bar.thickness_px + 2.0))


def shared_px(one: Bar, other: Bar) -> float:
    """How many columns two strokes have in common."""
    return min(one.right, other.right) - max(one.left, other.left)
