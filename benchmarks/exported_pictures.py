"""Pictures as microscope software exports them, with bar and text drawn in: for tests and studies.

Each layout is what one family of programs draws.  The truth is the length of the bar that was
drawn, in pixels of the picture as it is written.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

_SCALABLE = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSerif", "STIXGeneral",
             "LiberationSans-Regular", "LiberationSans-Bold", "LiberationSerif-Regular",
             "LiberationMono-Regular", "LiberationSansNarrow-Regular", "FreeSans", "FreeSerif",
             "FreeMono")


@dataclass(frozen=True)
class Exported:
    """A rendered picture and its truth."""

    pixels: np.ndarray
    layout: str
    text: str
    pixel_size: float
    unit: str
    font: str
    letters_px: float
    quality: int | None

    def save(self, path: Path) -> None:
        """Write it as PNG or TIFF, or as JPEG of its quality."""
        options = {"quality": self.quality or 90} if path.suffix in (".jpg", ".jpeg") else {}
        Picture.fromarray(self.pixels).save(path, **options)


@lru_cache(maxsize=1)
def fonts() -> dict[str, str]:
    """Names and files of the fonts that this machine has, at least those of matplotlib."""
    from matplotlib import font_manager

    found = {Path(file).stem: file for file in sorted(font_manager.findSystemFonts())}
    own = Path(font_manager.__file__).parent / "mpl-data/fonts/ttf"
    found |= {file.stem: str(file) for file in sorted(own.glob("*.ttf"))}
    return {name: found[name] for name in _SCALABLE if name in found}


class Pen:
    """What a layout draws with: a picture, a font, and the number of pixels that a length has."""

    def __init__(self, ground: np.ndarray, font: str, letters: int, rng: np.random.Generator,
                 pixel_size: float, unit: str) -> None:
        self.picture = Picture.fromarray(ground)
        self.rng, self.letters = rng, letters
        self.font = ImageFont.truetype(fonts()[font], letters)
        self.pixel_size, self.unit = pixel_size, unit
        self.bar_px, self.text = 0, ""

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return self.picture.size

    @property
    def draw(self) -> ImageDraw.ImageDraw:
        """The drawing board."""
        return ImageDraw.Draw(self.picture)

    def choose(self, share: float, points: bool = False) -> None:
        """Choose a round length of about a share of the width, and how it is written."""
        width = self.size[0] * self.pixel_size
        steps = [m * 10.0 ** e for e in range(-4, 8) for m in (1, 2, 5)]
        length = min(steps, key=lambda step: abs(np.log(step / (share * width))))
        self.bar_px = max(2, round(length / self.pixel_size))
        # The truth is what was drawn, to a whole pixel.
        self.pixel_size = length / self.bar_px
        self.text = self._written(length, points)

    def _written(self, length: float, points: bool) -> str:
        blank = "" if self.rng.random() < 0.35 else " "
        if self.unit == "1/nm":
            return f"{length:g}{blank or ' '}{self.rng.choice(['1/nm', 'nm-1', '1/nm'])}"
        unit, factor = "nm", 1.0
        if length >= 1e6:
            unit, factor = "mm", 1e6
        elif length >= 1000 or (length >= 100 and self.rng.random() < 0.25):
            unit, factor = str(self.rng.choice(["µm", "μm", "um"])), 1e3
        elif length < 1:
            unit, factor = ("Å", 0.1) if self.rng.random() < 0.5 else ("nm", 1.0)
        number = f"{length / factor:.2f}" if points and length / factor < 100 \
            else f"{length / factor:g}"
        return f"{number}{blank}{unit}"

    def extent(self, text: str) -> tuple[int, int]:
        """Width and height of a text."""
        left, top, right, bottom = self.draw.textbbox((0, 0), text, font=self.font)
        return round(right - left), round(bottom - top)

    def write(self, text: str, left: float, top: float, level: int, outline: int | None = None
              ) -> None:
        """Write with the top left of the letters at a place."""
        x, y, _, _ = self.draw.textbbox((0, 0), text, font=self.font)
        stroke = {} if outline is None else {"stroke_width": 1, "stroke_fill": outline}
        self.draw.text((left - x, top - y), text, fill=level, font=self.font, **stroke)

    def box(self, left: float, top: float, width: float, height: float, level: int) -> None:
        """Fill a rectangle of so many pixels."""
        self.draw.rectangle([left, top, left + width - 1, top + height - 1], fill=level)

    def banner(self, rows: int, level: int) -> int:
        """Add rows below the picture; return the first of them."""
        columns, height = self.size
        longer = Picture.new("L", (columns, height + rows), level)
        longer.paste(self.picture)
        self.picture = longer
        return height


def _corner(pen: Pen) -> None:
    """Bar in a corner of the picture, its label above, below or right of it."""
    pen.choose(pen.rng.uniform(0.12, 0.28))
    columns, rows = pen.size
    width, height = pen.extent(pen.text)
    thick = int(pen.rng.integers(2, max(4, pen.letters // 2)))
    place = pen.rng.choice(["above", "below", "right"])
    # White on dark and black on bright grounds, or with an outline.
    mean = float(np.asarray(pen.picture)[int(0.8 * rows):].mean())
    level = 255 if mean < 128 else 0
    outline = 255 - level if pen.rng.random() < 0.3 else None
    margin = int(pen.rng.integers(8, 30))
    need = max(pen.bar_px, width) if place != "right" else pen.bar_px + width + pen.letters
    left = margin if pen.rng.random() < 0.5 else max(margin, columns - margin - need)
    gap = int(pen.rng.integers(2, max(4, pen.letters // 2)))
    top = rows - margin - thick - (height + gap if place == "below" else 0)
    if outline is not None:
        pen.box(left - 1, top - 1, pen.bar_px + 2, thick + 2, outline)
    pen.box(left, top, pen.bar_px, thick, level)
    middle = left + (pen.bar_px - width) / 2 if pen.rng.random() < 0.6 else left
    if place == "above":
        pen.write(pen.text, max(2, middle), top - gap - height, level, outline)
    elif place == "below":
        pen.write(pen.text, max(2, middle), top + thick + gap, level, outline)
    else:
        pen.write(pen.text, left + pen.bar_px + pen.letters // 2, top + thick / 2 - height / 2,
                  level, outline)


def _banner_with_ends(pen: Pen) -> None:
    """A black banner: settings on the left, a bar with end marks and its label on the right."""
    pen.choose(pen.rng.uniform(0.1, 0.25))
    top = pen.banner(round(3.2 * pen.letters), 0)
    width, _ = pen.extent(pen.text)
    left = pen.size[0] - pen.bar_px - 20
    row = top + round(2.3 * pen.letters)
    thick = max(1, pen.letters // 10)
    pen.box(left, row, pen.bar_px, thick, 255)
    for end in (left, left + pen.bar_px - thick):
        pen.box(end, row - pen.letters // 4, thick, pen.letters // 2 + thick, 255)
    pen.write(pen.text, left + (pen.bar_px - width) / 2, top + 0.6 * pen.letters, 255)
    words = f"{pen.rng.choice([80, 120, 200, 300])}kV"
    if pen.extent(words)[0] + 30 < left:
        pen.write(words, 10, top + 0.6 * pen.letters, 255)


def _table(pen: Pen) -> None:
    """A table under the picture: names over numbers, and a line with its label in the middle."""
    pen.letters = min(pen.letters, 26)
    pen.font = pen.font.font_variant(size=pen.letters)
    pen.choose(0.3)
    columns = pen.size[0]
    field = columns * pen.pixel_size
    rows = round(2.9 * pen.letters)
    top = pen.banner(rows, 0)
    pen.draw.rectangle([0, top, columns - 1, top + rows - 1], outline=255)
    width, height = pen.extent(pen.text)
    cell = max(pen.bar_px + 20, width + 40)
    start = columns - cell
    pen.draw.line([start, top, start, top + rows], fill=255)
    left = start + (cell - pen.bar_px) // 2
    line = top + round(0.75 * pen.letters)
    thick = max(1, pen.letters // 8)
    side = (pen.bar_px - width) // 2 - max(4, pen.letters // 4)
    if side > 12:
        for begin in (left, left + pen.bar_px - side):
            pen.box(begin, line, side, thick, 255)
        pen.write(pen.text, left + (pen.bar_px - width) / 2, line + thick / 2 - height / 2, 255)
    else:
        pen.box(left, line, pen.bar_px, thick, 255)
        pen.write(pen.text, left + (pen.bar_px - width) / 2, line + thick + 4, 255)
    values = [("HV", "5.00 kV"), ("WD", "4.0 mm"), ("det", "ETD")]
    if field >= 1000 and pen.rng.random() < 0.5:
        values.insert(0, ("HFW", f"{field / 1000:.3g} µm"))
    x = 8
    for name, value in values:
        wide = max(pen.extent(name)[0], pen.extent(value)[0]) + pen.letters
        if x + wide > start:
            break
        pen.write(name, x, top + 0.35 * pen.letters, 255)
        pen.write(value, x, top + 1.7 * pen.letters, 255)
        x += wide
        pen.draw.line([x - pen.letters // 2, top, x - pen.letters // 2, top + rows], fill=255)


def _ruler(pen: Pen) -> None:
    """A black banner with a ruler of eleven ticks over its label."""
    pen.choose(pen.rng.uniform(0.2, 0.4), points=pen.rng.random() < 0.5)
    step = max(14, round(pen.bar_px / 10))
    pen.pixel_size *= pen.bar_px / (10 * step)
    pen.bar_px = 10 * step
    top = pen.banner(round(3.0 * pen.letters), 0)
    left = pen.size[0] - pen.bar_px - 26
    for tick in range(11):
        tall = pen.letters if tick % 5 == 0 else 0.6 * pen.letters
        pen.box(left + tick * step - 1, top + 2, 3, max(6, round(tall * 0.8)), 255)
    width, height = pen.extent(pen.text)
    pen.write(pen.text, pen.size[0] - width - 10, top + 2.8 * pen.letters - height, 255)
    words = "10.0kV 11.2mm SE(U)"
    if pen.extent(words)[0] + 30 < left:
        pen.write(words, 10, top + 2.8 * pen.letters - height, 255)


def _boxed_corner(pen: Pen) -> None:
    """A white or black box in the corner with a line between end marks and settings."""
    pen.choose(pen.rng.uniform(0.1, 0.2))
    ground, ink = (255, 0) if pen.rng.random() < 0.6 else (0, 255)
    width, _ = pen.extent(pen.text)
    wide, tall = max(pen.bar_px, width) + 24, round(2.8 * pen.letters)
    columns, rows = pen.size
    left, top = (0, rows - tall) if pen.rng.random() < 0.5 else (columns - wide, rows - tall)
    pen.box(left, top, wide, tall, ground)
    pen.draw.rectangle([left, top, left + wide - 1, top + tall - 1], outline=ink)
    thick = max(1, pen.letters // 8)
    row, start = top + round(2.1 * pen.letters), left + (wide - pen.bar_px) // 2
    pen.box(start, row, pen.bar_px, thick, ink)
    if pen.rng.random() < 0.6:
        for end in (start, start + pen.bar_px - thick):
            pen.box(end, row - pen.letters // 5, thick, 2 * (pen.letters // 5) + thick, ink)
    pen.write(pen.text, left + (wide - width) / 2, top + 0.5 * pen.letters, ink)


def _ladder(pen: Pen) -> None:
    """A white box with a ladder of black and white pieces."""
    pen.choose(pen.rng.uniform(0.15, 0.3))
    width, _ = pen.extent(pen.text)
    columns, rows = pen.size
    wide, tall = max(pen.bar_px, width) + 16, round(2.3 * pen.letters)
    left, top = columns - wide - 4, rows - tall - 4
    pen.box(left, top, wide, tall, 255)
    pen.draw.rectangle([left, top, left + wide - 1, top + tall - 1], outline=0)
    thick, start = max(5, pen.letters // 4), left + (wide - pen.bar_px) // 2
    pen.box(start, top + 4, pen.bar_px, thick, 0)
    piece = pen.bar_px / 5
    for number in (1, 3):
        pen.box(round(start + number * piece), top + 5, round(piece), thick - 2, 255)
    pen.write(pen.text, left + (wide - width) / 2, top + 4 + thick + 0.3 * pen.letters, 0)


def _text_block(pen: Pen) -> None:
    """A white banner with lines of text on the left, bar and label on the right."""
    pen.choose(pen.rng.uniform(0.1, 0.25))
    top = pen.banner(round(4.2 * pen.letters), 255)
    width, _ = pen.extent(pen.text)
    left = pen.size[0] - max(pen.bar_px, width) - 30
    thick = max(2, pen.letters // 5)
    pen.box(left, top + pen.letters, pen.bar_px, thick, 0)
    pen.write(pen.text, left, top + pen.letters + thick + 0.4 * pen.letters, 0)
    for row, words in enumerate(("HV=80.0kV", "Operator", "PbS-17")):
        if pen.extent(words)[0] + 30 < left:
            pen.write(words, 10, top + (0.3 + 1.25 * row) * pen.letters, 0)


def _hollow(pen: Pen) -> None:
    """A white box with a dark outline as bar, label above."""
    pen.choose(pen.rng.uniform(0.12, 0.25))
    _, rows = pen.size
    _, height = pen.extent(pen.text)
    tall = max(5, pen.letters // 3)
    left, top = 20, rows - 20 - tall
    pen.box(left, top, pen.bar_px, tall, 0)
    pen.box(left + 1, top + 1, pen.bar_px - 2, tall - 2, 255)
    pen.write(pen.text, left, top - height - 5, 255, 0)


LAYOUTS: dict[str, Callable[[Pen], None]] = {
    "bar in a corner": _corner, "banner, end marks": _banner_with_ends, "table, split line": _table,
    "banner, ruler": _ruler, "box in a corner": _boxed_corner, "ladder": _ladder,
    "text block": _text_block, "outlined bar": _hollow,
}


def micrograph(rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Return a picture of dots, wires or film, bright or dark, with noise, as 8-bit grey."""
    from scipy import ndimage

    values = ndimage.gaussian_filter(rng.normal(size=(rows, columns)), rng.uniform(20, 60))
    values = 0.15 * values / values.std()
    y, x = np.mgrid[:rows, :columns]
    for _ in range(int(rng.integers(5, 60))):
        cy, cx, radius = rng.uniform(0, rows), rng.uniform(0, columns), rng.uniform(5, 50)
        values += rng.uniform(0.3, 1.0) * (np.hypot(y - cy, x - cx) < radius)
    for _ in range(int(rng.integers(0, 6))):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.3, 0.7) * columns
        across = np.abs((x - columns / 4) * np.sin(angle) + (y - rows / 4) * np.cos(angle) - offset)
        values += 0.7 * (across < rng.uniform(2, 12))
    values = ndimage.gaussian_filter(values, rng.uniform(0.5, 2.0))
    values += rng.uniform(0.02, 0.25) * rng.normal(size=values.shape)
    low, high = np.percentile(values, (0.5, 99.5))
    values = (values - low) / (high - low)
    if rng.random() < 0.5:
        values = 1.0 - values
    inner, outer = rng.uniform(0, 0.25), rng.uniform(0.7, 1.0)
    return np.clip(255 * (inner + (outer - inner) * values), 0, 255).astype(np.uint8)


