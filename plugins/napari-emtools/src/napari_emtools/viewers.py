"""Which viewer shows what: each has one unit, nm, 1/nm or pixel.

A viewer whose layers disagree about their unit has none: its scale bar counts pixels and places are
compared as bare numbers.  So a diffraction pattern that is opened beside micrographs gets a viewer
of its own.
"""

from __future__ import annotations

import contextlib
import weakref
from typing import TYPE_CHECKING, Any

from napari_emtools.shown import (
    image_layer,
    key_of,
    origin_of,
    summed,
    title_of,
    unit_of,
    with_rows,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emtools.model import Image
    from napari_emtools.session import Session
    from napari_emtools.shown import LayerData

_NEAR_PX = 6.0  # of the screen
_beside: dict[str, weakref.ref[Any]] = {}  # viewers that were opened for a unit


def placed(images: Sequence[Image], viewer: Any = None) -> list[LayerData]:
    """Return the layers of images that fit the viewer, and show the others elsewhere.

    Parameters
    ----------
    images
        Of opened files.
    viewer
        That they are opened in; by default the current one.

    Returns
    -------
    list of tuple
        Layer data for the current viewer, or for any if none is open.
    """
    import napari

    viewer = napari.current_viewer() if viewer is None else viewer
    pictures = [with_rows(image) for image in images if image.has_axis("x")]
    _show_spectra(viewer, [image for image in images if not image.has_axis("x")])
    if not pictures:
        return []
    own = unit_in(viewer) if viewer is not None else None
    own = own or unit_of(pictures[0])
    if viewer is not None:
        prepare(viewer)
    for unit in dict.fromkeys(unit_of(image) for image in pictures):
        if unit != own:
            _show_beside(viewer, [image for image in pictures if unit_of(image) == unit], own)
    return [image_layer(image) for image in pictures if unit_of(image) == own]


def show_session(viewer: Any, found: Session) -> list[str]:
    """Show the images of a session with their results; those of another unit in their viewer.

    Returns
    -------
    list of str
        What was not taken, a sentence each: whoever has corrected an image here keeps that.
    """
    from napari_emtools.desk import desk_of

    desk, kept = desk_of(viewer), []
    already = {key_of(one): one for one in desk.images()}
    for image in found.images:
        there = already.get(key_of(image))
        if there is None or desk.is_as_shown(image):
            continue
        if unit_of(there) == unit_of(image):
            desk.recalibrate(image)
        else:
            kept.append(f"{title_of(image)} is open in {unit_of(there)}, the session has it in "
                        f"{unit_of(image)}: close it first")
    _add(viewer, placed([one for one in found.images if key_of(one) not in already], viewer))
    for finding in found.findings:
        image = finding.image
        own = viewer if not image.has_axis("x") or unit_in(viewer) == unit_of(image) \
            else viewer_of(unit_of(image))
        if not desk_of(own).is_as_shown(image):
            continue
        before = desk_of(own).of(image, finding.result.measurement)
        if before is not None and before.history:
            kept.append(f"{title_of(image)}: {finding.result.measurement} was corrected here, and "
                        "stays as it is")
            continue
        desk_of(own).take(finding)
    return kept


def show_images(viewer: Any, images: Sequence[Image]) -> None:
    """Show images in a viewer whose unit they have."""
    prepare(viewer)
    _add(viewer, [image_layer(with_rows(image)) for image in images])


def _add(viewer: Any, layers: Sequence[LayerData]) -> None:
    for data, shown, kind in layers:
        getattr(viewer, f"add_{kind}")(data, **shown)


def unit_in(viewer: Any) -> str | None:
    """Return the unit of a viewer's layers, None of an empty one."""
    for layer in viewer.layers:
        origin = origin_of(layer)
        if origin is not None and layer.ndim >= 2:
            return unit_of(origin.image)
    return None if not len(viewer.layers) else _spelled(str(viewer.layers[0].units[-1]))


def _spelled(unit: str) -> str:
    from emtools.errors import UnitError
    from emtools.units import parse_unit

    try:
        return parse_unit(unit).name
    except UnitError:
        return unit


def prepare(viewer: Any) -> None:
    """Show the scale bar of a viewer, and fetch the sums of spectra that wait for it."""
    scale_bar(viewer).visible = True
    for layer in viewer.layers:
        _fetch_sum(layer)
    callbacks = viewer.layers.events.inserted
    if _on_inserted not in callbacks.callbacks:
        callbacks.connect(_on_inserted)
        viewer.layers.events.removing.connect(_in_its_own_context(weakref.ref(viewer)))


def _in_its_own_context(viewer: weakref.ref[Any]) -> Callable[[], None]:
    """Return what makes the OpenGL context of a viewer the current one.

    napari frees the textures of a layer that goes in whichever context is current.  With two
    windows that can be the other one's, which then draws with what was freed, and crashes.
    """
    def make_current() -> None:
        # Neither is public: a napari without them is left as it is.
        with contextlib.suppress(AttributeError, RuntimeError):
            viewer().window._qt_viewer.canvas._scene_canvas.set_current()  # type: ignore[union-attr]

    return make_current


def scale_bar(viewer: Any) -> Any:
    """Return the scale bar, which napari 0.9 has moved."""
    canvas = getattr(viewer, "canvas", None)
    overlays = getattr(canvas, "overlays", None)
    return viewer.scale_bar if overlays is None else overlays.scale_bar


def camera(viewer: Any) -> Any:
    """Return the camera of a viewer, which napari 0.9 has moved."""
    scene = getattr(viewer, "scene", None)
    return viewer.camera if scene is None else scene.camera


def near(viewer: Any) -> float:
    """Return how far from a line a click may be that is meant for it, in the viewer's unit."""
    return _NEAR_PX / float(camera(viewer).zoom)


def _on_inserted(event: Any) -> None:
    _fetch_sum(event.value)


def _fetch_sum(layer: Any) -> None:
    origin = origin_of(layer)
    if origin is None or not origin.waits:
        return
    from napari_emtools.shown import sum_of
    from napari_emtools.work import Work

    work = layer.metadata["emtools work"] = Work()  # lives as long as the layer
    work.start(lambda: sum_of(origin.image), lambda values: summed(layer, values))


def _show_spectra(viewer: Any, images: list[Image]) -> None:
    """Show single spectra in their panel; say of anything else that it is no picture."""
    from napari.utils.notifications import show_info

    spectra = [image for image in images if image.has_axis("energy")]
    if spectra and viewer is not None:
        from napari_emtools.desk import desk_of
        from napari_emtools.panels import opened

        desk_of(viewer).take_spectra(spectra)
        opened(viewer, "Spectrum").images.choose(spectra[0])
        show_info(f"{', '.join(map(title_of, spectra))}: shown in the panel Spectrum")
        images = [image for image in images if not image.has_axis("energy")]
    for image in images:
        axes = ", ".join(axis.name for axis in image.axes)
        show_info(f"{title_of(image)} is no picture (its axis: {axes}): nothing is shown of it")


def _show_beside(viewer: Any, images: list[Image], own: str) -> None:
    """Show images in a viewer of their unit, with a notice."""
    from napari.utils.notifications import show_info

    unit = unit_of(images[0])
    names = ", ".join(title_of(image) for image in images)
    if viewer is None:
        show_info(f"{names}: in {unit}, not shown beside layers in {own}")
        return
    other = viewer_of(unit)
    _add(other, [image_layer(image) for image in images])
    show_info(f"{names}: in {unit}, shown in a window of its own, for this one is in {own}")


def viewer_of(unit: str) -> Any:
    """Return the second viewer for a unit, opened now if there is none."""
    import napari

    known = _beside.get(unit, lambda: None)()
    if known is not None and is_open(known):
        return known
    viewer = napari.Viewer(title=f"napari ({unit})")
    _beside[unit] = weakref.ref(viewer)
    prepare(viewer)
    return viewer


def is_open(viewer: Any) -> bool:
    """Whether the window of a viewer is still there."""
    try:
        return bool(viewer.window._qt_window.isVisible())
    except (AttributeError, RuntimeError):
        return False
