"""Run a batch: files to workers, records to the store, one bad file never stops the rest."""

from __future__ import annotations

import contextlib
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emtools.batch.contents import Contents
from emtools.batch.crews import Cluster, Crew, Processes, measured
from emtools.batch.plan import Recipe
from emtools.batch.store import RunOfFiles, Store
from emtools.batch.work import Job, Task
from emtools.errors import ParameterError
from emtools.io import find_files
from emtools.io.finding import Found
from emtools.report import write_report
from emtools.results.export import export
from emtools.results.reading import Results
from emtools.results.records import image_name, pictures, without_images

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from emtools.corrections import Correction
    from emtools.results.records import Record

_TOGETHER = 200  # files that are looked at with one transaction


@dataclass(frozen=True)
class Effort:
    """Who measures, and how patiently; no number depends on it.

    Parameters
    ----------
    workers
        Processes on this machine; by default one for each core.
    scheduler
        Address of a dask scheduler (``tcp://host:8786``), whose workers measure in their place.
    timeout_s
        Longest that a file may take; one that hangs is given up, and fails with that reason.
    rehash
        Read all files to see whether they have changed; by default a file of the same size, time of
        change and inode has not.
    """

    workers: int | None = None
    scheduler: str = ""
    timeout_s: float | None = None
    rehash: bool = False

    def check(self) -> None:
        """Check the numbers.

        Raises
        ------
        ParameterError
            If one is out of range.
        """
        if self.workers is not None and self.workers < 1:
            raise ParameterError("workers", f"must be at least 1, not {self.workers}")
        if self.timeout_s is not None and not 0 < self.timeout_s < math.inf:
            raise ParameterError("timeout_s", f"must be positive and finite, not {self.timeout_s}")

    @property
    def processes(self) -> int:
        """How many processes there are on this machine."""
        return self.workers or os.cpu_count() or 1

    def crew(self, task: Task, n_files: int) -> Crew:
        """Return who measures so many files."""
        if self.scheduler:
            return Cluster(task, self.scheduler, self.timeout_s)
        return Processes(task, min(self.processes, n_files), self.timeout_s)


@dataclass(frozen=True)
class FileDone:
    """What became of a file.

    Parameters
    ----------
    done, total
        How many files are done, of how many.
    file
        Its name in the results.
    status
        ``measured``, ``known`` (its results were there already), ``left out`` or ``failed``.
    images
        How many images of it were measured.
    seconds
        That it took.
    reason
        Why it failed.
    """

    done: int
    total: int
    file: str
    status: str
    images: int = 0
    seconds: float = 0.0
    reason: str = ""


class Monitor:
    """Is told of each file, and asked whether to stop; this one says nothing and never does."""

    def done(self, file: FileDone) -> None:
        """Be told of a file that is done."""

    def stopped(self) -> bool:
        """Whether to stop; looked at several times a second while files are measured."""
        return False

    def writing(self, begun: bool) -> None:
        """Be told when tables and page are written, which ask nothing and may be stopped anywhere.

        Parameters
        ----------
        begun
            Whether it begins, or has ended.
        """


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
    run
        Number of the run in the store.
    """

    measured: int
    left_out: int
    reused: int
    others: int
    failed: tuple[tuple[str, str], ...]
    report: Path
    run: int


def run(
    folder: Path, output: Path, recipe: Recipe | None = None, effort: Effort | None = None,
    monitor: Monitor | None = None, *, settled_s: float = 0.0, only: Sequence[Path] = (),
    corrections: Mapping[Path, Mapping[tuple[int, str], Correction]] | None = None,
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
    effort
        Who measures; by default a process for each core.
    monitor
        Is told of each file.
    settled_s
        Leave alone what changed less than so many seconds ago: it may still be written.
    only
        These files of the folder, which is not walked then.
    corrections
        By file: what a person corrected in it, by number of the image and measurement.

    Returns
    -------
    Outcome

    Raises
    ------
    ParameterError
        If the folder does not exist, the recipe is wrong, or the output cannot be written.
    KeyboardInterrupt
        If the monitor said so; what was measured is kept.
    """
    recipe, effort, monitor = recipe or Recipe(), effort or Effort(), monitor or Monitor()
    recipe.check()
    effort.check()
    folder, output = folder.absolute(), output.absolute()  # workers may stand elsewhere
    files = _these(only) if only else files_of(folder, output)
    if settled_s > 0:
        files = files._replace(files=[path for path in files.files if settled(
            path, files.parts.get(path, ()), settled_s)])
    with Store(output) as store:
        under_way = store.begin(folder, recipe)
        with under_way.together():
            for path, reason in files.left_out.items():
                under_way.leave_out(name_of_file(path, folder), "other file", reason)
        contents = Contents(store.connection, rehash=effort.rehash)
        for path, own in (corrections or {}).items():
            under_way.take_corrections(contents.digest(path, files.parts.get(path, ())), own)
        batch = _Batch(folder, files, under_way, contents, monitor)
        batch.measure(Task(recipe, under_way.keys, output), effort)
        monitor.writing(True)
        try:
            outcome = _finish(output, batch.reused, written=under_way.as_before())
            under_way.finish()  # only now: tables and page are of this run
        finally:
            monitor.writing(False)
    return outcome


