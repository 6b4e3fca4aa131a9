"""What was changed in the layers of a chains result, as steps of a `Drawing`; knows no window.

The layers hold chains, dots and gaps in the order of the result's tables; a change of a layer is
one operation of the drawing for each object that it concerns.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.corrections import AS_LABELS, Correction, Drawing, place_of, plane_of
from emtools.errors import ParameterError
from emtools.tables import in_unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from emtools.corrections import Mark
    from emtools.model import Image, Result
    from napari_emtools.desk import Finding

    Places = Sequence[np.ndarray[Any, Any]] | Mapping[int, np.ndarray[Any, Any]]


class Editing:
    """Changes that are made to a result, one after another, before it is measured again.

    Parameters
    ----------
    finding
        Of ``chains``.
    """

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        result = finding.result
        before = finding.correction
        changes = before.drawing.changes if before.drawing is not None else ()
        if before.labels is not None:
            changes = (AS_LABELS,)
        # Numbers of objects are those of the tables that are shown now.
        self.drawing = replace(Drawing.of(result), changes=changes)
        self.marks, _ = before.marks.followed(result)  # by the numbers that are shown
        self.labels = before.labels  # in place of the drawing, as long as nothing else is drawn
        self.chains = result.tables["chains"]["chain"].tolist()
        self.gaps = _places(result)

    @property
    def correction(self) -> Correction:
        """What is to be measured."""
        comment, plane = self.finding.correction.comment, plane_of(self.finding.image)
        if self.labels is not None and self.drawing.changes in ((), (AS_LABELS,)):
            return Correction(labels=self.labels, marks=self.marks, comment=comment, plane=plane)
        return Correction(self.drawing, marks=self.marks, comment=comment, plane=plane)

    def painted(self, labels: np.ndarray[Any, Any]) -> None:
        """Take what was painted in place of all chains: each label is one of that number.

        Raises
        ------
        ParameterError
            If nothing was painted.
        """
        if not labels.any():
            raise ParameterError("labels", "nothing is painted", "paint chains with the brush")
        self.labels = labels
        self.drawing = replace(self.drawing, changes=())

    def removed(self, table: str, places: Sequence[int]) -> None:
        """Take objects out, by their places in the layer as it was."""
        for place in sorted(places, reverse=True):
            if table == "chains":
                self.drawing = self.drawing.deleted(self.chains.pop(place))
            elif table == "dots":
                self.drawing = self.drawing.dot_removed(place)
            else:
                self.drawing = self.drawing.gap_closed(self.gaps.pop(place))

    def changed(self, table: str, places: Sequence[int], data: Places) -> None:
        """Move or redraw objects, by their places in the layer and as they are now."""
        for place in places:
            now = np.asarray(data[place], dtype=float)[..., -2:]
            if table == "chains":
                self.drawing = self.drawing.redrawn(self.chains[place], now)
            elif table == "dots":
                self.drawing = self.drawing.dot_moved(place, now)
            else:
                self.drawing = self.drawing.gap_moved(self.gaps[place], now)
                self.gaps[place] = now

    def added(self, table: str, places: Sequence[int], data: Places) -> None:
        """Add objects that were drawn."""
        for place in sorted(places):
            now = np.asarray(data[place], dtype=float)[..., -2:]
            if table == "chains":
                before = set(self.drawing.centrelines)
                self.drawing = self.drawing.added(now)
                self.chains += sorted(set(self.drawing.centrelines) - before)
            elif table == "dots":
                self.drawing = self.drawing.dot_added(now)
            else:
                self.drawing = self.drawing.gap_added(self.chain_at(now), now)
                self.gaps.append(now)

    def joined(self, places: Sequence[int]) -> None:
        """Join two chains.

        Raises
        ------
        ParameterError
            If these are not two.
        """
        first, second = self._two(places, "chains")
        self.drawing = self.drawing.joined(self.chains[first], self.chains[second])

    def split(self, at_yx: np.ndarray[Any, Any]) -> None:
        """Split the chain at a place."""
        self.drawing = self.drawing.split(self.chain_at(at_yx), at_yx)

    def merged(self, places: Sequence[int]) -> None:
        """Merge two dots.

        Raises
        ------
        ParameterError
            If these are not two.
        """
        self.drawing = self.drawing.dots_merged(*self._two(places, "dots"))

    def dots_split(self, places: Sequence[int]) -> None:
        """Split dots in two each."""
        for place in sorted(places, reverse=True):
            self.drawing = self.drawing.dot_split(place)

    def marked(self, table: str, places: Sequence[int], mark: Mark | None) -> None:
        """Accept or reject objects of a table, or say nothing of them."""
        result = self.finding.result
        for number in result.tables[table].iloc[list(places), 0].tolist():
            self.marks = self.marks.cleared(table, number) if mark is None \
                else self.marks.marked(table, number, mark, place_of(result, table, number))

    def chain_at(self, at_yx: np.ndarray[Any, Any]) -> int:
        """Return the number of the chain nearest to a place.

        Raises
        ------
        ParameterError
            If there is no chain.
        """
        far = {number: float(np.hypot(*(line - at_yx).T).min())
               for number, line in self.drawing.centrelines.items()}
        if not far:
            raise ParameterError("chains", "there is none", "draw one")
        return min(far, key=lambda number: far[number])

    def _two(self, places: Sequence[int], what: str) -> tuple[int, int]:
        if len(places) != 2:
            raise ParameterError(what, f"{len(places)} are chosen", "choose two of them")
        first, second = sorted(places)
        return first, second


def labels_of(image: Image, result: Result) -> np.ndarray[Any, Any]:
    """Return the chains of a result as they would be painted: each with its number.

    Parameters
    ----------
    image
        That was measured.
    result
        Of ``chains``.

    Returns
    -------
    array
        ``(y, x)`` whole numbers, 0 = none.
    """
    from skimage.draw import disk

    unit = str(result.summary.get("unit", "nm"))
    axes, calibration = result.tables["axes"], image.calibration()
    shape = (image.plane_axes[0].size, image.plane_axes[1].size)
    painted = np.zeros(shape, dtype=np.int32)
    columns = [in_unit(name, unit) for name in ("y_nm", "x_nm")]
    places = np.asarray(calibration.pixels(axes[columns].to_numpy(dtype=float)))
    radii = 0.5 * axes[in_unit("width_nm", unit)].to_numpy(dtype=float) / calibration.pixel_size
    for number, place, radius in zip(axes["chain"], places, radii, strict=True):
        painted[disk(tuple(place), max(float(radius), 1.0), shape=shape)] = number
    return painted


def _places(result: Result) -> list[np.ndarray[Any, Any]]:
    unit = str(result.summary.get("unit", "nm"))
    columns = [in_unit("y_nm", unit), in_unit("x_nm", unit)]
    return list(result.tables["gaps"][columns].to_numpy(dtype=float))
