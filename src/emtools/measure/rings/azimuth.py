"""How the brightness of a ring is spread over the azimuth: evenly, in arcs, or in spots."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from emtools.measure.rings.curve import pseudo_voigt
from emtools.measure.rings.polar import SECTORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.rings.model import Fitted
    from emtools.measure.rings.polar import Cells

    Floats = NDArray[np.float64]

_WINDOW = 1.2  # widths to either side that are looked at
_ARCS = 0.3  # rms of the even harmonics, relative to the mean, from which a ring is of arcs
_SPOTS = 0.4  # rms of what they leave, from which it is of spots
_HARMONICS = (2, 4, 6)  # Friedel's law leaves the odd ones out


@dataclass(frozen=True)
class Spread:
    """Brightness of a ring along the azimuth.

    Parameters
    ----------
    brightness, err
        ``(SECTORS,)``: height of the ring in each sector, NaN where it is hidden.
    share
        Part of the azimuth that the brightness is spread over, 1 for an even ring.
    texture
        What it looks like.
    direction_deg
        Where arcs are brightest, counter-clockwise from +x; NaN for other rings.
    """

    brightness: Floats
    err: float
    share: float
    texture: Literal["even", "arcs", "spots"]
    direction_deg: float

    @property
    def spots(self) -> float:
        """How many equal spots of a sector's width would spread it as far."""
        return self.share * float(np.isfinite(self.brightness).sum())


def spread_of(polar: Cells, fitted: Fitted, number: int) -> Spread:
    """Return how a fitted ring is spread over the azimuth.

    Parameters
    ----------
    polar
        The pattern in polar cells.
    fitted
        Its azimuthal mean.
    number
        Which of the peaks.
    """
    peak = fitted.peaks[number]
    radius = fitted.profile.radius
    span = np.abs(radius - peak.radius) < max(_WINDOW * peak.fwhm, 3.0)
    at = radius[span]
    off = 2.0 * (at - peak.radius) / peak.fwhm
    shape = pseudo_voigt(off, fitted.lorentzian)
    others = (fitted.total - fitted.ground)[span] - peak.height * shape
    columns = np.column_stack([shape, np.ones_like(at), at - peak.radius, others])
    follow = np.linalg.pinv(columns, rcond=1e-6)
    means = polar.means[:, int(radius[0]):int(radius[0]) + len(radius)][:, span]
    whole = np.isfinite(means).all(axis=1)
    brightness = np.full(SECTORS, np.nan)
    brightness[whole] = means[whole] @ follow[0]
    rest = means[whole] - (means[whole] @ follow.T) @ columns.T
    noise = float(np.sqrt(np.median((rest**2).sum(axis=1)) / max(len(at) - 4, 1)))
    return _judged(brightness, noise * float(np.linalg.norm(follow[0])), polar.azimuths)


def _judged(brightness: Floats, err: float, azimuths: Floats) -> Spread:
    seen = np.isfinite(brightness)
    number = int(seen.sum())
    values = brightness[seen]
    mean = float(values.mean()) if number else 0.0
    if number < SECTORS // 6 or mean <= 0:
        return Spread(brightness, err, 0.0, "spots", math.nan)
    excess = max(float((values**2).mean()) - err**2, mean**2)
    share = mean**2 / excess
    turn = azimuths[seen, None] * np.array(_HARMONICS)
    basis = np.column_stack([np.ones(number), np.cos(turn), np.sin(turn)])
    fit = np.linalg.lstsq(basis, values, rcond=None)[0]
    smooth = basis @ fit
    own = err**2 * (basis.shape[1] - 1) / number
    arcs = math.sqrt(max(float(np.var(smooth)) - own, 0.0)) / mean
    spots = math.sqrt(max(float(np.var(values - smooth)) - err**2, 0.0)) / mean
    if spots > max(_SPOTS, arcs):
        return Spread(brightness, err, share, "spots", math.nan)
    if arcs < _ARCS:
        return Spread(brightness, err, share, "even", math.nan)
    fine = np.radians(np.arange(0.0, 180.0, 0.5))
    course = np.column_stack([np.cos(fine[:, None] * np.array(_HARMONICS)),
                              np.sin(fine[:, None] * np.array(_HARMONICS))]) @ fit[1:]
    return Spread(brightness, err, share, "arcs", float(np.degrees(fine[int(course.argmax())])))
