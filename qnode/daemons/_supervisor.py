"""Starts the processes of a lab on this host, waits until each says it is ready, and leaves none behind.

Each child holds the reading end of a pipe from here and stops safely when the pipe ends, however this process ends.
Words as systemd uses them: notify (``READY=1`` on a descriptor), restart on failure, restart_sec, start_limit_burst.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qnode.errors import QnodeError
from qnode.runs import log_event

__all__ = ["STOP_S", "Child", "Supervisor", "SupervisorError", "notify", "passes_gate"]

READY_S = 60.0
STOP_S = 15.0
"""Wall time that a child gets to make its instruments safe."""
KILLED_S = 5.0
"""Wall time within which the kernel ends a process that it was told to kill."""
RESTART_S = 0.5
MOST_PATH = 4096
"""Bytes of a file's path, at the most."""
START_LIMIT_BURST = 3
START_LIMIT_INTERVAL_S = 10.0
"""A child that has been started so many times within so much wall time is not started again."""


class SupervisorError(QnodeError):
    """A process did not come up, or died."""

    code = "supervisor"


def notify(fd: int | None, text: str) -> None:
    """Tell whoever started this process, over a descriptor that it gave; nothing where it gave none."""
    if fd is not None:
        with contextlib.suppress(OSError):
            os.write(fd, text.encode() + b"\n")


def passes_gate(fd: int | None) -> bool:
    """Wait until whoever started this process lets it go; False when that one is gone. True where it gave no gate.

    The word on the gate is the file that this process's output goes to from now on.
    """
    if fd is None:
        return True
    path = os.read(fd, MOST_PATH)
    os.close(fd)
    if not path:
        return False
    out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(out)
    return True


@dataclass
class Child:
    """One process under supervision."""

    name: str
    command: Sequence[str]
    restart: bool
    before: str | None = None
    """Who must not stop before this one does."""
    process: asyncio.subprocess.Process | None = None
    ready: asyncio.Future[None] | None = None
    starts: list[float] = field(default_factory=list)
    """Monotonic times."""
    lifeline: int = -1
    """Writing end of its pipe."""
    gate: int = -1
    """Writing end of the pipe on which it waits for `Supervisor.let_go`; -1: it does not wait."""
    draft: int = -1
    """What it says until then, in memory."""
    said: str = ""
    """Last word that it sent on its notify descriptor, beside READY=1."""
    watcher: asyncio.Task[None] | None = None
    stopping: bool = field(default=False)
    down: bool = field(default=False)
    """It has ended and is not started again."""
    how_ended: str = ""
    """Signal or exit code of its last end, and why, where it said so."""

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return None if self.process is None or self.process.returncode is not None else self.process.pid

    @property
    def failure(self) -> str:
        """Why it ended, in its own words; empty when it had none."""
        return self.said.removeprefix("ERROR=") if self.said.startswith("ERROR=") else ""


