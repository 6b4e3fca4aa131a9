"""Derivatives by central differences, for carrying covariances through formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def jacobian(function: Callable[[Floats], Floats], at: Floats, step: float) -> Floats:
    """Return the derivatives ``(values, parameters)`` of a function at a place."""
    steps = step * np.eye(len(at))
    return np.stack([(function(at + one) - function(at - one)) / (2 * step) for one in steps],
                    axis=1)
