"""``qnode check``: everything that can be known before switching on, and online what the instruments say."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from qnode.cli._lab import load_whole
from qnode.cli._programs import checked_programs
from qnode.client import LabConnection
from qnode.heralds import LinkPrograms, Program
from qnode.labfile import Lab, LabFault, LabFileError, Link, element_inputs
from sequences import Output, Wiring
from sequences.plot import draw as draw_programs

__all__ = ["check"]


def check(lab_path: Path, online: bool, draw: Path | None, data: Path | None, as_json: bool) -> int:
    """Check a lab file; 0 when it can run, 1 when a daemon or instrument online says no."""
    lab, _, folder = load_whole(lab_path, data)
    document: dict[str, Any] = {"lab": lab.lab, "file": str(lab_path), "links": {}, "notes": _notes(lab)}
    for link, programs in _programs(lab_path, lab):
        document["links"][link.name] = {
            "smallest_attempt_period_us": programs.timing.smallest_attempt_ps / 1e6,
            "slack_ns": {node: slack / 1e3 for node, slack in programs.timing.slack_ps.items()},
            "lead_ns": {node: lead / 1e3 for node, lead in programs.timing.lead_ps.items()},
            "round_period_us": link.round_period_ps / 1e6,
        }
        if draw is not None:
            document["drawing"] = str(_draw(programs, draw))
    if online:
        document["online"] = asyncio.run(_online(lab_path, folder))
    _report(document, as_json)
    return 1 if any(state is None for state in document.get("online", {}).values()) else 0


def _programs(lab_path: Path, lab: Lab) -> list[tuple[Link, LinkPrograms]]:
    """The programs of all links, or the faults of all links."""
    found = []
    faults: list[LabFault] = []
    for link in lab.links:
        try:
            found.append((link, checked_programs(lab_path, lab, link)))
        except LabFileError as error:
            faults += error.faults
    if faults:
        raise LabFileError(faults)
    return found


def _notes(lab: Lab) -> list[str]:
    """What is legal and will be missed: inputs that no wire reaches."""
    wanted = []
    for site, part in lab.sites.items():
        for name, entry in part.rack.items():
            inputs = {"awg": ("trigger", "event"), "pulse_sequencer": ("trigger",), "time_tagger": entry.channels}
            wanted += [f"{site}.{name}.{connector}" for connector in inputs.get(entry.role, ())]
    for name, element in lab.elements().items():
        wanted += [f"{name}.{connector}" for connector in sorted(element_inputs(element.kind))]
    return [f"no wire reaches {end}" for end in wanted if lab.into(end) is None]


def _draw(programs: LinkPrograms, path: Path) -> Path:
    """One picture of all sites of a link."""
    merged: dict[str, Program] = {}
    outputs: dict[str, Output] = {}
    triggers: dict[str, str] = {}
    for site, wiring in programs.wiring.items():
        merged.update((f"{site}.{name}", program) for name, program in programs.heralding(site, runs=1).items())
        for signal, output in wiring.outputs.items():
            outputs[f"{site}.{signal}"] = dataclasses.replace(output, instrument=f"{site}.{output.instrument}")
        triggers.update((f"{site}.{name}", f"{site}.{signal}") for name, signal in wiring.triggers.items())
    draw_programs(merged, Wiring(outputs, triggers), path)
    return path


async def _online(lab_path: Path, folder: Path) -> dict[str, Any]:
    async with LabConnection(lab_path, folder) as connection:
        return dict(await connection.statuses(timeout_s=3.0))


def _report(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(document) + "\n")
        return
    console = Console()
    for name, link in document["links"].items():
        slack = ", ".join(f"{node} {value:g} ns" for node, value in link["slack_ns"].items())
        console.print(f"{name}: the herald is back in time, to spare: {slack}")
        console.print(f"{name}: smallest legal attempt period {link['smallest_attempt_period_us']:g} us")
    for note in document["notes"]:
        console.print(f"note: {note}")
    for site, state in document.get("online", {}).items():
        console.print(f"{site}: {'does not answer' if state is None else state['state']}")
        for name, identity in ({} if state is None else state["instruments"]).items():
            console.print(f"{site}.{name}: {identity}")
    if "drawing" in document:
        console.print(f"drawing in {document['drawing']}", soft_wrap=True)
    console.print(f"{document['file']}: good", soft_wrap=True)
