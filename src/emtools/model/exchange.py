"""Images from and to HyperSpy signals, and from the dictionaries that RosettaSciIO returns.

What a HyperSpy signal has no place for (mask, distortion, audit, uncertainty and source of the
pixel size, the axes as the file had them) travels in ``metadata.emtools``, so that the way there
and back loses nothing; what was changed on the way counts as the signal has it.
"""

from __future__ import annotations

import copy
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.model.as_acquired import flat_items, lookup, read_acquisition
from emtools.model.as_read import SPECTRAL, plain_axis, read_axes, with_statements
from emtools.model.calibration import Axis, Distortion
from emtools.model.colour import grey
from emtools.model.image import Acquisition, Image, Source, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

_NODE = "emtools"
_FINGERPRINT = "emtools_fingerprint"
# The parts of the raw metadata that a signal carries in places of its own.
_IN_SIGNAL = {"metadata", "original_metadata", "axes", "package"}


def image_from_dictionary(
    dictionary: Mapping[str, Any], source: Source | None = None, audit: Sequence[str] = (),
    acquisition: Acquisition | None = None,
) -> Image:
    """Make an Image of a signal dictionary as RosettaSciIO's readers return it.

    Parameters
    ----------
    dictionary
        ``data``, ``axes`` and, if there, ``metadata``, ``original_metadata``, ``attributes`` and
        ``package``; ``mapping`` and ``post_process`` must have been applied.
    source
        Where the dictionary comes from.
    audit
        Sentences that the reader adds in front of those about the axes.
    acquisition
        What the microscope said, if the reader knows; None: read it from the metadata.
    """
    source = Source() if source is None else source
    metadata = _as_dict(dictionary.get("metadata"))
    original = _as_dict(dictionary.get("original_metadata"))
    stored = metadata.pop(_NODE, None)
    raw_axes = [plain_axis(axis) for axis in dictionary.get("axes", ())]
    data, colour_notes = grey(dictionary["data"])
    axes, notes = read_axes(raw_axes, data.shape, _signal_dimension(metadata, raw_axes))
    image = Image(
        data=data, axes=axes, source=source,
        acquisition=acquisition or read_acquisition(
            metadata, original, axes, source.reader, np.iscomplexobj(data)),
        raw_metadata={
            "metadata": metadata, "original_metadata": original, "axes": raw_axes,
            "attributes": _as_dict(dictionary.get("attributes")),
            "package": dictionary.get("package") or "",
        },
        audit=(*audit, *colour_notes, *notes),
    )
    return image if stored is None else _restored(image, stored)


def _as_dict(node: Any) -> dict[str, Any]:
    return copy.deepcopy(dict(node)) if node else {}


def _signal_dimension(
    metadata: Mapping[str, Any], raw_axes: Sequence[Mapping[str, Any]]
) -> int | None:
    if all(isinstance(axis.get("navigate"), bool) for axis in raw_axes):
        return None
    # Files of HyperSpy before 1.0 say it in words instead.
    record_by = {"spectrum": 1, "image": 2}
    return record_by.get(str(lookup(metadata, "Signal.record_by")), len(raw_axes))


def from_hyperspy(signal: Any) -> Image:
    """Make an Image of a HyperSpy signal.

    Parameters
    ----------
    signal
        Any signal of HyperSpy or an extension; a lazy one stays lazy.
    """
    manager = signal.axes_manager.as_dictionary()
    dictionary = {
        "data": signal.data,
        "axes": [manager[f"axis-{index}"] for index in range(len(manager))],
        "metadata": signal.metadata.as_dictionary(),
        "original_metadata": signal.original_metadata.as_dictionary(),
        "package": type(signal).__module__.partition(".")[0],
    }
    kept = signal.tmp_parameters.get_item(_FINGERPRINT, None)
    title = str(signal.metadata.get_item("General.title", "") or "")
    reader = _reader_of(dictionary["metadata"])
    return image_from_dictionary(
        dictionary, Source(signal=title, reader=reader, fingerprint=kept))


