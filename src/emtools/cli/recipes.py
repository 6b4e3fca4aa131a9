"""Recipes: TOML files that say what a batch measures, with what, and where something else holds."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emtools.batch.effective import recipe_of
from emtools.batch.plan import Recipe, Rule
from emtools.cli.options import from_text
from emtools.cli.reading import reading
from emtools.errors import ParameterError
from emtools.instrument import InstrumentCalibration
from emtools.measure import load, names, options_of
from emtools.results import Results
from emtools.results.groups import Groups, read_sheet

if TYPE_CHECKING:
    from emtools.measure import Option

_ADVICE = "see `emtools recipe FOLDER`, which writes one"
_OF_ALL = ("measurements", "with", "pixel_size_nm", "calibration", "force_calibration",
           "pictures", "scale_bars", "groups", "for", "figure")
_OF_GROUPS = ("folders", "sheet", "files", "samples")
_OF_FIGURE = ("show", "measure", "format")
_OF_RULE = ("files", "modality", "measurements", "with")


def read_recipe(path: Path) -> Recipe:
    """Read a recipe, and check it as a whole.

    Parameters
    ----------
    path
        ``.toml``, or ``.json`` with the same content; files that it names are beside it.  A results
        folder stands for the recipe of its last run.

    Raises
    ------
    ReadError
        If the file is missing or broken.
    ParameterError
        If a key is unknown, or a value not of its type; the message names those that are known.
    """
    if path.is_dir():
        with Results(path) as results:
            return recipe_of(results.recipe)
    top = _Part(_tree(path), str(path), _OF_ALL)
    recipe = Recipe(
        measurements=top.names("measurements"),
        parameters=top.parameters(path.parent),
        pixel_size_nm=top.value("pixel_size_nm", float),
        calibrations=tuple(InstrumentCalibration.read(path.parent / one)
                           for one in top.texts("calibration")),
        force_calibration=bool(top.value("force_calibration", bool)),
        wanted=top.names("with") or (),
        rules=tuple(_rule(entry, f"{path}: [[for]] {number}", path.parent)
                    for number, entry in enumerate(top.rules(), start=1)),
        pictures=top.value("pictures", str) or "main",
        scale_bars=top.value("scale_bars", str) or "missing",
        groups=_groups(top.value("groups", dict) or {}, f"{path}: groups", path.parent))
    recipe.check()
    return recipe


def _tree(path: Path) -> dict[str, Any]:
    with reading(path, _ADVICE):
        text = path.read_text(encoding="utf-8")
        tree: Any = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    if not isinstance(tree, dict):
        raise ParameterError(str(path), "holds no tables", _ADVICE)
    return tree


@dataclass(frozen=True)
class FigureTable:
    """What the table ``[figure]`` of a recipe says, for `emtools figure`.

    Parameters
    ----------
    show, measure
        Names of steps and of measurements.
    kind
        Ending of the files.
    steps
        Parameters of steps.
    layout
        Fields of `emtools.figures.Layout`.
    """

    show: tuple[str, ...] = ()
    measure: tuple[str, ...] = ()
    kind: str = "png"
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    layout: Mapping[str, Any] = field(default_factory=dict)


def read_figure_table(path: Path) -> FigureTable:
    """Read the table ``[figure]`` of a recipe; empty where there is none.

    Raises
    ------
    ReadError
        If the file is missing or broken.
    ParameterError
        If a key is unknown, or a value not of its type.
    """
    from emtools.cli.options import step_options
    from emtools.figures import Layout
    from emtools.process.steps import STEPS

    tree = {} if path.is_dir() else _tree(path).get("figure", {})
    where = f"{path}: figure"
    if not isinstance(tree, dict):
        raise ParameterError(where, "is no table", "write [figure]")
    looks = {option.name: option for option in options_of(Layout)}
    known = (*_OF_FIGURE, *looks, *STEPS)
    for key in tree:
        if key not in known:
            raise ParameterError(f"{where}.{key}", "is not known", f"known are {', '.join(known)}")
    names = {key: _words(tree.get(key, []), f"{where}.{key}") for key in ("show", "measure")}
    steps = {name: _of_options(tree[name], {o.name: o for o in step_options(function)},
                               f"{where}.{name}", path.parent)
             for name, function in STEPS.items() if name in tree}
    layout = _of_options({key: value for key, value in tree.items() if key in looks}, looks, where,
                         path.parent)
    return FigureTable(names["show"], names["measure"], str(tree.get("format", "png")), steps,
                       layout)


def _words(value: Any, where: str) -> tuple[str, ...]:
    given = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in given):
        raise ParameterError(where, f"{value!r} is no name or list of names")
    return tuple(given)


def _of_options(
    tree: Any, options: Mapping[str, Option], where: str, folder: Path
) -> dict[str, Any]:
    """Values of parameters, each of its type."""
    if not isinstance(tree, dict):
        raise ParameterError(where, "is no table", f"write [{where.rpartition(': ')[2]}]")
    for key in tree:
        if key not in options:
            raise ParameterError(f"{where}.{key}", "is not a parameter of it",
                                 f"known are {', '.join(options)}")
    return {key: _given(options[key], value, f"{where}.{key}", folder)
            for key, value in tree.items()}


def _groups(tree: Mapping[str, Any], where: str, folder: Path) -> Groups:
    for key in tree:
        if key not in _OF_GROUPS:
            raise ParameterError(f"{where}.{key}", "is not known",
                                 f"known are {', '.join(_OF_GROUPS)}")
    for key in ("folders", "sheet"):
        if not isinstance(tree.get(key, ""), str):
            raise ParameterError(f"{where}.{key}", f"{tree[key]!r} is no text")
    return Groups(
        folders=tree.get("folders", ""),
        files=_patterns(tree.get("files", {}), f"{where}.files"),
        samples=_patterns(tree.get("samples", {}), f"{where}.samples"),
        sheet=read_sheet(folder / tree["sheet"]) if "sheet" in tree else {})


def _patterns(tree: Any, where: str) -> dict[str, tuple[str, ...]]:
    """Patterns of each group: one, or a list of them."""
    if not isinstance(tree, Mapping):
        raise ParameterError(where, "is no table", 'write for example before = "*_before*"')
    found: dict[str, tuple[str, ...]] = {}
    for name, value in tree.items():
        given = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str) for one in given):
            raise ParameterError(f"{where}.{name}", f"{value!r} is no pattern of names",
                                 'give for example "*_before*", or a list of these')
        found[name] = tuple(given)
    return found


def _rule(tree: Any, where: str, folder: Path) -> Rule:
    if not isinstance(tree, dict):
        raise ParameterError(where, "is no table", _ADVICE)
    part = _Part(tree, where, _OF_RULE)
    return Rule(part.value("files", str) or "*", part.value("modality", str) or "",
                part.names("measurements"), part.parameters(folder), part.names("with"))


class _Part:
    """A table of a recipe.

    Parameters
    ----------
    tree
        Its keys and values.
    where
        It stands, for messages.
    known
        Keys that are no measurements.
    """

    def __init__(self, tree: Mapping[str, Any], where: str, known: tuple[str, ...]) -> None:
        self.tree, self.where = tree, where
        for key in tree:
            if key not in (*known, *names()):
                raise ParameterError(f"{where}: {key}", "is not known", "known are "
                                     f"{', '.join(known)}, and [{'], ['.join(names())}]")

    def value(self, key: str, kind: type) -> Any:
        """The value of a key, None if it is not there."""
        value = self.tree.get(key)
        if value is None:
            return None
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind):
            raise ParameterError(f"{self.where}: {key}", f"{value!r} is no {kind.__name__}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """One text or several, none if the key is not there."""
        value = self.tree.get(key, [])
        given = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str) for one in given):
            raise ParameterError(f"{self.where}: {key}", f"{value!r} is no text or list of texts")
        return tuple(given)

    def names(self, key: str) -> tuple[str, ...] | None:
        """A list of names, None if it is not there."""
        value = self.tree.get(key)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ParameterError(f"{self.where}: {key}", f"{value!r} is no list of names",
                                 'give for example ["chains", "lattice"]')
        for name in value:
            load(name)
        return tuple(value)

    def rules(self) -> list[Any]:
        """Entries of ``[[for]]``."""
        value = self.tree.get("for", [])
        if not isinstance(value, list):
            raise ParameterError(f"{self.where}: for", "is no list of tables", "write [[for]]")
        return value

    def parameters(self, folder: Path) -> dict[str, dict[str, Any]]:
        """Parameters of measurements; files that they name are looked for in a folder."""
        found: dict[str, dict[str, Any]] = {}
        for name in names():
            values = self.tree.get(name)
            if values is None:
                continue
            if not isinstance(values, dict):
                raise ParameterError(f"{self.where}: {name}", "is no table", f"write [{name}]")
            measurement = load(name)
            measurement.check(values)
            options = {option.name: option for option in measurement.options}
            found[name] = {key: _given(options[key], value, f"{self.where}: {name}.{key}", folder)
                           for key, value in values.items()}
        return found


def _given(option: Option, value: Any, where: str, folder: Path) -> Any:
    """A parameter's value, of its type."""
    if option.type in ("Result", "Image"):
        raise ParameterError(where, "cannot be given in a recipe", "it is supplied by the batch")
    if option.type in ("array", "lines"):
        return from_text(option, str(folder / str(value)))
    if option.type == "numbers":
        if isinstance(value, Mapping):
            return {str(key): _number(number, f"{where}.{key}") for key, number in value.items()}
        return from_text(option, str(folder / str(value)))
    if option.type == "tuple":
        parts = value if isinstance(value, list) else [value]
        return from_text(option, ",".join(_beside(str(part), folder) for part in parts))
    if option.type == "float":
        return _number(value, where)
    kind = {"int": int, "bool": bool, "str": str}[option.type]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ParameterError(where, f"{value!r} is no {option.type}")
    return from_text(option, _beside(str(value), folder)) if kind is str else value


def _beside(text: str, folder: Path) -> str:
    """A file that lies beside the recipe by its path, anything else as it is."""
    path = folder / text
    return str(path.absolute()) if Path(text).suffix and path.is_file() else text


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ParameterError(where, f"{value!r} is no number")
    return float(value)
