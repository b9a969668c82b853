"""A small table for notebooks."""

from __future__ import annotations

import html
from collections.abc import Iterable

__all__ = ["table_html"]


def table_html(caption: str, rows: Iterable[tuple[str, str]]) -> str:
    """An HTML table of names and values, all of it escaped."""
    body = "".join(
        f"<tr><th style='text-align:left'>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in rows
    )
    return f"<table><caption>{html.escape(caption)}</caption>{body}</table>"
