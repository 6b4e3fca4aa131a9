"""Ordinary pictures (png, jpg, bmp ...): no calibration, unless the user gives one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from emtools.io.report import Report

EXTENSIONS = ("png", "jpg", "jpeg", "bmp", "gif", "pgm", "ppm", "webp")

_GREY = {"1", "L", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}


def load(path: Path, report: Report) -> list[dict[str, Any]]:
    """Return the picture, or its frames as a stack."""
    from PIL import Image as Picture

    with Picture.open(path) as picture:
        frames = []
        for index in range(getattr(picture, "n_frames", 1)):
            picture.seek(index)
            frames.append(_pixels(picture))
        info = {key: value for key, value in picture.info.items()
                if isinstance(value, (str, int, float, tuple))}
        kind = str(picture.format)
    if len({(frame.shape, frame.dtype) for frame in frames}) > 1:
        report.say(f"only the first of {len(frames)} frames was read: they differ in size or kind")
        frames = frames[:1]
    data = frames[0] if len(frames) == 1 else np.stack(frames)
    axes = [{"name": "", "size": size, "scale": 1.0, "offset": 0.0, "units": "",
             "navigate": index < data.ndim - 2} for index, size in enumerate(data.shape)]
    return [{"data": data, "axes": axes, "metadata": {}, "original_metadata": info,
             "reader": f"pictures ({kind})"}]


def _pixels(picture: Any) -> Any:
    """Return grey levels, or a structured array with fields R, G, B."""
    if picture.mode in _GREY:
        return np.array(picture)
    if picture.mode in ("LA", "La"):
        return np.array(picture.convert("L"))
    colours = np.array(picture.convert("RGB"))
    fields = np.dtype([("R", np.uint8), ("G", np.uint8), ("B", np.uint8)])
    return np.ascontiguousarray(colours).view(fields)[..., 0]
