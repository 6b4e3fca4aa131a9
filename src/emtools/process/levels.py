"""Levels and noise of a ground among whose values there are bodies, all higher."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLIP = 2.0  # sigma above the ground: what rough levels leave out
_UNLIKE_NOISE = 2.5  # ratio of two quarters, 1.4 for noise: bodies among them
_FEWEST = 64  # values whose quarters are compared
_DENSEST = 8  # of all values one is ground, at least
_TRIMMED = 0.934  # standard deviation of a Gaussian's middle 98 %
SAMPLE = 400_000  # pixels that tell the noise of a pixel


def filled(levels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Levels where unknown ones are those of their neighbourhood."""
    known = np.isfinite(levels)
    if known.all():
        return levels
    if not known.any():
        return np.zeros_like(levels)
    reach = 0.5
    filled = levels.copy()
    while not np.isfinite(filled).all():
        weight = ndimage.gaussian_filter(known.astype(float), reach, mode="nearest")
        spread = ndimage.gaussian_filter(np.where(known, levels, 0.0), reach, mode="nearest")
        near = ~np.isfinite(filled) & (weight > 1e-6)
        filled[near] = spread[near] / weight[near]
        reach *= 2.0
    return filled


def robust_level(values: NDArray[np.float32], least: float) -> float:
    """Level of the ground among values of which some are bodies, all higher.

    Its spread is that of what lies below it, where no bodies are; what is further above than
    `_CLIP` times that is left out of the next level.
    """
    ordered = np.sort(values)
    level = float(ordered[lowest_ground(ordered, least) // 2])
    for _ in range(20):
        below = int(np.searchsorted(ordered, level))
        if below < 2:
            break
        spread = 1.4826 * (level - float(ordered[below // 2]))
        end = int(np.searchsorted(ordered, level + _CLIP * spread, side="right"))
        renewed = float(ordered[end // 2])
        if renewed >= level:
            break
        level = renewed
    return level


def lowest_ground(ordered: NDArray[np.float32], least: float) -> int:
    """How many of the lowest values are ground, where bodies may be more than half of all.

    Of noise the quarter below the middle is 1.4 times as wide as that below the quarter, and so on
    less; where it is much wider it reaches into bodies, and only what is lower is ground.  What is
    narrower than `least` does not count.
    """
    n = found = len(ordered)
    fewest = max(_FEWEST, len(ordered) // _DENSEST)
    while n >= fewest:
        wide, narrow = (float(ordered[m // 2] - ordered[m // 4]) for m in (n, n // 2))
        n //= 2
        if wide > max(least, _UNLIKE_NOISE * narrow):
            found = n
    return found


def some(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """As many of the values as tell their noise."""
    return sample[:: max(1, sample.size // SAMPLE)]


def deviation(ordered: NDArray[np.float32], n: int) -> float:
    """Standard deviation of the lowest `n`: from the quartiles of the half where no bodies are."""
    return float(1.4826 * (ordered[n // 2] - ordered[n // 4])) if n > 1 else 0.0


def trimmed_deviation(ordered: NDArray[np.float32]) -> float:
    """Standard deviation, from all but a hundredth at either end."""
    cut = len(ordered) // 100
    return float(np.std(ordered[cut:len(ordered) - cut], dtype=float)) / (_TRIMMED if cut else 1.0)
