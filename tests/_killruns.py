"""A lab on which plans are played by hand and processes are killed, and how long until it is dark."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from typing import Any

import psutil
from _faultruns import NODES, PARTIES, await_condition, dark

from qnode.client import LabConnection
from qnode.errors import QnodeError

SAFE_S = 2.0
"""Wall time within which a killed daemon's guard must have made its instruments safe."""
BACK_S = 30.0


def node_is_dark(lab: Any, node: str) -> bool:
    """Whether a node gives off nothing, as the world sees it."""
    photons = lab.ask_simulators({"op": "photons"})
    return dark({"ok": photons["ok"], "nodes": {node: photons["nodes"][node]}})


def lit(lab: Any) -> bool:
    """Whether both nodes give off light."""
    nodes = lab.ask_simulators({"op": "photons"})["nodes"]
    return all(nodes[node]["zero_phonon_line_per_s"] > 0 for node in NODES)


def seconds_until_dark(lab: Any, node: str, within_s: float) -> float:
    """Wall time until a node is dark; fails when it is not within ``within_s``."""
    began = time.monotonic()
    await_condition(lambda: node_is_dark(lab, node), within_s, f"{node} is dark")
    return time.monotonic() - began


class LabAtHand:
    """Status and plans of a lab that is up."""

    def __init__(self, lab: Any) -> None:
        self.lab = lab
        self._plans = 0

    def statuses(self) -> dict[str, Any]:
        """What each site says, None where it does not answer."""

        async def ask() -> dict[str, Any]:
            async with LabConnection(self.lab.path, self.lab.data) as connection:
                return dict(await connection.statuses(timeout_s=1.0))

        return asyncio.run(ask())

    def await_ready(self) -> dict[str, Any]:
        """Until all sites are ready, have a guard, and play nothing."""

        def ready() -> dict[str, Any] | None:
            sites = self.statuses()
            good = all(
                site is not None and site["state"] == "ready" and site["guard_pid"] and site["plan"] is None
                for site in sites.values()
            )
            return sites if good else None

        found: dict[str, Any] = await_condition(ready, BACK_S, "all sites are ready, with a guard, at rest")
        return found

    def play(self) -> None:
        """Let the midpoint play a plan that is longer than any test."""
        self._plans += 1
        params = {
            "run_id": f"kills-{self._plans}",
            "kind": "heralding",
            "link": "alice-bob",
            "rounds": 100_000,
            "first_round": 0,
            "bases": dict.fromkeys(NODES, "XYZ"),
            "credit_rounds": 64,
        }

        async def ask() -> None:
            async with LabConnection(self.lab.path, self.lab.data) as connection:
                await connection.call("midpoint", "play", params)

        asyncio.run(ask())

    def abort(self) -> None:
        """End the plan, if the midpoint is there and plays one."""

        async def ask() -> None:
            async with LabConnection(self.lab.path, self.lab.data) as connection:
                await connection.call("midpoint", "abort", {"reason": "the test is over"})

        with contextlib.suppress(QnodeError):
            asyncio.run(ask())


def kill(*pids: int) -> None:
    """kill -9, one right after the other."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def guard_of(daemon_pid: int) -> psutil.Process:
    """The guard that runs beside a daemon now."""
    (guard,) = psutil.Process(daemon_pid).children()
    assert guard.name() == "qnode-guard"
    return guard


__all__ = [
    "BACK_S",
    "NODES",
    "PARTIES",
    "SAFE_S",
    "LabAtHand",
    "guard_of",
    "kill",
    "lit",
    "node_is_dark",
    "seconds_until_dark",
]
