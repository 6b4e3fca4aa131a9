"""The scale of a picture, from the bar that a program drew into it and the text beside it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emtools.io.scale_bar.candidates import shared_px, worth_trying
from emtools.io.scale_bar.grammar import (
    Length,
    is_of_else,
    is_round,
    parse_field,
    parse_length,
    without_marks,
)
from emtools.io.scale_bar.labels import Label, find_labels, read_line
from emtools.process.annotations import Annotations, find_annotations
from emtools.process.bars import Bar, as_levels, bars_among
from emtools.units import LENGTH, parse_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Each end of a bar may be a pixel off: drawn with an outline, rounded, resampled (even within +-1).
_END_ERR_PX = 1.0 / math.sqrt(3.0)
_FEW = 4  # places, and pairs of bar and label
_ENLARGED = (1.0, 2.0, 3.0)  # small letters are found only when enlarged
_DRAWN = 0.6  # of the picture's range: the contrast of what is drawn; some objects have less
_MARGINS = (0.02, 0.18)  # of the height of the letters: what is written does not depend on the cut
_NEAR = 2.0  # heights of the letters between label and bar, at most
_BESIDE = 3.0  # the same where it stands left or right
_FIELD_TOLERANCE = 0.05
_FRAME = 1.2  # letters: strokes whose ends go on up or down for so long are sides of frames
_LOG_TWO = math.log(2.0)  # a stroke that is longer or shorter than that by a factor is no rival
_RIVAL = 0.5  # contrast of a stroke that may be the bar in place of another one
# Magnification times field of view is the width of the screen, film or camera that it refers to.
_SCREEN_MM = (8.0, 700.0)
_PLAUSIBLE_NM = (5e-4, 5e4)  # pixel sizes from atoms to the lowest magnification of an SEM
_PLAUSIBLE_PER_NM = (1e-5, 1.0)
_FEW_ATOMS_NM = 3.0  # a narrower field is hardly ever shown; an exponent may be lost of a unit 1/nm


@dataclass(frozen=True)
class ScaleReading:
    """What a picture itself says about its scale.

    Parameters
    ----------
    bar
        The bar; its length is in pixels.
    label
        The text beside it, and where it is.
    length
        What the text says, in nm or 1/nm.
    doubts
        Why the reading may be wrong; none for one that is sure.
    confirmed_by
        What else in the picture says the same: ``field of view`` or nothing.
    texts
        All that was read around it.
    drawn
        Banner and bars that are of exactly one value, if there are any.
    """

    bar: Bar
    label: Label
    length: Length
    doubts: tuple[str, ...] = ()
    confirmed_by: str = ""
    texts: tuple[str, ...] = field(default=(), repr=False)
    drawn: Annotations | None = field(default=None, repr=False, compare=False)

    @property
    def unit(self) -> str:
        """``nm`` or ``1/nm``."""
        return self.length.unit

    @property
    def pixel_size(self) -> float:
        """In `unit`."""
        return self.length.value / self.bar.length_px

    @property
    def relative_err(self) -> float:
        """1 sigma of reading both ends of the bar, relative."""
        return math.sqrt(2.0) * _END_ERR_PX / self.bar.length_px


@dataclass(frozen=True)
class NoReading:
    """Why a picture's scale could not be read, and whether there may be a bar at all."""

    reason: str
    bar_found: bool = False


class _Pair(NamedTuple):
    bar: Bar
    label: Label
    length: Length | None
    distance: float


def read_scale_bar(pixels: NDArray[np.generic]) -> ScaleReading | NoReading:
    """Read the scale that is drawn into a picture.

    Parameters
    ----------
    pixels
        ``(y, x)``, real.

    Returns
    -------
    ScaleReading or NoReading
        A reading that is not plausible, or on which the ways of looking at its label do not agree,
        is none.
    """
    levels = as_levels(pixels)
    bars = [] if levels is None else worth_trying(bars_among(levels), levels.shape)
    if levels is None or not bars:
        return NoReading("no scale bar is drawn into it")
    drawn = find_annotations(pixels)
    reading = _read(levels, bars, None if drawn is None else _banner(drawn))
    return replace(reading, drawn=drawn) if isinstance(reading, ScaleReading) else reading


