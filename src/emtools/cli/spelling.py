"""What a terminal's encoding cannot show is spelled out: the consoles of Windows, LC_ALL=C."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

_SPELLED = {"±": "+-", "µ": "u", "μ": "u", "Å": "A", "\N{ANGSTROM SIGN}": "A", "°": " deg",
            "×": "x", "·": "*", "–": "-", "—": "-", "−": "-", "…": "...", "σ": "sigma",
            "→": "->", "≤": "<=", "≥": ">=", "¹": "1", "²": "2", "³": "3", "⁻": "-"}


def spell_out(*streams: TextIO) -> None:
    """Have streams spell out what they cannot write.

    File names may hold letters that no encoding of this machine has, or bytes that are no text:
    they are shown as escapes, not stumbled over.
    """
    codecs.register_error("emtools", _spelled)
    for stream in streams:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="emtools")


def _spelled(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeEncodeError):
        letter = error.object[error.start]
        if letter in _SPELLED:
            return _SPELLED[letter], error.start + 1
        error.end = error.start + 1
    return codecs.backslashreplace_errors(error)
