"""The report: right numbers, safe text, and a browser that finds nothing to complain of."""

import base64
import json
import math
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from emtools import figures, simulate
from emtools.batch import Store
from emtools.batch.plan import Recipe, Rule
from emtools.measure import load
from emtools.report import bundles, charts, write_report
from emtools.report.content import content, encoded, table_of
from emtools.report.held import held
from emtools.report.histograms import histograms
from emtools.report.methods import methods
from emtools.report.quantities import frames, nested
from emtools.report.summary import summaries
from emtools.report.wording import items, link, number, split_unit, text, thumbnail
from emtools.results import Groups, Results
from emtools.results.records import without_images
from emtools.tables import error_of

NASTY = """"><script>alert(1)</script><img src=x onerror=alert(2)>'</script>{{ 7*7 }}&amp;\u202e"""
PIXEL = ("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAA"
         "AgABSK+kcQAAAABJRU5ErkJggg==")
MEASURED = ("chains", "lattice", "eds")


def rows_of(name, rows):
    """Rows with all declared columns: what is not given is missing."""
    measurement, table = name.split(".")
    empty = {"float": None, "int": 0, "bool": False, "str": ""}
    columns = {c.name: empty[c.kind] for c in load(measurement).tables[table].columns}
    return [columns | row for row in rows]


def chain(number, length, cut=False, width=4.5):
    return {"chain": number, "length_nm": length, "length_err_nm": 0.5, "width_nm": width,
            "width_err_nm": 0.05, "aspect_ratio": length / width, "aspect_ratio_err": 0.2,
            "gap_nm": 1.0, "gap_err_nm": 0.1, "touches_edge": cut}


def entry(measurement, outcome="", pictures=None, **tables):
    return {"measurement": measurement, "why": "it fits", "parameters": {"a_nm": 2.0},
            "summary": {"outcome": outcome,
                        "mean_width": {"value": 4.6, "err": 0.05, "unit": "nm"}},
            "pictures": pictures or {}, "tables": {
                name: rows_of(f"{measurement}.{name}", rows) for name, rows in tables.items()}}


def chains_entry(shift=0.0, pictures=None):
    """Three chains of which one leaves the frame, their centrelines, gaps and dots."""
    lengths = ((1, 40.0, 50.0), (2, 30.25, 120.0), (3, 20.0, 200.0))
    chains = [chain(n, length, cut=n == 3, width=4.5 + 0.01 * n + shift)
              for n, length, _ in lengths]
    axes = [{"chain": n, "s_nm": s, "y_nm": y, "x_nm": (0.0 if n == 3 else 60.0) + s,
             "width_nm": 4.5} for n, length, y in lengths for s in np.linspace(0, length, 40)]
    gaps = [{"gap": i, "chain": 1, "s_nm": 5.0 * i, "y_nm": 50.0, "x_nm": 60.0 + 5 * i,
             "gap_nm": 1.0 + 0.01 * i, "gap_err_nm": 0.1, "resolved": True} for i in range(1, 8)]
    dots = [{"dot": i, "chain": i % 2, "y_nm": 50.0, "x_nm": 60.0 + i,
             "diameter_nm": 4.0 + i / 100, "diameter_err_nm": 0.03} for i in range(1, 61)]
    return entry("chains", "3 chains (1 cut by the frame)", pictures, chains=chains, axes=axes,
                 gaps=gaps, dots=dots)


def reflection(number, d, **columns):
    return {"reflection": number, "grain": 1, "d_spacing_nm": d, "d_spacing_err_nm": 0.0002,
            "angle_deg": 30.0, "angle_err_deg": 0.2, "snr": float(number), "phase": "PbS",
            "hkl": "2 0 0", "d_reference_nm": 0.2968, **columns}


def lattice_entry(*reflections):
    return entry("lattice", "1 grain", reflections=reflections, grains=[
        {"grain": 1, "y_nm": 30.0, "x_nm": 40.0, "area_nm2": 50.0, "phase": "PbS", "a_nm": 0.5936,
         "a_err_nm": 0.001}])