def _reader_of(metadata: Mapping[str, Any]) -> str:
    """Name of the RosettaSciIO reader that HyperSpy says it loaded the signal with."""
    steps = lookup(metadata, "General.FileIO") or {}
    loads = [step for step in steps.values() if lookup(step, "operation") == "load"]
    return str(loads[0].get("io_plugin", "")).rpartition(".")[2] if loads else ""


def to_hyperspy(image: Image) -> Any:
    """Return the HyperSpy signal of an image; `from_hyperspy` gives the same image back.

    Parameters
    ----------
    image
        The image; its axes are handed on in nm, 1/nm, keV or px.
    """
    from hyperspy.io import dict2signal

    raw = image.raw_metadata
    metadata = _distinct(raw.get("metadata", {}))
    metadata.setdefault("General", {}).setdefault("title", image.source.signal)
    metadata.setdefault("Signal", {}).setdefault("signal_type", _signal_type(image))
    # HyperSpy works in place; an Image's pixels must not change under it.
    data = image.data if image.lazy else np.array(image.data)
    signal = dict2signal(
        {"data": data, "axes": _signal_axes(image), "metadata": metadata,
         "original_metadata": _distinct(raw.get("original_metadata", {})),
         "package": raw.get("package") or ""},
        lazy=image.lazy,
    )
    handed = {"metadata": signal.metadata.as_dictionary(),
              "original_metadata": signal.original_metadata.as_dictionary()}
    signal.metadata.add_dictionary({_NODE: _to_store(image, handed)})
    signal.tmp_parameters.set_item(_FINGERPRINT, image.source.fingerprint)
    return signal


def _signal_type(image: Image) -> str:
    kind = {"EDS": "EDS_TEM", "EELS": "EELS"}.get(str(image.acquisition.modality), "")
    return kind if image.has_axis("energy") else ""


def _signal_axes(image: Image) -> list[dict[str, Any]]:
    """Axes for HyperSpy; which of them navigate is as it was read, or follows from the names."""
    raws: Sequence[Mapping[str, Any]] = image.raw_metadata.get("axes", ())
    if len(raws) != len(image.axes):
        raws = [{} for _ in image.axes]
    spectrum = any(axis.name in SPECTRAL for axis in image.axes)
    axes = []
    for axis, raw in zip(image.axes, raws, strict=True):
        in_signal = axis.name in SPECTRAL if spectrum else axis.name in ("y", "x")
        navigate = raw["navigate"] if isinstance(raw.get("navigate"), bool) else not in_signal
        entry: dict[str, Any] = {
            "name": axis.name, "units": axis.unit, "navigate": navigate,
            "is_binned": bool(raw.get("is_binned", False)),
        }
        if axis.positions is not None:
            entry |= {"_type": "DataAxis", "axis": list(axis.positions)}
        else:
            step = -axis.pixel_size if axis.flipped else axis.pixel_size
            entry |= {"_type": "UniformDataAxis", "size": axis.size, "scale": step,
                      "offset": axis.offset}
        axes.append(entry)
    return axes


