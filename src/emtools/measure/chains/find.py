"""From the picture to fitted dots and outlined lines, found by themselves or as drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from emtools.measure.chains.as_drawn import all_lines, outline_as_drawn, zones
from emtools.measure.chains.as_placed import bare_lines, placed_dots, with_width, without_dots
from emtools.measure.chains.dots import fit_dots
from emtools.measure.chains.film import TOO_WIDE
from emtools.measure.chains.fit import SEEN_SNR, SIGNIFICANT, Demand
from emtools.measure.chains.found import Found, Traced
from emtools.measure.chains.ground import find_ground
from emtools.measure.chains.outline import only_lines, sort_foreground, without_fit
from emtools.measure.chains.refit import fit_placed
from emtools.measure.chains.rejected import NARROWER, WIDER, bodies
from emtools.stages import stage

if TYPE_CHECKING:
    from emtools.measure.chains.as_placed import Placed
    from emtools.measure.chains.dots import Dots
    from emtools.measure.chains.given import Drawing
    from emtools.measure.chains.ground import Contrast
    from emtools.process.resample import Square

_IN_ROWS = 0.5  # of the bodies too small to be told from the blur: these are lines


def find(
    view: Square, contrast: Contrast, widths: tuple[float, float], gap: float | None, rate: float,
    drawing: Drawing | None = None,
) -> Found:
    """Take off the ground and sort what stands out of it, or what was drawn.

    Parameters
    ----------
    view
        The picture.
    contrast
        Of the bodies.
    widths
        Smallest and largest width sought, in the picture's unit.
    gap
        Largest gap in a chain; None where there is no calibration.
    rate
        Accepted probability that an image of noise shows any body.
    drawing
        What a person drew, if anything.
    """
    widths_px = (widths[0] / view.pixel, widths[1] / view.pixel)
    stage("taking off the ground", 0.0)
    ground = find_ground(view.plane, contrast, widths_px, rate)
    stage("looking for bodies", 0.2)
    outline = sort_foreground(ground, widths_px, _bridged(view, gap))
    rejected = [*ground.rejected, *outline.rejected]
    if drawing is None:
        return Found(ground, outline, None, rejected)
    drawn, dots = drawing.on(view), drawing.dots_on(view)
    if dots is not None:
        outline = with_width(outline, dots)
    traced = None if drawn is None else Traced(drawn, zones(drawn, outline.width_px))
    if dots is None:
        # Without dots there are labels or lines.
        outline = outline if traced is None else outline_as_drawn(ground, outline, *traced, rate)
        return Found(ground, outline, None, rejected, traced)
    placed = placed_dots(dots, outline, drawn, ground.signal.shape)
    if traced is not None:
        placed = placed._replace(lines=bare_lines(ground, outline, placed, traced, rate))
    return Found(ground, outline, None, rejected, traced, placed)


def fit(found: Found, view: Square, widths: tuple[float, float], gap: float | None) -> Found:
    """Fit the dots, or take all for lines where they are too small to be told from the blur."""
    outline = found.outline
    if found.placed is not None:
        return _fit_placed(found, found.placed, view, widths, gap)
    demand = Demand(SIGNIFICANT if found.traced is None else SEEN_SNR)
    dots, faint = fit_dots(found.ground, outline.maxima, outline.width_px, demand)
    found = found._replace(rejected=found.rejected + faint)
    if found.traced is not None and dots is not None and not dots.told_from_blur:
        return found._replace(outline=all_lines(found.ground, outline, *found.traced))
    if found.traced is not None:
        return _covered(found._replace(dots=dots))
    return _by_itself(found, dots, view, widths, gap)


def _fit_placed(
    found: Found, placed: Placed, view: Square, widths: tuple[float, float], gap: float | None
) -> Found:
    """Fit the dots that a person placed among those that are found by themselves."""
    ground, outline = found.ground, found.outline
    dots, faint = fit_dots(ground, outline.maxima, outline.width_px)
    auto = _by_itself(found._replace(rejected=found.rejected + faint), dots, view, widths, gap)
    own, out, untouched = fit_placed(ground, placed.dots, outline.maxima, dots,
                                     outline.width_px)
    lines = auto.outline.lines
    rejected = [one for one in auto.rejected if not placed.beside(one, outline.width_px)]
    return auto._replace(
        dots=own, rejected=rejected + placed.rejected + out,
        outline=replace(auto.outline, lines=without_dots(lines, placed)
                        if placed.lines is None else placed.lines),
        placed=placed._replace(by_themselves=tuple(lines), untouched=untouched))


def _by_itself(
    found: Found, dots: Dots | None, view: Square, widths: tuple[float, float], gap: float | None
) -> Found:
    """Take for lines what no dots are fitted to, and leave out dots of a width not sought."""
    widths_px = (widths[0] / view.pixel, widths[1] / view.pixel)
    if dots is None or dots.told_from_blur:
        return _covered(_of_sought_width(found, dots, widths_px))
    outline = only_lines(found.ground, widths_px, _bridged(view, gap))
    # Bodies that make up no lines say more than nothing, though their size is uncertain.
    on_lines = sum(len(line.holds(dots.centre)) for line in outline.lines)
    return found._replace(outline=outline) if on_lines > _IN_ROWS * len(dots) \
        else _of_sought_width(found, dots, widths_px)


def _bridged(view: Square, gap: float | None) -> float:
    return 1.0 if gap is None else gap / view.pixel


def _covered(found: Found) -> Found:
    """Take for lines what the fitted dots do not account for."""
    dots = found.dots
    if dots is None:
        return found._replace(outline=without_fit(found.outline, np.zeros((0, 2)), np.zeros(0))[0])
    outline, keep = without_fit(found.outline, dots.centre, dots.areas)
    return found._replace(outline=outline, dots=dots.only(keep) if keep.any() else None)


def _of_sought_width(
    found: Found, dots: Dots | None, widths_px: tuple[float, float]
) -> Found:
    """Leave out what turned out narrower or wider than anything sought (contamination, edges)."""
    if dots is None:
        return found
    wide = dots.widths > TOO_WIDE * widths_px[1]
    narrow = dots.widths < widths_px[0] / TOO_WIDE
    keep = ~wide & ~narrow
    out = bodies(dots.parameters[wide], WIDER) + bodies(dots.parameters[narrow], NARROWER)
    return found._replace(dots=dots.only(keep) if keep.any() else None,
                          rejected=found.rejected + out)
