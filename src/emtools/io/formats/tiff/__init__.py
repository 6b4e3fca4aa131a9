"""TIFF, with the calibration of every dialect that microscopes and ImageJ write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.io.lazy import deferred

if TYPE_CHECKING:
    from pathlib import Path

    from emtools.io.report import Report

EXTENSIONS = ("tif", "tiff")

_MINISWHITE, _RGB, _PALETTE, _YCBCR = 0, 2, 3, 6
# Lookup tables of grey pictures hold a few colours for overlays; more make a colour picture.
_GREY_SHARE = 0.8


def load(path: Path, report: Report) -> list[dict[str, Any]]:
    """Return one signal per series of pages (pages of equal shape and kind are a stack)."""
    import tifffile

    # An OME file may name other files that belong to it: they are not followed.
    with tifffile.TiffFile(path, _multifile=False) as tiff:
        found = []
        for index, series in enumerate(tiff.series):
            with report.attempt(f"image {index + 1}"):
                found.append(_signal(path, tiff, index, series, report))
        if not found:
            raise ValueError("; ".join(report.problems) or "no page in it")
    return found


def _signal(path: Path, tiff: Any, index: int, series: Any, report: Report) -> dict[str, Any]:
    from emtools.io.formats.tiff.dialects import stated

    page = series.keyframe
    _check_complete(path, series)
    data, notes = _data(path, index, series)
    said = stated(tiff, page, index, report)
    height, width = said.sizes
    spacings: list[tuple[str, float | None, str]] = [("", None, "")] * (data.ndim - 2)
    if len(spacings) == 1 and said.spacing is not None:
        spacings = [("", *said.spacing)]
    axes = [{"name": name, "size": size, "scale": 1.0 if scale is None else scale, "offset": 0.0,
             "units": unit, "navigate": number < data.ndim - 2}
            for number, ((name, scale, unit), size) in enumerate(zip(
                [*spacings, ("y", height, said.unit), ("x", width, said.unit)], data.shape,
                strict=True))]
    return {
        "data": data, "axes": axes, "reader": f"tiff ({said.dialect})" if said.dialect else "tiff",
        "metadata": {"General": {"title": said.title}} if said.title else {},
        "original_metadata": _tags(page), "notes": [*notes, *said.notes],
        "acquisition": said.acquisition,
    }


def _check_complete(path: Path, series: Any) -> None:
    """Refuse a file that ends before its pixels do: better now than in the middle of a batch."""
    size = path.stat().st_size
    for page in series.pages:
        if page is None:
            raise ValueError("a page is missing")
        ends = (offset + count for offset, count in
                zip(page.dataoffsets, page.databytecounts, strict=False))
        if max(ends, default=0) > size:
            raise ValueError("the file ends before its pixels do")


def _data(path: Path, index: int, series: Any) -> tuple[Any, list[str]]:
    page = series.keyframe
    notes = []
    if page.photometric == _MINISWHITE:
        notes.append("the file shows 0 as white; the numbers are used as they are stored")
    if page.photometric == _PALETTE and not _grey_palette(page.colormap):
        return _painted(_read(path, index), page.colormap), notes
    if "S" in series.axes:
        return _samples(_read(path, index), series.axes, page.photometric), notes
    data = _mapped(path, series) if _contiguous(series) else _by_page(path, index, series)
    return data, notes


def _contiguous(series: Any) -> bool:
    return series.dataoffset is not None and series.keyframe.is_final \
        and series.dtype.kind in "uifc" and series.keyframe.is_contiguous


def _mapped(path: Path, series: Any) -> Any:
    import dask.array as da

    dtype = series.dtype.newbyteorder(series.parent.byteorder)
    pixels = np.memmap(path, dtype=dtype, mode="r", offset=series.dataoffset, shape=series.shape)
    return _squeezed(da.from_array(pixels, name=False, asarray=False))


def _by_page(path: Path, index: int, series: Any) -> Any:
    import dask.array as da

    plane = tuple(series.shape[-2:])
    count = int(np.prod(series.shape[:-2], dtype=np.int64))
    if count == 1 or len(series.pages) != count:
        data = deferred(_read, path, index, shape=series.shape, dtype=series.dtype)
        return _squeezed(data)
    pages = [deferred(_read, path, index, key, shape=plane, dtype=series.dtype)
             for key in range(count)]
    return _squeezed(da.stack(pages).reshape(series.shape))


def _squeezed(data: Any) -> Any:
    """Drop dimensions of size 1 in front of the picture."""
    lead = tuple(axis for axis, size in enumerate(data.shape[:-2]) if size == 1)
    return data.squeeze(lead) if lead else data


def _read(path: Path, index: int, page: int | None = None) -> Any:
    import tifffile

    with tifffile.TiffFile(path, _multifile=False) as tiff:
        series = tiff.series[index]
        chosen: Any = series if page is None else series.pages[page]
        return chosen.asarray()


def _samples(pixels: Any, axes: str, photometric: int) -> Any:
    """Turn the samples of a pixel into R, G, B fields, or drop the opacity of a grey picture."""
    pixels = np.moveaxis(pixels, axes.index("S"), -1)
    if photometric in (_RGB, _YCBCR) and pixels.shape[-1] >= 3:
        fields = np.dtype([(name, pixels.dtype) for name in "RGB"])
        return np.ascontiguousarray(pixels[..., :3]).view(fields)[..., 0]
    return _squeezed(np.ascontiguousarray(pixels[..., 0]))


def _grey_palette(colormap: Any) -> bool:
    """Whether a lookup table is a grey ramp; the stored numbers are then the grey levels."""
    levels = np.asarray(colormap).astype(int) >> 8
    ramp = np.arange(levels.shape[1]) * 256 // levels.shape[1]
    return bool(np.all(np.abs(levels - ramp) <= 1, axis=0).mean() >= _GREY_SHARE)


def _painted(indices: Any, colormap: Any) -> Any:
    colours = np.moveaxis(np.asarray(colormap), 0, -1)[indices] >> 8
    fields = np.dtype([(name, np.uint8) for name in "RGB"])
    return np.ascontiguousarray(colours.astype(np.uint8)).view(fields)[..., 0]


def _tags(page: Any) -> dict[str, Any]:
    """Return the page's tags by name, without those that only say where the pixels lie."""
    skip = ("Offsets", "ByteCounts", "JPEGTables", "ColorMap")
    return {tag.name if not tag.name.isdigit() else f"tag_{tag.code}": _plain(tag.value)
            for tag in page.tags if not tag.name.endswith(skip)}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
