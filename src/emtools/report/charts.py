"""Charts of the page as Vega-Lite specifications: they are drawn, and asked, in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from emtools.report.histograms import Histogram

Spec = dict[str, Any]
_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"  # a name, not an address that is asked
# Okabe and Ito's, without the yellow, which does not show on paper.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
_INK = {"labelColor": "currentColor", "titleColor": "currentColor"}
_CONFIG: Spec = {
    "background": None, "font": "system-ui, sans-serif",
    "axis": {**_INK, "domainColor": "currentColor", "tickColor": "currentColor",
             "gridColor": "currentColor", "gridOpacity": 0.12, "labelFontSize": 12,
             "titleFontSize": 12, "titleFontWeight": "normal"},
    "legend": {**_INK, "labelFontSize": 12, "titleFontSize": 12},
    "view": {"stroke": None}, "range": {"category": list(COLOURS)},
}
_SIZE: Spec = {"width": 330, "height": 150,
               "autosize": {"type": "fit", "contains": "padding"}}
_OVERLAID = 0.5  # opacity of groups that lie over each other


def _spec(description: str, **parts: Any) -> Spec:
    return {"$schema": _SCHEMA, "description": description, "config": _CONFIG, **parts}


def titled(words: str, unit: str) -> str:
    """Return the title of an axis."""
    return f"{words} ({unit})" if unit else words


def histogram(counted: Histogram) -> Spec:
    """Return a histogram, of groups as parts of each, in which a range can be chosen."""
    grouped = len(counted.counts) > 1
    rows = []
    for group, counts in counted.counts.items():
        total = int(counts.sum())
        rows += [{"low": float(f"{low:.9g}"), "high": float(f"{high:.9g}"), "n": int(n),
                  "part": n / total, "group": group, "range": f"{low:.6g} to {high:.6g}"}
                 for low, high, n in zip(counted.edges, counted.edges[1:], counts, strict=False)]
    title = titled(counted.words, counted.unit)
    total = sum(int(counts.sum()) for counts in counted.counts.values())
    tooltip: list[Spec] = [{"field": "range", "title": title}, {"field": "n", "title": "number"}]
    encoding: Spec = {
        "x": {"field": "low", "type": "quantitative", "title": title,
              "scale": {"zero": False, "nice": False}, "axis": {"grid": False, "tickCount": 6}},
        "x2": {"field": "high"},
        "y": {"field": "part" if grouped else "n", "type": "quantitative", "stack": None,
              "title": "part of the group" if grouped else "number",
              "axis": {"tickCount": 4, **({"format": "%"} if grouped else {})}},
        "y2": {"datum": 0},
        "tooltip": tooltip,
    }
    mark: Spec = {"type": "rect", "color": COLOURS[0], "stroke": "currentColor",
                  "strokeWidth": 0.3}
    if grouped:
        mark = {"type": "rect", "opacity": _OVERLAID}
        encoding["color"] = {"field": "group", "type": "nominal", "title": None, "sort": None,
                             "legend": {"orient": "top"}}
        tooltip.insert(0, {"field": "group", "title": "group"})
    return _spec(f"Histogram of {title}, {total} values", data={"values": rows}, mark=mark,
                 encoding=encoding, **_SIZE,
                 params=[{"name": "range", "select": {"type": "interval", "encodings": ["x"]}}])


def survival(curves: pd.DataFrame) -> Spec:
    """Return the part of chains that are longer than a length, with its interval.

    Parameters
    ----------
    curves
        Columns ``group, length_nm, survival, low, high, at_risk``.
    """
    columns = ["group", "length_nm", "survival", "low", "high", "at_risk"]
    rows = [{key: value if isinstance(value, str) else float(f"{value:.5g}")
             for key, value in row.items()}
            for _, own in curves.groupby("group", sort=False)
            for row in _thinned(own[columns]).to_dict("records")]
    grouped = len(set(curves["group"])) > 1
    colour: Spec = {"field": "group", "type": "nominal", "title": None, "sort": None,
                    "legend": {"orient": "top"}} if grouped else {"value": COLOURS[0]}
    x = {"field": "length_nm", "type": "quantitative", "title": "length (nm)",
         "axis": {"grid": False, "tickCount": 6}}
    percent = {"format": ".0%"}
    tooltip = [*([{"field": "group"}] if grouped else []),
               {"field": "length_nm", "title": "length (nm)"},
               {"field": "survival", "title": "longer", "format": ".1%"},
               {"field": "low", "title": "from", "format": ".1%"},
               {"field": "high", "title": "to", "format": ".1%"},
               {"field": "at_risk", "title": "chains followed so far"}]
    return _spec(
        "Survival of the lengths of chains: the part that is longer, with its 95 % interval",
        data={"values": rows}, **{**_SIZE, "width": 460, "height": 230},
        layer=[
            {"mark": {"type": "area", "interpolate": "step-after", "opacity": 0.2},
             "encoding": {"x": x, "y": {"field": "low", "type": "quantitative"},
                          "y2": {"field": "high"}, "color": colour}},
            {"mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 1.5},
             "encoding": {"x": x, "color": colour,
                          "y": {"field": "survival", "type": "quantitative",
                                "title": "part that is longer", "scale": {"domain": [0, 1]},
                                "axis": {**percent, "tickCount": 4}}}},
            {"mark": {"type": "point", "opacity": 0, "size": 60},
             "encoding": {"x": x, "y": {"field": "survival", "type": "quantitative"},
                          "tooltip": tooltip}},
        ])


def _thinned(curve: pd.DataFrame, most: int = 400) -> pd.DataFrame:
    if len(curve) <= most:
        return curve
    return curve.iloc[np.unique(np.linspace(0, len(curve) - 1, most).round().astype(int))]


def effects(compared: Sequence[dict[str, Any]]) -> Spec:
    """Return effect sizes with their intervals, a line for each comparison.

    Parameters
    ----------
    compared
        Rows with ``said, effect_size, effect_low, effect_high, verdict``.
    """
    y = {"field": "said", "type": "nominal", "title": None, "sort": None,
         "axis": {"labelLimit": 320, "grid": False}}
    tooltip = [{"field": "said", "title": "quantity"},
               {"field": "effect_size", "title": "Hedges' g", "format": ".2f"},
               {"field": "effect_low", "title": "from", "format": ".2f"},
               {"field": "effect_high", "title": "to", "format": ".2f"},
               {"field": "verdict", "title": "verdict"}]
    x = {"type": "quantitative", "title": "effect size (Hedges' g, 95 %)"}
    return _spec(
        "Effect sizes of the differences between groups, with 95 % intervals",
        data={"values": list(compared)}, width=620, height={"step": 20},
        layer=[
            {"data": {"values": [{"zero": 0}]},
             "mark": {"type": "rule", "strokeDash": [4, 3], "color": "gray"},
             "encoding": {"x": {"field": "zero", **x}}},
            {"mark": {"type": "rule", "color": COLOURS[0], "strokeWidth": 1.5},
             "encoding": {"y": y, "x": {"field": "effect_low", **x}, "x2": {"field": "effect_high"},
                          "tooltip": tooltip}},
            {"mark": {"type": "point", "filled": True, "size": 60, "color": COLOURS[0],
                      "opacity": 1},
             "encoding": {"y": y, "x": {"field": "effect_size", **x}, "tooltip": tooltip}},
        ])
