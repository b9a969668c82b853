"""``qnode node`` and ``qnode midpoint``."""

from __future__ import annotations

from pathlib import Path

from qnode.cli._lab import load, parse_peers
from qnode.daemons import run_daemon
from qnode.errors import MisuseError

__all__ = ["daemon"]


def daemon(
    kind: str,
    lab_path: Path,
    name: str,
    data: Path | None,
    via: list[str],
    lifeline_fd: int | None,
    notify_fd: int | None,
    gate_fd: int | None,
) -> None:
    """Run one daemon until it is stopped."""
    lab, folder = load(lab_path, data)
    known = lab.nodes if kind == "node" else lab.midpoints
    if name not in known:
        raise MisuseError(f"{lab_path}: there is no {kind} {name}", hint=f"there are {', '.join(known) or 'none'}")
    run_daemon(
        kind,
        lab_path,
        name,
        folder,
        peers=parse_peers(via),
        lifeline_fd=lifeline_fd,
        notify_fd=notify_fd,
        gate_fd=gate_fd,
    )