def eds_entry(lead):
    return entry("eds", "Pb, S detected", composition=[
        {"region": region, "element": element, "line": "Ka", "atomic_percent": percent,
         "atomic_percent_err": 1.0, "atomic_percent_k_err": 2.0, "detected": True}
        for region in ("all", "chain 1", "chain 2")
        for element, percent in (("Pb", lead), ("S", 100.0 - lead))])


def record(name="a.tif", *entries, image="HAADF", **changes):
    axis = {"size": 512, "pixel_size": 0.5, "pixel_size_err": 0.0125, "unit": "nm",
            "source": "file"}
    return without_images(name, "measured", "") | {
        "image": image, "index": 0, "source_sha256": "ab" * 32,
        "audit": ["y, x: the pixel sizes differ by 4 %"],
        "description": {"shape": [512, 512], "axes": [{"name": "y", **axis}, {"name": "x", **axis}],
                        "acquisition": {"beam_energy_keV": 200.0, "modality": "HAADF"}},
        "thumbnail": PIXEL, "measurements": list(entries or [chains_entry()]),
        "skipped": [{"measurement": "eds", "reason": "no energy axis"}], "seconds": 1.23, **changes}


def failure(name="broken.dm4", reason="ends too early; copy it again"):
    return without_images(name, "failed", reason)


def results_of(folder, *records, recipe=None):
    """Results as a batch of one image a file would have stored them."""
    recipe = recipe or Recipe(measurements=MEASURED)
    with Store(folder) as store:
        run = store.begin(Path("micrographs"), recipe)
        for i, one in enumerate(records):
            if one["status"] == "other file":
                with run.together():
                    run.leave_out(one["file"], one["status"], one["reason"])
            else:
                run.add(one["file"], f"content {i}", [one])
        run.finish()
    return Results(folder)


def held_of(folder, *records, **given):
    with results_of(folder, *records, **given) as results:
        return held(results)


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


# --- what is summed up


def test_chains_are_a_population_of_frames(tmp_path):
    shown = held_of(tmp_path, record(), record("b.tif"), failure())
    (one, other) = frames(shown, [0, 1])
    assert one.shape_nm == other.shape_nm == (256.0, 256.0)
    assert one.origin_nm == (-0.25, -0.25)
    assert one.scale_err == pytest.approx(0.025)
    assert [len(one.tables[name]) for name in ("chains", "gaps", "dots", "axes")] == [3, 7, 60, 120]
    rows = summaries(shown)[0].population.set_index("quantity")
    assert rows.loc["width", "n"] == 6  # the cut one has one of two ends: it counts one half
    assert rows.loc["width", "mean"] == pytest.approx((4.51 + 4.52 + 0.5 * 4.53) / 2.5)
    assert rows.loc["width", "mean_err_with_scale"] == pytest.approx(0.025 * 4.5, rel=0.05)
    assert "longer" in rows.loc["length", "note"] or rows.loc["length", "n"] == 6


def test_a_banner_is_no_part_of_the_frame(tmp_path):
    one = record()
    one["description"]["used"] = {"y": [0, 400], "x": [12, 512]}
    (frame,) = frames(held_of(tmp_path, one), [0])
    assert frame.shape_nm == (200.0, 250.0)
    assert frame.origin_nm == (-0.25, 5.75)


def test_images_without_calibration_are_said_to_be_missing(tmp_path):
    plain = record("px.tif")
    for axis in plain["description"]["axes"]:
        axis["unit"] = "px"
    (summary,) = summaries(held_of(tmp_path, record(), plain))
    assert summary.note.startswith("1 of 2 images have no calibration")


