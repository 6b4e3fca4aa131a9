"""Figure of a lattice result: image and transform; of many grains their orientation, spacings."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from emtools.figures.display import picture
from emtools.figures.images import panel_size, show
from emtools.figures.lattice.common import letter, named, occupied, wrapped
from emtools.figures.lattice.grains import (
    colour_grains,
    direction_key,
    grain_count,
    grain_key,
    key_height,
    outline_grains,
)
from emtools.figures.lattice.spacings import show_spacings
from emtools.figures.lattice.spots import mark_spots, show_spectrum
from emtools.figures.style import (
    COLUMN_IN,
    POINTS,
    TEXT_PT,
    TWO_COLUMNS_IN,
    note,
    panel,
    sheet,
    style,
)
from emtools.figures.transforms import power_spectrum

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from emtools.figures.transforms import PowerSpectrum
    from emtools.model import Image, Result

# Inches: around the panels, between them, below and beside them for numbers, a line of text.
_EDGE, _BETWEEN, _TICKS, _LINE = 0.01, 0.05, 0.34, 0.135
_RIGHT, _RIGHT_DECIMALS = 0.36, 0.5
_TALLEST, _TALLEST_OF_FOUR = 2.4, 3.4
_LETTERS = 62
_LIGHTER = 0.6  # of the range of grey levels: where black is put under colours
FEWEST_GRAINS = 3  # of fewer, orientations and spacings are better read in the table


def lattice_figure(image: Image, result: Result) -> Figure:
    """Return the image with grain outlines beside its transform with the spots marked.

    Spots (both Friedel mates) are circled in the colour of their grain and labelled with hkl where
    indexed, else with their spacing; of many spots one of each of the strongest families is
    labelled.  Where phases were given, rings show where their strongest families would lie.  From
    three grains on the figure is two columns wide and has two more panels: the grains coloured by
    the direction of their lattice, and histograms of the spacings of each family of planes, with
    mean, standard error and reference.

    Parameters
    ----------
    image
        The image that was measured.
    result
        Of the ``lattice`` measurement.

    Raises
    ------
    ImageError
        If the image is no picture.
    """
    reflections = result.tables["reflections"]
    largest = float(reflections[named(reflections, "k_per_nm")].max()) if len(reflections) else 0.0
    spectrum = None
    if not result.outcome.startswith("not measurable"):
        spectrum = power_spectrum(image, largest)
    with style():
        if spectrum is None:
            return _without_spectrum(image, result)
        if len(result.tables["grains"]) >= FEWEST_GRAINS:
            return _four_panels(image, result, spectrum)
        return _side_by_side(image, result, spectrum)


def _side_by_side(image: Image, result: Result, spectrum: PowerSpectrum) -> Figure:
    wide, high, right, numbers = _sizes(image, spectrum, COLUMN_IN, _TALLEST)
    key = grain_key(result)
    lines = [] if key else wrapped(result.outcome, int(wide * POINTS / (0.57 * TEXT_PT)))
    bottom = max(_TICKS, _LINE * max(len(key), len(lines)) + 0.03)
    figure = sheet(high + bottom + _EDGE, wide + right + 2 * _EDGE + _BETWEEN + numbers)
    left = panel(figure, (_EDGE, bottom, wide, high))
    show(left, picture(image), avoid=occupied(result, _shape(image)))
    outline_grains(left, result, _shape(image))
    axes = panel(figure, (_EDGE + wide + _BETWEEN, bottom, right, high))
    show_spectrum(axes, spectrum)
    mark_spots(axes, image, result, spectrum)
    if key:
        left.legend(handles=key, loc="upper left", bbox_to_anchor=(0.0, 0.0), frameon=False,
                    borderpad=0.1, borderaxespad=0.1, handlelength=1.0, handletextpad=0.4,
                    labelspacing=0.25)
    for i, line in enumerate(lines):
        note(figure, line, bottom - 0.03 - _LINE * i)
    return figure


def _four_panels(image: Image, result: Result, spectrum: PowerSpectrum) -> Figure:
    wide, high, right, numbers = _sizes(image, spectrum, TWO_COLUMNS_IN, _TALLEST_OF_FOUR)
    shown = picture(image)
    below = max(key_height(result), _TICKS - 0.1) + 0.04
    figure = sheet(2 * high + _TICKS + below + 2 * _EDGE,
                   wide + right + 2 * _EDGE + _BETWEEN + numbers)
    upper, lower = _EDGE + below + high + _TICKS, _EDGE + below
    first = panel(figure, (_EDGE, upper, wide, high))
    show(first, shown, avoid=occupied(result, _shape(image)))
    outline_grains(first, result, _shape(image))
    letters = int(wide * POINTS / (0.6 * TEXT_PT))
    for i, line in enumerate(wrapped(grain_count(result), letters)[:2]):
        note(figure, line, upper - 0.03 - _LINE * i, _EDGE)
    at_right = _EDGE + wide + _BETWEEN
    second = panel(figure, (at_right, upper, right, high))
    show_spectrum(second, spectrum)
    mark_spots(second, image, result, spectrum)
    third = panel(figure, (_EDGE, lower, wide, high))
    # Lightened, the ground does not dim the colours.
    low, high_level = shown.limits
    light = replace(shown, limits=(low - _LIGHTER * (high_level - low), high_level))
    show(third, light, scale_bar=False)
    colour_grains(third, result, _shape(image))
    direction_key(figure, result, (_EDGE, lower - 0.04, wide))
    show_spacings(figure, result, (at_right, lower - below + 0.02, right + numbers - _EDGE,
                                   high + below - 0.04))
    for text, x, y in (("a", _EDGE, upper), ("b", at_right, upper), ("c", _EDGE, lower),
                       ("d", at_right, lower)):
        letter(figure, (x, y + high), text)
    return figure


def _sizes(
    image: Image, spectrum: PowerSpectrum, width: float, tallest: float
) -> tuple[float, float, float, float]:
    """Return width and height of the image's panel, width of the transform's and its numbers'."""
    shown = picture(image)
    numbers = _RIGHT if spectrum.extent[1] > 1.0 else _RIGHT_DECIMALS
    room = width - 2 * _EDGE - _BETWEEN - numbers
    # Both panels are equally high; the transform is nearly square.
    high = min(room / (1.0 / max(shown.aspect, 0.3) + 1.0 / _aspect(spectrum)), tallest)
    wide, _ = panel_size(shown, high / max(shown.aspect, 0.3), high)
    return wide, high, high / _aspect(spectrum), numbers


def _shape(image: Image) -> tuple[int, int]:
    return image.axis("y").size, image.axis("x").size


def _without_spectrum(image: Image, result: Result) -> Figure:
    shown = picture(image)
    wide, high = panel_size(shown, COLUMN_IN - 2 * _EDGE)
    lines = wrapped(result.outcome, _LETTERS)
    bottom = _LINE * len(lines) + 0.03
    figure = sheet(high + _EDGE + bottom, COLUMN_IN)
    show(panel(figure, (_EDGE, bottom, wide, high)), shown)
    for i, line in enumerate(lines):
        note(figure, line, bottom - 0.03 - _LINE * i)
    return figure


def _aspect(spectrum: PowerSpectrum) -> float:
    left, right, bottom, top = spectrum.extent
    return max(abs((bottom - top) / (right - left)), 0.5)
