"""The field of a spectrum image: its regions and lines, and what is measured in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.measure.eds.places import (
    FILM,
    Grid,
    Regions,
    Strips,
    Values,
    courses_of_chains,
    courses_of_lines,
    half_pixels_apart,
    labelled,
    on_grid,
    regions_of_chains,
    summed,
)
from emtools.measure.eds.rows import profile_rows, quantified_regions
from emtools.units import PIXEL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.eds.areas import Areas, Shapes
    from emtools.measure.eds.rows import Quantified, Rules
    from emtools.model import Image, Result
    from emtools.process.spectra import Spectra

    Floats = NDArray[np.float64]

_COUNTS_IN_A_STEP = 60.0  # of reported lines: steps of profiles are as long as that takes


class Field:
    """Regions and lines of a spectrum image.

    Parameters
    ----------
    image, spectra
        The same, as given and as counts.
    chains
        Chains of the same scan.
    haadf
        HAADF image of it, that the chains were measured on.
    subtract
        Whether the film beside the chains is taken off them.
    """

    def __init__(
        self, image: Image, spectra: Spectra, chains: Result | None, haadf: Image | None = None,
        *, subtract: bool,
    ) -> None:
        self.spectra = spectra
        used = np.ones(spectra.shape, dtype=bool) if spectra.mask is None else spectra.mask
        self.grid = Grid(used, *_pixel(image))
        self._haadf = None if haadf is None else on_grid(haadf, image, self.grid)
        apart = np.zeros(2) if haadf is None else half_pixels_apart(haadf, image)
        self.chains = Strips(
            [] if chains is None else courses_of_chains(chains, self.grid, apart), self.grid)
        self.maps: list[Regions] = [] if chains is None else \
            regions_of_chains(self.chains, chains, self.grid, apart)
        self.lines: list[Strips] = []
        self.subtract = subtract
        self._sums: list[tuple[Floats, NDArray[np.int64]]] = []

    def draw(
        self, regions: NDArray[np.integer[Any]] | None, lines: Any, width: float | None
    ) -> None:
        """Add what a person drew; each line has its own strip, whatever else lies there."""
        if regions is not None:
            self.maps.insert(0, labelled(regions, self.spectra.shape))
        if lines is not None:
            last = max((course.number for course in self.chains.courses), default=0)
            self.lines = [Strips([course], self.grid)
                          for course in courses_of_lines(lines, width, self.grid, last)]

    @property
    def film(self) -> str:
        """What became of the film."""
        if not self.subtract:
            return "kept"
        there = any(one.names == [FILM] for one in self.maps)
        return "subtracted from chains" if there else "not subtracted: none beside chains"

    def total(self) -> Floats:
        """Summed spectrum of all pixels that count."""
        every = np.ones(self.spectra.shape, dtype=np.int64)
        maps = [(one.labels, len(one.names)) for one in self.maps]
        self._sums = summed(self.spectra, [(every, 1), *maps], self.grid.used)
        return np.asarray(self._sums[0][0].sum(axis=0))

    def regions(self, rules: Rules, shapes: Shapes, channels: slice) -> list[Quantified]:
        """Compositions of all regions; after `total`."""
        sums = [(spectra[:, channels], sizes) for spectra, sizes in self._sums[1:]]
        return quantified_regions(rules, shapes, self.maps, sums, self._film(shapes, channels))

    def _film(self, shapes: Shapes, channels: slice) -> tuple[Areas, int] | None:
        """Counts of the film, and how many pixels it has; None if it is kept."""
        for one, (spectra, sizes) in zip(self.maps, self._sums[1:], strict=True):
            if self.subtract and one.names == [FILM]:
                return shapes.fit(spectra[1, channels]), int(sizes[1])
        return None

    def profiles(
        self, rules: Rules, shapes: Shapes, channels: slice, step: float | None
    ) -> list[dict[str, Any]]:
        """Rows of the profiles along chains and drawn lines; after `total`."""
        tracks = [one for one in (self.chains, *self.lines) if one.courses]
        if not tracks:
            return []
        density = self._density(rules, shapes, channels)
        steps = [one.steps(self._step(density[one is self.chains], one, step)) for one in tracks]
        sums = summed(self.spectra, [(one.labels, len(one.rows)) for one in steps],
                      self.grid.used)
        film = self._film(shapes, channels)
        rows = []
        for track, one, (spectra, sizes) in zip(tracks, steps, sums, strict=True):
            own = film if track is self.chains else None
            intensity = Values.none(len(one.rows)) if self._haadf is None \
                else self._haadf.means(one)
            rows += profile_rows(rules, shapes, one, spectra[:, channels], sizes, own, intensity)
        return rows

    def _density(self, rules: Rules, shapes: Shapes, channels: slice) -> tuple[float, float]:
        """Counts of the reported lines in each unit of area, of the whole image and of chains."""
        of_pixel = self.grid.pixel[0] * self.grid.pixel[1]
        whole = float(np.maximum(rules.total.counts, 0.0).sum()) \
            / (float(self.grid.used.sum()) * of_pixel)
        for one, (spectra, sizes) in zip(self.maps, self._sums[1:], strict=True):
            if one.on_film and sizes[1:].sum() > 0:
                counts = shapes.fit(spectra[1:, channels].sum(axis=0)).counts
                own = counts[[i for i in rules.total.chosen if i >= 0]]
                return whole, float(np.maximum(own, 0.0).sum()) \
                    / (float(sizes[1:].sum()) * of_pixel)
        return whole, whole

    def _step(self, density: float, track: Strips, step: float | None) -> float:
        """Length of steps: by default what some counts of the reported lines take."""
        if step is None:
            width = max(float(np.median([one.width for one in track.courses])),
                        self.grid.mean_pixel)
            longest = max(float(one.s[-1] - one.s[0]) for one in track.courses)
            step = min(_COUNTS_IN_A_STEP / max(density * width, 1e-9), 0.25 * longest)
        return max(step, self.grid.mean_pixel)


def _pixel(image: Image) -> tuple[tuple[float, float], str]:
    sizes = [image.axis(name) for name in ("y", "x") if image.has_axis(name)]
    units = {axis.unit for axis in sizes}
    if len(units) == 1 and units != {PIXEL}:
        # A line of spectra has the pixels of its one axis.
        return (sizes[0].pixel_size, sizes[-1].pixel_size), units.pop()
    return (1.0, 1.0), PIXEL