def test_images_in_nm_and_in_pixels_lie_beside_each_other(tmp_path):
    """Columns in nm are missing where only images without calibration had rows."""
    bare, plain = record("nm.tif"), record("px.tif")
    for name in ("gaps", "dots"):
        bare["measurements"][0]["tables"][name] = []
    for axis in plain["description"]["axes"]:
        axis["unit"] = "px"
    tables = plain["measurements"][0]["tables"]
    for name, rows in tables.items():
        tables[name] = [{key.replace("_nm", "_px"): value for key, value in row.items()}
                        for row in rows]
    shown = held_of(tmp_path, bare, plain)
    (frame,) = frames(shown, [0, 1])
    assert (len(frame.tables["chains"]), len(frame.tables["gaps"])) == (3, 0)
    assert summaries(shown)[0].note.startswith("1 of 2 images")


def test_a_family_has_one_name_whichever_zones_a_group_shows(tmp_path):
    shown = [record(f"{group}/{n}.tif", lattice_entry(reflection(1, 0.297 + 1e-4 * n, hkl=hkl)))
             for group, hkl in (("a", "0 2 0"), ("b", "0 0 -2")) for n in range(3)]
    recipe = Recipe(measurements=MEASURED, groups=Groups("group"))
    (summary,) = summaries(held_of(tmp_path, *shown, recipe=recipe))
    assert set(summary.population["quantity"]) == {"d of PbS {0 2 0}", "a of PbS"}
    assert "d of PbS {0 2 0}" in set(summary.compared["quantity"])


def test_elements_that_are_not_detected_are_said_to_be_left_out(tmp_path):
    entries = [eds_entry(50.0) for _ in range(3)]
    for row in entries[0]["tables"]["composition"]:
        row["detected"] = False
    shown = held_of(tmp_path, *(record(f"{n}.tif", one) for n, one in enumerate(entries)))
    kind = next(kind for kind in nested(shown, range(3), "eds") if kind.name == "Pb, whole image")
    assert kind.note == "not detected in 1 of 3, which are not in it"
    assert len(kind.values) == 2


def test_of_many_images_small_groups_are_held_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["emtools.report.held"], "MOST_IMAGES", 10)
    shown = [record(f"{'few' if n < 3 else 'many'}/{n}.tif") for n in range(40)]
    recipe = Recipe(measurements=MEASURED, groups=Groups("group"))
    found = held_of(tmp_path, *shown, recipe=recipe)
    assert [len(found.of_group(name)) for name in ("few", "many")] == [3, 7]
    assert [found.measured_in(name) for name in ("few", "many")] == [3, 37]
    assert [one["file"] for one in found.records] == sorted(
        one["file"] for one in found.records)


def test_a_page_of_many_chains_still_has_room(tmp_path, monkeypatch):
    shown = held_of(tmp_path, *(record(f"{n}.tif") for n in range(5)))
    full, small = content(shown), content(shown, 2, 4)
    assert max(map(len, full["courses"]["points"])) == 48
    assert set(map(len, small["courses"]["points"])) == {8}
    assert [small["courses"]["at"].count(at) for at in range(5)] == [2] * 5


def test_spacings_are_averaged_by_family_and_not_at_all_without_index(tmp_path):
    first = lattice_entry(reflection(1, 0.296), reflection(2, 0.5, phase="", hkl="",
                                                           d_reference_nm=None))
    second = lattice_entry(reflection(1, 0.298, hkl="0 -2 0"),
                           reflection(2, 0.21, hkl="2 2 0", d_reference_nm=0.2099, ambiguous=True))
    shown = held_of(tmp_path, record("a.tif", first), record("b.tif", second))
    (summary,) = summaries(shown)
    assert summary.note == "1 of 4 spacings are of no phase that was given, and not averaged"
    rows = summary.population.set_index("quantity")
    assert list(rows.index) == ["d of PbS {2 0 0}", "d of PbS {2 2 0}", "a of PbS"]
    first = rows.loc["d of PbS {2 0 0}"]
    assert (first["n"], first["mean"]) == (2, pytest.approx(0.297))
    assert first["mean_err"] == pytest.approx(0.001, rel=0.1)
    assert first["mean_err_with_scale"] == pytest.approx(math.hypot(0.001, 0.025 * 0.297), rel=0.02)
    assert "1 of them ambiguous" in rows.loc["d of PbS {2 2 0}", "note"]


