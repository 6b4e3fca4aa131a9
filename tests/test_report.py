"""The report page: right numbers, safe text, and a browser that finds nothing to complain of."""

import base64
import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from emtools import figures, simulate
from emtools.measure.lattice import lattice
from emtools.model.result import plain
from emtools.report import write_report
from emtools.report.page import rows_shown, table_view
from emtools.report.population import common_parameters, population
from emtools.report.wording import error_of, items, link, number, split_unit, text, thumbnail

NASTY = """"><script>alert(1)</script><img src=x onerror=alert(2)>'</script>{{ 7*7 }}&amp;\u202e"""
PIXEL = ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAA"
         "AgABSK+kcQAAAABJRU5ErkJggg==")


def chain(number, length, cut=False, width=4.5):
    return {"chain": number, "length_nm": length, "length_err_nm": 0.5, "width_nm": width,
            "width_err_nm": 0.05, "gap_nm": 1.0, "gap_err_nm": 0.1, "touches_edge": cut,
            "helix": 0, "helix_pitch_nm": None, "helix_pitch_err_nm": None}


def record(name="a.tif", **changes):
    tables = {
        "chains": [chain(1, 100.0), chain(2, 50.25, width=4.7), chain(3, 20.0, cut=True)],
        "gaps": [{"gap": 1, "chain": 1, "gap_nm": 1.0, "gap_err_nm": 0.1, "resolved": True},
                 {"gap": 2, "chain": 1, "gap_nm": 0.1, "gap_err_nm": 0.2, "resolved": False}],
        "dots": [{"dot": i, "chain": i % 2, "diameter_nm": 4.0 + i / 100, "diameter_err_nm": 0.03,
                  "touches_edge": False} for i in range(60)],
        "axes": [{"chain": 1, "s_nm": 0.0, "y_nm": 1.0, "x_nm": 1.0, "width_nm": 4.5}],
    }
    return {
        "file": name, "image": "HAADF", "index": 0, "source_sha256": "ab" * 32,
        "status": "measured", "reason": "", "audit": ["y, x: the pixel sizes differ by 4 %"],
        "description": {"shape": [512, 512], "axes": [
            {"name": "y", "size": 512, "pixel_size": 0.5, "pixel_size_err": 0.0125, "unit": "nm",
             "source": "file"}], "acquisition": {"beam_energy_keV": 200.0}},
        "thumbnail": PIXEL, "skipped": [{"measurement": "eds", "reason": "no energy axis"}],
        "measurements": [{
            "measurement": "chains", "why": "HAADF image", "tables": tables,
            "summary": {"outcome": "3 chains (1 cut by the frame)",
                        "mean_width": {"value": 4.6, "err": 0.05, "unit": "nm"}},
            "parameters": {"min_width_nm": 2.0}, "pictures": {"overlay": "pictures/a b#1.png"}}],
        "seconds": 1.23, **changes,
    }


def failure(name="broken.dm4", **changes):
    return {"file": name, "status": "failed", "reason": f"{name}: ends too early; copy it again",
            **changes}


def left_out(name="dp.dm4"):
    return {"file": name, "status": "left out", "reason": "lattice: a diffraction pattern"}


def reflection(d, **columns):
    return {"d_spacing_nm": d, "d_spacing_err_nm": 0.0002, "phase": "PbS", "hkl": "2 0 0",
            "d_reference_nm": 0.2968, "ambiguous": False, "few_fringes": False, **columns}


def of(measurement, **tables):
    return {"measurements": [{"measurement": measurement, "tables": tables}]}


def lines_of(*records):
    return {(line.quantity, line.unit): line for line in population(records)}


class Page(HTMLParser):
    """Collects what a page is made of, and checks that every element is closed."""

    VOID = frozenset({"meta", "link", "img", "input", "br"})

    def __init__(self, path):
        super().__init__()
        self.tags, self.attributes, self.words, self._open = [], [], [], []
        self.feed(Path(path).read_text(encoding="utf-8"))
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if not set(self._open) & {"script", "style"}:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