def _read(
    levels: NDArray[np.uint8], bars: list[Bar], banner: slice | None
) -> ScaleReading | NoReading:
    """Look for labels, enlarged more and more, until one is read without a doubt."""
    seen: list[str] = []
    doubtful: list[ScaleReading] = []
    strokes = bars
    for enlarged in _ENLARGED:
        # A whole banner cannot be enlarged: then what is beside each bar, if it may be a drawn one.
        if enlarged > 1.0:
            bars, banner = [bar for bar in bars if bar.contrast > _DRAWN], None
        labels = _labels(levels, bars, banner, enlarged)
        seen = [label.text for label in labels if label.text] or seen
        pairs = sorted(_pairs(bars, labels), key=lambda pair: pair.distance)
        for pair in pairs[:_FEW]:
            reading = _checked(pair, levels, labels)
            if reading is not None and not reading.doubts:
                return _beside_others(reading, strokes)
            doubtful += [] if reading is None else [reading]
    if doubtful:
        return _beside_others(min(doubtful, key=lambda one: len(one.doubts)), strokes)
    return NoReading("a bar may be drawn into it, but no length beside it could be read with "
                     "certainty" + (f" (text found: {'; '.join(seen[:4])})" if seen else ""),
                     bar_found=True)


def _beside_others(reading: ScaleReading, bars: list[Bar]) -> ScaleReading:
    """The reading, in doubt where a stroke close by, of another length, may be the bar."""
    bar, letters = reading.bar, reading.label.height
    others = [other for other in bars if other is not bar and other.contrast > _RIVAL
              and not _of_letters(other, reading.label)
              and other.corners_px <= _FRAME * letters
              and max(other.top - bar.bottom, bar.top - other.bottom) < 0.5 * letters
              and shared_px(bar, other) > 0.8 * min(bar.length_px, other.length_px)
              and _FIELD_TOLERANCE < abs(math.log(other.length_px / bar.length_px)) < _LOG_TWO]
    doubts = tuple(f"another stroke beside it is {other.length_px:.0f} px long"
                   for other in others[:1])
    return replace(reading, doubts=(*reading.doubts, *doubts))


def _banner(drawn: Annotations) -> slice | None:
    """Rows of a banner, which are read as a whole."""
    rows = np.flatnonzero(drawn.mask.all(axis=1))
    return slice(int(rows[0]), int(rows[-1]) + 1) if rows.size else None


def _labels(
    levels: NDArray[np.uint8], bars: list[Bar], banner: slice | None, enlarged: float
) -> list[Label]:
    """Texts around the bars; places that overlap are read once."""
    height, width = levels.shape
    places: list[tuple[slice, slice]] = []
    for bar in bars:
        if any(rows.start <= bar.top and bar.bottom <= rows.stop and columns.start <= bar.left
               and bar.right <= columns.stop for rows, columns in places):
            continue
        if banner is not None and banner.start <= bar.top and bar.bottom <= banner.stop:
            places.append((slice(max(0, banner.start), banner.stop), slice(0, width)))
            continue
        up = max(70.0, min(0.5 * bar.length_px, 0.15 * height))
        aside = max(0.6 * bar.length_px, 250.0, 0.1 * width)
        places.append((slice(max(0, int(bar.top - up)), min(height, int(bar.bottom + up))),
                       slice(max(0, int(bar.left - aside)), min(width, int(bar.right + aside)))))
    return [label for rows, columns in places[:_FEW]
            for label in _in_lines(find_labels(levels, rows, columns, enlarged), width)]


def _in_lines(labels: list[Label], width: int) -> list[Label]:
    """Join pieces of one line, and widen those that are but a number or a unit."""
    joined = list(labels)
    for one in labels:
        text = one.text.strip()
        for other in labels:
            low, high = max(one.top, other.top), min(one.bottom, other.bottom)
            height = min(one.height, other.height)
            gap = other.left - one.right
            if one is not other and high - low > 0.6 * height and -height < gap < 1.2 * height:
                joined.append(one._replace(
                    text=f"{text} {other.text}", score=min(one.score, other.score),
                    top=min(one.top, other.top), bottom=max(one.bottom, other.bottom),
                    right=other.right))
        if parse_length(f"1 {text}") is not None:
            joined.append(one._replace(text="", left=max(0.0, one.left - 4 * one.height)))
        elif parse_length(f"{text} nm") is not None:
            joined.append(one._replace(text="", right=min(width, one.right + 4 * one.height)))
    return joined