def test_compositions_keep_regions_apart_and_carry_the_error_that_all_share(tmp_path):
    shown = held_of(tmp_path, *(record(f"{n}.tif", eds_entry(48.0 + n)) for n in range(4)))
    kinds = {kind.name: kind for kind in nested(shown, range(4), "eds")}
    assert set(kinds) == {"Pb, whole image", "S, whole image", "Pb, chains", "S, chains"}
    assert len(kinds["Pb, chains"].values) == 8
    rows = summaries(shown)[0].population.set_index("quantity")
    lead = rows.loc["Pb, whole image"]
    assert lead["mean"] == 49.5
    assert lead["mean_err_with_scale"] == pytest.approx(math.hypot(lead["mean_err"], 2.0))
    assert 0 <= lead["low"] < lead["high"] <= 100


def test_groups_are_compared_image_by_image_or_sample_by_sample(tmp_path):
    shown = []
    for group, shift in (("before", 0.0), ("after", 0.4)):
        for n in range(6):
            wide = chains_entry(shift + 0.02 * n)
            shown.append(record(f"{group}/s{n % 2}/{n}.tif", wide, lattice_entry(
                reflection(1, 0.2968 + 1e-4 * n))))
    by_image = Recipe(measurements=MEASURED, groups=Groups("group"))
    with results_of(tmp_path / "a", *shown, recipe=by_image) as results:
        chains, lattice = summaries(held(results))
        again = summaries(held(results, Groups("group/sample")))[0]
    row = chains.compared.set_index("quantity").loc["width"]
    assert (row["group_a"], row["group_b"]) == ("after", "before")
    assert row["difference"] == pytest.approx(-0.4, abs=1e-9)
    assert row["p_value"] < 0.01
    assert "larger in after" in row["verdict"]
    assert set(chains.population["group"]) == {"before", "after"}
    assert list(chains.population["group"][:2]) == ["after", "before"]
    assert lattice.compared.set_index("quantity").loc["d of PbS {2 0 0}", "p_value"] > 0.5
    assert "Welch's t, 2" in again.compared.set_index("quantity").loc["width", "method"]
    assert set(chains.survival["group"]) == {"before", "after"}


def test_groups_stand_in_the_order_in_which_they_were_given(tmp_path):
    recipe = Recipe(measurements=MEASURED,
                    groups=Groups(files={"before": ("b*",), "after": ("a*",)}))
    shown = held_of(tmp_path, record("a.tif"), record("b.tif"), record("c.tif"), recipe=recipe)
    assert shown.groups == ["before", "after", "no group"]
    assert [shown.of_group(name) for name in shown.groups] == [[1], [0], [2]]


def test_histograms_count_all_rows_in_round_ranges(tmp_path):
    shown = [record(f"{n}.tif") for n in range(5)]
    with results_of(tmp_path, *shown) as results:
        counted = {(one.table, one.column): one for one in histograms(results, held(results))}
    width = counted["chains.chains", "width_nm"]
    assert sum(int(counts.sum()) for counts in width.counts.values()) == 10
    assert width.left_out == 5
    assert {one[1] for one in counted} >= {"gap_nm", "diameter_nm", "length_nm"}
    step = np.diff(width.edges)
    assert np.allclose(step, step[0])
    diameter = counted["chains.dots", "diameter_nm"]
    assert diameter.edges[0] <= 4.01
    assert diameter.edges[-1] >= 4.6
    assert diameter.counts[""].sum() == 300


# --- what the page carries


def test_tables_show_values_with_their_uncertainty_and_no_empty_columns():
    rows = load("chains").tables["chains"].frame([chain(1, 100.0), chain(2, 50.25)])
    rows = rows.assign(at=[0, 0])
    table = table_of("chains.chains", rows, 9)
    names = [column["name"] for column in table["columns"]]
    assert "length_err_nm" not in names
    assert "width_std_nm" not in names
    length = table["columns"][names.index("length_nm")]
    assert (length["values"], length["errors"]) == ([100.0, 50.25], [0.5, 0.5])
    assert (length["words"], length["unit"]) == ("length", "nm")
    assert "outer edge" in length["meaning"]


