"""How far long work has come, for whoever waits for it, and the place where it can be stopped.

A measurement names the stage that it has reached; whoever started it may listen.  Without a
listener nothing happens.  What a listener raises ends the measurement there: `StoppedError` is no
`EmtoolsError`, for nothing is wrong with the image and nobody may take it for a result.
"""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Listener = Callable[[str, float | None], None]

_listener: ContextVar[Listener | None] = ContextVar("emtools_listener", default=None)


class StoppedError(Exception):
    """Work was stopped by whoever had started it."""


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell a function of each stage that work in this block, and in this thread, reaches.

    Parameters
    ----------
    listener
        Called with the stage in words and the part of it that is done, 0 to 1, or None where that
        is not known.  It may raise `StoppedError`.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def stage(words: str, done: float | None = None) -> None:
    """Say which stage is reached."""
    listener = _listener.get()
    if listener is not None:
        listener(words, done)
