"""Bodies on a line: their edges, how long they are, and the gaps between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from scipy import ndimage, optimize

from emtools.errors import ParameterError
from emtools.tables import Column, Table

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from emtools.probe.profiles import Profile

    Floats = NDArray[np.float64]

Shape = Literal["step", "cylinder", "sphere", "superellipsoid"]

_LEAST_SAMPLES = 16
_CLEAR = 5.0  # difference of the two levels over the noise of a sample
_SURE = 0.1  # of that difference, to both sides of the middle: nearer is neither in nor out
_SURE_NOISES = 2.0  # and of the noise
_SMALLEST_PX = 3.0
_MOST = 40  # bodies on a line that are fitted together
_FINE = 4  # points of the model to a sample
_BLUR_PX = (0.2, 8.0)
_SECTIONS = np.array([0.1, 0.3, 0.5, 0.7, 0.9])  # of half the width, across a sphere
_EXPONENTS: dict[Shape, int] = {"sphere": 2, "superellipsoid": 4}
_LAGS = 8  # samples over which what is left may be correlated
_DEFOCUSED = ("in a TEM image defocus moves edges, by tenths of a nanometre: the errors leave that "
              "out")
_OUT = 1e6  # samples: beyond any line
_MOST_STEPS = 60

_NUMBER = Column("body", "int", "number of the body along the line, from 1")
EDGES = Table("one step into or out of a body", (
    _NUMBER,
    Column("kind", "str", "in or out, along the line"),
    Column("s_nm", "float", "place along the line"),
    Column("s_err_nm", "float", "1 sigma of it"),
))
DISTANCES = Table("one body, or one gap between two bodies", (
    Column("kind", "str", "body or gap"),
    Column("body", "int", "number of the body, or of the one before the gap"),
    Column("start_nm", "float", "place of its first edge"),
    Column("end_nm", "float", "place of its last edge"),
    Column("distance_nm", "float", "from edge to edge along the line"),
    Column("distance_err_nm", "float", "1 sigma of it; the pixel size's comes on top"),
))


@dataclass(frozen=True, eq=False)
class Bodies:
    """Bodies on a line; true in conditions if there are any.

    Parameters
    ----------
    reason
        Why none were found; empty if there are some.
    edges
        Steps into and out of bodies.  Where a body goes on beyond the line it has one edge.
    distances
        Bodies whose both edges are on the line, and gaps between neighbours.
    shape
        Of the bodies: the one given, or that which fits best.
    blur
        1 sigma of the Gaussian that all edges are blurred by, in the unit of the line.
    model
        ``(n,)`` the fitted profile.
    note
        What the errors leave out; empty if nothing is known.
    """

    reason: str
    edges: pd.DataFrame
    distances: pd.DataFrame
    shape: Shape | None = None
    blur: float = float("nan")
    model: Floats | None = None
    note: str = ""

    def __bool__(self) -> bool:
        return not self.reason


def find_bodies(
    profile: Profile, *, shape: Shape | None = None, dark: bool | None = None,
    smallest: float | None = None,
) -> Bodies:
    """Find bodies on a line, and fit the places of all their edges together.

    A body is where the profile is beyond the middle between its two levels.  The model is a sloping
    ground with bodies of one shape, each of its own height, all blurred alike: a step, whose
    blurred edges are error functions; a cylinder that the line crosses; or a sphere or a
    superellipsoid (exponent 4) that the line runs through the middle of, averaged over the width of
    the line.  Where several fit about as well, their places are averaged and their differences
    enter the errors.  A gap that does not come down to the middle is not seen, and Fresnel fringes
    of a defocused TEM image are taken for what bodies look like: distances are off by as much.

    Parameters
    ----------
    profile
        The line.
    shape
        ``step``, ``cylinder``, ``sphere`` or ``superellipsoid``; what fits best if not given.
    dark
        Whether bodies are darker than their surroundings; as the modality has it if not given.
    smallest
        Shortest body or gap, in the unit of the line; three pixels if not given.

    Raises
    ------
    ParameterError
        If the shape is not known, or the smallest length not positive.
    """
    if shape is not None and shape not in get_args(Shape):
        raise ParameterError("shape", f"{shape!r} is not known",
                             f"give one of {', '.join(get_args(Shape))}")
    if smallest is not None and not (np.isfinite(smallest) and smallest > 0):
        raise ParameterError("smallest", f"must be a positive length, not {smallest}")
    step = float(profile.s[1] - profile.s[0]) if len(profile.s) > 1 else 1.0
    least = _SMALLEST_PX if smallest is None else smallest / step
    sign = -1.0 if (profile.dark if dark is None else dark) else 1.0
    spans = _spans(sign * profile.intensity, least)
    if isinstance(spans, str):
        return Bodies(spans, EDGES.frame([], profile.unit), DISTANCES.frame([], profile.unit))
    tried: list[Shape] = list(get_args(Shape)) if shape is None else [shape]
    values = sign * profile.intensity
    fits = [_Fit.of(values, spans, kind, 0.5 * profile.width / step) for kind in tried]
    return _report(profile, _together(fits), step, sign)


def _spans(values: Floats, least: float) -> list[tuple[int, int]] | str:
    """First sample of each body and one past its last, or why there are none."""
    used = np.isfinite(values)
    if used.sum() < _LEAST_SAMPLES:
        return f"the line has {used.sum()} samples, {_LEAST_SAMPLES} are needed"
    filled = np.interp(np.arange(len(values)), np.flatnonzero(used), values[used])
    low, high, middle = _levels(filled)
    noise = 1.4826 * float(np.median(np.abs(np.diff(values[used])))) / np.sqrt(2.0)
    if not high - low > _CLEAR * noise:
        return "no bodies: the profile has no two levels that noise does not explain"
    sure = max(_SURE * (high - low), min(_SURE_NOISES * noise, 0.4 * (high - low)))
    state = np.where(filled > middle + sure, 1, np.where(filled < middle - sure, -1, 0))
    inside = _carried(state)
    inside = _without_short(_without_short(inside, least, False), least, True)
    labels, n = ndimage.label(inside)
    if n == 0 or n > _MOST:
        return "no bodies" if n == 0 else f"{n} bodies on one line, more than {_MOST}"
    spans = [(span[0].start, span[0].stop) for span in ndimage.find_objects(labels)]
    if spans == [(0, len(values))]:
        return "no edges: one body fills the line"
    return spans


def _levels(values: Floats) -> tuple[float, float, float]:
    """Means of the lower and the upper class, and the middle between them (Otsu)."""
    ordered = np.sort(values)
    n = np.arange(1, len(ordered))
    sums = np.cumsum(ordered)
    below, above = sums[:-1] / n, (sums[-1] - sums[:-1]) / (len(ordered) - n)
    best = int(np.argmax(n * (len(ordered) - n) * (above - below) ** 2))
    # The middle of the levels' medians: a few bright samples do not move it.
    low, high = np.median(ordered[:best + 1]), np.median(ordered[best + 1:])
    return float(low), float(high), 0.5 * float(low + high)


def _carried(state: NDArray[np.int64]) -> NDArray[np.bool_]:
    """In or out at each sample; what is neither belongs to the nearer side's last sure sample."""
    sure = np.flatnonzero(state)
    if not len(sure):
        return np.zeros(len(state), dtype=bool)
    middles = 0.5 * (sure[:-1] + sure[1:])
    return np.asarray(state[sure][np.searchsorted(middles, np.arange(len(state)))] > 0)


