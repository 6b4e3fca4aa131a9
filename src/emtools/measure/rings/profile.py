"""The azimuthal mean of a pattern, and what it becomes when parts of the azimuth are left out."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from emtools.measure.rings.polar import SECTORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.rings.polar import Cells

    Floats = NDArray[np.float64]

BLOCKS = 36
_LEAST_COVERAGE = 0.06  # farther out, the next ring's tail would pass for one
_SMALLEST_RADIUS = 5.0
_INNER = 3  # one part in so many of the profile is searched for a stop around the centre
_STEEPER = 1.7  # times as steep inside as outside is the edge of a stop; a ring is as steep outside


@dataclass(frozen=True)
class AzimuthalMean:
    """Brightness along the radius.

    Parameters
    ----------
    radius
        ``(n,)`` in px.
    mean, err
        ``(n,)``; 1 sigma of the scatter around the azimuth.
    without
        ``(BLOCKS, n)``: the mean with one block of neighbouring sectors left out.
    coverage
        ``(n,)``: part of the azimuth that is seen.
    """

    radius: Floats
    mean: Floats
    err: Floats
    without: Floats
    coverage: Floats

    @property
    def noise(self) -> Floats:
        """``(n,)``: 1 sigma of what no radius has in common with the next, as of white noise.

        How bright whole rings are around the azimuth (arcs, spots) is not in it, so that the shape
        of a profile can be judged by it.  Each pixel is shared between two radii: neighbours
        correlate by 1/4, and what is seen over many radii scatters 1.5 times as much (variance).
        """
        changed = self.without - self.mean
        bent = changed[:, :-2] - 2.0 * changed[:, 1:-1] + changed[:, 2:]
        return np.asarray(np.pad(jackknife_err(bent), 1, mode="edge") * math.sqrt(1.5 / 4.0))

    def covariance_of(self, linear: Floats) -> Floats:
        """Return the covariance ``(m, m)`` of linear functions ``(m, n)`` of the mean.

        References
        ----------
        Efron & Tibshirani, An Introduction to the Bootstrap (Chapman & Hall, 1993), chapter 11.
        """
        changed = (self.without - self.mean) @ linear.T
        changed = changed - changed.mean(axis=0)
        n = len(changed)
        return np.asarray((n - 1) / n * changed.T @ changed)


def azimuthal_mean(polar: Cells) -> AzimuthalMean | None:
    """Return the mean over the sectors, in one piece along the radius; None if hardly any is seen.

    Parameters
    ----------
    polar
        Around the centre, the ellipse corrected.
    """
    seen = polar.coverage >= _LEAST_COVERAGE
    seen[: int(_SMALLEST_RADIUS)] = False
    inside = np.flatnonzero(seen)
    if len(inside) < 24:
        return None
    # A gap (a wide beam stop around the centre) ends what is inside it.
    gaps = np.flatnonzero(np.diff(inside) > 1)
    runs = np.split(inside, gaps + 1)
    run = max(runs, key=len)
    span = slice(int(run[0]), int(run[-1]) + 1)
    means = polar.clipped()[:, span]
    there = np.isfinite(means)
    values = np.where(there, means, 0.0)
    total, number = values.sum(axis=0), there.sum(axis=0)
    per_block = SECTORS // BLOCKS
    in_block = values.reshape(BLOCKS, per_block, -1).sum(axis=1)
    n_block = there.reshape(BLOCKS, per_block, -1).sum(axis=1)
    mean = total / number
    left = number - n_block
    without = np.where(left > 0, (total - in_block) / np.maximum(left, 1), mean)
    profile = AzimuthalMean(np.arange(span.start, span.stop, dtype=float), mean,
                            np.empty(0), without, polar.coverage[span])
    first = _past_the_stop(mean)
    profile = AzimuthalMean(profile.radius[first:], mean[first:], profile.err, without[:, first:],
                            profile.coverage[first:])
    changed = profile.without - profile.mean
    return replace(profile, err=jackknife_err(changed))


def jackknife_err(changed: Floats) -> Floats:
    """1 sigma of what changes by ``(blocks, n)`` when one block after the other is left out."""
    n = len(changed)
    return np.asarray(np.sqrt((n - 1) / n * ((changed - changed.mean(axis=0)) ** 2).sum(axis=0)))


def _past_the_stop(mean: Floats) -> int:
    """Where the profile starts outside a beam stop that covers the centre all around.

    Its brightest place then has a sharp edge inside and the slow tail of the central beam outside.
    """
    smooth = ndimage.gaussian_filter1d(mean, 1.0, mode="nearest")
    top = int(np.argmax(smooth[: len(smooth) // _INNER]))
    if top == 0:
        return 0
    half = 0.5 * (float(smooth[:top].min()) + float(smooth[top]))
    inside = top - int(np.flatnonzero(smooth[:top] < half)[-1])
    below = np.flatnonzero(smooth[top:] < half)
    outside = int(below[0]) if len(below) else len(smooth)
    return top + inside if outside > _STEEPER * inside else 0
