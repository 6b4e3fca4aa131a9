"""Run a batch: files to workers, records to the store, one bad file never stops the rest."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from emtools._version import __version__
from emtools.batch.plan import Recipe
from emtools.batch.store import Store
from emtools.batch.work import Record, measure_file
from emtools.errors import ParameterError
from emtools.io import find_files
from emtools.report import write_report

Progress = Callable[[int, int, str], None]
Job = tuple[Path, str]


@dataclass(frozen=True)
class Outcome:
    """What a batch did.

    Parameters
    ----------
    measured, left_out
        Number of images.
    others
        Number of files that are no micrographs.
    failed
        File (and image) with the reason.
    report
        The page.
    """

    measured: int
    left_out: int
    others: int
    failed: tuple[tuple[str, str], ...]
    report: Path


def run(
    folder: Path, output: Path, recipe: Recipe | None = None, *, workers: int | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Measure every image below a folder.

    Parameters
    ----------
    folder
        Walked with its subfolders; a single file is a batch of one.
    output
        Results folder: records, tables, pictures, ``index.html``.
    recipe
        What is measured; by default everything that fits.
    workers
        Worker processes; by default one for each core.
    progress
        Called with files done, files in all, and the name of the file just done.

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
    jobs, left_out = _files(folder, output)
    store = Store(output)
    store.clear()
    store.add([_without_images(name, "other file", reason) for name, reason in left_out])
    results = _measured(jobs, recipe, output, workers or os.cpu_count() or 1)
    for done, (name, records) in enumerate(results, start=1):
        store.add(records)
        if progress is not None:
            progress(done, len(jobs), name)
    store.write_tables()
    return _finish(store, folder)


def _files(folder: Path, output: Path) -> tuple[list[Job], list[tuple[str, str]]]:
    if not folder.exists():
        raise ParameterError(str(folder), "does not exist", "give a folder of micrographs")
    if folder.is_file():
        return [(folder, folder.name)], []
    files, left_out = find_files(folder)
    inside = output.resolve()
    jobs = [(path, path.relative_to(folder).as_posix()) for path in files
            if inside not in path.resolve().parents]
    others = [(path.relative_to(folder).as_posix(), reason) for path, reason in left_out.items()
              if inside not in path.resolve().parents]
    return jobs, others


def _without_images(name: str, status: str, reason: str) -> Record:
    return {"file": name, "image": "", "index": 0, "source_sha256": "", "status": status,
            "reason": reason, "description": {}, "audit": [], "thumbnail": "", "measurements": [],
            "skipped": [], "seconds": 0.0}


def _measured(
    jobs: list[Job], recipe: Recipe, output: Path, workers: int
) -> Iterator[tuple[str, list[Record]]]:
    """Yield the records of each file as it is done."""
    left = list(jobs)
    while left:
        suspects: list[Job] = []
        with _one_thread_each(), _pool(min(workers, len(left))) as pool:
            futures = {_submit(pool, job, recipe, output): job for job in left}
            left = []
            for future, job in _as_completed(futures):
                try:
                    yield job[1], future.result()
                except BrokenProcessPool:
                    suspects.append(job)
        # A worker died and took the pool with it: nobody knows for which file, so each of the
        # files not done is tried in a process of its own until the culprit is found.
        suspects.sort(key=jobs.index)  # those under way when it happened come first
        while suspects:
            job = suspects.pop(0)
            records, died = _alone(job, recipe, output)
            yield job[1], records
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


def _submit(
    pool: ProcessPoolExecutor, job: Job, recipe: Recipe, output: Path
) -> Future[list[Record]]:
    return pool.submit(measure_file, job[0], job[1], recipe, output)


def _as_completed(
    futures: dict[Future[list[Record]], Job]
) -> Iterator[tuple[Future[list[Record]], Job]]:
    pending = set(futures)
    while pending:
        finished, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in finished:
            yield future, futures[future]


def _alone(job: Job, recipe: Recipe, output: Path) -> tuple[list[Record], bool]:
    with _one_thread_each(), _pool(1) as pool:
        try:
            return _submit(pool, job, recipe, output).result(), False
        except BrokenProcessPool:
            reason = ("the process that measured it died (out of memory, or a reader crashed); "
                      "try it alone with `emtools info`")
            return [_without_images(job[1], "failed", reason)], True


def _finish(store: Store, folder: Path) -> Outcome:
    records = list(store.records())
    write_report(store.folder, records, title=f"emtools: {folder.name or folder.resolve().name}",
                 version=__version__)
    failed = tuple((_label(r), r["reason"]) for r in records if r["status"] == "failed")
    counts = [r["status"] for r in records]
    return Outcome(counts.count("measured"), counts.count("left out"), counts.count("other file"),
                   failed, store.folder / "index.html")


def _label(record: Record) -> str:
    return f"{record['file']} [{record['image']}]" if record["image"] else str(record["file"])
