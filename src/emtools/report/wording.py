"""Numbers, units, names and links as the page shows them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from emtools.model import Measured

# Last parts of names that are units, as people write them.
_UNITS = {
    "nm2": "nm²", "px2": "px²", "nm": "nm", "px": "px", "deg": "°", "percent": "%", "keV": "keV",
    "mm": "mm", "mrad": "mrad", "s": "s",
}
_WORDS = {"hkl": "hkl", "snr": "SNR", "p": "p", "d": "d", "k": "k", "sha256": "SHA-256"}
_THUMBNAIL = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/]+={0,2}")


def split_unit(name: str) -> tuple[str, str]:
    """Split a column's name into words and unit: ``d_spacing_nm`` -> ``d spacing``, ``nm``."""
    if name in {"s_nm", "s_px"}:
        return "position along axis", name[-2:]
    parts = name.split("_")
    unit = ""
    if len(parts) > 2 and parts[-2] == "per" and parts[-1] in _UNITS:
        unit, parts = f"{parts[-1]}⁻¹", parts[:-2]
    elif len(parts) > 1 and parts[-1] in _UNITS:
        unit, parts = _UNITS[parts[-1]], parts[:-1]
    return " ".join(_WORDS.get(part, part) for part in parts), unit


def number(value: Any, err: Any = None) -> str:
    """Return a number with digits that its uncertainty or its size allows."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(err, (int, float)) and math.isfinite(err) and err > 0:
        return str(Measured(float(value), float(err)))
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    return str(int(value)) if abs(value) < 1e15 else f"{value:.4g}"


def interval(value: float, low: float, high: float) -> str:
    """Return a value with its confidence interval, as digits of that allow."""
    if not math.isfinite(value):
        return ""
    ends = ends_of(low, high)
    if not ends:
        return number(value)
    return f"{_fixed(value, _decimals(low, high))} [{ends}]"


def ends_of(low: float, high: float) -> str:
    """Return the ends of an interval; nothing if one is not known."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return ""
    decimals = _decimals(low, high)
    return f"{_fixed(low, decimals)} – {_fixed(high, decimals)}"


def _fixed(value: float, decimals: int) -> str:
    # Adding zero turns a negative zero into a positive one.
    return f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "\u2212")


def _decimals(low: float, high: float) -> int:
    """Decimals that show the width of an interval with two digits."""
    width = high - low if high > low else abs(high) or 1.0
    return max(0, min(6, 1 - math.floor(math.log10(width))))


def measured(value: float, err: float) -> str:
    """Return a value with its uncertainty; nothing if there is none."""
    return str(Measured(value, err)) if math.isfinite(value) else ""


def plural(number: int, noun: str) -> str:
    """Return how many there are: ``1 image``, ``2 images``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def text(value: Any) -> str:
    """Return any plain value of a summary, a description or a table as text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, Mapping):
        if set(value) == {"value", "err", "unit"}:
            return _measured(value)
        if {"name", "size", "pixel_size"} <= set(value):
            return _axis(value)
        return ", ".join(f"{label(key)} {text(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        plain = all(isinstance(item, (int, float)) for item in value)
        return (" × " if plain else "; ").join(text(item) for item in value)
    return str(value)


def _measured(value: Mapping[str, Any]) -> str:
    numbers = [math.nan if value[key] is None else float(value[key]) for key in ("value", "err")]
    return str(Measured(numbers[0], numbers[1], str(value["unit"])))


def _axis(axis: Mapping[str, Any]) -> str:
    said = f"{axis['name']}: {text(axis['size'])}"
    if axis.get("unit") in (None, "", "px"):
        return f"{said} px, not calibrated"
    step = text({"value": axis["pixel_size"], "err": axis.get("pixel_size_err"),
                 "unit": axis["unit"]})
    source = f" ({axis['source']})" if axis.get("source") else ""
    return f"{said} × {step}{source}"


def label(name: Any) -> str:
    """Return a key of a summary or description as words with its unit."""
    words, unit = split_unit(str(name))
    return f"{words} ({unit})" if unit else words


def items(values: Any) -> list[tuple[str, str]]:
    """Return a mapping as pairs of label and text, without what is empty."""
    if not isinstance(values, Mapping):
        return []
    pairs = []
    for key, value in values.items():
        if isinstance(value, Mapping) and not {"value", "size"} & set(value):
            pairs += items(value)
        elif text(value):
            pairs.append((label(key), text(value)))
    return pairs


def link(path: Any) -> str:
    """Return a relative path inside the page's folder as an address; empty if it is not one."""
    spelled = str(path).replace("\\", "/")
    parts = spelled.split("/")
    if not spelled or "" in parts or ".." in parts:
        return ""
    # quote() turns a colon into %3A: what is left can name no scheme and no host.
    # A name's bytes are UTF-8, whatever this process writes to its file system.
    return quote(spelled.encode("utf-8", "surrogateescape"))


def thumbnail(address: Any) -> str:
    """Return a ``data:`` address of a PNG or JPEG unchanged, and nothing of anything else."""
    return str(address) if _THUMBNAIL.fullmatch(str(address)) else ""
