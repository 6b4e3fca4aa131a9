"""A person's way through the images of a batch: what needs a look first, and corrections kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emtools import io
from emtools.batch.contents import Contents
from emtools.batch.effective import recipe_of
from emtools.batch.plan import calibrated
from emtools.batch.run import path_of_file, write_out
from emtools.batch.store import Store
from emtools.batch.stored import as_text, from_text
from emtools.batch.work import Job, Task, as_corrected, as_in_batch, measure_file
from emtools.errors import ParameterError
from emtools.measure import Run
from emtools.results.reading import NOT_OPENED, Results
from emtools.results.records import records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from emtools.batch.keys import ByHand
    from emtools.batch.plan import Recipe
    from emtools.corrections import Correction
    from emtools.model import Image, Result
    from emtools.results.records import Record
    from emtools.results.rows import ImageId

_COMPARED = (("chains.chains", "width_nm"), ("chains.chains", "gap_nm"), ("lattice.grains", "a_nm"))
_COMMON = 0.5  # part of the images
_FEWEST_IMAGES = 5  # that one is compared with
_FAR = 4.0  # robust standard deviations from the others' median
_LEAST_SPREAD = 0.02  # of the median: what agrees better is not told apart


@dataclass(frozen=True)
class ReviewedImage:
    """An image of a batch, as the batch measured it.

    Parameters
    ----------
    image
        With the pixel size and calibration that the batch gave it.
    sisters
        All images of its file, itself among them, with the pixel size that it gave them.
    recipe
        That it was measured with.
    measurements
        Names of those that gave a result.
    by_hand
        What a person corrected in the file, as it is stored.
    """

    image: Image
    sisters: tuple[Image, ...]
    recipe: Recipe
    measurements: tuple[str, ...]
    by_hand: ByHand

    @property
    def corrections(self) -> dict[str, Correction]:
        """What a person corrected in the image, by measurement."""
        return {name: from_text(text)
                for (number, name), text in self.by_hand.items()
                if number == self.image.source.index}

    def results(self) -> dict[str, tuple[Result, Result]]:
        """Measure the image as the batch did.

        Returns
        -------
        dict
            By measurement: what is found in it, and what with all corrections of the file.
        """
        given = (self.image, self.recipe.parameters, self.recipe.wanted, self.sisters)
        found = Run(*given)
        by_hand = Run(*given, as_corrected(self.by_hand)) if self.by_hand else found
        return {name: (found.result(name), by_hand.result(name)) for name in self.measurements}


class Review:
    """The images that the last run of a batch measured.

    Parameters
    ----------
    folder
        Results folder.

    Attributes
    ----------
    images
        ``file, number, image, modality, group, sample, doubts, corrected, mark``; images that
        nobody has accepted or rejected first, of these such with doubts.

    Raises
    ------
    ParameterError
        If the folder holds no results of a batch.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        with Results(self.folder) as results:
            self._run, self._whole = results.run, recipe_of(results.recipe)
            self._files = Path(str(results.runs.set_index("run")["folder"][results.run]))
            self.images = _in_order(results)

    def open(self, file: str, number: int) -> ReviewedImage:
        """Read an image as the batch did.

        Raises
        ------
        ReadError
            If the file cannot be read.
        ParameterError
            If the file has changed since, or the batch did not measure the image.
        """
        with Results(self.folder) as results:
            found = results.images
            known = found[(found["file"] == file) & (found["number"] == number)]
            record = next(records(results, known, tables=False), None)
            by_hand = results.corrections
        if record is None or not record["measurements"]:
            raise ParameterError(file, f"image {number} was not measured by the batch")
        images = io.read(path_of_file(file, self._files), scale_bars=self._whole.scale_bars)
        image = next((one for one in images if one.source.index == number), None)
        if image is None or (image.source.describe()["sha256"] or "") != record["source_sha256"]:
            raise _changed(file)
        recipe = self._whole.of(file, image.acquisition.modality)
        own = by_hand[by_hand["file"] == file]
        return ReviewedImage(
            as_in_batch(image, recipe),
            tuple(calibrated(one, recipe.pixel_size_nm) for one in images), recipe,
            tuple(str(one["measurement"]) for one in record["measurements"]),
            {(int(at), str(name)): str(text) for at, name, text in
             zip(own["number"], own["measurement"], own["correction"], strict=True)})

    def keep(self, file: str, number: int, corrections: Mapping[str, Correction]) -> None:
        """Store corrections of an image, measured again as the batch measures.

        Whatever rests on what was corrected is measured again too, and files with the same content
        have it as well; a later run of the batch keeps it.

        Parameters
        ----------
        file, number
            The image.
        corrections
            By measurement; an empty one takes back what was corrected before.

        Raises
        ------
        ParameterError
            If the file has changed since, the correction cannot be measured, or another program
            writes to the folder; nothing is stored then.
        """
        with Store(self.folder) as store:
            run = store.again(self._run, self._whole)
            content, others = run.content(file)
            path = path_of_file(file, self._files)
            if Contents(store.connection).digest(path, self._parts(path)) != content:
                raise _changed(file)
            by_hand = dict(run.corrections(content))
            for measurement, correction in corrections.items():
                by_hand.pop((number, measurement), None)
                if correction:
                    by_hand[number, measurement] = as_text(correction)
            task = Task(self._whole, run.keys, self.folder.absolute())
            found: dict[str, list[Record]] = {}
            for names in _alike([file, *others], self._whole):  # the rules of a file may be its own
                job = Job(path, names[0], content, run.known(names[0], content, by_hand), by_hand)
                records_of_it = measure_file(job, task)
                assert isinstance(records_of_it, list)
                if file in names:
                    _check(file, number, records_of_it, corrections)
                found |= {name: [{**one, "file": name} for one in records_of_it] for name in names}
            run.correct(content, by_hand, found)

    def _parts(self, path: Path) -> Sequence[Path]:
        """The files that are read with one."""
        return () if self._files.is_file() else io.find_files(path.parent).parts.get(path, ())

    def write(self) -> Path:
        """Write tables and page anew, and return the page.

        Raises
        ------
        ParameterError
            If another program writes to the folder.
        """
        with Store(self.folder) as store:
            run = store.again(self._run, self._whole)
            with Results(self.folder) as results:
                write_out(results)
            run.finish()
        return self.folder / "index.html"


