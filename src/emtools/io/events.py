"""Velox's spectrum streams kept as events, and made dense block by block when they are used.

A stream lists the channels of a pixel's photons, 65535 after each pixel, frame after frame.
RosettaSciIO turns it into coordinates of 24 bytes and more for each photon; here it stays at two.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.io._event_kernels import add_events, sort_events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Shorts = NDArray[np.uint16]
    Places = NDArray[np.int64]

_BLOCK = 32_000_000  # numbers of a dense block


class Events:
    """Counts ``(y, x, channel)`` of one or more detectors, as the events of each pixel.

    Parameters
    ----------
    shape
        Rows, columns and channels.
    detectors
        Of each: where the events of each pixel begin ``(pixels + 1,)``, and their channels.
    """

    ndim = 3
    dtype = np.dtype(np.uint16)

    def __init__(
        self, shape: tuple[int, int, int], detectors: tuple[tuple[Places, Shorts], ...]
    ) -> None:
        self.shape = shape
        self.detectors = detectors

    @classmethod
    def of(cls, stream: Shorts, shape: tuple[int, int, int], last_frame: int) -> Events:
        """Sort a stream by pixels, all frames together."""
        starts = np.zeros(shape[0] * shape[1] + 1, dtype=np.int64)
        sort_events(stream, last_frame, starts[1:], np.zeros(0, dtype=np.uint16))
        starts = np.cumsum(starts)
        channels = np.empty(int(starts[-1]), dtype=np.uint16)
        sort_events(stream, last_frame, starts[:-1].copy(), channels)
        return cls(shape, ((starts, channels),))

    def __add__(self, other: Events) -> Events:
        """Those of more detectors."""
        return Events(self.shape, self.detectors + other.detectors)

    def __getitem__(self, index: tuple[slice, slice, slice]) -> Shorts:
        """Dense counts of a block."""
        rows, columns, channels = index
        first, end, _ = rows.indices(self.shape[0])
        dense = np.zeros(((end - first) * self.shape[1], self.shape[2]), dtype=np.uint16)
        for starts, events in self.detectors:
            add_events(starts, events, first * self.shape[1], dense)
        return dense.reshape(-1, *self.shape[1:])[:, columns, channels]

    def astype(self, dtype: Any) -> Any:
        """As a dask array of blocks of rows."""
        import dask.array as da

        rows = max(1, _BLOCK // (self.shape[1] * self.shape[2]))
        return da.from_array(self, chunks=(rows, -1, -1), name=False, asarray=False,
                             meta=np.empty((0, 0, 0), np.uint16)).astype(dtype)


@contextlib.contextmanager
def kept_as_events() -> Iterator[None]:
    """Have RosettaSciIO keep the spectrum streams that it reads as events."""
    from rsciio.emd import _emd_velox

    reader = _emd_velox.FeiSpectrumStream
    theirs = reader.stream_to_sparse_array

    def ours(stream: Any, stream_data: Shorts) -> Any:
        said = stream.reader
        if said.first_frame or said.rebin_energy != 1 or not said.sum_frames:
            return theirs(stream, stream_data)
        return Events.of(np.ascontiguousarray(stream_data),
                         (*said.spatial_shape, stream.bin_count), said.last_frame)

    reader.stream_to_sparse_array = ours
    try:
        yield
    finally:
        reader.stream_to_sparse_array = theirs
