"""How Sphinx builds the documentation: ``make docs``."""

from __future__ import annotations

from jobserver import __version__

project = "Jobserver"
author = "The Jobserver developers"
copyright = f"2026, {author}"
release = version = __version__

extensions = ["myst_parser"]
myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
nitpicky = True

html_theme = "furo"
html_title = f"Jobserver {__version__}"
