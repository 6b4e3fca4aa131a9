"""Dots that a person placed, fitted among those that were found by themselves.

Only what was changed is fitted anew, with what lies near it: the rest keeps its numbers to the last
digit.  What is common to all dots (blur, shape, noise) is as the picture by itself shows it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from emtools.measure.chains.dots import Dots, fit_dots, given_up, settle, start_of, uncertain
from emtools.measure.chains.fit import EXTENT, SEEN_SNR, SIGNIFICANT, Demand, Fit, Fitter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from emtools.measure.chains.ground import Ground
    from emtools.measure.chains.rejected import Rejected

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

OWN = 0.75  # widths from a placed dot: a body found there is that dot
_UNTOUCHED = 0.1  # widths: a dot placed so near to a found one is that one as it was
_NEAR = 2.5  # widths around a change: what is fitted anew with it
_MOST_CHANGED = 1.0  # changed dots over untouched ones: beyond it all are fitted anew


class _Change(NamedTuple):
    """What a person changed.

    Parameters
    ----------
    found
        ``(n,)``, of each found dot: which placed one it is, -1 = none.
    kept
        ``(n,)``, which found dots are as they were, placed or not.
    placed
        ``(m,)``, numbers of the placed dots that are new.
    """

    found: NDArray[np.intp]
    kept: Bools
    placed: NDArray[np.intp]


def fit_placed(
    ground: Ground, placed: Floats, maxima: Floats, found: Dots | None, width_px: float
) -> tuple[Dots | None, list[Rejected], Bools]:
    """Fit dots where a person placed them.

    Bodies that were found by themselves and that nobody placed a dot at are fitted with them, so
    that they do not disturb their neighbours, and left out.

    Parameters
    ----------
    ground
        The image without its ground.
    placed
        ``(m, 2)`` centres.
    maxima, found
        First guesses that were found by themselves, and the dots fitted there.
    width_px
        Their usual width.

    Returns
    -------
    tuple
        The dots, `starts` their numbers among the placed ones; those that show nothing; and
        ``(m,)``, which of the placed ones are where one was found by itself.
    """
    change = None if found is None else _change(placed, found, width_px)
    untouched = np.zeros(len(placed), dtype=bool)
    if change is not None:
        untouched[change.found[change.found >= 0]] = True
    if found is None or change is None \
            or len(change.placed) > _MOST_CHANGED * (change.found >= 0).sum():
        others = maxima
        if len(others) and len(placed):
            others = others[cKDTree(placed).query(others)[0] > OWN * width_px]
        dots, out = fit_dots(ground, np.vstack([placed, others]), width_px,
                             Demand(SIGNIFICANT, len(placed), SEEN_SNR))
    else:
        dots, out = _refitted(ground, placed, found, change, width_px)
    if dots is None or not (dots.starts < len(placed)).any():
        return None, out, untouched
    dots = dots.only(dots.starts < len(placed))
    return dots.only(np.argsort(dots.starts, kind="stable")), out, untouched


def _change(placed: Floats, found: Dots, width_px: float) -> _Change:
    """Compare what was placed with what was found."""
    which = np.full(len(found), -1, dtype=np.intp)
    if len(placed) == 0:
        return _Change(which, np.ones(len(found), dtype=bool), np.zeros(0, dtype=np.intp))
    tree = cKDTree(placed)
    away, nearest = (np.asarray(part) for part in tree.query(found.centre))
    # Of two found dots near a placed one the nearer is it.
    for dot in np.argsort(away, kind="stable").tolist():
        if away[dot] < _UNTOUCHED * width_px and nearest[dot] not in which:
            which[dot] = nearest[dot]
    new = np.setdiff1d(np.arange(len(placed)), which)
    kept = which >= 0
    if len(new):
        kept |= np.asarray(cKDTree(placed[new]).query(found.centre)[0]) > OWN * width_px
    else:
        kept[:] = True
    return _Change(which, kept, new)


def _refitted(
    ground: Ground, placed: Floats, found: Dots, change: _Change, width_px: float
) -> tuple[Dots | None, list[Rejected]]:
    """Fit the new dots and what lies near a change; the rest of the found ones is as it was."""
    found = replace(found, starts=np.where(change.found >= 0, change.found,
                                           len(placed) + np.arange(len(found))))
    if len(change.placed) == 0:
        return found, []
    places = np.vstack([placed[change.placed], found.centre[~change.kept]])
    near = np.asarray(cKDTree(places).query(found.centre)[0]) < _NEAR * width_px
    still, anew = found.only(change.kept & ~near), found.only(change.kept & near)
    known, n_new = found.known, len(change.placed)
    assert known is not None
    still_fit = Fit(still.parameters, known.blur, found.shape, known.gain)
    drawn = Fitter(ground, still.parameters, width_px).drawn(still_fit)
    rest = replace(ground, signal=ground.signal - drawn)
    start = start_of(rest, placed[change.placed], width_px)
    start[:, EXTENT] = np.median(found.parameters[:, EXTENT], axis=0) * [1.0, 0.0, 1.0]
    # Placed ones first: those that are new, then those that were found where they are.
    anew = anew.only(np.argsort(anew.starts, kind="stable"))
    numbers = np.concatenate([change.placed, anew.starts])
    fit = Fit(np.vstack([start, anew.parameters]), known.blur, found.shape, known.gain,
              blur_known=True)
    demand = Demand(SIGNIFICANT, n_new + int((anew.starts < len(placed)).sum()), SEEN_SNR)
    settled = settle(fit, rest, width_px, demand)
    first = np.vstack([placed[change.placed], anew.centre])
    out = given_up(fit, first, width_px, demand)
    if settled is None:
        return still, out
    dots = uncertain(fit, settled, rest, known.open_shape, known.square_err)
    return _together(still, replace(dots, starts=numbers[dots.starts]), drawn), out


def _together(still: Dots, anew: Dots, drawn: NDArray[np.float32]) -> Dots:
    return replace(
        still, parameters=np.vstack([still.parameters, anew.parameters]),
        covariance=np.concatenate([still.covariance, anew.covariance]),
        common=np.concatenate([still.common, anew.common], axis=1),
        starts=np.concatenate([still.starts, anew.starts]), model=drawn + anew.model)