def _to_store(image: Image, handed: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Everything that a signal has no place for."""
    raw, source = image.raw_metadata, image.source
    known = dict(flat_items(raw.get("metadata", {})))
    added = {path: value for path, value in flat_items(handed["metadata"]) if path not in known}
    state = {
        "axes": [asdict(axis) for axis in image.axes],
        "as_read": list(raw.get("axes", ())),
        "raw_keys": list(raw),
        "package": raw.get("package", ""),
        "acquisition": asdict(image.acquisition),
        "distortion": asdict(image.distortion),
        "audit": list(image.audit),
        "steps": [asdict(step) for step in image.steps],
        "source": [source.file, source.signal, source.index, source.reader],
        # What HyperSpy and its extensions filled in, to be taken out again if it is untouched.
        "added": {path: str(value) for path, value in added.items()},
        "lost": _lost_trees(raw, handed),
    }
    # Text survives every file format that HyperSpy writes; nested lists of mappings do not.
    store: dict[str, Any] = {"state": json.dumps(state, default=str)}
    others = {key: copy.deepcopy(raw[key]) for key in raw if key not in _IN_SIGNAL}
    if others:
        store["raw"] = others
    if image.mask is not None:
        store["mask"] = np.array(image.mask)
    return store


def _distinct(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Copy a tree, renaming keys that HyperSpy would take for the same: it fails on them."""
    taken: set[str] = set()
    copied: dict[str, Any] = {}
    for key, value in tree.items():
        ascii_only = unicodedata.normalize("NFKD", str(key)).encode("ascii", "ignore").decode()
        slug = re.sub(r"\W", "", ascii_only.strip().replace(" ", "_"))
        name = str(key) if slug and slug not in taken else f"{key}_entry_{len(copied)}"
        taken.add(slug)
        copied[name] = _distinct(value) if isinstance(value, Mapping) else copy.deepcopy(value)
    return copied


def _lost_trees(
    raw: Mapping[str, Any], handed: Mapping[str, Mapping[str, Any]]
) -> dict[str, list[Any]]:
    """Return the trees that HyperSpy cannot hold, with how it has them instead.

    It spells keys as variable names, so that 'µ' and '-', or 'a b' and 'a_b', are the same to it.
    """
    lost = {}
    for name, tree in handed.items():
        have = dict(flat_items(tree))
        if any(path not in have or str(have[path]) != str(value)
               for path, value in flat_items(raw.get(name, {}))):
            lost[name] = [raw[name], str(tree)]
    return lost


def _restored(image: Image, store: Mapping[str, Any]) -> Image:
    """Give an image back what `to_hyperspy` put aside, as far as it is still true."""
    state = json.loads(str(store["state"]))
    stated = [_axis_state(entry) for entry in state["axes"]]
    kept = with_statements(image.axes, stated)
    mask, lost = _kept_mask(store.get("mask"), image)
    raw = dict(image.raw_metadata)
    whole = {name: tree for name, (tree, handed) in state["lost"].items()
             if str(raw[name]) == handed}
    for path, value in state["added"].items():
        _take_out(raw["metadata"], path.split("."), value)
    raw |= {"axes": state["as_read"], "package": state["package"]}
    raw |= dict(store.get("raw", {})) | whole
    file, signal, index, reader = state["source"]
    (yy, yx), (xy, xx) = state["distortion"].pop("matrix")
    # Sentences about axes that were only handed back are those of the first reading.
    audit = (*state["audit"], *lost, *(image.audit if kept is None else ()))
    return replace(
        image, axes=image.axes if kept is None else tuple(kept), mask=mask, audit=audit,
        steps=tuple(Step(**step) for step in state.get("steps", ())),
        acquisition=Acquisition(**state["acquisition"]),
        distortion=Distortion(((yy, yx), (xy, xx)), **state["distortion"]),
        # The file that was opened now is the one that messages have to name.
        source=Source(image.source.file or file, signal, index, reader, image.source.fingerprint),
        raw_metadata={key: raw[key] for key in state["raw_keys"]},
    )


def _axis_state(entry: Mapping[str, Any]) -> Axis:
    positions = entry["positions"]
    return Axis(**{**entry, "positions": None if positions is None else tuple(positions)})


def _kept_mask(mask: Any, image: Image) -> tuple[Any, tuple[str, ...]]:
    if mask is None:
        return None, ()
    plane = tuple(axis.size for axis in image.axes if axis.name in ("y", "x"))
    if np.shape(mask) != plane:
        return None, ("the mask was dropped: the picture was cropped or binned since",)
    return np.asarray(mask, dtype=bool), ()


def _take_out(tree: dict[str, Any], path: Sequence[str], value: str) -> None:
    """Remove a leaf that still has `value`, and the branches that are empty without it."""
    head, *rest = path
    if head not in tree:
        return
    if not rest:
        if str(tree[head]) == value:
            del tree[head]
    elif isinstance(tree[head], dict):
        _take_out(tree[head], rest, value)
        if not tree[head]:
            del tree[head]
