"""How Sphinx builds the documentation: ``make docs``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jobserver import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Jobserver"
author = "The Jobserver developers"
copyright = f"2026, {author}"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True
# Types of other libraries, and of the package's inner parts, have no page here.
nitpick_ignore_regex = [("py:.*", r"(?!jobserver\.(current_job|create_app|scripts)\b).*")]
autodoc_typehints = "description"
napoleon_google_docstring = False

html_theme = "furo"
html_title = f"Jobserver {__version__}"


def list_sources(
    _app: Sphinx, _what: str, _name: str, _obj: Any, _opts: Any, lines: list[str]
) -> None:
    """Show the numbered sources of a docstring as a list: as footnotes they clash on a page."""
    text = re.sub(r"^( *)\.\. \[(\d+)\] ", r"\1*  [\2] ", "\n".join(lines), flags=re.MULTILINE)
    lines[:] = re.sub(r"\[(\d+)\]_", r"[\1]", text).split("\n")


def setup(app: Sphinx) -> None:
    """Connect the above."""
    app.connect("autodoc-process-docstring", list_sources, priority=400)
