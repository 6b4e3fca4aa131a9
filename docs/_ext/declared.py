"""Directives that write what the code declares: tables, options, commands, phases, docstrings.

Nothing of it is written down a second time: a column, a parameter or a phase that is added appears
in the documentation with its declared meaning.
"""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from emtools import measure
from emtools.crystal import known_phases, phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sphinx.application import Sphinx

    from emtools.crystal import Phase
    from emtools.measure import Measurement, Option

_HELP_LETTERS = 100


class _Declared(SphinxDirective):
    """Base: tables and paragraphs as nodes, sections that can be linked to."""

    def _paragraph(self, text: str) -> nodes.paragraph:
        holder = nodes.Element()
        # A docstring is reStructuredText inside numpydoc, here only its literals matter.
        self.state.nested_parse(StringList([text.replace("``", "`")]), 0, holder)
        first = holder.children[0] if holder.children else nodes.paragraph()
        assert isinstance(first, nodes.paragraph)
        return first

    def _table(
        self, heads: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int]
    ) -> nodes.table:
        group = nodes.tgroup(cols=len(heads))
        group += [nodes.colspec(colwidth=width) for width in widths]
        group += nodes.thead("", self._row([nodes.paragraph("", head) for head in heads]))
        body = nodes.tbody()
        for row in rows:
            cells: list[nodes.paragraph] = [nodes.paragraph("", "", nodes.literal("", row[0]))]
            cells += [self._paragraph(cell) if cell else nodes.paragraph() for cell in row[1:]]
            body += self._row(cells)
        group += body
        return nodes.table("", group, classes=["declared"])

    @staticmethod
    def _row(cells: Sequence[nodes.paragraph]) -> nodes.row:
        row = nodes.row()
        for cell in cells:
            row += nodes.entry("", cell)
        return row

    def _section(self, title: str, own: str, *content: nodes.Node) -> nodes.section:
        section = nodes.section(ids=[nodes.make_id(own)], names=[own])
        section += nodes.title("", title)
        section += content
        self.state.document.note_explicit_target(section)
        return section


class _OfMeasurements(_Declared):
    """Base: a section for each measurement."""

    def run(self) -> list[nodes.Node]:
        """Return the sections, in the order of the names."""
        return [self._of(measure.load(name)) for name in measure.names()]

    def _of(self, measurement: Measurement) -> nodes.section:
        raise NotImplementedError


class DeclaredTables(_OfMeasurements):
    """Every table of every measurement, with type and meaning of each column."""

    def _of(self, measurement: Measurement) -> nodes.section:
        tables = [self._section(
            f"{measurement.name}.{name}", f"table-{measurement.name}-{name}",
            self._paragraph(table.meaning),
            self._table(("column", "type", "meaning"),
                        [(column.name, column.kind, column.meaning) for column in table.columns],
                        (30, 10, 60)))
            for name, table in measurement.tables.items()]
        return self._section(measurement.name, f"tables-{measurement.name}",
                             self._paragraph(measurement.summary), *tables)


class DeclaredOptions(_OfMeasurements):
    """The parameters of every measurement: options, recipe keys and form fields in one."""

    def _of(self, measurement: Measurement) -> nodes.section:
        rows = [(option.name, _default(option), option.meaning) for option in measurement.options]
        kinds = ", ".join(measurement.modalities)
        return self._section(
            measurement.name, f"options-{measurement.name}", self._paragraph(measurement.summary),
            self._paragraph(f"For images of: {kinds}."),
            self._table(("parameter", "default", "meaning"), rows, (28, 12, 60)))


def _default(option: Option) -> str:
    if option.required:
        return "*required*"
    if option.default is None:
        return "none"
    if option.default == ():
        return "empty"
    if isinstance(option.default, tuple):
        return "`" + ",".join(str(item) for item in option.default) + "`"
    return f"`{option.default}`"


class DeclaredPhases(_Declared):
    """The built-in phases."""

    def run(self) -> list[nodes.Node]:
        """Return one table."""
        rows = []
        for name in known_phases():
            one = phase(name)
            rows.append((name, f"`{one.space_group}`", _cell(one), one.source))
        return [self._table(("name", "space group", "cell", "source"), rows, (14, 16, 30, 40))]


def _cell(phase: Phase) -> str:
    """Edges in nm and, where they are no right angles, angles."""
    edges, angles = phase.cell[:3], phase.cell[3:]
    different = [edge for i, edge in enumerate(edges) if edge not in edges[:i]]
    said = ", ".join(f"{edge:g}" for edge in different) + " nm"
    return said if set(angles) == {90} else said + "; " + ", ".join(f"{a:g}°" for a in angles)


class DeclaredCommands(_Declared):
    """What each command of the program prints as its help."""

    def run(self) -> list[nodes.Node]:
        """Return a section for each command."""
        pages = [("emtools", ()), *((name, (name,)) for name in _commands(())), *(
            (f"simulate {name}", ("simulate", name)) for name in _commands(("simulate",)))]
        return [self._section(title, f"command-{title}",
                              nodes.literal_block("", _help(path), language="none"))
                for title, path in pages]


def _click(path: Sequence[str]) -> Any:
    """The command's object; only what the path names is imported by the program."""
    import typer.main

    from emtools.cli import build

    command: Any = typer.main.get_command(build(path))
    for name in path:
        command = command.commands[name]
    return command


def _commands(path: Sequence[str]) -> list[str]:
    return list(_click(path).commands)


def _help(path: Sequence[str]) -> str:
    context = _click(path).make_context(" ".join(("emtools", *path)), [], resilient_parsing=True)
    context.max_content_width = context.terminal_width = _HELP_LETTERS
    return str(context.get_help())


class DeclaredApi(_Declared):
    """The docstrings of public names through autodoc, classes with their members."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return a section of autodoc's for each name."""
        return [node for name in " ".join(self.content).split() for node in self._of(name)]

    def _of(self, name: str) -> list[nodes.Node]:
        module = importlib.import_module(self.arguments[0])
        kind = "class" if inspect.isclass(getattr(module, name)) else "function"
        lines = ["```{eval-rst}", f".. auto{kind}:: {self.arguments[0]}.{name}"]
        lines += ["   :members:"] * (kind == "class")
        holder = nodes.Element()
        self.state.nested_parse(StringList([*lines, "```"]), 0, holder)
        return holder.children


def setup(app: Sphinx) -> dict[str, Any]:
    """Name the directives."""
    app.add_directive("declared-tables", DeclaredTables)
    app.add_directive("declared-options", DeclaredOptions)
    app.add_directive("declared-phases", DeclaredPhases)
    app.add_directive("declared-commands", DeclaredCommands)
    app.add_directive("declared-api", DeclaredApi)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