def _pairs(bars: list[Bar], labels: list[Label]) -> list[_Pair]:
    found = []
    texts = _texts(labels)
    for label in labels:
        length = parse_length(label.text)
        if label.text and (length is None or is_of_else(label.text, texts)):
            continue
        for bar in bars:
            if any(_framed(label, bar, other) for other in bars):
                continue
            apart = _apart(bar, label)
            distance = _distance(bar, apart)
            if distance is not None:
                # What has been widened is read for the first time: after all that is plain.
                found.append(_Pair(bar, apart, length, distance + 1.0 * (length is None)))
    return found


def _framed(label: Label, one: Bar, other: Bar) -> bool:
    """Whether two strokes of one extent are the sides of a frame around a label."""
    alike = abs(one.left - other.left) < 3 and abs(one.right - other.right) < 3
    middle = 0.5 * (label.top + label.bottom)
    return alike and min(one.top, other.top) < middle < max(one.bottom, other.bottom) \
        and abs(one.top - other.top) > 0.5 * label.height


def _of_letters(bar: Bar, label: Label) -> bool:
    """Whether a stroke is one of the letters."""
    inside = label.top <= bar.top and bar.bottom <= label.bottom
    return inside and bar.kind != "split" and bar.length_px < 0.6 * (label.right - label.left)


def _apart(bar: Bar, label: Label) -> Label:
    """Cut a bar's rows off the box of a label that was found together with it."""
    shared = min(bar.bottom, label.bottom) - max(bar.top, label.top)
    if bar.kind != "bar" or shared <= 0 or bar.right <= label.left or label.right <= bar.left:
        return label
    above, below = bar.top - label.top, label.bottom - bar.bottom
    if _of_letters(bar, label) or max(above, below) < 0.5 * label.height:
        return label
    return label._replace(bottom=bar.top) if above > below else label._replace(top=bar.bottom)


def _distance(bar: Bar, label: Label) -> float | None:
    """How far a label is from a bar in heights of its letters; None if it cannot belong to it."""
    letters = max(label.height, 1.0)
    above = max(label.top - bar.bottom, bar.top - label.bottom, 0.0) / letters
    aside = max(label.left - bar.right, bar.left - label.right, 0.0) / letters
    middle = abs(0.5 * (label.left + label.right - bar.left - bar.right)) / letters
    # Labels stand over the middle of a bar or over one of its ends.
    aligned = min(middle, abs(label.left - bar.left) / letters,
                  abs(label.right - bar.right) / letters)
    if bar.length_px < 0.8 * letters:
        return None
    if _of_letters(bar, label) or bar.corners_px > _FRAME * letters:  # the latter are frames
        return None
    # A strip around the label is none; a bar beside it may lie at the same height.
    framed = (bar.kind != "split" and bar.top < 0.5 * (label.top + label.bottom) < bar.bottom
              and bar.left < 0.5 * (label.left + label.right) < bar.right)
    if framed or above > _NEAR or aside > _BESIDE or (above > 0.5 and aside > 0.5):
        return None
    if bar.kind == "split":
        off = abs(0.5 * (label.top + label.bottom - bar.top - bar.bottom))
        between = bar.left < label.left and label.right < bar.right
        # The pieces beside it may have been found with it, as dashes: these stand at half height,
        # the feet of letters do not.
        with_dashes = bar.left - letters < label.left and label.right < bar.right + letters
        in_line = off < 0.35 * letters if between else with_dashes and off < 0.15 * letters
        return 0.2 * middle - 1.0 if in_line and middle < 1.5 else None
    # A frame that is drawn around both has less contrast, on its outside at least; what is no
    # drawing has little.
    faint = 1.0 * (bar.contrast < _DRAWN)
    return above + aside + 0.1 * aligned + (1.0 - bar.contrast) + faint


