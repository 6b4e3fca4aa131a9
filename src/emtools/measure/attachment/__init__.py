"""Attachment of lattices to chains: plane normals against chain axes, tested against chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from emtools.crystal import hkl_text, known_phases
from emtools.crystal import phase as find_phase
from emtools.errors import ParameterError
from emtools.measure._discovery import measurement
from emtools.measure.attachment.courses import courses, nearest_course
from emtools.measure.attachment.normals import (
    IndexedPlanes,
    Sight,
    SpacedPlanes,
    UnseenError,
    parse_hkl,
    widest_spacing,
)
from emtools.measure.attachment.orientation import MIN_GRAINS, against_random, setting
from emtools.measure.attachment.report import Found, Pair, layers, place_of, rows, summary
from emtools.measure.attachment.tables import TABLES
from emtools.model import Image, Result
from emtools.process.plane import as_plane

if TYPE_CHECKING:
    from emtools.measure.attachment.courses import Course
    from emtools.measure.attachment.orientation import Verdict
    from emtools.model import Calibration

MODALITIES = ("HAADF", "ADF", "BF", "DF", "STEM", "TEM")
Planes = IndexedPlanes | SpacedPlanes


@measurement(TABLES, MODALITIES)
def attachment(
    image: Image,
    *,
    lattice: Result,
    chains: Result,
    hkl: str = "2 0 0",
    d_nm: float | None = None,
    d_tolerance: float = 0.05,
    max_offset: float = 0.75,
    single_rows: bool = False,
    n_random: int = 9999,
    false_alarm_rate: float = 0.05,
    rng: np.random.Generator | int | None = 0,
) -> Result:
    """Measure the angle between plane normals of grains and the axes of the chains they lie on.

    For each grain on a chain, the angle between the chain's axis there and the nearest of the
    equivalent normals that the grain's zone axis allows.  The angles are tested against lattices
    that are turned at random in the plane, those of a chain together.

    Parameters
    ----------
    image : Image
        The picture that both results are of.
    lattice : Result
        Of ``lattice``; its grains are indexed if it was given phases.
    chains : Result
        Of ``chains``.
    hkl : str
        Planes whose normals are compared with the axis, with all planes that the phase's symmetry
        makes equal.
    d_nm : float
        Spacing of the planes where no phase was given; by default the largest one that many
        grains show.
    d_tolerance : float
        Relative difference within which spacings are taken for the same planes.
    max_offset : float
        Farthest that a grain's centre may lie from the centreline, in widths of the chain.
    single_rows : bool
        Whether grains that show a single row of spots count, with the one normal that they show;
        by default they are left out, for an equivalent normal may be there unseen.
    n_random : int
        Number of random orientations that the angles are compared with; a single chain is compared
        with all.
    false_alarm_rate : float
        Accepted probability that randomly oriented lattices are called attached.
    rng : Generator, int or None
        Generator or seed of the random orientations (SPEC 7).

    Returns
    -------
    Result
        Table ``angles``.

    Raises
    ------
    ImageError
        If the image is not one real-valued picture.
    ParameterError
        If a parameter is out of range, or the results are in another unit than the image.

    Notes
    -----
    The order parameter is the mean of cos(2 pi angle / fold), 1 with the normals along the axis, 0
    for random orientation.  The test asks one question: are angles small more often than chance
    makes them?  It is valid however well the lattices of one chain agree with each other, because
    a chain is turned as a whole; so a single chain, however long, is one observation.

    References
    ----------
    Randomisation tests of clusters: Davison & Hinkley, Bootstrap Methods and their Application,
    Cambridge (1997).  Mean cosine of axial data: Mardia & Jupp, Directional Statistics, Wiley
    (2000).
    """
    _check(d_nm, d_tolerance, max_offset, n_random, false_alarm_rate)
    random = _generator(rng)
    plane = as_plane(image)
    unit = "px" if plane.unit == "px" else "nm"
    indices = parse_hkl(hkl)
    found = Found(f"{{{hkl_text(indices)}}}")
    reason = _not_measurable(lattice, chains)
    planes = None
    if reason is None:
        _check_units(lattice, chains, unit)
        planes = _planes(lattice, indices, d_nm, d_tolerance, single_rows, unit)
        reason = None if planes else "not measurable: no grain is indexed with the phases given"
    if planes is not None:
        found = _find(planes, lattice, courses(chains, unit), max_offset, unit)
    verdict = _test(found.pairs, plane.calibration, n_random, random)
    said = summary(found, verdict, false_alarm_rate, plane.calibration)
    said |= {"outcome": reason} if reason else {}
    said |= {"lattice": lattice.outcome, "chains": chains.outcome, "unit": unit}
    if unit == "px":
        said["calibration"] = "none: positions are in pixels (angles need no scale)"
    table = TABLES["angles"].frame(rows(found.pairs), unit)
    return Result("attachment", {"angles": table}, said, layers(found.pairs, table, unit))


def _check(
    d_nm: float | None, d_tolerance: float, max_offset: float, n_random: int, rate: float
) -> None:
    if d_nm is not None and not 0 < d_nm < np.inf:
        raise ParameterError("d_nm", f"must be positive and finite, not {d_nm}")
    if not 0 < d_tolerance < 1:
        raise ParameterError("d_tolerance", f"must lie in 0 ... 1, not {d_tolerance}")
    if not 0 < max_offset < np.inf:
        raise ParameterError("max_offset", f"must be positive and finite, not {max_offset}")
    if n_random < 99:
        raise ParameterError("n_random", f"must be at least 99, not {n_random}")
    if not 0 < rate < 1:
        raise ParameterError("false_alarm_rate", f"must lie in 0 ... 1, not {rate}")


def _generator(rng: np.random.Generator | int | None) -> np.random.Generator:
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise ParameterError("rng", f"{rng!r} is no seed", "give an integer from 0") from error


def _not_measurable(lattice: Result, chains: Result) -> str | None:
    for result, table in ((chains, "chains"), (lattice, "grains")):
        if result.outcome.startswith("not measurable"):
            why = result.outcome.removeprefix("not measurable: ")
            return f"not measurable: {result.measurement}: {why}"
        if not len(result.tables[table]):
            missing = "chains" if result is chains else "lattice"
            return f"not measurable: no {missing}"
    return None


def _check_units(lattice: Result, chains: Result, unit: str) -> None:
    for result in (lattice, chains):
        other = result.summary.get("unit", unit)
        if other != unit:
            raise ParameterError(result.measurement, f"is in {other}, the image in {unit}",
                                 "give results of the same image")


def _planes(
    lattice: Result, hkl: tuple[int, int, int], d_nm: float | None, tolerance: float,
    single_rows: bool, unit: str,
) -> Planes | None:
    """The planes that are looked for; None where phases were given and none of them was found."""
    given = tuple(lattice.parameters.get("phases", ()))
    named = {str(name) for name in lattice.tables["grains"]["phase"]} - {""}
    if named:
        candidates = [find_phase(name) for name in given]
        phases = {phase.name: phase for phase in candidates}
        phases |= {name: find_phase(name) for name in named - set(phases)
                   if name in known_phases()}
        return IndexedPlanes(hkl, phases, single_rows)
    if given:
        return None
    # A spacing in nm says nothing in an image without a scale.
    spacing = d_nm if unit == "nm" and d_nm else widest_spacing(
        lattice.tables["reflections"], unit, tolerance)
    return SpacedPlanes(spacing, tolerance, unit, single_rows) if spacing else None


def _find(
    planes: Planes, lattice: Result, lines: list[Course], max_offset: float, unit: str
) -> Found:
    """Pair grains with the chains that they lie on."""
    found = Found(planes.label)
    for row in lattice.tables["grains"].to_dict("records"):
        grain: dict[str, Any] = {str(key): value for key, value in row.items()}
        place = place_of(grain, unit)
        on = nearest_course(lines, place, max_offset)
        if on is None:
            found.leave_out("on no chain")
            continue
        try:
            normals = planes.of(Sight.of(grain, lattice.tables["reflections"], unit))
        except UnseenError as reason:
            found.leave_out(str(reason))
            continue
        course, arc = on
        tangent = course.tangent(arc)
        width = float(np.interp(arc, course.arc, course.widths))
        found.pairs.append(Pair(int(grain["grain"]), course.chain, place, width, tangent, normals,
                                setting(normals.angle_deg, tangent.angle_deg)))
    return found


def _test(
    pairs: list[Pair], calibration: Calibration, n_random: int, rng: np.random.Generator
) -> Verdict | None:
    if len(pairs) < MIN_GRAINS:
        return None
    errors = [float(np.hypot(pair.err_deg, pair.distortion_err_deg(calibration)))
              for pair in pairs]
    return against_random(
        [pair.normals.angle_deg for pair in pairs], [pair.tangent.angle_deg for pair in pairs],
        errors, [pair.chain for pair in pairs], n_random, rng)
