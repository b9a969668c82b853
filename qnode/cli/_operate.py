"""``qnode up`` and ``qnode stop``: all processes of a simulated lab on this host."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from qnode.cli._exit import say
from qnode.cli._fault import ask_simulators
from qnode.cli._lab import load, parse_speed
from qnode.cli._status import lab_status, status_view
from qnode.cli._up import lab_up
from qnode.client import LabConnection
from qnode.daemons import (
    Child,
    Holder,
    Ownership,
    ServiceManager,
    Supervisor,
    SupervisorError,
    holder_of,
    notify,
)
from qnode.errors import NetworkError, QnodeError
from qnode.labfile import Lab, LabFileError, load_world
from qnode.runs import log_event, open_log

__all__ = ["stop", "up"]

REFRESH_S = 1.0
UP_S = 120.0
"""Wall time that a detached lab has to come up."""
GONE_S = 60.0
"""Wall time within which everything must have ended that was told to."""
LOOK_AGAIN_S = 0.1
ANSWER_S = 1.0
"""Wall time for a daemon that is there to answer."""


# --- up -------------------------------------------------------------------------------------------------------------


def up(
    lab_path: Path,
    detach: bool,
    seed: int | None,
    speed: str | None,
    data: Path | None,
    as_json: bool,
    notify_fd: int | None,
) -> int:
    """Keep a lab up until Ctrl-C or SIGTERM, then 0; with ``detach`` come back as soon as it is up."""
    lab, folder = load(lab_path, data)
    chosen = parse_speed(speed)
    if detach:
        return _up_detached(lab_path, lab, folder, seed, chosen, as_json)
    folder.mkdir(parents=True, exist_ok=True)
    open_log("supervisor", folder)
    session = _Session(lab_path, lab, folder, as_json, notify_fd)
    try:
        return asyncio.run(session.run(seed, chosen))
    except QnodeError as error:
        notify(notify_fd, "ERROR=" + " ".join(str(error).splitlines()))
        raise


class _Session:
    """A lab that is up for as long as this process runs."""

    def __init__(self, lab_path: Path, lab: Lab, folder: Path, as_json: bool, notify_fd: int | None) -> None:
        self.lab_path, self.lab, self.folder = lab_path, lab, folder
        self.as_json, self.notify_fd = as_json, notify_fd
        self.manager = ServiceManager()
        self.console = Console(stderr=True)
        self.healthy = False
        self.stopping = False

    async def run(self, seed: int | None, speed: str | None) -> int:
        """Up, watched, down; 130 when it was stopped before it was up."""
        this = asyncio.current_task()
        assert this is not None

        def stop() -> None:
            # Once only: who is impatient must not interrupt the safe states.
            if not self.stopping:
                self.stopping = True
                this.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        try:
            return await self._run(seed, speed)
        except asyncio.CancelledError:
            say(f"qnode: {self.lab.lab} is stopped, its instruments are safe")
            return 0 if self.healthy else 130

    async def _run(self, seed: int | None, speed: str | None) -> int:
        up = lab_up(self.lab_path, self.lab, self.folder, seed=seed, speed=speed, on_exit=self._on_exit, say=say)
        async with up as rising, LabConnection(self.lab_path, self.folder) as connection:
            await rising.come_up()
            await connection.require_same_lab()
            await connection.await_ready()
            if rising.supervisor is None:
                _tell_up(self.lab_path, self.lab, self.folder, self.as_json, already=True)
                return 0
            self.healthy = True
            log_event("lab up", lab=self.lab.lab, pid=os.getpid())
            notify(self.notify_fd, "READY=1")
            self.manager.tell("READY=1", f"STATUS={self.lab.lab} is up")
            alive = asyncio.get_running_loop().create_task(self.manager.keep_alive())
            try:
                if self.as_json or not self.console.is_terminal:
                    _tell_up(self.lab_path, self.lab, self.folder, self.as_json)
                await self._watch(rising.supervisor, connection)
            finally:
                alive.cancel()
                self.manager.tell("STOPPING=1")
        return 0

    async def _watch(self, supervisor: Supervisor, connection: LabConnection) -> None:
        """Show how all of it is, until a process has ended for good.

        Raises:
            SupervisorError: that has happened.
        """
        shown = self.console.is_terminal and not self.as_json
        with Live(console=self.console, auto_refresh=False) if shown else contextlib.nullcontext() as live:
            while True:
                for child in supervisor.children.values():
                    if child.down:
                        raise SupervisorError(
                            f"{child.name} has ended ({child.how_ended}) and is not started again",
                            hint=f"see {self.folder}/log/{child.name}.out and `qnode logs`",
                        )
                if live is not None:
                    document = await lab_status(self.lab_path, self.lab, self.folder, connection)
                    live.update(status_view(document, "Ctrl-C: safe states, then all of it ends"), refresh=True)
                await asyncio.sleep(REFRESH_S)

    def _on_exit(self, child: Child, code: int) -> None:
        log_event("child died", child=child.name, exit_code=code)
        # By way of the console, which knows where its live table is.
        self.console.print(f"qnode: {child.name} died ({child.how_ended})", highlight=False, soft_wrap=True)


def _tell_up(lab_path: Path, lab: Lab, folder: Path, as_json: bool, *, already: bool = False) -> None:
    holder = holder_of(Ownership.of_lab(folder))
    if as_json:
        document = {"lab": lab.lab, "state": "up", "already": already, "pid": None if holder is None else holder.pid}
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()
        return
    by = "" if holder is None else f" (pid {holder.pid})"
    say(f"{lab.lab} is up{' already' if already else ''}{by}")
    say(f"look at it with `qnode status {lab_path}`, stop it with `qnode stop {lab_path}`")


def _up_detached(lab_path: Path, lab: Lab, folder: Path, seed: int | None, speed: str | None, as_json: bool) -> int:
    """The same command in a session of its own; its end is waited for only until it is healthy."""
    read, write = os.pipe()
    command = [sys.executable, "-m", "qnode", "up", str(lab_path), "--data", str(folder), "--notify-fd", str(write)]
    if seed is not None:
        command += ["--seed", str(seed)]
    if speed is not None:
        command += ["--speed", speed]
    log = folder / "log" / "supervisor.out"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        began = out.tell()
        # Its child goes on when this process ends.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, pass_fds=(write,), start_new_session=True
        )
    os.close(write)
    try:
        healthy = _await_ready(read)
        if not healthy and process.poll() is None and not _ended(process, REFRESH_S):
            raise SupervisorError(f"{lab.lab} was not up after {UP_S:.0f} s", hint=f"see {log}")
    except BaseException:
        process.terminate()
        _ended(process, GONE_S)
        raise
    finally:
        os.close(read)
    if healthy:
        _tell_up(lab_path, lab, folder, as_json)
        # It is meant to outlive us.
        process.returncode = 0
        return 0
    if process.returncode == 0:
        _tell_up(lab_path, lab, folder, as_json, already=True)
        return 0
    with log.open("rb") as text:
        text.seek(began)
        say(text.read().decode(errors="replace").strip())
    return process.returncode


def _ended(process: subprocess.Popen[bytes], within_s: float) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(within_s)
    return process.returncode is not None


def _await_ready(fd: int) -> bool:
    """Whether READY=1 comes before the pipe ends or time is over."""
    deadline = time.monotonic() + UP_S
    said = b""
    while (left_s := deadline - time.monotonic()) > 0:
        if not select.select([fd], [], [], left_s)[0]:
            break
        part = os.read(fd, 4096)
        if not part:
            break
        said += part
        if b"READY=1\n" in said:
            return True
    return False


# --- stop -----------------------------------------------------------------------------------------------------------


def stop(lab_path: Path, data: Path | None, as_json: bool) -> int:
    """Stop all of a lab and wait until it is gone; 0 also when nothing ran."""
    lab, folder = load(lab_path, data)
    stopped = asyncio.run(_stop_daemons(lab_path, folder))
    for site in lab.sites:
        # A guard that is still at work is waited for, too.
        _await_gone(functools.partial(holder_of, Ownership.of_site(folder, site, "")), site)
    stopped += _stop_simulators(lab_path)
    if as_json:
        sys.stdout.write(json.dumps({"lab": lab.lab, "state": "down", "stopped": stopped}) + "\n")
    else:
        say(f"{lab.lab}: {'stopped ' + ', '.join(stopped) if stopped else 'nothing runs'}")
    return 0


async def _stop_daemons(lab_path: Path, folder: Path) -> list[str]:
    """Stop the supervisor, which stops its own, then every daemon that still answers; gives their names."""
    if not (folder / "keys").is_dir():
        return await _stop_supervisor(folder)
    async with LabConnection(lab_path, folder) as connection:
        answered = there = await _answering(connection)
        stopped = await _stop_supervisor(folder)
        if stopped and there:
            there = await _answering(connection)
        for site in there:
            with contextlib.suppress(NetworkError):
                await connection.call(site, "stop")
        deadline = time.monotonic() + GONE_S
        while there:
            if time.monotonic() > deadline:
                names = ", ".join(there)
                raise SupervisorError(f"{names} still there after {GONE_S:.0f} s", hint="`qnode logs` shows why")
            await asyncio.sleep(LOOK_AGAIN_S)
            there = await _answering(connection)
        return [*stopped, *answered]


async def _answering(connection: LabConnection) -> list[str]:
    return [site for site, status in (await connection.statuses(ANSWER_S)).items() if status is not None]


async def _stop_supervisor(folder: Path) -> list[str]:
    ownership = Ownership.of_lab(folder)
    holder = holder_of(ownership)
    if holder is None or holder.host != socket.gethostname():
        return []
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder.pid, signal.SIGTERM)
    await asyncio.to_thread(_await_gone, functools.partial(holder_of, ownership), str(holder))
    return ["supervisor"]


def _stop_simulators(lab_path: Path) -> list[str]:
    try:
        control = load_world(lab_path).control
        ask_simulators(control, {"op": "stop"})
    except (LabFileError, NetworkError):
        return []

    def answer() -> dict[str, Any] | None:
        with contextlib.suppress(NetworkError):
            return ask_simulators(control, {"op": "status"})
        return None

    _await_gone(answer, "the simulators")
    return ["simulators"]


def _await_gone(there: Callable[[], object | None], what: str) -> None:
    deadline = time.monotonic() + GONE_S
    while (holder := there()) is not None:
        if time.monotonic() > deadline:
            who = holder if isinstance(holder, Holder) else what
            raise SupervisorError(f"{who} has not ended within {GONE_S:.0f} s", hint="`qnode logs` shows why")
        time.sleep(LOOK_AGAIN_S)
