"""What the stages of the measurement found, handed from one to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from emtools.measure.chains.as_placed import Placed
    from emtools.measure.chains.dots import Dots
    from emtools.measure.chains.given import Drawn
    from emtools.measure.chains.ground import Ground
    from emtools.measure.chains.outline import Outline
    from emtools.measure.chains.rejected import Rejected
    from emtools.measure.chains.unwind import Coiled


class Traced(NamedTuple):
    """What a person drew: on the pixels, and what belongs to each chain of it."""

    drawn: Drawn
    zone: NDArray[np.int32]


class Linked(NamedTuple):
    """Dots in chains: rows, their numbers if they were drawn, dots in none, and which rows coil.

    `family` is what bodies in chains turned out to be, if no ellipsoids.
    """

    rows: list[list[int]]
    numbers: list[int] | None
    single: list[int]
    coiled: list[Coiled]
    family: str | None


class Found(NamedTuple):
    """What the stages of the measurement found, with what a person drew and placed."""

    ground: Ground
    outline: Outline
    dots: Dots | None
    rejected: list[Rejected]
    traced: Traced | None = None
    placed: Placed | None = None
    linked: Linked | None = None