def _changed(file: str) -> ParameterError:
    return ParameterError(file, "has changed since the batch measured it",
                          "run the batch again, then correct it")


def _alike(names: Sequence[str], recipe: Recipe) -> list[list[str]]:
    """Names of files with the same content, those together that fall under the same rules."""
    found: dict[tuple[int, ...], list[str]] = {}
    for name in names:
        found.setdefault(recipe.rules_of(name), []).append(name)
    return list(found.values())


def _check(
    file: str, number: int, found: Sequence[Mapping[str, object]], asked: Mapping[str, Correction]
) -> None:
    """Refuse what would take an image's result away."""
    for record in found:
        if record["status"] == "failed" and record["index"] in (number, NOT_OPENED):
            raise ParameterError(file, str(record["reason"]))
        skipped = record["skipped"]
        assert isinstance(skipped, list)
        for one in skipped:
            if record["index"] == number and one["measurement"] in asked:
                raise ParameterError(file, f"{one['measurement']}: {one['reason']}")


def _in_order(results: Results) -> pd.DataFrame:
    """Images that were measured, those first that need a look."""
    found = results.images
    found = found[found["status"] == "measured"].drop(columns=["status", "reason"])
    ids: list[ImageId] = list(zip(found["file"], found["number"].tolist(), strict=True))
    doubts, corrected, marks = _doubts(results, ids), _corrected(results), _marks(results)
    found = found.assign(doubts=["; ".join(doubts[one]) for one in ids],
                         corrected=[one in corrected for one in ids],
                         mark=[marks.get(one, "") for one in ids])
    rank = [(found["mark"].iloc[i] != "", not doubts[one], i) for i, one in enumerate(ids)]
    return found.iloc[[i for _, _, i in sorted(rank)]].reset_index(drop=True)


def _doubts(results: Results, ids: Sequence[ImageId]) -> dict[ImageId, list[str]]:
    """Why an image needs a look: its calibration, what could not be measured, what is far off."""
    found: dict[ImageId, list[str]] = {one: [] for one in ids}
    for record in records(results, tables=False):
        own = found.get((record["file"], record["index"]))
        if own is None:
            continue
        own += record["audit"]
        own += _nothing_measured(record)
    for one, said in _far_off(results):
        if one in found:
            found[one].append(said)
    # What most images have in common singles none of them out.
    often = Counter(said for own in found.values() for said in set(own))
    return {one: [said for said in own if often[said] <= max(_COMMON * len(ids), 1)]
            for one, own in found.items()}


def _nothing_measured(record: Record) -> list[str]:
    """Why nothing could be measured; beside what was measured, the rest does not apply."""
    outcomes = [(one["measurement"], str(one["summary"].get("outcome", "")))
                for one in record["measurements"]]
    if not all(outcome.startswith("not measurable") for _, outcome in outcomes):
        return []
    return [f"{name}: {outcome}" for name, outcome in outcomes]


def _far_off(results: Results) -> list[tuple[ImageId, str]]:
    """Images whose median of a quantity lies far from those of the others."""
    numbers = {(file, image): number for file, number, image in
               results.images[["file", "number", "image"]].itertuples(index=False)}
    found = []
    for name, column in _COMPARED:
        table = results.table(name, counted=True)
        if column not in table:
            continue
        medians = table.groupby(["file", "image"])[column].median().dropna()
        if len(medians) <= _FEWEST_IMAGES:
            continue
        middle = float(medians.median())
        spread = max(1.4826 * float(np.median(np.abs(medians - middle))),
                     _LEAST_SPREAD * abs(middle))
        for which, value in medians[np.abs(medians - middle) > _FAR * spread].items():
            words, _, unit = column.rpartition("_")
            found.append(((which[0], numbers[which]), f"{words.replace('_', ' ')} {value:.3g} "
                          f"{unit}, in the others {middle:.3g} ± {spread:.2g} {unit}"))
    return found


def _corrected(results: Results) -> set[ImageId]:
    found = results.corrections
    return set(zip(found["file"], found["number"].tolist(), strict=True))


def _marks(results: Results) -> dict[ImageId, str]:
    """Images that were accepted or rejected as a whole."""
    found = {}
    for row in results.corrections.to_dict("records"):
        mark = from_text(row["correction"]).marks.image
        if mark is not None:
            found[str(row["file"]), int(row["number"])] = str(mark)
    return found
