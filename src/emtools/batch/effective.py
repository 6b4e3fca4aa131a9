"""A recipe with every parameter of every measurement in plain values, and back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from emtools.batch.plan import Recipe, Rule
from emtools.errors import ParameterError
from emtools.instrument import InstrumentCalibration, Setting
from emtools.measure import load, said_of
from emtools.model.result import plain
from emtools.results.groups import Groups

if TYPE_CHECKING:
    from collections.abc import Mapping

_BY_FILE = ("array", "lines")  # of these only a digest is kept


def effective(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe with every parameter of every measurement, as JSON can hold it."""
    return {
        "measurements": [one.name for one in recipe.chosen()],
        "with": list(recipe.wanted),
        "pixel_size_nm": recipe.pixel_size_nm,
        "calibrations": plain_calibrations(recipe),
        "force_calibration": recipe.force_calibration,
        "parameters": {one.name: parameters_of(one.name, recipe) for one in recipe.chosen()},
        "rules": [_plain_rule(rule) for rule in recipe.rules],
        "groups": plain(recipe.groups.plain()),
        "pictures": recipe.pictures, "scale_bars": recipe.scale_bars,
    }


def plain_calibrations(recipe: Recipe) -> list[Any]:
    """The calibrations' numbers."""
    return [plain(dataclasses.asdict(one)) for one in recipe.calibrations]


def parameters_of(name: str, recipe: Recipe) -> dict[str, Any]:
    """Every parameter of a measurement, given or not."""
    given = recipe.parameters.get(name, {})
    return {option.name: plain(said_of(given.get(option.name, option.default)))
            for option in load(name).options if option.type not in ("Result", "Image")}


def _plain_rule(rule: Rule) -> dict[str, Any]:
    given = {name: {key: plain(said_of(value)) for key, value in values.items()}
             for name, values in rule.parameters.items()}
    return {"files": rule.files, "modality": rule.modality,
            "measurements": plain(rule.measurements), "with": plain(rule.wanted),
            "parameters": given}


def recipe_of(stored: Mapping[str, Any]) -> Recipe:
    """Return the recipe that `effective` has made plain.

    Parameters
    ----------
    stored
        `Results.recipe` of a run.

    Raises
    ------
    ParameterError
        If a parameter was read from a file of which only a digest is kept.
    """
    groups = stored["groups"]
    return Recipe(
        measurements=tuple(stored["measurements"]),
        parameters={name: _given(name, values) for name, values in stored["parameters"].items()},
        pixel_size_nm=stored["pixel_size_nm"],
        calibrations=tuple(map(_calibration, stored["calibrations"])),
        force_calibration=stored["force_calibration"], wanted=tuple(stored["with"]),
        rules=tuple(Rule(rule["files"], rule["modality"], _tuple(rule["measurements"]),
                         {name: _given(name, values) for name, values in
                          rule["parameters"].items()}, _tuple(rule["with"]))
                    for rule in stored["rules"]),
        groups=Groups(groups.get("folders", ""), *(
            {name: tuple(said) for name, said in groups.get(part, {}).items()}
            for part in ("files", "samples", "sheet"))),
        pictures=stored["pictures"], scale_bars=stored.get("scale_bars", "missing"))


def _given(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for option in load(name).options:
        if option.name not in values:
            continue
        value = values[option.name]
        if option.type in _BY_FILE and value is not None:
            raise ParameterError(f"{name}.{option.name}", "was given by a file, of which the "
                                 "results keep a digest only", "give the recipe that names it")
        found[option.name] = tuple(value) if isinstance(value, list) else value
    return found


def _tuple(names: list[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _calibration(stored: Mapping[str, Any]) -> InstrumentCalibration:
    matrix = tuple(tuple(row) for row in stored["matrix"])
    return InstrumentCalibration(**{**stored, "matrix": matrix,
                                    "setting": Setting.stored(stored["setting"])})
