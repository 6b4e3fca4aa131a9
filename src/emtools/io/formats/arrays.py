"""NumPy's .npy: an array and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from emtools.io.report import Report

EXTENSIONS = ("npy",)


def load(path: Path, report: Report) -> list[dict[str, Any]]:  # noqa: ARG001 - the loaders' interface
    """Return the array, mapped from the file; object arrays are refused."""
    import dask.array as da

    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim == 0 or array.dtype.kind not in "biufc":
        raise ValueError(f"an array of {array.ndim} dimensions and type {array.dtype} is no image")
    axes = [{"name": "", "size": size, "scale": 1.0, "offset": 0.0, "units": "",
             "navigate": index < array.ndim - 2} for index, size in enumerate(array.shape)]
    return [{"data": da.from_array(array, name=False), "axes": axes, "metadata": {},
             "original_metadata": {}, "reader": "numpy"}]
