"""How the pages become a site: ``sphinx-build -W --keep-going -b html docs build/docs`` (extra ``docs``)."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

from qnode import __version__

project = "qnode"
author = "the qnode developers"
release = __version__
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns = ["build", "README.md"]
html_theme = "furo"
html_title = f"qnode {release}"
# Anchors for links to headings, as on code hosts, where these pages are read, too.
myst_heading_anchors = 4
nitpicky = True

OUTSIDE = re.compile(
    r"\[([^\]]+)\]\((?:\.\./)+(?!tutorial/|how-to/|reference/|explanation/|decisions/)([\w./-]*)(#[^)]*)?\)"
)
"""A link to a file of the source tree that is no page."""


def _name_files(app: Sphinx, page: str, text: list[str]) -> None:
    """Links that leave these pages become the names of the files: the site does not carry the source tree."""
    if page == root_doc:
        text[0] = (Path(app.srcdir) / "README.md").read_text(encoding="utf-8") + text[0]
    text[0] = OUTSIDE.sub(r"\1 (`\2`)", text[0])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _name_files)
