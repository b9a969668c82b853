"""``qnode abort``: end what a lab plays, whoever started it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from qnode.cli._exit import say
from qnode.cli._lab import load
from qnode.client import LabConnection
from qnode.errors import NetworkError
from qnode.labfile import Lab

__all__ = ["abort"]

REASON = "ended by `qnode abort`"
ANSWER_S = 2.0
"""Wall time for a daemon that is there to answer."""
REST_S = 30.0
"""Wall time within which a plan must be over: each step of its end is bounded by less."""
LOOK_AGAIN_S = 0.05


def abort(lab_path: Path, data: Path | None, as_json: bool) -> int:
    """End the plans that are played; 0 when no light is left on, also where nothing was played.

    Raises:
        NetworkError: the lab is not up, or a daemon does not say that it is at rest.
    """
    lab, folder = load(lab_path, data)
    runs = asyncio.run(_abort(lab_path, lab, folder))
    if as_json:
        sys.stdout.write(json.dumps({"lab": lab.lab, "ended": runs}) + "\n")
    else:
        say(f"{lab.lab}: {'ended run ' + ', '.join(runs) if runs else 'nothing is played'}")
    return 0


async def _abort(lab_path: Path, lab: Lab, folder: Path) -> list[str]:
    """The runs whose plans were ended."""
    down = NetworkError(f"{lab_path} is not up: there is nothing to abort", hint="`qnode status` shows what runs")
    if not (folder / "keys").is_dir():
        raise down
    async with LabConnection(lab_path, folder) as connection:
        silent = [site for site, status in (await connection.statuses(ANSWER_S)).items() if status is None]
        if len(silent) == len(lab.sites):
            raise down
        midpoints = [midpoint for midpoint in lab.midpoints if midpoint not in silent]
        ended = await asyncio.gather(*(_end_plan(connection, midpoint) for midpoint in midpoints))
        await asyncio.gather(*(_await_rest(connection, site) for site in lab.sites if site not in silent))
    if silent:
        raise NetworkError(
            f"{' and '.join(silent)} did not answer, all others are at rest",
            hint="`qnode stop` makes instruments safe whose daemon is in trouble",
        )
    return [run for run in ended if run is not None]


async def _end_plan(connection: LabConnection, midpoint: str) -> str | None:
    """End a midpoint's plan and return when it is over, all its light off; gives the run, None where none is played."""
    run: str | None = await connection.call(midpoint, "abort", {"reason": REASON})
    deadline = time.monotonic() + REST_S
    while run is not None and await connection.call(midpoint, "abort", {"reason": REASON, "run_id": run}) is not None:
        _raise_if_late(deadline, midpoint)
        await asyncio.sleep(LOOK_AGAIN_S)
    return run


async def _await_rest(connection: LabConnection, site: str) -> None:
    deadline = time.monotonic() + REST_S
    while (await connection.call(site, "status"))["plan"] is not None:
        _raise_if_late(deadline, site)
        await asyncio.sleep(LOOK_AGAIN_S)


def _raise_if_late(deadline: float, site: str) -> None:
    if time.monotonic() > deadline:
        raise NetworkError(
            f"{site} is not at rest after {REST_S:g} s", hint="`qnode stop` ends its daemon, instruments safe first"
        )
