"""What was seen, looked at and left out of a result, each with the reason."""

from __future__ import annotations

from typing import NamedTuple


class Rejected(NamedTuple):
    """One object that was found and refused.

    Parameters
    ----------
    y, x
        Its middle, in pixels.
    length, width
        Its extents, in pixels; NaN where they are not known.
    reason
        A short sentence.
    """

    y: float
    x: float
    length: float
    width: float
    reason: str
