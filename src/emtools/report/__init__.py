"""Records of measured images -> one HTML page that holds everything and asks for nothing."""

from __future__ import annotations

import base64
import hashlib
import os
import platform
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emtools._version import __version__
from emtools.report.page import image_view, line_view, rows_shown
from emtools.report.population import common_parameters, population
from emtools.report.wording import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["write_report"]


def write_report(
    folder: str | os.PathLike[str], records: Sequence[Mapping[str, Any]], *,
    title: str = "emtools report", version: str = __version__,
) -> Path:
    """Write ``index.html``: every image with its outcome, pictures, tables and doubts.

    The page is one file that works without a network; thumbnails are inside it, full pictures are
    linked by their paths relative to it.  Names and metadata out of files are shown as text,
    whatever they contain.

    Parameters
    ----------
    folder
        Where ``index.html`` is written, whole or not at all; made if need be.
    records
        One for each image: plain mappings with ``file, image, status, reason, description, audit,
        thumbnail, measurements, skipped`` ...; what is missing is left out.
    title
        Title of the page.
    version
        Of the program that measured.

    Returns
    -------
    Path
        The page.
    """
    page = _render(records, title, version)
    target = Path(folder) / "index.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        # A file name that is not valid text holds lone surrogates, which UTF-8 refuses.
        partial.write_bytes(page.encode("utf-8", "backslashreplace"))
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def _render(records: Sequence[Mapping[str, Any]], title: str, version: str) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("emtools", "report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    environment.filters["say"] = text
    most_rows = rows_shown(len(records))
    images = [image_view(record, i, most_rows) for i, record in enumerate(records, start=1)]
    style, script = _asset("page.css"), _asset("page.js")
    return environment.get_template("page.jinja").render(
        title=title, versions={"emtools": version, "Python": platform.python_version()},
        parameters=common_parameters(records),
        lines=[line_view(line) for line in population(records)],
        measured=[image for image in images if image["status"] == "measured"],
        left_out=[image for image in images if image["status"] == "left out"],
        failed=[image for image in images if image["status"] == "failed"],
        others=[image for image in images if image["status"] == "other file"],
        style=style, script=script, style_hash=_hash(style), script_hash=_hash(script),
    )


def _asset(name: str) -> str:
    return resources.files("emtools.report").joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """Return what a content security policy calls a script or style that it lets run."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
