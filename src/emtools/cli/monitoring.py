"""What a running batch shows: a bar, a log, lines for machines; and Ctrl-C, which stops it."""

from __future__ import annotations

import datetime as dt
import json
import signal
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from emtools.batch import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from emtools.batch import FileDone

_STOPPING = (signal.SIGINT, signal.SIGTERM)


class Listening(Monitor):
    """Tells others of each file, and stops where a signal has asked for it."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[FileDone], None]] = []
        self._stop = threading.Event()
        self._anywhere = False

    def done(self, file: FileDone) -> None:
        """Tell the others."""
        for listener in self.listeners:
            listener(file)

    def stopped(self) -> bool:
        """Whether a signal has come."""
        return self._stop.is_set()

    def writing(self, begun: bool) -> None:
        """Let a signal stop at once while tables and page are written."""
        self._anywhere = begun

    def stop(self, number: int, _: FrameType | None) -> None:
        """Take a signal: the first one stops in order, the second one at once."""
        if self._anywhere or self._stop.is_set():
            signal.signal(number, signal.SIG_DFL)
            raise KeyboardInterrupt
        self._stop.set()


@contextmanager
def monitoring(*, bar: bool, lines: bool, log: Path | None) -> Iterator[Listening]:
    """Show what becomes of files, and stop at SIGINT and SIGTERM.

    Parameters
    ----------
    bar
        Show a bar on the error stream, with rate, time left and failures.
    lines
        Print one JSON object a file on the standard output.
    log
        File that lines are appended to.
    """
    monitor = Listening()
    with ExitStack() as stack:
        if bar:
            monitor.listeners.append(stack.enter_context(_bar()))
        if lines:
            monitor.listeners.append(_print_line)
        if log is not None:
            monitor.listeners.append(stack.enter_context(_log(log)))
        before = {number: signal.signal(number, monitor.stop) for number in _STOPPING}
        try:
            yield monitor
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _bar() -> Iterator[Callable[[FileDone], None]]:
    from rich import progress
    from rich.console import Console

    columns = (
        progress.BarColumn(), progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]}"), progress.TimeRemainingColumn(),
        progress.TextColumn("{task.fields[failed]}", style="red"),
        progress.TextColumn("{task.description}", markup=False))
    with progress.Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=None, rate="", failed="")
        failed = 0

        def update(file: FileDone) -> None:
            nonlocal failed
            failed += file.status == "failed"
            speed = shown.tasks[task].speed
            shown.update(task, completed=file.done, total=file.total, description=file.file[-40:],
                         rate=f"{speed:.1f}/s" if speed else "",
                         failed=f"{failed} failed" if failed else "")

        yield update


def _print_line(file: FileDone) -> None:
    print(json.dumps(_plain(file)), flush=True)  # noqa: T201


def _plain(file: FileDone) -> dict[str, Any]:
    found = asdict(file)
    for key in ("file", "reason"):  # a name may hold bytes that are no text
        found[key] = found[key].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return found


@contextmanager
def _log(path: Path) -> Iterator[Callable[[FileDone], None]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", errors="surrogateescape") as file:

        def write(one: FileDone) -> None:
            now = dt.datetime.now().astimezone().isoformat(timespec="seconds")
            said = f"  {' '.join(one.reason.split())}" if one.reason else ""
            name = one.file.replace("\n", "\\n")
            file.write(f"{now}  {one.done}/{one.total}  {one.status}  {one.seconds:.1f} s  "
                       f"{name}{said}\n")
            file.flush()

        yield write