# --- the summary over all images


def test_limits_are_counted_apart_and_not_averaged():
    lines = lines_of(record(), record("b.tif"))
    length = lines["chain length", "nm"]
    assert (length.n, length.images, length.mean) == (4, 2, 75.125)
    assert length.apart == "2 cut by the frame"
    assert length.spread == pytest.approx(28.7224, abs=1e-3)
    gap = lines["gap, edge to edge", "nm"]
    assert (gap.n, gap.mean, gap.apart) == (2, 1.0, "2 not resolved")
    assert lines["diameter, dots in chains", "nm"].n == 60
    assert lines["diameter, isolated dots", "nm"].n == 60


def test_spacings_are_averaged_by_family_and_not_at_all_without_index():
    rows = [reflection(0.296), reflection(0.298, hkl="0 -2 0"),
            reflection(0.21, hkl="2 2 0", d_reference_nm=0.2099, ambiguous=True),
            reflection(0.5, phase="", hkl="", d_reference_nm=None)]
    lines = lines_of(of("lattice", reflections=rows))
    first = lines["d PbS {2 0 0}, reference 0.2968 nm", "nm"]
    assert (first.n, first.mean) == (2, pytest.approx(0.297))
    assert "1 of them ambiguous" in lines["d PbS {2 2 0}, reference 0.2099 nm", "nm"].apart
    free = lines["d, not indexed", "nm"]
    assert (free.n, free.smallest) == (1, 0.5)
    assert math.isnan(free.mean)


def test_calibrated_and_uncalibrated_images_are_kept_apart():
    in_px = {"width_px": 9.0, "width_err_px": 0.1, "length_px": 90.0, "touches_edge": False}
    lines = lines_of(record(), of("chains", chains=[in_px]))
    assert lines["chain width", "px"].mean == 9.0
    assert lines["chain width", "nm"].n == 3


def test_a_new_measurement_is_summed_up_by_its_columns_with_errors():
    rows = [{"element": e, "line": "Ka", "atomic_percent": p, "atomic_percent_err": 1.0,
             "counts": 5.0} for e, p in (("S", 40.0), ("S", 50.0), ("Pb", 55.0))]
    lines = lines_of(of("eds", composition=rows))
    assert set(lines) == {("atomic S Ka", "%"), ("atomic Pb Ka", "%")}
    assert lines["atomic S Ka", "%"].mean == 45.0


def test_nothing_measured_sums_up_to_nothing():
    assert population([failure(), left_out(), {}]) == []


def test_parameters_that_differ_say_so():
    other = record()
    other["measurements"][0]["parameters"] = {"min_width_nm": 3.0}
    assert common_parameters([record(), other]) == {
        "chains": {"min width (nm)": "differs: see the images"}}


# --- words


@pytest.mark.parametrize(("name", "words", "unit"), [
    ("d_spacing_nm", "d spacing", "nm"), ("k_per_nm", "k", "nm⁻¹"), ("area_nm2", "area", "nm²"),
    ("angle_deg", "angle", "°"), ("n_dots", "n dots", ""), ("width_px", "width", "px"),
    ("atomic_percent", "atomic", "%"), ("s_nm", "position along axis", "nm"), ("snr", "SNR", ""),
])
def test_columns_are_named_in_words_with_their_unit(name, words, unit):
    assert split_unit(name) == (words, unit)


def test_uncertainties_are_found_by_name():
    assert error_of("d_spacing_nm") == "d_spacing_err_nm"
    assert error_of("fwhm_per_nm") == "fwhm_err_per_nm"
    assert error_of("angle_deg") == "angle_err_deg"
    assert error_of("atomic_percent") == "atomic_percent_err"