def _these(files: Sequence[Path]) -> Found:
    """Files that are named one by one, with the parts that are read with each."""
    found = [path.absolute() for path in files]
    parts = {path: own for folder in {path.parent for path in found}
             for path, own in find_files(folder).parts.items()}
    return Found(found, {}, parts)


def settled(path: Path, parts: Iterable[Path], seconds: float) -> bool:
    """Whether a file and its parts were not changed for so long.

    A time that lies ahead is that of a clock which was set back, and hides no file.
    """
    try:
        ages = [time.time() - one.stat().st_mtime for own in (path, *parts) for one in whole(own)]
    except OSError:
        return False
    return all(age >= seconds or age < -seconds for age in ages)


def whole(path: Path) -> list[Path]:
    """A file; or a folder that is one, with all that is in it."""
    return [path, *path.rglob("*")] if path.is_dir() else [path]


_Alike = tuple[str, tuple[int, ...]]


def _changed(name: str, said: str) -> Record:
    return without_images(name, "failed", f"{said}; start the same command again when it is "
                                          "complete")


class _Batch:
    """Files on their way into the store.

    Parameters
    ----------
    folder, files
        The files.
    run
        That they are stored for.
    contents
        Their digests.
    monitor
        Is told of each.
    """

    def __init__(
        self, folder: Path, files: Found, run: RunOfFiles, contents: Contents, monitor: Monitor
    ) -> None:
        self.folder, self.files, self.run = folder, files, run
        self.contents, self.monitor = contents, monitor
        self.reused = self._done = 0
        # By content and rules: names of files that another one with the same stands for.
        self._same: dict[_Alike, list[str]] = {}

    def measure(self, task: Task, effort: Effort) -> None:
        """Measure the files that are not known."""
        jobs = self._jobs()
        if not jobs:
            return
        crew = effort.crew(task, len(jobs))
        with contextlib.closing(crew):
            for job, records in measured(jobs, crew, effort.timeout_s, self.monitor.stopped):
                self._store(job, records)

    def _jobs(self) -> list[Job]:
        """Take over what is known, and return what is to be measured."""
        jobs: list[Job] = []
        for first in range(0, len(self.files.files), _TOGETHER):
            with self.run.together():
                for path in self.files.files[first:first + _TOGETHER]:
                    if self.monitor.stopped():
                        raise KeyboardInterrupt
                    jobs += self._looked_at(path)
        return jobs

    def _looked_at(self, path: Path) -> list[Job]:
        name = name_of_file(path, self.folder)
        try:
            content = self.contents.digest(path, self.files.parts.get(path, ()))
        except OSError as error:
            reason = f"cannot be read ({error})"
            self.run.leave_out(name, "failed", reason)
            self._tell(name, "failed", reason=reason)
            return []
        if self.run.taken_over(name, content):
            self.reused += 1
            self._tell(name, "known")
            return []
        alike = (content, self.run.keys.recipe.rules_of(name))
        if alike in self._same:
            self._same[alike].append(name)
            return []
        self._same[alike] = []
        return [Job(path, name, content, self.run.known(name, content),
                    self.run.corrections(content))]

    def _store(self, job: Job, records: list[Record]) -> None:
        """Store what a file gave, for all files with the same content under the same rules."""
        unchanged = self._unchanged(job)
        if not unchanged:
            records = [_changed(job.name, "changed while it was measured")]
        self.run.add(job.name, job.content, records)
        self._tell_records(job.name, records)
        for other in self._same[job.content, self.run.keys.recipe.rules_of(job.name)]:
            with self.run.together():
                there = self.run.taken_over(other, job.content)
            copies = [{**record, "file": other} for record in records] if unchanged else [
                _changed(other, f"is the same as {job.name}, which changed while it was measured")]
            if not there:
                self.run.add(other, job.content, copies)
            self._tell_records(other, copies)

    def _unchanged(self, job: Job) -> bool:
        """Whether a file is still what it was when it was looked at."""
        try:
            return self.contents.digest(job.path, self.files.parts.get(job.path, ())) == job.content
        except OSError:  # it is gone: what was read of it is what it was
            return True

    def _tell_records(self, name: str, records: list[Record]) -> None:
        statuses = [record["status"] for record in records]
        status = next((one for one in ("failed", "measured") if one in statuses), "left out")
        self._tell(name, status, statuses.count("measured"),
                   sum(record["seconds"] for record in records),
                   "; ".join(record["reason"] for record in records
                             if record["status"] == "failed"))

    def _tell(
        self, name: str, status: str, images: int = 0, seconds: float = 0.0, reason: str = ""
    ) -> None:
        self._done += 1
        self.monitor.done(FileDone(self._done, len(self.files.files), name, status, images, seconds,
                                   reason))


