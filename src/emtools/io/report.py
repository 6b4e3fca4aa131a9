"""What goes wrong while a file is read, and the only place where every exception is caught.

Readers of some thirty vendor formats fail in as many ways.  Whoever calls them wants one answer:
either the images and plain sentences about what is missing, or one `ReadError`.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from emtools.errors import EmtoolsError, ReadError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOGGERS = ("rsciio", "tifffile", "PIL", "h5py", "zarr")
_LENGTH = 300
_TURN = threading.RLock()


@dataclass
class Report:
    """Collects what was met while a file was read.

    Parameters
    ----------
    problems
        Plain sentences: signals that could not be read, remarks of the reader.
    """

    problems: list[str] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        """Add a sentence, once."""
        if sentence and sentence not in self.problems:
            self.problems.append(sentence)

    @contextlib.contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Run a block whose failure is said, not raised."""
        try:
            yield
        except Exception as error:  # any reader failure: see the module docstring
            self.say(f"{what} could not be read: {in_words(error)}")
            _release(error)


@contextlib.contextmanager
def failures_as_read_errors(path: Path) -> Iterator[None]:
    """Turn any failure inside the block into one `ReadError` about `path`."""
    try:
        yield
    except EmtoolsError:
        raise
    except Exception as error:
        reason, advice = _diagnosis(path, error)
        _release(error)
        raise ReadError(str(path), reason, advice) from error


def _diagnosis(path: Path, error: Exception) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError):
        missing = str(error.filename or "").strip()
        if missing and Path(missing) != path:
            return f"a part of it is missing: {Path(missing).name}", \
                "copy all files of the measurement together"
        return "there is no such file", "check the path"
    if isinstance(error, PermissionError):
        return "it may not be read", "ask for permission to read it"
    if isinstance(error, MemoryError):
        return "it claims more data than the memory holds", \
            "check that the file is complete and not damaged"
    said = in_words(error)
    return f"it is damaged, incomplete or of another format than its name says ({said})", \
        "open it in the program that wrote it and save it again"


def in_words(error: BaseException) -> str:
    """Return an exception's message as one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    known = isinstance(error, EmtoolsError | OSError | ValueError)
    text = text if known else f"{type(error).__name__}: {text}"
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]} ..."


def _release(error: BaseException) -> None:
    """Close what the failed reader left open: its frames keep file handles alive."""
    with _TURN, warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        cause: BaseException | None = error
        while cause is not None:
            traceback.clear_frames(cause.__traceback__)
            cause = cause.__context__


class _Collector(logging.Handler):
    def __init__(self, report: Report) -> None:
        super().__init__(logging.WARNING)
        self.report = report

    def emit(self, record: logging.LogRecord) -> None:
        self.report.say(_sentence(record.getMessage()))


def _sentence(message: str) -> str:
    text = " ".join(message.split())
    return text if len(text) <= _LENGTH else f"{text[:_LENGTH]} ..."


@contextlib.contextmanager
def quiet(report: Report) -> Iterator[None]:
    """Keep the readers' log lines and warnings off the terminal.

    Log lines and user warnings go to the report; deprecation and resource warnings concern the
    readers' authors and are dropped.  Handlers and warning filters belong to the whole process,
    hence threads take turns here; it is held while headers are read, never while pixels are.
    """
    with _TURN:
        collector = _Collector(report)
        logs = [logging.getLogger(name) for name in _LOGGERS]
        before = [(log, log.handlers[:], log.propagate) for log in logs]
        for log in logs:
            log.handlers, log.propagate = [collector], False
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                yield
        finally:
            for log, handlers, propagate in before:
                log.handlers, log.propagate = handlers, propagate
            for warning in caught:
                if warning.category is UserWarning:
                    report.say(_sentence(str(warning.message)))
