"""Fixtures that all tests share."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def real_data_folder() -> Path | None:
    """The folder with real microscope files and their catalogue, or None where it is absent."""
    named = os.environ.get("EMTOOLS_REAL_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    return folder if (folder / "catalog.json").is_file() else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real microscope files."""
    folder = real_data_folder()
    if folder is None:
        pytest.skip("real microscope files not tested: set EMTOOLS_REAL_DATA; "
                    "docs/real_data.md lists where they come from")
    return folder
