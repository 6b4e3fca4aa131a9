"""Run a batch: files to workers, records to the store, one bad file never stops the rest."""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from pebble import ProcessExpired, ProcessPool

from emtools.batch.contents import Contents
from emtools.batch.plan import Recipe
from emtools.batch.store import RunOfFiles, Store
from emtools.batch.work import Job, Task, measure_file
from emtools.errors import ParameterError
from emtools.io import find_files
from emtools.io.finding import Found
from emtools.report import write_report
from emtools.results.export import export
from emtools.results.reading import Results
from emtools.results.records import pictures, without_images

if TYPE_CHECKING:
    from pathlib import Path

    from emtools.results.records import Record

Progress = Callable[[int, int, str], None]
_TOGETHER = 200  # files that are looked at with one transaction


@dataclass(frozen=True)
class Outcome:
    """What a batch did.

    Parameters
    ----------
    measured, left_out
        Number of images.
    reused
        Number of files whose results were there already.
    others
        Number of files that are no micrographs.
    failed
        File (and image) with the reason.
    report
        The page.
    """

    measured: int
    left_out: int
    reused: int
    others: int
    failed: tuple[tuple[str, str], ...]
    report: Path


def run(
    folder: Path, output: Path, recipe: Recipe | None = None, *, workers: int | None = None,
    progress: Progress | None = None, rehash: bool = False, timeout_s: float | None = None,
) -> Outcome:
    """Measure every image below a folder that is not measured yet.

    What was measured before, by this recipe or another, stays in the store; a file that is known by
    its content is not opened again, whatever it is called now.

    Parameters
    ----------
    folder
        Walked with its subfolders; a single file is a batch of one.
    output
        Results folder: ``results.sqlite``, tables, pictures, ``index.html``.
    recipe
        What is measured; by default everything that fits.
    workers
        Worker processes; by default one for each core.
    progress
        Called with files done, files in all, and the name of the file just done.
    rehash
        Read all files to see whether they have changed; by default a file of the same size, time of
        change and inode has not.
    timeout_s
        Longest that a file may take; one that hangs is given up, and fails with that reason.

    Returns
    -------
    Outcome

    Raises
    ------
    ParameterError
        If the folder does not exist, the recipe is wrong, or the output cannot be written.
    """
    recipe = recipe or Recipe()
    recipe.check()
    if workers is not None and workers < 1:
        raise ParameterError("workers", f"must be at least 1, not {workers}")
    if timeout_s is not None and not 0 < timeout_s < math.inf:
        raise ParameterError("timeout_s", f"must be positive and finite, not {timeout_s}")
    files = files_of(folder, output)
    with Store(output) as store:
        under_way = store.begin(folder, recipe)
        with under_way.together():
            for path, reason in files.left_out.items():
                under_way.leave_out(name_of_file(path, folder), "other file", reason)
        reused = _measure(files, folder, under_way, Task(recipe, under_way.keys, output),
                          Contents(store.connection, rehash=rehash),
                          _Limits(workers or os.cpu_count() or 1, timeout_s), progress)
        outcome = _finish(output, reused, written=under_way.as_before())
        under_way.finish()  # only now: tables and page are of this run
    return outcome


class _Limits(NamedTuple):
    """How many worker processes, and how long each may take for a file."""

    workers: int
    timeout_s: float | None


def _measure(
    files: Found, folder: Path, run: RunOfFiles, task: Task, contents: Contents, limits: _Limits,
    progress: Progress | None,
) -> int:
    """Measure the files that are not known; return how many are."""
    jobs: list[Job] = []
    same: dict[str, list[str]] = {}  # by content: names of files with what another one has
    done = reused = 0

    def seen(name: str) -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, len(files.files), name)

    for first in range(0, len(files.files), _TOGETHER):
        with run.together():
            for path in files.files[first:first + _TOGETHER]:
                name = name_of_file(path, folder)
                try:
                    content = contents.digest(path, files.parts.get(path, ()))
                except OSError as error:
                    run.leave_out(name, "failed", f"cannot be read ({error})")
                    seen(name)
                    continue
                if run.taken_over(name, content):
                    reused += 1
                    seen(name)
                elif content in same:
                    same[content].append(name)
                else:
                    same[content] = []
                    jobs.append(Job(path, name, content, run.known(name, content)))
    by_name = {job.name: job for job in jobs}
    for name, records in _measured(jobs, task, *limits):
        job = by_name[name]
        run.add(name, job.content, _of(job, records, files, contents))
        seen(name)
        for other in same[job.content]:
            with run.together():
                there = run.taken_over(other, job.content)
            if not there:
                run.add(other, job.content, [{**record, "file": other} for record in records])
            seen(other)
    return reused


