"""Work beside the window: in a thread, with its stages told and a way to stop it."""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
import weakref
from functools import cache
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Qt, QTimer, Signal

from emtools.stages import StoppedError, listening

if TYPE_CHECKING:
    from collections.abc import Callable

_NICE = 10
_SWEEP_MS = 1000  # between two searches for garbage while a thread works
_PAUSE_S = 0.05  # between two stages that are told: a window shows no more


class Work(QObject):
    """One piece of work at a time; what it returns or raises arrives in the window's thread.

    A thread is stopped at the next stage of what it measures; whatever it still returns is dropped.
    It knows this object by a weak reference only: a panel may be gone before its thread is.

    Attributes
    ----------
    reached
        Signal: the stage in words, and the part that is done or None.
    ended
        Signal: it has returned, failed or was stopped.
    """

    reached = Signal(str, object)
    ended = Signal()

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.on: tuple[str, str] | None = None  # key of the image and measurement it works on
        self._piece = _Piece()
        self._running = False
        self._done: Callable[[Any], None] | None = None
        self._failed: Callable[[Exception], None] | None = None
        _post()  # made in the window's thread

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self._running

    def start(
        self, function: Callable[[], Any], done: Callable[[Any], None],
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        """Call a function in a thread, and then another with what it returned.

        Parameters
        ----------
        function
            Touches no window.
        done
            Called with its value, in the window's thread.
        failed
            Called with what it raised; by default that is notified.
        """
        self.stop()
        self._running, self._done, self._failed = True, done, failed
        self._piece = _Piece(weakref.ref(self))
        _post().hold()
        threading.Thread(target=self._piece.run, args=(function,), daemon=True).start()

    def stop(self) -> None:
        """Stop at the next stage; nothing arrives any more."""
        self._piece.stopped = True
        self._done = self._failed = None
        if self._running:
            self._running = False
            self.ended.emit()

    def arrived(self, piece: _Piece, outcome: Any) -> None:
        """Take what a thread returned or raised."""
        if piece is not self._piece or piece.stopped:
            return
        done, failed, self._running = self._done, self._failed, False
        self._done = self._failed = None
        self.ended.emit()
        if not isinstance(outcome, Exception):
            assert done is not None
            done(outcome)
        elif failed is not None:
            failed(outcome)
        else:
            tell(outcome)


class _Piece:
    """What one thread does, and for whom; no object of Qt, so that a thread may hold it."""

    def __init__(self, work: weakref.ref[Work] | None = None) -> None:
        self.work = work
        self.stopped = False

    def run(self, function: Callable[[], Any]) -> None:
        """Call a function in this thread, and post what it returned or raised."""
        told = 0.0

        def listen(words: str, done: float | None) -> None:
            nonlocal told
            if self.stopped:
                raise StoppedError
            if time.monotonic() - told > _PAUSE_S:
                told = time.monotonic()
                _post().sent.emit(self, "reached", (words, done))

        _after_the_window()
        outcome: Any = None
        try:
            with listening(listen):
                outcome = function()
        except Exception as error:  # whatever it is, it is told in the window
            outcome = error
        del function  # whatever it holds goes before the message is taken
        _post().sent.emit(self, "arrived", outcome)


class _Post(QObject):
    """Carries messages from threads to the window's thread; lives as long as the program.

    While a thread works Python does not search for cycles of garbage by itself: what it finds is
    freed in the thread that happens to search, and windows must be freed in their own.  It
    is done here instead, now and then and when the last thread has ended.
    """

    sent = Signal(object, str, object)

    def __init__(self) -> None:
        super().__init__()
        self._threads = 0
        self._was_enabled = False
        self._sweep = QTimer(self)
        self._sweep.setInterval(_SWEEP_MS)
        self._sweep.timeout.connect(lambda: gc.collect(1))
        self.sent.connect(self._take, Qt.ConnectionType.QueuedConnection)

    def hold(self) -> None:
        """Know of one more thread."""
        if self._threads == 0:
            self._was_enabled = gc.isenabled()
            gc.disable()
            self._sweep.start()
        self._threads += 1

    def _take(self, piece: _Piece, what: str, content: Any) -> None:
        if what == "arrived":
            self._threads -= 1
            if self._threads == 0:
                self._sweep.stop()
                if self._was_enabled:
                    gc.enable()
        work = piece.work() if piece.work is not None else None
        if work is None or piece.stopped or not isalive(work):
            return
        if what == "reached":
            work.reached.emit(*content)
        else:
            work.arrived(piece, content)


@cache
def _post() -> _Post:
    """The one that all threads use; made in the window's thread."""
    return _Post()


def _after_the_window() -> None:
    """Let the window go before this thread and those that it starts, where the system can do so."""
    with contextlib.suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


def tell(error: Exception) -> None:
    """Notify of an error: one line of what was wrong, and what to do."""
    from napari.utils.notifications import notification_manager, show_error

    from emtools.errors import EmtoolsError

    if isinstance(error, EmtoolsError):
        show_error(str(error))
    else:
        notification_manager.receive_error(type(error), error, error.__traceback__)
