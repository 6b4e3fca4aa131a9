"""Pixels that are read when they are used, with failures said in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.io.report import failures_as_read_errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Guarded:
    """An array whose reading may fail; the failure is a `ReadError` about the file.

    Parameters
    ----------
    path
        The file, for the message.
    array
        A dask array that reads from the file.
    """

    def __init__(self, path: Path, array: Any) -> None:
        self.path = path
        self.array = array
        self.shape, self.ndim = array.shape, array.ndim
        self.dtype = array.dtype.newbyteorder("=")

    def __getitem__(self, index: Any) -> Any:
        # Called from many threads at once: nothing that is common to the process is touched here.
        with failures_as_read_errors(self.path):
            return np.asarray(self.array[index].compute(scheduler="synchronous"), self.dtype)


def guarded(path: Path, data: Any) -> Any:
    """Return data in the machine's byte order; reading lazy ones fails with `ReadError` only."""
    if isinstance(data, np.ndarray):
        return np.asarray(data, data.dtype.newbyteorder("="))
    import dask.array as da

    return da.from_array(Guarded(path, data), chunks=data.chunks, name=False, asarray=False,
                         meta=np.empty((0,) * data.ndim, data.dtype.newbyteorder("=")))


def deferred(read: Callable[..., Any], *arguments: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return a dask array of one block that calls `read` when it is used."""
    import dask
    import dask.array as da

    return da.from_delayed(dask.delayed(read, pure=False)(*arguments), shape=shape, dtype=dtype)