def _without_short(inside: NDArray[np.bool_], least: float, what: bool) -> NDArray[np.bool_]:
    """Give runs of `what` that are shorter than `least` and within the line to the other side."""
    labels, _ = ndimage.label(inside == what)
    result = inside.copy()
    for (span,) in ndimage.find_objects(labels):
        if span.stop - span.start < least and span.start > 0 and span.stop < len(inside):
            result[span] = not what
    return result


@dataclass(frozen=True)
class _Fit:
    """A fit of all bodies of a line.

    Parameters
    ----------
    shape
        Of the bodies.
    numbers
        Ground, slope, blur, then start, end and height of each body; in samples.
    covariance
        Of the numbers; 0 of those that are not fitted.
    misfit
        Sum of squares.
    variance
        Of what is left, so that misfit over variance is chi squared.
    model
        The fitted profile.
    open_ends
        Whether the first body has no start on the line, the last one no end.
    """

    shape: Shape
    numbers: Floats
    covariance: Floats
    misfit: float
    variance: float
    model: Floats
    open_ends: tuple[bool, bool]

    @classmethod
    def of(
        cls, values: Floats, spans: list[tuple[int, int]], shape: Shape, half_width: float
    ) -> _Fit:
        used = np.isfinite(values)
        n = len(values)
        open_ends = (spans[0][0] == 0, spans[-1][1] == n)
        low, high, _ = _levels(values[used])
        start = [low, 0.0, 1.0]
        for first, last in spans:
            start += [first - 0.5 if first else -_OUT, last - 0.5 if last < n else n + _OUT,
                      high - low]
        numbers = np.array(start)
        free = np.abs(numbers - 0.5 * n) < _OUT
        scale = np.ones(len(numbers))
        scale[0] = scale[5::3] = max(high - low, 1e-300)
        scale[1] = scale[0] / n

        def model(some: Floats) -> Floats:
            whole = numbers.copy()
            whole[free] = some * scale[free]
            return _model(whole, n, shape, half_width)

        def rest_of(some: Floats) -> Floats:
            return np.asarray((model(some) - values)[used] / scale[0], dtype=np.float64)

        bounds = _bounds(numbers, n, free, scale)
        fit = optimize.least_squares(rest_of, np.clip(numbers[free] / scale[free], *bounds),
                                     bounds=bounds, max_nfev=_MOST_STEPS)
        rest, jacobian = rest_of(fit.x), np.asarray(fit.jac, dtype=np.float64)
        numbers[free] = fit.x * scale[free]
        covariance = np.zeros((len(numbers), len(numbers)))
        variance = _variance(rest, int(free.sum()))
        inner = np.linalg.pinv(jacobian.T @ jacobian) * variance
        covariance[np.ix_(free, free)] = inner * np.outer(scale[free], scale[free])
        return cls(shape, numbers, covariance, float(rest @ rest), variance, model(fit.x),
                   open_ends)


