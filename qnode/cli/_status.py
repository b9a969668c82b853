"""``qnode status``: every process and every instrument of a lab."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from qnode.cli._fault import ask_simulators
from qnode.cli._lab import load, simulated_instruments
from qnode.cli._states import word
from qnode.client import LabConnection
from qnode.daemons import Ownership, holder_of
from qnode.errors import NetworkError
from qnode.labfile import Lab, LabFileError, load_world

__all__ = ["lab_status", "status", "status_view"]


def status(lab_path: Path, data: Path | None, as_json: bool) -> int:
    """Print what runs and how it is; 1 when anything is not ready."""
    lab, folder = load(lab_path, data)
    document = asyncio.run(_ask(lab_path, lab, folder))
    if as_json:
        sys.stdout.write(json.dumps(document) + "\n")
    else:
        Console().print(status_view(document))
    return 0 if document["ready"] else 1


async def _ask(lab_path: Path, lab: Lab, folder: Path) -> dict[str, Any]:
    async with LabConnection(lab_path, folder) as connection:
        return await lab_status(lab_path, lab, folder, connection)


async def lab_status(lab_path: Path, lab: Lab, folder: Path, connection: LabConnection) -> dict[str, Any]:
    """The document of ``qnode status``."""
    answers, simulators = await asyncio.gather(connection.statuses(), asyncio.to_thread(_simulators, lab_path, lab))
    sites = {site: _site(lab, folder, site, answer) for site, answer in answers.items()}
    supervisor = holder_of(Ownership.of_lab(folder))
    states = [site["state"] for site in sites.values()]
    states += [one["state"] for site in sites.values() for one in site["instruments"].values()]
    if simulators is not None:
        states.append("ready" if simulators["state"] == "running" else "down")
    return {
        "lab": lab.lab,
        "ready": all(state == "ready" for state in states),
        "supervisor": None if supervisor is None else asdict(supervisor),
        "simulators": simulators,
        "sites": sites,
    }


def _site(lab: Lab, folder: Path, site: str, answer: dict[str, Any] | None) -> dict[str, Any]:
    """A site's own answer with its owner; of one that does not answer, what can be seen from here."""
    if answer is not None:
        owner = {"role": "daemon", "pid": answer["pid"], "host": answer["host"]} if answer.pop("owner") else None
        return answer | {"owner": owner or _holder(folder, site)}
    owner = _holder(folder, site)
    state = "disconnected" if owner is None else "locked"
    instrument = {"state": state, "detail": "its daemon does not answer", "last_answer_s": None, "identity": None}
    rack = lab.sites[site].rack
    return {
        "site": site,
        "state": "down",
        "pid": None,
        "guard_pid": None,
        "lab_time_tai_ms": None,
        "plan": None,
        "owner": owner,
        "instruments": {name: {"role": entry.role} | instrument for name, entry in rack.items()},
    }


def _holder(folder: Path, site: str) -> dict[str, Any] | None:
    holder = holder_of(Ownership.of_site(folder, site, ""))
    return None if holder is None else asdict(holder)


def _simulators(lab_path: Path, lab: Lab) -> dict[str, Any] | None:
    """None where nothing is simulated."""
    if not simulated_instruments(lab):
        return None
    with contextlib.suppress(LabFileError, NetworkError):
        answer = ask_simulators(load_world(lab_path).control, {"op": "status"})
        return {"state": "running"} | {key: answer[key] for key in ("pid", "seed", "speed", "rounds", "failure")}
    return {"state": "down", "pid": None, "seed": None, "speed": None, "rounds": None, "failure": None}


def status_view(document: dict[str, Any], last_line: str = "") -> RenderableType:
    """Two tables, processes and instruments, that fit into 80 columns where names are short."""
    parts: list[RenderableType] = [_processes(document), _instruments(document)]
    if last_line:
        parts.append(Text(last_line, style="dim"))
    return Group(*parts)


def _processes(document: dict[str, Any]) -> Table:
    table = Table(title=document["lab"], title_justify="left")
    for column in ("process", "state", "pid", "guard", "lab time [TAI s]", "plan"):
        table.add_column(column)
    if (supervisor := document["supervisor"]) is not None:
        table.add_row("supervisor", word("running"), str(supervisor["pid"]), "", "", "")
    if (simulators := document["simulators"]) is not None:
        table.add_row("simulators", word(simulators["state"]), _text(simulators["pid"]), "", "", "")
    for name, site in document["sites"].items():
        table.add_row(
            name,
            word(site["state"]),
            _text(site["pid"]),
            _text(site["guard_pid"]),
            _seconds(site["lab_time_tai_ms"]),
            _text(site["plan"]),
        )
    return table


def _instruments(document: dict[str, Any]) -> Table:
    table = Table()
    for column in ("instrument", "state", "last answer", "held by", "identity"):
        table.add_column(column)
    for site_name, site in document["sites"].items():
        owner = site["owner"]
        held = "" if owner is None else f"{owner['role']} {owner['pid']} on {owner['host']}"
        for name, one in site["instruments"].items():
            ago = "" if one["last_answer_s"] is None else f"{one['last_answer_s']:.1f} s ago"
            words = _text(one["identity"]) if one["state"] == "ready" else one["detail"]
            table.add_row(f"{site_name}.{name}", word(one["state"]), ago, held, words)
    return table


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _seconds(milliseconds: int | None) -> str:
    return "" if milliseconds is None else f"{milliseconds / 1000:.3f}"