def test_numbers_have_the_digits_that_they_deserve():
    assert number(0.296812, 0.0004) == "0.2968 ± 0.0004"
    assert number(4.6231) == "4.623"
    assert number(None) == number(float("nan")) == ""
    assert number(7) == "7"
    assert text({"value": 4.6, "err": None, "unit": "nm"}) == "4.6 nm"
    assert text([512, 256]) == "512 × 256"
    assert items({"a_nm": None, "b": {"c_deg": 1.5}}) == [("c (°)", "1.5")]


@pytest.mark.parametrize("path", ["//evil.example/x.png", "/etc/passwd", "../x.png", "a/../../x",
                                  "https://evil.example/x.png", "", "\\\\host\\x.png"])
def test_pictures_are_linked_only_inside_the_folder(path):
    address = link(path)
    assert address == "" or address.startswith("https%3A")


def test_links_and_thumbnails_are_made_safe():
    assert link("pictures/a b#1?.png") == "pictures/a%20b%231%3F.png"
    assert link("javascript:alert(1)") == "javascript%3Aalert%281%29"
    assert thumbnail(PIXEL) == PIXEL
    for other in ("https://evil.example/a.png", 'data:image/png;base64,AA"onload="x',
                  "data:image/svg+xml;base64,AAAA"):
        assert thumbnail(other) == ""


def test_tables_show_values_with_their_uncertainty_and_no_empty_columns():
    view = table_view("chains", record()["measurements"][0]["tables"]["chains"], 2)
    names = [words for words, _, _ in view.columns]
    assert names == ["chain", "length", "width", "gap", "touches edge", "helix"]
    assert view.rows[1][1].text == "50.2 ± 0.5"
    assert view.rows[1][1].key == "50.25"
    assert view.note == ("first 2 of 3 rows, all are in the data files; "
                         "1 column without any value not shown")
    assert table_view("gaps", [], 5).note == "none found"


# --- the page


def test_page_is_whole_and_asks_for_nothing(tmp_path):
    path = write_report(tmp_path / "new", [record(), failure(), left_out()], title="My chains")
    assert path == tmp_path / "new" / "index.html"
    assert [p.name for p in path.parent.iterdir()] == ["index.html"]
    page = Page(path)
    for tag, name, value in page.attributes:
        if name in ("src", "href"):
            assert re.match(r"#|data:|pictures/", value), (tag, value)
    assert "url(" not in path.read_text(encoding="utf-8")
    for words in ("1 measured", "1 left out", "1 failed", "3 chains (1 cut by the frame)",
                  "the pixel sizes differ by 4 %", "ends too early; copy it again",
                  "a diffraction pattern", "4.60 ± 0.05 nm", "eds not measured: no energy axis",
                  "y: 512 × 0.500 ± 0.013 nm (file)", "first 50 of 60 rows"):
        assert words in page.text, words


def test_of_many_reflections_the_strongest_are_shown():
    rows = [reflection(0.2, reflection=i, snr=float(i)) for i in range(300)]
    view = table_view("reflections", rows, 50)
    at = [name for name, _, _ in view.columns].index("SNR")
    assert [float(row[at].key) for row in view.rows] == [float(i) for i in range(299, 249, -1)]
    assert view.note.startswith("strongest 50 of 300 rows")


