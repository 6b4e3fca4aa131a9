"""What notebooks show of images, results and numbers: right, safe, and never an error."""

import re
from html.parser import HTMLParser

import dask.array
import numpy as np
import pandas as pd
import pytest

import emtools
from emtools import Axis, Image, Measured, Result, Source, simulate
from emtools.errors import ParameterError

NASTY = """"><script>alert(1)</script><img src=x onerror=alert(2)>'{{ 7*7 }}"""


class Tags(HTMLParser):
    """Names of all tags, and what cannot stand in a card."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.attributes = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def tags(html):
    parsed = Tags(html)
    assert not parsed.open
    assert not {"script", "iframe", "object", "link", "style"} & set(parsed.tags)
    assert not any(name.startswith("on") for name in parsed.attributes)
    return parsed.tags


@pytest.fixture(scope="module")
def measured():
    image, _ = simulate.chains(shape=(256, 256), pixel_size_nm=0.2, n_chains=1, n_dots=(5, 5),
                               rng=1)
    return image, emtools.chains(image)


def test_an_image_shows_its_picture_and_where_its_scale_comes_from(measured):
    html = measured[0].calibrated(0.2, "nm", err=0.01)._repr_html_()
    assert tags(html).count("img") == 1
    assert "0.2 nm ± 1 % a pixel (user), 51.2 nm in all" in html
    assert "pixel size 0.2 nm given by user" in html


def test_an_image_without_a_scale_says_so():
    image = Image(np.arange(4096.0).reshape(64, 64), (Axis("y", 64), Axis("x", 64)))
    assert "not calibrated: in px" in image._repr_html_()


def test_what_is_no_picture_or_too_large_to_be_read_has_a_card_without_one():
    spectrum = Image(np.ones(100), (Axis("energy", 100, 0.02, "keV"),))
    assert "img" not in tags(spectrum._repr_html_())
    asked = []

    def block(block_info=None):
        asked.append(block_info)
        return np.zeros((1, 4096, 4096), np.float32)

    data = dask.array.map_blocks(block, dtype=np.float32, chunks=((1,) * 50, (4096,), (4096,)))
    asked.clear()
    stack = Image(data, (Axis("frame", 50), Axis("y", 4096), Axis("x", 4096)))
    assert "img" not in tags(stack._repr_html_())
    assert not asked


def test_a_result_shows_outcome_summary_and_the_head_of_each_table(measured):
    html = measured[1]._repr_html_()
    assert measured[1].outcome in html
    assert str(measured[1].summary["mean_width"]) in html
    for name, table in measured[1].tables.items():
        assert f"{name}: {len(table)} row" in html
    width = measured[1].tables["chains"]["width_nm"].iloc[0]
    assert f"{width:.5g}" in html
    tags(html)


def test_a_result_of_nothing_has_a_card():
    image, _ = simulate.blank(shape=(128, 128), rng=1)
    assert "no chains" in emtools.chains(image)._repr_html_()


def test_a_number_shows_as_it_prints():
    assert "4.62 ± 0.05 nm" in Measured(4.6231, 0.05, "nm")._repr_html_()
    assert "not measurable" in Measured(float("nan"))._repr_html_()


def test_no_text_of_a_file_becomes_markup(measured):
    image, _ = measured
    nasty = Image(image.load(), image.axes, source=Source(NASTY, NASTY), audit=(NASTY,))
    result = Result(NASTY, {NASTY: pd.DataFrame({NASTY: [NASTY]})},
                    {"outcome": NASTY, NASTY: NASTY}, parameters={NASTY: NASTY},
                    source={NASTY: NASTY})
    for shown in (nasty, result, Measured(1.0, 0.1, NASTY)):
        html = shown._repr_html_()
        assert len(re.findall("<img", html)) <= 1
        assert "{{ 7*7 }}" in html
        tags(html)


def test_plot_gives_the_main_picture_or_the_one_that_is_named(measured):
    image, result = measured
    plain, main, strips = (emtools.plot(*args) for args in
                           ((image,), (image, result), (image, result, "strips")))
    assert len({figure.get_size_inches()[1] for figure in (plain, main, strips)}) == 3
    with pytest.raises(ParameterError, match=r"'nothing' is not among .* overlay, .*strips"):
        emtools.plot(image, result, "nothing")


def test_plot_of_a_spectrum_image_in_which_nothing_is_measured_is_its_picture():
    axes = (Axis("y", 8), Axis("x", 8), Axis("energy", 64, 0.1, "keV"))
    image = Image(np.zeros((8, 8, 64)), axes)
    result = emtools.eds(image, elements=("Pb",))
    assert not result.details
    assert emtools.plot(image, result).axes
    with pytest.raises(ParameterError, match=r"'spectrum' is not among .*; there are none"):
        emtools.plot(image, result, "spectrum")


def test_figures_show_themselves_in_the_size_of_print(measured):
    content, about = emtools.plot(*measured)._repr_mimebundle_()
    assert content["image/png"].startswith(b"\x89PNG")
    assert about["image/png"]["width"] == round(85 / 25.4 * 140)


def test_the_name_of_an_image_is_short_in_a_terminal(measured):
    assert repr(measured[0]).startswith("<Image ")
    assert "y 256 x x 256" in repr(measured[0])
