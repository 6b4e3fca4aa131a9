"""Compiled loops over streams of events: channels of photons, with a mark after each pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numba import njit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Shorts = NDArray[np.uint16]
    Places = NDArray[np.int64]

_END_OF_PIXEL = 65535


@njit(cache=True, nogil=True)
def sort_events(stream: Shorts, last_frame: int, places: Places, channels: Shorts) -> None:
    """Write the events pixel by pixel; ``places``: where the next of each pixel goes.

    Without room in ``channels`` the events are only counted.
    """
    pixels, pixel, frame = len(places), 0, 0
    for value in stream:
        if pixel == pixels:
            pixel, frame = 0, frame + 1
            if frame == last_frame:
                break
        if value == _END_OF_PIXEL:
            pixel += 1
        else:
            if len(channels) > 0:
                channels[places[pixel]] = value
            places[pixel] += 1


@njit(cache=True, nogil=True)
def add_events(starts: Places, channels: Shorts, first: int, dense: Shorts) -> None:
    """Add events of pixels from number ``first`` on to ``(pixels, channels)``."""
    last = dense.shape[1]
    for pixel in range(dense.shape[0]):
        for place in range(starts[first + pixel], starts[first + pixel + 1]):
            if channels[place] < last:
                dense[pixel, channels[place]] += 1
