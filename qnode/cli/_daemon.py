"""``qnode node`` and ``qnode midpoint``."""

from __future__ import annotations

from pathlib import Path

from qnode.cli._lab import load, parse_peers
from qnode.daemons import run_daemon

__all__ = ["daemon"]


def daemon(
    kind: str,
    lab_path: Path,
    name: str,
    data: Path | None,
    via: list[str],
    lifeline_fd: int | None,
    notify_fd: int | None,
) -> None:
    """Run one daemon until it is stopped."""
    _, folder = load(lab_path, data)
    run_daemon(kind, lab_path, name, folder, peers=parse_peers(via), lifeline_fd=lifeline_fd, notify_fd=notify_fd)
