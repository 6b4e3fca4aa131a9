"""Run a batch: files to workers, records to the store, one bad file never stops the rest."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emtools._version import __version__
from emtools.batch.contents import Contents
from emtools.batch.export import export
from emtools.batch.plan import Recipe
from emtools.batch.results import Results
from emtools.batch.store import RunOfFiles, Store
from emtools.batch.work import NOT_OPENED, Job, Record, Task, measure_file
from emtools.errors import ParameterError
from emtools.io import find_files
from emtools.io.finding import Found
from emtools.report import write_report

if TYPE_CHECKING:
    from pathlib import Path

Progress = Callable[[int, int, str], None]


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
    progress: Progress | None = None, rehash: bool = False,
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
    files = files_of(folder, output)
    with Store(output) as store:
        under_way = store.begin(folder, recipe)
        for path, reason in files.left_out.items():
            under_way.leave_out(name_of_file(path, folder), "other file", reason)
        reused = _measure(files, folder, under_way, Task(recipe, under_way.keys, output),
                          Contents(store.connection, rehash=rehash),
                          workers or os.cpu_count() or 1, progress)
        under_way.finish()
        return _finish(output, folder, reused)


def _measure(
    files: Found, folder: Path, run: RunOfFiles, task: Task, contents: Contents, workers: int,
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

    for path in files.files:
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
    for name, records in _measured(jobs, task, workers):
        content = by_name[name].content
        run.add(name, content, records)
        seen(name)
        for other in same[content]:
            if not run.taken_over(other, content):
                run.add(other, content, [{**record, "file": other} for record in records])
            seen(other)
    return reused


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


def _without_images(name: str, status: str, reason: str) -> Record:
    return {"file": name, "image": "", "index": NOT_OPENED, "source_sha256": "", "status": status,
            "reason": reason, "description": {}, "audit": [], "thumbnail": "", "measurements": [],
            "skipped": [], "seconds": 0.0}


def _measured(
    jobs: list[Job], task: Task, workers: int
) -> Iterator[tuple[str, list[Record]]]:
    """Yield the records of each file as it is done."""
    left = list(jobs)
    while left:
        suspects: list[Job] = []
        with _one_thread_each(), _pool(min(workers, len(left))) as pool:
            futures = {_submit(pool, job, task): job for job in left}
            left = []
            for future, job in _as_completed(futures):
                try:
                    yield job.name, future.result()
                except BrokenProcessPool:
                    suspects.append(job)
        # A worker died and took the pool with it: nobody knows for which file, so each of the
        # files not done is tried in a process of its own until the culprit is found.
        suspects.sort(key=jobs.index)  # those under way when it happened come first
        while suspects:
            job = suspects.pop(0)
            records, died = _alone(job, task)
            yield job.name, records
            if died:
                left, suspects = suspects, []


def _pool(workers: int) -> ProcessPoolExecutor:
    # 'spawn' is the one start method that every system has, and that threads cannot break.
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


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


def _submit(pool: ProcessPoolExecutor, job: Job, task: Task) -> Future[list[Record]]:
    return pool.submit(measure_file, job, task)


def _as_completed(
    futures: dict[Future[list[Record]], Job]
) -> Iterator[tuple[Future[list[Record]], Job]]:
    pending = set(futures)
    while pending:
        finished, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in finished:
            yield future, futures[future]


def _alone(job: Job, task: Task) -> tuple[list[Record], bool]:
    with _one_thread_each(), _pool(1) as pool:
        try:
            return _submit(pool, job, task).result(), False
        except BrokenProcessPool:
            reason = ("the process that measured it died (out of memory, or a reader crashed); "
                      "try it alone with `emtools info`")
            return [_without_images(job.name, "failed", reason)], True


def _finish(output: Path, folder: Path, reused: int) -> Outcome:
    """Write tables and report out of the store."""
    with Results(output) as results:
        export(results, output / "tables")
        records = list(results.records())
        kept = {output / path for path in results.pictures()}
    for path in (output / "pictures").glob("*.png"):
        if path not in kept:  # of a file that was being measured when a batch was stopped
            path.unlink()
    write_report(output, records, title=f"emtools: {folder.name or folder.resolve().name}",
                 version=__version__)
    failed = tuple((_label(r), r["reason"]) for r in records if r["status"] == "failed")
    counts = [r["status"] for r in records]
    return Outcome(counts.count("measured"), counts.count("left out"), reused,
                   counts.count("other file"), failed, output / "index.html")


def _label(record: Record) -> str:
    return f"{record['file']} [{record['image']}]" if record["image"] else str(record["file"])
