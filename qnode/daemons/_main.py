"""The body of ``qnode node`` and ``qnode midpoint``: one daemon, from its start to its exit code."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

from qnode.daemons._party import Party, stop_with_parent
from qnode.daemons._supervisor import notify
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
) -> None:
    """Run a daemon until it is stopped.

    Raises:
        QnodeError: it could not come up, or a part of it failed.
    """
    # A node daemon folds tags with numpy: no compiler, less memory, the same bits.
    if kind == "node":
        os.environ["QNODE_TAGS_BACKEND"] = "numpy"
    try:
        asyncio.run(_run(kind, lab_path, site, data_folder, peers or {}, lifeline_fd, notify_fd))
    except QnodeError as error:
        notify(notify_fd, "ERROR=" + " ".join(str(error).splitlines()))
        raise


async def _run(
    kind: str,
    lab_path: Path,
    site: str,
    data_folder: Path,
    peers: Mapping[str, str],
    lifeline_fd: int | None,
    notify_fd: int | None,
) -> None:
    party = _party(kind, lab_path, site, data_folder, peers)
    if lifeline_fd is not None:
        stop_with_parent(lifeline_fd, party.stopping)
    party.when_ready = lambda: notify(notify_fd, "READY=1")
    await party.run()
    if party.failure is not None:
        raise party.failure


def _party(kind: str, lab_path: Path, site: str, data_folder: Path, peers: Mapping[str, str]) -> Party:
    if kind == "node":
        from qnode.daemons._node import NodeDaemon

        return NodeDaemon(lab_path, site, data_folder, peers)
    from qnode.daemons._midpoint import MidpointDaemon

    return MidpointDaemon(lab_path, site, data_folder, peers)