def _checked(pair: _Pair, levels: NDArray[np.uint8], labels: list[Label]) -> ScaleReading | None:
    """Read the label again in several ways, and hold what it says against what else is known."""
    lines = [_line(levels, pair.label, margin) for margin in _MARGINS]
    read = [parse_length(text) for line in lines for text in read_line(line)]
    known = {_said(length): length for length in (pair.length, *read) if length is not None}
    votes = Counter(_said(length) for length in read if length is not None)
    if pair.length is not None:
        votes[_said(pair.length)] += 2
    if not votes:
        return None
    (first, count), *others = votes.most_common()
    against = sum(number for _, number in others)
    if against > 0.4 * count or count < 0.4 * len(read):
        return None
    length = known[first]
    texts = _texts(labels)
    judged = _plausible(pair.bar, length, levels.shape[1], texts)
    if judged is None:
        return None
    confirmed, doubts = judged
    if against and not confirmed:
        doubts.insert(0, f"its label might also be read {others[0][0][0]:g} {others[0][0][1]}")
    if count < 0.6 * len(read) and not confirmed:
        doubts.insert(0, f"its label {pair.label.text!r} is hard to read")
    label = pair.label._replace(text=without_marks(pair.label.text)
                                or f"{_in_unit_read(length):g} {length.unit_read}")
    return ScaleReading(pair.bar, label, length, tuple(doubts), confirmed, tuple(texts))


def _texts(labels: list[Label]) -> list[str]:
    """What was read, line by line, then each heading of a table with what stands under it."""
    plain = [label for label in labels if label.text]
    below = [f"{head.text} {value.text}" for head in plain for value in plain
             if 0 <= value.top - 0.5 * (head.top + head.bottom) < 1.5 * head.height
             and min(head.right, value.right) > max(head.left, value.left)]
    return [label.text for label in plain] + below


def _said(length: Length) -> tuple[float, str]:
    return float(f"{length.value:.6g}"), length.unit


def _line(levels: NDArray[np.uint8], label: Label, share: float) -> NDArray[np.uint8]:
    height, width = levels.shape
    margin = share * label.height
    rows = slice(max(0, math.floor(label.top - margin)),
                 min(height, math.ceil(label.bottom + margin)))
    columns = slice(max(0, math.floor(label.left - 2 * margin)),
                    min(width, math.ceil(label.right + 2 * margin)))
    return levels[rows, columns]


def _plausible(
    bar: Bar, length: Length, width: int, texts: list[str]
) -> tuple[str, list[str]] | None:
    """Return what confirms a reading and what speaks against it; None if it cannot be."""
    size = length.value / bar.length_px
    low, high = _PLAUSIBLE_NM if length.unit == LENGTH else _PLAUSIBLE_PER_NM
    if not low <= size <= high:
        return None
    doubts = []
    number = length.value if length.unit_read == "nm" else _in_unit_read(length)
    if not is_round(number):
        doubts.append(f"{number:g} is no round number")
    if length.unit_read == "pm":
        doubts.append("pm looks like µm to the reader of text")
    said = parse_field(texts)
    if length.unit != LENGTH:
        return "", doubts
    field_nm = size * width
    if said.width_nm is not None:
        if abs(field_nm / said.width_nm - 1.0) < _FIELD_TOLERANCE:
            return "field of view", []
        doubts.append(f"the field of view is stated as {said.width_nm:g} nm, the bar makes it "
                      f"{field_nm:.4g} nm")
    if said.magnification is not None and not (
            _SCREEN_MM[0] < said.magnification * field_nm * 1e-6 < _SCREEN_MM[1]):
        doubts.append(f"a magnification of {said.magnification:g} does not fit a field of "
                      f"{field_nm:.4g} nm")
    if field_nm < _FEW_ATOMS_NM:
        doubts.append(f"it makes the picture {field_nm:.2g} nm wide: the unit may be 1/nm")
    return "", doubts


def _in_unit_read(length: Length) -> float:
    return float(f"{length.value / parse_unit(length.unit_read).factor:.8g}")