def name_of_file(path: Path, folder: Path) -> str:
    """How a file is called in the results."""
    return path.name if path == folder else path.relative_to(folder).as_posix()


def path_of_file(name: str, folder: Path) -> Path:
    """Back from `name_of_file`."""
    return folder if folder.is_file() else folder / name


def files_of(folder: Path, output: Path) -> Found:
    """The files of a folder, those of the results left alone."""
    if not folder.exists():
        raise ParameterError(str(folder), "does not exist", "give a folder of micrographs")
    if folder.is_file():
        return Found([folder], {}, {})
    found = find_files(folder)
    inside = output.resolve()

    def outside(path: Path) -> bool:
        # Unlike `resolve`, this stumbles over no link to itself.
        return inside not in Path(os.path.realpath(path)).parents

    return Found([path for path in found.files if outside(path)],
                 {path: why for path, why in found.left_out.items() if outside(path)},
                 found.parts)


def _finish(output: Path, reused: int, *, written: bool) -> Outcome:
    """Write tables and report out of the store, unless they are there from the run before."""
    with Results(output) as results:
        if not (written and (output / "index.html").is_file()):
            write_out(results)
        found, number = results.images, results.run
    failed = tuple((image_name(file, image), reason) for file, image, reason in
                   found.loc[found["status"] == "failed", ["file", "image", "reason"]]
                   .itertuples(index=False))
    counts = found["status"].value_counts()
    return Outcome(int(counts.get("measured", 0)), int(counts.get("left out", 0)), reused,
                   int(counts.get("other file", 0)), failed, output / "index.html", number)


def write_out(results: Results) -> None:
    """Write tables and page, and remove pictures that belong to no result."""
    export(results, results.folder / "tables")
    kept = {results.folder / path for path in pictures(results)}
    for path in (results.folder / "pictures").glob("*.png"):
        if path not in kept:  # of a file that was being measured when a batch was stopped
            path.unlink()
    write_report(results)
