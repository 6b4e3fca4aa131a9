"""Images and results as layers of napari, and back; knows neither Qt nor a viewer.

Every layer carries its unit, its scale and an `Origin`: one without a unit would take it from the
whole viewer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.model import Axis, Image, Source
from emtools.model.colour import grey
from emtools.units import PIXEL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

LayerData = tuple[Any, dict[str, Any], str]
ORIGIN = "emtools"  # key in a layer's metadata
_NAPARI_UNITS = {PIXEL: "pixel"}
_SUMMED_AT_ONCE = 50e6  # bytes of spectra whose sum is no wait; others are summed beside the window
_TOOL_COLOUR, _TOOL_LINES = "#f0e442", 300  # lines as thick as a part of the image's side
_GAMMA = 0.4  # a diffraction pattern spans decades
_MODALITY_COLOURS = {"EDS": "magma"}


@dataclass(frozen=True)
class Origin:
    """What a layer is of.

    Parameters
    ----------
    image
        The image that it shows, or that a result is of.
    role
        ``image``, ``sum`` (of spectra), ``result`` or ``tool`` (drawn by the user for a panel).
    measurement, table
        Of a result: who made it, and the table whose rows the layer's objects are.
    waits
        Of a sum: its pixels are not there yet.
    """

    image: Image
    role: str = "image"
    measurement: str = ""
    table: str = ""
    waits: bool = False

    @property
    def key(self) -> str:
        """Name of the image among those that are open."""
        return key_of(self.image)


def key_of(image: Image) -> str:
    """Return the name of an image among those that are open: its file and its place in it."""
    source = image.source
    return f"{source.file or 'in memory'}#{source.index}#{source.signal}"


def is_of(image: Image, whole: Image) -> bool:
    """Whether an image is another one, or a frame of it."""
    own, other = image.source, whole.source
    if own.file is not None or other.file is not None:
        return (own.file, own.index) == (other.file, other.index)
    return own.signal == other.signal or own.signal.startswith(f"{other.signal}, ")


def with_rows(image: Image) -> Image:
    """Return a line of spectra as an image of one row."""
    if image.has_axis("y") or not image.has_axis("x"):
        return image
    x = image.axis("x")
    row = Axis("y", 1, pixel_size=x.pixel_size, unit=x.unit, pixel_size_err=x.pixel_size_err,
               source=x.source)
    return replace(image, data=image.data[None], axes=(row, *image.axes), mask=None)


def origin_of(layer: Any) -> Origin | None:
    """Return what a layer is of, if emtools made it."""
    found = layer.metadata.get(ORIGIN)
    return found if isinstance(found, Origin) else None


def unit_of(image: Image) -> str:
    """Return the unit of an image's plane: ``nm``, ``1/nm``, ``px`` or another."""
    if not (image.has_axis("y") and image.has_axis("x")):
        return PIXEL
    return image.calibration().unit


def title_of(image: Image) -> str:
    """Return a short name: the file without its folder, and the signal."""
    file = Path(image.source.file).name if image.source.file else "image"
    return f"{file} [{image.source.signal}]" if image.source.signal else file


def image_layer(image: Image, **changed: Any) -> LayerData:
    """Return an image as layer data: name, calibrated scale and unit, contrast, colours.

    Parameters
    ----------
    image
        With axes y and x; spectra are summed, other axes become sliders.  Lazy pixels stay lazy.
    **changed
        Keyword arguments of the layer that are given another value.

    Raises
    ------
    ImageError
        If the image is no picture.
    """
    from emtools.figures.display import contrast_limits, is_logarithmic, limits_of

    spectra = image.has_axis("energy")
    waits = spectra and image.data.nbytes > _SUMMED_AT_ONCE
    shape = tuple(axis.size for axis in image.plane_axes) if spectra else ()
    data = np.zeros(shape, np.float32) if waits else sum_of(image) if spectra else _pixels(image)
    if waits:
        limits = (0.0, 1.0)
    elif spectra:
        limits = limits_of(data)
    else:
        limits = contrast_limits(image)
    names = ["y", "x"] if spectra else _order(image)
    shown: dict[str, Any] = {
        "name": title_of(image), "contrast_limits": limits, "rgb": False,
        "gamma": _GAMMA if is_logarithmic(image) else 1.0,
        "colormap": _MODALITY_COLOURS.get(image.acquisition.modality or "", "gray"),
        "axis_labels": tuple(names), **geometry(image, len(names)),
        "metadata": {ORIGIN: Origin(image, "sum" if spectra else "image", waits=waits)},
    }
    return data, {**shown, **changed}, "image"


def tool_layer(image: Image, name: str, shapes: list[Any], **shown: Any) -> LayerData:
    """Return a layer of shapes that a user draws on an image for a panel."""
    width = max(axis.size for axis in image.plane_axes) / _TOOL_LINES
    return shapes, {"name": f"{name} · {title_of(image)}", "ndim": 2, "edge_color": _TOOL_COLOUR,
                    "face_color": "transparent", "edge_width": width, **geometry(image),
                    "metadata": {ORIGIN: Origin(image, "tool")}, **shown}, "shapes"


def labels_layer(image: Image, name: str, labels: NDArray[np.integer[Any]]) -> LayerData:
    """Return a layer of labels that a user paints on an image for a panel."""
    return labels, {"name": f"{name} · {title_of(image)}", "opacity": 0.5, **geometry(image),
                    "metadata": {ORIGIN: Origin(image, "tool"), "layer": name}}, "labels"


