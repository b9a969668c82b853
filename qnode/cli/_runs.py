"""``qnode runs`` and ``qnode show``."""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from qnode.cli._exit import say
from qnode.cli._summary import print_accounting, print_result
from qnode.client import REPORT, read_document, write_report
from qnode.errors import QnodeError
from qnode.runs import DataFolderError, find_run
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


def show_run(name: str, data: Path, as_json: bool, open_it: bool, html: Path | None) -> None:
    """What ran, and what came out; its report is written anew."""
    run = find_run(data, name)
    facts, result = read_document(run, "run.json"), read_document(run, "result.json")
    if as_json:
        document = {"folder": str(run.path), **facts, **({"result": result} if result else {})}
        sys.stdout.write(json.dumps(document) + "\n")
        return
    try:
        report = write_report(run, html or run.path / REPORT)
    except DataFolderError as error:
        raise QnodeError(
            f"the report of {run.run_id} can't be written: {error.message}", hint="name another file with --html"
        ) from error
    console = Console()
    _print_head(console, facts)
    if result:
        print_result(console, result, read_document(run, "predict.json"))
        print_accounting(console, result)
    console.print(f"folder {run.path}", soft_wrap=True)
    console.print(f"report {report}", soft_wrap=True)
    if open_it and not _opened(report):
        say("qnode: no browser can be opened here; open the report yourself")


def _print_head(console: Console, facts: dict[str, Any]) -> None:
    """What ran, and how it ended."""
    state = str(facts.get("state", "unknown"))
    ending = f"{state}: {facts['error']}" if "error" in facts else state
    console.print(f"{facts.get('run')}: {ending}", soft_wrap=True, highlight=False)
    if state != "done" and (reached := facts.get("reached")):
        console.print(f"it came to {reached['rounds']:,} rounds, {reached['heralds']:,} heralds")
    seed = facts.get("world_seed", facts.get("seed"))
    parts = [f"{word} {facts[word]}" for word in ("experiment", "link", "lab", "started") if word in facts]
    parts += [f"seed {seed}"] if seed is not None else []
    console.print(", ".join(parts), soft_wrap=True, highlight=False)
    if simulated := facts.get("simulated"):
        console.print(f"simulated: {', '.join(simulated)}", soft_wrap=True, highlight=False)


def _opened(report: Path) -> bool:
    """Whether a window showed the page; a browser in the terminal is not what people ask for."""
    on_linux_without_screen = sys.platform.startswith("linux") and not any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    return not on_linux_without_screen and webbrowser.open(report.resolve().as_uri())
