"""Files with labels, masks or places -> arrays that are parameters of a measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.errors import ParameterError, ReadError
from emtools.measure import Given

if TYPE_CHECKING:
    from pathlib import Path

_NUMPY = (".npy", ".npz")


def read_array(name: str, path: Path, *, whole: bool = True) -> Given:
    """Read the array that a parameter needs, together with where it is from.

    Parameters
    ----------
    name
        Of the parameter.
    path
        ``.npy``, ``.npz`` with one array (or one of the parameter's name), or any single picture.
    whole
        Whether its numbers have to be whole ones: labels, or a mask.

    Raises
    ------
    ReadError
        If the file is missing or broken.
    ParameterError
        If it does not hold one array of plain numbers with two axes.
    """
    numpy = path.suffix.lower() in _NUMPY
    values = (_from_numpy if numpy else _from_picture)(name, path)
    if values.ndim != 2 or values.dtype.kind not in "biuf":
        shape = " x ".join(str(n) for n in values.shape)
        raise ParameterError(name, f"{path} holds {values.dtype} of shape {shape or '()'}",
                             "give whole numbers or a mask with axes y, x" if whole else
                             "give an (n, 2) array of numbers")
    if not whole:
        return Given(values.astype(np.float64), str(path))
    if values.dtype.kind == "f":
        if not (np.isfinite(values).all() and (values == np.rint(values)).all()):
            raise ParameterError(name, f"{path} holds numbers that are not whole",
                                 "give labels (0 = none) or a mask")
        values = values.astype(np.int64)
    return Given(values, str(path))


def _from_numpy(name: str, path: Path) -> np.ndarray[Any, Any]:
    try:
        loaded = np.load(path, allow_pickle=False)
        held = dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else {name: loaded}
    except FileNotFoundError as error:
        raise ReadError(str(path), "does not exist", "check its name") from error
    # A broken archive raises almost anything.
    except Exception as error:
        raise ReadError(str(path), f"cannot be read by NumPy ({error})",
                        "write it again with numpy.save") from error
    if name not in held and len(held) != 1:
        raise ParameterError(name, f"{path} holds {len(held)} arrays",
                             f"give a file with one, or one that is called {name}")
    return np.asarray(held[name] if name in held else next(iter(held.values())))


def _from_picture(name: str, path: Path) -> np.ndarray[Any, Any]:
    from emtools import io

    image = io.read_one(path)
    if any("colour" in note for note in image.audit):  # two labels may be equally bright
        raise ParameterError(name, f"{path} is a colour picture",
                             "give whole numbers or a mask, not colours")
    return np.asarray(image.load())
