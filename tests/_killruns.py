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

SAFE_S = 20.0
"""Wall time within which a killed daemon's guard must have made its instruments safe: a second, on a computer that has
the time for it."""
BACK_S = 90.0


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
    await_condition(lambda: node_is_dark(lab, node), f"{node} is dark", within_s)
    return time.monotonic() - began


class LabAtHand:
    """Status and plans of a lab that is up; a context manager that holds one connection to each site."""

    def __init__(self, lab: Any) -> None:
        self.lab = lab
        self._plans = 0
        self._runner = asyncio.Runner()
        self._connection = LabConnection(lab.path, lab.data)

    def __enter__(self) -> LabAtHand:
        self._runner.run(self._connection.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._connection.__aexit__(None, None, None))
        self._runner.close()

    def await_ready(self) -> dict[str, Any]:
        """Until all sites are ready, have a guard, and play nothing."""

        async def ready() -> dict[str, Any]:
            deadline = time.monotonic() + BACK_S
            while True:
                sites = await self._connection.statuses(timeout_s=1.0)
                if all(
                    site is not None and site["state"] == "ready" and site["guard_pid"] and site["plan"] is None
                    for site in sites.values()
                ):
                    return dict(sites)
                assert time.monotonic() < deadline, f"not ready within {BACK_S:g} s: {sites}"
                await asyncio.sleep(0.05)

        return self._runner.run(ready())

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
        self._runner.run(self._connection.call("midpoint", "play", params, timeout_s=90.0))

    def abort(self) -> None:
        """End the plan, if the midpoint is there and plays one."""
        with contextlib.suppress(QnodeError):
            self._runner.run(self._connection.call("midpoint", "abort", {"reason": "the test is over"}))


def kill(*pids: int) -> None:
    """Kill -9, one right after the other."""
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
