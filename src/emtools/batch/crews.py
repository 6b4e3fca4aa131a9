"""Who measures: processes on this machine, or the workers of a dask cluster; one loop for both."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pebble import ProcessExpired, ProcessPool

from emtools.batch.keys import code_version
from emtools.batch.work import Job, TooBig, measure_file
from emtools.errors import ParameterError
from emtools.results.records import without_images

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from emtools.batch.work import Task
    from emtools.results.records import Record

Found = list[dict[str, Any]] | TooBig
_LOOK_S = 0.2  # between looks at whether to stop
_ANSWER_S = 10.0
_CGROUP = Path("/sys/fs/cgroup")
_FREE_PART = 0.8  # of the memory that is free now may be used
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


class Crew(Protocol):
    """Workers that measure files."""

    @property
    def size(self) -> int:
        """How many files they may be given at a time."""

    def submit(self, job: Job, *, alone: bool) -> Future[Found]:
        """Have a file measured; `alone` says that no other one is."""

    def overdue(self, future: Future[Found]) -> None:
        """Give up a file that takes too long."""

    def close(self) -> None:
        """Let the workers go, at once."""


class Given(NamedTuple):
    """A file that is being measured."""

    job: Job
    since: float


def measured(
    jobs: Iterable[Job], crew: Crew, timeout_s: float | None, stopped: Callable[[], bool],
) -> Iterator[tuple[Job, list[Record]]]:
    """Yield the records of each file as it is done; those too big for company come last, alone.

    Parameters
    ----------
    jobs
        The files.
    crew
        Who measures them.
    timeout_s
        Longest that a file may take.
    stopped
        Whether to stop, looked at several times a second.

    Raises
    ------
    KeyboardInterrupt
        If it was stopped.
    """
    waiting, big = deque(jobs), deque[Job]()
    given: dict[Future[Found], Given] = {}
    while waiting or big or given:
        while waiting and len(given) < crew.size:
            job = waiting.popleft()
            given[crew.submit(job, alone=False)] = Given(job, time.monotonic())
        if big and not given:
            job = big.popleft()
            given[crew.submit(job, alone=True)] = Given(job, time.monotonic())
        done, _ = wait(given, timeout=_LOOK_S, return_when=FIRST_COMPLETED)
        if stopped():
            raise KeyboardInterrupt
        for future in done:
            job = given.pop(future).job
            found = _found(job, future, timeout_s)
            if isinstance(found, TooBig):
                big.append(job)
            else:
                yield job, found
        for future, one in given.items():
            if timeout_s is not None and time.monotonic() - one.since > timeout_s:
                crew.overdue(future)


def _found(job: Job, future: Future[Found], timeout_s: float | None) -> Found:
    """What became of a file; a worker that dies or hangs costs its file, not the batch."""
    try:
        return future.result()
    except TimeoutError:
        reason = f"took longer than {timeout_s:g} s; give more with --timeout-s"
    except ProcessExpired as error:
        reason = (f"the process that measured it died (exit code {error.exitcode}: out of memory, "
                  "or a reader crashed); try it alone with `emtools info`")
    return [without_images(job.name, "failed", reason)]


class Processes:
    """Processes on this machine, each with one thread for linear algebra.

    Parameters
    ----------
    task
        What all files have in common.
    workers
        How many.
    timeout_s
        Longest that a file may take, counted from when it is begun.
    """

    def __init__(self, task: Task, workers: int, timeout_s: float | None) -> None:
        self._task, self._workers, self._timeout_s = task, workers, timeout_s
        self._free = _FREE_PART * _free_bytes()
        # Processes that take the place of dead ones start later, and must find it so, too.
        self._one_thread = _one_thread_each()
        self._one_thread.__enter__()
        # 'spawn' is the one start method that every system has, and that threads cannot break.
        self._pool = ProcessPool(workers, context=multiprocessing.get_context("spawn"))

    @property
    def size(self) -> int:
        """One more than there are processes: none waits for the next file."""
        return self._workers + 1

    def submit(self, job: Job, *, alone: bool) -> Future[Found]:
        """Have a file measured; it may take its share of the memory, or all of it alone."""
        room = self._free if alone else self._free / self._workers
        future: Future[Found] = self._pool.schedule(
            measure_file, args=(job, self._task, room, alone), timeout=self._timeout_s)
        return future

    def overdue(self, future: Future[Found]) -> None:
        """Nothing to do: the pool knows when a file was begun, and ends it itself."""

    def close(self) -> None:
        """End the processes."""
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()
        self._one_thread.__exit__(None, None, None)


class Cluster:
    """Workers of a dask.distributed scheduler, which see the same files under the same names.

    Parameters
    ----------
    task
        What all files have in common.
    address
        Of the scheduler: ``tcp://host:8786``.
    timeout_s
        Longest that a file may take.

    Raises
    ------
    ParameterError
        If no scheduler answers, it has no workers, or theirs is another emtools.
    """

    def __init__(self, task: Task, address: str, timeout_s: float | None) -> None:
        from distributed import Client

        self._task, self._address = task, address
        # The clock runs from when a file is given: none may then wait for its turn.
        self._each = 2 if timeout_s is None else 1
        try:
            self._client: Any = Client(  # type: ignore[no-untyped-call]
                address, timeout=_ANSWER_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ParameterError("--scheduler", f"{address} does not answer ({error})",
                                 "start `dask scheduler` and `dask worker`, and give its address"
                                 ) from error
        self._futures: dict[Future[Found], Any] = {}
        self._size = (0.0, 0)
        try:
            self._check()
        except ParameterError:
            self.close()
            raise

    def _check(self) -> None:
        try:
            versions = self._client.run(code_version)
        except ModuleNotFoundError as error:
            raise ParameterError("--scheduler", f"its workers have no emtools ({error})",
                                 "install the same emtools there") from error
        if not versions:
            raise ParameterError("--scheduler", f"{self._address} has no workers",
                                 f"start `dask worker {self._address}`")
        other = [worker for worker, version in versions.items() if version != code_version()]
        if other:
            raise ParameterError("--scheduler", f"the workers {', '.join(other)} have another "
                                 "emtools", "install this one there")

    @property
    def size(self) -> int:
        """By the threads of the workers that are there now; others may join or leave."""
        asked, size = self._size
        if time.monotonic() - asked > 1.0:
            try:
                size = self._each * max(1, sum(self._client.nthreads().values()))
            except Exception as error:  # whatever became of it
                raise self._lost(error) from error
            self._size = (time.monotonic(), size)
        return size

    def _lost(self, error: object) -> ParameterError:
        return ParameterError("--scheduler", f"{self._address} is gone ({error})", "what was "
                              "measured is kept; start the same command again when it is back")

    def submit(self, job: Job, *, alone: bool) -> Future[Found]:
        """Have a file measured; the memory is each worker's own business."""
        remote = self._client.submit(measure_file, job, self._task, None, alone, pure=False)
        future: Future[Found] = Future()
        self._futures[future] = remote
        remote.add_done_callback(lambda done: self._settle(future, done))
        return future

    def _settle(self, future: Future[Found], remote: Any) -> None:
        """Hand on what became of a file; dask would only log what goes wrong here."""
        if self._futures.pop(future, None) is None:  # given up
            return
        try:
            future.set_result(remote.result(timeout=_ANSWER_S))
        except Exception as error:  # of the file, of its worker, or of the scheduler
            if type(error).__name__ == "KilledWorker":
                future.set_exception(ProcessExpired("", code=-1))  # type: ignore[no-untyped-call]
            else:
                future.set_exception(self._lost(error))

    def overdue(self, future: Future[Found]) -> None:
        """Restart the worker that hangs, and fail the file; others on it are begun anew."""
        remote = self._futures.pop(future, None)
        if remote is None:
            return
        future.set_exception(TimeoutError())
        hanging = [worker for worker, keys in self._client.processing().items()
                   if any(str(key) == str(remote.key) for key in keys)]
        remote.cancel()
        if hanging:
            self._client.restart_workers(hanging, raise_for_error=False)

    def close(self) -> None:
        """Let the workers go on without this batch."""
        with contextlib.suppress(Exception):  # whatever became of the scheduler
            self._client.cancel(list(self._futures.values()))
        self._client.close(timeout=1)


def _free_bytes() -> float:
    """Memory that is free on this machine, and in the control group that the process is in."""
    import psutil

    free = float(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError, KeyError):  # no such system, or no limit ("max")
        limit, used = (float((_CGROUP / f"memory.{name}").read_text("ascii")) for name in
                       ("max", "current"))
        # What files were read counts as used, and is given back when it is needed.
        kept = dict(line.split()
                    for line in (_CGROUP / "memory.stat").read_text("ascii").splitlines())
        used -= float(kept["active_file"]) + float(kept["inactive_file"])
        free = min(free, limit - max(used, 0.0))
    return free


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep the linear algebra of each worker to one thread: the workers fill the cores."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