def exported(layout: str, rng: np.random.Generator) -> Exported:
    """Render one picture of a layout: size, font, ground, length and compression by chance."""
    rows, columns = (int(side) for side in rng.choice(
        [(512, 512), (768, 1024), (1024, 1024), (960, 1280), (1536, 2048)]))
    font = str(rng.choice(list(fonts())))
    smallest = 12 if columns < 1200 else 16
    letters = int(np.exp(rng.uniform(np.log(smallest), np.log(48))))
    unit = "1/nm" if rng.random() < 0.06 else "nm"
    size = 10 ** rng.uniform(-3.5, -1.5) if unit == "1/nm" else 10 ** rng.uniform(-1.8, 2.5)
    pen = Pen(micrograph(rows, columns, rng), font, letters, rng, size, unit)
    LAYOUTS[layout](pen)
    pixels, pixel_size, height = np.asarray(pen.picture), pen.pixel_size, float(pen.letters)
    if rng.random() < 0.2 and letters > 18:  # scaled for a talk or a page
        factor = float(rng.uniform(0.6, 1.5))
        side = [round(n * factor) for n in (pixels.shape[1], pixels.shape[0])]
        pixels = np.asarray(Picture.fromarray(pixels).resize(side, Picture.Resampling.BICUBIC))
        pixel_size, height = pixel_size / (side[0] / pen.size[0]), height * factor
    quality = int(rng.integers(40, 96)) if rng.random() < 0.6 else None
    if quality is not None:
        stream = io.BytesIO()
        Picture.fromarray(pixels).save(stream, "JPEG", quality=quality)
        pixels = np.asarray(Picture.open(stream).convert("L"))
    return Exported(pixels, layout, pen.text, pixel_size, unit, font, height, quality)
