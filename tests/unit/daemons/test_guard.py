"""The guard of a daemon of a few lines, whose instruments are drivers that write down what is done to them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from qnode.bus import Server, caller_identity
from qnode.daemons import Ownership, holder_of
from qnode.daemons._endpoints import endpoint_of, lab_keyring
from qnode.labfile import load_lab

DRIVER = """
import os
from pathlib import Path
from qcodes.instrument import Instrument
from drivers.roles import Identity


class Box(Instrument):
    def __init__(self, name, address, **kwargs):
        super().__init__(name, **kwargs)
        self.file = Path(address)

    def identify(self):
        return Identity("maker", "box", self.name, "1")

    def reference_locked(self):
        return True

    def enter_safe_state(self):
        gone = self.file.with_suffix(".gone")
        if gone.exists():
            gone.unlink()
            raise OSError("no answer")
        with self.file.open("a") as out:
            out.write(f"safe by {os.getpid()}\\n")
"""

DAEMON = """
import asyncio, sys
from pathlib import Path
from qnode.daemons import Ownership, _guard, load_drivers
from qnode.daemons._guard import Guard
from qnode.labfile import load_lab

lab_path, data, how = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
lab = load_lab(lab_path)
load_drivers(lab_path, lab.sites["alice"])
_guard.TELL_S = _guard.TELL_AFTER_S = float(sys.argv[4])
guard = Guard(lab_path, lab, "alice", data)
guard.fork()

async def work():
    lock = Ownership.of_site(data, "alice", "daemon")
    await lock.take("alice", 0.0)
    if how != "never owns":
        guard.owns()
    watching = asyncio.ensure_future(guard.watch())
    print("works", guard.pid, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    watching.cancel()
    lock.give_back()
    await guard.release()
    print("released", guard.pid, flush=True)

asyncio.run(work())
"""


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 90.0
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Daemon:
    """A process with a guard."""

    def __init__(self, lab_path: Path, data: Path, how: str = "", tell_s: float = 0.2) -> None:
        self.data = data
        self.safe_file = data / "boxes"
        self.process = subprocess.Popen(
            [sys.executable, "-c", DAEMON, str(lab_path), str(data), how, str(tell_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.guard_pid = int(self.process.stdout.readline().split()[1])
        until(lambda: psutil.Process(self.guard_pid).name() == "qnode-guard", "the guard is at its post")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def made_safe(self) -> list[str]:
        files = sorted(self.data.glob("box-*"))
        return [line for file in files if not file.suffix for line in file.read_text().splitlines()]


@pytest.fixture
def daemon(lab, tmp_path) -> Iterator[Callable[..., Daemon]]:
    """Start a daemon whose instruments are boxes of this test."""
    (tmp_path / "drivers").mkdir()
    (tmp_path / "drivers" / "guard_boxes.py").write_text(DRIVER)

    def boxes(tree):
        for name, block in tree["nodes"]["alice"]["instruments"].items():
            block.clear()
            block["type"], block["address"] = "drivers.guard_boxes.Box", str(lab.data / f"box-{name}")
        # There are no simulators here whose end could be seen.
        tree["clocks"]["alice"]["lab_time"] = "host"

    lab.edit(boxes)
    lab.data.mkdir()
    started: list[Daemon] = []

    def start(how: str = "", tell_s: float = 0.2) -> Daemon:
        # In most tests nobody listens where the midpoint should be.
        started.append(Daemon(lab.path, lab.data, how, tell_s))
        return started[-1]

    yield start
    for one in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one.guard_pid, signal.SIGKILL)
        one.process.kill()
        one.process.communicate(timeout=10)


def test_a_killed_daemons_instruments_are_made_safe_once_and_the_guard_goes(daemon):
    one = daemon()
    assert runs(one.guard_pid)
    assert one.made_safe() == []
    one.kill()
    until(lambda: not runs(one.guard_pid), "the guard has gone")
    assert one.made_safe() == [f"safe by {one.guard_pid}"] * 6
    assert holder_of(Ownership.of_site(one.data, "alice", "")) is None


def test_an_instrument_that_does_not_answer_at_first_is_tried_again(daemon):
    one = daemon()
    (one.data / "box-awg.gone").touch()
    one.kill()
    until(lambda: not runs(one.guard_pid), "the guard has gone")
    assert one.made_safe() == [f"safe by {one.guard_pid}"] * 6
    assert not (one.data / "box-awg.gone").exists()


def test_signals_to_the_group_do_not_end_a_guard_and_its_daemon_does(daemon):
    one = daemon()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(one.guard_pid, number)
    assert os.getpgid(one.guard_pid) != os.getpgid(one.process.pid)
    assert one.process.stdin is not None
    one.process.stdin.write("\n")
    one.process.stdin.flush()
    assert one.process.stdout is not None
    assert one.process.stdout.readline() == "released None\n"
    assert not runs(one.guard_pid)
    assert one.made_safe() == []


def test_what_a_daemon_never_owned_is_left_alone(daemon):
    one = daemon("never owns")
    one.kill()
    until(lambda: not runs(one.guard_pid), "the guard has gone")
    assert one.made_safe() == []


def test_a_killed_guard_is_replaced_by_one_that_knows_what_is_owned(daemon):
    one = daemon()
    os.kill(one.guard_pid, signal.SIGKILL)
    children = psutil.Process(one.process.pid).children
    until(lambda: [c for c in children() if c.pid != one.guard_pid and c.name() == "qnode-guard"], "a new guard")
    (second,) = children()
    one.guard_pid = second.pid
    one.kill()
    until(lambda: not runs(second.pid), "the guard has gone")
    assert one.made_safe() == [f"safe by {second.pid}"] * 6


def test_the_midpoint_is_told_after_the_instruments_are_safe(daemon, lab):
    one = daemon(tell_s=20.0)
    model = load_lab(lab.path)
    calls: list[tuple[str, list[str]]] = []

    async def killed(_params: None) -> None:
        calls.append((caller_identity(), one.made_safe()))

    async def body() -> None:
        keyring = lab_keyring(model, lab.data)
        async with Server(endpoint_of(model, "midpoint", "command"), "midpoint", keyring, {"killed": killed}):
            one.kill()
            await asyncio.to_thread(until, lambda: not runs(one.guard_pid), "the guard has gone")

    asyncio.run(body())
    assert calls == [("alice", [f"safe by {one.guard_pid}"] * 6)]
