"""Figures and thumbnails as files: the same bytes each time, whole or not at all."""

from __future__ import annotations

import base64
import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from emtools.errors import ParameterError
from emtools.figures.display import picture
from emtools.figures.style import DPI, ORANGE, SKY, style
from emtools.process.bars import scale_bar_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure

    from emtools.model import Image

# What would name the program or the time is left out, so that equal figures are equal files.
_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".tif": {"Software": None},
    ".tiff": {"Software": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    ".svg": {"Creator": None, "Date": None},
}
_TIFF = (".tif", ".tiff")
_ABOUT = {".png": "Description", ".tif": "Description", ".tiff": "Description",
          ".pdf": "Subject", ".svg": "Description"}
_LEAST_QUALITY, _QUALITY_STEP, _BEST_QUALITY = 20, 15, 80
_FLATTEST = 0.1


def save(
    figure: Figure, path: str | os.PathLike[str], *, dpi: int = DPI, about: str = "",
) -> Path:
    """Write a figure: whole or not at all, the same figure the same bytes.

    Parameters
    ----------
    figure
        Made by this room, or any other.
    path
        Ends in ``.png``, ``.tif``, ``.tiff``, ``.pdf`` or ``.svg``; its folder is made if need be.
    dpi
        Of pixels; the sides are the nearest whole numbers of them.
    about
        What the file itself says about it: the description of PNG, TIFF and SVG, the subject of
        PDF.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    ParameterError
        If the path has another ending.
    """
    target = Path(path)
    kind = target.suffix.lower()
    if kind not in _METADATA:
        raise ParameterError(str(target), f"ends in {kind!r}",
                             f"figures are written as {', '.join(_METADATA)}")
    _write(target, _drawn(figure, kind, dpi, about))
    return target


def png(figure: Figure, dpi: int = DPI) -> bytes:
    """Return a figure as the content of a PNG file.

    Parameters
    ----------
    figure
        Made by this room, or any other.
    dpi
        As for `save`.
    """
    return _drawn(figure, ".png", dpi, "")


def _drawn(figure: Figure, kind: str, dpi: int, about: str) -> bytes:
    content = io.BytesIO()
    raster = kind not in (".pdf", ".svg")
    metadata = dict(_METADATA[kind])
    if about:
        metadata[_ABOUT[kind]] = about
    # Noise is hardly compressed; this level takes half the time of the default's, for less.
    packed: dict[str, Any] = {"pil_kwargs": {"compress_level": 3}} if raster else {}
    size = figure.get_size_inches()
    with style(), mpl.rc_context({"svg.hashsalt": "emtools"}), warnings.catch_warnings():
        # A file name may have letters that the font lacks; they are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        if raster:  # matplotlib takes the whole pixels within; rounding must not lose one
            figure.set_size_inches(*((np.rint(size * dpi) + 1e-3) / dpi))
        figure.savefig(content, format="png" if raster else kind[1:], dpi=dpi, metadata=metadata,
                       **packed)
        figure.set_size_inches(*size)
    return content.getvalue() if kind not in _TIFF else _as_tiff(content, dpi, about)


def _as_tiff(drawn_png: io.BytesIO, dpi: int, about: str) -> bytes:
    """Without transparency, which journals refuse."""
    content = io.BytesIO()
    described = {"description": about} if about else {}
    with Pillow.open(drawn_png) as drawn:
        drawn.convert("RGB").save(content, format="TIFF", compression="tiff_lzw", dpi=(dpi, dpi),
                                  **described)
    return content.getvalue()


def _write(target: Path, content: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, so that the move is within one file system; one name for each process.
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(content)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def thumbnail(image: Image, size_px: int = 320) -> bytes:
    """Return a small grey PNG of an image, in its proportions.

    Parameters
    ----------
    image
        Any image with axes y and x, shown as `image_figure` shows it.
    size_px
        Pixels along the longer side.

    Raises
    ------
    ImageError
        If the image is no picture.
    """
    return _encoded(_small(image, size_px), "PNG", optimize=True)


def thumbnail_uri(image: Image, size_px: int = 240, most_bytes: int = 6000) -> str:
    """Return a small picture as a ``data:`` address, for pages that hold a thousand of them.

    Parameters
    ----------
    image, size_px
        As for `thumbnail`.
    most_bytes
        Of the picture; its quality is lowered until it fits (the address is 4/3 as long).

    Raises
    ------
    ImageError
        If the image is no picture.
    """
    small = _small(image, size_px)
    content = b""
    for quality in range(_BEST_QUALITY, _LEAST_QUALITY - 1, -_QUALITY_STEP):
        content = _encoded(small, "JPEG", quality=quality, optimize=True)
        if len(content) <= most_bytes:
            break
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"


def _small(image: Image, size_px: int) -> Pillow.Image:
    shown = picture(image, max(2 * size_px, 2))
    low, high = shown.limits
    grey = np.nan_to_num((shown.values - low) / (high - low), nan=0.5)
    levels = (255.0 * np.clip(grey, 0.0, 1.0) + 0.5).astype(np.uint8)
    aspect = float(np.clip(shown.aspect, _FLATTEST, 1.0 / _FLATTEST))
    wide, high_px = (size_px, size_px * aspect) if aspect <= 1 else (size_px / aspect, size_px)
    size = (max(1, round(wide)), max(1, round(high_px)))
    small = Pillow.fromarray(levels).resize(size, Pillow.Resampling.BOX)
    said = scale_bar_of(image)
    return small if said is None else _with_bar(small, said, shown.shape)


def _with_bar(
    small: Pillow.Image, said: Mapping[str, Any], shape: tuple[int, int]
) -> Pillow.Image:
    """Frame the scale bar and the label that were read."""
    coloured = small.convert("RGB")
    y, x = (side / n for side, n in zip(coloured.size[::-1], shape, strict=True))
    for part, colour in (("bar", ORANGE), ("label", SKY)):
        top, bottom, left, right = said[part]
        ImageDraw.Draw(coloured).rectangle(
            (x * left - 1, y * top - 1, x * right + 1, y * bottom + 1), outline=colour)
    return coloured


def _encoded(small: Pillow.Image, kind: str, **options: Any) -> bytes:
    content = io.BytesIO()
    small.save(content, format=kind, **options)
    return content.getvalue()
