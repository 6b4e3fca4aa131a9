"""Measure files as a microscope writes them."""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING

from emtools.batch.run import Monitor, files_of, run, settled, whole
from emtools.batch.store import forget
from emtools.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from emtools.batch.plan import Recipe
    from emtools.batch.run import Effort, Outcome

_NAP_S = 0.2  # between looks at whether to stop
Seen = dict["Path", tuple[int, int]]


def watch(
    folder: Path, output: Path, recipe: Recipe | None = None, effort: Effort | None = None,
    monitor: Monitor | None = None, *, every_s: float = 5.0, settled_s: float = 10.0,
) -> Iterator[Outcome]:
    """Measure what a folder holds, and then whatever is new or changed in it, without end.

    The folder is looked at again and again, which works on network drives too.  A file is measured
    when it was not changed for a while, and not before: a microscope writes for seconds or minutes.

    Parameters
    ----------
    folder, output, recipe, effort, monitor
        As of `run`.
    every_s
        Seconds between two looks.
    settled_s
        Seconds for which a file must not have changed.

    Yields
    ------
    Outcome
        After each run in which something new was measured.

    Raises
    ------
    ParameterError
        As `run` does.
    KeyboardInterrupt
        If the monitor said so.
    """
    for name, value in (("every_s", every_s), ("settled_s", settled_s)):
        if not 0 <= value < math.inf:
            raise ParameterError(name, f"must be 0 or positive, and finite, not {value}")
    monitor = monitor or Monitor()
    before: Seen | None = None
    last: Outcome | None = None
    while True:
        now = _complete(folder, output, settled_s)
        if now != before:
            outcome = run(folder, output, recipe, effort, monitor, settled_s=settled_s)
            if last is not None:  # this round saw all that it has seen
                forget(output, last.run)
            yield outcome
            before, last = now, outcome
        until = time.monotonic() + every_s
        while time.monotonic() < until:
            if monitor.stopped():
                raise KeyboardInterrupt
            time.sleep(min(_NAP_S, every_s))


def _complete(folder: Path, output: Path, settled_s: float) -> Seen:
    """Files that were not changed for a while, with their size and time of change."""
    found: Seen = {}
    files = files_of(folder, output)
    for path in files.files:
        if settled(path, files.parts.get(path, ()), settled_s):
            with contextlib.suppress(FileNotFoundError):
                stats = [one.stat() for one in whole(path)]
                found[path] = (sum(stat.st_size for stat in stats),
                               max(stat.st_mtime_ns for stat in stats))
    return found
