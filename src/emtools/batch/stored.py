"""What a store has of files' contents, and what of it a recipe asks for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from emtools.corrections import Correction

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from emtools.batch.keys import ByHand, KeyBook


class StoredImage(NamedTuple):
    """A stored image."""

    key: str
    number: int
    signal: str
    modality: str | None


class Stored:
    """What is stored of files' contents.

    Parameters
    ----------
    connection
        To the database.
    keys
        Digests of a recipe.
    folder
        Of the results: a result whose pictures are gone from it does not count as stored.
    """

    def __init__(
        self, connection: sqlite3.Connection, keys: KeyBook, folder: Path | None = None
    ) -> None:
        self._connection, self._keys, self._folder = connection, keys, folder

    def keys(self, name: str, content: str, by_hand: ByHand | None = None) -> frozenset[str]:
        """Keys of the results that are there of those that a file is to have.

        `by_hand`: with these corrections; by default with those that are stored.
        """
        by_hand = corrections_of(self._connection, content) if by_hand is None else by_hand
        return frozenset(key for image in self._images(content)
                         for key in self._asked(name, content, image, by_hand)
                         if self.result(key) is not None)

    def whole(self, name: str, content: str) -> list[tuple[StoredImage, list[int]]] | None:
        """Images with their results, if all that a file is to have is there."""
        images = self._images(content)
        read = self._connection.execute(
            "SELECT images FROM reading WHERE content = ? AND settings = ?",
            (content, self._keys.image)).fetchone()
        if read is None or read[0] != len(images):
            return None
        found, by_hand = [], corrections_of(self._connection, content)
        for image in images:
            results = [self.result(key) for key in self._asked(name, content, image, by_hand)]
            there = [result for result in results if result is not None]
            if len(there) < len(results):
                return None
            found.append((image, there))
        return found

    def result(self, key: str) -> int | None:
        """Number of the result of a key."""
        found = self._connection.execute("SELECT id, pictures FROM result WHERE key = ?",
                                         (key,)).fetchone()
        if found is None:
            return None
        if self._folder is not None and not all(
                (self._folder / path).exists() for path in json.loads(found[1]).values()):
            return None
        return int(found[0])

    def _images(self, content: str) -> list[StoredImage]:
        return [StoredImage(*row) for row in self._connection.execute(
            "SELECT key, number, signal, modality FROM image WHERE content = ? AND settings = ? "
            "ORDER BY number", (content, self._keys.image))]

    def _asked(
        self, name: str, content: str, image: StoredImage, by_hand: ByHand
    ) -> list[str]:
        keys = self._keys.of(name, image.modality)
        return [keys.of_result(content, image.number, measurement, by_hand)
                for measurement in keys.asked]


def as_text(correction: Correction) -> str:
    """Return a correction as it is stored: the same has the same text, which is in keys."""
    return json.dumps(correction.to_dict(), sort_keys=True)


def from_text(text: str) -> Correction:
    """Back from `as_text`."""
    return Correction.from_dict(json.loads(text))


def corrections_of(connection: sqlite3.Connection, content: str) -> ByHand:
    """Return what a person corrected in a file, by the digest of what it holds."""
    return {(number, measurement): text for number, measurement, text in connection.execute(
        "SELECT number, measurement, correction FROM correction WHERE content = ?", (content,))}
