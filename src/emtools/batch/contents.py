"""What files hold, by digests: whoever has not changed is neither read nor measured again.

A digest is remembered with the file's size, time of change and inode.  Every program that writes to
a file changes one of them; one that sets the time back on purpose is found with ``rehash``.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from emtools.io.fingerprint import sha256_of_file

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

_LARGEST = 2**63 - 1
TABLE = """CREATE TABLE IF NOT EXISTS content (
    path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, inode INTEGER, sha256 TEXT
) WITHOUT ROWID"""


class Contents:
    """Digests of files, remembered in a store.

    Parameters
    ----------
    connection
        Of the store.
    rehash
        Read every file again, whatever is remembered.
    """

    def __init__(self, connection: sqlite3.Connection, *, rehash: bool = False) -> None:
        self._connection, self._rehash = connection, rehash
        self._known = {row[0]: row[1:] for row in connection.execute(
            "SELECT path, size, mtime_ns, inode, sha256 FROM content")}

    def digest(self, path: Path, parts: Sequence[Path] = ()) -> str:
        """Return the digest of a file and of the files that are read with it.

        Raises
        ------
        OSError
            If one cannot be read.
        """
        own = self._sha256(path)
        if not parts:
            return own
        every = sorted((part.name.lower(), self._sha256(part)) for part in parts)
        return hashlib.sha256("\0".join([own, *(sha for _, sha in every)]).encode()).hexdigest()

    def _sha256(self, path: Path) -> str:
        if path.is_dir():  # a zarr store
            return sha256_of_file(path)
        status = path.stat()
        # A file name may hold bytes that are no text; bytes stay what they are.
        name = os.fsencode(path.resolve())
        # Some file systems number beyond what the database can hold.
        stamp = (status.st_size, status.st_mtime_ns, status.st_ino & _LARGEST)
        known = self._known.get(name)
        if known is not None and tuple(known[:3]) == stamp and not self._rehash:
            return str(known[3])
        sha256 = sha256_of_file(path)
        self._known[name] = (*stamp, sha256)
        self._connection.execute("INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?, ?)",
                                 (name, *stamp, sha256))
        return sha256
