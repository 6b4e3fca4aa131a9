"""Chains of dots: widths, lengths, gaps, dots, each with its uncertainty."""

from __future__ import annotations

# The command line reads the annotations.
from collections.abc import Mapping, Sequence  # noqa: TC003
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray  # noqa: TC002

from emtools.errors import ParameterError
from emtools.measure._discovery import measurement
from emtools.measure.chains.assemble import Tables
from emtools.measure.chains.find import find, fit
from emtools.measure.chains.given import drawing
from emtools.measure.chains.ground import find_contrast
from emtools.measure.chains.report import layers, regularity, summary
from emtools.measure.chains.rows import assemble, linked
from emtools.measure.chains.tables import DETAILS, TABLES
from emtools.model import Image, Result
from emtools.process.plane import as_plane
from emtools.process.resample import Square, square

if TYPE_CHECKING:
    from emtools.measure.chains.found import Found

MODALITIES = ("HAADF", "ADF", "BF", "DF", "STEM", "TEM", "SEM")
_FITTED_PX = 8.0  # pixels across the smallest body: finer ones are averaged first
_NEEDLESSLY_FINE_PX = 24.0  # width beyond which pixels are averaged again,
_FITTED_WIDE_PX = 12.0  # to this
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
    labels: NDArray[np.integer[Any]] | None = None,
    centrelines: (Sequence[NDArray[np.floating[Any]]]
                  | Mapping[int, NDArray[np.floating[Any]]] | None) = None,
    dots: NDArray[np.floating[Any]] | None = None,
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
    labels
        Map ``(y, x)`` of what a person drew or corrected, 0 = none: each label is one chain, line
        or body of that number, and nothing else is reported.  Dots on it are a chain in their
        order along it, whatever their gaps and bends; less than three stay single.
    centrelines
        The same as drawn lines, points ``(n, 2)`` (y, x) in nm, in px without a calibration; in a
        mapping by their numbers.  What lies within half a width of a line is its chain.
    dots
        Middles of dots ``(n, 2)`` (y, x), in the same unit, as a person saw or corrected them: each
        is fitted from there, however faint or close to others, and no others are sought.  Those on
        one of the `centrelines` are its chain, the rest are single; a line without dots on it is
        measured as a line.  Without `centrelines` they are linked by themselves, and what was taken
        for a line is none if three of them lie on it.

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
        If a parameter is out of range, or what was drawn does not fit the image.

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
    drawn = drawing(labels, centrelines, dots, plane)
    in_px = plane.unit == "px"
    widths = _WIDTHS_PX if in_px else (min_width_nm, max_width_nm)
    view = square(plane, widths[0] / _FITTED_PX)
    reason = _not_measurable(view, plane.constant, widths)
    if reason is not None:
        return _result(view, Tables(), reason, None)
    chosen = contrast if contrast != "auto" else find_contrast(
        view.plane, image.acquisition.modality, widths[1] / view.pixel)
    gap = None if in_px else max_gap_nm
    found = find(view, chosen, widths, gap, false_alarm_rate, drawn)
    if found.outline.width_px > _NEEDLESSLY_FINE_PX:
        # The bodies turned out much wider than the narrowest that were sought.
        view = square(plane, found.outline.width_px * view.pixel / _FITTED_WIDE_PX)
        found = find(view, chosen, widths, gap, false_alarm_rate, drawn)
    found = fit(found, view, widths, gap)
    gap_px = _GAP_IN_WIDTHS * found.outline.width_px if gap is None else gap / view.pixel
    found = linked(found, gap_px, min_dots)
    return _result(view, assemble(view, found, gap_px), None, found)


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


def _result(view: Square, tables: Tables, reason: str | None, found: Found | None) -> Result:
    unit = "px" if view.plane.unit == "px" else "nm"
    frames = {name: TABLES[name].frame(getattr(tables, name), unit) for name in TABLES}
    details = {name: DETAILS[name].frame(getattr(tables, name), unit) for name in DETAILS}
    said = summary(view, frames, details, reason, found)
    if found is not None:
        widths = [size * view.pixel for size in found.outline.sought_px]
        said |= regularity(details, widths, unit)
    return Result("chains", frames, said, layers(frames, unit), details=details)
