"""Scripts of other projects that the page carries within it: Vega for charts, DataTables."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_EXPORTS = re.compile(r"export\{([^}]*)\}")
_EXPORT = re.compile(r"([\w$]+) as ([\w$]+)")


@cache
def vega() -> str:
    """Vega, Vega-Lite and vega-embed in one script, which defines ``vegaEmbed``."""
    import vl_convert

    return str(vl_convert.javascript_bundle())  # type: ignore[call-arg]


@cache
def tables() -> tuple[str, str]:
    """DataTables as a module that defines ``emtoolsTables``, and its style."""
    room = resources.files("itables") / "html"
    script = (room / "dt_bundle.js").read_text(encoding="utf-8")
    found = list(_EXPORTS.finditer(script))[-1]
    # A module within a page has no address to import it from: what it exports is given a name.
    named = dict(_EXPORT.findall(found.group(1)))
    table = next(inner for inner, outer in named.items() if outer == "default")
    script = f"{script[:found.start()]}window.emtoolsTables={table};{script[found.end():]}"
    return script, (room / "dt_bundle.css").read_text(encoding="utf-8")
