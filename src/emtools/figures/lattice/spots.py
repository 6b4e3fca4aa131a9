"""The transform with its spots, their labels, and rings where a phase would have them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import patheffects
from matplotlib.collections import LineCollection
from matplotlib.ticker import MaxNLocator

from emtools.crystal import phase as find_phase
from emtools.errors import EmtoolsError
from emtools.figures.labels import LabelPlaces, barred
from emtools.figures.lattice.common import colour_of, families, named, scale_of
from emtools.figures.scale_bar import add_scale_bar, unit_label
from emtools.figures.style import TEXT_PT, size_pt, text_width_pt
from emtools.tables import in_unit

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from emtools.figures.transforms import PowerSpectrum
    from emtools.model import Image, Result

    Floats = NDArray[np.float64]

_CIRCLE_PT = 6.0
_NAMED = 8  # so many spots are labelled in full; of more, the others are numbered
_NUMBERED = 16  # of more spots, one of each of the strongest families is labelled
_KEPT_CLEAR, _KEPT_CLEAR_NARROW = 30, 10  # spots, the strongest, that no label covers
_SAME_SPACING = 0.02  # relative: spots that are not indexed and need no label each
_FAMILIES = 6
_RINGS, _RINGS_NARROW = 8, 5  # of each phase, the strongest
_NARROW_PT = 150.0
_MANY_GRAINS = 3  # from here on rings say more than the spots of one grain
_PHASES = 3
_FAINT = 0.04  # amplitude, relative to the strongest, of a family that is not drawn
_RING_STYLES = ((0, ()), (0, (4, 2)), (0, (1, 2)))
_RING_COLOUR = "#E8E8E8"
_RING_TEXT_PT = TEXT_PT - 1
_CASING = [patheffects.withStroke(linewidth=1.4, foreground="black")]


@dataclass(frozen=True)
class _Ring:
    """Where a family of planes of a phase would lie.

    Parameters
    ----------
    k
        Its spatial frequency.
    label
        Indices, and the phase if there are several.
    family
        As `families` has it.
    phase
        Number of the phase.
    """

    k: float
    label: str
    family: tuple[str, float]
    phase: int


def show_spectrum(axes: Axes, spectrum: PowerSpectrum) -> None:
    """Draw the transform, its axes labelled below and on the right."""
    axes.imshow(spectrum.values, cmap="gray", vmin=spectrum.limits[0], vmax=spectrum.limits[1],
                extent=spectrum.extent, aspect="equal")
    axes.set_autoscale_on(False)
    unit = unit_label(spectrum.unit)
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_xlabel(f"$k_x$ ({unit})", labelpad=1.5)
    axes.set_ylabel(f"$k_y$ ({unit})", labelpad=1.0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=4, symmetric=True, prune="both"))


def mark_spots(axes: Axes, image: Image, result: Result, spectrum: PowerSpectrum) -> None:
    """Circle both mates of each spot, label some, and draw the rings of the candidate phases."""
    reflections = result.tables["reflections"]
    angle = np.radians(reflections["angle_deg"].to_numpy(dtype=float))
    length = reflections[named(reflections, "k_per_nm")].to_numpy(dtype=float)
    k = spectrum.places(length[:, None] * np.stack([-np.sin(angle), np.cos(angle)], axis=1))
    colours = [colour_of(grain) for grain in reflections["grain"]]
    many = len(k) > _NUMBERED
    circle = _CIRCLE_PT * (0.55 if many else 0.75 if len(k) > 2 * _NAMED else 1.0)
    bar = add_scale_bar(axes, 1.0, spectrum.unit, avoid=np.vstack([k, -k]))
    if len(k) == 0:
        return
    narrow = size_pt(axes)[0] < _NARROW_PT
    rings = _rings(image, result, spectrum, _RINGS_NARROW if narrow else _RINGS)
    _draw_rings(axes, rings, spectrum)
    for colour in dict.fromkeys(colours):
        mine = k[np.array([one == colour for one in colours])]
        axes.plot(*np.vstack([mine, -mine]).T, "o", markersize=circle, markerfacecolor="none",
                  markeredgecolor=colour, markeredgewidth=0.5 if many else 0.7, zorder=4)
    strongest = np.argsort(-reflections["snr"].to_numpy(dtype=float), kind="stable")
    corner, scale = scale_of(axes)
    points, mates = ((at - corner) * scale for at in (k, -k))
    clear = strongest[:_KEPT_CLEAR_NARROW if narrow and many else _KEPT_CLEAR]
    places = LabelPlaces(size_pt(axes), np.vstack([points[clear], mates[clear]]),
                         0.5 * circle + (0.5 if many else 1.0), [bar])
    family = families(reflections)
    labelled = set()
    if many and len(result.tables["grains"]) >= _MANY_GRAINS:
        labelled = _label_rings(axes, rings, spectrum, places)
    chosen = [int(i) for i in strongest if family[i] not in labelled]
    if many:
        chosen = _one_of_each(family, length, chosen)
    labels = _placed_labels(reflections, chosen, (points, mates), places)
    for i, (place, text) in labels.items():
        x, y = place / scale + corner
        axes.text(x, y, text, color=colours[i], size=TEXT_PT, ha="center", va="center",
                  path_effects=_CASING, zorder=6)
    labelled |= {family[i] for i, (_, text) in labels.items() if text.startswith("$")}
    _label_rings(axes, [ring for ring in rings if ring.family not in labelled], spectrum, places)


def _rings(
    image: Image, result: Result, spectrum: PowerSpectrum, most: int
) -> list[_Ring]:
    """Return the strongest families of the candidate phases, as far as the picture reaches."""
    names = [str(name) for name in result.parameters.get("phases") or ()]
    to_unit = 1.0
    if spectrum.unit == "1/px":
        # Without a calibration there is only the scale that the measurement fitted.
        to_unit = float(result.summary.get("scale_measured_over_reference", 0.0))
    largest = min(spectrum.extent[1], spectrum.extent[3])
    modality = "TEM" if image.acquisition.modality in ("TEM", "BF") else "HAADF"
    rings = []
    for number, name in enumerate(names[:_PHASES] if to_unit > 0 else ()):
        try:
            phase = find_phase(name)
        except EmtoolsError:  # a file that is no longer where it was
            continue
        found = phase.families(1.0 / (largest * to_unit), modality)  # type: ignore[arg-type]
        strongest = sorted(found, key=lambda family: -family.amplitude)[:most]
        for family in strongest:
            if family.amplitude >= _FAINT * strongest[0].amplitude:
                d = family.d_nm * to_unit
                text = rf"\{{{barred(' '.join(str(i) for i in family.hkl))}\}}"
                before = rf"\mathrm{{{_letters(phase.name)}}}\," if len(names) > 1 else ""
                rings.append(_Ring(1.0 / d, f"${before}{text}$", (phase.name, round(d, 6)),
                                   number))
    return rings


def _letters(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "", name)


def _draw_rings(axes: Axes, rings: list[_Ring], spectrum: PowerSpectrum) -> None:
    turn = np.linspace(0.0, 2.0 * np.pi, 361)
    around = np.stack([np.sin(turn), np.cos(turn)], axis=1)
    for number in sorted({ring.phase for ring in rings}):
        lines = [spectrum.places(ring.k * around) for ring in rings if ring.phase == number]
        axes.add_collection(LineCollection(lines, colors=_RING_COLOUR, linewidths=0.5, alpha=0.45,
                                           linestyles=[_RING_STYLES[number]], zorder=3,
                                           gid="rings"), autolim=False)


def _label_rings(
    axes: Axes, rings: list[_Ring], spectrum: PowerSpectrum, places: LabelPlaces
) -> set[tuple[str, float] | None]:
    """Write the indices of the first rings, the strongest, where there is room on the ring.

    Returns
    -------
    set
        The families of the rings that are labelled.
    """
    corner, scale = scale_of(axes)
    inside = sorted(range(0, 360, 5), key=lambda angle: abs(angle - 60))  # upper right first
    phases = {ring.phase for ring in rings}
    done: set[tuple[str, float] | None] = set()
    for ring in [r for number in sorted(phases) for r in
                 [r for r in rings if r.phase == number][:max(_FAMILIES // len(phases), 2)]]:
        letters = re.sub(r"\\[a-z]+|[^A-Za-z0-9]", "", ring.label)
        size = (text_width_pt(letters, _RING_TEXT_PT) + 3.0, 1.05 * _RING_TEXT_PT)
        for angle in inside:
            towards = np.array([-np.sin(np.radians(angle)), np.cos(np.radians(angle))])
            at = spectrum.places(ring.k * towards[None])[0]
            if places.take((at - corner) * scale, size):
                axes.text(at[0], at[1], ring.label, color=_RING_COLOUR, size=_RING_TEXT_PT,
                          ha="center", va="center", path_effects=_CASING, zorder=5,
                          gid="ring-label")
                done.add(ring.family)
                break
    return done


def _placed_labels(
    reflections: pd.DataFrame, chosen: list[int], at: tuple[Floats, Floats], places: LabelPlaces
) -> dict[int, tuple[Floats, str]]:
    """Return where the labels of the chosen spots, the strongest first, go and what they say."""
    in_full = set(chosen[:_NAMED])
    middle = np.array(places.size) / 2
    found: dict[int, tuple[Floats, str]] = {}
    for i in chosen:
        row = reflections.iloc[i]
        text, letters = _label(row) if i in in_full else (str(row["reflection"]),) * 2
        size = (text_width_pt(letters), 1.05 * TEXT_PT)
        for mates in at:  # the mate where the spot itself has no room
            place = places.place(mates[i], size, mates[i] - middle)
            if place is not None:
                found[i] = (np.array(place), text)
                break
    return found


def _one_of_each(
    family: list[tuple[str, float] | None], k: Floats, strongest: list[int]
) -> list[int]:
    """Return the strongest spot of each of the strongest families, or spacings if not indexed."""
    spacing = np.rint(np.log(k) / _SAME_SPACING).astype(int).tolist()
    first = {family[i] or spacing[i]: i for i in reversed(strongest)}
    return [i for i in strongest if first[family[i] or spacing[i]] == i][:_FAMILIES]


def _label(row: Any) -> tuple[str, str]:
    """Return what a spot is called, as matplotlib writes it and as letters to be counted."""
    hkl = str(row["hkl"])
    if hkl:
        return f"${barred(hkl)}$", re.sub(r"[- ]", "", hkl)
    name = "d_spacing_nm"
    if name in row.index:
        text = f"{10.0 * float(row[name]):.2f} Å"
    else:
        text = f"{float(row[in_unit(name, 'px')]):.1f} px"
    return text, text


