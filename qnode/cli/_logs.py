"""``qnode logs``."""

from __future__ import annotations

import json
import select
import sys
from pathlib import Path
from typing import Any

from qnode.cli._lab import load
from qnode.runs import merged_log

__all__ = ["logs"]


def logs(lab_path: Path, follow: bool, data: Path | None) -> None:
    """Print the merged log, and go on with what comes."""
    _, folder = load(lab_path, data)
    shown = 0
    while True:
        entries = list(merged_log(folder))
        for entry in entries[shown:]:
            sys.stdout.write(_line(entry) + "\n")
        sys.stdout.flush()
        shown = len(entries)
        if not follow:
            return
        # Wait for the pager or terminal to go away, else look again.
        select.select([], [], [], 0.5)


def _line(entry: dict[str, Any]) -> str:
    rest = {k: v for k, v in entry.items() if k not in ("wall", "site", "level", "event", "traceback")}
    fields = " ".join(f"{key}={json.dumps(value, default=str)}" for key, value in rest.items())
    return f"{entry.get('wall', '')} {entry.get('site', ''):<12} {entry.get('event', '')} {fields}".rstrip()
