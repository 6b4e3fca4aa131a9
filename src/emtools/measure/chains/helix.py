"""Double helices among the rows of dots: two strands that coil around a common axis.

Seen in projection, two strands of a double helix lie at +R cos(2 pi s / pitch + phase) and
-R cos(...) beside their common axis, s along it: they cross every half pitch.  One projection does
not show which strand is on top, so that the helix's hand cannot be told from it.

Rows that touch are taken together as one set of dots, whatever strand they were traced as: at a
crossing the tracing may swap the strands, bounce or break.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from emtools.measure.chains.coil import Coil, fit_coil
from emtools.measure.chains.coil_checks import chance, filled_stretches, quarters
from emtools.measure.chains.coil_start import (
    FEWEST_DOTS,
    LEAST_TURNS,
    likeliest_coil,
)
from emtools.measure.chains.regions import Places, Strand, spacing_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_LEAST_CROSSINGS = 2
_MOST_SCATTER = 0.3  # of the radius
_LEAST_RADIUS = 4.0  # in its own errors
_SURPRISE = 2.5  # sigma, from where a change of the pitch along the helix is seen
_MOST_SWING = 0.4  # of the radius: a wave about a line is a helix about an axis half as wavy
_OVERLAP = 0.35  # spacings: strands closer to their axis hide each other's dots
_DOUBT = 0.4  # of that distance: 1 sigma of a dot there
_MEMBER = 0.6  # of a row's dots that lie on the helix


@dataclass(frozen=True)
class Helix:
    """A double helix, in the unit of the strands' points.

    Parameters
    ----------
    members
        Indices of the rows that are part of it.
    axis
        ``(m, 2)`` common axis.
    pitch, pitch_err
        Length along the axis of one full turn (two crossings), mean over the helix; its 1 sigma.
    pitch_std
        How much the pitch varies along the helix; 0 where no change of it is seen.
    radius, radius_err
        From the axis to the strands' centres.
    phase
        In radians at the axis's first point; 0 where the strands are farthest apart.
    turns
        Full turns of what is seen.
    n_crossings
        Crossings of the strands in it.
    scatter
        1 sigma of the dots about the strands, beside their own errors.
    false_alarm
        Probability that unrelated rows look as much like a helix, see `find_helices`.
    coil
        The fit.
    """

    members: tuple[int, ...]
    axis: NDArray[np.float64]
    pitch: float
    pitch_err: float
    pitch_std: float
    radius: float
    radius_err: float
    phase: float
    turns: float
    n_crossings: int
    scatter: float
    false_alarm: float
    coil: Coil = field(repr=False)


def find_helices(strands: Sequence[Strand], false_alarm_rate: float = 1e-4) -> list[Helix]:
    """Find double helices among rows of dots.

    A helix has at least one full turn with two crossings, and dots of both strands between any two
    crossings.  The null hypothesis is that of rows which bend at random on the scale of a quarter
    of a turn: each quarter of a turn of each strand then counts as one independent observation.
    With S0 their sum of squares about the axis, S1 that about the helix, and n of them free, a
    helix as good as this one has the probability M (S1 / S0)^(n / 2) by chance, M the number of
    independent pitches and sets of rows that were tried (Scargle, Astrophys. J. 263 (1982) 835;
    Baluev, Mon. Not. R. Astron. Soc. 385 (2008) 1279).

    Parameters
    ----------
    strands
        Traced rows and single dots, in one unit.
    false_alarm_rate
        Largest `Helix.false_alarm` of what is taken for a helix.

    Returns
    -------
    list of Helix
        The clearest first; no row is a member of two.
    """
    found: list[Helix] = []
    if spacing_of(strands) == 0:
        return found
    places = Places(strands)
    spacing = places.spacing
    for region in places.regions():
        left = region
        while sum(len(strands[i].points) for i in left) >= FEWEST_DOTS:
            helix = _search(strands, left, places, false_alarm_rate)
            if helix is None:
                break
            found.append(helix)
            left = [i for i in left if i not in helix.members
                    and not _alongside(strands[i], helix.coil, spacing)]
    return sorted(found, key=lambda helix: helix.false_alarm)


def _search(
    strands: Sequence[Strand], region: list[int], places: Places, rate: float
) -> Helix | None:
    """The clearest helix of a region, from the whole of it or else from some of its rows."""
    spacing = places.spacing
    for n, chosen in enumerate(places.choices(region), start=1):
        coil = likeliest_coil(_together(strands, chosen), spacing)
        if coil is None or n * chance(coil, spacing) > rate:
            continue
        members = chosen
        if len(chosen) < len(region):
            members, coil = _widened(strands, region, chosen, coil)
        coil = _trimmed(coil, _together(strands, members), spacing)
        if coil is None or not _is_helix(coil):
            continue
        coil = _cleaned(strands, members, coil, spacing)
        members = _on(strands, members, coil)
        false_alarm = min(1.0, n * chance(coil, spacing))
        if members and false_alarm <= rate:
            return _helix(coil, members, false_alarm)
    return None


def _cleaned(
    strands: Sequence[Strand], chosen: list[int], coil: Coil, spacing: float
) -> Coil:
    """The helix fitted without rows that turned out not to lie on it, if it is clearer then."""
    members = _on(strands, chosen, coil)
    if not members or len(members) == len(chosen):
        return coil
    dots = _together(strands, members)
    again = likeliest_coil(dots, spacing)
    again = None if again is None else _trimmed(again, dots, spacing)
    clearer = again is not None and _is_helix(again) \
        and chance(again, spacing) < chance(coil, spacing)
    return again if again is not None and clearer else coil


def _together(strands: Sequence[Strand], chosen: list[int]) -> tuple[Floats, Floats]:
    return (np.vstack([strands[i].points for i in chosen]),
            np.concatenate([strands[i].err for i in chosen]))


def _trimmed(coil: Coil, dots: tuple[Floats, Floats], spacing: float) -> Coil | None:
    """The longest stretch in which both strands are seen, fitted with doubts about crossings."""
    filled = filled_stretches(coil)
    edges = np.concatenate([[0.0], coil.crossings(), [coil.length]])
    runs = np.split(np.arange(len(filled)), np.flatnonzero(~filled))
    longest = max((run[filled[run]] for run in runs), key=len)
    if len(longest) < _LEAST_CROSSINGS:
        return None
    ends = edges[[longest[0], longest[-1] + 1]]
    inside = (coil.arc >= ends[0] - 1e-6) & (coil.arc <= ends[1] + 1e-6)
    if inside.sum() < FEWEST_DOTS:
        return None
    # Where the strands are closer than dots are wide, two may have been taken for one in between.
    strand = coil.radius * np.abs(np.cos(coil.phase(coil.arc)))
    doubt = np.where(strand < _OVERLAP * spacing, _DOUBT * strand, 0.0)
    dots = (dots[0][inside], np.hypot(dots[1], doubt)[inside])
    phases = coil.phases
    if not filled.all():
        first, middle, last = coil.phase(np.array([ends[0], ends.mean(), ends[1]])).tolist()
        phases = np.array([middle, 0.5 * (last - first)])
    return fit_coil(coil.axis(), dots, (coil.radius, phases), len(coil.bends))


def _is_helix(coil: Coil) -> bool:
    return (coil.turns >= LEAST_TURNS and len(coil.crossings()) >= _LEAST_CROSSINGS
            and bool(filled_stretches(coil).all()) and coil.misfit < _MOST_SCATTER * coil.radius
            and coil.swing() < _MOST_SWING * coil.radius
            and coil.radius > _LEAST_RADIUS * coil.radius_err)


def _fits(coil: Coil, points: Floats, err: Floats) -> NDArray[np.bool_]:
    """Which dots lie on one of the strands."""
    arc, offset = coil.axis().project(points)
    inside = (arc > -0.1 * coil.pitch) & (arc < coil.length + 0.1 * coil.pitch)
    off = np.abs(np.abs(offset) - coil.radius * np.abs(np.cos(coil.phase(arc))))
    slope = 2 * np.pi * coil.radius / coil.pitch
    sigma = np.sqrt((err**2 + coil.scatter**2) * (1 + slope**2))
    return np.asarray(inside & (off < 4 * sigma + 0.1 * coil.radius))


def _on(strands: Sequence[Strand], rows: Sequence[int], coil: Coil) -> list[int]:
    """The rows most of whose dots lie on the helix."""
    return [i for i in rows
            if np.mean(_fits(coil, strands[i].points, strands[i].err)) >= _MEMBER]


def _widened(
    strands: Sequence[Strand], region: list[int], chosen: list[int], coil: Coil
) -> tuple[list[int], Coil]:
    """Take in the other rows of the region that go on where the helix does."""
    for _ in range(4):
        more = [i for i in region if i not in chosen and _goes_on(strands[i], coil)]
        if not more:
            break
        chosen = chosen + more
        start = (coil.radius, coil.phases)
        coil = fit_coil(coil.axis(), _together(strands, chosen), start, len(coil.bends) + 1)
    return chosen, coil


def _alongside(strand: Strand, coil: Coil, spacing: float) -> bool:
    """Whether most of a row lies where the helix is: a piece of it that fits badly."""
    arc, offset = coil.axis().project(strand.points)
    near = (arc > 0) & (arc < coil.length) & (np.abs(offset) < coil.radius + spacing)
    return bool(near.mean() >= _MEMBER)


def _goes_on(strand: Strand, coil: Coil) -> bool:
    arc, _ = coil.axis().project(strand.points)
    far = (arc < -0.5 * coil.pitch) | (arc > coil.length + 0.5 * coil.pitch)
    inside = (arc > 0) & (arc < coil.length)
    fits = _fits(coil, strand.points, strand.err)
    return bool(not far.any() and inside.any() and fits[inside].mean() >= _MEMBER)


def _inflation(coil: Coil) -> float:
    """By how much neighbouring residuals that go together enlarge the variances."""
    cells = quarters(coil)
    weight = 1 / coil.sigma[coil.kept] ** 2
    sums = np.bincount(cells, weight * coil.residual[coil.kept])
    free = len(sums) - coil.n_parameters
    if free < 1:
        return 1.0
    return max(1.0, float(np.sum(sums**2 / np.bincount(cells, weight))) / free)


def _wander(coil: Coil) -> tuple[float, float]:
    """How far the phase wanders from the fitted one, and the pitch from half turn to half turn.

    The phase of each half turn, a crossing in its middle, against the fitted one, less what the
    dots' errors make of it: 1 sigma in radians; and 1 sigma of the pitch relative to its mean.
    """
    half = np.floor(coil.phase(coil.arc) / np.pi).astype(int)
    half = half - half.min()
    slope = -np.sign(coil.strand) * coil.radius * np.sin(coil.phase(coil.arc))
    weight = np.where(coil.kept, 1 / coil.sigma**2, 0.0)
    known = np.bincount(half, weight * slope**2)
    good = known > 0.25 * known.max()
    shift = (np.bincount(half, weight * slope * coil.residual) / np.maximum(known, 1e-300))[good]
    variance = 1 / known[good]
    free = max(good.sum() - len(coil.phases), 1)
    wander = max(0.0, float(np.sum(shift**2) - np.sum(variance) * free / good.sum()) / free)
    surprise = float(np.sum(shift**2 / variance)) - free
    if good.sum() < 3 or surprise < _SURPRISE * np.sqrt(2 * free):
        return float(np.sqrt(wander)), 0.0
    steps = np.diff(shift) / np.pi
    steps_variance = float(np.mean(steps**2) - np.mean(variance[1:] + variance[:-1]) / np.pi**2)
    return float(np.sqrt(wander)), float(np.sqrt(max(steps_variance, 0.0)))


def _pitch_errors(coil: Coil) -> tuple[float, float]:
    """1 sigma of the mean pitch, and its spread along the helix."""
    wander, spread = _wander(coil)
    local = float(np.std(coil.local_pitch())) / coil.pitch
    # Bends finer than the fitted axis make the true one longer.
    finest = 2 * coil.length / len(coil.bends)
    longer = 0.5 * (2 * np.pi * coil.scatter / finest) ** 2
    parts = (_inflation(coil) ** 0.5 * coil.pitch_err / coil.pitch, longer,
             np.sqrt(2) * wander / (2 * np.pi * coil.turns))
    return coil.pitch * float(np.linalg.norm(parts)), coil.pitch * float(np.hypot(local, spread))


def _helix(coil: Coil, members: list[int], false_alarm: float) -> Helix:
    pitch_err, pitch_std = _pitch_errors(coil)
    radius_err = coil.radius_err * float(np.sqrt(_inflation(coil)))
    return Helix(
        tuple(members), coil.axis().points, coil.pitch, pitch_err, pitch_std, coil.radius,
        radius_err, float(coil.phase(np.zeros(1))[0] % (2 * np.pi)), coil.turns,
        len(coil.crossings()), coil.scatter, false_alarm, coil,
    )
