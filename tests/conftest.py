"""Fixtures that all tests share."""

import os
import shutil
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"


# Files whose tests share what takes minutes: where several workers share the files, these go first.
LONG = ("test_site.py", "test_packaging.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONG)


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


@pytest.fixture
def browser(tmp_path):
    """A real browser without a window, for the pages that emtools writes."""
    if not (Path(CHROMIUM).exists() and shutil.which(DRIVER)):
        pytest.skip("the page was not opened in a browser: install the packages chromium and "
                    "chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
                 "--no-first-run", "--disable-background-networking", "--disable-component-update",
                 "--disable-sync", "--window-size=1280,900",
                 f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()
