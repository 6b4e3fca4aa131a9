"""Chains of dots: widths, lengths, gaps, dots, each with its uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from emtools.errors import ParameterError
from emtools.measure._discovery import measurement
from emtools.measure.chains.assemble import (
    Frame,
    Tables,
    add_chain,
    add_line,
    add_rejected,
    add_single_dots,
    count_crossings,
    helix_columns,
)
from emtools.measure.chains.body import SHAPES
from emtools.measure.chains.dots import fit_dots
from emtools.measure.chains.film import TOO_WIDE
from emtools.measure.chains.ground import find_contrast, find_ground
from emtools.measure.chains.lines import measure_lines
from emtools.measure.chains.links import link_dots
from emtools.measure.chains.mean_body import outlined
from emtools.measure.chains.outline import only_lines, sort_foreground, without_fit
from emtools.measure.chains.rejected import NARROWER, WIDER, bodies
from emtools.measure.chains.report import Found, layers, regularity, summary
from emtools.measure.chains.tables import DETAILS, TABLES
from emtools.measure.chains.unwind import unwound_rows
from emtools.model import Image, Result
from emtools.process.plane import as_plane
from emtools.process.resample import Square, square

if TYPE_CHECKING:
    from emtools.measure.chains.dots import Dots
    from emtools.measure.chains.ground import Contrast

MODALITIES = ("HAADF", "ADF", "BF", "DF", "STEM", "TEM", "SEM")
_FITTED_PX = 8.0  # pixels across the smallest body: finer ones are averaged first
_NEEDLESSLY_FINE_PX = 28.0  # width beyond which pixels are averaged again,
_FITTED_WIDE_PX = 14.0  # to this
_NARROWEST_PX = 2.0  # widths below this many pixels cannot be fitted
# Without a calibration: widths sought in pixels, and the gap in widths (2 nm of 4.5 nm).
_WIDTHS_PX = (6.0, 60.0)
_GAP_IN_WIDTHS = 0.45


@measurement(TABLES, MODALITIES)
def chains(
    image: Image,
    *,
    min_width_nm: float = 2.0,
    max_width_nm: float = 15.0,
    max_gap_nm: float = 2.0,
    min_dots: int = 3,
    contrast: Literal["auto", "bright", "dark"] = "auto",
    false_alarm_rate: float = 1e-3,
) -> Result:
    """Measure chains of dots: widths, lengths, aspect ratios, gaps, and the dots themselves.

    Bodies that stand significantly out of the film are found, fitted together as blurred projected
    ellipsoids, and linked into chains by their gaps and by straightness.  Where dots are not
    resolved, line-like objects are traced and their profile across the axis is fitted.

    Parameters
    ----------
    image : Image
        One picture in real space, calibrated in nm.  Without a calibration lengths come out in
        pixels (columns named ``_px``), for widths of 6 to 60 pixels and gaps up to 0.45 widths.
    min_width_nm : float
        Smallest width sought.
    max_width_nm : float
        Largest width sought; wider objects are left out as contamination.
    max_gap_nm : float
        Largest gap, edge to edge, between neighbours of a chain.
    min_dots : int
        Fewest dots of a chain; fewer are isolated dots.
    contrast : {'auto', 'bright', 'dark'}
        Of the bodies; auto takes bright for HAADF and dark for TEM, and decides from the picture
        where the modality is not known.
    false_alarm_rate : float
        Accepted probability that an image of pure noise shows any body.

    Returns
    -------
    Result
        Tables ``chains``, ``gaps``, ``dots`` and ``axes``; in its details ``profiles`` (brightness
        along each chain, measured and fitted) and ``rejected`` (what stands out and was left out,
        with the reason).

    Raises
    ------
    ImageError
        If the image is not one real-valued picture.
    ParameterError
        If a parameter is out of range.

    Notes
    -----
    Bodies are fitted as ellipsoids seen along the beam, with a top as round as a sphere's or
    flatter, whichever is likelier.  Bright bodies in chains that are no ellipsoids (rods, blocks,
    superellipsoids) get the extents of what fits their mean along the chains best; alone, or dark,
    they come out up to a fifth too wide, which their uncertainty covers.  In TEM contrast the edge
    lies somewhere in the Fresnel fringe; 5 % of the width is added to its uncertainty for that.

    References
    ----------
    Arc length and persistence of chains: Rivetti, Guthold & Bustamante, J. Mol. Biol. 264 (1996)
    919.  Mean of censored gaps: Cohen, Technometrics 1 (1959) 217.
    """
    _check(min_width_nm, max_width_nm, max_gap_nm, min_dots, false_alarm_rate)
    plane = as_plane(image)
    in_px = plane.unit == "px"
    widths = _WIDTHS_PX if in_px else (min_width_nm, max_width_nm)
    view = square(plane, widths[0] / _FITTED_PX)
    reason = _not_measurable(view, plane.constant, widths)
    if reason is not None:
        return _result(view, Tables(), reason, None)
    chosen = contrast if contrast != "auto" else find_contrast(
        view.plane, image.acquisition.modality, widths[1] / view.pixel)
    gap = None if in_px else max_gap_nm
    found = _find(view, chosen, widths, gap, false_alarm_rate)
    if found.outline.width_px > _NEEDLESSLY_FINE_PX:
        # The bodies turned out much wider than the narrowest that were sought.
        view = square(plane, found.outline.width_px * view.pixel / _FITTED_WIDE_PX)
        found = _find(view, chosen, widths, gap, false_alarm_rate)
    found = _fit(found, view, widths, gap)
    gap_px = _GAP_IN_WIDTHS * found.outline.width_px if gap is None else gap / view.pixel
    found = _linked(found, gap_px, min_dots)
    return _result(view, _assemble(view, found, gap_px), None, found)


def _find(
    view: Square, contrast: Contrast, widths: tuple[float, float], gap: float | None, rate: float
) -> Found:
    """Take off the ground and sort what stands out of it."""
    widths_px = (widths[0] / view.pixel, widths[1] / view.pixel)
    ground = find_ground(view.plane, contrast, widths_px, rate)
    bridged = 1.0 if gap is None else gap / view.pixel
    outline = sort_foreground(ground, widths_px, bridged)
    return Found(ground, outline, None, [*ground.rejected, *outline.rejected])


def _fit(found: Found, view: Square, widths: tuple[float, float], gap: float | None) -> Found:
    """Fit the dots, or take all for lines where they are too small to be told from the blur."""
    dots, faint = fit_dots(found.ground, found.outline.maxima, found.outline.width_px)
    found = found._replace(rejected=found.rejected + faint)
    widths_px = (widths[0] / view.pixel, widths[1] / view.pixel)
    if dots is None or dots.told_from_blur:
        return _covered(_of_sought_width(found, dots, widths_px))
    bridged = 1.0 if gap is None else gap / view.pixel
    outline = only_lines(found.ground, widths_px, bridged)
    # Without anything like a line bodies of uncertain size say more than nothing.
    return found._replace(outline=outline) if outline.lines \
        else _of_sought_width(found, dots, widths_px)


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


def _check(
    min_width_nm: float, max_width_nm: float, max_gap_nm: float, min_dots: int, rate: float
) -> None:
    if not 0 < min_width_nm < max_width_nm < np.inf:
        raise ParameterError("min_width_nm, max_width_nm",
                             f"must be 0 < min < max, not {min_width_nm}, {max_width_nm}")
    if not 0 < max_gap_nm < np.inf:
        raise ParameterError("max_gap_nm", f"must be positive and finite, not {max_gap_nm}")
    if min_dots < 2:
        raise ParameterError("min_dots", f"must be at least 2, not {min_dots}")
    if not 0 < rate < 1:
        raise ParameterError("false_alarm_rate", f"must lie in 0 ... 1, not {rate}")


def _not_measurable(view: Square, constant: bool, widths: tuple[float, float]) -> str | None:
    widths_px = (widths[0] / view.pixel, widths[1] / view.pixel)
    if view.plane.unit not in ("nm", "px"):
        return f"not measurable: axes in {view.plane.unit}, not an image in real space"
    if constant:
        return "no chains: all pixels have the same value"
    if view.plane.mask is not None and not view.plane.mask.any():
        return "not measurable: too few unmasked pixels"
    if widths_px[1] < _NARROWEST_PX:
        return (f"not measurable: with pixels of {view.pixel:.3g} {view.plane.unit} the widest "
                f"body sought is {widths_px[1]:.2g} pixels across")
    if widths_px[0] > 0.5 * min(view.plane.values.shape):
        return "not measurable: the smallest body sought is wider than half the picture"
    return None


def _linked(found: Found, max_gap_px: float, min_dots: int) -> Found:
    """Link dots into chains, find helices, and with the chains' directions the bodies' outline."""
    dots = found.dots
    if dots is None:
        return found
    traced = link_dots(dots, max_gap_px, min_dots)
    rows, coiled = unwound_rows(dots.centre, dots.centre_err, traced, min_dots)
    family = None
    # Round bodies with a round top show no corners; in TEM fringes would be taken for them.
    if dots.shape > SHAPES[0] and found.ground.contrast == "bright":
        dots, family = outlined(dots, rows, found.ground.signal)
    return found._replace(dots=dots, rows=rows, coiled=coiled, family=family)


def _assemble(view: Square, found: Found, max_gap_px: float) -> Tables:
    tables = Tables()
    rows, cols = view.plane.values.shape
    dots = found.dots
    frame = Frame(view.pixel, view.origin, (rows, cols), found.ground.signal,
                  None if dots is None else dots.model, found.ground.counts)
    if dots is not None:
        _add_rows(tables, found, frame, max_gap_px)
        in_chains = {i for chain in found.rows for i in chain}
        add_single_dots(tables, dots, [i for i in range(len(dots)) if i not in in_chains], frame)
    lines, refused = measure_lines(found.ground, found.outline)
    for line in lines:
        add_line(tables, line, frame)
    count_crossings(tables)
    add_rejected(tables, [*found.rejected, *refused], frame)
    return tables


def _add_rows(tables: Tables, found: Found, frame: Frame, max_gap_px: float) -> None:
    """Add the chains of dots, in order of where they lie, and say which are strands of helices."""
    dots, rows = found.dots, found.rows
    if dots is None:
        return
    corners = [tuple(np.min(dots.centre[row], axis=0).tolist()) for row in rows]
    order = sorted(range(len(rows)), key=corners.__getitem__)
    for row in order:
        add_chain(tables, dots, rows[row], frame, max_gap_px)
    place = {row: number for number, row in enumerate(order)}
    coiled = sorted(found.coiled, key=lambda one: min(place[row] for row in one.rows))
    for number, one in enumerate(coiled, start=1):
        for row in one.rows:
            tables.chains[place[row]] |= helix_columns(number, one.helix, frame)


def _result(view: Square, tables: Tables, reason: str | None, found: Found | None) -> Result:
    unit = "px" if view.plane.unit == "px" else "nm"
    frames = {name: TABLES[name].frame(getattr(tables, name), unit) for name in TABLES}
    details = {name: DETAILS[name].frame(getattr(tables, name), unit) for name in DETAILS}
    said = summary(view, frames, reason, found)
    if found is not None:
        widths = [size * view.pixel for size in found.outline.sought_px]
        said |= regularity(details, widths, unit)
    return Result("chains", frames, said, layers(frames, unit), details=details)
