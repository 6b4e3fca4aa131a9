"""Windowed transforms, and the peaks that stand out of their noise."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from emtools.measure.lattice.cells import STREAK
from emtools.process.fourier import half_transform, hann
from emtools.process.threads import in_spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.lattice._search_kernels import Limits
    from emtools.measure.lattice.cells import Cells

_SMALL = 40_000  # cells: a small transform
_RINGS = 4096  # of equal area, for a first look at a large transform


def transform(values: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Return the half transform of a Hann-windowed plane, as `scipy.fft.rfft2` orders it."""
    return half_transform(values, *(hann(n) for n in values.shape))


def hann_weight(shape: tuple[int, int]) -> float:
    """Sum of the squares of the window."""
    return float(np.sum(hann(shape[0]) ** 2) * np.sum(hann(shape[1]) ** 2))


@dataclass(frozen=True)
class Peak:
    """A cell whose power is more than noise can explain.

    Parameters
    ----------
    frequency
        ``(y, x)`` in cycles per pixel, interpolated between cells.
    excess
        Power over the noise.
    noise
        Density of the noise there (variance per pixel).
    p_value
        Probability of such a peak anywhere in an image of noise.
    """

    frequency: NDArray[np.float64]
    excess: float
    noise: float
    p_value: float


@dataclass(frozen=True)
class Peaks:
    """Peaks of one transform or of several, each transform's strongest first.

    Parameters
    ----------
    frequency
        ``(n, 2)``.
    excess, noise, p_value
        ``(n,)``, see `Peak`.
    apart
        Distance to the nearest other clear peak of the same transform, in cycles per pixel.
    transform
        Number of the transform of each.
    """

    frequency: NDArray[np.float64]
    excess: NDArray[np.float64]
    noise: NDArray[np.float64]
    p_value: NDArray[np.float64]
    apart: NDArray[np.float64]
    transform: NDArray[np.int64]

    @classmethod
    def of(cls, found: list[NDArray[np.float64]], cells: Cells, n_transforms: int) -> Peaks:
        """Return what was found in each of some transforms of the same cells."""
        table = np.concatenate(found)
        number = np.repeat(np.arange(len(found)), [len(one) for one in found])
        p_value = cells.p_values(table[:, 2], table[:, 4].astype(np.int64), n_transforms)
        return cls(table[:, :2], table[:, 2], table[:, 3], p_value, table[:, 5], number)

    @classmethod
    def none(cls) -> Peaks:
        """Return no peaks."""
        nothing = np.zeros(0)
        return cls(np.zeros((0, 2)), nothing, nothing, nothing, nothing, np.zeros(0, dtype=int))

    @classmethod
    def all(cls, parts: list[Peaks]) -> Peaks:
        """Return the peaks of all parts."""
        return cls(*(np.concatenate([getattr(part, f.name) for part in parts])
                     for f in fields(cls)))

    def only(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Peaks:
        """Return some of them."""
        return Peaks(*(getattr(self, f.name)[chosen] for f in fields(self)))

    def one(self, n: int) -> Peak:
        """Return one of them."""
        return Peak(self.frequency[n], float(self.excess[n]), float(self.noise[n]),
                    float(self.p_value[n]))

    def each(self) -> list[Peak]:
        """Return them one by one."""
        return [self.one(n) for n in range(len(self.excess))]


def find_peaks(
    halves: NDArray[np.complex64], cells: Cells, weight: float, rate: float,
    n_transforms: int = 1,
) -> Peaks:
    """Find the cells that noise explains with less than the false-alarm rate.

    Parameters
    ----------
    halves
        ``(n, y, x // 2 + 1)``: half transforms of windowed planes.
    cells
        Of each of them.
    weight
        Sum of the squares of the window.
    rate
        Accepted probability that `n_transforms` transforms of pure noise show any peak.
    n_transforms
        How many transforms are searched in all.

    Returns
    -------
    Peaks
        One for each spot of a half plane.
    """
    from emtools.measure.lattice._search_kernels import Limits, search_windows

    single = cells.single(rate, n_transforms)
    surely = float(-np.log(single)) if halves[0].size < _SMALL else 0.0
    limits = Limits(cells.thresholds(single), STREAK, surely)
    if cells.every > 1:
        found = [_in_large(half, cells, weight, limits) for half in halves]
    else:
        found = search_windows(halves, cells.plan, cells.listed, weight, limits)
    return Peaks.of(found, cells, n_transforms)


def _in_large(
    half: NDArray[np.complex64], cells: Cells, weight: float, limits: Limits
) -> NDArray[np.float64]:
    """Peaks of a transform of which only some cells are listed.

    A first look compares each cell with the lowest limit of its ring; only what is above that is
    judged by its class.
    """
    from emtools.measure.lattice._search_kernels import (
        Spectrum,
        above,
        class_levels,
        lowest_limits,
        stand_out,
    )

    n_x = cells.plan.shape[1]
    levels = np.empty(len(limits.thresholds))
    ratio = np.empty(cells.listed.place.size, dtype=np.float32)
    class_levels(half, cells.listed, weight, ratio, levels)
    bounds = lowest_limits(cells.listed, levels * limits.thresholds * weight, cells.plan.shape,
                           _RINGS)
    reach, n_cols = cells.extent
    candidates = np.concatenate(in_spans(
        lambda rows: above(rows, n_cols, half, n_x, bounds), (-reach, reach + 1), half.size))
    return np.asarray(stand_out(candidates, Spectrum(half, cells.plan, weight), levels, limits))
