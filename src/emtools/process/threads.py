"""How many threads a numeric kernel may take."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_WORTH_IT = 200_000  # numbers: fewer are done before a thread has started
_SPANS = 8

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def threads() -> int:
    """Return all cores, or one inside a worker of a batch, which has one core to itself."""
    if multiprocessing.parent_process() is not None:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_spans(
    function: Callable[[tuple[int, int]], Answer], whole: tuple[int, int], size: int
) -> list[Answer]:
    """Return the answers for spans of a range, found in threads where `size` makes it worth it.

    Parameters
    ----------
    function
        Of the first and one past the last of a span.
    whole
        The range.
    size
        How many numbers there are to work on.
    """
    if size < _WORTH_IT:
        return [function(whole)]
    step = -(-(whole[1] - whole[0]) // _SPANS)
    return in_threads(function, [(start, min(start + step, whole[1]))
                                 for start in range(*whole, step)])


def in_threads(function: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
    """Return the answers in the order of the items; they do not depend on how many threads ran."""
    n = threads()
    if n == 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(function, items))
