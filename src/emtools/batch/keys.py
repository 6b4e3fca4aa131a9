"""What a stored result is of: digests of all that could have made it another one."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emtools._version import __version__
from emtools.batch.effective import parameters_of, plain_calibrations
from emtools.io.fingerprint import sha256_of_file
from emtools.measure import load, own_folders
from emtools.model.result import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emtools.batch.plan import Recipe

    # Corrections of a file as they are stored, by number of the image and measurement.
    ByHand = Mapping[tuple[int, str], str]

# Rooms whose code cannot change a number.
_NOT_MEASURING = ("batch", "cards", "cli", "figures", "population", "report", "results")


@dataclass(frozen=True)
class Keys:
    """Digests of a recipe without rules.

    Parameters
    ----------
    image
        Of what describes an image: pixel size, calibration, pictures, code.
    measurements
        Of each measurement with its effective parameters, and those it rests on.
    asked
        Measurements that are stored, in the order of the recipe.
    rests_on
        Of each measurement, all others whose results it is given, directly or not.
    """

    image: str
    measurements: Mapping[str, str]
    asked: tuple[str, ...] = ()
    rests_on: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, recipe: Recipe) -> Keys:
        """Return the digests of a recipe."""
        image = _digest([code_version(), plain(recipe.pixel_size_nm), recipe.force_calibration,
                         plain_calibrations(recipe), recipe.pictures, recipe.scale_bars])
        found: dict[str, str] = {}
        rests_on: dict[str, tuple[str, ...]] = {}
        for measurement in recipe.chosen():
            _add(measurement.name, recipe, image, found, rests_on)
        return cls(image, found, tuple(one.name for one in recipe.chosen()), rests_on)

    def of_image(self, content: str, index: int) -> str:
        """Key of an image in a file."""
        return _digest([content, index, self.image])

    def of_result(
        self, content: str, index: int, measurement: str, by_hand: ByHand | None = None
    ) -> str:
        """Key of what a measurement finds in it, with what a person corrected in that file."""
        own = [content, index, measurement, self.measurements[measurement]]
        corrected = sorted(
            [*which, text] for which, text in (by_hand or {}).items()
            if which == (index, measurement) or which[1] in self.rests_on[measurement])
        return _digest([*own, corrected] if corrected else own)


@dataclass
class KeyBook:
    """Digests of a recipe for each image.

    Parameters
    ----------
    recipe
        With its rules.
    """

    recipe: Recipe
    _known: dict[tuple[int, ...], Keys] = dataclasses.field(default_factory=dict)

    @property
    def image(self) -> str:
        """Digest of what describes images: no rule changes it."""
        return self.of("", None).image

    def of(self, name: str, modality: str | None) -> Keys:
        """Return the digests for an image of a file."""
        fitting = tuple(i for i, rule in enumerate(self.recipe.rules) if rule.fits(name, modality))
        if fitting not in self._known:
            self._known[fitting] = Keys.of(self.recipe.of(name, modality))
        return self._known[fitting]


def code_version() -> str:
    """Digest of the code that reads and measures, the user's own measurements included."""
    # Own modules may change while a notebook runs; ours do not.
    own = [path for folder in own_folders() for path in sorted(Path(folder).rglob("*.py"))]
    return _digest([_our_code(), *([path.name, sha256_of_file(path)] for path in own)])


@cache
def _our_code() -> str:
    root = Path(str(resources.files("emtools")))
    files = sorted(path for path in root.rglob("*.py")
                   if path.relative_to(root).parts[0] not in _NOT_MEASURING)
    return _digest([__version__, *(
        [path.relative_to(root).as_posix(), sha256_of_file(path)] for path in files)])


def _add(
    name: str, recipe: Recipe, image: str, found: dict[str, str],
    all_rests_on: dict[str, tuple[str, ...]],
) -> None:
    if name in found:
        return
    rests_on = [option.name for option in load(name).rests_on
                if option.required or option.name in recipe.wanted]
    for one in rests_on:
        _add(one, recipe, image, found, all_rests_on)
    all_rests_on[name] = tuple(dict.fromkeys(
        below for one in rests_on for below in (one, *all_rests_on[one])))
    found[name] = _digest([image, name, parameters_of(name, recipe), _files(name, recipe),
                           [found[one] for one in rests_on]])


def _files(name: str, recipe: Recipe) -> dict[str, str]:
    """Digests of the files that parameters name (a phase's CIF)."""
    found = {}
    for value in recipe.parameters.get(name, {}).values():
        for text in (value if isinstance(value, (tuple, list)) else (value,)):
            if isinstance(text, str) and Path(text).suffix and Path(text).is_file():
                found[text] = sha256_of_file(text)
    return found


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode()).hexdigest()
