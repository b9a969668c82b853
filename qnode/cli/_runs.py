"""``qnode runs`` and ``qnode show``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from qnode.errors import QnodeError
from qnode.runs import RunFolder, find_run
from qnode.runs import list_runs as read_runs

__all__ = ["list_runs", "show_run"]


def list_runs(data: Path, as_json: bool) -> None:
    """A line a run, oldest first."""
    found = read_runs(data)
    if as_json:
        sys.stdout.write(json.dumps({"runs": found}) + "\n")
        return
    table = Table()
    for column in ("run", "experiment", "link", "heralds wanted", "state"):
        # Whole, so that it can be copied into `qnode show`.
        table.add_column(column, no_wrap=column == "run")
    for run in found:
        state = str(run.get("state", ""))
        table.add_row(
            str(run.get("run", "")),
            str(run.get("experiment", "")),
            str(run.get("link", "")),
            str(run.get("heralds_wanted", "")),
            f"{state}: {run['error']}" if "error" in run else state,
        )
    Console().print(table)


def show_run(name: str, data: Path, as_json: bool) -> None:
    """What ran, and what came out."""
    run = find_run(data, name)
    document = {"folder": str(run.path), **_read(run, "run.json")}
    if (run.path / "result.json").exists():
        document["result"] = _read(run, "result.json")
    if as_json:
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        Console().print_json(data=document)


def _read(run: RunFolder, name: str) -> dict[str, Any]:
    try:
        return run.read(name)
    except (OSError, ValueError) as error:
        raise QnodeError(
            f"{run.path / name} can't be read: {error}", hint="the disk or someone changed it"
        ) from error