def _together(fits: list[_Fit]) -> _Fit:
    """The best fit, its numbers averaged with those of the others by how well they fit."""
    best = min(fits, key=lambda fit: fit.misfit)
    worse = np.array([fit.misfit - best.misfit for fit in fits])
    weight = np.exp(-0.5 * worse / max(best.variance, 1e-300))
    weight /= weight.sum()
    numbers = np.array([fit.numbers for fit in fits])
    mean = weight @ numbers
    covariance = np.einsum("f,fij->ij", weight, np.array([fit.covariance for fit in fits]))
    covariance += np.einsum("f,fi,fj->ij", weight, numbers - mean, numbers - mean)
    return replace(best, numbers=mean, covariance=covariance)


def _bounds(
    numbers: Floats, n: int, free: NDArray[np.bool_], scale: Floats
) -> tuple[Floats, Floats]:
    """Limits of the free numbers: edges stay between the middles of their neighbours."""
    low, high = np.full(len(numbers), -np.inf), np.full(len(numbers), np.inf)
    low[2], high[2] = _BLUR_PX
    edges = np.stack([numbers[3::3], numbers[4::3]], axis=1).ravel()
    middles = 0.5 * (edges[:-1] + edges[1:])
    low_edges = np.concatenate([[edges[0] - n], middles])
    high_edges = np.concatenate([middles, [edges[-1] + n]])
    low[3::3], low[4::3] = low_edges[::2], low_edges[1::2]
    high[3::3], high[4::3] = high_edges[::2], high_edges[1::2]
    low[5::3] = 0.0
    return low[free] / scale[free], high[free] / scale[free]


