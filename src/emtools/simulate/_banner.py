"""The banner that microscope software burns into exported pictures: scale bar and text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Five columns by seven rows, each row a number whose bits are the pixels.
_GLYPHS = {
    "0": (14, 17, 19, 21, 25, 17, 14), "1": (4, 12, 4, 4, 4, 4, 14),
    "2": (14, 17, 1, 6, 8, 16, 31), "3": (30, 1, 1, 14, 1, 1, 30),
    "4": (2, 6, 10, 18, 31, 2, 2), "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14), "7": (31, 1, 2, 4, 8, 8, 8),
    "8": (14, 17, 17, 14, 17, 17, 14), "9": (14, 17, 17, 15, 1, 2, 12),
    "n": (0, 0, 22, 25, 17, 17, 17), "m": (0, 0, 26, 21, 21, 21, 21),
    "µ": (0, 0, 17, 17, 19, 29, 16), "k": (16, 16, 18, 20, 24, 20, 18),
    "V": (17, 17, 17, 17, 17, 10, 4), "H": (17, 17, 17, 31, 17, 17, 17),
    "A": (14, 17, 17, 31, 17, 17, 17), "D": (30, 17, 17, 17, 17, 17, 30),
    "F": (31, 16, 16, 30, 16, 16, 16), "T": (31, 4, 4, 4, 4, 4, 4),
    "E": (31, 16, 16, 30, 16, 16, 31), "M": (17, 27, 21, 21, 17, 17, 17),
    ".": (0, 0, 0, 0, 0, 12, 12), " ": (0, 0, 0, 0, 0, 0, 0),
}


def bar_length_nm(width_nm: float) -> float:
    """Round length (1, 2 or 5 times a power of ten) of about a fifth of the picture's width."""
    target = width_nm / 5.0
    power = 10.0 ** math.floor(math.log10(target))
    return max(step * power for step in (1.0, 2.0, 5.0) if step * power <= target * 1.0001)


def length_text(length_nm: float) -> str:
    """A bar's label: ``100 nm``, ``2 µm``."""
    return f"{length_nm / 1000:g} µm" if length_nm >= 1000 else f"{length_nm:g} nm"


def text_mask(text: str, height_px: int) -> NDArray[np.float64]:
    """Return `text` as an image between 0 and 1, glyphs about `height_px` high."""
    from scipy.ndimage import zoom

    rows = []
    for row in range(7):
        bits: list[int] = []
        for letter in text:
            number = _GLYPHS.get(letter, _GLYPHS[" "])[row]
            bits += [number >> shift & 1 for shift in (4, 3, 2, 1, 0)] + [0]
        rows.append(bits)
    glyphs = np.pad(np.array(rows, dtype=float), 1)
    # Smooth enlargement rounds the steps off, as a real font's edges are grey.
    enlarged = zoom(glyphs, height_px / 7.0, order=1)
    return np.asarray(np.clip(1.6 * enlarged - 0.3, 0.0, 1.0))


def banner_rows(n_rows: int) -> int:
    """Height of the banner of a picture with `n_rows` rows above it."""
    return max(24, round(0.06 * n_rows))


def draw_banner(rows: int, columns: int, pixel_size_nm: float, note: str) -> NDArray[np.float64]:
    """Return a banner between 0 (black) and 1 (white): scale bar, its length, and a note."""
    banner = np.zeros((rows, columns))
    length_nm = bar_length_nm(columns * pixel_size_nm)
    bar_px = round(length_nm / pixel_size_nm)
    left, thick = max(8, columns // 40), max(3, rows // 8)
    top = (rows - thick) // 2
    banner[top: top + thick, left: left + bar_px] = 1.0
    _put(banner, text_mask(length_text(length_nm), rows // 2), left + bar_px + 8)
    words = text_mask(note, rows // 2)
    _put(banner, words, columns - words.shape[1] - 8)
    return banner


def _put(banner: NDArray[np.float64], words: NDArray[np.float64], left: int) -> None:
    top = (banner.shape[0] - words.shape[0]) // 2
    if left < 0 or left + words.shape[1] > banner.shape[1] or top < 0:
        return  # a note that does not fit is left out, as the software does
    area = banner[top: top + words.shape[0], left: left + words.shape[1]]
    if not area.any():
        area[...] = words
