"""Vendor formats that RosettaSciIO reads: DM3/4, TIA, Bruker, JEOL, MRC, Ripple and more."""

from __future__ import annotations

import contextlib
import importlib
import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.errors import ReadError
from emtools.io.headers import CHECKS
from emtools.io.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PLUGINS = {
    "digitalmicrograph": ("dm3", "dm4"),
    "tia": ("ser", "emi"),
    "bruker": ("bcf", "spx"),
    "jeol": ("asw", "img", "map", "pts", "eds"),
    "mrc": ("mrc", "ali"),
    "ripple": ("rpl",),
    "blockfile": ("blo",),
    "msa": ("msa", "emsa", "ems", "mas"),
    "phenom": ("elid",),
    "topspin": ("app5",),
    "quantumdetector": ("mib",),
    "tvips": ("tvips",),
    "semper": ("unf",),
    "pantarhei": ("prz",),
    "edax": ("spd", "spc"),
}
_OF_EXTENSION = {ending: plugin for plugin, endings in _PLUGINS.items() for ending in endings}
EXTENSIONS = tuple(_OF_EXTENSION)


def load(path: Path, report: Report) -> list[dict[str, Any]]:
    """Return the signals of a vendor file."""
    extension = path.suffix[1:].lower()
    plugin = _OF_EXTENSION[extension]
    if extension == "map" and _is_mrc(path):
        plugin = extension = "mrc"
    if extension in CHECKS:
        CHECKS[extension](path)
    found = _jeol_project(path, report) if extension == "asw" else read_with(plugin, path)
    if extension == "emi" and not found:
        raise ReadError(str(path), "the .ser files that hold its images are not beside it",
                        "copy the .ser files into the same folder")
    return [completed(signal, plugin) for signal in found]


def _is_mrc(path: Path) -> bool:
    """Whether a .map file is an MRC map (CCP4) and not one of JEOL's."""
    with path.open("rb") as stream:
        return stream.read(212)[208:212] == b"MAP "


def read_with(plugin: str, path: Path, **options: Any) -> list[dict[str, Any]]:
    """Call one reader of RosettaSciIO, lazily where it can."""
    reader = importlib.import_module(f"rsciio.{plugin}").file_reader
    if plugin == "topspin":
        options["show_progressbar"] = False
    with _safe_bruker_parser() if plugin == "bruker" else contextlib.nullcontext():
        try:
            found = reader(str(path), lazy=True, **options)
        except NotImplementedError:  # small formats only: .msa, .elid
            found = reader(str(path), **options)
    return [signal for signal in found if "data" in signal]


def _no_word_about_the_parser(record: logging.LogRecord) -> bool:
    """Whether a log line is about anything else than the parser that was chosen on purpose."""
    return "unbcf_fast" not in record.getMessage()


@contextlib.contextmanager
def _safe_bruker_parser() -> Iterator[None]:
    """Have .bcf spectra unpacked by Python code.

    The compiled parser takes 0.4 of the time, but a damaged file crashes the whole process.
    """
    from rsciio.bruker import _api

    logging.getLogger(_api.__name__).addFilter(_no_word_about_the_parser)
    compiled = _api.fast_unbcf
    _api.fast_unbcf = False
    try:
        yield
    finally:
        _api.fast_unbcf = compiled


def completed(signal: dict[str, Any], plugin: str) -> dict[str, Any]:
    """Apply what RosettaSciIO leaves to HyperSpy: post-processing and the metadata mapping."""
    original = _plain_tree(signal.get("original_metadata", {}))
    metadata = _plain_tree(signal.get("metadata", {}))
    result = {**signal, "original_metadata": original, "metadata": metadata,
              "reader": plugin, "axes": [dict(axis) for axis in signal["axes"]]}
    if plugin == "digitalmicrograph":
        _post_process(result, signal.get("post_process", ()))
    if plugin == "tia":
        _offsets_in_axis_units(result["axes"])
    # An entry of the metadata that cannot be understood is no doubt about the picture.
    unsaid = Report()
    for place, (target, function) in (signal.get("mapping") or {}).items():
        with unsaid.attempt(place):
            value = _find(original, place.split("."))
            value = function(value) if function is not None and value is not None else value
            if value is not None:
                _put(metadata, target.split("."), value)
    return result


