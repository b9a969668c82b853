"""``qnode simulate``."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

from qnode.cli._lab import load, parse_speed
from qnode.daemons import notify, passes_gate
from qnode.errors import MisuseError, QnodeError
from qnode.labfile import load_world

__all__ = ["simulate"]


def simulate(
    lab_path: Path,
    seed: int | None,
    speed: str | None,
    only: str | None,
    address: str | None,
    data: Path | None,
    lifeline_fd: int | None,
    notify_fd: int | None,
    gate_fd: int | None,
) -> None:
    """Run all simulators of a lab, or the one of a slow instrument, until stopped."""
    from simulators.alone import run_alone
    from simulators.lab import run_simulators

    _, folder = load(lab_path, data)
    chosen = parse_speed(speed)
    if only is None:
        load_world(lab_path)
    _refuse_mixed(only, address, seed, chosen)
    if not passes_gate(gate_fd):
        return
    if lifeline_fd is not None:
        threading.Thread(target=_stop_at_end_of, args=(lifeline_fd,), daemon=True, name="lifeline").start()
    try:
        if only is not None:
            run_alone(lab_path, folder, only, address, lambda: notify(notify_fd, "READY=1"))
            return
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


def _refuse_mixed(only: str | None, address: str | None, seed: int | None, speed: str | None) -> None:
    """A single instrument has no world, and only it can be put elsewhere."""
    if only is None and address is not None:
        raise MisuseError("--address is for one instrument", hint="name it with --only SITE.INSTRUMENT")
    if only is not None and (seed, speed) != (None, None):
        raise MisuseError("--seed and --speed are of a world, and --only has none", hint="leave them out")


def _stop_at_end_of(fd: int) -> None:
    """Stop like at SIGTERM when the pipe that the supervisor holds ends."""
    while os.read(fd, 1):
        continue
    os.kill(os.getpid(), signal.SIGTERM)
