"""The documentation site: built without a warning, notebooks executed, whole without a network."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from emtools import measure

REPOSITORY = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    pytest.importorskip("sphinx", reason="the site was not built: install emtools[docs]")
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", ".",
         str(target / "html"), "-d", str(target / "doctrees")],
        cwd=REPOSITORY, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    return target / "html"


class Page(HTMLParser):
    """Links and anchors of a page, and what a browser loads for it."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors, self.loaded = [], set(), []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in ("script", "img", "iframe", "source") and found.get("src"):
            self.loaded.append(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload"):
            self.loaded.append(found["href"])


@pytest.fixture(scope="module")
def pages(site):
    return {path: Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}


def test_the_site_is_built_without_a_warning_and_every_notebook_runs(site):
    for notebook in (REPOSITORY / "notebooks").glob("*.ipynb"):
        page = (site / "notebooks" / f"{notebook.stem}.html").read_text(encoding="utf-8")
        assert "cell_output" in page
        assert "Traceback" not in page


def test_every_link_and_anchor_is_there(site, pages):
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else set()
            if not target.exists() or (anchors and parts.fragment
                                       and unquote(parts.fragment) not in anchors):
                broken.append((path.name, link))
    assert not broken


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONVENTIONS.md"])
def test_links_of_the_pages_at_the_top_are_there(name):
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert not [link for link in links if not (REPOSITORY / link).exists()]
    assert name != "README.md" or len(links) > 15


def test_nothing_is_loaded_from_elsewhere(pages):
    loaded = {(path.name, one) for path, page in pages.items() for one in page.loaded}
    assert not {one for one in loaded if urlsplit(one[1]).netloc}


def test_every_column_and_parameter_is_in_the_reference(site):
    tables = (site / "docs/reference/tables.html").read_text(encoding="utf-8")
    options = (site / "docs/reference/options.html").read_text(encoding="utf-8")
    for name in measure.names():
        declared = measure.load(name)
        columns = {column.name for table in declared.tables.values() for column in table.columns}
        assert all(f">{column}<" in tables for column in columns)
        assert all(f">{option.name}<" in options for option in declared.options)


def test_what_is_public_is_documented(site):
    import emtools

    page = (site / "docs/reference/api.html").read_text(encoding="utf-8")
    functions = [name for name in emtools.__all__ if not name.startswith("_")
                 and callable(getattr(emtools, name))]
    assert not [name for name in functions if f"{name}</span>" not in page]


@pytest.mark.browser
def test_pages_open_without_complaint_and_are_found_by_the_search(site, browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get((site / "index.html").as_uri())
    WebDriverWait(browser, 20).until(lambda shown: shown.title.startswith("emtools"))
    for page in ("docs/index", "notebooks/03_chains", "docs/reference/tables"):
        browser.get((site / f"{page}.html").as_uri())
        wide, seen = browser.execute_script(
            "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide <= seen
        broken = browser.execute_script(
            "return [...document.images].filter(i => i.complete && !i.naturalWidth).length")
        assert broken == 0
    severe = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not severe
    for word, place in (("Scherrer", "rings"), ("touches_edge", "tables"), ("kappa", "")):
        browser.get((site / "search.html").as_uri() + f"?q={word}")
        WebDriverWait(browser, 30).until(lambda shown: re.search(
            r"(search finished|did not match|found \d+)",
            shown.find_element(By.ID, "search-results").text, re.IGNORECASE))
        found = [link.get_attribute("href") for link in
                 browser.find_elements(By.CSS_SELECTOR, "#search-results ul.search li a")]
        assert any(place in link for link in found) if place else not found