def _plain_tree(tree: Any) -> dict[str, Any]:
    """Return nested mappings of any class as dictionaries."""
    to_dict = getattr(tree, "to_dict", None) or getattr(tree, "as_dictionary", None)
    tree = to_dict() if to_dict is not None else tree
    return {str(key): _plain_tree(value) if isinstance(value, Mapping) else value
            for key, value in dict(tree or {}).items()}


def _slug(key: str) -> str:
    """Spell a key as the mappings do: 'Camera length (m)' -> 'Camera_length_m'."""
    return re.sub(r"\W", "", str(key).replace(" ", "_"))


def _find(tree: Any, keys: list[str]) -> Any:
    for key in keys:
        if not isinstance(tree, Mapping):
            return None
        spelled = key if key in tree else next((k for k in tree if _slug(k) == _slug(key)), "")
        tree = tree.get(spelled)
    return tree


def _put(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        node = tree.get(key)
        tree[key] = node if isinstance(node, dict) else {}
        tree = tree[key]
    tree[keys[-1]] = value


class _Steps:
    """Stands in for the HyperSpy signal that DigitalMicrograph's post-processing expects."""

    def __init__(self, data: Any, axes: list[dict[str, Any]]) -> None:
        self.data, self.axes = data, axes

    def to_signal1D(self, optimize: bool = False) -> _Steps:  # noqa: ARG002, N802 - their name
        """Move the spectrum, stored slowest by DigitalMicrograph, to the last dimension."""
        import dask.array as da

        move = np.moveaxis if isinstance(self.data, np.ndarray) else da.moveaxis
        axes = [*self.axes[1:], self.axes[0]]
        axes = [{**axis, "navigate": index < len(axes) - 1} for index, axis in enumerate(axes)]
        return _Steps(move(self.data, 0, -1), axes)

    def squeeze(self) -> _Steps:
        """Drop dimensions of size 1."""
        keep = [index for index, size in enumerate(self.data.shape) if size > 1]
        index = tuple(slice(None) if axis in keep else 0 for axis in range(self.data.ndim))
        return _Steps(self.data[index], [self.axes[axis] for axis in keep])


def _post_process(signal: dict[str, Any], steps: Any) -> None:
    done = _Steps(signal["data"], signal["axes"])
    for step in steps or ():
        done = step(done)
    signal["data"], signal["axes"] = done.data, done.axes


def _offsets_in_axis_units(axes: list[dict[str, Any]]) -> None:
    """Convert TIA's offsets: RosettaSciIO converts the step from metres, but not the offset."""
    for axis in axes:
        scale, offset = abs(float(axis.get("scale", 1))), float(axis.get("offset", 0))
        if axis.get("units") == "nm" and 0 < abs(offset) < 1e-5 * scale:
            axis["offset"] = offset * 1e9
        elif axis.get("units") == "1 / nm" and abs(offset) > 1e6 * scale:
            axis["offset"] = offset * 1e-9


def _jeol_project(path: Path, report: Report) -> list[dict[str, Any]]:
    """Read the parts that a JEOL project names, each on its own: one missing part is no loss."""
    parts = _jeol_parts(path)
    found = []
    for name in parts:
        part = path.parent.joinpath(*name.split("\\"))
        if not part.resolve().is_relative_to(path.parent.resolve()):
            report.say(f"the part {name!r} lies outside the project's folder and was not read")
            continue
        with report.attempt(f"the part {name!r}"):
            found += read_with("jeol", part)
    if parts and not found:
        raise ReadError(str(path), "none of the files that it names could be read "
                        f"({'; '.join(report.problems[:2])})",
                        "copy the whole project folder, subfolders included")
    return found


def _jeol_parts(path: Path) -> list[str]:
    from rsciio.jeol._api import _parsejeol

    with path.open("rb") as stream:
        if stream.read(4) != b"\0\0\0\0":
            raise ValueError("not a JEOL project file")
        stream.seek(12)
        tree = _parsejeol(stream)
    return [
        str(entry["Filename"])
        for sample in tree.get("SampleInfo", {}).values()
        for view in sample.get("ViewInfo", {}).values()
        for entry in view.get("ViewData", {}).values()
    ]
