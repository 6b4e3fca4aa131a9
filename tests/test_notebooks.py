"""The notebooks: short, stripped, with public names only (the site's build executes them)."""

import ast
import json
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))


def cells(path, kind):
    whole = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in whole["cells"] if cell["cell_type"] == kind]


def test_there_are_eight_of_them():
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{i:02d}" for i in range(1, 9)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_ten_to_twenty_five_cells_and_no_outputs(path):
    whole = json.loads(path.read_text(encoding="utf-8"))
    assert 10 <= len(whole["cells"]) <= 25
    code = [cell for cell in whole["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_what_it_asks_what_the_trap_is_and_which_line_to_change(path):
    texts = cells(path, "markdown")
    assert texts[0].startswith("# ")
    assert any("trap" in text.lower() for text in texts)
    assert any("# <- your own" in source for source in cells(path, "code"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_uses_public_names_only(path):
    for source in cells(path, "code"):
        for node in ast.walk(ast.parse(source)):
            names = [node.attr] if isinstance(node, ast.Attribute) else \
                [alias.name for alias in node.names] + [getattr(node, "module", None) or ""] \
                if isinstance(node, (ast.Import, ast.ImportFrom)) else []
            assert not any(part.startswith("_") for name in names for part in name.split("."))


def test_sample_images_that_notebooks_read_are_there():
    for path in NOTEBOOKS:
        for source in cells(path, "code"):
            for node in ast.walk(ast.parse(source)):
                value = str(node.value) if isinstance(node, ast.Constant) else ""
                assert not value.startswith("../") or (path.parent / value).exists()