def test_page_can_be_used_by_a_screen_reader(tmp_path):
    page = Page(write_report(tmp_path, [record(), failure()]))
    attributes = page.attributes
    assert ("html", "lang", "en") in attributes
    for tag, needed in (("img", "alt"), ("th", "scope")):
        assert page.tags.count(tag) == [a[:2] for a in attributes].count((tag, needed))
    ids = [value for _, name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_the_same_records_give_the_same_page(tmp_path):
    pages = [write_report(tmp_path / n, [record(), failure()]).read_bytes() for n in "ab"]
    assert pages[0] == pages[1]


def nasty_record():
    bad = record(NASTY, image=NASTY, audit=[NASTY], thumbnail=NASTY,
                 description={NASTY: NASTY, "axes": [{"name": NASTY, "size": 1, "pixel_size": 1.0,
                                                      "unit": NASTY, "source": NASTY}]})
    entry = bad["measurements"][0]
    entry["summary"] = {"outcome": NASTY, NASTY: {"value": 1.0, "err": 0.1, "unit": NASTY}}
    entry["tables"] = {NASTY: [{NASTY: NASTY, "width_nm": 1.0}],
                       "reflections": [{"phase": NASTY, "hkl": NASTY, "d_spacing_nm": 0.3}]}
    entry["pictures"] = {NASTY: f"pictures/{NASTY}"}
    entry["parameters"] = {NASTY: NASTY}
    entry["why"] = NASTY
    bad["skipped"] = [{"measurement": NASTY, "reason": NASTY}]
    return bad


def test_names_and_metadata_cannot_inject_anything(tmp_path):
    clean = Page(write_report(tmp_path / "clean", [record(), failure()]))
    path = write_report(tmp_path / "nasty", [nasty_record(), failure(NASTY, reason=NASTY)],
                        title=NASTY)
    page = Page(path)
    assert page.tags.count("script") == clean.tags.count("script") == 1
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert all(value.startswith(("data:", "pictures/")) for tag, name, value in page.attributes
               if tag == "img" and name == "src")
    assert "{{ 7*7 }}" in page.text
    assert "<script>alert(1)</script>" in page.text
    # Through JSON, as the batch stores it, nothing changes.
    again = write_report(tmp_path / "json", [json.loads(json.dumps(nasty_record())),
                                             failure(NASTY, reason=NASTY)], title=NASTY)
    assert again.read_bytes() == path.read_bytes()


def test_file_names_that_are_not_valid_text_do_not_stop_the_page(tmp_path):
    odd = record("a\udcff.tif")
    odd["measurements"][0]["pictures"] = {"overlay": "pictures/a\udcff.png"}
    page = Page(write_report(tmp_path, [odd]))
    assert ("img", "src", "pictures/a%FF.png") in page.attributes


def test_records_with_little_in_them_are_shown(tmp_path):
    page = Page(write_report(tmp_path, [{}, {"status": "measured", "file": "a"},
                                        {"status": "odd"}]))
    assert "2 failed" in page.text
    assert "0 measured" in Page(write_report(tmp_path, [])).text


def test_a_page_of_a_thousand_images_still_opens(tmp_path):
    image, _ = simulate.crystal("PbS", shape=(128, 128))
    result = lattice(image, phases=("PbS",))
    one = record()
    one["thumbnail"] = figures.thumbnail_uri(image)
    one["measurements"].append({"measurement": "lattice", "summary": plain(result.summary),
                                "parameters": {}, "pictures": {},
                                "tables": {name: plain(table.to_dict("records"))
                                           for name, table in result.tables.items()}})
    path = write_report(tmp_path, [one] * 1000)
    assert rows_shown(1000) == 5
    assert path.stat().st_size < 28e6
    assert "first 5 of 60 rows" in path.read_text(encoding="utf-8")


# --- in a browser

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"


@pytest.fixture
def browser(tmp_path):
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


@pytest.fixture
def opened(browser, tmp_path):
    """The browser on a page with good and nasty records, whose pictures exist."""
    folder = tmp_path / "results"
    (folder / "pictures").mkdir(parents=True)
    picture = base64.b64decode(PIXEL.split(",")[1])
    (folder / "pictures" / "a b#1.png").write_bytes(picture)
    nasty = nasty_record()
    nasty["measurements"][0]["pictures"] = {"overlay": "pictures/a b#1.png"}
    free = of("lattice", reflections=[reflection(0.5, phase="", hkl="")])
    path = write_report(folder, [record(), record("second.tif"), nasty, failure(NASTY), free],
                        title=NASTY)
    browser.get(path.as_uri())
    return browser, path


def requests(browser, page):
    """Addresses that a page asked for; the browser's own start page is not it."""
    entries = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [entry["params"]["request"]["url"] for entry in entries
            if entry["method"] == "Network.requestWillBeSent"
            and entry["params"]["documentURL"].startswith(page)]


@pytest.mark.browser
def test_browser_finds_no_fault_and_asks_for_nothing_but_the_files(opened):
    browser, path = opened
    for details in browser.find_elements("css selector", "details"):
        browser.execute_script("arguments[0].open = true; arguments[0].scrollIntoView()", details)
    pictures = browser.find_elements("css selector", "figure img")
    browser.execute_script("for (const i of arguments[0]) i.loading = 'eager'", pictures)
    assert browser.execute_async_script(
        "const done = arguments[1]; Promise.all(arguments[0].map(i => i.decode())).then("
        "() => done(arguments[0].every(i => i.naturalWidth > 0)), e => done(String(e)))",
        pictures) is True
    folder = path.parent.as_uri()
    asked = requests(browser, folder)
    assert any(url.endswith("pictures/a%20b%231.png") for url in asked)
    assert [url for url in asked if not url.startswith((folder, "data:"))] == []
    assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
    with pytest.raises(Exception, match="no such alert"):
        browser.switch_to.alert.accept()
    wider = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(wider) <= 0


@pytest.mark.browser
def test_tables_sort_by_click_and_by_keyboard(opened):
    from selenium.webdriver.common.keys import Keys

    browser, _ = opened
    table = browser.find_element("css selector", "#main table.sortable")
    heads = table.find_elements("css selector", "thead th")
    mean = next(head for head in heads if head.text.strip() == "mean")

    def means():
        cells = table.find_elements("css selector", "tbody tr > :nth-child(5)")
        return [float(cell.get_attribute("data-v")) for cell in cells
                if cell.get_attribute("data-v")]

    button = mean.find_element("css selector", "button")
    button.click()
    assert mean.get_attribute("aria-sort") == "ascending"
    assert means() == sorted(means())
    button.send_keys(Keys.ENTER)
    assert mean.get_attribute("aria-sort") == "descending"
    assert means() == sorted(means(), reverse=True)
    assert table.find_elements("css selector", "tbody tr")[-1].text.startswith("lattice")
    quantity = next(head for head in heads if head.text.strip() == "quantity")
    quantity.find_element("css selector", "button").send_keys(Keys.SPACE)
    assert quantity.get_attribute("aria-sort") == "ascending"
    assert mean.get_attribute("aria-sort") is None


@pytest.mark.browser
def test_details_open_from_the_gallery_and_by_keyboard(opened):
    from selenium.webdriver.common.keys import Keys

    browser, path = opened
    browser.find_elements("css selector", ".card a")[1].click()
    details = browser.find_elements("css selector", "details.image")
    assert [d.get_attribute("open") is not None for d in details] == [False, True, False]
    assert "second.tif" in browser.switch_to.active_element.text
    summary = details[0].find_element("css selector", "summary")
    summary.send_keys(Keys.ENTER)
    assert details[0].get_attribute("open") is not None
    browser.get("about:blank")
    browser.get(f"{path.as_uri()}#image-1")
    assert browser.find_element("css selector", "details.image").get_attribute("open") is not None


@pytest.mark.browser
def test_filter_hides_what_does_not_match(opened):
    browser, _ = opened
    browser.find_element("id", "filter").send_keys("second")
    shown = [card for card in browser.find_elements("css selector", ".card") if card.is_displayed()]
    assert len(shown) == 1
    assert browser.find_element("id", "shown").text == "1 of 3"


@pytest.mark.browser
def test_page_prints_with_its_details(opened):
    browser, _ = opened
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF")
    assert len(printed) > 20_000
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) >= 3  # the folded parts are printed too


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_colour_schemes(opened, scheme):
    browser, _ = opened
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": scheme}]})
    ratios = browser.execute_script("""
        const channel = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(channel);
                             return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const ground = light(getComputedStyle(document.body).backgroundColor);
        return ['body', 'a:not(.skip)', '.note', '.audit', '.bad', 'thead th'].map(s => {
          const ink = light(getComputedStyle(document.querySelector(s)).color);
          return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05); });""")
    assert min(ratios) > 4.5
