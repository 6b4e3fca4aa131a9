"""Figures of chains: colours follow the width, every gap and candidate is marked and counted."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from emtools import figures, simulate
from emtools.figures.chains import gaps_figure, why_not_figure
from emtools.figures.chains.overview import width_colours
from emtools.measure.chains.tables import TABLES
from emtools.model import Measured, Result
from emtools.model.image import plane_image
from emtools.population import Frame, length_distribution, population

REASONS = ["not significant"] * 3 + ["wider than max_width_nm"] * 2 + ["shorter than 3 widths"]


def rendered(figure):
    figure.set_dpi(100)  # faster; positions in points stay
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())


def marked(figure, gid):
    return figure.findobj(lambda artist: artist.get_gid() == gid)


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def with_table(result, **tables):
    return replace(result, tables={**result.tables, **tables})


def example(shape, n_chains):
    """An image, and a result with its true tables, errors, profiles and rejected candidates."""
    image, truth = simulate.chains(shape=shape, n_chains=n_chains, n_dots=(6, 12), isolated_dots=3,
                                   pixel_size_nm=0.5, rng=3)
    tables = {name: TABLES[name].frame(truth[name].to_dict("records"))
              for name in ("chains", "gaps", "dots", "axes")}
    tables["dots"]["diameter_err_nm"] = 0.1
    tables["chains"]["width_err_nm"] = 0.02
    gaps = tables["gaps"]
    gaps["gap_err_nm"], gaps["resolved"] = 0.1, np.arange(len(gaps)) % 4 > 0
    gaps.loc[~gaps["resolved"], "gap_limit_nm"] = 0.5
    # As measured: centrelines begin with the first body's centre, lengths at its outer edge.
    tables["axes"] = tables["axes"].query("s_nm > 2.2")
    s = tables["axes"]["s_nm"]
    profiles = tables["axes"][["chain", "s_nm"]].assign(
        signal=10.0 + np.sin(s), fitted=10.0 + np.cos(s))
    rejected = pd.DataFrame({
        "candidate": np.arange(1, 7), "y_nm": 30.0 * np.arange(1, 7), "x_nm": 200.0,
        "length_nm": [20.0, 2.0, 4.0, 40.0, 9.0, 12.0], "width_nm": 4.0, "reason": REASONS})
    return image, Result("chains", tables, {"outcome": f"{n_chains} chains"},
                         details={"profiles": profiles, "rejected": rejected})


@pytest.fixture(scope="module")
def measured():
    return example((512, 512), 7)


@pytest.fixture(scope="module")
def drawn(measured):
    return figures.pictures(*measured)


@pytest.fixture(scope="module")
def found(measured):
    return population(Frame.of(*measured)).set_index("quantity")


def in_pixels(image, result):
    """The same without calibration."""

    def halved(table):
        lengths = [column for column in table.columns if str(column).endswith("_nm")]
        table = table.assign(**{column: table[column] / 0.5 for column in lengths})
        return table.rename(columns=lambda column: str(column).replace("_nm", "_px"))

    tables, details = ({name: halved(table) for name, table in group.items()}
                       for group in (result.tables, result.details))
    return plane_image(image.load()), replace(result, tables=tables, details=details)


def test_every_figure_is_there_and_drawn_with_and_without_calibration(measured, drawn, found):
    plain = figures.pictures(*in_pixels(*measured))
    assert set(drawn) == set(plain) == {
        "overlay", "gaps", "strips", "why_not", "histogram_diameter", "histogram_width",
        "histogram_length", "histogram_gap"}
    assert all(rendered(figure).size for figure in (*drawn.values(), *plain.values()))
    # The same numbers, in pixels.
    mean, err = found.loc["dot diameter", ["mean", "mean_err"]] / 0.5
    axes = plain["histogram_diameter"].axes[0]
    assert f"mean {Measured(mean, err, 'px')} " in axes.texts[0].get_text()
    assert axes.get_xlabel() == "dot diameter (px)"


def test_a_result_without_details_is_drawn(measured):
    image, result = measured
    drawn = figures.pictures(image, replace(result, details={}))
    assert {"overlay", "gaps", "strips"} <= set(drawn)
    assert "why_not" not in drawn
    assert not marked(drawn["strips"], "signal")


def test_nothing_found_has_an_overview_alone(measured):
    image, result = measured
    empty = {name: table.iloc[:0] for name, table in result.tables.items()}
    nothing = replace(result, tables=empty, details={})
    assert set(figures.pictures(image, nothing)) == {"overlay"}


def test_centrelines_have_the_colour_of_their_width(measured):
    image, result = measured
    axes = result.tables["axes"].assign(width_nm=4.0 + 0.01 * np.arange(len(result.tables["axes"])))
    figure = figures.chains_figure(image, with_table(result, axes=axes))
    rendered(figure)
    lines, = marked(figure, "centrelines")
    widths = np.concatenate([(rows[:-1] + rows[1:]) / 2 for rows in
                             (part.to_numpy() for _, part in axes.groupby("chain")["width_nm"])])
    assert np.allclose(lines.get_array(), widths)
    low, high = lines.get_clim()
    assert (low, high) == pytest.approx(np.percentile(axes["width_nm"], (5, 95)))
    middle = np.argmin(np.abs(widths - 0.5 * (low + high)))
    assert lines.get_colors()[[0, middle, -1]] == pytest.approx(
        width_colours()([0.0, 0.5, 1.0]), abs=0.02)
    bar = figure.axes[1]
    assert bar.get_xlim() == pytest.approx((low, high))


def test_colours_of_the_width_get_lighter_and_are_no_greys():
    colours = width_colours()(np.linspace(0, 1, 50))[:, :3]
    assert (np.diff(colours @ [0.2126, 0.7152, 0.0722]) > 0).all()
    assert np.ptp(colours, axis=1).min() > 0.4


def test_one_width_everywhere_is_written_and_has_no_colour_bar(measured):
    image, result = measured
    figure = figures.chains_figure(image, with_table(
        result, axes=result.tables["axes"].assign(width_nm=4.5)))
    assert len(figure.axes) == 1
    assert legend(figure)[0] == "7 chains, 4.5 nm wide"
    rendered(figure)
    assert len(np.unique(marked(figure, "centrelines")[0].get_colors(), axis=0)) == 1


def test_strands_of_a_helix_say_so(measured):
    image, result = measured
    chains = result.tables["chains"].assign(helix=[1, 1, 0, 0, 0, 2, 2])
    axes = figures.chains_figure(image, with_table(result, chains=chains)).axes[0]
    numbers = {text.get_text() for text in axes.texts if text.get_gid() is None}
    assert numbers == {"1 H1", "2 H1", "3", "4", "5", "6 H2", "7 H2"}


def test_each_gap_of_a_small_frame_is_marked_at_its_place_and_numbered():
    image, result = example((200, 200), 3)
    gaps = result.tables["gaps"]
    figure = gaps_figure(image, result)
    rendered(figure)
    assert "whole frame" in figure.texts[0].get_text()
    for name, rows, times in (("resolved", gaps[gaps.resolved], 2),
                              ("not resolved", gaps[~gaps.resolved], 1)):
        lines, = marked(figure, name)
        places = np.array([line.mean(axis=0) for line in lines.get_segments()])
        assert len(places) == times * len(rows)
        centres = places.reshape(times, -1, 2).mean(axis=0)
        assert centres == pytest.approx(rows[["x_nm", "y_nm"]].to_numpy() / 0.5, abs=1e-6)
        if times == 2:  # at the edges of the gap
            apart = np.hypot(*(places[: len(rows)] - places[len(rows):]).T)
            assert 0.5 * apart == pytest.approx(rows["gap_nm"].to_numpy(), abs=1e-6)
    numbers = {int(text.get_text()) for text in marked(figure, "gap-number")}
    assert numbers <= set(gaps["gap"])
    assert len(numbers) >= 0.9 * len(gaps)  # one without any room is left out
    assert legend(figure) == [f"{gaps.resolved.sum()} resolved gaps (edges)",
                              f"{(~gaps.resolved).sum()} not resolved"]


def test_marks_lie_across_the_chain(drawn):
    lines, = marked(drawn["gaps"], "resolved")
    segments = np.array(lines.get_segments())
    n = len(segments) // 2
    along, across = segments[n:].mean(axis=1) - segments[:n].mean(axis=1), np.diff(
        segments, axis=1)[:n, 0]
    assert np.abs(np.sum(along * across, axis=1)).max() < 1e-6
    assert (np.hypot(*across.T) * 0.5 > 4.5).all()  # longer than the bodies are wide


def test_of_a_large_frame_the_place_with_the_most_resolved_gaps_is_shown(measured):
    image, result = measured
    gaps = result.tables["gaps"]
    most = gaps.loc[gaps.chain == 5]
    others = gaps.groupby("chain").cumcount() == 2
    gaps = gaps.assign(resolved=(gaps.chain == 5) | (others & (gaps.chain < 5)))
    figure = gaps_figure(image, with_table(result, gaps=gaps))
    rendered(figure)
    lines, = marked(figure, "resolved")
    assert len(lines.get_segments()) >= 2 * 0.8 * len(most)
    (left, right), (bottom, top) = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
    assert max(right - left, bottom - top) < 250
    said = figure.texts[0].get_text()
    assert said.startswith("detail")
    # What the text says is what is shown: a mark plus the corner is a place of the table.
    x, y = (float(said.split(f"{name} = ")[1].split()[0].strip(",")) for name in "xy")
    place = 0.5 * np.array(lines.get_segments())[:, :, :].mean(axis=1) + [x, y]
    known = gaps[gaps.resolved][["x_nm", "y_nm"]].to_numpy()
    assert np.hypot(*(place[:, None] - known[None]).transpose(2, 0, 1)).min(axis=1).max() < 0.8
    assert legend(figure)[0].startswith(f"{len(lines.get_segments()) // 2} of {len(most) + 4} ")


def test_strips_show_the_longest_chains_with_their_profiles(measured, drawn):
    _, result = measured
    figure = drawn["strips"]
    longest = result.tables["chains"].sort_values("length_nm", ascending=False)["chain"][:6]
    numbers = [int(text.get_text()) for text in marked(figure, "chain")]
    assert numbers == longest.tolist()
    axes = result.details["profiles"]
    for number, signal, fitted in zip(numbers, marked(figure, "signal"), marked(figure, "fitted"),
                                      strict=True):
        rows = axes[axes["chain"] == number]
        shown = signal.get_xdata()
        assert np.isin(shown, rows["s_nm"]).all()
        assert len(shown) >= len(rows) - 1
        assert signal.get_ydata() == pytest.approx(rows["signal"].to_numpy()[: len(shown)])
        assert fitted.get_ydata() == pytest.approx(rows["fitted"].to_numpy()[: len(shown)])
    gaps = result.tables["gaps"]
    assert len(marked(figure, "gap")) == gaps["chain"].isin(numbers).sum()
    numbered = {int(text.get_text()) for text in marked(figure, "gap-number")}
    assert numbered == set(gaps[gaps["chain"].isin(numbers)]["gap"])


def test_strips_have_one_scale_and_dots_at_their_places(measured, drawn):
    _, result = measured
    figure = drawn["strips"]
    bar, = marked(figure, "scale-bar")
    label, = marked(figure, "scale-bar-label")
    length = float(label.get_text().split()[0])
    width = figure.get_size_inches()[0]
    shown = [axes for axes in figure.axes if axes.images]
    scales = [axes.get_position().width / np.ptp(axes.get_xlim()) for axes in shown]
    assert scales == pytest.approx([bar.get_width() / length] * len(shown))
    high = [axes.get_position().height * figure.get_size_inches()[1] / np.ptp(axes.get_ylim())
            for axes in shown]
    assert high == pytest.approx([scales[0] * width] * len(shown))  # across as along
    strip = shown[0].images[0]
    left, right, bottom, top = strip.get_extent()
    pixels = np.asarray(strip.get_array())
    number = int(marked(figure, "chain")[0].get_text())
    s = np.linspace(left, right, pixels.shape[1])
    middle = pixels[np.abs(np.linspace(top, bottom, pixels.shape[0])) < 1.0].mean(axis=0)
    gaps = result.tables["gaps"]
    gaps = gaps[gaps["chain"] == number]["s_nm"].to_numpy()
    dots = 0.5 * (gaps[:-1] + gaps[1:])
    assert np.interp(dots, s, middle).min() > np.interp(gaps, s, middle).max()


@pytest.mark.parametrize("quantity", ["dot diameter", "width", "gap"])
def test_histograms_state_and_draw_the_population(drawn, found, quantity):
    row = found.loc[quantity]
    figure = drawn[f"histogram_{quantity.split()[-1]}"]
    axes = figure.axes[0]
    text = axes.texts[0].get_text()
    assert f"mean {Measured(row['mean'], row['mean_err'], 'nm')} " in text
    assert text.startswith(f"n = {row['n']} ")
    if row["spread"] > 0:
        assert f"std {Measured(row['spread'], row['spread_err'], 'nm')}" in text
        curve, = marked(figure, "fitted")
        x, y = curve.get_data()
        assert x[np.argmax(y)] == pytest.approx(row["mean"], abs=0.1 * row["spread"])
        bars = [patch for patch in axes.patches if patch.get_height() > 0]
        assert np.trapezoid(y, x) <= 1.001 * sum(p.get_height() for p in bars) * bars[0].get_width()
        # Broader than the population by the errors of measurement.
        off = np.trapezoid(y * (x - row["mean"]) ** 2, x) / np.trapezoid(y, x)
        assert off < row["spread"] ** 2 + 0.1**2


def test_gaps_that_are_not_resolved_are_shown_apart(measured, drawn):
    gaps = measured[1].tables["gaps"]
    figure = drawn["histogram_gap"]
    heights = {gid: sum(patch.get_height() for patch in marked(figure, gid))
               for gid in ("limits", "whole")}
    assert heights == {"limits": (~gaps.resolved).sum(), "whole": gaps.resolved.sum()}
    assert f"{(~gaps.resolved).sum()} of {len(gaps)} not resolved" in \
        figure.axes[0].texts[1].get_text()


def test_lengths_have_the_survival_of_the_population(measured, drawn):
    table = length_distribution(Frame.of(*measured))
    curve, = marked(drawn["histogram_length"], "survival")
    assert curve.get_xdata() == pytest.approx(table["length_nm"].to_numpy())
    assert curve.get_ydata() == pytest.approx(table["survival"].to_numpy())


def test_rejected_candidates_are_ringed_in_their_size_and_counted_by_reason(measured, drawn):
    _, result = measured
    figure = drawn["why_not"]
    assert legend(figure) == ["3 not significant", "2 wider than max_width_nm",
                              "1 shorter than 3 widths", "7 chains found"]
    rings = marked(figure, "rejected")
    rows = result.details["rejected"]
    assert [ring.get_center()[1] for ring in rings] == pytest.approx(rows["y_nm"] / 0.5)
    sizes = np.array([ring.get_width() for ring in rings])
    large = rows["length_nm"] > 8
    assert sizes[large] == pytest.approx(rows["length_nm"][large] / 0.5)
    assert sizes.min() > 5  # never a speck
    colours = [mpl.colors.to_hex(ring.get_edgecolor()) for ring in rings]
    assert len(set(colours)) == 3
    assert [colours.index(colour) for colour in colours] == [0, 0, 0, 3, 3, 5]
    numbers = {int(text.get_text()) for text in marked(figure, "number")}
    assert numbers == set(rows["candidate"])


def test_more_reasons_than_colours_share_the_last_one(measured):
    image, result = measured
    rows = pd.concat([result.details["rejected"]] * 2, ignore_index=True)
    rows["reason"] = ["a"] * 3 + [f"reason {i}" for i in range(9)]
    rows.loc[0, ["y_nm", "length_nm"]] = np.nan
    figure = why_not_figure(image, replace(result, details={"rejected": rows}))
    rendered(figure)
    assert legend(figure)[0] == "3 a"
    assert legend(figure)[5] == "5 other reasons"
    assert len(marked(figure, "rejected")) == 11