def _variance(rest: Floats, n_free: int) -> float:
    """Variance of what is left, as neighbours that vary together make it count."""
    variance = float(rest @ rest) / max(len(rest) - n_free, 1)
    if variance == 0:
        return 0.0
    centred = rest - rest.mean()
    power = max(float(centred @ centred), 1e-300)
    together = [float(centred[lag:] @ centred[:-lag]) / power
                for lag in range(1, min(_LAGS, len(rest) // 4) + 1)]
    return variance * (1.0 + 2.0 * float(np.maximum(together, 0.0).sum()))


def _model(numbers: Floats, n: int, shape: Shape, half_width: float) -> Floats:
    """Profile of a ground and its bodies: means over samples, blurred."""
    ground, slope, blur = numbers[:3]
    reach = int(np.ceil(4 * _BLUR_PX[1]))
    borders = np.arange((n + 2 * reach) * _FINE + 1) / _FINE - reach - 0.5
    total = np.zeros(len(borders) - 1)
    # The blur across the line averages over more than its width: a band of the same variance.
    half_width = float(np.sqrt(half_width**2 + 3.0 * blur**2))
    for start, end, height in numbers[3:].reshape(-1, 3):
        total += height * _FINE * np.diff(_area(borders, (start, end), shape, half_width))
    blurred = ndimage.gaussian_filter1d(total, blur * _FINE, mode="nearest", truncate=4.0)
    sampled = blurred.reshape(-1, _FINE).mean(axis=1)[reach:reach + n]
    return np.asarray(ground + slope * np.arange(n) + sampled, dtype=np.float64)


def _area(
    place: Floats, edges: tuple[float, float], shape: Shape, half_width: float
) -> Floats:
    """Integral of a body of height 1 from its middle to a place."""
    radius, from_middle = 0.5 * (edges[1] - edges[0]), place - 0.5 * (edges[0] + edges[1])
    if shape == "step" or radius > 0.5 * _OUT or radius <= 0:
        return np.clip(from_middle, -max(radius, 0.0), max(radius, 0.0))
    if shape == "cylinder":
        return _chord(from_middle, radius, radius, 2)
    m = _EXPONENTS[shape]
    chords = np.maximum(radius**m - (half_width * _SECTIONS) ** m, 0.0) ** (1.0 / m)
    return np.asarray(np.mean([_chord(from_middle, chord, radius, m) for chord in chords], axis=0))


def _chord(place: Floats, chord: float, radius: float, exponent: int) -> Floats:
    """Integral of ``(chord^m - |place|^m)^(1/m) / radius`` from the middle to a place."""
    if chord <= 0:
        return np.zeros(len(place))
    grid, area = _areas(exponent)
    u = place / chord
    return np.asarray(chord**2 / radius * np.sign(u) * np.interp(np.abs(u), grid, area))


@lru_cache(maxsize=2)
def _areas(exponent: int) -> tuple[Floats, Floats]:
    """Area under ``(1 - u^m)^(1/m)`` from 0 to u, and these u."""
    # Close to each other at the edge, where the curve is steep.
    u = 1.0 - (1.0 - np.linspace(0.0, 1.0, 2001)) ** 4
    height = np.maximum(1.0 - u**exponent, 0.0) ** (1.0 / exponent)
    area = np.concatenate([[0.0], np.cumsum(0.5 * (height[1:] + height[:-1]) * np.diff(u))])
    return u, area


def _report(profile: Profile, fit: _Fit, step: float, sign: float) -> Bodies:
    """Tables of a fit in the unit of the line."""
    n_bodies = (len(fit.numbers) - 3) // 3
    edges = [(body, kind, 3 + 3 * body + kind) for body in range(n_bodies) for kind in (0, 1)]
    if fit.open_ends[0]:
        edges = edges[1:]
    if fit.open_ends[1]:
        edges = edges[:-1]
    first = float(profile.s[0])
    rows = [{"body": body + 1, "kind": ("in", "out")[kind],
             "s_nm": first + step * float(fit.numbers[at]),
             "s_err_nm": step * float(np.sqrt(fit.covariance[at, at]))}
            for body, kind, at in edges]
    between = []
    for (body, kind, at), (_, _, to) in pairwise(edges):
        c = fit.covariance
        variance = c[at, at] + c[to, to] - 2.0 * c[at, to]
        start, end = (first + step * float(fit.numbers[one]) for one in (at, to))
        between.append({"kind": ("body", "gap")[kind], "body": body + 1, "start_nm": start,
                        "end_nm": end, "distance_nm": end - start,
                        "distance_err_nm": step * float(np.sqrt(max(variance, 0.0)))})
    return Bodies("", EDGES.frame(rows, profile.unit), DISTANCES.frame(between, profile.unit),
                  fit.shape, step * float(fit.numbers[2]), sign * fit.model,
                  _DEFOCUSED if profile.dark else "")
