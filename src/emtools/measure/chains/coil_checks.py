"""How much a fitted coil looks like a double helix: by chance, and in all its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains.coil import Coil

SHORTEST_PITCH = 4.0  # spacings: with fewer dots a turn crossings are not seen
_MIDDLE = 0.5  # of the radius: strands farther from the axis are clearly apart
_LEAST_FILLED = 0.4  # of the dots that each strand should have between two crossings
_HOPEFUL_FILLED = 0.5  # of the stretches between crossings, about a first guess of the axis
_HOPEFUL_ALARM = 1e-2


def quarters(coil: Coil) -> NDArray[np.int64]:
    """Which quarter of a turn of which strand each dot that counts belongs to, from 0."""
    quarter = np.floor(coil.phase(coil.arc) / (0.5 * np.pi)).astype(int)
    cells = np.stack([quarter, coil.strand >= 0], axis=-1)[coil.kept]
    return np.asarray(np.unique(cells, axis=0, return_inverse=True)[1].ravel())


def chance(coil: Coil, spacing: float) -> float:
    """Probability that unrelated rows look as much like a helix."""
    cells = quarters(coil)
    number = np.bincount(cells)
    free = len(number) - coil.n_parameters
    if free <= 0:
        return 1.0
    # Means of more dots than most are no more independent observations than one.
    weight = np.minimum(number, np.median(number)) / number**2
    before, after = (float(np.sum(weight * np.bincount(cells, values[coil.kept]) ** 2))
                     for values in (coil.offset, coil.residual))
    tried = 2 * coil.length / (SHORTEST_PITCH * spacing) + 1
    return float(min(1.0, tried * (after / max(before, 1e-300)) ** (0.5 * free)))


def filled_stretches(coil: Coil) -> NDArray[np.bool_]:
    """Whether each stretch between crossings has its dots of both strands; ends included.

    A single wavy row lies on one side of its axis at a time.  Only the middle of each stretch
    counts: at its ends the strands are too close to tell whose a dot is.
    """
    edges = np.concatenate([[-1.0], coil.crossings(), [coil.length + 1.0]])
    even = np.linspace(0.0, coil.length, 4000)
    middle = even[np.abs(np.cos(coil.phase(even))) > _MIDDLE]
    clear = coil.kept & (np.abs(np.cos(coil.phase(coil.arc))) > _MIDDLE)
    expected = 0.5 * clear.sum() * np.histogram(middle, edges)[0] / max(len(middle), 1)
    least = _LEAST_FILLED * np.floor(expected)
    least[1:-1] = np.maximum(least[1:-1], 1.0)
    return np.asarray(np.all([np.histogram(coil.arc[clear & side], edges)[0] >= least
                              for side in (coil.strand >= 0, coil.strand < 0)], axis=0))


def is_hopeful(coil: Coil, spacing: float) -> bool:
    """Whether a first fit, its axis not yet refined, may turn out to be a helix."""
    return float(filled_stretches(coil).mean()) > _HOPEFUL_FILLED \
        and chance(coil, spacing) < _HOPEFUL_ALARM
