"""``qnode status``: what each daemon of a lab says of itself."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from qnode.cli._lab import load
from qnode.client import LabConnection

__all__ = ["sites_table", "status"]


def status(lab_path: Path, data: Path | None, as_json: bool) -> int:
    """Print a line a site; 1 when one does not answer."""
    _, folder = load(lab_path, data)
    sites = asyncio.run(_ask(lab_path, folder))
    if as_json:
        sys.stdout.write(json.dumps({"sites": sites}) + "\n")
    else:
        Console().print(sites_table(sites))
    return 1 if any(answer is None for answer in sites.values()) else 0


async def _ask(lab_path: Path, folder: Path) -> dict[str, dict[str, Any] | None]:
    async with LabConnection(lab_path, folder) as connection:
        return await connection.statuses()


def sites_table(sites: dict[str, dict[str, Any] | None]) -> Table:
    """A row a site; an answer is None where a site gave none."""
    table = Table()
    for column in ("site", "state", "plan", "lab time", "instruments"):
        table.add_column(column)
    for site, answer in sites.items():
        if answer is None:
            table.add_row(site, "does not answer", "", "", "")
            continue
        milliseconds = answer["lab_time_tai_ms"]
        lab_time = "" if milliseconds is None else f"TAI {milliseconds // 1000}.{milliseconds % 1000:03d} s"
        instruments = "\n".join(f"{name}: {who}" for name, who in answer["instruments"].items())
        table.add_row(site, str(answer["state"]), str(answer["plan"] or ""), lab_time, instruments)
    return table