class Supervisor:
    """Holds the processes of a lab.

    Args:
        data_folder: where their output goes (``log/<name>.out``).
        on_exit: called with (child, exit code) when one ends that was not asked to.
    """

    def __init__(self, data_folder: Path, on_exit: Callable[[Child, int], None] | None = None) -> None:
        self.children: dict[str, Child] = {}
        self._data_folder = data_folder
        self._on_exit = on_exit

    async def start(
        self, name: str, arguments: Sequence[str], *, restart: bool = False, before: str | None = None
    ) -> Child:
        """As `begin`, and return when it says that it is ready.

        Raises:
            SupervisorError: it ended first (with its last words), or was not ready in time.
        """
        child = await self.begin(name, arguments, restart=restart, before=before)
        await self.ready(child)
        return child

    async def begin(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        restart: bool = False,
        before: str | None = None,
        gated: bool = False,
    ) -> Child:
        """Start ``qnode <arguments>`` and return at once; `ready` waits for it.

        Args:
            name: what it is called here.
            arguments: the command and its options.
            restart: start it again when it fails (a signal, or an exit code that is not 0), unless it was started
                three times in the last 10 s.
            before: a child that runs and must outlive this one also when this process is killed, as instruments
                outlive the daemons that make them safe: this one holds the other's pipe too.
            gated: it loads its code, and neither it nor its output touches anything before `let_go`. Not when it is
                started again.
        """
        child = Child(name, [sys.executable, "-m", "qnode", *arguments], restart, before)
        self.children[name] = child
        await self._launch(child, gated=gated)
        return child

    def let_go(self, child: Child) -> None:
        """What a gated child waits for is there; nothing where it has been let go before."""
        if child.gate < 0:
            return
        output = self._output_of(child)
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("ab") as out:
            out.write(_content(child.draft))
        with contextlib.suppress(BrokenPipeError):
            os.write(child.gate, os.fsencode(output))
        self._shut(child)

    def _output_of(self, child: Child) -> Path:
        return self._data_folder / "log" / f"{child.name}.out"

    async def _launch(self, child: Child, *, gated: bool = False) -> None:
        passed = [] if child.before is None else [self.children[child.before].lifeline]
        options = []
        lifeline_read, child.lifeline = os.pipe()
        notify_read, notify_write = os.pipe()
        ours = [lifeline_read, notify_write]
        if gated:
            gate_read, child.gate = os.pipe()
            ours.append(gate_read)
            options = ["--gate-fd", str(gate_read)]
            out = child.draft = os.memfd_create(child.name)
        else:
            output = self._output_of(child)
            output.parent.mkdir(parents=True, exist_ok=True)
            out = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            child.process = await asyncio.create_subprocess_exec(
                *child.command,
                *options,
                "--lifeline-fd",
                str(lifeline_read),
                "--notify-fd",
                str(notify_write),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                pass_fds=(*ours, *(fd for fd in passed if fd >= 0)),
                start_new_session=True,
            )
        finally:
            for fd in (*ours, *(() if gated else (out,))):
                os.close(fd)
        child.starts.append(time.monotonic())
        child.said = ""
        child.ready = asyncio.get_running_loop().create_future()
        self._listen(child, notify_read)
        child.watcher = asyncio.get_running_loop().create_task(self._watch(child), name=f"watch {child.name}")

    def _listen(self, child: Child, fd: int) -> None:
        loop = asyncio.get_running_loop()
        buffer = b""
        ready = child.ready

        def readable() -> None:
            nonlocal buffer
            data = os.read(fd, 65536)
            if not data:
                loop.remove_reader(fd)
                os.close(fd)
                return
            buffer += data
            *lines, buffer = buffer.split(b"\n")
            for line in lines:
                if line == b"READY=1":
                    if ready is not None and not ready.done():
                        ready.set_result(None)
                else:
                    child.said = line.decode(errors="replace")

        loop.add_reader(fd, readable)

    async def ready(self, child: Child) -> None:
        """Return when a child that has begun says that it is ready.

        Raises:
            SupervisorError: it ended first (with its last words), or was not ready in time.
        """
        assert child.ready is not None
        assert child.process is not None
        gone: asyncio.Future[int] = asyncio.ensure_future(child.process.wait())
        started = time.monotonic()
        either: set[asyncio.Future[Any]] = {child.ready, gone}
        await asyncio.wait(either, timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
        if child.ready.done():
            gone.cancel()
            return
        if gone.done():
            # Its last words may still be in the pipe.
            await asyncio.sleep(0)
            words = child.failure or self._last_words(child)
            raise SupervisorError(words or f"{child.name} ended with exit code {gone.result()} before it was ready")
        gone.cancel()
        raise SupervisorError(
            f"{child.name} was not ready after {time.monotonic() - started:.0f} s",
            hint=f"see {self._data_folder}/log/{child.name}.out",
        )

    def _last_words(self, child: Child) -> str:
        said = self._output_of(child).read_bytes() if child.draft < 0 else _content(child.draft)
        lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
        return f"{child.name}: {lines[-1]}" if lines else ""

    async def _watch(self, child: Child) -> None:
        assert child.process is not None
        code = await child.process.wait()
        self._cut_lifeline(child)
        # Its last words may still be in the pipe.
        await asyncio.sleep(0)
        child.how_ended = f"signal {-code}" if code < 0 else f"exit code {code}"
        if child.failure:
            child.how_ended += f": {child.failure}"
        if child.stopping:
            child.down = True
            return
        log_event("process ended", child=child.name, exit_code=code)
        was_ready = child.ready is not None and child.ready.done()
        if self._on_exit is not None and was_ready:
            self._on_exit(child, code)
        recent = [start for start in child.starts if time.monotonic() - start < START_LIMIT_INTERVAL_S]
        if child.restart and code != 0 and was_ready and len(recent) < START_LIMIT_BURST:
            await asyncio.sleep(RESTART_S)
            if not child.stopping:
                log_event("restarting", child=child.name)
                await self._launch(child)
                return
        child.down = True

    async def wait_ready(self, name: str) -> None:
        """Return when a child that is being restarted is ready again.

        Raises:
            SupervisorError: it is not, in time.
        """
        child = self.children[name]
        deadline = time.monotonic() + READY_S
        while child.pid is None or child.ready is None:
            if child.down or time.monotonic() > deadline:
                raise SupervisorError(f"{name} does not run any more")
            await asyncio.sleep(RESTART_S / 5)
        await self.ready(child)

    async def stop(
        self, names: Sequence[str] | None = None, *, within_s: float = STOP_S, guard_s: float = STOP_S
    ) -> None:
        """Ask the named children (all) to stop, wait ``within_s`` of wall time, and kill what does not.

        A daemon that had to be killed leaves its guard, which gets ``guard_s`` to make the instruments safe.
        """
        chosen = [self.children[name] for name in (names or list(self.children))]
        for child in chosen:
            child.stopping = True
            if child.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGTERM)
        await asyncio.gather(*(self._await_end(child, within_s, guard_s) for child in chosen))

    async def _await_end(self, child: Child, within_s: float, guard_s: float) -> None:
        if child.process is not None:
            try:
                await asyncio.wait_for(child.process.wait(), within_s)
            except TimeoutError:
                log_event("killed", child=child.name)
                guards = _children_of(child.process.pid)
                with contextlib.suppress(ProcessLookupError):
                    child.process.kill()
                await child.process.wait()
                await asyncio.gather(*(_end(guard, guard_s) for guard in guards))
        # Also of a child that was interrupted in its making: it stops when it reads this.
        self._cut_lifeline(child)
        self._shut(child)

    @staticmethod
    def _cut_lifeline(child: Child) -> None:
        if child.lifeline >= 0:
            os.close(child.lifeline)
            child.lifeline = -1

    @staticmethod
    def _shut(child: Child) -> None:
        for fd in (child.gate, child.draft):
            if fd >= 0:
                os.close(fd)
        child.gate = child.draft = -1


def _content(fd: int) -> bytes:
    """All that was written to a file in memory, by whomever."""
    return os.pread(fd, os.fstat(fd).st_size, 0)


def _children_of(pid: int) -> list[int]:
    """Handles (pidfd) of the processes that a process has started itself."""
    handles = []
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            handles.append(os.pidfd_open(int(child)))
    return handles


async def _end(handle: int, within_s: float) -> None:
    """Wait for the end of a process that is no child of ours; kill it after ``within_s``. Closes the handle."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        try:
            await asyncio.wait_for(ended.wait(), within_s)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            await asyncio.wait_for(ended.wait(), KILLED_S)
    finally:
        loop.remove_reader(handle)
        os.close(handle)