def _of(job: Job, records: list[Record], files: Found, contents: Contents) -> list[Record]:
    """The records of a file, if it is still what it was when it was looked at."""
    try:
        now = contents.digest(job.path, files.parts.get(job.path, ()))
    except OSError:  # it is gone: what was read of it is what it was
        return records
    if now == job.content:
        return records
    return [without_images(job.name, "failed", "changed while it was measured; start the same "
                            "command again when it is complete")]


def name_of_file(path: Path, folder: Path) -> str:
    """How a file is called in the results."""
    return path.name if path == folder else path.relative_to(folder).as_posix()


def files_of(folder: Path, output: Path) -> Found:
    """The files of a folder, those of the results left alone."""
    if not folder.exists():
        raise ParameterError(str(folder), "does not exist", "give a folder of micrographs")
    if folder.is_file():
        return Found([folder], {}, {})
    found = find_files(folder)
    inside = output.resolve()

    def outside(path: Path) -> bool:
        return inside not in path.resolve().parents

    return Found([path for path in found.files if outside(path)],
                 {path: why for path, why in found.left_out.items() if outside(path)},
                 found.parts)


def _measured(
    jobs: list[Job], task: Task, workers: int, timeout_s: float | None
) -> Iterator[tuple[str, list[Record]]]:
    """Yield the records of each file as it is done."""
    if not jobs:
        return
    with _one_thread_each(), _pool(min(workers, len(jobs))) as pool:
        futures: dict[Future[list[Record]], Job] = {
            pool.schedule(measure_file, args=(job, task), timeout=timeout_s): job for job in jobs}
        try:
            for future in as_completed(futures):
                job = futures.pop(future)  # and its records with it, once they are stored
                yield job.name, _records(job, future, timeout_s)
        except BaseException:  # stopped: nobody waits for what is under way
            pool.stop()  # type: ignore[no-untyped-call]
            pool.join()
            raise


def _records(job: Job, future: Future[list[Record]], timeout_s: float | None) -> list[Record]:
    """What became of a file; a worker that dies or hangs costs its file, not the batch."""
    try:
        return future.result()
    except TimeoutError:
        reason = f"took longer than {timeout_s:g} s; give more with --timeout-s"
    except ProcessExpired as error:
        reason = (f"the process that measured it died (exit code {error.exitcode}: out of memory, "
                  "or a reader crashed); try it alone with `emtools info`")
    return [without_images(job.name, "failed", reason)]


def _pool(workers: int) -> ProcessPool:
    # 'spawn' is the one start method that every system has, and that threads cannot break.
    return ProcessPool(workers, context=multiprocessing.get_context("spawn"))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep the linear algebra of each worker to one thread: the workers fill the cores."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _finish(output: Path, reused: int, *, written: bool) -> Outcome:
    """Write tables and report out of the store, unless they are there from the run before."""
    with Results(output) as results:
        if not (written and (output / "index.html").is_file()):
            _write(results)
        found = results.images
    failed = tuple((f"{file} [{image}]" if image else file, reason) for file, image, reason in
                   found.loc[found["status"] == "failed", ["file", "image", "reason"]]
                   .itertuples(index=False))
    counts = found["status"].value_counts()
    return Outcome(int(counts.get("measured", 0)), int(counts.get("left out", 0)), reused,
                   int(counts.get("other file", 0)), failed, output / "index.html")


def _write(results: Results) -> None:
    """Write tables and page, and remove pictures that belong to no result."""
    export(results, results.folder / "tables")
    kept = {results.folder / path for path in pictures(results)}
    for path in (results.folder / "pictures").glob("*.png"):
        if path not in kept:  # of a file that was being measured when a batch was stopped
            path.unlink()
    write_report(results)
