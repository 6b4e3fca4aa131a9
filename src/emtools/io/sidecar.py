"""The text file that some microscopes write beside a picture, with what it does not hold."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

from emtools.errors import UnitError
from emtools.io.formats.tiff.vendors import hitachi_pixel_size
from emtools.units import LENGTH, parse_unit

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST_BYTES = 200_000
_NUMBER = r"([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"


class Beside(NamedTuple):
    """A pixel size that a text file beside a picture states, in nm, and that file's name."""

    pixel_size_nm: float
    name: str


def stated_beside(path: Path, shape: tuple[int, ...]) -> Beside | None:
    """Return the pixel size in the text file of a picture's name, if there is one.

    Parameters
    ----------
    path
        The picture.
    shape
        Its rows and columns: what is stated for another size is not used.

    Notes
    -----
    Hitachi: ``PixelSize`` in nm, for the ``DataSize`` stated.  JEOL: ``$$SM_MICRON_BAR`` pixels are
    ``$$SM_MICRON_MARKER`` long.
    """
    for ending in (".txt", ".TXT"):
        beside = path.with_suffix(ending)
        if beside != path and beside.is_file() and beside.stat().st_size < _LARGEST_BYTES:
            text = beside.read_bytes().decode("utf-8", errors="replace").replace("\r", "")
            try:
                size = _hitachi(text, shape) or _jeol(text, shape)
            except ValueError:  # what stands there is no number: no reason to refuse the picture
                size = None
            return None if size is None else Beside(size, beside.name)
    return None


def _hitachi(text: str, shape: tuple[int, ...]) -> float | None:
    columns = re.search(r"^DataSize[ \t]*=[ \t]*(\d+)x(\d+)", text, re.M)
    size = hitachi_pixel_size(text) if _fits(columns, shape) else None
    return None if size is None else _in_nm(*size)


def _jeol(text: str, shape: tuple[int, ...]) -> float | None:
    length = re.search(rf"^\$\$SM_MICRON_MARKER\s+{_NUMBER}\s*(\S+)\s*$", text, re.M)
    pixels = re.search(rf"^\$\$SM_MICRON_BAR\s+{_NUMBER}\s*$", text, re.M)
    if length is None or pixels is None or float(pixels[1]) <= 0 or not _fits(
            re.search(r"^\$CM_FULL_SIZE\s+(\d+)\s+(\d+)", text, re.M), shape):
        return None
    whole = _in_nm(float(length[1]), length[2])
    return None if whole is None else whole / float(pixels[1])


def _fits(stated: re.Match[str] | None, shape: tuple[int, ...]) -> bool:
    """Whether a stated number of columns is the picture's: the text may be of another one."""
    return stated is not None and int(stated[1]) == shape[-1]


def _in_nm(number: float, unit: str) -> float | None:
    try:
        known = parse_unit(unit)
    except UnitError:
        return None
    size = number * known.factor
    return size if known.name == LENGTH and 0 < size < math.inf else None