def test_of_many_reflections_the_strongest_are_held(tmp_path):
    many = lattice_entry(*(reflection(n, 0.2) for n in range(1, 500)))
    shown = held_of(tmp_path, record("a.tif", many))
    table = content(shown, 300)["tables"]["lattice.reflections"]
    assert table["rows"] == 499
    numbers = next(one["values"] for one in table["columns"] if one["name"] == "reflection")
    assert sorted(numbers) == list(range(200, 500))


def test_methods_say_what_was_done_with_which_parameters_and_sources(tmp_path):
    recipe = Recipe(measurements=("chains", "lattice"), parameters={"chains": {"min_dots": 5}},
                    rules=(Rule("b/*", "HAADF", parameters={"lattice": {"phases": ("PbS",)}}),))
    with results_of(tmp_path, record("a.tif", chains_entry(), lattice_entry(reflection(1, 0.3))),
                    recipe=recipe) as results:
        shown = held(results)
        said = methods(shown, summaries(shown), results.recipe,
                       {"emtools": "1.2.3", "python": "3.11.7"})
    whole = " ".join(said.paragraphs)
    assert "1 image (1 HAADF) was measured with emtools 1.2.3" in whole
    assert "Bodies that stand significantly out of the film" in whole
    assert "min dots = 5" in whole
    assert "for b/* HAADF: phases = PbS" in whole
    assert "bootstrap samples of whole images" in whole
    assert any("Rivetti" in one for one in said.references)
    assert any("Kaplan" in one for one in said.references)
    assert all(re.search(r"\d{4}\)", one) or re.search(r"\d$", one) for one in said.references)
    assert len(set(said.references)) == len(said.references)


def test_charts_are_specifications_without_addresses(tmp_path):
    with results_of(tmp_path, record(), record("b.tif")) as results:
        counted = histograms(results, held(results))
    spec = charts.histogram(counted[0])
    assert "values" in spec["data"]
    assert spec["params"][0]["select"]["type"] == "interval"
    assert "url" not in json.dumps(spec)
    script, style = bundles.tables()
    assert "export{" not in script
    assert "window.emtoolsTables=" in script
    assert "@import" not in style
    assert "vegaEmbed" in bundles.vega()


# --- the page


def test_page_is_whole_and_asks_for_nothing(tmp_path):
    with results_of(tmp_path, record(), failure(),
                    without_images("dp.dm4", "other file", "a diffraction pattern")) as results:
        path = write_report(results, title="My chains")
    assert path == tmp_path / "index.html"
    page = Page(path)
    for tag, name, value in page.attributes:
        if name in ("src", "href"):
            assert re.match(r"#|data:", value), (tag, value)
    for words in ("My chains", "1 image measured", "1 failed", "1 other files",
                  "3 chains (1 cut by the frame)",
                  "the pixel sizes differ by 4 %", "ends too early; copy it again"):
        assert words in page.text, words


