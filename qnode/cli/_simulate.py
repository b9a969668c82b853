"""``qnode simulate``."""

from __future__ import annotations

from pathlib import Path

from qnode.cli._lab import load, parse_speed
from qnode.daemons import notify
from qnode.errors import QnodeError

__all__ = ["simulate"]


def simulate(
    lab_path: Path,
    seed: int | None,
    speed: str | None,
    data: Path | None,
    lifeline_fd: int | None,
    notify_fd: int | None,
) -> None:
    """Run all simulators of a lab until stopped."""
    from simulators.lab import run_simulators

    _, folder = load(lab_path, data)
    chosen = parse_speed(speed)
    try:
        run_simulators(
            lab_path,
            folder,
            speed=chosen if chosen in (None, "max") else float(chosen),
            seed=seed,
            ready=lambda: notify(notify_fd, "READY=1"),
            lifeline_fd=lifeline_fd,
        )
    except QnodeError as error:
        notify(notify_fd, "ERROR=" + " ".join(str(error).splitlines()))
        raise
