"""Work beside the window: in a thread, with its stages told and a way to stop it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from emtools.stages import StoppedError, listening

if TYPE_CHECKING:
    from collections.abc import Callable

_NICE = 10
_PAUSE_S = 0.05  # between two stages that are told: a window shows no more


class Work(QObject):
    """One piece of work at a time; what it returns or raises arrives in the window's thread.

    A thread is stopped at the next stage of what it measures; whatever it still returns is dropped.

    Attributes
    ----------
    reached
        Signal: the stage in words, and the part that is done or None.
    ended
        Signal: it has returned, failed or was stopped.
    """

    reached = Signal(str, object)
    ended = Signal()
    _result = Signal(int, object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.on: tuple[str, str] | None = None  # key of the image and measurement it works on
        self._number = 0  # of the piece of work that is under way
        self._running = False
        self._done: Callable[[Any], None] | None = None
        self._failed: Callable[[Exception], None] | None = None
        self._result.connect(self._arrived)

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
        threading.Thread(target=self._run, args=(self._number, function), daemon=True).start()

    def stop(self) -> None:
        """Stop at the next stage; nothing arrives any more."""
        self._number += 1
        self._done = self._failed = None
        if self._running:
            self._running = False
            self.ended.emit()

    def _run(self, number: int, function: Callable[[], Any]) -> None:
        told = 0.0

        def listen(words: str, done: float | None) -> None:
            nonlocal told
            if self._number != number:
                raise StoppedError
            if time.monotonic() - told > _PAUSE_S:
                told = time.monotonic()
                self.reached.emit(words, done)

        _after_the_window()
        with contextlib.suppress(StoppedError, RuntimeError):  # its window is closed by now
            try:
                with listening(listen):
                    outcome: Any = function()
            except Exception as error:  # whatever it is, it is told in the window
                if isinstance(error, StoppedError):
                    raise
                outcome = error
            self._result.emit(number, outcome)

    def _arrived(self, number: int, outcome: Any) -> None:
        if number != self._number:  # stopped, or started anew
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
