"""Everything that the page shows, in words -> HTML."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from importlib import resources
from typing import TYPE_CHECKING, Any

from emtools.report import bundles, charts
from emtools.report.content import MOST_ROWS, content, encoded, outcome
from emtools.report.methods import methods
from emtools.report.wording import (
    ends_of,
    interval,
    label,
    measured,
    number,
    text,
    thumbnail,
)
from emtools.results.records import image_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from emtools.report.held import Held
    from emtools.report.histograms import Histogram
    from emtools.report.summary import Summary
    from emtools.results.reading import Results
    from emtools.results.records import Record

MOST_BYTES = 14_500_000
_FEWEST_ROWS = 3
_LEAST_POINTS = 4  # of a centreline
_MOST_REASONS = 2000  # files that were not measured, one by one
_DATA = '<script type="application/octet-stream" id="data">'
_SCRIPTS = ("data.js", "tables.js", "charts.js", "image.js", "page.js")


def render(
    results: Results, held: Held, summaries: Sequence[Summary], counted: Sequence[Histogram], *,
    title: str, beside: bool,
) -> str:
    """Return the page.

    Parameters
    ----------
    results
        Of a batch.
    held
        Images that the page holds.
    summaries
        Their population.
    counted
        Histograms of all rows.
    title
        Of the page.
    beside
        Whether the page lies beside the pictures, and links them.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("emtools", "report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    environment.filters |= {"say": text, "label": label}
    runs = results.runs.set_index("run")
    versions: dict[str, str] = json.loads(str(runs.loc[results.run, "versions"]))
    table_script, table_style = bundles.tables()
    scripts = {"vega": bundles.vega(), "tables": table_script,
               "own": "\n".join(_asset(name) for name in _SCRIPTS)}
    styles = [table_style, _asset("page.css")]
    compared = [_compared(one.compared) for one in summaries]
    drawn = {"tables": [_histogram(one) for one in counted],
             "summaries": [_charts(one, rows) for one, rows in zip(summaries, compared,
                                                                   strict=True)]}

    page = environment.get_template("page.jinja").render(
        title=title, versions=versions, recipe=results.recipe, charts=encoded(drawn),
        images=[_card(record) for record in held.records], n_measured=held.n_measured,
        groups=[(name, held.measured_in(name)) for name in held.groups],
        summaries=[_summary(one, rows) for one, rows in zip(summaries, compared, strict=True)],
        methods=methods(held, summaries, results.recipe, versions),
        others=_others(held.outcomes), scripts=scripts, styles=styles,
        script_hashes=[_hash(script) for script in scripts.values()],
        style_hashes=[_hash(style) for style in styles])
    # What is left of the room is for the data.  Text of files is escaped: it cannot hold the mark.
    before, mark, after = page.partition(_DATA)
    data = _fitting(held, beside, len(page.encode("utf-8", "backslashreplace")))
    return "".join((before, mark, data, after))


def _fitting(held: Held, beside: bool, used: int) -> str:
    """Images and as many of their rows as the page has room for."""
    most_rows = MOST_ROWS
    while True:
        held_content = content(held, most_rows, max(_LEAST_POINTS, 24 * most_rows // MOST_ROWS))
        if not beside:
            for image in held_content["images"]:
                for measurement in image["measurements"]:
                    measurement["pictures"] = []
        data = encoded(held_content)
        if used + len(data) <= MOST_BYTES or most_rows <= _FEWEST_ROWS:
            return data
        most_rows //= 2


def _histogram(counted: Histogram) -> dict[str, Any]:
    notes = []
    if counted.beyond:
        notes.append(f"{counted.beyond} beyond it are counted in the outermost ranges")
    if counted.left_out:
        notes.append(f"objects that the frame cuts are left out ({counted.left_out})")
    return {"table": counted.table, "column": counted.column, "note": "; ".join(notes),
            "title": charts.titled(counted.words, counted.unit),
            "spec": charts.histogram(counted)}


def _charts(summary: Summary, compared: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {"measurement": summary.measurement}
    if len(summary.survival):
        found["survival"] = charts.survival(summary.survival)
    sized = [row for row in compared if row["effect_size"] is not None]
    if sized:
        found["effects"] = charts.effects(sized)
    return found


def _compared(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Comparisons in words, and the effect sizes as numbers (None where there is none)."""
    several = len(table) and table[["group_a", "group_b"]].drop_duplicates().shape[0] > 1
    rows = []
    for row in table.to_dict("records"):
        pair = f"{row['group_a']} → {row['group_b']}"
        rows.append({
            "quantity": str(row["quantity"]), "unit": str(row["unit"]), "pair": pair,
            "said": f"{row['quantity']}, {pair}" if several else str(row["quantity"]),
            "values": [number(row["value_a"]), number(row["value_b"])],
            "difference": interval(row["difference"], row["low"], row["high"]),
            "effect": interval(row["effect_size"], row["effect_low"], row["effect_high"]),
            "p": number(row["p_holm"]), "images": f"{row['images_a']}, {row['images_b']}",
            "verdict": str(row["verdict"]), "method": str(row["method"]),
            **{key: float(row[key]) if math.isfinite(row[key]) else None
               for key in ("effect_size", "effect_low", "effect_high")}})
    return rows


def _summary(summary: Summary, compared: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"measurement": summary.measurement, "note": summary.note,
            "grouped": bool(len(summary.population)) and summary.population["group"].any(),
            "rows": [_quantity(row) for row in summary.population.to_dict("records")],
            "compared": compared, "survival": bool(len(summary.survival))}


def _quantity(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A line of the population in words."""
    median = interval(row["median"], row["median_low"], row["median_high"]) \
        if math.isfinite(row["median_high"]) else number(row["median"], row["median_err"])
    return {
        "group": row["group"], "quantity": row["quantity"],
        "unit": "°" if row["unit"] == "deg" else row["unit"], "n": row["n"],
        "images": row["n_images"],
        "mean": measured(row["mean"], row["mean_err"]),
        "with_scale": measured(row["mean"], row["mean_err_with_scale"])
        if row["mean_err_with_scale"] > 1.02 * row["mean_err"] else "",
        "interval": ends_of(row["low"], row["high"]),
        "median": median, "spread": measured(row["spread"], row["spread_err"]),
        "note": row["note"]}


def _card(record: Record) -> dict[str, Any]:
    return {"name": image_name(record["file"], record["image"]), "outcome": outcome(record),
            "thumbnail": thumbnail(record["thumbnail"] or ""), "group": record["group"],
            "audit": [str(sentence) for sentence in record["audit"]]}


def _others(outcomes: pd.DataFrame) -> list[dict[str, Any]]:
    """Images that were not measured, by what became of them."""
    found = []
    for status, title, caption in (
        ("failed", "Failed", "Files that could not be read or measured, why, and what to do"),
        ("left out", "Left out", "Images that no measurement fits, and why"),
        ("other file", "Other files", "Files that are no micrographs, or part of one that was "
                                      "read, and why"),
    ):
        own = outcomes[outcomes["status"] == status]
        rows = [{"name": image_name(file, image),
                 "reason": reason or "no measurement fits it"}
                for file, image, reason in own[["file", "image", "reason"]].head(
                    _MOST_REASONS).itertuples(index=False)]
        found.append({"title": title, "caption": caption, "rows": rows, "n": len(own),
                      "id": status.replace(" ", "-")})
    return found


def _asset(name: str) -> str:
    return resources.files("emtools.report").joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """Return what a content security policy calls a script or style that it lets run."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
