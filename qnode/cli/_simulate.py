"""``qnode simulate``."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from qnode.cli._lab import load, parse_speed
from qnode.daemons import notify
from qnode.errors import QnodeError
from qnode.labfile import load_world

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

    load_world(lab_path)
    _, folder = load(lab_path, data)
    chosen = parse_speed(speed)
    if lifeline_fd is not None:
        threading.Thread(target=_stop_at_end_of, args=(lifeline_fd,), daemon=True, name="lifeline").start()
    try:
        run_simulators(
            lab_path,
            folder,
            speed=None if chosen is None else "max" if chosen == "max" else float(chosen),
            seed=seed,
            ready=lambda _lab: notify(notify_fd, "READY=1"),
        )
    except QnodeError as error:
        notify(notify_fd, "ERROR=" + " ".join(str(error).splitlines()))
        raise


def _stop_at_end_of(fd: int) -> None:
    """Stop like at SIGTERM when the pipe that the supervisor holds ends."""
    while os.read(fd, 1):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
