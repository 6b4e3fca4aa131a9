"""How the documentation is built: ``make site`` (Sphinx), with the repository as its source.

The notebooks are the tutorial: they are executed where they lie, and a failing cell fails the
build.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import emtools

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "_ext"))
# Workers have a core each; threads of the linear algebra would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

project = "emtools"
author = "The emtools developers"
copyright = f"{author}, GPL-3.0-or-later"  # noqa: A001 - Sphinx asks for this name
version = release = emtools.__version__

root_doc = "docs/index"
include_patterns = [
    "docs/*.md", "docs/how_to/*.md", "docs/how_it_works/*.md", "docs/reference/*.md",
    "docs/validation/*.md", "notebooks/*.ipynb", "ARCHITECTURE.md", "CONVENTIONS.md",
    "CHANGELOG.md",
]
extensions = [
    "myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx_design", "sphinx_copybutton", "declared",
]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = os.environ.get("EMTOOLS_NOTEBOOKS", "force")
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_typehints_format = "short"
python_maximum_signature_line_length = 88
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
suppress_warnings = ["mystnb.unknown_mime_type"]

html_theme = "pydata_sphinx_theme"
html_title = f"emtools {version}"
html_theme_options = {
    "navbar_align": "left",
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "friendly",
    "pygments_dark_style": "github-dark",
}
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["emtools.css"]
html_extra_path = ["_top"]  # index.html: the way from the top of the site to its first page
html_copy_source = False
html_show_sourcelink = False