def test_page_can_be_used_by_a_screen_reader(tmp_path):
    with results_of(tmp_path, record(), failure()) as results:
        page = Page(write_report(results))
    attributes = page.attributes
    assert ("html", "lang", "en") in attributes
    for tag, needed in (("img", "alt"), ("th", "scope")):
        assert page.tags.count(tag) == [a[:2] for a in attributes].count((tag, needed))
    ids = [value for _, name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_the_same_results_give_the_same_page(tmp_path):
    pages = []
    for name in "ab":
        with results_of(tmp_path / name, record(), failure()) as results:
            pages.append(write_report(results).read_bytes())
    assert pages[0] == pages[1]


def nasty_record():
    bad = record(NASTY, chains_entry(), lattice_entry(reflection(1, 0.3, phase=NASTY, hkl=NASTY)),
                 image=NASTY, audit=[NASTY], thumbnail=NASTY)
    bad["description"][NASTY] = NASTY
    bad["description"]["acquisition"]["detector"] = NASTY
    for one in bad["measurements"]:
        one["summary"] = {"outcome": NASTY, NASTY: {"value": 1.0, "err": 0.1, "unit": NASTY}}
        one["pictures"] = {NASTY: f"pictures/{NASTY}"}
        one["parameters"] = {NASTY: NASTY}
        one["why"] = NASTY
    bad["skipped"] = [{"measurement": "eds", "reason": NASTY}]
    return bad


NASTY_GROUPS = Recipe(measurements=MEASURED, groups=Groups(files={NASTY: ("b*",), "a": ("*",)}))


def test_names_and_metadata_cannot_inject_anything(tmp_path):
    with results_of(tmp_path / "clean", record(), failure()) as results:
        clean = Page(write_report(results))
    with results_of(tmp_path / "nasty", nasty_record(), record("b.tif"),
                    failure(f"{NASTY}.dm4", NASTY), recipe=NASTY_GROUPS) as results:
        page = Page(write_report(results, title=NASTY))
    assert page.tags.count("script") == clean.tags.count("script") == 5
    assert not any(name.startswith("on") for _, name, _ in page.attributes)
    assert all(value.startswith("data:") for tag, name, value in page.attributes
               if tag == "img" and name == "src")
    assert "{{ 7*7 }}" in page.text
    assert "<script>alert(1)</script>" in page.text


def test_file_names_that_are_not_valid_text_do_not_stop_the_page(tmp_path):
    odd = record("a\udcff.tif", chains_entry(pictures={"overlay": "pictures/a.png"}))
    with results_of(tmp_path, odd) as results:
        shown = held(results)
        assert write_report(results).stat().st_size > 1e6
    assert content(shown)["images"][0]["name"].startswith("a\udcff.tif")


def test_nothing_measured_is_a_page_too(tmp_path):
    with results_of(tmp_path, failure()) as results:
        assert "0 images measured" in Page(write_report(results)).text


def test_a_page_of_a_thousand_images_has_room(tmp_path):
    image, _ = simulate.crystal("PbS", shape=(128, 128))
    rng = np.random.default_rng(0)
    many = []
    for n in range(1000):
        one = record(f"{n:04}.tif", chains_entry(shift=float(rng.normal(0, 0.1))),
                     lattice_entry(*(reflection(i, float(rng.normal(0.2968, 0.001)))
                                     for i in range(1, 21))))
        for table in one["measurements"][0]["tables"]["dots"]:
            table["diameter_nm"] = float(rng.normal(4.5, 0.2))
        many.append(one | {"thumbnail": figures.thumbnail_uri(image)})
    with results_of(tmp_path, *many) as results:
        path = write_report(results)
    assert path.stat().st_size < 15e6


def test_the_page_elsewhere_links_no_pictures(tmp_path):
    one = record("a.tif", chains_entry(pictures={"overlay": "pictures/a.png"}))
    with results_of(tmp_path / "results", one) as results:
        shown = held(results)
        there = write_report(results)
        elsewhere = write_report(results, tmp_path / "page.html")
    linked = encoded(content(shown))
    assert linked in there.read_text(encoding="utf-8")
    assert linked not in elsewhere.read_text(encoding="utf-8")


# --- in a browser

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




@pytest.fixture
def opened(browser, tmp_path):
    """The browser on a page with good and nasty records, whose pictures exist."""
    folder = tmp_path / "results"
    good = record("a.tif", chains_entry(pictures={"overlay": "pictures/a b#1.png"}),
                  lattice_entry(reflection(1, 0.3)))
    shown = [good, record("second.tif", chains_entry(0.5)), nasty_record(),
             *(record(f"b{n}.tif", chains_entry(0.1 * n)) for n in range(2)),
             failure(f"{NASTY}.dm4", NASTY)]
    with results_of(folder, *shown, recipe=NASTY_GROUPS) as results:
        (folder / "pictures" / "a b#1.png").write_bytes(base64.b64decode(PIXEL.split(",")[1]))
        path = write_report(results, title=NASTY)
    open_page(browser, path.as_uri())
    return browser, path


def open_page(browser, address):
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get("about:blank")
    browser.get(address)
    WebDriverWait(browser, 30).until(lambda b: b.execute_script(
        "return document.documentElement.dataset.ready") == "yes")


def requests(browser, page):
    """Addresses that a page asked for; the browser's own start page is not it."""
    entries = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [entry["params"]["request"]["url"] for entry in entries
            if entry["method"] == "Network.requestWillBeSent"
            and entry["params"]["documentURL"].startswith(page)]


def shown_rows(browser, part="#objects-shown"):
    return [[cell.text for cell in row.find_elements("css selector", "td")]
            for row in browser.find_elements("css selector", f"{part} table.objects tbody tr")]


@pytest.mark.browser
def test_browser_finds_no_fault_and_asks_for_nothing(opened):
    browser, path = opened
    folder = path.parent.as_uri()
    for place in ("", "#image=0", "#image=2&row=lattice.reflections:1", "#image=99"):
        open_page(browser, f"{path.as_uri()}{place}")
        assert [entry for entry in browser.get_log("browser") if entry["level"] != "INFO"] == []
        wider = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert browser.execute_script(wider) <= 0
    asked = requests(browser, folder)
    assert [url for url in asked if not url.startswith((path.as_uri(), "data:"))] == []
    with pytest.raises(Exception, match="no such alert"):
        browser.switch_to.alert.accept()
    assert browser.find_elements("css selector", "[onerror], [src=x]") == []


@pytest.mark.browser
def test_charts_are_drawn_and_described(opened):
    browser, _ = opened
    charts = browser.find_elements("css selector", ".chart[role=graphics-document]")
    assert len(charts) >= 5
    said = " ".join(chart.get_attribute("aria-label") or "" for chart in charts)
    for words in ("Histogram of width (nm), 10 values", "Survival of the lengths", "Effect sizes"):
        assert words in said
    assert all(chart.size["width"] > 200 and chart.size["height"] > 80 for chart in charts)


@pytest.mark.browser
def test_tables_sort_by_click_and_by_keyboard_and_filter(opened):
    from selenium.webdriver.common.keys import Keys

    browser, _ = opened
    head = next(one for one in browser.find_elements("css selector", "#objects-shown thead th")
                if one.text.startswith("width"))

    def widths():
        at = [one.text for one in browser.find_elements("css selector", "#objects-shown thead th")
              ].index(head.text)
        return [float(row[at].split(" ± ")[0]) for row in shown_rows(browser)]

    head.click()
    assert widths() == sorted(widths())
    assert head.get_attribute("aria-sort") == "ascending"
    button = head.find_element("css selector", "[tabindex='0'], .dt-column-order")
    button.send_keys(Keys.ENTER)
    assert widths() == sorted(widths(), reverse=True)
    search = browser.find_element("css selector", "#objects-shown .dt-search input")
    search.send_keys("second")
    assert {row[0] for row in shown_rows(browser)} == {"second.tif [HAADF]"}


@pytest.mark.browser
def test_dragging_over_a_histogram_shows_the_rows_of_the_range(opened):
    from selenium.webdriver import ActionChains

    browser, _ = opened
    chart = next(one for one in browser.find_elements(
        "css selector", "#objects-shown .chart[role=graphics-document]")
        if "width" in one.get_attribute("aria-label"))
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
    before = browser.find_element("css selector", "#objects-shown .dt-info").text
    right = chart.size["width"] // 2
    ActionChains(browser).move_to_element_with_offset(chart, right - 90, 0).click_and_hold(
    ).move_by_offset(60, 0).release().perform()
    after = browser.find_element("css selector", "#objects-shown .dt-info").text
    assert before.endswith("of 15")
    assert "filtered from 15" in after


@pytest.mark.browser
def test_a_range_can_be_typed(opened):
    from selenium.webdriver.common.keys import Keys

    browser, _ = opened
    low = browser.find_element("css selector", "input[aria-label='width (nm) from']")
    low.send_keys("4.99", Keys.ENTER)
    assert {row[0] for row in shown_rows(browser)} == {"second.tif [HAADF]"}
    low.clear()
    low.send_keys(Keys.ENTER)
    low.send_keys(Keys.TAB)
    assert browser.find_element("css selector", "#objects-shown .dt-info").text.endswith("of 15")


@pytest.mark.browser
def test_a_row_leads_to_its_image_with_the_object_marked(opened):
    from selenium.webdriver.common.keys import Keys

    browser, path = opened
    button = browser.find_element("css selector", "#objects-shown tbody button.link")
    button.send_keys(Keys.ENTER)
    assert "#image=0&row=chains.chains:0" in browser.current_url  # the nasty name comes first
    assert NASTY in browser.switch_to.active_element.text
    open_page(browser, f"{path.as_uri()}#image=1&row=chains.chains:3")
    assert not browser.find_element("id", "overview").is_displayed()
    marked = browser.find_elements("css selector", ".picture .chosen path")
    assert len(marked) == 1
    box = browser.execute_script("const b = arguments[0].getBBox(); return [b.x, b.y, b.width]",
                                 marked[0])
    assert box == pytest.approx([60.0, 50.0, 40.0], abs=0.01)  # in nm: as the chain lies
    assert "a.tif" in browser.switch_to.active_element.text
    assert browser.find_element("link text", "overlay").get_attribute("href").endswith(
        "pictures/a%20b%231.png")
    browser.find_elements("css selector", "#single table.objects tbody tr")[1].click()
    assert "row=chains.chains:4" in browser.current_url
    browser.find_element("id", "after").send_keys(Keys.SPACE)
    assert "3 of 5" in browser.find_element("id", "place").text
    browser.back()
    assert "2 of 5" in browser.find_element("id", "place").text
    browser.find_element("link text", "All images").click()
    assert browser.find_element("id", "overview").is_displayed()
    open_page(browser, f"{path.as_uri()}#image=1&row=lattice.reflections:1")
    assert len(browser.find_elements("css selector", ".picture .chosen circle")) == 1
    assert len(browser.find_elements("css selector", ".picture .chosen path")) == 1


@pytest.mark.browser
def test_numbers_are_written_as_the_program_writes_them(opened):
    from emtools import Measured

    browser, _ = opened
    cases = [(0.296812, 0.0004), (4.6231, 0.05), (12345.0, 300.0), (1.0, 0.149), (-3.2, 0.96),
             (88.0, 19.6), (0.5, 0.5)]
    # The page's functions are of a module: its text is run once more, where they can be asked.
    script = (Path(bundles.__file__).parent / "data.js").read_text(encoding="utf-8")
    said = browser.execute_cdp_cmd("Runtime.evaluate", {
        "expression": f"{script}; JSON.stringify({json.dumps(cases)}.map(c => measured(...c)))"})
    assert json.loads(said["result"]["value"]) == [str(Measured(*case)) for case in cases]


@pytest.mark.browser
def test_filter_hides_what_does_not_match(opened):
    browser, _ = opened
    browser.find_element("id", "filter").send_keys("second")
    shown = [card for card in browser.find_elements("css selector", ".card") if card.is_displayed()]
    assert len(shown) == 1
    assert browser.find_element("id", "shown").text == "1 of 5"


@pytest.mark.browser
def test_page_prints_with_its_images(opened):
    browser, _ = opened
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {})["data"])
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) >= 8  # each image has its own


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
        return ['body', 'a:not(.skip)', '.note', '.audit', '.bad', 'thead th', 'button.link',
                'td.remark'].map(s => {
          const ink = light(getComputedStyle(document.querySelector(s)).color);
          return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05); });""")
    assert min(ratios) > 4.5
