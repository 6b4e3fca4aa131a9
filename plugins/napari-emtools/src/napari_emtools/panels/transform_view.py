"""The canvas of a Fourier transform: its own, in 1/nm, beside the viewer that is in nm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from vispy import scene
from vispy.visuals.transforms import STTransform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from emtools.model import Image

_CLICK_PX = 4.0  # that a hand moves in a click
_RING_POINTS = 181
_COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#cc79a7", "#d55e00")


class TransformView:
    """Shows a transform, marks spots on it, draws rings over it, and says what was clicked.

    Parameters
    ----------
    clicked
        Called with the wave vector (y, x) in 1/unit that was clicked.
    """

    def __init__(self, clicked: Callable[[NDArray[np.float64]], None]) -> None:
        self._clicked = clicked
        self.canvas = scene.SceneCanvas(keys=None, bgcolor="black", show=False, size=(320, 320))
        self.view = self.canvas.central_widget.add_view()
        self.view.camera = scene.PanZoomCamera(aspect=1)
        self.view.camera.flip = (False, True, False)
        self._picture = scene.visuals.Image(np.zeros((2, 2), np.float32), cmap="gray",
                                            texture_format="r32f", parent=self.view.scene)
        self._picture.transform = self._at = STTransform()
        self._rings = scene.visuals.Line(np.zeros((2, 2)), parent=self.view.scene, width=1)
        self._found = scene.visuals.Markers(parent=self.view.scene)
        self._spots = scene.visuals.Markers(parent=self.view.scene)
        self._words = scene.visuals.Text([""], pos=[(0, 0)], parent=self.view.scene, bold=True,
                                         anchor_x="left", anchor_y="bottom", font_size=9)
        for place, visual in enumerate((self._picture, self._rings, self._found, self._spots,
                                        self._words)):
            visual.order = place
            visual.set_gl_state("translucent", depth_test=False)
        for visual in (self._rings, self._found, self._spots, self._words):
            visual.visible = False
        self._placed: Any = None
        self._axes: tuple[float, float] | None = None
        self.transform: Image | None = None
        self.canvas.events.mouse_release.connect(self._released)

    @property
    def native(self) -> Any:
        """The widget."""
        return self.canvas.native

    def show(
        self, transform: Image, values: NDArray[np.float32], limits: tuple[float, float]
    ) -> None:
        """Show a transform; the zoom stays as it was."""
        self.transform = transform
        y, x = transform.plane_axes
        self._picture.set_data(values)
        self._picture.clim = limits
        half = (0.5 * y.pixel_size, 0.5 * x.pixel_size)
        placed = ((x.pixel_size, y.pixel_size), (x.offset - half[1], y.offset - half[0]))
        if placed != self._placed:  # whatever moves builds the programs of the canvas anew
            self._placed = placed
            self._at.scale, self._at.translate = placed
        reach = (-y.offset, -x.offset)
        if self._axes is None or not np.allclose(reach, self._axes, rtol=0.05):
            self._axes = reach
            self.whole()
        self.canvas.update()

    def whole(self) -> None:
        """Show all of it."""
        if self._axes is not None:
            high, wide = self._axes
            self.view.camera.rect = (-wide, -high, 2 * wide, 2 * high)

    def nearer(self, k: float) -> None:
        """Show what lies within a wave number."""
        self.view.camera.rect = (-k, -k, 2 * k, 2 * k)

    def mark(self, k_yx: Sequence[NDArray[np.float64]], words: Sequence[str]) -> None:
        """Mark wave vectors and their mates, with a word beside each."""
        self._spots.visible = self._words.visible = bool(len(k_yx))
        if len(k_yx):
            places = np.array([self._place(k) for k in k_yx])
            colours = [_COLOURS[i % len(_COLOURS)] for i in range(len(places))]
            self._spots.set_data(np.vstack([places, -places]), size=14, symbol="disc",
                                 face_color=(0, 0, 0, 0), edge_color=[*colours, *colours],
                                 edge_width=2)
            self._words.text = [f"  {word}" for word in words]
            self._words.pos = [tuple(place) for place in places]
            self._words.color = colours
        self.canvas.update()

    def draw_rings(self, k: Sequence[float]) -> None:
        """Draw rings at wave numbers, all in one line."""
        self._rings.visible = bool(len(k))
        if len(k):
            turn = np.linspace(0, 2 * np.pi, _RING_POINTS)
            circle = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
            points = np.concatenate([radius * circle for radius in k])
            connect = np.ones(len(points), dtype=bool)
            connect[_RING_POINTS - 1::_RING_POINTS] = False
            self._rings.set_data(points, color=(0.34, 0.71, 0.91, 0.8), connect=connect)
        self.canvas.update()

    def draw_found(self, k_yx: NDArray[np.float64]) -> None:
        """Draw wave vectors that a measurement found, and their mates, as small squares."""
        self._found.visible = bool(len(k_yx))
        if len(k_yx):
            places = np.array([self._place(k) for k in k_yx])
            self._found.set_data(np.vstack([places, -places]), size=9, symbol="square",
                                 face_color=(0, 0, 0, 0), edge_color=(0.0, 0.62, 0.45, 0.9),
                                 edge_width=1)
        self.canvas.update()

    def k_at(self, pos: Sequence[float]) -> NDArray[np.float64] | None:
        """Return the wave vector (y, x) at a place of the widget."""
        if self.transform is None:
            return None
        node = self.canvas.scene.node_transform(self._picture)
        column, line = np.asarray(node.map(pos[:2]))[:2]
        middle = np.array([axis.size // 2 for axis in self.transform.plane_axes])
        pixels = np.array([line - 0.5, column - 0.5]) - middle
        return np.asarray(self.transform.calibration().vectors(pixels), dtype=float)

    def pos_of(self, k_yx: NDArray[np.float64]) -> tuple[float, float]:
        """Return where a wave vector lies on the widget."""
        node = self.canvas.scene.node_transform(self.view.scene)
        x, y = np.asarray(node.imap(self._place(k_yx)))[:2]
        return float(x), float(y)

    def _place(self, k_yx: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where a wave vector lies on the picture, x first; its pixels may be sheared."""
        if self.transform is None:
            return np.asarray(k_yx)[::-1]
        pixels = self.transform.calibration().pixels(np.asarray(k_yx, dtype=float))
        sizes = [axis.pixel_size for axis in self.transform.plane_axes]
        return (np.asarray(pixels) * sizes)[::-1]

    def _released(self, event: Any) -> None:
        trail = event.trail()
        start = event.press_event.pos if event.press_event is not None else event.pos
        moved = 0.0 if trail is None else float(np.hypot(*(np.asarray(event.pos) - start)))
        if event.button == 1 and moved <= _CLICK_PX:
            k = self.k_at(event.pos)
            if k is not None:
                self._clicked(k)
