"""The body of ``qnode node`` and ``qnode midpoint``: one daemon, from its start to its exit code."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from qnode.daemons._guard import Guard, load_drivers
from qnode.daemons._party import Party, stop_with_parent
from qnode.daemons._supervisor import notify, passes_gate
from qnode.daemons._systemd import ServiceManager
from qnode.errors import QnodeError

__all__ = ["run_daemon"]


def run_daemon(
    kind: str,
    lab_path: Path,
    site: str,
    data_folder: Path,
    *,
    peers: Mapping[str, str] | None = None,
    lifeline_fd: int | None = None,
    notify_fd: int | None = None,
    gate_fd: int | None = None,
) -> None:
    """Run a daemon until it is stopped.

    Args:
        kind: ``node`` or ``midpoint``.
        lab_path: the lab file.
        site: which.
        data_folder: journals, keys, logs.
        peers: see `Party`.
        lifeline_fd: a pipe whose end means stop.
        notify_fd: where to say that it is ready, or why it is not.
        gate_fd: a pipe on which it waits, with all its code loaded, before it touches anything.

    Raises:
        QnodeError: it could not come up, or a part of it failed.
    """
    # A node daemon folds tags with numpy: no compiler, less memory, the same bits.
    if kind == "node":
        os.environ["QNODE_TAGS_BACKEND"] = "numpy"
    manager = ServiceManager()
    try:
        party = _party(kind, lab_path, site, data_folder, peers or {})
        load_drivers(lab_path, party.lab.sites[site])
        if not passes_gate(gate_fd):
            return
        party.guard = _guarded(party, [fd for fd in (lifeline_fd, notify_fd) if fd is not None])
        asyncio.run(_run(party, manager, lifeline_fd, notify_fd))
    except QnodeError as error:
        notify(notify_fd, "ERROR=" + " ".join(str(error).splitlines()))
        raise


def _guarded(party: Party, not_for_it: list[int]) -> Guard:
    """A guard beside the daemon, forked when the drivers are loaded and before the first thread is there."""
    guard = Guard(party.lab_path, party.lab, party.site, party.data_folder, not_for_it, party.peers)
    guard.fork()
    return guard


async def _run(party: Party, manager: ServiceManager, lifeline_fd: int | None, notify_fd: int | None) -> None:
    if lifeline_fd is not None:
        stop_with_parent(lifeline_fd, party.stopping)

    def ready() -> None:
        notify(notify_fd, "READY=1")
        manager.tell("READY=1", f"STATUS={party.site}: ready")
        party.spawn(manager.keep_alive(), "watchdog")

    party.when_ready = ready
    party.when_stopping = lambda: manager.tell("STOPPING=1", f"STATUS={party.site}: making instruments safe")
    await party.run()
    if party.failure is not None:
        raise party.failure


def _party(kind: str, lab_path: Path, site: str, data_folder: Path, peers: Mapping[str, str]) -> Party:
    if kind == "node":
        from qnode.daemons._node import NodeDaemon

        return NodeDaemon(lab_path, site, data_folder, peers)
    from qnode.daemons._midpoint import MidpointDaemon

    return MidpointDaemon(lab_path, site, data_folder, peers)
