"""Labs for tests: copies of `config/two_nodes.yaml` in an address block of their own, run by real processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from _addresses import own_block
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
TWO_NODES = ROOT / "config" / "two_nodes.yaml"
PATIENCE_S = 180.0
"""Wall time for what comes by itself sooner or later, however busy the computer is."""
MOST_LINES = 60
"""Of all logs, in the report of a test that failed."""

# Who starts pytest in the background of a script has it ignore Ctrl-C, and so would every process that a test starts
# and interrupts: ignored signals are inherited, handled ones are not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_made: list[LabCopy] = []
"""Since the test that is under way was set up."""


class LabCopy:
    """A lab file of a test's own, and the processes that a test starts on it.

    ``edit`` changes the file; ``world_copy`` makes a second file for the simulators alone, to be changed behind the
    stack's back.
    """

    def __init__(self, folder: Path, source: Path = TWO_NODES) -> None:
        self.folder = folder
        self.block = own_block()
        self.path = folder / "lab.yaml"
        self.world_path = self.path
        self.data = folder / "data"
        self.path.write_text(re.sub(r"127\.0\.\d+\.", self.block, source.read_text()))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        _made.append(self)

    # --- the file ---

    @staticmethod
    def _edit(path: Path, change: Callable[[Any], None]) -> None:
        yaml = YAML()
        yaml.width = 1000
        tree = yaml.load(path.read_text())
        change(tree)
        with path.open("w") as file:
            yaml.dump(tree, file)

    def edit(self, change: Callable[[Any], None]) -> None:
        """Change the lab file: ``change(tree)`` works on the document in place."""
        self._edit(self.path, change)

    def edit_world(self, change: Callable[[Any], None]) -> None:
        """Change what the simulators see, and leave the stack's file as it is."""
        if self.world_path == self.path:
            self.world_path = self.folder / "world.yaml"
            self.world_path.write_text(self.path.read_text())
        self._edit(self.world_path, change)

    # --- processes ---

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"}

    def qnode(self, *arguments: str, timeout: float = 300.0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "qnode", *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def run(self, *options: str, timeout: float = 300.0) -> dict[str, Any]:
        """``qnode run heralding`` to its end; the JSON document, whatever the exit code."""
        done = self.qnode(
            "run", "heralding", str(self.path), "--data", str(self.data), "--json", *options, timeout=timeout
        )
        assert done.stdout, done.stderr
        return {"exit": done.returncode, "stderr": done.stderr, **json.loads(done.stdout)}

    def start(self, name: str, *arguments: str, timeout: float = PATIENCE_S) -> subprocess.Popen[bytes]:
        """Start a process of the lab and return when it says READY=1."""
        read, write = os.pipe()
        out = (self.folder / f"{name}.out").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", "qnode", *arguments, "--data", str(self.data), "--notify-fd", str(write)],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=(write,),
        )
        out.close()
        os.close(write)
        self.processes[name] = process
        said = b""
        deadline = time.monotonic() + timeout
        while b"READY=1\n" not in said:
            ready, _, _ = select.select([read], [], [], max(deadline - time.monotonic(), 0.0))
            part = os.read(read, 4096) if ready else b""
            if not part:
                os.close(read)
                raise AssertionError(f"{name} is not ready: {said.decode()} {self.output(name)}")
            said += part
        os.close(read)
        return process

    def output(self, name: str) -> str:
        """What a process has printed."""
        return (self.folder / f"{name}.out").read_text(errors="replace")

    def start_all(self, speed: str = "max", *simulate_options: str) -> None:
        """Simulators on the world's file, daemons on the stack's."""
        self.start("simulators", "simulate", str(self.world_path), "--speed", speed, *simulate_options)
        self.start_daemons()

    def start_daemons(self) -> None:
        """All three at once."""
        kinds = {"alice": "node", "bob": "node", "midpoint": "midpoint"}
        with ThreadPoolExecutor(len(kinds)) as pool:
            starts = [pool.submit(self.start, name, kind, str(self.path), name) for name, kind in kinds.items()]
        for start in starts:
            start.result()

    def stop_all(self) -> None:
        """Ask all to end, at once, the simulators after those that speak to them."""
        for name in self.processes.keys() - {"simulators"}:
            with contextlib.suppress(ProcessLookupError):
                self.processes[name].send_signal(signal.SIGCONT)
            self.processes[name].terminate()
        for name in ("alice", "bob", "midpoint", "simulators", *self.processes):
            process = self.processes.pop(name, None)
            if process is None:
                continue
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def log(self) -> list[dict[str, Any]]:
        """The merged log so far."""
        entries = []
        for path in sorted((self.data / "log").glob("*.jsonl")):
            # Whoever writes may be in the middle of its last line.
            whole, _, _ = path.read_bytes().rpartition(b"\n")
            entries += [json.loads(line) for line in whole.splitlines()]
        return sorted(entries, key=lambda entry: entry["wall"])

    def tails(self, lines: int) -> list[tuple[str, str]]:
        """The last lines of what the processes said and logged, by file, so many in all."""
        files = [*self.folder.glob("*.out"), *(self.data / "log").glob("*")]
        files = sorted(path for path in files if path.stat().st_size)
        return [
            (
                str(path.relative_to(self.folder)),
                "\n".join(
                    line[:300] for line in path.read_text(errors="replace").splitlines()[-lines // len(files) :]
                ),
            )
            for path in files
        ]

    def ask_simulators(self, request: dict[str, Any]) -> dict[str, Any]:
        """One question to the simulators' control endpoint."""
        with socket.create_connection((f"{self.block}1", 5601), timeout=60) as connection:
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer: dict[str, Any] = json.loads(connection.makefile("rb").readline())
        return answer


def pytest_runtest_setup() -> None:
    """Its labs are those made from here on, and those that it asks for by name."""
    _made.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """To a test that failed: the ends of the logs of its labs."""
    report = yield
    if report.failed and call.when != "teardown":
        asked_for = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, LabCopy)]
        for copy in dict.fromkeys([*_made, *asked_for]):
            for name, text in copy.tails(MOST_LINES):
                report.sections.append((f"end of {copy.folder / name}", text))
    return report


@pytest.fixture(scope="session")
def lab_copy() -> type[LabCopy]:
    """`LabCopy`, for tests of other lab files."""
    return LabCopy


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[LabCopy]:
    """A copy of the two-node lab in an address block of its own."""
    copy = LabCopy(tmp_path)
    yield copy
    copy.stop_all()


def without_wire(end: str) -> Callable[[Any], None]:
    """An edit that takes the wire into one input out, and leaves its other ends."""

    def change(tree: Any) -> None:
        for entry in list(tree["wires"]):
            ends = entry.get("to")
            if ends == end:
                tree["wires"].remove(entry)
            elif isinstance(ends, list) and end in ends:
                ends.remove(end)

    return change


@pytest.fixture
def remove_wire() -> Callable[[str], Callable[[Any], None]]:
    """`without_wire`, for tests in files of their own."""
    return without_wire
