"""SHA-256 of files, remembered while the file does not change."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

_BLOCK = 1 << 20


def sha256_of_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, or of all files in a folder (a zarr store).

    Parameters
    ----------
    path
        The file; the result is remembered as long as its size and time of change stay.
    """
    target = Path(path)
    if target.is_dir():
        digest = hashlib.sha256()
        for file in sorted(item for item in target.rglob("*") if item.is_file()):
            digest.update(f"{file.relative_to(target).as_posix()}\0".encode())
            digest.update(sha256_of_file(file).encode())
        return digest.hexdigest()
    status = target.stat()
    return _digest(str(target), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4096)
def _digest(path: str, mtime_ns: int, size: int) -> str:  # noqa: ARG001 - they are the cache key
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
