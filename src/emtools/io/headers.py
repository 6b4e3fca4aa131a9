"""Checks of what a header claims, for readers that hang or crash on a damaged file.

Each function raises ValueError if the file is shorter than its header says.  They look at a few
numbers at fixed places and nothing else.
"""

from __future__ import annotations

import bz2
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_MRC_BYTES = {0: 1, 1: 2, 2: 4, 3: 4, 4: 8, 6: 2, 12: 2, 101: 1}
_BLOCK = 1 << 16


def _check_mrc(path: Path) -> None:
    """MRC: columns, rows, sections and type first, size of the extended header at 92."""
    head = _read(path, 1024)
    columns, rows, sections, mode = struct.unpack_from("<4i", head)
    (extended,) = struct.unpack_from("<i", head, 92)
    if mode not in _MRC_BYTES or min(columns, rows, sections) < 1 or extended < 0:
        raise ValueError(f"the header claims {columns} x {rows} x {sections} pixels of type {mode}")
    _require(path, 1024 + extended + columns * rows * sections * _MRC_BYTES[mode])


def _check_blockfile(path: Path) -> None:
    """Blockfile: start of the patterns at 12, their side at 20, scan points at 24."""
    head = _read(path, 28)
    if head[:6] != b"IMGBLO":
        raise ValueError("not a blockfile")
    start, _, side, _, columns, rows = struct.unpack_from("<IIHHHH", head, 12)
    _require(path, start + columns * rows * (side * side + 6))


def _check_bruker(path: Path) -> None:
    """Bruker .bcf: a file system of chunks, their size at 0x128 and number at 0x148."""
    head = _read(path, 0x14C)
    if head[:8] != b"AAMVHFSS":
        raise ValueError("not a Bruker container")
    (chunk,) = struct.unpack_from("<I", head, 0x128)
    (count,) = struct.unpack_from("<I", head, 0x148)
    _require(path, 0x118 + chunk * count)


def _check_phenom(path: Path) -> None:
    """Phenom .elid: one bzip2 stream, whose reader waits for ever for a missing end."""
    stream = bz2.BZ2Decompressor()
    with path.open("rb") as file:
        while not stream.eof:
            block = file.read(_BLOCK)
            if not block:
                raise ValueError("the compressed data end too early")
            stream.decompress(block)


def _check_ripple(path: Path) -> None:
    """Ripple: lines 'key<tab>value' that claim the size of the .raw file beside them."""
    lines = (line.split("\t") for line in path.read_text("latin-1").lower().splitlines())
    entries = {line[0].strip(): line[1].strip() for line in lines if len(line) > 1}
    raw = next((path.with_suffix(ending) for ending in (".raw", ".RAW", ".Raw")
                if path.with_suffix(ending).exists()), None)
    if raw is None:
        raise FileNotFoundError(2, "no such file", str(path.with_suffix(".raw")))
    count = 1
    for key in ("width", "height", "depth"):
        count *= int(entries.get(key, "1"))
    _require(raw, int(entries.get("offset", "0")) + count * int(entries.get("data-length", "1")))


def _read(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        head = file.read(size)
    if len(head) < size:
        raise ValueError("the file ends within its header")
    return head


def _require(path: Path, size: int) -> None:
    found = path.stat().st_size
    if found < size:
        raise ValueError(f"{path.name} has {found} bytes, but its header needs {size}")


CHECKS: dict[str, Callable[[Path], None]] = {
    "mrc": _check_mrc,
    "ali": _check_mrc,
    "blo": _check_blockfile,
    "bcf": _check_bruker,
    "elid": _check_phenom,
    "rpl": _check_ripple,
}