def region_of(layer: Any, image: Image) -> NDArray[np.bool_] | None:
    """Return the pixels of an image that the last shape of a layer encloses; None without one."""
    if not len(layer.data):
        return None
    rows, columns = (axis.size if image.has_axis(axis.name) else 1 for axis in image.plane_axes)
    return np.asarray(layer.to_masks(mask_shape=(rows, columns))[-1], dtype=bool)


def geometry(image: Image, ndim: int = 2) -> dict[str, Any]:
    """Return ``scale``, ``units`` and, where the plane is distorted, ``affine`` of a layer.

    Other axes than y and x are counted: their steps are frames, whatever their unit.
    """
    calibration = image.calibration()
    unit = _NAPARI_UNITS.get(calibration.unit, calibration.unit)
    sizes = (1.0, 1.0) if unit == "pixel" else tuple(
        axis.pixel_size for axis in image.plane_axes)
    found: dict[str, Any] = {"scale": (*(1.0,) * (ndim - 2), *sizes),
                             "units": (*("pixel",) * (ndim - 2), unit, unit)}
    plane = calibration.matrix / np.asarray(sizes)
    if not np.allclose(plane, np.eye(2), atol=1e-9):
        affine = np.eye(ndim + 1)
        affine[ndim - 2:ndim, ndim - 2:ndim] = plane
        found["affine"] = affine
    return found


def sum_of(image: Image) -> NDArray[np.float32]:
    """Return what all channels of each spectrum sum up to, ``(y, x)``; reads the whole file."""
    from emtools.process.spectra import as_spectra

    spectra = as_spectra(image)
    everything = np.ones((len(spectra.energy_keV), 1))
    return np.ascontiguousarray(spectra.projected(everything)[..., 0])


def summed(layer: Any, values: NDArray[np.float32]) -> None:
    """Give a layer the sum that it waited for."""
    from emtools.figures.display import limits_of

    origin = origin_of(layer)
    assert origin is not None
    layer.data = values
    layer.contrast_limits_range = (float(np.nanmin(values)), float(np.nanmax(values)) + 1.0)
    layer.contrast_limits = limits_of(values)
    layer.metadata[ORIGIN] = replace(origin, waits=False)


def image_of(layer: Any) -> Image | None:
    """Return the image of a layer, or one made of a layer that another program has made."""
    origin = origin_of(layer)
    if origin is not None:
        return origin.image if origin.role in ("image", "sum") else None
    if type(layer).__name__ != "Image" or getattr(layer, "rgb", False) or layer.ndim < 2 \
            or getattr(layer, "multiscale", False):
        return None
    file = layer.source.path
    image = image_from(layer.data, tuple(map(float, layer.scale)),
                       tuple(map(str, layer.units)), layer.name, str(file) if file else None)
    layer.metadata[ORIGIN] = Origin(image)
    return image


def image_from(
    data: Any, scale: tuple[float, ...], units: tuple[str, ...], name: str, file: str | None = None
) -> Image:
    """Make an image of a layer's pixels, calibrated if its scale has a unit of length."""
    names = [f"frame {i}" if i else "frame" for i in range(data.ndim - 2)] + ["y", "x"]
    axes = tuple(Axis(axis, size) for axis, size in zip(names, data.shape, strict=True))
    image = Image(data, axes, source=Source(file, "" if file else name, reader="napari"))
    if units[-2] != units[-1] or units[-1] in ("pixel", "px"):
        return image
    return image.calibrated((scale[-2], scale[-1]), units[-1], source="file")


def frame_of(image: Image, step: Iterable[int]) -> Image:
    """Return the single picture of a stack that a viewer shows, named after its place."""
    names = [name for name in _order(image) if name not in ("y", "x")]
    if image.has_axis("energy") or not names:
        return image
    last = [axis.size - 1 for axis in image.axes if axis.name in names]
    steps = list(step)[-2 - len(names):-2]
    places = dict(zip(names, (min(int(n), most) for n, most in zip(steps, last, strict=True)),
                      strict=True))
    said = ", ".join(f"{name} {place}" for name, place in places.items())
    signal = f"{image.source.signal}, {said}" if image.source.signal else said
    return replace(image.select(**places), source=replace(image.source, signal=signal))


def frame_named(image: Image, signal: str) -> Image:
    """Return the frame of a stack that `frame_of` gave this name; the image itself without one."""
    if not signal:
        return image
    count = len(_order(image)) - 2
    places = {}
    for said in signal.split(", ")[-count:]:
        name, _, place = said.rpartition(" ")
        places[name] = int(place)
    return replace(image.select(**places), source=replace(image.source, signal=signal))


def _order(image: Image) -> list[str]:
    """Names of the axes as a viewer wants them: y and x last."""
    return [axis.name for axis in image.axes if axis.name not in ("y", "x")] + ["y", "x"]


def _pixels(image: Image) -> Any:
    data, _ = grey(image.data)
    names = [axis.name for axis in image.axes]
    data = data.transpose([names.index(name) for name in _order(image)])
    if data.dtype.kind == "c":
        data = abs(data)
    if data.dtype.kind == "b":
        return data.astype(np.uint8)
    return data.astype(np.float32) if data.dtype == np.float16 else data
