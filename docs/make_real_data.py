"""Write docs/real_data.md, the list of real microscope files, from their catalogue.

Run it in the repository: ``python docs/make_real_data.py [FOLDER]``; without a folder it takes
``EMTOOLS_REAL_DATA`` or ``../shared/data`` beside the repository.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

REPOSITORY = Path(__file__).resolve().parents[1]
HEAD = """# Real microscope files

Tests marked `real` and the validation studies read files of other projects.  None of them is part
of this repository; where they are absent, those tests are skipped.  To run them, fetch the files
from the places below into one folder, under the paths of the first column and with the catalogue
(`catalog.json`) beside them, and name that folder in `EMTOOLS_REAL_DATA`.  A folder `shared/data`
beside the repository is found without being named.

This page is written by `docs/make_real_data.py` from the catalogue.
"""


def main(arguments: list[str]) -> None:
    """Write the page."""
    default = os.environ.get("EMTOOLS_REAL_DATA") or REPOSITORY.parent / "shared" / "data"
    folder = Path(arguments[0] if arguments else default)
    entries = json.loads((folder / "catalog.json").read_text(encoding="utf-8"))
    page = HEAD + "".join(section(source, entries) for source in sources(entries))
    (REPOSITORY / "docs" / "real_data.md").write_text(page, encoding="utf-8")


def sources(entries: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Return each repository, commit and licence once, sorted."""
    return sorted({(entry["source"], entry["commit"], entry["licence"]) for entry in entries})


def section(source: tuple[str, str, str], entries: list[dict[str, Any]]) -> str:
    """Return the table of one repository's files."""
    url, commit, licence = source
    lines = [f"\n## {url.removeprefix('https://github.com/')}\n",
             f"{url}, commit `{commit}`, licence {licence}\n",
             "| file | in the repository | what it is | good for | SHA-256 |",
             "|---|---|---|---|---|"]
    for entry in sorted(entries, key=lambda entry: str(entry["file"])):
        if (entry["source"], entry["commit"], entry["licence"]) != source:
            continue
        link = f"{url}/blob/{commit}/{quote(entry['source_path'])}"
        lines.append(f"| `{entry['file']}` | [{cell(entry['source_path'])}]({link}) "
                     f"| {cell(entry['kind'])} | {cell(entry['good_for'])} "
                     f"| `{entry['sha256'][:16]}` |")
    return "\n".join(lines) + "\n"


def cell(text: object) -> str:
    """Return a text that fits in a table's cell."""
    return " ".join(str(text).replace("|", "/").split())


if __name__ == "__main__":
    main(sys.argv[1:])
