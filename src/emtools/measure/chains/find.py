"""From the picture to fitted dots and outlined lines, found by themselves or as drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emtools.measure.chains.as_drawn import all_lines, outline_as_drawn, zones
from emtools.measure.chains.dots import SIGNIFICANT, fit_dots
from emtools.measure.chains.film import TOO_WIDE
from emtools.measure.chains.found import Found, Traced
from emtools.measure.chains.ground import find_ground
from emtools.measure.chains.outline import only_lines, sort_foreground, without_fit
from emtools.measure.chains.rejected import NARROWER, WIDER, bodies

if TYPE_CHECKING:
    from emtools.measure.chains.dots import Dots
    from emtools.measure.chains.given import Drawing
    from emtools.measure.chains.ground import Contrast
    from emtools.process.resample import Square

_DRAWN_SNR = 4.0  # height over its error of a body that a person has seen too
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
    ground = find_ground(view.plane, contrast, widths_px, rate)
    outline = sort_foreground(ground, widths_px, _bridged(view, gap))
    rejected = [*ground.rejected, *outline.rejected]
    if drawing is None:
        return Found(ground, outline, None, rejected)
    drawn = drawing.on(view)
    traced = Traced(drawn, zones(drawn, outline.width_px))
    return Found(ground, outline_as_drawn(ground, outline, *traced, rate), None, rejected, traced)


def fit(found: Found, view: Square, widths: tuple[float, float], gap: float | None) -> Found:
    """Fit the dots, or take all for lines where they are too small to be told from the blur."""
    outline = found.outline
    dots, faint = fit_dots(found.ground, outline.maxima, outline.width_px,
                           SIGNIFICANT if found.traced is None else _DRAWN_SNR)
    found = found._replace(rejected=found.rejected + faint)
    widths_px = (widths[0] / view.pixel, widths[1] / view.pixel)
    if dots is None or dots.told_from_blur:
        sought = _of_sought_width(found, dots, widths_px) if found.traced is None \
            else found._replace(dots=dots)
        return _covered(sought)
    if found.traced is not None:
        return found._replace(outline=all_lines(found.ground, outline, *found.traced))
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
